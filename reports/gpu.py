"""Reads what `python -m properties.gpu` measured, and compares. Pure, apart from `read`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from properties.gpu import record
from properties.gpu.plan import DENSE, OURS, TORCH, Case
from properties.gpu.record import PREFIX, Record, Row

__all__ = ["PREFIX", "Run", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one environment measured. `code` gives the digest of a contender's code in a family as it stands today: rows of other code are shown as such."""

    name: str
    record: Record
    code: Callable[[str, str], str]

    @property
    def cases(self) -> list[Case]:
        """Of dense attention."""
        return self.of(DENSE)

    def of(self, family: str) -> list[Case]:
        return sorted({row.case for row in self.record.rows if row.case.family == family})

    def row(self, case: Case, contender: str) -> Row | None:
        return next((row for row in self.record.rows if row.key == (case, contender)), None)

    def best(self, case: Case) -> Row | None:
        """The fastest of torch's ways, by the median."""
        rows = [row for name in TORCH if (row := self.row(case, name)) is not None and row.milliseconds is not None]
        return min(rows, key=lambda row: row.milliseconds[1] if row.milliseconds else 0.0, default=None)

    def ratio(self, case: Case) -> float | None:
        """The rate of this project's kernel over that of the best of torch's ways; above 1 it is the faster one."""
        ours, best = self.row(case, OURS), self.best(case)
        return None if ours is None or best is None or ours.rate is None or best.rate is None else ours.rate / best.rate

    def stale(self, row: Row) -> bool:
        return row.code != self.code(row.contender, row.case.family)

    def unmeasured(self) -> dict[tuple[str, str, str], list[Case]]:
        """The cases of each contender that have no time, by outcome and reason."""
        found: dict[tuple[str, str, str], list[Case]] = {}
        for row in self.record.rows:
            if row.milliseconds is None:
                found.setdefault((row.contender, row.outcome, row.reason), []).append(row.case)
        return found


def read(folder: Path) -> tuple[Run, ...]:
    """Every record of a folder, by name. Raises BadEvidence, naming the file, for a malformed one."""
    return tuple(Run(name=path.stem.removeprefix(PREFIX), record=record.read(path), code=record.code_of) for path in sorted(folder.glob(f"{PREFIX}*.json")))


def alike(cases: Sequence[Case]) -> dict[Case, list[Case]]:
    """The cases that differ in length (and with it in batch) alone, short ones first, by the one that stands for them: of length and batch 0."""
    found: dict[Case, list[Case]] = {}
    for case in sorted(cases):
        found.setdefault(replace(case, n=0, batch=0), []).append(case)
    return found
