"""Two "average distances" of course texts that are none.

`summed` adds |i − j| α_ij over all rows as well: N times the mean, so that longer texts seem to be read from farther away. `mean_position` leaves the query's
own place out: it is the mean place that is attended, the same for a row that looks at itself as for any other row that looks there.
impl/instruments/attention_distance is the mean of |i − j|.
"""

from __future__ import annotations

import torch
from torch import Tensor


def summed(weights: Tensor) -> Tensor:
    """Σ_ij |i − j| α_ij: [..., N, M] → [...]. Source: Day 15.2: Attention Mechanisms Deep Dive, "Probing Attention for Linguistic Structure"."""
    rows, keys = (torch.arange(length, dtype=weights.dtype) for length in weights.shape[-2:])
    return ((rows.unsqueeze(-1) - keys).abs() * weights).sum((-1, -2))


def mean_position(weights: Tensor) -> Tensor:
    """Σ_j j α_ij, and not |i − j|: [..., N, M] → [..., N]. The text makes the places float32, whatever the weights are. Source: Day 42: Attention Mechanisms,
    "Attention Distance"."""
    return (weights * torch.arange(weights.shape[-1]).float()).sum(-1)
