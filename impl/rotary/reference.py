"""Rotary attention by its definition: pairs of features of queries and keys are turned by angles that grow with the position."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    interleaved: bool = True,
    base: float = 10_000.0,
) -> Tensor:
    """softmax_j(scale · ⟨R_i q_i, R_j k_j⟩) summed with the values, which are not turned; a row that sees no key is zero.

    Shapes: query [..., N, D], key [..., M, D], D even, value [..., M, E] → [..., N, E]. Row i of each stands at position start + i; pair p turns by the
    position times base^(−2p/D) radians. Pairs are features (2p, 2p + 1) if `interleaved`, else (p, p + D/2). `attn_mask` broadcasts to [..., N, M]: boolean
    (True = may attend) or added to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. float16 and bfloat16 are computed in
    float32 and rounded once. Raises ValueError for an odd D. Source: Su et al. 2021, section 3.2, https://arxiv.org/abs/2104.09864
    """
    dtype, width = accumulation(query.dtype), query.shape[-1]
    q, k = (rotated(x.to(dtype), start, interleaved, base) for x in (query, key))
    scores = biased(q @ k.mT * (1 / math.sqrt(width) if scale is None else scale), attn_mask)  # [..., N, M]
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)


def rotated(x: Tensor, start: int, interleaved: bool, base: float) -> Tensor:
    """x [..., N, D] with each pair of features turned, as one complex product."""
    if x.shape[-1] % 2:
        raise ValueError(f"rotary attention turns pairs of features, so the width must be even: {tuple(x.shape)}")
    first, second = (x[..., 0::2], x[..., 1::2]) if interleaved else x.chunk(2, -1)  # [..., N, D/2]
    turned = torch.complex(first, second) * turns(x.shape[-2], x.shape[-1], start, base, x.dtype)
    return torch.stack([turned.real, turned.imag], -1).flatten(-2) if interleaved else torch.cat([turned.real, turned.imag], -1)


def turns(length: int, width: int, start: int, base: float, dtype: torch.dtype) -> Tensor:
    """e^(i · position · base^(−2p/D)), [N, D/2]. Angles are taken in float64: position 10⁵ in float32 is 0.004 radians off."""
    frequencies = base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(start, start + length, dtype=torch.float64).unsqueeze(-1) * frequencies
    return torch.complex(angles.cos().to(dtype), angles.sin().to(dtype))
