"""Multi-head attention by its definition, one head at a time. Vaswani et al. 2017, section 3.2.2."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.scaled_dot_product.reference import attention as one_head


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
    """Concat(head_1, …, head_H) W^O with head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V).

    Shapes: query [B, N, C], key and value [B, M, C]; query_weight and key_weight [C, H·D], value_weight [C, H·E], whose column blocks are the
    W_i; out_weight [H·E, C] → [B, N, C]. `attn_mask` (boolean or added) broadcasts to [B, N, M] for every head alike.
    Half precisions are computed in float32 and rounded once. Raises ValueError if H does not divide the widths.
    """
    check_heads(num_heads, query_weight, key_weight, value_weight, out_weight)
    x_q, x_k, x_v, w_q, w_k, w_v, w_o = (x.to(accumulation(query.dtype)) for x in (query, key, value, query_weight, key_weight, value_weight, out_weight))
    blocks = zip(*(w.chunk(num_heads, dim=1) for w in (w_q, w_k, w_v)), strict=True)
    heads = [one_head(x_q @ a, x_k @ b, x_v @ c, attn_mask, is_causal=is_causal) for a, b, c in blocks]  # H times [B, N, E]
    return (torch.cat(heads, dim=-1) @ w_o).to(query.dtype)


def check_heads(num_heads: int, query_weight: Tensor, key_weight: Tensor, value_weight: Tensor, out_weight: Tensor) -> None:
    """Raise ValueError, quoting the widths, unless the heads divide them and they fit together."""
    widths = query_weight.shape[1], key_weight.shape[1], value_weight.shape[1], out_weight.shape[0]
    if num_heads < 1 or any(width % num_heads for width in widths) or widths[0] != widths[1] or widths[2] != widths[3]:
        raise ValueError(f"{num_heads} heads do not fit the projected widths {widths} of query, key, value and output")
