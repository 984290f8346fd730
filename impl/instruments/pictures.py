"""Pictures of attention, as matplotlib figures without any global state; `svg` writes one down, the same bytes each time.

Rows are queries, which attend from there; columns are keys, which are attended to. Weights are arrays or tensors of any float dtype. Every function raises
ValueError, quoting what it was given, for shapes and labels that do not fit, and for weights that are negative or not finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

Array = npt.NDArray[np.float64]
FROM, TO = "query (attends from)", "key (attended to)"
STYLE: Any = {"svg.hashsalt": "attention-ledger", "svg.fonttype": "none"}
MANY = 40  # labels on one axis, beyond which they are left out


def heat_map(weights: Any, queries: Sequence[str], keys: Sequence[str], title: str = "") -> Figure:
    """One head's weights [N, M]: the cell in row i and column j says how much query i attends to key j. 0 is white, 1 is dark."""
    w = checked(weights, ("N", "M"))
    expect_labels("queries", queries, w.shape[0])
    expect_labels("keys", keys, w.shape[1])
    figure = Figure(figsize=(1.8 + 0.22 * w.shape[1], 1.3 + 0.22 * w.shape[0]), layout="constrained")
    axes = figure.add_subplot()
    image = cells(axes, w)
    ticks(axes, queries, keys)
    axes.set(xlabel=TO, ylabel=FROM, title=title)
    figure.colorbar(image, ax=axes, label="weight", shrink=0.8)
    return figure


def head_grid(weights: Any, queries: Sequence[str], keys: Sequence[str], title: str = "") -> Figure:
    """Every head's weights [L, H, N, M]: layers below each other, heads side by side, all on one scale."""
    w = checked(weights, ("L", "H", "N", "M"))
    expect_labels("queries", queries, w.shape[2])
    expect_labels("keys", keys, w.shape[3])
    figure = Figure(figsize=(0.8 + 2.4 * w.shape[1], 0.8 + 2.5 * w.shape[0]), layout="constrained")
    panels: Any = figure.subplots(w.shape[0], w.shape[1], squeeze=False)
    for place in np.ndindex(w.shape[:2]):
        axes: Axes = panels[place]
        image = cells(axes, w[place])
        ticks(axes, queries if place[1] == 0 else [], keys if place[0] == w.shape[0] - 1 else [], size=4)
        axes.set_title(f"layer {place[0] + 1}, head {place[1] + 1}", fontsize=8)
    figure.supxlabel(TO, fontsize=8)
    figure.supylabel(FROM, fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.colorbar(image, ax=panels.ravel().tolist(), label="weight", shrink=0.6)
    return figure


def flow(weights: Any, tokens: Sequence[str], least: float = 0.05, title: str = "") -> Figure:
    """A graph of what passes through the layers, weights [L, N, N]: column l has the tokens at the input of layer l + 1, and a line from key j in column l to
    query i in column l + 1 is as opaque as the weight of layer l + 1 at (i, j). Lines of weights below `least` are left out."""
    w = checked(weights, ("L", "N", "N"))
    expect_labels("tokens", tokens, w.shape[1])
    if not 0 <= least <= 1:
        raise ValueError(f"least={least!r}; the least weight that is drawn lies in [0, 1]")
    figure = Figure(figsize=(1.5 + 1.8 * w.shape[0], 1.0 + 0.2 * w.shape[1]), layout="constrained")
    axes = figure.add_subplot()
    layers, rows, columns = np.nonzero((w >= least) & (w > 0))
    lines = [[(layer, column), (layer + 1, row)] for layer, row, column in zip(layers, rows, columns, strict=True)]
    opacity = np.minimum(w[layers, rows, columns], 1.0) if lines else None
    axes.add_collection(LineCollection(lines, colors="tab:blue", alpha=opacity, linewidths=1.2))
    for layer in range(w.shape[0] + 1):
        axes.plot([layer] * len(tokens), range(len(tokens)), "o", color="black", markersize=2)
    axes.set_xticks(range(w.shape[0] + 1), ["input", *(f"after layer {layer + 1}" for layer in range(w.shape[0]))], fontsize=7)
    axes.set_yticks(range(len(tokens)), tokens, fontsize=6)
    axes.set(xlabel="from the key (left) to the query that attends to it (right)", ylabel="token", title=title)
    axes.set(ylim=(len(tokens) - 0.5, -0.5), xlim=(-0.2, w.shape[0] + 0.2))
    return figure


def entropy_along_training(steps: Sequence[int], entropy: Any, title: str = "") -> Figure:
    """Mean entropy in nats of each head's rows after so many steps of training, entropy [T, L, H]: a colour for each head, a dash for each layer."""
    e = checked(entropy, ("T", "L", "H"))
    if len(steps) != e.shape[0] or any(later <= sooner for sooner, later in pairwise(steps)):
        raise ValueError(f"steps {list(steps)} for entropy {e.shape}; they must be rising, one for each of the first axis")
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for layer, head in np.ndindex(e.shape[1:]):
        style, colour = ("-", "--", ":", "-.")[layer % 4], f"C{head % 10}"
        axes.plot(list(steps), e[:, layer, head], linestyle=style, color=colour, label=f"layer {layer + 1}, head {head + 1}")
    axes.set(xlabel="step", ylabel="mean entropy of a row, nats", title=title, ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=7, ncols=2)
    return figure


def head_comparison(divergence: Any, heads: Sequence[str], title: str = "") -> Figure:
    """How far heads are from each other, divergence [K, K], symmetric with zeros on its diagonal: dark is alike."""
    d = checked(divergence, ("K", "K"))
    expect_labels("heads", heads, d.shape[0])
    if not np.array_equal(d, d.T) or d.diagonal().any():
        raise ValueError(f"divergence {d.tolist()} must be symmetric, with zeros on its diagonal")
    figure = Figure(figsize=(2.2 + 0.4 * len(heads), 1.6 + 0.4 * len(heads)), layout="constrained")
    axes = figure.add_subplot()
    image = cells(axes, d, palette="Blues_r", top=None)
    ticks(axes, heads, heads)
    for row, column in np.ndindex(d.shape):
        colour = "black" if 2 * d[row, column] > d.max() else "white"
        axes.text(column, row, f"{d[row, column]:.2f}", ha="center", va="center", fontsize=6, color=colour)
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="divergence", shrink=0.8)
    return figure


def svg(figure: Figure) -> str:
    """The figure as SVG, without a date or random names: the same figure, the same bytes."""
    drawn = StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return "\n".join(line.rstrip() for line in drawn.getvalue().splitlines()) + "\n"


def checked(given: Any, axes: tuple[str, ...]) -> Array:
    """The numbers as float64. Raises ValueError unless they have these axes, equal names having equal lengths, none empty, and are finite and not negative."""
    found = np.asarray(given.detach().cpu().double().numpy() if isinstance(given, Tensor) else given, dtype=np.float64)
    lengths = dict(zip(axes, found.shape, strict=False))
    if found.ndim != len(axes) or 0 in found.shape or tuple(lengths[name] for name in axes) != found.shape:
        raise ValueError(f"numbers of shape {found.shape}; expected [{', '.join(axes)}], none of them 0")
    wrong = ~(np.isfinite(found) & (found >= 0))
    if wrong.any():
        at = tuple(int(place[0]) for place in np.nonzero(wrong))
        raise ValueError(f"{found[at]!r} at {at}; expected finite numbers that are not negative")
    return found


def expect_labels(name: str, labels: Sequence[str], count: int) -> None:
    """Raise ValueError unless there are so many labels."""
    if len(labels) != count:
        raise ValueError(f"{len(labels)} {name} {list(labels)} for an axis of length {count}")


def cells(axes: Axes, w: Array, palette: str = "Blues", top: float | None = 1.0) -> Any:
    """Row 0 on top, column 0 at the left."""
    return axes.imshow(w, cmap=palette, vmin=0, vmax=top, origin="upper", aspect="equal", interpolation="nearest")


def ticks(axes: Axes, rows: Sequence[str], columns: Sequence[str], size: float = 6) -> None:
    """The labels of rows and columns; none where they could not be read."""
    columns, rows = (labels if len(labels) <= MANY else [] for labels in (columns, rows))
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=size)
    axes.set_yticks(range(len(rows)), rows, fontsize=size)
