"""Location-based attention by its definition: the weights over positions depend on the query alone."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(query: Tensor, value: Tensor, weight: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
    """softmax_j((W q_i)_j) summed with the values, over the first M of the positions that W knows; a row that sees no position is zero.

    Shapes: query [..., N, D], value [..., M, E], weight [D, L] with L ≥ M → [..., N, E]. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or
    added to the scores; `is_causal` lets row i see positions j ≤ i. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError if M > L.
    Source: Luong, Pham and Manning 2015, Eq. 8, https://arxiv.org/abs/1508.04025
    """
    if value.shape[-2] > weight.shape[-1]:
        raise ValueError(f"{value.shape[-2]} positions, but the weight knows {weight.shape[-1]}: value {tuple(value.shape)}, weight {tuple(weight.shape)}")
    dtype = accumulation(query.dtype)
    scores = biased(query.to(dtype) @ weight.to(dtype)[:, : value.shape[-2]], attn_mask)  # [..., N, M]
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)
