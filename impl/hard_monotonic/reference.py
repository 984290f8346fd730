"""Hard monotonic attention at test time: each step reads on from where the step before stopped, and stops at the first position with p > 1/2."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from impl.masked import accumulation, biased, visible


def attention(energy: Tensor, value: Tensor, attn_mask: Tensor | None = None, start: Tensor | None = None) -> Tensor:
    """v_j of the first position j with energy above 0 (p = sigmoid(energy) > 1/2) from the position of the step before on, itself included; 0 if there is none.

    Shapes: energy [..., N, M], value [..., M, E], start [...] (integers): where the first row begins, by default at position 0, M being past the end →
    [..., N, E], bit by bit rows of `value`. A step that finds nothing has run off the end, and so have all after it. `attn_mask` broadcasts to [..., N, M]:
    boolean (False: no stop here) or added to the energies. Draws z of the training process are energies of either sign. The energies have no gradient.
    Source: Raffel et al. 2017, section 2.2 and algorithm 1, https://arxiv.org/abs/1704.00784
    """
    return taken(value, stops(energy, attn_mask, start))


def stops(energy: Tensor, attn_mask: Tensor | None = None, start: Tensor | None = None) -> Tensor:
    """The position [..., N] at which each step stops, M where it does not."""
    scores = biased(energy.to(accumulation(energy.dtype)), attn_mask)
    chosen = (scores > 0) & visible(scores, attn_mask, False)
    places = torch.arange(energy.shape[-1], device=energy.device)
    at = torch.zeros(chosen.shape[:-2], dtype=torch.long, device=energy.device) if start is None else start
    found = []
    for row in chosen.unbind(-2):
        ahead = torch.where(row & (places >= at.unsqueeze(-1)), places, len(places))
        at = pad(ahead, (0, 1), value=len(places)).amin(-1)
        found.append(at)
    return torch.stack(found, dim=-1) if found else at.new_zeros((*at.shape, 0))


def taken(value: Tensor, at: Tensor) -> Tensor:
    """Rows [..., N, E] of the values, zeros for the position after the last."""
    return torch.take_along_dim(pad(value, (0, 0, 0, 1)), at.unsqueeze(-1), dim=-2)
