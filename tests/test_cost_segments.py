"""What segments cost: exponentials, which are pairs weighed, numbers in the largest tensor, operations; each exact, and at sizes that tell edges from pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from impl.graph import reference as over_all_nodes
from impl.graph import segments as over_edges
from impl.graph_v2 import reference as second_over_all_nodes
from impl.graph_v2 import segments as second_over_edges
from impl.hierarchical import reference as padded
from impl.hierarchical import segments as ragged
from impl.multi_scale import reference as pooled_by_a_matrix
from impl.multi_scale import segments as pooled_by_sums
from impl.pyramid import gathered
from impl.pyramid import reference as all_keys
from tests.benchmarks.live_bytes import counting

D, H, C, FLOAT = 4, 3, 8, 4
Call = Callable[..., Tensor]


class Exponentials(TorchDispatchMode):
    """Counts the numbers whose exponential is taken, by itself or in a softmax."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **kwargs or {})
        if func in (torch.ops.aten.exp.default, torch.ops.aten._softmax.default):
            self.count += result.numel()
        return result


@contextmanager
def exponentials() -> Iterator[Exponentials]:
    with Exponentials() as counter:
        yield counter


def weighed(attention: Call, *arguments: Any, **keywords: Any) -> int:
    with exponentials() as counter:
        attention(*arguments, **keywords)
    return counter.count


def largest(attention: Call, *arguments: Any) -> int:
    """Numbers of 4 bytes in the largest tensor that the call makes; int64 counts twice."""
    with counting() as live:
        attention(*arguments)
    return live.largest // FLOAT


def operations(attention: Call, *arguments: Any) -> int:
    with FlopCounterMode(display=False) as counter:
        attention(*arguments)
    return int(counter.get_total_flops())


def graph(nodes: int, edges: int, kind: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(edges)
    x, ends = torch.randn(nodes, D, generator=random), torch.randint(0, nodes, (2, edges), generator=random)
    weights = [(D, H, C), (H, 2 * C)] if kind == 1 else [(D, H, C), (D, H, C), (H, C)]
    return [x, x, ends, *(torch.randn(*shape, generator=random) for shape in weights)]


KINDS: tuple[tuple[int, Call, Call], ...] = (
    (1, over_edges.attention, over_all_nodes.attention),
    (2, second_over_edges.attention, second_over_all_nodes.attention),
)


@pytest.mark.parametrize(("kind", "segments", "reference"), KINDS, ids=["graph", "graph-v2"])
@pytest.mark.parametrize("nodes", [10, 40, 160])
@pytest.mark.parametrize("edges", [0, 30, 90, 330])
def test_segments_weigh_each_edge_once_a_head(kind: int, segments: Call, reference: Call, nodes: int, edges: int) -> None:
    """E · H exponentials however many nodes there are; the mask's softmax takes N · E · H, as if each node might have each edge."""
    x = graph(nodes, edges, kind)
    assert weighed(segments, *x) == edges * H
    assert weighed(reference, *x) == nodes * edges * H


@pytest.mark.parametrize(("kind", "segments", "reference"), KINDS, ids=["graph", "graph-v2"])
@pytest.mark.parametrize("edges", [30, 90, 330])
@pytest.mark.parametrize("nodes", [10, 40, 160])
def test_no_tensor_of_segments_grows_with_nodes_times_edges(kind: int, segments: Call, reference: Call, nodes: int, edges: int) -> None:
    """The largest holds H · C numbers for each edge, or each node; the mask's, H for each pair of both."""
    x = graph(nodes, edges, kind)
    assert largest(segments, *x) == max(edges, nodes) * H * C
    assert largest(reference, *x) >= H * nodes * edges


def document(lengths: list[int]) -> list[Any]:
    random = torch.Generator().manual_seed(len(lengths))
    shapes = (sum(lengths), D), (D, C), (C,), (C,), (D, C), (C,), (C,)
    words, *weights = (torch.randn(*shape, generator=random) for shape in shapes)
    return [words, lengths, [len(lengths)], *weights]


@pytest.mark.parametrize("lengths", [[64, *[1] * 30], [3] * 32, [1] * 90, [0, 90, 0, 5]], ids=str)
def test_a_long_sentence_does_not_pad_the_others(lengths: list[int]) -> None:
    """T exponentials for words and one for each sentence that has some; under masks the longest sentence times their number, and as many again times D."""
    x, filled = document(lengths), sum(length > 0 for length in lengths)
    assert weighed(ragged.attention, *x) == sum(lengths) + filled
    assert weighed(padded.attention, *x) == max(lengths) * len(lengths) + len(lengths)
    assert largest(ragged.attention, *x) == max(sum(lengths), filled) * C
    assert largest(padded.attention, *x) >= max(lengths) * len(lengths) * D


def sequence(n: int, m: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(n)
    return [torch.randn(1, length, width, generator=random) for length, width in ((n, D), (m, D), (m, C))]


@pytest.mark.parametrize("m", [31, 64, 129])
@pytest.mark.parametrize("widths", [(1,), (2,), (4, 16), (1, 4, 1000)], ids=str)
def test_scales_take_a_pair_for_each_row_and_cell(m: int, widths: tuple[int, ...]) -> None:
    """N · Σ ⌈M / width⌉ pairs, each 2 (D + E) operations, and none to pool; a matrix takes as many again for each key and cell."""
    n, cells = 6, sum(-(-m // width) for width in widths)
    assert operations(pooled_by_sums.attention, *sequence(n, m), widths) == 2 * n * cells * (D + C)
    assert operations(pooled_by_a_matrix.attention, *sequence(n, m), widths) == 2 * (n + m) * cells * (D + C)


@pytest.mark.parametrize("m", [64, 256, 1024])
@pytest.mark.parametrize(("width", "top_k"), [(8, 2), (16, 1), (32, 2)])
def test_coarse_to_fine_touches_the_chosen_keys_alone(m: int, width: int, top_k: int) -> None:
    """N · ⌈M / width⌉ coarse pairs of D, and N · top_k · width fine ones of D + E; at width √M that is √M a row, where the mask has M."""
    n, fine = 6, top_k * width
    searched: Call = gathered.attention
    assert operations(searched, *sequence(n, m), width, top_k) == 2 * n * (-(-m // width) * D + fine * (D + C))
    assert weighed(searched, *sequence(n, m), width, top_k) == n * fine
    assert weighed(all_keys.attention, *sequence(n, m), width, top_k) == n * m
    assert operations(all_keys.attention, *sequence(n, m), width, top_k) >= 2 * n * m * (D + C)


GRAPHS = [(kind, attention) for kind, *attentions in KINDS for attention in attentions]
DOCUMENTS: tuple[Call, ...] = (padded.attention, ragged.attention)
SCALES: tuple[Call, ...] = (pooled_by_a_matrix.attention, pooled_by_sums.attention)
CELLS: tuple[Call, ...] = (all_keys.attention, gathered.attention)


@pytest.mark.parametrize(("kind", "attention"), GRAPHS)
def test_edges_that_do_not_fit_are_refused(kind: int, attention: Call) -> None:
    x = graph(4, 6, kind)
    for edges, message in (
        (x[2].float(), r"gives them as A\.nonzero\(\)\.T"),
        (x[2].t(), r"expected \[2, E\]"),
        (x[2] + 4, "expected 0 to 3"),
        (x[2] - 4, "expected 0 to 3"),
    ):
        with pytest.raises(ValueError, match=message):
            attention(*x[:2], edges, *x[3:])
    for energy in (x[-1][0], x[-1][:1], x[-1][:, :1]):
        with pytest.raises(ValueError, match=r"energy has shape .* expected \[3, "):
            attention(*x[:-1], energy)
    with pytest.raises(ValueError, match="belong together"):
        attention(*x, torch.ones(6, 1))
    with pytest.raises(ValueError, match="a row for each edge"):
        attention(*x, torch.ones(5, 1), torch.ones(H, 1))
    for indptr in ([0, 1, 2, 3], [0, 5, 2, 6, 6], [0, 1, 2, 3, 7], [1, 2, 3, 4, 6]):
        with pytest.raises(ValueError, match="indptr"):
            attention(*x[:2], x[2][0], *x[3:], indptr=torch.tensor(indptr))


@pytest.mark.parametrize("attention", DOCUMENTS)
def test_lengths_that_do_not_fit_are_refused(attention: Call) -> None:
    x = document([2, 3])
    for lengths, documents, message in (([2, 2], [2], "sentence_lengths"), ([2, 3], [1], "document_lengths"), ([6, -1], [2], "lengths from 0")):
        with pytest.raises(ValueError, match=message):
            attention(x[0], lengths, documents, *x[3:])
    with pytest.raises(ValueError, match="expected integers"):
        attention(x[0], torch.tensor([2.0, 3.0]), *x[2:])
    with pytest.raises(ValueError, match="belong together"):
        attention(*x[:-1])


def test_widths_and_numbers_that_make_no_sense_are_refused() -> None:
    x = sequence(2, 3)
    for attention in SCALES:
        for widths, message in (([], "at least one"), ([1, 0], "at least 1")):
            with pytest.raises(ValueError, match=message):
                attention(*x, widths)
    for attention in CELLS:
        for width, top_k, message in ((1, -1, "top_k = -1"), (0, 1, "at least 1")):
            with pytest.raises(ValueError, match=message):
                attention(*x, width, top_k)


@pytest.mark.parametrize("attention", CELLS)
def test_cells_of_keys_that_sequences_and_heads_share(attention: Call) -> None:
    """As if each had its own copy, to the last bit: scores of whole numbers are exact."""
    random = torch.Generator().manual_seed(0)
    query, key, value = (torch.randint(-3, 4, of, generator=random).float() for of in ((2, 3, 4, 2), (1, 1, 5, 2), (1, 1, 5, 3)))
    copies = key.repeat(2, 3, 1, 1), value.repeat(2, 3, 1, 1)
    assert torch.equal(attention(query, key, value, 2, 1, 1.0), attention(query, *copies, 2, 1, 1.0))
