"""Patches of an image as tokens, and one layer of attention among them, by the definition."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.layers import check_heads, merged, split, weighed
from impl.masked import accumulation


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
    """MHA(x) with x = [class token, patches · E] + positions.

    Shapes: image [B, C, H, W], cut into N = (H/P)·(W/P) patches of P × P pixels, row by row; patch_weight E [C·P·P, D] takes a patch's numbers by channel,
    row and column; class_token [D], positions [1 + N, D], query_weight, key_weight and value_weight [D, D] (head h has the columns h·D/H …), out_weight
    [D, D] → [B, 1 + N, D], the class token's row first. Neither residual nor norm: one layer of attention alone. float16 and bfloat16 are computed in
    float32 and rounded once. Raises ValueError for patches that do not divide the image, another number of positions, and heads that do not divide D.
    Source: Dosovitskiy et al. 2021, section 3.1, equation 1, https://arxiv.org/abs/2010.11929
    """
    check(image, patch_weight, positions, num_heads, patch_size)
    dtype = accumulation(image.dtype)
    tokens = patches(image, patch_size).to(dtype) @ patch_weight.to(dtype)  # [B, N, D]
    x = torch.cat((class_token.to(dtype).expand(image.shape[0], 1, -1), tokens), dim=1) + positions.to(dtype)
    heads = weighed(*(split(x @ w.to(dtype), num_heads) for w in (query_weight, key_weight, value_weight)))
    return (merged(heads) @ out_weight.to(dtype)).to(image.dtype)


def patches(image: Tensor, size: int) -> Tensor:
    """[B, C, H, W] → [B, N, C·P·P]."""
    b, c, height, width = image.shape
    cut = image.reshape(b, c, height // size, size, width // size, size)
    return cut.permute(0, 2, 4, 1, 3, 5).reshape(b, (height // size) * (width // size), c * size * size)


def check(image: Tensor, patch_weight: Tensor, positions: Tensor, num_heads: int, size: int) -> None:
    """Raise ValueError unless the patches divide the image, each row has a position, a patch's numbers have weights and the heads divide the width."""
    _, c, height, width = image.shape
    if size < 1 or height % size or width % size:
        raise ValueError(f"patches of {size} × {size} do not divide an image of {height} × {width}")
    if positions.shape[0] != 1 + (height // size) * (width // size):
        raise ValueError(f"{positions.shape[0]} positions for a class token and {(height // size) * (width // size)} patches: expected one each")
    if patch_weight.shape[0] != c * size * size:
        raise ValueError(f"patch_weight takes {patch_weight.shape[0]} numbers: expected {c} · {size} · {size}")
    check_heads(num_heads, patch_weight.shape[1])
