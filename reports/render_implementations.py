"""What every implementation did with every law: a row a law, a column an implementation, a table a variant."""

from __future__ import annotations

from properties.evidence import DERIVATION, SEARCH, Evidence
from reports.book import Book, Seen
from reports.markdown import cell, code, number, plain, table
from reports.verdict import finding
from theorems.outcome import Outcome

OPENING = """Each cell says what a law found on an implementation and, where errors are measured, the worst error as a fraction of its derived bound:
above 1 is a violation. *Not run*: the law has nothing to say about the variant, or needs what the implementation does not offer. Implementations that are not
this project's own stand here under the same laws; their violations show and fail nothing."""


def implementations_page(book: Book) -> str:
    seen = [x for x in book.seen if x.row.subject not in (DERIVATION, SEARCH)]
    names = sorted({x.environment for x in seen})
    tables = [part for name in names for part in _environment(name, [x for x in seen if x.environment == name])]
    return "\n\n".join(["# Implementations and laws", "[All topics](README.md)", OPENING, *(tables or ["No implementation has been tried yet."])])


def _environment(name: str, seen: list[Seen]) -> list[str]:
    """A table for each variant, whose implementations answer to the same laws."""
    variants = dict.fromkeys(variant_of(x.row) for x in sorted(seen, key=lambda x: x.row.subject))
    return [f"## {plain(name)}", *(part for variant in variants for part in _variant(variant, [x for x in seen if variant_of(x.row) == variant]))]


def variant_of(row: Evidence) -> str:
    return row.subject.partition("/")[0]


def _variant(name: str, seen: list[Seen]) -> list[str]:
    laws, subjects = sorted({x.row.law for x in seen}), sorted({x.row.subject for x in seen})
    rows = [[code(law), *(_cell([x for x in seen if (x.row.law, x.row.subject) == (law, subject)]) for subject in subjects)] for law in laws]
    notes = sorted({_note(x.row) for x in seen if finding(x.row) is not Outcome.HELD})
    listed = ["What did not hold, and why:", "\n".join(notes)] if notes else []
    return [f"### {plain(name)}", table(["law", *(code(subject.partition("/")[2] or subject) for subject in subjects)], rows), *listed]


def _cell(seen: list[Seen]) -> str:
    """The worst outcome over the claims that share a law, and its largest error."""
    if not seen:
        return ""
    found = _worst([finding(x.row) for x in seen])
    shown = f"**{found.value}**" if found in (Outcome.REFUTED, Outcome.ERROR) else found.value
    errors = [x.row.worst for x in seen if x.row.worst is not None]
    stale = "" if all(x.current for x in seen) else "(stale)"
    return " ".join(filter(None, [shown, number(max(errors, key=_size)) if errors else "", stale]))


def _worst(found: list[Outcome]) -> Outcome:
    """As `Outcome.worst`, but a law that was switched off is not shown as one that was never run."""
    worst = Outcome.worst(found)
    return Outcome.SWITCHED_OFF if worst is Outcome.NOT_RUN and set(found) == {Outcome.SWITCHED_OFF} else worst


def _size(x: float) -> float:
    return x if x == x else float("inf")  # NaN counts as the largest error


def _note(row: Evidence) -> str:
    told = ", ".join(filter(None, [plain(row.detail), cell(code(row.counterexample.partition("\n")[0])) if row.counterexample else ""]))
    return f"- {code(row.subject)}, {code(row.law)}: {finding(row).value}" + (f": {told}" if told else "")
