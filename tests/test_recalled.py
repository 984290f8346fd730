"""A derivation or a search is recalled only while nothing that it follows from has changed; anything else runs it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import sympy as sp

from properties import derivations, digest, recalled, test_convexity_exact
from properties.evidence import DERIVATION, Evidence
from properties.recalled import Argument, recalled_or_run
from properties.search import Search
from theorems import CLAIMS
from theorems.outcome import Outcome
from theorems.step import Step

x = sp.Symbol("x", real=True)


class Counted:
    """An argument that counts how often it was run."""

    def __init__(self, outcome: Outcome = Outcome.HELD) -> None:
        self.outcome, self.runs = outcome, 0

    def __call__(self) -> list[Evidence]:
        self.runs += 1
        return [Evidence(claim="toy.sum", law="derivation:toy.sum", subject="derivation", outcome=self.outcome, detail="Pythagoras")]


def argued(run: Counted, examples: int = 0) -> Argument:
    return Argument(law="derivation:toy.sum", roots=(Path(__file__),), run=run, amiss=amiss, examples=examples)


def amiss(rows: list[Evidence]) -> str:
    return "" if all(row.outcome is Outcome.HELD for row in rows) else "not held"


def test_the_second_time_is_recalled_and_says_the_same(tmp_path: Path) -> None:
    run = Counted()
    first, again = recalled_or_run(argued(run), tmp_path), recalled_or_run(argued(run), tmp_path)
    assert first == (again[0], False)
    assert again[1] is True
    assert run.runs == 1


def test_without_a_folder_everything_is_run() -> None:
    run = Counted()
    assert [recalled_or_run(argued(run), None)[1] for _ in range(2)] == [False, False]
    assert run.runs == 2


@pytest.mark.parametrize("outcome", [outcome for outcome in Outcome if outcome is not Outcome.HELD])
def test_what_is_amiss_is_never_kept(outcome: Outcome, tmp_path: Path) -> None:
    run = Counted(outcome)
    assert [recalled_or_run(argued(run), tmp_path)[0][0].outcome for _ in range(2)] == [outcome] * 2
    assert run.runs == 2
    assert list(tmp_path.iterdir()) == []


def _another_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "digest_of", lambda files: "another")


def _another_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalled, "versions", lambda: ("sympy 0",))


@pytest.mark.parametrize("change", [_another_source, _another_library])
def test_a_change_of_source_or_library_runs_it_again(change: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Counted()
    recalled_or_run(argued(run), tmp_path)
    change(monkeypatch)
    assert recalled_or_run(argued(run), tmp_path)[1] is False
    assert run.runs == 2


def test_another_number_of_examples_runs_it_again(tmp_path: Path) -> None:
    run = Counted()
    assert [recalled_or_run(argued(run, examples), tmp_path)[1] for examples in (50, 200, 200)] == [False, False, True]


def _cut(text: str) -> str:
    return text[: len(text) // 2]


def _edited(text: str) -> str:
    data = json.loads(text)
    return json.dumps(data | {"rows": data["rows"].replace("Pythagoras", "Thales")})


def _of_another_key(text: str) -> str:
    return json.dumps(json.loads(text) | {"key": "0" * 64})


@pytest.mark.parametrize("damaged", [_cut, _edited, _of_another_key, lambda text: "[]", lambda text: ""], ids=["cut", "edited", "key", "list", "empty"])
def test_a_file_that_is_not_whole_runs_it_again(damaged: Callable[[str], str], tmp_path: Path) -> None:
    run = Counted()
    recalled_or_run(argued(run), tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_text(damaged(file.read_text(encoding="utf-8")), encoding="utf-8")
    rows, known = recalled_or_run(argued(run), tmp_path)
    assert (rows[0].detail, known, run.runs) == ("Pythagoras", False, 2)


def closure(argument: Argument) -> set[str]:
    return {file.relative_to(digest.ROOT).as_posix() for root in argument.roots for file in digest.imported(root)}


def test_the_key_of_a_derivation_covers_its_topic_what_that_imports_and_what_decides_its_steps() -> None:
    wanted = {"theorems/scaling.py", "theorems/step.py", "theorems/algebra.py", "theorems/balls.py", "properties/derivations.py"}
    assert wanted <= closure(derivations.derivation(CLAIMS["scaling.cosine"]))


def test_the_key_of_a_search_covers_its_strategies_and_the_topic_of_the_correction() -> None:
    claim = next(c for c in CLAIMS.values() if c.corrected_by and CLAIMS[c.corrected_by].topic != c.topic and c.holds)
    (here,) = (f"theorems/{t.replace('-', '_')}.py" for t in {claim.topic})
    (there,) = (f"theorems/{t.replace('-', '_')}.py" for t in {CLAIMS[claim.corrected_by].topic})
    found = closure(Search(claim=claim, cases={}).argument(200))
    assert {here, there, f"properties/test_{claim.topic.replace('-', '_')}_exact.py", "properties/search.py"} <= found


def test_a_search_that_finds_nothing_where_it_should_is_amiss() -> None:
    search: Search = test_convexity_exact.test_the_output_lies_in_the_hull_of_the_values.search  # type: ignore[attr-defined]
    found = search.argument(5)
    assert found.amiss(found.run()) == ""
    assert "expected refuted" in replace_false(search).amiss(found.run())


def replace_false(search: Search) -> Argument:
    """The same search, of a claim that is declared false."""
    return Search(claim=replace(search.claim, corrected_by=search.claim.id), cases=search.cases).argument(5)


def test_a_derivation_with_a_false_step_is_amiss() -> None:
    claim = replace(CLAIMS["scaling.cosine"], derive=lambda: iter([Step(sp.sin(x) ** 2 + sp.cos(x) ** 2, "=", sp.Integer(2), "")]))
    argument = derivations.derivation(claim)
    assert argument.amiss(argument.run()).startswith("scaling.cosine: refuted")


def test_no_argument_reads_a_file_or_imports_one_in_a_way_that_the_digest_does_not_see() -> None:
    about = {file for claim in CLAIMS.values() for root in digest.roots("", DERIVATION, claim.id) for file in digest.imported(root)}
    assert len(about) > len({claim.topic for claim in CLAIMS.values()})
    hidden = ("import_module", "__import__", "open(", "read_text", "read_bytes")
    assert [file.name for file in sorted(about) if any(word in file.read_text(encoding="utf-8") for word in hidden)] == []
