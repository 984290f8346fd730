"""Attention with sinusoidal positions by its definition: sines and cosines of the position are added to each query and key."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.learned_positions.reference import positioned


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    base: float = 10_000.0,
) -> Tensor:
    """Scaled dot-product attention of q_i + PE(start + i) and k_j + PE(start + j); the values carry no position.

    Shapes: query [..., N, D], key [..., M, D], D even, value [..., M, E] → [..., N, E]; masks and scale as there. float16 and bfloat16 are computed in float32
    and rounded once. Raises ValueError for an odd D. Source: Vaswani et al. 2017, section 3.5, https://arxiv.org/abs/1706.03762
    """
    table = encoding(max(query.shape[-2], key.shape[-2]), query.shape[-1], start, base)
    return positioned(query, key, value, table, attn_mask, is_causal, scale, 0)


def encoding(length: int, width: int, start: int = 0, base: float = 10_000.0) -> Tensor:
    """PE [N, D] in float64: PE(p)_2i = sin(p · base^(−2i/D)) and PE(p)_2i+1 = cos of the same. Raises ValueError for an odd width."""
    if width % 2:
        raise ValueError(f"sinusoidal positions fill pairs of features, so the width must be even: {width}")
    angles = torch.arange(start, start + length, dtype=torch.float64).unsqueeze(-1) * base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)
