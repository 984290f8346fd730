"""1.5-entmax attention by its definition, the weights found by sorting the scores: between softmax (α = 1) and sparsemax (α = 2)."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.scored import scored
from impl.sparsemax.reference import stabilised


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Σ_j p_ij v_j with p_i = argmax over the simplex of p·s_i + (4/3) Σ_j (p_j − p_j^{3/2}), s = scale · Q Kᵀ + mask over the keys that row i sees;
    a row that sees none is zero.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or
    added to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. float16 and bfloat16 are computed in float32 and rounded once.
    Source: Peters, Niculae and Martins 2019, Algorithm 2, https://arxiv.org/abs/1905.05702
    """
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    scores, seen = scored(q, k, attn_mask, is_causal, scale)  # [..., N, M]
    return (entmax(scores, seen) @ v).to(query.dtype)


def entmax(scores: Tensor, seen: Tensor) -> Tensor:
    """Weights max(s_j / 2 − τ, 0)² [..., N, M], with τ such that they sum to 1 over the keys seen (α − 1 = 1/2 is the factor of s and the inverse exponent).

    Over the k largest x = s / 2, Σ (x − τ)² = 1 has the smaller root τ = mean − √((1 − Σ (x − mean)²) / k); the support k is the largest with τ below x_(k).
    """
    if not scores.shape[-1]:
        return scores
    halved = stabilised(scores, seen) / 2
    ordered = halved.sort(dim=-1, descending=True).values
    rank = torch.arange(1, scores.shape[-1] + 1, dtype=scores.dtype, device=scores.device)
    support = (candidates(ordered.detach(), rank) < ordered).sum(-1, keepdim=True)  # [..., N, 1]
    inside = rank <= support
    mean = ordered.masked_fill(~inside, 0.0).sum(-1, keepdim=True) / support
    spread = (ordered - mean).masked_fill(~inside, 0.0).square().sum(-1, keepdim=True)
    threshold = mean - ((1 - spread) / support).sqrt()  # the root's argument is at least 1 / k²
    return (halved - threshold).clamp(min=0.0).square().masked_fill(~seen, 0.0)


def candidates(ordered: Tensor, rank: Tensor) -> Tensor:
    """The threshold that each k would give, [..., N, M]; not a number from the first hidden key on."""
    mean = ordered.cumsum(-1) / rank
    spread = ordered.square().cumsum(-1) - rank * mean.square()
    return mean - ((1 - spread) / rank).clamp(min=0.0).sqrt()
