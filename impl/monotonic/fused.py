"""Monotonic attention by the Triton kernels of this folder: the alignment is one launch forward and one backward, whatever N and M.

The product with the values is torch's, on weights in the accumulator's dtype. They are stored for the next row and for the backward pass anyway, so a product
inside the kernel would only save reading them once more, and on tensor cores it would round them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impl.in_triton import Operators
from impl.masked import accumulation
from impl.scaled_dot_product.flash import four


def load() -> Any:
    from impl.monotonic import launch

    return launch


operators = Operators(load)


def attention(energy: Tensor, value: Tensor, attn_mask: Tensor | None = None, previous: Tensor | None = None, *, tile: int | None = None) -> Tensor:
    """As the reference. `tile`: positions that a program holds at once, a power of 2; by default all of a row, up to 2048. Raises ValueError for another tile,
    a dtype that is not floating, or `previous` of another number of positions; RuntimeError where triton is missing."""
    dtype = accumulation(energy.dtype)
    return (alignment(energy, attn_mask, previous, tile=tile) @ value.to(dtype)).to(energy.dtype)


def alignment(energy: Tensor, attn_mask: Tensor | None = None, previous: Tensor | None = None, *, tile: int | None = None) -> Tensor:
    """The weights α [..., N, M], in the accumulator's dtype."""
    checked(energy, previous, tile)
    dtype = accumulation(energy.dtype)
    bias = None
    if attn_mask is not None:
        bias = attn_mask if attn_mask.dtype == torch.bool else attn_mask.to(dtype)  # before it is expanded, so that its gradient is summed in that dtype
        bias = four(bias.expand(energy.shape))
        bias = bias.view(torch.uint8) if bias.dtype == torch.bool else bias
    begins = None if previous is None else four(previous.expand(*energy.shape[:-2], energy.shape[-1]).unsqueeze(-2)).squeeze(-2)
    found: Tensor = operators().monotonic_alignment(four(energy), bias, begins, [] if tile is None else [tile])
    return found.reshape(energy.shape)


def checked(energy: Tensor, previous: Tensor | None, tile: int | None) -> None:
    """Raise ValueError, quoting it, for what the kernels do not take."""
    if energy.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64) or energy.dim() < 2:
        raise ValueError(f"energy must be [..., N, M] of a floating dtype, got {energy.dtype} {tuple(energy.shape)}")
    if previous is not None and previous.shape[-1] != energy.shape[-1]:
        raise ValueError(f"previous has {previous.shape[-1]} positions, energy has {energy.shape[-1]}")
    if tile is not None and (tile < 1 or tile & (tile - 1)):
        raise ValueError(f"tile must be a power of 2, got {tile}")
