"""Spatial attention by its definition: one softmax over all places of an image."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax


def attention(features: Tensor, weight: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """Σ_ij α_ij v_ij with α = softmax over i and j together of w·x_ij.

    Shapes: features x [B, C, H, W], weight w [C] (a 1 × 1 convolution; a bias would change nothing), value v [B, E, H, W] → [B, E]. `attn_mask`, boolean,
    broadcasts to [B, H, W]: True for a place that may be attended; an image of which none may is zero. float16 and bfloat16 are computed in float32 and
    rounded once. Raises ValueError for maps of unequal sizes, and another mask. Source: Xu et al. 2015, section 4.2 (soft attention over the places of a
    feature map), with a linear score, https://arxiv.org/abs/1502.03044
    """
    check(features, value, attn_mask)
    dtype = accumulation(features.dtype)
    scores = torch.einsum("bchw,c->bhw", features.to(dtype), weight.to(dtype))
    seen = torch.ones_like(scores, dtype=torch.bool) if attn_mask is None else attn_mask.expand(scores.shape)
    alpha = softmax(scores.flatten(1), seen.flatten(1))  # [B, H·W]
    return (value.to(dtype).flatten(2) @ alpha.unsqueeze(-1)).squeeze(-1).to(features.dtype)


def check(features: Tensor, value: Tensor, attn_mask: Tensor | None) -> None:
    """Raise ValueError unless both maps have the same places, and the mask is boolean."""
    if features.shape[-2:] != value.shape[-2:]:
        raise ValueError(f"features of {tuple(features.shape[-2:])} places and values of {tuple(value.shape[-2:])}: expected the same height and width")
    if attn_mask is not None and attn_mask.dtype != torch.bool:
        raise ValueError(f"attn_mask is {attn_mask.dtype}: expected torch.bool, True for a place that may be attended")
