"""Dropout on attention weights: what it keeps on average, what it does to a single row, and what it adds to a loss.

Each weight is set to 0 with probability 1 − κ, independently, and divided by κ otherwise (inverted dropout, as in PyTorch's module);
κ is the probability to be kept. The exact checks enumerate all masks of a row in fractions. Nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import product

import sympy as sp

from theorems import exact
from theorems.claim import Claim, derived
from theorems.outcome import Outcome
from theorems.sources import S2, S3, S4, Source
from theorems.step import Step
from theorems.symbols import i, j, l, m, n, r, s, softmax, t, total, v

Exact = int | Fraction
Row = Sequence[Exact]
Bits = Sequence[bool]
D = sp.KroneckerDelta

SRIVASTAVA = Source(
    key="srivastava2014", title="Dropout: A Simple Way to Prevent Neural Networks from Overfitting", url="https://jmlr.org/papers/v15/srivastava14a.html"
)
TORCH_DROPOUT = Source(key="torch-dropout", title="torch.nn.Dropout", url="https://docs.pytorch.org/docs/2.13/generated/torch.nn.Dropout.html")
DROPKEY = Source(key="li2022", title="DropKey for Vision Transformer", url="https://arxiv.org/abs/2208.02646")

keep = sp.Symbol("kappa", positive=True)  # the probability that a weight is kept
odds = sp.Symbol("lambda", positive=True)  # (1 − κ)/κ, the odds of being dropped
chance = sp.IndexedBase("z", positive=True)  # probabilities of the outcomes t of a random mask, before normalisation
X = sp.IndexedBase("X", real=True)  # what outcome t does to key j, X[t, j]
bit = sp.IndexedBase("M", real=True)  # M[j], 1 where key j is kept and 0 where it is dropped
w = sp.IndexedBase("w", positive=True)  # weights before dropout
short = sp.IndexedBase("g", nonnegative=True)  # by how much a square falls short of the largest
target = sp.Symbol("y", real=True)


def masks(length: int, kept: Fraction) -> Iterator[tuple[Bits, Fraction]]:
    """Every mask of a row and its probability."""
    for bits in product((False, True), repeat=length):
        yield bits, kept ** sum(bits) * (1 - kept) ** (length - sum(bits))


def dropped(weights: Row, bits: Bits, kept: Fraction) -> list[Fraction]:
    """The kept weights over κ, and 0 for the others."""
    return [Fraction(e) / kept if on else Fraction(0) for e, on in zip(weights, bits, strict=True)]


def mean(weights: Row, kept: Fraction, function: Callable[[list[Fraction]], Fraction]) -> Fraction:
    """The mean of a function of the row after dropout, over all masks."""
    return sum((chance * function(dropped(weights, bits, kept)) for bits, chance in masks(len(weights), kept)), Fraction(0))


def distribution(parts: Sequence[int]) -> list[Fraction]:
    """Whole numbers over their sum (all weight on the first key if they are all 0)."""
    return [Fraction(e, sum(parts)) for e in parts] if sum(parts) else [Fraction(place == 0) for place in range(len(parts))]


def dot(weights: Row, values: Row) -> Fraction:
    return sum((Fraction(e) * o for e, o in zip(weights, values, strict=True)), Fraction(0))


# --- what stays on average --------------------------------------------------------------------------------------------------------------


def _unbiased_holds(parts: Sequence[int], values: Row, kept: Fraction) -> Outcome:
    weights = distribution(parts)
    means = [mean(weights, kept, lambda row, place=place: row[place]) for place in range(len(weights))]  # type: ignore[misc]
    return exact.decided(means == weights and mean(weights, kept, lambda row: dot(row, values)) == dot(weights, values))


@derived(
    Claim(
        id="dropout.unbiased",
        title="Inverted dropout leaves the mean of every weight, and of the output, as it was",
        states="Dropout is applied to attention weights.",
        reading="(Implied.) Dropout leaves weights and outputs as they are on average: the mean over the random mask, for given scores and values. The "
        "dropout of the texts' code is PyTorch's, which divides by κ.",
        precise=r"$E[\tilde w_j] = \kappa\cdot\frac{w_j}{\kappa} + (1-\kappa)\cdot 0 = w_j$ and $E\big[\sum_j \tilde w_j v_j\big] = \sum_j w_j v_j$. Any "
        r"random factors of mean one do: in "
        r"the formula outcome $t$ has probability $z_t/\sum z$, and multiplies weight $j$ by $f_{tj} = 1 + X_{tj} - E[X_j]$. For dropout $f$ is $1/\kappa$ "
        r"or 0. "
        "Independence is not needed.",
        sources=(S3.at("Dropout"), S2.at("Advanced Implementation"), S4.at("Regularization"), TORCH_DROPOUT, SRIVASTAVA),
        scope="all n ≥ 1, every finite law of the mask with factors of mean one, all real values; weights of a softmax. That dropout prevents overfitting "
        "is not judged here",
        inventory=("C258",),
        holds=_unbiased_holds,
    )
)
def unbiased() -> Iterator[Step]:
    outcomes = (t, 1, m)

    def normalised(outcome: sp.Symbol) -> sp.Expr:
        return chance[outcome] / sp.Sum(chance[r], (r, 1, m))

    factor = 1 + X[t, j] - sp.Sum(normalised(r) * X[r, j], (r, 1, m))
    yield Step(sp.Sum(normalised(t) * factor, outcomes), "=", sp.Integer(1), "each factor has the mean one")
    twofold = sp.Add(sp.Mul(keep, 1 / keep, evaluate=False), sp.Mul(1 - keep, 0, evaluate=False), evaluate=False)
    yield Step(twofold, "=", sp.Integer(1), "as 1/κ with probability κ, and 0 else, has")
    yield Step(
        sp.Sum(normalised(t) * total(factor * softmax(s, j) * v[j], j), outcomes),
        "=",
        total(softmax(s, j) * v[j], j),
        "the output is linear in the weights, so its mean needs their means only",
    )


# --- a row after dropout ----------------------------------------------------------------------------------------------------------------


def _row_sum_holds(parts: Sequence[int], bits: Bits, kept: Fraction) -> Outcome:
    """The sum of this row after this mask is (1 − dropped mass)/κ, and one on the mean over all masks."""
    weights = distribution(parts)
    lost = sum((e for e, on in zip(weights, bits, strict=True) if not on), Fraction(0))
    here = sum(dropped(weights, bits, kept)) == (1 - lost) / kept
    return exact.decided(here and mean(weights, kept, lambda row: sum(row, Fraction(0))) == 1)


@derived(
    Claim(
        id="dropout.row-sum",
        title="After dropout a row sums to the kept mass over κ",
        states="(Not in the text, which calls a row after dropout attention weights.) After dropout a row sums to what was kept, divided by κ.",
        precise=r"$\frac1\kappa\sum_j M_j w_j - 1 = \big((1 - \kappa) - \sum_j (1 - M_j)\,w_j\big)/\kappa$: the sum is one only if exactly the share $1 - "
        r"\kappa$ of the mass is dropped. Its "
        r"mean is one, it can be 0 and as large as $1/\kappa$, and a kept weight above $\kappa$ exceeds one.",
        sources=(S3.at("Dropout"), S2.at("Advanced Implementation")),
        scope="all n ≥ 1, every mask, all 0 < κ ≤ 1; weights of a softmax",
        inventory=("C259",),
        uses=("softmax.row-sum",),
        holds=_row_sum_holds,
    )
)
def row_sum() -> Iterator[Step]:
    weight = softmax(s, j)
    kept_mass, lost = total(bit[j] * weight, j), total((1 - bit[j]) * weight, j)
    yield Step(kept_mass, "=", 1 - lost, "kept and dropped mass are the whole row")
    yield Step(total(bit[j] * weight / keep, j) - 1, "=", (1 - keep - lost) / keep, "divided by κ, less one")


def _distribution_holds(parts: Sequence[int], bits: Bits, kept: Fraction) -> Outcome:
    return exact.decided(sum(dropped(distribution(parts), bits, kept)) == 1)


def _distribution_worked(parts: Sequence[int], bits: Bits, kept: Fraction) -> str:
    weights = distribution(parts)
    row = dropped(weights, bits, kept)
    return (
        f"The first numbers are parts of the whole: they stand for the weights ({', '.join(map(str, weights))}). Take them with the keep probability κ = "
        f"{kept} and the mask {[int(on) for on in bits]}. After dropout the row is "
        f"({', '.join(map(str, row))}), which sums to {sum(row)}, where a distribution sums to 1. This mask has probability {dict(masks(len(weights), kept))[tuple(bits)]}."
    )


def _evaluation() -> Iterator[Step]:
    yield Step(total(softmax(s, j), j), "=", sp.Integer(1), "in evaluation no weight is dropped and none is scaled: the row is softmax's")


distribution_after = Claim(
    id="dropout.distribution",
    title="The weights after dropout are an attention distribution",
    states="attention_weights = dropout(softmax(scores)): what dropout makes of the softmax are the attention weights.",
    reading="What the code calls attention weights, and returns as such, is a distribution over the keys: it sums to one. The code calls a dropout module, "
    "which is active in "
    "training.",
    precise=r"$\sum_j \tilde w_j = 1$ for $\tilde w = \mathrm{dropout}(\mathrm{softmax}(s))$.",
    sources=(S3.at("Dropout"), S2.at("Advanced Implementation")),
    scope="all n ≥ 1, every mask, every keep probability 0 < κ < 1. That dropout prevents overfitting is not judged here",
    inventory=("C259",),
    unsaid="the module is in evaluation mode, where dropout does nothing",
    corrected_by="dropout.row-sum",
    derive=_evaluation,
    holds=_distribution_holds,
    worked=_distribution_worked,
)


def _variance_holds(parts: Sequence[int], values: Row, kept: Fraction) -> Outcome:
    """The variance is the formula's, no larger than the odds times the largest squared value, and as large if that value has all the weight."""
    weights, sizes = distribution(parts), [abs(Fraction(e)) for e in values]
    square = mean(weights, kept, lambda row: dot(row, values) ** 2)
    spread = (1 - kept) / kept * sum(((e * o) ** 2 for e, o in zip(weights, values, strict=True)), Fraction(0))
    most = (1 - kept) / kept * max(sizes) ** 2
    alone = [Fraction(place == sizes.index(max(sizes))) for place in range(len(values))]
    reached = mean(alone, kept, lambda row: dot(row, values) ** 2) - dot(alone, values) ** 2
    return exact.decided(square - dot(weights, values) ** 2 == spread <= most == reached)


def _second_moment(place: sp.Symbol, other: sp.Symbol) -> sp.Expr:
    """E of the product of two factors: 1 for different keys, 1/κ for the same."""
    return 1 + D(place, other) * (1 - keep) / keep


def _moments() -> Iterator[Step]:
    yield Step(
        keep * (1 / keep) ** 2, "=", _second_moment(i, i), "the square of one factor is 1/κ² with probability κ; different keys are dropped independently"
    )


@derived(
    Claim(
        id="dropout.variance",
        title="The variance that dropout adds to the output",
        states="Dropout on the weights adds noise to the output, of a variance that weights and values determine.",
        precise=r"$\mathrm{Var}\big[\sum_j \tilde w_j v_j\big] = \dfrac{1-\kappa}{\kappa}\sum_j w_j^2 v_j^2$, for each coordinate of the values: at most "
        r"$\frac{1-\kappa}\kappa\max_j v_j^2$, which a row with all weight on the key with the largest $|v|$ reaches; over equal values a uniform row has "
        r"$\frac1n$ of it. In the formula of the bound $v_j^2 = M^2 - g_j$ with $g_j \ge 0$, and the weights are written as $w_j/\sum_l w_l$.",
        sources=(SRIVASTAVA,),
        scope="all n ≥ 1, all 0 < κ ≤ 1, weights dropped independently, all real values",
        holds=_variance_holds,
    )
)
def variance() -> Iterator[Step]:
    weight, most = w[j] / total(w[l], l), sp.Symbol("M", nonnegative=True)
    yield Step(
        total(weight**2 * (most**2 - short[j]), j),
        "<=",
        most**2,
        "squares of weights sum to no more than one: what is missing are the products of different ones",
        certificate=most**2 * total(total(w[i] * w[j] * (1 - D(i, j)), i), j) / total(w[l], l) ** 2 + total(weight**2 * short[j], j),
    )
    yield Step(total((1 / n) ** 2 * most**2, j), "=", most**2 / n, "a uniform row over equal values has a share of 1/n")
    yield from _moments()
    yield Step(
        total(total(_second_moment(i, j) * w[i] * v[i] * w[j] * v[j], i), j) - total(w[j] * v[j], j) ** 2,
        "=",
        (1 - keep) / keep * total(w[j] ** 2 * v[j] ** 2, j),
        "the mean of the square less the square of the mean: only pairs of a key with itself are left",
    )


def _all_dropped_holds(length: int, kept: Fraction) -> Outcome:
    """The probability of the masks that keep nothing, and of those that keep something."""
    nothing = sum((chance for bits, chance in masks(length, kept) if not any(bits)), Fraction(0))
    something = sum((chance for bits, chance in masks(length, kept) if any(bits)), Fraction(0))
    return exact.decided(nothing == (1 - kept) ** length and something == 1 - nothing)


@derived(
    Claim(
        id="dropout.all-dropped",
        title="A row loses all its weights with probability (1 − κ)ⁿ",
        states="Dropout can remove every weight of a row.",
        precise=r"$(1-\kappa)^{n}$, by induction on the visible keys: one key is dropped with probability $1 - \kappa$, and one more multiplies by "
        r"$1-\kappa$. The output is then 0. The first row of a "
        r"causal map sees one key: it loses its output with probability $1 - \kappa$, and else has it multiplied by $1/\kappa$.",
        sources=(TORCH_DROPOUT,),
        scope="all n ≥ 1 visible keys, all 0 < κ < 1, weights dropped independently",
        holds=_all_dropped_holds,
    )
)
def all_dropped() -> Iterator[Step]:
    lost = 1 - keep
    inside = {keep: (0.0625, 0.9375)}
    single = sp.Pow(lost, sp.UnevaluatedExpr(sp.Integer(1)))
    yield Step(single, "=", lost, "one key, n = 1: nothing is left exactly if it is dropped", domain=inside)
    more = sp.Mul(lost**n, lost, evaluate=False)
    yield Step(more, "=", lost ** (n + 1), "one key more: it has to be dropped as well, independently of the n before", domain=inside)


def _support_holds(parts: Sequence[int], bits: Bits, kept: Fraction) -> Outcome:
    """No weight moves to a key that had none, and the kept weights keep their ratios."""
    weights = distribution(parts)
    row = dropped(weights, bits, kept)
    ratios = all(row[e] * weights[o] == row[o] * weights[e] for e in range(len(row)) for o in range(len(row)) if bits[e] and bits[o])
    return exact.decided(ratios and all(after == 0 for before, after in zip(weights, row, strict=True) if before == 0))


@derived(
    Claim(
        id="dropout.ratios-stay",
        title="Dropout moves no weight from one key to another",
        states="(Not in the text, which names attention dropout against one-hot weights.) Dropout does not move weight from one position to another.",
        precise=r"$\tilde w_i/\tilde w_j = w_i/w_j$ for kept keys, whatever the mask, and a weight of 0 stays 0. A one-hot row becomes $1/\kappa$ times "
        r"itself, or 0: still on one position, "
        "or on none.",
        sources=(S4.at("Attention Collapse"),),
        scope="all n ≥ 1, every mask, all 0 < κ ≤ 1, weights of a softmax (a weight of 0 stays 0 when it is divided by κ)",
        inventory=("C302",),
        holds=_support_holds,
    )
)
def ratios_stay() -> Iterator[Step]:
    yield Step(
        (softmax(s, i) / keep) / (softmax(s, j) / keep),
        "=",
        sp.exp(s[i] - s[j]),
        "both kept weights are divided by the same κ, so their ratio is still that of the exponentials",
    )


# --- what dropout is not unbiased for ---------------------------------------------------------------------------------------------------


def _renormalised(weights: Row, place: int, kept: Fraction) -> Fraction:
    """The mean of one of the weights after dropout and division by the row's sum, given that a key is kept."""
    some = [(bits, chance) for bits, chance in masks(len(weights), kept) if any(bits)]
    given = sum(chance for _, chance in some)
    return sum((chance * dropped(weights, bits, kept)[place] / sum(dropped(weights, bits, kept)) for bits, chance in some), Fraction(0)) / given


def _renormalised_holds(parts: Sequence[int], kept: Fraction) -> Outcome:
    """Two keys: the first weight's mean is off by the formula, towards one half."""
    first, second = weights = distribution([1 + e for e in parts])
    average = _renormalised(weights, 0, kept)
    pulled = abs(average - Fraction(1, 2)) < abs(first - Fraction(1, 2)) if first != second else average == first
    return exact.decided(average - first == (1 - kept) * (1 - 2 * first) / (2 - kept) and pulled)


@derived(
    Claim(
        id="dropout.renormalised",
        title="Of two keys, dropout followed by division by the row's sum favours the smaller weight",
        states="Hiding random keys before the softmax, or dividing the row by its sum after dropout, gives rows that sum to one.",
        precise=r"For two keys and a mask that keeps one of them, $E[\bar w_1] - w_1 = \dfrac{(1-\kappa)(1 - 2w_1)}{2 - \kappa}$: positive below one half "
        r"and negative above it. The "
        "rows sum to one, but the means are not the weights. (Hiding a key before the softmax is dividing by the sum of the kept weights.) More keys are not "
        r"simply pulled towards $\frac1n$: of three, a weight above $\frac13$ can grow.",
        sources=(DROPKEY,),
        scope="two keys, positive weights, all 0 < κ < 1, given that not both are dropped (and one example with three keys)",
        holds=_renormalised_holds,
    )
)
def renormalised() -> Iterator[Step]:
    rate = odds / (1 + odds)  # 1 − κ, below one
    kept = 1 - rate
    first, second = sp.symbols("w_1 w_2", positive=True)
    weight = first / (first + second)
    both, one = kept**2, kept * rate
    average = (both * weight + one * 1 + one * 0) / (both + 2 * one)
    yield Step(average - weight, "=", rate * (1 - 2 * weight) / (2 - kept), "both kept: the weight itself; one kept: 1 or 0", nonzero=(2 - kept,))
    three, middle = (Fraction(1, 8), Fraction(3, 8), Fraction(1, 2)), 1
    grown = _renormalised(three, middle, Fraction(9, 10))
    yield Step(sp.Rational(1, 3), "<", sp.Rational(three[middle]), "of three keys with weights 1/8, 3/8 and 1/2 the second has more than a third")
    yield Step(sp.Rational(three[middle]), "<", sp.Rational(grown), "and at κ = 9/10 it grows on average, away from uniform")
    more = sp.Symbol("h", positive=True)
    smaller = first / (2 * first + more)
    yield Step(
        smaller,
        "<",
        (both * smaller + one) / (both + 2 * one),
        "the smaller of two different weights, w₂ = w₁ + h, grows on average, so the larger one shrinks",
        certificate=odds * more / ((2 * first + more) * (2 * odds + 1)),
    )


def _before_softmax_holds(gap: int, kept: Fraction) -> Outcome:
    """Two keys, scores gap > 0 and 0: dropout on the scores lowers the mean weight of the first."""
    plain = exact.softmax([gap, 0])[0]
    average = exact.ball(kept) * exact.softmax([Fraction(gap) / kept, 0])[0] + exact.ball((1 - kept) / 2)
    return Outcome.HELD if average < plain else Outcome.REFUTED if average > plain else Outcome.UNDECIDED


@derived(
    Claim(
        id="dropout.before-softmax",
        title="Dropout on the scores, before the softmax, is biased",
        states="Dropout on scores is not dropout on weights.",
        precise=r"For two keys with scores $g > 0$ and 0, $\kappa\,\sigma(g/\kappa) + (1-\kappa)\tfrac12 < \sigma(g)$ with $\sigma(x) = 1/(1 + e^{-x})$: the mean score "
        r"is unchanged, and the mean weight of the better key falls. A score of 0 is not a hidden key, and the softmax is not linear. The formulas: first "
        r"$\kappa = \tfrac12$, "
        r"where the difference is a quotient of positive terms; then every $\kappa$: the two sides are equal at $g = 0$, and the left one rises more "
        r"slowly, where "
        r"$1/\kappa = 1 + \lambda$.",
        sources=(S3.at("Dropout"), S4.at("Regularization")),
        scope="two keys, every g > 0, all 0 < κ < 1",
        holds=_before_softmax_holds,
    )
)
def before_softmax() -> Iterator[Step]:
    g = sp.Symbol("g", positive=True)
    at, kept = sp.Symbol("x", real=True), 1 / (1 + odds)

    def sigma(score: sp.Expr) -> sp.Expr:
        return 1 / (1 + sp.exp(-score))

    weight, twice = sp.exp(g) / (1 + sp.exp(g)), sp.exp(2 * g) / (1 + sp.exp(2 * g))
    yield Step(
        twice / 2 + sp.Rational(1, 4),
        "<",
        weight,
        "for κ = 1/2 at once: over the common denominator the difference is (e^g − 1)³",
        certificate=(sp.exp(g) - 1) ** 3 / (4 * (1 + sp.exp(g)) * (1 + sp.exp(2 * g))),
    )
    average = kept * sigma(at * (1 + odds)) + (1 - kept) / 2
    yield Step(sp.Subs(average, at, 0), "=", sp.Subs(sigma(at), at, 0), "at equal scores nothing is lost on average")
    lost, slope = sp.exp(-g * (1 + odds)), sp.exp(-g) / (1 + sp.exp(-g)) ** 2
    yield Step(sp.Subs(sp.Derivative(average, at), at, g), "=", lost / (1 + lost) ** 2, "the mean weight rises with the gap at the slope of σ at g/κ")
    yield Step(sp.Subs(sp.Derivative(sigma(at), at), at, g), "=", slope, "the weight itself at the slope of σ at g")
    yield Step(
        lost / (1 + lost) ** 2,
        "<",
        slope,
        "which is steeper, being nearer to 0: so from g = 0 on the mean weight stays behind",
        certificate=sp.exp(-g) * (1 - sp.exp(-g * odds)) * (1 - sp.exp(-2 * g) * sp.exp(-g * odds)) / ((1 + lost) ** 2 * (1 + sp.exp(-g)) ** 2),
    )


def _relu(x: Fraction) -> Fraction:
    return max(x, Fraction(0))


def _relu_holds(parts: Sequence[int], values: Row, kept: Fraction) -> Outcome:
    """A ReLU after dropout has no smaller mean than without, whatever its threshold; at the output as threshold the gap is E|õ − o|/2."""
    weights = distribution(parts)
    output = dot(weights, values)
    spread = mean(weights, kept, lambda row: abs(dot(row, values) - output))
    gaps = [mean(weights, kept, lambda row, at=at: _relu(dot(row, values) - at)) - _relu(output - at) for at in (*map(Fraction, values), output)]  # type: ignore[misc]
    return exact.decided(min(gaps) >= 0 and gaps[-1] == spread / 2)


@derived(
    Claim(
        id="dropout.nonlinear-layers",
        title="A non-linear layer after dropout can be biased",
        states="Layers after a dropped attention do not see on average what they see without dropout, though the attention's output has the same mean.",
        precise=r"$\kappa\,\big[\tfrac x\kappa - b\big]_+ + (1-\kappa)\,[-b]_+ - [x - b]_+ = (1-\kappa)\,x > 0$ for one key whose weighted value is $x > "
        r"0$, and a ReLU with threshold $b = x$: it gives 0 in "
        r"evaluation, and a positive mean in training. In general a convex function of the output has a mean no smaller than its value at the mean "
        r"(Jensen). In the formula "
        r"$\lambda = (1-\kappa)/\kappa$, so that $1/\kappa = 1 + \lambda$.",
        sources=(SRIVASTAVA,),
        scope="one key, every x > 0, all 0 < κ < 1 (examples: any row, any threshold)",
        uses=("dropout.unbiased",),
        holds=_relu_holds,
    )
)
def nonlinear_layers() -> Iterator[Step]:
    value = sp.Symbol("x", positive=True)
    kept = 1 / (1 + odds)
    when_kept = sp.Max(sp.UnevaluatedExpr(sp.expand((1 + odds) * value - value)), 0)
    training = kept * when_kept + (1 - kept) * sp.Max(sp.UnevaluatedExpr(-value), 0)
    yield Step(
        training - sp.Max(sp.UnevaluatedExpr(value) - value, 0),
        "=",
        (1 - kept) * value,
        "kept, the output passes the threshold by λx; dropped, it does not; undisturbed, it just meets it",
    )
    yield Step(sp.Integer(0), "<", training, "so the mean exceeds the value without dropout, which is 0", certificate=odds / (1 + odds) * value)


# --- dropout and collapse ---------------------------------------------------------------------------------------------------------------


def loss(weights: Row, values: Row, aim: Exact, kept: Fraction) -> Fraction:
    """The mean of (output − aim)² over all masks."""
    return mean(weights, kept, lambda row: (dot(row, values) - aim) ** 2)


def _penalty_holds(values: Row, aim: int, kept: Fraction) -> Outcome:
    """At several rows over the two keys: mean loss = loss + (1 − κ)/κ Σ w² v²."""
    rows = [(Fraction(e, 4), 1 - Fraction(e, 4)) for e in range(5)]
    noise = (1 - kept) / kept
    return exact.decided(
        all(loss(row, values, aim, kept) == (dot(row, values) - aim) ** 2 + noise * sum((e * o) ** 2 for e, o in zip(row, values, strict=True)) for row in rows)
    )


@derived(
    Claim(
        id="dropout.penalty",
        title="For a squared loss dropout adds a penalty on squared weights times squared values",
        states="(Not in the text, which names attention dropout and regularisation against one-hot weights.) On average, dropout on the weights adds a "
        "penalty to a squared loss.",
        precise=r"$E\big[(\tilde o - y)^2\big] = (o - y)^2 + \dfrac{1-\kappa}{\kappa}\sum_j w_j^2 v_j^2$: a row is pushed away from keys with large values, "
        r"not towards uniform attention; a key with the "
        "value 0 costs nothing, however large its weight.",
        sources=(SRIVASTAVA, S4.at("Attention Collapse")),
        scope="all n ≥ 1, all 0 < κ ≤ 1, one output coordinate (several add up), weights dropped independently",
        inventory=("C302",),
        uses=("dropout.variance",),
        holds=_penalty_holds,
    )
)
def penalty() -> Iterator[Step]:
    yield from _moments()
    output = total(w[j] * v[j], j)
    square = total(total(_second_moment(i, j) * w[i] * v[i] * w[j] * v[j], i), j)
    yield Step(
        square - 2 * target * output + target**2,
        "=",
        (output - target) ** 2 + (1 - keep) / keep * total(w[j] ** 2 * v[j] ** 2, j),
        "the mean is unchanged, so the mean squared error grows by the variance",
    )


def _quadratic(values: Row, aim: int, kept: Fraction) -> tuple[Fraction, Fraction]:
    """Slope at w = 1 and half the second derivative of the mean loss of the row (w, 1 − w), from its values at three rows."""
    at_zero, half, one = (loss((e, 1 - e), values, aim, kept) for e in (Fraction(0), Fraction(1, 2), Fraction(1)))
    curvature = 2 * (one - 2 * half + at_zero)
    return one - at_zero + curvature, curvature


def _prevents_holds(values: Row, aim: int, kept: Fraction) -> Outcome:
    """Over the rows (w, 1 − w), the mean loss has not its only minimum at the one-hot row w = 1."""
    slope, curvature = _quadratic(values, aim, kept)
    return exact.decided(not (slope < 0 or (slope == 0 and curvature > 0)))


def _prevents_worked(values: Row, aim: int, kept: Fraction) -> str:
    first, second = values
    told = "; ".join(f"w = {e}: {loss((e, 1 - e), values, aim, kept)}" for e in (Fraction(0), Fraction(1, 2), Fraction(3, 4), Fraction(1)))
    return (
        f"Two keys with the values {first} and {second}, the target {aim}, a squared loss, and keep probability κ = {kept}. A row (w, 1 − w) has the mean loss "
        f"(w·{first} + (1 − w)·{second} − {aim})² + {(1 - kept) / kept}·((w·{first})² + ((1 − w)·{second})²), over all four masks. {told}. On the whole "
        "interval it is smallest at w = 1: with dropout too, the best row looks at one position, which the claim rules out."
    )


def _leaves() -> Iterator[Step]:
    first, second, weight = sp.symbols("v_1 v_2 w", real=True)
    mean_loss = (weight * first + (1 - weight) * second - target) ** 2 + odds * (weight**2 * first**2 + (1 - weight) ** 2 * second**2)
    yield Step(
        sp.Subs(sp.Derivative(mean_loss, weight), weight, 1),
        "=",
        2 * ((first - target) * (first - second) + odds * first**2),
        "where this slope is positive, moving weight from the first key to the second lowers the mean loss; without dropout λ = 0",
    )


prevents_collapse = Claim(
    id="dropout.prevents-collapse",
    title="Attention dropout prevents collapse onto one position",
    states="Attention dropout is a solution where attention weights become one-hot.",
    reading="Trained with dropout on the weights, a row does not end up one-hot: of the rows over two keys, the mean loss over the masks is not smallest at "
    "a one-hot row, whatever the values and the "
    "target. Judged for a squared loss.",
    precise=r"With $\lambda = (1-\kappa)/\kappa$, the slope of the mean loss at the one-hot row is $2\big((v_1 - y)(v_1 - v_2) + \lambda v_1^2\big)$. If it "
    r"is positive, the row $(1, 0)$ is not a minimum.",
    sources=(S4.at("Attention Collapse"),),
    scope="two keys, one output coordinate, squared loss, all 0 < κ < 1",
    inventory=("C302",),
    uses=("dropout.penalty",),
    unsaid="at the one-hot row the noise outweighs what the loss gains: (v₁ − y)(v₁ − v₂) + λ v₁² > 0",
    corrected_by="dropout.penalty",
    derive=_leaves,
    holds=_prevents_holds,
    worked=_prevents_worked,
)
