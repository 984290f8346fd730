"""The committed ledger as a whole: every statement of the course texts is settled, and every page's claims can be followed and redone."""

from __future__ import annotations

import json
import posixpath
import re
import subprocess
import sys
from collections.abc import Mapping
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from properties.evidence import SEARCH, read
from reports.book import of_claims
from reports.coverage import HARSHEST_FIRST
from reports.headings import headings
from reports.redo import Unreadable, read_case, redone
from reports.verdict import POSITIVE, Verdict
from theorems import CLAIMS, inventory
from theorems.claim import Kind
from theorems.disagreements import Disagreement, Version, disagreements
from theorems.outcome import Outcome

ROOT = Path(__file__).parents[1]
REPORTS = ROOT / "reports"
MOST_NOT_CHECKABLE = 45  # rows one of whose entries no test can settle
FEWEST_PROVED = 90  # rows all of whose entries are proved
# Rows about expectations, variances or probabilities, of weights, scores, features, masks or initial values.
STATISTICAL = (
    "C031", "C044", "C045", "C066", "C068", "C071", "C096", "C125", "C127", "C128", "C129", "C130", "C241", "C242", "C245", "C258", "C259", "C306",
)  # fmt: skip
EXACT = (Verdict.PROVED, Verdict.CONDITIONAL)


@cache
def entries() -> Mapping[str, dict[str, Any]]:
    return {entry["id"]: entry for entry in json.loads((ROOT / "reports" / "ledger.json").read_text(encoding="utf-8"))["entries"]}


@cache
def by_row() -> Mapping[str, list[Verdict]]:
    """The verdicts of every inventory row, as the committed ledger has them."""
    return {row: [Verdict(e["verdict"]) for e in entries().values() if row in e["inventory"]] for row in inventory.rows()}


def harshest(row: str) -> Verdict:
    return min(by_row()[row], key=HARSHEST_FIRST.index)


def test_every_entry_has_a_verdict_that_settles() -> None:
    assert {id: e["verdict"] for id, e in entries().items() if not Verdict(e["verdict"]).settles or e["contradiction"]} == {}


def test_every_statement_of_the_texts_is_settled() -> None:
    assert list(by_row()) == [f"C{number:03}" for number in range(1, 333)]
    assert [row for row, verdicts in by_row().items() if not verdicts] == []


def test_few_statements_are_beyond_a_check_and_many_are_proved() -> None:
    assert sum(Verdict.NOT_CHECKABLE in verdicts for verdicts in by_row().values()) <= MOST_NOT_CHECKABLE
    assert sum(harshest(row) is Verdict.PROVED for row in by_row()) >= FEWEST_PROVED


def test_a_statistical_statement_has_its_moment_derived_and_nothing_is_only_estimated() -> None:
    argued = {row: [id for id, e in entries().items() if row in e["inventory"] and CLAIMS[id].derive] for row in STATISTICAL}
    assert [row for row, ids in argued.items() if not any(Verdict(entries()[id]["verdict"]) in EXACT for id in ids)] == []
    assert [id for id, e in entries().items() if e["verdict"] == Verdict.ESTIMATED.value and CLAIMS[id].derive is None] == []


def test_costs_are_counted_exactly() -> None:
    costs = [c for c in CLAIMS.values() if c.kind is Kind.COST]
    assert costs
    assert [c.id for c in costs if c.derive is None and c.holds is None] == []


def test_every_false_statement_has_a_counterexample_that_a_reader_can_redo(tmp_path: Path) -> None:
    """The lines of Python that the pages show, run as a reader would, and the argument by hand beside them."""
    files = [read(path) for path in sorted((ROOT / "reports" / "evidence").glob("*.json")) if of_claims(path.name)]
    found = {row.claim: row for file in files for row in file.evidence if row.subject == SEARCH and row.outcome is Outcome.REFUTED}
    assert found.keys() == {c.id for c in CLAIMS.values() if c.false_as_made and c.holds}
    assert [id for id, row in found.items() if not row.worked.strip()] == []
    lines = [redone(id, row.counterexample) for id, row in found.items()]
    assert max(text.count("\n") for text in lines) < 3
    script = tmp_path / "all.py"
    script.write_text("\n".join(lines), encoding="utf-8")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=ROOT, env={"PYTHONPATH": str(ROOT)}, check=False)
    printed = done.stdout.split("\n")[:-1]
    assert done.returncode == 0, done.stderr
    assert [id for id, word in zip(found, printed, strict=True) if word != Outcome.REFUTED.value] == []


@pytest.mark.parametrize(
    ("text", "case"),
    [
        ("query = [1, 0], key = [-1/2, 3]", {"query": (1, 0), "key": (Fraction(-1, 2), 3)}),
        ("rows = [{0, 1}, {}], kind = causal", {"rows": (frozenset({0, 1}), frozenset()), "kind": "causal"}),
        ("method = 'every b-th position', shift = -2", {"method": "every b-th position", "shift": -2}),
    ],
)
def test_a_case_is_read_back_as_it_was_searched(text: str, case: dict[str, object]) -> None:
    assert read_case(text) == case


@pytest.mark.parametrize("text", ["", "1, 2", "query", "x = print(1)", "x = [y.z]", "x = 1 +", "**x", "x = 'a'/2", "x = -'a'"])
def test_what_is_no_case_is_not_run(text: str) -> None:
    with pytest.raises(Unreadable, match="is n"):
        read_case(text)


# Where the texts disagree.


@pytest.mark.parametrize("disagreement", disagreements(), ids=lambda d: d.id)
def test_a_disagreement_is_between_places_that_exist_and_its_answer_is_supported(disagreement: Disagreement) -> None:
    assert len({v.says for v in disagreement.versions}) >= 2
    assert [v for v in disagreement.versions if v.heading not in headings()[v.text]] == []
    assert [v for v in disagreement.versions if not v.judged or not all(_about(id, v) for id in v.judged)] == []
    assert [(id, entries()[id]["verdict"]) for id in disagreement.by if Verdict(entries()[id]["verdict"]) not in POSITIVE] == []
    assert disagreement.by


def _about(id: str, version: Version) -> bool:
    """Whether a claim cites the heading, or settles a row that stands under it."""
    cited = any((s.key, s.locator) == (version.text, version.heading) for s in CLAIMS[id].sources)
    return cited or any((version.text, version.heading) in inventory.rows()[row].places for row in CLAIMS[id].inventory)


def test_every_link_between_the_committed_pages_leads_somewhere() -> None:
    pages = {path.relative_to(REPORTS).as_posix(): path.read_text(encoding="utf-8") for path in REPORTS.rglob("*.md") if "impl" not in path.parts[-2]}
    anchors = {name: set(re.findall(r'<a id="([^"]+)">', text)) for name, text in pages.items()}
    astray = []
    for name, text in pages.items():
        for target in set(re.findall(r"\]\(([^()\s]+)\)", text)):
            file, _, place = target.partition("#")
            path = posixpath.normpath(posixpath.join(posixpath.dirname(name), file)) if file else name
            if "://" not in target and not ((place in anchors[path] or not place) if path in pages else (REPORTS / path).exists() and not place):
                astray.append(f"{name}: {target}")
    assert astray == []
