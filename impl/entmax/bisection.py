"""1.5-entmax without sorting, some rows at a time: the threshold by bisection, and its gradient from the equation that it solves."""

from __future__ import annotations

import math
from typing import Any

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
    weights: Tensor = Entmax.apply(scores, seen)  # type: ignore[no-untyped-call]
    return weights @ v


class Entmax(torch.autograd.Function):
    """max(s_j / 2 − τ, 0)² [..., N, M] over the keys seen; gradient as in Peters, Niculae and Martins 2019."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, seen: Tensor) -> Tensor:
        """The root of each weight is kept for backward."""
        if not scores.shape[-1]:
            ctx.save_for_backward(scores)
            return scores.clone()
        halved = stabilised(scores, seen) / 2
        root = (halved - threshold(halved)).clamp(min=0.0).masked_fill(~seen, 0.0)
        ctx.save_for_backward(root)
        return root.square()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """ds = r ∘ (g − Σ r g / Σ r) with r = √p: from Σ (s_j / 2 − τ)² = 1, the threshold moves by half the mean of ds weighted by r."""
        (g,), (root,) = gradients, ctx.saved_tensors
        mass = root.sum(-1, keepdim=True)
        mean = (root * g).sum(-1, keepdim=True) / mass.masked_fill(mass == 0, 1.0)
        return root * (g - mean), None


def threshold(halved: Tensor) -> Tensor:
    """τ in [−1, 0) with Σ max(x − τ, 0)² = 1, [..., N, 1], to the dtype's last bit: as many halvings as it has digits, and one. The largest x is 0."""
    low, width = halved.new_full((*halved.shape[:-1], 1), -1.0), 1.0
    for _ in range(1 - round(math.log2(torch.finfo(halved.dtype).eps)) + 1):
        width /= 2
        middle = low + width
        low = torch.where((halved - middle).clamp(min=0.0).square().sum(-1, keepdim=True) >= 1, middle, low)
    return low
