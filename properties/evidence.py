"""One observation about one claim and one subject, and the file of them: the only thing that checks hand to reports.

A file belongs to one environment. It is written atomically; a malformed or foreign file is named and never overwritten.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from theorems.outcome import Outcome

SCHEMA = "attention-ledger/evidence/1"
DERIVATION, SEARCH = "derivation", "search"  # the two subjects that are no implementation
# The JSON types of a row's fields; any other field is text.
TYPES: dict[str, type | tuple[type, ...]] = {"examples": int, "worst": (int, float), "regimes": dict, "figures": dict, "steps": list}


class BadEvidence(ValueError):
    """Raised when a file is no evidence file of this schema; the message names the file and says what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRecord:
    """One step of a derivation as it was checked: its relation in LaTeX, the reason, and the key of a cited lemma's source."""

    relation: str
    because: str
    outcome: Outcome
    cites: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What one check of one claim found on one subject.

    `subject` is "variant/implementation", DERIVATION or SEARCH. `law` is the check's id (module::function).
    `worst` is the largest error/bound seen (None where the law is exact); `regimes` counts the examples of each input regime.
    `counterexample` is what broke the law: for a search, the case as a mapping of names to exact values.
    `worked` is the counterexample argued by hand, in Markdown. `digest` identifies all code the check ran on.
    """

    claim: str
    law: str
    subject: str
    outcome: Outcome
    examples: int = 0
    worst: float | None = None
    regimes: dict[str, int] = field(default_factory=dict)
    counterexample: str = ""
    worked: str = ""
    detail: str = ""
    steps: tuple[StepRecord, ...] = ()
    figures: dict[str, Any] = field(default_factory=dict)  # measured or estimated numbers, by name
    profile: str = ""
    digest: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.claim, self.law, self.subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceFile:
    """All evidence of one environment (`environment`: versions and machine facts that can change a number)."""

    environment: dict[str, str]
    evidence: tuple[Evidence, ...]

    def merged(self, fresh: Iterable[Evidence], current_claims: Iterable[str] | None = None) -> EvidenceFile:
        """This file with `fresh` rows replacing those of the same key; rows of claims that no longer exist are dropped."""
        rows = {e.key: e for e in self.evidence} | {e.key: e for e in fresh}
        known = None if current_claims is None else set(current_claims)
        kept = sorted((e for e in rows.values() if known is None or e.claim in known), key=lambda e: e.key)
        return EvidenceFile(environment=self.environment, evidence=tuple(kept))


def write(path: Path, file: EvidenceFile) -> None:
    """Replace `path` in one step, or leave it as it was."""
    rows = [to_row(e) for e in sorted(file.evidence, key=lambda e: e.key)]
    write_text(path, json.dumps({"schema": SCHEMA, "environment": file.environment, "evidence": rows}, indent=1, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write `text` to a temporary file beside `path`, then rename it: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            out.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(path: Path) -> EvidenceFile:
    """The evidence in `path`. Raises BadEvidence, quoting the file, for anything that is not a whole evidence file of this schema."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadEvidence(f"{path}: not readable as evidence ({error}); expected JSON with schema {SCHEMA!r}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise BadEvidence(f"{path}: schema is {found!r}, expected {SCHEMA!r}; move the file away or write it anew with pytest properties")
    try:
        return EvidenceFile(environment=_typed(data["environment"]), evidence=tuple(from_row(row) for row in data["evidence"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadEvidence(f"{path}: malformed row ({type(error).__name__}: {error}); move the file away or write it anew with pytest properties") from error


def to_row(e: Evidence) -> dict[str, Any]:
    """The row as plain JSON values, without its empty fields."""
    row = asdict(e) | {"outcome": e.outcome.value, "steps": [asdict(s) | {"outcome": s.outcome.value} for s in e.steps]}
    return {name: value for name, value in row.items() if value not in ("", (), [], {}, None)}


def from_row(row: dict[str, Any]) -> Evidence:
    """The inverse of `to_row`. Raises KeyError, TypeError or ValueError for missing or unknown fields, wrong types or unknown outcomes."""
    steps = tuple(StepRecord(**_typed(step) | {"outcome": Outcome(step["outcome"])}) for step in _typed(row).get("steps", ()))
    return Evidence(**row | {"outcome": Outcome(row["outcome"]), "steps": steps})


def _typed(row: Any) -> dict[str, Any]:
    """`row`, if it is a JSON object whose values have the types of their fields."""
    if not isinstance(row, dict):
        raise TypeError(f"{row!r} is no row")
    for name, value in row.items():
        if not isinstance(value, TYPES.get(name, str)) or isinstance(value, bool):
            raise ValueError(f"{name} is {value!r}")
    return row
