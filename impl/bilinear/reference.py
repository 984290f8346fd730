"""Bilinear attention by its definition: the score of a query and a key is qᵀ W k + b_qᵀ q + b_kᵀ k. Without biases it is Luong's general attention."""

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
    """softmax_j(q_iᵀ W k_j + b_qᵀ q_i + b_kᵀ k_j) summed with the values; a row that sees no key is zero.

    Shapes: query [..., N, Dq], key [..., M, Dk], value [..., M, E], weight [Dq, Dk], query_bias [Dq], key_bias [Dk] → [..., N, E]. `attn_mask` broadcasts to
    [..., N, M]: boolean (True = may attend) or added to the scores; `is_causal` lets row i see keys j ≤ i. float16 and bfloat16 are computed in float32 and
    rounded once. Source: Luong, Pham and Manning 2015, section 3.1, https://arxiv.org/abs/1508.04025
    """
    dtype = accumulation(query.dtype)
    q, k, v = (x.to(dtype) for x in (query, key, value))
    scores = q @ weight.to(dtype) @ k.mT  # [..., N, M]
    if query_bias is not None:
        scores = scores + (q @ query_bias.to(dtype)).unsqueeze(-1)
    if key_bias is not None:
        scores = scores + (k @ key_bias.to(dtype)).unsqueeze(-2)
    scores = biased(scores, attn_mask)
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ v).to(query.dtype)
