"""Attention at several scales by its definition: one softmax over the means of the keys in cells of several widths."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impl.cells import averaging
from impl.masked import accumulation, softmax
from impl.scored import scored


def attention(query: Tensor, key: Tensor, value: Tensor, widths: Sequence[int], scale: float | None = None) -> Tensor:
    """softmax(scale · Q K̄ᵀ) V̄, where K̄ and V̄ are the means of keys and values in cells of each width, one scale behind the other; width 1 is the keys.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. The cells of a width start at the first key, the last one is shorter; each
    counts as one key, however many it holds. `scale` is 1/√D by default. A row without keys is 0. float16 and bfloat16 are computed in float32 and rounded
    once. Raises ValueError for a width below 1, or none at all. Source: focal self-attention, Yang et al. 2021, https://arxiv.org/abs/2107.00641, with
    average pooling for its sub-window pooling, and the whole sequence for the region of every level.
    """
    if not len(widths):
        raise ValueError("widths is empty: expected at least one, as in (1, 4)")
    dtype = accumulation(query.dtype)
    k, v = key.to(dtype), value.to(dtype)
    pooling = torch.cat([averaging(key.shape[-2], width, k) for width in widths])  # [C, M]
    return (softmax(*scored(query.to(dtype), pooling @ k, None, False, scale)) @ (pooling @ v)).to(query.dtype)
