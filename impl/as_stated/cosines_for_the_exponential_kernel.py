"""The course text's random features for attention: √(2/m) cos(W x + b) alone."""

from __future__ import annotations

import math

from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, projection: Tensor, phase: Tensor) -> Tensor:
    """φ(Q) (φ(K)ᵀ V) / φ(Q) (φ(K)ᵀ 1) with φ(x) = √(2/m) cos(W x + b), projection W [m, D], phase b [m]; said to be near softmax attention.

    Incomplete: φ(x)·φ(y) estimates the Gaussian kernel exp(−|x − y|²/2), which is softmax's exp(x·y) only where all keys are of one length: each key needs the
    factor exp(|k|²/2), as in impl/random_features/reference.py. Weights may be negative, and their sum 0: nothing of the text's positive kernels is left.
    Text: "Day 15.2: Attention Mechanisms Deep Dive", random feature approximation.
    """
    rows, columns = (math.sqrt(2 / projection.shape[0]) * (x @ projection.mT + phase).cos() for x in (query, key))
    weights = rows @ columns.mT
    return weights @ value / weights.sum(-1, keepdim=True)
