"""Consistency across initialisations as a course text has it: correlations of equally numbered heads.

Heads have no order: a network whose heads are numbered otherwise computes the same, and is inconsistent with itself by this formula. What a constant map, as
of a uniform head, correlates with is not said either: NaN. impl/instruments/consistency matches heads first, and refuses a constant map.
"""

from __future__ import annotations

import torch
from torch import Tensor


def consistency(weights: Tensor) -> Tensor:
    """Σ over i ≠ j of corr(α_i, α_j) / (K (K − 1)), of K trainings whose maps are read as one vector each: [K, ...] → []. Source: Day 15.2: Attention
    Mechanisms Deep Dive, "Information Theory of Attention"."""
    count = weights.shape[0]
    correlations = torch.corrcoef(weights.reshape(count, -1))
    return (correlations.sum() - correlations.trace()) / (count * (count - 1))
