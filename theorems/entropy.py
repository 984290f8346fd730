"""Entropy of attention rows, in nats with 0 log 0 = 0: its range, what it says about peaks, how temperature moves it, and what code computes.

A row of positive weights is the softmax of its logarithms, so derivations write weights as softmax(s); zero weights add nothing to
any sum here and n then counts the positive ones. Both texts leave the unit of entropy open; another base multiplies every formula by one constant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb, arb_series

from theorems import algebra, exact
from theorems.claim import Claim, derived
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import COVER, ENDRES, HIGHAM, S0, S1, S4, Source
from theorems.step import Step
from theorems.symbols import P, T, i, j, k, l, m, n, r, s, softmax, t, total

FUGLEDE = Source(key="fuglede2004", title="Jensen-Shannon divergence and Hilbert space embedding", url="https://doi.org/10.1109/ISIT.2004.1365067")

Weights = Sequence[Fraction]
g = sp.IndexedBase("g", nonnegative=True)  # by how much a score falls short of the row's largest
x = sp.IndexedBase("x", real=True)  # scores of a second row
h = sp.Symbol("h", positive=True)
odds = sp.Symbol("y", positive=True)
offset = sp.Symbol("varepsilon", positive=True)
tiny = sp.Symbol("eta", positive=True)  # the smallest positive number of a format
roundoff = sp.Symbol("mu", positive=True)  # half the distance from 1 to the next larger number of a format
more = sp.IndexedBase("x", nonnegative=True)
less = sp.IndexedBase("y", nonnegative=True)


class Excess(sp.Function):  # type: ignore[misc]
    """x − 1 − log x for x > 0: never negative, and positive for x > 1, by the three steps of `logarithm_below_line`."""

    def _eval_expand_basic(self, **hints: object) -> sp.Expr:
        return self.args[0] - 1 - sp.log(self.args[0])

    def _eval_is_nonnegative(self) -> bool | None:
        return True if algebra.is_positive(self.args[0]) else None

    def _eval_is_positive(self) -> bool | None:
        return True if algebra.is_positive(self.args[0] - 1) else None


def logarithm_below_line() -> Iterator[Step]:
    """log z ≤ z − 1 for z > 0, with equality only at z = 1: what gives `Excess` its sign."""
    z = sp.Symbol("z", positive=True)
    slope = sp.diff(Excess(z).expand(basic=True), z)
    yield Step(sp.Integer(0), "<", slope.subs(z, 1 + h), because="z − 1 − log z, which is 0 at z = 1, rises to the right of 1", certificate=h / (1 + h))
    yield Step(slope.subs(z, 1 / (1 + h)), "<", sp.Integer(0), because="and falls to the left of 1", certificate=h)
    yield Step(
        sp.Integer(0), "<=", Excess(z).expand(basic=True), because="so it is nowhere negative, by the mean value theorem, and zero only at z = 1", cites=COVER
    )


def entropy(weight: sp.Expr, index: sp.Symbol) -> sp.Expr:
    """−Σ_index weight log weight."""
    return -total(weight * sp.log(weight), index)


def surplus(weight: sp.Expr, index: sp.Symbol, ratio: sp.Expr) -> sp.Expr:
    """Σ_index weight · (ratio − 1 − log ratio), which is never negative."""
    return total(weight * Excess(ratio), index)


def nonnegative_holds(weights: Weights) -> Outcome:
    return exact.at_most([0], [exact.entropy(weights)])


@derived(
    Claim(
        id="entropy.nonnegative",
        title="Entropy is never negative",
        states="(Implied by the formula, where low entropy is one end of the scale.) The entropy of attention weights is never negative.",
        reading="The scale begins at zero, which a row reaches when one position has all the weight.",
        precise=r"$0 \le H(p) = -\sum_j p_j \log p_j$.",
        sources=(S0.at("Entropy of Attention Distribution"), COVER.at("Lemma 2.1.1")),
        scope="all n ≥ 1, every distribution (derived for positive weights: zeros add nothing to a sum, and leave a row of fewer keys, with the same entropy)",
        inventory=("C014", "C035"),
        holds=nonnegative_holds,
    )
)
def nonnegative() -> Iterator[Step]:
    p, q = softmax(s, j), softmax(s, k)
    yield from logarithm_below_line()
    pairs = total(total(p * q * (1 - sp.KroneckerDelta(j, k)), k), j)
    yield Step(total(p**2, j), "<=", sp.Integer(1), because="one is the square of Σ p_j, whose cross terms are products of weights", certificate=pairs)
    yield Step(
        sp.Integer(0),
        "<=",
        entropy(p, j),
        because="−log p_j is at least 1 − p_j, and Σ p_j (1 − p_j) is one minus Σ p_j²",
        certificate=surplus(p, j, p) + pairs,
    )


def range_holds(weights: Weights) -> Outcome:
    return exact.at_most([0, exact.entropy(weights)], [exact.entropy(weights), ball(len(weights)).log()])


@derived(
    Claim(
        id="entropy.range",
        title="Entropy of a row of n weights lies between 0 and log n",
        states="The entropy of a row measures, between focused and uniform, how attention is distributed; it can be tracked over training.",
        reading="In nats; the texts name no unit.",
        precise=r"$0 \le H(p) \le \log n$. The lower half is entropy.nonnegative; the formula is the upper half.",
        sources=(S0.at("Entropy of Attention Distribution"), S1.at("Attention Entropy"), S0.at("Attention Entropy Over Time"), COVER.at("Theorem 2.6.4")),
        scope="all n ≥ 1, every distribution over n positions (derived for positive weights: zeros add nothing to a sum, and leave a row of fewer keys, so "
        "that the upper bound is lower still)",
        inventory=("C014", "C035"),
        uses=("entropy.nonnegative",),
        holds=range_holds,
    )
)
def entropy_range() -> Iterator[Step]:
    p = softmax(s, j)
    yield from logarithm_below_line()
    yield Step(
        sp.log(n) - entropy(p, j),
        "=",
        total(p * sp.log(n * p), j),
        because="log n may be averaged over the row, since the weights sum to one",
    )
    yield Step(
        entropy(p, j),
        "<=",
        sp.log(n),
        because="log(n p_j) is at least 1 − 1/(n p_j), and Σ p_j − Σ 1/n is zero",
        certificate=surplus(p, j, 1 / (n * p)),
    )


def peaked_holds(weights: Weights) -> Outcome:
    return exact.at_most([(-exact.entropy(weights)).exp()], [max(weights)])


@derived(
    Claim(
        id="entropy.low-means-peaked",
        title="Low entropy forces a large weight",
        states="Low entropy means focused attention: few positions receive most of the weight.",
        reading="Some position has at least e^{−H} of the weight.",
        precise=r"$\max_i p_i \ge e^{-H(p)}$; in the formula scores are measured from the largest, $g_j \ge 0$, so that $\max_i p_i = 1 / \sum_l e^{-g_l}$.",
        sources=(S0.at("Entropy of Attention Distribution"), S1.at("Attention Entropy"), S0.at("Head View Analysis")),
        scope="all n ≥ 1, every distribution (derived for positive weights: zeros add nothing to a sum, and leave a row of fewer keys, with the same "
        "entropy and the same largest weight)",
        inventory=("C015", "C267"),
        holds=peaked_holds,
    )
)
def low_means_peaked() -> Iterator[Step]:
    mass = total(sp.exp(-g[l]), l)
    p = sp.exp(-g[j]) / mass
    yield Step(entropy(p, j), "=", sp.log(mass) + total(p * g[j], j), because="−log p_j is the logarithm of the divisor plus g_j")
    yield Step(-sp.log(1 / mass), "<=", entropy(p, j), because="the average shortfall Σ p_j g_j is not negative", certificate=total(p * g[j], j))


def few_hold(weights: Weights, share: Fraction) -> Outcome:
    """The positions of weight at least e^(−H/ε), ε the share, are at most e^(H/ε) in number and hold all but ε of the weight."""
    level = (-exact.entropy(weights) / ball(share)).exp()
    if max(weights) == 1:  # entropy 0: the level is 1
        return exact.decided(sum(weights) == 1)
    light = [p for p in weights if ball(p) < level]
    heavy = [p for p in weights if p not in light]
    return Outcome.worst([exact.at_most(ball(sum(light, Fraction(0))), ball(share)), exact.at_most(ball(len(heavy)) * level, arb(1))])


@derived(
    Claim(
        id="entropy.low-means-few",
        title="Low entropy: few positions hold nearly all of the weight",
        states="Low entropy means focused attention: few positions receive high weight.",
        reading="How many positions are enough to hold all but ε of the weight is bounded by the entropy, whatever the length of the row.",
        precise=r"At most $e^{H(p)/\varepsilon}$ positions have a weight of $e^{-H(p)/\varepsilon}$ or more, and they hold at least $1-\varepsilon$ of the weight together."
        r" In the formulas $\tau = H/\varepsilon$: $m$ weights are $e^{-\tau+x_r}$ and sum to at most one; and where $m$ weights are $e^{-y_r}$ and $n$ others"
        r" $e^{-\tau-g_j}$, $\tau$ times what the $n$ others hold is at most $H$.",
        sources=(S0.at("Entropy of Attention Distribution"), S1.at("Attention Entropy")),
        scope="all lengths, every distribution, 0 < ε ≤ 1 (derived for positive weights: zeros are light, and add nothing to a sum)",
        inventory=("C015",),
        uses=("entropy.nonnegative",),
        holds=few_hold,
    )
)
def low_means_few() -> Iterator[Step]:
    level = sp.Symbol("tau", positive=True)
    yield Step(
        m * sp.exp(-level),
        "<=",
        total(sp.exp(-level + more[r]), r),
        because="m weights of at least e^(−τ) each, whose sum is at most one: so m is at most e^τ",
        certificate=total(sp.exp(-level) * (sp.exp(more[r]) - 1), r),
    )
    heavy, light = sp.exp(-less[r]), sp.exp(-level - g[j])
    yield Step(
        level * total(light, j),
        "<=",
        -total(heavy * sp.log(heavy), r) - total(light * sp.log(light), j),
        because="−log of a light weight exceeds τ, and no term of the entropy is negative: the light weights sum to at most H/τ = ε",
        certificate=total(heavy * less[r], r) + total(light * g[j], j),
    )


def largest_holds(weights: Weights) -> Outcome:
    return exact.decided(Fraction(1, len(weights)) <= max(weights) <= 1)


@derived(
    Claim(
        id="entropy.row-maximum",
        title="The largest weight of a row is at least 1/n",
        states="(Implied, where the code averages the largest weights of a head's rows.) The largest weight of a row lies between 1/n and 1.",
        reading="For each row, before averaging, over the n keys that the row sees.",
        precise=r"$1/n \le \max_i p_i \le 1$; in the formula $\max_i p_i = 1/\sum_l e^{-g_l}$ with $g_l \ge 0$.",
        sources=(S0.at("Head View Analysis"),),
        scope="all n ≥ 1, every distribution over n positions (derived for positive weights; with zeros the rest has fewer keys, and a larger average)",
        inventory=("C267",),
        uses=("softmax.row-sum", "softmax.positive"),
        holds=largest_holds,
    )
)
def row_maximum() -> Iterator[Step]:
    mass = total(sp.exp(-g[l]), l)
    shortfall = total(1 - sp.exp(-g[l]), l)
    yield Step(mass, "<=", n, because="no term of the divisor exceeds one", certificate=shortfall)
    yield Step(1 / n, "<=", 1 / mass, because="the divisor is at most n", certificate=shortfall / (n * mass))


def concentration_holds(weights: Weights, count: int) -> Outcome:
    """H ≤ h(ε) + (1 − ε) log c + ε log(n − c), where the c largest weights hold 1 − ε."""
    ordered = sorted(weights, reverse=True)
    count = min(count, len(ordered))
    share = sum(ordered[:count], Fraction(0))
    rest = len(ordered) - count
    bound = exact.entropy([share, 1 - share]) + ball(share) * ball(count).log() + (ball(1 - share) * ball(rest).log() if rest else arb(0))
    return exact.at_most([exact.entropy(weights)], [bound])


@derived(
    Claim(
        id="entropy.few-positions-mean-low",
        title="High entropy needs many positions",
        states="High entropy means that the weights are spread across many positions.",
        reading="If few positions, m of them, hold all but ε of the weight, entropy cannot be high: so where it is high, no few positions hold the weight. "
        "High is to be taken"
        " relative to the logarithm of the length: a row with 1/2 at one key, and the rest spread evenly over a million others, has entropy 7.6, far above "
        "that of any short row"
        " and just over half of the 13.8 that its length allows. (With m = 1 this bounds the entropy of a row that has 1 − ε at one position.)",
        precise=r"If $m$ positions hold $1-\varepsilon$ and the other $n$ hold $\varepsilon$, then"
        r" $H \le h(\varepsilon) + (1-\varepsilon)\log m + \varepsilon \log n$, $h$ the binary entropy. In the formula $\varepsilon = 1/(1+y)$, the"
        r" first weights are"
        r" $(1-\varepsilon)\,\mathrm{softmax}(x)$ and the others $\varepsilon\,\mathrm{softmax}(s)$.",
        sources=(S0.at("Entropy of Attention Distribution"), COVER.at("Theorem 2.10.1")),
        scope="all m, n ≥ 1, every distribution over m + n positions, 0 < ε < 1 (derived for positive weights: zeros leave fewer keys in a group, which "
        "lowers the bound)",
        inventory=("C015", "C016"),
        holds=concentration_holds,
    )
)
def few_positions_mean_low() -> Iterator[Step]:
    small, large = 1 / (1 + odds), odds / (1 + odds)
    inside, outside = softmax(x, r, over=t), softmax(s, j)
    whole = entropy(large * inside, r) + entropy(small * outside, j)
    split = -large * sp.log(large) - small * sp.log(small)
    yield from logarithm_below_line()
    yield Step(
        whole,
        "=",
        split + large * entropy(inside, r) + small * entropy(outside, j),
        because="the chain rule: first which group, then where within it",
    )
    yield Step(
        whole,
        "<=",
        split + large * sp.log(m) + small * sp.log(n),
        because="within each group entropy is at most the logarithm of its size",
        certificate=large * surplus(inside, r, 1 / (m * inside)) + small * surplus(outside, j, 1 / (n * outside)),
    )


def uniform_holds(weights: Weights, level: Fraction) -> Outcome:
    """Entropy reaches log n exactly when all weights are equal (`level` plays no part)."""
    if len(set(weights)) == 1:
        return exact.equal([exact.entropy(weights)], [ball(len(weights)).log()])
    gap = ball(len(weights)).log() - exact.entropy(weights)
    return Outcome.HELD if gap > 0 else Outcome.UNDECIDED if gap.contains(0) else Outcome.REFUTED


@derived(
    Claim(
        id="entropy.maximum-iff-uniform",
        title="Entropy is largest exactly at the uniform row",
        states="Maximum entropy is uniform attention.",
        precise=r"$H(p) = \log n$ if and only if $p_i = 1/n$ for all $i$. The formula is the strict half: a row that is not uniform has some weight"
        r" below average, here"
        r" $1/(n+1+h)$ with $h > 0$, where the $n$ other positions share the rest as a softmax does, and then $H < \log(n+1)$. (A row with zeros"
        r" has the entropy of a shorter row, so at most the logarithm of a smaller number.)",
        sources=(S0.at("Entropy of Attention Distribution"), COVER.at("Theorem 2.6.4")),
        scope="all lengths, every distribution",
        inventory=("C018", "C017"),
        uses=("entropy.range",),
        holds=uniform_holds,
    )
)
def maximum_iff_uniform() -> Iterator[Step]:
    yield from logarithm_below_line()
    yield Step(entropy(1 / n, j), "=", sp.log(n), because="n equal terms of (log n)/n")
    below, rest, inside = 1 / (1 + n + h), (n + h) / (1 + n + h), softmax(s, j)
    yield Step(below, "<", 1 / (n + 1), because="a row that is not uniform has a weight below average", certificate=h / ((n + 1) * (1 + n + h)))
    yield Step(
        -below * sp.log(below) + entropy(rest * inside, j),
        "<",
        sp.log(n + 1),
        because="inside the rest entropy is at most log n, and between the two groups log z lies below z − 1, strictly for the group below its share",
        certificate=rest * surplus(inside, j, 1 / (n * inside)) + below * Excess((1 + n + h) / (n + 1)) + rest * Excess(n / (n + 1) / rest),
    )


def high_is_uniform_holds(weights: Weights, level: Fraction) -> Outcome:
    """Entropy of at least level · log n only in uniform rows, for a level below one."""
    high = exact.entropy(weights) - ball(level) * ball(len(weights)).log()
    return exact.decided(len(set(weights)) == 1) if high > 0 else Outcome.HELD


def high_is_uniform_worked(weights: Weights, level: Fraction) -> str:
    entropy_, ceiling = exact.entropy(weights), ball(len(weights)).log()
    near = [Fraction(51, 100), Fraction(49, 100)]
    share = exact.show(100 * exact.entropy(near) / ball(2).log(), 6)
    return (
        f"The row ({', '.join(map(str, weights))}) is not uniform. Its entropy is {exact.show(entropy_)}, which is"
        f" {exact.show(100 * entropy_ / ceiling, 4)} % of the largest"
        f" possible, log {len(weights)} = {exact.show(ceiling)}: more than the {level} of it that was asked for as “high”."
        f" No level below the maximum helps, since entropy is continuous: ({near[0]}, {near[1]}) reaches {share} % of log 2."
    )


high_is_uniform = Claim(
    id="entropy.high-is-uniform",
    title="High entropy is the uniform distribution",
    states="High entropy: distributed attention, the uniform distribution.",
    reading="Whatever fraction λ < 1 of log n one calls high, a row above it is uniform.",
    precise=r"Only $H(p) = \log n$ forces $p$ to be uniform, and no $H(p) > \lambda\log n$ with $\lambda < 1$ does. The formula: a row that is not uniform has a weight"
    r" below average, $1/(n+1+h)$ with $h > 0$, while the $n$ others share the rest as a softmax does; then $H < \log(n+1)$.",
    sources=(S1.at("Attention Entropy"),),
    scope="all n ≥ 1, every distribution, every level below one",
    inventory=("C017",),
    holds=high_is_uniform_holds,
    worked=high_is_uniform_worked,
    derive=maximum_iff_uniform.derive,
    unsaid="“High” means the highest possible, log n itself.",
    corrected_by="entropy.maximum-iff-uniform",
)


def visible_reference_holds(length: int, row: int) -> Outcome:
    """Uniform attention of row `row` (1-based) of a causal map: weights 1/row, entropy log(row)."""
    weights = exact.softmax([0] * length, [key < row for key in range(length)])
    return exact.equal([exact.entropy(weights), weights[0]], [ball(row).log(), Fraction(1, row)])


@derived(
    Claim(
        id="entropy.causal-reference",
        title="Uniform attention under a causal mask has entropy log i in row i",
        states="(Not in the text, whose code averages the entropies of all rows.) Under a causal mask uniform attention has another entropy in every row, "
        "log i in row i.",
        precise=r"Row $i$ of a causal map sees $i$ keys, so its uniform weights are $1/i$ and its largest entropy is $\log i$.",
        sources=(S0.at("Head View Analysis"), S1.at("Causal (Masked) Attention")),
        scope="all rows of causal maps of all lengths",
        inventory=("C019",),
        uses=("entropy.maximum-iff-uniform",),
        holds=visible_reference_holds,
    )
)
def causal_reference() -> Iterator[Step]:
    yield Step(sp.Sum(1 / i, (j, 1, i)), "=", sp.Integer(1), because="i equal weights that sum to one")
    yield Step(-sp.Sum(1 / i * sp.log(1 / i), (j, 1, i)), "=", sp.log(i), because="i equal terms of (log i)/i")


def full_reference_holds(length: int, row: int) -> Outcome:
    """Whether row `row` of a causal map of uniform attention has entropy log(length)."""
    weights = exact.softmax([0] * length, [key < row for key in range(length)])
    return exact.equal([exact.entropy(weights)], [ball(length).log()])


def full_reference_worked(length: int, row: int) -> str:
    return (
        f"Row {row} of a causal map over {length} positions sees {row} key{'s' * (row > 1)}. Uniform attention over what it sees has weights {Fraction(1, row)}"
        f" and entropy"
        f" log {row} = {exact.show(ball(row).log())}, not log {length} = {exact.show(ball(length).log())}; no weights in this row can reach that."
    )


def unmasked_reference() -> Iterator[Step]:
    yield Step(entropy(1 / n, j), "=", sp.log(n), because="with every key visible, n equal terms of (log n)/n")


full_reference = Claim(
    id="entropy.uniform-reference",
    title="Uniform attention has weights 1/n and entropy log n in every row",
    states="(Implied.) Uniform attention, which high entropy and vanished focus are compared with, has weights of about one over the sequence length, in "
    "every row.",
    reading="Every row of every map over n positions, causal maps among them: the texts apply their metrics to decoders too.",
    precise=r"Row $i$ of uniform attention over $n$ positions has weights $1/n$ and entropy $\log n$, if it sees all $n$ keys.",
    sources=(S4.at("Vanishing Attention"), S1.at("Attention Quality Metrics"), S1.at("Attention Entropy")),
    scope="all rows of maps of all lengths; in the search they are masked causally",
    inventory=("C019",),
    holds=full_reference_holds,
    worked=full_reference_worked,
    derive=unmasked_reference,
    unsaid="Every row sees all n keys: no mask.",
    corrected_by="entropy.causal-reference",
)


def averaged(rows: Sequence[Weights]) -> list[Fraction]:
    return [sum(column, Fraction(0)) / len(rows) for column in zip(*rows, strict=True)]


def head_average_holds(heads: Sequence[Weights]) -> Outcome:
    """mean H(head) ≤ H(mean of heads) ≤ mean H(head) + log(number of heads)."""
    mean = sum((exact.entropy(row) for row in heads), arb(0)) / len(heads)
    mixed = exact.entropy(averaged(heads))
    return exact.at_most([mean, mixed], [mixed, mean + ball(len(heads)).log()])


@derived(
    Claim(
        id="entropy.average-of-heads",
        title="Averaging heads before taking entropy can only raise it",
        states="(Implied, where the entropy of “the attention weights” is taken, which may be those of several heads averaged.) Averaging heads first does "
        "not lower the entropy.",
        reading="Entropy of the mean row against the mean of the heads' entropies, m heads.",
        precise=r"$\frac1m \sum_r H(p_r) \le H\!\left(\frac1m \sum_r p_r\right)$. Two one-hot heads on different keys show how misleading the"
        r" right-hand side can be:"
        r" $\log 2$ against $0$.",
        sources=(S1.at("Attention Quality Metrics"), COVER.at("Theorem 2.7.3")),
        scope="any number of heads, all n ≥ 1, all rows of positive weights (zeros by continuity)",
        inventory=("C020",),
        holds=head_average_holds,
    )
)
def average_of_heads() -> Iterator[Step]:
    mixed = total(P[t, j], t) / m
    yield from logarithm_below_line()
    half = sp.UnevaluatedExpr(sp.Rational(1, 2))
    yield Step(-sp.Sum(half * sp.log(half), (j, 1, 2)), "=", sp.log(2), because="two one-hot heads, each of entropy zero, average to (1/2, 1/2)")
    yield Step(
        total(entropy(P[r, j], j), r) / m,
        "<=",
        entropy(mixed, j),
        because="the gap is the mean divergence of the heads from their average, and log(mean/p) is at most mean/p − 1",
        certificate=total(surplus(P[r, j], j, mixed / P[r, j]), r) / m,
    )


def tempered(scores: Sequence[int], temperature: Fraction) -> arb:
    return exact.entropy(exact.softmax([Fraction(z) / temperature for z in scores]))


def slope_holds(scores: Sequence[int], temperature: Fraction) -> Outcome:
    """dH/dT from power series of log-sum-exp against Var/T³."""
    from_series = entropy_series(scores, temperature)
    p = exact.softmax([Fraction(z) / temperature for z in scores])
    mean = sum((z * o for z, o in zip(p, scores, strict=True)), arb(0))
    variance = sum((z * (o - mean) * (o - mean) for z, o in zip(p, scores, strict=True)), arb(0))
    return exact.equal([from_series], [variance / ball(temperature**3)])


def entropy_series(scores: Sequence[int], temperature: Fraction) -> arb:
    """The coefficient of ε in H(softmax(s/(T + ε))), by power series."""
    hot = arb_series([ball(temperature), arb(1)], prec=2)
    grown = [(arb_series([ball(z)], prec=2) / hot).exp() for z in scores]
    mass = sum(grown[1:], grown[0])
    p = [z / mass for z in grown]
    return -sum(((z * z.log())[1] for z in p), arb(0))


@derived(
    Claim(
        id="entropy.temperature-derivative",
        title="The temperature derivative of entropy is a variance",
        states="(Not in the text, which divides scores by a temperature against overflow.) How fast entropy changes with the temperature is a variance of "
        "the scores.",
        reading="The derivative of the entropy of softmax(s/T) by T, for fixed scores.",
        precise=r"$\partial H / \partial T = \mathrm{Var}_p(s) / T^3$ with $p = \mathrm{softmax}(s/T)$.",
        sources=(S1.at("Attention Overflow"),),
        scope="all n ≥ 1, all finite real scores, all T > 0",
        inventory=("C025",),
        holds=slope_holds,
    )
)
def temperature_derivative() -> Iterator[Step]:
    mass = total(sp.exp(s[l] / T), l)
    p = sp.exp(s[j] / T) / mass
    mean, square = total(p * s[j], j), total(p * s[j] ** 2, j)
    yield Step(entropy(p, j), "=", sp.log(mass) - mean / T, because="−log p_j is log Σ e^(s_l/T) minus s_j/T")
    yield Step(sp.Derivative(sp.log(mass), T), "=", -mean / T**2, because="the logarithm of the divisor has the mean score as its slope in 1/T")
    yield Step(
        sp.Derivative(entropy(p, j), T),
        "=",
        (square - mean**2) / T**3,
        because="the two terms in the mean cancel, and the mean's own slope in 1/T is the variance",
    )


def monotone_holds(scores: Sequence[int], cold: Fraction, step: Fraction) -> Outcome:
    """H at cold + step exceeds H at cold, for step > 0, unless all scores are equal: then both are log n."""
    low, high = tempered(scores, cold), tempered(scores, cold + step)
    if len(set(scores)) == 1:
        return exact.equal([low], [high])
    return Outcome.HELD if low < high else Outcome.REFUTED if low > high else Outcome.UNDECIDED


@derived(
    Claim(
        id="entropy.monotone-in-temperature",
        title="Entropy never falls as the temperature rises",
        states="(Implied, where temperature scaling is a remedy for one-hot weights.) A higher temperature spreads attention out, a lower one concentrates it.",
        reading="Entropy of softmax(s/T) as a function of T, for fixed scores.",
        precise=r"$\partial H(\mathrm{softmax}(s/T)) / \partial T \ge 0$ at every $T > 0$, so $H$ is non-decreasing in $T$. The derivative is zero only if all"
        r" scores are equal; otherwise $H$ rises strictly.",
        sources=(S1.at("Attention Overflow"), S4.at("Attention Collapse"), S0.at("Energy Function")),
        scope="all n ≥ 1, all finite real scores, all T > 0 (for √d_k, take T = √d_k)",
        inventory=("C025", "C007"),
        uses=("entropy.temperature-derivative",),
        holds=monotone_holds,
    )
)
def monotone_in_temperature() -> Iterator[Step]:
    mass = total(sp.exp(s[l] / T), l)
    p, q = sp.exp(s[j] / T) / mass, sp.exp(s[k] / T) / mass
    pairs = total(total(p * q * (s[j] - s[k]) ** 2, k), j) / 2
    yield Step(total(p * s[j] ** 2, j) - total(p * s[j], j) ** 2, "=", pairs, because="a variance is half the mean squared difference of two independent draws")
    one, other, drawn = (sp.exp(s[key] / T) / mass for key in (i, k, l))
    elsewhere = (1 - sp.KroneckerDelta(i, j) * sp.KroneckerDelta(k, l) - sp.KroneckerDelta(i, l) * sp.KroneckerDelta(k, j)) ** 2
    yield Step(
        one * other * (s[i] - s[k]) ** 2,
        "<=",
        total(p * s[j] ** 2, j) - total(p * s[j], j) ** 2,
        because="so it is at least what any one pair of keys adds, which is positive if the two scores differ",
        certificate=total(total(p * drawn * (s[j] - s[l]) ** 2 * elsewhere, l), j) / 2,
    )
    yield Step(
        sp.Integer(0),
        "<=",
        sp.Derivative(entropy(p, j), T),
        because="the slope is that variance over T³: squares with positive weights, zero only if every pair of scores agrees",
        certificate=pairs / T**3,
    )


SMALL = {"S0": Fraction(1, 10**8), "S1": Fraction(1, 10**9)}


def with_offset(weights: Weights, small: Fraction) -> arb:
    """−Σ p log(p + small), what the texts' code adds up, in exact arithmetic."""
    return -sum((ball(p) * ball(p + small).log() for p in weights), arb(0))


def offset_bias_holds(weights: Weights) -> Outcome:
    """H − n·small ≤ the code's sum < H, for both texts' offsets, where p = 0 contributes 0 to either."""
    outcomes = []
    for small in SMALL.values():
        code, true = with_offset(weights, small), exact.entropy(weights)
        outcomes += [Outcome.HELD if code < true else Outcome.REFUTED, exact.at_most([true - ball(len(weights) * small)], [code])]
    return Outcome.worst(outcomes)


def _lowered() -> Iterator[Step]:
    p = softmax(s, j)
    ratio = p / (p + offset)
    yield from logarithm_below_line()
    yield Step(
        -total(p * sp.log(p + offset), j),
        "<",
        entropy(p, j),
        because="log(p + ε) exceeds log p in every term",
        certificate=surplus(p, j, ratio) + total(p * (1 - ratio), j),
    )


def _lost() -> Iterator[Step]:
    p = softmax(s, j)
    yield from logarithm_below_line()
    yield Step(
        entropy(p, j) - n * offset,
        "<=",
        -total(p * sp.log(p + offset), j),
        because="log(1 + ε/p_j) is at most ε/p_j, so each term loses at most ε",
        certificate=surplus(p, j, 1 / p * (p + offset)),
    )


@derived(
    Claim(
        id="entropy.offset-lowers",
        title="An offset inside the logarithm lowers the entropy",
        states="(Not in the text, whose code computes −Σ p log(p + ε) as the entropy.) The small number inside the logarithm lowers the sum.",
        precise=r"$-\sum_j p_j \log(p_j + \varepsilon) < H(p)$ for every $\varepsilon > 0$.",
        sources=(S0.at("Head View Analysis"), S1.at("Attention Entropy")),
        scope="all n ≥ 1, every distribution, every ε > 0, in exact arithmetic",
        inventory=("C021", "C022"),
        holds=offset_bias_holds,
    )
)
def offset_lowers() -> Iterator[Step]:
    yield from _lowered()


@derived(
    Claim(
        id="entropy.offset-bias",
        title="The offset costs at most n·ε",
        states="(Not in the text, whose code computes −Σ p log(p + ε) as the entropy.) The small number inside the logarithm costs at most its n-fold, n "
        "the number of keys.",
        precise=r"$H(p) - n\varepsilon \le -\sum_j p_j \log(p_j + \varepsilon) < H(p)$. The formula is the lower bound; entropy.offset-lowers is the"
        r" upper one.",
        sources=(S0.at("Head View Analysis"), S1.at("Attention Entropy")),
        scope="all n ≥ 1, every distribution, every ε > 0, in exact arithmetic",
        inventory=("C021", "C022", "C023"),
        uses=("entropy.offset-lowers",),
        holds=offset_bias_holds,
    )
)
def offset_bias() -> Iterator[Step]:
    yield from _lost()


def _near() -> Iterator[Step]:
    yield from _lowered()
    yield from _lost()


def offset_claim(name: str, source: str, place: str, row: str) -> Claim:
    """The statement that −Σ p log(p + offset of this text) is the entropy."""
    small = SMALL[source]
    shown = f"10^{{-{len(str(small.denominator)) - 1}}}"

    def holds(weights: Weights) -> Outcome:
        return exact.equal([with_offset(weights, small)], [exact.entropy(weights)])

    def worked(weights: Weights) -> str:
        code, true = with_offset(weights, small), exact.entropy(weights)
        return (
            f"For the row ({', '.join(map(str, weights))}) the entropy is {exact.show(true)}. The code's sum is"
            f" {' − '.join(f'{p}·log({p} + {float(small):g})' for p in weights if p).join(('−', ''))} = {exact.show(code)}, off by {exact.show(code - true)}:"
            f" every logarithm is that of a number which is {float(small):g} too large."
            f" In Python: `-sum(p * math.log(p + {float(small):g}) for p in [{', '.join(map(str, weights))}])`."
        )

    return Claim(
        id=f"entropy.{name}",
        title=f"−Σ p log(p + {float(small):g}) is the entropy",
        states="The code computes the entropy of each row, with a small number added inside the logarithm.",
        reading="In exact arithmetic the expression equals −Σ p log p, with 0 log 0 = 0. The code names it “entropy” and does not say how nearly it has to be that.",
        precise=rf"$H(p) - n\varepsilon \le -\sum_j p_j \log(p_j + \varepsilon) < H(p)$ for $\varepsilon = {shown}$: never the entropy, and near it in rows of far"
        r" fewer than $1/\varepsilon$ keys. The formula is the lower bound, for every $\varepsilon > 0$.",
        sources=({"S0": S0, "S1": S1}[source].at(place),),
        scope="all n ≥ 1, every distribution, in exact arithmetic (in float16, where ε rounds to 0, a weight of 0 makes the sum NaN)",
        inventory=(row,),
        holds=holds,
        worked=worked,
        derive=_near,
        unsaid="The entropy is meant up to an error of n·ε, n the number of keys, and not exactly.",
        corrected_by="entropy.offset-bias",
    )


offset_in_s0 = offset_claim("offset-1e-8", "S0", "Head View Analysis", "C021")
offset_in_s1 = offset_claim("offset-1e-9", "S1", "Attention Entropy", "C022")


def code_nonnegative_holds(weights: Weights) -> Outcome:
    return Outcome.worst([Outcome.REFUTED if with_offset(weights, small) < 0 else Outcome.HELD for small in SMALL.values()])


def code_nonnegative_worked(weights: Weights) -> str:
    values = ", ".join(f"{exact.show(with_offset(weights, small))} with {float(small):g}" for small in SMALL.values())
    return (
        f"For the row ({', '.join(map(str, weights))}) the sum is {values}: negative, because log(1 + ε) is positive. An entropy would be at least 0."
        " In float64 `-math.log(1 + 1e-8)` is about −1e-8 too; in float32 1 + 1e-8 rounds to 1, and the sum is −0."
    )


def _rounded_to_one() -> Iterator[Step]:
    short = sp.Symbol("k", nonnegative=True)
    yield Step(
        roundoff - short,
        "<=",
        2 * roundoff - (roundoff - short),
        because="an offset of μ − k leaves 1 + ε at least as near to 1 as to the next number, 1 + 2μ; a tie goes to 1, which is even",
        certificate=2 * short,
    )
    yield Step(sp.Rational(SMALL["S0"]), "<", sp.Rational(2) ** -24, because="float32 has μ = 2^−24, bfloat16 2^−8: both offsets lie below")
    yield Step(sp.Rational(2) ** -53, "<", sp.Rational(SMALL["S1"]), because="float64 has μ = 2^−53: both offsets lie above, and the sum can be negative")
    yield Step(
        sp.Integer(0),
        "<=",
        -total(softmax(s, j) * sp.log(1 / (1 + more[j])), j),
        because="rounding keeps order, so no rounded p_j + ε exceeds 1, and no logarithm is positive",
        certificate=total(softmax(s, j) * sp.log(1 + more[j]), j),
    )


code_nonnegative = Claim(
    id="entropy.code-is-nonnegative",
    title="The code's entropy is never negative",
    states="(Implied.) The number that the code computes is an entropy, and an entropy is at least zero.",
    reading="As a formula, in exact arithmetic, or in any format fine enough to tell 1 + ε from 1, such as float64.",
    precise=r"If $1 + \varepsilon$ rounds to 1 in the format of the weights, then $p_j + \varepsilon$ rounds to at most 1 for every $p_j \le 1$, no logarithm is"
    r" positive, and the sum is at least 0. That is so if $\varepsilon \le \mu$, where $1 + 2\mu$ is the next number after 1: in float32, in which the texts' code"
    r" runs unless told otherwise, and in bfloat16. In the formula the rounded sum is $1/(1 + x_j)$.",
    sources=(S0.at("Head View Analysis"), S1.at("Attention Entropy"), HIGHAM.at("Section 2.1")),
    scope="all n ≥ 1, every row of weights of at most one, offsets 1e-8 and 1e-9, rounding to nearest even; no logarithm of 0 (in float16, for which ε is too"
    " small, a weight of 0 gives NaN)",
    inventory=("C023",),
    holds=code_nonnegative_holds,
    worked=code_nonnegative_worked,
    derive=_rounded_to_one,
    unsaid="The format is too coarse to tell 1 + ε from 1, as float32 is and float64 is not.",
    corrected_by="entropy.offset-bias",
)

# significand bits (the hidden one included) and the exponent of the smallest positive number
FORMATS = {"float16": (11, -24), "bfloat16": (8, -133), "float32": (24, -149), "float64": (53, -1074)}


def rounded(value: Fraction, name: str) -> Fraction:
    """`value` ≥ 0 rounded to the nearest number of the format, ties to even, gradual underflow included."""
    bits, lowest = FORMATS[name]
    if not value:
        return value
    exponent = value.numerator.bit_length() - value.denominator.bit_length() - bits
    unit = Fraction(2) ** max(exponent, lowest)
    while value / unit >= 2**bits:
        unit *= 2
    return round(value / unit) * unit


def offset_guards_holds(name: str, weight: Fraction, small: Fraction) -> Outcome:
    """In this format the rounded weight plus the offset, rounded, is not zero, so that its logarithm is finite."""
    return exact.decided(rounded(rounded(weight, name) + small, name) > 0)


def offset_guards_worked(name: str, weight: Fraction, small: Fraction) -> str:
    smallest = Fraction(2) ** FORMATS[name][1]
    others = [e for e in SMALL.values() if e != small]
    too = "".join(f" With {float(e):g} it is the same." for e in others if rounded(rounded(weight, name) + e, name) == 0)
    return (
        f"The smallest positive {name} is 2^{FORMATS[name][1]}, about {float(smallest):.3g}. {float(small):g} is less than half of it, so"
        f" {float(rounded(weight, name)):g} +"
        f" {float(small):g} rounds to 0, its logarithm is −∞, and 0 · (−∞) is NaN, which spreads to the row's sum and to every mean over rows."
        f"{too} In Python: `numpy.{name}(0) + numpy.{name}({float(small):g})`."
    )


def nearest() -> Iterator[Step]:
    """Why a sum above half the smallest positive number does not round to zero, why one of at most half does, and where the texts' offsets stand."""
    weight, above, short = sp.Symbol("p", nonnegative=True), h, sp.Symbol("k", nonnegative=True)
    yield Step(
        tiny / 2 - short,
        "<=",
        tiny - (tiny / 2 - short),
        because="an offset of η/2 − k is at least as near to 0 as to η; at k = 0 the tie goes to 0, which is even: alone it rounds to 0",
        certificate=2 * short,
    )
    yield Step(sp.Rational(SMALL["S0"]), "<", sp.Rational(2) ** -25, because="float16: both offsets lie below η/2 = 2^−25")
    yield Step(
        sp.Rational(2) ** -134,
        "<",
        sp.Rational(SMALL["S1"]),
        because="bfloat16 has η/2 = 2^−134, float32 and float64 smaller ones still: both offsets lie above",
    )
    yield Step(
        tiny - (tiny / 2 + above + weight),
        "<",
        tiny / 2 + above + weight,
        because="with ε = η/2 + h the sum p + ε lies nearer to η, or beyond it, than to 0: rounding to nearest cannot reach 0",
        certificate=2 * above + 2 * weight,
    )


def offset_range_holds(name: str, weight: Fraction, small: Fraction) -> Outcome:
    """The sum rounds to zero exactly when the weight is zero in this format and the offset is at most half its smallest positive number."""
    lost = rounded(weight, name) == 0 and small <= Fraction(2) ** (FORMATS[name][1] - 1)
    return exact.decided((rounded(rounded(weight, name) + small, name) == 0) is lost)


offset_needs_range = Claim(
    id="entropy.offset-needs-range",
    title="An offset guards the logarithm where the format reaches below it",
    states="(Not in the text, whose code adds 1e-8 or 1e-9 in whatever format the weights have.) A small number guards the logarithm where the format "
    "reaches below it.",
    precise=r"$p + \varepsilon$ does not round to zero if $\varepsilon > \eta/2$, where $\eta$ is the smallest positive number of the format; otherwise it does for"
    r" $p = 0$. Both $10^{-8}$ and $10^{-9}$ are large enough in float32, bfloat16 and float64, and too small in float16, whose $\eta$ is $2^{-24}$. The formula says"
    r" that $p + \varepsilon$, with $\varepsilon = \eta/2 + h$, lies nearer to $\eta$ than to 0, or beyond $\eta$.",
    sources=(S0.at("Head View Analysis"), S1.at("Attention Entropy")),
    scope="binary formats with gradual underflow and rounding to nearest even, weights in [0, 1]",
    inventory=("C024",),
    holds=offset_range_holds,
    derive=nearest,
)

offset_guards = Claim(
    id="entropy.offset-prevents-log-zero",
    title="Adding 1e-8 or 1e-9 prevents log 0",
    states="(Implied by the code.) The small number that is added inside the logarithm keeps it finite.",
    reading="In every format in which attention weights are held; the same text recommends half precision for the forward pass.",
    precise=r"$\mathrm{fl}(p + \varepsilon) > 0$ for every weight $p \ge 0$ and $\varepsilon = 10^{-8}$ or $10^{-9}$, if $\varepsilon > \eta/2$, where $\mathrm{fl}$ rounds to the "
    r"format and $\eta$ is its smallest positive number. The formula says that $p + \varepsilon$, with $\varepsilon = \eta/2 + h$, lies nearer to $\eta$ than to 0, or beyond $\eta$.",
    sources=(S0.at("Head View Analysis"), S1.at("Attention Entropy"), S0.at("Mixed Precision Training")),
    scope="float16, bfloat16, float32 and float64, weights in [0, 1]",
    inventory=("C024",),
    holds=offset_guards_holds,
    worked=offset_guards_worked,
    derive=nearest,
    unsaid="The offset is more than half of the format's smallest positive number, which in float16 it is not.",
    corrected_by="entropy.offset-needs-range",
)


def js(first: Weights, second: Weights) -> arb:
    """½ KL(first ‖ M) + ½ KL(second ‖ M), M their mean."""
    middle = averaged([first, second])
    halves = [(p, o) for row in (first, second) for p, o in zip(row, middle, strict=True) if p]
    return sum((ball(p) * ball(p / o).log() for p, o in halves), arb(0)) / 2


def divergence(weight: sp.Expr, other: sp.Expr) -> sp.Expr:
    """KL(weight ‖ mean of both), summed over j."""
    return total(weight * sp.log(weight / ((weight + other) / 2)), j)


def js_range_holds(first: Weights, second: Weights) -> Outcome:
    """0 ≤ JS ≤ log 2, symmetric, and zero only for equal rows."""
    gap = js(first, second)
    bounds = exact.at_most([0, gap], [gap, ball(2).log()])
    zero = exact.equal([gap], [0]) if first == second else Outcome.HELD if gap > 0 else Outcome.REFUTED
    return Outcome.worst([bounds, zero, exact.equal([gap], [js(second, first)])])


@derived(
    Claim(
        id="entropy.js-range",
        title="The Jensen–Shannon divergence lies between 0 and log 2",
        states="The Jensen–Shannon divergence compares attention distributions of heads or layers.",
        reading="As a measure of difference: finite for every pair of rows (disjoint ones too), bounded, zero only for equal rows, and symmetric, since "
        "both enter in the same way.",
        precise=r"$0 \le D_{JS}(p, q) \le \log 2$, and $D_{JS}(p, q) = 0$ only if $p = q$. The formula is the upper bound, for $p = \mathrm{softmax}(s)$ and"
        r" $q = \mathrm{softmax}(x)$.",
        sources=(S0.at("Jensen-Shannon Divergence for Attention Analysis"), ENDRES),
        scope="all n ≥ 1, every pair of distributions over n positions (each key is bounded by itself: one that both rows attend by the sums, and one that a "
        "row leaves out by the two steps before them)",
        inventory=("C026",),
        holds=js_range_holds,
    )
)
def js_range() -> Iterator[Step]:
    p, q = softmax(s, j), softmax(x, j)
    gap = divergence(p, q) / 2 + divergence(q, p) / 2
    seen = sp.Symbol("q", positive=True)
    yield from logarithm_below_line()
    alone = seen / 2 * sp.log(sp.UnevaluatedExpr(seen) / (seen / 2))
    yield Step(
        alone,
        "=",
        seen / 2 * sp.log(2),
        because="a key that the row p leaves out and the row q attends with the weight q adds this, no more than its share of the upper bound",
    )
    yield Step(
        sp.Integer(0),
        "<",
        alone,
        because="and it is positive: rows with zeros in different places are at a positive divergence",
        certificate=seen / 2 * sp.log(2),
    )
    yield Step(
        sp.Integer(0),
        "<=",
        gap,
        because="for a key with both weights, log(M/p) is at most M/p − 1 and equals it only where M = p, likewise for q, and M − p + M − q = 0",
        certificate=(surplus(p, j, (p + q) / 2 / p) + surplus(q, j, (p + q) / 2 / q)) / 2,
    )
    mine, other = p / 2 / ((p + q) / 2), q / 2 / ((p + q) / 2)
    yield Step(
        gap,
        "<=",
        sp.log(2),
        because="p is at most 2M, so no logarithm exceeds log 2",
        certificate=(surplus(p, j, mine) + total(p * (1 - mine), j) + surplus(q, j, other) + total(q * (1 - other), j)) / 2,
    )


def js_gap_holds(first: Weights, second: Weights) -> Outcome:
    mean = (exact.entropy(first) + exact.entropy(second)) / 2
    return exact.equal([js(first, second)], [exact.entropy(averaged([first, second])) - mean])


@derived(
    Claim(
        id="entropy.js-is-mutual-information",
        title="The Jensen–Shannon divergence is a mutual information",
        states="(Not in the text, which compares heads or layers by this divergence.) The Jensen–Shannon divergence is a mutual information.",
        reading="Toss a fair coin for the head, then draw a position: the divergence is what the position tells about the coin.",
        precise=r"$D_{JS}(p, q) = H(M) - \tfrac12 H(p) - \tfrac12 H(q)$ with $M = (p+q)/2$. That is $I(J; Z)$ for a fair coin $Z$ and a position $J$ drawn from $p$ or $q$,"
        r" as the coin falls.",
        sources=(S0.at("Jensen-Shannon Divergence for Attention Analysis"),),
        scope="all n ≥ 1, every pair of distributions (derived for positive weights; both sides are continuous, and so equal with zeros too)",
        inventory=("C026", "C020"),
        holds=js_gap_holds,
    )
)
def js_is_mutual_information() -> Iterator[Step]:
    p, q = softmax(s, j), softmax(x, j)
    middle = (p + q) / 2
    yield Step(total(middle, j), "=", sp.Integer(1), because="the mean of two distributions is one")
    yield Step(
        divergence(p, q) / 2 + divergence(q, p) / 2,
        "=",
        entropy(middle, j) - entropy(p, j) / 2 - entropy(q, j) / 2,
        because="the terms in log M of both divergences add up to the entropy of M",
    )


def root_triangle_holds(first: Weights, second: Weights, third: Weights) -> Outcome:
    """√JS(first, third) ≤ √JS(first, second) + √JS(second, third), as balls; equal rows are at distance zero."""
    far, near, rest = (distance(*pair) for pair in ((first, third), (first, second), (second, third)))
    return exact.at_most([far], [near + rest])


def distance(first: Weights, second: Weights) -> arb:
    return arb(0) if first == second else js(first, second).sqrt()


@derived(
    Claim(
        id="entropy.root-js-is-a-metric",
        title="The square root of the Jensen–Shannon divergence is a distance",
        states="(Not in the text, which compares heads or layers by the divergence itself.) Its square root is a distance.",
        reading="What is left to show is the triangle inequality: that the divergence is symmetric, and zero only for equal rows, is entropy.js-range.",
        precise=r"$\sqrt{D_{JS}(p, r)} \le \sqrt{D_{JS}(p, q)} + \sqrt{D_{JS}(q, r)}$, since"
        r" $D_{JS}(p, q) = \tfrac12\int_0^\infty \sum_j \big(e^{-p_jt/2} - e^{-q_jt/2}\big)^2\,t^{-2}\,\mathrm dt$ is a squared distance. The formula is what is integrated,"
        r" with $a^2 = D_{JS}(p, q)$ and $b^2 = D_{JS}(q, r)$: it gives $D_{JS}(p, r) \le (1 + b/a)\,a^2 + (1 + a/b)\,b^2 = (a + b)^2$. (If $a$ or $b$ is 0, two rows are"
        r" equal, and nothing is left to show.)",
        sources=(ENDRES, FUGLEDE, S0.at("Jensen-Shannon Divergence for Attention Analysis")),
        scope="all n ≥ 1, all distributions over n positions (positive weights; zeros by continuity). Two classical facts about integrals are used and not "
        "derived here: "
        "this one may be differentiated under its sign, and what is smaller for every t has the smaller integral",
        inventory=("C026", "C027"),
        uses=("entropy.js-range",),
        holds=root_triangle_holds,
    )
)
def root_js() -> Iterator[Step]:
    p, q, time, near, rest = sp.symbols("p q t a b", positive=True)
    gap = p * sp.log(2 * p / (p + q)) + q * sp.log(2 * q / (p + q))  # what one position adds to twice the divergence
    squared = ((sp.exp(-p * time / 2) - sp.exp(-q * time / 2)) / time) ** 2
    bend = sp.exp(-p * time) - sp.exp(-(p + q) * time / 2) / 2
    whole = sp.exp(-(p + q) * time / 2) / (p + q) - sp.exp(-p * time) / p
    yield Step(sp.Derivative(gap, (p, 2)), "=", 1 / p - 1 / (p + q), because="the second derivative of what one position adds to 2D, by its first weight")
    yield Step(
        sp.Derivative(squared, (p, 2)), "=", bend, because="the second derivative of what is integrated; the integral may be differentiated under its sign"
    )
    yield Step(sp.Derivative(whole, time), "=", bend, because="an antiderivative, which tends to 0 as t grows")
    yield Step(-sp.Subs(whole, time, 0), "=", 1 / p - 1 / (p + q), because="so the integral has the same second derivative as 2D")
    for thing in (gap, squared):
        yield Step(sp.Subs(thing, p, q), "=", sp.Integer(0), because="and the same value at p = q: zero")
        yield Step(sp.Subs(sp.Derivative(thing, p), p, q), "=", sp.Integer(0), because="and the same slope there: zero. So they are equal")
    yield Step((1 + rest / near) * near**2 + (1 + near / rest) * rest**2, "=", (near + rest) ** 2, because="with a and b the two shorter distances")
    first, second, third = (sp.exp(-row * time / 2) for row in (P[1, j], P[2, j], P[3, j]))
    yield Step(
        total((first - third) ** 2, j),
        "<=",
        (1 + rest / near) * total((first - second) ** 2, j) + (1 + near / rest) * total((second - third) ** 2, j),
        because="for every t and every position, with p, q and r the rows of P: (x + y)² is at most (1 + b/a) x² + (1 + a/b) y²",
        certificate=total((rest * (first - second) - near * (second - third)) ** 2, j) / (near * rest),
    )


def triangle_holds(first: Weights, second: Weights, third: Weights) -> Outcome:
    return exact.at_most([js(first, third)], [js(first, second) + js(second, third)])


def told_js(name: str, first: Weights, second: Weights) -> str:
    middle = averaged([first, second])
    halves = [" + ".join(f"{p}·log({p / o})" for p, o in zip(row, middle, strict=True) if p) for row in (first, second)]
    return f"{name}, with M = ({', '.join(map(str, middle))}), is ½[{halves[0]}] + ½[{halves[1]}] = {exact.show(js(first, second))}"


def triangle_worked(first: Weights, second: Weights, third: Weights) -> str:
    shown = [f"({', '.join(map(str, row))})" for row in (first, second, third)]
    far, near, rest = (js(*pair) for pair in ((first, third), (first, second), (second, third)))
    return (
        f"Take p = {shown[0]}, q = {shown[1]} and r = {shown[2]}. {told_js('D(p, r)', first, third)}; {told_js('D(p, q)', first, second)};"
        f" {told_js('D(q, r)', second, third)}. A distance needs D(p, r) ≤ D(p, q) + D(q, r), but {exact.show(far)} is more than"
        f" {exact.show(near)} + {exact.show(rest)} = {exact.show(near + rest)}: the way through q is shorter than the direct one."
    )


js_is_a_distance = Claim(
    id="entropy.js-is-a-distance",
    title="The Jensen–Shannon divergence is a distance",
    states="(Implied at most, where heads or layers are compared by it.) The Jensen–Shannon divergence is a distance.",
    reading="A distance is symmetric, zero only for equal rows, and no detour is shorter than the direct way. As a mere measure of difference the text's use"
    " of it is sound, see entropy.js-range.",
    precise=r"$D_{JS}(p, r) \le D_{JS}(p, q) + D_{JS}(q, r)$.",
    sources=(S0.at("Jensen-Shannon Divergence for Attention Analysis"), ENDRES),
    scope="all n ≥ 1, all distributions over n positions",
    inventory=("C027",),
    holds=triangle_holds,
    worked=triangle_worked,
    corrected_by="entropy.root-js-is-a-metric",
)
