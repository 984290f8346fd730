"""Which code a piece of evidence was taken on: a digest of the files involved, of what they import, and of the pinned versions."""

from __future__ import annotations

import ast
import hashlib
from functools import cache
from pathlib import Path

from properties.evidence import DERIVATION, SEARCH, Evidence

ROOT = Path(__file__).parents[1]
FOLDERS = ("theorems", "impl", "properties")
PINS = ROOT / "constraints.txt"
NAMES = ROOT / "impl" / "trait.py"  # says nothing that evidence could depend on
CASES = ROOT / "properties" / "cases"


def of(evidence: Evidence) -> str:
    """The digest that a run of today would write on this row."""
    return digest_of(tuple(roots(evidence.law, evidence.subject, evidence.claim)))


def of_law(name: str) -> str:
    """The digest of what mutants are keyed by: a law's own file and what it imports (name "module::law"), or a claim's topic (name "topic.claim")."""
    if "::" in name:
        return digest_of((ROOT / "properties" / f"{name.partition('::')[0]}.py",))
    return digest_of(tuple(roots("", DERIVATION, name)))


def of_laws() -> str:
    """The digest of every law, which peers are judged by."""
    return digest_of(tuple(path for path in sorted((ROOT / "properties").glob("test_*.py")) if not path.stem.endswith(("_exact", "_derivations"))))


def roots(law: str, subject: str, claim: str) -> list[Path]:
    """The files where a check begins: the law's and the subject's, or the claim's topic."""
    topic = ROOT / "theorems" / f"{claim.partition('.')[0].replace('-', '_')}.py"
    if subject == DERIVATION:
        return [topic]
    if subject == SEARCH:
        place = law.partition(":")[2].partition(".")[0].replace("-", "_")
        return [topic, ROOT / "properties" / f"test_{place}_exact.py"]
    return [ROOT / "properties" / f"{law.partition('::')[0]}.py", *of_variant(subject.partition("/")[0])]


@cache
def of_variant(variant: str) -> tuple[Path, ...]:
    """The folder of its name under impl or impl/instruments, and the file under properties/cases that says how its calls are drawn, where it has one."""
    folders = [room / variant.replace("-", "_") for room in (ROOT / "impl", ROOT / "impl" / "instruments")]
    cases = [file for file in sorted(CASES.glob("*.py")) if f'case("{variant}")' in file.read_text(encoding="utf-8")]
    return *(file for folder in folders for file in sorted(folder.rglob("*.py"))), *cases


@cache
def digest_of(files: tuple[Path, ...]) -> str:
    """A short digest of the files, the project files that they import (transitively), and the pinned versions."""
    closure = sorted(set().union(*(imported(file) for file in files if file.exists())))
    whole = hashlib.sha256(PINS.read_bytes() if PINS.exists() else b"")
    for file in closure:
        whole.update(f"{file.relative_to(ROOT)}\0".encode() + file.read_bytes())
    return whole.hexdigest()[:16]


@cache
def imported(file: Path) -> frozenset[Path]:
    """`file` and every project file that it imports, directly or not. Which case belongs to a variant is looked up at run time: `of_variant` adds it."""
    seen: set[Path] = set()
    waiting = [file]
    while waiting:
        here = waiting.pop()
        if here not in seen:
            seen.add(here)
            waiting += [other for other in direct_imports(here) if other not in seen]
    return frozenset(seen)


@cache
def direct_imports(file: Path) -> tuple[Path, ...]:
    names = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return tuple(path for name in names if name.split(".")[0] in FOLDERS and (path := module_file(name)) not in (None, NAMES))


def module_file(name: str) -> Path | None:
    """The file of a module of this project; a package's own __init__ counts only for itself, so that a registry does not tie everything together."""
    path = ROOT.joinpath(*name.split("."))
    return path.with_suffix(".py") if path.with_suffix(".py").is_file() else None
