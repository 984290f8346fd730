"""Pruned attention that reads only the values of the keys it keeps: the k best of each row, gathered."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.pruned.reference import check
from impl.scored import scored


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    threshold: float = 0.0,
    top_k: int | None = None,
    head_mask: Tensor | None = None,
) -> Tensor:
    """As the reference, but for keys level with the k-th, of which it keeps as many as make k. With values it computes 2 · N · k · E operations, and not
    2 · N · M · E; all scores are computed, and heads that are switched off cost nothing."""
    check(threshold, top_k)
    if head_mask is not None:
        return switched(query, key, value, attn_mask, is_causal, scale, threshold, top_k, head_mask)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    scores, seen = scored(q, k, attn_mask, is_causal, scale)  # [..., N, M]
    best = scores.masked_fill(~seen, -math.inf).topk(min(top_k or k.shape[-2], k.shape[-2]), dim=-1)  # [..., N, K], in falling order
    kept = (best.values > -math.inf) & (best.values >= best.values[..., :1] + (math.log(threshold) if threshold else -math.inf))
    weights = softmax(best.values, kept)
    index = best.indices.unsqueeze(-1).expand(*best.indices.shape, v.shape[-1])  # [..., N, K, E]
    chosen = v.unsqueeze(-3).expand(*scores.shape, v.shape[-1]).gather(-2, index)
    return (weights.unsqueeze(-2) @ chosen).squeeze(-2).to(query.dtype)


def switched(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None, threshold: float, top_k: int | None,
    heads: Tensor,
) -> Tensor:  # fmt: skip
    """The heads that are on [..., H', N, E] among zeros."""
    on = heads.nonzero().squeeze(-1)
    mask = attn_mask.index_select(-3, on) if attn_mask is not None and attn_mask.dim() > 2 and attn_mask.shape[-3] > 1 else attn_mask
    q, k, v = (x.index_select(-3, on) for x in (query, key, value))
    output = attention(q, k, v, mask, is_causal, scale, threshold, top_k)
    return torch.zeros(*query.shape[:-1], value.shape[-1], dtype=output.dtype, device=output.device).index_copy(-3, on, output)
