"""Attention at several scales, with cells summed as segments: N · Σ ⌈M / width⌉ pairs, and M · (D + E) additions a scale to pool."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impl import segments
from impl.cells import owners
from impl.masked import accumulation, softmax
from impl.scored import scored


def attention(query: Tensor, key: Tensor, value: Tensor, widths: Sequence[int], scale: float | None = None) -> Tensor:
    """As the reference, without its [C, M] matrix."""
    if not len(widths):
        raise ValueError("widths is empty: expected at least one, as in (1, 4)")
    dtype = accumulation(query.dtype)
    k, v = key.to(dtype), value.to(dtype)
    keys, values = (torch.cat([means(x, width) for width in widths], dim=-2) for x in (k, v))  # [..., C, D], [..., C, E]
    return (softmax(*scored(query.to(dtype), keys, None, False, scale)) @ values).to(query.dtype)


def means(x: Tensor, width: int) -> Tensor:
    """The means of cells of so many rows: [..., M, D] → [..., ⌈M / width⌉, D]."""
    owner, rows = owners(x.shape[-2], width, x), x.movedim(-2, 0)
    count = -(-len(rows) // width)
    held = segments.total(rows.new_ones(len(rows)), owner, count)
    return segments.total(rows, owner, count).movedim(0, -2) / held.unsqueeze(-1)
