"""What attention by features shares: the keys that a padding mask shows, and the quotient of two sums over keys that one product gives."""

from __future__ import annotations

import torch
from torch import Tensor


def padding(attn_mask: Tensor | None) -> Tensor | None:
    """The mask itself, which hides keys from all rows alike: no sum over keys could be shared otherwise.

    Raises ValueError unless it is boolean with one row [..., 1, M]."""
    if attn_mask is not None and (attn_mask.dtype != torch.bool or attn_mask.dim() < 2 or attn_mask.shape[-2] != 1):
        raise ValueError(f"attn_mask must be boolean with one row for all queries, [..., 1, M]; found {tuple(attn_mask.shape)} of {attn_mask.dtype}")
    return attn_mask


def shown(features: Tensor, attn_mask: Tensor | None) -> Tensor:
    """Features [..., M, F] of keys, 0 for those that the padding mask hides."""
    mask = padding(attn_mask)
    return features if mask is None else features.masked_fill(~mask.transpose(-2, -1), 0.0)


def with_ones(value: Tensor) -> Tensor:
    """Values [..., M, E] and a column of ones, whose weighted sum is the normaliser: [..., M, E + 1]."""
    return torch.cat((value, torch.ones_like(value[..., :1])), dim=-1)


def quotient(sums: Tensor) -> Tensor:
    """Weighted sums [..., N, E + 1] divided by their last column; 0 where that is 0, so that a row to which no key gives weight is zero."""
    mass = sums[..., -1:]
    return sums[..., :-1] / mass.masked_fill(mass == 0, 1.0)
