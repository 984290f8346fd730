"""Consistency with all correlations of a set of trainings from one product of standardised maps [K · H, N · M]."""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor

from impl.instruments.consistency.reference import best, check, deviations
from impl.masked import accumulation


def consistency(weights: Tensor, match: bool = True) -> Tensor:
    """As the reference."""
    check(weights)
    count, heads = weights.shape[-4:-2]
    maps = deviations(weights.to(accumulation(weights.dtype)).flatten(-2)).flatten(-3, -2)  # [..., K · H, N · M]
    unit = maps / (maps * maps).sum(-1, keepdim=True).sqrt()
    every = (unit @ unit.transpose(-1, -2)).reshape(-1, count, heads, count, heads)
    found = [torch.stack([best(one[a, :, b], match) for a, b in combinations(range(count), 2)]).mean() for one in every]
    return torch.stack(found).reshape(weights.shape[:-4]).to(weights.dtype)
