"""Sparsemax without sorting, some rows at a time: the support shrinks until every key in it lies above the threshold that it implies."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from impl.masked import accumulation
from impl.scored import spans, tile
from impl.sparsemax.reference import stabilised

ROWS = 64  # queries at once: ROWS · M scores live at once


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    rows: int = ROWS,
) -> Tensor:
    """As the reference; `rows` queries are computed at once. No tensor has more than rows · M or (N + M) · (D + E) elements, forward or backward."""
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    parts = [checkpoint(attended, q, k, v, attn_mask, is_causal, scale, part, use_reentrant=False) for part in spans(q.shape[-2], rows) or [range(0)]]
    return torch.cat(parts, -2).to(query.dtype)


def attended(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None, rows: range) -> Tensor:
    """The output [..., R, E] of some rows."""
    scores, seen = tile(q, k, attn_mask, is_causal, scale, rows, range(k.shape[-2]))
    return sparsemax(scores, seen) @ v


def sparsemax(scores: Tensor, seen: Tensor) -> Tensor:
    """Weights max(s_j − τ, 0) [..., N, M]. Source: Michelot 1986, https://doi.org/10.1007/BF00938486

    τ(S) = (Σ_S s − 1) / |S| never exceeds the threshold sought while S contains the support, so what lies at or below it can go. Each pass but the last
    drops a key, so there are at most M; only keys less than 1 below the largest are ever in S.
    """
    if not scores.shape[-1]:
        return scores
    scores = stabilised(scores, seen)
    support = (scores > -1) & seen
    while True:
        kept = support & (scores > threshold(scores.detach(), support))
        if bool((kept == support).all()):
            break
        support = kept
    return (scores - threshold(scores, support)).clamp(min=0.0).masked_fill(~support, 0.0)


def threshold(scores: Tensor, support: Tensor) -> Tensor:
    """(Σ s − 1) / |S| over the keys of a support, [..., N, 1]."""
    return (scores.masked_fill(~support, 0.0).sum(-1, keepdim=True) - 1) / support.sum(-1, keepdim=True).clamp(min=1)
