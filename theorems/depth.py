"""Gradients through many layers: products of Jacobians, residual branches, layer norm, clipping, and what initialisation and an optimiser do to a first step."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations
from math import prod

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, derived
from theorems.outcome import Outcome
from theorems.sources import S1, S4, Source
from theorems.step import Step
from theorems.symbols import i, j, k, l, n, total

CLIP_VALUE = Source(
    key="torch-clip-grad-value",
    title="torch.nn.utils.clip_grad_value_",
    url="https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_value_.html",
)
PASCANU = Source(key="pascanu2013", title="On the difficulty of training recurrent neural networks", url="https://arxiv.org/abs/1211.5063")
HE = Source(key="he2016", title="Identity Mappings in Deep Residual Networks", url="https://arxiv.org/abs/1603.05027")
INVARIANCE = "Invariance under weights and data transformations"  # a heading of the paper on layer normalization
BA = Source(key="ba2016", title="Layer Normalization", url="https://arxiv.org/abs/1607.06450")
BACHLECHNER = Source(key="bachlechner2021", title="ReZero is All You Need: Fast Convergence at Large Depth", url="https://arxiv.org/abs/2003.04887")
KINGMA = Source(key="kingma2015", title="Adam: A Method for Stochastic Optimization", url="https://arxiv.org/abs/1412.6980")
KROGH = Source(
    key="krogh1991",
    title="A Simple Weight Decay Can Improve Generalization",
    url="https://papers.nips.cc/paper/1991/hash/8eefcfdf5990e441f0fb6f3fad709e21-Abstract.html",
)
LOSHCHILOV = Source(key="loshchilov2019", title="Decoupled Weight Decay Regularization", url="https://arxiv.org/abs/1711.05101")

Row = Sequence[int]
Matrix = Sequence[Row]
Slopes = Sequence[Fraction]  # Jacobians of layers of width 1

EPSILON = Fraction(1, 100_000)  # what torch's layer norm adds to the variance

L = sp.Symbol("L", integer=True, positive=True)
x, y = sp.IndexedBase("x", real=True), sp.IndexedBase("y", real=True)
g = sp.IndexedBase("g", real=True)  # a gradient
J, R = sp.IndexedBase("J", real=True), sp.IndexedBase("R", real=True)
rho = sp.Symbol("rho", positive=True)
D = sp.KroneckerDelta


# --- products of Jacobians -------------------------------------------------------------------------------------------------------------------


def _through(slopes: Slopes, rounds: int) -> Fraction:
    return abs(prod(slopes, start=Fraction(1))) ** rounds


def _vanishes(slopes: Slopes, rounds: int) -> Outcome:
    """Through these layers, so many times, less of the gradient is left than (99/100)^(layers)."""
    return exact.decided(_through(slopes, rounds) <= Fraction(99, 100) ** (rounds * len(slopes)))


def _vanishes_by_hand(slopes: Slopes, rounds: int) -> str:
    once, depth = _through(slopes, 1), rounds * len(slopes)
    times = "its slope" if len(slopes) == 1 else "the product of their slopes"
    return (
        f"Take layers of width 1 with the slopes {', '.join(map(str, slopes))}, {rounds} times over: {depth} layers. Each time the gradient's size is "
        f"multiplied by {times}, {once}, and by {once}^{rounds}"
        f"{' = 1' if once == 1 else ''} in all. The claim, with ρ = 99/100, needs at most (99/100)^{depth} = "
        f"{exact.show(exact.ball(Fraction(99, 100)) ** depth)}."
    )


def _cauchy_schwarz() -> Step:
    passed, arrives = total(total(J[i, j] * g[j], j) ** 2, i), total(g[j] ** 2, j)
    crossed = total(total(total((J[i, j] * g[k] - J[i, k] * g[j]) ** 2, j), k), i) / 2
    return Step(
        passed,
        "<=",
        total(total(J[i, j] ** 2, j), i) * arrives,
        "one layer multiplies a gradient's length by at most the Jacobian's Frobenius norm (both sides are squared)",
        certificate=crossed,
    )


def _contracts() -> Iterator[Step]:
    delta = sp.Symbol("delta", positive=True)
    yield Step(
        1 + (L + 1) * delta,
        "<=",
        (1 + delta) * (1 + L * delta),
        "with ρ = 1/(1 + δ) for every layer, L of them leave 1/(1 + Lδ) or less: by induction on L",
        certificate=L * delta**2,
    )


def _shrinks() -> Iterator[Step]:
    yield _cauchy_schwarz()
    yield from _contracts()


vanishing = Claim(
    id="depth.gradients-vanish",
    title="Gradients vanish in very deep networks",
    states="(Not in the text, which lists vanishing gradients among the challenges: depth.gradients-can-vanish.) In very deep networks gradients vanish, "
    "whatever the layers are.",
    reading="Depth alone is taken for the cause: whatever the layers are, the gradient shrinks towards 0 geometrically as there are more of them.",
    precise=r"$\lVert J_1\cdots J_L\,g\rVert\le\rho^L\lVert g\rVert$ for the Jacobians $J_l$ of $L$ layers, the gradient $g$ at the last one and one "
    r"$\rho<1$; and so at most $\lVert g\rVert/(1+L\delta)$ with $\rho=1/(1+\delta)$. "
    r"It holds where every Jacobian's norm is at most $\rho$.",
    sources=(PASCANU.at("section 2.1"),),
    scope="every depth L ≥ 1 and width; the search looks at 100 layers and more of width 1, and asks for ρ = 99/100",
    unsaid="every layer's Jacobian has a norm of at most that ρ < 1 (a rotation, or a residual branch that adds nothing, has not)",
    corrected_by="depth.gradients-can-vanish",
    derive=_shrinks,
    holds=_vanishes,
    worked=_vanishes_by_hand,
)


def _can_vanish(slopes: Slopes, rounds: int) -> Outcome:
    """At most r^(layers) is left, r the largest slope; layers that all multiply by r leave just that, and with r < 1 it is at most 1/(1 + layers · δ)."""
    r, depth = max(map(abs, slopes)), rounds * len(slopes)
    left, alike = _through(slopes, rounds), _through([r], depth)
    small = not 0 < r < 1 or alike <= 1 / (1 + depth * (1 / r - 1))
    return exact.decided(left <= r**depth == alike and small)


@derived(
    Claim(
        id="depth.gradients-can-vanish",
        title="Gradients can vanish with depth: layers that shrink them leave less than any given share, if there are enough of them",
        states="A challenge of gradient flow: vanishing gradients in very deep networks.",
        reading="A list of challenges says what can happen. There are layers of which enough leave a smaller share of the gradient than any that is named.",
        precise=r"If each of $L$ layers multiplies the length of a gradient by at most $\rho=1/(1+\delta)<1$, at most $\rho^L\le1/(1+L\delta)$ of it is left, "
        r"and layers that all multiply by $\rho$ leave just $\rho^L$. For any share $c>0$ that is less than $c$ from some depth on, at the latest from "
        r"$L>1/(c\delta)$.",
        sources=(S1.at("Gradient Flow"), PASCANU.at("section 2.1")),
        scope="every ρ < 1 and every depth L ≥ 1; a statement of existence about layers (depth.product-bounds has what other layers do)",
        inventory=("C248",),
        uses=("depth.product-bounds",),
        holds=_can_vanish,
    )
)
def can_vanish() -> Iterator[Step]:
    yield Step(rho * rho**L, "=", rho ** (L + 1), "layers that all multiply by ρ: one more multiplies what L of them leave by ρ")
    yield from _contracts()
    delta, share = sp.symbols("delta c", positive=True)
    deeper = sp.Symbol("x", positive=True)
    depth = 1 / (share * delta) + deeper
    yield Step(
        1 / (1 + delta * sp.UnevaluatedExpr(depth)),
        "<",
        share,
        "so with L = 1/(cδ) + x layers less than the share c is left",
        certificate=share**2 * (1 + delta * deeper) / (1 + share * (1 + delta * deeper)),
    )


def _bounded(slopes: Slopes, rounds: int) -> Outcome:
    """Layers of width 2, [[a, b], [1, a]] with b the next slope: Π det²/‖J‖² ≤ ‖J⋯J g‖²/‖g‖² ≤ Π ‖J‖², ‖J‖ Frobenius, for g = (1, 2)."""
    arrives = Fraction(1), Fraction(2)
    left, low, high = arrives, Fraction(1), Fraction(1)
    for a, b in list(zip(slopes, (*slopes[1:], slopes[0]), strict=True)) * rounds:
        frobenius, determinant = 2 * a * a + b * b + 1, a * a - b
        low, high = low * determinant**2 / frobenius, high * frobenius
        left = a * left[0] + b * left[1], left[0] + a * left[1]
    stretch = sum(y * y for y in left) / sum(y * y for y in arrives)
    return exact.decided(low <= stretch <= high)


@derived(
    Claim(
        id="depth.product-bounds",
        title="What is left of a gradient lies between the products of the layers' least and largest stretch",
        states="(Implied.) Whether gradients vanish, stay or explode with depth: what the layers must be like, of which the text names only the number.",
        precise=r"If the Jacobian $J_l$ of each layer stretches every vector by a factor between $\sigma_l$ and $\rho_l$, then $\prod\sigma_l\lVert "
        r"g\rVert\le\lVert J_1\cdots J_Lg\rVert\le\prod\rho_l\lVert g\rVert$. "
        r"$\rho_l$ may be the Frobenius norm; for an orthogonal Jacobian $\sigma_l=\rho_l=1$. Depth alone decides nothing.",
        sources=(S1.at("Gradient Flow"), PASCANU.at("section 2.1")),
        scope="every depth and width; the search has layers of width 2, with ρ = ‖J‖ (Frobenius) and σ = |det J|/‖J‖, since the adjugate, as long as J, undoes it up to det J",
        inventory=("C248",),
        holds=_bounded,
    )
)
def product_bounds() -> Iterator[Step]:
    yield Step(
        total(total(D(j, k) * g[j] * g[k], j), k),
        "=",
        total(g[j] ** 2, j),
        "‖Jg‖² = gᵀJᵀJg, and with JᵀJ = I it is ‖g‖²: an orthogonal Jacobian keeps the length",
    )
    yield _cauchy_schwarz()
    least, passed, above, below = sp.symbols("sigma u y_0 z_0", nonnegative=True)
    yield Step(
        least * passed,
        "<=",
        (least + below) * passed,
        "what has arrived is u long, and one more layer stretches it by some τ = σ + z₀ with σ ≤ τ ≤ ρ: to at least σu",
        certificate=below * passed,
    )
    yield Step(
        (least + below) * passed,
        "<=",
        (least + below + above) * passed,
        "and to at most ρu, ρ = τ + y₀; by induction the products bound what L layers leave",
        certificate=above * passed,
    )


# --- residual connections --------------------------------------------------------------------------------------------------------------------


def _paths(slopes: Slopes) -> Outcome:
    """Π(1 + a_l) is the sum over sets of layers of the products of their slopes; the empty set's is 1."""
    chosen = [prod(part, start=Fraction(1)) for size in range(len(slopes) + 1) for part in combinations(slopes, size)]
    return exact.decided(chosen[0] == 1 and prod((1 + a for a in slopes), start=Fraction(1)) == sum(chosen))


@derived(
    Claim(
        id="depth.residual-highway",
        title="Through residual connections one path of the gradient is never multiplied by anything",
        states="Residual connections provide gradient highways.",
        reading="With x + f(x) in every layer, the gradient at the input contains the gradient at the output itself, at every depth.",
        precise=r"With $J_l$ the Jacobian of branch $l$, $\prod_{l=1}^L(I+J_l)=I+R_L$ with $R_{l+1}=R_l+J_{l+1}(I+R_l)$, so that $R_L$ is the sum over all "
        "non-empty sets of branches of the products of their Jacobians: "
        r"the empty set's path, past every branch, is the identity.",
        sources=(S1.at("Gradient Flow"), S4.at("The Transformer Architecture"), HE.at("equation 5")),
        scope="every depth and width, every Jacobian; blocks x + f(x), with nothing on the trunk itself (a norm after the sum, as in post-norm, stands on it)",
        inventory=("C249",),
        holds=_paths,
    )
)
def residual_highway() -> Iterator[Step]:
    block, stack = D(i, k) + J[i, k], D(k, j) + R[k, j]
    later = R[i, j] + J[i, j] + total(J[i, k] * R[k, j], k)
    yield Step(total(block * D(k, j), k), "=", D(i, j) + J[i, j], "one block alone: R = J")
    yield Step(total(block * stack, k), "=", D(i, j) + later, "a further block (I + J) before I + R leaves the identity as it is and adds to R")


def _survives(slopes: Slopes) -> Outcome:
    """These blocks x + a x, over and over without end, leave a share of the gradient that does not tend to 0: the powers of Π(1 + a) do not."""
    return exact.decided(_through([1 + a for a in slopes], 1) >= 1)


def _survives_by_hand(slopes: Slopes) -> str:
    once = _through([1 + a for a in slopes], 1)
    factors = " · ".join(f"(1 + ({a}))" for a in slopes)
    return (
        f"Take residual blocks x + ax with a = {', '.join(map(str, slopes))}, over and over. Each time the gradient's length is multiplied by |{factors}| = "
        f"{once}; ten times leave ({once})^10 = {exact.show(exact.ball(once) ** 10)} of it, "
        f"and ({once})^k tends to 0 as k grows. The claim needs a share c > 0 that is left at every depth. Each branch takes away a part of what the path "
        "past it carries."
    )


def _share_left(slopes: Slopes) -> Outcome:
    """After each block, and after up to 5 rounds of them all, at least 1 − Σ|a| of the gradient is left."""
    stacks = [list(slopes[:depth]) for depth in range(1, len(slopes))] + [list(slopes) * rounds for rounds in range(1, 6)]
    return exact.decided(all(_through([1 + a for a in stack], 1) >= 1 - sum(map(abs, stack)) for stack in stacks))


def _not_taken_away() -> Iterator[Step]:
    yield Step(
        total(g[i] * y[i], i) ** 2,
        "<=",
        total(g[i] ** 2, i) * total(y[i] ** 2, i),
        "with y = Jg: |g · y| is at most ‖g‖ ‖y‖ (squared)",
        certificate=total(total((g[i] * y[k] - g[k] * y[i]) ** 2, i), k) / 2,
    )
    yield Step(
        total((g[i] + y[i]) ** 2, i), "=", total(g[i] ** 2, i) + 2 * total(g[i] * y[i], i) + total(y[i] ** 2, i), "what leaves the block is g + y (squared)"
    )
    trunk, length, slack, short = sp.symbols("u w tau delta", nonnegative=True)
    yield Step(
        (trunk - length) ** 2,
        "<=",
        trunk**2 + 2 * (slack - trunk * length) + length**2,
        "‖g‖ = u, ‖y‖ = w and g · y = −uw + τ: what leaves is at least |u − w| long (squared)",
        certificate=2 * slack,
    )
    branch = rho * trunk - short  # ‖Jg‖ ≤ ρ‖g‖
    yield Step(trunk * (1 - rho), "<=", trunk - branch, "w = ρu − δ, since the branch's norm is at most ρ: at least (1 − ρ)‖g‖ is left", certificate=short)
    taken, more = sp.symbols("s z", nonnegative=True)
    norm = 1 / (1 + sp.Symbol("v", positive=True))  # ρ < 1
    yield Step(
        1 - taken - norm,
        "<=",
        (1 - taken + more) * (1 - norm),
        "where blocks with norms of sum s have left 1 − s + z, one more leaves 1 − s − ρ or more: by induction 1 − Σρ_l",
        certificate=taken * norm + more * (1 - norm),
    )


residual_survives = Claim(
    id="depth.residual-gradient-survives",
    title="With residual connections the gradient does not vanish with depth",
    states="Residual connections enable deep networks, since they mitigate vanishing gradients.",
    reading="However many blocks x + f(x) there are, and whatever their branches, a share of the gradient is left that does not tend to 0. (That one path "
    "passes by every branch is "
    "depth.residual-highway; judged here is whether this alone keeps the gradient.)",
    precise=r"$\lVert\prod_{l\le L}(I+J_l)\,g\rVert\ge c\,\lVert g\rVert$ for every $L$, with one $c>0$ and $J_l$ the Jacobian of branch $l$. It holds with "
    r"$c=1-s$ if $\lVert J_l\rVert\le\rho_l$ and $\sum_l\rho_l\le s<1$.",
    sources=(S1.at("Gradient Flow"), S4.at("The Transformer Architecture"), HE.at("section 2")),
    scope="every depth; the search looks at blocks of width 1 whose slopes are at most 3/4 in size, repeated without end",
    inventory=("C249",),
    unsaid="the norms of all branches' Jacobians sum to less than 1 (that each is below 1 is not enough: a = −1/2 in each of L blocks leaves 2^−L)",
    corrected_by="depth.residual-share-left",
    derive=_not_taken_away,
    holds=_survives,
    worked=_survives_by_hand,
)


@derived(
    Claim(
        id="depth.residual-share-left",
        title="Residual blocks leave at least 1 − Σρ of a gradient, where ρ bounds the norms of the branches' Jacobians",
        states="(Implied.) How much residual connections keep of a gradient: the text has no measure of it.",
        reading="The norm of a Jacobian J is the least ρ with ‖Jg‖ ≤ ρ‖g‖ for every g; the Frobenius norm is no smaller.",
        precise=r"$\lVert\prod_{l\le L}(I+J_l)\,g\rVert\ge\left(1-\sum_{l\le L}\rho_l\right)\lVert g\rVert$ where $\lVert J_l\rVert\le\rho_l$: branches of norm $s/L$ leave $1-s$ at every depth $L$. "
        "Where the sum is 1 or more it says nothing.",
        sources=(HE.at("equation 5"), S1.at("Gradient Flow"), S4.at("The Transformer Architecture")),
        scope="every depth and width, every Jacobian; the search looks at blocks of width 1",
        inventory=("C249",),
        holds=_share_left,
    )
)
def residual_share_left() -> Iterator[Step]:
    yield from _not_taken_away()


def _block(tokens: Row, features: Row, weight: int) -> list[int]:
    """x + w · f(x), feature by feature."""
    return [token + weight * feature for token, feature in zip(tokens, features, strict=True)]


def _identity(tokens: Row, features: Row, arrives: Row) -> Outcome:
    """With W = 0 the output is the input; the gradient in W, a difference of ⟨g, x + W f⟩ in each entry, is g fᵀ, and all zero exactly if g = 0 or f = 0."""
    size = range(len(tokens))

    def loss(row: int, column: int, weight: int) -> int:
        return sum(y * z for y, z in zip(arrives, _block(tokens, [features[column] * (at == row) for at in size], weight), strict=True))

    slopes = [[loss(row, column, 1) - loss(row, column, 0) for column in size] for row in size]
    stuck = not any(any(line) for line in slopes)
    outer = [[y * z for z in features] for y in arrives]
    return exact.decided(_block(tokens, features, 0) == list(tokens) and slopes == outer and stuck == (not any(arrives) or not any(features)))


@derived(
    Claim(
        id="depth.zero-initialised-branch",
        title="A residual branch whose last map is zero makes the block the identity, and can still learn where its features are not zero",
        states="Zero initialisation, for some residual connections.",
        reading="With the last map of the branch set to zero, the block returns its input.",
        precise=r"$x+Wf(x)=x$ for $W=0$, and its Jacobian is the identity. The gradient in $W$ is $g\,f(x)^T$, which is zero only if $g=0$ or $f(x)=0$; that of all parameters within $f$ is zero in this first step.",
        sources=(S4.at("Initialization"), BACHLECHNER.at("section 3")),
        scope="every width, every branch f; blocks without a norm after the sum: a post-norm block returns the norm of x",
        inventory=("C307",),
        holds=_identity,
    )
)
def zero_initialised_branch() -> Iterator[Step]:
    w, t = sp.IndexedBase("W", real=True), sp.Symbol("t", real=True)
    f = sp.IndexedBase("f", real=True)
    block = x[i] + t * total(w[i, j] * f[j], j)
    yield Step(sp.Subs(block, t, 0), "=", x[i], "t W with t = 0: nothing is added")
    yield Step(sp.Subs(D(i, k) + t * total(w[i, j] * J[j, k], j), t, 0), "=", D(i, k), "and the Jacobian is the identity's")
    loss = total(g[i] * (x[i] + total(w[i, j] * f[j], j)), i)
    yield Step(sp.Derivative(loss, f[k]), "=", total(g[i] * w[i, k], i), "what reaches the branch goes through W, and is 0 with it")
    yield Step(sp.Derivative(g[i] * total(w[i, j] * f[j], j), w[i, k]), "=", g[i] * f[k], "but W itself receives g_i f_k, whatever W is")
    yield Step(total(total((g[i] * f[k]) ** 2, k), i), "=", total(g[i] ** 2, i) * total(f[k] ** 2, k), "of length ‖g‖ ‖f‖: zero only if one of them is")


# --- layer norm ------------------------------------------------------------------------------------------------------------------------------


def _normed_gradient(activations: Row, gradient: Row) -> tuple[list[arb], arb]:
    """What layer norm's backward passes on, and the divisor s = √(variance + ε)."""
    width = len(activations)
    mean, arrives = Fraction(sum(activations), width), Fraction(sum(gradient), width)
    variance = sum(((z - mean) ** 2 for z in activations), Fraction(0)) / width
    divisor = exact.ball(variance + EPSILON).sqrt()
    along = sum(((z - mean) * y for z, y in zip(activations, gradient, strict=True)), Fraction(0)) / width / (variance + EPSILON)
    return [exact.ball(y - arrives - (z - mean) * along) / divisor for z, y in zip(activations, gradient, strict=True)], divisor


def _differentiated(activations: Sequence[int | Fraction], gradient: Row, epsilon: Fraction = EPSILON) -> list[arb]:
    """The same from the definition: ∂⟨g, x̂⟩/∂x_k by the rules of product and quotient, x̂ = (x − mean)/s, whatever the closed form says."""
    width = len(activations)
    mean = sum(map(Fraction, activations), Fraction(0)) / width
    deviations = [Fraction(z) - mean for z in activations]
    square = sum((z * z for z in deviations), Fraction(0)) / width + epsilon
    passed = []
    for place in range(width):
        moved = [Fraction(int(at == place)) - Fraction(1, width) for at in range(width)]  # ∂(x_i − mean)/∂x_k
        half = sum((z * dz for z, dz in zip(deviations, moved, strict=True)), Fraction(0)) / width  # ∂s²/∂x_k, halved
        slope = sum((y * (dz - z * half / square) for y, z, dz in zip(gradient, deviations, moved, strict=True)), Fraction(0))
        passed.append(exact.ball(slope) / exact.ball(square).sqrt())
    return passed


def _length(vector: Sequence[arb]) -> arb:
    return sum((z * z for z in vector), arb(0))


def _stabilises(activations: Row, gradient: Row) -> Outcome:
    passed, _ = _normed_gradient(activations, gradient)
    return exact.at_most(_length(passed), sum(y * y for y in gradient))


def _stabilises_by_hand(activations: Row, gradient: Row) -> str:
    passed, divisor = _normed_gradient(activations, gradient)
    width = len(activations)
    mean, arrives = Fraction(sum(activations), width), Fraction(sum(gradient), width)
    variance = sum(((z - mean) ** 2 for z in activations), Fraction(0)) / width
    hats = [exact.ball(z - mean) / divisor for z in activations]
    q = sum((y * z for y, z in zip(gradient, hats, strict=True)), arb(0)) / width

    def shown(numbers: Sequence[arb]) -> str:
        return ", ".join(exact.show(z, 5) for z in numbers)

    return (
        f"The activations {list(activations)} have the mean {mean} and the variance {variance}; with ε = {EPSILON} the divisor is s = √(variance + ε) = "
        f"{exact.show(divisor, 5)}, and x̂ = ({shown(hats)}). The gradient "
        f"g = {list(gradient)} has the mean {arrives}, and q, the mean of g·x̂, is {exact.show(q, 5)}. What leaves is (g − mean − x̂q)/s = ({shown(passed)}), "
        f"of length {exact.show(_length(passed).sqrt(), 5)}. The claim needs at most the "
        f"length of g, {exact.show(exact.ball(sum(y * y for y in gradient)).sqrt(), 5)}. Layer norm enlarges small activations, and their gradients as much."
    )


mean_x, mean_g = total(x[j], j) / n, total(g[j], j) / n
divisor = sp.Symbol("s", positive=True)
epsilon = sp.Symbol("epsilon", nonnegative=True)  # added to the variance
along = sp.Symbol("q", real=True)  # the mean of g x̂
short = sp.Symbol("b", nonnegative=True)  # n − Σ x̂²


def _norm_steps() -> Iterator[Step]:
    deviation = x[i] - mean_x
    square = total((x[j] - total(x[l], l) / n) ** 2, j) / n + epsilon
    part = total(g[i] * deviation, i) / n  # s q
    passed = (g[k] - mean_g - (x[k] - mean_x) * part / square) / sp.sqrt(square)
    yield Step(
        sp.Derivative(total(g[i] * deviation, i) / sp.sqrt(square), x[k]),
        "=",
        passed,
        "the gradient that leaves: (g_k − mean(g) − x̂_k q)/s, q = mean(g x̂), s² the variance and ε (s > 0)",
        nonzero=(square, sp.sqrt(square)),
    )
    yield Step(sp.Derivative(total(deviation**2, i) / n, x[k]), "=", 2 * (x[k] - mean_x) / n, "the variance moves with x_k, and s with it: ∂s/∂x_k = x̂_k/n")
    yield Step(total(deviation / divisor, i), "=", sp.Integer(0), "normalised activations have the mean 0")
    hat = sp.IndexedBase("x", real=True)
    mixed = total(g[j] * hat[j], j) / n
    whole = total((g[i] - mean_g - hat[i] * mixed) ** 2, i)
    squares = total(g[i] ** 2, i) - n * mean_g**2 - mixed**2 * (2 * n - total(hat[i] ** 2, i)) + 2 * mixed * mean_g * total(hat[i], i)
    yield Step(whole, "=", squares, "s times the gradient that leaves is g − mean(g) − x̂ q, q = mean(g x̂); squared and summed (Σ x̂ = 0 removes the last term)")
    length, centre = sp.Symbol("G", nonnegative=True), sp.Symbol("g_0", real=True)
    yield Step(
        length - n * centre**2 - along**2 * (n + short),
        "<=",
        length,
        "Σ x̂² = n − b is at most n, since ε adds to s²; G stands for ‖g‖² and g₀ for mean(g): what leaves is no longer than ‖g‖/s",
        certificate=n * centre**2 + along**2 * (n + short),
    )


def _wide_enough() -> Iterator[Step]:
    yield from _norm_steps()
    arrives, above = sp.Symbol("G", nonnegative=True), sp.Symbol("z", nonnegative=True)
    largest, smaller = sp.Symbol("Gamma", positive=True), sp.IndexedBase("y", nonnegative=True)
    yield Step(
        total((largest**2 - smaller[i]) * g[i] ** 2, i),
        "<=",
        largest**2 * total(g[i] ** 2, i),
        "a gain γ multiplies g_i by γ_i first, γ_i² = Γ² − y_i with Γ = max|γ|: the gradient's length grows by the factor Γ at most (Γ = 1 without a gain)",
        certificate=total(smaller[i] * g[i] ** 2, i),
    )
    yield Step(
        largest**2 * arrives / (largest + above) ** 2,
        "<=",
        arrives,
        "with s = Γ + z what leaves is at most as long as what entered (G = ‖g‖²)",
        certificate=arrives * above * (2 * largest + above) / (largest + above) ** 2,
    )


layer_norm_stabilises = Claim(
    id="depth.layer-norm-stabilises",
    title="Layer normalisation stabilises the gradient flow",
    states="Layer normalisation stabilises gradient flow, and training.",
    reading="In the backward pass, the gradient that leaves a layer norm is no longer than the one that enters it. One side only, since no assumption gives "
    "the other: a gradient whose entries are all equal is taken out whole, however large the activations are. (In the sense of the "
    "cited paper, that the scale of the activations plays no part, the statement is true: depth.layer-norm-scale.)",
    precise=r"$\lVert\partial\langle g,\hat x\rangle/\partial x\rVert\le\lVert g\rVert$ for the normalised activations $\hat x=(x-\mathrm{mean}(x))/s$ and "
    r"any gradient $g$ that enters. It holds if $s=\sqrt{\mathrm{var}(x)+\varepsilon}\ge1$ (with a gain $\gamma$: if $\max|\gamma|\le s$).",
    sources=(
        S1.at("Gradient Flow"),
        S4.at("The Transformer Architecture"),
        S4.at("Regularization"),
        BA.at(INVARIANCE),
    ),
    scope="every width, every real activation and gradient, every gain γ ≠ 0; the search has gain 1, ε = 10⁻⁵ and activations that are not all equal",
    inventory=("C250",),
    unsaid="the activations' standard deviation, with ε, is 1 or more (with a gain γ: max|γ| or more)",
    corrected_by="depth.layer-norm-gradient",
    derive=_wide_enough,
    holds=_stabilises,
    worked=_stabilises_by_hand,
)


def _at_scale(activations: Row, gradient: Row, scale: Fraction) -> tuple[list[arb], list[arb]]:
    """Layer norm without ε of `scale` times the activations: its output, and the gradient that leaves."""
    scaled = [scale * z for z in activations]
    mean = sum(scaled, Fraction(0)) / len(scaled)
    root = exact.ball(sum(((z - mean) * (z - mean) for z in scaled), Fraction(0)) / len(scaled)).sqrt()
    return [exact.ball(z - mean) / root for z in scaled], _differentiated(scaled, gradient, Fraction(0))


def _scale_plays_no_part(activations: Row, gradient: Row, scale: Fraction) -> Outcome:
    (output, passed), (same, less) = _at_scale(activations, gradient, Fraction(1)), _at_scale(activations, gradient, scale)
    return exact.equal([*same, *(exact.ball(scale) * z for z in less)], [*output, *passed])


@derived(
    Claim(
        id="depth.layer-norm-scale",
        title="Layer norm gives the same output for activations of any scale, and divides the gradient by that scale",
        states="Layer normalisation stabilises gradient flow, and training.",
        reading="In the sense of the cited paper: if the weights before a layer norm, and with them the activations, become c times as large, nothing after it "
        "changes, and those weights get 1/c of the gradient, so that large ones move less.",
        precise=r"With $s(x)=\sqrt{\mathrm{var}(x)}>0$ and $\hat x(x)=(x-\mathrm{mean}(x))/s(x)$: $\hat x(cx)=\hat x(x)$ for every $c>0$, and the gradient "
        r"$\frac1s(g-\mathrm{mean}(g)-\hat x\,\mathrm{mean}(g\hat x))$ that leaves is $1/c$ of what it is at $x$.",
        sources=(S1.at("Gradient Flow"), S4.at("The Transformer Architecture"), S4.at("Regularization"), BA.at(INVARIANCE)),
        scope="every width, every c > 0, every real gradient, activations that are not all equal; ε = 0 (with ε > 0 it holds as closely as ε is small against "
        "the variance), gain 1",
        inventory=("C250",),
        uses=("depth.layer-norm-gradient",),
        holds=_scale_plays_no_part,
    )
)
def layer_norm_scale() -> Iterator[Step]:
    spread = total((x[j] - total(x[l], l) / n) ** 2, j) / n
    times, variance = sp.symbols("c v", positive=True)  # v = s²
    yield Step(
        total((times * x[j] - total(times * x[l], l) / n) ** 2, j) / n,
        "=",
        times**2 * spread,
        "activations c times as large: their variance v is c² times as large",
    )
    deviation, part = x[k] - mean_x, total(g[i] * (x[i] - mean_x), i) / n
    yield Step(total(g[i] * (times * x[i] - total(times * x[l], l) / n), i) / n, "=", times * part, "and the mean of g_i(x_i − mean(x)) is c times as large")
    larger = times * x[k] - total(times * x[l], l) / n
    yield Step(larger / (times * sp.sqrt(variance)), "=", deviation / sp.sqrt(variance), "so the output stays as it is")
    root = sp.UnevaluatedExpr(times * sp.sqrt(variance))  # the divisor at c x
    yield Step(
        (g[k] - mean_g - larger * sp.UnevaluatedExpr(times * part) / root**2) / root,
        "=",
        (g[k] - mean_g - deviation * part / variance) / sp.sqrt(variance) / times,
        "and 1/c of the gradient is left",
    )


def _norm_gradient_holds(activations: Row, gradient: Row) -> Outcome:
    """The derivative of x̂; length at most ‖g‖/s; entries that sum to 0; and along the activations only what ε leaves."""
    passed, s = _normed_gradient(activations, gradient)
    width = len(activations)
    mean = Fraction(sum(activations), width)
    variance = sum(((z - mean) ** 2 for z in activations), Fraction(0)) / width
    radial = sum((exact.ball(z) * y for z, y in zip(activations, passed, strict=True)), arb(0))
    left = sum(((z - mean) * y for z, y in zip(activations, gradient, strict=True)), Fraction(0)) * EPSILON / (variance + EPSILON)
    return Outcome.worst(
        [
            exact.equal(passed, _differentiated(activations, gradient)),
            exact.at_most(_length(passed) * s * s, sum(y * y for y in gradient)),
            exact.equal(sum(passed, arb(0)), 0),
            exact.equal(radial * s, exact.ball(left)),
        ]
    )


@derived(
    Claim(
        id="depth.layer-norm-gradient",
        title="Layer norm divides a gradient by the activations' standard deviation, and takes out its mean and, but for ε, its part along the activations",
        states="(Implied.) What layer normalisation does to a gradient, which the text says it stabilises.",
        precise=r"With $s=\sqrt{\mathrm{var}(x)+\varepsilon}$ and $\hat x=(x-\mathrm{mean}(x))/s$ the gradient that leaves is "
        r"$\frac1s(g-\mathrm{mean}(g)-\hat x\,q)$, $q=\mathrm{mean}(g\hat x)$, of length at most $\lVert g\rVert/s$, and so at most $\lVert "
        r"g\rVert/\sqrt\varepsilon$. Its entries sum to 0; its product with the "
        r"activations is $\frac\varepsilon{s^3}\sum_ig_i(x_i-\mathrm{mean}(x))$: with $\varepsilon=0$ it is orthogonal to them.",
        sources=(BA.at(INVARIANCE), S1.at("Gradient Flow"), S4.at("The Transformer Architecture"), S4.at("Regularization")),
        scope="every width, every real activation and gradient, gain 1, ε ≥ 0 with s > 0 (for ε = 0: activations that are not all equal); the bound by √ε for ε > 0",
        inventory=("C250",),
        holds=_norm_gradient_holds,
    )
)
def layer_norm_gradient() -> Iterator[Step]:
    arrives, own, small = sp.Symbol("G", nonnegative=True), sp.Symbol("v", nonnegative=True), sp.Symbol("epsilon", positive=True)
    yield Step(
        arrives / (own + small), "<=", arrives / small, "‖g‖²/s² is at most ‖g‖²/ε, as the variance v and ε are at least ε",
        certificate=arrives * own / (small * (own + small)),
    )  # fmt: skip
    yield from _norm_steps()
    deviation, spread = x[k] - mean_x, total((x[j] - total(x[l], l) / n) ** 2, j) / n
    part = total(g[i] * (x[i] - mean_x), i) / n
    times_s = g[k] - mean_g - deviation * part / (spread + epsilon)  # s times what leaves
    yield Step(total(times_s, k), "=", sp.Integer(0), "the mean is taken out, and x̂ has none: the entries that leave sum to 0", nonzero=(spread + epsilon,))
    yield Step(
        total(x[k] * times_s, k),
        "=",
        epsilon * total(g[i] * (x[i] - mean_x), i) / (spread + epsilon),
        "along the activations ε alone leaves something: nothing for ε = 0",
        nonzero=(spread + epsilon,),
    )


# --- clipping --------------------------------------------------------------------------------------------------------------------------------


def clipped(gradient: Row, limit: int) -> list[arb]:
    """g · min(1, limit/‖g‖)."""
    square = sum(y * y for y in gradient)
    factor = exact.ball(1) if square <= limit * limit else exact.ball(limit) / exact.ball(square).sqrt()
    return [factor * y for y in gradient]


def _clip_holds(gradient: Row, limit: int) -> Outcome:
    """Length the smaller of ‖g‖ and the limit, parallel to g and not opposed to it."""
    short = clipped(gradient, limit)
    across = [short[one] * gradient[other] - short[other] * gradient[one] for one, other in combinations(range(len(gradient)), 2)]
    along = sum((z * y for z, y in zip(short, gradient, strict=True)), arb(0))
    forwards = exact.decided(bool(along > 0) or not any(gradient))
    return Outcome.worst([exact.equal(_length(short), min(sum(y * y for y in gradient), limit * limit)), exact.equal(across, [0] * len(across)), forwards])


limit = sp.Symbol("c", positive=True)


@derived(
    Claim(
        id="depth.clip-by-norm",
        title="Clipping by norm bounds a gradient and keeps its direction",
        states="Gradient clipping limits gradient magnitudes and prevents exploding gradients.",
        reading="Clipping by the norm of the whole gradient, as is usual: g · min(1, c/‖g‖). What is limited is the gradient that the optimiser gets.",
        precise=r"$\lVert g\min(1,c/\lVert g\rVert)\rVert=\min(\lVert g\rVert,c)$, and the factor is positive: the direction of $g\ne0$ is kept.",
        sources=(S1.at("Gradient Flow"), S4.at("Optimization"), PASCANU.at("section 3.2")),
        scope="every gradient of every length, every limit c > 0; the zero gradient stays zero. (Code that divides by ‖g‖ + 10⁻⁶ stays a little below c.) Real "
        "arithmetic, "
        "after backpropagation: what overflows within it is not mended, and in floats (∞, 1) is clipped to (NaN, 0)",
        inventory=("C251",),
        holds=_clip_holds,
    )
)
def clip_by_norm() -> Iterator[Step]:
    square, length = total(g[i] ** 2, i), sp.Symbol("r", positive=True)
    above = sp.Symbol("z", nonnegative=True)
    yield Step(sp.Integer(0), "<", limit / length, "a gradient longer than c, of length r, is multiplied by a positive factor")
    yield Step(limit / (limit + above), "<=", sp.Integer(1), "which is 1 or less where ‖g‖ = c + z", certificate=above / (limit + above))
    yield Step(
        total((limit * g[i]) ** 2, i) / square,
        "=",
        limit**2,
        "and divided by its length and multiplied by c it is c long (squared)",
        nonzero=(square,),
    )


def _by_value(gradient: Row, limit: int) -> Outcome:
    """Each entry cut to [−limit, limit]: bounded, of its own sign, and parallel to g exactly if none is beyond the limit or all non-zero ones are equally large."""
    short = [max(-limit, min(limit, y)) for y in gradient]
    across = [short[one] * gradient[other] - short[other] * gradient[one] for one, other in combinations(range(len(gradient)), 2)]
    sizes = {abs(y) for y in gradient if y}
    bounded = all(abs(z) <= limit and ((z > 0) - (z < 0)) == ((y > 0) - (y < 0)) for y, z in zip(gradient, short, strict=True))
    return exact.decided(bounded and (not any(across)) == (not any(size > limit for size in sizes) or len(sizes) == 1))


@derived(
    Claim(
        id="depth.clip-by-value",
        title="Clipping each entry of a gradient bounds it and keeps its sign, but as a rule turns the gradient",
        states="What the other common form of clipping, by value, does.",
        precise=r"$\max(-c,\min(c,g_i))=g_i\min(1,c/|g_i|)$ for $g_i\ne0$: no entry is larger than $c$ or changes its sign. The direction of $g$ is kept only if no $|g_i|$ exceeds $c$, or all non-zero $|g_i|$ are equal.",
        sources=(CLIP_VALUE,),
        scope="every gradient, every limit c > 0; an entry 0 stays 0",
        holds=_by_value,
    )
)
def clip_by_value() -> Iterator[Step]:
    above, beyond = sp.symbols("z w", positive=True)
    yield Step(sp.Integer(0), "<", limit / (limit + above), "an entry of size c + z is multiplied by c/(c + z), a positive factor")
    yield Step(limit / (limit + above), "<", sp.Integer(1), "one within the limit by 1, which is more", certificate=above / (limit + above))
    yield Step(
        limit / (limit + above + beyond),
        "<",
        limit / (limit + above),
        "and one larger still, c + z + w, by less: non-zero entries have one factor only if none is beyond c or all are equally large",
        certificate=limit * beyond / ((limit + above) * (limit + above + beyond)),
    )


# --- optimisers ------------------------------------------------------------------------------------------------------------------------------


def _first_step(gradient: int, scale: int, betas: tuple[Fraction, Fraction], epsilon: Fraction) -> Outcome:
    """m̂/(√v̂ + ε) after one step is |g|/(|g| + ε), whatever β is; below 1, and within 1/(1 + δ) for |g| = ε/δ; larger for a larger gradient."""
    first, second = betas
    steps, expected = [], []
    for y in (gradient, scale * gradient):
        m_hat, v_hat = (1 - first) * y / (1 - first), (1 - second) * y * y / (1 - second)
        steps.append(exact.ball(m_hat) / (exact.ball(v_hat).sqrt() + exact.ball(epsilon)))
        expected.append(y / (y + epsilon))
    delta = epsilon / gradient
    rising = exact.decided(bool(steps[0] < steps[1]) and bool(steps[1] < 1))
    return Outcome.worst([exact.equal(steps, expected), exact.at_most(exact.ball(1 / (1 + delta)), steps[0]), rising])


@derived(
    Claim(
        id="depth.adam-first-step",
        title="Adam's first step moves a parameter by less than the learning rate, and by nearly as much for every gradient well above ε",
        states="The learning rate is warmed up and then decayed: what this does to Adam's first step.",
        precise=r"After one step the corrected means are $\hat m=g$ and $\hat v=g^2$, so each parameter moves by $\eta\,|g|/(|g|+\varepsilon)<\eta$, and by "
        r"$\eta/(1+\delta)$ or more if $|g|\ge\varepsilon/\delta$: no gradient, however large, moves it "
        r"further than $\eta$, and any $|g|\gg\varepsilon$ moves it almost that far. For such gradients only a small $\eta$ makes the first step small, "
        r"which is what a warm-up gives. Decoupled weight decay, $\lambda$, multiplies a parameter by $1-\eta\lambda$ in each step, beside what Adam does.",
        sources=(KINGMA.at("algorithm 1"), S4.at("Optimization"), LOSHCHILOV.at("algorithm 2")),
        scope="every non-zero gradient, 0 ≤ β₁, β₂ < 1, ε > 0",
        holds=_first_step,
    )
)
def adam_first_step() -> Iterator[Step]:
    eta, beta, size, epsilon = sp.symbols("eta b G epsilon", positive=True)
    parameter, moved, decay = sp.Symbol("theta", real=True), sp.Symbol("u", real=True), sp.Symbol("lambda", nonnegative=True)
    yield Step(
        parameter - eta * (moved + decay * parameter),
        "=",
        (1 - eta * decay) * parameter - eta * moved,
        "decoupled decay of a parameter θ, u being what Adam asks for",
    )
    yield Step(
        size / (1 + beta) / (1 - beta / (1 + beta)),
        "=",
        size,
        "β = b/(1 + b): (1 − β) g, divided by 1 − β, is g; likewise for g²",
        nonzero=(1 - beta / (1 + beta),),
    )
    yield Step(eta * size / (size + epsilon), "<", eta, "so the step is η |g|/(|g| + ε)", certificate=eta * epsilon / (size + epsilon))
    delta, above = sp.Symbol("delta", positive=True), sp.Symbol("z", nonnegative=True)
    large = epsilon / delta + above
    yield Step(
        eta / (1 + delta),
        "<=",
        eta * large / (large + epsilon),
        "and at least η/(1 + δ) for |g| = ε/δ + z",
        certificate=eta * delta * above / ((large + epsilon) * (1 + delta)),
    )


# --- weight decay ----------------------------------------------------------------------------------------------------------------------------


def fitted(points: Row, targets: Row, decay: int) -> Fraction:
    """The weight w that minimises Σ(y_j − w x_j)² + λ w²; 0 where all points are 0."""
    square = sum(z * z for z in points)
    return Fraction(sum(z * y for z, y in zip(points, targets, strict=True)), square + decay) if square + decay else Fraction(0)


def _distances(points: Row, targets: Row, decay: int) -> tuple[Fraction, Fraction]:
    """How far the fit is from its targets, and from the truth, 0: sums of squares."""
    weight = fitted(points, targets, decay)
    return sum(((y - weight * z) ** 2 for z, y in zip(points, targets, strict=True)), Fraction(0)), sum(((weight * z) ** 2 for z in points), Fraction(0))


def _no_overfitting(points: Row, targets: Row, decay: int) -> Outcome:
    noise, truth = _distances(points, targets, decay)
    return exact.decided(truth <= noise)


def _overfitted_by_hand(points: Row, targets: Row, decay: int) -> str:
    square, along = sum(z * z for z in points), sum(z * y for z, y in zip(points, targets, strict=True))
    noise, truth = _distances(points, targets, decay)
    points_are = f"{'point' if len(points) == 1 else 'points'} x = {', '.join(map(str, points))}"
    return (
        f"Take the {points_are} with the {'target' if len(points) == 1 else 'targets'} y = {', '.join(map(str, targets))}, which "
        f"{'is' if len(points) == 1 else 'are'} "
        f"noise, since the truth is 0 at every point, and λ = {decay}. The weight that minimises Σ(y − wx)² + λw² is w = Σxy/(Σx² + λ) = "
        f"{along}/({square} + {decay}) = {fitted(points, targets, decay)}. The squared distance of the fit from its noisy targets is {noise} = "
        f"{exact.show(exact.ball(noise))}, and that from the truth {truth} = {exact.show(exact.ball(truth))}. The claim needs the second to be no larger than "
        f"the first. "
        f"Against Σx² = {square} the decay is too weak."
    )


def _decays() -> Iterator[Step]:
    weight, decay = sp.Symbol("w", real=True), sp.Symbol("lambda", positive=True)
    square, along = total(x[j] ** 2, j), total(x[j] * y[j], j)
    loss = total((y[j] - weight * x[j]) ** 2, j) + decay * weight**2
    best = along / (square + decay)
    yield Step(sp.Derivative(loss, weight), "=", 2 * ((square + decay) * weight - along), "the slope of the loss, which grows with w and is 0 at one w only")
    yield Step((square + decay) * sp.UnevaluatedExpr(best), "=", along, "at w = Σxy/(Σx² + λ)", nonzero=(square + decay,))
    yield Step(
        best, "=", sp.UnevaluatedExpr(along / square) * square / (square + decay), "that is the weight without decay, times Σx²/(Σx² + λ), for points that are not all 0",
        nonzero=(square, square + decay),
    )  # fmt: skip
    yield Step(
        total((y[j] - best * x[j]) ** 2, j) - total((best * x[j]) ** 2, j), "=", total(y[j] ** 2, j) - 2 * along**2 / (square + decay),
        "the distance from the targets less that from the truth, 0 (both squared)", nonzero=(square + decay,),
    )  # fmt: skip
    yield Step(
        along**2, "<=", square * total(y[j] ** 2, j), "Σxy is at most the product of the two lengths (squared)",
        certificate=total(total((x[j] * y[k] - x[k] * y[j]) ** 2, j), k) / 2,
    )  # fmt: skip
    points, (targets, stronger, short) = sp.Symbol("X", positive=True), sp.symbols("Y z delta", nonnegative=True)
    yield Step(
        2 * (points * targets - short) / (points + sp.UnevaluatedExpr(points + stronger)), "<=", targets,
        "with Σx² = X, Σy² = Y, (Σxy)² = XY − δ and λ = X + z: the fit is no further from the truth than from the targets",
        certificate=(targets * stronger + 2 * short) / (2 * points + stronger),
    )  # fmt: skip


weight_decay = Claim(
    id="depth.weight-decay",
    title="Weight decay prevents overfitting",
    states="Regularisation: weight decay prevents overfitting.",
    reading="In the smallest case that has both: one weight w is fitted to targets that are pure noise, the truth being 0, by minimising Σ(y_j − w x_j)² + "
    "λw². "
    "To overfit is to end nearer to the noise than to the truth. (It is the least that can be asked: whether a large trained model "
    "overfits depends on the model and the data.)",
    precise=r"$\sum_j(wx_j)^2\le\sum_j(y_j-wx_j)^2$ for the $w$ that minimises $\sum_j(y_j-wx_j)^2+\lambda w^2$, $\lambda>0$.",
    sources=(S4.at("Regularization"), KROGH),
    scope="every number of points, every real x and y, every λ > 0; one weight, and a truth of 0",
    inventory=("C308",),
    unsaid="the decay is strong against the data: λ is at least Σx²",
    corrected_by="depth.weight-decay-shrinks",
    derive=_decays,
    holds=_no_overfitting,
    worked=_overfitted_by_hand,
)


def _shrunk(points: Row, targets: Row, decay: int) -> Outcome:
    """Σx²/(Σx² + λ) of the weight without decay, which minimises the loss; and with λ ≥ Σx² no further from the truth than from the targets."""
    weight, square = fitted(points, targets, decay), sum(z * z for z in points)

    def loss(at: Fraction) -> Fraction:
        return sum(((y - at * z) ** 2 for z, y in zip(points, targets, strict=True)), Fraction(0)) + decay * at**2

    noise, truth = _distances(points, targets, decay)
    least = all(loss(weight) <= loss(weight + step) for step in (Fraction(-1), Fraction(-1, 9), Fraction(1, 9), Fraction(1)))
    return exact.decided(least and weight * (square + decay) == fitted(points, targets, 0) * square and (decay < square or truth <= noise))


@derived(
    Claim(
        id="depth.weight-decay-shrinks",
        title="Weight decay multiplies a fitted weight by Σx²/(Σx² + λ), which keeps the fit as near to the truth as to the noise where λ is at least Σx²",
        states="(Implied.) How much weight decay does against overfitting: the text names no strength.",
        reading="One weight, fitted to noise with the truth 0, as in depth.weight-decay.",
        precise=r"$\sum_j(y_j-wx_j)^2+\lambda w^2$ is least at $w=\frac{\sum x_jy_j}{\sum x_j^2+\lambda}$, the weight without decay times $\frac{\sum "
        r"x_j^2}{\sum "
        r"x_j^2+\lambda}$. The squared distances of the fit from the targets and from the truth, 0, differ by $\sum y_j^2-2\frac{(\sum x_jy_j)^2}{\sum "
        r"x_j^2+\lambda}$, which is not negative for $\lambda\ge\sum x_j^2$.",
        sources=(S4.at("Regularization"), KROGH),
        scope="every number of points, every real x and y, every λ > 0; one weight, and a truth of 0",
        inventory=("C308",),
        holds=_shrunk,
    )
)
def weight_decay_shrinks() -> Iterator[Step]:
    yield from _decays()


training_advice = Claim(
    id="depth.training-advice",
    title="Adam works well, the rate is warmed up and decayed, curricula help",
    states="Advice on training: the Adam optimiser works well with attention; warm up, then decay; curriculum learning against vanishing attention.",
    precise="Whether an optimiser or a schedule works well depends on the model, the data and what it is compared with; none of them is named.",
    sources=(S4.at("Optimization"), S4.at("Vanishing Attention")),
    scope="trained models",
    inventory=("C308",),
    not_checkable="Advice about training, without a task, a measure or an alternative to compare with. What the algorithm itself guarantees about a first step "
    "is checked under depth.adam-first-step, "
    "and what weight decay does under depth.weight-decay.",
)
