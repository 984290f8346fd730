"""A benchmark's rows as JSON and as plots: the same rows, the same bytes."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from properties.environment import slug
from properties.evidence import write_text
from reports import benchmarks
from tests.benchmarks.families import FAMILIES

SCHEMA = "attention-ledger/benchmark/1"
Row = dict[str, Any]


def write(folder: Path, environment: dict[str, str], machine: dict[str, Any], rows: list[Row]) -> None:
    """Write evidence/benchmark-ENVIRONMENT.json and benchmark-ENVIRONMENT.svg under `folder`, each in one step. Without rows nothing is written."""
    if not rows:
        return
    name = f"benchmark-{slug(environment)}"
    document = {"schema": SCHEMA, "environment": environment, "machine": machine, "rows": rows}
    write_text(folder / "evidence" / f"{name}.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    write_text(folder / f"{name}.svg", plot(rows, slug(environment)))


def write_families(folder: Path, environment: dict[str, str], machine: dict[str, Any], rows: list[Row]) -> None:
    """Write evidence/benchmark-families-ENVIRONMENT.json and benchmarks/FAMILY-ENVIRONMENT.svg under `folder`, each in one step. Without all families
    nothing is written: pages show a file whole."""
    if {row["family"] for row in rows} != set(FAMILIES):
        return
    about = {name: {"title": family.title, "axis": family.axis} for name, family in FAMILIES.items()}
    document = {"schema": benchmarks.SCHEMA, "environment": environment, "machine": machine, "families": about, "rows": rows}
    write_text(folder / "evidence" / f"{benchmarks.PREFIX}{slug(environment)}.json", json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    for name in FAMILIES:
        own = [row for row in rows if row["family"] == name]
        write_text(folder / benchmarks.picture(name, slug(environment)), plot_family(own, about[name], slug(environment)))


def plot_family(rows: list[Row], about: dict[str, str], title: str) -> str:
    """Operations and best times against n, definitions dashed, as SVG without a date or random names."""
    with mpl.rc_context({"svg.hashsalt": "attention-ledger", "svg.fonttype": "none"}):
        figure = Figure(figsize=(9.6, 3.6), layout="constrained")
        figure.suptitle(f"{about['title']}: one head of width 32, float32, one core ({title})", fontsize=10)
        for place, (of, times, label) in enumerate((("operations", 1, "operations (counted)"), ("best_seconds", 1e3, "milliseconds (best of the rounds)")), 1):
            axes = figure.add_subplot(1, 2, place)
            for contestant in dict.fromkeys(row["contestant"] for row in rows):
                own = sorted((row for row in rows if row["contestant"] == contestant), key=lambda row: row["n"])
                style = "--" if own[0]["definition"] else "-"
                axes.plot([row["n"] for row in own], [row[of] * times for row in own], style, marker="o", markersize=3, label=contestant)
            both_logarithmic(axes, rows, about["axis"], label)
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=7)
        return svg(figure)


def plot(rows: list[Row], title: str) -> str:
    """Best times against n, one panel for each pass, causality and number of threads, as SVG without a date or random names."""
    panels = sorted({(row["threads"], row["pass"], row["causal"]) for row in rows}, key=lambda panel: (panel[0], panel[1] != "forward", panel[2]))
    across = max(1, len(panels) // len({panel[0] for panel in panels}))
    down = -(-len(panels) // across)
    with mpl.rc_context({"svg.hashsalt": "attention-ledger", "svg.fonttype": "none"}):
        figure = Figure(figsize=(3.4 * across, 3.1 * down), layout="constrained")
        figure.suptitle(f"Attention on the CPU: batch 1, 8 heads, width 64, float32 ({title})")
        for place, panel in enumerate(panels, 1):
            axes = figure.add_subplot(down, across, place)
            shown = [row for row in rows if (row["threads"], row["pass"], row["causal"]) == panel]
            for contestant in dict.fromkeys(row["contestant"] for row in shown):
                points = sorted((row["n"], row["best_seconds"] * 1e3) for row in shown if row["contestant"] == contestant)
                axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=contestant)
            both_logarithmic(axes, shown, "n", "milliseconds (best)")
            axes.set_title(f"{panel[1]}{', causal' if panel[2] else ''}, {panel[0]} thread{'s' if panel[0] > 1 else ''}", fontsize=9)
        figure.axes[0].legend(fontsize=7)
        return svg(figure)


def both_logarithmic(axes: Axes, rows: list[Row], x: str, y: str) -> None:
    """Both scales logarithmic, a tick at each n."""
    axes.set(xscale="log", yscale="log", xlabel=x, ylabel=y, xticks=sorted({row["n"] for row in rows}))
    axes.set_xticks([], minor=True)
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.grid(alpha=0.3)


def svg(figure: Figure) -> str:
    """The picture without a date."""
    drawn = StringIO()
    figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
