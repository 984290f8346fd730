"""Monotonic chunkwise attention with moving sums: `width` shifted tensors of the energies' shape in place of every pair of positions.

Each chunk subtracts its own maximum. Sums of e^u without that overflow, and one maximum for a whole row leaves chunks far below it with the sum 0.
"""

from __future__ import annotations

import math
from functools import reduce

import torch
from torch import Tensor
from torch.nn.functional import pad

from impl.chunkwise_monotonic.reference import checked
from impl.masked import accumulation, visible
from impl.monotonic.scan import alignment


def attention(energy: Tensor, chunk_energy: Tensor, value: Tensor, width: int, attn_mask: Tensor | None = None, previous: Tensor | None = None) -> Tensor:
    """As the reference. No tensor is longer than N · M (or M · E); 2 · width of them live at once."""
    checked(width, attn_mask)
    dtype = accumulation(energy.dtype)
    stops, scores = alignment(energy.to(dtype), attn_mask, previous), chunk_energy.to(dtype)
    weights = spread(stops, scores.masked_fill(~visible(scores, attn_mask, False), -math.inf), min(width, scores.shape[-1]))
    return (weights @ value.to(dtype)).to(energy.dtype)


def spread(stops: Tensor, scores: Tensor, width: int) -> Tensor:
    """β [..., N, M]: each α_k shared among its chunk, the positions k − s for s < width."""
    if not width:
        return stops
    before = [pad(scores[..., : scores.shape[-1] - s], (s, 0), value=-math.inf) for s in range(width)]  # u_{k−s}
    top = reduce(torch.maximum, before).detach()
    top = top.masked_fill(top == -math.inf, 0.0)  # a chunk without a visible position: α_k is 0 there
    raised = [(u - top).exp() for u in before]
    mass = reduce(torch.add, raised)
    shared = stops / mass.masked_fill(mass == 0, 1.0)
    return reduce(torch.add, [pad((shared * part)[..., s:], (0, s)) for s, part in enumerate(raised)])
