"""Hybrid attention by its definition: a weighted sum of a content score and a location score."""

from __future__ import annotations

import math

from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    location: Tensor,
    content_weight: Tensor,
    location_weight: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax_j(w_c · scale · q_i·k_j + w_l · g_ij) summed with the values; a row that sees no key is zero.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E], location g [N, M], content_weight w_c [], location_weight w_l [] → [..., N, E].
    `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to
    1/√D. float16 and bfloat16 are computed in float32 and rounded once. Source: Chorowski et al. 2015, section 2.1, https://arxiv.org/abs/1506.07503
    """
    dtype = accumulation(query.dtype)
    q, k, v, g, w_c, w_l = (x.to(dtype) for x in (query, key, value, location, content_weight, location_weight))
    content = q @ k.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)  # [..., N, M]
    scores = biased(w_c * content + w_l * g, attn_mask)
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ v).to(query.dtype)
