"""Attention rollout by its definition: the product of the layers' maps, the last one leftmost."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impl.masked import accumulation


def rollout(weights: Tensor, residual: bool = True, rows: Sequence[int] | None = None) -> Tensor:
    """A_L ⋯ A_2 A_1, where each map is (A + I) / 2 if the `residual` stream counts: weights [..., L, N, N], the first layer first → [..., N, N].

    Entry (i, j) is how much of input j is in output i, as far as mixing by weights goes. `rows` keeps these rows alone. Heads are averaged before:
    weights.mean(-3). float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError without layers, or for maps that are not square. Source:
    Abnar and Zuidema 2020, section 3, https://arxiv.org/abs/2005.00928
    """
    check(weights)
    total, *later = mixing(weights.to(accumulation(weights.dtype)), residual).unbind(-3)
    for layer in later:
        total = layer @ total
    return (total.clone() if rows is None else total[..., list(rows), :]).to(weights.dtype)


def mixing(weights: Tensor, residual: bool) -> Tensor:
    """What a layer does to positions: its map, or the mean of that and of what passes by."""
    return (weights + torch.eye(weights.shape[-1], dtype=weights.dtype, device=weights.device)) / 2 if residual else weights


def check(weights: Tensor) -> None:
    """Raise ValueError unless there are layers of square maps."""
    if weights.dim() < 3 or weights.shape[-1] != weights.shape[-2] or not weights.shape[-3]:
        raise ValueError(f"weights of shape {tuple(weights.shape)}; expected [..., L, N, N] with at least one layer")
