"""Cross-modal attention both ways by its definition: text attends to vision, and vision to text."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.layers import check_boolean
from impl.masked import accumulation, softmax
from impl.scored import scored


def attention(
    text_query: Tensor,
    text_key: Tensor,
    text_value: Tensor,
    vision_query: Tensor,
    vision_key: Tensor,
    vision_value: Tensor,
    text_mask: Tensor | None = None,
    vision_mask: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """C_{v→t} = Attention(Q_t, K_v, V_v) for the N tokens, and below it C_{t→v} = Attention(Q_v, K_t, V_t) for the M regions.

    Shapes: text_query [..., N, D], text_key [..., N, C], text_value [..., N, E], vision_query [..., M, C], vision_key [..., M, D], vision_value
    [..., M, E] → [..., N + M, E]: `.split((N, M), -2)` gives the two. What flows into text has scores of width D, what flows into vision of width C; a
    `scale` left out is 1/√ of its own direction's width. The masks are boolean, True for what may be attended: `text_mask` broadcasts to [..., M, N],
    `vision_mask` to [..., N, M]. A row that sees nothing is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError where
    the two sides do not fit, and for another mask. Source: Lu et al. 2019, section 2.2 (co-attentional transformer layers), https://arxiv.org/abs/1908.02265
    """
    check(text_query, text_key, text_value, vision_query, vision_key, vision_value)
    check_boolean(text_mask=text_mask, vision_mask=vision_mask)
    dtype = accumulation(text_query.dtype)
    q_t, k_t, v_t, q_v, k_v, v_v = (x.to(dtype) for x in (text_query, text_key, text_value, vision_query, vision_key, vision_value))
    into_text = softmax(*scored(q_t, k_v, vision_mask, False, scale)) @ v_v  # [..., N, E]
    into_vision = softmax(*scored(q_v, k_t, text_mask, False, scale)) @ v_t  # [..., M, E]
    return torch.cat((into_text, into_vision), dim=-2).to(text_query.dtype)


def check(text_query: Tensor, text_key: Tensor, text_value: Tensor, vision_query: Tensor, vision_key: Tensor, vision_value: Tensor) -> None:
    """Raise ValueError unless each direction's queries and keys have one width, each modality one length, and the values one width."""
    for direction, query, key in (("vision into text", text_query, vision_key), ("text into vision", vision_query, text_key)):
        if query.shape[-1] != key.shape[-1]:
            raise ValueError(f"{direction}: queries are {query.shape[-1]} wide and the other modality's keys {key.shape[-1]}: expected one width")
    for modality, parts in (("text", (text_query, text_key, text_value)), ("vision", (vision_query, vision_key, vision_value))):
        if len({x.shape[-2] for x in parts}) != 1:
            raise ValueError(f"{modality} has queries, keys and values of lengths {[x.shape[-2] for x in parts]}: expected one length")
    if text_value.shape[-1] != vision_value.shape[-1]:
        raise ValueError(f"values are {text_value.shape[-1]} and {vision_value.shape[-1]} wide: expected one width, as both results stand in one tensor")
