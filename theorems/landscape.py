"""The loss of one attention layer as a function of W_Q, W_K and W_V: what it depends on, where it is flat, and whether it has a minimum.

Queries and keys enter through M = W_Q W_Kᵀ alone. So the loss is constant along W_Q T, W_K T⁻ᵀ for every invertible T, and that settles most of what can be said about
its critical points without looking at the loss itself. Written out, A is W_Q and B is W_K, both with d rows and d_k columns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import partial
from itertools import combinations, pairwise
from math import floor as floor_down
from typing import NamedTuple

import sympy as sp
from flint import arb, arb_series, ctx, fmpq, fmpq_mat

from theorems import exact
from theorems.claim import Claim, derived
from theorems.exact import Number, ball
from theorems.outcome import Outcome
from theorems.sources import S0
from theorems.step import Step
from theorems.symbols import j, l, n, s, total, v

Row = Sequence[int]
Rows = Sequence[Row]
Series = list[list[arb_series]]
Place = tuple[int, int, int]  # a matrix (0 for W_Q, 1 for W_K, 2 for W_V), and row and column of an entry
SURFACE, CRITICAL, CONVERGENCE = S0.at("Attention Loss Surface"), S0.at("Critical Points"), S0.at("Convergence Properties")

d, d_k, m = sp.symbols("d d_k m", integer=True, positive=True)  # widths of tokens and of queries; rows of the whole data
a, b = sp.symbols("a b", integer=True, positive=True)  # features of a token
c, k, z_ = sp.symbols("c k z", integer=True, positive=True)  # features of queries and keys
r, i = sp.symbols("r i", integer=True, positive=True)  # a row that asks, a row that answers
X, A, B, P, R, E = (sp.IndexedBase(name, real=True) for name in ("X", "A", "B", "P", "R", "E"))
apart = sp.UnevaluatedExpr  # keeps a factor as a reader would write it
G = sp.IndexedBase("G", real=True)  # ∂L/∂S at [r, i], ∂L/∂M at [a, b]
z = sp.IndexedBase("z", real=True)


def over(body: sp.Expr, *indices: tuple[sp.Symbol, sp.Expr]) -> sp.Expr:
    """The sum of `body` over each index up to its size, the first innermost."""
    return sp.Sum(body, *((index, 1, size) for index, size in indices))


# --- the loss in exact arithmetic ---------------------------------------------------------------------------------------------------------


def _product(left: Sequence[Sequence[Number]], right: Sequence[Sequence[Number]]) -> list[list[arb]]:
    return [[sum((ball(x) * ball(y) for x, y in zip(row, column, strict=True)), arb(0)) for column in zip(*right, strict=True)] for row in left]


def _rank(rows: Sequence[Sequence[int | Fraction]]) -> int:
    return int(_matrix(rows).rank())


def _matrix(rows: Sequence[Sequence[int | Fraction]]) -> fmpq_mat:
    whole = [[Fraction(x) for x in row] for row in rows]
    return fmpq_mat(len(whole), len(whole[0]), [fmpq(x.numerator, x.denominator) for row in whole for x in row])


def _outputs(tokens: Sequence[Sequence[object]], parameters: Sequence[Sequence[Sequence[object]]]) -> Series:
    """Attention(X W_Q, X W_K, X W_V) as Taylor series in whatever its parameters are series in. Shapes: X [n, d] → [n, d_v]."""

    def projected(weights: Sequence[Sequence[object]]) -> Series:
        return [
            [sum((_series(w) * _series(x) for x, w in zip(row, column, strict=True)), arb_series([0])) for column in zip(*weights, strict=True)]
            for row in tokens
        ]

    queries, keys, values = map(projected, parameters)
    rows = []
    for query in queries:
        weights = [sum((x * y for x, y in zip(query, key, strict=True)), arb_series([0])).exp() for key in keys]
        mass = sum(weights, arb_series([0]))
        rows.append([sum((p * v for p, v in zip(weights, column, strict=True)), arb_series([0])) / mass for column in zip(*values, strict=True)])
    return rows


def _series(x: object) -> arb_series:
    return x if isinstance(x, arb_series) else arb_series([ball(x)])  # type: ignore[arg-type]


def _loss(tokens: Rows, targets: Sequence[Sequence[Number]], parameters: Sequence[Sequence[Sequence[object]]]) -> arb_series:
    """The sum of squared errors of one sequence."""
    outputs = _outputs(tokens, parameters)
    errors = (o - _series(y) for row, aims in zip(outputs, targets, strict=True) for o, y in zip(row, aims, strict=True))
    return sum((error * error for error in errors), arb_series([0]))


def _along(loss: Callable[[Sequence[Series]], arb_series], at: Sequence[Sequence[Sequence[Number]]], direction: dict[Place, Number]) -> tuple[arb, arb]:
    """First and second Taylor coefficient of the loss along a direction: slope, and half the curvature."""
    ctx.cap = 3
    moved = [
        [[arb_series([ball(x), ball(direction.get((which, row, column), 0))]) for column, x in enumerate(xs)] for row, xs in enumerate(matrix)]
        for which, matrix in enumerate(at)
    ]
    series = loss(moved)
    return series[1], series[2]


def _places(parameters: Sequence[Sequence[Sequence[Number]]]) -> list[Place]:
    return [(which, row, column) for which, matrix in enumerate(parameters) for row in range(len(matrix)) for column in range(len(matrix[0]))]


def _gradients(tokens: Rows, targets: Rows, parameters: Sequence[Rows]) -> list[list[list[arb]]]:
    """∂L/∂W_Q and ∂L/∂W_K by forward differentiation."""
    return [
        [[_along(lambda moved: _loss(tokens, targets, moved), parameters, {(which, row, column): 1})[0] for column in range(len(parameters[which][0]))]
         for row in range(len(parameters[which]))]
        for which in (0, 1)
    ]  # fmt: skip


# --- what the loss depends on (C314, C317) ------------------------------------------------------------------------------------------------


def _through_the_product(tokens: Rows, W_Q: Rows, W_K: Rows, W_V: Rows) -> Outcome:
    """The layer with W_Q and W_K, and with their product as the one and the identity as the other."""
    joint = _product(W_Q, list(zip(*W_K, strict=True)))
    one = [[int(row == column) for column in range(len(W_K))] for row in range(len(W_K))]
    given, merged = _outputs(tokens, (W_Q, W_K, W_V)), _outputs(tokens, (joint, one, W_V))
    return exact.equal([[x[0] for x in row] for row in given], [[x[0] for x in row] for row in merged])


@derived(
    Claim(
        id="landscape.loss-through-product",
        title="The loss of an attention layer is a function of W_Q W_Kᵀ and W_V",
        states="The loss landscape of the attention parameters: L(W_Q, W_K, W_V) = E[ℓ(Attention(X W_Q, X W_K, X W_V), y)].",
        reading="A definition, for one head without output projection. It defines a number for all real parameters wherever the expectation exists, on every finite data set for instance: softmax "
        "divides by a positive number. What is judged is which of the three matrices' entries it depends on.",
        precise=r"$\sum_c(XW_Q)_{rc}(XW_K)_{ic} = \sum_{a,b}X_{ra}\,(W_QW_K^\top)_{ab}\,X_{ib}$: the scores, and with them the outputs and the loss, depend on $W_Q$ "
        r"and $W_K$ through $M = W_QW_K^\top$ alone, a matrix of rank at most $d_k$. With $d_k \ge d$ every $M$ occurs, and the landscape is that of $L(M, "
        r"W_V)$. In the formulas $A = W_Q$ and $B = W_K$.",
        sources=(SURFACE,),
        scope="every length and width, all real tokens and parameters, every loss ℓ of the output and every distribution for which the expectation exists",
        inventory=("C314",),
        holds=_through_the_product,
    )
)
def loss_through_product() -> Iterator[Step]:
    yield Step(sp.Integer(0), "<", total(sp.exp(s[l]), l), "what softmax divides by is positive, whatever the parameters")
    joint = over(A[a, c] * B[b, c], (c, d_k))
    asked = sp.IndexedBase("Y", real=True)  # X W_Q
    yield Step(
        over(asked[r, c] * over(X[i, b] * B[b, c], (b, d)), (c, d_k)), "=", over(X[i, b] * over(asked[r, c] * B[b, c], (c, d_k)), (b, d)),
        "a score is (X W_Q)_r · (X W_K)_i, here with Y for X W_Q: the tokens that answer are met by Y W_Kᵀ",
    )  # fmt: skip
    yield Step(over(over(X[r, a] * A[a, c], (a, d)) * B[b, c], (c, d_k)), "=", over(X[r, a] * joint, (a, d)), "and Y W_Kᵀ is X M")


def _symmetric(tokens: Rows, W_Q: Rows, W_K: Rows, W_V: Rows, factor: Fraction, shear: int) -> Outcome:
    """The outputs with W_Q T and W_K T⁻ᵀ for T = factor · (1 + shear in the corner), and whether that is another point unless both are 0."""
    size = len(W_Q[0])
    turn = [[factor * ((row == column) + shear * ((row, column) == (0, size - 1) and size > 1)) for column in range(size)] for row in range(size)]
    back = [[((row == column) - shear * ((row, column) == (size - 1, 0) and size > 1)) / factor for column in range(size)] for row in range(size)]
    moved = [_matrix(matrix) * _matrix(by) for matrix, by in ((W_Q, turn), (W_K, back))]
    numbers = [[[Fraction(int(x.p), int(x.q)) for x in row] for row in matrix.tolist()] for matrix in moved]
    before, after = _outputs(tokens, (W_Q, W_K, W_V)), _outputs(tokens, (*numbers, W_V))
    at_zero = not any(x for matrix in (W_Q, W_K) for row in matrix for x in row)
    elsewhere = moved != [_matrix(W_Q), _matrix(W_K)] or at_zero or shear != 0 or factor == 1
    return Outcome.worst([exact.equal([[x[0] for x in row] for row in before], [[x[0] for x in row] for row in after]), exact.decided(elsewhere)])


@derived(
    Claim(
        id="landscape.scaling-symmetry",
        title="No optimum is isolated, because of scaling symmetries",
        states="Scaling invariance: multiple optima due to scaling symmetries.",
        reading="If the loss has an optimum (global or local) at some parameters, it has others of the same loss.",
        precise=r"$L(cW_Q, W_K/c, W_V) = L(W_Q, W_K, W_V)$ for every $c \ne 0$, and $L(W_QT, W_KT^{-\top}, W_V)$ is the same for every invertible $T$ (in the formula $U = "
        r"T^{-\top}$: $\sum_cT_{kc}U_{zc} = \delta_{kz}$). Where an entry $W_{Q,ac}$ or $W_{K,bc}$ is not 0, different $c > 0$ give different parameters; where $W_Q = W_K = 0$, "
        r"scaling moves nothing, but every other $W_K$ has the same scores 0. So no optimum is isolated, if there is one: whether there is, is another matter "
        r"(landscape.copying-has-no-optimum). In the formulas $A = W_Q$ and $B = W_K$.",
        sources=(CRITICAL,),
        scope="every length and width, all real parameters, every loss of the output",
        inventory=("C317",),
        uses=("landscape.loss-through-product",),
        holds=_symmetric,
    )
)
def scaling_symmetry() -> Iterator[Step]:
    more, entry = sp.symbols("x w", positive=True)
    yield Step(entry, "<", (1 + more) * entry, "for c = 1 + x an entry that is not 0 (here w > 0) has moved: distinct parameters, one loss")
    scale = sp.Symbol("c", positive=True)
    joint = over(A[a, c] * B[b, c], (c, d_k))
    yield Step(
        over(apart(scale * A[a, c]) * apart(B[b, c] / scale), (c, d_k)), "=", joint, "the factor cancels in W_Q W_Kᵀ; c < 0 is this and W_Q → −W_Q, W_K → −W_K"
    )
    T, U = sp.IndexedBase("T", real=True), sp.IndexedBase("U", real=True)
    turned = sp.IndexedBase("Y", real=True)  # W_Q T
    yield Step(
        over(turned[a, c] * over(B[b, z_] * U[z_, c], (z_, d_k)), (c, d_k)), "=", over(B[b, z_] * over(turned[a, c] * U[z_, c], (c, d_k)), (z_, d_k)),
        "the product of Y = W_Q T with W_K U is (Y Uᵀ) W_Kᵀ",
    )  # fmt: skip
    yield Step(
        over(over(A[a, k] * T[k, c], (k, d_k)) * U[z_, c], (c, d_k)), "=", over(A[a, k] * over(T[k, c] * U[z_, c], (c, d_k)), (k, d_k)), "and Y Uᵀ = W_Q (T Uᵀ)"
    )
    place = sp.Symbol("k_1", integer=True, positive=True)
    yield Step(
        over(A[a, k] * over(B[b, z_] * sp.KroneckerDelta(k, z_), (z_, d_k)), (k, d_k)), "=", over(A[a, place] * B[b, place], (place, d_k)),
        "with T Uᵀ = 1 the product is the same: the loss is constant along the whole group",
    )  # fmt: skip


# --- critical points (C315, C316) ---------------------------------------------------------------------------------------------------------


def _null_vectors(rows: Sequence[Sequence[int | Fraction]]) -> list[list[Fraction]]:
    """A basis of the z with rows · z = 0."""
    reduced, rank = _matrix(rows).rref()
    size = len(rows[0])
    pivots = [next(column for column in range(size) if reduced[place, column] != 0) for place in range(rank)]
    basis = []
    for free in (column for column in range(size) if column not in pivots):
        vector = [Fraction(int(column == free)) for column in range(size)]
        for place, pivot in enumerate(pivots):
            vector[pivot] = -Fraction(int(reduced[place, free].p), int(reduced[place, free].q))
        basis.append(vector)
    return basis


def _dead_features(tokens: Rows, targets: Rows, W_Q: Rows, W_K: Rows, W_V: Rows) -> Outcome:
    """(∂L/∂W_Q) z = 0 for every z with W_K z = 0, and the other way round."""
    by_query, by_key = _gradients(tokens, targets, (W_Q, W_K, W_V))
    products = [
        sum((slope * ball(x) for slope, x in zip(row, vector, strict=True)), arb(0))
        for slopes, other in ((by_query, W_K), (by_key, W_Q))
        for vector in _null_vectors(other)
        for row in slopes
    ]
    return exact.equal(products, [0] * len(products))


@derived(
    Claim(
        id="landscape.dead-features",
        title="The gradient in W_Q vanishes along what W_K annihilates, and need not vanish elsewhere",
        states="(Not in the text, which names rank deficiency as where degenerate critical points are.) What rank deficiency does to the gradient.",
        precise=r"$\partial L/\partial W_Q = \Gamma W_K$ and $\partial L/\partial W_K = \Gamma^\top W_Q$ with $\Gamma = \partial L/\partial M$, $M = W_QW_K^\top$. So $W_Kz = 0$ implies $(\partial "
        r"L/\partial W_Q)\,z = 0$, and $W_Qz = 0$ implies $(\partial L/\partial W_K)\,z = 0$. Both gradients vanish where $W_Q = W_K = 0$; where only one of the two is "
        r"0, its own gradient need not. In the formulas $A = W_Q$, $B = W_K$ and $\Gamma_{ab} = \sum_{r,i}G_{ri}X_{ra}X_{ib}$, $G = \partial L/\partial S$ "
        r"(gradients.scores).",
        sources=(CRITICAL,),
        scope="every length and width, all real tokens and parameters, every differentiable loss of the output",
        inventory=("C315",),
        uses=("landscape.loss-through-product", "gradients.scores"),
        holds=_dead_features,
    )
)
def dead_features() -> Iterator[Step]:
    size = sp.Symbol("t", real=True)
    query, key = over(X[r, a] * A[a, c], (a, d)), over(X[i, b] * B[b, c], (b, d))
    moved = over(over(X[r, a] * (A[a, c] + size * P[a, c]), (a, d)) * key, (c, d_k))
    yield Step(
        sp.Derivative(moved, size),
        "=",
        over(over(X[r, a] * P[a, c], (a, d)) * key, (c, d_k)),
        "a score is linear in W_Q, here moved by t P, and likewise in W_K",
    )
    pair = G[r, i] * X[r, a] * X[i, b]
    yield Step(
        over(over(G[r, i] * X[r, a] * key, (r, m), (i, m)) * z[c], (c, d_k)), "=", over(over(pair, (r, m), (i, m)) * B[b, c] * z[c], (b, d), (c, d_k)),
        "so row a of ∂L/∂W_Q, Σ_r Σ_i G_ri X_ra (x_i W_K), is that of Γ W_K; applied to z it sees z only through W_K z, and where that is 0 so is the gradient",
    )  # fmt: skip
    yield Step(
        over(over(G[r, i] * X[i, b] * query, (r, m), (i, m)) * z[c], (c, d_k)), "=", over(over(pair, (r, m), (i, m)) * A[a, c] * z[c], (a, d), (c, d_k)),
        "row b of ∂L/∂W_K is that of Γᵀ W_Q, and sees z only through W_Q z",
    )  # fmt: skip


def _degenerate(tokens: Rows, targets: Rows, W_Q: Rows, W_K: Rows, W_V: Rows) -> Outcome:
    """For the tangents τ = (W_Q E, −W_K Eᵀ): H τ is ⟨∂L/∂W_K, R Eᵀ⟩ − ⟨∂L/∂W_Q, P E⟩ along (P, R) for the drawn targets, and 0 where the layer's own outputs are the
    targets, a minimum; and the τ span d_k² − (d_k − rank W_Q)(d_k − rank W_K) dimensions."""
    parameters = (W_Q, W_K, W_V)
    ctx.cap = 3
    own = [[x[0] for x in row] for row in _outputs(tokens, parameters)]
    by_query, by_key = _gradients(tokens, targets, parameters)

    def curvature(direction: dict[Place, Number], aims: Sequence[Sequence[Number]]) -> arb:
        return _along(lambda moved: _loss(tokens, aims, moved), parameters, direction)[1]

    def mixed(tangent: dict[Place, int], place: Place, aims: Sequence[Sequence[Number]]) -> arb:
        both: dict[Place, Number] = {**tangent, place: tangent.get(place, 0) + 1}
        return curvature(both, aims) - curvature({**tangent}, aims) - curvature({place: 1}, aims)

    size, rows = len(W_Q[0]), len(W_Q)
    bent, wanted, tangents = [], [], []
    for one in range(size):
        for other in range(size):
            tangent: dict[Place, int] = {(0, row, other): W_Q[row][one] for row in range(rows)}
            tangent |= {(1, row, one): -W_K[row][other] for row in range(rows)}
            tangents.append([tangent.get(place, 0) for place in _places(parameters)[: 2 * rows * size]])
            for place in _places(parameters):
                which, row, column = place
                slope = -by_query[row][other] if (which, column) == (0, one) else by_key[row][one] if (which, column) == (1, other) else arb(0)
                bent += [mixed(tangent, place, own), mixed(tangent, place, targets)]
                wanted += [arb(0), slope]
    spanned = size**2 - (size - _rank(W_Q)) * (size - _rank(W_K))
    return Outcome.worst([exact.equal(bent, wanted), exact.decided(_rank(tangents) == spanned)])


@derived(
    Claim(
        id="landscape.degenerate",
        title="Every critical point is degenerate, save perhaps where W_Q = W_K = 0",
        states="Attention has degenerate critical points.",
        reading="Degenerate: the Hessian is singular. Such points are asked for, for any loss; which of them are there depends on the data.",
        precise=r"At a critical point $H\tau = 0$ for every $\tau = (W_QE, -W_KE^\top)$, $E \in \mathbb R^{d_k\times d_k}$: to first order $\tau$ leaves $M = W_QW_K^\top$ where it is, and the mixed derivative with any "
        r"direction $(P, R)$ is $\langle \partial L/\partial M, W_QER^\top - PEW_K^\top\rangle = \langle\partial L/\partial W_K, RE^\top\rangle - \langle\partial L/\partial W_Q, PE\rangle = 0$. "
        r"$\tau = 0$ exactly if the columns of $E$ lie in the kernel of $W_Q$ and its rows in that of $W_K$, so these $\tau$ span $d_k^2 - (d_k - \operatorname{rank}W_Q)(d_k - \operatorname{rank}W_K)$ dimensions: none if $W_Q = W_K = 0$, at least one otherwise, "
        r"and fewer for smaller ranks. Critical points there are: any parameters, the targets being their own outputs, under squared error. So there are degenerate "
        r"critical points with $W_Q$ and $W_K$ of any ranks but 0 and 0, deficient ones and full ones. In the formulas $A = W_Q$, $B = W_K$ and $G = \partial "
        r"L/\partial M$.",
        sources=(CRITICAL,),
        scope="every length and width, all real parameters, every twice differentiable loss of the output",
        inventory=("C315", "C316"),
        uses=("landscape.dead-features",),
        holds=_degenerate,
    )
)
def degenerate() -> Iterator[Step]:
    one, other = sp.symbols("s t", real=True)
    yield Step(
        sp.Subs(sp.Derivative(total((one * s[j]) ** 2, j), one), one, 0), "=", sp.Integer(0),
        "where the outputs are the targets, a sum of squared errors (here t s_j along a line of parameters, to first order) has no slope: a critical point",
    )  # fmt: skip
    left = A[a, c] + one * P[a, c] + other * over(A[a, k] * E[k, c], (k, d_k))
    right = B[b, c] + one * R[b, c] - other * over(B[b, z_] * E[c, z_], (z_, d_k))
    joint = over(left * right, (c, d_k))
    still = sp.Subs(sp.Derivative(joint, other), (one, other), (0, 0))
    yield Step(still, "=", sp.Integer(0), "M = W_Q W_Kᵀ does not move along τ, to first order: A E Bᵀ − A (B Eᵀ)ᵀ = 0")
    mixed = sp.Subs(sp.Derivative(joint, one, other), (one, other), (0, 0))
    second = over(over(A[a, k] * E[k, c], (k, d_k)) * R[b, c], (c, d_k)) - over(P[a, c] * over(B[b, z_] * E[c, z_], (z_, d_k)), (c, d_k))
    yield Step(
        mixed,
        "=",
        second,
        "the mixed second derivative of M along (P, R) and τ is A E Rᵀ − P E Bᵀ; L'' meets the first one along τ, which is 0, and so does the mixed one with W_V",
    )
    by_key = over(over(G[a, b] * A[a, k], (a, d)) * E[k, c] * R[b, c], (b, d), (k, d_k), (c, d_k))
    by_query = over(over(G[a, b] * B[b, z_], (b, d)) * E[c, z_] * P[a, c], (a, d), (z_, d_k), (c, d_k))
    yield Step(
        over(G[a, b] * A[a, k] * E[k, c] * R[b, c], (k, d_k), (c, d_k), (a, d), (b, d)) - over(G[a, b] * P[a, c] * B[b, z_] * E[c, z_], (z_, d_k), (c, d_k), (a, d), (b, d)), "=",
        by_key - by_query,
        "what is left is ⟨∂L/∂M, A E Rᵀ − P E Bᵀ⟩, with G for ∂L/∂M: sums over the entries of (∂L/∂M)ᵀ A = ∂L/∂W_K and of (∂L/∂M) B = ∂L/∂W_Q, which are 0 at a critical point",
    )  # fmt: skip


def _plain(rows: Sequence[Sequence[object]]) -> str:
    """A matrix as a reader writes it."""
    return "[" + "; ".join(", ".join(map(str, row)) for row in rows) + "]"


def _deficient(rows: Rows) -> bool:
    return _rank(rows) < min(len(rows), len(rows[0]))


def _critical_if_deficient(tokens: Rows, targets: Rows, W_Q: Rows, W_K: Rows, W_V: Rows) -> Outcome:
    """Where W_Q or W_K is rank deficient: is the gradient in these two matrices 0? (The one in W_V, and the Hessian, are not even asked for.)"""
    if not (_deficient(W_Q) or _deficient(W_K)):
        return Outcome.HELD
    slopes = exact.flat(_gradients(tokens, targets, (W_Q, W_K, W_V)))
    return exact.equal(slopes, [0] * len(slopes))


def _critical_worked(tokens: Rows, targets: Rows, W_Q: Rows, W_K: Rows, W_V: Rows) -> str:
    by_query, by_key = _gradients(tokens, targets, (W_Q, W_K, W_V))

    def shown(rows: list[list[arb]]) -> str:
        return _plain([[_short(x) for x in row] for row in rows])

    outputs = _outputs(tokens, (W_Q, W_K, W_V))
    return (
        f"The tokens are {_plain(tokens)}, the targets {_plain(targets)}, and the loss is the sum of squared errors. W_Q = {_plain(W_Q)} has the rank "
        f"{_rank(W_Q)}, "
        f"W_K = {_plain(W_K)} the rank {_rank(W_K)}, and W_V = {_plain(W_V)}. The outputs are {_plain([[exact.show(x[0]) for x in row] for row in outputs])}. "
        f"{_slope_by_hand(tokens, targets, W_Q, W_K, W_V)}The gradient in W_Q is {shown(by_query)}, the one in W_K {shown(by_key)}: not both are 0, so this is no critical point. "
        r"In general $\partial L/\partial W_Q = (\partial L/\partial M)\,W_K$ and $\partial L/\partial W_K = (\partial L/\partial M)^\top W_Q$ with $M = W_QW_K^\top$: a rank-deficient "
        "factor leaves some directions of the other without a gradient, not all."
    )


def _slope_by_hand(tokens: Rows, targets: Rows, W_Q: Rows, W_K: Rows, W_V: Rows) -> str:
    """In width 1, where M is a number: how ∂L/∂M comes about."""
    if len(W_Q) > 1 or len(W_Q[0]) > 1:
        return ""
    product, value, words = W_Q[0][0] * W_K[0][0], W_V[0][0], [row[0] for row in tokens]
    means = _rows(words, product)
    spreads = [mean - first * first for mean, first in zip(_means_of_squares(words, product), means, strict=True)]
    rates = [value * x * spread for x, spread in zip(words, spreads, strict=True)]
    whole = sum((2 * (value * mean - row[0]) * rate for mean, row, rate in zip(means, targets, rates, strict=True)), arb(0))
    return (
        f"An output moves with M = W_Q·W_K at the rate W_V times its token times the variance of the tokens under its weights: {', '.join(map(_short, rates))}. So ∂L/∂M, the sum of twice "
        f"the error times the rate, is {_short(whole)}; it is multiplied by W_K for the gradient in W_Q, and by W_Q for that in W_K. "
    )


def _means_of_squares(tokens: Row, product: Number) -> list[arb]:
    return [row[0] for row in exact.attention([[ball(product) * x] for x in tokens], [[x] for x in tokens], [[x * x] for x in tokens])]


def _short(x: arb) -> str:
    return "0" if x.contains(0) else exact.show(x)


rank_deficient = Claim(
    id="landscape.rank-deficient",
    title="Degenerate critical points occur where W_Q or W_K is rank deficient",
    states="Attention has degenerate critical points: rank deficiency, when W_Q or W_K is rank deficient.",
    reading="Rank deficiency is named as where such points are: wherever W_Q or W_K has less than full rank, the loss has a critical point, as far as W_Q and "
    "W_K are concerned, and a degenerate one.",
    precise=r"$\operatorname{rank}W_Q < \min(d, d_k)$ or $\operatorname{rank}W_K < \min(d, d_k)$ implies $\partial L/\partial W_Q = 0$, $\partial L/\partial "
    r"W_K = 0$ and a singular Hessian. Rank deficiency "
    r"alone makes no critical point: it leaves some directions of the other matrix without a gradient, not all (landscape.dead-features). Of a point that is "
    r"critical the Hessian is singular, unless $W_Q = W_K = 0$, "
    "where it may be regular (landscape.nondegenerate-origin). Points with full ranks are degenerate in the same way, and more so (landscape.degenerate).",
    sources=(CRITICAL,),
    scope="one head, squared error",
    inventory=("C315",),
    unsaid="the point is critical, and not W_Q = W_K = 0",
    corrected_by="landscape.degenerate",
    derive=degenerate.derive,
    holds=_critical_if_deficient,
    worked=_critical_worked,
)


def _origin_holds(tokens: Row, targets: Row) -> Outcome:
    """Width 1, W_Q = W_K = 0, W_V = mean target over mean token: gradient 0, and the Hessian's determinant is −4 x̄² n · Γ² with Γ = 2w Var(x) Σ_r (ȳ − y_r) x_r."""
    size = len(tokens)
    mean, aim = Fraction(sum(tokens), size), Fraction(sum(targets), size)
    if mean == 0:
        return Outcome.HELD
    weight = aim / mean
    spread = Fraction(sum(x * x for x in tokens), size) - mean * mean
    slope = 2 * weight * spread * sum((aim - y) * x for x, y in zip(tokens, targets, strict=True))
    at = ([[Fraction(0)]], [[Fraction(0)]], [[weight]])

    def along(*which: int) -> tuple[arb, arb]:
        return _along(lambda moved: _loss([[x] for x in tokens], [[y] for y in targets], moved), at, {(place, 0, 0): 1 for place in which})

    hessian = [
        [(along(*{row, column})[1] - (along(row)[1] + along(column)[1] if row != column else -along(row)[1])) for column in range(3)] for row in range(3)
    ]
    wanted = [[0, slope, 0], [slope, 0, 0], [0, 0, 2 * size * mean * mean]]
    return Outcome.worst([exact.equal([along(place)[0] for place in range(3)], [0, 0, 0]), exact.equal(hessian, wanted)])


@derived(
    Claim(
        id="landscape.nondegenerate-origin",
        title="The critical point with W_Q = W_K = 0, where both ranks are least, can be nondegenerate",
        states="(Not in the text, which names rank deficiency as where degenerate critical points are.) Whether rank deficiency always makes a critical point "
        "degenerate.",
        precise=r"Width 1, two tokens $x_1, x_2$ with $x_1 + x_2 \ne 0$, targets $y_1, y_2$, squared error, scores $uv\,x_rx_i$, values $wx_i$: at $u = v = 0$, $w = \frac{y_1 + y_2}{x_1 + x_2}$ "
        r"the gradient is 0 and the Hessian's only entries are $\partial_u\partial_vL = \Gamma = \frac w4(x_1 - x_2)^3(y_2 - y_1)$ and $\partial_w^2L = (x_1 + x_2)^2$; its determinant is $-\Gamma^2(x_1 + x_2)^2$. "
        r"For $x = (0, 2)$, $y = (0, 2)$ it is not 0: a saddle, and no degenerate one.",
        sources=(CRITICAL,),
        scope="one head of width 1, a sequence of two tokens (any length in the search)",
        inventory=("C315",),
        holds=_origin_holds,
    )
)
def nondegenerate_origin() -> Iterator[Step]:
    x, y = sp.symbols("x_1 x_2", real=True), sp.symbols("y_1 y_2", real=True)
    u, v, w = sp.symbols("u v w", real=True)
    outputs = [sum(w * key * sp.exp(u * v * ask * key) for key in x) / sum(sp.exp(u * v * ask * key) for key in x) for ask in x]
    loss = sum((o - aim) ** 2 for o, aim in zip(outputs, y, strict=True))
    best = (y[0] + y[1]) / (x[0] + x[1])

    def at_origin(*letters: sp.Symbol) -> sp.Expr:
        return sp.Subs(sp.Derivative(loss, *letters), (u, v, w), (0, 0, best))

    for letter in (u, v, w):
        yield Step(at_origin(letter), "=", sp.Integer(0), f"no slope in {letter}", nonzero=(x[0] + x[1],))
    slope = best * (x[0] - x[1]) ** 3 * (y[1] - y[0]) / 4
    for first, second, value in ((u, u, 0), (v, v, 0), (u, w, 0), (v, w, 0), (w, w, (x[0] + x[1]) ** 2), (u, v, slope)):
        yield Step(at_origin(first, second), "=", sp.sympify(value), f"the Hessian's entry for {first} and {second}", nonzero=(x[0] + x[1],))
    determinant = -(slope**2) * (x[0] + x[1]) ** 2
    yield Step(
        determinant.subs({x[0]: 0, x[1]: 2, y[0]: 0, y[1]: 2}), "<", sp.Integer(0), "the determinant for x = y = (0, 2): not 0, and negative, so a saddle"
    )


# --- minima, and how gradient descent gets there (C318) -------------------------------------------------------------------------------------


def _corner(size: int, place: int) -> list[int]:
    return [int(place == other) for other in range(size)]


def _means(data: Sequence[Rows]) -> list[list[Fraction]]:
    """The mean token x̄ of each sequence."""
    return [[Fraction(sum(column), len(rows)) for column in zip(*rows, strict=True)] for rows in data]


def _least_root(means: Sequence[Sequence[Fraction]]) -> Fraction:
    """A lower bound of the positive eigenvalues of C, the mean of x̄ x̄ᵀ: with e_r the elementary symmetric functions, e_r / e_(r−1) = 1 / Σ 1/λ. 0 if C = 0."""
    rows = _matrix(means)
    coefficients = [abs(Fraction(int(x.p), int(x.q))) for x in (rows.transpose() * rows / len(means)).charpoly().coeffs()]
    lowest = next(place for place, x in enumerate(coefficients) if x)
    return coefficients[lowest] / coefficients[lowest + 1] if lowest + 1 < len(coefficients) else Fraction(0)


def _descends(data: Sequence[Rows], goal: Row, values: Row, share: Fraction) -> Outcome:
    """Four steps of gradient descent from W_Q = W_K = 0 in exact arithmetic, W_V drawn, the targets being x̄ times the goal.

    No slope in W_Q and W_K; each loss at most (1 − 2ηλ)² times the last one's, λ below the positive eigenvalues; W_V unmoved where C is 0. The step η is a
    share of 1/(2 · trace C), which is less than 1/λ_max.
    """
    size, means = len(goal), _means(data)
    trace = sum((x * x for row in means for x in row), Fraction(0)) / len(means)
    step = share / (2 * trace) if trace else share
    at: list[list[list[Number]]] = [[[0]] * size, [[0]] * size, [[w] for w in values]]
    ctx.cap = 3
    slopes = []
    for rows, mean in zip(data, means, strict=True):
        targets = [[ball(sum((x * y for x, y in zip(mean, goal, strict=True)), Fraction(0)))]] * len(rows)
        slopes += [_along(partial(_loss, rows, targets), at, {(which, row, 0): 1})[0] for which in (0, 1) for row in range(size)]
    weights, losses = [Fraction(w) for w in values], []
    for _ in range(5):
        errors = [sum((x * (w - y) for x, w, y in zip(row, weights, goal, strict=True)), Fraction(0)) for row in means]
        losses.append(sum((e * e for e in errors), Fraction(0)) / len(means))
        weights = [w - 2 * step * sum(e * row[place] for e, row in zip(errors, means, strict=True)) / len(means) for place, w in enumerate(weights)]
    least = _least_root(means)
    falls = all(later <= (1 - 2 * step * least) ** 2 * earlier for earlier, later in pairwise(losses))
    blind = _null_vectors(means) if trace else []
    unmoved = all(sum(x * (w - begun) for x, w, begun in zip(z, weights, values, strict=True)) == 0 for z in blind)
    return Outcome.worst([exact.equal(slopes, [0] * len(slopes)), exact.decided(falls and unmoved and 2 * step * least <= 1)])


def _rows(tokens: Row, product: Number) -> list[arb]:
    """What the rows of a head of width 1 return before W_V, at W_Q W_Kᵀ = product."""
    return [row[0] for row in exact.attention([[ball(product) * x] for x in tokens], [[x] for x in tokens], [[x] for x in tokens])]


def _taught(tokens: Row, teacher: Number, goal: Number) -> list[arb]:
    return [ball(goal) * x for x in _rows(tokens, teacher)]


def _loss_of(outputs: Sequence[arb], targets: Sequence[arb]) -> arb:
    return sum(((o - y) * (o - y) for o, y in zip(outputs, targets, strict=True)), arb(0))


def _spread(targets: Sequence[arb]) -> arb:
    """Σ (y − ȳ)², the least loss of equal outputs."""
    return _loss_of([sum(targets, arb(0)) / len(targets)] * len(targets), targets)


def _floor(tokens: Row, targets: Sequence[arb], sign: int, low: Fraction = Fraction(0), high: Fraction = Fraction(1), halvings: int = 7) -> arb | None:
    """A positive lower bound of the loss over all W_V and all M = sign · t/(1 − t) with low ≤ t ≤ high (t = 1 is M → ∞), or none that these intervals show.

    Row r of M is monotone in M, so it lies between its values at the ends; and two rows m, m' with targets y, y' cost at least (m y' − m' y)² / (m² + m'²).
    """
    if halvings:
        middle = (low + high) / 2
        halves = [half for part in ((low, middle), (middle, high)) if (half := _floor(tokens, targets, sign, *part, halvings - 1)) is not None]
        return min(halves) if len(halves) == 2 else None
    ends = [_rows(tokens, sign * t / (1 - t)) if t < 1 else _limits(tokens, sign) for t in (low, high)]
    best = _best_pair([one.union(other) for one, other in zip(*ends, strict=True)], targets)
    return best.least if best else None


class Pair(NamedTuple):
    """Two rows that the loss must pay for: a lower bound of |m y' − m' y|, an upper one of m² + m'², and what they come to."""

    first: int
    second: int
    cross: arb
    size: arb
    least: arb


def _best_pair(rows: Sequence[arb], targets: Sequence[arb]) -> Pair | None:
    found: list[Pair] = []
    for one, other in combinations(range(len(rows)), 2):
        cross = abs(rows[one] * targets[other] - rows[other] * targets[one]).lower()
        size = (rows[one] * rows[one] + rows[other] * rows[other]).upper()
        if cross > 0:
            found.append(Pair(one, other, cross, size, (cross * cross / size).lower()))
    return max(found, key=lambda pair: float(pair.least), default=None)


def _whole_side(tokens: Row, sign: int) -> list[tuple[Fraction, Fraction]]:
    """Between what the rows lie for all M of one sign: the mean, which they return at M = 0, and the largest or smallest token, their limit."""
    mean, ends = Fraction(sum(tokens), len(tokens)), (Fraction(min(tokens)), Fraction(max(tokens)))
    limits = [mean if x == 0 else ends[x * sign > 0] for x in tokens]
    return [(min(mean, limit), max(mean, limit)) for limit in limits]


def _limits(tokens: Row, sign: int) -> list[arb]:
    """The rows as M tends to infinity (or to minus infinity): the largest or the smallest token, and the mean where the token is 0."""
    ends = (min(tokens), max(tokens))
    return [ball(Fraction(sum(tokens), len(tokens)) if x == 0 else ends[x * sign > 0]) for x in tokens]


def _at_once(tokens: Row, targets: Sequence[arb], sign: int) -> Pair | None:
    """The bound over one whole side of M = 0, from one interval for each row: short enough to be redone by hand."""
    return _best_pair([ball(low).union(ball(high)) for low, high in _whole_side(tokens, sign)], targets)


def _sign(product: Fraction) -> int:
    return (product > 0) - (product < 0)


def _product_of(queries: Sequence[Fraction], keys: Sequence[Fraction]) -> Fraction:
    return sum((Fraction(x) * y for x, y in zip(queries, keys, strict=True)), Fraction(0))


def _fenced(
    data: Sequence[Rows], teacher: Fraction, goal: Row, queries: Sequence[Fraction], keys: Sequence[Fraction], values: Row
) -> tuple[list[arb], arb, arb, Pair] | None:
    """For one sequence of distinct tokens of width 1: targets, loss at the start, the fence Σ(y − ȳ)², and two rows that bound the loss on the start's side of M = 0."""
    product = _product_of(queries, keys)
    if len(goal) > 1 or len(data) > 1 or not _sign(product) * _sign(teacher) < 0:
        return None
    tokens = [row[0] for row in data[0]]
    if len(set(tokens)) < len(tokens):
        return None
    targets = _taught(tokens, teacher, goal[0])
    fence, at_start = _spread(targets), _loss_of(_taught(tokens, product, values[0]), targets)
    if not at_start < fence:
        return None
    pair = _at_once(tokens, targets, _sign(product))
    return None if pair is None else (targets, at_start, fence, pair)


def _converges(
    data: Sequence[Rows], teacher: Fraction, goal: Row, queries: Sequence[Fraction], keys: Sequence[Fraction], values: Row, share: Fraction
) -> Outcome:
    """Whether descent reaches loss 0, which the targets allow: not from behind the fence M = 0, where the loss is bounded below; it does from 0 if the targets are means."""
    if teacher == 0 and not any(queries) and not any(keys):
        return _descends(data, goal, values, share)
    return Outcome.REFUTED if _fenced(data, teacher, goal, queries, keys, values) else Outcome.UNDECIDED


def _converges_worked(
    data: Sequence[Rows], teacher: Fraction, goal: Row, queries: Sequence[Fraction], keys: Sequence[Fraction], values: Row, share: Fraction
) -> str:
    found = _fenced(data, teacher, goal, queries, keys, values)
    assert found is not None
    targets, at_start, fence, pair = found
    product, side = _product_of(queries, keys), ">" if teacher < 0 else "<"
    tokens = [row[0] for row in data[0]]
    between = _whole_side(tokens, _sign(product))
    lies = " and ".join(
        f"{name} (of token {tokens[place]}, target {exact.show(targets[place])}) {_between(*between[place])}"
        for name, place in (("m", pair.first), ("m'", pair.second))
    )
    return (
        f"One sequence of the tokens {', '.join(map(str, tokens))} (width 1). The targets are the layer's own outputs at M = W_Q·W_K = {teacher}, W_V = {goal[0]}: "
        f"{', '.join(exact.show(y) for y in targets)}. So loss 0 is attained, and at every d_k, M being a number. Descent starts at W_Q = ({', '.join(map(str, queries))}), "
        f"W_K = ({', '.join(map(str, keys))}), W_V = {values[0]}: M = {product}, the outputs are {', '.join(exact.show(o) for o in _taught(tokens, product, values[0]))} and the loss is "
        f"{exact.show(at_start)}. Where M = 0 all outputs are equal, and the loss is at least Σ(y − ȳ)² = {exact.show(fence)}. The loss does not rise on the way, so the path never meets M = 0, "
        f"and stays where M {side} 0. There the outputs are W_V times means of the tokens that move one way, if at all, as M leaves 0, from {Fraction(sum(tokens), len(tokens))} towards the largest or the "
        f"smallest token: {lies}. Two such rows cost at least (m y' − m' y)²/(m² + m'²), whatever W_V. Here |m y' − m' y| is at least {_down(pair.cross)}, and m² + m'² at most "
        f"{exact.show(pair.size)}, so the loss stays above {_down(pair.least)}. All starts nearby fail in the same way: it is no accident of one point. (In "
        f"the case, teacher and goal are the M and the W_V that set the targets; queries, keys and values are where descent starts.)"
    )


def _between(low: Fraction, high: Fraction) -> str:
    return f"stays at {low}" if low == high else f"lies between {low} and {high}"


def _down(x: arb) -> float:
    """Rounded down to three places."""
    return floor_down(1000 * float(x)) / 1000


def _descent_holds(
    data: Sequence[Rows], teacher: Fraction, goal: Row, queries: Sequence[Fraction], keys: Sequence[Fraction], values: Row, share: Fraction
) -> Outcome:
    """The same data and W_V with the start W_Q = W_K = 0, and for targets the means through the goal instead of a teacher's outputs."""
    return _descends(data, goal, values, share)


def _fence_holds(tokens: Row, targets: Row, product: Fraction, value: int) -> Outcome:
    """The loss at M = 0 is at least Σ(y − ȳ)², and on either side no drawn point has less than the lower bound found for that side."""
    aims = [ball(y) for y in targets]
    results = [exact.at_most(_spread(aims), _loss_of(_taught(tokens, 0, value), aims))]
    floor = _floor(tokens, aims, 1 if product >= 0 else -1, halvings=4)
    if floor is not None:
        results.append(exact.at_most(floor, _loss_of(_taught(tokens, product, value), aims)))
    return Outcome.worst(results)


@derived(
    Claim(
        id="landscape.sign-of-the-product",
        title="In width 1 descent that starts below the loss of equal outputs never changes the sign of W_Q · W_K",
        states="(Not in the text, which says that it does under certain conditions.) Whether gradient descent finds an optimum that the parameters allow, "
        "from wherever it starts.",
        precise=r"One head on a sequence of tokens $x_r$ of width 1, any $d_k$: $M = W_Q \cdot W_K$ is a number, and the outputs are $w\,m_r(M)$ with $m_r(M) = \sum_i p_{ri}x_i$, $p_{ri} \propto e^{Mx_rx_i}$. At $M = 0$ all "
        r"outputs are equal, and the loss is at least $F = \sum_r(y_r - \bar y)^2$. A continuous path on which the loss stays below $F$ therefore stays on one side of $M = 0$: gradient flow from a start of loss below $F$, or gradient steps small enough that the "
        r"loss does not rise on the way. If on that side the loss is bounded below by more than its least value, it ends above it. Such a bound: $m_r$ grows with $M$ if $x_r > 0$ and falls if $x_r < 0$, and two rows "
        r"$m, m'$ cost at least $\frac{(my' - m'y)^2}{m^2 + m'^2}$ whatever $w$. The starts with loss below $F$ on the wrong side are an open set.",
        sources=(CONVERGENCE,),
        scope="one head of token width 1, every length and every d_k, squared error, one sequence",
        inventory=("C318",),
        uses=("landscape.loss-through-product",),
        holds=_fence_holds,
    )
)
def sign_of_the_product() -> Iterator[Step]:
    aim, value, size = sp.IndexedBase("y", real=True), sp.Symbol("t", real=True), sp.Symbol("M", real=True)
    row = total(sp.exp(size * s[j]) * v[j], j) / total(sp.exp(size * s[l]), l)
    token = sp.IndexedBase("x", real=True)
    mass = total(sp.exp(size * value * token[l]), l)
    answer = total(sp.exp(size * value * token[j]) * token[j], j) / mass
    centred = total(sp.exp(size * value * token[j]) * (token[j] - answer) ** 2, j) / mass
    yield Step(
        sp.Derivative(answer, size), "=", value * centred,
        "the slope of a row in M is its token (here t) times the variance of the tokens under its weights: a row is monotone in M",
    )  # fmt: skip
    first, second, near, far, w = sp.symbols("m m' y y' w", real=True)
    one, two = w * first - near, w * second - far
    yield Step(
        (one**2 + two**2) * (first**2 + second**2) - (first * far - second * near) ** 2, "=", (one * first + two * second) ** 2,
        "the errors of two rows, squared and added, times m² + m'² exceed (m y' − m' y)² by a square",
    )  # fmt: skip
    yield Step(sp.Subs(row, size, 0), "=", total(v[j], j) / n, "at M = 0 all weights are equal: every row returns w x̄, here the mean of the v_j")
    mean = total(aim[j], j) / n
    yield Step(
        total((value - aim[j]) ** 2, j) - total((aim[j] - mean) ** 2, j), "=", n * (value - mean) ** 2,
        "so the loss there exceeds Σ(y − ȳ)² by n(t − ȳ)² with t = w x̄: a path of less loss does not cross M = 0",
    )  # fmt: skip


def _descent_steps() -> Iterator[Step]:
    error, x = sp.IndexedBase("e", real=True), sp.IndexedBase("x", real=True)  # W_V less its goal, one column; means x̄ of the sequences, x[r, a]
    size = sp.Symbol("t", real=True)
    row = total(sp.exp(size * s[j]) * v[j], j) / total(sp.exp(size * s[l]), l)
    yield Step(
        sp.Subs(row, size, 0), "=", total(v[j], j) / n,
        "where W_Q = W_K = 0 both their gradients vanish (landscape.dead-features), so they stay 0, all scores are 0, and every row returns x̄ W_V",
    )  # fmt: skip
    loss = over(over(x[r, a] * error[a], (a, d)) ** 2, (r, m)) / m
    along = loss.xreplace({error[a]: error[a] + size * z[a]})
    yield Step(
        sp.Subs(sp.Derivative(along, size), size, 0), "=", 2 * over(over(x[r, a] * error[a], (a, d)) * over(x[r, b] * z[b], (b, d)), (r, m)) / m,
        "the slope of the loss along z is 2 zᵀCe with C = (1/m) Σ_r x̄_r x̄_rᵀ: the gradient is 2Ce, and a step takes e to (1 − 2ηC) e",
    )  # fmt: skip
    more, part, root = sp.symbols("y e lambda", positive=True)
    product = 2 / (1 + more)  # 2ηλ, between 0 and 2
    rate = product / (2 * root)
    yield Step(
        part - rate * sp.Derivative(root * part**2, part), "=", (1 - product) * part,
        "along an eigenvector of C with eigenvalue λ > 0, where the loss is λ e², a step with 2ηλ = 2/(1 + y) multiplies the error by 1 − 2ηλ",
    )  # fmt: skip
    yield Step(
        (1 - product) ** 2,
        "<",
        sp.Integer(1),
        "which is less than 1 in size for 0 < 2ηλ < 2; where λ = 0 the error stays, and does not matter to the loss",
        certificate=4 * more / (1 + more) ** 2,
    )


gradient_descent = derived(
    Claim(
        id="landscape.gradient-descent",
        title="Under certain conditions gradient descent converges to global optima",
        states="Under certain conditions gradient descent converges to global optima: sufficient model capacity, well-separated input distributions, proper weight initialisation.",
        reading="The three named conditions are the conditions. Capacity: the parameters can fit the targets, loss 0 is attained, and d_k is as large as one likes (from d on it adds nothing to "
        "what a head can do, landscape.loss-through-product, and so it is no overparameterisation; with more heads starts drawn at random fail more rarely, "
        "and whether enough heads would leave none "
        "that fails is not judged here). Separation: the tokens are distinct. Initialisation: a usual start, chosen or drawn without knowing the targets; a "
        "start that is "
        "called proper because descent succeeds from there would make the sentence empty. Steps are small enough that the loss does not rise on the way.",
        precise=r"If loss 0 is attained, the tokens are distinct and the steps are so small that the loss never rises, then descent from every start chosen without knowing the targets tends to loss 0. "
        r"This fails. In width 1 let the targets be the head's own outputs at $M_0 = W_Q \cdot W_K$. Starts with $W_Q \cdot W_K$ of the other sign and a loss below $\sum_r(y_r - \bar y)^2$ are an open "
        r"set; descent from them keeps the sign (landscape.sign-of-the-product), and where no $M$ of that sign fits the targets the loss stays above a "
        r"positive bound. (A remark: several heads that start there all alike stay alike, heads.equal-starts-stay-equal, and are one head: they fail as well.) "
        r"With targets that are the means of a sequence's tokens "
        r"through one matrix, the start $W_Q = W_K = 0$ and a step $\eta < 1/\lambda_{\max}$ it holds (landscape.descent-from-uniform). Capacity is an assumption of substance too: a head may have no optimum to "
        r"converge to (landscape.copying-has-no-optimum; several heads have one).",
        sources=(CONVERGENCE,),
        scope="one head, squared error, all three matrices trained",
        inventory=("C318",),
        uses=("landscape.dead-features", "landscape.sign-of-the-product"),
        unsaid="the targets are x̄ W for one matrix W (x̄ the mean token of a sequence), the start is W_Q = W_K = 0 with any W_V, and the step is below "
        "1/λ_max, λ_max the largest eigenvalue of the mean of x̄ x̄ᵀ",
        corrected_by="landscape.descent-from-uniform",
        holds=_converges,
        worked=_converges_worked,
    )
)(_descent_steps)


descent_from_uniform = derived(
    Claim(
        id="landscape.descent-from-uniform",
        title="From W_Q = W_K = 0 gradient descent finds a global optimum if the targets are means of the tokens through one matrix",
        states="(Not in the text; conditions under which its sentence holds.) When gradient descent on all three matrices provably ends in a global minimum.",
        precise=r"Let every target row be $\bar x W$, $\bar x$ the mean of its sequence's tokens, so that the least loss is 0. From $W_Q = W_K = 0$ and any $W_V$, with a step $0 < \eta < 1/\lambda_{\max}$, $\lambda$ "
        r"the eigenvalues of $C = \mathbb E\,\bar x\bar x^\top$ and the loss $\mathbb E\|\bar xW_V - \bar xW\|^2$, $W_Q$ and $W_K$ stay 0, so that $W_V$ alone "
        r"moves, and the error of $W_V$ along each eigenvector with $\lambda > 0$ shrinks by $|1 - 2\eta\lambda| < 1$ a step; where $\lambda = 0$ it stays, "
        r"and the loss does not see it. "
        r"The loss tends to 0 geometrically, and the parameters converge to a global minimum. In the formula $2\eta\lambda = \frac{2}{1 + y}$, $y > 0$. (The mean is taken over rows, all rows of a sequence having one target.)",
        sources=(CONVERGENCE,),
        scope="every width, every finite data set of any lengths, one column of W_V (columns do not interact); symmetric C is diagonalised by an orthogonal basis",
        inventory=("C318",),
        uses=("landscape.dead-features",),
        holds=_descent_holds,
    )
)(_descent_steps)


def _copying_holds(words: int, sequence: Row, sharpness: int, weights: Rows) -> Outcome:
    """A mixed sequence: a row is off for drawn scores; and with scores t on the own word its own weight is at least 1 − n e^(−t)."""
    places = [word % words for word in sequence]
    tokens = [_corner(words, place) for place in places]
    one = [_corner(words, place) for place in range(words)]
    joint = [[weights[row % len(weights)][column % len(weights[0])] for column in range(words)] for row in range(words)]
    drawn = [[x[0] for x in row] for row in _outputs(tokens, (joint, one, one))]
    sharp = [[x[0] for x in row] for row in _outputs(tokens, ([[sharpness * x for x in row] for row in one], one, one))]
    own = [row[place] for row, place in zip(sharp, places, strict=True)]
    off = len(set(places)) == 1 or all(bool(row[place] < 1) for row, place in zip(drawn, places, strict=True))
    return Outcome.worst([exact.decided(off), exact.at_most([1 - len(places) * ball(-sharpness).exp()] * len(own), own)])


@derived(
    Claim(
        id="landscape.copying-has-no-optimum",
        title="Copying its tokens is a task on which attention has no optimum",
        states="(Not in the text, which speaks of convergence to global optima.) Whether the loss has a global minimum at all.",
        precise=r"Data: the constant sequences of $q \ge 2$ one-hot tokens and at least one mixed sequence, every row to return its own token; one head without output projection, $d_k \ge q$. Loss 0 would need $W_V$ to copy "
        r"every token (constant sequences), and then a row of the mixed sequence returns a mean with positive weights of different tokens, which "
        r"falls short of its own in the own coordinate. With $W_V = 1$ and $W_QW_K^\top = t \cdot 1$ the shortfall is below $n e^{-t}$: the infimum 0 is "
        r"approached and never reached, and minimising sequences of parameters diverge. In the formulas $g_j \ge 0$ is what token $j$ lacks in the own coordinate, "
        r"more than 0 for one key at least; $x$ of the keys have the own word.",
        sources=(CONVERGENCE,),
        scope="every length, every vocabulary of q ≥ 2 one-hot tokens, squared error; one head (several heads and an output projection reach 0: universality.independent-tokens)",
        inventory=("C318",),
        uses=("convexity.every-key-is-attended",),
        holds=_copying_holds,
    )
)
def copying_has_no_optimum() -> Iterator[Step]:
    lack = sp.IndexedBase("g", nonnegative=True)
    least, other = sp.Symbol("delta", positive=True), sp.Symbol("s_0", real=True)
    mass = total(sp.exp(s[l]), l) + sp.exp(other)
    yield Step(
        sp.Integer(0), "<", (total(sp.exp(s[j]) * lack[j], j) + sp.exp(other) * least) / mass,
        "keys have positive weights, and one of them lacks δ > 0: the row falls short, whatever its scores",
    )  # fmt: skip
    sharp, own, rest = sp.symbols("t x y", positive=True)
    yield Step(
        rest / (own * sp.exp(sharp) + rest), "<=", rest / own * sp.exp(-sharp),
        "x keys with the score t, y with the score 0: the weight of the others is at most (y/x) e^(−t), and tends to 0",
        certificate=rest**2 * sp.exp(-sharp) / (own * (own * sp.exp(sharp) + rest)),
    )  # fmt: skip
