"""Calls of instruments, which read attention weights: how weights are drawn, and which relabellings of keys, rows, heads or layers a reading is blind to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.inputs import plain
from properties.posed import Definition, Place, Posed
from properties.posing import Sizes, laid_out, sizes
from properties.tolerance import Rounding
from properties.tracked import Tracked, constant, log


@dataclass(frozen=True, slots=True, kw_only=True)
class Symmetry:
    """Reversing the axes of `moved`, by place, reverses the axes `output` of what is read, and does nothing else."""

    name: str
    moved: Mapping[Place, tuple[int, ...]]
    output: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Reading(Posed):
    """A call of an instrument. The first `leading` axes of the tensors at `apart` and of the output only collect what is read by itself."""

    symmetries: tuple[Symmetry, ...] = ()
    leading: int = 2
    apart: tuple[Place, ...] = (0,)

    def with_tensors(self, changed: Mapping[Place, Tensor], **fields: Any) -> Reading:
        """See Posed."""
        other = Posed.with_tensors(self, changed, **fields)
        assert isinstance(other, Reading)
        return other

    def leaves(self, rounding: Rounding) -> dict[Place, Tracked]:
        """Whole numbers (tokens, samples, places) too."""
        return {place: constant(plain(self[place]), rounding) for place in self.tensors}


REGIMES = ("softmax", "one-hot", "uniform", "dyadic", "sparse", "subnormal", "saturated", "causal", "zero row")
LAYOUTS = "layout: "


def drawn(draw: st.DrawFn, subject: Implementation, *, least: int = 0, lengths: tuple[int, ...] = (), square: bool = False) -> Sizes:
    """Sizes inside the limits, of rows and keys no fewer than `least` (0 or 1), or of the given lengths."""
    limits = subject.limits if not least else replace(subject.limits, zero_length=False)
    return sizes(draw, replace(subject, limits=limits), lengths=lengths, square=square)


def weights(draw: st.DrawFn, s: Sizes, *shape: int, regimes: tuple[str, ...] = REGIMES) -> tuple[Tensor, str]:
    """Rows of weights along the last axis, and how they were drawn."""
    regime = draw(st.sampled_from(regimes), label="weights")
    return rows_of(s, regime, shape).to(s.dtype), f"weights: {regime}"


def rows_of(s: Sizes, regime: str, shape: tuple[int, ...]) -> Tensor:
    """In float64: sums of rows are 1 but for rounding, or 0 where no weight is left."""
    m = shape[-1]
    scores = torch.randn(shape, generator=s.random, dtype=torch.float64)
    if not scores.numel() or regime == "softmax":
        return (2 * scores).softmax(-1)
    best = scores == scores.amax(-1, keepdim=True)
    match regime:
        case "one-hot":
            return best.to(torch.float64)
        case "uniform":
            return torch.full(shape, 1 / m, dtype=torch.float64)
        case "dyadic":
            units = torch.randint(0, m, (*shape[:-1], 16), generator=s.random)
            return torch.zeros(shape, dtype=torch.float64).scatter_add(-1, units, torch.full(units.shape, 1 / 16, dtype=torch.float64))
        case "sparse":
            return (2 * scores).masked_fill(torch.rand(shape, generator=s.random) < 0.5, -torch.inf).softmax(-1).nan_to_num(0.0)
        case "subnormal":
            smallest = torch.finfo(s.dtype).tiny * torch.finfo(s.dtype).eps
            return torch.where(best, 1.0, smallest * (scores > 0))
        case "saturated":
            return (30 * scores).softmax(-1)
        case "causal":
            past = torch.arange(m) <= torch.arange(shape[-2]).unsqueeze(-1)
            return (2 * scores).masked_fill(~past, -torch.inf).softmax(-1)
        case _:
            return (2 * scores).softmax(-1) * (torch.rand((*shape[:-1], 1), generator=s.random) < 0.6)


def reading(
    s: Sizes, arguments: tuple[Any, ...], define: Definition, shape: tuple[int, ...], *, keywords: Mapping[str, Any] | None = None,
    wanted: tuple[Place, ...] = (0,), batched: tuple[Place, ...] = (0,), apart: tuple[Place, ...] | None = None, regimes: tuple[str, ...] = (),
    dtype: torch.dtype | None = None, **fields: Any,
) -> Reading:  # fmt: skip
    """A call whose output has this shape, in the drawn layout."""
    cotangent = s.tensor(*shape, regime="normal").to(dtype or s.dtype)
    x = Reading(
        arguments=arguments,
        keywords=dict(keywords or {}),
        define=define,
        cotangent=cotangent,
        wanted=wanted,
        values=(),
        batched=batched,
        apart=batched if apart is None else apart,
        by_key={},
        by_query={},
        regimes=(f"dtype: {str(s.dtype).removeprefix('torch.')}", f"{LAYOUTS}{s.layout}", *regimes),
        **fields,
    )
    found = laid_out(x, s.layout)
    assert isinstance(found, Reading)
    return found


def steep_at_zero(p: Tracked) -> Tracked:
    """p itself, of whose gradient nothing is promised where p is 0: that of p log p is infinite there, or 0 by what an implementation makes of 0 · log 0."""
    zero = p.middle == 0

    def pull(g: Tracked) -> Tracked:
        return Tracked(true=g.true, off=np.where(zero, np.inf, g.off), rounding=g.rounding)

    return Tracked(true=p.true, off=p.off, rounding=p.rounding, parents=((p, pull),))


def informed(p: Tracked) -> Tracked:
    """p log p, and 0 where p is 0."""
    return p * logarithm(p)


def logarithm(p: Tracked) -> Tracked:
    """log p, and 0 where p is 0."""
    return log(p.where(p.middle > 0, 1.0))


def largest(x: Tracked, axis: int) -> Tracked:
    """The largest along an axis, without a gradient: it moves by no more than the one that moves most."""
    at = np.expand_dims(x.middle.argmax(axis), axis)
    true = np.take_along_axis(x.true, at, axis).squeeze(axis)
    blur = 2.0**-52 * x.size.max(axis)  # float64 may have picked one that is that much smaller
    return Tracked(true=true, off=x.off.max(axis) + blur, rounding=x.rounding)


def least(x: Tracked, axis: int) -> Tracked:
    """The smallest along an axis, without a gradient."""
    return -largest(-x, axis)
