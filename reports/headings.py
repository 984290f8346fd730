"""The headings of the course texts, in the order in which a reader meets them."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import theorems

FILE = Path(theorems.__file__).with_name("headings.toml")


@cache
def headings() -> dict[str, tuple[str, ...]]:
    """The headings of each text, by the text's key."""
    return {text: tuple(listed) for text, listed in tomllib.loads(FILE.read_text(encoding="utf-8")).items()}
