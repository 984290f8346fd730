"""Attention between two modalities: one asks the other, in one direction or both, and co-attention, where one matrix of affinities serves both.

A visual input has n regions, a text m tokens. Matrices of co-attention have positions for columns, as the formulas that are judged have.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from itertools import product as choices

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.outcome import Outcome
from theorems.sources import S0, S1, Source
from theorems.step import Step
from theorems.symbols import K, Q, V, a, b, e, i, j, k, l, r, t, total

LU = Source(key="lu2016", title="Hierarchical Question-Image Co-Attention for Visual Question Answering", url="https://arxiv.org/abs/1606.00061")

Row = Sequence[int]
Matrix = Sequence[Row]
Balls = list[list[arb]]
Shape = tuple[int, int]

low = sp.Symbol("low", real=True)
x = sp.IndexedBase("x", nonnegative=True)
D = sp.KroneckerDelta


def _score(row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    return total(Q[row, a] * K[key, a], a)


def _weight(row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    return sp.exp(_score(row, key)) / total(sp.exp(_score(row, l)), l)


def _types(queries: Matrix, keys: Matrix, values: Matrix) -> Outcome:
    """Both directions: as many rows as the asking side has positions, as wide as the answering side's values, weights that sum to one."""
    outcomes = []
    for asking, asked, given in ((queries, keys, values), (keys, queries, queries)):
        output = exact.attention(asking, asked, given)
        outcomes.append(exact.decided((len(output), len(output[0])) == (len(asking), len(given[0]))))
        outcomes.append(exact.equal(exact.attention(asking, asked, [[1]] * len(asked)), [[1]] * len(asking)))
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="cross-modal.types",
        title="Text queries over visual keys and values give one visual summary for each token",
        states="Queries come from the text encoder, keys and values from the vision encoder; tokens attend to image patches and vice versa.",
        precise=r"For queries of $m$ tokens and keys and values of $n$ regions the output has $m$ rows of the values' width; row $t$ is $\sum_jp_{tj}V_j$ with $p_{tj}>0$ and $\sum_jp_{tj}=1$. "
        "Exchanging the roles gives $n$ rows. Each direction has its own normaliser. Neither needs $m=n$ or equal widths of the values; only a query and "
        "the keys that it meets must have the same width.",
        sources=(S0.at("Vision-Language Attention"), S1.at("Vision-Language Models")),
        scope="every m, n ≥ 1, every key and value width, every real input; one head",
        inventory=("C104",),
        uses=("convexity.output-in-the-hull",),
        holds=_types,
    )
)
def types() -> Iterator[Step]:
    yield Step(sp.Integer(0), "<", _weight(t, j), "each token weighs each region")
    yield Step(total(_weight(t, j), j), "=", sp.Integer(1), "a token's weights over the n regions sum to one, for each of the m tokens")
    output = total(_weight(t, j) * V[j, e], j)
    yield Step(sp.Derivative(output, V[k, e]), "=", _weight(t, k), "the summary is linear in the values, feature by feature, and so has their width")
    turned = sp.exp(_score(t, j)) / total(sp.exp(_score(r, j)), r)
    yield Step(
        total(turned, t),
        "=",
        sp.Integer(1),
        "with the same affinities asked from the other side, a region's weights over the m tokens sum to one, by a normaliser of its own",
    )


def _direction(queries: Matrix, keys: Matrix, values: Matrix, region: int, shift: int) -> Outcome:
    """Equal regions give the token that region whatever it asks; a region whose value rises by `shift` raises every token's summary by its weight."""
    region %= len(keys)
    alike = exact.attention(queries, keys, [values[0]] * len(keys))
    before = exact.attention(queries, keys, values)
    moved = [[y + shift * (at == region) for y in row] for at, row in enumerate(values)]
    after = exact.attention(queries, keys, moved)
    weights = [exact.softmax(row)[region] for row in exact.scores(queries, keys)]
    expected = [[y + shift * p for y in row] for row, p in zip(before, weights, strict=True)]
    flows = exact.decided(shift == 0 or all(bool(p > 0) for p in weights))
    return Outcome.worst([exact.equal(alike, [values[0]] * len(queries)), exact.equal(after, expected), flows])


@derived(
    Claim(
        id="cross-modal.direction",
        title="In Attention(Q_t, K_v, V_v) content flows from the visual side to the text, as the arrow v → t says",
        states="C_{v→t} is Attention(Q_t, K_v, V_v), and C_{t→v} is Attention(Q_v, K_t, V_t).",
        reading="The arrow is the direction in which content flows: the result belongs to the text's positions, and what stands in it comes from the image.",
        precise=r"Let $C_t$ be the row of token $t$, and $p_{tk}$ the weight that it gives region $k$. $\partial C_{te}/\partial V_{ke}=p_{tk}>0$: every "
        "region reaches every token. If all regions have the same value $v$, then $C_t=v$ whatever the text "
        "asks: the text chooses, and adds nothing of its own. Along any direction $C_t$ lies between the least and the largest visual value. The other "
        "direction is the same with the roles exchanged.",
        sources=(S0.at("Multi-Modal Fusion"),),
        scope="every m, n ≥ 1, every width, every real input",
        inventory=("C105",),
        uses=("cross-modal.types", "convexity.output-in-the-hull"),
        holds=_direction,
    )
)
def direction() -> Iterator[Step]:
    output = total(_weight(t, j) * V[j, e], j)
    constant = sp.Symbol("v", real=True)
    yield Step(total(_weight(t, j) * constant, j), "=", constant, "the text enters through the weights alone, which sum to one")
    yield Step(
        low, "<=", total(_weight(t, j) * (low + x[j]), j), "so the summary lies in the hull of the visual values", certificate=total(_weight(t, j) * x[j], j)
    )
    yield Step(sp.Integer(0), "<", _weight(t, k), "no region has weight 0")
    yield Step(sp.Derivative(output, V[k, e]), "=", _weight(t, k), "the output is linear in the visual values")


# --- co-attention ----------------------------------------------------------------------------------------------------------------------------


def product(one: Shape, other: Shape) -> Shape | None:
    """The shape of a matrix product, or None where there is none."""
    return (one[0], other[1]) if one[1] == other[0] else None


def _typed(visual: int, text: int, width: int, hidden: int, turned: bool) -> bool:
    """Whether both sums of co-attention exist, positions being columns: features [width, positions], W_v and W_t [hidden, width], W_b [width, width].

    `turned` exchanges C and its transpose between the two formulas.
    """
    C = (visual, text)  # Q_vᵀ W_b Q_t: [visual, width] [width, width] [width, text]
    into_visual, into_text = ((text, visual), C) if turned else (C, (text, visual))
    return product((hidden, text), into_visual) == (hidden, visual) and product((hidden, visual), into_text) == (hidden, text)


def _affinities(visual: Matrix, text: Matrix, bilinear: Matrix) -> Balls:
    """tanh(Q_vᵀ W_b Q_t), [visual, text]."""
    columns, others = list(zip(*visual, strict=True)), list(zip(*text, strict=True))
    return [
        [sum((exact.ball(x * w * y) for x, row in zip(one, bilinear, strict=True) for w, y in zip(row, other, strict=True)), arb(0)).tanh() for other in others]
        for one in columns
    ]


def _features(own: Matrix, other: Matrix, affinity: Balls) -> Balls:
    """tanh(own + other · affinity), with W = 1: own [hidden, p], other [hidden, q], affinity [q, p]."""
    return [
        [(y + sum((z * row[at] for z, row in zip(across, affinity, strict=True)), arb(0))).tanh() for at, y in enumerate(line)]
        for line, across in zip(own, other, strict=True)
    ]


def turned(matrix: Sequence[Sequence[arb]]) -> Balls:
    return [list(column) for column in zip(*matrix, strict=True)]


def _by_columns(visual: Matrix, text: Matrix, bilinear: Matrix) -> Outcome:
    """Positions are columns: the sums exist, and listing the text's tokens in reverse leaves H_v, whose columns are regions, as it is."""
    shape = len(visual[0]), len(text[0])
    if not _typed(*shape, len(visual), len(visual), turned=False):
        return Outcome.REFUTED
    reverse = [tuple(reversed(row)) for row in text]
    before = _features(visual, text, _affinities(visual, text, bilinear))
    after = _features(visual, reverse, _affinities(visual, reverse, bilinear))
    return exact.equal(before, after)


def _with_rows(visual: Matrix, text: Matrix) -> Balls:
    """H_v of one row, positions being rows (these matrices transposed), with W_v = (1, 2, …), W_t = (1, 2, …) and a W_b of ones: V_v [N, d], W_v [1, N], C [d, d]."""
    across = [sum(place * y for place, y in enumerate(row, start=1)) for row in text]  # W_t V_t, one entry a feature
    kept = [sum(place * y for place, y in enumerate(row, start=1)) for row in visual]
    affinity = [[exact.ball(sum(one) * sum(other)).tanh() for other in text] for one in visual]
    return [[(kept[at] + sum((z * row[at] for z, row in zip(across, affinity, strict=True)), arb(0))).tanh() for at in range(len(kept))]]


def _by_rows(visual: Matrix, text: Matrix) -> Outcome:
    """Positions are rows: listing the text's tokens in reverse leaves H_v as it is."""
    return exact.equal(_with_rows(visual, text), _with_rows(visual, [tuple(reversed(row)) for row in text]))


def _mixed_layouts(regions: int = 2, words: int = 3, width: int = 5) -> Outcome:
    """Q_v, Q_t, V_v and V_t, each with positions as columns or as rows, but not all alike; maps W of whatever shape fits: whether both sums exist, at sizes that differ."""
    for layout in choices((True, False), repeat=4):
        q_v, q_t, v_v, v_t = (
            size if by_columns else width for size, by_columns in zip((regions, words, regions, words), layout, strict=True)
        )  # columns of each
        both = product((1, v_t), (q_v, q_t)) == (1, v_v) and product((1, v_v), (q_t, q_v)) == (1, v_t)
        if both and len(set(layout)) > 1:
            return Outcome.HELD
    return Outcome.REFUTED


def _as_printed(visual: Matrix, text: Matrix, bilinear: Matrix) -> Outcome:
    """One of the readings of the shapes serves: refuted only if all fail."""
    outcomes = _by_columns(visual, text, bilinear), _by_rows(visual, text), _mixed_layouts()
    return next((outcome for outcome in (Outcome.HELD, Outcome.UNDECIDED) if outcome in outcomes), Outcome.REFUTED)


def _as_printed_by_hand(visual: Matrix, text: Matrix, bilinear: Matrix) -> str:
    regions, words, width = len(visual[0]), len(text[0]), len(visual)
    reverse = [tuple(reversed(row)) for row in text]
    here, there = (", ".join(exact.show(y) for y in _with_rows(visual, order)[0]) for order in (text, reverse))
    kept, one, other = (", ".join(str(sum(place * y for place, y in enumerate(row, start=1))) for row in of) for of in (visual, text, reverse))
    affinity = "; ".join(", ".join(exact.show(exact.ball(sum(x) * sum(y)).tanh()) for y in text) for x in visual)
    counted = [", ".join(str(place + 1) for place in range(size)) for size in (regions, words)]
    ones = "; ".join(", ".join(["1"] * words) for _ in range(regions))
    rows = (
        f" Second reading: positions are rows. Then C is {width} × {width} and the products exist, but W_v needs an entry for each region, W_t one for each "
        f"token, and "
        "W_b one for each pair of both: such maps serve these numbers of regions and tokens only, and "
        f"mix positions. With W_v = ({counted[0]}), W_t = ({counted[1]}) and W_b = ({ones}) in place of the map above, W_v V_v is ({kept}), C is ({affinity}), "
        f"and W_t V_t is ({one}), or "
        f"({other}) with the tokens in reverse. So H_v = tanh(W_v V_v + (W_t V_t) C) is "
        f"({here}), and in reverse ({there}): it depends on the order of the tokens. Any other reading lays out some of the four features by columns and some "
        "by rows: then the sums do not exist for 2 regions, 3 tokens and the width 5."
    )
    if regions != words:
        return (
            f"Take V_v = Q_v = {[list(row) for row in visual]} and V_t = Q_t = {[list(row) for row in text]}, with a column for each position: {regions} "
            f"region{'s' if regions > 1 else ''} "
            f"and {words} token{'s' if words > 1 else ''} of width {width}; W_b = {[list(row) for row in bilinear]}. First reading: positions are columns. C = "
            f"tanh(Q_vᵀ W_b Q_t) is "
            f"{regions} × {words}, W_v V_v is h × {regions} and W_t V_t is h × {words}. (W_t V_t) C would be a product of h × {words} and {regions} × "
            f"{words}, which does not exist, whatever the maps are." + rows
        )
    return (
        f"Take V_v = Q_v = {[list(row) for row in visual]}, V_t = Q_t = {[list(row) for row in text]}, W_b = {[list(row) for row in bilinear]}, and 1 for the "
        "other maps. First reading: positions are columns. The shapes fit, since both "
        f"sides have {regions} positions; but (W_t V_t) C sums over tokens t an entry of C whose first index is a region: listed in reverse, the same tokens "
        "give another H_v." + rows
    )


co_attention_as_printed = Claim(
    id="cross-modal.co-attention-as-printed",
    title="Co-attention: H_v adds (W_t V_t) C, and H_t adds (W_v V_v) Cᵀ, for C = tanh(Q_vᵀ W_b Q_t)",
    states="Co-attention networks attend in both modalities at once: an affinity matrix C of visual and text features, and features H_v and H_t, each of which adds the other side's, mapped by C and its transpose.",
    reading="The formulas define features for any number of regions and any number of tokens, in which the order of the tokens does not matter to a region.",
    precise=r"$C=\tanh(Q_v^TW_bQ_t)$, $H_v=\tanh(W_vV_v+(W_tV_t)C)$, $H_t=\tanh(W_tV_t+(W_vV_v)C^T)$ have shapes that fit for all numbers of regions and tokens, and reordering tokens leaves $H_v$ as it is. "
    "Positions are columns, so that $Q_v^TW_bQ_t$ compares positions with positions. (With positions as rows the maps $W$ would need an entry for each "
    "position, and mix them: the order matters there too. With some of the "
    r"features by columns and some by rows the shapes fit only where two of the numbers of regions, tokens and features are equal.)",
    sources=(S0.at("Co-Attention Networks"),),
    scope="one or more regions and tokens; counterexamples use Q = V, and W_v = W_t = 1 where positions are columns; they fail on every reading of the shapes",
    inventory=("C106",),
    corrected_by="cross-modal.co-attention",
    holds=_as_printed,
    worked=_as_printed_by_hand,
)


def _corrected(visual: Matrix, text: Matrix, bilinear: Matrix) -> Outcome:
    """With C and Cᵀ exchanged every size fits; any order of the tokens gives the same H_v, and H_t in that order; exchanged sides exchange the two."""
    shape = len(visual[0]), len(text[0])
    if not _typed(*shape, len(visual), len(visual), turned=True):
        return Outcome.REFUTED
    wanted, asked = _both(visual, text, bilinear)
    outcomes = [exact.equal(_both(text, visual, list(zip(*bilinear, strict=True))), (asked, wanted))]
    for order in list(permutations(range(shape[1])))[:MOST]:
        found = _both(visual, [[row[at] for at in order] for row in text], bilinear)
        outcomes.append(exact.equal(found, (wanted, [[row[at] for at in order] for row in asked])))
    return Outcome.worst(outcomes)


def _both(visual: Matrix, text: Matrix, bilinear: Matrix) -> tuple[Balls, Balls]:
    """H_v and H_t, C transposed for the visual side."""
    C = _affinities(visual, text, bilinear)
    return _features(visual, text, turned(C)), _features(text, visual, C)


MOST = 6  # orders of the tokens that are tried

across = sp.IndexedBase("B", real=True)  # (W_t V_t)[a, t]
affinity = sp.IndexedBase("C", real=True)  # C[j, t]
q_v, q_t, W = sp.IndexedBase("X", real=True), sp.IndexedBase("Y", real=True), sp.IndexedBase("W", real=True)


def _exchanged(base: sp.IndexedBase) -> sp.Expr:
    """base[i] once places k and l have changed theirs."""
    kept = (1 - D(i, k)) * (1 - D(i, l)) * base[i]
    return kept + D(i, k) * base[l] + D(i, l) * base[k] - D(i, k) * D(i, l) * base[k]


@derived(
    Claim(
        id="cross-modal.co-attention",
        title="Co-attention's features: each side adds the other's, with C transposed for the visual side",
        states="(Implied.) Co-attention's formulas with shapes that fit: an affinity matrix of visual and text features, and features of each side to which "
        "the other side's are added.",
        precise=r"With $C=\tanh(Q_v^TW_bQ_t)$, which has a row for each region and a column for each token: $H_v=\tanh(W_vV_v+(W_tV_t)C^T)$ and "
        r"$H_t=\tanh(W_tV_t+(W_vV_v)C)$. Each sum runs over the other side's positions, "
        "so all numbers of regions and tokens fit. Reordering tokens leaves $H_v$ as it is and reorders $H_t$. Exchanging the modalities, with $W_b^T$ for "
        "$W_b$, transposes $C$ and exchanges $H_v$ and $H_t$.",
        sources=(LU.at("section 3.3, parallel co-attention"), S0.at("Co-Attention Networks")),
        scope="every number of regions and tokens, every width, every real input; an exchange of two tokens is derived, and exchanges generate every order",
        inventory=("C106",),
        holds=_corrected,
    )
)
def co_attention() -> Iterator[Step]:
    from_text = total(across[a, t] * affinity[j, t], t)
    yield Step(
        sp.Derivative(from_text, affinity[j, r]),
        "=",
        across[a, r],
        "what reaches region j is a sum over any number of tokens, in which row j of C weighs the columns of W_t V_t",
    )
    from_image = total(across[a, j] * affinity[j, t], j)
    yield Step(
        sp.Derivative(from_image, affinity[k, r]),
        "=",
        D(t, r) * across[a, k],
        "what reaches token t is a sum over regions, weighed by column t of C alone: reordering the tokens reorders the columns of H_t",
    )
    terms = sp.IndexedBase("Z", real=True)
    yield Step(total(_exchanged(terms), i), "=", total(terms[i], i), "a sum of one term for each of n tokens does not change when tokens k and l change places")
    forward = total(total(q_v[a, j] * W[a, b] * q_t[b, t], a), b)
    back = total(total(q_t[b, t] * W[a, b] * q_v[a, j], b), a)
    yield Step(forward, "=", back, "q_v · W_b q_t = q_t · W_bᵀ q_v: exchanging the sides, and transposing W_b, transposes C")


def _simultaneous(visual: Matrix, text: Matrix, bilinear: Matrix) -> Outcome:
    """A region's entries of C, over tokens, are ≥ 0 and sum to one, and so are a token's, over regions."""
    C = _affinities(visual, text, bilinear)
    return Outcome.worst([outcome for weights in (*C, *turned(C)) for outcome in _distribution(weights)])


def _distribution(weights: Sequence[arb]) -> list[Outcome]:
    return [exact.at_most([0] * len(weights), weights), exact.equal(sum(weights, arb(0)), 1)]


def _simultaneous_by_hand(visual: Matrix, text: Matrix, bilinear: Matrix) -> str:
    C = _affinities(visual, text, bilinear)
    shown = [[exact.show(y) for y in row] for row in C]
    sums = [", ".join(exact.show(sum(weights, arb(0))) for weights in side) for side in (C, turned(C))]
    return (
        f"The visual features are {[list(row) for row in visual]} and those of the text {[list(row) for row in text]}, with a column for each position, and "
        f"W_b = {[list(row) for row in bilinear]}. "
        f"Then C = tanh(Q_vᵀ W_b Q_t) is [{'; '.join(', '.join(row) for row in shown)}]. Its rows sum to {sums[0]} and its columns to {sums[1]}; the claim "
        "needs entries that are not negative, and 1 for each sum. A tanh lies between −1 and 1; nothing makes it "
        "positive, or its rows or columns sum to one."
    )


def _attended(visual: Matrix, text: Matrix, bilinear: Matrix) -> Outcome:
    """With softmax(wᵀ H) on each side, w = 1, both summaries lie among their own side's features."""
    C = _affinities(visual, text, bilinear)
    outcomes = []
    for values, features in ((visual, _features(visual, text, turned(C))), (text, _features(text, visual, C))):
        weights = exact.softmax([sum(column, arb(0)) for column in turned(features)])
        summary = [sum((p * y for p, y in zip(weights, row, strict=True)), arb(0)) for row in values]
        outcomes += [
            *_distribution(weights),
            exact.at_most([min(row) for row in values], summary),
            exact.at_most(summary, [max(row) for row in values]),
        ]
    return Outcome.worst(outcomes)


hidden = sp.IndexedBase("h", real=True)  # w · H[:, j]


def _last_step() -> Iterator[Step]:
    weight = sp.exp(hidden[j]) / total(sp.exp(hidden[l]), l)
    yield Step(total(weight, j), "=", sp.Integer(1), "a softmax of one score for each position")
    yield Step(low, "<=", total(weight * (low + x[j]), j), "and the summary is an average of that side's features", certificate=total(weight * x[j], j))


simultaneous = Claim(
    id="cross-modal.simultaneous-attention",
    title="The co-attention formulas attend in both modalities at once",
    states="Simultaneous attention in both modalities, by C, H_v and H_t.",
    reading="To attend is to average by weights that are not negative and sum to one. In the formulas, with their shapes repaired, each side weighs the other "
    "by C: a region's entries of C over the tokens are such weights, and so are a "
    "token's over the regions.",
    precise="Each side is weighed by distributions. The formulas give only $C$, whose entries lie between −1 and 1, and its rows and columns are no "
    r"distributions. It holds for $a^v=\mathrm{softmax}(w_v^TH_v)$ over regions "
    r"and $a^t=\mathrm{softmax}(w_t^TH_t)$ over tokens, and makes $\hat v=\sum_ja^v_jv_j$ and $\hat t$ averages of their side's features.",
    sources=(S0.at("Co-Attention Networks"), LU.at("section 3.3, parallel co-attention")),
    scope="one or more regions and tokens, every real input",
    inventory=("C107",),
    uses=("cross-modal.co-attention",),
    unsaid="a last step that the text leaves out: weights by a softmax of wᵀH on each side, and the average with these weights",
    corrected_by="cross-modal.two-summaries",
    derive=_last_step,
    holds=_simultaneous,
    worked=_simultaneous_by_hand,
)


@derived(
    Claim(
        id="cross-modal.two-summaries",
        title="With a softmax on each side, co-attention gives two averages from one matrix of affinities",
        states="(Not in the text; the last step of the paper's co-attention.) What parallel co-attention returns.",
        precise=r"$a^v=\mathrm{softmax}(w_v^TH_v)$ over regions and $a^t=\mathrm{softmax}(w_t^TH_t)$ over tokens each sum to one, and $\hat v$, $\hat t$ lie in the hulls of their own side's features. "
        r"Exchanging the sides exchanges the two. The entries of $C$ lie strictly between −1 and 1: they weigh, but they are no distribution.",
        sources=(LU.at("section 3.3, parallel co-attention"),),
        scope="every number of regions and tokens, every width, every real input",
        inventory=("C107",),
        uses=("cross-modal.co-attention", "convexity.output-in-the-hull"),
        holds=_attended,
    )
)
def two_summaries() -> Iterator[Step]:
    z = sp.Symbol("z", real=True)
    tanh = (sp.exp(z) - sp.exp(-z)) / (sp.exp(z) + sp.exp(-z))
    yield Step(tanh, "<", sp.Integer(1), "an affinity stays below 1", certificate=2 * sp.exp(-z) / (sp.exp(z) + sp.exp(-z)))
    yield Step(sp.Integer(-1), "<", tanh, "and above −1", certificate=2 * sp.exp(z) / (sp.exp(z) + sp.exp(-z)))
    yield from _last_step()
