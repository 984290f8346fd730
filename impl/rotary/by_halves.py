"""Rotary attention in real numbers: x cos + turn(x) sin, where `turn` exchanges the features of each pair and negates one."""

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
    """As the reference. The cosines and sines are shared by queries and keys."""
    dtype, width = accumulation(query.dtype), query.shape[-1]
    if width % 2:
        raise ValueError(f"rotary attention turns pairs of features, so the width must be even: {tuple(query.shape)}")
    angles = start + torch.arange(max(query.shape[-2], key.shape[-2]), dtype=torch.float64)
    angles = angles.unsqueeze(-1) * base ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)  # [max(N, M), D/2]
    angles = angles.repeat_interleave(2, -1) if interleaved else torch.cat([angles, angles], -1)
    cos, sin = angles.cos().to(dtype), angles.sin().to(dtype)
    q, k = (x * cos[: x.shape[-2]] + turn(x, interleaved) * sin[: x.shape[-2]] for x in (query.to(dtype), key.to(dtype)))
    scores = biased(q @ k.mT * (1 / math.sqrt(width) if scale is None else scale), attn_mask)  # [..., N, M]
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)


def turn(x: Tensor, interleaved: bool) -> Tensor:
    """Every pair (a, b) as (−b, a)."""
    if interleaved:
        return torch.stack([-x[..., 1::2], x[..., 0::2]], -1).flatten(-2)
    first, second = x.chunk(2, -1)
    return torch.cat([-second, first], -1)
