"""Linear attention: kernels with finitely many features, their states, what the texts' feature maps compute, what they cost and what they cannot do.

Query i has the features φ(q_i), key j the features φ(k_j): φ[i, r] and ψ[j, r] for r = 1..m. The kernel is κ(q_i, k_j) = Σ_r φ[i, r] ψ[j, r];
kernel attention averages the values with weights κ(q_i, k_j) / Σ_l κ(q_i, k_l). Its state is S = Σ_j φ(k_j) v_jᵀ and z = Σ_j φ(k_j).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import product

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.cost import Meter, Operations
from theorems.exact import ball, decided
from theorems.outcome import Outcome
from theorems.overflow import FORMATS, Format
from theorems.sources import S0, S1, S4, Source
from theorems.step import Step
from theorems.symbols import G, K, T, V, a, b, d, d_v, e, f, i, j, k, l, m, n, r, t, total

Rational = int | Fraction
Row = Sequence[int]
Matrix = Sequence[Row]
Numbers = list[list[Fraction]]

KATHAROPOULOS = Source(
    key="katharopoulos2020",
    title="Transformers are RNNs: Fast Autoregressive Transformers with Linear Attention",
    url="https://arxiv.org/abs/2006.16236",
)
YANG = Source(key="yang2023", title="Gated Linear Attention Transformers with Hardware-Efficient Training", url="https://arxiv.org/abs/2312.06635")
SCHLAG = Source(key="schlag2021", title="Linear Transformers Are Secretly Fast Weight Programmers", url="https://arxiv.org/abs/2102.11174")
HORN = Source(key="horn2012", title="Matrix Analysis, 2nd ed.", url="https://doi.org/10.1017/CBO9781139020411")

phi = sp.IndexedBase("phi", positive=True)  # features of queries, phi[i, r]
psi = sp.IndexedBase("psi", positive=True)  # features of keys, psi[j, r]
any_phi = sp.IndexedBase("phi", real=True)  # the same without a sign
any_psi = sp.IndexedBase("psi", real=True)
seen = sp.IndexedBase("A", nonnegative=True)  # 1 for a key that the state has met, else 0
here = sp.IndexedBase("B", nonnegative=True)  # the same for the keys of the present chunk that the query sees
x = sp.IndexedBase("x", real=True)  # a query, x[a]
y = sp.IndexedBase("y", real=True)  # a key, y[a]
u, epsilon = sp.Symbol("u", real=True), sp.Symbol("epsilon", positive=True)


def kernel(query: sp.Symbol, key: sp.Symbol, of_query: sp.IndexedBase = phi, of_key: sp.IndexedBase = psi) -> sp.Expr:
    """Σ_r φ[query, r] ψ[key, r]."""
    return total(of_query[query, r] * of_key[key, r], r)


# The same on exact inputs: integers and fractions, so that nothing rounds.


def dot(one: Sequence[Rational], two: Sequence[Rational]) -> Fraction:
    return sum((Fraction(p) * q for p, q in zip(one, two, strict=True)), Fraction(0))


def by_weights(query: Sequence[Rational], keys: Sequence[Sequence[Rational]], values: Sequence[Sequence[Rational]]) -> tuple[list[Fraction], Fraction]:
    """Quadratic: one kernel value for every key. Numerator (one entry a value feature) and denominator of one query's output."""
    weights = [dot(query, key) for key in keys]
    return [dot(weights, column) for column in zip(*values, strict=True)], sum(weights, Fraction(0))


def state_of(keys: Matrix, values: Matrix) -> tuple[Numbers, list[Fraction]]:
    """S = Σ_j φ(k_j) v_jᵀ [m, e] and z = Σ_j φ(k_j) [m]."""
    features = list(zip(*keys, strict=True))
    return [[dot(feature, column) for column in zip(*values, strict=True)] for feature in features], [Fraction(sum(feature)) for feature in features]


def by_state(query: Row, state: tuple[Numbers, list[Fraction]]) -> tuple[list[Fraction], Fraction]:
    """Linear: numerator and denominator of one query's output from the state."""
    S, z = state
    return [dot(query, column) for column in zip(*S, strict=True)], dot(query, z)


def output(parts: tuple[list[Fraction], Fraction]) -> list[Fraction]:
    """Numerator over denominator. Raises ZeroDivisionError where the kernel values of a row add up to 0."""
    return [above / parts[1] for above in parts[0]]


# --- the formula and the weights it stands for --------------------------------------------------------------------------------------


def _reassociates(queries: Matrix, keys: Matrix, values: Matrix) -> Outcome:
    """Equal numerators and denominators, so equal outputs wherever there is one."""
    return decided(all(by_state(query, state_of(keys, values)) == by_weights(query, keys, values) for query in queries))


@derived(
    Claim(
        id="linear.as-kernel-attention",
        title="The formula of linear attention is kernel attention with weights φ(q)·φ(k_j) / Σ_l φ(q)·φ(k_l)",
        states="With softmax replaced by positive kernel functions, attention is φ(Q)(φ(K)ᵀV) divided by φ(Q)φ(K)ᵀ1.",
        reading="The division is row by row: entry i of the denominator divides row i of the numerator.",
        precise=r"$\dfrac{\sum_r \phi_{ir}\sum_j\psi_{jr}V_{je}}{\sum_r\phi_{ir}\sum_j\psi_{jr}} = \sum_j \dfrac{\kappa_{ij}}{\sum_l\kappa_{il}}V_{je}$ with "
        r"$\kappa_{ij} = \sum_r\phi_{ir}\psi_{jr}$.",
        sources=(S0.at("Kernel Methods for Attention"), KATHAROPOULOS.at("linearized attention")),
        scope="every n, m and d_v; any real features, wherever the row's denominator is not 0 (positive features never make it 0)",
        assumes=("the denominator of the row is not 0",),
        inventory=("C118",),
        holds=_reassociates,
    )
)
def as_kernel_attention() -> Iterator[Step]:
    above = total(any_phi[i, r] * total(any_psi[j, r] * V[j, e], j), r)
    below = total(any_phi[i, r] * total(any_psi[j, r], j), r)
    mass = total(kernel(i, l, any_phi, any_psi), l)
    yield Step(above, "=", total(kernel(i, j, any_phi, any_psi) * V[j, e], j), "matrix products are associative: the sums over keys and features change places")
    yield Step(below, "=", mass, "the same with ones for the values")
    yield Step(above / below, "=", total(kernel(i, j, any_phi, any_psi) / mass * V[j, e], j), "so the quotient is the weighted mean", nonzero=(below, mass))


def _weights(query: Row, keys: Matrix) -> list[Fraction] | None:
    """The weights of one query; None where the kernel values add up to 0."""
    values = [dot(query, key) for key in keys]
    mass = sum(values, Fraction(0))
    return [value / mass for value in values] if mass else None


def _is_distribution(weights: list[Fraction] | None) -> bool:
    return weights is not None and min(weights) >= 0 and sum(weights) == 1


def _positive_kernel_weights(query: Row, keys: Matrix) -> Outcome:
    """Nothing to check where some kernel value is not positive."""
    return decided(any(dot(query, key) <= 0 for key in keys) or _is_distribution(_weights(query, keys)))


def _any_features_weights(query: Row, keys: Matrix) -> Outcome:
    """Nothing to check where the kernel values do not have a positive sum."""
    return decided(sum(dot(query, key) for key in keys) <= 0 or _is_distribution(_weights(query, keys)))


def _any_features_worked(query: Row, keys: Matrix) -> str:
    values = [dot(query, key) for key in keys]
    told = ", ".join(f"⟨{list(query)}, {list(key)}⟩ = {value}" for key, value in zip(keys, values, strict=True))
    weights = _weights(query, keys) or []
    return (
        f"The features of the query are {list(query)}, those of the keys {', '.join(str(list(key)) for key in keys)}. The kernel is an inner product of features, so every "
        f"Gram matrix of it is positive semidefinite. Its values here: {told}. Their sum is {sum(values)}; divided by it, the weights "
        f"are {', '.join(map(str, weights))}. They add up to 1, but one of them is negative, and a probability is not."
    )


@derived(
    Claim(
        id="linear.weights-are-a-distribution",
        title="A kernel with positive values gives weights that are a probability distribution",
        states="(Implied.) Softmax is replaced by positive kernel functions, and the weights remain a probability distribution over the keys.",
        reading="Positive kernel function: every value φ(q)·φ(k) is positive. Features that are positive one by one ensure it, but not every map on the text's own list has "
        "such features (linear.polynomial-feature-is-positive). For the other sense of 'positive' see linear.positive-definite-suffices.",
        precise=r"If $\kappa_{ij} > 0$ for every key $j$, then $0 < \kappa_{ij}/\sum_l\kappa_{il}$ and $\sum_j\kappa_{ij}/\sum_l\kappa_{il} = 1$.",
        sources=(S0.at("Kernel Methods for Attention"),),
        scope="every number n ≥ 1 of keys, every kernel with positive values",
        inventory=("C120",),
        holds=_positive_kernel_weights,
    )
)
def weights_are_a_distribution() -> Iterator[Step]:
    mass = total(kernel(i, l), l)
    yield Step(sp.S.Zero, "<", kernel(i, j), "positive features have a positive inner product")
    yield Step(total(kernel(i, j) / mass, j), "=", sp.S.One, "and weights that add up to 1")
    value = sp.IndexedBase("kappa", positive=True)
    yield Step(sp.S.Zero, "<", value[j] / total(value[l], l), "any kernel with positive values: a weight is a positive number over a sum of positive numbers")
    yield Step(total(value[j] / total(value[l], l), j), "=", sp.S.One, "and the weights share their denominator")


@derived(
    Claim(
        id="linear.positive-definite-suffices",
        title="A positive definite kernel gives weights that are a probability distribution",
        states="(Implied.) The kernel functions are called positive, which in kernel methods means positive definite; then the weights are a probability distribution.",
        reading="The other sense of the word in the formula of linear attention. Positive in the sense of kernel methods: κ(q, k) = φ(q)·φ(k) for some real feature map, so that every Gram matrix is positive semidefinite. "
        "(Cosine features, for one, are positive in this sense: random_features.cosine-positive-definite. Judged here is what follows from it for the weights.)",
        precise=r"Wherever $\sum_l\kappa_{il} > 0$, so that the weights exist and add up to 1: $\kappa_{ij}/\sum_l\kappa_{il} \ge 0$. False with a single feature, for all $x, y > 0$: a query with the "
        r"feature 1 and two keys with the features $x + y$ and $-x$ have the kernel values $x + y$ and $-x$, their sum is $y > 0$, and the second weight is $-x/y$.",
        sources=(S0.at("Kernel Methods for Attention"),),
        scope="any real features, every number of keys",
        corrected_by="linear.weights-are-a-distribution",
        holds=_any_features_weights,
        worked=_any_features_worked,
    )
)
def positive_definite_is_not_enough() -> Iterator[Step]:
    share = sp.IndexedBase("c", real=True)
    yield Step(
        sp.S.Zero, "<=", total(total(share[i] * any_phi[i, r], i) ** 2, r),
        "multiplied out, this is Σ_ij c_i c_j κ(x_i, x_j): so every kernel of real features is positive definite, whatever the signs of its values",
    )  # fmt: skip
    low, mass = sp.symbols("x y", positive=True)
    first, second = low + mass, -low
    yield Step(second / (first + second), "<", sp.S.Zero, "and yet, with the kernel values x + y and −x, whose sum is y, the second weight is negative")


# --- the texts' feature maps ----------------------------------------------------------------------------------------------------------


def relu(entry: Rational) -> Fraction:
    return max(Fraction(entry), Fraction(0))


def softmax_weights(query: Row, keys: Matrix) -> list[arb]:
    return exact.softmax([dot(query, key) for key in keys])


def kernel_weights(query: Row, keys: Matrix, features: Callable[[Row], Sequence[arb]]) -> list[arb]:
    """κ(q, k_j) / Σ_l κ(q, k_l) for a feature map with positive values, in balls."""
    own = features(query)
    values = [sum((p * q for p, q in zip(own, features(key), strict=True)), arb(0)) for key in keys]
    return [value / sum(values, arb(0)) for value in values]


def exponentials(entries: Row) -> list[arb]:
    return [ball(entry).exp() for entry in entries]


def distance(one: Sequence[arb], two: Sequence[arb]) -> arb:
    """Half of Σ |p − p'|: the mass that has to move."""
    return sum((abs(p - q) for p, q in zip(one, two, strict=True)), arb(0)) / 2


def _reversed_by_exp(query: Row, keys: Matrix) -> list[tuple[int, int]]:
    """The pairs of keys of which softmax prefers the first and the features of exp certainly prefer the second."""
    scores, ours = [dot(query, key) for key in keys], kernel_weights(query, keys, exponentials)
    return [(one, two) for one, two in product(range(len(keys)), repeat=2) if scores[one] > scores[two] and ours[one] < ours[two]]


def _exp_keeps_the_order(query: Row, keys: Matrix) -> Outcome:
    return decided(not _reversed_by_exp(query, keys))


def _exp_mixes(query: Row, keys: Matrix) -> Outcome:
    columns = [exact.softmax(column) for column in zip(*keys, strict=True)]
    masses = [sum((ball(entry).exp() for entry in column), arb(0)) for column in zip(*keys, strict=True)]
    pulls = [ball(own).exp() * mass for own, mass in zip(query, masses, strict=True)]
    mixed = [sum((pull * column[place] for pull, column in zip(pulls, columns, strict=True)), arb(0)) / sum(pulls, arb(0)) for place in range(len(keys))]
    return exact.equal(kernel_weights(query, keys, exponentials), mixed)


def _exp_worked(query: Row, keys: Matrix) -> str:
    ours, theirs = kernel_weights(query, keys, exponentials), softmax_weights(query, keys)
    one, two = _reversed_by_exp(query, keys)[0]
    return (
        f"q = {list(query)}, keys {', '.join(str(list(key)) for key in keys)}. Scores q·k: {', '.join(str(dot(query, key)) for key in keys)}; softmax gives "
        f"{', '.join(map(exact.show, theirs))}. With φ = exp entry by entry the kernel is Σ_a exp(q_a + k_a): for the keys in turn "
        f"{', '.join(' + '.join(f'exp({p + q})' for p, q in zip(query, key, strict=True)) for key in keys)}. Divided by their sum, the weights are "
        f"{', '.join(map(exact.show, ours))}. Softmax prefers the key {list(keys[one])} to the key {list(keys[two])}; exp prefers the second, which the statement does not allow. With longer "
        "vectors nearly all of the mass can change its place: see the derivation."
    )


@derived(
    Claim(
        id="linear.exp-features-mix-softmaxes",
        title="With φ = exp entry by entry, the weights are a mixture of softmaxes over single coordinates of the keys",
        states="(Not in the text; the corrected form of linear.exp-approximates-softmax.) What the feature map exp computes.",
        precise=r"$\dfrac{\sum_a e^{x_a + K_{ja}}}{\sum_l\sum_a e^{x_a + K_{la}}} = \sum_a \pi_a\,\dfrac{e^{K_{ja}}}{\sum_l e^{K_{la}}}$ with "
        r"$\pi_a = e^{x_a}\sum_l e^{K_{la}} \big/ \sum_b e^{x_b}\sum_l e^{K_{lb}}$: the query $x$ chooses how to mix $d$ distributions that do not depend on it. "
        r"With $d = 1$ it plays no part at all.",
        sources=(S0.at("Kernel Functions"),),
        scope="every n and d, every real query and keys",
        holds=_exp_mixes,
    )
)
def exp_features_mix_softmaxes() -> Iterator[Step]:
    mass = total(total(sp.exp(x[a] + K[l, a]), a), l)
    column = total(sp.exp(K[l, a]), l)
    pull = sp.exp(x[a]) * column / total(sp.exp(x[b]) * total(sp.exp(K[l, b]), l), b)
    yield Step(total(pull, a), "=", sp.S.One, "the weights of the mixture add up to 1")
    yield Step(
        total(sp.exp(x[a] + K[j, a]), a) / mass, "=", total(pull * sp.exp(K[j, a]) / column, a),
        "each feature's sum over the keys is divided out of the coordinate and multiplied into the mixture",
    )  # fmt: skip


@derived(
    Claim(
        id="linear.exp-approximates-softmax",
        title="The feature map φ(x) = exp(x) approximates softmax attention",
        states="(Implied.) The first kernel function listed under linear attention approximations is the exponential, φ(x) = exp(x): it approximates softmax.",
        reading="exp is applied entry by entry to queries and to keys, as the formula above the list applies φ. (Were φ(x) the value of the kernel at x = q·k, then exp would be softmax itself, but no finite "
        "features have that kernel: linear.no-finite-features-for-exp.) Judged is what any approximation would have to keep: of two keys, the one that softmax prefers is not given less weight than the other. "
        "(That every positive map with finitely many features is far from softmax somewhere is a fact of its own: linear.own-keys-share-m. What fails here is particular to exp.)",
        precise=r"If $q\cdot k_1 > q\cdot k_2$, then $p'_1 \ge p'_2$ ($p$: the weights of softmax, $p'$: those of the features). False in every width $d$ and for every scale $c > 0$, as exp prefers the key with the larger entries whatever the query is. With $d = 1$ "
        r"the query plays no part: $p'_j = e^{k_j}/\sum_l e^{k_l}$. In any width, at $q = (-t, \dots, -t)$ with keys $0$ and $(t, \dots, t)$ exp gives the second key $1/(1 + e^{-t}) > \tfrac12$, and softmax "
        r"$1/(1 + e^{cdt^2}) < \tfrac12$; once $t \ge 1/(cd)$, all but $2e^{-t}$ of the mass is on the wrong key.",
        sources=(S0.at("Kernel Functions"), S0.at("Linear Attention Approximations")),
        scope="every real query and keys; scores c q·k (c = 1 in the search)",
        inventory=("C121",),
        corrected_by="linear.exp-features-mix-softmaxes",
        holds=_exp_keeps_the_order,
        worked=_exp_worked,
    )
)
def exp_approximates_softmax() -> Iterator[Step]:
    length, more, scale = sp.Symbol("t", positive=True), sp.Symbol("x", nonnegative=True), sp.Symbol("c", positive=True)
    entry = sp.IndexedBase("k", real=True)
    yield Step(
        sp.exp(u + entry[j]) / total(sp.exp(u + entry[l]), l), "=", sp.exp(entry[j]) / total(sp.exp(entry[l]), l),
        "width 1, a query u and keys k_j: the query drops out, so for every negative one the order is that of softmax reversed",
    )  # fmt: skip
    yield Step(
        -scale * total(length**2, a), "=", -scale * d * length**2,
        "width d, q = (−t, …, −t), the second key (t, …, t): its score is negative, and the score of the first key, 0, is larger",
    )  # fmt: skip
    near, far = total(sp.exp(-length) * sp.exp(0), a), total(sp.exp(-length) * sp.exp(length), a)
    yield Step(near, "<", far, "and yet exp gives the second key the larger kernel value: the order is reversed", certificate=d * (1 - sp.exp(-length)))
    yield Step(far / (near + far), "=", 1 / (1 + sp.exp(-length)), "its weight does not depend on the width")
    soft = sp.exp(-length - more) / (1 + sp.exp(-length - more))
    whole, grown = sp.exp(length), sp.exp(more)
    yield Step(
        1 - 2 * sp.exp(-length), "<=", 1 / (1 + sp.exp(-length)) - soft,
        "for t ≥ 1/(cd) write cdt² = t + x, x ≥ 0: all but 2 exp(−t) of the mass lies on the key that softmax does not prefer",
        certificate=1 / (whole * (1 + whole)) + (1 + whole * (grown - 1)) / (whole * (1 + whole * grown)),
    )  # fmt: skip


def _relu_floor(query: Row, keys: Matrix, floor: Fraction) -> Outcome:
    features = [[relu(entry) + floor for entry in row] for row in (query, *keys)]
    values = [dot(features[0], key) for key in features[1:]]
    return decided(all(entry >= floor > 0 for row in features for entry in row) and min(values) >= len(query) * floor**2)


@derived(
    Claim(
        id="linear.relu-plus-epsilon-is-positive",
        title="ReLU(x) + ε is positive, and so is its kernel: at least dε²",
        states="ReLU(x) + ε is a positive kernel function.",
        reading="ε > 0, as the letter says.",
        precise=r"$\max(0, x) + \varepsilon \ge \varepsilon > 0$ and $\sum_a(\max(0, x_a) + \varepsilon)(\max(0, y_a) + \varepsilon) \ge d\varepsilon^2$.",
        sources=(S0.at("Kernel Functions"),),
        scope="every real x and y, every width, every ε > 0",
        assumes=("ε > 0",),
        inventory=("C122",),
        holds=_relu_floor,
    )
)
def relu_plus_epsilon_is_positive() -> Iterator[Step]:
    one, two = sp.Max(0, x[a]), sp.Max(0, y[a])
    yield Step(sp.S.Zero, "<", sp.Max(0, u) + epsilon, "ReLU is never negative")
    yield Step(
        d * epsilon**2, "<=", total((one + epsilon) * (two + epsilon), a),
        "every term of the kernel is at least ε²", certificate=total(one * two + epsilon * one + epsilon * two, a),
    )  # fmt: skip


def _relu_alone(query: Row, keys: Matrix) -> Outcome:
    """A query without a positive entry meets only zeros; a strictly positive query and keys never do."""
    values = [dot([relu(entry) for entry in query], [relu(entry) for entry in key]) for key in keys]
    if max(query) <= 0:
        return decided(not any(values))
    return decided(min(query) <= 0 or any(max(key) <= 0 for key in keys) or min(values) > 0)


@derived(
    Claim(
        id="linear.relu-alone-divides-by-zero",
        title="Without ε, a query without a positive entry has the denominator 0",
        states="(Not in the text, which gives the feature map ReLU(x) + ε and no reason for the ε.) Without ε, attention with ReLU features may be 0/0.",
        precise=r"If $q_a \le 0$ for every $a$, then $\sum_j\sum_a\max(0, q_a)\max(0, K_{ja}) = 0$, whatever the keys.",
        sources=(S0.at("Kernel Functions"),),
        scope="every number of keys, every width; φ = ReLU entry by entry",
        holds=_relu_alone,
    )
)
def relu_alone_divides_by_zero() -> Iterator[Step]:
    below = sp.IndexedBase("z", nonnegative=True)
    yield Step(
        total(total(sp.Max(0, sp.UnevaluatedExpr(-below[a])) * sp.Max(0, K[j, a]), a), j), "=", sp.S.Zero,
        "with q = −z, z ≥ 0, every feature of the query is 0, so every kernel value and their sum are 0: the formula reads 0/0",
    )  # fmt: skip


def _relu_scaled(query: Row, keys: Matrix, by: int) -> Outcome:
    """Whether a longer query (and longer keys) leave the weights of ReLU features as they are."""

    def weights(stretch: int, stretch_keys: int) -> list[Fraction] | None:
        rows = [[relu(entry * stretch_keys) for entry in key] for key in keys]
        values = [dot([relu(entry * stretch) for entry in query], row) for row in rows]
        return [value / sum(values) for value in values] if sum(values) else None

    return decided(weights(by, 1) == weights(1, 1) == weights(1, by))


@derived(
    Claim(
        id="linear.relu-has-no-temperature",
        title="With ReLU features, longer queries or keys do not sharpen the weights",
        states="(Not in the text, which replaces softmax by a kernel of ReLU features.) Such weights cannot be sharpened as those of softmax can.",
        precise=r"If the features grow with their argument, $\phi(\tau q) = \tau\phi(q)$ for $\tau > 0$, as those of ReLU do, then $\tau$ cancels from the weights. Softmax of $\tau$ times the scores, by contrast, "
        r"gives a key whose score is $g$ below the largest a weight of at most $e^{-\tau g}$, which tends to 0.",
        sources=(S0.at("Kernel Functions"),),
        scope="ε = 0, every n and m, every τ > 0 that multiplies the query or all keys; any real features that grow so, zeros included, wherever the denominator is not 0; for softmax any real scores",
        assumes=("the denominator of the row is not 0",),
        holds=_relu_scaled,
    )
)
def relu_has_no_temperature() -> Iterator[Step]:
    entry = sp.Symbol("v", positive=True)
    for place, told in ((entry, "ReLU at x = v > 0: max(0, τx) = τ max(0, x)"), (-entry, "and at x = −v, where both are 0; at x = 0 they are too")):
        yield Step(sp.Max(0, sp.UnevaluatedExpr(T * place)), "=", T * sp.Max(0, sp.UnevaluatedExpr(place)), told)
    score, gap, rest = sp.Symbol("s", real=True), sp.Symbol("g", positive=True), sp.Symbol("R", nonnegative=True)
    largest = sp.exp(T * (score + gap))
    yield Step(
        sp.exp(T * score) / (largest + rest), "<=", sp.exp(-T * gap),
        "softmax: a key with the score s, where the largest is s + g and the exponentials of all other keys add up to R", certificate=sp.exp(-T * gap) * rest / (largest + rest),
    )  # fmt: skip
    mass = total(kernel(i, l, any_phi, any_psi), l)
    plain = kernel(i, j, any_phi, any_psi) / mass
    query_mass = total(total(T * any_phi[i, r] * any_psi[l, r], r), l)
    longer_query = total(T * any_phi[i, r] * any_psi[j, r], r) / query_mass
    keys_mass = total(total(any_phi[i, r] * (T * any_psi[l, r]), r), l)
    longer_keys = total(any_phi[i, r] * (T * any_psi[j, r]), r) / keys_mass
    yield Step(query_mass, "=", T * mass, "the denominator is not 0 after stretching if it was not before")
    yield Step(longer_query, "=", plain, "τ is a factor of the numerator and of the denominator", nonzero=(query_mass, mass))
    yield Step(longer_keys, "=", plain, "the same if all keys are stretched alike", nonzero=(keys_mass, mass))


def elu_plus_one(entry: Rational) -> arb:
    return ball(entry) + 1 if entry > 0 else ball(entry).exp()


def _elu_is_positive(query: Row, keys: Matrix) -> Outcome:
    features = [elu_plus_one(entry) for row in (query, *keys) for entry in row]
    weights = kernel_weights(query, keys, lambda row: [elu_plus_one(entry) for entry in row])
    return decided(all(entry > 0 for entry in features) and all(weight > 0 for weight in weights))


@derived(
    Claim(
        id="linear.elu-plus-one-is-positive",
        title="elu(x) + 1 is positive, with no ε",
        states="(Not in the texts; from the cited paper.) The feature map elu(x) + 1 gives a positive similarity.",
        precise=r"$\mathrm{elu}(x) + 1 = \max(0, x) + e^{\min(0, x)} > 0$, so every kernel value is positive and no denominator is 0.",
        sources=(KATHAROPOULOS.at("feature maps and computational cost"),),
        scope="every real x, every n and d",
        uses=("linear.weights-are-a-distribution",),
        holds=_elu_is_positive,
    )
)
def elu_plus_one_is_positive() -> Iterator[Step]:
    above, below = sp.Symbol("v", positive=True), sp.Symbol("w", nonnegative=True)

    def feature(entry: sp.Expr) -> sp.Expr:
        return sp.Max(0, entry) + sp.exp(sp.Min(0, entry))

    yield Step(feature(sp.UnevaluatedExpr(above)), "=", above + 1, "at x = v > 0 this is x + 1")
    yield Step(feature(sp.UnevaluatedExpr(-below)), "=", sp.exp(-below), "and at x = −w ≤ 0 it is exp(x): the two pieces of elu(x) + 1")
    yield Step(sp.S.Zero, "<", feature(u), "neither part is negative, and the exponential is positive")
    yield Step(sp.S.Zero, "<", total(feature(x[a]) * feature(y[a]), a), "so is the kernel, a sum of products of features")


def _rounded(value: arb, fmt: Format) -> Fraction | None:
    """The format's number nearest to the real number in the ball; None if the ball straddles a boundary (or the number is too large)."""
    low, high = (fmt.rounded(Fraction(int(man)) * Fraction(2) ** int(exp)) for man, exp in (value.lower().man_exp(), value.upper().man_exp()))
    return low if low == high and isinstance(low, Fraction) else None


def _elu_then_one(entry: int, fmt: Format) -> Fraction | None:
    """elu(x) = exp(x) − 1 rounded to the format, then 1 added."""
    if entry > 0:
        return fmt.rounded(Fraction(entry + 1))  # type: ignore[return-value]
    rounded = _rounded(ball(entry).expm1(), fmt)
    return None if rounded is None else fmt.rounded(rounded + 1)  # type: ignore[return-value]


def _elu_in_format(fmt: str, entry: int) -> Outcome:
    feature = _elu_then_one(entry, FORMATS[fmt])
    return Outcome.UNDECIDED if feature is None else decided(feature > 0)


def _elu_thresholds(fmt: str, entry: int) -> Outcome:
    """In two roundings: 0 exactly if exp(x) ≤ 2^(−p−1). Directly as exp(x): 0 exactly if exp(x) is at most half of the smallest subnormal."""
    shape = FORMATS[fmt]
    two_steps, direct = _elu_then_one(entry, shape), _rounded(ball(min(entry, 0)).exp(), shape)
    if two_steps is None or direct is None:
        return Outcome.UNDECIDED
    vanishes, underflows = (bool(ball(entry).exp() <= arb(2) ** power) for power in (-shape.bits - 1, shape.bottom - shape.bits))
    return decided((two_steps == 0) == vanishes and (direct == 0) == underflows)


def _elu_format_worked(fmt: str, entry: int) -> str:
    shape = FORMATS[fmt]
    spelled = f"\n\n```python\nimport torch\nx = torch.tensor({float(entry)}, dtype=torch.{fmt})\nprint(torch.nn.functional.elu(x) + 1, x.exp())\n```"
    return (
        f"{fmt} keeps p = {shape.bits} significant bits. x = {entry}: elu(x) = exp(x) − 1 with exp(x) = {exact.show(ball(entry).exp())}, and 2^(−p−1) = {exact.show(arb(2) ** (-shape.bits - 1))}. "
        f"It lies between the neighbouring numbers −1 and −1 + 2^(−p), and below their middle −1 + 2^(−p−1), so elu(x) rounds to −1, and adding 1 gives 0, which is not positive."
        + spelled
    )


@derived(
    Claim(
        id="linear.where-elu-plus-one-vanishes",
        title="Computed as elu(x) and then + 1, the feature is 0 as soon as exp(x) ≤ 2^(−p−1); as exp(x), not before it underflows",
        states="(Not in the texts; from the cited paper's feature map.) Where the computed feature is 0, in a format of p significant bits that rounds to nearest.",
        precise=r"The numbers of the format next to $-1 + e^x$ are then $-1$ and $-1 + 2^{-p}$, and $-1 + e^x$ rounds to $-1$ exactly if $e^x \le 2^{-p-1}$, half of the way (ties to even), that is, if $x \le -(p+1)\log 2$. "
        r"Written as $\max(0, x) + e^{\min(0, x)}$ the feature is 0 only if $e^x$ is at most half of the smallest subnormal number.",
        sources=(KATHAROPOULOS.at("feature maps and computational cost"),),
        scope="float16, bfloat16, float32 and float64, round to nearest, ties to even; a correctly rounded exp(x) − 1 and exp(x); whole x in the search",
        holds=_elu_thresholds,
    )
)
def where_elu_plus_one_vanishes() -> Iterator[Step]:
    bits, more = sp.Symbol("p", integer=True, positive=True), sp.Symbol("h", positive=True)
    edge = sp.Integer(2) ** (-bits - 1)
    yield Step((-1 + (-1 + sp.Integer(2) ** (-bits))) / 2, "=", -1 + edge, "half-way between −1 and its neighbour")
    yield Step(-1 + edge * sp.exp(-more), "<", -1 + edge, "x = −(p + 1) log 2 − h: elu(x) lies on the side of −1", certificate=edge * (1 - sp.exp(-more)))
    yield Step(-1 + edge, "<", -1 + edge * sp.exp(more), "x = −(p + 1) log 2 + h: on the other side", certificate=edge * (sp.exp(more) - 1))
    yield Step(sp.S.Zero, "<", 1 + (-1 + sp.Integer(2) ** (-bits)), "and from the neighbour on, adding 1 leaves at least 2^(−p), which the format holds")
    bottom = sp.Symbol("E", integer=True)  # the smallest exponent of a normal number
    smallest = sp.Integer(2) ** (bottom - bits + 1)
    yield Step(
        smallest / 2 * sp.exp(-more),
        "<",
        smallest / 2,
        "directly: exp(x) rounds to 0 below half of the smallest subnormal number",
        certificate=smallest / 2 * (1 - sp.exp(-more)),
    )


elu_in_floats = Claim(
    id="linear.elu-plus-one-is-positive-in-floats",
    title="elu(x) + 1 is positive on a machine",
    states="(Not in the texts; from the cited paper.) The feature map elu(x) + 1 gives a positive similarity.",
    reading="In a floating-point format, as its formula reads: elu(x) rounded, then 1 added and rounded.",
    precise="The computed feature is positive for every finite x.",
    sources=(KATHAROPOULOS.at("feature maps and computational cost"),),
    scope="float16, bfloat16, float32 and float64; whole entries x in the search",
    unsaid="x > −(p + 1) log 2 for p significant bits (−17.3… in float32, −6.2… in bfloat16), or exp(x) computed directly for x ≤ 0, and no underflow",
    corrected_by="linear.where-elu-plus-one-vanishes",
    holds=_elu_in_format,
    worked=_elu_format_worked,
)


def _is_positive_feature(entry: int, constant: int, degree: int) -> Outcome:
    """The weak sense: not negative."""
    return decided((entry + constant) ** degree >= 0)


def _sign_of_power(entry: int, constant: int, degree: int) -> Outcome:
    base, feature = entry + constant, (entry + constant) ** degree
    even = feature >= 0 and (feature == 0) == (base == 0)
    odd = (feature > 0) == (base > 0) and (feature < 0) == (base < 0)
    return decided((odd if degree % 2 else even) and (base <= 0 or feature > 0))


def _power_worked(entry: int, constant: int, degree: int) -> str:
    return f"x = {entry}, c = {constant}, d = {degree}: (x + c)^d = ({entry + constant})^{degree} = {(entry + constant) ** degree}, which is negative; a positive kernel function would need a feature of at least 0."


degree, base, root = sp.Symbol("p", integer=True, positive=True), sp.Symbol("y", positive=True), sp.Symbol("g", integer=True, nonnegative=True)


@derived(
    Claim(
        id="linear.sign-of-a-power",
        title="(x + c)^d is positive for x > −c; elsewhere it has the sign of x + c (d odd) or is at least 0, and 0 at x = −c (d even)",
        states="(Not in the text; the corrected form of linear.polynomial-feature-is-positive.) Where the polynomial feature is positive.",
        precise=r"With $y = x + c$: $y^d > 0$ for $y > 0$; for odd $d = 2g + 1$, $-y\,(y^2)^g < 0$; for even $d = 2h$, $h > 0$, $(u^2)^h \ge 0$ for every real $u$, and $0^d = 0$.",
        sources=(S0.at("Kernel Functions"),),
        scope="every real x and c, every whole d ≥ 1",
        holds=_sign_of_power,
    )
)
def sign_of_a_power() -> Iterator[Step]:
    yield Step(sp.UnevaluatedExpr(sp.S.Zero) ** degree, "=", sp.S.Zero, "x = −c: x + c = 0, and so is every power of it of a degree p ≥ 1")
    yield Step(
        -base * (base**2) ** root, "<", sp.S.Zero, "x < −c and d = 2g + 1 odd: at x + c = −y the feature is negative", certificate=base * (base**2) ** root
    )
    yield Step(sp.S.Zero, "<", (base**2) ** degree, "x ≠ −c and d = 2p even: (±y)^(2p) = (y²)^p")
    yield Step(sp.S.Zero, "<", base**degree, "x > −c, so x + c = y > 0: a power of a positive number is positive, whatever its degree")


@derived(
    Claim(
        id="linear.polynomial-feature-is-positive",
        title="φ(x) = (x + c)^d is a positive kernel function",
        states="Among the positive kernel functions is the polynomial φ(x) = (x + c)^d.",
        reading="c and the degree d ≥ 1 are chosen once; the entries x of queries and keys are whatever the projections give. The feature is positive, at least in the weak sense of not being negative, which is what the search looks at.",
        precise=r"$(x + c)^d \ge 0$ for every real entry $x$. False for every odd $d$ at every $x < -c$; in width 1, two keys with features $y$ and $-y$ then have the denominator 0. For even $d$ it is true in the weak sense only: 0 at $x = -c$. "
        r"With the assumption, $x + c = y > 0$, the feature is positive.",
        sources=(S0.at("Kernel Functions"),),
        scope="every real x and c, every whole d ≥ 1",
        inventory=("C123",),
        unsaid="every entry of the queries and keys is larger than −c (or d is even, and no entry equals −c where a positive value is needed)",
        corrected_by="linear.sign-of-a-power",
        holds=_is_positive_feature,
        worked=_power_worked,
    )
)
def polynomial_feature_is_positive() -> Iterator[Step]:
    yield Step(sp.S.Zero, "<", base**degree, "with the assumption: x + c = y > 0, and so is every power of it")
    yield Step(
        sp.S.Zero, "<", total(sp.exp(x[a]) ** degree * sp.exp(y[a]) ** degree, a),
        "so is the kernel: entries above −c have x_a + c = exp(ξ_a), and every product of features is positive",
    )  # fmt: skip


def elementwise_kernel(query: Row, key: Row, constant: int, degree: int) -> int:
    return sum((p + constant) ** degree * (q + constant) ** degree for p, q in zip(query, key, strict=True))


def _elementwise_is_polynomial(query: Row, key: Row, constant: int, degree: int) -> Outcome:
    return decided(elementwise_kernel(query, key, constant, degree) == (dot(query, key) + constant) ** degree)


def _tensor_features(vector: Row, constant: int, degree: int) -> list[tuple[int, int]]:
    """Every product of `degree` factors drawn from the entries and one constant: the feature, and its weight in the kernel (a power of the constant)."""
    features = [(1, 1)]
    for _ in range(degree):
        features = [(feature * entry, weight * by) for feature, weight in features for entry, by in (*((entry, 1) for entry in vector), (1, constant))]
    return features


def _monomials_are_polynomial(query: Row, key: Row, constant: int, degree: int) -> Outcome:
    pairs = list(zip(_tensor_features(query, constant, degree), _tensor_features(key, constant, degree), strict=True))
    value = sum(weight * one * two for (one, weight), (two, _) in pairs)
    return decided(len(pairs) == (len(query) + 1) ** degree and value == (dot(query, key) + constant) ** degree)


def _elementwise_worked(query: Row, key: Row, constant: int, degree: int) -> str:
    terms = " + ".join(f"({p + constant})^{degree}·({q + constant})^{degree}" for p, q in zip(query, key, strict=True))
    return (
        f"x = {list(query)}, y = {list(key)}, c = {constant}, d = {degree}. The features' inner product is {terms} = {elementwise_kernel(query, key, constant, degree)}; "
        f"the polynomial kernel is (x·y + c)^d = ({dot(query, key)} + {constant})^{degree} = {(dot(query, key) + constant) ** degree}. The two would have to be equal."
    )


@derived(
    Claim(
        id="linear.polynomial-kernel-features",
        title="The features of the polynomial kernel (x·y + c)^p are the products of p entries of (x, √c)",
        states="(Not in the text; the corrected form of linear.elementwise-power-is-polynomial-kernel.) All monomials up to degree p, not the powers of single entries.",
        precise=r"If $(x\cdot y + c)^p = \sum_r\phi_r(x)\,\phi_r(y)$, then $(x\cdot y + c)^{p+1} = \sum_r\sum_a \phi_r(x)x_a\,\phi_r(y)y_a + \sum_r\sqrt c\,\phi_r(x)\,\sqrt c\,\phi_r(y)$: by "
        r"induction from the one feature 1, $(d + 1)^p$ features. Entry by entry, $(x_a + c)^p$ has the kernel $\sum_a(x_a + c)^p(y_a + c)^p$.",
        sources=(S0.at("Kernel Functions"),),
        scope="every width d, every degree p ≥ 0, every c ≥ 0 (for c < 0 the weight of a monomial may be negative)",
        holds=_monomials_are_polynomial,
    )
)
def polynomial_kernel_features() -> Iterator[Step]:
    constant = sp.Symbol("c", nonnegative=True)
    of_x, of_y = sp.IndexedBase("phi", real=True), sp.IndexedBase("psi", real=True)
    sofar = total(of_x[r] * of_y[r], r)
    by_entry = total(total(of_x[r] * x[a] * (of_y[r] * y[a]), a), r)
    by_constant = total(sp.sqrt(constant) * of_x[r] * (sp.sqrt(constant) * of_y[r]), r)
    yield Step((total(x[a] * y[a], a) + constant) ** sp.UnevaluatedExpr(sp.S.Zero), "=", sp.S.One, "degree 0: the one feature 1")
    yield Step(
        sofar * (total(x[a] * y[a], a) + constant), "=", by_entry + by_constant,
        "one degree more: every feature so far times every entry, and times √c, so (d + 1) times as many features",
    )  # fmt: skip


@derived(
    Claim(
        id="linear.elementwise-power-is-polynomial-kernel",
        title="φ(x) = (x + c)^d, entry by entry, is the feature map of the polynomial kernel",
        states="The polynomial kernel function is φ(x) = (x + c)^d.",
        reading="φ acts on each entry of q and of k, as the formula above the list applies it; the polynomial kernel of degree d is (q·k + c)^d, with c ≥ 0 (else it is no kernel). "
        "(Were φ(x) the value of the kernel at x = q·k, it would be the polynomial kernel itself, but then there is no φ(Q) to multiply with.)",
        precise=r"$\sum_a(x_a + c)^p(y_a + c)^p = (x\cdot y + c)^p$ for all $x, y$. False for every degree $p \ge 1$ and every width if $c > 0$: at $x = 0$ the right-hand side does not depend "
        r"on $y$, and the left-hand side does. False for $c = 0$ too unless $p = 1$ or the width is 1.",
        sources=(S0.at("Kernel Functions"),),
        scope="every width, every c ≥ 0, every whole degree p ≥ 1",
        inventory=("C124",),
        corrected_by="linear.polynomial-kernel-features",
        holds=_elementwise_is_polynomial,
        worked=_elementwise_worked,
    )
)
def elementwise_power_is_polynomial_kernel() -> Iterator[Step]:
    alpha, beta = sp.Symbol("alpha", real=True), sp.Symbol("beta", positive=True)
    constant = sp.exp(alpha)
    low, high = (total(constant**degree * sp.exp(alpha + lift) ** degree, a) for lift in (0, beta))
    yield Step(
        low, "!=", high,
        "c = exp(α) > 0, x = 0, y_a = 0 or y_a = exp(α + β) − c > 0: entry by entry the kernel grows with y, (x·y + c)^p stays c^p",
        certificate=d * sp.exp(2 * alpha * degree) * (sp.exp(beta * degree) - 1),
    )  # fmt: skip
    more = sp.Symbol("q", positive=True)
    yield Step(
        sp.exp(beta), "!=", sp.exp(beta * (1 + more)),
        "c = 0, x = y = 1, width d = exp(β) > 1, degree 1 + q > 1: entry by entry the kernel is d, the polynomial kernel is d^(1 + q)",
        certificate=sp.exp(beta) * (sp.exp(beta * more) - 1),
    )  # fmt: skip


# --- without the denominator ----------------------------------------------------------------------------------------------------------


def _undivided(query: Row, keys: Matrix, values: Row) -> arb:
    """Σ_j κ_j v_j with the exact kernel κ_j = exp(q·k_j)."""
    return sum((ball(dot(query, key)).exp() * value for key, value in zip(keys, values, strict=True)), arb(0))


def _softmax_output(query: Row, keys: Matrix, values: Row) -> arb:
    return sum((p * value for p, value in zip(softmax_weights(query, keys), values, strict=True)), arb(0))


def _undivided_is_near(query: Row, keys: Matrix, values: Row) -> Outcome:
    gap = _undivided(query, keys, values) - _softmax_output(query, keys, values)
    return exact.at_most(abs(gap), ball(Fraction(max(map(abs, values)), 2)))


def _divided_is_exact(query: Row, keys: Matrix, values: Row) -> Outcome:
    mass = _undivided(query, keys, [1] * len(keys))
    return exact.equal(_undivided(query, keys, values) / mass, _softmax_output(query, keys, values))


def _undivided_worked(query: Row, keys: Matrix, values: Row) -> str:
    scores = [dot(query, key) for key in keys]
    return (
        f"q = {list(query)}, keys {', '.join(str(list(key)) for key in keys)}, values {list(values)}, and the best features possible: φ(q)·φ(k) = exp(q·k). "
        f"The scores are {', '.join(map(str, scores))}. Undivided, Σ exp(q·k_j) v_j = {exact.show(_undivided(query, keys, values))}; softmax attention is "
        f"{exact.show(_softmax_output(query, keys, values))}. The denominator Σ exp(q·k_j) = {exact.show(_undivided(query, keys, [1] * len(keys)))} is missing. The two differ by "
        f"{exact.show(abs(_undivided(query, keys, values) - _softmax_output(query, keys, values)))}, and the statement allows half of the largest value, {Fraction(max(map(abs, values)), 2)}."
    )


copies, one_kernel = sp.Symbol("N", integer=True, positive=True), sp.Symbol("kappa", positive=True)


@derived(
    Claim(
        id="linear.normaliser-is-needed",
        title="Divided by φ(Q)(φ(K)ᵀ1), the kernel exp(q·k) gives softmax attention exactly",
        states="(Not in the text; the corrected form of linear.attention-without-normaliser.) Attention is the quotient.",
        precise=r"$\dfrac{\sum_j\kappa_{ij}V_{je}}{\sum_j\kappa_{ij}}$ is softmax attention for $\kappa_{ij} = e^{s_{ij}}$, and returns $v$ from any number of copies of one key and value, for every "
        r"kernel value $\kappa > 0$.",
        sources=(S1.at("Performer (Linear Attention)"), S0.at("Kernel Methods for Attention")),
        scope="every n, d and d_v, every real query, keys and values",
        holds=_divided_is_exact,
    )
)
def normaliser_is_needed() -> Iterator[Step]:
    score, shift = sp.IndexedBase("s", real=True), sp.Symbol("mu", real=True)
    mass = total(sp.exp(score[j]), j)
    shifted = total(sp.exp(score[l] - shift), l)
    yield Step(total(one_kernel * u, j) / total(one_kernel, j), "=", u, "n copies of one key and value u: the common kernel value cancels, whatever it is")
    yield Step(
        total(sp.exp(score[j]) * V[j, e], j) / mass, "=", total(sp.exp(score[j] - shift) / shifted * V[j, e], j),
        "for the kernel exp(s) the quotient is the softmax average (as computed, with any stabiliser μ)",
    )  # fmt: skip


@derived(
    Claim(
        id="linear.attention-without-normaliser",
        title="Attention(Q, K, V) ≈ φ(Q)(φ(K)ᵀV)",
        states="The key idea of Performer is that attention is approximately φ(Q)(φ(K)ᵀV), for a feature map φ.",
        reading="As the formula stands, without a denominator, where φ maps one query or key at a time, and may be made for a known number of keys (features normalised over all keys at hand would carry the denominator inside). "
        "Near means within half of the largest value. The search grants the formula the kernel φ(q)·φ(k) = exp(q·k); the derivation allows any other.",
        precise=r"$|\sum_j\kappa_jv_j - \sum_jp_jv_j| \le \tfrac12\max_j|v_j|$. False for every feature map, even one made for a fixed number $n = 2N$ of keys. Take keys whose scores with one query fall by $\log 8$ from $k_1$ to $k_2$ and "
        r"again to $k_3$, and let $c_i = N\kappa(q, k_i)$. With $2N$ copies of $k_i$ and all values 1, attention is 1 and the formula gives $2c_i$, so $\tfrac14 \le c_i \le \tfrac34$. With $N$ copies of $k_1$ of value 1 and $N$ of $k_2$ of "
        r"value $-1$, attention is $\tfrac79$ and the formula gives $c_1 - c_2$, so $c_1 - c_2 \ge \tfrac79 - \tfrac12$; likewise $c_2 - c_3$. Together $c_1 - c_3 \ge \tfrac59$, and it is at most $\tfrac34 - \tfrac14$. (The answer 0 would have at most the error 1.)",
        sources=(S1.at("Performer (Linear Attention)"),),
        scope="every map of one query or key at a time, whatever its kernel values, every even number of keys; real queries, keys and values",
        inventory=("C131",),
        corrected_by="linear.normaliser-is-needed",
        holds=_undivided_is_near,
        worked=_undivided_worked,
    )
)
def attention_without_normaliser() -> Iterator[Step]:
    lead = sp.exp(sp.UnevaluatedExpr(sp.log(8)))  # of the nearer key's exponential over that of the next one
    attended = (copies * lead - copies) / (copies * lead + copies)
    yield Step(
        attended, "=", sp.Rational(7, 9), "N copies of the key with the larger score, by log 8, have the value 1, and N copies of the other −1: their attention"
    )
    fewer, more, nearer, farther = sp.symbols("x y z w", nonnegative=True)
    half, quarter = sp.Rational(1, 2), sp.Rational(1, 4)
    apart = sp.Rational(7, 9) - half
    yield Step(
        3 * quarter - fewer, "<", sp.UnevaluatedExpr(quarter + more) + sp.UnevaluatedExpr(apart + nearer) + sp.UnevaluatedExpr(apart + farther),
        "if no error were above 1/2, then equal keys would force c₁ = 3/4 − x and c₃ = 1/4 + y, and two different keys c₁ − c₂ = 5/18 + z and c₂ − c₃ = 5/18 + w, as 7/9 − 1/2 = 5/18; "
        "but c₃ and the two differences add up to more than c₁",
        certificate=sp.Rational(1, 18) + fewer + more + nearer + farther,
    )  # fmt: skip


# --- Taylor features ------------------------------------------------------------------------------------------------------------------


def taylor_features(vector: Row, order: int) -> list[tuple[int, Fraction]]:
    """(1, x) or (1, x, x ⊗ x/√2): each feature with the square of its factor, so that all numbers are fractions."""
    features = [(1, Fraction(1)), *((entry, Fraction(1)) for entry in vector)]
    return features + [(one * two, Fraction(1, 2)) for one, two in product(vector, vector)] * (order == 2)


def taylor_kernel(query: Row, key: Row, order: int) -> Fraction:
    pairs = zip(taylor_features(query, order), taylor_features(key, order), strict=True)
    return sum((weight * one * two for (one, weight), (two, _) in pairs), Fraction(0))


def _taylor_is_positive(query: Row, key: Row) -> Outcome:
    score = dot(query, key)
    first, second = taylor_kernel(query, key, 1), taylor_kernel(query, key, 2)
    count = len(taylor_features(query, 2))
    return decided(
        first == 1 + score
        and (first > 0) == (score > -1)
        and second == 1 + score + score**2 / 2 >= Fraction(1, 2)
        and count == 1 + len(query) + len(query) ** 2
    )


def _second_order(score: sp.Expr) -> sp.Expr:
    return 1 + score + score**2 / 2


@derived(
    Claim(
        id="linear.taylor-features-positive",
        title="Second-order Taylor features keep every kernel value at or above 1/2; first-order ones are positive only for scores above −1",
        states="(Not in the texts; a feature map of our choice.) The exponential is replaced by its Taylor polynomial of second order, so that linear attention approximates attention.",
        precise=r"The features $(1, x)$ have the kernel $1 + x\cdot y$, which is 0 at $x\cdot y = -1$ and negative below; the $1 + d + d^2$ features $(1, x, x\otimes x/\sqrt2)$ have the kernel "
        r"$1 + x\cdot y + (x\cdot y)^2/2 = \tfrac12\bigl((x\cdot y + 1)^2 + 1\bigr) \ge \tfrac12$.",
        sources=(S0.at("Linear Attention Approximations"), KATHAROPOULOS.at("feature maps and computational cost")),
        scope="every width d, every real query and key",
        holds=_taylor_is_positive,
    )
)
def taylor_features_positive() -> Iterator[Step]:
    score = total(x[a] * y[a], a)
    pairs = total(total(x[a] * x[b] / sp.sqrt(2) * (y[a] * y[b] / sp.sqrt(2)), a), b)
    below = sp.Symbol("y", positive=True)
    yield Step(1 + (-1 - below), "<", sp.S.Zero, "first order: at x·y = −1 − y the kernel value is −y", certificate=below)
    yield Step(sp.S.Zero, "<", 1 + (-1 + below), "and at x·y = −1 + y it is y")
    yield Step(1 + score + pairs, "=", _second_order(score), "second order: the d² products of two entries give (x·y)²/2")
    yield Step(sp.Rational(1, 2), "<=", _second_order(u), "with u = x·y a square and a half", certificate=(u + 1) ** 2 / 2)


def _remainder_is_small(score: Fraction, slack: Fraction) -> Outcome:
    """|1 − T(s) exp(−s)| ≤ B³ exp(B)/6 for B = |s| + slack; and from both sides, |s|³/6 times a factor between 1 and exp(−s)."""
    bound = abs(score) + slack
    error = abs(1 - ball(1 + score + score**2 / 2) * ball(-score).exp())
    cube, factors = ball(abs(score) ** 3 / 6), (arb(1), ball(-score).exp())
    low, high = factors if score < 0 else factors[::-1]
    return Outcome.worst([exact.at_most(error, ball(bound**3 / 6) * ball(bound).exp()), exact.at_most(cube * low, error), exact.at_most(error, cube * high)])


@derived(
    Claim(
        id="linear.taylor-error",
        title="For scores within ±B the second-order kernel has a relative error of at most B³e^B/6 (and s³/6 at s ≥ 0)",
        states="(Not in the texts; a feature map of our choice.) The exponential is replaced by its Taylor polynomial of second order, so that linear attention approximates attention.",
        precise=r"$\bigl|1 - (1 + s + s^2/2)\,e^{-s}\bigr| \le \tfrac16B^3e^{B}$ for $|s| \le B$; for $s \ge 0$ it is at most $s^3/6$. At $s = -y \le 0$ it lies between "
        r"$\tfrac16y^3$ and $\tfrac16y^3e^y$, at $s = y \ge 0$ between $\tfrac16y^3e^{-y}$ and $\tfrac16y^3$.",
        sources=(S0.at("Linear Attention Approximations"),),
        scope="every real s and every B ≥ |s|",
        kind=Kind.APPROXIMATION,
        holds=_remainder_is_small,
    )
)
def taylor_error() -> Iterator[Step]:
    size, slack = sp.Symbol("y", nonnegative=True), sp.Symbol("h", nonnegative=True)
    at, rest = sp.Symbol("t", nonnegative=True), sp.Symbol("z", nonnegative=True)  # y = t + z
    yield Step(
        sp.Derivative(sp.exp(at) * _second_order(size - at), at), "=", sp.exp(at) * (size - at) ** 2 / 2,
        "s = y ≥ 0: F(t) = e^t T(y − t) is T(y) at t = 0 and e^y at t = y; in between z = y − t ≥ 0, and its slope is e^t z²/2",
    )  # fmt: skip
    yield Step(
        rest**2 / 2, "<=", sp.exp(at) * rest**2 / 2, "a slope of at least z²/2, so F(t) + z³/6 does not fall: e^y ≥ T(y) + y³/6", certificate=(sp.exp(at) - 1) * rest**2 / 2
    )  # fmt: skip
    yield Step(
        sp.exp(at) * rest**2 / 2, "<=", sp.exp(at + rest) * rest**2 / 2, "and of at most e^y z²/2, so F(t) + e^y z³/6 does not rise: e^y ≤ T(y) + e^y y³/6",
        certificate=sp.exp(at) * (sp.exp(rest) - 1) * rest**2 / 2,
    )  # fmt: skip
    yield Step(
        sp.Derivative(sp.exp(-at) * _second_order(-(size - at)), at), "=", -sp.exp(-at) * (size - at) ** 2 / 2,
        "s = −y: H(t) = e^(−t) T(−(y − t)) is T(−y) at t = 0 and e^(−y) at t = y, and falls with the slope −e^(−t) z²/2",
    )  # fmt: skip
    yield Step(
        sp.exp(-at) * rest**2 / 2, "<=", rest**2 / 2, "by at most z²/2, so H(t) − z³/6 does not fall: T(−y) ≤ e^(−y) + y³/6", certificate=(1 - sp.exp(-at)) * rest**2 / 2
    )  # fmt: skip
    yield Step(
        sp.exp(-at - rest) * rest**2 / 2, "<=", sp.exp(-at) * rest**2 / 2, "and by at least e^(−y) z²/2, so H(t) − e^(−y) z³/6 does not rise: T(−y) ≥ e^(−y) + e^(−y) y³/6",
        certificate=sp.exp(-at) * (1 - sp.exp(-rest)) * rest**2 / 2,
    )  # fmt: skip
    end = size + slack
    yield Step(
        size**3 / 6 / sp.exp(-size), "<=", end**3 * sp.exp(end) / 6, "the error at s = −y, divided by e^s, is at most B³e^B/6 for every B = y + h; at s = y it is at most y³/6, which is less",
        certificate=sp.expand(end**3 - size**3) * sp.exp(end) / 6 + size**3 * sp.exp(size) * (sp.exp(slack) - 1) / 6,
    )  # fmt: skip


def _ratios_bounded(weights: Sequence[Fraction], errors: Sequence[Fraction], spare: Fraction) -> Outcome:
    """p'_j/p_j within (1 − δ)/(1 + δ) and (1 + δ)/(1 − δ), where κ_j = w_j (1 + error_j) and δ ≥ |error_j|."""
    delta = max(map(abs, errors)) + spare * (1 - max(map(abs, errors)))
    moved = [w * (1 + error) for w, error in zip(weights, errors, strict=True)]
    ratios = [(q / sum(moved)) / (p / sum(weights)) for p, q in zip(weights, moved, strict=True)]
    return decided(delta < 1 and all((1 - delta) / (1 + delta) <= ratio <= (1 + delta) / (1 - delta) for ratio in ratios))


exact_weight = sp.IndexedBase("w", positive=True)
above_low, below_high = sp.IndexedBase("x", nonnegative=True), sp.IndexedBase("y", nonnegative=True)


@derived(
    Claim(
        id="linear.weights-from-kernel-error",
        title="Kernel values within a relative error δ < 1 give weights within a factor (1 + δ)/(1 − δ)",
        states="(Implied.) The kernel is approximated, and with it the attention weights.",
        precise=r"If $(1 - \delta)w_j \le \kappa_j \le (1 + \delta)w_j$ for every key, $w_j > 0$, $0 \le \delta < 1$, then "
        r"$\dfrac{1-\delta}{1+\delta}\,p_j \le \dfrac{\kappa_j}{\sum_l\kappa_l} \le \dfrac{1+\delta}{1-\delta}\,p_j$ with $p_j = w_j/\sum_lw_l$, however many keys there are.",
        sources=(S0.at("Linear Attention Approximations"),),
        scope="every number of keys; κ_j = w_j(1 − δ + x_j) with x_j ≥ 0 from below, κ_j = w_j(1 + δ − y_j) with y_j ≥ 0 from above",
        holds=_ratios_bounded,
    )
)
def weights_from_kernel_error() -> Iterator[Step]:
    yield from _two_sided()


def _two_sided() -> Iterator[Step]:
    """κ_j ≤ (1 + δ) w_j and Σκ ≥ (1 − δ) Σw, and the other way round. δ = g/(1 + g), g ≥ 0, stands for any 0 ≤ δ < 1."""
    gap = sp.Symbol("g", nonnegative=True)
    low, high = 1 / (1 + gap), (1 + 2 * gap) / (1 + gap)  # 1 − δ and 1 + δ
    whole = total(exact_weight[l], l)
    raised = total(exact_weight[l] * (low + above_low[l]), l)
    yield Step(
        low * whole,
        "<=",
        raised,
        "every kernel value is at least (1 − δ) w_l, so the denominator is at least (1 − δ) Σ w; any 0 ≤ δ < 1 is g/(1 + g), g ≥ 0",
        certificate=total(exact_weight[l] * above_low[l], l),
    )
    sunk = total(exact_weight[l] * (high - below_high[l]), l)
    yield Step(
        sunk, "<=", high * whole, "and at most (1 + δ) w_l, so the denominator is at most (1 + δ) Σ w", certificate=total(exact_weight[l] * below_high[l], l)
    )
    more, less = sp.Symbol("X", nonnegative=True), sp.Symbol("Y", nonnegative=True)
    mass, weight = sp.Symbol("W", positive=True), sp.Symbol("w_j", positive=True)
    yield Step(
        low * weight / (mass + less), "<=", weight * (low + more) / mass,
        "a key with κ_j = w_j(1 − δ + X), over a denominator W with W + Y = (1 + δ)Σw: its weight is at least (1 − δ)w_j/((1 + δ)Σw)",
        certificate=weight * (low * less + more * (mass + less)) / (mass * (mass + less)),
    )  # fmt: skip
    yield Step(
        weight * (high - less) / (low * mass + more), "<=", high / low * weight / mass,
        "a key with κ_j = w_j(1 + δ − Y), over a denominator of (1 − δ)W + X, W = Σw: its weight is at most (1 + δ)/(1 − δ) times w_j/W",
        certificate=weight * (high * more + less * low * mass) / (low * mass * (low * mass + more)),
    )  # fmt: skip


# --- causal: state, recurrence, chunks ------------------------------------------------------------------------------------------------


def _prefixes(queries: Matrix, keys: Matrix, values: Matrix) -> list[tuple[list[Fraction], Fraction]]:
    """Parallel: numerator and denominator of every row over its own prefix of keys."""
    return [by_weights(query, keys[: place + 1], values[: place + 1]) for place, query in enumerate(queries)]


State = tuple[Numbers, list[Fraction]]


def _grown(state: State, keys: Matrix, values: Matrix) -> State:
    """The state after some more keys."""
    S, z = state_of(keys, values)
    return [[p + q for p, q in zip(*pair, strict=True)] for pair in zip(state[0], S, strict=True)], [p + q for p, q in zip(state[1], z, strict=True)]


def _nothing(features: int, width: int) -> State:
    return [[Fraction(0)] * width for _ in range(features)], [Fraction(0)] * features


def _recurrent(queries: Matrix, keys: Matrix, values: Matrix) -> list[tuple[list[Fraction], Fraction]]:
    """One token at a time: S ← S + φ(k_t)v_tᵀ, z ← z + φ(k_t), then φ(q_t)S and φ(q_t)z."""
    state, rows = _nothing(len(keys[0]), len(values[0])), []
    for query, key, value in zip(queries, keys, values, strict=True):
        state = _grown(state, [key], [value])
        rows.append(by_state(query, state))
    return rows


def _chunked(queries: Matrix, keys: Matrix, values: Matrix, lengths: Sequence[int]) -> list[tuple[list[Fraction], Fraction]]:
    """Whole chunks before the query through the state, the query's own chunk through its kernel values."""
    state, rows, start = _nothing(len(keys[0]), len(values[0])), [], 0
    for length in [*lengths, len(keys)]:
        end = min(start + length, len(keys))
        for place in range(start, end):
            before, beside = by_state(queries[place], state), by_weights(queries[place], keys[start : place + 1], values[start : place + 1])
            rows.append(([p + q for p, q in zip(before[0], beside[0], strict=True)], before[1] + beside[1]))
        state, start = _grown(state, keys[start:end], values[start:end]) if end > start else state, end
    return rows


def _recurrent_is_parallel(queries: Matrix, keys: Matrix, values: Matrix) -> Outcome:
    return decided(_recurrent(queries, keys, values) == _prefixes(queries, keys, values))


def _chunked_is_parallel(queries: Matrix, keys: Matrix, values: Matrix, lengths: Sequence[int]) -> Outcome:
    return decided(_chunked(queries, keys, values, lengths) == _prefixes(queries, keys, values))


def _met(body: sp.Expr) -> sp.Expr:
    """Σ_j over the keys that the state has met."""
    return total(seen[j] * body, j)


@derived(
    Claim(
        id="linear.causal-is-recurrent",
        title="Causal linear attention is a recurrence over a state of fixed size",
        states="(Not in the texts; from the cited paper.) Causal linear attention is an RNN with the state S_t = S_{t−1} + φ(k_t)v_tᵀ.",
        reading="With the denominator, a second state z_t = z_{t−1} + φ(k_t) goes beside it, and the output is φ(q_t)S_t / φ(q_t)z_t.",
        precise=r"From $S_0 = 0$, $z_0 = 0$: $S_t = \sum_{j\le t}\phi(k_j)v_j^\top$, $z_t = \sum_{j\le t}\phi(k_j)$, and row $t$ of causal kernel attention is "
        r"$\phi(q_t)^\top S_t\,/\,\phi(q_t)^\top z_t$. (In the steps $A_j$ is 1 for the keys before $t$, else 0, so the keys up to $t$ have $A_j + \delta_{jt}$; $t$ is written $k$.)",
        sources=(S1.at("Performer (Linear Attention)"), S4.at("Linear Attention"), KATHAROPOULOS.at("transformers are RNNs")),
        scope="every n, m and d_v; any real features, wherever the row's denominator is not 0",
        assumes=("the denominator of the row is not 0",),
        inventory=("C134",),
        uses=("linear.as-kernel-attention",),
        holds=_recurrent_is_parallel,
    )
)
def causal_is_recurrent() -> Iterator[Step]:
    upto = seen[j] + sp.KroneckerDelta(j, k)
    state = total(upto * any_psi[j, r] * V[j, e], j)
    reach = total(upto * any_psi[j, r], j)
    yield Step(total(sp.S.Zero * any_psi[j, r] * V[j, e], j), "=", sp.S.Zero, "start: no key met, S_0 = 0")
    yield Step(
        state, "=", _met(any_psi[j, r] * V[j, e]) + any_psi[k, r] * V[k, e], "one token: S_t is S_{t−1} plus the outer product of its features and its value"
    )
    yield Step(reach, "=", _met(any_psi[j, r]) + any_psi[k, r], "and z_t is z_{t−1} plus its features")
    above, below = total(any_phi[k, r] * state, r), total(any_phi[k, r] * reach, r)
    mass = total(upto * kernel(k, j, any_phi, any_psi), j)
    quadratic = total(upto * kernel(k, j, any_phi, any_psi) * V[j, e], j) / mass
    yield Step(above / below, "=", quadratic, "read through φ(q_t), the state gives the causal row", nonzero=(below, mass))


@derived(
    Claim(
        id="linear.chunks-are-exact",
        title="Chunk by chunk, through the state for past chunks and the masked kernel within, causal linear attention is the same",
        states="(Not in the texts; from the cited paper.) Between the parallel and the recurrent form lies a chunked one.",
        precise=r"For a query in chunk $u$: $\phi(q)^\top S_{u-1} + \sum_{j\in u,\,j\le t}\kappa(q, k_j)\,v_j^\top = \sum_{j\le t}\kappa(q, k_j)\,v_j^\top$, the same with ones for the denominator, and "
        r"$S_u = S_{u-1} + \phi(K_u)^\top V_u$.",
        sources=(S1.at("Performer (Linear Attention)"), YANG.at("chunkwise parallel form")),
        scope="every n, m and d_v, every way to cut the tokens into chunks, chunks of one token (the recurrence) and one chunk (the parallel form) included; any real features",
        uses=("linear.causal-is-recurrent",),
        holds=_chunked_is_parallel,
    )
)
def chunks_are_exact() -> Iterator[Step]:
    past = _met(any_psi[j, r] * V[j, e])
    beside = total(here[j] * kernel(i, j, any_phi, any_psi) * V[j, e], j)
    both = seen[j] + here[j]
    yield Step(total(sp.S.Zero * any_psi[j, r] * V[j, e], j), "=", sp.S.Zero, "start: before the first chunk the state is 0")
    yield Step(
        total(both * any_psi[j, r] * V[j, e], j), "=", past + total(here[j] * any_psi[j, r] * V[j, e], j),
        "one chunk more: the state of two disjoint sets of keys is the sum of their states (A: keys before the chunk, B: the whole chunk)",
    )  # fmt: skip
    yield Step(
        total(any_phi[i, r] * _met(any_psi[j, r]), r) + total(here[j] * kernel(i, j, any_phi, any_psi), j), "=",
        total(both * kernel(i, j, any_phi, any_psi), j), "a query's denominator: past keys (A) through the state, those of its chunk that it sees (B) through their kernel values",
    )  # fmt: skip
    yield Step(
        total(any_phi[i, r] * past, r) + beside,
        "=",
        total(both * kernel(i, j, any_phi, any_psi) * V[j, e], j),
        "and in the same way its numerator, with the values",
    )


# --- what m features cannot do --------------------------------------------------------------------------------------------------------


def rank(matrix: Sequence[Sequence[Rational]]) -> int:
    """The rank over the rationals, by elimination."""
    rows, found = [[Fraction(entry) for entry in row] for row in matrix], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((row for row in rows[found:] if row[column]), None)
        if pivot is None:
            continue
        rest = [row for row in rows[found:] if row is not pivot]
        rows[found:] = [pivot, *([p - row[column] / pivot[column] * q for p, q in zip(row, pivot, strict=True)] for row in rest)]
        found += 1
    return found


def _rank_is_bounded(queries: Matrix, state: Matrix) -> Outcome:
    """rank(φ(Q)S) ≤ m; and m keys with one-hot features are recalled exactly."""
    read = [by_state(query, ([[Fraction(entry) for entry in row] for row in state], [Fraction(0)] * len(state)))[0] for query in queries]
    one_hot = [[int(place == other) for other in range(len(state))] for place in range(len(state))]
    recalled = [output(by_state(key, state_of(one_hot, state))) for key in one_hot]
    return decided(rank(read) <= len(state) and recalled == [list(row) for row in state])


@derived(
    Claim(
        id="linear.state-capacity",
        title="A state of m features recalls at most m linearly independent values, and m can be recalled",
        states="(Implied.) State compression keeps the history in a state of fixed size; one of m features stores at most m independent associations, as rank(φ(Q)S) ≤ m.",
        reading="Whatever was written to the state S [m, d_v], by whatever rule: what queries read from it, φ(q_i)S, divided by a denominator or not.",
        precise=r"Read with any queries, $\phi(Q)S$ has rank at most $m$: each row is $\sum_r\phi_{ir}S_{r\cdot}$, a combination of the $m$ rows of $S$; so more than $m$ linearly independent values cannot all be "
        r"read exactly. With one-hot features $\psi_{jr} = \delta_{jr}$, $m$ values are read exactly, and with denominator 1.",
        sources=(S1.at("Streaming Attention"), SCHLAG.at("capacity limitation")),
        scope="every n, m and d_v, every state and all real features; dividing a row by a number leaves the rank as it is",
        inventory=("C135",),
        holds=_rank_is_bounded,
    )
)
def state_capacity() -> Iterator[Step]:
    state, coefficient = sp.IndexedBase("S", real=True), sp.IndexedBase("beta", real=True)
    value = sp.IndexedBase("v", real=True)
    yield Step(
        total(sp.KroneckerDelta(t, r) * value[t, e], t), "=", value[r, e], "one-hot features: row r of S is the value of key r alone, so query r reads it"
    )
    yield Step(total(sp.KroneckerDelta(t, r), t), "=", sp.S.One, "and its denominator is 1, so m values are read exactly, by m queries")
    combined = total(coefficient[j] * any_phi[j, r], j)
    yield Step(
        total(coefficient[j] * total(any_phi[j, r] * state[r, e], r), j), "=", total(combined * state[r, e], r),
        "no more: whatever queries read, and any combination of it, is a combination of the m rows of S, so at most m of the readings are linearly independent",
    )  # fmt: skip


def _powers_have_full_rank(queries: Row, keys: Row) -> Outcome:
    """κ = exp(q k log 2) = 2^(q k): as many independent rows as there are different queries, or different keys, whichever are fewer."""
    table = [[Fraction(2) ** (query * key) for key in keys] for query in queries]
    return decided(rank(table) == min(len(set(queries)), len(set(keys))))


@derived(
    Claim(
        id="linear.no-finite-features-for-exp",
        title="No feature map into finitely many dimensions has the kernel exp(q·k)",
        states="(Implied.) Linear attention only approximates softmax attention: no feature map of fixed size gives it exactly.",
        precise=r"If $e^{q\cdot k} = \sum_{r=1}^m\phi_r(q)\,\psi_r(k)$ for all $q$ and $k$, then $m + 1$ keys have coefficients $\beta$, not all 0, with $\sum_j\beta_je^{q\cdot k_j} = 0$ for every $q$ ($m$ equations "
        r"$\sum_j\beta_j\psi_{jr} = 0$). Along a direction in which the keys differ (positions $y_j$), $\mathrm d/\mathrm du - y_k$ removes one exponential and multiplies the others by $y_j - y_k \ne 0$; "
        r"after $m$ such steps one exponential is left, with a coefficient that must be 0. So all are. A factor $g(q) \ne 0$ changes nothing: divide $\phi(q)$ by it. So no finite features give softmax's weights for all keys, "
        r"since weights fix the kernel up to such a factor.",
        sources=(S0.at("Linear Attention Approximations"), S4.at("Linear Attention"), HORN.at("Section 0.2.3")),
        scope="every m and every width d ≥ 1; any real features, of either sign",
        holds=_powers_have_full_rank,
    )
)
def no_finite_features_for_exp() -> Iterator[Step]:
    coefficient, own, at = sp.IndexedBase("beta", real=True), sp.IndexedBase("phi", real=True), sp.IndexedBase("y", real=True)
    yield Step(
        total(coefficient[j] * total(own[r] * any_psi[j, r], r), j), "=", total(own[r] * total(coefficient[j] * any_psi[j, r], j), r),
        "a combination of kernel values vanishes for every query if its m feature sums vanish: m equations, and one coefficient more, so not all need be 0 (rank plus nullity)",
    )  # fmt: skip
    whole = sp.Symbol("Z", nonzero=True, real=True)  # the sum of the query's kernel values
    first, other = (total(own[r] * any_psi[key, r], r) for key in (j, l))
    yield Step(
        sp.UnevaluatedExpr(first / whole) / sp.UnevaluatedExpr(other / whole), "=", first / other,
        "a quotient of two weights is one of kernel values, whatever their sum Z is. So weights fix the kernel up to a factor: with a key l held fixed, every kernel value is κ(q, k_l) e^(−q·k_l) times e^(q·k), so the factor is g(q) = κ(q, k_l) e^(−q·k_l)",
        nonzero=(whole, other, other / whole),
    )  # fmt: skip
    scale = sp.Symbol("g", real=True)  # g(q)
    yield Step(
        total(coefficient[j] * (scale * sp.exp(at[j] * u)), j) / scale, "=", total(coefficient[j] * sp.exp(at[j] * u), j),
        "a kernel that gives softmax's weights is g(q) exp(q·k): its factor drops out", nonzero=(scale,),
    )  # fmt: skip
    combined = total(coefficient[j] * sp.exp(at[j] * u), j)
    yield Step(
        sp.Derivative(combined, u) - at[k] * combined, "=", total((1 - sp.KroneckerDelta(j, k)) * coefficient[j] * (at[j] - at[k]) * sp.exp(at[j] * u), j),
        "a combination that is 0 for every u stays 0 under d/du − y_k, which removes the exponential of key k and no other",
    )  # fmt: skip


def _slots_hold(query: Row, keys: Matrix, values: Matrix) -> Outcome:
    """The output is the mixture of the slots S_r/z_r with weights φ_r z_r/Σ φ_s z_s, and lies between their smallest and largest entries."""
    S, z = state_of(keys, values)
    slots = [[entry / mass for entry in line] for line, mass in zip(S, z, strict=True)]
    pulls = [own * mass for own, mass in zip(query, z, strict=True)]
    mixed = [dot(pulls, column) / sum(pulls) for column in zip(*slots, strict=True)]
    between = all(min(column) <= entry <= max(column) for entry, column in zip(mixed, zip(*slots, strict=True), strict=True))
    return decided(between and mixed == output(by_weights(query, keys, values)))


@derived(
    Claim(
        id="linear.outputs-mix-m-slots",
        title="With positive features every output is a mixture of m fixed vectors; the query only chooses the mixture",
        states="(Not in the text, which replaces softmax by positive kernel functions.) What m positive features leave of it.",
        precise=r"$o_i = \sum_r\pi_{ir}\,\bar v_r$ with $\bar v_r = \sum_j\psi_{jr}v_j / \sum_l\psi_{lr}$, an average of the values that no query changes, and $\pi_{ir} = \phi_{ir}z_r/\sum_t\phi_{it}z_t$, "
        r"$z_r = \sum_l\psi_{lr}$, positive and of sum 1: all outputs lie in the convex hull of $m$ points, however many keys there are.",
        sources=(S0.at("Kernel Methods for Attention"),),
        scope="every n, m and d_v, all positive features, real values",
        uses=("linear.as-kernel-attention",),
        holds=_slots_hold,
    )
)
def outputs_mix_m_slots() -> Iterator[Step]:
    reach, pull = total(psi[l, r], l), total(phi[i, t] * total(psi[l, t], l), t)
    yield Step(total(psi[j, r] / reach, j), "=", sp.S.One, "a slot is an average of the values: its weights share their denominator")
    yield Step(total(phi[i, r] * reach / pull, r), "=", sp.S.One, "the query's weights for the slots sum to one, and are positive")
    slot = total(psi[j, r] * V[j, e], j) / reach
    yield Step(
        total(kernel(i, j) * V[j, e], j) / total(kernel(i, l), l), "=", total(phi[i, r] * reach / pull * slot, r),
        "the state S divided row by row by z, and multiplied back",
    )  # fmt: skip


Features = Callable[[Row], Sequence[arb]]
MAPS: dict[str, Features] = {
    "exponential": exponentials,
    "relu": lambda row: [ball(relu(entry) + Fraction(1, 10)) for entry in row],
    "elu": lambda row: [elu_plus_one(entry) for entry in row],
}
FORMULAS = {"exponential": "exp(x)", "relu": "ReLU(x) + 1/10", "elu": "elu(x) + 1"}


def _near_softmax(features: str, queries: Matrix, keys: Matrix) -> Outcome:
    gaps = [distance(kernel_weights(query, keys, MAPS[features]), softmax_weights(query, keys)) for query in queries]
    return exact.at_most(gaps, [Fraction(1, 2)] * len(gaps))


def _own_keys_share_m(features: str, queries: Matrix, keys: Matrix) -> Outcome:
    """Σ_i p'_ii ≤ m; hence the mass that has to move from softmax is at least Σ_i p_ii − m, over all rows."""
    ours = [kernel_weights(query, keys, MAPS[features]) for query in queries]
    theirs = [softmax_weights(query, keys) for query in queries]
    width = len(queries[0])
    own = sum((row[place] for place, row in enumerate(ours)), arb(0))
    moved = sum((distance(p, q) for p, q in zip(ours, theirs, strict=True)), arb(0))
    return Outcome.worst([exact.at_most(own, width), exact.at_most(sum((row[place] for place, row in enumerate(theirs)), arb(0)) - width, moved)])


def _near_worked(features: str, queries: Matrix, keys: Matrix) -> str:
    lines = []
    for query in dict.fromkeys(tuple(query) for query in queries):
        ours, theirs, own = kernel_weights(query, keys, MAPS[features]), softmax_weights(query, keys), MAPS[features](query)
        values = [sum((p * q for p, q in zip(own, MAPS[features](key), strict=True)), arb(0)) for key in keys]
        lines.append(
            f"- q = {list(query)}: the scores {', '.join(str(dot(query, key)) for key in keys)} give softmax the weights {', '.join(map(exact.show, theirs))}. The features of q are "
            f"{', '.join(map(exact.show, own))}, the kernel values {', '.join(map(exact.show, values))}, and divided by their sum {', '.join(map(exact.show, ours))}. "
            f"The mass that has to move is {exact.show(distance(ours, theirs))}."
        )
    told = "; ".join(f"{list(key)} has {', '.join(map(exact.show, MAPS[features](key)))}" for key in dict.fromkeys(tuple(key) for key in keys))
    return (
        f"Features {FORMULAS[features]}, entry by entry; keys {', '.join(str(list(key)) for key in keys)}, of which {told}. The statement allows a mass of at most 1/2 to be in the "
        "wrong place, for every query.\n\n" + "\n".join(lines)
    )


@derived(
    Claim(
        id="linear.own-keys-share-m",
        title="With m positive features, n queries give their own keys a total weight of at most m",
        states="(Not in the text; the corrected form of linear.approximates-attention.) What no linear attention with a fixed number of positive features can approximate.",
        precise=r"$\sum_{i=1}^n p'_{ii} \le m$ for positive features, whatever they are. Softmax with $q_i = \tau k_i$ and distinct unit keys ($d \ge 2$) has $\sum_ip_{ii} \to n$ as $\tau\to\infty$; and on average over the rows at least "
        r"$\bar p - m/n$ of the mass is in the wrong place, $\bar p = \tfrac1n\sum_ip_{ii}$.",
        sources=(S4.at("Linear Attention"),),
        scope="every n and m, all positive features of n queries and n keys (which key is a query's own is a matter of naming)",
        holds=_own_keys_share_m,
    )
)
def own_keys_share_m() -> Iterator[Step]:
    reach, pull = total(psi[l, r], l), total(phi[i, t] * total(psi[l, t], l), t)
    others = total((1 - sp.KroneckerDelta(r, t)) * phi[i, t] * total(psi[l, t], l), t)
    rival, gap = sp.IndexedBase("x", nonnegative=True), sp.Symbol("R", nonnegative=True)
    mass = sp.Sum(sp.exp(-gap - rival[j]), (j, 1, copies))
    yield Step(
        1 - copies * sp.exp(-gap), "<=", 1 / (1 + mass), "softmax: N other keys, each R or more below the own key's score, leave it at least 1 − N exp(−R)",
        certificate=sp.Sum(sp.exp(-gap) * (1 - sp.exp(-rival[j])), (j, 1, copies)) + mass**2 / (1 + mass),
    )  # fmt: skip
    yield Step(
        (total(x[a] ** 2, a) + total(y[a] ** 2, a)) / 2 - total(x[a] * y[a], a), "=", total((x[a] - y[a]) ** 2, a) / 2,
        "for unit keys x and y the left side is 1 − x·y, so with q = τx every other key's score is τ|x − y|²/2 below the own key's: R grows with τ",
    )  # fmt: skip
    own, rest = sp.symbols("x y", nonnegative=True)
    yield Step(
        own,
        "<=",
        (own + rest + (own + rest)) / 2,
        "what an own key lacks, x, and what other keys lack, y, others have too much: the distance is at least x",
        certificate=rest,
    )
    yield Step(total(psi[i, r] / reach, i), "=", sp.S.One, "features: the shares ψ[i, r]/Σ_l ψ[l, r] of one feature add up to 1 over the keys")
    yield Step(
        total(kernel(i, i) / total(kernel(i, l), l), i), "<=", m,
        "an own key's weight is an average of its m shares, so at most their sum; added up over the rows, the sums make m",
        certificate=total(total(psi[i, r] / reach * others / pull, i), r),
    )  # fmt: skip


def _signed_features_miss(queries: Matrix, keys: Matrix, scores: Matrix) -> Outcome:
    """Where there are more keys than features, some row has at least p_ii − 1/2 of its mass in the wrong place. Nothing to check without weights."""
    ours = [_weights(query, keys) for query in queries]
    if len(keys) <= len(keys[0]) or any(row is None for row in ours):
        return Outcome.HELD
    theirs = [exact.softmax(row) for row in scores]
    spare = [
        distance([ball(p) for p in row or []], soft) - soft[place] + ball(Fraction(1, 2)) for place, (row, soft) in enumerate(zip(ours, theirs, strict=True))
    ]
    if any(bool(value >= 0) for value in spare):
        return Outcome.HELD
    return Outcome.REFUTED if all(bool(value < 0) for value in spare) else Outcome.UNDECIDED


@derived(
    Claim(
        id="linear.signed-features-miss-half",
        title="Where softmax is nearly one-hot, fewer features than keys, of any sign, leave some row with nearly half of its mass in the wrong place",
        states="(Not in the texts; the corrected form of linear.approximates-attention for features of any sign, such as cosines.) What no fixed number of features can approximate.",
        reading="The features need not be positive, and weights may be negative or larger than 1; each row's kernel values have a sum that is not 0.",
        precise=r"Let $n > m$ queries and keys have the weights $p'_{ij} = \kappa_{ij}/\sum_l\kappa_{il}$ of any $m$ real features. For every matrix $P$ of positive rows that add up to 1, softmax's for one, some row $i$ has "
        r"$\tfrac12\sum_j|p_{ij} - p'_{ij}| \ge p_{ii} - \tfrac12$. With $q_i = \tau k_i$ and distinct unit keys ($d \ge 2$) $p_{ii}\to 1$ as $\tau\to\infty$ (linear.own-keys-share-m), so no bound "
        r"below $\tfrac12$ holds for all queries and keys. Proof: the $m$ equations $\sum_j\psi_{jr}z_j = 0$ have a solution $z \ne 0$; let $i$ be where it is largest in size, scaled to $z_i = 1$. "
        r"Then $2p_{ii} - 1 \le \sum_jp_{ij}z_j = \sum_j(p_{ij} - p'_{ij})z_j \le \sum_j|p_{ij} - p'_{ij}|$.",
        sources=(S4.at("Linear Attention"), S0.at("Linear Attention Approximations"), HORN.at("Section 0.2.3")),
        scope="every m and n > m, all real features whose rows have a denominator that is not 0, every P with positive rows that add up to 1",
        assumes=("the denominator of the row is not 0",),
        holds=_signed_features_miss,
    )
)
def signed_features_miss_half() -> Iterator[Step]:
    at, mass = sp.IndexedBase("z", real=True), total(kernel(i, l, any_phi, any_psi), l)
    yield Step(
        total(kernel(i, j, any_phi, any_psi) / mass * at[j], j), "=", total(any_phi[i, r] * total(any_psi[j, r] * at[j], j), r) / mass,
        "Σ_j p'_ij z_j vanishes in every row if the m sums Σ_j ψ_jr z_j vanish: m equations for n > m numbers, so there is such a z ≠ 0 (rank plus nullity)", nonzero=(mass,),
    )  # fmt: skip
    more, less = sp.IndexedBase("x", nonnegative=True), sp.IndexedBase("y", nonnegative=True)
    over, under = sp.IndexedBase("a", nonnegative=True), sp.IndexedBase("b", nonnegative=True)
    yield Step(
        total(over[j] * (1 - more[j]) - under[j] * (less[j] - 1), j), "<=", total(over[j] + under[j], j),
        "p_ij − p'_ij is a_j ≥ 0 or −b_j ≤ 0, of size a_j + b_j; z_j is at most 1 and at least −1, so it is 1 − x_j and also y_j − 1",
        certificate=total(over[j] * more[j] + under[j] * less[j], j),
    )  # fmt: skip
    apart = 1 - sp.KroneckerDelta(i, j)
    own, entry = exact_weight[i] / total(exact_weight[l], l), less[j] - 1
    share = exact_weight[j] / total(exact_weight[l], l)
    yield Step(
        2 * own - 1, "<=", own + total(apart * share * entry, j), "P's own row, p_ij = w_j/Σ w: at i, z is 1, and the other entries y_j − 1 are at least −1",
        certificate=total(apart * share * less[j], j),
    )  # fmt: skip


def _many_factors() -> Iterator[Step]:
    """T(s/N)^N against exp(s) = exp(s/N)^N: N factors, each with a relative error of at most η."""
    yield Step(
        total(x[a] / sp.sqrt(copies) * (y[a] / sp.sqrt(copies)), a), "=", total(x[a] * y[a], a) / copies, "features of q/√N and k/√N: their score is q·k/N"
    )
    others_of_query, others_of_key = sp.IndexedBase("chi", real=True), sp.IndexedBase("omega", real=True)
    yield Step(
        kernel(i, j, any_phi, any_psi) * total(others_of_query[i, t] * others_of_key[j, t], t), "=",
        total(total(any_phi[i, r] * others_of_query[i, t] * (any_psi[j, r] * others_of_key[j, t]), t), r),
        "a product of kernels has the products of their features, so N factors have (1 + d + d²)^N",
    )  # fmt: skip
    least, below, more, spare = sp.symbols("A P x y", nonnegative=True)
    yield Step(
        least * below, "<=", (least + more) * (below + spare),
        "factors of at least 1 − η have a product of at least (1 − η)^N, and factors of at most 1 + η one of at most (1 + η)^N", certificate=least * spare + more * (below + spare),
    )  # fmt: skip
    left, lost, beyond = sp.symbols("g S z", nonnegative=True)
    error, kept = 1 / (1 + left), left / (1 + left)  # η and 1 − η
    yield Step(
        1 - lost - error, "<=", (1 - lost + spare) * kept, "Bernoulli, η = 1/(1 + g): if (1 − η)^k is 1 − S + y with S = kη, one factor more leaves at least 1 − S − η",
        certificate=lost * error + spare * kept,
    )  # fmt: skip
    yield Step(
        (1 + error) * kept / (1 + beyond), "<=", sp.S.One, "if (1 + η)^k (1 − η)^k = 1/(1 + z), at most 1, it stays so: (1 + η)^N is at most 1/(1 − Nη)",
        certificate=(beyond + error**2) / (1 + beyond),
    )  # fmt: skip
    part = sp.Symbol("s", nonnegative=True)  # B/N, with N = 1 + g
    yield Step(
        (1 + left) * part**3 * sp.exp(part) / 6, "<=", ((1 + left) * part) ** 3 * sp.exp((1 + left) * part) / (6 * (1 + left) ** 2),
        "N = 1 + g factors, B = N s: Nη is at most B³e^B/(6N²)", certificate=(1 + left) * part**3 * sp.exp(part) * (sp.exp(left * part) - 1) / 6,
    )  # fmt: skip
    size = sp.Symbol("M", positive=True)  # B³e^B
    yield Step(
        size / (6 * (2 * size / 3 + spare)), "<=", sp.Rational(1, 4), "with M = B³e^B and N² = 2M/3 + y: Nη is at most 1/4",
        certificate=6 * spare / (4 * (4 * size + 6 * spare)),
    )  # fmt: skip
    small = 1 / (4 + left)
    yield Step(
        1 - sp.Rational(1, 3),
        "<=",
        1 - small,
        "Nη = 1/(4 + g): the kernel is at least 1 − 1/3 times the exponential",
        certificate=(1 + left) / (3 * (4 + left)),
    )
    yield Step(1 / (1 - small), "<=", 1 + sp.Rational(1, 3), "and at most 1 + 1/3 times", certificate=left / (3 * (3 + left)))


@derived(
    Claim(
        id="linear.approximates-attention",
        title="Kernel methods approximate attention with linear complexity",
        states="Attention is approximated with linear complexity by kernel methods.",
        reading="Linear in n: the number m of features does not grow with the number of keys. To approximate: each row's weights place at least half of the mass as softmax does, whatever the queries and keys. "
        "The search tries the maps that texts name.",
        precise=r"For the feature map chosen, $\tfrac12\sum_j|p_{ij} - p'_{ij}| \le \tfrac12$ for all $n$, $Q$ and $K$. False for every positive map with a fixed $m$ (linear.own-keys-share-m leaves on average "
        r"$\bar p - m/n$ in the wrong place; for features of any sign no bound below $\tfrac12$ holds either: linear.signed-features-miss-half). With scores in $[-B, B]$ and a whole $N \ge 1$ with $N^2 \ge \tfrac23B^3e^B$, the $(1 + d + d^2)^N$ features of the kernel $T(q\cdot k/N)^N$, $T(s) = 1 + s + s^2/2$, are enough for every $n$: each of the $N$ factors has a relative error of at most "
        r"$\eta = (B/N)^3e^{B/N}/6$, $N\eta \le \tfrac14$, and so the kernel is within $1 - N\eta \ge 1 - \delta$ and $1/(1 - N\eta) \le 1 + \delta$ times the exponential, $\delta = \tfrac13$; weights within a factor $(1 + \delta)/(1 - \delta)$, so the distance is at most "
        r"$2\delta/(1 + \delta) = \tfrac12$.",
        sources=(S4.at("Linear Attention"),),
        scope="positive feature maps; all queries and keys, every n and d (that no map with a fixed m is enough needs d ≥ 2, where any number of distinct unit keys fits)",
        inventory=("C137",),
        uses=("linear.taylor-error", "linear.taylor-features-positive", "linear.weights-from-kernel-error"),
        unsaid="the scores stay within ±B for a B that does not grow with n, and the features are made for that B: the (1 + d + d²)^N features of T(q·k/N)^N, with N² ≥ 2B³e^B/3",
        corrected_by="linear.own-keys-share-m",
        holds=_near_softmax,
        worked=_near_worked,
    )
)
def approximates_attention() -> Iterator[Step]:
    yield Step(1 + total(sp.S.One, a) + total(total(sp.S.One, a), b), "=", 1 + d + d**2, "the number of second-order features: it depends on d, not on n")
    yield from _many_factors()
    yield from _two_sided()
    spare, share = sp.Symbol("g", nonnegative=True), sp.IndexedBase("p", positive=True)
    delta = 1 / (3 + spare)
    kept = (1 - delta) / (1 + delta)
    yield Step(
        total(share[j] - kept * share[j], j), "=", 2 * delta / (1 + delta) * total(share[j], j), "no weight loses more than the share 2δ/(1 + δ) of itself"
    )
    yield Step(
        2 * delta / (1 + delta), "<=", sp.Rational(1, 2), "δ = 1/(3 + g), any δ ≤ 1/3: at most half of the mass has to move, whatever n",
        certificate=spare / (2 * (4 + spare)),
    )  # fmt: skip


# --- counts ---------------------------------------------------------------------------------------------------------------------------

rows, place, feature, other = sp.symbols("i j r s", integer=True, positive=True)  # positions that only count


def _times(count: sp.Expr, *sizes: sp.Expr) -> sp.Expr:
    """The sum of `count` over a nest of loops."""
    for index, size in zip((rows, place, feature, other), sizes, strict=False):
        count = sp.Sum(count, (index, 1, size))
    return count


def _products(done: Operations, tall: int, inner: int, wide: int) -> None:
    """A matrix product [tall, inner] [inner, wide]."""
    for _ in product(range(tall), range(wide)):
        done.dot(inner)


def _linear_operations(length: int, features: int, width: int, bracketed: bool = True) -> int:
    """Numerator, denominator and quotient on given φ(Q), φ(K) and V; the denominator as φ(Q)(φ(K)ᵀ1), or from the left: (φ(Q)φ(K)ᵀ)1. Products with 1 are sums."""
    done = Operations()
    _products(done, features, length, width)
    _products(done, length, features, width)
    if bracketed:
        done.additions += features * (length - 1)
        _products(done, length, features, 1)
    else:
        _products(done, length, features, length)
        done.additions += length * (length - 1)
    done.divisions += length * width
    return done.all()


def _standard_operations(length: int, width: int) -> int:
    done = Operations()
    _products(done, length, width, length)
    done.multiplications += length * length
    for _ in range(length):
        done.softmax(length)
    _products(done, length, length, width)
    return done.all()


def _as_written_is_linear(length: int, features: int, width: int, constant: int) -> Outcome:
    return decided(_linear_operations(length, features, width, bracketed=False) <= constant * length * features * width)


def _bracketed_is_linear(length: int, features: int, width: int, constant: int) -> Outcome:
    """`constant` plays no part: 7 is enough."""
    count = _linear_operations(length, features, width)
    count_again = 4 * length * features * width + 3 * length * features - features * width - features - length
    return decided(length * features * width <= count == count_again <= 7 * length * features * width)


def _as_written_worked(length: int, features: int, width: int, constant: int) -> str:
    return (
        f"n = {length}, m = {features}, d_v = {width}. Numerator: m d_v (2n − 1) = {features * width * (2 * length - 1)} operations for φ(K)ᵀV and n d_v (2m − 1) = {length * width * (2 * features - 1)} for its product "
        f"with φ(Q). Denominator, from the left: n²(2m − 1) = {length**2 * (2 * features - 1)} for the {length} × {length} matrix φ(Q)φ(K)ᵀ and n(n − 1) = {length * (length - 1)} for the sums of its rows. "
        f"Then n d_v = {length * width} divisions. That makes {_linear_operations(length, features, width, bracketed=False)} operations, more than {constant}·n·m·d_v = {constant * length * features * width}; "
        f"as n grows, n² passes every multiple of n. With the bracket φ(Q)(φ(K)ᵀ1) the count is {_linear_operations(length, features, width)}."
    )


def _given_features(rows_: sp.Expr, features: sp.Expr, width: sp.Expr) -> sp.Expr:
    """The operations of numerator, denominator and quotient, loop by loop."""
    state = _times(2, features, width, rows_) - _times(1, features, width) + _times(1, features, rows_) - _times(1, features)
    reading = _times(2, rows_, width, features) - _times(1, rows_, width) + _times(2, rows_, features) - _times(1, rows_)
    return state + reading + _times(1, rows_, width)


@derived(
    Claim(
        id="linear.bracketed-cost",
        title="With the denominator as φ(Q)(φ(K)ᵀ1), the formula takes 4nm d_v + 3nm − m d_v − m − n operations",
        states="(Not in the text; the corrected form of linear.formula-is-linear.) The formula is linear in n once both products start with the keys.",
        reading="Operations (multiply, add, divide: one each) on given φ(Q), φ(K) [n, m] and V [n, d_v]; a product with 1 is a sum.",
        precise=r"$nmd_v \le 4nmd_v + 3nm - md_v - m - n \le 7nmd_v$ (written with $n = 1 + x$, $m = 1 + y$, $d_v = 1 + z$).",
        sources=(S0.at("Kernel Methods for Attention"), S0.at("Computational Complexity (linear attention)")),
        scope="every n, m and d_v",
        kind=Kind.COST,
        holds=_bracketed_is_linear,
    )
)
def bracketed_cost() -> Iterator[Step]:
    count = 4 * n * m * d_v + 3 * n * m - m * d_v - m - n
    yield Step(
        _given_features(n, m, d_v), "=", count,
        "S: n products for each of m d_v entries, one addition fewer; z: n − 1 additions for each of m; a row: m products for each of d_v + 1 numbers; d_v divisions",
    )  # fmt: skip
    more = sp.symbols("x y z", integer=True, nonnegative=True)
    small = {size: 1 + slack for size, slack in zip((n, m, d_v), more, strict=True)}
    counted, order = (expression.subs(small, simultaneous=True) for expression in (count, n * m * d_v))
    yield Step(order, "<=", counted, "at least nm d_v", certificate=sp.expand(counted - order))
    yield Step(counted, "<=", 7 * order, "at most 7nm d_v", certificate=sp.expand(7 * order - counted))


@derived(
    Claim(
        id="linear.formula-is-linear",
        title="The formula of linear attention costs O(n)",
        states="(Implied.) Attention is φ(Q)(φ(K)ᵀV) over φ(Q)φ(K)ᵀ1, which is computed in time linear in n.",
        reading="Products in the order that the formula's brackets give, and from the left where it has none, as a programming language evaluates it; m and d_v fixed.",
        precise=r"There is a $C$ such that the count is at most $C\,nmd_v$. False: from the left, $\phi(Q)\phi(K)^\top$ is an $n\times n$ matrix, and takes more than that for $n = Cd_v + 1$, whatever $C$.",
        sources=(S0.at("Kernel Methods for Attention"),),
        scope="every n, m and d_v",
        kind=Kind.COST,
        inventory=("C119",),
        unsaid="the denominator is bracketed like the numerator, φ(Q)(φ(K)ᵀ1), and the number m of features does not grow with n",
        corrected_by="linear.bracketed-cost",
        holds=_as_written_is_linear,
        worked=_as_written_worked,
    )
)
def formula_is_linear() -> Iterator[Step]:
    constant = sp.Symbol("C", integer=True, positive=True)
    length, more = constant * d_v + 1, sp.Symbol("y", integer=True, nonnegative=True)
    table = _times(2, n, n, m) - _times(1, n, n)
    yield Step(table, "=", n**2 * (2 * m - 1), "φ(Q)φ(K)ᵀ: m products and m − 1 additions for every pair of a query and a key")
    yield Step(
        constant * length * (1 + more) * d_v, "<", length**2 * (2 * (1 + more) - 1), "m = 1 + y features, n = C d_v + 1 keys: that alone is more than C n m d_v",
        certificate=length * (more * (constant * d_v + 2) + 1),
    )  # fmt: skip


def _mapped_operations(length: int, width: int) -> int:
    """m = d_v = d, one operation for each feature of each query and key."""
    return _linear_operations(length, width, width) + sum(2 for _ in product(range(length), range(width)))


def _projected_operations(length: int, width: int, features: int) -> int:
    """Features f(Wx + b): d products and d additions (b included) for each, then f; queries and keys."""
    done = Operations()
    for _ in range(2):
        _products(done, length, width, features)
        done.additions += length * features
        done.exponentials += length * features
    return done.all() + _linear_operations(length, features, width)


def _cost_orders(length: int, width: int, features: int) -> Outcome:
    mapped, projected = _mapped_operations(length, width), _projected_operations(length, width, features)
    own = 4 * length * width**2 + 5 * length * width - width**2 - width - length
    random = 8 * length * features * width + 5 * length * features - features * width - features - length
    return decided(
        length * width**2 <= mapped == own <= 9 * length * width**2 and length * width * features <= projected == random <= 13 * length * width * features
    )


@derived(
    Claim(
        id="linear.cost",
        title="Linear attention takes between nd² and 9nd² operations, and with m random features between ndm and 13ndm",
        states="Linear attention costs O(nd²), or O(ndm) with m random features: its complexity is linear in the sequence length.",
        reading="Operations on given Q, K, V of width d (multiply, add, divide, and one for each value of the feature function), both products bracketed from the keys.",
        precise=r"Entry by entry ($m = d$): $4nd^2 + 5nd - d^2 - d - n$. With $m$ features $f(Wx + b)$: $8nmd + 5nm - md - m - n$. Both are within a constant of $nd^2$ and $ndm$ from both sides.",
        sources=(
            S0.at("Computational Complexity (linear attention)"),
            S1.at("Performer (Linear Attention)"),
            KATHAROPOULOS.at("feature maps and computational cost"),
        ),
        scope="every n, d and m; d_v = d",
        kind=Kind.COST,
        inventory=("C132",),
        uses=("linear.bracketed-cost",),
        holds=_cost_orders,
    )
)
def cost() -> Iterator[Step]:
    own = 4 * n * d**2 + 5 * n * d - d**2 - d - n
    random = 8 * n * m * d + 5 * n * m - m * d - m - n
    yield Step(_given_features(n, d, d) + 2 * _times(1, n, d), "=", own, "entry by entry: one operation for each of the 2nd features")
    projected = 2 * (_times(2, n, m, d) - _times(1, n, m) + _times(1, n, m) + _times(1, n, m))
    yield Step(
        _given_features(n, m, d) + projected, "=", random, "random features: d products, d additions (the shift b with them) and f, for queries and keys"
    )
    more = sp.symbols("x y z", integer=True, nonnegative=True)
    small = {size: 1 + slack for size, slack in zip((n, m, d), more, strict=True)}
    for count, order, factor in ((own, n * d**2, 9), (random, n * m * d, 13)):
        counted, least = (expression.subs(small, simultaneous=True) for expression in (count, order))
        yield Step(least, "<=", counted, "from below (n, m, d written 1 + x, 1 + y, 1 + z)", certificate=sp.expand(counted - least))
        yield Step(counted, "<=", factor * least, "from above", certificate=sp.expand(factor * least - counted))


def _cross_at_width(length: int, width: int) -> Outcome:
    linear, standard = _mapped_operations(length, width), _standard_operations(length, width)
    return decided((linear < standard) == (length > width) and (linear == standard) == (length == width))


@derived(
    Claim(
        id="linear.crossover",
        title="Linear attention with d features takes fewer operations than softmax attention exactly if n > d",
        states="(Not in the text, which sets O(nd²) against O(n²d).) At which lengths linear attention takes fewer operations.",
        precise=r"$(4n^2d + 5n^2 - nd - 2n) - (4nd^2 + 5nd - d^2 - d - n) = (n - d)(4nd + 5n - d - 1)$, and the second factor is positive. For sequences shorter than the head is wide, standard attention takes fewer.",
        sources=(S0.at("Computational Complexity (linear attention)"),),
        scope="every n and d; d_v = d, features entry by entry; every operation counted once (a machine may run one of the two nearer to its peak)",
        kind=Kind.COST,
        uses=("cost.time", "linear.cost"),
        holds=_cross_at_width,
    )
)
def crossover() -> Iterator[Step]:
    standard = _times(2, n, n, d) + _times(5, n, n) - _times(2, n) + _times(2, n, d, n) - _times(1, n, d)
    linear = _given_features(n, d, d) + 2 * _times(1, n, d)
    second = 4 * n * d + 5 * n - d - 1
    fewer, other_size = sp.symbols("x y", integer=True, nonnegative=True)
    positive = second.subs({n: 1 + fewer, d: 1 + other_size}, simultaneous=True)
    yield Step(sp.S.Zero, "<", positive, "4nd + 5n − d − 1 is positive for all n = 1 + x, d = 1 + y", certificate=sp.expand(positive))
    yield Step(standard - linear, "=", (n - d) * second, "the difference of the counts has the factor n − d, and its sign, as the other factor is positive")


def _cross_at_features(length: int, width: int, features: int) -> Outcome:
    linear, standard = _linear_operations(length, features, width), _standard_operations(length, width)
    return decided((linear < standard or length < features) and (linear > standard or features < 2 * length))


@derived(
    Claim(
        id="linear.more-features-than-keys",
        title="With m given features, linear attention takes fewer operations if m ≤ n, and more if m ≥ 2n",
        states="(Not in the text, which sets O(ndm) against O(n²d).) With how many features linear attention takes fewer operations.",
        precise=r"$(4n^2d + 5n^2 - nd - 2n) - (4nmd + 3nm - md - m - n)$ is positive for $m \le n$ and negative for $m \ge 2n$. Second-order Taylor features ($m = 1 + d + d^2$) therefore need $n > m/2$, of the order of $d^2$.",
        sources=(S0.at("Computational Complexity (linear attention)"),),
        scope="every n, m and d; d_v = d, features given",
        kind=Kind.COST,
        uses=("cost.time", "linear.bracketed-cost"),
        holds=_cross_at_features,
    )
)
def more_features_than_keys() -> Iterator[Step]:
    standard = _times(2, n, n, d) + _times(5, n, n) - _times(2, n) + _times(2, n, d, n) - _times(1, n, d)
    gap = 4 * n**2 * d + 5 * n**2 - n * d - 2 * n - (4 * n * m * d + 3 * n * m - m * d - m - n)
    yield Step(standard - _given_features(n, m, d), "=", gap, "the difference of the two counts")
    some, width, keys_ = sp.symbols("x y z", integer=True, nonnegative=True)
    fewer = gap.subs({n: 1 + some + keys_, m: 1 + some, d: 1 + width}, simultaneous=True)
    yield Step(sp.S.Zero, "<", fewer, "m = 1 + x, n = m + z, d = 1 + y", certificate=sp.expand(fewer))
    more = gap.subs({n: 1 + some, m: 2 * (1 + some) + keys_, d: 1 + width}, simultaneous=True)
    yield Step(more, "<", sp.S.Zero, "n = 1 + x, m = 2n + z, d = 1 + y", certificate=sp.expand(-more))


def _all_features_at_once(length: int, features: int, value_width: int) -> int:
    """Numbers held beside inputs and outputs if φ(Q) and φ(K) are formed whole, as the formula is written: both, the state, and a denominator for each row."""
    meter = Meter()
    meter.hold(2 * length * features)
    meter.hold(features * value_width + features)
    for _ in range(length):
        meter.hold(1)
    return meter.peak


def _row_by_row(length: int, features: int, value_width: int) -> int:
    """The same if a token's features and its denominator are formed when they are needed, and dropped; its numerator is kept in the output's place."""
    meter = Meter()
    meter.hold(features * value_width + features)
    for _ in range(length):
        token = 2 * features + 1
        meter.hold(token)
        meter.held -= token
    return meter.peak


def _constant_memory(length: int, features: int, value_width: int) -> Outcome:
    return decided(_all_features_at_once(length, features, value_width) == _all_features_at_once(1, features, value_width))


def _state_memory(length: int, features: int, value_width: int) -> Outcome:
    state = features * (value_width + 1)
    return decided(
        _row_by_row(length, features, value_width) == state + 2 * features + 1
        and _all_features_at_once(length, features, value_width) == state + length * (2 * features + 1)
    )


def _constant_worked(length: int, features: int, value_width: int) -> str:
    sizes = features, value_width
    return (
        f"m = {features}, d_v = {value_width}. Beside inputs and outputs, S and z hold {features * (value_width + 1)} numbers, φ(Q) and φ(K) 2·{features} for each token, and the denominators one for each: "
        f"{_all_features_at_once(length, *sizes)} together for n = {length}, against {_all_features_at_once(1, *sizes)} for n = 1; constant memory would be the same number. With the features formed row by row it is "
        f"{_row_by_row(length, *sizes)} for every n."
    )


@derived(
    Claim(
        id="linear.state-memory",
        title="Beside inputs and outputs: m(d_v + 1) numbers of state and 2m + 1 for one token, whatever n; or n(2m + 1) for all tokens at once",
        states="(Not in the text; the corrected form of linear.constant-memory.) What is constant is the state of the recurrence, and what one token needs beside it.",
        reading="Numbers held at once beside inputs and outputs, as for standard and tiled attention (cost.tiled-memory), in the forward pass; the numerator of a row is kept in the output's place.",
        precise=r"$S$ and $z$: $md_v + m$ numbers. Row by row, with the features of one token's query and key and one denominator beside the state: $m(d_v + 1) + 2m + 1$ for every $n$. With $\phi(Q)$, $\phi(K)$ and "
        r"all denominators formed at once: $m(d_v + 1) + n(2m + 1)$. A backward pass that needs the features of all tokens keeps these, or forms them again.",
        sources=(S1.at("Performer (Linear Attention)"), KATHAROPOULOS.at("transformers are RNNs")),
        scope="every n, m and d_v; causal or, with the keys of the whole sequence read first, bidirectional",
        kind=Kind.COST,
        uses=("linear.causal-is-recurrent",),
        holds=_state_memory,
    )
)
def state_memory() -> Iterator[Step]:
    state = _times(1, m, d_v) + _times(1, m)
    yield Step(state, "=", m * (d_v + 1), "an entry for each feature and value entry, and one for each feature")
    yield Step(
        sp.UnevaluatedExpr(state) + 2 * _times(1, n, m) + _times(1, n),
        "=",
        m * (d_v + 1) + n * (2 * m + 1),
        "all tokens at once: their features, of query and key, and their denominators beside it",
    )
    yield Step(sp.UnevaluatedExpr(state) + 2 * _times(1, m) + 1, "=", m * (d_v + 1) + 2 * m + 1, "row by row: there is no n in it")


@derived(
    Claim(
        id="linear.constant-memory",
        title="Linear attention needs memory that is constant in the sequence length",
        states="Performer is memory efficient: its memory is constant in the sequence length.",
        reading="Numbers held at once beside inputs and outputs, which grow with n either way (so memory is counted for standard and tiled attention too: cost.tiled-memory). Feature matrices φ(Q) and φ(K) as the formula "
        "φ(Q)(φ(K)ᵀV) has them, formed whole.",
        precise=r"The numbers held for $n$ tokens are as many as for one. False if $\phi(Q)$ and $\phi(K)$ are formed whole: $(n - 1)(2m + 1)$ more. With the assumption, $m(d_v + 1) + 2m + 1$ for every $n$.",
        sources=(S1.at("Performer (Linear Attention)"),),
        scope="every n, m and d_v",
        kind=Kind.COST,
        inventory=("C133",),
        unsaid="features are formed row by row, and nothing is kept for a backward pass",
        corrected_by="linear.state-memory",
        holds=_constant_memory,
        worked=_constant_worked,
    )
)
def constant_memory() -> Iterator[Step]:
    more = sp.Symbol("x", integer=True, positive=True)
    state, whole = _times(1, m, d_v) + _times(1, m), 2 * _times(1, n, m) + _times(1, n)
    yield Step(
        (state + whole).subs(n, 1), "<", (state + whole).subs(n, 1 + more), "1 + x tokens have x more rows of φ(Q) and φ(K), and x more denominators, if these are all held at once",
        certificate=more * (2 * m + 1),
    )  # fmt: skip
    yield Step(
        sp.UnevaluatedExpr(state) + 2 * _times(1, m) + 1,
        "=",
        m * (d_v + 1) + 2 * m + 1,
        "with the assumption, state and one row's features and denominator: there is no n in it",
    )


# --- gradients ------------------------------------------------------------------------------------------------------------------------

Masks = Sequence[Sequence[bool]]
Layer = dict[str, Sequence[Sequence[Rational]]]


def _parts(layer: Layer, visible: Masks) -> list[tuple[list[Fraction], Fraction]]:
    return [
        by_weights(query, *zip(*[(key, value) for key, value, on in zip(layer["keys"], layer["values"], seen_, strict=True) if on], strict=True))
        for query, seen_ in zip(layer["queries"], visible, strict=True)
    ]


def _slopes(layer: Layer, visible: Masks, name: str) -> list[list[Fraction]]:
    """∂L/∂(one matrix), L = Σ G∘Y: numerator and denominator are affine in one entry, so a unit step gives their slopes and the quotient rule the rest."""
    plain, slopes = _parts(layer, visible), []
    for row, column in product(range(len(layer[name])), range(len(layer[name][0]))):
        nudged = [
            [entry + (at == (row, column)) for at, entry in (((up, across), old) for across, old in enumerate(line))] for up, line in enumerate(layer[name])
        ]
        moved = _parts(layer | {name: nudged}, visible)
        slopes.append(
            sum(
                (g * ((q - p) * below - p * (lower - below)) / below**2
                for (above, below), (higher, lower), gs in zip(plain, moved, layer["cotangent"], strict=True)
                for p, q, g in zip(above, higher, gs, strict=True)), Fraction(0),
            )
        )  # fmt: skip
    width = len(layer[name][0])
    return [slopes[start : start + width] for start in range(0, len(slopes), width)]


def _closed(layer: Layer, visible: Masks, name: str) -> list[list[Fraction]]:
    """The closed forms: through the prefix state for queries, through sums over later queries for keys and values."""
    outputs = [(output(parts), parts[1]) for parts in _parts(layer, visible)]
    queries, keys, values, cotangent = (layer[x] for x in ("queries", "keys", "values", "cotangent"))
    pairs = [(i_, j_) for i_, j_ in product(range(len(queries)), range(len(keys))) if visible[i_][j_]]
    grads = [[Fraction(0)] * len(layer[name][0]) for _ in layer[name]]
    for i_, j_ in pairs:
        row, mass = outputs[i_]
        pull = sum((Fraction(g) * (v - o) for g, v, o in zip(cotangent[i_], values[j_], row, strict=True)), Fraction(0)) / mass
        into, factors = {
            "queries": (i_, [pull * z for z in keys[j_]]),
            "keys": (j_, [pull * z for z in queries[i_]]),
            "values": (j_, [dot(queries[i_], keys[j_]) / mass * g for g in cotangent[i_]]),
        }[name]
        grads[into] = [p + q for p, q in zip(grads[into], factors, strict=True)]
    return grads


def _visible(rows_: int, columns: int, causal: bool) -> list[list[bool]]:
    return [[not causal or column <= row for column in range(columns)] for row in range(rows_)]


def _gradient_holds(name: str) -> Callable[..., Outcome]:
    def holds(queries: Matrix, keys: Matrix, values: Matrix, cotangent: Matrix, causal: bool) -> Outcome:
        layer: Layer = {"queries": queries, "keys": keys, "values": values, "cotangent": cotangent}
        visible = _visible(len(queries), len(keys), causal)
        return decided(_slopes(layer, visible, name) == _closed(layer, visible, name))

    return holds


mask = sp.IndexedBase("A", nonnegative=True)  # A[i, j] = 1 if query i sees key j, else 0


def _mass(query: sp.Symbol) -> sp.Expr:
    return total(mask[query, l] * total(any_phi[query, r] * any_psi[l, r], r), l)


def _entry(query: sp.Symbol, column: sp.Symbol) -> sp.Expr:
    return total(mask[query, l] * total(any_phi[query, r] * any_psi[l, r], r) * V[l, column], l) / _mass(query)


GRADIENT_SCOPE = (
    "every n, m and d_v, every mask A (0 or 1), bidirectional and causal; any real features, wherever the rows' denominators are not 0; Y = Σ_j A κ V/Σ_j A κ"
)
GRADIENT_SOURCES = (KATHAROPOULOS.at("gradient computation"), S0.at("Kernel Methods for Attention"))
LOSS = total(total(G[k, f] * _entry(k, f), f), k)
DIVISORS = (_mass(i), _mass(k))


@derived(
    Claim(
        id="linear.gradient-of-values",
        title="The gradient in a value reads a state that later queries wrote",
        states="(Not in the texts; from the cited paper.) Training differentiates linear attention.",
        precise=r"With $D_i = \sum_l A_{il}\kappa_{il}$: $\partial L/\partial V_{je} = \sum_i A_{ij}\,\kappa_{ij}\,G_{ie}/D_i = \sum_r\psi_{jr}R_{re}$ with $R_{re} = \sum_i A_{ij}\,\phi_{ir}\,G_{ie}/D_i$: "
        r"for a causal mask a state that is summed from the last token to the first, of the same size as $S$.",
        sources=GRADIENT_SOURCES,
        scope=GRADIENT_SCOPE,
        uses=("linear.as-kernel-attention",),
        holds=_gradient_holds("values"),
    )
)
def gradient_of_values() -> Iterator[Step]:
    direct = total(mask[i, j] * kernel(i, j, any_phi, any_psi) / _mass(i) * G[i, e], i)
    suffix = total(mask[i, j] * any_phi[i, r] * G[i, e] / _mass(i), i)
    yield Step(sp.Derivative(LOSS, V[j, e]), "=", direct, "a value enters each row that sees it with its weight", nonzero=DIVISORS)
    yield Step(direct, "=", total(any_psi[j, r] * suffix, r), "the kernel's sum over features taken outside: the rows' part is a state R", nonzero=DIVISORS)


@derived(
    Claim(
        id="linear.gradient-of-query-features",
        title="The gradient in a query's features reads the state of the forward pass",
        states="(Not in the texts; from the cited paper.) Training differentiates linear attention.",
        precise=r"$\partial L/\partial\phi_{it} = \dfrac1{D_i}\sum_e G_{ie}\,(S^{(i)}_{te} - Y_{ie}z^{(i)}_t)$ with $S^{(i)}_{te} = \sum_jA_{ij}\psi_{jt}V_{je}$ and $z^{(i)}_t = \sum_jA_{ij}\psi_{jt}$: the states "
        r"that row $i$ was read from, which a second run of the recurrence gives back.",
        sources=GRADIENT_SOURCES,
        scope=GRADIENT_SCOPE,
        uses=("linear.as-kernel-attention",),
        holds=_gradient_holds("queries"),
    )
)
def gradient_of_query_features() -> Iterator[Step]:
    state, reach = total(mask[i, j] * any_psi[j, t] * V[j, e], j), total(mask[i, j] * any_psi[j, t], j)
    yield Step(
        sp.Derivative(LOSS, any_phi[i, t]), "=", total(G[i, e] * (state - _entry(i, e) * reach), e) / _mass(i),
        "the quotient rule: the numerator's slope is S, the denominator's is z; no other row contains this feature", nonzero=DIVISORS,
    )  # fmt: skip


@derived(
    Claim(
        id="linear.gradient-of-key-features",
        title="The gradient in a key's features reads two states that later queries wrote",
        states="(Not in the texts; from the cited paper.) Training differentiates linear attention.",
        precise=r"$\partial L/\partial\psi_{jt} = \sum_e R_{te}V_{je} - w_t$ with $R_{te} = \sum_iA_{ij}\phi_{it}G_{ie}/D_i$ and $w_t = \sum_iA_{ij}\phi_{it}\sum_eG_{ie}Y_{ie}/D_i$: without a mask the same for every key, with a causal one sums over the queries from $j$ on.",
        sources=GRADIENT_SOURCES,
        scope=GRADIENT_SCOPE,
        uses=("linear.as-kernel-attention",),
        holds=_gradient_holds("keys"),
    )
)
def gradient_of_key_features() -> Iterator[Step]:
    direct = total(mask[i, j] * any_phi[i, t] / _mass(i) * total(G[i, e] * (V[j, e] - _entry(i, e)), e), i)
    suffix = total(mask[i, j] * any_phi[i, t] * G[i, e] / _mass(i), i)
    reach = total(mask[i, j] * any_phi[i, t] * total(G[i, e] * _entry(i, e), e) / _mass(i), i)
    yield Step(
        sp.Derivative(LOSS, any_psi[j, t]), "=", direct, "the quotient rule in every row that sees key j: its value against the row's output", nonzero=DIVISORS
    )
    yield Step(direct, "=", total(suffix * V[j, e], e) - reach, "the sum over rows taken inside: two states over the queries that see key j", nonzero=DIVISORS)
