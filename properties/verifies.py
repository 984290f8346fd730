"""`@law(...)` ties a property to the claims it tests and the variants it applies to, and makes it a pytest test.

    @law("softmax.row-sum", on=Trait.DOT_PRODUCT, draw=partial(dense, values=("ones",)))
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

from impl.trait import Trait
from impl.variant import Implementation, Limits
from properties.drawing import from_the_seed_alone
from properties.evidence import Evidence
from properties.request import Here, LawBroken, NotRun, Request, Runner, SubjectDied, SubjectFailed, Undecided
from properties.subject import Subject
from theorems import CLAIMS
from theorems.outcome import Outcome

EXAMPLES = {"quick": 12, "ci": 250, "deep": 20_000}


FEWEST = 25  # examples: fewer say nothing, where time cut a law short or most of what was compared has no real bound
ENOUGH_DEATHS = 3  # calls that hang or abort in a run; from then on, a law's search ends with the next one


class Enough(BaseException):
    """Ends a search that has found what it can: passes through Hypothesis, which reports nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Law:
    """A property: the claims it is evidence for, the trait it needs, how inputs are drawn for an implementation, and the check of one example.

    `lacking` says which declared capability is missing ("declares no gradient"): NOT_RUN; `off` which declared convention switches the law off.
    `apart`: the law watches the process around the call, and is tried only where the subject has one of its own.
    """

    id: str
    claims: tuple[str, ...]
    on: Trait
    draw: Callable[[Implementation], SearchStrategy[Any]]
    check: Callable[[Subject, Any], None]
    lacking: Callable[[Implementation], str | None]
    off: Callable[[Implementation], str | None]
    apart: bool = False

    @property
    def title(self) -> str:
        """The law as a sentence: "constant values come back"."""
        return self.id.partition("::")[2].replace("_", " ")

    def silent(self, implementation: Implementation) -> Observation | None:
        """What is observed where the law is not tried at all, or None where it is."""
        if why := implementation.missing() or self.lacking(implementation):
            return Observation(outcome=Outcome.NOT_RUN, detail=why, subject=Subject(implementation, Here(implementation)))
        if why := self.off(implementation):
            return Observation(outcome=Outcome.SWITCHED_OFF, detail=why, subject=Subject(implementation, Here(implementation)))
        return None

    def run(
        self, implementation: Implementation, examples: int, *, seed: int | None = None, shrink: bool = True,
        runner: Runner | None = None, spent: Callable[[], bool] = lambda: False,
    ) -> Observation:  # fmt: skip
        """Try the law on up to `examples` examples; derandomised unless a seed is given. The search ends early once time is `spent`."""
        if (observed := self.silent(implementation)) is not None:
            return observed
        subject = Subject(implementation, runner or Here(implementation), targeting=shrink)
        broken: list[Failure] = []

        def example(x: Any) -> None:
            if spent():
                raise Enough
            subject.begin()
            try:
                self.check(subject, x)
            except (LawBroken, SubjectFailed) as error:
                broken.append(Failure(str(error), tuple(subject.calls), x))
                if isinstance(error, SubjectDied) and subject.runner.deaths >= ENOUGH_DEATHS:
                    raise Enough from error
                raise

        def observed_as(outcome: Outcome, detail: str = "") -> Observation:
            return Observation(outcome=outcome, detail=detail, subject=subject, failure=broken[-1] if broken else None)

        settings = hypothesis.settings(
            max_examples=examples, deadline=None, database=None, derandomize=seed is None, report_multiple_bugs=False, print_blob=False,
            phases=(Phase.generate, Phase.target, Phase.shrink) if shrink else (Phase.generate,), suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        test = settings(hypothesis.given(x=self.draw(implementation))(example))
        try:
            with from_the_seed_alone():
                (test if seed is None else hypothesis.seed(seed)(test))()
        except (LawBroken, SubjectFailed) as error:  # raising inside the declared limits breaks a law too: totality
            return observed_as(Outcome.REFUTED, str(error))
        except Enough:  # the last failure that was seen is the smallest: shrinking only accepts smaller ones
            if broken:
                return observed_as(Outcome.REFUTED, broken[-1].message)
        except (Undecided, NotRun) as error:
            if broken:  # and shrinking slid into examples that tell nothing
                return observed_as(Outcome.REFUTED, broken[-1].message)
            return observed_as(Outcome.UNDECIDED if isinstance(error, Undecided) else Outcome.NOT_RUN, str(error))
        except Flaky as error:  # an example broke the law, and did not when it was tried again: the subject differs between calls
            if broken:
                return observed_as(Outcome.REFUTED, f"not every time: {broken[-1].message}")
            return observed_as(Outcome.ERROR, f"not every time: {error}")
        except Exception as error:
            if broken:
                return observed_as(Outcome.REFUTED, broken[-1].message)
            return observed_as(Outcome.ERROR, f"the check itself failed: {type(error).__name__}: {error}")
        if subject.unbounded > max(subject.bounded, 2) and subject.bounded < FEWEST:  # two examples may well be unlucky ones
            return observed_as(Outcome.UNDECIDED, "the declared arithmetic promises nothing about most of what was compared")
        return observed_as(Outcome.HELD if subject.made else Outcome.NOT_RUN, "" if subject.made else "no example was of the kind that the law speaks of")


@dataclass(frozen=True, slots=True)
class Failure:
    """An example that broke a law: the message, the calls that were made, and the example itself."""

    message: str
    calls: tuple[Request, ...]
    example: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What one law found on one implementation, and the example that broke it."""

    outcome: Outcome
    detail: str
    subject: Subject
    failure: Failure | None = None

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


Needed = Callable[[Implementation], str | None]


def nothing(implementation: Implementation) -> str | None:
    return None


def law(
    *claims: str, on: Trait, draw: Callable[[Implementation], SearchStrategy[Any]], lacking: Needed = nothing, off: Needed = nothing,
    apart: bool = False,
) -> Callable[[Callable[[Subject, Any], None]], Callable[[Any], Law]]:  # fmt: skip
    """Register the decorated check of one example as a law, and leave a pytest test of the same name (the plugin runs it).

    Raises ValueError if a claim is not in the ledger.
    """
    if unknown := set(claims) - CLAIMS.keys():
        raise ValueError(f"a law speaks about unknown claims {sorted(unknown)}; claims are declared in theorems/")

    def declare(check: Callable[[Subject, Any], None]) -> Callable[[Any], Law]:
        module = check.__module__.rpartition(".")[2]
        entry = Law(id=f"{module}::{check.__name__.removeprefix('test_')}", claims=claims, on=on, draw=draw, check=check, lacking=lacking, off=off, apart=apart)
        LAWS[entry.id] = entry

        def test(implementation: Implementation) -> Law:
            return entry

        test.law = entry  # type: ignore[attr-defined]
        return test

    return declare


CAPABILITIES: dict[str, Callable[[Limits], bool]] = {
    "gradient": lambda limits: limits.gradients,
    "boolean mask": lambda limits: "boolean" in limits.masks,
    "additive mask": lambda limits: "additive" in limits.masks,
    "gradient of an additive mask": lambda limits: limits.gradients and limits.mask_gradient and "additive" in limits.masks,
    "causal option": lambda limits: limits.causal,
    "scale": lambda limits: limits.scale,
    "free number of keys": lambda limits: limits.unequal_lengths and limits.multiple == 1,
    "tensors with fewer axes": lambda limits: limits.leading_axes,
    "float32 or float64": lambda limits: bool({"float32", "float64"} & set(limits.dtypes)),
    "width above 1": lambda limits: limits.widths is None or max(limits.widths) > 1,
}
PARAMETERS = {"boolean mask": "attn_mask", "additive mask": "attn_mask", "causal option": "is_causal", "scale": "scale"}


OFFERS = ("softcap", "alibi_slopes", "sinks", "dropout_p", "log-sum-exp gradient")  # what an implementation may have beside the variant's signature


def needs(*capabilities: str) -> Needed:
    """A law's `lacking`: the first of these capabilities that the implementation does not declare. Raises KeyError for an unknown one."""
    tests = {capability: CAPABILITIES[capability] for capability in capabilities if capability not in ("log-sum-exp", *OFFERS)}

    def lacking(implementation: Implementation) -> str | None:
        if "log-sum-exp" in capabilities and implementation.log_sum_exp is None:
            return "returns no log-sum-exp"
        if absent := [offer for offer in OFFERS if offer in capabilities and offer not in implementation.offers]:
            return f"offers no {absent[0]}"
        for capability, has in tests.items():
            if not has(implementation.limits):
                missing = PARAMETERS.get(capability) in implementation.lacks
                return f"the function has no parameter {PARAMETERS[capability]}" if missing else f"declares no {capability}"
        return None

    return lacking


def needs_the_maximum(implementation: Implementation) -> str | None:
    """A factor of 2 passes exactly only through weights that are far from underflow."""
    return "declares a stabiliser other than the row's maximum" if implementation.arithmetic.stabiliser else None


def needs_repeats(implementation: Implementation) -> str | None:
    """Bit equality between calls is for those that repeat themselves."""
    return None if implementation.conventions.repeats == "bitwise" else f"declares repeats={implementation.conventions.repeats}"


def needs_all(*reasons: Needed) -> Needed:
    """Switched off by the first reason that applies."""
    return lambda implementation: next((why for reason in reasons if (why := reason(implementation))), None)
