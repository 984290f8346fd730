"""Attention whose backward computes each segment again: of a call only its arguments are kept."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impl.checkpointed.reference import attended, rows_of
from impl.masked import accumulation


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    segments: int = 1,
) -> Tensor:
    """As the reference. Between forward and backward nothing but the arguments is held, and during both one segment: ⌈N / segments⌉ · M weights and scores.
    Backward runs each segment's forward pass once more."""
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    parts = [Segment.apply(q, k, v, attn_mask, is_causal, scale, rows) for rows in rows_of(query, segments)]  # type: ignore[no-untyped-call]
    return torch.cat(parts, dim=-2).to(query.dtype)


class Segment(torch.autograd.Function):
    """`attended`, computed again in backward (Chen et al. 2016, algorithm 1)."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None, rows: range) -> Tensor:
        ctx.save_for_backward(q, k, v, attn_mask)
        ctx.options = is_causal, scale, rows
        return attended(q, k, v, attn_mask, is_causal, scale, rows)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        kept = ctx.saved_tensors
        given: list[Any] = [x if x is None else x.detach().requires_grad_(needed) for x, needed in zip(kept, ctx.needs_input_grad, strict=False)]
        with torch.enable_grad():
            output = attended(given[0], given[1], given[2], given[3], *ctx.options)
        wanted = [x for x in given if x is not None and x.requires_grad]
        found = iter(torch.autograd.grad(output, wanted, cotangents, materialize_grads=True))
        return *(next(found) if x is not None and x.requires_grad else None for x in given), None, None, None
