"""What dividing the scores by √d_k does: the variance of a dot product, norms and angles, and which width is the right one.

Random vectors are finite distributions here, so every expectation is a finite sum: the derivations take them with symbolic sizes,
the exact checks enumerate every outcome in fractions. Nothing is sampled.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.exact import Matrix
from theorems.outcome import Outcome
from theorems.sources import GLOROT, S2, S3, S4, VASWANI
from theorems.step import Step
from theorems.symbols import K, Q, a, b, d, h, i, j, l, r, t, total

Vector = Sequence[int]
OUTCOMES = (  # what the letters of the steps stand for
    r" In the formulas outcome $i$ of the query, $Q_{i,a}$, has the probability $w_i$ and outcome $r$ of the key, $K_{r,a}$, the probability $z_r$ (or these over their sums)."
)
C_q, C_k = sp.IndexedBase("C^q", real=True), sp.IndexedBase("C^k", real=True)  # covariances of the components, [a, b]
mu, nu = sp.IndexedBase("mu", real=True), sp.IndexedBase("nu", real=True)  # means of the query's and the key's components, [a]
M = sp.IndexedBase("M", real=True)  # second moments of the key, M[a, b]
w, z = sp.IndexedBase("w", positive=True), sp.IndexedBase("z", positive=True)  # probabilities of the query's outcomes [i], of the key's [r]
kappa = sp.Symbol("kappa", positive=True)  # fourth moment of a component
D = sp.Symbol("D", integer=True, positive=True)  # the model's width


def _mean(values: Sequence[Fraction | int]) -> Fraction:
    return Fraction(sum(values), len(values)) if values else Fraction(0)


def _variance(values: Sequence[Fraction | int]) -> Fraction:
    return _mean([x * x for x in values]) - _mean(values) ** 2


def _dot(left: Vector, right: Vector) -> int:
    return sum(x * y for x, y in zip(left, right, strict=True))


def _products(queries: Sequence[Vector], keys: Sequence[Vector]) -> list[int]:
    """q·k for every pair of outcomes: all equally likely when the query and the key are independent."""
    return [_dot(q, k) for q in queries for k in keys]


# --- the variance of a dot product -------------------------------------------------------------------------------------------------


def _moments_hold(queries: Sequence[Vector], keys: Sequence[Vector]) -> Outcome:
    return exact.decided(_variance(_products(queries, keys)) == _variance_by_moments(queries, keys))


def _variance_by_moments(queries: Sequence[Vector], keys: Sequence[Vector]) -> Fraction:
    """Σ_ab C^q_ab C^k_ab + ν_a ν_b C^q_ab + μ_a μ_b C^k_ab, from the two laws alone."""
    parts = []
    for x, y in itertools.product(range(len(queries[0])), repeat=2):
        (mean_x, mean_y, covariance_q), (other_x, other_y, covariance_k) = _covariance(queries, x, y), _covariance(keys, x, y)
        parts.append(covariance_q * covariance_k + covariance_q * other_x * other_y + covariance_k * mean_x * mean_y)
    return sum(parts, Fraction(0))


def _covariance(outcomes: Sequence[Vector], x: int, y: int) -> tuple[Fraction, Fraction, Fraction]:
    """The means of components x and y, and their covariance."""
    left, right = _mean([v[x] for v in outcomes]), _mean([v[y] for v in outcomes])
    return left, right, _mean([v[x] * v[y] for v in outcomes]) - left * right


def _independent_steps() -> Iterator[Step]:
    """What independence gives: over all pairs of outcomes, means of products are products of means."""
    pairs = w[i] * z[r] * Q[i, a] * K[r, a]
    yield Step(total(total(pairs, i), r), "=", total(w[i] * Q[i, a], i) * total(z[r] * K[r, a], r), "The mean of q·k, one component at a time.")
    yield Step(
        total(total(pairs * Q[i, b] * K[r, b], i), r),
        "=",
        total(w[i] * Q[i, a] * Q[i, b], i) * total(z[r] * K[r, a] * K[r, b], r),
        "The mean of its square, one pair of components at a time: only second moments of the two vectors occur.",
    )


def _variance_in_full() -> Step:
    """Var[q·k] over all pairs of outcomes, and the same from the means and covariances of the two laws."""
    chance_q, chance_k = w[i] / total(w[l], l), z[r] / total(z[t], t)

    def moments(chance: sp.Expr, place: sp.Symbol, value: sp.IndexedBase) -> tuple[sp.Expr, sp.Expr, sp.Expr]:
        mean_a, mean_b = (total(chance * value[place, x], place) for x in (a, b))
        return mean_a, mean_b, total(chance * value[place, a] * value[place, b], place) - mean_a * mean_b

    (mu_a, mu_b, cov_q), (nu_a, nu_b, cov_k) = moments(chance_q, i, Q), moments(chance_k, r, K)

    def over_pairs(body: sp.Expr) -> sp.Expr:
        return total(total(chance_q * chance_k * body, i), r)

    terms = {x: Q[i, x] * K[r, x] for x in (a, b)}
    covariance = over_pairs(terms[a] * terms[b]) - over_pairs(terms[a]) * over_pairs(terms[b])
    return Step(
        sp.Sum(covariance, (a, 1, d), (b, 1, d)),
        "=",
        sp.Sum(cov_q * cov_k + nu_a * nu_b * cov_q + mu_a * mu_b * cov_k, (a, 1, d), (b, 1, d)),
        "All of it at once: the variance of q·k is the sum of the covariances of its terms, over outcomes i of the query and r of the key "
        "(probabilities are weights w and z over their sums).",
    )


@derived(
    Claim(
        id="scaling.dot-product-variance",
        title="The variance of the dot product of independent vectors",
        states="(Not in the texts; it follows from independence.) How spread out q·k is depends on the means and covariances of the query and of the key.",
        precise=r"For independent $q, k$ with means $\mu, \nu$ and covariances $C^q, C^k$: "
        r"$\mathrm{Var}[q\cdot k] = \sum_{a,b}\bigl(C^q_{ab}C^k_{ab} + \nu_a\nu_b\,C^q_{ab} + \mu_a\mu_b\,C^k_{ab}\bigr)$." + OUTCOMES,
        sources=(VASWANI.at("Section 3.2.1, footnote 4"),),
        scope="any d ≥ 1; q and k independent with finite second moments (derived for finite distributions of any size)",
        holds=_moments_hold,
    )
)
def dot_product_variance() -> Iterator[Step]:
    yield from _independent_steps()
    yield _variance_in_full()
    second = sp.Sum((C_q[a, b] + mu[a] * mu[b]) * (C_k[a, b] + nu[a] * nu[b]), (a, 1, d), (b, 1, d))
    mean_squared = total(mu[a] * nu[a], a) ** 2
    answer = sp.Sum(C_q[a, b] * C_k[a, b] + nu[a] * nu[b] * C_q[a, b] + mu[a] * mu[b] * C_k[a, b], (a, 1, d), (b, 1, d))
    yield Step(
        second - mean_squared,
        "=",
        answer,
        "The same in the letters of covariances and means: a second moment is a covariance plus a product of means, and the product of all "
        "four means is the squared mean of q·k.",
    )


def _standard_steps() -> Iterator[Step]:
    yield from _independent_steps()
    delta = sp.KroneckerDelta(a, b)
    yield Step(sp.Sum(delta * delta, (a, 1, d), (b, 1, d)), "=", d, "With second moments δ_ab and means 0, the unscaled product has variance d.")
    yield Step(
        (1 / sp.sqrt(d)) ** 2 * sp.Sum(delta * delta, (a, 1, d), (b, 1, d)),
        "=",
        sp.Integer(1),
        "The mean stays 0, and a factor 1/√d divides the variance by d.",
    )


def _scaled_variance_holds(queries: Sequence[Vector], keys: Sequence[Vector]) -> Outcome:
    return exact.decided(_variance(_products(queries, keys)) == len(queries[0]))


def _scaled_variance_worked(queries: Sequence[Vector], keys: Sequence[Vector]) -> str:
    products, width = _products(queries, keys), len(queries[0])
    return (
        f"Let the query be one of {_listed(queries)} and the key, independently, one of {_listed(keys)}, all equally likely (d_k = {width}). "
        f"The dot products are {products}, with mean {_mean(products)}, mean square {_mean([x * x for x in products])} and so variance {_variance(products)}. "
        f"Divided by √{width}, the variance is {_variance(products) / width}, not 1."
    )


def _listed(outcomes: Sequence[Vector]) -> str:
    return ", ".join("(" + ", ".join(map(str, v)) + ")" for v in outcomes)


scaled_variance = derived(
    Claim(
        id="scaling.scaled-variance",
        title="Dividing by √d_k gives the scores variance one",
        states="The scores q·k/√d_k have variance 1.",
        reading="Said of the scores of an attention layer in general, where queries and keys are whatever the layer computes.",
        precise=r"$\mathrm{Var}[q\cdot k/\sqrt{d_k}] = 1$ when $q$ and $k$ are independent and each has mean 0 and covariance $I$." + OUTCOMES,
        sources=(S2.at("Theoretical Properties"), VASWANI.at("Section 3.2.1, footnote 4")),
        scope="any d_k ≥ 1",
        inventory=("C242",),
        uses=("scaling.dot-product-variance",),
        unsaid="query and key are independent, with components that are uncorrelated, of mean 0 and of variance 1",
        corrected_by="scaling.dot-product-variance",
        holds=_scaled_variance_holds,
        worked=_scaled_variance_worked,
    )
)(_standard_steps)


def _law(spread: int) -> list[tuple[int, Fraction]]:
    """A component that is −spread, 0 or spread, with mean 0 and variance 1."""
    outer = Fraction(1, 2 * spread * spread)
    return [(value, chance) for value, chance in ((-spread, outer), (0, 1 - 2 * outer), (spread, outer)) if chance]


def _standard_variance(d: int, query_spread: int, key_spread: int) -> Fraction:
    """Var[q·k] by enumerating every outcome of d independent components of each."""
    mean, square = Fraction(0), Fraction(0)
    for outcome in itertools.product(*[_law(query_spread)] * d, *[_law(key_spread)] * d):
        chance, values = sp.prod([Fraction(1)]), [value for value, _ in outcome]
        for _, probability in outcome:
            chance *= probability
        product = _dot(values[:d], values[d:])
        mean, square = mean + chance * product, square + chance * product * product
    return square - mean * mean


def _unit_variance_holds(d: int, query_spread: int, key_spread: int) -> Outcome:
    return exact.decided(_standard_variance(d, query_spread, key_spread) / d == 1)


unit_variance = derived(
    Claim(
        id="scaling.unit-variance",
        title="Of independent standardised vectors, the scaled score has variance one",
        states="(Not in the text, which leaves the factor out of its formula.) It is the scaled product, not the product, that has variance one.",
        precise=r"$\mathrm{Var}[q^\top k/\sqrt{d_k}] = 1$ and $\mathrm{Var}[q^\top k] = d_k$ for independent $q, k$ with uncorrelated components of "
        r"mean 0 and variance 1." + OUTCOMES,
        sources=(VASWANI.at("Section 3.2.1, footnote 4"),),
        scope="any d_k ≥ 1 (derived for finite distributions of any size)",
        inventory=("C241",),
        uses=("scaling.dot-product-variance",),
        holds=_unit_variance_holds,
    )
)(_standard_steps)


def _unscaled_variance_holds(d: int, query_spread: int, key_spread: int) -> Outcome:
    return exact.decided(_standard_variance(d, query_spread, key_spread) == 1)


def _unscaled_variance_worked(d: int, query_spread: int, key_spread: int) -> str:
    laws = " and ".join(
        f"{name} {', '.join(f'{value} with probability {chance}' for value, chance in _law(spread))}"
        for name, spread in (("query components are", query_spread), ("key components are", key_spread))
    )
    variance = _standard_variance(d, query_spread, key_spread)
    return f"Take d_k = {d}, all components independent, where {laws}: mean 0, variance 1. Each of the {d} terms of q·k has variance 1, so Var[q·k] = {variance}, not 1; it is q·k/√{d} that has variance {variance / d}."


@derived(
    Claim(
        id="scaling.unscaled-variance",
        title="The scaling factor makes Var[q·k] equal to one",
        states="The scaling factor √d_k ensures that the product q·k has variance 1.",
        reading="The formula is taken at its word: it speaks of the product without the factor. The usual assumptions are granted (independent components of mean 0 "
        "and variance 1).",
        precise=r"$\mathrm{Var}[q^\top k] = 1$ for every $d_k$. But under the assumptions that are granted the variance is $d_k$, which is 1 only at $d_k = 1$. In the "
        r"formula of the conclusion $d_k = 1 + x$." + OUTCOMES,
        sources=(S2.at("Theoretical Properties"),),
        scope="independent components of mean 0 and variance 1; the derivation: every d_k ≥ 2",
        inventory=("C241",),
        uses=("scaling.dot-product-variance",),
        corrected_by="scaling.unit-variance",
        holds=_unscaled_variance_holds,
        worked=_unscaled_variance_worked,
    )
)
def unscaled_variance() -> Iterator[Step]:
    yield from _independent_steps()
    more, delta = sp.Symbol("x", integer=True, positive=True), sp.KroneckerDelta(a, b)
    yield Step(
        sp.Integer(1),
        "<",
        sp.Sum(delta * delta, (a, 1, 1 + more), (b, 1, 1 + more)),
        "With second moments δ_ab and means 0 each of the 1 + x components adds 1 to the variance: at any width of two or more it exceeds 1.",
        certificate=more,
    )


# --- what Glorot's initialisation makes of it ------------------------------------------------------------------------------------------


def _projected_variance(inputs: int, outputs: int, input_spread: int, weight_spread: int) -> Fraction:
    """Var[Σ_a x_a W_ab] with Var[W_ab] = 2/(inputs + outputs): every outcome of a standard x and of √(inputs + outputs)/√2 · W is enumerated."""
    return _standard_variance(inputs, input_spread, weight_spread) * Fraction(2, inputs + outputs)


def _glorot_holds(inputs: int, outputs: int, input_spread: int, weight_spread: int) -> Outcome:
    return exact.decided(_projected_variance(inputs, outputs, input_spread, weight_spread) == Fraction(2 * inputs, inputs + outputs))


def _glorot_steps() -> Iterator[Step]:
    yield from _independent_steps()
    delta = sp.KroneckerDelta(a, b)
    variance = sp.Sum(delta * (2 / (D + d) * delta), (a, 1, D), (b, 1, D))
    yield Step(variance, "=", 2 * D / (D + d), "One component of xW is the dot product of x and a column of W: second moments δ_ab and 2δ_ab/(D + d), means 0.")


def _glorot_bounded_steps() -> Iterator[Step]:
    more = sp.Symbol("x", integer=True, nonnegative=True)
    yield Step(
        sp.Integer(1),
        "<=",
        2 * (d + more) / (d + more + d),
        "Where d_k ≤ D = d_k + x, twice D is at least the sum of the widths.",
        certificate=more / (2 * d + more),
    )
    yield Step(2 * D / (D + d), "<", sp.Integer(2), "And at any widths less than twice that sum.", certificate=2 * d / (D + d))
    yield from _glorot_steps()


glorot_variance = derived(
    Claim(
        id="scaling.glorot-variance",
        title="Glorot's initialisation gives queries and keys the variance 2D/(D + d_k)",
        states="(Not in the text, which names the initialisation only.) How large queries and keys are at the start follows from the two widths of their projections.",
        precise=r"$\mathrm{Var}[(xW)_b] = \dfrac{2D}{D + d_k}$ for $W \in \mathbb{R}^{D\times d_k}$ with independent entries of mean 0 and variance $2/(D + d_k)$, "
        r"and an input $x$ independent of $W$ with uncorrelated components of mean 0 and variance 1: between 1 and 2 where $d_k \le D$."
        + OUTCOMES.replace("query", "input").replace("key", "column of $W$"),
        sources=(S4.at("Initialization"), GLOROT),
        scope="any D, d_k ≥ 1; uniform or normal entries alike (derived for finite distributions of any size)",
        uses=("scaling.dot-product-variance",),
        holds=_glorot_holds,
    )
)(_glorot_bounded_steps)


def _glorot_unit_holds(inputs: int, outputs: int, input_spread: int, weight_spread: int) -> Outcome:
    return exact.decided(_projected_variance(inputs, outputs, input_spread, weight_spread) == 1)


def _glorot_unit_worked(inputs: int, outputs: int, input_spread: int, weight_spread: int) -> str:
    return (
        f"Take D = {inputs} and d_k = {outputs}, with independent inputs of mean 0 and variance 1. Each entry of W has the variance 2/({inputs} + {outputs}) = "
        f"{Fraction(2, inputs + outputs)}. A component of xW is a sum of D = {inputs} product(s), each of that variance, so its variance is {inputs} · "
        f"{Fraction(2, inputs + outputs)} = {_projected_variance(inputs, outputs, input_spread, weight_spread)}, not 1."
    )


@derived(
    Claim(
        id="scaling.glorot-unit-variance",
        title="Glorot's initialisation gives queries and keys unit variance",
        states="(Implied; the text says only that Xavier/Glorot is the standard for linear layers.) Xavier/Glorot initialisation gives queries and keys unit variance.",
        reading="What it is chosen for: of inputs with variance 1 it makes queries and keys with variance 1, which the factor 1/√d_k counts on.",
        precise=r"$\dfrac{2D}{D + d_k} = 1$ if $d_k = D$: one projection for all heads together. A projection of its own for each of $h$ heads, "
        r"with $d_k = D/h$, gives $\dfrac{2h}{h + 1}$." + OUTCOMES.replace("query", "input").replace("key", "column of $W$"),
        sources=(S4.at("Initialization"), GLOROT),
        scope="any D, d_k ≥ 1; inputs with uncorrelated components of mean 0 and variance 1",
        inventory=("C306",),
        uses=("scaling.glorot-variance",),
        unsaid="the projection has as many outputs as inputs, and its inputs are uncorrelated with mean 0 and variance 1",
        corrected_by="scaling.glorot-variance",
        holds=_glorot_unit_holds,
        worked=_glorot_unit_worked,
    )
)
def glorot_unit_variance() -> Iterator[Step]:
    yield from _glorot_steps()
    yield Step(2 * D / (D + D / h), "=", 2 * h / (h + 1), "A projection of its own for each of h heads.")
    square = sp.Subs(2 * D / (D + d), d, D)
    yield Step(square, "=", sp.Integer(1), "As many outputs as inputs.")


# --- norms and angles ---------------------------------------------------------------------------------------------------------------


def _norms_hold(queries: Sequence[Vector]) -> Outcome:
    components = [[v[x] for v in queries] for x in range(len(queries[0]))]
    return exact.decided(_mean([_dot(v, v) for v in queries]) == sum(_variance(xs) + _mean(xs) ** 2 for xs in components))


@derived(
    Claim(
        id="scaling.mean-square-norm",
        title="The mean squared norm is the sum of the components' variances and squared means",
        states="(Not in the text.) How long queries and keys are on average follows from the means and variances of their components.",
        precise=r"$\mathbb{E}\lVert q\rVert^2 = \sum_a (C^q_{aa} + \mu_a^2)$; it is $d_k$ if every component has mean 0 and variance 1.",
        sources=(S2.at("Geometric Interpretation"),),
        scope="any d_k ≥ 1, finite second moments (derived for finite distributions of any size)",
        holds=_norms_hold,
    )
)
def mean_square_norm() -> Iterator[Step]:
    chance = w[i] / total(w[l], l)
    mean = total(chance * Q[i, a], i)
    yield Step(
        total(chance * total(Q[i, a] ** 2, a), i),
        "=",
        total(total(chance * (Q[i, a] - mean) ** 2, i) + mean**2, a),
        "Exchange the two sums; each component's mean square is its variance plus its squared mean.",
    )


def _concentrates(queries: Sequence[Vector]) -> Outcome:
    """Of equally likely vectors, the share whose norm is not within a factor of two of √d is at most 16/9 the mean of (‖q‖²/d − 1)²."""
    off = [(Fraction(_dot(v, v), len(v)) - 1) for v in queries]
    outside = [not Fraction(1, 4) <= x + 1 <= 4 for x in off]
    return exact.decided(_mean([int(x) for x in outside]) <= Fraction(16, 9) * _mean([x * x for x in off]))


def _concentration_steps() -> Iterator[Step]:
    X, Y = sp.IndexedBase("X", real=True), sp.IndexedBase("Y", real=True)
    chance, other = w[i] / total(w[l], l), z[r] / total(z[t], t)
    yield Step(
        total(total(chance * other * X[i] ** 2 * Y[r] ** 2, i), r),
        "=",
        total(chance * X[i] ** 2, i) * total(other * Y[r] ** 2, r),
        "Two different components, X with outcomes i and Y with outcomes r, are independent: the mean of the product of their squares is the product of the mean "
        "squares, 1 · 1.",
    )
    yield Step(total(sp.Integer(1), a), "=", d, "Each of the d components contributes its variance 1 to the mean squared norm.")
    fourth = sp.Sum(1 + (kappa - 1) * sp.KroneckerDelta(a, b), (a, 1, d), (b, 1, d))
    yield Step(
        fourth, "=", d**2 + (kappa - 1) * d, "The mean of the squared norm's square: pairs of different components contribute 1, equal ones the fourth moment."
    )
    yield Step((fourth - total(sp.Integer(1), a) ** 2) / d**2, "=", (kappa - 1) / d, "Subtract the squared mean and divide by d².")
    beyond, inside, below = sp.IndexedBase("x", nonnegative=True), sp.IndexedBase("y", real=True), sp.Symbol("u", positive=True)
    yield Step(sp.Rational(3, 4), "<", 1 - (sp.Rational(1, 4) - below), "A norm below half of √d makes ‖q‖²/d less than 1/4, so more than 3/4 away from 1.")
    yield Step(sp.Rational(3, 4), "<", (4 + below) - 1, "A norm above twice √d makes it more than 4, so more than 3 away.")
    mass = total(w[i], i) + total(z[r], r)
    square = (total(w[i] * (sp.Rational(3, 4) + beyond[i]) ** 2, i) + total(z[r] * inside[r] ** 2, r)) / mass
    yield Step(
        sp.Rational(9, 16) * total(w[i], i) / mass,
        "<=",
        square,
        "So an outcome outside adds at least 9/16 of its probability to the mean square of ‖q‖²/d − 1, and none inside takes any away: the probability "
        "outside is at most 16/9 of that mean square, which is (κ − 1)/d.",
        certificate=(total(w[i] * (sp.Rational(3, 2) * beyond[i] + beyond[i] ** 2), i) + total(z[r] * inside[r] ** 2, r)) / mass,
    )


norms_concentrate = derived(
    Claim(
        id="scaling.norms-concentrate",
        title="With independent standardised components the norm is within a factor of two of √d_k, except with a probability of at most 16(κ − 1)/(9 d_k)",
        states="(Implied by the text's ≈.) If the components of queries and keys are independent and standardised, their norms are about √d_k with high probability.",
        precise=r"For any law, $\Pr\bigl[\lVert q\rVert \notin [\tfrac12\sqrt{d_k}, 2\sqrt{d_k}]\bigr] \le \frac{16}{9}\,\mathbb{E}\bigl(\lVert q\rVert^2/d_k - 1\bigr)^2$ (Chebyshev), and for independent "
        r"components of mean 0, variance 1 and fourth moment $\kappa$ that mean square is $(\kappa - 1)/d_k$, since $\mathbb{E}\lVert q\rVert^2 = d_k$. In the last formula the "
        r"outcomes outside have weights $w_i$, those inside $z_r$, over the sum of all weights, and $\lVert q\rVert^2/d_k$ is off 1 by $\frac34 + x_i$ and $y_r$.",
        sources=(S2.at("Geometric Interpretation"),),
        scope="any d_k ≥ 1 (derived for finite distributions of any size; the exact check: laws of a few equally likely vectors)",
        inventory=("C045",),
        holds=_concentrates,
    )
)(_concentration_steps)


def _sphere_holds(queries: Sequence[Vector]) -> Outcome:
    return exact.decided(all(Fraction(len(v), 4) <= _dot(v, v) <= 4 * len(v) for v in queries))


def _sphere_worked(queries: Sequence[Vector]) -> str:
    v = next(v for v in queries if not Fraction(len(v), 4) <= _dot(v, v) <= 4 * len(v))
    return (
        f"The vector ({', '.join(map(str, v))}) has d_k = {len(v)} and the squared norm {_dot(v, v)}. For a norm between √{len(v)}/2 and 2√{len(v)} it would have to be "
        f"between d_k/4 = {Fraction(len(v), 4)} and 4 d_k = {4 * len(v)}. Nothing in attention forbids such a query or key."
    )


@derived(
    Claim(
        id="scaling.sphere",
        title="Queries and keys lie near a sphere of radius √d_k",
        states="Queries and keys lie on a hypersphere of dimension d_k, and their norms are about √d_k.",
        reading="As the text's own ≈ suggests, to lie on the sphere is to lie near it: every query and key has a norm within a factor of two of √d_k. (A sphere in "
        "d_k-dimensional space has dimension d_k − 1.)",
        precise=r"For independent components of mean 0, variance 1 and fourth moment $\kappa$: $\mathbb{E}\lVert q\rVert^2 = d_k$ and "
        r"$\mathrm{Var}\bigl[\lVert q\rVert^2/d_k\bigr] = (\kappa - 1)/d_k$. So the norm is not between $\frac12\sqrt{d_k}$ and $2\sqrt{d_k}$ with a probability of at most "
        r"$\frac{16}{9}\,\frac{\kappa - 1}{d_k}$ (Chebyshev). All such vectors lie on the sphere only if $\kappa = 1$, where that variance is 0. In the last formula the "
        r"probability of an outcome outside is its weight $w_i$ over the sum of all weights, and $\lVert q\rVert^2/d_k$ is off 1 by $\frac34 + x_i$; inside these are $z_r$ and $y_r$.",
        sources=(S2.at("Geometric Interpretation"),),
        scope="any d_k ≥ 1 (Chebyshev's inequality is derived for finite distributions of any size)",
        inventory=("C044", "C045"),
        uses=("scaling.norms-concentrate",),
        unsaid="the components are independent with mean 0, variance 1 and a bounded fourth moment, d_k is large, and what is said holds with high probability, not always",
        corrected_by="scaling.norms-concentrate",
        holds=_sphere_holds,
        worked=_sphere_worked,
    )
)
def sphere() -> Iterator[Step]:
    yield from _concentration_steps()


def _norm(v: Vector) -> arb:
    return exact.ball(_dot(v, v)).sqrt()


def _cosine_score_holds(query: Vector, key: Vector) -> Outcome:
    """q·k/√d = ‖q‖‖k‖ cos θ/√d, with θ from the law of cosines in the triangle 0, q, k."""
    gap = [x - y for x, y in zip(query, key, strict=True)]
    opposite = exact.ball(Fraction(_dot(query, query) + _dot(key, key) - _dot(gap, gap), 2))  # ‖q‖‖k‖ cos θ
    return exact.equal([exact.ball(_dot(query, key)) / exact.ball(len(query)).sqrt()], [opposite / exact.ball(len(query)).sqrt()])


@derived(
    Claim(
        id="scaling.cosine-score",
        title="The scaled score is the product of the norms and the cosine, over √d_k",
        states="(Not in the text; the law of cosines.) The score depends on the angle between query and key, and on both norms.",
        precise=r"$\dfrac{q\cdot k}{\sqrt{d_k}} = \dfrac{\lVert q\rVert\,\lVert k\rVert}{\sqrt{d_k}}\cos\theta$, where $\theta$ is the angle of the "
        r"triangle $0, q, k$ at $0$: "
        r"$2\lVert q\rVert\lVert k\rVert\cos\theta = \lVert q\rVert^2 + \lVert k\rVert^2 - \lVert q - k\rVert^2$.",
        sources=(S2.at("Geometric Interpretation"),),
        scope="any d_k ≥ 1, non-zero q and k (where one is zero both sides are zero)",
        holds=_cosine_score_holds,
    )
)
def cosine_score() -> Iterator[Step]:
    q, k = total(Q[r, a] ** 2, a), total(K[j, a] ** 2, a)
    apart = total((Q[r, a] - K[j, a]) ** 2, a)
    yield Step(
        total(Q[r, a] * K[j, a], a) / sp.sqrt(d),
        "=",
        (q + k - apart) / (2 * sp.sqrt(d)),
        "Expand the square of the third side.",
    )


def _cosine_holds(query: Vector, key: Vector) -> Outcome:
    """q·k/√d = √d cos θ, without dividing by the norms: q·k ‖q‖‖k‖ = d q·k."""
    product = exact.ball(_dot(query, key))
    return exact.equal([product * _norm(query) * _norm(key)], [product * len(query)])


def _cosine_worked(query: Vector, key: Vector) -> str:
    width, product = len(query), _dot(query, key)
    score = exact.ball(product) / exact.ball(width).sqrt()
    cosine = exact.ball(product) / (_norm(query) * _norm(key))
    return (
        f"Take q = ({', '.join(map(str, query))}) and k = ({', '.join(map(str, key))}), d_k = {width}. Then q·k = {product} and the score is "
        f"{product}/√{width} = {exact.show(score)}. "
        f"With squared norms {_dot(query, query)} and {_dot(key, key)}, the cosine is {exact.show(cosine)} and √d_k cos θ = "
        f"{exact.show(cosine * exact.ball(width).sqrt())}, which should be the same."
    )


@derived(
    Claim(
        id="scaling.cosine",
        title="The score is √d_k times a cosine",
        states="The scores are q·k/√d_k = √d_k cos θ, so they are cosine similarities up to a constant.",
        reading="The formula is an equality, and it is judged as one, for every query and key. Just before, the text puts both norms at about √d_k, with ≈; what that gives is a bound, "
        "which is derived as well.",
        precise=r"$\dfrac{q\cdot k}{\sqrt{d_k}} - \sqrt{d_k}\cos\theta = \dfrac{\lVert q\rVert\,\lVert k\rVert - d_k}{\sqrt{d_k}}\cos\theta$: the two agree when "
        r"$\lVert q\rVert\,\lVert k\rVert = d_k$, and otherwise only when $q\perp k$. For norms between $(1-\varepsilon)\sqrt{d_k}$ and $(1+\varepsilon)\sqrt{d_k}$: $\bigl|s - "
        r"\sqrt{d_k}\cos\theta\bigr| \le (2\varepsilon + \varepsilon^2)\sqrt{d_k}\,|\cos\theta|$, since $\bigl|\lVert q\rVert\,\lVert k\rVert - d_k\bigr| \le (2\varepsilon + "
        r"\varepsilon^2)d_k$. In the steps for that, norms are $(1+\varepsilon)\sqrt{d_k}e^{-x}$ and $(1+\varepsilon)\sqrt{d_k}e^{-y}$, or $(1-\varepsilon)\sqrt{d_k}e^x$ and "
        r"$(1-\varepsilon)\sqrt{d_k}e^y$.",
        sources=(S2.at("Geometric Interpretation"),),
        scope="any d_k ≥ 1, non-zero q and k",
        inventory=("C046",),
        uses=("scaling.cosine-score",),
        unsaid="the norms of query and key multiply to d_k exactly, as when both are normalised to √d_k (said only with ≈)",
        corrected_by="scaling.cosine-score",
        holds=_cosine_holds,
        worked=_cosine_worked,
    )
)
def cosine() -> Iterator[Step]:
    u, v = sp.IndexedBase("u", real=True), sp.IndexedBase("v", real=True)
    u_square, v_square = total(u[a] ** 2, a), total(v[a] ** 2, a)
    long_u, long_v = sp.sqrt(d) * u[a] / sp.sqrt(u_square), sp.sqrt(d) * v[a] / sp.sqrt(v_square)
    angle = total(u[a] * v[a], a) / (sp.sqrt(u_square) * sp.sqrt(v_square))
    yield Step(
        total(u[a] * v[a], a) / sp.sqrt(d) - sp.sqrt(d) * angle,
        "=",
        (sp.sqrt(u_square) * sp.sqrt(v_square) - d) / sp.sqrt(d) * angle,
        "Of any two vectors: the difference is 0 when the norms multiply to d, and otherwise only when the cosine is 0.",
        nonzero=(u_square, v_square),
    )
    short, more = sp.symbols("x y", nonnegative=True)
    eps, room = sp.symbols("epsilon rho", positive=True)
    yield Step(
        d * (1 + eps) ** 2 * sp.exp(-short - more) - d, "<=", (2 * eps + eps**2) * d, "Norms of at most (1 + ε)√d: their product exceeds d by no more than this.",
        certificate=d * (1 + eps) ** 2 * (1 - sp.exp(-short - more)),
    )  # fmt: skip
    least = 1 / (1 + room)  # 1 − ε for an ε between 0 and 1
    yield Step(
        d - d * least**2 * sp.exp(short + more), "<=", (2 * (1 - least) + (1 - least) ** 2) * d,
        "Norms of at least (1 − ε)√d, 1 − ε = 1/(1 + ρ): it falls short of d by no more.",
        certificate=d * least**2 * (sp.exp(short + more) - 1) + 2 * d * (room * least) ** 2,
    )  # fmt: skip
    yield Step(total(long_u**2, a), "=", d, "The vector √d u/‖u‖ has squared norm d; so has √d v/‖v‖.", nonzero=(u_square,))
    yield Step(
        total(long_u * long_v, a) / sp.sqrt(d),
        "=",
        sp.sqrt(d) * total(u[a] * v[a], a) / (sp.sqrt(u_square) * sp.sqrt(v_square)),
        "For such vectors the scaled score is √d times the cosine of u and v.",
        nonzero=(u_square, v_square),
    )


# --- which width ----------------------------------------------------------------------------------------------------------------------


def _by_model_width(Q: Matrix, K: Matrix, V: Matrix, model_width: int) -> list[list[arb]]:
    """What the class computes: softmax(Q Kᵀ/√d_model) V."""
    return exact.attention(Q, K, V, 1 / exact.ball(model_width).sqrt())


def _model_width_holds(Q: Matrix, K: Matrix, V: Matrix, model_width: int) -> Outcome:
    return exact.equal(_by_model_width(Q, K, V, model_width), exact.attention(Q, K, V, 1 / exact.ball(len(K[0])).sqrt()))


def _model_width_worked(Q: Matrix, K: Matrix, V: Matrix, model_width: int) -> str:
    def grid(matrix: Matrix) -> str:
        return "[" + ", ".join("[" + ", ".join(exact.show(y) for y in row) + "]" for row in matrix) + "]"

    width = len(K[0])
    return (
        f"Take Q = {grid(Q)}, K = {grid(K)}, V = {grid(V)}: the keys have width d_k = {width}, and the class was built with d_model = {model_width}. "
        f"It returns softmax(Q Kᵀ/√{model_width}) V = {grid(_by_model_width(Q, K, V, model_width))}; "
        f"scaled dot-product attention is softmax(Q Kᵀ/√{width}) V = {grid(exact.attention(Q, K, V, 1 / exact.ball(width).sqrt()))}."
    )


def _temperature_holds(Q: Matrix, K: Matrix, V: Matrix, model_width: int) -> Outcome:
    temperature = (exact.ball(model_width) / len(K[0])).sqrt()
    cooled = [[exact.ball(y) / temperature for y in row] for row in Q]
    return exact.equal(_by_model_width(Q, K, V, model_width), exact.attention(cooled, K, V, 1 / exact.ball(len(K[0])).sqrt()))


def _over_root(width: sp.Expr, temperature: sp.Expr) -> sp.Expr:
    """softmax((Q/temperature) Kᵀ/√width) at [r, j]."""
    cooled = {key: sp.exp(total(Q[r, a] / temperature * K[key, a], a) / sp.sqrt(width)) for key in (j, l)}
    return cooled[j] / total(cooled[l], l)


def _width_step() -> Step:
    because = "Dividing the query by the temperature √(d_model/d_k), and its scores by √d_k, divides the scores by √d_model."
    return Step(_over_root(D, sp.Integer(1)), "=", _over_root(d, sp.sqrt(D / d)), because)


@derived(
    Claim(
        id="scaling.model-width-temperature",
        title="Dividing by √d_model is scaled dot-product attention at temperature √(d_model/d_k)",
        states="(Not in the text; it follows from the class.) Which width stands under the root decides the temperature of the softmax.",
        precise=r"$\mathrm{softmax}\bigl(s/\sqrt{D}\bigr) = \mathrm{softmax}\Bigl(\tfrac{s}{\sqrt{d_k}}\big/ T\Bigr)$ with $T = \sqrt{D/d_k}$; with $h$ "
        r"heads and $d_k = D/h$ that is $T = \sqrt h$.",
        sources=(S2.at("Advanced Implementation"), VASWANI.at("Section 3.2.1")),
        scope="any d_k, D ≥ 1",
        holds=_temperature_holds,
    )
)
def model_width_temperature() -> Iterator[Step]:
    yield _width_step()


@derived(
    Claim(
        id="scaling.model-width",
        title="A class that divides by √d_model computes scaled dot-product attention",
        states="A module for transformer attention, without heads or projections, divides q kᵀ by √d_model.",
        reading="The class is given d_model when it is built and q, k, v when it is called; nothing in it ties the width of q and k to d_model, and a head of the model is usually "
        "narrower than the model. (The search tries no width above d_model.)",
        precise=r"$\mathrm{softmax}(QK^\top/\sqrt{d_{model}})V$ is scaled dot-product attention when $d_k = d_{model}$; otherwise its softmax has the "
        r"temperature $\sqrt{d_{model}/d_k}$.",
        sources=(S2.at("Advanced Implementation"), VASWANI.at("Section 3.2.1")),
        scope="any widths",
        inventory=("C260",),
        unsaid="queries and keys are d_model wide when they reach the class (one head)",
        corrected_by="scaling.model-width-temperature",
        holds=_model_width_holds,
        worked=_model_width_worked,
    )
)
def model_width() -> Iterator[Step]:
    yield _width_step()
    at_width = sp.Subs(_over_root(d, sp.sqrt(D / d)), D, d)
    yield Step(at_width, "=", _over_root(d, sp.Integer(1)), "Where d_model is d_k the temperature is 1.")


# --- saturation -----------------------------------------------------------------------------------------------------------------------


def _gap(query: Vector, key: Vector, other: Vector) -> arb:
    """The difference of the two scaled scores."""
    return exact.ball(_dot(query, key) - _dot(query, other)) / exact.ball(len(query)).sqrt()


def _derivative(gap: arb) -> arb:
    """p (1 − p) for two keys whose scores differ by `gap`."""
    p, other = exact.softmax([gap, exact.ball(0)])
    return p * other


def _floor_holds(query: Vector, key: Vector, other: Vector) -> Outcome:
    gap = _gap(query, key, other)
    return exact.at_most([(-abs(gap)).exp() / 4], [_derivative(gap)])


@derived(
    Claim(
        id="scaling.derivative-floor",
        title="The derivative of a two-key softmax is at least a quarter of exp(−|gap|)",
        states="(Not in the texts; it follows from the weights of two keys.) How small the gradient of softmax gets depends on the gap between scores, and on the width only through it.",
        precise=r"$\dfrac{e^{g}}{(1 + e^{g})^2} = p\,(1 - p) \ge \tfrac14 e^{-g}$ for two keys whose scores differ by $g \ge 0$.",
        sources=(S3.at("Scaled Dot-Product Attention"), S4.at("Step 2: Scale the Scores")),
        scope="two keys, any scores",
        holds=_floor_holds,
    )
)
def derivative_floor() -> Iterator[Step]:
    g = sp.Symbol("g", nonnegative=True)
    p = sp.exp(g) / (1 + sp.exp(g))
    yield Step(p * (1 - p), "=", sp.exp(g) / (1 + sp.exp(g)) ** 2, "The larger of the two weights is e^g/(1 + e^g).")
    yield Step(
        sp.exp(-g) / 4,
        "<=",
        p * (1 - p),
        "Clear denominators: (1 + e^g)² is at most (2e^g)², because e^g is at least 1.",
        certificate=(sp.exp(g) - 1) * (3 * sp.exp(g) + 1) / (4 * sp.exp(g) * (1 + sp.exp(g)) ** 2),
    )


def _mean_derivative_holds(query: Vector, key: Vector, other: Vector) -> Outcome:
    """The mean of p (1 − p) over all queries and keys with independent entries ±1 of the width of these, against e^(−2)/8.

    The products of a query with the difference of two such keys add up to 2 (B − d) with B binomial, of 2d tosses.
    """
    width = len(query)
    mean = sum(
        (
            exact.ball(Fraction(math.comb(2 * width, heads), 4**width)) * _derivative(exact.ball(2 * (heads - width)) / exact.ball(width).sqrt())
            for heads in range(2 * width + 1)
        ),
        arb(0),
    )
    return exact.at_most([exact.ball(-2).exp() / 8], [mean])


def _mean_derivative_steps() -> Iterator[Step]:
    yield from _independent_steps()
    delta = sp.KroneckerDelta(a, b)
    apart = (K[r, a] - K[t, a]) * (K[r, b] - K[t, b])
    yield Step(
        total(total(z[r] * z[t] * apart, r), t),
        "=",
        2 * total(z[r] * K[r, a] * K[r, b], r) * total(z[t], t) - 2 * total(z[r] * K[r, a], r) * total(z[t] * K[t, b], t),
        "Second moments of the difference of two independent keys: probabilities add up to 1 and the means are 0, which leaves twice δ_ab.",
    )
    yield Step(
        sp.Sum(delta * (2 * delta), (a, 1, d), (b, 1, d)) / sp.sqrt(d) ** 2,
        "=",
        sp.Integer(2),
        "The gap is the query times that difference, over √d: its mean square does not depend on d.",
    )
    mean_square = sp.Symbol("Y", positive=True)
    yield Step(
        sp.Subs(1 - mean_square / 4, mean_square, 2), "=", sp.Rational(1, 2), "With Y = 2 for the mean of g², the factor in the bound that follows is 1/2."
    )
    near, far, few = sp.IndexedBase("x", nonnegative=True), sp.IndexedBase("y", nonnegative=True), sp.IndexedBase("z", nonnegative=True)
    mass = total(w[i], i) + total(few[r], r)
    square = (total(w[i] * (2 - near[i]) ** 2, i) + total(few[r] * (2 + far[r]) ** 2, r)) / mass
    mean = (total(w[i] * sp.exp(-2 + near[i]) / 4, i) + total(few[r] * sp.exp(-2 - far[r]) / 4, r)) / mass
    inside = sp.exp(-2) * (sp.exp(near[i]) - 1) + sp.exp(-2) * (2 - near[i]) ** 2 / 4
    outside = sp.exp(-2 - far[r]) + sp.exp(-2) * (far[r] + far[r] ** 2 / 4)
    yield Step(
        sp.exp(-2) / 4 * (1 - square / 4),
        "<=",
        mean,
        "Outcome by outcome e^(−|g|) is at least e^(−2)(1 − g²/4): where |g| is at most 2 it is at least e^(−2), and where |g| exceeds 2 the right side is negative. "
        "A quarter of it is at most p(1 − p).",
        certificate=(total(w[i] * inside / 4, i) + total(few[r] * outside / 4, r)) / mass,
    )


mean_derivative = derived(
    Claim(
        id="scaling.mean-derivative",
        title="Of independent standardised query and keys, the mean derivative of a two-key softmax stays above e^(−2)/8 at every width",
        states="(Implied; this is what the scaling factor does at initialisation.) Divided by √d_k, two scores keep a softmax whose mean derivative does not fall with the width.",
        precise=r"For a query and two keys, independent of each other, with uncorrelated components of mean 0 and variance 1, the gap $g$ of the scaled scores has mean square 2 at every "
        r"$d_k$, so $\mathbb{E}[p(1 - p)] \ge \frac14\mathbb{E}\,e^{-|g|} \ge \frac14e^{-2}\bigl(1 - \frac14\mathbb{E}g^2\bigr) = \frac18e^{-2} > 0.016$."
        + OUTCOMES
        + r" In the last one "
        r"$|g| = 2 - x_i$ at outcomes of weight $w_i$ and $2 + y_r$ at outcomes of weight $z_r$, over the sum of all.",
        sources=(S3.at("Scaled Dot-Product Attention"), S4.at("Step 2: Scale the Scores")),
        scope="two keys, any d_k ≥ 1 (derived for finite distributions of any size; the exact check: the mean over all entries ±1)",
        inventory=("C245",),
        uses=("scaling.dot-product-variance", "scaling.derivative-floor"),
        holds=_mean_derivative_holds,
    )
)(_mean_derivative_steps)


def _saturation_holds(query: Vector, key: Vector, other: Vector) -> Outcome:
    """Entries ±1: the derivative is no smaller than the least one at width 1, whose gap is 2."""
    return exact.at_most([_derivative(exact.ball(2))], [_derivative(_gap(query, key, other))])


def _saturation_worked(query: Vector, key: Vector, other: Vector) -> str:
    gap = _gap(query, key, other)
    return (
        f"Take q = {tuple(query)} and the keys {tuple(key)}, {tuple(other)}, so d_k = {len(query)}. The scores q·k are {_dot(query, key)} and "
        f"{_dot(query, other)}; divided by √{len(query)} "
        f"they differ by {exact.show(gap)}, so the larger weight is p = 1/(1 + e^(−{exact.show(abs(gap))})) = {exact.show(1 / (1 + (-abs(gap)).exp()))}, and p (1 − p) = "
        f"{exact.show(_derivative(gap))}. At width 1 the gap is at most 2 and p (1 − p) at least "
        f"{exact.show(_derivative(exact.ball(2)))}, which this would have to reach. "
        f"For a key equal to the query and one opposite to it, the gap is 2√d_k at every width: it grows, and the derivative falls below e^(−2√d_k)."
    )


@derived(
    Claim(
        id="scaling.saturation",
        title="The scaling factor keeps softmax from saturating when d_k is large",
        states="Dividing by √d_k keeps the softmax from saturating, and its gradients from becoming extremely small or vanishing, at large d_k.",
        reading="As the width grows, with entries of a fixed size (here ±1), the derivative p(1 − p) of the softmax of two scaled scores stays above a positive "
        "number that does not depend on the width. The search tries the least value that it has at width 1, where the scores differ by 2 at the most.",
        precise=r"For two keys that are independent of each other and of the query, with uncorrelated components of mean 0 and variance 1, $\mathbb{E}[p(1 - p)] \ge \frac18e^{-2} > 0.016$ "
        r"at every $d_k$ (scaling.mean-derivative). Without these assumptions no positive number will do: for a key equal to a query of entries $\pm1$ and one opposite to it $g = 2\sqrt{d_k}$ "
        r"and $p(1 - p) < e^{-2\sqrt{d_k}}$. (A remark on “extremely small” without the factor: for independent entries $\pm1$ that is true of the median of $p(1 - p)$, $3\cdot10^{-4}$ at $d_k = "
        r"64$ and $10^{-7}$ at 256, while the mean falls only like $1/\sqrt{d_k}$: 0.178, 0.067, 0.035, 0.018 at $d_k = 1, 16, 64, 256$. With the factor it is about 0.18 throughout.)"
        + OUTCOMES
        + r" "
        r"In the last one $|g| = 2 - x_i$ at outcomes of weight $w_i$ and $2 + y_r$ at outcomes of weight $z_r$, over the sum of all.",
        sources=(S2.at("Theoretical Properties"), S3.at("Scaled Dot-Product Attention"), S4.at("Step 2: Scale the Scores")),
        scope="two keys, any d_k ≥ 1 (derived for finite distributions of any size); exploding gradients are judged in gradients.scaling-prevents-explosion. Keys of one layer "
        "come through one W_K: at initialisation they are uncorrelated only if their tokens are orthogonal",
        inventory=("C243", "C245"),
        uses=("scaling.mean-derivative", "scaling.dot-product-variance", "scaling.derivative-floor"),
        unsaid="two keys are compared, they and the query are independent, with uncorrelated components of mean 0 and variance 1, and it is the mean derivative that stays up",
        corrected_by="scaling.mean-derivative",
        holds=_saturation_holds,
        worked=_saturation_worked,
    )
)
def saturation() -> Iterator[Step]:
    aligned = sp.exp(2 * sp.sqrt(d))
    yield Step(
        total(sp.Integer(1), a) / sp.sqrt(d) - total(sp.Integer(-1), a) / sp.sqrt(d),
        "=",
        2 * sp.sqrt(d),
        "Without the assumptions: a key equal to a query of entries ±1, and one opposite to it.",
    )
    yield Step(
        aligned / (1 + aligned) ** 2,
        "<",
        1 / aligned,
        "There p (1 − p) sinks below every positive number.",
        certificate=(1 + 2 * aligned) / (aligned * (1 + aligned) ** 2),
    )
    yield from _mean_derivative_steps()
