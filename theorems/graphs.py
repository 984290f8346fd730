"""Attention over graphs: what a softmax over neighbours is, how edges may be listed, which rankings a score can have, what layers can see, what edges cost.

Node i attends to the nodes j of its neighbourhood N_i: the edges (i, j). Unless it is said otherwise a node is not its own neighbour, and an edge need not have a reverse.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

import sympy as sp
from flint import arb

from theorems import exact, overflow
from theorems.claim import Claim, Kind, derived
from theorems.outcome import Outcome
from theorems.sources import S0, S1, Source
from theorems.sparsity import through
from theorems.step import Step
from theorems.symbols import S, c, d, d_v, e, f, g, h, i, j, k, l, n, s, total, v
from theorems.symmetry import Entry, entries, reordered, swapped

VELICKOVIC = Source(key="velickovic2018", title="Graph Attention Networks", url="https://arxiv.org/abs/1710.10903")
BRODY = Source(key="brody2022", title="How Attentive are Graph Attention Networks?", url="https://arxiv.org/abs/2105.14491")
PYTORCH_GAT = Source(key="pytorch-gat", title="pytorch-GAT, models/definitions/GAT.py", url="https://github.com/gordicaleksa/pytorch-GAT")

NODES = S0.at("Node Attention")
EDGES = S0.at("Edge Attention")
HEADS = S0.at("Multi-Head Graph Attention")
GRAPHS = S1.at("Graph Self-Attention")

Row = Sequence[int]
Matrix = Sequence[Sequence[int]]
Number = Fraction | arb
Edge = tuple[int, int]  # from the node that attends to the node that is attended to
Edges = Sequence[Edge]

E, F = sp.symbols("E F", integer=True, positive=True)  # how many edges; how many of another graph
u, w, z = sp.symbols("u w z", integer=True, positive=True)  # edges, or positions that only count
A = sp.IndexedBase("A", nonnegative=True)  # A[i, j]: weights of edges before they are normalised, 0 where there is no edge
X = sp.IndexedBase("X", real=True)  # values of nodes
R = sp.IndexedBase("R", nonnegative=True)  # R[u, i]: 1 if node i is the one that attends along edge u
free = sp.IndexedBase("c", real=True)  # the table of which node an edge meets, before its rows are made to sum to one
gap, room = sp.symbols("x y", positive=True)
more, rest = sp.symbols("x y", nonnegative=True)
slope = 1 / (1 + sp.Symbol("z", positive=True))  # of LeakyReLU on the left, between 0 and 1
own, V_i = sp.symbols("s_i V_i", real=True)  # score and value of a neighbour that is certainly there


def neighbours(edges: Edges, count: int) -> list[list[int]]:
    """The nodes that each node attends to, in the order of the edges; with duplicates."""
    return [[there for here, there in edges if here == node] for node in range(count)]


def leaky(x: Fraction, left: Fraction) -> Fraction:
    return x if x >= 0 else left * x


def transformed(features: Matrix, W: Matrix) -> list[list[Fraction]]:
    """W h for every node. Shapes: features [n, d], W [d', d] → [n, d']."""
    return [[sum((Fraction(x * y) for x, y in zip(line, row, strict=True)), Fraction(0)) for line in W] for row in features]


def gat_score(here: Sequence[Fraction], there: Sequence[Fraction], a: Row, left: Fraction, edge: Fraction = Fraction(0)) -> Fraction:
    """LeakyReLU(aᵀ[W h_i ‖ W h_j] + a term of the edge)."""
    return leaky(sum((x * y for x, y in zip(a, [*here, *there], strict=True)), edge), left)


def gatv2_score(here: Row, there: Row, W: Matrix, a: Row, left: Fraction) -> Fraction:
    """aᵀ LeakyReLU(W [h_i ‖ h_j])."""
    units = [sum(x * y for x, y in zip(line, [*here, *there], strict=True)) for line in W]
    return sum((weight * leaky(Fraction(unit), left) for weight, unit in zip(a, units, strict=True)), Fraction(0))


def leaky_relu(x: sp.Expr, left: sp.Expr = slope) -> sp.Expr:
    """x where x ≥ 0 and left · x elsewhere, written with |x|."""
    return (1 + left) / 2 * x + (1 - left) / 2 * sp.Abs(x)


def _mixed(weights: Sequence[arb], values: Sequence[Number | int]) -> arb:
    return sum((p * exact.ball(x) for p, x in zip(weights, values, strict=True)), arb(0))


# --- softmax over a neighbourhood (C227) ---------------------------------------------------------------------------------------------------


def _sums_to_one(edges: Edges, scores: Matrix) -> Outcome:
    """At every node of the graph: no softmax over no neighbours."""
    found = []
    for node, near in enumerate(neighbours(edges, len(scores))):
        if not near:
            return Outcome.REFUTED
        found.append(sum(exact.softmax([scores[node][at] for at in near]), arb(0)))
    return exact.equal(found, [1] * len(found))


def _sums_where_there_are_neighbours(edges: Edges, scores: Matrix) -> Outcome:
    """One at nodes with a neighbour, zero divided by zero at the others; with loops, one at every node."""
    outcomes = []
    for node, near in enumerate(neighbours(edges, len(scores))):
        try:
            mass = sum(exact.softmax([scores[node][at] for at in near]), arb(0))
            outcomes += [exact.decided(bool(near)), exact.equal(mass, 1)]
        except ZeroDivisionError:
            outcomes.append(exact.decided(not near))
        looped = exact.softmax([scores[node][at] for at in {*near, node}])
        outcomes += [exact.equal(sum(looped, arb(0)), 1), exact.equal(looped[0], 1) if not near else Outcome.HELD]
    return Outcome.worst(outcomes)


def _told_isolated(edges: Edges, scores: Matrix) -> str:
    alone = ", ".join(str(node) for node, near in enumerate(neighbours(edges, len(scores))) if not near)
    return (
        f"The graph has {len(scores)} node{'s' if len(scores) > 1 else ''}, numbered from 0, and {f'the edges {list(edges)}' if edges else 'no edge'}. No "
        f"edge leads from node {alone}: its neighbourhood is empty. The denominator of the formula is an empty sum there, "
        "0, and there is no weight at all, so the weights sum to 0. The claim needs 1."
    )


@derived(
    Claim(
        id="graphs.weights-sum-to-one",
        title="The weights of every node's neighbours sum to one",
        states="Node attention: α_ij is exp of the score of i and j over the sum of exp of the scores of i and k, for k in the neighbourhood N_i.",
        reading="Neighbours are the nodes that an edge joins to i, as the texts say; that a node belongs to its own neighbourhood is not said. (One of the "
        "texts writes the softmax of a single number, and a sum over j without limits: it is read as "
        "the other's formula, over the neighbourhood.)",
        precise=r"$\sum_{j\in N_i}\alpha_{ij}=1$ for every node $i$ of every graph.",
        sources=(NODES, GRAPHS),
        scope="every graph, every real score",
        inventory=("C227",),
        uses=("softmax.row-sum",),
        unsaid="every node has a neighbour, or is its own (as in the paper, which has i in N_i)",
        corrected_by="graphs.neighbours-mass",
        holds=_sums_to_one,
        worked=_told_isolated,
    )
)
def weights_sum_to_one() -> Iterator[Step]:
    yield Step(
        total(sp.exp(s[j]) / total(sp.exp(s[l]), l), j), "=", sp.Integer(1), "with n ≥ 1 neighbours, in any order, the exponentials are divided by their sum"
    )


@derived(
    Claim(
        id="graphs.neighbours-mass",
        title="The weights of a node with a neighbour sum to one; a node without any has 0/0, unless it is its own neighbour",
        states="(Implied.) The weights are exponentials over their sum in the neighbourhood, which may be empty: the text does not speak of it.",
        precise=r"$\sum_{j\in N_i}\alpha_{ij}=1$ exactly if $N_i\ne\emptyset$. With $i\in N_i$ it is never empty: $\alpha_{ii}+\sum_{j\ne i}\alpha_{ij}=1$, and an isolated node gives itself the weight 1. A node with a "
        "single neighbour gives it the weight 1, whatever the score.",
        sources=(NODES, GRAPHS, VELICKOVIC.at("section 2.1")),
        scope="every graph, every real score",
        inventory=("C227",),
        uses=("softmax.row-sum",),
        holds=_sums_where_there_are_neighbours,
    )
)
def neighbours_mass() -> Iterator[Step]:
    count = sp.Symbol("N", integer=True, nonnegative=True)  # neighbours other than i: perhaps none
    mass = sp.exp(own) + sp.Sum(sp.exp(s[l]), (l, 1, count))
    yield Step(sp.Integer(0), "<", mass, "with a neighbour, or a loop, of score s_i the normaliser is positive, with none beside it too")
    alone = sp.exp(own) * sp.UnevaluatedExpr(sp.exp(-own))
    yield Step(alone, "=", sp.Integer(1), "a single neighbour, or an isolated node with its loop, has the weight 1, whatever the score")
    yield Step(
        sp.exp(own) / mass + sp.Sum(sp.exp(s[j]) / mass, (j, 1, count)), "=", sp.Integer(1),
        "with N ≥ 0 others: the weight of one that is certainly there (a neighbour, or the node itself), and those of the others",
    )  # fmt: skip


# --- edges in a list ------------------------------------------------------------------------------------------------------------------------


def segment_softmax(edges: Edges, scores: Sequence[Number | int], count: int, values: Row) -> tuple[list[arb], list[arb]]:
    """Weights of the edges, and outputs of the nodes, in one pass over a list of edges: sums of exponentials by the node that attends."""
    exponentials = [exact.ball(x).exp() for x in scores]
    mass = [arb(0)] * count
    for (here, _), x in zip(edges, exponentials, strict=True):
        mass[here] = mass[here] + x
    weights = [x / mass[here] for (here, _), x in zip(edges, exponentials, strict=True)]
    outputs = [arb(0)] * count
    for (here, there), p in zip(edges, weights, strict=True):
        outputs[here] = outputs[here] + p * values[there]
    return weights, outputs


def _segments_are_dense(edges: Edges, scores: Matrix, values: Row) -> Outcome:
    """Each edge once: by segments, against softmax over all nodes with −∞ where there is no edge."""
    listed = sorted(set(edges))
    count = len(values)
    weights, outputs = segment_softmax(listed, [scores[here][there] for here, there in listed], count, values)
    outcomes = []
    for node in sorted({here for here, _ in listed}):
        row = exact.softmax([exact.ball(scores[node][at]) + (0 if (node, at) in listed else arb("-inf")) for at in range(count)])
        outcomes += [
            exact.equal(outputs[node], _mixed(row, values)),
            exact.equal([p for (here, _), p in zip(listed, weights, strict=True) if here == node], [row[at] for at in range(count) if (node, at) in listed]),
        ]
    return Outcome.worst([*outcomes, Outcome.HELD])


def _column(edge: sp.Expr, node: sp.Expr) -> sp.Expr:
    """Any numbers that sum to one over the nodes: what is missing is put at node k. (A single 1, for an edge that meets one node, is the case c = 0.)"""
    return free[edge, node] + sp.KroneckerDelta(node, k) * (1 - sp.Sum(free[edge, z], (z, 1, n)))


@derived(
    Claim(
        id="graphs.segments-are-masked-dense",
        title="Softmax by segments of a list of edges is dense softmax under the mask of adjacency",
        states="Nodes attend to their neighbours: the sums run over the neighbourhood.",
        reading="Edges are a list (sorted by node: compressed rows; or unsorted), each edge once, and the sums go edge by edge to the node that attends.",
        precise="Edge $u$ has the score $s_u$; $R_{ui}$ is 1 if node $i$ attends along it and 0 otherwise, $C_{uj}$ is 1 if it meets node $j$ and 0 "
        r"otherwise, so that each row of $C$ sums to 1. With $D_{ij}=\sum_uR_{ui}C_{uj}e^{s_u}$: $\sum_jD_{ij}=\sum_uR_{ui}e^{s_u}$ and "
        r"$\sum_jD_{ij}v_j=\sum_uR_{ui}e^{s_u}\sum_jC_{uj}v_j$. For a simple graph $D_{ij}$ is $e^{s_{ij}}$ on edges and $0=e^{-\infty}$ elsewhere: normaliser, weights and outputs are those of the masked dense table.",
        sources=(NODES, GRAPHS),
        scope="every number of nodes and edges, every real score and value; the rows of C are any numbers that sum to 1",
        uses=("sparsity.sparse-is-masked-dense",),
        holds=_segments_are_dense,
    )
)
def segments_are_masked_dense() -> Iterator[Step]:
    exponential = sp.exp(s[u])
    dense = sp.Sum(R[u, i] * _column(u, j) * exponential, (u, 1, E))
    yield Step(
        total(dense, j), "=", sp.Sum(R[u, i] * exponential, (u, 1, E)), "each edge is in one column of the table, so a row of it holds all edges of its node"
    )
    yield Step(
        total(dense * v[j], j),
        "=",
        sp.Sum(R[u, i] * exponential * total(_column(u, j) * v[j], j), (u, 1, E)),
        "and each brings the value of the node that it meets",
    )


def _any_order(edges: Edges, scores: Row, values: Row, order: Row) -> Outcome:
    weights, outputs = segment_softmax(edges, scores, len(values), values)
    moved, same = segment_softmax(reordered(edges, order), reordered(scores, order), len(values), values)
    return exact.equal([*moved, *same], [*reordered(weights, order), *outputs])


@derived(
    Claim(
        id="graphs.edges-in-any-order",
        title="Edges may be listed in any order",
        states="A neighbourhood is a set.",
        precise=r"Reordering the list of edges, with their scores and their two nodes, keeps every normaliser $\sum_uR_{ui}e^{s_u}$ ($R_{ui}=1$ if node $i$ "
        "attends along edge $u$, and 0 otherwise) and every output, and reorders the weights with "
        "the edges.",
        sources=(NODES, GRAPHS),
        scope="every number of nodes and edges, every real score and value, edges that are listed twice included; derived for a swap of two edges, of which every order is made. In floats sums depend on the order by rounding",
        uses=("symmetry.content-based-weights",),
        holds=_any_order,
    )
)
def edges_in_any_order() -> Iterator[Step]:
    first, second = k, l  # two edges among n

    def moved_row(edge: sp.Expr, node: sp.Expr) -> sp.Expr:
        return swapped(entries(R), edge, node, one=first, other=second)

    def moved(base: sp.IndexedBase) -> Entry:
        return lambda edge: swapped(entries(base), edge, one=first, other=second)

    node = sp.Symbol("i_1", integer=True, positive=True)
    mass = total(R[j, node] * sp.exp(s[j]), j)
    yield Step(
        total(moved_row(j, node) * sp.exp(moved(s)(j)), j), "=", mass, "n edges, of which k and l trade places: each node's normaliser runs over all of them"
    )
    yield Step(
        total(moved_row(j, node) * sp.exp(moved(s)(j)) * moved(v)(j), j),
        "=",
        total(R[j, node] * sp.exp(s[j]) * v[j], j),
        "and so does the sum of its values (v_u: that of the node which edge u meets)",
    )


def _copies(scores: Row, values: Row, copies: Row) -> Outcome:
    """One node: neighbour j listed copies[j] times, against log copies[j] added to its score."""
    listed = [at for at, count in enumerate(copies) for _ in range(count)]
    repeated = exact.softmax([scores[at] for at in listed])
    tilted = exact.softmax([exact.ball(x) + exact.ball(count).log() for x, count in zip(scores, copies, strict=True)])
    merged = [sum((p for p, at in zip(repeated, listed, strict=True) if at == neighbour), arb(0)) for neighbour in range(len(scores))]
    return exact.equal([*merged, _mixed(repeated, [values[at] for at in listed])], [*tilted, _mixed(tilted, values)])


@derived(
    Claim(
        id="graphs.duplicate-edges",
        title="An edge that is listed m times has log m added to its score",
        states="A neighbourhood is a set; a list of edges may name one twice.",
        precise=r"$\sum_{c=1}^me^{s}=e^{s+\log m}$: $m$ copies of an edge have together the weight, and give the output, of one edge with the score $s+\log m$. An edge listed twice is one with $\log2$ added.",
        sources=(NODES, GRAPHS),
        scope="one node, an edge of m ≥ 1 copies and n others (each of which may be such a copy), every real score and value",
        holds=_copies,
    )
)
def duplicate_edges() -> Iterator[Step]:
    copies = sp.Symbol("m", integer=True, positive=True)
    others, mixed = total(sp.exp(s[j]), j), total(sp.exp(s[j]) * v[j], j)
    repeated = sp.Sum(sp.exp(own), (u, 1, copies))
    tilted = sp.exp(own + sp.log(copies))
    yield Step(repeated, "=", tilted, "m equal exponentials")
    yield Step(repeated / (repeated + others), "=", tilted / (tilted + others), "the copies' weight together")
    yield Step((repeated * V_i + mixed) / (repeated + others), "=", (tilted * V_i + mixed) / (tilted + others), "and the output")


def _groups(edges: Edges, scores: Row, values: Row, shifts: Row, size: int) -> Outcome:
    """Two graphs side by side, the second with its own shift: each as if it were alone; and the largest score of all taken from every score."""
    count = len(values)
    second = [(here + count, there + count) for here, there in edges]
    together = segment_softmax([*edges, *second], [*scores, *(x + size for x in scores)], 2 * count, [*values, *values])[1]
    alone = segment_softmax(edges, scores, count, values)[1]
    shifted = segment_softmax(edges, [x - shifts[here] for x, (here, _) in zip(scores, edges, strict=True)], count, values)[1]
    largest = segment_softmax(edges, [x - max(scores) for x in scores], count, values)[1] if edges else alone
    return exact.equal([*together, *shifted, *largest], [*alone, *alone, *alone, *alone])


@derived(
    Claim(
        id="graphs.groups-are-independent",
        title="Each node's softmax is its own: other nodes, other graphs of a batch and any shift of its scores leave it as it is",
        states="α_ij is normalised over the neighbourhood of i.",
        precise="Let $R_{ui}$ be 1 if node $i$ attends along edge $u$, and 0 otherwise. The weights of node $i$ contain only edges with $R_{ui}=1$: edges of "
        "other nodes or of another graph do not enter. Subtracting any number $c_i$ from all "
        "scores of node $i$ changes nothing. So in real arithmetic it makes no difference whether that number is the largest score of the node or of the "
        "whole graph.",
        sources=(NODES, GRAPHS),
        scope="every number of nodes and edges, every real score and shift; real arithmetic",
        uses=("softmax.shift",),
        holds=_groups,
    )
)
def groups_are_independent() -> Iterator[Step]:
    other = sp.IndexedBase("r", real=True)  # scores of edges elsewhere
    nothing = sp.Symbol("q", nonnegative=True)  # what R_ui is for them, up to a factor: 0
    mass = total(R[j, i] * sp.exp(s[j]), j)
    both = mass + sp.Sum(nothing * R[u, i] * sp.exp(other[u]), (u, 1, F))
    yield Step(sp.Subs(both, nothing, 0), "=", mass, "edges along which node i does not attend add 0 to its normaliser")
    near = sp.exp(own) + total(sp.exp(s[j]), j)
    shifted = sp.exp(own - c) + total(sp.exp(s[j] - c), j)
    yield Step(
        sp.exp(own - c) / shifted,
        "=",
        sp.exp(own) / near,
        "one number subtracted from all scores of a node cancels, whether it is that node's largest score or another's",
    )


ADDED = Fraction(1, 10**16)  # to every normaliser
HALF_UNIT = Fraction(1, 2**24)  # of float32 at 1


def weights_less(row: Row, top: int) -> list[arb]:
    """exp(s_j − top) over 1e-16 and the sum of these: the published formula, in real arithmetic."""
    exponentials = [exact.ball(x - top).exp() for x in row]
    mass = sum(exponentials, exact.ball(ADDED))
    return [x / mass for x in exponentials]


def _sum_to_one(row: Row, top: int) -> bool:
    """The weights lack at most half a unit of float32 to sum to one, and do not exceed it."""
    lacking = 1 - sum(weights_less(row, top), arb(0))
    return bool(lacking <= exact.ball(HALF_UNIT)) and not bool(lacking < 0)


def _global_maximum(rows: Matrix) -> Outcome:
    top = max(x for row in rows for x in row)
    return exact.decided(all(_sum_to_one(row, top) for row in rows))


def _own_maximum(rows: Matrix) -> Outcome:
    """Sums of one in real arithmetic, a normaliser between 1 and the number of neighbours; in float32 every weight a number, and one of them 1/n or more but for rounding."""
    outcomes = []
    for row in rows:
        mass = sum((exact.ball(x - max(row)).exp() for x in row), arb(0))
        outcomes += [exact.decided(_sum_to_one(row, max(row))), exact.at_most([1, mass], [mass, len(row)])]
        weights = overflow.shifted_softmax([Fraction(x) for x in row], overflow.SINGLE)
        numbers = [x for x in weights if isinstance(x, Fraction)]
        outcomes.append(exact.decided(len(numbers) == len(row) and max(numbers) > Fraction(1, len(row) + 1)))
    return Outcome.worst(outcomes)


def _told_maximum(rows: Matrix) -> str:
    top = max(x for row in rows for x in row)
    row = next(row for row in rows if not _sum_to_one(row, top))
    mass = sum((exact.ball(x - top).exp() for x in row), arb(0))
    terms = " + ".join(f"e^({x} − {top})" for x in row)
    whole = sum(weights_less(row, top), arb(0))
    return (
        f"Each node of a graph has these scores of its neighbours: {[list(x) for x in rows]}. The largest of all is {top}. At the node with the scores "
        f"{list(row)} the exponentials sum to {terms} = {exact.show(mass)}, and they are divided by "
        f"10⁻¹⁶ more than that. So the weights sum to {exact.show(whole, 12)}, and lack {exact.show(1 - whole)}. The claim needs them to lack at most 2⁻²⁴ = "
        f"{exact.show(exact.ball(HALF_UNIT))}."
    )


added = sp.Symbol("epsilon", positive=True)


def _what_is_added_takes() -> Iterator[Step]:
    mass = total(sp.exp(s[l]), l)
    yield Step(
        total(sp.exp(s[j]) / (added + mass), j), "=", 1 - added / (added + mass), "with ε added to the normaliser, the weights sum to 1 less ε over the result"
    )


@derived(
    Claim(
        id="graphs.global-maximum",
        title="The largest score of the whole graph stabilises every node's softmax",
        states="One maximum, over the scores of all edges, is subtracted before the exponentials, which improves the numerical stability; 1e-16 is added to every normaliser, so that nothing is divided by 0. (A published implementation; no "
        "text says it.)",
        reading="The weights are still those of a softmax: at each node they sum to 1, or to so little less that float32 cannot tell it from 1 (at most 2⁻²⁴, "
        "half a unit in the last place). (Without the 1e-16 the sum is exactly 1 in real "
        "arithmetic, graphs.groups-are-independent.)",
        precise=r"With $m$ the largest score of the graph and $\alpha_{ij}=e^{s_{ij}-m}/(10^{-16}+\sum_{l\in N_i}e^{s_{il}-m})$: $1-\sum_{j\in N_i}\alpha_{ij}\le2^{-24}$ for all scores.",
        sources=(PYTORCH_GAT,),
        scope="every node with a neighbour and every real score; real arithmetic, to which a float format adds its rounding (in float32, exponentials of scores 104 or more below the largest are 0, and without the 1e-16 there would be 0/0)",
        unsaid="each node's largest score lies at most 20 below that of the graph",
        corrected_by="graphs.own-maximum",
        holds=_global_maximum,
        worked=_told_maximum,
    )
)
def global_maximum() -> Iterator[Step]:
    yield from _what_is_added_takes()
    depth = sp.Symbol("D", nonnegative=True)
    others = total(sp.exp(s[j]), j)
    yield Step(
        added / (added + sp.exp(-depth) + others),
        "<=",
        added * sp.exp(depth),
        "a node's largest score D below the graph's: its exponential, exp(−D), is one of the normaliser's terms",
        certificate=added * sp.exp(depth) * (added + others) / (added + sp.exp(-depth) + others),
    )
    small, half_unit = sp.Rational(1, 10**16), sp.Rational(1, 2**24)
    yield Step(half_unit, "<", small / (small + sp.exp(-21)), "a node whose single neighbour scores 21 below the largest lacks more")
    yield Step(sp.Rational(1, 2), "<", small / (small + sp.exp(-37)), "and one whose single neighbour scores 37 below has lost more than half of its weight")
    yield Step(sp.exp(-104), "<", sp.Integer(2) ** -150, "at 104 below exp rounds to 0 in float32, whose smallest positive number is 2^−149")
    nearer = sp.Symbol("x", nonnegative=True)
    yield Step(small * sp.exp(20 - nearer), "<=", small * sp.exp(20), "at most 20 below, D = 20 − x", certificate=small * sp.exp(20) * (1 - sp.exp(-nearer)))
    yield Step(small * sp.exp(20), "<", half_unit, "what is missing is less than 2^−24: the sum is 1 to half a unit of float32")


@derived(
    Claim(
        id="graphs.own-maximum",
        title="With each node's own largest score every normaliser lies between 1 and the number of neighbours",
        states="(Not in the text; it follows from graphs.groups-are-independent.) The maximum by segments: each node's own largest score is subtracted.",
        precise=r"With $m_i=\max_{j\in N_i}s_{ij}$ subtracted: $1\le\sum_{j\in N_i}e^{s_{ij}-m_i}\le|N_i|$, so no node's normaliser is lost, whatever the "
        "scores of others are. With $10^{-16}$ added to it the weights lack at most $10^{-16}<2^{-24}$ to "
        "sum to 1.",
        sources=(PYTORCH_GAT, NODES),
        scope="every node with a neighbour, every real score; real arithmetic (the search also has float32: there the largest score still gives exp(0) = 1)",
        uses=("graphs.groups-are-independent", "overflow.shifted"),
        holds=_own_maximum,
    )
)
def own_maximum() -> Iterator[Step]:
    below = sp.IndexedBase("y", nonnegative=True)
    mass = 1 + total(sp.exp(-below[j]), j)
    yield from _what_is_added_takes()
    lacking = added / (added + mass)
    yield Step(
        lacking, "<=", added, "with a normaliser of at least 1, what is missing is at most ε itself", certificate=added * (added + mass - 1) / (added + mass)
    )
    yield Step(sp.Rational(1, 10**16), "<", sp.Rational(1, 2**24), "with ε = 1e-16, less than half a unit of float32 at 1")
    yield Step(mass, "<=", 1 + n, "a normaliser has at most 1 for each neighbour: a largest one and n others", certificate=total(1 - sp.exp(-below[j]), j))
    yield Step(sp.Integer(1), "<=", mass, "and the largest score gives exp(0) = 1, the others something positive", certificate=total(sp.exp(-below[j]), j))


# --- which rankings a score can have (C228) -------------------------------------------------------------------------------------------------


def _sign(x: Fraction) -> int:
    return (x > 0) - (x < 0)


def _one_ranking(features: Matrix, W: Matrix, a: Row, left: Fraction) -> Outcome:
    """All nodes that see two nodes order them alike, and their log-odds lie between c times a gap and that gap."""
    h_W = transformed(features, W)
    half = len(W)
    heights = [sum((x * y for x, y in zip(a[half:], row, strict=True)), Fraction(0)) for row in h_W]
    count = range(len(features))
    for query, one, other in product(count, repeat=3):
        first, second = (gat_score(h_W[query], h_W[key], a, left) for key in (one, other))
        odds, by = first - second, heights[one] - heights[other]
        if _sign(odds) != _sign(by) or not left * abs(by) <= abs(odds) <= abs(by):
            return Outcome.REFUTED
    return Outcome.HELD


@derived(
    Claim(
        id="graphs.one-ranking",
        title="A graph attention network's score ranks any two nodes in the same way for every node that sees both",
        states="Node attention: the score of i and j is LeakyReLU(aᵀ[W h_i ‖ W h_j]).",
        reading="LeakyReLU has a slope c between 0 and 1 on the left, as the name says (with c = 0, ReLU, strict orders may become ties).",
        precise=r"With $a=(a_1,a_2)$, $b_i=a_1^\top Wh_i$ and $t_j=a_2^\top Wh_j$ the score is $\mathrm{LeakyReLU}(b_i+t_j)$, which increases strictly with $t_j$: $t_j>t_k$ if and only if $\alpha_{ij}>\alpha_{ik}$, for every node $i$ "
        r"with $j,k\in N_i$. The node decides only how much: $c\,(t_j-t_k)\le\log(\alpha_{ij}/\alpha_{ik})\le t_j-t_k$ where $t_j\ge t_k$.",
        sources=(NODES, GRAPHS, BRODY.at("section 3.2, Theorem 1")),
        scope="every width, every real W, a and features, every slope 0 < c < 1; one head",
        inventory=("C228",),
        holds=_one_ranking,
    )
)
def one_ranking() -> Iterator[Step]:
    query, key, weights = (sp.IndexedBase(name, real=True) for name in ("q", "k", "a"))
    both = sp.Sum(weights[z] * query[z], (z, 1, d)) + sp.Sum(weights[d + z] * key[z], (z, 1, d))
    parts = sp.Sum(weights[z] * query[z] + weights[d + z] * key[z], (z, 1, d))
    yield Step(both, "=", parts, "the product with the concatenation is a part of node i and a part of node j: b_i + t_j")
    start = sp.Symbol("p", nonnegative=True)
    cases = (
        (start, start + gap, gap, "both at or above 0"),
        (-start - gap, -start, slope * gap, "both at or below 0"),
        (-start, gap, gap + slope * start, "from p below to x above"),
    )
    for low, high, growth, where in cases:
        yield Step(leaky_relu(high) - leaky_relu(low), "=", growth, f"{where}: what LeakyReLU gains as its argument grows")
        yield Step(slope * (high - low), "<=", growth, "at least c times as much", certificate=sp.factor(growth - slope * (high - low)))
        yield Step(growth, "<=", high - low, "at most as much", certificate=sp.factor(high - low - growth))
    yield Step(sp.Integer(0), "<", slope * gap, "and c times a positive gap is positive, so the order of the t_j is the order of the scores")
    yield Step(
        sp.UnevaluatedExpr(sp.exp(S[i, j]) / total(sp.exp(S[i, l]), l)) / sp.UnevaluatedExpr(sp.exp(S[i, k]) / total(sp.exp(S[i, l]), l)), "=",
        sp.exp(S[i, j] - S[i, k]),
        "log α_ij − log α_ik is the difference of two scores",
    )  # fmt: skip


def _each_its_own(first: int, second: int, left: Fraction) -> Outcome:
    """Nodes with the features x and y, each a neighbour of both: the dynamic score has each rank itself first, and its ranking differs from the other's."""
    W, a = ((1, -1), (-1, 1)), (-1, -1)
    scores = [[gatv2_score([here], [there], W, a, left) for there in (first, second)] for here in (first, second)]
    return exact.decided(scores[0][0] > scores[0][1] and scores[1][1] > scores[1][0])


@derived(
    Claim(
        id="graphs.rankings-that-differ",
        title="With the score aᵀ LeakyReLU(W[h_i ‖ h_j]) each node can rank first the neighbour that is most like it",
        states="(Not in the text, which has another score.) The score of GATv2, in contrast to that of the text.",
        reading="Some weights give two nodes that see the same neighbours different rankings. (The paper's dynamic attention asks for more, weights for every "
        "choice of a first neighbour for each node: its Theorem 2, not "
        "derived here.)",
        precise=r"With features of width 1, $W=\begin{pmatrix}1&-1\\-1&1\end{pmatrix}$ and $a=(-1,-1)$ the score is $-(1-c)\,|h_i-h_j|$: of nodes with features $x\ne y$ that both see both, each ranks itself first. No weights of "
        "LeakyReLU(aᵀ[W h_i ‖ W h_j]) do that (graphs.one-ranking).",
        sources=(BRODY.at("section 3.3"), NODES),
        scope="every two different real features and every slope 0 < c < 1; a statement of existence",
        inventory=("C228",),
        uses=("graphs.one-ranking",),
        holds=_each_its_own,
    )
)
def rankings_that_differ() -> Iterator[Step]:
    first = sp.Symbol("h", real=True)

    def score(here: sp.Expr, there: sp.Expr) -> sp.Expr:
        return -leaky_relu(here - there) - leaky_relu(there - here)

    second = first + gap
    yield Step(score(first, second), "=", -(1 - slope) * gap, "the two units are the difference and its negative: −LeakyReLU(z) − LeakyReLU(−z) = −(1 − c)|z|")
    certificate = (1 - slope) * gap
    yield Step(score(first, second), "<", score(first, first), "the node with the smaller feature ranks itself first", certificate=sp.factor(certificate))
    yield Step(score(second, first), "<", score(second, second), "and so does the one with the larger", certificate=sp.factor(certificate))


def _complete_graph(heights: Row, offsets: Row, left: Fraction) -> Outcome:
    """On the complete graph with loops: with slope 1 all nodes have one row of weights; whatever the slope, all rank all nodes alike."""
    straight = [exact.softmax([b + t for t in heights]) for b in offsets]
    bent = [exact.softmax([leaky(Fraction(b + t), left) for t in heights]) for b in offsets]
    alike = all((row[x] > row[y]) == (heights[x] > heights[y]) for row in bent for x, y in product(range(len(heights)), repeat=2))
    return Outcome.worst([exact.equal(straight, [exact.softmax(list(heights))] * len(offsets)), exact.decided(alike)])


@derived(
    Claim(
        id="graphs.complete-graph",
        title="On the complete graph, graph attention is dense attention in which all nodes rank alike; with a LeakyReLU of slope 1 all have the same weights",
        states="(Implied.) Nodes attend to their neighbours, as the tokens of a sequence attend to each other.",
        reading="If every node sees every node, itself included, is graph attention the attention over that sequence?",
        precise="The masked dense softmax with a mask of ones is the dense softmax. Let $b_i+t_j$ be what LeakyReLU is applied to, $b_i$ the part of node "
        "$i$ and $t_j$ that of its neighbour. With slope $c=1$ the node's part cancels, "
        r"$\alpha_{ij}=e^{t_j}/\sum_le^{t_l}$: every node has the same output. With $0<c<1$ rows can differ, within the bounds of graphs.one-ranking; scores "
        r"$q_i^\top k_j$ are not bound to one ranking.",
        sources=(NODES, GRAPHS, BRODY.at("section 3.2")),
        scope="every number of nodes, every real b_i and t_j; one head",
        inventory=("C228",),
        uses=("graphs.one-ranking", "graphs.segments-are-masked-dense"),
        holds=_complete_graph,
    )
)
def complete_graph() -> Iterator[Step]:
    b, height = sp.Symbol("b_i", real=True), sp.IndexedBase("t", real=True)
    here, there = (leaky_relu(b_i + gap) - leaky_relu(b_i) for b_i in (-gap, sp.Integer(0)))
    yield Step(
        here, "<", there,
        "with a slope c < 1 rows can differ: for t = (0, x) the two scores of the node with b = −x lie cx apart, and those of the node with b = 0 lie x apart", certificate=(1 - slope) * gap,
    )  # fmt: skip
    key = sp.Symbol("k", positive=True)
    yield Step(-gap * key, "<", sp.Integer(0), "a product of query and key: the query −x ranks the key k > 0 below the key 0", certificate=gap * key)
    yield Step(sp.Integer(0), "<", gap * key, "and the query x ranks it above")
    weight = sp.exp(b + height[j]) / total(sp.exp(b + height[l]), l)
    yield Step(weight, "=", sp.exp(height[j]) / total(sp.exp(height[l]), l), "with slope 1 the node's own part is in every score of its row, and cancels")


# --- edges with features (C229) --------------------------------------------------------------------------------------------------------------


def forced(score: int, company: Row) -> Fraction | None:
    """What a function of one edge alone must be at this edge, for the weights of the node to sum to 1: known if all other edges are copies of it, with the same arguments."""
    return Fraction(1, 1 + len(company)) if set(company) <= {score} else None


def _weight_of_one_edge(score: int, company: Row, other_company: Row) -> Outcome:
    """Whether two companies force two values on a function of one edge alone; equal numbers stand for equal arguments."""
    here, there = forced(score, company), forced(score, other_company)
    return exact.decided(None in (here, there) or here == there)


def _odds_of_two_edges(score: int, company: Row, other_company: Row) -> Outcome:
    """Weights sum to one, each is its exponential over the neighbourhood's, and the odds of two edges do not depend on the rest."""
    outcomes = []
    for others in (company, other_company):
        weights = exact.softmax([score, *others])
        odds = exact.equal([weights[0] * exact.ball(x - score).exp() for x in others], weights[1:])
        outcomes += [exact.equal(sum(weights, arb(0)), 1), odds, exact.decided(bool(weights[0] > 0) and (bool(weights[0] < 1) or not others))]
    return Outcome.worst(outcomes)


def _told_company(score: int, company: Row, other_company: Row) -> str:
    counts = [1 + len(others) for others in (company, other_company)]
    here, there = (
        f"a node with {'a single edge' if count == 1 else f'{count} edges'} needs "
        f"{'g = 1' if count == 1 else f'{count} · g = 1, that is g = {Fraction(1, count)}'}"
        for count in counts
    )
    return (
        "In the case each number stands for one edge, and equal numbers for edges with the same arguments: an edge, and the others of its node in two graphs. "
        "Let all edges have the same h_i, h_j and e_ij. A function of these three gives each edge the same number g, and at each node these must sum to 1. "
        "Then "
        f"{here}; but {there}. One function cannot have both values at the same arguments."
    )


def _softmax_of_edge_scores() -> Iterator[Step]:
    mass = sp.exp(own) + total(sp.exp(s[j]), j)
    yield Step(
        sp.exp(own) / mass + total(sp.exp(s[j]) / mass, j),
        "=",
        sp.Integer(1),
        "whatever real numbers the scores f(h_i, h_j, e_ij) are, their softmax sums to one",
    )
    yield Step(sp.Integer(0), "<", sp.exp(own) / mass, "and is positive")
    yield Step(
        sp.UnevaluatedExpr(sp.exp(own) / mass) / sp.UnevaluatedExpr(sp.exp(s[k]) / mass),
        "=",
        sp.exp(own - s[k]),
        "the odds of two edges depend on their two scores, and on no other edge",
    )


@derived(
    Claim(
        id="graphs.edge-attention",
        title="The weight of an edge is a function of its two nodes and its features",
        states="Edge attention incorporates edge features: α_ij = attention(h_i, h_j, e_ij).",
        reading="α_ij is a weight, as in the formula before it: at each node they sum to 1 over its neighbourhood. The formula gives it three arguments.",
        precise=r"There is a function of $(h_i,h_j,e_{ij})$ alone that is $\alpha_{ij}$ in every graph, with $\sum_{j\in N_i}\alpha_{ij}=1$ wherever $N_i\ne\emptyset$.",
        sources=(EDGES,),
        scope="every graph, every node with a neighbour",
        inventory=("C229",),
        unsaid="attention(…) is the score, and α_ij its softmax over the neighbourhood, whose other edges are arguments too",
        corrected_by="graphs.edge-attention-normalised",
        holds=_weight_of_one_edge,
        worked=_told_company,
    )
)
def edge_attention() -> Iterator[Step]:
    yield from _softmax_of_edge_scores()


@derived(
    Claim(
        id="graphs.edge-attention-normalised",
        title="Any score of two nodes and their edge gives weights by a softmax over the neighbourhood; only the odds belong to the edges alone",
        states="(Implied.) Edge features are incorporated into weights, α_ij = attention(h_i, h_j, e_ij): by a softmax over the neighbourhood, as in the "
        "formula before it.",
        precise=r"For every real function $f$, $\alpha_{ij}=e^{f(h_i,h_j,e_{ij})}/\sum_{k\in N_i}e^{f(h_i,h_k,e_{ik})}$ is positive, sums to 1, and "
        r"$\alpha_{ij}/\alpha_{ik}=e^{f(h_i,h_j,e_{ij})-f(h_i,h_k,e_{ik})}$. A function $g$ of one edge alone "
        r"would need $g=1$ at a node with that edge only, and $g+g=1$ at a node with two such edges, which is not possible.",
        sources=(EDGES,),
        scope="every real score, a neighbourhood of an edge and n ≥ 1 others",
        inventory=("C229",),
        holds=_odds_of_two_edges,
    )
)
def edge_attention_normalised() -> Iterator[Step]:
    alone = sp.UnevaluatedExpr(sp.Integer(1))
    yield Step(
        alone,
        "<",
        alone + alone,
        "a function of the edge alone: if it is 1 at a node with one edge, its sum is 2 at a node with two edges that have the same features",
    )
    yield from _softmax_of_edge_scores()


def _edge_terms(offsets: Row, heights: Row, terms: Matrix, left: Fraction) -> Outcome:
    """Node i ranks its neighbours by t_j plus the term of the edge."""
    for here, row in zip(offsets, terms, strict=True):
        scores = [leaky(Fraction(here + t + e), left) for t, e in zip(heights, row, strict=True)]
        if any((scores[x] > scores[y]) != (heights[x] + row[x] > heights[y] + row[y]) for x, y in product(range(len(heights)), repeat=2)):
            return Outcome.REFUTED
    opposite = [
        [leaky(Fraction(here + t + e), left) for t, e in zip((0, heights[-1]), row, strict=True)]
        for here, row in zip((0, 0), ((abs(heights[-1]) + 1, 0), (0, abs(heights[-1]) + 1)), strict=True)
    ]
    return exact.decided(opposite[0][0] > opposite[0][1] and opposite[1][0] < opposite[1][1])


@derived(
    Claim(
        id="graphs.edge-term-ranking",
        title="A term for each edge lets two nodes rank the same neighbours differently",
        states="Edge attention incorporates edge features.",
        reading="As in graph attention with edge features, the score is LeakyReLU(b_i + t_j + r_ij): b_i and t_j come from the two nodes, and r_ij from the "
        "edge.",
        precise="Node $i$ ranks its neighbours by $t_j+r_{ij}$. For any $t_j$, $t_k$ there are terms with which node 1 ranks $j$ above $k$ and node 2 ranks "
        "$k$ above $j$: $r_{1j}=r_{2k}=|t_j-t_k|+x$, $x>0$, and 0 on the other two edges.",
        sources=(EDGES, BRODY.at("section 3")),
        scope="every real b_i, t_j and term, every slope 0 < c < 1",
        inventory=("C229",),
        uses=("graphs.one-ranking",),
        holds=_edge_terms,
    )
)
def edge_term_ranking() -> Iterator[Step]:
    apart = sp.Symbol("t", nonnegative=True)  # t_j − t_k, or t_k − t_j
    low = sp.Symbol("t_k", real=True)
    yield Step(low, "<", (low + apart) + (apart + gap), "t_j = t_k + t: with the term at j node 1 ranks j above k", certificate=2 * apart + gap)
    yield Step(low + apart, "<", low + (apart + gap), "and with the term at k node 2 ranks k above j", certificate=gap)


def _relabelled(table: Sequence[Sequence[Sequence[int]]], edges: Edges, kinds: Row, edge_kinds: Matrix, values: Row, order: Row) -> Outcome:
    """The score of an edge is looked up by the kinds of its nodes and its own kind; nodes are renamed, with their edges."""

    def layer(listed: Edges, of_nodes: Row, of_edges: Matrix) -> list[arb]:
        scores = [table[of_nodes[here]][of_nodes[there]][of_edges[here][there]] for here, there in listed]
        return segment_softmax(listed, scores, len(of_nodes), [values[x] for x in of_nodes])[1]

    place = {old: new for new, old in enumerate(order)}
    renamed = [(place[here], place[there]) for here, there in edges]
    moved_kinds = reordered(kinds, order)
    moved_edges = [reordered(edge_kinds[old], order) for old in order]
    return exact.equal(layer(renamed, moved_kinds, moved_edges), reordered(layer(edges, kinds, edge_kinds), order))


@derived(
    Claim(
        id="graphs.relabelling",
        title="Renaming the nodes renames the outputs, edge features included",
        states="(Implied.) α_ij = attention(h_i, h_j, e_ij): two nodes and their edge enter, and the numbers of the nodes do not.",
        precise=r"For any function $f$ of two nodes and their edge: if nodes, edges and edge features are renamed together, $H'(\Pi h,\Pi A\Pi^\top,\Pi e\Pi^\top)=\Pi\,H'(h,A,e)$.",
        sources=(EDGES, NODES),
        scope="every graph in which each node has a neighbour (or a loop), every real score and value; derived for a swap of two nodes, of which every renaming is made",
        inventory=("C229",),
        uses=("symmetry.self-attention-equivariance",),
        holds=_relabelled,
    )
)
def relabelling() -> Iterator[Step]:
    def answer(weight: Entry, value: Entry, row: sp.Expr) -> sp.Expr:
        return total(weight(row, j) * value(j, e), j) / sp.Sum(weight(row, z), (z, 1, n))

    def moved(row: sp.Expr, at: sp.Expr) -> sp.Expr:
        return swapped(lambda x: swapped(lambda y: A[x, y], at), row)

    def still(row: sp.Expr) -> sp.Expr:
        return answer(entries(A), entries(X), row)

    left = answer(moved, lambda at, feature: swapped(entries(X), at, feature), i)
    right = swapped(still, i)
    divisors = tuple(sp.Sum(weight(row, z), (z, 1, n)) for weight, row in ((moved, i), (entries(A), i), (entries(A), k), (entries(A), l)))
    yield Step(
        left, "=", right,
        "with A_ij = exp f on edges and 0 elsewhere: its rows and columns trade places together with the values, and the sums run over all nodes", nonzero=divisors,
    )  # fmt: skip


# --- two texts, one layer (C230) -------------------------------------------------------------------------------------------------------------

BENDS = ("identity", "ReLU", "tanh")


def bent(x: arb, bend: str) -> arb:
    match bend:
        case "identity":
            return x
        case "ReLU":
            return (x + abs(x)) / 2
        case "tanh":
            return x.tanh()
    raise ValueError(f"unknown non-linearity {bend!r}; possible are {', '.join(BENDS)}")


Head = tuple[Matrix, Row]  # W [d', d] and a [2 d']


def head_outputs(features: Matrix, edges: Edges, head: Head, left: Fraction) -> list[list[arb]]:
    """Σ_j α_ij W h_j for every node, by the formulas that both texts share; a node without neighbours gets zeros."""
    W, a = head
    h_W = transformed(features, W)
    rows = []
    for node, near in enumerate(neighbours(edges, len(features))):
        weights = exact.softmax([gat_score(h_W[node], h_W[at], a, left) for at in near]) if near else []
        rows.append([_mixed(weights, [h_W[at][unit] for at in near]) for unit in range(len(W))])
    return rows


def concatenated(features: Matrix, edges: Edges, heads: Sequence[Head], left: Fraction) -> list[list[arb]]:
    """The first text's layer: all heads side by side, and nothing after that."""
    parts = [head_outputs(features, edges, head, left) for head in heads]
    return [[x for part in parts for x in part[node]] for node in range(len(features))]


def with_bend(features: Matrix, edges: Edges, head: Head, left: Fraction, bend: str) -> list[list[arb]]:
    """The second text's layer: one head, and σ of it."""
    return [[bent(x, bend) for x in row] for row in head_outputs(features, edges, head, left)]


def _same_layer(features: Matrix, edges: Edges, heads: Sequence[Head], left: Fraction, bend: str) -> Outcome:
    """With one head."""
    return exact.equal(concatenated(features, edges, heads[:1], left), with_bend(features, edges, heads[0], left, bend))


def _same_but_for_the_bend(features: Matrix, edges: Edges, heads: Sequence[Head], left: Fraction, bend: str) -> Outcome:
    """σ of the first text's layer is the second's, head by head."""
    one = [[bent(x, bend) for x in row] for row in concatenated(features, edges, heads, left)]
    parts = [with_bend(features, edges, head, left, bend) for head in heads]
    return exact.equal(one, [[x for part in parts for x in part[node]] for node in range(len(features))])


def _told_layers(features: Matrix, edges: Edges, heads: Sequence[Head], left: Fraction, bend: str) -> str:
    one, other = concatenated(features, edges, heads[:1], left), with_bend(features, edges, heads[0], left, bend)
    told = ["[" + "; ".join(", ".join(exact.show(x) for x in row) for row in rows) + "]" for rows in (one, other)]
    h_W = transformed(features, heads[0][0])
    products = "; ".join(f"({', '.join(map(str, row))})" for row in h_W)
    alone = all(len(near) == 1 for near in neighbours(edges, len(features)))
    return (
        f"The graph has {len(features)} node{'s' if len(features) > 1 else ''}, numbered from 0, the edges {list(edges)} and the features "
        f"{list(map(list, features))}. One head has W = {list(map(list, heads[0][0]))}, a = {list(heads[0][1])} and the slope {left}; σ is {bend}. "
        f"Then W h is {products}, node by node.{' Each node has a single neighbour, whose weight is 1 whatever its score.' if alone else ''} The weighted "
        f"sum, which is the one text's layer, is {told[0]}; σ of it, the other's layer, is "
        f"{told[1]}. The claim needs the two to be equal."
    )


def _bend_is_all() -> Iterator[Step]:
    mean = total(sp.exp(s[j]) / total(sp.exp(s[l]), l) * v[j], j)
    yield Step(
        leaky_relu(mean, sp.Integer(1)),
        "=",
        total(sp.exp(s[j]) * v[j], j) / total(sp.exp(s[l]), l),
        "the weights are the same quotient, and with σ the identity so is one head's output",
    )


@derived(
    Claim(
        id="graphs.two-texts-one-layer",
        title="The two texts give the same graph attention layer",
        states="(Implied by two texts together.) Both have a graph attention layer: one text has h'_i as the concatenation over heads k of Σ_j α_ij^k W^k h_j, "
        "the other as σ(Σ_j α_ij W h_j). Both have a softmax of the same score for α; the other writes "
        "it of a single number.",
        reading="Both are read with the α of the first text, normalised over the neighbourhood, and with the sum over the neighbourhood. With one head, K = "
        "1, a layer that is built from one formula computes what a layer built from the other "
        "does. σ, which stands in one of the texts only and is not explained there, is any function of one number.",
        precise=r"$\sum_{j\in N_i}\alpha_{ij}Wh_j=\sigma\big(\sum_{j\in N_i}\alpha_{ij}Wh_j\big)$.",
        sources=(VELICKOVIC.at("equations 4 and 5"),),
        scope="every graph, real W, a and features; σ the identity, ReLU or tanh; sums over the neighbourhood in both",
        inventory=("C230",),
        unsaid="σ is the identity (or is applied in both)",
        corrected_by="graphs.same-but-for-the-bend",
        holds=_same_layer,
        worked=_told_layers,
    )
)
def two_texts_one_layer() -> Iterator[Step]:
    yield from _bend_is_all()


@derived(
    Claim(
        id="graphs.same-but-for-the-bend",
        title="One text's layer is the other's before σ, in each head",
        states="Graph self-attention: h'_i is σ of the sum over j of α_ij W h_j, with α a softmax of LeakyReLU(aᵀ[W h_i ‖ W h_j]).",
        reading="The softmax and the sum run over the neighbourhood, as the text has nodes attend to their neighbours; σ, which it does not explain, is a "
        "function of one number. What is judged is how this layer is related to one of several heads side by side without σ (another text's).",
        precise=r"With the same $W^k$, $a^k$ and neighbourhoods both have the same $\alpha^k$, and "
        r"$\sigma(\Vert_k\sum_j\alpha^k_{ij}W^kh_j)=\Vert_k\sigma(\sum_j\alpha^k_{ij}W^kh_j)$, since $\sigma$ acts on each number by itself. The one "
        r"lacks $\sigma$, and the other lacks the heads. (The paper has both.) With ReLU the two layers of one head agree exactly where no entry is negative.",
        sources=(GRAPHS, VELICKOVIC.at("equations 4 and 5")),
        scope="every graph, number of heads, real W, a and features; σ tanh or ReLU (any other function of one number likewise, as an entry lies in one head; not derived)",
        inventory=("C230",),
        holds=_same_but_for_the_bend,
    )
)
def same_but_for_the_bend() -> Iterator[Step]:
    yield from _bend_is_all()
    x, y = sp.symbols("x_1 x_2", real=True)
    kept, dropped = sp.UnevaluatedExpr(more), sp.UnevaluatedExpr(-gap)
    yield Step(leaky_relu(kept, sp.Integer(0)), "=", more, "ReLU keeps what is not negative")
    yield Step(leaky_relu(dropped, sp.Integer(0)), "=", sp.Integer(0), "and makes 0 of −x")
    yield Step(-gap, "<", leaky_relu(dropped, sp.Integer(0)), "which differs", certificate=gap)
    here = sp.KroneckerDelta(i, j)  # whether an entry of the concatenation lies in this head
    for name, bend in (("ReLU", lambda value: leaky_relu(value, sp.Integer(0))), ("tanh", sp.tanh)):
        yield Step(
            bend(here * x + (1 - here) * y),
            "=",
            here * bend(x) + (1 - here) * bend(y),
            f"{name} of an entry of the concatenation is {name} of the entry of its head: δ_ij is 1 in this head, with the entry x₁, and 0 in another, with x₂",
        )


def _side_by_side(features: Matrix, edges: Edges, heads: Sequence[Head], left: Fraction, projection: Matrix) -> Outcome:
    """A linear layer after the concatenation against a sum over heads; and the average of the heads as such a layer."""
    together = concatenated(features, edges, heads, left)
    parts = [head_outputs(features, edges, head, left) for head in heads]
    wide, count = len(heads[0][0]), len(features)
    lines = [row[: wide * len(heads)] for row in projection]

    def mapped(row: Sequence[arb], weights: Sequence[int | Fraction]) -> arb:
        return sum((exact.ball(x) * y for x, y in zip(weights, row, strict=True)), arb(0))

    blocks = [[line[at * wide : (at + 1) * wide] for line in lines] for at in range(len(heads))]
    summed = [
        [sum((mapped(part[node], block[out]) for part, block in zip(parts, blocks, strict=True)), arb(0)) for out in range(len(lines))] for node in range(count)
    ]
    means = [[sum((part[node][unit] for part in parts), arb(0)) / len(heads) for unit in range(wide)] for node in range(count)]
    averaging = [[Fraction(int(at % wide == unit), len(heads)) for at in range(wide * len(heads))] for unit in range(wide)]
    linear = exact.equal([[mapped(row, line) for line in lines] for row in together], summed)
    return Outcome.worst([linear, exact.equal([[mapped(row, line) for line in averaging] for row in together], means)])


@derived(
    Claim(
        id="graphs.heads-side-by-side",
        title="Multi-head graph attention concatenates h heads of width d_v, and a linear layer after it is a sum over the heads",
        states="Multi-head graph attention concatenates, over the heads, the weighted sums of W^k h_j over the neighbourhood.",
        precise=r"With $h$ heads of width $d_v$ each node has $h\,d_v$ outputs. Output $(g-1)d_v+e$ comes from head $g$ alone, and with $x^g_j=W^gh_j$ output "
        "$y$ of a linear layer $W_O$ after them is "
        r"$\sum_g\sum_e\sum_{j}\alpha^g_{ij}x^g_{je}W_O[(g-1)d_v+e,y]$. The average of the heads, which the last layer of the paper takes, is the case in "
        r"which $W_O$ has a $d_v\times d_v$ identity over $h$ for each head.",
        sources=(HEADS, VELICKOVIC.at("equations 5 and 6")),
        scope="every graph, number of heads of one width, every real weight and value",
        inventory=("C230",),
        uses=("multi_head.concatenation-is-sum",),
        holds=_side_by_side,
    )
)
def heads_side_by_side() -> Iterator[Step]:
    weight, value, projection = (sp.IndexedBase(name, real=True) for name in ("P", "x", "W_O"))
    at, out = sp.symbols("q y", integer=True, positive=True)
    place = g * d_v - d_v + e
    head = total(weight[g, i, j] * value[g, j, e], j)
    joined = total(total(head * sp.KroneckerDelta(at, place), e), g)
    everything = (at, 1, h * d_v)
    yield Step(
        total(total(head * sp.KroneckerDelta(e, f) / h, e), g), "=", total(total(weight[g, i, j] * value[g, j, f], j), g) / h,
        "with W_O[(g − 1)d_v + e, f] = δ_ef/h that is the average of the heads",
    )  # fmt: skip
    yield Step(
        sp.Sum(joined * projection[at, out], everything),
        "=",
        total(total(head * projection[place, out], e), g),
        "entry q of the concatenation is entry e of one head g, q = (g − 1)d_v + e",
    )


# --- what layers see -------------------------------------------------------------------------------------------------------------------------


def ball_around(edges: Edges, node: int, radius: int) -> set[int]:
    """The nodes that at most so many edges lead to."""
    seen = {node}
    for _ in range(radius):
        seen |= {there for here, there in edges if here in seen}
    return seen


def _means(edges: Edges, marks: Row, layers: int) -> list[Fraction]:
    """Layers of equal scores, each node its own neighbour too: the mean over the neighbourhood."""
    values = [Fraction(x) for x in marks]
    near = [[*{node, *at}] for node, at in enumerate(neighbours(edges, len(marks)))]
    for _ in range(layers):
        values = [sum((values[at] for at in row), Fraction(0)) / len(row) for row in near]
    return values


def _attended(edges: Edges, marks: Row, layers: int, a: Row) -> list[arb]:
    """Layers of graph attention with loops on features of width 1, W = 1, and slope ½."""
    values = [exact.ball(x) for x in marks]
    near = [[*{node, *at}] for node, at in enumerate(neighbours(edges, len(marks)))]
    for _ in range(layers):
        score = [[a[0] * values[node] + a[1] * values[at] for at in row] for node, row in enumerate(near)]
        weights = [exact.softmax([3 * x / 4 + abs(x) / 4 for x in row]) for row in score]
        values = [_mixed(p, [values[at] for at in row]) for p, row in zip(weights, near, strict=True)]
    return values


def _hops(edges: Edges, marks: Row, a: Row, layers: int, place: int, shift: int) -> Outcome:
    """A changed mark reaches, with equal scores, exactly the nodes that have it in their ball, and with other scores no more; the ball is the boolean power."""
    count = len(marks)
    changed = [x + shift * (at == place) for at, x in enumerate(marks)]
    inside = [place in ball_around(edges, node, layers) for node in range(count)]
    moved = [x != y for x, y in zip(_means(edges, changed, layers), _means(edges, marks, layers), strict=True)]
    blind = [node for node in range(count) if not inside[node]]
    before, after = _attended(edges, marks, layers, a), _attended(edges, changed, layers, a)
    power = looped = [frozenset({node, *at}) for node, at in enumerate(neighbours(edges, count))]
    for _ in range(layers - 1):
        power = through(looped, power)
    balls = exact.decided(moved == inside and all(set(row) == ball_around(edges, node, layers) for node, row in enumerate(power)))
    return Outcome.worst([balls, exact.equal([after[node] for node in blind], [before[node] for node in blind])])


@derived(
    Claim(
        id="graphs.hops",
        title="L layers see the nodes at most L edges away, and no others",
        states="Nodes attend to their neighbours.",
        reading="With loops, i in N_i, as the paper has it.",
        precise="One layer's output at $i$ depends on the nodes of $N_i$ only. Through $L$ layers it depends on node $j$, for some weights, exactly if a "
        "path of at most $L$ edges leads from $i$ to $j$. Let $a_{il}$ be positive on edges and "
        r"0 elsewhere, and $b_{lj}$ likewise where $L$ layers let $l$ see $j$. One layer more has $\sum_l(a_{il}+\delta_{il})b_{lj}$, which is 0 if neither "
        "$i$ nor a neighbour sees $j$, and is at least $b_{ij}$ and each $a_{ik}b_{kj}$.",
        sources=(NODES, GRAPHS),
        scope="every graph, directed or not, and every L ≥ 1; nothing else mixes nodes. The dependence is there for equal scores and an identity value map, and is excluded for all weights.",
        uses=("sparsity.receptive-field", "sparsity.support"),
        holds=_hops,
    )
)
def hops() -> Iterator[Step]:
    near, far, zero = sp.IndexedBase("a", nonnegative=True), sp.IndexedBase("b", nonnegative=True), sp.Symbol("z", nonnegative=True)
    looped = near[i, l] + sp.KroneckerDelta(i, l)
    kept = sp.Sum(near[i, l] * far[l, j], (l, 1, n))
    yield Step(
        sp.Sum(looped * far[l, j], (l, 1, n)),
        "=",
        far[i, j] + kept,
        "what node i sees through one layer more: what it saw, by its loop, and what its neighbours saw",
    )
    yield Step(far[i, j], "<=", far[i, j] + kept, "so nothing is lost", certificate=kept)
    others = sp.Sum((1 - sp.KroneckerDelta(l, k)) * near[i, l] * far[l, j], (l, 1, n))
    path = near[i, k] * far[k, j]
    yield Step(kept, "=", path + others, "the neighbour k, and the others")
    yield Step(
        path,
        "<=",
        kept,
        "if an edge leads to a node k that sees j through L layers, then j is seen through L + 1, as positive weights add up",
        certificate=others,
    )
    row = sp.IndexedBase("c", nonnegative=True)
    yield Step(
        sp.Sum(zero * row[l] * looped, (l, 1, n)),
        "=",
        zero * sp.Sum(row[l] * looped, (l, 1, n)),
        "if neither i nor a neighbour sees j, then b_lj = z c_l with z = 0 on all of them, and the sum is 0",
    )


# --- what edges cost ---------------------------------------------------------------------------------------------------------------------------


def _counted(edges: Edges, count: int, width: int, out: int, heads: int) -> tuple[int, int, int, int]:
    """Multiply-adds on nodes and on edges, exponentials and parameters of one layer: counted one by one."""
    on_nodes = on_edges = exponentials = parameters = 0
    for _ in range(heads):
        parameters += sum(1 for _ in product(range(out), range(width))) + 2 * out
        for _ in range(count):
            on_nodes += sum(1 for _ in product(range(out), range(width)))  # W h
            on_nodes += sum(1 for _ in product(("as node i", "as node j"), range(out)))  # its two products with the halves of a
        for _ in edges:
            exponentials += 1
            on_edges += out  # weight times value
    return on_nodes, on_edges, exponentials, parameters


def _edge_cost(edges: Edges, count: int, width: int, out: int, heads: int) -> Outcome:
    listed = sorted(set(edges))
    found = _counted(listed, count, width, out, heads)
    complete = _counted([(here, there) for here in range(count) for there in range(count)], count, width, out, heads)
    formula = (heads * count * (width + 2) * out, heads * len(listed) * out, heads * len(listed), heads * (width + 2) * out)
    dense = heads * count**2 * out
    return exact.decided(found == formula and complete[1] == dense and found[1] <= dense and (found[1] == dense) == (len(listed) == count**2))


@derived(
    Claim(
        id="graphs.edge-cost",
        title="A layer of h heads takes h(n(d + 2)d_v + |E| d_v) multiply-adds and h|E| exponentials: edges take the place of n²",
        states="Attention over graph neighbours, with h heads side by side.",
        reading="A multiply-add counts as one. W h_j and its products with the two halves of a are computed once for each node. There are n nodes with d "
        "features, |E| edges, and h heads of width d_v.",
        precise=r"$h\,n(d+2)d_v$ multiply-adds on nodes, $h|E|d_v$ on edges, $h|E|$ exponentials, and $h(d+2)d_v$ parameters, which do not depend on the graph. $|E|=\sum_i|N_i|\le n^2$, with equality exactly for the complete graph with "
        r"loops: $n^2-|E|$ pairs are saved. If each node has at most $D$ neighbours, $|E|\le nD$, which is linear in $n$.",
        sources=(HEADS, NODES, VELICKOVIC.at("section 2.2")),
        scope="every simple graph (loops allowed), every n, d, d_v, h ≥ 1; without biases and the final σ. What each edge of a head does once is not "
        "counted: adding the two products, LeakyReLU, adding to the normaliser and dividing (h|E| of each)",
        kind=Kind.COST,
        uses=("multi_head.concatenation-is-sum",),
        holds=_edge_cost,
    )
)
def edge_cost() -> Iterator[Step]:
    missing = sp.IndexedBase("x", nonnegative=True)  # of a node: how many nodes are not its neighbours
    one, unit, feature = sp.S.One, e, sp.Symbol("a_1", integer=True, positive=True)
    yield Step(sp.Sum(sp.Sum(sp.Sum(one, (feature, 1, d)), (unit, 1, d_v)) + 2 * d_v, (u, 1, h)), "=", h * (d + 2) * d_v, "parameters of h heads: W and a")
    yield Step(total(n - missing[i], i), "<=", n**2, "a node has at most n neighbours: n − x of them", certificate=total(missing[i], i))
    yield Step(n**2 - total(n - missing[i], i), "=", total(missing[i], i), "and what is saved is what is missing")
    most = sp.Symbol("D", integer=True, positive=True)
    yield Step(total(most - missing[i], i), "<=", n * most, "at most D neighbours each: linear in n", certificate=total(missing[i], i))
    per_head = total(sp.Sum(sp.Sum(one, (feature, 1, d)), (unit, 1, d_v)) + 2 * sp.Sum(one, (unit, 1, d_v)), i)
    on_nodes, on_edges = sp.Sum(per_head, (u, 1, h)), sp.Sum(sp.Sum(sp.Sum(one, (unit, 1, d_v)), (z, 1, E)), (u, 1, h))
    yield Step(on_nodes, "=", h * n * (d + 2) * d_v, "on each node of each head: W h, and two products of width d_v")
    yield Step(on_nodes + on_edges, "=", h * (n * (d + 2) * d_v + E * d_v), "and on each of E edges of each head a weight times d_v numbers")


def _dynamic_cost(edges: Edges, count: int, width: int, out: int) -> Outcome:
    """Scores of every edge, counted: products with a once a node, once an edge after concatenation, and with the non-linearity inside."""
    listed = sorted(set(edges))
    static = sum(2 * out for _ in range(count))
    naive = sum(2 * out for _ in listed)
    dynamic = sum(out for _ in listed) + sum(out * width for _ in range(count))
    saved = naive - static
    return exact.decided(saved == 2 * out * (len(listed) - count) and dynamic == out * (len(listed) + count * width))


@derived(
    Claim(
        id="graphs.score-cost",
        title="The scores of all edges take 2n d_v multiply-adds, and not 2|E| d_v, since aᵀ[Wh_i ‖ Wh_j] is a sum of two products",
        states="The score is LeakyReLU(aᵀ[W h_i ‖ W h_j]) for each edge.",
        precise=r"$a^\top[Wh_i\Vert Wh_j]=a_1^\top Wh_i+a_2^\top Wh_j$: two products for each node, $2nd_v$ multiply-adds, and one addition for each edge. "
        "Edge by edge it would be $2|E|d_v$, which is more if and only if $|E|>n$. With the non-linearity inside, "
        r"$a^\top\mathrm{LeakyReLU}(W_1h_i+W_2h_j)$, the product with $a$ remains on each edge, $|E|d_v$, beside a second projection of each node, $nd\,d_v$.",
        sources=(NODES, BRODY.at("sections 3.2 and 3.3")),
        scope="every graph, n, d and d_v; one head, the first projection not counted",
        kind=Kind.COST,
        holds=_dynamic_cost,
    )
)
def score_cost() -> Iterator[Step]:
    query, key, weights = (sp.IndexedBase(name, real=True) for name in ("q", "k", "a"))
    joined = sp.Sum(weights[z] * query[z], (z, 1, d_v)) + sp.Sum(weights[d_v + z] * key[z], (z, 1, d_v))
    yield Step(
        joined,
        "=",
        sp.Sum(weights[z] * query[z] + weights[d_v + z] * key[z], (z, 1, d_v)),
        "2d_v products for an edge, of which d_v belong to each of its nodes",
    )
    one = sp.S.One
    on_nodes, on_edges = total(2 * sp.Sum(one, (z, 1, d_v)), i), sp.Sum(2 * sp.Sum(one, (z, 1, d_v)), (u, 1, E))
    yield Step(
        sp.Sum(sp.Sum(one, (z, 1, d_v)), (u, 1, E)) + total(sp.Sum(sp.Sum(one, (w, 1, d)), (z, 1, d_v)), i),
        "=",
        d_v * (E + n * d),
        "with the non-linearity inside: d_v on each edge, and a second projection of each node",
    )
    yield Step(on_edges - on_nodes, "=", 2 * d_v * (E - n), "node by node instead of edge by edge saves this many multiply-adds")
