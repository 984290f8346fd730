"""The only home of error bounds. Each is derived, per element, from the actual inputs and the declared arithmetic; see theorems/rounding.py.

The model: every operation returns its exact result times (1 + δ), |δ| ≤ u, up to an absolute underflow error of at most η; exp and log have
relative error ε. Bounds are in float64 and widened by SLACK for their own rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from impl.variant import Arithmetic
from properties.oracle import Array, Problem, Truth

SLACK = 1 + 2**-20  # the bounds are themselves computed in float64, in far fewer than 2^30 operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """The arithmetic of one call: unit roundoff, smallest normal and largest number of the accumulator; of the output and of the rounded weights,
    unit roundoff and smallest subnormal number (of the output the largest too); relative error of exp."""

    u: float
    tiny: float
    u_out: float
    least_out: float
    u_weights: float
    least_weights: float
    u_saved: float
    exp: float
    declared: Arithmetic
    largest: float = np.inf
    largest_out: float = np.inf

    def gamma(self, operations: float | Array) -> Array:
        """γ_k = k u / (1 − k u): the relative error of a product of k factors (1 + δ). Higham 2002, Lemma 3.1. Infinite, no promise, from k u = 1/2."""
        k = np.asarray(operations, dtype=np.float64) * self.u
        return np.where(k < 0.5, k / (1 - np.minimum(k, 0.5)), np.inf)

    def merges(self, keys: int) -> int:
        """How often a running state is rescaled, at most, over `keys` keys."""
        tile = self.declared.tile
        return 0 if tile is None else -(-keys // tile)


def rounding(dtype: torch.dtype, declared: Arithmetic, *, as_float32: bool = False) -> Rounding:
    """The arithmetic for inputs of `dtype`: by default half precisions accumulate in float32, the others in themselves; `as_float32`: float64 too,
    from inputs that float32 represents."""
    own = torch.finfo(dtype)
    inner = torch.finfo(torch.float32) if as_float32 and dtype == torch.float64 else own  # what weights or a saved output are rounded to
    if declared.accumulate in ("float32", "float64"):
        wide = torch.finfo(getattr(torch, declared.accumulate))
    elif declared.accumulate == "default" and dtype in (torch.float16, torch.bfloat16):
        wide = torch.finfo(torch.float32)
    else:
        wide = inner
    weights = inner if declared.weights == "input" else wide
    return Rounding(
        u=wide.eps / 2,
        tiny=wide.tiny,
        u_out=inner.eps / 2,
        least_out=inner.smallest_normal * inner.eps,
        u_weights=weights.eps / 2 if declared.weights == "input" else 0.0,
        least_weights=weights.smallest_normal * weights.eps if declared.weights == "input" else 0.0,
        u_saved=inner.eps / 2 if declared.saved_output == "input" else 0.0,
        exp=declared.exp_ulp * wide.eps,
        declared=declared,
        largest=wide.max,
        largest_out=inner.max,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Bounds on the error of output [B, H, N, E] and log-sum-exp [B, H, N], and what backward needs: the error of the output that it reads
    [B, H, N, E], by how much a weight may grow (relative error times weight) as backward rebuilds it [B, H, N, M], a weight's absolute
    error by underflow [B, H, N, 1], the rows whose scores may overflow the accumulator [B, H, N], about which nothing is promised, and those that are
    bounded by the values' range at most [B, H, N]: about the weights, nothing is promised there either."""

    output: Array
    log_sum_exp: Array
    saved: Array
    gained: Array
    underflow: Array
    overflow: npt.NDArray[np.bool_]
    idle: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponents:
    """Bounds on the errors of one row's exponents: of the scores and of the logarithm of each weight before it is normalised [B, H, N, M]; the
    distance between score and stabiliser [B, H, N, M], and how far the stabiliser may lie from the true maximum [B, H, N, 1]."""

    score: Array
    weight: Array
    distance: Array
    top: Array


@np.errstate(over="ignore", invalid="ignore")  # where a bound overflows, it promises nothing
def exponents(problem: Problem, truth: Truth, a: Rounding, moved: Array | float = 0.0) -> Exponents:
    """`moved` [B, H, N, M] is the score error that the inputs already carry. Hidden keys have no error."""
    seen, declared, width = problem.visible, a.declared, problem.q.shape[-1]
    k, scale = heads(problem.k, problem), abs(float(problem.scale.mid()))
    size = scale * np.abs(problem.q) @ np.abs(k).swapaxes(-1, -2) + np.abs(np.where(seen, problem.bias, 0))
    count = a.gamma(width + declared.score_roundings)
    underflow = (2 * width + declared.score_roundings) * max(scale, 1.0) * a.tiny
    score = np.where(seen, count * size + (1 + count) * (moved + underflow), 0)
    if problem.cap is not None:
        score = np.where(seen, capped(problem, score, a), 0)
    top = truth.scores.max(-1, keepdims=True, initial=-np.inf)
    depth = np.where(seen, np.where(np.isfinite(top), top, 0) - np.where(seen, truth.scores, 0), 0)  # below the row's maximum
    rise = np.where(seen, score - depth, 0).max(-1, keepdims=True, initial=0)  # the computed maximum: a far lower score has to climb first
    swings = 1 if declared.tile is None else 3  # a rising stabiliser may start that far below a score and end that far above the maximum
    distance = np.where(seen, depth + score + rise + swings * declared.stabiliser, 0)
    steps = a.merges(truth.weights.shape[-1]) + 1
    weight = score + a.gamma(declared.exponent_roundings) * distance + steps * (np.log1p(2 * a.exp) + declared.exponent_roundings * a.tiny)
    return Exponents(score=score, weight=np.where(seen, weight, 0), distance=distance, top=rise + declared.stabiliser)


def capped(problem: Problem, score: Array, a: Rounding) -> Array:
    """The score's error behind a softcap c · tanh(t / c) that is computed as c − 2c / (e^y + 1), y = 2t / c.

    The cap is no steeper than 1, so that `score`, the error before it, passes at most once. y has 3 roundings: y e^y / (e^y + 1)² ≤ 0.224, so they
    move the result by at most 0.448 c γ_3, and e^y's own error by at most c ε / 2. The sum, the product, the quotient (all at most 2c) and the difference
    add (2γ_3 + u) c, which is below 4 c γ_4 altogether. What is added to the capped score is rounded with it.
    """
    assert problem.cap is not None
    added = np.abs(np.where(problem.visible, problem.bias, 0))
    off: Array = (
        np.minimum(score, 2 * problem.cap + added) + problem.cap * (4 * a.gamma(4) + a.exp) + a.gamma(a.declared.score_roundings) * (problem.cap + added)
    )
    return off


def grown(truth: Truth, exponent: Array) -> Array:
    """At least p (e^x − 1), by which a weight p may exceed itself; neither overflows nor forgets a weight that float64 rounds to 0."""
    lse = np.where(np.isfinite(truth.log_sum_exp.hi), truth.log_sum_exp.hi, 0)[..., None]
    return np.where(exponent < 1, truth.weights * np.expm1(np.minimum(exponent, 1)), np.exp(np.minimum(truth.scores - lse + exponent, 700)))


@np.errstate(over="ignore", invalid="ignore")
def forward(problem: Problem, truth: Truth, arithmetic: Rounding, moved: tuple[Array, Array] | None = None) -> Forward:
    """The forward bounds. `moved` = (score error [B, H, N, M], value error [B, G, M, E]) that the inputs themselves already carry."""
    a, p, seen = arithmetic, truth.weights, problem.visible
    keys, merges = p.shape[-1], a.merges(p.shape[-1])
    v = heads(problem.v, problem)
    off_v = np.zeros_like(v) if moved is None else heads(moved[1], problem)
    off = exponents(problem, truth, a, 0.0 if moved is None else moved[0])

    gain = grown(truth, off.weight)
    shift = gain.sum(-1, keepdims=True)
    spread = distances(v, truth.output.hi)  # |v_j − o| [B, H, N, M, E]
    hull = largest(spread, seen)

    def mean(weights: Array, of: Array, otherwise: Array) -> Array:
        """At most Σ weights_j of_j / (1 − Σ p_j θ_j), and no more than `otherwise`."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.minimum(np.where(shift < 1, np.einsum("bhnm,bhnme->bhne", weights, of) / (1 - shift), np.inf), otherwise)

    size: Array = np.broadcast_to(np.abs(v)[:, :, None], spread.shape)
    size_off: Array = np.broadcast_to(off_v[:, :, None], spread.shape)
    counted = (1 + a.gamma(2 * keys + 4 * merges + 1)) * (1 + a.u_weights) - 1
    # the computed mass holds the largest score's own term, so that underflow is divided by no less than this
    swing = (2 + 3 * a.gamma(a.declared.exponent_roundings)) * a.declared.stabiliser
    lift = np.exp(swing + (merges + 1) * np.log1p(2 * a.exp)) * (1 + counted) ** 2
    vanished, strayed = lift * (merges + 2) * a.tiny, lift * (2 * keys + 3 * merges + 2) * a.tiny  # of one weight; of a whole sum
    lost = vanished + lift * a.least_weights
    top_v = largest(size + size_off, seen)
    height = np.where(np.isfinite(truth.log_sum_exp.hi), truth.log_sum_exp.hi, 0)
    top = truth.scores.max(-1, initial=-np.inf)
    mass = np.where(np.isfinite(top), height - np.where(np.isfinite(top), top, 0), 0)  # log Σ exp(s − max), between 0 and log n
    under = np.minimum(seen.sum(-1) * vanished + strayed, 1)  # at 1 nothing of the mass is sure to be left, and no bound
    with np.errstate(divide="ignore"):
        off_mass = np.minimum(np.log1p(shift[..., 0]), off.weight.max(-1, initial=0)) + a.gamma(keys + 2 * merges + 1) - np.log1p(-under)
    log_sum_exp = off_mass + a.exp * (mass + off.top[..., 0] + off_mass) + a.tiny
    log_sum_exp = log_sum_exp + a.gamma(2) * (np.abs(height) + log_sum_exp) + 2 * a.tiny
    rebuilt = off.weight + off_mass[..., None] + a.gamma(2)
    reach = mass[..., None] + off.distance + log_sum_exp[..., None]
    from_it = off.score + log_sum_exp[..., None] + a.gamma(a.declared.exponent_roundings) * reach + np.log1p(2 * a.exp) + a.gamma(2)
    if a.declared.recompute == "log-sum-exp":
        rebuilt = np.maximum(rebuilt, from_it)
    if a.declared.normalise == "log-sum-exp":  # nothing is divided: each weight's own error meets its value in full
        gain = grown(truth, np.where(seen, from_it, 0))
        shift, cap, cap_off = np.zeros_like(shift), np.full_like(hull, np.inf), np.full_like(hull, np.inf)
        unrounded = np.einsum("bhnm,bhnme->bhne", gain, size)
    else:
        unrounded, cap, cap_off = mean(gain, spread, hull), largest(size, seen), largest(size_off, seen)
    unrounded = unrounded + counted * mean(p + gain, size, cap)
    unrounded = unrounded + (1 + counted) * mean(p + gain, size_off, cap_off)
    unrounded = unrounded + lost * np.where(seen[..., None], size + size_off + top_v[..., None, :], 0).sum(-2) + strayed * (1 + top_v)
    if problem.kept is not None:
        # weights that no longer sum to 1: each one's error, as backward may rebuild it, meets its value in full, and the factor rounds once more
        p_off, boost = grown(truth, np.where(seen, np.maximum(rebuilt, off.weight + off_mass[..., None]), 0)) + np.where(seen, lost, 0), problem.kept
        ahead_of = (1 + counted) * (1 + a.gamma(2)) - 1
        unrounded = np.einsum("bhnm,bhnme->bhne", boost * ((p + p_off) * ahead_of + p_off), size) + strayed * (1 + top_v) * boost.max(
            -1, keepdims=True, initial=1
        )

    o = np.abs(truth.output.hi)
    raw = max(abs(float(problem.scale.mid())), 1.0) * np.abs(problem.q) @ np.abs(heads(problem.k, problem)).swapaxes(-1, -2)
    heavy = keys * np.exp(np.minimum(swing, 700)) * np.abs(v).max((-2, -1), initial=0)[..., None]  # a sum of values before it is divided by the mass
    overflow = (np.maximum(raw.max(-1, initial=0), np.abs(np.where(np.isfinite(top), top, 0))) >= a.largest / 2) | (heavy >= a.largest / 2)
    return Forward(
        output=np.where(overflow[..., None], np.inf, SLACK * (unrounded + a.u_out * (o + unrounded) + a.least_out)),
        log_sum_exp=np.where(overflow, np.inf, SLACK * log_sum_exp),
        overflow=overflow,
        idle=overflow | ~(gain.sum(-1) < 1),
        saved=unrounded + a.u_saved * (o + unrounded) + (a.least_out if a.u_saved else 0.0),
        gained=grown(truth, np.where(seen, rebuilt, 0)),
        underflow=np.full((*p.shape[:-1], 1), lost),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backward:
    """Bounds on the errors of d_q [B, H, N, D], d_k [B, G, M, D], d_v [B, G, M, E] and of the score gradient [B, H, N, M]."""

    d_q: Array
    d_k: Array
    d_v: Array
    d_scores: Array


@np.errstate(over="ignore", invalid="ignore")
def backward(problem: Problem, truth: Truth, arithmetic: Rounding, ahead: Forward) -> Backward:
    """The gradients' bounds, from the forward pass's. Raises ValueError if the problem has no cotangent."""
    if problem.g is None or truth.d_scores is None or truth.d_weights is None or truth.delta is None or not (truth.d_q and truth.d_k and truth.d_v):
        raise ValueError("the problem has no cotangent, so there is no gradient to bound")
    a, p, seen = arithmetic, truth.weights, problem.visible
    k, v = (heads(x, problem) for x in (problem.k, problem.v))
    g, scale, o = np.abs(problem.g), abs(float(problem.scale.mid())), np.abs(truth.output.hi)
    rows, keys, width = problem.q.shape[2], problem.k.shape[2], problem.v.shape[3]
    merges, group = a.merges(max(keys, rows)), problem.q.shape[1] // problem.k.shape[1]
    absent = np.where(seen, ahead.underflow, 0)
    rebuilt = p + ahead.gained + absent  # no rebuilt weight is larger

    d_p, delta = np.abs(truth.d_weights), np.abs(truth.delta)[..., None]
    count = a.gamma(width + 1)
    off_p = ((1 + count) * (1 + a.u_weights) - 1) * (g @ np.abs(v).swapaxes(-1, -2)) + 2 * width * a.tiny + a.least_weights  # rounded as weights are
    kept: Array | float = 1.0
    if problem.kept is not None:  # the factor rounds, and is rounded itself
        kept = problem.kept * (1 + a.gamma(2))
        off_p = kept * off_p + a.gamma(2) * d_p
    by_output = (g * (ahead.saved + count * (o + ahead.saved))).sum(-1, keepdims=True) + 2 * width * a.tiny
    held = rebuilt * (1 + a.u_weights)
    by_weights = ((held - p) * d_p + held * off_p).sum(-1, keepdims=True)
    by_weights = by_weights + a.gamma(keys + 1) * (held * (d_p + off_p)).sum(-1, keepdims=True) + 2 * keys * a.tiny
    off_delta = np.maximum(by_output, by_weights)
    moved = off_p + off_delta
    if problem.g_log_sum_exp is not None:  # taken from delta
        moved = moved + a.gamma(2) * np.abs(problem.g_log_sum_exp)[..., None]
    moved = moved + a.gamma(4) * (d_p + delta + moved) + 4 * a.tiny
    slope = np.abs(truth.d_weights - truth.delta[..., None])
    off_s = np.where(seen, held * moved + (held - p) * slope + a.tiny, 0)

    d_s = np.abs(truth.d_scores.hi)
    if problem.cap is not None:
        off_t, d_t = through_the_cap(problem, truth, a, off_s, d_s)
        rounded_t = off_t + a.u_weights * (d_t + off_t) + np.where(seen, a.least_weights, 0)
    rounded_s = off_s + a.u_weights * (d_s + off_s) + np.where(seen, a.least_weights, 0)  # where weights are rounded, so is their gradient

    def summed(count: int) -> tuple[Array, float]:
        """dS (its error, and the rounding of a sum over it, per unit of what it multiplies), and what underflows in such a sum of `count` terms."""
        counted = a.gamma(count + 2 * merges + 4)
        if problem.cap is not None:
            return rounded_t + counted * (d_t + rounded_t), (2 * count + 2 * merges + 4) * max(scale, 1.0) * a.tiny
        return rounded_s + counted * (d_s + rounded_s), (2 * count + 2 * merges + 4) * max(scale, 1.0) * a.tiny

    across, under = summed(keys)
    d_q = scale * across @ np.abs(k) + under
    down, under = summed(rows * group)
    d_k = scale * down.swapaxes(-1, -2) @ np.abs(problem.q) + under
    met = p if problem.kept is None else p * problem.kept
    d_v = (kept * held * (1 + a.gamma(rows * group + 2 * merges + 4)) - met).swapaxes(-1, -2) @ g + under

    def rounded(off: Array, true: Array, times: int = 1) -> Array:
        """Rounded to the output dtype `times` times, then summed over the query heads that share a key head."""
        off = off + ((1 + a.u_out) ** times - 1) * (np.abs(true) + off) + times * (1 + a.u_out) ** times * a.least_out
        if times == 1:
            return SLACK * off
        return SLACK * shared(np.where(np.abs(true) + off >= a.largest_out, np.inf, off), problem)  # a head's own gradient may overflow before it is added

    lost = ahead.overflow[..., None]
    spoilt = shared(np.where(lost, 1.0, 0.0), problem).max(-2, keepdims=True, initial=0) > 0  # key heads that such a row reads
    return Backward(
        d_q=np.where(lost, np.inf, rounded(d_q, truth.d_q.hi)),
        d_k=np.where(spoilt, np.inf, rounded(d_k, truth.d_k.hi, 1 + group)),
        d_v=np.where(spoilt, np.inf, rounded(d_v, truth.d_v.hi, 1 + group)),
        d_scores=np.where(lost, np.inf, SLACK * (rounded_s + a.u * (d_s + rounded_s) + a.tiny)),
    )


def through_the_cap(problem: Problem, truth: Truth, a: Rounding, off_s: Array, d_s: Array) -> tuple[Array, Array]:
    """Error and size of the gradient of the scaled products, dS · (1 − w²), w = capped score / cap: the error of w is that of the capped score over the cap;
    the quotient, the square and the difference round, and so does the product."""
    assert problem.cap is not None
    before = a.gamma(problem.q.shape[-1] + a.declared.score_roundings) * abs(float(problem.scale.mid()))
    raw = before * np.abs(problem.q) @ np.abs(heads(problem.k, problem)).swapaxes(-1, -2)
    off_w = capped(problem, raw, a) / problem.cap + a.gamma(1)
    seen = problem.visible
    w = np.where(seen, np.abs(np.where(seen, truth.scores, 0) - np.where(seen, problem.bias, 0)) / problem.cap, 0)
    slope = np.maximum(1 - w * w, 0)
    off_slope = off_w * (2 * w + off_w) + a.gamma(3)
    off: Array = np.where(seen, off_s * (slope + off_slope) + d_s * off_slope + a.gamma(1) * d_s + a.tiny, 0)
    return off, d_s * slope


def largest(x: Array, seen: npt.NDArray[np.bool_]) -> Array:
    """The maximum over the visible keys: x [B, H, N, M, E] → [B, H, N, E]; 0 where no key is visible."""
    found: Array = np.where(seen[..., None], x, 0).max(-2, initial=0)
    return found


def heads(x: Array, problem: Problem) -> Array:
    """Key-head arrays [B, G, …] repeated to query heads [B, H, …]."""
    return np.repeat(x, problem.q.shape[1] // problem.k.shape[1], axis=1)


def shared(x: Array, problem: Problem) -> Array:
    """Query-head arrays [B, H, …] summed to key heads [B, G, …]."""
    total: Array = x.reshape(x.shape[0], problem.k.shape[1], problem.q.shape[1] // problem.k.shape[1], *x.shape[2:]).sum(2)
    return total


def distances(v: Array, o: Array) -> Array:
    """|v_j − o_i| per feature: v [B, H, M, E], o [B, H, N, E] → [B, H, N, M, E]."""
    return np.abs(v[:, :, None] - o[..., None, :])


Part = tuple[Array, Array, Truth, Forward]


@np.errstate(over="ignore", invalid="ignore")
def merged(parts: list[Part], whole: Truth) -> tuple[Array, Array]:
    """The outputs of disjoint key sets merged in float64 by their log-sum-exps, and a bound on the merged error.

    With errors o_i' = o_i + a_i and weights w_i' ∝ w_i exp(b_i), |b_i| ≤ b: the merged error is at most Σ w_i a_i + (e^{2b} − 1) Σ w_i |o_i − o|,
    plus float64's own roundings (exp of a difference t of log-sum-exps: relative error of a few units and u t; sums and products of two terms).
    """
    lses = np.stack([part[1] for part in parts])
    top = lses.max(0)
    below = np.where(np.isfinite(top), top, 0) - lses
    raised = np.exp(-below)
    mass = raised.sum(0)
    weights = raised / np.where(mass == 0, 1, mass)
    merged_output: Array = sum(w[..., None] * part[0] for w, part in zip(weights, parts, strict=True))
    off = np.max([np.where(np.isfinite(part[2].log_sum_exp.hi), part[3].log_sum_exp, 0) for part in parts], axis=0)
    true_lse = np.where(np.isfinite(whole.log_sum_exp.hi), whole.log_sum_exp.hi, 0)
    limit = np.zeros_like(merged_output)
    for part, far in zip(parts, np.where(np.isfinite(below), below, 0)[..., None], strict=True):
        share = np.exp(part[2].log_sum_exp.hi - true_lse)[..., None]
        limit = limit + share * (part[3].output * np.exp(2 * off)[..., None] + np.expm1(2 * off)[..., None] * np.abs(part[2].output.hi - whole.output.hi))
        limit = limit + 2.0**-52 * share * (8 + far) * (np.abs(part[2].output.hi) + part[3].output)
    return merged_output, SLACK * limit + np.finfo(np.float64).tiny
