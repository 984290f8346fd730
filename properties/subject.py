"""An implementation under test, in this process: calls it, watches it, and judges what comes back against a bound."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import numpy as np
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.inputs import Inputs, plain
from properties.oracle import Array, Balls


class LawBroken(Exception):
    """Raised by a law that found an example which breaks it; the message is the counterexample."""


class SubjectFailed(Exception):
    """Raised when the subject raised on inputs inside its declared limits, whatever it raised: that breaks a law as well."""


class Undecided(Exception):
    """Raised when the oracle's balls are too wide to tell."""


class NotRun(Exception):
    """Raised when a law cannot be tried on this subject; the message says why."""


@dataclass(slots=True)
class Subject:
    """Counts the examples and the regimes that it has answered, and keeps the worst error/bound."""

    implementation: Implementation
    examples: int = 0
    worst: float | None = None
    regimes: Counter[str] = field(default_factory=Counter)
    targeting: bool = True

    def __call__(self, x: Inputs) -> Tensor:
        """The output for `x`. Raises SubjectFailed if the implementation raises, LawBroken if dtype or shape are wrong."""
        output: Tensor = self._called(self.implementation.call, x.query, x.key, x.value, **x.keywords)
        expect_shape(output, (*x.query.shape[:-1], x.value.shape[-1]), x.query.dtype)
        return output

    def with_log_sum_exp(self, x: Inputs) -> tuple[Tensor, Tensor]:
        """Output and log-sum-exp. Raises NotRun where the implementation does not return it."""
        if self.implementation.log_sum_exp is None:
            raise NotRun("returns no log-sum-exp")
        output, log_sum_exp = self._called(self.implementation.log_sum_exp, x.query, x.key, x.value, **x.keywords)
        expect_shape(output, (*x.query.shape[:-1], x.value.shape[-1]), x.query.dtype)
        expect_shape(log_sum_exp, tuple(x.query.shape[:-1]), log_sum_exp.dtype)
        return output, log_sum_exp

    def gradients(self, x: Inputs, *, mask: bool = False, of: tuple[int, ...] = (0, 1, 2)) -> tuple[Tensor, ...]:
        """Gradients of ⟨output, cotangent⟩ with respect to query, key and value, or those of them in `of` (and the additive mask).

        Only these are recorded. Raises NotRun where the implementation has none.
        """
        if not self.implementation.limits.gradients:
            raise NotRun("has no gradient")
        q, k, v = inputs = [t.detach().requires_grad_(place in of) for place, t in enumerate((x.query, x.key, x.value))]
        keywords, wanted = x.keywords, [inputs[place] for place in of]
        if mask:
            keywords["attn_mask"] = keywords["attn_mask"].detach().clone().requires_grad_()
            wanted.append(keywords["attn_mask"])
        output = self._called(self.implementation.call, q, k, v, **keywords)
        try:
            return torch.autograd.grad(output, wanted, x.cotangent, materialize_grads=True)
        except Exception as error:
            raise SubjectFailed(f"backward raised {type(error).__name__}: {error}") from error

    def call(self, *arguments: Any, **keywords: Any) -> Tensor:
        """Any other signature (multi-head). Raises SubjectFailed if the implementation raises."""
        output: Tensor = self._called(self.implementation.call, *arguments, **keywords)
        return output

    def _called(self, function: Any, *arguments: Any, **keywords: Any) -> Any:
        self.examples += 1
        try:
            return function(*arguments, **keywords)
        except Exception as error:
            raise SubjectFailed(f"raised {type(error).__name__}: {error}") from error

    def saw(self, regimes: tuple[str, ...]) -> None:
        """Count the regimes of one example, once an example, for the report and for Hypothesis's own statistics."""
        self.regimes.update(regimes)
        if self.targeting:
            for regime in regimes:
                hypothesis.event(regime)

    def judge(self, what: str, actual: Tensor, truth: Balls, bound: Array, x: object) -> None:
        """Require |actual − truth| ≤ bound for every element; keep and target the worst ratio. Raises LawBroken or Undecided."""
        if not actual.numel():
            return
        error, top = truth.error(plain(actual)), torch.finfo(actual.dtype).max
        beyond = np.isinf(plain(actual)) & (np.sign(plain(actual)) == np.sign(truth.hi)) & (np.abs(truth.hi) + bound >= top)  # the format ends there
        self.within(what, np.where(beyond, 0.0, error), bound, x, radius=truth.radius, detail=lambda at: f"{plain(actual)[at]!r}, truth {truth.hi[at]!r}")

    def within(self, what: str, error: Array, bound: Array, x: object, *, radius: Array | None = None, detail: Any = None) -> None:
        """Require error ≤ bound for every element."""
        if not error.size:
            return
        if radius is not None and (radius > bound / 2**10).any():
            raise Undecided(f"the oracle's balls are too wide for {what}")
        if np.isnan(bound).any():  # the bound itself overflowed (0 · ∞): it promises nothing there, and the coverage says so
            self.regimes["bound overflowed"] += 1
            bound = np.where(np.isnan(bound), np.inf, bound)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            ratio = np.where(error == 0, 0.0, error / bound)
        ratio = np.where(np.isnan(ratio), np.inf, ratio)  # no error that is not a number lies within any bound
        at = np.unravel_index(int(ratio.argmax()), ratio.shape)
        worst = float(ratio[at])
        self.worst = max(worst, self.worst or 0.0)
        if worst > 1:
            shown = f": {detail(at)}" if detail else ""
            raise LawBroken(f"{what} at {tuple(map(int, at))} is off by {error[at]:.3e}, {worst:.3g} times its bound {bound[at]:.3e}{shown}\n  on {x}")
        if self.targeting:
            hypothesis.target(worst, label=what)


def require(truth: bool, counterexample: str) -> None:
    """Raise LawBroken with the counterexample unless the law holds exactly."""
    if not truth:
        raise LawBroken(counterexample)


def expect_shape(output: object, shape: tuple[int, ...], dtype: torch.dtype) -> None:
    """Raise LawBroken unless `output` is a plain tensor of this shape and dtype."""
    found = f"{type(output).__name__}" + (f" {tuple(output.shape)} {output.dtype}" if isinstance(output, Tensor) else "")
    require(type(output) is Tensor and output.shape == shape and output.dtype == dtype, f"returned {found}, expected Tensor {shape} {dtype}")
