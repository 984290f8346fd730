"""An implementation under test: calls it through a runner, watches it, and judges what comes back against a bound."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import numpy as np
import torch
from torch import Tensor

from impl.variant import Implementation
from properties import conventions, tolerance
from properties.inputs import Inputs, plain
from properties.oracle import Array, Balls
from properties.request import LawBroken, NotRun, Reply, Request, Runner, SubjectDied, SubjectFailed, Undecided

__all__ = ["LawBroken", "NotRun", "Subject", "SubjectDied", "SubjectFailed", "Undecided", "require", "same"]


@dataclass(slots=True)
class Subject:
    """Counts examples, calls made and regimes, and keeps the worst error/bound and the calls of the example at hand. `bounded` counts the examples in most of
    whose rows the error bound is a real one, `unbounded` the others."""

    implementation: Implementation
    runner: Runner
    examples: int = 0
    made: int = 0
    worst: float | None = None
    regimes: Counter[str] = field(default_factory=Counter)
    targeting: bool = True
    calls: list[Request] = field(default_factory=list)
    replies: list[Reply] = field(default_factory=list)
    targeted: set[str] = field(default_factory=set)
    bounded: int = 0
    unbounded: int = 0

    def __call__(self, x: Inputs, **options: Any) -> Tensor:
        """The output for `x`, with further keywords. Raises SubjectFailed if the implementation raises, LawBroken if dtype or shape are wrong."""
        given, keywords = conventions.arguments(x, self.implementation.conventions)
        (returned,) = self.answered(Request(arguments=given, keywords=keywords | options), 1)
        output = conventions.output(returned, x, self.implementation.conventions)
        expect_shape(output, (*x.query.shape[:-1], x.value.shape[-1]), x.query.dtype)
        return output

    def with_log_sum_exp(self, x: Inputs, **options: Any) -> tuple[Tensor, Tensor]:
        """Output and log-sum-exp. Raises NotRun where the implementation does not return it."""
        given, keywords = conventions.arguments(x, self.implementation.conventions)
        returned, log_sum_exp = self.answered(Request(arguments=given, keywords=keywords | options, log_sum_exp=True), 2)
        output = conventions.output(returned, x, self.implementation.conventions)
        expect_shape(output, (*x.query.shape[:-1], x.value.shape[-1]), x.query.dtype)
        expect_shape(log_sum_exp, tuple(x.query.shape[:-1]), log_sum_exp.dtype)
        log_sum_exp = conventions.ungrouped(log_sum_exp[..., None], x, self.implementation.conventions)[..., 0]
        return output, log_sum_exp

    def gradients(
        self, x: Inputs, *, mask: bool = False, of: tuple[int, ...] = (0, 1, 2), also: str = "", of_log_sum_exp: Tensor | None = None, **options: Any
    ) -> tuple[Tensor, ...]:
        """Gradients of ⟨output, cotangent⟩ with respect to query, key and value, or those of them in `of` (and the additive mask, and `also` an option).

        With `of_log_sum_exp`, of ⟨output, cotangent⟩ + ⟨log-sum-exp, of_log_sum_exp⟩. Only these are recorded. Raises NotRun where the implementation has none.
        """
        ours = self.implementation.conventions
        if not self.implementation.limits.gradients:
            raise NotRun("has no gradient")
        given, keywords = conventions.arguments(x, ours)
        wanted: tuple[int | str, ...] = (*of, *(("attn_mask",) if mask else ()), *((also,) if also else ()))
        request = Request(
            arguments=given,
            keywords=keywords | options,
            cotangent=conventions.cotangent(x, ours),
            wanted=wanted,
            log_sum_exp=of_log_sum_exp is not None,
            of_log_sum_exp=of_log_sum_exp,
        )
        found = self.answered(request, len(wanted))
        turned = tuple(g if place == also else conventions.gradient(g, place, x, ours) for place, g in zip(wanted, found, strict=True))
        for place, gradient in zip(of, turned, strict=False):
            expect_shape(gradient, tuple((x.query, x.key, x.value)[place].shape), x.query.dtype)
        if mask and x.attn_mask is not None:
            expect_shape(turned[len(of)], tuple(x.attn_mask.shape), x.attn_mask.dtype)
        return turned

    def packed(self, *arguments: Any, wanted: tuple[int | str, ...] = (), cotangent: Tensor | None = None, **keywords: Any) -> tuple[Tensor, ...]:
        """Output and log-sum-exp of packed sequences, or gradients of ⟨output, cotangent⟩ with respect to `wanted`. Raises NotRun where it packs none."""
        request = Request(arguments=arguments, keywords=keywords, packed=True, wanted=wanted, cotangent=cotangent)
        return self.answered(request, len(wanted) or 2)

    def call(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Any other signature (multi-head). Raises SubjectFailed if the implementation raises."""
        return self.answered(Request(arguments=arguments, keywords=keywords), 1)[0]

    def answered(self, request: Request, count: int) -> tuple[Tensor, ...]:
        """Make a call and keep it; raise LawBroken unless `count` plain tensors come back."""
        self.made += 1
        self.calls.append(request)
        reply = self.runner.run(request)
        self.replies.append(reply)
        require(not reply.changed, f"changed in place: {', '.join(reply.changed)}, in a call {'for gradients' if request.wanted else 'for the output'}")
        require(len(reply.tensors) == count, f"returned {reply.returned or f'{len(reply.tensors)} tensors'}, expected {count} plain torch.Tensor")
        return reply.tensors

    def begin(self) -> None:
        """Begin a new example: forget the calls of the one before."""
        self.examples += 1
        self.calls.clear()
        self.replies.clear()
        self.targeted.clear()

    def saw(self, regimes: tuple[str, ...]) -> None:
        """Count the regimes of one example, once an example, for the report and for Hypothesis's own statistics."""
        self.regimes.update(regimes)
        if self.targeting:
            for regime in regimes:
                hypothesis.event(regime)

    def rounding(self, dtype: torch.dtype) -> tolerance.Rounding:
        """The arithmetic that the implementation declares for inputs of this dtype."""
        as_float32 = self.implementation.conventions.float64 == "as-float32"
        return tolerance.rounding(dtype, self.implementation.arithmetic, as_float32=as_float32)

    def judge(self, what: str, actual: Tensor, truth: Balls, bound: Array, x: object) -> None:
        """Require |actual − truth| ≤ bound for every element; keep and target the worst ratio. Raises LawBroken or Undecided."""
        if not actual.numel():
            return
        error, top = truth.error(plain(actual)), torch.finfo(actual.dtype).max
        beyond = np.isinf(plain(actual)) & (np.sign(plain(actual)) * truth.hi + bound >= top)  # the format ends within the bound
        self.within(
            what, np.where(beyond, 0.0, error), bound, x, radius=truth.radius, detail=lambda at: f"{float(plain(actual)[at])!r}, truth {float(truth.hi[at])!r}"
        )

    def within(self, what: str, error: Array, bound: Array, x: object, *, radius: Array | None = None, detail: Any = None) -> None:
        """Require error ≤ bound for every element."""
        if not error.size:
            return
        if radius is not None and (radius > bound / 2**10).any():
            raise Undecided(f"the oracle's balls are too wide for {what}")
        open_ended = ~np.isfinite(bound)  # the bound itself overflowed: it promises nothing there, and the coverage says so
        if open_ended.any():
            self.regimes["no bound"] += 1
            bound = np.where(np.isnan(bound), np.finfo(np.float64).max, bound)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.where((error == 0) | np.isinf(bound), 0.0, error / bound)
        ratio = np.where(np.isnan(ratio), np.inf, ratio)  # no error that is not a number lies within any bound
        at = np.unravel_index(int(ratio.argmax()), ratio.shape)
        worst = float(ratio[at])
        if worst > 1 or not open_ended.all():
            self.worst = max(worst, self.worst or 0.0)
        if worst > 1:
            shown = f": {detail(at)}" if detail else ""
            raise LawBroken(f"{what} at {tuple(map(int, at))} is off by {error[at]:.3e}, {worst:.3g} times its bound {bound[at]:.3e}{shown}\n  on {x}")
        if self.targeting and what not in self.targeted:  # Hypothesis takes one figure a label and example
            self.targeted.add(what)
            hypothesis.target(worst, label=what)


def require(truth: bool, counterexample: str) -> None:
    """Raise LawBroken with the counterexample unless the law holds exactly."""
    if not truth:
        raise LawBroken(counterexample)


def same(x: Tensor, y: Tensor) -> bool:
    """Whether two tensors agree to the last bit, all NaNs being alike."""
    return x.shape == y.shape and x.dtype == y.dtype and bool(((x == y) | (x.isnan() & y.isnan())).all())


def expect_shape(output: object, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Raise LawBroken unless `output` is a plain tensor of this shape and dtype."""
    found = f"{type(output).__name__}" + (f" {tuple(output.shape)} {output.dtype}" if isinstance(output, Tensor) else "")
    require(type(output) is Tensor and output.shape == shape and output.dtype == dtype, f"returned {found}, expected Tensor {shape} {dtype}")
