"""Linformer attention the expensive way round: all N × M scores, mixed afterwards. By associativity the same, and what the projections save is seen."""

from __future__ import annotations

import math

from torch import Tensor

from impl.masked import accumulation


def attention(query: Tensor, key: Tensor, value: Tensor, key_projection: Tensor, value_projection: Tensor, scale: float | None = None) -> Tensor:
    """As the reference, by (Q Kᵀ) Eᵀ and (P F) V: N · M numbers."""
    dtype = accumulation(query.dtype)
    q, k, v, of_keys, of_values = (x.to(dtype) for x in (query, key, value, key_projection, value_projection))
    scores = (q @ k.mT) @ of_keys.mT * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)  # [..., N, K]
    return (scores.softmax(-1) @ of_values @ v).to(query.dtype)
