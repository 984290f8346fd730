"""Monotonic chunkwise attention with the alignment by monotonic attention's Triton kernels; chunks are moving sums, and both gradients meet in torch."""

from __future__ import annotations

import math

from torch import Tensor

from impl.chunkwise_monotonic.moving import spread
from impl.chunkwise_monotonic.reference import checked
from impl.masked import accumulation, visible
from impl.monotonic.fused import alignment, operators

__all__ = ["attention", "operators"]


def attention(
    energy: Tensor, chunk_energy: Tensor, value: Tensor, width: int, attn_mask: Tensor | None = None, previous: Tensor | None = None, *, tile: int | None = None
) -> Tensor:
    """As the reference. `tile`, and what is raised besides: as in `impl.monotonic.fused`."""
    checked(width, attn_mask)
    dtype = accumulation(energy.dtype)
    stops, scores = alignment(energy, attn_mask, previous, tile=tile), chunk_energy.to(dtype)
    weights = spread(stops, scores.masked_fill(~visible(scores, attn_mask, False), -math.inf), min(width, scores.shape[-1]))
    return (weights @ value.to(dtype)).to(energy.dtype)
