"""Running error analysis: how the error of each operation follows from those of its operands. What properties/tracked.py computes, operation by operation.

The model is that of theorems/rounding.py. A number of unknown sign is a = f − h with |a| = f + h, an error x of at most A has A − x ≥ 0 and A + x ≥ 0; bounds
are derived upwards, and exchanging the two parts of each turns them into their mirror images.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.rounding import Fractions, bounded_letter
from theorems.sources import BLANCHARD, HIGHAM
from theorems.step import Step
from theorems.symbols import j, total

f, h, g, k = sp.symbols("f h g k", nonnegative=True)  # a = f − h, b = g − k
x, most_x, x_below, x_above = bounded_letter("x")  # the error of a
y, most_y, y_below, y_above = bounded_letter("y")  # the error of b


def _product_holds(a: Fraction, b: Fraction, bounds: Fractions, places: Fractions, delta: Fraction, inverse_u: int) -> Outcome:
    """(a + x)(b + y)(1 + δ) against the bound, each error a part of its own."""
    u = Fraction(1, inverse_u)
    off_a, off_b = bounds
    computed = (a + places[0] * off_a) * (b + places[1] * off_b) * (1 + delta * u)
    off = abs(a) * off_b + off_a * abs(b) + off_a * off_b
    return exact.decided(abs(computed - a * b) <= off + u * (abs(a * b) + off))


@derived(
    Claim(
        id="running.product",
        title="The error of a product",
        states="A product of two numbers that are off by at most A and B is off by at most |a| B + A |b| + A B, before it is rounded itself.",
        precise=r"$|(a + x)(b + y) - ab| \le |a|B + A|b| + AB$ for $|x| \le A$, $|y| \le B$; the product's own rounding adds at most the unit roundoff $u$ times the largest value that it may have.",
        sources=(HIGHAM.at("Section 3.3"),),
        scope="all real a, b, x, y",
        kind=Kind.APPROXIMATION,
        holds=_product_holds,
    )
)
def product() -> Iterator[Step]:
    yield Step(
        (f - h + x) * (g - k + y) - (f - h) * (g - k), "<=", (f + h) * most_y + most_x * (g + k) + most_x * most_y,
        "three products of one error each with a number or an error, each at most the product of the sizes",
        certificate=f * y_below + h * y_above + g * x_below + k * x_above + (x_below * y_above + x_above * y_below) / 2,
    )  # fmt: skip


def _quotient_holds(a: Fraction, b: Fraction, bounds: Fractions, places: Fractions) -> Outcome:
    """(a + x)/(b + y) against the bound; nothing is said where the denominator may be 0."""
    off_a, off_b = bounds
    if off_b >= abs(b):
        return Outcome.HELD
    computed = (a + places[0] * off_a) / (b + places[1] * off_b)
    return exact.decided(abs(computed - a / b) <= (off_a + abs(a / b) * off_b) / (abs(b) - off_b))


@derived(
    Claim(
        id="running.quotient",
        title="The error of a quotient",
        states="A quotient whose denominator cannot reach zero is off by at most (A + |a/b| B) / (|b| − B).",
        precise=r"For computed numbers $a + x$ and $b + y$, with $q = a/b$, $|x| \le A$ and $|y| \le B < b$: $\left|\frac{a + x}{b + y} - q\right| \le \frac{A + |q|B}{b - B}$. Written with $q = f - h$ and $r = b - B > 0$; "
        r"a negative denominator changes both signs.",
        sources=(HIGHAM.at("Section 3.3"),),
        scope="all real a and x, every b ≠ 0",
        assumes=("B < |b|",),
        kind=Kind.APPROXIMATION,
        holds=_quotient_holds,
    )
)
def quotient() -> Iterator[Step]:
    room, q = sp.Symbol("r", positive=True), f - h
    b, limit = room + most_y, most_x + (f + h) * most_y
    yield Step((q * b + x) / (room + y_above) - q, "=", (x - q * y) / (room + y_above), "b + y = r + (B + y), and what q takes of it cancels")
    yield Step(
        (x - q * y) / (room + y_above), "<=", limit / room, "a numerator no larger than the limit's, over a denominator no smaller than r",
        certificate=(limit * y_above + room * (x_below + f * y_above + h * y_below)) / (room * (room + y_above)),
    )  # fmt: skip


def _any_order(terms: list[Fraction], roundings: Iterator[Fraction], order: Sequence[int]) -> Fraction:
    """The sum of the terms, two at a time as `order` picks them, each addition off by the next factor."""
    terms = list(terms)
    for pick in order:
        if len(terms) == 1:
            break
        first = terms.pop(pick % len(terms))
        second = terms.pop(pick // 7 % len(terms))
        terms.append((first + second) * next(roundings))
    return terms[0]


def _contraction_holds(
    left: Fractions, right: Fractions, third: Fractions, across: Fractions, order: Sequence[int], places: Fractions, inverse_u: int
) -> Outcome:
    """Σ_jk l_j r_j t_j x_k, every operation rounded: the terms of both axes added in one flat order, and t before or after that where it is the same in all."""
    u, terms_in_all = Fraction(1, inverse_u), len(left) * len(across)
    count = 3 + terms_in_all - 1
    if count * u >= 1:
        return Outcome.HELD
    roundings = iter([1 + at * u for at in places])
    shared = len(set(third)) == 1
    factors = [(p, q, Fraction(1) if shared else t, x) for x in across for p, q, t in zip(left, right, third, strict=True)]
    terms = [p * q * next(roundings) * x * next(roundings) for p, q, _, x in factors]
    if shared:
        computed = _any_order(terms, roundings, order) * third[0] * next(roundings)
    else:
        computed = _any_order([term * t * next(roundings) for term, (_, _, t, _) in zip(terms, factors, strict=True)], roundings, order)
    products = [p * q * t * x for x in across for p, q, t in zip(left, right, third, strict=True)]
    return exact.decided(abs(computed - sum(products)) <= count * u / (1 - count * u) * sum(map(abs, products)))


@derived(
    Claim(
        id="running.contraction",
        title="The error of a sum of products, in any order and association",
        states="Quadratic, recurrent and chunked forms of one sum of products share one error bound.",
        precise=r"With the unit roundoff $u$, let $\gamma_k = ku/(1 - ku)$. Each term of $\sum_j a_j b_j c_j$ meets at most (number of factors − 1) products' roundings and (number of terms − 1) additions', whatever the order and however the sum is "
        r"factored; $j$ may stand for several indices, and the number of terms is then the product of their lengths: "
        r"$|\hat\sigma - \sigma| \le \gamma\sum_j |a_j b_j c_j|$ with $\gamma$ of that count. Errors $A$, $B$, $C$ of the factors telescope: "
        r"$(a + A)(b + B)(c + C) - abc = A(b + B)(c + C) + aB(c + C) + abC$, without cancellation for sizes.",
        sources=(HIGHAM.at("Sections 3.1 and 4.2"),),
        scope="every number of terms, over one axis or several, all real factors; three factors are written out, further ones telescope alike",
        uses=("rounding.gamma", "running.product"),
        kind=Kind.APPROXIMATION,
        holds=_contraction_holds,
    )
)
def contraction() -> Iterator[Step]:
    below, above = sp.IndexedBase("y", nonnegative=True), sp.IndexedBase("z", nonnegative=True)
    up, down = sp.IndexedBase("f", nonnegative=True), sp.IndexedBase("h", nonnegative=True)
    theta, most = (above[j] - below[j]) / 2, (above[j] + below[j]) / 2
    yield Step(
        total(theta * (up[j] - down[j]), j), "<=", total(most * (up[j] + down[j]), j),
        "each term is off by a factor 1 + θ of its own, |θ| at most γ of the roundings that touch it",
        certificate=total(below[j] * up[j] + above[j] * down[j], j),
    )  # fmt: skip
    more, further = sp.symbols("x_1 x_2", integer=True, nonnegative=True)  # two parts of J = 1 + x_1 and K = 1 + x_2 terms
    yield Step(
        1 + more, "<=", (1 + more) + (1 + further) - 1,
        "induction over the way in which a sum is put together: where two parts of J and K terms are added, a term that has met J − 1 additions meets one more, J + K − 1 at the most",
        certificate=further,
    )  # fmt: skip
    yield Step(
        more + further, "<=", (1 + more) * (1 + further) - 1, "and where they are multiplied, it has met J − 1 and K − 1, and the product has JK terms: J + K − 2 are no more than JK − 1",
        certificate=more * further,
    )  # fmt: skip
    a, b, c, off_a, off_b, off_c = sp.symbols("a b c A B C", nonnegative=True)
    yield Step(
        (a + off_a) * (b + off_b) * (c + off_c) - a * b * c,
        "=",
        off_a * (b + off_b) * (c + off_c) + a * off_b * (c + off_c) + a * b * off_c,
        "one factor after the other is replaced by its size",
    )


ABOVE_ZERO = ("log", "sqrt")  # of these nothing is said where the argument may reach 0
SLOPES: dict[str, tuple[Callable[[arb], arb], Callable[[arb, arb], arb]]] = {
    "exp": (lambda t: t.exp(), lambda lo, hi: hi.exp()),
    "tanh": (lambda t: t.tanh(), lambda lo, hi: arb(1) if lo <= 0 and hi >= 0 else 1 / min(abs(lo), abs(hi), key=float).cosh() ** 2),
    "sigmoid": (lambda t: 1 / (1 + (-t).exp()), lambda lo, hi: min(arb(1) / 4, min(hi, arb(0), key=float).exp(), key=float)),
    "cos": (lambda t: t.cos(), lambda lo, hi: arb(1)),
    "sin": (lambda t: t.sin(), lambda lo, hi: arb(1)),
    "expm1": (lambda t: t.expm1(), lambda lo, hi: hi.exp()),
    "log": (lambda t: t.log(), lambda lo, hi: 1 / lo),
    "sqrt": (lambda t: t.sqrt(), lambda lo, hi: 1 / (2 * lo.sqrt())),
    "relu": (lambda t: (t + abs(t)) / 2, lambda lo, hi: arb(1)),
}


def _slope_holds(at: Fraction, off: Fraction, place: Fraction) -> Outcome:
    """|f(a + x) − f(a)| of every function against its slope's bound over [a − A, a + A], in balls; nothing is said outside a function's domain."""
    defined = [name for name in SLOPES if name not in ABOVE_ZERO or at > off]
    moved = [abs(SLOPES[name][0](ball(at + place * off)) - SLOPES[name][0](ball(at))) for name in defined]
    return exact.at_most(moved, [SLOPES[name][1](ball(at - off), ball(at + off)) * ball(off) for name in defined])


@derived(
    Claim(
        id="running.function",
        title="The error that a function passes on",
        states="exp, expm1, log, square root, tanh, the logistic function, cosine, sine and ReLU pass an error on by at most their largest slope nearby.",
        precise=r"For a number $a$ that is off by $x$, $|x| \le A$: $|f(a + x) - f(a)| \le A\max|f'|$ over $[a - A, a + A]$ by the mean value theorem, with $\exp' = \mathrm{expm1}' = \exp$ "
        r"rising (at most $e^{a+A}$), $\log' = 1/t$ and $\sqrt{t}\,' = 1/(2\sqrt t)$ falling (at most their values at $a - A > 0$), "
        r"$\tanh' = 1/\cosh^2$ falling with the distance "
        r"from 0, $\sigma' = \sigma(1 - \sigma) \le \min(1/4, e^{t})$, and slopes of cosine and sine within $[-1, 1]$. ReLU, "
        r"which has a kink, is 1-Lipschitz. The error that the computed function adds itself is relative to its value, and counted beside.",
        sources=(HIGHAM.at("Section 3.3"),),
        scope="all real a and x; for logarithm and square root all a > A",
        kind=Kind.APPROXIMATION,
        holds=_slope_holds,
    )
)
def function() -> Iterator[Step]:
    t = sp.Symbol("t", real=True)
    logistic = 1 / (1 + sp.exp(-t))
    yield Step(sp.Derivative(logistic, t), "=", logistic * (1 - logistic), "the logistic function's slope from its value")
    yield Step(logistic * (1 - logistic), "<=", sp.Rational(1, 4), "a square is missing", certificate=(logistic - sp.Rational(1, 2)) ** 2)
    yield Step(
        sp.exp(t) / (1 + sp.exp(t)) ** 2, "<=", sp.exp(t), "far to the left it falls as the exponential does",
        certificate=sp.exp(t) * (2 * sp.exp(t) + sp.exp(2 * t)) / (1 + sp.exp(t)) ** 2,
    )  # fmt: skip
    yield Step(sp.Derivative(sp.exp(t) - 1, t), "=", sp.exp(t), "expm1 is as steep as exp")
    low, further = sp.Symbol("t_0", positive=True), sp.Symbol("z", nonnegative=True)
    yield Step(sp.Derivative(sp.log(low), low), "=", 1 / low, "the slope of the logarithm")
    yield Step(1 / (low + further), "<=", 1 / low, "is largest at the lower end", certificate=further / (low * (low + further)))
    yield Step(sp.Derivative(sp.sqrt(low), low), "=", 1 / (2 * sp.sqrt(low)), "the slope of the square root")
    yield Step(
        1 / (2 * (low + further)), "<=", 1 / (2 * low), "as well: t₀ is the root at the lower end, and roots rise with their arguments",
        certificate=further / (2 * low * (low + further)),
    )  # fmt: skip
    yield Step(
        sp.Max(f, 0) - sp.Max(-h, 0), "<=", f + h, "ReLU from −h to f, on the two sides of its kink; on one side its slope is 1 or 0",
        certificate=h,
    )  # fmt: skip
    yield Step(
        sp.sin(t) ** 2,
        "<=",
        sp.sin(t) ** 2 + sp.cos(t) ** 2,
        "cosine's slope is −sin, whose square is at most sin² + cos² = 1; sine's is cos, likewise",
        certificate=sp.cos(t) ** 2,
    )
    nearer, beyond = sp.symbols("x z", nonnegative=True)  # e^(2t) = 1 + x, and 1 + x + z further from 0
    grown = 1 + nearer
    yield Step(1 - ((grown - 1) / (grown + 1)) ** 2, "=", 4 * grown / (grown + 1) ** 2, "the slope of tanh, 1 − tanh², in e^(2t), t ≥ 0; it is even")
    yield Step(
        4 * (grown + beyond) / (grown + beyond + 1) ** 2, "<=", 4 * grown / (grown + 1) ** 2, "and falls as e^(2t) rises: steepest nearest to 0",
        certificate=sp.expand(4 * beyond * (grown * (grown + beyond) - 1)) / ((grown + 1) ** 2 * (grown + beyond + 1) ** 2),
    )  # fmt: skip
    yield Step(sp.Derivative(sp.tanh(t), t), "=", 1 - sp.tanh(t) ** 2, "the slope of tanh from its value")


def _softmax_holds(weights: Fractions, bounds: Fractions, places: Fractions) -> Outcome:
    """Each normalised weight under factors 1 + place·bound, against its relative bound; nothing is said where Σ p θ ≥ 1."""
    mass = sum(weights)
    p = [w / mass for w in weights]
    left = 1 - sum((w * t for w, t in zip(p, bounds, strict=True)), Fraction(0))
    if left <= 0:
        return Outcome.HELD
    moved = [w * (1 + at * t) for w, at, t in zip(p, places, bounds, strict=True)]
    whole = sum(moved)
    return exact.decided(all(abs(m / whole - w) <= w * ((1 + t) / left - 1) for m, w, t in zip(moved, p, bounds, strict=True)))


@derived(
    Claim(
        id="running.weights",
        title="The relative error of a softmax weight",
        states="A weight whose exponential is off by a factor within 1 ± θ is off, once normalised, by a factor of at most (1 + θ) / (1 − Σ p θ).",
        precise=r"With $p'_j = p_j(1 + a_j) / \sum_l p_l(1 + a_l)$, $|a_j| \le \theta_j$, $c = 1 - \sum_l p_l\theta_l > 0$: $p'_j \le p_j(1 + \theta_j)/c$ and "
        r"$p_j - p'_j \le p_j((1 + \theta_j)/c - 1)$: where $\theta_j \le 1$ it is at most $p_j(\theta_j + S)$ with $S = 1 - c$, and else at most "
        r"$p_j(1 + (\theta_j - 1)/c)$. Written with $a = (z - y)/2$, $\theta = (z + y)/2$ and "
        r"$\sum_l p_l(1 + a_l) = c + G$, $G = \sum_l p_l(\theta_l + a_l)$.",
        sources=(BLANCHARD.at("Section 4"), HIGHAM.at("Section 3.1")),
        scope="every n ≥ 1, all positive weights",
        assumes=("Σ p θ < 1",),
        uses=("rounding.factor", "rounding.gamma"),
        kind=Kind.APPROXIMATION,
        holds=_softmax_holds,
    )
)
def normalised_weight() -> Iterator[Step]:
    a, theta, below, _ = bounded_letter("a")
    c, grown = sp.symbols("c G", positive=True)
    yield Step(
        (1 + a) / (c + grown), "<=", (1 + theta) / c, "upwards: Σ p (1 + a) = c + G is no smaller than c",
        certificate=(below * c + (1 + theta) * grown) / (c * (c + grown)),
    )  # fmt: skip
    t, most = sp.symbols("theta S", nonnegative=True)
    yield Step(
        1 - t - most, "<=", (1 - t) / (1 + most), "downwards, where θ ≤ 1: 1 + a is no smaller than 1 − θ, and Σ p (1 + a) no larger than 1 + S",
        certificate=(t + most) * most / (1 + most),
    )  # fmt: skip
    m = sp.Symbol("m", nonnegative=True)
    yield Step(
        t + m / (1 + m), "<=", (1 + t) * (1 + m) - 1, "the bound upwards is the larger one: S = m/(1 + m), so that 1/c = 1 + m",
        certificate=m * (t + m / (1 + m)),
    )  # fmt: skip
    over, moved = sp.symbols("s_0 y", nonnegative=True)
    yield Step(
        1 - (moved - over) / (c + grown), "<=", 1 + over / c, "downwards, where θ = 1 + s₀ exceeds 1: 1 + a = y − s₀, over c + G",
        certificate=(moved * c + over * grown) / (c * (c + grown)),
    )  # fmt: skip
    yield Step(
        1 + over * (1 + m), "<=", (2 + over) * (1 + m) - 1, "and there the bound upwards is the larger one too, 1/c = 1 + m",
        certificate=2 * m,
    )  # fmt: skip
