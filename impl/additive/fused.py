"""Additive attention by the Triton kernels of this folder: neither the hidden units nor the scores of more than a tile exist, forward or backward."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impl.in_triton import Operators
from impl.masked import accumulation
from impl.scaled_dot_product.flash import four

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def load() -> Any:
    from impl.additive import launch

    return launch


operators = Operators(load)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    energy_weight: Tensor,
    bias: Tensor | None = None,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    *,
    tile: tuple[int, int, int, int] | None = None,
) -> Tensor:
    """As the reference. Memory O((N + M) (A + E)); `tile` overrides the table with (rows, columns, warps, stages).

    Projections are torch's, in the accumulator's dtype; weights meet values in the inputs' dtype, with sums in the accumulator's. Every tensor has a
    gradient, an additive mask too (which takes N · M numbers). Raises ValueError for shapes or dtypes that do not fit, RuntimeError where triton is missing.
    """
    check(query, key, value, query_weight, key_weight, energy_weight, bias)
    dtype = accumulation(query.dtype)
    rows, columns = (weight.to(dtype).mT @ x.to(dtype).mT for x, weight in ((query, query_weight), (key, key_weight)))  # [..., A, N]: positions side by side
    if bias is not None:
        rows = rows + bias.to(dtype).unsqueeze(-1)
    lead = torch.broadcast_shapes(query.shape[:-2], key.shape[:-2], value.shape[:-2])
    mask = None
    if attn_mask is not None:
        mask = four(attn_mask.expand(*lead, query.shape[-2], key.shape[-2]))
        mask = mask.view(torch.uint8) if mask.dtype == torch.bool else mask
    r, c, v = (four(x.expand(*lead, *x.shape[-2:])) for x in (rows.mT, columns.mT, value))
    output: Tensor = operators().additive_attention(r, c, energy_weight.to(dtype), v, mask, is_causal, list(tile or ()))[0]
    return output.reshape(*lead, *output.shape[-2:])


def check(query: Tensor, key: Tensor, value: Tensor, query_weight: Tensor, key_weight: Tensor, energy_weight: Tensor, bias: Tensor | None) -> None:
    """Raise ValueError, quoting them, for shapes or dtypes that do not fit."""
    if not query.dtype == key.dtype == value.dtype or query.dtype not in DTYPES:
        raise ValueError(f"query, key and value need one floating dtype: {query.dtype}, {key.dtype}, {value.dtype}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"as many keys as values are needed: {tuple(key.shape)} and {tuple(value.shape)}")
    if value.shape[-1] > 256:
        raise ValueError(f"value widths go to 256: {value.shape[-1]}")
    units = energy_weight.shape[-1:]
    fits = query_weight.shape == (query.shape[-1], *units) and key_weight.shape == (key.shape[-1], *units)
    if energy_weight.dim() != 1 or not fits or (bias is not None and bias.shape != units):
        weights = [None if x is None else tuple(x.shape) for x in (query_weight, key_weight, energy_weight, bias)]
        raise ValueError(f"weights [Dq, A], [Dk, A], [A] and a bias [A] are needed for widths {query.shape[-1]} and {key.shape[-1]}: {weights}")
