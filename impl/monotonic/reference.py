"""Monotonic attention by its definition: the expected alignment of a scan that stops at position j with probability p_j, and goes on from there."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation, biased, visible


def attention(energy: Tensor, value: Tensor, attn_mask: Tensor | None = None, previous: Tensor | None = None) -> Tensor:
    """Σ_j α_ij v_j with p = sigmoid(energy), q_ij = (1 − p_{i,j−1}) q_{i,j−1} + α_{i−1,j} and α_ij = p_ij q_ij.

    Shapes: energy [..., N, M], finite; value [..., M, E]; previous [..., M], the weights of the step before the first row: by default 1 on the first
    position → [..., N, E]. `attn_mask` broadcasts to [..., N, M]: boolean (False: the scan passes here and cannot stop, p = 0) or added to the energies. What
    runs off the end stays there, so that a row's weights sum to 1 or less. float16 and bfloat16 are computed in float32 and rounded once.
    Source: Raffel et al. 2017, section 2.3, https://arxiv.org/abs/1704.00784
    """
    dtype = accumulation(energy.dtype)
    return (alignment(energy.to(dtype), attn_mask, previous) @ value.to(dtype)).to(energy.dtype)


def alignment(energy: Tensor, attn_mask: Tensor | None = None, previous: Tensor | None = None) -> Tensor:
    """The weights α [..., N, M], row by row."""
    stop, go = chances(energy, attn_mask)
    rows, row = [], begun(stop, previous)
    for i in range(stop.shape[-2]):
        row = advanced(row, stop[..., i, :], go[..., i, :])
        rows.append(row)
    return torch.stack(rows, dim=-2) if rows else stop


def chances(energy: Tensor, attn_mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """p and 1 − p, both [..., N, M] and each with a small relative error: 1 − p is sigmoid(−energy)."""
    scores = biased(energy, attn_mask)
    scores = scores.masked_fill(~visible(scores, attn_mask, False), -math.inf)
    return scores.sigmoid(), (-scores).sigmoid()


def begun(stop: Tensor, previous: Tensor | None) -> Tensor:
    """Where the first row's scan begins [..., M]. Raises ValueError for weights of another number of positions."""
    positions = stop.shape[-1]
    if previous is None:
        return (torch.arange(positions, device=stop.device) == 0).to(stop.dtype).expand(*stop.shape[:-2], positions)
    if previous.shape[-1] != positions:
        raise ValueError(f"previous has {previous.shape[-1]} positions, energy has {positions}")
    return previous.to(stop.dtype)


def advanced(previous: Tensor, stop: Tensor, go: Tensor) -> Tensor:
    """One row of α from the row before, all [..., M], in one pass over the positions."""
    weights, passed = [], torch.zeros_like(stop[..., :1])
    for begins, p, c in zip(*(x.split(1, dim=-1) for x in (previous, stop, go)), strict=True):
        here = passed + begins  # q: what comes to this position
        weights.append(p * here)
        passed = c * here
    return torch.cat(weights, dim=-1)
