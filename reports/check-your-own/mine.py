"""An attention as it is often written first, and the same after its first report. The page beside this file judges both."""

import math

import torch
from torch import Tensor


def first_try(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None
) -> Tensor:  # fmt: skip
    """softmax(scale · Q Kᵀ + mask) V, with two mistakes."""
    return attend(query, key, value, attn_mask, is_causal, 1 / math.sqrt(value.shape[-1]) if scale is None else scale, hidden=-1e4)


def second_try(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None
) -> Tensor:  # fmt: skip
    """The same, with the width of the keys in the scale, and hidden scores at −∞."""
    return attend(query, key, value, attn_mask, is_causal, 1 / math.sqrt(query.shape[-1]) if scale is None else scale, hidden=-math.inf)


def attend(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float, hidden: float) -> Tensor:
    """Scores in float32 at least; what a mask hides scores `hidden`."""
    wide = torch.promote_types(query.dtype, torch.float32)
    q, k, v = (x.to(wide) for x in (query, key, value))
    scores = q @ k.transpose(-2, -1) * scale
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, hidden) if attn_mask.dtype == torch.bool else scores + attn_mask
    if is_causal:
        rows, columns = scores.shape[-2:]
        scores = scores.masked_fill(~torch.ones(rows, columns, dtype=torch.bool, device=scores.device).tril(), hidden)
    return (torch.softmax(scores, -1) @ v).to(query.dtype)
