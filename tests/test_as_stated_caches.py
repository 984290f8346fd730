"""What the course text's cache does with tokens that its author did not think of, by cases that are exact; and what this project's does."""

from __future__ import annotations

import pytest
import torch

from impl.as_stated.cache_of_one_sequence_without_checks import AttentionCache
from impl.cached.cache import KeyValueCache

HEADS, WIDTH = 2, 3


def test_a_token_of_the_right_shape_is_kept() -> None:
    stated, key = AttentionCache(2, HEADS, WIDTH), torch.arange(6.0).reshape(HEADS, WIDTH)
    keys, values = stated.update(key, 2 * key)
    assert torch.equal(keys, key[None])
    assert torch.equal(values, 2 * key[None])


def test_a_key_without_heads_is_written_to_every_head() -> None:
    stated, key = AttentionCache(1, HEADS, WIDTH), torch.tensor([1.0, 2, 3])
    keys, _ = stated.update(key, key)
    assert torch.equal(keys[0, 0], keys[0, 1]), "nobody said that the heads' keys are alike"
    with pytest.raises(ValueError, match=r"key \(3,\): this cache takes \[1, 2, n, 3\]"):
        KeyValueCache(1, HEADS, 1, WIDTH, WIDTH).append(key, key)


def test_float64_is_rounded_without_a_word() -> None:
    fine = torch.full((HEADS, WIDTH), 1 + 2.0**-40, dtype=torch.float64)
    keys, _ = AttentionCache(1, HEADS, WIDTH).update(fine, fine)
    assert bool((keys == 1).all()), "2^-40 is lost"
    with pytest.raises(ValueError, match=r"key is torch\.float64 on cpu: this cache holds torch\.float32"):
        KeyValueCache(1, HEADS, 1, WIDTH, WIDTH).append(fine[None, :, None], fine[None, :, None])


def test_a_token_that_is_refused_has_been_written_in_part() -> None:
    stated = AttentionCache(1, HEADS, WIDTH)
    with pytest.raises(RuntimeError):
        stated.update(torch.ones(HEADS, WIDTH), torch.ones(HEADS, WIDTH + 1))
    assert bool((stated.keys[0] == 1).all())
    held = KeyValueCache(1, HEADS, 1, WIDTH, WIDTH)
    with pytest.raises(ValueError, match="value"):
        held.append(torch.ones(1, HEADS, 1, WIDTH), torch.ones(1, HEADS, 1, WIDTH + 1))
    assert bool((held.key == 0).all())


def test_no_prefill_and_an_overflow_that_does_not_speak_of_the_cache() -> None:
    stated = AttentionCache(2, HEADS, WIDTH)
    with pytest.raises(RuntimeError):
        stated.update(torch.ones(2, HEADS, WIDTH), torch.ones(2, HEADS, WIDTH))
    for _ in range(2):
        stated.update(torch.ones(HEADS, WIDTH), torch.ones(HEADS, WIDTH))
    with pytest.raises(IndexError, match="out of bounds for dimension 0"):
        stated.update(torch.ones(HEADS, WIDTH), torch.ones(HEADS, WIDTH))


def test_what_is_returned_is_the_cache_itself() -> None:
    stated = AttentionCache(2, HEADS, WIDTH)
    keys, _ = stated.update(torch.ones(HEADS, WIDTH), torch.ones(HEADS, WIDTH))
    keys.mul_(0)
    again, _ = stated.update(torch.ones(HEADS, WIDTH), torch.ones(HEADS, WIDTH))
    assert bool((again[0] == 0).all()), "the caller changed what the cache holds"


def test_a_later_token_spoils_the_backward_pass_of_an_earlier_one() -> None:
    stated, key = AttentionCache(2, HEADS, WIDTH), torch.ones(HEADS, WIDTH, requires_grad=True)
    keys, _ = stated.update(key, key.detach())
    squared = keys.square().sum()
    stated.update(key, key.detach())
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        squared.backward()
