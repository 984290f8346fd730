"""Attention over images, sets of objects, frames and points: what the softmax runs over, what patches are, what matching a set means, what two clocks allow.

A position of an image is a row and a column. A patch, a pixel, an object query or a point is a token; the order in which tokens are listed means nothing unless something says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, permutations, product
from math import ceil, floor

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.outcome import Outcome
from theorems.positions import DOSOVITSKIY
from theorems.sources import S0, S1, S4, Source
from theorems.step import Step
from theorems.symbols import S, a, d, e, h, i, j, k, l, m, n, r, s, t, total, v
from theorems.symmetry import Entry, entries, reordered, swapped

CARION = Source(key="carion2020", title="End-to-End Object Detection with Transformers", url="https://arxiv.org/abs/2005.12872")
HU = Source(key="hu2018", title="Squeeze-and-Excitation Networks", url="https://arxiv.org/abs/1709.01507")
NONLOCAL = Source(key="wang2018", title="Non-local Neural Networks", url="https://arxiv.org/abs/1711.07971")
BERTASIUS = Source(key="bertasius2021", title="Is Space-Time Attention All You Need for Video Understanding?", url="https://arxiv.org/abs/2102.05095")

Row = Sequence[int]
Matrix = Sequence[Sequence[int]]
Image = Sequence[Sequence[Sequence[int]]]  # row, column, channel
Costs = Sequence[Sequence[Fraction]]

SPATIAL = S0.at("Spatial Attention")
CHANNEL = S0.at("Channel Attention")
IMAGES = S0.at("Self-Attention for Images")
PATCHES = S1.at("Patch-Based Attention")
DETECTION = S1.at("Attention in Object Detection")
MULTIMODAL = S1.at("Vision-Language Models")
AUDIO_VISUAL = S1.at("Audio-Visual Attention")
POINTS = S1.at("3D Vision")
SCIENCE = S1.at("Scientific Computing")

H, B = sp.symbols("H W", integer=True, positive=True)  # rows and columns of an image (B: its breadth W; here W is a matrix)
P_1, P_2, C = sp.symbols("P_1 P_2 C", integer=True, positive=True)  # rows and columns of a patch, channels
more, rest, beyond = sp.symbols("x y z", integer=True, nonnegative=True)  # slack of integer inequalities
gap, room = sp.symbols("x y", positive=True)
u, w = sp.symbols("u w", integer=True, positive=True)
own, V_i = sp.symbols("s_i V_i", real=True)  # score and value of a position that is certainly there
G = sp.IndexedBase("g", real=True)  # values of pixels, G[j, e]
X = sp.IndexedBase("X", real=True)


def exponentials(score: sp.Expr, *limits: tuple[sp.Expr, ...]) -> sp.Expr:
    return sp.Sum(sp.exp(score), *limits)


# --- softmax over positions and over channels (C216, C217) --------------------------------------------------------------------------------


def _grid(scores: Matrix) -> list[list[arb]]:
    """The softmax over all positions of a map, as a map."""
    flat = exact.softmax([score for row in scores for score in row])
    return [flat[at * len(scores[0]) : (at + 1) * len(scores[0])] for at in range(len(scores))]


def _spatial(scores: Matrix) -> Outcome:
    """All weights sum to one and are positive; each row has the softmax of its log-sum-exp, shared out by its own softmax; no row has everything unless it is alone."""
    weights = _grid(scores)
    masses = [sum(row, arb(0)) for row in weights]
    of_rows = exact.softmax([sum((exact.ball(x).exp() for x in row), arb(0)).log() for row in scores])
    shared = [[mass * p for p in exact.softmax(row)] for mass, row in zip(of_rows, scores, strict=True)]
    below = exact.decided(all(p > 0 for row in weights for p in row) and (len(scores) == 1 or all(mass < 1 for mass in masses)))
    return Outcome.worst([exact.equal(sum(masses, arb(0)), 1), exact.equal(shared, weights), below])


@derived(
    Claim(
        id="vision.spatial-mass",
        title="Spatial attention is one distribution over all positions of the image",
        states="Spatial attention: the weight of position (i, j) is exp f(x_ij) over the sum of exp f(x_kl) over all positions.",
        reading="The sum runs over all H rows and all W columns of the map.",
        precise=r"$\sum_{i=1}^H\sum_{j=1}^W\alpha_{ij}=1$ and $\alpha_{ij}>0$. A row of the map has the mass $\sum_j\alpha_{ij}$, which is less than 1 if "
        r"there is another row, and $\alpha_{ij}$ is "
        "that mass times the softmax within the row. No query enters: there is one map for each image.",
        sources=(SPATIAL,),
        scope="every H, W ≥ 1 and every real score",
        inventory=("C216",),
        uses=("softmax.row-sum",),
        holds=_spatial,
    )
)
def spatial_mass() -> Iterator[Step]:
    whole = exponentials(S[k, l], (l, 1, B), (k, 1, H))
    yield Step(sp.Integer(0), "<", sp.exp(S[i, j]) / whole, "an exponential over a sum of exponentials")
    of_row = exponentials(S[i, l], (l, 1, B))
    yield Step(
        sp.exp(S[i, j]) / whole,
        "=",
        sp.Sum(sp.exp(S[i, l]) / whole, (l, 1, B)) * (sp.exp(S[i, j]) / of_row),
        "the mass of the row, times the softmax within the row",
    )
    first, others = exponentials(s[l], (l, 1, B)), exponentials(S[k, l], (l, 1, B), (k, 1, H))
    yield Step(
        first / (first + others), "<", sp.Integer(1), "a row with scores s, and H ≥ 1 other rows, which take the rest", certificate=others / (first + others)
    )
    yield Step(sp.Sum(sp.exp(S[i, j]) / whole, (j, 1, B), (i, 1, H)), "=", sp.Integer(1), "and over the whole map: every position is in the sum once")


def _channels(scores: Row) -> Outcome:
    weights = exact.softmax(scores)
    apart = len(scores) == 1 or (all(p < 1 for p in weights) and sum(bool(p > exact.ball(Fraction(1, 2))) for p in weights) <= 1)
    positive = exact.decided(all(p > 0 for p in weights) and apart)
    return Outcome.worst([exact.equal(sum(weights, arb(0)), 1), positive])


@derived(
    Claim(
        id="vision.channel-mass",
        title="Channel attention shares out a weight of one among the channels",
        states="Channel attention: the weight of channel c is exp g(F_c) over the sum of exp g(F_k) over all channels.",
        precise=r"$\sum_c\beta_c=1$ and $\beta_c>0$. With two or more channels every $\beta_c<1$, and at most one exceeds ½: two channels cannot both be kept whole.",
        sources=(CHANNEL,),
        scope="every number of channels and every real score",
        inventory=("C217",),
        uses=("softmax.row-sum",),
        holds=_channels,
    )
)
def channel_mass() -> Iterator[Step]:
    whole = exponentials(s[k], (k, 1, C))
    yield Step(sp.Integer(0), "<", sp.exp(s[j]) / whole, "an exponential over a sum of exponentials")
    shared = sp.exp(own) + whole
    yield Step(sp.exp(own) / shared, "<", sp.Integer(1), "a channel beside C ≥ 1 others leaves them something", certificate=whole / shared)
    other = sp.Symbol("s_k", real=True)
    three = sp.exp(own) + sp.exp(other) + whole
    yield Step(
        (sp.exp(own) + sp.exp(other)) / three, "<=", sp.Integer(1), "two weights have at most one between them, so not both exceed ½", certificate=whole / three
    )
    yield Step(sp.Sum(sp.exp(s[j]) / whole, (j, 1, C)), "=", sp.Integer(1), "and all channels together have one")


def _gates_beyond_one(scores: Row) -> Outcome:
    """Independent gates: each strictly between 0 and 1, none moved by another; all of them at or above ½ for scores at or above 0."""
    gates = [1 / (1 + exact.ball(-x).exp()) for x in scores]
    inside = all(0 < x < 1 for x in gates)
    raised = [1 / (1 + exact.ball(-x).exp()) for x in [scores[0] + 1, *scores[1:]]]
    alone = all((new - old).contains(0) for new, old in zip(raised[1:], gates[1:], strict=True)) and raised[0] > gates[0]
    mass = sum((gate for gate, x in zip(gates, scores, strict=True) if x >= 0), arb(0))
    enough = not bool(2 * mass < sum(x >= 0 for x in scores))
    return exact.decided(inside and bool(alone) and enough)


@derived(
    Claim(
        id="vision.channel-gates",
        title="Gates by a sigmoid do not compete: all channels can be kept",
        states="The channel attention of squeeze-and-excitation networks gates each channel by a sigmoid; the text's formula is a softmax.",
        precise=r"With $z_c$ the score of channel $c$, $\sigma(z_c)=1/(1+e^{-z_c})$ depends on no other channel's score, and is at least ½ wherever "
        r"$z_c\ge0$. The gates of $C$ channels can sum to any number strictly between 0 and $C$, whereas the "
        "softmax weights sum to 1 (normalisers.sigmoid-row-sum has the sum of a row).",
        sources=(HU.at("section 3.2"), CHANNEL),
        scope="every number of channels and every real score",
        holds=_gates_beyond_one,
    )
)
def channel_gates() -> Iterator[Step]:
    gate = 1 / (1 + sp.exp(-own))
    least = sp.Symbol("z", nonnegative=True)
    yield Step(sp.Rational(1, 2), "<=", 1 / (1 + sp.exp(-least)), "a score z ≥ 0", certificate=(1 - sp.exp(-least)) / (2 * (1 + sp.exp(-least))))
    yield Step(sp.Integer(0), "<", gate, "no gate is shut")
    yield Step(gate, "<", sp.Integer(1), "and none is quite open, so that C gates sum to less than C", certificate=sp.exp(-own) / (1 + sp.exp(-own)))
    yield Step(
        sp.Sum(1 / (1 + sp.exp(-sp.UnevaluatedExpr(sp.log(gap / room)))), (j, 1, C)),
        "=",
        C * gap / (gap + room),
        "each gate can be any number x/(x + y) strictly between 0 and 1, by the score log(x/y), and C equal gates sum to C times it",
    )


# --- self-attention for images (C218) ------------------------------------------------------------------------------------------------------

AXES = ("keys", "queries", "pairs")


def weights_along(scores: Matrix, axis: str) -> list[list[arb]]:
    """Softmax of a square table of scores: of each row (over the keys j), of each column (over i), or of all pairs."""
    match axis:
        case "keys":
            return [exact.softmax(row) for row in scores]
        case "queries":
            columns = [exact.softmax(list(column)) for column in zip(*scores, strict=True)]
            return [list(row) for row in zip(*columns, strict=True)]
        case "pairs":
            return _grid(scores)
    raise ValueError(f"unknown axis {axis!r}; possible are {', '.join(AXES)}")


def _average_along(scores: Matrix, axis: str) -> Outcome:
    return exact.equal([sum(row, arb(0)) for row in weights_along(scores, axis)], [1] * len(scores))


def _average_over_keys(scores: Matrix, axis: str) -> Outcome:
    """Over the keys every pixel gets an average; over the pairs all together do; over the queries every key gives away one."""
    weights = weights_along(scores, axis)
    of_rows, of_columns = ([sum(line, arb(0)) for line in lines] for lines in (weights, zip(*weights, strict=True)))
    match axis:
        case "keys":
            return exact.equal(of_rows, [1] * len(scores))
        case "queries":
            masses = [sum((exact.ball(x).exp() for x in column), arb(0)) for column in zip(*scores, strict=True)]
            as_said = [[exact.ball(x).exp() / mass for x, mass in zip(row, masses, strict=True)] for row in scores]
            both = [[x + y for x, y in zip(*lines, strict=True)] for lines in zip(scores, zip(*scores, strict=True), strict=True)]  # symmetric
            transposed = [list(column) for column in zip(*weights_along(both, "keys"), strict=True)]
            return Outcome.worst(
                [exact.equal(of_columns, [1] * len(scores)), exact.equal(weights, as_said), exact.equal(weights_along(both, axis), transposed)]
            )
    return exact.equal(sum(of_rows, arb(0)), 1)


def _told_axis(scores: Matrix, axis: str) -> str:
    told = {"queries": "over the index i", "pairs": "over all pairs"}.get(axis, "over the index j")
    weights = weights_along(scores, axis)
    shown = "; ".join(", ".join(exact.show(x) for x in row) for row in weights)
    sums = ", ".join(exact.show(sum(row, arb(0))) for row in weights)
    return (
        f"The scores f(x_i, x_j) are {list(map(list, scores))}, row i by row i. With the softmax {told}, the weights w_ij are [{shown}]. In y_i = Σ_j w_ij "
        f"g(x_j) the weights of row i meet the values; the rows sum to {sums}. The claim "
        "needs 1 for each."
    )


@derived(
    Claim(
        id="vision.softmax-axis",
        title="y_i = Σ_j softmax(f(x_i, x_j)) g(x_j) is a weighted average for each pixel",
        states="Self-attention for images: y_i is the sum over j of softmax(f(x_i, x_j)) g(x_j), with f the similarity of two pixels. What the softmax runs over is not said.",
        reading="As for every other attention of the text: what multiplies the values in y_i are weights that sum to 1. The softmax may run over j, over i or "
        "over all pairs. (That it is of "
        "the one number in its brackets is not meant: softmax stands for what is normalised over something.)",
        precise=r"$\sum_jw_{ij}=1$ for each $i$.",
        sources=(IMAGES,),
        scope="every number of pixels and every real f and g; the search has the softmax over j and over i",
        inventory=("C218",),
        uses=("softmax.row-sum",),
        unsaid="the softmax runs over j, the index of the sum",
        corrected_by="vision.softmax-over-keys",
        holds=_average_along,
        worked=_told_axis,
    )
)
def softmax_axis() -> Iterator[Step]:
    yield Step(total(sp.exp(S[i, j]) / total(sp.exp(S[i, l]), l), j), "=", sp.Integer(1), "over j the weights of each row sum to one")


@derived(
    Claim(
        id="vision.softmax-over-keys",
        title="Only with the softmax over j is each pixel of y an average",
        states="(Implied.) What the softmax of self-attention for images runs over, which the text does not say, decides what the weights of a pixel sum to.",
        precise=r"Over $j$: $\sum_jw_{ij}=1$ for each $i$. Over $i$: $\sum_iw_{ij}=1$ for each $j$, so each pixel $j$ is shared out among the $i$, and what "
        r"one $i$ gets in all need not be 1: with $f=\begin{pmatrix}0&0\\\log3&0\end{pmatrix}$ the first pixel gets $\frac14+\frac12$. Over all pairs: "
        r"$\sum_{ij}w_{ij}=1$, and one of two or more pixels gets less than 1. If $f$ is symmetric the second table of weights is the first transposed.",
        sources=(IMAGES, NONLOCAL.at("section 3.2")),
        scope="every number n of pixels and every real f and g",
        inventory=("C218",),
        uses=("softmax.row-sum",),
        holds=_average_over_keys,
    )
)
def softmax_over_keys() -> Iterator[Step]:
    over_j, over_i = (sp.exp(S[i, j]) / total(sp.exp(table), l) for table in (S[i, l], S[l, j]))
    yield Step(total(over_i, i), "=", sp.Integer(1), "over i: each column sums to one")
    zero, larger = sp.UnevaluatedExpr(sp.Integer(0)), sp.UnevaluatedExpr(sp.log(3))
    yield Step(
        1 / (1 + sp.exp(larger)) + 1 / (1 + sp.exp(zero)),
        "!=",
        sp.Integer(1),
        "but a row need not: with f = 0, 0 in the first row and log 3, 0 in the second, the first row has 1/4 and 1/2",
    )
    pairs = sp.Sum(sp.exp(S[k, l]), (l, 1, n), (k, 1, n))
    yield Step(total(total(sp.exp(S[i, j]) / pairs, j), i), "=", sp.Integer(1), "over all pairs: the whole table does")
    first, others = total(sp.exp(s[j]), j), sp.Sum(sp.exp(S[k, l]), (l, 1, n), (k, 1, m))
    yield Step(
        first / (first + others),
        "<",
        sp.Integer(1),
        "so that one row, with the scores s, has less if there are m ≥ 1 others",
        certificate=others / (first + others),
    )
    yield Step(total(over_j, j), "=", sp.Integer(1), "over j: each row sums to one, and each pixel gets an average")


def _pairwise_attention(scores: Matrix, values: Row) -> list[arb]:
    return [sum((p * value for p, value in zip(exact.softmax(row), values, strict=True)), arb(0)) for row in scores]


def _any_pair_function(pixels: Row, table: Matrix, values: Row, order: Row) -> Outcome:
    """f and g are tables that are looked up by the pixels' numbers."""

    def layer(at: Row) -> list[arb]:
        return _pairwise_attention([[table[x][y] for y in at] for x in at], [values[x] for x in at])

    return exact.equal(layer(reordered(pixels, order)), reordered(layer(pixels), order))


@derived(
    Claim(
        id="vision.pixels-in-any-order",
        title="Reordering the pixels or patches reorders the outputs of self-attention alike, whatever the similarity is",
        states="f computes the similarity of two pixels, and g the value of one; patches are tokens that attend to each other.",
        precise=r"For any functions $f$ of a pair and $g$ of a pixel: listing the pixels (patches) in another order lists the outputs in that order, $y(\Pi X)=\Pi\,y(X)$. Without positional information "
        "an image and the image with its patches shuffled get the same outputs, shuffled.",
        sources=(IMAGES, PATCHES),
        scope="every number of pixels, every real f and g, symmetric or not; derived for a swap of two pixels, of which every order is made",
        inventory=("C218",),
        uses=("symmetry.self-attention-equivariance",),
        holds=_any_pair_function,
    )
)
def pixels_in_any_order() -> Iterator[Step]:
    def answer(score: Entry, value: Entry, row: sp.Expr) -> sp.Expr:
        return total(sp.exp(score(row, j)) * value(j, e), j) / sp.Sum(sp.exp(score(row, u)), (u, 1, n))

    def moved_score(row: sp.Expr, at: sp.Expr) -> sp.Expr:
        return swapped(lambda x: swapped(lambda y: S[x, y], at), row)

    def still(row: sp.Expr) -> sp.Expr:
        return answer(entries(S), entries(G), row)

    moved = answer(moved_score, lambda at, feature: swapped(entries(G), at, feature), i)
    yield Step(moved, "=", swapped(still, i), "rows and columns of f move together with g, and the sums run over all pixels")


# --- patches (C219, C221) ------------------------------------------------------------------------------------------------------------------


def cut(height: int, breadth: int, side: int) -> list[tuple[int, int]]:
    """The upper left corners of the disjoint patches that lie in the image, from its upper left corner on."""
    return [(row, column) for row in range(0, height - side + 1, side) for column in range(0, breadth - side + 1, side)]


def _covered(height: int, breadth: int, side: int) -> int:
    return len({(row + x, column + y) for row, column in cut(height, breadth, side) for x in range(side) for y in range(side)})


def _patch_count(height: int, breadth: int, side: int) -> Outcome:
    """HW/P² patches, which are all of the image."""
    return exact.decided(Fraction(height * breadth, side**2) == len(cut(height, breadth, side)) and _covered(height, breadth, side) == height * breadth)


def _patch_count_any(height: int, breadth: int, side: int) -> Outcome:
    """Whole patches, patches after padding, what lies between, and what cutting loses."""
    whole, padded = len(cut(height, breadth, side)), len(cut(side * ceil(Fraction(height, side)), side * ceil(Fraction(breadth, side)), side))
    asked = Fraction(height * breadth, side**2)
    fits = height % side == 0 and breadth % side == 0
    counted = whole == (height // side) * (breadth // side) and padded == -(-height // side) * -(-breadth // side)
    lost = height * breadth - _covered(height, breadth, side)
    left = (height % side) * breadth + (breadth % side) * (height - height % side)
    return exact.decided(counted and whole <= asked <= padded and (whole == asked) == (asked == padded) == fits and lost == left and (lost == 0) == fits)


def _told_patches(height: int, breadth: int, side: int) -> str:
    count = len(cut(height, breadth, side))
    return (
        f"Cut an image of {height} × {breadth} pixels into patches of {side} × {side}. HW/P² is {height} · {breadth}/{side}² = "
        f"{Fraction(height * breadth, side**2)}, but only {count} whole patch{'es' if count > 1 else ''} can be cut from it, "
        f"which hold{'' if count > 1 else 's'} {_covered(height, breadth, side)} of its {height * breadth} pixels. The claim needs as many patches as HW/P², "
        "and every pixel in one."
    )


@derived(
    Claim(
        id="vision.patch-count",
        title="Dividing an image into patches gives HW/P² tokens",
        states="(Implied.) Patch embedding: divide the image into patches and embed them. (How many there are the text does not say; the paper has N = HW/P² "
        "of P × P pixels.)",
        reading="The patches are disjoint and hold every pixel of an image of H rows and W columns.",
        precise="$N=HW/P^2$ patches of $P\\times P$, disjoint and covering the image.",
        sources=(PATCHES, DOSOVITSKIY.at("section 3.1")),
        scope="every H, W and P with P no larger than H and B",
        inventory=("C219",),
        unsaid="P divides both H and W",
        corrected_by="vision.patch-count-any",
        holds=_patch_count,
        worked=_told_patches,
    )
)
def patch_count() -> Iterator[Step]:
    down, across = sp.symbols("A D", integer=True, positive=True)  # how many patches in a column and in a row
    high, broad = P_1 * down, P_1 * across
    yield Step(sp.Sum(P_1**2, (i, 1, down), (j, 1, across)), "=", high * broad, "H = PA, W = PD: A rows of D patches (P is written P₁) hold every pixel")
    yield Step(sp.Sum(sp.S.One, (i, 1, down), (j, 1, across)), "=", sp.UnevaluatedExpr(high) * sp.UnevaluatedExpr(broad) / P_1**2, "and they are HW/P²")


@derived(
    Claim(
        id="vision.patch-count-any",
        title="An image holds ⌊H/P⌋⌊W/P⌋ whole patches, and ⌈H/P⌉⌈W/P⌉ once it is padded",
        states="(Implied.) How many patches an image of any size is divided into.",
        precise=r"$\lfloor H/P\rfloor\lfloor W/P\rfloor\le HW/P^2\le\lceil H/P\rceil\lceil W/P\rceil$, with equality on either side exactly if $P$ divides $H$ "
        r"and $W$. With "
        r"$H=PA+x$ and $W=PD+y$, $0\le x,y<P$, the whole patches leave out $xW+yPA$ pixels.",
        sources=(PATCHES, DOSOVITSKIY.at("section 3.1")),
        scope="every H, W and P, patches larger than the image (A = 0 or D = 0) included",
        inventory=("C219",),
        holds=_patch_count_any,
    )
)
def patch_count_any() -> Iterator[Step]:
    down, across = sp.symbols("A D", integer=True, nonnegative=True)
    high, broad = P_1 * down + more, P_1 * across + rest
    lost = more * broad + rest * P_1 * down
    yield Step(high * broad - P_1**2 * down * across, "=", lost, "what lies outside of the AD whole patches: x rows, and y columns of the others")
    yield Step(
        down * across,
        "<=",
        high * broad / P_1**2,
        "which is nothing exactly if x = y = 0: xW = 0 only with x = 0, and then PA = H is positive",
        certificate=lost / P_1**2,
    )
    left = sp.Symbol("x_1", integer=True, nonnegative=True)  # rows that padding adds, perhaps none
    under = sp.Symbol("y_1", integer=True, positive=True)  # and columns, at least one
    side = P_1
    grown_high, grown_broad = side * (down + 1) - left, side * (across + 1) - under  # P(A + 1) is the next multiple of P, or H itself
    added = left * (side * (across + 1) - under) + under * side * (down + 1)
    yield Step(side**2 * (down + 1) * (across + 1) - grown_high * grown_broad, "=", added, "padding by x₁ rows and y₁ columns adds this many pixels")
    full = {side: under + beyond}
    yield Step(
        (grown_high * grown_broad / side**2).subs(full), "<", (down + 1) * (across + 1), "so HW/P² is below the padded count as soon as a column is padded, y₁ ≤ P (P = y₁ + z); rows and columns may trade places",
        certificate=(added / side**2).subs(full),
    )  # fmt: skip


def _flattened(image: Image, corner: tuple[int, int], tall: int, wide: int) -> list[int]:
    """A patch as one vector: row by row, in a row pixel by pixel, in a pixel channel by channel."""
    row, column = corner
    return [value for x in range(tall) for y in range(wide) for value in image[row + x][column + y]]


def _convolved(image: Image, kernel: Sequence[Image], row: int, column: int) -> list[int]:
    """All output channels of a convolution (a cross-correlation, as networks compute it) at one place: kernel[output][x][y][channel]."""
    return [
        sum(weight * image[row + x][column + y][c] for x, line in enumerate(output) for y, weights in enumerate(line) for c, weight in enumerate(weights))
        for output in kernel
    ]


def _patch_convolution(image: Image, weights: Matrix, tall: int, wide: int) -> Outcome:
    """Flatten and multiply against slide and add, at every place whose stride is the patch's size; the kernel holds the matrix' own numbers."""
    channels = len(image[0][0])
    kernel = [[[[line[(x * wide + y) * channels + c] for c in range(channels)] for y in range(wide)] for x in range(tall)] for line in weights]
    corners = [(row, column) for row in range(0, len(image) - tall + 1, tall) for column in range(0, len(image[0]) - wide + 1, wide)]
    embedded = [[sum(x * y for x, y in zip(line, _flattened(image, at, tall, wide), strict=True)) for line in weights] for at in corners]
    return exact.decided(embedded == [_convolved(image, kernel, *at) for at in corners])


@derived(
    Claim(
        id="vision.patch-embedding-is-convolution",
        title="Embedding patches is a convolution whose stride is the size of its kernel",
        states="Patch embedding: divide the image into patches and embed them.",
        reading="A patch is flattened and mapped linearly, as in the paper. Convolution as networks compute it, a cross-correlation without padding, in which "
        "the kernel is not turned round.",
        precise=r"With $z(x,y,c)=((x-1)P_2+y-1)C+c$ and kernel $K_e[x,y,c]=E_{e,z(x,y,c)}$: $\sum_{z=1}^{P_1P_2C}E_{ez}\,\mathrm{flat}(\text{patch})_z=\sum_{x,y,c}K_e[x,y,c]\,X[(i-1)P_1+x,(j-1)P_2+y,c]$ for "
        r"patch $(i,j)$. Numbers of the matrix and of the kernel are the same $P_1P_2C$ an output.",
        sources=(PATCHES, DOSOVITSKIY.at("section 3.1")),
        scope="every size of patch P₁ × P₂, every number of channels and outputs, every real image and matrix",
        inventory=("C219",),
        holds=_patch_convolution,
    )
)
def patch_convolution() -> Iterator[Step]:
    E = sp.IndexedBase("E", real=True)  # the matrix of one output; the image is X[row, column, channel]
    x, y, channel, z = sp.symbols("x y c z", integer=True, positive=True)
    place = sp.expand(((x - 1) * P_2 + y - 1) * C + channel)  # as `number` has it
    pixel = X[(i - 1) * P_1 + x, (j - 1) * P_2 + y, channel]
    inside = ((channel, 1, C), (y, 1, P_2), (x, 1, P_1))
    flat = sp.Sum(sp.KroneckerDelta(z, place) * pixel, *inside)

    def number(row: sp.Expr, column: sp.Expr, which: sp.Expr) -> sp.Expr:
        return ((row - 1) * P_2 + column - 1) * C + which

    one, held = sp.S.One, sp.UnevaluatedExpr(sp.S.One)
    yield Step(number(held, held, held), "=", one, "the number z(x, y, c) of a component: that of the first channel of the first pixel is 1")
    yield Step(
        sp.UnevaluatedExpr(number(x, y, channel + 1)) - sp.UnevaluatedExpr(number(x, y, channel)), "=", one, "the next channel of a pixel is the next component"
    )
    yield Step(number(x, y + 1, one) - number(x, y, C), "=", one, "after its last channel comes the first of the next pixel of the row")
    yield Step(number(x + 1, one, one) - number(x, P_2, C), "=", one, "after the last pixel of a row comes the first of the next row")
    yield Step(number(P_1, P_2, C), "=", P_1 * P_2 * C, "and the last is the last: each component is one pixel's channel, and each is one component")
    yield Step(sp.Sum(sp.S.One, *inside), "=", P_1 * P_2 * C, "and the kernel has as many numbers")
    yield Step(
        sp.Sum(sp.Sum(sp.KroneckerDelta(z, place) * E[e, z] * pixel, (z, 1, P_1 * P_2 * C)), *inside),
        "=",
        sp.Sum(E[e, place] * pixel, *inside),
        "component z of the flattened patch is the pixel's channel whose number z(x, y, c) is z",
    )
    yield Step(
        sp.Sum(E[e, z] * flat, (z, 1, P_1 * P_2 * C)),
        "=",
        sp.Sum(E[e, place] * pixel, *inside),
        "the matrix product is the convolution at row (i − 1)P₁ and column (j − 1)P₂",
    )


# --- images of any size, context in one layer (C221, C222) ---------------------------------------------------------------------------------


class DoesNotFit(ValueError):
    """Raised where a layer has no output that has seen all of an image: a part of the image is in no patch, or a patch has no position."""


def class_token(height: int, breadth: int, side: int, rows: int | None) -> arb:
    """A class token's output over the patches of an image whose pixel (row, column) is row − column, each patch embedded as its sum.

    Positions come from a table of so many rows, or from a formula (None). Raises DoesNotFit.
    """
    corners = cut(height, breadth, side)
    if missed := height * breadth - _covered(height, breadth, side):
        raise DoesNotFit(
            f"{missed} of the pixels {'is' if missed == 1 else 'are'} in none of the whole patches, of which there {'is' if len(corners) == 1 else 'are'} "
            f"{len(corners)}"
        )
    if rows is not None and len(corners) > rows:
        raise DoesNotFit(f"there are {len(corners)} patches, but only {rows} position{'s' if rows > 1 else ''}")
    patches = [sum(row + x - column - y for x in range(side) for y in range(side)) for row, column in corners]
    tokens = [[1]] + [[patch + at] for at, patch in enumerate(patches)]
    return exact.attention(tokens[:1], tokens, tokens)[0][0]


def _any_size(height: int, breadth: int, side: int, rows: int | None) -> Outcome:
    try:
        return exact.decided(class_token(height, breadth, side, rows).is_finite())
    except DoesNotFit:
        return Outcome.REFUTED


def _sizes_that_fit(height: int, breadth: int, side: int, rows: int | None) -> Outcome:
    """Every pixel in a patch (as sets of pixels) and every patch with a position, exactly where the sides are multiples and the patches at most as many as the positions."""
    fits = height % side == 0 == breadth % side and (rows is None or height * breadth <= rows * side**2)
    try:
        return exact.decided(class_token(height, breadth, side, rows).is_finite() and fits)
    except DoesNotFit:
        return exact.decided(not fits)


def _told_size(height: int, breadth: int, side: int, rows: int | None) -> str:
    try:
        class_token(height, breadth, side, rows)
    except DoesNotFit as problem:
        return (
            f"Take an image of {height} × {breadth} pixels, patches of {side} × {side} and positions from "
            f"{'a formula' if rows is None else f'a table of {rows}'}. Then {problem}. So the layer has no output that has seen every pixel, as the "
            "claim needs."
        )
    return ""


@derived(
    Claim(
        id="vision.variable-sizes",
        title="A vision transformer handles variable image sizes",
        states="Advantages of patch-based attention: flexibility, it handles variable image sizes.",
        reading="One set of parameters (patch embedding, positions, projections) gives an output that has seen every pixel, for images of every size, as they are.",
        precise="For all $H$, $W$ the class token has an output over patches that hold every pixel, with the parameters unchanged.",
        sources=(PATCHES, DOSOVITSKIY.at("section 3.2")),
        scope="every H, W and P with P no larger than H and B; positions from a table of N₀ rows or from a formula",
        inventory=("C221",),
        uses=("vision.patch-count-any",),
        unsaid="P divides both sides (or the image is padded or resized), and every patch has a position: they come from a formula, or a table of them is long enough or interpolated",
        corrected_by="vision.sizes-that-fit",
        holds=_any_size,
        worked=_told_size,
    )
)
def variable_sizes() -> Iterator[Step]:
    yield from _of_any_grid()


def _of_any_grid() -> Iterator[Step]:
    down, across = sp.symbols("A D", integer=True, positive=True)
    whole = sp.exp(own) + exponentials(S[k, l], (l, 1, across), (k, 1, down))
    yield Step(sp.Integer(0), "<", whole, "A rows of D patches and a class token: the normaliser is positive, whatever A and D are")
    yield Step(
        sp.exp(own) / whole + sp.Sum(sp.exp(S[i, j]) / whole, (j, 1, across), (i, 1, down)),
        "=",
        sp.Integer(1),
        "so the class token gets an average over them, with no number but the weights to fix",
    )


@derived(
    Claim(
        id="vision.sizes-that-fit",
        title="The same parameters serve every image whose sides are multiples of P and whose patches all have positions",
        states="(Implied.) Which image sizes one set of parameters serves.",
        precise=r"Every pixel is in a patch and every patch has a position exactly if $P\mid H$, $P\mid W$ and $HW/P^2\le N_0$ (no limit with a formula), "
        r"where $N_0$ counts positions of patches (the class token has its own "
        r"beside them). Patch embedding and projections do not depend on $H$ and $W$: for all $A$, $D$ the class token's output is an average over $1+AD$ "
        r"tokens. A convolution of stride $P$ has an output for other sizes too: it drops "
        "what is left over (vision.patch-count-any). A table gives its row $k$ to patch $k$, so in a broader image a row of it belongs to another place (the paper interpolates it, as trained positions may lose their meaning).",
        sources=(PATCHES, DOSOVITSKIY.at("section 3.2")),
        scope="every H, W, P and N₀; nothing padded, resized or interpolated. That a table has a row for each of N patches exactly if it has N rows or more is "
        "elementary "
        "counting, which the search shows and no step derives",
        inventory=("C221",),
        uses=("vision.patch-count-any",),
        holds=_sizes_that_fit,
    )
)
def sizes_that_fit() -> Iterator[Step]:
    yield from _of_any_grid()
    down, across = sp.symbols("A D", integer=True, positive=True)
    yield Step(
        P_1**2 * (down - 1) * across,
        "<",
        (P_1 * (down - 1) + 1 + more) * (P_1 * across + rest),
        "a row of pixels more than A − 1 rows of patches hold, and perhaps some columns: not every pixel is in a patch (with no patch across, D = 0, none is); rows and columns may trade places",
        certificate=P_1 * (down - 1) * rest + (1 + more) * (P_1 * across + rest),
    )
    row, column = sp.symbols("x y", integer=True, nonnegative=True)
    yield Step(
        (1 + row) * across + column,
        "<",
        (1 + row) * (across + u) + column,
        "the patch below x + 1 others and to the right of y others has row k = (x + 1)D + y + 1 of a table: a later one, if the image is u patches broader",
        certificate=(1 + row) * u,
    )
    yield Step(
        sp.Sum(sp.S.One, (i, 1, down), (j, 1, across)),
        "=",
        sp.UnevaluatedExpr(P_1 * down) * sp.UnevaluatedExpr(P_1 * across) / P_1**2,
        "H = PA, W = PD: with every pixel in a patch there are HW/P² patches, which need a position each: a table of N₀ rows has them exactly if HW/P² ≤ N₀",
    )


def _resolution(down: int, across: int, factor: int, side: int) -> Outcome:
    """Pairs of patches, counted, after the sides of the image are multiplied, and after those of the patches are divided."""

    def pairs(height: int, breadth: int, patch: int) -> int:
        corners = cut(height, breadth, patch)
        return sum(1 for _ in product(corners, corners))

    small = pairs(down * side, across * side, side)
    larger = pairs(factor * down * side, factor * across * side, side)
    finer = pairs(factor * down * side, factor * across * side, factor * side)
    return exact.decided(small == (down * across) ** 2 and larger == factor**4 * small and finer == small)


@derived(
    Claim(
        id="vision.resolution-cost",
        title="Sides f times as long, or patches with sides f times as short, mean f⁴ times the pairs",
        states="What variable image sizes cost in self-attention over patches.",
        precise=r"$N^2=(HW)^2/P^4$ pairs of patches. With $fH$ and $fW$, or with $P/f$, they are $f^4N^2$.",
        sources=(PATCHES, DOSOVITSKIY.at("section 3.1")),
        scope="sides that are multiples of P; pairs of patches, without the class token; cost follows pairs by sparsity.cost-follows-pairs",
        kind=Kind.COST,
        uses=("vision.patch-count-any",),
        holds=_resolution,
    )
)
def resolution_cost() -> Iterator[Step]:
    down, across, factor = sp.symbols("A D f", integer=True, positive=True)

    def pairs(rows: sp.Expr, columns: sp.Expr) -> sp.Expr:
        return sp.Sum(sp.Sum(sp.S.One, (i, 1, rows), (j, 1, columns)), (k, 1, rows), (l, 1, columns))

    high, broad = P_1 * down, P_1 * across
    yield Step(pairs(down, across), "=", (high * broad) ** 2 / P_1**4, "A · D patches, each with each")
    yield Step(pairs(factor * down, factor * across), "=", factor**4 * pairs(down, across), "f times as many rows and columns of patches")


def _global(tokens: Matrix, W_Q: Matrix, W_K: Matrix, values: Row, one: int, other: int, shift: int) -> Outcome:
    """The output of every patch moves with the value of every patch, by its weight times the change."""
    queries, keys = times(tokens, W_Q), times(tokens, W_K)
    weights = [exact.softmax(row) for row in exact.scores(queries, keys)]
    before = exact.attention(queries, keys, [[value] for value in values])[one][0]
    after = exact.attention(queries, keys, [[value + shift * (at == other)] for at, value in enumerate(values)])[one][0]
    return Outcome.worst([exact.equal(after - before, shift * weights[one][other]), exact.decided(bool(weights[one][other] > 0) and bool(after > before))])


@derived(
    Claim(
        id="vision.context-in-one-layer",
        title="In one layer every patch takes something from every patch of the image",
        states="Vision transformers capture global image context: long-range dependencies.",
        reading="The output of each patch (and of the class token) after one layer of self-attention takes a positive share of the value of every patch, however far away.",
        precise=r"Let $y_i$ be the output of patch $i$, $v_j$ the value of patch $j$ and $p_{ij}$ its weight. With the scores held fixed, $\partial "
        r"y_i/\partial v_j=p_{ij}>0$ for all patches $i$, $j$: a change of the value of any patch alone moves "
        "every output, and distance does not enter. (A patch enters by its key too, and the two can cancel: that every change of a patch changes every "
        "output is not claimed.)",
        sources=(PATCHES,),
        scope="unmasked softmax attention over every number of patches, every real score and value; real arithmetic (in floats a weight may round to 0)",
        inventory=("C222",),
        uses=("sparsity.support",),
        holds=_global,
    )
)
def context_in_one_layer() -> Iterator[Step]:
    output = total(sp.exp(S[i, j]) * v[j], j) / total(sp.exp(S[i, l]), l)
    weight = sp.exp(S[i, k]) / total(sp.exp(S[i, l]), l)
    yield Step(sp.Derivative(output, v[k]), "=", weight, "the output is linear in the values, with the weights for slopes")
    yield Step(sp.Integer(0), "<", weight, "and these are positive")


def convolved_by_ones(image: Matrix, reach: int, layers: int) -> list[list[int]]:
    """So many convolutions with a kernel of (2w + 1)² ones, the image padded with zeros."""
    height, breadth = len(image), len(image[0])
    for _ in range(layers):
        image = [
            [
                sum(
                    image[x][y]
                    for x in range(max(0, row - reach), min(height, row + reach + 1))
                    for y in range(max(0, column - reach), min(breadth, column + reach + 1))
                )
                for column in range(breadth)
            ]
            for row in range(height)
        ]
    return [list(row) for row in image]


def _convolution_reach(height: int, breadth: int, reach: int, layers: int, place: int) -> Outcome:
    marked = [[int(row * breadth + column == place) for column in range(breadth)] for row in range(height)]
    row, column = divmod(place, breadth)
    felt = convolved_by_ones(marked, reach, layers)
    around = all((felt[x][y] > 0) == (max(abs(x - row), abs(y - column)) <= layers * reach) for x in range(height) for y in range(breadth))
    last, far = (height - 1, breadth - 1), max(height, breadth) - 1
    first, second = (convolved_by_ones([[int((x, y) == corner) for y in range(breadth)] for x in range(height)], reach, layers) for corner in ((0, 0), last))
    seen = (first[last[0]][last[1]] > 0) == (layers * reach >= far)
    meet = any(here > 0 < there for rows in zip(first, second, strict=True) for here, there in zip(*rows, strict=True)) == (2 * layers * reach >= far)
    return exact.decided(around and seen and meet)


@derived(
    Claim(
        id="vision.convolution-reach",
        title="L convolutions of (2w + 1)² pixels reach Lw rows and columns, and no further",
        states="For comparison with global context in one layer: local filters gain it only through depth.",
        precise=r"An output of $L$ convolutions with kernels of $(2w+1)\times(2w+1)$ depends, for some kernels, on exactly the pixels at most $Lw$ rows and at most $Lw$ columns away, "
        r"$(2Lw+1)^2$ of them away from the border: the output at one corner of an $H\times W$ image sees the opposite corner exactly if $Lw\ge\max(H,W)-1$, "
        r"and some output sees both exactly if $2Lw\ge\max(H,W)-1$.",
        sources=(PATCHES,),
        scope="every H, W, w and L; stride 1, padding that keeps the size; kernels of ones attain it",
        uses=("sparsity.window-depth",),
        holds=_convolution_reach,
    )
)
def convolution_reach() -> Iterator[Step]:
    reach, depth = sp.symbols("w L", integer=True, positive=True)
    yield Step(depth * reach + reach, "=", (depth + 1) * reach, "a layer more adds w to the rows, and to the columns, that can be reached")
    yield Step(reach, "<", ((depth + 1) * reach + 1 + more) - depth * reach, "what is further than (L + 1)w is more than w from all that L layers reach")
    yield Step(
        (depth * reach + 1 + more) - depth * reach, "<=", 1 + more + rest,
        "and a place at Lw + 1 + x with x < w (w = 1 + x + y) is one step from a place at Lw: kernels of ones add up positive numbers, and nothing cancels", certificate=rest,
    )  # fmt: skip
    yield Step(
        (2 * depth * reach - more) - depth * reach, "<=", depth * reach,
        "corners 2Lw − x apart: a place Lw from the one (the other corner itself, if it is nearer than that) sees the other too", certificate=more,
    )  # fmt: skip
    yield Step(
        depth * reach, "<", (2 * depth * reach + 1 + more) - (depth * reach - rest),
        "corners 2Lw + 1 + x apart: what lies Lw − y from the one is more than Lw from the other", certificate=1 + more + rest,
    )  # fmt: skip
    side = sp.Integer(1) + 2 * sp.Sum(sp.S.One, (i, 1, depth * reach))
    yield Step(side**2, "=", (2 * depth * reach + 1) ** 2, "so L layers reach Lw rows and Lw columns on each side, each independently of the other")


# --- object queries (C223) -----------------------------------------------------------------------------------------------------------------


def decoded(queries: Matrix, features: Matrix, W_Q: Matrix, W_K: Matrix, W_V: Matrix, layers: int) -> list[list[arb]]:
    """Layers of a decoder: self-attention among the queries, cross-attention to the features, a map of each row (tanh); each added to what came in."""
    rows = [[exact.ball(x) for x in row] for row in queries]
    for _ in range(layers):
        rows = _added(rows, exact.attention(times(rows, W_Q), times(rows, W_K), times(rows, W_V)))
        rows = _added(rows, exact.attention(times(rows, W_Q), times(features, W_K), times(features, W_V)))
        rows = _added(rows, [[x.tanh() for x in row] for row in rows])
    return rows


def times(rows: exact.Matrix, W: Matrix) -> list[list[arb]]:
    """Rows [n, d] times a matrix [d, e]."""
    return [[sum((exact.ball(x) * y for x, y in zip(row, column, strict=True)), arb(0)) for column in zip(*W, strict=True)] for row in rows]


def _added(left: Sequence[Sequence[arb]], right: Sequence[Sequence[arb]]) -> list[list[arb]]:
    return [[x + y for x, y in zip(*pair, strict=True)] for pair in zip(left, right, strict=True)]


def _queries_and_features(queries: Matrix, features: Matrix, W_Q: Matrix, W_K: Matrix, W_V: Matrix, layers: int, order: Row, feature_order: Row) -> Outcome:
    before = decoded(queries, features, W_Q, W_K, W_V, layers)
    after = decoded(reordered(queries, order), reordered(features, feature_order), W_Q, W_K, W_V, layers)
    return exact.equal(after, reordered(before, order))


Wide = sp.IndexedBase("A", real=True)  # the scores' matrix of cross-attention
Made = sp.IndexedBase("D", real=True)  # its values
M = sp.IndexedBase("M", real=True)
W = sp.IndexedBase("W", real=True)
Z = sp.IndexedBase("Z", real=True)  # features of the image, Z[t, b], t in 1..m
FEATURES = entries(Z)
y = sp.Symbol("y", integer=True, positive=True)  # one of them in a sum


def among(token: Entry, row: sp.Expr, feature: sp.Expr) -> sp.Expr:
    """A row of x + Att(x) among n queries of width d."""

    def score(at: sp.Expr) -> sp.Expr:
        return sp.Sum(token(row, a) * M[a, w] * token(at, w), (a, 1, d), (w, 1, d))

    mixed = total(sp.exp(score(j)) * sp.Sum(token(j, w) * W[w, feature], (w, 1, d)), j) / sp.Sum(sp.exp(score(u)), (u, 1, n))
    return token(row, feature) + mixed


def looking(token: Entry, row: sp.Expr, feature: sp.Expr, image: Entry = FEATURES) -> sp.Expr:
    """A row of x + cross-attention to m features of an image."""

    def score(at: sp.Expr) -> sp.Expr:
        return sp.Sum(token(row, a) * Wide[a, w] * image(at, w), (a, 1, d), (w, 1, d))

    mixed = sp.Sum(sp.exp(score(y)) * sp.Sum(image(y, w) * Made[w, feature], (w, 1, d)), (y, 1, m)) / sp.Sum(sp.exp(score(u)), (u, 1, m))
    return token(row, feature) + mixed


def fed(token: Entry, row: sp.Expr, feature: sp.Expr) -> sp.Expr:
    """A row of x + V tanh(U x): a map of each row by itself, with h hidden units."""
    U, down = sp.IndexedBase("U", real=True), sp.IndexedBase("V", real=True)
    return token(row, feature) + sp.Sum(down[feature, u] * sp.tanh(sp.Sum(U[u, a] * token(row, a), (a, 1, d))), (u, 1, h))


@derived(
    Claim(
        id="vision.object-queries",
        title="Predictions follow the order of the object queries and ignore the order of the image's features",
        states="Object queries are learnable embeddings that attend to image features.",
        reading="Cross-attention: queries come from the embeddings, keys and values from the image; before it the queries attend to each other.",
        precise=r"For layers of self-attention among queries, cross-attention to features and a map of each row: $\mathrm{Dec}(\Pi X,\Pi'Z)=\Pi\,\mathrm{Dec}(X,Z)$. There are as many predictions as "
        "queries, whatever the number of features.",
        sources=(DETECTION, CARION.at("section 3.2")),
        scope="every number of queries, features, layers and every width and real weight; features without, or with, encodings that move along; derived for swaps, of which every order is made, and "
        "for more layers by composition",
        inventory=("C223",),
        uses=("symmetry.self-attention-equivariance", "symmetry.key-value-invariance", "symmetry.query-equivariance"),
        holds=_queries_and_features,
    )
)
def object_queries() -> Iterator[Step]:
    def moved(row: sp.Expr, feature: sp.Expr) -> sp.Expr:
        return swapped(entries(X), row, feature)

    for part, because in (
        (among, "self-attention among the queries, each with what it had: the swapped rows"),
        (looking, "cross-attention answers each query by itself"),
        (fed, "and so does a map of each row"),
    ):
        yield Step(part(moved, i, e), "=", swapped(lambda row, feature, part=part: part(entries(X), row, feature), i, e), because)
    yield Step(
        looking(entries(X), i, e, lambda at, feature: swapped(entries(Z), at, feature, one=r, other=t)),
        "=",
        looking(entries(X), i, e),
        "features r and t of the image trade places: keys and values move together, and the sums run over all features",
    )


def _equal_queries(queries: Matrix, features: Matrix, W_Q: Matrix, W_K: Matrix, W_V: Matrix, layers: int, one: int, other: int) -> Outcome:
    repeated = [queries[one] if at == other else row for at, row in enumerate(queries)]
    rows = decoded(repeated, features, W_Q, W_K, W_V, layers)
    return exact.equal(rows[one], rows[other])


@derived(
    Claim(
        id="vision.equal-queries",
        title="Equal object queries make equal predictions, so two different objects need different queries",
        states="(Implied.) Object queries are learnable embeddings that attend to image features, and sets of objects are predicted from them: two objects "
        "need two different queries.",
        precise=r"If rows $k$ and $l$ of the queries are equal, rows $k$ and $l$ of $\mathrm{Dec}(X,Z)$ are, at every depth, with self-attention among the queries too. A set of two different objects needs two "
        "different embeddings at least.",
        sources=(DETECTION, CARION.at("section 3.2")),
        scope="every number of queries, features and layers, every width and real weight; a deterministic decoder (dropout can tell equal queries apart). (The paper adds the embeddings to the queries and keys of every layer: equal rows get equal sums there too)",
        inventory=("C223",),
        uses=("symmetry.identical-tokens", "vision.object-queries"),
        holds=_equal_queries,
    )
)
def equal_queries() -> Iterator[Step]:
    def token(row: sp.Expr, feature: sp.Expr) -> sp.Expr:
        return X[row, feature] + sp.KroneckerDelta(row, l) * (X[k, feature] - X[l, feature])

    for part, because in (
        (among, "row l is a copy of row k: both see the same queries with the same scores"),
        (looking, "both see the same features with the same scores"),
        (fed, "and a map of each row takes equal rows to equal rows: the next layer starts from equal rows again"),
    ):
        yield Step(part(token, k, e), "=", part(token, l, e), because)


def _different_queries(first: int, second: int, key: int) -> Outcome:
    answers = [exact.attention([[query]], [[0], [key]], [[0], [1]])[0][0] for query in (first, second)]
    return exact.decided(bool(answers[0] < answers[1]))


@derived(
    Claim(
        id="vision.different-queries",
        title="Different object queries can make different predictions",
        states="Learnable embeddings that attend to image features.",
        precise="Take two features with the keys 0 and $y>0$ and the values 0 and 1. The query $c$ gets $e^{cy}/(1+e^{cy})$, strictly less than the query "
        "$c+x$, $x>0$. (A statement of existence: with all scores 0 no queries differ.)",
        sources=(DETECTION,),
        scope="every c, every x, y > 0",
        uses=("vision.equal-queries",),
        holds=_different_queries,
    )
)
def different_queries() -> Iterator[Step]:
    c = sp.Symbol("c", real=True)
    here, there = (sp.exp(query * room) / (1 + sp.exp(query * room)) for query in (c, c + gap))
    certificate = sp.exp(c * room) * (sp.exp(gap * room) - 1) / ((1 + sp.exp(c * room)) * (1 + sp.exp((c + gap) * room)))
    yield Step(here, "<", there, "the larger query puts more weight on the larger key", certificate=certificate)


# --- sets of objects (C224, C225) ----------------------------------------------------------------------------------------------------------


def assignments(costs: Costs) -> dict[tuple[int, ...], Fraction]:
    """The cost of giving prediction σ(j) to target j, for every way to give each target a prediction of its own. costs[prediction][target]."""
    predictions, targets = range(len(costs)), range(len(costs[0]))
    return {chosen: sum((Fraction(costs[chosen[target]][target]) for target in targets), Fraction(0)) for chosen in permutations(predictions, len(targets))}


def best(costs: Costs) -> tuple[Fraction, set[tuple[int, ...]]]:
    """The smallest cost and all assignments that attain it."""
    everything = assignments(costs)
    least = min(everything.values())
    return least, {chosen for chosen, cost in everything.items() if cost == least}


def _set_loss(costs: Costs, order: Row, target_order: Row) -> Outcome:
    """After both are reordered: the same smallest cost, and the same best assignments, by their new numbers."""
    moved = [reordered(costs[prediction], target_order) for prediction in order]
    least, winners = best(costs)
    renumbered = {tuple(order.index(chosen[target]) for target in target_order) for chosen in winners}
    return exact.decided(best(moved) == (least, renumbered))


@derived(
    Claim(
        id="vision.set-prediction",
        title="A loss minimised over all matchings treats predictions and targets as sets",
        states="Set prediction: object sets are predicted directly.",
        reading="The loss is the smallest total cost over all ways to give each target a prediction of its own.",
        precise=r"With $C_{ij}$ the cost of prediction $i$ for target $j$ and $A$ the 0-1 table of an assignment, $\min_A\sum_{ij}A_{ij}C_{ij}$ is the same for every order of predictions and of targets: reordering the rows of "
        r"$A$ with those of $C$ keeps each total and takes assignments to assignments (each row, each column still has one 1), and likewise for columns. The best assignments, with ties all of them, "
        "move along; which of several a program returns may depend on the order. Where the assignment of least cost is the only one, any other sum over it "
        "is the same for every order too.",
        sources=(DETECTION, CARION.at("section 3.1")),
        scope="every number of predictions and (as many) targets, every real cost; derived for a swap of two predictions and of two targets, of which every order is made",
        inventory=("C224",),
        holds=_set_loss,
    )
)
def set_prediction() -> Iterator[Step]:
    A, cost = sp.IndexedBase("A", real=True), sp.IndexedBase("C", real=True)

    def of_rows(table: sp.IndexedBase) -> Entry:
        return lambda row, column: swapped(entries(table), row, column)

    def of_columns(table: sp.IndexedBase) -> Entry:
        return lambda row, column: swapped(lambda at, other: table[other, at], column, row)

    yield Step(
        total(of_rows(A)(i, j), j), "=", swapped(lambda row: total(A[row, j], j), i), "each prediction still has one target: the sums of rows are swapped"
    )
    yield Step(total(of_rows(A)(i, j), i), "=", total(A[i, j], i), "and each target one prediction: the sums of columns stay")
    yield Step(total(of_columns(A)(i, j), i), "=", swapped(lambda column: total(A[i, column], i), j), "targets likewise")
    yield Step(total(of_columns(A)(i, j), j), "=", total(A[i, j], j), "so swapping is a one-to-one map of the assignments")
    whole = total(total(A[i, j] * cost[i, j], j), i)
    for moved, which in ((of_rows, "predictions"), (of_columns, "targets")):
        yield Step(
            total(total(moved(A)(i, j) * moved(cost)(i, j), j), i),
            "=",
            whole,
            f"two {which} swapped in both tables: the same total, and with all assignments the same smallest one",
        )


def _no_object(costs: Costs, empty: Sequence[Fraction]) -> Outcome:
    """N predictions, M ≤ N targets: filled up with N − M times 'no object', against choosing by the differences; and at no cost, against not filling up."""
    missing = len(costs) - len(costs[0])
    least, winners = best([[*row, *[alone] * missing] for row, alone in zip(costs, empty, strict=True)])
    gained, chosen = best([[cost - alone for cost in row] for row, alone in zip(costs, empty, strict=True)])
    filled, all_chosen = best([[*row, *[Fraction(0)] * missing] for row in costs])
    plain, kept = best(costs)
    at_no_cost = filled == plain and {winner[: len(costs[0])] for winner in all_chosen} == kept
    return exact.decided(least == sum(empty, Fraction(0)) + gained and {winner[: len(costs[0])] for winner in winners} == chosen and at_no_cost)


@derived(
    Claim(
        id="vision.no-object",
        title="More predictions than objects: the rest are matched with 'no object'",
        states="(Implied.) Object sets are predicted directly; as many as there are queries, and so as a rule more than there are objects.",
        reading="N predictions for M ≤ N objects; the targets are filled up with N − M times 'no object', which costs prediction i the amount b_i.",
        precise=r"$\min_A\big(\sum_{i}\sum_{j\le M}A_{ij}c_{ij}+\sum_i(1-\sum_{j\le M}A_{ij})b_i\big)=\sum_ib_i+\min_A\sum_i\sum_{j\le M}A_{ij}(c_{ij}-b_i)$: predictions are chosen by what they save, not by their "
        r"cost alone. With $M>N$ objects there is no assignment, so $N$ bounds how many objects can be found. With $b=0$, as in the paper's matching cost, filling up with 'no object' changes neither the least cost nor "
        "which predictions are chosen.",
        sources=(DETECTION, CARION.at("section 3.1")),
        scope="every N ≥ M ≥ 1, every real cost; the whole loss is minimised (the paper leaves 'no object' out of the matching cost, which is b = 0)",
        inventory=("C224",),
        uses=("vision.set-prediction",),
        holds=_no_object,
    )
)
def no_object() -> Iterator[Step]:
    A, cost, alone = (sp.IndexedBase(name, real=True) for name in ("A", "c", "b"))
    chosen = sp.Sum(A[i, r], (r, 1, m))
    yield Step(
        n, "<", n + 1 + more, "M = N + 1 + x objects, each with a prediction of its own, would need more than the N that there are", certificate=1 + more
    )
    yield Step(
        total(sp.Sum(A[i, r] * cost[i, r], (r, 1, m)) + (1 - chosen) * alone[i], i),
        "=",
        total(alone[i], i) + total(sp.Sum(A[i, r] * (cost[i, r] - alone[i]), (r, 1, m)), i),
        "each prediction has one target, an object or 'no object': its entries of A over the objects sum to 1 or 0, and what is missing to 1 is 'no object'",
    )


Chances = Sequence[Sequence[Fraction]]  # of a prediction: the probability of each class, and last of 'no object'


def _losses(chances: Chances, classes: Row, weight: Fraction) -> list[list[arb]]:
    """−log p of each prediction for each object's class; 'no object' weighs `weight`, and fills the targets up."""
    surprise = [[-exact.ball(p).log() for p in row] for row in chances]
    return [[*(row[at] for at in classes), *[exact.ball(weight) * row[-1]] * (len(chances) - len(classes))] for row in surprise]


def least_loss(chances: Chances, classes: Row, weight: Fraction) -> arb:
    losses = _losses(chances, classes, weight)
    everything = [sum((losses[at][target] for target, at in enumerate(chosen)), arb(0)) for chosen in permutations(range(len(losses)))]
    return min(everything, key=lambda x: float(x.mid()))


def _no_duplicates(chances: Chances, classes: Row, weight: Fraction) -> Outcome:
    """Below the threshold each class is named (above ½) as often as it has objects, and all else is 'no object'; a class that is named more often costs more."""
    half, named = Fraction(1, 2), range(len(chances[0]) - 1)
    threshold = min(exact.ball(weight), arb(1), key=float) * arb(2).log()
    loss = least_loss(chances, classes, weight)
    often = [sum(row[at] > half for row in chances) for at in named]
    there = [list(classes).count(at) for at in named]
    right = often == there and sum(row[-1] > half for row in chances) == len(chances) - len(classes)
    doubled = any(x > y for x, y in zip(often, there, strict=True))
    return exact.decided((right or not bool(loss < threshold)) and (not doubled or bool(loss > threshold)))


def _nothing_to_suppress() -> Iterator[Step]:
    weight = sp.Symbol("omega", positive=True)
    y = sp.IndexedBase("y", nonnegative=True)
    missed, other = sp.Symbol("x", nonnegative=True), sp.Sum(sp.log(1 + y[j]), (j, 1, n))
    term = sp.log(1 + missed)  # −log p for p = 1/(1 + x)
    yield Step(term, "<=", term + other, "with p = 1/(1 + x) every term −log p = log(1 + x) is at least 0, so one term is at most the loss", certificate=other)
    yield Step(
        sp.log(2),
        "<=",
        sp.log(2 + missed),
        "a prediction that gives its target ½ or less, p = 1/(2 + x), costs log 2 or more (times ω, if that target is 'no object')",
        certificate=sp.log(1 + missed / 2),
    )
    yield Step(
        1 - sp.UnevaluatedExpr(sp.Rational(1, 2) + gap),
        "<",
        sp.Rational(1, 2),
        "a prediction that gives a class more than ½, ½ + x, has less than ½ for all else",
        certificate=gap,
    )
    yield Step(
        weight * sp.log(2), "<", weight * (sp.log(2 + gap) + other),
        "of more predictions that give a class more than ½ than it has objects one is matched elsewhere, with what it gives less than ½, p = 1/(2 + x), x > 0: another class, at log(2 + x), or 'no object', at ω log(2 + x)",
        certificate=weight * (sp.log(1 + gap / 2) + other),
    )  # fmt: skip


@derived(
    Claim(
        id="vision.no-duplicates",
        title="A small enough matching loss leaves no duplicates to suppress",
        states="Object sets are predicted directly, without non-maximum suppression.",
        reading="The loss of a matching is Σ −log p of what each prediction is matched with, the class of an object or 'no object', which may weigh ω > 0. "
        "(Whether training reaches a small loss is not a question of mathematics.)",
        precise=r"If under some matching the loss is less than $\min(1,\omega)\log2$, every prediction gives more than ½ to what it is matched with. So as "
        r"many predictions give a class more than ½ as it "
        r"has objects, and all others give it to 'no object'. If more predictions give a class more than ½ than it has objects, every matching costs more than "
        r"$\min(1,\omega)\log2$.",
        sources=(DETECTION, CARION.at("section 3.1")),
        scope="every number of objects, several of one class included, and of (at least as many) predictions, every ω > 0; losses of classes, to which those "
        "of boxes add something non-negative. "
        "That of more predictions than a class has objects one is matched elsewhere is elementary counting, which the search shows and no step derives",
        inventory=("C225",),
        uses=("vision.no-object",),
        holds=_no_duplicates,
    )
)
def no_duplicates() -> Iterator[Step]:
    yield from _nothing_to_suppress()


def _of_least_cost(classes: int, boxes: int, weight: Fraction) -> set[tuple[int, ...]]:
    """Two predictions, two targets: straight on costs 2a in class, crossed costs 2b in boxes, which weigh λ."""
    straight, crossed = Fraction(classes), weight * boxes
    return best([[straight, crossed], [crossed, straight]])[1]


def _weighted_terms(classes: int, boxes: int, weight: Fraction, other: Fraction) -> Outcome:
    """For either weight every target has a prediction of its own, and the matching is in order exactly if a ≤ λb, crosswise exactly if a ≥ λb."""
    found = []
    for scale in (weight, other):
        winners = _of_least_cost(classes, boxes, scale)
        found.append(((0, 1) in winners) == (classes <= scale * boxes) and ((1, 0) in winners) == (classes >= scale * boxes))
        found.append(all(len(set(chosen)) == len(chosen) for chosen in winners))
    return exact.decided(all(found))


def _set_by_no_hand(classes: int, boxes: int, weight: Fraction, other: Fraction) -> Outcome:
    """Some matching is of least cost for both weights."""
    return exact.decided(bool(_of_least_cost(classes, boxes, weight) & _of_least_cost(classes, boxes, other)))


def _told_weights(classes: int, boxes: int, weight: Fraction, other: Fraction) -> str:
    told = []
    for scale in (weight, other):
        crossed = 2 * scale * boxes
        which = "in order" if 2 * classes < crossed else "crosswise"
        told.append(f"With λ = {scale} crosswise costs 2 · {scale} · {boxes} = {crossed}, against {2 * classes}: the target is the matching {which}.")
    return (
        f"Two predictions, two objects. Matched in order, both predictions are wrong in class, at a cost of {classes} each, {2 * classes} in all; matched "
        f"crosswise, both "
        f"are wrong in place, at a cost of {boxes} each, times the weight λ of this term. {' '.join(told)} The claim needs a target that does not depend on a "
        f"number "
        "set by hand, one matching of least cost for both."
    )


@derived(
    Claim(
        id="vision.matching-depends-on-weights",
        title="A matching gives each object one prediction of its own, but which one can depend on a weight that is set by hand",
        states="(Implied.) What the training target of a detector without hand-crafted components still depends on.",
        reading="What can be decided about it: whether the training target, the matching of least cost, depends on a number that no training sets.",
        precise="Take two predictions and two objects. Matched in order, both predictions are wrong in class (cost $a$ each); matched crosswise, both are "
        r"wrong in place (cost $b$ each, with the weight $\lambda$). In order they cost $2a$, crosswise "
        r"$2\lambda b$: the matching of least cost is crosswise for $\lambda<a/b$ and in order for $\lambda>a/b$. Either gives each object one prediction of "
        r"its own: nothing is left to suppress, and no anchor enters.",
        sources=(DETECTION, CARION.at("section 3.1")),
        scope="every a, b, λ > 0; a statement of existence. The paper's matching cost has such weights",
        inventory=("C225",),
        uses=("vision.set-prediction",),
        holds=_weighted_terms,
    )
)
def matching_depends_on_weights() -> Iterator[Step]:
    wrong_class, wrong_place = sp.symbols("a b", positive=True)
    cheap, dear = wrong_class / wrong_place / (1 + gap), wrong_class / wrong_place + gap
    yield Step(2 * cheap * wrong_place, "<", 2 * wrong_class, "λ = a/b divided by 1 + x: crosswise costs less", certificate=2 * wrong_class * gap / (1 + gap))
    yield Step(2 * wrong_class, "<", 2 * dear * wrong_place, "λ = a/b + x: in order costs less", certificate=2 * gap * wrong_place)


no_hand_crafted = Claim(
    id="vision.no-hand-crafted-components",
    title="Detection with object queries has no hand-crafted components",
    states="End to end: no hand-crafted components.",
    reading="Nothing that people set by hand decides what the detector is trained towards: the matching of predictions with objects is the same whatever "
    "weight one of its terms has.",
    precise=r"For the costs of vision.matching-depends-on-weights some matching is of least cost for every weight $\lambda>0$ of the places. "
    "In the paper's sense it holds: the matching needs no anchors, and under a loss of less than $\\min(1,\\omega)\\log2$ nothing is left to suppress (the "
    "steps are those of vision.no-duplicates).",
    sources=(DETECTION, CARION.at("section 1")),
    scope="two predictions and two objects, one weight of the matching cost; that people also choose the number of queries and the terms of the cost is not "
    "judged",
    inventory=("C225",),
    unsaid="by hand-crafted components non-maximum suppression and anchors are meant, as in the paper, and not the weights of the matching cost, which people "
    "set",
    corrected_by="vision.matching-depends-on-weights",
    derive=_nothing_to_suppress,
    holds=_set_by_no_hand,
    worked=_told_weights,
)


# --- two modalities (C226) -----------------------------------------------------------------------------------------------------------------


def _both_ways(scores: Matrix) -> Outcome:
    """Text to image over the columns, image to text over the rows of one table of scores."""
    there = [exact.softmax(row) for row in scores]
    back = [exact.softmax(list(column)) for column in zip(*scores, strict=True)]
    of_rows = [sum((exact.ball(x).exp() for x in row), arb(0)) for row in scores]
    of_columns = [sum((exact.ball(x).exp() for x in column), arb(0)) for column in zip(*scores, strict=True)]
    ratio = exact.equal(
        [[p * mass for p in row] for row, mass in zip(there, of_rows, strict=True)],
        [[back[y][x] * mass for y, mass in enumerate(of_columns)] for x in range(len(scores))],
    )
    masses = exact.equal([sum(exact.flat(there), arb(0)), sum(exact.flat(back), arb(0))], [len(scores), len(scores[0])])
    return Outcome.worst([ratio, masses])


@derived(
    Claim(
        id="vision.both-ways",
        title="Attention from text to image and back need not be each other's transpose, even from the same scores",
        states="Text tokens attend to image patches, and vice versa.",
        reading="One table of scores, S_rj for token r and patch j, serves both directions: the softmax runs over patches for a token, and over tokens for a "
        "patch.",
        precise=r"Let $\alpha_{rj}$ be the weight that token $r$ gives patch $j$, and $\beta_{jr}$ the weight that patch $j$ gives token $r$. "
        r"$\alpha_{rj}\sum_le^{S_{rl}}=e^{S_{rj}}=\beta_{jr}\sum_te^{S_{tj}}$, so that $\alpha_{rj}/\beta_{jr}$ is "
        r"the patch's normaliser over the token's. The weights of $m$ tokens sum to $m$ in all, those of $n$ patches to $n$: with $m\ne n$ neither table is "
        "the transpose of the other.",
        sources=(MULTIMODAL,),
        scope="every number m of tokens and n of patches, every real score; with scores of their own for each direction nothing ties them together",
        inventory=("C226",),
        uses=("softmax.row-sum", "symmetry.cross-attention-asymmetry"),
        holds=_both_ways,
    )
)
def both_ways() -> Iterator[Step]:
    to_image = sp.exp(S[r, j]) / total(sp.exp(S[r, l]), l)
    to_text = sp.exp(S[r, j]) / total(sp.exp(S[t, j]), t)
    yield Step(total(total(to_image, j), r), "=", m, "tokens to patches: one from each of the m tokens")
    yield Step(
        total(total(to_text, r), j), "=", n, "patches to tokens: one from each of the n patches, so with m ≠ n neither table is the transpose of the other"
    )
    yield Step(
        sp.UnevaluatedExpr(to_image) / sp.UnevaluatedExpr(to_text),
        "=",
        total(sp.exp(S[t, j]), t) / total(sp.exp(S[r, l]), l),
        "and the two weights of one pair, one exponential over two normalisers, differ as these do",
    )


def _left_out(scores: Row, values: Row, place: int) -> tuple[arb, arb, arb]:
    """The weight of a place, the output, and the output over all the others."""
    weights = exact.softmax(scores)
    output = sum((p * x for p, x in zip(weights, values, strict=True)), arb(0))
    others = [at for at in range(len(scores)) if at != place]
    without = sum((p * values[at] for p, at in zip(exact.softmax([scores[at] for at in others]), others, strict=True)), arb(0))
    return weights[place], output, without


def _heavier_matters_more(scores: Row, values: Row, one: int, other: int) -> Outcome:
    """The larger weight goes with an effect no smaller."""
    heavy, light = (one, other) if scores[one] > scores[other] else (other, one)
    if scores[heavy] == scores[light]:
        return Outcome.HELD
    (_, output, without_heavy), (_, _, without_light) = (_left_out(scores, values, at) for at in (heavy, light))
    return exact.at_most(abs(output - without_light), abs(output - without_heavy))


def _effect(scores: Row, values: Row, one: int, other: int) -> Outcome:
    """What leaving out a sentence does, in terms of its weight, its value and either output."""
    outcomes = []
    for at in (one, other):
        p, output, without = _left_out(scores, values, at)
        outcomes.append(exact.equal([output - without, (output - without) * (1 - p)], [p * (values[at] - without), p * (values[at] - output)]))
    return Outcome.worst(outcomes)


def _told_importance(scores: Row, values: Row, one: int, other: int) -> str:
    weights = ", ".join(exact.show(p) for p in exact.softmax(scores))
    output = exact.show(_left_out(scores, values, one)[1])
    lines = []
    for at in (one, other):
        p, whole, without = _left_out(scores, values, at)
        lines.append(
            f"- Sentence {at + 1} has the weight {exact.show(p)}. Without it the output is {exact.show(without)}, a change of "
            f"{exact.show(abs(whole - without))}."
        )
    return (
        f"Sentences are counted from 1 here, and from 0 in the case. The scores are {list(scores)} and the values {list(values)}, so the weights are "
        f"{weights}, and the output, the weighted sum of the values, is "
        f"{output}.\n\n"
        + "\n".join(lines)
        + "\n\nThe claim needs the sentence with the larger weight to make at least as large a change. It makes the smaller one."
    )


def _leaving_out() -> Iterator[Step]:
    share = sp.exp(own) / (sp.exp(own) + total(sp.exp(s[j]), j))
    without = total(sp.exp(s[j]) * v[j], j) / total(sp.exp(s[l]), l)
    output = (sp.exp(own) * V_i + total(sp.exp(s[j]) * v[j], j)) / (sp.exp(own) + total(sp.exp(s[j]), j))
    yield Step(output - without, "=", share * (V_i - without), "leaving out a sentence of score s_i and value V_i: the rest are averaged by themselves")
    yield Step(V_i - output, "=", (1 - share) * (V_i - without), "its distance from the output is the share of the others times that from their average")
    left = total(sp.exp(s[j]), j)
    yield Step(share / (1 - share), "=", sp.exp(own) / left, "so the effect is its distance from the output, times p/(1 − p)", nonzero=(1 - share,))


@derived(
    Claim(
        id="vision.weights-are-importance",
        title="Attention weights indicate the importance of sentences",
        states="Text summarisation: identify the most important sentences; attention weights indicate sentence importance.",
        reading="Importance to what attention computes: of two sentences, leaving out the one with the larger weight changes the output at least as much. (Importance to a reader is not decided by the layer.)",
        precise=r"$p_i>p_k$ implies $|o-o_{-i}|\ge|o-o_{-k}|$, with $p_i$ the weight of sentence $i$, $o$ the output and $o_{-i}$ the output without "
        "sentence $i$.",
        sources=(S4.at("Applications"),),
        scope="one query, two or more sentences, one value each, every real score and value",
        inventory=("C226",),
        unsaid="the values of the two sentences lie equally far from the output: the effect of leaving one out is p/(1 − p) times that distance, and p/(1 − "
        "p) grows with p",
        corrected_by="vision.effect-of-leaving-out",
        holds=_heavier_matters_more,
        worked=_told_importance,
    )
)
def weights_are_importance() -> Iterator[Step]:
    yield from _leaving_out()
    far = sp.Symbol("D", positive=True)
    light = 1 / (1 + room + gap)  # two weights in (0, 1), the second no lighter: 1/p − 1 is x + y and y
    heavy = 1 / (1 + room)
    yield Step(
        far * light / (1 - light),
        "<=",
        far * heavy / (1 - heavy),
        "at equal distances D the heavier one has the larger effect",
        certificate=far * gap / (room * (room + gap)),
        nonzero=(1 - light, 1 - heavy),
    )


@derived(
    Claim(
        id="vision.effect-of-leaving-out",
        title="Leaving out a sentence changes the output by p/(1 − p) times the distance of its value from it",
        states="(Implied.) What the weight of a sentence says of its importance, and what it does not.",
        precise="With $p_i$ and $v_i$ the weight and value of sentence $i$, $o$ the output and $o_{-i}$ the output without it, "
        r"$o-o_{-i}=p_i(v_i-o_{-i})=\frac{p_i}{1-p_i}(v_i-o)$. A sentence whose value equals the output can be left out "
        "without effect, whatever its weight.",
        sources=(S4.at("Applications"),),
        scope="one query, one sentence and n ≥ 1 others, every real score and value (one feature; every feature alike)",
        inventory=("C226",),
        holds=_effect,
    )
)
def effect_of_leaving_out() -> Iterator[Step]:
    yield from _leaving_out()


applications = Claim(
    id="vision.applications",
    title="Attention finds the relevant words, sentences and image regions in its applications",
    states="Captioning, visual question answering, retrieval, lip reading, speech enhancement, translation, summarisation, question answering: attention focuses on, aligns or indicates what is relevant. Multilingual models: shared "
    "embeddings, language-specific heads, cross-lingual pretraining.",
    precise="No model, data, measure of relevance or comparison is given.",
    sources=(MULTIMODAL, AUDIO_VISUAL, S1.at("Cross-Lingual Attention"), S4.at("Applications")),
    scope="trained models",
    inventory=("C226",),
    not_checkable="They are uses, or statements about what trained models attend to and what people find relevant. What can be checked: the two directions between modalities (vision.both-ways), what a weight says of "
    "importance (vision.effect-of-leaving-out), alignment in time (vision.window-clocks).",
)


# --- two clocks, frames and space (C226) ---------------------------------------------------------------------------------------------------


def heard(frame: int, video_step: Fraction, audio_step: Fraction, reach: Fraction | None, sounds: int) -> list[int]:
    """The audio frames (at times 0, τ_a, 2τ_a, …) that a video frame (at frame · τ_v) sees: those no further than `reach` from its time, or all."""
    return [at for at in range(sounds) if reach is None or abs(at * audio_step - frame * video_step) <= reach]


def mean_times(scores: Matrix, video_step: Fraction, audio_step: Fraction, reach: Fraction | None) -> list[arb | None]:
    """For each video frame the mean time of what it attends to; None where it sees nothing."""
    means: list[arb | None] = []
    for frame, row in enumerate(scores):
        seen = heard(frame, video_step, audio_step, reach, len(row))
        weights = exact.softmax([row[at] for at in seen]) if seen else []
        means.append(sum((p * exact.ball(at * audio_step) for p, at in zip(weights, seen, strict=True)), arb(0)) if seen else None)
    return means


def _in_order(scores: Matrix, video_step: Fraction, audio_step: Fraction, reach: Fraction | None) -> Outcome:
    """Each frame sees some audio, and the means do not go back."""
    means = mean_times(scores, video_step, audio_step, reach)
    seen = [mean for mean in means if mean is not None]
    return Outcome.REFUTED if len(seen) < len(means) else exact.at_most(seen[:-1], seen[1:])


def _clocks(scores: Matrix, video_step: Fraction, audio_step: Fraction, reach: Fraction | None) -> Outcome:
    """With a window of reach ω: no mean goes back by more than 2ω − τ_v, windows never go back, and none inside the recording is empty if 2ω ≥ τ_a."""
    if reach is None:
        return exact.decided(all(len(heard(frame, video_step, audio_step, None, len(row))) == len(row) for frame, row in enumerate(scores)))
    seen = [heard(frame, video_step, audio_step, reach, len(row)) for frame, row in enumerate(scores)]
    inside = [frame * video_step <= (len(row) - 1) * audio_step for frame, row in enumerate(scores)]
    full = 2 * reach < audio_step or all(at or not within for at, within in zip(seen, inside, strict=True))
    onwards = all(x[0] <= y[0] and x[-1] <= y[-1] for x, y in pairwise(at for at in seen if at))
    reachable = all(
        ceil((frame * video_step - reach) / audio_step) <= x <= floor((frame * video_step + reach) / audio_step) for frame, at in enumerate(seen) for x in at
    )
    means = mean_times(scores, video_step, audio_step, reach)
    together = [(x, y) for x, y in pairwise(means) if x is not None and y is not None]
    back = exact.at_most([x - y for x, y in together], [2 * reach - video_step] * len(together)) if together else Outcome.HELD
    return Outcome.worst([exact.decided(full and onwards and reachable), back])


def _told_clocks(scores: Matrix, video_step: Fraction, audio_step: Fraction, reach: Fraction | None) -> str:
    window = "all audio frames" if reach is None else f"the audio frames at most {reach} away from its time"
    told = []
    for frame, (row, mean) in enumerate(zip(scores, mean_times(scores, video_step, audio_step, reach), strict=True)):
        seen = heard(frame, video_step, audio_step, reach, len(row))
        terms = " + ".join(
            f"{exact.show(p, 4)} · {at * audio_step}" for p, at in zip(exact.softmax([row[at] for at in seen]) if seen else [], seen, strict=True)
        )
        told.append(
            f"- Frame {frame}, at {frame * video_step}, "
            + (
                "sees none."
                if mean is None
                else f"sees those at {', '.join(str(at * audio_step) for at in seen)}, with the mean {terms} = {exact.show(mean, 4)}."
            )
        )
    return (
        f"Video frames come every {video_step} and audio frames every {audio_step}, both from time 0 on; each video frame sees {window}. Its scores of all "
        f"audio frames are {list(map(list, scores))}, row by row.\n\n"
        + "\n".join(told)
        + "\n\nThe claim needs a mean for each frame, and means that never go back from one frame to the next."
    )


def _steps_of_clocks(frames: sp.Expr) -> Iterator[Step]:
    """From a frame to one `frames` later: the window's ends, and the means."""
    tick, reach = sp.symbols("tau_v omega", positive=True)
    here = sp.Symbol("i", integer=True, nonnegative=True)
    below, above = sp.symbols("x y", nonnegative=True)
    latest, earliest = here * tick + reach - below, (here + frames) * tick - reach + above
    yield Step(here * tick - reach, "<", (here + frames) * tick - reach, "the window's ends move on with the video's clock", certificate=frames * tick)
    yield Step(
        latest - earliest,
        "<=",
        2 * reach - frames * tick,
        "a mean over a window lies within its ends, at iτ_v ± ω, so it goes back by 2ω − τ_v at most from one frame to the next",
        certificate=below + above,
    )


@derived(
    Claim(
        id="vision.temporal-alignment",
        title="Attention between two clocks is in order: no frame attends to an earlier time than the frame before it",
        states="(Not in the text, which has attention align audio and visual features over time and does not say what that asks.) Attention keeps two clocks "
        "in order, whatever was learned.",
        reading="Video frames attend to audio frames, each sees some, and alignment is in order: the mean time that a frame attends to is not before that of "
        "the frame before it. (Whether a "
        "trained layer aligns better than that is not a question of mathematics.)",
        precise=r"$\mu_i\le\mu_{i+1}$ for $\mu_i=\sum_jp_{ij}\,j\tau_a$, where $p_{ij}$ is the weight that video frame $i$, at time $i\tau_v$, gives audio "
        r"frame $j$, at time $j\tau_a$.",
        sources=(AUDIO_VISUAL,),
        scope="every score; all audio frames, or those in a window of ω on each side of the frame's own time, as the attention has it; the search looks at "
        "windows that are not empty",
        unsaid="each frame sees a window around its own time that is no wider than the video's step, 2ω ≤ τ_v, and no window is empty",
        corrected_by="vision.window-clocks",
        holds=_in_order,
        worked=_told_clocks,
    )
)
def temporal_alignment() -> Iterator[Step]:
    yield from _steps_of_clocks(sp.S.One)
    reach = sp.Symbol("omega", positive=True)
    below, above = sp.symbols("x y", nonnegative=True)
    tick = 2 * reach + sp.Symbol("z", nonnegative=True)
    frame = sp.Symbol("i", integer=True, nonnegative=True)
    yield Step(
        frame * tick + reach - below, "<=", (frame + 1) * tick - reach + above, "with 2ω ≤ τ_v (τ_v = 2ω + z) none goes back at all",
        certificate=tick - 2 * reach + below + above,
    )  # fmt: skip


@derived(
    Claim(
        id="vision.window-clocks",
        title="Under a window of ω around each frame's own time alignments go back by at most 2ω − τ_v, and no window inside the recording is empty if 2ω ≥ τ_a",
        states="Audio-visual attention: temporal alignment, aligning audio and visual features over time.",
        reading="How far the times that frames attend to can be out of step with the frames themselves, whatever was learned: a window around each frame's own "
        "time "
        "is what the layer itself can ensure. (Whether a trained layer aligns better than that is not a question of mathematics.)",
        precise=r"Let $\mu_i$ be the mean time that video frame $i$ attends to. At its time $i\tau_v$ it sees the audio frames $j$ with "
        r"$|j\tau_a-i\tau_v|\le\omega$. Both ends of the window move on with $i$; $\mu_i-\mu_{i+1}\le2\omega-\tau_v$ whatever the scores are, where both "
        "frames see some "
        r"audio; and if $2\omega\ge\tau_a$ every frame inside the recording (not after its last audio frame) sees some. With all audio frames in sight nothing follows.",
        sources=(AUDIO_VISUAL,),
        scope="every τ_v, τ_a, ω > 0, every real score; both clocks start at 0",
        inventory=("C226",),
        holds=_clocks,
    )
)
def window_clocks() -> Iterator[Step]:
    tick = sp.Symbol("tau_a", positive=True)
    off, over = sp.symbols("x y", nonnegative=True)
    reach = tick / 2 + over
    yield Step(tick / 2 - off, "<=", reach, "2ω = τ_a + 2y: a time τ_a/2 − x after an audio frame is within ω of it", certificate=off + over)
    yield Step(tick - (tick / 2 + off), "<=", reach, "and a time τ_a/2 + x after it is within ω of the next", certificate=off + over)
    yield from _steps_of_clocks(sp.S.One)


def _space_time_cost(frames: int, places: int) -> Outcome:
    tokens = list(product(range(frames), range(places)))
    joint = sum(1 for _ in product(tokens, tokens))
    in_space = sum(1 for (x, _), (y, _) in product(tokens, tokens) if x == y)
    in_time = sum(1 for (_, x), (_, y) in product(tokens, tokens) if x == y)
    saved = frames * places * ((frames - 1) * (places - 1) - 1)
    return exact.decided(joint == (frames * places) ** 2 and in_space + in_time == frames * places * (frames + places) and joint - in_space - in_time == saved)


@derived(
    Claim(
        id="vision.space-time-cost",
        title="Attention over T frames of N patches takes (TN)² pairs at once, and TN(T + N) if time and space are taken in turn",
        states="Video understanding: temporal attention across frames; spatial-temporal attention.",
        reading="Joint: every patch of every frame attends to all. Divided: to the same place in all frames, then to all places of its frame.",
        precise="$(TN)^2$ pairs against $NT^2+TN^2=TN(T+N)$: divided attention has $TN((T-1)(N-1)-1)$ pairs less, which is a saving exactly if "
        "$(T-1)(N-1)>1$. With $T=1$ or $N=1$ it has $TN$ more.",
        sources=(POINTS, SCIENCE, AUDIO_VISUAL, BERTASIUS.at("section 3")),
        scope="every T, N ≥ 1; pairs, without a class token and without the extra projections of a second layer; cost follows pairs by sparsity.cost-follows-pairs",
        kind=Kind.COST,
        inventory=("C226", "C232"),
        holds=_space_time_cost,
    )
)
def space_time_cost() -> Iterator[Step]:
    frames, places = sp.symbols("T N", integer=True, positive=True)
    one = sp.S.One
    joint = sp.Sum(sp.Sum(one, (k, 1, frames), (l, 1, places)), (i, 1, frames), (j, 1, places))
    in_time = sp.Sum(sp.Sum(one, (k, 1, frames)), (i, 1, frames), (j, 1, places))
    in_space = sp.Sum(sp.Sum(one, (l, 1, places)), (i, 1, frames), (j, 1, places))
    yield Step(joint, "=", (frames * places) ** 2, "each of TN tokens with each")
    yield Step(in_time + in_space, "=", frames * places * (frames + places), "each token with the T tokens of its place, and with the N of its frame")
    yield Step(joint - in_time - in_space, "=", frames * places * ((frames - 1) * (places - 1) - 1), "the difference")


def _divided(scores_time: Sequence[Matrix], scores_space: Sequence[Matrix], values: Matrix, frame: int, place: int, shift: int) -> Outcome:
    """Time, then space: the weights from one token to all sum to one, are all positive, and are the slopes of its output. Tables: a place's T × T, a frame's N × N."""
    frames, places = range(len(values)), range(len(values[0]))
    there = [[exact.softmax(row) for row in table] for table in scores_time]
    back = [[exact.softmax(row) for row in table] for table in scores_space]

    def outputs(marks: Matrix) -> list[list[arb]]:
        mixed = [[sum((there[y][x][z] * marks[z][y] for z in frames), arb(0)) for y in places] for x in frames]
        return [[sum((back[x][y][z] * mixed[x][z] for z in places), arb(0)) for y in places] for x in frames]

    moved = [[value + shift * ((x, y) == (frame, place)) for y, value in enumerate(row)] for x, row in enumerate(values)]
    slopes = [[back[x][y][place] * there[place][x][frame] * shift for y in places] for x in frames]
    change = [[after - before for after, before in zip(*rows, strict=True)] for rows in zip(outputs(moved), outputs(values), strict=True)]
    ones = exact.equal(outputs([[1] * len(values[0])] * len(values)), [[1] * len(values[0])] * len(values))
    return Outcome.worst([exact.equal(change, slopes), ones, exact.decided(all(x > 0 for row in slopes for x in row))])


@derived(
    Claim(
        id="vision.divided-attention-joins-all",
        title="Time and then space: every token of a video takes something from every other",
        states="Temporal attention across frames, spatial-temporal attention.",
        precise=r"Let place $l$ attend over frames with the weights $\alpha^{(l)}$, and then frame $t$ over places with the weights $\beta^{(t)}$. This gives "
        r"token $(t,i)$ the weight $\beta^{(t)}_{il}\alpha^{(l)}_{tk}>0$ "
        "on token $(k,l)$, and these sum to 1. One of the two alone joins only tokens of one place, or of one frame.",
        sources=(POINTS, SCIENCE, BERTASIUS.at("section 3")),
        scope="every number of frames and places, every real score; no residual connection (it adds the token itself), value maps the identity",
        inventory=("C232",),
        uses=("softmax.row-sum", "softmax.positive"),
        holds=_divided,
    )
)
def divided_attention_joins_all() -> Iterator[Step]:
    frames, places = sp.symbols("T N", integer=True, positive=True)
    first, second = sp.IndexedBase("A", real=True), sp.IndexedBase("D", real=True)  # scores of place l over frames k; of place i over places l in the frame
    alpha = sp.exp(first[l, k]) / sp.Sum(sp.exp(first[l, u]), (u, 1, frames))
    beta = sp.exp(second[i, l]) / sp.Sum(sp.exp(second[i, u]), (u, 1, places))
    yield Step(
        sp.Sum(beta * sp.Sum(alpha, (k, 1, frames)), (l, 1, places)), "=", sp.Integer(1), "each table's weights sum to one, so the products do over all tokens"
    )
    yield Step(sp.Integer(0), "<", alpha * beta, "and each token has one of them, a product of two weights")


# --- points (beside C231, C232) ------------------------------------------------------------------------------------------------------------


def _moved_points(points: Matrix, bilinear: Matrix, by: Row) -> Outcome:
    """Weights of the moved cloud against the weights of the cloud, tilted by exp(τᵀ M x_j)."""
    moved = [[x + y for x, y in zip(point, by, strict=True)] for point in points]

    def scores(cloud: Matrix) -> list[list[int]]:
        return [
            [sum(x * entry * y for x, line in zip(one, bilinear, strict=True) for entry, y in zip(line, other, strict=True)) for other in cloud]
            for one in cloud
        ]

    tilt = scores([list(by), *points])[0][1:]
    before, after = ([exact.softmax(row) for row in scores(cloud)] for cloud in (points, moved))
    tilted = [exact.softmax([x + y for x, y in zip(row, tilt, strict=True)]) for row in scores(points)]
    stays = exact.equal(after, before) is Outcome.HELD
    return Outcome.worst([exact.equal(after, tilted), exact.decided(stays == (len(set(tilt)) == 1))])


@derived(
    Claim(
        id="vision.moved-points",
        title="With coordinates for features, moving the cloud tilts every point's weights in the same way",
        states="Point cloud processing: attention between 3D points.",
        reading="Tokens are the coordinates themselves, and scores are xᵢᵀ M xⱼ.",
        precise=r"If every point moves by $\tau$, $p_{ij}$ becomes $p_{ij}e^{\tau^\top Mx_j}$ over its sum: the weights are as before exactly if $\tau^\top "
        "Mx_j$ is the same for all $j$. Here $x_i$ are the coordinates of point $i$ and $p_{ij}$ the weight that it gives point $j$. What stands on the "
        "query's side cancels.",
        sources=(POINTS,),
        scope="every number of points and coordinates, every real M and τ",
        inventory=("C231", "C232"),
        uses=("softmax.shift",),
        holds=_moved_points,
    )
)
def moved_points() -> Iterator[Step]:
    tau = sp.IndexedBase("tau", real=True)

    def score(at: Entry, other: Entry, x: sp.Expr, y: sp.Expr) -> sp.Expr:
        return sp.Sum(at(x, a) * M[a, w] * other(y, w), (a, 1, d), (w, 1, d))

    def moved(at: sp.Expr, feature: sp.Expr) -> sp.Expr:
        return X[at, feature] + tau[feature]

    def tilted(at: sp.Expr) -> sp.Expr:
        return sp.exp(score(entries(X), entries(X), i, at) + score(lambda _, feature: tau[feature], entries(X), i, at))

    def pushed(at: sp.Expr) -> sp.Expr:
        return sp.exp(score(moved, moved, i, at))

    yield Step(
        pushed(j) / sp.Sum(pushed(u), (u, 1, n)),
        "=",
        tilted(j) / sp.Sum(tilted(u), (u, 1, n)),
        "two of the four parts of the new score, xᵢᵀMτ and τᵀMτ, are the same for every key and cancel",
    )
    apart = score(lambda _, feature: tau[feature], entries(X), i, j) - score(lambda _, feature: tau[feature], entries(X), i, k)
    old_odds = sp.exp(score(entries(X), entries(X), i, j) - score(entries(X), entries(X), i, k))
    yield Step(pushed(j) / pushed(k), "=", old_odds * sp.exp(apart), "so the odds of two keys change by exp(τᵀM(x_j − x_k)), and stay exactly if that is 1")


def turn(normals: Sequence[Row], width: int) -> list[list[Fraction]]:
    """The matrix of reflections I − 2uuᵀ/|u|², one after the other, in the planes that `normals` stand on. Two of them are a turn."""
    R = [[Fraction(x == y) for y in range(width)] for x in range(width)]
    for normal in normals:
        square = sum(x * x for x in normal)
        along = [sum((x * line[y] for x, line in zip(normal, R, strict=True)), Fraction(0)) for y in range(width)]
        R = [[entry - 2 * x * share / square for entry, share in zip(line, along, strict=True)] for x, line in zip(normal, R, strict=True)]
    return R


def _rigid(points: Matrix, values: Row, scale: int, by: Row, normals: Sequence[Row]) -> Outcome:
    """Scores −scale · distance²: the cloud reflected or turned, and moved."""

    def scores(cloud: Sequence[Sequence[Fraction]]) -> list[list[Fraction]]:
        return [[-scale * sum(((x - y) ** 2 for x, y in zip(one, other, strict=True)), Fraction(0)) for other in cloud] for one in cloud]

    def averages(rows: Sequence[Sequence[Fraction]], cloud: Sequence[Sequence[Fraction]]) -> list[list[arb]]:
        return [[_averaged(row, [point[at] for point in cloud]) for at in range(len(by))] for row in rows]

    R, still = turn(normals, len(by)), [[Fraction(x) for x in point] for point in points]
    moved = [[sum((x * y for x, y in zip(line, point, strict=True)), Fraction(x_by)) for line, x_by in zip(R, by, strict=True)] for point in still]
    here, there = scores(still), scores(moved)
    carried = [
        [sum((exact.ball(x) * y for x, y in zip(line, mean, strict=True)), arb(x_by)) for line, x_by in zip(R, by, strict=True)]
        for mean in averages(here, still)
    ]
    same = exact.equal([_averaged(row, values) for row in there], [_averaged(row, values) for row in here])
    return Outcome.worst([exact.decided(here == there), same, exact.equal(averages(there, moved), carried)])


def _averaged(scores: Sequence[Fraction], values: Sequence[Fraction | int]) -> arb:
    return sum((p * exact.ball(value) for p, value in zip(exact.softmax(scores), values, strict=True)), arb(0))


@derived(
    Claim(
        id="vision.rigid-motions",
        title="With scores from distances, moving, turning or mirroring the cloud changes no weight",
        states="Attention between points, between atoms, between amino acids.",
        reading="Scores are any function of the squared distance of two points (and of what does not move, such as an atom's kind). The cloud moves as a rigid body, or is mirrored: x ↦ Rx + τ with RᵀR = I.",
        precise=r"$|Rx_i+\tau-Rx_j-\tau|^2=|x_i-x_j|^2$ for every $R$ with $R^\top R=I$: every turn, and every reflection $x-2u\,u^\top x/|u|^2$. So weights, and averages of features that do not move, are "
        r"unchanged, and averages of coordinates move along: $\sum_jp_{ij}(Rx_j+\tau)=R\sum_jp_{ij}x_j+\tau$.",
        sources=(POINTS, SCIENCE),
        scope="every number of points and coordinates, every real τ, R with RᵀR = I and u ≠ 0; the search has none, one or two reflections, and two are a turn",
        inventory=("C231", "C232"),
        uses=("softmax.row-sum",),
        holds=_rigid,
    )
)
def rigid_motions() -> Iterator[Step]:
    tau, normal, apart = (sp.IndexedBase(name, real=True) for name in ("tau", "u", "z"))
    square = total(apart[a] ** 2, a)
    R = sp.IndexedBase("R", real=True)
    here, there = sp.UnevaluatedExpr(X[i, a] + tau[a]), sp.UnevaluatedExpr(X[j, a] + tau[a])
    yield Step(total((here - there) ** 2, a), "=", total((X[i, a] - X[j, a]) ** 2, a), "a common displacement drops out of the difference")
    length = sp.Sum(normal[w] ** 2, (w, 1, d))
    along = sp.Sum(normal[w] * apart[w], (w, 1, d))
    yield Step(
        total((apart[a] - 2 * normal[a] * along / length) ** 2, a),
        "=",
        square,
        "a reflection keeps the length of every difference z = xᵢ − xⱼ",
        nonzero=(length,),
    )
    weight = sp.exp(s[j]) / total(sp.exp(s[l]), l)
    yield Step(
        total(weight * (sp.Sum(R[a, w] * X[j, w], (w, 1, d)) + tau[a]), j),
        "=",
        sp.Sum(R[a, w] * total(weight * X[j, w], j), (w, 1, d)) + tau[a],
        "an average of points, whose weights sum to one, moves and turns with the points",
    )
    pairs = ((w, 1, d), (u, 1, d))
    yield Step(
        sp.Sum(R[a, w] * apart[w], (w, 1, d)) ** 2,
        "=",
        sp.Sum(apart[w] * apart[u] * R[a, w] * R[a, u], *pairs),
        "the square of an entry of Rz, for a difference z = xᵢ − xⱼ, by pairs of coordinates",
    )
    entry = sp.IndexedBase("g", real=True)
    yield Step(
        total(sp.Sum(apart[w] * apart[u] * entry[a, w, u], *pairs), a),
        "=",
        sp.Sum(apart[w] * apart[u] * total(entry[a, w, u], a), *pairs),
        "the sum over the entries, with g for the products of R: z meets the products of two columns, which are the entries of RᵀR",
    )
    yield Step(
        sp.Sum(apart[w] * apart[u] * sp.KroneckerDelta(w, u), *pairs),
        "=",
        square,
        "with RᵀR = I, 1 for a column with itself and 0 for two, it is that of z: the distances, and with them the scores and weights, are what they were",
    )


science = Claim(
    id="vision.science",
    title="Attention serves molecular dynamics, climate modelling and protein folding",
    states="Scientific computing: attention between atoms, spatial-temporal attention for climate, attention between amino acids.",
    precise="No system, data, model or measure is named.",
    sources=(SCIENCE,),
    scope="trained models",
    inventory=("C232",),
    not_checkable="It lists uses, which no computation here can confirm. What can be checked: what moving and turning a set of points does (vision.rigid-motions, vision.moved-points), the order of the points "
    "(symmetry.self-attention-equivariance), and what space and time cost together (vision.space-time-cost).",
)
