"""Reads the evidence about compiled kernels, which `python -m properties.kernels` writes. Pure, apart from `read`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from properties.evidence import BadEvidence
from properties.kernels import DENSE, SCHEMA

FILE = "kernels.json"
ABOUT = {"target": str, "folder": str, "kernel": str, "case": str, "dtype": str, "complaints": list, "remarks": list}
FIGURES = {"warps": int, "registers": int, "shared": int, "stack": int, "spills": int, "products": int, "scalar_products": int, "tensor_columns": int}
CONFIGURATION = {"grid": list, "options": dict, "constants": dict}
PART = {"instructions": int, "counts": dict, "moves": dict, "widths": dict}
WAITING = frozenset({"barrier", "branch", "move", "other", "tensor memory"})  # classes of instructions of which a loop that only waits is made


class Cost(NamedTuple):
    """What one call does, by the formula of its launch: operations of matrix products, values of exp and its like, bytes that its loads and stores ask for;
    `once`: bytes of its tensors, each element once."""

    products: int
    functions: int
    read: int
    written: int
    once: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """A loop, or the code outside all loops. `counts`: instructions by class; `moves`: those that touch global or local memory, by mnemonic; `widths`: bytes
    a thread of the loads, with how many there are; `unroll`: how many tiles one pass works off, None where no count tells."""

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
    """One compiled kernel. `loops`: the innermost of those that multiply matrices, the shorter first (of two in dense attention it is the one without a
    mask); where none multiplies, the innermost of those that do more than wait. `constants` of the kernel by name; `found`: the whole row."""

    target: str
    folder: str
    kernel: str
    case: str
    dtype: str
    grid: tuple[int, ...]
    options: Mapping[str, int]
    constants: Mapping[str, Any]
    complaints: tuple[str, ...]
    remarks: tuple[str, ...]
    loops: tuple[Loop, ...]
    outside: Loop
    cost: Cost
    found: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.target} {self.folder} {self.kernel}, {self.case}, {self.dtype}"

    @property
    def warps(self) -> int:
        return int(self.found["warps"])

    @property
    def local_in_loops(self) -> int:
        """Loads and stores of local memory in all loops, those around others too."""
        return sum(loop(part).local for part in self.found["loops"])

    @property
    def tensor_instructions(self) -> int:
        """Tensor-core instructions, in loops and outside."""
        return sum(part["counts"].get("tensor core", 0) for part in (*self.found["loops"], self.found["outside"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """The whole file. `checks`: by folder, the digest of the sources its kernels were compiled from; `peer`: somebody else's counts, with provenance."""

    checks: Mapping[str, str]
    triton: str
    peer: Mapping[str, Any]
    rows: tuple[Kernel, ...]

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(x.target for x in self.rows))

    @property
    def folders(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(x.folder for x in self.rows))

    def of(self, folder: str, target: str | None = None) -> list[Kernel]:
        return [x for x in self.rows if x.folder == folder and target in (None, x.target)]

    def one(self, target: str, folder: str, kernel: str, case: str, dtype: str) -> Kernel | None:
        wanted = (target, folder, kernel, case, dtype)
        return next((x for x in self.rows if (x.target, x.folder, x.kernel, x.case, x.dtype) == wanted), None)


def read(path: Path) -> Kernels | None:
    """The evidence in the file, None if there is no file. Raises BadEvidence, quoting the file, for anything else."""
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema is {document['schema']!r}, expected {SCHEMA!r}")
        about = {name: typed(document, name, kind) for name, kind in {"checks": dict, "triton": str, "peer": dict, "rows": list}.items()}
        return Kernels(**about | {"rows": tuple(kernel(row) for row in about["rows"])})
    except (ValueError, KeyError, TypeError) as error:
        raise BadEvidence(f"{path}: malformed ({type(error).__name__}: {error}); write it anew with python -m properties.kernels") from error


def kernel(row: Mapping[str, Any]) -> Kernel:
    """One row. Raises KeyError or ValueError for a field that is missing or of the wrong type, or a kernel of dense attention that multiplies nothing."""
    about = {name: typed(row, name, kind) for name, kind in ABOUT.items()}
    for name, kind in {**FIGURES, "shapes": dict, "occupancy": dict}.items():
        typed(row, name, kind)
    launch = {name: typed(row["configuration"], name, kind) for name, kind in CONFIGURATION.items()}
    cost = Cost(**{name: typed(row["cost"], name, int) for name in Cost._fields})
    parts = list(enumerate(typed(row, "loops", list)))
    parts = [(i, x) for i, x in parts if "tensor core" in x["counts"]] or [(i, x) for i, x in parts if not x["counts"].keys() <= WAITING]
    around = {part["parent"] for _, part in parts}
    loops = sorted((loop(part) for i, part in parts if i not in around), key=lambda x: x.a_tile or x.instructions)
    if row["folder"] == DENSE and not any("tensor core" in x.counts for x in loops):
        raise ValueError(f"no loop of {row['target']} {row['kernel']}, {row['case']}, multiplies matrices")
    lists = {name: tuple(value) for name, value in (about | launch).items() if isinstance(value, list)}
    return Kernel(**about | launch | lists, loops=tuple(loops), outside=loop(row["outside"]), cost=cost, found=row)


def loop(part: Mapping[str, Any]) -> Loop:
    return Loop(**{name: typed(part, name, kind) for name, kind in PART.items()}, unroll=part["unroll"])


def typed(row: Mapping[str, Any], name: str, kind: type) -> Any:
    """The field, if it is of its type. Raises ValueError."""
    if not isinstance(value := row[name], kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name} is {value!r}, expected {kind.__name__}")
    return value
