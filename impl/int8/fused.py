"""Quantised attention by Triton kernels: queries and keys become int8 numbers and a step a row, and scores are products of these on integer tensor cores.
Forward only."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from impl.in_triton import Operators
from impl.int8.reference import Bits, levels_of
from impl.scaled_dot_product.flash import chosen, four

WIDEST = 256


def load() -> Any:
    from impl.int8 import launch

    return launch


operators = Operators(load)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    bits: Bits = 8,
    *,
    tile: tuple[int, int, int, int] | str | None = None,
) -> Tensor:
    """As the reference, without a gradient; weights meet the values in the inputs' dtype. `tile` = (rows, columns, warps, stages), or a target whose entry of
    `impl.int8.launch.TABLE` is to be taken. Raises ValueError as the reference does, and for dtypes that differ, for shapes that do not fit and for widths
    beyond 256; RuntimeError where triton is missing, and on a backward pass."""
    levels = levels_of(bits, query).reshape(-1).to(torch.int32)
    check(query, key, value)
    lead = torch.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
    q, k, v = (four(x.expand(*lead, *x.shape[-2:])) for x in (query, key, value))
    bias = None
    if attn_mask is not None:
        bias = four(attn_mask.expand(*lead, query.shape[-2], key.shape[-2]))
        bias = bias.view(torch.uint8) if bias.dtype == torch.bool else bias
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    output: Tensor = operators().int8_attention(q, k, v, bias, levels, factor, is_causal, *chosen(tile))
    return output.reshape(*lead, query.shape[-2], value.shape[-1])


def check(query: Tensor, key: Tensor, value: Tensor) -> None:
    """Raise ValueError, quoting them, for tensors that do not go together."""
    if not query.dtype == key.dtype == value.dtype or query.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise ValueError(f"query, key and value need one floating dtype: {query.dtype}, {key.dtype}, {value.dtype}")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
        raise ValueError(f"queries and keys need one width, keys and values one length: {shapes}")
    if max(query.shape[-1], value.shape[-1]) > WIDEST:
        raise ValueError(f"widths go to {WIDEST}: query {query.shape[-1]}, value {value.shape[-1]}")
