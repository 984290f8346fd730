"""The index of block-sparse attention: for each block of one axis, which blocks of the other are wholly visible, which partly, and what is visible of these."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Numbers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
WORD = 32  # bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What one kernel walks over, all int32.

    `offsets` [2 (blocks + 1)]: where in `others` the whole blocks of each outer block begin, then where its partly visible ones do; `others` [P + 1]: inner
    blocks in ascending order, all whole ones first, and one entry more; `bits` [partly visible, OUTER, ⌈INNER / 32⌉]: bit b of word w of a line says whether
    inner position 32 w + b of the block is visible.
    """

    offsets: Tensor
    others: Tensor
    bits: Tensor

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.offsets, self.others, self.bits


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A block mask, bool [⌈N / block⌉, ⌈M / block⌉] or larger: every pair of a named block is visible. `lengths` = (N, M)."""

    block: int
    named: Tensor
    lengths: tuple[int, int]


def pairs_of(rows: Sequence[Sequence[int]], keys: int) -> tuple[Numbers, Numbers]:
    """The sets of keys that rows see, as pairs (row, key). Raises ValueError for a key twice, or outside 0 … `keys` − 1."""
    counts = np.fromiter(map(len, rows), np.int64, len(rows))
    row, key = np.repeat(np.arange(len(rows)), counts), np.fromiter(chain.from_iterable(rows), np.int64, int(counts.sum()))
    if ((key < 0) | (key >= keys)).any() or len(np.unique(row * max(keys, 1) + key)) < len(key):
        raise ValueError(f"a row's keys are different numbers from 0 to {keys - 1}: see impl.patterns.sets")
    return row, key


def of_pairs(outer: Numbers, inner: Numbers, lengths: tuple[int, int], tile: tuple[int, int]) -> Index:
    """The index of different visible pairs, for axes of these lengths in blocks of `tile` = (OUTER, INNER): memory in proportion to the pairs, and the time
    of sorting them. Nothing has an entry for each pair of positions, or of blocks."""
    across = max(-(-lengths[1] // tile[1]), 1)
    names, which, counts = np.unique(outer // tile[0] * across + inner // tile[1], return_inverse=True, return_counts=True)
    block, other = names // across, names % across
    whole = counts == np.minimum(tile[0], lengths[0] - block * tile[0]) * tile[1]  # which a block that is cut cannot reach
    hidden = ~whole[which]
    lines = (np.cumsum(~whole) - 1)[which[hidden]] * tile[0] + outer[hidden] % tile[0]
    return listed(block, other, whole, bits_of(lines, inner[hidden] % tile[1], int((~whole).sum()), tile), -(-lengths[0] // tile[0]))


def of_layout(layout: Layout, tile: tuple[int, int], turned: bool) -> Index:
    """The index of a block mask; `turned`: keys outside. Time and memory in proportion to the mask in tiles. Raises ValueError where a block is no whole
    number of tiles."""
    if layout.block % tile[0] or layout.block % tile[1]:
        raise ValueError(f"blocks of {layout.block} positions are no whole number of tiles of {tile[0]} and {tile[1]}")
    lengths, named = (layout.lengths[::-1], layout.named.T) if turned else (layout.lengths, layout.named)
    places = (np.arange(-(-length // size)) * size // layout.block for length, size in zip(lengths, tile, strict=True))
    block, other = named.cpu().numpy()[np.ix_(*places)].nonzero()
    whole = (other + 1) * tile[1] <= lengths[1]
    cut = block[~whole]
    left = lengths[1] % tile[1]  # of the last block, which alone is cut
    rows = np.minimum(tile[0], lengths[0] - cut * tile[0])
    lines = np.concatenate([number * tile[0] + np.arange(count) for number, count in enumerate(rows)] or [np.zeros(0, np.int64)])
    bits = bits_of(np.repeat(lines, left), np.tile(np.arange(left), len(lines)), len(cut), tile)
    return listed(block, other, whole, bits, -(-lengths[0] // tile[0]))


def bits_of(lines: Numbers, inner: Numbers, count: int, tile: tuple[int, int]) -> npt.NDArray[np.int32]:
    """[count, OUTER, ⌈INNER / 32⌉] with a bit for each pair of a line (of all blocks together) and a place in its block."""
    words = -(-tile[1] // WORD)
    # different bits add up as they would be joined, and float64 holds their sum exactly
    found = np.bincount(lines * words + inner // WORD, weights=2.0 ** (inner % WORD), minlength=count * tile[0] * words)
    return found.astype(np.uint32).view(np.int32).reshape(count, tile[0], words)


def listed(block: Numbers, other: Numbers, whole: Flags, bits: npt.NDArray[np.int32], blocks: int) -> Index:
    """Blocks in ascending order as lists by outer block, the whole ones first."""
    counts = np.stack([np.bincount(block[part], minlength=blocks) for part in (whole, ~whole)])
    offsets = np.zeros((2, blocks + 1), np.int64)
    offsets[:, 1:] = counts.cumsum(1)
    offsets[1] += offsets[0, -1]
    others = np.concatenate([other[whole], other[~whole], [0]])
    return Index(offsets=torch.from_numpy(offsets.reshape(-1).astype(np.int32)), others=torch.from_numpy(others.astype(np.int32)), bits=torch.from_numpy(bits))
