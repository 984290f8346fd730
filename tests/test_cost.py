"""What attention holds in memory grows as it should: bytes of live tensors are counted exactly; no time and no resident size decides anything."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor

from impl.scaled_dot_product import blockwise, reference, state
from tests.benchmarks.live_bytes import Attention, LiveBytes, counting, of_a_step
from tests.benchmarks.work import exponent

SIZES = (256, 384, 512, 1024)  # the fit
HELD_OUT = 768
LINEAR, QUADRATIC = 1.05, 1.9  # at most for tiles; at least for the definition, whose linear part pulls its exponent below 2
BLOCK, HEADS, WIDTH, FLOAT = 64, 2, 16, 4
CAUSAL = pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])

tiled = partial(blockwise.attention, block=BLOCK)


def step(attention: Attention, n: int, causal: bool = False) -> LiveBytes:
    """What a forward and a backward pass over n queries and n keys hold."""
    generator = torch.Generator().manual_seed(n)
    query, key, value, cotangent = (torch.randn(1, HEADS, n, WIDTH, generator=generator) for _ in range(4))
    return of_a_step(attention, [x.requires_grad_() for x in (query, key, value)], cotangent, causal)


def foretold(peaks: dict[int, int], n: int) -> float:
    """The bytes at n on the straight line through the two largest sizes."""
    (a, p), (b, q) = list(peaks.items())[-2:]
    return p + (q - p) / (b - a) * (n - a)


def measured(attention: Attention, causal: bool = False) -> dict[int, int]:
    """The peak at every size."""
    return {n: step(attention, n, causal).peak for n in SIZES}


@CAUSAL
def test_memory_in_tiles_grows_linearly_and_to_the_byte_at_a_size_held_out(causal: bool) -> None:
    peaks = measured(tiled, causal)
    assert exponent(peaks) <= LINEAR, f"exponent {exponent(peaks):.3f}: {peaks}"
    assert step(tiled, HELD_OUT, causal).peak == foretold(peaks, HELD_OUT)


@CAUSAL
def test_the_same_count_shows_that_the_definition_grows_quadratically(causal: bool) -> None:
    peaks = measured(reference.attention, causal)
    assert QUADRATIC <= exponent(peaks) <= 2, f"exponent {exponent(peaks):.3f}: {peaks}"
    assert step(reference.attention, HELD_OUT, causal).peak < foretold(peaks, HELD_OUT), "a parabola lies below its chord"


def test_no_tensor_of_all_scores_exists() -> None:
    n = 1024
    largest = step(tiled, n).largest
    assert largest == HEADS * n * WIDTH * FLOAT < n * n * FLOAT, "the largest storage is an output or a gradient"
    assert step(reference.attention, 256).largest >= HEADS * 256 * 256 * FLOAT


def test_scores_kept_tile_by_tile_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Tensor] = []
    original = state.of

    def hoarding(scores: Tensor, value: Tensor) -> state.State:
        kept.append(scores)
        return original(scores, value)

    monkeypatch.setattr(state, "of", hoarding)
    peaks = {}
    for n in SIZES:
        peaks[n] = step(tiled, n).peak
        kept.clear()
    assert exponent(peaks) > LINEAR, f"exponent {exponent(peaks):.3f}: {peaks}"


def test_live_bytes_are_counted_exactly() -> None:
    with counting() as live:
        x = torch.zeros(10)
        y = x + 1
        assert live.now == 80
        x.add_(y)  # in place: nothing new
        z = y[2:]  # a view: nothing new
        del y
        assert live.now == 80, "a view keeps its storage alive"
        del x, z
        assert (live.now, live.peak, live.largest) == (0, 80, 40)
