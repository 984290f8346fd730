"""Monotonic attention: a scan that stops at position i with probability p_i, the weights that this gives, and what keeps successive steps in order.

A scan visits positions 1, 2, … and draws z_i at each, 1 with probability p_i; it attends to the first i with z_i = 1, or to nothing. So α_i = p_i Π_{j<i} (1 − p_j)
is the probability of stopping at i. R_i = Π_{j≤i} (1 − p_j), with R_0 = 1, is the probability of passing the first i positions. In the process of Raffel et al. the
scan of every output step begins where the step before it stopped; a scan that has run off the end stays there.

Derivations go by induction over positions: a letter stands for what the positions so far amount to, and one more position is added. The exact checks enumerate
every outcome of the draws in fractions. Nothing is sampled.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import prod

import sympy as sp

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.outcome import Outcome
from theorems.overflow import INFINITE, NOT_A_NUMBER, SINGLE, Float
from theorems.sources import HIGHAM, S0, Source
from theorems.step import Step
from theorems.symbols import i, j, k, l, m, n, r, total

Chances = Sequence[Fraction]
Bits = Sequence[int]

RAFFEL = Source(key="raffel2017", title="Online and Linear-Time Attention by Enforcing Monotonic Alignments", url="https://arxiv.org/abs/1704.00784")
CHIU = Source(key="chiu2018", title="Monotonic Chunkwise Attention", url="https://arxiv.org/abs/1712.05382")
HE = Source(
    key="he2019",
    title="Robust Sequence-to-Sequence Acoustic Modeling with Stepwise Monotonic Attention for Neural TTS",
    url="https://arxiv.org/abs/1906.00672",
)
TENSORFLOW = Source(
    key="tfa-monotonic",
    title="tfa.seq2seq.monotonic_attention",
    url="https://www.tensorflow.org/addons/api_docs/python/tfa/seq2seq/monotonic_attention",
)

p, R = sp.symbols("p R", real=True)  # a stopping probability; the probability of having passed all positions so far
passing, stopping = sp.symbols("c p", nonnegative=True)  # 1 − p and p where only their signs count
mass = sp.Symbol("D", nonnegative=True)  # mass that passes a position
arriving = sp.Symbol("a", nonnegative=True)  # what the step before put on a position
alpha = sp.IndexedBase("alpha", nonnegative=True)  # the weights of one row, alpha[j]
guess = sp.IndexedBase("c", real=True)  # weights that do not depend on the draws
v = sp.IndexedBase("v", real=True)  # one coordinate of the values, v[j]
w = sp.IndexedBase("w", nonnegative=True)  # probabilities of the outcomes of earlier draws, w[l]
reached = sp.IndexedBase("f", nonnegative=True)  # 1 where an outcome of earlier draws leaves the scan unfinished, else 0
chance = sp.IndexedBase("pi", nonnegative=True)  # probabilities of the outcomes of the draw at hand, pi[r]
bit = sp.IndexedBase("z", nonnegative=True)  # what an outcome of that draw is, 0 or 1
advance = sp.IndexedBase("s", nonnegative=True)  # by how many positions an output step moves on
started = sp.IndexedBase("A", nonnegative=True)  # mass that began at position k and has come this far, A[k]


def _as_written(*factors: sp.Expr) -> sp.Expr:
    """The product as it is written: SymPy would cancel in it."""
    return sp.Mul(*factors, evaluate=False)


# --- the scan, in fractions ------------------------------------------------------------------------------------------------------------


def row(chances: Chances) -> list[Fraction]:
    """The text's formula: p_i times the product of 1 − p_j over j < i."""
    return [p * prod((1 - q for q in chances[:place]), start=Fraction(1)) for place, p in enumerate(chances)]


def attended(draws: Bits) -> list[int]:
    """The text's attend_i = z_i Π_{j<i} (1 − z_j)."""
    return [z * prod(1 - y for y in draws[:place]) for place, z in enumerate(draws)]


def outcomes(chances: Chances) -> Iterator[tuple[tuple[int, ...], Fraction]]:
    """Every outcome of independent draws, and its probability."""
    for draws in itertools.product((0, 1), repeat=len(chances)):
        yield draws, prod((p if z else 1 - p for p, z in zip(chances, draws, strict=True)), start=Fraction(1))


def expected_row(chances: Chances) -> list[Fraction]:
    """The mean of `attended` over every outcome."""
    mean = [Fraction(0)] * len(chances)
    for draws, chance in outcomes(chances):
        mean = [x + chance * bit for x, bit in zip(mean, attended(draws), strict=True)]
    return mean


def restarted(previous: Chances, chances: Chances) -> list[Fraction]:
    """The next step's weights by definition: the scan begins at k with probability previous[k], and every outcome of its draws is enumerated."""
    mean = [Fraction(0)] * len(chances)
    for start, begun in enumerate(previous):
        scan = [Fraction(0)] * start + expected_row(chances[start:])
        mean = [x + begun * y for x, y in zip(mean, scan, strict=True)]
    return mean


def recurrent(previous: Chances, chances: Chances) -> list[Fraction]:
    """The same by q_j = (1 − p_{j−1}) q_{j−1} + previous_j and α_j = p_j q_j."""
    weights, carried = [], Fraction(0)
    for before, p in zip(previous, chances, strict=True):
        here = carried + before
        weights.append(p * here)
        carried = (1 - p) * here
    return weights


def first_row(chances: Chances) -> list[Fraction]:
    """The weights of the first step, whose scan begins at position 1."""
    return restarted([Fraction(int(place == 0)) for place in range(len(chances))], chances)


def prefixes(weights: Chances) -> list[Fraction]:
    return list(itertools.accumulate(weights))


def _listed(values: Sequence[object]) -> str:
    return "(" + ", ".join(map(str, values)) + ")"


# --- one row: its mass, and what p_i means ---------------------------------------------------------------------------------------------


def _mass_holds(chances: Chances) -> Outcome:
    """Both sides from their definitions: the weights by enumerating draws, the product over all positions."""
    return exact.decided(sum(expected_row(chances)) == sum(row(chances)) == 1 - prod((1 - x for x in chances), start=Fraction(1)))


@derived(
    Claim(
        id="monotonic.mass",
        title="Monotonic weights sum to one less the probability of passing everything",
        states="(Not in the text, which does not say what its weights p_i times the product of the earlier 1 − p_j add up to; it follows from them.) What is missing from 1 is the probability of passing everything.",
        precise=r"$\sum_{i=1}^n \alpha_i = 1 - \prod_{j=1}^n (1 - p_j)$ for $\alpha_i = p_i\prod_{j<i}(1 - p_j)$: what is missing is the probability that the scan stops nowhere. "
        r"By induction: where the first positions carry $1 - R$, with $R$ the product over them, one more makes it $1 - (1 - p)R$; before the first position that is $0 = 1 - 1$.",
        sources=(S0.at("Monotonic Attention"), RAFFEL.at("Section 2.3")),
        scope="every n ≥ 1, every p in [0, 1] (as an identity, every real p)",
        inventory=("C067",),
        holds=_mass_holds,
    )
)
def row_mass() -> Iterator[Step]:
    yield Step((1 - R) + p * R, "=", 1 - (1 - p) * R, "one more position, with weight p times the product R before it: the product gains the factor 1 − p")


def _distribution_holds(chances: Chances) -> Outcome:
    return exact.decided(sum(row(chances)) == 1)


def _distribution_worked(chances: Chances) -> str:
    weights = row(chances)
    missing = prod((1 - x for x in chances), start=Fraction(1))
    passed = _listed([1 - x for x in chances])
    return (
        f"p = {_listed(chances)}, so the 1 − p_j are {passed}. Each p_i times the earlier ones of these gives α = {_listed(weights)}, which sums to {sum(weights)} and not to 1. The rest, {missing}, "
        "is the product of all 1 − p_j: the probability that no position is chosen."
    )


@derived(
    Claim(
        id="monotonic.distribution",
        title="Monotonic weights are a probability distribution over the positions",
        states="Attention weights are a probability distribution that sums to one; monotonic attention's weights are p_i times the product of the earlier 1 − p_j.",
        reading="The general framework's condition Σ α_i = 1 is meant for every mechanism that the text goes on to define, this one among them.",
        precise=r"$\sum_i\alpha_i = 1$. This holds if some $p_j = 1$, for instance the last, and only then: a position with $p = 1$ makes $(1 - R) + 1\cdot R = 1$ of the mass $1 - R$ before it, and a mass of 1 "
        r"stays. If every $p_j < 1$, as with a sigmoid of a finite energy, $R > 0$ and $\sum_i\alpha_i = 1 - R < 1$.",
        sources=(S0.at("Monotonic Attention"), S0.at("Attention as Probability Distribution")),
        scope="every finite n ≥ 1, every p in [0, 1]",
        inventory=("C067",),
        uses=("monotonic.mass",),
        unsaid="some p_j equals 1, so that the scan is sure to stop",
        corrected_by="monotonic.mass",
        holds=_distribution_holds,
        worked=_distribution_worked,
    )
)
def distribution() -> Iterator[Step]:
    left = sp.Symbol("R", positive=True)
    yield Step(
        1 - left, "<", sp.Integer(1), "with every p_j < 1 the product R of all 1 − p_j is positive, and the mass 1 − R falls short of 1", certificate=left
    )
    yield Step(
        (1 - R) + p * R,
        "=",
        1 - (1 - p) * R,
        "one more position: the product R gains its factor 1 − p, which is 0 only for p = 1; and where R is 0 it stays so",
    )
    yield Step(
        sp.UnevaluatedExpr(1 - R) + R,
        "=",
        sp.Integer(1),
        "with p = 1 that position takes all of R, and the mass is 1, whatever R was: so it is 1 exactly if some p_j is 1",
    )


def _marginal_holds(chances: Chances) -> Outcome:
    return exact.decided(expected_row(chances) == list(chances))


def _marginal_worked(chances: Chances) -> str:
    weights = row(chances)
    place = next(place for place, (x, y) in enumerate(zip(weights, chances, strict=True)) if x != y)
    return (
        f"p = {_listed(chances)}. The scan comes as far as position {place + 1} if every earlier draw is 0, which has probability {prod((1 - x for x in chances[:place]), start=Fraction(1))}; there it "
        f"stops with probability {chances[place]}. So over all {2 ** len(chances)} outcomes of the draws, position {place + 1} is attended to with probability {weights[place]}, and not with "
        f"p_{place + 1} = {chances[place]}."
    )


def _stopping_holds(chances: Chances) -> Outcome:
    """P(attend_i) = p_i P(no earlier draw is 1) ≤ p_i, both probabilities by enumeration."""
    arrival = [sum((chance for draws, chance in outcomes(chances) if not any(draws[:place])), Fraction(0)) for place in range(len(chances))]
    weights = expected_row(chances)
    same = all(x == q * come for x, q, come in zip(weights, chances, arrival, strict=True))
    equal = all((x == q) == (q == 0 or not any(chances[:place])) for place, (x, q) in enumerate(zip(weights, chances, strict=True)))
    return exact.decided(same and equal and all(x <= q for x, q in zip(weights, chances, strict=True)))


def _both(body: sp.Expr) -> sp.Expr:
    """The sum over the outcomes l of the earlier draws and r of the draw at hand, which is independent of them."""
    return total(total(w[l] * chance[r] * body, r), l)


def _stopping_step() -> Step:
    return Step(
        _both(reached[l] * bit[r]),
        "=",
        total(w[l] * reached[l], l) * total(chance[r] * bit[r], r),
        "i is attended to if the scan is unfinished (f_l = 1) and z_i = 1: summed over the outcomes l of the earlier draws (probabilities w_l) and r of the draw at i "
        "(probabilities π_r, independent of w), it is the probability R of coming as far as i, times p_i = Σ π_r z_r",
    )


@derived(
    Claim(
        id="monotonic.stopping-probability",
        title="p_i is the probability of stopping at i once the scan is there",
        states="(Not in the text; it follows from its formulas.) p_i is a probability under a condition, and the probability of attending to position i is another one.",
        precise=r"$P(\mathrm{attend}_i = 1) = p_i\,P(\text{no stop before } i) = \alpha_i \le p_i$: the probability of attending to $i$ is $\alpha_i$; $p_i$ is that probability given that no earlier "
        r"position was chosen. They are equal at $i = 1$, where $p_i = 0$, and where every earlier $p_j$ is 0; nowhere else.",
        sources=(S0.at("Monotonic Attention"), S0.at("Hard Monotonic Attention"), RAFFEL.at("Section 2.2")),
        scope="every n ≥ 1, every p in [0, 1], independent draws",
        inventory=("C068",),
        holds=_stopping_holds,
    )
)
def stopping_probability() -> Iterator[Step]:
    yield _stopping_step()
    short = sp.Symbol("x", nonnegative=True)
    yield Step(
        stopping * (1 - short),
        "<=",
        stopping,
        "the scan comes as far as i with a probability 1 − x of at most 1; equal only where p x = 0",
        certificate=stopping * short,
    )


@derived(
    Claim(
        id="monotonic.marginal",
        title="p_i is the probability of attending to position i",
        states="In the formula of monotonic attention, p_i is the probability of attending to position i.",
        reading="The probability of the event attend_i = 1 that the text itself defines.",
        precise=r"$\dfrac{p_i R}{R} = p_i$: given that the scan reaches $i$, which happens with probability $R = \prod_{j<i}(1 - p_j) > 0$, it attends to $i$ with probability $p_i$. Without that "
        r"condition the probability is $\alpha_i = p_iR$.",
        sources=(S0.at("Monotonic Attention"), S0.at("Hard Monotonic Attention")),
        scope="every n ≥ 1, every p in [0, 1], independent draws",
        inventory=("C068",),
        uses=("monotonic.stopping-probability",),
        unsaid="given that no earlier position was chosen",
        corrected_by="monotonic.stopping-probability",
        holds=_marginal_holds,
        worked=_marginal_worked,
    )
)
def marginal() -> Iterator[Step]:
    come = total(w[l] * reached[l], l)
    yield _stopping_step()
    yield Step(
        _both(reached[l] * bit[r]) / come,
        "=",
        total(chance[r] * bit[r], r),
        "divided by the probability of coming as far as i, which is assumed positive",
        nonzero=(come,),
    )


def _one_function_holds(chances: Chances) -> Outcome:
    """The cases, the product, and the difference of two probabilities of passing, each written on its own."""
    cases = [chances[0]]
    for place in range(1, len(chances)):
        weight = chances[place]
        for earlier in chances[:place]:
            weight *= 1 - earlier
        cases.append(weight)
    left = [prod((1 - x for x in chances[:place]), start=Fraction(1)) for place in range(len(chances) + 1)]
    differences = [before - after for before, after in itertools.pairwise(left)]
    return exact.decided(cases == row(chances) == differences)


@derived(
    Claim(
        id="monotonic.one-function",
        title="The formula by cases and the soft formula are one function",
        states="(Implied by the letters under both headings.) Monotonic attention, defined with a case for i = 1, and soft monotonic attention, with one formula for all i, have the same weights.",
        precise=r"$p_1\prod_{j=1}^{0}(1 - p_j) = p_1$, the empty product being 1, and for $i > 1$ the two formulas are the same letters. Both equal $R_{i-1} - R_i$ with $R_i = \prod_{j\le i}(1 - p_j)$. "
        "So soft monotonic attention is no second mechanism.",
        sources=(S0.at("Monotonic Attention"), S0.at("Soft Monotonic Attention")),
        scope="every n ≥ 1, every real p",
        inventory=("C069",),
        holds=_one_function_holds,
    )
)
def one_function() -> Iterator[Step]:
    at = sp.IndexedBase("p", real=True)
    before_first = sp.Product(1 - at[k], (k, 1, 0)).doit()
    yield Step(R - R * (1 - p), "=", p * R, "R_i is R_{i−1} times 1 − p_i: the weight is what one more factor takes away, at i = 1 as further on")
    yield Step(
        _as_written(before_first, at[1]),
        "=",
        at[1],
        "for i > 1 both formulas are the same letters; at i = 1 the product of the soft one has no factor, and is 1, which leaves p_1 as in the other",
    )


def _any_row_holds(weights: Sequence[int], rest: int) -> Outcome:
    """Whole numbers over their sum, of which `rest` stays unassigned, from the p that their hazard gives."""
    whole = sum(weights) + rest
    if whole == 0:
        return Outcome.HELD
    wanted, left, chances = [Fraction(x, whole) for x in weights], Fraction(1), []
    for weight in wanted:
        chances.append(weight / left if left else Fraction(0))
        left -= weight
    return exact.decided(row(chances) == wanted and all(0 <= x <= 1 for x in chances))


@derived(
    Claim(
        id="monotonic.any-row",
        title="The formula of one row excludes nothing",
        states="(Not in the text, which calls the weights p_i times the product of the earlier 1 − p_j monotonic; it follows from the formula.) Every row of weights has that form.",
        precise=r"$R\cdot\dfrac{\alpha}{R} = \alpha$ and $R\,(1 - \alpha/R) = R - \alpha$: every row $\alpha \ge 0$ with $\sum_i\alpha_i \le 1$ comes from $p_i = \alpha_i / R_{i-1}$, $R_{i-1} = 1 - \sum_{j<i}\alpha_j$ "
        r"(any $p_i$ where $R_{i-1} = 0$). So a sequence of rows from this formula may be any sequence of such weights: the formula alone puts no order on successive steps.",
        sources=(S0.at("Monotonic Attention"),),
        scope="every n ≥ 1, all non-negative weights with a sum of at most 1",
        inventory=("C066",),
        holds=_any_row_holds,
    )
)
def any_row() -> Iterator[Step]:
    weight = sp.Symbol("alpha", nonnegative=True)
    left, behind = sp.symbols("R y", positive=True)
    yield Step(
        weight / (weight + behind),
        "<=",
        sp.Integer(1),
        "p = α/R is at most 1, because a weight is at most what is left: R = α + y, y of which is left behind it (if nothing is, p = 1)",
        certificate=behind / (weight + behind),
    )
    yield Step(left * (1 - weight / left), "=", left - weight, "what is left after i is what was left before, less the weight of i")
    yield Step(_as_written(left, weight / left), "=", weight, "and the weight of i comes out as wanted")


# --- successive rows -------------------------------------------------------------------------------------------------------------------


def _never_back(rows: Sequence[Chances]) -> bool:
    """Whether no prefix of positions gains mass from one row to the next."""
    return all(later <= earlier for one, other in itertools.pairwise(rows) for earlier, later in zip(prefixes(one), prefixes(other), strict=True))


def _aligned(rows: Sequence[Chances]) -> list[list[Fraction]]:
    """Weights of successive steps, each scan beginning where the one before it stopped."""
    weights = [first_row(rows[0])]
    for chances in rows[1:]:
        weights.append(restarted(weights[-1], chances))
    return weights


def _prefix_mass_holds(rows: Sequence[Chances]) -> Outcome:
    return exact.decided(_never_back(_aligned(rows)))


def _prefix_steps() -> Iterator[Step]:
    yield Step(arriving - p * arriving, "=", (1 - p) * arriving, "position 1: of the mass that the step before left there, 1 − p passes on")
    yield Step(
        mass + arriving - p * (mass + arriving),
        "=",
        (1 - p) * (mass + arriving),
        "one more position: D passed the one before, a begins here; the excess of the old prefix over the new is what passes",
    )
    prefix = sp.Symbol("S", nonnegative=True)
    yield Step(
        prefix + (1 - passing) * (mass + arriving),
        "<=",
        (prefix + mass) + arriving,
        "new prefix against old, with c = 1 − p ≥ 0: S and S + D up to the position before, then α_i = p (D + a) against a",
        certificate=passing * (mass + arriving),
    )


@derived(
    Claim(
        id="monotonic.prefix-mass",
        title="Where each scan begins where the last one stopped, attention only moves on",
        states="(Not in the text, whose formula has one row; the process of Raffel et al.) If each scan begins where the last one stopped, attention advances from one output step to the next.",
        precise=r"$\sum_{k\le j}\alpha_{i,k} \le \sum_{k\le j}\alpha_{i-1,k}$ for every $j$: no prefix of positions ever gains mass; the difference is $(1 - p_{i,j})\,q_{i,j}$, the mass that passes $j$. "
        r"Here $\alpha_{i,j} = p_{i,j}\,q_{i,j}$ and $q_{i,j} = (1 - p_{i,j-1})q_{i,j-1} + \alpha_{i-1,j}$. At $j = n$: the total mass never grows either.",
        sources=(S0.at("Monotonic Attention"), RAFFEL.at("Section 2.3")),
        scope="every n ≥ 1, every p in [0, 1], any non-negative weights of the step before",
        inventory=("C066",),
        uses=("monotonic.recurrence",),
        holds=_prefix_mass_holds,
    )
)
def prefix_mass() -> Iterator[Step]:
    yield from _prefix_steps()


def _progression_holds(rows: Sequence[Chances]) -> Outcome:
    """Judged on rows whose scans are sure to stop; others are passed over."""
    weights = [row(chances) for chances in rows]
    return exact.decided(any(sum(one) != 1 for one in weights) or _never_back(weights))


def _progression_worked(rows: Sequence[Chances]) -> str:
    weights = [row(chances) for chances in rows]
    for step, (one, other) in enumerate(itertools.pairwise(weights), 1):
        for place, (earlier, later) in enumerate(zip(prefixes(one), prefixes(other), strict=True), 1):
            if later > earlier:
                return (
                    f"Step {step} has p = {_listed(rows[step - 1])} and so α = {_listed(one)}; step {step + 1} has p = {_listed(rows[step])} and so α = {_listed(other)}. The mass of "
                    f"{f'the first {place} positions' if place > 1 else 'position 1'} was {earlier} and is then {later}: mass has flowed backwards, where a monotonic progression would need at most "
                    f"{earlier}. The formula of a row never looks at the row before."
                )
    return ""


@derived(
    Claim(
        id="monotonic.progression",
        title="The formula ensures that attention progresses monotonically",
        states="Monotonic attention, defined by p_i times the product of the earlier 1 − p_j, ensures that attention follows a monotonic progression.",
        reading="Over successive output steps attention does not go back to earlier positions. In its weakest sense this says, of rows whose mass is 1, that no set of leading "
        "positions gains mass: where one does, a step back has positive probability, whatever the joint law of the two successive positions is. (A row of smaller mass may stop nowhere, and going on from there would "
        "have to be defined first.)",
        precise=r"$\sum_{k\le j}\alpha_{i,k} \le \sum_{k\le j}\alpha_{i-1,k}$ if the scan of step $i$ begins where step $i - 1$ stopped, that is, if $p_{i,l}$ counts as 0 before that position. "
        r"The formula has one index and no memory: with rows of $p$ of their own, successive steps may go back.",
        sources=(S0.at("Monotonic Attention"), RAFFEL.at("Section 2.2")),
        scope="every n ≥ 1, every p in [0, 1]; counterexamples are looked for among rows of mass 1",
        inventory=("C066",),
        uses=("monotonic.recurrence",),
        unsaid="every output step begins its scan at the position where the step before it stopped",
        corrected_by="monotonic.prefix-mass",
        holds=_progression_holds,
        worked=_progression_worked,
    )
)
def progression() -> Iterator[Step]:
    yield from _prefix_steps()


def _recurrence_holds(previous: Chances, chances: Chances) -> Outcome:
    return exact.decided(restarted(previous, chances) == recurrent(previous, chances))


@derived(
    Claim(
        id="monotonic.recurrence",
        title="The recurrence computes the expected alignment exactly",
        states="The weights of one output step follow from those of the step before in one pass over the positions.",
        precise=r"$q_{j+1} = (1 - p_j)\,q_j + \alpha'_{j+1}$, $q_1 = \alpha'_1$ and $\alpha_j = p_j q_j$ give $\alpha_j = p_j\sum_{k\le j}\alpha'_k\prod_{l=k}^{j-1}(1 - p_l)$, with $\alpha'$ the weights of the step "
        r"before: the expectation of the hard scan that begins at $k$ with probability $\alpha'_k$. Nothing is divided by, so $p = 0$ and $p = 1$ need no care.",
        sources=(RAFFEL.at("Section 2.3"),),
        scope="every n ≥ 1, every p in [0, 1], any weights of the step before (the sum is written over n starting positions)",
        assumes=("the draws of a step are independent of each other and of the steps before",),
        holds=_recurrence_holds,
    )
)
def recurrence() -> Iterator[Step]:
    yield Step(
        total(started[k] * (p * 1 + (1 - p) * 0), k),
        "=",
        p * total(started[k], k),
        "of the mass that comes to a position, from whatever start k, the share p stops there",
    )
    yield Step(
        (1 - p) * total(started[k], k) + arriving,
        "=",
        total((1 - p) * started[k], k) + arriving,
        "what arrives at the next position: every start's product gains the factor 1 − p, and one more start is added",
    )


def _stepwise(previous: Chances, chances: Chances) -> list[Fraction]:
    """Stay with probability p, or move on by one: enumerated start by start."""
    weights = [Fraction(0)] * (len(previous) + 1)
    for start, begun in enumerate(previous):
        for stays, chance in ((1, chances[start]), (0, 1 - chances[start])):
            weights[start + 1 - stays] += begun * chance
    return weights


def _stepwise_holds(previous: Chances, chances: Chances) -> Outcome:
    """The formula against the enumeration, and both orders of prefixes (the last place of the enumeration lies past the end)."""
    formula = [previous[0] * chances[0]]
    for place in range(1, len(previous)):
        formula.append(previous[place] * chances[place] + previous[place - 1] * (1 - chances[place - 1]))
    moved, before, after = _stepwise(previous, chances), prefixes(previous), prefixes(formula)
    onwards = all(new <= old for old, new in zip(before, after, strict=True))
    by_one = all(old <= new for old, new in zip(before, after[1:], strict=False))
    return exact.decided(moved[:-1] == formula and sum(moved) == sum(previous) and onwards and by_one)


@derived(
    Claim(
        id="monotonic.stepwise",
        title="Stepwise monotonic attention moves on by nothing or by one",
        states="A heading names stepwise attention beside monotonic attention and does not define it.",
        reading="Stepwise monotonic attention as He et al. define it: each output step stays where it is with probability p, or moves to the next position.",
        precise=r"$\sum_{k\le j}\alpha_{i-1,k} \le \sum_{k\le j+1}\alpha_{i,k}$ and $\sum_{k\le j}\alpha_{i,k} \le \sum_{k\le j}\alpha_{i-1,k}$ for $\alpha_{i,j} = p_{i,j}\,\alpha_{i-1,j} + (1 - p_{i,j-1})\,\alpha_{i-1,j-1}$: "
        r"attention neither goes back nor skips a position. Mass is lost only off the end, $(1 - p_{i,n})\,\alpha_{i-1,n}$.",
        sources=(S0.at("Monotonic and Stepwise Attention"), HE),
        scope="every n ≥ 1, every p in [0, 1], any non-negative weights of the step before",
        inventory=("C073",),
        holds=_stepwise_holds,
    )
)
def stepwise() -> Iterator[Step]:
    kept, left = sp.symbols("S b", nonnegative=True)  # the new prefix; what left its last position, so that the old prefix was S + b
    yield Step((1 - passing) * arriving, "=", arriving - passing * arriving, "position 1 keeps the share p of its mass a; the share c = 1 − p leaves")
    yield Step(
        kept + (left + (1 - passing) * arriving),
        "=",
        ((kept + left) + arriving) - passing * arriving,
        "one more position with mass a: the b that left the one before arrives, and only what leaves this one is missing from the new prefix",
    )
    yield Step(((kept + left) + arriving) - passing * arriving, "<=", (kept + left) + arriving, "so no prefix gains mass", certificate=passing * arriving)
    yield Step(
        kept + left,
        "<=",
        kept + (left + stopping * arriving),
        "and the new prefix that is one longer holds all the mass that the old one held: nothing moves further than one position",
        certificate=stopping * arriving,
    )


# --- the closed form, and what computing with it does -----------------------------------------------------------------------------------

SMALLEST_DIVISOR = Fraction(1, 10**10)


def closed_form(previous: Chances, chances: Chances, at_least: Fraction = Fraction(0)) -> list[Fraction]:
    """α = p · P · cumsum(previous / P) with P the exclusive cumulative product of 1 − p, and a divisor of at least `at_least`. Raises ZeroDivisionError."""
    weights, product, summed = [], Fraction(1), Fraction(0)
    for before, q in zip(previous, chances, strict=True):
        summed += before / max(product, at_least)
        weights.append(q * product * summed)
        product *= 1 - q
    return weights


def _closed_form_holds(previous: Chances, chances: Chances) -> Outcome:
    """Where a p before the last position is 1 the assumption is not met, and the formula divides by 0."""
    try:
        found = closed_form(previous, chances)
    except ZeroDivisionError:
        return exact.decided(1 in chances[:-1])
    return exact.decided(1 not in chances[:-1] and found == restarted(previous, chances))


product_so_far, summed = sp.symbols("P X", positive=True)


def _solved(factor: sp.Expr) -> Step:
    return Step(
        product_so_far * factor * (summed + arriving / (product_so_far * factor)),
        "=",
        factor * (product_so_far * summed) + arriving,
        "one more position: with q = P X so far (at first P = 1 and X = α'_1), the product gains the factor 1 − p and the sum the term a/(P (1 − p)), which is the recurrence",
    )


@derived(
    Claim(
        id="monotonic.closed-form",
        title="The recurrence is a cumulative product times a cumulative sum",
        states="The expected alignment can be computed in parallel as p times the cumulative product of 1 − p, times the cumulative sum of the old weights over that product.",
        reading="In exact arithmetic, for p as the source makes them: a sigmoid of a finite energy is below 1.",
        precise=r"$q_j = P_j\sum_{k\le j}\alpha'_k/P_k$ with $P_j = \prod_{l<j}(1 - p_l)$ solves $q_{j+1} = (1 - p_j)q_j + \alpha'_{j+1}$ if $p_l < 1$ for every $l < n$. With $p_l = 1$ for some $l < n$ the product is 0 from there on, and the "
        "formula divides by 0: it has no value where the recurrence has one.",
        sources=(RAFFEL.at("Equations 23 to 30"),),
        scope="every n ≥ 1, any weights of the step before",
        assumes=("p_l < 1 for l < n, as a sigmoid of a finite energy is",),
        uses=("monotonic.recurrence",),
        holds=_closed_form_holds,
    )
)
def closed_form_solves() -> Iterator[Step]:
    yield _solved(sp.Symbol("c", positive=True))


def _clipped_holds(previous: Chances, chances: Chances) -> Outcome:
    """The clipped formula against the recurrence from old weights that are scaled by min(1, P/ε)."""
    left = [prod((1 - x for x in chances[:place]), start=Fraction(1)) for place in range(len(chances))]
    scaled = [before * min(Fraction(1), product / SMALLEST_DIVISOR) for before, product in zip(previous, left, strict=True)]
    return exact.decided(closed_form(previous, chances, SMALLEST_DIVISOR) == recurrent(scaled, chances))


@derived(
    Claim(
        id="monotonic.clipped-closed-form",
        title="Clipping the divisor scales the mass that begins after a small product, and changes nothing else",
        states="The parallel mode of a published implementation divides by the cumulative product of 1 − p, clipped from below to avoid a division by zero; for long inputs, and for p near 0 or 1, its documentation calls the result inexact.",
        reading="What the clipped formula computes instead, in exact arithmetic and before any rounding.",
        precise=r"$P_j\sum_{k\le j}\alpha'_k/\max(P_k, \varepsilon) = q_j$, with $q$ the recurrence from the scaled weights $\alpha'_k\min(1, P_k/\varepsilon)$ in place of $\alpha'_k$: $q_{j+1} = (1 - p_j)q_j + \alpha'_{j+1}P_{j+1}/\max(P_{j+1}, \varepsilon)$. "
        r"So the result is exact while $P_k \ge \varepsilon$ wherever the step before left mass; mass that begins where $P_k < \varepsilon$ is scaled by $P_k/\varepsilon$, down to 0 at $P_k = 0$. ($\varepsilon = 10^{-10}$ stands in the library's source, and not on the page cited.)",
        sources=(TENSORFLOW, RAFFEL.at("Equations 23 to 30")),
        scope="every n ≥ 1, every p in [0, 1], any non-negative weights of the step before; ε = 1e-10 in the search and any ε > 0 in the derivation",
        uses=("monotonic.recurrence",),
        holds=_clipped_holds,
    )
)
def clipped_closed_form() -> Iterator[Step]:
    floor, above, begun = sp.symbols("varepsilon x a", positive=True)
    slack, before, factor = sp.symbols("y P c", nonnegative=True)
    yield Step(
        _as_written(floor + slack, begun / sp.Max(floor + slack, floor)),
        "=",
        begun,
        "a product at or above the clip, P = ε + y: what is multiplied is what is divided by, and min(1, P/ε) = 1",
    )
    yield Step(
        _as_written(floor / (1 + above), begun / sp.Max(floor / (1 + above), floor)),
        "=",
        begun / (1 + above),
        "a product below the clip, P = ε/(1 + x): the mass a that begins there is multiplied by P and divided by ε, and so scaled by P/ε = 1/(1 + x)",
    )
    yield Step(_as_written(sp.Integer(0), begun / sp.Max(0, floor)), "=", sp.Integer(0), "behind a p of 1 the product is 0, and that mass is lost")
    here = before * factor
    yield Step(
        here * (summed + begun / sp.Max(here, floor)),
        "=",
        factor * (before * summed) + begun * here / sp.Max(here, floor),
        "one more position, for every product P ≥ 0 and c = 1 − p ≥ 0: with q = P X so far, the sum X gains a over the clipped product, and a in the recurrence becomes a times P c over it",
    )


def _plus(x: Float, y: Float) -> Float:
    if NOT_A_NUMBER in (x, y):
        return NOT_A_NUMBER
    return INFINITE if isinstance(x, str) or isinstance(y, str) else SINGLE.rounded(x + y)


def _times(x: Float, y: Float) -> Float:
    if NOT_A_NUMBER in (x, y) or {x, y} == {INFINITE, Fraction(0)}:
        return NOT_A_NUMBER
    return INFINITE if isinstance(x, str) or isinstance(y, str) else SINGLE.rounded(x * y)


def _over(x: Fraction, y: Fraction) -> Float:
    if y == 0:
        return INFINITE if x else NOT_A_NUMBER
    return SINGLE.rounded(x / y)


def _single(x: Fraction) -> Fraction:
    """A finite number rounded to float32. Raises OverflowError beyond its range."""
    rounded = SINGLE.rounded(x)
    if isinstance(rounded, str):
        raise OverflowError(f"{x} is beyond the largest {SINGLE.name}")
    return rounded


def float_closed_form(previous: Chances, chances: Chances) -> list[Float]:
    """The closed form with every operation rounded to float32: cumulative product, quotients, cumulative sum, then both products."""
    weights: list[Float] = []
    product, summed = Fraction(1), Fraction(0)
    total_so_far: Float = summed
    for before, q in zip(previous, chances, strict=True):
        total_so_far = _plus(total_so_far, _over(before, product))
        weights.append(_times(_single(q * product), total_so_far))
        product = _single(product * _single(1 - q))
    return weights


def float_recurrence(previous: Chances, chances: Chances) -> list[Float]:
    """The recurrence with every operation rounded to float32."""
    weights: list[Float] = []
    carried: Float = Fraction(0)
    for before, q in zip(previous, chances, strict=True):
        here = _plus(carried, before)
        weights.append(_times(q, here))
        carried = _times(_single(1 - q), here)
    return weights


def _long_row(p: Fraction, length: int, last: int) -> list[Fraction]:
    """The stopping probability p, a number of float32 between 0 and 1, at `length` positions, and then `last` sixteenths."""
    return [p] * length + [Fraction(last, 16)]


def _begun(length: int, behind: int) -> list[Fraction]:
    """Half of the mass of the step before on the first position, half on the one that lies `behind` before the last (or on the first too)."""
    weights = [Fraction(1, 2)] + [Fraction(0)] * length
    weights[max(length - behind, 0)] += Fraction(1, 2)
    return weights


def _float_closed_form_holds(p: Fraction, length: int, last: int, behind: int) -> Outcome:
    """Finite at every position."""
    return exact.decided(not any(isinstance(got, str) for got in float_closed_form(_begun(length, behind), _long_row(p, length, last))))


def _float_closed_form_worked(p: Fraction, length: int, last: int, behind: int) -> str:
    chances, previous = _long_row(p, length, last), _begun(length, behind)
    late = max(length - behind, 0)
    for place, (got, wanted) in enumerate(zip(float_closed_form(previous, chances), recurrent(previous, chances), strict=True), 1):
        if isinstance(got, str):
            return (
                f"(`last` counts sixteenths, and `behind` positions before the last.) p_j = {p} at {length} positions, then {chances[-1]}; the step before left half of its mass on position 1 and half on position {late + 1}, where the product of the earlier 1 − p_l is "
                f"({1 - p})^{late} = {exact.show(exact.ball((1 - p) ** late), 8)}, and 1/2 divided by it is {exact.show(exact.ball(1 / (2 * (1 - p) ** late)), 8)}. The positive numbers of float32 run from "
                f"1.4012985e-45 to 3.4028235e+38. The closed form, which computes with both, leaves this range and gives α_{place} = {got}. In exact arithmetic α_{place} = {exact.show(exact.ball(wanted))}."
            )
    return ""


@derived(
    Claim(
        id="monotonic.closed-form-in-floats",
        title="In float32 the closed form gives finite weights",
        states="The recurrence may be computed in parallel with cumulative products and sums.",
        reading="The least that computing asks for: in float32, for p that are float32 numbers below 1, the result is finite at every position. (How accurate a finite result is, is not said here.)",
        precise=r"$\dfrac{\alpha'}{P} \le \Omega$ while $P \ge \alpha'/\Omega$, and $\Omega < \alpha'/P$ below that, with $\Omega$ the format's largest finite number: the closed form divides by $P_k = \prod_{l<k}(1 - p_l)$, which falls "
        r"by orders of magnitude along a row, although $\alpha_k$ need not be small. A product that underflows to 0 gives $\infty$ or not a number. While products, quotients and sums $X$ stay in range, so does $p\,P\,X \le X \le \Omega$.",
        sources=(RAFFEL.at("Equations 23 to 30"),),
        scope="float32, round to nearest even with gradual underflow, no clipping; every operation rounded",
        uses=("monotonic.closed-form",),
        unsaid="no product of the 1 − p_l underflows to 0, and no quotient α'_k over such a product and no sum of these quotients exceeds the largest finite number",
        corrected_by="monotonic.recurrence-in-floats",
        holds=_float_closed_form_holds,
        worked=_float_closed_form_worked,
    )
)
def closed_form_in_floats() -> Iterator[Step]:
    largest, begun = sp.symbols("Omega a", positive=True)
    beyond, room = sp.Symbol("x", positive=True), sp.Symbol("y", nonnegative=True)
    small, enough = begun / (largest * (1 + beyond)), begun / largest + room
    share, left = 1 / (1 + beyond), sp.Symbol("X", nonnegative=True)
    yield Step(largest, "<", begun / small, "a product below a/Ω, P = a/(Ω (1 + x)): the quotient overflows", certificate=largest * beyond)
    yield Step(begun / enough, "<=", largest, "a product P = a/Ω + y: the quotient fits", certificate=largest**2 * room / (begun + largest * room))
    yield Step(
        share * left,
        "<=",
        left + room,
        "and a sum X of quotients that is in range, Ω = X + y, times p P ≤ 1, written 1/(1 + x), is in range too: the weight is finite",
        certificate=(1 - share) * left + room,
    )


UNIT, HALF_SMALLEST = Fraction(1, 2**SINGLE.bits), Fraction(2) ** (SINGLE.bottom - SINGLE.bits)


def recurrence_bound(position: int, weight: Fraction) -> Fraction:
    """The error allowed at a position (from 0): 3 roundings a position and one more; and η for each product that may underflow, grown by the roundings after it.
    (1 + u)^k is at most 1 + γ_k = 1/(1 − k u)."""
    grown = 1 / (1 - (3 * position + 1) * UNIT)
    return (grown - 1) * weight + (position * grown + 1) * HALF_SMALLEST


def _float_recurrence_holds(p: Fraction, length: int, last: int, behind: int) -> Outcome:
    chances, previous = _long_row(p, length, last), _begun(length, behind)
    pairs = zip(float_recurrence(previous, chances), recurrent(previous, chances), strict=True)
    return exact.decided(all(not isinstance(got, str) and abs(got - wanted) <= recurrence_bound(place, wanted) for place, (got, wanted) in enumerate(pairs)))


@derived(
    Claim(
        id="monotonic.recurrence-in-floats",
        title="In floating point the recurrence loses three roundings a position",
        states="The sequential form of the recurrence is numerically harmless.",
        precise=r"If $\hat q \le G q + E$ at one position, then $\hat q' \le (1 + u)^3 G\,q' + (1 + u)^3 E + (1 + u)\eta$ at the next, and likewise downwards, with $q' = c q + a$, $c = 1 - p$ (written with $p + c = 1$): "
        r"$|\hat\alpha_j - \alpha_j| \le \big((1 + u)^{3j - 2} - 1\big)\alpha_j \le \gamma_{3j-2}\,\alpha_j$ and an absolute error of the order of $j\,\eta$; downwards because $1 - (1 - u)^k \le (1 + u)^k - 1$. All terms are non-negative, so nothing cancels; nothing is divided by, so nothing overflows.",
        sources=(RAFFEL.at("Section 2.3"), HIGHAM.at("Section 2.2")),
        scope="round to nearest, relative error at most u for each operation, an absolute error of at most η for a product that underflows; every p in [0, 1], every position j with (3j − 2)u < 1",
        uses=("monotonic.recurrence", "rounding.gamma"),
        kind=Kind.APPROXIMATION,
        holds=_float_recurrence_holds,
    )
)
def recurrence_in_floats() -> Iterator[Step]:
    u, eta, extra, q, lost, step, short = sp.symbols("u eta g q E x y", nonnegative=True)
    factor, computed = sp.symbols("F z", nonnegative=True)
    grown, kept, less = 1 + extra, 1 / (1 + extra), 1 / (1 + step)
    yield Step(
        passing * factor * computed,
        "<=",
        passing * (factor + short) * (computed + lost),
        "the product, rounded twice by a factor F of at most F + y = (1 + u)², of a computed q̂ that is at most q̂ + E",
        certificate=passing * (short * computed + (factor + short) * lost),
    )
    down, apart = sp.symbols("D y", nonnegative=True)
    up = down + apart
    yield Step(
        (1 - u) * down,
        "<=",
        (1 + u) * up,
        "U = (1 + u)^k is at least D = (1 − u)^k: both are 1 at k = 0, and U = D + y with y ≥ 0 stays so",
        certificate=2 * u * down + (1 + u) * apart,
    )
    yield Step(
        up + down,
        "<=",
        (1 + u) * up + (1 - u) * down,
        "so U + D, which is 2 at k = 0, never falls: 1 − D ≤ U − 1, and k factors of 1 − u take no more away than k factors of 1 + u add",
        certificate=u * apart,
    )
    yield Step(
        less**3 * kept * (passing * q + arriving) - less**3 * (passing + stopping) * lost - less * eta,
        "<=",
        less * (less**2 * passing * (kept * q - lost) - eta + arriving),
        "downwards, where 1 − u is written 1/(1 + x), as G is 1/(1 + g): the sum is rounded once more, and what is added has fewer roundings than what was carried",
        certificate=arriving * less * less**2 * kept * (extra + (2 * step + step**2) * grown) + less**3 * stopping * lost,
    )
    yield Step(
        (1 + u) * ((1 + u) ** 2 * passing * (grown * q + lost) + eta + arriving),
        "<=",
        (1 + u) ** 3 * grown * (passing * q + arriving) + (1 + u) ** 3 * (passing + stopping) * lost + (1 + u) * eta,
        "upwards, likewise",
        certificate=sp.expand(arriving * (1 + u) * ((1 + u) ** 2 * grown - 1)) + (1 + u) ** 3 * stopping * lost,
    )


# --- hard attention, and how soft attention stands for it -----------------------------------------------------------------------------------


def _one_position_holds(draws: Bits) -> Outcome:
    found = attended(draws)
    first = [int(place == draws.index(1)) for place in range(len(draws))] if any(draws) else [0] * len(draws)
    return exact.decided(found == first and set(found) <= {0, 1} and sum(found) <= 1 and (sum(found) == 0) == (not any(draws)))


@derived(
    Claim(
        id="monotonic.one-position",
        title="Hard monotonic attention picks one position or none",
        states="Hard monotonic attention makes binary decisions: draw z_i, attend to i if z_i = 1 and every earlier draw was 0.",
        precise=r"$\sum_i \mathrm{attend}_i = 1 - \prod_i(1 - z_i)$, where $\mathrm{attend}_i = z_i\prod_{j<i}(1 - z_j) \in \{0, 1\}$: at most one position is attended to, the first with $z_i = 1$; none exactly if every $z_i = 0$. "
        r"In the formulas the draw is written as $\delta_{ij}$ and the product of the earlier $1 - z_j$ as $\delta_{kl}$: Kronecker deltas stand for any numbers that are 0 or 1.",
        sources=(S0.at("Hard Monotonic Attention"), RAFFEL.at("Section 2.2")),
        scope="every n ≥ 1, all 0/1 draws",
        inventory=("C070",),
        holds=_one_position_holds,
    )
)
def one_position() -> Iterator[Step]:
    z, none = sp.KroneckerDelta(i, j), sp.KroneckerDelta(k, l)
    yield Step(sp.Pow(z * none, 2, evaluate=False), "=", z * none, "attend_i is a product of bits, and so its own square: 0 or 1")
    yield Step((none * (1 - z)) ** 2, "=", none * (1 - z), "so is the next product, which says that no draw so far was 1")
    yield Step((1 - none) + z * none, "<=", sp.Integer(1), "never more than one position in all", certificate=sp.Pow(none * (1 - z), 2, evaluate=False))
    yield Step(
        (1 - none) + z * none,
        "=",
        1 - none * (1 - z),
        "one more position: the sum so far is 1 less the product r, and stays so. Both terms are bits: the sum is 0 only if r = 1 and z = 0, and so only if every draw is 0",
    )


def _expectation_holds(chances: Chances) -> Outcome:
    return exact.decided(expected_row(chances) == row(chances))


@derived(
    Claim(
        id="monotonic.expectation",
        title="Soft monotonic attention is the expectation of hard monotonic attention",
        states="(Implied by “approximation”.) The soft weights are the expectation of hard attention's choice, z_i = 1 with every earlier draw 0.",
        reading="The draws are independent, as z_i = Bernoulli(p_i) is usually read. (Without this: monotonic.marginals-decide.)",
        precise=r"$E[\mathrm{attend}_i] = E[z_i]\prod_{j<i}E[1 - z_j] = p_i\prod_{j<i}(1 - p_j) = \alpha_i$.",
        sources=(S0.at("Hard Monotonic Attention"), S0.at("Soft Monotonic Attention"), RAFFEL.at("Section 2.3")),
        scope="every n ≥ 1, every p in [0, 1]; the search enumerates all 2^n outcomes",
        assumes=("the draws z_i are independent",),
        inventory=("C071",),
        holds=_expectation_holds,
    )
)
def expectation() -> Iterator[Step]:
    yield Step(
        _both(reached[l] * (1 - bit[r])),
        "=",
        total(w[l] * reached[l], l) * (total(chance[r], r) - total(chance[r] * bit[r], r)),
        "the scan is still unfinished after i if it was before and z_i = 0: the probability gains the factor 1 − p_i (Σ π_r = 1). It starts at 1, so it is the product",
    )
    yield _stopping_step()


def _laws(weights: Sequence[int]) -> list[tuple[tuple[int, ...], Fraction]]:
    """A joint law of draws: whole weights for the outcomes in order, over their sum (each is raised by one if all are 0). Their number is a power of 2."""
    raised = weights if any(weights) else [1] * len(weights)
    count = len(weights).bit_length() - 1
    return [(draws, Fraction(x, sum(raised))) for draws, x in zip(itertools.product((0, 1), repeat=count), raised, strict=True)]


def _mean_attended(law: Sequence[tuple[tuple[int, ...], Fraction]]) -> list[Fraction]:
    return [sum((chance * attended(draws)[place] for draws, chance in law), Fraction(0)) for place in range(len(law[0][0]))]


def _marginals(law: Sequence[tuple[tuple[int, ...], Fraction]]) -> list[Fraction]:
    return [sum((chance for draws, chance in law if draws[place]), Fraction(0)) for place in range(len(law[0][0]))]


def _marginals_hold(law: Sequence[int]) -> Outcome:
    joint = _laws(law)
    return exact.decided(_mean_attended(joint) == row(_marginals(joint)))


def _marginals_worked(law: Sequence[int]) -> str:
    joint = _laws(law)
    shown = ", ".join(f"{_listed(draws)} with probability {chance} (then attend is {_listed(attended(draws))})" for draws, chance in joint if chance)
    marginals = _marginals(joint)
    return (
        f"The counts {list(law)} belong to the outcomes of the draws in the order of {_listed(joint[0][0])}, …, {_listed(joint[-1][0])}; over their sum they are probabilities. So let z be {shown}. Then P(z_i = 1) is p = {_listed(marginals)}, and p_i times the product of the earlier 1 − p_j is {_listed(row(marginals))}. But the mean of attend is "
        f"{_listed(_mean_attended(joint))}."
    )


def _hazards_hold(law: Sequence[int]) -> Outcome:
    """The formula with p_i the probability of z_i = 1 given that all earlier draws are 0 (and any number where that never happens)."""
    joint = _laws(law)
    hazards = []
    for place in range(len(joint[0][0])):
        come = sum((chance for draws, chance in joint if not any(draws[:place])), Fraction(0))
        stop = sum((chance for draws, chance in joint if not any(draws[:place]) and draws[place]), Fraction(0))
        hazards.append(stop / come if come else Fraction(0))
    return exact.decided(_mean_attended(joint) == row(hazards))


@derived(
    Claim(
        id="monotonic.hazards-decide",
        title="For dependent draws too the formula is exact, with p_i the chance of z_i = 1 after only zeros",
        states="(Not in the text; it follows from the definition of hard attention.) With the right p_i the soft weights are the expectation of the hard ones, whatever the law of the draws.",
        precise=r"$R\cdot\dfrac{S}{R} = S$ and $R\,(1 - S/R) = R - S$, with $R$ the probability that all earlier draws are 0 and $S$ that, besides, $z_i = 1$: with $p_i = P(z_i = 1 \mid z_1 = \dots = z_{i-1} = 0)$ the formula gives "
        r"$E[\mathrm{attend}_i]$ for every joint law of the draws. Of independent draws this $p_i$ is $P(z_i = 1)$.",
        sources=(S0.at("Hard Monotonic Attention"),),
        scope="every n ≥ 1, every joint law of 0/1 draws",
        inventory=("C071",),
        holds=_hazards_hold,
    )
)
def hazards_decide() -> Iterator[Step]:
    come = sp.Symbol("R", positive=True)
    stop = sp.Symbol("S", nonnegative=True)
    yield Step(
        come * (1 - stop / come), "=", come - stop, "the chance of only zeros up to i, where the chance R before i is positive (where it is 0 nothing follows)"
    )
    yield Step(_as_written(stop / come, come), "=", stop, "and the chance that i is the first 1")


@derived(
    Claim(
        id="monotonic.marginals-decide",
        title="The soft weights are the expectation of attend, with p_i = P(z_i = 1) for the draws z_i = Bernoulli(p_i)",
        states="(Implied by “approximation”.) Each z_i is Bernoulli(p_i), and the soft weights are the expectation of hard attention's choice; whether the draws are independent is not said.",
        reading="Whatever the joint law of draws with these marginals, the soft weights are the expectation of attend.",
        precise=r"$E[\mathrm{attend}_i] = p_i\prod_{j<i}(1 - p_j)$ with $p_i = P(z_i = 1)$: true of independent draws.",
        sources=(S0.at("Hard Monotonic Attention"), S0.at("Soft Monotonic Attention")),
        scope="every n ≥ 1, every joint law of 0/1 draws",
        inventory=("C071",),
        uses=("monotonic.expectation",),
        unsaid="the draws are independent",
        corrected_by="monotonic.hazards-decide",
        holds=_marginals_hold,
        worked=_marginals_worked,
    )
)
def marginals_decide() -> Iterator[Step]:
    yield _stopping_step()


def _gradient_holds(chances: Chances, change: Fraction) -> Outcome:
    """The weights are affine in each p, so a difference quotient of any width is the derivative: checked for every pair (i, k)."""
    weights = row(chances)
    for place in range(len(chances)):
        moved = row([x + change * (at == place) for at, x in enumerate(chances)])
        for at in range(len(chances)):
            others = prod((1 - x for other, x in enumerate(chances[:at]) if other != place), start=Fraction(1))
            slope = others if at == place else -chances[at] * others if at > place else Fraction(0)
            if moved[at] - weights[at] != change * slope:
                return Outcome.REFUTED
    return Outcome.HELD


@derived(
    Claim(
        id="monotonic.gradient",
        title="Soft monotonic weights are differentiable, and affine in each p",
        states="Soft monotonic attention is a differentiable approximation of hard monotonic attention.",
        reading="Judged here is the word “differentiable”. (How near the approximation is: monotonic.approximates-hard.)",
        precise=r"$\dfrac{\partial\alpha_i}{\partial p_i} = \prod_{j<i}(1 - p_j)$, $\dfrac{\partial\alpha_i}{\partial p_k} = -p_i\prod_{j<i,\,j\ne k}(1 - p_j)$ for $k < i$, and 0 for $k > i$: polynomials, so differentiable everywhere, "
        "$p = 0$ and $p = 1$ included.",
        sources=(S0.at("Soft Monotonic Attention"),),
        scope="every n ≥ 1, every real p",
        inventory=("C072",),
        holds=_gradient_holds,
    )
)
def gradient() -> Iterator[Step]:
    own, earlier, later, others = sp.symbols("p_i p_k p_m A", real=True)
    weight = own * (1 - earlier) * others
    yield Step(
        sp.Derivative(weight, own), "=", (1 - earlier) * others, "by its own p: the product of all earlier 1 − p_j (A is the product without the factor of k)"
    )
    yield Step(sp.Derivative(weight, later), "=", sp.Integer(0), "by a later p, which does not occur in it")
    yield Step(sp.Derivative(weight, earlier, earlier), "=", sp.Integer(0), "twice by an earlier p: it occurs once, so the weight is affine in it")
    yield Step(sp.Derivative(weight, earlier), "=", -own * others, "by an earlier p")


def _best_constant_holds(chances: Chances, fixed: Chances) -> Outcome:
    """The mean squared distance from every draw's attend, by enumeration, and its two parts."""
    fixed = fixed[: len(chances)]
    error = sum((chance * sum((bit - x) ** 2 for bit, x in zip(attended(draws), fixed, strict=True)) for draws, chance in outcomes(chances)), Fraction(0))
    weights = row(chances)
    parts = sum(x * (1 - x) for x in weights) + sum((x - y) ** 2 for x, y in zip(weights, fixed, strict=True))
    return exact.decided(error == parts)


def _mean_squared(weights: sp.Expr, chosen: sp.Expr) -> sp.Expr:
    """Σ over the position k that is chosen (with its probability), and over none, of Σ_j (attend_j − chosen_j)²."""
    missed = total(chosen**2, j)
    rest = 1 - total(weights, k)
    return total(weights * total((sp.KroneckerDelta(j, k) - chosen) ** 2, j), k) + rest * missed


@derived(
    Claim(
        id="monotonic.best-constant",
        title="Of all fixed weights the soft ones are nearest to hard attention, and their error is the variance",
        states="(Implied by “approximation”.) No other weights that do not depend on the draws approximate hard monotonic attention better.",
        reading="In mean square over the draws.",
        precise=r"$E\|\mathrm{attend} - c\|^2 = \sum_i\alpha_i(1 - \alpha_i) + \|\alpha - c\|^2$ for every fixed $c$: least at $c = \alpha$. What is left there, $\sum_i\alpha_i(1 - \alpha_i)$, no fixed weights can avoid; it is 0 only if every "
        r"$\alpha_i$ is 0 or 1.",
        sources=(S0.at("Soft Monotonic Attention"),),
        scope="every n ≥ 1, every p in [0, 1], independent draws, every fixed c",
        inventory=("C072",),
        uses=("monotonic.expectation", "monotonic.one-position"),
        holds=_best_constant_holds,
    )
)
def best_constant() -> Iterator[Step]:
    error = total(alpha[j] * (1 - alpha[j]), j)
    distance = total((alpha[j] - guess[j]) ** 2, j)
    yield Step(error, "<=", error + distance, "no fixed weights come nearer than α", certificate=distance)
    yield Step(
        _mean_squared(alpha[k], guess[j]),
        "=",
        error + distance,
        "position k is the one attended to with probability α_k, and none with what is left: E‖attend − c‖²",
    )


def _error(chances: Chances) -> Fraction:
    """The mean squared distance of the drawn weights from the soft ones, over every outcome of the draws."""
    mean = row(chances)
    return sum((chance * sum((bit - x) ** 2 for bit, x in zip(attended(draws), mean, strict=True)) for draws, chance in outcomes(chances)), Fraction(0))


def _worst_error_holds(chances: Chances) -> Outcome:
    """E‖attend − α‖² ≤ 1 − 1/n by enumeration, for n ≥ 2; and p_j = 1/(n − j + 1) reaches it."""
    size = len(chances)
    limit = 1 - Fraction(1, size)
    uniform = [Fraction(1, size - place) for place in range(size)]
    return exact.decided(row(uniform) == [Fraction(1, size)] * size and _error(uniform) == limit and (size == 1 or _error(chances) <= limit))


@derived(
    Claim(
        id="monotonic.worst-error",
        title="The mean squared error of soft monotonic attention on n ≥ 2 positions is at most 1 − 1/n, and can be that large",
        states="(Not in the text, which gives no error; it follows from the formula.) In mean square the approximation may be off by 1 − 1/n.",
        precise=r"$\sum_i\alpha_i(1 - \alpha_i) \le 1 - \tfrac1n$ for $n \ge 2$ (written $n = 2 + x$), with equality for $p_j = 1/(n - j + 1)$, which makes every $\alpha_j = 1/n$: then every draw is at squared distance $1 - 1/n$ from the soft weights. "
        "So without an assumption about p no better bound holds.",
        sources=(S0.at("Soft Monotonic Attention"),),
        scope="every n ≥ 2, every p in [0, 1], independent draws",
        inventory=("C072",),
        uses=("monotonic.best-constant",),
        holds=_worst_error_holds,
    )
)
def worst_error() -> Iterator[Step]:
    x, y = sp.symbols("x y", integer=True, nonnegative=True)
    rest = sp.Symbol("rho", nonnegative=True)
    size = 2 + x
    spread = sp.Sum((alpha[j] - 1 / size) ** 2, (j, 1, size))
    yield Step(
        _as_written(1 / (1 + y), (1 + y) / n),
        "=",
        1 / n,
        "p_j = 1/(y + 1) with y = n − j: where (y + 1)/n of the scans come as far as j, 1/n of them stop there",
    )
    yield Step((1 + y) / n * (1 - 1 / (1 + y)), "=", y / n, "and y/n pass on to the next position; at the start all n/n are there")
    yield Step(total((1 / n) * (1 - 1 / n), j), "=", 1 - 1 / n, "weights of 1/n each leave the error 1 − 1/n")
    squares = sp.Sum(alpha[j] ** 2, (j, 1, size))
    yield Step(
        squares - 2 * sp.Sum(alpha[j], (j, 1, size)) / size + 1 / size,
        "=",
        spread,
        "the squares of the weights, from those of their distances to 1/n",
    )
    kept = spread + 2 * (1 - rest) / size - 1 / size
    yield Step(
        (1 - rest) - kept,
        "<=",
        1 - 1 / size,
        "so for a mass Σα = 1 − ρ the error Σα − Σα² falls short of 1 − 1/n by those distances, and by ρ (1 − 2/n)",
        certificate=spread + rest * x / size,
    )


def _mean_output_holds(chances: Chances, values: Sequence[int]) -> Outcome:
    """The mean over every draw of the output, and of an affine function of it, against the soft output; the mean of its square against that plus the variance."""
    values = values[: len(chances)]
    found = [(sum(bit * x for bit, x in zip(attended(draws), values, strict=True)), chance) for draws, chance in outcomes(chances)]
    soft = sum((x * y for x, y in zip(row(chances), values, strict=True)), Fraction(0))
    affine = sum((chance * (3 * x - 2) for x, chance in found), Fraction(0)) == 3 * soft - 2
    variance = sum((chance * (x - soft) ** 2 for x, chance in found), Fraction(0))
    squares = sum((chance * x * x for x, chance in found), Fraction(0))
    return exact.decided(sum((chance * x for x, chance in found), Fraction(0)) == soft and affine and squares == soft**2 + variance)


factor_, offset = sp.symbols("b d", real=True)


def _affine_steps() -> Iterator[Step]:
    rest = 1 - total(alpha[j], j)
    yield Step(
        total(alpha[j] * (factor_ * v[j] + offset), j) + rest * (factor_ * 0 + offset),
        "=",
        factor_ * total(alpha[j] * v[j], j) + offset,
        "an affine function of the output: with probability α_j it is that of v_j, with what is left that of 0",
    )


@derived(
    Claim(
        id="monotonic.mean-output",
        title="The soft output is the mean of the hard outputs, and its square falls short of their mean square by the variance",
        states="(Implied by “approximation”.) The output of soft monotonic attention is the mean of the outputs of hard monotonic attention.",
        precise=r"$E[o^2] = \bar o^2 + E[(o - \bar o)^2]$ and $E[b\,o + d] = b\,\bar o + d$, with $o = \sum_i\mathrm{attend}_i v_i$ the hard output and $\bar o = \sum_i\alpha_i v_i$ the soft one, coordinate by coordinate.",
        sources=(S0.at("Soft Monotonic Attention"), RAFFEL.at("Section 2.3")),
        scope="every n ≥ 1, every p in [0, 1], independent draws; a scan that stops nowhere has the output 0",
        inventory=("C072",),
        uses=("monotonic.expectation", "monotonic.one-position"),
        holds=_mean_output_holds,
    )
)
def mean_output() -> Iterator[Step]:
    soft = total(alpha[k] * v[k], k)
    rest = 1 - total(alpha[k], k)
    yield from _affine_steps()
    yield Step(
        total(alpha[j] * v[j] ** 2, j),
        "=",
        soft**2 + total(alpha[j] * (v[j] - soft) ** 2, j) + rest * (0 - soft) ** 2,
        "the mean square is the square of the mean and the variance, in which a scan without a stop counts with the output 0",
    )


def _later_layers_hold(chances: Chances, values: Sequence[int]) -> Outcome:
    values = values[: len(chances)]
    outputs = [(sum(bit * x for bit, x in zip(attended(draws), values, strict=True)), chance) for draws, chance in outcomes(chances)]
    soft = sum((x * y for x, y in zip(row(chances), values, strict=True)), Fraction(0))
    return exact.decided(sum((chance * max(x, 0) for x, chance in outputs), Fraction(0)) == max(soft, 0))


def _later_layers_worked(chances: Chances, values: Sequence[int]) -> str:
    values = values[: len(chances)]
    weights = row(chances)
    soft = sum((x * y for x, y in zip(weights, values, strict=True)), Fraction(0))
    hard = sum((x * max(y, 0) for x, y in zip(weights, values, strict=True)), Fraction(0))
    return (
        f"p = {_listed(chances)}, so α = {_listed(weights)}; the values are {_listed(values)}. The soft output is Σ α_j v_j = {soft}, and ReLU makes it {max(soft, Fraction(0))}. Hard attention sends one of the "
        f"values (or 0) through ReLU, {_listed([max(x, 0) for x in values])} in place of the values, and the mean of that is Σ α_j max(v_j, 0) = {hard}."
    )


@derived(
    Claim(
        id="monotonic.later-layers",
        title="Training with soft attention sees what the hard model computes on average",
        states="Training uses the mean output in place of the drawn one.",
        reading="What follows inside a network, here a ReLU, makes of the mean output the mean of what it makes of the drawn ones.",
        precise=r"$E[b\,o + d] = b\,\bar o + d$: true of what is affine in the output. Of a ReLU it is true only where all values that can be attended to have one sign (0 counting for both).",
        sources=(RAFFEL.at("Section 2.3"),),
        scope="one coordinate of the values, every p in [0, 1], independent draws",
        uses=("monotonic.expectation",),
        unsaid="what follows is affine in the output of attention (on the values that can be attended to)",
        corrected_by="monotonic.mean-output",
        holds=_later_layers_hold,
        worked=_later_layers_worked,
    )
)
def later_layers() -> Iterator[Step]:
    yield from _affine_steps()


def _met(chances: Chances) -> Chances:
    """The p that the scan can meet: those with no p of 1 before them."""
    return [x for place, x in enumerate(chances) if 1 not in chances[:place]]


def _near_hard(chances: Chances) -> Outcome:
    return exact.decided(2 * _error(chances) < 1)


def _near_hard_worked(chances: Chances) -> str:
    weights = row(chances)
    drawn = {tuple(attended(draws)) for draws, chance in outcomes(chances) if chance}
    far = ", ".join(f"{_listed(choice)} at {sum((x - y) ** 2 for x, y in zip(choice, weights, strict=True))}" for choice in sorted(drawn, reverse=True))
    return (
        f"p = {_listed(chances)}, so α = {_listed(weights)}. Hard attention draws one of these rows, at these squared distances from α: {far}. Their mean is {_error(chances)}, which is not below 1/2. "
        "Weights that lie as far off say no more about the draw than (1/2, 1/2) does about (1, 0) and (0, 1)."
    )


def _near_saturation() -> Iterator[Step]:
    """The mean squared error, position by position from the last to the first: E is that of the positions behind."""
    behind, slack, extra, room = sp.symbols("E y x z", nonnegative=True)
    weights = total(alpha[j], j)
    squares = total(alpha[j] ** 2, j)
    yield Step(
        p * (1 - p) + total((1 - p) * alpha[j] * (1 - (1 - p) * alpha[j]), j),
        "=",
        p * (1 - p) + (1 - p) * ((weights - squares) + p * squares),
        "one more position in front, with p: its weight is p, and the weights α behind it become (1 − p) α",
    )
    yield Step(
        stopping * passing + passing * (behind + stopping * (1 - room)),
        "<=",
        passing * behind + 2 * stopping * passing,
        "with E = Σ α_j − Σ α_j² the error behind it, c = 1 − p, and Σ α_j² ≤ 1, written 1 − z",
        certificate=stopping * passing * room,
    )
    share = sp.Symbol("q", positive=True)
    low = share / (1 + share)
    yield Step(
        low * (1 - low),
        "<=",
        low + slack,
        "p c is at most p, and at most c: so at most δ if p or c is (δ = p + y, with p = q/(1 + q) < 1)",
        certificate=low**2 + slack,
    )
    yield Step(
        passing * behind + 2 * stopping * passing,
        "<=",
        (passing + stopping) * behind + 2 * (stopping * passing + extra),
        "so a position that is met adds at most 2δ to the error, δ = p c + x, and one that is not met adds none (p + c = 1): n positions within δ of 0 or 1 leave an error of at most 2nδ",
        certificate=stopping * behind + 2 * extra,
    )


@derived(
    Claim(
        id="monotonic.approximates-hard",
        title="Soft monotonic attention approximates hard monotonic attention",
        states="Soft monotonic attention is a differentiable approximation of hard monotonic attention.",
        reading="The soft weights are near the hard ones, in the weakest sense that says anything: in mean square over the draws nearer than 1/2, the squared distance of (1/2, 1/2) from (1, 0) and from (0, 1).",
        precise=r"$E\|\mathrm{attend} - \alpha\|^2 < \tfrac12$. With $p = (\tfrac12, 1)$ every draw is at squared distance $\tfrac12$ from $\alpha = (\tfrac12, \tfrac12)$. If each $p_i$ that the scan meets is within $\delta$ of 0 or of 1, then "
        r"$E\|\mathrm{attend} - \alpha\|^2 \le 2n\delta$. (To the mean of the draws the soft weights are equal: monotonic.expectation.)",
        sources=(S0.at("Soft Monotonic Attention"),),
        scope="every n ≥ 1, every p in [0, 1], independent draws",
        inventory=("C072",),
        uses=("monotonic.best-constant",),
        unsaid="every p that the scan meets is near 0 or 1, within a δ below 1/(4n), or only the mean of the draws is meant",
        corrected_by="monotonic.saturated",
        holds=_near_hard,
        worked=_near_hard_worked,
    )
)
def approximates_hard() -> Iterator[Step]:
    yield from _near_saturation()


def _saturated_holds(chances: Chances) -> Outcome:
    """Soft and hard agree on every possible draw exactly if no p that the scan can meet lies strictly between 0 and 1; and the error is at most 2nδ."""
    weights = row(chances)
    agree = all(attended(draws) == weights for draws, chance in outcomes(chances) if chance)
    met = _met(chances)
    most = 2 * len(chances) * max(min(x, 1 - x) for x in met)
    return exact.decided(agree == all(x in (0, 1) for x in met) and _error(chances) <= most)


@derived(
    Claim(
        id="monotonic.saturated",
        title="Soft and hard attention agree exactly if every p that the scan meets is 0 or 1, and nearly if every such p is near to that",
        states="(Not in the text; it follows from the formulas.) Soft and hard monotonic attention agree where every p is 0 or 1.",
        precise=r"$E\|\mathrm{attend} - \alpha\|^2 = \sum_i\alpha_i(1 - \alpha_i) \le 2n\delta$ if each $p_i$ that the scan meets is within $\delta$ of 0 or of 1. For $\delta = 0$ it vanishes, as "
        r"$\alpha_i(1 - \alpha_i) = 0$ for 0/1 stopping probabilities; if the first $p_i$ that is neither follows only zeros, $\alpha_i = p_i$ and $0 < p_i(1 - p_i)$.",
        sources=(S0.at("Soft Monotonic Attention"), RAFFEL.at("Section 2.3")),
        scope="every n ≥ 1, every p in [0, 1], independent draws",
        inventory=("C072",),
        uses=("monotonic.best-constant",),
        holds=_saturated_holds,
    )
)
def saturated() -> Iterator[Step]:
    yes, no = sp.symbols("x y", positive=True)
    sure, none = sp.KroneckerDelta(i, j), sp.KroneckerDelta(k, l)
    yield Step(
        sp.Integer(0),
        "<",
        yes / (yes + no) * (1 - yes / (yes + no)),
        "p = x/(x + y) lies strictly between 0 and 1: the error is positive",
        certificate=yes * no / (yes + no) ** 2,
    )
    behind = _as_written(p, sp.Integer(0))
    yield Step(_as_written(behind, 1 - behind), "=", sp.Integer(0), "behind a p of 1 the product is 0, and so is the weight, whatever p is there: no error")
    yield Step(
        sure * none * (1 - sure * none),
        "=",
        sp.Integer(0),
        "p and the product before it are 0 or 1 (written as Kronecker deltas): so is the weight, and its error is 0",
    )
    yield from _near_saturation()


# --- what it is used for --------------------------------------------------------------------------------------------------------------------


def _online_holds(chances: Chances, later: Chances) -> Outcome:
    """The weights of the first positions, whatever follows them; and a draw's decision at i is the same with any draws after it."""
    size = len(chances)
    same = all(attended([*draws, *more])[:size] == attended(draws) for draws, _ in outcomes(chances) for more, _ in outcomes(later))
    return exact.decided(row([*chances, *later])[:size] == row(chances) and same)


@derived(
    Claim(
        id="monotonic.online",
        title="A position's weight is known as soon as the scan has come to it",
        states="Monotonic attention is applied to online sequence processing.",
        reading="The weight of a position does not depend on what comes after it. (Softmax weights do.)",
        precise=r"$\dfrac{\partial\alpha_i}{\partial p_m} = 0$ for $m > i$, soft and hard alike: $\alpha_i$ is a function of $p_1, \dots, p_i$. A softmax weight shrinks with every key that is added: "
        r"$\dfrac{w}{W + y} < \dfrac{w}{W}$, where $w$ is the key's own exponential, $W$ the sum of all exponentials and $y$ that of the new key.",
        assumes=("each p_i is computed from input up to i",),
        sources=(S0.at("Applications"), RAFFEL.at("Section 2.2")),
        scope="every n ≥ 1, every p in [0, 1]",
        inventory=("C073",),
        holds=_online_holds,
    )
)
def online() -> Iterator[Step]:
    weight, whole, added = sp.symbols("w W y", positive=True)
    later = sp.Symbol("p_m", real=True)
    yield Step(
        weight / (whole + added),
        "<",
        weight / whole,
        "softmax, for contrast: a later key adds to the divisor of every weight",
        certificate=weight * added / (whole * (whole + added)),
    )
    yield Step(
        sp.Derivative(p * R, later), "=", sp.Integer(0), "the weight of i is p_i times the product R over the positions before it, and a later p is in neither"
    )


def _reads(draws: Sequence[Bits], remember: bool = True) -> int:
    """How many draws the hard scan looks at over all output steps, beginning each where the last one stopped (or at position 1). Shapes: draws [steps, n]."""
    seen, start, length = 0, 0, len(draws[0])
    for step in draws:
        start = start if remember else 0
        while start < length:
            seen += 1
            if step[start]:
                break
            start += 1
    return seen


def _linear_time_holds(draws: Sequence[Bits]) -> Outcome:
    steps, length = len(draws), len(draws[0])
    latest = [[int(place == length - 1) for place in range(length)]] * steps  # every step stops at the last position
    return exact.decided(_reads(draws) <= length + steps - 1 == _reads(latest) and _reads(draws, False) <= length * steps == _reads(latest, False))


@derived(
    Claim(
        id="monotonic.linear-time",
        title="All output steps of hard monotonic attention with memory evaluate at most n + m − 1 stopping probabilities together",
        states="(Implied by “online sequence processing”.) Monotonic attention is cheap as positions arrive.",
        reading="The cost of hard monotonic attention with memory, counted in stopping probabilities that are evaluated.",
        precise=r"$m$ output steps over $n$ positions evaluate at most $n + m - 1$ stopping probabilities: $t_m - 1 + m$ if step $m$ stops at $t_m \le n$. (Softmax attention evaluates $nm$ energies; so may the formula without memory, "
        "whose every scan begins at 1. Both bounds are reached.)",
        sources=(S0.at("Applications"), RAFFEL.at("Section 2.2")),
        scope="every n, m ≥ 1, all draws",
        kind=Kind.COST,
        inventory=("C073",),
        holds=_linear_time_holds,
    )
)
def linear_time() -> Iterator[Step]:
    room, later = sp.symbols("y x", nonnegative=True)
    length = total(advance[r], r) + 1 + room  # t_m = 1 + Σ s_r, and y positions behind it
    looked_at = total(advance[r] + 1, r)
    yield Step(looked_at, "=", (1 + total(advance[r], r)) - 1 + m, "step r moves on by s_r ≥ 0 and looks at s_r + 1 positions; t_m = 1 + Σ s_r")
    yield Step(
        looked_at + (room + 1),
        "<=",
        length + (m + 1 + later) - 1,
        "if m steps stop, the next runs off the end through y + 1 more positions, and x ≥ 0 others look at nothing: n = t_m + y, and m + 1 + x steps",
        certificate=later,
    )
    yield Step(
        n,
        "<=",
        n + (1 + later) - 1,
        "if the first scan already runs off, it looks at all n positions and the x = m − 1 steps after it at none",
        certificate=later,
    )
    yield Step(looked_at, "<=", length + m - 1, "if all m steps stop", certificate=room)


def _alignment_holds(rows: Sequence[Chances], path: Sequence[int]) -> Outcome:
    """The probability that successive steps stop at the places of the path, by enumerating every draw of every step."""
    length, path = len(rows[0]), path[: len(rows)]
    found = Fraction(0)
    for draws in itertools.product(*(list(outcomes(chances)) for chances in rows)):
        start, reached_all = 0, True
        for (bits, _), place in zip(draws, path, strict=True):
            stop = next((at for at in range(start, length) if bits[at]), length)
            reached_all, start = reached_all and stop == place, stop
        found += reached_all * prod((chance for _, chance in draws), start=Fraction(1))
    return exact.decided((found > 0) == all(x <= y for x, y in itertools.pairwise(path)))


@derived(
    Claim(
        id="monotonic.alignments",
        title="Hard monotonic attention with memory can follow exactly the alignments that never step back",
        states="Monotonic attention is applied to speech recognition (temporal alignment) and machine translation (monotonic alignment).",
        reading="Which alignments of output steps to positions have positive probability, with memory and stopping probabilities strictly between 0 and 1.",
        precise=r"$P(t_1, \dots, t_m) > 0$ if and only if $t_1 \le t_2 \le \dots \le t_m$: from $k$, position $j \ge k$ is chosen with probability $p_j\prod_{l=k}^{j-1}(1 - p_l) > 0$, and $j < k$ with probability 0, as no prefix gains mass. An alignment that swaps two words, as a translation may need it, is out of "
        "reach, however the model is trained.",
        sources=(S0.at("Applications"), RAFFEL.at("Section 2.2")),
        scope="every n, m ≥ 1, every p strictly between 0 and 1, independent draws",
        inventory=("C073",),
        uses=("monotonic.prefix-mass",),
        holds=_alignment_holds,
    )
)
def alignments() -> Iterator[Step]:
    come, yes, no = sp.symbols("R x y", positive=True)
    p_inside = yes / (yes + no)
    yield Step(
        sp.Integer(0),
        "<",
        (1 - p_inside) * come,
        "from k on: where the scan comes with positive probability it also passes with positive probability",
        certificate=no * come / (yes + no),
    )
    yield Step(sp.Integer(0), "<", p_inside * come, "and stops with positive probability, p = x/(x + y)")


applications = Claim(
    id="monotonic.applications",
    title="Monotonic attention is useful for speech recognition, translation and online processing",
    states="Monotonic (and stepwise) attention is applied to speech recognition, machine translation and online sequence processing.",
    precise="There is none: usefulness is a matter of trained models and data, and the text gives stepwise attention no formula.",
    sources=(S0.at("Applications"), S0.at("Monotonic and Stepwise Attention")),
    scope="-",
    inventory=("C073",),
    not_checkable="Usefulness depends on trained models and data, and 'stepwise' attention is named and never defined. What can be checked stands in monotonic.online, monotonic.linear-time, monotonic.alignments and monotonic.stepwise.",
)


# --- chunks ---------------------------------------------------------------------------------------------------------------------------------


def chunk(stop: int, width: int) -> range:
    """The positions of the chunk that ends at `stop`: at most `width` of them."""
    return range(max(stop - width + 1, 0), stop + 1)


def _chunkwise_holds(chances: Chances, heights: Sequence[int], width: int) -> Outcome:
    """Heights stand for exp of the chunk energies. The formula against the mean over every draw, and its sum against the monotonic mass."""
    size, heights = len(chances), heights[: len(chances)]
    weights = row(chances)
    formula = [
        sum((weights[k] * heights[j] / Fraction(sum(heights[x] for x in chunk(k, width))) for k in range(size) if j in chunk(k, width)), Fraction(0))
        for j in range(size)
    ]
    mean = [Fraction(0)] * size
    for draws, chance in outcomes(chances):
        if 1 in draws:
            members = chunk(draws.index(1), width)
            for place in members:
                mean[place] += chance * Fraction(heights[place], sum(heights[x] for x in members))
    return exact.decided(formula == mean and sum(formula) == 1 - prod((1 - x for x in chances), start=Fraction(1)))


@derived(
    Claim(
        id="monotonic.chunkwise-mass",
        title="Chunkwise weights have the mass of the monotonic weights that they spread",
        states="Monotonic chunkwise attention puts a softmax over the w positions up to where the monotonic scan stops.",
        precise=r"$\sum_j\beta_j = \sum_k\alpha_k$ for $\beta_j = \sum_{k=j}^{j+w-1}\alpha_k\,\dfrac{e^{u_j}}{\sum_{l=k-w+1}^{k}e^{u_l}}$, the expectation over where the scan stops: $\sum_j\beta_j - \sum_k\alpha_k = \sum_k\alpha_k\big(\sum_j\omega_{kj} - 1\big)$, and each chunk's softmax "
        r"$\omega_{k\cdot}$ sums to 1. So these weights too are a distribution only if the scan is sure to stop.",
        sources=(CHIU,),
        scope="every n, w ≥ 1, every α ≥ 0, finite energies; chunks are cut off at position 1 (a chunk is its last position k and others, B_kj = 1; any B ≥ 0 will do)",
        uses=("monotonic.mass",),
        holds=_chunkwise_holds,
    )
)
def chunkwise_mass() -> Iterator[Step]:
    energy = sp.IndexedBase("u", real=True)
    others = sp.IndexedBase("B", nonnegative=True)
    share = sp.IndexedBase("omega", nonnegative=True)
    divisor = sp.exp(energy[k]) + total(others[k, l] * sp.exp(energy[l]), l)
    yield Step(
        total((sp.KroneckerDelta(j, k) + others[k, j]) * sp.exp(energy[j]) / divisor, j),
        "=",
        sp.Integer(1),
        "the softmax over the chunk that ends at k: position k and the others of its chunk share one divisor",
    )
    yield Step(
        total(total(alpha[k] * share[k, j], k), j) - total(alpha[k], k),
        "=",
        total(alpha[k] * (total(share[k, j], j) - 1), k),
        "summed over positions first, chunk by chunk; every bracket is 0 by the step before",
    )
