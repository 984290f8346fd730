"""Multi-head attention as algebra: concatenation and projection, what one head can contribute, what removing one means, and counts.

Row convention throughout, as in the texts: inputs are rows, projections multiply from the right. Head g gives H[g, r, e] (d_v features for row r); feature
(g − 1) d_v + e of the concatenation is feature e of head g; W[q, y] is the output projection.
"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import chain, product
from typing import Any

import sympy as sp
from flint import arb, fmpq, fmpq_mat

from theorems.claim import Claim, Kind, derived
from theorems.exact import Matrix, attention, ball, decided, equal, show
from theorems.exact import scores as ball_scores
from theorems.outcome import Outcome
from theorems.sources import S1, S3, S4, VASWANI
from theorems.step import Step
from theorems.symbols import K, Q, a, b, d, d_v, e, f, g, h, head, j, l, m, n, r, t, total

q = sp.Symbol("q", integer=True, positive=True)  # a feature of the concatenation, 1..h d_v
y = sp.Symbol("y", integer=True, positive=True)  # a feature of the output, 1..width
pruned = sp.Symbol("p", integer=True, positive=True)  # the head that is removed
width = sp.Symbol("w", integer=True, positive=True)  # output features
H = sp.IndexedBase("H", real=True)  # heads, H[g, r, e]
W = sp.IndexedBase("W", real=True)  # output projection, W[q, y]
place = g * d_v - d_v + e  # (g − 1) d_v + e

Rows = Sequence[Sequence[int]]


def concatenation(keep: sp.Expr = sp.S.One) -> sp.Expr:
    """Entry (r, q) of Concat(head_1, ..., head_h): the heads side by side, each times `keep` (which may depend on g)."""
    return total(total(keep * H[g, r, e] * sp.KroneckerDelta(q, place), e), g)


def over_features(body: sp.Expr) -> sp.Expr:
    return sp.Sum(body, (q, 1, h * d_v))


def side_by_side(heads: Sequence[Rows]) -> list[list[int]]:
    """[h][rows, d_v] → [rows, h · d_v]."""
    return [list(chain.from_iterable(rows)) for rows in zip(*heads, strict=True)]


def times(left: Sequence[Sequence[Any]], right: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The product of two matrices of exact numbers."""
    return [[sum(x * z for x, z in zip(row, column, strict=True)) for column in zip(*right, strict=True)] for row in left]


def rank(rows: Sequence[Sequence[Fraction | int]]) -> int:
    """The exact rank, over the rationals."""
    return int(fmpq_mat([[fmpq(Fraction(x).numerator, Fraction(x).denominator) for x in row] for row in rows]).rref()[1])


def blocks_of(projection: Rows, heads: int) -> list[Rows]:
    """The rows of the output projection that belong to each head."""
    tall = len(projection) // heads
    return [projection[i * tall : (i + 1) * tall] for i in range(heads)]


def _concatenation_is_sum(heads: Sequence[Rows], projection: Rows) -> Outcome:
    whole = times(side_by_side(heads), projection)
    parts = [times(head, block) for head, block in zip(heads, blocks_of(projection, len(heads)), strict=True)]
    return decided(whole == [[sum(entries) for entries in zip(*rows, strict=True)] for rows in zip(*parts, strict=True)])


@derived(
    Claim(
        id="multi_head.concatenation-is-sum",
        title="Concatenating the heads and projecting is a sum of one projection per head",
        states="The outputs of the h heads are concatenated and projected by W_O.",
        precise=r"$\mathrm{Concat}(H_1, \ldots, H_h)\, W_O = \sum_{g=1}^{h} H_g W_O^{(g)}$, where $W_O^{(g)}$ are rows $(g-1)d_v + 1, \ldots, g d_v$ of $W_O$; "
        r"the concatenation has $h \cdot d_v$ features, $W_O$ maps them to $d_{model}$.",
        sources=(S3.at("Multi-Head Attention"), S4.at("Architecture (multi-head)"), S1.at("Building on Yesterday's Foundation"), VASWANI.at("section 3.2.2")),
        scope="every number of heads, rows, features and outputs; all real entries; heads of equal width d_v",
        inventory=("C193",),
        holds=_concatenation_is_sum,
    )
)
def concatenation_is_sum() -> Iterator[Step]:
    yield Step(
        over_features(concatenation() * W[q, y]), "=", total(total(H[g, r, e] * W[place, y], e), g),
        "feature q of the concatenation is feature e of exactly one head g, q = (g − 1) d_v + e, so the sum over q splits by heads",
    )  # fmt: skip


def _removal_is_zeroing(heads: Sequence[Rows], projection: Rows, head: int) -> Outcome:
    gone = head % len(heads)
    parts = blocks_of(projection, len(heads))
    zeroed = list(chain.from_iterable([[0] * len(row) for row in part] if i == gone else part for i, part in enumerate(parts)))
    left = [x for i, x in enumerate(heads) if i != gone]
    rows = list(chain.from_iterable(part for i, part in enumerate(parts) if i != gone))
    removed = times(side_by_side(left), rows) if left else [[0] * len(projection[0]) for _ in heads[0]]
    return decided(times(side_by_side(heads), zeroed) == removed)


@derived(
    Claim(
        id="multi_head.removing-a-head",
        title="Removing a head is zeroing its rows of the output projection",
        states="Unneeded heads can be pruned, each as a whole.",
        reading="To remove head p is to take its features out of the concatenation and its rows out of W_O. What is compared is the output; zeroing alone frees no parameter.",
        precise=r"With rows $(p-1)d_v + 1, \ldots, p\,d_v$ of $W_O$ set to zero, the output is $\sum_{g \ne p} H_g W_O^{(g)}$, that of the other heads alone.",
        sources=(S1.at("Attention Pruning"), S4.at("Head Analysis")),
        scope="every number of heads, rows, features and outputs; all real entries",
        uses=("multi_head.concatenation-is-sum",),
        inventory=("C166",),
        holds=_removal_is_zeroing,
    )
)
def removing_a_head() -> Iterator[Step]:
    stays = 1 - sp.KroneckerDelta(g, pruned)
    yield Step(
        total(total(H[g, r, e] * (stays * W[place, y]), e), g), "=",
        total(total(H[g, r, e] * W[place, y], e), g) - total(total(sp.KroneckerDelta(g, pruned) * H[g, r, e] * W[place, y], e), g),
        "with the rows of head p zeroed, what is missing is the product of head p with its own rows, nothing else",
        domain={pruned: (1, 1)},
    )  # fmt: skip
    yield Step(
        over_features(concatenation(stays) * W[q, y]), "=", total(total(H[g, r, e] * (stays * W[place, y]), e), g),
        "dropping head p from the concatenation and dropping its rows from W_O leave the same products",
        domain={pruned: (1, 1)},
    )  # fmt: skip


def _stays_in_row_space(head: Rows, block: Rows, queries: Rows, keys: Rows) -> Outcome:
    contribution = times(head, block)
    logits = times(queries, list(zip(*keys, strict=True)))
    inside = rank([*block, *contribution]) == rank(block)
    return decided(inside and rank(contribution) <= len(block) and rank(logits) <= len(queries[0]))


@derived(
    Claim(
        id="multi_head.head-subspace",
        title="A head writes into the row space of its block of W_O, and its logits have rank at most d_h",
        states="Each head can learn a representation subspace of its own.",
        reading="In the texts' convention, X W with rows as inputs, the subspace is the row space of W_O^(g); written with columns, it is a column space.",
        precise=r"Every row of $H_g W_O^{(g)}$ is a combination of the $d_v$ rows of $W_O^{(g)}$ (so a vector $z$ that they all annihilate, the contribution "
        r"annihilates too), hence rank at most $d_v$; and $Q_g K_g^\top$ annihilates whatever $K_g^\top$ does, hence rank at most $d_h$.",
        sources=(S3.at("Multi-Head Attention"),),
        scope="every number of rows, features and outputs; all real entries; logits before softmax (softmax may raise the rank)",
        inventory=("C233",),
        holds=_stays_in_row_space,
    )
)
def head_subspace() -> Iterator[Step]:
    z = sp.IndexedBase("z", real=True)
    output = sp.IndexedBase("W_O", real=True)  # the rows of one head
    yield Step(
        total(total(Q[r, a] * K[j, a], a) * z[j], j), "=", total(Q[r, a] * total(K[j, a] * z[j], j), a),
        "a weighting z of the keys acts on the logits through the d numbers Σ_j K_ja z_j alone: where those vanish, so do the logits; their rank is at most d",
    )  # fmt: skip
    yield Step(
        sp.Sum(total(H[g, r, e] * output[e, y], e) * z[y], (y, 1, width)), "=", total(H[g, r, e] * sp.Sum(output[e, y] * z[y], (y, 1, width)), e),
        "a functional z of the output acts on the contribution through its values on the d_v rows of W_O^(g) alone",
    )  # fmt: skip


def _heads(queries: Matrix, keys: Matrix, values: Matrix, weights: Sequence[Matrix]) -> list[list[arb]]:
    """One head by its definition: attention over the projected queries, keys and values, unscaled."""
    w_q, w_k, w_v = weights
    return attention(times(queries, w_q), times(keys, w_k), times(values, w_v))


def _definitions_agree(queries: Rows, keys: Rows, values: Rows, weights: Sequence[Rows]) -> Outcome:
    """Projections of (Q, K, V) against projections of the one input X = Q."""
    return equal(_heads(queries, keys, values, weights), _heads(queries, queries, queries, weights))


def _definitions_agree_on_one_input(queries: Rows, keys: Rows, values: Rows, weights: Sequence[Rows]) -> Outcome:
    """X = Q; and the inputs X·A, X·B, X·C, whose projections are projections of X by products of matrices (A, B, C from `weights`)."""
    squares = [times(list(zip(*w, strict=True)), w) for w in weights]  # any matrices that map the projected features to themselves
    tall = [times(w, square) for w, square in zip(weights, squares, strict=True)]
    inputs = [times(queries, w) for w in weights]
    composed = equal(_heads(inputs[0], inputs[1], inputs[2], squares), _heads(queries, queries, queries, tall))
    return Outcome.worst([composed, _definitions_agree(queries, queries, queries, weights)])


def _definitions_by_hand(queries: Rows, keys: Rows, values: Rows, weights: Sequence[Rows]) -> str:
    first, second = _heads(queries, keys, values, weights), _heads(queries, queries, queries, weights)

    def grid(rows: Sequence[Sequence[arb]]) -> str:
        return "[" + ", ".join("[" + ", ".join(show(x) for x in row) + "]" for row in rows) + "]"

    return (
        f"One head with Q = {queries}, K = {keys}, V = {values} and (W_Q, W_K, W_V) = {weights}, unscaled. Projecting Q, K and V gives "
        f"the values V W_V = {times(values, weights[2])} and the output {grid(first)}; projecting the one input X = Q three times gives the values X W_V = "
        f"{times(queries, weights[2])} and the output {grid(second)}."
    )


definitions_agree = Claim(
    id="multi_head.definitions-agree",
    title="The two definitions of a head agree",
    states="(Implied by two texts together.) One text projects the given Q, K and V for each head; another projects one input X three times. Both call the result multi-head "
    "attention, so both compute the same.",
    reading="Attention(Q W_Q, K W_K, V W_V) and Attention(X W_Q, X W_K, X W_V), with X the rows that ask (X = Q), compute the same for the same weights.",
    precise="The two formulas return the same for all Q, K, V and all projections.",
    sources=(S3.at("Multi-Head Attention"), S4.at("Architecture (multi-head)")),
    scope="one head; all sizes",
    inventory=("C234",),
    holds=_definitions_agree,
    worked=_definitions_by_hand,
    unsaid="Q = K = V = X: self-attention; for cross-attention only the first definition is meant",
    corrected_by="multi_head.definitions-agree-on-one-input",
)


@derived(
    Claim(
        id="multi_head.definitions-agree-on-one-input",
        title="On one input the two definitions of a head are one, even if Q, K and V are projections of it already",
        states="(Implied by both texts, for self-attention.) With Q = K = V = X the formulas are the same, and a projection of a projection is one projection by the product of the matrices.",
        precise=r"For $Q = X A$, $K = X B$, $V = X C$ a head of the one definition, $\mathrm{Attention}(Q W_Q, K W_K, V W_V)$, is the head of the other on $X$ with the "
        r"matrices $A W_Q$, $B W_K$, $C W_V$: logits, weights and output agree. $A = B = C = I$ is $Q = K = V = X$.",
        sources=(S3.at("Multi-Head Attention"), S4.at("Architecture (multi-head)")),
        scope="every number of rows and features; all real entries",
        holds=_definitions_agree_on_one_input,
    )
)
def definitions_agree_on_one_input() -> Iterator[Step]:
    X, A, B, w_q, w_k = (sp.IndexedBase(name, real=True) for name in ("X", "A", "B", "W_Q", "W_K"))
    x, x_2, inner, inner_2 = sp.symbols("x x_2 c c_2", integer=True, positive=True)
    inputs, middle = sp.symbols("d_x d_c", integer=True, positive=True)

    def twice(row: sp.Expr, first: sp.IndexedBase, second: sp.IndexedBase, along: sp.Symbol, between: sp.Symbol) -> sp.Expr:
        return sp.Sum(sp.Sum(X[row, along] * first[along, between], (along, 1, inputs)) * second[between, a], (between, 1, middle))

    def once(row: sp.Expr, first: sp.IndexedBase, second: sp.IndexedBase, along: sp.Symbol, between: sp.Symbol) -> sp.Expr:
        return sp.Sum(X[row, along] * sp.Sum(first[along, between] * second[between, a], (between, 1, middle)), (along, 1, inputs))

    yield Step(twice(r, A, w_q, x, inner), "=", once(r, A, w_q, x, inner), "(X A) W_Q = X (A W_Q); for keys and values alike")
    yield Step(
        total(twice(r, A, w_q, x, inner) * twice(j, B, w_k, x_2, inner_2), a), "=",
        total(once(r, A, w_q, x, inner) * once(j, B, w_k, x_2, inner_2), a),
        "so every logit is the same, and with it every weight",
    )  # fmt: skip
    C, w_v, scale = sp.IndexedBase("C", real=True), sp.IndexedBase("W_V", real=True), sp.Symbol("gamma", real=True)

    def output(projected: Callable[..., sp.Expr]) -> sp.Expr:
        logits = {key: scale * total(projected(r, A, w_q, x, inner) * projected(key, B, w_k, x_2, inner_2), a) for key in (j, l)}
        return total(sp.exp(logits[j]) * projected(j, C, w_v, x, inner).subs(a, e), j) / total(sp.exp(logits[l]), l)

    yield Step(output(twice), "=", output(once), "and the output, feature by feature, with any scale γ of the logits")


def _counted(heads: int, head_width: int, length: int) -> tuple[int, int, int, int, int]:
    """Weights, biases, multiply-adds of the projections, of Q Kᵀ and P V, exponentials: counted one by one, head by head."""
    model = heads * head_width
    weights = biases = projected = products = exponentials = 0
    for _ in range(heads):
        for _ in ("query", "key", "value"):
            weights += sum(1 for _ in product(range(model), range(head_width)))
            projected += sum(1 for _ in product(range(length), range(model), range(head_width)))
            biases += head_width
        weights += sum(1 for _ in product(range(head_width), range(model)))
        projected += sum(1 for _ in product(range(length), range(head_width), range(model)))
        products += 2 * sum(1 for _ in product(range(length), range(length), range(head_width)))
        exponentials += sum(1 for _ in product(range(length), range(length)))
    return weights, biases + model, projected, products, exponentials


def _independent_of_heads(heads: int, head_width: int, length: int) -> Outcome:
    model = heads * head_width
    one = _counted(1, model, length)
    many = _counted(heads, head_width, length)
    return decided(many == (4 * model**2, 4 * model, 4 * length * model**2, 2 * length**2 * model, heads * length**2) and many[:4] == one[:4])


@derived(
    Claim(
        id="multi_head.parameters",
        title="With d_h = d/h, parameters and matrix products do not depend on the number of heads; softmax work does",
        states="How does the architecture, and with it the number of heads, affect the size of the model?",
        reading="The width d = h · d_h is shared among h heads. Counted are the parameters, multiply-adds and exponentials of one attention layer.",
        precise=r"There are $4d^2$ weights and $4d$ biases, $4nd^2$ multiply-adds in the four projections, $2 n^2 d$ multiply-adds for $Q K^\top$ and $P V$, and "
        r"$h\,n^2$ exponentials. Only the last number depends on $h$. "
        r"As counted over heads: $\sum_g (3 d\, d_h + d_h d) + \sum_g 3 d_h + d = 4 d^2 + 4 d$ with $d = h\,d_h$.",
        sources=(S4.at("What to Observe"), VASWANI.at("section 3.2.2")),
        scope="every h, d_h and n (n queries, n keys); d is a multiple of h",
        assumes=("d_h = d / h: with d_h fixed instead, there are 4 d h d_h weights, and everything grows with h",),
        kind=Kind.COST,
        inventory=("C194",),
        holds=_independent_of_heads,
    )
)
def parameters() -> Iterator[Step]:
    d_h, rows, keys, feature, entry = sp.symbols("d_h i j q a", integer=True, positive=True)
    model = h * d_h
    pairs = sp.Sum(sp.S.One, (keys, 1, n), (rows, 1, n))
    products = 2 * sp.Sum(sp.S.One, (feature, 1, d_h), (keys, 1, n), (rows, 1, n))
    yield Step(total(pairs, g), "=", h * n**2, "one exponential for every head, row and key: the only count that grows with h")
    yield Step(total(products, g), "=", 2 * n**2 * model, "multiply-adds: every head works on its own d_h features, together d")
    projected = sp.Sum(sp.S.One, (feature, 1, d_h), (entry, 1, model), (rows, 1, n))
    yield Step(
        total(3 * projected + projected, g),
        "=",
        4 * n * model**2,
        "projections: three into each head, and each head's rows of W_O, a multiply-add for each row and weight",
    )
    yield Step(
        total(3 * model * d_h + d_h * model, g) + total(3 * d_h, g) + model, "=", 4 * model**2 + 4 * model,
        "three projections into each head and its rows of W_O; a bias for each projected feature, and one for each output",
    )  # fmt: skip


def _same_scores(queries: Rows, keys: Rows, more: int) -> Outcome:
    """Padding with `more` zero features, and the queries times √((d + more)/d), keeps every scaled score; d features give no more than the rank d."""
    narrow = len(queries[0])
    stretch = (ball(narrow + more) / narrow).sqrt()
    wide_queries: list[list[Any]] = [[*(stretch * x for x in row), *[0] * more] for row in queries]
    wide_keys = [[*row, *[0] * more] for row in keys]
    same = equal(ball_scores(wide_queries, wide_keys, 1 / ball(narrow + more).sqrt()), ball_scores(queries, keys, 1 / ball(narrow).sqrt()))
    unit = [[int(i == column) for column in range(narrow + more)] for i in range(narrow + more)]
    richer = rank(times(queries, list(zip(*keys, strict=True)))) <= narrow == rank(times(unit, unit)) - more
    return Outcome.worst([same, decided(richer)])


@derived(
    Claim(
        id="multi_head.wider-keys-score-more",
        title="Whatever scores keys of width d can give, wider keys can give too, and others besides",
        states="Higher dimensions allow richer representations.",
        reading="The score functions q·k/√d_k that projections to a larger d_k can express include those of a smaller one, and some that it cannot express.",
        precise=r"Width $m > d$ gives the scores $\delta_{rt}$ of $m$ queries and $m$ keys, which are of rank $m$; width $d$ does not, since its scores have rank at most $d$ "
        r"(multi_head.head-subspace). And with $p$ more features, all zero, and queries multiplied by $\sqrt{(d+p)/d}$: "
        r"$\frac{1}{\sqrt{d+p}} \sum_{a=1}^{d} \sqrt{\tfrac{d+p}{d}}\, Q_{ra} K_{ja} = \frac{1}{\sqrt d} \sum_{a=1}^{d} Q_{ra} K_{ja}$.",
        sources=(S4.at("Architecture Parameters"),),
        scope="every d, p and m > d, all real entries; that more can be expressed is meant, not that training finds it",
        inventory=("C199",),
        uses=("multi_head.head-subspace",),
        holds=_same_scores,
    )
)
def wider_keys_score_more() -> Iterator[Step]:
    more, feature = sp.Symbol("p", integer=True, positive=True), sp.Symbol("x", integer=True, positive=True)
    z = sp.IndexedBase("z", real=True)
    unit = sp.sqrt(m) * sp.KroneckerDelta(r, feature) * sp.KroneckerDelta(t, feature) / sp.sqrt(m)
    yield Step(
        sp.Sum(unit, (feature, 1, m)),
        "=",
        sp.KroneckerDelta(r, t),
        "query r with √m as its feature r, key t with 1 as its feature t, and zeros elsewhere: width m",
    )
    yield Step(
        total(sp.KroneckerDelta(r, t) * z[t], t),
        "=",
        z[r],
        "such scores vanish on no weighting z of the keys but 0: their rank is m, which no width d < m gives",
    )
    wide = total(sp.sqrt((d + more) / d) * Q[r, a] * K[j, a], a)  # the p new features add zeros
    yield Step(
        wide / sp.sqrt(d + more), "=", total(Q[r, a] * K[j, a], a) / sp.sqrt(d), "the factor √((d + p)/d) undoes the change of the scale; zeros add nothing"
    )


def _from_one_input(asking: Rows, asked: Rows, projection: Rows) -> Outcome:
    """Queries come from the rows that ask, keys from the rows that are asked: whether these keys are the same projection of the rows that ask."""
    return decided(times(asked, projection) == times(asking, projection))


def _only_of_one_input(asking: Rows, asked: Rows, projection: Rows) -> Outcome:
    """The keys of one input are those of the other under this projection and under the identity, if the two are equal; else not under the identity."""
    unit = [[int(i == column) for column in range(len(asked[0]))] for i in range(len(asked[0]))]
    agree = [times(asked, some) == times(asking, some) for some in (projection, unit)]
    return decided(all(agree) if asking == asked else not agree[1])


def _two_inputs_by_hand(asking: Rows, asked: Rows, projection: Rows) -> str:
    return (
        f"The queries are projected from the rows X = {asking}, the keys from the rows Y = {asked}, as in the cross-attention that the same text defines. With W_K = {projection} the "
        f"keys are Y W_K = {times(asked, projection)}; the same projection of the queries' input would give X W_K = {times(asking, projection)}."
    )


def _from_one_input_if_equally_long(queries: Rows, keys: Rows) -> Outcome:
    """X = [Q | K] and the two selectors give back Q and K; without equally many rows no input can."""
    if len(queries) != len(keys):
        return decided(len(times(queries, keys_to_one(queries))) != len(times(keys, keys_to_one(keys))))
    X = [[*left, *right] for left, right in zip(queries, keys, strict=True)]
    size, first = len(X[0]), len(queries[0])
    unit = [[int(i == column) for column in range(size)] for i in range(size)]
    select_q, select_k = [row[:first] for row in unit], [row[first:] for row in unit]
    return decided(times(X, select_q) == [list(row) for row in queries] and times(X, select_k) == [list(row) for row in keys])


def keys_to_one(rows: Rows) -> list[list[int]]:
    """A projection of the rows to one feature each: it changes their width and never their number."""
    return [[1] for _ in rows[0]]


one_input = Claim(
    id="multi_head.one-input",
    title="Q, K and V are projections of the same input",
    states="In practice Q, K and V are derived from the same input by learned linear projections.",
    reading="A layer projects its queries from rows X and its keys from rows Y, by learned matrices. The formulas say K = X W_K, with the X of the queries, whatever W_K has been "
    "learned; V is as K. (A remark: that some other X gives the same Q and K is not what is said. It exists whenever there are as many queries as keys, "
    "X = [Q | K], see multi_head.one-input-if-equally-long. How often layers have one input in practice is not tested.)",
    precise="$Y W_K = X W_K$ for the rows $X$ that the queries, and $Y$ that the keys are projected from, and every $W_K$.",
    sources=(S3.at("Query, Key, Value Decomposition"),),
    scope="all numbers of queries and keys",
    inventory=("C200",),
    holds=_from_one_input,
    worked=_two_inputs_by_hand,
    unsaid="self-attention is meant (the same text's cross-attention has two inputs)",
    corrected_by="multi_head.one-input-is-self-attention",
)


@derived(
    Claim(
        id="multi_head.one-input-is-self-attention",
        title="Q, K and V are projections of one input in self-attention, and for every choice of the matrices only there",
        states="(Implied by the text's self-attention and cross-attention together.) In self-attention one input gives queries, keys and values.",
        precise=r"With $Y = X + E$: $Y W_K - X W_K = E\,W_K$. In self-attention $E = 0$, and the keys are $X W_K$ for every $W_K$. Conversely, if they are so for every $W_K$, they are for "
        r"the identity, $\sum_a E_{ja}\delta_{ab} = E_{jb}$, so $E = 0$. (Two inputs of different lengths have keys of different number, and the question does not arise.)",
        sources=(S3.at("Query, Key, Value Decomposition"), S3.at("Self-Attention"), S3.at("Cross-Attention")),
        scope="every number of rows and features, all real inputs and matrices; the derivation: inputs of one shape",
        holds=_only_of_one_input,
    )
)
def one_input_is_self_attention() -> Iterator[Step]:
    X, E, projection = (sp.IndexedBase(name, real=True) for name in ("X", "E", "W_K"))
    yield Step(total(E[j, a] * sp.KroneckerDelta(a, b), a), "=", E[j, b], "W_K = I shows every entry by which the two inputs differ")
    yield Step(
        total((X[j, a] + E[j, a]) * projection[a, b], a) - total(X[j, a] * projection[a, b], a), "=", total(E[j, a] * projection[a, b], a),
        "the keys Y W_K of the input Y = X + E differ from X W_K by E W_K: not at all in self-attention, where E = 0",
    )  # fmt: skip


@derived(
    Claim(
        id="multi_head.one-input-if-equally-long",
        title="Some input has Q and K for its projections exactly if they have equally many rows",
        states="(Not in the text; a remark on what its formulas cannot tell apart.) Whether any X at all gives Q = X W_Q and K = X W_K depends on the number of rows alone.",
        precise=r"With unequal numbers of rows no $X$ gives both, since $X W$ has as many rows as $X$. If both have equally many rows, $X = [Q\,|\,K]$ does: with blocks $H_g$ of $X$, the selector with "
        r"rows $\delta_{gp}\,\delta_{ef}$ gives $\sum_{g,e} H_{gre}\, \delta_{gp}\, \delta_{ef} = H_{prf}$, block $p$ of $X$.",
        sources=(S3.at("Query, Key, Value Decomposition"),),
        scope="all numbers of queries and keys; blocks of equal width in the derivation, of any width in the search",
        uses=("multi_head.concatenation-is-sum",),
        holds=_from_one_input_if_equally_long,
    )
)
def one_input_if_equally_long() -> Iterator[Step]:
    block = head  # which block of X is wanted, Q's or K's
    yield Step(
        total(total(H[g, r, e] * sp.KroneckerDelta(g, block) * sp.KroneckerDelta(e, f), e), g), "=", H[block, r, f],
        "X W is a sum over the blocks of X; a selector has the identity in the rows of one block and zeros elsewhere, so that block comes back",
    )  # fmt: skip
