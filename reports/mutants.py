"""Which planted bugs the checks noticed: the committed mutant evidence, read with the same suspicion as any other evidence."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from properties.evidence import BadEvidence, Evidence
from reports.verdict import speaks

SCHEMA = "attention-ledger/mutants/1"
FILE = "mutants.json"
AGAIN = "move the file away or write it anew with python -m tests.trials"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One wrong edit of our own code. `kills` are the laws that noticed it, `breaks` the claims whose derivation or search did. `met`, here and below, is the
    digest of all that decided the row."""

    name: str
    file: str
    why: str
    source: str = ""
    kills: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    met: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """A right but unusual implementation. `accused_by` are the laws that called it wrong: there should be none."""

    name: str
    why: str
    accused_by: tuple[str, ...] = ()
    met: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """An edit that the laws it `tried` are known not to notice, and why it `survives`: the same function, or a bug that shows only elsewhere.
    `noticed_by` are those that noticed it all the same: then it is no survivor."""

    name: str
    file: str
    why: str
    survives: str
    source: str = ""
    tried: tuple[str, ...] = ()
    noticed_by: tuple[str, ...] = ()
    met: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutants:
    """The whole file. `digests` says what each law, and each claim's argument, was when the mutants met it."""

    mutants: tuple[Mutant, ...] = ()
    controls: tuple[Control, ...] = ()
    survivors: tuple[Survivor, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)

    def breaking(self, claim: str, rows: Iterable[Evidence], current: Callable[[str], str]) -> tuple[str, ...]:
        """The names of the mutants that break the claim or a law that speaks for it, as these are today (`current`: their digests by id)."""
        laws = {row.law for row in rows if speaks(row)}
        unchanged = {x for x in {claim, *laws} if self.digests.get(x) and self.digests[x] == current(x)}
        return tuple(m.name for m in self.mutants if unchanged & laws & set(m.kills) or claim in unchanged & set(m.breaks))


def read(path: Path) -> Mutants:
    """The mutant evidence in `path`; nothing, if there is no such file. Raises BadEvidence, quoting the file, for anything malformed."""
    if not path.exists():
        return Mutants()
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadEvidence(f"{path}: not readable as mutant evidence ({error}); expected JSON with schema {SCHEMA!r}") from error
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        found = data.get("schema") if isinstance(data, dict) else type(data).__name__
        raise BadEvidence(f"{path}: schema is {found!r}, expected {SCHEMA!r}; {AGAIN}")
    try:
        return Mutants(
            mutants=tuple(sorted((Mutant(**_frozen(row, "kills", "breaks")) for row in data["mutants"]), key=lambda m: m.name)),
            controls=tuple(sorted((Control(**_frozen(row, "accused_by")) for row in data["controls"]), key=lambda c: c.name)),
            survivors=tuple(sorted((Survivor(**_frozen(row, "tried", "noticed_by")) for row in data.get("survivors", ())), key=lambda s: s.name)),
            digests=_texts(data["digests"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadEvidence(f"{path}: malformed row ({type(error).__name__}: {error}); {AGAIN}") from error


def _frozen(row: dict[str, Any], *listed: str) -> dict[str, Any]:
    """`row` with its lists as tuples. Raises ValueError for a field of the wrong type."""
    lists = {name: tuple(str(x) for x in _list(row, name)) for name in listed}
    seeds = {"seeds": tuple(int(x) for x in _list(row, "seeds"))} if "seeds" in row else {}
    _texts({name: value for name, value in row.items() if name not in (*listed, "seeds")})
    return row | lists | seeds


def _list(row: dict[str, Any], name: str) -> list[Any]:
    if not isinstance(value := row.get(name, []), list):
        raise ValueError(f"{name} is {value!r}, expected a list")
    return value


def _texts(row: dict[str, Any]) -> dict[str, str]:
    for name, value in row.items():
        if not isinstance(value, str):
            raise ValueError(f"{name} is {value!r}, expected text")
    return row
