"""Quantised attention that keeps keys as int8 numbers and a step a row, and computes the scores of one tile of keys at a time."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from impl.int8.reference import Bits, levels_of, quantised
from impl.masked import accumulation, biased, visible
from impl.scored import cut, spans

KEYS = 64  # a tile: N · KEYS scores live at once


class Keys(NamedTuple):
    """Keys as they are kept: int8 [..., M, D] and a step a row [..., M, 1]."""

    numbers: Tensor
    step: Tensor


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    bits: Bits = 8,
    *,
    keys: int = KEYS,
) -> Tensor:
    """As the reference; `keys` is a tile's length. Keys are held in M · D bytes and M steps; no other tensor has more than N · keys or N · E elements."""
    dtype, levels = accumulation(query.dtype), levels_of(bits, query)
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    (rows, kept), values = (Keys(*quantised(x.detach().to(dtype), levels)) for x in (query, key)), value.to(dtype)
    top = rows.step.new_full(rows.step.shape, -math.inf)  # [..., N, 1]
    mass, output = torch.zeros_like(top), rows.step.new_zeros(*query.shape[:-1], value.shape[-1])
    for part in spans(key.shape[-2], keys):
        mask = None if attn_mask is None else cut(attn_mask, range(query.shape[-2]), part)
        scores = masked(rows, tile_of(kept, part), mask, is_causal, factor, part)
        risen = torch.maximum(top, scores.detach().amax(-1, keepdim=True))
        anchor = risen.masked_fill(risen == -math.inf, 0)
        raised, kept_part = (scores - anchor).exp(), (top - anchor).exp()
        mass = mass * kept_part + raised.sum(-1, keepdim=True)
        output = output * kept_part + raised @ values[..., part.start : part.stop, :]
        top = risen
    return (output / mass.masked_fill(mass == 0, 1)).to(query.dtype)


def tile_of(kept: Keys, part: range) -> Keys:
    return Keys(*(x[..., part.start : part.stop, :] for x in kept))


def masked(rows: Keys, columns: Keys, attn_mask: Tensor | None, is_causal: bool, factor: float, part: range) -> Tensor:
    """The tile's scores [..., N, T], −∞ where a key is hidden."""
    products = (rows.numbers.int() @ columns.numbers.int().mT).to(rows.step.dtype)
    scores = biased(products * (rows.step * columns.step.mT) * factor, attn_mask)
    seen = visible(scores, attn_mask, False)
    if is_causal:
        i, j = torch.arange(scores.shape[-2], device=scores.device), torch.arange(part.start, part.stop, device=scores.device)
        seen = seen & (j <= i[:, None])
    return scores.masked_fill(~seen, -math.inf)
