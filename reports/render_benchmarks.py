"""The fast paths of every family in pure PyTorch: counted operations and bytes, and the times beside them. From the evidence alone."""

from __future__ import annotations

from collections.abc import Sequence

from reports.benchmarks import Benchmarks, Contestant, Family
from reports.markdown import plain, table

OPENING = """Every family's fast paths in pure PyTorch beside a definition (in *italics*), on one core of a CPU, forward, one head of width 32 in float32.
**Operations and bytes are counted, exactly, and how they grow is asserted** in `tests/test_cost_families.py`: 2 · rows · columns · width for a matrix
product, one for each number that any other operation writes; bytes are those of live tensors at the peak, beside the inputs. **Times are shown beside, and
decide nothing.** They are medians of some rounds, in which the contestants take turns. The exponent is log₂ of what the last doubling of n does to the
operations. Python's own loops cost time that no count shows: a fast path with linear counts may well be slower at these sizes."""
REPEAT = "`make bench` counts, times and draws anew (minutes, on an idle machine)."


def benchmarks_page(found: Sequence[Benchmarks]) -> str:
    """The page. Raises ValueError where there is nothing to show."""
    if not found:
        raise ValueError("no benchmark of families was run: there is nothing to show")
    parts = [part for one in found for part in _environment(one)]
    return "\n\n".join(["# Fast paths on a CPU", "[All topics](README.md)", OPENING, *parts, "## To repeat it", REPEAT])


def _environment(found: Benchmarks) -> list[str]:
    facts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in sorted(found.machine.items()))
    return [f"## {plain(found.environment)}", plain(f"{facts}."), *(part for family in found.families for part in _family(family))]


def _family(family: Family) -> list[str]:
    sizes = family.contestants[0].sizes
    header = ["", " exponent", *(f" operations at {n}" for n in sizes), *(f" KiB at {n}" for n in (sizes[0], sizes[-1])), *(f" ms at {n}" for n in sizes)]
    return [
        f"### {plain(family.title)}",
        f"n is the number of {plain(family.axis)}.",
        table(header, [_row(x) for x in family.contestants]),
        f"![{plain(family.title)}: operations and milliseconds]({family.picture})",
    ]


def _row(x: Contestant) -> list[str]:
    name = f"*{plain(x.name)}*" if x.definition else plain(x.name)
    held = (x.peak_bytes[0], x.peak_bytes[-1])
    return [name, f"{x.exponent:.2f}", *(f"{n:,}" for n in x.operations), *(f"{n / 1024:,.1f}" for n in held), *(f"{1e3 * s:.3g}" for s in x.seconds)]
