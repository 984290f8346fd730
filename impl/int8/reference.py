"""Attention with quantised scores by its definition: queries and keys are whole numbers times a step of their own row, and the products of these are exact."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible

Bits = int | Sequence[int]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    bits: Bits = 8,
) -> Tensor:
    """softmax(scale · q̂ k̂ᵀ + mask) V with x̂ = Δ · round(x / Δ), Δ = max|x| / (2^(bits − 1) − 1) over a row's D features; a row that sees no key is zero.

    Shapes: query [..., H, N, D], key [..., H, M, D], value [..., H, M, E] → [..., H, N, E]. `attn_mask` broadcasts to [..., H, N, M]: boolean (True = may
    attend) or added to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D. `bits`, 2 to 8, for all heads or one for each. A tie rounds
    to the even number; a row of zeros stays one. The step of a row depends on that row alone, so that no later key acts on an earlier row through it.
    Products of whole numbers are added up in int32, exactly for D ≤ 2^17; all else is in the dtype, float16 and bfloat16 in float32, rounded once. No
    gradient passes to query and key, as rounding has none. Raises ValueError for bits outside 2 to 8, or not one for each head.
    Source: Dettmers et al. 2022, section 2, https://arxiv.org/abs/2208.07339, for rows of both factors; Zhang et al. 2024, https://arxiv.org/abs/2410.02367
    """
    dtype, levels = accumulation(query.dtype), levels_of(bits, query)
    (q, q_step), (k, k_step) = (quantised(x.detach().to(dtype), levels) for x in (query, key))
    products = (q.int() @ k.int().mT).to(dtype)  # [..., N, M]
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = biased(products * (q_step * k_step.mT) * factor, attn_mask)
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)


def levels_of(bits: Bits, query: Tensor) -> Tensor:
    """The largest whole number that `bits` hold with a sign, 2^(bits − 1) − 1: [H, 1, 1] where each head has its own, or one for all."""
    each = [bits] if isinstance(bits, int) else list(bits)
    if not isinstance(bits, int) and (query.dim() < 3 or len(each) != query.shape[-3]):
        raise ValueError(f"bits={bits!r} for a query of shape {tuple(query.shape)}; it needs one number, or one for each head of [..., H, N, D]")
    if any(not 2 <= b <= 8 for b in each):
        raise ValueError(f"bits={bits!r}; they must be from 2 to 8")
    levels = torch.tensor([2 ** (b - 1) - 1 for b in each], device=query.device)
    return levels[0] if isinstance(bits, int) else levels[:, None, None]


def quantised(x: Tensor, levels: Tensor) -> tuple[Tensor, Tensor]:
    """Whole numbers int8 [..., N, D] within ± levels and steps [..., N, 1] of the rows of x [..., N, D]: x ≈ numbers · step, half a step away at most."""
    step = x.abs().amax(-1, keepdim=True) / levels
    numbers = (x / step.masked_fill(step == 0, 1)).round()
    return numbers.clamp(-levels, levels).to(torch.int8), step  # the clamp matters only where a subnormal step lost bits
