"""Adaptive span by its definition: each head weighs its keys by a soft mask on their distance, whose reach is learned."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.scored import scored


def attention(query: Tensor, key: Tensor, value: Tensor, span: Tensor, ramp: float = 32.0, scale: float | None = None) -> Tensor:
    """w_ij ∝ m_z(i − j) exp(s_ij) over keys j ≤ i, with m_z(x) = min(max((R + z − x) / R, 0), 1) and s = scale · Q Kᵀ.

    Shapes: query [..., H, N, D], key [..., H, M, D], value [..., H, M, E], span z [H], or [] for all heads alike → [..., H, N, E]. `ramp` R > 0 is the
    length over which the mask falls; keys at a distance of R + z and more have no weight at all, whatever their scores. The gradient with respect to z is
    that of the keys on the ramp. A row with no key in reach is zero. `scale` is 1/√D by default. float16 and bfloat16 are computed in float32 and rounded
    once. Raises ValueError for other spans and ramps. Source: Sukhbaatar et al. 2019, equations 4 and 5, https://arxiv.org/abs/1905.07799 (whose window
    ends before the row's own key; here distances start from 0).
    """
    checked(span, ramp, query)
    dtype = accumulation(query.dtype)
    q, k, v, z = (x.to(dtype) for x in (query, key, value, span))
    distance = torch.arange(q.shape[-2], dtype=dtype).unsqueeze(-1) - torch.arange(k.shape[-2], dtype=dtype)  # [N, M]
    mask = reach(distance, z[..., None, None], ramp)  # [H, N, M]
    scores, seen = scored(q, k, None, True, scale)
    return (renormalised(scores, mask, seen) @ v).to(query.dtype)


def reach(distance: Tensor, span: Tensor, ramp: float) -> Tensor:
    """m_z(x), from 1 within the span to 0 beyond the ramp."""
    return ((span + ramp - distance) / ramp).clamp(0, 1)


def renormalised(scores: Tensor, mask: Tensor, seen: Tensor) -> Tensor:
    """Weights [..., N, M] ∝ mask · exp(scores). The softmax is over keys in reach alone: a high score beyond would leave nothing of theirs to renormalise."""
    weights = softmax(scores, seen & (mask > 0)) * mask
    mass = weights.sum(-1, keepdim=True)
    return weights / mass.masked_fill(mass == 0, 1.0)


def checked(span: Tensor, ramp: float, query: Tensor) -> None:
    """Raise ValueError for spans of another shape than one a head, or a ramp that does not fall."""
    if span.dim() and tuple(span.shape) != tuple(query.shape[-3:-2]):
        raise ValueError(f"span has shape {tuple(span.shape)} for a query of {tuple(query.shape)}: expected one a head, {tuple(query.shape[-3:-2])}, or []")
    if not ramp > 0:
        raise ValueError(f"ramp = {ramp}: expected a length above 0")
