"""Distance, agreement with trees, people and other trainings, and detectors of patterns."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, permutations
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.oracle import Array
from properties.posed import Place, case
from properties.posing import Sizes
from properties.reading import Reading, Symmetry, drawn, largest, least, reading, rows_of, weights
from properties.tracked import Flags, Tracked, constant, contract, sqrt, stack

KEYS = Symmetry(name="keys", moved={0: (-1,)})
ROWS = Symmetry(name="rows", moved={0: (-2,)}, output=(-1,))


@case("attention-distance")
@st.composite
def distance(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Per row and per head; rows from 0 on, and behind a cache."""
    per, start = draw(st.sampled_from(("row", "head")), label="per"), draw(st.sampled_from((0, 0, 3, 20)), label="start")
    s = drawn(draw, subject, least=int(per == "head"))
    p, regime = weights(draw, s, s.b, s.h, s.n, s.m)
    away = np.abs(start + np.arange(s.n)[:, None] - np.arange(s.m)).astype(np.float64)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        rows = (t[0] * away_from(away, t[0])).sum(-1)
        return rows if per == "row" else rows.sum(-1) / float(s.n)

    shape = (s.b, s.h, s.n) if per == "row" else (s.b, s.h)
    keywords: dict[str, Any] = ({"per": per} if per != "row" else {}) | ({"start": start} if start else {})
    return reading(s, (p,), define, shape, keywords=keywords, regimes=(regime, f"per: {per}", f"start: {start}"))


def away_from(away: Array, p: Tracked) -> Tracked:
    return constant(away, p.rounding)


def middle_of(x: Tracked, axis: int) -> Tracked:
    """Differences to the mean along an axis."""
    return x - x.sum(axis, keepdims=True) / float(x.shape[axis])


def near_one(x: Tracked) -> Tracked:
    """Exact numbers times a power of 2 for each vector of the last axis, so that none of their differences is far below 1: no correlation depends on it."""
    spread = np.abs(x.middle - x.middle.mean(-1, keepdims=True)).max(-1, keepdims=True)
    _, exponent = np.frexp(np.where(spread > 0, spread, 1.0))
    return constant(np.ldexp(np.ldexp(x.middle, -(exponent // 2)), exponent // 2 - exponent), x.rounding)


def unit(x: Tracked) -> Tracked:
    """Deviations [..., N] along the last axis, over the root of the sum of their squares."""
    a = middle_of(near_one(x), -1)
    return a / sqrt((a * a).sum(-1, keepdims=True))


@case("consistency")
@st.composite
def consistency(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Two or three trainings: unrelated, the same one with its heads renumbered, or renumbered and a little off."""
    s = drawn(draw, subject, least=1, lengths=(1, 2, 3, 5))
    k, match = draw(st.sampled_from((2, 3)), label="trainings"), draw(st.booleans(), label="match")
    keys = max(s.m, 2)
    relation = draw(st.sampled_from(("unrelated", "renumbered", "near")), label="trainings are")
    maps = not_constant(rows_of(s, draw(st.sampled_from(("softmax", "dyadic", "saturated")), label="weights"), (s.b, k, s.h, s.n, keys)).to(s.dtype))
    if relation != "unrelated":
        for later in range(1, k):
            maps[:, later] = maps[:, 0][:, torch.randperm(s.h, generator=s.random)]
    if relation == "near":
        maps = not_constant((maps.double() + torch.rand(maps.shape, generator=s.random, dtype=torch.float64) / 16).to(s.dtype))

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        found = unit(t[0].reshape(s.b, k, s.h, s.n * keys))
        alike = [agreement(contract("bhx,bgx->bhg", found[:, a], found[:, b]), match) for a, b in combinations(range(k), 2)]
        return stack(alike, -1).sum(-1) / float(len(alike))

    symmetries = [Symmetry(name="trainings", moved={0: (1,)}), Symmetry(name="keys and rows", moved={0: (-1, -2)}), Symmetry(name="heads", moved={0: (2,)})]
    keywords = {} if match else {"match": False}
    regimes = (f"trainings: {relation}", "matched" if match else "as numbered")
    return reading(s, (maps,), define, (s.b,), keywords=keywords, wanted=(), leading=1, symmetries=tuple(symmetries), regimes=regimes)


def agreement(correlations: Tracked, match: bool) -> Tracked:
    """The mean along the diagonal of [B, H, H], or the largest one over all ways to number the second's heads.

    The assignment is found in float64 too, from sums and differences of at most 2 H correlations for each of its H steps: it may miss the best by so much."""
    heads = correlations.shape[-1]
    ways = list(permutations(range(heads))) if match else [tuple(range(heads))]
    means = stack([stack([correlations[:, h, way[h]] for h in range(heads)], -1).sum(-1) / float(heads) for way in ways], -1)
    best = largest(means, -1)
    best.off = best.off + 2.0**-52 * heads**2
    return best


def not_constant(maps: Tensor) -> Tensor:
    """Maps [..., N, M], those of one number replaced by one that has all its weight on the first pair."""
    flat = maps.flatten(-2)
    first = torch.zeros_like(flat)
    first[..., 0] = 1
    return torch.where((flat.amax(-1) == flat.amin(-1)).unsqueeze(-1), first, flat).reshape(maps.shape)


@case("syntactic-alignment")
@st.composite
def alignment(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Trees of one edge and more, edges twice over; rows whose largest weight is shared."""
    s = drawn(draw, subject, least=1)
    p, regime = weights(draw, s, s.b, s.h, s.n, s.m, regimes=("softmax", "one-hot", "uniform", "dyadic", "sparse", "causal"))
    kind, edges = draw(st.sampled_from(("weight", "argmax")), label="kind"), draw(st.sampled_from((1, 2, 5)), label="edges")
    tree = torch.stack([torch.randint(0, size, (edges,), generator=s.random) for size in (s.m, s.n)], -1)
    heads, dependents = tree.unbind(-1)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        of = t[0] if kind == "weight" else credit(t[0])
        return of[:, :, dependents.numpy(), heads.numpy()].sum(-1) / float(edges)

    return reading(
        s, (p, tree), define, (s.b, s.h), keywords={} if kind == "weight" else {"kind": kind}, wanted=(0,) if kind == "weight" else (),
        regimes=(regime, f"kind: {kind}"), symmetries=(Symmetry(name="edges", moved={1: (0,)}),),
    )  # fmt: skip


def credit(p: Tracked) -> Tracked:
    """1/k at each of a row's k largest weights."""
    best = (p.middle == p.middle.max(-1, keepdims=True)).astype(np.float64)
    return constant(best, p.rounding) / constant(best.sum(-1, keepdims=True), p.rounding)


@case("human-correlation")
@st.composite
def correlation(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Maps that agree, oppose each other or have nothing to do with each other; ties; far from 0; very small."""
    s = drawn(draw, subject, least=1)
    n, kind = max(s.n, 2), draw(st.sampled_from(("pearson", "spearman")), label="kind")
    regime = draw(st.sampled_from(("unrelated", "near", "opposed", "ties", "far from 0", "very small")), label="maps")
    x, y = (torch.randn((s.b, n), generator=s.random, dtype=torch.float64) for _ in range(2))
    match regime:
        case "near" | "opposed":
            y = (1 if regime == "near" else -3) * x + y / 64
        case "ties":
            x, y = x.round(), y.round()
        case "far from 0":
            x, y = x + 30, y - 100
        case "very small":
            small = torch.finfo(s.dtype).tiny
            x, y = x * small * 64, y * small * 64
    one, other = (not_constant(z.to(s.dtype).unsqueeze(-2)).squeeze(-2) for z in (x, y))

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        a, b = (t[place] if kind == "pearson" else ranks(t[place]) for place in (0, 1))
        return contract("bn,bn->b", unit(a), unit(b))

    keywords = {} if kind == "pearson" else {"kind": kind}
    places = Symmetry(name="places", moved={0: (-1,), 1: (-1,)})
    return reading(
        s, (one, other), define, (s.b,), keywords=keywords, wanted=(), batched=(0, 1), leading=1,
        symmetries=(places,), regimes=(f"maps: {regime}", f"kind: {kind}"),
    )  # fmt: skip


def ranks(x: Tracked) -> Tracked:
    """Places in ascending order from 1; equal numbers have the mean of theirs."""
    values = x.middle
    found = np.empty_like(values)
    for row, into in zip(values, found, strict=True):
        order = np.sort(row)
        into[:] = [np.flatnonzero(order == value).mean() + 1 for value in row]
    return constant(found, x.rounding)


TOKENS = ("all alike", "two kinds", "all different", "twice the same")


def tokens_of(draw: st.DrawFn, s: Sizes) -> tuple[Tensor, str]:
    """Tokens [B, 1, N]."""
    regime = draw(st.sampled_from(TOKENS), label="tokens")
    places = torch.arange(s.n).expand(s.b, 1, s.n)
    found = {"all alike": places * 0, "two kinds": torch.randint(0, 2, places.shape, generator=s.random), "all different": places}
    return found.get(regime, places % max((s.n + 1) // 2, 1)).contiguous(), f"tokens: {regime}"


@case("pattern-scores")
@st.composite
def pattern_scores(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Maps and tokens, repeated or not; windows of no width and wider than the map."""
    s = drawn(draw, subject, square=True)
    p, regime = weights(draw, s, s.b, s.h, s.n, s.n)
    tokens, said = tokens_of(draw, s)
    window = draw(st.sampled_from((1, 0, 2, 12)), label="window")
    away = np.subtract.outer(np.arange(s.n), np.arange(s.n))

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        behind = np.broadcast_to(copied(t[1].middle), t[0].shape)
        found = [
            mean_mass(t[0], np.broadcast_to(np.abs(away) <= window, t[0].shape), s.n),
            mean_mass(t[0], np.broadcast_to(away == 0, t[0].shape), s.n),
            largest(t[0].sum(-2) / float(s.n), -1) if s.n else t[0].sum(-1).sum(-1),
            mean_mass(t[0], np.broadcast_to(away == 1, t[0].shape), s.n - 1),
            mean_mass(t[0], behind, behind.any(-1).sum(-1)),
        ]
        return stack(found, -1)

    keywords = {} if window == 1 else {"window": window}
    regimes = (regime, said, f"window: {window}")
    return reading(s, (p, tokens), define, (s.b, s.h, 5), keywords=keywords, wanted=(), batched=(0, 1), leading=2, regimes=regimes)


def copied(tokens: Array) -> Flags:
    """Key j of row i stands behind a place k = j − 1 before i with the token of i [..., N, N]."""
    n = tokens.shape[-1]
    found = np.zeros((*tokens.shape, n), dtype=np.bool_)
    for i in range(n):
        for k in range(i):
            found[..., i, k + 1] = tokens[..., i] == tokens[..., k]
    return found


def mean_mass(p: Tracked, pairs: Flags, rows: Any) -> Tracked:
    """The weight on these pairs over so many rows [B, H]; 0 over none."""
    return p.where(pairs).sum(-1).sum(-1) / constant(np.maximum(np.asarray(rows, dtype=np.float64), 1), p.rounding)


@case("collapse")
@st.composite
def collapse(draw: st.DrawFn, subject: Implementation) -> Reading:
    """The smallest weight of a key over the rows, for the best key; and 1 less the mean distance of rows to their mean."""
    s = drawn(draw, subject, least=1)
    p, regime = weights(draw, s, s.b, s.h, s.n, s.m)
    alike = draw(st.sampled_from((False, False, True)), label="alike")
    p = p[..., :1, :].expand(p.shape).contiguous() if alike else p

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        apart = absolute(middle_of(t[0], -2)).sum(-1) / 2.0
        return stack([largest(least(t[0], -2), -1), 1.0 - apart.sum(-1) / float(s.n)], -1)

    symmetries = KEYS, Symmetry(name="rows", moved={0: (-2,)})
    return reading(s, (p,), define, (s.b, s.h, 2), wanted=(), symmetries=symmetries, regimes=(regime, *(("rows alike",) if alike else ())))


def absolute(x: Tracked) -> Tracked:
    """|x|, exactly, without a gradient."""
    return Tracked(true=np.where(x.middle < 0, -x.true, x.true), off=x.off, rounding=x.rounding)


@case("vanishing")
@st.composite
def vanishing(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Trace of the softmax's Jacobian, and twice its largest diagonal entry."""
    s = drawn(draw, subject, least=1)
    p, regime = weights(draw, s, s.b, s.h, s.n, s.m)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        each = t[0] * (1.0 - t[0])
        return stack([each.sum(-1), largest(each, -1) * 2.0], -1)

    rows = Symmetry(name="rows", moved={0: (-2,)}, output=(-2,))
    return reading(s, (p,), define, (s.b, s.h, s.n, 2), wanted=(), symmetries=(KEYS, rows), regimes=(regime,))
