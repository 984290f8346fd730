"""Where the course texts disagree: what each says, the entries that judge it, and what the ledger supports."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_suffix(".toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """What one text says at one heading, in our words, and the ids of the claims that judge it."""

    text: str
    heading: str
    says: str
    judged: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Disagreement:
    """A question that the texts answer differently; `by` are the claims that carry the answer which the ledger supports."""

    id: str
    title: str
    versions: tuple[Version, ...]
    supported: str
    by: tuple[str, ...]


@cache
def disagreements() -> tuple[Disagreement, ...]:
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(
        Disagreement(
            id=id,
            title=entry["title"],
            versions=tuple(Version(**version | {"judged": tuple(version["judged"])}) for version in entry["versions"]),
            supported=entry["supported"],
            by=tuple(entry["by"]),
        )
        for id, entry in data.items()
    )
