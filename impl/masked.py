"""What every variant with scores shares: the dtype they are computed in, which keys a row sees, and the softmax over those."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def accumulation(dtype: torch.dtype) -> torch.dtype:
    """float32 for the half precisions, else the dtype itself."""
    return torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype


def visible(scores: Tensor, attn_mask: Tensor | None, is_causal: bool) -> Tensor:
    """Which keys each row sees: bool, in the shape of the scores [..., N, M]. A boolean mask says True for those, an additive one anything but −∞; `is_causal`
    lets row i see keys j ≤ i besides."""
    seen = torch.ones_like(scores, dtype=torch.bool)
    if attn_mask is not None:
        seen = seen & (attn_mask if attn_mask.dtype == torch.bool else attn_mask != -math.inf)
    return seen.tril() if is_causal else seen


def biased(scores: Tensor, attn_mask: Tensor | None) -> Tensor:
    """The scores with an additive mask added."""
    return scores if attn_mask is None or attn_mask.dtype == torch.bool else scores + attn_mask.to(scores.dtype)


def softmax(scores: Tensor, seen: Tensor) -> Tensor:
    """Weights [..., N, M] that sum to 1 over the keys that a row sees, and are 0 elsewhere; a row that sees none has no weight at all."""
    dead = ~seen.any(-1, keepdim=True)
    return scores.masked_fill(~seen, -math.inf).masked_fill(dead, 0.0).softmax(-1).masked_fill(~seen, 0.0)
