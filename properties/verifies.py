"""`@law(...)` ties a property to the claims it tests and the variants it applies to, and makes it a pytest test.

    @law("softmax.row-sum", on=Trait.DOT_PRODUCT, draw=lambda limits: dense(limits, values="ones"))
    def test_constant_values_come_back(subject: Subject, x: Inputs) -> None: ...

One example in, nothing out: a law raises LawBroken. Hypothesis stays in here, so that mutants can be tried with other seeds and without shrinking.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Flaky
from hypothesis.strategies import SearchStrategy

from impl.variant import Implementation, Limits, Trait
from properties.evidence import Evidence
from properties.subject import LawBroken, NotRun, Subject, SubjectFailed, Undecided
from theorems import CLAIMS
from theorems.outcome import Outcome

EXAMPLES = {"quick": 12, "ci": 250, "deep": 20_000}


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A property: the claims it is evidence for, the trait it needs, how inputs are drawn inside limits, and the check of one example.

    `needs` says which declared capability is required besides ("gradients", "log_sum_exp", "mask_gradient", …); where it lacks, NOT_RUN.
    """

    id: str
    claims: tuple[str, ...]
    on: Trait
    draw: Callable[[Limits], SearchStrategy[Any]]
    check: Callable[[Subject, Any], None]
    lacking: Callable[[Implementation], str | None]

    def run(self, implementation: Implementation, examples: int, *, seed: int | None = None, shrink: bool = True) -> Observation:
        """Try the law on up to `examples` examples; derandomised unless a seed is given."""
        if why := implementation.missing() or self.lacking(implementation):
            return Observation(outcome=Outcome.NOT_RUN, detail=why, subject=Subject(implementation))
        subject = Subject(implementation, targeting=shrink)

        def example(x: Any) -> None:
            self.check(subject, x)

        settings = hypothesis.settings(
            max_examples=examples, deadline=None, database=None, derandomize=seed is None, report_multiple_bugs=False, print_blob=False,
            phases=(Phase.generate, Phase.target, Phase.shrink) if shrink else (Phase.generate,), suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        test = settings(hypothesis.given(x=self.draw(implementation.limits))(example))
        try:
            (test if seed is None else hypothesis.seed(seed)(test))()
        except (LawBroken, SubjectFailed) as error:  # raising inside the declared limits breaks a law too: totality
            return Observation(outcome=Outcome.REFUTED, detail=str(error), subject=subject)
        except Undecided as error:
            return Observation(outcome=Outcome.UNDECIDED, detail=str(error), subject=subject)
        except NotRun as error:
            return Observation(outcome=Outcome.NOT_RUN, detail=str(error), subject=subject)
        except Flaky as error:  # an example broke the law, and did not when it was tried again: the subject differs between calls
            broken = [e for e in getattr(error, "exceptions", ()) if isinstance(e, LawBroken)]
            outcome, detail = (Outcome.REFUTED, str(broken[0])) if broken else (Outcome.ERROR, str(error))
            return Observation(outcome=outcome, detail=f"not every time: {detail}", subject=subject)
        except Exception as error:
            return Observation(outcome=Outcome.ERROR, detail=f"the check itself failed: {type(error).__name__}: {error}", subject=subject)
        return Observation(outcome=Outcome.HELD if subject.examples else Outcome.NOT_RUN, detail="", subject=subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one law found on one implementation."""

    outcome: Outcome
    detail: str
    subject: Subject

    def evidence(self, law: Law) -> list[Evidence]:
        """One row for each claim that the law speaks about."""
        i = self.subject.implementation
        refuted = self.outcome is Outcome.REFUTED
        return [
            Evidence(
                claim=claim,
                law=law.id,
                subject=f"{i.variant.name}/{i.name}",
                outcome=self.outcome,
                examples=self.subject.examples,
                worst=None if self.subject.worst is None else float(f"{self.subject.worst:.3g}"),
                regimes=dict(sorted(self.subject.regimes.items())),
                counterexample=self.detail if refuted else "",
                detail="" if refuted else self.detail.partition("\n")[0],
            )
            for claim in law.claims
        ]


LAWS: dict[str, Law] = {}


def law(
    *claims: str,
    on: Trait,
    draw: Callable[[Limits], SearchStrategy[Any]],
    lacking: Callable[[Implementation], str | None] = lambda implementation: None,
) -> Callable[[Callable[[Subject, Any], None]], Callable[[Any], Law]]:
    """Register the decorated check of one example as a law, and leave a pytest test of the same name (the plugin runs it).

    Raises ValueError if a claim is not in the ledger.
    """
    if unknown := set(claims) - CLAIMS.keys():
        raise ValueError(f"a law speaks about unknown claims {sorted(unknown)}; claims are declared in theorems/")

    def declare(check: Callable[[Subject, Any], None]) -> Callable[[Any], Law]:
        module = check.__module__.rpartition(".")[2]
        entry = Law(id=f"{module}::{check.__name__.removeprefix('test_')}", claims=claims, on=on, draw=draw, check=check, lacking=lacking)
        LAWS[entry.id] = entry

        def test(implementation: Implementation) -> Law:
            return entry

        test.law = entry  # type: ignore[attr-defined]
        return test

    return declare


def needs_gradients(implementation: Implementation) -> str | None:
    return None if implementation.limits.gradients else "declares no gradient"


def needs_log_sum_exp(implementation: Implementation) -> str | None:
    return None if implementation.log_sum_exp else "returns no log-sum-exp"


def needs_masks(implementation: Implementation) -> str | None:
    return None if "boolean" in implementation.limits.masks else "declares no boolean mask"


def needs_mask_gradient(implementation: Implementation) -> str | None:
    declared = implementation.limits
    return None if declared.gradients and declared.mask_gradient and "additive" in declared.masks else "declares no gradient of an additive mask"


def needs_causality(implementation: Implementation) -> str | None:
    return None if implementation.limits.causal else "declares no causal option"
