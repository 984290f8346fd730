"""Attention with learned absolute positions by its definition: a row of a table is added to each query and key."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation
from impl.scaled_dot_product.reference import attention as dot_product


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    table: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
) -> Tensor:
    """Scaled dot-product attention of q_i + t_(start + i) and k_j + t_(start + j); the values carry no position.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E], table t [L, D] → [..., N, E]; masks and scale as there. float16 and bfloat16 are computed in
    float32 and rounded once. Raises ValueError where a position is not in the table. Source: Gehring et al. 2017, section 3.1, https://arxiv.org/abs/1705.03122
    """
    if start < 0 or start + max(query.shape[-2], key.shape[-2]) > table.shape[0]:
        raise ValueError(f"positions {start} to {start + max(query.shape[-2], key.shape[-2]) - 1}, but the table has rows 0 to {table.shape[0] - 1}")
    return positioned(query, key, value, table, attn_mask, is_causal, scale, start)


def positioned(query: Tensor, key: Tensor, value: Tensor, table: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None, start: int) -> Tensor:
    """Attention with rows start, start + 1, … of an encoding [L, D] added to queries and keys, in at least float32."""
    wide = accumulation(query.dtype)
    rows = table.to(wide)  # once: its gradient is then rounded once
    q, k = (x.to(wide) + rows[start : start + x.shape[-2]] for x in (query, key))
    return dot_product(q, k, value.to(wide), attn_mask=attn_mask, is_causal=is_causal, scale=scale).to(query.dtype)
