"""Linear attention with exponential decay by its definition: a key's weight is multiplied by λ with every token after it."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.kernelised import quotient, with_ones
from impl.linear_attention.feature_maps import features
from impl.masked import accumulation
from impl.streamed import check_shapes, spans


def attention(query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], decay: Tensor) -> Tensor:
    """Σ_{j ≤ i} λ^(i−j) φ(q_i)·φ(k_j) v_j / Σ_{j ≤ i} λ^(i−j) φ(q_i)·φ(k_j), with φ = elu + 1, which is above 0, and λ of each head.

    Shapes: query and key [B, H, N, D], value [B, H, N, E], decay λ [H] in 0 … 1 → [B, H, N, E]. λ⁰ is 1, also for λ = 0. `parts` are lengths ≥ 0 that sum to N
    and change nothing. A row whose weights are all 0, as where every feature underflows, is zero. float16 and bfloat16 are computed in float32, rounded once.
    Raises ValueError for shapes, parts or a decay that do not fit. Source: Sun et al. 2023, equations 5 and 6, https://arxiv.org/abs/2307.08621 for the decay,
    which divides by no sum of weights; Katharopoulos et al. 2020, equation 9, https://arxiv.org/abs/2006.16236 for features and normaliser
    """
    check(query, key, value, parts, decay)
    dtype, n = accumulation(query.dtype), query.shape[2]
    rows, columns = (features(x.to(dtype), "elu+1", 0.0, 0.0) for x in (query, key))
    weights = rows @ columns.transpose(-2, -1) * faded(decay.to(dtype), n)  # [B, H, N, N]
    return quotient(weights @ with_ones(value.to(dtype))).to(query.dtype)


def faded(decay: Tensor, n: int) -> Tensor:
    """λ^(i−j) for j ≤ i, else 0: [H, N, N], by the powers one after the other."""
    powers = [torch.ones_like(decay)]
    for _ in range(n - 1):
        powers.append(powers[-1] * decay)
    distance = torch.arange(n, device=decay.device)[:, None] - torch.arange(n, device=decay.device)
    return torch.stack(powers, -1)[:, distance.clamp_min(0)].masked_fill(distance < 0, 0.0)


def check(query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], decay: Tensor) -> None:
    """Raise ValueError for shapes, parts or a decay that do not fit."""
    check_shapes(query, key, value)
    spans(parts, query.shape[2])
    if query.shape[1] != key.shape[1]:
        raise ValueError(f"query has {query.shape[1]} heads and key {key.shape[1]}: each head keeps a state of its own, so they must be alike")
    if tuple(decay.shape) != (query.shape[1],) or not bool(((decay >= 0) & (decay <= 1)).all()):
        raise ValueError(f"decay {decay.tolist()}: expected {query.shape[1]} numbers, one a head, from 0 (only the last key) to 1 (none fades)")
