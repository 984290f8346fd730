"""How large a gradient can pass through a row's softmax, from its weights alone."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation


def bounds(weights: Tensor) -> Tensor:
    """Two bounds on the norm of each row's softmax Jacobian diag(p) − p pᵀ, its trace Σ_j p_j (1 − p_j) and 2 max_j p_j (1 − p_j): [..., N, M] → [..., N, 2].

    The Jacobian has no eigenvalue below 0, so its norm is at most its trace; by Gershgorin's circles, whose centre and radius are p_j (1 − p_j) each, it is at
    most the other. Both are 0 at a one-hot row (saturated scores); at a uniform row of M weights they are 1 − 1/M and 2 (1 − 1/M) / M, where the norm is 1/M.
    float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for rows without keys. Source: Martins and Astudillo 2016, section 2.5,
    https://arxiv.org/abs/1602.02068 (the Jacobian); Gershgorin 1931
    """
    if weights.dim() < 1 or not weights.shape[-1]:
        raise ValueError(f"weights of shape {tuple(weights.shape)}; expected [..., N, M] with one key at least")
    p = weights.to(accumulation(weights.dtype))
    each = p * (1 - p)
    return torch.stack((each.sum(-1), 2 * each.amax(-1)), -1).to(weights.dtype)


def vanished(weights: Tensor, threshold: float = 0.01) -> Tensor:
    """Whether less than the threshold passes through a row, by the smaller of both bounds: bool [..., N]. Within its error of the threshold, either may come
    out. Remedies: for saturated rows smaller scores (1/√d, normalised queries and keys, a temperature above 1), for uniform ones fewer keys."""
    return bounds(weights).amin(-1) < threshold
