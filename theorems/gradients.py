"""Gradients of attention: the backward pass of O = P V, P = softmax(c Q Kᵀ), and the size of the Jacobian of softmax.

Every gradient is that of the loss Σ G∘O with the cotangent G = ∂L/∂O held fixed; by the chain rule it is the gradient of any loss
that sees the inputs only through O. The derivations differentiate for symbolic sizes: m queries, n keys, widths d and d_v. The exact
checks differentiate a second way, by carrying a first-order Taylor coefficient forward through every operation (`_slopes`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import sympy as sp
from flint import arb, arb_series, ctx

from theorems import exact
from theorems.claim import Claim, derived
from theorems.exact import Matrix, Number
from theorems.outcome import Outcome
from theorems.sources import DAO, KIM, S1, S2, S4
from theorems.step import Step
from theorems.symbols import G, K, P, Q, S, V, a, b, c, d, e, f, i, j, k, l, n, r, s, t, total

u = sp.Symbol("u", integer=True, positive=True)  # a third index of query rows
g = sp.Symbol("g", integer=True, positive=True)  # a third index of token features
o = sp.Symbol("o", integer=True, positive=True)  # a fifth index of keys
x = sp.IndexedBase("x", real=True)  # a direction in score space, x[j]
X = sp.IndexedBase("X", real=True)  # tokens, X[j, a]
A = sp.IndexedBase("A", real=True)  # c W_Q W_Kᵀ of a self-attention layer, A[a, b]
W = sp.IndexedBase("W", real=True)  # its value projection, W[a, e]
half, quarter = sp.Rational(1, 2), sp.Rational(1, 4)

# --- the same quantities in symbols ---------------------------------------------------------------------------------------------


def _over(body: sp.Expr, *indices: sp.Symbol) -> sp.Expr:
    """The sum of `body` over the whole range of each index."""
    for index in indices:
        body = total(body, index)
    return body


def _weight(row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    """softmax(S) at [row, key]."""
    return sp.exp(S[row, key]) / total(sp.exp(S[row, k]), k)


def _score(row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    """c Q Kᵀ at [row, key]."""
    return c * total(Q[row, b] * K[key, b], b)


def _attention_weight(row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    """softmax(c Q Kᵀ) at [row, key]."""
    return sp.exp(_score(row, key)) / total(sp.exp(_score(row, k)), k)


def _weight_cotangent(row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    """∂L/∂P at [row, key]: Σ_e G[row, e] V[key, e]."""
    return total(G[row, e] * V[key, e], e)


def _score_cotangent(weight: Callable[[sp.Symbol, sp.Symbol], sp.Expr], row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    """P∘(∂L/∂P − rowsum(P∘∂L/∂P)) at [row, key]."""
    return weight(row, key) * (_weight_cotangent(row, key) - total(weight(row, i) * _weight_cotangent(row, i), i))


def _loss(weight: Callable[[sp.Symbol, sp.Symbol], sp.Expr]) -> sp.Expr:
    """Σ G∘(P V)."""
    return _over(G[t, f] * weight(t, l) * V[l, f], f, l, t)


def _free_weight(row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    return P[row, key]


# --- the same quantities on exact inputs ------------------------------------------------------------------------------------------

Series = list[list[arb_series]]
Given = Sequence[Sequence[object]]  # numbers or series


def _lifted(matrix: Sequence[Sequence[object]]) -> Series:
    """Every entry as a Taylor series of two terms."""
    return [[y if isinstance(y, arb_series) else arb_series([exact.ball(y)]) for y in row] for row in matrix]  # type: ignore[arg-type]


def _loss_of_weights(weights: Series, V: Given, G: Given) -> arb_series:
    """Σ G∘(P V). Shapes: P [m, n], V [n, e], G [m, e]."""
    entries = (p * v * y for ps, ys in zip(weights, _lifted(G), strict=True) for p, vs in zip(ps, _lifted(V), strict=True) for v, y in zip(vs, ys, strict=True))
    return sum(entries, arb_series([0]))


def _softmax_series(scores: Series) -> Series:
    exponentials = [[y.exp() for y in row] for row in scores]
    return [[y / sum(row, arb_series([0])) for y in row] for row in exponentials]


def _score_series(Q: Given, K: Given, scale: Number) -> Series:
    return [[sum((x * y for x, y in zip(q, key, strict=True)), arb_series([0])) * exact.ball(scale) for key in _lifted(K)] for q in _lifted(Q)]


def _slopes(value: Callable[[Series], arb_series], at: Sequence[Sequence[object]]) -> list[list[arb]]:
    """The derivative of `value` in each entry of the matrix `at`, by forward differentiation in balls."""
    ctx.cap = 2
    slopes = []
    for row in range(len(at)):
        nudged = []
        for column in range(len(at[row])):
            series = _lifted(at)
            series[row][column] = arb_series([exact.ball(at[row][column]), 1])  # type: ignore[arg-type]
            nudged.append(value(series)[1])
        slopes.append(nudged)
    return slopes


def _transposed_product(left: Matrix, right: Matrix) -> list[list[arb]]:
    """leftᵀ right. Shapes: [m, n], [m, e] → [n, e]."""
    pairs = [(list(map(exact.ball, x)), list(map(exact.ball, y))) for x, y in zip(left, right, strict=True)]
    return [[sum((x[row] * y[column] for x, y in pairs), arb(0)) for column in range(len(right[0]))] for row in range(len(left[0]))]


def _product(left: Matrix, right: Matrix) -> list[list[arb]]:
    """left right. Shapes: [m, n], [n, e] → [m, e]."""
    return _transposed_product(list(zip(*left, strict=True)), right)


def _cotangents(S: Matrix, V: Matrix, G: Matrix) -> tuple[list[list[arb]], list[list[arb]], list[list[arb]]]:
    """P = softmax(S), ∂L/∂P = G Vᵀ, and ∂L/∂S by the closed form. Shapes: each [m, n]."""
    weights = [exact.softmax(row) for row in S]
    upstream = _product(G, list(zip(*V, strict=True)))
    deltas = [sum((p * y for p, y in zip(ps, ys, strict=True)), arb(0)) for ps, ys in zip(weights, upstream, strict=True)]
    return weights, upstream, [[p * (y - delta) for p, y in zip(ps, ys, strict=True)] for ps, ys, delta in zip(weights, upstream, deltas, strict=True)]


def _scaled(matrix: Matrix, by: Number) -> list[list[arb]]:
    return [[exact.ball(y) * exact.ball(by) for y in row] for row in matrix]


# --- the backward pass ----------------------------------------------------------------------------------------------------------


def _values_hold(Q: Matrix, K: Matrix, V: Matrix, G: Matrix, scale: Number) -> Outcome:
    weights = [exact.softmax(row) for row in exact.scores(Q, K, scale)]
    return exact.equal(_slopes(lambda values: _loss_of_weights(_lifted(weights), values, G), V), _transposed_product(weights, G))


@derived(
    Claim(
        id="gradients.values",
        title="The gradient in the values is Pᵀ times the cotangent",
        states="For O = P V, the loss gradient in the values is obtained by sending each output's gradient back along its weights.",
        precise=r"$\partial L/\partial V = P^\top\,\partial L/\partial O$: entry by entry $\sum_r P_{rj}\,\partial L/\partial O_{re}$.",
        sources=(DAO.at("Appendix, memory-efficient backward pass"),),
        scope="any m, n, d_v; any real weights P (they need not come from softmax)",
        holds=_values_hold,
    )
)
def values() -> Iterator[Step]:
    yield Step(
        sp.Derivative(_loss(_free_weight), V[j, e]),
        "=",
        total(P[r, j] * G[r, e], r),
        "V[j, e] occurs in output row r only in the term P[r, j] V[j, e] of column e.",
    )


def _weights_hold(Q: Matrix, K: Matrix, V: Matrix, G: Matrix, scale: Number) -> Outcome:
    weights = [exact.softmax(row) for row in exact.scores(Q, K, scale)]
    return exact.equal(_slopes(lambda p: _loss_of_weights(p, V, G), weights), _product(G, list(zip(*V, strict=True))))


@derived(
    Claim(
        id="gradients.weights",
        title="The gradient in one attention weight is the output's gradient dotted with that key's value",
        states="The loss gradient in the weight that query i gives to key j is Σ_k (∂L/∂o_ik) v_jk, the inner product of ∂L/∂o_i and v_j.",
        reading="The weights are independent variables here, as they are for the rest of the backward pass; that each row sums to one enters with "
        "softmax, one step later.",
        precise=r"$\partial L/\partial P_{rj} = \sum_e (\partial L/\partial O_{re})\,V_{je}$, that is $\partial L/\partial P = (\partial L/\partial "
        r"O)\,V^\top$.",
        sources=(S2.at("Theoretical Properties"), S2.at("Gradient Flow Analysis")),
        scope="any m, n, d_v; the loss depends on P only through O = P V; P unconstrained",
        inventory=("C238",),
        holds=_weights_hold,
    )
)
def weights() -> Iterator[Step]:
    yield Step(
        sp.Derivative(_loss(_free_weight), P[r, j]),
        "=",
        _weight_cotangent(r, j),
        "The weight P[r, j] multiplies V[j, e] in output O[r, e] for every e, and occurs nowhere else.",
    )


def _scores_hold(Q: Matrix, K: Matrix, V: Matrix, G: Matrix, scale: Number) -> Outcome:
    S = exact.scores(Q, K, scale)
    return exact.equal(_slopes(lambda scores: _loss_of_weights(_softmax_series(scores), V, G), S), _cotangents(S, V, G)[2])


@derived(
    Claim(
        id="gradients.scores",
        title="The gradient in the scores: P∘(∂L/∂P − rowsum(P∘∂L/∂P))",
        states="The backward pass of a softmax row needs the weights, their gradient, and one number a row.",
        precise=r"With $\mathrm{d}P = \partial L/\partial P$ and $P = \mathrm{softmax}(S)$: $\partial L/\partial S_{rj} = "
        r"P_{rj}\,\bigl(\mathrm{d}P_{rj} - \sum_i P_{ri}\,\mathrm{d}P_{ri}\bigr)$.",
        sources=(DAO.at("Appendix, memory-efficient backward pass"),),
        scope="any m, n, d_v; real scores",
        uses=("gradients.weights",),
        holds=_scores_hold,
    )
)
def scores() -> Iterator[Step]:
    jacobian = sp.KroneckerDelta(r, t) * _weight(r, l) * (sp.KroneckerDelta(j, l) - _weight(r, j))
    yield Step(sp.Derivative(_weight(t, l), S[r, j]), "=", jacobian, "The quotient rule; rows other than r do not contain S[r, j].")
    yield Step(
        sp.Derivative(_loss(_weight), S[r, j]),
        "=",
        _score_cotangent(_weight, r, j),
        "Sum the Jacobian against ∂L/∂P: the delta keeps one term, and the rest is the row's average of ∂L/∂P under its own weights.",
    )


def _delta_holds(Q: Matrix, K: Matrix, V: Matrix, G: Matrix, scale: Number) -> Outcome:
    weights, upstream, _ = _cotangents(exact.scores(Q, K, scale), V, G)
    output = exact.attention(Q, K, V, scale)
    from_weights = [sum((p * y for p, y in zip(ps, ys, strict=True)), arb(0)) for ps, ys in zip(weights, upstream, strict=True)]
    from_output = [sum((o * exact.ball(y) for o, y in zip(os, ys, strict=True)), arb(0)) for os, ys in zip(output, G, strict=True)]
    return exact.equal(from_weights, from_output)


@derived(
    Claim(
        id="gradients.delta-from-output",
        title="The row sum of P∘∂L/∂P equals the row sum of O∘∂L/∂O",
        states="The one number a row that the backward pass needs can be had from the output and its gradient, without the weights.",
        precise=r"$\sum_j P_{rj}\,\mathrm{d}P_{rj} = \sum_e O_{re}\,\partial L/\partial O_{re}$ with $O = PV$ and $\mathrm{d}P = (\partial L/\partial "
        r"O)V^\top$.",
        sources=(DAO.at("Appendix, memory-efficient backward pass"),),
        scope="any m, n, d_v; any real weights",
        uses=("gradients.weights",),
        holds=_delta_holds,
    )
)
def delta_from_output() -> Iterator[Step]:
    yield Step(
        total(P[r, j] * _weight_cotangent(r, j), j),
        "=",
        total(total(P[r, l] * V[l, f], l) * G[r, f], f),
        "Both are the double sum of P[r, j] V[j, e] ∂L/∂O[r, e] over keys and value features; only the order of summation differs.",
    )


def _queries_hold(Q: Matrix, K: Matrix, V: Matrix, G: Matrix, scale: Number) -> Outcome:
    forward = _slopes(lambda queries: _loss_of_weights(_softmax_series(_score_series(queries, K, scale)), V, G), Q)
    return exact.equal(forward, _scaled(_product(_cotangents(exact.scores(Q, K, scale), V, G)[2], K), scale))


@derived(
    Claim(
        id="gradients.queries",
        title="The gradient in the queries is c · ∂L/∂S · K",
        states="The gradient in the queries is the gradient in the scores times the keys, times the scale.",
        precise=r"$\partial L/\partial Q = c\,(\partial L/\partial S)\,K$ with $S = c\,QK^\top$ and $\partial L/\partial S = P\circ(\mathrm{d}P - "
        r"\mathrm{rowsum}(P\circ\mathrm{d}P))$.",
        sources=(DAO.at("Appendix, memory-efficient backward pass"),),
        scope="any m, n, d, d_v; any real scale c; no mask",
        uses=("gradients.scores",),
        holds=_queries_hold,
    )
)
def queries() -> Iterator[Step]:
    yield Step(sp.Derivative(_score(t, l), Q[r, a]), "=", c * sp.KroneckerDelta(r, t) * K[l, a], "A score is linear in its query.")
    yield Step(
        sp.Derivative(_loss(_attention_weight), Q[r, a]),
        "=",
        c * total(_score_cotangent(_attention_weight, r, j) * K[j, a], j),
        "The gradient in each score of row r, times what Q[r, a] does to that score.",
    )


def _keys_hold(Q: Matrix, K: Matrix, V: Matrix, G: Matrix, scale: Number) -> Outcome:
    forward = _slopes(lambda keys: _loss_of_weights(_softmax_series(_score_series(Q, keys, scale)), V, G), K)
    return exact.equal(forward, _scaled(_transposed_product(_cotangents(exact.scores(Q, K, scale), V, G)[2], Q), scale))


@derived(
    Claim(
        id="gradients.keys",
        title="The gradient in the keys is c · (∂L/∂S)ᵀ · Q",
        states="The gradient in the keys is the transposed gradient in the scores times the queries, times the scale.",
        precise=r"$\partial L/\partial K = c\,(\partial L/\partial S)^\top Q$ with $S = c\,QK^\top$ and $\partial L/\partial S = P\circ(\mathrm{d}P - "
        r"\mathrm{rowsum}(P\circ\mathrm{d}P))$.",
        sources=(DAO.at("Appendix, memory-efficient backward pass"),),
        scope="any m, n, d, d_v; any real scale c; no mask",
        uses=("gradients.scores",),
        holds=_keys_hold,
    )
)
def keys() -> Iterator[Step]:
    yield Step(sp.Derivative(_score(r, l), K[j, a]), "=", c * sp.KroneckerDelta(j, l) * Q[r, a], "A score is linear in its key.")
    yield Step(
        sp.Derivative(_loss(_attention_weight), K[j, a]),
        "=",
        c * total(_score_cotangent(_attention_weight, r, j) * Q[r, a], r),
        "Key j enters one score of every row; add up what each row sends back.",
    )


# --- the chain of three factors ---------------------------------------------------------------------------------------------------


def _chain_holds(Q: Matrix, K: Matrix, V: Matrix, G: Matrix, scale: Number) -> Outcome:
    """The three Jacobians, entry by entry and summed over all entries of A and of S, against forward differentiation."""
    forward = _slopes(lambda queries: _loss_of_weights(_softmax_series(_score_series(queries, K, scale)), V, G), Q)
    weights, upstream, _ = _cotangents(exact.scores(Q, K, scale), V, G)
    rows, keys, features = range(len(Q)), range(len(K)), range(len(Q[0]))

    def middle(row: int, key: int, other_row: int, other: int) -> arb:
        """∂A[row, key]/∂S[other_row, other] of A = softmax(c S)."""
        return exact.ball(scale) * weights[row][key] * (int(key == other) - weights[row][other]) * int(row == other_row)

    def last(row: int, key: int, query: int, feature: int) -> arb:
        """∂S[row, key]/∂Q[query, feature] of S = Q Kᵀ."""
        return exact.ball(K[key][feature]) * int(row == query)

    entries = list(product(rows, keys))
    chained = [[sum((upstream[t][l] * middle(t, l, u, k) * last(u, k, r, a) for t, l in entries for u, k in entries), arb(0)) for a in features] for r in rows]
    return exact.equal(forward, chained)


def _grid(matrix: Matrix) -> str:
    return "[" + ", ".join("[" + ", ".join(exact.show(y) for y in row) + "]" for row in matrix) + "]"


@derived(
    Claim(
        id="gradients.chain-rule",
        title="∂L/∂Q as a product of three Jacobians",
        states="The whole gradient in the queries is the product ∂L/∂A · ∂A/∂S · ∂S/∂Q.",
        reading="The chain rule: each factor is the Jacobian of flattened matrices (∂A/∂S and ∂S/∂Q have four indices), and each dot is a sum over all "
        "entries of the matrix between.",
        precise=r"$\dfrac{\partial L}{\partial Q_{ra}} = \sum_{t,l}\sum_{u,k} \dfrac{\partial L}{\partial A_{tl}}\,\dfrac{\partial A_{tl}}{\partial "
        r"S_{uk}}\,\dfrac{\partial S_{uk}}{\partial Q_{ra}}$ "
        r"with $S = QK^\top$, $A = \mathrm{softmax}(cS)$, so that $c$ sits in $\partial A/\partial S$.",
        sources=(S2.at("Gradient Flow Analysis"),),
        scope="any m, n, d, d_v; any real scale c. A remark: multiplied entry by entry, as matrices of the shape of A, the first two factors would leave "
        "out that raising one score lowers every "
        "other weight of its row, and give another gradient (see gradients.scores)",
        inventory=("C239",),
        uses=("gradients.queries",),
        holds=_chain_holds,
    )
)
def chain_rule() -> Iterator[Step]:
    sharp = sp.exp(c * S[t, l]) / total(sp.exp(c * S[t, i]), i)
    other = sp.exp(c * S[t, k]) / total(sp.exp(c * S[t, i]), i)
    yield Step(
        sp.Derivative(sharp, S[u, k]),
        "=",
        c * sp.KroneckerDelta(t, u) * sharp * (sp.KroneckerDelta(k, l) - other),
        "The middle factor has four indices: a score moves every weight of its row, and no other row.",
    )
    yield Step(
        sp.Derivative(total(Q[u, b] * K[k, b], b), Q[r, a]), "=", sp.KroneckerDelta(r, u) * K[k, a], "The last factor: a query moves its own row of scores."
    )
    weight = _attention_weight(t, l)
    middle = c * sp.KroneckerDelta(t, u) * weight * (sp.KroneckerDelta(k, l) - sp.exp(_score(t, k)) / total(sp.exp(_score(t, i)), i))
    yield Step(
        sp.Derivative(_loss(_attention_weight), Q[r, a]),
        "=",
        _chained(_weight_cotangent(t, l) * middle * sp.KroneckerDelta(r, u) * K[k, a]),
        "Summed over all entries of A and of S, the three factors give the gradient.",
    )


def _chained(body: sp.Expr) -> sp.Expr:
    """Sum over every entry of S, then of A (rows u and t run over 1..m)."""
    rows = sp.Symbol("m", integer=True, positive=True)
    return sp.Sum(total(total(sp.Sum(body, (u, 1, rows)), k), l), (t, 1, rows))


# --- how large is the Jacobian of softmax -----------------------------------------------------------------------------------------


def _row_weight(key: sp.Symbol) -> sp.Expr:
    """One weight of a softmax row with scores s."""
    return sp.exp(s[key]) / total(sp.exp(s[k]), k)


def _quadratic_form() -> sp.Expr:
    """xᵀ (diag(p) − p pᵀ) x: the variance of x under the weights."""
    mean = total(_row_weight(j) * x[j], j)
    return total(_row_weight(j) * x[j] ** 2, j) - mean**2


def _distinct(body: sp.Expr) -> sp.Expr:
    """Σ over pairs i ≠ j, written with a factor that is 0 at i = j and 1 elsewhere, and evidently not negative."""
    return _over((1 - sp.KroneckerDelta(i, j)) ** 2 * body, i, j)


def _norm_holds(scores: Sequence[int], direction: Sequence[int]) -> Outcome:
    p = exact.softmax(scores)
    image = [p[row] * (x - sum((p[col] * y for col, y in enumerate(direction)), arb(0))) for row, x in enumerate(direction)]
    return exact.at_most([4 * sum((y * y for y in image), arb(0))], [sum((exact.ball(x * x) for x in direction), arb(0))])


@derived(
    Claim(
        id="gradients.jacobian-norm",
        title="The Jacobian of softmax never has spectral norm above one half",
        states="(Implied, where texts ask what makes gradients vanish or explode.) Softmax alone cannot make a gradient grow: its Jacobian is bounded.",
        precise=r"$0 \le x^\top(\mathrm{diag}(p) - pp^\top)x \le \tfrac12\,\lVert x\rVert^2$ for $p = \mathrm{softmax}(s)$; the matrix is symmetric, so "
        r"its spectral norm is at most $\tfrac12$.",
        sources=(S2.at("Theoretical Properties"), S1.at("Gradient Flow")),
        scope="any n ≥ 1, real scores",
        inventory=("C240",),
        holds=_norm_holds,
    )
)
def jacobian_norm() -> Iterator[Step]:
    pairs = _distinct(_row_weight(i) * _row_weight(j) * (x[i] - x[j]) ** 2) / 2
    yield Step(sp.Integer(0), "<=", _quadratic_form(), "The quadratic form is a variance: half the weighted sum of squared differences.", certificate=pairs)
    spread = 2 * total(_row_weight(j) * (1 - _row_weight(j)) * x[j] ** 2, j)
    sums = _distinct(_row_weight(i) * _row_weight(j) * (x[i] + x[j]) ** 2) / 2
    yield Step(_quadratic_form(), "<=", spread, "Replace each squared difference by 2x_i² + 2x_j², which is larger by a square.", certificate=sums)
    yield Step(_row_weight(j) * (1 - _row_weight(j)), "<=", quarter, "p(1 − p) is largest at one half.", certificate=(half - _row_weight(j)) ** 2)
    yield Step(
        _quadratic_form(),
        "<=",
        total(x[j] ** 2, j) / 2,
        "Put the two together: twice a quarter of each square.",
        certificate=sums + 2 * total((half - _row_weight(j)) ** 2 * x[j] ** 2, j),
    )


def _one_hot_holds(scores: Sequence[int], direction: Sequence[int]) -> Outcome:
    p = exact.softmax(scores)
    mean = sum((y * x for y, x in zip(p, direction, strict=True)), arb(0))
    variance = sum((y * (x - mean) * (x - mean) for y, x in zip(p, direction, strict=True)), arb(0))
    return exact.at_most([variance], [(1 - sum((y * y for y in p), arb(0))) * sum((exact.ball(x * x) for x in direction), arb(0))])


@derived(
    Claim(
        id="gradients.jacobian-near-one-hot",
        title="The Jacobian of softmax vanishes as the row becomes one-hot",
        states="(Implied, where texts ask what makes gradients vanish or explode.) A saturated row passes hardly any gradient to its scores.",
        precise=r"$x^\top(\mathrm{diag}(p) - pp^\top)x \le \bigl(1 - \sum_j p_j^2\bigr)\,\lVert x\rVert^2$; the factor tends to 0 as $p$ tends to a "
        r"one-hot row.",
        sources=(S2.at("Theoretical Properties"), S1.at("Gradient Flow")),
        scope="any n ≥ 1, real scores",
        inventory=("C240",),
        holds=_one_hot_holds,
    )
)
def jacobian_near_one_hot() -> Iterator[Step]:
    squares = total(x[l] ** 2, l)
    others = 2 * total((1 - sp.KroneckerDelta(i, l)) ** 2 * (1 - sp.KroneckerDelta(j, l)) ** 2 * x[l] ** 2, l)
    pairs = _distinct(_row_weight(i) * _row_weight(j) * ((x[i] + x[j]) ** 2 + others)) / 2
    yield Step(
        _quadratic_form(),
        "<=",
        (1 - total(_row_weight(j) ** 2, j)) * squares,
        "For i ≠ j, (x_i − x_j)² is at most twice the squared length; the weights of all such pairs add up to 1 − Σ p².",
        certificate=pairs,
    )


def _entries_hold(scores: Sequence[int]) -> Outcome:
    p = exact.softmax(scores)
    entries = [abs(p[row] * (int(row == column) - p[column])) for row in range(len(p)) for column in range(len(p))]
    return exact.at_most(entries, [arb(1) / 4] * len(entries))


@derived(
    Claim(
        id="gradients.jacobian-entries",
        title="No entry of the Jacobian of softmax exceeds one quarter",
        states="(Implied, where texts ask what makes gradients vanish or explode.) Each single derivative of a weight in a score is at most one quarter.",
        precise=r"$\lvert\partial p_i/\partial s_j\rvert = \lvert p_i(\delta_{ij} - p_j)\rvert \le \tfrac14$.",
        sources=(S2.at("Theoretical Properties"), S1.at("Gradient Flow")),
        scope="any n ≥ 1, real scores",
        inventory=("C240",),
        holds=_entries_hold,
    )
)
def jacobian_entries() -> Iterator[Step]:
    off = (1 - sp.KroneckerDelta(i, j)) ** 2 * _row_weight(i) * _row_weight(j)
    all_others = _row_weight(i) * total((1 - sp.KroneckerDelta(i, l)) ** 2 * _row_weight(l), l)
    rest = _row_weight(i) * total((1 - sp.KroneckerDelta(i, l)) ** 2 * (1 - sp.KroneckerDelta(j, l)) ** 2 * _row_weight(l), l)
    diagonal = _row_weight(i) * (1 - _row_weight(i))
    yield Step(diagonal, "<=", quarter, "A diagonal entry is p(1 − p), which is largest at one half.", certificate=(half - _row_weight(i)) ** 2)
    entry = _row_weight(i) * (sp.KroneckerDelta(i, j) - _row_weight(j))
    yield Step(
        entry**2,
        "<=",
        diagonal**2,
        "An entry beside the diagonal is p_i times one other weight, the diagonal entry p_i times all other weights.",
        certificate=rest * (rest + 2 * off) * (1 - sp.KroneckerDelta(i, j)) ** 2,
    )
    yield Step(
        entry**2,
        "<=",
        quarter**2,
        "So no entry is larger in size than the diagonal one of its row, which is at most a quarter.",
        certificate=rest * (rest + 2 * off) * (1 - sp.KroneckerDelta(i, j)) ** 2 + (half - _row_weight(i)) ** 2 * (quarter + all_others),
    )


# --- self-attention: the tokens enter queries, keys and values at once ------------------------------------------------------------


def _token_score(query: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    """x_query A x_keyᵀ."""
    return sp.Sum(X[query, b] * A[b, g] * X[key, g], (b, 1, d), (g, 1, d))


def _token_weight(query: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    return sp.exp(_token_score(query, key)) / total(sp.exp(_token_score(query, k)), k)


def _token_value(key: sp.Symbol, feature: sp.Symbol) -> sp.Expr:
    """x_key W."""
    return total(X[key, b] * W[b, feature], b)


def _token_output(query: sp.Symbol, feature: sp.Symbol) -> sp.Expr:
    return total(_token_weight(query, l) * _token_value(l, feature), l)


def _token_loss(tokens: Series, mixing: Matrix, projection: Matrix, cotangent: Matrix, causal: bool) -> arb_series:
    """Σ G∘Z for Z = softmax(X A Xᵀ) X W, each row over its visible keys. Shapes: X [n, d], A [d, d], W [d, e], G [n, e]."""
    A_, W_ = _lifted(mixing), _lifted(projection)
    queries = [[sum((y * A_[b][a] for b, y in enumerate(token)), arb_series([0])) for a in range(len(token))] for token in tokens]
    values = [[sum((y * W_[b][e] for b, y in enumerate(token)), arb_series([0])) for e in range(len(W_[0]))] for token in tokens]
    loss = arb_series([0])
    for row, query in enumerate(queries):
        seen = range(row + 1 if causal else len(tokens))
        [weights] = _softmax_series([[sum((x * y for x, y in zip(query, tokens[key], strict=True)), arb_series([0])) for key in seen]])
        for key, weight in zip(seen, weights, strict=True):
            loss += weight * sum((value * exact.ball(y) for value, y in zip(values[key], cotangent[row], strict=True)), arb_series([0]))
    return loss


def _token_weights(tokens: Matrix, mixing: Matrix, causal: bool) -> list[list[arb]]:
    """softmax(X A Xᵀ), 0 above the diagonal if causal. Shape [n, n]."""
    visible = [[not causal or key <= row for key in range(len(tokens))] for row in range(len(tokens))]
    rows = exact.scores(_product(tokens, mixing), tokens)
    return [exact.softmax(row, seen) for row, seen in zip(rows, visible, strict=True)]


def _token_gradient(tokens: Matrix, mixing: Matrix, projection: Matrix, cotangent: Matrix, causal: bool) -> list[list[arb]]:
    """Σ_je G_je ∂z_je/∂x_ia by the closed form. Shape [n, d]."""
    weights = _token_weights(tokens, mixing, causal)
    values = _product(tokens, projection)
    outputs = _product(weights, values)
    as_query, as_key = _product(tokens, list(zip(*mixing, strict=True))), _product(tokens, mixing)  # rows A x_l and x_j A
    positions, features = range(len(tokens)), range(len(tokens[0]))
    gradient = [[arb(0) for _ in features] for _ in positions]
    for row in positions:
        for key in positions:
            gap = sum((exact.ball(y) * (v - o) for y, v, o in zip(cotangent[row], values[key], outputs[row], strict=True)), arb(0))
            for feature in features:
                direct = sum((exact.ball(y) * exact.ball(w) for y, w in zip(cotangent[row], projection[feature], strict=True)), arb(0))
                gradient[key][feature] += weights[row][key] * (direct + as_key[row][feature] * gap)
                gradient[row][feature] += weights[row][key] * as_query[key][feature] * gap
    return gradient


def _self_attention_holds(tokens: Matrix, mixing: Matrix, projection: Matrix, cotangent: Matrix, causal: bool) -> Outcome:
    forward = _slopes(lambda given: _token_loss(given, mixing, projection, cotangent, causal), tokens)
    return exact.equal(forward, _token_gradient(tokens, mixing, projection, cotangent, causal))


@derived(
    Claim(
        id="gradients.self-attention",
        title="How one position's output depends on another position's input",
        states="The gradient at an input is the sum, over all outputs, of each output's gradient times that output's derivative in the input; the "
        "attention weights occur in that derivative.",
        reading="The loss sees the tokens only through the outputs of this layer (a residual connection around it would add its own term).",
        precise=r"For $z_{je} = \sum_l P_{jl}\,v_{le}$ with $v = XW$, $P = \mathrm{softmax}(XAX^\top)$: "
        r"$\dfrac{\partial z_{je}}{\partial x_{ia}} = P_{ji}\bigl[W_{ae} + (XA)_{ja}\,(v_{ie} - z_{je})\bigr] + \delta_{ij}\sum_o "
        r"P_{jo}\,(XA^\top)_{oa}\,(v_{oe} - z_{je})$. "
        r"For $i \ne j$ the weight $P_{ji}$ multiplies the whole derivative; $\partial L/\partial x_{ia} = \sum_{j,e} (\partial L/\partial "
        r"z_{je})\,\partial z_{je}/\partial x_{ia}$.",
        sources=(S4.at("Gradient Flow"),),
        scope="any n, widths d and d_v; $A = c\\,W_QW_K^\\top$ and $W$ any real matrices; derived without a mask, checked exactly with a causal mask "
        "too (a masked key has weight 0)",
        inventory=("C257",),
        holds=_self_attention_holds,
    )
)
def self_attention() -> Iterator[Step]:
    spread = sp.Sum(_token_weight(j, o) * sp.Sum(A[a, g] * X[o, g], (g, 1, d)) * (_token_value(o, e) - _token_output(j, e)), (o, 1, n))
    from_key = _token_weight(j, i) * (W[a, e] + total(X[j, b] * A[b, a], b) * (_token_value(i, e) - _token_output(j, e)))
    yield Step(sp.Derivative(_token_value(l, e), X[i, a]), "=", sp.KroneckerDelta(i, l) * W[a, e], "A value is linear in its token.")
    yield Step(
        sp.Derivative(_token_output(j, e), X[i, a]),
        "=",
        from_key + sp.KroneckerDelta(i, j) * spread,
        "Token i is a value and a key for every output j, which both come with the weight P[j, i]; only for j = i is it the query as well.",
    )


def _derivatives(tokens: Matrix, mixing: Matrix, projection: Matrix, causal: bool, row: int, key: int) -> list[list[arb]]:
    """∂z_row/∂x_key by forward differentiation, an output feature a row."""
    found = []
    for feature in range(len(projection[0])):
        cotangent = [[int(at == row and e == feature) for e in range(len(projection[0]))] for at in range(len(tokens))]
        found.append(_slopes(lambda given, G=cotangent: _token_loss(given, mixing, projection, G, causal), tokens)[key])  # type: ignore[misc]
    return found


def _pairs(tokens: Matrix) -> list[tuple[int, int]]:
    return [(row, key) for row in range(len(tokens)) for key in range(len(tokens)) if row != key]


def _direct_path_holds(tokens: Matrix, mixing: Matrix, projection: Matrix, cotangent: Matrix, causal: bool) -> Outcome:
    """No output of one position has a derivative of nothing but zeros in the input of another."""
    outcomes = [Outcome.HELD]
    for row, key in _pairs(tokens):
        entries = [y for part in _derivatives(tokens, mixing, projection, causal, row, key) for y in part]
        felt = any(not y.contains(0) for y in entries)
        outcomes.append(Outcome.HELD if felt else Outcome.REFUTED if all(y == 0 for y in entries) else Outcome.UNDECIDED)
    return Outcome.worst(outcomes)


def _direct_path_worked(tokens: Matrix, mixing: Matrix, projection: Matrix, cotangent: Matrix, causal: bool) -> str:
    weights = _token_weights(tokens, mixing, causal)
    row, key = next(
        (row, key) for row, key in _pairs(tokens) if all(y == 0 for part in _derivatives(tokens, mixing, projection, causal, row, key) for y in part)
    )
    why = (
        f"output {row + 1} gives input {key + 1} the weight 0, as the mask hides it: that input occurs nowhere in the output"
        if weights[row][key] == 0
        else f"output {row + 1} gives input {key + 1} the weight {exact.show(weights[row][key])}, but the bracket beside it is 0"
    )
    return (
        f"Take {len(tokens)} tokens X = {_grid(tokens)} with A = {_grid(mixing)}, W = {_grid(projection)} and {'a causal mask' if causal else 'no mask'}. "
        f"The weights are "
        f"{_grid(weights)}: {why}, and ∂z_{row + 1}/∂x_{key + 1} = 0, where a direct path needs a derivative that is not 0. Nor does a positive weight "
        f"suffice: without a mask, with "
        "A = W = 1 and two tokens 1 and about −0.278465, at which 1 + x₂ − z₁ is 0, ∂z₁/∂x₂ is 0 too."
    )


@derived(
    Claim(
        id="gradients.direct-path",
        title="A direct gradient path between any two positions",
        states="Attention lets the gradient flow directly between any two positions.",
        reading="In every self-attention layer that the text describes, the causal ones of decoder models among them, the derivative of each output in the "
        "input of every other position is not 0.",
        precise=r"For $i \ne j$, $\partial z_{je}/\partial x_{ia} = P_{ji}\,\beta \ne 0$ if the mask leaves $P_{ji} > 0$ and the bracket $\beta = W_{ae} + "
        r"(XA)_{ja}\,(v_{ie} - z_{je})$ of "
        r"gradients.self-attention is not 0 for some $a$ and $e$.",
        sources=(S4.at("Gradient Flow"),),
        scope="any n; finite scores; two different positions",
        inventory=("C257",),
        uses=("gradients.self-attention",),
        unsaid="the output's position can see the input's position (no causal or padding mask between them), and what the input does through its value and "
        "through its score does not cancel: "
        "W_ae + (XA)_ja (v_ie − z_je) ≠ 0 for some features a and e",
        corrected_by="gradients.self-attention",
        holds=_direct_path_holds,
        worked=_direct_path_worked,
    )
)
def direct_path() -> Iterator[Step]:
    bracket = sp.Symbol("beta", real=True, nonzero=True)
    yield Step(sp.Integer(0), "<", _token_weight(j, i), "Without a mask every weight is an exponential over a sum of exponentials, hence positive.")
    yield Step(
        sp.Integer(0),
        "<",
        (_token_weight(j, i) * bracket) ** 2,
        "For i ≠ j the derivative is the weight times the bracket β: its square is positive, so it is not 0.",
    )


def _steep_token(bound: int, others: int) -> int:
    """The smallest whole number y with n y²/(n + 1)² ≥ bound, for n other tokens."""
    y = 0
    while others * y * y < bound * (others + 1) ** 2:
        y += 1
    return y


def _unbounded_holds(bound: int, others: int) -> Outcome:
    tokens = [(0,)] + [(_steep_token(bound, others),)] * others
    cotangent = [(1,)] + [(0,)] * others
    slope = _slopes(lambda given: _token_loss(given, [(1,)], [(1,)], cotangent, False), tokens)[0][0]
    return exact.decided(bool(slope > bound))


@derived(
    Claim(
        id="gradients.unbounded-jacobian",
        title="Dot-product self-attention has an unbounded Jacobian, whatever the scale",
        states="(Not in the text, by which gradients explode with large attention weights.) The gradient through dot-product self-attention has no bound, "
        "although no weight exceeds one.",
        precise=r"For tokens $q, y, \dots, y$ of width one ($n$ copies of $y$) and scale $c > 0$, the first output is $f(q)$ and $f'(0) = \frac1{n+1} + "
        r"\frac{c\,n\,y^2}{(n+1)^2} > \frac{c\,n\,y^2}{(n+1)^2}$, "
        "which exceeds every bound as $y$ grows. So self-attention is not Lipschitz on all of token space.",
        sources=(KIM.at("The theorem that dot-product self-attention is not Lipschitz"), S1.at("Gradient Flow")),
        scope="two tokens or more, identity projections of width one, any scale c > 0; wider layers contain this one",
        inventory=("C246",),
        holds=_unbounded_holds,
    )
)
def unbounded_jacobian() -> Iterator[Step]:
    slope, spread = _slope_at_zero(sp.Symbol("c", positive=True))
    yield Step(
        slope, "=", 1 / (n + 1) + spread, "At q = 0 all scores are 0 and all weights equal: its own weight, and the scale times the variance of the tokens."
    )
    yield Step(spread, "<", slope, "The variance of the tokens grows with y without bound.", certificate=1 / (n + 1))


def _scaled_slope(others: int, token: int, width: int) -> arb:
    """∂z_11/∂x_11 of self-attention with scale 1/√width: a zero token and copies of (token, …, token), identity projections."""
    tokens = [(0,) * width] + [(token,) * width] * others
    scale = 1 / exact.ball(width).sqrt()
    identity = [[int(row == column) for column in range(width)] for row in range(width)]
    first = [[int(row == column == 0) for column in range(width)] for row in range(others + 1)]
    return _slopes(lambda given: _token_loss(given, _scaled(identity, scale), identity, first, False), tokens)[0][0]


def _zero_token_holds(bound: int, others: int, token: int, width: int) -> Outcome:
    spread = exact.ball(others * token * token) / (others + 1) ** 2
    return exact.equal([_scaled_slope(others, token, width)], [arb(1) / (others + 1) + spread / exact.ball(width).sqrt()])


def _slope_at_zero(scale: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """The derivative of the zero token's output in its own moving feature, and the scale times the variance of the tokens."""
    q, y = sp.Symbol("q", real=True), sp.Symbol("y", positive=True)
    first = (q * sp.exp(scale * q**2) + n * y * sp.exp(scale * q * y)) / (sp.exp(scale * q**2) + n * sp.exp(scale * q * y))
    return sp.Subs(sp.Derivative(first, q), q, 0), scale * n * y**2 / (n + 1) ** 2


@derived(
    Claim(
        id="gradients.zero-token",
        title="At a zero token, the gradient is its own weight plus the scaled variance of the tokens",
        states="With the scale in place, the gradient still grows with the spread of the tokens.",
        precise=r"$\dfrac{\partial z_{11}}{\partial x_{11}} = \dfrac1{n+1} + \dfrac{1}{\sqrt{d_k}}\,\dfrac{n\,y^2}{(n+1)^2}$ "
        r"for a zero token beside $n$ copies of $(y, \dots, y)$, identity projections and the scale $1/\sqrt{d_k}$.",
        sources=(KIM.at("The theorem that dot-product self-attention is not Lipschitz"),),
        scope="two tokens or more, any width d_k (the derivation follows the one feature that moves)",
        holds=_zero_token_holds,
    )
)
def zero_token() -> Iterator[Step]:
    slope, spread = _slope_at_zero(1 / sp.sqrt(d))
    yield Step(slope, "=", 1 / (n + 1) + spread, "At q = 0 all scores are 0 and all weights equal; the score of a key moves at the rate y/√d_k.")


def _depth_holds(layers: int, others: int, token: int, factor: Number, scale: Number) -> Outcome:
    """All tokens are moved together through so many layers of width one: how fast every output moves."""
    ctx.cap = 2
    tokens = [[arb_series([exact.ball(token), 1])] for _ in range(others + 1)]
    for _ in range(layers):
        weights = _softmax_series(_score_series(tokens, tokens, scale))
        tokens = [[sum((p * value * exact.ball(factor) for p, [value] in zip(row, tokens, strict=True)), arb_series([0]))] for row in weights]
    return exact.equal([output[1] for [output] in tokens], [exact.ball(factor) ** layers] * (others + 1))


@derived(
    Claim(
        id="gradients.depth",
        title="Through many layers a gradient grows or vanishes with the powers of the value projection, whatever the factor in front of the scores",
        states="(Not in the text, by which the factor 1/√d_k prevents exploding gradients in deep networks.) Through many layers gradients explode or "
        "vanish, whatever the factor.",
        reading="Layers of self-attention on top of each other, without residual connections or normalisation: the scale is all there is to keep gradients in hand.",
        precise=r"Let $n$ equal tokens $x$ pass through $L$ layers of width one with value projection $w > 0$. Every output is $w^Lx$, whatever the scale $c$ of the scores, and moving all tokens together moves it "
        r"at the rate $w^L$. With $w = 1 + y$, $y > 0$, this is at least $1 + Ly$, and with $w = 1/(1+y)$ at most $1/(1 + Ly)$. So gradients explode or vanish with depth although all scores are equal and "
        "no softmax is saturated.",
        sources=(S2.at("Mathematical Components"), S2.at("Theoretical Properties")),
        scope="every number of layers and of tokens, every scale c, every x and w > 0; wider layers contain this one",
        inventory=("C243", "C244"),
        holds=_depth_holds,
    )
)
def depth() -> Iterator[Step]:
    layers = sp.Symbol("L", integer=True, positive=True)
    token = sp.Symbol("x", real=True)
    factor, above = sp.symbols("w y", positive=True)

    def layer(value: sp.Expr) -> sp.Expr:
        same = sp.exp(c * value**2)
        return total(same * factor * value, j) / total(same, j)

    yield Step(layer(token), "=", factor * token, "One layer: the scores are equal, so the weights are, and an average of equal values is that value.")
    yield Step(
        layer(factor**layers * token), "=", factor ** (layers + 1) * token, "One layer more multiplies by w once more: by induction L layers give w^L x."
    )
    yield Step(
        1 + (layers + 1) * above,
        "<=",
        (1 + layers * above) * (1 + above),
        "By induction (1 + y)^L is at least 1 + Ly, and so its reciprocal at most 1/(1 + Ly).",
        certificate=layers * above**2,
    )
    yield Step(sp.Derivative(factor**layers * token, token), "=", factor**layers, "The rate at which all outputs move, when all tokens do.")


def _slope_at_unit_variance(value: int) -> arb:
    """∂o/∂q at the query 1, width one: keys 1 and −1, with the values value and −value."""
    keys, values = [(1,), (-1,)], [(value,), (-value,)]
    return _slopes(lambda query: _loss_of_weights(_softmax_series(_score_series(query, keys, 1)), values, [(1,)]), [(1,)])[0][0]


def _unit_variance_holds(bound: int, value: int) -> Outcome:
    """The slope is value · (1 − tanh(1)²); the bound plays no part."""
    tangent = (arb(1).exp() - arb(-1).exp()) / (arb(1).exp() + arb(-1).exp())
    return exact.equal([_slope_at_unit_variance(value)], [value * (1 - tangent * tangent)])


def _at_unit_variance() -> tuple[sp.Expr, sp.Expr]:
    """The output's derivative in the query, and the same as a quotient, for keys 1 and −1 with the values y and −y."""
    q, y = sp.Symbol("q", real=True), sp.Symbol("y", positive=True)
    output = (y * sp.exp(q) - y * sp.exp(-q)) / (sp.exp(q) + sp.exp(-q))
    return sp.Derivative(output, q), 4 * y / (sp.exp(q) + sp.exp(-q)) ** 2


@derived(
    Claim(
        id="gradients.unit-variance-slope",
        title="With scores of variance one, the gradient in the query is still in proportion to the values",
        states="(Not in the text, which expects the scale of the scores to keep gradients in hand.) However well the scores are scaled, values that are y "
        "times as large make gradients that are y times as "
        "large.",
        precise=r"Let queries and keys be 1 or $-1$, of width one, so that their products have the mean 0 and the variance 1. For the values $y$ and $-y$ "
        r"of the keys 1 and $-1$ the output is $y\tanh q$, "
        r"and $\partial o/\partial q = 4y/(e^q + e^{-q})^2$: at $q = \pm1$ it is $0.42\,y$.",
        sources=(S2.at("Mathematical Components"), S2.at("Theoretical Properties")),
        scope="width one (so that √d_k = 1), two keys, every y > 0",
        inventory=("C243", "C244"),
        holds=_unit_variance_holds,
    )
)
def unit_variance_slope() -> Iterator[Step]:
    up, down = sp.UnevaluatedExpr(sp.Integer(1)), sp.UnevaluatedExpr(sp.Integer(-1))
    yield Step(
        (up**2 + down**2) / 2 - ((up + down) / 2) ** 2,
        "=",
        sp.Integer(1),
        "Products of queries and keys 1 and −1 are 1 or −1 equally often: their mean square less the square of their mean.",
    )
    slope, quotient = _at_unit_variance()
    yield Step(slope, "=", quotient, "The quotient rule: the numerator is y times (e^q + e^(−q))² − (e^q − e^(−q))², which is 4y.")


def _prevented_holds(bound: int, value: int) -> Outcome:
    return exact.at_most([_slope_at_unit_variance(value)], [bound])


def _prevented_worked(bound: int, value: int) -> str:
    return (
        f"Width one, so that √d_k = 1: queries and keys are 1 or −1, their products are 1 or −1 equally often, and have the mean 0 and the variance 1. The "
        f"query 1 meets the keys 1 and −1 with the values "
        f"{value} and {-value}: the weights are e/(e + 1/e) and (1/e)/(e + 1/e), the output is {value} · tanh(q) at q = 1, and its derivative in the query "
        f"is {value} · (1 − tanh(1)²) = "
        f"{exact.show(_slope_at_unit_variance(value))}, above {bound}. Doubling the values doubles it, and the scores stay as they are: so no bound will do."
    )


@derived(
    Claim(
        id="gradients.scaling-prevents-explosion",
        title="The factor 1/√d_k prevents exploding gradients",
        states="Dividing by √d_k, which keeps the variance of the scores at one, prevents vanishing and exploding gradients, also in deep networks.",
        reading="Where the scores are scaled, and have variance one, there is a bound that the gradients of attention respect: one layer is judged, with "
        "queries and keys that do give scores of variance "
        "one. (Each search case names a candidate bound; the derivation shows that none will do. Nor does the factor help in deep networks, even with "
        "values of bounded size: gradients.depth.)",
        precise=r"$B < \dfrac{4y}{(e + e^{-1})^2} = \dfrac{\partial o}{\partial q}$ at $q = 1$ for every candidate bound $B > 0$ and $y = \tfrac52B$, with "
        r"the queries, keys and values of "
        "gradients.unit-variance-slope.",
        sources=(S2.at("Mathematical Components"), S2.at("Theoretical Properties")),
        scope="width one, two keys, every candidate bound. What the factor does is to keep the variance of the scores at one, for queries and keys with "
        "independent components of mean 0 and variance 1: "
        "scaling.unit-variance. The half about vanishing gradients is judged in the claim on saturation",
        inventory=("C243", "C244"),
        uses=("gradients.unit-variance-slope", "gradients.depth"),
        corrected_by="gradients.unit-variance-slope",
        holds=_prevented_holds,
        worked=_prevented_worked,
    )
)
def scaling_prevents_explosion() -> Iterator[Step]:
    bound = sp.Symbol("B", positive=True)
    slope, quotient = _at_unit_variance()
    yield Step(slope, "=", quotient, "The derivative of the output in the query: keys 1 and −1 with the values y and −y.")
    at_one = 4 * (sp.Rational(5, 2) * bound) / (sp.E + 1 / sp.E) ** 2
    yield Step(
        bound,
        "<",
        at_one,
        "At q = 1, with y = 5B/2: e + 1/e is less than √10, so whatever bound is named, the derivative exceeds it.",
        certificate=bound * (10 - (sp.E + 1 / sp.E) ** 2) / (sp.E + 1 / sp.E) ** 2,
    )
