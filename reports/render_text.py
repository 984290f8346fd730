"""One page a course text: its headings in order, and beside each what became of the statements made there."""

from __future__ import annotations

from reports.book import Book
from reports.coverage import HARSHEST_FIRST, rows_of
from reports.links import verdict_and_title
from reports.markdown import anchor, line, link, plain, slug, table
from reports.verdict import Verdict
from theorems.claim import Claim
from theorems.sources import Source

UP = "../"


def text_page(book: Book, text: Source) -> str:
    rows = rows_of(book, text.key)
    said, drawn = [row for row in rows if not book.inventory[row].drawn], [row for row in rows if book.inventory[row].drawn]
    opening = (
        f"{len(rows)} statements of this text are listed. {len(said)} are made in so many words: {_counts(book, text.key, said)}. {len(drawn)} are "
        f"*drawn* from its formulas, its code or its names, where no sentence says them: {_counts(book, text.key, drawn)}. Each counts under the harshest "
        "verdict of the entries that judge what this text says; the entry, one click away, has the argument."
    )
    headings = [heading for heading in book.headings[text.key] if _rows(book, text.key, heading)]
    contents = table(["heading", " statements", "verdicts"], [_listed(book, text.key, heading) for heading in headings])
    sections = [_section(book, text.key, heading) for heading in book.headings[text.key]]
    return "\n\n".join([f"# {text.key}: {plain(text.title)}", f"[All texts]({UP}README.md)", opening, contents, *sections])


def _rows(book: Book, key: str, heading: str) -> list[str]:
    return sorted(row for row, entry in book.inventory.items() if (key, heading) in entry.places)


def _counts(book: Book, key: str, rows: list[str]) -> str:
    """How many of the rows have which verdict in this text."""
    harshest = [min((_severity(book, claim) for claim in _judging(book, key, row)), default=-1) for row in rows]
    counts = [f"{harshest.count(place)} {verdict.value}" for place, verdict in enumerate(HARSHEST_FIRST) if place in harshest]
    return ", ".join([*counts, *([f"{harshest.count(-1)} not settled"] if -1 in harshest else [])]) or "none"


def _judging(book: Book, key: str, row: str) -> list[Claim]:
    """The entries that settle a row and name this text among their sources; all that settle it where none does. The harshest come first."""
    settling = sorted(book.settling(row), key=lambda claim: (_severity(book, claim), claim.id))
    return [claim for claim in settling if any(source.key == key for source in claim.sources)] or settling


def _listed(book: Book, key: str, heading: str) -> list[str]:
    rows = _rows(book, key, heading)
    return [link(plain(heading), f"{key}.md#{slug(heading)}"), str(len(rows)), _counts(book, key, rows)]


def _section(book: Book, key: str, heading: str) -> str:
    rows = _rows(book, key, heading)
    parts = [f"{anchor(slug(heading))}\n\n## {plain(heading)}"]
    if rows:
        parts.append(table(["row", "statement, restated", "verdict, and what was checked"], [_row(book, key, row) for row in rows]))
    differing = [d for d in book.disagreements if any((v.text, v.heading) == (key, heading) for v in d.versions)]
    if differing:
        parts.append("Another place says it differently: " + ", ".join(link(line(d.title), f"{UP}disagreements.md#{d.id}") for d in differing))
    return "\n\n".join(parts)


def _row(book: Book, key: str, row: str) -> list[str]:
    here = _judging(book, key, row)
    elsewhere = [claim for claim in book.settling(row) if claim not in here]
    entries = [verdict_and_title(book, claim.id, UP) for claim in here]
    entries += [f"of another text, {verdict_and_title(book, claim.id, UP)}" for claim in elsewhere]
    stated = plain(book.inventory[row].states)
    return [row, f"*drawn:* {stated}" if book.inventory[row].drawn else stated, "<br>".join(entries) or Verdict.OPEN.value]


def _severity(book: Book, claim: Claim) -> int:
    """The place of the claim's verdict among those that settle, -1 for any other."""
    verdict = book.judgements[claim.id].verdict
    return HARSHEST_FIRST.index(verdict) if verdict in HARSHEST_FIRST else -1
