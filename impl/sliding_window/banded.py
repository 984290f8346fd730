"""Sliding-window attention in tiles of rows, each over the keys that its rows reach: no index sets, and two copies of the keys instead of one a pair."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from impl.masked import accumulation, biased, softmax, visible
from impl.patterns import factor, gathered
from impl.sliding_window import reference


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int | Sequence[int],
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    *,
    tile: int | None = None,
) -> Tensor:
    """As the reference. Tiles of T rows meet left + T + right keys each: ⌈N/T⌉ · T · (left + T + right) scores. T is left + right + 1 by default (N at
    most), which makes two scores a pair of the pattern, and two copies of a key."""
    n, m = query.shape[-2], key.shape[-2]
    left, right = reference.widths(window)
    if not n or not m or start < 0:
        return reference.attention(query, key, value, window, attn_mask, is_causal, scale, start)
    left, right = min(left, start + n), 0 if is_causal else min(right, m)  # beyond these there are no keys
    tile, device = tile or min(left + right + 1, n), query.device
    dtype, tiles = accumulation(query.dtype), -(-n // tile)
    rows = start + torch.arange(tiles * tile, device=device).reshape(tiles, tile)  # positions
    columns = rows[:, :1] - left + torch.arange(left + tile + right, device=device)  # [tiles, S]
    ahead = columns.unsqueeze(-2) - rows.unsqueeze(-1)  # [tiles, T, S]
    seen = (-left <= ahead) & (ahead <= right) & ((columns >= 0) & (columns < m)).unsqueeze(-2)
    index = columns.clamp(0, m - 1)
    q = pad(query.to(dtype), (0, 0, 0, tiles * tile - n)).unflatten(-2, (tiles, tile))
    k, v = (gathered(x.to(dtype), index) for x in (key, value))  # [..., tiles, S, D]
    scores = q @ k.mT * factor(scale, query.shape[-1])
    places = (rows - start).clamp(max=n - 1).unsqueeze(-1), index.unsqueeze(-2)
    bias = None if attn_mask is None else attn_mask.expand(*attn_mask.shape[:-2], n, m)[..., places[0], places[1]]
    weights = softmax(biased(scores, bias), visible(scores, bias, False) & seen)
    return (weights @ v).flatten(-3, -2)[..., :n, :].to(query.dtype)
