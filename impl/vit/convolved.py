"""Patches as tokens by a convolution whose stride is its kernel's side: no copy of the image cut into patches, and one product for queries, keys and values."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from impl.layers import merged, split, weighed
from impl.masked import accumulation
from impl.vit.reference import check


def attention(
    image: Tensor,
    patch_weight: Tensor,
    class_token: Tensor,
    positions: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    value_weight: Tensor,
    out_weight: Tensor,
    num_heads: int,
    patch_size: int,
) -> Tensor:
    """As the reference."""
    check(image, patch_weight, positions, num_heads, patch_size)
    dtype = accumulation(image.dtype)
    kernel = patch_weight.to(dtype).T.unflatten(1, (image.shape[1], patch_size, patch_size))  # [D, C, P, P]
    tokens = conv2d(image.to(dtype), kernel, stride=patch_size).flatten(2).mT  # [B, N, D]
    x = torch.cat((class_token.to(dtype).expand(image.shape[0], 1, -1), tokens), dim=1) + positions.to(dtype)
    fused = torch.cat([w.to(dtype) for w in (query_weight, key_weight, value_weight)], dim=1)
    heads = weighed(*(split(part, num_heads) for part in (x @ fused).chunk(3, dim=-1)))
    return (merged(heads) @ out_weight.to(dtype)).to(image.dtype)
