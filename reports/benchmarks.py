"""Reads what the families' benchmarks counted and measured, which `make bench` writes. Pure, apart from `read`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from properties.evidence import BadEvidence

SCHEMA = "attention-ledger/families/1"
PREFIX = "benchmark-families-"
ROW = {"family": str, "contestant": str, "definition": bool, "n": int, "operations": int, "peak_bytes": int, "best_seconds": float, "median_seconds": float}


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One way over all sizes. `operations` and `peak_bytes` are counted, times are in seconds, the median of some rounds."""

    name: str
    definition: bool
    sizes: tuple[int, ...]
    operations: tuple[int, ...]
    peak_bytes: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """By what power of 2 the last doubling of n multiplies the operations.

        >>> of = Contestant(name="x", definition=False, sizes=(1, 2), operations=(3, 12), peak_bytes=(1, 1), seconds=(0.1, 0.1))
        >>> of.exponent
        2.0
        """
        (*_, (before, after)) = pairwise(self.operations)
        return math.log2(after / before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Contestants over the same sizes; `axis` says what n is, `picture` where the plot stands among the pages."""

    name: str
    title: str
    axis: str
    picture: str
    contestants: Sequence[Contestant]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmarks:
    """One file."""

    environment: str
    machine: Mapping[str, Any]
    families: Sequence[Family]


def picture(family: str, environment: str) -> str:
    """Where a family's plot stands, from the pages' folder."""
    return f"benchmarks/{family}-{environment}.svg"


def read(folder: Path) -> tuple[Benchmarks, ...]:
    """The files of a folder in the order of their names. Raises BadEvidence, quoting the file, for a malformed one."""
    return tuple(one(path) for path in sorted(folder.glob(f"{PREFIX}*.json")))


def one(path: Path) -> Benchmarks:
    """The file's content. Raises BadEvidence."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema is {document['schema']!r}, expected {SCHEMA!r}")
        rows = [checked(row) for row in document["rows"]]
        environment = path.stem.removeprefix(PREFIX)
        families = [family(name, about, environment, [row for row in rows if row["family"] == name]) for name, about in document["families"].items()]
        return Benchmarks(environment=environment, machine=dict(document["machine"]), families=families)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadEvidence(f"{path}: malformed ({type(error).__name__}: {error}); write it anew with make bench") from error


def checked(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Raises KeyError or TypeError for a row that lacks a figure or has one of another type."""
    for name, kind in ROW.items():
        if not isinstance(row[name], kind) or (kind is int and isinstance(row[name], bool)):
            raise TypeError(f"{name} is {row[name]!r}, expected {kind.__name__}")
    return row


def family(name: str, about: Mapping[str, str], environment: str, rows: Sequence[Mapping[str, Any]]) -> Family:
    """Raises ValueError where contestants have not the same two sizes or more."""
    contestants = []
    for contestant in dict.fromkeys(row["contestant"] for row in rows):
        own = sorted((row for row in rows if row["contestant"] == contestant), key=lambda row: int(row["n"]))
        columns = {of: tuple(row[of] for row in own) for of in ("n", "operations", "peak_bytes", "median_seconds")}
        contestants.append(
            Contestant(
                name=contestant,
                definition=own[0]["definition"],
                sizes=columns["n"],
                operations=columns["operations"],
                peak_bytes=columns["peak_bytes"],
                seconds=columns["median_seconds"],
            )
        )
    if len({x.sizes for x in contestants}) != 1 or len(contestants[0].sizes) < 2:
        raise ValueError(f"family {name!r}: contestants have sizes {sorted({x.sizes for x in contestants})}")
    return Family(name=name, title=str(about["title"]), axis=str(about["axis"]), picture=picture(name, environment), contestants=contestants)
