"""The attention distance as one product for each row of positions: nothing of the weights' size is made beside them."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.instruments.attention_distance.reference import check, lengths
from impl.masked import accumulation


def distance(weights: Tensor, per: str = "row", start: int = 0) -> Tensor:
    """As the reference; half precisions are widened first, which costs their size."""
    check(weights, per)
    p = weights.to(accumulation(weights.dtype))
    rows = torch.stack([p[..., i, :] @ along for i, along in enumerate(lengths(p, start))], -1) if p.shape[-2] else p.sum(-1)
    return (rows if per == "row" else rows.mean(-1)).to(weights.dtype)
