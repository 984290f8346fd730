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
BA = Source(key="ba2016", title="Layer Normalization", url="https://arxiv.org/abs/1607.06450")
BACHLECHNER = Source(key="bachlechner2021", title="ReZero is All You Need: Fast Convergence at Large Depth", url="https://arxiv.org/abs/2003.04887")
KINGMA = Source(key="kingma2015", title="Adam: A Method for Stochastic Optimization", url="https://arxiv.org/abs/1412.6980")
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
    yield _cauchy_schwarz()
    delta = sp.Symbol("delta", positive=True)
    yield Step(
        1 + (L + 1) * delta,
        "<=",
        (1 + delta) * (1 + L * delta),
        "with ρ = 1/(1 + δ) for every layer, L of them leave 1/(1 + Lδ) or less: by induction on L",
        certificate=L * delta**2,
    )


vanishing = Claim(
    id="depth.gradients-vanish",
    title="Gradients vanish in very deep networks",
    states="A challenge of gradient flow: vanishing gradients in very deep networks.",
    reading="Depth is named as the cause: whatever the layers are, the gradient shrinks towards 0 geometrically as there are more of them. (That this can "
    "happen is true: layers that all multiply by one ρ < 1 attain the bound below.)",
    precise=r"$\lVert J_1\cdots J_L\,g\rVert\le\rho^L\lVert g\rVert$ for the Jacobians $J_l$ of $L$ layers, the gradient $g$ at the last one and one "
    r"$\rho<1$; and so at most $\lVert g\rVert/(1+L\delta)$ with $\rho=1/(1+\delta)$. "
    r"It holds where every Jacobian's norm is at most $\rho$.",
    sources=(S1.at("Gradient Flow"), PASCANU.at("section 2.1")),
    scope="every depth L ≥ 1 and width; the search looks at 100 layers and more of width 1, and asks for ρ = 99/100",
    inventory=("C248",),
    unsaid="every layer's Jacobian has a norm of at most some ρ < 1 (a rotation, or a residual branch that adds nothing, has not)",
    corrected_by="depth.product-bounds",
    derive=_contracts,
    holds=_vanishes,
    worked=_vanishes_by_hand,
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
        states="When gradients vanish, stay or explode with depth.",
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
    yield _cauchy_schwarz()
    least, passed, above, below = sp.symbols("sigma u y_0 z_0", nonnegative=True)
    yield Step(
        (least + below) * passed,
        "<=",
        (least + below + above) * passed,
        "what has arrived is u long, and one more layer stretches it by some τ with σ ≤ τ ≤ ρ: to at most ρu",
        certificate=above * passed,
    )
    yield Step(least * passed, "<=", (least + below) * passed, "and to at least σu; by induction the products bound L layers", certificate=below * passed)
    yield Step(
        total(total(D(j, k) * g[j] * g[k], j), k),
        "=",
        total(g[j] ** 2, j),
        "‖Jg‖² = gᵀJᵀJg, and with JᵀJ = I it is ‖g‖²: an orthogonal Jacobian keeps the length",
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
    yield Step(total(block * stack, k), "=", D(i, j) + later, "a further block (I + J) before I + R leaves the identity as it is and adds to R")
    yield Step(total(block * D(k, j), k), "=", D(i, j) + J[i, j], "one block alone: R = J")


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
    trunk, slack, short = sp.symbols("u tau delta", nonnegative=True)
    branch = rho * trunk - short  # ‖Jg‖ ≤ ρ‖g‖
    yield Step(
        trunk * (1 - rho),
        "<=",
        trunk - branch + slack,
        "‖g + Jg‖ ≥ ‖g‖ − ‖Jg‖ by the triangle inequality: at least (1 − ρ)‖g‖ is left",
        certificate=short + slack,
    )
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
        states="How much residual connections keep of a gradient.",
        precise=r"$\lVert\prod_{l\le L}(I+J_l)\,g\rVert\ge\left(1-\sum_{l\le L}\rho_l\right)\lVert g\rVert$ where $\lVert J_l\rVert\le\rho_l$: branches of norm $s/L$ leave $1-s$ at every depth $L$. "
        "Where the sum is 1 or more it says nothing.",
        sources=(HE.at("equation 5"), S1.at("Gradient Flow")),
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


def _differentiated(activations: Row, gradient: Row) -> list[arb]:
    """The same from the definition: ∂⟨g, x̂⟩/∂x_k by the rules of product and quotient, x̂ = (x − mean)/s, whatever the closed form says."""
    width = len(activations)
    mean = Fraction(sum(activations), width)
    deviations = [z - mean for z in activations]
    square = sum((z * z for z in deviations), Fraction(0)) / width + EPSILON
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
    reading="In the backward pass, the gradient that leaves a layer norm is no longer than the one that enters it. (In the sense of the cited paper the "
    "statement is true: "
    "activations of another scale give the same output. The gradient is then divided by that scale: both are derived in depth.layer-norm-gradient.)",
    precise=r"$\lVert\partial\langle g,\hat x\rangle/\partial x\rVert\le\lVert g\rVert$ for the normalised activations $\hat x=(x-\mathrm{mean}(x))/s$ and "
    r"any gradient $g$ that enters. It holds if $s=\sqrt{\mathrm{var}(x)+\varepsilon}\ge1$ (with a gain $\gamma$: if $\max|\gamma|\le s$).",
    sources=(
        S1.at("Gradient Flow"),
        S4.at("The Transformer Architecture"),
        S4.at("Regularization"),
        BA.at("Invariance under weights and data transformations"),
    ),
    scope="every width, every real activation and gradient, every gain γ ≠ 0; the search has gain 1, ε = 10⁻⁵ and activations that are not all equal",
    inventory=("C250",),
    unsaid="the activations' standard deviation, with ε, is 1 or more (with a gain γ: max|γ| or more)",
    corrected_by="depth.layer-norm-gradient",
    derive=_wide_enough,
    holds=_stabilises,
    worked=_stabilises_by_hand,
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
        states="What layer norm does to a gradient.",
        precise=r"With $s=\sqrt{\mathrm{var}(x)+\varepsilon}$ and $\hat x=(x-\mathrm{mean}(x))/s$ the gradient that leaves is "
        r"$\frac1s(g-\mathrm{mean}(g)-\hat x\,q)$, $q=\mathrm{mean}(g\hat x)$, of length at most $\lVert g\rVert/s$, and so at most $\lVert "
        r"g\rVert/\sqrt\varepsilon$. Its entries sum to 0; its product with the "
        r"activations is $\frac\varepsilon{s^3}\sum_ig_i(x_i-\mathrm{mean}(x))$. With $\varepsilon=0$ it is orthogonal to them, and activations $c$ times as large give the same output and $1/c$ of the gradient.",
        sources=(BA.at("Invariance under weights and data transformations"), S1.at("Gradient Flow")),
        scope="every width, every real activation and gradient, gain 1, ε ≥ 0 with s > 0 (for ε = 0: activations that are not all equal); the bound by √ε for ε > 0",
        inventory=("C250",),
        holds=_norm_gradient_holds,
    )
)
def layer_norm_gradient() -> Iterator[Step]:
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
    times, variance = sp.symbols("c v", positive=True)  # v = s² for ε = 0
    yield Step(
        total((times * x[j] - total(times * x[l], l) / n) ** 2, j) / n, "=", times**2 * spread, "ε = 0, activations c times as large: s is c times as large"
    )
    yield Step(times * deviation / (times * sp.sqrt(variance)), "=", deviation / sp.sqrt(variance), "the output stays as it is")
    yield Step(
        (g[k] - mean_g - times * deviation * (times * part) / (times**2 * variance)) / (times * sp.sqrt(variance)),
        "=",
        (g[k] - mean_g - deviation * part / variance) / sp.sqrt(variance) / times,
        "and 1/c of the gradient is left",
    )
    arrives, own, small = sp.Symbol("G", nonnegative=True), sp.Symbol("v", nonnegative=True), sp.Symbol("epsilon", positive=True)
    yield Step(arrives / (own + small), "<=", arrives / small, "the variance v and ε are at least ε", certificate=arrives * own / (small * (own + small)))


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
        reading="Clipping by the norm of the whole gradient, as is usual: g · min(1, c/‖g‖).",
        precise=r"$\lVert g\min(1,c/\lVert g\rVert)\rVert=\min(\lVert g\rVert,c)$, and the factor is positive: the direction of $g\ne0$ is kept.",
        sources=(S1.at("Gradient Flow"), S4.at("Optimization"), PASCANU.at("section 3.2")),
        scope="every gradient of every length, every limit c > 0; the zero gradient stays zero. (Code that divides by ‖g‖ + 10⁻⁶ stays a little below c)",
        inventory=("C251",),
        holds=_clip_holds,
    )
)
def clip_by_norm() -> Iterator[Step]:
    square, length = total(g[i] ** 2, i), sp.Symbol("r", positive=True)
    above = sp.Symbol("z", nonnegative=True)
    yield Step(
        total((limit * g[i]) ** 2, i) / square,
        "=",
        limit**2,
        "a gradient longer than c, divided by its length and multiplied by c, is c long (squared)",
        nonzero=(square,),
    )
    yield Step(sp.Integer(0), "<", limit / length, "by a positive factor")
    yield Step(limit / (limit + above), "<=", sp.Integer(1), "which is 1 or less where ‖g‖ = c + z", certificate=above / (limit + above))


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


training_advice = Claim(
    id="depth.training-advice",
    title="Adam works well, the rate is warmed up and decayed, weight decay prevents overfitting, curricula help",
    states="Advice on training: the Adam optimiser works well with attention; warm up, then decay; weight decay prevents overfitting; curriculum learning against vanishing attention.",
    precise="Whether an optimiser or a schedule works well depends on the model, the data and what it is compared with; none of them is named.",
    sources=(S4.at("Optimization"), S4.at("Regularization"), S4.at("Vanishing Attention")),
    scope="trained models",
    inventory=("C308",),
    not_checkable="Advice about training, without a task, a measure or an alternative to compare with. What the algorithm itself guarantees about a first step is checked under depth.adam-first-step.",
)
