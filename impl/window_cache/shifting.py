"""Sliding-window attention with sinks by a state that is made anew for each part: sinks, then the last window − 1 tokens. It passes gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.streamed import attended, spans
from impl.window_cache.reference import check, shown


def attention(query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], window: int, sinks: int = 0, scale: float | None = None) -> Tensor:
    """As the reference; a part of n rows has n · (sinks + window − 1 + n) scores a head, and sinks + window − 1 tokens are kept for the next."""
    check(query, key, value, window, sinks)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    at = torch.arange(0, device=q.device)  # positions of the tokens that are kept
    keys, values = k[:, :, :0], v[:, :, :0]
    outputs = [q.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for rows in spans(parts, query.shape[2]):
        here = slice(rows.start, rows.stop)
        tokens = torch.arange(rows.start, rows.stop, device=q.device)
        at, keys, values = torch.cat((at, tokens)), torch.cat((keys, k[:, :, here]), 2), torch.cat((values, v[:, :, here]), 2)
        outputs.append(attended(q[:, :, here], keys, values, shown(tokens, at, window, sinks)[None, None], scale))
        kept = (at < sinks) | (at > rows.stop - window)
        at, keys, values = at[kept], keys[:, :, kept], values[:, :, kept]
    return torch.cat(outputs, dim=2).to(query.dtype)
