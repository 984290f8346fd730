"""Hard monotonic attention as a walk through the table of energies, to the right or down: it reads N + M − 1 of the N · M energies."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.hard_monotonic.reference import taken
from impl.masked import accumulation


def attention(energy: Tensor, value: Tensor, attn_mask: Tensor | None = None, start: Tensor | None = None) -> Tensor:
    """As the reference. Reads at most N + M − 1 energies of a sequence, and writes as many positions; all sequences walk at once."""
    return taken(value, stops(energy, attn_mask, start))


def stops(energy: Tensor, attn_mask: Tensor | None = None, start: Tensor | None = None) -> Tensor:
    """The position [..., N] at which each step stops, M where it does not: a stop leads to the next row, anything else to the next position."""
    *batch, n, m = energy.shape
    found = torch.full((*batch, n), m, dtype=torch.long, device=energy.device)
    row = torch.zeros(batch, dtype=torch.long, device=energy.device)
    at = row.clone() if start is None else start.expand(batch).clone()
    if not found.numel():
        return found
    for _ in range(n + m - 1 if m else 0):
        inside, last = (row < n) & (at < m), row.clamp(max=n - 1)
        stop = inside & chosen(energy, attn_mask, last, at.clamp(max=m - 1))
        here = last.unsqueeze(-1)
        found.scatter_(-1, here, torch.where(stop.unsqueeze(-1), at.unsqueeze(-1), found.gather(-1, here)))
        row, at = row + stop.long(), at + (inside & ~stop).long()
    return found


def chosen(energy: Tensor, attn_mask: Tensor | None, row: Tensor, at: Tensor) -> Tensor:
    """Whether each sequence stops at its place of the table: bool [...]. One energy of each is read."""
    place = (*torch.meshgrid(*(torch.arange(size, device=energy.device) for size in row.shape), indexing="ij"), row, at) if row.dim() else (row, at)
    score = energy[place].to(accumulation(energy.dtype))
    if attn_mask is None:
        return score > 0
    mask = attn_mask.expand(energy.shape)[place]
    return (score > 0) & mask if mask.dtype == torch.bool else score + mask.to(score.dtype) > 0
