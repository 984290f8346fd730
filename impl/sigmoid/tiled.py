"""Sigmoid attention, one tile of keys at a time. No row is normalised, so tiles only add up: there is no running maximum and nothing to rescale."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from impl.masked import accumulation
from impl.scored import spans, tile

KEYS = 64  # a tile: N · KEYS weights live at once


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    bias: float = 0.0,
    *,
    keys: int = KEYS,
) -> Tensor:
    """As the reference; `keys` is a tile's length. No tensor has more than N · keys or N · E elements (beside the inputs), forward or backward."""
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    output = q.new_zeros(*q.shape[:-1], v.shape[-1])
    for part in spans(k.shape[-2], keys):
        output = output + checkpoint(attended, q, k, v, attn_mask, is_causal, scale, bias, part, use_reentrant=False)
    return output.to(query.dtype)


def attended(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None, bias: float, keys: range) -> Tensor:
    """What the keys of one tile add to the output [..., N, E]."""
    scores, seen = tile(q, k, attn_mask, is_causal, scale, range(q.shape[-2]), keys)
    return torch.sigmoid(scores + bias).masked_fill(~seen, 0.0) @ v[..., keys.start : keys.stop, :]
