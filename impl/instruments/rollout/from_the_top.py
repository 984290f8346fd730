"""The rollout of R rows from the last layer down: L · R · N² products instead of L · N³."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impl.instruments.rollout.reference import check, mixing
from impl.masked import accumulation


def rollout(weights: Tensor, residual: bool = True, rows: Sequence[int] | None = None) -> Tensor:
    """As the reference."""
    check(weights)
    *earlier, total = mixing(weights.to(accumulation(weights.dtype)), residual).unbind(-3)
    total = total.clone() if rows is None else total[..., list(rows), :]
    for layer in reversed(earlier):
        total = total @ layer
    return total.to(weights.dtype)
