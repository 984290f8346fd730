"""Causal linear attention in chunks: quadratic within a chunk, by the state for all keys before it; K and V are read once."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.kernelised import quotient, shown, with_ones
from impl.linear_attention import two_products
from impl.linear_attention.feature_maps import features
from impl.masked import accumulation

CHUNK = 64


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    feature_map: str = "elu+1",
    is_causal: bool = False,
    attn_mask: Tensor | None = None,
    *,
    epsilon: float = 1e-3,
    c: float = 1.0,
    chunk: int = CHUNK,
    parts: tuple[int, ...] = (),
) -> Tensor:
    """As the reference. Causal: N · (4 F (E + 1) + 2 chunk (F + E + 1)) operations a head at most, chunk² scores at once; else two products.

    With `parts`, lengths that sum to N, a causal sequence comes in so many pieces, and each starts from the state that the one before leaves.
    """
    if not is_causal:
        return two_products.attention(query, key, value, feature_map, False, attn_mask, epsilon=epsilon, c=c)
    dtype = accumulation(query.dtype)
    rows, columns = (features(x.to(dtype), feature_map, epsilon, c) for x in (query, key))  # [..., N, F], [..., M, F]
    columns, value = shown(columns, attn_mask), with_ones(value.to(dtype))  # [..., M, E + 1]
    state = value.new_zeros(*key.shape[:-2], columns.shape[-1], value.shape[-1])
    outputs, start = [], 0
    for length in parts or (query.shape[-2],):
        here = slice(start, start + length)
        output, state = forward(rows[..., here, :], columns[..., here, :], value[..., here, :], state, chunk)
        outputs.append(output)
        start += length
    return torch.cat(outputs, dim=-2).to(query.dtype)


def forward(rows: Tensor, columns: Tensor, value: Tensor, state: Tensor, chunk: int) -> tuple[Tensor, Tensor]:
    """The outputs [..., N, E] of one piece, and the state [..., F, E + 1] after it: Σ φ(k_j) (v_j, 1)ᵀ over all keys so far."""
    outputs = []
    for start, row in zip(range(0, rows.shape[-2] or 1, chunk), rows.split(chunk, dim=-2), strict=True):
        column, v = columns[..., start : start + chunk, :], value[..., start : start + chunk, :]  # of the last keys: fewer, or none
        within = (row @ column.transpose(-2, -1)).tril()  # [..., C, C]
        outputs.append(quotient(within @ v + row @ state))
        state = state + column.transpose(-2, -1) @ v
    return torch.cat(outputs, dim=-2), state
