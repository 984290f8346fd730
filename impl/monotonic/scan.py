"""Monotonic attention with a parallel scan over the positions: ⌈log₂ M⌉ steps a row in place of M, and nothing is divided by, so nothing overflows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from impl.masked import accumulation
from impl.monotonic.reference import begun, chances


def attention(energy: Tensor, value: Tensor, attn_mask: Tensor | None = None, previous: Tensor | None = None) -> Tensor:
    """As the reference. Rows stay in sequence, with ⌈log₂ M⌉ products and sums of length M each; memory N · M · ⌈log₂ M⌉ numbers."""
    dtype = accumulation(energy.dtype)
    return (alignment(energy.to(dtype), attn_mask, previous) @ value.to(dtype)).to(energy.dtype)


def alignment(energy: Tensor, attn_mask: Tensor | None = None, previous: Tensor | None = None) -> Tensor:
    """The weights α [..., N, M]."""
    stop, go = chances(energy, attn_mask)
    levels = spans(go)
    rows, row = [], begun(stop, previous)
    for i in range(stop.shape[-2]):
        row = stop[..., i, :] * arrived(row, [level[..., i, :] for level in levels])
        rows.append(row)
    return torch.stack(rows, dim=-2) if rows else stop


def spans(go: Tensor) -> list[Tensor]:
    """For w = 1, 2, 4, … below M, the probability [..., N, M] of passing the w positions before j: 0 where there are fewer, as nothing comes from there."""
    levels: list[Tensor] = []
    width = 1
    while width < go.shape[-1]:
        levels.append(levels[-1] * later(levels[-1], width // 2) if levels else later(go, 1))
        width *= 2
    return levels


def arrived(begins: Tensor, levels: list[Tensor]) -> Tensor:
    """q [..., M]: q_j = c_{j−1} q_{j−1} + begins_j. After the level of width w each element holds what began at most 2w − 1 positions before it."""
    for power, passing in enumerate(levels):
        begins = begins + passing * later(begins, 2**power)
    return begins


def later(x: Tensor, by: int) -> Tensor:
    """Moved `by` positions to the right; zeros come in."""
    return pad(x[..., :-by], (by, 0))
