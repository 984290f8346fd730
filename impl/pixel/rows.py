"""Self-attention among pixels, one row of the image at a time, whose scores backward computes again."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from impl.layers import weighed
from impl.masked import accumulation
from impl.pixel.reference import check


def attention(x: Tensor, query_weight: Tensor, key_weight: Tensor, value_weight: Tensor, scale: float = 1.0) -> Tensor:
    """As the reference; H · W² scores live at once, forward and backward, in place of (H · W)²."""
    check(x, query_weight, key_weight, value_weight)
    dtype = accumulation(x.dtype)
    pixels = x.to(dtype).flatten(2).mT  # [B, H·W, C]
    query, key, value = (pixels @ w.to(dtype) for w in (query_weight, key_weight, value_weight))
    rows = [checkpoint(weighed, part, key, value, scale=scale, use_reentrant=False) for part in query.split(x.shape[-1], dim=1)]  # H times [B, W, E]
    return torch.stack(rows, dim=1).movedim(-1, 1).to(x.dtype)
