"""The page of questions that the course texts answer differently, each answer with its verdict, and the one that the ledger supports."""

from __future__ import annotations

from reports.book import Book
from reports.links import verdict_and_title, with_verdict
from reports.markdown import anchor, cell, line, link, plain, prose, slug, table
from reports.verdict import POSITIVE
from theorems.disagreements import Disagreement, Version


def disagreements_page(book: Book) -> str:
    shown = [d for d in book.disagreements if _known(d, book)]
    opening = (
        f"{len(shown)} questions to which the course texts give more than one answer, or one that another of their lines takes back. Each answer stands with "
        "the verdicts on it, as they are computed from the evidence; below it what the ledger supports, with the entries that carry it. That line is "
        "printed only while those entries are supported by evidence."
    )
    contents = "\n".join(f"- {link(line(d.title), f'disagreements.md#{d.id}')}" for d in shown)
    return "\n\n".join(["# Where the texts disagree", "[The ledger](README.md)", opening, contents, *(_section(book, d) for d in shown)])


def unsupported(book: Book, disagreement: Disagreement) -> list[str]:
    """The entries that should carry the conclusion, and that the evidence does not support."""
    return [id for id in disagreement.by if book.judgements[id].verdict not in POSITIVE]


def _known(disagreement: Disagreement, book: Book) -> bool:
    """Whether the book has the claims that it speaks of: another ledger than this project's need not."""
    return {*disagreement.by, *(id for version in disagreement.versions for id in version.judged)} <= book.claims.keys()


def _section(book: Book, disagreement: Disagreement) -> str:
    rows = [[_place(book, v), cell(v.says), "<br>".join(verdict_and_title(book, id, "") for id in v.judged)] for v in disagreement.versions]
    return "\n\n".join(
        [
            f"{anchor(disagreement.id)}\n\n## {line(disagreement.title)}",
            table(["text", "says, in our words", "verdict"], rows),
            _conclusion(book, disagreement),
        ]
    )


def _place(book: Book, version: Version) -> str:
    return f"{version.text}, {link(f'“{plain(version.heading)}”', f'texts/{version.text}.md#{slug(version.heading)}')}"


def _conclusion(book: Book, disagreement: Disagreement) -> str:
    if missing := unsupported(book, disagreement):
        return f"**Undecided.** What would carry the answer is not supported by evidence: {', '.join(with_verdict(book, id, '') for id in missing)}."
    carried = ", ".join(with_verdict(book, id, "") for id in disagreement.by)
    return f"**The ledger supports:** {prose(disagreement.supported)}\n\nCarried by {carried}."
