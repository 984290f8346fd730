"""Sigmoid attention by its definition: each weight is the logistic function of its own score, and no row is normalised."""

from __future__ import annotations

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
    bias: float = 0.0,
) -> Tensor:
    """Σ_j σ(scale · q_i·k_j + mask_ij + bias) v_j over the keys that a row sees; a row that sees none is zero.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or
    added to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. The weights of a row sum to anything in (0, M); the source
    takes bias = −log M, which keeps that sum near 1 where scores are near 0. float16 and bfloat16 are computed in float32 and rounded once.
    Source: Ramapuram et al. 2024, https://arxiv.org/abs/2409.04431
    """
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    scores, seen = scored(q, k, attn_mask, is_causal, scale)  # [..., N, M]
    weights = torch.sigmoid(scores + bias).masked_fill(~seen, 0.0)
    return (weights @ v).to(query.dtype)
