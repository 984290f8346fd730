"""Run a claim's derivation and write down what each step came to."""

from __future__ import annotations

from pathlib import Path

from properties import digest
from properties.evidence import DERIVATION, Evidence, StepRecord
from properties.recalled import Argument
from theorems.claim import Claim
from theorems.outcome import Outcome


def derivation(claim: Claim) -> Argument:
    """The claim's derivation, which can be run or recalled. Raises ValueError if it has none."""
    if claim.derive is None:
        raise ValueError(f"claim {claim.id!r} has no derivation")
    roots = (*digest.roots("", DERIVATION, claim.id), Path(__file__))
    return Argument(law=f"derivation:{claim.id}", roots=roots, run=lambda: [_observed(claim)], amiss=_undecided)


def _observed(claim: Claim) -> Evidence:
    """The evidence of checking every step."""
    assert claim.derive is not None
    steps = tuple(StepRecord(relation=s.latex, because=s.because, outcome=s.check(), cites=s.cites.key if s.cites else "") for s in claim.derive())
    failed = [step for step in steps if step.outcome is not Outcome.HELD]
    return Evidence(
        claim=claim.id,
        law=f"derivation:{claim.id}",
        subject=DERIVATION,
        outcome=Outcome.worst([step.outcome for step in steps]),
        examples=len(steps),
        steps=steps,
        detail=f"{failed[0].outcome.value}: {failed[0].relation}" if failed else "",
    )


def _undecided(rows: list[Evidence]) -> str:
    return next((f"{row.claim}: {row.outcome.value}: {row.detail}" for row in rows if row.outcome is not Outcome.HELD), "")
