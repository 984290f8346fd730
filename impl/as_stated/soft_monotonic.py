"""Soft monotonic attention as a course states it: α_i = p_i Π_{j<i} (1 − p_j) in every row, with no memory of the row before.

Every row's scan begins at the first position again, so that nothing keeps successive steps in order: the second row may go back. The weights are right for
the first row only; impl/monotonic is the definition for all of them.
"""

from __future__ import annotations

from torch import Tensor

from impl.as_stated.monotonic_closed_form import passed
from impl.masked import accumulation


def attention(energy: Tensor, value: Tensor) -> Tensor:
    """Each row by itself. Shapes: energy [..., N, M], value [..., M, E]. Source: "Day 15.2: Attention Mechanisms Deep Dive", Soft Monotonic Attention."""
    dtype = accumulation(energy.dtype)
    p = energy.to(dtype).sigmoid()
    return (p * passed(p) @ value.to(dtype)).to(energy.dtype)
