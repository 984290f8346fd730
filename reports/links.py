"""Where things stand: the targets of links between pages. `up` is the way from the page to the reports folder, "" or "../"."""

from __future__ import annotations

import re

from reports.book import Book
from reports.markdown import Refer, cell, code, line, link, slug
from theorems.claim import Claim
from theorems.sources import Source


def to_claim(claim: Claim, up: str) -> str:
    return link(code(claim.id), to_place(claim, up))


def to_place(claim: Claim, up: str) -> str:
    """The address of a claim's section."""
    return f"{up}topics/{claim.topic}.md#{claim.id}"


def references(book: Book, up: str) -> Refer:
    """Makes a link of every claim's id that stands in a text."""

    def linked(found: re.Match[str]) -> str:
        return to_claim(book.claims[found[0]], up) if found[0] in book.claims else found[0]

    return lambda text: re.sub(r"(?<![\w./-])[a-z][a-z_-]*\.[a-z0-9]+(?:-[a-z0-9]+)*", linked, text)


def with_verdict(book: Book, id: str, up: str) -> str:
    """A claim's link and its verdict."""
    return f"{to_claim(book.claims[id], up)} ({book.judgements[id].verdict.value})"


def verdict_and_title(book: Book, id: str, up: str) -> str:
    """A claim's verdict, and its title as a link, for a table."""
    return f"**{book.judgements[id].verdict.value}**: {link(cell(book.claims[id].title), to_place(book.claims[id], up))}"


def to_source(source: Source, book: Book, up: str) -> str:
    """A source with its place. A course text leads to its own page here, as it has no address of its own."""
    target = source.url or _heading(source, book, up)
    place = f", “{source.locator}”" if source.locator and not source.url else f", {source.locator}" if source.locator else ""
    return link(line(f"{source.title}{place}"), target)


def _heading(source: Source, book: Book, up: str) -> str:
    listed = book.headings.get(source.key)
    if listed is None:
        return ""
    return f"{up}texts/{source.key}.md" + (f"#{slug(source.locator)}" if source.locator in listed else "")


def to_row(row: str, book: Book, up: str) -> str:
    """An inventory row, at the first place where a text says it."""
    places = book.inventory[row].places
    return link(row, f"{up}texts/{places[0][0]}.md#{slug(places[0][1])}") if places else row
