"""The same scores, of which those about places read diagonals and not the map: N · (2 · window + 3) weights."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.instruments.pattern_scores.reference import check, copied, mass
from impl.masked import accumulation


def scores(weights: Tensor, tokens: Tensor, window: int = 1) -> Tensor:
    """As the reference."""
    check(weights, tokens, window)
    n = weights.shape[-1]
    widest = min(window, n - 1)
    local = [along(weights, offset) for offset in range(-widest, widest + 1)]
    behind = copied(tokens)
    p = weights.to(accumulation(weights.dtype))
    found = [
        torch.stack(local).sum(0) / max(n, 1) if local else along(weights, 0),
        along(weights, 0) / max(n, 1),
        (p.sum(-2) / max(n, 1)).amax(-1) if n else p.sum((-1, -2)),
        along(weights, -1) / max(n - 1, 1),
        mass(p, behind, behind.any(-1).sum(-1)),
    ]
    return torch.stack(found, -1).to(weights.dtype)


def along(weights: Tensor, offset: int) -> Tensor:
    """The sum of a diagonal [...]."""
    return weights.diagonal(offset, -2, -1).to(accumulation(weights.dtype)).sum(-1)
