"""Rollout and flow through a stack of layers."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from itertools import product
from typing import Any

import hypothesis.strategies as st
import numpy as np
from flint import arb, fmpq

from impl.variant import Implementation
from properties.oracle import Array
from properties.posed import Place, case
from properties.reading import Reading, Symmetry, drawn, reading, weights
from properties.tracked import Objects, Tracked, constant, contract, rounded

PLACES = Symmetry(name="places", moved={0: (-1, -2)}, output=(-1, -2))


@case("rollout")
@st.composite
def rollout(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Up to four layers, with what passes by and without; all rows, or some of them in any order and twice."""
    s = drawn(draw, subject, square=True)
    layers = draw(st.sampled_from((1, 2, 3, 4)), label="layers")
    p, regime = weights(draw, s, s.b, layers, s.n, s.n)
    residual = draw(st.booleans(), label="residual")
    rows = draw(st.sampled_from((None, [s.n - 1], [0, s.n - 1, 0])), label="rows") if s.n else None

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        maps = (t[0] + constant(np.eye(s.n), t[0].rounding)) / 2.0 if residual else t[0]
        total = maps[:, layers - 1] if rows is None else maps[:, layers - 1][:, rows]
        for layer in reversed(range(layers - 1)):
            total = contract("bij,bjk->bik", total, maps[:, layer])
        return total

    keywords: dict[str, Any] = ({} if residual else {"residual": False}) | ({} if rows is None else {"rows": rows})
    shape = (s.b, s.n if rows is None else len(rows), s.n)
    regimes = (regime, f"layers: {layers}", "with residuals" if residual else "without residuals", "all rows" if rows is None else "some rows")
    return reading(s, (p,), define, shape, keywords=keywords, leading=1, symmetries=(PLACES,) if rows is None else (), regimes=regimes)


@case("attention-flow")
@st.composite
def attention_flow(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Up to four layers of at most three places."""
    s = drawn(draw, subject, square=True, lengths=(1, 2, 3, 0))
    layers = draw(st.sampled_from((1, 2, 3, 4)), label="layers")
    p, regime = weights(draw, s, s.b, layers, s.n, s.n)
    residual = draw(st.booleans(), label="residual")

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        found = np.empty((s.b, s.n, s.n), dtype=object)
        for at in range(s.b if s.n else 0):
            found[at] = smallest_cuts(t[0].middle[at], residual)
        return rounded(balls(found), np.zeros(found.shape), t[0].rounding)

    keywords = {} if residual else {"residual": False}
    regimes = (regime, f"layers: {layers}", "with residuals" if residual else "without residuals")
    return reading(s, (p,), define, (s.b, s.n, s.n), keywords=keywords, wanted=(), leading=1, symmetries=(PLACES,), regimes=regimes)


def smallest_cuts(layers: Array, residual: bool) -> Objects:
    """The smallest cut between output i and input j of maps [L, N, N], exactly: no flow is larger, and one is as large (Ford and Fulkerson 1956).

    A cut puts some nodes of each layer on the side of i, and costs the capacities from those to nodes below that are not. It is minimised over the sets of
    nodes of one layer after another, from the inputs up: there all but j are on the side of i."""
    n = layers.shape[-1]
    maps = np.vectorize(Fraction, otypes=[object])(layers)
    if residual:
        maps = (maps + np.vectorize(Fraction, otypes=[object])(np.eye(n))) / 2
    sides = np.array(list(product((0, 1), repeat=n)), dtype=object)  # [2^N, N]
    sets = 1 - np.eye(n, dtype=int).astype(object)  # of inputs: for each j, the one that counts
    beyond = maps.sum() + 1
    cost = np.array([[Fraction(0) if a == j else beyond for j in range(n)] for a in range(n)], dtype=object)  # [sets, j]
    for layer in maps[:-1]:
        crossing = sides.dot(layer).dot((1 - sets).T)  # [2^N, sets]
        cost = np.array([[min(crossing[a, b] + cost[b, j] for b in range(len(sets))) for j in range(n)] for a in range(len(sides))], dtype=object)
        sets = sides
    crossing = maps[-1].dot((1 - sets).T)  # [N, sets]
    found: Objects = np.array([[min(crossing[i, b] + cost[b, j] for b in range(len(sets))) for j in range(n)] for i in range(n)], dtype=object)
    return found


def balls(numbers: Objects) -> Objects:
    """Fractions as balls."""
    return np.vectorize(lambda x: arb(fmpq(Fraction(x).numerator, Fraction(x).denominator)), otypes=[object])(numbers) if numbers.size else numbers
