"""Mutual information of attention: with positions, with labels, between outputs and values. In nats, 0 log 0 = 0.

A row r is chosen with probability ω_r, and then a position by the weights P[r, j]: what is attended is a random variable, and q_j its distribution.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import permutations, product
from math import comb
from typing import Any

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.entropy import Excess, entropy, logarithm_below_line
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import COVER, S0, S2, Source
from theorems.step import Step
from theorems.symbols import P, a, b, i, j, k, l, n, r, s, softmax, t, total

MILLER = Source(key="miller1955", title="Note on the bias of information estimates (in: Information Theory in Psychology)")
TISHBY = Source(key="tishby1999", title="The information bottleneck method", url="https://arxiv.org/abs/physics/0004057")

Row = Sequence[int]
Weights = Sequence[Fraction]
Joint = Mapping[tuple[object, object], Fraction]

w = sp.IndexedBase("omega", positive=True)  # how often each row is chosen


def entropy_of(table: Mapping[Any, Fraction]) -> arb:
    return exact.entropy([x for x in table.values() if x])


def margin(joint: Joint, place: int) -> dict[object, Fraction]:
    """The distribution of the first (0) or second (1) variable."""
    found: dict[object, Fraction] = {}
    for pair, probability in joint.items():
        found[pair[place]] = found.get(pair[place], Fraction(0)) + probability
    return found


def mutual_information(joint: Joint) -> arb:
    """Σ p log(p/(p₁ p₂)) over the pairs of positive probability."""
    first, second = margin(joint, 0), margin(joint, 1)
    ratios = ((p, p / (first[a] * second[b])) for (a, b), p in joint.items() if p)
    return sum((ball(p) * ball(ratio).log() for p, ratio in ratios), arb(0))


def of_rows(rows: Sequence[Weights]) -> dict[tuple[object, object], Fraction]:
    """Attended position and row, every row equally often."""
    return {(key, row): Fraction(p) / len(rows) for row, weights in enumerate(rows) for key, p in enumerate(weights)}


def _identity_holds(rows: Sequence[Weights]) -> Outcome:
    joint = of_rows(rows)
    conditional = sum((exact.entropy([x for x in row if x]) for row in rows), arb(0)) / len(rows)
    return exact.equal(mutual_information(joint), entropy_of(margin(joint, 0)) - conditional)


attended = total(w[t] * P[t, j], t)  # q_j


@derived(
    Claim(
        id="information.with-position",
        title="The mutual information of attention and position is the entropy of the mean row less the mean entropy of the rows",
        states="I(Attention; Position) = H(Attention) − H(Attention | Position).",
        reading="Position is a query position, drawn with some probability, and Attention the position that its row attends, drawn by the row's weights. (Read as the row of "
        "weights itself: for a fixed input it is a function of the position, so H(Attention | Position) = 0, and the information is H(Attention), log n for n positions with n different rows, "
        "however little they differ.)",
        precise=r"$\sum_r\omega_r\sum_jP_{rj}\log\frac{P_{rj}}{q_j}=-\sum_jq_j\log q_j+\sum_r\omega_r\sum_jP_{rj}\log P_{rj}$, $q_j=\sum_r\omega_rP_{rj}$.",
        sources=(S0.at("Mutual Information in Attention"), COVER.at("Theorem 2.4.1")),
        scope="any number of rows and keys, every positive weight and frequency (zero weights add nothing to any sum)",
        inventory=("C028",),
        uses=("entropy.js-is-mutual-information",),
        holds=_identity_holds,
    )
)
def with_position() -> Iterator[Step]:
    divergence = total(total(w[r] * P[r, j] * sp.log(P[r, j] / attended), j), r)
    within = total(total(w[r] * P[r, j] * sp.log(P[r, j]), j), r)
    yield Step(divergence, "=", entropy(attended, j) + within, "the terms in log q_j, summed over rows, are those of the entropy of the mean row")


def _similar(tokens: Row, sharpness: int) -> list[list[arb]]:
    """Weights of rows that score by content alone: sharpness · x_i x_j."""
    return [exact.softmax([sharpness * one * other for other in tokens]) for one in tokens]


def information_of(rows: Sequence[Sequence[arb]]) -> arb:
    """The same for weights that are balls, every row equally often."""
    mean = [sum(column, arb(0)) / len(rows) for column in zip(*rows, strict=True)]
    return exact.entropy(mean) - sum((exact.entropy(row) for row in rows), arb(0)) / len(rows)


def _blind(tokens: Row, sharpness: int) -> bool:
    """Whether weights follow their tokens wherever these stand: reversing the sequence reverses rows and columns."""
    before, after = _similar(tokens, sharpness), _similar(tuple(reversed(tokens)), sharpness)
    return exact.equal([list(reversed(row)) for row in reversed(after)], before) is Outcome.HELD


def _indicates_position(tokens: Row, sharpness: int) -> Outcome:
    """More than half of the largest information there can be, log n, is reached only by weights that depend on where tokens stand."""
    if not _blind(tokens, sharpness):
        return Outcome.HELD
    return exact.at_most(information_of(_similar(tokens, sharpness)), ball(len(tokens)).log() / 2)


def _indicates_position_by_hand(tokens: Row, sharpness: int) -> str:
    rows = "; ".join(", ".join(exact.show(p) for p in row) for row in _similar(tokens, sharpness))
    return (
        f"Tokens {list(tokens)}, scores {sharpness}·x_i x_j and nothing else: no position enters. The rows of weights are [{rows}]; their information with "
        f"the position is "
        f"{exact.show(information_of(_similar(tokens, sharpness)))}, of at most log {len(tokens)} = {exact.show(ball(len(tokens)).log())}. Each row differs because each token does. "
        "In another order the same tokens attend as before, wherever they now stand."
    )


def _rows_differ() -> Iterator[Step]:
    yield from logarithm_below_line()
    often = sp.IndexedBase("x", real=True)
    yield Step(total(sp.exp(often[r]) / total(sp.exp(often[t]), t), r), "=", sp.Integer(1), "frequencies sum to one, rows and the mean row do too")
    q = sp.IndexedBase("q", positive=True)
    same = sp.exp(often[t]) / total(sp.exp(often[r]), r) * q[j]  # what row t adds to the mean row, if all rows are q
    yield Step(
        total(total(same * sp.log(q[j] / total(same, t)), j), t),
        "=",
        sp.Integer(0),
        "all rows equal: each is the mean row, and the information is 0",
    )
    yield Step(
        total(total(w[r] * P[r, j], j), r) - total(total(w[r] * q[j], j), r),
        "<=",
        total(total(w[r] * P[r, j] * sp.log(P[r, j] / q[j]), j), r),
        "so 1 − 1 = 0 is at most I: the gap is a sum of excesses of q/P over 1 + log(q/P), each zero only for P_rj = q_j; all are, only if all rows are equal",
        certificate=total(total(w[r] * P[r, j] * Excess(q[j] / P[r, j]), j), r),
    )


position_sensitive = Claim(
    id="information.indicates-position",
    title="High mutual information with position indicates position-sensitive attention",
    states="High mutual information indicates position-sensitive attention patterns.",
    reading="Where I is high, attention depends on where tokens stand.",
    precise=r"$I>\tfrac12\log n$ only if moving the tokens changes which tokens attend to which. What holds: $I\ge0$, and $I=0$ exactly if all rows are equal.",
    sources=(S0.at("Mutual Information in Attention"),),
    scope="one sequence, every query position equally often; the search has scores by content alone",
    inventory=("C029",),
    uses=("information.with-position",),
    unsaid="position-sensitive means no more than that rows differ from one position to another, whatever makes them differ",
    corrected_by="information.zero-iff-rows-equal",
    derive=_rows_differ,
    holds=_indicates_position,
    worked=_indicates_position_by_hand,
)


def _zero_iff_equal(tokens: Row, sharpness: int) -> Outcome:
    rows = _similar(tokens, sharpness)
    information = information_of(rows)
    alike = sharpness == 0 or len(set(tokens)) == 1
    if alike:
        return exact.equal(information, 0)
    return exact.decided(bool(information > 0))


@derived(
    Claim(
        id="information.zero-iff-rows-equal",
        title="The mutual information of attention and position is zero exactly if all rows are equal",
        states="(Not in the text, by which high information indicates position-sensitive patterns.) There is information exactly where rows differ, "
        "whatever makes them differ.",
        precise=r"$I=\sum_r\omega_r\sum_jP_{rj}\,(q_j/P_{rj}-1-\log(q_j/P_{rj}))\ge0$, with equality exactly if $P_{rj}=q_j$ in every row. It measures how "
        r"much rows differ; of the reason, content or position, it says nothing.",
        sources=(S0.at("Mutual Information in Attention"), COVER.at("Theorem 2.6.3")),
        scope="any number of rows and keys, positive weights and frequencies",
        inventory=("C029",),
        uses=("information.with-position",),
        holds=_zero_iff_equal,
    )
)
def zero_iff_rows_equal() -> Iterator[Step]:
    yield from _rows_differ()


# --- labels -------------------------------------------------------------------------------------------------------------------------------------


def _with_labels(table: Sequence[Row]) -> Outcome:
    """H(Y) − H(Y|A) is Σ p log(p/(p p)), which H(A) − H(A|Y) is too; 0 ≤ I ≤ H(Y). Counts of pairs, at least one of them positive."""
    whole = sum(map(sum, table))
    joint: dict[tuple[object, object], Fraction] = {(a, y): Fraction(count, whole) for a, row in enumerate(table) for y, count in enumerate(row)}
    h_pair, h_a, h_y = entropy_of(joint), entropy_of(margin(joint, 0)), entropy_of(margin(joint, 1))
    information = mutual_information(joint)
    return Outcome.worst(
        [exact.equal(information, h_y - (h_pair - h_a)), exact.equal(information, h_a - (h_pair - h_y)), exact.at_most([0, information], [information, h_y])]
    )


@derived(
    Claim(
        id="information.with-labels",
        title="For attention in finitely many classes, its information with labels is what it takes off their entropy",
        states="I(Attention; Labels) = H(Labels) − H(Labels | Attention) measures task-relevant information in attention.",
        reading="Attention is a variable with finitely many values (an attended position, a cluster of patterns), and so is the label.",
        precise=r"With $\pi_{aj}$ the probability of value $a$ and label $j$: $\sum\pi\log\frac{\pi_{aj}}{\pi_a\pi_j}=H(Y)-H(Y|A)$. It is never negative and at most $H(Y)$. It says what attention tells about the label, "
        "not that the model makes use of it.",
        sources=(S0.at("Mutual Information with Labels"), COVER.at("Theorem 2.4.1")),
        scope="attention in finitely many classes, not vectors of real numbers; finitely many labels; all probabilities positive (zeros add nothing)",
        inventory=("C030",),
        uses=("information.zero-iff-rows-equal",),  # I ≥ 0
        holds=_with_labels,
    )
)
def with_labels() -> Iterator[Step]:
    joint, values = P[r, j], total(P[r, l], l)
    labels = total(P[t, j], t)
    information = total(total(joint * sp.log(joint / (values * labels)), j), r)
    given = total(total(joint * sp.log(joint / values), j), r)  # −H(Y|A)
    yield Step(-given, "=", -total(total(joint * sp.log(joint), j), r) + total(values * sp.log(values), r), "H(Y|A) = H(A, Y) − H(A)")
    one, others = sp.Symbol("u", positive=True), sp.Symbol("w", nonnegative=True)
    yield Step(
        sp.Integer(0),
        "<=",
        -one * sp.log(one / (one + others)),
        "one term of H(Y|A), u the probability of a and j, u + w that of a: H(Y|A) ≥ 0, so no more than H(Y)",
        certificate=one * sp.log(1 + others / one),
    )
    yield Step(information, "=", entropy(labels, j) + given, "H(Y) − H(Y|A)")


def _plug_in(values: Row, labels: Row) -> dict[tuple[object, object], Fraction]:
    """The observed frequencies of pairs."""
    count = Counter(zip(values, labels, strict=True))
    return {pair: Fraction(times, len(labels)) for pair, times in count.items()}


def _mean_estimate(values: Row, labels: Row) -> arb:
    """The mean of the estimate over all orders of the labels, each equally likely: then they have nothing to do with the observed attention."""
    orders = list(permutations(labels))
    return sum((mutual_information(_plug_in(values, order)) for order in orders), arb(0)) / len(orders)


def _estimates(values: Row, labels: Row, tolerance: Fraction) -> Outcome:
    """Labels that have nothing to do with attention get no more than the tolerance on the mean."""
    return exact.at_most(_mean_estimate(values, labels), tolerance)


def _estimates_by_hand(values: Row, labels: Row, tolerance: Fraction) -> str:
    joint = _plug_in(values, labels)
    return (
        f"The numbers stand for attention vectors, equal ones for equal vectors: {len(labels)} observed vectors, "
        f"{'all different' if len(set(values)) == len(values) else f'of {len(set(values))} kinds'} "
        f"(kinds {list(values)}), with the labels {list(labels)} put beside them in every order, so that they have nothing to do with each other. In the "
        f"order shown the estimate is "
        f"{exact.show(mutual_information(joint))}, where the labels' entropy is {exact.show(entropy_of(margin(joint, 1)))}; its mean over all orders is "
        f"{exact.show(_mean_estimate(values, labels))}, where "
        f"the claim allows {tolerance}. Vectors of real numbers are hardly ever twice the same: each then “determines” its label "
        f"(information.distinct-vectors)."
    )


def _chance() -> Iterator[Step]:
    more, kinds, labelled = sp.symbols("y a b", integer=True, positive=True)
    observed, seen = 1 + more, sp.Symbol("c", integer=True, positive=True)
    joint, apart = sp.symbols("p q", positive=True)
    yield from logarithm_below_line()
    yield Step(
        joint * sp.log(joint / apart),
        "<=",
        joint**2 / apart - joint,
        "one pair of a class and a label, p how often the two are seen together and q the product of how often each is: log z is at most z − 1",
        certificate=joint * Excess(joint / apart),
    )
    together = seen * (seen - 1) / (observed * more)
    yield Step(
        total(total(sp.KroneckerDelta(i, k) * seen / observed + (1 - sp.KroneckerDelta(i, k)) * together, k), i),
        "=",
        n * seen / observed + n * (n - 1) * together,
        "in a random order of N = 1 + y labels, of which c are this one, n places of the class have both of two places labelled so with this chance: the "
        "mean of the squared count",
    )
    yield Step(
        (n * seen / observed + n * (n - 1) * together) / (n * seen),
        "=",
        1 / observed + (n - 1) * (seen - 1) / (observed * more),
        "so the mean of p²/q, for this class and this label",
    )
    yield Step(
        kinds * labelled / observed + (observed - kinds) * (observed - labelled) / (observed * more) - 1,
        "=",
        (kinds - 1) * (labelled - 1) / more,
        "added up over a classes and b labels, whose counts add up to N each, less Σ p = 1: the bound (a − 1)(b − 1)/(N − 1)",
    )


plug_in_measures = Claim(
    id="information.plug-in",
    title="The information between attention and labels can be read off observed attention vectors",
    states="(Implied, as the text tells how the information is defined and not how it is measured.) It can be computed from the observed frequencies of "
    "attention vectors and labels.",
    reading="Judged by its least demand, for a tolerance δ: attention that has nothing to do with the labels gets an estimate of at most δ on the mean. "
    "Exactly 0 would be too much to ask: information.bias.",
    precise=r"For $N$ labels in random order beside observed attention of $a$ kinds, $b$ kinds of labels: $E[\hat I]\le\frac{(a-1)(b-1)}{N-1}$, which is at "
    r"most $\delta$ for few classes with many "
    r"observations each, and for vectors that are all different as large as $b-1$.",
    sources=(S0.at("Mutual Information with Labels"),),
    scope="two or more observations; labels in every order, each equally likely. That the estimate tends to I for dependent variables of finitely many "
    "values is the law of large numbers, a remark here",
    inventory=("C031",),
    unsaid="attention is put into few classes with many observations each: (a − 1)(b − 1) ≤ δ (N − 1), so that the bias is no more than δ",
    corrected_by="information.few-classes",
    derive=_chance,
    holds=_estimates,
    worked=_estimates_by_hand,
)


def _few_classes(values: Row, labels: Row, tolerance: Fraction) -> Outcome:
    """0 ≤ the mean estimate ≤ (a − 1)(b − 1)/(N − 1); the tolerance plays no part."""
    mean = _mean_estimate(values, labels)
    return exact.at_most([0, mean], [mean, Fraction((len(set(values)) - 1) * (len(set(labels)) - 1), len(labels) - 1)])


@derived(
    Claim(
        id="information.few-classes",
        title="With a classes and b labels, the estimate from N observations is too large by at most (a − 1)(b − 1)/(N − 1) where there is no information",
        states="(Not in the text, which does not say how the information is measured.) With few classes and many observations, attention that has nothing to do "
        "with labels gets an estimate near zero.",
        precise=r"$0\le E[\hat I]\le\frac{(a-1)(b-1)}{N-1}$ for the observed frequencies of $a$ classes beside $N$ labels of $b$ kinds in random order. In "
        r"the formulas $N=1+y$, a class has $n$ places, "
        r"and a label is seen $c$ times.",
        sources=(S0.at("Mutual Information with Labels"), MILLER),
        scope="every N ≥ 2, every number of classes and labels and every frequency of each; all orders of the labels equally likely",
        inventory=("C031",),
        uses=("information.zero-iff-rows-equal",),  # 0 ≤ the estimate
        holds=_few_classes,
    )
)
def few_classes() -> Iterator[Step]:
    yield from _chance()


def _distinct(values: Row, labels: Row) -> Outcome:
    """With all vectors distinct the estimate is the labels' entropy, in every order; in any case it lies between 0 and that."""
    outcomes = []
    for order in permutations(labels):
        joint = _plug_in(values, order)
        information, most = mutual_information(joint), entropy_of(margin(joint, 1))
        outcomes.append(exact.at_most([0, information], [information, most]))
        if len(set(values)) == len(values):
            outcomes.append(exact.equal(information, most))
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="information.distinct-vectors",
        title="If no attention vector is seen twice, the plug-in estimate is the entropy of the labels, whatever attention does",
        states="(Not in the text, which does not say how the information is measured.) Observed frequencies of vectors that never repeat say nothing about "
        "attention.",
        precise=r"With $n$ distinct vectors every cell has the frequency $1/n$ or 0, so $\hat H(Y|A)=0$ and $\hat I=\hat H(Y)$, the largest value there is. A meaningful estimate needs vectors put into few classes beforehand, many "
        "observations for each, and a correction of the bias.",
        sources=(S0.at("Mutual Information with Labels"), MILLER),
        scope="every number n of observations",
        inventory=("C031",),
        uses=("information.with-labels",),
        holds=_distinct,
    )
)
def distinct_vectors() -> Iterator[Step]:
    seen = sp.IndexedBase("m", integer=True, positive=True)  # how often each label is seen
    share = seen[a] / n
    cell = 1 / n  # frequency of one vector, and of it with its label
    kept = sp.UnevaluatedExpr(cell)
    yield Step(-total(kept * sp.log(kept / cell), j), "=", sp.Integer(0), "each vector has one label: no entropy is left, given the vector")
    information = total(seen[a] * cell * sp.log(cell / (cell * share)), a)
    yield Step(information, "=", -total(share * sp.log(share), a), "each of the m_y observations with label y adds (1/n) log(1/π_y): the entropy of the labels")


def _expected(samples: int, ones: Fraction, labels: Fraction) -> arb:
    """E of the plug-in estimate for independent bits of these probabilities, over all tables of so many samples."""
    cells = [(a, y) for a in (0, 1) for y in (0, 1)]
    chance = {(a, y): (ones if a else 1 - ones) * (labels if y else 1 - labels) for a, y in cells}
    mean = arb(0)
    for counts in product(range(samples + 1), repeat=4):
        if sum(counts) != samples:
            continue
        left, ways = samples, 1
        for count in counts:
            ways, left = ways * comb(left, count), left - count
        probability = Fraction(ways)
        for cell, count in zip(cells, counts, strict=True):
            probability *= chance[cell] ** count
        joint: Joint = {cell: Fraction(count, samples) for cell, count in zip(cells, counts, strict=True) if count}
        mean += ball(probability) * mutual_information(joint)
    return mean


def _biased(samples: int, ones: Fraction, labels: Fraction) -> Outcome:
    """Above 0 for two samples or more, at most log 2; exactly 0 for one."""
    mean = _expected(samples, ones, labels)
    if samples == 1:
        return exact.equal(mean, 0)
    return Outcome.worst([exact.decided(bool(mean > 0)), exact.at_most(mean, ball(2).log())])


@derived(
    Claim(
        id="information.bias",
        title="Observed frequencies find information where there is none",
        states="The information of independent attention classes and labels, estimated by observed frequencies, is too large on the mean.",
        precise=r"The estimate is never negative, and for $N=1+y\ge2$ samples of two independent variables that are not constant it is positive with positive probability: one sample of one pair of values, the others of a pair that differs "
        r"in both, give $\frac1N\log N+\frac{N-1}N\log\frac N{N-1}>0$. So its expectation is above the true value 0.",
        sources=(MILLER,),
        scope="every N ≥ 2; independent variables of two or more values, each of positive probability. A remark, from the source: to first order the "
        "expectation is (a − 1)(b − 1)/2N for a and b values",
        uses=("information.zero-iff-rows-equal",),
        holds=_biased,
    )
)
def bias() -> Iterator[Step]:
    yield from logarithm_below_line()
    y = sp.Symbol("y", integer=True, positive=True)
    size = 1 + y
    estimate = sp.log(size) / size + y / size * sp.log(size / y)
    yield Step(sp.Integer(0), "<", estimate, "each pair determines the other value in that sample: the estimate is the entropy of 1 against N − 1")


# --- outputs and values ---------------------------------------------------------------------------------------------------------------------


def _output(weights: Weights, values: Row) -> dict[object, Fraction]:
    """The distribution of o = Σ p_j V_j for V_j drawn independently, each of `values` equally likely."""
    found: Counter[object] = Counter()
    for drawn in product(sorted(set(values)), repeat=len(weights)):
        found[sum((p * v for p, v in zip(weights, drawn, strict=True)), Fraction(0))] += 1
    whole = sum(found.values())
    return {o: Fraction(count, whole) for o, count in found.items()}


def _bottleneck(weights: Weights, values: Row) -> Outcome:
    """I(O; V | Q, K), which is the entropy of O since V determines O, against the entropy of the weights."""
    return exact.at_most(entropy_of(_output(weights, values)), exact.entropy([p for p in weights if p]))


def _set(values: Row) -> str:
    return "{" + ", ".join(map(str, sorted(set(values)))) + "}"


def _bottleneck_by_hand(weights: Weights, values: Row) -> str:
    output = _output(weights, values)
    shown = ", ".join(f"{o} with probability {p}" for o, p in sorted(output.items()))
    return (
        f"Weights ({', '.join(map(str, weights))}); each value is drawn from {_set(values)}, equally likely and independent. The output is {shown}: given "
        f"the weights, V determines it, so "
        f"I(O; V) = H(O) = {exact.show(entropy_of(output))}, where the entropy of the weights is {exact.show(exact.entropy([p for p in weights if p]))}: smaller, and the claim needs it to be no smaller. "
        "A one-hot row is plainer still: it passes a value on whole, and its weights have no entropy."
    )


bottleneck = Claim(
    id="information.bottleneck",
    title="The information between output and values is at most the entropy of the weights",
    states="Information bottleneck: I(O; V | Q, K) ≤ H(P(Q, K)), H(P) being the entropy of the attention distributions.",
    reading="Queries and keys are given, values are random, and H(P) is the entropy of the row that makes an output. (Summed over all rows of a map it fails as well: if every row is one-hot, the sum is 0 too. And "
    "taken as the entropy of P as a random variable, it is 0 once Q and K are given.)",
    precise=r"$I(O;V\mid Q,K)\le H(p)=-\sum_jp_j\log p_j$ for $O=\sum_jp_jV_j$.",
    sources=(S2.at("Theoretical Properties"), TISHBY),
    scope="one row, fixed weights, independent values with finitely many possibilities",
    inventory=("C032",),
    corrected_by="information.output-and-values",
    holds=_bottleneck,
    worked=_bottleneck_by_hand,
)


def _at_most_the_values(weights: Weights, values: Row) -> Outcome:
    """H(O) ≤ Σ over attended keys of H(V_j) ≤ H(V)."""
    each = ball(len(set(values))).log()
    seen = sum(1 for p in weights if p)
    return exact.at_most([entropy_of(_output(weights, values)), each * seen], [each * seen, each * len(weights)])


@derived(
    Claim(
        id="information.output-and-values",
        title="Given queries and keys, the output tells of the values exactly its own entropy, at most theirs",
        states="(Not in the text, which names the entropy of the weights as a bound.) Given queries and keys, the information between output and values is "
        "the output's entropy.",
        precise=r"$I(O;V\mid Q,K)=H(O\mid Q,K)\le H(V\mid Q,K)$, since $V$ determines $O$: each value goes with one output only. With $\pi_v$ the "
        r"probabilities of the values that give one output, $-\left(\sum\pi_v\right)\log\sum\pi_v\le-\sum\pi_v\log\pi_v$. "
        "A one-hot row reaches the entropy of the value that it copies; the entropy of the weights plays no part. In the formula $\\pi_j$ are the probabilities of the $n$ values that give one output.",
        sources=(S2.at("Theoretical Properties"), COVER.at("Theorem 2.8.1")),
        scope="finitely many possibilities; the search has independent values, each possibility equally likely",
        inventory=("C032",),
        holds=_at_most_the_values,
    )
)
def output_and_values() -> Iterator[Step]:
    pi = sp.IndexedBase("pi", positive=True)
    rest, one = sp.Symbol("u", positive=True), sp.Symbol("v", positive=True)
    certain = sp.UnevaluatedExpr(pi[j])  # the probability of value and output together is that of the value
    yield Step(
        total(pi[j] * sp.log(certain / (pi[j] * total(pi[l], l))), j),
        "=",
        -total(pi[j], j) * sp.log(total(pi[l], l)),
        "what the n values that give one output add to I(O; V) is what this output adds to H(O)",
    )
    yield Step(
        -(one + rest) * sp.log(one + rest),
        "<=",
        -one * sp.log(one) - rest * sp.log(rest),
        "two probabilities taken together have less entropy than apart",
        certificate=one * sp.log(1 + rest / one) + rest * sp.log(1 + one / rest),
    )
    yield Step(
        -total(pi[j], j) * sp.log(total(pi[l], l)) + total(pi[j] * sp.log(pi[j]), j),
        "=",
        -total(pi[j] * sp.log(total(pi[l], l) / pi[j]), j),
        "and so have all that give one output: a sum of logarithms of a sum over one of its terms",
    )
    others = sp.Symbol("w", nonnegative=True)
    yield Step(
        sp.Integer(0),
        "<=",
        one * sp.log((one + others) / one),
        "term by term such a sum is not negative: v is one probability, w the rest of the sum",
        certificate=one * sp.log(1 + others / one),
    )
    yield from logarithm_below_line()
    whole = total(pi[l], l)
    yield Step(
        -total(pi[j], j) * sp.log(whole),
        "<=",
        -total(pi[j] * sp.log(pi[j]), j),
        "so all that give one output have no more entropy together than apart (here with −log z ≥ 1 − z, z the share of one in the sum)",
        certificate=total(pi[j] * Excess(pi[j] / whole), j) + total(total(pi[j] * pi[l] * (1 - sp.KroneckerDelta(j, l)), l), j) / whole,
    )


def _given_attention(table: Sequence[Sequence[Row]], whole: int) -> arb:
    """I(Y; X | A) from its definition: the information within each value of A, averaged over A."""
    given = arb(0)
    for plane in table:
        mass = sum(map(sum, plane))
        if mass:
            inside: Joint = {(x, y): Fraction(count, mass) for x, row in enumerate(plane) for y, count in enumerate(row)}
            given += ball(Fraction(mass, whole)) * mutual_information(inside)
    return given


def _chain(table: Sequence[Sequence[Row]]) -> Outcome:
    """I(Y; X | A) against H(Y) − H(Y | X, A); counts [a][x][y]."""
    whole = sum(count for plane in table for row in plane for count in row)
    return exact.equal(_given_attention(table, whole), _h_y(table, whole) - _h_y_given(table, whole))


def _h_y(table: Sequence[Sequence[Row]], whole: int) -> arb:
    return exact.entropy([Fraction(x, whole) for x in (sum(row[y] for plane in table for row in plane) for y in range(len(table[0][0]))) if x])


def _h_y_given(table: Sequence[Sequence[Row]], whole: int) -> arb:
    """H(Y | X, A)."""
    rows = [row for plane in table for row in plane if sum(row)]
    return sum((ball(Fraction(sum(row), whole)) * exact.entropy([Fraction(x, sum(row)) for x in row if x]) for row in rows), arb(0))


def _chain_by_hand(table: Sequence[Sequence[Row]]) -> str:
    whole = sum(count for plane in table for row in plane for count in row)
    return (
        f"The numbers are counts of (A, X, Y), out of {whole}: a table for each A, in it a row for each X and a column for each Y: "
        f"{[[list(row) for row in plane] for plane in table]}. H(Y) − H(Y|X, A) = {exact.show(_h_y(table, whole))} − "
        f"{exact.show(_h_y_given(table, whole))} = {exact.show(_h_y(table, whole) - _h_y_given(table, whole))}, where I(Y; X | A), the information within each value of A, averaged over A, is "
        f"{exact.show(_given_attention(table, whole))}. The difference of entropies is I(Y; X, A): it counts what A alone tells about Y, which I(Y; X | A) leaves out."
    )


conditional_formula = Claim(
    id="information.conditional-formula",
    title="I(Y; X | A) = H(Y) − H(Y | X, A)",
    states="The mutual information that attention is said to maximise: I(Y; X | A) = H(Y) − H(Y | X, A), with A the attention weights.",
    reading="Y, X and A are random variables, and the left side is the conditional mutual information. (Where Y is independent of A, as for an A that never varies, the two sides agree; but then the condition on A "
    "does nothing, and the text lets attention depend on its input.)",
    precise=r"$I(Y;X\mid A)=H(Y)-H(Y\mid X,A)$.",
    sources=(S2.at("Information Theoretic View"),),
    scope="variables with finitely many values",
    inventory=("C034",),
    corrected_by="information.chain-rule",
    holds=_chain,
    worked=_chain_by_hand,
)


def _chain_rule(table: Sequence[Sequence[Row]]) -> Outcome:
    """H(Y) − H(Y|X, A) = I(Y; A) + I(Y; X | A)."""
    whole = sum(count for plane in table for row in plane for count in row)
    given = _given_attention(table, whole)
    outer: Joint = {(a, y): Fraction(sum(row[y] for row in plane), whole) for a, plane in enumerate(table) for y in range(len(plane[0]))}
    return exact.equal(mutual_information(outer) + given, _h_y(table, whole) - _h_y_given(table, whole))


@derived(
    Claim(
        id="information.chain-rule",
        title="H(Y) − H(Y | X, A) is the information of X and A together; given A it starts from H(Y | A)",
        states="(Not in the text, which equates H(Y) − H(Y | X, A) with I(Y; X | A).) That difference is the information of X and A together about Y.",
        precise=r"$I(Y;X\mid A)=H(Y\mid A)-H(Y\mid X,A)$, and $H(Y)-H(Y\mid X,A)=I(Y;A)+I(Y;X\mid A)$: the two agree exactly if $I(Y;A)=0$. In the formulas "
        r"$\pi_{raj}$ is the probability of $A=r$, $X=a$, $Y=j$.",
        sources=(S2.at("Information Theoretic View"), COVER.at("Theorem 2.5.2")),
        scope="variables with finitely many values; derived for positive probabilities (zeros add nothing to any sum)",
        inventory=("C034",),
        uses=("information.with-labels",),
        holds=_chain_rule,
    )
)
def chain_rule() -> Iterator[Step]:
    pi = sp.IndexedBase("pi", positive=True)  # of A = r, X = a, Y = j
    one = pi[r, a, j]
    of_ax, of_ay = total(pi[r, a, l], l), total(pi[r, b, j], b)
    of_a, of_y = total(total(pi[r, b, l], l), b), total(total(pi[t, b, j], b), t)
    without_x = total(total(of_ay * sp.log(of_ay / of_a), j), r)  # −H(Y|A)
    without_both = total(total(total(one * sp.log(one / of_ax), j), a), r)  # −H(Y|X, A)
    within = total(total(total(one * sp.log(one * of_a / (of_ax * of_ay)), j), a), r)
    yield Step(within, "=", without_both - without_x, "I(Y; X|A) = H(Y|A) − H(Y|X, A), averaged over all values of A")
    alone = total(total(of_ay * sp.log(of_ay / (of_a * of_y)), j), r)
    yield Step(-total(of_y * sp.log(of_y), j) + without_x, "=", alone, "H(Y) − H(Y|A) = I(Y; A)")
    yield Step(-total(of_y * sp.log(of_y), j) + without_both, "=", alone + within, "H(Y) − H(Y|X, A) is their sum")


def _other_weights(scores: Row) -> list[list[Fraction]]:
    """Weights that give all mass to one key, or 3/4 and 1/4 of it to two."""
    others = [[Fraction(int(at == place)) for at in range(len(scores))] for place in range(len(scores))]
    others += [
        [Fraction(3, 4) if at == one else Fraction(1, 4) if at == other else Fraction(0) for at in range(len(scores))]
        for one, other in permutations(range(len(scores)), 2)
    ]
    return others


def _maximises(scores: Row, values: Row) -> Outcome:
    """None of the other weights make H(O) larger than the softmax of these scores does (scores k log 2, so that weights are fractions)."""
    mass = sum(Fraction(2) ** e for e in scores)
    own = entropy_of(_output([Fraction(2) ** e / mass for e in scores], values))
    others = _other_weights(scores)
    return exact.at_most([entropy_of(_output(weights, values)) for weights in others], [own] * len(others))


def _told_output(weights: Weights, values: Row) -> str:
    output = _output(weights, values)
    shown = ", ".join(f"{o} with probability {p}" for o, p in sorted(output.items()))
    return f"the output is {shown}, and its entropy {exact.show(entropy_of(output))}"


def _maximises_by_hand(scores: Row, values: Row) -> str:
    mass = sum(Fraction(2) ** e for e in scores)
    weights = [Fraction(2) ** e / mass for e in scores]
    better = max(_other_weights(scores), key=lambda row: float(entropy_of(_output(row, values)).mid()))
    return (
        f"Scores {list(scores)} times log 2, so that the weights are ({', '.join(map(str, weights))}); values drawn from {_set(values)}, equally likely and "
        f"independent. Then {_told_output(weights, values)}, which "
        f"is all that it can tell about the values. With the weights ({', '.join(map(str, better))}) {_told_output(better, values)}: more. Softmax does not choose weights to maximise it."
    )


maximises = Claim(
    id="information.attention-maximises",
    title="The attention mechanism maximises mutual information",
    states="The attention mechanism maximises the mutual information of its output and its input, given the weights.",
    reading="Among all weights that a row could have, those of attention make the information between output and values largest. (Training might maximise something; the mechanism is what is spoken of.)",
    precise=r"With the output $Y=\sum_jp_jX_j$ of random values $X_j$ and given weights $A=p$, $I(Y;X\mid A=p)=H(Y\mid A=p)$ is at its largest where "
    r"$p=\mathrm{softmax}(e)$, $e$ the scores.",
    sources=(S2.at("Information Theoretic View"),),
    scope="one row, independent values with finitely many possibilities",
    inventory=("C033",),
    corrected_by="information.what-softmax-maximises",
    holds=_maximises,
    worked=_maximises_by_hand,
)


def _variational(scores: Row, values: Row) -> Outcome:
    """Σ p e + H(p), scores k log 2, is log Σ exp e for the softmax, and no more for one-hot rows, equal weights and weights in proportion to 2^values."""
    log2 = ball(2).log()
    mass = sum(Fraction(2) ** e for e in scores)
    candidates = [[Fraction(int(at == place)) for at in range(len(scores))] for place in range(len(scores))] + [[Fraction(1, len(scores))] * len(scores)]
    drawn = [Fraction(2) ** values[at % len(values)] for at in range(len(scores))]
    candidates += [[x / sum(drawn) for x in drawn], [Fraction(2) ** e / mass for e in scores]]
    gained = [
        sum((p * e * log2 if p else arb(0) for p, e in zip(map(ball, weights), scores, strict=True)), arb(0)) + exact.entropy([p for p in weights if p])
        for weights in candidates
    ]
    return Outcome.worst([exact.at_most(gained, [ball(mass).log()] * len(gained)), exact.equal(gained[-1], ball(mass).log())])


@derived(
    Claim(
        id="information.what-softmax-maximises",
        title="Softmax maximises the expected score plus the entropy of the weights",
        states="(Not in the text, by which attention maximises mutual information.) Attention weights maximise the expected score plus their own entropy.",
        precise=r"For every distribution $p$ of positive weights, $\sum_jp_je_j+H(p)\le\log\sum_je^{e_j}$, and $p=\mathrm{softmax}(e)$ reaches it. In the "
        r"formula $p$ is the softmax of any scores $s$.",
        sources=(S2.at("Information Theoretic View"), COVER.at("Theorem 12.1.1")),
        scope="every n ≥ 1, all real scores; zeros leave a row of fewer keys, whose bound is smaller. A remark: no other weights reach it, as the gap is a "
        "sum of excesses, each zero "
        "only where a weight is the softmax's",
        inventory=("C033",),
        holds=_variational,
    )
)
def what_softmax_maximises() -> Iterator[Step]:
    yield from logarithm_below_line()
    score = sp.IndexedBase("e", real=True)
    p, best = softmax(s, j), softmax(score, j)
    gap = total(p * Excess(best / p), j)
    reached = total(best * score[j], j) + entropy(best, j)
    yield Step(reached, "=", sp.log(total(sp.exp(score[l]), l)), "the softmax of the scores themselves reaches the bound")
    yield Step(
        total(p * score[j], j) + entropy(p, j),
        "<=",
        sp.log(total(sp.exp(score[l]), l)),
        "the gap is the divergence from the softmax: a sum of excesses",
        certificate=gap,
    )
