"""The file that keeps what was measured on a trained model, and the digest of the code behind it. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from properties import digest
from properties.evidence import write_text

SCHEMA = "attention-ledger/trained/1"
PREFIX = "trained-"
HERE = Path(__file__).parent
DIGITS = 4
DECIDING = ("drawing", "measures", "model", "tasks", "training")  # the command only calls them


def current() -> str:
    """The digest of the code that decides the figures and pictures of a run of today, with all that it imports."""
    return digest.digest_of(tuple(HERE / f"{name}.py" for name in DECIDING))


def rounded(x: Any, digits: int = DIGITS) -> Any:
    """JSON values whose fractions have so many significant digits: more would say nothing of one training run."""
    if isinstance(x, dict):
        return {name: rounded(value, digits) for name, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [rounded(value, digits) for value in x]
    return float(f"{x:.{digits}g}") + 0.0 if isinstance(x, float) else x  # −0.0 is written 0.0


def write(path: Path, document: dict[str, Any]) -> None:
    """Replace the file in one step; every list of numbers stands on one line."""
    body = ",\n".join(f"{json.dumps(name)}: {json.dumps(rounded(value), ensure_ascii=False)}" for name, value in document.items())
    write_text(path, f"{{\n{body}\n}}\n")
