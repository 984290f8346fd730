"""How each kernel works, for a reader who wants to learn it: theorems/kernels.toml, read and checked. Figures and verdicts are not here: pages compute them.

An entry is named by its folder of impl. Its fields, all of them required but `tile` and `remarks`:

- `title`; `computes` and `algorithm`: prose with LaTeX; `sources`: {title, url};
- `implementations`: whose evidence is shown, "variant/name"; `files`: whose planted bugs are;
- `exact`: {claim, because}: the claims that make the algorithm exact, and what each is needed for;
- `limits`: {limit, reason}: where the kernel is narrower than its definition;
- `kernels`: {name, does, cost, tile}: `cost` says the formula, a tile and a call; `tile` is the operations of the matrix products of one tile, an expression
  in the kernel's constants ("2 * ROWS * COLUMNS * (D + E)"), from which pages count the tiles of a call. Without it they do not;
- `remarks`: {kernel, target, reason}: why what is remarked of a compiled kernel is left as it is. Tests fail for a remark without a reason.
"""

from __future__ import annotations

import ast
import difflib
import operator
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from theorems import CLAIMS, BadLedger

FILE = Path(__file__).with_suffix(".toml")
OPERATIONS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    title: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """A claim, and what the algorithm needs it for."""

    claim: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    limit: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    kernel: str
    target: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernel:
    """One kernel of a folder: what it does, and its cost in a formula."""

    name: str
    does: str
    cost: str
    tile: str = ""

    def a_tile(self, constants: Mapping[str, Any]) -> int:
        """Operations of the products of one tile. Raises BadLedger for a name that is no constant of the kernel, or where there are none."""
        try:
            found = _value(ast.parse(self.tile, mode="eval").body, constants)
        except (KeyError, ValueError, ZeroDivisionError) as error:
            what = f"{FILE.name}: {self.name}: tile is {self.tile!r}, which cannot be computed ({type(error).__name__}: {error})"
            raise BadLedger(f"{what}; the kernel's constants are {', '.join(constants)}") from error
        if found <= 0:
            raise BadLedger(f"{FILE.name}: {self.name}: tile is {self.tile!r}, which makes {found} operations")
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One folder's kernels. `folder` of impl; for the rest see above."""

    folder: str
    title: str
    computes: str
    algorithm: str
    implementations: tuple[str, ...]
    files: tuple[str, ...]
    sources: tuple[Source, ...]
    exact: tuple[Exact, ...]
    limits: tuple[Limit, ...]
    kernels: tuple[Kernel, ...]
    remarks: tuple[Remark, ...] = ()


PARTS = {"sources": Source, "exact": Exact, "limits": Limit, "kernels": Kernel, "remarks": Remark}
OPTIONAL = frozenset({"tile", "remarks"})


@cache
def explanations() -> tuple[Explanation, ...]:
    """All of them, in the order of the file. Raises BadLedger, naming the entry and what is wrong with it."""
    return read(FILE.read_text(encoding="utf-8"), CLAIMS)


def read(text: str, claims: Collection[str]) -> tuple[Explanation, ...]:
    """The entries of a file of this form, whose claims must be among `claims`. Raises BadLedger, naming the entry and what is wrong with it."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadLedger(f"{FILE.name} is no TOML: {error}") from error
    return tuple(_explanation(folder, entry, claims) for folder, entry in data.items())


def _explanation(folder: str, entry: Any, claims: Collection[str]) -> Explanation:
    _checked(folder, entry, Explanation, but="folder")
    parts: dict[str, Any] = {}
    for name, kind in PARTS.items():
        listed = entry.get(name, [])
        for place, part in enumerate(listed, 1):
            _checked(f"{folder}, {name} {place}", part, kind)
        parts[name] = tuple(kind(**part) for part in listed)
    lists = {name: tuple(entry[name]) for name in ("implementations", "files")}
    found = Explanation(**{"folder": folder, **entry, **parts, **lists})
    for claim in (x.claim for x in found.exact):
        if claim not in claims:
            near = ", ".join(difflib.get_close_matches(claim, sorted(claims), n=3, cutoff=0.0))
            raise BadLedger(f"{FILE.name}: {folder} leans on the unknown claim {claim!r}; claims with the nearest ids are {near}")
    for name in found.implementations:
        if name.count("/") != 1:
            raise BadLedger(f'{FILE.name}: {folder} names the implementation {name!r}, which should be "variant/name"')
    for kernel in (x for x in found.kernels if x.tile):
        _names(f"{folder}, {kernel.name}", kernel.tile)
    return found


def _checked(where: str, entry: Any, kind: type, but: str = "") -> None:
    """Raises BadLedger where a table lacks a field of the dataclass or has another, or where a text or a list is empty or something else."""
    if not isinstance(entry, dict):
        raise BadLedger(f"{FILE.name}: {where} is {entry!r}, and no table")
    known = {x.name: str(x.type) for x in fields(kind) if x.name != but}
    if missing := [name for name in known if name not in entry and name not in OPTIONAL]:
        raise BadLedger(f"{FILE.name}: {where} lacks {', '.join(missing)}")
    if unknown := [name for name in entry if name not in known]:
        raise BadLedger(f"{FILE.name}: {where} has the unknown {', '.join(unknown)}; its fields are {', '.join(known)}")
    for name, value in entry.items():
        if known[name] == "str" and not (isinstance(value, str) and value.strip()):
            raise BadLedger(f"{FILE.name}: {where}: {name} is {value!r}, which should be text")
        if known[name] == "tuple[str, ...]" and not (isinstance(value, list) and value and all(isinstance(x, str) for x in value)):
            raise BadLedger(f"{FILE.name}: {where}: {name} is {value!r}, which should be a list of texts")
        if name in PARTS and not (isinstance(value, list) and value):
            raise BadLedger(f"{FILE.name}: {where}: {name} is {value!r}, which should be a list of tables")


def _names(where: str, expression: str) -> None:
    """Raises BadLedger for what is no sum or product of names and whole numbers."""
    try:
        every = ast.parse(expression, mode="eval").body
    except SyntaxError as error:
        raise BadLedger(f"{FILE.name}: {where}: tile is {expression!r}, which is no expression ({error.msg})") from error
    for node in ast.walk(every):
        whole = isinstance(node, ast.Constant) and type(node.value) is int
        if not whole and not isinstance(node, (ast.BinOp, ast.Name, ast.Load, *OPERATIONS)):
            raise BadLedger(f"{FILE.name}: {where}: tile is {expression!r}, where only names, whole numbers, +, -, * and // may stand")


def _value(node: ast.expr, constants: Mapping[str, Any]) -> int:
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](_value(node.left, constants), _value(node.right, constants))
    return int(constants[node.id] if isinstance(node, ast.Name) else ast.literal_eval(node))
