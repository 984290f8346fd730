"""Feature maps φ: what linear attention weighs keys by is φ(q) · φ(k)."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import elu

NAMES = ("elu+1", "exp", "relu+epsilon", "polynomial", "taylor")


def features(x: Tensor, feature_map: str, epsilon: float, c: float) -> Tensor:
    """φ(x), [..., D] → [..., F]. Raises ValueError for an unknown name.

    Entry by entry, F = D: "elu+1" (Katharopoulos et al. 2020, equation 7), "exp" e^x, "relu+epsilon" max(x, 0) + ε, "polynomial" (x + c)². No entry is
    negative, and only the last can be 0: in a row where φ(q) · φ(k) is 0 for all keys the output is 0. "taylor", F = 1 + D + D²: 1, x and x xᵀ/√2, so that
    φ(q) · φ(k) = 1 + q·k + (q·k)²/2 ≥ 1/2, while the single features may be negative.
    """
    match feature_map:
        case "elu+1":
            return elu(x) + 1
        case "exp":
            return x.exp()
        case "relu+epsilon":
            return x.relu() + epsilon
        case "polynomial":
            return (x + c).square()
        case "taylor":
            squares = (x.unsqueeze(-1) * x.unsqueeze(-2)).flatten(-2) * math.sqrt(0.5)  # [..., D²]
            return torch.cat((torch.ones_like(x[..., :1]), x, squares), dim=-1)
    raise ValueError(f"feature_map {feature_map!r}: expected one of {', '.join(NAMES)}")
