"""Other ways to turn a row of scores into weights: a sink, a sigmoid, sparsemax and entmax, and what each keeps of softmax and what it gives up.

Scores are real and finite. In derivations about sparse weights the keys are split in two: n keys with a positive weight (index j, the support) and m
keys with weight 0 (index r); τ is the threshold that separates their scores. Each split is one case of the statement, and together they are all cases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, combinations

import sympy as sp
from flint import arb, arb_series

from theorems import exact
from theorems.claim import Claim, derived
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import VASWANI, Source
from theorems.step import Step
from theorems.symbols import c, i, j, k, l, m, n, p, r, s, softmax, total, v

Exact = int | Fraction
Row = Sequence[Exact]
D = sp.KroneckerDelta

MILLER = Source(key="miller2023", title="Attention Is Off By One", url="https://www.evanmiller.org/attention-is-off-by-one.html")
XIAO = Source(key="xiao2023", title="Efficient Streaming Language Models with Attention Sinks", url="https://arxiv.org/abs/2309.17453")
RAMAPURAM = Source(key="ramapuram2024", title="Theory, Analysis, and Best Practices for Sigmoid Self-Attention", url="https://arxiv.org/abs/2409.04431")
MARTINS = Source(
    key="martins2016", title="From Softmax to Sparsemax: A Sparse Model of Attention and Multi-Label Classification", url="https://arxiv.org/abs/1602.02068"
)
PETERS = Source(key="peters2019", title="Sparse Sequence-to-Sequence Models", url="https://arxiv.org/abs/1905.05702")

sink = sp.Symbol("z", real=True)  # the score of the sink; 0 for softmax-one
tau = sp.Symbol("tau", real=True)  # threshold of a sparse row
g = sp.IndexedBase("g", nonnegative=True)  # by how much a score falls short of the threshold
x = sp.IndexedBase("x", nonnegative=True)  # weights above a second threshold; square roots of weights
y = sp.IndexedBase("y", positive=True)  # another distribution's weights on the support, before normalisation
z = sp.IndexedBase("z", positive=True)  # and off it
b, q = sp.IndexedBase("b", nonnegative=True), sp.IndexedBase("q", nonnegative=True)  # square roots of another distribution's weights, on the support and off
u, w = sp.IndexedBase("u", real=True), sp.IndexedBase("w", real=True)  # scores above two thresholds
h = sp.Symbol("h", nonnegative=True)
a = sp.Symbol("a", positive=True)  # α − 1

# --- a sink ---------------------------------------------------------------------------------------------------------------------------


def sink_weights(scores: Row, sink_score: Exact) -> list[arb]:
    """exp(s_j) / (exp(z) + Σ exp(s_l)): softmax with one more term in the divisor."""
    powers = [ball(e).exp() for e in scores]
    mass = sum(powers, ball(sink_score).exp())
    return [e / mass for e in powers]


def _sunk(position: sp.Symbol) -> sp.Expr:
    return sp.exp(s[position]) / (sp.exp(sink) + total(sp.exp(s[l]), l))


def _sink_mass_holds(scores: Row, sink_score: Exact) -> Outcome:
    mass = sum(sink_weights(scores, sink_score), arb(0))
    short = ball(sink_score).exp() / sum((ball(e).exp() for e in scores), ball(sink_score).exp())
    return Outcome.worst([exact.equal(mass, 1 - short), exact.decided(bool(mass > 0)), exact.decided(bool(mass < 1))])


@derived(
    Claim(
        id="normalisers.sink-mass",
        title="With a sink the weights of a row sum to less than one",
        states="A term that belongs to no key, added to the divisor of softmax, lets a row attend to nothing.",
        precise=r"With $w_j = e^{s_j}/(e^z + \sum_l e^{s_l})$: $\sum_j w_j = 1 - \dfrac{e^z}{e^z + \sum_l e^{s_l}}$, which is below 1 for every finite sink "
        r"score "
        r"$z$. Softmax-one is $z = 0$: there the sum is $1 - 1/(1 + \sum_l e^{s_l})$.",
        sources=(MILLER, XIAO),
        scope="all n ≥ 1, all finite real scores and sink scores",
        holds=_sink_mass_holds,
    )
)
def sink_mass() -> Iterator[Step]:
    mass = total(_sunk(j), j)
    lost = sp.exp(sink) / (sp.exp(sink) + total(sp.exp(s[l]), l))
    yield Step(mass, "<", sp.Integer(1), "what is missing is the sink's own share, which is positive", certificate=lost)
    yield Step(mass, "=", 1 - lost, "keys and sink share one divisor, so their shares add up to one")


def _sink_key_holds(scores: Row, values: Row, sink_score: Exact) -> Outcome:
    with_key = [e * ball(o) for e, o in zip(exact.softmax([*scores, sink_score]), [*values, 0], strict=True)]
    as_written = [e * ball(o) for e, o in zip(sink_weights(scores, sink_score), values, strict=True)]
    return exact.equal(sum(as_written, arb(0)), sum(with_key, arb(0)))


@derived(
    Claim(
        id="normalisers.sink-is-a-key",
        title="A sink is one more key, whose value is zero",
        states="Softmax-one is softmax over the keys and one key of zeros.",
        precise=r"$\sum_j \dfrac{e^{s_j}}{e^z + \sum_l e^{s_l}}\,v_j = \dfrac{\sum_j e^{s_j} v_j + e^z\cdot 0}{\sum_l e^{s_l} + e^z}$: ordinary attention over "
        r"$n + 1$ keys, the last with score $z$ and value 0. A key vector of zeros has the score 0 for every query: softmax-one.",
        sources=(MILLER, XIAO),
        scope="all n ≥ 1, all finite real scores, values and sink scores",
        holds=_sink_key_holds,
    )
)
def sink_is_a_key() -> Iterator[Step]:
    added = sp.Symbol("v_0", real=True)
    longer = (total(sp.exp(s[j]) * v[j], j) + sp.exp(sink) * added) / (total(sp.exp(s[l]), l) + sp.exp(sink))
    yield Step(
        longer,
        "=",
        total(_sunk(j) * v[j], j) + (1 - total(_sunk(j), j)) * added,
        "over n + 1 keys the extra key takes the mass that the others leave, and adds that much of its value",
    )
    yield Step(total(_sunk(j) * v[j], j), "=", longer.subs(added, 0), "and with the value 0 it adds nothing")


def _sink_shrinks_holds(scores: Row, values: Row, sink_score: Exact) -> Outcome:
    weights = sink_weights(scores, sink_score)
    mass = sum(weights, arb(0))
    plain = sum((e * ball(o) for e, o in zip(exact.softmax(scores), values, strict=True)), arb(0))
    sunk = sum((e * ball(o) for e, o in zip(weights, values, strict=True)), arb(0))
    return Outcome.worst([exact.equal(sunk, mass * plain), exact.at_most(abs(sunk), abs(plain))])


@derived(
    Claim(
        id="normalisers.sink-shrinks",
        title="A sink shortens the output and keeps its direction",
        states="A sink takes a part of the weight from the keys, and so it changes the output.",
        precise=r"$o_{\text{sink}} = (1 - \rho)\,o$ with $o$ the output of softmax and $\rho = e^z/(e^z + \sum_l e^{s_l})$ the share of the sink. The "
        r"ratios between "
        r"the keys' weights are softmax's; only their common factor depends on the sink.",
        sources=(MILLER,),
        scope="all n ≥ 1, all finite real scores, values (coordinate by coordinate) and sink scores",
        uses=("normalisers.sink-mass",),
        holds=_sink_shrinks_holds,
    )
)
def sink_shrinks() -> Iterator[Step]:
    lost = sp.exp(sink) / (sp.exp(sink) + total(sp.exp(s[l]), l))
    yield Step(
        total(_sunk(j) * v[j], j),
        "=",
        (1 - lost) * total(softmax(s, j) * v[j], j),
        "each weight is softmax's times Σ e^s / (e^z + Σ e^s), whatever the key",
    )


def _sink_shift_holds(scores: Row, shift: Exact, sink_score: Exact) -> Outcome:
    """Weights after the shift grow if it is positive, and are those of a sink lowered by as much."""
    before, after = sink_weights(scores, sink_score), sink_weights([e + shift for e in scores], sink_score)
    order = [
        bool(low < high) if shift > 0 else bool(low > high) if shift < 0 else bool((low - high).contains(0)) for low, high in zip(before, after, strict=True)
    ]
    return Outcome.worst([exact.equal(after, sink_weights(scores, sink_score - shift)), exact.decided(all(order))])


@derived(
    Claim(
        id="normalisers.sink-shift",
        title="With a sink, a constant added to all scores changes every weight",
        states="Softmax does not see a constant added to all scores of a row; with a sink it matters.",
        precise=r"Adding $h > 0$ to all scores raises every weight, $w_j(s) < w_j(s + h)$; it is the same as lowering the sink's score by $h$. So code that "
        r"subtracts the "
        r"row's maximum must subtract it from the sink's score too: the 1 of softmax-one becomes $e^{-\max s}$.",
        sources=(MILLER,),
        scope="all n ≥ 1, all finite real scores and sink scores, all h > 0",
        holds=_sink_shift_holds,
    )
)
def sink_shift() -> Iterator[Step]:
    lift = sp.Symbol("h", positive=True)
    mass = total(sp.exp(s[l]), l)
    raised = sp.exp(s[j] + lift) / (sp.exp(sink) + total(sp.exp(s[l] + lift), l))
    yield Step(raised, "=", sp.exp(s[j]) / (sp.exp(sink - lift) + mass), "divide numerator and divisor by e^h: only the sink is left with it")
    yield Step(
        _sunk(j),
        "<",
        raised,
        "the keys' exponentials grow by the factor e^h > 1, and the sink's does not",
        certificate=sp.exp(s[j]) * sp.exp(sink) * (sp.exp(lift) - 1) / ((sp.exp(sink) + mass) * (sp.exp(sink) + sp.exp(lift) * mass)),
    )


# --- sigmoid --------------------------------------------------------------------------------------------------------------------------


def sigmoid(score: Exact | arb) -> arb:
    power = ball(score).exp()
    return power / (1 + power)


def _sigma(score: sp.Expr) -> sp.Expr:
    return 1 / (1 + sp.exp(-score))


def _sigmoid_sum_holds(scores: Row, target: Fraction) -> Outcome:
    """A row sum lies strictly between 0 and n, and n scores log(y/(n − y)) sum to y (`target` is y/n)."""
    length = len(scores)
    mass = sum((sigmoid(e) for e in scores), arb(0))
    aimed = sum((sigmoid(ball(target / (1 - target)).log()) for _ in scores), arb(0))
    return Outcome.worst([exact.decided(bool(mass > 0) and bool(mass < length)), exact.equal(aimed, target * length)])


@derived(
    Claim(
        id="normalisers.sigmoid-row-sum",
        title="A row of sigmoid weights can sum to anything between 0 and n",
        states="Sigmoid attention replaces the softmax of a row by a sigmoid of each score.",
        precise=r"$0 < \sum_j \sigma(s_j) < n$, and every number between is reached: $n$ equal scores $\log y$ sum to $ny/(1+y)$, which is $t$ for $y = "
        r"t/(n-t)$, $0 < t < n$. "
        "So the output is no average of the values and may leave their convex hull.",
        sources=(RAMAPURAM,),
        scope="all n ≥ 1, all finite real scores, all y > 0",
        holds=_sigmoid_sum_holds,
    )
)
def sigmoid_row_sum() -> Iterator[Step]:
    odds = sp.Symbol("y", positive=True)
    mass = total(_sigma(s[j]), j)
    yield Step(sp.Integer(0), "<", mass, "every term is positive")
    yield Step(mass, "<", n, "and every term is below one", certificate=total(1 - _sigma(s[j]), j))
    yield Step(total(_sigma(sp.log(odds)), j), "=", n * odds / (1 + odds), "n equal scores log y: each weight is y/(1 + y), any number between 0 and 1")


def _no_competition_holds(scores: Row, key: int, change: int) -> Outcome:
    """Changing one score moves that key's weight alone."""
    key %= len(scores)
    changed = [e + change * (place == key) for place, e in enumerate(scores)]
    before, after = [sigmoid(e) for e in scores], [sigmoid(e) for e in changed]
    others = [place for place in range(len(scores)) if place != key]
    own = bool(after[key] > before[key]) if change > 0 else bool(after[key] < before[key]) if change < 0 else True
    return Outcome.worst([exact.decided(own), exact.equal([before[e] for e in others], [after[e] for e in others])])


@derived(
    Claim(
        id="normalisers.sigmoid-no-competition",
        title="Under a sigmoid keys do not compete",
        states="With a sigmoid, raising one key's score takes nothing from the others.",
        precise=r"$\partial \sigma(s_i)/\partial s_k = \delta_{ik}\,\sigma(s_i)\,(1 - \sigma(s_i))$: the Jacobian is diagonal, where softmax has the "
        r"off-diagonal entries "
        r"$-p_i p_k < 0$.",
        sources=(RAMAPURAM,),
        scope="all n ≥ 1, all finite real scores",
        holds=_no_competition_holds,
    )
)
def sigmoid_no_competition() -> Iterator[Step]:
    weight = _sigma(s[i])
    yield Step(sp.Derivative(softmax(s, i), s[k]), "=", softmax(s, i) * (D(i, k) - softmax(s, k)), "softmax, for comparison: off the diagonal −p_i p_k")
    yield Step(sp.Derivative(weight, s[k]), "=", D(i, k) * weight * (1 - weight), "the weight of key i is a function of its own score")


def _two_keys_holds(own: Exact, others: Row) -> Outcome:
    """One key against the others together, and against each of them alone."""
    mass = sum((ball(e).exp() for e in others), arb(0))
    pairs = [exact.equal(exact.softmax([own, e])[0], sigmoid(own - e)) for e in others]
    return Outcome.worst([*pairs, exact.equal(exact.softmax([own, *others])[0], sigmoid(ball(own) - mass.log()))])


@derived(
    Claim(
        id="normalisers.two-keys",
        title="For two keys softmax is the sigmoid of the difference of the scores",
        states="Softmax over two keys is a sigmoid.",
        precise=r"$\dfrac{e^{s_1}}{e^{s_1} + e^{s_2}} = \sigma(s_1 - s_2)$; with $n$ keys, $p_i = \sigma\big(s_i - \log\sum_{l \ne i} e^{s_l}\big)$: the "
        r"sigmoid of the lead over "
        "all the others together.",
        sources=(RAMAPURAM,),
        scope="two keys, or one key against any number n of others; all finite real scores",
        holds=_two_keys_holds,
    )
)
def two_keys() -> Iterator[Step]:
    own, others = sp.Symbol("s_i", real=True), total(sp.exp(s[l]), l)
    yield Step(sp.exp(own) / (sp.exp(own) + others), "=", _sigma(own - sp.log(others)), "against n others: divide by the key's own exponential")
    first, second = sp.symbols("s_1 s_2", real=True)
    yield Step(sp.exp(first) / (sp.exp(first) + sp.exp(second)), "=", _sigma(first - second), "against one other: the same")


def _sigmoid_bias_holds(scores: Row) -> Outcome:
    """Zero scores with the bias −log n sum to n/(n + 1), and any scores to no more than softmax's divisor over n."""
    length = len(scores)
    bias = -ball(length).log()
    zero = sum((sigmoid(bias) for _ in scores), arb(0))
    mass = sum((sigmoid(ball(e) + bias) for e in scores), arb(0))
    return Outcome.worst([exact.equal(zero, Fraction(length, length + 1)), exact.at_most(mass, sum((ball(e).exp() for e in scores), arb(0)) / length)])


@derived(
    Claim(
        id="normalisers.sigmoid-bias",
        title="At scores near 0 the bias −log n keeps a sigmoid row of the order of one",
        states="Sigmoid attention takes the bias b = −log n.",
        precise=r"$\sum_j \sigma(s_j - \log n) < \tfrac1n\sum_j e^{s_j}$ for all scores, and at scores 0 the sum is $n/(n+1)$; without the bias it is $n/2$.",
        sources=(RAMAPURAM,),
        scope="all n ≥ 1, all finite real scores",
        holds=_sigmoid_bias_holds,
    )
)
def sigmoid_bias() -> Iterator[Step]:
    yield Step(total(_sigma(sp.Integer(0)), j), "=", n / 2, "without a bias, scores of 0 sum to n/2")
    yield Step(total(_sigma(-sp.log(n)), j), "=", n / (n + 1), "with it, to just under one")
    biased = 1 / (1 + n * sp.exp(-s[j]))
    yield Step(
        total(biased, j),
        "<",
        total(sp.exp(s[j]), j) / n,
        "σ(s − log n) = 1/(1 + n e^(−s)) is below e^s/n in every term",
        certificate=total(sp.exp(s[j]) / n - biased, j),
    )


# --- sparsemax ------------------------------------------------------------------------------------------------------------------------


def sparsemax(scores: Row) -> list[Fraction]:
    """The Euclidean projection of the scores onto the simplex, by sorting."""
    ordered = sorted(map(Fraction, scores), reverse=True)
    size = max(e for e in range(1, len(ordered) + 1) if 1 + e * ordered[e - 1] > sum(ordered[:e]))
    threshold = (sum(ordered[:size], Fraction(0)) - 1) / size
    return [max(e - threshold, Fraction(0)) for e in map(Fraction, scores)]


def _by_supports(scores: Row) -> list[list[Fraction]]:
    """Every row of the threshold form, by trying all supports: the scores in it exceed τ = (their sum − 1)/size and the others do not."""
    places, found = range(len(scores)), []
    for support in chain.from_iterable(combinations(places, size) for size in range(1, len(scores) + 1)):
        threshold = Fraction(sum(scores[e] for e in support) - 1) / len(support)
        if all((scores[e] > threshold) == (e in support) for e in places):
            found.append([max(scores[e] - threshold, Fraction(0)) for e in places])
    return found


def _threshold_holds(scores: Row) -> Outcome:
    """Exactly one support fits, sorting finds it, and its weights sum to one."""
    rows = _by_supports(scores)
    return exact.decided(rows == [sparsemax(scores)] and sum(rows[0]) == 1)


@derived(
    Claim(
        id="normalisers.sparsemax-threshold",
        title="Sparsemax subtracts a threshold and cuts at zero",
        states="Sparsemax keeps the largest scores, reduced by a threshold, and gives every other key the weight 0.",
        precise=r"$p_i = [s_i - \tau]_+$ with $\tau = \frac1k\big(\sum_{j \le k} s_{(j)} - 1\big)$, $s_{(1)} \ge s_{(2)} \ge \dots$, $k$ the largest number "
        r"with "
        r"$1 + k\,s_{(k)} > \sum_{j\le k} s_{(j)}$: then $s_{(k)} > \tau \ge s_{(k+1)}$ and $\sum_i p_i = 1$. In the formulas $n$ is $k$, and the next "
        r"score has failed "
        r"the condition by $h \ge 0$.",
        sources=(MARTINS.at("Proposition 1"),),
        scope="all n ≥ 1, all finite real scores; the support is exactly the k keys of the definition",
        holds=_threshold_holds,
    )
)
def sparsemax_threshold() -> Iterator[Step]:
    cut = (total(s[l], l) - 1) / n
    following = (total(s[l], l) - 1 - h) / n  # (n + 1) s₍ₙ₊₁₎ + 1 + h = the sum of n + 1 scores
    last, lead = sp.Symbol("s_k", real=True), sp.Symbol("h", positive=True)
    yield Step(
        1 + (n + 1) * following + h,
        "=",
        total(s[l], l) + following,
        "the next score, if the condition fails for it by h: 1 + (k + 1) s = (sum of k + 1 scores) − h",
    )
    yield Step(following, "<=", cut, "so it does not exceed the threshold of the first k", certificate=h / n)
    yield Step(
        (1 + n * last - lead - 1) / n,
        "<",
        last,
        "the k-th score meets the condition by h > 0, where the sum of the first k is 1 + k s − h: it exceeds the threshold",
        certificate=lead / n,
    )
    yield Step(total(s[j] - cut, j), "=", sp.Integer(1), "over the support the threshold takes off the sum minus one")


def _distribution(parts: Sequence[int], length: int) -> list[Fraction]:
    """`parts` cut to `length` and divided by their sum (all on the first key if they are all 0)."""
    kept = list(parts[:length])
    return [Fraction(e, sum(kept)) for e in kept] if sum(kept) else [Fraction(e == 0) for e in range(length)]


def _projection_holds(scores: Row, parts: Sequence[int]) -> Outcome:
    """No distribution is nearer, and another one is strictly further."""
    nearest, other = sparsemax(scores), _distribution(parts, len(scores))
    near, far = (sum(((e - o) ** 2 for e, o in zip(row, scores, strict=True)), Fraction(0)) for row in (nearest, other))
    return exact.decided(near < far or nearest == other)


@derived(
    Claim(
        id="normalisers.sparsemax-projection",
        title="Sparsemax is the distribution nearest to the scores",
        states="Sparsemax is the Euclidean projection of the scores onto the probability simplex.",
        precise=r"$\sum_j (p_j - s_j)^2 + \sum_r s_r^2 \le \sum_j (q_j - s_j)^2 + \sum_r (q_r - s_r)^2$ for every distribution $q$, with equality only at "
        r"$q = p$ "
        r"(the difference is at least $\|q - p\|^2$). Keys $j$ are in the support, $s_j = \tau + p_j$; keys $r$ are not, $s_r = \tau - g_r$ with $g_r \ge 0$.",
        sources=(MARTINS,),
        scope="supports and complements of all sizes, all real scores, distributions q of positive weights (zeros by continuity)",
        uses=("normalisers.sparsemax-threshold",),
        holds=_projection_holds,
    )
)
def sparsemax_projection() -> Iterator[Step]:
    weight = p[j] / total(p[l], l)
    mass = total(y[l], l) + sp.Sum(z[r], (r, 1, m))
    inside, outside = y[j] / mass, z[r] / mass
    yield Step(
        total((weight - (tau + weight)) ** 2, j) + total((tau - g[r]) ** 2, r),
        "<=",
        total((inside - (tau + weight)) ** 2, j) + total((outside - (tau - g[r])) ** 2, r),
        "both distributions sum to one, so τ drops out; what is left are squares, and the shortfalls of the keys outside",
        certificate=total((inside - weight) ** 2, j) + total(outside**2 + 2 * g[r] * outside, r),
    )


def _sparse_shift_holds(scores: Row, shift: Exact) -> Outcome:
    return exact.decided(sparsemax(scores) == sparsemax([e + shift for e in scores]))


@derived(
    Claim(
        id="normalisers.sparsemax-shift",
        title="Sparsemax does not see a constant added to all scores",
        states="Sparsemax has softmax's invariance under shifts.",
        precise=r"$\mathrm{sparsemax}(s + c) = \mathrm{sparsemax}(s)$: the threshold moves by $c$ as well, so the support and its weights stay.",
        sources=(MARTINS,),
        scope="all n ≥ 1, all finite real scores, all real c",
        uses=("normalisers.sparsemax-threshold",),
        holds=_sparse_shift_holds,
    )
)
def sparsemax_shift() -> Iterator[Step]:
    cut, moved = (total(s[l], l) - 1) / n, (total(s[l] + c, l) - 1) / n
    other = sp.Symbol("s_r", real=True)
    yield Step(moved, "=", cut + c, "the mean of the shifted scores is the mean, shifted")
    yield Step((other + c) - moved, "=", other - cut, "so a key outside the support stays as far below the threshold")
    yield Step((s[j] + c) - moved, "=", s[j] - cut, "and a key inside keeps its weight")


def _sparse_jacobian_holds(scores: Row, toward: Row) -> Outcome:
    """A step so small that no key enters or leaves the support moves the weights by exactly diag(1_S) − 1_S 1_Sᵀ/|S| times it."""
    weights, length = sparsemax(scores), len(scores)
    support = [e for e in range(length) if weights[e] > 0]
    threshold = scores[support[0]] - weights[support[0]]
    margin = min(abs(e - threshold) for e in scores)
    if margin == 0:
        return Outcome.HELD  # a key on the threshold: not differentiable here
    small = margin / (4 * (1 + max(abs(Fraction(e)) for e in toward)))
    moved = sparsemax([e + small * o for e, o in zip(scores, toward, strict=True)])
    mean = Fraction(sum(toward[e] for e in support)) / len(support)
    return exact.decided(all(moved[e] - weights[e] == (small * (toward[e] - mean) if e in support else 0) for e in range(length)))


@derived(
    Claim(
        id="normalisers.sparsemax-jacobian",
        title="The Jacobian of sparsemax sees the support alone, and there not the scores",
        states="Sparsemax has a simple Jacobian.",
        precise=r"$\partial p_i/\partial s_k = \delta_{ik} - 1/|S|$ for $i, k \in S$ (the support), and 0 if $i$ or $k$ is outside: "
        r"$\mathrm{diag}(\mathbf 1_S) - \mathbf 1_S \mathbf 1_S^\top/|S|$. A key with weight 0 gets no gradient. In the formula $n = |S|$; scores on the "
        r"threshold itself are "
        "excluded.",
        sources=(MARTINS,),
        scope="supports of all sizes, all real scores none of which equals τ",
        uses=("normalisers.sparsemax-threshold",),
        holds=_sparse_jacobian_holds,
    )
)
def sparsemax_jacobian() -> Iterator[Step]:
    weight = s[i] - (total(s[l], l) - 1) / n
    yield Step(total(D(i, k) - 1 / n, i), "=", sp.Integer(0), "the columns sum to zero, as the weights' sum does not move")
    outside = sp.Symbol("s_r", real=True)
    yield Step(sp.Derivative(weight, outside), "=", sp.Integer(0), "the score of a key outside does not occur in the weights, so it gets no gradient")
    yield Step(sp.Derivative(weight, s[k]), "=", D(i, k) - 1 / n, "the weight is the score less the support's mean score, up to a constant")


class PositivePart(sp.Function):  # type: ignore[misc]
    """(|x| + x)/2 for real x: never negative, as |x| ≥ −x."""

    def _eval_expand_basic(self, **hints: object) -> sp.Expr:
        return (sp.Abs(self.args[0]) + self.args[0]) / 2

    def _eval_is_nonnegative(self) -> bool | None:
        return True if self.args[0].is_real else None


def _nonexpansive_holds(scores: Row, others: Row) -> Outcome:
    first, second = sparsemax(scores), sparsemax(others)
    moved = sum(((e - o) ** 2 for e, o in zip(first, second, strict=True)), Fraction(0))
    return exact.decided(moved <= sum((e - o) ** 2 for e, o in zip(scores, others, strict=True)))


@derived(
    Claim(
        id="normalisers.sparsemax-nonexpansive",
        title="Sparsemax never moves further than its scores",
        states="Sparsemax is Lipschitz with constant one.",
        precise=r"$\|p - p'\|^2 + 2(\tau - \tau')\sum_j (p_j - p'_j) \le \|s - s'\|^2$ for $p = [s - \tau]_+$ and $p' = [s' - \tau']_+$, with any "
        r"thresholds. Both rows of "
        r"sparsemax sum to one, so the second term is 0 and $\|p - p'\| \le \|s - s'\|$. In the formula $s_j = \tau + u_j$, $s'_j = \tau' + w_j$, $[u]_+ = "
        r"(|u| + u)/2$.",
        sources=(MARTINS,),
        scope="all n ≥ 1, all real scores",
        uses=("normalisers.sparsemax-threshold",),
        holds=_nonexpansive_holds,
    )
)
def sparsemax_nonexpansive() -> Iterator[Step]:
    other = sp.Symbol("tau'", real=True)
    above, above_too = (sp.Abs(u[j]) + u[j]) / 2, (sp.Abs(w[j]) + w[j]) / 2
    below, below_too = above - u[j], above_too - w[j]
    cross = PositivePart(u[j]) * PositivePart(-w[j]) + PositivePart(w[j]) * PositivePart(-u[j])
    yield Step(above * below, "=", sp.Integer(0), "a score is above its threshold or below it, not both")
    yield Step(
        total((above - above_too) ** 2, j) + 2 * (tau - other) * total(above - above_too, j),
        "<=",
        total((tau + u[j] - other - w[j]) ** 2, j),
        "with the parts below, s − s' is (τ − τ') + (p − p') − (the difference of those); p − p' meets it in products of one row's part above and the "
        "other's below",
        certificate=total((tau - other - below + below_too) ** 2 + 2 * cross, j),
    )


def _reaches_holds(parts: Sequence[int], shift: Exact) -> Outcome:
    wanted = _distribution(parts, len(parts))
    return exact.decided(sparsemax([e + shift for e in wanted]) == wanted)


@derived(
    Claim(
        id="normalisers.sparsemax-reaches-all",
        title="Finite scores reach every distribution under sparsemax, those with zeros too",
        states="Sparsemax can return any distribution; softmax returns those with positive weights only.",
        precise=r"$\mathrm{sparsemax}(q) = q$ for every distribution $q$: with the weights themselves as scores the threshold is $\tau = \tfrac1n(\sum_j "
        r"q_j - 1) = 0$.",
        sources=(MARTINS,),
        scope="distributions with supports of all sizes n and any number of zeros, which lie on the threshold",
        uses=("normalisers.sparsemax-threshold",),
        holds=_reaches_holds,
    )
)
def sparsemax_reaches_all() -> Iterator[Step]:
    weight = p[j] / total(p[l], l)
    cut = (total(weight, j) - 1) / n
    yield Step(cut, "=", sp.Integer(0), "the positive weights sum to one, so the threshold is 0: a key with score 0 does not exceed it")
    yield Step(weight - cut, "=", weight, "and the other keys keep their scores as weights")


# --- entmax ---------------------------------------------------------------------------------------------------------------------------


def entmax(scores: Row) -> list[arb]:
    """Entmax with α = 3/2: ([s/2 − τ]_+)². The support is found in fractions, the threshold is a square root."""
    halves = [Fraction(e) / 2 for e in scores]
    ordered = sorted(halves, reverse=True)
    size, mean, room = max(_supports(ordered))
    threshold = ball(mean) - (ball(room) / size).sqrt()
    place = ordered[size - 1]
    return [(ball(e) - threshold) * (ball(e) - threshold) if e >= place else arb(0) for e in halves]


def _supports(ordered: Sequence[Fraction]) -> Iterator[tuple[int, Fraction, Fraction]]:
    """Sizes k for which the k largest all exceed mean − √(room/k): k, their mean, and room = 1 − Σ (x − mean)² ≥ 0."""
    for size in range(1, len(ordered) + 1):
        first = ordered[:size]
        mean = sum(first, Fraction(0)) / size
        room = 1 - sum(((e - mean) ** 2 for e in first), Fraction(0))
        if room >= 0 and size * (mean - first[-1]) ** 2 < room:
            yield size, mean, room


def sparse_weights(scores: Row, alpha: Fraction) -> list[arb]:
    """α-entmax for α = 3/2 or 2. Raises ValueError for another α."""
    if alpha not in (2, Fraction(3, 2)):
        raise ValueError(f"no exact α-entmax here for α = {alpha}; use 3/2 or 2")
    return [ball(e) for e in sparsemax(scores)] if alpha == 2 else entmax(scores)


def _closed() -> tuple[sp.Expr, sp.Expr]:
    """The mean of s/2 over a support of n keys, and its distance √(room/n) from the threshold."""
    mean = total(s[l] / 2, l) / n
    room = 1 - total(s[l] ** 2 / 4, l) + n * mean**2
    return mean, sp.sqrt(room / n)


NARROW = {s: (-0.3, 0.3)}  # four scores this close together are all in the support


def _entmax_form_holds(scores: Row) -> Outcome:
    """Weights sum to one, and there is one threshold: s/2 − √p is τ on the support, and s/2 at most τ off it."""
    weights = entmax(scores)
    top = max(range(len(scores)), key=lambda e: scores[e])
    threshold = ball(Fraction(scores[top]) / 2) - weights[top].sqrt()
    on = [e for e in range(len(scores)) if weights[e] != 0]
    off = [e for e in range(len(scores)) if weights[e] == 0]
    parts = [exact.equal(sum(weights, arb(0)), 1), exact.equal([ball(Fraction(scores[e]) / 2) - weights[e].sqrt() for e in on], [threshold] * len(on))]
    return Outcome.worst([*parts, *[exact.at_most(ball(Fraction(scores[e]) / 2), threshold) for e in off]])


@derived(
    Claim(
        id="normalisers.entmax-form",
        title="Entmax with α = 3/2 squares what lies above a threshold",
        states="The 1.5-entmax weights are p = ([s/2 − τ]₊)² and sum to one.",
        precise=r"$p_i = \big([s_i/2 - \tau]_+\big)^2$ with $\tau = \mu - \sqrt{(1 - Q)/n}$, where $\mu$ and $Q$ are the mean and the sum of squared "
        r"deviations of $s/2$ over the "
        r"support of size $n$: with this $\tau$, $\sum_i p_i = 1$, and no other below the mean gives that. (There is one such $\tau$ for every row: as $\tau$ rises to $\max s/2$, the "
        r"sum of all $[s_i/2 - \tau]_+^2$ falls continuously and strictly to 0, from any height.)",
        sources=(PETERS,),
        scope="supports of all sizes; within a support Q ≤ 1, else no threshold gives it the sum one",
        holds=_entmax_form_holds,
    )
)
def entmax_form() -> Iterator[Step]:
    mean, above = _closed()
    spread = total(s[l] ** 2 / 4, l) - n * mean**2
    yield Step(
        total((s[j] / 2 - tau) ** 2, j),
        "=",
        n * (mean - tau) ** 2 + spread,
        "for every τ, with Q written out as Σ s²/4 − nμ²: if this is 1, (μ − τ)² = (1 − Q)/n, and τ is below the mean, as every score of the support exceeds it",
    )
    yield Step(
        total((s[j] / 2 - mean + above) ** 2, j),
        "=",
        sp.Integer(1),
        "squared deviations sum to Q, the mixed term vanishes, and n times (1 − Q)/n is the rest",
        domain=NARROW,
    )


def _entmax_best_holds(scores: Row, parts: Sequence[int]) -> Outcome:
    """⟨q, s⟩ + H(q) is no larger for another distribution q, H the Tsallis entropy with α = 3/2."""

    def objective(row: Sequence[arb]) -> arb:
        gain = sum((e * ball(o) for e, o in zip(row, scores, strict=True)), arb(0))
        return gain + 4 * (1 - sum((e * e.sqrt() for e in row if e != 0), arb(0))) / 3

    return exact.at_most(objective([ball(e) for e in _distribution(parts, len(scores))]), objective(entmax(scores)))


@derived(
    Claim(
        id="normalisers.entmax-maximises",
        title="Entmax maximises the mean score plus an entropy",
        states="1.5-entmax maximises the expected score plus the Tsallis entropy with α = 3/2.",
        precise=r"$\sum q\,s + H(q) \le \sum p\,s + H(p)$ for every distribution $q$, $H(p) = \tfrac43\big(1 - \sum p^{3/2}\big)$. In the formula weights "
        r"are written by their roots: "
        r"$p_j = x_j^2$ on the support and 0 off it, $q_j = b_j^2$, $q_r = q_r^2$, and scores are measured from $2\tau$ (a constant added to all scores "
        r"adds itself to both "
        r"sides): $s_j = 2x_j$ on the support, $s_r = -2g_r$ off it.",
        sources=(PETERS,),
        scope="supports and complements of all sizes, all real scores, all distributions",
        uses=("normalisers.entmax-form",),
        holds=_entmax_best_holds,
    )
)
def entmax_maximises() -> Iterator[Step]:
    cubes = sp.Rational(4, 3)
    yield Step(
        total(b[j] ** 2 * 2 * x[j], j) - total(q[r] ** 2 * 2 * g[r], r) + cubes * (1 - total(b[j] ** 3, j) - total(q[r] ** 3, r)),
        "<=",
        total(x[j] ** 2 * 2 * x[j], j) + cubes * (1 - total(x[j] ** 3, j)),
        "on the support each key contributes (2/3)(x³ − 3xb² + 2b³) = (2/3)(x − b)²(x + 2b), off it 2gq² + (4/3)q³",
        certificate=sp.Rational(2, 3) * total((x[j] - b[j]) ** 2 * (x[j] + 2 * b[j]), j) + total(2 * g[r] * q[r] ** 2 + cubes * q[r] ** 3, r),
    )


def _entmax_shift_holds(scores: Row, shift: Exact) -> Outcome:
    return exact.equal(entmax(scores), entmax([e + shift for e in scores]))


@derived(
    Claim(
        id="normalisers.entmax-shift",
        title="Entmax does not see a constant added to all scores",
        states="1.5-entmax has softmax's invariance under shifts.",
        precise=r"$\mathrm{entmax}_{3/2}(s + c) = \mathrm{entmax}_{3/2}(s)$: the threshold moves by $c/2$.",
        sources=(PETERS,),
        scope="supports of all sizes, all finite real scores, all real c",
        uses=("normalisers.entmax-form",),
        holds=_entmax_shift_holds,
    )
)
def entmax_shift() -> Iterator[Step]:
    mean, above = _closed()
    moved = total((s[l] + c) / 2, l) / n
    spread = sp.sqrt((1 - total((s[l] + c) ** 2 / 4, l) + n * moved**2) / n)
    yield Step(n * spread**2, "=", n * above**2, "squared deviations from the mean do not see the shift", domain=NARROW)
    yield Step(
        (s[i] + c) / 2 - moved, "=", s[i] / 2 - mean, "nor do deviations, so a score stays where it was from the threshold, inside the support or outside"
    )


def _entmax_jacobian_holds(scores: Row, toward: Row) -> Outcome:
    """The slope of the weights along `toward`, from power series on the support, against √p ∘ (toward − its mean under √p)."""
    weights, places = entmax(scores), range(len(scores))
    on = [e for e in places if weights[e] != 0]
    top = max(places, key=lambda e: scores[e])
    threshold = ball(Fraction(scores[top]) / 2) - weights[top].sqrt()
    if not all(ball(Fraction(scores[e]) / 2) < threshold for e in places if e not in on):
        return Outcome.HELD  # a key on the threshold: not differentiable there
    moving = [arb_series([ball(Fraction(scores[e]) / 2), ball(Fraction(toward[e]) / 2)], prec=2) for e in on]
    mean = sum(moving[1:], moving[0]) / len(on)
    deviations = [(e - mean) * (e - mean) for e in moving]
    above = ((1 - sum(deviations[1:], deviations[0])) / len(on)).sqrt()
    slopes = [((e - mean + above) * (e - mean + above))[1] for e in moving]
    roots = [weights[e].sqrt() for e in on]
    under = sum((root * ball(toward[e]) for root, e in zip(roots, on, strict=True)), arb(0)) / sum(roots, arb(0))
    return exact.equal(slopes, [root * (ball(toward[e]) - under) for root, e in zip(roots, on, strict=True)])


@derived(
    Claim(
        id="normalisers.entmax-jacobian",
        title="The Jacobian of entmax goes by the square roots of the weights",
        states="1.5-entmax is differentiated in closed form.",
        precise=r"$\partial p_i/\partial s_k = \sqrt{p_i}\,\big(\delta_{ik} - \sqrt{p_k}/\sum_l\sqrt{p_l}\big)$ on the support, 0 outside. In the formula "
        r"$\sqrt{p_i} = s_i/2 - \tau$ is written out, and $\sum_l\sqrt{p_l} = n(\mu - \tau) = \sqrt{n(1 - Q)}$.",
        sources=(PETERS,),
        scope="supports of all sizes, no score on the threshold; Q < 1, as the roots are positive and sum to √(n(1 − Q))",
        uses=("normalisers.entmax-form",),
        holds=_entmax_jacobian_holds,
    )
)
def entmax_jacobian() -> Iterator[Step]:
    mean, above = _closed()
    root, other = (s[place] / 2 - mean + above for place in (i, k))
    yield Step(total(s[j] / 2 - mean + above, j), "=", n * above, "the roots sum to n times the distance of the mean from the threshold", domain=NARROW)
    yield Step(
        sp.Derivative(root**2, s[k]),
        "=",
        root * (D(i, k) - other / (n * above)),
        "the threshold moves by √p_k over twice the sum of the roots",
        nonzero=tuple({above, above**2, 1 - total(s[l] ** 2 / 4, l) + n * mean**2}),
        domain=NARROW,
    )


def _cut_off_holds(scores: Row, alpha: Fraction) -> Outcome:
    """Every key that scores 1/(α − 1) or more below the best has weight exactly 0."""
    weights, reach = sparse_weights(scores, alpha), 1 / (alpha - 1)
    return exact.decided(all(w == 0 for w, e in zip(weights, scores, strict=True) if e <= max(scores) - reach))


@derived(
    Claim(
        id="normalisers.entmax-cut-off",
        title="Entmax gives exactly zero to every key that scores 1/(α − 1) below the best",
        states="Sparse normalisers ignore keys whose score is far enough below the best; softmax ignores none.",
        precise=r"$\alpha$-entmax has the weights $p_i = [(\alpha - 1)s_i - \tau]_+^{1/(\alpha - 1)}$, with the $\tau$ that makes them sum to 1. If $s_k \le \max s - \frac1{\alpha - 1}$, "
        r"key $k$ has the weight 0: distance 1 for sparsemax ($\alpha = 2$), 2 for "
        r"$\alpha = 3/2$, and without "
        r"bound as $\alpha \to 1$ (softmax). In the formula $a = \alpha - 1$, the best key has the weight $e^{-x} \le 1$, so its scaled score is $\tau + "
        r"e^{-ax}$, and the other "
        r"scores $1/a + h$ less.",
        sources=(PETERS, MARTINS),
        scope="all α > 1, all n ≥ 1, all finite real scores (examples: α = 3/2 and 2)",
        holds=_cut_off_holds,
    )
)
def entmax_cut_off() -> Iterator[Step]:
    lower = sp.Symbol("x", nonnegative=True)
    best = (tau + sp.exp(-a * lower)) / a
    yield Step(
        sp.Pow(sp.exp(-lower), a, evaluate=False),
        "=",
        a * sp.UnevaluatedExpr(best) - tau,
        "p = [a s − τ]₊^(1/a), so the best key's weight to the power a is its distance from the threshold",
    )
    yield Step(
        a * (best - 1 / a - h),
        "<=",
        tau,
        "the weight of the best key is at most one, so its scaled score is at most τ + 1, and the other does not exceed the threshold",
        certificate=(1 - sp.exp(-a * lower)) + a * h,
    )


def _nested_holds(scores: Row) -> Outcome:
    """Softmax sees every key; 1.5-entmax some, and among them all that sparsemax sees."""
    wide, narrow = entmax(scores), sparsemax(scores)
    return exact.decided(all(e != 0 for e, o in zip(wide, narrow, strict=True) if o > 0) and all(bool(e > 0) for e in exact.softmax(scores)))


@derived(
    Claim(
        id="normalisers.nested-supports",
        title="What sparsemax attends to, 1.5-entmax attends to as well",
        states="Entmax lies between softmax, which is dense, and sparsemax.",
        precise=r"$\sum_i [s_i - \theta]_+^2 \le \big(\sum_i [s_i - \tau]_+\big)^2 = 1$ for every $\theta \ge \tau$, $\tau$ sparsemax's threshold. A "
        r"threshold of 1.5-entmax needs "
        r"$\sum_i [s_i - \theta]_+^2 = 4$ (with $\theta = 2\tau_{3/2}$), so it lies below $\tau$, and every key above $\tau$ is above it. In the formula "
        r"$\theta = \tau + h$, the keys $j$ exceed it by $x_j$ and the keys $r$ exceed only $\tau$, by $y_r$.",
        sources=(PETERS,),
        scope="all n ≥ 1, all finite real scores",
        uses=("normalisers.sparsemax-threshold", "normalisers.entmax-form"),
        holds=_nested_holds,
    )
)
def nested_supports() -> Iterator[Step]:
    scaled, cut = sp.Symbol("s_i", real=True), sp.Symbol("theta", real=True)
    yield Step((scaled / 2 - cut / 2) ** 2, "=", (scaled - cut) ** 2 / 4, "1.5-entmax's weights are a quarter of squares above θ = 2τ, so these sum to 4")
    above = total(x[j], j)
    rest = n * h + total(y[r], r)
    pairs = total(total(x[j] * x[k] * (1 - D(j, k)), k), j)
    yield Step(
        total(x[j] ** 2, j),
        "<=",
        (total(x[j] + h, j) + total(y[r], r)) ** 2,
        "numbers ≥ 0 have squares that sum to no more than the square of their sum, and a higher threshold only lowers them",
        certificate=pairs + 2 * above * rest + rest**2,
    )


def _shortfall_holds(scores: Row, alpha: Fraction) -> Outcome:
    """max s − Σ p s ≤ 1/(α(α − 1)), and the same over Δ bounds what the others weigh beside a key that leads by Δ."""
    weights, most = sparse_weights(scores, alpha), 1 / (alpha * (alpha - 1))
    mean = sum((e * ball(o) for e, o in zip(weights, scores, strict=True)), arb(0))
    short = exact.at_most(ball(max(scores)) - mean, most)
    best, *others = sorted(zip(scores, weights, strict=True), key=lambda pair: -pair[0])
    if not others or others[0][0] == best[0]:
        return short
    return Outcome.worst([short, exact.at_most(sum((weight for _, weight in others), arb(0)), most / (best[0] - others[0][0]))])


@derived(
    Claim(
        id="normalisers.entmax-shortfall",
        title="As α grows, entmax becomes a hard maximum",
        states="The limit of α-entmax for α → ∞ is the arg max.",
        precise=r"$H_\alpha(p) = \dfrac{\sum_j (p_j - p_j^\alpha)}{\alpha(\alpha - 1)} \le \dfrac1{\alpha(\alpha - 1)}$. By definition $\alpha$-entmax is the "
        r"maximiser of $\langle p, s\rangle + H_\alpha(p)$, and the one-hot row of "
        r"the best key reaches $\max s + 0$; hence $\max s - \langle p, s\rangle \le H_\alpha(p) \le \frac1{\alpha(\alpha - 1)}$, and if one key leads by "
        r"$\Delta$, the others together weigh at most $\frac1{\alpha(\alpha - 1)\Delta}$. In the formulas $a = \alpha - 1$, the maximum exceeds $\max s$ by $h "
        r"\ge 0$, and the others have the weights $q_r$ and lie $\Delta + g_r$ behind.",
        sources=(PETERS,),
        scope="all α > 1, all n ≥ 1, all rows of positive weights (zeros by continuity; examples: α = 3/2 and 2)",
        holds=_shortfall_holds,
    )
)
def entmax_shortfall() -> Iterator[Step]:
    weight = p[j] / total(p[l], l)
    alpha = a + 1
    one = sp.Integer(1)
    yield Step(
        (one - sp.UnevaluatedExpr(one) ** alpha) / (alpha * a),
        "=",
        sp.Integer(0),
        "a one-hot row, with a weight 1, has the entropy 0, so its objective is the best score",
    )
    best, spread = sp.Symbol("s_max", real=True), sp.Symbol("H", nonnegative=True)
    gain = best + h - spread
    yield Step(best - gain, "<=", spread, "the maximiser's objective, ⟨p, s⟩ + H, is no smaller than that: max s + h", certificate=h)
    ahead = sp.Symbol("Delta", positive=True)
    behind = total(q[r] * (ahead + g[r]), r)  # max s − ⟨p, s⟩
    yield Step(
        total(q[r], r),
        "<=",
        (behind + h) / ahead,
        "H = (max s − ⟨p, s⟩) + h, and to this every other key adds its weight times Δ or more",
        certificate=(total(q[r] * g[r], r) + h) / ahead,
    )
    yield Step(
        total(weight - weight**alpha, j) / (alpha * a),
        "<=",
        1 / (alpha * a),
        "the weights sum to one, and what is taken off is positive",
        certificate=total(weight**alpha, j) / (alpha * a),
    )


def _regret_holds(scores: Row, temperature: Fraction) -> Outcome:
    weights = exact.softmax([Fraction(e) / temperature for e in scores])
    mean = sum((e * ball(o) for e, o in zip(weights, scores, strict=True)), arb(0))
    most = ball(temperature) * ball(len(scores)).log()
    short = exact.at_most(ball(max(scores)) - mean, ball(temperature) * exact.entropy(weights))
    return Outcome.worst([short, exact.at_most(ball(max(scores)) - mean, most)])


@derived(
    Claim(
        id="normalisers.softmax-shortfall",
        title="Softmax's mean score falls short of the best by at most T times its entropy",
        states="At a low temperature softmax is almost a hard maximum.",
        precise=r"$\max s - \sum_j p_j s_j \le T\,H(p) \;(\le T\log(n+1))$ with $p = \mathrm{softmax}(s/T)$ over the best key and $n$ others. In the "
        r"formula the scores are those over $T$, $L = -\log p_{\max}$, and the right-hand side is $H(p)$.",
        sources=(VASWANI.at("Eq. 1"), PETERS),
        scope="one best key and any number n ≥ 1 of others, all finite real scores, all T > 0",
        uses=("entropy.range",),
        holds=_regret_holds,
    )
)
def softmax_shortfall() -> Iterator[Step]:
    best, more = sp.Symbol("s_max", real=True), sp.Symbol("M", positive=True)
    log_mass = sp.Symbol("L", nonnegative=True)
    weight = sp.exp(s[j]) / (sp.exp(best) + total(sp.exp(s[l]), l))
    own = sp.exp(best) / (sp.exp(best) + total(sp.exp(s[l]), l))
    yield Step(
        -sp.log(sp.exp(s[j] - best) / (1 + more)),
        "=",
        best - s[j] + sp.log(1 + more),
        "divided by the best key's exponential the divisor is 1 + M with M > 0: −log p_j is the gap to the best score and L = log(1 + M)",
    )
    yield Step(sp.Integer(0), "<", sp.log(1 + more), "L is positive")
    yield Step(
        best - own * best - total(weight * s[j], j),
        "<=",
        own * log_mass + total(weight * (best - s[j] + log_mass), j),
        "so the entropy, the mean of −log p over all n + 1 keys, is the mean gap plus L",
        certificate=log_mass,
    )
