"""1.5-entmax attention by the Triton kernels of this folder: no more scores than a tile's exist, forward or backward."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from impl.in_triton import Operators
from impl.scaled_dot_product.flash import four

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load() -> Any:
    from impl.entmax import launch

    return launch


operators = Operators(load)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    tile: tuple[int, int, int, int] | None = None,
) -> Tensor:
    """As the reference. Memory O((N + M) (D + E)); `tile` overrides the table with (rows, columns, warps, stages).

    Scores and thresholds are in the accumulator's dtype; weights and the gradients of scores meet other tensors in the inputs' dtype. Every tensor has a
    gradient, an additive mask too (which takes N · M numbers). Raises ValueError for shapes or dtypes that do not fit, RuntimeError where triton is missing.
    """
    check(query, key, value)
    lead = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    mask = None
    if attn_mask is not None:
        mask = four(attn_mask.expand(*lead, query.shape[-2], key.shape[-2]))
        mask = mask.view(torch.uint8) if mask.dtype == torch.bool else mask
    q, k, v = (four(x.expand(*lead, *x.shape[-2:])) for x in (query, key, value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    output: Tensor = operators().entmax_attention(q, k, v, mask, factor, is_causal, list(tile or ()))[0]
    return output.reshape(*lead, *output.shape[-2:])


def check(query: Tensor, key: Tensor, value: Tensor) -> None:
    """Raise ValueError, quoting them, for shapes or dtypes that do not fit."""
    if not query.dtype == key.dtype == value.dtype or query.dtype not in DTYPES:
        raise ValueError(f"query, key and value need one floating dtype: {query.dtype}, {key.dtype}, {value.dtype}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"query and key need one width: {tuple(query.shape)} and {tuple(key.shape)}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"as many keys as values are needed: {tuple(key.shape)} and {tuple(value.shape)}")
    if max(query.shape[-1], value.shape[-1]) > 256:
        raise ValueError(f"head widths go to 256: query {query.shape[-1]}, value {value.shape[-1]}")
