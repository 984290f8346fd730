"""The 332 statements of the course texts, by their permanent ids. Every claim names the rows that it settles."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("inventory.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One statement of a course text: `places` are (text key, heading) pairs, most telling first."""

    id: str
    topic: str
    states: str
    places: tuple[tuple[str, str], ...]


@cache
def rows() -> dict[str, Row]:
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {
        key: Row(id=key, topic=row["topic"], states=row["states"], places=tuple((place["text"], place["heading"]) for place in row["places"]))
        for key, row in data.items()
    }
