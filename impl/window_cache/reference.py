"""Sliding-window attention with sinks by its definition, for a sequence that comes in parts: each row sees its window and the first tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.streamed import attended, check_shapes, spans


def attention(query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], window: int, sinks: int = 0, scale: float | None = None) -> Tensor:
    """Row i sees the keys j ≤ i with i − j < window, its own among them, or j < sinks; softmax over those, times the values.

    Shapes: query [B, H, N, D], key [B, G, N, D], value [B, G, N, E], H a multiple of G → [B, H, N, E]. `parts` are lengths ≥ 0 that sum to N, and change
    nothing; `scale` defaults to 1/√D. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for shapes or parts that do not fit, for
    a window below 1 and sinks below 0. Source: Xiao, Tian, Chen, Han and Lewis 2024, section 3.2, https://arxiv.org/abs/2309.17453 (positions are not moved)
    """
    check(query, key, value, window, sinks)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    seen = shown(torch.arange(q.shape[2], device=q.device), torch.arange(q.shape[2], device=q.device), window, sinks)
    outputs = [q.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for rows in spans(parts, query.shape[2]):
        here = slice(rows.start, rows.stop)
        outputs.append(attended(q[:, :, here], k[:, :, : rows.stop], v[:, :, : rows.stop], seen[None, None, here, : rows.stop], scale))
    return torch.cat(outputs, dim=2).to(query.dtype)


def shown(rows: Tensor, tokens: Tensor, window: int, sinks: int) -> Tensor:
    """Which tokens [M] the rows [N] see, both given by their positions: bool [N, M]. A position below 0 is that of no token."""
    distance = rows[:, None] - tokens
    return (tokens >= 0) & (distance >= 0) & ((distance < window) | (tokens < sinks))


def check(query: Tensor, key: Tensor, value: Tensor, window: int, sinks: int) -> None:
    """Raise ValueError for shapes that do not fit, a window below 1 or sinks below 0."""
    check_shapes(query, key, value)
    if window < 1 or sinks < 0:
        raise ValueError(f"window {window}, sinks {sinks}: a window has 1 token or more, the row's own, and there are 0 sinks or more")
