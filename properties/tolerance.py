"""The only home of error bounds. Each is derived, per element, from the actual inputs and the declared arithmetic; see theorems/rounding.py.

The model: every operation returns its exact result times (1 + δ), |δ| ≤ u, up to an absolute underflow error of at most η; exp and log have
relative error ε. Bounds are in float64 and widened by SLACK for their own rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from impl.variant import Arithmetic
from properties.oracle import Array, Problem, Truth

SLACK = 1 + 2**-20  # the bounds are themselves computed in float64, in far fewer than 2^30 operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding:
    """The arithmetic of one call: unit roundoff and smallest normal number of the accumulator; of the output and of the rounded weights, unit
    roundoff and smallest subnormal number; relative error of exp."""

    u: float
    tiny: float
    u_out: float
    least_out: float
    u_weights: float
    least_weights: float
    u_saved: float
    exp: float
    declared: Arithmetic

    def gamma(self, operations: float | Array) -> Array:
        """γ_k = k u / (1 − k u): the relative error of a product of k factors (1 + δ). Higham 2002, Lemma 3.1."""
        k = np.asarray(operations, dtype=np.float64) * self.u
        if (k >= 0.5).any():
            raise ValueError("too many operations for this precision: γ would exceed 1")
        return k / (1 - k)

    def merges(self, keys: int) -> int:
        """How often a running state is rescaled, at most, over `keys` keys."""
        tile = self.declared.tile
        return 0 if tile is None else -(-keys // tile)


def rounding(dtype: torch.dtype, declared: Arithmetic) -> Rounding:
    """The arithmetic for inputs of `dtype`: half precisions accumulate in float32, the others in themselves."""
    wide = torch.finfo(torch.float32 if dtype in (torch.float16, torch.bfloat16) else dtype)
    own = torch.finfo(dtype)
    weights = own if declared.weights == "input" else wide
    return Rounding(
        u=wide.eps / 2,
        tiny=wide.tiny,
        u_out=own.eps / 2,
        least_out=own.smallest_normal * own.eps,
        u_weights=weights.eps / 2 if declared.weights == "input" else 0.0,
        least_weights=weights.smallest_normal * weights.eps if declared.weights == "input" else 0.0,
        u_saved=own.eps / 2 if declared.saved_output == "input" else 0.0,
        exp=declared.exp_ulp * wide.eps,
        declared=declared,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """Bounds on the error of output [B, H, N, E] and log-sum-exp [B, H, N], and what backward needs: the output's bound before it is rounded to
    its dtype, the exponents' error [B, H, N, M], the weights' relative error as backward rebuilds them, and their absolute error [B, H, N, 1]."""

    output: Array
    log_sum_exp: Array
    unrounded: Array
    exponent: Array
    rebuilt: Array
    underflow: Array


def forward(problem: Problem, truth: Truth, arithmetic: Rounding, moved: tuple[Array, Array] | None = None) -> Forward:
    """The forward bounds. `moved` = (score error [B, H, N, M], value error [B, G, M, E]) that the inputs themselves already carry."""
    a, p = arithmetic, truth.weights
    keys = p.shape[-1]
    merges = a.merges(keys)
    k, v = (heads(x, problem) for x in (problem.k, problem.v))
    scale = abs(float(problem.scale.mid()))
    size = scale * np.abs(problem.q) @ np.abs(k).swapaxes(-1, -2) + np.abs(np.where(problem.visible, problem.bias, 0))
    score = a.gamma(problem.q.shape[-1] + a.declared.score_roundings) * size + problem.q.shape[-1] * a.tiny
    if moved is not None:
        score = score + moved[0]
    top = truth.scores.max(-1, keepdims=True, initial=-np.inf)
    depth = np.where(problem.visible, np.where(np.isfinite(top), top, 0) - np.where(problem.visible, truth.scores, 0), 0)  # below the row's maximum
    score = np.where(problem.visible, score, 0)
    depth = depth + 2 * score.max(-1, keepdims=True, initial=0) + a.declared.stabiliser
    exponent = np.where(problem.visible, score + a.gamma(1) * depth + (merges + 1) * np.log1p(2 * a.exp), 0)  # log of the weight's relative error
    theta = np.expm1(exponent)
    underflow = np.full((*p.shape[:-1], 1), (merges + 2) * a.tiny * np.exp(a.declared.stabiliser) + a.least_weights)

    shift = (p * theta).sum(-1, keepdims=True)
    spread = distances(v, truth.output.hi)  # |v_j − o| [B, H, N, M, E]
    seen = problem.visible[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        moved_mean = np.where(shift < 1, np.einsum("bhnm,bhnme->bhne", p * theta, spread) / (1 - shift), np.inf)
        inflated = np.where(shift < 1, np.einsum("bhnm,bhme->bhne", p * (1 + theta), np.abs(v)) / (1 - shift), np.inf)
    hull = np.where(seen, spread, 0).max(-2, initial=0)
    largest = np.where(seen, np.abs(v)[:, :, None], 0).max(-2, initial=0)
    counted = (1 + a.gamma(2 * keys + 4 * merges + 1)) * (1 + a.u_weights) - 1
    unrounded = np.minimum(moved_mean, hull) + counted * np.minimum(inflated, largest)
    unrounded = unrounded + (underflow * np.where(seen, np.abs(v)[:, :, None] + np.abs(truth.output.hi)[..., None, :], 0).sum(-2)) + (keys + 3) * a.tiny
    if moved is not None:
        unrounded = unrounded + np.einsum("bhnm,bhme->bhne", p, heads(moved[1], problem)) + np.minimum(np.expm1(exponent.max()), 1) * moved[1].max(initial=0)

    worst = exponent.max(-1, initial=0)
    mass = np.where(np.isfinite(top[..., 0]), truth.log_sum_exp.hi - np.where(np.isfinite(top[..., 0]), top[..., 0], 0), 0)  # log of Σ exp(s − max)
    counting = a.gamma(keys + 2 * merges + 1)
    size_lse = np.where(np.isfinite(truth.log_sum_exp.hi), np.abs(truth.log_sum_exp.hi), 0)
    log_sum_exp = worst + 2 * counting + a.exp * (mass + a.declared.stabiliser) + 2 * a.u * (size_lse + worst) + a.tiny
    rebuilt = exponent + worst[..., None] + 2 * counting + a.gamma(2)
    if a.declared.recompute == "log-sum-exp":
        rebuilt = rebuilt + (log_sum_exp - worst)[..., None] + a.gamma(1) * (mass[..., None] + depth)
    return Forward(
        output=SLACK * (unrounded + a.u_out * (np.abs(truth.output.hi) + unrounded) + a.least_out),
        log_sum_exp=SLACK * log_sum_exp,
        unrounded=unrounded + a.u_saved * np.abs(truth.output.hi),
        exponent=exponent,
        rebuilt=np.expm1(rebuilt),
        underflow=underflow,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backward:
    """Bounds on the errors of d_q [B, H, N, D], d_k [B, G, M, D], d_v [B, G, M, E] and of the score gradient [B, H, N, M]."""

    d_q: Array
    d_k: Array
    d_v: Array
    d_scores: Array


def backward(problem: Problem, truth: Truth, arithmetic: Rounding, ahead: Forward) -> Backward:
    """The gradients' bounds, from the forward pass's. Raises ValueError if the problem has no cotangent."""
    if problem.g is None or truth.d_scores is None or truth.d_weights is None or truth.delta is None or not (truth.d_q and truth.d_k and truth.d_v):
        raise ValueError("the problem has no cotangent, so there is no gradient to bound")
    a, p, pi = arithmetic, truth.weights, ahead.rebuilt
    k, v = (heads(x, problem) for x in (problem.k, problem.v))
    g, scale = np.abs(problem.g), abs(float(problem.scale.mid()))
    rows, keys, width = problem.q.shape[2], problem.k.shape[2], problem.v.shape[3]
    merges, group = a.merges(max(keys, rows)), problem.q.shape[1] // problem.k.shape[1]
    absent = np.where(problem.visible, ahead.underflow, 0)

    d_p, delta = np.abs(truth.d_weights), np.abs(truth.delta)[..., None]
    size_p = g @ np.abs(v).swapaxes(-1, -2)
    off_p = a.gamma(width + 1) * size_p
    by_output = (g * ahead.unrounded).sum(-1, keepdims=True) + a.gamma(width + 1) * (g * np.abs(truth.output.hi)).sum(-1, keepdims=True)
    by_weights = (p * (pi * d_p + (1 + pi) * off_p) + absent * (d_p + off_p)).sum(-1, keepdims=True)
    by_weights = by_weights + a.gamma(keys + 1) * (p * (1 + pi) * (d_p + off_p)).sum(-1, keepdims=True)
    off_delta = np.maximum(by_output, by_weights)
    slope = np.abs(truth.d_weights - truth.delta[..., None])
    moved = off_p + off_delta + a.gamma(4) * (d_p + delta)
    off_s = p * ((1 + pi) * moved + pi * slope) + absent * (slope + moved)

    d_s = np.abs(truth.d_scores.hi)
    count = (1 + a.gamma(keys + 2 * merges + 4)) * (1 + a.u_weights) - 1
    d_q = scale * (off_s * (1 + count) + count * d_s + a.least_weights) @ np.abs(k) + (keys + 3) * a.tiny
    count = (1 + a.gamma(rows * group + 2 * merges + 4)) * (1 + a.u_weights) - 1
    d_k = scale * (off_s * (1 + count) + count * d_s + a.least_weights).swapaxes(-1, -2) @ np.abs(problem.q) + (rows * group + 3) * a.tiny
    off_w = p * ((1 + pi) * (1 + count) - 1) + absent
    d_v = off_w.swapaxes(-1, -2) @ g + (rows * group + 3) * a.tiny

    def rounded(off: Array, true: Array, times: int = 1) -> Array:
        """Rounded to the output dtype `times` times, then summed over the query heads that share a key head."""
        off = off + times * (a.u_out * (np.abs(true) + off) + a.least_out)
        return SLACK * (off if times == 1 else shared(off, problem))

    return Backward(
        d_q=rounded(d_q, truth.d_q.hi),
        d_k=rounded(d_k, truth.d_k.hi, 1 + group),
        d_v=rounded(d_v, truth.d_v.hi, 1 + group),
        d_scores=SLACK * (off_s * (1 + a.u_weights) + a.u_weights * d_s + a.u * d_s + a.tiny),
    )


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


def merged(parts: list[Part], whole: Truth) -> tuple[Array, Array]:
    """The outputs of disjoint key sets merged in float64 by their log-sum-exps, and a bound on the merged error.

    With errors o_i' = o_i + a_i and weights w_i' ∝ w_i exp(b_i), |b_i| ≤ b: the merged error is at most Σ w_i a_i + (e^{2b} − 1) Σ w_i |o_i − o|,
    plus float64's own roundings (exp of a difference of log-sum-exps, sums and products of two terms).
    """
    lses = np.stack([part[1] for part in parts])
    top = lses.max(0)
    raised = np.exp(lses - np.where(np.isfinite(top), top, 0))
    mass = raised.sum(0)
    weights = raised / np.where(mass == 0, 1, mass)
    merged_output: Array = sum(w[..., None] * part[0] for w, part in zip(weights, parts, strict=True))  # type: ignore[assignment]
    off = np.max([np.where(np.isfinite(part[2].log_sum_exp.hi), part[3].log_sum_exp, 0) for part in parts], axis=0)
    true_lse = np.where(np.isfinite(whole.log_sum_exp.hi), whole.log_sum_exp.hi, 0)
    limit = np.zeros_like(merged_output)
    for part in parts:
        share = np.exp(part[2].log_sum_exp.hi - true_lse)[..., None]
        limit = limit + share * (part[3].output * np.exp(2 * off)[..., None] + np.expm1(2 * off)[..., None] * np.abs(part[2].output.hi - whole.output.hi))
        size = np.where(np.isfinite(part[2].log_sum_exp.hi), np.abs(part[2].log_sum_exp.hi), 0)[..., None]
        limit = limit + 2.0**-52 * share * (8 + size) * (np.abs(part[2].output.hi) + part[3].output)
    return merged_output, SLACK * limit + np.finfo(np.float64).tiny
