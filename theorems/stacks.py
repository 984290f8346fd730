"""Layers put together: sequence models from causal layers, encoder and decoder, masks at any depth, special tokens, and what depth has to do with locality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from math import prod

import sympy as sp
from flint import arb

from theorems import exact, masks
from theorems.claim import Claim, derived
from theorems.outcome import Outcome
from theorems.sources import S1, S3, S4, VASWANI, Source
from theorems.step import Step
from theorems.symbols import K, P, Q, S, V, a, b, c, e, f, i, j, k, l, n, r, s, softmax, t, total, v

DEVLIN = Source(
    key="devlin2019", title="BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", url="https://arxiv.org/abs/1810.04805"
)
DOSOVITSKIY = Source(
    key="dosovitskiy2021", title="An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", url="https://arxiv.org/abs/2010.11929"
)
T5 = Source(key="raffel2020", title="Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", url="https://arxiv.org/abs/1910.10683")
DECODERS, ENCODERS = S1.at("Causal Self-Attention"), S1.at("Bidirectional Self-Attention")
BROADCAST = S4.at("Broadcast Attention")

Row = Sequence[int]
Rows = Sequence[Row]
Layers = Sequence[tuple[int, int]]  # for each layer x ← x + Att(x) of width 1, the factor of its scores and that of its values
Mask = list[list[bool]]

N = sp.Symbol("N", integer=True, positive=True)  # other keys, or other kinds of tokens
near, far = sp.symbols("W F", integer=True, positive=True)  # keys inside a window, and outside
more, less = sp.symbols("x y", nonnegative=True)
mu = sp.IndexedBase("mu", nonnegative=True)  # 1 for a visible key, 0 for a hidden one
hidden = sp.Symbol("z", nonnegative=True)  # what a mask leaves of a later position: 0


def D(one: sp.Expr, other: sp.Expr) -> sp.Expr:
    return sp.KroneckerDelta(one, other)


# --- sequence models (C205, C208) ---------------------------------------------------------------------------------------------------------


def next_token(sequence: Row, kinds: int, layers: Layers) -> list[list[arb]]:
    """At each position the probabilities of the kinds 0, 1, …: softmax of (kind · state) on the states of a causal stack."""
    states = masks.stacked(sequence, layers, True)
    return [exact.softmax([kind * state for kind in range(kinds)]) for state in states]


def _sums_to_one(kinds: int, length: int, start: int, layers: Layers) -> Outcome:
    """The probabilities of all sequences, each the product of its tokens' probabilities given what stands before them."""
    whole = arb(0)
    for sequence in product(range(kinds), repeat=length):
        rows = next_token([start, *sequence], kinds, layers)
        whole += prod((rows[place][token] for place, token in enumerate(sequence)), start=arb(1))
    return exact.equal(whole, 1)


@derived(
    Claim(
        id="stacks.chain-rule",
        title="A causal stack with a softmax over the vocabulary is a normalised model of sequences",
        states="A lower triangular mask keeps the future out, and sequences are generated one token at a time; models are pre-trained on next-token "
        "prediction.",
        reading="If the output at position t is read as the probabilities of token t + 1, the product over the positions is a probability distribution over "
        "sequences.",
        precise=r"$\sum_{x_1,\dots,x_T}\prod_t p(x_t\mid x_{<t})=1$: the last factor sums to 1 for every prefix, and what is left is the sum for length "
        r"$T-1$. That $p(x_t\mid x_{<t})$ is a function "
        r"of the prefix alone is masks.causal-stack, with the outputs shifted by one place against their targets, since the mask lets each position see its "
        r"own token.",
        sources=(DECODERS, S4.at("BERT and GPT"), S3.at("Causal Masking")),
        scope="every length T, every finite vocabulary, any causal stack, a start symbol before the sequence; sequences of a fixed length (for all lengths "
        "together an end symbol is needed)",
        inventory=("C205",),
        uses=("masks.causal-stack",),
        holds=_sums_to_one,
    )
)
def chain_rule() -> Iterator[Step]:
    yield Step(total(softmax(s, j), j), "=", sp.Integer(1), "over the vocabulary, for any one prefix; for T = 1 that is all")
    following = total(sp.exp(S[r, j]) / total(sp.exp(S[r, l]), l), j)
    yield Step(total(P[r, 1] * following, r), "=", total(P[r, 1], r), "over all m prefixes, each with its probability: adding a token keeps the sum")


def _more_than_one(kinds: int, lean: int) -> Outcome:
    """Two tokens, each predicted from the other by logits lean · (one-hot of the other): the products sum to 1 + (kinds − 1)(p − q)²."""
    given = [exact.softmax([lean * int(kind == other) for kind in range(kinds)]) for other in range(kinds)]
    whole = sum((given[other][kind] * given[kind][other] for kind in range(kinds) for other in range(kinds)), arb(0))
    same, different = given[0][0], given[0][-1] if kinds > 1 else given[0][0]
    formula = exact.equal(whole, 1 + (kinds - 1) * (same - different) * (same - different))
    return Outcome.worst([formula, exact.decided((lean == 0 or kinds == 1) or bool(whole > 1))])


@derived(
    Claim(
        id="stacks.masked-conditionals",
        title="Masked-token prediction uses both sides, and its conditionals need not multiply to a distribution",
        states="Masked language modelling: predict masked tokens using context.",
        reading="What kind of model this training makes: a conditional distribution for each masked token given the others, left and right of it; a "
        "probability of the sequence is "
        "another matter.",
        precise=r"Two tokens of $N+1$ kinds, each predicted from the other: the same kind with probability $p=e^c/(e^c+N)$, any other with $q=1/(e^c+N)$. The "
        r"products of the two conditionals sum to "
        r"$(N+1)p^2+(N+1)Nq^2=1+N(p-q)^2$ over all pairs: more than 1 unless the context is ignored ($c=0$). That every other token is used is "
        r"masks.unmasked-sees-the-future.",
        sources=(ENCODERS, S4.at("BERT and GPT"), DEVLIN.at("section 3.1")),
        scope="one family of conditionals, every number of kinds, every c; enough to show that such products are no distribution in general, unlike "
        "stacks.chain-rule",
        inventory=("C208",),
        uses=("masks.unmasked-sees-the-future",),
        holds=_more_than_one,
    )
)
def masked_conditionals() -> Iterator[Step]:
    mass = sp.exp(c) + N
    same, different = sp.exp(c) / mass, 1 / mass
    yield Step(same - different, "=", (sp.exp(c) - 1) / mass, "how far the context moves a prediction")
    lean = sp.Symbol("t", positive=True)
    drawn, avoided = (sp.exp(lean) - 1) / (sp.exp(lean) + N), (1 - sp.exp(-lean)) / (sp.exp(-lean) + N)
    yield Step(sp.Integer(1), "<", 1 + N * drawn**2, "more than 1 for c = t > 0, where the context's own kind is preferred")
    yield Step(sp.Integer(1), "<", 1 + N * avoided**2, "and for c = −t, where it is avoided")
    yield Step(
        (N + 1) * same**2 + (N + 1) * N * different**2, "=", 1 + N * (same - different) ** 2,
        "N + 1 pairs of equal tokens and (N + 1)N of different ones; 1 = (p + Nq)²",
    )  # fmt: skip


def _answer(query: int, keys: Row, bias: Row, form: int) -> arb:
    """One query's answer: scores form · query · key + bias, values the keys (width 1)."""
    weights = exact.softmax([form * query * key + extra for key, extra in zip(keys, bias, strict=True)])
    return sum((weight * key for weight, key in zip(weights, keys, strict=True)), arb(0))


def _separates(first: Row, second: Row, separator: int, form: int, extra: int) -> Outcome:
    """Exchange the two sequences' first tokens: the separator's answer stays; with `extra` on the second sequence's scores it moves, if the tokens differ."""
    moved_first, moved_second = [second[0], *first[1:]], [first[0], *second[1:]]
    here, there = [*first, separator, *second], [*moved_first, separator, *moved_second]
    plain = [0] * len(here)
    marked = [0] * (len(first) + 1) + [extra] * len(second)
    same = exact.equal(_answer(separator, here, plain, form), _answer(separator, there, plain, form))
    if first[0] == second[0] or form * separator != 0:
        return same
    apart = exact.equal(_answer(separator, here, marked, form), _answer(separator, there, marked, form))
    return Outcome.worst([same, exact.decided(apart is Outcome.REFUTED)])


@derived(
    Claim(
        id="stacks.separator",
        title="Without a mask, a [SEP] token separates two sequences only together with positions or segment encodings",
        states="Sentence-pair tasks: two sequences are handled with a [SEP] token between them.",
        reading="Whether the token by itself separates them: without positions or segments, attention cannot tell on which side of it a token stands.",
        precise=r"Without encodings of position or segment the answer of any query is the same when tokens $k$ and $l$ of the two sequences trade places. "
        r"With $\sigma>0$ added to the scores of the second "
        r"sequence, tokens $u+\delta$ and $u$ ($\delta>0$) before and after the separator, otherwise scored alike, give $\frac{(u+\delta)+e^\sigma "
        r"u}{1+e^\sigma}$, and the other way round "
        r"$\frac{u+e^\sigma(u+\delta)}{1+e^\sigma}$, which is more.",
        sources=(ENCODERS, DEVLIN.at("section 3")),
        scope="one layer without a mask (any number of them, by equivariance), any scores of contents; the second half is an example",
        inventory=("C208",),
        uses=("symmetry.self-attention-equivariance",),
        holds=_separates,
    )
)
def separator() -> Iterator[Step]:
    def swapped(entry: sp.IndexedBase, row: sp.Symbol) -> sp.Expr:
        return entry[row] + (D(row, k) - D(row, l)) * (entry[l] - entry[k])

    key = sp.Symbol("w", integer=True, positive=True)
    moved = total(sp.exp(swapped(s, j)) * swapped(v, j), j) / sp.Sum(sp.exp(swapped(s, key)), (key, 1, n))
    still = total(sp.exp(s[j]) * v[j], j) / sp.Sum(sp.exp(s[key]), (key, 1, n))
    yield Step(moved, "=", still, "scores and values of the two tokens move together, and the sums run over both sequences")
    low, apart, segment = sp.Symbol("u", real=True), sp.Symbol("delta", positive=True), sp.Symbol("sigma", positive=True)
    growth = sp.exp(segment)
    yield Step(
        ((low + apart) + growth * low) / (1 + growth), "<", (low + growth * (low + apart)) / (1 + growth),
        "a segment's own share of the scores tells the sides apart",
        certificate=(growth - 1) * apart / (1 + growth),
    )  # fmt: skip


# --- encoder and decoder (C209) -----------------------------------------------------------------------------------------------------------


def translated(source: Row, target: Row, encoder: Layers, decoder: Sequence[tuple[int, int, int, int]]) -> list[arb]:
    """An encoder of full layers, then decoder layers: causal self-attention, then cross-attention to the encoder's outputs. Width 1, residuals."""
    memory = masks.stacked(source, encoder, False)
    states = [exact.ball(token) for token in target]
    for score, value, cross_score, cross_value in decoder:
        seen = masks.triangle(len(target), len(target))
        rows = exact.attention([[score * x] for x in states], [[x] for x in states], [[value * x] for x in states], visible=seen)
        states = [x + row[0] for x, row in zip(states, rows, strict=True)]
        rows = exact.attention([[cross_score * x] for x in states], [[x] for x in memory], [[cross_value * x] for x in memory])
        states = [x + row[0] for x, row in zip(states, rows, strict=True)]
    return states


def _target_stays_causal(source: Row, target: Row, encoder: Layers, decoder: Sequence[tuple[int, int, int, int]], place: int, token: int) -> Outcome:
    at = place % len(target)
    changed = [token if where == at else old for where, old in enumerate(target)]
    return exact.equal(translated(source, changed, encoder, decoder)[:at], translated(source, target, encoder, decoder)[:at])


@derived(
    Claim(
        id="stacks.encoder-decoder",
        title="Encoder, causal decoder and cross-attention compose, and the target stays causal",
        states="Encoder-decoder models combine bidirectional self-attention in the encoder, causal self-attention in the decoder, and cross-attention from "
        "the decoder to the encoder's outputs.",
        reading="Put together, the parts keep their purpose: no output of the decoder depends on a later target token, at any depth, and each can depend on "
        "the whole source.",
        precise=r"Row $r$ of cross-attention reads no query but its own, $\partial o_r/\partial Q_{tb}\propto\delta_{rt}$, and memory that does not depend on "
        r"the target. So its Jacobian in the decoder's states is "
        r"diagonal in the positions, and its product with that of a causal layer has no entry at later positions; likewise for every further layer. Each "
        r"source value has a positive weight at every "
        r"target position.",
        sources=(S1.at("Combined Attention Types"), S3.at("Cross-Attention"), S4.at("Cross-Attention"), VASWANI.at("section 3.2.3")),
        scope="every number of layers, source and target positions; between them anything that acts on each position by itself; mask value −∞ in the decoder, "
        "no mask elsewhere",
        inventory=("C209",),
        uses=("masks.causal-stack", "masks.unmasked-sees-the-future"),
        holds=_target_stays_causal,
    )
)
def encoder_decoder() -> Iterator[Step]:
    def weight(row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
        return sp.exp(c * total(Q[row, a] * K[key, a], a)) / total(sp.exp(c * total(Q[row, a] * K[l, a], a)), l)

    output = total(weight(r, j) * V[j, e], j)
    spread = total(weight(r, j) * K[j, b] * V[j, e], j) - total(weight(r, j) * K[j, b], j) * output
    yield Step(sp.Derivative(output, Q[t, b]), "=", D(r, t) * c * spread, "another row's query does not occur in row r")
    yield Step(sp.Derivative(total(softmax(s, j) * v[j], j), v[k]), "=", softmax(s, k), "every source value moves every target position")
    yield Step(sp.Integer(0), "<", softmax(s, k), "by its weight, which is positive")
    own, earlier = sp.IndexedBase("C", real=True), sp.IndexedBase("B", real=True)
    yield Step(
        total(D(i, l) * own[l] * (hidden * earlier[l, j]), l), "=", hidden * own[i] * earlier[i, j],
        "and the product with a causal layer's Jacobian has its factor z at later positions (the mask −∞ is z = 0)",
    )  # fmt: skip


def through(one: Mask, other: Mask) -> Mask:
    """Which positions each position reaches by a step of `one` and then one of `other`."""
    size = range(len(one))
    return [[any(one[row][mid] and other[mid][column] for mid in size) for column in size] for row in size]


def prefix_mask(source: int, target: int) -> Mask:
    """Source positions see the source, target positions the source and the target up to themselves."""
    return [[column < source or source <= column <= row for column in range(source + target)] for row in range(source + target)]


def _kept_if_transitive(mask: Sequence[Sequence[bool]], source: int, target: int) -> Outcome:
    """With own positions visible: two layers (hence any number) reach what one does, exactly if the mask is transitive; the prefix mask is."""
    seen = [[bool(entry) or row == column for column, entry in enumerate(line)] for row, line in enumerate(mask)]
    size = range(len(seen))
    transitive = all(seen[x][z] or not (seen[x][y] and seen[y][z]) for x in size for y in size for z in size)
    reached = seen
    for _ in size:
        reached = through(reached, seen)
    block = prefix_mask(source, target)
    return exact.decided((reached == seen) == transitive and through(block, block) == block)


@derived(
    Claim(
        id="stacks.transitive-masks",
        title="A mask is kept at every depth exactly if it is transitive",
        states="Masks say what each position may see; a stack of layers is to keep to them.",
        precise=r"Let each position see itself. If $j$ is seen from $l$ and $l$ from $i$ only where $j$ is seen from $i$, stacks of any depth depend on "
        r"nothing that the mask hides; otherwise two layers do. The causal "
        r"mask is transitive ($j\le l\le i$); so is that of encoder and decoder as one sequence (the source sees the source, the target also its own past), "
        r"and so are segments. A window of $w$ is not: "
        r"two steps of $w$ make $2w$.",
        sources=(S1.at("Combined Attention Types"), DECODERS, T5.at("section 3.2.1")),
        scope="every number of positions and layers, the same mask in each layer, sparsity.receptive-field for what stacks depend on; windows shorter than "
        "half the sequence",
        uses=("sparsity.receptive-field",),
        holds=_kept_if_transitive,
    )
)
def transitive_masks() -> Iterator[Step]:
    outer, inner, free = (sp.IndexedBase(name, real=True) for name in ("A", "B", "t"))
    first = sp.Symbol("j", integer=True, positive=True)
    back, again = sp.symbols("x y", integer=True, nonnegative=True)
    yield Step(first, "<=", (first + back) + again, "causal: l = j + x sees j and i = l + y sees l, so i is not before j", certificate=back + again)
    wide = sp.Symbol("w", integer=True, positive=True)
    yield Step(wide, "<", (first + wide + wide) - first, "window: i = l + w and l = j + w, but j is 2w away from i", certificate=wide)
    one, other, rest = sp.symbols("alpha beta rho", positive=True)
    yield Step(sp.Integer(0), "<", one * other + rest, "not transitive: μ_il = μ_lj = 1 and μ_ij = 0, and positive weights pass j on through l")
    yield Step(
        total(hidden * free[l] * outer[i, l] * inner[l, j], l), "=", hidden * total(free[l] * outer[i, l] * inner[l, j], l),
        "transitive: μ_il μ_lj = μ_ij t_l for every l, so where μ_ij = z is 0 the product of two layers' Jacobians has no entry, and so on for more layers",
    )  # fmt: skip


# --- depth and locality (C211) ------------------------------------------------------------------------------------------------------------


def _not_more_local(scores: Row, place: int, reach: int) -> Outcome:
    """What lies outside the window has at least the share F e^(−R) / (W + F e^(−R)), R the range of the scores."""
    at = place % len(scores)
    inside = [abs(key - at) <= reach for key in range(len(scores))]
    weights = exact.softmax(scores)
    outside = sum((weight for weight, is_near in zip(weights, inside, strict=True) if not is_near), arb(0))
    least = (len(scores) - sum(inside)) * (-exact.ball(max(scores) - min(scores))).exp()
    return exact.at_most(least / (sum(inside) + least), outside)


@derived(
    Claim(
        id="stacks.locality-needs-range",
        title="A layer, whatever its depth, is no more local than its scores are spread",
        states="Local attention is common in early layers, global attention in later ones.",
        reading="What the architecture by itself makes local or global, at any depth. (What is common in trained models is stacks.layers-of-trained-models.)",
        precise=r"Let $W\ge1$ keys lie in a window and $F$ outside, and let scores range over at most $R$. What lies outside has at least the share "
        r"$\frac{Fe^{-R}}{W+Fe^{-R}}$. A share of at most "
        r"$\frac1{1+\tau}$ outside needs $e^R\ge\tau F/W$: without positions or contents that spread the scores no layer is local, the first as little as the "
        r"last; and the first can look any distance back: "
        r"circuits.previous-token.",
        sources=(S4.at("Local Attention"), S4.at("Global Attention"), S1.at("Attention Flow")),
        scope="every row of every layer, without a mask",
        inventory=("C211",),
        holds=_not_more_local,
    )
)
def locality_needs_range() -> Iterator[Step]:
    spread, odds = sp.Symbol("R", nonnegative=True), sp.Symbol("tau", positive=True)
    least, inside = far * sp.exp(-spread), sp.Symbol("w", positive=True)  # inside: the window's part of the normaliser, W − x in units of the top score
    yield Step(
        (near / odds) / (near + near / odds),
        "=",
        1 / (1 + odds),
        "the bound F e^(−R)/(W + F e^(−R)) is 1/(1 + τ) where F e^(−R) = W/τ, and falls as R grows: no smaller share for a smaller R",
    )
    yield Step(
        least / (inside + more + least), "<=", (least + less) / (inside + least + less),
        "in units of the largest, no term is above 1 (inside: w = W − x in all), none below e^(−R) (outside: F e^(−R) + y)",
        certificate=(least * more + less * (inside + more)) / ((inside + more + least) * (inside + least + less)),
    )  # fmt: skip


layers_of_trained_models = Claim(
    id="stacks.layers-of-trained-models",
    title="Early layers have local and syntactic patterns, later ones semantic, global and task-specific ones",
    states="Observations on how patterns change through layers: early layers local and syntactic, middle ones semantic, late ones task-specific; local "
    "attention is common in early layers, global "
    "attention in later ones.",
    precise="A statement about trained models; no model, task or measure is named.",
    sources=(S1.at("Attention Flow"), S4.at("Local Attention"), S4.at("Global Attention")),
    scope="trained models",
    inventory=("C211",),
    not_checkable="It reports observations on trained models, which depend on data and training. What can be checked: nothing in a layer depends on its depth "
    "(stacks.locality-needs-range), and with windows imposed in every layer what a position can depend on grows with depth (sparsity.window-depth).",
)


# --- special tokens (C214, C237) ----------------------------------------------------------------------------------------------------------


def _moved(scores: Row, seen: Sequence[Sequence[bool]], key: int) -> list[bool]:
    """Which outputs move when the value at `key` is raised by 1: all scores alike for every row."""
    size = len(scores)
    rows = [exact.softmax(scores, line) for line in seen]
    values = [[exact.ball(int(place == key))] for place in range(size)]
    return [bool(sum((weight * value[0] for weight, value in zip(row, values, strict=True)), arb(0)) > 0) for row in rows]


def reading_row(size: int, special: int) -> Mask:
    """The special token sees all positions; every other sees itself."""
    return [[row in (special, column) for column in range(size)] for row in range(size)]


def _rows_gather_columns_broadcast(scores: Row, special: int) -> Outcome:
    """With a full row the special token, and it alone, depends on every value; with a full column, and without a mask, every output depends on the special
    token's."""
    size = len(scores)
    at = special % size
    row = reading_row(size, at)
    column = [list(line) for line in zip(*row, strict=True)]
    gathers = all(_moved(scores, row, key) == [place in (at, key) for place in range(size)] for key in range(size))
    full = [[True] * size] * size
    return exact.decided(gathers and all(_moved(scores, column, at)) and all(all(_moved(scores, full, key)) for key in range(size)))


@derived(
    Claim(
        id="stacks.broadcast-is-a-column",
        title="A full row gathers, a full column broadcasts",
        states="Broadcast attention: special tokens attend to all positions; used in classification; aggregates global information.",
        reading="What is claimed is that the special token gathers: its output depends on the value at every position. The name suggests the other direction, which "
        "needs the special token's column, and this is full as well where there is no mask. (Classification is stacks.class-token.)",
        precise=r"With $\mu_{ik}=1$ where position $i$ sees position $k$, and 0 elsewhere, "
        r"$\partial o_i/\partial v_k=\mu_{ik}e^{s_k}/\sum_j\mu_{ij}e^{s_j}$. A full row (the special token sees all) makes its output depend on every "
        r"value, and no other output on anything new; "
        r"a full column (all see the special token) makes every output depend on its value. With both, two layers pass every value to every output: "
        r"long_range.global-both-ways.",
        sources=(BROADCAST, S1.at("Longformer Attention")),
        scope="one layer, every number of positions, every score; own positions visible",
        inventory=("C214",),
        uses=("masks.hidden-key-has-no-influence",),
        holds=_rows_gather_columns_broadcast,
    )
)
def broadcast_is_a_column() -> Iterator[Step]:
    mass = sp.exp(s[i]) + total(mu[j] * sp.exp(s[j]), j)
    output = (sp.exp(s[i]) * sp.Symbol("v_i", real=True) + total(mu[j] * sp.exp(s[j]) * v[j], j)) / mass
    rest = sp.Symbol("rho", nonnegative=True)
    yield Step(sp.Integer(0), "<", sp.exp(s[k]) / (sp.exp(s[i]) + sp.exp(s[k]) + rest), "a position that is seen (μ_k = 1) gets a positive share")
    yield Step(
        sp.Derivative(output, v[k]), "=", mu[k] * sp.exp(s[k]) / mass,
        "what the row of one position takes from another position k, beside its own key: nothing unless it sees k (μ_k = 0 if not)",
    )  # fmt: skip


def _vote(query: Row, patches: Rows, readout: Rows, order: Sequence[int]) -> Outcome:
    """Class scores from the special token: the mean of the patches' own under its weights, in any order of the patches; the plain mean for a query of zeros."""
    weights = exact.softmax(exact.scores([query], patches)[0])
    own = [[sum(x * y for x, y in zip(patch, column, strict=True)) for column in zip(*readout, strict=True)] for patch in patches]
    votes = [sum((weight * score for weight, score in zip(weights, column, strict=True)), arb(0)) for column in zip(*own, strict=True)]

    def classified(asked: Row, among: Rows) -> list[arb]:
        pooled = exact.attention([asked], among, among)[0]
        return [sum((x * y for x, y in zip(pooled, column, strict=True)), arb(0)) for column in zip(*readout, strict=True)]

    mean = [Fraction(sum(column), len(patches)) for column in zip(*own, strict=True)]
    moved = [patches[place] for place in order]
    return Outcome.worst(
        [
            exact.equal(classified(query, patches), votes),
            exact.equal(classified(query, moved), votes),
            exact.equal(classified([0] * len(query), patches), mean),
        ]
    )


@derived(
    Claim(
        id="stacks.class-token",
        title="In one layer, classifying from a [CLS] token is a weighted vote of the tokens, whatever their order if they carry no positions",
        states="Classification uses a [CLS] token, which attends to all patches.",
        reading="A linear classifier reads the output of a special token, whose query meets the other tokens: what it computes.",
        precise=r"Let $p_j$ be the special token's weights, $V_j$ the values of the tokens and $C$ the matrix of the classifier. "
        r"$\sum_e\bigl(\sum_jp_jV_{je}\bigr)C_{ef}=\sum_jp_j\sum_eV_{je}C_{ef}$: the mean of the class scores that each token alone would get, "
        r"weighted by the special token's attention. Every token has a "
        r"positive weight; a query of zeros makes it the plain mean; and without positions the order of the tokens plays no part "
        r"(symmetry.key-value-invariance).",
        sources=(S1.at("Patch-Based Attention"), BROADCAST, DOSOVITSKIY.at("section 3.1"), DEVLIN.at("section 3")),
        scope="every number of tokens, features and classes; one layer, keys and values of the other tokens (its own is one more); a linear classifier "
        "without nonlinearity between",
        inventory=("C237", "C214"),
        uses=("symmetry.key-value-invariance", "convexity.every-key-is-attended"),
        holds=_vote,
    )
)
def class_token() -> Iterator[Step]:
    readout = sp.IndexedBase("C", real=True)
    level = sp.Symbol("c", real=True)
    yield Step(
        total(sp.exp(level) * V[j, e], j) / total(sp.exp(level), l),
        "=",
        total(V[j, e], j) / n,
        "equal scores, as from a query of zeros, weigh all tokens alike",
    )
    yield Step(
        total(total(softmax(s, j) * V[j, e], j) * readout[e, f], e), "=", total(softmax(s, j) * total(V[j, e] * readout[e, f], e), j),
        "the classifier is linear, so it may be applied before the mean is taken",
    )  # fmt: skip


transfer = Claim(
    id="stacks.transfer",
    title="Pre-trained models work across tasks",
    states="An advantage of attention over image patches, transfer learning: pre-trained models work across tasks.",
    precise="A statement about trained models; no task and no measure of success is stated.",
    sources=(S1.at("Patch-Based Attention"),),
    scope="trained models",
    inventory=("C237",),
    not_checkable="How a pre-trained model does on another task depends on both tasks, the data and the training, and nothing is stated of them. What can be "
    "checked: the parameters of a layer do not "
    "depend on the number of tokens (positions.every-length), and a new classifier on the special token sees a mean over all of them (stacks.class-token).",
)
