"""Where the error bounds of attention in floating point come from: each claim is one link of the chain that properties/tolerance.py computes.

The model: an operation returns its exact result times 1 + δ with |δ| ≤ u, the unit roundoff, up to an absolute error η of underflow; exp and log have the
relative error ε. So a computed weight is w_j E_j, where E_j = e^(τ_j) gathers the error of the score, of the subtracted stabiliser and of exp.

"|a| ≤ θ" is written without absolute values: a = (z − y)/2 and θ = (z + y)/2 with y, z ≥ 0, which are y = θ − a and z = θ + a. A number of unknown sign and its
size are d = f − h and |d| = f + h with f, h ≥ 0. Bounds are derived upwards; exchanging y with z and f with h turns each into its mirror image downwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import BLANCHARD, DAO, HIGHAM
from theorems.step import Step
from theorems.symbols import e, i, j, l, total, v

Fractions = Sequence[Fraction]
w = sp.IndexedBase("w", positive=True)  # weights before they are divided by their sum
E = sp.IndexedBase("E", positive=True)  # the factor by which a computed weight is off, E[j]
y = sp.IndexedBase("y", nonnegative=True)  # θ_j − a_j
z = sp.IndexedBase("z", nonnegative=True)  # θ_j + a_j
f = sp.IndexedBase("f", nonnegative=True)  # positive part of v_j − o
h = sp.IndexedBase("h", nonnegative=True)  # negative part of v_j − o
remaining = sp.Symbol("c", positive=True)  # Σ w_j − Σ w_j θ_j, what is left of the mass at worst
a_j, theta_j = (z[j] - y[j]) / 2, (z[j] + y[j]) / 2
d_j, size_j = f[j] - h[j], f[j] + h[j]


def bounded_letter(letter: str) -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """A number a with |a| ≤ A, as (a, A, A − a, A + a)."""
    below, above = sp.symbols(f"y_{letter} z_{letter}", nonnegative=True)
    return (above - below) / 2, (above + below) / 2, below, above


# --- a weighted mean under other weights ----------------------------------------------------------------------------------------------


def mean(weights: Fractions, values: Fractions) -> Fraction:
    return sum((p * x for p, x in zip(weights, values, strict=True)), Fraction(0)) / sum(weights)


def _identity_holds(weights: Fractions, factors: Fractions, values: Fractions) -> Outcome:
    """Both sides in fractions, from the definition of a mean."""
    computed = [p * q for p, q in zip(weights, factors, strict=True)]
    o = mean(weights, values)
    moved = sum((p * (q - 1) * (x - o) for p, q, x in zip(weights, factors, values, strict=True)), Fraction(0))
    return exact.decided((mean(computed, values) - o) * sum(computed) == moved)


@derived(
    Claim(
        id="rounding.weights",
        title="How a weighted mean moves when its weights are off by factors",
        states="Attention with perturbed weights differs from attention by a mean of deviations v_j − o.",
        precise=r"With $o = \sum_j w_j v_j / \sum_l w_l$ and computed weights $w_j E_j$: $o' - o = \sum_j w_j (E_j - 1)(v_j - o) / \sum_l w_l E_l$, exactly. A factor "
        r"that all weights share drops out, and a value near $o$ costs nothing however wrong its weight is.",
        sources=(BLANCHARD.at("Section 4"), HIGHAM.at("Section 3.1")),
        scope="every n ≥ 1, all positive weights and factors, each coordinate of the values",
        holds=_identity_holds,
    )
)
def weights() -> Iterator[Step]:
    o = total(w[l] * v[l], l) / total(w[l], l)
    computed = total(w[j] * E[j] * v[j], j) / total(w[l] * E[l], l)
    yield Step(total(w[j] * (v[j] - o), j), "=", sp.Integer(0), "the deviations from a mean cancel under its own weights")
    yield Step(
        computed - o, "=", total(w[j] * (E[j] - 1) * (v[j] - o), j) / total(w[l] * E[l], l),
        "subtract o under the new weights, then take away the deviations that cancel",
    )  # fmt: skip


def _factor_holds(exponent: Fraction) -> Outcome:
    return exact.at_most([abs(ball(exponent).exp() - 1)], [ball(abs(exponent)).exp() - 1])


@derived(
    Claim(
        id="rounding.factor",
        title="An error in the exponent becomes a relative error of the weight",
        states="An exponent off by τ makes a weight off by at most e^|τ| − 1.",
        precise=r"$|e^{\tau} - 1| \le e^{|\tau|} - 1$; with $x = |\tau|$ it is an equality for $\tau = x$, and $1 - e^{-x} \le e^{x} - 1$ for $\tau = -x$.",
        sources=(BLANCHARD.at("Section 4"),),
        scope="every real τ",
        holds=_factor_holds,
    )
)
def factor() -> Iterator[Step]:
    x = sp.Symbol("x", nonnegative=True)
    yield Step(sp.Integer(0), "<=", sp.exp(x) - 1, "τ = x: the factor is e^x ≥ 1, and its distance from 1 is the bound itself")
    yield Step(
        1 - sp.exp(-x), "<=", sp.exp(x) - 1, "τ = −x: the gap is a square over e^x",
        certificate=(sp.exp(x) - 1) ** 2 * sp.exp(-x),
    )  # fmt: skip


def _output_holds(weights: Fractions, bounds: Fractions, places: Fractions, values: Fractions, sums: Fractions, inverse_u: int) -> Outcome:
    """|o' − o| against the bound, for factors 1 + place·bound with places in [−1, 1], and what factors 1 + sums·γ on the products add, with γ = 1/inverse_u; nothing is said where Σ p θ ≥ 1."""
    mass = sum(weights)
    left = 1 - sum((p * t for p, t in zip(weights, bounds, strict=True)), Fraction(0)) / mass
    computed = [p * (1 + at * t) for p, at, t in zip(weights, places, bounds, strict=True)]
    if left <= 0:
        return Outcome.HELD
    o = mean(weights, values)
    limit = sum((p / mass * t * abs(x - o) for p, t, x in zip(weights, bounds, values, strict=True)), Fraction(0)) / left
    gathered = Fraction(1, inverse_u)
    rounded = mean(computed, values) + sum((x * at * gathered * y for x, at, y in zip(computed, sums, values, strict=True)), Fraction(0)) / sum(computed)
    added = gathered * sum((p / mass * (1 + t) * abs(x) for p, t, x in zip(weights, bounds, values, strict=True)), Fraction(0)) / left
    return exact.decided(abs(mean(computed, values) - o) <= limit and abs(rounded - mean(computed, values)) <= added)


@derived(
    Claim(
        id="rounding.output",
        title="The error of attention's output that wrong weights cause",
        states="Attention in floating point is as accurate as its weights: the output's error is bounded by the weights' relative errors, value by value.",
        precise=r"If $E_j = 1 + a_j$ with $|a_j| \le \theta_j$ and $c = \sum_j w_j (1 - \theta_j) > 0$: $|o' - o| \le \frac1c \sum_j w_j \theta_j |v_j - o|$; with "
        r"$\sum_j w_j = 1$ this is $\sum_j p_j\theta_j|v_j - o| / (1 - \sum_j p_j\theta_j)$. Written with $a_j = (z_j - y_j)/2$, $\theta_j = (z_j + y_j)/2$, "
        r"$v_j - o = f_j - h_j$, $|v_j - o| = f_j + h_j$ and $\sum_j w_j E_j = c + \sum_j w_j z_j$. If each product $w_jE_jv_j$ is off by a factor $1 + \rho_j$ of its own besides, with $|\rho_j| \le \gamma$ for the roundings of the sums and of the division (see rounding.gamma), "
        r"the output moves by at most $\frac{\gamma}{c}\sum_j w_j(1 + \theta_j)|v_j|$ more.",
        sources=(BLANCHARD.at("Section 4"), HIGHAM.at("Section 3.1"), DAO.at("Algorithm 1")),
        scope="every n ≥ 1, all positive weights, each coordinate of the values; the measured error is compared with the bound of a whole pass",
        assumes=("Σ w_j θ_j < Σ w_j",),
        uses=("rounding.weights", "rounding.factor", "rounding.gamma", "rounding.telescoping"),
        kind=Kind.APPROXIMATION,
        holds=_output_holds,
    )
)
def output() -> Iterator[Step]:
    moved, limit, grown = (total(w[j] * x, j) for x in (a_j * d_j, theta_j * size_j, z[j]))
    above = total(w[j] * (y[j] * f[j] + z[j] * h[j]), j)
    yield Step(moved, "<=", limit, "term by term: θ|d| − a d = (θ − a) f + (θ + a) h, and no part is negative", certificate=above)
    yield Step(total(w[j] * (1 - theta_j), j), "<=", total(w[j] * (1 + a_j), j), "no factor is below 1 − θ_j", certificate=grown)
    below, over = sp.IndexedBase("q", nonnegative=True)[j], sp.IndexedBase("r", nonnegative=True)[j]  # γ − ρ_j and γ + ρ_j
    up, down = sp.IndexedBase("k", nonnegative=True)[j], sp.IndexedBase("m", nonnegative=True)[j]  # positive and negative part of v_j
    rho, most_rho = (over - below) / 2, (over + below) / 2
    added, most_added = total(w[j] * (1 + a_j) * rho * (up - down), j), total(w[j] * (1 + theta_j) * most_rho * (up + down), j)
    kept_back = total(w[j] * (up * (y[j] * over + (2 + z[j]) * below) + down * (y[j] * below + (2 + z[j]) * over)) / 2, j)
    yield Step(
        added / (remaining + grown), "<=", most_added / remaining,
        "what the roundings of the sums and of the division add, v_j = k_j − m_j: |1 + a_j| is at most 1 + θ_j, |ρ_j| at most γ, and no divisor is smaller than c",
        certificate=kept_back / (remaining + grown) + most_added * grown / (remaining * (remaining + grown)),
    )  # fmt: skip
    yield Step(
        moved / (remaining + grown), "<=", limit / remaining, "a numerator no larger than the limit's, over a divisor no smaller than c",
        certificate=above / (remaining + grown) + limit * grown / (remaining * (remaining + grown)),
    )  # fmt: skip


# --- how many roundings ---------------------------------------------------------------------------------------------------------------


def gamma(count: sp.Expr, u: sp.Expr) -> sp.Expr:
    return count * u / (1 - count * u)


def _gamma_holds(inverse_u: int, exponents: Sequence[int], places: Fractions) -> Outcome:
    """A product of factors (1 + place·u)^(±1) against 1 ± γ of their number, in fractions; nothing is said where k u ≥ 1."""
    u, k = Fraction(1, inverse_u), len(exponents)
    if k * u >= 1:
        return Outcome.HELD
    product = Fraction(1)
    for exponent, at in zip(exponents, places, strict=True):
        product *= (1 + at * u) ** exponent
    return exact.decided(abs(product - 1) <= k * u / (1 - k * u))


@derived(
    Claim(
        id="rounding.gamma",
        title="Roundings add up to γ",
        states="A chain of k roundings has a relative error of at most γ_k = k u / (1 − k u), where u is the unit roundoff.",
        precise=r"$(1 + \gamma_a)(1 + \gamma_b) \le 1 + \gamma_{a+b}$ for $(a+b) u < 1$ (written $u = 1/(a + b + \kappa)$, $\kappa > 0$), and $1/(1-u) = 1 + \gamma_1$ for one rounding, divided by; so products of "
        r"$k$ factors $(1 + \delta)^{\pm 1}$ stay within $1 \pm \gamma_k$. $\gamma_a \le \gamma_{a+b}$: counting too many roundings is safe. One pass of attention over $n$ keys: a weight meets its product with the value and at most $n - 1$ additions "
        r"in the numerator, at most $n - 1$ in the mass, and the division, $2n$ roundings in all, which $\gamma_{2n+1}$ covers. A merge of two tiles multiplies and adds once in the numerator and once in the mass: $T$ merges add $4T$.",
        sources=(HIGHAM.at("Lemmas 3.1 and 3.3"),),
        scope="every number of roundings with k u < 1",
        holds=_gamma_holds,
    )
)
def gammas_compose() -> Iterator[Step]:
    first, second = sp.symbols("a b", positive=True)
    room = sp.Symbol("kappa", positive=True)
    once, u = 1 / (1 + room), 1 / (first + second + room)
    yield Step(1 / (1 - once), "=", 1 + gamma(sp.Integer(1), once), "one rounding divided by, with u = 1/(1 + κ)")
    yield Step(1 + once, "<=", 1 + gamma(sp.Integer(1), once), "one rounding multiplied by: 1 + u ≤ 1/(1 − u)", certificate=once**2 / (1 - once))
    yield Step(
        gamma(first, u), "<=", gamma(first + second, u), "γ rises with the number of roundings",
        certificate=second * (first + second + room) / (room * (second + room)),
    )  # fmt: skip
    yield Step(
        (1 + gamma(first, u)) * (1 + gamma(second, u)), "<=", 1 + gamma(first + second, u), "(1 − a u)(1 − b u) exceeds 1 − (a + b) u by a b u²",
        certificate=first * second * (first + second + room) / (room * (first + room) * (second + room)),
    )  # fmt: skip


def _telescopes(scores: Sequence[Fraction], places: Fractions, inverse_u: int) -> Outcome:
    """One key at a time, the first score being the key's own: what its exponents add up to, against the distance to the last maximum."""
    own, top, reached, errors = scores[0], scores[0], Fraction(0), Fraction(0)
    for score, at in zip(scores, places, strict=True):
        after = max(top, score)
        reached += after - top
        errors += at * Fraction(1, inverse_u) * (after - top)
        top = after
    return exact.decided(reached == max(scores) - own and abs(errors) <= Fraction(1, inverse_u) * (max(scores) - own))


@derived(
    Claim(
        id="rounding.telescoping",
        title="Over any number of tiles the subtractions cost what one subtraction would",
        states="Rescaling a running state tile by tile loses no more in its exponents than one subtraction of the final maximum.",
        precise=r"A key at distance $g$ below its tile's maximum, which later rises by $d_1, \dots, d_n \ge 0$: with every difference off by a factor $1 + \delta$, "
        r"$|\delta| \le u$, and $u$ the unit roundoff, its exponents are off by at most $u\,(g + \sum_i d_i) = u\,(r - s_j)$ in all, where $s_j$ is the key's score and $r$ the final maximum. Written with $\delta_i = u - y_i$, "
        r"upwards. Only the errors of exp itself are counted once a merge.",
        sources=(DAO.at("Algorithm 1"), HIGHAM.at("Section 2.2")),
        scope="every number of merges, maxima that never fall",
        holds=_telescopes,
    )
)
def telescoping() -> Iterator[Step]:
    u, distance, short = sp.symbols("u g y", nonnegative=True)
    rise = sp.IndexedBase("d", nonnegative=True)
    yield Step(
        (u - short) * distance + total((u - y[i]) * rise[i], i), "<=", u * (distance + total(rise[i], i)),
        "every distance is non-negative, so each δ d is at most u d, and the distances sum to r − s",
        certificate=short * distance + total(y[i] * rise[i], i),
    )  # fmt: skip


# --- the log-sum-exp ------------------------------------------------------------------------------------------------------------------


def _log_sum_exp_holds(scores: Sequence[int], top: int, errors: Fractions, bounds: Fractions, log: Fraction, add: Fraction, inverse_u: int) -> Outcome:
    """(r + log Σ e^(s_j + τ_j − r)(1 + ε'))(1 + δ) against the bound, with τ_j = errors_j·bounds_j, ε' = 2 log·u and δ = add·u, each place in [−1, 1]."""
    u, r = ball(Fraction(1, inverse_u)), ball(top)
    raised = [ball(s).exp() for s in scores]
    mass = sum(raised, arb(0))
    moved = sum((x * ball(at * t).exp() for x, at, t in zip(raised, errors, bounds, strict=True)), arb(0))
    grown = sum((x * ball(t).exp() for x, t in zip(raised, bounds, strict=True)), arb(0)) / mass
    computed = (r + (moved.log() - r) * (1 + 2 * ball(log) * u)) * (1 + ball(add) * u)
    shift, reach = grown.log(), abs(moved.log() - r)
    limit = shift + 2 * u * reach + u * (abs(mass.log()) + shift + 2 * u * reach)
    return exact.at_most([abs(computed - mass.log())], [limit])


@derived(
    Claim(
        id="rounding.log-sum-exp",
        title="The error of the log-sum-exp",
        states="The log-sum-exp is computed to the accuracy of its exponents, its logarithm and one addition.",
        precise=r"The log-sum-exp of scores $s_j$ is $L = r + \lambda$ with a stabiliser $r$ and $\lambda = \log\sum_j e^{s_j - r}$. It is computed as $(L + a_\tau + a_\varepsilon\lambda')(1 + a_u)$, where $|a_\tau| \le T$ is the error that wrong exponents cause, "
        r"$|a_\varepsilon| \le \varepsilon$ the relative error of the logarithm, $|a_u| \le u$ that of the addition, and $\lambda'$ the exact logarithm of the computed sum. The error is at most "
        r"$T + \varepsilon|\lambda'| + u\,(|L| + T + \varepsilon|\lambda'|)$. $T = \log\sum_j p_j e^{|\tau_j|}$ serves both directions, because "
        r"$\sum_j p_j e^{-|\tau_j|} \ge 1 / \sum_j p_j e^{|\tau_j|}$; γ of the sum's roundings joins T. Sizes are written $a = (z - y)/2$ and $(z + y)/2$, $L = f - h$.",
        sources=(BLANCHARD.at("Section 4"), HIGHAM.at("Section 3.1")),
        scope="every n ≥ 1, all finite scores, any stabiliser r",
        uses=("rounding.telescoping", "rounding.gamma"),
        kind=Kind.APPROXIMATION,
        holds=_log_sum_exp_holds,
    )
)
def log_sum_exp() -> Iterator[Step]:
    double = total(total(w[j] * w[l] * (E[j] - E[l]) ** 2 / (E[j] * E[l]), l), j) / 2
    yield Step(
        total(w[j], j) ** 2, "<=", total(w[j] * E[j], j) * total(w[l] / E[l], l),
        "Cauchy and Schwarz, with E = e^|τ|: shrinking every weight by its factor loses no more than growing each gains", certificate=double,
    )  # fmt: skip
    tau, most_tau, tau_below, tau_above = bounded_letter("tau")
    eps, most_eps, eps_below, eps_above = bounded_letter("epsilon")
    delta, u, u_below, u_above = bounded_letter("u")
    positive, negative, size = sp.symbols("f h lambda", nonnegative=True)
    before = positive - negative + tau + eps * size
    rise = tau_above / 2 + eps_above * size / 2 + positive
    fall = tau_below / 2 + eps_below * size / 2 + negative
    yield Step(
        before * (1 + delta) - (positive - negative), "<=", most_tau + most_eps * size + u * (positive + negative + most_tau + most_eps * size),
        "three errors: of the mass, relative of the logarithm, relative of the sum; each letter at most its bound (λ' ≥ 0; its sign goes into ε)",
        certificate=tau_below + eps_below * size + u_below * rise + u_above * fall,
    )  # fmt: skip


# --- backward -------------------------------------------------------------------------------------------------------------------------


def _scores_gradient_holds(weights: Fractions, places: Fractions, bounds: Fractions, slopes: Fractions, off: Fractions, limits: Fractions) -> Outcome:
    """dS rebuilt from p = weights/Σ, each p_j off by places·bounds and dP_j by off·limits, with D from those weights, against the bound."""
    mass = sum(weights)
    p = [x / mass for x in weights]
    rebuilt = [x * (1 + at * t) for x, at, t in zip(p, places, bounds, strict=True)]
    d_p = [x + at * t for x, at, t in zip(slopes, off, limits, strict=True)]
    true, delta = (sum((x * s for x, s in zip(ps, ds, strict=True)), Fraction(0)) for ps, ds in ((p, slopes), (rebuilt, d_p)))
    off_delta = sum((x * ((1 + t) * m + t * abs(s)) for x, t, m, s in zip(p, bounds, limits, slopes, strict=True)), Fraction(0))
    errors = [abs(q * (s - delta) - x * (t - true)) for q, s, x, t in zip(rebuilt, d_p, p, slopes, strict=True)]
    allowed = [x * ((1 + t) * (m + off_delta) + t * abs(s - true)) for x, t, m, s in zip(p, bounds, limits, slopes, strict=True)]
    return exact.decided(abs(delta - true) <= off_delta and all(error <= limit for error, limit in zip(errors, allowed, strict=True)))


@derived(
    Claim(
        id="rounding.scores-gradient",
        title="The error of the scores' gradient",
        states="Backward rebuilds the weights and subtracts D; the error of dS = P ∘ (dP − D) is proportional to P, and does not shrink where dP − D cancels.",
        precise=r"Let $g$ be the gradient of the output, $dP_j = \sum_e g_ev_{je}$ that of weight $p_j$, and $D = \sum_j p_j\,dP_j$. With a rebuilt weight $p(1 + a)$, $|a| \le \pi$, and a computed difference off by $m$, $|m| \le \mu$: "
        r"$|p(1+a)(x + m) - p x| \le p\,((1 + \pi)\mu + \pi|x|)$ where $x = dP - D$. $\mu$ adds the errors of dP and of D: $\sum_e |g_e| A_e$ where D comes from an "
        r"output off by $A$, $\sum_j p_j((1 + \pi_j)\mu_j + \pi_j|dP_j|)$ where it comes from the weights. $\pi + 1$ is $e$ to the sum of the exponent's and the log-sum-exp's errors. "
        r"Written with $a = (z_\pi - y_\pi)/2$, $m = (z_\mu - y_\mu)/2$, $x = f - h$.",
        sources=(DAO.at("Algorithm 4"), HIGHAM.at("Section 3.1")),
        scope="every n, d_v ≥ 1; the measured errors are those of dQ, dK and dV, which are sums over dS and P, and of an additive mask, which is dS itself",
        uses=("rounding.output", "rounding.log-sum-exp", "rounding.gamma"),
        kind=Kind.APPROXIMATION,
        holds=_scores_gradient_holds,
    )
)
def scores_gradient() -> Iterator[Step]:
    off_o, most_o = (z[e] - y[e]) / 2, (z[e] + y[e]) / 2
    yield Step(
        total((f[e] - h[e]) * off_o, e), "<=", total((f[e] + h[e]) * most_o, e), "D from the output: Σ g o' − Σ g o, feature by feature",
        certificate=total(y[e] * f[e] + z[e] * h[e], e),
    )  # fmt: skip
    p_j = sp.IndexedBase("p", positive=True)[j]
    m_j, mu_j = ((sign * sp.IndexedBase("y_mu", nonnegative=True)[j] + sp.IndexedBase("z_mu", nonnegative=True)[j]) / 2 for sign in (-1, 1))
    gap = mu_j - m_j + theta_j * mu_j - a_j * m_j + theta_j * size_j - a_j * d_j
    yield Step(
        total(p_j * (1 + a_j) * (d_j + m_j), j) - total(p_j * d_j, j), "<=", total(p_j * ((1 + theta_j) * mu_j + theta_j * size_j), j),
        "D from the weights: the same for every key, then summed", certificate=total(sp.expand(p_j * gap), j),
    )  # fmt: skip
    a, pi, a_below, a_above = bounded_letter("pi")
    m, mu, m_below, m_above = bounded_letter("mu")
    p = sp.Symbol("p", positive=True)
    up, down = sp.symbols("f h", nonnegative=True)
    x, size = up - down, up + down
    yield Step(
        p * (1 + a) * (x + m) - p * x,
        "=",
        p * ((1 + a) * m + a * x),
        "what the rebuilt weight does to the error of the difference, and its own error to the difference",
    )
    yield Step(
        p * (1 + a) * (x + m) - p * x, "<=", p * ((1 + pi) * mu + pi * size), "each product of two errors is at most the product of their bounds",
        certificate=p * (m_below + (a_below * m_above + a_above * m_below) / 2 + a_below * up + a_above * down),
    )  # fmt: skip
