"""Circuits whose weights are written down: heads that attend by position or by relation, copying, induction in two layers, and what one layer cannot do.

Tokens are one-hot in what they are and, where a circuit needs it, in where they stand: the weights below are then integer matrices with one factor β
that says how sharp the scores are. Hard attention is the limit of large β; each bound says how far a finite β is from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.masks import triangle
from theorems.multi_head import times
from theorems.outcome import Outcome
from theorems.sources import S1, S4, Source
from theorems.step import Step
from theorems.symbols import a, b, d, i, j, k, l, n, p, s, total, v

ELHAGE = Source(key="elhage2021", title="A Mathematical Framework for Transformer Circuits", url="https://transformer-circuits.pub/2021/framework/index.html")
OLSSON = Source(key="olsson2022", title="In-context Learning and Induction Heads", url="https://arxiv.org/abs/2209.11895")
SANFORD = Source(key="sanford2024", title="One-layer transformers fail to solve the induction heads task", url="https://arxiv.org/abs/2408.14332")
CLARK = Source(key="clark2019", title="What Does BERT Look At? An Analysis of BERT's Attention", url="https://arxiv.org/abs/1906.04341")
OSWALD = Source(key="vonoswald2023", title="Transformers Learn In-Context by Gradient Descent", url="https://arxiv.org/abs/2212.07677")
HEADS, DECODERS, ENCODERS = S1.at("What Do Attention Heads Learn?"), S1.at("Causal Self-Attention"), S1.at("Bidirectional Self-Attention")

Row = Sequence[int]
Rows = Sequence[Row]

beta = sp.Symbol("beta", positive=True)  # how sharp a head is
N = sp.Symbol("N", integer=True, positive=True)  # visible keys that are not meant
M = sp.Symbol("M", integer=True, positive=True)  # visible keys that are meant
more, less = sp.symbols("x y", nonnegative=True)
z, w = sp.symbols("z w", integer=True, positive=True)  # a position inside a product; a feature
X = sp.IndexedBase("X", real=True)  # contents, X[position, feature]
y = sp.IndexedBase("y", real=True)
U = sp.UnevaluatedExpr


def D(one: sp.Expr, other: sp.Expr) -> sp.Expr:
    return sp.KroneckerDelta(one, other)


def one_hot(place: int, size: int) -> list[int]:
    return [int(at == place) for at in range(size)]


def causal(size: int) -> list[list[bool]]:
    return triangle(size, size)


def transposed(rows: Sequence[Sequence[Any]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


# --- by position (C207) -------------------------------------------------------------------------------------------------------------------


def shift(size: int, offset: int, factor: int) -> list[list[int]]:
    """W_Q of a head that looks `offset` positions back: position i asks, `factor` times, for position i − offset."""
    return [[factor * int(column == row - offset) for column in range(size)] for row in range(size)]


def _looks_back(length: int, offset: int, sharpness: int) -> Outcome:
    """All but N e^(−β) of the weight `offset` positions back, among N other visible keys; equal weights where nothing stands there."""
    positions = [one_hot(place, length) for place in range(length)]
    queries = times(positions, shift(length, offset, sharpness))
    weights = exact.attention(queries, positions, positions, visible=causal(length))
    in_halves = exact.attention(queries, positions, positions, exact.ball(2).log(), visible=causal(length))  # powers of 2 instead of e
    outcomes = []
    for place, row in enumerate(weights):
        if place < offset:
            outcomes.append(exact.equal(row[: place + 1], [Fraction(1, place + 1)] * (place + 1)))
        else:
            outcomes.append(exact.at_most(1 - row[place - offset], place * (-exact.ball(sharpness)).exp()))
            outcomes.append(exact.equal(in_halves[place][place - offset], Fraction(2**sharpness, 2**sharpness + place)))
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="circuits.previous-token",
        title="A previous-token head, with its weights",
        states="In causal decoders there are previous-token heads: they attend to the immediately previous token.",
        reading="There are weights with which a causal head does this at every position but the first. That trained models have such heads is the cited "
        "report.",
        precise=r"One-hot positions, $W_Q=\beta\cdot$ the shift by $\sigma$, $W_K=I$: the scores are $\beta\,[j=i-\sigma]$, and with $N$ other visible keys "
        r"the weight $\sigma$ positions back is "
        r"$\frac{e^\beta}{e^\beta+N}\ge 1-Ne^{-\beta}$. $\sigma=1$ is the previous token, and $\sigma$ may be any offset. It tends to 1 as $\beta\to\infty$; "
        r"no finite $\beta$ gives 1 (N ≥ 1). For $\beta=b\log2$ it is $\frac{2^b}{2^b+N}$.",
        sources=(DECODERS, ELHAGE, OLSSON),
        scope="every position after the σ-th, every number N of other visible keys, every β > 0; one-hot positions (sinusoidal ones: "
        "positions.offset-by-rotation)",
        inventory=("C207",),
        holds=_looks_back,
    )
)
def previous_token() -> Iterator[Step]:
    back = sp.IndexedBase("R", real=True)  # R[i, j] = 1 if j = i − σ, else 0
    query = sp.Sum(D(i, z) * beta * back[z, k], (z, 1, n))
    yield Step(total(query * D(j, k), k), "=", beta * back[i, j], "position i asks for the position σ before it, and only that one answers (R: the shift)")
    yield Step(total(sp.exp(beta * D(j, k)), j), "=", sp.exp(beta) + n - 1, "one of n visible keys scores β, the others 0")
    yield Step(sp.exp(beta) / (sp.exp(beta) + N), "<", sp.Integer(1), "the other N = n − 1 keys always share something", certificate=N / (sp.exp(beta) + N))
    yield Step(
        1 - sp.exp(beta) / (sp.exp(beta) + N), "<=", N * sp.exp(-beta), "but the other N = n − 1 keys share less than N e^(−β)",
        certificate=N**2 * sp.exp(-beta) / (sp.exp(beta) + N),
    )  # fmt: skip


def _no_previous_by_content(earlier: Row, current: int, form: int, place: int) -> Outcome:
    """The previous token's weight, and its weight when the last of the earlier tokens has traded places with another: together at most 1."""
    other = place % (len(earlier) - 1)
    moved = list(earlier)
    moved[-1], moved[other] = moved[other], moved[-1]
    weights = [exact.softmax([form * current * token for token in [*tokens, current]])[len(earlier) - 1] for tokens in (earlier, moved)]
    return exact.at_most(weights[0] + weights[1], 1)


@derived(
    Claim(
        id="circuits.previous-token-needs-positions",
        title="Without positions in its scores no first-layer head is a previous-token head",
        states="(Not in the text; it says that causal decoders have previous-token heads.) What such heads cannot do without.",
        reading="The causal mask alone gives a head no way to tell the previous token from an earlier one.",
        precise=r"Let scores depend on the contents of query and key alone. When the previous token $k$ trades places with an earlier token $l$, their "
        r"weights trade places as well "
        r"(symmetry.content-based-weights), and $p_k+p_l\le 1$. So the previous token cannot have more than half of the weight in both sequences.",
        sources=(DECODERS,),
        scope="a first layer, at least two earlier tokens, any score of the two contents, causal mask; later layers can know more, since causal rows of "
        "different lengths differ",
        inventory=("C207",),
        uses=("symmetry.content-based-weights",),
        holds=_no_previous_by_content,
    )
)
def previous_token_needs_positions() -> Iterator[Step]:
    one, other, rest = sp.exp(s[k]), sp.exp(s[l]), sp.Symbol("R", nonnegative=True)
    mass = one + other + rest
    yield Step(
        other / (other + one + rest), "=", 1 - (one + rest) / mass, "after the swap the previous position holds token l, with the weight that it had before"
    )
    yield Step(one / mass + other / (other + one + rest), "<=", sp.Integer(1), "both sequences have one normaliser", certificate=rest / mass)


# --- by relation (C212, C208) -------------------------------------------------------------------------------------------------------------


def _follows_relation(relation: Sequence[Sequence[bool]], symbols: Row, sharpness: int) -> Outcome:
    """One-hot symbols with W_Q = β · relation: in each row the unrelated keys share at most (N/M) e^(−β)."""
    size = len(relation)
    tokens = [one_hot(symbol % size, size) for symbol in symbols]
    queries = times(tokens, [[sharpness * int(related) for related in row] for row in relation])
    weights = exact.attention(queries, tokens, [one_hot(place, len(symbols)) for place in range(len(symbols))])
    outcomes = []
    for symbol, row in zip(symbols, weights, strict=True):
        meant = [relation[symbol % size][other % size] for other in symbols]
        wanted = sum(meant)
        if wanted:
            lost = sum((weight for weight, is_meant in zip(row, meant, strict=True) if not is_meant), arb(0))
            outcomes.append(exact.at_most(lost, exact.ball(Fraction(len(symbols) - wanted, wanted)) * (-exact.ball(sharpness)).exp()))
        else:
            outcomes.append(exact.equal(row, [Fraction(1, len(symbols))] * len(symbols)))
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="circuits.any-relation",
        title="A head that is wide enough can follow any relation between a token and another",
        states="Heads attend along relations: a verb's subject, a pronoun's referent, words of similar meaning, content that is relevant.",
        reading="For every relation that is decided by the two tokens (their symbols, and positions where tokens carry them) there is a head that attends to "
        "related tokens. That "
        "trained heads follow linguistic relations is the cited report.",
        precise=r"Let tokens be one-hot and $W_Q=\beta R$, $W_K=I$ with $R_{ij}\in\{0,1\}$ the relation. Where $M\ge 1$ keys are related and $N$ are not, the "
        r"unrelated keys share "
        r"$\frac N{Me^\beta+N}\le\frac NMe^{-\beta}$ of the weight.",
        sources=(HEADS, S1.at("Syntactic Patterns"), S1.at("Semantic Patterns"), S1.at("Positional Patterns"), ENCODERS, DECODERS, S4.at("Example"), CLARK),
        scope="every relation of pairs, every number of tokens, every β > 0; heads as wide as there are different tokens; no mask",
        inventory=("C212", "C208"),
        holds=_follows_relation,
    )
)
def any_relation() -> Iterator[Step]:
    related = sp.IndexedBase("R", real=True)
    query = sp.Sum(D(i, z) * beta * related[z, k], (z, 1, n))
    yield Step(total(query * D(j, k), k), "=", beta * related[i, j], "a token picks its row of W_Q, and another its column")
    yield Step(
        N / (M * sp.exp(beta) + N), "<=", N * sp.exp(-beta) / M, "M related keys score β, N others 0",
        certificate=N**2 * sp.exp(-beta) / (M * (M * sp.exp(beta) + N)),
    )  # fmt: skip


def _third_token_is_idle(table: Rows, bias: Row, symbols: Row, changed: int, to: int) -> Outcome:
    """Scores from a table over pairs of symbols and a bias for each position: changing one key leaves the odds of all other pairs of keys."""
    size = len(table)

    def weights(tokens: Row) -> list[arb]:
        query = tokens[-1] % size
        return exact.softmax([table[query][token % size] + bias[place % len(bias)] for place, token in enumerate(tokens)])

    at = changed % len(symbols)
    if at == len(symbols) - 1:  # the query itself is no third token
        return Outcome.HELD
    before, after = weights(symbols), weights([to if place == at else symbol for place, symbol in enumerate(symbols)])
    kept = [place for place in range(len(symbols)) if place != at]
    return exact.equal(*([row[one] / row[other] for one, other in product(kept, kept)] for row in (before, after)))


@derived(
    Claim(
        id="circuits.third-tokens-are-idle",
        title="In a first layer no third word changes which of two nouns a pronoun prefers",
        states="(Not in the text, which says that pronouns attend to their referents.) What a head of the first layer can know of a referent.",
        reading="In “the trophy does not fit into the suitcase because it is too big” and “… too "
        "small” the "
        "referents of “it” differ, and only a third word says so.",
        precise=r"Let the score of a key be any function of query and key, their contents and positions. Then $p_j/p_k=e^{s_j-s_k}$ whatever the other keys "
        r"are, later ones included: "
        r"replacing a third token changes both weights by one factor, and never their order. So where a reference hangs on a third word, no head of the first "
        r"layer can show it in its weights.",
        sources=(S1.at("Syntactic Patterns"), CLARK),
        scope="the first layer (tokens not yet mixed), any head, any number of keys, any score of the pair; a third token that is neither the query nor one "
        "of the two keys",
        inventory=("C212",),
        holds=_third_token_is_idle,
    )
)
def third_tokens_are_idle() -> Iterator[Step]:
    one, other = sp.exp(s[j]), sp.exp(s[k])
    rest, third, instead = (sp.Symbol(name, positive=True) for name in ("R", "t", "t'"))

    def share(of: sp.Expr, key: sp.Expr) -> sp.Expr:
        return of / (one + other + key + rest)

    yield Step(U(share(one, third)) / U(share(other, third)), "=", sp.exp(s[j] - s[k]), "the normaliser, and with it every third key, cancels from the odds")
    yield Step(
        U(share(one, instead)) / U(share(other, instead)),
        "=",
        U(share(one, third)) / U(share(other, third)),
        "so another third token, t' for t, leaves them as they were",
    )


# --- copying and induction (C206) ---------------------------------------------------------------------------------------------------------


def _copies(symbols: Row, scores: Row, factor: Rows) -> Outcome:
    """With W_V W_O = I the logits are the weights of the symbols; with W_V W_O = R Rᵀ they are sums of the keys' parts, none of which lowers its own symbol's."""
    size = len(factor)
    weights = exact.softmax(scores)
    tokens = [one_hot(symbol % size, size) for symbol in symbols]
    logits = times([weights], tokens)[0]
    shares = [sum((weight for weight, symbol in zip(weights, symbols, strict=True) if symbol % size == kind), arb(0)) for kind in range(size)]
    through = times(factor, transposed(factor))
    parts = [[weight * through[symbol % size][kind] for kind in range(size)] for weight, symbol in zip(weights, symbols, strict=True)]
    added = [sum(column, arb(0)) for column in zip(*parts, strict=True)]
    own = [part[symbol % size] for part, symbol in zip(parts, symbols, strict=True)]
    return Outcome.worst(
        [exact.equal(logits, shares), exact.equal(times([weights], times(tokens, through))[0], added), exact.at_most([0] * len(own), own)],
    )


@derived(
    Claim(
        id="circuits.copying",
        title="With W_V W_O = I a head's logits are its weights; through R Rᵀ no token lowers its own logit, but others may",
        states="Induction heads copy and complete patterns.",
        reading="What copying asks of a head's matrix $W=W_VW_O$: what the tokens that it attends to do to their own logits, and to those of others.",
        precise=r"Logits $\langle E_t,\sum_jp_jW^\top x_j\rangle=\sum_jp_j\langle E_t,W^\top x_j\rangle$ with $W=W_VW_O$: for one-hot tokens and $W=I$ the "
        r"logit of $t$ is the weight of the keys that hold $t$. For "
        r"$W=RR^\top$ (symmetric, no negative eigenvalue) a token adds $x^\top RR^\top x=\|R^\top x\|^2\ge 0$ to its own logit. Other tokens may lower it, "
        r"whatever its weight: $R=(1,-2)^\top$ and the weights $\frac35,\frac25$ give token 1, which is attended most, the logit $-\frac15$. So attending need not "
        r"make a token more likely.",
        sources=(DECODERS, ELHAGE),
        scope="every number of keys and features, every weighting, embeddings that serve as unembeddings; the direct path of the residual is left out",
        inventory=("C206",),
        holds=_copies,
    )
)
def copying() -> Iterator[Step]:
    E, R = sp.IndexedBase("E", real=True), sp.IndexedBase("R", real=True)
    x = sp.IndexedBase("x", real=True)
    yield Step(
        total(E[k, a] * total(p[j] * X[j, a], j), a), "=", total(p[j] * total(E[k, a] * X[j, a], a), j),
        "the head's output is a mean of what the keys' values are, and so are the logits",
    )  # fmt: skip
    mine, yours, level, below = sp.symbols("p q rho delta", positive=True)
    opposed = -(mine * level + below) / yours
    yield Step(
        mine * level**2 + yours * opposed * level, "<", sp.Integer(0),
        "R a column with ρ for one token and −(pρ + δ)/q for another: with weights p and q the first token's logit is below 0, however large p is",
        certificate=level * below,
    )  # fmt: skip
    image = sp.Sum(x[w] * R[w, a], (w, 1, d))
    yield Step(sp.Integer(0), "<=", total(image**2, a), "xᵀRRᵀx is a sum of squares")


def induction_rows(symbols: Row, kinds: int, sharp: int, sharper: int) -> tuple[list[list[arb]], list[list[arb]]]:
    """The circuit: weights of the second layer, and its output over the symbols. `symbols` run from 1; a start symbol 0 is put before them.

    Stream: what a token is (kinds + 1 features), what stood before it (as many), and where it stands. Layer 1 looks one position back and writes what it finds
    into the second part; layer 2 compares what a token is with what stood before each key, and returns what the keys are.
    """
    sequence = [0, *symbols]
    size, length = kinds + 1, len(sequence)
    contents = [one_hot(symbol, size) for symbol in sequence]
    positions = [one_hot(place, length) for place in range(length)]
    before = exact.attention(times(positions, shift(length, 1, sharp)), positions, contents, visible=causal(length))
    queries = times(contents, [[sharper * entry for entry in one_hot(kind, size)] for kind in range(size)])
    weights = exact.attention(queries, before, positions, visible=causal(length))
    return weights, exact.attention(queries, before, contents, visible=causal(length))


def _completes(symbols: Row, kinds: int, sharp: int, sharper: int) -> Outcome:
    """Wherever a symbol has occurred before, what did not follow it there shares at most (N/M) e^(−β'(1 − 2ε)) of the output."""
    named = [1 + symbol % kinds for symbol in symbols]
    weights, output = induction_rows(named, kinds, sharp, sharper)
    sequence = [0, *named]
    outcomes = [Outcome.HELD]
    for place, symbol in enumerate(sequence):
        matches = [key for key in range(1, place + 1) if sequence[key - 1] == symbol]
        if not matches:
            continue
        leak = len(named) * (-exact.ball(sharp)).exp()
        bound = exact.ball(Fraction(place + 1 - len(matches), len(matches))) * (-sharper * (1 - 2 * leak)).exp()
        followers = {sequence[key] for key in matches}
        outcomes.append(exact.at_most(1 - sum((weights[place][key] for key in matches), arb(0)), bound))
        outcomes.append(exact.at_most(sum((output[place][kind] for kind in range(kinds + 1) if kind not in followers), arb(0)), bound))
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="circuits.induction",
        title="Two causal layers with one head each complete patterns: [A][B] … [A] → [B]",
        states="In causal decoders there are induction heads: they copy and complete patterns.",
        reading="There are weights with which two causal attention layers, wherever the present token has occurred before, return what followed it there.",
        precise=r"Layer 1 looks one position back (sharpness $\beta$) and writes what it finds beside each token: all but $\varepsilon=Ne^{-\beta}$ of it is "
        r"the previous token. Layer 2 asks, $\beta'$ times, for "
        r"keys whose previous token is the present one, and returns what the keys are. A key that follows an earlier occurrence scores at least "
        r"$\beta'(1-\varepsilon)$, any other at most "
        r"$\beta'\varepsilon$; so with $M\ge 1$ such keys and $N'$ others, all but $\frac{N'}Me^{-\beta'(1-2\varepsilon)}$ of the output is what followed. If "
        r"all occurrences were followed by B, that is B.",
        sources=(DECODERS, ELHAGE, OLSSON),
        scope="every sequence of every length over any alphabet, with a start symbol before it that does not recur; attention only, no MLP and no norm; "
        "one-hot tokens and positions",
        inventory=("C206", "C208"),
        uses=("circuits.previous-token", "circuits.copying"),
        holds=_completes,
    )
)
def induction() -> Iterator[Step]:
    leak, sharper = sp.symbols("epsilon gamma", positive=True)
    yield Step(
        total(X[i, a] * total(p[l] * X[l, a], l), a), "=", total(p[l] * total(X[i, a] * X[l, a], a), l),
        "the score of a key is the weight, in its row of layer 1, of the tokens that equal the present one (p: that row, X: one-hot tokens)",
    )  # fmt: skip
    yield Step(
        beta * (1 - 2 * leak), "<=", beta * ((1 - leak + more) - (leak - less)),
        "at least 1 − ε of it where the token before the key is the present one, at most ε elsewhere", certificate=beta * (more + less),
    )  # fmt: skip
    short = sp.IndexedBase("u", nonnegative=True)
    others = sp.Sum(sp.exp(-sharper - short[w]), (w, 1, N))
    yield Step(
        others, "<=", N * sp.exp(-sharper), "N' other keys score at least γ = β'(1 − 2ε) below every key that is meant",
        certificate=sp.Sum(sp.exp(-sharper) * (1 - sp.exp(-short[w])), (w, 1, N)),
    )  # fmt: skip
    share = sp.Symbol("q", positive=True)  # what the others have, in units of the least of those that are meant
    yield Step(
        share / (M + more + share), "<=", share / M, "and share at most their part beside M keys that are meant",
        certificate=share * (more + share) / (M * (M + more + share)),
    )  # fmt: skip


def _sum_of_paths(tokens: Rows, first: Sequence[tuple[Rows, Rows]], second: Sequence[tuple[Rows, Rows]]) -> Outcome:
    """Two layers x ← x + Σ P x W with given patterns against the sum over their paths: none, one head of either layer, a head of each."""

    def layer(rows: Rows, heads: Sequence[tuple[Rows, Rows]]) -> list[list[int]]:
        parts = [rows, *(times(times(pattern, rows), matrix) for pattern, matrix in heads)]
        return [[sum(entries) for entries in zip(*lines, strict=True)] for lines in zip(*parts, strict=True)]

    alone = [*first, *second]
    virtual = [(times(later, earlier), times(w_1, w_2)) for earlier, w_1 in first for later, w_2 in second]
    return exact.decided(layer(layer(tokens, first), second) == layer(tokens, [*alone, *virtual]))


@derived(
    Claim(
        id="circuits.paths",
        title="Two attention layers with residuals are a sum over paths, and composed heads act as heads",
        states="(Not in the text; it names induction heads.) Circuits run through heads of different layers: an induction head reads what a previous-token "
        "head has written.",
        precise=r"With patterns $P$, $P'$ and matrices $W=W_VW_O$, $W'$: $(X+PXW)+P'(X+PXW)W'=X+PXW+P'XW'+(P'P)\,X\,(WW')$. The last term is a head with the "
        r"pattern $P'P$ and the matrix $WW'$, "
        r"which neither layer has alone; with several heads, there is one for each pair.",
        sources=(DECODERS, ELHAGE),
        scope="every number of tokens and features, one head in each layer (several: by linearity), given patterns; the second layer's pattern depends on the "
        "first layer's "
        "output, and this is not linear",
        inventory=("C206",),
        holds=_sum_of_paths,
    )
)
def paths() -> Iterator[Step]:
    earlier, later, first, second = (sp.IndexedBase(name, real=True) for name in ("P", "P'", "W", "W'"))

    def written(row: sp.Symbol, feature: sp.Symbol) -> sp.Expr:
        return total(earlier[row, k] * sp.Sum(X[k, w] * first[w, feature], (w, 1, d)), k)

    yield Step(
        X[i, b] + written(i, b) + total(later[i, j] * total((X[j, a] + written(j, a)) * second[a, b], a), j), "=",
        X[i, b] + written(i, b) + total(later[i, j] * total(X[j, a] * second[a, b], a), j)
        + total(later[i, j] * total(written(j, a) * second[a, b], a), j),
        "given its pattern, the second layer is linear in what it reads: tokens, and what the first layer wrote",
    )  # fmt: skip
    yield Step(
        total(later[i, j] * total(earlier[j, k] * y[k], k), j), "=", total(total(later[i, j] * earlier[j, k], j) * y[k], k),
        "what the first layer wrote has passed through both patterns",
    )  # fmt: skip
    yield Step(
        total(sp.Sum(X[k, w] * first[w, a], (w, 1, d)) * second[a, b], a), "=", sp.Sum(X[k, w] * total(first[w, a] * second[a, b], a), (w, 1, d)),
        "and through both matrices",
    )  # fmt: skip


A, B, C, OTHER = range(4)
FOUR = {(A, B, OTHER, C): B, (OTHER, B, A, C): C, (A, C, OTHER, B): C, (OTHER, C, A, B): B}  # what comes before a last A, and what followed the first A


def _one_layer_completes(weights: Rows, values: Rows, own_weight: int, own_value: int, direct: int) -> Outcome:
    """REFUTED if a head with these unnormalised weights and values (logit of B minus logit of C), [position][token], answers all four sequences."""
    right = 0
    for sequence, answer in FOUR.items():
        mass = own_weight + sum(weights[place][token] for place, token in enumerate(sequence))
        numerator = own_weight * own_value + sum(weights[place][token] * values[place][token] for place, token in enumerate(sequence))
        margin = Fraction(numerator, mass) + direct
        right += margin > 0 if answer == B else margin < 0
    return exact.decided(right < len(FOUR))


@derived(
    Claim(
        id="circuits.one-layer-cannot-complete",
        title="One layer with one head cannot complete patterns: it fails on at least one of four sequences of five tokens",
        states="(Not in the text; it says that causal decoders have induction heads, which complete patterns.) Whether one layer would be enough for them.",
        precise=r"Before a last A let there stand A B D C, D B A C, A C D B or D C A B; the answers are B, C, C, B. In one layer a key has an unnormalised "
        r"weight $\omega_{jx}>0$ and a value $\mu_{jx}$ "
        r"(logit of B less logit of C) that depend on its position $j$ and token $x$ alone, as the query is always the same; the margin times the normaliser "
        r"is $\sum_jf_{jx_j}$ with "
        r"$f=\omega(\mu+r)$, $r$ the direct path. The margins of the first and last sequence, so multiplied, sum to those of the two others. So they cannot "
        r"be positive and those negative. In the last formula $f_{j,x}$ numbers the tokens A, B, C, D as 1, 2, 3, 4, and $f_0$ is the part of the last A.",
        sources=(DECODERS, ELHAGE, SANFORD),
        scope="any embeddings and positions, any score and value functions, any linear readout, longer sequences with a common rest included. One head: for "
        "more heads in one layer see the "
        "cited paper (they must be many, wide or precise); an MLP after the layer is not meant",
        inventory=("C206",),
        holds=_one_layer_completes,
    )
)
def one_layer_cannot_complete() -> Iterator[Step]:
    positive, direct = sp.IndexedBase("omega", positive=True), sp.Symbol("r", real=True)
    mass = total(positive[j], j)
    yield Step(
        (total(positive[j] * v[j], j) / mass + direct) * mass, "=", total(positive[j] * (v[j] + direct), j),
        "the margin has the sign of a sum over the keys, each term a function of one key alone",
    )  # fmt: skip
    f, rest = sp.IndexedBase("f", real=True), sp.Symbol("f_0", real=True)  # f_0: the last A and any common rest
    margins = [sum((f[place + 1, token + 1] for place, token in enumerate(sequence)), rest) for sequence in FOUR]
    yield Step(
        U(margins[0]) + U(margins[3]), "=", U(margins[1]) + U(margins[2]),
        "each token stands at each place as often on the left as on the right; but the answers want the left side positive and the right side negative",
    )  # fmt: skip


# --- learning in the context (C208) -------------------------------------------------------------------------------------------------------


def _one_gradient_step(inputs: Rows, targets: Row, start: Row, query: Row, rate: Fraction) -> Outcome:
    """Linear attention over the examples against a step of gradient descent, whose slopes are exact central differences of a quadratic."""

    def loss(weights: Sequence[int]) -> Fraction:
        return sum(
            (Fraction((sum(x * y for x, y in zip(row, weights, strict=True)) - target) ** 2, 2) for row, target in zip(inputs, targets, strict=True)),
            Fraction(0),
        )

    def moved(at: int, by: int) -> list[int]:
        return [weight + by * int(place == at) for place, weight in enumerate(start)]

    learned = [weight - rate * (loss(moved(at, 1)) - loss(moved(at, -1))) / 2 for at, weight in enumerate(start)]
    predicted = sum((x * y for x, y in zip(learned, query, strict=True)), Fraction(0))
    missed = [target - sum(x * y for x, y in zip(row, start, strict=True)) for row, target in zip(inputs, targets, strict=True)]
    scores = [sum(x * y for x, y in zip(row, query, strict=True)) for row in inputs]
    attended = sum((score * rate * miss for score, miss in zip(scores, missed, strict=True)), Fraction(0))
    return exact.decided(predicted == sum(x * y for x, y in zip(start, query, strict=True)) + attended)


@derived(
    Claim(
        id="circuits.in-context-gradient-step",
        title="A layer of linear attention can make a step of gradient descent on the examples in its prompt",
        states="In-context learning: learn from examples in the prompt.",
        reading="There is a layer whose forward pass learns, in a precise sense, from pairs of inputs and targets in its context. That trained models do this "
        "is the cited report.",
        precise=r"Examples $(x_j,y_j)$, a linear model $\theta$, loss $\frac12\sum_j(\langle\theta,x_j\rangle-y_j)^2$. After one step of gradient descent at "
        r"rate $\eta$ the prediction for $q$ is "
        r"$\langle\theta,q\rangle+\sum_j\langle q,x_j\rangle\,\eta\,(y_j-\langle\theta,x_j\rangle)$: attention without softmax, with keys $x_j$ and the "
        r"scaled misses as values.",
        sources=(DECODERS, OSWALD),
        scope="every number of examples and features, every real start and rate; unnormalised linear attention, tokens that hold input and target together. "
        "(Softmax attention is "
        "kernel regression on the examples: similarity.kernel-regression)",
        inventory=("C208",),
        holds=_one_gradient_step,
    )
)
def in_context_gradient_step() -> Iterator[Step]:
    theta, query, rate = sp.IndexedBase("theta", real=True), sp.IndexedBase("q", real=True), sp.Symbol("eta", real=True)
    missed = y[j] - total(theta[a] * X[j, a], a)
    loss = total(missed**2, j) / 2
    yield Step(sp.Derivative(loss, theta[b]), "=", -total(missed * X[j, b], j), "the gradient of the squared error in weight b")
    miss = sp.IndexedBase("mu", real=True)  # y_j − ⟨θ, x_j⟩
    yield Step(
        total((theta[b] + rate * total(miss[j] * X[j, b], j)) * query[b], b), "=",
        total(theta[b] * query[b], b) + total(rate * miss[j] * total(X[j, b] * query[b], b), j),
        "with μ_j for the misses, the prediction after the step: what it was, and a sum over the examples of score times value",
    )  # fmt: skip


linguistic_heads = Claim(
    id="circuits.linguistic-heads",
    title="The heads of trained models are syntactic, semantic and positional",
    states="Research has shown that heads of trained models capture dependency relations, coreference, roles, similarity of meaning, discourse, relative and "
    "absolute positions; different heads learn different patterns; models are "
    "pre-trained by predicting masked tokens, and learn from examples in the prompt.",
    precise="Statements about trained models; they depend on data, training and on how a head's pattern is read.",
    sources=(
        HEADS,
        S1.at("Syntactic Patterns"),
        S1.at("Semantic Patterns"),
        S1.at("Positional Patterns"),
        ENCODERS,
        DECODERS,
        S4.at("Motivation"),
        S4.at("Head Analysis"),
        S4.at("BERT and GPT"),
        CLARK,
        OLSSON,
    ),
    scope="trained models",
    inventory=("C212", "C208", "C195"),
    not_checkable="It reports what was found in trained models, and no model, data or measure is named; the cited papers report such heads. What can be "
    "checked is what heads can do: follow any "
    "relation of two tokens (circuits.any-relation), any offset (circuits.previous-token), complete patterns (circuits.induction), learn from a prompt "
    "(circuits.in-context-gradient-step), "
    "and what they cannot: circuits.third-tokens-are-idle, circuits.one-layer-cannot-complete. That heads of one layer can differ is heads.any-patterns.",
)
