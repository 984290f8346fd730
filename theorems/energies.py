"""Score functions: concat, additive, dot, general and bilinear. Which of them are the same, what each can express, and what their weights obey.

Widths: the query has d_q features, a key d_k, the hidden layer of the additive score d_a units. In derivations with inequalities
tanh z is written as (e^{2z} − 1)/(e^{2z} + 1); the searches use the function itself, in balls.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.exact import ball, decided
from theorems.multi_head import rank, times
from theorems.outcome import Outcome
from theorems.sources import S0, S3, VASWANI, Source
from theorems.step import Step
from theorems.symbols import K, Q, V, a, d, e, j, l, m, r, s, total

Row = Sequence[int]
Matrix = Sequence[Row]

BAHDANAU = Source(key="bahdanau2015", title="Neural Machine Translation by Jointly Learning to Align and Translate", url="https://arxiv.org/abs/1409.0473")
LUONG = Source(key="luong2015", title="Effective Approaches to Attention-based Neural Machine Translation", url="https://arxiv.org/abs/1508.04025")
DOZAT = Source(key="dozat2017", title="Deep Biaffine Attention for Neural Dependency Parsing", url="https://arxiv.org/abs/1611.01734")
HORNIK = Source(key="hornik1989", title="Multilayer feedforward networks are universal approximators", url="https://doi.org/10.1016/0893-6080(89)90020-8")

d_q, d_k, d_a, d_h = sp.symbols("d_q d_k d_a d_h", integer=True, positive=True)
u, x, y, z, t = sp.symbols("u x y z t", integer=True, positive=True)  # a hidden unit; features of the query, of the key, of both; of a head
q = sp.IndexedBase("q", real=True)  # one query, q[x]
k = sp.IndexedBase("k", real=True)  # one key, k[y]
q2 = sp.IndexedBase("q'", real=True)
k2 = sp.IndexedBase("k'", real=True)
W = sp.IndexedBase("W", real=True)  # the matrix of the general score, W[x, y]
W_q = sp.IndexedBase("W_q", real=True)  # W_q[u, x]
W_k = sp.IndexedBase("W_k", real=True)  # W_k[u, y]
W_a = sp.IndexedBase("W_a", real=True)  # W_a[u, z], z over the features of both
v_a = sp.IndexedBase("v_a", real=True)  # v_a[u]
bias = sp.IndexedBase("b", real=True)  # b[u]
first, second = sp.symbols("lambda mu", real=True)
D = sp.KroneckerDelta


def units(body: sp.Expr) -> sp.Expr:
    """The sum over the hidden units."""
    return sp.Sum(body, (u, 1, d_a))


def queried(body: sp.Expr) -> sp.Expr:
    """The sum over the query's features."""
    return sp.Sum(body, (x, 1, d_q))


def keyed(body: sp.Expr) -> sp.Expr:
    """The sum over the key's features."""
    return sp.Sum(body, (y, 1, d_k))


def quotient(exponent: sp.Expr) -> sp.Expr:
    """tanh(exponent) = (e^{2·exponent} − 1)/(e^{2·exponent} + 1)."""
    return (sp.exp(2 * exponent) - 1) / (sp.exp(2 * exponent) + 1)


def dot(one: Row, other: Row) -> int:
    return sum(left * right for left, right in zip(one, other, strict=True))


def mapped(matrix: Matrix, vector: Row) -> list[int]:
    """The product of a matrix and a column."""
    return [dot(row, vector) for row in matrix]


def additive(query: Row, key: Row, query_map: Matrix, key_map: Matrix, output: Row, biases: Row | None = None) -> arb:
    """v_aᵀ tanh(W_q q + W_k k + b), with b = 0 if there is none. Shapes: query [d_q], key [d_k], maps [d_a, d_q] and [d_a, d_k], output [d_a]."""
    hidden = zip(mapped(query_map, query), mapped(key_map, key), biases or [0] * len(output), strict=True)
    return sum((ball(weight) * ball(sum(parts)).tanh() for weight, parts in zip(output, hidden, strict=True)), arb(0))


def general(query: Row, matrix: Matrix, key: Row) -> int:
    """qᵀ W k. Shapes: query [d_q], matrix [d_q, d_k], key [d_k]."""
    return dot(query, mapped(matrix, key))


def negated(vector: Row) -> list[int]:
    return [-entry for entry in vector]


# --- one mechanism under several names ---------------------------------------------------------------------------------------------------


def _concat(query: Row, key: Row, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """One matrix applied to the concatenation, against its two blocks applied to query and key."""
    blocks = [[*left, *right] for left, right in zip(query_map, key_map, strict=True)]
    hidden = mapped(blocks, [*query, *key])
    joint = sum((ball(weight) * ball(unit).tanh() for weight, unit in zip(output, hidden, strict=True)), arb(0))
    return exact.equal(joint, additive(query, key, query_map, key_map, output))


def joined(feature: sp.Expr) -> sp.Expr:
    """Feature `feature` of [q; k]: those of the query first."""
    return queried(D(feature, x) * q[x]) + keyed(D(feature, d_q + y) * k[y])


@derived(
    Claim(
        id="energies.concat-is-additive",
        title="The concat score is the additive score",
        states="v_aᵀ tanh(W_a[q; k]), v_aᵀ tanh(W_q q + W_k k) and vᵀ tanh(W₁q + W₂k) are written for the same score.",
        precise=r"$v_a^\top\tanh(W_a[q;k]) = v_a^\top\tanh(W_q q + W_k k)$, where $W_q$ is the first $d_q$ and $W_k$ the last $d_k$ columns of $W_a$: every $W_a$ is "
        r"such a pair of blocks, and every pair is one $W_a$.",
        sources=(S0.at("Energy Function"), S0.at("Variants"), S3.at("Additive Attention"), LUONG.at("Section 3.1")),
        scope="every d_q, d_k, d_a ≥ 1, all real parameters and inputs, no bias",
        inventory=("C008",),
        holds=_concat,
    )
)
def concat_is_additive() -> Iterator[Step]:
    whole = sp.Sum(W_a[u, z] * joined(z), (z, 1, d_q + d_k))
    parts = queried(W_a[u, x] * q[x]) + keyed(W_a[u, d_q + y] * k[y])
    yield Step(whole, "=", parts, "each feature of the concatenation is one of the query's or one of the key's, so the sum over features splits in two")
    yield Step(units(v_a[u] * sp.tanh(whole)), "=", units(v_a[u] * sp.tanh(parts)), "the units are equal one by one")


def _mirrored(query: Row, keys: Matrix, query_map: Matrix, key_map: Matrix, output: Row, biases: Row) -> list[arb]:
    """For each key: its weight, times its weight when the query and all keys change their signs."""
    plain = exact.softmax([additive(query, key, query_map, key_map, output, biases) for key in keys])
    opposite = exact.softmax([additive(negated(query), negated(key), query_map, key_map, output, biases) for key in keys])
    return [one * other for one, other in zip(plain, opposite, strict=True)]


def _no_bias_needed(query: Row, keys: Matrix, query_map: Matrix, key_map: Matrix, output: Row, biases: Row) -> Outcome:
    """Whether weights with a bias have the symmetry that all weights without one have."""
    products = _mirrored(query, keys, query_map, key_map, output, biases)
    return exact.equal(products, [products[0]] * len(products))


def _bias_absorbed(query: Row, keys: Matrix, query_map: Matrix, key_map: Matrix, output: Row, biases: Row) -> Outcome:
    """A bias against a constant feature 1 of the keys; and without a bias the symmetry."""
    wide = [[*row, shift] for row, shift in zip(key_map, biases, strict=True)]
    with_bias = [additive(query, key, query_map, key_map, output, biases) for key in keys]
    without = [additive(query, [*key, 1], query_map, wide, output) for key in keys]
    nothing = _no_bias_needed(query, keys, query_map, key_map, output, [0] * len(biases))
    return Outcome.worst([exact.equal(with_bias, without), nothing])


def _bias_by_hand(query: Row, keys: Matrix, query_map: Matrix, key_map: Matrix, output: Row, biases: Row) -> str:
    plain = [additive(query, key, query_map, key_map, output, biases) for key in keys]
    opposite = [additive(negated(query), negated(key), query_map, key_map, output, biases) for key in keys]
    products = _mirrored(query, keys, query_map, key_map, output, biases)
    scores, scores_after, weights, weights_after, shown = (
        ", ".join(map(exact.show, row)) for row in (plain, opposite, exact.softmax(plain), exact.softmax(opposite), products)
    )
    return (
        "Without b the score is odd: e(−q, −k) = −e(q, k), whatever the other parameters and however many units there are. So if the query and all keys change their signs, the "
        "odds between two keys turn into their inverse, and (weight) × (weight after the change) is the same number for every key. "
        f"Now take b = {list(biases)}, W_q = {[list(row) for row in query_map]}, W_k = {[list(row) for row in key_map]}, v_a = {list(output)}, q = {list(query)} and the "
        f"keys {[list(key) for key in keys]}. The scores are {scores} and the weights {weights}. After the change of signs the scores are {scores_after} and the weights {weights_after}. "
        f"The products are {shown}, and they are not equal: no formula without b gives these weights on these vectors and on their opposites."
    )


@derived(
    Claim(
        id="energies.one-additive-mechanism",
        title="The additive formulas with and without a bias are the same mechanism",
        states="Additive attention is defined four times: three formulas have no bias inside the tanh, one has the bias b.",
        reading="The formulas are interchangeable: whatever weights the formula with b gives, as a function of query and keys, the formulas without b give too, with some parameters "
        "and some number of units.",
        precise=r"The weights of $v_a^\top\tanh(W_q q+W_k k+b)$ are those of some formula without $b$. All weights of the latter have a symmetry: "
        r"$\alpha_i(q,K)\,\alpha_i(-q,-K) = \alpha_j(q,K)\,\alpha_j(-q,-K)$ for all $i$, $j$, since $e(-q,-k) = -e(q,k)$. In the formula $s_j = e(q,k_j)$: the product for the "
        r"key $j$ is $1/(ZZ')$, with the divisors $Z$ and $Z'$ of the two rows, and so it is the same for every key. With $b\ne0$ the products may differ.",
        sources=(S0.at("Energy Function"), S0.at("Mathematical Formulation"), S0.at("Architecture"), S3.at("Additive Attention")),
        scope="all sizes, all real parameters and inputs",
        inventory=("C009",),
        uses=("energies.concat-is-additive",),
        unsaid="b = 0, or a feature of the inputs is constant and can carry the bias",
        corrected_by="energies.bias-is-a-constant-feature",
        holds=_no_bias_needed,
        worked=_bias_by_hand,
    )
)
def bias_is_immaterial() -> Iterator[Step]:
    def score(sign: int, key: sp.Symbol) -> sp.Expr:
        """The score without a bias, of sign · q and sign · k."""
        return units(v_a[u] * sp.tanh(queried(W_q[u, x] * (sign * q[x])) + keyed(W_k[u, y] * (sign * K[key, y]))))

    def weight(sign: int) -> sp.Expr:
        return sp.exp(sign * s[j]) / total(sp.exp(sign * s[l]), l)

    yield Step(score(-1, j), "=", -score(1, j), "without b every unit's argument changes its sign with q and k, and tanh is odd")
    yield Step(
        sp.UnevaluatedExpr(weight(1)) * sp.UnevaluatedExpr(weight(-1)),
        "=",
        1 / (total(sp.exp(s[l]), l) * total(sp.exp(-s[l]), l)),
        "so the scores s_j become −s_j, and the product of the two weights is the same number for every key j",
    )


@derived(
    Claim(
        id="energies.bias-is-a-constant-feature",
        title="A bias inside the tanh is the weight of a constant feature",
        states="(Not in the text; it follows from the two formulas.) A formula without b on one more feature, which is constant, is the formula with b.",
        precise=r"$v_a^\top\tanh\big(W_q q + (W_k + b\,w^\top)k\big) = v_a^\top\tanh\big(W_q q + W_k k + b\,\langle w,k\rangle\big)$: where some $w$ has $\langle w,k_j\rangle = 1$ "
        r"for all keys, as with a coordinate that is always 1, the right side is the formula with $b$ and the left side one without. The three formulas without $b$ are one.",
        sources=(S0.at("Mathematical Formulation"), BAHDANAU.at("Appendix A.1.2")),
        scope="every d_q, d_k, d_a ≥ 1, all real parameters and inputs",
        inventory=("C009",),
        uses=("energies.concat-is-additive",),
        holds=_bias_absorbed,
    )
)
def bias_as_feature() -> Iterator[Step]:
    w = sp.IndexedBase("w", real=True)
    from_query = queried(W_q[u, x] * q[x])
    absorbed, plain = keyed((W_k[u, y] + bias[u] * w[y]) * k[y]), keyed(W_k[u, y] * k[y]) + bias[u] * keyed(w[y] * k[y])
    yield Step(absorbed, "=", plain, "the rank-one part of the matrix sees only the constant feature")
    yield Step(units(v_a[u] * sp.tanh(from_query + absorbed)), "=", units(v_a[u] * sp.tanh(from_query + plain)), "and so for every unit")


def _multiplicative(query: Row, key: Row, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """Whether doubling the query doubles the concat score, as it doubles every product with the query."""
    doubled = [2 * entry for entry in query]
    return exact.equal(additive(doubled, key, query_map, key_map, output), 2 * additive(query, key, query_map, key_map, output))


def _multiplicative_by_hand(query: Row, key: Row, query_map: Matrix, key_map: Matrix, output: Row) -> str:
    doubled = [2 * entry for entry in query]
    once, twice = (additive(vector, key, query_map, key_map, output) for vector in (query, doubled))
    before, after = ([left + right for left, right in zip(mapped(query_map, vector), mapped(key_map, key), strict=True)] for vector in (query, doubled))
    return (
        f"q = {list(query)}, k = {list(key)}, W_a = {[[*left, *right] for left, right in zip(query_map, key_map, strict=True)]}, v_a = {list(output)}: W_a[q; k] = {before}, and the "
        f"concat score v_aᵀ tanh{before} is {exact.show(once)}. With the query doubled W_a[2q; k] = {after}, and the score is {exact.show(twice)}. If the score were some product qᵀWk, that "
        f"of 2q would be twice that of q. But twice {exact.show(once)} is {exact.show(2 * once)}. The score adds W_q q and W_k k, and multiplies nothing of the query with anything of the key."
    )


concat_multiplies = Claim(
    id="energies.concat-is-multiplicative",
    title="Concat is a variant of multiplicative attention",
    states="Three variants of multiplicative attention are listed under the name of Luong et al.: dot, general, and concat, v_aᵀ tanh(W_a[q; k]).",
    reading="A multiplicative score multiplies query and key, as qᵀk and qᵀWk do, and so is linear in the query; an additive one has a hidden layer (Vaswani et al. use the two words "
    "so). The text's own list of energies calls this same formula additive. That Luong et al. compare these three scores is true; it is a fact about their paper, which does not make "
    "the third a product.",
    precise=r"$e(2q, k) = 2\,e(q, k)$ for the concat score $e$ and all its parameters.",
    sources=(S0.at("Variants"), S0.at("Energy Function"), LUONG.at("Section 3.1"), VASWANI.at("Section 3.2.1")),
    scope="all sizes, all real parameters and inputs",
    inventory=("C059",),
    corrected_by="energies.concat-is-additive",
    holds=_multiplicative,
    worked=_multiplicative_by_hand,
)


# --- products of query and key -----------------------------------------------------------------------------------------------------------


def _bilinear(query: Row, key: Row, other_query: Row, other_key: Row, matrix: Matrix, one: int, other: int) -> Outcome:
    mixed_query = [one * left + other * right for left, right in zip(query, other_query, strict=True)]
    mixed_key = [one * left + other * right for left, right in zip(key, other_key, strict=True)]
    in_query = general(mixed_query, matrix, key) == one * general(query, matrix, key) + other * general(other_query, matrix, key)
    return decided(in_query and general(query, matrix, mixed_key) == one * general(query, matrix, key) + other * general(query, matrix, other_key))


def product(query: sp.Expr, key: sp.Expr) -> sp.Expr:
    """qᵀWk for the query with features `query` in x and the key with features `key` in y."""
    return queried(keyed(query * W[x, y] * key))


@derived(
    Claim(
        id="energies.general-is-bilinear",
        title="The general score is bilinear",
        states="The general energy, qᵀWk, scores a query against a key through a learned matrix.",
        precise=r"$e(q,\lambda k+\mu k')=\lambda e(q,k)+\mu e(q,k')$, and the same in $q$, for $e(q,k)=q^\top Wk$.",
        sources=(S0.at("Energy Function"), S0.at("General Multiplicative Attention"), LUONG.at("Section 3.1")),
        scope="every d_q, d_k ≥ 1, all real W, queries, keys, λ, μ",
        inventory=("C010",),
        holds=_bilinear,
    )
)
def general_is_bilinear() -> Iterator[Step]:
    yield Step(product(first * q[x] + second * q2[x], k[y]), "=", first * product(q[x], k[y]) + second * product(q2[x], k[y]), "linear in the query")
    yield Step(product(q[x], first * k[y] + second * k2[y]), "=", first * product(q[x], k[y]) + second * product(q[x], k2[y]), "and linear in the key")


def _moved_query(query: Row, key: Row, matrix: Matrix) -> Outcome:
    """qᵀWk = (Wᵀq)·k, in the key's space; with W = I (here on the query alone) the dot product."""
    moved = mapped(list(zip(*matrix, strict=True)), query)
    identity = [[int(row == column) for column in range(len(query))] for row in range(len(query))]
    same_space = len(moved) == len(key)
    return decided(same_space and dot(moved, key) == general(query, matrix, key) and general(query, identity, query) == dot(query, query))


@derived(
    Claim(
        id="energies.general-is-a-dot-product",
        title="The general score is a dot product in the key's space, of the key and Wᵀq",
        states="W learns the interaction between the spaces of queries and keys.",
        precise=r"$q^\top W k = (W^\top q)\cdot k$: $W^\top$ takes the query to $\mathbb R^{d_k}$, and there the score is a dot product. With $d_q = d_k$ and $W = I$ it is $q\cdot k$.",
        sources=(S0.at("General Multiplicative Attention"), S0.at("Energy Function")),
        scope="every d_q, d_k ≥ 1, all real W, queries and keys",
        inventory=("C010", "C054"),
        holds=_moved_query,
    )
)
def general_is_a_dot_product() -> Iterator[Step]:
    b = sp.Symbol("b", integer=True, positive=True)
    identity = sp.Sum(sp.Sum(q[a] * D(a, b) * k[b], (b, 1, d)), (a, 1, d))
    yield Step(identity, "=", total(q[a] * k[a], a), "with W = I, for one width d, it is the dot product")
    yield Step(product(q[x], k[y]), "=", keyed(queried(W[x, y] * q[x]) * k[y]), "the sum over the query's features may be taken first")


def _low_rank(query_projection: Matrix, key_projection: Matrix) -> Outcome:
    """rank(W_Q W_Kᵀ) ≤ d_h. Shapes: [d_q, d_h] and [d_k, d_h]."""
    width = len(query_projection[0])
    return decided(rank(times(query_projection, list(zip(*key_projection, strict=True)))) <= width)


@derived(
    Claim(
        id="energies.low-rank",
        title="Projecting query and key to d_h features makes a general score of rank at most d_h",
        states="(Not in the text; it follows from the general score.) A head's score is qᵀ W_Q W_Kᵀ k: a general score whose matrix is factored.",
        precise=r"$W_Q W_K^\top k = \sum_{t=1}^{d_h} (W_K^\top k)_t\, W_{Q,\cdot t}$ for every $k$: the image of $W = W_Q W_K^\top$ is spanned by the $d_h$ columns of $W_Q$, so, as "
        r"the rank is the dimension of the image, $\mathrm{rank}\,W\le d_h$. A general score of higher rank, such as $q\cdot k$ in more than $d_h$ dimensions, is out of that head's reach.",
        sources=(S0.at("General Multiplicative Attention"),),
        scope="every d_q, d_k, d_h ≥ 1, all real projections",
        inventory=("C010",),
        uses=("energies.general-is-a-dot-product",),
        holds=_low_rank,
    )
)
def low_rank() -> Iterator[Step]:
    left, right = sp.IndexedBase("W_Q", real=True), sp.IndexedBase("W_K", real=True)
    matrix = sp.Sum(left[x, t] * right[y, t], (t, 1, d_h))
    yield Step(keyed(matrix * k[y]), "=", sp.Sum(keyed(right[y, t] * k[y]) * left[x, t], (t, 1, d_h)), "entry x of W k: a combination of d_h fixed columns")


def _biased(query: Row, matrix: Matrix, key: Row, query_bias: Row, key_bias: Row) -> int:
    return general(query, matrix, key) + dot(query_bias, query) + dot(key_bias, key)


def _bilinear_with_bias(query: Row, key: Row, matrix: Matrix, query_bias: Row, key_bias: Row) -> Outcome:
    """Linear in the query: doubled with it."""
    doubled = [2 * entry for entry in query]
    return decided(_biased(doubled, matrix, key, query_bias, key_bias) == 2 * _biased(query, matrix, key, query_bias, key_bias))


def _biaffine(query: Row, key: Row, matrix: Matrix, query_bias: Row, key_bias: Row) -> Outcome:
    """The bordered matrix between [q; 1] and [k; 1]."""
    bordered = [*([*row, shift] for row, shift in zip(matrix, query_bias, strict=True)), [*key_bias, 0]]
    return decided(general([*query, 1], bordered, [*key, 1]) == _biased(query, matrix, key, query_bias, key_bias))


def _bias_breaks_bilinearity(query: Row, key: Row, matrix: Matrix, query_bias: Row, key_bias: Row) -> str:
    once, twice = (_biased([c * entry for entry in query], matrix, key, query_bias, key_bias) for c in (1, 2))
    return (
        f"q = {list(query)}, k = {list(key)}, W = {[list(row) for row in matrix]}, b_q = {list(query_bias)}, b_k = {list(key_bias)}: e(q, k) = qᵀWk + b_q·q + b_k·k = "
        f"{general(query, matrix, key)} + {dot(query_bias, query)} + {dot(key_bias, key)} = {once}. A bilinear score would give e(2q, k) = {2 * once}. But the first two terms double and "
        f"the third does not, so e(2q, k) = {twice}. Already e(0, k) = b_k·k = {dot(key_bias, key)}, where a bilinear score is 0."
    )


bilinear_with_bias = Claim(
    id="energies.bilinear-with-bias",
    title="qᵀWk + bᵀ[q; k] is bilinear",
    states="The fifth energy, “bilinear”, is qᵀWk + bᵀ[q; k].",
    reading="Bilinear means linear in the query for each key, and linear in the key for each query. With b = 0 it would be so, but then it is the text's fourth energy.",
    precise=r"$e(2q,k) = 2e(q,k)$ for $e(q,k) = q^\top W k + b_q\cdot q + b_k\cdot k$, where $b = [b_q; b_k]$ is split as $[q; k]$ is.",
    sources=(S0.at("Energy Function"),),
    scope="all sizes, all real parameters and inputs",
    inventory=("C011",),
    corrected_by="energies.biaffine",
    holds=_bilinear_with_bias,
    worked=_bias_breaks_bilinearity,
)


@derived(
    Claim(
        id="energies.biaffine",
        title="qᵀWk + bᵀ[q; k] is affine in the query and in the key",
        states="(Not in the text; it follows from the formula.) The energy with a bias is biaffine, and with a constant feature on both sides it becomes bilinear.",
        precise=r"$e(\lambda q + (1-\lambda)q', k) = \lambda e(q,k) + (1-\lambda)e(q',k)$ for $e(q,k) = q^\top Wk + b_q\cdot q + b_k\cdot k$, and by the same computation in the key. "
        r"Between $[q;1]$ and $[k;1]$ it is the general score of the matrix with blocks $W$, $b_q$, $b_k^\top$ and $0$.",
        sources=(S0.at("Energy Function"), DOZAT),
        scope="every d_q, d_k ≥ 1, all real parameters and inputs",
        inventory=("C011",),
        holds=_biaffine,
    )
)
def biaffine() -> Iterator[Step]:
    b_q, b_k = sp.IndexedBase("b_q", real=True), sp.IndexedBase("b_k", real=True)

    def score(query: sp.Expr, key: sp.Expr) -> sp.Expr:
        return product(query, key) + queried(b_q[x] * query) + keyed(b_k[y] * key)

    from_ones = queried(q[x] * (keyed(W[x, y] * k[y]) + b_q[x])) + keyed(b_k[y] * k[y])
    mixed_key = first * k[y] + (1 - first) * k2[y]
    yield Step(from_ones, "=", score(q[x], k[y]), "the bordered matrix takes [k; 1] to Wk + b_q and b_k·k, and these meet q and 1")
    mixed_query = first * q[x] + (1 - first) * q2[x]
    yield Step(score(q[x], mixed_key), "=", first * score(q[x], k[y]) + (1 - first) * score(q[x], k2[y]), "affine in the key")
    yield Step(score(mixed_query, k[y]), "=", first * score(q[x], k[y]) + (1 - first) * score(q2[x], k[y]), "affine in the query: λ + (1 − λ) = 1 keeps b_k·k")


# --- what the additive score can and cannot express --------------------------------------------------------------------------------------


def _scalar_listed(query: Row, key: Row, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """Whether v_aᵀ, which is listed as the scalar output, is one number."""
    return decided(len(output) == 1)


def _scalar_by_hand(query: Row, key: Row, query_map: Matrix, key_map: Matrix, output: Row) -> str:
    score = exact.show(additive(query, key, query_map, key_map, output))
    return f"d_a = {len(output)}: v_aᵀ = {list(output)} is a row of {len(output)} numbers. The scalar is its product with the hidden layer, here {score}."


def _entries_of_the_row() -> Iterator[Step]:
    one, more = sp.Integer(1), sp.Symbol("w", integer=True, positive=True)
    row, column = sp.symbols("s t'", integer=True, positive=True)
    yield Step(units(one), "=", d_a, "v_aᵀ has an entry for each hidden unit")
    yield Step(one, "<", sp.Sum(one, (u, 1, 1)) + sp.Sum(one, (u, 2, 1 + more)), "with d_a = 1 + w units more than one number", certificate=more)
    yield Step(
        sp.Sum(one, (row, 1, 1), (column, 1, 1)),
        "=",
        one,
        "its product with the activations, a column, has an entry for its one row and their one column: a scalar",
    )


scalar_output = derived(
    Claim(
        id="energies.scalar-output",
        title="The scalar output of additive attention is v_aᵀ ∈ ℝ^{1×d_a}",
        states="The architecture lists its stages, most with the space in which they lie; the scalar output is v_aᵀ ∈ ℝ^{1×d_a}.",
        reading="The line names the result of its stage, as the lines above it do (W_q q ∈ ℝ^{d_a}).",
        precise=r"$v_a^\top\in\mathbb R^{1\times d_a}$ is one number. It has $\sum_{u\le d_a}1=d_a$ entries, more than one for $d_a=1+w$. Its product with the $d_a$ activations has "
        r"$\sum_{s\le1}\sum_{t'\le1}1=1$ entry.",
        sources=(S0.at("Architecture"),),
        scope="every d_a ≥ 1",
        inventory=("C050",),
        unsaid="the line names the row v_aᵀ, whose product with the activations is the scalar",
        corrected_by="energies.last-stage-is-a-scalar",
        holds=_scalar_listed,
        worked=_scalar_by_hand,
    )
)(_entries_of_the_row)


def _scalar_stage(query: Row, key: Row, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """The row v_aᵀ times the column tanh(W_q q + W_k k): a matrix of one row and one column, whose entry is the score."""
    row = [[ball(weight) for weight in output]]
    column = [[ball(left + right).tanh()] for left, right in zip(mapped(query_map, query), mapped(key_map, key), strict=True)]
    result = [[sum((one * unit[at] for one, unit in zip(line, column, strict=True)), arb(0)) for at in range(len(column[0]))] for line in row]
    return Outcome.worst([decided([len(line) for line in result] == [1]), exact.equal(result, [[additive(query, key, query_map, key_map, output)]])])


@derived(
    Claim(
        id="energies.last-stage-is-a-scalar",
        title="The last stage of additive attention, v_aᵀ tanh(W_q q + W_k k), is one number",
        states="(Not in the text, which leaves the product out; it follows from the formula of the score.) The row v_aᵀ has d_a numbers, its product with the hidden layer is the scalar.",
        precise=r"$v_a^\top\in\mathbb R^{1\times d_a}$ times $\tanh(W_qq+W_kk)\in\mathbb R^{d_a\times1}$ is a matrix of one row and one column, $\sum_{s\le1}\sum_{t\le1}1=1$ entry, "
        "linear in the hidden layer.",
        sources=(S0.at("Architecture"), BAHDANAU.at("Appendix A.1.2")),
        scope="every d_q, d_k, d_a ≥ 1, all real parameters and inputs",
        inventory=("C050",),
        holds=_scalar_stage,
    )
)
def last_stage_is_a_scalar() -> Iterator[Step]:
    row, column, line = sp.symbols("s t' s'", integer=True, positive=True)
    h1, h2 = sp.IndexedBase("h", real=True), sp.IndexedBase("h'", real=True)
    weights = sp.IndexedBase("v_a", real=True)  # weights[s, u], one row

    def stage(hidden: sp.Expr, at: sp.Expr) -> sp.Expr:
        return units(weights[at, u] * hidden)

    yield Step(
        stage(first * h1[u] + second * h2[u], line),
        "=",
        first * stage(h1[u], line) + second * stage(h2[u], line),
        "each entry of the product sums over the units: linear in the hidden layer, which is not linear in query and key",
    )
    yield Step(sp.Sum(sp.Integer(1), (row, 1, 1), (column, 1, 1)), "=", sp.Integer(1), "an entry for each row of v_aᵀ and each column of the hidden layer")


def _combined(query: Row, key: Row, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """Both projections have d_a entries, the score is one number, and with positive weights and hidden sums 2e(q, k) exceeds e(2q, 2k)."""
    shapes = len(mapped(query_map, query)) == len(mapped(key_map, key)) == len(output)
    hidden = [abs(left + right) + 1 for left, right in zip(mapped(query_map, query), mapped(key_map, key), strict=True)]
    once, twice = (sum((abs(w) * ball(c * unit).tanh() for w, unit in zip(output, hidden, strict=True)), arb(0)) for c in (1, 2))
    score = additive(query, key, query_map, key_map, output)
    bounded = exact.at_most([abs(score)], [sum(abs(w) for w in output)])
    return Outcome.worst([decided(shapes and bool(twice < 2 * once or not any(output))), bounded])


@derived(
    Claim(
        id="energies.nonlinear-combination",
        title="v_aᵀ tanh(W_q q + W_k k) is one number, and in general not linear in the projections",
        states="The projections of query and key, d_a numbers each, are combined non-linearly; v_aᵀ takes the result to a scalar.",
        precise=r"$\sum_u v_u\tanh(2z_u) < 2\sum_u v_u\tanh(z_u)$ where the entries of $z = W_q q + W_k k$ and of $v_a$ are positive: doubling query and key does not double the score, "
        r"which is one number. In the formula $e^{2z_u} = 1+g_u$. (With $z = 0$ the score is 0, and so is its double.)",
        sources=(S0.at("Architecture"), BAHDANAU.at("Section 3.1")),
        scope="every d_a ≥ 1, all v_u > 0 and z_u > 0",
        inventory=("C050", "C053"),
        holds=_combined,
    )
)
def nonlinear_combination() -> Iterator[Step]:
    weight, grown = sp.IndexedBase("v_a", positive=True), sp.IndexedBase("g", positive=True)
    z1 = sp.Symbol("z", positive=True)
    once, twice = 1 - 2 / (grown[u] + 2), 1 - 2 / (grown[u] ** 2 + 2 * grown[u] + 2)  # tanh z and tanh 2z
    yield Step(
        quotient(2 * z1),
        "<",
        2 * quotient(z1),
        "for one unit, over the common denominator; e^{2z} > 1",
        certificate=(sp.exp(2 * z1) - 1) ** 3 / ((sp.exp(2 * z1) + 1) * (sp.exp(4 * z1) + 1)),
    )
    yield Step(
        sp.Integer(0),
        "<",
        units(weight[u] * (2 * once - twice)),
        "each unit adds v_u > 0 times such a gap, 2 tanh z_u − tanh 2z_u, written with e^{2z_u} = 1 + g_u",
    )


def _weights_bounded(query: Row, keys: Matrix, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """Every additive weight between 1/(1 + (n − 1)e^{±2‖v_a‖₁})."""
    reach, others = ball(2 * sum(abs(weight) for weight in output)), len(keys) - 1
    weights = exact.softmax([additive(query, key, query_map, key_map, output) for key in keys])
    low, high = 1 / (1 + others * reach.exp()), 1 / (1 + others * (-reach).exp())
    return Outcome.worst([exact.at_most([low] * len(keys), weights), exact.at_most(weights, [high] * len(keys))])


@derived(
    Claim(
        id="energies.additive-weights-are-bounded",
        title="Additive attention can neither ignore a key nor single one out beyond a fixed ratio",
        states="(Not in the text; it follows from the formula.) tanh is bounded, so the scores are, and so are the weights.",
        precise=r"$\dfrac{1}{1+(n-1)e^{2\|v_a\|_1}} \le \alpha_i \le \dfrac{1}{1+(n-1)e^{-2\|v_a\|_1}}$, whatever the inputs, the maps and the bias. In the formulas $m = n - 1$ "
        r"other keys, $V = \|v_a\|_1$, and the other scores are $s_i + 2V - g_r$, then $s_i - 2V + g_r$, with $g_r\ge0$.",
        sources=(S0.at("Additive Attention (Bahdanau et al.)"),),
        scope="every n ≥ 2 (one key has weight 1), d_q, d_k, d_a ≥ 1, all real parameters and inputs",
        inventory=("C052",),
        holds=_weights_bounded,
    )
)
def additive_weights_are_bounded() -> Iterator[Step]:
    plus, minus = sp.IndexedBase("v^+", nonnegative=True), sp.IndexedBase("v^-", nonnegative=True)
    hidden, below = sp.IndexedBase("z", real=True), sp.IndexedBase("g", nonnegative=True)
    own, bound = sp.Symbol("s_i", real=True), sp.Symbol("V", nonnegative=True)
    up = 2 / (sp.exp(2 * hidden[u]) + 1)  # 1 − tanh z
    down = 2 - up  # 1 + tanh z
    size, score = units(plus[u] + minus[u]), units((plus[u] - minus[u]) * (1 - up))
    z1 = sp.Symbol("z", real=True)
    yield Step(quotient(z1), "=", 1 - 2 / (sp.exp(2 * z1) + 1), "tanh is between −1 and 1; a bias is part of z")
    yield Step(
        score, "<=", size, "with v_a split into its positive and negative part, ‖v_a‖₁ is the sum of both", certificate=units(plus[u] * up + minus[u] * down)
    )
    yield Step(-size, "<=", score, "and from below", certificate=units(plus[u] * down + minus[u] * up))
    low = sp.exp(own) / (sp.exp(own) + total(sp.exp(own + 2 * bound - below[r]), r))
    high = sp.exp(own) / (sp.exp(own) + total(sp.exp(own - 2 * bound + below[r]), r))
    yield Step(
        1 / (1 + m * sp.exp(2 * bound)),
        "<=",
        low,
        "two scores differ by 2V at most: at worst all others lie 2V above",
        certificate=sp.exp(2 * bound) * total(1 - sp.exp(-below[r]), r) / ((1 + m * sp.exp(2 * bound)) * (1 + total(sp.exp(2 * bound - below[r]), r))),
    )
    yield Step(
        high,
        "<=",
        1 / (1 + m * sp.exp(-2 * bound)),
        "and at best all others lie 2V below",
        certificate=sp.exp(-2 * bound) * total(sp.exp(below[r]) - 1, r) / ((1 + m * sp.exp(-2 * bound)) * (1 + total(sp.exp(below[r] - 2 * bound), r))),
    )


centre, small = sp.symbols("beta epsilon", positive=True)


def _four_units(one: sp.Expr, other: sp.Expr) -> sp.Expr:
    """tanh(β ± ε(q + k)) less tanh(β ± ε(q − k)): four units of an additive score with bias β."""
    return sum(
        (sign * sp.tanh(centre + side * small * (one + sign * other)) for sign in (1, -1) for side in (1, -1)),
        sp.Integer(0),
    )


def _pair(argument: sp.Expr) -> sp.Expr:
    """tanh(β + t) + tanh(β − t) − 2 tanh β: two units, less what both have at t = 0."""
    return sp.tanh(centre + argument) + sp.tanh(centre - argument) - 2 * sp.tanh(centre)


def _products_approximated() -> Iterator[Step]:
    yield Step(
        total(_four_units(q[a], k[a]), a),
        "=",
        total(sp.Add(_pair(small * (q[a] + k[a])), sp.Mul(-1, _pair(small * (q[a] - k[a])), evaluate=False), evaluate=False), a),
        "four units for each feature: a pair at t = ε(q + k), less a pair at t = ε(q − k); 2 tanh β cancels",
    )
    place, t = sp.Symbol("beta", positive=True), sp.Symbol("t", nonnegative=True)
    grown = sp.exp(2 * place)
    bend = sp.Derivative(quotient(place), place, 2)
    yield Step(bend, "<", sp.Integer(0), "tanh″ is negative to the right of 0, so not 0 at β > 0", certificate=8 * grown * (grown - 1) / (grown + 1) ** 3)
    sinh, cosh = (sp.exp(t) - sp.exp(-t)) / 2, (sp.exp(place) + sp.exp(-place)) / 2
    yield Step(
        quotient(place + t) + quotient(place - t) - 2 * quotient(place),
        "=",
        bend * sinh**2 / (1 + sinh**2 / cosh**2),
        "a pair, exactly: with A = sinh² t and 1 + z = cosh² β it is tanh″(β) A/(1 + A/(1 + z)); it is even in t, so t ≥ 0 will do",
    )
    yield Step(
        sp.Integer(0),
        "<=",
        sp.Derivative(sinh - t, t),
        "sinh t − t is 0 at t = 0 and never falls, so t² ≤ A",
        certificate=(sp.exp(t / 2) - sp.exp(-t / 2)) ** 2 / 2,
    )
    yield Step(
        sp.Integer(0),
        "<=",
        sp.Derivative(t * (sp.exp(t) + sp.exp(-t)) / 2 - sinh, t),
        "t cosh t − sinh t is 0 at t = 0 and never falls, so A ≤ t² cosh² t = t² (1 + A)",
        certificate=t * sp.exp(-t) * (sp.exp(2 * t) - 1) / 2,
    )
    area, slack, wide = sp.symbols("A y z", nonnegative=True)
    value = area / (1 + area / (1 + wide))
    yield Step(
        value - (area / (1 + area) + slack),
        "<=",
        area**2,
        "so a pair over tanh″(β) exceeds t² = A/(1 + A) + y by A² at most",
        certificate=area**3 / (1 + area) + area**2 / (1 + wide + area) + slack,
    )
    yield Step(
        (area - slack) - value,
        "<=",
        area**2,
        "and falls short of t² = A − y by A² at most",
        certificate=area**2 * (area + wide) / (1 + wide + area) + slack,
    )
    over, under = sp.IndexedBase("A", nonnegative=True), sp.IndexedBase("A'", nonnegative=True)
    more, less = sp.IndexedBase("y", nonnegative=True), sp.IndexedBase("y'", nonnegative=True)
    near = small**2 * (q[a] + k[a]) ** 2 + over[a] ** 2 - more[a]
    far = small**2 * (q[a] - k[a]) ** 2 - under[a] ** 2 + less[a]
    yield Step(
        total(near - far, a) / (4 * small**2),
        "<=",
        total(q[a] * k[a], a) + total(over[a] ** 2 + under[a] ** 2, a) / (4 * small**2),
        "all 4d units over 4ε² tanh″(β): A and A' are sinh² ε(q ± k), each pair is off by A² − y with y ≥ 0 upwards, and likewise downwards. As sinh t ≤ t cosh t, the error is at most "
        "ε²/4 times a sum of fourth powers of (q ± k) cosh ε(q ± k): on bounded sets it tends to 0 with ε, uniformly",
        certificate=total(more[a] + less[a], a) / (4 * small**2),
    )


def _four_units_at(query: Row, key: Row, size: int) -> tuple[arb, arb]:
    """The score of 4d units with tanh β = 1/2, tanh″(β) = −3/4 and ε² = 4d/(3·size), so that ‖v_a‖₁ = size; and the bound on its distance from q·k."""
    squared = ball(4 * len(query)) / (3 * size)
    step, middle = squared.sqrt(), ball(3).log() / 2
    units_of = [(sign, side) for sign in (1, -1) for side in (1, -1)]
    output = [sign / (4 * squared * (-ball(3) / 4)) for _ in query for sign, _ in units_of]
    hidden = [(middle + side * step * (one + sign * other)).tanh() for one, other in zip(query, key, strict=True) for sign, side in units_of]
    score = sum((weight * unit for weight, unit in zip(output, hidden, strict=True)), arb(0))
    fourth = [(step * x).sinh() ** 4 for one, other in zip(query, key, strict=True) for x in (one + other, one - other)]
    return score, sum(fourth, arb(0)) / (4 * squared)


def _near_product(query: Row, keys: Matrix, size: int) -> Outcome:
    """Every score within its bound, and every weight within a factor e^{±2η} of the dot product's, with η the largest of the bounds."""
    scores, bounds = zip(*(_four_units_at(query, key, size) for key in keys), strict=True)
    dots = [dot(query, key) for key in keys]
    close = exact.at_most([abs(score - wanted) for score, wanted in zip(scores, dots, strict=True)], bounds)
    factor = sum(bounds, arb(0)).exp() ** 2  # the sum is no less than the largest
    ours, theirs = exact.softmax(list(scores)), exact.softmax(dots)
    within = [
        *(exact.at_most([w], [p * factor]) for w, p in zip(ours, theirs, strict=True)),
        *(exact.at_most([p], [w * factor]) for w, p in zip(ours, theirs, strict=True)),
    ]
    return Outcome.worst([close, *within])


def _close_weights() -> Step:
    apart = sp.Symbol("eta", nonnegative=True)
    own, excess, lack = sp.Symbol("s_i", real=True), sp.Symbol("x", nonnegative=True), sp.IndexedBase("y", nonnegative=True)
    exact_mass, near_mass = total(sp.exp(s[l]), l), total(sp.exp(s[l] + apart - lack[l]), l)
    return Step(
        sp.exp(own) / exact_mass * sp.exp(-2 * apart),
        "<=",
        sp.exp(own - apart + excess) / near_mass,
        "scores that are off by η at most, s_i − η + x and s_l + η − y_l, give no weight less than e^{−2η} times what it should be, and with the two rows exchanged none more than e^{2η} "
        "times: where η tends to 0 the weights agree",
        certificate=sp.exp(own - apart)
        * (
            (sp.exp(excess) - 1) / near_mass
            + sp.exp(-apart) * total(sp.exp(s[l]) * (1 - sp.exp(-lack[l])), l) / (exact_mass * total(sp.exp(s[l] - lack[l]), l))
        ),
    )


def _approximated() -> Iterator[Step]:
    yield from _products_approximated()
    yield _close_weights()


additive_approximates_dot = derived(
    Claim(
        id="energies.additive-approximates-dot",
        title="On bounded inputs, 4d units with a bias come as near to dot-product attention as one likes",
        states="(Implied by “more expressive than dot-product attention”.) Additive attention can do at least what dot-product attention does.",
        reading="On bounded inputs, up to any error, and with as many units and as large v_a as it takes.",
        precise=r"Let $F(\varepsilon)=\sum_a\sum_{\sigma=\pm1}\big(\tanh(\beta+\sigma\varepsilon(q_a+k_a)) - \tanh(\beta+\sigma\varepsilon(q_a-k_a))\big)$, an additive score with $4d$ units, bias "
        r"$\beta>0$ and weights $\pm1$. Then $\left|\frac{F(\varepsilon)}{4\varepsilon^2\tanh''(\beta)} - q\cdot k\right| \le "
        r"\frac1{4\varepsilon^2}\sum_a\big(\sinh^4\varepsilon(q_a+k_a)+\sinh^4\varepsilon(q_a-k_a)\big)$, which is of the order of $\varepsilon^2$: on bounded sets the scores tend to $q\cdot k$ uniformly as "
        r"$\varepsilon\to0$. Scores within $\eta$ of $q\cdot k_j$ give weights within factors $e^{\pm2\eta}$ of those of dot-product attention. (Remark: one hidden layer approximates every continuous "
        "score in this sense, as Hornik et al. show.)",
        sources=(S0.at("Advantages"), HORNIK),
        scope="every width d ≥ 1 of query and key, all real q and k, every β > 0 and ε > 0, any number of keys",
        inventory=("C051",),
        holds=_near_product,
    )
)(_approximated)


def _log_odds_within(query: Row, keys: Matrix, size: int) -> Outcome:
    """Whether the dot product's log-odds between any two of these keys are within reach of an additive score with ‖v_a‖₁ = size."""
    dots = [dot(query, key) for key in keys]
    return decided(max(dots) - min(dots) <= 2 * size)


def _more_expressive_by_hand(query: Row, keys: Matrix, size: int) -> str:
    dots = [dot(query, key) for key in keys]
    return (
        f"Take any additive score whose output weights have ‖v_a‖₁ = {size}, with any maps and bias: each score lies in [−{size}, {size}], so no two weights have "
        f"log-odds above {2 * size}. Dot-product attention of q = {list(query)} on the keys {[list(key) for key in keys]} has the scores {dots}, log-odds "
        f"{max(dots) - min(dots)}. Larger v_a, and longer q and k do the same again: no fixed parameters serve all inputs."
    )


def _out_of_reach_then_near() -> Iterator[Step]:
    size = sp.Symbol("V", nonnegative=True)
    yield Step(
        2 * size,
        "<",
        (1 + size) ** 2,
        "whatever V = ‖v_a‖₁ is: a query 1 + V on the keys 1 + V and 0 (and 0 in all other features) has log-odds above the additive score's 2V",
        certificate=1 + size**2,
    )
    yield from _approximated()


more_expressive = derived(
    Claim(
        id="energies.additive-is-more-expressive",
        title="Additive attention is more expressive than dot-product attention",
        states="The first advantage of additive attention: it is more expressive than dot-product attention.",
        reading="Whatever weights dot-product attention gives, as a function of query and keys, additive attention with some parameters gives too (and more).",
        precise=r"For some $W_q$, $W_k$, $v_a$, $b$ the additive weights are those of $q\cdot k_j$ for all inputs. This fails for every choice, since their log-odds never exceed "
        r"$2\|v_a\|_1$ (energies.additive-weights-are-bounded). On bounded inputs it holds up to any error, with $4d$ units, by the formulas below; and additive attention does give weights that no "
        r"$q^\top Wk$ gives (energies.beyond-bilinear).",
        sources=(S0.at("Advantages"),),
        scope="every width; real inputs without bound",
        inventory=("C051",),
        uses=("energies.additive-weights-are-bounded", "energies.beyond-bilinear"),
        unsaid="queries and keys are bounded, an arbitrarily small error is allowed, and there are enough units",
        corrected_by="energies.additive-approximates-dot",
        holds=_log_odds_within,
        worked=_more_expressive_by_hand,
    )
)(_out_of_reach_then_near)


def _beyond_bilinear(query: int, key: int, matrix: int) -> Outcome:
    """Keys k, 0, −k of width one: for q·W·k the outer weights multiply to the square of the middle one; for tanh(q + k) to less (all of q, k > 0).

    And the odds between k and 0 fall from the query q to the query q + 1.
    """
    places = (key, 0, -key)
    linear = exact.softmax([matrix * query * place for place in places])
    curved = exact.softmax([additive([query], [place], [[1]], [[1]], [1]) for place in places])
    further = exact.softmax([additive([query + 1], [place], [[1]], [[1]], [1]) for place in places])
    falls = decided(bool(further[0] * curved[1] < curved[0] * further[1]))
    return Outcome.worst([exact.equal(linear[0] * linear[2], linear[1] * linear[1]), decided(bool(curved[0] * curved[2] < curved[1] * curved[1])), falls])


@derived(
    Claim(
        id="energies.beyond-bilinear",
        title="Additive attention gives weights that no product qᵀWk gives",
        states="Additive attention can capture non-linear interactions of query and key.",
        reading="Some weights, as a function of query and keys, are those of an additive score and of no score that is linear in the key.",
        precise=r"On keys $k$, $0$, $-k$ every $q^\top Wk$ gives $\alpha_+\alpha_- = \alpha_0^2$, as $e(q,k)+e(q,-k) = 2e(q,0)$. The additive score $\tanh(q+k)$, with one unit and no bias, "
        r"gives $\alpha_+\alpha_- < \alpha_0^2$ for all $q,k>0$, as $\tanh(q+k)+\tanh(q-k) < 2\tanh q$. And query and key do interact: the log-odds between the keys $k$ and $0$, "
        r"$\tanh(q+k)-\tanh q$, are smaller at the query $q+h$, $h>0$.",
        sources=(S0.at("Advantages"), S0.at("When to Use")),
        scope="every W and every width for the equality; width one, all q, k > 0 for the inequality",
        inventory=("C051", "C053"),
        holds=_beyond_bilinear,
    )
)
def beyond_bilinear() -> Iterator[Step]:
    yield Step(
        product(q[x], k[y]) + product(q[x], -k[y]),
        "=",
        2 * product(q[x], sp.UnevaluatedExpr(sp.Mul(0, k[y], evaluate=False))),
        "opposite keys have opposite scores, and the key 0 has the score 0",
    )
    query, key, more = sp.symbols("q k h", positive=True)
    one, other, third = sp.exp(2 * query), sp.exp(2 * key), sp.exp(2 * more)
    yield Step(
        quotient(query + more + key) - quotient(query + more),
        "<",
        quotient(query + key) - quotient(query),
        "the log-odds between k and 0 depend on the query: not the sum of a part of the query and a part of the key",
        certificate=2
        * one
        * (other - 1)
        * (third - 1)
        * (one**2 * other * third - 1)
        / ((one + 1) * (one * other + 1) * (one * third + 1) * (one * other * third + 1)),
    )
    yield Step(
        quotient(query + key) + quotient(query - key),
        "<",
        2 * quotient(query),
        "tanh is concave where its argument is positive, and odd: over the common denominator",
        certificate=2 * one * (one - 1) * (other - 1) ** 2 / ((one + 1) * (one + other) * (one * other + 1)),
    )


def _without_tanh(query: Row, keys: Matrix, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """Without the tanh: the weights of this query against those of the query 0."""
    from_query = dot(output, mapped(query_map, query))
    from_keys = [dot(output, mapped(key_map, key)) for key in keys]
    return exact.equal(exact.softmax([from_query + part for part in from_keys]), exact.softmax(from_keys))


@derived(
    Claim(
        id="energies.linear-additive-ignores-the-query",
        title="Without the tanh, additive attention would not see the query",
        states="(Implied by the stage “non-linear combination” and the advantage “non-linear interactions”.) The tanh is what lets the score capture an interaction of query and key.",
        precise=r"$\mathrm{softmax}_j\big(v_a^\top(W_q q + W_k k_j)\big) = \mathrm{softmax}_j\big(v_a^\top W_k k_j\big)$ for every query.",
        sources=(S0.at("Advantages"), S0.at("Architecture")),
        scope="every n and all widths ≥ 1, all real parameters and inputs",
        inventory=("C053",),
        uses=("softmax.shift",),
        holds=_without_tanh,
    )
)
def linear_additive_ignores_the_query() -> Iterator[Step]:
    def score(key: sp.Symbol, own: sp.Expr) -> sp.Expr:
        return sp.exp(units(v_a[u] * (own + keyed(W_k[u, y] * K[key, y]))))

    shared, nothing = queried(W_q[u, x] * q[x]), sp.Integer(0)
    yield Step(
        units(v_a[u] * (shared + keyed(W_k[u, y] * K[j, y]))), "=", units(v_a[u] * shared) + units(v_a[u] * keyed(W_k[u, y] * K[j, y])), "the score is a sum"
    )
    yield Step(
        score(j, shared) / total(score(l, shared), l),
        "=",
        score(j, nothing) / total(score(l, nothing), l),
        "and the query's part is one factor above and below",
    )


def _any_widths(query: Row, key: Row, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """With zeros for what the other has, query and key lie in one space, and one map serves both."""
    joint = [[*left, *right] for left, right in zip(query_map, key_map, strict=True)]
    padded_query, padded_key = [*query, *[0] * len(key)], [*[0] * len(query), *key]
    return exact.equal(additive(padded_query, padded_key, joint, joint, output), additive(query, key, query_map, key_map, output))


@derived(
    Claim(
        id="energies.any-widths",
        title="The additive score is defined for every width of query and of key",
        states="(Implied by “works well when query and key dimensions differ”.) Additive attention is defined when the dimensions of query and key differ.",
        reading="It is so with no change to its formula, as the dot product is not. (That it works well then is another statement: energies.works-well-with-any-widths.)",
        precise=r"With $[q;0]$ and $[0;k]$ in $\mathbb R^{d_q+d_k}$ and one map $W_a = [W_q|W_k]$ for both, $v_a^\top\tanh(W_a[q;0] + W_a[0;k]) = v_a^\top\tanh(W_q q + W_k k)$ for all "
        r"$d_q$, $d_k$, equal or not. The general score $q^\top Wk$ does not need $d_q = d_k$ either.",
        sources=(S0.at("Advantages"), S0.at("When to Use")),
        scope="every d_q, d_k, d_a ≥ 1, all real parameters and inputs",
        inventory=("C054",),
        uses=("energies.concat-is-additive",),
        holds=_any_widths,
    )
)
def any_widths() -> Iterator[Step]:
    def image(vector: sp.Expr) -> sp.Expr:
        return sp.Sum(W_a[u, z] * vector, (z, 1, d_q + d_k))

    padded = image(queried(D(z, x) * q[x])) + image(keyed(D(z, d_q + y) * k[y]))
    parts = queried(W_a[u, x] * q[x]) + keyed(W_a[u, d_q + y] * k[y])
    yield Step(padded, "=", parts, "the zeros meet the columns of the other block")
    yield Step(units(v_a[u] * sp.tanh(padded)), "=", units(v_a[u] * sp.tanh(parts)), "and so for every unit")


works_well_with_any_widths = Claim(
    id="energies.works-well-with-any-widths",
    title="Additive attention works well when the dimensions of query and key differ",
    states="Among the advantages of additive attention: it works well when the dimensions of query and key differ.",
    precise="A statement about trained models; no task and no measure of success is stated.",
    sources=(S0.at("Advantages"),),
    scope="trained models",
    inventory=("C054",),
    not_checkable="How well a trained model works depends on its task, its data and its training, and what would count as working well is not said. What can be checked is that the score "
    "is defined for every pair of widths (energies.any-widths); qᵀWk is too, so that the advantage is over the plain dot product only.",
)


# --- matrix form -------------------------------------------------------------------------------------------------------------------------


def _matrix_form(queries: Matrix, keys: Matrix, matrix: Matrix, values: Matrix) -> Outcome:
    """Row by row softmax of (QW)Kᵀ times V, against one query at a time."""
    rows = times(times(queries, matrix), list(zip(*keys, strict=True)))
    outputs = [[sum((p * ball(z) for p, z in zip(exact.softmax(row), column, strict=True)), arb(0)) for column in zip(*values, strict=True)] for row in rows]
    alone = []
    for query in queries:
        weights = exact.softmax([general(query, matrix, key) for key in keys])
        alone.append([sum((p * ball(value[feature]) for p, value in zip(weights, values, strict=True)), arb(0)) for feature in range(len(values[0]))])
    return exact.equal(outputs, alone)


@derived(
    Claim(
        id="energies.matrix-form",
        title="The matrix form of multiplicative attention is its definition, query by query",
        states="For a batch of queries: E = Q W_a Kᵀ, A = softmax(E), output = A V.",
        reading="The softmax of a matrix of scores is taken over each row, that is, over the keys.",
        precise=r"Row $r$ of $\mathrm{softmax}\big((QW_a)K^\top\big)V$ is $\sum_j\alpha_{rj}v_j$ with $\alpha_{rj}\propto\exp(q_r^\top W_a k_j)$.",
        sources=(S0.at("Matrix Form"), LUONG.at("Section 3.1")),
        scope="every number of queries and keys, every d_q, d_k, d_v, all real Q, W, K, V",
        inventory=("C060",),
        holds=_matrix_form,
    )
)
def matrix_form() -> Iterator[Step]:
    def by_matrices(key: sp.Symbol) -> sp.Expr:
        return keyed(queried(Q[r, x] * W[x, y]) * K[key, y])

    def alone(key: sp.Symbol) -> sp.Expr:
        return queried(Q[r, x] * keyed(W[x, y] * K[key, y]))

    yield Step(by_matrices(j), "=", alone(j), "entry (r, j) of (QW)Kᵀ is that of Q(WKᵀ), and reads no query but r")
    yield Step(
        total(sp.exp(by_matrices(j)) * V[j, e], j) / total(sp.exp(by_matrices(l)), l),
        "=",
        total(sp.exp(alone(j)) * V[j, e], j) / total(sp.exp(alone(l)), l),
        "so the rows of weights, and of the output, are the same",
    )
