"""What a run on a GPU measured, and the file that keeps it: one for each environment, replaced whole after every row. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import quantiles
from typing import Any

from properties import digest
from properties.evidence import BadEvidence, write_text
from properties.gpu.plan import DENSE, DENSE_KERNEL, OURS, PLANS, Case

SCHEMA = "attention-ledger/gpu/1"
PREFIX = "gpu-"
IDENTITY = ("gpu", "torch", "triton")  # facts that a file's rows must share
MEASURED, REFUSED, MEMORY, FAILED, STARTED = "measured", "refused", "out of memory", "failed", "started"
OUTCOMES = (MEASURED, REFUSED, MEMORY, FAILED, STARTED)
PARTS = ("kernel", "launch", "configuration", "flash", "fused", "index")  # of a folder that has a kernel
CUT_SHORT = "the process ended during this measurement: it crashed, hung or was stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one contender did with one case. Figures are there where `outcome` is MEASURED, `reason` elsewhere.

    `milliseconds`: lower quartile, median and upper quartile of `runs` calls on the device. `host`: milliseconds that Python takes to hand over one call.
    `extra`: bytes at the peak of a call beyond what was allocated before it. `error`: the largest difference of some rows of the output (forward) or of the
    queries' gradient (backward) from float64: shown, and judged by nobody here. `code`: the digest of the kernel's code, where the kernel is ours.
    """

    contender: str
    case: Case
    outcome: str
    reason: str = ""
    runs: int = 0
    milliseconds: tuple[float, float, float] | None = None
    host: float | None = None
    extra: int | None = None
    error: float | None = None
    code: str = ""

    @property
    def key(self) -> tuple[Case, str]:
        return (self.case, self.contender)

    @property
    def rate(self) -> float | None:
        """TFLOP/s of the median call."""
        return None if self.milliseconds is None else self.case.flops / self.milliseconds[1] / 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """All rows of one environment, in the order of their cases."""

    environment: dict[str, str]
    rows: tuple[Row, ...] = field(default=())

    def having(self, row: Row) -> Record:
        """With this row, instead of one of the same case and contender."""
        return replace(self, rows=tuple(sorted((*(r for r in self.rows if r.key != row.key), row), key=lambda r: r.key)))

    def without(self, keys: Collection[tuple[Case, str]]) -> Record:
        return replace(self, rows=tuple(row for row in self.rows if row.key not in keys))

    def holds(self, case: Case, contender: str, code: str) -> bool:
        """Is there a row, and was it taken on this code?"""
        return any(row.key == (case, contender) and row.code == code for row in self.rows)


def code_of(contender: str, family: str = DENSE) -> str:
    """The digest of the code behind a contender's rows: rows of other code are measured anew. Torch's version is a fact of the file already."""
    if contender == OURS:
        folder = "scaled_dot_product" if family == DENSE else PLANS[family].ours
    elif contender == DENSE_KERNEL:
        folder = "scaled_dot_product"
    else:
        return ""
    return digest.digest_of(tuple(digest.ROOT / "impl" / folder / f"{part}.py" for part in PARTS))


def quartiles(times: list[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile of at least two times, interpolated between the sorted ones."""
    low, middle, high = quantiles(times, n=4, method="inclusive")
    return low, middle, high


def write(path: Path, record: Record) -> None:
    """Replace the file in one step."""
    rows = [{name: value for name, value in asdict(row).items() if value is not None and value != ""} for row in record.rows]
    write_text(path, json.dumps({"schema": SCHEMA, "environment": record.environment, "rows": rows}, indent=1, ensure_ascii=False) + "\n")


def read(path: Path) -> Record:
    """The record in a file. Raises BadEvidence, naming the file, for anything else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema is {document['schema']!r}, expected {SCHEMA!r}")
        return Record(environment={str(k): str(v) for k, v in document["environment"].items()}, rows=tuple(from_json(row) for row in document["rows"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadEvidence(f"{path}: malformed ({type(error).__name__}: {error}); move it away and run python -m properties.gpu anew") from error


def from_json(row: dict[str, Any]) -> Row:
    """Raises KeyError, TypeError or ValueError for a row that `write` would not write."""
    times = row.get("milliseconds")
    read = Row(**row | {"case": Case(**row["case"]), "milliseconds": None if times is None else tuple(map(float, times))})
    if read.outcome not in OUTCOMES or (read.outcome == MEASURED) != (read.milliseconds is not None and len(read.milliseconds) == 3):
        raise ValueError(f"{read.contender}, {read.case}: outcome {read.outcome!r} with times {times!r}")
    return read


def opened(path: Path, environment: dict[str, str]) -> Record:
    """The record to go on with: the file's rows, or none. Raises BadEvidence where the file is of another environment, or no record."""
    if not path.exists():
        return Record(environment=environment)
    before = read(path)
    if other := [name for name in IDENTITY if before.environment.get(name) != environment.get(name)]:
        differs = "; ".join(f"{name} {before.environment.get(name)!r}, here {environment.get(name)!r}" for name in other)
        raise BadEvidence(f"{path}: belongs to another environment ({differs}); move it away")
    return replace(before, environment=environment)
