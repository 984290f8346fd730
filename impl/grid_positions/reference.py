"""Attention with two-dimensional positions by its definition: half of the features tell the row of a patch, the other half its column."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.learned_positions.reference import positioned
from impl.sinusoidal.reference import encoding


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    columns: int,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    base: float = 10_000.0,
) -> Tensor:
    """Scaled dot-product attention of patches, numbered row by row on a grid, with sinusoidal encodings of row and column added to queries and keys.

    Shapes: query [..., N, D], key [..., M, D], D a multiple of 4, value [..., M, E] → [..., N, E]; patch i lies in row i // columns and column i % columns.
    Masks and scale as there. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for a width or a number of columns that
    does not fit.
    Source: Dosovitskiy et al. 2021, appendix D.4, https://arxiv.org/abs/2010.11929, with the encodings of Vaswani et al. 2017
    """
    if query.shape[-1] % 4 or columns < 1:
        raise ValueError(f"width {query.shape[-1]} must be a multiple of 4, and {columns} columns at least 1")
    length = max(query.shape[-2], key.shape[-2])
    rows, across = torch.arange(length) // columns, torch.arange(length) % columns
    half = encoding(max(length // columns + 1, columns), query.shape[-1] // 2, 0, base)
    return positioned(query, key, value, torch.cat([half[rows], half[across]], -1), attn_mask, is_causal, scale, 0)
