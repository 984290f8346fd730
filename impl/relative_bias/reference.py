"""Attention with a relative bias by its definition: what is added to a score depends on how far the key lies from the query, and nothing else."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
) -> Tensor:
    """softmax_j(scale · q_i·k_j + b_h[clip(j − i)]) summed with the values; a row that sees no key is zero.

    Shapes: query [..., H, N, D], key [..., H, M, D], value [..., H, M, E], bias b [H, 2R + 1] for offsets j − i from −R to R, beyond which the outermost
    counts → [..., H, N, E]. Row i of each stands at position start + i. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added to the
    scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError
    for a bias of even length. Source: Raffel et al. 2020, section 2.1, https://arxiv.org/abs/1910.10683; clipped as in Shaw, Uszkoreit and Vaswani 2018
    """
    if bias.shape[-1] % 2 == 0:
        raise ValueError(f"the bias has one entry for each offset from −R to R, an odd number: {tuple(bias.shape)}")
    dtype, reach = accumulation(query.dtype), bias.shape[-1] // 2
    rows, columns = (start + torch.arange(x.shape[-2]) for x in (query, key))
    offsets = (columns - rows.unsqueeze(-1)).clamp(-reach, reach) + reach  # [N, M]
    scores = query.to(dtype) @ key.to(dtype).mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    scores = biased(scores + bias.to(dtype)[:, offsets], attn_mask)  # [..., H, N, M]
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)
