"""What reordering the inputs does to attention: self-attention carries the order along, cross-attention forgets the order of its pairs.

A reordering is argued as a swap of positions k and l in a sequence of symbolic length: row i of the swapped matrix is
x_i + (δ_ik − δ_il)(x_l − x_k), and k = l swaps nothing. Every permutation is a product of swaps, and both laws pass to products: if f commutes
with two reorderings (or ignores both), it commutes with (ignores) one after the other. The searches draw whole permutations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S3, S4
from theorems.step import Step
from theorems.symbols import K, Q, V, a, b, c, d, e, i, j, k, l, m, n, r, s, t, total, v

Entry = Callable[..., sp.Expr]  # the entries of a vector (one index) or a matrix (row, column)
Whole = Sequence[Sequence[int]]
Part = TypeVar("Part")

X = sp.IndexedBase("X", real=True)  # tokens, X[i, a]: n rows of width d
Y = sp.IndexedBase("Y", real=True)  # tokens of the other sequence
M = sp.IndexedBase("M", real=True)  # W_Q W_Kᵀ / √d_k: the scores of self-attention are x_iᵀ M x_j
W = sp.IndexedBase("W", real=True)  # the value projection, W[w, e]
y = sp.IndexedBase("y", positive=True)  # how far each entry of the second sequence lies above x
p, x = sp.symbols("p x", positive=True)
u, w, z = sp.symbols("u w z", integer=True, positive=True)  # a second swapped query; a token feature; a key in a normaliser
N = sp.Symbol("N", integer=True, positive=True)  # n − 1, where at least two positions are meant


def swapped(entry: Entry, row: sp.Expr, *rest: sp.Expr, one: sp.Symbol = k, other: sp.Symbol = l) -> sp.Expr:
    """Entry (row, …) after positions `one` and `other` have traded places."""
    here, there = sp.KroneckerDelta(row, one), sp.KroneckerDelta(row, other)
    return entry(row, *rest) + (here - there) * (entry(other, *rest) - entry(one, *rest))


def weighted(score: Entry, value: Entry, length: sp.Expr = n) -> sp.Expr:
    """Σ_j exp(score_j) value_j / Σ_z exp(score_z) over `length` keys."""
    return sp.Sum(sp.exp(score(j)) * value(j), (j, 1, length)) / sp.Sum(sp.exp(score(z)), (z, 1, length))


def cross(query: Entry, key: Entry, value: Entry) -> Entry:
    """Row r, feature e of dot-product attention: scores c Σ_a query(r, a) key(j, a)."""
    return lambda row: weighted(lambda at: c * total(query(row, a) * key(at, a), a), lambda at: value(at, e))


def self_attention(token: Entry) -> Entry:
    """Row i, feature e of self-attention: scores x_iᵀ M x_j and values W ᵀ x_j."""

    def score(row: sp.Expr) -> Entry:
        return lambda at: sp.Sum(token(row, a) * M[a, b] * token(at, b), (a, 1, d), (b, 1, d))

    return lambda row: weighted(score(row), lambda at: sp.Sum(token(at, w) * W[w, e], (w, 1, d)))


def entries(matrix: sp.IndexedBase) -> Entry:
    return lambda *at: matrix[at]


def reordered_rows(matrix: sp.IndexedBase) -> Entry:
    return lambda row, *rest: swapped(entries(matrix), row, *rest)


def reordered(rows: Sequence[Part], order: Sequence[int]) -> list[Part]:
    return [rows[place] for place in order]


def product(left: Whole, right: Whole) -> list[list[int]]:
    return [[sum(x * y for x, y in zip(row, column, strict=True)) for column in zip(*right, strict=True)] for row in left]


def attended(tokens: Whole, W_Q: Whole, W_K: Whole, W_V: Whole) -> list[list[arb]]:
    """Self-attention of integer tokens [n, d] with square projections [d, d], in balls."""
    return exact.attention(product(tokens, W_Q), product(tokens, W_K), product(tokens, W_V))


def _invariant(tokens: Whole, W_Q: Whole, W_K: Whole, W_V: Whole, order: Sequence[int]) -> Outcome:
    after = attended(reordered(tokens, order), W_Q, W_K, W_V)
    return exact.equal(after, attended(tokens, W_Q, W_K, W_V))


def _equivariant(tokens: Whole, W_Q: Whole, W_K: Whole, W_V: Whole, order: Sequence[int]) -> Outcome:
    after = attended(reordered(tokens, order), W_Q, W_K, W_V)
    return exact.equal(after, reordered(attended(tokens, W_Q, W_K, W_V), order))


def _pooled(tokens: Whole, W_Q: Whole, W_K: Whole, W_V: Whole, order: Sequence[int]) -> Outcome:
    after = attended(reordered(tokens, order), W_Q, W_K, W_V)
    before = attended(tokens, W_Q, W_K, W_V)
    return exact.equal(*([sum(column, arb(0)) for column in zip(*rows, strict=True)] for rows in (after, before)))


def _worked_invariance(tokens: Whole, W_Q: Whole, W_K: Whole, W_V: Whole, order: Sequence[int]) -> str:
    before, after = attended(tokens, W_Q, W_K, W_V), attended(reordered(tokens, order), W_Q, W_K, W_V)
    scores = product(product(tokens, W_Q), list(zip(*product(tokens, W_K), strict=True)))
    lines = [
        f"Tokens $X$ = {list(map(list, tokens))}, with $W_Q$ = {list(map(list, W_Q))}, $W_K$ = {list(map(list, W_K))}, $W_V$ = {list(map(list, W_V))} (scale 1).",
        f"The scores $XW_Q(XW_K)^\\top$ are {scores} and the values $XW_V$ are {product(tokens, W_V)}; softmax of each score row, times the values, gives",
        "",
        *(f"- row {i + 1}: {', '.join(exact.show(x) for x in row)}" for i, row in enumerate(before)),
        "",
        f"Put the tokens in the order {[place + 1 for place in order]} and compute again:",
        "",
        *(f"- row {i + 1}: {', '.join(exact.show(x) for x in row)}" for i, row in enumerate(after)),
        "",
        "Invariance would need the same matrix both times. But the rows have moved with the tokens: that is equivariance.",
    ]
    return "\n".join(lines)


invariance = Claim(
    id="symmetry.self-attention-invariance",
    title="Self-attention is permutation invariant",
    states="Without positional encoding self-attention is permutation invariant: the order of the tokens makes no difference.",
    reading="Invariance of a map means that reordering its input leaves its output as it was: f(ΠX) = f(X) for every permutation matrix Π. "
    "(That every token keeps its own output, wherever it and the others stand, is another property, equivariance: f(ΠX) = Πf(X).)",
    precise=r"$\mathrm{Att}(\Pi X) = \mathrm{Att}(X)$ for every permutation matrix $\Pi$, where $\mathrm{Att}(X)=\mathrm{softmax}(XMX^\top)XW_V$.",
    sources=(S1.at("Self-Attention (Intra-Attention)"),),
    scope="one head, no mask, no positional encoding",
    inventory=("C170",),
    holds=_invariant,
    worked=_worked_invariance,
    corrected_by="symmetry.self-attention-equivariance",
)


@derived(
    Claim(
        id="symmetry.self-attention-equivariance",
        title="Self-attention is permutation equivariant",
        states="Attention is permutation equivariant by construction.",
        reading="Unmasked self-attention without positions: reordering the tokens reorders the outputs in the same way.",
        precise=r"$\mathrm{Att}(\Pi X) = \Pi\,\mathrm{Att}(X)$ for every permutation matrix $\Pi$, where $\mathrm{Att}(X)=\mathrm{softmax}(XMX^\top)XW_V$ "
        r"is unmasked; "
        r"the derivation has $\Pi$ swap positions $k$ and $l$, and every permutation is a product of swaps.",
        sources=(S0.at("Universal Approximation"), S1.at("3D Vision")),
        scope="every length n, every width, every real X, M, W_V; unmasked, the same projections at every position",
        inventory=("C171", "C231"),
        uses=("symmetry.key-value-invariance",),
        holds=_equivariant,
    )
)
def equivariance() -> Iterator[Step]:
    moved, still = reordered_rows(X), entries(X)
    yield Step(
        sp.Sum(moved(i, w) * W[w, e], (w, 1, d)),
        "=",
        swapped(lambda row: sp.Sum(X[row, w] * W[w, e], (w, 1, d)), i),
        "a projection acts on each row by itself, so swapping two tokens swaps their two projected rows",
    )
    yield Step(
        sp.Sum(moved(i, a) * M[a, b] * moved(j, b), (a, 1, d), (b, 1, d)),
        "=",
        swapped(lambda row: swapped(lambda at: sp.Sum(X[row, a] * M[a, b] * X[at, b], (a, 1, d), (b, 1, d)), j), i),
        "the score matrix has its rows swapped and its columns swapped",
    )
    yield Step(
        self_attention(moved)(i),
        "=",
        swapped(self_attention(still), i),
        "the swapped columns meet the swapped values, and both sums run over all keys, so only the swap of the rows is left",
    )


@derived(
    Claim(
        id="symmetry.pooled-invariance",
        title="A sum over the outputs of self-attention does not depend on the order",
        states="Order does not matter to the sum of self-attention's outputs.",
        precise=r"$\sum_i \mathrm{Att}(\Pi X)_i = \sum_i (\Pi\,\mathrm{Att}(X))_i = \sum_i \mathrm{Att}(X)_i$ for every permutation matrix $\Pi$: the first equality "
        r"is equivariance, the second is derived here.",
        sources=(S1.at("Self-Attention (Intra-Attention)"),),
        scope="every length n, every width, every real X, M, W_V; unmasked; derived for a swap of two positions, of which every permutation is a product",
        uses=("symmetry.self-attention-equivariance",),
        holds=_pooled,
    )
)
def pooled() -> Iterator[Step]:
    still = self_attention(entries(X))
    yield Step(
        sp.Sum(swapped(still, i), (i, 1, n)),
        "=",
        sp.Sum(still(i), (i, 1, n)),
        "by equivariance the outputs for the swapped tokens are the swapped outputs, and a sum over all rows takes both of them",
    )


def _content(scores: Sequence[int], values: Sequence[int], order: Sequence[int]) -> Outcome:
    before, after = exact.softmax(scores), exact.softmax(reordered(scores, order))
    output = [sum((p * u for p, u in zip(*pair, strict=True)), arb(0)) for pair in ((before, values), (after, reordered(values, order)))]
    return Outcome.worst([exact.equal(after, reordered(before, order)), exact.equal(output[0], output[1])])


@derived(
    Claim(
        id="symmetry.content-based-weights",
        title="Reordering key-value pairs permutes the weights and keeps the output",
        states="In content-based attention the weights depend on the similarity of query and keys: where a pair of key and value stands does not matter.",
        precise=r"If $s_j=\mathrm{sim}(q,k_j)$ for any function $\mathrm{sim}$, then reordering the pairs $(k_j,v_j)$ reorders $\alpha$ in the same way "
        r"and leaves $\sum_j\alpha_jv_j$ as it was.",
        sources=(S0.at("Content-Based Attention"),),
        scope="one query, every number n of pairs, every real score and value; derived for a swap of two pairs, of which every permutation is a product",
        inventory=("C063",),
        holds=_content,
    )
)
def content_based_weights() -> Iterator[Step]:
    def weight(score: Entry, at: sp.Expr) -> sp.Expr:
        return sp.exp(score(at)) / sp.Sum(sp.exp(score(z)), (z, 1, n))

    moved, still = reordered_rows(s), entries(s)
    yield Step(
        sp.Sum(sp.exp(moved(z)), (z, 1, n)),
        "=",
        sp.Sum(sp.exp(s[z]), (z, 1, n)),
        "the normaliser runs over all pairs, in whichever order",
    )
    yield Step(
        weight(moved, i),
        "=",
        swapped(lambda at: weight(still, at), i),
        "each weight is its own exponential over the same normaliser, so the weights move with the keys",
    )
    yield Step(
        weighted(moved, reordered_rows(v)),
        "=",
        weighted(still, entries(v)),
        "weights and values moved together, and the sum runs over all of them",
    )


def _forgets_pairs(queries: Whole, keys: Whole, values: Whole, key_order: Sequence[int], query_order: Sequence[int]) -> Outcome:
    after = exact.attention(queries, reordered(keys, key_order), reordered(values, key_order))
    return exact.equal(after, exact.attention(queries, keys, values))


def _follows_queries(queries: Whole, keys: Whole, values: Whole, key_order: Sequence[int], query_order: Sequence[int]) -> Outcome:
    after = exact.attention(reordered(queries, query_order), keys, values)
    return exact.equal(after, reordered(exact.attention(queries, keys, values), query_order))


@derived(
    Claim(
        id="symmetry.key-value-invariance",
        title="Cross-attention does not see the order of its key-value pairs",
        states="Keys and values come from another sequence, of any length. (Implied: no position enters, and so their order does not matter.)",
        precise=r"$\mathrm{Att}(Q, \Pi K, \Pi V) = \mathrm{Att}(Q, K, V)$ for every permutation matrix $\Pi$ of the n keys; $Q$ has m rows, and m ≠ n is allowed.",
        sources=(S1.at("Cross-Attention (Inter-Attention)"), S3.at("Cross-Attention"), S4.at("Cross-Attention")),
        scope="every m, n, d, d_v, every real Q, K, V and scale c; unmasked; derived for a swap of two pairs, of which every permutation is a product",
        inventory=("C172",),
        holds=_forgets_pairs,
    )
)
def key_value_invariance() -> Iterator[Step]:
    yield Step(
        cross(entries(Q), reordered_rows(K), reordered_rows(V))(r),
        "=",
        cross(entries(Q), entries(K), entries(V))(r),
        "the score of a pair moves with its value, and numerator and normaliser run over all pairs",
    )


@derived(
    Claim(
        id="symmetry.query-equivariance",
        title="Cross-attention answers each query by itself",
        states="Queries come from one sequence, which may be longer or shorter than the other. (Implied: the outputs follow the order and number of the "
        "queries.)",
        precise=r"$\mathrm{Att}(\Pi Q, K, V) = \Pi\,\mathrm{Att}(Q, K, V)$ for every permutation matrix $\Pi$ of the m queries: the output has m rows of width $d_v$.",
        sources=(S1.at("Cross-Attention (Inter-Attention)"), S3.at("Cross-Attention"), S4.at("Cross-Attention")),
        scope="every m, n, d, d_v, every real Q, K, V and scale c; unmasked; derived for a swap of two queries, of which every permutation is a product",
        inventory=("C172",),
        holds=_follows_queries,
    )
)
def query_equivariance() -> Iterator[Step]:
    def moved(row: sp.Expr, feature: sp.Expr) -> sp.Expr:
        return swapped(entries(Q), row, feature, one=t, other=u)

    answer = cross(entries(Q), entries(K), entries(V))
    yield Step(
        cross(moved, entries(K), entries(V))(r),
        "=",
        swapped(answer, r, one=t, other=u),
        "row r of the output reads no query but row r, so the rows of the output are swapped as those of Q are",
    )


def _asymmetric(x: int, gaps: Sequence[int], length: int) -> Outcome:
    first, second = [[x]] * length, [[x + gap] for gap in gaps]
    forward, backward = exact.attention(first, second, second), exact.attention(second, first, first)
    return exact.decided(all(there[0] > here[0] for there in forward for here in backward))


@derived(
    Claim(
        id="symmetry.cross-attention-asymmetry",
        title="Cross-attention treats its two sequences differently",
        states="Cross-attention is asymmetric: queries come from one sequence, keys and values from the other.",
        reading="Exchanging the sequences changes the result. One family of pairs of sequences, of all lengths, settles it.",
        precise=r"With width 1 and all projections 1, let every token of $X$ equal $x>0$ and every token of $Y$ be larger, $x+y_j$ with $y_j>0$. Then "
        r"$\mathrm{Att}(Y,X) < \mathrm{Att}(X,Y)$ in every entry, so that $\mathrm{Att}(X,Y)\ne\mathrm{Att}(Y,X)$ even where both have the same shape.",
        sources=(S1.at("Cross-Attention (Inter-Attention)"),),
        scope="every pair of lengths m, n ≥ 1, every x > 0 and y_j > 0",
        inventory=("C172",),
        holds=_asymmetric,
    )
)
def asymmetry() -> Iterator[Step]:
    forward = weighted(lambda at: x * (x + y[at]), lambda at: x + y[at])
    backward = weighted(lambda at: (x + y[k]) * x, lambda at: x, length=m)
    yield Step(backward, "=", x, "values that are all x average to x, whatever the weights")
    excess = weighted(lambda at: x * y[at], lambda at: y[at])
    yield Step(forward - x, "=", excess, "the weights sum to one, so x comes out; exp(x²) cancels between numerator and normaliser")
    yield Step(backward, "<", forward, "a weighted mean of the positive y_j is positive", certificate=excess)


def _same_token_same_output(tokens: Whole, W_Q: Whole, W_K: Whole, W_V: Whole, one: int, other: int) -> Outcome:
    repeated = [tokens[one] if place == other else row for place, row in enumerate(tokens)]
    rows = attended(repeated, W_Q, W_K, W_V)
    return exact.equal(rows[one], rows[other])


@derived(
    Claim(
        id="symmetry.identical-tokens",
        title="Equal tokens get equal outputs",
        states="(Implied, where order does not matter without positional encoding.) Nothing tells two occurrences of a token apart.",
        precise=r"If rows $k$ and $l$ of $X$ are equal, then rows $k$ and $l$ of $\mathrm{Att}(X)$ are equal.",
        sources=(S1.at("Self-Attention (Intra-Attention)"),),
        scope="unmasked self-attention, every length n and width, every real M and W_V, every X that repeats row k at l",
        inventory=("C174",),
        holds=_same_token_same_output,
    )
)
def identical_tokens() -> Iterator[Step]:
    def token(row: sp.Expr, feature: sp.Expr) -> sp.Expr:
        return X[row, feature] + sp.KroneckerDelta(row, l) * (X[k, feature] - X[l, feature])

    yield Step(token(k, b), "=", token(l, b), "row l is overwritten with a copy of row k, the other rows are arbitrary")
    yield Step(self_attention(token)(k), "=", self_attention(token)(l), "equal queries give equal scores against the same keys, hence equal averages")


def _constant_causal(token: Sequence[int], length: int, W_Q: Whole, W_K: Whole, W_V: Whole) -> Outcome:
    tokens = [token] * length
    visible = [[j <= i for j in range(length)] for i in range(length)]
    rows = exact.attention(product(tokens, W_Q), product(tokens, W_K), product(tokens, W_V), visible=visible)
    return Outcome.worst([exact.equal(row, product([token], W_V)[0]) for row in rows])


@derived(
    Claim(
        id="symmetry.identical-tokens-causal",
        title="A causal mask alone cannot tell positions of a constant sequence apart",
        states="(Not in the text, by which order does not matter without positional encoding.) A sequence that repeats one token gets the same output "
        "everywhere, under a causal mask too.",
        precise=r"If all rows of $X$ equal $x$, then under a causal mask every row of the output is $x W_V$.",
        sources=(S1.at("Self-Attention (Intra-Attention)"),),
        scope="every length and width, every real x, M and W_V; row i sees positions 1 to i",
        inventory=("C174",),
        holds=_constant_causal,
    )
)
def identical_tokens_causal() -> Iterator[Step]:
    score = sp.Sum(X[1, a] * M[a, b] * X[1, b], (a, 1, d), (b, 1, d))
    value = sp.Sum(X[1, w] * W[w, e], (w, 1, d))
    yield Step(
        sp.Sum(sp.exp(score), (z, 1, i)),
        "=",
        i * sp.exp(score),
        "row i sees i equal keys",
    )
    yield Step(
        weighted(lambda at: score, lambda at: value, length=i),
        "=",
        value,
        "an average of equal values is that value, however many of them a row sees",
    )


def _told_apart(length: int, position: int) -> Outcome:
    tokens = [[position if place == 0 else 0] for place in range(length)]
    rows = exact.attention(tokens, tokens, tokens)
    return exact.decided(bool(rows[0][0] != rows[1][0]))


@derived(
    Claim(
        id="symmetry.positions-break-equivariance",
        title="Positions added to the tokens can break the symmetry",
        states="Position encodings inject the order of a sequence and break permutation equivariance when that is needed.",
        reading="There are positions for which X ↦ Att(X + P) is not equivariant. (It is not so for all projections: with M = 0 and W_V = 0 nothing can be seen.)",
        precise=r"Let n ≥ 2 equal tokens be 0 (width 1, all projections 1), and add $p>0$ at position 1 and 0 elsewhere. An equivariant map would give all positions "
        r"the same output; here position 1 gets $pe^{p^2}/(e^{p^2}+n-1)$ and every other position the strictly smaller $p/n$.",
        sources=(S0.at("Universal Approximation"), S1.at("Building on Yesterday's Foundation"), S4.at("The Transformer Architecture")),
        scope="every length n = N + 1 ≥ 2 and every p > 0; a statement of existence, so one family is enough",
        inventory=("C175",),
        uses=("symmetry.identical-tokens",),
        holds=_told_apart,
    )
)
def positions() -> Iterator[Step]:
    def token(at: sp.Expr) -> sp.Expr:
        return p * sp.KroneckerDelta(at, k)

    def answer(query: sp.Expr) -> sp.Expr:
        return weighted(lambda at: query * token(at), token)

    first, others = p * sp.exp(p**2) / (sp.exp(p**2) + n - 1), p / n
    yield Step(answer(p), "=", first, "the marked query scores p² at the marked key and 0 at the n − 1 others")
    yield Step(answer(sp.Integer(0)), "=", others, "a query of 0 scores 0 everywhere, so it averages evenly")
    gap = (first - others).subs(n, N + 1)
    growth = p * N * (sp.exp(p**2) - 1) / ((N + 1) * (sp.exp(p**2) + N))
    yield Step(gap, "=", growth, "over one denominator, with n = N + 1")
    yield Step(others.subs(n, N + 1), "<", first.subs(n, N + 1), "exp(p²) > 1", certificate=growth)
