"""The expected alignment by cumulative products and sums, as it is published: equal to the recurrence on paper, and wrong in floating point.

It divides by the probability of having passed every position so far. That product underflows on long rows, although what it multiplies afterwards need not
be small, and it is 0 behind a position with p = 1: quotients overflow, and 0 · ∞ is no number. impl/monotonic/scan.py is as parallel and divides by nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation


def attention(energy: Tensor, value: Tensor) -> Tensor:
    """α_i = p_i · P_i · cumsum(α_{i−1} / P_i), with P_i the products of 1 − p_i over the positions before. Shapes: energy [..., N, M], value [..., M, E].

    Source: Raffel et al. 2017, equations 23 to 30, https://arxiv.org/abs/1704.00784
    """
    dtype = accumulation(energy.dtype)
    row, rows = torch.eye(1, energy.shape[-1], dtype=dtype)[0], []
    for p in energy.to(dtype).sigmoid().unbind(-2):
        row = p * passed(p) * (row / passed(p)).cumsum(-1)
        rows.append(row)
    return (torch.stack(rows, dim=-2) @ value.to(dtype)).to(energy.dtype)


def passed(p: Tensor) -> Tensor:
    """The product of 1 − p over the positions before each, [..., M]."""
    return torch.cat((torch.ones_like(p[..., :1]), (1 - p).cumprod(-1)[..., :-1]), dim=-1)
