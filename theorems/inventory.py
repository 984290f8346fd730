"""The 332 statements of the course texts, by their permanent ids. Every claim names the rows that it settles."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILE = Path(__file__).with_name("inventory.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One statement of a course text: `places` are (text key, heading) pairs, most telling first. What is `drawn` no sentence says in so many words: a formula,
    a piece of code or a name commits the text to it, or readers take it from there."""

    id: str
    topic: str
    states: str
    places: tuple[tuple[str, str], ...]
    drawn: bool = False


@cache
def rows() -> dict[str, Row]:
    data = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return {
        key: Row(
            id=key,
            topic=row["topic"],
            states=row["states"],
            places=tuple((place["text"], place["heading"]) for place in row["places"]),
            drawn=row.get("drawn", False),
        )
        for key, row in data.items()
    }
