"""The weights of neighbours as the course text writes them: a quotient of exponentials, computed as it stands.

In real arithmetic it is right. In floats one score of 710 (float64) is enough for ∞ / ∞, and a node whose scores all lie below −745 divides 0 by 0.
impl/segments.py subtracts each node's own maximum first, which cancels.
"""

from __future__ import annotations

from torch import Tensor


def weights(scores: Tensor, target: Tensor, count: int) -> Tensor:
    """exp(s) / Σ exp(s) over the edges of the same target: scores [E], target [E] → [E].

    Source: Day 15.2: Attention Mechanisms Deep Dive, "Graph Attention Networks", "Node Attention".
    """
    raised = scores.exp()
    return raised / raised.new_zeros(count).index_add(0, target, raised)[target]
