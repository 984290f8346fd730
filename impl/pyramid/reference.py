"""Coarse-to-fine attention by its definition: each row chooses cells by the means of their keys, and attends to the keys inside them."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.cells import averaging, owners
from impl.masked import accumulation, softmax
from impl.scored import scored


def attention(query: Tensor, key: Tensor, value: Tensor, width: int, top_k: int, scale: float | None = None) -> Tensor:
    """softmax(scale · Q Kᵀ) V over the keys of the `top_k` cells whose mean key has the highest product with the row's query.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. Cells of `width` keys start at the first one, the last cell is shorter. Of
    equal cells the first is taken. The choice has no gradient. `scale` is 1/√D by default; it orders the cells too, so that below 0 the lowest products are
    chosen. A row that chooses nothing is 0. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for a width below 1 or a top_k
    below 0. Source: QuadTree attention, Tang, Zhang, Zhu and Tan 2022, https://arxiv.org/abs/2201.02767: two levels of its pyramid, in one dimension, each row
    choosing for itself, and with no message from the coarse level.
    """
    if top_k < 0:
        raise ValueError(f"top_k = {top_k}: expected a number of cells from 0")
    dtype, m = accumulation(query.dtype), key.shape[-2]
    q, k, v = (x.to(dtype) for x in (query, key, value))
    coarse, _ = scored(q, averaging(m, width, k) @ k, None, False, scale)  # [..., N, C]
    best = coarse.argsort(dim=-1, descending=True, stable=True)[..., :top_k]
    chosen = torch.zeros_like(coarse, dtype=torch.bool).scatter(-1, best, torch.ones_like(best, dtype=torch.bool))
    scores, _ = scored(q, k, None, False, scale)
    return (softmax(scores, chosen[..., owners(m, width, k)]) @ v).to(query.dtype)
