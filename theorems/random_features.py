"""Random features for softmax attention: which kernel each kind estimates, how far off it is, and what becomes of the ratio that attention needs.

A feature is drawn with a standard normal vector w. A Gaussian mean is taken from an antiderivative in one component, whose values at ±∞ are put in, or from a
quantity whose integral does not depend on a parameter; components are independent, so a mean over all of them is a product. The exact checks integrate the
density in ball arithmetic, one component at a time, with a bound on the tails: they use none of the closed forms.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import cache

import sympy as sp
from flint import acb, arb, ctx

from theorems import exact
from theorems.balls import BITS
from theorems.claim import Claim, derived
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import S0, S1, Source
from theorems.step import Step
from theorems.symbols import K, Q, a, b, d, i, j, l, m, r, t, total

RAHIMI = Source(
    key="rahimi2007",
    title="Random Features for Large-Scale Kernel Machines",
    url="https://papers.nips.cc/paper/2007/hash/013a006f03dbc5392effeb8f18fda755-Abstract.html",
)
CHOROMANSKI = Source(key="choromanski2021", title="Rethinking Attention with Performers", url="https://arxiv.org/abs/2009.14794")

Vector = Sequence[Fraction | int]
w = sp.IndexedBase("w", real=True)  # one draw, w[a], independent standard normal components
x, y = sp.IndexedBase("x", real=True), sp.IndexedBase("y", real=True)  # the two arguments of a kernel
z, u = sp.IndexedBase("z", real=True), sp.IndexedBase("u", real=True)
one, tau = sp.symbols("omega tau", real=True)  # one component of w; a parameter
alpha, beta, phase = sp.symbols("alpha beta b_0", real=True)  # w·x, w·y, and the phase of a cosine
same = sp.KroneckerDelta(r, t)
DRAWN = "the rows of W are standard normal, and b is uniform on [0, 2π]"
NORMAL = sp.exp(-(one**2) / 2) / sp.sqrt(2 * sp.pi)
DISTRIBUTION = (1 + sp.erf(one / sp.sqrt(2))) / 2  # an antiderivative of NORMAL


def square(vector: sp.Expr) -> sp.Expr:
    """|vector|², for a component with the index a."""
    return total(vector**2, a)


def dot(left: sp.IndexedBase, right: sp.IndexedBase) -> sp.Expr:
    return total(left[a] * right[a], a)


def density(at: sp.Expr) -> sp.Expr:
    """The standard normal density in d dimensions."""
    return (2 * sp.pi) ** (-d / 2) * sp.exp(-square(at) / 2)


def over_the_line(antiderivative: sp.Expr) -> sp.Expr:
    return sp.Subs(antiderivative, one, sp.oo) - sp.Subs(antiderivative, one, -sp.oo)


def exponential_mean(vector: sp.Expr) -> sp.Expr:
    """E[e^(w·vector)], by gaussian-exponential."""
    return sp.exp(square(vector) / 2)


def cosine_mean(vector: sp.Expr) -> sp.Expr:
    """E[cos(w·vector)], by gaussian-cosine."""
    return sp.exp(-square(vector) / 2)


def variance_of_average(mean: sp.Expr, mean_square: sp.Expr) -> sp.Expr:
    """Of m independent features: over all pairs of them, the mean of their product, less the squared mean."""
    return total(total(same * mean_square + (1 - same) * mean**2, t), r) / m**2 - mean**2


# --- means over a normal vector, integrated in balls -------------------------------------------------------------------------------------


@cache
def _line(rate: Fraction, wave: bool) -> acb:
    """E[e^(rate·w)] or E[e^(i·rate·w)] for one standard normal w: integrated over [−L, L], and a ball for the rest.

    For |w| ≥ L ≥ 4|rate| the integrand is at most e^(−w²/4), so what lies outside is at most e^(−L²/4).
    """
    ctx.prec = BITS
    edge = max(4 * abs(rate), Fraction(24))
    factor = acb(0, 1) if wave else acb(1)
    inside = acb.integral(lambda v, _: (factor * acb(ball(rate)) * v - v * v / 2).exp(), acb(-ball(edge)), acb(ball(edge)))
    tail = (-ball(edge * edge / 4)).exp()
    return inside / acb((2 * arb.pi()).sqrt()) + acb(arb(0, tail), arb(0, tail))


def _mean_exponential(vector: Vector) -> arb:
    product = acb(1)
    for value in vector:
        product *= _line(Fraction(value), False)
    return product.real


Waves = dict[tuple[tuple[Fraction, ...], int], Fraction]  # (frequencies, multiple of the phase) → coefficient of e^(i(w·frequencies + multiple·b))


def _cosine(vector: Vector) -> Waves:
    up = tuple(Fraction(value) for value in vector)
    down = tuple(-value for value in up)
    return {(up, 1): Fraction(1, 2), (down, -1): Fraction(1, 2)}


def _times(left: Waves, right: Waves) -> Waves:
    product: Waves = {}
    for (f, p), coefficient in left.items():
        for (g, q), other in right.items():
            place = tuple(v + o for v, o in zip(f, g, strict=True)), p + q
            product[place] = product.get(place, Fraction(0)) + coefficient * other
    return product


def _mean_waves(waves: Waves) -> arb:
    """The mean over w and over a phase uniform on a whole turn, which keeps the terms without a phase."""
    mean = acb(0)
    for (frequencies, multiple), coefficient in waves.items():
        term = acb(ball(coefficient))
        for frequency in frequencies:
            term *= _line(frequency, True)
        mean += term if multiple == 0 else 0
    return mean.real


def _sum(values: Sequence[arb]) -> arb:
    return sum(values, arb(0))


def _inner(left: Vector, right: Vector) -> Fraction:
    return sum((Fraction(p) * q for p, q in zip(left, right, strict=True)), Fraction(0))


def _plus(left: Vector, right: Vector) -> tuple[Fraction, ...]:
    return tuple(Fraction(p) + q for p, q in zip(left, right, strict=True))


def _scaled(factor: Fraction | int, vector: Vector) -> tuple[Fraction, ...]:
    return tuple(Fraction(factor) * value for value in vector)


def _exp(power: Fraction | int) -> arb:
    return ball(power).exp()


def _same(found: arb, expected: arb) -> Outcome:
    """Equal up to a factor of 1: the numbers may be huge."""
    return exact.equal([found / expected], [1])


def _positive_moment(left: Vector, right: Vector, order: int) -> arb:
    """E[(e^(w·x − |x|²/2) e^(w·y − |y|²/2))^order], from the integrals."""
    lengths = _exp(-Fraction(order, 2) * (_inner(left, left) + _inner(right, right)))
    return lengths * _mean_exponential(_scaled(order, _plus(left, right)))


def _average_variance(features: int, mean: arb, mean_square: arb) -> arb:
    """Var of the average of independent features, pair by pair."""
    pairs = [mean_square if one_of == other else mean * mean for one_of in range(features) for other in range(features)]
    return _sum(pairs) / features**2 - mean * mean


# --- two Gaussian means -----------------------------------------------------------------------------------------------------------------


def _exponential_holds(vector: Vector) -> Outcome:
    return _same(_mean_exponential(vector), _exp(_inner(vector, vector) / 2))


@derived(
    Claim(
        id="random_features.gaussian-exponential",
        title="The Gaussian mean of an exponential",
        states="(Not in the texts; a lemma of the cited paper.) The mean of e^(w·u) over a standard normal w is e^(|u|²/2).",
        precise=r"$\mathbb E\,e^{w\cdot u} = \prod_a \mathbb E\,e^{w_a u_a} = e^{|u|^2/2}$ for $w \sim \mathcal N(0, I_d)$ (the product is written as the "
        r"exponential of a sum of logarithms).",
        sources=(CHOROMANSKI.at("Lemma 1"),),
        scope="any d ≥ 1, every real u",
        holds=_exponential_holds,
    )
)
def gaussian_exponential() -> Iterator[Step]:
    shifted = sp.exp(tau**2 / 2) * DISTRIBUTION.subs(one, one - tau)
    yield Step(
        sp.exp(dot(w, u)) * density(w[a]),
        "=",
        exponential_mean(u[a]) * density(w[a] - u[a]),
        "Completing the square: tilting the density by e^(w·u) shifts it by u and scales it by a constant.",
    )
    yield Step(sp.Derivative(shifted, one), "=", sp.exp(tau * one) * NORMAL, "One component: an antiderivative of e^(τω) times the density.")
    component = shifted.subs(tau, u[a])
    yield Step(
        sp.exp(total(sp.log(over_the_line(component)), a)),
        "=",
        exponential_mean(u[a]),
        "Its values at ±∞, with τ = u_a, give the mean in one component; components are independent, so the mean of the product is the product of the means.",
    )


def _wave_holds(vector: Vector) -> Outcome:
    mean = acb(1)
    for value in vector:
        mean *= _line(Fraction(value), True)
    return exact.equal([mean.real, mean.imag], [_exp(-_inner(vector, vector) / 2), 0])


@derived(
    Claim(
        id="random_features.gaussian-cosine",
        title="The Gaussian mean of a cosine",
        states="(Not in the texts; from the cited paper.) The mean of cos(w·z) over a standard normal w is the Gaussian kernel.",
        precise=r"$\mathbb E\cos(w\cdot z) = e^{-|z|^2/2}$ for $w \sim \mathcal N(0, I_d)$: $e^{\tau^2|z|^2/2}\,\mathbb E\cos(\tau\,w\cdot z)$ does not "
        r"depend on $\tau$, and is 1 at $\tau = 0$ "
        r"(the integral of the density, a product over components written as the exponential of a sum of logarithms).",
        sources=(RAHIMI.at("Section 3, Figure 1"),),
        scope="any d ≥ 1, every real z",
        holds=_wave_holds,
    )
)
def gaussian_cosine() -> Iterator[Step]:
    grown = sp.exp(tau**2 * square(z[a]) / 2) * density(w[a])
    angle = tau * dot(w, z)
    yield Step(
        sp.Derivative(grown * sp.cos(angle), tau),
        "=",
        total(sp.Derivative(z[b] * grown * sp.sin(angle), w[b]), b),
        "What the parameter τ changes is a divergence in w.",
    )
    yield Step(
        sp.Subs(NORMAL, one, sp.oo) + sp.Subs(NORMAL, one, -sp.oo),
        "=",
        sp.Integer(0),
        "A divergence integrates to the flow through infinity: a sine is at most 1 and the density vanishes there, so the flow is 0.",
    )
    yield Step(sp.Derivative(DISTRIBUTION, one), "=", NORMAL, "The density's antiderivative.")
    yield Step(
        sp.exp(-square(z[a]) / 2) * sp.exp(total(sp.log(over_the_line(DISTRIBUTION)), a)),
        "=",
        cosine_mean(z[a]),
        "At τ = 1 the mean is e^(−|z|²/2) times the value at τ = 0, the integral of the density over every component.",
    )


# --- positive features ------------------------------------------------------------------------------------------------------------------

lengths = sp.exp(-square(x[a]) / 2) * sp.exp(-square(y[a]) / 2)
positive_mean = lengths * exponential_mean(x[a] + y[a])
positive_square = lengths**2 * exponential_mean(2 * (x[a] + y[a]))
kernel = sp.exp(dot(x, y))


def _positive_mean_holds(features: int, left: Vector, right: Vector) -> Outcome:
    estimate = _sum([_positive_moment(left, right, 1) / features for _ in range(features)])
    return _same(estimate, _exp(_inner(left, right)))


@derived(
    Claim(
        id="random_features.positive-unbiased",
        title="Positive random features estimate e^(x·y) without bias",
        states="(Not in the text; from the cited paper.) Positive random features are unbiased for the softmax kernel.",
        precise=r"$\mathbb E[\phi(x)\cdot\phi(y)] = e^{x\cdot y}$ with $\phi_r(x) = m^{-1/2}e^{w_r\cdot x - |x|^2/2}$, $w_1, \dots, w_m$ each $\mathcal "
        r"N(0, I_d)$. Their dependence plays no part, so "
        "orthogonal rows are unbiased too, if each alone is standard normal (lengths drawn, directions uniform).",
        sources=(S1.at("Performer (Linear Attention)"), CHOROMANSKI.at("Lemma 1")),
        scope="any m, d ≥ 1, every real x and y",
        inventory=("C128",),
        uses=("random_features.gaussian-exponential",),
        holds=_positive_mean_holds,
    )
)
def positive_unbiased() -> Iterator[Step]:
    feature = (sp.exp(dot(w, v) - square(v[a]) / 2) for v in (x, y))
    yield Step(
        next(feature) * next(feature), "=", lengths * sp.exp(total(w[a] * (x[a] + y[a]), a)), "One product of features is e^(w·(x + y)) times a constant."
    )
    yield Step(total(positive_mean / m, r), "=", kernel, "The mean of each of the m products, from the Gaussian mean of e^(w·(x + y)).")


def _positive_variance_holds(features: int, left: Vector, right: Vector) -> Outcome:
    found = _average_variance(features, _positive_moment(left, right, 1), _positive_moment(left, right, 2))
    both = _plus(left, right)
    return exact.equal([found / _exp(2 * _inner(left, right))], [(_exp(_inner(both, both)) - 1) / features])


@derived(
    Claim(
        id="random_features.positive-variance",
        title="The relative mean squared error of positive features grows as the exponential of |x + y|²",
        states="(Not in the texts, whose random features are cosines; from the cited paper.) The error of positive random features.",
        reading="The mean squared error of m independent features.",
        precise=r"$\mathrm{Var}[\phi(x)\cdot\phi(y)] = \frac1m\,e^{2x\cdot y}\bigl(e^{|x+y|^2} - 1\bigr)$: relative to the kernel, the standard error is "
        r"$\sqrt{(e^{|x+y|^2} - 1)/m}$. It is 0 at $y = -x$; for vectors of given lengths it grows with $x\cdot y$, that is, with the weight, because $|x+y|^2 = |x|^2 + |y|^2 + 2x\cdot y$.",
        sources=(CHOROMANSKI.at("Lemma 2"),),
        scope="any m, d ≥ 1, every real x and y, independent features",
        uses=("random_features.gaussian-exponential", "random_features.positive-unbiased"),
        holds=_positive_variance_holds,
    )
)
def positive_variance() -> Iterator[Step]:
    yield Step(square(x[a] + y[a]), "=", square(x[a]) + square(y[a]) + 2 * dot(x, y), "The square multiplied out: for given lengths it grows with x·y.")
    yield Step(
        positive_square,
        "=",
        kernel**2 * sp.exp(square(x[a] + y[a])),
        "The mean square of one product is the Gaussian mean of e^(2w·(x + y)) times the squared constant.",
    )
    yield Step(
        variance_of_average(positive_mean, positive_square),
        "=",
        kernel**2 * (sp.exp(square(x[a] + y[a])) - 1) / m,
        "Over pairs of features: a feature with itself has the mean square, two different ones the squared mean.",
    )


spread = sp.Symbol("R", positive=True)  # |x + y|
tolerance = sp.Symbol("epsilon", positive=True)


def _needed_holds(features: int, left: Vector, right: Vector, error: Fraction) -> Outcome:
    """Relative variance ≤ error² exactly if m ≥ (e^(|x + y|²) − 1)/error², the variance from the integrals."""
    both = _plus(left, right)
    found = _average_variance(features, _positive_moment(left, right, 1), _positive_moment(left, right, 2)) / _exp(2 * _inner(left, right))
    gap, room = ball(error * error) - found, features - (_exp(_inner(both, both)) - 1) / ball(error * error)
    if gap.contains(0) or room.contains(0):
        return Outcome.HELD if gap.contains(0) and room.contains(0) else Outcome.UNDECIDED
    return exact.decided((gap > 0) == (room > 0))


@derived(
    Claim(
        id="random_features.features-needed",
        title="How many positive features a given accuracy takes",
        states="(Not in the texts, whose random features are cosines; it follows from random_features.positive-variance.) How many positive features a given accuracy takes.",
        reading="The smallest m with a relative standard error of at most ε.",
        precise=r"Relative standard error at most $\varepsilon$ if and only if $m \ge (e^{R^2} - 1)/\varepsilon^2$, $R = |x+y|$; the right side exceeds "
        r"$R^2(1 + R^2/2)/\varepsilon^2$. "
        r"With scores $q\cdot k/\sqrt{d_k}$, the arguments are $d_k^{-1/4}q$ and $d_k^{-1/4}k$.",
        sources=(CHOROMANSKI.at("Lemma 2"),),
        scope="any m, d ≥ 1, every real x and y with R > 0, every ε > 0, independent features",
        uses=("random_features.positive-variance",),
        holds=_needed_holds,
    )
)
def features_needed() -> Iterator[Step]:
    growth, more, fewer = sp.exp(spread**2) - 1, sp.Symbol("x", nonnegative=True), sp.Symbol("y", positive=True)
    needed = growth / tolerance**2
    excess = sp.Symbol("h", positive=True)
    yield Step(sp.Derivative(sp.exp(excess) - 1 - excess, excess), "=", sp.exp(excess) - 1, "e^h − 1 − h is 0 at h = 0, and its slope is positive for h > 0.")
    yield Step(
        sp.Derivative(sp.exp(excess) - 1 - excess - excess**2 / 2, excess),
        "=",
        sp.exp(excess) - 1 - excess,
        "So e^h − 1 − h − h²/2, also 0 at h = 0, rises: with h = R² this is the lower bound.",
    )
    yield Step(
        tolerance**2,
        "<",
        growth / (needed / (1 + fewer)),
        "With fewer features, m = needed/(1 + y), the relative variance (e^(R²) − 1)/m is too large.",
        certificate=tolerance**2 * fewer,
    )
    yield Step(growth / (needed + more), "<=", tolerance**2, "With m = needed + x it is small enough.", certificate=tolerance**2 * more / (needed + more))


# --- orthogonal rows --------------------------------------------------------------------------------------------------------------------

radius = sp.Symbol("s", positive=True)


@cache
def _polar_mean(left: Fraction, right: Fraction, quarter_turns: int) -> arb:
    """E[e^(w·u)] for w of length s and direction θ + a number of quarter turns, θ uniform and s with the density s e^(−s²/2), both independent.

    Over s the integral of s e^(−s²/2 + sc) is 1 + c √(π/2) e^(c²/2) (1 + erf(c/√2)), c being u's component in that direction; over θ it is taken in balls.
    """
    ctx.prec = BITS
    one_u, other_u = acb(ball(left)), acb(ball(right))
    shift, half = acb(arb.pi() * quarter_turns / 2), acb(arb(1) / 2)

    def along(angle: acb, _: bool) -> acb:
        c = one_u * (angle + shift).cos() + other_u * (angle + shift).sin()
        return 1 + c * acb((arb.pi() / 2).sqrt()) * (c * c * half).exp() * (1 + (c * acb((arb(1) / 2).sqrt())).erf())

    return (acb.integral(along, acb(0), acb(2 * arb.pi())) / acb(2 * arb.pi())).real


@cache
def _spherical_mean(square_length: Fraction) -> arb:
    """E[e^(w·u)] in three dimensions for a direction uniform on the sphere and a length s of the density √(2/π) s² e^(−s²/2), from |u|².

    The cosine x of the angle to u is uniform on [−1, 1]. With c = |u|x the integral of s² e^(−s²/2 + sc) is c + (1 + c²) √(π/2) e^(c²/2) (1 + erf(c/√2)).
    """
    ctx.prec = BITS
    size, root, half = acb(ball(square_length).sqrt()), acb((arb.pi() / 2).sqrt()), acb(arb(1) / 2)

    def along(cosine: acb, _: bool) -> acb:
        c = size * cosine
        return c + (1 + c * c) * root * (c * c * half).exp() * (1 + (c * acb((arb(1) / 2).sqrt())).erf())

    return (acb.integral(along, acb(-1), acb(1)) / (2 * root)).real


def _orthogonal_holds(left: Sequence[Fraction], right: Sequence[Fraction]) -> Outcome:
    """The average of the features of as many orthogonal rows as dimensions, integrated in polar coordinates: in the plane, or in space."""
    both, own = _plus(left, right), _exp(-(_inner(left, left) + _inner(right, right)) / 2)
    rows = [_polar_mean(both[0], both[1], quarter) for quarter in (0, 1)] if len(both) == 2 else [_spherical_mean(_inner(both, both))] * 3
    return _same(own * _sum(rows) / len(rows), _exp(_inner(left, right)))


@derived(
    Claim(
        id="random_features.orthogonal-unbiased",
        title="Orthogonal rows with drawn lengths and uniform directions are unbiased too",
        states="(Not in the texts; from the cited paper.) Performer draws the rows of W orthogonal to each other, and stays unbiased.",
        reading="Each row has a direction that is uniform on the sphere and a length drawn by itself, distributed as that of a standard normal vector; how the directions of different rows depend on each other plays no part.",
        precise=r"Let $w = s\,\xi$ with $\xi$ uniform on the unit sphere and an independent length $s$ of density proportional to $s^{d-1}e^{-s^2/2}$. Then $\mathbb E\,e^{w\cdot u} = \sum_k "
        r"\mathbb E[s^{2k}]\,\mathbb E[c^{2k}]\,|u|^{2k}/(2k)! = \sum_k \frac1{k!}\bigl(\tfrac12|u|^2\bigr)^k = e^{|u|^2/2}$, with $c$ the cosine of the angle between $\xi$ and $u$, of density "
        r"proportional to $(1 - c^2)^{(d-3)/2}$: the mean over a standard normal $w$. So $\mathbb E[\phi(x)\cdot\phi(y)] = e^{x\cdot y}$ for every number $m$ of such rows.",
        sources=(CHOROMANSKI.at("Section 2.4"),),
        scope="any m, any d ≥ 2, every real x and y; orthogonal rows (in blocks of at most d of them), or any others whose rows each have this distribution",
        uses=("random_features.positive-unbiased",),
        holds=_orthogonal_holds,
    )
)
def orthogonal_unbiased() -> Iterator[Step]:
    k = sp.Symbol("k", integer=True, nonnegative=True)
    cosine = sp.Symbol("c", positive=True)
    lengths_of = radius ** (d - 1) * sp.exp(-(radius**2) / 2)  # the density of the length, up to a constant
    yield Step(
        sp.Derivative(-(radius ** (2 * k + 1)) * lengths_of, radius),
        "=",
        (radius ** (2 * k + 2) - (d + 2 * k) * radius ** (2 * k)) * lengths_of,
        "Lengths: what is differentiated is 0 at s = 0 and at s = ∞, so the right side has the integral 0, and E s^(2k + 2) = (d + 2k) E s^(2k).",
    )
    inside = sp.Symbol("h", positive=True)  # 1 − c²
    angular = inside ** ((d - 3) / 2)
    yield Step(
        sp.sqrt(inside) ** (d - 2) / sp.sqrt(inside),
        "=",
        angular,
        "Angles, with h = 1 − c²: the points of the sphere at the cosine c form a sphere of radius √h with d − 2 dimensions, and a change dc of the cosine is an arc of dc/√h. "
        "So c has a density proportional to this.",
    )
    outer = cosine ** (2 * k + 1) * inside ** ((d - 1) / 2)
    slope = sp.Derivative(outer, cosine, evaluate=False) - 2 * cosine * sp.Derivative(outer, inside, evaluate=False)
    yield Step(
        slope,
        "=",
        ((2 * k + 1) * cosine ** (2 * k) * inside - (d - 1) * cosine ** (2 * k + 2)) * angular,
        "As dh/dc = −2c, this is the slope of c^(2k + 1) h^((d − 1)/2), which is 0 at c = ±1 for d ≥ 2. (c > 0; for c < 0 it is the same, as the powers on the right are even.)",
    )
    yield Step(
        (2 * k + 1) * cosine ** (2 * k) * (1 - cosine**2) - (d - 1) * cosine ** (2 * k + 2),
        "=",
        (2 * k + 1) * cosine ** (2 * k) - (d + 2 * k) * cosine ** (2 * k + 2),
        "Its integral over the density of c is 0, so E c^(2k + 2) = (2k + 1)/(d + 2k) E c^(2k).",
    )
    size = sp.Symbol("U", positive=True)  # |u|²
    yield Step(
        (d + 2 * k) * ((2 * k + 1) / (d + 2 * k)) * size / ((2 * k + 1) * (2 * k + 2)),
        "=",
        size / 2 / (k + 1),
        "With U = |u|²: from each term of Σ E[s^(2k)] E[c^(2k)] U^k/(2k)! to the next the factor is that of Σ (U/2)^k/k!, and both begin with 1. Odd powers of c have the mean 0.",
    )
    yield Step(
        total(lengths * exponential_mean(x[a] + y[a]) / m, r),
        "=",
        kernel,
        "So E e^(w·u) = e^(|u|²/2), and each of the m products of features has the mean e^(x·y).",
    )


def _reflected_holds(column: Sequence[int], length: Fraction, size: Fraction) -> Outcome:
    """The first column of Q, by the reflection I − 2vvᵀ/vᵀv that takes the given column to −sign(a₁)|a| e₁; then a feature product at x = y = (size, 0, …)."""
    norm = ball(sum(value * value for value in column)).sqrt()
    target = norm if column[0] < 0 else -norm
    v_ = [ball(value) - (target if place == 0 else 0) for place, value in enumerate(column)]
    scale = 2 * v_[0] / _sum([value * value for value in v_])
    direction = [(1 if place == 0 else 0) - scale * value for place, value in enumerate(v_)]
    found = (2 * ball(length) * direction[0] * ball(size) - ball(size * size)).exp()
    ordered = Outcome.HELD if found < _exp(size * size) else Outcome.REFUTED
    return Outcome.worst([exact.equal(direction, [ball(value) / target for value in column]), exact.at_most([found], [_exp(-size * size)]), ordered])


@derived(
    Claim(
        id="random_features.sign-convention",
        title="Orthogonalising by reflections, with signs left as they come, biases the first row",
        states="(Not in the texts; from the cited paper.) Performer draws the rows of W orthogonal to each other. What the signs have to do with it is our remark.",
        reading="A QR decomposition by Householder reflections that send a column a to −sign(a₁)|a| e₁, without drawing the signs anew; d ≥ 2.",
        precise=r"The first column of $Q$ is $-\mathrm{sign}(a_1)\,a/|a|$, whose first component is never positive. At $x = y = \varsigma e_1$, $\varsigma "
        r"> 0$, its product of features is "
        r"$e^{-2\varsigma h - \varsigma^2} < e^{\varsigma^2} = e^{x\cdot y}$ with $h \ge 0$, for every draw: too small in the mean too.",
        sources=(CHOROMANSKI.at("Section 2.4"),),
        scope="every d ≥ 2, every length of the row",
        holds=_reflected_holds,
    )
)
def sign_convention() -> Iterator[Step]:
    first, norm = sp.Symbol("a_1", nonnegative=True), sp.Symbol("N", positive=True)
    size, height = sp.Symbol("varsigma", positive=True), sp.Symbol("h", nonnegative=True)
    yield Step(first / -norm, "<=", sp.Integer(0), "A first entry a₁ ≥ 0 is divided by −|a| = −N.")
    yield Step(-first / norm, "<=", sp.Integer(0), "A first entry −a₁ by +|a|.")
    yield Step(
        sp.exp(-2 * size * height - size**2),
        "<",
        sp.exp(size**2),
        "With w₁ = −h, the product e^(2ςw₁ − ς²) is at most e^(−ς²).",
        certificate=sp.exp(-(size**2)) * ((sp.exp(2 * size**2) - 1) + (1 - sp.exp(-2 * size * height))),
    )


# --- cosine features --------------------------------------------------------------------------------------------------------------------


def _cosine_moment(left: Vector, right: Vector, order: int) -> arb:
    """E[(2 cos(w·x + b) cos(w·y + b))^order] over w and b, from the integrals."""
    product = _times(_cosine(left), _cosine(right))
    powered, factor = product, 2
    for _ in range(order - 1):
        powered, factor = _times(powered, product), factor * 2
    return factor * _mean_waves(powered)


def _gaussian_kernel_holds(features: int, left: Vector, right: Vector) -> Outcome:
    estimate = _sum([_cosine_moment(left, right, 1) / features for _ in range(features)])
    gap = _plus(left, _scaled(-1, right))
    return exact.equal([estimate], [_exp(-_inner(gap, gap) / 2)])


difference, angles = alpha - beta, alpha + beta


def _whole_turn(antiderivative: sp.Expr) -> sp.Expr:
    return sp.Subs(antiderivative, phase, 2 * sp.pi) - sp.Subs(antiderivative, phase, 0)


def _mean_over_the_phase() -> Iterator[Step]:
    averaged = phase * sp.cos(difference) / (2 * sp.pi) + sp.sin(angles + 2 * phase) / (4 * sp.pi)
    yield Step(
        sp.Derivative(averaged, phase),
        "=",
        2 * sp.cos(alpha + phase) * sp.cos(beta + phase) / (2 * sp.pi),
        "One product of features with α = w·x and β = w·y, over the density of the phase: an antiderivative.",
    )
    yield Step(_whole_turn(averaged), "=", sp.cos(difference), "Over a whole turn of the phase the mean is cos(w·(x − y)).")


@derived(
    Claim(
        id="random_features.cosine-mean",
        title="Cosine features estimate the Gaussian kernel, not e^(x·y)",
        states="A kernel is approximated with random features, φ(x) ≈ √(2/m) cos(Wx + b) (not said: which kernel).",
        reading="The text does not say how W and b are drawn; judged as in the paper that these features come from.",
        precise=r"$\mathbb E[\phi(x)\cdot\phi(y)] = e^{-|x-y|^2/2} = e^{x\cdot y}e^{-|x|^2/2}e^{-|y|^2/2}$: smaller than $e^{x\cdot y}$ unless $x = y = 0$.",
        sources=(S0.at("Random Feature Approximation"), RAHIMI.at("Section 3")),
        scope="any m, d ≥ 1, every real x and y",
        assumes=(DRAWN,),
        inventory=("C125",),
        uses=("random_features.gaussian-cosine",),
        holds=_gaussian_kernel_holds,
    )
)
def cosine_mean_kernel() -> Iterator[Step]:
    yield from _mean_over_the_phase()
    yield Step(total(cosine_mean(x[a] - y[a]) / m, r), "=", kernel * lengths, "The Gaussian mean of each of the m terms, with its square multiplied out.")


def _cosine_weights(query: Vector, keys: Sequence[Vector]) -> list[arb]:
    means = [_cosine_moment(query, key, 1) for key in keys]
    return [mean / _sum(means) for mean in means]


def _cosine_softmax_holds(query: Vector, keys: Sequence[Vector]) -> Outcome:
    return exact.equal(_cosine_weights(query, keys), exact.softmax([_inner(query, key) for key in keys]))


def _cosine_attention_holds(query: Vector, keys: Sequence[Vector]) -> Outcome:
    return exact.equal(_cosine_weights(query, keys), exact.softmax([_inner(query, key) - _inner(key, key) / 2 for key in keys]))


def _written(vector: Vector) -> str:
    return "(" + ", ".join(map(str, vector)) + ")"


def _cosine_softmax_worked(query: Vector, keys: Sequence[Vector]) -> str:
    listed = ", ".join(_written(key) for key in keys)
    distances = [_inner(gap, gap) / 2 for gap in (_plus(query, _scaled(-1, key)) for key in keys)]
    products = [_inner(query, key) for key in keys]
    return (
        f"Take the query {_written(query)} and the keys {listed}. The features estimate e^(−|q − k|²/2), that is e to the powers "
        f"{', '.join(str(-x) for x in distances)}; softmax has e to the powers "
        f"{', '.join(map(str, products))}. These are {', '.join(exact.show(_exp(-x)) for x in distances)} against {', '.join(exact.show(_exp(x)) for x in products)}, and "
        f"each over its sum: [{', '.join(exact.show(p) for p in exact.softmax([-x for x in distances]))}] against "
        f"[{', '.join(exact.show(p) for p in exact.softmax(products))}], which would have to be equal. The keys' lengths differ, and nothing in the features makes up for it."
    )


rho = sp.Symbol("rho", nonnegative=True)


@derived(
    Claim(
        id="random_features.cosine-softmax",
        title="Linear attention with cosine features approximates softmax attention",
        states="(Implied.) A kernel for linear attention is approximated with random features, φ(x) ≈ √(2/m) cos(Wx + b), so that attention with these approximates softmax attention.",
        reading="The kernel is the one that linear attention stands in for: with the features' mean kernel (rows of W standard normal, b uniform), which the estimate approaches as m grows, "
        "the formula gives softmax attention's weights.",
        precise=r"$\dfrac{e^{-|q-k_j|^2/2}}{\sum_l e^{-|q-k_l|^2/2}} = \mathrm{softmax}(q\cdot k)_j$, if $|k_j|^2 = \rho$ for every key (scores without a "
        r"further scale).",
        sources=(S0.at("Random Feature Approximation"), S0.at("Kernel Methods for Attention")),
        scope="any n, d ≥ 1, every real query",
        assumes=(DRAWN,),
        inventory=("C125",),
        uses=("random_features.cosine-mean",),
        unsaid="all keys have the same length (or the features are multiplied by e^(|x|²/2))",
        corrected_by="random_features.cosine-attention",
        holds=_cosine_softmax_holds,
        worked=_cosine_softmax_worked,
    )
)
def cosine_softmax() -> Iterator[Step]:
    def product(key: sp.Symbol) -> sp.Expr:
        return total(Q[r, a] * K[key, a], a)

    own = square(Q[r, a])

    def shown(key: sp.Symbol) -> sp.Expr:
        return sp.exp(product(key) - own / 2 - rho / 2)

    yield Step(
        sp.exp(-square(Q[r, a] - K[j, a]) / 2),
        "=",
        sp.exp(product(j) - own / 2 - square(K[j, a]) / 2),
        "The square multiplied out; the last term is ρ/2 for every key.",
    )
    yield Step(
        shown(j) / total(shown(l), l),
        "=",
        sp.exp(product(j)) / total(sp.exp(product(l)), l),
        "The query's length and the keys' common length are factors of every weight.",
    )


@derived(
    Claim(
        id="random_features.cosine-attention",
        title="Attention with the cosine features' kernel penalises long keys",
        states="(Not in the text; the corrected form of random_features.cosine-softmax.) Which attention the cosine features stand for.",
        precise=r"$\dfrac{e^{-|q-k_j|^2/2}}{\sum_l e^{-|q-k_l|^2/2}} = \mathrm{softmax}_j\bigl(q\cdot k_j - \tfrac12|k_j|^2\bigr)$.",
        sources=(S0.at("Random Feature Approximation"), RAHIMI.at("Section 3")),
        scope="any n, d ≥ 1, every real query and keys",
        assumes=(DRAWN,),
        inventory=("C125",),
        uses=("random_features.cosine-mean",),
        holds=_cosine_attention_holds,
    )
)
def cosine_attention() -> Iterator[Step]:
    def near(key: sp.Symbol) -> sp.Expr:
        return sp.exp(-square(Q[r, a] - K[key, a]) / 2)

    def score(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(Q[r, a] * K[key, a] - K[key, a] ** 2 / 2, a))

    yield Step(near(j), "=", sp.exp(-square(Q[r, a]) / 2) * score(j), "The square multiplied out: the query's length is a factor of every weight.")
    common = sp.exp(-square(Q[r, a]) / 2)
    yield Step(common * score(j) / total(common * score(l), l), "=", score(j) / total(score(l), l), "It drops out; the keys' lengths stay.")


def _cosine_variance_holds(features: int, left: Vector, right: Vector) -> Outcome:
    found = _average_variance(features, _cosine_moment(left, right, 1), _cosine_moment(left, right, 2))
    gap = _plus(left, _scaled(-1, right))
    missing = 1 - _exp(-_inner(gap, gap))
    return exact.equal([found], [(1 + missing * missing) / (2 * features)])


@derived(
    Claim(
        id="random_features.cosine-variance",
        title="The mean squared error of cosine features never falls below 1/(2m), however small the kernel",
        states="(Implied.) The random features √(2/m) cos(Wx + b) approximate a kernel, with some error; its size is left open.",
        reading="For the cosine features of the text: the mean squared error of m independent ones, as an estimate of the Gaussian kernel, which is their mean (random_features.cosine-mean).",
        precise=r"$\mathrm{Var}[\phi(x)\cdot\phi(y)] = \dfrac{1 + (1 - e^{-|x-y|^2})^2}{2m} \ge \dfrac1{2m}$. The kernel is $e^{-|x-y|^2/2}$, so the "
        r"relative standard error is at least "
        r"$e^{|x-y|^2/2}/\sqrt{2m}$: small weights drown.",
        sources=(S0.at("Random Feature Approximation"), RAHIMI.at("Section 3")),
        scope="any m, d ≥ 1, every real x and y, independent features",
        assumes=(DRAWN,),
        inventory=("C127",),
        uses=("random_features.cosine-mean", "random_features.gaussian-cosine"),
        holds=_cosine_variance_holds,
    )
)
def cosine_variance() -> Iterator[Step]:
    yield Step(
        2 * sp.cos(alpha + phase) * sp.cos(beta + phase),
        "=",
        sp.cos(difference) + sp.cos(angles + 2 * phase),
        "A product of cosines as a sum, with α = w·x and β = w·y.",
    )
    fixed, sum_of_both = sp.symbols("A B", real=True)  # α − β and α + β
    moving = sum_of_both + 2 * phase
    averaged = phase * (sp.cos(fixed) ** 2 + sp.Rational(1, 2)) + sp.cos(fixed) * sp.sin(moving) + sp.sin(2 * moving) / 8
    averaged = sp.Add(*(term / (2 * sp.pi) for term in sp.expand(averaged).args))
    turned = sp.Symbol("C", real=True)  # α + β + 2b
    squared = sp.cos(fixed) ** 2 + sp.Rational(1, 2) + 2 * sp.cos(fixed) * sp.cos(turned) + sp.cos(2 * turned) / 2
    yield Step((sp.cos(fixed) + sp.cos(turned)) ** 2, "=", squared, "Its square, with A = α − β and C = α + β + 2b.")
    yield Step(
        sp.Derivative(averaged, phase), "=", squared.subs(turned, moving) / (2 * sp.pi), "With B = α + β, and over the density of the phase: an antiderivative."
    )
    yield Step(_whole_turn(averaged), "=", 1 + sp.cos(2 * fixed) / 2, "Over a whole turn of the phase; the Gaussian mean of cos(2w·(x − y)) is next.")
    mean, mean_square = cosine_mean(x[a] - y[a]), 1 + cosine_mean(2 * (x[a] - y[a])) / 2
    found = variance_of_average(mean, mean_square)
    missing = 1 - sp.exp(-square(x[a] - y[a]))
    yield Step(1 / (2 * m), "<=", found, "The variance, over pairs of features as before, is more than 1/(2m) by a square.", certificate=missing**2 / (2 * m))
    yield Step(found, "=", (1 + missing**2) / (2 * m), "In closed form.")


def _estimate(terms: Sequence[arb]) -> arb:
    return _sum(terms) / len(terms)


def _angle(draw: Vector, offset: Fraction, vector: Vector) -> arb:
    return ball(_inner(draw, vector) + offset)


def _cosine_estimate(draws: Sequence[Vector], offsets: Vector, query: Vector, key: Vector) -> arb:
    return _estimate([2 * _angle(row, Fraction(at), query).cos() * _angle(row, Fraction(at), key).cos() for row, at in zip(draws, offsets, strict=True)])


def _positive_estimate(draws: Sequence[Vector], query: Vector, key: Vector) -> arb:
    length = (_inner(query, query) + _inner(key, key)) / 2
    return _estimate([_exp(_inner(row, query) + _inner(row, key) - length) for row in draws])


def _sign(estimate: arb) -> Outcome:
    return Outcome.HELD if estimate > 0 else Outcome.REFUTED if estimate <= 0 else Outcome.UNDECIDED


def _cosine_positive_holds(draws: Sequence[Vector], offsets: Vector, query: Vector, key: Vector) -> Outcome:
    return _sign(_cosine_estimate(draws, offsets, query, key))


def _positive_positive_holds(draws: Sequence[Vector], offsets: Vector, query: Vector, key: Vector) -> Outcome:
    """Whatever is drawn (positive features have no phases)."""
    return _sign(_positive_estimate(draws, query, key))


def _cosine_positive_worked(draws: Sequence[Vector], offsets: Vector, query: Vector, key: Vector) -> str:
    terms = ", ".join(
        f"2 cos({_inner(row, query) + Fraction(at)}) cos({_inner(row, key) + Fraction(at)}) = {exact.show(_cosine_estimate([row], [at], query, key))}"
        for row, at in zip(draws, offsets, strict=True)
    )
    return (
        f"Let W have the rows {', '.join(map(_written, draws))} and b = {_written(offsets)}; take q = {_written(query)}, k = {_written(key)}. Then "
        f"{terms}, and φ(q)·φ(k) = "
        f"{exact.show(_cosine_estimate(draws, offsets, query, key))}, where the statement needs a positive number: a negative weight before normalisation, and with this key alone a negative "
        f"denominator. Cosines are continuous, so draws close to this "
        "one do the same, and they have a positive probability."
    )


@derived(
    Claim(
        id="random_features.cosine-positive",
        title="Cosine features are positive kernel features",
        states="(Implied.) Softmax is replaced with positive kernel functions, and cosine features are one of the choices for φ: so their kernel is positive.",
        reading="What the formula divides by: for what is drawn, the kernel φ(q)·φ(k) that it computes is positive. (Two other senses are true of these features: the kernel that they estimate is positive, and they are positive "
        "definite, as every kernel of real features is: random_features.cosine-positive-definite. Neither makes the weights of the draw at hand positive: linear.positive-definite-suffices.)",
        precise=r"$\phi(q)\cdot\phi(k) > 0$ for $\phi(x) = \sqrt{2/m}\cos(Wx + b)$. False for what is drawn. With the assumption: true of the mean over all draws, $\mathbb E[\phi(q)\cdot\phi(k)] = e^{-|q-k|^2/2} > 0$; and for what is drawn "
        r"$\sum_{i,j}c_ic_j\,\phi(x_i)\cdot\phi(x_j) = \sum_r\bigl(\sum_ic_i\phi_r(x_i)\bigr)^2 \ge 0$.",
        sources=(S0.at("Kernel Methods for Attention"), S0.at("Random Feature Approximation")),
        scope="any m, d ≥ 1, real W, b, q, k (for the mean, W and b drawn as in random_features.cosine-mean)",
        inventory=("C126",),
        uses=("random_features.cosine-mean",),
        unsaid="positive is said of the kernel that the features estimate (their mean over all draws), or in the sense of positive definite, and not of the values of one draw",
        corrected_by="random_features.cosine-positive-definite",
        holds=_cosine_positive_holds,
        worked=_cosine_positive_worked,
    )
)
def cosine_positive() -> Iterator[Step]:
    yield from _definite_with_a_positive_mean()


def _definite_with_a_positive_mean() -> Iterator[Step]:
    drawn, share = sp.IndexedBase("phi", real=True), sp.IndexedBase("c", real=True)  # φ_r(x_i), whatever W and b are; coefficients
    mixed = sp.IndexedBase("M", real=True)  # M_r = Σ_j c_j φ_r(x_j)
    own, other = (total(share[place] * drawn[place, r], place) for place in (i, j))
    yield Step(
        total(total(share[i] * share[j] * total(drawn[i, r] * drawn[j, r], r), j), i),
        "=",
        total(share[i] * total(drawn[i, r] * other, r), i),
        "For what is drawn: the sum over j taken inside, where it is M_r = Σ_j c_j φ_r(x_j).",
    )
    yield Step(total(share[i] * total(drawn[i, r] * mixed[r], r), i), "=", total(own * mixed[r], r), "So is the sum over i, which is M_r once more.")
    yield Step(sp.Integer(0), "<=", total(own**2, r), "A sum of squares: the features are positive definite. Single values may be negative.")
    yield Step(sp.Integer(0), "<", cosine_mean(x[a] - y[a]), "The mean over all draws is an exponential.")


def _cosine_definite_holds(draws: Sequence[Vector], offsets: Vector, query: Vector, key: Vector) -> Outcome:
    """The two arguments' Gram matrix, for what is drawn: no negative entry on the diagonal, no negative determinant; and the mean over all draws, integrated."""
    own, shared, other = (_cosine_estimate(draws, offsets, one_of, two) for one_of, two in ((query, query), (query, key), (key, key)))
    definite = exact.at_most([0, 0, 0], [own, other, own * other - shared * shared])
    return Outcome.worst([definite, _sign(_cosine_moment(query, key, 1))])


@derived(
    Claim(
        id="random_features.cosine-positive-definite",
        title="Cosine features are positive definite, and the kernel that they estimate has positive values",
        states="(Not in the text; the corrected form of random_features.cosine-positive.) In which senses cosine features are positive.",
        precise=r"For every $W$ and $b$: $\sum_{i,j}c_ic_j\,\phi(x_i)\cdot\phi(x_j) = \sum_r\bigl(\sum_ic_i\phi_r(x_i)\bigr)^2 \ge 0$. Over all draws: $\mathbb E[\phi(q)\cdot\phi(k)] = e^{-|q-k|^2/2} > 0$. "
        r"Single values $\phi(q)\cdot\phi(k)$ of one draw may be negative.",
        sources=(S0.at("Kernel Methods for Attention"), S0.at("Random Feature Approximation"), RAHIMI.at("Section 3")),
        scope="any m, d ≥ 1, every real W, b and arguments; for the mean, W and b drawn as in random_features.cosine-mean",
        inventory=("C126",),
        uses=("random_features.cosine-mean",),
        holds=_cosine_definite_holds,
    )
)
def cosine_positive_definite() -> Iterator[Step]:
    yield from _definite_with_a_positive_mean()


@derived(
    Claim(
        id="random_features.positive-positive",
        title="Exponential features give positive weights, whatever is drawn",
        states="(Not in the text, whose random features are cosines.) Random features whose values are positive in every draw.",
        precise=r"$\phi(q)\cdot\phi(k) = \frac1m\sum_r e^{w_r\cdot(q+k) - (|q|^2+|k|^2)/2} > 0$, so no denominator vanishes and the output is an average "
        r"of the values.",
        sources=(S0.at("Kernel Methods for Attention"), CHOROMANSKI.at("Lemma 1")),
        scope="any m, d ≥ 1, every real W, q, k",
        inventory=("C126",),
        holds=_positive_positive_holds,
    )
)
def positive_positive() -> Iterator[Step]:
    drawn = sp.IndexedBase("W", real=True)
    yield Step(sp.Integer(0), "<", total(sp.exp(total(drawn[r, a] * (x[a] + y[a]), a)) * lengths, r) / m, "Every term is an exponential.")


# --- the ratio --------------------------------------------------------------------------------------------------------------------------


def _sums_holds(features: int, query: int, key: int) -> Outcome:
    """Numerator and denominator for the keys ±key with the values 1 and 0: means of the estimates against their targets."""
    kernels = [_sum([_positive_moment((query,), (place,), 1) / features for _ in range(features)]) for place in (key, -key)]
    targets = [_exp(query * place) for place in (key, -key)]
    return Outcome.worst([_same(kernels[0], targets[0]), _same(_sum(kernels), _sum(targets))])


v = sp.IndexedBase("v", real=True)


@derived(
    Claim(
        id="random_features.sums-unbiased",
        title="Of Performer attention, numerator and denominator are unbiased, each for itself",
        states="(Not in the text; the corrected form of random_features.performer-unbiased.) What is unbiased in random-feature attention.",
        precise=r"$\mathbb E\bigl[\sum_j\phi(q)\cdot\phi(k_j)\,v_j\bigr] = \sum_j e^{q\cdot k_j}v_j$, and with $v = 1$ the same for the denominator. Their "
        r"quotient is biased (random_features.ratio-biased).",
        sources=(S1.at("Performer (Linear Attention)"), CHOROMANSKI.at("Section 2.3")),
        scope="any m, n, d ≥ 1, every real query, keys and values",
        inventory=("C129",),
        uses=("random_features.positive-unbiased",),
        holds=_sums_holds,
    )
)
def sums_unbiased() -> Iterator[Step]:
    own = sp.exp(-square(Q[i, a]) / 2)
    mean = own * sp.exp(-square(K[j, a]) / 2) * exponential_mean(Q[i, a] + K[j, a])
    product = sp.exp(total(Q[i, a] * K[j, a], a))
    yield Step(total(total(mean / m, r), j), "=", total(product, j), "The denominator: a mean of a sum is the sum of the means, whatever depends on what.")
    yield Step(total(total(mean / m, r) * v[j], j), "=", total(product * v[j], j), "The numerator in the same way, with the values.")


def _softmax_weight(query: int, key: int) -> arb:
    """Of the first of the keys key and −key."""
    return exact.softmax([query * key, -query * key])[0]


def _performer_holds(features: int, query: int, key: int) -> Outcome:
    """The mean weight of the first of two opposite keys against softmax's. One feature: exactly 1/2. More: the other key's mean weight is at least 2^(−m−1)."""
    if features == 1 or query * key == 0:
        return exact.equal([Fraction(1, 2)], [_softmax_weight(query, key)])
    smaller = _softmax_weight(abs(query), -abs(key))
    return Outcome.REFUTED if smaller < ball(Fraction(1, 2 ** (features + 1))) else Outcome.UNDECIDED


def _performer_worked(features: int, query: int, key: int) -> str:
    target = _softmax_weight(query, key)
    head = (
        f"One dimension, q = {query}, keys {key} and {-key}, values 1 and 0, m = {features}. "
        f"Softmax gives 1/(1 + e^({-2 * query * key})) = {exact.show(target)}."
    )
    if features == 1:
        power = f"{-2 * key}w"
        return (
            f"{head} With one feature, φ(q) cancels, whatever q is, and the two keys have the same length: the output is 1/(1 + e^({power})). At w and at "
            f"−w these add up to 1, and both are as "
            f"likely: the mean is exactly 1/2. The bias is {exact.show(ball(Fraction(1, 2)) - target)}."
        )
    return (
        f"{head} With probability 2^(−{features}) every feature favours the less likely key, which then has at least half of the weight: its mean weight "
        f"is at least {Fraction(1, 2 ** (features + 1))}, "
        f"and softmax gives it {exact.show(_softmax_weight(abs(query), -abs(key)))}."
    )


def _bias() -> Iterator[Step]:
    key, below, more = sp.Symbol("k", positive=True), sp.IndexedBase("x", nonnegative=True), sp.Symbol("h", nonnegative=True)
    feature = sp.exp(one * tau) / (sp.exp(one * tau) * (1 + sp.exp(-2 * key * one)))
    opposite = 1 / (1 + sp.exp(2 * key * one))
    yield Step(
        feature + opposite,
        "=",
        sp.Integer(1),
        "One feature: the query's factor e^(ωτ) cancels, and the weights of k at ω and at −ω, which are equally likely, add up to 1. So the mean is 1/2.",
    )
    strength = sp.IndexedBase("f", positive=True)  # the query's factor, with all that the keys share
    toward, away = (total(strength[r] * sp.exp(sign * key * below[r]), r) for sign in (-1, 1))
    yield Step(
        toward / (toward + away),
        "<=",
        sp.Rational(1, 2),
        "m features with no draw above 0, w_r = −x_r: none favours k, which has at most half of the weight. That has the probability 2^(−m).",
        certificate=total(strength[r] * sp.exp(-key * below[r]) * (sp.exp(2 * key * below[r]) - 1), r) / (2 * (toward + away)),
    )
    threshold = 2 ** (m + 1)
    rest = 1 / (1 + threshold * sp.exp(more))
    yield Step(
        rest,
        "<",
        sp.Rational(1, 2) / 2**m,
        "The weight of −k: softmax's, with 2qk = (m + 1) log 2 + h, is less than half of that probability, and the mean weight is not.",
        certificate=(1 + threshold * (sp.exp(more) - 1)) / (threshold * (1 + threshold * sp.exp(more))),
    )


performer_unbiased = derived(
    Claim(
        id="random_features.performer-unbiased",
        title="Performer attention is an unbiased approximation of attention",
        states="Performer's benefit: an unbiased approximation of attention.",
        reading="'Unbiased' in its textbook sense, of the output: its mean over the random features is softmax attention's output. What stands after the colon, convergence, is another property (random_features.converges). "
        "Of φ(Q)(φ(K)ᵀV), which is not attention (linear.attention-without-normaliser), it is true: random_features.sums-unbiased.",
        precise=r"$\mathbb E\!\left[\dfrac{\sum_j\phi(q)\cdot\phi(k_j)\,v_j}{\sum_l\phi(q)\cdot\phi(k_l)}\right] = \sum_j\mathrm{softmax}(q\cdot k)_j\,v_j$ "
        r"for positive features. False for every $m$: with keys $\pm k$ in one dimension, the key $-k$ has a mean weight of at least $2^{-m-1}$, and softmax gives it less once $2qk \ge (m+1)\log 2$.",
        sources=(S1.at("Performer (Linear Attention)"),),
        scope="any number m of independent features, every query, keys and values; the counterexamples are two opposite keys in one dimension, with the values 1 and 0",
        inventory=("C129",),
        corrected_by="random_features.sums-unbiased",
        holds=_performer_holds,
        worked=_performer_worked,
    )
)(_bias)


def _opposite_keys(draws: Sequence[Fraction], query: Fraction, key: Fraction) -> arb:
    """The estimated weight of the key against its opposite."""
    estimates = [_positive_estimate([(value,) for value in draws], (query,), (place,)) for place in (key, -key)]
    return estimates[0] / _sum(estimates)


@cache
def _logistic_mean(rate: Fraction) -> arb:
    """E[1/(1 + e^(−2·rate·w))] over one standard normal w, integrated; the function is at most 1, so the tails are as in `_line`."""
    ctx.prec = BITS
    edge = 24
    inside = acb.integral(lambda at, _: (-at * at / 2).exp() / (1 + (-2 * acb(ball(rate)) * at).exp()), acb(-edge), acb(edge))
    return (inside / acb((2 * arb.pi()).sqrt())).real + arb(0, (-arb(edge * edge) / 4).exp())


def _ratio_holds(draws: Sequence[Fraction], query: Fraction, key: Fraction) -> Outcome:
    """One feature: the mean, integrated, is 1/2. m features, none of them positive: the key has at most half; and the target's rest is less than 2^(−m−1)."""
    features = len(draws)
    half = exact.equal([_logistic_mean(key)], [Fraction(1, 2)])
    weight = exact.at_most([_opposite_keys([-value for value in draws], query, key)], [Fraction(1, 2)])
    product = ball(2).log() * (features + 1) + ball(query)  # 2qk, where the query's size is what lies past the threshold
    rest = 1 / (1 + product.exp())
    return Outcome.worst([half, weight, Outcome.HELD if rest < ball(Fraction(1, 2 ** (features + 1))) else Outcome.REFUTED])


ratio_biased = derived(
    Claim(
        id="random_features.ratio-biased",
        title="Whatever the number of features, there are queries and keys for which Performer attention is biased",
        states="(Not in the text; the contrary of random_features.performer-unbiased.) A quotient of unbiased estimates is not unbiased.",
        precise=r"In one dimension, with keys $\pm k$, $k > 0$: for $m = 1$ the key $k$ has the mean weight $\frac12$ for every query. For any $m$, the "
        r"key $-k$ has a mean weight of at least "
        r"$2^{-m}\cdot\frac12$, and softmax gives it $1/(1 + e^{2qk}) < 2^{-m-1}$ as soon as $2qk \ge (m+1)\log 2$.",
        sources=(S1.at("Performer (Linear Attention)"),),
        scope="any m ≥ 1, independent positive features",
        inventory=("C129",),
        holds=_ratio_holds,
    )
)(_bias)


# --- convergence ------------------------------------------------------------------------------------------------------------------------

weight = sp.IndexedBase("A", positive=True)  # e^(q·k_j)
estimate = sp.IndexedBase("B", positive=True)  # what the features make of it
off = sp.IndexedBase("rho", real=True)  # relative error of its estimate
below_top = sp.IndexedBase("g", nonnegative=True)  # how far e^(|q + k_j|²) lies below its maximum


def _convergence_holds(query: Vector, keys: Sequence[Vector], values: Sequence[int], draws: Sequence[Vector], error: Fraction) -> Outcome:
    """For one draw: the error as a quotient, and the bound on its indicator; and over all draws: the second moments, integrated, below the bound."""
    targets = [_exp(_inner(query, key)) for key in keys]
    shares = [target / _sum(targets) for target in targets]
    o = _sum([share * value for share, value in zip(shares, values, strict=True)])
    estimates = [_positive_estimate(draws, query, key) for key in keys]
    relative = [estimate / target - 1 for estimate, target in zip(estimates, targets, strict=True)]
    mass = _sum([share * at for share, at in zip(shares, relative, strict=True)])
    moved = _sum([share * at * (value - o) for share, at, value in zip(shares, relative, values, strict=True)])
    found = _sum([estimate * value for estimate, value in zip(estimates, values, strict=True)]) / _sum(estimates)
    epsilon = ball(error)
    limit = 4 * mass * mass + 4 * moved * moved / (epsilon * epsilon)
    outcomes = [exact.equal([found - o], [moved / (1 + mass)])]
    if abs(found - o) >= epsilon:
        outcomes.append(exact.at_most([1], [limit]))
    sums = [_plus(query, key) for key in keys]

    def second_moment(factors: Sequence[arb]) -> arb:
        """E[(Σ p_j f_j ρ_j)²] with one feature: E[ρ_i ρ_j] from the Gaussian means of e^(w·(u_i + u_j))."""
        moment = arb(0)
        for p, f, one_sum in zip(shares, factors, sums, strict=True):
            for q, g, other in zip(shares, factors, sums, strict=True):
                product = _mean_exponential(_plus(one_sum, other)) * _exp(-(_inner(one_sum, one_sum) + _inner(other, other)) / 2)
                moment += p * f * q * g * (product - 1)
        return moment

    worst = _exp(max(_inner(both, both) for both in sums)) - 1
    variance = _sum([share * (value - o) * (value - o) for share, value in zip(shares, values, strict=True)])
    outcomes.append(exact.at_most([second_moment([arb(1)] * len(keys)), second_moment([value - o for value in values])], [worst, worst * variance]))
    return Outcome.worst(outcomes)


def _limit_is_attention(query: Vector, keys: Sequence[Vector], values: Sequence[int], draws: Sequence[Vector], error: Fraction) -> Outcome:
    """The limit of Σ φ(q)·φ(k_j) v_j as it stands: by the law of large numbers its mean, Σ e^(q·k_j) v_j. What is drawn plays no part in it."""
    targets = [_exp(_inner(query, key)) for key in keys]
    limit = _sum([target * value for target, value in zip(targets, values, strict=True)])
    return exact.equal([limit], [limit / _sum(targets)])


def _limit_worked(query: Vector, keys: Sequence[Vector], values: Sequence[int], draws: Sequence[Vector], error: Fraction) -> str:
    targets = [_exp(_inner(query, key)) for key in keys]
    limit = _sum([target * value for target, value in zip(targets, values, strict=True)])
    return (
        f"q = {_written(query)}, keys {', '.join(map(_written, keys))}, values {', '.join(map(str, values))}. As the number of features grows, φ(q)·φ(k_j) tends to e^(q·k_j), which is "
        f"{', '.join(map(exact.show, targets))}, and the formula φ(Q)(φ(K)ᵀV), which has no denominator, to Σ e^(q·k_j) v_j = {exact.show(limit)}. Softmax attention is this over "
        f"Σ e^(q·k_j) = {exact.show(_sum(targets))}, that is {exact.show(limit / _sum(targets))}; the two would have to be equal. (The case's draws and error play no part here.)"
    )


def _convergence() -> Iterator[Step]:
    p = weight[j] / total(weight[l], l)
    o = total(weight[l] * v[l], l) / total(weight[l], l)
    mass, moved = total(p * off[j], j), total(p * off[j] * (v[j] - o), j)
    error = estimate[j] / weight[j] - 1  # ρ_j
    yield Step(
        total(estimate[j] * v[j], j) / total(estimate[j], j) - o,
        "=",
        total(p * error * (v[j] - o), j) / (total(estimate[j], j) / total(weight[l], l)),
        "The error of the output, with positive estimates B_j = A_j(1 + ρ_j): it is N/(1 + D), where N = Σ p_j ρ_j (v_j − o)",
    )
    yield Step(total(estimate[j], j) / total(weight[l], l), "=", 1 + total(p * error, j), "and D = Σ p_j ρ_j.")
    size, near = sp.Symbol("N", real=True), sp.symbols("y_1 y_2 y_3", nonnegative=True)
    limit = 4 * (sp.Rational(1, 4) + near[0]) + 4 * size**2 / tolerance**2
    yield Step(sp.Integer(1), "<=", limit, "If |D| ≥ 1/2, that is D² = 1/4 + y: 1 ≤ 4D² + 4N²/ε².", certificate=4 * near[0] + 4 * size**2 / tolerance**2)
    shift = sp.Symbol("D", real=True)
    grown = (tolerance + near[1]) ** 2 * (sp.Rational(1, 2) + near[2]) ** 2
    yield Step(
        sp.Integer(1),
        "<=",
        4 * shift**2 + 4 * grown / tolerance**2,
        "Otherwise 1 + D = 1/2 + y, and an error of ε or more means |N| = (ε + y')(1/2 + y): the same. So the indicator of such an error is at most 4D² + "
        "4N²/ε² everywhere, and its probability at "
        "most the mean of that.",
        certificate=4 * shift**2 + sp.expand(4 * grown / tolerance**2 - 1),
    )
    shown = {"D": (mass, off[j]), "N": (moved, off[j] * (v[j] - o))}
    for name, (mean, term) in shown.items():
        deviation = total(p * (term - mean) ** 2, j)
        yield Step(mean**2, "<=", total(p * term**2, j), f"{name}² is the square of a mean under p, and at most the mean of squares.", certificate=deviation)
    top = sp.Symbol("M", positive=True)  # e^(R²) − 1
    square_error = (top - below_top[j]) / m
    yield Step(
        total(p * square_error * (4 + 4 * (v[j] - o) ** 2 / tolerance**2), j),
        "<=",
        4 * (1 + total(p * (v[j] - o) ** 2, j) / tolerance**2) * top / m,
        "The mean of ρ_j² is (e^(|q + k_j|²) − 1)/m, and M = e^(R²) − 1 is the largest of these numerators.",
        certificate=total(p * below_top[j] / m * (4 + 4 * (v[j] - o) ** 2 / tolerance**2), j),
    )


TAKEN_WITH = ("random_features.positive-unbiased", "random_features.positive-variance")
CONVERGENCE = (
    r"Let $\hat o = \dfrac{\sum_j\phi(q)\cdot\phi(k_j)\,v_j}{\sum_l\phi(q)\cdot\phi(k_l)}$ and $o = \sum_j\mathrm{softmax}(q\cdot k)_j\,v_j$. Then $\Pr\bigl(|\hat o - o| \ge \varepsilon\bigr) \le "
    r"\dfrac{4}{m}\Bigl(1 + \dfrac{\sigma^2}{\varepsilon^2}\Bigr)\bigl(e^{R^2} - 1\bigr) \to 0$, with $R = \max_j|q + k_j|$ and $\sigma^2 = \sum_j p_j(v_j - o)^2$, $p = \mathrm{softmax}(q\cdot k)$."
)

converges = derived(
    Claim(
        id="random_features.converges",
        title="Performer attention converges to softmax attention as the number of features grows",
        states="Performer converges to true attention.",
        reading="For fixed queries, keys and values, in probability as m → ∞. What the text calls Performer attention is φ(Q)(φ(K)ᵀV), without a denominator.",
        precise=r"As the formula stands it is false: $\sum_j\phi(q)\cdot\phi(k_j)\,v_j$ converges to $\sum_j e^{q\cdot k_j}v_j$ (the law of large numbers; its mean is in random_features.sums-unbiased), and not to attention. With the denominator it is true. "
        + CONVERGENCE,
        sources=(S1.at("Performer (Linear Attention)"), CHOROMANSKI.at("Theorem 4")),
        scope="any n, d ≥ 1, every real query, keys and values (each coordinate of them), every ε > 0; independent positive features. The steps are written as in random_features.quotient-converges",
        inventory=("C130",),
        uses=TAKEN_WITH,
        unsaid="the sum is divided by its denominator, φ(Q)(φ(K)ᵀ1)",
        corrected_by="random_features.quotient-converges",
        holds=_limit_is_attention,
        worked=_limit_worked,
    )
)(_convergence)

quotient_converges = derived(
    Claim(
        id="random_features.quotient-converges",
        title="Divided by its denominator, Performer attention converges to softmax attention as the number of features grows",
        states="(Not in the text; the corrected form of random_features.converges.) The quotient converges, and how fast.",
        precise=CONVERGENCE
        + r" The number of keys does not occur, the lengths of queries and keys do: exponentially. Written with $e^{|q+k_j|^2} = e^{R^2} - g_j$, $g_j \ge 0$; the weights are $A_j/\sum_l A_l$, and $\rho_j$ is the "
        r"relative error of the estimate of $A_j = e^{q\cdot k_j}$.",
        sources=(S1.at("Performer (Linear Attention)"), CHOROMANSKI.at("Theorem 4")),
        scope="any n, d ≥ 1, every real query, keys and values (each coordinate of them), every ε > 0; independent positive features",
        inventory=("C130",),
        uses=TAKEN_WITH,
        holds=_convergence_holds,
    )
)(_convergence)
