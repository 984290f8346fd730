"""Reads the evidence about compiled kernels, which `python -m properties.kernels` writes. Pure, apart from `read`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from properties.evidence import BadEvidence

SCHEMA = "attention-ledger/kernels/1"
FILE = "kernels.json"
ABOUT = {"target": str, "kernel": str, "width": int, "dtype": str, "causal": bool, "configuration": list, "complaints": list, "remarks": list}
PART = {"instructions": int, "counts": dict, "moves": dict, "widths": dict}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A loop that multiplies matrices, or the code outside all loops. `counts`: instructions by class; `moves`: those that touch global or local memory, by
    mnemonic; `widths`: bytes a thread of the loads, with how many there are; `unroll`: how many tiles one pass works off, None where no count tells."""

    instructions: int
    counts: Mapping[str, int]
    moves: Mapping[str, int]
    widths: Mapping[str, int]
    unroll: int | None = None

    @property
    def a_tile(self) -> float | None:
        """Instructions a tile."""
        return None if self.unroll is None else self.instructions / self.unroll

    @property
    def local(self) -> int:
        """Loads and stores of local memory."""
        return self.counts.get("local load", 0) + self.counts.get("local store", 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One compiled kernel. `loops`: the innermost of those that multiply matrices, the shorter first: it is the one without a mask. `found`: the whole row."""

    target: str
    kernel: str
    width: int
    dtype: str
    causal: bool
    configuration: tuple[int, int, int, int]
    complaints: tuple[str, ...]
    remarks: tuple[str, ...]
    loops: tuple[Loop, ...]
    outside: Loop
    found: Mapping[str, Any]

    @property
    def warps(self) -> int:
        return self.configuration[2]

    @property
    def local_in_loops(self) -> int:
        """Loads and stores of local memory in all loops, those around others too."""
        return sum(part["counts"].get("local load", 0) + part["counts"].get("local store", 0) for part in self.found["loops"])

    @property
    def unmasked(self) -> Loop:
        return self.loops[0]

    @property
    def masked(self) -> Loop | None:
        return self.loops[-1] if len(self.loops) > 1 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """The whole file. `checks`: the digest of the sources they were compiled from; `shape` of the call; `peer`: somebody else's counts, with provenance."""

    checks: str
    triton: str
    shape: Mapping[str, int]
    peer: Mapping[str, Any]
    rows: tuple[Kernel, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(x.target for x in self.rows))

    def of(self, target: str) -> list[Kernel]:
        return [x for x in self.rows if x.target == target]

    def one(self, target: str, kernel: str, width: int, dtype: str, causal: bool) -> Kernel | None:
        wanted = (target, kernel, width, dtype, causal)
        return next((x for x in self.rows if (x.target, x.kernel, x.width, x.dtype, x.causal) == wanted), None)


def read(path: Path) -> Kernels | None:
    """The evidence in the file, None if there is no file. Raises BadEvidence, quoting the file, for anything else."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema is {document['schema']!r}, expected {SCHEMA!r}")
        about = {name: document[name] for name in ("checks", "triton", "shape", "peer")}
        return Kernels(**about, rows=tuple(kernel(row) for row in document["rows"]))
    except (ValueError, KeyError, TypeError) as error:
        raise BadEvidence(f"{path}: malformed ({type(error).__name__}: {error}); write it anew with python -m properties.kernels") from error


def kernel(row: Mapping[str, Any]) -> Kernel:
    """One row. Raises KeyError or ValueError for a field that is missing or of the wrong type, or a kernel that multiplies nothing."""
    about = {name: typed(row, name, kind) for name, kind in ABOUT.items()}
    lists = {name: tuple(about[name]) for name in ("configuration", "complaints", "remarks")}
    parts = [(place, part) for place, part in enumerate(row["loops"]) if "tensor core" in part["counts"]]
    around = {part["parent"] for _, part in parts}
    loops = sorted((loop(part) for place, part in parts if place not in around), key=lambda x: x.a_tile or x.instructions)
    if not loops:
        raise ValueError(f"no loop of {row['target']} {row['kernel']} {row['width']} multiplies matrices")
    return Kernel(**about | lists, loops=tuple(loops), outside=loop(row["outside"]), found=row)


def loop(part: Mapping[str, Any]) -> Loop:
    return Loop(**{name: typed(part, name, kind) for name, kind in PART.items()}, unroll=part["unroll"])


def typed(row: Mapping[str, Any], name: str, kind: type) -> Any:
    """The field, if it is of its type. Raises ValueError."""
    if not isinstance(value := row[name], kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} is {value!r}, expected {kind.__name__}")
    return value
