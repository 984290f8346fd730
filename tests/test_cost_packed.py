"""What packing, batches of similar lengths, blockwise retrieval and learned spans cost: pairs of query and key from torch's count of products, numbers in
the largest tensor, padded slots; each exact."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl.adaptive_span import banded
from impl.adaptive_span import reference as all_pairs
from impl.packed import buckets, segments
from impl.packed import reference as block_diagonal
from impl.packed.buckets import groups, padded_total
from impl.retrieval import blockwise
from impl.retrieval import reference as all_scores
from tests.benchmarks.live_bytes import counting

D, E, FLOAT = 8, 4, 4
Call = Callable[..., Tensor]
PACKS = ([5, 1, 0, 9, 2], [64, 3, 3, 2, 64, 1], [1] * 30, [40, 0, 41])


def inputs(n: int, m: int, heads: int = 1) -> list[Tensor]:
    random = torch.Generator().manual_seed(n)
    return [torch.randn(heads, length, width, generator=random) for length, width in ((n, D), (m, D), (m, E))]


def pairs(attention: Call, *arguments: Any, **keywords: Any) -> int:
    """Pairs of query and key: a score takes 2 D operations, its value 2 E."""
    with FlopCounterMode(display=False) as counter:
        attention(*arguments, **keywords)
    assert counter.get_total_flops() % (2 * (D + E)) == 0
    return int(counter.get_total_flops()) // (2 * (D + E))


def largest(attention: Call, *arguments: Any) -> int:
    """Numbers in the largest tensor that the call makes."""
    with counting() as live:
        attention(*arguments)
    return live.largest // FLOAT


@pytest.mark.parametrize("lengths", PACKS, ids=str)
def test_segments_take_the_pairs_within_sequences_and_no_others(lengths: list[int]) -> None:
    total, keys = sum(lengths), [2 * n for n in lengths]
    x = inputs(total, 2 * total)
    assert pairs(segments.attention, *x, lengths, keys) == sum(2 * n * n for n in lengths)
    assert pairs(block_diagonal.attention, *x, lengths, keys) == 2 * total * total
    assert largest(segments.attention, *x, lengths, keys) == max(2 * max(lengths) ** 2, total * E)


@pytest.mark.parametrize("batches", [1, 2, 3])
@pytest.mark.parametrize("lengths", PACKS, ids=str)
def test_batches_take_their_padded_pairs(lengths: list[int], batches: int) -> None:
    total = sum(lengths)
    expected = sum(len(batch) * max(lengths[place] for place in batch) ** 2 for batch in groups(lengths, batches))
    assert pairs(partial(buckets.attention, batches=batches), *inputs(total, total), lengths, lengths) == expected


def partitions(count: int, most: int) -> Iterator[list[list[int]]]:
    """All ways to put so many sequences into at most so many batches, in any order."""
    for labels in itertools.product(range(most), repeat=count):
        yield [batch for batch in ([place for place in range(count) if labels[place] == label] for label in range(most)) if batch]


@pytest.mark.parametrize("lengths", [[3, 9, 1, 4, 9, 2], [5, 5, 5, 5], [0, 7, 0, 1, 6], [8, 1, 7, 2, 6, 3, 5], [4]], ids=str)
def test_no_batches_have_fewer_padded_slots(lengths: list[int]) -> None:
    """Against every partition, not only into runs of similar lengths; each sequence is in one batch."""
    for batches in (1, 2, 3):
        chosen = groups(lengths, batches)
        assert sorted(itertools.chain(*chosen)) == list(range(len(lengths)))
        assert len(chosen) <= batches
        assert padded_total(lengths, chosen) == min(padded_total(lengths, other) for other in partitions(len(lengths), batches))


def test_more_batches_never_pad_more_and_one_a_sequence_pads_nothing() -> None:
    lengths = torch.randint(0, 50, (40,), generator=torch.Generator().manual_seed(0)).tolist()
    totals = [padded_total(lengths, groups(lengths, batches)) for batches in (1, 2, 3, 5, 8, 40)]
    assert totals == sorted(totals, reverse=True)
    assert totals[0] == 40 * max(lengths)
    assert totals[-1] == sum(lengths)


@pytest.mark.parametrize("lengths", [[2, 2], [-1, 3]], ids=str)
def test_lengths_that_do_not_fit_are_refused(lengths: list[int]) -> None:
    refusing: tuple[Call, ...] = (block_diagonal.attention, segments.attention, buckets.attention)
    for attention in refusing:
        with pytest.raises(ValueError, match="lengths_q"):
            attention(*inputs(3, 3), lengths, [1, 1])
        with pytest.raises(ValueError, match="sequences"):
            attention(*inputs(3, 3), [1, 1], [3])
        with pytest.raises(ValueError, match="expected integers"):
            attention(*inputs(3, 3), torch.ones(2), [1, 1])
    with pytest.raises(ValueError, match="at least 1"):
        groups([1], 0)


@pytest.mark.parametrize("entries", [256, 512, 1024, 4096])
@pytest.mark.parametrize(("top_k", "block"), [(4, 32), (16, 64)])
def test_blockwise_retrieval_holds_nothing_that_grows_with_the_memory(entries: int, top_k: int, block: int) -> None:
    """The running best and a block: N · (k + block) scores, or places of 8 bytes, and each row's k entries, whatever R is; all scores at once are N (M + R)."""
    n = 6
    random = torch.Generator().manual_seed(entries)
    memory = torch.randn(1, entries, D, generator=random), torch.randn(1, entries, E, generator=random)
    x = inputs(n, n)
    with torch.no_grad():
        held = largest(partial(blockwise.attention, block=block), *x, *memory, top_k)
        assert held == max(2 * n * (top_k + block), n * top_k * D)
        assert largest(all_scores.attention, *x, *memory, top_k) >= n * (n + entries)


@pytest.mark.parametrize("entries", [64, 128, 256])
def test_a_search_weighs_every_entry_once_and_the_softmax_those_retrieved(entries: int) -> None:
    n, top_k = 6, 8
    random = torch.Generator().manual_seed(entries)
    memory = torch.randn(1, entries, D, generator=random), torch.randn(1, entries, E, generator=random)
    searched: Call = partial(blockwise.attention, block=32)
    with FlopCounterMode(display=False) as counter:
        searched(*inputs(n, n), *memory, top_k)
    assert counter.get_total_flops() == 2 * n * (entries * D + (top_k + n) * (D + E))


@pytest.mark.parametrize("n", [64, 128, 256])
@pytest.mark.parametrize("spans", [(0.0, 3.0), (5.5, 20.0), (-2.0, 1000.0)])
def test_a_head_meets_the_keys_within_its_own_span(n: int, spans: tuple[float, float]) -> None:
    """Σ over heads of N · ⌈R + z⌉ pairs, no more than N² each; the reference takes N² for each."""
    ramp = 4.0
    x = inputs(n, n, heads=2)
    assert pairs(banded.attention, *x, torch.tensor(spans), ramp) == sum(n * min(max(int(-(-(ramp + z) // 1)), 1), n) for z in spans)
    assert pairs(all_pairs.attention, *x, torch.tensor(spans), ramp) == 2 * n * n


def test_wrong_arguments_are_named() -> None:
    x = inputs(3, 3, heads=2)
    spanned: tuple[Call, ...] = (all_pairs.attention, banded.attention)
    for attention in spanned:
        with pytest.raises(ValueError, match="one a head"):
            attention(*x, torch.zeros(3))
        with pytest.raises(ValueError, match="above 0"):
            attention(*x, torch.zeros(2), 0.0)
    retrieving: tuple[Call, ...] = (all_scores.attention, blockwise.attention)
    for attention in retrieving:
        with pytest.raises(ValueError, match="top_k = -1"):
            attention(*x, *x[1:], -1)
        with pytest.raises(ValueError, match=r"torch\.bool"):
            attention(*x, *x[1:], 1, torch.ones(3, 3))
