"""Packed sequences one at a time: no padding, and no scores between two sequences."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.packed.lengths import Lengths, spans
from impl.scored import scored


def attention(query: Tensor, key: Tensor, value: Tensor, lengths_q: Lengths, lengths_k: Lengths, is_causal: bool = False, scale: float | None = None) -> Tensor:
    """As the reference, in Σ n_b · m_b pairs; at once max n_b · m_b of them. NaN in one sequence stays in that sequence."""
    dtype = accumulation(query.dtype)
    outputs, end = [], 0
    for rows, columns in spans(lengths_q, lengths_k, query, key):
        q, k, v = (x.to(dtype) for x in (query[..., rows, :], key[..., columns, :], value[..., columns, :]))
        outputs.append(softmax(*scored(q, k, None, is_causal, scale)) @ v)  # [..., n, E], by [..., n, m]
        end = rows.stop
    padding = value.new_zeros(*query.shape[:-2], query.shape[-2] - end, value.shape[-1], dtype=dtype)
    return torch.cat((*outputs, padding), dim=-2).to(query.dtype)
