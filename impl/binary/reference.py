"""Binary attention by its definition: of each query and key only the signs of its features remain, and their mean size."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(scale · α_i β_j (σ(q_i) · σ(k_j)) + mask) V with σ(x) = 1 where x ≥ 0 and −1 elsewhere, α = mean|q_i| and β = mean|k_j| over the D features.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added
    to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. A row that sees no key is zero. α σ(x) is the multiple of a vector of signs
    that is nearest to x. float16 and bfloat16 are computed in float32 and rounded once. No gradient passes to query and key: signs have none.
    Source: Rastegari et al. 2016, sections 3.1 and 3.2, https://arxiv.org/abs/1603.05279
    """
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query.detach(), key.detach(), value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    agreement = signs(q) @ signs(k).mT  # [..., N, M], whole numbers
    scores = biased(agreement * (size(q) * size(k).mT) * factor, attn_mask)
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ v).to(query.dtype)


def signs(x: Tensor) -> Tensor:
    """±1, and 1 for 0: a bit has no third value."""
    return torch.where(x >= 0, 1.0, -1.0).to(x.dtype)


def size(x: Tensor) -> Tensor:
    """mean|x| over the features [..., N, 1]."""
    return x.abs().mean(-1, keepdim=True)
