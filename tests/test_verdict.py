"""Every way to a verdict, and above all every way in which a verdict must not be reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from properties.evidence import DERIVATION, SEARCH, Evidence, StepRecord
from reports.verdict import Grounds, Judgement, Verdict, finding, judge, judge_all
from theorems.claim import Claim, Kind
from theorems.outcome import Outcome
from theorems.sources import S0
from theorems.step import Step

HELD, REFUTED, UNDECIDED, ERROR, NOT_RUN = Outcome.HELD, Outcome.REFUTED, Outcome.UNDECIDED, Outcome.ERROR, Outcome.NOT_RUN
NOW, BEFORE = "digest of today", "digest of last week"


def steps() -> Iterator[Step]:
    return iter(())


def holds(**case: object) -> Outcome:
    return HELD


def claim(id: str = "toy.claim", **fields: Any) -> Claim:
    given: dict[str, Any] = {
        "title": "A claim",
        "states": "It is so.",
        "precise": "It is so.",
        "sources": (S0,),
        "scope": "everything",
        "derive": steps,
        "holds": holds,
    }
    return Claim(id=id, **given | fields)


def row(law: str, subject: str, outcome: Outcome = HELD, *, about: str = "toy.claim", digest: str = NOW, **fields: Any) -> Evidence:
    return Evidence(claim=about, law=law, subject=subject, outcome=outcome, digest=digest, **{"examples": 5} | fields)


def derivation(*outcomes: Outcome, about: str = "toy.claim", **fields: Any) -> Evidence:
    """A derivation whose steps came to `outcomes` (one that held, if none are given)."""
    records = tuple(StepRecord(relation="a = b", because="so", outcome=x) for x in outcomes or (HELD,))
    return row(f"derivation:{about}", DERIVATION, Outcome.worst([s.outcome for s in records]), about=about, **{"steps": records} | fields)


def search(outcome: Outcome = HELD, *, of: str = "toy.claim", about: str = "toy.claim", **fields: Any) -> Evidence:
    witness = {"counterexample": "x = 1"} if outcome is REFUTED else {}
    return row(f"search:{of}", SEARCH, outcome, about=about, **witness | fields)


def reference(outcome: Outcome = HELD, **fields: Any) -> Evidence:
    return row("test_toy::it_is_so", "toy/reference", outcome, **fields)


def stranger(outcome: Outcome = HELD, **fields: Any) -> Evidence:
    return row("test_toy::it_is_so", "toy/torch", outcome, **fields)


def grounds(claims: list[Claim], *rows: Evidence, broken: bool = True) -> Grounds:
    by_claim = {c.id: [r for r in rows if r.claim == c.id] for c in claims}
    mutants = {c.id: ("a mutant",) if broken else () for c in claims}
    return Grounds(claims={c.id: c for c in claims}, evidence=by_claim, current={r.key: NOW for r in rows}, broken_by=mutants)


def judged(subject: Claim, *rows: Evidence, beside: tuple[Claim, ...] = (), broken: bool = True) -> Judgement:
    return judge(subject, grounds([subject, *beside], *rows, broken=broken))


def test_slugs_are_those_that_the_ledger_promises() -> None:
    slugs = "proved derived tested bounded estimated measured conditional refuted not-checkable open vacuous stale"
    assert [v.value for v in Verdict] == slugs.split()
    assert all(v.meaning.endswith(".") for v in Verdict)


PLAIN = claim()
UNARGUED = claim(derive=None)


@pytest.mark.parametrize(
    ("subject", "rows", "verdict"),
    [
        (PLAIN, [derivation(), reference()], Verdict.PROVED),
        (PLAIN, [derivation(), search()], Verdict.PROVED),
        (PLAIN, [derivation(), search(), reference(), stranger(REFUTED)], Verdict.PROVED),
        (replace(PLAIN, sizes=(2, 3)), [derivation(), search()], Verdict.DERIVED),
        (UNARGUED, [reference()], Verdict.TESTED),
        (UNARGUED, [search()], Verdict.TESTED),
        (replace(PLAIN, kind=Kind.APPROXIMATION), [derivation(), reference(worst=0.4)], Verdict.BOUNDED),
        (replace(UNARGUED, kind=Kind.APPROXIMATION), [reference(worst=0.4)], Verdict.TESTED),
        (replace(PLAIN, kind=Kind.COST), [derivation(), search()], Verdict.MEASURED),
        (replace(UNARGUED, kind=Kind.COST), [reference()], Verdict.MEASURED),
        (replace(UNARGUED, kind=Kind.STATISTICAL), [reference(figures={"samples": 100})], Verdict.ESTIMATED),
        (replace(UNARGUED, kind=Kind.STATISTICAL), [reference()], Verdict.OPEN),
        (replace(PLAIN, not_checkable="a matter of taste"), [derivation(), search()], Verdict.NOT_CHECKABLE),
        (PLAIN, [], Verdict.OPEN),
        (PLAIN, [derivation(), search(), stranger(), reference(NOT_RUN)], Verdict.PROVED),  # an option that no reference has need of
        (PLAIN, [derivation(), search(), stranger(), reference(NOT_RUN), reference(HELD)], Verdict.PROVED),
        (PLAIN, [derivation(), search(), stranger(), reference(NOT_RUN), reference(UNDECIDED)], Verdict.OPEN),
    ],
)
def test_a_true_claim_gets_the_verdict_that_its_evidence_allows(subject: Claim, rows: list[Evidence], verdict: Verdict) -> None:
    assert judged(subject, *rows).verdict is verdict


@pytest.mark.parametrize(
    ("subject", "rows", "reason"),
    [
        (UNARGUED, [reference(examples=0)], "no example"),
        (UNARGUED, [search(examples=0)], "no example"),
        (PLAIN, [derivation()], "no example has been tried"),
        (PLAIN, [derivation(), reference(NOT_RUN, detail="needs CUDA")], "needs CUDA"),
        (PLAIN, [reference()], "its derivation has not been checked"),
        (PLAIN, [derivation(steps=()), reference()], "its derivation has not been checked"),
        (UNARGUED, [stranger()], "no reference has shown it"),
        (PLAIN, [derivation(), search(), stranger()], "no reference has shown it"),
        (PLAIN, [derivation(), stranger(), reference(NOT_RUN)], "no reference has shown it"),
        (PLAIN, [derivation(HELD, UNDECIDED), reference()], "undecided"),
        (PLAIN, [derivation(), reference(ERROR, detail="boom")], "boom"),
        (PLAIN, [derivation(), reference(), search(UNDECIDED)], "undecided"),
    ],
)
def test_a_true_claim_stays_open_where_something_is_missing(subject: Claim, rows: list[Evidence], reason: str) -> None:
    judgement = judged(subject, *rows)
    assert judgement.verdict is Verdict.OPEN
    assert not judgement.contradiction
    assert reason in judgement.reason


@pytest.mark.parametrize("against", [derivation(HELD, REFUTED), reference(REFUTED), search(REFUTED)])
def test_evidence_against_a_claim_held_true_is_a_contradiction(against: Evidence) -> None:
    rows = [r for r in (derivation(), reference(), search()) if r.key != against.key]
    judgement = judged(PLAIN, *rows, against)
    assert judgement.contradiction
    assert judgement.verdict is Verdict.OPEN
    assert against.law in judgement.reason


def test_one_environment_that_contradicts_is_enough() -> None:
    assert judged(PLAIN, derivation(), reference(), reference(REFUTED)).contradiction


def test_the_order_of_environments_changes_nothing() -> None:
    rows = [derivation(), reference(examples=3), reference(examples=9), search(), reference(UNDECIDED)]
    assert judged(PLAIN, *rows) == judged(PLAIN, *reversed(rows))


def test_a_held_row_is_not_taken_at_its_word() -> None:
    said_to_hold = StepRecord(relation="a = b", because="so", outcome=UNDECIDED)
    not_tried = replace(said_to_hold, outcome=NOT_RUN)
    assert finding(replace(derivation(), steps=(said_to_hold,))) is UNDECIDED
    assert finding(replace(derivation(), steps=(not_tried,))) is NOT_RUN
    assert finding(replace(derivation(), steps=(*derivation().steps, not_tried))) is UNDECIDED
    assert finding(reference(worst=1.5)) is UNDECIDED
    assert finding(reference(worst=float("nan"))) is UNDECIDED


@pytest.mark.parametrize("late", [derivation(digest=BEFORE), reference(digest=BEFORE), reference(digest=""), reference(REFUTED, digest=BEFORE)])
def test_old_evidence_is_stale(late: Evidence) -> None:
    rows = [r for r in (derivation(), reference()) if r.key != late.key]
    judgement = judged(PLAIN, *rows, late)
    assert judgement.verdict is Verdict.STALE
    assert late.law in judgement.reason


def test_a_conclusion_that_is_only_cited_is_not_derived() -> None:
    lemma = replace(derivation().steps[0], cites="cover2006")
    judgement = judged(PLAIN, derivation(steps=(*derivation().steps, lemma)), reference())
    assert judgement.verdict is Verdict.TESTED
    assert "cited" in judgement.reason
    assert judged(PLAIN, derivation(steps=(lemma, *derivation().steps)), reference()).verdict is Verdict.PROVED


def test_examples_that_two_environments_tried_count_once() -> None:
    assert "held on 9 examples on the reference;" in judged(UNARGUED, reference(examples=3), reference(examples=9)).reason


def test_evidence_that_another_environment_took_anew_is_not_missed() -> None:
    assert judged(PLAIN, derivation(), reference(), reference(digest=BEFORE)).verdict is Verdict.PROVED


def test_a_strangers_old_row_changes_nothing() -> None:
    assert judged(PLAIN, derivation(), reference(), stranger(digest=BEFORE)).verdict is Verdict.PROVED


def test_evidence_of_an_argument_that_the_claim_no_longer_makes_is_stale() -> None:
    assert judged(UNARGUED, derivation(), reference()).verdict is Verdict.STALE
    assert judged(replace(PLAIN, holds=None), derivation(), search()).verdict is Verdict.STALE


@pytest.mark.parametrize("subject", [PLAIN, replace(PLAIN, sizes=(2,)), replace(PLAIN, kind=Kind.COST), replace(PLAIN, kind=Kind.APPROXIMATION)])
def test_without_a_mutant_that_breaks_it_a_positive_verdict_is_vacuous(subject: Claim) -> None:
    assert judged(subject, derivation(), reference(), broken=False).verdict is Verdict.VACUOUS


TRUE = claim("toy.true")
FALSE = claim("toy.false", corrected_by="toy.true", derive=None)
UNSAID = claim("toy.unsaid", corrected_by="toy.true", unsaid="all keys are visible", derive=None)


def against(subject: Claim, outcome: Outcome = REFUTED, survived: Outcome = HELD, **fields: Any) -> list[Evidence]:
    """The two rows of a search: on the claim, and on the one that corrects it."""
    return [search(outcome, of=subject.id, about=subject.id, **fields), search(survived, of=subject.id, about="toy.true")]


def test_a_counterexample_refutes_if_the_correction_survives_the_same_search() -> None:
    judgement = judged(FALSE, *against(FALSE), beside=(TRUE,))
    assert judgement.verdict is Verdict.REFUTED
    assert "toy.true" in judgement.reason


def test_a_refutation_needs_no_mutant() -> None:
    assert judged(FALSE, *against(FALSE), beside=(TRUE,), broken=False).verdict is Verdict.REFUTED


def test_a_witness_found_in_one_environment_is_enough() -> None:
    assert judged(FALSE, *against(FALSE), search(HELD, of="toy.false", about="toy.false"), beside=(TRUE,)).verdict is Verdict.REFUTED


def test_a_reference_that_breaks_a_false_claim_contradicts_nothing() -> None:
    assert judged(FALSE, *against(FALSE), reference(REFUTED, about="toy.false"), beside=(TRUE,)).verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([reference(about="toy.false")], "no search"),
        (against(FALSE, HELD), "found no counterexample in 5 examples"),
        (against(FALSE, counterexample=""), "records no counterexample"),
        ([search(REFUTED, of="toy.other", about="toy.false")], "no search"),
        (against(FALSE, survived=REFUTED), "is refuted as well"),
        (against(FALSE, survived=UNDECIDED), "not been shown to fail"),
        (against(FALSE)[:1], "not been shown to fail"),
        ([against(FALSE)[0], search(of="toy.true", about="toy.true")], "not been shown to fail"),
        ([*against(FALSE), reference(REFUTED, about="toy.true")], "is refuted as well"),
    ],
)
def test_a_false_claim_stays_open_where_the_search_does_not_show_it(rows: list[Evidence], reason: str) -> None:
    judgement = judged(FALSE, *rows, beside=(TRUE,))
    assert judgement.verdict is Verdict.OPEN
    assert reason in judgement.reason


def test_a_claim_is_not_corrected_by_one_that_is_false_as_made() -> None:
    worse = replace(TRUE, corrected_by="toy.claim")
    assert judged(FALSE, *against(FALSE), beside=(worse, PLAIN)).verdict is Verdict.OPEN


def test_a_search_on_an_old_correction_is_stale() -> None:
    first, second = against(FALSE)
    assert judged(FALSE, first, replace(second, digest=BEFORE), beside=(TRUE,)).verdict is Verdict.STALE


def test_a_false_step_in_the_proof_of_the_negation_is_a_contradiction() -> None:
    argued = replace(FALSE, derive=steps)
    assert judged(argued, *against(FALSE), derivation(REFUTED, about="toy.false"), beside=(TRUE,)).contradiction
    assert judged(argued, *against(FALSE), derivation(UNDECIDED, about="toy.false"), beside=(TRUE,)).verdict is Verdict.OPEN
    assert judged(argued, *against(FALSE), beside=(TRUE,)).verdict is Verdict.OPEN
    assert judged(argued, *against(FALSE), derivation(about="toy.false"), beside=(TRUE,)).verdict is Verdict.REFUTED


@pytest.mark.parametrize(
    "support",
    [derivation(about="toy.true"), search(of="toy.true", about="toy.true"), reference(about="toy.true"), reference(about="toy.unsaid")],
)
def test_an_unsaid_assumption_makes_a_claim_conditional_if_it_holds_with_it(support: Evidence) -> None:
    assert judged(UNSAID, *against(UNSAID), support, beside=(TRUE,)).verdict is Verdict.CONDITIONAL


def test_a_witness_alone_makes_nothing_conditional() -> None:
    judgement = judged(UNSAID, *against(UNSAID), beside=(TRUE,))
    assert judgement.verdict is Verdict.OPEN
    assert "under the unsaid assumption" in judgement.reason


def test_a_reference_that_breaks_a_claim_under_its_unsaid_assumption_is_a_contradiction() -> None:
    assert judged(UNSAID, *against(UNSAID), derivation(about="toy.true"), reference(REFUTED, about="toy.unsaid"), beside=(TRUE,)).contradiction


def whole(*claims: Claim, untried: str = "") -> dict[str, Judgement]:
    """Judge claims that each have a derivation and a search that held, except that `untried` has no evidence."""
    rows = [r for c in claims if c.id != untried for r in (derivation(about=c.id), search(of=c.id, about=c.id))]
    return judge_all(grounds(list(claims), *rows))


LEMMA = claim("toy.lemma")
THEOREM = claim("toy.theorem", uses=("toy.lemma",))
COROLLARY = claim("toy.corollary", uses=("toy.theorem",))


def test_a_proof_may_lean_on_what_is_proved() -> None:
    assert {j.verdict for j in whole(LEMMA, THEOREM, COROLLARY).values()} == {Verdict.PROVED}


def test_a_proof_that_leans_on_an_open_claim_proves_nothing() -> None:
    judgements = whole(LEMMA, THEOREM, COROLLARY, untried="toy.lemma")
    assert judgements["toy.theorem"].verdict is judgements["toy.corollary"].verdict is Verdict.TESTED
    assert "toy.lemma" in judgements["toy.corollary"].reason


def test_a_proof_covers_no_more_sizes_than_what_it_leans_on() -> None:
    judgements = whole(replace(LEMMA, sizes=(2, 3, 4)), replace(THEOREM, sizes=(3, 4, 5)), COROLLARY)
    assert judgements["toy.corollary"].verdict is Verdict.DERIVED
    assert judgements["toy.corollary"].sizes == (3, 4)
    assert whole(replace(LEMMA, sizes=(2,)), replace(THEOREM, sizes=(3,)))["toy.theorem"].verdict is Verdict.TESTED


def test_two_proofs_that_lean_on_each_other_prove_nothing() -> None:
    judgements = whole(replace(LEMMA, uses=("toy.theorem",)), THEOREM)
    assert {j.verdict for j in judgements.values()} == {Verdict.TESTED}
    assert "circle" in judgements["toy.lemma"].reason
