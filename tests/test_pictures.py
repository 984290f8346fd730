"""Pictures of attention: what their artists hold lies where the axes say it does, wrong input is quoted, and the same figure gives the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib", reason="needs matplotlib (pip install -e '.[dev]')")
from matplotlib.figure import Figure

from impl.instruments import pictures
from impl.instruments.jensen_shannon import pair_by_pair
from impl.instruments.jensen_shannon import reference as jensen_shannon

QUERIES, KEYS = ["the", "cat", "sat"], ["a", "b", "c", "d"]


def one_hot(*shape: int, at: tuple[int, ...]) -> Any:
    w = np.zeros(shape)
    w[at] = 1
    return w


def brightest(figure: Figure, panel: int = 0) -> tuple[int, int]:
    """(row label's place, column label's place) of the largest number, as drawn: read from the image's extent, not from its array's order alone."""
    axes = figure.axes[panel]
    (image,) = axes.images
    data = np.asarray(image.get_array())
    row, column = np.unravel_index(int(data.argmax()), data.shape)
    left, right, bottom, top = image.get_extent()
    x = left + (column + 0.5) * (right - left) / data.shape[1]
    y = top + (row + 0.5) * (bottom - top) / data.shape[0] if image.origin == "upper" else bottom + (row + 0.5) * (top - bottom) / data.shape[0]
    return round(y), round(x)


@pytest.mark.parametrize("query", range(3))
@pytest.mark.parametrize("key", range(4))
def test_the_dark_cell_is_in_the_query_s_row_and_the_key_s_column(query: int, key: int) -> None:
    figure = pictures.heat_map(one_hot(3, 4, at=(query, key)), QUERIES, KEYS)
    axes = figure.axes[0]
    row, column = brightest(figure)
    assert axes.get_yticklabels()[row].get_text() == QUERIES[query]
    assert axes.get_xticklabels()[column].get_text() == KEYS[key]
    assert axes.yaxis_inverted(), "the first query is not on top"
    assert "from" in axes.get_ylabel()
    assert "to" in axes.get_xlabel()


def test_ticks_stand_at_the_middle_of_their_cells() -> None:
    axes = pictures.heat_map(np.full((3, 4), 0.25), QUERIES, KEYS).axes[0]
    assert axes.get_xticks().tolist() == [0, 1, 2, 3]
    assert axes.get_yticks().tolist() == [0, 1, 2]
    assert tuple(axes.images[0].get_extent()) == (-0.5, 3.5, 2.5, -0.5)


def test_a_weight_has_one_colour_in_all_pictures() -> None:
    """0 and 1 end the scale, whatever the weights are."""
    figure = pictures.heat_map(np.full((3, 4), 0.25), QUERIES, KEYS)
    assert figure.axes[0].images[0].get_clim() == (0, 1)
    assert {x.images[0].get_clim() for x in pictures.head_grid(np.full((2, 2, 3, 4), 0.25), QUERIES, KEYS).axes[:4]} == {(0, 1)}


@pytest.mark.parametrize(("layer", "head"), [(0, 0), (0, 2), (1, 1)])
def test_each_head_has_its_own_panel(layer: int, head: int) -> None:
    figure = pictures.head_grid(one_hot(2, 3, 3, 4, at=(layer, head, 2, 1)), QUERIES, KEYS)
    panels = {axes.get_title(): place for place, axes in enumerate(figure.axes) if axes.images and axes.get_title()}
    bright = [title for title, place in panels.items() if np.asarray(figure.axes[place].images[0].get_array()).any()]
    assert bright == [f"layer {layer + 1}, head {head + 1}"]
    assert brightest(figure, panels[bright[0]]) == (2, 1)
    assert len(panels) == 6


def test_a_flow_s_line_runs_from_the_key_below_to_the_query_above() -> None:
    """A weight of layer 2 at (query 2, key 0) joins token 0 after layer 1 with token 2 after layer 2."""
    figure = pictures.flow(one_hot(2, 3, 3, at=(1, 2, 0)), QUERIES)
    lines: Any = figure.axes[0].collections[0]
    (segment,) = lines.get_segments()
    assert segment.tolist() == [[1, 0], [2, 2]]
    assert "key (left) to the query" in figure.axes[0].get_xlabel()
    assert figure.axes[0].yaxis_inverted()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == QUERIES


def test_a_flow_s_lines_are_as_opaque_as_their_weights() -> None:
    w = np.array([[[1, 0, 0], [0.75, 0.25, 0], [0.5, 0.46, 0.04]]])
    lines: Any = pictures.flow(w, QUERIES, least=0.05).axes[0].collections[0]
    assert np.asarray(lines.get_alpha()).tolist() == [1, 0.75, 0.25, 0.5, 0.46]
    assert len(lines.get_segments()) == 5


def test_a_flow_of_nothing_has_no_line() -> None:
    figure = pictures.flow(np.full((1, 3, 3), 0.01), QUERIES)
    lines: Any = figure.axes[0].collections[0]
    assert not lines.get_segments()
    assert "<svg" in pictures.svg(figure)


def test_each_head_s_entropy_has_its_curve() -> None:
    entropy = np.arange(12.0).reshape(3, 2, 2)
    axes: Any = pictures.entropy_along_training([0, 10, 30], entropy).axes[0]
    drawn = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    assert drawn["layer 2, head 1"] == ([0, 10, 30], [2, 6, 10])
    assert len(drawn) == 4
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines}) == 4


def test_a_comparison_of_heads_says_each_number_where_it_belongs() -> None:
    d = np.array([[0, 0.25, 0.5], [0.25, 0, 0.125], [0.5, 0.125, 0]])
    figure = pictures.head_comparison(d, ["1.1", "1.2", "2.1"])
    said = {(text.get_position()[1], text.get_position()[0]): text.get_text() for text in figure.axes[0].texts}
    assert said[(0, 2)] == "0.50"
    assert said[(1, 2)] == "0.12"
    assert brightest(figure) in ((0, 2), (2, 0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("way", [jensen_shannon.divergence, pair_by_pair.divergence])
def test_divergences_can_be_drawn_as_they_are(way: Callable[..., torch.Tensor], dtype: torch.dtype) -> None:
    """A head has none from itself, exactly, whatever its weights round to."""
    w = torch.randn(4, 5, 7, generator=torch.Generator().manual_seed(0), dtype=dtype).softmax(-1)
    figure = pictures.head_comparison(way(w, pairs=True).mean(-1), ["1.1", "1.2", "2.1", "2.2"])
    assert [text.get_text() for text in figure.axes[0].texts][::5] == ["0.00"] * 4


@pytest.mark.parametrize(
    ("draw", "quoted"),
    [
        (lambda: pictures.heat_map(np.zeros((2, 3, 4)), QUERIES, KEYS), r"\(2, 3, 4\).*\[N, M\]"),
        (lambda: pictures.heat_map(np.zeros((4, 3)), QUERIES, KEYS), r"3 queries \['the', 'cat', 'sat'\] for an axis of length 4"),
        (lambda: pictures.heat_map(np.zeros((3, 3)), QUERIES, KEYS), r"4 keys .* for an axis of length 3"),
        (lambda: pictures.heat_map(np.zeros((0, 4)), [], KEYS), r"\(0, 4\)"),
        (lambda: pictures.heat_map(np.full((3, 4), -0.5), QUERIES, KEYS), r"-0.5.* at \(0, 0\)"),
        (lambda: pictures.heat_map(np.full((3, 4), np.nan), QUERIES, KEYS), r"nan.* at \(0, 0\)"),
        (lambda: pictures.head_grid(np.zeros((3, 4)), QUERIES, KEYS), r"\(3, 4\).*\[L, H, N, M\]"),
        (lambda: pictures.flow(np.zeros((2, 3, 4)), QUERIES), r"\(2, 3, 4\).*\[L, N, N\]"),
        (lambda: pictures.flow(np.zeros((2, 3, 3)), QUERIES, least=2), "least=2"),
        (lambda: pictures.entropy_along_training([0, 1], np.zeros((3, 1, 1))), r"\[0, 1\].*\(3, 1, 1\)"),
        (lambda: pictures.entropy_along_training([0, 2, 2], np.zeros((3, 1, 1))), r"\[0, 2, 2\].*rising"),
        (lambda: pictures.head_comparison(np.array([[0, 1.0], [0.5, 0]]), ["a", "b"]), "symmetric"),
        (lambda: pictures.head_comparison(np.eye(2), ["a", "b"]), "diagonal"),
    ],
)
def test_wrong_input_is_quoted(draw: Callable[[], Figure], quoted: str) -> None:
    with pytest.raises(ValueError, match=quoted):
        draw()


DRAWINGS: list[Callable[[], Figure]] = [
    lambda: pictures.heat_map(torch.full((3, 4), 0.25, dtype=torch.bfloat16, requires_grad=True), QUERIES, KEYS, "one head"),
    lambda: pictures.head_grid(torch.full((2, 2, 3, 4), 0.25), QUERIES, KEYS),
    lambda: pictures.flow(np.full((2, 3, 3), 1 / 3), QUERIES),
    lambda: pictures.entropy_along_training([0, 5], np.ones((2, 2, 2))),
    lambda: pictures.head_comparison(np.ones((3, 3)) - np.eye(3), ["1.1", "1.2", "2.1"]),
]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_the_same_picture_has_the_same_bytes(draw: Callable[[], Figure]) -> None:
    once, again = pictures.svg(draw()), pictures.svg(draw())
    assert once == again
    assert "<dc:date>" not in once
    assert ElementTree.fromstring(once).tag.endswith("svg")


def test_drawing_leaves_no_global_state() -> None:
    """No figure stays registered with pyplot, and no setting is changed."""
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    for draw in DRAWINGS:
        pictures.svg(draw())
    assert dict(mpl.rcParams) == before
    from matplotlib import _pylab_helpers

    assert not _pylab_helpers.Gcf.figs
