"""Which positions of a sequence each rank holds, and which pairs of them meet.

With N positions in c chunks, chunk i is [⌊i N / c⌋, ⌊(i + 1) N / c⌋): lengths differ by one at most, and some are 0 where N < c. Rank r of P holds
"contiguous": chunk r of P; "zigzag": chunks r and 2P − 1 − r of 2P; "striped": the positions r, r + P, r + 2P, … A causal row i sees i + 1 keys, so that
the last rank of contiguous shards has nearly twice the mean number of pairs; zigzag shards have equal numbers where 2P divides N (Grattafiori et al. 2024,
section 3.3.2, https://arxiv.org/abs/2407.21783), striped ones nearly so (Brandon et al. 2023, https://arxiv.org/abs/2311.09431).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

Runs = tuple[range, ...]  # the positions of a shard, in the order in which it holds them


class Sequence(NamedTuple):
    """What every rank knows of a call: the lengths N and M of the whole, how they are shared, and how scores are formed."""

    queries: int
    keys: int
    world: int
    layout: str
    causal: bool
    scale: float

    def rows(self, rank: int) -> Runs:
        """The queries that a rank holds."""
        return runs(self.queries, self.world, self.layout, rank)

    def columns(self, rank: int) -> Runs:
        """The keys that a rank holds."""
        return runs(self.keys, self.world, self.layout, rank)


class Tile(NamedTuple):
    """A run of queries and a run of keys that see each other: where they lie in their shards, and what is hidden (bool, None where nothing is)."""

    rows: slice
    columns: slice
    hidden: Tensor | None


def described(query: Tensor, key: Tensor, world: int, is_causal: bool, scale: float | None, layout: str) -> Sequence:
    """The call of whole tensors query [..., N, D] and key [..., M, D]."""
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    return Sequence(query.shape[-2], key.shape[-2], world, layout, is_causal, factor)


def runs(length: int, world: int, layout: str, rank: int) -> Runs:
    """The positions of `length` that a rank holds; a run may be empty."""
    if layout == "striped":
        return (range(rank, max(length, rank), world),)
    if layout == "zigzag":
        return chunk(length, 2 * world, rank), chunk(length, 2 * world, 2 * world - 1 - rank)
    return (chunk(length, world, rank),)


def chunk(length: int, chunks: int, number: int) -> range:
    return range(number * length // chunks, (number + 1) * length // chunks)


def size(positions: Runs) -> int:
    """How many positions a shard has."""
    return sum(len(run) for run in positions)


def shard(x: Tensor, positions: Runs) -> Tensor:
    """The rows of x [..., N, D] at these positions, in memory of their own: [..., n, D]."""
    return torch.cat([x[..., run.start : run.stop : run.step, :] for run in positions], dim=-2)


def joined(parts: list[Tensor], positions: list[Runs]) -> Tensor:
    """The whole [..., N, D] of the shards of all ranks."""
    whole = parts[0].new_empty(*parts[0].shape[:-2], sum(size(runs) for runs in positions), parts[0].shape[-1])
    for part, runs in zip(parts, positions, strict=True):
        for run, at in placed(runs):
            whole[..., run.start : run.stop : run.step, :] = part[..., at, :]
    return whole


def placed(positions: Runs) -> Iterator[tuple[range, slice]]:
    """Each run that is not empty, and where it lies in its shard."""
    start = 0
    for run in positions:
        if len(run):
            yield run, slice(start, start + len(run))
        start += len(run)


def tiles(sequence: Sequence, rank: int, source: int) -> Iterator[Tile]:
    """What the queries of `rank` see of the keys of `source`: tiles that are hidden as a whole are left out."""
    for row, rows in placed(sequence.rows(rank)):
        for column, columns in placed(sequence.columns(source)):
            if not sequence.causal or column[-1] <= row[0]:
                yield Tile(rows, columns, None)
            elif column[0] <= row[-1]:
                yield Tile(rows, columns, positions(column) > positions(row)[:, None])


def positions(run: range) -> Tensor:
    return torch.arange(run.start, run.stop, run.step)
