"""Channel attention by its definition: one softmax over the channels of a feature map."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation


def attention(features: Tensor, weight: Tensor, value: Tensor) -> Tensor:
    """β_c v_c with β = softmax over c of Σ_ij w_ij x_cij.

    Shapes: features x [B, C, H, W], weight w [H, W] (1/(H·W) everywhere is mean pooling), value v [B, C, H', W'] → [B, C, H', W']: every map is weighed by
    its channel's share. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for unequal numbers of channels. Source: Chen et al.
    2017 (SCA-CNN), section 3.3, with a score that is linear in a channel's own map, https://arxiv.org/abs/1611.05594
    """
    if features.shape[1] != value.shape[1]:
        raise ValueError(f"features of {features.shape[1]} channels and values of {value.shape[1]}: expected as many")
    dtype = accumulation(features.dtype)
    scores = torch.einsum("bchw,hw->bc", features.to(dtype), weight.to(dtype))
    return (scores.softmax(-1)[..., None, None] * value.to(dtype)).to(features.dtype)
