"""Run a claim's derivation and write down what each step came to."""

from __future__ import annotations

from properties.evidence import DERIVATION, Evidence, StepRecord
from theorems.claim import Claim
from theorems.outcome import Outcome


def observe_derivation(claim: Claim) -> Evidence:
    """The evidence of checking every step of `claim.derive`. Raises ValueError if the claim has no derivation."""
    if claim.derive is None:
        raise ValueError(f"claim {claim.id!r} has no derivation")
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
