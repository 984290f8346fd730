"""Additive attention that never holds the [N, M, A] tensor: scores in tiles of keys, whose hidden layer backward computes again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from impl.masked import accumulation, biased, softmax, visible

KEYS = 16  # a tile: N · KEYS · A numbers live at once, beside N · M scores


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
    keys: int = KEYS,
) -> Tensor:
    """As the reference; `keys` is the tile's length. Memory N · (M + keys · A) + (N + M) · A numbers, forward and backward."""
    dtype = accumulation(query.dtype)
    q, k, v, w_q, w_k, energy = (x.to(dtype) for x in (query, key, value, query_weight, key_weight, energy_weight))
    rows = q @ w_q if bias is None else q @ w_q + bias.to(dtype)  # [..., N, A]
    columns = (k @ w_k).split(keys, dim=-2)  # of [..., T, A]
    scores = biased(torch.cat([checkpoint(energies, rows, part, energy, use_reentrant=False) for part in columns], dim=-1), attn_mask)
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ v).to(query.dtype)


def energies(rows: Tensor, columns: Tensor, energy: Tensor) -> Tensor:
    """Scores [..., N, T] of projected queries [..., N, A] and keys [..., T, A]."""
    return (rows.unsqueeze(-2) + columns.unsqueeze(-3)).tanh() @ energy
