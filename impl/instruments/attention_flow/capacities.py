"""Weights as whole numbers of one unit, so that flows through them are added and compared exactly."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product

import torch
from torch import Tensor

Map = list[list[int]]  # capacity from output i to input j of a layer, in units


def in_units(layers: Tensor, residual: bool) -> tuple[list[Map], int]:
    """Of maps [L, N, N]: the capacities of each layer, of its mean with what passes by if `residual`, and how many units make 1. Every float is a fraction
    whose denominator is a power of 2; the largest of these, once more doubled, is the number of units."""
    exact = [[[Fraction(w) for w in row] for row in layer] for layer in layers.to(torch.float64).tolist()]
    unit = 2 * max((w.denominator for layer in exact for row in layer for w in row), default=1)
    if residual:
        return [[[int((w + (i == j)) * unit) // 2 for j, w in enumerate(row)] for i, row in enumerate(layer)] for layer in exact], unit
    return [[[int(w * unit) for w in row] for row in layer] for layer in exact], unit


def each(weights: Tensor, one: Callable[[Tensor], Tensor]) -> Tensor:
    """What `one` makes of the layers [L, N, N] of each sequence [..., L, N, N] → [..., N, N]."""
    found = torch.empty(*weights.shape[:-3], *weights.shape[-2:], dtype=weights.dtype, device=weights.device)
    for at in product(*map(range, weights.shape[:-3])):
        found[at] = one(weights[at])
    return found


def rounded(flows: list[list[int]], unit: int, like: Tensor) -> Tensor:
    """Flows in units as numbers in the weights' dtype."""
    numbers = [[float(Fraction(flow, unit)) for flow in row] for row in flows]
    return torch.tensor(numbers, dtype=torch.float64, device=like.device).reshape(like.shape[-2:]).to(like.dtype)


def check(weights: Tensor) -> None:
    """Raise ValueError unless there are layers of square maps without weights below 0, of which none is infinite or NaN."""
    if weights.dim() < 3 or weights.shape[-1] != weights.shape[-2] or not weights.shape[-3]:
        raise ValueError(f"weights of shape {tuple(weights.shape)}; expected [..., L, N, N] with at least one layer")
    if not bool(((weights >= 0) & weights.isfinite()).all()):
        raise ValueError(f"weights from {weights.min().item()} to {weights.max().item()}; a capacity is a finite number from 0")
