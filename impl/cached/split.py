"""Split-KV decoding ("flash decoding"): the cache is read in splits of a few keys, each gives the online-softmax state of its own keys, and states merge."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.cached.cache import KeyValueCache, empty, last
from impl.cached.reference import checked
from impl.masked import accumulation
from impl.scaled_dot_product import state
from impl.scaled_dot_product.state import State
from impl.streamed import check_shapes, factor, spans

KEYS = 256  # a split


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    parts: tuple[int, ...],
    past_lengths: Tensor | None = None,
    slopes: Tensor | None = None,
    scale: float | None = None,
    *,
    keys: int = KEYS,
    unused: float = 0.0,
) -> Tensor:
    """As the reference, without a gradient; `keys` is a split's length. No tensor of scores is larger than n · keys, for n rows of one head.

    Source: Dao, Haziza, Massa and Sizov 2023, https://crfm.stanford.edu/2023/10/12/flashdecoding.html
    """
    check_shapes(query, key, value, prefix=True)
    before = key.shape[2] - query.shape[2]
    past = checked(past_lengths, key.shape[0], before)
    held = empty(key, value, key.shape[2], unused=unused)
    held.append(key[:, :, :before], value[:, :, :before], past.tolist())
    outputs = [query.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for rows in spans(parts, query.shape[2]):
        new = slice(before + rows.start, before + rows.stop)
        held.append(key[:, :, new], value[:, :, new])
        outputs.append(decoded(held, query[:, :, rows.start : rows.stop], slopes, scale, keys))
    return torch.cat(outputs, dim=2)


def decoded(held: KeyValueCache, query: Tensor, slopes: Tensor | None, scale: float | None, keys: int) -> Tensor:
    """The rows [B, H, n, E] of queries [B, H, n, D] at each sequence's last n positions, head by head: B · H · ⌈L / keys⌉ states."""
    dtype, group = accumulation(query.dtype), query.shape[1] // held.key.shape[1]
    output = query.new_empty(*query.shape[:3], held.value.shape[-1])
    rows = last(held.lengths, query.shape[2], query.device)  # [B, 1, n, 1]
    for b, length in enumerate(held.lengths):
        for h in range(query.shape[1]):
            slope = None if slopes is None else slopes[h].to(dtype)
            q = query[b, h].to(dtype) * factor(query, scale)
            splits = [
                of_split(q, held.key[b, h // group, start:stop].to(dtype), held.value[b, h // group, start:stop].to(dtype), rows[b, 0] - start, slope)
                for start, stop in ((start, min(start + keys, length)) for start in range(0, length, keys))
            ]
            output[b, h] = state.finish(merged(splits, q, held.value.shape[-1])).to(query.dtype)
    return output


def of_split(q: Tensor, k: Tensor, v: Tensor, rows: Tensor, slope: Tensor | None) -> State:
    """The state of the keys of one split, whose rows stand at `rows` [n, 1], counted from the split's first key."""
    distance = rows - torch.arange(k.shape[0], device=k.device)  # [n, T]
    scores = state.product(q, k.t())
    scores = scores if slope is None else scores - slope * distance
    return state.of(scores.masked_fill(distance < 0, -math.inf), v)


def merged(splits: list[State], q: Tensor, width: int) -> State:
    """The state of all keys: splits are disjoint, so their states merge in any order."""
    whole = state.empty(q.shape[0], width, q)
    for part in splits:
        state.merge(whole, part)
    return whole
