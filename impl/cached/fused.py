"""Incremental decoding by the Triton kernels of this folder: the caches of this folder take the tokens, and the kernels read them. Forward only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from impl.cached.cache import KeyValueCache, empty
from impl.cached.paged import PAGE, PagedCache, in_order
from impl.cached.reference import checked
from impl.in_triton import Operators
from impl.streamed import check_shapes, factor, spans

WIDEST = 256
FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load() -> Any:
    from impl.cached import launch

    return launch


operators = Operators(load)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    parts: tuple[int, ...],
    past_lengths: Tensor | None = None,
    slopes: Tensor | None = None,
    scale: float | None = None,
    *,
    page: int | None = PAGE,
    page_table: Tensor | None = None,
    unused: float = 0.0,
    overwritten: float | None = None,
    keys: int | None = None,
    tile: tuple[int, ...] | None = None,
) -> Tensor:
    """As the reference, without a gradient: what stands before the queries is one append to a cache, each part another, and `attend` reads it. `page` tokens
    a page, and `page_table`, as in `impl.cached.paged`; None: slots of its own for each sequence. `unused` and `overwritten` as in `impl.cached.cache`."""
    check_shapes(query, key, value, prefix=True)
    b, g, m, d = key.shape
    before = m - query.shape[2]
    past = checked(past_lengths, b, before)
    held: KeyValueCache | PagedCache
    if page is None:
        held = empty(key, value, m, unused=unused)
    else:
        table = in_order(b, -(-m // page)) if page_table is None else page_table
        pages = max(int(table.max()) if table.numel() else -1, 0) + 2
        held = PagedCache(table.to(key.device), pages, page, g, d, value.shape[3], key.dtype, unused=unused)
    append(held.append, key[:, :, :before], value[:, :, :before], overwritten, past.tolist())
    outputs = [query.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for rows in spans(parts, query.shape[2]):
        new = slice(before + rows.start, before + rows.stop)
        append(held.append, key[:, :, new], value[:, :, new], overwritten)
        outputs.append(attend(held, query[:, :, rows.start : rows.stop], slopes, scale, keys=keys, tile=tile))
    return torch.cat(outputs, dim=2)


def append(to: Callable[..., None], key: Tensor, value: Tensor, overwritten: float | None, *counts: list[int]) -> None:
    """Append the tensors, or copies that are overwritten afterwards."""
    if overwritten is None:
        return to(key, value, *counts)
    key, value = key.clone(), value.clone()
    to(key, value, *counts)
    key.fill_(overwritten)
    value.fill_(overwritten)


def attend(
    held: KeyValueCache | PagedCache, query: Tensor, slopes: Tensor | None = None, scale: float | None = None, *,
    keys: int | None = None, tile: tuple[int, ...] | None = None,
) -> Tensor:  # fmt: skip
    """The rows [B, H, n, E] of queries [B, H, n, D] at each sequence's last n positions, as the caches' own `attend`; slopes [H].

    `keys` a split (None: so many that the splits fill the device) and `tile` = (rows, columns, warps, stages[, rows and splits at a time of the merge]) change
    nothing but the order of additions. Weights meet values in the inputs' dtype. Raises ValueError for a query or slopes that do not fit the cache, another
    dtype than its own, sequences of fewer than n tokens, a split without keys, and widths above 256; RuntimeError where triton is missing.
    """
    paged = isinstance(held, PagedCache)
    key, value = (x if paged else x.transpose(0, 1) for x in (held.key, held.value))  # [G, pages, page, width]
    check_query(query, key, value, len(held.lengths), slopes)
    if min(held.lengths, default=query.shape[2]) < query.shape[2]:
        raise ValueError(f"sequences of {held.lengths} tokens: {query.shape[2]} queries stand at the last positions of each, append their tokens first")
    if keys is not None and keys < 1:
        raise ValueError(f"keys {keys}: a split has 1 key or more")
    lengths = torch.tensor(held.lengths, dtype=torch.int32, device=key.device)
    table, page = (held.table, held.page) if isinstance(held, PagedCache) else (None, 0)
    found: Tensor = operators().decoded(
        query, key, value, lengths, table, slopes, None, max(held.lengths, default=0), page, 0, 0, factor(query, scale), keys or 0, list(tile or ())
    )
    return found


def check_query(query: Tensor, key: Tensor, value: Tensor, sequences: int, slopes: Tensor | None = None) -> None:
    """Raise ValueError, quoting it, for a query [B, H, n, D] or slopes [H] that do not fit a pool of keys [G, pages, page, D] and values."""
    if query.dim() != 4 or query.shape[0] != sequences or key.shape[0] == 0 or query.shape[1] % key.shape[0] or query.shape[3] != key.shape[3]:
        wanted = f"[{sequences}, a multiple of {key.shape[0]}, n, {key.shape[3]}]"
        raise ValueError(f"query {tuple(query.shape)}: this cache takes {wanted}: sequences, heads, tokens, width")
    if query.dtype != key.dtype or query.dtype not in FLOATS or query.device != key.device:
        raise ValueError(f"query is {query.dtype} on {query.device}, the cache {key.dtype} on {key.device}: the kernel needs one floating dtype and device")
    if query.requires_grad and torch.is_grad_enabled():
        raise ValueError("the query wants a gradient, and this kernel has no backward: detach it, or call under torch.no_grad()")
    if slopes is not None and tuple(slopes.shape) != (query.shape[1],):
        raise ValueError(f"slopes {tuple(slopes.shape)}: expected one for each of the {query.shape[1]} query heads")
    if max(key.shape[3], value.shape[3]) > WIDEST:
        raise ValueError(f"head widths go to {WIDEST}: key {key.shape[3]}, value {value.shape[3]}")
