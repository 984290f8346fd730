"""What stacks, images, sets and pairs of modalities cost: operations by torch's own count, products, bytes of the largest tensor and sums tried, each exact."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from impl.co_attention import reference as co_attention
from impl.co_attention import tiled
from impl.cross_modal import blockwise
from impl.cross_modal import reference as cross_modal
from impl.detr import memory_first
from impl.detr import reference as detr
from impl.gpt import incremental
from impl.gpt import reference as gpt
from impl.pixel import reference as pixel
from impl.pixel import rows
from impl.set_matching.hungarian import by_augmenting_paths
from impl.set_matching.reference import by_trying_all
from impl.t5 import reference as t5
from impl.t5 import stepwise
from impl.vit import convolved
from impl.vit import reference as vit
from tests.benchmarks.live_bytes import counting

B, H, D, F, L, DOUBLE = 2, 2, 4, 6, 3, 8
LENGTHS = (1, 2, 5, 8, 13)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def operations(call: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        call()
    return int(counter.get_total_flops())


class Products(TorchDispatchMode):
    """Counts products of matrices, and their batches, while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.made[str(func.overloadpacket.__name__)] += 1
        return func(*args, **kwargs or {})

    @property
    def count(self) -> int:
        return sum(self.made[name] for name in ("mm", "bmm", "addmm", "baddbmm"))


def products(call: Callable[[], object]) -> int:
    with Products() as watch:
        call()
    count: int = watch.count
    return count


def largest(call: Callable[[], object]) -> int:
    """Numbers in the largest tensor that the call makes."""
    with counting() as live:
        call()
    return live.largest // DOUBLE


def of_gpt(n: int) -> tuple[Any, ...]:
    feed = numbers(L, D, F), numbers(L, F), numbers(L, F, D), numbers(L, D)
    return numbers(B, n, D), numbers(n, D), numbers(L, 4, D, D), *feed, numbers(L, 2, 2, D), H


@pytest.mark.parametrize("n", LENGTHS)
def test_a_stack_costs_its_products_and_all_pairs_and_with_a_cache_half_of_the_pairs(n: int) -> None:
    """A token: 2 (4 D² + 2 D F) for the products of a layer, and 4 D a pair; n² pairs, or n (n + 1)/2 of them token by token."""
    each = 2 * n * (4 * D * D + 2 * D * F)
    assert operations(lambda: gpt.attention(*of_gpt(n))) == B * L * (each + 4 * D * n * n)
    assert operations(lambda: incremental.attention(*of_gpt(n), step=1)) == B * L * (each + 4 * D * n * (n + 1) // 2)


@pytest.mark.parametrize("n", LENGTHS)
def test_without_a_cache_a_text_token_by_token_costs_a_power_more(n: int) -> None:
    """Σ_t t tokens through every product, and Σ_t t² pairs."""
    again = sum(operations(lambda t=t: gpt.attention(*of_gpt(t))) for t in range(1, n + 1))  # type: ignore[misc]
    tokens, pairs = n * (n + 1) // 2, n * (n + 1) * (2 * n + 1) // 6
    assert again == B * L * (2 * tokens * (4 * D * D + 2 * D * F) + 4 * D * pairs)


def test_fused_projections_are_one_product_in_place_of_three() -> None:
    """A layer of the definition: three projections, scores, their values, the output and two of the feed-forward part."""
    assert products(lambda: gpt.attention(*of_gpt(5))) == 8 * L
    assert products(lambda: incremental.attention(*of_gpt(5), step=5)) == 6 * L


def of_t5(m: int, n: int) -> tuple[Any, ...]:
    encoder = numbers(L, 4, D, D), numbers(L, D, F), numbers(L, F, D), numbers(L, 2, D)
    decoder = numbers(L, 2, 4, D, D), numbers(L, D, F), numbers(L, F, D), numbers(L, 3, D)
    return numbers(B, m, D), numbers(B, n, D), *encoder, *decoder, numbers(2, D), numbers(H, 5), numbers(H, 3)


@pytest.mark.parametrize("m", [1, 4, 7])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_an_encoder_is_paid_once_however_long_the_target(m: int, n: int) -> None:
    encoder = 2 * m * (4 * D * D + 2 * D * F) + 4 * D * m * m
    decoder = 2 * n * (6 * D * D + 2 * D * F) + 2 * m * 2 * D * D + 4 * D * n * m
    assert operations(lambda: t5.attention(*of_t5(m, n))) == B * L * (encoder + decoder + 4 * D * n * n)
    assert operations(lambda: stepwise.attention(*of_t5(m, n))) == B * L * (encoder + decoder + 4 * D * n * (n + 1) // 2)


def of_detr(queries: int, places: int) -> tuple[Any, ...]:
    feed = numbers(L, D, F), numbers(L, F), numbers(L, F, D), numbers(L, D)
    return numbers(queries, D), numbers(B, places, D), numbers(places, D), numbers(L, 2, 4, D, D), *feed, numbers(L, 3, 2, D), numbers(D, 3), H


@pytest.mark.parametrize("queries", [1, 3, 6])
@pytest.mark.parametrize("places", [2, 9])
def test_object_queries_cost_their_number_times_the_places(queries: int, places: int) -> None:
    """Linear in the places of the image, which are never compared with each other; without the first layer's attention among objects there is less."""
    among = 2 * queries * 4 * D * D + 4 * D * queries * queries
    layer = 2 * (queries * 2 + places * 2) * D * D + 4 * D * queries * places + 2 * queries * 2 * D * F
    head = 2 * queries * D * 3
    assert operations(lambda: detr.attention(*of_detr(queries, places))) == B * (L * (among + layer) + head)
    assert operations(lambda: memory_first.attention(*of_detr(queries, places))) == B * ((L - 1) * among + L * layer + head)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (8, 6), (6, 12)])
def test_pixels_by_rows_hold_the_scores_of_one_row(height: int, width: int) -> None:
    image, weights = numbers(1, 2, height, width), [numbers(2, 3).requires_grad_() for _ in range(3)]

    def step(attention: Callable[..., Tensor]) -> int:
        return largest(lambda: torch.autograd.grad(attention(image, *weights).sum(), weights))

    assert step(pixel.attention) == (height * width) ** 2
    assert step(rows.attention) == height * width * width


@pytest.mark.parametrize(("side", "size"), [(8, 4), (12, 4), (12, 6)])
def test_patches_by_a_convolution_are_no_copy_of_the_image(side: int, size: int) -> None:
    """The largest tensor of the definition is the image cut into patches; by a convolution, the fused weights or a row for each patch, whichever is larger."""
    channels, d, patches = 3, 2, (side // size) ** 2
    weights = numbers(channels * size * size, d), numbers(d), numbers(1 + patches, d), *(numbers(d, d) for _ in range(4))
    image = numbers(B, channels, side, side)

    def step(attention: Callable[..., Tensor]) -> int:
        return largest(lambda: attention(image, *weights, 1, size))

    assert step(vit.attention) == image.numel()
    assert step(convolved.attention) == max(B * (1 + patches) * 3 * d, B * (1 + patches) ** 2) < image.numel()


@pytest.mark.parametrize(("n", "m"), [(32, 24), (64, 24), (64, 96)])
def test_two_sides_in_tiles_hold_no_affinity_of_every_pair(n: int, m: int) -> None:
    sides = numbers(1, n, 2).requires_grad_(), numbers(1, m, 2).requires_grad_()
    weights = numbers(2, 2), numbers(2, 3), numbers(2, 3), numbers(3), numbers(3)

    def step(attention: Callable[..., Tensor]) -> int:
        return largest(lambda: torch.autograd.grad(attention(*sides, *weights).sum(), sides))

    assert step(co_attention.attention) == n * m
    assert step(partial(tiled.attention, regions=8)) == max(8 * m, 3 * n)


@pytest.mark.parametrize(("n", "m"), [(64, 48), (96, 128)])
def test_both_directions_in_tiles_hold_no_score_of_every_pair(n: int, m: int) -> None:
    text, vision = [numbers(1, 1, n, 2) for _ in range(3)], [numbers(1, 1, m, 2) for _ in range(3)]
    in_tiles: Callable[..., Tensor] = partial(blockwise.attention, block=16)
    by_definition: Callable[..., Tensor] = cross_modal.attention
    assert largest(lambda: by_definition(*text, *vision)) == n * m
    assert largest(lambda: in_tiles(*text, *vision)) == max(16 * 16, 2 * (n + m))


class Watched:
    """A matrix of costs that counts how often a number, or a matching's numbers, are read."""

    def __init__(self, cost: Tensor) -> None:
        self.cost, self.shape, self.reads = cost, cost.shape, 0

    def __getitem__(self, at: Any) -> Tensor:
        self.reads += 1
        return self.cost[at]

    @property
    def mT(self) -> Watched:
        return self

    def double(self) -> Watched:
        return self

    def tolist(self) -> list[Any]:
        return [Row(self, row) for row in self.cost.mT.tolist()]


class Row:
    def __init__(self, whole: Watched, row: list[float]) -> None:
        self.whole, self.row = whole, row

    def __getitem__(self, at: int) -> float:
        self.whole.reads += 1
        return self.row[at]


def matrices(queries: int, objects: int) -> Iterator[Tensor]:
    for seed in range(20):
        yield torch.rand(queries, objects, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    yield torch.arange(queries, dtype=torch.float64)[:, None] * torch.arange(objects, dtype=torch.float64)  # every object wants the same predictions


@pytest.mark.parametrize(("queries", "objects"), [(1, 1), (4, 2), (5, 5), (6, 4)])
def test_augmenting_paths_find_the_least_cost_in_a_cubic_number_of_reads(queries: int, objects: int) -> None:
    """Q T (T + 1)/2 at most, where trying all reads Q!/(Q − T)! matchings."""
    for cost in matrices(queries, objects):
        every, paths = Watched(cost), Watched(cost)
        best, found = by_trying_all(every), by_augmenting_paths(paths)  # type: ignore[arg-type]
        assert every.reads == math.perm(queries, objects)
        assert paths.reads <= queries * objects * (objects + 1) // 2
        assert len(set(found)) == objects
        least, reached = (sum(Fraction(float(cost[q, t])) for t, q in enumerate(chosen)) for chosen in (best, found))
        assert reached - least <= objects * Fraction(2) ** -50, "the costs are below 32, and the sums of floats are rounded"
