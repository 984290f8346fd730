"""Sparsemax attention by its definition: the weights are the point of the simplex that is nearest to the scores, found by sorting them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.scored import scored


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Σ_j p_ij v_j with p_i = argmin over the simplex of ‖p − s_i‖², s = scale · Q Kᵀ + mask over the keys that row i sees; a row that sees none is zero.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or
    added to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. float16 and bfloat16 are computed in float32 and rounded once.
    Source: Martins and Astudillo 2016, Algorithm 1, https://arxiv.org/abs/1602.02068
    """
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    scores, seen = scored(q, k, attn_mask, is_causal, scale)  # [..., N, M]
    return (sparsemax(scores, seen) @ v).to(query.dtype)


def sparsemax(scores: Tensor, seen: Tensor) -> Tensor:
    """Weights max(s_j − τ, 0) [..., N, M], with τ such that they sum to 1 over the keys seen. Scores are first lowered by their maximum, which changes nothing.

    τ = (s_(1) + … + s_(k) − 1) / k, where the support k is the largest with 1 + k s_(k) > s_(1) + … + s_(k), the scores in falling order.
    """
    if not scores.shape[-1]:
        return scores
    scores = stabilised(scores, seen)
    ordered = scores.sort(dim=-1, descending=True).values
    sums = ordered.cumsum(-1)
    rank = torch.arange(1, scores.shape[-1] + 1, dtype=scores.dtype, device=scores.device)
    support = (1 + rank * ordered > sums).sum(-1, keepdim=True)  # [..., N, 1]
    threshold = (sums.gather(-1, support - 1) - 1) / support
    return (scores - threshold).clamp(min=0.0).masked_fill(~seen, 0.0)


def stabilised(scores: Tensor, seen: Tensor) -> Tensor:
    """The scores less the largest that is seen, −∞ where not seen, so that differences near the top are exact; all 0 in a row that sees nothing."""
    scores = scores.masked_fill(~seen, -math.inf).masked_fill(~seen.any(-1, keepdim=True), 0.0)
    return scores - scores.detach().amax(-1, keepdim=True)
