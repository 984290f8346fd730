"""Adaptive span by windows: of each head, a row meets the keys at distances below R + z and no others."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import pad

from impl.adaptive_span.reference import checked, reach, renormalised
from impl.masked import accumulation
from impl.scored import scored


def attention(query: Tensor, key: Tensor, value: Tensor, span: Tensor, ramp: float = 32.0, scale: float | None = None) -> Tensor:
    """As the reference, in N · W pairs a head, where W = ⌈R + z⌉ is the head's own window, and no more than N."""
    checked(span, ramp, query)
    q, k, v, z = (x.to(accumulation(query.dtype)) for x in (query, key, value, span))
    if query.dim() < 3:
        return one_head(q, k, v, z, ramp, scale).to(query.dtype)
    heads = zip(q.unbind(-3), k.unbind(-3), v.unbind(-3), z.expand(q.shape[-3]).unbind(), strict=True)
    return torch.stack([one_head(*head, ramp, scale) for head in heads], dim=-3).to(query.dtype)


def one_head(query: Tensor, key: Tensor, value: Tensor, span: Tensor, ramp: float, scale: float | None) -> Tensor:
    """The output [..., N, E] of a head with its own span []."""
    n = query.shape[-2]
    width = window(float(span.detach()), ramp, n)
    k, v = (windows(x, n, width) for x in (key, value))  # [..., N, W, D]
    distance = torch.arange(width - 1, -1, -1)  # of a window's keys, the last of which is the row's own
    place = torch.arange(n).unsqueeze(-1) - distance  # [N, W]
    scores = scored(query.unsqueeze(-2), k, None, False, scale)[0].squeeze(-2)  # [..., N, W]
    there = ((place >= 0) & (place < key.shape[-2])).expand(scores.shape)
    weights = renormalised(scores, reach(distance, span, ramp).expand(scores.shape), there)
    return (weights.unsqueeze(-2) @ v).squeeze(-2)


def window(span: float, ramp: float, length: int) -> int:
    """How many distances 0, 1, … have a mask above 0: one at least, so that there is something to mask."""
    return max(1, min(math.ceil(ramp + span), length))


def windows(x: Tensor, length: int, width: int) -> Tensor:
    """For each row i < `length`, the entries i − width + 1 … i of [..., M, D], as a view [..., N, W, D]; beyond both ends, zeros."""
    reached = x[..., :length, :]
    return pad(reached, (0, 0, width, length - reached.shape[-2])).unfold(-2, width, 1)[..., 1:, :, :].transpose(-2, -1)
