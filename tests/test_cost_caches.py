"""What caches and streaming states cost: numbers held, bytes allocated and operations a token, by torch's own count, each exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl.cached import cache, reference, split
from impl.cached.cache import KeyValueCache
from impl.cached.paged import PagedCache
from impl.compressed_state import memory
from impl.decayed import chunked, recurrent
from impl.decayed import reference as decayed
from impl.window_cache import reference as windowed
from impl.window_cache import rolling
from impl.window_cache.rolling import RollingCache
from tests.benchmarks.live_bytes import counting

SIZES = (8, 12, 20, 33)
B, H, D, E, DOUBLE = 2, 3, 4, 5, 8
WINDOW, SINKS, GROUP, SLOTS, CHUNK = 4, 2, 3, 2, 4


def tensors(n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n)
    return [torch.randn(B, H, n, width, generator=generator, dtype=torch.float64) for width in (D, D, E)]


def operations(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


def allocated(call: Callable[[], Any]) -> tuple[Any, int]:
    """What the call returns, and the bytes of what it made that is still alive."""
    with counting() as live:
        made = call()
        return made, live.now


def largest(call: Callable[[], object]) -> int:
    """Numbers in the largest tensor that the call makes."""
    with counting() as live:
        call()
    return live.largest // DOUBLE


@pytest.mark.parametrize("n", SIZES)
def test_a_preallocated_cache_has_the_bytes_of_its_capacity_at_once_and_no_more_later(n: int) -> None:
    _, key, value = tensors(n)
    held, bytes_held = allocated(lambda: KeyValueCache(B, H, n, D, E, torch.float64))
    assert bytes_held == B * H * n * (D + E) * DOUBLE
    _, more = allocated(lambda: held.append(key, value))
    assert more == 0, "an append makes nothing that stays"
    same = KeyValueCache(B, H, n, D, D, torch.float64)
    assert same.key.numel() + same.value.numel() == B * 2 * H * D * n, "2 · H · d · n numbers a sequence"


@pytest.mark.parametrize("n", SIZES)
def test_a_cache_that_grows_holds_less_than_twice_what_it_needs(n: int) -> None:
    _, key, value = tensors(n)
    held = KeyValueCache(B, H, 1, D, E, torch.float64, grows=True)
    copied = 0
    for t in range(n):
        before = held.capacity
        held.append(key[:, :, t : t + 1], value[:, :, t : t + 1])
        copied += before if held.capacity != before else 0
    assert held.capacity == 1 << (n - 1).bit_length() < 2 * n
    assert copied == held.capacity - 1, "tokens moved in all growing: less than 2 n, so O(1) a token"


@pytest.mark.parametrize("t", SIZES)
def test_a_decoded_token_costs_the_length_of_the_cache(t: int) -> None:
    query, key, value = tensors(t)
    held = KeyValueCache(B, H, 40, D, E, torch.float64)
    held.append(key, value)
    assert operations(lambda: held.attend(query[:, :, -1:])) == 2 * B * H * t * (D + E)
    paged = PagedCache(torch.arange(B * 10).reshape(B, 10), B * 10, 4, H, D, E, torch.float64)
    paged.append(key, value)
    assert operations(lambda: paged.attend(query[:, :, -1:])) == 2 * B * H * t * (D + E)


@pytest.mark.parametrize("n", SIZES)
def test_a_sequence_token_by_token_costs_half_its_pairs_and_without_a_cache_a_power_more(n: int) -> None:
    """Σ_t t = n (n + 1)/2 scores with a cache; Σ_t t² = n (n + 1)(2 n + 1)/6 where every token computes the whole sequence so far again."""
    query, key, value = tensors(n)
    with_cache = operations(lambda: cache.attention(query, key, value, (1,) * n))
    assert with_cache == 2 * B * H * (D + E) * (n * (n + 1) // 2)
    again = sum(operations(lambda t=t: reference.attention(query[:, :, :t], key[:, :, :t], value[:, :, :t], (t,))) for t in range(1, n + 1))  # type: ignore[misc]
    assert again == 2 * B * H * (D + E) * (n * (n + 1) * (2 * n + 1) // 6)


@pytest.mark.parametrize("n", SIZES)
def test_a_cache_writes_each_token_once(n: int) -> None:
    """Numbers written by appends, in any parts: those of the tokens. A cache made anew for each token writes n (n + 1)/2 of them."""
    _, key, value = tensors(n)
    held, written = KeyValueCache(B, H, n, D, E, torch.float64), 0
    for t in range(n):
        before = held.key.clone()
        held.append(key[:, :, t : t + 1], value[:, :, t : t + 1])
        written += int((held.key != before).sum())
    assert written == B * H * n * D


@pytest.mark.parametrize("n", SIZES)
def test_pages_waste_less_than_one_page_a_sequence(n: int) -> None:
    _, key, value = tensors(n)
    for page in (1, 4, 7):
        needed = -(-n // page)
        held = PagedCache(torch.arange(B * needed).reshape(B, needed), B * needed, page, H, D, E, torch.float64)
        held.append(key, value)
        numbers = held.key.numel() + held.value.numel()
        assert 0 <= numbers - B * H * n * (D + E) < B * H * page * (D + E)


@pytest.mark.parametrize("n", SIZES)
def test_split_decoding_never_holds_a_whole_row_of_scores(n: int) -> None:
    query, key, value = tensors(n)
    held = KeyValueCache(B, H, n, D, E, torch.float64)
    held.append(key, value)
    last = query[:, :, -1:]
    assert operations(lambda: split.decoded(held, last, None, None, 2)) == 2 * B * H * n * (D + E)
    assert largest(lambda: split.decoded(held, last, None, None, 2)) == B * H * E, "the output; whatever n is"


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("piece", [1, 3])
def test_a_rolling_cache_is_as_large_and_as_dear_at_any_length(n: int, piece: int) -> None:
    query, key, value = tensors(n)
    slots = SINKS + WINDOW + piece - 1
    held, bytes_held = allocated(lambda: RollingCache(B, H, WINDOW, SINKS, piece, D, E, torch.float64))
    assert bytes_held == (B * H * slots * (D + E) + slots) * DOUBLE, "keys, values, and a position for each slot"
    for t in range(n):
        held.append(key[:, :, t : t + 1], value[:, :, t : t + 1])
    assert operations(lambda: held.attend(query[:, :, -1:])) == 2 * B * H * slots * (D + E)
    assert operations(lambda: rolling.attention(query, key, value, (1,) * n, WINDOW, SINKS, piece=piece)) == 2 * B * H * n * slots * (D + E)
    assert operations(lambda: windowed.attention(query, key, value, (n,), WINDOW, SINKS)) == 2 * B * H * n * n * (D + E), "the definition"


@pytest.mark.parametrize("n", SIZES)
def test_a_decayed_state_is_as_large_and_as_dear_at_any_length(n: int) -> None:
    query, key, value = tensors(n)
    decay = torch.full((H,), 0.9, dtype=torch.float64)
    rows = query.new_ones(B, H, n, D)
    state = query.new_zeros(B, H, D, E + 1)
    _, after = recurrent.forward(rows, rows, query.new_ones(B, H, n, E + 1), decay, state)
    assert after.numel() == B * H * D * (E + 1)
    assert operations(lambda: recurrent.attention(query, key, value, (n,), decay)) == 2 * B * H * n * D * (E + 1), "beside writing the state"
    assert operations(lambda: decayed.attention(query, key, value, (n,), decay)) == 2 * B * H * n * n * (D + E + 1)
    whole, tail = n // CHUNK * CHUNK, n % CHUNK
    within = (whole * CHUNK + tail * tail) * (D + E + 1)
    assert operations(lambda: chunked.attention(query, key, value, (n,), decay, chunk=CHUNK)) == 2 * B * H * (within + 2 * n * D * (E + 1))


@pytest.mark.parametrize("n", SIZES)
def test_a_compressed_state_is_as_large_and_as_dear_at_any_length(n: int) -> None:
    """The row of token i sees min(groups, slots) means and the single tokens, at most slots + window + group − 1 in all."""
    query, key, value = tensors(n)
    done = [max(i + 1 - WINDOW, 0) // GROUP for i in range(n)]
    seen = [min(d, SLOTS) + i + 1 - d * GROUP for i, d in enumerate(done)]
    assert max(seen) == SLOTS + WINDOW + GROUP - 1 or n < WINDOW + GROUP * (SLOTS + 1) - 1
    assert max(seen) <= SLOTS + WINDOW + GROUP - 1
    found = operations(lambda: memory.attention(query, key, value, (n,), WINDOW, GROUP, SLOTS))
    assert found == 2 * B * H * sum(seen) * (D + E)
    none = key[:, :, :0], value[:, :, :0]
    held = memory.CompressiveMemory(recent=none[0], values=none[1], old=none[0], old_values=none[1], window=WINDOW, group=GROUP, slots=SLOTS)
    for t in range(n):
        held.append(key[:, :, t : t + 1], value[:, :, t : t + 1])
        assert held.recent.shape[2] + held.old.shape[2] == seen[t]
