"""Parallel co-attention by its definition: an affinity of every region with every token steers a summary of each side."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.layers import check_boolean
from impl.masked import accumulation, softmax


def attention(
    vision: Tensor,
    text: Tensor,
    affinity_weight: Tensor,
    vision_weight: Tensor,
    text_weight: Tensor,
    vision_energy: Tensor,
    text_energy: Tensor,
    vision_mask: Tensor | None = None,
    text_mask: Tensor | None = None,
) -> Tensor:
    """C = tanh(V W_b Tᵀ); H_v = tanh(V W_v + C T W_t), H_t = tanh(T W_t + Cᵀ V W_v); softmax(H_v w_v) V over softmax(H_t w_t) T.

    Shapes, features last: vision V [..., N, D], text T [..., M, D], affinity_weight W_b [D, D], vision_weight W_v and text_weight W_t [D, A],
    vision_energy w_v and text_energy w_t [A] → [..., 2, D]: the summary of vision, then that of text. N and M may differ. The masks are boolean, [..., N]
    and [..., M], True for what is there: what is not takes no part in either side's sums; a side of which nothing is there has a summary of zero.
    float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError where the sides differ in width, and for another mask.
    Source: Lu, Yang, Batra and Parikh 2016, section 3.3, equations 3 to 5, https://arxiv.org/abs/1606.00061
    """
    check(vision, text)
    check_boolean(vision_mask=vision_mask, text_mask=text_mask)
    dtype = accumulation(vision.dtype)
    v, t, w_b, w_v, w_t, e_v, e_t = (x.to(dtype) for x in (vision, text, affinity_weight, vision_weight, text_weight, vision_energy, text_energy))
    there_v, there_t = present(v, vision_mask), present(t, text_mask)
    v, t = v.masked_fill(~there_v[..., None], 0.0), t.masked_fill(~there_t[..., None], 0.0)
    affinity = (v @ w_b @ t.mT).tanh()  # C [..., N, M]
    of_v, of_t = v @ w_v, t @ w_t  # [..., N, A], [..., M, A]
    hidden_v, hidden_t = (of_v + affinity @ of_t).tanh(), (of_t + affinity.mT @ of_v).tanh()
    return torch.stack((summary(hidden_v @ e_v, v, there_v), summary(hidden_t @ e_t, t, there_t)), dim=-2).to(vision.dtype)


def summary(energies: Tensor, x: Tensor, there: Tensor) -> Tensor:
    """Σ_n softmax(energies)_n x_n [..., D] over those that are there."""
    return (softmax(energies, there).unsqueeze(-2) @ x).squeeze(-2)


def present(x: Tensor, mask: Tensor | None) -> Tensor:
    """Which rows [..., N] of x [..., N, D] are there."""
    return torch.ones(x.shape[:-1], dtype=torch.bool, device=x.device) if mask is None else mask.expand(x.shape[:-1])


def check(vision: Tensor, text: Tensor) -> None:
    """Raise ValueError unless both sides are equally wide."""
    if vision.shape[-1] != text.shape[-1]:
        raise ValueError(f"vision is {vision.shape[-1]} wide and text {text.shape[-1]}: expected one width, as both summaries stand in one tensor")
