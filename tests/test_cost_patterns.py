"""What sparse patterns cost: pairs of each by a formula and by the definition, multiplications and additions by torch's count, the largest tensor."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl import bigbird, block_sparse, dilated, fixed_window, longformer, random_keys, sliding_window, strided
from impl.block_sparse import blocks
from impl.patterns import Pattern, by_mask, by_pairs, sets
from impl.sliding_window import banded
from tests.benchmarks.live_bytes import counting

Attention = Callable[..., Tensor]
SIZES = (64, 128, 192, 320)
D, E, FLOAT = 8, 4, 4
W, STRIDE, BLOCK, GLOBALS, EACH = 5, 4, 8, 3, 6


def layout(n: int) -> Tensor:
    """Each block sees itself and the first one."""
    local = torch.eye(-(-n // BLOCK), dtype=torch.bool)
    local[:, 0] = True
    return local


def apart(n: int) -> Tensor:
    """EACH keys a row, beyond its window of W to each side (n is long enough) and behind the GLOBALS first."""
    return torch.stack([(torch.arange(EACH) + i + W + 1 - GLOBALS) % (n - GLOBALS) + GLOBALS for i in range(n)])


def band(n: int, left: int, right: int) -> int:
    """Pairs of a window: a full rectangle, but for two triangles at the ends."""
    return n * (left + right + 1) - left * (left + 1) // 2 - right * (right + 1) // 2


def distances(n: int) -> int:
    """Σ over 2^l < n of the pairs that lie 2^l apart, to both sides, and the diagonal: L = ⌈log₂ n⌉ distances, which sum to 2^L − 1."""
    levels = math.ceil(math.log2(n))
    return n + 2 * (levels * n - ((1 << levels) - 1))


def with_globals(n: int) -> int:
    """g rows and g columns in full, and a window of the rest."""
    return 2 * GLOBALS * n - GLOBALS**2 + band(n - GLOBALS, W, W)


CASES: dict[str, tuple[Attention, Callable[[int], Sequence[object]], bool, Callable[[int], int]]] = {
    "sliding": (sliding_window.reference.attention, lambda n: (W,), False, lambda n: band(n, W - 1, W - 1)),
    "sliding, causal": (sliding_window.reference.attention, lambda n: (W,), True, lambda n: band(n, W - 1, 0)),
    "fixed": (fixed_window.reference.attention, lambda n: (BLOCK,), False, lambda n: n * BLOCK),
    "fixed with representatives": (fixed_window.reference.attention, lambda n: (BLOCK, 1), False, lambda n: n * (BLOCK + n // BLOCK - 1)),
    "fixed, root of n": (fixed_window.reference.attention, lambda n: (math.isqrt(n), 1), False, lambda n: fixed_by_root(n)),
    "strided": (strided.reference.attention, lambda n: (STRIDE,), False, lambda n: n * n // STRIDE),
    "dilated": (dilated.reference.attention, lambda n: (), False, distances),
    "blocks": (block_sparse.reference.attention, lambda n: (BLOCK, layout(n)), False, lambda n: BLOCK**2 * (2 * (n // BLOCK) - 1)),
    "random": (random_keys.reference.attention, lambda n: ((EACH, 1),), False, lambda n: n * EACH),
    "longformer": (longformer.reference.attention, lambda n: (W, 1, range(GLOBALS)), False, with_globals),
    "bigbird": (bigbird.reference.attention, lambda n: (W, apart(n), range(GLOBALS)), False, lambda n: with_globals(n) + random_beside(n)),
}
LINEAR = ("sliding", "sliding, causal", "fixed", "blocks", "random", "longformer")


def fixed_by_root(n: int) -> int:
    """Blocks of √n: √n keys of the row's own, and one for each of the other blocks; a last block that is not full has no representative of its own."""
    w = math.isqrt(n)
    full, rest = divmod(n, w)
    return full * w * (w + full - 1) + rest * (rest + full)


def random_beside(n: int) -> int:
    """Listed keys that neither window nor global tokens show, row by row."""
    listed = apart(n).tolist()
    return sum(len({j for j in listed[i] if abs(i - j) > W and j >= GLOBALS}) for i in range(GLOBALS, n))


def inputs(n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n)
    return [torch.randn(1, 1, n, width, generator=generator) for width in (D, D, E)]


def pattern_of(attention: Attention, arguments: Sequence[object], n: int) -> Pattern:
    """The pattern that a reference makes of its arguments."""
    made: list[Pattern] = []

    def kept(query: Tensor, key: Tensor, value: Tensor, pattern: Pattern, *rest: object) -> Tensor:
        made.append(pattern)
        return query

    attention(*inputs(n), *arguments, method=kept)
    return made[0]


def pairs(name: str, n: int) -> int:
    attention, arguments, causal, _ = CASES[name]
    return sum(map(len, sets(pattern_of(attention, arguments(n), n), n, n, causal, 0)))


def operations(attention: Attention, *arguments: object, **keywords: object) -> int:
    with FlopCounterMode(display=False) as counter:
        attention(*arguments, **keywords)
    return int(counter.get_total_flops())


def largest(attention: Attention, *arguments: object, **keywords: object) -> int:
    """Bytes of the largest tensor that a forward and a backward pass make."""
    leaves = [x.requires_grad_() for x in arguments[:3] if isinstance(x, Tensor)]
    with counting() as live:
        attention(*arguments, **keywords).sum().backward()
    assert all(x.grad is not None for x in leaves)
    return live.largest


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_pairs_are_those_of_the_formula(name: str, n: int) -> None:
    assert pairs(name, n) == CASES[name][3](n)


@pytest.mark.parametrize("name", LINEAR)
def test_pairs_are_linear_in_the_length(name: str) -> None:
    counts = [CASES[name][3](n) for n in (64, 128, 192, 256)]
    assert len({b - a for a, b in itertools.pairwise(counts)}) == 1


def test_a_stride_keeps_the_cost_quadratic_and_doubling_distances_do_not() -> None:
    for n in (64, 256, 1024):
        assert CASES["strided"][3](2 * n) == 4 * CASES["strided"][3](n)
        assert distances(2 * n) == 2 * distances(n) + 4 * n - 2, "2 n log₂ n and what is linear, at powers of 2"
        assert fixed_by_root(n) == 2 * n * math.isqrt(n) - n, "with blocks of √n, 2 n^1.5 − n"


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("name", CASES)
def test_by_pairs_multiplies_less_than_twice_the_pairs_and_the_mask_all(name: str, n: int) -> None:
    attention, arguments, causal, count = CASES[name]
    found = operations(attention, *inputs(n), *arguments(n), is_causal=causal, method=by_pairs)
    each = 2 * (D + E)
    assert each * count(n) <= found < 2 * each * count(n)
    if name in ("fixed", "strided", "random"):
        assert found == each * count(n), "sets that are all as large are not filled up"
    assert operations(attention, *inputs(n), *arguments(n), is_causal=causal, method=by_mask) == each * n * n


@pytest.mark.parametrize("n", [512, 1024])
@pytest.mark.parametrize("name", [name for name in CASES if name != "strided"])  # n²/k pairs of D numbers are more than n²
def test_by_pairs_never_holds_a_matrix_of_all_pairs(name: str, n: int) -> None:
    """Forward and backward; the largest tensor is one of gathered keys, or of the index sets in bytes of their own."""
    attention, arguments, causal, count = CASES[name]
    held = largest(attention, *inputs(n), *arguments(n), is_causal=causal, method=by_pairs)
    assert held < 2 * count(n) * max(D, E) * FLOAT
    assert largest(attention, *inputs(n), *arguments(n), is_causal=causal, method=by_mask) == n * n * FLOAT


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("causal", [False, True])
def test_tiles_of_a_window_cost_two_scores_a_pair(n: int, causal: bool) -> None:
    left, right = W - 1, 0 if causal else W - 1
    tile, span = left + right + 1, 2 * (left + right) + 1
    rows = -(-n // tile) * tile
    assert operations(banded.attention, *inputs(n), W, is_causal=causal) == 2 * (D + E) * rows * span
    copies = rows // tile * span * D
    assert largest(banded.attention, *inputs(n), W, is_causal=causal) <= max(copies * FLOAT, rows * span * 8), (
        "two copies of the keys, or the positions of scores"
    )


@pytest.mark.parametrize("n", SIZES)
def test_blocks_that_are_not_named_are_not_loaded(n: int) -> None:
    """Every row of blocks but the first names two; causally, a layout of ones costs as much as its lower triangle, filled up to less than twice that."""
    named = 2 * (n // BLOCK) - 1
    assert operations(blocks.attention, *inputs(n), BLOCK, layout(n)) == 2 * (D + E) * BLOCK**2 * named
    everything = torch.ones(n // BLOCK, n // BLOCK, dtype=torch.bool)
    causal = operations(blocks.attention, *inputs(n), BLOCK, everything, is_causal=True)
    half = n // BLOCK * (n // BLOCK + 1) // 2
    assert 2 * (D + E) * BLOCK**2 * half <= causal < 2 * 2 * (D + E) * BLOCK**2 * half
    assert causal < operations(blocks.attention, *inputs(n), BLOCK, everything)
    assert largest(blocks.attention, *inputs(512), BLOCK, layout(512)) < 512 * 512 * FLOAT
