"""The plug-in estimate from one count over all samples: N + A · B numbers, where the reference holds N · (A + B)."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.instruments.mutual_information.reference import information as of_table
from impl.instruments.plug_in_information.reference import check


def information(x: Tensor, y: Tensor, sizes: tuple[int, int]) -> Tensor:
    """As the reference."""
    check(x, y, sizes)
    cells = sizes[0] * sizes[1]
    places = (x * sizes[1] + y).flatten(0, -2) if x.dim() > 1 else (x * sizes[1] + y).unsqueeze(0)  # [batch, N]
    offsets = torch.arange(len(places), device=x.device).unsqueeze(-1) * cells
    counts = torch.bincount((places + offsets).flatten(), minlength=len(places) * cells)
    return of_table(counts.reshape(*x.shape[:-1], *sizes).to(torch.float64))
