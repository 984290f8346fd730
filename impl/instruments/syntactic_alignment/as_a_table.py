"""Syntactic alignment as one contraction with the table of edges [N, M], for many maps and one tree."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.instruments.syntactic_alignment.reference import check
from impl.masked import accumulation


def alignment(weights: Tensor, tree: Tensor, kind: str = "weight") -> Tensor:
    """As the reference."""
    check(weights, tree, kind)
    p = weights.to(accumulation(weights.dtype))
    if kind == "argmax":
        best = (p == p.amax(-1, keepdim=True)).to(p.dtype)
        p = best / best.sum(-1, keepdim=True)
    heads, dependents = tree.unbind(-1)
    edges = torch.zeros(p.shape[-2:], dtype=p.dtype, device=p.device).index_put((dependents, heads), p.new_ones(()), accumulate=True)
    read = p.masked_fill(edges == 0, 0.0)  # 0 · NaN is not 0: rows without an edge may hold anything
    return (read.flatten(-2) @ edges.flatten() / len(tree)).to(weights.dtype)
