"""Low-rank approximations of attention: what they cost, when they are close, and for which inputs no low rank is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import numpy as np
import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.exact import Matrix, ball
from theorems.outcome import Outcome
from theorems.sources import S4, Source
from theorems.step import Step
from theorems.symbols import V, d, e, i, j, k, l, n, p, total

WANG = Source(key="wang2020", title="Linformer: Self-Attention with Linear Complexity", url="https://arxiv.org/abs/2006.04768")
XIONG = Source(key="xiong2021", title="Nyströmformer: A Nyström-Based Algorithm for Approximating Self-Attention", url="https://arxiv.org/abs/2102.03902")
HORN = Source(key="horn2012", title="Matrix Analysis, 2nd ed.", url="https://doi.org/10.1017/CBO9781139020411")

rank = sp.Symbol("k", integer=True, positive=True)  # positions after the projection, or the rank
c = sp.Symbol("c", integer=True, positive=True)  # one of them
f, h = sp.IndexedBase("f", nonnegative=True), sp.IndexedBase("h", nonnegative=True)  # positive and negative part of a row's error
y, z = sp.IndexedBase("y", nonnegative=True), sp.IndexedBase("z", nonnegative=True)
gap = sp.IndexedBase("g", nonnegative=True)
sharp = sp.Symbol("beta", positive=True)
A, B = sp.IndexedBase("A", real=True), sp.IndexedBase("B", real=True)  # factors, A[i, c] and B[c, j]
other = 1 - sp.KroneckerDelta(i, j)
Fractions = Sequence[Sequence[Fraction]]


# --- cost -------------------------------------------------------------------------------------------------------------------------------


def _multiply_adds(length: int, width: int, projected: int) -> int:
    """Keys and values mixed down to `projected` positions, scores against them, and their mixture: counted one by one."""
    count = 0
    for _ in ("keys", "values"):
        count += sum(1 for _ in product(range(projected), range(width), range(length)))
    count += sum(1 for _ in product(range(length), range(projected), range(width)))  # scores
    return count + sum(1 for _ in product(range(length), range(width), range(projected)))  # values


def _cost_holds(length: int, width: int, projected: int) -> Outcome:
    full = 2 * sum(1 for _ in product(range(length), range(length), range(width)))
    count = _multiply_adds(length, width, projected)
    twice = _multiply_adds(2 * length, width, projected)
    return exact.decided(count == 4 * length * projected * width and twice == 2 * count and (count < full) == (2 * projected < length))


@derived(
    Claim(
        id="low_rank.projection-cost",
        title="Attention over k projected positions takes 4nkd multiply-adds",
        states="Low-rank approximations give attention linear complexity in the sequence length.",
        reading="Keys and values are mixed down from n positions to k by two k × n matrices, and k is fixed. Multiply-adds are counted, with Q, K, V and the two matrices given.",
        precise=r"$2knd$ for the two projections, $nkd$ for the scores, $nkd$ for the output: $4nkd$, linear in $n$ for fixed $k$; less than the $2n^2d$ "
        r"of full attention if and only if $2k < n$. If $k$ grows in proportion to $n$, the cost is quadratic again.",
        sources=(S4.at("Linear Attention"), WANG.at("Section 4")),
        scope="every n, k, d ≥ 1; as many keys as queries, d_v = d; how good the output is, is another matter",
        inventory=("C136",),
        kind=Kind.COST,
        holds=_cost_holds,
    )
)
def projection_cost() -> Iterator[Step]:
    position, feature = sp.symbols("l_2 x_2", integer=True, positive=True)
    once = sp.Sum(sp.Sum(total(sp.Integer(1), l), (feature, 1, d)), (c, 1, rank))
    scores = total(sp.Sum(sp.Sum(sp.Integer(1), (feature, 1, d)), (c, 1, rank)), l)
    full = 2 * total(sp.Sum(sp.Sum(sp.Integer(1), (feature, 1, d)), (position, 1, n)), l)
    yield Step(
        full - 2 * once - 2 * scores,
        "=",
        2 * n * d * (n - 2 * rank),
        "Full attention takes 2nd(n − 2k) multiply-adds more: it is the dearer one exactly if 2k < n.",
    )
    yield Step(2 * once + 2 * scores, "=", 4 * n * rank * d, "Two projections, the scores, and the mixture of the projected values.")


# --- how close ---------------------------------------------------------------------------------------------------------------------------


def attention_rows(length: int, sharpness: int) -> list[list[arb]]:
    """Softmax weights of the queries (i, 1) and the keys c(2i, −i²), i = 1..length: two features."""
    places = range(1, length + 1)
    queries = [(place, 1) for place in places]
    keys = [(2 * sharpness * place, -sharpness * place * place) for place in places]
    return [exact.softmax(row) for row in exact.scores(queries, keys)]


def _slack(rows: Sequence[Sequence[arb]]) -> arb:
    """2 min p_ii − 1, what every matrix of a smaller rank misses."""
    return 2 * min((row[place] for place, row in enumerate(rows)), key=lambda x: float(x.mid())) - 1


def _serves(length: int, rank_: int, sharpness: int, error: Fraction) -> Outcome:
    """Whether some matrix of that rank is within `error` in every row; by the lower bound, where that decides."""
    if rank_ >= length:
        return Outcome.HELD
    return Outcome.REFUTED if _slack(attention_rows(length, sharpness)) > ball(error) else Outcome.UNDECIDED


def _serves_worked(length: int, rank_: int, sharpness: int, error: Fraction) -> str:
    rows = attention_rows(length, sharpness)
    shown = "; ".join("[" + ", ".join(exact.show(x, 4) for x in row) + "]" for row in rows)
    return (
        f"Take n = {length}, queries (i, 1) and keys {sharpness}·(2i, −i²): the score minus {sharpness}i² is −{sharpness}(i − j)², so the weights are "
        f"{shown}. A matrix M of rank {rank_} < {length} has a "
        f"vector x with Mx = 0, scaled so that its entry largest in size is 1, at i. There (Px)_i ≥ p_ii − (1 − p_ii), at least "
        f"{exact.show(_slack(rows))}, and this is ((P − M)x)_i, at most the sum of the row's errors: more than {error}. "
        f"The same goes for every rank and every error below 1, with n one more than the rank and keys long enough (low_rank.two-features)."
    )


def _within(rows: Sequence[Sequence[arb]], approximation: Fractions) -> arb:
    """The largest row sum of absolute errors."""
    sums = [sum((abs(x - ball(y_)) for x, y_ in zip(row, other_row, strict=True)), arb(0)) for row, other_row in zip(rows, approximation, strict=True)]
    return max(sums, key=lambda x: float(x.mid()))


def _multiplied(left: Fractions, right: Fractions) -> list[list[Fraction]]:
    return [[sum((x * y_ for x, y_ in zip(row, column, strict=True)), Fraction(0)) for column in zip(*right, strict=True)] for row in left]


def _truncated(rows: Sequence[Sequence[arb]], rank_: int) -> list[list[Fraction]]:
    """The first `rank_` terms of a singular value decomposition, with factors rounded to fractions: of that rank, exactly."""
    U, values, W = np.linalg.svd(np.array([[float(x.mid()) for x in row] for row in rows]))
    left, right = U[:, :rank_] * values[:rank_], W[:rank_]
    return _multiplied(*([[Fraction(round(float(x) * 2**20), 2**20) for x in row] for row in factor] for factor in (left, right)))


def _near_steps() -> Iterator[Step]:
    error = f[j] - h[j]
    yield Step(
        sp.Sum(total(sp.Integer(1), j), (c, 1, rank)), "=", n * rank, "B has k rows of n entries, one multiply-add each for a column of values; A has as many."
    )
    approximate = sp.Sum(A[i, c] * B[c, j], (c, 1, rank))
    yield Step(
        total((approximate + error) * V[j, e], j) - sp.Sum(A[i, c] * total(B[c, j] * V[j, e], j), (c, 1, rank)),
        "=",
        total(error * V[j, e], j),
        "AB times the values is A times (B times the values); what remains is the error of the row times the values.",
    )
    value, size = (z[j] - y[j]) / 2, (z[j] + y[j]) / 2
    yield Step(
        total(error * value, j),
        "<=",
        total((f[j] + h[j]) * size, j),
        "Each value is at most the largest in size.",
        certificate=total(f[j] * y[j] + h[j] * z[j], j),
    )


suffices = derived(
    Claim(
        id="low_rank.suffices",
        title="A low rank approximates attention at linear cost",
        states="Low-rank approximations are a way to approximate attention with linear complexity.",
        reading="A rank that does not grow with n serves every input: some matrix of that rank is within a given error (below 1, in the sum of absolute "
        "errors of each row) of the attention matrix.",
        precise=r"If the weights are $P = AB + \Delta$ with $\sum_j|\Delta_{ij}| \le \varepsilon$ in every row, then $\bigl|\sum_j P_{ij}v_j - \sum_c "
        r"A_{ic}\sum_j B_{cj}v_j\bigr| \le \varepsilon\max_j|v_j|$, at $nk$ multiply-adds a column for $B$ and again for $A$, once $A$ and $B$ are given. "
        r"Without the assumption it is false: low_rank.two-features. "
        r"Written with $\Delta_{ij} = f_j - h_j$, $|\Delta_{ij}| = f_j + h_j$, and $v_j = v_{\max} - y_j = z_j - v_{\max}$ (that is, $v_{\max} = (y_j + "
        r"z_j)/2$).",
        sources=(S4.at("Linear Attention"),),
        scope="every n, k; each coordinate of the values, one side (the other is its mirror image)",
        inventory=("C136",),
        unsaid="the input's attention matrix lies near AB of a rank k that does not grow with n, and A and B are found at linear cost, without forming the matrix",
        corrected_by="low_rank.output-error",
        holds=_serves,
        worked=_serves_worked,
    )
)(_near_steps)


def _output_error_holds(length: int, rank_: int, sharpness: int, error: Fraction) -> Outcome:
    """Values of that size and alternating signs, under the weights and under a matrix of that rank: against the largest row error times the size."""
    rows = attention_rows(length, sharpness)
    near = _truncated(rows, min(rank_, length))
    values = [error * (-1) ** place for place in range(length)]
    gaps = [sum(((x - ball(y_)) * ball(v) for x, y_, v in zip(row, close, values, strict=True)), arb(0)) for row, close in zip(rows, near, strict=True)]
    return exact.at_most([abs(gap_) for gap_ in gaps], [_within(rows, near) * ball(error)] * length)


output_error = derived(
    Claim(
        id="low_rank.output-error",
        title="A low rank serves as well as it fits the input's attention matrix",
        states="(Not in the text, which says that low-rank approximations approximate attention.) How well they do depends on how well the attention matrix "
        "of the input is approximated.",
        precise=r"If the weights are $P = AB + \Delta$ with $\sum_j|\Delta_{ij}| \le \varepsilon$ in every row, then $\bigl|\sum_j P_{ij}v_j - \sum_c "
        r"A_{ic}\sum_j B_{cj}v_j\bigr| \le \varepsilon\max_j|v_j|$, at $nk$ multiply-adds a column for $B$ and again for $A$, once $A$ and $B$ are given. "
        r"Written with $\Delta_{ij} = f_j - h_j$, $|\Delta_{ij}| = f_j + h_j$, and $v_j = v_{\max} - y_j = z_j - v_{\max}$ (that is, $v_{\max} = (y_j + "
        r"z_j)/2$).",
        sources=(S4.at("Linear Attention"),),
        scope="every n, k; each coordinate of the values, one side (the other is its mirror image)",
        inventory=("C136",),
        holds=_output_error_holds,
    )
)(_near_steps)


def _lower_bound_holds(length: int, rank_: int, sharpness: int) -> Outcome:
    """The best matrix of that rank in the least-squares sense, and the first columns alone: neither is closer than the bound."""
    if rank_ >= length:
        return Outcome.HELD
    rows = attention_rows(length, sharpness)
    columns = [[Fraction(round(float(x.mid()) * 2**20), 2**20) if place < rank_ else Fraction(0) for place, x in enumerate(row)] for row in rows]
    return exact.at_most([_slack(rows)] * 2, [_within(rows, _truncated(rows, rank_)), _within(rows, columns)])


@derived(
    Claim(
        id="low_rank.lower-bound",
        title="Attention that keeps to one key in each row is near no matrix of smaller rank",
        states="(Not in the text, which says that low-rank approximations approximate attention.) There are attention matrices that none of them comes near "
        "to.",
        precise=r"For row-stochastic $P \in \mathbb R^{n\times n}$ with positive entries and every $M$ of rank below $n$, some row has $\sum_j|P_{ij} - M_{ij}| \ge 2\min_i "
        r"p_{ii} - 1$. Rank plus nullity is $n$, so $Mx = 0$ for "
        r"some $x \ne 0$; the row is the $i$ where $x$ is largest in size, "
        r"scaled to $x_i = 1$. Written with $P_{ij} - M_{ij} = f_j - h_j$ and $x_j = 2e^{-y_j} - 1$, $y_j \ge 0$, for $j \ne i$ ($x_j = -1$ "
        r"as a limit).",
        sources=(S4.at("Linear Attention"), HORN.at("Section 0.2.3")),
        scope="every n ≥ 1, every row-stochastic P with positive entries, as softmax's are (weights p_j over their sum)",
        inventory=("C136",),
        holds=_lower_bound_holds,
    )
)
def lower_bound() -> Iterator[Step]:
    weight, own = p[j] / total(p[l], l), p[i] / total(p[l], l)
    x = 2 * sp.exp(-y[j]) - 1
    above, below = 2 * (1 - sp.exp(-y[j])), 2 * sp.exp(-y[j])  # 1 − x_j and 1 + x_j
    yield Step(x, "<=", sp.Integer(1), "No entry exceeds the largest in size.", certificate=above)
    yield Step(-x, "<=", sp.Integer(1), "The same downwards.", certificate=below)
    entry = weight - f[j] + h[j]  # M_ij for j ≠ i
    on_the_diagonal = -total(other * entry * x, j)  # M_ii, from Mx = 0 and x_i = 1
    yield Step(
        2 * own - 1,
        "<=",
        own - on_the_diagonal + total(other * (f[j] + h[j]), j),
        "Mx = 0 gives M_ii; the error there is at least P_ii − M_ii, the other errors are f_j + h_j.",
        certificate=total(other**2 * (weight * below + f[j] * above + h[j] * below), j),
    )


def _two_features_holds(length: int, sharpness: int) -> Outcome:
    rows = attention_rows(length, sharpness)
    leak = (length - 1) * ball(-sharpness).exp()
    kernel = [[ball(-sharpness * (one - two) ** 2).exp() for two in range(length)] for one in range(length)]
    return Outcome.worst([exact.at_most([(1 - leak) / (1 + leak)], [_slack(rows)]), exact.equal(rows, [[x / sum(row, arb(0)) for x in row] for row in kernel])])


@derived(
    Claim(
        id="low_rank.two-features",
        title="Scores of rank 2 give attention matrices that no low rank approximates",
        states="(Not in the text, which says that low-rank approximations approximate attention.) The scores QKᵀ have rank at most d; the weights after the "
        "softmax need not be near any matrix "
        "of low rank.",
        precise=r"With queries $(i, 1)$ and keys $\beta(2j, -j^2)$ the score is $\beta i^2 - \beta(i-j)^2$, and every $p_{ii} \ge 1/(1 + "
        r"(n-1)e^{-\beta})$: by low_rank.lower-bound every matrix of rank below $n$ is off by "
        r"$\dfrac{1 - (n-1)e^{-\beta}}{1 + (n-1)e^{-\beta}}$ in some row, which tends to 1 as $\beta$ grows. Written with $(i-j)^2 = 1 + g_j$, $j \ne i$.",
        sources=(S4.at("Linear Attention"),),
        scope="every n ≥ 1 and β > 0; two features",
        inventory=("C136",),
        uses=("low_rank.lower-bound",),
        holds=_two_features_holds,
    )
)
def two_features() -> Iterator[Step]:
    yield Step(i * (2 * sharp * j) - sharp * j**2, "=", sharp * i**2 - sharp * (i - j) ** 2, "The dot product of (i, 1) and β(2j, −j²).")
    leak = (n - 1) * sp.exp(-sharp)
    rest = total(other * sp.exp(-sharp * (1 + gap[j])), j)
    yield Step(
        rest, "<=", leak, "The term βi² is common to the row; the n − 1 other keys lie at least β below the query's own.",
        certificate=total(other**2 * sp.exp(-sharp) * (1 - sp.exp(-sharp * gap[j])), j),
    )  # fmt: skip
    small, room = sp.symbols("x y", nonnegative=True)  # the other weights' sum, and leak − x
    yield Step(
        (1 - (small + room)) / (1 + small + room), "<=", 2 / (1 + small) - 1,
        "p_ii is 1 over 1 plus the others' sum x ≤ x + y = (n − 1)e^(−β); so this is at most 2p_ii − 1.",
        certificate=2 * room / ((1 + small) * (1 + small + room)),
    )  # fmt: skip


# --- Nyström, and masks -------------------------------------------------------------------------------------------------------------------


def _inverse(matrix: Fractions) -> list[list[Fraction]]:
    """By elimination, with exchange of rows."""
    size = len(matrix)
    rows = [[*row, *(Fraction(place == column) for column in range(size))] for place, row in enumerate(matrix)]
    for place in range(size):
        pivot = next(row for row in range(place, size) if rows[row][place] != 0)
        rows[place], rows[pivot] = rows[pivot], rows[place]
        rows[place] = [x / rows[place][place] for x in rows[place]]
        for row in range(size):
            if row != place:
                rows[row] = [x - rows[row][place] * y_ for x, y_ in zip(rows[row], rows[place], strict=True)]
    return [row[size:] for row in rows]


def _landmarks_hold(lower: Fractions, upper: Fractions, left: Fractions, right: Fractions) -> Outcome:
    """The matrix [I; Y] A [I, X], A = lower · upper (triangles with a non-zero diagonal), against its approximation from the landmarks' rows and columns."""
    size = len(lower)
    block = _multiplied(lower, upper)
    unit = [[Fraction(row == column) for column in range(size)] for row in range(size)]
    whole = _multiplied(_multiplied([*unit, *left], block), [[*u, *x] for u, x in zip(unit, right, strict=True)])
    columns, rows = [row[:size] for row in whole], whole[:size]
    return exact.decided(_multiplied(_multiplied(columns, _inverse([row[:size] for row in rows])), rows) == whole)


@derived(
    Claim(
        id="low_rank.nystrom",
        title="A Nyström approximation is exact where the landmarks carry the whole rank",
        states="(Not in the text, which names low-rank approximations.) One of them rebuilds the matrix from a few landmark rows and columns.",
        precise=r"Let the landmark block $A$ be invertible, with $B = A^{-1}$, and let the whole matrix have the rank of $A$, so that it is $\begin{pmatrix}A & AX\\ YA & "
        r"YAX\end{pmatrix}$. Then $\begin{pmatrix}A\\ YA\end{pmatrix}B\begin{pmatrix}A & AX\end{pmatrix}$ is the matrix itself. Entry by entry, with $y$ a row of $I$ or "
        r"of $Y$ and $z$ a column of $A$ or of $AX$: $yABz - yz = y(AB - I)z$ for every $B$, and this is 0 for the inverse. (Nyströmformer's three factors are "
        r"softmaxes, each normalised for itself, and no blocks of the attention matrix; so this does not make it exact.)",
        sources=(S4.at("Linear Attention"), XIONG.at("Section 3")),
        scope="any number n of landmarks, any number of rows and columns beside them, every real entry; A invertible, the rest as the rank requires",
        holds=_landmarks_hold,
    )
)
def nystrom() -> Iterator[Step]:
    block, inverse, row, column = (sp.IndexedBase(letter, real=True) for letter in ("A", "B", "y", "z"))
    identity = sp.KroneckerDelta(i, k)
    along = total(row[i] * block[i, j], i)  # yA
    rebuilt = total(total(along * inverse[j, k], j) * column[k], k)
    deviation = total(row[i] * (total(block[i, j] * inverse[j, k], j) - identity), i)
    yield Step(
        rebuilt - total(row[i] * column[i], i),
        "=",
        total(deviation * column[k], k),
        "By associativity (yA)(Bz) = y(AB)z. The inverse has AB = I, which leaves yz: an entry of A, of AX, of YA or of YAX.",
    )


F = sp.IndexedBase("F", real=True)  # the projection of the values, F[c, j]


def _mixed(weights: Sequence[int], projection: Matrix, values: Sequence[int], shift: int, place: int) -> Outcome:
    """The output of one query over projected positions, before and after one value is shifted."""
    at = place % len(values)
    moved = [value + shift * (where == at) for where, value in enumerate(values)]

    def output(v: Sequence[int]) -> arb:
        projected = [sum(x * y_ for x, y_ in zip(row, v, strict=True)) for row in projection]
        return sum((w * ball(x) for w, x in zip(exact.softmax(weights), projected, strict=True)), arb(0))

    rate = sum((w * ball(row[at]) for w, row in zip(exact.softmax(weights), projection, strict=True)), arb(0))
    return exact.equal([output(moved) - output(values)], [shift * rate])


@derived(
    Claim(
        id="low_rank.projection-is-not-causal",
        title="A positive projection over positions lets every query see every value",
        states="(Not in the text, which names low-rank approximations.) Where they mix positions before the softmax there is no place for a causal mask.",
        precise=r"$\partial o/\partial v_i = \sum_c p_c F_{ci}$ for $o = \sum_c p_c\sum_j F_{cj}v_j$, $p$ the weights over the projected positions: the "
        r"same for early and for late positions $i$, and with positive weights and a "
        r"projection $F > 0$ never 0.",
        sources=(S4.at("Linear Attention"), WANG.at("Section 4")),
        scope="every n, k, all positive weights over the projected positions, as softmax's are; F > 0 for the last sentence",
        holds=_mixed,
    )
)
def projection_is_not_causal() -> Iterator[Step]:
    value, positive = sp.IndexedBase("v", real=True), sp.IndexedBase("F", positive=True)
    yield Step(sp.Integer(0), "<", sp.Sum(p[c] * positive[c, i], (c, 1, rank)), "With positive weights and a positive projection the slope below is positive.")
    output = sp.Sum(p[c] * total(F[c, j] * value[j], j), (c, 1, rank))
    yield Step(sp.Derivative(output, value[i]), "=", sp.Sum(p[c] * F[c, i], (c, 1, rank)), "The projected values are linear in each value, masked or not.")
