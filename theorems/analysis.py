"""What analyses of attention compute: flow and rollout through layers, the importance of connections and heads, and weights as explanations.

Maps have a row for each position that reads and a column for each that is read; rows sum to one. A layer here is a fixed map: its weights do not move with its
input, there is no value projection, norm or feed-forward part unless one is written down. In a derivation a map is any real matrix A, made row-stochastic by
what its rows lack, A_ij + δ_ij (1 − Σ_l A_il): a matrix whose rows sum to one lacks nothing and stands for itself, zeros included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import combinations, pairwise, permutations

import sympy as sp
from flint import arb, fmpq, fmpq_mat

from theorems import exact
from theorems.claim import Claim, derived
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S3, S4, Source
from theorems.step import Step
from theorems.symbols import V, c, e, g, h, head, i, j, k, l, n, p, s, total, v
from theorems.symmetry import swapped

Exact = int | Fraction
Row = Sequence[Exact]
Parts = Sequence[Sequence[int]]  # a map before its rows are divided by their sums
Map = list[list[Fraction]]
D = sp.KroneckerDelta
HALF = sp.Rational(1, 2)
apart = sp.UnevaluatedExpr  # keeps a part as a reader would write it
PARTS = "(The case gives each row of a map as parts, which are divided by their sum; a row of zeros stands for a token that attends to itself alone.)"

ABNAR = Source(key="abnar2020", title="Quantifying Attention Flow in Transformers", url="https://arxiv.org/abs/2005.00928")
FORD = Source(key="ford1956", title="Maximal Flow Through a Network", url="https://doi.org/10.4153/CJM-1956-045-5")
MICHEL = Source(key="michel2019", title="Are Sixteen Heads Really Better than One?", url="https://arxiv.org/abs/1905.10650")
JAIN = Source(key="jain2019", title="Attention is not Explanation", url="https://arxiv.org/abs/1902.10186")
KOBAYASHI = Source(
    key="kobayashi2020", title="Attention is Not Only a Weight: Analyzing Transformers with Vector Norms", url="https://arxiv.org/abs/2004.10102"
)

A, B = (sp.IndexedBase(name, real=True) for name in "AB")
R, E, F = (sp.IndexedBase(name, nonnegative=True) for name in "REF")
x, y = sp.IndexedBase("x", nonnegative=True), sp.IndexedBase("y", nonnegative=True)


def _map(rows: Parts) -> Map:
    """Each row over its sum (a row of zeros attends to its own position)."""
    return [[Fraction(e, sum(row)) for e in row] if sum(row) else [Fraction(at == place) for at in range(len(row))] for place, row in enumerate(rows)]


def _times(left: Sequence[Row], right: Sequence[Row]) -> Map:
    return [[sum((Fraction(a) * b for a, b in zip(row, column, strict=True)), Fraction(0)) for column in zip(*right, strict=True)] for row in left]


def _identity(length: int) -> Map:
    return [[Fraction(a == b) for b in range(length)] for a in range(length)]


def _product(maps: Sequence[Map]) -> Map:
    """A_L ⋯ A_1 for the maps A_1, …, A_L."""
    result = _identity(len(maps[0]))
    for one in maps:
        result = _times(one, result)
    return result


def _halved(one: Map) -> Map:
    """½ (A + I)."""
    return [[(e + (a == b)) / 2 for b, e in enumerate(row)] for a, row in enumerate(one)]


def _run(maps: Sequence[Map], values: Row, residual: bool) -> list[Fraction]:
    """One number for each position, through the layers: x ← A x, or x ← x + A x."""
    states = [Fraction(e) for e in values]
    for one in maps:
        read = [_dot(row, states) for row in one]
        states = [old + new for old, new in zip(states, read, strict=True)] if residual else read
    return states


def _dot(left: Row, right: Row) -> Fraction:
    return sum((Fraction(a) * b for a, b in zip(left, right, strict=True)), Fraction(0))


def _shown(rows: Sequence[Sequence[object]]) -> str:
    return "[" + "; ".join(", ".join(map(str, row)) for row in rows) + "]"


def stochastic(matrix: sp.IndexedBase, row: sp.Symbol, key: sp.Symbol) -> sp.Expr:
    """Entry (row, key) of the matrix plus what its rows lack to one, on the diagonal."""
    return matrix[row, key] + D(row, key) * (1 - total(matrix[row, l], l))


# --- rollout (C269, C270) ---------------------------------------------------------------------------------------------------------------


def _rollout_stochastic_holds(layers: Sequence[Parts]) -> Outcome:
    maps = [_map(rows) for rows in layers]
    rolled = [_product(maps), _product([_halved(one) for one in maps])]
    return exact.decided(all(sum(row) == 1 and min(row) >= 0 for one in rolled for row in one))


@derived(
    Claim(
        id="analysis.rollout-stochastic",
        title="A product of attention maps is an attention map: its rows are distributions",
        states="Attention matrices may be multiplied across layers.",
        reading="The product of maps whose rows are non-negative and sum to one has such rows again, with or without the residual term ½(A + I).",
        precise=r"$\sum_j (BA)_{ij} = 1$ and $(BA)_{ij}\ge0$ if $A$ and $B$ are row-stochastic; so is $\tfrac12(A+I)$. By induction the same holds for any number of layers.",
        sources=(S1.at("Attention Rollout"), ABNAR),
        scope="every length, any number of layers, all row-stochastic maps (zeros and masks included)",
        inventory=("C269",),
        holds=_rollout_stochastic_holds,
    )
)
def rollout_stochastic() -> Iterator[Step]:
    yield Step(sp.Integer(0), "<=", total(R[i, k] * E[k, j], k), "products and sums of numbers that are not negative")
    yield Step(total((stochastic(A, i, j) + D(i, j)) / 2, j), "=", sp.Integer(1), "half of a row of A and half of a row of the identity")
    yield Step(
        total(total(stochastic(B, i, k) * stochastic(A, k, j), k), j),
        "=",
        sp.Integer(1),
        "a product: the inner sum over j is 1 in every row of A, and what is left is the sum of a row of B",
    )


def _order_holds(layers: Sequence[Parts], values: Row) -> Outcome:
    """A_L ⋯ A_1 applied to the values gives what the layers give one after the other."""
    maps = [_map(rows) for rows in layers]
    return exact.decided(_run(maps, values, residual=False) == [_dot(row, values) for row in _product(maps)])


@derived(
    Claim(
        id="analysis.rollout-order",
        title="Later layers multiply from the left",
        states="(Not in the text, which multiplies attention matrices across layers.) In which order they are multiplied.",
        precise=r"$A_2(A_1V) = (A_2A_1)V$: layers $1,\dots,L$ applied one after the other return $(A_L\cdots A_1)V$, and entry $(i,j)$ of that product is the sum "
        r"over all paths $i\to k_{L-1}\to\dots\to k_1\to j$ of the products of their weights.",
        sources=(S1.at("Attention Rollout"), ABNAR),
        scope="every length and width, any number of layers of fixed maps, all real values; by induction from two layers",
        inventory=("C269",),
        holds=_order_holds,
    )
)
def rollout_order() -> Iterator[Step]:
    yield Step(
        total(B[i, k] * total(A[k, j] * V[j, e], j), k),
        "=",
        total(total(B[i, k] * A[k, j], k) * V[j, e], j),
        "the second layer reads what the first returned; both sums are finite, and either may be taken first",
    )


def _any_order_holds(layers: Sequence[Parts], values: Row) -> Outcome:
    """The maps multiplied as they are listed, A_1 ⋯ A_L."""
    maps = [_map(rows) for rows in layers]
    return exact.decided(_run(maps, values, residual=False) == [_dot(row, values) for row in _product(maps[::-1])])


def _any_order_worked(layers: Sequence[Parts], values: Row) -> str:
    maps = [_map(rows) for rows in layers]
    listed = [_dot(row, values) for row in _product(maps[::-1])]
    return (
        f"The layers' maps are, first to last, {' and '.join(_shown(one) for one in maps)}, and the tokens carry the numbers {', '.join(map(str, values))}. "
        f"One layer after the "
        f"other returns {', '.join(map(str, _run(maps, values, residual=False)))}. The maps multiplied in the order of the layers, first to last, give "
        f"{', '.join(map(str, listed))}; multiplied last to first they give the former. {PARTS}"
    )


any_order = Claim(
    id="analysis.rollout-any-order",
    title="Attention matrices are multiplied across layers",
    states="Multiply attention matrices across layers to see the end-to-end attention flow (in an order that is not named).",
    reading="The matrices are multiplied as they come, first layer first, and the product is applied to the tokens' values.",
    precise=r"Layers $1,\dots,L$ applied one after the other return $(A_1A_2\cdots A_L)V$.",
    sources=(S1.at("Attention Rollout"),),
    scope="layers of fixed row-stochastic maps",
    inventory=("C269",),
    unsaid="later layers stand on the left, A_L ⋯ A_1 (or the maps commute)",
    corrected_by="analysis.rollout-order",
    derive=rollout_order.derive,
    holds=_any_order_holds,
    worked=_any_order_worked,
)


def _plain_holds(layers: Sequence[Parts], values: Row) -> Outcome:
    """The plain product holds the shares of layers with residual connections, those of ½ (A + I)."""
    maps = [_map(rows) for rows in layers]
    return exact.decided(_product(maps) == _product([_halved(one) for one in maps]))


def _plain_worked(layers: Sequence[Parts], values: Row) -> str:
    maps = [_map(rows) for rows in layers]
    rolled, shares = _product(maps), _product([_halved(one) for one in maps])
    a, b = next((a, b) for a, row in enumerate(rolled) for b, entry in enumerate(row) if entry != shares[a][b])
    units = [[Fraction(at == place) for at in range(len(rolled))] for place in range(len(rolled))]
    arrived = [_run(maps, unit, residual=True)[a] for unit in units]
    return (
        f"The maps are, first to last, {' and '.join(_shown(one) for one in maps)}, with the product {_shown(rolled)}. Layers x ← x + A x, given an input of 1 at one token and 0 elsewhere, "
        f"bring to token {a + 1} {', '.join(f'{amount} from token {place + 1}' for place, amount in enumerate(arrived))}, {sum(arrived, Fraction(0))} in all. The share of token {b + 1} is "
        f"{shares[a][b]}; the entry ({a + 1}, {b + 1}) of the product is {rolled[a][b]}. {PARTS}"
    )


plain_rollout = Claim(
    id="analysis.rollout-plain",
    title="The product of the attention matrices shows the end-to-end attention flow",
    states="Multiply attention matrices across layers to see end-to-end attention flow.",
    reading="In the Transformer layers that the texts describe, which have residual connections: entry (i, j) of the product is the share of input j in output i.",
    precise=r"For layers $x \leftarrow x + A_lx$ the share of input $j$ in output $i$, $2^{-L}$ times what arrives of it, is $(A_L\cdots A_1)_{ij}$. It is "
    r"$\prod_l\frac12(A_l+I)$ instead (analysis.rollout-residual).",
    sources=(S1.at("Attention Rollout"),),
    scope="layers of fixed row-stochastic maps with residual connections, no projections",
    inventory=("C270",),
    unsaid="the layers have no residual connections (and weigh their inputs directly, without value projections), and later layers stand on the left",
    corrected_by="analysis.rollout-order",
    derive=rollout_order.derive,
    holds=_plain_holds,
    worked=_plain_worked,
)


def _reaches(maps: Sequence[Map]) -> list[list[bool]]:
    """Whether the input of token b moves the output of token a, in layers with residual connections."""
    length = len(maps[0])
    columns = [_run(maps, [Fraction(a == b) for a in range(length)], residual=True) for b in range(length)]
    return [[columns[b][a] != 0 for b in range(length)] for a in range(length)]


def _residual_holds(layers: Sequence[Parts], values: Row) -> Outcome:
    """2^L times the product of ½ (A + I) is what the layers do; it is positive where an input reaches an output, and has at least 2^−L on its diagonal."""
    maps = [_map(rows) for rows in layers]
    rolled = _product([_halved(one) for one in maps])
    same = _run(maps, values, residual=True) == [2 ** len(maps) * _dot(row, values) for row in rolled]
    return exact.decided(same and [[e > 0 for e in row] for row in rolled] == _reaches(maps))


@derived(
    Claim(
        id="analysis.rollout-residual",
        title="With residual connections the product of ½(A + I) gives the shares",
        states="(Not in the text, which multiplies the attention matrices alone.) End-to-end attention flow of layers with residual connections.",
        precise=r"Layers $x\leftarrow x + A_lx$ return $2^L\prod_l\tfrac12(A_l+I)\,x$ (later layers on the left), and the rows of $\prod_l\tfrac12(A_l+I)$ sum to one: its "
        r"entry $(i,j)$ is the share of input $j$ in output $i$. The formula is that of two layers.",
        sources=(S1.at("Attention Rollout"), ABNAR),
        scope="every length, any number of layers (by induction) of fixed maps with residual connections; no value projections, norms or feed-forward parts",
        inventory=("C270",),
        uses=("analysis.rollout-stochastic", "analysis.rollout-order"),
        holds=_residual_holds,
    )
)
def rollout_residual() -> Iterator[Step]:
    first = v[k] + total(A[k, j] * v[j], j)
    yield Step(first, "=", 2 * total((A[k, j] + D(k, j)) / 2 * v[j], j), "one layer adds what it reads to what was there")
    shares = total((B[i, k] + D(i, k)) / 2 * (A[k, j] + D(k, j)) / 2, k)
    output = v[i] + total(A[i, j] * v[j], j) + total(B[i, k] * first, k)
    yield Step(output, "=", 4 * total(shares * v[j], j), "the second layer does the same to the first one's output: 2 · 2 times the product of the halves")


def _lower_bounds_hold(layers: Sequence[Parts]) -> Outcome:
    """Every entry is at least 2^−L times the larger of δ and the largest entry there in any one layer."""
    maps = [_map(rows) for rows in layers]
    rolled, share = _product([_halved(one) for one in maps]), Fraction(1, 2 ** len(maps))
    return exact.decided(all(e >= share * max(Fraction(a == b), *(one[a][b] for one in maps)) for a, row in enumerate(rolled) for b, e in enumerate(row)))


@derived(
    Claim(
        id="analysis.rollout-lower-bounds",
        title="Rollout with residual connections keeps at least 2^−L of everything that one layer does",
        states="(Not in the text.) What can be read off a product of ½(A + I) without knowing the other layers.",
        precise=r"$R_{ij}\ge 2^{-L}A^{(l)}_{ij}$ for every layer $l$, and $R_{ii}\ge2^{-L}$, where $R=\prod_l\tfrac12(A_l+I)$: each further layer halves what was there at "
        r"worst, and reads half of it anew. In the formulas $E$ is the map of one layer and $F$ the identity, and then $R$ any product, with a layer $E$ "
        r"above or below it.",
        sources=(S1.at("Attention Rollout"), ABNAR),
        scope="every length, any number of layers (by induction), all non-negative maps",
        inventory=("C270",),
        holds=_lower_bounds_hold,
    )
)
def rollout_lower_bounds() -> Iterator[Step]:
    own = (E[i, j] + F[i, j]) / 2  # F the identity
    yield Step(E[i, j] / 2, "<=", own, "the layer itself has half of its weights", certificate=F[i, j] / 2)
    yield Step(F[i, j] / 2, "<=", own, "and half of the identity", certificate=E[i, j] / 2)
    after = total((E[i, k] + D(i, k)) / 2 * R[k, j], k)
    yield Step(after, "=", R[i, j] / 2 + total(E[i, k] * R[k, j], k) / 2, "a layer above keeps half of row i and reads the rest")
    yield Step(R[i, j] / 2, "<=", after, "so no entry falls below half of what it was", certificate=total(E[i, k] * R[k, j], k) / 2)
    before = total(R[i, k] * (E[k, j] + D(k, j)) / 2, k)
    yield Step(R[i, j] / 2, "<=", before, "nor does it with a layer below: L layers leave at least 2^−L", certificate=total(R[i, k] * E[k, j], k) / 2)


def _maps_compose_hold(maps: Sequence[Sequence[int]]) -> Outcome:
    """One-hot heads that look at f_1, …, f_L roll out to the head that looks at f_1(… f_L(i))."""
    length = len(maps[0])
    rolled = _product([[[Fraction(b == seen % length) for b in range(length)] for seen in one] for one in maps])
    ends = list(range(length))
    for one in reversed(maps):
        ends = [one[place] % length for place in ends]
    return exact.decided(rolled == [[Fraction(b == end) for b in range(length)] for end in ends])


@derived(
    Claim(
        id="analysis.rollout-of-maps",
        title="One-hot heads roll out to the composition of where they look",
        states="(Not in the text, which multiplies attention matrices.) What a product of hard attention maps is.",
        precise=r"If row $i$ of $B$ is one-hot at $k=f(i)$, row $i$ of $BA$ is row $k$ of $A$; if that is one-hot at $l=g(k)$, row $i$ of $BA$ is one-hot at $g(f(i))$. So "
        r"layers that look at $f_1,\dots,f_L$ roll out to $i\mapsto f_1(\cdots f_L(i))$.",
        sources=(S1.at("Attention Rollout"), ABNAR),
        scope="every length, any number of layers of one-hot rows (by induction), no residual connections",
        inventory=("C269",),
        uses=("analysis.rollout-order",),
        holds=_maps_compose_hold,
    )
)
def rollout_of_maps() -> Iterator[Step]:
    yield Step(total(D(l, k) * A[l, j], l), "=", A[k, j], "a row that is one-hot at k picks row k")
    yield Step(total(D(i, k) * total(D(j, l) * v[j], j), i), "=", v[l], "and if row k is one-hot at l, the value at l comes out")


# --- maximal flow (C268) ----------------------------------------------------------------------------------------------------------------


def _maximal_flow(capacity: dict[tuple[int, int], Fraction], source: int, sink: int) -> tuple[dict[tuple[int, int], Fraction], set[int]]:
    """A flow by augmenting along shortest paths, and the nodes that the source still reaches in the residual graph."""
    flow = dict.fromkeys(capacity, Fraction(0))
    near: dict[int, list[int]] = {}
    for a, b in capacity:
        near.setdefault(a, []).append(b)
        near.setdefault(b, []).append(a)

    def room(a: int, b: int) -> Fraction:
        return capacity.get((a, b), Fraction(0)) - flow.get((a, b), Fraction(0)) + flow.get((b, a), Fraction(0))

    while True:
        came, waiting = {source: source}, [source]
        for a in waiting:
            for b in near.get(a, []):
                if b not in came and room(a, b) > 0:
                    came[b] = a
                    waiting.append(b)
        if sink not in came:
            return flow, set(came)
        path = [sink]
        while path[-1] != source:
            path.append(came[path[-1]])
        edges = [(b, a) for a, b in pairwise(path)]
        amount = min(room(a, b) for a, b in edges)
        for a, b in edges:
            back = min(amount, flow.get((b, a), Fraction(0)))
            if back:
                flow[b, a] -= back
            if amount > back:
                flow[a, b] += amount - back


def _network(maps: Sequence[Map]) -> dict[tuple[int, int], Fraction]:
    """Node L·n + a is token a after layer L; edges go from a reader to what it reads, one layer below."""
    length = len(maps[0])
    return {
        ((layer + 1) * length + a, layer * length + b): weight
        for layer, one in enumerate(maps)
        for a, row in enumerate(one)
        for b, weight in enumerate(row)
        if weight
    }


def _flow_holds(layers: Sequence[Parts], reader: int, read: int) -> Outcome:
    """The flow found is feasible, equals a cut (so none is larger), lies between rollout and 1."""
    maps = [_map(rows) for rows in layers]
    length = len(maps[0])
    source, sink = len(maps) * length + reader % length, read % length
    capacity = _network(maps)
    flow, side = _maximal_flow(capacity, source, sink)
    feasible = all(0 <= amount <= capacity[edge] for edge, amount in flow.items())
    nodes = {node for edge in capacity for node in edge}
    surplus = {
        node: sum((f for (a, _), f in flow.items() if a == node), Fraction(0)) - sum((f for (_, b), f in flow.items() if b == node), Fraction(0))
        for node in nodes
    }
    conserved = all(amount == 0 for node, amount in surplus.items() if node not in (source, sink))
    value = surplus.get(source, Fraction(0))
    cut = sum((weight for (a, b), weight in capacity.items() if a in side and b not in side), Fraction(0))
    rolled = _product(maps)[reader % length][sink]
    return exact.decided(feasible and conserved and value == cut and rolled <= value <= 1)


@derived(
    Claim(
        id="analysis.flow-is-maximal",
        title="A flow that equals a cut is maximal; attention flow is never below rollout",
        states="(Not in the text; the meaning that the cited paper gives to attention flow.) Attention weights as capacities of edges between layers.",
        precise=r"Let token $i$ after the last layer send a flow to input $j$ through edges of capacity $A^{(l)}_{ab}$. No flow exceeds the capacity of any cut, so one that "
        r"equals a cut is maximal; sending $\rho_aA_{ab}\tau_b$ along an edge ($\rho_a$ what reaches $a$, $\tau_b$ the rollout from $b$ on) is a flow of value "
        r"$(A_L\cdots A_1)_{ij}$. Hence rollout ≤ attention flow ≤ 1. That a maximal flow always equals some cut is Ford and Fulkerson's theorem.",
        sources=(ABNAR, FORD),
        scope="every length, any number of layers, all row-stochastic maps (with ½(A + I) for residual connections); every pair of tokens",
        uses=("analysis.rollout-stochastic",),
        holds=_flow_holds,
    )
)
def flow_is_maximal() -> Iterator[Step]:
    reach, rest = sp.IndexedBase("rho", nonnegative=True), sp.IndexedBase("tau", nonnegative=True)
    inflow = total(reach[i] * E[i, k], i) * total(F[k, j] * rest[j], j)
    yield Step(
        total(reach[i] * E[i, k] * total(F[k, j] * rest[j], j), i),
        "=",
        total(total(reach[i] * E[i, k], i) * F[k, j] * rest[j], j),
        "the flow of rollout: what enters token k leaves it again",
    )
    yield Step(inflow, "=", total(total(reach[i] * E[i, k] * F[k, j] * rest[j], i), j), "and it is the sum over all paths through k")
    near, far, weight = 1 / (1 + x[1]), 1 / (1 + y[1]), E[i, k]
    yield Step(
        near * weight * far,
        "<=",
        weight,
        "no edge carries more than its weight: entries of products of maps are at most 1 (where one is 0, so is the flow)",
        certificate=weight * (x[1] + y[1] + x[1] * y[1]) / ((1 + x[1]) * (1 + y[1])),
    )
    side, outer = sp.IndexedBase("S", nonnegative=True), sp.IndexedBase("T", nonnegative=True)
    leaves = total(side[i] * (total(E[i, j], j) - total(E[j, i], j)), i)
    yield Step(
        leaves,
        "=",
        total(total(E[i, j] * (side[i] * (1 - side[j]) - side[j] * (1 - side[i])), j), i),
        "with S = 1 on the source's side of a cut and 0 on the other: what leaves it, less what comes back over it",
    )
    yield Step(
        total(total(E[i, j] * (side[i] * outer[j] - side[j] * outer[i]), j), i),
        "<=",
        total(total((E[i, j] + F[i, j]) * side[i] * outer[j], j), i),
        "with T = 1 − S and capacities E + F, at least the flow: no flow exceeds what the cut can carry (the edges of the reader's own row carry 1)",
        certificate=total(total(F[i, j] * side[i] * outer[j], j), i) + total(total(E[i, j] * side[j] * outer[i], j), i),
    )


# --- the flow of one layer (C268) -------------------------------------------------------------------------------------------------------


def _flow(maps: Sequence[Map], a: int, b: int) -> Fraction:
    return sum((one[a][b] for one in maps), Fraction(0))


def _silent(maps: Sequence[Map], projections: Row) -> tuple[int, int] | None:
    """Two tokens a and b where Flow a → b is not 0 and yet nothing of b reaches a, or the other way round."""
    places = range(len(maps[0]))
    return next(((a, b) for a in places for b in places if a != b and (_flow(maps, a, b) == 0) != (_moved(maps, projections, b)[a] == 0)), None)


def _arrow_holds(heads: Sequence[Parts], projections: Row) -> Outcome:
    """Flow i → j, for attention from i to j, is 0 exactly where what token j carries does not move the output at i; each head multiplies values by a number of its own."""
    return exact.decided(_silent([_map(rows) for rows in heads], projections) is None)


def _moved(maps: Sequence[Map], projections: Row, changed: int) -> list[Fraction]:
    """The outputs for an input of 1 at one token and 0 elsewhere, summed over heads, each with its own factor."""
    unit = [Fraction(at == changed) for at in range(len(maps[0]))]
    parts = ([factor * _dot(row, unit) for row in one] for one, factor in zip(maps, projections, strict=True))
    return [sum(outputs, Fraction(0)) for outputs in zip(*parts, strict=True)]


def _arrow_worked(heads: Sequence[Parts], projections: Row) -> str:
    maps = [_map(rows) for rows in heads]
    found = _silent(maps, projections)
    assert found is not None
    a, b = found
    parts = [f"{factor} · {one[a][b]}" for one, factor in zip(maps, projections, strict=True)]
    return (
        f"One layer with the maps {' and '.join(_shown(one) for one in maps)}; the heads multiply what they read by W_V = "
        f"{' and '.join(map(str, projections))}. By the formula Flow from {a + 1} to {b + 1} is "
        f"{' + '.join(str(one[a][b]) for one in maps)} = {_flow(maps, a, b)}. An input of 1 at token {b + 1} and 0 elsewhere moves the output at token {a + 1} "
        f"by {' + '.join(parts)} = "
        f"{_moved(maps, projections, b)[a]}. What the heads write cancels, and the formula does not look at what they write. {PARTS}"
    )


def _received_holds(heads: Sequence[Parts], projections: Row) -> Outcome:
    """Σ_g α_ij is by how much value j moves output i where all heads share one projection (the first one's), and its rows sum to the number of heads."""
    maps = [_map(rows) for rows in heads]
    places, shared = range(len(maps[0])), [projections[0]] * len(maps)
    moved = [_moved(maps, shared, b) for b in places]
    return exact.decided(
        all(moved[b][a] == projections[0] * _flow(maps, a, b) for a in places for b in places)
        and all(sum(_flow(maps, a, b) for b in places) == len(maps) for a in places)
    )


@derived(
    Claim(
        id="analysis.flow-is-received",
        title="With shared values, the sum over heads of α_ij is what i receives from j, and its rows sum to the number of heads",
        states="(Not in the text; what holds of its formula for the flow.) What the sum of attention maps over heads says.",
        precise=r"$\partial o_i/\partial v_j = \sum_g\alpha^{(g)}_{ij}$ for $o_i=\sum_g\sum_l\alpha^{(g)}_{il}v_l$, and $\sum_j\sum_g\alpha^{(g)}_{ij}=h$. It is one layer's: what "
        "passes through several is in products of maps. With a value and output projection of its own for each head the parts may cancel, and the sum shows "
        "nothing of that.",
        sources=(S0.at("Attention Flow Analysis"),),
        scope="every length, every number of heads, all softmax maps; heads that share their values, weights held fixed",
        inventory=("C268",),
        uses=("softmax.row-sum",),
        holds=_received_holds,
    )
)
def flow_is_received() -> Iterator[Step]:
    weight = sp.IndexedBase("alpha", nonnegative=True)
    output = total(total(weight[g, i, l] * v[l], l), g)
    score = sp.IndexedBase("S", real=True)
    yield Step(total(total(sp.exp(score[g, i, j]) / total(sp.exp(score[g, i, l]), l), j), g), "=", h, "each head's row sums to one, and there are h of them")
    yield Step(
        total(weight[g, i, l] * v[l], l) + total(weight[g, i, l] * -v[l], l),
        "=",
        sp.Integer(0),
        "a head and another with the same weights and the opposite value projection cancel, which the sum of weights does not show",
    )
    yield Step(sp.Derivative(output, v[j]), "=", total(weight[g, i, j], g), "with shared values, position i's output is read from them with these weights")


flow_arrow = Claim(
    id="analysis.flow-arrow",
    title="The sum over heads of α_ij, Flow i → j, tracks the flow of information",
    states="Flow from i to j in layer l, the sum over heads of α_ij, tracks information flow through layers.",
    reading="At the least, Flow i → j is 0 exactly where nothing passes between the two positions in that layer. α_ij is attention from position i to position "
    "j, so the arrow is read from the position that "
    "reads to the one that is read. Every head has projections of its own, as in the texts.",
    precise=r"$\sum_g\alpha^{(g)}_{ij} = 0$ if and only if what token $j$ carries does not move the output at token $i$ in that layer, "
    r"$o_i=\sum_g\sum_l\alpha^{(g)}_{il}x_lW_V^{(g)}$ for $i\ne j$.",
    sources=(S0.at("Attention Flow Analysis"),),
    scope="one layer of any number of heads, all row-stochastic maps, one number for each token and for each head's projection",
    inventory=("C268",),
    unsaid="the heads share their values (one value and output projection that is not 0): what heads with projections of their own write may cancel",
    corrected_by="analysis.flow-is-received",
    derive=flow_is_received.derive,
    holds=_arrow_holds,
    worked=_arrow_worked,
)


# --- gradients and ablation (C271, C280, C281) ------------------------------------------------------------------------------------------

Loss = Callable[[Sequence[Fraction]], Fraction]  # of the gates


def _slope(loss: Loss, count: int, at: int) -> Fraction:
    """The derivative of a polynomial of degree two or less in one gate, all gates at 1: its central difference."""
    up, down = ([Fraction(1) + step * (place == at) for place in range(count)] for step in (1, -1))
    return (loss(up) - loss(down)) / 2


def _without(loss: Loss, count: int, gone: Sequence[int]) -> Fraction:
    return loss([Fraction(place not in gone) for place in range(count)])


def _linear(terms: Row, factor: int) -> Loss:
    return lambda gates: factor * _dot(gates, terms)


def _square(terms: Row, target: Exact) -> Loss:
    return lambda gates: (_dot(gates, terms) - target) ** 2


def _terms(amounts: Row, factors: Row) -> list[Fraction]:
    return [Fraction(a) * b for a, b in zip(amounts, factors, strict=True)]


def _gate_gradient_holds(amounts: Row, factors: Row, target: int) -> Outcome:
    """Removal costs minus the derivative at the gate for a linear loss, and the square of the term more for a squared error. Halfway to its target a squared error
    costs nothing to remove from, and has the square of the term for its derivative."""
    terms = _terms(amounts, factors)
    count = len(terms)
    found = []
    for at, term in enumerate(terms):
        for loss, more in ((_linear(terms, target), Fraction(0)), (_square(terms, target), term**2)):
            found.append(_without(loss, count, [at]) - _without(loss, count, []) == more - _slope(loss, count, at))
        level = _dot([place != at for place in range(count)], terms) + term / 2
        halfway = _square(terms, level)
        found.append(_without(halfway, count, [at]) == _without(halfway, count, []) and _slope(halfway, count, at) == term**2)
    return exact.decided(all(found))


@derived(
    Claim(
        id="analysis.gate-gradient",
        title="Minus the derivative at a gate is the cost of removal if the loss is linear in the gate, and at most that cost for a squared error",
        states="(Not in the text, which uses gradients to find what is important.) Gradient-based importance of a connection or a head.",
        reading="A gate z multiplies a weight or a head's output; at 1 nothing is changed, at 0 it is removed. The gradient at the gate is the gradient at what it "
        "multiplies, times that.",
        precise=r"$L(0)-L(1) = -L'(1)$ if $L(z)=c_0+c_1z$. For $L(z)=\sum_{k\ge0}c_kz^k$ the two differ by $\sum_{k}(k-1)c_k$ over $k\ge2$ (which is 0 by accident if, say, $c_2=-2c_3$). For a squared error "
        r"$(zt+b-y)^2$ the difference is $t^2$: removal costs more than minus the derivative, unless the term $t$ is 0. The magnitude $|L'(1)|$ may exceed the cost all the same: "
        r"for $b-y=-\tfrac t2$ it is $t^2$ against a cost of 0 ($t=1$, $b-y=-\tfrac12$: 1 against 0). For a loss that is linear in the gate the two magnitudes agree.",
        sources=(S1.at("Gradient-Based Attribution"), S1.at("Head Importance"), MICHEL),
        scope="losses that are polynomials in the gate, of any degree; squared errors in particular",
        inventory=("C271", "C280"),
        holds=_gate_gradient_holds,
    )
)
def gate_gradient() -> Iterator[Step]:
    z, none, first = sp.symbols("z c_0 c_1", real=True)
    coefficient = sp.IndexedBase("c", real=True)

    def gap(loss: sp.Expr) -> sp.Expr:
        """What removal costs, less what the derivative at 1 says."""
        return loss.subs(z, 0) - loss.subs(z, 1) + sp.Subs(sp.Derivative(loss, z), z, 1)

    yield Step(gap(none + first * z), "=", sp.Integer(0), "a straight line is its own tangent")
    higher = none + first * z + z * total(coefficient[k] * z**k, k)  # the powers k + 1 ≥ 2
    yield Step(gap(higher), "=", total(k * coefficient[k], k), "the coefficient of the power k + 1 is counted k times too often by the tangent")
    term, other, target = sp.symbols("t b y", real=True)
    square = (z * term + other - target) ** 2
    yield Step(gap(square), "=", term**2, "a parabola lies above its tangent by the square of the distance gone")
    halfway = (z * term - term / 2) ** 2
    yield Step(sp.Subs(halfway, z, 0), "=", sp.Subs(halfway, z, 1), "where b − y = −t/2 removal costs nothing")
    yield Step(sp.Subs(sp.Derivative(halfway, z), z, 1), "=", term**2, "though the derivative there is t²: its magnitude says nothing of the cost")
    yield Step(
        square.subs(z, 1) - sp.Subs(sp.Derivative(square, z), z, 1),
        "<=",
        square.subs(z, 0),
        "so for a squared error minus the derivative never overstates what removal costs",
        certificate=term**2,
    )


def _attention_terms(amounts: Row, factors: Row) -> list[Fraction]:
    """Weights over their sum, times the values (all weight on the first key if all are 0)."""
    return _terms(_map([[int(a) for a in amounts]])[0], factors)


def _identifies_holds(amounts: Row, factors: Row, target: int) -> Outcome:
    """A connection whose removal changes the squared error has a gradient that is not 0."""
    terms = _attention_terms(amounts, factors)
    loss, count = _square(terms, target), len(terms)
    weights = _map([[int(a) for a in amounts]])[0]
    slopes = [2 * (sum(terms, Fraction(0)) - target) * factor for factor in factors]  # with respect to each weight
    removed = [_without(loss, count, [at]) != _without(loss, count, []) for at in range(count)]
    return exact.decided(all(slope != 0 for slope, matters, weight in zip(slopes, removed, weights, strict=True) if matters and weight))


def _identifies_worked(amounts: Row, factors: Row, target: int) -> str:
    terms, weights = _attention_terms(amounts, factors), _map([[int(a) for a in amounts]])[0]
    loss, count = _square(terms, target), len(terms)
    at = next(at for at in range(count) if _without(loss, count, [at]) != _without(loss, count, []))
    output = sum(terms, Fraction(0))
    return (
        f"Weights {', '.join(map(str, weights))} over the values {', '.join(map(str, factors))} give the output {output}, and the loss (output − {target})² is "
        f"{_without(loss, count, [])}. "
        f"Its derivative with respect to weight {at + 1} is 2 · ({output} − {target}) · {factors[at]} = {2 * (output - target) * factors[at]}. Without that connection "
        f"the output is {output - terms[at]} and the loss {_without(loss, count, [at])}. The loss is at its minimum, where it is flat, and curves away from "
        f"it. A second case, away from the minimum: with the target "
        f"{output - terms[at] / 2} the loss is {terms[at] ** 2 / 4} with that connection and {terms[at] ** 2 / 4} without it, so its removal costs nothing, "
        f"while the derivative is {terms[at] * factors[at]}. "
        "(The case gives the weights as parts, which are divided by their sum.)"
    )


def _linear_in_the_weight() -> Iterator[Step]:
    slope, weight, rest = sp.symbols("c_1 a c_0", real=True)
    loss = rest + slope * weight
    yield Step(
        loss - loss.subs(weight, 0),
        "=",
        weight * sp.Derivative(loss, weight),
        "for a loss that is linear in the weight, taking the connection away changes it by the weight times the derivative",
    )


identifies = Claim(
    id="analysis.gradients-identify",
    title="Gradients identify the important attention connections",
    states="Use gradients to identify important attention connections.",
    reading="A connection is important if taking it away changes the loss; gradients identify it if the derivative of the loss with respect to its weight is then not 0.",
    precise=r"If $L(o - a_jv_j) \ne L(o)$ with $o=\sum_ja_jv_j$, then $\partial L/\partial a_j\ne0$. It is the curvature of the loss that makes this fail: of "
    r"the output $o$ itself, which is linear in the weights, it is true. At the "
    r"minimum of a squared error all gradients are 0; away from it a gradient says nothing of the cost either: with the target $o-\frac12a_jv_j$ the weight "
    r"times its derivative is $(a_jv_j)^2$, and removal costs nothing.",
    sources=(S1.at("Gradient-Based Attribution"),),
    scope="one row of attention over any keys, scalar values, squared error",
    inventory=("C271",),
    unsaid="the loss is linear in the weight between its value and 0, so that it has no curvature there",
    corrected_by="analysis.gate-gradient",
    derive=_linear_in_the_weight,
    holds=_identifies_holds,
    worked=_identifies_worked,
)


def _output_gradient_holds(amounts: Row, factors: Row, target: int) -> Outcome:
    """Of two heads, the one with the larger gradient at its output contributes at least as much, for a loss that is linear in the output."""
    terms = _terms(amounts, factors)
    loss, count = _linear(terms, target), len(terms)
    slopes = [abs(Fraction(target) * factor) for factor in factors]
    costs = [abs(_without(loss, count, [at]) - _without(loss, count, [])) for at in range(count)]
    return exact.decided(all(costs[a] >= costs[b] for a, b in permutations(range(count), 2) if slopes[a] > slopes[b]))


def _output_gradient_worked(amounts: Row, factors: Row, target: int) -> str:
    terms = _terms(amounts, factors)
    loss, count = _linear(terms, target), len(terms)
    costs = [abs(_without(loss, count, [at]) - _without(loss, count, [])) for at in range(count)]
    slopes = [abs(Fraction(target) * factor) for factor in factors]
    return (
        f"The heads output {', '.join(map(str, amounts))}, their output projections are {', '.join(map(str, factors))}, and the loss is {target} times the "
        f"layer's output. The gradients at the heads' outputs have "
        f"the magnitudes {', '.join(map(str, slopes))}: they do not depend on what the heads output. Removing a head changes the loss by {', '.join(map(str, costs))}. "
        f"The two orders differ."
    )


def _equally_large_heads() -> Iterator[Step]:
    slope, out = sp.IndexedBase("w", real=True), sp.IndexedBase("H", real=True)
    loss = total(slope[g] * out[g], g)
    yield Step(
        loss - total(slope[g] * (1 - D(g, head)) * out[g], g),
        "=",
        sp.Derivative(loss, out[head]) * out[head],
        "for a loss that is linear in the heads' outputs, removing a head changes it by the derivative times the output",
    )
    less, more, size = sp.symbols("x y H", nonnegative=True)
    yield Step(
        less * size,
        "<=",
        (less + more) * size,
        "so of two heads with outputs of one magnitude H, the one with the larger derivative contributes at least as much",
        certificate=more * size,
    )


output_gradient = Claim(
    id="analysis.head-output-gradient",
    title="The gradient's magnitude at a head's output says how much the head contributes",
    states="Head importance, how much each head contributes to performance, is measured by the gradient's magnitude with respect to the head's output.",
    reading="Of two heads, the one with the larger gradient contributes at least as much: its removal changes the loss at least as much. Judged where gradients do best, for "
    "a loss that is linear in the output.",
    precise=r"If $|\partial L/\partial H_g| > |\partial L/\partial H_p|$, then $|L_{-g}-L|\ge|L_{-p}-L|$, with $L=y\sum_gw_gH_g$.",
    sources=(S1.at("Head Importance"),),
    scope="any number of heads with one output each, a linear loss",
    inventory=("C280",),
    unsaid="the heads' outputs are equally large (and the loss is linear in them); otherwise the derivative has to be multiplied by the output, as it is at a gate",
    corrected_by="analysis.gate-gradient",
    derive=_equally_large_heads,
    holds=_output_gradient_holds,
    worked=_output_gradient_worked,
)


def _hinge(terms: Row, target: int) -> Loss:
    return lambda gates: max(Fraction(0), Fraction(target) - _dot(gates, terms))


def _ablation_measures_holds(amounts: Row, factors: Row, target: int) -> Outcome:
    """If no head's removal costs anything, neither does the removal of all of them."""
    terms = _terms(amounts, factors)
    loss, count = _hinge(terms, target), len(terms)
    full = _without(loss, count, [])
    spare = [at for at in range(count) if _without(loss, count, [at]) == full]
    return exact.decided(_without(loss, count, spare) == full)


def _ablation_measures_worked(amounts: Row, factors: Row, target: int) -> str:
    terms = _terms(amounts, factors)
    loss, count = _hinge(terms, target), len(terms)
    spare = [at for at in range(count) if terms[at] and _without(loss, count, [at]) == _without(loss, count, [])]
    return (
        f"The heads add {', '.join(map(str, terms))} to an output that should reach {target}; the loss is what it lacks, max(0, {target} − output) = {_without(loss, count, [])}. "
        f"Without head {' or head '.join(str(at + 1) for at in spare)} alone the loss is still {_without(loss, count, [spare[0]])}: by ablation each contributes "
        f"nothing. Without all of these it is {_without(loss, count, spare)}. Either can do the other's work, and removing one shows nothing of that."
    )


def _separate_heads() -> Iterator[Step]:
    part, kept, none = sp.IndexedBase("c", real=True), sp.IndexedBase("z", real=True), sp.Symbol("c_0", real=True)
    loss = none + total(part[g] * kept[g], g)
    without = none + total(part[g] * (1 - D(g, head)) * kept[g], g)
    yield Step(
        without - loss, "=", -part[head] * kept[head], "if the loss is a sum of parts, removing a head takes away its part, whatever else has been removed"
    )


ablation_measures = Claim(
    id="analysis.ablation-measures",
    title="The drop in performance without a head measures what the head contributes",
    states="Head importance by ablation studies: remove heads and measure the drop in performance.",
    reading="The drop when one head is removed is that head's contribution, so that heads whose removal costs nothing contribute nothing, and may all be removed.",
    precise=r"If $L_{-g}=L$ for every $g\in G$, then $L_{-G}=L$.",
    sources=(S1.at("Head Importance"),),
    scope="any number of heads whose terms are added up, a hinge loss",
    inventory=("C281",),
    unsaid="heads do not stand in for one another: performance is a sum of parts, one for each head",
    corrected_by="analysis.ablation",
    derive=_separate_heads,
    holds=_ablation_measures_holds,
    worked=_ablation_measures_worked,
)


def _ablation_holds(amounts: Row, factors: Row, target: int) -> Outcome:
    """In every order the costs add up; for a squared error single costs and the cost of all differ by the pairs; for a linear loss they do not."""
    terms = _terms(amounts, factors)
    count = len(terms)
    found = []
    for loss in (_hinge(terms, target), _square(terms, target)):
        whole = _without(loss, count, range(count)) - _without(loss, count, [])
        for order in permutations(range(count)):
            steps = [_without(loss, count, order[: place + 1]) - _without(loss, count, order[:place]) for place in range(count)]
            found.append(sum(steps, Fraction(0)) == whole)
    for loss, interaction in ((_square(terms, target), 1), (_linear(terms, target), 0)):
        whole = _without(loss, count, range(count)) - _without(loss, count, [])
        alone = sum((_without(loss, count, [at]) - _without(loss, count, []) for at in range(count)), Fraction(0))
        pairs = 2 * sum((a * b for a, b in combinations(terms, 2)), Fraction(0))
        found.append(alone + interaction * pairs == whole)
    return exact.decided(all(found))


@derived(
    Claim(
        id="analysis.ablation",
        title="Ablations add up one after the other; each head alone only if heads do not interact",
        states="(Not in the text, which removes heads and measures the drop.) What the drops in performance without single heads add up to.",
        precise=r"Removed one after the other, in any order, the costs add up to the cost of removing all. For $L(z)=\sum_gc_gz_g+\sum_{g\ne p}C_{gp}z_gz_p$, the costs of removing "
        r"each head alone add up to that of removing all less $\sum_{g\ne p}C_{gp}$: they agree if there are no interactions. With a squared error, $C_{gp}=t_gt_p$.",
        sources=(S1.at("Head Importance"), MICHEL),
        scope="every number of heads; for the first half any loss of the gates; for the second, losses of degree two in the gates",
        inventory=("C281",),
        uses=("multi_head.removing-a-head",),
        holds=_ablation_holds,
    )
)
def ablation() -> Iterator[Step]:
    cost = sp.IndexedBase("L", real=True)  # after so many heads of an order are gone
    yield Step(
        apart(cost[n] - cost[0]) + apart(cost[n + 1] - cost[n]),
        "=",
        cost[n + 1] - cost[0],
        "if the costs of the first n removals add up to the cost of these n, then so do those of n + 1",
    )
    part, pair = sp.IndexedBase("c", real=True), sp.IndexedBase("C", real=True)
    one, other = sp.symbols("g_1 g_2", integer=True, positive=True)

    def heads(body: sp.Expr, index: sp.Symbol) -> sp.Expr:
        return sp.Sum(body, (index, 1, h))

    def loss(gate: Callable[[sp.Symbol], sp.Expr]) -> sp.Expr:
        pairs = heads(heads((1 - D(one, other)) * pair[one, other] * gate(one) * gate(other), other), one)
        return heads(part[one] * gate(one), one) + pairs

    full = loss(lambda _: sp.Integer(1))
    interactions = heads(heads((1 - D(one, other)) * pair[one, other], other), one)
    alone = total(loss(lambda index: 1 - D(index, g)) - full, g)
    first, second, rest = sp.symbols("t_1 t_2 b", real=True)

    def square(a: int, b: int) -> sp.Expr:
        return (a * first + b * second + rest) ** 2

    yield Step(
        square(0, 0) - square(0, 1) - square(1, 0) + square(1, 1),
        "=",
        2 * first * second,
        "for a squared error two heads interact by twice the product of their terms",
    )
    yield Step(
        alone,
        "=",
        -full - interactions,
        "without head g every pair with g in it is gone: summed over g each pair goes twice, and it is there once",
    )


# --- rollout and heads (C282) -----------------------------------------------------------------------------------------------------------


def _mean_map(maps: Sequence[Map]) -> Map:
    return [[sum(entries, Fraction(0)) / len(maps) for entries in zip(*rows, strict=True)] for rows in zip(*maps, strict=True)]


def _rollout_importance_holds(heads: Sequence[Parts], factors: Sequence[int], others: Sequence[int]) -> Outcome:
    """Two layers with the same maps, so the same rollout: removing a head changes the output of one exactly if it changes that of the other."""
    maps = [_map(rows) for rows in heads]

    def output(projections: Sequence[int]) -> Map:
        return [
            [sum((w * e for w, e in zip(projections, entries, strict=True)), Fraction(0)) for entries in zip(*rows, strict=True)]
            for rows in zip(*maps, strict=True)
        ]

    def matters(projections: Sequence[int], at: int) -> bool:
        return output([w * (place != at) for place, w in enumerate(projections)]) != output(projections)

    return exact.decided(all(matters(factors, at) == matters(others, at) for at in range(len(maps))))


def _rollout_importance_worked(heads: Sequence[Parts], factors: Sequence[int], others: Sequence[int]) -> str:
    maps = [_map(rows) for rows in heads]
    at = next(at for at, pair in enumerate(zip(factors, others, strict=True)) if 0 in pair and any(pair))
    return (
        f"Two layers have the same maps, {' and '.join(_shown(one) for one in maps)}, which rollout averages to {_shown(_mean_map(maps))} in both. Their heads' output "
        f"projections are {', '.join(map(str, factors))} in one layer and {', '.join(map(str, others))} in the other: head {at + 1} adds {factors[at]} times "
        f"what it reads to the one and {others[at]} times "
        f"that to the other, so that removing it changes one layer's output and not the other's. No number computed from rollout can tell which. {PARTS}"
    )


rollout_importance = Claim(
    id="analysis.rollout-head-importance",
    title="Attention rollout measures how much a head contributes",
    states="Head importance, how much each head contributes to performance, is measured by attention rollout, which tracks attention flow through layers.",
    reading="However a number for each head is got from rollout, it is computed from the attention maps. So heads with the same maps contribute alike, at least as to whether "
    "they contribute at all.",
    precise=r"Of two layers with the same maps $A^{(1)},\dots,A^{(h)}$, removing head $g$ changes the output of one if and only if it changes that of the other.",
    sources=(S1.at("Head Importance"),),
    scope="layers of any number of heads with scalar projections",
    inventory=("C282",),
    corrected_by="analysis.rollout-forgets-heads",
    holds=_rollout_importance_holds,
    worked=_rollout_importance_worked,
)


def _forgets_holds(heads: Sequence[Parts], factors: Sequence[int], others: Sequence[int]) -> Outcome:
    """The mean map is the same whichever head has which map, whatever the projections."""
    maps = [_map(rows) for rows in heads]
    return exact.decided(all(_mean_map(order) == _mean_map(maps) for order in permutations(maps)))


@derived(
    Claim(
        id="analysis.rollout-forgets-heads",
        title="Rollout does not know which head has which map",
        states="(Not in the text, which names rollout as a measure of heads.) What rollout, which averages the heads of a layer, can say about single heads.",
        precise=r"$\sum_gA^{(\pi(g))}_{ij} = \sum_gA^{(g)}_{ij}$ for every permutation $\pi$ of the heads: giving each head another one's map, and so another one's value and output "
        r"projection to go with it, leaves rollout as it was. Projections do not enter it at all. The formula swaps two heads; every permutation is a product of swaps.",
        sources=(S1.at("Head Importance"), ABNAR),
        scope="every number of heads, every map; rollout over the mean (or the sum) of heads",
        inventory=("C282",),
        holds=_forgets_holds,
    )
)
def rollout_forgets_heads() -> Iterator[Step]:
    weight = sp.IndexedBase("alpha", real=True)  # entry (i, j) of the map of head j, one of n
    moved = total(swapped(lambda one: weight[one], j), j)
    yield Step(moved / n, "=", total(weight[j], j) / n, "the mean over n heads is the same after heads k and l have traded their maps")


# --- interventions (C272) ---------------------------------------------------------------------------------------------------------------


def _intervention_holds(scores: Row, values: Row, key: int) -> Outcome:
    """Zeroing a weight, hiding a key, and any other row: what each does to the output."""
    key %= len(scores)
    weights = exact.softmax(scores)
    output = _mix(weights, values)
    zeroed = output - weights[key] * ball(values[key])
    if len(scores) == 1:
        return exact.equal(zeroed, 0)
    hidden = _mix(exact.softmax(scores, [at != key for at in range(len(scores))]), values)
    share = weights[key]
    return exact.equal([zeroed, hidden - output], [(1 - share) * hidden, share / (1 - share) * (output - ball(values[key]))])


def _mix(weights: Sequence[arb], values: Row) -> arb:
    return sum((w * ball(o) for w, o in zip(weights, values, strict=True)), arb(0))


@derived(
    Claim(
        id="analysis.intervention",
        title="Two ways to cut a connection, and what each does to the output",
        states="Modify attention patterns and observe the effects on the model's behaviour.",
        reading="Of the model's behaviour, the output of the row whose weights are modified (what later layers make of it is not judged), for the "
        "interventions in use: another row of weights, one weight set to 0, one key hidden before "
        "softmax.",
        precise=r"With the row $p'$ for $p$, the output moves by $\sum_j(p'_j-p_j)v_j$. Setting $p_k$ to 0 moves it by $-p_kv_k$; hiding key $k$ moves it by "
        r"$\frac{p_k}{1-p_k}(o-v_k)$. The first leaves $1-p_k$ times what the second leaves, so which of the two was done has to be said: the effect of the first is 0 for a value "
        "of 0, that of the second for a value equal to the output.",
        sources=(S1.at("Attention Intervention"),),
        scope="key k and any number n ≥ 1 of others, all finite real scores and values; the values themselves held fixed",
        inventory=("C272",),
        holds=_intervention_holds,
    )
)
def intervention() -> Iterator[Step]:
    own, value = sp.symbols("s_k v_k", real=True)
    other = sp.IndexedBase("q", positive=True)
    yield Step(total(other[j] * v[j], j) - total(p[j] * v[j], j), "=", total((other[j] - p[j]) * v[j], j), "the output is linear in the weights")
    rest = total(sp.exp(s[l]), l)
    mass = sp.exp(own) + rest
    share = sp.exp(own) / mass
    output = (sp.exp(own) * value + total(sp.exp(s[l]) * v[l], l)) / mass
    hidden = total(sp.exp(s[l]) * v[l], l) / rest
    yield Step(
        hidden - output,
        "=",
        share / (rest / mass) * (output - value),
        "hiding the key renormalises the others, with 1 − p_k = (sum of the others) / (sum of all)",
    )
    yield Step(output - share * value, "=", (1 - share) * hidden, "setting the weight to 0 leaves the others as they were, with a sum of 1 − p_k")


# --- weights as explanations (C283) -----------------------------------------------------------------------------------------------------


def _matter(parts: Sequence[int], values: Sequence[Row]) -> tuple[list[Fraction], list[Fraction], list[Fraction]]:
    """The weights; the squared lengths of the parts p v; and those of what leaving a token out does to the output, p/(1 − p) (o − v)."""
    weights = _map([parts])[0]
    output = [_dot(weights, column) for column in zip(*values, strict=True)]
    lengths = [_dot(row, row) * weight**2 for weight, row in zip(weights, values, strict=True)]
    away = [[o - z for o, z in zip(output, row, strict=True)] for row in values]
    effects = [_dot(gap, gap) * (weight / (1 - weight)) ** 2 for weight, gap in zip(weights, away, strict=True)]
    return weights, lengths, effects


def _matters_less(parts: Sequence[int], values: Sequence[Row]) -> tuple[int, int] | None:
    """A token with more weight than another that matters less than it by both measures."""
    weights, lengths, effects = _matter(parts, values)
    pairs = permutations(range(len(parts)), 2)
    return next(((a, b) for a, b in pairs if weights[a] > weights[b] and lengths[a] < lengths[b] and effects[a] < effects[b]), None)


def _focus_holds(parts: Sequence[int], values: Sequence[Row]) -> Outcome:
    """Of two keys the one with more weight has the longer part p v of the output, or at least the larger effect when it is left out."""
    return exact.decided(_matters_less(parts, values) is None)


def _focus_worked(parts: Sequence[int], values: Sequence[Row]) -> str:
    found = _matters_less(parts, values)
    assert found is not None
    a, b = found
    weights, _, effects = _matter(parts, values)
    output = [_dot(weights, column) for column in zip(*values, strict=True)]
    return (
        f"The weights are {', '.join(map(str, weights))} and the values {_shown(values)}; the output is {', '.join(map(str, output))}. Token {a + 1} has more "
        f"weight than token {b + 1}, {weights[a]} against {weights[b]}. Its "
        f"part in the output, weight times value, is {', '.join(str(weights[a] * z) for z in values[a])}, shorter than "
        f"{', '.join(str(weights[b] * z) for z in values[b])}. Left out, with the other weights renormalised, "
        f"it moves the output by p/(1 − p) times the distance of its value from the output, a squared length of {effects[a]}; token {b + 1} moves it by "
        f"{effects[b]} (squared). By both measures a heat map points to the token that "
        "matters less. (The case gives the weights as parts, which are divided by their sum.)"
    )


def _part_holds(parts: Sequence[int], values: Sequence[Row]) -> Outcome:
    """Without token j's value the output is p_j v_j shorter; the order by length is that of the weights among values of one length."""
    weights = _map([parts])[0]
    output = [_dot(weights, column) for column in zip(*values, strict=True)]
    for at, row in enumerate(values):
        without = [_dot(weights, column) for column in zip(*([0] * len(row) if place == at else other for place, other in enumerate(values)), strict=True)]
        if [a - b for a, b in zip(output, without, strict=True)] != [weights[at] * z for z in row]:
            return Outcome.REFUTED
    lengths = [_dot(row, row) for row in values]
    alike = [(a, b) for a, b in permutations(range(len(parts)), 2) if lengths[a] == lengths[b] and weights[a] > weights[b]]
    return exact.decided(all(weights[a] ** 2 * lengths[a] >= weights[b] ** 2 * lengths[b] for a, b in alike))


@derived(
    Claim(
        id="analysis.part-of-a-token",
        title="A token's part in the output is its weight times its value",
        states="(Not in the text, which says that weights show what the model focuses on.) Which inputs an output was made of.",
        precise=r"$\sum_jp_jv_j$ less the same with $v_k=0$ is $p_kv_k$, of squared length $p_k^2\|v_k\|^2$; among values of the same length the order of these is the order of the "
        r"weights. A value of 0 has no part, with whatever weight.",
        sources=(S3.at("Interpretability"), KOBAYASHI),
        scope="every number of keys, every width, all weights and real values",
        inventory=("C283",),
        holds=_part_holds,
    )
)
def part_of_a_token() -> Iterator[Step]:
    yield Step(total((p[k] * V[k, e]) ** 2, e), "=", p[k] ** 2 * total(V[k, e] ** 2, e), "a length scales with the weight")
    less, more, length = sp.Symbol("q", nonnegative=True), sp.Symbol("h", nonnegative=True), sp.Symbol("ell", nonnegative=True)
    yield Step(
        less**2 * length**2,
        "<=",
        (less + more) ** 2 * length**2,
        "of two values of one length the heavier has the longer part",
        certificate=more * (2 * less + more) * length**2,
    )
    yield Step(total(p[j] * V[j, e], j) - total(p[j] * (1 - D(j, k)) * V[j, e], j), "=", p[k] * V[k, e], "a sum less the same sum without one of its terms")


weights_show_focus = Claim(
    id="analysis.weights-show-focus",
    title="Attention weights show which inputs the model focuses on when it produces an output",
    states="Attention weights give interpretability by showing what the model focuses on when producing each output.",
    reading="What a weight shows is the token's part in the output: of two tokens, the one with more weight has the larger part, or moves the output more "
    "when it is left out.",
    precise=r"If $p_j > p_k$, then $\|p_jv_j\|\ge\|p_kv_k\|$ or $\frac{p_j}{1-p_j}\|v_j-o\|\ge\frac{p_k}{1-p_k}\|v_k-o\|$, with $o$ the output "
    r"(vision.effect-of-leaving-out).",
    sources=(S3.at("Interpretability"), S4.at("Benefits"), S1.at("Conceptual Understanding"), S0.at("Conclusion")),
    scope="one row of attention over any keys, all values",
    inventory=("C283",),
    unsaid="all values (after the value and output projections) are equally long",
    corrected_by="analysis.part-of-a-token",
    derive=part_of_a_token.derive,
    holds=_focus_holds,
    worked=_focus_worked,
)


def _null(rows: Sequence[Row]) -> list[list[Fraction]]:
    """A basis of the vectors that all the rows annihilate."""
    width = len(rows[0])
    reduced, rank = fmpq_mat([[fmpq(Fraction(z).numerator, Fraction(z).denominator) for z in row] for row in rows]).rref()

    def entry(a: int, b: int) -> Fraction:
        return Fraction(int(reduced[a, b].p), int(reduced[a, b].q))

    leading = [next(b for b in range(width) if entry(a, b)) for a in range(rank)]
    basis = []
    for free in (b for b in range(width) if b not in leading):
        vector = [Fraction(b == free) for b in range(width)]
        for a, b in enumerate(leading):
            vector[b] = -entry(a, free)
        basis.append(vector)
    return basis


def _explain_holds(parts: Sequence[int], others: Sequence[int], values: Sequence[Row]) -> Outcome:
    """Rows of weights that give the same output are equal."""
    first, second = _map([parts])[0], _map([others])[0]
    same = all(_dot(first, column) == _dot(second, column) for column in zip(*values, strict=True))
    return exact.decided(first == second or not same)


def _explain_worked(parts: Sequence[int], others: Sequence[int], values: Sequence[Row]) -> str:
    first, second = _map([parts])[0], _map([others])[0]
    output = [_dot(first, column) for column in zip(*values, strict=True)]
    return (
        f"With the values {_shown(values)}, the weights {', '.join(map(str, first))} and the weights {', '.join(map(str, second))} give the same output, "
        f"{', '.join(map(str, output))}: whatever is decided from the output, neither row explains it better than the other. (The case gives the weights as "
        f"parts, which are divided by their sum.)"
    )


def _independent_values() -> Iterator[Step]:
    constant, slope = sp.IndexedBase("b", real=True), sp.IndexedBase("U", real=True)
    weight = sp.exp(s[k]) / total(sp.exp(s[l]), l)
    yield Step(
        total(weight * (constant[j] + total(slope[j, e] * V[k, e], e)), k),
        "=",
        constant[j] + total(slope[j, e] * total(weight * V[k, e], k), e),
        "an affine function of the output is the mean of its values at the keys",
    )
    yield Step(
        total(weight * D(j, k), k),
        "=",
        sp.exp(s[j]) / total(sp.exp(s[l]), l),
        "affinely independent values have affine functions that are 1 at one of them and 0 at the others: these read the weights off the output",
    )


weights_explain = Claim(
    id="analysis.weights-explain",
    title="Attention weights give insight into the decision",
    states="Attention weight analysis provides insight into model decision-making; attention patterns reveal what was learned.",
    reading="A row of weights explains the output that was made with it at least in this sense: with the same values, another row would have made another output.",
    precise=r"If $\sum_jp_jv_j=\sum_jq_jv_j$, then $p=q$.",
    sources=(S0.at("Conclusion"), S1.at("Conceptual Understanding"), S4.at("Benefits"), JAIN),
    scope="one row of attention over any keys, all values",
    inventory=("C283",),
    unsaid="the values are affinely independent, which takes at least as many dimensions as there are keys, less one",
    corrected_by="analysis.same-output-other-weights",
    derive=_independent_values,
    holds=_explain_holds,
    worked=_explain_worked,
)


def _same_output_holds(parts: Sequence[int], others: Sequence[int], values: Sequence[Row]) -> Outcome:
    """If the values are affinely independent, equal outputs mean equal weights; if not, a positive row has a neighbour with the same output."""
    columns = [list(column) for column in zip(*values, strict=True)]
    directions = _null([[1] * len(parts), *columns])
    first, second = _map([parts])[0], _map([others])[0]
    same = all(_dot(first, column) == _dot(second, column) for column in columns)
    if not directions:
        return exact.decided((first == second) == same and len(parts) <= len(columns) + 1)
    row = _map([[part + 1 for part in parts]])[0]
    step = min(row) / max(abs(z) for z in directions[0])
    moved = [weight + step * z for weight, z in zip(row, directions[0], strict=True)]
    kept = all(_dot(row, column) == _dot(moved, column) for column in columns)
    return exact.decided(kept and moved != row and min(moved) >= 0 and sum(moved) == 1)


@derived(
    Claim(
        id="analysis.same-output-other-weights",
        title="Other weights give the same output along every affine dependence of the values",
        states="(Not in the text, which says that weights give insight into decisions.) Which rows of weights give one output.",
        precise=r"$p+cu$ sums to one and gives the output of $p$ if and only if $\sum_ju_j=0$ and $\sum_ju_jv_j=0$ (for $c\ne0$): such $u\ne0$ exist exactly if the values are affinely "
        r"dependent, as any $n>d_v+1$ values are. For scalar values and three keys, $u=(v_2-v_3,\ v_3-v_1,\ v_1-v_2)$. Positive $p$ stays positive for small $c$.",
        sources=(S0.at("Conclusion"), S3.at("Interpretability"), JAIN),
        scope="every number of keys, every width, all weights and real values; that n > d_v + 1 values are affinely dependent is a count of dimensions",
        inventory=("C283",),
        holds=_same_output_holds,
    )
)
def same_output_other_weights() -> Iterator[Step]:
    along = sp.IndexedBase("u", real=True)
    one, two, three = sp.symbols("v_1 v_2 v_3", real=True)
    direction = (two - three, three - one, one - two)
    yield Step(total(D(j, k) * v[j], j) - total(D(j, l) * v[j], j), "=", v[k] - v[l], "two keys with equal values may trade all of their weight")
    yield Step(sp.Add(*map(apart, direction)), "=", sp.Integer(0), "for three scalar values this direction sums to 0")
    yield Step(direction[0] * one + direction[1] * two + direction[2] * three, "=", sp.Integer(0), "and moves no output")
    yield Step(
        total(s[j] + c * along[j], j) - total(s[j], j),
        "=",
        c * total(along[j], j),
        "in general the sum of the weights s stays exactly if the direction sums to 0",
    )
    yield Step(
        total((s[j] + c * along[j]) * V[j, e], j) - total(s[j] * V[j, e], j),
        "=",
        c * total(along[j] * V[j, e], j),
        "and the output stays exactly if the direction annihilates the values",
    )
