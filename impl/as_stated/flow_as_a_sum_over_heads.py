"""Attention flow as a course text has it, "track information flow through layers": the sum of one layer's heads.

No layer meets another in it, so nothing is tracked through layers; rows sum to the number of heads, so an entry is no share either; and it reads "i → j" where
row i takes from j: what moves goes the other way. impl/instruments/attention_flow is a maximum flow through all layers, impl/instruments/rollout their product.
"""

from __future__ import annotations

from torch import Tensor


def flow(weights: Tensor) -> Tensor:
    """Σ_h α_ij of each layer by itself: [..., L, H, N, M] → [..., L, N, M]. Source: Day 15.2: Attention Mechanisms Deep Dive, "Attention Visualization
    Techniques"."""
    return weights.sum(-3)
