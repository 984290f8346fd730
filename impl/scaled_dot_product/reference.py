"""Scaled dot-product attention by its definition. Vaswani et al. 2017, Eq. 1; called as torch's function of the same name is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """softmax(scale · Q Kᵀ + mask) V; a row that sees no key is zero.

    Shapes: query [..., H, N, D], key [..., H, M, D], value [..., H, M, E] → [..., H, N, E]; with `enable_gqa` key and value may have a divisor
    of H heads. `attn_mask` broadcasts to [..., H, N, M]: boolean (True = may attend) or added to the scores. `is_causal` lets row i see keys j ≤ i
    (top-left alignment) besides what the mask says. `scale` defaults to 1/√D. float16 and bfloat16 are computed in float32 and rounded once.
    Raises ValueError for shapes that do not fit.
    """
    return attention_with_log_sum_exp(query, key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa)[0]


def attention_with_log_sum_exp(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> tuple[Tensor, Tensor]:
    """The output, and log Σ_j exp(score_j) over the visible keys, [..., H, N] in the accumulation dtype (−∞ where none is visible)."""
    check_shapes(query, key, value, enable_gqa)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    if enable_gqa:  # query head h reads key head h // (H / H_kv)
        k, v = (x.repeat_interleave(query.shape[-3] // x.shape[-3], dim=-3) for x in (k, v))
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = q @ k.transpose(-2, -1) * scale  # [..., H, N, M]
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else scores + attn_mask.to(scores.dtype)
    if is_causal:
        scores = scores.masked_fill(~torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril(), -math.inf)
    top = scores.detach().amax(-1, keepdim=True) if key.shape[-2] else scores.new_full((*scores.shape[:-1], 1), -math.inf)
    top = top.masked_fill(top == -math.inf, 0)  # a row that sees nothing: exp(−∞ − 0) = 0, never −∞ − (−∞)
    raised = torch.exp(scores - top)
    mass = raised.sum(-1, keepdim=True)
    log_sum_exp = (top + torch.log(mass.masked_fill(mass == 0, 1))).masked_fill(mass == 0, -math.inf)  # log 0 would send NaN backward
    weights = raised / mass.masked_fill(mass == 0, 1)
    weights = torch.dropout(weights, dropout_p, train=dropout_p > 0)
    return (weights @ v).to(query.dtype), log_sum_exp.squeeze(-1)


def check_shapes(query: Tensor, key: Tensor, value: Tensor, enable_gqa: bool) -> None:
    """Raise ValueError, quoting the shapes, unless widths, lengths and heads fit together."""
    shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if min(query.dim(), key.dim(), value.dim()) < (3 if enable_gqa else 2):
        raise ValueError(f"attention needs [..., N, D] tensors, with a head axis for grouped queries: {shapes}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"query and key widths differ: {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"key and value lengths differ: {shapes}")
    if enable_gqa and any(x.shape[-3] == 0 or query.shape[-3] % x.shape[-3] for x in (key, value)):
        raise ValueError(f"the query's heads must be a multiple of the key's and the value's: {shapes}")
