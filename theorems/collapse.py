"""When attention fails to focus or focuses too much: one-hot rows, uniform rows, their proposed remedies, and what is never quite ignored.

A row is collapsed if one key holds nearly all of its weight and vanished if all visible keys share it equally. Scores are real and finite.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import sympy as sp
from flint import arb

from theorems import exact, normalisers
from theorems.claim import Claim, derived
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S4, VASWANI, Source
from theorems.step import Step
from theorems.symbols import K, Q, S, T, a, b, c, g, head, i, j, k, l, m, n, r, s, softmax, t, total, v

Exact = int | Fraction
Row = Sequence[Exact]
Rows = Sequence[Sequence[int]]
D = sp.KroneckerDelta

DONG = Source(
    key="dong2021", title="Attention is not all you need: pure attention loses rank doubly exponentially with depth", url="https://arxiv.org/abs/2103.03404"
)
VELICKOVIC = Source(key="velickovic2024", title="Softmax is not Enough (for Sharp Size Generalisation)", url="https://arxiv.org/abs/2410.01104")

gap = sp.IndexedBase("g", nonnegative=True)  # by how much something falls short of its bound
x = sp.IndexedBase("x", nonnegative=True)
w = sp.IndexedBase("w", positive=True)
H = sp.IndexedBase("H", real=True)  # what head g adds to an output, H[g]
gate = sp.IndexedBase("z", real=True)  # factor of head g
reach = sp.Symbol("R", nonnegative=True)
lead = sp.Symbol("h", positive=True)
power = sp.Symbol("beta", positive=True)
odds = sp.Symbol("y", positive=True)
epsilon = sp.Symbol("epsilon", positive=True)
query_input, key_input = sp.IndexedBase("x", real=True), sp.IndexedBase("y", real=True)  # the inputs of one query and one key
query_part, key_part = sp.IndexedBase("A", real=True), sp.IndexedBase("B", real=True)  # their projections, A[r, a] and B[r, a]


def _distribution(parts: Sequence[int]) -> list[Fraction]:
    """Whole numbers over their sum (all weight on the first key if they are all 0)."""
    return [Fraction(e, sum(parts)) for e in parts] if sum(parts) else [Fraction(place == 0) for place in range(len(parts))]


def _dot(weights: Row, values: Row) -> Fraction:
    return sum((Fraction(e) * o for e, o in zip(weights, values, strict=True)), Fraction(0))


# --- one-hot rows (C300) ----------------------------------------------------------------------------------------------------------------


def _peaked(peaks: Sequence[int], length: int, small: Fraction) -> list[list[Fraction]]:
    """Rows with 1 − small at their peak and the rest spread evenly over the other keys."""
    return [[1 - small if place == peak else small / (length - 1) for place in range(length)] for peak in peaks]


def _column_shares(rows: Sequence[Sequence[Fraction]]) -> list[Fraction]:
    return [sum(column, Fraction(0)) / len(rows) for column in zip(*rows, strict=True)]


def _one_position_holds(peaks: Sequence[int], length: int, small: Fraction) -> Outcome:
    """Near one-hot rows: one position receives 1 − small of all attention."""
    peaks = [peak % length for peak in peaks]
    return exact.decided(max(_column_shares(_peaked(peaks, length, small))) >= 1 - small)


def _one_position_worked(peaks: Sequence[int], length: int, small: Fraction) -> str:
    peaks = [peak % length for peak in peaks]
    rows = _peaked(peaks, length, small)
    told = ", ".join("(" + ", ".join(map(str, row)) + ")" for row in rows)
    return (
        f"The case names the key, counted from 0, at which each row has its peak; the rest of a row is shared evenly. Take the rows {told}: each puts "
        f"{1 - small} of its weight on one key. The keys receive the shares ({', '.join(map(str, _column_shares(rows)))}) "
        f"of all attention: no position has {1 - small} of it, as the claim would need. The rows look at different positions, as in a copy or an alignment: focused attention, and not collapsed "
        f"onto one position."
    )


def _same_peak() -> Iterator[Step]:
    yield Step(
        1 - epsilon,
        "<=",
        total(1 - epsilon + x[r], r) / m,
        "if every row has at least 1 − ε at the same key, so has their mean",
        certificate=total(x[r], r) / m,
    )


one_hot_rows = Claim(
    id="collapse.one-hot-rows",
    title="One-hot attention weights show that attention has collapsed onto one position",
    states="(Implied, where one-hot weights are called the symptom of attention collapse.) Who sees one-hot weights sees a collapse: all attention focuses "
    "on one position.",
    reading="The way back, from the symptom to the problem, which a diagnosis takes: where every row of a map is near one-hot, one position receives "
    "(nearly) all "
    "attention. (The text itself goes from the problem to the symptom, and that direction holds: see collapse.column-share.)",
    precise=r"If every row has a weight of at least $1-\varepsilon$ at the same key, that key's mean weight is at least $1-\varepsilon$.",
    sources=(S4.at("Attention Collapse"),),
    scope="any number of rows, two or more keys, 0 < ε ≤ 1/4 in the search",
    inventory=("C300",),
    unsaid="a single row is meant, or all rows have their large weight at the same key",
    corrected_by="collapse.column-share",
    derive=_same_peak,
    holds=_one_position_holds,
    worked=_one_position_worked,
)


def _column_share_holds(peaks: Sequence[int], length: int, small: Fraction) -> Outcome:
    """A key's share is one less the mean weight elsewhere, and reaches 1 − small exactly if all peaks agree."""
    peaks = [peak % length for peak in peaks]
    rows = _peaked(peaks, length, small)
    shares = _column_shares(rows)
    elsewhere = [sum((e for row in rows for place, e in enumerate(row) if place != key), Fraction(0)) / len(rows) for key in range(length)]
    whole = all(share == 1 - other for share, other in zip(shares, elsewhere, strict=True))
    least = all(row[key] >= 1 - len(rows) * (1 - share) for row in rows for key, share in enumerate(shares))
    return exact.decided(whole and least and (max(shares) >= 1 - small) == (len(set(peaks)) == 1))


@derived(
    Claim(
        id="collapse.column-share",
        title="Collapse onto one position is read off the columns of the map, not off its rows",
        states="Attention collapse: the problem is that all attention focuses on one position, and its symptom that attention weights become one-hot.",
        reading="From the problem to its symptom: where one position receives (nearly) all attention of a map, every row is (nearly) one-hot.",
        precise=r"$\frac1m\sum_r P_{rj} = 1 - \frac1m\sum_r\sum_{k\ne j}P_{rk}$: key $j$ receives $1-\varepsilon$ of all attention exactly if, on the mean "
        r"over the rows, $\varepsilon$ goes elsewhere. Then every row has at least $1 - m\varepsilon$ at key $j$, $m$ the number of rows: where one position receives all attention, every row is one-hot there. "
        "Entropies or largest weights of the rows do not show it: rows that are one-hot at different keys have entropy 0 too.",
        sources=(S4.at("Attention Collapse"),),
        scope="all m, n ≥ 1, all finite real scores",
        inventory=("C300",),
        uses=("softmax.row-sum",),
        holds=_column_share_holds,
    )
)
def column_share() -> Iterator[Step]:
    def weight(key: sp.Symbol) -> sp.Expr:
        return sp.exp(S[r, key]) / total(sp.exp(S[r, l]), l)

    elsewhere = total(total((1 - D(j, k)) * weight(k), k), r) / m
    yield Step(total(weight(j), r) / m, "=", 1 - elsewhere, "each row sums to one, and so does the mean row")
    share = total(1 - x[r], r) / m  # the weights at the key are 1 − x_r
    yield Step(
        1 - m * (1 - share),
        "<=",
        1 - x[t],
        "let the rows have 1 − x_r at the key, so that the mean of x is ε: no single x exceeds the sum of all, which is mε",
        certificate=total((1 - D(r, t)) * x[r], r),
    )


def _rows_agree_holds(parts: Sequence[int], others: Sequence[int], values: Row, key: int) -> Outcome:
    """|o − o'| ≤ ε (max v − min v), where both rows have at least 1 − ε at the key."""
    first, second, key = _distribution(parts), _distribution(others), key % len(parts)
    small = max(1 - first[key], 1 - second[key])
    return exact.decided(abs(_dot(first, values) - _dot(second, values)) <= small * (max(values) - min(values)))


@derived(
    Claim(
        id="collapse.collapsed-rows-agree",
        title="Rows that collapse onto the same position return nearly the same output",
        states="Tokens whose attention goes to the same position become alike.",
        precise=r"If two rows have at least $1-\varepsilon$ at the same key, $\langle u, o - o'\rangle \le \varepsilon\,\Delta_u$ in every direction $u$, "
        r"$\Delta_u$ the extent of the values along it. In the "
        r"formula the values along $u$ lie within $A$ below and $B$ above that key's, the rows have $1-\varepsilon$ and $1-\varepsilon+h$ there, and the "
        r"means of their other values fall $x$ and $y$ short of the "
        r"far ends.",
        sources=(DONG,),
        scope="any two rows, every real value; the row with less weight at the key named first (the other order is its mirror image)",
        uses=("convexity.output-in-the-hull",),
        holds=_rows_agree_holds,
    )
)
def collapsed_rows_agree() -> Iterator[Step]:
    below, above, short, short_too, more, rest = sp.symbols("A B x y h delta", nonnegative=True)
    value = sp.Symbol("v", real=True)
    wide = rest + more  # ε; the second row has 1 − ε + h at the key, and δ = ε − h elsewhere
    first = (1 - wide) * value + wide * (value + above - short)
    second = (1 - rest) * value + rest * (value - below + short_too)
    yield Step(
        first - second,
        "<=",
        wide * (above + below),
        "both start from the key's value; one moves up by at most εB, the other down by at most (ε − h)A",
        certificate=wide * short + rest * short_too + more * below,
    )


# --- temperature against collapse (C301) ------------------------------------------------------------------------------------------------


def _fixes_holds(scores: Row, temperature: int, level: Fraction) -> Outcome:
    """After division by the temperature no weight exceeds the level."""
    largest = exact.softmax([Fraction(e) / temperature for e in scores])[list(scores).index(max(scores))]
    return exact.at_most(largest, level)


def _fixes_worked(scores: Row, temperature: int, level: Fraction) -> str:
    heated = [Fraction(e) / temperature for e in scores]
    return (
        f"The scores {list(scores)} over the temperature {temperature} are ({', '.join(map(str, heated))}), with the softmax "
        f"({', '.join(exact.show(e) for e in exact.softmax(heated))}): the largest "
        f"weight still exceeds {level}, which the claim rules out. Scores {temperature} times as large give, at this temperature, what the original ones gave without it; and nothing "
        f"keeps trained scores from growing."
    )


def _bounded_scores() -> Iterator[Step]:
    short = sp.Symbol("g", nonnegative=True)
    exponent = sp.UnevaluatedExpr(sp.log(n * odds)) - short
    yield Step(
        1 / (1 + n * sp.exp(-exponent)),
        "<=",
        odds / (1 + odds),
        "with n other keys, R/T = log(ny) − g, g ≥ 0, and the level y/(1 + y): the bound on the largest weight is at most the level",
        certificate=odds * (sp.exp(short) - 1) / ((1 + odds) * (odds + sp.exp(short))),
    )


temperature_fixes = Claim(
    id="collapse.temperature",
    title="Temperature scaling fixes collapsed attention",
    states="Temperature scaling is a solution where attention weights become one-hot.",
    reading="With a temperature T > 1 chosen beforehand, no row over two or more keys is near one-hot: no weight exceeds a level such as 9/10. "
    "(collapse.sharpening is judged by the same standard: a factor chosen beforehand, and a level to reach.)",
    precise=r"$\max_j p_j \le \mu$ if $R \le T\log\frac{(n-1)\,\mu}{1-\mu}$, with $R$ the spread of the row's scores: for given scores a large enough $T$ will do, and no one $T$ for all "
    r"scores. In the formula $n$ counts the other keys and $\mu = y/(1+y)$.",
    sources=(S4.at("Attention Collapse"),),
    scope="rows of two or more keys, all finite real scores, fixed T > 1, levels above 1/n",
    inventory=("C301",),
    uses=("collapse.temperature-bound",),
    unsaid="the spread of the scores stays below T log((n − 1) μ/(1 − μ)); training may scale the projections up until it does not",
    corrected_by="collapse.temperature-bound",
    derive=_bounded_scores,
    holds=_fixes_holds,
    worked=_fixes_worked,
)


def _temperature_bound_holds(scores: Row, temperature: int, level: Fraction) -> Outcome:
    """The largest weight is at most 1/(1 + (n − 1) e^(−R/T)); the level plays no part."""
    largest = exact.softmax([Fraction(e) / temperature for e in scores])[list(scores).index(max(scores))]
    spread = Fraction(max(scores) - min(scores)) / temperature
    return exact.at_most(largest, 1 / (1 + (len(scores) - 1) * ball(-spread).exp()))


@derived(
    Claim(
        id="collapse.temperature-bound",
        title="How large the largest weight can get at a given temperature",
        states="(Not in the text; it names temperature scaling against one-hot rows, and sharpening against uniform ones.) How far the scores of a row lie "
        "apart "
        "bounds its largest weight, at any temperature.",
        precise=r"$\max_j p_j \le \dfrac{1}{1 + (n-1)\,e^{-R/T}}$ with $R = \max s - \min s$, and equality if all other scores are equal. So a weight above "
        r"$\tfrac12$ needs $R/T > \log(n-1)$: longer rows need more "
        r"spread, or a lower temperature, for the same focus. In the formula $n$ counts the other keys, which score $R - g_l$ less than the best.",
        sources=(S4.at("Attention Collapse"), S4.at("Vanishing Attention"), VELICKOVIC),
        scope="any number n ≥ 1 of other keys, all finite real scores, all T > 0",
        inventory=("C301", "C304"),
        holds=_temperature_bound_holds,
    )
)
def temperature_bound() -> Iterator[Step]:
    others, least = total(sp.exp((gap[l] - reach) / T), l), n * sp.exp(-reach / T)
    yield Step(1 / (1 + total(sp.exp(-reach / T), l)), "=", 1 / (1 + least), "with all others R below the best, the largest weight is the bound")
    yield Step(
        1 / (1 + others),
        "<=",
        1 / (1 + least),
        "no other key lies further than R below the best, so each adds at least e^(−R/T) to the divisor",
        certificate=sp.exp(-reach / T) * total(sp.exp(gap[l] / T) - 1, l) / ((1 + others) * (1 + least)),
    )


def _learned_scale_holds(query: Row, keys: Rows, temperature: int) -> Outcome:
    grown = [temperature * e for e in query]
    return exact.equal(
        [exact.softmax(row) for row in exact.scores([grown], keys, Fraction(1, temperature))], [exact.softmax(row) for row in exact.scores([query], keys)]
    )


@derived(
    Claim(
        id="collapse.learned-scale",
        title="A learned projection can undo any fixed temperature",
        states="(Not in the text, which names temperature scaling as a solution.) Projections that are learned can make up for a temperature that is fixed.",
        precise=r"$\mathrm{softmax}\big((TQ)K^\top/T\big) = \mathrm{softmax}(QK^\top)$: with query projection $T\,W_Q$ the layer at temperature $T$ "
        r"computes what $W_Q$ computes at temperature 1. A fixed "
        "temperature changes where training starts and how fast it goes, not what can be reached.",
        sources=(S4.at("Attention Collapse"),),
        scope="all m, n, d, all real Q and K, all T > 0",
        inventory=("C301",),
        holds=_learned_scale_holds,
    )
)
def learned_scale() -> Iterator[Step]:
    def score(key: sp.Symbol, scale: sp.Expr, temperature: sp.Expr) -> sp.Expr:
        return total(scale * Q[r, a] * K[key, a], a) / temperature

    scaled, plain = (sp.exp(score(j, e, e)) / total(sp.exp(score(l, e, e)), l) for e in (T, sp.Integer(1)))
    yield Step(scaled, "=", plain, "the factor T of the query and the division by T cancel in every score")


def _score_penalty_holds(scores: Row) -> Outcome:
    """Spread² ≤ 2 Σ s², and the largest weight at most 1/(1 + (n − 1) e^(−√(2 Σ s²)))."""
    squares = sum((Fraction(e) ** 2 for e in scores), Fraction(0))
    spread = max(scores) - min(scores)
    largest = exact.softmax(scores)[list(scores).index(max(scores))]
    bound = 1 / (1 + (len(scores) - 1) * (-ball(2 * squares).sqrt()).exp())
    return Outcome.worst([exact.decided(spread**2 <= 2 * squares), exact.at_most(largest, bound)])


@derived(
    Claim(
        id="collapse.score-penalty",
        title="A penalty on squared scores does bound the largest weight",
        states="Regularisation is a solution where attention weights become one-hot.",
        reading="The text does not say what is regularised. Here it is the scores: a penalty on their squares is added to the loss.",
        precise=r"$(s_i - s_j)^2 \le 2\sum_l s_l^2$. If a loss $L \ge 0$ plus $\lambda\sum_l s_l^2$ is minimal, then $\lambda\sum_l s_l^2 \le L(0)$, as "
        r"scores 0 are among the choices: so $R \le \sqrt{2L(0)/\lambda}$, and "
        r"$\max_j p_j \le 1/\big(1 + (n-1)e^{-R}\big)$. In the formula $x$ and $y$ are the two scores, $s_l$ the others, and $L(0) = L + "
        r"\lambda\sum_l s_l^2 + g$ with $g \ge 0$.",
        sources=(S4.at("Attention Collapse"),),
        scope="two keys and any number n ≥ 1 of others, all finite real scores, every loss L ≥ 0 and λ > 0",
        inventory=("C302",),
        uses=("collapse.temperature-bound",),
        holds=_score_penalty_holds,
    )
)
def score_penalty() -> Iterator[Step]:
    first, second = sp.symbols("x y", real=True)
    squares = first**2 + second**2 + total(s[l] ** 2, l)
    yield Step(
        (first - second) ** 2,
        "<=",
        2 * (first**2 + second**2 + total(s[l] ** 2, l)),
        "the difference is (x + y)² and twice the other squares",
        certificate=(first + second) ** 2 + 2 * total(s[l] ** 2, l),
    )
    loss, worse = sp.symbols("L g", nonnegative=True)
    rate = sp.Symbol("lambda", positive=True)
    at_zero = loss + rate * squares + worse
    yield Step(rate * squares, "<=", at_zero, "at scores 0 the penalty is 0, and what is minimised is no smaller there", certificate=loss + worse)
    yield Step(
        (first - second) ** 2,
        "<=",
        2 * at_zero / rate,
        "both together, for any two scores, those that lie R apart among them",
        certificate=(first + second) ** 2 + 2 * total(s[l] ** 2, l) + 2 * (loss + worse) / rate,
    )


# --- uniform rows (C303, C304) ----------------------------------------------------------------------------------------------------------


def _vanished(visible: Sequence[bool], score: int) -> list[arb]:
    return exact.softmax([score] * len(visible), visible)


def _vanished_holds(visible: Sequence[bool], score: int) -> Outcome:
    """Equal scores: every visible key has 1/(sequence length)."""
    if not any(visible):
        return Outcome.HELD
    weights = _vanished(visible, score)
    return exact.equal([e for e, seen in zip(weights, visible, strict=True) if seen], [Fraction(1, len(visible))] * sum(visible))


def _vanished_worked(visible: Sequence[bool], score: int) -> str:
    count = sum(visible)
    return (
        f"A sequence of {len(visible)} positions, of which this row sees {count} (mask {[int(e) for e in visible]}), with equal scores {score}: nothing is "
        f"focused on, and every visible weight is {Fraction(1, count)}, where the claim needs 1/{len(visible)}. Hidden positions, later ones under a causal mask or padding, have the weight 0."
    )


def _unmasked() -> Iterator[Step]:
    yield Step(sp.exp(c) / total(sp.exp(c), l), "=", 1 / n, "n equal terms in the divisor, if all keys are seen")


vanished_weights = Claim(
    id="collapse.vanished-weights",
    title="Where attention has become uniform, all weights are one over the sequence length",
    states="Vanishing attention: attention becomes uniform; all weights are about one over the sequence length.",
    reading="A row with equal scores has the weight 1/n at every key that it sees, n the sequence length, in decoders as in encoders.",
    precise=r"$p_j = 1/n$ for every key $j$ of a row that sees all $n$ positions, with equal scores.",
    sources=(S4.at("Vanishing Attention"),),
    scope="all sequence lengths, every mask that leaves a key",
    inventory=("C303",),
    unsaid="the row sees the whole sequence: no causal mask, no padding",
    corrected_by="collapse.visible-uniform",
    derive=_unmasked,
    holds=_vanished_holds,
    worked=_vanished_worked,
)


def _visible_uniform_holds(visible: Sequence[bool], score: int) -> Outcome:
    if not any(visible):
        return Outcome.HELD
    return exact.equal(_vanished(visible, score), [Fraction(int(seen), sum(visible)) for seen in visible])


@derived(
    Claim(
        id="collapse.visible-uniform",
        title="A row without focus has one over the number of keys that it sees",
        states="(Not in the text, which compares with one over the sequence length.) Under a mask a row that has lost its focus has one over the number of "
        "keys that it sees.",
        precise=r"With $n$ visible and $m$ hidden keys, equal scores give each visible key $\dfrac1n > \dfrac1{n+m}$. Compared with one over the sequence "
        r"length, an unfocused row of a decoder looks focused, the more so the "
        "earlier it is.",
        sources=(S4.at("Vanishing Attention"),),
        scope="all n, m ≥ 1, every score",
        inventory=("C303",),
        holds=_visible_uniform_holds,
    )
)
def visible_uniform() -> Iterator[Step]:
    weight = sp.exp(c) / total(sp.exp(c), l)
    yield Step(weight, "=", 1 / n, "the divisor has one term for each visible key")
    yield Step(1 / (n + m), "<", weight, "and fewer than there are positions", certificate=m / (n * (n + m)))


def _variation(weights: Row) -> tuple[Fraction, Fraction]:
    """Total variation from the uniform row, and the largest difference of a weight from 1/n."""
    apart = [abs(e - Fraction(1, len(weights))) for e in weights]
    return sum(apart, Fraction(0)) / 2, max(apart)


def _absolute_holds(parts: Sequence[int]) -> Outcome:
    variation, largest = _variation(_distribution(parts))
    return exact.decided(variation <= largest)


def _absolute_worked(parts: Sequence[int]) -> str:
    weights = _distribution(parts)
    variation, largest = _variation(weights)
    return (
        f"The numbers are parts of the whole, here the row ({', '.join(map(str, weights))}). It differs from 1/{len(weights)} by at most {largest} in each "
        f"weight, yet {variation} of its mass would "
        f"have to move to make it uniform, where the claim needs no more than {largest}. With n keys, a row that is uniform on "
        "half of them and 0 on the other half is within 1/n of 1/n everywhere, and half of its mass is out of place, however long it is."
    )


def _relatively_near() -> Iterator[Step]:
    yield Step(total((epsilon - gap[j]) / n, j) / 2, "<=", epsilon / 2, "n terms of at most ε/n", certificate=total(gap[j], j) / (2 * n))


absolute_closeness = Claim(
    id="collapse.absolute-closeness",
    title="A row whose weights are all close to 1/n is close to uniform",
    states="(Not in the text, which does not say how near to 1/n a weight has to be.) If no weight of a row is further than δ from 1/n, no more than δ of "
    "the row's mass is "
    "out of place.",
    reading="Nearness tested by an absolute tolerance δ, as differences often are.",
    precise=r"If $|n p_j - 1| \le \varepsilon$ for every key, then $\tfrac12\sum_j|p_j - \tfrac1n| \le \varepsilon/2$. In the formula $|p_j - \tfrac1n| "
    r"= (\varepsilon - g_j)/n$.",
    sources=(S4.at("Vanishing Attention"),),
    scope="all n ≥ 1, every distribution",
    unsaid="nearness is meant relative to 1/n: |n p_j − 1| ≤ ε with a small ε",
    derive=_relatively_near,
    holds=_absolute_holds,
    worked=_absolute_worked,
    corrected_by="collapse.relative-closeness",
)


def _relative_holds(parts: Sequence[int]) -> Outcome:
    weights = _distribution(parts)
    variation, largest = _variation(weights)
    return exact.decided(variation <= len(weights) * largest / 2)


@derived(
    Claim(
        id="collapse.relative-closeness",
        title="Close to 1/n has to be measured relative to 1/n",
        states="Vanishing attention: attention becomes uniform; the symptom is that all weights are about one over the sequence length.",
        reading="The symptom shows the problem, if “about” is meant relative to 1/n: then the row is nearly uniform.",
        precise=r"If $|n p_j - 1| \le \varepsilon$ for every key, then $\tfrac12\sum_j|p_j - \tfrac1n| \le \varepsilon/2$. In the formula $|p_j - \tfrac1n| "
        r"= (\varepsilon - g_j)/n$. A difference alone shows little: of $2n$ keys let $n$ share the weight; no weight is further than $\tfrac1{2n}$ from "
        r"$\tfrac1{2n}$, and half of the mass is out of place.",
        sources=(S4.at("Vanishing Attention"),),
        scope="all n ≥ 1, every distribution",
        inventory=("C303",),
        holds=_relative_holds,
    )
)
def relative_closeness() -> Iterator[Step]:
    apart = sp.UnevaluatedExpr(1 / n) - 1 / (2 * n)
    yield Step(apart, "=", 1 / (2 * n), "of 2n keys n share the weight: theirs are 1/(2n) too large, and those of the others, which are 0, 1/(2n) too small")
    yield Step(total(apart, j) / 2 + total(1 / (2 * n), k) / 2, "=", sp.Rational(1, 2), "so half of the mass is out of place, however large n is")
    yield from _relatively_near()


def _from_mean_holds(parts: Sequence[int], values: Row) -> Outcome:
    """o − mean = (1/n) Σ (n p − 1)(v − mean), and so at most ε times the mean distance of a value from the mean."""
    weights, size = _distribution(parts), len(parts)
    average = Fraction(sum(values)) / size
    apart = _dot(weights, values) - average
    formula = sum(((size * e - 1) * (o - average) for e, o in zip(weights, values, strict=True)), Fraction(0)) / size
    far = max(abs(size * e - 1) for e in weights) * sum((abs(o - average) for o in values), Fraction(0)) / size
    return exact.decided(apart == formula and abs(apart) <= far)


@derived(
    Claim(
        id="collapse.near-the-mean",
        title="A vanished row returns the mean of the values, whatever the query",
        states="(Not in the text, which says that attention without focus is a problem.) A row of nearly equal weights returns nearly the mean of the "
        "values, whatever is asked.",
        precise=r"$o - \bar v = \frac1n\sum_j (n p_j - 1)(v_j - \bar v)$ with $\bar v$ the mean value: if $|n p_j - 1| \le \varepsilon$ for every key, the "
        r"output is within $\varepsilon$ times the values' mean distance from $\bar v$: it hardly depends on the query. In the formula of the bound "
        r"$|n p_j - 1| = \varepsilon - g_j$ with $g_j \ge 0$, and $x_j = |v_j - \bar v|$.",
        sources=(S4.at("Vanishing Attention"),),
        scope="all n ≥ 1, all finite real scores and values",
        inventory=("C303",),
        uses=("softmax.row-sum",),
        holds=_from_mean_holds,
    )
)
def near_the_mean() -> Iterator[Step]:
    average = total(v[k], k) / n
    yield Step(
        total((epsilon - gap[j]) * x[j], j) / n,
        "<=",
        epsilon * total(x[j], j) / n,
        "on the left the mean of |n p_j − 1| |v_j − v̄|, which the mean of (n p_j − 1)(v_j − v̄) cannot exceed in size",
        certificate=total(gap[j] * x[j], j) / n,
    )
    yield Step(
        total(softmax(s, j) * v[j], j) - average,
        "=",
        total((n * softmax(s, j) - 1) * (v[j] - average), j) / n,
        "the factors n p − 1 sum to zero, so the mean may be taken off every value",
    )


def _sharpens_holds(scores: Row, factor: int, level: Fraction) -> Outcome:
    """After multiplication by the factor some weight reaches the level."""
    best = list(scores).index(max(scores))
    return exact.at_most(level, exact.softmax([factor * e for e in scores])[best])


def _sharpens_worked(scores: Row, factor: int, level: Fraction) -> str:
    sharp = [factor * e for e in scores]
    nearly = exact.softmax([Fraction(factor, 1000), 0])[0]
    return (
        f"The scores {list(scores)} times {factor} are {sharp}, with the softmax ({', '.join(exact.show(e) for e in exact.softmax(sharp))}): no weight "
        f"reaches {level}, which the claim "
        f"asks for. Scores that are equal stay equal, whatever the factor; and scores that differ by little still do: 1/1000 and 0 times {factor} give the "
        f"better key {exact.show(nearly)}."
    )


def _leader_reaches() -> Iterator[Step]:
    over = sp.Symbol("x", nonnegative=True)
    ahead = sp.UnevaluatedExpr(sp.log(n * odds)) + over
    crowd = total(sp.exp(-over - power * gap[l]), l) / (n * odds)
    yield Step(
        odds / (1 + odds),
        "<=",
        1 / (1 + total(sp.exp(-ahead - power * gap[l]), l)),
        "with n other keys, each of them h or more below the best, βh = log(ny) + x, x ≥ 0, and the level y/(1 + y): the best key's weight reaches the level",
        certificate=total(1 - sp.exp(-over - power * gap[l]), l) / (n * (1 + crowd) * (1 + odds)),
    )


sharpening = Claim(
    id="collapse.sharpening",
    title="Sharpening fixes uniform attention",
    states="Attention sharpening is a solution where attention has become uniform.",
    reading="Sharpening: scores times β > 1 (a temperature below one; or weights to the power β, divided by their sum). With a β chosen beforehand, every "
    "row over two or more keys "
    "has a focus: one weight reaches a level such as 9/10. (collapse.temperature is judged by the same standard: a factor chosen beforehand, and a level to "
    "keep.)",
    precise=r"$\max_j p_j(\beta s) \ge \mu$ if the best score leads every other by $h \ge \frac1\beta\log\frac{(n-1)\,\mu}{1-\mu}$: for given scores, of "
    r"which one is the best, a large enough "
    r"$\beta$ will do, and no one $\beta$ for all scores. In the formula $n$ counts the other keys, which score $h + g_l$ less than the best, and $\mu = "
    r"y/(1+y)$.",
    sources=(S4.at("Vanishing Attention"),),
    scope="rows of two or more keys, all finite real scores, fixed β > 1, levels above 1/n",
    inventory=("C304",),
    unsaid="one score leads all others by log((n − 1) μ/(1 − μ))/β or more: the row is not uniform, and not nearly",
    corrected_by="collapse.sharpened-odds",
    derive=_leader_reaches,
    holds=_sharpens_holds,
    worked=_sharpens_worked,
)


def _sharpened_holds(scores: Row, factor: int, level: Fraction) -> Outcome:
    """Odds are raised to the power of the factor, entropy falls unless all scores are equal, and the lead bounds the best weight (the level plays no part)."""
    before, after = exact.softmax(scores), exact.softmax([factor * e for e in scores])
    powers = exact.equal([e * _whole_power(before[0], factor) for e in after], [after[0] * _whole_power(e, factor) for e in before])
    high, low = exact.entropy(before), exact.entropy(after)
    best, *rest = sorted(scores, reverse=True)
    reached = exact.at_most(1 / (1 + len(rest) * ball(-factor * (best - max(rest))).exp()), after[list(scores).index(best)]) if rest else Outcome.HELD
    return Outcome.worst([powers, reached, exact.equal(high, low) if len(set(scores)) == 1 else exact.decided(bool(low < high))])


def _whole_power(base: arb, exponent: int) -> arb:
    product = arb(1)
    for _ in range(exponent):
        product *= base
    return product


@derived(
    Claim(
        id="collapse.sharpened-odds",
        title="Sharpening raises the odds of every two keys to a power, so equal weights stay equal",
        states="(Not in the text, which names sharpening against uniform attention.) Sharpening enlarges the differences that a row has, and makes none.",
        precise=r"$\dfrac{p_i(\beta s)}{p_j(\beta s)} = \Big(\dfrac{p_i(s)}{p_j(s)}\Big)^{\beta}$. Odds of one stay one. If $n$ other keys lie $h$ or more "
        r"below the best, then "
        r"$p_{\max}(\beta s) \ge 1/\big(1 + n\,e^{-\beta h}\big)$, which tends to 1 as $\beta$ grows if $h > 0$. In the formulas gaps to the best are $h + "
        r"g_l$ with $g_l \ge 0$.",
        sources=(S4.at("Vanishing Attention"),),
        scope="all n ≥ 1, all finite real scores, all β > 0",
        inventory=("C304",),
        holds=_sharpened_holds,
    )
)
def sharpened_odds() -> Iterator[Step]:
    def sharp(position: sp.Symbol) -> sp.Expr:
        return sp.exp(power * s[position]) / total(sp.exp(power * s[l]), l)

    crowd = total(sp.exp(-power * (lead + gap[l])), l)
    yield Step(
        1 / (1 + n * sp.exp(-power * lead)),
        "<=",
        1 / (1 + crowd),
        "n keys that lie h or more below the best: as β grows the best key's weight comes as near to one as one likes",
        certificate=total(sp.exp(-power * lead) * (1 - sp.exp(-power * gap[l])), l) / ((1 + n * sp.exp(-power * lead)) * (1 + crowd)),
    )
    same = sp.Symbol("s_0", real=True)
    yield Step(sp.exp(power * same) / total(sp.exp(power * same), l), "=", 1 / n, "a row of equal scores is uniform at every β")
    yield Step(sharp(i) / sharp(j), "=", (softmax(s, i) / softmax(s, j)) ** power, "odds are the exponential of the difference of two scores")


# --- initialisation (C305) --------------------------------------------------------------------------------------------------------------


def _initial_holds(weights: Sequence[Fraction]) -> Outcome:
    """The drawn numbers are themselves a row of attention weights: positive, with the sum one."""
    return exact.decided(sum(weights) == 1)


def _initial_worked(weights: Sequence[Fraction]) -> str:
    whole = sum(weights, Fraction(0))
    return (
        f"Draw ({', '.join(map(str, weights))}) at random as initial attention weights. They sum to {whole}, and every row of a softmax sums to one: no "
        f"scores give these weights. Divided by their sum they are ({', '.join(str(e / whole) for e in weights)}), a row of attention weights, but one whose "
        f"mean is 1/{len(weights)}, however small the draw."
    )


def _small_parameters() -> Iterator[Step]:
    yield Step(
        total(sp.UnevaluatedExpr(epsilon * Q[r, a]) * sp.UnevaluatedExpr(epsilon * K[j, a]), a),
        "=",
        epsilon**2 * total(Q[r, a] * K[j, a], a),
        "projections of queries and keys that are ε times as large make scores ε² times as large",
    )


initial_weights = Claim(
    id="collapse.initial-weights",
    title="Attention weights are initialised to small random values",
    states="(Not in the text, which initialises “attention weights” to small random values and can only mean parameters.) The weights of a row can be set to "
    "numbers drawn "
    "beforehand.",
    reading="What the words would ask for if they meant the output of the softmax, which texts call attention weights too.",
    precise=r"$\sum_a (\varepsilon q_a)(\varepsilon k_a) = \varepsilon^2\sum_a q_a k_a$: the parameters of the projections can be drawn as one likes, and "
    r"drawn $\varepsilon$ times as large they make scores $\varepsilon^2$ times as large.",
    sources=(S4.at("Initialization"),),
    scope="rows of two or more keys, positive draws below one in the search; all ε > 0, all queries and keys for the projections",
    unsaid="'attention weights' means the parameters of the projections, and not the output of softmax",
    corrected_by="collapse.weights-follow-scores",
    derive=_small_parameters,
    holds=_initial_holds,
    worked=_initial_worked,
)


def _small_projections_hold(query: Row, keys: Rows, small: Fraction) -> Outcome:
    """e^(−ε²R) ≤ n p ≤ e^(ε²R), with R the spread of the scores that query and keys have before both are multiplied by ε."""
    plain = [_dot(query, key) for key in keys]
    far = ball(small**2 * (max(plain) - min(plain))).exp()
    (scores,) = exact.scores([[small * e for e in query]], [[small * o for o in key] for key in keys])
    scaled = [len(keys) * e for e in exact.softmax(scores)]
    return Outcome.worst([exact.at_most([1 / far] * len(keys), scaled), exact.at_most(scaled, [far] * len(keys))])


@derived(
    Claim(
        id="collapse.small-projections",
        title="Small projections of queries and keys give attention weights near one over the number of keys",
        states="Attention weights are initialised to small random values.",
        reading="The parameters behind the attention weights are meant, the projections of queries and keys: only parameters are initialised. What small "
        "ones give is derived.",
        precise=r"If queries and keys are $\varepsilon$ times as large, then $e^{-\varepsilon^2R} \le n\,p_i \le e^{\varepsilon^2R}$ with $R$ the spread of "
        r"the scores before: near $1/n$, which is small only in long rows. In the formulas a score lies $g_l$ below the largest or $x_l$ above the "
        r"smallest, and $R = g_i + h$ or $x_i + h$.",
        sources=(S4.at("Initialization"),),
        scope="all n ≥ 1, all finite queries and keys, all ε > 0",
        inventory=("C305",),
        holds=_small_projections_hold,
    )
)
def small_projections() -> Iterator[Step]:
    yield from _small_parameters()
    rest = sp.Symbol("h", nonnegative=True)
    below = total(sp.exp(-(epsilon**2) * gap[l]), l)
    yield Step(
        sp.exp(-(epsilon**2) * (gap[i] + rest)),
        "<=",
        n * sp.exp(-(epsilon**2) * gap[i]) / below,
        "no term of the divisor exceeds one, measured from the best score; the spread is R = g_i + h",
        certificate=sp.exp(-(epsilon**2) * gap[i])
        * (n * (1 - sp.exp(-(epsilon**2) * rest)) + sp.exp(-(epsilon**2) * rest) * total(1 - sp.exp(-(epsilon**2) * gap[l]), l))
        / below,
    )
    above = total(sp.exp(epsilon**2 * x[l]), l)
    stretched = sp.exp(epsilon**2 * rest)
    yield Step(
        n * sp.exp(epsilon**2 * x[i]) / above,
        "<=",
        sp.exp(epsilon**2 * (x[i] + rest)),
        "every term of the divisor is at least one, measured from the smallest score; the spread is R = x_i + h",
        certificate=sp.exp(epsilon**2 * x[i]) * (n * (stretched - 1) + stretched * total(sp.exp(epsilon**2 * x[l]) - 1, l)) / above,
    )


def _follow_holds(weights: Sequence[Fraction]) -> Outcome:
    whole = sum(weights, Fraction(0))
    return exact.equal(exact.softmax([ball(e).log() for e in weights]), [e / whole for e in weights])


@derived(
    Claim(
        id="collapse.weights-follow-scores",
        title="Attention weights are no parameters: whatever is drawn for them is divided by its sum",
        states="(Not in the text, which initialises “attention weights” to small random values.) Taken as the output of the softmax, weights cannot be set "
        "to a scale: their mean is given.",
        precise=r"$\mathrm{softmax}(\log w + c)_j = w_j/\sum_l w_l$ for all positive numbers $w$ and every $c$: any positive row can be reached up to its "
        r"scale, and the scale cannot be chosen; the mean weight is $1/n$.",
        sources=(S4.at("Initialization"),),
        scope="all n ≥ 1, all positive numbers w, all real c",
        inventory=("C305",),
        holds=_follow_holds,
    )
)
def weights_follow_scores() -> Iterator[Step]:
    weight = sp.exp(sp.log(w[j]) + c) / total(sp.exp(sp.log(w[l]) + c), l)
    yield Step(total(weight, j) / n, "=", 1 / n, "the weights sum to one, whatever was drawn")
    yield Step(weight, "=", w[j] / total(w[l], l), "the exponential undoes the logarithm, and the factor e^c cancels")


def _projected(row: Row, projection: Rows) -> list[Fraction]:
    """Row times matrix. Shapes: row [m], projection [m, d] → [d]."""
    return [_dot(row, column) for column in zip(*projection, strict=True)]


def _score(inputs: Row, query_projection: Rows, key: Row, key_projection: Rows) -> Fraction:
    return _dot(_projected(inputs, query_projection), _projected(key, key_projection))


def _stuck_holds(inputs: Row, projection: Rows, keys: Rows) -> Outcome:
    """A score is linear in either projection, so a unit step in an entry shows the derivative: 0 by both at zero, else the input times the other's feature."""
    rows, columns = range(len(projection)), range(len(projection[0]))
    nothing = [[0 for _ in columns] for _ in rows]
    for key, row, column in product(keys, rows, columns):
        unit = [[int((e, o) == (row, column)) for o in columns] for e in rows]
        at_zero = _score(inputs, nothing, key, nothing)
        by_query, by_key = _score(inputs, unit, key, nothing) - at_zero, _score(inputs, nothing, key, unit) - at_zero
        beside = _score(inputs, unit, key, projection) - _score(inputs, nothing, key, projection)
        if any((at_zero, by_query, by_key)) or beside != inputs[row] * _projected(key, projection)[column]:
            return Outcome.REFUTED
    return Outcome.HELD


@derived(
    Claim(
        id="collapse.zero-projections",
        title="Query and key projections that both start at zero get no gradient",
        states="(Not in the text, which recommends small random values for attention and zeros for some residual connections only.) Projections of queries "
        "and keys that both start at zero stay there.",
        precise=r"$\partial s/\partial A_{tb} = x_t\sum_r y_r B_{rb}$ for the score $s = \sum_a\big(\sum_r x_r A_{ra}\big)\big(\sum_r y_r B_{ra}\big)$ of "
        r"inputs $x$ and $y$, $A$ and $B$ the projections of queries and keys: with $B = 0$ it is 0, and with $A = 0$ so is the derivative by $B$. Started at zero "
        r"together, the scores stay 0 and attention stays uniform. (If only one of them is 0, the derivative by it is the input times the other's feature, "
        r"and need not vanish.) In the formula the other projection is $z$ times a matrix, and $z = 0$.",
        sources=(S4.at("Initialization"),),
        scope="all widths of inputs and features, all inputs, projections without biases; that they stay there supposes that parameters move along the "
        "gradient alone",
        holds=_stuck_holds,
    )
)
def zero_projections() -> Iterator[Step]:
    size = sp.Symbol("z", real=True)

    def feature(inputs: sp.IndexedBase, projection: sp.IndexedBase, place: sp.Symbol) -> sp.Expr:
        return total(inputs[r] * projection[r, place], r)

    score = total(feature(query_input, query_part, a) * feature(key_input, key_part, a), a)
    by_query, by_key = query_part[t, b], key_part[t, b]
    yield Step(
        sp.Derivative(score, by_query),
        "=",
        query_input[t] * feature(key_input, key_part, b),
        "the gradient of the query's entry passes through the projected key",
    )
    yield Step(sp.Subs(sp.Derivative(size * score, by_key), size, 0), "=", sp.Integer(0), "with z A for A, the key's entries get none where z is 0")
    yield Step(sp.Subs(sp.Derivative(size * score, by_query), size, 0), "=", sp.Integer(0), "and with z B for B the query's get none")


# --- adaptive attention (C298, C299) ----------------------------------------------------------------------------------------------------


def _learned_sparsity_holds(attended: Sequence[bool], drop: int, level: int, alpha: Fraction) -> Outcome:
    """Equal scores on the chosen keys, and scores 1/(α − 1) + drop lower off them: weights 1/k on them and exactly 0 off them."""
    if not any(attended):
        return Outcome.HELD
    scores = [level - (0 if on else 1 / (alpha - 1) + drop) for on in attended]
    weights = normalisers.sparse_weights(scores, alpha)
    on = [w for w, chosen in zip(weights, attended, strict=True) if chosen]
    off = [w for w, chosen in zip(weights, attended, strict=True) if not chosen]
    return Outcome.worst([exact.equal(on, [Fraction(1, len(on))] * len(on)), exact.decided(all(w == 0 for w in off))])


@derived(
    Claim(
        id="collapse.learned-sparsity",
        title="There is attention whose scores decide which positions are left out",
        states="Learned sparsity: learn which positions to attend to.",
        reading="The text lists a method of its own, and does not say that its weights are softmax's. So existence is asked: is there attention whose learned "
        "scores decide which positions have a weight, and leave the others out? α-entmax, and with it sparsemax (α = 2), is such attention.",
        precise=r"Scores $c$ on any set of $n \ge 1$ keys, and $c - \frac1{\alpha-1} - g_r$ with $g_r \ge 0$ on the others: $\alpha$-entmax gives the keys of "
        r"the set $\frac1n$ each, and every other key exactly 0. In the formulas $a = \alpha - 1$, and the weights are $[a s - \tau]_+^{1/a}$ with "
        r"$\tau = ac - e^{-ax}$, $e^{-x} = \frac1n$.",
        sources=(S1.at("Adaptive Attention"), normalisers.MARTINS, normalisers.PETERS),
        scope="every non-empty set of keys, every α > 1, all real c (examples: α = 3/2 and 2)",
        inventory=("C298",),
        uses=("normalisers.entmax-cut-off",),
        holds=_learned_sparsity_holds,
    )
)
def learned_sparsity() -> Iterator[Step]:
    less, level = sp.Symbol("x", nonnegative=True), sp.Symbol("c", real=True)
    above = sp.Symbol("a", positive=True)  # α − 1
    yield Step(total((above * level - (above * level - n ** (-above))) ** (1 / above), j), "=", sp.Integer(1), "the n keys of the set, 1/n each, sum to one")
    threshold = above * level - sp.exp(-above * less)
    yield Step(
        above * (level - 1 / above - gap[r]),
        "<=",
        threshold,
        "one weight of the set is e^(−x), at most one; a key off the set does not exceed the threshold",
        certificate=(1 - sp.exp(-above * less)) + above * gap[r],
    )


def _softmax_leaves_none_holds(scores: Row) -> Outcome:
    """Every weight is positive, and at least e^(−Δ)/n for a key that lies Δ below the best."""
    weights = exact.softmax(scores)
    least = [ball(e - max(scores)).exp() / len(scores) for e in scores]
    return Outcome.worst([exact.at_most(least, weights), exact.decided(all(bool(w > 0) for w in weights))])


@derived(
    Claim(
        id="collapse.softmax-leaves-none-out",
        title="Softmax leaves no position out, however low its score",
        states="(Not in the text, which learns “which positions to attend to”.) If the weights are softmax's, no score takes a position out.",
        precise=r"$p_i \ge \frac1n e^{-\Delta}$ for a key that scores $\Delta$ below the best of $n$: a low score makes a weight small, and "
        r"never 0. In the formula $\Delta = g_i$.",
        sources=(VASWANI.at("Eq. 1"), normalisers.PETERS),
        scope="all n ≥ 1, all finite real scores, in exact arithmetic (a float's underflow to 0 is another matter)",
        inventory=("C298",),
        holds=_softmax_leaves_none_holds,
    )
)
def softmax_leaves_none_out() -> Iterator[Step]:
    mass = total(sp.exp(-gap[l]), l)
    yield Step(sp.Integer(0), "<", sp.exp(-gap[i]) / n, "the bound is positive")
    yield Step(
        sp.exp(-gap[i]) / n,
        "<=",
        sp.exp(-gap[i]) / mass,
        "measured from the best score no term of the divisor exceeds one",
        certificate=sp.exp(-gap[i]) * total(1 - sp.exp(-gap[l]), l) / (n * mass),
    )


def _patterns_hold(query: Row, other: Row, keys: Rows) -> Outcome:
    """Two queries give the same weights exactly if their difference is orthogonal to all differences of keys."""
    first, second = (exact.softmax(exact.scores([e], keys)[0]) for e in (query, other))
    turn = [e - o for e, o in zip(query, other, strict=True)]
    same = all(sum(e * (o - z) for e, o, z in zip(turn, key, keys[0], strict=True)) == 0 for key in keys)
    differ = any(bool(e < o) or bool(e > o) for e, o in zip(first, second, strict=True))
    return exact.equal(first, second) if same else exact.decided(differ)


@derived(
    Claim(
        id="collapse.conditional-patterns",
        title="Attention uses different patterns for different inputs, with one exception",
        states="Conditional patterns: use different patterns for different inputs.",
        reading="The weights of a row depend on the query, with the same parameters.",
        precise=r"$\dfrac{P_{rj}/P_{rk}}{P_{tj}/P_{tk}} = e^{c\,(q_r - q_t)\cdot(k_j - k_k)}$: two queries get the same pattern exactly if their difference "
        r"is orthogonal to every difference of keys. Plain attention is conditional already; a "
        "pattern that does not depend on the input has to be imposed (by positions alone, or by equal keys).",
        sources=(S1.at("Adaptive Attention"), VASWANI.at("Eq. 1")),
        scope="all m, n, d, all real Q and K, every scale c (for “exactly if”, c ≠ 0)",
        inventory=("C299",),
        holds=_patterns_hold,
    )
)
def conditional_patterns() -> Iterator[Step]:
    def weight(row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
        return sp.exp(c * total(Q[row, a] * K[key, a], a)) / total(sp.exp(c * total(Q[row, a] * K[l, a], a)), l)

    def ratio(row: sp.Symbol) -> sp.Expr:
        return weight(row, j) / weight(row, k)

    yield Step(ratio(r), "=", sp.exp(c * total(Q[r, a] * (K[j, a] - K[k, a]), a)), "within a row the divisor is common")
    yield Step(
        ratio(r) / ratio(t),
        "=",
        sp.exp(c * total((Q[r, a] - Q[t, a]) * (K[j, a] - K[k, a]), a)),
        "the odds of two keys are an exponential of the query's product with their difference",
    )


def _gated_holds(heads: Rows, projection: Rows, active: Sequence[bool]) -> Outcome:
    """Gates 0 and 1 on heads of width one give what the active heads alone give. Shapes: heads [h, m], projection [h, e]."""
    rows, outputs = range(len(heads[0])), range(len(projection[0]))
    gated = [[sum(int(on) * one[r] * part[e] for on, one, part in zip(active, heads, projection, strict=True)) for e in outputs] for r in rows]
    chosen = [(one, part) for on, one, part in zip(active, heads, projection, strict=True) if on]
    return exact.decided(gated == [[sum(one[r] * part[e] for one, part in chosen) for e in outputs] for r in rows])


@derived(
    Claim(
        id="collapse.gated-heads",
        title="The number of heads can vary from input to input, because the layer is a sum over heads",
        states="Dynamic heads: adjust the number of heads based on complexity.",
        reading="Heads are switched on and off by gates that may depend on the input, with one fixed output projection.",
        precise=r"$\sum_g (1 - \delta_{gp})\,z_g H_g = \sum_g z_g H_g - z_p H_p$, $H_g$ what head $g$ adds after its block of $W_O$: switching head $p$ off "
        r"takes away its own term and changes neither the shape nor the other heads' part. A gate of "
        "0 saves the head's work only if the head is then not computed.",
        sources=(S1.at("Adaptive Attention"),),
        scope="every number of heads, every gate, all real entries",
        inventory=("C299",),
        uses=("multi_head.concatenation-is-sum",),
        holds=_gated_holds,
    )
)
def gated_heads() -> Iterator[Step]:
    output = total(gate[g] * H[g], g)
    yield Step(sp.Derivative(output, gate[head]), "=", H[head], "the layer is linear in the gates: one gate governs one head's term")
    yield Step(
        total((1 - D(g, head)) * gate[g] * H[g], g),
        "=",
        output - gate[head] * H[head],
        "with gate p at 0 the sum lacks the term of head p, and nothing else changes",
    )


# --- irrelevant inputs (C284) -----------------------------------------------------------------------------------------------------------


def _distractors(lead_by: int, count: int) -> arb:
    """The share of `count` keys that score `lead_by` below one other key."""
    weights = exact.softmax([lead_by] + [0] * count)
    return sum(weights[1:], arb(0))


def _ignores_holds(lead_by: int, count: int, tolerance: Fraction) -> Outcome:
    """If one distractor gets no more than the tolerance, so do all of them together."""
    return exact.at_most(_distractors(lead_by, count), tolerance) if _distractors(lead_by, 1) < ball(tolerance) else Outcome.HELD


def _ignores_worked(lead_by: int, count: int, tolerance: Fraction) -> str:
    return (
        f"A relevant key scores {lead_by} more than each irrelevant one. One irrelevant key gets {exact.show(_distractors(lead_by, 1))} of the weight, "
        f"below {tolerance}. But {count} of them get {count}·e^(−{lead_by})/(1 + {count}·e^(−{lead_by})) = "
        f"{exact.show(_distractors(lead_by, count))} together, above {tolerance}: attention has not ignored them."
    )


def _few_distractors() -> Iterator[Step]:
    crowd = total(sp.exp(-(sp.log(m / epsilon) + gap[r])), r)
    yield Step(
        crowd / (1 + crowd),
        "<=",
        epsilon,
        "m scores lie log(m/ε) or more below, so each adds at most ε/m to the divisor, beside the relevant key's 1",
        certificate=epsilon / m * total(1 - sp.exp(-gap[r]), r) + crowd**2 / (1 + crowd),
    )


ignores = Claim(
    id="collapse.ignores-distractors",
    title="Attention filters out irrelevant inputs",
    states="Attention focuses on the relevant inputs and ignores distractors, filtering out irrelevant details.",
    reading="Ignoring up to a tolerance ε: irrelevant inputs get no more than ε of the weight together, if their scores lie Δ below the relevant one's, with "
    "Δ fixed by the model, whatever the context's length. So a lead that does it for one irrelevant input does it for any number.",
    precise=r"$m$ keys that score $\log(m/\varepsilon)$ or more below a relevant key get at most $\varepsilon$ of the weight together. (They get exactly nothing "
    r"only if they are masked.) In the formula key $r$ scores $\log(m/\varepsilon) + g_r$ less than the relevant one.",
    sources=(S0.at("Overview"), S0.at("Conclusion"), S4.at("Introduction")),
    scope="one relevant key, any number m ≥ 1 of irrelevant ones, every ε > 0",
    inventory=("C284",),
    uses=("collapse.distractors-dilute",),
    unsaid="the irrelevant inputs are few for the lead that the relevant one has: m of them score log(m/ε) or more less, so that the lead has to grow with the logarithm of their number",
    corrected_by="collapse.distractors-dilute",
    derive=_few_distractors,
    holds=_ignores_holds,
    worked=_ignores_worked,
)


def _dilute_holds(lead_by: int, count: int, tolerance: Fraction) -> Outcome:
    """The share of the distractors is m e^(−Δ)/(1 + m e^(−Δ)), positive, and grows with their number."""
    share, more = _distractors(lead_by, count), _distractors(lead_by, count + 1)
    crowd = count * ball(-lead_by).exp()
    left = exact.at_most((1 - share) * count, ball(lead_by).exp())
    return Outcome.worst([exact.equal(share, crowd / (1 + crowd)), left, exact.decided(bool(share > 0) and bool(share < more))])


@derived(
    Claim(
        id="collapse.distractors-dilute",
        title="Many irrelevant keys outweigh a relevant one, whatever its lead",
        states="(Not in the text, by which distractors are ignored.) Irrelevant keys share more weight the more there are of them, and in the end nearly all.",
        precise=r"$m$ keys that all score $\Delta$ below one other get $\dfrac{m\,e^{-\Delta}}{1 + m\,e^{-\Delta}} > 0$ together, which grows with $m$. If "
        r"they score at most $\Delta$ below, the "
        r"other key is left with no more than $e^{\Delta}/m$: with a bounded lead its weight tends to 0 as the context grows. In the formula they score "
        r"$\Delta - g_r$ below, $g_r \ge 0$.",
        sources=(S0.at("Conclusion"), VELICKOVIC),
        scope="all m ≥ 1, all real Δ (in the search all m scores are equal)",
        inventory=("C284",),
        holds=_dilute_holds,
    )
)
def distractors_dilute() -> Iterator[Step]:
    behind, best = sp.symbols("Delta s", real=True)
    crowd = m * sp.exp(-behind)
    more = (m + 1) * sp.exp(-behind)
    yield Step(
        crowd / (1 + crowd), "<", more / (1 + more), "one key more takes from the relevant key", certificate=sp.exp(-behind) / ((1 + crowd) * (1 + more))
    )
    yield Step(sp.Integer(0), "<", crowd / (1 + crowd), "the share is never 0")
    low = sp.exp(best - behind)
    yield Step(
        sp.Sum(low, (r, 1, m)) / (sp.exp(best) + sp.Sum(low, (t, 1, m))),
        "=",
        crowd / (1 + crowd),
        "m equal exponentials beside the best one's",
    )
    near = total(sp.exp(gap[r] - behind), r)
    yield Step(
        1 / (1 + near),
        "<=",
        sp.exp(behind) / m,
        "m keys that lie at most Δ below add at least m e^(−Δ) to the divisor: the weight that is left falls below every bound as m grows",
        certificate=(sp.exp(behind) + total(sp.exp(gap[r]) - 1, r)) / (m * (1 + near)),
    )


def _influence_holds(scores: Row, values: Row, key: int, change: int) -> Outcome:
    """Changing one value moves the output by that key's weight times the change: not 0, and at most e^(−Δ) times it."""
    key %= len(scores)
    weights = exact.softmax(scores)
    moved = [o + change * (place == key) for place, o in enumerate(values)]
    before, after = (sum((e * ball(o) for e, o in zip(weights, row, strict=True)), arb(0)) for row in (values, moved))
    behind = max(scores) - scores[key]
    felt = exact.decided(bool(before != after)) if change else Outcome.HELD
    return Outcome.worst(
        [exact.equal(after - before, weights[key] * change), exact.at_most(abs(after - before), ball(-Fraction(behind)).exp() * abs(change)), felt]
    )


@derived(
    Claim(
        id="collapse.distractor-influence",
        title="A change of one value, its key held, moves the output by its weight times the change, at most e^(−Δ) times it",
        states="(Not in the text, by which distractors are ignored.) A visible value always has some influence on the output, and a small one if its key "
        "scores low.",
        reading="Only the value changes. An input that changes moves its key, and with it every weight, as well: then this bound need not hold.",
        precise=r"$|o' - o| = p_j\,|v_j' - v_j|$ and $0 < p_j \le e^{-\Delta}$ for a key that scores $\Delta$ below the best. In the formula key $j$ scores $s_j$, one key "
        r"$s_j + \Delta$, and the exponentials of the others add up to $u$.",
        sources=(S0.at("Conclusion"), S4.at("Introduction")),
        scope="a key, one that scores Δ ≥ 0 more, and any number of others (none: u = 0); for the best key itself Δ = 0, and the bound is one; all finite "
        "real scores",
        inventory=("C284",),
        uses=("softmax.positive",),
        holds=_influence_holds,
    )
)
def distractor_influence() -> Iterator[Step]:
    behind = sp.Symbol("Delta", nonnegative=True)
    own, old, new = sp.symbols("s_j v_j v_j'", real=True)
    beside = sp.Symbol("u", nonnegative=True)  # the exponentials of all other keys together
    mass = sp.exp(own) + sp.exp(own + behind) + beside
    weight = sp.exp(own) / mass
    rest = sp.Symbol("o_0", real=True)  # what the other keys add to the output
    yield Step((weight * new + rest) - (weight * old + rest), "=", weight * (new - old), "the output is linear in the value, with the weight as its factor")
    yield Step(sp.Integer(0), "<", weight, "the weight is positive")
    yield Step(
        weight,
        "<=",
        sp.exp(-behind),
        "the better key alone makes the divisor e^Δ times the key's own exponential",
        certificate=sp.exp(-behind) * (sp.exp(own) + beside) / mass,
    )
