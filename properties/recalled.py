"""Arguments that need not be run again: what a derivation or an exact search found, kept under a digest of everything that it follows from.

The digest covers the files where the argument begins and every project file that they import, the pinned versions, the versions that are installed of the
interpreter and of the libraries that decide it, and how many examples are tried. Both kinds are deterministic in these. Another digest, a file that is not
whole, or a finding that is not the expected one is never taken: the argument is run. Laws of implementations are always run.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import flint

from properties import digest
from properties.evidence import Evidence, from_row, to_row, write_text

DECIDING = ("hypothesis", "mpmath", "numpy", "python-flint", "scipy", "sympy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """A derivation or a search: its law's id, the files where it begins, how it is run, and what is amiss with what it found ("" for nothing)."""

    law: str
    roots: tuple[Path, ...]
    run: Callable[[], list[Evidence]]
    amiss: Callable[[list[Evidence]], str]
    examples: int = 0

    def key(self) -> str:
        """Everything that the finding follows from, as one digest."""
        sources = digest.digest_of((*self.roots, Path(__file__)))
        return hashlib.sha256("\0".join((self.law, str(self.examples), sources, *versions())).encode()).hexdigest()


@cache
def versions() -> tuple[str, ...]:
    """The interpreter and the libraries that decide arguments, as they are installed."""
    libraries = tuple(f"{name} {version(name)}" for name in DECIDING)
    return (f"{platform.python_implementation()} {platform.python_version()}", f"flint {flint.__FLINT_VERSION__}", *libraries)


def recalled_or_run(argument: Argument, folder: Path | None) -> tuple[list[Evidence], bool]:
    """What an argument found, and whether it was recalled from `folder` (None: nothing is recalled or kept). A finding with nothing amiss is kept there."""
    if folder is None:
        return argument.run(), False
    path, key = folder / f"{argument.law.replace(':', '-')}.json", argument.key()
    if (known := _recalled(path, key)) is not None and not argument.amiss(known):
        return known, True
    rows = argument.run()
    if not argument.amiss(rows):
        kept = json.dumps([to_row(row) for row in rows], ensure_ascii=False)
        write_text(path, json.dumps({"key": key, "seal": _seal(key, kept), "rows": kept}, ensure_ascii=False) + "\n")
    return rows, False


def _recalled(path: Path, key: str) -> list[Evidence] | None:
    """What `path` keeps under `key`; None unless it is whole and of this key."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["key"] != key or data["seal"] != _seal(key, data["rows"]):
            return None
        return [from_row(row) for row in json.loads(data["rows"])] or None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _seal(key: str, kept: str) -> str:
    return hashlib.sha256(f"{key}\0{kept}".encode()).hexdigest()
