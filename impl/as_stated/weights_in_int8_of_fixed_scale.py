"""The course text's "quantize attention weights" to INT8, on the grid that covers [0, 1]: the range that all weights have."""

from __future__ import annotations

import math

from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Σ_j round(127 p_j) / 127 · v_j with p = softmax(Q Kᵀ / √D): [..., N, D], [..., M, D], [..., M, E] → [..., N, E].

    Wrong: a weight below 1 / 254 becomes 0, so that a row over more than 254 like keys is 0 whatever the values, and rows do not sum to 1. Right is a scale
    of each row's own and a sum of what remains; or whole numbers for queries and keys and not for weights, impl/int8/reference.py. Text: "Day 42: Attention
    Mechanisms", Quantized Attention.
    """
    weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
    return (weights * 127).round() / 127 @ value
