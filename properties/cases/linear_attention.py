"""Linear attention with a named feature map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np
from flint import arb

from impl.variant import Implementation
from properties.cases.kernelised import ratio
from properties.posed import Place, Posed, case
from properties.posing import padding, posed, sizes
from properties.tracked import Tracked, concatenate, constant, exp, expm1, irrational, relu

MAPS = ("elu+1", "exp", "relu+epsilon", "polynomial", "taylor")


@st.composite
def linear_attention(draw: st.DrawFn, subject: Implementation, maps: tuple[str, ...] = MAPS, causal: tuple[bool, ...] = (False, True)) -> Posed:
    """Every feature map; (x + c)² also where all its features are 0, and an ε so small that it hardly keeps weights from 0."""
    name = draw(st.sampled_from(maps), label="feature map")
    s = sizes(draw, subject, widths=(1, 2, 3) if name == "taylor" else (1, 2, 3, 5))
    options: dict[str, Any] = {"feature_map": name}
    if name == "relu+epsilon":
        options |= {"epsilon": draw(st.sampled_from((1e-3, 1e-6, 0.1)), label="epsilon")}
    if name == "polynomial":
        options |= {"c": draw(st.sampled_from((1.0, 0.5, -2.0)), label="c")}
    hides = padding(draw, subject, s, causal=causal)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        rows, columns = (mapped(t[place], name, options) for place in (0, 1))
        return ratio(rows, columns, t[2], hides.visible)

    tensors = s.tensor(s.b, s.h, s.n, s.d), s.tensor(s.b, s.h, s.m, s.d), s.value()
    return posed(s, hides, tensors, define, keywords=options, regimes=(f"feature map: {name}",))


case("linear-attention")(linear_attention)


def mapped(x: Tracked, name: str, options: Mapping[str, Any]) -> Tracked:
    """φ(x), [..., D] → [..., F], as the names are defined."""
    if name == "elu+1":
        positive = x.middle > 0
        return x.where(positive) + expm1(x.where(~positive)) + 1.0
    if name == "exp":
        return exp(x)
    if name == "relu+epsilon":
        return relu(x) + irrational(arb(options["epsilon"]), x.rounding)
    if name == "polynomial":
        shifted = x + irrational(arb(options["c"]), x.rounding)
        return shifted * shifted
    d = x.shape[-1]
    squares = x.reshape(*x.shape, 1) * x.reshape(*x.shape[:-1], 1, d)
    squares = squares.reshape(*x.shape[:-1], d * d) * irrational(arb(0.5).sqrt(), x.rounding)
    return concatenate((constant(np.ones((*x.shape[:-1], 1)), x.rounding), x, squares), -1)
