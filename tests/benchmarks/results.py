"""A benchmark's rows as JSON and as a plot: the same rows, the same bytes."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from properties.environment import slug
from properties.evidence import write_text

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
            axes.set(xscale="log", yscale="log", xlabel="n", ylabel="milliseconds (best)", xticks=sorted({row["n"] for row in shown}))
            axes.set_xticks([], minor=True)
            axes.xaxis.set_major_formatter("{x:.0f}")
            axes.set_title(f"{panel[1]}{', causal' if panel[2] else ''}, {panel[0]} thread{'s' if panel[0] > 1 else ''}", fontsize=9)
            axes.grid(alpha=0.3)
        figure.axes[0].legend(fontsize=7)
        drawn = StringIO()
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
