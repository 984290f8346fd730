"""The course text's formula of sparse attention: A = M ⊙ softmax(Q Kᵀ/√d), the pattern applied after the softmax."""

from __future__ import annotations

import math

from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, pattern: Tensor) -> Tensor:
    """(M ⊙ softmax(Q Kᵀ/√D)) V with M [N, M] of zeros and ones; the text puts it below the formula that divides by the sum over W_i, as if it were the same.

    Wrong: the denominator runs over all keys, so rows sum to less than 1, hidden keys change the output through it, and all N × M scores are computed. Right
    is softmax over what the row sees, impl/patterns.py. Text: "Day 15.2: Attention Mechanisms Deep Dive", Mathematical Formulation.
    """
    weights = (query @ key.mT / math.sqrt(query.shape[-1])).softmax(-1)
    return (pattern * weights) @ value
