"""Judge claims. Pure: the same grounds give the same verdicts, whichever environments the evidence came from.

A verdict speaks of the mathematics: the derivation, the search in exact arithmetic, and the implementations named "reference".
Any other implementation is shown in its own row and changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from properties.evidence import DERIVATION, SEARCH, Evidence
from theorems.claim import Claim, Kind
from theorems.outcome import Outcome

Key = tuple[str, str, str]  # claim, law, subject: `Evidence.key`


class Verdict(Enum):
    """What a page says about a claim. `value` is the slug; `meaning` is one sentence for people."""

    PROVED = "proved"
    DERIVED = "derived"
    TESTED = "tested"
    BOUNDED = "bounded"
    ESTIMATED = "estimated"
    MEASURED = "measured"
    CONDITIONAL = "conditional"
    REFUTED = "refuted"
    NOT_CHECKABLE = "not-checkable"
    OPEN = "open"
    VACUOUS = "vacuous"
    STALE = "stale"

    @property
    def meaning(self) -> str:
        return MEANINGS[self]

    @property
    def settles(self) -> bool:
        """Whether a statement with this verdict is done with."""
        return self not in (Verdict.OPEN, Verdict.VACUOUS, Verdict.STALE)


MEANINGS = {
    Verdict.PROVED: "Every step is machine-checked for the whole stated scope (a textbook lemma may be cited by name and spot-checked), "
    "and it held where it was evaluated.",
    Verdict.DERIVED: "Every step is machine-checked, but only at the listed sizes.",
    Verdict.TESTED: "There is no full derivation; every example tried agreed, which is evidence and no proof.",
    Verdict.BOUNDED: "The approximation's measured error stayed under a bound whose derivation is machine-checked.",
    Verdict.ESTIMATED: "A statistical statement, estimated from samples; the figures stand beside it.",
    Verdict.MEASURED: "A count or cost, counted exactly.",
    Verdict.CONDITIONAL: "True only under an assumption that the text leaves unsaid; without it a counterexample was found.",
    Verdict.REFUTED: "False as made: a counterexample was found and confirmed exactly.",
    Verdict.NOT_CHECKABLE: "No test here can settle it, for the reason given.",
    Verdict.OPEN: "Could be settled here and has not been.",
    Verdict.VACUOUS: "The checks passed, but no planted bug makes them fail, so passing says nothing.",
    Verdict.STALE: "The code that was checked has changed since the evidence was taken.",
}
POSITIVE = frozenset({Verdict.PROVED, Verdict.DERIVED, Verdict.TESTED, Verdict.BOUNDED, Verdict.ESTIMATED, Verdict.MEASURED})
DEDUCED = frozenset({Verdict.PROVED, Verdict.DERIVED, Verdict.BOUNDED})  # verdicts that lean on the claims which the derivation uses
BROKEN = (Outcome.ERROR, Outcome.UNDECIDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """All that verdicts may rest on.

    `evidence` holds each claim's rows from every environment, `current` the digest that a run today would write for a row's key,
    `broken_by` the names of the planted mutants that break a claim's derivation or one of its laws.
    """

    claims: Mapping[str, Claim]
    evidence: Mapping[str, Sequence[Evidence]]
    current: Mapping[Key, str]
    broken_by: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict and why. `sizes` are those that a derivation covers; `argued` says that a whole derivation stands behind the verdict.

    `contradiction` marks evidence against a statement that this project holds to be true: something here is wrong, and no page may hide it.
    """

    verdict: Verdict
    reason: str
    sizes: tuple[int, ...] = ()
    argued: bool = False
    contradiction: bool = False


def judge_all(grounds: Grounds) -> dict[str, Judgement]:
    """Every claim's judgement, where a derivation is worth no more than the claims it uses."""
    alone = {id: judge(claim, grounds) for id, claim in grounds.claims.items()}
    return {id: _resting_on(_below(id, grounds.claims), id, alone) for id in alone}


def judge(claim: Claim, grounds: Grounds) -> Judgement:
    """The verdict on one claim, taking the claims that its derivation uses for granted (`judge_all` does not)."""
    if claim.not_checkable:
        return Judgement(verdict=Verdict.NOT_CHECKABLE, reason=claim.not_checkable)
    rows = list(grounds.evidence.get(claim.id, ()))
    if not rows:
        return _open("no evidence has been taken")
    spoken, outdated = _fresh(claim, rows, grounds.current)
    if outdated:
        return _stale(outdated)
    judgement = _judge_false(claim, spoken, grounds) if claim.false_as_made else _judge_true(claim, spoken, rows)
    if judgement.verdict in POSITIVE and not grounds.broken_by.get(claim.id):
        return Judgement(verdict=Verdict.VACUOUS, reason=f"would be {judgement.verdict.value}, but no planted mutant breaks any of its laws or its derivation")
    return judgement


def speaks(row: Evidence) -> bool:
    """Whether a row is about the mathematics, and not about somebody's implementation of it."""
    return row.subject in (DERIVATION, SEARCH) or row.subject.rpartition("/")[2] == "reference"


def is_current(row: Evidence, current: Mapping[Key, str]) -> bool:
    """Whether a run today would check the same code as this row did. A row without a digest never is."""
    return bool(row.digest) and row.digest == current.get(row.key)


def finding(row: Evidence) -> Outcome:
    """What a row shows, which is less than it says where nothing was tried or where the numbers beside it disagree."""
    if row.outcome is not Outcome.HELD:
        return row.outcome
    if row.subject == DERIVATION:
        return _of_steps([step.outcome for step in row.steps])
    if row.examples < 1:
        return Outcome.NOT_RUN
    return Outcome.HELD if row.worst is None or row.worst <= 1 else Outcome.UNDECIDED  # NaN is undecided too


def _of_steps(steps: list[Outcome]) -> Outcome:
    if not steps or set(steps) == {Outcome.HELD}:
        return Outcome.HELD if steps else Outcome.NOT_RUN
    worst = Outcome.worst(steps)
    return Outcome.UNDECIDED if worst is Outcome.HELD else worst  # a step that was not tried decides nothing


def _fresh(claim: Claim, rows: Iterable[Evidence], current: Mapping[Key, str]) -> tuple[list[Evidence], list[Evidence]]:
    """The rows that speak and are current, and those outdated ones that no other environment has taken anew."""
    spoken = [row for row in rows if speaks(row)]
    good = [row for row in spoken if is_current(row, current) and _still_argued(claim, row)]
    renewed = {row.key for row in good}
    return good, [row for row in spoken if row.key not in renewed]


def _still_argued(claim: Claim, row: Evidence) -> bool:
    return claim.derive is not None if row.subject == DERIVATION else claim.holds is not None if row.subject == SEARCH else True


def _judge_true(claim: Claim, spoken: list[Evidence], rows: list[Evidence]) -> Judgement:
    if against := _found(spoken, Outcome.REFUTED):
        return _contradiction(against)
    if unclear := _found(spoken, *BROKEN):
        return _open(_told(unclear))
    held = _found(spoken, Outcome.HELD)
    derivations = [row for row in held if row.subject == DERIVATION]
    if claim.derive is not None and not derivations:
        return _open("its derivation has not been checked")
    argued = any(not row.steps[-1].cites for row in derivations)  # a conclusion that is only cited is not derived
    tried = _evaluations(held, meant_for_code=_meant_for_code(rows))
    if not tried:
        return _open(_why_untried(argued, rows))
    return _positive(claim, argued, tried, held)


def _meant_for_code(rows: list[Evidence]) -> bool:
    """Whether a reference should show the statement: some implementation is meant, and not only by an option that references have no need of."""
    shown = [row for row in rows if row.subject not in (DERIVATION, SEARCH)]
    references = [row for row in shown if speaks(row)]
    return bool(shown) and not (references and all(row.outcome is Outcome.NOT_RUN for row in references))


def _evaluations(held: list[Evidence], *, meant_for_code: bool) -> list[Evidence]:
    """The rows that show the statement at work: the reference's or, where no implementation is meant, the exact search's."""
    subjects = [row for row in held if row.subject not in (DERIVATION, SEARCH)]
    if meant_for_code:
        return subjects and [row for row in held if row.subject != DERIVATION]
    return [row for row in held if row.subject == SEARCH]


def _why_untried(argued: bool, rows: list[Evidence]) -> str:
    others = [row for row in rows if not speaks(row) and row.outcome is Outcome.HELD]
    if others:
        return f"it held on {others[0].subject}, but no reference has shown it, and only a reference speaks about the mathematics"
    untried = [row for row in rows if row.subject != DERIVATION]
    told = f": {untried[0].detail}" if untried and untried[0].detail else ""
    return ("the derivation stands, but " if argued else "") + "no example has been tried" + told


def _positive(claim: Claim, argued: bool, tried: list[Evidence], held: list[Evidence]) -> Judgement:
    counted = _counted(tried)
    if claim.kind is Kind.STATISTICAL and not any(row.figures for row in held):
        return _open("a statistical claim needs its test, sample size and level beside it, and its evidence has no figures")
    if claim.kind in (Kind.COST, Kind.STATISTICAL):
        verdict = Verdict.MEASURED if claim.kind is Kind.COST else Verdict.ESTIMATED
        return Judgement(verdict=verdict, reason=counted, sizes=claim.sizes, argued=argued)
    if not argued:
        return Judgement(verdict=Verdict.TESTED, reason=f"{counted}; {_no_argument(held)}")
    if claim.kind is Kind.APPROXIMATION:
        return Judgement(verdict=Verdict.BOUNDED, reason=f"the bound is derived{_lemmas(held)}, and it {counted}", sizes=claim.sizes, argued=True)
    verdict = Verdict.DERIVED if claim.sizes else Verdict.PROVED
    return Judgement(verdict=verdict, reason=f"every step of the derivation is checked{_lemmas(held)}, and it {counted}", sizes=claim.sizes, argued=True)


def _no_argument(held: list[Evidence]) -> str:
    return "its derivation ends in a cited lemma" if any(row.subject == DERIVATION for row in held) else "there is no derivation"


def _lemmas(held: list[Evidence]) -> str:
    """What the derivation takes from elsewhere."""
    cited = sorted({step.cites for row in held if row.subject == DERIVATION for step in row.steps if step.cites})
    return f" (lemmas cited from {', '.join(cited)} are only spot-checked)" if cited else ""


def _counted(tried: list[Evidence]) -> str:
    """On how many examples a statement held, and whose. Environments try the same examples, so each law counts once."""
    once = {row.key: row for row in sorted(tried, key=lambda row: row.examples)}.values()
    searched = sum(row.examples for row in once if row.subject == SEARCH)
    shown = sum(row.examples for row in once if row.subject != SEARCH)
    parts = [f"{shown} examples on the reference"] * bool(shown) + [f"{searched} examples in exact or ball arithmetic"] * bool(searched)
    return f"held on {' and '.join(parts)}"


def _judge_false(claim: Claim, spoken: list[Evidence], grounds: Grounds) -> Judgement:
    """Refuted or conditional, if the search that found a counterexample fails on the claim that corrects this one."""
    argument = [row for row in spoken if row.subject == DERIVATION]
    if against := _found(argument, Outcome.REFUTED):
        return _contradiction(against)
    if claim.unsaid and (against := _found([row for row in spoken if row.subject not in (DERIVATION, SEARCH)], Outcome.REFUTED)):
        return _contradiction(against)
    if unclear := _found(argument, *BROKEN):
        return _open(_told(unclear))
    if claim.derive is not None and not _found(argument, Outcome.HELD):
        return _open("its derivation has not been checked")
    law = f"search:{claim.id}"
    search = [row for row in spoken if row.subject == SEARCH and row.law == law]
    if not any(row.outcome is Outcome.REFUTED and row.counterexample for row in search):
        return _open(_without_witness(search))
    corrected = grounds.claims.get(claim.corrected_by)
    if corrected is None or corrected.false_as_made:
        return _open("a counterexample was found, but no true claim that corrects it is named")
    return _corrected(claim, corrected, law, spoken, grounds)


def _corrected(claim: Claim, corrected: Claim, law: str, spoken: list[Evidence], grounds: Grounds) -> Judgement:
    theirs, outdated = _fresh(corrected, grounds.evidence.get(corrected.id, ()), grounds.current)
    if late := [row for row in outdated if row.law == law]:
        return _stale(late)
    if against := _found(theirs, Outcome.REFUTED):
        return _open(f"a counterexample was found, but {corrected.id}, which corrects it, is refuted as well ({against[0].law})")
    same = [row for row in theirs if row.subject == SEARCH and row.law == law]
    if not same or len(_found(same, Outcome.HELD)) < len(same):
        return _open(f"a counterexample was found, but the same search has not been shown to fail on {corrected.id}")
    sizes = claim.sizes if claim.derive is not None else ()
    if not claim.unsaid:
        return Judgement(verdict=Verdict.REFUTED, reason=f"a counterexample was found; the same search finds none against {corrected.id}", sizes=sizes)
    support = [row for row in spoken if row.subject != SEARCH] + [row for row in theirs if row.law != law]
    if not _found(support, Outcome.HELD):
        return _open("a counterexample was found, but nothing shows that the statement holds under the unsaid assumption")
    return Judgement(verdict=Verdict.CONDITIONAL, reason=f"a counterexample was found without the assumption; {corrected.id} holds with it", sizes=sizes)


def _without_witness(search: list[Evidence]) -> str:
    if not search:
        return "said to be false, but no search for a counterexample has been run"
    if any(row.outcome is Outcome.REFUTED for row in search):
        return "the search says refuted but records no counterexample"
    return f"said to be false, but the search found no counterexample in {sum(row.examples for row in search)} examples"


def _below(id: str, claims: Mapping[str, Claim]) -> set[str]:
    """Every claim that the derivation of `id` uses, directly or through others."""
    seen: set[str] = set()
    waiting = list(claims[id].uses)
    while waiting:
        if (used := waiting.pop()) not in seen:
            seen.add(used)
            waiting += claims[used].uses
    return seen


def _resting_on(used: set[str], id: str, alone: Mapping[str, Judgement]) -> Judgement:
    """The judgement of `id`, brought down to what the claims below its derivation allow."""
    judgement = alone[id]
    if judgement.verdict not in DEDUCED or not used:
        return judgement
    weak = sorted(u for u in used if u == id or alone[u].verdict not in POSITIVE or not alone[u].argued)
    if weak:
        why = "uses itself in a circle" if weak[0] == id else f"uses {weak[0]}, which is {alone[weak[0]].verdict.value} and has no full derivation to lean on"
        return Judgement(verdict=Verdict.TESTED, reason=f"held on every example, but its derivation {why}")
    limited = [set(alone[x].sizes) for x in (id, *used) if alone[x].sizes]
    sizes = tuple(sorted(set.intersection(*limited))) if limited else ()
    if limited and not sizes:
        return Judgement(verdict=Verdict.TESTED, reason="held on every example, but its derivation and those it uses share no size")
    verdict = Verdict.DERIVED if sizes and judgement.verdict is Verdict.PROVED else judgement.verdict
    return replace(judgement, verdict=verdict, sizes=sizes)


def _found(rows: Iterable[Evidence], *outcomes: Outcome) -> list[Evidence]:
    return [row for row in rows if finding(row) in outcomes]


def _open(reason: str) -> Judgement:
    return Judgement(verdict=Verdict.OPEN, reason=reason)


def _stale(rows: list[Evidence]) -> Judgement:
    named = sorted({f"{row.law} on {row.subject}" for row in rows})
    return Judgement(verdict=Verdict.STALE, reason=f"changed since the evidence was taken: {'; '.join(named)}")


def _contradiction(rows: list[Evidence]) -> Judgement:
    named = sorted({f"{row.law} on {row.subject}" for row in rows})
    return Judgement(verdict=Verdict.OPEN, reason=f"contradiction: refuted by {'; '.join(named)}", contradiction=True)


def _told(rows: list[Evidence]) -> str:
    """The worst of some rows that decide nothing, with what they say about it."""
    row = sorted(rows, key=lambda e: (finding(e) is not Outcome.ERROR, e.key))[0]
    detail = f": {row.detail}" if row.detail else ""
    return f"{row.law} on {row.subject} is {'in error' if finding(row) is Outcome.ERROR else 'undecided'}{detail}"
