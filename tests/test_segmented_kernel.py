"""Softmax over segments in Triton: what each launch reads, counted; segments from nothing to hundreds of rows, where every sum is exact; refused arguments."""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("a process that uses the GPU cannot interpret kernels: run this file by itself with TRITON_INTERPRET=1", allow_module_level=True)
pytest.importorskip("triton", reason="needs triton (pip install attention-ledger[kernels]; Linux only)")

from impl._triton import memory
from impl._triton.counting import Counted, counted
from impl._triton.patching import patch_once_a_launch
from impl.segmented import fused
from impl.segmented.fused import MOST, Segments, Tile

patch_once_a_launch()
fused.operators.missing()
TILES: tuple[Tile, ...] = ((1, 16, 1), (4, 4, 1), (8, 1, 1), (2, 32, 1))
LENGTHS = (0, 1, 2, 3, 4, 5, 0, 0, 15, 16, 17, 300, 1, 31, 33, 0)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    """Whole numbers up to 7 either way: their sums, and their halves and quarters, are exact."""
    return torch.randint(-7, 8, shape, generator=torch.Generator().manual_seed(seed)).double()


def graph(lengths: tuple[int, ...], sources: int) -> tuple[Tensor, Tensor]:
    """Sources and targets of so many edges into each target, in no order; the last source sends none."""
    random = torch.Generator().manual_seed(1)
    target = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
    order = torch.randperm(len(target), generator=random)
    return torch.randint(0, sources - 1, (len(target),), generator=random), target[order]


@contextmanager
def launches() -> Iterator[list[Counted]]:
    with memory.watched(), counted() as found:
        yield found


def elements(side: dict[str, Any]) -> dict[str, int]:
    return {name: traffic.elements for name, traffic in side.items()}


@pytest.mark.parametrize("tile", TILES)
def test_every_edge_is_read_once_by_every_head_and_nothing_else_is(tile: Tile) -> None:
    """Forward and each of the two backward passes: a score once, its numbers once, and the C features of the row that it names; of no other lane anything."""
    lengths, heads, width = LENGTHS[:9], 2, 3
    of, to = graph(lengths, 5)
    edges, n = len(of), len(lengths)
    scores, values = numbers(edges, heads).requires_grad_(), numbers(5, heads, width, seed=1).requires_grad_()
    segments = fused.of_edges(of, to, 5, n, gradient=True)
    with launches() as found:
        output, log_sum_exp = fused.attention(scores, values, segments, tile=tile)
        torch.autograd.grad(output, (scores, values), numbers(n, heads, width, seed=2))
    assert [x.kernel for x in found] == ["forward", "backward_scores", "backward_values"]
    once, rows, ends = edges * heads, edges * heads * width, 2 * n * heads
    forward, of_scores, of_values = (elements(x.loads) for x in found)
    assert forward == {"offsets": ends, "source": once, "place": once, "scores": once, "values": rows}
    own = {"O": output.numel(), "g_O": output.numel(), "L": log_sum_exp.numel(), "g_L": log_sum_exp.numel()}
    assert of_scores == {"offsets": ends, "source": once, "place": once, "scores": once, "values": rows, **own}
    assert of_values == {"offsets": 2 * 5 * heads, "target": once, "place": once, "scores": once, "L": once, "g_O": rows}
    for launch in found:
        assert launch.loads["scores"].most == 1
    assert found[0].loads["values"].most == int(torch.bincount(of).max())
    assert [elements(x.stores) for x in found] == [{"O": n * heads * width, "L": n * heads}, {"d_scores": once}, {"d_values": 5 * heads * width}]


@pytest.mark.parametrize("tile", TILES)
def test_values_of_their_own_need_one_backward_pass(tile: Tile) -> None:
    """Words: no index is read, and the gradients of scores and values come of one launch, half precision for half precision."""
    lengths = torch.tensor([0, 3, 5, 1])
    scores, words = numbers(9).float().requires_grad_(), numbers(9, 4, seed=1).half().requires_grad_()
    with launches() as found:
        output, log_sum_exp = fused.attention(scores, words, fused.of_lengths(lengths), tile=tile)
        d_scores, d_words = torch.autograd.grad((output.sum() + log_sum_exp[1:].sum()), (scores, words))
    assert [x.kernel for x in found] == ["forward", "backward_scores"]
    assert elements(found[0].loads) == {"offsets": 8, "scores": 9, "values": 36}
    assert found[0].loads["values"].bytes == 72
    assert elements(found[1].stores) == {"d_scores": 9, "d_values": 36}
    assert (output.dtype, d_scores.dtype, d_words.dtype) == (torch.float32, torch.float32, torch.float16)


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("shift", [0.0, -6e4, 6e4])
def test_equal_scores_give_the_mean_of_any_number_of_rows(tile: Tile, shift: float) -> None:
    """Weights of exactly 1 before they are normalised, sums of whole numbers, one division: torch's own mean of segments, to the last bit."""
    lengths = torch.tensor(LENGTHS)
    rows = int(lengths.sum())
    values = numbers(rows, 3)
    output, log_sum_exp = fused.attention(torch.full((rows,), shift, dtype=torch.float64), values, fused.of_lengths(lengths), tile=tile)
    sums = torch.segment_reduce(values, "sum", lengths=lengths, axis=0)
    assert torch.equal(output, sums / lengths.clamp(min=1)[:, None])
    assert torch.equal(log_sum_exp[lengths == 0], torch.full((4,), -torch.inf, dtype=torch.float64))
    assert torch.equal(log_sum_exp[lengths == 1], torch.full((2,), shift, dtype=torch.float64))


@pytest.mark.parametrize("tile", TILES)
def test_one_row_that_outweighs_all_others_is_the_output(tile: Tile) -> None:
    """Wherever in its segment it stands, and whatever its neighbours' segments hold: its value, all of the gradient of it, none of any score but of the
    logarithm's. The others' exponentials are exactly 0."""
    heads, width, sources = 2, 3, 6
    of, to = graph(LENGTHS, sources)
    values = numbers(sources, heads, width).requires_grad_()
    segments = fused.of_edges(of, to, sources, len(LENGTHS), gradient=True)
    g, of_it = numbers(len(LENGTHS), heads, width, seed=3), numbers(len(LENGTHS), heads, seed=4)
    for turn in (0, 7):
        best = torch.zeros(len(of), heads, dtype=torch.bool)
        for target, length in enumerate(LENGTHS):
            own = (to == target).nonzero().flatten()
            for head in range(heads if length else 0):
                best[own[(turn + head + target) % length], head] = True
        scores = torch.where(best, 50.0 * to[:, None], -1e5).double().requires_grad_()
        output, log_sum_exp = fused.attention(scores, values, segments, tile=tile)
        some = torch.tensor(LENGTHS) > 0
        loss = (output * g).sum() + (log_sum_exp * of_it)[some].sum()
        d_scores, d_values = torch.autograd.grad(loss, (scores, values))
        expected, spread = torch.zeros_like(output), torch.zeros_like(values)
        for edge, head in best.nonzero().tolist():
            expected[to[edge], head] = values.detach()[of[edge], head]
            spread[of[edge], head] += g[to[edge], head]
        assert torch.equal(output, expected)
        assert torch.equal(log_sum_exp[some], 50.0 * torch.arange(len(LENGTHS)).double()[some, None].expand(-1, heads))
        assert torch.equal(d_values, spread)
        assert torch.equal(d_scores, torch.where(best, of_it[to], 0.0))


def test_scores_of_minus_infinity_take_no_part() -> None:
    """A segment of such scores alone is as one without rows, and passes no gradient."""
    scores = torch.tensor([0.0, -torch.inf, -torch.inf, -torch.inf, 3.0], requires_grad=True)
    values = torch.arange(10.0).reshape(5, 2).requires_grad_()
    output, log_sum_exp = fused.attention(scores, values, fused.of_lengths(torch.tensor([2, 2, 1])), tile=(2, 2, 1))
    assert output.tolist() == [[0.0, 1.0], [0.0, 0.0], [8.0, 9.0]]
    assert log_sum_exp.tolist() == [0.0, -torch.inf, 3.0]
    d_scores, d_values = torch.autograd.grad(output.sum() + log_sum_exp[[0, 2]].sum(), (scores, values))
    assert d_scores.tolist() == [1.0, 0.0, 0.0, 0.0, 1.0]
    assert d_values.tolist() == [[1.0, 1.0], [0.0, 0.0], [0.0, 0.0], [0.0, 0.0], [1.0, 1.0]]


@pytest.mark.parametrize("hidden", [torch.inf, -torch.inf, torch.nan])
def test_what_a_score_of_minus_infinity_hides_may_be_anything(hidden: float) -> None:
    """Output and gradients are those of the other rows, whichever lane and pass a row falls into, and whether or not one was met before."""
    lengths, seen = torch.tensor([5, 2, 3]), torch.tensor([False, True, True, False, True, False, False, True, False, True])
    scores, values = numbers(10), numbers(10, 3, seed=1)
    found = []
    for beneath in (0.0, hidden):
        s, v = torch.where(seen, scores, -torch.inf).requires_grad_(), torch.where(seen[:, None], values, beneath).requires_grad_()
        output, log_sum_exp = fused.attention(s, v, fused.of_lengths(lengths), tile=(2, 2, 1))
        found.append((output, log_sum_exp, *torch.autograd.grad(output, (s, v), numbers(3, 3, seed=2))))
    assert torch.isfinite(found[0][0]).all()
    assert all(torch.equal(zeros, other) for zeros, other in zip(*found, strict=True))


def test_edges_that_come_sorted_are_read_where_they_stand() -> None:
    """Rows of a CSR matrix: no index to their scores, and the same numbers to the last bit."""
    of, to = graph(LENGTHS[:9], 5)
    order = to.argsort(stable=True)
    of, to = of[order], to[order]
    indptr = torch.nn.functional.pad(torch.bincount(to, minlength=9).cumsum(0), (1, 0)).repeat_interleave(2).int()[::2]
    scores, values = numbers(len(of), 2).float().requires_grad_(), numbers(5, 2, 3).float().requires_grad_()
    found = []
    for ends in (None, indptr):
        with launches() as seen:
            output, _ = fused.attention(scores, values, fused.of_edges(of, to, 5, 9, indptr=ends, gradient=True), tile=(4, 2, 1))
            found.append((output, *torch.autograd.grad(output, (scores, values), numbers(9, 2, 3, seed=1).float())))
        assert ("place" in seen[0].loads) == ("place" in seen[1].loads) == (ends is None)
    assert all(torch.equal(listed, in_rows) for listed, in_rows in zip(*found, strict=True))


def test_sources_that_are_a_column_are_read_as_one() -> None:
    """int32 already, so that no conversion makes them contiguous."""
    pairs = torch.tensor([[0, 1], [2, 0], [1, 2], [0, 2]], dtype=torch.int32)
    indptr = torch.tensor([[0, 9], [1, 9], [3, 9], [4, 9]], dtype=torch.int32)
    edges = fused.of_edges(pairs[:, 0], pairs[:, 1].long(), 3, 3, indptr=indptr[:, 0], gradient=True)
    assert all(x is None or x.is_contiguous() for x in edges)
    output, _ = fused.attention(torch.zeros(4), torch.eye(3), edges, tile=(2, 2, 1))
    assert output.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]


def test_edges_of_other_targets_may_stand_anywhere_between() -> None:
    """As long as a target's own edges keep their order, nothing moves, to the last bit."""
    of, to = graph(LENGTHS[:9], 5)
    order = to.argsort(stable=True)
    scores, values = torch.randn(len(of), 2, generator=torch.Generator().manual_seed(0)), numbers(5, 2, 3).float()
    found = [fused.attention(scores[by], values, fused.of_edges(of[by], to[by], 5, 9, gradient=False), tile=(4, 2, 1)) for by in (slice(None), order)]
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def far(x: Tensor, axis: int, apart: int, file: Path) -> Tensor:
    """The same numbers at places of which those along one axis lie so many numbers apart, in a file that has no blocks for what nobody touches: as much again
    in front of them, so that a wrong sign reads zeros, and does not end the process."""
    strides = list(x.contiguous().stride())
    strides[axis] = apart
    with file.open("wb+") as opened:
        opened.truncate(x.element_size() * (apart * (x.shape[axis] + 1) + x.numel()))
        view = torch.frombuffer(mmap.mmap(opened.fileno(), 0), dtype=x.dtype).as_strided(x.shape, strides, 2 * apart)
    return view.copy_(x)


@pytest.mark.parametrize("where", ["scores 0", "scores 1", "values 0", "values 1", "values 2", "cotangent 0", "cotangent 1", "cotangent 2"])
def test_numbers_may_lie_further_apart_than_32_bits_count(where: str, tmp_path: Path) -> None:
    """Along any axis: the third of them lies 2^31 numbers behind the first. Widened after the product with its stride, that is as many in front."""
    of, to = graph((3, 0, 2), 4)
    x = {"scores": numbers(5, 3).float(), "values": numbers(4, 3, 3, seed=1).half(), "cotangent": numbers(3, 3, 3, seed=2).float()}
    name, axis = where.split()
    found = []
    for case in (x, {**x, name: far(x[name], int(axis), 2**30, tmp_path / "numbers")}):
        scores, values = case["scores"].requires_grad_(), case["values"].requires_grad_()
        output, log_sum_exp = fused.attention(scores, values, fused.of_edges(of, to, 4, 3, gradient=True), tile=(2, 2, 1))
        found.append((output, log_sum_exp, *torch.autograd.grad(output, (scores, values), case["cotangent"])))
    assert all(torch.equal(near, apart) for near, apart in zip(*found, strict=True))


def test_the_last_of_as_many_rows_as_there_may_be_are_not_taken_for_the_first() -> None:
    """The short segment at the end waits for the long one in front of it, while its lanes count on beyond 2^31. All rows are one number in memory."""
    scores, values = torch.zeros(1, 1).expand(MOST, 1), torch.ones(1, 1, 1).expand(MOST, 1, 1)
    ends = torch.tensor([MOST - 1500, MOST - 1, MOST], dtype=torch.int32)
    output, log_sum_exp = fused.operators().segment_attention(scores, values, ends, *(None,) * 5, [2, 1024, 1])
    assert output.flatten().tolist() == [1.0, 1.0]
    assert torch.equal(log_sum_exp.flatten(), torch.tensor([1499.0, 1.0]).log())


@pytest.mark.parametrize("width", [1, 64, 100, 1024])
def test_shipping_tiles_are_powers_of_two_that_fill_their_threads(width: int) -> None:
    """With no more features than two loads of 16 bytes for each of 128 threads."""
    from impl.segmented.launch import shipped

    for length, size, target in product((0, 1, 2, 5, 11, 24, 100, 1000), (2, 4, 8), ("sm_80", "gfx942", "interpreter")):
        tile = shipped(1000 * length, 1000, width, size, target)
        assert all(x > 0 and x & (x - 1) == 0 for x in tile)
        assert tile.segments * tile.rows * width * size <= 2 * 16 * 128 or tile.segments * tile.rows == 1


def test_what_does_not_fit_is_refused() -> None:
    segments = Segments(torch.tensor([0, 2], dtype=torch.int32))
    with pytest.raises(ValueError, match=r"scores \(2, 1\) and values \(2, 3\)"):
        fused.attention(torch.zeros(2, 1), torch.zeros(2, 3), segments)
    with pytest.raises(ValueError, match="2 scores and 3 values"):
        fused.attention(torch.zeros(2), torch.zeros(3, 3), segments)
    with pytest.raises(ValueError, match=r"scores are torch\.float16"):
        fused.attention(torch.zeros(2).half(), torch.zeros(2, 3), segments)
    with pytest.raises(ValueError, match="values have 1025 features"):
        fused.attention(torch.zeros(2), torch.zeros(2, 1025), segments)
    with pytest.raises(ValueError, match="2147483648 rows"):
        fused.attention(torch.zeros(1).expand(2**31), torch.zeros(1, 1).expand(2**31, 1), segments)
    with pytest.raises(ValueError, match=r"tile \(1, 2048, 1\)"):
        fused.attention(torch.zeros(2), torch.zeros(2, 3), segments, tile=(1, 2048, 1))


@pytest.mark.parametrize("offsets", [[0, 3], [0, 1], [1, 2], [0, 2, 1, 2], [0, -1, 2]])
def test_offsets_that_do_not_part_the_rows_are_refused(offsets: list[int]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"{offsets} must rise from 0 to 2")):
        fused.attention(torch.zeros(2), torch.zeros(2, 3), Segments(torch.tensor(offsets, dtype=torch.int32)))


def test_indices_that_the_kernels_would_misread_are_refused() -> None:
    edges = fused.of_edges(torch.tensor([0, 1, 0]), torch.tensor([1, 1, 0]), 2, 2, gradient=True)
    for change, complaint in (
        ({"offsets": torch.tensor([0, 1, 3])}, r"segment_offsets must be int32 of shape \[B \+ 1\], got torch\.int64 \(3,\)"),
        ({"source": torch.tensor([0, 1, 0])}, r"source is torch\.int64 \(3,\)"),
        ({"place": torch.tensor([0, 1], dtype=torch.int32)}, r"place is torch\.int32 \(2,\) .* expected int32 \(3,\)"),
        ({"reading": torch.tensor([0, 9, 2, 9, 3, 9], dtype=torch.int32)[::2]}, r"reading is torch\.int32 \(3,\) with strides \(2,\)"),
    ):
        with pytest.raises(ValueError, match=complaint):
            fused.attention(torch.zeros(3), torch.zeros(2, 3), edges._replace(**change))
