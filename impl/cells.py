"""Cells of a sequence: runs of so many positions from the first on, the last one shorter."""

from __future__ import annotations

import torch
from torch import Tensor


def owners(length: int, width: int, like: Tensor) -> Tensor:
    """The cell of each of `length` positions, int64 [M]. Raises ValueError for a width below 1."""
    if width < 1:
        raise ValueError(f"a cell of {width} positions: expected at least 1")
    return torch.arange(length, device=like.device) // width


def averaging(length: int, width: int, like: Tensor) -> Tensor:
    """The matrix [C, M], in the dtype of `like`, that takes keys to the means of their cells."""
    owner = owners(length, width, like)
    members = owner == torch.arange(-(-length // width), device=like.device).unsqueeze(-1)  # [C, M]
    return members.to(like.dtype) / members.sum(-1, keepdim=True)
