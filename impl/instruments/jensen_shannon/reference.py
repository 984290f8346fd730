"""Jensen-Shannon divergence between heads, by its definition: how far they are from their mean."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation


def divergence(weights: Tensor, pairs: bool = False) -> Tensor:
    """(1/H) Σ_h Σ_j p_hj log(p_hj / m_j) in nats, where m is the mean of the heads and 0 · log 0 is 0.

    Shapes: weights [..., H, N, M] → [..., N], between all heads, in [0, log H]; with `pairs` → [..., H, H, N], between every two, in [0, log 2], of which the
    square root is a metric; a head's from itself is 0 exactly. At a weight of 0 its logarithm counts as 0: the gradient there is (−log m_j − 1) / H (with
    `pairs` H is 2), and log(H) / H where no head attends key j; the derivative itself is −∞ in the first case. Rounding may leave a number below 0 where two
    heads agree. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError where there is no head. Source: Lin 1991, Eqs. 3.1 and 5.1,
    https://doi.org/10.1109/18.61115
    """
    check(weights)
    p = weights.to(accumulation(weights.dtype))
    if not pairs:
        return terms(p, p.sum(-3, keepdim=True), p.shape[-3]).mean(-2).to(weights.dtype)
    itself = torch.eye(p.shape[-3], dtype=torch.bool, device=p.device).unsqueeze(-1)
    return between(p.unsqueeze(-4), p.unsqueeze(-3)).masked_fill(itself, 0.0).to(weights.dtype)


def between(one: Tensor, other: Tensor) -> Tensor:
    """The divergence of two maps [..., N, M], row by row [..., N]."""
    total = one + other
    return (terms(one, total, 2) + terms(other, total, 2)) / 2


def terms(p: Tensor, total: Tensor, count: int) -> Tensor:
    """Σ_j p log(p / m) [..., N] with m = total / count, by differences of logarithms: neither the mean of the smallest weights nor a gradient 1 / m leaves the
    format."""
    of_the_mean = total.masked_fill(total == 0, 1.0).log() - math.log(count)
    return (p * (p.masked_fill(p == 0, 1.0).log() - of_the_mean)).sum(-1)


def check(weights: Tensor) -> None:
    """Raise ValueError unless the weights are of heads."""
    if weights.dim() < 3 or not weights.shape[-3]:
        raise ValueError(f"weights of shape {tuple(weights.shape)}; expected [..., H, N, M] with at least one head")
