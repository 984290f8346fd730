"""Parallel co-attention by tiles of regions: the affinity of one tile with all tokens at a time, which backward computes again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from impl.co_attention.reference import check, present, summary
from impl.layers import check_boolean
from impl.masked import accumulation

REGIONS = 64  # a tile: REGIONS · M affinities live at once


def attention(
    vision: Tensor,
    text: Tensor,
    affinity_weight: Tensor,
    vision_weight: Tensor,
    text_weight: Tensor,
    vision_energy: Tensor,
    text_energy: Tensor,
    vision_mask: Tensor | None = None,
    text_mask: Tensor | None = None,
    *,
    regions: int = REGIONS,
) -> Tensor:
    """As the reference. Beside inputs and outputs, forward and backward hold O((N + M) · (A + D) + regions · M) numbers and no N × M tensor."""
    check(vision, text)
    check_boolean(vision_mask=vision_mask, text_mask=text_mask)
    dtype = accumulation(vision.dtype)
    v, t, w_b, w_v, w_t, e_v, e_t = (x.to(dtype) for x in (vision, text, affinity_weight, vision_weight, text_weight, vision_energy, text_energy))
    there_v, there_t = present(v, vision_mask), present(t, text_mask)
    v, t = v.masked_fill(~there_v[..., None], 0.0), t.masked_fill(~there_t[..., None], 0.0)
    of_v, of_t = v @ w_v, t @ w_t  # [..., N, A], [..., M, A]
    energies, into_t = [], of_t
    for left, part in zip((v @ w_b).split(regions, dim=-2), of_v.split(regions, dim=-2), strict=True):
        energy, given = checkpoint(one_tile, left, t, part, of_t, e_v, use_reentrant=False)
        energies.append(energy)
        into_t = into_t + given
    return torch.stack((summary(torch.cat(energies, dim=-1), v, there_v), summary(into_t.tanh() @ e_t, t, there_t)), dim=-2).to(vision.dtype)


def one_tile(left: Tensor, text: Tensor, of_v: Tensor, of_t: Tensor, energy: Tensor) -> tuple[Tensor, Tensor]:
    """Energies [..., R] of these regions, and what they add to every token's hidden layer [..., M, A]."""
    affinity = (left @ text.mT).tanh()  # [..., R, M]
    return (of_v + affinity @ of_t).tanh() @ energy, affinity.mT @ of_v
