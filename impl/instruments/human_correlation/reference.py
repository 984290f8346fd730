"""Correlation of attention with a map that people gave, by its definition."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation


def correlation(model: Tensor, human: Tensor, kind: str = "pearson") -> Tensor:
    """Pearson's correlation along the last axis, or Spearman's: Pearson's of the ranks, of which equal numbers share the mean.

    Shapes: model and human [..., N] → [...], in [−1, 1]. Where either is constant, no correlation is defined: NaN. Where numbers differ by a few units in the
    last place, the rounding of their mean is as large as the deviations, and little of Pearson's is right. float16 and bfloat16 are computed in float32 and
    rounded once. Raises ValueError for another kind, for different shapes, or for fewer than two numbers. Sources: Pearson 1895; Spearman 1904,
    https://doi.org/10.2307/1412159
    """
    check(model, human, kind)
    x, y = (z.to(accumulation(z.dtype)) for z in (model, human))
    constant = (x.amax(-1) == x.amin(-1)) | (y.amax(-1) == y.amin(-1))  # by comparison: the variance of equal numbers may round to more than 0
    if kind == "spearman":
        x, y = ranks(x), ranks(y)
    found = pearson(deviations(x), deviations(y)).clamp(-1, 1)
    return found.masked_fill(constant, torch.nan).to(model.dtype)


def ranks(x: Tensor) -> Tensor:
    """The place of each number among those along the last axis, from 1; equal ones share their mean place."""
    below = (x.unsqueeze(-1) > x.unsqueeze(-2)).sum(-1)
    equal = (x.unsqueeze(-1) == x.unsqueeze(-2)).sum(-1)
    return (below + (equal + 1) / 2).to(x.dtype)


def deviations(x: Tensor) -> Tensor:
    """Differences to the mean along the last axis, over the largest of them: no square under- or overflows."""
    apart = x - x.mean(-1, keepdim=True)
    return apart / apart.abs().amax(-1, keepdim=True)


def pearson(a: Tensor, b: Tensor) -> Tensor:
    """Of deviations."""
    return (a * b).sum(-1) / ((a * a).sum(-1).sqrt() * (b * b).sum(-1).sqrt())


def check(model: Tensor, human: Tensor, kind: str) -> None:
    """Raise ValueError unless both are maps of the same two places or more."""
    if kind not in ("pearson", "spearman"):
        raise ValueError(f"kind={kind!r}; there are 'pearson' and 'spearman'")
    if model.shape != human.shape or not model.dim() or model.shape[-1] < 2:
        raise ValueError(f"maps of shapes {tuple(model.shape)} and {tuple(human.shape)}; expected [..., N] twice, N at least 2")
