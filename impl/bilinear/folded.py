"""Bilinear attention with weight and biases folded into the queries: the keys are read once, as in dot-product attention."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weight: Tensor,
    query_bias: Tensor | None = None,
    key_bias: Tensor | None = None,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    """As the reference: scores (Wᵀ q + b_k)ᵀ k. b_qᵀ q is the same for all keys of a row, and the softmax does not see it."""
    dtype = accumulation(query.dtype)
    q = query.to(dtype) @ weight.to(dtype)  # [..., N, Dk]
    if key_bias is not None:
        q = q + key_bias.to(dtype)
    scores = biased(q @ key.to(dtype).mT, attn_mask)  # [..., N, M]
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)
