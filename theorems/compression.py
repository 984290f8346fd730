"""Attention made cheaper: numbers of 8 bits or of one, keys and heads left out, students that imitate a teacher's attention maps.

Quantising is symmetric: with L levels on either side of 0 and largest size A, a number x becomes Δ·round(x/Δ), Δ = A/L, halves to the even integer;
INT8 has L = 127. The exact checks do it in fractions, so nothing here depends on a library's rounding.

"|a| ≤ θ" is written without absolute values, as in theorems/rounding.py: a = (z − y)/2 and θ = (z + y)/2 with y, z ≥ 0; a number of unknown sign and its
size are f − w and f + w with f, w ≥ 0. A bound on one side is derived with the one inequality that it needs: an error of at most θ is θ − x with x ≥ 0.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import numpy as np
import sympy as sp
from flint import arb, arb_series

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.entropy import Excess, logarithm_below_line
from theorems.exact import Matrix, Row, ball
from theorems.multi_head import rank
from theorems.outcome import Outcome
from theorems.sources import COVER, S1, Source
from theorems.step import Step
from theorems.symbols import K, Q, V, a, c, d, e, g, h, i, j, k, l, m, n, r, s, softmax, total, v

JACOB = Source(
    key="jacob2018",
    title="Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
    url="https://arxiv.org/abs/1712.05877",
)
DETTMERS = Source(key="dettmers2022", title="LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale", url="https://arxiv.org/abs/2208.07339")
RASTEGARI = Source(
    key="rastegari2016", title="XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks", url="https://arxiv.org/abs/1603.05279"
)
MICHEL = Source(key="michel2019", title="Are Sixteen Heads Really Better than One?", url="https://arxiv.org/abs/1905.10650")
KOBAYASHI = Source(
    key="kobayashi2020", title="Attention is Not Only a Weight: Analyzing Transformers with Vector Norms", url="https://arxiv.org/abs/2004.10102"
)
ZAGORUYKO = Source(key="zagoruyko2017", title="Paying More Attention to Attention", url="https://arxiv.org/abs/1612.03928")
MINILM = Source(
    key="wang2020minilm",
    title="MiniLM: Deep Self-Attention Distillation for Task-Agnostic Compression of Pre-Trained Transformers",
    url="https://arxiv.org/abs/2002.10957",
)
HORN = Source(key="horn2012", title="Matrix Analysis, 2nd ed.", url="https://doi.org/10.1017/CBO9781139020411")
QUANTISED, PRUNED, DISTILLED = S1.at("Quantized Attention"), S1.at("Attention Pruning"), S1.at("Knowledge Distillation for Attention")

Rational = Fraction | int
Whole = Sequence[Sequence[Rational]]  # rows of numbers that are exact
LEVELS = 127  # of symmetric INT8, on either side of 0
largest, other = sp.symbols("A B", positive=True)  # largest sizes of a tensor's entries
f = sp.IndexedBase("f", nonnegative=True)  # positive part
w = sp.IndexedBase("w", nonnegative=True)  # negative part
y, z = (sp.IndexedBase(letter, nonnegative=True) for letter in "yz")  # θ − a and θ + a
x = sp.IndexedBase("x", nonnegative=True)  # what is left to a bound
f2, w2, y2, z2, x2 = (sp.IndexedBase(f"{letter}'", nonnegative=True) for letter in "fwyzx")  # the same of a second vector


def nearest(number: Fraction | int, largest_size: Fraction | int, levels: int = LEVELS) -> Fraction:
    """The multiple of A/L nearest to the number, halves to even; 0 where A = 0."""
    step = Fraction(largest_size, levels)
    return round(Fraction(number) / step) * step if step else Fraction(0)


def size(values: Sequence[Rational]) -> Fraction:
    return max(abs(Fraction(one)) for one in values)


def _flat(rows: Whole) -> list[Rational]:
    return [one for row in rows for one in row]


def quantised(rows: Whole) -> list[list[Fraction]]:
    """INT8 with one scale for the whole tensor."""
    top = size(_flat(rows))
    return [[nearest(one, top) for one in row] for row in rows]


def quantised_by_row(rows: Whole) -> list[list[Fraction]]:
    """INT8 with one scale for each row."""
    return [quantised([row])[0] for row in rows]


def dot(left: Sequence[Rational], right: Sequence[Rational]) -> Fraction:
    return sum((Fraction(one) * two for one, two in zip(left, right, strict=True)), Fraction(0))


# --- INT8 (C155) ------------------------------------------------------------------------------------------------------------------------


def _rounding_holds(values: Sequence[Rational], spare: int) -> Outcome:
    """Integers within ±127, errors at most A/254 and at most the number, 0 for whatever is at most A/254; A is the largest size, plus `spare`."""
    top = size(values) + spare
    if not top:
        return Outcome.HELD
    given = [nearest(one, top) for one in values]
    inside = all(abs(one * LEVELS / top) <= LEVELS for one in given)
    near = all(abs(one - true) <= min(top / (2 * LEVELS), abs(Fraction(true))) for one, true in zip(given, values, strict=True))
    return exact.decided(inside and near and all(one == 0 for one, true in zip(given, values, strict=True) if abs(Fraction(true)) <= top / (2 * LEVELS)))


@derived(
    Claim(
        id="compression.int8-rounding",
        title="INT8 moves a number by at most 1/254 of the largest, and erases what is smaller than that",
        states="Quantise the activations of attention to INT8.",
        reading="Quantisation is symmetric, with the step Δ = A/127, where A is the largest size in the tensor.",
        precise=r"With $|x| \le A$ the nearest integer to $127x/A$ lies in $\{-127, \dots, 127\}$; $|\hat x - x| \le A/254$; and $\hat x = 0$ for every $|x| "
        r"\le A/254$, so no bound relative to $x$ itself is below 100 % ($|\hat x - x| \le |x|$ always holds). In the formula $x = \Delta(z + \frac12 - "
        r"y)$ with its nearest integer $z$; before it $|x|$ is $A - w$, $A/254 - b$ and $\Delta(\frac12 + t)$.",
        sources=(QUANTISED, JACOB.at("Section 2.1")),
        scope="every A > 0, every real x with |x| ≤ A; upper sides are written, the lower are their mirror images",
        inventory=("C155",),
        holds=_rounding_holds,
    )
)
def int8_rounding() -> Iterator[Step]:
    place, short, slack = sp.Symbol("z", integer=True), sp.Symbol("y", nonnegative=True), sp.Symbol("w", nonnegative=True)
    below, more = sp.symbols("b t", nonnegative=True)
    unit = largest / LEVELS
    number = unit * (place + sp.Rational(1, 2) - short)
    yield Step(
        LEVELS * (largest - slack) / largest + sp.Rational(1, 2), "<", sp.Integer(LEVELS + 1), "a nearest integer is at most x/Δ + 1/2, so below 128",
        certificate=sp.Rational(1, 2) + LEVELS * slack / largest,
    )  # fmt: skip
    yield Step(
        LEVELS * (largest / (2 * LEVELS) - below) / largest, "<=", sp.Rational(1, 2), "within half a step of 0, and a tie goes to the even integer, 0",
        certificate=LEVELS * below / largest,
    )  # fmt: skip
    yield Step(
        largest / (2 * LEVELS), "<=", unit * (sp.Rational(1, 2) + more), "a number of half a step or more is off by no more than itself, and a smaller one, "
        "which becomes 0, by itself", certificate=unit * more,
    )  # fmt: skip
    yield Step(number - unit * place, "<=", largest / (2 * LEVELS), "no number is further than half a step from its nearest multiple", certificate=unit * short)


def _outlier_holds(query: Sequence[int], keys: Whole, values: Whole, excess: int) -> Outcome:
    """A query in one tensor with an outlier of 254 times its largest entry (and more): its output is the mean value. With its own scale the query is kept."""
    outlier = 2 * LEVELS * size(query) + excess
    with_outlier = [nearest(one, outlier) for one in query] if outlier else [Fraction(0) for _ in query]
    alone = [nearest(one, size(query)) for one in query]
    mean = [Fraction(sum(column), len(values)) for column in zip(*values, strict=True)]
    erased = exact.equal(exact.attention([with_outlier], keys, values), [mean])
    return Outcome.worst([erased, exact.decided(all(abs(one - true) <= size(query) / (2 * LEVELS) for one, true in zip(alone, query, strict=True)))])


@derived(
    Claim(
        id="compression.one-outlier",
        title="With one scale for a tensor, one outlier makes every small query attend uniformly",
        states="Quantise the activations of attention to INT8.",
        reading="There is one scale for the whole tensor, or one for each row.",
        precise=r"If some entry of $Q$ has the size $A$ and a query's own entries are at most $A/254$ in size, that query becomes 0, all its scores are 0, and its "
        r"output is $\frac1n\sum_j v_j$ whatever the keys. With a scale of its own its entries are off by at most 1/254 of its own largest. In the formula "
        r"$\hat q = \rho q$ with $\rho = 0$.",
        sources=(QUANTISED, DETTMERS.at("Section 2.1")),
        scope="every n, d, d_v ≥ 1, all real keys and values, every scale c of the scores",
        inventory=("C155",),
        uses=("compression.int8-rounding",),
        holds=_outlier_holds,
    )
)
def one_outlier() -> Iterator[Step]:
    slack, short, own = sp.Symbol("w", nonnegative=True), sp.Symbol("y", nonnegative=True), sp.Symbol("alpha", positive=True)
    yield Step(
        LEVELS * (largest / (2 * LEVELS) - slack) / largest, "<=", sp.Rational(1, 2), "an entry of at most A/254 is within half a step of 0",
        certificate=LEVELS * slack / largest,
    )  # fmt: skip
    yield Step(
        (own / LEVELS) * (sp.Rational(1, 2) - short), "<=", own / (2 * LEVELS), "with the row's own largest size α, the step is α/127",
        certificate=own * short / LEVELS,
    )  # fmt: skip
    scale = sp.Symbol("rho", real=True)
    yield Step(
        sp.Subs(total(sp.exp(c * scale * total(Q[r, a] * K[j, a], a)) * V[j, e], j) / total(sp.exp(c * scale * total(Q[r, a] * K[l, a], a)), l), scale, 0), "=",
        total(V[j, e], j) / n, "the query times ρ = 0 scores 0 against every key, so every weight is 1/n",
    )  # fmt: skip


INT32, SINGLE = 2**31 - 1, 2**24  # the largest INT32; up to here float32 holds every whole number
WIDEST, WIDEST_SINGLE = INT32 // LEVELS**2, SINGLE // LEVELS**2


def _integers_hold(query: Sequence[int], key: Sequence[int], width: int) -> Outcome:
    """The two patterns repeated to the width: every partial sum in 32 bits as in whole numbers; and where INT32 (or float32's 2^24) may overflow, it can."""
    terms = np.resize(np.array(query, np.int64), width) * np.resize(np.array(key, np.int64), width)
    sums, extreme = np.cumsum(terms), LEVELS**2 * width
    wrapped = np.cumsum(terms.astype(np.int32), dtype=np.int32)
    single = np.cumsum(terms.astype(np.float32), dtype=np.float32)
    right = width > WIDEST or bool((wrapped == sums).all())
    right_single = width > WIDEST_SINGLE or bool((single.astype(np.int64) == sums).all())
    return exact.decided(right and right_single and (extreme <= INT32) == (width <= WIDEST) and (extreme <= SINGLE) == (width <= WIDEST_SINGLE))


@derived(
    Claim(
        id="compression.integer-products-exact",
        title=f"Scores of INT8 queries and keys are exact in INT32 up to width {WIDEST}, in float32 up to {WIDEST_SINGLE}",
        states="(Implied.) In INT8 attention the products of queries and keys are products of integers.",
        reading="What is asked is how wide queries and keys may be if accumulating these products shall cost no accuracy.",
        precise=rf"For integers of size at most 127, every partial sum of $q \cdot k$, in any order, is at most $127^2 d$ in size, which is at most "
        rf"$2^{{31}} - 1$ exactly if $d \le {WIDEST}$, and at most $2^{{24}}$ (float32's exact integers) exactly if $d \le {WIDEST_SINGLE}$. One feature "
        rf"more and $q = k = 127$ overflows INT32; in float32 the sum leaves the range in which every whole number is exact. Up to there the integer product "
        rf"$\hat q \cdot \hat k$ itself adds no error; multiplying by the two scales (and turning a sum above $2^{{24}}$ into float32) rounds as usual. In "
        rf"the formula $d = {WIDEST} - t$.",
        sources=(QUANTISED, JACOB.at("Section 2.2")),
        scope="every d ≥ 1; |q_a|, |k_a| ≤ 127, so −128 is not used; upper side (the lower is its mirror image)",
        inventory=("C155",),
        holds=_integers_hold,
    )
)
def integer_products_exact() -> Iterator[Step]:
    yield Step(
        total((z[a] - y[a]) / 2 * (z2[a] - y2[a]) / 2, a), "<=", total((z[a] + y[a]) / 2 * (z2[a] + y2[a]) / 2, a),
        "no product exceeds the product of the two bounds, here 127 for every feature; so for part of the features too", certificate=total((y[a] * z2[a] + z[a] * y2[a]) / 2, a),
    )  # fmt: skip
    fewer = sp.Symbol("t", integer=True, nonnegative=True)
    for limit, widest in ((SINGLE, WIDEST_SINGLE), (INT32, WIDEST)):
        yield Step(sp.Integer(limit), "<", LEVELS**2 * (widest + 1 + fewer), f"wider than {widest}, all entries 127 exceed the limit")
        yield Step(LEVELS**2 * (widest - fewer), "<=", sp.Integer(limit), f"up to width {widest} nothing does")


def _score_error(width: int, query: Fraction, key: Fraction) -> Fraction:
    """d A B (1/127 + 1/254²)."""
    return width * query * key * (Fraction(1, LEVELS) + Fraction(1, (2 * LEVELS) ** 2))


def _scores_hold(query: Sequence[int], key: Sequence[int], spare_query: int, spare_key: int) -> Outcome:
    """|q̂·k̂ − q·k| against both bounds; `spare` makes the tensor's largest size exceed the row's own."""
    tops = size(query) + spare_query, size(key) + spare_key
    parts = [[nearest(one, top) for one in vector] for vector, top in zip((query, key), tops, strict=True)]
    rho, sigma = (top / (2 * LEVELS) for top in tops)
    off = abs(dot(*parts) - dot(query, key))
    first = sum((rho * sigma + rho * abs(two) + sigma * abs(one) for one, two in zip(query, key, strict=True)), Fraction(0))
    return exact.decided(off <= first <= _score_error(len(query), *tops))


@derived(
    Claim(
        id="compression.int8-scores",
        title="A score of INT8 queries and keys is off by less than 1/126 of the largest score possible",
        states="Quantise the activations of attention to INT8.",
        reading="Queries and keys are quantised before their products are taken.",
        precise=r"With largest sizes $A$ of $Q$ and $B$ of $K$, $\rho = A/254$ and $\sigma = B/254$: $|\hat q\cdot\hat k - q\cdot k| \le \sum_a(\rho\sigma + "
        r"\rho|k_a| + \sigma|q_a|) \le d\,A\,B\,\bigl(\tfrac1{127} + \tfrac1{254^2}\bigr)$. The error is a share of $dAB$, which no score exceeds, and not "
        r"of the score: it grows with the width and with both largest sizes. In the formula $|q_a| = A - x_a$, $|k_a| = B - x'_a$.",
        sources=(QUANTISED, JACOB.at("Section 2.1")),
        scope="every d ≥ 1, all real queries and keys; A and B of the tensors, or of the row, whichever set the scale; one side (the other is its mirror image)",
        inventory=("C155",),
        uses=("compression.int8-rounding",),
        holds=_scores_hold,
    )
)
def int8_scores() -> Iterator[Step]:
    off, rho, off2, sigma = (z[a] - y[a]) / 2, (z[a] + y[a]) / 2, (z2[a] - y2[a]) / 2, (z2[a] + y2[a]) / 2
    query, key, query_size, key_size = f[a] - w[a], f2[a] - w2[a], f[a] + w[a], f2[a] + w2[a]
    yield Step(
        total((query + off) * (key + off2), a) - total(query * key, a), "=", total(off * off2 + off * key + off2 * query, a), "multiply out",
    )  # fmt: skip
    yield Step(
        total(off * off2 + off * key + off2 * query, a), "<=", total(rho * sigma + rho * key_size + sigma * query_size, a),
        "each product of errors is at most the product of their bounds (ρ and σ are the same for every feature)",
        certificate=total((y[a] * z2[a] + z[a] * y2[a]) / 2 + y[a] * f2[a] + z[a] * w2[a] + y2[a] * f[a] + z2[a] * w[a], a),
    )  # fmt: skip
    yield Step(
        d * largest * other * (sp.Rational(1, LEVELS) + sp.Rational(1, 4 * LEVELS**2)), "<", d * largest * other / (LEVELS - 1),
        "so the error is below 1/126 of d A B",
    )  # fmt: skip
    half = sp.Rational(1, 2 * LEVELS)
    yield Step(
        total(largest * half * other * half + largest * half * (other - x2[a]) + other * half * (largest - x[a]), a), "<=",
        d * largest * other * (sp.Rational(1, LEVELS) + sp.Rational(1, 4 * LEVELS**2)), "no entry exceeds the largest size",
        certificate=total(largest * half * x2[a] + other * half * x[a], a),
    )  # fmt: skip


# --- from scores to the output ----------------------------------------------------------------------------------------------------------

rise = sp.Symbol("t", nonnegative=True)
u = 1 + rise  # e^ε
base, reach = sp.Symbol("low", real=True), sp.Symbol("R", positive=True)
lowered, raised = (
    sp.IndexedBase("h", positive=True),
    sp.IndexedBase("f", positive=True),
)  # a key's weight w is f + h; off by a factor in (1/u, u) it is f u + h/u; times u, which all keys share, f u² + h


def _moved(rho: sp.Expr, slack: sp.Expr) -> tuple[sp.Expr, sp.Expr, sp.Expr, sp.Expr]:
    """o, o' (values off by ρ − slack), the bound R (u − 1)/(u + 1) + ρ, and the certificate. Values along one direction are low + R e^(−x)."""
    up = sp.exp(-x[j])
    value = base + reach * up
    old, new = raised[j] + lowered[j], raised[j] * u**2 + lowered[j]
    mass, new_mass = total(old, j), total(new, j)
    output, moved = total(old * value, j) / mass, total(new * (value + rho - slack), j) / new_mass
    high_raised, low_raised = total(raised[j] * up, j), total(raised[j] * (1 - up), j)
    high_lowered, low_lowered = total(lowered[j] * up, j), total(lowered[j] * (1 - up), j)
    crossed = high_raised * high_lowered + low_raised * high_lowered * 2 + low_raised * low_lowered
    square = (u * (high_raised + low_raised) - (high_lowered + low_lowered)) ** 2
    certificate = reach * rise / ((u + 1) * mass * new_mass) * ((u + 1) ** 2 * crossed + square) + total(new * slack, j) / new_mass
    return output, moved, reach * (u - 1) / (u + 1) + rho, certificate


def _tangent() -> Step:
    epsilon = sp.Symbol("epsilon", nonnegative=True)
    up, down = sp.exp(epsilon / 2), sp.exp(-epsilon / 2)
    return Step(
        (up - down) / (up + down), "=", (sp.exp(epsilon) - 1) / (sp.exp(epsilon) + 1), "tanh(ε/2) by its definition; with u = e^ε it is (u − 1)/(u + 1)"
    )


def _extent(column: Sequence[Rational]) -> Fraction:
    return Fraction(max(column) - min(column))


def _score_errors_hold(scores: Row, places: Sequence[Fraction], error: Fraction, values: Sequence[int]) -> Outcome:
    """Scores off by place·error, places in [−1, 1]: errors of the output and of the weights against tanh(error/2) times the extent, and twice it."""
    before, after = exact.softmax(scores), exact.softmax([ball(one) + ball(place * error) for one, place in zip(scores, places, strict=True)])
    off = abs(sum(((two - one) * value for one, two, value in zip(before, after, values, strict=True)), arb(0)))
    distance = sum((abs(two - one) for one, two in zip(before, after, strict=True)), arb(0))
    limit = (ball(error) / 2).tanh()
    return exact.at_most([off, distance], [limit * ball(_extent(values)), 2 * limit])


@derived(
    Claim(
        id="compression.score-errors",
        title="If no score is off by more than ε, the output moves by at most tanh(ε/2) times the extent of the values",
        states="(Ours.) What an error of the scores can do to the output is limited, whatever its cause.",
        precise=r"If $|\hat s_j - s_j| \le \varepsilon$ for every key, $\langle u, \hat o - o\rangle \le R\tanh(\varepsilon/2)$ in every direction, with $R$ "
        r"the extent of the values along it; so $\sum_j|\hat p_j - p_j| \le 2\tanh(\varepsilon/2)$, however many keys there are. Equality for two keys with "
        r"$p = 1/(1 + e^\varepsilon)$ where the lighter is raised and the other lowered. In the formula $u = e^\varepsilon$ is written $1 + t$, a weight "
        r"before it is divided by the sum is $f_j + h_j$, and with the error $(f_ju^2 + h_j)/u$, whose divisor $u$ cancels; values are $\mathrm{low} + "
        r"Re^{-x_j}$.",
        sources=(QUANTISED,),
        scope="every n ≥ 1, all real scores and values, every ε ≥ 0 (derived for errors strictly within ±ε and values above low; the rest by continuity)",
        holds=_score_errors_hold,
    )
)
def score_errors() -> Iterator[Step]:
    yield _tangent()
    yield Step(
        u * (1 / (1 + u)) / (u * (1 / (1 + u)) + (1 - 1 / (1 + u)) / u) - 1 / (1 + u), "=", (u - 1) / (u + 1),
        "two keys, the lighter one's share 1/(1 + u): raised by u while the other falls by u, it gains exactly that",
    )  # fmt: skip
    output, moved, limit, certificate = _moved(sp.Integer(0), sp.Integer(0))
    yield Step(
        moved - output, "<=", limit, "what is gained is at most what moves mass u² against the rest; the gap is a square and products of masses",
        certificate=certificate,
    )  # fmt: skip


Scheme = Callable[[Whole], list[list[Fraction]]]
SCHEMES: tuple[Scheme, ...] = (quantised, quantised_by_row)


def _quantised_attention(Q: Whole, K: Whole, V: Whole, scheme: Scheme, levels: int = 0) -> list[list[arb]]:
    """Attention of quantised inputs; with `levels`, its weights too are rounded to multiples of 1/levels (a tie either way)."""
    rows = [exact.softmax(row) for row in exact.scores(scheme(Q), scheme(K), scale=1 / ball(len(K[0])).sqrt())]
    if levels:
        rows = [[ball(Fraction(round(float(one) * levels), levels)) for one in row] for row in rows]
    columns = [[ball(one) for one in column] for column in zip(*scheme(V), strict=True)]
    return [[_inner(row, column) for column in columns] for row in rows]


def _true_attention(Q: Whole, K: Whole, V: Whole) -> list[list[arb]]:
    return exact.attention(Q, K, V, scale=1 / ball(len(K[0])).sqrt())


def _off(given: Sequence[Sequence[arb]], true: Sequence[Sequence[arb]]) -> list[list[arb]]:
    return [[abs(one - two) for one, two in zip(first, second, strict=True)] for first, second in zip(given, true, strict=True)]


def _int8_error_holds(Q: Whole, K: Whole, V: Whole, tolerance: Fraction) -> Outcome:
    """|ô − o| ≤ tanh(ε/2) R + C/254 entry by entry, and min(1, n/254) C more with weights in INT8; for both schemes, whatever the tolerance."""
    width, top = len(K[0]), size(_flat(V))
    epsilon = ball(_score_error(width, size(_flat(Q)), size(_flat(K)))) / ball(width).sqrt()
    limits = [(epsilon / 2).tanh() * ball(_extent(column)) + ball(top / (2 * LEVELS)) for column in zip(*V, strict=True)]
    wider = [limit + ball(min(Fraction(1), Fraction(len(K), 2 * LEVELS)) * top) for limit in limits]
    true = _true_attention(Q, K, V)
    checks = []
    for scheme in SCHEMES:
        checks.append(exact.at_most(_off(_quantised_attention(Q, K, V, scheme), true), [limits for _ in Q]))
        checks.append(exact.at_most(_off(_quantised_attention(Q, K, V, scheme, LEVELS), true), [wider for _ in Q]))
    return Outcome.worst(checks)


@derived(
    Claim(
        id="compression.int8-error",
        title="Attention in INT8 is off by at most R tanh(ε/2) + C/254 an entry, where ε bounds the error of the scores",
        states="(Not in the text; it follows from the rounding of queries, keys, values and weights.) The output of INT8 attention is off by a bounded amount, which depends on the "
        "inputs.",
        precise=r"With largest sizes $A, B, C$ of $Q, K, V$, scores scaled by $c$, $\varepsilon = c\,d\,A\,B\,\bigl(\frac1{127} + \frac1{254^2}\bigr)$, and "
        r"$R_e$ the extent of the values in coordinate $e$: $|\hat o_e - o_e| \le R_e\tanh(\varepsilon/2) + \frac{C}{254}$. The first part is never more "
        r"than $R_e$, and no bound that is independent of $A$ and $B$ can be far below that: a query that an outlier erases has the mean value for its "
        r"output (compression.one-outlier), however near one extreme it was. With weights on the fixed scale of $L$ levels as well, add $\min(1, "
        r"\frac{n}{2L})\,C$ (compression.row-sum-of-quantised-weights: a quantised value is at most $C$ too). Written as compression.score-errors; a quantised "
        r"value is off by $\rho - x'_j$, $\rho = C/254$.",
        sources=(QUANTISED, JACOB.at("Section 2")),
        scope="every n, d, d_v ≥ 1, all real inputs, every c ≥ 0 (the exact check: 1/√d); one scale a tensor or one a row; one side (the other is its mirror image)",
        inventory=("C155", "C156"),
        uses=(
            "compression.int8-rounding",
            "compression.one-outlier",
            "compression.int8-scores",
            "compression.score-errors",
            "compression.row-sum-of-quantised-weights",
        ),
        kind=Kind.APPROXIMATION,
        holds=_int8_error_holds,
    )
)
def int8_error() -> Iterator[Step]:
    yield _tangent()
    share, biggest = softmax(s, j), sp.Symbol("C", positive=True)
    yield Step(
        total(share * v[j] + (biggest / (2 * count) - y[j]), j) - total(share * v[j], j), "<=", n * biggest / (2 * count),
        "weights in INT8: each is off by at most 1/(2L), and meets a value of at most C (nor are the weights together off by more than 1)",
        certificate=total(y[j], j),
    )  # fmt: skip
    output, moved, limit, certificate = _moved(sp.Symbol("rho", nonnegative=True), x2[j])
    yield Step(moved - output, "<=", limit, "the weights' part as before, and an average of the values' own errors", certificate=certificate)


def _int8_works_holds(Q: Whole, K: Whole, V: Whole, tolerance: Fraction) -> Outcome:
    """|ô − o| ≤ tolerance · max|V|, entry by entry; REFUTED only if it fails with one scale a tensor and with one a row."""
    true, allowed = _true_attention(Q, K, V), [[ball(tolerance * size(_flat(V)))] * len(V[0]) for _ in Q]
    outcome = Outcome.REFUTED
    for scheme in SCHEMES:
        match exact.at_most(_off(_quantised_attention(Q, K, V, scheme), true), allowed):
            case Outcome.HELD:
                return Outcome.HELD
            case Outcome.UNDECIDED:
                outcome = Outcome.UNDECIDED
    return outcome


def _int8_works_worked(Q: Whole, K: Whole, V: Whole, tolerance: Fraction) -> str:
    def listed(rows: Whole) -> str:
        return "[" + ", ".join("[" + ", ".join(map(str, row)) + "]" for row in rows) + "]"

    def shown(rows: Sequence[Sequence[arb]]) -> str:
        return "[" + ", ".join("[" + ", ".join(exact.show(one) for one in row) + "]" for row in rows) + "]"

    told = []
    for name, scheme in zip(("tensor", "row"), SCHEMES, strict=True):
        products = [[dot(q, key) for key in scheme(K)] for q in scheme(Q)]
        told.append(
            f"With one scale a {name} (1/{LEVELS} of its largest size for a step) they are rounded to Q̂ = {listed(scheme(Q))}, K̂ = {listed(scheme(K))} and "
            f"V̂ = {listed(scheme(V))}: the products Q̂K̂ᵀ become {listed(products)}, the output {shown(_quantised_attention(Q, K, V, scheme))}."
        )
    return (
        f"Q = {listed(Q)} and K = {listed(K)} have the products QKᵀ = {listed([[dot(q, key) for key in K] for q in Q])}; divided by √{len(K[0])}, and with "
        f"V = {listed(V)}, they give the output {shown(_true_attention(Q, K, V))}, the mean of the values weighted by the exponentials of the scores. " + " ".join(told) + f" Both times it is off by more than {tolerance} of "
        "the largest value."
    )  # fmt: skip


@derived(
    Claim(
        id="compression.int8-works",
        title="Attention works in INT8",
        states="Attention can be computed with INT8 activations, to reduce its precision.",
        reading="Working means that queries, keys and values in symmetric INT8 leave the output within a given share τ of the largest value, on every input, "
        "with one scale a tensor or one a row (a query, a key, a value): a counterexample must fail under both. (A scale for each feature does not come out "
        "of the sum over features, but it may be moved from Q to K before they are rounded, $q_a/t_a$ and $t_ak_a$, which leaves the products; that repairs some of these "
        "inputs, the counterexample among them, and is not judged.) Scores are scaled by 1/√d, and softmax and its weights keep full precision (their quantisation is judged apart).",
        precise=r"$2C\tanh(\varepsilon/2) + C/254 \le \tau C$ with $\tau = 2\theta + 1/254$ if $\varepsilon = \sqrt d\,A\,B\,\bigl(\frac1{127} + "
        r"\frac1{254^2}\bigr) \le \log\frac{1 + \theta}{1 - \theta}$, for largest sizes $A, B, C$ of $Q, K, V$. The condition is sufficient and concerns "
        r"the worst case (rounding errors that all agree). Without any condition no $\tau$ below 2 holds on every input: an outlier in the same tensor, or in "
        r"the same row, erases the entries that decide the scores, and the output becomes the mean value (as in compression.one-outlier). If one key has nearly all the weight and the value $C$, "
        r"and $n$ others $-C$, the output moves from near $C$ by nearly $2C\frac{n}{n+1}$. With weights on the "
        r"fixed scale as well $\tau$ grows by $\min(1, \frac{n}{2L})$ (compression.int8-error). In the formula $\theta = x/(x + y)$ and $e^\varepsilon = "
        r"\frac{1 + \theta}{1 - \theta}e^{-w}$.",
        sources=(QUANTISED, DETTMERS.at("Section 1")),
        scope="every n, d, d_v ≥ 1, all real inputs, every θ in (0, 1)",
        inventory=("C155",),
        uses=("compression.int8-error", "compression.one-outlier"),
        unsaid="queries and keys are small for their width: √d max|Q| max|K| (1/127 + 1/254²) ≤ log((1 + θ)/(1 − θ)) (sufficient, not necessary)",
        corrected_by="compression.int8-error",
        holds=_int8_works_holds,
        worked=_int8_works_worked,
    )
)
def int8_works() -> Iterator[Step]:
    one, two = sp.symbols("x y", positive=True)
    slack, value = sp.Symbol("w", nonnegative=True), sp.Symbol("C", positive=True)
    theta = one / (one + two)
    grown = (2 * one + two) / two * sp.exp(-slack)  # e^ε
    yield Step(
        value - (value - n * value) / (n + 1), "=", 2 * value * n / (n + 1), "no condition: an erased query has the mean of one value C and n values −C, 2C n/(n + 1) away from C",
    )  # fmt: skip
    yield Step((1 + theta) / (1 - theta), "=", (2 * one + two) / two, "θ = x/(x + y) is any number between 0 and 1")
    yield Step(
        2 * value * (grown - 1) / (grown + 1) + value / (2 * LEVELS), "<=", (2 * theta + sp.Rational(1, 2 * LEVELS)) * value,
        "tanh(ε/2) = (e^ε − 1)/(e^ε + 1) is at most θ, and an extent at most 2C", certificate=2 * value * (1 + theta) * (1 - sp.exp(-slack)) / (grown + 1),
    )  # fmt: skip


# --- weights on a fixed scale (C156) ----------------------------------------------------------------------------------------------------

count = sp.Symbol("L", positive=True)  # levels above 0


def _rounded_row(weights: Sequence[int], copies: int, levels: int) -> tuple[list[Fraction], list[Fraction]]:
    """The row of weights (a pattern repeated, over its sum), and the same rounded to multiples of 1/levels."""
    mass = sum(weights) * copies
    period = [Fraction(one, mass) for one in weights]
    return period * copies, [nearest(one, 1, levels) for one in period] * copies


def _row_sum_holds(weights: Sequence[int], copies: int, levels: int, tolerance: Fraction, values: Sequence[int]) -> Outcome:
    """The row's sum is off by at most min(1, n/(2L)), the output by at most that times the largest value; a uniform row of n ≥ 2L is all 0."""
    row, given = _rounded_row(weights, copies, levels)
    limit = min(Fraction(1), Fraction(len(row), 2 * levels))
    repeated = [values[place % len(values)] for place in range(len(row))]
    off = abs(sum(((one - two) * value for one, two, value in zip(given, row, repeated, strict=True)), Fraction(0)))
    erased = len(set(weights)) > 1 or len(row) < 2 * levels or not any(given)
    return exact.decided(abs(sum(given, Fraction(-1))) <= limit and off <= limit * size(values) and erased)


@derived(
    Claim(
        id="compression.row-sum-of-quantised-weights",
        title="Weights rounded to multiples of 1/L: a row's sum is off by up to n/(2L), and a uniform row of 2L keys or more is 0",
        states="Quantise attention weights to INT8.",
        reading="The scale is fixed by the interval [0, 1]: there are L = 127 steps (signed) or 255 (unsigned). L = 1 gives binary weights.",
        precise=r"$\bigl|\sum_j\hat p_j - 1\bigr| \le \min(1, \tfrac{n}{2L})$ and $|\hat o - o| \le \min(1, \tfrac{n}{2L})\max_j|v_j|$; the bound is "
        r"attained: $n \ge 2L$ keys of equal weight $1/n$ all become 0 (halves go to the even integer), and so does every weight of at most $1/(2L)$. In the "
        r"formula $\hat p_j = p_j + (1 - x_j)/(2L)$.",
        sources=(QUANTISED, JACOB.at("Section 2.1")),
        scope="every n ≥ 1, every row of positive weights, every real values, every L (the exact check: 1, 127, 255)",
        inventory=("C156", "C157"),
        holds=_row_sum_holds,
    )
)
def row_sum() -> Iterator[Step]:
    more, longer = sp.symbols("t r", nonnegative=True)
    share = softmax(s, j)
    yield Step(
        count / (2 * count + longer), "<=", sp.Rational(1, 2), "a weight 1/n with n = 2L + r is at most half a step: its nearest integer is 0, also on a tie",
        certificate=longer / (2 * (2 * count + longer)),
    )  # fmt: skip
    yield Step(
        1 / (2 * count), "<=", (sp.Rational(1, 2) + more) / count,
        "a weight of half a step or more, p = (1/2 + t)/L, is off by no more than itself, and so is a smaller one, which becomes 0: together they are off by "
        "no more than 1",
        certificate=more / count,
    )  # fmt: skip
    off, bound = (z[j] - y[j]) / 2, (z[j] + y[j]) / 2
    yield Step(
        total((share + off) * (f[j] - w[j]), j) - total(share * (f[j] - w[j]), j), "<=", total(bound * (f[j] + w[j]), j),
        "the output is off by at most Σ |p̂ − p| |v|, with |p̂ − p| at most 1/(2L), and at most p, for each key", certificate=total(y[j] * f[j] + z[j] * w[j], j),
    )  # fmt: skip
    yield Step(
        1 - total(share - (1 - x[j]) / (2 * count), j), "<=", n / (2 * count), "downwards: each weight loses at most half a step", certificate=total(x[j], j) / (2 * count),
    )  # fmt: skip
    yield Step(
        total(share + (1 - x[j]) / (2 * count), j) - 1, "<=", n / (2 * count), "upwards: each weight gains at most half a step", certificate=total(x[j], j) / (2 * count),
    )  # fmt: skip


def _fixed_scale_holds(weights: Sequence[int], copies: int, levels: int, tolerance: Fraction, values: Sequence[int]) -> Outcome:
    """The rounded row sums to 1 within the tolerance."""
    return exact.decided(abs(sum(_rounded_row(weights, copies, levels)[1], Fraction(-1))) <= tolerance)


def _fixed_scale_worked(weights: Sequence[int], copies: int, levels: int, tolerance: Fraction, values: Sequence[int]) -> str:
    row, given = _rounded_row(weights, copies, levels)
    kinds = sorted(set(zip(row, given, strict=True)))
    told = "; ".join(
        f"p = {one}, so {levels} p = {one * levels} rounds to {two * levels} and p̂ = {two} ({list(zip(row, given, strict=True)).count((one, two))} keys)"
        for one, two in kinds
    )
    return (
        f"The pattern {list(weights)}, {copies} times over and divided by its sum, is a row of n = {len(row)} weights, each rounded to a multiple of 1/{levels}: {told}. The rounded weights sum to {sum(given)}, off 1 by more "
        f"than {tolerance}."
    )


@derived(
    Claim(
        id="compression.fixed-weight-scale",
        title="Attention weights can be quantised to INT8 on the fixed scale of [0, 1]",
        states="(Implied; the text names no scale.) INT8 attention quantises the attention weights, for which [0, 1] gives a scale.",
        reading="The weights of attention are meant, not parameters (these in compression.int8-parameters). They lie in [0, 1], so the scale is known beforehand: multiples of 1/127, or of 1/255 without a sign. They are still weights: each row "
        "sums to 1 within a given tolerance, however many keys it has.",
        precise=r"$\bigl|\sum_j\hat p_j - 1\bigr| \le \tau$ for rows of $n \le 2L\tau$ keys "
        rf"({2 * LEVELS // 20} keys at $L = {LEVELS}$ and $\tau = 1/20$); in longer rows it may fail: $n \ge 2L$ equal weights are all rounded to 0. "
        r"In the formula $2L\tau = n + w$.",
        sources=(QUANTISED, JACOB.at("Section 2.1")),
        scope="every row of positive weights, every tolerance τ > 0, every L (the exact check: 1, 127, 255, and τ < 1)",
        inventory=("C156",),
        uses=("compression.row-sum-of-quantised-weights",),
        unsaid="the row is short, n ≤ 2Lτ for a tolerance τ of the row's sum",
        corrected_by="compression.row-sum-of-quantised-weights",
        holds=_fixed_scale_holds,
        worked=_fixed_scale_worked,
    )
)
def fixed_weight_scale() -> Iterator[Step]:
    tolerance, slack = sp.Symbol("tau", positive=True), sp.Symbol("w", nonnegative=True)
    levels = (n + slack) / (2 * tolerance)
    short = tolerance * slack / (n + slack)
    yield Step(
        1 - total(softmax(s, j) - (1 - x[j]) / (2 * levels), j), "<=", tolerance, "downwards, n half steps are at most τ",
        certificate=total(x[j], j) / (2 * levels) + short,
    )  # fmt: skip
    yield Step(
        total(softmax(s, j) + (1 - x[j]) / (2 * levels), j) - 1, "<=", tolerance, "upwards likewise",
        certificate=total(x[j], j) / (2 * levels) + short,
    )  # fmt: skip


def _parameters_hold(inputs: Sequence[Rational], weights: Sequence[Rational], spare: int) -> Outcome:
    """|x·ŵ − x·w| ≤ A/254 Σ|x|, where A is the largest size in the column w, plus `spare` for the rest of the matrix."""
    top = size(weights) + spare
    given = [nearest(one, top) for one in weights]
    return exact.decided(abs(dot(inputs, given) - dot(inputs, weights)) <= top / (2 * LEVELS) * sum((abs(Fraction(one)) for one in inputs), Fraction(0)))


@derived(
    Claim(
        id="compression.int8-parameters",
        title="A projection with its parameters in INT8 is off by at most 1/254 of the largest parameter times the sum of the input's sizes",
        states="Quantise weights and activations to INT8.",
        reading="“Weights and activations” may also mean what it means of any layer, parameters and what passes between them. Then the projections are quantised: "
        "their matrices in symmetric INT8, with one scale a matrix or one a column.",
        precise=r"$|x\cdot\hat w - x\cdot w| \le \frac{A}{254}\sum_a|x_a|$ for an input $x$ and a column $w$ of a matrix whose largest entry has the size $A$. In the formula $x_a = f_a - w_a$, $|x_a| "
        r"= f_a + w_a$, and the entry $W_a$ of the column is rounded to $W_a + \frac{A}{254}(1 - 2e^{-y_a})$.",
        sources=(QUANTISED, JACOB.at("Section 2.1")),
        scope="every width, all real inputs and parameters, in size at most A (derived for errors below A/254; an error of that very size by continuity); one side (the other is its mirror image)",
        inventory=("C156",),
        uses=("compression.int8-rounding",),
        holds=_parameters_hold,
    )
)
def int8_parameters() -> Iterator[Step]:
    column = sp.IndexedBase("W", real=True)
    unit, shrink = largest / (2 * LEVELS), sp.exp(-y[a])
    off, entry = unit * (1 - 2 * shrink), f[a] - w[a]
    yield Step(
        total((column[a] + off) * entry, a) - total(column[a] * entry, a), "<=", unit * total(f[a] + w[a], a), "each entry's error of at most half a step meets one entry of the input",
        certificate=2 * unit * total(f[a] * shrink + w[a] * (1 - shrink), a),
    )  # fmt: skip


def _own_scale_holds(weights: Sequence[int], copies: int, levels: int) -> Outcome:
    """With the row's largest weight as the scale: it is kept, the sum is off by at most n max p/(2L), and an equal row is exact."""
    mass = sum(weights) * copies
    row = [Fraction(one, mass) for one in weights]
    given = [nearest(one, max(row), levels) for one in row]
    off = abs(sum(given, Fraction(0)) * copies - 1)
    return exact.decided(max(given) == max(row) and off <= len(row) * copies * max(row) / (2 * levels) and (len(set(weights)) > 1 or given == row))


@derived(
    Claim(
        id="compression.scale-of-the-row",
        title="With the row's largest weight as its scale no row vanishes, and a uniform row is exact",
        states="(Not in the text, which names no scale.) Attention weights can be quantised with a scale that fits their row.",
        precise=r"With the step $A/L$, $A = \max_j p_j$, the largest weight is kept exactly, and $\bigl|\sum_j\hat p_j - 1\bigr| \le \frac{nA}{2L}$, that is "
        r"at most $1/(2L)$ times the ratio of the largest weight to the mean one. A tail of weights below $A/(2L)$ still vanishes whole, however much it "
        r"adds up to. In the formula $\hat p_j = p_j + A(1 - x_j)/(2L)$.",
        sources=(QUANTISED,),
        scope="every n ≥ 1, every row of positive weights, every whole L ≥ 1 (the exact check: 1, 127, 255); upper side (the lower is its mirror image)",
        inventory=("C156",),
        holds=_own_scale_holds,
    )
)
def scale_of_the_row() -> Iterator[Step]:
    slack = sp.Symbol("w", nonnegative=True)
    yield Step(count * sp.UnevaluatedExpr(largest / count), "=", largest, "the largest weight is L steps, and L is whole: it is kept")
    yield Step(count * sp.UnevaluatedExpr(1 / (n * count)), "=", 1 / n, "in a uniform row, A = 1/n, every weight is L steps")
    yield Step(
        (largest / (2 * count) - slack) / (largest / count), "<=", sp.Rational(1, 2), "a weight of at most A/(2L) is within half a step of 0",
        certificate=slack * count / largest,
    )  # fmt: skip
    yield Step(
        total(softmax(s, j) + largest * (1 - x[j]) / (2 * count), j) - 1, "<=", n * largest / (2 * count), "each weight is off by at most half a step",
        certificate=largest * total(x[j], j) / (2 * count),
    )  # fmt: skip


# --- binary queries and keys (C157) -----------------------------------------------------------------------------------------------------


def signs(vector: Sequence[Rational]) -> list[int]:
    return [1 if one >= 0 else -1 for one in vector]


def _binary_scores_hold(query: Sequence[int], keys: Whole) -> Outcome:
    """d − 2·(disagreements), so at most d + 1 scores; off by at most Σ ||q_a||k_a| − αβ|; two keys keep their order if their gap exceeds the sum of their bounds."""
    binary = [int(dot(signs(query), signs(key))) for key in keys]
    true = [dot(query, key) for key in keys]
    disagree = [sum(one != two for one, two in zip(signs(query), signs(key), strict=True)) for key in keys]
    alpha = Fraction(sum(map(abs, query)), len(query))
    beta = sum((abs(Fraction(one)) for one in _flat(keys)), Fraction(0)) / (len(keys) * len(query))
    limits = [sum((abs(abs(Fraction(one * two)) - alpha * beta) for one, two in zip(query, key, strict=True)), Fraction(0)) for key in keys]
    counted = all(one == len(query) - 2 * two for one, two in zip(binary, disagree, strict=True)) and len(set(binary)) <= len(query) + 1
    near = all(abs(one - alpha * beta * two) <= limit for one, two, limit in zip(true, binary, limits, strict=True))
    pairs = itertools.permutations(range(len(keys)), 2)
    kept = all(binary[one] > binary[two] for one, two in pairs if true[one] - true[two] > limits[one] + limits[two])
    return exact.decided(counted and near and kept)


@derived(
    Claim(
        id="compression.binary-scores",
        title="Scores of binary queries and keys count agreeing signs: d + 1 values, and off by what the magnitudes vary",
        states="Binary attention: extreme quantisation to binary values.",
        reading="Queries and keys become ±1; beside the signs the query has one factor, α, and the keys have one, β.",
        precise=r"$\sigma_q\cdot\sigma_k = d - 2\,\#\{a : \mathrm{sign}\,q_a \ne \mathrm{sign}\,k_a\}$ takes at most $d + 1$ values, so of more than $d + 1$ "
        r"keys two get the same weight. And $|q\cdot k - \alpha\beta\,\sigma_q\cdot\sigma_k| \le \sum_a\bigl||q_a||k_a| - \alpha\beta\bigr|$: nothing is "
        r"lost if every $|q_a||k_a|$ is $\alpha\beta$. Two keys keep their order where their scores lie further apart than the sum of both bounds. In the "
        r"formula the agreement $(z_a - y_a)/2$ is ±1, its bound $(z_a + y_a)/2$ is 1, and $|q_a||k_a| - \alpha\beta = f_a - w_a$; before it the two scores "
        r"are $\alpha\beta b_1 + (l_1 - x_1)$ and $\alpha\beta b_2 - (l_2 - x_2)$, with binary scores $b_1, b_2$ and bounds $l_1, l_2$.",
        sources=(QUANTISED, RASTEGARI.at("Section 3")),
        scope="every d ≥ 1, all real queries and keys, every α, β > 0 (the exact check: the mean magnitudes); the sign of 0 is taken to be +1; one side",
        inventory=("C157",),
        holds=_binary_scores_hold,
    )
)
def binary_scores() -> Iterator[Step]:
    apart, agree, part = sp.IndexedBase("b", real=True), sp.IndexedBase("sigma", real=True), sp.IndexedBase("F", real=True)
    scale = sp.Symbol("alpha", positive=True) * sp.Symbol("beta", positive=True)
    yield Step(
        total(1 - 2 * apart[a], a), "=", d - 2 * total(apart[a], a), "a product of signs is 1 where they agree (b = 0) and −1 where they do not (b = 1); the "
        "last sum is one of 0, …, d",
    )  # fmt: skip
    yield Step(
        total(agree[a] * part[a], a) - scale * total(agree[a], a), "=", total(agree[a] * (part[a] - scale), a), "feature by feature, with q_a k_a = σ_a F_a "
        "and F_a = |q_a||k_a|",
    )  # fmt: skip
    one, two = sp.symbols("b_1 b_2", real=True)
    limit, limit2, slack, slack2 = sp.symbols("l_1 l_2 x_1 x_2", nonnegative=True)
    yield Step(
        (scale * one + (limit - slack)) - (scale * two - (limit2 - slack2)), "<=", scale * (one - two) + limit + limit2,
        "two scores, each within its bound: where the first exceeds the second by more than both bounds together, its binary score is the larger",
        certificate=slack + slack2,
    )  # fmt: skip
    yield Step(
        total((z[a] - y[a]) / 2 * (f[a] - w[a]), a), "<=", total((z[a] + y[a]) / 2 * (f[a] + w[a]), a), "a sign changes no size",
        certificate=total(y[a] * f[a] + z[a] * w[a], a),
    )  # fmt: skip


def _binary_order_holds(query: Sequence[int], keys: Whole) -> Outcome:
    """No key that scores lower than another gets the higher binary score."""
    binary, true = [dot(signs(query), signs(key)) for key in keys], [dot(query, key) for key in keys]
    return exact.decided(not any(binary[one] > binary[two] and true[one] < true[two] for one, two in itertools.permutations(range(len(keys)), 2)))


def _binary_order_worked(query: Sequence[int], keys: Whole) -> str:
    rows = "; ".join(f"k = {list(key)} scores {dot(query, key)}, its signs {signs(key)} score {dot(signs(query), signs(key))}" for key in keys)
    return f"Take q = {list(query)} with signs {signs(query)}. {rows}. Of two of these keys, the one with the lower score has the higher score of signs, and would get the larger weight."


@derived(
    Claim(
        id="compression.binary-order",
        title="Binary attention still attends more to the keys that score higher",
        states="(Implied; the text names no order of keys.) Attention can be quantised to the extreme, to binary values, and is attention still.",
        reading="Queries and keys are replaced by their signs. What should survive even an extreme quantisation is the order: a key that scores lower than "
        "another doesn't get the larger weight (that it may tie is granted).",
        precise=r"$\sum_a(\alpha\sigma_a)(\beta\kappa_a) - \sum_a(\alpha\sigma_a)(\beta\nu_a) = \alpha\beta\bigl(\sum_a\sigma_a\kappa_a - "
        r"\sum_a\sigma_a\nu_a\bigr)$: if all entries of the query have one magnitude, and all entries of all keys one magnitude, the binary scores are the "
        r"scores over $\alpha\beta > 0$, in the same order.",
        sources=(QUANTISED, RASTEGARI.at("Section 3")),
        scope="every d ≥ 1, all signs σ, κ, ν, every α, β > 0",
        inventory=("C157",),
        unsaid="magnitudes carry nothing: within the query, and within and between the keys, all entries have the same size",
        corrected_by="compression.binary-scores",
        holds=_binary_order_holds,
        worked=_binary_order_worked,
    )
)
def binary_order() -> Iterator[Step]:
    alpha, beta = sp.symbols("alpha beta", positive=True)
    one, two, three = (sp.IndexedBase(letter, real=True) for letter in ("sigma", "kappa", "nu"))
    yield Step(
        total(alpha * one[a] * beta * two[a], a) - total(alpha * one[a] * beta * three[a], a), "=",
        alpha * beta * (total(one[a] * two[a], a) - total(one[a] * three[a], a)), "the magnitudes come out of both sums",
    )  # fmt: skip


# --- heads (C158, C166) -----------------------------------------------------------------------------------------------------------------


def _heads_add_holds(heads: Whole, block: Whole, levels: Sequence[int]) -> Outcome:
    """Each head's output rounded with its own levels. Shapes: heads [h, d_v], block [h, d_v] (one column of W_O), levels [h]."""
    given = [[nearest(one, size(row), many) for one in row] for row, many in zip(heads, levels, strict=True)]
    off = sum((dot(one, part) - dot(row, part) for one, row, part in zip(given, heads, block, strict=True)), Fraction(0))
    alone = []
    for place in range(len(heads)):  # only this head rounded
        mixed = [given[one] if one == place else row for one, row in enumerate(heads)]
        alone.append(sum((dot(one, part) - dot(row, part) for one, row, part in zip(mixed, heads, block, strict=True)), Fraction(0)))
    limit = sum(
        (size(row) / (2 * many) * sum((abs(Fraction(one)) for one in part), Fraction(0)) for row, many, part in zip(heads, levels, block, strict=True)),
        Fraction(0),
    )
    return exact.decided(off == sum(alone, Fraction(0)) and abs(off) <= limit)


@derived(
    Claim(
        id="compression.heads-add",
        title="Heads may have different precisions: their errors add, each through its own block of the output projection",
        states="Adaptive precision: use different precisions for different heads.",
        reading="Each head is computed with an error of its own. What is asked is what that does to the layer's output.",
        precise=r"$\sum_g\hat H_gW_O^{(g)} - \sum_gH_gW_O^{(g)} = \sum_g(\hat H_g - H_g)W_O^{(g)}$, so with head $g$ off by at most $\eta_g$, an output is "
        r"off by at most $\sum_g\eta_g\sum_e|W_{ge}|$: no head's error depends on another's precision, and a head whose range times its block's sizes "
        r"is small needs fewer bits. In the formula the error is $(z_{ge} - y_{ge})/2$, $\eta_g = (z_{ge} + y_{ge})/2$, $W_{ge} = f_{ge} - w_{ge}$.",
        sources=(QUANTISED,),
        scope="every h, d_v ≥ 1, all real heads and blocks, one column of the output (the same holds for each); one side",
        inventory=("C158",),
        uses=("multi_head.concatenation-is-sum",),
        holds=_heads_add_holds,
    )
)
def heads_add() -> Iterator[Step]:
    H, W = sp.IndexedBase("H", real=True), sp.IndexedBase("W", real=True)
    E = sp.IndexedBase("E", real=True)
    yield Step(
        total(total((H[g, e] + E[g, e]) * W[g, e], e), g) - total(total(H[g, e] * W[g, e], e), g), "=", total(total(E[g, e] * W[g, e], e), g),
        "the layer is linear in its heads",
    )  # fmt: skip
    yield Step(
        total(total((z[g, e] - y[g, e]) / 2 * (f[g, e] - w[g, e]), e), g), "<=", total(total((z[g, e] + y[g, e]) / 2 * (f[g, e] + w[g, e]), e), g),
        "each product is at most the product of sizes", certificate=total(total(y[g, e] * f[g, e] + z[g, e] * w[g, e], e), g),
    )  # fmt: skip


def _bits_hold(costs: Sequence[int], bits: Sequence[int]) -> Outcome:
    """Σ c 2^(−b) against h times the geometric mean of its terms, which b_g = log₂ c_g + const with the same sum attains, if none of them is negative.

    Otherwise the heads with the smallest c get no bits: the best sum is then larger, and still no larger than what these bits give. Bits are at least 0.
    """
    many = len(costs)
    spent = sum((ball(Fraction(cost, 2**bit)) for cost, bit in zip(costs, bits, strict=True)), arb(0))
    mean_cost = (sum((ball(cost).log() for cost in costs), arb(0)) / many).exp()
    mean_bits = ball(Fraction(sum(bits), many))
    best = many * mean_cost * (-mean_bits * ball(2).log()).exp()
    adapted = [ball(cost).log() / ball(2).log() - mean_cost.log() / ball(2).log() + mean_bits for cost in costs]
    reached = sum((cost * (-bit * ball(2).log()).exp() for cost, bit in zip(costs, adapted, strict=True)), arb(0))
    equal = sum((cost * (-mean_bits * ball(2).log()).exp() for cost in costs), arb(0))
    ranked = sorted(costs, reverse=True)
    served = max(some for some in range(1, many + 1) if ranked[some - 1] ** some * 2 ** sum(bits) >= math.prod(ranked[:some]))
    terms = (sum((ball(cost).log() for cost in ranked[:served]), arb(0)) - sum(bits) * ball(2).log()) / served
    filled = served * terms.exp() + sum(ranked[served:])
    if served == many:
        allowed = Outcome.worst([exact.at_most([0] * many, adapted), exact.equal([filled], [best])])
    else:
        allowed = exact.decided(any(bool(bit < 0) for bit in adapted) and bool(filled > best))
    return Outcome.worst([allowed, exact.at_most([best, best, filled], [spent, equal, spent]), exact.equal([reached, sum(adapted, arb(0))], [best, sum(bits)])])


@derived(
    Claim(
        id="compression.bits-for-heads",
        title="Of all ways to share out enough bits, the one that makes every head's error bound equal is best",
        states="Adaptive precision: use different precisions for different heads.",
        reading="Head g with b_g bits has 2^(b_g − 1) − 1 levels on either side of 0 and contributes at most c_g 2^(−b_g) to the error bound, with c_g its "
        "range (largest minus smallest, 2A) times its block's sum of sizes: from b_g = 2 on by half a step, up to b_g = 1 because it is 0. The sum of the bits is given. (Between 1 "
        "and 2 bits there is no format; c_g 2^(−b_g) is then no bound of an error, only the share that is minimised.)",
        precise=r"$\sum_gc_g2^{-b_g} \ge h\,\bigl(\prod_gc_g\bigr)^{1/h}2^{-B/h}$ with $B = \sum_gb_g$, attained where all $c_g2^{-b_g}$ are equal, $b_g = "
        r"\log_2c_g + \text{const}$, if none of these is negative: $\log_2c_g \ge \frac1h\sum_l\log_2c_l - \frac Bh$ for every $g$. Otherwise the heads with the "
        r"smallest $c_g$ get 0 bits and the rest share as before (reverse water-filling), and the bound is not attained. With $B > 0$ equal bits are best only if all $c_g$ "
        r"are equal. In the formula a term is $m\,e^{x_g - \bar x}$, with $m$ the geometric mean of the terms; before it, $h$ heads with terms of $m$ and "
        r"further heads of $c_r = m\,e^{-w_r}$, no larger, get $x_r/\log 2$ bits that the former lose.",
        sources=(QUANTISED, COVER.at("Section 10.3.3")),
        scope="every h ≥ 1, all c_g > 0; a bound of the error for b_g in [0, 1] or b_g ≥ 2; real numbers of bits (whole ones may miss the optimum), attained only where no b_g is negative; a bound is "
        "minimised, not the error itself",
        inventory=("C158",),
        uses=("compression.heads-add",),
        holds=_bits_hold,
    )
)
def bits_for_heads() -> Iterator[Step]:
    place = sp.IndexedBase("x", real=True)
    mean = sp.Symbol("m", positive=True)
    centre = sp.Sum(place[l], (l, 1, h)) / h
    power = sp.exp(place[g] - centre)
    further = sp.Symbol("x", nonnegative=True)
    yield Step(
        largest, "<=", 2 * largest * sp.UnevaluatedExpr((1 + further) / 2), "b ≤ 1, 2^(−b) = (1 + x)/2: there are no levels, the head is 0 and off by A, at most the range 2A times 2^(−b)",
        certificate=largest * further,
    )  # fmt: skip
    yield Step(
        largest / (2 + further), "<=", 2 * largest / (4 + further), "half a step A/(2(2^(b − 1) − 1)) is at most the range over 2^b, with 2^b = 4 + x for b ≥ 2",
        certificate=largest * further / ((2 + further) * (4 + further)),
    )  # fmt: skip
    yield Step(total(place[g] - centre, g), "=", sp.Integer(0), "the logarithms of the terms, measured from their mean, add up to 0")
    yield from logarithm_below_line()
    given, smaller = x[r], mean * sp.exp(-w[r])
    lost = sp.exp(place[g] - centre + total(given, r) / h)
    yield Step(
        h * mean + total(smaller, r), "<=", total(mean * lost, g) + total(smaller * sp.exp(-given), r),
        "bits for a head whose c is at most m save less than they cost the others: 0 bits are best for it",
        certificate=mean * total(Excess(lost), g) + total(smaller * Excess(sp.exp(-given)), r) + total((mean - smaller) * given, r),
    )  # fmt: skip
    yield Step(
        h * mean, "<=", total(mean * power, g), "so e^y is at least 1 + y for each of them, with equality at y = 0", certificate=mean * total(Excess(power), g)
    )


def _pruned_heads_hold(weights: Whole, values: Whole, block: Sequence[int], dropped: Sequence[bool]) -> Outcome:
    """Heads of width one. Shapes: weights and values [h, n], block [h], dropped [h]: the change of one output against Σ over dropped of max|v| |W|."""
    outputs = [dot(row, column) / sum(row) for row, column in zip(weights, values, strict=True)]
    whole = dot(outputs, block)
    left = sum((one * part for one, part, gone in zip(outputs, block, dropped, strict=True) if not gone), Fraction(0))
    limit = sum((size(column) * abs(part) for column, part, gone in zip(values, block, dropped, strict=True) if gone), Fraction(0))
    return exact.decided(abs(whole - left) <= limit)


@derived(
    Claim(
        id="compression.pruned-heads",
        title="Removing heads changes an output by at most the sum of their largest values times their blocks",
        states="Remove less important attention heads.",
        reading="What is asked is how much a removed head can matter, judged by its values and its block of W_O, whatever its weights.",
        precise=r"Removing the heads $g \in D$ changes an output by $\sum_{g\in D}\sum_eH_{ge}W_{ge}$, at most $\sum_{g\in "
        r"D}\sum_e\max_j|v^{(g)}_{je}|\,|W_{ge}|$ in size, for every query and every pattern of weights. In the formula the sum is over the removed heads, "
        r"$H_{ge} = (z_{ge} - y_{ge})/2$, its bound $(z_{ge} + y_{ge})/2$, $W_{ge} = f_{ge} - w_{ge}$.",
        sources=(PRUNED, MICHEL.at("Section 2")),
        scope="any number of removed heads, every n, d_v ≥ 1, all real values and blocks, one output feature; one side",
        inventory=("C166",),
        uses=("multi_head.removing-a-head", "convexity.output-in-the-hull"),
        holds=_pruned_heads_hold,
    )
)
def pruned_heads() -> Iterator[Step]:
    top = sp.Symbol("M", positive=True)
    yield Step(
        total(softmax(s, j) * (top - x[j]), j), "<=", top, "a head's output is a mean of its values, at most the largest (and at least minus that)",
        certificate=total(softmax(s, j) * x[j], j),
    )  # fmt: skip
    yield Step(
        total(total((z[g, e] - y[g, e]) / 2 * (f[g, e] - w[g, e]), e), g), "<=", total(total((z[g, e] + y[g, e]) / 2 * (f[g, e] + w[g, e]), e), g),
        "what the removed heads would have added, feature by feature", certificate=total(total(y[g, e] * f[g, e] + z[g, e] * w[g, e], e), g),
    )  # fmt: skip


def _removed_layer_holds(weights: Whole, values: Whole, block: Sequence[int], residual: int) -> Outcome:
    """Heads of width one, shapes as above, and one feature of the input: the layer against the input alone, and against the layer without its heads."""
    outputs = [dot(row, column) / sum(row) for row, column in zip(weights, values, strict=True)]

    def layer(kept: Sequence[bool]) -> Fraction:
        return residual + dot([one if stays else Fraction(0) for one, stays in zip(outputs, kept, strict=True)], block)

    limit = sum((size(column) * abs(part) for column, part in zip(values, block, strict=True)), Fraction(0))
    change_ = layer([True] * len(block)) - residual
    alone = [layer([head == place for head in range(len(block))]) - residual for place in range(len(block))]
    return exact.decided(layer([False] * len(block)) == residual and change_ == sum(alone, Fraction(0)) and abs(change_) <= limit)


@derived(
    Claim(
        id="compression.removed-layer",
        title="Behind a residual connection, removing an attention layer is removing all its heads",
        states="Structured pruning: remove entire heads or layers.",
        reading="A layer maps x to x + f(x); removing it hands x on.",
        precise=r"With $f(x) = \sum_gH_gW_O^{(g)}$, removing the layer changes its output by $-f(x)$ and by nothing else: what removing all its heads does, so "
        r"at most by the sum of their bounds (compression.pruned-heads). Without the residual connection the two differ: a layer without heads gives 0, a "
        r"layer that is removed gives $x$. What later layers make of the change is not judged. In the formula $\rho = 1$ with the residual connection, 0 "
        r"without it, and the gate $z$ closes all heads.",
        sources=(PRUNED,),
        scope="every h, d_v ≥ 1, all real inputs, heads and blocks, one feature; a norm, if any, stands inside f, and the output projection has no bias",
        inventory=("C166",),
        uses=("multi_head.concatenation-is-sum", "compression.pruned-heads"),
        holds=_removed_layer_holds,
    )
)
def removed_layer() -> Iterator[Step]:
    H, W = sp.IndexedBase("H", real=True), sp.IndexedBase("W", real=True)
    gate, token, kept = sp.symbols("z x rho", real=True)
    heads = total(total(H[g, e] * W[g, e], e), g)
    output = kept * token + gate * heads
    yield Step(token - sp.Subs(sp.Subs(output, gate, 0), kept, 0), "=", token, "without the residual connection, no heads leave 0 where no layer leaves x")
    yield Step(token - sp.Subs(sp.Subs(output, gate, 0), kept, 1), "=", sp.Integer(0), "with it, both leave x")
    yield Step(token - sp.Subs(sp.Subs(output, gate, 1), kept, 1), "=", -heads, "so the layer's own part is what is lost")


def _same_mass_holds(heads: Sequence[Matrix]) -> Outcome:
    """The weights of each head add up to its number of queries. Shape: scores [h, m, n]."""
    masses = [sum((one for row in head for one in exact.softmax(row)), arb(0)) for head in heads]
    return exact.equal(masses, [len(head) for head in heads])


@derived(
    Claim(
        id="compression.heads-weigh-the-same",
        title="The total of its attention weights says nothing about which head to remove",
        states="Magnitude-based pruning: remove heads by the magnitudes of their attention weights.",
        reading="A head's importance is the total, or the mean, of its weights.",
        precise=r"$\sum_r\sum_jP_{rj} = m$ for every head: each of its $m$ rows sums to one, so all heads tie, whatever they compute. Other "
        r"summaries, such as the mean of the rows' largest weights, do differ between heads; what they say of removal is not judged here.",
        sources=(PRUNED, MICHEL.at("Section 2")),
        scope="softmax attention, every m, n ≥ 1, all real scores; every query sees some key",
        inventory=("C164",),
        uses=("softmax.row-sum",),
        holds=_same_mass_holds,
    )
)
def heads_weigh_the_same() -> Iterator[Step]:
    S = sp.IndexedBase("S", real=True)
    yield Step(total(total(sp.exp(S[r, j]) / total(sp.exp(S[r, l]), l), j), r), "=", m, "each row sums to one, and there are m rows")


# --- leaving keys out (C164, C165) ------------------------------------------------------------------------------------------------------

kept_weight, gone_weight = sp.IndexedBase("p", positive=True), sp.IndexedBase("q", positive=True)  # before they are divided by their sum
kept_value, gone_value = sp.IndexedBase("v", real=True), sp.IndexedBase("x", real=True)


def _mean(weights: Sequence[int], values: Sequence[int], kept: Sequence[int]) -> Fraction:
    """The mean of the values at the kept places, under their weights."""
    return Fraction(sum(weights[place] * values[place] for place in kept), sum(weights[place] for place in kept))


def _without(weights: Sequence[int], values: Sequence[int], gone: Sequence[int]) -> tuple[Fraction, Fraction]:
    """How the output moves without these keys: the other weights divided by their sum, and left as they are."""
    places = range(len(weights))
    kept = [place for place in places if place not in gone]
    output = _mean(weights, values, places)
    return _mean(weights, values, kept) - output, -Fraction(sum(weights[place] * values[place] for place in gone), sum(weights))


def _pruned_keys_hold(weights: Sequence[int], values: Sequence[int], one: int, two: int) -> Outcome:
    """−ε/(1 − ε) (x̄ − o), and the weights move by 2ε in sum: without the one key, without the other, without both (if a key is left)."""
    first, second = one % len(weights), two % len(weights)
    checks = []
    for gone in ({first}, {second}, {first, second}):
        if len(gone) == len(weights):
            continue
        lost = Fraction(sum(weights[place] for place in gone), sum(weights))
        output, mean = _mean(weights, values, range(len(weights))), _mean(weights, values, sorted(gone))
        renormalised, left = _without(weights, values, sorted(gone))
        rest = sum(weights) * (1 - lost)
        moved = sum(
            (Fraction(weight, sum(weights)) if place in gone else weight / rest - Fraction(weight, sum(weights)) for place, weight in enumerate(weights)),
            Fraction(0),
        )
        checks.append(renormalised == -lost / (1 - lost) * (mean - output) and left == -lost * mean and moved == 2 * lost)
    return exact.decided(all(checks))


@derived(
    Claim(
        id="compression.pruned-keys",
        title="What leaving keys out does: their odds times how far their mean value lies from the output",
        states="(Not in the text; it follows from the sum over keys.) What makes a key unimportant is its weight and its value.",
        precise=r"Keys of mass $\varepsilon < 1$ with mean value $\bar x$, left out: $o' - o = -\frac{\varepsilon}{1 - \varepsilon}(\bar x - o)$ if the "
        r"others are divided by their sum, and $\sum_j|p_j' - p_j| = 2\varepsilon$; $o' - o = -\varepsilon\bar x$ if they are not (the row then sums to $1 - "
        r"\varepsilon$). For a single key $\varepsilon = p_j$ and $\bar x = v_j$. A small weight is not enough: $p_j\|v_j - o\|$ can be largest where $p_j$ "
        r"is smallest. In the formula the kept keys have weights $p_j$ and values $v_j$, the left out $q_r$ and $x_r$.",
        sources=(PRUNED, KOBAYASHI.at("Section 3")),
        scope="at least one key kept and one left out, all positive weights (before they are divided by their sum), all real values, each coordinate",
        inventory=("C164", "C165"),
        holds=_pruned_keys_hold,
    )
)
def pruned_keys() -> Iterator[Step]:
    kept, gone = total(kept_weight[j], j), total(gone_weight[r], r)
    inside, outside = total(kept_weight[j] * kept_value[j], j), total(gone_weight[r] * gone_value[r], r)
    output, mean = (inside + outside) / (kept + gone), outside / gone
    yield Step(
        total(kept_weight[j] / kept - kept_weight[j] / (kept + gone), j) + total(gone_weight[r] / (kept + gone), r), "=", 2 * gone / (kept + gone),
        "what the left-out keys lose, the kept ones gain",
    )  # fmt: skip
    yield Step(inside / (kept + gone) - output, "=", -gone / (kept + gone) * mean, "without renormalising, their part of the sum is missing")
    yield Step(
        inside / kept - output,
        "=",
        -(gone / kept) * (mean - output),
        "the output is the mixture (1 − ε)·(mean of the kept) + ε·(mean of the left out), and ε/(1 − ε) is the ratio of the masses",
    )


def _small_weight_holds(weights: Sequence[int], values: Sequence[int], one: int, two: int) -> Outcome:
    """Of two keys, leaving out the lighter moves the output by no more; REFUTED only if it moves it by more with the rest renormalised and without."""
    first, second = one % len(weights), two % len(weights)
    if weights[first] == weights[second] or len(weights) < 2:
        return Outcome.HELD
    lighter, heavier = sorted((first, second), key=lambda place: weights[place])
    light, heavy = (_without(weights, values, [place]) for place in (lighter, heavier))
    return exact.decided(any(abs(small) <= abs(large) for small, large in zip(light, heavy, strict=True)))


def _small_weight_worked(weights: Sequence[int], values: Sequence[int], one: int, two: int) -> str:
    first, second = one % len(weights), two % len(weights)
    output = _mean(weights, values, range(len(weights)))
    told = []
    for place in sorted((first, second), key=lambda place: weights[place]):
        renormalised, left = _without(weights, values, [place])
        told.append(
            f"Without key {place + 1} (weight {Fraction(weights[place], sum(weights))}) it is {output + renormalised}, which is {abs(renormalised)} away, or "
            f"{output + left}, {abs(left)} away, if the other weights are not renormalised"
        )
    return (
        f"Take the weights {list(weights)} over their sum {sum(weights)} and the values {list(values)}: the output is {output}. "
        + ". ".join(told)
        + ". Leaving out the smaller weight changes the output by more, in both ways."
    )


@derived(
    Claim(
        id="compression.small-weight",
        title="A small attention weight marks an unimportant connection",
        states="Magnitude-based pruning: remove the less important connections, by the magnitudes of their attention weights.",
        reading="Of two keys of a row, leaving out the one with the smaller weight changes the output by no more than leaving out the other.",
        precise=r"$\frac{p}{1 - p}D \le \frac{p'}{1 - p'}D$ for weights $p \le p'$ of keys whose values lie equally far, $D$, from the output (without "
        r"renormalising: $p\,|v| \le p'\,|v|$ for values of equal size). In the formula the two weights are $w$ and $w + x$ before they are divided by their "
        r"sum, and the other keys have $r$ together.",
        sources=(PRUNED, KOBAYASHI.at("Section 3")),
        scope="every row of positive weights with a further key, all real values",
        inventory=("C164",),
        uses=("compression.pruned-keys",),
        unsaid="the values of the keys that are compared lie equally far from the output (without renormalising: are equally long)",
        corrected_by="compression.pruned-keys",
        holds=_small_weight_holds,
        worked=_small_weight_worked,
    )
)
def small_weight() -> Iterator[Step]:
    light, rest = sp.symbols("w r", positive=True)
    more, far = sp.symbols("x D", nonnegative=True)
    mass = 2 * light + more + rest
    small, large = light / mass, (light + more) / mass
    yield Step(small * far, "<=", large * far, "without renormalising, the change is the weight times the value's size", certificate=more * far / mass)
    yield Step(
        small / (1 - small) * far, "<=", large / (1 - large) * far, "p/(1 − p) grows with p",
        certificate=far * more * mass / ((light + rest) * (light + more + rest)),
    )  # fmt: skip


def _smallest_mass_holds(weights: Sequence[int], kept: int) -> Outcome:
    """Over all values in {0, 1}, the corners of [0, 1], and all sets of that many keys: the largest change is the set's mass, least for the lightest."""
    many = len(weights)
    keep = 1 + kept % many
    if keep == many:
        return Outcome.HELD
    worst: dict[tuple[int, ...], Fraction] = {}
    for gone in itertools.combinations(range(many), many - keep):
        worst[gone] = max(abs(_without(weights, values, gone)[0]) for values in itertools.product((0, 1), repeat=many))
    masses = {gone: Fraction(sum(weights[place] for place in gone), sum(weights)) for gone in worst}
    order = sorted(range(many), key=lambda place: weights[place])
    return exact.decided(worst == masses and worst[tuple(sorted(order[: many - keep]))] == min(worst.values()))


@derived(
    Claim(
        id="compression.smallest-mass",
        title="If nothing is known of the values but their extent, keeping the largest weights is best in the worst case",
        states="(Ours.) There is something that magnitude-based pruning by attention weights does minimise: the worst case.",
        reading="The worst case is taken over all values of a given extent R. A given number of keys is kept, and their weights are renormalised.",
        precise=r"Leaving out keys of mass $\varepsilon$ moves the output by at most $\varepsilon R$ (convexity.pruned-mass), and by exactly $\varepsilon R$ "
        r"where their values are $\mathrm{low} + R$ and all others $\mathrm{low}$. So the worst case is smallest for the set of smallest mass: the smallest "
        r"weights.",
        sources=(PRUNED, S1.at("Retrieval-Augmented Attention")),
        scope="at least one key kept and one left out, all positive weights, every extent R > 0",
        inventory=("C164", "C165"),
        uses=("convexity.pruned-mass",),
        holds=_smallest_mass_holds,
    )
)
def smallest_mass() -> Iterator[Step]:
    kept, gone = total(kept_weight[j], j), total(gone_weight[r], r)
    inside, outside = total(kept_weight[j] * base, j), total(gone_weight[r] * (base + reach), r)
    yield Step(
        (inside + outside) / (kept + gone) - inside / kept,
        "=",
        reach * gone / (kept + gone),
        "the left-out values all lie at one end of the interval, the kept ones at the other",
    )


# --- gradients and removal (C167) -------------------------------------------------------------------------------------------------------


def _gate(contributions: Whole, target: Sequence[int], place: int) -> tuple[Fraction, Fraction]:
    """The derivative of ½ Σ (y − t)² by the gate of one head at 1, and what closing the gate adds to the loss. Shapes: contributions [h, e], target [e]."""
    output = [sum(column) for column in zip(*contributions, strict=True)]
    own = contributions[place]

    def loss(gate: int) -> Fraction:
        return Fraction(sum((out - (1 - gate) * part - aim) ** 2 for out, part, aim in zip(output, own, target, strict=True)), 2)

    return (loss(2) - loss(0)) / 2, loss(0) - loss(1)  # a quadratic's slope at 1 is its central difference


def _gate_removed_holds(contributions: Whole, target: Sequence[int], one: int, two: int) -> Outcome:
    """For both heads: the slope is the inner product of error and contribution, and removal adds −slope + ½ ‖contribution‖²."""
    output = [sum(column) for column in zip(*contributions, strict=True)]
    checks = []
    for place in (one % len(contributions), two % len(contributions)):
        slope, added = _gate(contributions, target, place)
        own = contributions[place]
        inner = sum(part * (out - aim) for part, out, aim in zip(own, output, target, strict=True))
        checks.append(slope == inner and added == -slope + Fraction(sum(part * part for part in own), 2))
    return exact.decided(all(checks))


change, error, aim = sp.IndexedBase("c", real=True), sp.IndexedBase("y", real=True), sp.IndexedBase("t", real=True)


@derived(
    Claim(
        id="compression.gate-removed",
        title="Removing a head adds to a squared loss what its gradient predicts, and half its squared length on top",
        states="(Not in the text, which gives no criterion.) What the gradient by a head's gate says about its removal.",
        reading="A gate z multiplies the head's contribution c to the output y; z = 1 is the trained layer, z = 0 the layer without the head.",
        precise=r"For $L(z) = \frac12\|y - (1 - z)c - t\|^2$: $L'(1) = c\cdot(y - t)$ and $L(0) - L(1) = -L'(1) + \frac12\|c\|^2$. The prediction $-L'(1)$ "
        r"is always too small, by $\frac12\|c\|^2$: where the gradient is 0 removal still costs that much, and where $L'(1) = \frac12\|c\|^2$ it costs "
        r"nothing.",
        sources=(PRUNED, MICHEL.at("Section 4.1")),
        scope="every width, all real outputs, contributions and targets; squared loss of the layer's output",
        inventory=("C167",),
        uses=("collapse.gated-heads",),
        holds=_gate_removed_holds,
    )
)
def gate_removed() -> Iterator[Step]:
    gate = sp.Symbol("z", real=True)
    loss = total((error[e] - (1 - gate) * change[e] - aim[e]) ** 2, e) / 2
    slope = sp.Subs(sp.Derivative(loss, gate), gate, 1)
    yield Step(slope, "=", total(change[e] * (error[e] - aim[e]), e), "the chain rule at z = 1")
    yield Step(
        sp.Subs(loss, gate, 0) - sp.Subs(loss, gate, 1), "=", -slope + total(change[e] ** 2, e) / 2, "a parabola: its second derivative is ‖c‖² everywhere"
    )


def _gradient_ranks_holds(contributions: Whole, target: Sequence[int], one: int, two: int) -> Outcome:
    """Removing the head with the smaller gradient changes the loss by no more: in size, or with the signs of the prediction and of the change."""
    gates = [_gate(contributions, target, place % len(contributions)) for place in (one, two)]
    return exact.decided(not any(_misled(first, second) for first, second in (gates, reversed(gates))))


def _misled(first: tuple[Fraction, Fraction], second: tuple[Fraction, Fraction]) -> bool:
    """Whether the first has the smaller slope and the larger change, both in size and with the signs of the predicted and of the actual change."""
    (slope, added), (slope2, added2) = first, second
    return abs(slope) < abs(slope2) and -slope < -slope2 and abs(added) > abs(added2) and added > added2


def _gradient_ranks_worked(contributions: Whole, target: Sequence[int], one: int, two: int) -> str:
    output = [sum(column) for column in zip(*contributions, strict=True)]
    told = []
    for place in (one % len(contributions), two % len(contributions)):
        slope, added = _gate(contributions, target, place)
        told.append(f"Head {place + 1} has the gradient c·(y − t) = {slope}, which predicts a change of {-slope}; without the head the loss changes by {added}")
    return (
        f"Heads contribute {', '.join(str(list(own)) for own in contributions)} to the output y = {output}; the target is t = {list(target)}, the loss ½‖y − t‖² = {Fraction(sum((one - aim_) ** 2 for one, aim_ in zip(output, target, strict=True)), 2)}. "
        + ". ".join(told) + ". The removal of the head with the smaller gradient changes the loss by more."
    )  # fmt: skip


@derived(
    Claim(
        id="compression.gradient-ranks",
        title="Gradients tell which heads can be removed",
        states="Gradient-based pruning: remove the less important heads or connections, by their gradients.",
        reading="A head's importance is the size of the loss's derivative by a gate on it, at gate 1: of two heads, removing the one with the smaller "
        "derivative changes the loss by no more. Judged on the squared loss; a counterexample must fail with sizes as well as with signs (the smaller "
        "predicted change −L'(1), the smaller change).",
        precise=r"$L(0) - L(1) = -L'(1)$ where the loss is linear in the layer's output, $L = \sum_ea_ey_e$, and so in the gate: there gradients rank "
        r"removals exactly. With any curvature they need not (compression.gate-removed).",
        sources=(PRUNED, MICHEL.at("Section 4.1")),
        scope="every width, all real contributions; linear losses for the derivation, the squared loss for the counterexample",
        inventory=("C167",),
        unsaid="the loss is linear in the gate all the way from 1 to 0",
        corrected_by="compression.gate-removed",
        holds=_gradient_ranks_holds,
        worked=_gradient_ranks_worked,
    )
)
def gradient_ranks() -> Iterator[Step]:
    gate, slopes = sp.Symbol("z", real=True), sp.IndexedBase("a", real=True)
    loss = total(slopes[e] * (error[e] - (1 - gate) * change[e]), e)
    yield Step(
        sp.Subs(loss, gate, 0) - sp.Subs(loss, gate, 1), "=", -sp.Subs(sp.Derivative(loss, gate), gate, 1), "a linear function changes by its slope",
    )  # fmt: skip


def _connection_holds(weights: Sequence[int], values: Sequence[int], place: int) -> Outcome:
    """The derivative of (a + z b)/(c + z d) at z = 1, against the move when the key is left out."""
    place %= len(weights)
    if len(weights) == 1:
        return Outcome.HELD
    above, below = (
        sum(one for spot, one in enumerate(terms) if spot != place) for terms in ([a_ * b_ for a_, b_ in zip(weights, values, strict=True)], weights)
    )
    own = weights[place]
    slope = Fraction(own * values[place] * below - own * above, (below + own) ** 2)
    share = Fraction(own, sum(weights))
    removed = _without(weights, values, [place])[0]
    output = _mean(weights, values, range(len(weights)))
    return exact.decided(slope == share * (values[place] - output) and removed == -slope / (1 - share))


@derived(
    Claim(
        id="compression.gradient-of-a-connection",
        title="For a connection, the output's derivative gives the effect of removal on the output up to the factor 1/(1 − p)",
        states="The less important connections are removed, by their gradients.",
        reading="A gate z multiplies one key's weight before the row is divided by its sum; removal is z = 0.",
        precise=r"$\partial o/\partial z = p\,(x - o)$ at $z = 1$, and $o(0) - o(1) = -\dfrac{1}{1 - p}\,\dfrac{\partial o}{\partial z}$, for a key of "
        r"weight $p$ and value $x$: the direction is right, the size too small by the factor $1 - p$, so that gradients are good for small weights and say "
        r"little for a weight near 1. (Two keys of equal gradient may differ in effect.) A loss's gradient does so only as far as the loss is linear in the "
        r"output (compression.gate-removed).",
        sources=(PRUNED, MICHEL.at("Section 4.1")),
        scope="a key and any number n ≥ 1 of others, all positive weights, all real values; the output itself, one coordinate",
        inventory=("C167",),
        uses=("compression.pruned-keys", "compression.gate-removed"),
        holds=_connection_holds,
    )
)
def gradient_of_a_connection() -> Iterator[Step]:
    gate, own, value = sp.Symbol("z", nonnegative=True), sp.Symbol("q", positive=True), sp.Symbol("x", real=True)
    inside, kept = total(kept_weight[j] * kept_value[j], j), total(kept_weight[j], j)
    gated = (inside + gate * own * value) / (kept + gate * own)
    output, share = (inside + own * value) / (kept + own), own / (kept + own)
    slope = sp.Subs(sp.Derivative(gated, gate), gate, 1)
    yield Step(slope, "=", share * (value - output), "the quotient rule")
    yield Step(sp.Subs(gated, gate, 0) - sp.Subs(gated, gate, 1), "=", -slope / (1 - share), "against what leaving the key out does")


# --- distillation (C168, C169) ----------------------------------------------------------------------------------------------------------


def _divergence(teacher: Sequence[arb], student: Sequence[arb]) -> arb:
    """KL(teacher ‖ student)."""
    return sum((one * (one / two).log() for one, two in zip(teacher, student, strict=True)), arb(0))


def _student(scores: Sequence[int], changes: Sequence[int]) -> list[arb]:
    return exact.softmax([one + two for one, two in zip(scores, changes, strict=True)])


def _output(weights: Sequence[arb], values: Sequence[int]) -> arb:
    return sum((one * two for one, two in zip(weights, values, strict=True)), arb(0))


def _map_loss_holds(scores: Sequence[int], changes: Sequence[int], values: Sequence[int], differences: Sequence[int]) -> Outcome:
    """The loss is 0 exactly where the maps agree, (Σ|p − q|)² ≤ 2 KL, and the output's error is at most R √(KL/2) + max|v' − v|."""
    teacher, student = exact.softmax(scores), _student(scores, changes)
    loss = _divergence(teacher, student)
    same = exact.equal([loss], [0]) if len(set(changes)) == 1 else exact.decided(bool(loss > 0))
    other_values = [one + two for one, two in zip(values, differences, strict=True)]
    off = abs(_output(student, other_values) - _output(teacher, values))
    distance = sum((abs(one - two) for one, two in zip(teacher, student, strict=True)), arb(0))
    limit = ball(_extent(values)) * (loss.abs_upper() / 2).sqrt() + ball(size(differences))
    return Outcome.worst([same, exact.at_most([distance * distance, off], [2 * loss, limit])])


@derived(
    Claim(
        id="compression.map-loss",
        title="A small divergence of attention maps bounds the outputs' difference, if the values agree",
        states="(Not in the text, which gives no loss.) What matching attention maps transfers.",
        reading="The map loss is the divergence of a teacher's row p from its student's row q.",
        precise=r"$\bigl(\sum_j|p_j - q_j|\bigr)^2 \le 2\,\mathrm{KL}(p\|q)$ (Pinsker), so the loss is 0 exactly where the maps agree; and $|o' - o| \le "
        r"R\sqrt{\mathrm{KL}/2} + \max_j|v'_j - v_j|$ in each coordinate, $R$ the extent of the teacher's values. In the formula $D_j = p_j - q_j$, $X_j = 1 "
        r"- 2e^{-x_j}$ is the value's place between −1 and 1, $a_j = (2p_j + 4q_j)/3$ (sum 2), and $D_j^2/a_j + g_j = p_j\log\frac{p_j}{q_j} - p_j + q_j$ "
        r"(sum KL).",
        sources=(DISTILLED, COVER.at("Lemma 11.6.1"), MINILM.at("Section 3.1")),
        scope="every n ≥ 1, all real scores of both, all real values (values at the lower end by continuity)",
        inventory=("C168", "C169"),
        holds=_map_loss_holds,
    )
)
def map_loss() -> Iterator[Step]:
    ratio, one, two = sp.symbols("t p q", positive=True)
    beyond = ratio * sp.log(ratio) - ratio + 1 - 3 * (ratio - 1) ** 2 / (2 * ratio + 4)
    yield Step(
        sp.Integer(0), "<=", sp.Derivative(beyond, ratio, 2), "φ(t) = t log t − t + 1 − 3(t − 1)²/(2t + 4) is convex",
        certificate=(ratio - 1) ** 2 * (ratio + 8) / (ratio * (ratio + 2) ** 3),
    )  # fmt: skip
    yield Step(sp.Subs(beyond, ratio, 1) ** 2 + sp.Subs(sp.Derivative(beyond, ratio), ratio, 1) ** 2, "=", sp.Integer(0), "and it is 0 at t = 1, with slope 0")
    yield Step(sp.Integer(0), "<=", beyond, "so it is nowhere negative: a convex function lies above its tangent", cites=COVER.at("Section 2.6"))
    weight = (2 * one + 4 * two) / 3
    yield Step(
        two * beyond.subs(ratio, one / two), "=", one * sp.log(one / two) - one + two - (one - two) ** 2 / weight,
        "with t = p_j/q_j, times q_j: this is g_j",
    )  # fmt: skip
    scores = sp.IndexedBase("s'", real=True)  # the student's
    yield Step(total((2 * softmax(s, j) + 4 * softmax(scores, j)) / 3, j), "=", sp.Integer(2), "both rows sum to one")
    yield Step(
        total(softmax(scores, j) * (largest - y[j]), j),
        "<=",
        largest,
        "the student's mean of v' − v is at most its largest size",
        certificate=total(softmax(scores, j) * y[j], j),
    )
    D, A, G = sp.IndexedBase("D", real=True), sp.IndexedBase("a", positive=True), sp.IndexedBase("g", nonnegative=True)
    place = 1 - 2 * sp.exp(-x[j])
    there = 1 - 2 * sp.exp(-x[l])
    pairs = total(total(A[j] * A[l] * (D[j] * place / A[j] - D[l] * there / A[l]) ** 2, l), j) / 2
    inner = total(4 * D[j] ** 2 / A[j] * sp.exp(-x[j]) * (1 - sp.exp(-x[j])), j) + total(G[j], j)
    yield Step(
        total(D[j] * place, j) ** 2, "<=", total(A[j], j) * total(D[j] ** 2 / A[j] + G[j], j), "Cauchy and Schwarz, and X² ≤ 1",
        certificate=pairs + total(A[j], j) * inner,
    )  # fmt: skip


def _equal_maps_holds(scores: Sequence[int], changes: Sequence[int], values: Sequence[int], differences: Sequence[int]) -> Outcome:
    """Where teacher and student have the same map, they have the same output."""
    if len(set(changes)) > 1:
        return Outcome.HELD
    other_values = [one + two for one, two in zip(values, differences, strict=True)]
    return exact.equal([_output(_student(scores, changes), other_values)], [_output(exact.softmax(scores), values)])


def _equal_maps_worked(scores: Sequence[int], changes: Sequence[int], values: Sequence[int], differences: Sequence[int]) -> str:
    other_values = [one + two for one, two in zip(values, differences, strict=True)]
    teacher = exact.softmax(scores)
    return (
        f"The teacher's scores are {list(scores)}, the student's {[one + two for one, two in zip(scores, changes, strict=True)]}: both have the map "
        f"[{', '.join(exact.show(one) for one in teacher)}], the map loss is 0. With the teacher's values {list(values)} and the student's {other_values} "
        f"the outputs are {exact.show(_output(teacher, values))} and {exact.show(_output(teacher, other_values))}."
    )


@derived(
    Claim(
        id="compression.equal-maps",
        title="A student with its teacher's attention maps does what its teacher's attention does",
        states="Training smaller models to mimic the attention patterns of larger ones gives similar performance.",
        reading="Of performance only this is judged: a student whose attention maps equal its teacher's computes the same attention outputs.",
        precise=r"$\sum_jq_jv_j = \sum_jp_jv_j$ where the maps agree, as for scores that differ by one constant a row, if the values agree as well. A map "
        r"loss does not see the values: with other values the outputs may differ by any amount, at loss 0. (MiniLM adds a loss of its own for how the values "
        r"relate to one another.)",
        sources=(DISTILLED, MINILM.at("Sections 3.1 and 3.2")),
        scope="every n ≥ 1, all real scores and values",
        inventory=("C169",),
        uses=("softmax.shift",),
        unsaid="the student has its teacher's values too",
        corrected_by="compression.map-loss",
        holds=_equal_maps_holds,
        worked=_equal_maps_worked,
    )
)
def equal_maps() -> Iterator[Step]:
    shift = sp.Symbol("b", real=True)
    yield Step(
        total(sp.exp(s[j] + shift) * v[j], j) / total(sp.exp(s[l] + shift), l), "=", total(sp.exp(s[j]) * v[j], j) / total(sp.exp(s[l]), l),
        "one map, and one set of values",
    )  # fmt: skip


def _same_map_holds(query: Sequence[int], keys: Whole, factors: Sequence[Fraction], shift: Sequence[int]) -> Outcome:
    """Queries times the factors, feature by feature, and keys over them, all moved by one vector: the map stays."""
    stretched = [one * factor for one, factor in zip(query, factors, strict=True)]
    moved = [[one / factor + more for one, factor, more in zip(key, factors, shift, strict=True)] for key in keys]
    return exact.equal(exact.softmax([dot(stretched, key) for key in moved]), exact.softmax([dot(query, key) for key in keys]))


@derived(
    Claim(
        id="compression.map-does-not-identify",
        title="An attention map does not determine the queries and keys behind it",
        states="Attention transfer: learned attention patterns are transferred.",
        reading="What a student with its teacher's maps need not have learned: the teacher's queries and keys.",
        precise=r"Queries with $q_a \to t_aq_a$ and keys with $k_{ja} \to k_{ja}/t_a + b_a$ give the same map, for all $t_a > 0$ and all $b$, one vector for "
        r"all keys. (The name of attention transfer is from convolutional networks, whose maps are sums over channels of powers of activations.)",
        sources=(DISTILLED, ZAGORUYKO.at("Section 3.1")),
        scope="every m, n, d, all real queries, keys and shifts, positive factors",
        inventory=("C168",),
        uses=("softmax.shift",),
        holds=_same_map_holds,
    )
)
def map_does_not_identify() -> Iterator[Step]:
    factor, shift = sp.IndexedBase("t", positive=True), sp.IndexedBase("b", real=True)

    def moved(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(Q[r, a] * factor[a] * (K[key, a] / factor[a] + shift[a]), a))

    def true(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(Q[r, a] * K[key, a], a))

    yield Step(
        moved(j) / total(moved(l), l), "=", true(j) / total(true(l), l), "the factors cancel, and what the shift adds is the same for every key of a row"
    )


def _map_gradient_holds(scores: Sequence[int], target: Sequence[int], place: int) -> Outcome:
    """The derivatives of both losses by one score, by a power series, against the formulas. `target` holds the teacher's weights times a constant."""
    place %= len(scores)
    goal = [ball(Fraction(one, sum(target))) for one in target]
    student = exact.softmax(scores)
    moved = [arb_series([ball(one), arb(spot == place)], prec=2).exp() for spot, one in enumerate(scores)]
    mass = sum(moved[1:], moved[0])
    rows = [one / mass for one in moved]
    cross = -sum((aim_ * row.log()[1] for aim_, row in zip(goal, rows, strict=True)), arb(0))
    squared = sum(((one - aim_) * row[1] for aim_, row, one in zip(goal, rows, student, strict=True)), arb(0))
    gaps = [one - aim_ for one, aim_ in zip(student, goal, strict=True)]
    own = student[place] * (gaps[place] - _inner(student, gaps))
    return Outcome.worst([exact.equal([cross, squared], [gaps[place], own]), exact.at_most(abs(squared), 2 * student[place])])


def _inner(left: Sequence[arb], right: Sequence[arb]) -> arb:
    return sum((one * two for one, two in zip(left, right, strict=True)), arb(0))


@derived(
    Claim(
        id="compression.map-loss-gradient",
        title="The divergence of maps pulls every score until the maps agree; the squared difference lets go of weights near 0",
        states="A student is trained to match its teacher's attention maps; the text does not say by which loss.",
        precise=r"With the teacher's row $t$ and the student's $p = \mathrm{softmax}(s)$: $\partial\,\mathrm{KL}(t\|p)/\partial s_i = p_i - t_i$, which is 0 "
        r"for every key only where the maps agree (so is the other one's, as all $p_i > 0$, but it may be as small as $p_i$). $\partial\,\frac12\sum_j(p_j - t_j)^2/\partial s_i = p_i\bigl((p_i - t_i) - \sum_jp_j(p_j - t_j)\bigr)$, "
        r"at most $2p_i$ in size: a key that the student has given up is hardly pulled back, however much the teacher attends to it. In the step for that bound "
        r"$p_j - t_j$ is $1 - w$ at key $i$ and $x_j - 1$ in the mean; in the formula the teacher's row is softmax of $s'$.",
        sources=(DISTILLED, MINILM.at("Section 3.1")),
        scope="every n ≥ 1, all real scores of both (the teacher's row is softmax of s'); upper side of the last bound (the lower is its mirror image)",
        inventory=("C168",),
        uses=("softmax.jacobian",),
        holds=_map_gradient_holds,
    )
)
def map_loss_gradient() -> Iterator[Step]:
    scores = sp.IndexedBase("s'", real=True)  # the teacher's
    teacher, student, own, goal = softmax(scores, j), softmax(s, j), softmax(s, i), softmax(scores, i)
    gap = student - teacher
    yield Step(
        sp.Derivative(total(gap**2, j) / 2, s[i]), "=", own * (own - goal - total(student * gap, j)), "the Jacobian of softmax applied to the difference",
    )  # fmt: skip
    slack, weight = sp.Symbol("w", nonnegative=True), sp.Symbol("p_i", positive=True)
    yield Step(
        weight * ((1 - slack) - total(student * (x[j] - 1), j)), "<=", 2 * weight, "no difference of weights exceeds 1",
        certificate=weight * (slack + total(student * x[j], j)),
    )  # fmt: skip
    yield Step(total(gap, j), "=", sp.Integer(0), "so if p_i − t_i equals its mean for every key, it is 0: then the maps agree")
    yield Step(
        sp.Derivative(total(teacher * sp.log(teacher / student), j), s[i]), "=", own - goal, "the log of a softmax has the derivative δ − p, and the "
        "teacher's weights sum to one",
    )  # fmt: skip


def _centred(queries: Whole, keys: Whole) -> list[list[Fraction]]:
    """Scores less the mean of their row: what a row of weights determines of them."""
    rows = [[dot(query, key) for key in keys] for query in queries]
    return [[one - sum(row, Fraction(0)) / len(row) for one in row] for row in rows]


def _factors(rows: Sequence[Sequence[Fraction]]) -> tuple[list[list[Fraction]], list[list[Fraction]]]:
    """A and B with rows = A B, as narrow as can be: B is the reduced row echelon form, A the columns of its pivots (one of zeros for rank 0)."""
    reduced = [list(row) for row in rows]
    pivots: list[int] = []
    for column in range(len(rows[0])):
        done = len(pivots)
        if (found := next((place for place in range(done, len(rows)) if reduced[place][column]), None)) is None:
            continue
        reduced[done], reduced[found] = reduced[found], reduced[done]
        reduced[done] = [one / reduced[done][column] for one in reduced[done]]
        for place in range(len(rows)):
            if place != done:
                reduced[place] = [one - reduced[place][column] * two for one, two in zip(reduced[place], reduced[done], strict=True)]
        pivots.append(column)
    if not pivots:
        return [[Fraction(0)] for _ in rows], [[Fraction(0)] * len(rows[0])]
    return [[row[column] for column in pivots] for row in rows], reduced[: len(pivots)]


def _student_width_holds(queries: Whole, keys: Whole, width: int) -> Outcome:
    """A student as wide as the centred scores' rank has the teacher's map; a narrower one has centred scores of smaller rank, so another map."""
    centred = _centred(queries, keys)
    own, basis = _factors(centred)
    teacher = [exact.softmax(row) for row in exact.scores(queries, keys)]
    student = [exact.softmax(row) for row in exact.scores(own, [list(column) for column in zip(*basis, strict=True)])]
    narrow = [exact.softmax(row) for row in exact.scores([query[:width] for query in queries], [key[:width] for key in keys])]  # keeps the first features
    apart = any(bool(one < two) or bool(one > two) for first, second in zip(teacher, narrow, strict=True) for one, two in zip(first, second, strict=True))
    counted = len(basis) == max(1, rank(centred)) and rank(centred) <= min(len(queries), len(keys) - 1, len(keys[0]))
    return Outcome.worst([exact.equal(teacher, student), exact.decided(counted and (apart or rank(centred) <= width))])


@derived(
    Claim(
        id="compression.student-width",
        title="The narrowest student with its teacher's map is as wide as the rank of the centred scores",
        states="(Not in the text, which names no size.) How narrow a student with exactly its teacher's attention patterns can be.",
        reading="Smaller means narrower queries and keys in a head; the student may have any queries and keys of its width, and its map shall equal the teacher's.",
        precise=r"A row of weights determines its scores up to one constant, hence $S_{rj} - \frac1n\sum_lS_{rl} = \log P_{rj} - \frac1n\sum_l\log P_{rl} = "
        r"q_r\cdot(k_j - \bar k)$. So a student of width $d'$ with the same map exists exactly if this matrix is a product through $d'$ features, that is if "
        r"its rank is at most $d'$ (any width does for rank 0); the rank is at most $\min(m, n - 1, d)$. In the formula the centred scores meet any vector "
        r"$z$.",
        sources=(DISTILLED, HORN.at("Section 0.4.6")),
        scope="every m, n, d, all real queries and keys, no mask; exact equality of maps (approximations are not excluded); for one input: a model's projections must do it for every input at once",
        inventory=("C168",),
        holds=_student_width_holds,
    )
)
def student_width() -> Iterator[Step]:
    weight = softmax(s, j)
    yield Step(
        sp.log(weight) - total(sp.log(softmax(s, k)), k) / n,
        "=",
        s[j] - total(s[k], k) / n,
        "the log of the divisor is common to the row and drops out: the map determines the centred scores",
    )
    shift = total(s[k], k) / n
    yield Step(sp.exp(s[j] - shift) / total(sp.exp(s[l] - shift), l), "=", weight, "and the centred scores determine the map")
    dual = sp.IndexedBase("z", real=True)
    score = total(Q[r, a] * K[j, a], a) - total(total(Q[r, a] * K[l, a], a), l) / n
    yield Step(total(score, j), "=", sp.Integer(0), "each centred row adds up to 0, so the rank is below n")
    centre = K[j, a] - total(K[l, a], l) / n
    yield Step(
        total(score * dual[j], j), "=", total(Q[r, a] * total(centre * dual[j], j), a),
        "centred scores are queries times centred keys: they act on z through d' numbers alone, so of a student of width d' they have rank at most d' (and "
        "every matrix of that rank is such a product)",
    )  # fmt: skip


def _narrow_student_holds(places: Sequence[int], aims: Sequence[int], sharpness: int, miss: Fraction) -> Outcome:
    """Keys of the unit circle at the places, queries along the keys that they aim at: each row's weight there, and with t = log((n − 1)/miss)/δ."""
    keys = [(Fraction(1 - place**2, 1 + place**2), Fraction(2 * place, 1 + place**2)) for place in places]
    others = len(keys) - 1
    limits, weights = [], []
    for aim_ in aims:
        own = aim_ % len(keys)
        cosines = [dot(keys[own], key) for key in keys]
        delta = ball(1 - max(cosines[:own] + cosines[own + 1 :]))
        sharp = (ball(others) / ball(miss)).log() / delta
        weights += [exact.softmax([times * ball(one) for one in cosines])[own] for times in (ball(sharpness), sharp)]
        limits += [1 / (1 + others * (-sharpness * delta).exp()), ball(1 - miss)]
    return exact.at_most(limits, weights)


@derived(
    Claim(
        id="compression.narrow-student",
        title="A student of width 2 comes as near as one likes to any pattern in which each query attends to one key",
        states="Smaller models are trained to mimic the attention patterns of larger ones, that is to come near them.",
        reading="Smaller means narrower queries and keys in a head. The pattern to come near to is any choice of one key for each query.",
        precise=r"Let the keys be distinct unit vectors of the plane and let a query be $q = t\,k_i$, $t > 0$. The weight of key $i$ is at least "
        r"$\frac{1}{1 + (n - 1)e^{-t\delta}}$ with $\delta = 1 - \max_{j \ne i}k_i\cdot k_j > 0$, which tends to 1: it is at least $1 - \eta$ from $t = "
        r"\frac1\delta\log\frac{n - 1}{\eta}$ on. So width 2 is enough for any such pattern, permutations of rank $n$ included, though no student of that "
        r"width has exactly the map of a teacher whose centred scores have a higher rank (compression.student-width). In the formula there are $n$ other keys, and $k_i\cdot k_j = 1 "
        r"- \delta - x_j$.",
        sources=(DISTILLED,),
        scope="every m, every n ≥ 2, every choice of one key for each query (under a causal mask, of a visible key: to hide others only helps); patterns in which a query "
        "attends to several keys are not judged; for one input: a model's projections must do it for every input at once",
        inventory=("C168",),
        holds=_narrow_student_holds,
    )
)
def narrow_student() -> Iterator[Step]:
    one, two = sp.symbols("u_i u_j", real=True)
    cosine = ((1 - one**2) * (1 - two**2) + 4 * one * two) / ((1 + one**2) * (1 + two**2))
    yield Step(
        1 - cosine, "=", 2 * (one - two) ** 2 / ((1 + one**2) * (1 + two**2)),
        "keys ((1 − u²)/(1 + u²), 2u/(1 + u²)) are unit vectors, as many as one likes, and no two of them have the cosine 1",
    )  # fmt: skip
    sharp, gap, eta = sp.symbols("t delta eta", positive=True)
    away = sp.exp(-sharp * gap)
    yield Step(1 - eta, "<=", 1 / (1 + eta), "with η = (n − 1) exp(−tδ), so from t = log((n − 1)/η)/δ on", certificate=eta**2 / (1 + eta))
    mass = total(sp.exp(sharp * (1 - gap - x[j])), j)
    own = sp.exp(sharp)
    below = 1 + total(away * sp.exp(-sharp * x[j]), j)
    yield Step(
        1 / (1 + n * away), "<=", own / (own + mass), "the others score at least tδ less",
        certificate=total(away * (1 - sp.exp(-sharp * x[j])), j) / ((1 + n * away) * below),
    )  # fmt: skip


def _smaller_student_holds(queries: Whole, keys: Whole, width: int) -> Outcome:
    """Whether some student of that width has the teacher's map."""
    return exact.decided(rank(_centred(queries, keys)) <= width)


def _smaller_student_worked(queries: Whole, keys: Whole, width: int) -> str:
    rows = _centred(queries, keys)
    shown = "; ".join("[" + ", ".join(map(str, row)) + "]" for row in rows)
    return (
        f"The teacher has queries {', '.join(str(list(one)) for one in queries)} and keys {', '.join(str(list(one)) for one in keys)}. Its scores less their "
        f"row's mean are {shown}, of rank {rank(rows)}. A student with the same map has the same centred scores; but with width {width} these are products "
        f"of vectors with {width} {'entry' if width == 1 else 'entries'}, of rank at most {width}."
    )


@derived(
    Claim(
        id="compression.smaller-student",
        title="A smaller student can have exactly its teacher's attention maps",
        states="(Not in the text, which asks for likeness; our note on its strictest form.) A smaller student can have exactly its teacher's maps.",
        reading="Smaller means narrower queries and keys in a head, and to mimic is taken at its strictest: a student can be found whose map equals its "
        "teacher's, so that the loss can be brought to 0. How near a narrower one can come is another question (compression.narrow-student).",
        precise=r"$\mathrm{softmax}\bigl(\sum_{c \le d'}A_{rc}B_{cj}\bigr)$ is the teacher's map if the teacher's centred scores are $\sum_{c \le "
        r"d'}A_{rc}B_{cj}$, that is of rank at most $d'$, the student's width. Else no student of that width has it. It may come near: a student of width 2 comes "
        r"as near as one likes to any pattern in which each query attends to one key, whatever the rank (compression.narrow-student).",
        sources=(DISTILLED,),
        scope="every m, n, d, d', all real queries and keys, no mask; exact equality of maps; for one input: a model's projections must do it for every input at once",
        uses=("compression.student-width", "compression.narrow-student"),
        unsaid="the teacher's scores, less their rows' means, have a rank of at most the student's width",
        corrected_by="compression.student-width",
        holds=_smaller_student_holds,
        worked=_smaller_student_worked,
    )
)
def smaller_student() -> Iterator[Step]:
    A, B, constant = sp.IndexedBase("A", real=True), sp.IndexedBase("B", real=True), sp.IndexedBase("b", real=True)
    yield Step(
        sp.exp(constant[r] + total(A[r, a] * B[a, j], a)) / total(sp.exp(constant[r] + total(A[r, a] * B[a, l], a)), l), "=",
        sp.exp(total(A[r, a] * B[a, j], a)) / total(sp.exp(total(A[r, a] * B[a, l], a)), l),
        "a teacher's scores are its centred scores and one constant a row, which changes no weight",
    )  # fmt: skip


simpler_models = Claim(
    id="compression.simpler-models",
    title="Distilled models perform similarly and are easier to interpret",
    states="Benefits of distilling attention: smaller models with similar performance, and simpler models are easier to interpret.",
    precise="No measure of performance, of simplicity or of how easily a person interprets a model is given.",
    sources=(DISTILLED,),
    scope="—",
    inventory=("C169",),
    not_checkable="Performance is that of trained models on a task, and ease of interpretation that of a reader: neither follows from what the layer "
    "computes. What can be checked is whether a student with its teacher's maps has its outputs (compression.equal-maps), how far they may differ "
    "(compression.map-loss), how narrow a student can have the same maps at all (compression.student-width), and how near a narrow one can come "
    "(compression.narrow-student).",
)
