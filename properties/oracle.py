"""The true value of attention and its gradients, enclosed in balls. Knows nothing of `impl`: it computes the definition from the numbers.

Every result is kept as hi + lo in float64 (so that an error at float64's own rounding can be measured) beside the ball's radius.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from flint import arb, arb_mat, ctx

Array = npt.NDArray[np.float64]
BITS = 128


@dataclass(frozen=True, slots=True)
class Balls:
    """An array of balls: midpoint hi + lo (float64 each, |lo| ≤ ulp(hi)/2) and radius."""

    hi: Array
    lo: Array
    radius: Array

    def error(self, actual: Array) -> Array:
        """|actual − truth| per element, exact where actual is near the truth; NaN counts as infinitely far, equal infinities as no error."""
        with np.errstate(invalid="ignore"):
            gap = np.abs((actual - self.hi) - self.lo) + self.radius
        return np.where(actual == self.hi, np.abs(self.lo), np.where(np.isnan(gap), np.inf, gap)) if actual.size else gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One attention problem in float64 (every input dtype embeds exactly): q [B, H, N, D], k [B, G, M, D], v [B, G, M, E], where G divides H;
    bias and visible [B, H, N, M]; the scale as a ball; the cotangent g [B, H, N, E] where gradients are wanted, and that of the log-sum-exp,
    g_log_sum_exp [B, H, N], if it has one. With a `cap`, scaled products t are cap · tanh(t / cap) before the bias is added. `kept` [B, H, N, M] is what
    dropout multiplies each weight by, once they sum to 1."""

    q: Array
    k: Array
    v: Array
    bias: Array
    visible: npt.NDArray[np.bool_]
    scale: arb
    g: Array | None = None
    g_log_sum_exp: Array | None = None
    cap: float | None = None
    kept: Array | None = None

    def key_head(self, head: int) -> int:
        group: int = self.q.shape[1] // self.k.shape[1]
        return head // group


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Scores (−∞ where hidden), weights before dropout, output and log-sum-exp, and the gradients per query head (None without a cotangent); d_scores is
    that of what the softmax is taken of, d_weights of the weights before dropout.

    Shapes: scores and weights [B, H, N, M], output [B, H, N, E], log_sum_exp [B, H, N], d_q [B, H, N, D], d_k [B, H, M, D], d_v [B, H, M, E],
    d_weights and d_scores [B, H, N, M], delta [B, H, N].
    """

    scores: Array
    weights: Array
    output: Balls
    log_sum_exp: Balls
    d_q: Balls | None = None
    d_k: Balls | None = None
    d_v: Balls | None = None
    d_weights: Array | None = None
    d_scores: Balls | None = None
    delta: Array | None = None


def attention(problem: Problem) -> Truth:
    """The definition, head by head, in balls."""
    ctx.prec = BITS
    b, h, n, _ = problem.q.shape
    m, e, d = problem.k.shape[2], problem.v.shape[3], problem.q.shape[3]
    heads = [_head(problem, i, j) for i in range(b) for j in range(h)]

    def every(name: str) -> list[Any]:
        """The entries of all heads in order."""
        parts = [head[name] for head in heads]
        return [x for part in parts for row in part for x in row] if name not in PER_ROW else [x for part in parts for x in part]

    def gathered(name: str, *shape: int) -> Balls:
        return _balls(every(name), (b, h, *shape))

    def middles(name: str, *shape: int) -> Array:
        return np.array([-math.inf if x is None else float(x.mid()) for x in every(name)], dtype=np.float64).reshape(b, h, *shape)

    truth: dict[str, Any] = {
        "scores": middles("scores", n, m),
        "weights": middles("weights", n, m),
        "output": gathered("output", n, e),
        "log_sum_exp": gathered("log_sum_exp", n),
    }
    if problem.g is not None:
        shapes = {"d_q": (n, d), "d_k": (m, d), "d_v": (m, e), "d_scores": (n, m)}
        truth |= {name: gathered(name, *shape) for name, shape in shapes.items()}
        truth |= {"d_weights": middles("d_weights", n, m), "delta": middles("delta", n)}
    return Truth(**truth)


Rows = list[list[arb]]
PER_ROW = ("log_sum_exp", "delta")  # one number a row; all else has a row of them


def _head(p: Problem, b: int, h: int) -> dict[str, Any]:
    """One head's balls by name, as nested lists."""
    q, k, v = (_matrix(x) for x in (p.q[b, h], p.k[b, p.key_head(h)], p.v[b, p.key_head(h)]))
    n, m, e = p.q.shape[2], p.k.shape[2], p.v.shape[3]
    s = (q * k.transpose() * p.scale).tolist() if n and m else [[] for _ in range(n)]
    tanh = [[(x / p.cap).tanh() for x in row] for row in s] if p.cap is not None else []
    if p.cap is not None:
        s = [[p.cap * x for x in row] for row in tanh]
    bias, visible = p.bias[b, h].tolist(), p.visible[b, h].tolist()
    scores = [[s[i][j] + bias[i][j] if visible[i][j] else None for j in range(m)] for i in range(n)]
    weights, log_sum_exp = [], []
    for row in scores:
        top = max((x for x in row if x is not None), key=lambda x: float(x.mid()), default=None)
        raised = [arb(0) if x is None else (x - top).exp() for x in row]
        mass = sum(raised, arb(0))
        weights.append([w / mass for w in raised] if top is not None else raised)
        log_sum_exp.append(top + mass.log() if top is not None else None)
    met = weights if p.kept is None else [[x * y for x, y in zip(*rows, strict=True)] for rows in zip(weights, p.kept[b, h].tolist(), strict=True)]
    o = _product(met, v, n, e)
    out: dict[str, Any] = {"scores": scores, "weights": weights, "log_sum_exp": log_sum_exp, "output": o}
    if p.g is None:
        return out
    g = _matrix(p.g[b, h])
    d_w = _product(p.g[b, h].tolist(), v.transpose(), n, m) if m else [[] for _ in range(n)]
    if p.kept is not None:
        d_w = [[x * y for x, y in zip(*rows, strict=True)] for rows in zip(d_w, p.kept[b, h].tolist(), strict=True)]
    delta = [sum((x * y for x, y in zip(ws, ds, strict=True)), arb(0)) for ws, ds in zip(weights, d_w, strict=True)]
    if p.g_log_sum_exp is not None:  # its gradient by a score is the weight
        delta = [x - y for x, y in zip(delta, p.g_log_sum_exp[b, h].tolist(), strict=True)]
    d_s = [[x * (y - t) for x, y in zip(ws, ds, strict=True)] for ws, ds, t in zip(weights, d_w, delta, strict=True)]
    d_t = [[x * (1 - y * y) for x, y in zip(*rows, strict=True)] for rows in zip(d_s, tanh, strict=True)] if tanh else d_s  # of the scaled products
    d_k = _scaled(_product(_transposed(d_t, m), q, m, q.ncols()), p.scale)
    return out | {
        "d_weights": d_w,
        "delta": delta,
        "d_scores": d_s,
        "d_v": _product(_transposed(met, m), g, m, e),
        "d_q": _scaled(_product(d_t, k, n, k.ncols()), p.scale),
        "d_k": d_k,
    }


def _matrix(x: Array) -> arb_mat:
    return arb_mat(x.shape[0], x.shape[1], [arb(y) for y in x.ravel().tolist()])


def _product(rows: list[list[Any]], right: arb_mat, n: int, e: int) -> Rows:
    """rows [n, m] times right [m, e]; zeros where m = 0."""
    if not rows or not rows[0]:
        return [[arb(0)] * e for _ in range(n)]
    product: Rows = (arb_mat(rows) * right).tolist()
    return product


def _transposed(rows: Rows, columns: int) -> Rows:
    return [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in range(columns)]


def _scaled(rows: Rows, by: arb) -> Rows:
    return [[x * by for x in row] for row in rows]


def _balls(flat: list[Any], shape: tuple[int, ...]) -> Balls:
    """Balls (None for −∞) as arrays of the given shape."""
    middles = [None if x is None else x.mid() for x in flat]
    hi = [-math.inf if x is None else float(x) for x in middles]
    lo = [0.0 if x is None else float(x - y) for x, y in zip(middles, hi, strict=True)]
    radius = [0.0 if x is None else float(x.rad()) for x in flat]
    return Balls(*(np.array(part, dtype=np.float64).reshape(shape) for part in (hi, lo, radius)))


def true_scale(width: int, scale: float | None) -> arb:
    """The scale as a ball: the given float, or 1/√width."""
    ctx.prec = BITS
    return arb(width).rsqrt() if scale is None else arb(scale)


Oracle = Callable[[Problem], Truth]
