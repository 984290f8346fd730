"""Judges one stranger's function: `pytest properties --impl MODULE:FUNCTION --variant NAME`. What is declared, what is tried, and when it ends."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from impl import IMPLEMENTATIONS, VARIANTS
from impl.trait import Trait
from impl.variant import Arithmetic, Conventions, Implementation, Limits, Variant
from properties import conventions
from properties.counterexample import lines
from properties.declared import BadDeclaration, declared, from_file
from properties.inputs import Inputs, build, draw_lengths
from properties.judgement import Finding
from properties.posed import simplest
from properties.process import Apart, CannotJudge, Target
from properties.request import LawBroken, Request, SubjectDied, SubjectFailed
from properties.simplify import free, simplified
from properties.subject import Subject
from properties.verifies import FEWEST, LAWS, Failure, Law, Observation
from theorems.outcome import Outcome

EXAMPLES = 120  # of each law
SIMPLIFYING = 2.0  # seconds for the numbers of one counterexample
HINT, HINTS = 4.0, 0.2  # seconds for the hints of one law, and for those of all of them, as a part of the budget
HINTING = 60  # examples under each alternative declaration
BUDGET = 45.0  # seconds for all laws
TIMEOUT = 5.0  # seconds for a call
ORDER = ("test_dense", "test_masks", "test_definitions")
AHEAD = 0.3  # of the budget may be used before its turn, so that one slow law is not cut short
STRANGER = Limits(edges=(16, 32, 64, 128, 256, 512, 1024, 2048), max_length=4097, long=True)
# In Triton's interpreter a program takes about 10 ms: shorter inputs, and more time. bfloat16 comes out wrong there.
INTERPRETED: dict[str, Any] = {"edges": (16, 32, 64), "max_length": 129, "max_heads": 7, "dtypes": ("float64", "float32", "float16")}
FAULTS = ("OutOfBounds", "ReadBeforeWrite", "WriteConflict", "StoreToReadonly", "LeftUnwritten")  # of impl._triton.memory
PATIENCE = 8  # times the usual limits of time, where the interpreter runs
# Function parameters, and what cannot be asked of a function that lacks them.
WITHOUT: dict[str, dict[str, Any]] = {
    "attn_mask": {"masks": ("none",), "mask_gradient": False},
    "is_causal": {"causal": False},
    "scale": {"scale": False},
    "enable_gqa": {"grouped_queries": False},
}
FRAMEWORKS: dict[str, dict[str, Any]] = {
    "torch": {},
    "numpy": {"dtypes": ("float64", "float32", "float16"), "gradients": False, "mask_gradient": False},
    "jax": {"strides": "contiguous"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the command line says, unread where it is text."""

    target: Target
    variant: str
    limits: str = ""
    convention: str = ""
    arithmetic: str = ""
    seed: int = 0
    budget: float = BUDGET
    name: str = ""


def target_of(text: str, **options: Any) -> Target:
    """MODULE:FUNCTION or PATH.py:FUNCTION. Raises BadDeclaration, with an example, for anything else."""
    module, colon, function = text.rpartition(":")
    if not colon or not module or not all(part.isidentifier() for part in function.split(".")):
        raise BadDeclaration(f"--impl {text!r}: expected MODULE:FUNCTION or PATH.py:FUNCTION, as in --impl my_package.attention:flash or --impl mine.py:flash")
    if module.endswith(".py") and not Path(module).is_file():
        raise BadDeclaration(f"--impl {text!r}: there is no file {module!r} in {Path.cwd()}")
    if not module.endswith(".py") and not all(part.isidentifier() for part in module.split(".")):
        raise BadDeclaration(f"--impl {text!r}: {module!r} is neither a dotted module name nor a path that ends with .py")
    return Target(module=module, function=function, **options)


def variant_of(name: str) -> Variant:
    """The variant of this name. Raises BadDeclaration with the possible ones."""
    if name not in VARIANTS:
        raise BadDeclaration(f"--variant {name!r}: unknown; possible are {', '.join(VARIANTS)}")
    variant: Variant = VARIANTS[name]
    return variant


@dataclass(slots=True)
class Judge:
    """Holds the child process for the time of a run, and tries one law after another."""

    asked: Asked
    runner: Apart
    implementation: Implementation
    started: float = field(default_factory=time.monotonic)
    promising: tuple[tuple[str, str], ...] = ()
    hinted: float = 0.0

    @classmethod
    def prepared(cls, asked: Asked) -> Judge:
        """Import the function, read the declarations, and see that a plain call succeeds. Raises BadDeclaration or CannotJudge."""
        variant = variant_of(asked.variant)
        runner = Apart(asked.target)
        try:
            described = runner.start()
            implementation = implementation_of(asked, variant, described)
            runner.watched = implementation.conventions.process == "untouched"
            judge = cls(asked=asked, runner=runner, implementation=implementation)
            if {Trait.DOT_PRODUCT, Trait.DEFINED} & variant.traits:
                judge.first_call()
        except BaseException:
            runner.close()
            raise
        judge.started = time.monotonic()
        return judge

    def close(self) -> None:
        """End the child process."""
        self.runner.close()

    def first_call(self) -> None:
        """Raises CannotJudge if not even the plainest calls succeed: one of them in each declared dtype, and at a few usual sizes."""
        errors = []
        for request in plainest(self.implementation):
            try:
                self.runner.run(request)
            except SubjectFailed as error:
                errors.append((request, error))
                if self.runner.deaths > 2:
                    break
            else:
                return
        request, why = errors[0]
        if self.asked.target.interpret and any(fault in str(why).partition(":")[0] for fault in FAULTS):
            return  # that is a finding, which the laws will make
        sizes = ", ".join(f"{name} {tuple(x.shape)}" for name, x in zip(("query", "key", "value"), request.arguments, strict=False))
        raise CannotJudge(
            f"no call succeeded. The first, {sizes} of {request.arguments[0].dtype}, {why}. If such inputs are outside of what the function accepts, say so:"
            " --limits d=64,n-multiple=16,dtypes=float16,… (see --list-variants)"
        )

    def observe(self, law: Law, place: int, of: int) -> Observation:
        """Try the law at `place` of `of` laws, until its share of the time is used up."""
        end = self.started + self.asked.budget * (AHEAD + (1 - AHEAD) * (place + 1) / of)

        def spent() -> bool:
            return time.monotonic() > end

        seed = int.from_bytes(hashlib.sha256(f"{self.asked.seed}:{law.id}".encode()).digest()[:8], "big")
        observed = law.run(self.implementation, EXAMPLES, seed=seed, runner=self.runner, spent=spent)
        few = observed.outcome in (Outcome.HELD, Outcome.NOT_RUN) and observed.subject.examples < FEWEST and spent()
        if few and law.silent(self.implementation) is None:
            detail = f"time ran out after {observed.subject.examples} of {EXAMPLES} examples; give more by --budget"
            return replace(observed, outcome=Outcome.UNDECIDED, detail=detail)
        if observed.outcome is Outcome.REFUTED and observed.failure and not observed.detail.startswith("not every time"):
            return self.simplified(law, observed, observed.failure)
        return observed

    def simplified(self, law: Law, observed: Observation, failure: Failure) -> Observation:
        """The same finding on simpler numbers, as far as a few seconds go."""
        names = free(law) if isinstance(failure.example, Inputs) else ()
        end, found, subject = time.monotonic() + SIMPLIFYING, [failure], Subject(self.implementation, self.runner, targeting=False)

        def fails(x: Inputs) -> bool:
            if time.monotonic() > end:
                return False
            subject.begin()
            try:
                law.check(subject, x)
            except (LawBroken, SubjectFailed) as error:
                found.append(Failure(str(error), tuple(subject.calls), x))
                return not isinstance(error, SubjectDied)
            except Exception:
                return False
            return False

        if names and not self.runner.deaths:
            simplified(failure.example, names, fails)
        return replace(observed, detail=found[-1].message, failure=found[-1])

    def finding(self, law: Law, observed: Observation) -> Finding:
        """The observation as a row of the report."""
        refuted = observed.outcome is Outcome.REFUTED
        return Finding(
            law=law.title,
            claims=law.claims,
            outcome=observed.outcome,
            examples=observed.subject.examples,
            worst=observed.subject.worst,
            detail=observed.detail.partition("\n  on ")[0].partition(" on Inputs(")[0].partition(" on HeadInputs(")[0],
            counterexample=lines(observed.failure.calls, self.asked.target, declared=self.runner.described["declared"] is not None)
            if refuted and observed.failure
            else "",
            hints=self.hints(law) if refuted else (),
        )

    def hints(self, law: Law) -> tuple[str, ...]:
        """The single declarations under which the law would be kept, as far as a few examples tell. Those that explained a law before are tried alone."""
        if law.on is not Trait.DOT_PRODUCT or self.runner.deaths or self.hinted > HINTS * self.asked.budget:
            return ()
        begin = time.monotonic()
        end = begin + HINT

        def tried(implementation: Implementation, law: Law) -> Outcome:
            observed = law.run(
                implementation, HINTING, seed=self.asked.seed, runner=self.runner, shrink=False, spent=lambda: time.monotonic() > end
            )  # fmt: skip
            return observed.outcome if time.monotonic() <= end else Outcome.UNDECIDED

        found = []
        if tried(self.implementation, law) is Outcome.REFUTED:  # else it is too rare for so few examples to tell a difference
            for option, text in self.promising or ALTERNATIVES:
                other = with_declared(self.implementation, option, text)
                also = DECIDING.get(text.partition("=")[0])
                kept = other != self.implementation and tried(other, law) in (Outcome.HELD, Outcome.SWITCHED_OFF)
                if kept and (also not in LAWS or also == law.id or tried(other, LAWS[str(also)]) is Outcome.HELD):
                    found.append((option, text))
        self.promising = self.promising or tuple(found)
        self.hinted += time.monotonic() - begin
        return tuple(f"{option} {text}" for option, text in found)


DECIDING = {"dead-rows": "test_masks::a_row_that_sees_no_key_is_as_declared"}  # the law that tells the values of a convention apart
ALTERNATIVES = (
    ("--convention", "dead-rows=nan"),
    ("--convention", "dead-rows=mean"),
    ("--convention", "causal=bottom-right"),
    ("--convention", "gqa=tiled"),
    ("--convention", "mask=block"),
    ("--convention", "float64=as-float32"),
    ("--convention", "masked-nan=any"),
    ("--convention", "mask+causal=any"),
    ("--convention", "repeats=within-bounds"),
    ("--convention", "process=any"),
    ("--convention", "layout=BNHD->BNHD"),
    ("--arithmetic", "accumulate=input"),
    ("--arithmetic", "p-dtype=input"),
    ("--limits", "gqa=no"),
    ("--limits", "empty=no"),
    ("--limits", "axes=4"),
    ("--limits", "strides=rows"),
)


def implementation_of(asked: Asked, variant: Variant, described: dict[str, Any]) -> Implementation:
    """The implementation that is judged: what its own file declares, or torch's defaults, narrowed by its parameters, its framework and the options."""
    own = described["declared"]
    if own is not None and own["variant"] != variant.name:
        raise BadDeclaration(f"--variant {variant.name!r}: the file declares an implementation of {own['variant']!r}")
    if own is not None and own["missing"]:
        raise CannotJudge(f"it says that this machine cannot run it: {own['missing']}")
    limits, conventions_, arithmetic = from_file(own) if own else (STRANGER, Conventions(), Arithmetic())
    left = {name: getattr(STRANGER, name) for name in ("edges", "max_length", "long") if getattr(limits, name) == getattr(Limits(), name)}
    defined = next((i.limits for i in IMPLEMENTATIONS if i.variant is variant and i.name == "reference"), Limits())
    limits = replace(limits, masks=tuple(mask for mask in limits.masks if mask in defined.masks), causal=limits.causal and defined.causal)
    limits = replace(limits, **left)  # how long the inputs are is the harness's choice where the file makes none
    if asked.target.interpret:
        limits = replace(limits, **INTERPRETED)
    parameters = described["parameters"]
    lacks = tuple(name for name in WITHOUT if parameters is not None and name not in parameters) if Trait.DOT_PRODUCT in variant.traits else ()
    for changes in (FRAMEWORKS[asked.target.framework], *(WITHOUT[name] for name in lacks)):
        limits = replace(limits, **changes)
    implementation = Implementation(
        variant=variant,
        name=asked.name or (own["name"] if own else name_of(asked.target)),
        call=unreachable,
        log_sum_exp=unreachable if described["log_sum_exp"] else None,
        limits=limits,
        conventions=conventions_,
        arithmetic=arithmetic,
        ours=False,
        lacks=lacks,
    )
    for option, text in (("--limits", asked.limits), ("--convention", asked.convention), ("--arithmetic", asked.arithmetic)):
        implementation = with_declared(implementation, option, text)
    if implementation.limits.max_length < implementation.limits.multiple:
        longest, multiple = implementation.limits.max_length, implementation.limits.multiple
        raise BadDeclaration(f"--limits: no length up to n-max={longest} is a multiple of n-multiple={multiple}")
    if implementation.conventions.layout != "BHND->BHND":  # no tensor has fewer axes than the layout names
        implementation = replace(implementation, limits=replace(implementation.limits, leading_axes=False))
    return implementation


def with_declared(implementation: Implementation, option: str, text: str) -> Implementation:
    """The implementation with what one option says added. Raises BadDeclaration."""
    match option:
        case "--limits":
            return replace(implementation, limits=declared(option, text, implementation.limits))
        case "--convention":
            return replace(implementation, conventions=declared(option, text, implementation.conventions))
        case _:
            return replace(implementation, arithmetic=declared(option, text, implementation.arithmetic))


def unreachable(*arguments: Any, **keywords: Any) -> Any:
    """A stranger's function is called in its own process only."""
    raise AssertionError("a stranger's function was called in the harness's process")


def name_of(target: Target) -> str:
    """A file name for a target: the module's last part and the function."""
    module = Path(target.module).stem if target.module.endswith(".py") else target.module
    return f"{module}.{target.function}"


def plainest(implementation: Implementation) -> list[Request]:
    """Ordinary calls: small normals, one in each dtype, then at usual sizes."""
    limits = implementation.limits
    if Trait.DEFINED in implementation.variant.traits:
        plain = [simplest(replace(implementation, limits=replace(limits, dtypes=(dtype,)))) for dtype in limits.dtypes]
        return [Request(arguments=x.arguments, keywords=x.keywords) for x in plain]
    lengths = [x for x in draw_lengths(limits) if x]
    length, width = 5 if 5 in lengths else lengths[0], (limits.widths or (8,))[0]
    usual = [(length, width), *((size, size) for size in (16, 64, 128) if size <= limits.max_length and size % limits.multiple == 0)]
    found = []
    for dtype in limits.dtypes:
        for n, d in usual:
            x = build((1, 1, 1, n, n, d, d), getattr(torch, dtype), "small integers", "small integers", "none", None, 0)
            given, keywords = conventions.arguments(x, implementation.conventions)
            found.append(Request(arguments=given, keywords=keywords))
    return found


def laws_for(variant: Variant, laws: Sequence[Law]) -> list[Law]:
    """The laws of the variant's traits, the most telling ones first."""
    fitting = [law for law in laws if law.on in variant.traits]
    return sorted(fitting, key=lambda law: ORDER.index(law.id.partition("::")[0]) if law.id.partition("::")[0] in ORDER else len(ORDER))
