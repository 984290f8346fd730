"""Concat attention by its definition: the score of a query and a key is vᵀ tanh(W [q; k])."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor, energy_weight: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
) -> Tensor:
    """softmax_j(vᵀ tanh([q_i; k_j] W)) summed with the values; a row that sees no key is zero.

    Shapes: query [..., N, Dq], key [..., M, Dk], value [..., M, E], weight [Dq + Dk, A], energy_weight v [A] → [..., N, E]. `attn_mask` broadcasts to
    [..., N, M]: boolean (True = may attend) or added to the scores; `is_causal` lets row i see keys j ≤ i. float16 and bfloat16 are computed in float32 and
    rounded once. Source: Luong, Pham and Manning 2015, section 3.1, https://arxiv.org/abs/1508.04025
    """
    dtype = accumulation(query.dtype)
    n, m = query.shape[-2], key.shape[-2]
    rows, columns = (x.to(dtype).unsqueeze(axis) for x, axis in ((query, -2), (key, -3)))
    pairs = torch.cat([rows.expand(*rows.shape[:-2], m, -1), columns.expand(*columns.shape[:-3], n, -1, -1)], dim=-1)  # [..., N, M, Dq + Dk]
    scores = biased((pairs @ weight.to(dtype)).tanh() @ energy_weight.to(dtype), attn_mask)  # [..., N, M]
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)
