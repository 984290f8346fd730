"""Attention over long sequences: what windows, global tokens, random keys and levels cost and can pass on; masks in generation; reachable patterns.

A pattern says which keys each query sees. Information flows from a key to the queries that see it, so patterns are directed graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from itertools import combinations, cycle, pairwise, product
from math import comb, isqrt

import sympy as sp
from flint import arb, arb_mat

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.cost import Operations
from theorems.exact import ball, decided
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S4, Source
from theorems.step import Step
from theorems.symbols import K, Q, V, a, d, e, i, j, k, l, n, p, r, t, total, v
from theorems.symbols import m as visible_keys

BELTAGY = Source(key="beltagy2020", title="Longformer: The Long-Document Transformer", url="https://arxiv.org/abs/2004.05150")
ZAHEER = Source(key="zaheer2020", title="Big Bird: Transformers for Longer Sequences", url="https://arxiv.org/abs/2007.14062")
HORN = Source(key="horn2012", title="Matrix Analysis, 2nd ed.", url="https://doi.org/10.1017/CBO9781139020411")
MOTWANI = Source(key="motwani1995", title="Randomized Algorithms", url="https://doi.org/10.1017/CBO9780511814075")
BROWN = Source(key="brown2020", title="Language Models are Few-Shot Learners", url="https://arxiv.org/abs/2005.14165")
MISTRAL = Source(key="jiang2023", title="Mistral 7B", url="https://arxiv.org/abs/2310.06825")
LLAMA = Source(key="grattafiori2024", title="The Llama 3 Herd of Models", url="https://arxiv.org/abs/2407.21783")

Mask = list[list[bool]]
Row = Sequence[int]
Fractions = list[list[Fraction]]

w, x, y, g = sp.symbols("w x y g", integer=True, positive=True)  # window reach to each side, slack, slack, global tokens
m = sp.Symbol("m", integer=True, positive=True)  # tokens that are not global
L = sp.Symbol("L", integer=True, positive=True)  # layers
D = sp.Symbol("D", integer=True, positive=True)  # dilation
free = sp.Symbol("s", integer=True, nonnegative=True)  # slack that may be zero
one, two = sp.symbols("i_2 j_2", integer=True, positive=True)  # positions that only count
A, B = sp.IndexedBase("A", nonnegative=True), sp.IndexedBase("B", nonnegative=True)  # weights of two layers
alpha, beta = sp.symbols("alpha beta", positive=True)


FROM_ZERO = "(The case counts places from 0; below they are counted from 1.)"


def box(tall: sp.Expr, wide: sp.Expr) -> sp.Expr:
    """The number of pairs of one of `tall` queries and one of `wide` keys, as a sum."""
    return sp.Sum(sp.Sum(sp.S.One, (two, 1, wide)), (one, 1, tall))


def pattern(length: int, reach: int, selected: Sequence[int] = (), drawn: Sequence[Sequence[int]] = (), *, read: bool = True) -> Mask:
    """Which keys each query sees: `reach` tokens to each side, all from a selected token, selected ones from everywhere (`read`), and the drawn ones."""
    rows = range(length)
    return [[abs(q - key) <= reach or q in selected or (read and key in selected) or (bool(drawn) and key in drawn[q]) for key in rows] for q in rows]


def pairs(mask: Mask) -> int:
    return sum(1 for row in mask for seen in row if seen)


def paths(mask: Mask, layers: int) -> Mask:
    """Whether information gets from a key to a query in `layers` layers: followed pair by pair."""
    known = [{place} for place in range(len(mask))]
    for _ in range(layers):
        known = [set().union(*(known[key] for key, seen in enumerate(row) if seen)) for row in mask]
    return [[key in row for key in range(len(mask))] for row in known]


def averaged(mask: Mask, layers: int) -> Fractions:
    """The Jacobian of layers in which each query takes the plain mean of the keys that it sees (all scores are 0)."""
    size = range(len(mask))
    layer = [[Fraction(int(seen), sum(row)) for seen in row] for row in mask]
    whole = [[Fraction(int(q == key)) for key in size] for q in size]
    for _ in range(layers):
        whole = [[sum((layer[q][mid] * whole[mid][key] for mid in size), Fraction(0)) for key in size] for q in size]
    return whole


def stacked(tokens: Sequence[int], weights: Sequence[tuple[int, int]], mask: Mask) -> list[arb]:
    """Layers x ← x + Att(x) on tokens of width 1 under the pattern; each layer has a (query·key, value) pair of weights."""
    state = [ball(token) for token in tokens]
    for score, value in weights:
        rows = exact.attention([[score * token] for token in state], [[token] for token in state], [[value * token] for token in state], visible=mask)
        state = [token + row[0] for token, row in zip(state, rows, strict=True)]
    return state


def full(length: int) -> Mask:
    return [[True] * length for _ in range(length)]


def causal(length: int) -> Mask:
    return [[key <= q for key in range(length)] for q in range(length)]


def replaced(tokens: Row, place: int, token: int) -> list[int]:
    return [token if at == place else old for at, old in enumerate(tokens)]


def reduced(rows: Sequence[Sequence[Fraction]]) -> tuple[list[list[Fraction]], list[int]]:
    """The non-zero rows of the reduced echelon form, and the columns of their leading ones."""
    left = [list(row) for row in rows]
    leading: list[int] = []
    for column in range(len(rows[0])):
        at = len(leading)
        pivot = next((row for row in range(at, len(left)) if left[row][column]), None)
        if pivot is None:
            continue
        left[at], left[pivot] = left[pivot], left[at]
        head = [entry / left[at][column] for entry in left[at]]
        left = [head if row == at else [entry - line[column] * first for entry, first in zip(line, head, strict=True)] for row, line in enumerate(left)]
        leading.append(column)
    return left[: len(leading)], leading


def rank(rows: Sequence[Sequence[Fraction]]) -> int:
    return len(reduced(rows)[1])


# --- Longformer ---------------------------------------------------------------------------------------------------------------------------


def _window_and_globals() -> Iterator[Step]:
    yield Step(
        box(g, g + m) + box(m, g), "=", 2 * g * (g + m) - g**2, "g rows and g columns of n = g + m tokens; the pairs of two global tokens are in both"
    )  # fmt: skip

    def band(size: sp.Expr) -> sp.Expr:
        return size * (2 * w + 1) - w * (w + 1)

    yield Step(band(w), "=", w**2, "among m = w other tokens every pair is within reach w")
    once = sp.Sum(sp.S.One, (two, 1, w))
    yield Step(band(m) + once + once + 1, "=", band(m + 1), "one more token sees itself and w before it, and these w see it: induction on m ≥ w")


def _bounded_globals() -> Iterator[Step]:
    yield from _window_and_globals()
    wide, tokens = 1 + free, g + m
    yield Step(
        2 * g * tokens - g**2 + m * (2 * wide + 1),
        "<=",
        tokens * (3 * wide + 2 * g),
        "wherever the global tokens stand, another one sees at most 2w + 1 of the others (w = 1 + s): at most (3 + 2γ)nw pairs if g ≤ γw",
        certificate=sp.expand(tokens * (3 * wide + 2 * g) - 2 * g * tokens + g**2 - m * (2 * wide + 1)),
    )


def _pairs_within(length: int, reach: int, selected: Sequence[int], factor: int) -> Outcome:
    return decided(pairs(pattern(length, reach, selected, read=False)) <= factor * length * reach)


def _pairs_of_longformer(length: int, reach: int, selected: Sequence[int], factor: int) -> Outcome:
    """The exact count with the global tokens in front, the bound with them anywhere, and the factor 3 + 2γ with γ the given one or more."""
    chosen, count = len(selected), pairs(pattern(length, reach, selected))
    bound = 2 * chosen * length - chosen**2 + (length - chosen) * (2 * reach + 1)
    ratio = max(factor, -(-chosen // reach))
    outcome = pairs(pattern(length, reach, selected, read=False)) <= count <= bound and count <= (3 + 2 * ratio) * length * reach
    if length - chosen >= reach:
        outcome = outcome and pairs(pattern(length, reach, range(chosen))) == bound - reach * (reach + 1)
    return decided(outcome)


def _pairs_by_hand(length: int, reach: int, selected: Sequence[int], factor: int) -> str:
    count = pairs(pattern(length, reach, selected, read=False))
    return (
        f"{FROM_ZERO} n = {length}, w = {reach}; selected are the tokens {[place + 1 for place in selected]}, {len(selected)} of {length}. Each of these sees all {length} tokens, every "
        f"other one (if any) those within {reach}. That is {count} pairs, more than {factor}·n·w = {factor * length * reach}. With all tokens selected there are n² pairs, "
        "and n² > c·n·w as soon as n > c·w, whatever c is; the statement needs one c for all lengths."
    )


def _unbounded_and_bounded() -> Iterator[Step]:
    factor = sp.Symbol("c", integer=True, positive=True)
    size = factor * w + x
    yield Step(
        factor * size * w, "<", box(size, size), "if all n tokens are selected, n² pairs exceed any multiple c of nw at n = cw + x", certificate=size * x
    )
    yield from _bounded_globals()


longformer_cost_as_made = derived(
    Claim(
        id="long_range.longformer-cost-as-made",
        title="Longformer attention costs O(n·w)",
        states="A sliding window with selected tokens that attend to all positions has complexity O(n × w), where w is the window size.",
        reading="Some fixed multiple of n·w bounds the number of pairs of a query and a key for every choice of selected tokens. The text gives this pattern one size, the window's; it says nothing "
        "of how many tokens are selected, so their number is not a constant here. (Of BigBird it names r, w and g: there they are, long_range.bigbird-cost.)",
        precise=r"With $w \ge 1$ tokens to each side and $g$ selected tokens: at most $n(3w + 2g) \le (3 + 2\gamma)\,n w$ pairs if $g \le \gamma w$ (written "
        r"with $w = 1 + s$ and "
        r"$m = n - g$); but $n^2$ pairs if all are selected, more than $c\,nw$ for every $c$.",
        sources=(S1.at("Longformer Attention"), BELTAGY.at("section 3.1")),
        scope="every n, w ≥ 1 and choice of tokens. What is counted is pairs; for fixed widths the time is proportional to them. The derivation has 0 < g < n: "
        "with g = 0 the band alone has at most n(2w + 1) pairs, and with g = n all n² pairs are there",
        kind=Kind.COST,
        inventory=("C091",),
        unsaid="the number of selected tokens does not grow with n (or no faster than w)",
        corrected_by="long_range.longformer-cost",
        holds=_pairs_within,
        worked=_pairs_by_hand,
    )
)(_unbounded_and_bounded)


@derived(
    Claim(
        id="long_range.longformer-cost",
        title="A window of w to each side and g global rows and columns are n(2w + 1 + 2g) pairs, less what counts twice and what falls off the ends",
        states="(Not in the text; the corrected form of long_range.longformer-cost-as-made.) How many pairs Longformer's pattern has.",
        precise=r"With the $g$ global tokens in front and $n - g \ge w$: exactly $2gn - g^2 + (n-g)(2w+1) - w(w+1)$ pairs. Wherever they stand: at most "
        r"$2gn - g^2 + (n-g)(2w+1) \le n(3w + 2g)$, for $w \ge 1$. In the derivation $m = n - g$, and $w = 1 + s$ in the bound.",
        sources=(S1.at("Longformer Attention"), BELTAGY.at("section 3.1")),
        scope="every n, w ≥ 1 and g; global tokens see all and are seen by all. One-way global tokens are fewer pairs. The derivation has 0 < g < n: g = 0 is "
        "the band alone, g = n is all pairs",
        kind=Kind.COST,
        inventory=("C091",),
        holds=_pairs_of_longformer,
    )
)
def longformer_cost() -> Iterator[Step]:
    yield from _bounded_globals()
    yield Step(
        box(g, g + m) + box(m, g) + m * (2 * w + 1) - w * (w + 1),
        "=",
        2 * g * (g + m) - g**2 + m * (2 * w + 1) - w * (w + 1),
        "global pairs, and the band among the others",
    )


def _dilated(length: int, reach: int, dilation: int) -> Mask:
    """Longformer's dilated window: `reach` keys to each side, every `dilation`-th."""
    return [[abs(q - key) <= reach * dilation and (q - key) % dilation == 0 for key in range(length)] for q in range(length)]


def _gaps(length: int, reach: int, dilation: int, place: int) -> list[int]:
    """The gaps between neighbouring keys to the right of query `place`, from near to far."""
    seen = [key for key, visible in enumerate(_dilated(length, reach, dilation)[place]) if visible and key >= place]
    return [far - near for near, far in pairwise(seen)]


def _gaps_increase(length: int, reach: int, dilation: int, place: int) -> Outcome:
    gaps = _gaps(length, reach, dilation, place % length)
    return decided(all(near < far for near, far in pairwise(gaps)))


def _gaps_are_constant(length: int, reach: int, dilation: int, place: int) -> Outcome:
    here = place % length
    ahead = (length - 1 - here) // dilation
    far = [max(key for key, seen in enumerate(paths(_dilated(length, reach, dilation), layers)[here]) if seen) - here for layers in (1, 2, 3)]
    return decided(
        _gaps(length, reach, dilation, here) == [dilation] * min(reach, ahead) and far == [dilation * min(layers * reach, ahead) for layers in (1, 2, 3)]
    )


def _gaps_by_hand(length: int, reach: int, dilation: int, place: int) -> str:
    here = place % length
    seen = [key + 1 for key, visible in enumerate(_dilated(length, reach, dilation)[here]) if visible and key >= here]
    return (
        f"{FROM_ZERO} n = {length}, dilation {dilation}, {reach} keys to each side: from itself to the right, the query at {here + 1} sees the positions {seen}. The gaps are "
        f"{_gaps(length, reach, dilation, here)}; they do not increase, as each would have to be larger than the one before."
    )


def _neighbours() -> Iterator[Step]:
    yield Step((i + D * (t + 1)) - (i + D * t), "=", D, "two neighbouring keys are D apart, whatever t is")


increasing_gaps = derived(
    Claim(
        id="long_range.increasing-gaps",
        title="In Longformer's dilated window the gaps between attended positions increase with distance",
        states="Dilated sliding window: the gaps between attended positions increase with distance.",
        reading="Going away from the query, each gap between neighbouring attended positions is larger than the one before, in the mechanism that the section is "
        "about: the text gives the sentence as a description of Longformer's component. (As a wish for another pattern it would say nothing that can be false.)",
        precise=r"For keys $j_0 < j_1 < j_2 < \dots$ that query $j_0$ sees: $j_{t+1} - j_t < j_{t+2} - j_{t+1}$. False at every distance: both sides are the dilation $D$.",
        sources=(S1.at("Longformer Attention"), BELTAGY.at("section 3.1")),
        scope="the dilated sliding window of the paper: one dilation in a head (it may differ from head to head and from layer to layer)",
        inventory=("C092",),
        holds=_gaps_increase,
        worked=_gaps_by_hand,
        corrected_by="long_range.constant-gaps",
    )
)(_neighbours)


@derived(
    Claim(
        id="long_range.constant-gaps",
        title="In Longformer's dilated window every gap is the dilation, and L layers reach L·D·w positions to each side",
        states="(Not in the text; the corrected form of long_range.increasing-gaps.) The gaps are constant. Gaps that grow with distance belong to another pattern, with offsets 1, 2, 4, 8, …",
        precise=r"Query $i$ sees $i + Dt$, $|t| \le w$: neighbours are $D$ apart at every distance, the farthest is at $Dw$, and $L$ layers of one dilation "
        r"reach $LDw$.",
        sources=(S1.at("Longformer Attention"), BELTAGY.at("section 3.1")),
        scope="every dilation D ≥ 1, w, L; positions off the ends are left out",
        inventory=("C092",),
        holds=_gaps_are_constant,
    )
)
def constant_gaps() -> Iterator[Step]:
    farther = i + L * D * w + x
    yield Step(farther - D * w - i, "=", (L - 1) * D * w + x, "what lies beyond the reach of L layers lies, one step nearer, beyond that of L − 1: induction")
    yield Step((i + L * D * w) + D * w - i, "=", (L + 1) * D * w, "and a step of Dw more is there for one more layer")
    yield from _neighbours()


# --- global tokens ------------------------------------------------------------------------------------------------------------------------


def _mixes(length: int, reach: int, selected: Sequence[int], layers: int) -> Outcome:
    return decided(all(map(all, paths(pattern(length, reach, selected, read=False), layers))))


def _mixes_both_ways(length: int, reach: int, selected: Sequence[int], layers: int) -> Outcome:
    """Seen from everywhere as well, two layers are enough; one is only where no pair is missing."""
    mask = pattern(length, reach, selected)
    jacobian = averaged(mask, layers)
    return decided(all(entry > 0 for row in jacobian for entry in row) and (paths(mask, 1) == mask))


def _mixing_by_hand(length: int, reach: int, selected: Sequence[int], layers: int) -> str:
    known = paths(pattern(length, reach, selected, read=False), layers)
    q, key = next((q, key) for q in range(length) for key in range(length) if not known[q][key])
    return (
        f"{FROM_ZERO} n = {length}, w = {reach}, {layers} layers; the selected tokens are {[place + 1 for place in selected]}. Token {q + 1} sees only tokens within {reach} "
        f"of it; after {layers} layers it knows of the tokens {[at + 1 for at, got in enumerate(known[q]) if got]} and not of token {key + 1}. A selected token does know "
        f"of all, but no token farther than {reach} from it reads it. The statement would need every token to know of every other."
    )


def _through_one_token(also: bool) -> sp.Expr:
    """Σ_k A_ik B_kj with weights α and β to and from the token at l, which the other terms leave out."""
    at = sp.KroneckerDelta(j, l)
    rest = (1 - at) * A[j] * B[j]
    return total((at * alpha + (1 - at) * A[j]) * (at * beta + (1 - at) * B[j]), j) if also else total(rest, j)


def _two_layers() -> Iterator[Step]:
    yield Step(
        alpha * beta,
        "<=",
        _through_one_token(True),
        "of all paths through a token between, keep the one by the global token",
        certificate=_through_one_token(False),
    )
    yield Step(
        sp.S.Zero, "<", _through_one_token(True), "so each output depends on each input after two layers: with equal scores, this is the derivative",
        certificate=alpha * beta + _through_one_token(False),
    )  # fmt: skip


global_mixing = derived(
    Claim(
        id="long_range.global-mixing",
        title="Selected tokens that attend to all positions mix information globally",
        states="(Implied.) Beside a window there is global attention, in which selected tokens attend to all positions: through them every token can depend on every other.",
        reading='The text names the component and not what it is for. Judged is whether the words "attend to all positions" are enough for it: in a fixed number of layers (two or more), whatever the length, '
        "every token can depend on every token. Attending is reading; nothing is said of who attends to the selected tokens.",
        precise=r"If every token attends to the selected token $l$ as well, then $\sum_k A_{ik}B_{kj} \ge A_{il}B_{lj} = \alpha\beta > 0$ for two layers' "
        r"weights $A$, $B$.",
        sources=(S1.at("Longformer Attention"), S1.at("BigBird Attention"), BELTAGY.at("section 3.1")),
        scope="every length, every window, one selected token or more",
        inventory=("C093",),
        unsaid="every token attends to the selected tokens too (as in the papers)",
        corrected_by="long_range.global-both-ways",
        holds=_mixes,
        worked=_mixing_by_hand,
    )
)(_two_layers)

global_both_ways = derived(
    Claim(
        id="long_range.global-both-ways",
        title="With a token that sees all and is seen by all, two layers connect every pair",
        states="(Not in the text; the corrected form of long_range.global-mixing.) Global tokens need both directions.",
        precise=r"$\sum_k A_{ik}B_{kj} \ge A_{il}B_{lj} = \alpha\beta > 0$ for all $i, j$ and a global token $l$: the graph has diameter at most 2, "
        r"and exactly 2 if any pair is missing from the pattern. Written with $A_k, B_k \ge 0$ for the other tokens $k$ between.",
        sources=(S1.at("Longformer Attention"), S1.at("BigBird Attention"), BELTAGY.at("section 3.1")),
        scope="every length, every further pattern, one global token or more; weights of softmax, all positive within the pattern",
        inventory=("C093",),
        holds=_mixes_both_ways,
    )
)(_two_layers)


def _known_to(length: int, reach: int, selected: Sequence[int], layers: int) -> Outcome:
    known = paths(pattern(length, reach, selected, read=False), layers)

    def should(q: int, key: int) -> bool:
        return abs(q - key) <= layers * reach or any(abs(q - place) <= (layers - 1) * reach for place in selected)

    return decided(all(known[q][key] == should(q, key) for q in range(length) for key in range(length)))


@derived(
    Claim(
        id="long_range.readers-alone",
        title="What selected tokens read reaches another token only through windows: one layer to read, and one for every w positions",
        states="(Not in the text; it follows from its pattern, read word for word.) How far global tokens mix that read all and are read by their window only.",
        precise=r"If selected tokens attend to all but only windows of $w$ attend to them, token $i$ can depend on token $j$ after $L$ layers exactly if "
        r"$|i-j| \le Lw$ "
        r"or some selected $p$ has $|i-p| \le (L-1)w$. By induction on $L$; $i > p$ and $i > j$ are written out, with keys $i - t$, $w = t + s$.",
        sources=(S1.at("Longformer Attention"),),
        scope="every length, window, choice of tokens, and depth L ≥ 1",
        inventory=("C093",),
        holds=_known_to,
    )
)
def readers_alone() -> Iterator[Step]:
    step = sp.Symbol("t", integer=True, nonnegative=True)
    reach = step + free
    place = sp.Symbol("p", integer=True, positive=True)  # of a selected token, or of the token to be known
    yield Step(
        L * reach, "<", (place + (L + 1) * reach + x - step) - place, "a token farther than (L + 1)w from j sees only tokens farther than Lw from j",
        certificate=x + free,
    )  # fmt: skip
    yield Step(
        (place + L * reach - y) - reach - place, "<=", (L - 1) * reach, "and one within Lw of p sees one within (L − 1)w of p, if it is not p itself",
        certificate=y,
    )  # fmt: skip
    yield Step(
        (L - 1) * reach, "<", (place + L * reach + x - step) - place, "a token farther than Lw from p sees only tokens farther than (L − 1)w from p",
        certificate=x + free,
    )  # fmt: skip


# --- BigBird ------------------------------------------------------------------------------------------------------------------------------


def _draw(mask: Mask, count: int, start: int) -> list[list[int]]:
    """For each query up to `count` keys that it does not see yet, from `start` on."""
    size = len(mask)
    turned = [[(start + place + q * q) % size for place in range(size)] for q in range(size)]
    return [[key for key in order if not mask[q][key]][:count] for q, order in enumerate(turned)]


def _pairs_of_bigbird(length: int, reach: int, globals_: int, count: int, start: int) -> Outcome:
    chosen = min(globals_, length)
    mask = pattern(length, reach, range(chosen))
    number = pairs(pattern(length, reach, range(chosen), _draw(mask, count, start)))
    slope, others = 2 * chosen + 2 * reach + 1 + count, length - chosen
    outcome = number <= slope * length and (length <= slope or number < length**2)
    if others >= max(reach, 2 * reach + 1 + count):
        outcome = outcome and number == slope * length - chosen**2 - chosen * (2 * reach + 1 + count) - reach * (reach + 1)
    return decided(outcome)


@derived(
    Claim(
        id="long_range.bigbird-cost",
        title="Random keys, a window and global tokens are linearly many pairs",
        states="The pattern combines r random keys for each token, a sliding window, and g tokens that attend to all positions: sparse attention.",
        reading="The text names r, w and g as sizes of the pattern, so they are fixed numbers. A window of size 2w + 1; random keys that are not seen already; global tokens in both directions (the "
        "larger count).",
        precise=r"$2gn - g^2 + (n-g)(2w+1) - w(w+1) + r(n-g) = (2g + 2w + 1 + r)\,n - g^2 - g(2w+1+r) - w(w+1)$ pairs: fewer than $n^2$ as soon as $n > "
        r"2g+2w+1+r$.",
        sources=(S1.at("BigBird Attention"), S1.at("Sparse Attention Mechanisms"), ZAHEER.at("section 2")),
        scope="every g, w, r and every n with n − g ≥ 2w + 1 + r; with fewer tokens, or global tokens elsewhere, at most (2g + 2w + 1 + r)n. In the derivation "
        "m = n − g",
        kind=Kind.COST,
        inventory=("C094",),
        uses=("long_range.longformer-cost",),
        holds=_pairs_of_bigbird,
    )
)
def bigbird_cost() -> Iterator[Step]:
    yield from _window_and_globals()
    slope = 2 * g + 2 * w + 1 + r
    yield Step(slope * (slope + x), "<", (slope + x) ** 2, "n = 2g + 2w + 1 + r + x tokens have n² pairs in all", certificate=x * (slope + x))
    yield Step(
        box(g, g + m) + box(m, g) + m * (2 * w + 1) - w * (w + 1) + box(m, r),
        "=",
        slope * (g + m) - g**2 - g * (2 * w + 1 + r) - w * (w + 1),
        "r more keys for each token that is not global: linear in n = g + m",
    )


# --- what a sparse pattern can express ----------------------------------------------------------------------------------------------------


def _bigbird_mask(size: int, reach: int, selected: int, random: int) -> Mask:
    near = pattern(size, reach, [selected % size])
    return pattern(size, reach, [selected % size], _draw(near, random, 1))


def _layer_for_layer(tokens: Row, reach: int, selected: int, random: int, place: int, key: int, token: int, weights: tuple[int, int]) -> Outcome:
    """If full attention's output at `place` tells the two inputs apart, so does that of one layer with the pattern."""
    mask, q, at = _bigbird_mask(len(tokens), reach, selected, random), place % len(tokens), key % len(tokens)
    other = replaced(tokens, at, token)
    if not bool((stacked(tokens, [weights], full(len(tokens)))[q] - stacked(other, [weights], full(len(tokens)))[q]) != 0):
        return Outcome.HELD
    if all(tokens[seen] == other[seen] for seen in range(len(tokens)) if mask[q][seen]):
        return Outcome.REFUTED  # whatever its weights are, the layer is given the same keys, values and query twice
    return Outcome.HELD


def _simulated(tokens: Row, reach: int, selected: int, random: int, place: int, key: int, token: int, weights: tuple[int, int]) -> Outcome:
    """Two layers of plain means hand every token the whole input, of which a map of its own can then compute anything."""
    size = range(len(tokens))
    inputs = replaced(tokens, key % len(tokens), token)
    mask, hub = _bigbird_mask(len(tokens), reach, selected, random), selected % len(tokens)
    means = averaged(mask, 1)
    gathered = [len(tokens) * sum(means[hub][at] * (inputs[at] if at == slot else 0) for at in size) for slot in size]
    state = [gathered if at == hub else [Fraction(0)] * len(tokens) for at in size]  # the other tokens clear their slots
    handed = [[sum(mask[q]) * sum(means[q][at] * state[at][slot] for at in size) for slot in size] for q in size]
    return decided(handed == [inputs for _ in size])


def _layer_by_hand(tokens: Row, reach: int, selected: int, random: int, place: int, key: int, token: int, weights: tuple[int, int]) -> str:
    size = len(tokens)
    mask, q, at = _bigbird_mask(size, reach, selected, random), place % size, key % size
    other = replaced(tokens, at, token)
    before, after = (stacked(inputs, [weights], full(size))[q] for inputs in (tokens, other))
    return (
        f"{FROM_ZERO} Tokens {list(tokens)} and {other}; scores are {weights[0]}·x_i·x_j, values {weights[1]}·x_j. Full attention gives token {q + 1} "
        f"(with the residual) {exact.show(before)} and {exact.show(after)}. In the pattern (window {reach} to each side, global token {selected % size + 1}, "
        f"random keys for each token: {random}) token {q + 1} sees the tokens {[seen + 1 for seen in range(size) if mask[q][seen]]}, which are the same in both. So one layer with the pattern "
        "gives the same output twice, whatever its weights are, and cannot give full attention's two."
    )


def _hand_over() -> Iterator[Step]:
    gathered = total(sp.KroneckerDelta(j, k) * V[j, e] / n, j)
    yield Step(
        n * gathered, "=", V[k, e], "first layer: token j holds its own vector in slot j, and the global token takes the mean over all n tokens, times n"
    )
    handed = total(sp.KroneckerDelta(t, r) * (n * gathered) / visible_keys, t)
    yield Step(
        visible_keys * handed, "=", V[k, e],
        "second layer: each token takes the mean over the m keys that it sees; only the global one, r, has anything in these slots; times m",
    )  # fmt: skip


expressive_as_made = derived(
    Claim(
        id="long_range.bigbird-as-expressive",
        title="BigBird attention maintains the expressiveness of full attention",
        states="Theoretical guarantee: random, window and global attention together maintain the expressiveness of full attention.",
        reading="The result of the literature stands: networks of enough such layers approximate every continuous function of bounded inputs, as networks of "
        "full attention do. What fails is only the reading layer for layer, which the words leave open: whatever one layer of full attention computes, one "
        "layer with the pattern computes.",
        precise=r"With a further layer, and slots for all $n$ tokens in the state, $m\sum_t \delta_{tr}\,\frac1m\,\bigl(n\sum_j \delta_{jk}\,\frac1n V_j\bigr) "
        r"= V_k$: every "
        r"token has the whole input, and a position-wise map of its own can compute whatever full attention computes there.",
        sources=(S1.at("BigBird Attention"), ZAHEER.at("section 3")),
        scope="self-attention, every length, pattern with one global token or more, in both directions",
        inventory=("C095",),
        unsaid="more layers may stand for one: two, with a state that grows with the length and position-wise maps that know the position; or, by the paper's "
        "theorem, enough layers of a fixed width, for approximation",
        corrected_by="long_range.two-layers-hand-over",
        holds=_layer_for_layer,
        worked=_layer_by_hand,
    )
)(_hand_over)

two_layers_hand_over = derived(
    Claim(
        id="long_range.two-layers-hand-over",
        title="With a global token and a state of n slots, two layers give every token the whole input",
        states="(Not in the text; the strongest form near long_range.bigbird-as-expressive.) What a sparse pattern with a global token can still express, and at what price.",
        precise=r"$m\sum_t \delta_{tr}\,\frac1m\,\bigl(n\sum_j \delta_{jk}\,\frac1n V_{j}\bigr) = V_{k}$ for every $k$, at every token that sees $m$ keys, the "
        r"global token $r$ among them: all scores 0, token $j$'s vector in slot $j$ of $n$. What follows is a function of the whole input at each position, "
        r"full attention for one. The state is $n$ times as wide. With windows and global tokens alone, at a fixed depth and width, differentiable layers "
        r"cannot compute full attention for long inputs: long_range.bottleneck.",
        sources=(S1.at("BigBird Attention"), ZAHEER.at("section 3")),
        scope="every n, every pattern with a token that sees all and is seen by all; real arithmetic, position-wise maps that know the position between the "
        "layers. Approximation by layers of a fixed width and any depth is the paper's theorem, and is not proved here",
        inventory=("C095",),
        holds=_simulated,
    )
)(_hand_over)


def _crossing(left: int, right: int, reach: int, globals_: int, layers: int, numbers: Sequence[int]) -> int:
    """The rank of what passes from global and left tokens to right ones, through layers of fixed weights: exact."""
    size = globals_ + left + right
    entries = cycle(numbers)
    whole = [[Fraction(int(q == key)) for key in range(size)] for q in range(size)]
    near = pattern(size - globals_, reach)
    for _ in range(layers):
        layer = [
            [next(entries) if min(q, key) < globals_ or near[q - globals_][key - globals_] else 0 for key in range(size)] for q in range(size)
        ]  # fmt: skip
        whole = [[sum((row[mid] * whole[mid][key] for mid in range(size)), Fraction(0)) for key in range(size)] for row in layer]
    return rank([row[: globals_ + left] for row in whole[globals_ + left :]])


def _bottleneck(left: int, more: int, reach: int, globals_: int, layers: int, numbers: Sequence[int]) -> Outcome:
    """The pattern's rank against L(w + g), and full attention's block from the left keys to as many right queries, which is invertible."""
    right = left + more
    others = right + globals_
    sharp = others + left  # e^(−β) below 1/(2N)
    keys = [(2 * sharp * place, -sharp * place * place) for place in range(1, left + others + 1)]
    rows = [exact.softmax(row)[:left] for row in exact.scores([(place, 1) for place in range(1, left + 1)], keys)]
    own = [row[place] for place, row in enumerate(rows)]
    inverse = arb_mat(rows).det() != 0
    return decided(
        _crossing(left, right, reach, globals_, layers, numbers) <= layers * (reach + globals_)
        and all(bool(2 * weight > 1) for weight in own)
        and bool(inverse)
    )


@derived(
    Claim(
        id="long_range.bottleneck",
        title="At a fixed depth and width, differentiable layers of windows and global tokens alone cannot compute one layer of full attention for long inputs",
        states="(Not in the texts, which say that sparse patterns maintain modelling power, or expressiveness.) What windows and global tokens alone give up.",
        reading="Windows without gaps, and global tokens. Not covered are patterns with more to them: random keys (and so BigBird's), strides, dilated windows, and blocks with a number of representatives that grows with the length.",
        precise=r"Cut the other tokens in two, the right part at least as large as the left. The right part reads at most $w + g$ tokens outside it in a "
        r"layer, so its outputs depend on the rest through $M \le L(w+g)D$ numbers ($L$ layers of width $D$), and the Jacobian, $\sum_{k\le M} A_{ik}B_{kj}$, "
        r"vanishes on some $z \ne 0$ if $M$ is less than the number of left tokens. (This is cited and not proved here: fewer equations than unknowns, $Bz = 0$, have a solution $z \ne 0$, as rank and nullity add up to the number of unknowns.) Give full attention, from as many right queries to the "
        r"left keys, the scores of low_rank.two-features, so that each of these queries has more than half of its weight on a left key of its own. Where $|z_i| = 1$ is the largest entry, "
        r"$|(Pz)_i| \ge 2p_{ii} - 1 > 0$, so the Jacobian of full attention in the values does not vanish on $z$. Written with $z_j = y_j - 1$, $y_j \ge 0$, and $\rho$ for the exponentials of the "
        r"keys that are not on the left.",
        sources=(S1.at("Longformer Attention"), S1.at("BigBird Attention"), S0.at("Motivation"), HORN.at("Section 0.2.3"), ZAHEER.at("section 3.4")),
        scope="every n, w, g, L, D; differentiable layers, windows without gaps and global tokens in both directions, nothing else. The two features of the scores may be functions "
        "of the position",
        inventory=("C095", "C076"),
        uses=("low_rank.two-features",),
        holds=_bottleneck,
    )
)
def bottleneck() -> Iterator[Step]:
    passed = sp.Symbol("M", integer=True, positive=True)
    number = sp.Symbol("c", integer=True, positive=True)
    z, above = sp.IndexedBase("z", real=True), sp.IndexedBase("y", nonnegative=True)
    out, into = sp.IndexedBase("A", real=True), sp.IndexedBase("B", real=True)
    cut, back, beyond = sp.Symbol("c", integer=True, positive=True), sp.Symbol("t", integer=True, positive=True), sp.Symbol("x", integer=True, nonnegative=True)
    yield Step(
        cut - (back + free) + 1, "<=", cut + 1 + beyond - back,
        "a token right of the cut at c, at c + 1 + x, sees tokens t ≤ w before it (w = t + s): outside its part, only the w next to the cut",
        certificate=beyond + free,
    )  # fmt: skip
    yield Step(
        sp.Sum(sp.S.One, (two, 1, w)) + sp.Sum(sp.S.One, (one, 1, g)), "=", w + g, "these and the global tokens are all that the part reads outside itself"
    )
    yield Step(
        total(sp.Sum(out[i, number] * into[number, j], (number, 1, passed)) * z[j], j),
        "=",
        sp.Sum(out[i, number] * total(into[number, j] * z[j], j), (number, 1, passed)),
        "by the chain rule; where all M sums Bz vanish, so does the Jacobian's product with z",
    )
    sharp = sp.UnevaluatedExpr(-sp.log(2 * n))
    yield Step(
        2 / (1 + n * sp.exp(sharp)) - 1, "=", sp.Rational(1, 3), "full attention: 2p_ii − 1 is at least this for N = n other keys and β = log(2N) (low_rank.two-features)"
    )  # fmt: skip
    apart, rest = 1 - sp.KroneckerDelta(i, j), sp.Symbol("rho", nonnegative=True)
    mass = total(p[l], l) + rest
    own, entry = p[i] / mass, above[j] - 1
    yield Step(
        2 * own - 1,
        "<=",
        own + total(apart * p[j] / mass * entry, j),
        "and at the i where z is largest in size, scaled to z_i = 1, its Jacobian's product with z is at least 2p_ii − 1: the other entries are at least −1",
        certificate=total(apart * p[j] / mass * above[j], j) + rest / mass,
    )


# --- random keys --------------------------------------------------------------------------------------------------------------------------


@cache
def all_read(length: int, draws: int) -> Fraction:
    """The probability that each key is read by someone, where each query draws that many distinct keys: by inclusion and exclusion."""
    ways = comb(length, draws)
    return sum(
        (Fraction((-1) ** unread * comb(length, unread) * comb(length - unread, draws) ** length, ways**length) for unread in range(length + 1)), Fraction(0)
    )


@cache
def enumerated(length: int, draws: int) -> tuple[Fraction, Fraction]:
    """The expected number of unread keys, and the probability that there is none: over every outcome."""
    outcomes = list(product(combinations(range(length), draws), repeat=length))
    unread = [length - len(set().union(*outcome)) for outcome in outcomes]
    return Fraction(sum(unread), len(outcomes)), Fraction(unread.count(0), len(outcomes))


def _expected_unread(length: int, draws: int) -> Fraction:
    return length * Fraction(length - draws, length) ** length


def _likely_all_read(length: int, draws: int) -> Outcome:
    return decided(all_read(length, min(draws, length)) >= Fraction(1, 2))


def _unread_as_said(length: int, draws: int) -> Outcome:
    """The bounds from both sides; and, where the outcomes are few enough to list, the expected number itself."""
    taken = min(draws, length)
    mean, chance = _expected_unread(length, taken), all_read(length, taken)
    listed = comb(length, taken) ** length > 4000 or enumerated(length, taken) == (mean, chance)
    return decided(listed and 1 - mean <= chance <= 1 / (1 + mean))


def _unread_by_hand(length: int, draws: int) -> str:
    ways = [Fraction(comb(length - unread, draws), comb(length, draws)) for unread in range(length + 1)]  # that one query leaves as many given keys out
    terms = " ".join(f"{'−' if unread % 2 else '+'} {comb(length, unread)}·({way})^{length}" for unread, way in enumerate(ways) if unread and way)
    return (
        f"n = {length}, r = {draws}: a given query leaves a given key out with probability {ways[1]}, so that nobody reads the key with "
        f"probability ({ways[1]})^{length}, and {length}·({ways[1]})^{length} = {exact.show(ball(_expected_unread(length, draws)))} keys are unread on average. By inclusion and exclusion, "
        f"every key is read with probability 1 {terms} = {all_read(length, draws)}, less than one half. As n grows with r fixed, the probability falls towards 0, "
        "as it is at most 1/(1 + n e^(−2r)) for n ≥ 2r."
    )


def _enough() -> Iterator[Step]:
    part, less, level = sp.Symbol("t", positive=True), sp.Symbol("s", nonnegative=True), sp.Symbol("delta", positive=True)
    keys, above = sp.Symbol("r", positive=True), sp.Symbol("x", nonnegative=True)
    yield Step(
        sp.Derivative(sp.exp(-part) - 1 + part, part), "=", 1 - sp.exp(-part), "with t = r/n: e^(−t) − (1 − t) is 0 at t = 0, and this is its slope",
    )  # fmt: skip
    yield Step(
        sp.S.Zero, "<", 1 - sp.exp(-part), "which is positive, so 1 − t is less than e^(−t): a query misses a key with probability 1 − r/n = e^(−r/n − s)",
    )  # fmt: skip
    yield Step(
        sp.exp(-keys - n * less), "<=", sp.exp(-keys), "n queries miss it with probability e^(−r − ns)", certificate=sp.exp(-keys) * (1 - sp.exp(-n * less))
    )  # fmt: skip
    enough = sp.log(n / level) + above
    yield Step(
        n * sp.exp(sp.UnevaluatedExpr(-enough)),
        "<=",
        level,
        "n keys at r = log(n/δ) + x: some key is unread with probability at most δ",
        certificate=level * (1 - sp.exp(-above)),
    )


def _often_unread() -> Iterator[Step]:
    z, less, level = sp.Symbol("z", positive=True), sp.Symbol("s", nonnegative=True), sp.Symbol("delta", positive=True)
    yield Step(sp.Derivative(sp.exp(z) - 1 - z, z), "=", sp.exp(z) - 1, "with z = r/(n − r): e^z − (1 + z) is 0 at z = 0, and this is its slope")
    yield Step(sp.S.Zero, "<", sp.exp(z) - 1, "which is positive, so n/(n − r) = 1 + z is less than e^z")
    yield Step(
        sp.exp(-n * z), "<=", sp.exp(-n * (z - less)), "with n/(n − r) = e^(z − s): a key is unread with probability ((n − r)/n)^n, at least e^(−nz)",
        certificate=sp.exp(-n * z) * (sp.exp(n * less) - 1),
    )  # fmt: skip
    yield Step(r * (2 * r + free) / (r + free), "<=", 2 * r, "and nz = rn/(n − r) is at most 2r once n = 2r + s", certificate=r * free / (r + free))
    yield Step(
        1 / (1 + sp.exp(-2 * r) * (sp.exp(2 * r) / level)), "<", level,
        "μ is at least n e^(−2r), and all keys are read with probability at most 1/(1 + μ) (long_range.unread-keys): below any level δ from n = e^(2r)/δ on",
        certificate=level**2 / (1 + level),
    )  # fmt: skip


def _enough_or_often_unread() -> Iterator[Step]:
    yield from _often_unread()
    yield from _enough()


random_readers = derived(
    Claim(
        id="long_range.random-readers",
        title="Random keys give every token a reader",
        states="(Implied.) Random attention, randomly sampled positions, is offered against quadratic complexity, and it reaches every token.",
        reading="Random keys alone, as the text offers them. Where each query draws r distinct keys at random, a number that is not tied to the length, every token is more likely than not to be read by "
        "some query. (Of BigBird nothing of the kind is said here: its window reads every token.)",
        precise=r"$\Pr[\text{every key is read}] \ge \tfrac12$: for $r \ge \log(2n)$, with $\delta = \tfrac12$ in $\Pr[\text{some key is unread}] \le n e^{-r} "
        r"\le \delta$ for $r = \log\frac n\delta + x$. But with $r$ fixed it tends to 0: it is at most $1/(1 + n e^{-2r})$ for $n \ge 2r$.",
        sources=(S4.at("Sparse Attention"), MOTWANI.at("chapter 3")),
        scope="random keys alone, drawn independently and uniformly by each query, its own key not excluded",
        inventory=("C096",),
        uses=("long_range.unread-keys",),
        unsaid="r grows with the length, so that r ≥ log(2n)",
        holds=_likely_all_read,
        worked=_unread_by_hand,
        corrected_by="long_range.enough-random-keys",
    )
)(_enough_or_often_unread)


@derived(
    Claim(
        id="long_range.unread-keys",
        title="With r random keys per query, μ = n((n − r)/n)ⁿ keys are unread on average, and all are read with a probability of at most 1/(1 + μ)",
        states="(Not in the texts; it follows from their random keys.) A share of about e^(−r) of the tokens is read by no random key.",
        precise=r"A given key is unread with probability $\bigl(\frac{n-r}{n}\bigr)^n$; with $\mu = n\bigl(\frac{n-r}{n}\bigr)^n$ the number $X$ of unread "
        r"keys has mean $\mu$ and "
        r"$1 - \mu \le \Pr[X = 0] \le \frac{1}{1+\mu}$. So $r$ has to grow like $\log n$. In the derivation $n = r + x$; two keys are missed at once with "
        r"probability "
        r"$\bigl(\frac{n-r}{n}\bigr)^2 e^{-y}$, $y \ge 0$, in one query, and $u = \bigl(\frac{n-r}{n}\bigr)^n$.",
        sources=(S1.at("BigBird Attention"), S4.at("Sparse Attention"), MOTWANI.at("chapter 3")),
        scope="every n > r ≥ 1 (at r = n nothing is unread); r distinct keys, drawn independently and uniformly by each query. Of BigBird this is the random part by itself; its window reads every token",
        inventory=("C096",),
        holds=_unread_as_said,
    )
)
def unread_keys() -> Iterator[Step]:
    every, u, short = r + x, sp.Symbol("u", positive=True), sp.Symbol("y", nonnegative=True)
    drawn = sp.Symbol("t", integer=True, nonnegative=True)
    size = drawn + 1 + free
    missed, again = sp.UnevaluatedExpr((size - drawn) / size), sp.UnevaluatedExpr((size - drawn - 1) / (size - drawn))
    yield Step(
        missed * again, "=", (size - drawn - 1) / size,
        "n = t + 1 + s keys: t draws miss a key with probability (n − t)/n, and one more of the n − t keys that are left misses it with (n − t − 1)/(n − t): induction",
    )  # fmt: skip
    chance = (x / every) ** every
    yield Step(sp.Sum(chance, (one, 1, every)), "=", every * chance, "n queries miss it independently, and expectations add up over the n keys")
    more = 1 + free
    apart = more + x
    yield Step(
        x * (x - 1) / (apart * (apart - 1)), "<=", (x / apart) ** 2, "a query misses two keys at once less often than independence would say (r = 1 + s)",
        certificate=x * more / (apart**2 * (apart - 1)),
    )  # fmt: skip
    mean = n * u
    yield Step(
        mean + n * (n - 1) * u**2 * sp.exp(-n * short), "<=", mean + mean**2, "so the mean of X² is at most μ + μ²",
        certificate=n**2 * u**2 * (1 - sp.exp(-n * short)) + n * u**2 * sp.exp(-n * short),
    )  # fmt: skip
    number, chances, extra = sp.IndexedBase("X", real=True), sp.IndexedBase("p", positive=True), sp.IndexedBase("y", nonnegative=True)
    first, second = total(chances[j] * number[j], j), total(chances[j] * number[j] ** 2, j)
    yield Step(
        first**2, "<=", total(chances[j], j) * second, "over the outcomes with X ≥ 1 (Cauchy and Schwarz): μ² is at most Pr[X ≥ 1] times the mean of X²",
        certificate=total(total(chances[i] * chances[j] * (number[i] - number[j]) ** 2, i), j) / 2,
    )  # fmt: skip
    yield Step(
        total(chances[j], j), "<=", total(chances[j] * (1 + extra[j]), j), "and Pr[X ≥ 1] is at most μ, as X = 1 + y there",
        certificate=total(chances[j] * extra[j], j),
    )  # fmt: skip
    expected = every * chance
    yield Step(1 - expected**2 / (expected + expected**2), "=", 1 / (1 + expected), "Pr[X = 0] is at most 1 − μ²/(μ + μ²)")


def _enough_keys(length: int, draws: int) -> Outcome:
    taken = min(draws, length)
    return exact.at_most([1 - length * ball(-taken).exp()], [ball(all_read(length, taken))]) if taken < length else decided(all_read(length, taken) == 1)


enough_random_keys = derived(
    Claim(
        id="long_range.enough-random-keys",
        title="log(n/δ) random keys per query are enough for every token to be read with probability 1 − δ",
        states="(Not in the text; the corrected form of long_range.random-readers.) How many random keys give every token a reader.",
        precise=r"$\Pr[\text{some key is unread}] \le \mu = n\bigl(1 - \frac rn\bigr)^n \le n e^{-r} \le \delta$ for $r = \log\frac n\delta + x$, $x \ge 0$. "
        r"Written with $1 - \frac rn = e^{-r/n - s}$, $s \ge 0$.",
        sources=(S4.at("Sparse Attention"), MOTWANI.at("chapter 3")),
        scope="every n > r and 0 < δ < 1; r distinct keys, drawn independently and uniformly by each query. A reader in one layer; what is read is passed on "
        "by other keys",
        inventory=("C096",),
        uses=("long_range.unread-keys",),
        holds=_enough_keys,
    )
)(_enough)


def _with_replacement(length: int, draws: int) -> Outcome:
    """The chance that one key is unread, listed where that is possible, against distinct draws."""
    taken = min(draws, length)
    chance, distinct = Fraction(length - 1, length) ** (length * taken), Fraction(length - taken, length) ** length
    listed = length ** (length * taken) > 4000 or chance == Fraction(
        sum(1 for outcome in product(range(length), repeat=length * taken) if 0 not in outcome), length ** (length * taken)
    )
    return decided(listed and (chance == distinct if taken == 1 else chance > distinct))


@derived(
    Claim(
        id="long_range.random-with-replacement",
        title="Keys drawn with replacement are unread at least as often, and more often for r ≥ 2",
        states="Random attention: randomly sample positions (whether with or without replacement is left open).",
        precise=r"With replacement a key is unread with probability $\bigl(1 - \frac1n\bigr)^{nr}$, as a coupon after $nr$ draws. $1 - \frac rn \le \bigl(1 - "
        r"\frac1n\bigr)^r$ by induction on $r$: $1 - \frac{r+1}{n} < \bigl(1 - \frac rn\bigr)\bigl(1 - \frac1n\bigr)$, so that the two are equal at $r = 1$ "
        r"only; and the $n$-th powers stand in the same order, written with $q = \bigl(1 - \frac1n\bigr)^r$ and $1 - \frac rn = q\,e^{-s}$ (0 at $r = n$).",
        sources=(S4.at("Sparse Attention"), MOTWANI.at("chapter 3")),
        scope="every n ≥ 2 and r ≤ n, independent uniform draws (at n = 1 the key is always read)",
        inventory=("C096",),
        holds=_with_replacement,
    )
)
def random_with_replacement() -> Iterator[Step]:
    chance, less = sp.Symbol("q", positive=True), sp.Symbol("s", positive=True)
    left = 1 - 1 / (1 + n)
    yield Step(
        sp.S.Zero,
        "<",
        left,
        "a draw misses the key with positive probability, written with n + 1 ≥ 2 keys: so a factor keeps the order",
        certificate=n / (1 + n),
    )
    yield Step(1 - (r + 1) / n, "<", (1 - r / n) * (1 - 1 / n), "another draw with replacement misses it more often than a distinct one", certificate=r / n**2)
    yield Step(
        (chance * sp.exp(-less)) ** n, "<", chance**n, "n queries miss it independently: powers of positive numbers keep their order",
        certificate=chance**n * (1 - sp.exp(-n * less)),
    )  # fmt: skip


def _unread_stays_unread(drawn: Sequence[Sequence[int]], layers: int) -> Outcome:
    size = len(drawn)
    mask = [[key == q or key in {pick % size for pick in row} for key in range(size)] for q, row in enumerate(drawn)]
    jacobian = averaged(mask, layers)
    unread = [key for key in range(size) if not any(mask[q][key] for q in range(size) if q != key)]
    return decided(all((jacobian[q][key] > 0) == (q == key) for key in unread for q in range(size)))


@derived(
    Claim(
        id="long_range.unread-token",
        title="A token that nobody reads influences no other token at any depth",
        states="(Not in the text; it follows from its random keys.) What an unread key means for the graph: it has no edge that leads out.",
        precise=r"If only row $l$ has an entry at $l$ in both layers' Jacobians, $A_{il} = \alpha\,\delta_{il}$ and $B_{kl} = \beta\,\delta_{kl}$, then "
        r"$(AB)_{il} = \alpha\beta\,\delta_{il}$, and so on for more layers: with the draws of unread keys kept from layer to layer, the graph is not strongly "
        r"connected.",
        sources=(S4.at("Sparse Attention"),),
        scope="every pattern that leaves a key unread by others, every depth, the same pattern in each layer; residual and own key included",
        inventory=("C096",),
        holds=_unread_stays_unread,
    )
)
def unread_token() -> Iterator[Step]:
    real, at = sp.IndexedBase("A", real=True), sp.KroneckerDelta(j, l)
    outer = real[i, j] * (1 - at) + at * sp.KroneckerDelta(i, l) * alpha
    yield Step(total(outer * at * beta, j), "=", sp.KroneckerDelta(i, l) * alpha * beta, "the only path from l is the one that stays there")


def _operations(length: int, keys: int, width: int) -> int:
    done = Operations()
    for _ in range(length):
        for _ in range(keys):
            done.dot(width)
            done.multiplications += 1  # the scale
        done.softmax(keys)
        for _ in range(width):
            done.dot(keys)
    return done.all()


def _random_cost(length: int, draws: int, width: int) -> Outcome:
    taken = min(draws, length)
    count = _operations(length, taken, width)
    return decided(
        count == length * (4 * taken * width + 5 * taken - width - 2) <= 9 * length * taken * width
        and (count < _operations(length, length, width)) == (taken < length)
    )


@derived(
    Claim(
        id="long_range.random-cost",
        title="r random positions per query take n(4rd + 5r − d − 2) operations",
        states="(Implied.) Against quadratic complexity positions are sampled at random: r for each query, at a cost of O(nr).",
        reading="Operations (multiply, add, compare, exp, divide: one each) on given Q, K, V and r distinct positions for each query; scores of other pairs "
        "are never computed.",
        precise=r"$n(4rd + 5r - d - 2) \le 9nrd$ operations: linear in $n$ and in $r$. With $r = n$ it is the count of full attention; a mask over all $n^2$ "
        r"scores would save nothing.",
        sources=(S4.at("Sparse Attention"),),
        scope="every n ≥ r ≥ 1 and d, d_v = d; drawing the positions, nr of them, is not counted",
        kind=Kind.COST,
        inventory=("C097",),
        holds=_random_cost,
    )
)
def random_cost() -> Iterator[Step]:
    feature, key = sp.symbols("x_2 l_2", integer=True, positive=True)

    def queries(count: sp.Expr) -> sp.Expr:
        return sp.Sum(count, (one, 1, n))

    def keyed(count: sp.Expr) -> sp.Expr:
        return sp.Sum(count, (key, 1, r))

    featured = sp.Sum(2, (feature, 1, d))
    wide, many = 1 + free, 1 + sp.Symbol("y", integer=True, nonnegative=True)
    count = n * (4 * many * wide + 5 * many - wide - 2)
    yield Step(count, "<=", 9 * n * many * wide, "written with r = 1 + y, d = 1 + s", certificate=sp.expand(9 * n * many * wide - count))
    yield Step(
        queries(keyed(featured - 1 + 1) + keyed(5) - 2 + keyed(featured) - d), "=", n * (4 * r * d + 5 * r - d - 2),
        "for each of r keys d products, d − 1 sums and the scale; softmax: 5 a key, less 2 a row; values: d sums of r products",
    )  # fmt: skip


# --- generation and understanding -----------------------------------------------------------------------------------------------------------


def generated(tokens: Sequence[int], weights: Sequence[tuple[int, int]], *, masked: bool) -> list[arb]:
    """What each next token is predicted from, token after token: the last output on the tokens there are by then."""
    prefixes = [tokens[: place + 1] for place in range(len(tokens))]
    return [stacked(prefix, weights, causal(len(prefix)) if masked else full(len(prefix)))[-1] for prefix in prefixes]


def _prediction_leaks(tokens: Row, weights: Sequence[tuple[int, int]], place: int, token: int) -> Outcome:
    """If a later token is another, the unmasked model's prediction after `place` is another."""
    here = place % len(tokens)
    other = [*tokens[: here + 1], *[token] * (len(tokens) - here - 1)]
    if other == list(tokens):
        return Outcome.HELD
    same = exact.equal(generated(tokens, weights, masked=False)[here], generated(other, weights, masked=False)[here])
    return {Outcome.HELD: Outcome.REFUTED, Outcome.REFUTED: Outcome.HELD}.get(same, same)


def _one_pass(tokens: Row, weights: Sequence[tuple[int, int]], place: int, token: int) -> Outcome:
    """Masked, one pass gives every prediction of the recomputation. Unmasked, recomputation does not see what follows; one pass of plain means does."""
    here = place % len(tokens)
    other = [*tokens[: here + 1], *[token] * (len(tokens) - here - 1)]
    passed = stacked(tokens, weights, causal(len(tokens)))
    moved = stacked(other, [(0, 1)], full(len(tokens)))[here] - stacked(tokens, [(0, 1)], full(len(tokens)))[here]
    return Outcome.worst(
        [
            exact.equal(passed, generated(tokens, weights, masked=True)),
            exact.equal(generated(tokens, weights, masked=False)[here], generated(other, weights, masked=False)[here]),
            exact.equal(moved, Fraction(sum(other) - sum(tokens), len(tokens))),
        ]
    )


def _leak_by_hand(tokens: Row, weights: Sequence[tuple[int, int]], place: int, token: int) -> str:
    here = place % len(tokens)
    other = [*tokens[: here + 1], *[token] * (len(tokens) - here - 1)]
    predicted = generated(tokens, weights, masked=False)[here]
    return (
        f"{FROM_ZERO} Two texts, {list(tokens)} and {other}, that agree up to place {here + 1}. When the next token is to be generated there, the model is given "
        f"{list(tokens[: here + 1])} "
        f"in both cases: full attention on these tokens, without a mask, ends in {exact.show(predicted)} for both. The statement would need two different predictions, "
        "but there is no future token to leak. Given the whole text at once, as in training, the unmasked model would see the target."
    )


def _leak_in_one_pass() -> Iterator[Step]:
    hidden, z = sp.Symbol("H", integer=True, positive=True), sp.Symbol("z", nonnegative=True)
    s, later, u = sp.IndexedBase("s", real=True), sp.IndexedBase("w", real=True), sp.IndexedBase("u", real=True)
    after = sp.Symbol("g", integer=True, positive=True)
    seen, values = sp.Sum(sp.exp(s[j]), (j, 1, i)), sp.Sum(sp.exp(s[j]) * v[j], (j, 1, i))
    row = (values + z * sp.Sum(sp.exp(u[after]) * later[after], (after, 1, hidden))) / (seen + z * sp.Sum(sp.exp(u[after]), (after, 1, hidden)))
    yield Step(
        sp.Subs(row, z, 0), "=", values / seen, "in one pass under a causal mask (z = 0) row i is attention on the first i tokens alone: what recomputation gives",
    )  # fmt: skip
    output, weight = total(sp.exp(s[j]) * v[j], j) / total(sp.exp(s[l]), l), sp.exp(s[k]) / total(sp.exp(s[l]), l)
    yield Step(sp.Derivative(output, v[k]), "=", weight, "in one pass without a mask the next token's value, k = i + 1, is among the values of row i")
    yield Step(sp.S.Zero, "<", sp.Derivative(output, v[k]), "and has a positive weight: the target is read", certificate=weight)


generation_needs_mask = derived(
    Claim(
        id="long_range.generation-needs-mask",
        title="Generation requires causal masking",
        states="Causal masking is essential for generation; bidirectional attention is not suitable, since it would leak future information.",
        reading="Without a causal mask, what a model predicts while it generates one token after another depends on tokens that come later: the text ties the "
        "leak to generation itself, and not to training.",
        precise=r"$\partial o_i/\partial v_k = p_{ik} > 0$ at $k = i + 1$: so it is in one unmasked pass over a whole text, as in training on all positions at "
        r"once. A model that is "
        "run anew on the tokens there are has no later ones to see.",
        sources=(S1.at("Non-Causal (Bidirectional) Attention"), S1.at("Conceptual Understanding"), S1.at("Causal (Masked) Attention")),
        scope="generation token by token, every length and depth; the leak of one pass is written out for one layer",
        inventory=("C179",),
        uses=("masks.unmasked-sees-the-future",),
        unsaid="the predictions for all positions are made in one pass over the whole text (training in parallel)",
        corrected_by="long_range.one-pass",
        holds=_prediction_leaks,
        worked=_leak_by_hand,
    )
)(_leak_in_one_pass)

one_pass = derived(
    Claim(
        id="long_range.one-pass",
        title="A causal mask makes one pass over a text agree with token-by-token recomputation; without one, recomputation sees no future either",
        states="(Not in the text; the corrected form of long_range.generation-needs-mask.) What the mask is needed for.",
        precise=r"With the mask, row $i$ of one pass is attention on the first $i$ tokens, at every depth (by induction on the layers). Without it, one pass "
        r"has "
        r"$\partial o_i/\partial v_k = p_{ik} > 0$ for the next token $k = i+1$, while recomputation on the first $i$ tokens contains no $v_k$ with $k > i$.",
        sources=(S1.at("Non-Causal (Bidirectional) Attention"), S1.at("Causal (Masked) Attention")),
        scope="every length and depth; between the layers anything that acts on each position by itself",
        inventory=("C179",),
        uses=("masks.causal-stack",),
        holds=_one_pass,
    )
)(_leak_in_one_pass)


def _looked_at(length: int, layers: int, mask_of: Callable[[int], Mask], *, kept: bool) -> int:
    """Pairs of a query and a key that generation of `length` tokens looks at. From the top, a layer runs only those rows that the rows above read; `kept`
    ones, which ran for an earlier token, do not run again."""
    count = 0
    done: set[tuple[int, int]] = set()
    for size in range(1, length + 1):
        mask, wanted = mask_of(size), {size - 1}
        for layer in reversed(range(layers)):
            run = {q for q in wanted if not kept or (layer, q) not in done}
            done |= {(layer, q) for q in run}
            count += sum(sum(mask[q]) for q in run)
            wanted = {key for q in run for key, seen in enumerate(mask[q]) if seen}
    return count


def _generation_pairs(length: int, layers: int) -> Outcome:
    anew, cached = _looked_at(length, layers, full, kept=False), _looked_at(length, layers, causal, kept=True)
    cubic, square = length * (length + 1) * (2 * length + 1), length * (length + 1)
    ratio = Fraction((layers - 1) * (2 * length + 1) + 3, 3 * layers)
    return decided(6 * anew == (layers - 1) * cubic + 3 * square and 2 * cached == layers * square and anew == ratio * cached)


@derived(
    Claim(
        id="long_range.generation-cost",
        title="Generating n tokens without a causal mask looks at ((L − 1)(2n + 1)/3 + 1)/L times as many pairs in L layers",
        states="The causal mask fits the sequential generation process.",
        reading="What the mask saves in generation: earlier rows do not change when a token is added, so keys and values are kept and one row is computed for "
        "each token in each layer. Only what the next token depends on is computed; of the top layer that is the last row, with a mask or without.",
        precise=r"$(L-1)\sum_{t\le n} t^2 + \sum_{t\le n} t = (L-1)\frac{n(n+1)(2n+1)}{6} + \frac{n(n+1)}{2}$ pairs if every token runs all rows anew below "
        r"the top layer, as it must where earlier rows change; $L\sum_{t \le n} t = L\frac{n(n+1)}{2}$ with a mask and cached keys. By induction on $n$.",
        sources=(S1.at("Causal (Masked) Attention"), S1.at("Attention Caching")),
        scope="every n and every number of layers L; one layer is the same with and without the mask",
        kind=Kind.COST,
        inventory=("C179",),
        uses=("long_range.one-pass",),
        holds=_generation_pairs,
    )
)
def generation_cost() -> Iterator[Step]:
    lower = sp.Symbol("s", integer=True, nonnegative=True)  # layers below the top one
    row = sp.Sum(sp.S.One, (one, 1, n + 1))
    anew, cached = lower * n * (n + 1) * (2 * n + 1) / 6 + n * (n + 1) / 2, (lower + 1) * n * (n + 1) / 2
    yield Step(
        anew.subs(n, 1),
        "=",
        lower * box(sp.S.One, sp.S.One) + sp.Sum(sp.S.One, (one, 1, 1)),
        "L = s + 1 layers, n = 1: what is said, and one pair in each of s lower layers and one in the top one",
    )
    yield Step(
        anew + lower * box(n + 1, n + 1) + row, "=", anew.subs(n, n + 1),
        "for token n + 1 the s lower layers have (n + 1)² pairs each, and the last row of the top one n + 1",
    )  # fmt: skip
    yield Step(cached + (lower + 1) * row, "=", cached.subs(n, n + 1), "its row alone has n + 1, in each layer")
    yield Step(anew, "=", (lower * (2 * n + 1) / 3 + 1) / (lower + 1) * cached, "cubic against quadratic, from two layers on")


def _both_sides(tokens: Row, weights: Sequence[tuple[int, int]], place: int) -> Outcome:
    """Whether a 1 stands anywhere: the plain mean tells at each place; under a causal mask nothing after a place is seen there."""
    here, size = place % len(tokens), len(tokens)
    means = [sum((share * token for share, token in zip(row, tokens, strict=True)), Fraction(0)) for row in averaged(full(size), 1)]
    changed = [token if at <= here else 1 - token for at, token in enumerate(tokens)]
    more = pairs(full(size)) - pairs(causal(size)) == size * (size - 1) // 2
    return Outcome.worst(
        [
            decided(more and all((mean > 0) == (1 in tokens) for mean in means)),
            exact.equal(stacked(tokens, weights, causal(size))[: here + 1], stacked(changed, weights, causal(size))[: here + 1]),
        ]
    )


@derived(
    Claim(
        id="long_range.both-sides",
        title="Without a mask each place can use both sides: n(n − 1)/2 more pairs, and tasks that no causal stack can do before the last place",
        states="Bidirectional attention has more information for comprehension tasks, as it uses both left and right context.",
        reading="What can be computed at each place, not how well a trained model does.",
        precise=r"Place $i$ sees $n - i$ tokens more, $n(n-1)/2$ in all. Whether a mark $v_k \in \{0, 1\}$ occurs anywhere shows at every place in one "
        r"unmasked layer ($\frac1n\sum_k v_k > 0$, "
        r"each $\partial/\partial v_k = \frac1n$), while under a causal mask nothing after place $i$ moves its output, at any depth. The last place sees "
        r"everything either way.",
        sources=(S1.at("Non-Causal (Bidirectional) Attention"),),
        scope="every n, every depth of the causal stack",
        inventory=("C180",),
        uses=("masks.causal-stack",),
        holds=_both_sides,
    )
)
def both_sides() -> Iterator[Step]:
    yield Step(sp.Derivative(total(v[j] / n, j), v[k]), "=", 1 / n, "the plain mean moves with every mark, earlier or later")
    missing = n * (n - 1) / 2
    yield Step(
        missing + sp.Sum(sp.S.One, (one, 1, n)), "=", missing.subs(n, n + 1), "a further token is new to each of the n places before it: induction from n = 1"
    )


comprehension = Claim(
    id="long_range.comprehension",
    title="Bidirectional attention gives better understanding",
    states="Better understanding: more information for comprehension tasks.",
    precise="Trained bidirectional models do better on comprehension tasks than causal ones; no task, data, size or measure is stated.",
    sources=(S1.at("Non-Causal (Bidirectional) Attention"),),
    scope="trained models",
    inventory=("C180",),
    not_checkable="It compares trained models, and depends on tasks, data, size and training, none of which is stated. What can be checked is which tokens an "
    "output can depend on, "
    "and a task that needs both sides (long_range.both-sides).",
)


def _chain(length: int, layers: int, known: bool) -> int:
    """How many layer evaluations follow one another, at most: states above all earlier ones of the layer below, inputs after outputs unless `known`."""
    finished = 0
    below: list[int] = []
    for _ in range(length):
        state = 0 if known else finished
        column = [state]
        for layer in range(layers):
            state = 1 + max([state, *(done[layer] for done in _columns(below, layers + 1))])
            column.append(state)
        below += column
        finished = column[-1]
    return max(below)


def _columns(states: list[int], height: int) -> list[list[int]]:
    return [states[start : start + height] for start in range(0, len(states), height)]


def _parallel_everywhere(length: int, layers: int, known: bool) -> Outcome:
    return decided(_chain(length, layers, known) <= layers)


def _parallel_where_known(length: int, layers: int, known: bool) -> Outcome:
    return decided(_chain(length, layers, known) == (layers if known else layers * length))


def _chain_by_hand(length: int, layers: int, known: bool) -> str:
    return (
        f"n = {length} and L = {layers}, each token being the output for the one before it: its first layer cannot start before the last layer of that "
        f"one has ended. The longest chain has n·L = {_chain(length, layers, known)} layer evaluations, against L = {_chain(length, layers, True)} where all tokens are known "
        f"beforehand (training); the statement allows no more than L."
    )


def _chains() -> Iterator[Step]:
    yield Step(
        sp.Sum(sp.S.One, (one, 1, L)), "=", L, "inputs known: a state waits for states of the layer below only, so L layers are a chain of L, for every n"
    )
    yield Step(n * L + L, "=", (n + 1) * L, "inputs that are outputs: each token adds the L layers above it to the chain of the token before")


parallel_as_made = derived(
    Claim(
        id="long_range.parallel-training-and-inference",
        title="Attention is parallelisable in training and inference",
        states="Parallelisable computation: allows efficient training and inference.",
        reading="In both, the number of layer evaluations that must follow one another does not grow with the length.",
        precise=r"$\sum_{l=1}^{L} 1 = L$ evaluations one after another for every $n$ if all tokens are known; $nL$ if each token is the output for the one "
        r"before.",
        sources=(S0.at("Conclusion"),),
        scope="a stack of L causal layers; inference by running the model for each token",
        kind=Kind.COST,
        inventory=("C189",),
        unsaid="all tokens are known beforehand, as in training, encoding, scoring and reading a prompt; generation is sequential",
        corrected_by="long_range.sequential-generation",
        holds=_parallel_everywhere,
        worked=_chain_by_hand,
    )
)(_chains)

sequential_generation = derived(
    Claim(
        id="long_range.sequential-generation",
        title="L layers are a chain of L evaluations on known tokens, and of nL in the generation of n tokens",
        states="(Not in the text; the corrected form of long_range.parallel-training-and-inference.) Parallel where the tokens are known, sequential where each is the output for the one before.",
        precise=r"Chain of $L$ for every $n$ on known tokens; in generation $c(1) = L$ and $c(n+1) = c(n) + L$: $nL + L = (n+1)L$. (Within a layer, sums over "
        r"keys take "
        r"$\lceil\log_2 n\rceil$ rounds: cost.logarithmic-depth.)",
        sources=(S0.at("Conclusion"), S1.at("Causal (Masked) Attention")),
        scope="every n and L; the model run once for each token, nothing guessed ahead",
        kind=Kind.COST,
        inventory=("C189",),
        holds=_parallel_where_known,
    )
)(_chains)


# --- which patterns full attention reaches ----------------------------------------------------------------------------------------------------


def _logs(weights: Sequence[Row]) -> list[list[Fraction]]:
    """log₂ of each weight over its row's first: whole numbers, as the weights are powers of 2."""
    return [[Fraction(weight.bit_length() - row[0].bit_length()) for weight in row] for row in weights]


def _any_pattern(weights: Sequence[Row], width: int) -> Outcome:
    """Whether some Q and K of that width give the rows of `weights`, each over its sum."""
    return decided(all(weight > 0 for row in weights for weight in row) and rank(_logs(weights)) <= width)


def _reached(weights: Sequence[Row], width: int) -> Outcome:
    """Queries and keys built from the logarithms, cut to the width: they give the pattern where it is positive and the rank allows it, and only there."""
    wanted = [[Fraction(weight, sum(row)) for weight in row] for row in weights]
    positive = [[max(weight, 1) for weight in row] for row in weights]
    basis, leading = reduced(_logs(positive))
    keys = [list(column) for column in zip(*basis[:width], strict=True)] or [[] for _ in positive[0]]
    queries = [[row[column] for column in leading[:width]] for row in _logs(positive)]
    given = [exact.softmax(row) for row in exact.scores(queries, keys, arb(2).log())]
    if all(weight > 0 for row in weights for weight in row) and len(leading) <= width:
        return exact.equal(given, wanted)
    different = exact.equal(given, wanted) is Outcome.REFUTED
    product_ = [[sum((x_ * y_ for x_, y_ in zip(query, key, strict=True)), Fraction(0)) for key in keys] for query in queries]
    return decided(different and rank(product_) <= width and all(bool(weight > 0) for row in given for weight in row))


def _pattern_by_hand(weights: Sequence[Row], width: int) -> str:
    shown = "; ".join("(" + ", ".join(str(Fraction(weight, sum(row))) for weight in row) + ")" for row in weights)
    logs = _logs(weights)
    return (
        f"Each row of the case stands for its numbers over their sum. The rows {shown} need scores whose differences from the row's first are log 2 times {[[int(entry) for entry in row] for row in logs]}. "
        f"This matrix has rank {rank(logs)}, and q_i·(k_j − k_1) with width {width} has rank at most {width}."
    )


def _enough_width() -> Iterator[Step]:
    last, wanted = sp.Symbol("p_0", positive=True), sp.IndexedBase("p", positive=True)
    score = total(sp.log(wanted[a] / last) * sp.KroneckerDelta(a, sp.Symbol("b", integer=True, positive=True)), a)
    b = sp.Symbol("b", integer=True, positive=True)
    yield Step(score, "=", sp.log(wanted[b] / last), "d + 1 keys: the unit vectors and 0; the query holds the logarithms of the weights over the last")
    yield Step(
        (wanted[b] / last) / (1 + total(wanted[a] / last, a)), "=", wanted[b] / (last + total(wanted[a], a)), "and the softmax of these scores is the given row"
    )


def _nothing_excluded(scores: Row, hidden: int) -> Outcome:
    """Full attention weighs every key; a row that leaves one out gives it 0, and full attention with that score lowered comes as close as one likes."""
    at = hidden % len(scores)
    weights = exact.softmax(scores)
    outcomes = [decided(all(bool(weight > 0) for weight in weights))]
    if len(scores) == 1:
        return Outcome.worst(outcomes)
    limit = exact.softmax(scores, [key != at for key in range(len(scores))])
    outcomes.append(exact.equal(limit[at], 0))
    for fall in (0, 3, 9):
        near = exact.softmax([score - fall * (key == at) for key, score in enumerate(scores)])
        allowed = ball(-fall).exp() * weights[at] / (1 - weights[at])  # e^(s − B) over the visible keys' normaliser
        outcomes += [exact.at_most([abs(x_ - y_) for x_, y_ in zip(near, limit, strict=True)], [allowed] * len(scores))]
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="long_range.no-pair-excluded",
        title="Full attention excludes no pair of positions and, with keys wide enough, comes as close as one likes to every pattern that does",
        states="Global attention: maximum expressiveness, no restrictions on attention patterns.",
        reading="No pair of a query and a key is excluded, as sparse patterns exclude some: what a pattern lets through, full attention lets through. (Whether "
        "every matrix of weights is reached is another reading: long_range.any-pattern.)",
        precise=r"Every weight $p_k = e^{s_k}/\sum_j e^{s_j}$ is positive, and the output moves with every value; in a pattern that hides $k$ its weight is 0. "
        r"With $B$ taken from the hidden keys' scores, $z = e^{-B}$, they have together the weight $\dfrac{z\sum_g e^{y_g}}{\sum_j e^{s_j} + z\sum_g e^{y_g}} "
        r"\le z\,\dfrac{\sum_g e^{y_g}}{\sum_j e^{s_j}}$, which tends to 0 as $B$ grows: every pattern is a limit of full attention.",
        sources=(S1.at("Global Attention"),),
        scope="one row, any number of keys, all scores. The limit, with n visible keys and H hidden ones, needs scores that can be lowered one by one: keys as wide as "
        "there are other keys give all scores, narrower ones do not (long_range.reached-patterns)",
        inventory=("C191",),
        uses=("softmax.positive", "sparsity.sparse-is-masked-dense"),
        holds=_nothing_excluded,
    )
)
def no_pair_excluded() -> Iterator[Step]:
    s, hidden, z = sp.IndexedBase("s", real=True), sp.IndexedBase("y", real=True), sp.Symbol("z", nonnegative=True)
    number, key = sp.symbols("H g", integer=True, positive=True)
    output, weight = total(sp.exp(s[j]) * v[j], j) / total(sp.exp(s[l]), l), sp.exp(s[k]) / total(sp.exp(s[l]), l)
    yield Step(sp.S.Zero, "<", weight, "every key has an exponential, which is positive: no pair is excluded")
    yield Step(sp.Derivative(output, v[k]), "=", weight, "and the output moves with its value")
    seen, left_out = total(sp.exp(s[j]), j), sp.Sum(sp.exp(hidden[key]), (key, 1, number))
    share = z * left_out / (seen + z * left_out)
    yield Step(sp.Subs(share, z, 0), "=", sp.S.Zero, "in a pattern (z = 0) the hidden keys have the weight 0")
    yield Step(
        share, "<=", z * left_out / seen, "and with scores lowered by B a weight of no more than a multiple of z = e^(−B)",
        certificate=z**2 * left_out**2 / (seen * (seen + z * left_out)),
    )  # fmt: skip


any_pattern = derived(
    Claim(
        id="long_range.any-pattern",
        title="Full attention reaches every matrix of weights",
        states="Global attention: maximum expressiveness, no restrictions on attention patterns.",
        reading="The second reading, of patterns as weights: every row-stochastic matrix is the matrix of weights of some queries and keys of the given width. "
        "(The first, that no pair is excluded, is true: long_range.no-pair-excluded.) A weight of exactly 0 is never reached, and is not held against the text: the search keeps to positive weights.",
        precise=r"$\dfrac{p_b/p_0}{1 + \sum_{a=1}^{d} p_a/p_0} = \dfrac{p_b}{p_0 + \sum_{a=1}^{d} p_a}$: with $d = n - 1$ features every positive row is "
        r"reached, by the unit vectors and 0 as keys and $\log(p_a/p_0)$ as query. With fewer features not every positive matrix is: with width 1 not $P = \tfrac14\begin{pmatrix}2&1&1\\1&2&1\\1&1&2\end{pmatrix}$, whose "
        r"$\log(P_{rj}/P_{r1})$ have rank 2 (long_range.reached-patterns).",
        sources=(S1.at("Global Attention"),),
        scope="softmax attention, finite queries and keys of width d, any number of queries",
        inventory=("C191",),
        uses=("softmax.positive",),
        unsaid="the keys are at least n − 1 wide (and no weight is to be exactly 0; patterns with zeros are limits)",
        corrected_by="long_range.reached-patterns",
        holds=_any_pattern,
        worked=_pattern_by_hand,
    )
)(_enough_width)


@derived(
    Claim(
        id="long_range.reached-patterns",
        title="Full attention reaches exactly the positive patterns whose logarithms have rank at most d",
        states="(Not in the text; the corrected form of long_range.any-pattern.) What full attention of a given width can express in a layer.",
        precise=r"$P_{rj} = P_{rl}\,e^{\sum_{a\le d} Q_{ra}(K_{ja} - K_{la})}$: every weight is positive, and $\log(P_{rj}/P_{rl})$, as a matrix with rows $r$ "
        r"and columns $j$ for a fixed $l$, is a "
        r"product of width $d$, so of rank at most $d$. Conversely, if $\log P_{rj} = c_r + \sum_a Q_{ra}K_{ja}$, these $Q$ and $K$ give $P$; a matrix of rank "
        r"at most $d$ is such "
        r"a product. Permutation matrices, windows and causal masks are not reached at any width.",
        sources=(S1.at("Global Attention"), HORN.at("Section 0.4.6")),
        scope="every number of queries and keys, every d; finite scores in real arithmetic (no mask)",
        inventory=("C191",),
        holds=_reached,
    )
)
def reached_patterns() -> Iterator[Step]:
    own = sp.IndexedBase("c", real=True)

    def weight(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(Q[r, a] * K[key, a], a)) / total(sp.exp(total(Q[r, a] * K[i, a], a)), i)

    yield Step(sp.S.Zero, "<", weight(j), "a weight is an exponential over a sum of exponentials")
    shifted = sp.exp(own[r] + total(Q[r, a] * K[j, a], a)) / total(sp.exp(own[r] + total(Q[r, a] * K[i, a], a)), i)
    yield Step(weight(j), "=", shifted, "a row is not changed by a number added to all its scores: whatever P has these logarithms is reached")
    apart = total(Q[r, a] * K[j, a], a) - total(Q[r, a] * K[l, a], a)
    yield Step(total(Q[r, a] * (K[j, a] - K[l, a]), a), "=", apart, "differences of scores along a row are products of width d")
    yield Step(
        sp.UnevaluatedExpr(weight(j)) / sp.UnevaluatedExpr(weight(l)), "=", sp.exp(total(Q[r, a] * (K[j, a] - K[l, a]), a)),
        "and every P that is reached has these as logarithms of P_rj/P_rl: a matrix of rank at most d",
    )  # fmt: skip


# --- scaling to long sequences ------------------------------------------------------------------------------------------------------------------


sparse_models = Claim(
    id="long_range.modern-models-are-sparse",
    title="Modern large language models use sparse attention patterns",
    states="Modern large language models use sparse attention patterns to handle longer sequences efficiently.",
    precise="A statement about published models. Some do (GPT-3 alternates dense and locally banded layers, Mistral 7B has a sliding window); the report on "
    "Llama 3 describes no sparse pattern beyond causality and document boundaries.",
    sources=(S1.at("Sparse Attention Mechanisms"), BROWN.at("section 2.1"), MISTRAL.at("section 2"), LLAMA.at("section 3.2")),
    scope="published models; the three cited reports are of 2020, 2023 and 2024",
    inventory=("C192",),
    not_checkable="It is a fact about what others have built, and no computation here can settle it: read as 'some', the cited reports confirm it, read as "
    "'all' or 'most', they do not. "
    "What sparsity gains in length is counted in long_range.length-for-a-budget.",
)


def _longest(budget: int, keys_of: Callable[[int], int]) -> int:
    """The largest length whose pairs, counted row by row, stay within the budget."""
    length = 0
    while sum(keys_of(length + 1) for _ in range(length + 1)) <= budget:
        length += 1
    return length


def _budget(budget: int, keys: int) -> Outcome:
    dense, thin = ([_longest(times * budget, rule) for times in (1, 4)] for rule in (lambda length: length, lambda length: keys))
    return decided(
        dense[0] == isqrt(budget)
        and thin[0] == budget // keys
        and dense[1] <= 2 * dense[0] + 1
        and thin[1] >= 4 * thin[0]
        and (keys > dense[0] or thin[0] >= dense[0])
    )


@derived(
    Claim(
        id="long_range.length-for-a-budget",
        title="For the pairs that full attention spends on n tokens, c keys per query serve n²/c tokens",
        states="Sparse attention patterns enable scaling to longer sequences.",
        reading="At the same number of pairs of a query and a key, and so at the same time for fixed widths.",
        precise=r"With $n = cx$: $\sum_{i \le xn} c = n^2$, so that the sparse pattern serves $x = n/c$ times as many tokens. Four times the pairs are twice "
        r"the length of full attention "
        r"and four times that of the sparse pattern.",
        sources=(S1.at("Conceptual Understanding"), S1.at("Sparse Attention Mechanisms")),
        scope="every c, and every n that c divides (otherwise n²/c is rounded down); a number c of keys for each query that does not grow with the length. What the model still computes is another matter: "
        "sparsity.receptive-field",
        kind=Kind.COST,
        inventory=("C236", "C192"),
        holds=_budget,
    )
)
def length_for_a_budget() -> Iterator[Step]:
    keys = sp.Symbol("c", integer=True, positive=True)
    dense = keys * x
    yield Step(4 * box(dense, dense), "=", box(2 * dense, 2 * dense), "four times the pairs: twice the length of full attention")
    yield Step(4 * box(x * dense, keys), "=", box(4 * x * dense, keys), "but four times that of the sparse pattern")
    yield Step(box(x * dense, keys), "=", box(dense, dense), "c keys for each of xn tokens are as many pairs as n for each of n")


def _window_error(scores: Row, values: Row, place: int, reach: int) -> Outcome:
    size = len(scores)
    near = [abs(at - place % size) <= reach for at in range(size)]
    weights = exact.softmax(scores)
    beyond = sum((weight for weight, seen in zip(weights, near, strict=True) if not seen), arb(0))
    if all(near):
        return exact.equal(beyond, 0)

    def mean(where: Sequence[bool]) -> arb:
        return sum((weight * value for weight, value in zip(exact.softmax(scores, where), values, strict=True)), arb(0))

    error = mean([True] * size) - mean(near)
    return Outcome.worst([exact.equal(error, beyond * (mean([not seen for seen in near]) - mean(near))), decided(bool(beyond > 0))])


@derived(
    Claim(
        id="long_range.window-bias",
        title="A window sets to zero what lies outside; full attention gives it a positive weight ε and differs by ε times a difference of means",
        states="Local attention has an inductive bias: it assumes that local dependencies are the most important.",
        reading="The text says that a window assumes it, and not that it is so. Judged is what a window assumes, not whether a given language obeys it: the window is right where what lies outside does not matter.",
        precise=r"$o_{\text{full}} - o_{\text{window}} = \varepsilon\,(\bar v_{\text{outside}} - \bar v_{\text{window}})$, with softmax means over each part "
        r"and $\varepsilon$ the weight outside, "
        r"$0 < \varepsilon < 1$. So the two outputs agree exactly if the two means do, and no window agrees with full attention "
        r"for all values.",
        sources=(S1.at("Local Attention"),),
        scope="one layer on given scores, every window that leaves some key outside and some within; weights p_j and values v_j within (n of them), q_h and u_h outside (H of them), up to a common factor",
        inventory=("C236",),
        holds=_window_error,
    )
)
def window_bias() -> Iterator[Step]:
    outside, far, at = sp.IndexedBase("q", positive=True), sp.IndexedBase("u", real=True), sp.Symbol("h", integer=True, positive=True)
    number = sp.Symbol("H", integer=True, positive=True)
    kept, gone = total(p[j], j), sp.Sum(outside[at], (at, 1, number))
    within, beyond = total(p[j] * v[j], j), sp.Sum(outside[at] * far[at], (at, 1, number))
    share = gone / (kept + gone)
    yield Step(sp.S.Zero, "<", share, "softmax gives every key a positive weight")
    yield Step(share, "<", sp.S.One, "and those within the window too", certificate=kept / (kept + gone))
    yield Step(
        (within + beyond) / (kept + gone) - within / kept, "=", share * (beyond / gone - within / kept), "the output is the mixture of the two means with ε and 1 − ε"
    )  # fmt: skip


def _doubled(length: int, width: int) -> Outcome:
    """Numbers in the score matrix, and multiply-adds for scores and output, counted one by one; for the length and for twice the length."""
    held = [sum(1 for _ in product(range(size), range(size))) for size in (length, 2 * length)]
    done = [2 * sum(1 for _ in product(range(size), range(size), range(width))) for size in (length, 2 * length)]
    return decided(held[0] == length**2 and held[1] == 4 * held[0] and done[1] == 4 * done[0])


@derived(
    Claim(
        id="long_range.quadratic",
        title="Twice the length is four times the scores and four times the multiply-adds",
        states="Long documents: quadratic memory growth and quadratic time in the length; self-attention has quadratic complexity.",
        reading="Standard attention, which holds all scores. Numbers in the score matrix; multiply-adds for scores and output on given Q, K, V.",
        precise=r"$n^2$ scores and $2n^2 d$ multiply-adds; $\sum_{i,j \le 2n}\sum_{a\le d} 2 = 4\sum_{i,j\le n}\sum_{a \le d} 2$.",
        sources=(S1.at("Challenges"), S1.at("Self-Attention (Intra-Attention)")),
        scope="every n and d. The matrix need not be held at once: tiled attention takes linear memory without leaving out a pair (cost.tiled-memory)",
        kind=Kind.COST,
        inventory=("C323", "C190"),
        holds=_doubled,
    )
)
def quadratic() -> Iterator[Step]:
    feature = sp.Symbol("x_2", integer=True, positive=True)

    def work(length: sp.Expr) -> sp.Expr:
        return sp.Sum(sp.Sum(sp.Sum(2, (feature, 1, d)), (two, 1, length)), (one, 1, length))

    yield Step(box(2 * n, 2 * n), "=", 4 * box(n, n), "scores")
    yield Step(work(n), "=", 2 * n**2 * d, "multiply-adds")
    yield Step(work(2 * n), "=", 4 * work(n), "of twice the length")


REMEDIES = {
    "window": "window and one global token",
    "blocks": "two levels",
    "levels": "levels until one block is left",
    "stride": "every b-th position",
    "pooling": "two levels of pooling",
}
METHODS = tuple(REMEDIES)


def _tokens(block: int, blocks: int, share: int) -> int:
    """A multiple of the block, from which on s(3b + 2) · n is at most n²."""
    return block * (blocks + share * (3 * block + 2))


def _method_pairs(method: str, block: int, length: int) -> int:
    """Pairs, or scores of pooling, on as many tokens: counted row by row, or block by block and level by level."""
    if method == METHODS[0]:
        return sum(len({0, *range(max(0, q - block), min(length, q + block + 1))}) if q else length for q in range(length))
    if method == METHODS[3]:
        return sum(len(range(q % block, length, block)) for q in range(length))
    if method == METHODS[4]:
        sentences = [range(start, start + block) for start in range(0, length, block)]
        return sum(map(len, sentences)) + len(sentences)  # one softmax over each sentence's words, and one over the sentences
    count = 0
    while length > 1:
        count += sum(min(block, length - start) ** 2 for start in range(0, length, block))
        length = -(-length // block)
        if method == METHODS[1]:
            return count + length**2
    return count


def _solved(method: str, block: int, blocks: int, share: int) -> Outcome:
    length = _tokens(block, blocks, share)
    return decided(share * _method_pairs(method, block, length) <= length**2)


def _counted_method(method: str, block: int, blocks: int, share: int) -> Outcome:
    length = _tokens(block, blocks, share)
    blocks, count = length // block, _method_pairs(method, block, length)
    if method == METHODS[0]:
        return decided(count <= length * (3 * block + 2) and (blocks < 2 or count == 2 * length - 1 + (length - 1) * (2 * block + 1) - block * (block + 1)))
    if method == METHODS[1]:
        return decided(count == length * block + blocks**2)
    if method == METHODS[2]:
        return decided(count <= 3 * block * (length - 1))
    return decided(count == (length * blocks if method == METHODS[3] else length + blocks))


def _method_by_hand(method: str, block: int, blocks: int, share: int) -> str:
    length = _tokens(block, blocks, share)
    blocks, count = length // block, _method_pairs(method, block, length)
    parts = {
        METHODS[1]: f"{blocks} blocks of {block} have {blocks}·{block}² pairs inside, and their {blocks} representatives {blocks}² among themselves",
        METHODS[3]: f"each of {length} queries sees every b-th position, {blocks} of them",
    }.get(method, "counted one by one")
    return (
        f"{length} tokens (for b, q and s, the case's block, blocks and share: b(q + s(3b + 2)), long enough for a lower order to show), {REMEDIES[method]}, b = {block}: {parts}. That makes {count} pairs, more than n²/{share} = {exact.show(ball(Fraction(length**2, share)))}. With b fixed "
        f"the number grows as n², and no length brings it below that share; a lower order would, for every share."
    )


def _linear_methods() -> Iterator[Step]:
    size, length = 2 + free, 3 + sp.Symbol("y", integer=True, nonnegative=True)
    yield from _window_and_globals()
    yield Step(
        length + 3 * ((length + size - 1) / size - 1), "<=", 3 * (length - 1),
        "levels, b ≥ 2: n positions, then at most (n + b − 1)/b, and so on are T(n) ≤ 3(n − 1), by induction from T(2) = 2 (written n = 3 + y, b = 2 + s)",
        certificate=sp.cancel(sp.together(3 * (length - 1) - length - 3 * (length - 1) / size)),
    )  # fmt: skip
    sentences, sentence = sp.symbols("q u", integer=True, positive=True)
    pooled = sp.Sum(size, (sentence, 1, sentences)) + sentences
    yield Step(pooled, "=", size * sentences + sentences, "pooling: b scores in each of q sentences and q over the sentences, n + n/b in all")
    yield Step(pooled, "<=", 2 * size * sentences, "so at most 2n", certificate=sentences * (size - 1))
    keys = sp.Symbol("c", integer=True, positive=True)
    yield Step(box(n, keys), "=", keys * n, "c keys for each query, c fixed: linear")


def _fixed_sizes_and_bounded_keys() -> Iterator[Step]:
    block, blocks, keys, slack = sp.symbols("b q c s'", integer=True, positive=True)
    length, inside = block * blocks, block**2 * blocks
    many = block**2 + slack
    yield Step(
        length**2,
        "<",
        many * (inside + box(blocks, blocks)),
        "two levels of blocks with representatives exceed n²/s at every length n = bq, for s = b² + s'",
        certificate=many * inside + slack * blocks**2,
    )
    yield Step(length**2, "<", (block + slack) * box(length, blocks), "and so does every b-th position, for s = b + s'", certificate=slack * length * blocks)
    yield from _linear_methods()
    longer = slack * keys + x
    yield Step(slack * keys * longer, "<=", longer**2, "and cn is at most n²/s from n = sc on (s = s', n = s'c + x)", certificate=longer * x)


solutions_as_made = derived(
    Claim(
        id="long_range.solutions-as-made",
        title="Hierarchical attention, sliding windows and sparse patterns solve the quadratic growth",
        states="Challenges: quadratic memory growth and time. Solutions: hierarchical attention (multi-level), sliding window with global tokens, sparse "
        "patterns (structured).",
        reading="Each of them, with its sizes (window, block, stride) fixed, makes the number of pairs of lower order than n²: below any share of it for large "
        "n. Hierarchical: attention within sentences and then over sentences. One text's framework pools, one softmax in each sentence and one over the "
        "sentences, n + n/b scores; self-attention within blocks and among their representatives is the other possibility. Structured sparsity: a window, or "
        "positions at regular intervals (both among the text's variants of local attention).",
        precise=r"$\sum_{i\le n} c = cn$ pairs where no query sees more than $c$ keys, $c$ fixed: at most $n^2/s$ from $n = sc$ on. So for a window with a "
        r"fixed number of global tokens; pooling in two levels has $n + n/b \le 2n$ scores; and as many levels as the length takes, with blocks of $b$, at "
        r"most $3b(n-1)$ pairs. But two levels of self-attention and strides, of fixed sizes, exceed $n^2/s$ at every length for $s > b^2$. (Tried from $n = "
        r"bs(3b+2)$ on.)",
        sources=(S1.at("Challenges"), S1.at("Solutions"), S0.at("Hierarchical Attention"), S1.at("Hierarchical Attention"), S1.at("Local Attention")),
        scope="every length and block size b ≥ 2; pairs, on which memory and time for fixed widths depend",
        kind=Kind.COST,
        inventory=("C323",),
        unsaid="the keys per query grow more slowly than n: patterns keep a number of keys and not a share of them, and two levels pool, or more levels are "
        "added as the text grows",
        corrected_by="long_range.solutions",
        holds=_solved,
        worked=_method_by_hand,
    )
)(_fixed_sizes_and_bounded_keys)


@derived(
    Claim(
        id="long_range.solutions",
        title="Windows with global tokens, pooling and full hierarchies are linear; two levels of self-attention are nb + (n/b)², a stride is n²/b",
        states="(Not in the texts; the corrected form of long_range.solutions-as-made.) The pairs of each remedy.",
        precise=r"Window $b$ to each side and one global token: at most $n(3b+2)$. Blocks of $b$ and one level above: $nb + (n/b)^2$, quadratic for fixed $b$, "
        r"and $2n^{4/3}$ for $b = n^{1/3}$. Levels until one block is left: at most $3b(n-1)$. Every $b$-th position: $n^2/b$. Pooling, one softmax in each "
        r"block and one over the blocks: $n + n/b$ scores. In the derivation $n = bq$.",
        sources=(S1.at("Challenges"), S1.at("Solutions"), S0.at("Hierarchical Attention"), S1.at("Hierarchical Attention")),
        scope="every b ≥ 2 and n a multiple of b; self-attention within blocks and among representatives, but for pooling, where each softmax has one query of "
        "its own",
        kind=Kind.COST,
        inventory=("C323",),
        uses=("long_range.longformer-cost",),
        holds=_counted_method,
    )
)
def solutions() -> Iterator[Step]:
    yield from _linear_methods()
    block, blocks = sp.symbols("b q", integer=True, positive=True)
    inside = sp.Sum(box(block, block), (sp.Symbol("u", integer=True, positive=True), 1, blocks))
    yield Step(box(block * blocks, blocks), "=", (block * blocks) ** 2 / block, "every b-th position: q = n/b keys for each of n = bq queries")
    cube = sp.UnevaluatedExpr(block**3)
    yield Step(cube * block + (cube / block) ** 2, "=", 2 * block**4, "two levels at n = b³, where b⁴ = n^(4/3)")
    yield Step(inside + box(blocks, blocks), "=", block * blocks * block + (block * blocks / block) ** 2, "two levels: q blocks, and q representatives")
