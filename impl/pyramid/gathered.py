"""Coarse-to-fine attention that touches no key of a cell that is not chosen: N · (⌈M / width⌉ + top_k · width) pairs."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from impl.cells import owners
from impl.masked import accumulation, softmax
from impl.scored import scored


def attention(query: Tensor, key: Tensor, value: Tensor, width: int, top_k: int, scale: float | None = None) -> Tensor:
    """As the reference. Memory N · ⌈M / width⌉ coarse scores, and for each row the top_k · width keys and values of its cells."""
    if top_k < 0:
        raise ValueError(f"top_k = {top_k}: expected a number of cells from 0")
    dtype, m = accumulation(query.dtype), key.shape[-2]
    q, k, v = (x.to(dtype) for x in (query, key, value))
    held = owners(m, width, k).bincount(minlength=-(-m // width))  # keys in each cell
    keys, values = (pad(x, (0, 0, 0, len(held) * width - m)).unflatten(-2, (len(held), width)) for x in (k, v))  # [..., C, width, D]
    coarse, _ = scored(q, keys.sum(-2) / held.unsqueeze(-1), None, False, scale)  # [..., N, C]
    best = coarse.detach().argsort(dim=-1, descending=True, stable=True)[..., :top_k]  # [..., N, K]
    there = (torch.arange(width, device=k.device) < held[best].unsqueeze(-1)).flatten(-2)  # [..., N, K · width]
    own_keys, own_values = inside(keys, best), inside(values, best)  # [..., N, K · width, D]
    scores, _ = scored(q.unsqueeze(-2), own_keys, None, False, scale)
    return (softmax(scores, there.unsqueeze(-2)) @ own_values).squeeze(-2).to(query.dtype)


def inside(cells: Tensor, best: Tensor) -> Tensor:
    """The rows of each query's cells: [..., C, W, D] at best [..., N, K] → [..., N, K · W, D]."""
    flat = cells.flatten(-2).expand(*best.shape[:-2], -1, -1)  # [..., C, W · D]
    places = best.flatten(-2).unsqueeze(-1).expand(*best.shape[:-2], -1, flat.shape[-1])
    found: Tensor = flat.gather(-2, places).reshape(*best.shape, *cells.shape[-2:])  # [..., N, K, W, D]
    return found.flatten(-3, -2)
