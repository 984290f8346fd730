"""Pruned attention by its definition: softmax weights, of which the small ones are dropped and the others normalised again; and heads that are switched off."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation, softmax
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
    """Σ_S p_j v_j / Σ_S p_j, with p = softmax(scale · q kᵀ + mask) and S the keys with p_j ≥ threshold · max p, or those of them among the `top_k` largest.

    Shapes: query [..., H, N, D], key [..., H, M, D], value [..., H, M, E] → [..., H, N, E]. `attn_mask` broadcasts to [..., H, N, M]: boolean (True = may
    attend) or added to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. `threshold` is from 0 to 1: each row keeps its best key.
    Keys level with the k-th are kept too. `head_mask` [H], boolean: a head with False is zero. A row that sees no key is zero. Which keys are kept has no
    gradient. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for a threshold outside [0, 1], or top_k below 1.
    Source: Wang, Zhang and Han 2021 (SpAtten), sections III.A to III.C, https://arxiv.org/abs/2012.09852; heads: Michel et al. 2019, https://arxiv.org/abs/1905.10650
    """
    check(threshold, top_k)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    scores, seen = scored(q, k, attn_mask, is_causal, scale)  # [..., N, M]
    kept = largest(softmax(scores.detach(), seen), seen, threshold, top_k)
    output = softmax(scores, kept) @ v  # over S alone: p_j / Σ_S p
    return (output if head_mask is None else output.masked_fill(~head_mask[:, None, None], 0.0)).to(query.dtype)


def largest(weights: Tensor, seen: Tensor, threshold: float, top_k: int | None) -> Tensor:
    """Which keys of each row are kept: bool [..., N, M]."""
    if not weights.shape[-1]:
        return seen
    kept = seen & (weights >= threshold * weights.amax(-1, keepdim=True))
    if top_k is None or top_k >= weights.shape[-1]:
        return kept
    last: Tensor = weights.masked_fill(~seen, -1.0).topk(top_k, dim=-1).values[..., -1:]
    return kept & (weights >= last)


def check(threshold: float, top_k: int | None) -> None:
    """Raise ValueError unless they say which keys are kept."""
    if not 0 <= threshold <= 1:
        raise ValueError(f"threshold={threshold}; it is a share of a row's largest weight, from 0 to 1")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k}; each row keeps 1 key at least, or give None")
