"""The first page: how many claims have which verdict, on whose evidence, and where each stands. And the page of planted bugs."""

from __future__ import annotations

from collections.abc import Collection

from properties.evidence import EvidenceFile
from reports.book import Book
from reports.coverage import rows_of, settled_rows
from reports.links import to_claim, to_row
from reports.markdown import cell, code, link, plain, table
from reports.render_explanations import known
from reports.render_topic import titled
from reports.verdict import Verdict

READING = """## How to read an entry

- *The text says*: the statement as the course text makes it, in our words; *The statement*, where no text makes it.
- *Read as*: the reading that is judged, where the words allow several. *Precisely*: what the argument is about.
- *Assumes*: what belongs to the statement itself, said by the text or by convention. *Left unsaid*: what the text leaves out, and without which it fails.
- *Scope*: the sizes, numbers and arithmetic that it covers. *Uses*: entries that the argument leans on. *Corrected by*: the strongest true statement nearby.
- *Derivation*: each line is decided symbolically, and evaluated again in ball arithmetic at random points; the last line is what it concludes.
- *Counterexample*: found by a search, never written down beforehand; the same search fails on the correction."""


def index_page(book: Book) -> str:
    settled = settled_rows(book)
    return "\n\n".join(
        [
            "# The ledger",
            f"{len(book.claims)} claims, judged; {len(settled)} of the {len(book.inventory)} statements of the course texts are settled.",
            *_contradictions(book),
            table(["verdict", " claims", "means"], [[v.value, str(count), v.meaning] for v, count in book.counted().items()]),
            "Verdicts are computed from the evidence, never set by hand.",
            READING,
            _places(book),
            "## Evidence",
            *_environments(book),
            "To take the evidence again and write these pages anew:",
            "```sh\npytest properties\npython -m reports\n```",
            "`python -m reports --check` fails where a page is out of date with the evidence, `--coverage` counts the settled statements.",
            "## Claims",
            _claims(book),
        ]
    )


def _contradictions(book: Book) -> list[str]:
    return [f"**Contradiction:** {', '.join(to_claim(book.claims[id], '') for id in book.contradictions)}"] if book.contradictions else []


def _places(book: Book) -> str:
    topics = ", ".join(link(titled(topic), f"topics/{topic}.md") for topic in book.topics)
    settled = settled_rows(book)
    texts = "\n".join(f"- {link(f'{text.key}: {plain(text.title)}', f'texts/{text.key}.md')}, {_share(book, text.key, settled)}" for text in book.texts)
    compiled = ("[compiled kernels](kernels.md), " if book.kernels else "") + ("[times on GPUs](gpu.md), " if book.gpu else "")
    compiled += "[how the kernels work](how-kernels-work.md), " if known(book) else ""
    compiled += "[fast paths on a CPU](benchmarks.md), " if book.benchmarks else ""
    compiled += "[a trained model](trained.md), " if book.trained else ""
    differ = " [Where the texts disagree](disagreements.md)." if book.disagreements else ""
    judged = f"[Implementations and laws](implementations.md), [published packages](peers.md), {compiled}[planted mutants](mutants.md)"
    return f"Topics: {topics or 'none yet'}. {judged}, [everything as JSON](ledger.json).{differ}\n\nThe course texts, heading by heading:\n\n{texts}"


def _share(book: Book, text: str, settled: Collection[str]) -> str:
    rows = rows_of(book, text)
    return f"{sum(row in settled for row in rows)} of {len(rows)} statements settled"


def _environments(book: Book) -> list[str]:
    if not book.files:
        return ["No evidence has been taken yet."]
    rows = [[plain(name), _facts(file), _profiles(file), str(len(file.evidence))] for name, file in sorted(book.files.items())]
    return [table(["environment", "versions and machine", "profile", " observations"], rows)]


def _facts(file: EvidenceFile) -> str:
    return ", ".join(f"{plain(name)} {plain(value)}" for name, value in sorted(file.environment.items()))


def _profiles(file: EvidenceFile) -> str:
    return ", ".join(sorted({row.profile for row in file.evidence if row.profile}))


def _claims(book: Book) -> str:
    rows = [
        [to_claim(c, ""), cell(c.title), book.judgements[c.id].verdict.value, ", ".join(to_row(row, book, "") for row in c.inventory)]
        for claims in book.topics.values()
        for c in claims
    ]
    return table(["id", "title", "verdict", "rows"], rows)


def mutants_page(book: Book) -> str:
    """Every planted bug with what noticed it, and every unusual but right implementation with what wrongly accused it."""
    caught = sum(bool(m.kills or m.breaks) for m in book.mutants.mutants)
    accused = sum(bool(c.accused_by) for c in book.mutants.controls)
    bugs = [
        [code(m.name), code(m.file), cell(plain(m.why)), cell(plain(m.source)), ", ".join(code(x) for x in sorted((*m.kills, *m.breaks))), str(len(m.seeds))]
        for m in book.mutants.mutants
    ]
    unseen = [[code(s.name), code(s.file), cell(plain(s.why)), cell(plain(s.survives)), cell(plain(s.source))] for s in book.mutants.survivors]
    right = [[code(c.name), cell(plain(c.why)), ", ".join(code(x) for x in c.accused_by) or "nobody"] for c in book.mutants.controls]
    survivors = ["Survivors, which no law notices:", table(["edit", "in", "what it does", "why it survives", "after"], unseen)] if unseen else []
    return "\n\n".join(
        [
            "# Planted mutants",
            "[All topics](README.md)",
            f"{len(bugs)} wrong edits of our own code, {caught} of them noticed. A claim whose checks no mutant breaks is "
            f"{Verdict.VACUOUS.value}. A kill counts only while the law is the one that the mutant met. Some mutants of kernels name the lengths and widths "
            "that are drawn: such a kill shows that the law can fail, not how soon.",
            table(["mutant", "in", "why it is wrong", "after", "noticed by", " seeds"], bugs),
            *survivors,
            f"Controls: right but unusual implementations; {accused} of {len(right)} were accused.",
            table(["control", "why it is right", "accused by"], right),
        ]
    )
