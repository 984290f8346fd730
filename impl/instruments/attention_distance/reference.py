"""How far attention reaches, by its definition: the mean of |i − j| under each row's weights."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation


def distance(weights: Tensor, per: str = "row", start: int = 0) -> Tensor:
    """Σ_j |start + i − j| p_ij for each row, [..., N, M] → [..., N] (per="row"), or its mean over the rows → [...] (per="head").

    Rows stand at positions from `start` on (behind a cache: the number of keys before them), keys at 0 … M − 1. A row without weight has the distance 0.
    float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for another `per`, or for a head without rows. Source: the mean attention
    distance of Dosovitskiy et al. 2021, appendix D.7, https://arxiv.org/abs/2010.11929
    """
    check(weights, per)
    p = weights.to(accumulation(weights.dtype))
    rows = (p * lengths(p, start)).sum(-1)
    return (rows if per == "row" else rows.mean(-1)).to(weights.dtype)


def lengths(p: Tensor, start: int) -> Tensor:
    """|start + i − j| [N, M]."""
    rows, keys = (torch.arange(length, dtype=p.dtype, device=p.device) for length in p.shape[-2:])
    return (start + rows.unsqueeze(-1) - keys).abs()


def check(weights: Tensor, per: str) -> None:
    """Raise ValueError unless there is such a mean."""
    if per not in ("row", "head"):
        raise ValueError(f"per={per!r}; there are 'row' and 'head'")
    if per == "head" and not weights.shape[-2]:
        raise ValueError(f"weights of shape {tuple(weights.shape)}: the mean over a head needs one row at least")
