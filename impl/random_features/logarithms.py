"""Random features as a factor times an exponential, so that whoever sums them can take out a common power of e."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def scaled(x: Tensor, scale: float | None) -> Tensor:
    """√scale · x, so that products of two are scale · q·k; 1/√D by default. Raises ValueError unless the scale is above 0."""
    if scale is not None and not scale > 0:
        raise ValueError(f"scale {scale}: expected a number above 0, half of which goes to the queries and half to the keys")
    return x * (x.shape[-1] ** -0.25 if scale is None else math.sqrt(scale))


def features(x: Tensor, projection: Tensor, phase: Tensor | None) -> tuple[Tensor, Tensor]:
    """Exponents and factors of the features of x [..., D] under a projection [m, D], but for their 1/√m: the mean over features of
    φ(x) φ(y) = factors · e^exponents is an unbiased estimate of e^(x·y) where each row of the projection is standard normal.

    Positive features: exponents w·x − |x|²/2 [..., m], factors 1. With a phase b [m], uniform on [0, 2π): exponents |x|²/2 [..., 1], factors
    √2 cos(w·x + b) [..., m], of either sign.
    """
    along, half = x @ projection.mT, x.square().sum(-1, keepdim=True) / 2  # [..., m], [..., 1]
    if phase is None:
        return along - half, torch.ones_like(along)
    return half, math.sqrt(2) * torch.cos(along + phase)


def finite(top: Tensor) -> Tensor:
    """A stabiliser, 0 where nothing is visible; no gradient passes, as it cancels."""
    return top.detach().masked_fill(top == -math.inf, 0.0)
