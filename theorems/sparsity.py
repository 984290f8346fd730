"""Sparse patterns: what softmax over a set of keys is, how many pairs each pattern touches, and how far information travels through layers of it.

A pattern gives each of n positions, 0..n − 1, the set of positions that it sees, clipped to the sequence. Sizes are window half-widths, block lengths and strides.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import isqrt

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.cost import Operations
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S3, S4, Source
from theorems.step import Step
from theorems.symbols import d, i, j, k, l, n, s, total, v

CHILD = Source(key="child2019", title="Generating Long Sequences with Sparse Transformers", url="https://arxiv.org/abs/1904.10509")

Row = Sequence[int]
Flags = Sequence[bool]
Seen = frozenset[int]
Rows = Sequence[Seen]  # what each position sees

PATTERNS = ("sliding window", "fixed window", "strided", "dilated", "blocks and representatives")

H = sp.Symbol("H", integer=True, positive=True)  # how many keys are outside the set
g = sp.Symbol("g", integer=True, positive=True)  # one of them, 1..H
y = sp.IndexedBase("y", real=True)  # what stands in their scores beside the mask value
u = sp.IndexedBase("u", real=True)  # their values
z = sp.Symbol("z", nonnegative=True)  # the factor exp(−B) of a mask value −B; 0 for −∞
mu = sp.IndexedBase("mu", nonnegative=True)  # 1 for a key in the set, 0 outside
own, V_i = sp.symbols("s_i V_i", real=True)  # score and value of a key in the set

w, stride, block = sp.symbols("w k b", integer=True, positive=True)
blocks = sp.Symbol("M", integer=True, positive=True)
whole = sp.Symbol("q", integer=True, nonnegative=True)  # whole rounds or blocks in a sequence
depth = sp.Symbol("L", integer=True, positive=True)
more, rest, beyond = sp.symbols("x y_0 z_0", integer=True, nonnegative=True)  # slack of integer inequalities


def sees(name: str, size: int, place: int, key: int) -> bool:
    """Whether a position sees a key, under the pattern of that name."""
    distance = abs(place - key)
    match name:
        case "sliding window":
            return distance <= size
        case "fixed window":
            return place // size == key // size
        case "strided":
            return distance % size == 0
        case "dilated":
            return distance > 0 and distance & (distance - 1) == 0  # a power of two
        case "blocks and representatives":
            return place // size == key // size or key % size == 0  # the first position stands for its block
    raise ValueError(f"unknown pattern {name!r}; possible are {', '.join(PATTERNS)}")


def pattern(name: str, size: int, length: int) -> list[Seen]:
    """What each position of a sequence sees."""
    return [frozenset(key for key in range(length) if sees(name, size, place, key)) for place in range(length)]


def flags(rows: Rows) -> list[list[bool]]:
    """The pattern as a square mask."""
    return [[key in row for key in range(len(rows))] for row in rows]


def through(outer: Rows, inner: Rows) -> list[Seen]:
    """The boolean product: what is seen through a layer `outer` on top of a layer `inner`."""
    return [frozenset[int]().union(*(inner[key] for key in row)) for row in outer]


def and_itself(rows: Rows) -> list[Seen]:
    """The pattern where each position keeps what it has: a residual connection, beside which its own query reads its own token in any case."""
    return [row | {place} for place, row in enumerate(rows)]


def through_all(layers: Sequence[Rows]) -> list[Seen]:
    """What each position sees through a whole stack with residual connections, the first layer lowest."""
    seen = and_itself(layers[0])
    for layer in layers[1:]:
        seen = through(and_itself(layer), seen)
    return seen


def hops(rows: Rows, start: int) -> list[int]:
    """Fewest steps of the pattern from `start` to each position; −1 where there is no path."""
    away = [-1] * len(rows)
    front, away[start], count = {start}, 0, 0
    while front:
        count += 1
        front = {key for place in front for key in rows[place] if away[key] < 0}
        for key in front:
            away[key] = count
    return away


def listed(rows: Rows) -> str:
    return "; ".join(f"{place} sees {sorted(row) if row else 'nothing'}" for place, row in enumerate(rows))


def bits(number: int) -> int:
    """⌈log₂ n⌉ for n ≥ 1."""
    return (number - 1).bit_length()


# --- softmax over a set of keys ---------------------------------------------------------------------------------------------------------


def _gathered(scores: Row, visible: Flags) -> list[arb]:
    """The softmax of the kept scores alone, put back in their places, and zeros elsewhere."""
    kept = iter(exact.softmax([score for score, seen in zip(scores, visible, strict=True) if seen]))
    return [next(kept) if seen else arb(0) for seen in visible]


def _mixed(weights: Sequence[arb], values: Row) -> arb:
    return sum((p * value for p, value in zip(weights, values, strict=True)), arb(0))


def _sparse_is_masked(scores: Row, values: Row, visible: Flags) -> Outcome:
    """Gathered keys against −∞ added to the other scores: weights, their sum, the zeros, and the output. Decides sets with a key in them."""
    if not any(visible):
        raise ValueError("softmax over an empty set is not defined")
    sparse = _gathered(scores, visible)
    masked = exact.softmax([exact.ball(score) + (arb(0) if seen else arb("-inf")) for score, seen in zip(scores, visible, strict=True)])
    zeros = exact.decided(all(p == 0 for p, seen in zip(sparse, visible, strict=True) if not seen))
    kept = [value for value, seen in zip(values, visible, strict=True) if seen]
    alone = _mixed([p for p, seen in zip(sparse, visible, strict=True) if seen], kept)
    return Outcome.worst([zeros, exact.equal(sparse, masked), exact.equal(sum(sparse, arb(0)), 1), exact.equal(alone, _mixed(masked, values))])


@derived(
    Claim(
        id="sparsity.sparse-is-masked-dense",
        title="Softmax over a set of keys is dense softmax with −∞ on the other scores",
        states="The weights of local attention are exp(e_ij) over the sum of exp(e_ik) for k in the window W_i, and 0 for keys outside.",
        reading="The window around position i contains i, so it is never empty; the formula then defines attention weights.",
        precise=r"For every non-empty set $W$ of keys the weights are non-negative, sum to 1 and are 0 outside $W$. They, and the output, are what dense softmax gives "
        r"where the scores outside $W$ are replaced by $-\infty$ or have it added. With $-B$ instead, and $z=e^{-B}$, the weight of a key in $W$ falls short by no more than "
        r"$z\,e^{s_k}\sum_g e^{y_g}/(\sum_We^{s_j})^2$.",
        sources=(S0.at("Local Attention Windows"),),
        scope="one row, n ≥ 1 keys in the set and H ≥ 1 outside (with H = 0 nothing is masked), listed after them, since order does not matter to softmax; every real score "
        "and value; scores outside are y_g − B (y = 0 where −B is filled in)",
        inventory=("C077",),
        uses=("symmetry.key-value-invariance",),
        holds=_sparse_is_masked,
    )
)
def sparse_is_masked_dense() -> Iterator[Step]:
    inside, outside = total(sp.exp(s[j]), j), sp.Sum(sp.exp(y[g]), (g, 1, H))
    yield Step(sp.Integer(0), "<", inside, "a set with a key in it has a positive normaliser")
    yield Step(total(sp.exp(s[j]) / sp.Sum(sp.exp(s[l]), (l, 1, n)), j), "=", sp.Integer(1), "the weights over the set sum to one by themselves")
    sparse, masked = sp.exp(s[k]) / inside, sp.exp(s[k]) / (inside + z * outside)
    yield Step(
        sparse - masked,
        "<=",
        z * sp.exp(s[k]) * outside / inside**2,
        "the mask value leaves the keys outside a share z of their exponentials, by which the normaliser is too large",
        certificate=z**2 * sp.exp(s[k]) * outside**2 / (inside**2 * (inside + z * outside)),
    )
    yield Step(sp.Subs(z * sp.exp(y[g]) / (inside + z * outside), z, 0), "=", sp.Integer(0), "with −∞, z = 0: no weight outside")
    output = (total(sp.exp(s[j]) * v[j], j) + z * sp.Sum(sp.exp(y[g]) * u[g], (g, 1, H))) / (inside + z * outside)
    yield Step(sp.Subs(masked, z, 0), "=", sparse, "and each weight in the set is that of the softmax over the set")
    yield Step(sp.Subs(output, z, 0), "=", total(sp.exp(s[j]) * v[j], j) / inside, "and so is the output")


def _support(scores: Row, values: Row, visible: Flags, place: int, shift: int) -> Outcome:
    """Weights are positive exactly where the mask says, and shifting the value at `place` moves the output exactly if it is visible."""
    weights = exact.softmax(scores, visible)
    moved = [value + shift * (key == place) for key, value in enumerate(values)]
    before, after = _mixed(weights, values), _mixed(weights, moved)
    positive = exact.decided(all(bool(p > 0) is bool(seen) for p, seen in zip(weights, visible, strict=True)))
    moves = exact.decided(bool(after > before)) if visible[place] else exact.equal(after, before)
    return Outcome.worst([positive, moves])


def _in_the_set(body: sp.Expr, other: sp.Expr) -> sp.Expr:
    """Over the normaliser: `other` for a key that is certainly in the set, and mu[j] · body for the n keys that may be."""
    return (other + total(mu[j] * body, j)) / (sp.exp(own) + total(mu[j] * sp.exp(s[j]), j))


@derived(
    Claim(
        id="sparsity.support",
        title="A row's weights are positive on its set and zero outside, and its output moves with the values of the set alone",
        states="Positions outside the window have weight 0; those in it have a weight of their own.",
        precise=r"$p_k=M_ke^{s_k}/\sum_jM_je^{s_j}$ is positive if $M_k=1$ and 0 if $M_k=0$, and $\partial o/\partial v_k=p_k$. Whether the output depends on the value at $k$ "
        "is decided by the pattern, whatever the scores are.",
        sources=(S0.at("Local Attention Windows"),),
        scope="one row with a key that is certainly in the set, any number of others, in or out of it; every real score and value; real arithmetic (floats may round a weight to 0)",
        uses=("masks.hidden-key-has-no-influence",),
        holds=_support,
    )
)
def support() -> Iterator[Step]:
    keeps = 1 - sp.KroneckerDelta(j, k)  # key k is left out
    inside = _in_the_set(sp.exp(s[j]) * v[j], sp.exp(own) * V_i)
    mass = sp.exp(own) + total(mu[j] * sp.exp(s[j]), j)
    yield Step(sp.Integer(0), "<", sp.exp(own) / mass, "a key in the set: its exponential and the normaliser are positive")
    yield Step(sp.Derivative(inside, V_i), "=", sp.exp(own) / mass, "the output is linear in its value, with the weight for a slope")
    without = (sp.exp(own) * V_i + total(keeps * mu[j] * sp.exp(s[j]) * v[j], j)) / (sp.exp(own) + total(keeps * mu[j] * sp.exp(s[j]), j))
    yield Step(total(sp.KroneckerDelta(j, k) * keeps * mu[j] * sp.exp(s[j]), j), "=", sp.Integer(0), "a key outside: its factor is 0")
    yield Step(sp.Derivative(without, v[k]), "=", sp.Integer(0), "and the output does not move with its value")


def _averaged(layers: Sequence[Rows], tokens: Row) -> list[Fraction]:
    """Layers of equal scores: each position adds the mean of what it sees to what it has."""
    values = [Fraction(token) for token in tokens]
    for rows in layers:
        values = [value + sum((values[key] for key in row), Fraction(0)) / len(row) for value, row in zip(values, rows, strict=True)]
    return values


def _attended(layers: Sequence[Rows], tokens: Row) -> list[arb]:
    """Layers x ← x + Att(x), whose tokens of width 1 are queries, keys and values at once."""
    values = [exact.ball(token) for token in tokens]
    for rows in layers:
        column = [[value] for value in values]
        values = [value + row[0] for value, row in zip(values, exact.attention(column, column, column, visible=flags(rows)), strict=True)]
    return values


def _changed(tokens: Row, place: int, shift: int) -> list[int]:
    return [token + shift * (at == place) for at, token in enumerate(tokens)]


def _receptive(layers: Sequence[Rows], tokens: Row, place: int, shift: int) -> Outcome:
    """A change at `place` reaches, with equal scores, exactly the positions that see it in the boolean product, and with other scores no others."""
    seen, changed = through_all(layers), _changed(tokens, place, shift)
    moved = [new != old for new, old in zip(_averaged(layers, changed), _averaged(layers, tokens), strict=True)]
    blind = [at for at, row in enumerate(seen) if place not in row]
    before, after = _attended(layers, tokens), _attended(layers, changed)
    reached = exact.decided(moved == [place in row for row in seen])
    return Outcome.worst([reached, exact.equal([after[at] for at in blind], [before[at] for at in blind])])


A, B = sp.IndexedBase("A", real=True), sp.IndexedBase("B", real=True)  # the Jacobians of two layers
wide, high = sp.IndexedBase("a", nonnegative=True), sp.IndexedBase("b", nonnegative=True)  # their patterns
fall, drop = sp.IndexedBase("x", real=True), sp.IndexedBase("y", real=True)  # positive weights along the patterns, exp(−x) and exp(−y)
free = sp.IndexedBase("c", real=True)


@derived(
    Claim(
        id="sparsity.receptive-field",
        title="What a position can depend on through layers is the boolean product of their patterns",
        states="(Not in the texts; it follows from the weights of one layer.) A stack of sparse layers sees what is reached by following the pattern layer by layer.",
        precise=r"For two layers with patterns $a_{il},b_{lj}\in\{0,1\}$: if $a_{il}b_{lj}=0$ for every $l$, then $\sum_lA_{il}B_{lj}=0$ for Jacobians with these patterns; if one "
        r"$l$ has $a_{il}b_{lj}=1$, then positive weights compose to at least $A_{il}B_{lj}>0$. By induction on the layers, "
        "position $i$ can depend on token $j$ after $L$ layers exactly if a walk leads from $i$ to $j$ that in each layer, from the top, stays or takes a step "
        "of that layer's pattern. (It may stay, since a position keeps its own token: $a_{ii}=1$.)",
        sources=(S0.at("Local Attention Windows"), S1.at("Local Attention"), CHILD),
        scope="every length, every depth, every pattern with non-empty rows, one for each layer; layers x + Att(x), between which nothing mixes positions. "
        "The patterns decide that a dependence is excluded for all weights, and that it is there for some (constant scores, identity value maps)",
        uses=("sparsity.support", "masks.hidden-key-has-no-influence"),
        holds=_receptive,
    )
)
def receptive_field() -> Iterator[Step]:
    yield Step(
        sp.Sum(z * free[l] * A[i, l] * B[l, j], (l, 1, n)),
        "=",
        z * sp.Sum(free[l] * A[i, l] * B[l, j], (l, 1, n)),
        "if a_il b_lj = z c_l with z = 0 for every l, each term of the chain rule is 0, whatever the signs of the Jacobians",
    )
    weights = sp.Sum(wide[i, l] * high[l, j] * sp.exp(-fall[i, l] - drop[l, j]), (l, 1, n))
    one = sp.exp(-fall[i, k] - drop[k, j])
    yield Step(sp.Integer(0), "<", one, "a path through k multiplies two positive weights")
    yield Step(one, "<=", one + weights, "and nothing cancels it: all other paths add something non-negative", certificate=weights)


def _everything_moves(layers: Sequence[Rows], tokens: Row, place: int, shift: int) -> Outcome:
    """Whether a change of one token can be felt at every position, as through full attention."""
    changed = _changed(tokens, place, shift)
    return exact.decided(all(new != old for new, old in zip(_averaged(layers, changed), _averaged(layers, tokens), strict=True)))


def _told_stack(layers: Sequence[Rows], tokens: Row, place: int, shift: int) -> str:
    changed = _changed(tokens, place, shift)
    before, after = (", ".join(map(exact.show, _attended(layers, x))) for x in (tokens, changed))
    blind = [at for at, row in enumerate(through_all(layers)) if place not in row]
    alike = all(rows == layers[0] for rows in layers)
    shown = listed(layers[0]) + ", in every layer" if alike else " / ".join(listed(rows) for rows in layers)
    ever = ", and deeper stacks of this pattern have none either" if alike and len(layers) >= len(tokens) - 1 else ""
    return "\n".join(
        [
            f"{len(layers)} layer(s), positions from 0. {shown}.",
            f"Layers x + Att(x): each token is its own query, key and value, so scores are products of tokens, and what is added to a token is the softmax-weighted mean of "
            f"those that its position sees. The tokens {list(tokens)} become [{before}]. With {changed[place]} at position {place} they become [{after}]: "
            f"nothing has moved at {blind}, and no weights would move it, since no walk of at most {len(layers)} step(s) leads from there to {place}{ever}.",
        ]
    )


@derived(
    Claim(
        id="sparsity.keeps-every-dependence",
        title="Sparse patterns keep the modelling power of full attention",
        states="Sparse patterns reduce the cost of attention while maintaining its modelling power.",
        reading="At the least, every output of a stack of sparse layers can depend on every token, as with full attention, if only the stack is deep enough. (The patterns are "
        "the text's own: windows around each position, a stride, doubling offsets, blocks with representatives. This is the weakest reading: nothing is asked but that "
        "no dependence is lost at every depth. On the strongest, that a sparse row can do what a full row does, the statement "
        "is false, see sparsity.hull-of-the-set. What a trained model achieves is not judged.)",
        precise=r"For every pattern of the list there is a depth $L$ at which, for all $i$, $j$, some weights make output $i$ move with token $j$. (A walk of at most $L$ steps from "
        "$i$ to $j$ is what it takes; in $n$ positions $L=n$ is deep enough if any depth is.)",
        sources=(S0.at("Motivation"),),
        scope="sliding windows, strided, dilated, blocks with representatives; every length and size; the search: n layers for n positions",
        inventory=("C076",),
        uses=("sparsity.receptive-field",),
        unsaid="every two positions are joined by a walk along the pattern, and there are as many layers as it has steps; strided attention alone has no walk between its residue "
        "classes, at any depth, and a window needs depth in proportion to the length",
        corrected_by="sparsity.receptive-field",
        holds=_everything_moves,
        worked=_told_stack,
    )
)
def keeps_every_dependence() -> Iterator[Step]:
    path = sp.exp(-fall[i, k] - drop[k, j])
    others = sp.Sum(wide[i, l] * high[l, j] * sp.exp(-fall[i, l] - drop[l, j]), (l, 1, n))
    yield Step(
        sp.Integer(0),
        "<",
        path + others,
        "with a path through k, the slope of output i in token j is positive for constant scores; further layers by induction",
    )


def _ends(values: Row, visible: Flags) -> tuple[int, int]:
    """The smallest and the largest of the values in the set."""
    kept = [value for value, seen in zip(values, visible, strict=True) if seen]
    return min(kept), max(kept)


def _sparse_stays_between(scores: Row, values: Row, visible: Flags) -> Outcome:
    """The output is among the visible values; and where one hidden key's value alone is raised, the full row's output rises and the sparse one's does not."""
    low, high = _ends(values, visible)
    output = _mixed(exact.softmax(scores, visible), values)
    between = [exact.at_most(low, output), exact.at_most(output, high)]
    for hidden in (key for key, seen in enumerate(visible) if not seen):
        raised = _changed([low] * len(scores), hidden, 1)
        full, sparse = (_mixed(weights, raised) for weights in (exact.softmax(scores), exact.softmax(scores, visible)))
        between += [exact.decided(bool(full > low)), exact.equal(sparse, low)]
    return Outcome.worst(between)


low, radius = sp.Symbol("low", real=True), sp.Symbol("rho", positive=True)
above = sp.IndexedBase("x", nonnegative=True)  # values are low + x[j]
first = sp.Symbol("x_i", nonnegative=True)


@derived(
    Claim(
        id="sparsity.hull-of-the-set",
        title="A sparse row's output lies among the values of its set, so a row that hides a key cannot match a full row on all values",
        states="(Not in the text; it limits “maintaining modelling power”.) What one sparse row cannot do, whatever a stack of them can: its output is an average of the visible "
        "values, and of these alone.",
        precise=r"If every $\langle u,v_j\rangle\ge\mathrm{low}$ for $j\in W$, then $\langle u,o\rangle\ge\mathrm{low}$, for every direction $u$, whatever the "
        r"scores and the values outside $W$ are. Let one value outside be $\mathrm{low}+\rho$ and all others $\mathrm{low}$: a full row gives more than "
        r"$\mathrm{low}$, and every row over $W$ gives $\mathrm{low}$. So no scores over $W$ give what a full row gives for all values.",
        sources=(S0.at("Local Attention Windows"),),
        scope="one row with a key that is certainly in the set, any number of others, in or out of it; every real score; v_j = low + x_j along u with x_j ≥ 0 "
        "where M_j = 1; on the same values, in one layer",
        inventory=("C076",),
        uses=("convexity.output-in-the-hull",),
        holds=_sparse_stays_between,
    )
)
def hull_of_the_set() -> Iterator[Step]:
    output = _in_the_set(sp.exp(s[j]) * (low + above[j]), sp.exp(own) * (low + first))
    slack = _in_the_set(sp.exp(s[j]) * above[j], sp.exp(own) * first)
    yield Step(low, "<=", output, "values outside have the factor M_j = 0; the rest is an average of numbers that are at least low", certificate=slack)
    raised = low + radius * sp.KroneckerDelta(j, k)
    full = total(sp.exp(s[j]) * raised, j) / total(sp.exp(s[l]), l)
    yield Step(
        low,
        "<",
        full,
        "let one key's value exceed all others, which are equal: the full row's output is larger than these",
        certificate=radius * sp.exp(s[k]) / total(sp.exp(s[l]), l),
    )
    keeps = 1 - sp.KroneckerDelta(j, k)
    sparse = (sp.exp(own) * low + total(keeps * mu[j] * sp.exp(s[j]) * raised, j)) / (sp.exp(own) + total(keeps * mu[j] * sp.exp(s[j]), j))
    yield Step(sparse, "=", low, "a sparse row that leaves the key out gives the common value, whatever its scores are")


# --- how many pairs -----------------------------------------------------------------------------------------------------------------------


def pairs(name: str, size: int, length: int) -> int:
    """Visible pairs, counted one by one."""
    return sum(map(len, pattern(name, size, length)))


def closed_form(name: str, size: int, length: int) -> Fraction:
    """The same number from a formula."""
    whole, left = divmod(length, size)
    match name:
        case "sliding window":
            reach = min(size, length - 1)
            return Fraction(length * (2 * reach + 1) - reach * (reach + 1))
        case "fixed window":
            return Fraction(whole * size**2 + left**2)
        case "strided":
            return Fraction(length**2 + left * (size - left), size)
        case "dilated":
            powers = (length - 1).bit_length()  # 2^0 .. 2^(powers − 1) are at most n − 1
            return Fraction(2 * (powers * length - 2**powers + 1))
    return Fraction(whole * size**2 + left**2 + length * (whole + (left > 0) - 1))


def causal_pairs(name: str, size: int, length: int) -> int:
    """Visible pairs whose key is not in the future of its query, counted."""
    return sum(key <= place for place, row in enumerate(pattern(name, size, length)) for key in row)


def _pairs_touched(name: str, size: int, length: int) -> Outcome:
    counted, formula = pairs(name, size, length), closed_form(name, size, length)
    with_itself = 0 if name == "dilated" else length
    symmetric = name != "blocks and representatives"
    return exact.decided(counted == formula and (not symmetric or 2 * causal_pairs(name, size, length) == formula + with_itself))


@derived(
    Claim(
        id="sparsity.pairs-touched",
        title="How many pairs of a query and a key each pattern touches",
        states="Each sparse pattern limits attention to a subset of the n² pairs.",
        reading="Counted are the pairs of a query and a key that it sees, where a sequence of n positions gives both queries and keys. Sets are clipped at its ends.",
        precise=r"Sliding window of $w<n$ on each side: $n(2w+1)-w(w+1)$. Fixed windows or blocks of $b$, $n=qb+r$: $qb^2+r^2$; with one representative for each of the "
        r"$\lceil n/b\rceil$ blocks: $n(\lceil n/b\rceil-1)$ more. Stride $k$, $n=qk+r$ with $r<k$: $(n^2+r(k-r))/k$. Offsets $\pm2^l$ with $2^p\le n-1<2^{p+1}$: "
        r"$2(p+1)n-2(2^{p+1}-1)$. The causal half of a symmetric pattern has $(\text{pairs}+n)/2$ if positions see themselves, and half the pairs if they do not.",
        sources=(S0.at("Sparse Attention Patterns"), S1.at("Local Attention"), S3.at("Sparse Attention")),
        scope="every length n ≥ 1 (offsets ±2^l: n ≥ 2 in the derivation, n = 1 has no pair), every size ≥ 1 (of a stride or a block also larger than n)",
        kind=Kind.COST,
        inventory=("C075", "C087"),
        holds=_pairs_touched,
    )
)
def pairs_touched() -> Iterator[Step]:
    length, offset, left = more + rest + 1, sp.Symbol("p", integer=True, nonnegative=True), sp.Symbol("r", integer=True, nonnegative=True)
    window, reach = n * (2 * w + 1) - w * (w + 1), sp.Symbol("w", integer=True, nonnegative=True)
    strict = sp.Symbol("t", integer=True, nonnegative=True)  # pairs at a positive distance, one way
    half = (sp.UnevaluatedExpr(2 * strict + n) + n) / 2
    yield Step(half, "=", strict + n, "causal half of 2t + n pairs, t of them one way and n on the diagonal: one way of each pair, and the diagonal")
    yield Step(
        sp.Sum(sp.S.One, (i, 1, length - more)), "=", length - more, "a pair at distance δ starts at any of the first n − δ positions (n = δ + y + 1 > δ)"
    )
    yield Step(sp.Subs(window.subs(w, reach), reach, 0), "=", n, "sliding window: distance 0 gives n pairs")
    yield Step(window.subs(w, w + 1) - window, "=", 2 * (n - (w + 1)), "and one position more on either side gives n − (w + 1) pairs twice")
    dilated = 2 * (offset + 1) * n - 2 * (2 ** (offset + 1) - 1)
    yield Step(sp.Subs(dilated, offset, 0), "=", 2 * (n - 1), "offsets ±2^l: p = 0 is the distance 1, either way")
    yield Step(dilated.subs(offset, offset + 1) - dilated, "=", 2 * (n - 2 ** (offset + 1)), "and the next distance is 2^(p + 1)")
    inside = sp.Sum(block, (i, 1, block))
    yield Step(sp.Sum(inside, (j, 1, whole)), "=", whole * block**2, "blocks: b rows of b keys in each of q whole blocks; the last one has r² pairs")
    yield Step(sp.Sum(blocks - 1, (i, 1, n)), "=", n * (blocks - 1), "representatives: each row sees those of the other blocks")
    rows = stride * whole + left
    yield Step(
        left * (whole + 1) ** 2 + (stride - left) * whole**2, "=", (rows**2 + left * (stride - left)) / stride,
        "stride k, n = qk + r: r classes of q + 1 positions and k − r of q, each with the square of its size",
    )  # fmt: skip


def _operations(rows: Rows, width: int) -> int:
    """Attention that computes visible pairs only, run: scores with their scale, softmax and sum of values, row by row."""
    done = Operations()
    for row in rows:
        for _ in row:
            done.dot(width)
            done.multiplications += 1
        done.softmax(len(row))
        for _ in range(width):
            done.dot(len(row))
    return done.all()


def _masked_operations(rows: Rows, width: int) -> int:
    """The mask multiplied onto the dense softmax, run; the sum of values then skips the zeros."""
    length, done = len(rows), Operations()
    for row in rows:
        for _ in range(length):
            done.dot(width)
            done.multiplications += 2  # the scale, and the mask
        done.softmax(length)
        for _ in range(width):
            done.dot(len(row))
    return done.all()


def _cost_follows(rows: Rows, width: int) -> Outcome:
    touched, longest = sum(map(len, rows)), max(map(len, rows))
    counted = _operations(rows, width)
    return exact.decided(counted == (4 * width + 5) * touched - (width + 2) * len(rows) and counted <= 9 * longest * len(rows) * width)


N = sp.IndexedBase("N", positive=True)  # how many keys a row sees
short = sp.IndexedBase("y", nonnegative=True)  # by how much it falls short of the longest row
longest = sp.Symbol("m", integer=True, positive=True)  # keys in the longest row


@derived(
    Claim(
        id="sparsity.cost-follows-pairs",
        title="Attention that computes only the visible pairs costs (4d + 5) operations a pair, less d + 2 a row",
        states="Various approaches reduce computational complexity by limiting attention to subsets of positions.",
        reading="Counted are the operations on given Q, K, V, one for each product, sum, comparison, exponential and quotient. What is not visible is not computed.",
        precise=r"Exactly $(4d+5)P-(d+2)n$ operations for $P$ visible pairs: fewer pairs, fewer operations. With at most $m$ keys in a row, $P\le nm$ and the count is at "
        r"most $9\,nmd$; for $P=n^2$ it is the count of dense attention.",
        sources=(S3.at("Sparse Attention"), S0.at("Motivation")),
        scope="every pattern with non-empty rows, every n and d, d_v = d; counted operations, not time: gathering keys and finding the pattern cost nothing here",
        kind=Kind.COST,
        inventory=("C075",),
        uses=("cost.time",),
        holds=_cost_follows,
    )
)
def cost_follows_pairs() -> Iterator[Step]:
    scores, softmax, values = 2 * d * N[i], 5 * N[i] - 2, d * (2 * N[i] - 1)
    yield Step(total(longest - short[i], i), "<=", n * longest, "rows of at most m keys", certificate=total(short[i], i))
    features = sp.Symbol("x", integer=True, nonnegative=True)
    count = ((4 * d + 5) * n * longest - (d + 2) * n).subs(d, 1 + features)
    yield Step(
        count, "<=", (9 * n * longest * d).subs(d, 1 + features), "5 ≤ 5d, with d = 1 + x",
        certificate=5 * n * longest * features + (3 + features) * n,
    )  # fmt: skip
    yield Step((4 * d + 5) * n * n - (d + 2) * n, "=", 4 * n**2 * d + 5 * n**2 - n * d - 2 * n, "all pairs: dense attention")
    yield Step(
        total(scores + softmax + values, i), "=", (4 * d + 5) * total(N[i], i) - (d + 2) * n,
        "scores: d products, d − 1 sums and the scale for each pair; softmax: 5 a pair, less 2 a row; values: d sums of as many products as the row has keys",
    )  # fmt: skip


def _masking_reduces(rows: Rows, width: int) -> Outcome:
    return exact.decided(_masked_operations(rows, width) <= 9 * max(map(len, rows)) * len(rows) * width)


def _told_masking(rows: Rows, width: int) -> str:
    length, touched, longest_row = len(rows), sum(map(len, rows)), max(map(len, rows))
    return (
        f"n = {length}, d = {width}; positions from 0: {listed(rows)}. The formula's softmax runs over all {length}² = {length**2} scores before the mask is applied. "
        f"Scores, with a product for the scale and one for the mask: {length**2} · (2 · {width} + 1) = {length**2 * (2 * width + 1)} operations. Softmax: {length} · "
        f"(5 · {length} − 2) = {length * (5 * length - 2)}. The sum of values, even over the {touched} visible pairs only: {width} · (2 · {touched} − {length}) = "
        f"{width * (2 * touched - length)}. Together {_masked_operations(rows, width)}. For rows of at most {longest_row} key(s), 9 · {longest_row} · {length} · {width} = "
        f"{9 * longest_row * length * width} would be allowed. Computing the visible pairs alone takes {_operations(rows, width)}."
    )


@derived(
    Claim(
        id="sparsity.masking-reduces-cost",
        title="Multiplying a sparsity mask onto the softmax reduces the order of the cost",
        states="Sparse patterns reduce the O(n²) complexity; sparse attention is the mask times softmax(Q Kᵀ/√d) elementwise.",
        reading="The formula is computed as written: the softmax over all keys, then the mask. Even if the last product, with the values, then skips the "
        "zeros, the cost should follow the keys that rows see: at most a constant times nmd operations where rows see at most m, as dense attention takes at most 9n²d. "
        "(Skipping the zeros saves something, less than half of the operations; what is judged is the order. The search tries the constant 9, the derivation takes any.)",
        precise=r"Some constant $C$ has at most $C\,nmd$ operations, whatever $n$ is. But the weights $M\odot\mathrm{softmax}$ depend on all $n$ scores of their row, hidden ones "
        r"too, since each of these stands in the divisor: $\partial p_i/\partial y = -p_ip_y < 0$ for a visible key $i$ and a hidden one of score $y$. So no pair can be skipped, and for "
        r"every $C$ scores and softmax alone take more than $2n^2d$, which is more than $C\,nmd$ from $n=Cm$ on.",
        sources=(S0.at("Mathematical Formulation (sparse attention)"), S0.at("Motivation")),
        scope="every n, d and m ≤ n, every pattern with non-empty rows of at most m keys; the derivation: every constant C ≥ 1 and every n ≥ Cm, the search: C = 9 and n ≥ 5m",
        kind=Kind.COST,
        inventory=("C090",),
        uses=("cost.time",),
        holds=_masking_reduces,
        worked=_told_masking,
        corrected_by="sparsity.cost-follows-pairs",
    )
)
def masking_reduces_cost() -> Iterator[Step]:
    hidden = sp.Symbol("y", real=True)
    mass = sp.exp(own) + sp.exp(hidden) + total(sp.exp(s[j]), j)
    yield Step(
        sp.Derivative(sp.exp(own) / mass, hidden), "<", sp.Integer(0), "a visible weight falls with every score that the mask hides afterwards: it takes all scores to compute it",
        certificate=sp.exp(own) * sp.exp(hidden) / mass**2,
    )  # fmt: skip
    dense = total(total(2 * d + 5, j) - 2, i)
    yield Step(dense, "=", n**2 * (2 * d + 5) - 2 * n, "scores and softmax over all keys come before the mask: quadratic in n whatever the mask is")
    constant = sp.Symbol("C", integer=True, positive=True)
    length = constant * longest + more
    yield Step(2 * n**2 * d, "<", n**2 * (2 * d + 5) - 2 * n, "more than 2n²d, since 5n² is more than 2n", certificate=3 * n**2 + 2 * n * (n - 1))
    yield Step(
        (constant * n * longest * d).subs(n, length), "<", (2 * n**2 * d).subs(n, length), "and for n = Cm + x that is more than C nmd, whatever the constant is",
        certificate=length * d * (constant * longest + 2 * more),
    )  # fmt: skip


def enough(size: int, share: int) -> int:
    """A length from which on every pattern of the list whose rows stay short has at most n²/share pairs."""
    return (share * (2 * size + 2)) ** 2


def _lower_order(name: str, size: int, share: int, further: int) -> Outcome:
    length = enough(size, share) + further
    return exact.decided(share * closed_form(name, size, length) <= length**2)


def _order_by_rows(name: str, size: int, share: int, further: int) -> Outcome:
    """Short rows: fewer than any share of n². Stride and representatives of a fixed size: at least n²/size, at any length."""
    length = enough(size, share) + further
    count = closed_form(name, size, length)
    if name in ("strided", "blocks and representatives"):
        return exact.decided(length**2 <= size * count)
    return exact.decided(share * count <= length**2)


def _told_order(name: str, size: int, share: int, further: int) -> str:
    length = enough(size, share) + further
    count = closed_form(name, size, length)
    return (
        f"Pattern: {name}, size {size}; tried is n = ({share}(2 · {size} + 2))² + {further} = {length}. It has {count} visible pairs, and at most n²/{share} = {Fraction(length**2, share)} were asked for. No length helps: "
        f"with this size fixed there are always at least n²/{size} pairs, which is more than n²/{share}."
    )


@derived(
    Claim(
        id="sparsity.patterns-reduce-the-order",
        title="Sparse patterns reduce the O(n²) complexity",
        states="Standard attention has O(n²) complexity; sparse patterns reduce it.",
        reading="With a pattern of the list, of whatever fixed size, the number of visible pairs is of lower order than n², that is below any share of it for large n.",
        precise=r"For every $s$, from some length on at most $n^2/s$ pairs are visible. (Tried from $n=(s(2a+2))^2$ on for patterns of size $a$.)",
        sources=(S0.at("Motivation"), S0.at("Sparse Attention Patterns")),
        scope="sliding and fixed windows, strided, dilated, blocks with representatives, of a size that does not depend on n",
        kind=Kind.COST,
        inventory=("C075",),
        uses=("sparsity.pairs-touched",),
        unsaid="the number of keys that a row sees grows more slowly than n: with a fixed stride it is n/k, and with a representative for every block of b it is n/b + b − 1; and "
        "pairs that are not visible are not computed",
        corrected_by="sparsity.short-rows",
        holds=_lower_order,
        worked=_told_order,
    )
)
def patterns_reduce_the_order() -> Iterator[Step]:
    share = sp.Symbol("s", integer=True, positive=True)
    length = share * longest + more
    yield Step(
        share * total(longest - short[i], i),
        "<=",
        share * n * longest,
        "rows that see at most m keys, however long the sequence is",
        certificate=share * total(short[i], i),
    )
    yield Step(share * length * longest, "<=", length**2, "have at most n²/s pairs from n = sm on (n = sm + x)", certificate=length * more)


@derived(
    Claim(
        id="sparsity.short-rows",
        title="The number of pairs is of lower order than n² if rows are short, and not with a stride or blocks of a fixed size",
        states="(Not in the texts; counted from the patterns.) What decides the order of the cost is how many keys a row sees.",
        precise=r"Rows of at most $m$ keys: at most $n^2/s$ pairs from $n=sm$ on; windows have $m=2w+1$ or $b$. Offsets $\pm2^l$: fewer than $2(p+1)n$ pairs, $p=\lfloor\log_2(n-1)\rfloor$. "
        r"Stride $k$: at least $n^2/k$ pairs at every $n$. Blocks of $b$ with a representative each: at least $n^2/b$.",
        sources=(S0.at("Motivation"), CHILD),
        scope="every n (n ≥ 2 for offsets ±2^l), every fixed size; rows of offsets ±2^l have at most 2(p + 1) keys, which grows like log n",
        kind=Kind.COST,
        uses=("sparsity.pairs-touched",),
        holds=_order_by_rows,
    )
)
def short_rows() -> Iterator[Step]:
    left, power = sp.symbols("r p", integer=True, nonnegative=True)
    span, last = left + 1 + rest, left + 1  # k = r + 1 + y₀ with r < k; a last block of 1 to b positions
    yield Step(n**2 / span, "<=", (n**2 + left * (span - left)) / span, "stride k > r, with r positions over", certificate=left * (1 + rest) / span)
    length = span * whole + last
    yield Step(
        length**2 / span, "<=", whole * span**2 + last**2 + length * whole, "q blocks of b and a last one of r + 1 ≤ b positions: ⌈n/b⌉ = q + 1",
        certificate=whole * (span * (left + rest) + rest) + last**2 * (left + rest) / span,
    )  # fmt: skip
    yield Step(
        2 * (power + 1) * n - 2 * (2 ** (power + 1) - 1), "<", 2 * (power + 1) * n, "offsets ±2^l: fewer than 2(p + 1) keys a row, on average",
        certificate=2 * (2 ** (power + 1) - 1),
    )  # fmt: skip
    yield Step(total(2 * w + 1 - short[i], i), "<=", n * (2 * w + 1), "windows: at most 2w + 1 keys a row", certificate=total(short[i], i))


def _told_classes(step: int, length: int) -> str:
    """How many pairs a stride leaves, class by class."""
    whole, left = divmod(length, step)
    parts = [f"{many} of {size} positions" for many, size in ((left, whole + 1), (step - left, whole)) if many]
    squares = " + ".join(f"{many} · {size}²" for many, size in ((left, whole + 1), (step - left, whole)) if many)
    return f"The positions fall into {step} class(es), {' and '.join(parts)}, and see their own class alone: {squares} = {closed_form('strided', step, length)} pairs"


def _stride_solves(step: int, share: int, further: int) -> Outcome:
    length = enough(step, share) + further
    return exact.decided(share * closed_form("strided", step, length) <= length**2)


def _strided_bounds(step: int, share: int, further: int) -> Outcome:
    length = enough(step, share) + further
    count = closed_form("strided", step, length)
    root = isqrt(length)
    few = closed_form("strided", root, length) <= Fraction(length**2, root) + Fraction(root, 4)
    return exact.decided(few and Fraction(length**2, step) <= count <= Fraction(length**2, step) + Fraction(step, 4))


def _told_stride(step: int, share: int, further: int) -> str:
    length = enough(step, share) + further
    return (
        f"Stride {step}; tried is n = ({share}(2 · {step} + 2))² + {further} = {length}. {_told_classes(step, length)}, no fewer than n²/{step} = {Fraction(length**2, step)}. "
        f"At most n²/{share} = {Fraction(length**2, share)} were asked for. At any other length there are no fewer than n²/{step} either, and that is more than n²/{share}: "
        "a fixed stride divides the cost and leaves it quadratic."
    )


@derived(
    Claim(
        id="sparsity.fixed-stride-solves",
        title="Attention with a fixed stride solves the quadratic complexity",
        states="The problem is quadratic complexity in the sequence length; among the solutions is strided attention, which skips positions with a fixed stride.",
        reading="The number of pairs is of lower order than n²: below any share of it for large n. 'Fixed' says that the stride is the same at every position; "
        "whether it may depend on the length is left open.",
        precise=r"For every $s$, from some length on at most $n^2/s$ pairs satisfy $j\equiv i\pmod k$. With $k=\sqrt n$ they are $k^3$, at most $n^2/s$ for "
        r"$k\ge s$. With a $k$ that does not depend on $n$ they are more than $n^2/s$ at every length, for every $s>k$. (Tried with such a $k$ from "
        r"$n=(s(2k+2))^2$ on.)",
        sources=(S4.at("Sparse Attention"),),
        scope="every stride; n = k² where it grows with the length, every n where it does not",
        kind=Kind.COST,
        inventory=("C081",),
        uses=("sparsity.pairs-touched",),
        unsaid="the stride grows with the length, as √n does; one that does not depend on n divides the pairs by k and leaves them quadratic",
        corrected_by="sparsity.strided-pairs",
        holds=_stride_solves,
        worked=_told_stride,
    )
)
def fixed_stride_solves() -> Iterator[Step]:
    shares, slack = sp.symbols("s x", integer=True, positive=True)
    root = shares + slack
    left, below, surplus = (
        sp.Symbol("r", integer=True, nonnegative=True),
        sp.Symbol("r'", integer=True, positive=True),
        sp.Symbol("s'", integer=True, positive=True),
    )
    span = left + below
    share = span + surplus
    yield Step(
        n**2, "<", share * (n**2 + left * (span - left)) / span,
        "a stride that does not depend on n: for s = k + s', k = r + r', the pairs number more than n²/s at every n",
        certificate=surplus * n**2 / span + share * left * below / span,
    )  # fmt: skip
    yield Step(sp.UnevaluatedExpr(root**2) ** 2 / root, "=", root**3, "a stride that grows: at n = k² there are n²/k = k³ pairs, since k divides n (k = s + x)")
    yield Step(shares * root**3, "<=", sp.UnevaluatedExpr(root**2) ** 2, "which is at most n²/s from k = s on", certificate=root**3 * slack)


@derived(
    Claim(
        id="sparsity.strided-pairs",
        title="Strided attention touches n²/k pairs, and k/4 more at the most",
        states="(Not in the texts; counted from the pattern.) A stride divides the cost by k; the order falls only if the stride grows with the length.",
        precise=r"$\dfrac{n^2}k\le\text{pairs}\le\dfrac{n^2}k+\dfrac k4$. With $k=\sqrt n$ that is $n^{3/2}$, and $\sqrt n/4$ more at the most.",
        sources=(S0.at("Strided Sparse Attention"), S4.at("Sparse Attention"), CHILD.at("section 4")),
        scope="every n and every stride, fixed or not",
        kind=Kind.COST,
        inventory=("C081",),
        uses=("sparsity.pairs-touched",),
        holds=_strided_bounds,
    )
)
def strided_pairs() -> Iterator[Step]:
    left, below = sp.Symbol("r", integer=True, nonnegative=True), sp.Symbol("r'", integer=True, positive=True)
    span = left + below
    count = (n**2 + left * (span - left)) / span
    root = sp.Symbol("k", integer=True, positive=True)
    yield Step(sp.UnevaluatedExpr(root**2) ** 2 / root, "=", root**3, "with k = √n, that is n = k², n²/k is k³ = n^(3/2)")
    yield Step(n**2 / span, "<=", count, "k = r + r' with r = n mod k: the pairs number at least n²/k")
    yield Step(count, "<=", n**2 / span + span / 4, "r r' is at most (k/2)²", certificate=(left - below) ** 2 / (4 * span))


def _windows_are_linear(length: int, reach: int) -> Outcome:
    sliding, fixed = pairs("sliding window", reach, length), pairs("fixed window", 2 * reach + 1, length)
    return exact.decided(max(sliding, fixed) <= (2 * reach + 1) * length)


@derived(
    Claim(
        id="sparsity.windows-are-linear",
        title="Windows and blocks of a fixed size touch at most (2w + 1) n and nb pairs",
        states="Local attention, with a fixed or a sliding window or within predefined blocks, has linear complexity, O(n) instead of O(n²).",
        reading="Counted are the visible pairs of fixed and sliding windows and of blocks whose size does not depend on n. (The text calls the fixed window 'fixed-size'; of the "
        "sliding one it says that it moves, of the blocks that they are predefined. Its dilated variant is in sparsity.limited-intervals-are-linear.)",
        precise=r"$n(2w+1)-w(w+1)$ pairs for $w$ on each side, $n>w$, and at most $nb$ in blocks of $b$, which fixed windows are too. The pairs that a sliding window leaves "
        r"out number exactly $(n-w)(n-w-1)$.",
        sources=(S1.at("Local Attention"),),
        scope="every n > w (below, every pair is visible, and n² ≤ (2w + 1) n), every block length",
        assumes=("the window or block does not grow with n",),
        kind=Kind.COST,
        inventory=("C079", "C087"),
        uses=("sparsity.pairs-touched",),
        holds=_windows_are_linear,
    )
)
def windows_are_linear() -> Iterator[Step]:
    window = n * (2 * w + 1) - w * (w + 1)
    left, below = sp.Symbol("r", integer=True, nonnegative=True), sp.Symbol("r'", integer=True, nonnegative=True)
    span = left + below
    yield Step(n**2 - window, "=", (n - w) * (n - w - 1), "what is left out grows like n²")
    yield Step(
        whole * span**2 + left**2,
        "<=",
        (whole * span + left) * span,
        "blocks: q of b positions, and a last one of r ≤ b that has r² ≤ rb pairs",
        certificate=left * below,
    )
    yield Step(window, "<=", (2 * w + 1) * n, "sliding: the ends of the sequence take some away", certificate=w * (w + 1))


def regular(length: int, interval: int, place: int, steps: int | None) -> Seen:
    """Positions at regular intervals from `place`: all of them, or the first few on each side."""
    return frozenset(key for key in range(length) if (key - place) % interval == 0 and (steps is None or abs(key - place) <= steps * interval))


def _regular_pairs(length: int, interval: int, steps: int | None) -> int:
    return sum(len(regular(length, interval, place, steps)) for place in range(length))


def _intervals_are_linear(interval: int, share: int, bounded: bool, further: int) -> Outcome:
    """At most a constant times n, where the constant may be anything that depends on the pattern and not on n: here `share` for each key of one step."""
    length = 3 * share * interval + further
    steps = share - 1 if bounded else None
    return exact.decided(_regular_pairs(length, interval, steps) <= (2 * share + 1) * length)


def _intervals_counted(interval: int, share: int, bounded: bool, further: int) -> Outcome:
    length = 3 * share * interval + further
    if not bounded:
        return exact.decided(length**2 <= interval * _regular_pairs(length, interval, None))
    return exact.decided(_regular_pairs(length, interval, share - 1) <= (2 * share - 1) * length)


def _told_intervals(interval: int, share: int, bounded: bool, further: int) -> str:
    length = 3 * share * interval + further
    return (
        f"Positions at intervals of {interval}, with no limit to their number; tried is n = 3 · {share} · {interval} + {further} = {length}. {_told_classes(interval, length)}, at least n²/{interval} = "
        f"{Fraction(length**2, interval)}. With the constant {2 * share + 1} at most {2 * share + 1} · {length} = {(2 * share + 1) * length} would be allowed. "
        "A larger constant only asks for a longer sequence."
    )


@derived(
    Claim(
        id="sparsity.regular-intervals-are-linear",
        title="Attention to positions at regular intervals has linear complexity",
        states="(Not in the text; our note on one of its phrases.) Attention to positions at regular intervals, taken without the heading 'Local' that it stands under, has complexity "
        "O(n) instead of O(n²).",
        reading="The interval is fixed, and a row sees positions at that interval. Some constant c serves every n: at most cn pairs. (The text puts this variant under 'Local', "
        "which limits the number of positions; with that limit it is linear, and so nothing that the text says is judged here.)",
        precise=r"For some $c$ at most $cn$ pairs satisfy $j\equiv i\pmod g$, for every $n$. (Tried with $c=2s+1$ at $n\ge3sg$.)",
        sources=(S1.at("Local Attention"),),
        scope="every fixed interval",
        kind=Kind.COST,
        unsaid="a row sees a limited number of positions, at most c on each side (a dilated window)",
        corrected_by="sparsity.limited-intervals-are-linear",
        holds=_intervals_are_linear,
        worked=_told_intervals,
    )
)
def regular_intervals_are_linear() -> Iterator[Step]:
    steps = sp.Symbol("c", integer=True, positive=True)
    yield Step(total(2 * steps + 1 - short[i], i), "<=", (2 * steps + 1) * n, "with at most c positions on each side", certificate=total(short[i], i))


@derived(
    Claim(
        id="sparsity.limited-intervals-are-linear",
        title="A dilated window of c positions on each side is linear in n; all positions at an interval g are at least n²/g pairs",
        states="(Not in the text; counted from the pattern.) Attention at regular intervals is linear if the number of positions is limited, and not only their interval fixed.",
        precise=r"At most $(2c+1)n$ pairs with $c$ positions on each side, whatever the interval. Without a limit at least $n^2/g$, which exceeds $cn$ from $n=cg+1$ on.",
        sources=(S1.at("Local Attention"),),
        scope="every n, c and g",
        kind=Kind.COST,
        uses=("sparsity.strided-pairs",),
        holds=_intervals_counted,
    )
)
def limited_intervals_are_linear() -> Iterator[Step]:
    steps, interval = sp.symbols("c g", integer=True, positive=True)
    length = steps * interval + 1 + more
    yield Step(steps * length, "<", length**2 / interval, "no limit: n²/g against cn from n = cg + 1 on", certificate=length * (1 + more) / interval)
    yield Step(total(2 * steps + 1 - short[i], i), "<=", (2 * steps + 1) * n, "at most c positions on each side, and itself", certificate=total(short[i], i))


def _class_sizes(step: int, length: int) -> Outcome:
    rows = pattern("strided", step, length)
    sizes = {length // step, -(-length // step)}
    contains = all(place in row and len(row) in sizes for place, row in enumerate(rows))
    apart = all(late - early == step for row in rows for early, late in pairwise(sorted(row)))
    more_often = all((len(rows[place]) > length // step) == (place % step < length % step) for place in range(length))
    return exact.decided(contains and apart and more_often)


@derived(
    Claim(
        id="sparsity.residue-classes",
        title="Strided attention sees every k-th position, itself included: ⌊n/k⌋ or ⌈n/k⌉ of them",
        states="Attend to every k-th position: W_i = {j : j mod k = i mod k}.",
        precise=r"$W_i$ contains $i$; neighbours in it are $k$ apart; with $n=qk+r$, $r<k$, it has $q+1$ positions if $i\bmod k<r$ and $q$ if not, for positions $0,\dots,n-1$.",
        sources=(S0.at("Strided Sparse Attention"),),
        scope="every n ≥ 1 and every stride k ≥ 1, larger than n too; position c + kt is the t-th of class c, from t = 0",
        inventory=("C080",),
        holds=_class_sizes,
    )
)
def residue_classes() -> Iterator[Step]:
    klass, term = sp.symbols("c t", integer=True, nonnegative=True)
    over, under = sp.Symbol("x", integer=True, nonnegative=True), sp.Symbol("y", integer=True, nonnegative=True)
    left = klass + 1 + over  # r > c
    span = left + 1 + under  # k > r
    yield Step(klass + stride * (term + 1) - (klass + stride * term), "=", stride, "neighbours in a class are k apart")
    yield Step(klass + span * whole, "<=", span * whole + left - 1, "c < r: the (q + 1)-st position, c + kq, is at most n − 1", certificate=over)
    yield Step(span * whole + left, "<=", klass + span * (whole + 1), "and the next one would be outside", certificate=klass + 1 + under)
    few = sp.Symbol("r", integer=True, nonnegative=True)  # r ≤ c
    held = few + over
    room = held + 1 + under  # k > c
    yield Step(held + room * (whole - 1), "<=", room * whole + few - 1, "c ≥ r: the q-th position, c + k(q − 1), is at most n − 1", certificate=under + few)
    yield Step(room * whole + few, "<=", held + room * whole, "and the next one would be outside", certificate=over)
    yield Step(left * (whole + 1) + (span - left) * whole, "=", span * whole + left, "the classes together are the whole sequence")


def _classes_apart(step: int, layers: int, tokens: Row, place: int, shift: int) -> Outcome:
    """Whatever is changed at `place`, through any depth, moves nothing in another residue class; with equal scores it moves all of its own."""
    stack = [pattern("strided", step, len(tokens))] * layers
    same = through_all(stack) == stack[0]
    other = [at for at in range(len(tokens)) if at % step != place % step]
    changed = _changed(tokens, place, shift)
    before, after = _attended(stack, tokens), _attended(stack, changed)
    moved = [new != old for new, old in zip(_averaged(stack, changed), _averaged(stack, tokens), strict=True)]
    reached = exact.decided(same and moved == [at % step == place % step for at in range(len(tokens))])
    return Outcome.worst([reached, exact.equal([after[at] for at in other], [before[at] for at in other])])


@derived(
    Claim(
        id="sparsity.strided-never-mixes",
        title="Strided attention alone never carries information between residue classes, at any depth",
        states="(Implied; the text gives the pattern.) Each position attends to every k-th position: W_i = {j : j mod k = i mod k}.",
        reading="Layers that all use this pattern with the same stride; for k ≥ 2 and n ≥ 2 some positions can then never learn of each other.",
        precise=r"After $L$ steps of lengths $kt_1,\dots,kt_L$ a walk from $i$ is at $i+k\sum_at_a$, in the residue class of $i$ for every $L$, and no multiple of $k$ leads to another "
        "class. So no output depends on a token of another class, whatever the weights; the stack is $k$ separate networks.",
        sources=(S0.at("Strided Sparse Attention"), CHILD.at("section 4")),
        scope="every length, stride and depth; between the layers nothing mixes positions",
        inventory=("C082",),
        uses=("sparsity.receptive-field",),
        holds=_classes_apart,
    )
)
def strided_never_mixes() -> Iterator[Step]:
    lengths = sp.IndexedBase("t", real=True)
    start, step = sp.symbols("i_0 a_0", integer=True, positive=True)
    apart, room = sp.Symbol("c", integer=True, positive=True), sp.Symbol("x", integer=True, positive=True)
    span, times = apart + room, sp.Symbol("t", integer=True, nonnegative=True)
    yield Step(
        apart, "<", span * (1 + times), "positions of different classes differ by c + a multiple of k, 0 < c < k: c is less than any positive multiple of k"
    )
    yield Step(-span * times, "<", apart, "and more than any other multiple, so it is none")
    yield Step(
        start + sp.Sum(stride * lengths[step], (step, 1, depth)),
        "=",
        start + stride * sp.Sum(lengths[step], (step, 1, depth)),
        "L steps along the pattern lead from i to i plus a multiple of k: never into another class",
    )


# --- offsets ±2^l ---------------------------------------------------------------------------------------------------------------------------


def _dilated_sizes(length: int, place: int) -> Outcome:
    row = sorted(pattern("dilated", 1, length)[place])
    right, left = [key - place for key in row if key > place], [place - key for key in reversed(row) if key < place]
    doubling = all(side == [2**power for power in range(len(side))] for side in (left, right))
    gaps = all(late - early == early for side in (left, right) for early, late in pairwise(side))
    return exact.decided(doubling and gaps and len(row) <= 2 * ((length - 1).bit_length() - 1) + 2)


@derived(
    Claim(
        id="sparsity.dilated-gaps",
        title="Offsets ±2^l: the gaps double, and a row has at most 2⌊log₂(n − 1)⌋ + 2 keys",
        states="Dilated attention has exponentially increasing gaps: W_i = {i ± 2^0, i ± 2^1, i ± 2^2, …}.",
        precise=r"On either side the gap between the $l$-th offset and the next is $2^l$, twice the one before. With $2^p\le n-1<2^{p+1}$, $|W_i|\le2(p+1)$, and fewer than "
        r"$2(p+1)n$ pairs are visible: $O(n\log n)$, and no less, since there are more than $2(p-1)n$.",
        sources=(S0.at("Dilated Attention"),),
        scope="n ≥ 2, every position; offsets that leave the sequence are dropped; p = ⌊log₂(n − 1)⌋",
        inventory=("C083",),
        uses=("sparsity.pairs-touched",),
        holds=_dilated_sizes,
    )
)
def dilated_gaps() -> Iterator[Step]:
    power, over = sp.symbols("l x", integer=True, nonnegative=True)
    top = sp.Symbol("p", integer=True, nonnegative=True)
    yield Step(2 ** (power + 1) - 2**power, "=", 2**power, "the gap to the next offset")
    yield Step(2 ** (power + 2) - 2 ** (power + 1), "=", 2 * (2 ** (power + 1) - 2**power), "doubles each time")
    reach = 2**top + over  # n − 1, below 2^(p + 1)
    yield Step(
        sp.Integer(0), "<", 2 ** (top + 1 + power) - (2 ** (top + 1) - 1), "offsets from 2^(p + 1) on exceed n − 1 ≤ 2^(p + 1) − 1, so l = 0, …, p remain: p + 1 on each side",
        certificate=2 ** (top + 1) * (2**power - 1) + 1,
    )  # fmt: skip
    length = reach + 1
    count = 2 * (top + 1) * length - 2 * (2 ** (top + 1) - 1)
    yield Step(count, "<", 2 * (top + 1) * length, "the pairs: fewer than 2(p + 1) a row", certificate=2 * (2 ** (top + 1) - 1))
    yield Step(2 * (top - 1) * length, "<", count, "and more than 2(p − 1), where n = 2^p + x + 1", certificate=4 * over + 6)


def _offsets(length: int, place: int) -> list[int]:
    """The set as written, as far as the first offset 2^l that is longer than the sequence."""
    distances = [2**power for power in range(bits(length) + 1)]
    return [place - distance for distance in distances] + [place + distance for distance in distances]


def _set_is_defined(length: int, place: int, clipped: bool) -> Outcome:
    """Whether it has a member, and only members that are positions; with `clipped`, those that are none are dropped first."""
    inside = [key for key in _offsets(length, place) if 0 <= key < length]
    return exact.decided(bool(inside) and (clipped or len(inside) == len(_offsets(length, place))))


def _set_with_itself(length: int, place: int, clipped: bool = True, causal: bool = False) -> Outcome:
    """With the position itself there is always a key; without it exactly if another position is in sight. (This set is clipped whatever `clipped` says.)"""
    row = pattern("dilated", 1, length)[place]
    written = {key for key in row if key <= place or not causal}
    in_sight = place > 0 if causal else length > 1
    return exact.decided(place not in row and bool(written) == in_sight and len(written | {place}) == len(written) + 1)


def _told_set(length: int, place: int, clipped: bool) -> str:
    written = _offsets(length, place)
    half = len(written) // 2
    before, after = (", ".join(map(str, part)) for part in (written[:half], written[half:]))
    inside = ", ".join(str(key) for key in sorted(written) if 0 <= key < length)
    if clipped:
        told = f"Positions of the sequence among these: {inside or 'none'}"
    else:
        told = f"Positions of the sequence among these: {inside or 'none'}. There is no key at {min(written)} or {max(written)} to give a score to"
    return f"n = {length}, positions 0 to {length - 1}. For position {place} the set as written is {{{before}, …, {after}, …}}, without end. {told}."


@derived(
    Claim(
        id="sparsity.dilated-set-as-written",
        title="The set of offsets ±2^l, as written, is an attention set",
        states="W_i = {i − 2^0, i − 2^1, …, i + 2^0, i + 2^1, …} takes the window's place in the softmax.",
        reading="It contains some position at every place of the sequence, and nothing that is no position, so that the softmax over it is defined. It is taken as written, with offsets "
        "2^l for every l ≥ 0.",
        precise=r"$\emptyset\ne W_i\subseteq\{0,\dots,n-1\}$ at every position of every sequence. As written $W_i$ has no end on either side: $i+2^l>n-1$ as soon as $2^l\ge n$. "
        r"Clipped, $W_i\cap\{0,\dots,n-1\}$ has a member for $n\ge2$: $i+1$ or $i-1$. It never contains $i$ itself, as $2^l\ne0$, so for $n=1$ it is empty.",
        sources=(S0.at("Dilated Attention"),),
        scope="every n ≥ 1, every position; written n = 2^l − x for the offsets that leave the sequence; no mask (causal attention, ours, in sparsity.dilated-set-with-itself)",
        inventory=("C084",),
        unsaid="offsets that leave the sequence are dropped, and the sequence has two positions or more",
        corrected_by="sparsity.dilated-set-with-itself",
        holds=_set_is_defined,
        worked=_told_set,
    )
)
def dilated_set_as_written() -> Iterator[Step]:
    place = sp.Symbol("i", integer=True, nonnegative=True)
    later, power = sp.Symbol("i", integer=True, positive=True), sp.Symbol("l", integer=True, nonnegative=True)
    yield Step(2**power - more - 1, "<", place + 2**power, "as written: an offset 2^l ≥ n, n = 2^l − x, leads beyond n − 1", certificate=place + more + 1)
    yield Step(place, "<", place + 2**power, "clipped: no offset is 0, so i itself is no member")
    yield Step(place + 1, "<=", place + 1 + more, "a position that is not the last, n − 1 = i + 1 + x, has i + 1 in its set", certificate=more)
    yield Step(sp.Integer(0), "<=", later - 1, "and the last of two or more positions is not the first, i ≥ 1, so it has i − 1 ≥ 0", certificate=later - 1)


@derived(
    Claim(
        id="sparsity.dilated-set-with-itself",
        title="Clipped and with i itself added, the dilated set is never empty, causal or not",
        states="(Not in the text; a set that always works.) The offsets that stay inside the sequence, and i itself.",
        reading="That the set may be cut off at i by a causal mask is an addition of ours, since the same patterns serve generation.",
        precise=r"$i\notin\{i\pm2^l\}$, since $2^l\ne0$; $W_i\cup\{i\}$ contains $i$, which every causal mask allows. Without $i$ the set is empty exactly where no other position is in "
        "sight, and a position does not attend to itself.",
        sources=(S0.at("Dilated Attention"),),
        scope="every n ≥ 1, every position; offsets that leave the sequence are dropped",
        holds=_set_with_itself,
    )
)
def dilated_set_with_itself() -> Iterator[Step]:
    place, power = sp.Symbol("i", integer=True), sp.Symbol("l", integer=True, nonnegative=True)
    behind, ahead = sp.Symbol("i_1", integer=True, positive=True), sp.Symbol("i_0", integer=True, nonnegative=True)
    yield Step(
        ahead + 1,
        "<=",
        ahead + 1 + more,
        "where a later position is in sight, n − 1 = i + 1 + x, so is i + 1, which is in the set as written",
        certificate=more,
    )
    yield Step(sp.Integer(0), "<=", behind - 1, "and where an earlier one is, i ≥ 1, so is i − 1", certificate=behind - 1)
    yield Step(place, "<", place + 2**power, "no offset 2^l is zero: to the right")
    yield Step(place - 2**power, "<", place, "nor to the left")


def _logarithmic_hops(length: int, start: int, end: int) -> Outcome:
    found = hops(pattern("dilated", 1, length), start)[end]
    return exact.decided(0 <= found <= bits(length))


@derived(
    Claim(
        id="sparsity.dilated-hops",
        title="With offsets ±2^l every position reaches every other within ⌈log₂ n⌉ hops",
        states="(Implied.) With exponentially increasing gaps, dilated attention joins any two positions in few hops.",
        reading="A hop goes along the pattern and stays inside the sequence. As many layers with residual connections as there are hops carry information between the two positions.",
        precise=r"The distance $D\le n-1<2^m$, $m=\lceil\log_2n\rceil$, is a sum of at most $m$ distinct powers of two; taken one after another, all in the direction of the goal, "
        r"they never leave the segment between the two positions.",
        sources=(S0.at("Dilated Attention"),),
        scope="every n ≥ 1, every two positions",
        inventory=("C085",),
        uses=("sparsity.receptive-field",),
        holds=_logarithmic_hops,
    )
)
def dilated_hops() -> Iterator[Step]:
    power, half, inner = sp.symbols("m D' x", integer=True, nonnegative=True)
    bit = sp.Symbol("beta", nonnegative=True)
    yield Step(
        2 ** (power + 1), "<=", 2 * (2**power + inner) + bit,
        "induction on m, from D = 0 and no hop for m = 0: write D = 2D' + β, β a bit. If D' were 2^m or more, D would be 2^(m + 1) or more; so D' < 2^m takes at most m hops",
        certificate=2 * inner + bit,
    )  # fmt: skip
    yield Step(2 * 2**power, "=", 2 ** (power + 1), "twice each of them is again an offset, and leads from 0 to 2D'")
    yield Step(
        2 * half,
        "<=",
        2 * (half + inner) + bit,
        "without leaving 0..D: the positions on the way are twice those on the way to D' (D' = x' + x)",
        certificate=2 * inner + bit,
    )
    fewer, unset = sp.symbols("y z", nonnegative=True)
    yield Step(
        (power - fewer) + (1 - unset), "<=", power + 1, "and one hop more, of length 2^0, if β is 1: D < 2^(m + 1) takes at most m + 1 hops, m − y of them to 2D', and β = 1 − z", certificate=fewer + unset,
    )  # fmt: skip


def route(distance: int) -> list[int]:
    """Positions on a way from 0 to `distance` along offsets ±2^l, all in 0..distance, with about half as many hops as there are bits."""
    if distance <= 2:
        return list(range(0, distance + 1, max(distance, 1)))
    quarter, rest = divmod(distance, 4)
    if rest < 3:
        return [4 * place for place in route(quarter)] + [distance] * (rest > 0)
    if quarter == 0:
        return [0, 2, 3]
    if (quarter + 1).bit_count() == 1:  # D + 1 is a power of two: its half, one back, and its half again
        return [0, 2 * (quarter + 1), 2 * (quarter + 1) - 1, distance]
    way = [4 * place for place in route(quarter + 1)]
    return way[:2] + [place - 1 for place in way[1:]]


def _halved_hops(length: int, start: int, end: int) -> Outcome:
    """The route stays between the two positions, each hop is of the pattern, and neither it nor the shortest way has more than ⌈m/2⌉ + 1 hops."""
    sign = 1 if end >= start else -1
    way = [start + sign * place for place in route(abs(end - start))]
    rows = pattern("dilated", 1, length)
    legal = way[0] == start and way[-1] == end and all(0 <= key < length and key in rows[place] for place, key in pairwise(way))
    bound = -(-bits(length) // 2) + 1
    return exact.decided(legal and len(way) - 1 <= bound and 0 <= hops(rows, start)[end] <= bound)


@derived(
    Claim(
        id="sparsity.dilated-hops-halved",
        title="Using offsets in both directions, ⌈m/2⌉ + 1 hops are enough, m = ⌈log₂ n⌉",
        states="(Not in the text; it follows from the offsets in both directions.) Going back as well as forward halves the number of hops, even if the way must stay between the "
        "two positions.",
        precise=r"From 0 to $D<2^m$ a way inside $0,\dots,D$ with at most $\lceil m/2\rceil+1$ hops exists. Two bits cost one hop: $D=4D'+r$ with $r\le2$ adds the hop $r$ (or none) to "
        r"4 times the way to $D'$; $D=4D'+3=4(D'+1)-1$ puts one hop back after the first hop of 4 times the way to $D'+1$; and $D=2^{a+2}-1$ is "
        r"$2^{a+1}-1+2^{a+1}$, three hops.",
        sources=(S0.at("Dilated Attention"),),
        scope="every n ≥ 1, every two positions; a shortest way never comes back to 0, and reaches D' + 1 in its first hop only if that is a power of two",
        inventory=("C085",),
        holds=_halved_hops,
    )
)
def dilated_hops_halved() -> Iterator[Step]:
    place, inner, half = sp.symbols("x y h", integer=True, nonnegative=True)
    power, bit = sp.Symbol("a", integer=True, nonnegative=True), sp.Symbol("r", integer=True, nonnegative=True)
    power_m = sp.Symbol("m", integer=True, nonnegative=True)
    quarter = place + inner  # D', with a position x on the way to it
    yield Step(2 ** (power_m + 2), "<=", 4 * (2**power_m + inner) + bit, "D < 2^(m + 2) has D' < 2^m: by contraposition", certificate=4 * inner + bit)
    yield Step(
        4 * place,
        "<=",
        4 * quarter + bit,
        "r ≤ 2: 4 times a position on the way to D' is at most D, and the last hop is r = 1 or 2, if any",
        certificate=4 * inner + bit,
    )
    yield Step(
        sp.Integer(0),
        "<=",
        4 * (place + 1) - 1,
        "r = 3: after the first hop the positions x + 1 are at least 1, so one less than 4 times them is inside",
        certificate=4 * place + 3,
    )
    yield Step(4 * (place + 1) - 1, "<=", 4 * quarter + 3, "and at most D, for positions x + 1 ≤ D' + 1", certificate=4 * inner)
    yield Step(
        4 * place,
        "<=",
        4 * quarter + 3,
        "the first of them is at most D' unless D' + 1 is reached at once, so 4 times it is inside too",
        certificate=4 * inner + 3,
    )
    yield Step(4 * sp.UnevaluatedExpr(quarter + 1) - 1, "=", 4 * quarter + 3, "the way ends at 4(D' + 1) − 1 = D")
    yield Step(
        sp.UnevaluatedExpr(2 ** (power + 1) - 1) + 2 ** (power + 1),
        "=",
        4 * sp.UnevaluatedExpr(2**power - 1) + 3,
        "D' + 1 = 2^a: three hops for a ≥ 1, since 2^(a + 1), 2^(a + 1) − 1 and D are inside; two for D = 3",
    )
    allowed = sp.UnevaluatedExpr(half + 1)  # ⌈m/2⌉ + 1 for m = 2h
    yield Step(
        sp.UnevaluatedExpr(2 * half + 2) / 2 + 1,
        "=",
        allowed + 1,
        "m = 2h, ⌈m/2⌉ + 1 = h + 1: two bits more allow one hop more; m = 0 needs none, m = 1 one, and three hops are allowed from m + 2 = 3 on",
    )
    yield Step(
        sp.UnevaluatedExpr(2 * half + 4) / 2 + 1, "=", sp.UnevaluatedExpr(half + 2) + 1,
        "m = 2h + 1, ⌈m/2⌉ + 1 = h + 2: likewise, with ⌈(m + 2)/2⌉ = (2h + 4)/2. So ⌈m/2⌉ + 1 hops are enough for every m",
    )  # fmt: skip


ATTAINED = tuple(2**power for power in range(2, 7))  # what the exact check searches


def farthest(power: int) -> int:
    """A distance inside 2^power positions that takes all of the ⌈power/2⌉ + 1 hops: 3, 7, and 4E − 1 two bits further."""
    return 2**power - 1 if power < 4 else 4 * farthest(power - 2) - 1


def _largest_hops(length: int) -> int:
    """The largest number of hops between two positions, by breadth-first search from every position (half of them: the pattern is symmetric)."""
    rows = pattern("dilated", 1, length)
    return max(max(hops(rows, start)) for start in range((length + 1) // 2))


def _attained(length: int) -> Outcome:
    """For n = 2^m: the largest number of hops is ⌈m/2⌉ + 1, and the distance that the derivation names takes as many."""
    needed = hops(pattern("dilated", 1, length), 0)[farthest(bits(length))]
    return exact.decided(_largest_hops(length) == needed == -(-bits(length) // 2) + 1)


@derived(
    Claim(
        id="sparsity.dilated-hops-attained",
        title="At n = 2^m some two positions need all of the ⌈m/2⌉ + 1 hops",
        states="(Not in the text.) The bound of ⌈m/2⌉ + 1 hops cannot be lowered.",
        precise=r"The largest number of hops between two of $n=2^m$ positions is $\lceil m/2\rceil+1$, for every $m\ge2$. The distance $E_m$ needs that many, "
        r"with $E_2=3$, $E_3=7$ and $E_{m+2}=4E_m-1$ (11, 27, 43, 107, …). For let $N_m(D)$ be the smallest number of terms $\pm2^l$, $0\le l\le m-1$, with the sum $D$; no longer "
        r"hop fits into the sequence. Then $N_{m+2}(4E-1)=N_m(E)+1$. In the formula $c=N_m(E)$ and $N_m(E-1)=c-1+x$.",
        sources=(S0.at("Dilated Attention"),),
        scope="n = 2^m, every m ≥ 2; hops inside the sequence (the exact check: n = 4, …, 64, by breadth-first search from every position)",
        uses=("sparsity.dilated-hops-halved",),
        holds=_attained,
    )
)
def dilated_hops_attained() -> Iterator[Step]:
    power, slack = sp.symbols("l x", integer=True, nonnegative=True)
    E, fewest = sp.symbols("E c", integer=True, positive=True)

    def twice(number: sp.Expr) -> sp.Expr:
        return sp.Mul(2, number, evaluate=False)

    yield Step(sp.Integer(2), "<", sp.Integer(3), "m = 2: the hops are 1 and 2 long, so the distance 3 takes two of them")
    yield Step(
        sp.Integer(1 + 4),
        "<",
        sp.Integer(7),
        "m = 3: 7 is odd, so one hop of two would be of length 1 and the other of at most 4: the distance 7 takes three hops",
    )
    yield Step(
        2**power + 2**power, "=", 2 ** (power + 1), "two hops ±1 of one direction are one hop ±2 (here with l = 0), and of opposite directions none: a shortest sum "
        "holds ±1 once if it is odd, and not at all if it is even. Then all of its terms are even, and half of them is a sum with one power less"
    )  # fmt: skip
    yield Step(
        twice(2 * E - 1) + 1, "=", 4 * E - 1, "4E − 1 is odd. With a hop −1 the rest is 4E, which takes as many hops as E with two powers less: N(E) + 1 in all. With a hop +1 "
        "the rest is twice 2E − 1",
    )  # fmt: skip
    yield Step(
        twice(E - 1) + 1, "=", 2 * E - 1, "which is odd as well: with a further hop −1 the rest is twice E, N(E) + 2 hops in all; with a further hop +1 it is twice "
        "E − 1, N(E − 1) + 2 in all",
    )  # fmt: skip
    yield Step(
        4 * E - 1,
        "<=",
        4 * (E + 1 + slack) - 1,
        "E ≤ 2^m − 1, that is 2^m = E + 1 + x, gives 4E − 1 ≤ 2^(m + 2) − 1: inside the sequence",
        certificate=4 * (1 + slack),
    )
    yield Step(
        fewest + 1, "<=", 2 + (fewest - 1 + slack),
        "one more hop +1 leads from E − 1 to E, so N(E) ≤ N(E − 1) + 1: of the three ways the one of N(E) + 1 hops is the shortest. Two bits more take one "
        "hop more, as in ⌈m/2⌉ + 1", certificate=slack,
    )  # fmt: skip


# --- what "dilated" means -----------------------------------------------------------------------------------------------------------------


def _regular_somehow(length: int, place: int) -> bool:
    """Whether the offsets ±2^l are, for some interval and some number of steps, positions at regular intervals (the position itself aside)."""
    written = pattern("dilated", 1, length)[place]
    return any(written == regular(length, interval, place, steps) - {place} for interval in range(1, length + 1) for steps in range(length + 1))


def _one_meaning(length: int, place: int) -> Outcome:
    return exact.decided(_regular_somehow(length, place))


def _two_meanings(length: int, place: int) -> Outcome:
    return exact.decided(_regular_somehow(length, place) == (max(place, length - 1 - place) < 4))


def _told_meanings(length: int, place: int) -> str:
    row = sorted(pattern("dilated", 1, length)[place])
    others = "; ".join(f"every {interval}: {sorted(regular(length, interval, place, None) - {place})}" for interval in (1, 2, 3, 4))
    return (
        f"n = {length}, position {place} (from 0). Exponentially increasing gaps: {row}. Regular intervals, {others}. Even if these sets may be cut off after any number of steps, "
        "none of them has the offsets 1, 2 and 4 without 3."
    )


@derived(
    Claim(
        id="sparsity.dilated-means-one-thing",
        title="Dilated attention means the same in all of the texts",
        states="(Implied by the common name.) One text gives dilated attention exponentially increasing gaps, the offsets ±2^l; another attends to positions "
        "at regular intervals.",
        reading="At each position, for some interval, and some number of steps after which the regular positions may end, the two descriptions give the same keys (the position itself aside).",
        precise=r"For all $n$ and $i$ there are $g$ and $c$ with $\{i\pm2^l\}=\{i\pm tg:1\le t\le c\}$ in $0,\dots,n-1$.",
        sources=(S0.at("Dilated Attention"), S1.at("Local Attention"), S1.at("Longformer Attention")),
        scope="every n and i",
        inventory=("C086",),
        corrected_by="sparsity.dilations-differ",
        holds=_one_meaning,
        worked=_told_meanings,
    )
)
def dilated_means_one_thing() -> Iterator[Step]:
    interval = sp.Symbol("g", integer=True, positive=True)
    kept = sp.UnevaluatedExpr
    yield Step(kept(2 * interval) + interval, "=", 3 * interval, "regular intervals: offsets g, 2g, 3g, the third of which is the sum of the first two")
    yield Step(kept(sp.Integer(2)) + 1, "<", sp.Integer(4), "doubling offsets 1, 2, 4: the third is more than the sum of the first two, so no g gives them")


@derived(
    Claim(
        id="sparsity.dilations-differ",
        title="Doubling gaps and regular intervals agree only where no position is 4 or more away",
        states="(Implied by two texts together.) 'Dilated' names two kinds of pattern, gaps that grow with the distance and gaps that do not.",
        precise=r"Gaps of $\{i\pm2^l\}$ satisfy $2^{l+1}-2^l<2^{l+2}-2^{l+1}$; those of $\{i\pm tg\}$ are all $g$. Clipped to the sequence the two agree for some $g$ and $c$ exactly "
        r"if $i<4$ and $n-1-i<4$. (One text also lets the gaps of a dilated sliding window increase with the distance: that is the first kind.)",
        sources=(S0.at("Dilated Attention"), S1.at("Local Attention"), S1.at("Longformer Attention")),
        scope="every n and i",
        inventory=("C086",),
        holds=_two_meanings,
    )
)
def dilations_differ() -> Iterator[Step]:
    power, step = sp.symbols("l t", integer=True, nonnegative=True)
    interval = sp.Symbol("g", integer=True, positive=True)
    yield Step(2 ** (power + 1) - 2**power, "<", 2 ** (power + 2) - 2 ** (power + 1), "each gap is twice the one before", certificate=2**power)
    yield Step((step + 2) * interval - (step + 1) * interval, "=", (step + 1) * interval - step * interval, "all gaps are g")
    yield Step(
        sp.Integer(4), "<=", 2 ** (power + 2), "from the third offset on they part: 4 or more, so that up to distance 3 only 1 and 2 occur, two steps of g = 1"
    )


# --- windows and blocks through layers -------------------------------------------------------------------------------------------------------


def _window_stack(length: int, reach: int, layers: int) -> list[Seen]:
    return through_all([pattern("sliding window", reach, length)] * layers)


def _sees_exactly(length: int, reach: int, layers: int, place: int) -> Outcome:
    return exact.decided(len(_window_stack(length, reach, layers)[place]) == 2 * layers * reach + 1)


def _sees_clipped(length: int, reach: int, layers: int, place: int) -> Outcome:
    seen = _window_stack(length, reach, layers)[place]
    return exact.decided(seen == frozenset(range(max(0, place - layers * reach), min(length - 1, place + layers * reach) + 1)))


def _told_window(length: int, reach: int, layers: int, place: int) -> str:
    seen = sorted(_window_stack(length, reach, layers)[place])
    return (
        f"n = {length}, {reach} on each side, {layers} layer(s), position {place} (from 0): the sequence ends, and {len(seen)} position(s) are seen, {seen[0]} to {seen[-1]}, "
        f"instead of 2 · {layers} · {reach} + 1 = {2 * layers * reach + 1}."
    )


@derived(
    Claim(
        id="sparsity.window-depth-as-made",
        title="L layers of a window with w on each side see 2Lw + 1 positions",
        states="(Not in the texts, which do not speak of depth; our note.) L layers of half-width w see exactly 2Lw + 1 positions.",
        precise=r"Position $i$ sees exactly $2Lw+1$ positions through $L$ layers, for every $i$ and $n$.",
        sources=(S0.at("Local Attention Windows"), S1.at("Local Attention")),
        scope="every n, w, L and i",
        uses=("sparsity.receptive-field",),
        unsaid="the position is at least Lw away from both ends of the sequence",
        corrected_by="sparsity.window-depth",
        holds=_sees_exactly,
        worked=_told_window,
    )
)
def window_depth_as_made() -> Iterator[Step]:
    place, offset = sp.Symbol("i", integer=True), sp.Symbol("o", integer=True, positive=True)
    yield Step((place + depth * w) + w, "=", place + (depth + 1) * w, "away from the ends one layer more adds w on the right")
    yield Step((place - depth * w) - w, "=", place - (depth + 1) * w, "and on the left")
    yield Step(sp.Sum(sp.S.One, (offset, 1, depth * w)) * 2 + 1, "=", 2 * depth * w + 1, "Lw positions on each side, and itself")


@derived(
    Claim(
        id="sparsity.window-depth",
        title="L layers of a window see the positions max(0, i − Lw) to min(n − 1, i + Lw), and no others",
        states="(Implied by local windows in layers; neither text speaks of depth.) What a position sees grows by a window with each layer, until the ends of the sequence cut it off.",
        precise=r"Through $L$ layers position $i$ sees exactly $\max(0,i-Lw),\dots,\min(n-1,i+Lw)$: at most $2Lw+1$ positions, that many away from the ends, and all of the sequence "
        r"exactly if $Lw$ reaches both ends. Induction: from a right end $e=\min(n-1,i+Lw)$ the next is $\min(n-1,e+w)$, and all between are seen.",
        sources=(S0.at("Local Attention Windows"), S1.at("Local Attention")),
        scope="every n, w, L and i; the steps are for the right end, the left one is its mirror image",
        inventory=("C078",),
        uses=("sparsity.receptive-field",),
        holds=_sees_clipped,
    )
)
def window_depth() -> Iterator[Step]:
    place = sp.Symbol("i", integer=True, nonnegative=True)
    last = place + depth * w - more  # n − 1 ≤ i + Lw: the sequence has ended
    yield Step(last, "<=", place + (depth + 1) * w, "where i + Lw is at or past the last position n − 1 = i + Lw − x, so is i + (L + 1)w", certificate=w + more)
    yield Step(
        (place + depth * (more + 1 + rest)) + (more + 1), "<=", place + (depth + 1) * (more + 1 + rest),
        "before the end: each of the w next positions i + Lw + x + 1 (w = x + 1 + y) is seen from i + Lw and is no further than i + (L + 1)w",
        certificate=rest,
    )  # fmt: skip
    yield Step(
        w, "<", (place + (depth + 1) * w + 1 + more) - (place + depth * w), "and a position beyond i + (L + 1)w is more than w away from all that L layers see",
        certificate=1 + more,
    )  # fmt: skip


def _windows_compared(length: int, reach: int) -> Outcome:
    """They differ exactly if the sequence is longer than w + 1; in whole blocks by w(w + 1) pairs; and blocks are closed at any depth."""
    fixed, sliding = pattern("fixed window", 2 * reach + 1, length), pattern("sliding window", reach, length)
    gained = length % (2 * reach + 1) != 0 or sum(map(len, fixed)) - sum(map(len, sliding)) == reach * (reach + 1)
    return exact.decided((fixed != sliding) == (length >= reach + 2) and gained and through(fixed, fixed) == fixed)


@derived(
    Claim(
        id="sparsity.fixed-and-sliding",
        title="Fixed and sliding windows differ as soon as n ≥ w + 2, in pairs and, above all, in depth",
        states="Variants of local attention: a fixed window, which attends to a fixed-size local window, and a sliding window, a moving window of attention.",
        reading="A fixed window is one that does not move: the sequence is cut into blocks, and all positions of a block see the block. A sliding window moves "
        "with the position. Both of the same size, 2w + 1. (The text says no more of the fixed window. Read like this it is the text's own 'Block-Sparse' variant, attention within "
        "predefined blocks; read as a window of fixed size around each position it would be the sliding window, and the two entries one.)",
        precise=r"For $b=2w+1$ and $n\ge w+2$ position 0 sees $w+1$ in its block and not in its window; for $n\le w+1$ both see everything. Blocks touch "
        r"$w(w+1)$ pairs more in $n=qb$ positions, $q\ge1$. Through any depth a block stays closed, since $\lfloor i/b\rfloor=\lfloor l/b\rfloor=\lfloor "
        r"j/b\rfloor$, while a window gains $w$ on each side with each "
        "layer.",
        sources=(S1.at("Local Attention"),),
        scope="every n ≥ 1, w ≥ 1",
        inventory=("C332",),
        uses=("sparsity.pairs-touched", "sparsity.window-depth"),
        holds=_windows_compared,
    )
)
def fixed_and_sliding() -> Iterator[Step]:
    count = 1 + whole  # blocks
    length = count * (2 * w + 1)
    at, klass = sp.symbols("x_1 B", integer=True, nonnegative=True)
    size = at + 1 + more  # of blocks
    yield Step(
        klass * size + at, "<", (klass + 1) * size,
        "a position x₁ of block B, x₁ < b = x₁ + 1 + x, lies before block B + 1: it sees positions of block number B alone, these see the same, and so at any depth",
        certificate=1 + more,
    )  # fmt: skip
    yield Step((w - more) - 0, "<=", w, "n ≤ w + 1: no two positions are more than w apart, nor outside the first block", certificate=more)
    yield Step(
        sp.Sum(sp.Sum(2 * w + 1, (i, 1, 2 * w + 1)), (j, 1, count)) - (length * (2 * w + 1) - w * (w + 1)),
        "=",
        w * (w + 1),
        "pairs of 1 + q blocks, less those of the sliding window",
    )
    yield Step(w + 1, "<=", 2 * w, "n ≥ w + 2: position w + 1 shares the first block, 0 to 2w, with position 0", certificate=w - 1)
    yield Step(w, "<", w + 1, "and is outside the sliding window of position 0: the two windows differ")


# --- blocks and representatives --------------------------------------------------------------------------------------------------------------


def _blocks_cost(count: int, size: int) -> Outcome:
    length = count * size
    touched = pairs("blocks and representatives", size, length)
    fewer = length**2 - touched == length * (count - 1) * (size - 1)
    return exact.decided(touched == length * (size + count - 1) and fewer and (touched + length) ** 2 >= 4 * length**3)


@derived(
    Claim(
        id="sparsity.blocks-and-representatives",
        title="Blocks of b with one representative each touch n(b + n/b − 1) pairs, at least 2n√n − n",
        states="Divide the sequence into blocks, attend within the block and to representative positions: a sparse pattern that reduces the cost.",
        reading="The representative is one position of each block, seen by all; n is a multiple of b.",
        precise=r"With $n=Mb$: $n(b+M-1)$ pairs, which is $n(M-1)(b-1)$ fewer than $n^2$, so fewer whenever there are two blocks or more of two positions or more; and at least "
        r"$2n\sqrt n-n$ whatever $b$ is, with equality at $b=\sqrt n$. For a fixed $b$ they are still quadratic in $n$.",
        sources=(S0.at("Block Sparse Attention"),),
        scope="every number of blocks M and block length b; whole blocks (a shorter last one in sparsity.pairs-touched); pairs, of which cost follows in sparsity.cost-follows-pairs",
        kind=Kind.COST,
        inventory=("C087",),
        uses=("sparsity.pairs-touched",),
        holds=_blocks_cost,
    )
)
def blocks_and_representatives() -> Iterator[Step]:
    length = blocks * block
    count = length * (block + blocks - 1)
    inside = sp.Sum(sp.Sum(block, (i, 1, block)), (j, 1, blocks))
    yield Step(inside + sp.Sum(blocks - 1, (i, 1, length)), "=", count, "b keys of the own block a row, and the representatives of the others")
    yield Step(length**2 - count, "=", length * (blocks - 1) * (block - 1), "fewer than n² by this much")
    yield Step(
        4 * length**3,
        "<=",
        (count + length) ** 2,
        "(pairs + n)² ≥ 4n³, that is pairs ≥ 2n√n − n, with equality for b = M",
        certificate=length**2 * (block - blocks) ** 2,
    )


def _two_hops(size: int, length: int) -> Outcome:
    rows = pattern("blocks and representatives", size, length)
    everything = frozenset(range(length))
    alone = pattern("fixed window", size, length)
    closed = through(alone, alone) == alone
    return exact.decided(closed and all(row == everything for row in through(rows, rows)))


@derived(
    Claim(
        id="sparsity.blocks-two-hops",
        title="With one representative a block, two layers join every two positions; blocks alone never join positions of different blocks",
        states="Local blocks attend within the block, global blocks to representative positions.",
        precise=r"Position $i$ sees the representative $\rho$ of $j$'s block, and $\rho$ sees $j$: $a_{i\rho}=a_{\rho j}=1$, a walk of two steps, so every output of two layers can depend on "
        "every token. Without representatives a position sees its own block only, at any depth.",
        sources=(S0.at("Block Sparse Attention"),),
        scope="every length and block length, a shorter last block included; representatives are the first positions of their blocks and see their own block",
        inventory=("C087",),
        uses=("sparsity.receptive-field",),
        holds=_two_hops,
    )
)
def blocks_two_hops() -> Iterator[Step]:
    klass, at, room = sp.symbols("B x_1 x", integer=True, nonnegative=True)
    size = at + 1 + room  # a position x_1 < b of block B
    first = klass * size
    apart = sp.Symbol("B'", integer=True, positive=True)
    yield Step(
        first + at,
        "<",
        (klass + apart) * size,
        "blocks alone: a later block begins after all positions of this one, and each step keeps the block",
        certificate=(apart - 1) * size + 1 + room,
    )
    yield Step(first, "<=", first + at, "the first position of j's block exists as soon as j does: it is seen by all", certificate=at)
    yield Step(first + at, "<", first + size, "and j = bB + x₁ is in the block that the representative bB sees", certificate=1 + room)
    others, one = sp.Sum(wide[i, l] * high[l, j], (l, 1, n)), sp.S.One
    yield Step(one, "<=", one + others, "so among the paths of two steps from i to j the one through the representative counts 1", certificate=others)
