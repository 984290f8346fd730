"""Attention with quantised queries and keys.

A number x of a row with step Δ = max|x| / L becomes n Δ, where n is the whole number nearest to r = x / Δ. Computed, r has a relative error of at most γ_3: the
step and the quotient, or a product with a reciprocal, round. Where r is farther than that from every half, n is what the definition says; elsewhere either
neighbour may come out, and n Δ is within Δ (1/2 + γ_3 |r|) of x itself. `within_half_a_step` says no more than that of any number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.oracle import Array
from properties.posed import Place, Posed, case
from properties.posing import Masking, Sizes, masking, posed, sizes
from properties.simplex import factor
from properties.tracked import Tracked, contract, exact, rounded, softmax

Bits = int | list[int]
Quantise = Callable[[Tracked, Array], Tracked]
ROWS = ("as drawn", "on the grid", "a zero row", "a loud row", "small", "large", "heads apart", "one key and the rest")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantised:
    """Sizes, mask, tensors and what else a call says."""

    sizes: Sizes
    mask: Masking
    tensors: tuple[Tensor, Tensor, Tensor]
    scale: float | None
    bits: Bits
    rows: str

    def output(self, t: Mapping[Place, Tracked], quantise: Quantise) -> Tracked:
        """Softmax attention of queries and keys as `quantise` gives them."""
        levels = levels_of(self.bits)
        scores = contract("bhnd,bhmd->bhnm", quantise(t[0], levels), quantise(t[1], levels)) * factor(self.scale, self.sizes.d, t[0].rounding)
        return contract("bhnm,bhme->bhne", softmax(self.mask(scores, t), self.mask.visible), t[2])

    def posed(self, quantise: Quantise) -> Posed:
        given: dict[str, Any] = {"bits": self.bits} if self.bits != 8 else {}
        return posed(
            self.sizes,
            self.mask,
            self.tensors,
            lambda t: self.output(t, quantise),
            wanted=(2,),
            keywords=given | ({} if self.scale is None else {"scale": self.scale}),
            regimes=(f"rows: {self.rows}", f"bits: {self.bits if isinstance(self.bits, int) else 'of each head'}"),
        )


def levels_of(bits: Bits) -> Array:
    """2^(bits − 1) − 1, [H, 1, 1] where each head has its own."""
    levels: Array = 2.0 ** (np.asarray(bits, dtype=np.float64) - 1) - 1
    return levels if levels.ndim == 0 else levels[:, None, None]


def to_the_nearest(x: Tracked, levels: Array) -> Tracked:
    """n Δ, with an error of its own only where n is in doubt."""
    step, ratio, close = graded(x, levels)
    whole = np.floor(ratio + 0.5)
    doubtful = np.abs(np.abs(ratio - whole) - 0.5) <= close
    kept = exact(whole) * step
    true = np.where(doubtful, x.true, kept)
    off = np.where(doubtful, as_numbers(step) * (0.5 + close), 0.0)
    return rounded(true, off + x.rounding.gamma(2 * x.rounding.declared.detours) * np.abs(as_numbers(kept)), x.rounding)


def within_half_a_step(x: Tracked, levels: Array) -> Tracked:
    """Any number that rounding to a multiple of Δ may give, wherever the halves go."""
    step, ratio, close = graded(x, levels)
    off = np.where(ratio == np.floor(ratio), 0.0, as_numbers(step) * (0.5 + close))
    return rounded(x.true, off + x.rounding.gamma(2 * x.rounding.declared.detours) * (x.size + off), x.rounding)


def unchanged(x: Tracked, levels: Array) -> Tracked:
    """Numbers that lie on the grid already, but for the rounding of steps and products."""
    return rounded(x.true, x.rounding.gamma(2 * x.rounding.declared.detours) * x.size, x.rounding)


def graded(x: Tracked, levels: Array) -> tuple[Any, Array, Array]:
    """The step of each row as balls, x / Δ, and how far from that a computed quotient may lie. A row of zeros has the step 0, and quotients 0."""
    top = x.size.max(-1, keepdims=True, initial=0)
    step = exact(top) / exact(np.asarray(levels))
    ratio = as_numbers(x.true * exact(np.broadcast_to(levels, top.shape)) / exact(np.where(top == 0, 1, top)))
    return step, ratio, np.asarray(x.rounding.gamma(3 * x.rounding.declared.detours) * np.abs(ratio) + 2.0**-52)


_middles = np.frompyfunc(lambda x: float(x.mid()), 1, 1)


def as_numbers(x: Any) -> Array:
    return np.asarray(_middles(x), dtype=np.float64)


@st.composite
def quantised(draw: st.DrawFn, subject: Implementation, rows: tuple[str, ...] = ROWS) -> Quantised:
    """Bits for all heads, or one number for each; rows on the grid, of zeros, far louder than the others; heads of sizes far apart."""
    s = sizes(draw, subject)
    mask = masking(draw, subject, s)
    each = st.sampled_from((8, 4, 3, 2))
    bits = draw(st.one_of(each, st.lists(each, min_size=s.h, max_size=s.h)), label="bits")
    chosen = draw(st.sampled_from(rows), label="rows")
    scale = draw(st.sampled_from((None, 1.0, 0.3, -0.5)), label="scale") if subject.limits.scale else None
    tensors = s.query(), s.key(), s.value()
    if chosen == "on the grid":
        tensors = on_the_grid(s, tensors[0].shape, bits), on_the_grid(s, tensors[1].shape, bits), tensors[2]
    return Quantised(sizes=s, mask=mask, tensors=changed(s, tensors, chosen), scale=scale, bits=bits, rows=chosen)


def changed(s: Sizes, tensors: tuple[Tensor, Tensor, Tensor], rows: str) -> tuple[Tensor, Tensor, Tensor]:
    query, key, value = (x.clone() for x in tensors)
    if rows == "a zero row":
        query[:, :, :1], key[:, :, -1:] = 0, 0
    elif rows == "a loud row":
        query[:, :, -1:], key[:, :, -1:] = query[:, :, -1:] * 64, key[:, :, -1:] * 64
    elif rows in ("small", "large"):
        by = 1e-3 if rows == "small" else 1e3
        query, key = query * by, key / by if s.dtype != torch.float16 else key
    elif rows == "heads apart":
        query, key = (x * 8.0 ** torch.arange(s.h, dtype=s.dtype)[:, None, None] for x in (query, key))
    elif rows == "one key and the rest" and s.m:  # one hot key beside a diffuse mass
        query[..., 1:], key[..., 1:] = 0, 0
        query[..., 0], key[..., 0] = 1, 0
        key[:, :, s.m // 2, 0] = 4
    return query, key, value


def on_the_grid(s: Sizes, shape: tuple[int, ...], bits: Bits) -> Tensor:
    """Whole numbers times a power of 2 of each row, the largest of a row being that of the bits: nothing is lost."""
    levels = torch.from_numpy(np.broadcast_to(levels_of(bits), (s.h, 1, 1)).copy())
    x = (torch.rand(shape, generator=s.random, dtype=torch.float64) * (2 * levels + 1)).floor() - levels
    x[..., :1] = levels * torch.where(torch.rand((*shape[:-1], 1), generator=s.random) < 0.5, -1, 1)
    power = torch.randint(-9, -4, (*shape[:-1], 1), generator=s.random, dtype=torch.float64)
    return (x * 2.0**power).to(s.dtype)


@case("int8")
@st.composite
def int8(draw: st.DrawFn, subject: Implementation) -> Posed:
    return draw(quantised(subject)).posed(to_the_nearest)
