"""Sliding-window attention with sinks over a rolling cache, by the Triton kernels of `impl.cached`: the ring's slots are read once a step. Forward only."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.cached.fused import append, check_query, operators
from impl.streamed import factor, spans
from impl.window_cache.reference import check
from impl.window_cache.rolling import PIECE, RollingCache

__all__ = ["attend", "attention", "operators"]


def attention(
    query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], window: int, sinks: int = 0, scale: float | None = None, *,
    piece: int = PIECE, unused: float = 0.0, overwritten: float | None = None, keys: int | None = None, tile: tuple[int, ...] | None = None,
) -> Tensor:  # fmt: skip
    """As `impl.window_cache.rolling.attention`; `keys` and `tile` as in `impl.cached.fused.attend`."""
    check(query, key, value, window, sinks)
    held = RollingCache(key.shape[0], key.shape[1], window, sinks, piece, key.shape[3], value.shape[3], key.dtype, str(key.device), unused=unused)
    outputs = [query.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for part in spans(parts, query.shape[2]):
        for start in range(part.start, part.stop, piece):
            here = slice(start, min(start + piece, part.stop))
            append(held.append, key[:, :, here], value[:, :, here], overwritten)
            outputs.append(attend(held, query[:, :, here], scale, keys=keys, tile=tile))
    return torch.cat(outputs, dim=2)


def attend(held: RollingCache, query: Tensor, scale: float | None = None, *, keys: int | None = None, tile: tuple[int, ...] | None = None) -> Tensor:
    """The rows [B, H, n, E] of queries [B, H, n, D] at the last n ≤ piece positions, as `RollingCache.attend`. Raises ValueError for a query that does not
    fit the cache, or of more rows than a piece or than there are tokens; RuntimeError where triton is missing."""
    key, value = held.key.transpose(0, 1), held.value.transpose(0, 1)  # [G, sequences, slots, width]
    check_query(query, key, value, held.key.shape[0])
    if query.shape[2] > min(held.piece, held.length):
        raise ValueError(f"{query.shape[2]} queries: this cache holds what the last {min(held.piece, held.length)} of its {held.length} tokens see")
    if keys is not None and keys < 1:
        raise ValueError(f"keys {keys}: a split has 1 key or more")
    lengths = torch.full((query.shape[0],), held.length, dtype=torch.int32, device=key.device)
    filled = min(held.length, held.at.shape[0])  # slots fill in their order
    found: Tensor = operators().decoded(
        query, key, value, lengths, None, None, held.at, filled, 0, held.window, held.sinks, factor(query, scale), keys or 0, list(tile or ())
    )
    return found
