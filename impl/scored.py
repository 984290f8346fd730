"""What the variants with a normaliser of their own share: scores scale · q kᵀ + mask and which of them are seen, for all pairs or for one tile."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import biased, visible


def scored(query: Tensor, key: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None) -> tuple[Tensor, Tensor]:
    """Scores [..., N, M] of queries [..., N, D] and keys [..., M, D], and which are seen: bool of the same shape. `scale` defaults to 1/√D."""
    scores = biased(query @ key.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale), attn_mask)
    return scores, visible(scores, attn_mask, is_causal)


def tile(query: Tensor, key: Tensor, attn_mask: Tensor | None, is_causal: bool, scale: float | None, rows: range, keys: range) -> tuple[Tensor, Tensor]:
    """The scores [..., R, T] of these rows and keys alone, and which are seen."""
    part = None if attn_mask is None else cut(attn_mask, rows, keys)
    scores, seen = scored(query[..., rows.start : rows.stop, :], key[..., keys.start : keys.stop, :], part, False, scale)
    if is_causal:
        i, j = (torch.arange(span.start, span.stop, device=query.device) for span in (rows, keys))
        seen = seen & (j <= i[:, None])
    return scores, seen


def cut(pairs: Tensor, rows: range, keys: range) -> Tensor:
    """The part [..., R, T] of what broadcasts to [..., N, M], as a view; an axis of length 1 stays."""
    pairs = torch.atleast_2d(pairs)
    pairs = pairs[..., rows.start : rows.stop, :] if pairs.shape[-2] != 1 else pairs
    return pairs[..., keys.start : keys.stop] if pairs.shape[-1] != 1 else pairs


def spans(length: int, size: int) -> list[range]:
    """0 … length − 1 in pieces of `size`, the last one shorter."""
    return [range(start, min(start + size, length)) for start in range(0, length, size)]
