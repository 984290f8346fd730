"""Additive attention by its definition: the score of a query and a key is vᵀ tanh(W_q q + W_k k + b)."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


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
) -> Tensor:
    """softmax_j(vᵀ tanh(W_q q_i + W_k k_j + b)) summed with the values; a row that sees no key is zero.

    Shapes: query [..., N, Dq], key [..., M, Dk], value [..., M, E], query_weight [Dq, A], key_weight [Dk, A], energy_weight v [A], bias b [A] → [..., N, E].
    `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added to the scores; `is_causal` lets row i see keys j ≤ i. float16 and bfloat16
    are computed in float32 and rounded once. Source: Bahdanau, Cho and Bengio 2015, appendix A.1.2, https://arxiv.org/abs/1409.0473
    """
    dtype = accumulation(query.dtype)
    q, k, v, w_q, w_k, energy = (x.to(dtype) for x in (query, key, value, query_weight, key_weight, energy_weight))
    hidden = (q @ w_q).unsqueeze(-2) + (k @ w_k).unsqueeze(-3)  # [..., N, M, A]
    if bias is not None:
        hidden = hidden + bias.to(dtype)
    scores = biased(hidden.tanh() @ energy, attn_mask)  # [..., N, M]
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ v).to(query.dtype)
