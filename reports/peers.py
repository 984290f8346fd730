"""Reads the evidence about published packages, which `python -m properties.peers` writes. Pure, apart from `read`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from properties.evidence import BadEvidence

SCHEMA = "attention-ledger/peers/1"
FILE = "peers.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One callable: what peers.toml says about it (`about`) and what was found (`found`)."""

    name: str
    about: Mapping[str, Any]
    found: Mapping[str, Any]

    @property
    def laws(self) -> list[Mapping[str, Any]]:
        return list(self.found.get("laws", ()))

    @property
    def broken(self) -> list[str]:
        return [str(law["law"]) for law in self.laws if law["outcome"] == "refuted"]

    @property
    def unexplained(self) -> list[str]:
        """Broken laws that no deviation accounts for."""
        explained = {law for deviation in self.about["deviations"] for law in deviation["laws"]}
        return [law for law in self.broken if law not in explained]


def read(path: Path) -> list[Peer]:
    """Every peer in the file, none if there is no file. Raises BadEvidence, quoting the file, for anything else."""
    if not path.is_file():
        return []
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema is {document['schema']!r}, expected {SCHEMA!r}")
        return [Peer(name=name, about=row["about"], found=row["found"]) for name, row in document["peers"].items()]
    except (ValueError, KeyError, TypeError) as error:
        raise BadEvidence(f"{path}: malformed ({type(error).__name__}: {error}); write it anew with python -m properties.peers") from error
