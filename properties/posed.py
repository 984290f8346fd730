"""One call of a variant whose definition is written over tracked numbers: what it should return, and how an answer is judged. How it is drawn: posing.py."""

from __future__ import annotations

import importlib
import pkgutil
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
from torch import Tensor

from impl.variant import Implementation
from properties import cases
from properties.inputs import plain
from properties.request import Request
from properties.subject import Subject, expect_shape
from properties.tolerance import Rounding
from properties.tracked import Tracked, constant, gradients

Place = int | str
Definition = Callable[[Mapping[Place, Tracked]], Tracked]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Posed:
    """A call with its definition.

    `define` computes the output from the float tensors among arguments and keywords, given by place, as tracked numbers. `wanted` are the places that
    have a gradient, `values` are those that the output is linear in together. `batched` are the places whose first axis is the batch (none: there is
    no batch). `by_key` and `by_query` give, by place, the axis that runs over keys or queries; where `ordered` names neither "keys" nor "queries",
    reordering them along all these axes changes nothing but the order of the output's rows. `visible` [B, H, N, M], where the call hides keys from
    rows: what is hidden cannot act.
    """

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    define: Definition
    cotangent: Tensor
    wanted: tuple[Place, ...]
    values: tuple[Place, ...] = (2,)
    batched: tuple[Place, ...] = (0, 1, 2)
    by_key: Mapping[Place, int] = field(default_factory=lambda: {1: 2, 2: 2})
    by_query: Mapping[Place, int] = field(default_factory=lambda: {0: 2})
    ordered: tuple[str, ...] = ()
    visible: npt.NDArray[np.bool_] | None = None
    regimes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Small tensors in full, so that a counterexample can be copied; large ones by shape."""
        named = {**{str(place): x for place, x in enumerate(self.arguments)}, **self.keywords}
        shown = ", ".join(f"{name}={one(x)}" for name, x in named.items())
        return f"Posed({shown}, {self.cotangent.dtype}, drawn as {'/'.join(self.regimes)})"

    def __getitem__(self, place: Place) -> Any:
        return self.arguments[place] if isinstance(place, int) else self.keywords[place]

    @property
    def tensors(self) -> list[Place]:
        """Where tensors stand."""
        everything: list[tuple[Place, Any]] = [*enumerate(self.arguments), *self.keywords.items()]
        return [place for place, x in everything if isinstance(x, Tensor)]

    @property
    def places(self) -> list[Place]:
        """Where tensors of floats stand."""
        return [place for place in self.tensors if self[place].is_floating_point()]

    def with_tensors(self, changed: Mapping[Place, Tensor], **fields: Any) -> Posed:
        """The same call with other tensors at some places."""
        arguments = tuple(changed.get(place, x) for place, x in enumerate(self.arguments))
        return replace(self, arguments=arguments, keywords={name: changed.get(name, x) for name, x in self.keywords.items()}, **fields)

    def leaves(self, rounding: Rounding) -> dict[Place, Tracked]:
        return {place: constant(plain(self[place]), rounding) for place in self.places}


def one(x: Any) -> Any:
    if not isinstance(x, Tensor):
        return x
    return x.tolist() if x.numel() <= 24 else f"[{x.dtype}, shape {tuple(x.shape)}]"


def output(subject: Subject, x: Posed) -> Tensor:
    """What the subject returns. Raises SubjectFailed, or LawBroken for a wrong dtype or shape."""
    returned = subject.call(*x.arguments, **x.keywords)
    expect_shape(returned, tuple(x.cotangent.shape), x.cotangent.dtype)
    return returned


def truth(subject: Subject, x: Posed) -> Tracked:
    """What it should return, with the bound of each element."""
    return x.define(x.leaves(subject.rounding(x.cotangent.dtype)))


def judge_output(subject: Subject, x: Posed, what: str = "output") -> None:
    """Require the output to lie within its bound."""
    subject.saw(x.regimes)
    true = truth(subject, x)
    count_bounded(subject, true)
    subject.judge(what, output(subject, x), true.balls(), true.bound(), x)


def judge_gradients(subject: Subject, x: Posed) -> None:
    """Require the gradient of ⟨output, cotangent⟩ with respect to each wanted tensor to lie within its bound, shapes and dtypes included."""
    subject.saw(x.regimes)
    rounding = subject.rounding(x.cotangent.dtype)
    leaves = x.leaves(rounding)
    defined = x.define(leaves)
    expected = gradients(defined, constant(plain(x.cotangent), rounding), [leaves[place] for place in x.wanted])
    request = Request(arguments=x.arguments, keywords=x.keywords, cotangent=x.cotangent, wanted=x.wanted)
    found = subject.answered(request, len(x.wanted))
    count_bounded(subject, defined)
    for place, gradient, true in zip(x.wanted, found, expected, strict=True):
        expect_shape(gradient, tuple(x[place].shape), x[place].dtype)
        subject.judge(f"gradient of {place}", gradient, true.balls(), true.bound(), x)


def count_bounded(subject: Subject, true: Tracked) -> None:
    """Whether most of the output has a real bound: one that is not infinite, and not as large as the output itself, but for what underflow alone allows."""
    if not true.off.size:
        return
    small = np.maximum(0.5 * np.maximum(true.size, true.size.max(initial=0) / 16), 2.0**20 * true.rounding.tiny)
    real = np.isfinite(true.off) & (true.off <= small)
    if 2 * np.count_nonzero(real) >= real.size:
        subject.bounded += 1
    else:
        subject.unbounded += 1


Draw = Callable[[Implementation], st.SearchStrategy[Posed]]
CASES: dict[str, Draw] = {}


@cache
def load_cases() -> None:
    """Import every file of properties/cases, so that CASES is complete. Found at run time: a law's digest then takes in its variant's case, not all of them."""
    for found in pkgutil.iter_modules(cases.__path__, f"{cases.__name__}."):
        importlib.import_module(found.name)


def case(variant: str) -> Callable[[Draw], Draw]:
    """Register how calls of a variant are drawn. Raises ValueError if it has one already."""

    def register(draw: Draw) -> Draw:
        if variant in CASES:
            raise ValueError(f"variant {variant!r} has a case already")
        CASES[variant] = draw
        return draw

    return register


def any_case(subject: Implementation) -> st.SearchStrategy[Posed]:
    """A call of the subject's variant. Raises KeyError where properties/cases has none for it."""
    load_cases()
    return CASES[subject.variant.name](subject)


def simplest(subject: Implementation) -> Posed:
    """The plainest call of the subject's variant, which is what Hypothesis shrinks to."""
    plain = hypothesis.settings(database=None, deadline=None)
    found: Posed = hypothesis.find(any_case(subject), lambda x: bool(x.cotangent.numel()), settings=plain, random=random.Random(0))
    return found
