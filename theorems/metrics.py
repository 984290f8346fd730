"""What metrics and code fragments for attention compute: divergences between heads, distances, pattern scores, scores against trees, correlations, pictures.

A head's map has a row for each query and a column for each key; rows are distributions. Rows of positive weights are written as softmax(s) in derivations.
Positions count from 1 in formulas and from 0 in code.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, permutations
from typing import Any

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.entropy import entropy, logarithm_below_line, surplus
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S4, Source
from theorems.step import Step
from theorems.symbols import P, S, a, i, j, k, l, m, n, p, r, s, softmax, t, total
from theorems.symmetry import swapped

Exact = int | Fraction
Row = Sequence[Exact]
Parts = Sequence[Sequence[int]]  # a map before its rows are divided by their sums
Map = list[list[Fraction]]
Edge = tuple[int, int]  # (head, dependent), from 0
D = sp.KroneckerDelta

LIN = Source(key="lin1991", title="Divergence measures based on the Shannon entropy", url="https://doi.org/10.1109/18.61115")
CLARK = Source(key="clark2019", title="What Does BERT Look At? An Analysis of BERT's Attention", url="https://arxiv.org/abs/1906.04341")
OLSSON = Source(key="olsson2022", title="In-context Learning and Induction Heads", url="https://arxiv.org/abs/2209.11895")
VIG = Source(key="vig2019a", title="Analyzing the Structure of Attention in a Transformer Language Model", url="https://arxiv.org/abs/1906.04284")
SEABORN = Source(key="seaborn-heatmap", title="seaborn.heatmap", url="https://seaborn.pydata.org/generated/seaborn.heatmap.html")
TRANSFORMERS = Source(key="transformers-outputs", title="Transformers: Model outputs", url="https://huggingface.co/docs/transformers/en/main_classes/output")

x, y = sp.IndexedBase("x", nonnegative=True), sp.IndexedBase("y", nonnegative=True)
u, z = sp.IndexedBase("u", real=True), sp.IndexedBase("z", real=True)
alpha = sp.IndexedBase("alpha", nonnegative=True)  # weights, some of which may be 0
apart = sp.UnevaluatedExpr  # keeps a part as a reader would write it
N = sp.Symbol("N", integer=True, positive=True)  # runs, less one
w = sp.Symbol("w", integer=True, nonnegative=True)  # half-width of a window
PARTS = "(The case gives a row of weights as parts, which are divided by their sum; a row of zeros stands for all weight on the first key.)"


def row_of(parts: Sequence[int]) -> list[Fraction]:
    """Whole numbers over their sum (all weight on the first key if they are all 0)."""
    return [Fraction(one, sum(parts)) for one in parts] if sum(parts) else [Fraction(place == 0) for place in range(len(parts))]


def map_of(rows: Parts) -> Map:
    return [row_of(row) for row in rows]


def uniform(length: int) -> Map:
    return [[Fraction(1, length)] * length for _ in range(length)]


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _told(rows: Sequence[Sequence[object]]) -> str:
    return "[" + "; ".join(", ".join(map(str, row)) for row in rows) + "]"


# --- Jensen–Shannon between heads -------------------------------------------------------------------------------------------------------


def _generalised(heads: Sequence[Row]) -> arb:
    """The mean divergence of the heads' rows from their mean."""
    middle = [sum(map(Fraction, column), Fraction(0)) / len(heads) for column in zip(*heads, strict=True)]
    parts = [(Fraction(one), centre) for row in heads for one, centre in zip(row, middle, strict=True) if one]
    return sum((ball(one) * ball(one / centre).log() for one, centre in parts), arb(0)) / len(heads)


def _js_range_holds(heads: Parts) -> Outcome:
    """0 ≤ JS ≤ log h, 0 exactly for equal rows, log h for disjoint ones, and JS = H(mean) − mean H."""
    rows = map_of(heads)
    gap = _generalised(rows)
    middle = [_mean(list(column)) for column in zip(*rows, strict=True)]
    entropies = sum((exact.entropy(row) for row in rows), arb(0)) / len(rows)
    bounds = exact.at_most([0, gap], [gap, ball(len(rows)).log()])
    alike = all(row == rows[0] for row in rows)
    zero = exact.equal(gap, 0) if alike else Outcome.HELD if gap > 0 else Outcome.REFUTED
    disjoint = all(sum(one > 0 for one in column) <= 1 for column in zip(*rows, strict=True))
    top = exact.equal(gap, ball(len(rows)).log()) if disjoint else Outcome.HELD if gap < ball(len(rows)).log() else Outcome.REFUTED
    return Outcome.worst([bounds, zero, top, exact.equal(gap, exact.entropy(middle) - entropies)])


@derived(
    Claim(
        id="metrics.jensen-shannon-range",
        title="The Jensen–Shannon divergence of h heads lies between 0 and log h",
        states="Attention distributions of heads are compared by the Jensen–Shannon divergence.",
        reading="Of any number of heads at once, equally weighted: how far they are from their mean, on average. Two heads are the case h = 2.",
        precise=r"$0\le\frac1h\sum_g\mathrm{KL}(p_g\,\|\,\bar p)\le\log h$ with $\bar p=\frac1h\sum_gp_g$; it is 0 exactly if all heads agree, and $\log h$ exactly if no two share a "
        r"key (with $0\log0=0$). The steps are about one key $j$, which $m$ heads give a positive weight $P_{rj}$ and $x$ heads none, so that $h=m+x$ and $\log(p/\bar p)=\log h+\log\rho$ with $\rho$ a "
        r"head's share of the key's total $T_j=\sum_rP_{rj}$. Added up over the keys and divided by $h$ they are the two bounds, as all $T_j$ together are $h$.",
        sources=(S0.at("Jensen-Shannon Divergence for Attention Analysis"), LIN),
        scope="every number of heads, every number of keys, all distributions, zeros included",
        uses=("entropy.average-of-heads",),
        holds=_js_range_holds,
    )
)
def jensen_shannon_range() -> Iterator[Step]:
    weight, other = P[r, j], P[t, j]
    everyone = total(other, t)
    share, idle = weight / everyone, sp.Symbol("x", integer=True, nonnegative=True)
    heads = m + idle
    yield from logarithm_below_line()
    yield Step(
        sp.Integer(0),
        "<=",
        total(weight * sp.log(weight / (everyone / m)), r),
        "log(mean/p) is at most mean/p − 1, equal only where p is the mean (here of the m heads that see the key); over these the mean less p adds up to 0",
        certificate=surplus(weight, r, everyone / m / weight),
    )
    yield Step(
        everyone * sp.log(m),
        "<=",
        everyone * sp.log(heads),
        "the mean over all h = m + x heads is smaller, T/h for T/m, and the divergence from it larger: the same only if no head leaves the key out",
        certificate=everyone * sp.log(1 + idle / m),
    )
    rest = total((1 - D(r, t)) * other, t)
    yield Step(
        everyone * sp.log(heads) + total(weight * sp.log(share), r),
        "<=",
        everyone * sp.log(heads),
        "no head's share of a key exceeds one: it is one less the shares of the others, and one only if there are no others",
        certificate=surplus(weight, r, share) + total(weight * rest / everyone, r),
    )


# --- entropy of maps --------------------------------------------------------------------------------------------------------------------


def _renormalised_holds(parts: Sequence[int], others: Sequence[int]) -> Outcome:
    """H(p) = h(ε) + (1 − ε) H(kept) + ε H(dropped), for rows with a kept and a dropped part."""
    if not sum(parts) or not sum(others):
        return Outcome.HELD
    whole = row_of([*parts, *others])
    lost = sum(whole[len(parts) :], Fraction(0))
    split = exact.entropy([lost, 1 - lost])
    kept, dropped = exact.entropy(row_of(parts)), exact.entropy(row_of(others))
    return exact.equal(exact.entropy(whole), split + ball(1 - lost) * kept + ball(lost) * dropped)


@derived(
    Claim(
        id="metrics.entropy-renormalised",
        title="What renormalising a row does to its entropy",
        states="Entropy of attention rows, some of whose keys are left out (padding, special tokens) and whose other weights are renormalised.",
        precise=r"If keys of total weight $\varepsilon$ are left out and the others divided by $1-\varepsilon$, then $H(p)=h(\varepsilon)+(1-\varepsilon)H(p')+\varepsilon H(p'')$, with $p'$ "
        r"the kept row, $p''$ the dropped one, both renormalised, and $h(\varepsilon)$ the entropy of the split. So $H(p')$ may lie above or below $H(p)$. In the formula "
        r"$\varepsilon=1/(1+y)$.",
        sources=(S0.at("Head View Analysis"), S1.at("Attention Entropy")),
        scope="any numbers n of kept and m of dropped keys, all distributions (derived for positive weights; zeros by continuity)",
        holds=_renormalised_holds,
    )
)
def entropy_renormalised() -> Iterator[Step]:
    odds = sp.Symbol("y", positive=True)
    scores = sp.IndexedBase("x", real=True)
    kept, lost = odds / (1 + odds), 1 / (1 + odds)
    inside, outside = softmax(s, j), sp.exp(scores[r]) / total(sp.exp(scores[t]), t)
    yield Step(
        entropy(kept * inside, j) + entropy(lost * outside, r),
        "=",
        -kept * sp.log(kept) - lost * sp.log(lost) + kept * entropy(inside, j) + lost * entropy(outside, r),
        "first whether the key is kept, then which it is",
    )


# --- attention distance (C275, C276) ----------------------------------------------------------------------------------------------------


def distances(one: Map) -> list[Fraction]:
    """The mean distance |i − j| of each row."""
    return [sum((abs(i - j) * weight for j, weight in enumerate(row)), Fraction(0)) for i, row in enumerate(one)]


def _sum_holds(rows: Parts) -> Outcome:
    """Σ_ij |i − j| α_ij is no larger than the largest distance there is."""
    return exact.decided(sum(distances(map_of(rows)), Fraction(0)) <= len(rows) - 1)


def _sum_worked(rows: Parts) -> str:
    one = map_of(rows)
    added = sum(distances(one), Fraction(0))
    return (
        f"The map {_told(one)} has rows with mean distances {', '.join(map(str, distances(one)))}. The formula adds them up: {added}. No two of the {len(one)} positions are "
        f"further apart than {len(one) - 1}, so that is no average distance. Divided by the {len(one)} rows it is {added / len(one)}. {PARTS}"
    )


distance_sum = Claim(
    id="metrics.distance-sum",
    title="Σ_{i,j} |i − j| α_ij is an average distance",
    states="The average distance of attention is the sum over i and j of |i − j| times α_ij.",
    reading="α_ij is attention from position i to position j, so each row sums to one. An average of distances is no larger than the largest of them.",
    precise=r"$\sum_{i,j}|i-j|\,\alpha_{ij}\le n-1$.",
    sources=(S0.at("Attention Distance Analysis"),),
    scope="maps of any length whose rows sum to one",
    inventory=("C275",),
    corrected_by="metrics.distance-mean",
    holds=_sum_holds,
    worked=_sum_worked,
)


def _mean_distance_holds(rows: Parts) -> Outcome:
    """0 ≤ mean ≤ the mean over rows of the furthest position ≤ n − 1; the mean is the sum over the total weight."""
    one = map_of(rows)
    length = len(one)
    mean = _mean(distances(one))
    furthest = _mean([Fraction(max(place, length - 1 - place)) for place in range(length)])
    whole = sum((sum(row, Fraction(0)) for row in one), Fraction(0))
    return exact.decided(0 <= mean <= furthest <= length - 1 and mean * whole == sum(distances(one), Fraction(0)))


@derived(
    Claim(
        id="metrics.distance-mean",
        title="The mean attention distance is a sum over n rows, divided by n",
        states="(Not in the text; what holds of its average distance.) How far attention looks, on average.",
        precise=r"$\bar D=\frac1n\sum_{i,j}|i-j|\,\alpha_{ij}$, where $\sum_{i,j}\alpha_{ij}=n$, satisfies $0\le\bar D\le\frac1n\sum_i\max(i-1,n-i)\le n-1$. In the formula position $j$ lies "
        r"$f_i-x_{ij}$ from $i$, with $f_i$ the distance of the furthest, and $\sum_j\alpha_{ij}=1$.",
        sources=(S0.at("Attention Distance Analysis"), VIG),
        scope="every length, all maps whose rows sum to one",
        inventory=("C275",),
        uses=("softmax.row-sum",),
        holds=_mean_distance_holds,
    )
)
def distance_mean() -> Iterator[Step]:
    far, matrix = sp.IndexedBase("f", nonnegative=True), sp.IndexedBase("A", real=True)
    weight = matrix[i, j] + D(i, j) * (1 - total(matrix[i, l], l))  # any row, made to sum to one by what it lacks
    yield Step(total(total(weight, j), i), "=", n, "n rows, each with weights that sum to one (here any numbers, and what they lack to one on the diagonal)")
    yield Step(sp.Integer(0), "<=", total(total(alpha[i, j] * x[i, j], j), i) / n, "distances and weights are not negative")
    yield Step(
        total(total(alpha[i, j] * (far[i] - x[i, j]), j), i) / n,
        "<=",
        total(far[i] * total(alpha[i, j], j), i) / n,
        "no row looks further than its furthest position; the inner sum on the right is one",
        certificate=total(total(alpha[i, j] * x[i, j], j), i) / n,
    )


def _code_distance_holds(parts: Sequence[int], place: int) -> Outcome:
    """The code's number, Σ_j p_j · j with positions from 0, is the mean distance from the query."""
    row, place = row_of(parts), place % len(parts)
    return exact.decided(_position(row) == sum((abs(place - at) * weight for at, weight in enumerate(row)), Fraction(0)))


def _position(row: Row) -> Fraction:
    return sum((at * Fraction(weight) for at, weight in enumerate(row)), Fraction(0))


def _code_distance_worked(parts: Sequence[int], place: int) -> str:
    row, place = row_of(parts), place % len(parts)
    true = sum((abs(place - at) * weight for at, weight in enumerate(row)), Fraction(0))
    return (
        f"The query at position {place} (from 0) has the weights {', '.join(map(str, row))}. The code adds up weight times position: {_position(row)}. Weight times distance from the "
        f"query is {true}. The code never looks at where the query is. {PARTS}"
    )


def _mean_position_holds(parts: Sequence[int], place: int) -> Outcome:
    """|mean position − query| ≤ mean distance, with equality if all weight lies on one side; from position 0 the two agree."""
    row, place = row_of(parts), place % len(parts)
    away = sum((abs(place - at) * weight for at, weight in enumerate(row)), Fraction(0))
    one_side = not (any(row[:place]) and any(row[place + 1 :]))
    offset = abs(_position(row) - place)
    return exact.decided((offset == away) if one_side else (offset < away))


@derived(
    Claim(
        id="metrics.mean-position",
        title="Weights times positions give the mean position attended; less the query's own it is a signed offset, at most the mean distance",
        states="(Not in the text; what holds of its code for the average distance.) What the sum of weights times positions computes.",
        precise=r"$\Big|\sum_jp_jj-i\Big|\le\sum_jp_j|j-i|$, with equality if and only if no weight lies before $i$ or none after it: in causal maps, or for the first query. In the formula "
        r"weights $p_j$ lie $x_j$ at or after $i$, weights $q_r$ lie $y_r$ before it.",
        sources=(S1.at("Attention Distance"),),
        scope="every row, every query position; the query itself counted among those at or after it",
        inventory=("C276",),
        holds=_mean_position_holds,
    )
)
def mean_position() -> Iterator[Step]:
    yield Step(
        total(softmax(s, j) * sp.Abs(j - 1), j),
        "=",
        total(softmax(s, j) * j, j) - 1,
        "seen from the first position a key's distance is its position, counted from 0",
    )
    before = sp.IndexedBase("q", nonnegative=True)
    mass = total(p[j], j) + total(before[r], r)
    place = sp.Symbol("i", positive=True)
    position = (total(p[j] * (place + x[j]), j) + total(before[r] * (place - y[r]), r)) / mass
    away = (total(p[j] * x[j], j) + total(before[r] * y[r], r)) / mass
    yield Step(position - place, "=", away - 2 * total(before[r] * y[r], r) / mass, "positions before the query count with a minus sign")
    yield Step(position - place, "<=", away, "so the offset is at most the distance", certificate=2 * total(before[r] * y[r], r) / mass)
    yield Step(place - position, "<=", away, "and so is its negative", certificate=2 * total(p[j] * x[j], j) / mass)


code_distance = Claim(
    id="metrics.distance-code",
    title="Weights times positions give the average distance of attended positions",
    states="Attention distance, the average distance of attended positions, is computed as the sum over j of weight times position j, positions counted from 0.",
    reading="The distance meant is that of a key from the query whose weights these are, as in the other text's |i − j|.",
    precise=r"$\sum_jp_j\,j=\sum_jp_j\,|i-j|$ for the query at position $i$, positions counted from 0.",
    sources=(S1.at("Attention Distance"),),
    scope="rows of any length, queries at any position",
    inventory=("C276",),
    corrected_by="metrics.mean-position",
    holds=_code_distance_holds,
    worked=_code_distance_worked,
)


def _closed_forms_hold(length: int, width: int) -> Outcome:
    """The mean distances of standard heads, by definition and in closed form."""
    places = range(length)
    reach = min(width, length - 1)
    looks_back = [[Fraction(b == (a - reach if a >= reach else a)) for b in places] for a in places]
    first = [[Fraction(b == 0) for b in places] for _ in places]
    causal = [[Fraction(b <= a, a + 1) for b in places] for a in places]
    window = [Fraction(1, 2 * width + 1)] * (2 * width + 1)
    found = [_mean(distances(one)) for one in (uniform(length), causal, looks_back, first)]
    local = sum((abs(offset - width) * weight for offset, weight in enumerate(window)), Fraction(0))
    expected = [Fraction(length**2 - 1, 3 * length), Fraction(length - 1, 4), Fraction(reach * (length - reach), length), Fraction(length - 1, 2)]
    return exact.decided(found == expected and local == Fraction(width * (width + 1), 2 * width + 1))


@derived(
    Claim(
        id="metrics.distance-closed-forms",
        title="The mean attention distance of standard heads",
        states="(Not in the text; values of the mean distance.) Mean attention distance of uniform, causal, shifted, local and first-token heads.",
        precise=r"Uniform: $\frac{n^2-1}{3n}$. Causal and uniform: $\frac{i-1}2$ in row $i$, $\frac{n-1}4$ on the mean. Each position at the one $k<n$ before it (the first $k$ at themselves): "
        r"$\frac{k(n-k)}n$, so 0 for the diagonal and $\frac{n-1}n$ for the previous token. All at the first token: $\frac{n-1}2$. Uniform over a window of half-width $w$, "
        r"away from the ends: $\frac{w(w+1)}{2w+1}$. By induction on $n$, $i$ or $w$.",
        sources=(S0.at("Attention Distance Analysis"), VIG),
        scope="every length n ≥ 1, every k < n, every w ≥ 0",
        inventory=("C275",),
        uses=("metrics.distance-mean",),
        holds=_closed_forms_hold,
    )
)
def distance_closed_forms() -> Iterator[Step]:
    def triangle(count: sp.Expr) -> sp.Expr:
        return count * (count + 1) / 2

    def pairs(count: sp.Expr) -> sp.Expr:
        return count * (count**2 - 1) / 3

    def causal(count: sp.Expr) -> sp.Expr:
        return count * (count - 1) / 4

    yield Step(
        apart(triangle(w)) + (w + 1), "=", triangle(w + 1),
        "0 + 1 + … + w = w(w + 1)/2: for w = 0 both sides are 0, and if it is so for w, then for w + 1",
    )  # fmt: skip
    yield Step(2 * apart(triangle(w)) / (2 * w + 1), "=", w * (w + 1) / (2 * w + 1), "a window of 2w + 1 keys has each distance 1, …, w twice")
    yield Step(apart(triangle(n - 1)) / n, "=", (n - 1) / 2, "with every query at the first token, the distances are 0, …, n − 1")
    yield Step(sp.Sum(k, (j, 1, l)) / (k + l), "=", k * l / (k + l), "a shift by k: of n = k + l rows, l have the distance k and k have 0")
    yield Step(apart(triangle(i - 1)) / i, "=", (i - 1) / 2, "row i of a causal map has the distances 0, …, i − 1, each with weight 1/i")
    yield Step(
        apart(causal(n)) + n / 2, "=", causal(n + 1),
        "these add up to n(n − 1)/4 over n rows: one row has the distance 0, and row n + 1 adds n/2",
    )  # fmt: skip
    yield Step(apart(causal(n)) / n, "=", (n - 1) / 4, "causal and uniform: the mean over n rows")
    yield Step(
        apart(pairs(n)) + 2 * apart(triangle(n)), "=", pairs(n + 1),
        "all distances of n positions add up to n(n² − 1)/3: one position has none, and position n + 1 lies 1, …, n from the others, seen from either end",
    )  # fmt: skip
    yield Step(apart(pairs(n)) / n**2, "=", (n**2 - 1) / (3 * n), "uniform weights are 1/n, and the mean over rows divides by n once more")


# --- pattern detectors ------------------------------------------------------------------------------------------------------------------


def local_score(one: Map, width: int) -> Fraction:
    """The mean weight within `width` of the query."""
    return _mean([sum((weight for at, weight in enumerate(row) if abs(at - place) <= width), Fraction(0)) for place, row in enumerate(one)])


def offset_score(one: Map, offset: int) -> Fraction:
    """The mean weight at the key `offset` after the query (before it, if negative), over the queries that have one: 0 is the diagonal, −1 the previous token."""
    kept = [row[place + offset] for place, row in enumerate(one) if 0 <= place + offset < len(row)]
    return _mean(kept) if kept else Fraction(0)


def broadcast_score(one: Map) -> Fraction:
    """The largest mean weight that one key gets from all queries."""
    return max(_mean(list(column)) for column in zip(*one, strict=True))


def induction_targets(tokens: Sequence[int]) -> dict[int, set[int]]:
    """For each position whose token has occurred before: the positions just after those occurrences, itself left out."""
    found = {place: {at + 1 for at in range(place) if tokens[at] == token and at + 1 < place} for place, token in enumerate(tokens)}
    return {place: targets for place, targets in found.items() if targets}


def induction_score(one: Map, tokens: Sequence[int]) -> Fraction:
    """The mean weight on the targets, over the queries that have some (0 if none has)."""
    targets = induction_targets(tokens)
    return _mean([sum((one[place][at] for at in ats), Fraction(0)) for place, ats in targets.items()]) if targets else Fraction(0)


def _detectors_hold(rows: Parts, tokens: Sequence[int], width: int) -> Outcome:
    """Each score within its range, 1 exactly at its extremes, and in closed form on the uniform head."""
    one, length = map_of(rows), len(rows)
    flat, tokens = uniform(length), list(tokens)[:length]
    scores = [local_score(one, width), induction_score(one, tokens), *(offset_score(one, offset) for offset in range(-length + 1, length))]
    found = [0 <= score <= 1 for score in scores] + [Fraction(1, length) <= broadcast_score(one) <= 1]
    found.append(
        (local_score(one, width) == 1) == all(not weight or abs(at - place) <= width for place, row in enumerate(one) for at, weight in enumerate(row))
    )
    found.append((broadcast_score(one) == 1) == any(all(row[at] == 1 for row in one) for at in range(length)))
    found.append((offset_score(one, 0) == 1) == (one == [[Fraction(a == b) for b in range(length)] for a in range(length)]))
    reach = min(width, length - 1)
    found.append(local_score(flat, width) == Fraction(length * (2 * reach + 1) - reach * (reach + 1), length**2))
    found += [offset_score(flat, offset) == Fraction(1, length) for offset in range(-length + 1, length)]
    targets = induction_targets(tokens)
    found += [broadcast_score(flat) == Fraction(1, length), local_score(one, length) == 1]
    if targets:
        found.append(induction_score(flat, tokens) == Fraction(sum(map(len, targets.values())), length * len(targets)))
        aimed = [[Fraction(at == min(targets[place])) if place in targets else weight for at, weight in enumerate(row)] for place, row in enumerate(one)]
        found.append(induction_score(aimed, tokens) == 1)
    return exact.decided(all(found))


@derived(
    Claim(
        id="metrics.detector-scores",
        title="Pattern scores are mean masses: between 0 and 1, with known values on the uniform head",
        states="Common patterns: local (nearby positions), diagonal (a fixed relative position), broadcast (one position and all others), to which the previous token and induction are added.",
        reading="A score is the mean, over the queries that have such keys, of the weight on the pattern's keys: within w of the query; at a fixed offset (0 for the diagonal, −1 for "
        "the previous token); just after an earlier occurrence of the query's own token. For broadcast it is the largest mean weight that a single key gets from all queries (what the text describes, a special token that attends to all positions, is a row near "
        "uniform: its entropy says so). Global attention, to distant positions, is one less the local score.",
        precise=r"Each lies in $[0,1]$, and is 1 exactly if all weight of those queries is on the pattern's keys, 0 exactly if none is; broadcast lies in $[\frac1n,1]$. On the uniform "
        r"head: local $\frac{n(2w+1)-w(w+1)}{n^2}$ for $w<n$, a fixed offset $\frac1n$, broadcast $\frac1n$, induction the mean number of its keys over $n$.",
        sources=(S4.at("Common Patterns"), CLARK, OLSSON),
        scope="every length, every map whose rows sum to one, every set of keys for each query, m queries that have one",
        holds=_detectors_hold,
    )
)
def detector_scores() -> Iterator[Step]:
    outside = total(sp.exp(z[l]), l)
    inside = sp.Sum(sp.exp(u[k]), (k, 1, m))
    yield Step(
        inside / (inside + outside), "=", 1 - outside / (inside + outside), "a row has on the pattern's keys what it lacks elsewhere, and neither is negative"
    )
    yield Step(sp.Sum(1 / n, (j, 1, l)), "=", l / n, "l keys of the uniform head have l/n together")

    def near(width: sp.Expr) -> sp.Expr:
        return n * (2 * width + 1) - width * (width + 1)

    yield Step(
        apart(near(w)) + 2 * (n - w - 1), "=", near(w + 1),
        "the formula counts the pairs within a distance w: n for w = 0, the diagonal, and there are n − w − 1 pairs at the distance w + 1 on either side",
    )  # fmt: skip
    weight = sp.exp(S[r, j]) / total(sp.exp(S[r, l]), l)
    yield Step(total(total(weight / m, j), r), "=", sp.Integer(1), "the mean weights of all keys sum to one")
    yield Step(
        1 / n,
        "<=",
        (1 + total(x[j], j)) / n,
        "for broadcast: if key j gets x_j less than the best, the best gets (1 + Σ x)/n",
        certificate=total(x[j], j) / n,
    )
    yield Step(sp.Integer(0), "<=", total(y[r], r) / m, "a mean of masses is not negative, and 0 only if all are")
    yield Step(
        total(1 - x[r], r) / m,
        "<=",
        sp.Integer(1),
        "and what it lacks to one is the mean mass x elsewhere: 0 exactly if there is none",
        certificate=total(x[r], r) / m,
    )


# --- attention and trees (C273, C274) ---------------------------------------------------------------------------------------------------


def tree(order: Sequence[int], choices: Sequence[int]) -> tuple[int, list[Edge]]:
    """The root, and the edges of a tree in which each word, in this order, hangs from one named before."""
    return order[0], [(order[choice % place], order[place]) for place, choice in zip(range(1, len(order)), choices[1:], strict=True)]


def syntactic_score(one: Map, edges: Sequence[Edge]) -> Fraction:
    """The mean weight from dependents to heads."""
    return _mean([one[dependent][head] for head, dependent in edges])


def _as_coded(one: Map, edges: Sequence[Edge]) -> Fraction | None:
    """The text's loop, in Python: None where it divides by zero."""
    added, count = Fraction(0), 0
    for head, dependent in edges:
        added += one[dependent][head]
        count += 1
    return added / count if count else None


def _syntactic_code_holds(rows: Parts, order: Sequence[int], choices: Sequence[int]) -> Outcome:
    """The loop returns the mean weight from a dependent to its head."""
    one, (_, edges) = map_of(rows), tree(order, choices)
    found = _as_coded(one, edges)
    return exact.decided(found is not None and found == syntactic_score(one, edges))


def _syntactic_code_worked(rows: Parts, order: Sequence[int], choices: Sequence[int]) -> str:
    one, (_, edges) = map_of(rows), tree(order, choices)
    return (
        f"A sentence of {len(one)} word has the map {_told(one)} and a tree of {len(edges)} pairs: its only word is the root. The loop adds up nothing and "
        f"counts nothing, and the code divides 0 by 0, a ZeroDivisionError "
        "in Python. There is no mean to return, and no number comes back."
    )


def _syntactic_score_holds(rows: Parts, order: Sequence[int], choices: Sequence[int]) -> Outcome:
    """Over the true edges, if there are any: the loop's mean, in [0, 1], 1 exactly if each dependent looks at its head alone; 1/n for the uniform head."""
    one, (_, edges) = map_of(rows), tree(order, choices)
    if not edges:
        return exact.decided(len(one) == 1)
    score = syntactic_score(one, edges)
    perfect = all(one[dependent] == [Fraction(at == head) for at in range(len(one))] for head, dependent in edges)
    flat = syntactic_score(uniform(len(one)), edges) == Fraction(1, len(one))
    return exact.decided(score == _as_coded(one, edges) and 0 <= score <= 1 and (score == 1) == perfect and flat)


@derived(
    Claim(
        id="metrics.syntactic-score",
        title="The mean weight from dependents to their heads lies between 0 and 1",
        states="How much of its attention a head gives to the syntactic head of each word.",
        precise=r"For $m\ge1$ pairs of a dependent and its head within the sentence (the root has none), $0\le\frac1m\sum_tA_{\mathrm{dep}(t),\mathrm{head}(t)}\le1$; it is 1 exactly if every "
        r"dependent gives all its weight to its head. The uniform head scores $\frac1n$. In the formula dependent $t$ has $x_t$ of its weight elsewhere.",
        sources=(S0.at("Syntactic Attention Patterns"), CLARK),
        scope="every sentence of two words or more, every tree, every map whose rows sum to one",
        inventory=("C273",),
        holds=_syntactic_score_holds,
    )
)
def syntactic() -> Iterator[Step]:
    weight = sp.exp(S[t, j]) / total(sp.exp(S[t, l]), l)
    yield Step(sp.Integer(0), "<=", total(y[t], t) / m, "no weight is negative")
    yield Step(sp.Sum(1 / n, (t, 1, m)) / m, "=", 1 / n, "m weights of 1/n")
    yield Step(
        weight, "=", 1 - total((1 - D(j, k)) * sp.exp(S[t, k]), k) / total(sp.exp(S[t, l]), l), "the weight at the head is one less what the row has elsewhere"
    )
    yield Step(
        total(1 - x[t], t) / m,
        "<=",
        sp.Integer(1),
        "so what is missing to one is the mean weight elsewhere, x: 0 exactly if there is none",
        certificate=total(x[t], t) / m,
    )


syntactic_code = Claim(
    id="metrics.syntactic-code",
    title="The code returns the mean attention from dependents to their heads",
    states="A function adds up attention_weights[dependent, head] over the pairs (head, dependent) of a dependency tree, and divides by their number.",
    reading="It returns a number, that mean, for every sentence and its tree, the tree given as one pair for each word that has a head in the sentence.",
    precise=r"For every tree, $\frac1m\sum_tA_{\mathrm{dep}(t),\mathrm{head}(t)}$ over the $m$ words that have a head.",
    sources=(S0.at("Syntactic Attention Patterns"),),
    scope="sentences of any length, any tree, maps whose rows sum to one",
    inventory=("C273",),
    unsaid="the sentence has two words or more, so that its tree has a pair",
    corrected_by="metrics.syntactic-score",
    derive=syntactic.derive,
    holds=_syntactic_code_holds,
    worked=_syntactic_code_worked,
)


def _shifted(length: int, offset: int) -> Map:
    """Each position looks at the one `offset` after it, or at itself where there is none."""
    return [[Fraction(b == (a + offset if 0 <= a + offset < length else a)) for b in range(length)] for a in range(length)]


Sentence = tuple[Sequence[int], Sequence[int]]  # the order and the choices that `tree` takes


def _positional(length: int, absolute: bool, at: int) -> Map:
    """A head that looks at one position, whatever the words are: at a fixed place (the last one, if the sentence is shorter), or at a fixed offset."""
    return [[Fraction(b == min(max(at, 0), length - 1)) for b in range(length)] for _ in range(length)] if absolute else _shifted(length, at)


def _pairs(sentences: Sequence[Sentence]) -> list[Edge]:
    """The pairs (head, dependent) of sentences of one length, all of them together."""
    return [pair for order, choices in sentences for pair in tree(order, choices)[1]]


def _shows_syntax_holds(sentences: Sequence[Sentence], absolute: bool, at: int, level: Fraction) -> Outcome:
    """A head that looks at a position, whatever the words are, does not score more than the level."""
    edges = _pairs(sentences)
    return exact.decided(not edges or syntactic_score(_positional(len(sentences[0][0]), absolute, at), edges) <= level)


def _shows_syntax_worked(sentences: Sequence[Sentence], absolute: bool, at: int, level: Fraction) -> str:
    edges, length = _pairs(sentences), len(sentences[0][0])
    looks = f"looks at word {min(max(at, 0), length - 1)}" if absolute else f"looks {abs(at)} position{'s' * (abs(at) != 1)} {'back' if at < 0 else 'ahead'}"
    return (
        f"{'A sentence' if len(sentences) == 1 else f'{len(sentences)} sentences'} of {length} words with the pairs (head, dependent) {edges}, counted from 0. A head that always "
        f"{looks} has the map {_told(_positional(length, absolute, at))} for every sentence of that length, and scores {syntactic_score(_positional(length, absolute, at), edges)} here, "
        f"more than {level}. It knows nothing of syntax: the trees' heads happen to stand there. (The case gives a sentence as an order in which its words are "
        f"named and, for each, the place of its head among those named before.)"
    )


def _baseline_holds(sentences: Sequence[Sentence], absolute: bool, at: int, level: Fraction) -> Outcome:
    """A fixed offset scores the share of pairs at that offset, a mixture of offsets no more than the largest share; no positional head scores more than the
    commonest heads of each place make together, which one of them does, and which is 1 on a single sentence."""
    edges, length = _pairs(sentences), len(sentences[0][0])
    if not edges:
        return exact.decided(length == 1)
    offsets = [by for by in range(-length + 1, length) if by]
    share = {by: Fraction(sum(head - dependent == by for head, dependent in edges), len(edges)) for by in offsets}
    alone = all(syntactic_score(_shifted(length, by), edges) == share[by] for by in offsets)
    chosen = at if at in share else offsets[0]
    weights = {by: level if by == chosen else (1 - level) / (len(offsets) - 1) for by in offsets}
    mixed = [[sum((weights[by] * _shifted(length, by)[row][column] for by in offsets), Fraction(0)) for column in range(length)] for row in range(length)]
    best = max(share.values())
    counts = [[edges.count((head, dependent)) for head in range(length)] for dependent in range(length)]
    bound = Fraction(sum(map(max, counts)), len(edges))
    commonest = [[Fraction(head == row.index(max(row))) for head in range(length)] for row in counts]
    looked = syntactic_score(_positional(length, absolute, at), edges)
    star = _pairs([(range(length), [0] * length)])  # every word hangs from the first
    more = syntactic_score(_positional(length, True, 0), star) == 1 and all(syntactic_score(_shifted(length, by), star) * (length - 1) <= 1 for by in offsets)
    return exact.decided(
        alone
        and syntactic_score(mixed, edges) <= best <= bound <= 1
        and sum(share.values()) == 1
        and looked <= bound == syntactic_score(commonest, edges)
        and (looked <= best or absolute)
        and (len(sentences) > 1 or bound == 1)
        and more
    )


@derived(
    Claim(
        id="metrics.syntactic-baseline",
        title="A head that looks at fixed offsets scores at most the share of dependencies at one offset; one that knows absolute positions may score more",
        states="(Not in the text, which tests for syntax with a score.) What a syntactic score has to be compared with.",
        precise=r"A head that gives weight $w_o$ to the key at offset $o$, for every sentence alike, scores $\sum_ow_of_o\le\max_of_o$, with $f_o$ the share of dependents whose head stands at "
        r"offset $o$: reached by always looking at the commonest offset (weight that would fall outside the sentence stays on the word itself). On a chain in which each word hangs from the one before it, that is 1. "
        r"A head with any fixed weights $w_{ij}$ by positions scores $\frac1m\sum_{i,j}w_{ij}c_{ij}\le\frac1m\sum_i\max_jc_{ij}$, with $c_{ij}$ the number of pairs whose dependent stands at $i$ and "
        r"head at $j$, over all sentences that are scored: reached by always looking at the commonest head of each place. On a single sentence that is 1. "
        r"Where $n-1$ words hang from the first one, the head that looks at the first word scores 1, and no fixed offset more than "
        r"$\frac1{n-1}$.",
        sources=(S0.at("Probing Attention for Linguistic Structure"), CLARK),
        scope="every tree and sentence, every weighting of offsets or of positions; in the formulas $X_{tj}$ says whether pair t has offset j, n offsets in all, and $f_j=f-x_j$; "
        "for positions $Y_{tij}$ says whether pair t stands at i and j, and $c_{ij}=f_i-x_{ij}$, with $f_i$ the count of the commonest head of place i; the weights $w$ are written $\\alpha$",
        inventory=("C274",),
        uses=("metrics.syntactic-score",),
        holds=_baseline_holds,
    )
)
def syntactic_baseline() -> Iterator[Step]:
    indicator, best = sp.IndexedBase("X", real=True), sp.Symbol("f", positive=True)
    yield Step(
        total(total(alpha[j] * indicator[t, j], j), t) / m,
        "=",
        total(alpha[j] * (total(indicator[t, j], t) / m), j),
        "pair t is given the weight of its own offset; gathered by offsets, each weight meets the share of pairs there",
    )
    yield Step(
        total(alpha[j] * (best - x[j]), j),
        "<=",
        best * total(alpha[j], j),
        "a mean of shares is at most the largest of them: the weights add up to one",
        certificate=total(alpha[j] * x[j], j),
    )
    weight, stands = alpha[i, j], sp.IndexedBase("Y", real=True)
    commonest = sp.IndexedBase("f", nonnegative=True)
    yield Step(
        total(total(total(weight * stands[t, i, j], j), i), t) / m,
        "=",
        total(total(weight * total(stands[t, i, j], t), j), i) / m,
        "weights by positions: each meets the number of pairs that stand there",
    )
    yield Step(
        total(total(weight * (commonest[i] - x[i, j]), j), i) / m,
        "<=",
        total(commonest[i] * total(weight, j), i) / m,
        "no place has more than its commonest head, and the weights of a place add up to one",
        certificate=total(total(weight * x[i, j], j), i) / m,
    )


shows_syntax = Claim(
    id="metrics.syntactic-shows-syntax",
    title="A high syntactic score shows that attention captures syntax",
    states="Whether attention captures syntactic relationships is tested by a function that returns the mean attention from dependents to heads.",
    reading="At the least, a high score, above one half say, sets a head apart from one that looks at a position, relative or absolute, whatever the words are: such a head does not score so high. "
    "Attention captures syntax if its weights follow the trees where positions alone do not; by what means it follows them is not asked. Under the assumption "
    "below the sentence is true as a definition: to score more than "
    "positions alone can is then what capturing syntax means; what is judged is whether the score alone shows it.",
    precise=r"Every head that always looks at the same offset, or at the same place, scores at most $\lambda$, for some level $\lambda<1$.",
    sources=(S0.at("Syntactic Attention Patterns"), S0.at("Probing Attention for Linguistic Structure")),
    scope="one sentence or several of one length, any trees, levels of one half and more",
    inventory=("C274",),
    unsaid="“high” means above what positions alone, relative or absolute, reach on the same sentences (one sentence alone shows nothing)",
    corrected_by="metrics.syntactic-baseline",
    derive=syntactic_baseline.derive,
    holds=_shows_syntax_holds,
    worked=_shows_syntax_worked,
)


# --- correlation (C277, C278, C279) -----------------------------------------------------------------------------------------------------


def _centred(row: Row) -> list[Fraction]:
    mean = _mean([Fraction(one) for one in row])
    return [one - mean for one in row]


def _moments(left: Row, right: Row) -> tuple[Fraction, Fraction, Fraction]:
    """n times the covariance and the two variances."""
    first, second = _centred(left), _centred(right)
    return tuple(sum((one * other for one, other in zip(*pair, strict=True)), Fraction(0)) for pair in ((first, second), (first, first), (second, second)))  # type: ignore[return-value]


def correlation(left: Row, right: Row) -> arb:
    """Pearson's. Raises ZeroDivisionError for a constant row."""
    both, one, other = _moments(left, right)
    if not one * other:
        raise ZeroDivisionError("the correlation with a constant is 0/0")
    return ball(both) / ball(one * other).sqrt()


def _defined_holds(model: Sequence[int], human: Sequence[int]) -> Outcome:
    """The correlation of two rows of attention is a number."""
    _, one, other = _moments(row_of(model), row_of(human))
    return exact.decided(one * other > 0)


def _defined_worked(model: Sequence[int], human: Sequence[int]) -> str:
    rows = [row_of(model), row_of(human)]
    _, *variances = _moments(*rows)
    return (
        f"The model attends with the weights {', '.join(map(str, rows[0]))}, the reader with {', '.join(map(str, rows[1]))}. Their sums of squared deviations from the mean are "
        f"{variances[0]} and {variances[1]}, and the correlation divides by the root of the product: 0/0. (In NumPy, `corrcoef` returns NaN with a warning.) "
        f"{PARTS}"
    )


def _range_holds(model: Sequence[int], human: Sequence[int]) -> Outcome:
    """If neither row is constant, ρ² ≤ 1, with equality exactly if one row is an affine function of the other; variances are 0 exactly for constant rows."""
    left, right = row_of(model), row_of(human)
    both, one, other = _moments(left, right)
    constant = [len(set(row)) == 1 for row in (left, right)]
    if any(constant):
        return exact.decided([one == 0, other == 0] == constant)
    first, second = _centred(left), _centred(right)
    affine = all(a * d == b * c for a, b in zip(first, second, strict=True) for c, d in zip(first, second, strict=True))
    return exact.decided(both**2 <= one * other and (both**2 == one * other) == affine)


@derived(
    Claim(
        id="metrics.correlation-range",
        title="Correlation lies between −1 and 1, and is defined exactly for rows that are not constant",
        states="Attention is compared with human attention, or between runs, by correlation.",
        reading="Pearson's coefficient over the positions; Spearman's is Pearson's of the ranks.",
        precise=r"$\big(\sum_ja_jb_j\big)^2\le\sum_ja_j^2\sum_jb_j^2$ for the deviations $a,b$ from the means, with equality exactly if they are proportional; and "
        r"$\sum_j(x_j-\bar x)^2=\frac1{2n}\sum_{j,k}(x_j-x_k)^2$ is 0 exactly if $x$ is constant.",
        sources=(S0.at("Attention Alignment with Human Judgments"), S0.at("Attention Consistency")),
        scope="every length, all real rows",
        inventory=("C277",),
        holds=_range_holds,
    )
)
def correlation_range() -> Iterator[Step]:
    deviation = u[j] - total(u[l], l) / n
    yield Step(
        total(deviation**2, j),
        "=",
        total(total((u[j] - u[k]) ** 2, k), j) / (2 * n),
        "a variance is half the mean squared difference of two positions: 0 only if all agree",
    )
    yield Step(
        total(u[j] * z[j], j) ** 2,
        "<=",
        total(u[j] ** 2, j) * total(z[j] ** 2, j),
        "the difference is half the sum of the squares of a_j b_k − a_k b_j: 0 only if the rows are proportional",
        certificate=total(total((u[j] * z[k] - u[k] * z[j]) ** 2, k), j) / 2,
    )


human_correlation = Claim(
    id="metrics.human-correlation",
    title="Alignment with human attention is the correlation of model and human attention",
    states="ρ = corr(model attention, human attention) measures alignment with human attention in reading studies.",
    reading="ρ is a number for every pair of attention rows over the same words.",
    precise=r"$\mathrm{corr}(p,q)$ is defined for all distributions $p,q$ over $n$ positions.",
    sources=(S0.at("Attention Alignment with Human Judgments"),),
    scope="rows over any number of positions; Pearson's or Spearman's coefficient",
    inventory=("C277",),
    unsaid="neither row is uniform (so that there are at least two positions)",
    corrected_by="metrics.correlation-range",
    derive=correlation_range.derive,
    holds=_defined_holds,
    worked=_defined_worked,
)


def _ranks(row: Row) -> list[Fraction]:
    """1 + the number below + half the number of others that tie."""
    return [1 + sum(other < one for other in row) + Fraction(sum(other == one for other in row) - 1, 2) for one in row]


def _invariance_holds(model: Row, human: Row, factor: int, shift: int) -> Outcome:
    """Pearson's under x ↦ factor · x + shift; Spearman's under x ↦ x³ + factor · x too, which is increasing."""
    if not _moments(model, human)[1] * _moments(model, human)[2]:
        return Outcome.HELD
    moved, bent = [factor * one + shift for one in model], [one**3 + factor * one for one in model]
    pearson = exact.equal([correlation(moved, human), correlation([-one for one in model], human)], [correlation(model, human), -correlation(model, human)])
    spearman = exact.decided(_ranks(moved) == _ranks(bent) == _ranks(model))
    return Outcome.worst([pearson, spearman])


@derived(
    Claim(
        id="metrics.correlation-invariances",
        title="What correlations do not see: scale and shift (Pearson), and any increasing function (Spearman)",
        states="Correlation of attention with something else.",
        precise=r"$\mathrm{cov}(ax+b,y)=a\,\mathrm{cov}(x,y)$ and $\mathrm{var}(ax+b)=a^2\,\mathrm{var}(x)$, so Pearson's coefficient is the same for $a>0$ and changes sign for $a<0$. A strictly increasing "
        r"function $f$ keeps the sign of every difference, $f(x)-f(y)=c\,(x-y)$ with some $c>0$, hence all ranks and Spearman's coefficient: so a temperature on the scores of one row, which may change Pearson's, does not change Spearman's.",
        sources=(S0.at("Attention Alignment with Human Judgments"),),
        scope="every length, all real rows, all a ≠ 0",
        uses=("metrics.correlation-range",),
        holds=_invariance_holds,
    )
)
def correlation_invariances() -> Iterator[Step]:
    factor, shift = sp.Symbol("a", real=True), sp.Symbol("b", real=True)

    def deviation(row: sp.IndexedBase, scale: sp.Expr, constant: sp.Expr) -> sp.Expr:
        return scale * row[j] + constant - total(scale * row[l] + constant, l) / n

    plain, other = deviation(u, sp.Integer(1), sp.Integer(0)), deviation(z, sp.Integer(1), sp.Integer(0))
    moved = deviation(u, factor, shift)
    yield Step(total(moved * other, j), "=", factor * total(plain * other, j), "the shift drops out of the deviations, and the factor comes out of the sum")
    yield Step(total(moved**2, j), "=", factor**2 * total(plain**2, j), "once for each factor")
    slope, gap = sp.Symbol("c", positive=True), sp.Symbol("h", positive=True)
    yield Step(sp.Integer(0), "<", slope * gap, "if x exceeds y by h > 0, f(x) exceeds f(y) by c h: the larger stays the larger")


def _one_sign_holds(model: Sequence[int], human: Sequence[int]) -> Outcome:
    """Pearson's and Spearman's coefficients are not of opposite signs."""
    left, right = row_of(model), row_of(human)
    return exact.decided(_moments(left, right)[0] * _moments(_ranks(left), _ranks(right))[0] >= 0)


def _one_sign_worked(model: Sequence[int], human: Sequence[int]) -> str:
    left, right = row_of(model), row_of(human)
    ranks = _ranks(left), _ranks(right)

    def told(one: Row, other: Row) -> str:
        products, mean = sum((Fraction(a) * b for a, b in zip(one, other, strict=True)), Fraction(0)), _mean(list(map(Fraction, one)))
        return f"the products add up to {products}, less {len(one)} times ({mean})² this is {_moments(one, other)[0]}"

    return (
        f"The model attends with {', '.join(map(str, left))}, the reader with {', '.join(map(str, right))}. A coefficient has the sign of the sum of the products of deviations from the means. "
        f"Of the weights {told(left, right)}: Pearson's coefficient is {exact.show(correlation(left, right))}. The ranks are {', '.join(map(str, ranks[0]))} and "
        f"{', '.join(map(str, ranks[1]))}; of these {told(*ranks)}: Spearman's coefficient is {exact.show(correlation(*ranks))}, of the other sign. {PARTS}"
    )


def _concordant_holds(model: Sequence[int], human: Sequence[int]) -> Outcome:
    """A covariance is the mean over pairs of products of differences over two; if all pairs are ordered alike, no coefficient is negative."""
    left, right = row_of(model), row_of(human)
    places = range(len(left))
    found, alike = [], all((left[a] - left[b]) * (right[a] - right[b]) >= 0 for a in places for b in places)
    for one, other in ((left, right), (_ranks(left), _ranks(right))):
        both = _moments(one, other)[0]
        pairs = sum(((one[a] - one[b]) * (other[a] - other[b]) for a in places for b in places), Fraction(0))
        found += [2 * len(left) * both == pairs, not alike or both >= 0]
    return exact.decided(all(found))


@derived(
    Claim(
        id="metrics.concordant-pairs",
        title="A covariance is a mean over pairs; if all pairs are ordered alike, every coefficient agrees on the sign",
        states="What Pearson's and Spearman's coefficients have in common.",
        precise=r"$\sum_j(x_j-\bar x)(y_j-\bar y)=\frac1{2n}\sum_{j,k}(x_j-x_k)(y_j-y_k)$, of values for Pearson's and of ranks for Spearman's coefficient. If no pair of positions is ordered "
        r"oppositely, no term of either is negative; in the formula $x_j-x_k=\sigma_{jk}a_{jk}$ and $y_j-y_k=\sigma_{jk}b_{jk}$ with $a,b\ge0$: one sign for both, ties in either "
        r"or both included.",
        sources=(S0.at("Attention Alignment with Human Judgments"),),
        scope="every length, all real rows",
        holds=_concordant_holds,
    )
)
def concordant_pairs() -> Iterator[Step]:
    deviation, other = u[j] - total(u[l], l) / n, z[j] - total(z[l], l) / n
    yield Step(
        total(deviation * other, j),
        "=",
        total(total((u[j] - u[k]) * (z[j] - z[k]), k), j) / (2 * n),
        "the means drop out of the differences",
    )
    sign, first, second = sp.IndexedBase("sigma", real=True), sp.IndexedBase("a", nonnegative=True), sp.IndexedBase("b", nonnegative=True)
    yield Step(
        sp.Integer(0),
        "<=",
        total(total((sign[j, k] * first[j, k]) * (sign[j, k] * second[j, k]), k), j) / (2 * n),
        "a pair that is ordered alike adds the product of two differences of one sign",
        certificate=total(total(first[j, k] * second[j, k] * sign[j, k] ** 2, k), j) / (2 * n),
    )


coefficient_unnamed = Claim(
    id="metrics.coefficient-unnamed",
    title="Pearson's and Spearman's coefficients agree on the sign",
    states="(Not in the text, which writes corr, as a rule Pearson's coefficient.) Whether it would make a difference to take Spearman's coefficient for the "
    "alignment with human attention.",
    reading="The two coefficients at least agree on whether the model's attention goes with the readers' or against it.",
    precise="Pearson's and Spearman's coefficients of two distributions over n positions never have opposite signs.",
    sources=(S0.at("Attention Alignment with Human Judgments"),),
    scope="rows over any number of positions, ties at mean ranks",
    corrected_by="metrics.concordant-pairs",
    holds=_one_sign_holds,
    worked=_one_sign_worked,
)


def _mean_correlation_holds(runs: Sequence[Sequence[int]]) -> Outcome:
    """−1/(K − 1) ≤ mean pairwise correlation ≤ 1, where it is defined; and K centred unit vectors, all at the same angle, reach the lower end,
    as do pairs of opposite rows over two positions (three runs at equal angles among them, over three positions, if K is odd)."""
    count = len(runs)
    if count < 2:
        return Outcome.HELD
    simplex = [[int(a == b) for b in range(count)] for a in range(count)]
    opposite = [[1, -1], [-1, 1]] * (count // 2) if count % 2 == 0 else [[2, -1, -1], [-1, 2, -1], [-1, -1, 2], *[[1, -1, 0], [-1, 1, 0]] * ((count - 3) // 2)]
    reached = exact.equal([_pairwise(simplex), _pairwise(opposite)], [Fraction(-1, count - 1)] * 2)
    if any(len(set(run)) == 1 for run in runs):
        return reached
    mean = _pairwise(runs)
    return Outcome.worst([reached, exact.at_most([Fraction(-1, count - 1), mean], [mean, 1])])


def _pairwise(runs: Sequence[Row]) -> arb:
    """The mean correlation of all pairs of different runs."""
    pairs = [correlation(a, b) for a, b in permutations(runs, 2)]
    return sum(pairs, arb(0)) / len(pairs)


@derived(
    Claim(
        id="metrics.mean-correlation",
        title="The mean pairwise correlation of K runs lies between −1/(K − 1) and 1",
        states="Consistency is the mean correlation over all ordered pairs of K runs, 1/(K(K − 1)) times the sum over i ≠ j.",
        reading="K ≥ 2 runs, none of them constant, compared entry by entry.",
        precise=r"$-\frac1{K-1}\le\frac1{K(K-1)}\sum_{i\ne j}\langle z_i,z_j\rangle\le1$ for unit vectors $z_i$ (deviations from the mean over their length). The formula is the lower bound, with "
        r"$\sum_i\|z_i\|^2=K$ for the divisor's $K=N+1$. It is reached by $z_i\propto e_i-\frac1K\mathbf 1$: so −1 is possible for two runs only, and a value just below 0 is the worst of many.",
        sources=(S0.at("Attention Consistency"),),
        scope="every K ≥ 2, rows of every length that are not constant; the lower end is reached exactly if the z_i sum to 0: for an even K two positions suffice, for an odd K three",
        inventory=("C278",),
        uses=("metrics.correlation-range",),
        holds=_mean_correlation_holds,
    )
)
def mean_correlation() -> Iterator[Step]:
    def runs(body: sp.Expr, index: sp.Symbol) -> sp.Expr:
        return sp.Sum(body, (index, 1, N + 1))

    off = total(runs(runs((1 - D(i, j)) * z[i, a] * z[j, a], j), i), a)
    square = total(runs(z[i, a] ** 2, i), a)
    yield Step(
        off,
        "<=",
        N * square,
        "the difference is half the sum of all ‖z_i − z_j‖²; with unit vectors the right-hand side is K(K − 1)",
        certificate=total(runs(runs((z[i, a] - z[j, a]) ** 2, j), i), a) / 2,
    )
    yield Step(
        total((D(i, l) - 1 / n) * (D(j, l) - 1 / n), l),
        "=",
        D(i, j) - 1 / n,
        "for e_i − 1/n, n of them, the product is 1 − 1/n with itself and −1/n with another: correlation −1/(n − 1)",
    )
    yield Step(
        -square / ((N + 1) * N),
        "<=",
        off / ((N + 1) * N),
        "all K² products together are the square of a vector's length, Σ_a (Σ_i z_ia)², 0 exactly if the z_i sum to 0; with unit vectors the left-hand side is −1/(K − 1)",
        certificate=total(runs(z[i, a], i) ** 2, a) / ((N + 1) * N),
    )


def _flat(heads: Sequence[Row]) -> list[Exact]:
    return list(chain.from_iterable(heads))


def _numbered_holds(heads: Parts, others: Parts, order: Sequence[int]) -> Outcome:
    """The correlation of two runs is the same if the second one's heads are numbered otherwise."""
    first, second = map_of(heads), map_of(others)
    moved = [second[place] for place in order]
    if len(set(_flat(first))) == 1 or len(set(_flat(second))) == 1:
        return Outcome.HELD
    return exact.equal(correlation(_flat(first), _flat(second)), correlation(_flat(first), _flat(moved)))


def _numbered_worked(heads: Parts, others: Parts, order: Sequence[int]) -> str:
    first, second = map_of(heads), map_of(others)
    moved = [second[place] for place in order]
    before, after = correlation(_flat(first), _flat(second)), correlation(_flat(first), _flat(moved))
    return (
        f"One row of each head: in one run the heads have the weights {_told(first)}, in another {_told(second)}. The correlation is {exact.show(before)}. Give the heads of the second run other "
        f"numbers, {_told(moved)}, and the rows of its output projection with them: it is the same function of its input, with the same heads, and the "
        f"correlation is {exact.show(after)}. {PARTS}"
    )


def _matched(heads: Sequence[Row], others: Sequence[Row]) -> arb:
    """The largest mean correlation over all ways to pair the heads of two runs."""
    means = [
        sum((correlation(one, others[place]) for one, place in zip(heads, order, strict=True)), arb(0)) / len(heads)
        for order in permutations(range(len(others)))
    ]
    return max(means, key=lambda one: float(one.mid()))


def _matched_holds(heads: Parts, others: Parts, order: Sequence[int]) -> Outcome:
    """Renumbering leaves it as it was, it is no less than unmatched, at most 1, and 1 for a renumbered copy."""
    first, second = map_of(heads), map_of(others)
    if any(len(set(row)) == 1 for row in (*first, *second)):
        return Outcome.HELD
    moved, copy = [second[place] for place in order], [first[place] for place in order]
    plain = sum((correlation(one, other) for one, other in zip(first, second, strict=True)), arb(0)) / len(first)
    value = _matched(first, second)
    same = exact.equal([_matched(first, moved), _matched(copy, second), _matched(first, copy)], [value, value, 1])
    return Outcome.worst([same, exact.at_most([plain, value], [value, 1])])


@derived(
    Claim(
        id="metrics.matched-consistency",
        title="Consistency over matched heads does not depend on how heads are numbered",
        states="(Not in the text, which correlates the attention of runs.) Consistency of attention between runs, when heads may have changed places.",
        precise=r"$\max_\sigma\frac1h\sum_g\mathrm{corr}(\alpha_g,\beta_{\sigma(g)})$, over all pairings $\sigma$ of the heads of two runs, is the same after the heads of either are renumbered by "
        r"$\pi$: the value of $\sigma$ after it is that of $\pi\sigma$ before, and both run over all pairings. It is at most 1, and 1 for a renumbered copy. In the formulas $C$ holds the correlations, "
        r"$X_{ij}$ is 1 where head $i$ is paired with head $j$, and $\pi$ swaps heads $k$ and $l$ of $n$.",
        sources=(S0.at("Attention Consistency"),),
        scope="every number of heads, any similarity of two heads that is at most 1; by products of swaps for every renumbering",
        inventory=("C279",),
        holds=_matched_holds,
    )
)
def matched_consistency() -> Iterator[Step]:
    pairing, similarity = sp.IndexedBase("X", nonnegative=True), sp.IndexedBase("C", real=True)

    def moved(matrix: sp.IndexedBase) -> sp.Expr:
        return swapped(lambda column, row: matrix[row, column], j, i)

    yield Step(
        total(total(moved(similarity) * pairing[i, j], j), i),
        "=",
        total(total(similarity[i, j] * moved(pairing), j), i),
        "renumbered heads paired by σ are the heads as they were, paired by σ followed by the swap",
    )
    yield Step(
        total(total((1 - x[i, j]) * pairing[i, j], j), i),
        "<=",
        total(total(pairing[i, j], j), i),
        "similarities of at most 1 add up to at most the number of pairs; to no less if paired heads are equal",
        certificate=total(total(x[i, j] * pairing[i, j], j), i),
    )


consistency_across_seeds = Claim(
    id="metrics.consistency-across-seeds",
    title="The mean correlation of attention tensors measures consistency across initialisations",
    states="Consistency across random initialisations is the mean pairwise correlation of the runs' attention α.",
    reading="α is all of a run's attention. Runs that compute the same, head for head, and differ in how the heads are numbered, which the initialisation decides, are equally consistent with any third run.",
    precise=r"$\mathrm{corr}(\alpha,\Pi\beta)=\mathrm{corr}(\alpha,\beta)$ for every renumbering $\Pi$ of the heads.",
    sources=(S0.at("Attention Consistency"),),
    scope="runs with any number of heads; one row of each head",
    inventory=("C279",),
    unsaid="heads (and layers) of different runs have been matched before, or are averaged away",
    corrected_by="metrics.matched-consistency",
    derive=matched_consistency.derive,
    holds=_numbered_holds,
    worked=_numbered_worked,
)


# --- pictures and model outputs (C265, C266) --------------------------------------------------------------------------------------------


def _one_list_holds(queries: Sequence[int], keys: Sequence[int]) -> Outcome:
    """There is one list of tokens that names each row's query and each column's key: numbers stand for words."""
    return exact.decided(any(list(tokens) == list(queries) and list(tokens) == list(keys) for tokens in (queries, keys)))


def _one_list_worked(queries: Sequence[int], keys: Sequence[int]) -> str:
    at = next((place for place, (query, key) in enumerate(zip(queries, keys, strict=False)) if query != key), None)
    told = (
        f"there are {len(keys)} labels for {len(queries)} rows; with the queries, {len(queries)} labels for {len(keys)} columns."
        if at is None
        else f"row {at + 1} is labelled {keys[at]} where the query is {queries[at]}; with the queries, column {at + 1} is labelled {queries[at]} where the key is {keys[at]}."
    )
    return (
        f"Cross-attention from the words {', '.join(map(str, queries))} to the words {', '.join(map(str, keys))} (numbers stand for words) has a map of "
        f"{len(queries)} by {len(keys)} weights. One list labels both axes. With "
        f"the keys, {told}"
    )


def _cells_hold(queries: Sequence[int], keys: Sequence[int]) -> Outcome:
    """Cells drawn at (column, row), the first row at the top, labels at the same centres: read back by labels, each pair of places gives its own weight."""
    weights = {(row, column): row * len(keys) + column for row in range(len(queries)) for column in range(len(keys))}
    drawn = {(column + Fraction(1, 2), row + Fraction(1, 2)): weight for (row, column), weight in weights.items()}
    down = {place + Fraction(1, 2): word for place, word in enumerate(queries)}
    across = {place + Fraction(1, 2): word for place, word in enumerate(keys)}
    read = sorted((down[high], across[wide], weight) for (wide, high), weight in drawn.items())
    return exact.decided(read == sorted((queries[row], keys[column], weight) for (row, column), weight in weights.items()))


@derived(
    Claim(
        id="metrics.heatmap-cells",
        title="A heat map with the queries down its side and the keys along its foot shows each weight beside its two tokens",
        states="Visualise attention weights as a colour-coded matrix.",
        precise=r"Cell (column $k$, row $r$, counted downwards) of the picture is $A_{rk}=\sum_{i,j}\delta_{ir}\delta_{jk}A_{ij}$: row labels are the queries, column labels the keys, and it is along a row, from left to right, "
        "that the colours stand for numbers that sum to one.",
        sources=(S1.at("Attention Heatmaps"), S0.at("Attention Heat Maps"), S4.at("Attention Heatmaps"), SEABORN),
        scope="every number of queries and of keys, one map (one head of one layer), softmax weights; two lists of labels",
        inventory=("C265",),
        uses=("convexity.rows-are-queries",),
        holds=_cells_hold,
    )
)
def heatmap_cells() -> Iterator[Step]:
    picture = total(total(D(t, r) * D(j, k) * P[t, j], j), t)
    yield Step(total(sp.exp(S[r, k]) / total(sp.exp(S[r, l]), l), k), "=", sp.Integer(1), "a row of the picture, read from left to right, sums to one")
    yield Step(picture, "=", P[r, k], "one cell for each pair of a row and a column")


heatmap_labels = Claim(
    id="metrics.heatmap-labels",
    title="The heat map's code labels the attention weights with their tokens",
    states="plot_attention_heatmap(attention_weights, tokens) draws the matrix with the same list of tokens along both axes.",
    reading="Beside each row stands the token that attends and under each column the token attended to, for the kinds of attention that the text treats, "
    "cross-attention among them. (That there is one list suggests "
    "self-attention; the purpose, to visualise attention weights, is stated without that restriction.)",
    precise="One list of tokens names the query of every row and the key of every column.",
    sources=(S1.at("Attention Heatmaps"), SEABORN),
    scope="one map of any number of queries and keys",
    inventory=("C265",),
    unsaid="self-attention: queries and keys are the same tokens in the same order (and the matrix is one head's, not a batch)",
    corrected_by="metrics.heatmap-cells",
    holds=_one_list_holds,
    worked=_one_list_worked,
)

FORMS = ("attentions alone", "mapping", "tuple")
Shape = tuple[int, ...]


def _output(layers: int, heads: int, length: int, width: int, form: str) -> tuple[Any, ...] | dict[str, Any]:
    """What a call returns, by shapes, from a model with one full map a layer: the attentions alone; a tuple that ends in them; or a mapping with them under their name, as
    the cited library documents."""
    attentions: tuple[Shape, ...] = ((1, heads, length, length),) * layers
    hidden: Shape = (1, length, width)
    match form:
        case "attentions alone":
            return attentions
        case "tuple":
            return (hidden, attentions)
    return {"last_hidden_state": hidden, "attentions": attentions}


def _iterated_holds(layers: int, heads: int, length: int, width: int, form: str) -> Outcome:
    """Iterating over what the call returns yields one array [1, h, n, n] for each layer."""
    return exact.decided([*_output(layers, heads, length, width, form)] == [(1, heads, length, length)] * layers)


def _iterated_worked(layers: int, heads: int, length: int, width: int, form: str) -> str:
    items = [*_output(layers, heads, length, width, form)]
    if form == "mapping":
        told = f"its keys, the strings {' and '.join(map(repr, items))}. A string has no size(1), and the loop ends in an AttributeError."
    else:
        told = (
            f"first the hidden states, of shape {items[0]}, whose second size is the number of positions and is taken for the number of heads; then the attentions as one item, a tuple, "
            "which has no size at all."
        )
    return f"A model of {layers} layer{'s' * (layers > 1)} and {heads} head{'s' * (heads > 1)} returns a {form}. Iterating over it yields {told}"


def _by_name_holds(layers: int, heads: int, length: int, width: int, form: str) -> Outcome:
    """The attentions taken out first, by name or as the last item, then iterated over."""
    returned = _output(layers, heads, length, width, form)
    found = returned["attentions"] if isinstance(returned, dict) else returned if form == FORMS[0] else returned[-1]
    return exact.decided([*found] == [(1, heads, length, length)] * layers)


attentions_by_name = Claim(
    id="metrics.attentions-by-name",
    title="Taken out of the model's output by name, the attentions are one array for each layer",
    states="(Not in the text, which iterates over the model's output itself.) How to get the attention weights of all layers from a model.",
    precise="The attentions are the entry of that name (the last one of a tuple, where the output ends in them), and iterating over them yields L arrays of "
    "shape [B, h, n, n].",
    sources=(S0.at("Head View Analysis"), TRANSFORMERS),
    scope="models with one full n × n map for each layer and without cross-attention, loaded with attn_implementation='eager' (with 'sdpa' no weights are "
    "returned, and the entries may be None), whose output has one of the three "
    "documented forms and, as a tuple, ends in the attentions (a Longformer's ends in global attentions); any number of layers, heads, positions and "
    "features. What the code then makes of the rows: entropy.offset-1e-8",
    inventory=("C266",),
    holds=_by_name_holds,
)

iterated = Claim(
    id="metrics.iterating-a-model",
    title="Iterating over model(input_text, output_attentions=True) yields the attentions of its layers",
    states="attentions = model(input_text, output_attentions=True) is iterated over as one array of attention weights for each layer.",
    reading="For a model that takes this argument: the library that it comes from returns a mapping of named outputs, or a tuple of them on request, of which the attentions are one entry.",
    precise="Iterating over what the call returns yields L arrays of shape [1, h, n, n].",
    sources=(S0.at("Head View Analysis"), TRANSFORMERS),
    scope="models with one full n × n map for each layer, which return their weights (attn_implementation='eager'), with outputs in the three forms: the "
    "attentions alone, a tuple that ends in them, a mapping that names them; any number "
    "of layers, heads, positions and features",
    inventory=("C266",),
    unsaid="the model returns the attentions and nothing else, one full map for each layer (and turns the text into tokens itself)",
    corrected_by="metrics.attentions-by-name",
    holds=_iterated_holds,
    worked=_iterated_worked,
)
