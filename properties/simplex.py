"""Weights over tracked numbers, with derived bounds: sparsemax and 1.5-entmax (thresholds on the simplex), and what an online softmax adds to softmax.

The threshold. Both are p_j = (x_j − τ)₊^a with Σ p = 1: x = s, a = 1 for sparsemax; x = s / 2, a = 2 for 1.5-entmax. τ rises with every x_j and moves by c
when all move by c, hence by no more than the largest move: τ is 1-Lipschitz in the sup norm, and y_j = x_j − τ moves by at most off_j + max off. Only keys
that can lie within 1 of the largest count: (x_max − τ)^a ≤ 1, so τ ≥ x_max − 1, whatever the errors. The computation subtracts the largest score first; τ
lies within 1 of it, so what follows has numbers of size 1, and its error ρ does not depend on how large the scores are. With γ = γ_{M + 4 + detours} over M
keys:

- sparsemax with the right support S: (Σ_S x − 1) / |S| has an error below 2γ, as |x| ≤ 1 there. Sorting takes the largest k with 1 + k x_(k) > Σ, both sides
  with an error below γ (2M + 1) =: η. The difference is k y_(k) at the right k and (k − 1)(x_(k) − τ_{k−1}) after it, so that a wrong k needs a key with |y|
  ≤ η, and moves τ by at most Σ η / (k (k + 1)) ≤ η. A support that shrinks by the rule x ≤ τ(S) wrongly loses only keys with 0 < y ≤ 2γ, without which τ is
  lower by at most 2γ M. Bisection is nearer still. So ρ = 2γ, and 2γ + η where some |y| ≤ η is possible.
- 1.5-entmax with the right support of k keys: the mean has error γ; v = 1 − Σ (x − mean)² has error 2γ, and √(v / k), the mean of √p, is at least 1 / k, so
  that the root moves by at most (2γ / k) / √(v / k) ≤ 2γ: ρ = 4γ with the rest. From sums of squares, by which the support is decided, the error is below 6 M
  γ =: η. A key wrongly in or out has |y| ≤ η and moves Σ (x − τ)² by at most η², whose slope in τ is at least 2 Σ √p ≥ 2: ρ = 4γ + M η² there. Bisection: Σ
  (x − t)₊² has relative error γ, and its root falls at least as fast as t rises (‖y‖₁ ≥ ‖y‖₂), so that the sign is right beyond γ; the last interval is
  shorter than u.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from flint import arb

from properties.oracle import Array
from properties.request import Undecided
from properties.tolerance import Rounding
from properties.tracked import Flags, Objects, Tracked, _middle, bare, constant, contract, exact, irrational, softmax, sqrt, times_infinity


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """y₊ = (x − τ)₊ of each key [..., N, M]: in balls, with its error; `least` and `most` are the ends of what y itself may be computed as, −∞ where hidden."""

    true: Objects
    off: Array
    least: Array
    most: Array

    @property
    def possible(self) -> Flags:
        """Keys whose weight may come out above 0."""
        return self.most > 0

    @property
    def doubtful(self) -> Flags:
        """Keys that may come out on either side of the threshold."""
        return (self.least <= 0) & (self.most >= 0)


def excess(scores: Tracked, seen: Flags, power: int) -> Excess:
    """y₊ with Σ y₊^power = 1 over the keys seen, of x = scores / power."""
    a, keys = scores.rounding, scores.shape[-1]
    unit = float(a.gamma(keys + 4 + a.declared.detours))
    x = np.where(seen, scores.middle, -np.inf) / power
    top = np.where(seen.any(-1, keepdims=True), x.max(-1, keepdims=True, initial=-np.inf), 0)
    y, true = solved(scores.true / power, seen, x, power)
    with np.errstate(invalid="ignore"):
        raw = np.where(seen, scores.off / power, 0.0)
        off = times_infinity(np.where(seen, raw + a.gamma(a.declared.detours) * (np.where(seen, top - x, 0) + 2 * raw.max(-1, keepdims=True, initial=0)), 0.0))
        lowest = np.where(seen, x - raw, -np.inf).max(-1, keepdims=True, initial=-np.inf)  # the largest score is no lower than this
        counts = seen & (x + off >= lowest - 1 - off.max(-1, keepdims=True, initial=0))
        most_off = np.where(counts, off, 0).max(-1, keepdims=True, initial=0)
        eta = unit * (2 * keys + 1 if power == 1 else 6 * keys)
        near = (counts & (np.abs(y) <= off + most_off + eta)).any(-1, keepdims=True)
        rho = 2 * unit + near * eta if power == 1 else 4 * unit + near * keys * eta**2
        width = off + most_off + rho
        width = width + a.gamma(a.declared.detours) * (np.maximum(y, 0) + width)
        least, most = np.where(seen, y - width, -np.inf), np.where(seen, y + width, -np.inf)
        found = np.maximum(np.maximum(most, 0) - np.maximum(y, 0), np.maximum(y, 0) - np.maximum(least, 0))
    return Excess(true=true, off=times_infinity(found), least=least, most=most)


def solved(x: Objects, seen: Flags, middle: Array, power: int) -> tuple[Array, Objects]:
    """x − τ in float64 (−∞ where hidden) and (x − τ)₊ in balls. Raises Undecided if Σ (x − τ)₊^power is not 1."""
    y = np.full(x.shape, -np.inf)
    above = exact(np.zeros(x.shape))
    for row in np.ndindex(x.shape[:-1]):
        places = [int(j) for j in np.argsort(-middle[row], kind="stable") if seen[row][j]]
        if not places:
            continue
        values = [x[row][j] for j in places]
        tau, mass = balanced(values, power), arb(0)
        for j, value in zip(places, values, strict=True):
            y[row][j] = float((value - tau).mid())
            if y[row][j] > 0:
                above[row][j] = value - tau
                mass += value - tau if power == 1 else (value - tau) * (value - tau)
        if not mass.contains(1) or mass.rad() > 2.0**-80:
            raise Undecided("the threshold is not known well enough")
    return y, above


def balanced(values: list[arb], power: int) -> arb:
    """τ of values in falling order: the support grows while the next value lies above the threshold of those before it."""
    total, squares = arb(0), arb(0)
    base = values[0]
    tau = base - 1
    for k, value in enumerate(values, 1):
        if k > 1 and float((value - tau).mid()) <= 0:
            break
        total += value - base
        squares += (value - base) * (value - base)
        mean = total / k
        tau = base + ((total - 1) / k if power == 1 else mean - ((1 - (squares - k * mean * mean)) / k).sqrt())
    return tau


def sparsemax(scores: Tracked, visible: Flags) -> Tracked:
    """The nearest point of the simplex, over the keys seen; 0 elsewhere. Its gradient is g less its mean over the support, on the support.

    Where the support is in doubt, any of those possible may stand in each of its three uses: then what key j gets is g_j or 0, less 0 or Σ_A g / |K|.
    """
    seen = np.broadcast_to(visible, scores.shape)
    y = excess(scores, seen, 1)
    support = np.asarray(_middle(y.true), dtype=np.float64) > 0
    count = constant(np.maximum(support.sum(-1, keepdims=True), 1), scores.rounding)

    def pull(g: Tracked) -> Tracked:
        found = (g - g.where(support).sum(-1, keepdims=True) / count).where(support)
        fewest = np.maximum((y.least > 0).sum(-1, keepdims=True), 1)
        gained = np.where(y.most >= 0, g.reach + np.where(y.most >= 0, g.reach, 0).sum(-1, keepdims=True) / fewest, 0)
        either = (found.size + gained) * (1 + g.rounding.gamma(scores.shape[-1] + 4))
        return Tracked(true=found.true, off=np.where(y.doubtful.any(-1, keepdims=True), either, found.off), rounding=g.rounding)

    return Tracked(true=y.true, off=y.off, rounding=scores.rounding, parents=((scores, pull),))


def entmax(scores: Tracked, visible: Flags) -> Tracked:
    """1.5-entmax over the keys seen; 0 elsewhere. Its gradient is r ∘ g − r Σ r g / Σ r with r = √p, which is continuous where a key leaves the support."""
    seen = np.broadcast_to(visible, scores.shape)
    y = excess(scores, seen, 2)
    root = Tracked(true=y.true, off=y.off, rounding=scores.rounding)
    alive = seen.any(-1, keepdims=True)
    weights = bare((root * root).where(y.possible))

    def pull(g: Tracked) -> Tracked:
        weighted = root * g
        mean = weighted.sum(-1, keepdims=True) / root.sum(-1, keepdims=True).where(np.asarray(alive), 1.0)
        return (weighted - root * mean).where(y.possible)

    return Tracked(true=weights.true, off=weights.off, rounding=scores.rounding, parents=((scores, pull),))


def factor(scale: float | None, width: int, rounding: Rounding) -> Tracked:
    """The scale, or 1/√width by a root and a quotient."""
    return constant(np.ones(()), rounding) / sqrt(constant(np.full((), width), rounding)) if scale is None else irrational(arb(scale), rounding)


def attended(scores: Tracked, value: Tracked, visible: Flags, times: Tracked | None = None) -> Tracked:
    """Σ_j p_j times_j v_j [B, H, N, E] with p = softmax(scores) over the keys seen, by one pass over all keys or by an online softmax.

    Backward's δ = Σ_j p_j dp_j may be summed over the keys or as Σ_e do_e o_e: a sum of products in another association.
    """
    weights = softmax(scores, visible)
    ones = constant(np.ones(scores.shape), scores.rounding) if times is None else times
    output = contract("bhnm,bhnm,bhme->bhne", bare(weights), bare(ones), value)

    def pull(g: Tracked) -> Tracked:
        given = contract("bhne,bhme,bhnm->bhnm", g, bare(value), bare(ones))
        delta = contract("bhne,bhnm,bhnm,bhme->bhn", g, bare(weights), bare(ones), bare(value))
        return (weights * (given - delta.reshape(*delta.shape, 1))).where(np.broadcast_to(visible, scores.shape))

    output.parents = (output.parents[2], (scores, pull))
    return output
