"""Search for a counterexample to a claim on exact inputs, and require that the same search fails on the corrected claim.

    test_order_does_not_matter = searched(symmetry.permutation_invariance, rows=matrices(), order=permutations())

A claim that is false as made must be refuted by the search (a smallest witness is kept); a true one must survive it.
The witness is nowhere written down: the strategies only say where to look.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from properties import digest
from properties.drawing import from_the_seed_alone
from properties.evidence import SEARCH, Evidence
from properties.recalled import Argument
from theorems import CLAIMS
from theorems.claim import Claim
from theorems.outcome import Outcome

Case = dict[str, Any]
EXAMPLES = {"quick": 50, "ci": 200, "deep": 20_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """Where to look for a counterexample to `claim`: one strategy for each argument of `claim.holds`."""

    claim: Claim
    cases: dict[str, st.SearchStrategy[Any]]

    def run(self, claim: Claim, examples: int, *, seed: int | None = None, shrink: bool = True) -> tuple[Outcome, Case | None, int]:
        """Try `claim.holds` on `examples` cases: the outcome, the smallest counterexample, and how many cases were tried."""
        tried, undecided = 0, 0
        witness: Case | None = None

        def attempt(**case: Any) -> None:
            nonlocal tried, undecided, witness
            assert claim.holds is not None
            outcome = claim.holds(**case)
            tried += 1
            undecided += outcome is Outcome.UNDECIDED
            if outcome is Outcome.REFUTED:
                witness = case
                raise Found

        phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
        settings = hypothesis.settings(
            max_examples=examples, deadline=None, database=None, derandomize=seed is None, phases=phases,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False, print_blob=False,
        )  # fmt: skip
        test = settings(hypothesis.given(**self.cases)(attempt))
        try:
            with from_the_seed_alone():
                (test if seed is None else hypothesis.seed(seed)(test))()
        except Found:
            return Outcome.REFUTED, witness, tried
        return (Outcome.UNDECIDED if undecided else Outcome.HELD if tried else Outcome.NOT_RUN), None, tried

    def argument(self, examples: int) -> Argument:
        """The search, and that of the corrected claim where there is one, as an argument that can be run or recalled."""
        claim = self.claim
        about = [claim, CLAIMS[claim.corrected_by]] if claim.false_as_made else [claim]
        roots = tuple(root for c in about for root in digest.roots(f"search:{claim.id}", SEARCH, c.id))
        return Argument(law=f"search:{claim.id}", roots=roots, run=lambda: observe(self, examples), amiss=self._amiss, examples=examples)

    def _amiss(self, rows: list[Evidence]) -> str:
        """A false claim must be refuted and its correction survive; any other must survive."""
        first, *corrected = rows
        wanted = Outcome.REFUTED if self.claim.false_as_made else Outcome.HELD
        if first.outcome is not wanted:
            return f"{first.claim}: the search ended {first.outcome.value}, expected {wanted.value}: {first.counterexample}"
        problems = [row for row in corrected if row.outcome is not Outcome.HELD]
        told = "should survive the search that refutes"
        return "; ".join(f"{row.claim} {told} {first.claim}, but ended {row.outcome.value}: {row.counterexample}" for row in problems)


class Found(Exception):
    """Raised inside a search by a case that refutes the claim."""


SEARCHES: dict[str, Search] = {}


def searched(claim: Claim, **cases: st.SearchStrategy[Any]) -> Callable[[str], list[Evidence]]:
    """A test that searches `cases` for a counterexample to `claim`. Raises ValueError if the claim decides no cases."""
    if claim.holds is None:
        raise ValueError(f"claim {claim.id!r} has no `holds`, so there is nothing to search for")
    search = SEARCHES[claim.id] = Search(claim=claim, cases=cases)

    def test(profile: str) -> list[Evidence]:
        return observe(search, EXAMPLES[profile])

    test.search = search  # type: ignore[attr-defined]
    return test


def observe(search: Search, examples: int) -> list[Evidence]:
    """The evidence of one search: on the claim itself and, where it is false as made, on the claim that corrects it. A search that should find something, and
    ends when it does, has the time of the ci profile in any."""
    claim = search.claim
    outcome, witness, tried = search.run(claim, max(examples, EXAMPLES["ci"]) if claim.false_as_made else examples)
    found = Evidence(
        claim=claim.id,
        law=f"search:{claim.id}",
        subject=SEARCH,
        outcome=outcome,
        examples=tried,
        counterexample=_shown(witness) if witness else "",
        worked=claim.worked(**witness) if witness and claim.worked else "",
    )
    if not claim.false_as_made:
        return [found]
    corrected = CLAIMS[claim.corrected_by]
    if corrected.holds is None:
        raise ValueError(f"claim {corrected.id!r} corrects {claim.id!r}, so it needs a `holds` that decides the same cases")
    outcome, witness, tried = search.run(corrected, examples)
    survived = Evidence(
        claim=corrected.id,
        law=f"search:{claim.id}",
        subject=SEARCH,
        outcome=outcome,
        examples=tried,
        counterexample=_shown(witness) if witness else "",
    )
    return [found, survived]


def _shown(case: Case) -> str:
    return ", ".join(f"{name} = {_text(value)}" for name, value in case.items())


def _text(value: object) -> str:
    """Fractions as 1/2, nested sequences in brackets, sets in braces, single words bare: readable, and `reports.redo` reads it back."""
    match value:
        case list() | tuple():
            return "[" + ", ".join(map(_text, value)) + "]"
        case set() | frozenset():
            return "{" + ", ".join(map(_text, sorted(value))) + "}"
        case str() if not value.isidentifier():
            return repr(value)
    return str(value)
