"""Jensen-Shannon divergence with one pair of heads in hand: [..., N, M] numbers at a time instead of H² times as many."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.instruments.jensen_shannon.reference import between, check, terms
from impl.masked import accumulation


def divergence(weights: Tensor, pairs: bool = False) -> Tensor:
    """As the reference. Each pair is computed once, for both of its orders; a head has no divergence from itself."""
    check(weights)
    heads = [p.to(accumulation(weights.dtype)) for p in weights.unbind(-3)]
    count, zero = len(heads), heads[0].sum(-1) * 0
    if not pairs:
        total = torch.stack(heads).sum(0)
        return (torch.stack([terms(p, total, count) for p in heads]).sum(0) / count).to(weights.dtype)
    found = {(a, b): between(heads[a], heads[b]) for b in range(count) for a in range(b)}
    rows = [torch.stack([zero if a == b else found[min(a, b), max(a, b)] for b in range(count)], -2) for a in range(count)]
    return torch.stack(rows, -3).to(weights.dtype)
