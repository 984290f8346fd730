"""The entropy of the course texts, −Σ p log(p + ε) with ε of 1e-8 or 1e-9 against the logarithm of 0.

In float16 both numbers round to 0: the logarithm of 0 is taken after all, and 0 · −∞ is NaN in every row that has a weight of 0. In the other dtypes the sum is
too low by up to n ε, and below 0 in a one-hot row in float64. Of the model's output the first text reads the first sequence alone, padding included.
impl/instruments/attention_entropy adds nothing.
"""

from __future__ import annotations

from torch import Tensor


def entropy(weights: Tensor, offset: float = 1e-8) -> Tensor:
    """−Σ_j p_ij log(p_ij + ε): [..., N, M] → [..., N]. Sources: Day 15.2: Attention Mechanisms Deep Dive, "Attention Visualization Techniques" (1e-8); Day 42:
    Attention Mechanisms, "Attention Entropy" (1e-9)."""
    return -(weights * (weights + offset).log()).sum(-1)
