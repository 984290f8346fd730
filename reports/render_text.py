"""One page a course text: its headings in order, and beside each what became of the statements made there."""

from __future__ import annotations

from reports.book import Book
from reports.coverage import rows_of, settled_rows
from reports.links import to_claim
from reports.markdown import anchor, plain, slug, table
from theorems.sources import Source

UP = "../"


def text_page(book: Book, text: Source) -> str:
    here, every = rows_of(book, text.key), settled_rows(book)
    settled = sum(row in every for row in here)
    opening = f"{len(here)} statements of this text are listed, {settled} are settled. A statement stands under every heading where it is made."
    sections = [_section(book, text.key, heading) for heading in book.headings[text.key]]
    return "\n\n".join([f"# {text.key}: {plain(text.title)}", f"[All texts]({UP}README.md)", opening, *sections])


def _section(book: Book, key: str, heading: str) -> str:
    rows = sorted(row for row, entry in book.inventory.items() if (key, heading) in entry.places)
    title = f"{anchor(slug(heading))}\n\n## {plain(heading)}"
    return f"{title}\n\n{table(['row', 'statement, restated', 'verdicts'], [_row(book, row) for row in rows])}" if rows else title


def _row(book: Book, row: str) -> list[str]:
    verdicts = [f"{book.judgements[c.id].verdict.value}: {to_claim(c, UP)}" for c in book.settling(row)]
    return [row, plain(book.inventory[row].states), "<br>".join(verdicts) or "open"]
