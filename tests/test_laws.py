"""What one run of a law concludes from what its examples did."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import hypothesis.strategies as st
import pytest

from impl import IMPLEMENTATIONS
from impl.trait import Trait
from properties.request import LawBroken, NotRun, SubjectDied, SubjectFailed, Undecided
from properties.subject import Subject
from properties.verifies import Law, needs, nothing
from theorems.outcome import Outcome

REFERENCE = IMPLEMENTATIONS[0]


def outcome(*, broken_from: int, then: type[Exception], below: int, error: type[Exception] = LawBroken) -> tuple[Outcome, str]:
    """Of a law that breaks from one number on, and raises `then` between 3 and another."""

    def check(subject: Subject, x: int) -> None:
        subject.made += 1
        if x >= broken_from:
            raise error(f"broken at {x}")
        if 3 <= x < below:
            raise then("cannot tell")

    law = Law(id="m::l", claims=(), on=Trait.DOT_PRODUCT, draw=lambda _: st.integers(0, 1000), check=check, lacking=nothing, off=nothing)
    observed = law.run(REFERENCE, 200, seed=3)
    return observed.outcome, observed.detail


@pytest.mark.parametrize("then", [Undecided, NotRun, ZeroDivisionError])
def test_what_shrinking_slides_into_does_not_hide_a_broken_law(then: type[Exception]) -> None:
    found, detail = outcome(broken_from=100, then=then, below=60)
    assert found is Outcome.REFUTED
    assert detail.startswith("broken at")


@pytest.mark.parametrize(
    ("then", "expected"), [(Undecided, Outcome.UNDECIDED), (NotRun, Outcome.NOT_RUN), (ZeroDivisionError, Outcome.ERROR), (SubjectFailed, Outcome.REFUTED)]
)
def test_an_example_that_tells_nothing_is_no_pass(then: type[Exception], expected: Outcome) -> None:
    assert outcome(broken_from=10**6, then=then, below=10**6)[0] is expected


def test_the_smallest_failure_is_kept() -> None:
    assert outcome(broken_from=100, then=Undecided, below=0) == (Outcome.REFUTED, "broken at 100")
    assert outcome(broken_from=100, then=Undecided, below=0, error=SubjectDied) == (Outcome.REFUTED, "broken at 100")


def test_time_that_is_spent_ends_a_search_with_what_it_has() -> None:
    def check(subject: Subject, x: int) -> None:
        subject.made += 1
        if x > 5:
            raise LawBroken("broken")

    left = iter([False] * 30 + [True] * 1000)
    law = Law(id="m::l", claims=(), on=Trait.DOT_PRODUCT, draw=lambda _: st.integers(0, 1000), check=check, lacking=nothing, off=nothing)
    assert law.run(REFERENCE, 200, seed=3, spent=lambda: next(left)).outcome is Outcome.REFUTED
    assert law.run(REFERENCE, 200, seed=3, spent=lambda: True).outcome is Outcome.NOT_RUN


def test_a_capability_that_nobody_knows_is_no_capability() -> None:
    with pytest.raises(KeyError, match="telepathy"):
        needs("telepathy")


def test_a_seed_draws_the_same_whatever_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hypothesis would mix the numbers that stand in loaded modules into what it draws."""
    drawn: list[str] = []

    def check(subject: Subject, x: tuple[int, float]) -> None:
        subject.made += 1
        drawn.append(repr(x))

    law = Law(id="m::l", claims=(), on=Trait.DOT_PRODUCT, draw=lambda _: st.tuples(st.integers(), st.floats()), check=check, lacking=nothing, off=nothing)
    law.run(REFERENCE, 300, seed=7)
    before = drawn.copy()
    drawn.clear()
    (tmp_path / "full_of_numbers.py").write_text(f"NUMBERS = [{', '.join(f'{n}, {n}.5' for n in range(70001, 70400))}]")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "full_of_numbers", importlib.import_module("full_of_numbers"))
    law.run(REFERENCE, 300, seed=7)
    assert drawn == before
