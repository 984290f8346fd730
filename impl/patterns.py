"""Sparse patterns: the set of keys that each row sees, and softmax attention over those sets, by a mask over all pairs or by the pairs of the pattern alone.

A pattern is a small frozen dataclass with one method. A new one is one file, impl/<variant>/reference.py, that makes it of the parameters it names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Protocol

import torch
from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


class Pattern(Protocol):
    """What each row sees."""

    def keys(self, row: int, count: int) -> Iterable[int]:
        """Positions of the keys that the row at position `row` sees. What lies outside of 0 … count − 1 is no key, and a position may come twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The row's own key, `left` keys before it and `right` after it, each `gap` positions from the next."""

    left: int
    right: int
    gap: int = 1

    def keys(self, row: int, count: int) -> Iterable[int]:
        before, after = min(self.left, row // self.gap), min(self.right, max(count - 1 - row, 0) // self.gap)
        return range(row - before * self.gap, row + after * self.gap + 1, self.gap)


@dataclass(frozen=True, slots=True, kw_only=True)
class Global:
    """Tokens that all rows see, and whose own rows see all keys."""

    tokens: tuple[int, ...]

    def keys(self, row: int, count: int) -> Iterable[int]:
        return range(count) if row in self.tokens else self.tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The keys that are listed for the row's position. Raises ValueError for a position that has no list."""

    lists: tuple[tuple[int, ...], ...]

    def keys(self, row: int, count: int) -> Iterable[int]:
        if row >= len(self.lists):
            raise ValueError(f"indices has {len(self.lists)} rows, one for each position, and a query stands at position {row}")
        return self.lists[row]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtRandom:
    """`each` different keys, uniformly among all sets of so many, drawn for each row by itself: in O(each) operations, the same for the same seed."""

    each: int
    seed: int

    def keys(self, row: int, count: int) -> Iterable[int]:
        return Random(f"{self.seed}/{row}").sample(range(count), min(self.each, count))


@dataclass(frozen=True, slots=True, kw_only=True)
class Union:
    """What any of several patterns shows."""

    parts: tuple[Pattern, ...]

    def keys(self, row: int, count: int) -> Iterable[int]:
        return {key for part in self.parts for key in part.keys(row, count)}


def random_keys(indices: Tensor | tuple[int, int]) -> Pattern:
    """Lists [L, R] of keys, −1 for none, or a pair (how many for each row, seed). Raises ValueError for anything else."""
    if isinstance(indices, Tensor):
        if indices.dim() != 2 or indices.is_floating_point() or indices.dtype == torch.bool:
            raise ValueError(f"indices {indices.dtype} {tuple(indices.shape)}: expected whole numbers [L, R], the R keys of each of L positions")
        return Listed(lists=tuple(map(tuple, indices.tolist())))
    each, seed = indices
    if each < 0:
        raise ValueError(f"indices ({each}, {seed}): expected a number of keys from 0 and a seed")
    return AtRandom(each=each, seed=seed)


def sets(pattern: Pattern, n: int, m: int, is_causal: bool, start: int) -> list[list[int]]:
    """The keys 0 … m − 1 that each of n rows sees, in ascending order; row i stands at position start + i, and `is_causal` hides what lies after it."""
    if start < 0:
        raise ValueError(f"start {start}: the first query stands at a position from 0")
    ends = (min(m, row + 1) if is_causal else m for row in range(start, start + n))
    return [sorted({key for key in pattern.keys(start + i, m) if 0 <= key < end}) for i, end in enumerate(ends)]


def mask_of(rows: Sequence[Sequence[int]], m: int) -> Tensor:
    """The sets as a boolean mask [N, M]: True where a row sees a key."""
    mask = torch.zeros(len(rows), m, dtype=torch.bool)
    for row, keys in zip(mask, rows, strict=True):
        row[list(keys)] = True
    return mask


Method = Callable[[Tensor, Tensor, Tensor, Pattern, Tensor | None, bool, float | None, int], Tensor]


def by_mask(
    query: Tensor, key: Tensor, value: Tensor, pattern: Pattern, attn_mask: Tensor | None, is_causal: bool, scale: float | None, start: int
) -> Tensor:  # fmt: skip
    """softmax_j(scale · q_i·k_j + mask) over the keys that row i sees, summed with their values: the definition, by all N × M scores.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. A row that sees no key is zero.
    """
    dtype = accumulation(query.dtype)
    scores = query.to(dtype) @ key.to(dtype).mT * factor(scale, query.shape[-1])  # [..., N, M]
    shown = mask_of(sets(pattern, query.shape[-2], key.shape[-2], is_causal, start), key.shape[-2]).to(query.device)
    weights = softmax(biased(scores, attn_mask), visible(scores, attn_mask, False) & shown)
    return (weights @ value.to(dtype)).to(query.dtype)


def by_pairs(
    query: Tensor, key: Tensor, value: Tensor, pattern: Pattern, attn_mask: Tensor | None, is_causal: bool, scale: float | None, start: int
) -> Tensor:  # fmt: skip
    """As `by_mask`, with no score but those of the pattern: rows with sets of like size together, each with its keys and values gathered [..., R, S, D].

    Fewer than twice as many scores as the pattern has pairs, and so many times D (or E) numbers in the largest tensor.
    """
    dtype, n, m = accumulation(query.dtype), query.shape[-2], key.shape[-2]
    q, k, v = (x.to(dtype) for x in (query, key, value))
    rows = sets(pattern, n, m, is_causal, start)
    groups = alike([len(keys) for keys in rows])
    outputs = []
    for group in groups:
        places = torch.tensor(group, dtype=torch.long, device=query.device)
        index, there = (x.to(query.device) for x in padded([rows[i] for i in group]))
        bias = None if attn_mask is None else attn_mask.expand(*attn_mask.shape[:-2], n, m)[..., places[:, None], index]  # [..., R, S]
        outputs.append(over_sets(q[..., places, :], gathered(k, index), gathered(v, index), there, bias, factor(scale, query.shape[-1])))
    back = torch.tensor([i for group in groups for i in group], dtype=torch.long, device=query.device).argsort()
    return torch.cat(outputs, dim=-2)[..., back, :].to(query.dtype)


def over_sets(query: Tensor, keys: Tensor, values: Tensor, there: Tensor, bias: Tensor | None, times: float) -> Tensor:
    """Attention of rows [..., R, D], each over keys [..., R, S, D] and values [..., R, S, E] of its own, where they are `there` [R, S] and seen."""
    seen = visible(there, bias, False) & there  # [..., R, S]
    keys, values = (x.masked_fill(~seen.unsqueeze(-1), 0.0) for x in (keys, values))  # 0 · NaN is NaN
    scores = (keys @ query.unsqueeze(-1)).squeeze(-1) * times
    return (softmax(biased(scores, bias), seen).unsqueeze(-2) @ values).squeeze(-2)


def gathered(x: Tensor, index: Tensor) -> Tensor:
    """Rows of x [..., M, D] at index [R, S]: [..., R, S, D]."""
    found: Tensor = x.index_select(-2, index.flatten()).unflatten(-2, tuple(index.shape))
    return found


def alike(counts: Sequence[int]) -> list[list[int]]:
    """The places of the counts, in groups in which none is twice another or more; one empty group where there are none."""
    groups: dict[int, list[int]] = {}
    for place, count in enumerate(counts):
        groups.setdefault(count.bit_length(), []).append(place)
    return list(groups.values()) or [[]]


def padded(rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Lists as long as the longest, filled up with 0: [R, S], and which entries are there, bool [R, S]."""
    width = max(map(len, rows), default=0)
    index = torch.tensor([[*row, *[0] * (width - len(row))] for row in rows], dtype=torch.long).reshape(len(rows), width)
    return index, torch.arange(width) < torch.tensor([len(row) for row in rows], dtype=torch.long).unsqueeze(-1)


def factor(scale: float | None, width: int) -> float:
    """The scale, 1/√D by default."""
    return 1 / math.sqrt(width) if scale is None else scale
