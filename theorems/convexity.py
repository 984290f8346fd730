"""Where attention outputs lie: averages of the values, and what follows from weights that are positive and sum to one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S2, S3, S4
from theorems.step import Step
from theorems.symbols import K, Q, V, a, c, d, d_v, e, i, j, k, n, p, r, s, total

Row = Sequence[int]
Matrix = Sequence[Row]

low, radius = sp.Symbol("low", real=True), sp.Symbol("rho", positive=True)
x = sp.IndexedBase("x", nonnegative=True)  # v[j] = low + x[j]
H = sp.Symbol("H", integer=True, positive=True)  # how many keys are dropped
g, z = sp.symbols("g z", integer=True, positive=True)  # a dropped key; a key in a normaliser
pd = sp.IndexedBase("q", positive=True)  # unnormalised weights of the dropped keys
xd = sp.IndexedBase("y", nonnegative=True)  # values of the dropped keys, low + y[g]


def _weights(score: sp.IndexedBase, key: sp.Symbol = j) -> sp.Expr:
    """The softmax weight of one key in a row of n scores."""
    return sp.exp(score[key]) / sp.Sum(sp.exp(score[z]), (z, 1, n))


def _output(scores: Row, values: Matrix) -> list[arb]:
    weights = exact.softmax(scores)
    return [sum((w * y for w, y in zip(weights, column, strict=True)), arb(0)) for column in zip(*values, strict=True)]


def _inside(scores: Row, values: Matrix) -> Outcome:
    """Each coordinate between the smallest and the largest of the values', and the squared norm at most the largest squared norm."""
    output = _output(scores, values)
    columns = list(zip(*values, strict=True))
    norms = [sum(y * y for y in row) for row in values]
    below = exact.at_most([min(column) for column in columns], output)
    above = exact.at_most(output, [max(column) for column in columns])
    return Outcome.worst([below, above, exact.at_most(sum((y * y for y in output), arb(0)), max(norms))])


@derived(
    Claim(
        id="convexity.output-in-the-hull",
        title="The output lies in the convex hull of the values",
        states="Attention returns a weighted combination of the values.",
        precise=r"$o=\sum_jp_jv_j$ with $p_j>0$ and $\sum_jp_j=1$, so that $o\in\mathrm{conv}\{v_j\}$. Along every direction $u$ the output lies no further than the furthest value: if every "
        r"$\langle u, v_j\rangle \ge \mathrm{low}$, then $\langle u, o\rangle \ge \mathrm{low}$. With $u=\pm e_c$, the unit vectors of coordinate $c$, each coordinate of $o$ lies between the "
        r"smallest and the largest of the values' coordinates.",
        sources=(S2.at("Attention as Matrix Operations"), S3.at("Basic Attention Formula"), S4.at("Mathematical Foundation")),
        scope="every number n ≥ 1 of keys, all real scores and values; low + x_j with x_j ≥ 0 is the component of v_j along u",
        inventory=("C049",),
        holds=_inside,
    )
)
def output_in_the_hull() -> Iterator[Step]:
    yield Step(total(_weights(s), j), "=", sp.Integer(1), "the weights share one normaliser")
    yield Step(
        low,
        "<=",
        total(_weights(s) * (low + x[j]), j),
        "weights that sum to one leave the constant as it is, and the rest is an average of numbers ≥ 0",
        certificate=total(_weights(s) * x[j], j),
    )


@derived(
    Claim(
        id="convexity.output-norm",
        title="The output is no longer than the longest value",
        states="(Not in the text; it follows from weights that are positive and sum to one.) Averaging cannot make a vector longer than the longest one it averages.",
        precise=r"$\|o\|^2 \le \sum_j p_j\|v_j\|^2$, an average of the squared lengths and so at most $\max_j\|v_j\|^2$.",
        sources=(S2.at("Attention as Matrix Operations"),),
        scope="every number n ≥ 1 of keys, every width, all real scores and values",
        inventory=("C049",),
        uses=("convexity.output-in-the-hull",),
        holds=_inside,
    )
)
def output_norm() -> Iterator[Step]:
    output = total(_weights(s) * V[j, e], j)
    spread = sp.Sum(_weights(s, k) * (V[k, e] - output) ** 2, (k, 1, n), (e, 1, d_v))
    lengths = sp.Sum(_weights(s, k) * V[k, e] ** 2, (k, 1, n), (e, 1, d_v))
    yield Step(
        sp.Sum(output**2, (e, 1, d_v)),
        "<=",
        lengths,
        "the right side less the left is the weighted mean of ‖v_k − o‖², a variance, which is not negative",
        certificate=spread,
    )


def _kept_and_dropped(scores: Row, values: Matrix, dropped: Sequence[bool]) -> Outcome:
    """|o − o_kept| ≤ ε · diam, squared, for the keys that are not dropped (nothing to check if all are)."""
    if all(dropped):
        return Outcome.HELD
    full = _output(scores, values)
    kept = exact.softmax(scores, [not gone for gone in dropped])
    pruned = [sum((w * y for w, y in zip(kept, column, strict=True)), arb(0)) for column in zip(*values, strict=True)]
    mass = sum((w for w, gone in zip(exact.softmax(scores), dropped, strict=True) if gone), arb(0))
    diameter = max(sum((x - y) ** 2 for x, y in zip(one, other, strict=True)) for one in values for other in values)
    return exact.at_most(sum(((x - y) * (x - y) for x, y in zip(full, pruned, strict=True)), arb(0)), mass * mass * diameter)


@derived(
    Claim(
        id="convexity.pruned-mass",
        title="Dropping weights of total mass ε moves the output by at most ε times the diameter of the values",
        states="Less important connections may be pruned, for instance those with small attention weights; no error is stated.",
        reading="The kept weights are renormalised, as a softmax over the kept keys does it (retrieving only the best keys comes to the same).",
        precise=r"If the dropped keys had the weights of sum $\varepsilon$, and the kept weights are renormalised, the output changes from $o$ to $o'$ with "
        r"$\langle u, o-o'\rangle\le\varepsilon\,\Delta_u$ in every direction $u$, where $\Delta_u$ is the extent of the values along $u$. With $u$ in the direction of $o-o'$: "
        r"$\|o-o'\|\le\varepsilon\,\mathrm{diam}\{v_j\}$. It does not matter which keys are dropped.",
        sources=(S1.at("Attention Pruning"), S1.at("Retrieval-Augmented Attention")),
        scope="at least one key kept and one dropped, all positive weights p (kept) and q (dropped) before normalisation; the values' components along u lie in [low, low + Δ]",
        inventory=("C165",),
        uses=("convexity.output-in-the-hull",),
        holds=_kept_and_dropped,
    )
)
def pruned_mass() -> Iterator[Step]:
    kept, gone = sp.Sum(p[z], (z, 1, n)), sp.Sum(pd[g], (g, 1, H))
    mass = gone / (kept + gone)
    value, far = low + x[j], low + radius - xd[g]
    output = (total(p[j] * value, j) + sp.Sum(pd[g] * far, (g, 1, H))) / (kept + gone)
    pruned, lost = total(p[j] * value, j) / kept, sp.Sum(pd[g] * far, (g, 1, H)) / gone
    yield Step(output - pruned, "=", mass * (lost - pruned), "the output is the mixture (1 − ε)·(mean of the kept) + ε·(mean of the dropped)")
    yield Step(
        output - pruned,
        "<=",
        mass * radius,
        "two means of values within an interval of length Δ differ by at most Δ",
        certificate=mass * (total(p[j] * x[j], j) / kept + sp.Sum(pd[g] * xd[g], (g, 1, H)) / gone),
    )


def _all_positive(scores: Row) -> Outcome:
    weights = exact.softmax(scores)
    spread = exact.ball(max(scores) - min(scores))
    return exact.at_most([(-spread).exp() / len(scores)] * len(scores), weights)


@derived(
    Claim(
        id="convexity.every-key-is-attended",
        title="Every position attends to every position, in one step",
        states="Each position can attend directly to all positions, itself included; relationships across arbitrary distances are captured.",
        reading="One layer of softmax attention without a mask gives every key a positive weight, however far its position is from the query's. (What a trained model makes of that weight is not judged.)",
        precise=r"$p_k \ge e^{-R}/n > 0$ for every key $k$, where no score exceeds $s_k$ by more than $R$. The positions do not occur in the bound; only the scores do.",
        sources=(
            S1.at("Bidirectional Self-Attention"),
            S4.at("BERT and GPT"),
            S1.at("Self-Attention (Intra-Attention)"),
            S4.at("Concept"),
            S4.at("Benefits"),
            S3.at("Self-Attention"),
            S0.at("Conclusion"),
        ),
        scope="unmasked softmax attention in real arithmetic (floats may round small weights to 0), every number of keys; scores s_j = s_k + R − x_j with x_j ≥ 0",
        inventory=("C187", "C204"),
        holds=_all_positive,
    )
)
def every_key_is_attended() -> Iterator[Step]:
    reach, own = sp.Symbol("R", nonnegative=True), sp.Symbol("s_k", real=True)
    others = total(sp.exp(own + reach - x[j]), j)
    missing = sp.exp(own) * total(1 - sp.exp(-x[j]), j)
    yield Step(sp.Integer(0), "<", sp.exp(-reach) / n, "the bound is positive")
    yield Step(
        sp.exp(-reach) / n,
        "<=",
        sp.exp(own) / others,
        "each of the n exponentials in the normaliser is at most exp(R) times the key's own",
        certificate=missing / (n * others),
    )


def _stochastic_rows(queries: Matrix, keys: Matrix) -> Outcome:
    rows = [exact.softmax(row) for row in exact.scores(queries, keys)]
    shape = exact.decided(len(rows) == len(queries) and all(len(row) == len(keys) for row in rows))
    return Outcome.worst([shape, exact.equal([sum(row, arb(0)) for row in rows], [1] * len(queries))])


@derived(
    Claim(
        id="convexity.rows-are-queries",
        title="Rows belong to queries, columns to keys, and each row is normalised over the keys",
        states="S has a row for each query and a column for each key, and softmax normalises across keys; heat maps are drawn in the same way.",
        precise=r"$Q\in\mathbb R^{m\times d}$ and $K\in\mathbb R^{n\times d}$ give $P\in\mathbb R^{m\times n}$ with $\sum_jP_{rj}=1$ for every query $r$. (The text that names these sizes writes $n$ for the number of queries and "
        r"$m$ for the number of keys; here it is the other way round.)",
        sources=(
            S2.at("Attention as Matrix Operations"),
            S2.at("Mathematical Components"),
            S4.at("Step 3: Apply Softmax"),
            S0.at("Attention Heat Maps"),
            S4.at("Attention Heatmaps"),
        ),
        scope="every m, n, d, every real Q, K and scale c",
        inventory=("C047", "C202", "C264"),
        holds=_stochastic_rows,
    )
)
def rows_are_queries() -> Iterator[Step]:
    def exponential(key: sp.Symbol) -> sp.Expr:
        return sp.exp(c * total(Q[r, a] * K[key, a], a))

    yield Step(
        total(exponential(j) / sp.Sum(exponential(z), (z, 1, n)), j),
        "=",
        sp.Integer(1),
        "row r of the scores is exponentiated and divided by its own sum over the keys",
    )


def _one_quantity(query: Row, key: Row) -> Outcome:
    product = exact.ball(sum(q * k for q, k in zip(query, key, strict=True)))
    return exact.equal(product / exact.ball(len(query)).sqrt(), product)


def _one_softmax(query: Row, key: Row) -> Outcome:
    """The scaled scores, and the unscaled ones divided by √d as the softmax is applied, against a key of zeros."""
    product, root = exact.ball(sum(q * k for q, k in zip(query, key, strict=True))), exact.ball(len(query)).sqrt()
    scaled = [q / root for q in query]
    return exact.equal(exact.softmax([sum((q * k for q, k in zip(scaled, key, strict=True)), arb(0)), 0]), exact.softmax([product / root, 0]))


def _worked_letter(query: Row, key: Row) -> str:
    product, width = sum(q * k for q, k in zip(query, key, strict=True)), len(query)
    scaled = exact.show(exact.ball(product) / exact.ball(width).sqrt())
    return f"q = {list(query)}, k = {list(key)}, so that q·k = {product} and d_k = {width}. By the first definition S = {product}/√{width} = {scaled}, by the second S = {product}."


one_letter = Claim(
    id="convexity.one-letter-for-the-scores",
    title="S means the same throughout",
    states="(Implied by using one letter.) S, written S(Q, K) in the overview and S in the components and in the gradient formula, stands for one similarity matrix.",
    reading="The two definitions that the text writes down, S = QKᵀ/√d_k in the overview and S = QKᵀ in the components, are equal.",
    precise=r"$QK^\top/\sqrt{d_k} = QK^\top$ for every width $d_k$.",
    sources=(S2.at("Attention as Matrix Operations"), S2.at("Mathematical Components"), S2.at("Gradient Flow Analysis")),
    scope="one query and one key of any width",
    inventory=("C048",),
    holds=_one_quantity,
    worked=_worked_letter,
    corrected_by="convexity.scaled-once",
)


@derived(
    Claim(
        id="convexity.scaled-once",
        title="Scaling inside S or inside the softmax gives the same weights",
        states="With S scaled, P = softmax(S); with S unscaled, A = softmax(S/√d_k). (Implied by giving both for the weights of one mechanism: these agree.)",
        precise=r"$\mathrm{softmax}\big((Q/\sqrt d)K^\top\big) = \mathrm{softmax}\big(QK^\top/\sqrt d\big)$; the two matrices called $S$ differ by the factor $\sqrt{d_k}$, and so do their derivatives $\partial S/\partial Q$.",
        sources=(S2.at("Attention as Matrix Operations"), S2.at("Mathematical Components")),
        scope="every m, n, d, every real Q and K",
        inventory=("C048",),
        holds=_one_softmax,
    )
)
def scaled_once() -> Iterator[Step]:
    def inside(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(Q[r, a] / sp.sqrt(d) * K[key, a], a))

    def outside(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(Q[r, a] * K[key, a], a) / sp.sqrt(d))

    yield Step(
        inside(i) / sp.Sum(inside(z), (z, 1, n)),
        "=",
        outside(i) / sp.Sum(outside(z), (z, 1, n)),
        "a constant factor can be taken out of the sum over features",
    )
