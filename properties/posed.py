"""One call of a variant whose definition is written over tracked numbers: how it is drawn, what it should return, and how an answer is judged."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.inputs import LAYOUTS, draw_lengths, numbers, plain, relaid, value_numbers
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
    have a gradient, `value` is the one that the output is linear in. `batched` are the places whose first axis is the batch. `by_key` and `by_query`
    give, by place, the axis that runs over keys or queries; where `ordered` names neither "keys" nor "queries", reordering them along all these axes
    changes nothing but the order of the output's rows. `visible` [B, H, N, M], where the call hides keys from rows: what is hidden cannot act.
    """

    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    define: Definition
    cotangent: Tensor
    wanted: tuple[Place, ...]
    value: Place = 2
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """B sequences, H heads, N queries, M keys, widths D and E."""

    b: int
    h: int
    n: int
    m: int
    d: int
    e: int
    dtype: torch.dtype
    random: torch.Generator
    regime: str
    layout: str
    profile: str

    def query(self) -> Tensor:
        """Queries [B, H, N, D]; unless the scores are drawn plain, their first feature is 1."""
        x = self.tensor(self.b, self.h, self.n, self.d)
        if self.profile != "plain":
            x[..., 0] = 1
        return x

    def key(self) -> Tensor:
        """Keys [B, H, M, D] whose first feature gives the scores of dot products their profile: far from 0 all alike, or rising."""
        x = self.tensor(self.b, self.h, self.m, self.d)
        if self.profile == "rising":
            x[..., 0] = 4 * torch.arange(self.m, dtype=self.dtype)
        elif self.profile != "plain":
            x[..., 0] = {"shifted up": 1, "shifted down": -1}[self.profile] * (2000 if self.dtype == torch.float64 else 250)
        return x

    def value(self) -> Tensor:
        """Values [B, H, M, E]: of the drawn regime, or one-hot in half of the other profiles."""
        if self.profile in ("rising", "shifted down"):
            return value_numbers((self.b, self.h, self.m, self.e), "one-hot", self.random).to(self.dtype)
        return self.tensor(self.b, self.h, self.m, self.e)

    def tensor(self, *shape: int, regime: str | None = None, times: float = 1.0) -> Tensor:
        """Numbers of the drawn regime (or another) in the dtype."""
        return (numbers(shape, regime or self.regime, self.random) * times).to(self.dtype)

    @property
    def regimes(self) -> tuple[str, ...]:
        return (f"scores: {self.profile}", f"numbers: {self.regime}", f"dtype: {str(self.dtype).removeprefix('torch.')}", f"layout: {self.layout}")


REGIMES = ("small integers", "normal", "tiny", "wide")
PROFILES = ("plain", "plain", "plain", "shifted up", "shifted down", "rising")
SHORT, PAIRS = 17, 600  # where a subject wants long axes too: short ones mostly, and as many pairs of query and key as the true values can afford


def sizes(draw: st.DrawFn, subject: Implementation, *, lengths: tuple[int, ...] = (), widths: tuple[int, ...] = (1, 2, 3, 5), square: bool = False) -> Sizes:
    """Sizes inside the limits, all distinct where they may be; lengths also at each tile edge and one either side of it, or those given."""
    limits = subject.limits
    allowed = [x for x in draw_lengths(limits) if not lengths or x in lengths] or draw_lengths(limits)[:1]
    if limits.long:
        short = [x for x in allowed if x < SHORT] or allowed[:1]
        allowed = draw(st.sampled_from((short, short, short, [x for x in allowed if x <= PAIRS] or short)), label="lengths")
    filled = [x for x in allowed if x]
    if subject.conventions.dead_rows != "zero":
        allowed = filled
    n = draw(st.sampled_from([x for x in allowed if not limits.long or x * (x if square else 1) <= PAIRS] or filled[:1]), label="n")
    keys = [x for x in (allowed if limits.zero_length else filled) if not limits.long or n * x <= PAIRS] or filled[:1]
    d = draw(st.sampled_from(limits.widths or widths), label="d")
    small = n <= 5
    return Sizes(
        b=draw(st.sampled_from((1, 2, 3) if small else (1,)), label="b"),
        h=draw(st.sampled_from((1, 2, 3) if small else (1, 2)), label="h"),
        n=n,
        m=n if square or not limits.unequal_lengths else draw(st.sampled_from(keys), label="m"),
        d=d,
        e=draw(st.sampled_from((1, 2, 3)), label="e") if limits.unequal_widths else d,
        dtype=getattr(torch, draw(st.sampled_from(limits.dtypes), label="dtype")),
        random=torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed")),
        regime=draw(st.sampled_from(REGIMES), label="numbers"),
        layout=draw(st.sampled_from([x for x in LAYOUTS[limits.strides] if x != "expanded"]), label="layout"),
        profile=draw(st.sampled_from(PROFILES), label="scores"),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Masking:
    """What a call hides: its keywords, the visible pairs [B, H, N, M], and whether the subject has gradients of an additive mask."""

    keywords: dict[str, Any]
    visible: npt.NDArray[np.bool_]
    graded: bool
    regime: str

    def __call__(self, scores: Tracked, t: Mapping[Place, Tracked]) -> Tracked:
        """The scores with the additive mask added, which is a leaf of its own; hidden pairs keep theirs."""
        return scores + t["attn_mask"].where(np.isfinite(t["attn_mask"].middle)) if self.additive else scores

    @property
    def additive(self) -> bool:
        return "attn_mask" in self.keywords and self.keywords["attn_mask"].is_floating_point()

    @property
    def wanted(self) -> tuple[Place, ...]:
        """The mask, where it has a gradient."""
        return ("attn_mask",) if self.additive and self.graded else ()

    @property
    def batched(self) -> tuple[Place, ...]:
        """A mask for each sequence goes with its sequence."""
        return ("attn_mask",) if "attn_mask" in self.keywords and self.keywords["attn_mask"].dim() == 4 else ()

    @property
    def by_key(self) -> dict[Place, int]:
        """The mask's axis of keys."""
        return {"attn_mask": -1} if "attn_mask" in self.keywords else {}

    @property
    def by_query(self) -> dict[Place, int]:
        """The mask's axis of queries."""
        return {"attn_mask": -2} if "attn_mask" in self.keywords else {}

    @property
    def ordered(self) -> tuple[str, ...]:
        """Causality orders both."""
        return ("keys", "queries") if "is_causal" in self.keywords else ()


def masking(draw: st.DrawFn, subject: Implementation, s: Sizes) -> Masking:
    """A mask inside the limits, for calls with `attn_mask` and `is_causal`."""
    limits, both = subject.limits, subject.conventions.mask_and_causal == "both"
    allowed = ["none"]
    allowed += ["boolean", "per sequence", "first half hidden", "dead row"] if "boolean" in limits.masks else []
    allowed += ["additive", "additive with -inf"] if "additive" in limits.masks else []
    allowed += ["causal"] if limits.causal else []
    allowed += ["causal and boolean"] if limits.causal and both and "boolean" in limits.masks else []
    regime = draw(st.sampled_from(allowed), label="mask")
    shape = s.b, s.h, s.n, s.m
    keep: Tensor | None = None
    keywords: dict[str, Any] = {}
    if regime in ("boolean", "causal and boolean"):
        keep = torch.rand((s.n, s.m), generator=s.random) < 0.6
    elif regime == "dead row":
        keep = torch.rand((s.n, s.m), generator=s.random) < 0.7
        keep[: (s.n + 1) // 2] = False
    elif regime == "first half hidden":
        keep = (torch.arange(s.m) >= s.m // 2).expand(s.n, s.m).contiguous()
    elif regime == "per sequence":
        keep = torch.rand((s.b, 1, s.n, s.m), generator=s.random) < 0.6
    zero = subject.conventions.dead_rows == "zero"
    if keep is not None:
        if not zero:
            keep[..., :1] = True
        keywords["attn_mask"] = keep
    visible = np.ones(shape, dtype=np.bool_) if keep is None else np.broadcast_to(keep.numpy(), shape).copy()
    if regime.startswith("additive"):
        bias = torch.randn((s.b, 1, s.n, s.m), generator=s.random, dtype=torch.float64) * 3
        if regime.endswith("inf"):
            hidden = torch.rand(bias.shape, generator=s.random) < 0.4
            hidden[..., :1] &= zero
            bias = bias.masked_fill(hidden, -np.inf)
        keywords["attn_mask"] = bias.to(s.dtype)
        visible = np.isfinite(np.broadcast_to(plain(keywords["attn_mask"]), shape))
    if regime.startswith("causal"):
        keywords["is_causal"] = True
        visible = visible & np.tril(np.ones((s.n, s.m), dtype=np.bool_))
    return Masking(keywords=keywords, visible=visible, graded=limits.mask_gradient, regime=f"mask: {regime}")


MIXED = ("contiguous", "sliced", "by columns", "contiguous", "sliced")


def laid_out(x: Posed, layout: str) -> Posed:
    """The call with its tensors of two axes and more, masks and cotangent among them, in another memory layout; the values are kept."""

    def turned(t: Tensor, place: int) -> Tensor:
        chosen = MIXED[place % len(MIXED)] if layout == "mixed" else layout
        if t.dim() != 4 and chosen == "transposed":
            chosen = "by columns"
        return relaid(t, chosen) if t.dim() >= 2 else t

    changed = {place: turned(x[place], number) for number, place in enumerate(x.tensors)}
    return x.with_tensors(changed, cotangent=turned(x.cotangent, len(changed)))


Draw = Callable[[Implementation], st.SearchStrategy[Posed]]
CASES: dict[str, Draw] = {}


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
    return CASES[subject.variant.name](subject)


def simplest(subject: Implementation) -> Posed:
    """The plainest call of the subject's variant, which is what Hypothesis shrinks to."""
    plain = hypothesis.settings(database=None, deadline=None)
    found: Posed = hypothesis.find(any_case(subject), lambda x: bool(x.cotangent.numel()), settings=plain, random=random.Random(0))
    return found
