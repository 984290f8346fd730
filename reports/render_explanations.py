"""The page for those who want to learn from the kernels: how each works, what makes it exact, what it costs, and the evidence for all of that."""

from __future__ import annotations

from collections import Counter

from reports.book import Book, Seen
from reports.kernels import Kernel
from reports.links import verdict_and_title, with_verdict
from reports.markdown import anchor, cell, code, folded, line, link, number, plain, prose, table
from reports.render_kernels import outdated, tiled
from reports.verdict import POSITIVE, finding
from theorems.kernels import Explanation
from theorems.kernels import Kernel as Explained
from theorems.outcome import Outcome

OPENING = """Each kernel below with its mathematics, the claims of this ledger that make its algorithm exact, its cost, and the evidence: every law that its
implementations were held to, on how many examples and how near they came to the bound; what it compiles to; and the bugs that were planted in it. Verdicts
and figures are computed from the evidence when the page is written. A claim speaks of the mathematics; that the code computes it is what the laws and the
planted bugs are for."""
SHOWN = "sm_90"  # whose tiles the figures are of
FIGURES = f"""The figures beside each formula are of one call in float16 on {SHOWN}, padding of tiles included. They follow from the same formula in the
kernel's launch, which on small calls equals what the interpreter counts, to the operation and the byte (`tests/test_counted.py`). Values are of exp, exp2,
log, sin, cos, tanh and erf; bytes are those that loads and stores ask for."""


def explanations_page(book: Book) -> str:
    shown = known(book)
    figures = FIGURES + (" The bounds that follow stand with the [compiled kernels](kernels.md)." if book.kernels else "")
    contents = "\n".join(f"- {link(line(x.title), f'how-kernels-work.md#{x.folder}')}" for x in shown)
    return "\n\n".join(["# How the kernels work", "[The ledger](README.md)", OPENING, figures, contents, *(_explained(book, x) for x in shown)])


def known(book: Book) -> list[Explanation]:
    """Those whose claims the book has: another ledger than this project's need not have them."""
    return [x for x in book.explanations if {part.claim for part in x.exact} <= book.claims.keys()]


def fitting(book: Book) -> None:
    """Raises BadLedger where the formula of a tile names what is no constant of the compiled kernel."""
    for x in book.explanations:
        for kernel in (each for each in x.kernels if each.tile):
            for row in _rows(book, x, kernel):
                kernel.a_tile(row.constants)


def unsupported(book: Book, explanation: Explanation) -> list[str]:
    """The claims that the algorithm leans on, and that the evidence does not support."""
    return [x.claim for x in explanation.exact if book.judgements[x.claim].verdict not in POSITIVE]


def _explained(book: Book, x: Explanation) -> str:
    sources = "\n".join(f"- {link(line(source.title), source.url)}" for source in x.sources)
    limits = "\n".join(f"- {line(limit.limit)} {line(limit.reason)}" for limit in x.limits)
    return "\n\n".join(
        [
            f"---\n\n{anchor(x.folder)}\n\n## {line(x.title)}",
            "### What it computes",
            prose(x.computes),
            "### How",
            prose(x.algorithm),
            f"Sources:\n\n{sources}",
            *_exact(book, x),
            "### Its kernels and what they cost",
            *(part for kernel in x.kernels for part in _kernel(book, x, kernel)),
            "### What held",
            *_laws(book, x),
            "### What it compiles to",
            _compiled(book, x),
            "### Planted bugs",
            *_planted(book, x),
            "### Where it is narrower than its definition, and why",
            limits,
        ]
    )


def _exact(book: Book, x: Explanation) -> list[str]:
    rows = [[cell(part.because), verdict_and_title(book, part.claim, "")] for part in x.exact]
    missing = ", ".join(with_verdict(book, id, "") for id in unsupported(book, x))
    warning = [f"**Not all of it is supported by evidence at present:** {missing}."] if missing else []
    return ["### What makes it exact", table(["what is needed", "the claim, and its verdict"], rows), *warning]


def _kernel(book: Book, x: Explanation, kernel: Explained) -> list[str]:
    rows = [row for row in _rows(book, x, kernel) if (row.target, row.dtype) == (SHOWN, "float16")]
    header = ["case", "tile", " operations of products", " values", " bytes read", " bytes written"]
    lists = [[cell(plain(row.case)), tiled(row), *(f"{count:,}" for count in row.cost[:4])] for row in rows]
    if kernel.tile:
        header += [" operations a tile", " tiles"]
        lists = [[*cells, f"{kernel.a_tile(row.constants):,}", _tiles(kernel, row)] for cells, row in zip(lists, rows, strict=True)]
    counted = [folded(f"Figures of {kernel.name}", table(header, lists))] if rows else ["Not compiled yet."]
    return [f"#### {code(kernel.name)}", prose(kernel.does), f"**Cost.** {prose(kernel.cost)}", *counted]


def _rows(book: Book, x: Explanation, kernel: Explained) -> list[Kernel]:
    return [row for row in book.kernels.of(x.folder) if row.kernel == kernel.name] if book.kernels else []


def _tiles(kernel: Explained, row: Kernel) -> str:
    """Tiles of a call: its operations over those of one tile."""
    tiles = row.cost.products / kernel.a_tile(row.constants)
    return f"{tiles:,.0f}" if tiles.is_integer() else f"**{tiles:,.3f}**"


def _laws(book: Book, x: Explanation) -> list[str]:
    """The laws that the implementations were held to; a law stands once, under whatever claims it speaks for."""
    seen = [s for s in book.seen if s.row.subject in x.implementations]
    laws = sorted({s.row.law for s in seen})
    if missing := [name for name in x.implementations if name not in {s.row.subject for s in seen}]:
        missing_says = [f"**No evidence has been taken of {', '.join(map(code, missing))}.**"]
    else:
        missing_says = []
    if not seen:
        return missing_says
    pairs = {(law, name): [s for s in seen if (s.row.law, s.row.subject) == (law, name)] for law in laws for name in x.implementations}
    found = Counter(_worst(mine).value for mine in pairs.values() if mine)
    errors = [s.row.worst for s in seen if s.row.worst is not None]
    counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(found.items()))
    examples = sum(max(s.row.examples for s in mine) for mine in pairs.values() if mine)
    worst = f"; the worst error was {number(max(errors, key=_size))} of its derived bound" if errors else ""
    told = f"{len(laws)} laws on {len(x.implementations)} implementations, {examples:,} examples: {counts}{worst}."
    reasons = sorted({(s.row.subject, plain(s.row.detail)) for s in seen if finding(s.row) is not Outcome.HELD and s.row.detail})
    notes = ["\n".join(f"- {code(subject)}: {reason}" for subject, reason in reasons)] if reasons else []
    header = ["law", *(code(name.rpartition("/")[2]) for name in x.implementations)]
    rows = [[code(law), *(_cell(pairs[law, name]) for name in x.implementations)] for law in laws]
    by_law = "Outcome, examples, and where errors are measured the worst as a fraction of its bound:\n\n" + table(header, rows)
    return [*missing_says, told, *notes, folded("Law by law", by_law)]


def _cell(seen: list[Seen]) -> str:
    if not seen:
        return ""
    errors = [s.row.worst for s in seen if s.row.worst is not None]
    outcome, examples = _worst(seen), max(s.row.examples for s in seen)
    shown = f"**{outcome.value}**" if outcome in (Outcome.REFUTED, Outcome.ERROR) else outcome.value
    stale = "" if all(s.current for s in seen) else "(stale)"
    return " ".join(filter(None, [shown, str(examples or ""), f"({number(max(errors, key=_size))})" if errors else "", stale]))


def _worst(seen: list[Seen]) -> Outcome:
    return Outcome.worst([finding(s.row) for s in seen])


def _size(x: float) -> float:
    return x if x == x else float("inf")  # NaN counts as the largest error


def _compiled(book: Book, x: Explanation) -> str:
    rows = book.kernels.of(x.folder) if book.kernels else []
    if not rows:
        return "Not compiled yet."
    wrong = sum(bool(row.complaints) for row in rows)
    targets = ", ".join(dict.fromkeys(row.target for row in rows))
    complaints = f"**{wrong} of them with complaints**" if wrong else "none with a complaint"
    late = " (from an earlier version of the sources)" if outdated(book, x.folder) else ""
    return f"{link(f'{len(rows)} kernels compiled', f'kernels.md#{x.folder}')}{late} for {targets}, {complaints}."


def _planted(book: Book, x: Explanation) -> list[str]:
    """Wrong edits of the files: those that a law noticed, those that none did, and the right ones that were let pass."""
    mutants = [m for m in book.mutants.mutants if m.file in x.files]
    survivors = [s for s in book.mutants.survivors if s.file in x.files]
    if not mutants and not survivors:
        return ["None has been tried yet."]
    noticed = sum(bool(m.kills or m.breaks) for m in mutants)
    told = f"{len(mutants)} wrong edits of {', '.join(map(code, x.files))}; {noticed} of them were noticed."
    rows = [[code(m.name), cell(plain(m.why)), ", ".join(code(law) for law in m.kills) or "**nothing**"] for m in mutants]
    listed = [folded("Which, and what noticed them", table(["edit", "why it is wrong", "noticed by"], rows))] if rows else []
    unseen = [[code(s.name), cell(plain(s.why)), cell(plain(s.survives))] for s in survivors]
    left = ["Survivors, which no law notices, and why:", table(["edit", "what it does", "why it survives"], unseen)] if unseen else []
    return [told, *listed, *left]
