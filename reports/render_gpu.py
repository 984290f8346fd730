"""Times on GPUs: this project's kernel beside torch's own attention, as they were measured and no further."""

from __future__ import annotations

from collections.abc import Sequence

from properties.gpu.plan import OURS, PLANS, TORCH, Case
from properties.gpu.record import Row
from reports.gpu import Run, alike
from reports.markdown import code, number, plain, table

OPENING = """Nothing is claimed about any GPU, version or shape that does not stand here, and no verdict depends on a time. The setting and the count of
operations are those of [FlashAttention-2](https://arxiv.org/abs/2307.08691), section 4.1: 16,384 tokens in all, a hidden width of 2,048,
4 · B · H · N² · D operations forward, half of it under causality, 2.5 times it backward. A time is the median of the runs that stand beside it, taken by
events on the device, with caches flushed before each run; backward is the gradient alone, and forward records none. Memory is what a call takes at its
peak beyond what was there before. The difference from float64 is the largest on 64 rows of the first head, of the output or of the queries' gradient:
it is shown, and correctness is judged by the laws alone. The other families stand below dense attention, each with its own call."""
EARLIER = "†"


def gpu_page(runs: Sequence[Run]) -> str:
    """The page of all runs. Raises ValueError where there is none: then there is no page."""
    if not runs:
        raise ValueError("no GPU has been measured: there is nothing to show")
    return "\n\n".join(["# Times on GPUs", "[All topics](README.md)", OPENING, *(part for run in runs for part in _run(run))])


def _run(run: Run) -> list[str]:
    facts = ", ".join(f"{name} {value}" for name, value in sorted(run.record.environment.items()))
    parts = [f"## {plain(run.record.environment.get('gpu', run.name))}", plain(f"{facts}.")]
    for kind, cases in alike(run.cases).items():
        parts += [f"### {_kind(kind)}", _rates(run, cases), _details(run, cases)]
    for family in PLANS:
        if cases := run.of(family):
            parts += [f"### {plain(family.capitalize())}", plain(f"{PLANS[family].says}."), _family(run, cases)]
    if any(run.stale(row) for row in run.record.rows):
        parts.append(f"{EARLIER} The kernel's code has changed since.")
    if missing := run.unmeasured():
        parts += ["### Not measured", "\n".join(_missing(*why, cases) for why, cases in sorted(missing.items()))]
    return parts


def _kind(case: Case) -> str:
    direction, hidden = "Backward" if case.backward else "Forward", "causal" if case.causal else "without a mask"
    return f"{direction}, {hidden}, {case.dtype}, {case.heads} heads of {case.width}"


def _rates(run: Run, cases: Sequence[Case]) -> str:
    header = [" N", " B", *(f" {name}" for name in (OURS, *TORCH)), f" {OURS} ÷ best of torch"]
    rows = [[str(case.n), str(case.batch), *(_rate(run, case, name) for name in (OURS, *TORCH)), number(run.ratio(case))] for case in cases]
    return "TFLOP/s:\n\n" + table(header, rows)


def _rate(run: Run, case: Case, name: str) -> str:
    row = run.row(case, name)
    if row is None:
        return ""
    shown = row.outcome if row.rate is None else f"{row.rate:.1f}"
    return f"{shown}{EARLIER if run.stale(row) else ''}"


def _family(run: Run, cases: Sequence[Case]) -> str:
    """Median milliseconds of everybody, and how often ours fits into the best of the others."""
    names = (OURS, *PLANS[cases[0].family].ways)
    rows = []
    for case in cases:
        found = {name: run.row(case, name) for name in names}
        times = {name: row.milliseconds[1] for name, row in found.items() if row is not None and row.milliseconds is not None}
        others = [time for name, time in times.items() if name != OURS]
        shown = [
            "" if row is None else row.outcome if row.milliseconds is None else f"{times[name]:.3f}{EARLIER if run.stale(row) else ''}"
            for name, row in found.items()
        ]
        ratio = min(others) / times[OURS] if others and OURS in times else None
        direction = "backward" if case.backward else "forward"
        rows.append([direction, case.dtype, str(case.n), str(case.width), str(case.batch), str(case.heads), *shown, number(ratio)])
    return table(["", "dtype", " n", " D", " B", " H", *(f" {name}, ms" for name in names), f" best of the others ÷ {OURS}"], rows)


def _details(run: Run, cases: Sequence[Case]) -> str:
    header = [" N", "who", " ms, median", " quartiles", " runs", " host, ms a call", " memory, MiB", " difference from float64"]
    rows = [_detail(row) for case in cases for row in (run.row(case, OURS), run.best(case)) if row is not None and row.milliseconds is not None]
    return table(header, rows)


def _detail(row: Row) -> list[str]:
    assert row.milliseconds is not None
    low, middle, high = row.milliseconds
    memory = "" if row.extra is None else f"{row.extra / 2**20:.1f}"
    return [str(row.case.n), row.contender, f"{middle:.3f}", f"{low:.3f} – {high:.3f}", str(row.runs), number(row.host), memory, number(row.error)]


def _missing(contender: str, outcome: str, reason: str, cases: Sequence[Case]) -> str:
    return f"- {code(contender)}, {outcome}: {plain(reason)} ({len(cases)}: {plain('; '.join(map(str, cases[:3])))}{' …' if len(cases) > 3 else ''})"
