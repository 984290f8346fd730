"""The course text's formula of Performer attention: φ(Q) (φ(K)ᵀ V), with no normaliser."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, features: Callable[[Tensor], Tensor]) -> Tensor:
    """φ(Q) (φ(K)ᵀ V) for features [..., N, D] → [..., N, F]; the text says that this is near softmax attention.

    Wrong: rows of weights do not sum to 1, so the output grows with the number of keys; with exact features it is softmax's numerator. Right is the quotient
    by φ(Q) (φ(K)ᵀ 1), impl/random_features/reference.py. Text: "Day 42: Attention Mechanisms", Performer.
    """
    return features(query) @ (features(key).mT @ value)
