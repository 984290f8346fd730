"""Positions: added to queries and keys (sinusoidal, learned, on a grid), to the scores (relative bias, ALiBi), or turned into them (rotary)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb
from torch import Tensor

from impl.variant import Implementation
from properties.narrowed import narrowed
from properties.oracle import true_scale
from properties.posed import Definition, Place, Posed, case
from properties.posing import Masking, Sizes, masking, posed, sizes
from properties.tolerance import Rounding, rounding
from properties.tracked import Tracked, constant, contract, cos, exp, irrational, recast, sin, softmax, stack

STARTS = (0, 1, 6, 1000)
Scores = Callable[[Tracked, Tracked, Mapping[Place, Tracked]], Tracked]


def attended(scores: Tracked, t: Mapping[Place, Tracked], mask: Masking, s: Sizes, scale: float | None) -> Tracked:
    """The dot products' scale, the mask, softmax, and the values at place 2. `scores` may hold what is added to them already scaled: see `with_bias`."""
    scaled = scores * irrational(true_scale(s.d, scale), scores.rounding)
    return contract("bhnm,bhme->bhne", softmax(mask(scaled, t), mask.visible), t[2])


def with_bias(bias: Tracked, t: Mapping[Place, Tracked], mask: Masking, s: Sizes, scale: float | None) -> Tracked:
    """Attention with something added to the scaled scores."""
    products = contract("bhnd,bhmd->bhnm", t[0], t[1]) * irrational(true_scale(s.d, scale), t[0].rounding)
    return contract("bhnm,bhme->bhne", softmax(mask(products + bias, t), mask.visible), t[2])


def drawn(
    draw: st.DrawFn, subject: Implementation, widths: tuple[int, ...], more: Callable[[Sizes], dict[Place, Tensor]], start: bool = True
) -> tuple[Sizes, Masking, dict[str, Any], dict[Place, Tensor]]:
    """Sizes, mask, keywords and further tensors of a call."""
    s = sizes(draw, subject, widths=widths)
    mask = masking(draw, subject, s)
    keywords: dict[str, Any] = {}
    if (scale := draw(st.sampled_from((None, 0.5, -1.0)), label="scale")) is not None:
        keywords["scale"] = scale
    if start:
        keywords["start"] = draw(st.sampled_from(STARTS), label="start")
    return s, mask, keywords, more(s)


def placed(s: Sizes, mask: Masking, keywords: dict[str, Any], extra: dict[Place, Tensor], define: Definition) -> Posed:
    """A call of query, key, value and further arguments; positions order keys and queries."""
    further = tuple(x for place, x in extra.items() if isinstance(place, int))
    named = {str(place): x for place, x in extra.items() if isinstance(place, str)}
    return posed(
        s,
        mask,
        (s.query(), s.key(), s.value(), *further),
        define,
        keywords=keywords | named,
        wanted=(0, 1, 2, *extra),
        ordered=("keys", "queries"),
        regimes=(f"start: {keywords.get('start', 0)}",),
    )


def angles(positions: Any, width: int, base: float, a: Rounding) -> Tracked:
    """position · base^(−2p/width) for each position and pair p, in the arithmetic that the subject declares for angles."""
    if a.declared.angles == "float64":
        a = rounding(torch.float64, a.declared)
    exponents = np.array([-arb(base).log() * 2 * p / width for p in range(width // 2)], dtype=object)
    return exp(recast(irrational(exponents, a), a)) * constant(np.asarray(positions, dtype=np.float64)[:, None], a)  # a logarithm, a product, a quotient; exp


def encoding(positions: Any, width: int, base: float, a: Rounding) -> Tracked:
    """Sinusoidal positions [N, D]: sines at even features, cosines at odd ones."""
    turned = angles(positions, width, base, a)
    return recast(stack([sin(turned), cos(turned)], -1).reshape(len(positions), width), a)


@case("sinusoidal")
@st.composite
def sinusoidal(draw: st.DrawFn, subject: Implementation) -> Posed:
    s, mask, keywords, extra = drawn(draw, subject, (2, 4, 6), lambda s: {})
    keywords["base"] = draw(st.sampled_from((10_000.0, 3.0)), label="base")

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        start = keywords["start"]
        q, k = (x + encoding(np.arange(start, start + x.shape[2]), s.d, keywords["base"], x.rounding) for x in (t[0], t[1]))
        return attended(contract("bhnd,bhmd->bhnm", q, k), t, mask, s, keywords.get("scale"))

    return placed(s, mask, keywords, extra, define)


@case("learned-positions")
@st.composite
def learned_positions(draw: st.DrawFn, subject: Implementation) -> Posed:
    """The table ends with the last position, or goes on."""
    beyond = draw(st.sampled_from((0, 3)), label="rows beyond")
    start = draw(st.sampled_from((0, 1, 5)), label="start")
    s, mask, keywords, extra = drawn(draw, subject, (1, 2, 3, 5), lambda s: {3: s.tensor(start + max(s.n, s.m) + beyond, s.d)}, start=False)
    keywords["start"] = start

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        q, k = (x + t[3][start : start + x.shape[2]] for x in (t[0], t[1]))
        return attended(contract("bhnd,bhmd->bhnm", q, k), t, mask, s, keywords.get("scale"))

    return placed(s, mask, keywords, extra, define)


@case("grid-positions")
@st.composite
def grid_positions(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Grids with a last row that is not full."""
    columns = draw(st.sampled_from((1, 2, 3, 4)), label="columns")
    s, mask, keywords, extra = drawn(draw, subject, (4, 8), lambda s: {}, start=False)
    keywords["columns"] = columns

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        def at_patches(x: Tracked) -> Tracked:
            patches = np.arange(x.shape[2])
            halves = [encoding(places, s.d // 2, 10_000.0, x.rounding) for places in (patches // columns, patches % columns)]
            joined = stack(halves, 1).reshape(len(patches), s.d)
            return x + joined

        return attended(contract("bhnd,bhmd->bhnm", at_patches(t[0]), at_patches(t[1])), t, mask, s, keywords.get("scale"))

    return placed(s, mask, keywords, extra, define)


@case("relative-bias")
@st.composite
def relative_bias(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Biases that reach as far as the sequence, less far, or nowhere."""
    reach = draw(st.sampled_from((0, 1, 3, 8)), label="reach")
    s, mask, keywords, extra = drawn(draw, subject, (1, 2, 3, 5), lambda s: {3: s.tensor(s.h, 2 * reach + 1)})

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        offsets = np.clip(np.arange(s.m)[None, :] - np.arange(s.n)[:, None], -reach, reach) + reach
        return with_bias(t[3][:, offsets], t, mask, s, keywords.get("scale"))

    return placed(s, mask, keywords, extra, define)


@case("alibi")
@st.composite
def alibi(draw: st.DrawFn, subject: Implementation) -> Posed:
    """The default slopes, or given ones: zero, negative and steep among them."""
    given = draw(st.booleans(), label="slopes given")
    s, mask, keywords, extra = drawn(draw, subject, (1, 2, 3, 5), lambda s: {"slopes": s.tensor(s.h)} if given else {})

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        a = t[0].rounding
        default = np.array([(-arb(2).log() * 8 * h / s.h).exp() for h in range(1, s.h + 1)], dtype=object)
        slopes = t["slopes"] if given else irrational(default, a)
        distances = np.abs(np.arange(s.n)[:, None] - np.arange(s.m)[None, :])
        return with_bias(-(slopes.reshape(s.h, 1, 1) * constant(distances, a)), t, mask, s, keywords.get("scale"))

    return placed(s, mask, keywords, extra, define)


@case("rotary")
@st.composite
def rotary(draw: st.DrawFn, subject: Implementation) -> Posed:
    s, mask, keywords, extra = drawn(draw, subject, (2, 4, 6), lambda s: {})
    keywords |= {"base": draw(st.sampled_from((10_000.0, 3.0)), label="base"), "interleaved": draw(st.booleans(), label="interleaved")}

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        def turned(x: Tracked) -> Tracked:
            turns = angles(np.arange(keywords["start"], keywords["start"] + x.shape[2]), s.d, keywords["base"], x.rounding)
            cosines, sines = recast(cos(turns), x.rounding), recast(sin(turns), x.rounding)
            first, second = (x[..., 0::2], x[..., 1::2]) if keywords["interleaved"] else (x[..., : s.d // 2], x[..., s.d // 2 :])
            return stack([first * cosines - second * sines, first * sines + second * cosines], -1)

        return attended(contract("bhndp,bhmdp->bhnm", *(narrowed(turned(x)) for x in (t[0], t[1]))), t, mask, s, keywords.get("scale"))

    return placed(s, mask, keywords, extra, define)
