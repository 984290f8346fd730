"""Attention under torch's own checkpoint, segment by segment."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from impl.checkpointed.reference import attended, rows_of
from impl.masked import accumulation


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    segments: int = 1,
) -> Tensor:
    """As the reference, and as `recomputing`: torch stops the second forward pass at the last tensor that backward reads."""
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    parts = [checkpoint(attended, q, k, v, attn_mask, is_causal, scale, rows, use_reentrant=False) for rows in rows_of(query, segments)]
    return torch.cat(parts, dim=-2).to(query.dtype)
