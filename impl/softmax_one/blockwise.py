"""Softmax-one over tiles of keys: an online softmax whose running state starts as the sink, and a backward that computes each tile's weights again."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.scored import cut, spans, tile
from impl.softmax_one.reference import column

KEYS = 64  # a tile: N · KEYS weights live at once


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    sinks: Tensor | None = None,
    *,
    keys: int = KEYS,
) -> Tensor:
    """As the reference, for equal leading axes; `keys` is a tile's length. No tensor has more than N · keys or (N + M) · (D + E) elements, mask apart."""
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    output: Tensor = Streamed.apply(q, k, v, attn_mask, column(sinks, q), None, 1.0, is_causal, scale, keys)  # type: ignore[no-untyped-call]
    return output.to(query.dtype)


class Streamed(torch.autograd.Function):
    """times · Σ_j kept_ij exp(s_ij) v_j / (exp(sink_i) + Σ_j exp(s_ij)), where `kept` [..., N, M] (None: all) picks terms of the numerator."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None, sink: Tensor, kept: Tensor | None, times: float,
        is_causal: bool, scale: float | None, keys: int,
    ) -> Tensor:  # fmt: skip
        """The state of a row is (top, mass, sum): exponentials are relative to `top`, the largest logit so far, and the sink is the first."""
        ctx.options = is_causal, scale, keys, times
        top, mass = sink, (sink > -math.inf).to(q.dtype)  # [..., N, 1]
        total = q.new_zeros(*q.shape[:-1], v.shape[-1])
        for part in spans(k.shape[-2], keys):
            scores, seen = tile(q, k, attn_mask, is_causal, scale, range(q.shape[-2]), part)
            scores = scores.masked_fill(~seen, -math.inf)
            higher = torch.maximum(top, scores.amax(-1, keepdim=True))
            base = finite(higher)
            raised, fade = torch.exp(scores - base), torch.exp(top - base)
            mass = mass * fade + raised.sum(-1, keepdim=True)
            total = total * fade + thinned(raised, kept, part) @ v[..., part.start : part.stop, :]
            top = higher
        mass = mass.masked_fill(mass == 0, 1.0)  # a row with neither key nor sink
        output = total / mass * times
        ctx.save_for_backward(q, k, v, attn_mask, sink, kept, finite(top), mass, output)
        return output

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """ds = p ∘ (dp − δ) with δ = Σ_e do ∘ o, which is Σ_j p_j dp_j; the sink's own dp is 0."""
        (g,) = gradients
        q, k, v, attn_mask, sink, kept, base, mass, output = ctx.saved_tensors
        is_causal, scale, keys, times = ctx.options
        delta = (g * output).sum(-1, keepdim=True)
        factor = 1 / math.sqrt(q.shape[-1]) if scale is None else scale
        d_q, d_k, d_v = torch.zeros_like(q), torch.zeros_like(k), torch.zeros_like(v)
        d_mask = torch.zeros_like(attn_mask) if ctx.needs_input_grad[3] else None
        for part in spans(k.shape[-2], keys):
            scores, seen = tile(q, k, attn_mask, is_causal, scale, range(q.shape[-2]), part)
            weights = torch.exp(scores.masked_fill(~seen, -math.inf) - base) / mass
            here = slice(part.start, part.stop)
            d_v[..., here, :] = thinned(weights * times, kept, part).transpose(-2, -1) @ g
            d_scores = weights * (thinned(g @ v[..., here, :].transpose(-2, -1) * times, kept, part) - delta)
            d_q += d_scores @ k[..., here, :] * factor
            d_k[..., here, :] = d_scores.transpose(-2, -1) @ q * factor
            if d_mask is not None:
                slot = cut(d_mask, range(q.shape[-2]), part)
                slot += d_scores.sum_to_size(slot.shape).to(slot.dtype)
        d_sink = -torch.exp(sink - base) / mass * delta
        return d_q, d_k, d_v, d_mask, d_sink, None, None, None, None, None


def thinned(x: Tensor, kept: Tensor | None, keys: range) -> Tensor:
    """x [..., N, T], zero where not kept."""
    return x if kept is None else x.masked_fill(~cut(kept, range(x.shape[-2]), keys), 0.0)


def finite(top: Tensor) -> Tensor:
    """A stabiliser to subtract: a row that has seen nothing yet has 0, never −∞ − (−∞)."""
    return top.masked_fill(top == -math.inf, 0.0)
