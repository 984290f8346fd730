"""The same correlations with ranks from sorted numbers: N log N comparisons, where the reference makes N²."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.instruments.human_correlation.reference import check, deviations, pearson
from impl.masked import accumulation


def correlation(model: Tensor, human: Tensor, kind: str = "pearson") -> Tensor:
    """As the reference."""
    check(model, human, kind)
    x, y = (z.to(accumulation(z.dtype)) for z in (model, human))
    constant = (x == x[..., :1]).all(-1) | (y == y[..., :1]).all(-1)
    if kind == "spearman":
        x, y = ranks(x), ranks(y)
    return pearson(deviations(x), deviations(y)).clamp(-1, 1).masked_fill(constant, torch.nan).to(model.dtype)


def ranks(x: Tensor) -> Tensor:
    """The mean of the first and the last place that each number could take in the sorted order."""
    ordered = x.contiguous().sort(-1).values
    first, last = (torch.searchsorted(ordered, x.contiguous(), side=side) for side in ("left", "right"))
    return ((first + last + 1) / 2).to(x.dtype)
