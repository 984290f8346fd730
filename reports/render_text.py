"""One page a course text: its headings in order, and beside each what became of the statements made there."""

from __future__ import annotations

from reports.book import Book
from reports.coverage import HARSHEST_FIRST, rows_of, settled_rows
from reports.links import to_place
from reports.markdown import anchor, cell, line, link, plain, slug, table
from reports.verdict import Verdict
from theorems.claim import Claim
from theorems.sources import Source

UP = "../"


def text_page(book: Book, text: Source) -> str:
    here, every = rows_of(book, text.key), settled_rows(book)
    settled = [row for row in here if row in every]
    opening = (
        f"{len(here)} statements of this text are listed, {len(settled)} are settled: {_counts([every[row] for row in settled])}, each under the harshest "
        "of its verdicts. A statement stands under every heading where it is made; the entry beside it, one click away, has the argument."
    )
    headings = [heading for heading in book.headings[text.key] if _rows(book, text.key, heading)]
    contents = table(["heading", " statements", "verdicts"], [_listed(book, text.key, heading, every) for heading in headings])
    sections = [_section(book, text.key, heading) for heading in book.headings[text.key]]
    return "\n\n".join([f"# {text.key}: {plain(text.title)}", f"[All texts]({UP}README.md)", opening, contents, *sections])


def _rows(book: Book, key: str, heading: str) -> list[str]:
    return sorted(row for row, entry in book.inventory.items() if (key, heading) in entry.places)


def _counts(verdicts: list[Verdict]) -> str:
    return ", ".join(f"{verdicts.count(verdict)} {verdict.value}" for verdict in HARSHEST_FIRST if verdict in verdicts) or "none"


def _listed(book: Book, key: str, heading: str, every: dict[str, Verdict]) -> list[str]:
    rows = _rows(book, key, heading)
    return [link(plain(heading), f"{key}.md#{slug(heading)}"), str(len(rows)), _counts([every[row] for row in rows if row in every])]


def _section(book: Book, key: str, heading: str) -> str:
    rows = _rows(book, key, heading)
    parts = [f"{anchor(slug(heading))}\n\n## {plain(heading)}"]
    if rows:
        parts.append(table(["row", "the text says, restated", "verdict, and what was checked"], [_row(book, row) for row in rows]))
    differing = [d for d in book.disagreements if any((v.text, v.heading) == (key, heading) for v in d.versions)]
    if differing:
        parts.append("Another place says it differently: " + ", ".join(link(line(d.title), f"{UP}disagreements.md#{d.id}") for d in differing))
    return "\n\n".join(parts)


def _row(book: Book, row: str) -> list[str]:
    settling = sorted(book.settling(row), key=lambda claim: (_severity(book, claim), claim.id))
    return [row, plain(book.inventory[row].states), "<br>".join(_entry(book, claim) for claim in settling) or Verdict.OPEN.value]


def _severity(book: Book, claim: Claim) -> int:
    verdict = book.judgements[claim.id].verdict
    return HARSHEST_FIRST.index(verdict) if verdict in HARSHEST_FIRST else -1


def _entry(book: Book, claim: Claim) -> str:
    return f"**{book.judgements[claim.id].verdict.value}**: {link(cell(claim.title), to_place(claim, UP))}"
