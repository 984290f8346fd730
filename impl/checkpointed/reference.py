"""Attention in segments of queries by its definition, which keeps every weight for backward. What saves memory in training returns the same numbers."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.scored import scored, spans, tile


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    segments: int = 1,
) -> Tensor:
    """softmax(scale · q kᵀ + mask) V, ⌈N / segments⌉ queries after another; a row that sees no key is zero.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added
    to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. float16 and bfloat16 are computed in float32 and rounded once. Recomputing
    in backward, or keeping elsewhere what backward reads, changes neither the output nor a gradient: this is what they must be equal to, bit by bit, where
    they run the same operations. Raises ValueError for less than one segment. Source: Chen et al. 2016, section 4, https://arxiv.org/abs/1604.06174
    """
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    parts = [attended(q, k, v, attn_mask, is_causal, scale, rows) for rows in rows_of(query, segments)]
    return torch.cat(parts, dim=-2).to(query.dtype)


def rows_of(query: Tensor, segments: int) -> list[range]:
    """The queries, in at most as many pieces. Raises ValueError for less than one."""
    if segments < 1:
        raise ValueError(f"segments={segments}; there must be 1 at least")
    n = query.shape[-2]
    return spans(n, -(-n // segments)) if n else [range(0)]


def attended(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None, rows: range) -> Tensor:
    """The output [..., R, E] of these queries."""
    if len(rows) == q.shape[-2]:
        scores, seen = scored(q, k, attn_mask, is_causal, scale)
    else:
        scores, seen = tile(q, k, attn_mask, is_causal, scale, rows, range(k.shape[-2]))
    return softmax(scores, seen) @ v
