"""The entropy of attention weights, a tile of keys at a time: what is held beside the weights is [..., N, tile], whatever M is."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation

KEYS = 128  # a tile


def entropy(weights: Tensor, *, keys: int = KEYS) -> Tensor:
    """As the reference: [..., N, M] → [..., N]."""
    dtype = accumulation(weights.dtype)
    total = torch.zeros(weights.shape[:-1], dtype=dtype, device=weights.device)
    for part in weights.split(keys, dim=-1):
        p = part.to(dtype)
        total = total + torch.special.xlogy(p, p.masked_fill(p == 0, 1.0)).sum(-1)
    return -total.to(weights.dtype)
