"""Softmax-one by its definition: softmax with one more term in the denominator, so that a row may attend to nothing."""

from __future__ import annotations

import math

import torch
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
    sinks: Tensor | None = None,
) -> Tensor:
    """Σ_j exp(s_ij) v_j / (exp(z_h) + Σ_j exp(s_ij)) with s = scale · Q Kᵀ + mask and the sink logit z_h of the head, 0 unless given.

    Shapes: query [..., H, N, D], key [..., H, M, D], value [..., H, M, E], sinks [H] → [..., H, N, E]. z = 0 is softmax-one, Σ exp / (1 + Σ exp); z = −∞
    is softmax. A sink is a key that every row sees and whose value is zero; a row that sees nothing else is zero. `attn_mask` broadcasts to [..., N, M]:
    boolean (True = may attend) or added to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. float16 and bfloat16 are
    computed in float32 and rounded once. Sources: Miller 2023, https://www.evanmiller.org/attention-is-off-by-one.html; one learned logit a head:
    OpenAI 2025, gpt-oss model card, https://arxiv.org/abs/2508.10925
    """
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    scores, seen = scored(q, k, attn_mask, is_causal, scale)  # [..., H, N, M]
    sink = column(sinks, scores)
    weights = softmax(torch.cat((scores, sink), -1), torch.cat((seen, sink > -math.inf), -1))[..., :-1]  # the sink's own weight meets a value of zero
    return (weights @ v).to(query.dtype)


def column(sinks: Tensor | None, rows: Tensor) -> Tensor:
    """The sink's logit of every row, [..., H, N, 1], in the dtype of `rows` [..., H, N, any]."""
    logits = rows.new_zeros(()) if sinks is None else sinks.to(rows.dtype)[:, None, None]
    return logits.expand(*rows.shape[:-1], 1)
