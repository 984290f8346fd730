"""The entropy of attention weights, by its definition."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation


def entropy(weights: Tensor) -> Tensor:
    """H_i = −Σ_j p_ij log p_ij in nats, where 0 · log 0 is 0: weights [..., N, M] → [..., N].

    A row without weight has the entropy 0. Nothing is added to the weights, so that no dtype is asked to hold such a number. The gradient is −log p − 1, and 0
    at a weight of 0. float16 and bfloat16 are computed in float32 and rounded once. Source: Shannon 1948, section 6,
    https://doi.org/10.1002/j.1538-7305.1948.tb01338.x
    """
    return -information(weights.to(accumulation(weights.dtype))).sum(-1).to(weights.dtype)


def information(p: Tensor) -> Tensor:
    """p log p, and 0 where p is 0."""
    return p * p.masked_fill(p == 0, 1.0).log()
