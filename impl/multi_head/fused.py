"""Multi-head attention with fused projections: one product for all heads, heads as a batch axis."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation
from impl.multi_head.reference import check_heads
from impl.scaled_dot_product.blockwise import attention as all_heads


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    value_weight: Tensor,
    out_weight: Tensor,
    num_heads: int,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    """The same function as `impl.multi_head.reference.attention`; scores exist only in tiles."""
    check_heads(num_heads, query_weight, key_weight, value_weight, out_weight)
    x_q, x_k, x_v, w_q, w_k, w_v, w_o = (x.to(accumulation(query.dtype)) for x in (query, key, value, query_weight, key_weight, value_weight, out_weight))
    q, k, v = (split(x @ w, num_heads) for x, w in ((x_q, w_q), (x_k, w_k), (x_v, w_v)))
    mask = attn_mask.unsqueeze(-3) if attn_mask is not None and attn_mask.dim() == 3 else attn_mask
    heads = all_heads(q, k, v, mask, is_causal=is_causal)  # [B, H, N, E]
    return (heads.transpose(-3, -2).flatten(-2) @ w_o).to(query.dtype)


def split(projected: Tensor, num_heads: int) -> Tensor:
    """[B, N, H·D] → [B, H, N, D]."""
    heads: Tensor = projected.unflatten(-1, (num_heads, -1))
    return heads.transpose(-3, -2)
