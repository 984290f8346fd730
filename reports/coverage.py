"""How much of what the course texts say is settled, by verdict and by text."""

from __future__ import annotations

from reports.book import Book
from reports.verdict import Verdict

# A row with several entries counts once, under the first of these that one of its entries has.
HARSHEST_FIRST = (
    Verdict.REFUTED, Verdict.CONDITIONAL, Verdict.NOT_CHECKABLE, Verdict.ESTIMATED, Verdict.TESTED,
    Verdict.BOUNDED, Verdict.MEASURED, Verdict.DERIVED, Verdict.PROVED,
)  # fmt: skip


def settled_rows(book: Book) -> dict[str, Verdict]:
    """The settled inventory rows, each with its harshest verdict."""
    verdicts = {row: [book.judgements[c.id].verdict for c in book.settling(row)] for row in book.inventory}
    return {row: min(found, key=HARSHEST_FIRST.index) for row, all in verdicts.items() if (found := [v for v in all if v.settles])}


def coverage(book: Book) -> str:
    """Counts and lists, for a terminal."""
    settled = settled_rows(book)
    lines = [f"{len(settled)} of {len(book.inventory)} rows settled (a row with several entries counts under the harshest of its verdicts)", ""]
    lines += [_by_verdict(verdict, settled) for verdict in HARSHEST_FIRST]
    lines += ["", "by text (a row can stand in several):"]
    lines += [_by_text(book, text.key, settled) for text in book.texts]
    unsettled = sorted(book.inventory.keys() - settled.keys())
    return "\n".join([*lines, "", f"not settled {len(unsettled)}: {', '.join(unsettled)}"])


def _by_verdict(verdict: Verdict, settled: dict[str, Verdict]) -> str:
    rows = sorted(row for row, found in settled.items() if found is verdict)
    return f"{verdict.value:>13} {len(rows):3}" + (f": {', '.join(rows)}" if rows else "")


def rows_of(book: Book, key: str) -> list[str]:
    """The inventory rows that stand in a text."""
    return [row for row, entry in book.inventory.items() if any(text == key for text, _ in entry.places)]


def _by_text(book: Book, key: str, settled: dict[str, Verdict]) -> str:
    rows = rows_of(book, key)
    return f"{key:>13} {sum(row in settled for row in rows):3} of {len(rows)}"
