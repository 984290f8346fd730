"""One page a topic: every claim with its verdict, its mathematics, its evidence and how to cite it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from itertools import groupby

from properties.evidence import DERIVATION, SEARCH, Evidence, StepRecord
from reports.book import Book, Seen
from reports.links import references, to_claim, to_row, to_source, with_verdict
from reports.markdown import anchor, cell, code, folded, line, link, math, number, plain, prose, table
from reports.redo import Unreadable, redone
from reports.render_explanations import known
from reports.verdict import Judgement, Verdict, finding
from theorems.claim import Claim
from theorems.outcome import Outcome

UP = "../"
FEW = 6  # mutants: more are folded away


def topic_page(book: Book, topic: str) -> str:
    claims = book.topics[topic]
    contents = table(["claim", "says", "verdict"], [[to_claim(c, UP), cell(c.title), book.judgements[c.id].verdict.value] for c in claims])
    return "\n\n".join([f"# {titled(topic)}", f"[All topics]({UP}README.md)", contents, *(_claim(book, c) for c in claims)])


def titled(topic: str) -> str:
    words = topic.replace("_", " ")
    return words[:1].upper() + words[1:]


def verdict_line(judgement: Judgement) -> str:
    """The verdict and what it means; for a derivation at listed sizes, which sizes."""
    sizes = f" (sizes {', '.join(map(str, judgement.sizes))} only)" if judgement.sizes else ""
    return f"**Verdict: {judgement.verdict.value}{sizes}.** {judgement.verdict.meaning}"


def _claim(book: Book, claim: Claim) -> str:
    seen = book.about(claim.id)
    parts = [
        f"---\n\n{anchor(claim.id)}\n\n## {line(claim.title)}",
        f"{code(claim.id)}. {verdict_line(book.judgements[claim.id])}",
        f"Why: {_reason(book, book.judgements[claim.id])}.",
        *_statement(book, claim),
        *_counterexample(book, claim, seen),
        *_derivation(book, claim, seen),
        *_search(seen),
        *_implementations(seen),
        *_figures(seen),
        _broken_by(book, claim),
        _reproduce(claim, seen),
        _citation(book, claim),
    ]
    return "\n\n".join(part for part in parts if part)


def _reason(book: Book, judgement: Judgement) -> str:
    """Why the verdict is so. Only a declared reason is Markdown; any other may quote evidence."""
    reason = judgement.reason.strip().rstrip(".")
    shown = line(reason, references(book, UP)) if judgement.verdict is Verdict.NOT_CHECKABLE else references(book, UP)(plain(reason))
    return f"**{shown}**" if judgement.contradiction else shown


def _statement(book: Book, claim: Claim) -> list[str]:
    refer = references(book, UP)
    said = any(source.key in book.headings for source in claim.sources) and not claim.states.startswith("(")  # "(Implied.)", "(Not in the text; …)"
    text_says = said and bool(claim.inventory)
    opening = "The text says, in our words" if text_says else "The statement"
    return [
        f"**{opening}:** {prose(claim.states, refer)}",
        f"**Read as:** {prose(claim.reading, refer)}" if claim.reading else "",
        f"**Precisely:** {prose(claim.precise, refer)}",
        _listed("Assumes", [line(x, refer) for x in claim.assumes]),
        f"**Left unsaid:** {prose(claim.unsaid, refer)}" if claim.unsaid else "",
        f"**Scope:** {prose(claim.scope, refer)}",
        _listed("Sources", [to_source(source, book, UP) for source in claim.sources]),
        "**Settles:** " + ", ".join(to_row(row, book, UP) for row in claim.inventory) if claim.inventory else "",
        "**Uses:** " + ", ".join(with_verdict(book, id, UP) for id in claim.uses) if claim.uses else "",
        f"**Corrected by:** {with_verdict(book, claim.corrected_by, UP)}" if claim.corrected_by else "",
        f"**Kernels lean on it:** {', '.join(kernels)}" if (kernels := _leaning(book, claim)) else "",
    ]


def _leaning(book: Book, claim: Claim) -> list[str]:
    """The kernels that are exact because of the claim."""
    return [link(line(x.title), f"{UP}how-kernels-work.md#{x.folder}") for x in known(book) if claim.id in {part.claim for part in x.exact}]


def _listed(name: str, items: list[str]) -> str:
    return f"**{name}:**\n\n" + "\n".join(f"- {item}" for item in items) if items else ""


def _derivation(book: Book, claim: Claim, seen: list[Seen]) -> list[str]:
    rows = _best([x for x in seen if x.row.subject == DERIVATION])
    return [part for x in rows for part in _argument(book, claim, x)]


def _best(seen: list[Seen]) -> list[Seen]:
    """One observation a law: a current one where there is one, from the first environment."""
    ordered = sorted(seen, key=lambda x: (x.row.law, not x.current, x.environment))
    return [x for i, x in enumerate(ordered) if i == 0 or ordered[i - 1].row.law != x.row.law]


def _argument(book: Book, claim: Claim, seen: Seen) -> list[str]:
    found, steps = finding(seen.row), seen.row.steps
    whole = found is Outcome.HELD and seen.current
    subject = "Derivation" if not claim.corrected_by or claim.unsaid else "Derivation of the negation"
    state = "" if whole else f" ({'stale' if not seen.current else _shown(found)}: it supports nothing)"
    cited = sum(bool(step.cites) for step in steps)
    lemmas = f", {cited} of them cited and spot-checked only" if cited else ""
    number = f"in {_plural(len(steps), 'step')}{lemmas}:" if steps else ""
    detail = plain(seen.row.detail)
    numbered = "\n".join(_step(book, n, s) for n, s in enumerate(steps, 1)).rstrip()
    if whole and len(steps) > 1:
        return [f"**{subject}** concludes", math(steps[-1].relation), number, detail, numbered]
    return [f"**{subject}**{state} {number}".rstrip(), detail, numbered]


def _step(book: Book, n: int, step: StepRecord) -> str:
    source = book.sources.get(step.cites)
    cited = f" (cited, spot-checked: {to_source(source, book, UP) if source else plain(step.cites)})" if step.cites else ""
    outcome = "" if step.outcome is Outcome.HELD else f" **{_shown(step.outcome)}**"
    margin = " " * (len(str(n)) + 2)
    formula = "\n".join(margin + x for x in math(step.relation).splitlines())
    return f"{n}. {line(step.because, references(book, UP))}{cited}{outcome}\n\n{formula}\n"


def _search(seen: list[Seen]) -> list[str]:
    rows = [x for x in seen if x.row.subject == SEARCH]
    if not rows:
        return []
    header, cells = _with_environment(
        ["search", "outcome", " examples", "found"], rows, lambda x: [code(x.row.law), _outcome(x), str(x.row.examples), cell(_case(x.row))]
    )
    return ["**Search for a counterexample**, in exact or ball arithmetic:", table(header, cells)]


def _case(row: Evidence) -> str:
    return code(row.counterexample) if row.counterexample else plain(row.detail)


def _counterexample(book: Book, claim: Claim, seen: list[Seen]) -> list[str]:
    """What the search found: argued with pencil and paper, and in Python to be pasted where the project is installed."""
    worked = [x for x in _best([x for x in seen if x.row.subject == SEARCH]) if x.row.outcome is Outcome.REFUTED and x.row.counterexample]
    return [
        part
        for x in worked
        for part in (f"**Counterexample:** {code(x.row.counterexample)}.", prose(x.row.worked, references(book, UP)), _python(claim, x.row))
    ]


def _python(claim: Claim, row: Evidence) -> str:
    try:
        return f"The same in Python:\n\n```python\n{redone(claim.id, row.counterexample)}\n```"
    except Unreadable:  # evidence that an earlier version wrote; tests see to it that today's can be read
        return ""


def _with_environment(header: list[str], rows: list[Seen], cells: Callable[[Seen], list[str]]) -> tuple[list[str], list[list[str]]]:
    """A table's header and rows, with a column for the environment where the rows are of several."""
    if len({x.environment for x in rows}) == 1:
        return header, [cells(x) for x in rows]
    return [header[0], "environment", *header[1:]], [[first, x.environment, *rest] for x in rows for first, *rest in [cells(x)]]


def _implementations(seen: list[Seen]) -> list[str]:
    rows = [x for x in seen if x.row.subject not in (DERIVATION, SEARCH)]
    if not rows:
        return []
    found = Counter(_shown(finding(x.row)) + ("" if x.current else " (stale)") for x in rows)
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.items()))
    several = len({x.row.law for x in rows})
    told = f"**Implementations**, {_plural(several, 'law')} on {len({x.row.subject for x in rows})}: {counts}. "
    told += "Only a reference speaks about the mathematics; any other row is about its own code."
    by_law = [(law, list(group)) for law, group in groupby(sorted(rows, key=lambda x: x.row.law), key=lambda x: x.row.law)]
    return [told, folded("Which implementations, laws and inputs", "\n\n".join(_law(law, group) for law, group in by_law)), *_violations(rows)]


def _law(law: str, rows: list[Seen]) -> str:
    """One law's rows, and the regimes of input that it was tried in, over all of them."""
    header, cells = _with_environment(
        ["implementation", "outcome", " examples", " worst error/bound", "note"],
        rows,
        lambda x: [code(x.row.subject), _outcome(x), str(x.row.examples), number(x.row.worst), cell(_note(x.row))],
    )
    regimes = sum((Counter(x.row.regimes) for x in rows), Counter[str]())
    covered = ", ".join(f"{plain(name)} {count}" for name, count in sorted(regimes.items()))
    return f"{code(_law_name(law))}" + (f", tried on: {covered}" if covered else "") + f"\n\n{table(header, cells)}"


def _note(row: Evidence) -> str:
    """What a row says about itself, one line of it."""
    return ", ".join(filter(None, [plain(row.detail), code(row.counterexample.partition("\n")[0]) if row.counterexample else ""]))


def _violations(rows: list[Seen]) -> list[str]:
    """Counterexamples too long for a table."""
    long = [x.row for x in rows if "\n" in x.row.counterexample]
    return [f"{code(row.subject)} breaks {code(_law_name(row.law))}:\n\n```text\n{row.counterexample}\n```" for row in long]


def _outcome(seen: Seen) -> str:
    shown = _shown(finding(seen.row))
    return shown if seen.current else f"{shown} (stale)"


def _shown(outcome: Outcome) -> str:
    return f"**{outcome.value}**" if outcome in (Outcome.REFUTED, Outcome.ERROR) else outcome.value


def _figures(seen: list[Seen]) -> list[str]:
    rows = [[plain(name), cell(plain(_figure(value))), code(x.row.subject), x.environment] for x in seen for name, value in sorted(x.row.figures.items())]
    return ["**Figures**", table(["figure", "value", "of", "environment"], rows)] if rows else []


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"[{', '.join(map(_figure, value))}]" if isinstance(value, list) else str(value)


def _broken_by(book: Book, claim: Claim) -> str:
    names = book.broken_by[claim.id]
    if not names:
        return "**Planted mutants that break it:** none." if book.judgements[claim.id].verdict is Verdict.VACUOUS else ""
    listed = ", ".join(map(code, names))
    shown = listed if len(names) <= FEW else folded("Their names", listed)
    return f"**{_plural(len(names), 'planted mutant')}** ({link('what they are', f'{UP}mutants.md')}) {'break' if len(names) > 1 else 'breaks'} it:" + (
        f" {shown}." if len(names) <= FEW else f"\n\n{shown}"
    )


def _reproduce(claim: Claim, seen: list[Seen]) -> str:
    """Every test about a claim carries the claim's id as a keyword."""
    return f"**Reproduce it:**\n\n```sh\npytest properties -k '{claim.id}'\n```" if seen else ""


def _law_name(law: str) -> str:
    return law.rpartition("::")[2]


def _citation(book: Book, claim: Claim) -> str:
    verdict = book.judgements[claim.id].verdict.value
    fields = [
        "author = {{The Attention Ledger}}",
        f"title = {{{{{_for_bibtex(claim.title)}}}}}",
        f"howpublished = {{Attention Ledger, version {book.version}}}",
        f"note = {{Claim {_for_bibtex(claim.id)}, verdict: {verdict}}}",
    ]
    return f"```bibtex\n@misc{{attentionledger-{claim.id},\n  " + ",\n  ".join(fields) + "\n}\n```"


def _for_bibtex(text: str) -> str:
    """Escape what TeX would read as commands, outside formulas; code spans lose their quotes."""
    parts = re.split(r"(\$[^$]*\$)", text.replace("$`", "$").replace("`$", "$").replace("`", ""))
    return "".join(part if part.startswith("$") else re.sub(r"([&%#_])", r"\\\1", part) for part in parts)


def _plural(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"
