"""Online softmax: the partial state (m, l, a) of a set of keys, its merge, and what tiling, order and masks change (nothing, in real arithmetic).

A set of keys is given by indicators A_j ≥ 0: 1 for a key of the set that the mask leaves visible, 0 for any other. Its state at the stabiliser m is
l = Σ_j A_j exp(s_j − m) and a = Σ_j A_j exp(s_j − m) v_j (one entry of the value; every entry obeys the same rule). A set without a
visible key has the state (−∞, 0, 0).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import sympy as sp
from flint import arb

from theorems.claim import Claim, derived
from theorems.exact import ball, decided, equal, show
from theorems.outcome import Outcome
from theorems.sources import DAO, MILAKOV, S0, S1
from theorems.step import Step
from theorems.symbols import c, j, n, s, v

u = sp.Symbol("u", integer=True, positive=True)  # a block, 1..blocks
blocks = sp.Symbol("B", integer=True, positive=True)
mu = sp.Symbol("mu", real=True)  # any stabiliser
at_block = sp.IndexedBase("mu", real=True)  # the stabiliser that block u uses
visible = sp.IndexedBase("A", nonnegative=True)  # 1 for a visible key of the set, else 0
other = sp.IndexedBase("B", nonnegative=True)  # the same for a second, disjoint set
MINUS_INFINITY = sp.S.NegativeInfinity


def over_keys(body: sp.Expr) -> sp.Expr:
    return sp.Sum(body, (j, 1, n))


def over_blocks(body: sp.Expr) -> sp.Expr:
    return sp.Sum(body, (u, 1, blocks))


def rescale(old: sp.Expr, new: sp.Expr) -> sp.Expr:
    """exp(old − new): what turns a component at one stabiliser into the same at another; 0 for a state without a key, whatever the other is."""
    return sp.S.Zero if old is MINUS_INFINITY else sp.exp(old - new)


@dataclass(frozen=True, slots=True)
class Partial:
    """A stabiliser, and one component x of a partial state: x stands for l and for every entry of a, since the merge treats them alike."""

    m: sp.Expr
    x: sp.Expr

    def merge(self, that: "Partial") -> "Partial":
        m = sp.Max(self.m, that.m)
        return Partial(m, self._written(m) + that._written(m))

    def _written(self, m: sp.Expr) -> sp.Expr:
        """The component at the stabiliser m, as a reader would write it: exp(m_i − m) x_i, nothing put together."""
        return rescale(self.m, sp.UnevaluatedExpr(m)) * (self.x if self.x.is_Atom else sp.UnevaluatedExpr(self.x))

    def at(self, stabiliser: sp.Expr) -> sp.Expr:
        """The component brought to another stabiliser."""
        return rescale(self.m, stabiliser) * (self.x if self.x.is_Atom else sp.UnevaluatedExpr(self.x))


def partial(number: int, empty: bool = False) -> Partial:
    """Partial state `number`: two free real symbols, or the state of no key."""
    if empty:
        return Partial(MINUS_INFINITY, sp.S.Zero)
    return Partial(*sp.symbols(f"m_{number} x_{number}", real=True))


def cases(count: int) -> Iterator[tuple[list[Partial], str]]:
    """Every way in which some of `count` states, but not all, are wholly masked, in words; the case without any comes last. (If all are, every factor counts as 0.)"""
    for masked in product((True, False), repeat=count):
        empty = [str(i) for i, is_empty in enumerate(masked, 1) if is_empty]
        words = f"wholly masked: {', '.join(empty)}" if empty else "no state is wholly masked"
        if len(empty) < count:
            yield [partial(i, is_empty) for i, is_empty in enumerate(masked, 1)], words


def _put_together(states: Sequence[Partial]) -> sp.Expr:
    """The sum of the states' components at μ."""
    return sp.Add(*(one.at(mu) for one in states))


# The exact evaluations: states as balls, written without the algebra above.

Key = tuple[int | Fraction | None, int | Fraction]  # score (None: masked, −∞) and value
Block = Sequence[Key]
State = tuple[int | Fraction | None, arb, arb]  # stabiliser (None: −∞), l, a


def state(keys: Block) -> State:
    """The state of the keys at their largest visible score."""
    seen = [(score, value) for score, value in keys if score is not None]
    if not seen:
        return None, arb(0), arb(0)
    m = max(score for score, _ in seen)
    weights = [ball(score - m).exp() for score, _ in seen]
    return m, sum(weights, arb(0)), sum((w * ball(value) for w, (_, value) in zip(weights, seen, strict=True)), arb(0))


def joined(one: State, two: State) -> State:
    """The merge of two states; a wholly masked one adds nothing."""
    if one[0] is None or two[0] is None:
        return one if two[0] is None else two
    m = max(one[0], two[0])
    p, q = ball(one[0] - m).exp(), ball(two[0] - m).exp()
    return m, p * one[1] + q * two[1], p * one[2] + q * two[2]


def agree(one: State, two: State) -> Outcome:
    """Whether two states are the same triple."""
    return equal(one[1:], two[1:]) if one[0] == two[0] else Outcome.REFUTED


def attended(keys: Block) -> arb:
    """Attention of one row by its definition, Σ exp(s_j) v_j / Σ exp(s_l) over visible keys. Raises ZeroDivisionError if there is none."""
    weights = [(ball(score).exp(), ball(value)) for score, value in keys if score is not None]
    if not weights:
        raise ZeroDivisionError("attention over no visible key")
    return sum((w * value for w, value in weights), arb(0)) / sum((w for w, _ in weights), arb(0))


def as_state(m: int | None, l: int | Fraction, a: int | Fraction) -> State:
    return (None, arb(0), arb(0)) if m is None else (m, ball(l), ball(a))


Triple = tuple[int | None, Fraction, Fraction]


def _associates(one: Triple, two: Triple, three: Triple) -> Outcome:
    x, y, z = as_state(*one), as_state(*two), as_state(*three)
    return agree(joined(joined(x, y), z), joined(x, joined(y, z)))


def _commutes(one: Triple, two: Triple) -> Outcome:
    x, y = as_state(*one), as_state(*two)
    return agree(joined(x, y), joined(y, x))


def _has_identity(one: Triple) -> Outcome:
    nothing, x = state([]), as_state(*one)
    return Outcome.worst([agree(joined(nothing, x), x), agree(joined(x, nothing), x)])


def _merges_to_union(one: Block, two: Block) -> Outcome:
    return agree(joined(state(one), state(two)), state([*one, *two]))


def _ignores_stabiliser(keys: Block, stabiliser: Fraction) -> Outcome:
    weights = [(ball(score - stabiliser).exp(), ball(value)) for score, value in keys if score is not None]
    return equal(sum((w * value for w, value in weights), arb(0)) / sum((w for w, _ in weights), arb(0)), attended(keys))


MERGE = r"(m_1, l_1, a_1) \oplus (m_2, l_2, a_2) = (m,\; e^{m_1 - m} l_1 + e^{m_2 - m} l_2,\; e^{m_1 - m} a_1 + e^{m_2 - m} a_2),\quad m = \max(m_1, m_2)"
ONLINE = "Softmax is computed incrementally, one block of keys after another"
PARTIAL = (
    "The partial state (m, l, a) of a set of keys is a number m that is subtracted from the scores (the stabiliser, in practice their maximum), the sum l of exp(s − m) over the visible keys of the set, and the sum a of exp(s − m) v, "
    "where s is a key's score and v one entry of its value. "
)
STATES = "states with real m, l, a, and wholly masked ones (−∞, 0, 0), whose factor exp(−∞ − m) counts as 0 even for m = −∞"


@derived(
    Claim(
        id="flash.merge-commutative",
        title="Merging two partial softmax states commutes",
        states=ONLINE + ". (Whether the order of two blocks matters is not said.)",
        reading=PARTIAL + "Two states are merged in either order.",
        precise=f"$x \\oplus y = y \\oplus x$, where ${MERGE}$; at any stabiliser $\\mu$ either order is the sum of the two components at $\\mu$.",
        sources=(S0.at("Flash Attention Algorithm"), MILAKOV.at("section 3")),
        scope=STATES,
        holds=_commutes,
    )
)
def merge_commutative() -> Iterator[Step]:
    for states, words in cases(2):
        one, two = states
        yield Step(
            one.merge(two).at(mu), "=", _put_together(states),
            f"{words}: brought to any stabiliser μ, the merged component is the sum of the two at μ; the other order only swaps the terms of both sums (the maximum has no order either)",
        )  # fmt: skip


@derived(
    Claim(
        id="flash.merge-associative",
        title="Merging partial softmax states is associative",
        states=ONLINE + ". (Whether it matters how the blocks are grouped is not said.)",
        reading=PARTIAL + "Three states are merged, one pair first or the other.",
        precise=f"$(x \\oplus y) \\oplus z = x \\oplus (y \\oplus z)$, where ${MERGE}$. Both have the largest of the three stabilisers, and at any stabiliser $\\mu$ both are the sum of the three components at $\\mu$.",
        sources=(S0.at("Flash Attention Algorithm"), MILAKOV.at("section 3.1")),
        scope=STATES,
        holds=_associates,
    )
)
def merge_associative() -> Iterator[Step]:
    for states, words in cases(3):
        one, two, three = states
        for grouping, merged in (("(x ⊕ y) ⊕ z", one.merge(two).merge(three)), ("x ⊕ (y ⊕ z)", one.merge(two.merge(three)))):
            yield Step(
                merged.at(mu), "=", _put_together(states),
                f"{words}: {grouping}, brought to any stabiliser μ, is the sum of the components at μ, whichever pair is merged first; the largest stabiliser does not depend on it either",
            )  # fmt: skip


@derived(
    Claim(
        id="flash.merge-identity",
        title="The state of no visible key is the identity of the merge",
        states=ONLINE + ". (What it starts from, and what a block without a visible key adds, is not said.)",
        reading=PARTIAL + "A set of keys that are all masked has the state (−∞, 0, 0).",
        precise=r"$(-\infty, 0, 0) \oplus x = x \oplus (-\infty, 0, 0) = x$, and the state of a wholly masked block is $(-\infty, 0, 0)$; with any finite stabiliser $\mu$ in place of $-\infty$ the merge stands for the same $x$.",
        sources=(S0.at("Flash Attention Algorithm"), MILAKOV.at("section 3.1")),
        scope=STATES,
        holds=_has_identity,
    )
)
def merge_identity() -> Iterator[Step]:
    nothing = partial(0, empty=True)
    left, right = nothing.merge(partial(1)), partial(1).merge(nothing)
    one, stand_in = partial(1), Partial(mu, sp.S.Zero)
    yield Step(
        stand_in.merge(one).at(one.m), "=", one.x,
        "any finite stand-in μ for −∞ leaves what the state stands for as it is, as long as its component is 0: brought back to m_1 it is x_1",
    )  # fmt: skip
    yield Step(
        right.at(mu), "=", one.at(mu), "nothing on the right, brought to any stabiliser μ: the larger stabiliser is m_1, and the factor of 0 counts as 0"
    )
    yield Step(left.x, "=", one.x, "nothing on the left: the factor of x_1 is exp(0)")


def component(indicator: sp.Expr, stabiliser: sp.Expr) -> sp.Expr:
    """Σ_j indicator_j exp(s_j − stabiliser) v_j; with v = 1 this is l."""
    return over_keys(indicator * sp.exp(s[j] - stabiliser) * v[j])


@derived(
    Claim(
        id="flash.merge-is-union",
        title="The merge of the states of two disjoint key sets is the state of their union",
        states=ONLINE + ".",
        reading=PARTIAL + "The states of two sets without a common key are merged.",
        precise=r"For disjoint key sets with indicators $A$ and $B$, any $v$ (all ones for $l$), and $m = \max(m_1, m_2)$: the merged component equals "
        r"$\sum_j (A_j + B_j) e^{s_j - m} v_j$, the component of $A \cup B$ at $m$; and a wholly masked set changes nothing.",
        sources=(S0.at("Flash Attention Algorithm"), MILAKOV.at("section 3.1"), DAO.at("section 3.1")),
        scope="every number of keys, all real scores and values, all real stabilisers (so also the largest visible scores, whose maximum is the union's)",
        uses=("flash.merge-identity",),
        holds=_merges_to_union,
    )
)
def merge_is_union() -> Iterator[Step]:
    m_1, m_2 = sp.symbols("m_1 m_2", real=True)
    one, nothing = Partial(m_1, component(visible[j], m_1)), partial(0, empty=True)
    yield Step(one.merge(nothing).x, "=", one.x, "B wholly masked: the union is A, and the merge returns A's state")
    yield Step(nothing.merge(one).at(mu), "=", one.at(mu), "A wholly masked: the same from the other side, here brought to any stabiliser μ")
    both = one.merge(Partial(m_2, component(other[j], m_2)))
    yield Step(
        both.x, "=", component(visible[j] + other[j], both.m),
        "each factor exp(m_i − m) turns exp(s_j − m_i) into exp(s_j − m); then both sums run over the same keys and add up",
    )  # fmt: skip


@derived(
    Claim(
        id="flash.any-stabiliser",
        title="The value a/l does not depend on the stabiliser",
        states="Softmax is computed incrementally. (What is subtracted from the scores before they are exponentiated is not said.)",
        reading=PARTIAL + "Attention is a/l, and the question is whether m matters.",
        precise=r"With $A_j = 1$ for a visible key and 0 for a masked one, for every real $\mu$: $\frac{\sum_j A_j e^{s_j - \mu} v_j}{\sum_j A_j e^{s_j - \mu}} = \frac{\sum_j A_j e^{s_j} v_j}{\sum_j A_j e^{s_j}}$.",
        sources=(S0.at("Flash Attention Algorithm"), MILAKOV.at("section 2")),
        scope="every number of keys, at least one of them visible; all real scores, values and stabilisers",
        assumes=("at least one key is visible",),
        holds=_ignores_stabiliser,
    )
)
def any_stabiliser() -> Iterator[Step]:
    mass, plain = over_keys(visible[j] * sp.exp(s[j] - mu)), over_keys(visible[j] * sp.exp(s[j]))
    yield Step(mass, "=", sp.exp(-mu) * plain, "exp(−μ) is common to every term of l")
    yield Step(component(visible[j], mu), "=", sp.exp(-mu) * component(visible[j], sp.S.Zero), "and to every term of a")
    yield Step(
        component(visible[j], mu) / mass, "=", component(visible[j], sp.S.Zero) / plain,
        "so it cancels in the quotient, which is positive below because some key is visible", nonzero=(mass, plain),
    )  # fmt: skip


def _folded(tiles: Sequence[Block], joins: Sequence[int]) -> State:
    """Merge neighbouring states until one is left; `joins` picks which pair is next (the first pair, where it has run out)."""
    parts = [state(tile) for tile in tiles]
    picks = iter(joins)
    while len(parts) > 1:
        at = next(picks, 0) % (len(parts) - 1)
        parts[at : at + 2] = [joined(parts[at], parts[at + 1])]
    return parts[0]


def _tiling_is_exact(tiles: Sequence[Block], joins: Sequence[int]) -> Outcome:
    _, mass, weighted = _folded(tiles, joins)
    return equal(weighted / mass, attended([key for tile in tiles for key in tile]))


@derived(
    Claim(
        id="flash.any-tiling-is-exact",
        title="Tiled online softmax is attention, whatever the tiles, their order and their grouping",
        states="Attention is computed block by block, with an online softmax, and the result is exact: no approximation. A sequence may also be distributed over devices.",
        reading=PARTIAL
        + "In real arithmetic: the keys are cut into disjoint blocks, each block's state is formed, the states are merged in any order and grouping, and a is divided by l.",
        precise=r"For any partition of the visible keys into blocks $u = 1..B$ (block $u$ has keys $j = 1..n$, $A_{uj} = 0$ pads a short or masked block), "
        r"any real stabilisers $\mu_u$ and $\mu$: $a/l$ of the merged states is $\sum_{u,j} A_{uj} e^{s_{uj}} v_{uj} / \sum_{u,j} A_{uj} e^{s_{uj}}$.",
        sources=(S0.at("Flash Attention Algorithm"), S1.at("Flash Attention"), S1.at("Attention Memory Scaling"), DAO.at("theorem 1")),
        scope="every number of keys and blocks, all real scores and values, at least one visible key in the row",
        assumes=("at least one key of the row is visible", "real arithmetic: nothing rounds"),
        uses=("flash.merge-associative", "flash.merge-commutative", "flash.merge-identity", "flash.merge-is-union", "flash.any-stabiliser"),
        inventory=("C109", "C151"),
        holds=_tiling_is_exact,
    )
)
def any_tiling_is_exact() -> Iterator[Step]:
    yield from _grouping_is_rescaling()
    mass = over_blocks(over_keys(visible[u, j] * sp.exp(s[u, j])))
    weighted = over_blocks(over_keys(visible[u, j] * sp.exp(s[u, j]) * v[u, j]))
    l = over_blocks(rescale(at_block[u], mu) * over_keys(visible[u, j] * sp.exp(s[u, j] - at_block[u])))
    a = over_blocks(rescale(at_block[u], mu) * over_keys(visible[u, j] * sp.exp(s[u, j] - at_block[u]) * v[u, j]))
    yield Step(l, "=", sp.exp(-mu) * mass, "block by block the stabiliser μ_u cancels; what is left is one sum over all visible keys, at μ")
    yield Step(a, "=", sp.exp(-mu) * weighted, "the same with the values")
    yield Step(a / l, "=", weighted / mass, "exp(−μ) cancels: the quotient is attention over all keys, for any B blocks", nonzero=(l, mass))


def _grouping_is_rescaling() -> Iterator[Step]:
    """The induction over groupings: if two groups hold the rescaled sums of their blocks, so does their merge."""
    m_1, m_2 = sp.symbols("m_1 m_2", real=True)
    x = sp.IndexedBase("x", real=True)
    one = Partial(m_1, over_blocks(visible[u] * rescale(at_block[u], m_1) * x[u]))
    second = sp.IndexedBase("C", nonnegative=True)  # the second group's blocks: B is their number
    two = Partial(m_2, over_blocks(second[u] * rescale(at_block[u], m_2) * x[u]))
    both = one.merge(two)
    yield Step(
        both.x, "=", over_blocks((visible[u] + second[u]) * rescale(at_block[u], both.m) * x[u]),
        "induction: two disjoint groups of blocks (A_u is 1 for a block of the first, C_u for one of the second) that hold Σ exp(μ_u − m_i) x_u merge to the same sum over both groups, so order and grouping are free "
        "(a group of one block is the start; groups without a visible key drop out by the identity)",
    )  # fmt: skip


# The same in binary64: every operation rounded to nearest, the exponential as well.


def rounded_exp(x: float) -> float:
    """The binary64 number nearest to exp(x); exp(−∞) = 0."""
    return 0.0 if x == float("-inf") else float(_fraction(ball(Fraction(x)).exp().mid()))


def _fraction(x: arb) -> Fraction:
    mantissa, exponent = (int(part) for part in x.man_exp())
    return Fraction(mantissa) * Fraction(2) ** exponent


def _seen(keys: Block) -> list[tuple[float, float]]:
    return [(float(score), float(value)) for score, value in keys if score is not None]


def rounded_standard(keys: Block) -> float:
    """Attention of one row in binary64 as it is usually written: normalise the weights, then add up weight times value, from left to right."""
    row = _seen(keys)
    m = max(score for score, _ in row)
    weights = [rounded_exp(score - m) for score, _ in row]
    mass, out = 0.0, 0.0
    for w in weights:
        mass += w
    for w, (_, value) in zip(weights, row, strict=True):
        out += w / mass * value
    return out


def rounded_online(tiles: Sequence[Block]) -> float:
    """The online recurrence in binary64 over blocks with a visible key, from left to right; one division at the end."""
    m, l, a = float("-inf"), 0.0, 0.0
    for row in filter(None, map(_seen, tiles)):
        new = max(m, *(score for score, _ in row))
        shrink, m = rounded_exp(m - new), new
        l, a = shrink * l, shrink * a
        for score, value in row:
            w = rounded_exp(score - m)
            l, a = l + w, a + w * value
    return a / l


def _same_floats(tiles: Sequence[Block], joins: Sequence[int]) -> Outcome:
    """`joins` is not used: the recurrence runs from left to right, as an implementation would."""
    return decided(rounded_standard([key for tile in tiles for key in tile]) == rounded_online(tiles))


def _floats_by_hand(tiles: Sequence[Block], joins: Sequence[int]) -> str:
    keys = [key for tile in tiles for key in tile]
    row = _seen(keys)
    m = max(score for score, _ in row)
    weights = ", ".join(f"exp({score - m!r}) = {rounded_exp(score - m)!r}" for score, _ in row)
    standard, online, truth = rounded_standard(keys), rounded_online(tiles), attended(keys)
    return (
        f"One row in IEEE 754 binary64, every operation rounded to nearest. Visible (score, value) pairs: {row}, in {len(tiles)} block(s).\n\n"
        f"Standard, stabilised by the largest score {m!r}: the weights before division are {weights}. Dividing each by their sum first and then adding "
        f"weight × value from left to right gives `{standard!r}`.\n\n"
        f"Online: add weight and weight × value, rescale when a larger score arrives, divide once at the end: `{online!r}`.\n\n"
        f"They differ by {online - standard!r}. The true value is {show(truth, 20)}; the errors are {show(ball(Fraction(standard)) - truth, 3)} and "
        f"{show(ball(Fraction(online)) - truth, 3)}. "
        "The plainest case of the same thing: `sum([1 / 6] * 6) == 0.9999999999999999` while `6 / 6 == 1.0`."
    )


same_results = Claim(
    id="flash.same-results",
    title="Tiled attention gives the same results as standard attention",
    states="FlashAttention is exact: it makes no approximation, and its results are the same as those of standard attention.",
    reading="There are two readings: the same function of real numbers, and the same numbers out of a machine. The first is true, and is the corrected claim. "
    "This entry tries the second, with correctly rounded binary64 operations in the order in which each algorithm performs them.",
    precise="The two algorithms, run in binary64, return the same bits.",
    sources=(S1.at("Flash Attention"),),
    scope="rows in binary64 with at least one visible key",
    inventory=("C110",),
    holds=_same_floats,
    worked=_floats_by_hand,
    unsaid="nothing rounds (in floats the two algorithms add and divide in different orders, and agree only within rounding error)",
    corrected_by="flash.any-tiling-is-exact",
)


# The loop of the text: a softmax of its own in every block.


def _shifted(parts: Sequence[Block], shifts: Sequence[int]) -> list[list[Key]]:
    """Every score of block u moved by shifts[u] (0 where there is none)."""
    moved = [*shifts, *[0] * len(parts)]
    return [[(None if score is None else score + by, value) for score, value in part] for part, by in zip(parts, moved, strict=False)]


def _block_outputs_suffice(parts: Sequence[Block], shifts: Sequence[int]) -> Outcome:
    """If two rows have equal block outputs, an update that sees only those must return one answer: are the two attentions equal?"""
    moved = _shifted(parts, shifts)
    if equal([attended(x) for x in parts], [attended(x) for x in moved]) is not Outcome.HELD:
        return Outcome.UNDECIDED
    return equal(attended([key for x in parts for key in x]), attended([key for x in moved for key in x]))


def _log_sum_exps_suffice(parts: Sequence[Block], shifts: Sequence[int]) -> Outcome:
    return Outcome.worst([_combines(parts), _combines(_shifted(parts, shifts))])


def _combines(parts: Sequence[Block]) -> Outcome:
    masses = [sum((ball(score).exp() for score, _ in part if score is not None), arb(0)) for part in parts]
    heights = [mass.log() for mass in masses]
    weights = [x.exp() for x in heights]
    mixed = sum((w * attended(part) for w, part in zip(weights, parts, strict=True)), arb(0)) / sum(weights, arb(0))
    return equal(mixed, attended([key for part in parts for key in part]))


def _blocks_by_hand(parts: Sequence[Block], shifts: Sequence[int]) -> str:
    moved = _shifted(parts, shifts)
    lines = [
        f"- block {i}: (score, value) pairs {_pairs(x)} in the first row, {_pairs(y)} in the second; block output Σ e^s v / Σ e^s = {show(attended(x))} and {show(attended(y))}"
        for i, (x, y) in enumerate(zip(parts, moved, strict=True), 1)
    ]
    first, second = (attended([key for part in row for key in part]) for row in (parts, moved))
    return (
        "Two rows with the same values; in the second, all scores of a block are moved by one constant, which the block's own softmax cannot see:\n\n"
        + "\n".join(lines)
        + f"\n\nAttention over all keys, the same quotient over both blocks' keys, is {show(first)} in the first row and {show(second)} in the second. "
        "An update that is handed the block outputs alone gets the same inputs for both, so it is wrong for at least one of them."
    )


def _pairs(keys: Block) -> str:
    return "[" + ", ".join(f"({'−∞' if score is None else score}, {value})" for score, value in keys) + "]"


@derived(
    Claim(
        id="flash.update-from-block-softmax",
        title="The output can be updated from the output so far and each block's own softmax output",
        states="In the loop over blocks of keys, each block has P = softmax(S) and O_block = P V, and then the output is updated: O = update_output(O, O_block). The loop ends there, as if that were all.",
        reading="Softmax normalises over the keys of the block, as it is written, and update_output is any function whatever of the two arguments that it is given (even if it remembered the outputs of all earlier blocks).",
        precise="There is a function update_output(O, O_block) which, applied block by block, ends at softmax(S) V over all keys.",
        sources=(S0.at("Algorithmic Steps"),),
        scope="rows cut into any blocks, a visible key in each",
        inventory=("C113", "C114"),
        holds=_block_outputs_suffice,
        worked=_blocks_by_hand,
        corrected_by="flash.blocks-combine-by-log-sum-exp",
    )
)
def update_from_block_softmax() -> Iterator[Step]:
    x, y, w = sp.symbols("x y w", real=True)
    g, c_1 = sp.symbols("g c_1", positive=True)
    block = over_keys(sp.exp(s[j] + c) * v[j]) / over_keys(sp.exp(s[j] + c))
    yield Step(block, "=", over_keys(sp.exp(s[j]) * v[j]) / over_keys(sp.exp(s[j])), "a block's own softmax does not see a constant added to all its scores")
    before = (sp.exp(x) * (w + g) + sp.exp(y) * w) / (sp.exp(x) + sp.exp(y))
    after = (sp.exp(x + c_1) * (w + g) + sp.exp(y) * w) / (sp.exp(x + c_1) + sp.exp(y))
    h = sp.Symbol("h", positive=True)  # exp(c_1) = 1 + h
    gap = g * sp.exp(x + y) * h / ((sp.exp(x) + sp.exp(y)) * ((1 + h) * sp.exp(x) + sp.exp(y)))
    moved = after.subs(sp.exp(x + c_1), (1 + h) * sp.exp(x))
    yield Step(
        before, "!=", moved,
        "but attention does: two blocks of one key each, values w + g and w with g > 0, the first block's score raised by log(1 + h), h > 0", certificate=gap,
    )  # fmt: skip


@derived(
    Claim(
        id="flash.blocks-combine-by-log-sum-exp",
        title="Block outputs combine to attention, weighted by the softmax of the blocks' log-sum-exps",
        states="(Not in the text; it follows from the definition of the log-sum-exp.) What the loop needs besides: each block's log-sum-exp, kept beside its output.",
        precise=r"Let key $j$ of block $u$ have the score $s_{uj}$ and the value $v_{uj}$. With $\lambda_u = \mu_u + \log \sum_j e^{s_{uj} - \mu_u}$ (any stabiliser $\mu_u$) and $O_u = \sum_j e^{s_{uj}} v_{uj} / \sum_j e^{s_{uj}}$: "
        r"$\sum_u e^{\lambda_u} O_u / \sum_u e^{\lambda_u}$ is attention over all keys.",
        sources=(S0.at("Algorithmic Steps"), DAO.at("section 3.1")),
        scope="every number of blocks, each with at least one visible key (j runs over visible keys)",
        holds=_log_sum_exps_suffice,
    )
)
def blocks_combine_by_log_sum_exp() -> Iterator[Step]:
    height = at_block[u] + sp.log(over_keys(sp.exp(s[u, j] - at_block[u])))
    output = over_keys(sp.exp(s[u, j]) * v[u, j]) / over_keys(sp.exp(s[u, j]))
    whole = over_blocks(over_keys(sp.exp(s[u, j]) * v[u, j])) / over_blocks(over_keys(sp.exp(s[u, j])))
    yield Step(
        sp.exp(height), "=", over_keys(sp.exp(s[u, j])),
        "the block's log-sum-exp is its stabiliser plus log l, so its exponential is the mass that the block's softmax divided away",
    )  # fmt: skip
    yield Step(over_blocks(sp.exp(height) * output), "=", over_blocks(over_keys(sp.exp(s[u, j]) * v[u, j])), "mass times block output, added up over blocks")
    yield Step(over_blocks(sp.exp(height) * output) / over_blocks(sp.exp(height)), "=", whole, "divided by the total mass")


# The recurrence over masked scores: in the extended reals, where (−∞) − (−∞) has no value.


def _recurrence(parts: Sequence[Block], stand_in: bool) -> arb:
    """a/l of the online recurrence with −∞ for masked scores, as a ball; `stand_in` subtracts 0 instead of a running maximum of −∞."""
    low = arb("-inf")
    m, l, a = low, arb(0), arb(0)
    for part in parts:
        row = [(low if score is None else ball(score), ball(value)) for score, value in part]
        new = max([m, *(score for score, _ in row)])
        base = arb(0) if stand_in and new == low else new
        shrink, m = (m - base).exp(), new
        weights = [(score - base).exp() for score, _ in row]
        l = shrink * l + sum(weights, arb(0))
        a = shrink * a + sum((w * value for w, (_, value) in zip(weights, row, strict=True)), arb(0))
    return a / l


def _is_attention(value: arb, parts: Sequence[Block]) -> Outcome:
    return equal(value, attended([key for part in parts for key in part])) if value.is_finite() else Outcome.REFUTED


def _unchanged_with_masks(parts: Sequence[Block]) -> Outcome:
    return _is_attention(_recurrence(parts, stand_in=False), parts)


def _stand_in_with_masks(parts: Sequence[Block]) -> Outcome:
    """With the finite stand-in for every mask; and unchanged, where the first block has a visible key."""
    unchanged = [_unchanged_with_masks(parts)] if any(score is not None for score, _ in parts[0]) else []
    return Outcome.worst([_is_attention(_recurrence(parts, stand_in=True), parts), *unchanged])


def _mask_by_hand(parts: Sequence[Block]) -> str:
    return (
        f"Blocks of (score, value) pairs: {', '.join(map(_pairs, parts))}. Before the first block the running maximum is −∞. "
        "Every score of that block is −∞, so the new maximum is −∞ too, and the first weight is exp(−∞ − (−∞)), which has no value "
        '(IEEE 754: `float("-inf") - float("-inf")` is `nan`). Everything that is added to it afterwards stays NaN: '
        f"the recurrence ends at {_recurrence(parts, stand_in=False).str(6)}, while attention over the visible keys is "
        f"{show(attended([key for part in parts for key in part]))}."
    )


unchanged_with_masks = Claim(
    id="flash.masks-need-no-change",
    title="The online softmax works unchanged when masked scores are −∞",
    states="(Implied.) Softmax is computed incrementally. Nothing is said of masked scores, so what is offered is offered for them too.",
    reading="A running maximum m starts at −∞ and becomes max(m, scores of the block) with every block. The block's weights are exp(s − m), and the sums so far are multiplied by exp(m_old − m). Masked scores are −∞, "
    "under any mask that leaves the row a visible key.",
    precise="This recurrence, run over extended real scores, ends at attention over the visible keys.",
    sources=(S0.at("Algorithmic Steps"),),
    scope="rows with at least one visible key, in any block",
    inventory=("C115",),
    holds=_unchanged_with_masks,
    worked=_mask_by_hand,
    unsaid="the first block that a row meets has a visible key (so it is with a causal mask and blocks taken from the left, not with every mask)",
    corrected_by="flash.masked-blocks-with-finite-stabiliser",
)


@derived(
    Claim(
        id="flash.masked-blocks-with-finite-stabiliser",
        title="With any finite stabiliser in place of a running maximum of −∞, the recurrence is exact for every mask",
        states="(Not in the text; it follows from the freedom to choose the stabiliser.) A finite number is subtracted as long as no visible key has been met. (Without this change only those rows are safe whose first block has a visible key.)",
        precise=r"With a visible key in the row, $a/l$ is attention over the visible keys for every mask, if a finite $\mu$ is subtracted while $m = -\infty$: "
        r"one step from the sums at $\mu$ of the keys met so far (indicator $A$, possibly none) and a block $B$ (possibly wholly masked) gives "
        r"$e^{\mu - \mu_{new}} \sum_j A_j e^{s_j - \mu} v_j + \sum_j B_j e^{s_j - \mu_{new}} v_j = \sum_j (A_j + B_j) e^{s_j - \mu_{new}} v_j$.",
        sources=(S0.at("Algorithmic Steps"), DAO.at("section 3.1")),
        scope="every number of keys and blocks, every mask that leaves the row a visible key; all real scores and values",
        assumes=("at least one key of the row is visible",),
        uses=("flash.any-stabiliser",),
        holds=_stand_in_with_masks,
    )
)
def masked_blocks_with_finite_stabiliser() -> Iterator[Step]:
    new = sp.Symbol("mu_new", real=True)
    yield Step(
        rescale(mu, new) * component(visible[j], mu) + component(other[j], new), "=", component(visible[j] + other[j], new),
        "one step between any two finite stabilisers: a masked key has B_j = 0, its exp(−∞), and sums over no visible key are 0 at every finite stabiliser; "
        "by induction the last sums are those of all visible keys, and their quotient does not see the stabiliser",
    )  # fmt: skip
