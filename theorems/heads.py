"""What several heads can do that one cannot, what their number costs at a fixed width, what redundant heads are worth, and what descent makes of a head.

Conventions of `theorems.multi_head`: rows are tokens, projections multiply from the right, head g adds H_g W_O^(g). Scores are unscaled where a
factor in W_Q can make up for the scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain, combinations, pairwise
from typing import Any

import sympy as sp
from flint import arb, fmpq, fmpq_mat

from theorems import exact
from theorems.claim import Claim, derived
from theorems.exact import show
from theorems.multi_head import rank, side_by_side, times
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S2, S3, S4, VASWANI, Source
from theorems.step import Step
from theorems.symbols import K, Q, S, a, d, d_v, e, f, g, h, head, i, j, k, l, m, n, r, s, softmax, t, total, v

MICHEL = Source(key="michel2019", title="Are Sixteen Heads Really Better than One?", url="https://arxiv.org/abs/1905.10650")
KROGH = Source(
    key="krogh1995",
    title="Neural Network Ensembles, Cross Validation, and Active Learning",
    url="https://papers.nips.cc/paper/1994/hash/b8c37e33defde51cf91e1e03e51657da-Abstract.html",
)
BHOJANAPALLI = Source(key="bhojanapalli2020", title="Low-Rank Bottleneck in Multi-head Attention Models", url="https://arxiv.org/abs/2002.07028")

Rows = Sequence[Sequence[int]]
Balls = list[list[arb]]

u = sp.IndexedBase("u", real=True)  # the scores of a second head; or how useful a key is
y = sp.IndexedBase("y", real=True)  # one feature of the tokens
odds = sp.IndexedBase("omega", positive=True)  # a pattern up to the sums of its rows, omega[g, i, j]
x = sp.IndexedBase("x", real=True)
c = sp.Symbol("c", positive=True)
apart = sp.UnevaluatedExpr  # keeps a part as a reader would write it
z, w = sp.symbols("z w", integer=True, positive=True)  # a key in a normaliser; a feature of a token


def plain(rows: Sequence[Sequence[object]]) -> str:
    """A matrix as a reader writes it."""
    return "[" + "; ".join(", ".join(map(str, row)) for row in rows) + "]"


def D(one: sp.Expr, other: sp.Expr) -> sp.Expr:
    return sp.KroneckerDelta(one, other)


def transposed(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def unit(size: int) -> list[list[int]]:
    return [[int(row == column) for column in range(size)] for row in range(size)]


def added(parts: Sequence[Balls]) -> Balls:
    """The sum of matrices of one shape."""
    return [[sum(entries, arb(0)) for entries in zip(*rows, strict=True)] for rows in zip(*parts, strict=True)]


def certainly_differ(left: object, right: object) -> bool:
    return exact.equal(left, right) is Outcome.REFUTED


# --- patterns (C195, C196) ----------------------------------------------------------------------------------------------------------------


def _any_patterns(patterns: Sequence[Rows]) -> Outcome:
    """Heads of width n on one-hot tokens: queries the logarithms of a pattern times √n, keys the identity, scores divided by √n."""
    outcomes = []
    for pattern in patterns:
        size = len(pattern)
        wide = exact.ball(size).sqrt()
        queries = [[wide * exact.ball(entry).log() for entry in row] for row in pattern]
        weights = exact.attention(times(unit(size), queries), unit(size), unit(size), 1 / wide)
        outcomes.append(exact.equal(weights, [[Fraction(entry, sum(row)) for entry in row] for row in pattern]))
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="heads.any-patterns",
        title="The heads of one layer can have any patterns at once, each its own",
        states="Heads run in parallel, and each can learn relationships of its own, specialised in its own pattern.",
        reading="For any choice of one pattern for each head there are projections with which the heads of one layer have these patterns, on the same input.",
        precise=r"Let the tokens be one-hot, $x_i = e_i$, and $\omega^{(g)}_{ij} > 0$ any numbers. With $W_Q^{(g)} = \log\omega^{(g)}$ and $W_K^{(g)} = I$ "
        r"head $g$ has the weights "
        r"$\omega^{(g)}_{ij} / \sum_l \omega^{(g)}_{il}$. No head's matrices depend on another's. (A scale $1/\sqrt{d_h}$ is made up for by $\sqrt{d_h}$ in "
        r"$W_Q$.)",
        sources=(S1.at("Building on Yesterday's Foundation"), S3.at("Multi-Head Attention"), S4.at("Motivation"), S4.at("Benefits (multi-head)")),
        scope="every number of heads and tokens, every positive pattern; heads as wide as there are tokens (fewer features: heads.pattern-rank). Whether "
        "training "
        "finds them is not meant",
        inventory=("C195",),
        holds=_any_patterns,
    )
)
def any_patterns() -> Iterator[Step]:
    def score(key: sp.Symbol) -> sp.Expr:
        query = sp.Sum(D(i, z) * sp.log(odds[g, z, k]), (z, 1, n))
        return total(query * sp.Sum(D(key, z) * D(z, k), (z, 1, n)), k)

    yield Step(score(j), "=", sp.log(odds[g, i, j]), "token i picks row i of W_Q, and token j its own unit vector")
    yield Step(
        sp.exp(score(j)) / total(sp.exp(score(l)), l), "=", odds[g, i, j] / total(odds[g, i, l], l), "so the weights are the pattern, normalised row by row"
    )


def _width_one_weights(tokens: Sequence[int], heads: int) -> list[Balls]:
    """[heads][n, n]: head g has W_Q = g and W_K = 1 on tokens of width 1."""
    column = [[token] for token in tokens]
    return [exact.attention([[factor * token] for token in tokens], column, unit(len(tokens))) for factor in range(1, heads + 1)]


def _distinct_patterns(tokens: Sequence[int], heads: int) -> Outcome:
    """The h patterns are pairwise different if some query tells two keys apart, and all uniform if none does."""
    weights = _width_one_weights(tokens, heads)
    if any(token * (one - other) for token in tokens for one, other in pairwise(tokens)):
        return exact.decided(all(certainly_differ(one, other) for one, other in combinations(weights, 2)))
    return exact.equal(weights, [[[Fraction(1, len(tokens))] * len(tokens)] * len(tokens)] * heads)


@derived(
    Claim(
        id="heads.distinct-patterns",
        title="A layer with h heads can have h different patterns at once, even of width 1",
        states="More heads capture diverse attention patterns.",
        reading="How many different patterns a layer can have on one input: as many as it has heads (one head has one pattern).",
        precise=r"Heads $1,\dots,h$ of width 1 with scores $g\,s_j$: the odds of keys $j$ and $k$ in head $g$ are $e^{g(s_j-s_k)}$, and head $g+t$ has "
        r"$e^{t(s_j-s_k)}$ times those of "
        r"head $g$, which is more if $s_j>s_k$.",
        sources=(S4.at("Architecture Parameters"), S4.at("Benefits (multi-head)")),
        scope="every number of heads and keys; a query that scores two keys differently. At a fixed width more heads are narrower heads: heads.more-heads",
        inventory=("C196", "C195"),
        holds=_distinct_patterns,
    )
)
def distinct_patterns() -> Iterator[Step]:
    def weight(factor: sp.Expr, key: sp.Symbol) -> sp.Expr:
        return sp.exp(factor * s[key]) / total(sp.exp(factor * s[l]), l)

    later, apart = sp.Symbol("t", integer=True, positive=True), sp.Symbol("delta", positive=True)
    yield Step(weight(g, j) / weight(g, k), "=", sp.exp(g * (s[j] - s[k])), "the normaliser cancels from the odds of two keys")
    yield Step(sp.exp(g * apart), "<", sp.exp((g + later) * apart), "a later head prefers the higher of two scores more strongly: no two heads agree",
               certificate=sp.exp(g * apart) * (sp.exp(later * apart) - 1))  # fmt: skip


def centred(scores: Rows) -> list[list[Fraction]]:
    """Each row minus its mean: what a softmax row depends on."""
    return [[Fraction(entry) - Fraction(sum(row), len(row)) for entry in row] for row in scores]


def factored(rows: Sequence[Sequence[Fraction]]) -> tuple[list[list[Fraction]], list[list[Fraction]]]:
    """A, B with A Bᵀ = rows and as many columns as the rank: pivot columns times the reduced rows."""
    reduced, size = fmpq_mat([[fmpq(entry.numerator, entry.denominator) for entry in row] for row in rows]).rref()
    basis = [[Fraction(int(reduced[line, column].p), int(reduced[line, column].q)) for column in range(len(rows[0]))] for line in range(size)]
    pivots = [next(column for column, entry in enumerate(row) if entry) for row in basis]
    return [[row[pivot] for pivot in pivots] for row in rows], transposed(basis) if basis else [[] for _ in rows[0]]


def _still_available(scores: Rows, heads: int) -> Outcome:
    """One head of width d = n has the pattern softmax(scores) on one-hot tokens; has any head of width d / heads?"""
    return exact.decided(rank(centred(scores)) <= len(scores) // heads)


def _exactly_if_rank(scores: Rows, heads: int) -> Outcome:
    """Queries and keys as wide as the rank give the pattern; of width d / heads, if that is less, the logarithms of the odds have a rank that those of a head
    cannot reach. Odds and centred scores have one rank."""
    narrow, width = rank(centred(scores)), len(scores) // heads
    queries, keys = factored(centred(scores))
    built = [exact.softmax([sum((x * y for x, y in zip(query, key, strict=True)), Fraction(0)) for key in keys]) for query in queries]
    wanted = [[entry - row[-1] for entry in row] for row in scores]
    outcomes = [exact.equal([exact.softmax(row) for row in scores], built), exact.decided(len(keys[0]) == narrow == rank(wanted))]
    if width < narrow:
        cut = times([query[:width] for query in queries], transposed([key[:width] for key in keys]))
        reached = [[entry - row[-1] for entry in row] for row in cut]
        outcomes.append(exact.decided(rank(reached) <= width < rank(wanted)))
    return Outcome.worst(outcomes)


def _worked_more_heads(scores: Rows, heads: int) -> str:
    size = len(scores)
    return (
        f"The tokens are the {size} unit vectors, d = {size}. One head of width {size} with W_Q = {plain(scores)} and W_K = I has these scores; with their row "
        f"means taken "
        f"off, "
        f"which no weight notices, they are {plain(centred(scores))}, of rank {rank(centred(scores))}. With {heads} heads "
        f"each has "
        f"width {size // heads}; the logarithms of a head's odds are products of its queries with differences of its keys, of rank at most {size // heads}. "
        f"So none of "
        "them has this pattern, whatever its weights."
    )


def _rank_steps() -> Iterator[Step]:
    def weight(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(Q[r, a] * K[key, a], a)) / total(sp.exp(total(Q[r, a] * K[l, a], a)), l)

    yield Step(weight(j) / weight(k), "=", sp.exp(total(Q[r, a] * (K[j, a] - K[k, a]), a)), "the odds determine the row, and their logarithms are bilinear")
    yield Step(
        total(total(Q[r, a] * (K[j, a] - K[k, a]), a) * v[j], j),
        "=",
        total(Q[r, a] * total((K[j, a] - K[k, a]) * v[j], j), a),
        "a weighting v of the keys acts on the logarithms through d numbers alone: their rank is at most the head's width d",
    )
    mean = total(S[r, l], l) / n
    yield Step(
        S[r, j] - mean, "=", (S[r, j] - S[r, k]) - total(S[r, l] - S[r, k], l) / n,
        "the scores less their row means are the logarithms of the odds times a fixed matrix, from the right",
    )  # fmt: skip
    yield Step(S[r, j] - S[r, k], "=", apart(S[r, j] - mean) - apart(S[r, k] - mean), "and the other way round, so that both have one rank")
    left, right = sp.IndexedBase("A", real=True), sp.IndexedBase("B", real=True)
    yield Step(
        total(sp.Sum(D(r, t) * left[t, a], (t, 1, m)) * sp.Sum(D(j, z) * right[z, a], (z, 1, n)), a),
        "=",
        total(left[r, a] * right[j, a], a),
        "and where the scores are A Bᵀ with d columns, one-hot tokens with W_Q = A, W_K = B have them",
    )


more_heads = derived(
    Claim(
        id="heads.more-heads",
        title="More heads can have every pattern that fewer can, and more",
        states="Of the architecture's parameters, the number of heads: more heads capture diverse attention patterns.",
        reading="Diverse can mean two things. That a layer with more heads can have more patterns at once is true without any assumption: "
        "heads.distinct-patterns. Judged here is the stronger "
        "reading: at the same embedding dimension d, a layer with more heads can have every pattern that it could have with fewer, and further ones.",
        precise=r"Any pattern of a head of width $d$ is also the pattern of some head of width $d/h$. This fails where the logarithms of the odds have a rank above $d/h$; a "
        r"head of unreduced "
        r"width $d$ keeps every pattern.",
        sources=(S4.at("Architecture Parameters"),),
        scope="every h that divides d; one-hot tokens, d = n",
        inventory=("C196",),
        unsaid="each head keeps its width, so that the layer grows with the number of heads, while usually d_h = d/h",
        corrected_by="heads.pattern-rank",
        holds=_still_available,
        worked=_worked_more_heads,
    )
)(_rank_steps)

pattern_rank = derived(
    Claim(
        id="heads.pattern-rank",
        title="For one-hot tokens a head of width d_h has a pattern exactly if the logarithms of its odds have rank at most d_h",
        states="(Not in the text; the precise form of: more heads capture diverse patterns.) More heads at the same width are more patterns, each of a lower "
        "rank.",
        precise=r"$\log(P_{rj}/P_{rk}) = \sum_a Q_{ra}(K_{ja}-K_{ka})$ has rank at most $d_h$ (over $r$ and $j$, for a fixed $k$). The scores less their row "
        r"means have the same rank, since each of the two is the other times a fixed matrix. Conversely, if the scores less their row means "
        r"are $AB^\top$ with $d_h$ columns, $W_Q=A$ and $W_K=B$ give the pattern to one-hot tokens.",
        sources=(S4.at("Architecture Parameters"), BHOJANAPALLI.at("section 3")),
        scope="every number of queries and keys, every width, every real score; no mask. Tokens in a space of fewer dimensions than there are tokens may "
        "allow less",
        inventory=("C196",),
        holds=_exactly_if_rank,
    )
)(_rank_steps)


# --- expressivity (C197) ------------------------------------------------------------------------------------------------------------------


def two_heads(tokens: Rows) -> Balls:
    """Two heads of width 1 on tokens of width 2: head g reads, scores and returns feature g; W_O = I."""
    columns = [[[token[feature]] for token in tokens] for feature in (0, 1)]
    return [list(chain.from_iterable(rows)) for rows in zip(*(exact.attention(column, column, column) for column in columns), strict=True)]


def one_head(tokens: Rows, query: Rows, key: Rows, through: Rows) -> Balls:
    """One head on tokens of width 2, of the width that `query` and `key` have; `through` is W_V W_O."""
    return exact.attention(times(tokens, query), times(tokens, key), times(tokens, through))


PROBES = ([[1, 0], [1, 0]], [[0, 1], [0, 1]], [[1, 0], [0, 1]])


def _one_head_falls_short(query: Rows, key: Rows, through: Rows) -> Outcome:
    """The one head differs from the two on one of three inputs of two tokens."""
    return exact.decided(any(certainly_differ(one_head(tokens, query, key, through), two_heads(tokens)) for tokens in PROBES))


@derived(
    Claim(
        id="heads.two-beat-one",
        title="Two heads of width d/2 compute a map that no single head computes, however wide it is",
        states="(Not in the text; a precise form of: multi-head attention increases expressivity.) Some map of two heads is no map of one head.",
        precise=r"Let $d=2$, and let head $g$ score, weight and return feature $g$: $W_Q^{(g)}=W_K^{(g)}=W_V^{(g)}=e_g$, $W_O=I$. A single head that computes "
        r"the same "
        r"has $W_VW_O=I$, since on equal tokens $x$ both return $xW_VW_O=x$. On tokens whose two features sum to 1 its output then sums to 1, whatever its "
        r"scores; that of the "
        r"two heads sums to $1+\sum_j(p_j-p'_j)x_{j1}$, with the two heads' weights $p$, $p'$. At token $e_1$ beside $e_2$ this is "
        r"$\frac{e^c}{e^c+1}+\frac12>1$ for every scale $c>0$. Heads of unreduced width also compute what a single head does (with the others' blocks of $W_O$ "
        r"at 0), so there the gain is an increase; at the same total width some maps are lost: heads.expressivity.",
        sources=(S0.at("Universal Approximation"), VASWANI.at("section 3.2.2")),
        scope="one layer without mask and bias, d = 2 (wider layers contain it), a single head of any width, with any scores at all; a residual connection "
        "adds the same to both",
        inventory=("C197",),
        holds=_one_head_falls_short,
    )
)
def two_beat_one() -> Iterator[Step]:
    through = sp.IndexedBase("M", real=True)  # W_V W_O of the single head
    token = sp.Sum(x[w] * through[w, a], (w, 1, d))
    yield Step(
        total(softmax(s, j) * token, j), "=", token, "on equal tokens every weighting returns x W_V W_O; the two heads return x, so W_V W_O is the identity"
    )
    yield Step(
        total(softmax(s, j) * y[j], j) + total(softmax(s, j) * (1 - y[j]), j), "=", sp.Integer(1),
        "with W_V W_O = I, tokens (y_j, 1 − y_j) are averaged by one set of weights, and the features still sum to 1",
    )  # fmt: skip
    yield Step(
        total(softmax(s, j) * y[j], j) + total(softmax(u, j) * (1 - y[j]), j), "=", 1 + total((softmax(s, j) - softmax(u, j)) * y[j], j),
        "two heads weigh the two features differently",
    )  # fmt: skip
    H, W = sp.IndexedBase("H", real=True), sp.IndexedBase("W", real=True)
    yield Step(
        total(total(H[g, r, e] * D(g, head) * W[e, f], e), g), "=", total(H[head, r, e] * W[e, f], e),
        "with the other blocks of W_O at 0, one of several heads of unreduced width is the single head",
    )  # fmt: skip
    first, second = sp.exp(c) / (sp.exp(c) + 1), sp.Rational(1, 2)
    yield Step(
        sp.Integer(1), "<", first + second,
        "tokens e_1 and e_2, query e_1: head 1 scores them c and 0, head 2 scores both 0, so the sum is not 1",
        certificate=(sp.exp(c) - 1) / (2 * (sp.exp(c) + 1)),
    )  # fmt: skip


def _half_as_wide(query: Rows, key: Rows, through: Rows) -> Outcome:
    """Is the map of one head of width 2 that of two heads of width 1? It is if its form W_Q W_Kᵀ has rank 1 at most: two heads with this form, and W_V W_O a sum of two of
    rank 1. It is not if both its matrices are invertible, by the argument that `_worked_lost` tells. Otherwise it is left undecided."""
    form = rank(times(query, transposed(key)))
    if form < 2:
        return Outcome.HELD
    return Outcome.REFUTED if rank(through) == 2 else Outcome.UNDECIDED


def _worked_lost(query: Rows, key: Rows, through: Rows) -> str:
    form = times(query, transposed(key))
    return (
        f"The model has the width 2. One head of width 2 has W_Q = {plain(query)} and W_K = {plain(key)}, so its scores are those of M = W_QW_Kᵀ = "
        f"{plain(form)}, and W_VW_O = {plain(through)}; both have "
        "rank 2. For tokens x and y, with δ = x − y and σ(t) = 1/(1 + e^(−t)), it returns yW_VW_O + σ(xMδᵀ) δW_VW_O at x (row vectors; a scale of the scores "
        "changes nothing below). Two heads of width 1 have forms M_1, M_2 and matrices V_1, V_2 "
        "of rank 1 at most, and return y(V_1 + V_2) + σ(xM_1δᵀ) δV_1 + σ(xM_2δᵀ) δV_2. Suppose that the two are equal for all tokens. At x = y this says V_1 + "
        "V_2 = W_VW_O, which is invertible, so both have rank 1 and their rows "
        "span two different lines. For almost all δ both δV_1 and δV_2 are not 0, and a comparison of the parts along the two lines gives σ(xMδᵀ) = σ(xM_1δᵀ) "
        "= σ(xM_2δᵀ) for all x. As σ is injective, M = M_1 = M_2. But M "
        "has rank 2, and M_1 has not. So the map of the one head is lost."
    )


expressivity = Claim(
    id="heads.expressivity",
    title="Multi-head attention increases expressivity",
    states="Multi-head attention increases expressivity.",
    reading="Several heads compute every map that one head computes, and further ones. The layer keeps its width, as usual: d_h = d/h, here one head of width "
    "2 against two of width 1.",
    precise=r"For $d=2$, every map $X\mapsto\mathrm{softmax}(XW_QW_K^\top X^\top)XW_VW_O$ of one head of width 2 is the map of two heads of width 1, which "
    r"compute others as well. That they compute others is "
    r"true (heads.two-beat-one), and with heads that keep their width the first half is true as well (the other blocks of $W_O$ at 0). At the same total "
    r"width it fails where $W_QW_K^\top$ and $W_VW_O$ have rank 2.",
    sources=(S0.at("Universal Approximation"),),
    scope="one layer without mask and bias, d = 2",
    inventory=("C197",),
    unsaid="each head keeps its width, so that the layer grows with the number of heads; at the same total width maps are lost as well as gained",
    corrected_by="heads.two-beat-one",
    derive=two_beat_one.derive,
    holds=_half_as_wide,
    worked=_worked_lost,
)


# --- redundancy (C198, C235) --------------------------------------------------------------------------------------------------------------


def squared_errors(errors: Rows) -> tuple[Fraction, Fraction, Fraction]:
    """Over equally likely outcomes [outcomes, heads]: the mean squared error of the heads' mean, that of the heads on average, and half the mean square
    of the differences between two heads drawn at random."""
    heads, count = len(errors[0]), len(errors)
    of_mean = sum(Fraction(sum(row), heads) ** 2 for row in errors) / count
    of_heads = Fraction(sum(entry**2 for row in errors for entry in row), heads * count)
    apart = Fraction(sum((one - other) ** 2 for row in errors for one in row for other in row), 2 * heads**2 * count)
    return Fraction(of_mean), of_heads, apart


def _improves(errors: Rows) -> Outcome:
    """The mean of the heads has a smaller mean squared error than a head has, on average, if there are errors at all."""
    of_mean, of_heads, _ = squared_errors(errors)
    return exact.decided(of_mean < of_heads or of_heads == 0)


def _improves_by_differences(errors: Rows) -> Outcome:
    of_mean, of_heads, apart = squared_errors(errors)
    some_differ = any(one != other for row in errors for one, other in pairwise(row))
    return exact.decided(of_mean == of_heads - apart and (of_mean < of_heads) == some_differ)


def _worked_improves(errors: Rows) -> str:
    of_mean, of_heads, _ = squared_errors(errors)
    return (
        f"There are {len(errors[0])} heads and {len(errors)} equally likely outcome{'s' * (len(errors) > 1)}; the heads' errors, one row for each outcome, are "
        f"{plain(errors)}. The heads err alike, so their mean errs as each of them does: the mean squared error is {of_mean} for the mean, and "
        f"{of_heads} for the heads on average."
    )


def _redundancy_steps() -> Iterator[Step]:
    mean = total(x[g], g) / h
    spread = sp.Sum((x[g] - x[head]) ** 2, (g, 1, h), (head, 1, h)) / (2 * h**2)
    correlation, variance = sp.symbols("rho sigma", real=True)
    covariance = variance**2 * (correlation + (1 - correlation) * D(g, head))
    yield Step(
        total(total(covariance, head), g) / h**2, "=", variance**2 * (correlation + (1 - correlation) / h),
        "unbiased errors of equal variance and correlation ρ: σ²/h for ρ = 0, and σ², as for one head, for ρ = 1",
    )  # fmt: skip
    yield Step(
        total(x[g] ** 2, g) / h - mean**2, "=", spread,
        "outcome by outcome, and so on average: what the mean gains over the heads is half the mean square of their differences",
    )  # fmt: skip


redundancy = derived(
    Claim(
        id="heads.redundancy",
        title="Redundancy across heads improves reliability",
        states="A benefit of several heads, robustness: redundancy across heads improves reliability.",
        reading="Reliability can mean two things. That of h equal heads one may fail at the price of an h-th of the output is true: heads.lost-head. Judged "
        "here is accuracy: several heads, redundant in that "
        "they estimate the same thing, duplicates included, each have an error; what W_O makes of them, their mean, errs less than the heads do on average "
        "(the best of them may err less still).",
        precise=r"The mean squared error of $\frac1h\sum_gx_g$ is smaller than that of the heads on average, for any errors $x_g$, not all 0. It is smaller by "
        r"$\frac1{2h^2}\sum_{g,p}\mathrm{E}(x_g-x_p)^2$: by nothing for heads that err alike.",
        sources=(S4.at("Benefits (multi-head)"),),
        scope="h ≥ 2 heads, any joint distribution of errors on finitely many outcomes",
        inventory=("C198",),
        unsaid="the heads' errors differ (then the mean beats the heads' average, not the best head); heads that compute the same thing from the same input err "
        "alike",
        corrected_by="heads.mean-of-heads",
        holds=_improves,
        worked=_worked_improves,
    )
)(_redundancy_steps)

mean_of_heads = derived(
    Claim(
        id="heads.mean-of-heads",
        title="The mean of heads errs less than they do by half the mean square of their differences",
        states="(Not in the text; the precise form of: redundancy across heads improves reliability.) Redundant heads help as far as their errors differ.",
        precise=r"$\Bigl(\frac1h\sum_gx_g\Bigr)^2=\frac1h\sum_gx_g^2-\frac1{2h^2}\sum_{g,p}(x_g-x_p)^2$ for the errors $x_g$. For unbiased errors of variance "
        r"$\sigma^2$ and pairwise correlation "
        r"$\rho$ the mean has the variance $\sigma^2\bigl(\rho+\frac{1-\rho}h\bigr)$: $\sigma^2/h$ if they are uncorrelated, and no less than $\rho\sigma^2$ "
        r"for any number of heads.",
        sources=(S4.at("Benefits (multi-head)"), KROGH),
        scope="every number of heads, every real error; expectations are over any distribution with second moments",
        inventory=("C198",),
        holds=_improves_by_differences,
    )
)(_redundancy_steps)


def _one_head_suffices(pattern: Rows, values: Sequence[Rows], blocks: Sequence[Rows]) -> Outcome:
    """Heads with one pattern against one head whose values stand side by side, its block the blocks one above the other; and equal heads against one."""
    parts = [times(times(pattern, value), block) for value, block in zip(values, blocks, strict=True)]
    whole = [[sum(entries) for entries in zip(*rows, strict=True)] for rows in zip(*parts, strict=True)]
    merged = times(times(pattern, side_by_side(values)), list(chain.from_iterable(blocks)))
    equal_heads = [times(times(pattern, values[0]), block) for block in blocks]
    summed = [[sum(entries) for entries in zip(*rows, strict=True)] for rows in zip(*blocks, strict=True)]
    twice = [[sum(entries) for entries in zip(*rows, strict=True)] for rows in zip(*equal_heads, strict=True)]
    return exact.decided(whole == merged and twice == times(times(pattern, values[0]), summed))


@derived(
    Claim(
        id="heads.shared-pattern",
        title="Heads with the same pattern are one head with wider values; equal heads are one head",
        states="Redundancy exists across heads: some heads may be similar.",
        reading="What redundancy means exactly: a head that can be left out, with the output kept by a change of the others' blocks of W_O. "
        "That trained models have such heads is the cited report.",
        precise=r"$PV_1W_1+PV_2W_2=P\,[V_1\,|\,V_2]\begin{bmatrix}W_1\\W_2\end{bmatrix}$, and $HW_1+HW_2=H(W_1+W_2)$: the second of two equal heads adds "
        r"nothing that the "
        r"first one's block of $W_O$ could not.",
        sources=(S1.at("Head View"), S4.at("Head Analysis"), MICHEL),
        scope="every number of queries, keys, features and outputs; all real entries; two heads (more by repetition)",
        inventory=("C235", "C198"),
        uses=("multi_head.concatenation-is-sum",),
        holds=_one_head_suffices,
    )
)
def shared_pattern() -> Iterator[Step]:
    pattern, H, one, two = (sp.IndexedBase(name, real=True) for name in ("P", "H", "W_1", "W_2"))
    first, second = sp.IndexedBase("V_1", real=True), sp.IndexedBase("V_2", real=True)

    def contribution(value: sp.IndexedBase, block: sp.IndexedBase) -> sp.Expr:
        return total(total(pattern[r, j] * value[j, e], j) * block[e, f], e)

    yield Step(
        contribution(first, one) + contribution(second, two), "=",
        total(pattern[r, j] * total(first[j, e] * one[e, f] + second[j, e] * two[e, f], e), j),
        "one weighting of the concatenated values, through the blocks one above the other",
    )  # fmt: skip
    yield Step(total(H[r, e] * one[e, f], e) + total(H[r, e] * two[e, f], e), "=", total(H[r, e] * (one[e, f] + two[e, f]), e), "equal heads: their blocks add")


def _loses_one(value: Sequence[int], block: Rows, heads: int, gone: int) -> Outcome:
    """h equal heads, each with an h-th of the block; without one of them the layer returns (h − 1)/h of what it did."""
    shares = [[[Fraction(entry, heads) for entry in row] for row in block]] * heads
    side = side_by_side([[value]] * heads)
    rows = [[entry * int(place != gone % heads) for entry in row] for place, share in enumerate(shares) for row in share]
    left = [heads * entry for entry in times(side, rows)[0]]
    return exact.decided(left == [entry * (heads - 1) for entry in times([value], block)[0]])


@derived(
    Claim(
        id="heads.lost-head",
        title="Of h equal heads one can be lost at the price of one h-th of their output",
        states="Robustness: redundancy across heads improves reliability.",
        reading="The other meaning of reliability: how much of the output is left when a head fails (its output is 0). A single head would take all of it "
        "along.",
        precise=r"With $h$ equal heads that share the block $W$ equally, $\sum_g(1-\delta_{gp})H\,\tfrac1hW=(1-\tfrac1h)HW$: the direction of what they write "
        r"is kept, its size is not, unless the "
        r"others are multiplied by $\frac h{h-1}$.",
        sources=(S4.at("Benefits (multi-head)"),),
        scope="every h ≥ 1, every width, all real entries; a failure that sets one head's output to 0",
        inventory=("C198",),
        uses=("multi_head.removing-a-head",),
        holds=_loses_one,
    )
)
def lost_head() -> Iterator[Step]:
    H, W = sp.IndexedBase("H", real=True), sp.IndexedBase("W", real=True)
    yield Step(
        total(total((1 - D(g, head)) * H[r, e] * W[e, f] / h, e), g), "=", total(H[r, e] * (1 - 1 / h) * W[e, f], e),
        "h − 1 of h equal terms are left",
    )  # fmt: skip


interpretable = Claim(
    id="heads.interpretable",
    title="Some heads are more interpretable than others",
    states="From a view of the heads: some are more interpretable than others.",
    precise="A statement about trained models and their readers; no measure of interpretability is stated.",
    sources=(S1.at("Head View"),),
    scope="trained models",
    inventory=("C235",),
    not_checkable="Interpretability is a reader's judgement of a trained model, and no measure is given. What can be checked is exact redundancy "
    "(heads.shared-pattern), and that "
    "the order of the heads carries no meaning (heads.order-is-arbitrary).",
)


# --- symmetry of the heads ----------------------------------------------------------------------------------------------------------------


def _any_order(heads: Sequence[Rows], blocks: Sequence[Rows], order: Sequence[int]) -> Outcome:
    def layer(places: Sequence[int]) -> list[list[int]]:
        return times(side_by_side([heads[place] for place in places]), list(chain.from_iterable(blocks[place] for place in places)))

    return exact.decided(layer(order) == layer(range(len(heads))))


@derived(
    Claim(
        id="heads.order-is-arbitrary",
        title="The heads of a trained layer may be put in any order",
        states="(Not in the text, which compares different heads.) Heads are compared by their number: head 1, head 2, and so on.",
        reading="Which number a head has means nothing: with its block of W_O it can stand anywhere.",
        precise=r"If heads $k$ and $l$ trade places together with their blocks, $\sum_gH_gW_O^{(g)}$ stays as it was; every order is made of such swaps.",
        sources=(S4.at("What to Observe"), S1.at("Head View")),
        scope="every number n of heads, all real entries; one row and one output feature, features of a head written as e",
        inventory=("C195",),
        uses=("multi_head.concatenation-is-sum",),
        holds=_any_order,
    )
)
def order_is_arbitrary() -> Iterator[Step]:
    H, W = sp.IndexedBase("H", real=True), sp.IndexedBase("W", real=True)

    def swapped(entry: sp.IndexedBase) -> sp.Expr:
        return entry[j, e] + (D(j, k) - D(j, l)) * (entry[l, e] - entry[k, e])

    yield Step(
        sp.Sum(swapped(H) * swapped(W), (e, 1, d_v), (j, 1, n)), "=", sp.Sum(H[j, e] * W[j, e], (e, 1, d_v), (j, 1, n)),
        "a head's product with its own block is the same term wherever it stands, and the sum is over all heads",
    )  # fmt: skip


Start = tuple[int, int]  # a head of width 1: the factor on its scores, and W_V W_O


def _one_step(starts: Sequence[Start], features: Sequence[int], values: Sequence[int], target: int) -> list[list[arb]]:
    """The gradients of ½(output − target)² in each head's two numbers, by the quotient rule on sums over the keys."""
    sums = []
    for factor, _ in starts:
        powers = [exact.ball(factor * feature).exp() for feature in features]
        mass, numerator = sum(powers, arb(0)), sum((power * value for power, value in zip(powers, values, strict=True)), arb(0))
        mass_slope = sum((power * feature for power, feature in zip(powers, features, strict=True)), arb(0))
        slope = sum((power * feature * value for power, feature, value in zip(powers, features, values, strict=True)), arb(0))
        sums.append((numerator / mass, (slope * mass - numerator * mass_slope) / mass**2))
    miss = sum((through * answer for (_, through), (answer, _) in zip(starts, sums, strict=True)), arb(0)) - target
    return [[miss * through * slope, miss * answer] for (_, through), (answer, slope) in zip(starts, sums, strict=True)]


def _alike_stay_alike(starts: Sequence[Start], features: Sequence[int], values: Sequence[int], target: int, order: Sequence[int]) -> Outcome:
    """Gradients follow their heads when these are reordered; and the first head, doubled, has one gradient twice."""
    gradients = _one_step(starts, features, values, target)
    moved = _one_step([starts[place] for place in order], features, values, target)
    doubled = _one_step([starts[0], *starts], features, values, target)
    return Outcome.worst([exact.equal(moved, [gradients[place] for place in order]), exact.equal(doubled[0], doubled[1])])


@derived(
    Claim(
        id="heads.equal-starts-stay-equal",
        title="Heads of width 1 that start equal stay equal: what makes them different is where they start",
        states="(Not in the text, which says that different heads learn different patterns.) What makes heads differ.",
        reading="What in a layer makes its heads differ. (That trained heads differ is an observation, and not judged here.)",
        precise=r"Output $\sum_g\beta_g\sum_jp^{(g)}_jv_j$, $p^{(g)}=\mathrm{softmax}_j(\theta_gx_j)$. Its derivatives in $\theta_p$ and $\beta_p$ are one "
        r"function of head $p$'s own numbers, the same for "
        r"every head; a loss multiplies them by a factor common to all heads. So equal heads have equal gradients and stay equal under gradient descent, step "
        r"by step: "
        r"no loss makes heads differ that do not differ at the start.",
        sources=(S4.at("Head Analysis"), S1.at("Head View")),
        scope="every number of heads and keys, heads of width 1 (one score factor θ, one value factor β), any differentiable loss of the output; optimisers "
        "that treat all "
        "parameters alike; without dropout, which treats heads differently. (A remark: wider heads are no different in this, the output being a sum over "
        "heads of one function of their own numbers)",
        inventory=("C195",),
        holds=_alike_stay_alike,
    )
)
def equal_starts_stay_equal() -> Iterator[Step]:
    theta, beta = sp.IndexedBase("theta", real=True), sp.IndexedBase("beta", real=True)

    def mean(of: sp.Symbol, body: sp.Expr) -> sp.Expr:
        return total(sp.exp(theta[of] * x[j]) * body, j) / total(sp.exp(theta[of] * x[l]), l)

    output = total(beta[g] * mean(g, v[j]), g)
    yield Step(sp.Derivative(output, beta[head]), "=", mean(head, v[j]), "the layer is a sum over heads: no other head's numbers enter")
    yield Step(
        sp.Derivative(output, theta[head]), "=", beta[head] * (mean(head, x[j] * v[j]) - mean(head, x[j]) * mean(head, v[j])),
        "a covariance under head p's own weights: the same formula for every head",
    )  # fmt: skip


# --- learning what matters (C311) ---------------------------------------------------------------------------------------------------------

ETA = Fraction(1, 2**20)  # a small step


def usefulness(values: Rows, cotangent: Sequence[int]) -> list[int]:
    """By how much a key's value lowers the loss ⟨G, o⟩."""
    return [-sum(x * y for x, y in zip(value, cotangent, strict=True)) for value in values]


def _shared_rates(features: Sequence[int], factor: int, useful: Sequence[int]) -> tuple[arb, arb, list[arb]]:
    """For scores θ x_j with θ = factor: the mean usefulness, −∂L/∂θ by the quotient rule, and at what rate the scores move as θ moves down the loss."""
    powers = [exact.ball(factor * feature).exp() for feature in features]
    mass, gain = sum(powers, arb(0)), sum((power * use for power, use in zip(powers, useful, strict=True)), arb(0))
    mass_slope = sum((power * feature for power, feature in zip(powers, features, strict=True)), arb(0))
    gain_slope = sum((power * feature * use for power, feature, use in zip(powers, features, useful, strict=True)), arb(0))
    slope = (gain_slope * mass - gain * mass_slope) / mass**2
    return gain / mass, slope, [slope * feature for feature in features]


def _loser(features: Sequence[int], factor: int, useful: Sequence[int]) -> tuple[int, int] | None:
    """A key more useful than the mean whose weight falls against that of a key less useful than the mean, and that key."""
    mean, _, rates = _shared_rates(features, factor, useful)
    return next(((a, b) for a in range(len(useful)) for b in range(len(useful)) if useful[a] > mean > useful[b] and rates[a] < rates[b]), None)


def _learns_with_shared_scores(features: Sequence[int], factor: int, values: Rows, cotangent: Sequence[int]) -> Outcome:
    """Scores θ x_j: as θ moves down the loss, no key more useful than the mean loses weight against one less useful than the mean."""
    return exact.decided(_loser(features, factor, usefulness(values, cotangent)) is None)


def _worked_learns(features: Sequence[int], factor: int, values: Rows, cotangent: Sequence[int]) -> str:
    useful = usefulness(values, cotangent)
    found = _loser(features, factor, useful)
    assert found is not None
    mean, slope, rates = _shared_rates(features, factor, useful)
    weights = exact.softmax([factor * feature for feature in features])
    useful_key, other = found[0] + 1, found[1] + 1
    return (
        f"Scores θ·x_j, as a query of one number θ makes them of keys x = ({', '.join(map(str, features))}), at θ = {factor}: the weights are "
        f"{', '.join(map(show, weights))}. With the values {plain(values)} and the "
        f"loss's gradient G = ({', '.join(map(str, cotangent))}) in the output the keys have the usefulness {', '.join(map(str, useful))}, on the mean "
        f"{show(mean)}. The derivative −∂L/∂θ is the covariance of x and usefulness under the "
        f"weights, {show(slope)}. So a step down the loss moves the scores at the rates {', '.join(map(show, rates))}. Key {useful_key} is more useful than "
        f"the mean and key {other} less, yet key {useful_key} loses "
        f"weight against key {other}, though the loss falls."
    )


def _steps_towards_useful(features: Sequence[int], factor: int, values: Rows, cotangent: Sequence[int]) -> Outcome:
    """From the scores factor · x_j, each free: a small step down the loss ⟨G, o⟩ lowers it, unless all keys are equally useful; a score rises exactly if its key is
    more useful than the mean, so that no such key loses weight against a less useful one."""
    useful, scores = usefulness(values, cotangent), [factor * feature for feature in features]
    if len(set(useful)) == 1:
        return Outcome.HELD
    weights = exact.softmax(scores)
    mean = sum((weight * use for weight, use in zip(weights, useful, strict=True)), arb(0))
    mass = sum((exact.ball(score).exp() for score in scores), arb(0))
    numerator = sum((exact.ball(score).exp() * use for score, use in zip(scores, useful, strict=True)), arb(0))
    rates = [exact.ball(score).exp() * (use * mass - numerator) / mass**2 for score, use in zip(scores, useful, strict=True)]  # the quotient rule
    later = exact.softmax([score + exact.ball(ETA) * rate for score, rate in zip(scores, rates, strict=True)])
    after = sum((weight * use for weight, use in zip(later, useful, strict=True)), arb(0))
    signs = all(bool(rate > 0) == bool(use > mean) for rate, use in zip(rates, useful, strict=True))
    return exact.decided(signs and bool(after > mean))


@derived(
    Claim(
        id="heads.learns-what-is-useful",
        title="Gradient descent on free scores raises the scores of keys that are more useful than the average",
        states="(Not in the text; what holds of its sentence that attention learns to weigh the most relevant parts.) A step of gradient descent on the "
        "scores of a row, each free to move by itself.",
        reading="Relevant is what lowers the loss: the usefulness of key j is u_j = −⟨G, v_j⟩, with G the gradient of the loss in the output.",
        precise=r"With $\bar u=\sum_jp_ju_j$: $-\partial L/\partial s_k=p_k(u_k-\bar u)$, so a score rises exactly if its key is more useful than the mean, "
        r"and along the gradient the mean usefulness grows at the "
        r"rate $\sum_kp_k^2(u_k-\bar u)^2$, which is positive unless all keys are equally useful. A key of weight near 0 learns slowly, however useful it is.",
        sources=(S4.at("Introduction"), S4.at("Human Attention Analogy")),
        scope="one row, every number of keys, every real score and value; scores free to move. Where scores come from shared projections they move together "
        "(heads.learns-relevance), "
        "and the gradient in the matrices may vanish: collapse.zero-projections",
        inventory=("C311",),
        uses=("gradients.scores",),
        holds=_steps_towards_useful,
    )
)
def learns_what_is_useful() -> Iterator[Step]:
    mean = total(softmax(s, j) * u[j], j)
    rate = total(softmax(s, k) * (u[k] - mean) * (softmax(s, k) * (u[k] - mean)), k)
    one, kept = softmax(s, i) * (u[i] - mean), softmax(s, k) * (u[k] - mean)
    yield Step(
        one * one, "<=", rate,
        "along its gradient the mean usefulness grows at the squared length of the gradient: at least by the square of any one part, positive for a key i whose "
        "usefulness is not the mean",
        certificate=total((1 - D(i, k)) * kept * kept, k),
    )  # fmt: skip
    yield Step(
        sp.Derivative(mean, s[k]), "=", softmax(s, k) * (u[k] - mean),
        "and this is the rate of one score: the loss falls as the mean usefulness grows, to first order one is minus the other",
    )  # fmt: skip


learns_relevance = Claim(
    id="heads.learns-relevance",
    title="Attention learns to give the most weight to what is most relevant",
    states="Attention mechanisms learn to assign different weights to different parts of the input, so that a model attends to what is most relevant.",
    reading="Relevant is what lowers the loss: the usefulness of key j is u_j = −⟨G, v_j⟩, with G the gradient of the loss in the output. A step of gradient "
    "descent is meant, not what a whole training run "
    "arrives at: it does not take weight from a key more useful than the mean to one less useful than the mean.",
    precise=r"If $u_a>\bar u>u_b$, then a step of gradient descent does not lower $p_a/p_b$. With scores $\theta x_j$ that share one number $\theta$, "
    r"$p_a/p_b$ moves with $(x_a-x_b)\sum_jp_j(u_j-\bar u)x_j$, "
    "which may be negative.",
    sources=(S4.at("Introduction"), S4.at("Human Attention Analogy")),
    scope="one row, scores of width 1 from one shared number, every number of keys",
    inventory=("C311",),
    unsaid="the scores of a row can move independently of each other; those of shared projections move together",
    corrected_by="heads.learns-what-is-useful",
    derive=learns_what_is_useful.derive,
    holds=_learns_with_shared_scores,
    worked=_worked_learns,
)


# --- a module of the course (C261) --------------------------------------------------------------------------------------------------------

Head = tuple[Rows, Rows, Rows, Rows]  # W_Q, W_K, W_V and the head's block of W_O


def module(q: Sequence[Sequence[Any]], k: Sequence[Sequence[Any]], v: Sequence[Sequence[Any]], d_model: int) -> Balls:
    """What the listing computes without dropout and mask: softmax(q kᵀ / √d_model) v. It has no parameters."""
    return exact.attention(q, k, v, 1 / exact.ball(d_model).sqrt())


def transformer_layer(tokens: Rows, heads: Sequence[Head]) -> Balls:
    """Multi-head self-attention by the forms of its heads: scores x W_Q W_Kᵀ xᵀ / √d_h, values x W_V W_O^(g), summed over the heads."""
    parts = []
    for w_q, w_k, w_v, w_o in heads:
        form, through = times(w_q, transposed(w_k)), times(w_v, w_o)
        rows = [[exact.ball(entry) / exact.ball(len(w_q[0])).sqrt() for entry in row] for row in times(times(tokens, form), transposed(tokens))]
        parts.append(times([exact.softmax(row) for row in rows], times(tokens, through)))
    return added(parts)


def _module_is_layer(tokens: Rows, heads: Sequence[Head]) -> Outcome:
    return exact.equal(module(tokens, tokens, tokens, len(tokens[0])), transformer_layer(tokens, heads))


def _module_inside_layer(tokens: Rows, heads: Sequence[Head]) -> Outcome:
    """The module for each head on projected inputs, with the head's width as its d_model, and the output projected."""
    parts = [times(module(times(tokens, w_q), times(tokens, w_k), times(tokens, w_v), len(w_q[0])), w_o) for w_q, w_k, w_v, w_o in heads]
    return exact.equal(added(parts), transformer_layer(tokens, heads))


def _worked_module(tokens: Rows, heads: Sequence[Head]) -> str:
    got, wanted = module(tokens, tokens, tokens, len(tokens[0])), transformer_layer(tokens, heads)

    def weights(queries: Rows, keys: Rows) -> str:
        return plain([[show(x) for x in row] for row in exact.attention(queries, keys, unit(len(keys)), 1 / exact.ball(len(queries[0])).sqrt())])

    matrices = "; ".join(
        f"head {place + 1}: W_Q = {plain(w_q)}, W_K = {plain(w_k)}, W_V = {plain(w_v)}, its rows of W_O = {plain(w_o)}, "
        f"and so the weights {weights(times(tokens, w_q), times(tokens, w_k))} and the values {plain(times(times(tokens, w_v), w_o))}"
        for place, (w_q, w_k, w_v, w_o) in enumerate(heads)
    )
    return (
        f"The tokens are {plain(tokens)}. The module has no matrices; its weights are {weights(tokens, tokens)}, and it returns "
        f"{plain([[show(x) for x in row] for row in got])}. A Transformer's layer with "
        f"{matrices} "
        f"returns {plain([[show(x) for x in row] for row in wanted])}."
    )


def _module_steps() -> Iterator[Step]:
    X, w_q, w_k, w_v, w_o = (sp.IndexedBase(name, real=True) for name in ("X", "W_Q", "W_K", "W_V", "W_O"))
    other = sp.Symbol("x", integer=True, positive=True)
    inputs, place = sp.Symbol("D", integer=True, positive=True), sp.Symbol("y", integer=True, positive=True)

    yield Step(
        sp.Sum(X[i, w] * total(w_q[w, a] * sp.Sum(X[j, other] * w_k[other, a], (other, 1, inputs)), a), (w, 1, inputs)) / sp.sqrt(d), "=",
        sp.Sum(X[i, w] * total(w_q[w, a] * w_k[other, a], a) * X[j, other], (w, 1, inputs), (other, 1, inputs)) / sp.sqrt(d),
        "with d_model set to the width d of the projected keys, the module's scores are those of the head",
    )  # fmt: skip
    yield Step(
        total(total(softmax(s, j) * sp.Sum(X[j, w] * w_v[w, e], (w, 1, inputs)), j) * w_o[e, place], e), "=",
        total(softmax(s, j) * sp.Sum(X[j, w] * total(w_v[w, e] * w_o[e, place], e), (w, 1, inputs)), j),
        "and its output, projected by the head's rows of W_O, is what the head adds to the layer",
    )  # fmt: skip


module_is_a_layer = Claim(
    id="heads.module-is-a-transformer-layer",
    title="The listing TransformerAttention is the attention layer of a Transformer",
    states="A class with the name TransformerAttention, made from d_model and a rate of dropout, called on q, k, v and a mask.",
    reading="Called as self-attention on a layer's input, q = k = v = X, with d_model the width of X, it computes what a Transformer's attention layer "
    "computes there, for the "
    "layer's matrices (dropout off, no mask). That it is a scaled dot product, as a Transformer's layer has one inside, is scaling.model-width.",
    precise=r"$\mathrm{softmax}(XX^\top/\sqrt{d_{model}})\,X=\sum_g\mathrm{softmax}\bigl(XW_Q^{(g)}(XW_K^{(g)})^\top/\sqrt{d_h}\bigr)XW_V^{(g)}W_O^{(g)}$ "
    r"for all matrices. The listing has no "
    r"matrices, no heads and no output projection; with all of these granted, outside of it, it is the inside of a layer and not the layer.",
    sources=(S2.at("Advanced Implementation"), VASWANI.at("section 3.2.2")),
    scope="self-attention, any number of heads; no mask (the constant −1e9: masks.minus-1e9-hides), dropout off",
    inventory=("C261",),
    corrected_by="heads.module-inside-a-layer",
    holds=_module_is_layer,
    worked=_worked_module,
)

module_inside_a_layer = derived(
    Claim(
        id="heads.module-inside-a-layer",
        title="On projected inputs, head by head, with d_model the head's width, and with its output projected, the listing makes a Transformer's attention "
        "layer",
        states="(Not in the text; what the listing is good for.) The inside of a layer, to which projections are given.",
        precise=r"$\sum_g\mathrm{module}_{d_h}\bigl(XW_Q^{(g)},XW_K^{(g)},XW_V^{(g)}\bigr)W_O^{(g)}$ is the layer: scores $x_i^\top "
        r"W_Q^{(g)}W_K^{(g)\top}x_j/\sqrt{d_h}$ and values "
        r"$x_j^\top W_V^{(g)}W_O^{(g)}$. With the model's width as d_model instead, the scores are too small by $\sqrt{d_h/d_{model}}$: scaling.model-width.",
        sources=(S2.at("Advanced Implementation"), VASWANI.at("section 3.2.2")),
        scope="every number of tokens, heads and features, all real entries; dropout off, no mask",
        inventory=("C261",),
        uses=("multi_head.concatenation-is-sum",),
        holds=_module_inside_layer,
    )
)(_module_steps)
