"""What caches refuse, with messages that quote what was given and say what would be right; and that a refused part leaves a cache as it was."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from impl import cached, compressed_state, decayed, window_cache
from impl.cached.cache import KeyValueCache
from impl.cached.paged import PagedCache
from impl.window_cache.rolling import RollingCache

B, G, D, E = 2, 2, 3, 4


def token(n: int = 1, *, b: int = B, g: int = G, width: int = D, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.ones(b, g, n, width, dtype=dtype)


def filled(capacity: int = 3, length: int = 2) -> KeyValueCache:
    held = KeyValueCache(B, G, capacity, D, E)
    held.append(token(length), token(length, width=E))
    return held


def test_too_many_tokens_are_refused_and_change_nothing() -> None:
    held = filled()
    before = held.key.clone()
    with pytest.raises(ValueError, match="no room: 4 tokens after this part, the capacity is 3; make the cache larger, or one that grows"):
        held.append(2 * token(2), token(2, width=E))
    assert held.lengths == [2, 2]
    assert torch.equal(held.key, before)
    held.append(token(), token(width=E))
    assert held.lengths == [3, 3], "the last slot is a slot"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (token(width=D + 1), token(width=E), r"key \(2, 2, 1, 4\): this cache takes \[2, 2, n, 3\]"),
        (token(), token(width=D), r"value \(2, 2, 1, 3\): this cache takes \[2, 2, n, 4\]"),
        (token(g=1), token(width=E), r"key \(2, 1, 1, 3\): this cache takes \[2, 2, n, 3\]"),
        (token(b=1), token(width=E), r"key \(1, 2, 1, 3\): this cache takes \[2, 2, n, 3\]"),
        (token()[0], token(width=E), r"key \(2, 1, 3\): this cache takes \[2, 2, n, 3\]"),
        (token(dtype=torch.float64), token(width=E), "key is torch.float64 on cpu: this cache holds torch.float32 on cpu; convert it first"),
        (token().to("meta"), token(width=E), "key is torch.float32 on meta: this cache holds torch.float32 on cpu; convert it first"),
        (token().requires_grad_(), token(width=E), r"key wants a gradient, and a cache passes none: detach it, or call under torch.no_grad\(\)"),
        (token(2), token(1, width=E), r"key \(2, 2, 2, 3\) and value \(2, 2, 1, 4\) have different numbers of tokens"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(key: Tensor, value: Tensor, message: str) -> None:
    paged = PagedCache(torch.arange(4).reshape(2, 2), 4, 2, G, D, E)
    rolling = RollingCache(B, G, 2, 0, 2, D, E)
    for held in (filled(), paged, rolling):
        with pytest.raises(ValueError, match=message):
            held.append(key, value)


@pytest.mark.parametrize("counts", [[1], [1, 3], [-1, 1]])
def test_counts_that_do_not_fit_are_refused(counts: list[int]) -> None:
    with pytest.raises(ValueError, match=r"counts \[.*\]: expected 2, one a sequence, each 0 … 2"):
        filled(9).append(token(2), token(2, width=E), counts)
    with pytest.raises(ValueError, match=r"counts \[.*\]: expected 2, one a sequence, each 0 … 2"):
        PagedCache(torch.arange(4).reshape(2, 2), 4, 2, G, D, E).append(token(2), token(2, width=E), counts)


def test_sequences_of_one_cache_may_differ_in_length() -> None:
    held = KeyValueCache(B, G, 3, D, E)
    held.append(token(2), token(2, width=E), [2, 0])
    held.append(2 * token(), 2 * token(width=E))
    assert held.lengths == [3, 1]
    assert held.key[:, 0, :, 0].tolist() == [[1, 1, 2], [2, 0, 0]]


def test_a_cache_that_grows_keeps_what_it_held() -> None:
    held = KeyValueCache(1, 1, 1, 1, 1, grows=True)
    for t in range(9):
        held.append(torch.full((1, 1, 1, 1), float(t)), torch.full((1, 1, 1, 1), float(-t)))
    assert held.key[0, 0, :9, 0].tolist() == list(range(9))
    assert held.value[0, 0, :9, 0].tolist() == [-t for t in range(9)]
    assert held.capacity == 16


def test_nothing_of_the_caller_s_is_kept() -> None:
    key, value = token(2), token(2, width=E)
    caches: tuple[KeyValueCache | PagedCache | RollingCache, ...] = (
        filled(9, 0),
        PagedCache(torch.arange(4).reshape(2, 2), 4, 2, G, D, E),
        RollingCache(B, G, 3, 1, 2, D, E),
    )
    for held in caches:
        held.append(key, value)
    kept = [held.key.clone() for held in caches]
    key.fill_(7)
    assert all(torch.equal(held.key, before) for held, before in zip(caches, kept, strict=True))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[0, 4], [1, 2]], r"page 4 in the page table: the pool has the pages 0 … 3"),
        ([[0, -1], [1, 2]], r"page -1 in the page table: the pool has the pages 0 … 3"),
        ([[0, 1], [1, 2]], r"pages \[0, 1, 1, 2\] in use: one stands there twice"),
        ([[0], [1]], r"sequence 0 needs 2 pages for 3 tokens, its row of the page table has 1"),
    ],
)
def test_a_page_that_is_not_there_is_refused_before_anything_is_written(table: list[list[int]], message: str) -> None:
    held = PagedCache(torch.tensor(table), 4, 2, G, D, E)
    with pytest.raises(ValueError, match=message):
        held.append(token(3), token(3, width=E))
    assert held.lengths == [0, 0]
    assert bool((held.key == 0).all())


def test_entries_that_no_token_reaches_may_be_missing() -> None:
    held = PagedCache(torch.tensor([[3, -1], [1, -1]]), 4, 2, G, D, E)
    held.append(token(2), token(2, width=E))
    assert held.attend(token()).shape == (B, G, 1, E)


def test_a_page_table_is_whole_numbers_by_sequence() -> None:
    with pytest.raises(ValueError, match=r"page table \(3,\) of torch.int64: expected whole numbers \[sequences, pages of a sequence\]"):
        PagedCache(torch.arange(3), 4, 2, G, D, E)
    with pytest.raises(ValueError, match="page 0: a page has room for 1 token or more"):
        PagedCache(torch.zeros(2, 2, dtype=torch.int64), 4, 0, G, D, E)


def test_more_tokens_at_once_than_a_ring_has_room_for_are_refused() -> None:
    with pytest.raises(ValueError, match="3 tokens at once: this cache takes 2"):
        RollingCache(B, G, 2, 0, 2, D, E).append(token(3), token(3, width=E))
    with pytest.raises(ValueError, match="window 2, sinks 0, piece 0: a window and a piece have 1 token or more"):
        RollingCache(B, G, 2, 0, 0, D, E)


MORE: dict[str, tuple[Any, ...]] = {"cached": (), "window-cache": (2, 1), "decayed": (torch.ones(G),), "compressed-state": (2, 2, 1)}
IMPLEMENTATIONS = [i for package in (cached, window_cache, decayed, compressed_state) for i in package.implementations]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS, ids=lambda i: f"{i.variant.name}/{i.name}")
def test_every_implementation_says_what_does_not_fit(implementation: Any) -> None:
    call, more = implementation.call, MORE[implementation.variant.name]
    for parts in ((2, 2), (3, -1, 1), ()):
        with pytest.raises(ValueError, match=r"parts \(.*\) sum to .: expected lengths of 0 or more that sum to the 3 queries"):
            call(token(3), token(3), token(3, width=E), parts, *more)
    with pytest.raises(ValueError, match=r"there must be (at least )?as many keys as queries"):
        call(token(3), token(2), token(2, width=E), (3,), *more)
    with pytest.raises(ValueError, match="batch, heads, lengths and widths of key and value"):
        call(token(3), token(3), token(2, width=E), (3,), *more)
    with pytest.raises(ValueError, match="heads"):
        call(token(3, g=3), token(3), token(3, width=E), (3,), *more)
    with pytest.raises(ValueError, match=r"a cache needs \[B, H, N, D\] tensors"):
        call(token(3)[0], token(3)[0], token(3, width=E)[0], (3,), *more)


@pytest.mark.parametrize(
    ("past", "message"),
    [
        (torch.tensor([1, 2]), r"past_lengths \[1, 2\]: each must be 0 … 1"),
        (torch.tensor([-1, 0]), r"past_lengths \[-1, 0\]: each must be 0 … 1"),
        (torch.tensor([0.0, 1]), r"past_lengths must be 2 whole numbers, one a sequence; found \(2,\) of torch.float32"),
        (torch.tensor([0]), r"past_lengths must be 2 whole numbers, one a sequence; found \(1,\) of torch.int64"),
    ],
)
def test_past_lengths_that_do_not_fit_are_refused(past: Tensor, message: str) -> None:
    for implementation in cached.implementations:
        with pytest.raises(ValueError, match=message):
            implementation.call(token(2), token(3), token(3, width=E), (2,), past)


def test_options_out_of_range_are_refused() -> None:
    x = token(3), token(3), token(3, width=E), (3,)
    for call in (i.call for i in window_cache.implementations):
        with pytest.raises(ValueError, match="window 0, sinks 0"):
            call(*x, 0)
    for call in (i.call for i in compressed_state.implementations):
        with pytest.raises(ValueError, match="window 2, group 0, slots 1"):
            call(*x, 2, 0, 1)
    for call in (i.call for i in decayed.implementations):
        for decay in (torch.tensor([0.5, 1.5]), torch.tensor([0.5]), torch.tensor([0.5, float("nan")])):
            with pytest.raises(ValueError, match=r"decay \[.*\]: expected 2 numbers, one a head"):
                call(*x, decay)
