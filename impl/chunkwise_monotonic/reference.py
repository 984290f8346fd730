"""Monotonic chunkwise attention (MoChA) by its definition: a softmax over the `width` positions up to where the monotonic scan stops."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax, visible
from impl.monotonic.reference import alignment


def attention(energy: Tensor, chunk_energy: Tensor, value: Tensor, width: int, attn_mask: Tensor | None = None, previous: Tensor | None = None) -> Tensor:
    """Σ_j β_ij v_j with β_ij = Σ_{k=j}^{j+w−1} α_ik e^{u_ij} / Σ_{l=k−w+1}^{k} e^{u_il}: u the chunk energies, α monotonic attention's weights.

    Shapes: energy and chunk_energy [..., N, M], value [..., M, E], previous [..., M] (the α before the first row) → [..., N, E]. A chunk is cut off at the
    first position. `attn_mask`, boolean, broadcasts to [..., N, M]: where it is False the scan cannot stop, and no chunk has this position. Raises ValueError
    for a width below 1 or a mask that is not boolean. Half precisions are computed in float32 and rounded once.
    Source: Chiu and Raffel 2018, https://arxiv.org/abs/1712.05382
    """
    checked(width, attn_mask)
    dtype = accumulation(energy.dtype)
    stops = alignment(energy.to(dtype), attn_mask, previous)  # [..., N, M]
    scores = chunk_energy.to(dtype)
    members = chunks(scores.shape[-1], width, scores.device) & visible(scores, attn_mask, False).unsqueeze(-2)  # [..., N, M, M]: is j in the chunk of k
    shares = softmax(scores.unsqueeze(-2).expand(members.shape), members)
    weights = (stops.unsqueeze(-2) @ shares).squeeze(-2)  # β [..., N, M]
    return (weights @ value.to(dtype)).to(energy.dtype)


def checked(width: int, attn_mask: Tensor | None) -> None:
    """Raises ValueError for a width below 1 or a mask that is not boolean."""
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    if attn_mask is not None and attn_mask.dtype != torch.bool:
        raise ValueError(f"attn_mask must be boolean, got {attn_mask.dtype}")


def chunks(positions: int, width: int, device: torch.device) -> Tensor:
    """Whether position j belongs to the chunk that ends at k: bool [M, M], k − w < j ≤ k."""
    every = torch.ones(positions, positions, dtype=torch.bool, device=device)
    return every.tril().triu(1 - width)
