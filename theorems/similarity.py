"""What a score says of query and key: space, distance, similarity, kernels and their peaks; and scores that look at positions instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb, arb_mat

from theorems import exact
from theorems.claim import Claim, derived
from theorems.energies import dot, first, second
from theorems.exact import ball, decided
from theorems.normalisers import PositivePart
from theorems.outcome import Outcome
from theorems.sources import S0, S2, S4, Source
from theorems.step import Step
from theorems.symbols import K, a, b, i, j, l, n, s, total, v

Row = Sequence[int]
Matrix = Sequence[Row]

NADARAYA = Source(key="nadaraya1964", title="On Estimating Regression", url="https://doi.org/10.1137/1109020")
TSAI = Source(
    key="tsai2019",
    title="Transformer Dissection: An Unified Understanding for Transformer's Attention via the Lens of Kernel",
    url="https://arxiv.org/abs/1908.11775",
)
ARONSZAJN = Source(key="aronszajn1950", title="Theory of Reproducing Kernels", url="https://doi.org/10.1090/S0002-9947-1950-0051437-7")
MARDIA = Source(key="mardia2000", title="Directional Statistics", url="https://doi.org/10.1002/9780470316979")
DLMF = Source(key="dlmf", title="NIST Digital Library of Mathematical Functions", url="https://dlmf.nist.gov/4.5")

q = sp.IndexedBase("q", real=True)  # one query, q[a]
k = sp.IndexedBase("k", real=True)  # one key, k[a]
k2 = sp.IndexedBase("k'", real=True)  # another key
variance = sp.Symbol("sigma^2", positive=True)


def distance(one: Row, other: Row) -> int:
    """The squared distance."""
    return sum((left - right) ** 2 for left, right in zip(one, other, strict=True))


# --- space, distance, similarity ---------------------------------------------------------------------------------------------------------


def _one_space(query: Row, key: Row, matrix: Matrix) -> Outcome:
    """Whether query and key, as the general score takes them, are points of one space."""
    return decided(len(query) == len(key))


def _one_space_by_hand(query: Row, key: Row, matrix: Matrix) -> str:
    return (
        f"The same list of energies has qᵀWk. With q = {list(query)} ∈ ℝ^{len(query)}, k = {list(key)} ∈ ℝ^{len(key)} and W of {len(query)} × {len(key)} the score exists, but q and k "
        f"have no distance and no angle: they are not points of one space. Wᵀq and k are, in ℝ^{len(key)}."
    )


shared_space = Claim(
    id="similarity.shared-space",
    title="Queries and keys are points of one embedding space",
    states="Queries and keys define points in a shared embedding space.",
    reading="Whatever the score, q and k have the same width, so that distances and angles between them exist.",
    precise=r"$q, k\in\mathbb R^{d}$ for one $d$.",
    sources=(S0.at("Vector Space Perspective"), S0.at("Energy Function")),
    scope="the scores that the text lists; judged on qᵀWk, whose W has d_q rows and d_k columns",
    inventory=("C036",),
    unsaid="the score is a dot product, or query and key are first taken to one space (Wᵀq beside k, or W_q q and W_k k in ℝ^{d_a} in the additive score)",
    corrected_by="energies.general-is-a-dot-product",
    holds=_one_space,
    worked=_one_space_by_hand,
)


def _stretched(query: Row, keys: Matrix, factors: Row) -> Outcome:
    """The scores stay; a query and a key that coincide come to lie g − 1/g = (g² − 1)/g times their length apart, for one factor g; and (1, 1) beside itself gets the cosine 2g/(g² + 1)."""
    stretched = [factor * entry for factor, entry in zip(factors, query, strict=True)]
    shrunk = [[Fraction(entry, factor) for factor, entry in zip(factors, key, strict=True)] for key in keys]
    scores = all(sum(x * y for x, y in zip(stretched, new, strict=True)) == dot(query, key) for new, key in zip(shrunk, keys, strict=True))
    moved = [
        sum((factor * entry - Fraction(entry, factor)) ** 2 for entry in query) == Fraction(factor**2 - 1, factor) ** 2 * dot(query, query)
        for factor in factors
    ]
    squares = [(factor * Fraction(1, factor) + 1) ** 2 / ((factor**2 + 1) * (Fraction(1, factor**2) + 1)) for factor in factors]
    turned = [square == Fraction(2 * factor, factor**2 + 1) ** 2 and (square < 1) == (factor > 1) for square, factor in zip(squares, factors, strict=True)]
    return decided(scores and all(moved) and all(turned))


@derived(
    Claim(
        id="similarity.distance-is-not-determined",
        title="Attention does not determine how far queries are from keys",
        states="Queries and keys define points in a shared space, in which distance is similarity, angle a component of it, and magnitude a scale.",
        reading="Models that compute the same attention for all inputs would then place queries and keys alike. They need not.",
        precise=r"Multiplying feature $a$ of every query by $g_a > 0$ and dividing it by $g_a$ in every key keeps all scores: $\sum_a (g_aq_a)(k_a/g_a) = q\cdot k$. But "
        r"$\|gq-k/g\|^2 = \|gq\|^2 + \|k/g\|^2 - 2\,q\cdot k$ varies with $g$: a query and a key that coincide, $q = k\ne0$, are moved apart by one factor $g = 1+x$, "
        r"$x>0$, in all features. Angles vary too: $q = k = (1,1)$ become $(g,1)$ and $(1/g,1)$, with the cosine $2g/(g^2+1) < 1$, which is $0.8$ for $g = 2$. (At width 1 the angle stays, and at every width "
        "the sign of the cosine, as it is that of the score.) Distances, angles and lengths are a matter of coordinates, the scores are not.",
        sources=(S0.at("Vector Space Perspective"),),
        scope="every width, all real queries and keys, all g_a > 0",
        inventory=("C036", "C037"),
        holds=_stretched,
    )
)
def distance_is_not_determined() -> Iterator[Step]:
    g = sp.IndexedBase("g", positive=True)
    new_query, new_key = g[a] * q[a], K[j, a] / g[a]
    yield Step(
        total(sp.UnevaluatedExpr(new_query) * sp.UnevaluatedExpr(new_key), a),
        "=",
        total(q[a] * K[j, a], a),
        "the factors cancel in every feature of every score",
    )
    yield Step(
        total((new_query - new_key) ** 2, a),
        "=",
        total(new_query**2, a) + total(new_key**2, a) - 2 * total(q[a] * K[j, a], a),
        "the distance has the lengths in it, while the last term stays",
    )
    further, squared = sp.symbols("x eta", positive=True)
    factor = 1 + further
    yield Step(
        (sp.UnevaluatedExpr(factor) / factor + 1) ** 2 / ((factor**2 + 1) * (1 / factor**2 + 1)),
        "=",
        (2 * factor / (factor**2 + 1)) ** 2,
        "the squared cosine of (g, 1) and (1/g, 1), with g = 1 + x: the squared score over both squared lengths",
    )
    yield Step(
        2 * factor / (factor**2 + 1),
        "<",
        sp.Integer(1),
        "so (1, 1) and (1, 1), whose cosine is 1, are turned apart",
        certificate=further**2 / (factor**2 + 1),
    )
    apart = (further * (2 + further) / factor) ** 2  # (g − 1/g)² for g = 1 + x
    yield Step(sp.Integer(0), "<", apart * squared, "with η = ‖q‖², which is positive for q ≠ 0, the distance that follows is positive")
    yield Step(
        total((factor * q[a] - q[a] / factor) ** 2, a),
        "=",
        apart * total(q[a] ** 2, a),
        "a query and a key that coincide had distance 0 and are moved apart: g − 1/g = x(2 + x)/(1 + x) for g = 1 + x",
    )


def _nearer_scores_higher(query: Row, one: Row, other: Row) -> Outcome:
    """Of two keys the nearer one scores at least as high."""
    ahead, closer = dot(query, one) - dot(query, other), distance(query, other) - distance(query, one)
    return decided(closer * ahead >= 0)


def _distance_and_length(query: Row, one: Row, other: Row) -> Outcome:
    ahead, closer = dot(query, one) - dot(query, other), distance(query, other) - distance(query, one)
    return decided(2 * ahead == closer + dot(one, one) - dot(other, other))


def _nearer_by_hand(query: Row, one: Row, other: Row) -> str:
    return (
        f"q = {list(query)}. The key {list(one)} has the squared distance {distance(query, one)} from q and the score {dot(query, one)}; the key {list(other)} has the squared distance "
        f"{distance(query, other)} and the score {dot(query, other)}. The nearer of the two has the lower score. Their squared lengths differ: {dot(one, one)} and {dot(other, other)}."
    )


def _score_gap() -> Iterator[Step]:
    def away(key: sp.IndexedBase) -> sp.Expr:
        return total((q[a] - key[a]) ** 2, a)

    lengths = total(k[a] ** 2, a) - total(k2[a] ** 2, a)
    yield Step(
        total(q[a] * k[a], a) - total(q[a] * k2[a], a),
        "=",
        (away(k2) - away(k)) / 2 + lengths / 2,
        "‖q − k‖² = ‖q‖² + ‖k‖² − 2 q·k for both keys, and ‖q‖² drops out",
    )


nearer_scores_higher = Claim(
    id="similarity.nearer-scores-higher",
    title="Distance between query and key is their similarity",
    states="In the shared space of queries and keys, distance is similarity between query and key.",
    reading="The nearer of two keys is the more similar one for attention: it never has the lower score q·k, nor the smaller weight.",
    precise=r"$q\cdot k\ge q\cdot k'$ if $\|q-k\| < \|q-k'\|$.",
    sources=(S0.at("Vector Space Perspective"),),
    scope="dot-product scores of every width, one query, two keys",
    inventory=("C037",),
    unsaid="all keys have the same length",
    corrected_by="similarity.distance-and-length",
    holds=_nearer_scores_higher,
    worked=_nearer_by_hand,
)

distance_and_length = derived(
    Claim(
        id="similarity.distance-and-length",
        title="A score prefers near keys, and long ones",
        states="(Not in the text; it follows from the square of a difference.) Scores compare nearness and length.",
        precise=r"$q\cdot k - q\cdot k' = \tfrac12\big(\|q-k'\|^2 - \|q-k\|^2\big) + \tfrac12\big(\|k\|^2-\|k'\|^2\big)$. For keys of one length the order by score is the order by nearness.",
        sources=(S0.at("Vector Space Perspective"),),
        scope="dot-product scores of every width, all real queries and keys",
        inventory=("C037", "C038"),
        holds=_distance_and_length,
    )
)(_score_gap)


def _most_similar_to_itself(first: Row, second: Row) -> Outcome:
    """Nothing is more similar to a vector than the vector itself."""
    return decided(dot(first, second) <= dot(first, first))


def _itself_by_hand(first: Row, second: Row) -> str:
    return (
        f"q = {list(first)}: a key equal to the query scores {dot(first, first)}, the key {list(second)} scores {dot(first, second)}, more. Cosines would put the equal key first: "
        "none exceeds 1, which it attains."
    )


@derived(
    Claim(
        id="similarity.score-as-similarity",
        title="QKᵀ measures the similarity of queries and keys",
        states="The scores Q Kᵀ measure similarity between queries and keys.",
        reading="A measure of similarity puts no key above one that is equal to the query.",
        precise=r"$q\cdot k\le q\cdot q$. This holds for keys no longer than the query: with $\|q\|^2 - \|k\|^2 = 2h$, $q\cdot k + h\le \|q\|^2$; and always for the cosine, which is at most 1.",
        sources=(S4.at("Step 1: Compute Attention Scores"), S2.at("Attention as Matrix Operations"), S2.at("Mathematical Components")),
        scope="every width, all real queries and keys",
        inventory=("C038",),
        unsaid="no key is longer than the query (or similarity includes the length of the key)",
        corrected_by="softmax.dot-product-angle",
        holds=_most_similar_to_itself,
        worked=_itself_by_hand,
    )
)
def score_as_similarity() -> Iterator[Step]:
    longer = (total(q[a] ** 2, a) - total(k[a] ** 2, a)) / 2
    yield Step(
        total(q[a] * k[a], a) + longer,
        "<=",
        total(q[a] ** 2, a),
        "the gap is half a squared distance, zero only for the key q",
        certificate=total((q[a] - k[a]) ** 2, a) / 2,
    )


# --- kernels -----------------------------------------------------------------------------------------------------------------------------


def _mass_of_text(keys: Matrix, spread: int, reach: int) -> arb:
    """The mass of (1/n) Σ exp(x·x_i/σ²) on the cube [−reach, reach]^d: a product of ∫ exp(x k/σ²) = (2σ²/k) sinh(k·reach/σ²), or 2·reach."""
    mass = arb(0)
    for key in keys:
        sides = [2 * ball(spread) / entry * (ball(entry) * reach / spread).sinh() if entry else ball(2 * reach) for entry in key]
        cube = arb(1)
        for side in sides:
            cube *= side
        mass += cube
    return mass / len(keys)


def _is_a_density(keys: Matrix, spread: int, reach: int) -> Outcome:
    """Whether p/c can be a density, which has no more mass than 1 on any cube: tried with the cube of reach c = `reach`."""
    return exact.at_most([_mass_of_text(keys, spread, reach) / reach], [1])


def _gaussian_density(keys: Matrix, spread: int, reach: int) -> Outcome:
    """The mass of (1/n) Σ N(x; x_i, σ²I) on the cube, by the error function; and both kernels at every pair of keys."""
    root = (2 * ball(spread)).sqrt()
    mass = arb(0)
    for key in keys:
        cube = arb(1)
        for entry in key:
            cube *= ((ball(reach - entry) / root).erf() + (ball(reach + entry) / root).erf()) / 2
        mass += cube
    pairs = [(one, other) for one in keys for other in keys]
    plain = [(ball(dot(one, other)) / spread).exp() for one, other in pairs]
    gaussian = [(-ball(distance(one, other)) / (2 * spread)).exp() * (ball(dot(one, one) + dot(other, other)) / (2 * spread)).exp() for one, other in pairs]
    return Outcome.worst([exact.at_most([mass / len(keys)], [1]), exact.equal(plain, gaussian)])


def _density_by_hand(keys: Matrix, spread: int, reach: int) -> str:
    masses = ", ".join(exact.show(_mass_of_text([key], spread, reach)) for key in keys)
    mass, width = _mass_of_text(keys, spread, reach), len(keys[0])
    slope = "k/σ²" if reach == 1 else f"{reach}k/σ²"
    return (
        f"The points x_i are {[list(key) for key in keys]}, σ² = {spread}, and p is divided by c = {reach}, the reach of the cube too. Over one feature of x from −{reach} to {reach}, exp(x·k/σ²) has "
        f"the integral (2σ²/k) sinh({slope}), or {2 * reach} for k = 0; the mass of a kernel on the cube [−{reach}, {reach}]^{width} is the product over the features: {masses}. Their mean, the mass of p, "
        f"is {exact.show(mass)}, that of p/c is {exact.show(mass / reach)}, and a density has at most 1. Every other c ≥ 1 fares no better: on the cube of reach c the mass of p is at least its volume, "
        f"(2c)^{width}, so that of p/c is at least 2. (With c < 1 the mass of p would have to be smaller still.) No constant turns p into a density."
    )


@derived(
    Claim(
        id="similarity.kernel-density",
        title="Attention is kernel density estimation with the kernel exp(x·x_i/σ²)",
        states="Attention can be viewed as kernel density estimation: p(x) = (1/n) Σ K(x, x_i) with K(x, x_i) = exp(xᵀx_i/σ²).",
        reading="On ℝ^d, with volume as the measure, p is an estimate of a density, up to a constant c: p/c has the mass 1. (p is the divisor of the attention weights, "
        "over n. The output of attention is a mean of values and no density: similarity.kernel-regression.)",
        precise=r"$\int p(x)\,dx = c$ for some $c$. On $\mathbb R^d$, $p(x) + p(-x) \ge 2$ at every $x$, so on the cube $[-r,r]^d$ the mass is at least $(2r)^d$, and there is no bound. On a sphere the mass is finite, and it is "
        r"the same for every $x_i$: the reflection $Hx = x - 2\frac{x\cdot w}{\|w\|^2}w$ with $w = k - k'$ has $Hx\cdot k = x\cdot k'$ if $\|k\|=\|k'\|$, so it turns one kernel into "
        "the other, and area does not change under it (cited).",
        sources=(S0.at("Attention as Kernel Density Estimation"), MARDIA.at("section 9.3.2")),
        scope="every n and d ≥ 1, all real points, every σ² > 0",
        inventory=("C040",),
        unsaid="x and all x_i lie on one sphere, area takes the place of volume, and the kernel is divided by its mass there, which is the same for every x_i (von Mises–Fisher)",
        corrected_by="similarity.gaussian-kernel",
        holds=_is_a_density,
        worked=_density_by_hand,
    )
)
def kernel_density() -> Iterator[Step]:
    x = sp.IndexedBase("x", real=True)
    inner = total(x[a] * K[j, a], a) / variance
    yield Step(
        sp.Integer(2),
        "<=",
        total(sp.exp(inner), j) / n + total(sp.exp(-inner), j) / n,
        "e^t + e^{−t} = 2 + (e^{t/2} − e^{−t/2})² for every key, and −x turns t into −t: on a cube around 0 the mass is at least the volume",
        certificate=total((sp.exp(inner / 2) - sp.exp(-inner / 2)) ** 2, j) / n,
    )
    apart = total((k[a] - k2[a]) ** 2, a)
    along = total(x[b] * (k[b] - k2[b]), b)
    yield Step(
        total((x[a] - 2 * along * (k[a] - k2[a]) / apart) * k[a], a),
        "=",
        total(x[a] * k2[a], a) + along * (total(k2[a] ** 2, a) - total(k[a] ** 2, a)) / apart,
        "reflected in the plane between two points of one length (the last term is 0 then), x meets k as x itself meets k': on a sphere all kernels have one mass",
        nonzero=(apart,),
    )


@derived(
    Claim(
        id="similarity.gaussian-kernel",
        title="exp(x·y/σ²) is the Gaussian kernel of standard deviation σ, times a function of x, times one of y",
        states="(Not in the text; it follows from the square of a difference.) The Gaussian is a kernel for densities, and the exponential of a dot product differs from it by two factors.",
        precise=r"$e^{x\cdot y/\sigma^2} = e^{-\|x-y\|^2/(2\sigma^2)}\,e^{\|x\|^2/(2\sigma^2)}\,e^{\|y\|^2/(2\sigma^2)}$: the text's $\sigma^2$ is the variance of this "
        r"Gaussian. With $x$ the query and $y$ a key, the factor in $x$ makes the mass infinite and cancels in attention weights; the factor in $y$ favours long keys and does not cancel. On a sphere "
        "both factors are constants.",
        sources=(S0.at("Attention as Kernel Density Estimation"), TSAI),
        scope="every width, all real x and y, every σ² > 0",
        inventory=("C040", "C041"),
        holds=_gaussian_density,
    )
)
def gaussian_kernel() -> Iterator[Step]:
    apart, lengths = total((q[a] - k[a]) ** 2, a), total(q[a] ** 2, a) + total(k[a] ** 2, a)
    yield Step(2 * total(q[a] * k[a], a), "=", lengths - apart, "the square of a difference")
    yield Step(
        sp.exp(total(q[a] * k[a], a) / variance),
        "=",
        sp.exp(-apart / (2 * variance)) * sp.exp(total(q[a] ** 2, a) / (2 * variance)) * sp.exp(total(k[a] ** 2, a) / (2 * variance)),
        "divided by 2σ², and exp turns the sum into a product",
    )


def _plain_weights(query: Row, keys: Matrix, spread: int) -> list[arb]:
    return exact.softmax([Fraction(dot(query, key), spread) for key in keys])


def _gaussian_weights(query: Row, keys: Matrix, spread: int) -> list[arb]:
    return exact.softmax([Fraction(-distance(query, key), 2 * spread) for key in keys])


def _smooths(query: Row, keys: Matrix, spread: int) -> Outcome:
    return exact.equal(_plain_weights(query, keys, spread), _gaussian_weights(query, keys, spread))


def _smooths_with_bias(query: Row, keys: Matrix, spread: int) -> Outcome:
    biased = exact.softmax([Fraction(2 * dot(query, key) - dot(key, key), 2 * spread) for key in keys])
    return exact.equal(biased, _gaussian_weights(query, keys, spread))


def _smooths_by_hand(query: Row, keys: Matrix, spread: int) -> str:
    plain, gaussian = (", ".join(map(exact.show, weights(query, keys, spread))) for weights in (_plain_weights, _gaussian_weights))
    scores = ", ".join(str(Fraction(dot(query, key), spread)) for key in keys)
    exponents = ", ".join(str(Fraction(-distance(query, key), 2 * spread)) for key in keys)
    return (
        f"q = {list(query)}, keys {[list(key) for key in keys]}, σ² = {spread}. The scores q·k/σ² are {scores}, and their softmax is ({plain}). The Gaussian's exponents "
        f"−‖q − k‖²/(2σ²) are {exponents}, and their softmax is ({gaussian}). The keys' squared lengths {[dot(key, key) for key in keys]} differ."
    )


@derived(
    Claim(
        id="similarity.attention-is-gaussian-smoothing",
        title="Attention is smoothing with a Gaussian kernel",
        states="Attention is viewed as kernel density estimation, its kernel the exponential of a scaled dot product.",
        reading="The kernel view of attention in its usual form: attention is kernel regression on the values, and its weights fall with the distance from the query to the key.",
        precise=r"$\mathrm{softmax}_j(q\cdot k_j/\sigma^2) = e^{-\|q-k_j\|^2/(2\sigma^2)}\big/\sum_l e^{-\|q-k_l\|^2/(2\sigma^2)}$. It holds if all keys have one length $\rho$, so that "
        r"$\|q-k_j\|^2 = \|q\|^2+\rho^2-2q\cdot k_j$.",
        sources=(S0.at("Attention as Kernel Density Estimation"), NADARAYA),
        scope="every n and d ≥ 1, all real queries and keys, every σ² > 0",
        inventory=("C040",),
        uses=("similarity.gaussian-kernel", "softmax.shift"),
        unsaid="all keys have the same length",
        corrected_by="similarity.kernel-regression",
        holds=_smooths,
        worked=_smooths_by_hand,
    )
)
def attention_is_gaussian_smoothing() -> Iterator[Step]:
    rho = sp.Symbol("rho", nonnegative=True)

    def near(key: sp.Symbol) -> sp.Expr:
        return sp.exp(-(total(q[a] ** 2, a) + rho**2 - 2 * total(q[a] * K[key, a], a)) / (2 * variance))

    def plain(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(q[a] * K[key, a], a) / variance)

    yield Step(near(j) / total(near(l), l), "=", plain(j) / total(plain(l), l), "with one length ρ for all keys, both lengths are factors of the whole row")


@derived(
    Claim(
        id="similarity.kernel-regression",
        title="Attention with the bias −‖k‖²/(2σ²) is kernel regression with a Gaussian of standard deviation σ",
        states="(Not in the text; the Nadaraya–Watson estimate in its notation.) Attention is a kernel estimate of the values at the query.",
        precise=r"$\sum_j e^{(q\cdot k_j-\|k_j\|^2/2)/\sigma^2}v_j\big/\sum_l e^{(q\cdot k_l-\|k_l\|^2/2)/\sigma^2} = \sum_j e^{-\|q-k_j\|^2/(2\sigma^2)}v_j\big/\sum_l e^{-\|q-k_l\|^2/(2\sigma^2)}$. "
        r"Scaled dot products have $\sigma^2=\sqrt{d_k}$. What is estimated is the mean value at $q$, not the density at $q$; the density (unnormalised) is the divisor.",
        sources=(S0.at("Attention as Kernel Density Estimation"), NADARAYA, TSAI),
        scope="every n and d ≥ 1, all real queries, keys and values, every σ² > 0",
        inventory=("C040",),
        uses=("similarity.gaussian-kernel",),
        holds=_smooths_with_bias,
    )
)
def kernel_regression() -> Iterator[Step]:
    def biased(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(q[a] * K[key, a], a) / variance - total(K[key, a] ** 2, a) / (2 * variance))

    def near(key: sp.Symbol) -> sp.Expr:
        return sp.exp(-total((q[a] - K[key, a]) ** 2, a) / (2 * variance))

    yield Step(biased(j) / total(biased(l), l), "=", near(j) / total(near(l), l), "the query's length is one factor of the whole row")
    yield Step(
        total(biased(j) * v[j], j) / total(biased(l), l),
        "=",
        total(near(j) * v[j], j) / total(near(l), l),
        "so the same values are averaged with the same weights",
    )


c = sp.IndexedBase("c", real=True)  # coefficients, c[i]
x = sp.IndexedBase("x", real=True)  # points, x[i, a]


def _form(kernel: sp.Expr) -> sp.Expr:
    """Σ_ij c_i c_j kernel(i, j)."""
    return total(total(c[i] * c[j] * kernel, j), i)


def _inner() -> sp.Expr:
    return total(x[i, a] * x[j, a], a)


def _positive_definite(points: Matrix, coefficients: Row, spread: int) -> Outcome:
    """The quadratic form and the determinant of the kernel matrix: neither is negative."""
    gram = [[(ball(dot(one, other)) / spread).exp() for other in points] for one in points]
    scaled = [[(-ball(distance(one, other)) / (2 * spread)).exp() for other in points] for one in points]  # D gram D with a positive diagonal D
    form = sum((left * right * entry for left, row in zip(coefficients, gram, strict=True) for right, entry in zip(coefficients, row, strict=True)), arb(0))
    return exact.at_most([0, 0], [form, arb_mat(scaled).det()])


@derived(
    Claim(
        id="similarity.positive-definite",
        title="exp(x·y/σ²) is a positive-definite kernel",
        states="exp(xᵀx_i/σ²) is called the kernel function.",
        reading="In the sense of kernel methods: a positive-definite kernel, an inner product of features. (In density estimation, where the text uses the word, a kernel is a smoothing kernel, of finite mass: similarity.kernel-density.)",
        precise=r"$\sum_{i,j}c_ic_j\,e^{x_i\cdot x_j/\sigma^2}\ge0$ for all points $x_i$ and coefficients $c_i$. Let $P_{ij}=(1+x_i\cdot x_j/(N\sigma^2))^N$. Then "
        r"$\sum_{i,j} c_ic_jP_{ij}\ge0$, by induction on the factors. For $N > \max|x_i\cdot x_j|/\sigma^2$ the gap $g_{ij} = e^{x_i\cdot x_j/\sigma^2} - P_{ij}$ is not negative and tends to "
        r"0 as $N\to\infty$. The last formula says $\sum c_ic_j e^{x_i\cdot x_j/\sigma^2} \ge \sum c_ic_jP_{ij} - \sum|c_ic_j|\,g_{ij} \ge -\sum|c_ic_j|\,g_{ij}$ for each such $N$; the left "
        "side does not depend on N, so it is not negative.",
        sources=(S0.at("Attention as Kernel Density Estimation"), ARONSZAJN),
        scope="every number of points and every width, all real points and coefficients, every σ² > 0",
        inventory=("C041",),
        holds=_positive_definite,
    )
)
def positive_definite() -> Iterator[Step]:
    share, many, t = sp.Symbol("rho", positive=True), sp.Symbol("N", positive=True), sp.Symbol("t", real=True)
    phi = sp.IndexedBase("varphi", real=True)
    yield Step(
        sp.Integer(0),
        "<=",
        _form(phi[i] * phi[j]),
        "a kernel with one feature φ makes a square, and a kernel with several features a sum of squares; the product of no factors is 1, with the feature φ = 1",
        certificate=total(c[i] * phi[i], i) ** 2,
    )
    yield Step(
        _form(phi[i] * phi[j] * (1 + share * _inner())),
        "=",
        _form(phi[i] * phi[j]) + share * _form(total((phi[i] * x[i, a]) * (phi[j] * x[j, a]), a)),
        "one factor 1 + ρ x·y more: each feature φ gives the features φ and √ρ φ x_a, sums of squares again; so, by induction, does every power of 1 + ρ x·y, here with "
        "ρ = 1/(Nσ²)",
    )
    yield Step(
        sp.log(1 + t),
        "<=",
        t,
        "with t/N for t, N times it: P = (1 + t/N)^N ≤ e^t for |t| < N, so the gap is not negative",
        cites=DLMF.at("4.5.1"),
        domain={t: (-0.9, 3.0)},
    )
    yield Step(t / (1 + t), "<=", sp.log(1 + t), "likewise P ≥ e^{t/(1 + t/N)}", cites=DLMF.at("4.5.1"), domain={t: (-0.9, 3.0)})
    yield Step(
        t - t / (1 + t / many),
        "=",
        t**2 / (many + t),
        "so the gap e^t − P is at most e^t (1 − e^{−h}) with h = t²/(N + t), and 1 − e^{−h} ≤ h by the first of the two inequalities: it tends to 0 as N grows",
        nonzero=(many + t, 1 + t / many),
        domain={t: (-0.9, 3.0), many: (1.0, 9.0)},
    )
    power, gap = sp.IndexedBase("P", real=True), sp.IndexedBase("g", nonnegative=True)
    yield Step(
        _form(power[i, j]) - total(total(sp.Abs(c[i] * c[j]) * gap[i, j], j), i),
        "<=",
        _form(power[i, j] + gap[i, j]),
        "the kernel is P + g, and no coefficient is below −|c_i c_j|; the first term is a sum of squares and the second tends to 0",
        certificate=total(total(2 * PositivePart(c[i] * c[j]) * gap[i, j], j), i),
    )


# --- the landscape over key space --------------------------------------------------------------------------------------------------------


def _at_a_peak(query: Row, keys: Matrix) -> Outcome:
    """Whether no point close to the heaviest key is higher: tried a hundredth of the query further."""
    best = max(keys, key=lambda key: dot(query, key))
    near = [entry + Fraction(step, 100) for entry, step in zip(best, query, strict=True)]
    return decided(sum(one * two for one, two in zip(query, near, strict=True)) <= dot(query, best))


def _sphere_peak(query: Row, keys: Matrix) -> Outcome:
    """On the sphere through a key the score is highest at ρq/‖q‖, and lower by ‖q‖/(2ρ) times the squared distance from there."""
    length = ball(dot(query, query)).sqrt()
    left, right = [], []
    for key in keys:
        if not any(key) or not any(query):
            continue
        radius = ball(dot(key, key)).sqrt()
        away = sum(((entry - radius * step / length) * (entry - radius * step / length) for entry, step in zip(map(ball, key), query, strict=True)), arb(0))
        left.append(ball(dot(query, key)))
        right.append(radius * length - length / (2 * radius) * away)
    return exact.equal(left, right)


def _peak_by_hand(query: Row, keys: Matrix) -> str:
    best = max(keys, key=lambda key: dot(query, key))
    return (
        f"q = {list(query)}, keys {[list(key) for key in keys]}: the largest weight is that of k = {list(best)}, with q·k = {dot(query, best)} and L(k) = e^{dot(query, best)}. After a step ε "
        f"along q, however small, the score q·k + ε q·q is higher than {dot(query, best)} by {'ε' if dot(query, query) == 1 else f'{dot(query, query)}ε'}, and so is L. So k is not at a peak of L, and neither is any other point."
    )


heaviest_at_a_peak = Claim(
    id="similarity.peaks",
    title="The key with the highest weight lies at a peak of exp f(q, k) over key space",
    states="The function L(k) = exp f(q, k) is a landscape over the key space; its peaks correspond to high attention weights.",
    reading="One half of “correspond”: the key with the largest weight lies at a peak, where no point of key space close to it is higher. Judged for the dot product f(q, k) = q·k on ℝ^d. (The other half, from "
    "peaks to weights, is similarity.peaks-are-heavy.)",
    precise=r"$L(k')\le L(k)$ for the key $k$ of largest weight and all $k'$ near it. For $q\ne0$ this fails at every $k$, as $L(k+\varepsilon q)>L(k)$. On a sphere it holds for a key in "
    r"the direction of $q$; a key off that direction has higher points beside it even there, so that without a key at the peak the heaviest key is only the one nearest to it.",
    sources=(S0.at("Attention Landscape"),),
    scope="one query, every number of keys and every width",
    inventory=("C043",),
    uses=("similarity.no-peak", "softmax.landscape"),
    unsaid="all keys have one length, key space is the sphere of that radius, and one of the keys points in the direction of the query",
    corrected_by="similarity.peak-on-a-sphere",
    holds=_at_a_peak,
    worked=_peak_by_hand,
)


def _rises(query: Row, key: Row, step: int) -> Outcome:
    further = [entry + Fraction(move, step) for entry, move in zip(key, query, strict=True)]
    higher = sum(one * two for one, two in zip(query, further, strict=True)) > dot(query, key)
    return decided(higher == any(query))


@derived(
    Claim(
        id="similarity.no-peak",
        title="The dot product's landscape has no peak: it rises along the query from every point",
        states="The attention landscape has peaks. (Where they are is not said.)",
        precise=r"$L(k) < L(k+\varepsilon q)$ for every $k$, every $\varepsilon>0$ and $q\ne0$, with $L(k) = e^{q\cdot k}$; in the formula $s = q\cdot k$ and $\eta = \|q\|^2$.",
        sources=(S0.at("Attention Landscape"),),
        scope="every width, all real k and q ≠ 0",
        inventory=("C043",),
        holds=_rises,
    )
)
def no_peak() -> Iterator[Step]:
    step, squared, score = sp.Symbol("varepsilon", positive=True), sp.Symbol("eta", positive=True), sp.Symbol("s", real=True)
    yield Step(total(q[a] * (k[a] + step * q[a]), a), "=", total(q[a] * k[a], a) + step * total(q[a] ** 2, a), "a step along the query adds ε‖q‖² to the score")
    yield Step(sp.exp(score), "<", sp.exp(score + step * squared), "and exp is increasing", certificate=sp.exp(score) * (sp.exp(step * squared) - 1))


@derived(
    Claim(
        id="similarity.peak-on-a-sphere",
        title="Among keys of one length the landscape has one peak, in the query's direction",
        states="(Not in the text; it follows from the formula of the landscape.) If the length of keys is fixed, one point of key space is the highest, and the landscape falls off around it.",
        precise=r"For $q = \eta u$, $k = \rho w$ with unit vectors $u$, $w$: $q\cdot k = \eta\rho - \tfrac{\eta\rho}2\|w-u\|^2 \le \eta\rho$, with equality only at $w=u$. In the formulas the squared "
        r"lengths of $u$ and $w$ are written out; they are 1. Every other point has higher ones beside it: on the way to $u$ along a great circle the angle $\varphi$ and with it "
        r"$t=\tan\tfrac\varphi2$ fall, and $\cos\varphi=\frac{1-t^2}{1+t^2}$ rises.",
        sources=(S0.at("Attention Landscape"),),
        scope="every width, all unit vectors u, w, lengths η, ρ > 0",
        inventory=("C043",),
        holds=_sphere_peak,
    )
)
def peak_on_a_sphere() -> Iterator[Step]:
    eta, rho = sp.symbols("eta rho", positive=True)
    u, w = sp.IndexedBase("u", real=True), sp.IndexedBase("w", real=True)
    top = eta * rho * (total(u[a] ** 2, a) + total(w[a] ** 2, a)) / 2
    score, away = total(eta * u[a] * rho * w[a], a), eta * rho * total((w[a] - u[a]) ** 2, a) / 2
    yield Step(score, "=", top - away, "the square of a difference, with the lengths ‖u‖² = ‖w‖² = 1 in the first term")
    after, less = sp.Symbol("t", nonnegative=True), sp.Symbol("delta", positive=True)
    before = after + less
    yield Step(
        (1 - before**2) / (1 + before**2),
        "<",
        (1 - after**2) / (1 + after**2),
        "the cosine of the angle to u, by the tangent of half of it: closer to u along a great circle it is larger; at −u, where there is no tangent, it is least, −1",
        certificate=2 * less * (2 * after + less) / ((1 + before**2) * (1 + after**2)),
    )
    yield Step(score, "<=", top, "so the score is highest where the directions agree", certificate=away)


def _heavier_than_average(below: Row) -> Outcome:
    """A key at the peak, and one further key for each number in `below`, whose score lies that far below: has the first more than the average weight?"""
    weights = exact.softmax([0, *(-gap for gap in below)])
    return decided(bool(weights[0] * len(weights) > 1)) if any(below) else Outcome.REFUTED  # all at the peak: the weights are equal


def _weight_bounds(below: Row) -> Outcome:
    """The same case: the weight of the key at the peak is between 1 over the number of keys and 1 over the number of keys at the peak, and above the first if any is not there."""
    weights, there = exact.softmax([0, *(-gap for gap in below)]), 1 + sum(gap == 0 for gap in below)
    bounds = exact.at_most([ball(1) / len(weights), weights[0]], [weights[0], ball(1) / there])
    return Outcome.worst([bounds, decided(not any(below) or bool(weights[0] * len(weights) > 1))])


def _equal_keys_by_hand(below: Row) -> str:
    count = 1 + len(below)
    return (
        f"The first of {count} keys lies at the peak, and the scores of the others lie {list(below)} below its own: all of them are at the peak too, as with k_1 = … = k_{count} = q. Equal scores give equal weights, "
        f"1/{count} each, which is the average and not more. With more such keys each weight is as low as one likes."
    )


def _at_the_peak() -> Iterator[Step]:
    extra, lower = sp.IndexedBase("x", nonnegative=True), sp.Symbol("y", positive=True)
    others = total(sp.exp(-extra[j]), j)
    equal = sp.Symbol("m", positive=True)
    yield Step(
        1 / (equal + others),
        "<=",
        1 / equal,
        "divided by the exponential of the peak's score: m keys at the peak have 1 each in the divisor, and each has at most 1/m",
        certificate=others / (equal * (equal + others)),
    )
    missing = total(1 - sp.exp(-extra[j]), j)
    yield Step(
        1 / (1 + n),
        "<=",
        1 / (1 + others),
        "with n other keys, whose scores lie x_j ≥ 0 below: no less than the average",
        certificate=missing / ((1 + n) * (1 + others)),
    )
    left_out = sp.exp(-lower)
    yield Step(
        1 / (2 + n),
        "<",
        1 / (1 + left_out + others),
        "and more than the average as soon as one further key lies y > 0 below (of two keys: the same without the sum)",
        certificate=missing / ((2 + n) * (1 + left_out + others)) + (1 - left_out) / ((2 + n) * (1 + left_out + others)),
    )


peaks_are_heavy = derived(
    Claim(
        id="similarity.peaks-are-heavy",
        title="A key at a peak of exp f(q, k) over key space has a high weight",
        states="Peaks in the landscape L(k) = exp f(q, k) correspond to high attention weights.",
        reading="The text's own direction, where there is a peak (as for keys of one length): a key that lies at the peak has a high weight, in the weakest sense, more than the average 1/n of a row of n ≥ 2 keys.",
        precise=r"$\alpha_i > \frac1n$ for a key $i$ at the peak. All $n$ keys may be there: then each weighs $\frac1n$. If $m$ keys are there, each weighs at most $\frac1m$.",
        sources=(S0.at("Attention Landscape"),),
        scope="one query, every number n ≥ 2 of keys, no score above that of the peak",
        inventory=("C043",),
        uses=("similarity.peak-on-a-sphere",),
        unsaid="some key of the row is not at the peak",
        corrected_by="similarity.weight-at-a-peak",
        holds=_heavier_than_average,
        worked=_equal_keys_by_hand,
    )
)(_at_the_peak)

weight_at_a_peak = derived(
    Claim(
        id="similarity.weight-at-a-peak",
        title="A key at the peak weighs at least 1/n, and more unless all n keys are there",
        states="(Not in the text; it follows from the formula of the weights.) A key at the peak has at least the average weight, and shares what it has with the other keys that are there.",
        precise=r"$\frac1n \le \alpha_i \le \frac1m$ for a key $i$ at the peak, with $m$ of the $n$ keys there; $\frac1n < \alpha_i$ if $m < n$. In the formulas the scores of the other keys lie $x_j\ge0$ below "
        r"that of the peak, and $n$ counts them only.",
        sources=(S0.at("Attention Landscape"),),
        scope="every number of keys, all real scores",
        inventory=("C043",),
        holds=_weight_bounds,
    )
)(_at_the_peak)


# --- location and hybrid scores ----------------------------------------------------------------------------------------------------------

g = sp.IndexedBase("g", real=True)  # what a position scores at the current time step
other = sp.IndexedBase("v'", real=True)
w_c, w_l = sp.symbols("w_c w_l", real=True)


def _placed(places: Row, values: Row) -> arb:
    return sum((p * ball(value) for p, value in zip(exact.softmax(places), values, strict=True)), arb(0))


def _one_more_position(places: Row, further: int) -> Outcome:
    """One position more scales all other weights by one factor."""
    longer = exact.softmax([*places, further])
    scaled = [p * (1 - longer[-1]) for p in exact.softmax(places)]
    return exact.equal(scaled, longer[:-1])


def _linear_in_values(places: Row, values: Row, others: Row) -> Outcome:
    """The output is additive in the values."""
    added = [one + two for one, two in zip(values, others, strict=True)]
    return exact.equal(_placed(places, added), _placed(places, values) + _placed(places, others))


@derived(
    Claim(
        id="similarity.location-one-more-position",
        title="One more position scales all other location-based weights by one factor",
        states="Location-based weights are exp g(i, t) over the sum of exp g(j, t), where g is a function of position i and time step t.",
        precise=r"One more position, with the score $h$, multiplies every other weight by $1 - e^h/(e^h + \sum_l e^{g(l,t)})$, and leaves their ratios, $e^{g(i,t)-g(j,t)}$: through the "
        "divisor the number of positions enters too. With the positions fixed, the weights depend on $i$ and $t$ only.",
        sources=(S0.at("Location-Based Attention"),),
        scope="every n ≥ 1, all real g",
        inventory=("C064",),
        holds=_one_more_position,
    )
)
def one_more_position() -> Iterator[Step]:
    extra, mass = sp.Symbol("h", real=True), total(sp.exp(g[l]), l)
    yield Step(
        sp.exp(g[j]) / (mass + sp.exp(extra)),
        "=",
        sp.exp(g[j]) / mass * (1 - sp.exp(extra) / (mass + sp.exp(extra))),
        "the old weights share what the new position leaves",
    )


@derived(
    Claim(
        id="similarity.location-is-linear-in-values",
        title="Location-based attention is a fixed linear map of the values",
        states="Location-based weights depend on positional information, not on content.",
        precise=r"$\sum_j\alpha_j(\lambda v_j + \mu v'_j) = \lambda\sum_j\alpha_jv_j + \mu\sum_j\alpha_jv'_j$ with $\alpha_j = e^{g(j,t)}/\sum_l e^{g(l,t)}$: for given $n$ and $t$ the "
        r"weights are constants, whatever the queries, keys and values.",
        sources=(S0.at("Location-Based Attention"),),
        scope="every n ≥ 1, all real g and values",
        inventory=("C064",),
        holds=_linear_in_values,
    )
)
def location_is_linear_in_values() -> Iterator[Step]:
    def output(value: sp.Expr) -> sp.Expr:
        return total(sp.exp(g[j]) * value, j) / total(sp.exp(g[l]), l)

    yield Step(output(first * v[j] + second * other[j]), "=", first * output(v[j]) + second * output(other[j]), "the weights contain no value, key or query")


def _hybrid(content: Row, places: Row, content_weight: int, place_weight: int) -> Outcome:
    """The hybrid weights against the renormalised product of both kinds, and against each kind where the other's weight is 0."""

    def weights(of_content: int, of_place: int) -> list[arb]:
        return exact.softmax([of_content * one + of_place * two for one, two in zip(content, places, strict=True)])

    both = [one * two for one, two in zip(weights(content_weight, 0), weights(0, place_weight), strict=True)]
    mass = sum(both, arb(0))
    product_of = exact.equal(weights(content_weight, place_weight), [one / mass for one in both])
    return Outcome.worst([product_of, exact.equal(weights(1, 0), exact.softmax(content)), exact.equal(weights(0, 1), exact.softmax(places))])


@derived(
    Claim(
        id="similarity.hybrid-is-a-product",
        title="Hybrid weights are the renormalised product of content weights and location weights",
        states="The hybrid score is w_c·sim(q, k_i) + w_l·g(i, t).",
        precise=r"$\mathrm{softmax}(w_c s + w_l g)_j = \alpha_j\beta_j / \sum_l\alpha_l\beta_l$ with $\alpha = \mathrm{softmax}(w_c s)$, $\beta = \mathrm{softmax}(w_l g)$: a small weight of one kind can "
        r"be made up only by odds of the other. $w_l = 0$ leaves content-based attention at the temperature $1/w_c$ (that of the text at $w_c = 1$), and $w_c = 0$ location-based "
        r"attention at $1/w_l$ (for $w_c > 0$, $w_l > 0$).",
        sources=(S0.at("Hybrid Content-Location Attention"),),
        scope="every n ≥ 1, all real scores and combination weights",
        inventory=("C065",),
        holds=_hybrid,
    )
)
def hybrid_is_a_product() -> Iterator[Step]:
    def share(score: sp.Expr, key: sp.Symbol) -> sp.Expr:
        return sp.exp(score).subs(j, key) / total(sp.exp(score.subs(j, l)), l)

    hybrid = share(w_c * s[j] + w_l * g[j], j)
    yield Step(sp.Subs(hybrid, w_l, 0), "=", share(w_c * s[j], j), "with w_l = 0 only content counts")
    yield Step(sp.Subs(hybrid, w_c, 0), "=", share(w_l * g[j], j), "with w_c = 0 only location counts")
    here, mass = share(w_c * s[j], j) * share(w_l * g[j], j), total(sp.exp(w_c * s[l] + w_l * g[l]), l)
    normal = total(sp.exp(w_c * s[l]), l) * total(sp.exp(w_l * g[l]), l)
    yield Step(here, "=", hybrid * mass / normal, "exp turns the sum of scores into a product; what is left over does not depend on the key")
    another = sp.Symbol("z", integer=True, positive=True)
    products = sp.Sum(share(w_c * s[j], another) * share(w_l * g[j], another), (another, 1, n))
    yield Step(hybrid, "=", here / products, "so dividing the products by their sum gives the hybrid weights")
