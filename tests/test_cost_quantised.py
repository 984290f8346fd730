"""What attention with fewer bits or fewer keys costs: bytes that keys take, numbers in the largest tensor, multiplications and additions by torch's count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl.binary import packed
from impl.binary import reference as binary
from impl.int8 import reference as int8
from impl.int8 import tiled
from impl.pruned import gathered
from impl.pruned import reference as pruned
from tests.benchmarks.live_bytes import counting

SIZES = (64, 128, 192, 323)
B, H, D, E, FLOAT = 2, 3, 12, 5, 4
Attention = Callable[..., Tensor]


def inputs(n: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    query, key, value = (torch.randn(B, H, n, width, generator=generator) for width in (D, D, E))
    return query, key, value


def operations(attention: Attention, *arguments: Tensor, **keywords: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        attention(*arguments, **keywords)
    return int(counter.get_total_flops())


def largest(attention: Attention, *arguments: Tensor, **keywords: Any) -> int:
    """Bytes of the largest tensor that the call makes."""
    with counting() as live:
        attention(*arguments, **keywords)
    return live.largest


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("bits", [8, 2])
def test_quantised_keys_take_a_byte_a_number_and_a_step_a_row(n: int, bits: int) -> None:
    """Of 2 bits too: they are not packed."""
    key = inputs(n)[1]
    numbers, step = int8.quantised(key, int8.levels_of(bits, key))
    assert (numbers.nbytes, step.nbytes) == (B * H * n * D, B * H * n * FLOAT)
    assert key.nbytes / (numbers.nbytes + step.nbytes) == 4 * D / (D + 4)


@pytest.mark.parametrize("n", SIZES)
def test_quantised_scores_are_held_for_all_pairs_or_for_a_tile(n: int) -> None:
    assert largest(int8.attention, *inputs(n)) == B * H * n * n * FLOAT
    assert largest(tiled.attention, *inputs(n)) == B * H * n * min(n, tiled.KEYS) * FLOAT


@pytest.mark.parametrize("n", SIZES)
def test_packed_signs_take_a_byte_for_eight_features(n: int) -> None:
    """Beside the float32 number of a row: 32 times less as D grows."""
    assert packed.packed(inputs(n)[1]).nbytes == B * H * n * -(-D // 8)
    assert operations(binary.attention, *inputs(n)) == 2 * B * H * n * n * (D + E)
    assert operations(packed.attention, *inputs(n)) == 2 * B * H * n * n * E, "no feature is multiplied"


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("k", [1, 8])
def test_the_values_of_dropped_keys_are_not_multiplied(n: int, k: int) -> None:
    """Scores are still computed for all pairs: what is saved is at most the other half."""
    assert operations(pruned.attention, *inputs(n), top_k=k) == 2 * B * H * n * n * (D + E)
    assert operations(gathered.attention, *inputs(n), top_k=k) == 2 * B * H * n * (n * D + k * E)


@pytest.mark.parametrize("n", SIZES)
def test_heads_that_are_off_cost_nothing(n: int) -> None:
    keywords = {"top_k": 4, "head_mask": torch.tensor([True, False, False])}
    assert operations(gathered.attention, *inputs(n), **keywords) == 2 * B * n * (n * D + 4 * E)
    assert operations(pruned.attention, *inputs(n), **keywords) == 2 * B * H * n * n * (D + E), "they are computed, and thrown away"


def test_what_has_no_meaning_is_refused() -> None:
    x = inputs(4)
    for bits in (1, 9, [8, 8], [8, 8, 0]):
        with pytest.raises(ValueError, match="bits"):
            int8.attention(*x, bits=bits)
    with pytest.raises(ValueError, match="threshold"):
        pruned.attention(*x, threshold=1.5)
    with pytest.raises(ValueError, match="top_k"):
        gathered.attention(*x, top_k=0)
