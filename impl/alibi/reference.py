"""Attention with linear biases by its definition: a score falls by the head's slope for each step of distance."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    slopes: Tensor | None = None,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
) -> Tensor:
    """softmax_j(scale · q_i·k_j − m_h |i − j|) summed with the values; a row that sees no key is zero.

    Shapes: query [..., H, N, D], key [..., H, M, D], value [..., H, M, E], slopes m [H] (default 2^(−8h/H), h = 1 … H) → [..., H, N, E]. Row i of each
    stands at position start + i, which no distance depends on. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added to the scores;
    `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. float16 and bfloat16 are computed in float32 and rounded once.
    Source: Press, Smith and Lewis 2022, section 3, https://arxiv.org/abs/2108.12409
    """
    dtype, heads = accumulation(query.dtype), query.shape[-3]
    m = default_slopes(heads) if slopes is None else slopes
    rows, columns = (start + torch.arange(x.shape[-2], dtype=dtype) for x in (query, key))
    distances = (rows.unsqueeze(-1) - columns).abs()  # [N, M]
    scores = query.to(dtype) @ key.to(dtype).mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    scores = biased(scores - m.to(dtype).reshape(heads, 1, 1) * distances, attn_mask)  # [..., H, N, M]
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)


def default_slopes(heads: int) -> Tensor:
    """2^(−8h/H) for h = 1 … H, float64: exact where H divides 8."""
    return 2.0 ** (-8 * torch.arange(1, heads + 1, dtype=torch.float64) / heads)
