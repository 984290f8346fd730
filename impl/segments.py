"""Softmax over segments: rows of a tensor that belong together, wherever they stand, without padding. Each segment has a maximum of its own.

Segments are given by an owner for each row, int64 [E], from 0 up: `owners` makes it of lengths, and the difference of a CSR matrix's row pointers is lengths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Lengths = Tensor | Sequence[int]


def softmax(scores: Tensor, owner: Tensor, count: int) -> Tensor:
    """Weights [E, ...] of scores [E, ...], those of each of `count` segments summing to 1. A segment without rows has no weights. O(E)."""
    raised, _ = exponentials(scores, owner, count)
    return raised / total(raised, owner, count).index_select(0, owner)


def log_sum_exp(scores: Tensor, owner: Tensor, count: int) -> Tensor:
    """log Σ exp of each segment's scores: [E, ...] → [count, ...]; −∞ for a segment without rows."""
    raised, top = exponentials(scores, owner, count)
    return total(raised, owner, count).log() + top.masked_fill(top == -math.inf, 0.0)


def exponentials(scores: Tensor, owner: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """exp(score − the largest of its segment) [E, ...], and the largest [count, ...], −∞ without rows. The maximum cancels, so that no gradient passes it."""
    where = owner.reshape(-1, *[1] * (scores.dim() - 1)).expand(scores.shape)
    top = scores.new_full((count, *scores.shape[1:]), -math.inf).scatter_reduce(0, where, scores.detach(), "amax")
    return (scores - top.index_select(0, owner)).exp(), top


def total(x: Tensor, owner: Tensor, count: int) -> Tensor:
    """The sum of each segment's rows: [E, ...] → [count, ...]; 0 for a segment without rows."""
    return x.new_zeros(count, *x.shape[1:]).index_add(0, owner, x)


def counts(lengths: Lengths, rows: int, name: str) -> Tensor:
    """Lengths as int64. Raises ValueError for numbers that are not whole or below 0, or that do not sum to `rows`."""
    given = lengths if isinstance(lengths, Tensor) else torch.tensor(lengths if len(lengths) else [], dtype=torch.int64)
    if given.dim() != 1 or given.is_floating_point() or given.dtype == torch.bool:
        raise ValueError(f"{name} is {given.dtype} of shape {tuple(given.shape)}: expected integers of shape [segments]")
    if (given < 0).any() or int(given.sum()) != rows:
        raise ValueError(f"{name} = {given.tolist()} sums to {int(given.sum())}: expected lengths from 0 that sum to {rows}, the number of rows")
    return given.long()


def owners(lengths: Tensor) -> Tensor:
    """The segment of each row, int64 [E], where segments stand one behind the other: lengths [2, 0, 1] → 0, 0, 2."""
    return torch.arange(len(lengths), device=lengths.device).repeat_interleave(lengths)
