"""The softmax row: what its weights are, what leaves them unchanged, how they respond to scores and temperature, and what they average.

Scores are real and finite, and a row has at least one key. Hidden keys are left out of the row, so n counts the keys that a query sees.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb, arb_series

from theorems import exact
from theorems.claim import Claim, derived
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import BLANCHARD, S0, S1, S2, S3, S4, VASWANI
from theorems.step import Step
from theorems.symbols import K, Q, T, a, b, c, i, j, k, l, m, n, r, s, softmax, total, v

Exact = int | Fraction
Row = Sequence[Exact]
Matrix = Sequence[Row]
D = sp.KroneckerDelta
mask = sp.IndexedBase("M", real=True)  # M[j], 1 where key j is kept and 0 where it is hidden
x = sp.IndexedBase("x", nonnegative=True)  # by how much a score exceeds the row's smallest
g = sp.IndexedBase("g", nonnegative=True)  # by how much a score falls short of the runner-up
y = sp.IndexedBase("y", nonnegative=True)  # by how much a value's distance falls short of the largest
u = sp.IndexedBase("u", real=True)  # a unit vector, u[a]
w = sp.IndexedBase("w", real=True)  # a second vector, w[a]
bias = sp.IndexedBase("b", real=True)  # bias on the query's features, b[a]
key_bias = sp.IndexedBase("z", real=True)  # what the key's bias adds to the score of key j
gap, spread, reach, delta = sp.symbols("h R D Delta", nonnegative=True)
rho = sp.Symbol("rho", positive=True)  # the length of the query


def sums_to_one(weights: exact.Row) -> Outcome:
    return exact.equal([sum((ball(p) for p in weights), arb(0))], [1])


def definition_holds(scores: Row, values: Row) -> Outcome:
    """Σ softmax(scores)_j v_j against (Σ e^{s_j} v_j) / Σ e^{s_j}. Shapes: scores [n], values [n]."""
    left = sum((p * ball(o) for p, o in zip(exact.softmax(scores), values, strict=True)), arb(0))
    above = sum((ball(e).exp() * ball(o) for e, o in zip(scores, values, strict=True)), arb(0))
    return exact.equal([left * sum((ball(e).exp() for e in scores), arb(0))], [above])


@derived(
    Claim(
        id="softmax.weighted-average",
        title="Attention of one query is a weighted average of the values",
        states="The output of attention is the sum of the values, weighted by the softmax of the energies.",
        reading="One query, n ≥ 1 keys with finite energies; a matrix of queries is handled row by row. (Where softmax(compatibility(q, kᵢ)) is written, of a "
        "single number, the softmax over i is meant.)",
        precise=r"$\sum_j \alpha_j v_j = \dfrac{\sum_j e^{s_j} v_j}{\sum_l e^{s_l}}$ with a divisor that is never zero, so the output exists for all"
        r" finite energies.",
        sources=(S0.at("General Attention Framework"), S3.at("Basic Attention Formula"), VASWANI.at("Eq. 1")),
        scope="all n ≥ 1, all finite real energies, each coordinate of the values",
        inventory=("C001",),
        holds=definition_holds,
    )
)
def weighted_average() -> Iterator[Step]:
    mass = total(sp.exp(s[l]), l)
    yield Step(sp.Integer(0), "<", mass, because="a sum of at least one exponential is positive, so every weight is defined")
    yield Step(total(softmax(s, j) * v[j], j), "=", total(sp.exp(s[j]) * v[j], j) / mass, because="all weights share one divisor, which comes out of the sum")


def row_sum_holds(scores: Row) -> Outcome:
    return sums_to_one(exact.softmax(scores))


@derived(
    Claim(
        id="softmax.row-sum",
        title="The weights of a row sum to one",
        states="The attention weights form a probability distribution over the positions: each row sums to one.",
        precise=r"$\sum_j \alpha_j = 1$ for $\alpha = \mathrm{softmax}(s)$.",
        sources=(S0.at("Attention as Probability Distribution"), S2.at("Attention as Matrix Operations"), S4.at("Step 3: Apply Softmax")),
        scope="all n ≥ 1, all finite real scores, in exact arithmetic",
        inventory=("C003", "C004"),
        holds=row_sum_holds,
    )
)
def row_sum() -> Iterator[Step]:
    yield Step(total(softmax(s, j), j), "=", sp.Integer(1), because="the shared divisor comes out of the sum and equals what is left above it")


def positive_holds(scores: Row) -> Outcome:
    weights = exact.softmax(scores)
    if any(p <= 0 for p in weights):
        return Outcome.REFUTED
    return Outcome.HELD if all(p > 0 for p in weights) else Outcome.UNDECIDED


@derived(
    Claim(
        id="softmax.positive",
        title="Every weight is positive",
        states="Every attention weight is positive (or, more weakly, not negative).",
        reading="Finite scores and exact arithmetic: a key hidden with −∞ is no key of the row, and a float's underflow to zero is another matter.",
        precise=r"$0 < \alpha_i$ for every key $i$ of the row.",
        sources=(S2.at("Attention as Matrix Operations"), S0.at("Attention as Probability Distribution"), S3.at("Basic Attention Formula")),
        scope="all n ≥ 1, all finite real scores, in exact arithmetic",
        inventory=("C003", "C004"),
        holds=positive_holds,
    )
)
def positive() -> Iterator[Step]:
    yield Step(sp.Integer(0), "<", softmax(s, i), because="an exponential over a sum of exponentials: both are positive")


def shift_holds(scores: Row, shift: Exact) -> Outcome:
    return exact.equal(exact.softmax([e + shift for e in scores]), exact.softmax(scores))


@derived(
    Claim(
        id="softmax.shift",
        title="Adding one number to all scores of a row changes nothing",
        states="(Not in the text, which names the overflow of large scores and other remedies.) The softmax does not see a number that is added to every "
        "score of its row.",
        precise=r"$\mathrm{softmax}(s + c\mathbf{1})_i = \mathrm{softmax}(s)_i$ for every real $c$.",
        sources=(S1.at("Numerical Stability"), BLANCHARD),
        scope="all n ≥ 1, all finite real scores, all real c",
        inventory=("C005",),
        holds=shift_holds,
    )
)
def shift() -> Iterator[Step]:
    shifted = sp.exp(s[i] + c) / total(sp.exp(s[l] + c), l)
    yield Step(total(sp.exp(s[l] + c), l), "=", sp.exp(c) * total(sp.exp(s[l]), l), because="exp turns the sum into a product, and the common factor comes out")
    yield Step(shifted, "=", softmax(s, i), because="the same factor stands above and below, and it is never zero")


def along(scores: Row, toward: Row, order: int = 2) -> list[arb_series]:
    """softmax(scores + ε·toward) as truncated power series in ε: derivatives without any formula for them."""
    growth = [arb_series([ball(e), ball(z)], prec=order).exp() for e, z in zip(scores, toward, strict=True)]
    mass = sum(growth[1:], growth[0])
    return [z / mass for z in growth]


def jacobian_holds(scores: Row, toward: Row) -> Outcome:
    """The directional derivative from power series against Σ_j p_i (δ_ij − p_j) toward_j."""
    p, direction = exact.softmax(scores), [ball(z) for z in toward]
    formula = [sum((p[e] * ((e == o) - p[o]) * direction[o] for o in range(len(p))), arb(0)) for e in range(len(p))]
    return exact.equal([series[1] for series in along(scores, toward)], formula)


@derived(
    Claim(
        id="softmax.jacobian",
        title="The Jacobian of softmax",
        states="The gradient for the queries has the factor ∂A/∂S: how the weights of a row respond to its scores.",
        precise=r"$\partial p_i / \partial s_j = p_i(\delta_{ij} - p_j)$ with $p = \mathrm{softmax}(s)$.",
        sources=(S2.at("Gradient Flow Analysis"), VASWANI.at("Section 3.2.1")),
        scope="all n ≥ 1, all finite real scores, every pair (i, j)",
        inventory=("C239",),
        holds=jacobian_holds,
    )
)
def jacobian() -> Iterator[Step]:
    mass = total(sp.exp(s[l]), l)
    yield Step(sp.Derivative(mass, s[j]), "=", sp.exp(s[j]), because="only the term of key j depends on its score, and the exponential is its own derivative")
    yield Step(
        sp.Derivative(softmax(s, i), s[j]),
        "=",
        softmax(s, i) * (D(i, j) - softmax(s, j)),
        because="by the quotient rule the numerator gives p_i when i = j, and the divisor gives minus p_i p_j always",
    )


def ranking_holds(scores: Row, temperature: Exact) -> Outcome:
    """s_e < s_o exactly when the weight of e is below that of o, for every pair."""
    p = exact.softmax([Fraction(e) / temperature for e in scores])
    pairs = [(e, o) for e in range(len(p)) for o in range(len(p)) if scores[e] < scores[o]]
    ties = [(e, o) for e in range(len(p)) for o in range(e) if scores[e] == scores[o]]
    if not all(p[e] < p[o] for e, o in pairs):
        return exact.at_most([p[o] for e, o in pairs], [p[e] for e, o in pairs])
    return exact.equal([p[e] for e, _ in ties], [p[o] for _, o in ties])


@derived(
    Claim(
        id="softmax.temperature-keeps-ranking",
        title="A temperature never changes which key ranks above which",
        states="(Implied.) Dividing the scores by √d_k, like a division by any temperature, leaves the order of the weights as it was.",
        reading="The order only: the weights themselves do change. √d_k is the temperature T = √d_k.",
        precise=r"If key $j$ scores $h > 0$ more than key $i$, then $\mathrm{softmax}(s/T)_i < \mathrm{softmax}(s/T)_j$ for every $T > 0$; keys with"
        r" equal scores have equal weights, so the order, ties included, is that of the scores.",
        sources=(S0.at("Energy Function"), S4.at("Step 2: Scale the Scores"), VASWANI.at("Eq. 1")),
        scope="all n ≥ 1, all finite real scores, all T > 0",
        inventory=("C007",),
        holds=ranking_holds,
    )
)
def temperature_keeps_ranking() -> Iterator[Step]:
    mass, lead = total(sp.exp(s[l] / T), l), sp.Symbol("h", positive=True)
    low, high = sp.exp(s[i] / T) / mass, sp.exp((s[i] + lead) / T) / mass
    yield Step(high, "=", sp.exp(lead / T) * low, because="key j scores h more, so its weight is e^(h/T) times that of key i")
    yield Step(low, "<", high, because="e^(h/T) exceeds one for positive h and T", certificate=low * (sp.exp(lead / T) - 1))


def landscape_holds(scores: Row) -> Outcome:
    """The weights are the landscape's heights over their sum, and the heaviest key is a highest point among the given keys."""
    heights = [ball(e).exp() for e in scores]
    p = exact.softmax(scores)
    shares = exact.equal([z * sum(heights, arb(0)) for z in p], heights)
    best = {e for e in range(len(p)) if not any(p[e] < z for z in p)}
    return Outcome.worst([shares, exact.decided(best == {e for e in range(len(p)) if scores[e] == max(scores)})])


@derived(
    Claim(
        id="softmax.landscape",
        title="A higher point of the landscape means a larger weight",
        states="The landscape exp f(q, k) over key space is high where attention weights are high.",
        reading="Among the keys that are there: the weight of a key is its height over the sum of the heights.",
        precise=r"$\alpha_j - \alpha_i = (L_j - L_i) / \sum_l L_l$ with $L_j = e^{s_j}$, $s_j = f(q, k_j)$, so both have the same order and the same argmax.",
        sources=(S0.at("Attention Landscape"),),
        scope="all n ≥ 1, every energy function with finite values",
        inventory=("C042",),
        holds=landscape_holds,
    )
)
def landscape() -> Iterator[Step]:
    mass = total(sp.exp(s[l]), l)
    yield Step(sp.Integer(0), "<", mass, because="the sum of the heights is positive, so dividing by it changes no order")
    yield Step(
        softmax(s, j) - softmax(s, i),
        "=",
        (sp.exp(s[j]) - sp.exp(s[i])) / mass,
        because="weights share one positive divisor, so they differ as the heights do",
    )


def cauchy_schwarz_holds(first: Row, second: Row) -> Outcome:
    """(q·k)² ≤ ‖q‖²‖k‖², and |q − k|² = |q|² + |k|² − 2 q·k, in integers."""
    dot = sum(e * o for e, o in zip(first, second, strict=True))
    norms = sum(e * e for e in first), sum(o * o for o in second)
    third = sum((e - o) ** 2 for e, o in zip(first, second, strict=True))
    return exact.decided(bool(dot * dot <= norms[0] * norms[1] and third == norms[0] + norms[1] - 2 * dot))


@derived(
    Claim(
        id="softmax.dot-product-angle",
        title="A dot product is two lengths and a cosine",
        states="The dot-product energy is the product of both lengths and the cosine of the angle between query and key.",
        reading="Query and key of the same width, both non-zero; the angle is the one of the triangle that they span.",
        precise=r"$(q \cdot k)^2 \le \|q\|^2 \|k\|^2$ and $\|q - k\|^2 = \|q\|^2 + \|k\|^2 - 2\, q \cdot k$, so $q \cdot k / (\|q\| \|k\|)$ is the"
        r" cosine of one angle.",
        sources=(S0.at("Energy Function"), S0.at("Vector Space Perspective")),
        scope="every width d ≥ 1 shared by query and key; the angle exists where neither is zero. That there is no dot product of vectors of unequal widths "
        "is a convention and not judged",
        inventory=("C006", "C039"),
        holds=cauchy_schwarz_holds,
    )
)
def dot_product_angle() -> Iterator[Step]:
    dot, first, second = total(u[a] * w[a], a), total(u[a] ** 2, a), total(w[a] ** 2, a)
    yield Step(total((u[a] - w[a]) ** 2, a), "=", first + second - 2 * dot, because="the square of a difference: the law of cosines for the triangle 0, q, k")
    minors = total(total((u[a] * w[b] - u[b] * w[a]) ** 2, a), b) / 2
    yield Step(dot**2, "<=", first * second, because="by Lagrange's identity the gap is half a sum of squares", certificate=minors)


def query_length_holds(direction: Row, keys: Matrix, length: Exact) -> Outcome:
    """softmax of the scores of the query length·direction against softmax at temperature 1/length of the direction's scores; and a key made longer."""
    stretched = [[sum(length * e * o for e, o in zip(direction, key, strict=True)) for key in keys]]
    plain = [sum(e * o for e, o in zip(direction, key, strict=True)) for key in keys]
    longer = [[length * o for o in keys[0]], *keys[1:]]
    with_longer_key = [sum(e * o for e, o in zip(direction, key, strict=True)) for key in longer]
    colder = exact.equal(exact.softmax(stretched[0]), exact.softmax([Fraction(e) / (1 / Fraction(length)) for e in plain]))
    return Outcome.worst([colder, exact.equal(exact.softmax(with_longer_key), exact.softmax([length * plain[0], *plain[1:]]))])


@derived(
    Claim(
        id="softmax.query-length-is-inverse-temperature",
        title="The length of a query is an inverse temperature",
        states="The magnitude of a query or key is the scale of activation.",
        reading="A query ρu of length ρ divides all its keys' scores by the one temperature 1/ρ; a key's length multiplies only its own score.",
        precise=r"The weights of the query $\rho u$ are $\mathrm{softmax}(s/T)$ with $s_j = u \cdot k_j$ and $T = 1/\rho$. If key $k$ alone is made $c$ times as long, its own"
        r" score becomes $c\,s_k$, and the score of every other key stays $s_j$.",
        sources=(S0.at("Vector Space Perspective"),),
        scope="all n, d ≥ 1, every ρ > 0, every real factor c, all finite directions and keys",
        inventory=("C039",),
        holds=query_length_holds,
    )
)
def query_length_is_inverse_temperature() -> Iterator[Step]:
    gain = 1 + (c - 1) * D(j, k)
    yield Step(
        total(u[a] * gain * K[j, a], a),
        "=",
        gain * total(u[a] * K[j, a], a),
        because="the factor c of key k stands in the score of that key alone: a gain of its own",
    )
    stretched = total(rho * u[a] * K[j, a], a)
    yield Step(stretched, "=", rho * total(u[a] * K[j, a], a), because="the length is a factor of every coordinate of the query")
    left = sp.exp(total(rho * u[a] * K[j, a], a)) / total(sp.exp(total(rho * u[a] * K[l, a], a)), l)
    temperature = sp.UnevaluatedExpr(1 / rho)
    right = sp.exp(total(u[a] * K[j, a], a) / temperature) / total(sp.exp(total(u[a] * K[l, a], a) / temperature), l)
    yield Step(left, "=", right, because="the factor stands in every exponent of the row, so it is one temperature 1/ρ for all keys")


def query_bias_holds(query: Row, matrix: Matrix, keys: Matrix, query_bias: Row, key_bias: Row) -> Outcome:
    """Shapes: query [d_q], matrix [d_q, d_k], keys [n, d_k], query_bias [d_q], key_bias [d_k]."""
    product = [[sum(q * row[o] * z for q, row in zip(query, matrix, strict=True) for o, z in enumerate(key))] for key in keys]
    from_query = sum(e * o for e, o in zip(query, query_bias, strict=True))
    from_key = [sum(e * o for e, o in zip(key, key_bias, strict=True)) for key in keys]
    with_it = [e[0] + from_query + o for e, o in zip(product, from_key, strict=True)]
    return exact.equal(exact.softmax(with_it), exact.softmax([e[0] + o for e, o in zip(product, from_key, strict=True)]))


@derived(
    Claim(
        id="softmax.query-bias-is-inert",
        title="The query's half of the bilinear bias does nothing",
        states="The energy qᵀWk + bᵀ[q; k] lets a bias act on the query and on the key.",
        reading="Normalised over the keys, b splits into a part on q and a part on k; the part on q adds one number to the whole row.",
        precise=r"$\mathrm{softmax}_j(q^\top W k_j + b_q \cdot q + b_k \cdot k_j) = \mathrm{softmax}_j(q^\top W k_j + b_k \cdot k_j)$.",
        sources=(S0.at("Energy Function"),),
        scope="all n and widths ≥ 1, all finite parameters",
        inventory=("C012",),
        uses=("softmax.shift",),
        holds=query_bias_holds,
    )
)
def query_bias_is_inert() -> Iterator[Step]:
    constant = total(bias[a] * u[a], a)
    kept = sp.exp(s[j] + key_bias[j]) / total(sp.exp(s[l] + key_bias[l]), l)
    with_it = sp.exp(s[j] + constant + key_bias[j]) / total(sp.exp(s[l] + constant + key_bias[l]), l)
    yield Step(with_it, "=", kept, because="b_q · q does not depend on the key: with s_j = qᵀWk_j and z_j = b_k · k_j it is one factor above and below")


def low_temperature_holds(scores: Row, values: Matrix, temperature: Exact) -> Outcome:
    """‖o − v*‖ ≤ (n − 1) e^{−Δ/T} max ‖v_j − v*‖. Shapes: scores [n], values [n, e]."""
    top = max(range(len(scores)), key=lambda e: scores[e])
    others = [e for e in range(len(scores)) if e != top]
    if not others:
        return Outcome.HELD
    p = exact.softmax([Fraction(e) / temperature for e in scores])
    output = [sum((z * ball(row[o]) for z, row in zip(p, values, strict=True)), arb(0)) for o in range(len(values[0]))]
    lead = scores[top] - max(scores[e] for e in others)
    far = max(sum((z - o) ** 2 for z, o in zip(values[e], values[top], strict=True)) for e in others)
    bound = (ball(-Fraction(lead) / temperature).exp() * len(others)) ** 2 * ball(far)
    apart = [z - ball(o) for z, o in zip(output, values[top], strict=True)]
    return exact.at_most([sum((z * z for z in apart), arb(0))], [bound])  # z * z, as arb's power of a ball around 0 is not finite


@derived(
    Claim(
        id="softmax.low-temperature",
        title="How fast a cold softmax becomes a hard lookup",
        states="(Implied.) Attention is a soft dictionary lookup: as the temperature falls it becomes a hard one, which returns the value of the best key.",
        reading="One key leads by Δ > 0. (With a tie at the top the limit is the mean of the tied values instead.)",
        precise=r"$\|o - v^*\| \le (n-1)\, e^{-\Delta/T} \max_j \|v_j - v^*\|$, where $v^*$ is the value of the leading key: for $\Delta > 0$ this tends to 0 as $T \to 0$. With"
        r" one-hot values $o$ is $\alpha$ itself, which so tends to the one-hot row of the leader. In the formula $m = n - 1$ keys follow the leader at distances $\Delta"
        r" + g_r$, and"
        r" $D - y_r$ is the part of $v_r - v^*$ along $o - v^*$, at most $D$.",
        sources=(S4.at("Attention as Soft Dictionary Lookup"), S4.at("Attention Collapse")),
        scope="all n ≥ 2, T > 0, Δ ≥ 0, values in any Euclidean space (take the direction of o − v*)",
        inventory=("C013",),
        holds=low_temperature_holds,
    )
)
def low_temperature() -> Iterator[Step]:
    weight, lead = sp.exp(-(delta + g[r]) / T), sp.exp(-delta / T)
    mass = 1 + total(weight, r)
    pull = total(weight * (reach - y[r]), r)
    yield Step(total(weight, r), "<=", m * lead, because="no follower is nearer to the leader than Δ", certificate=lead * total(1 - sp.exp(-g[r] / T), r))
    rest = lead * reach * total(1 - sp.exp(-g[r] / T), r) + m * lead * reach * total(weight, r) + total(weight * y[r], r)
    yield Step(
        pull / mass,
        "<=",
        m * lead * reach,
        because="each follower pulls by its weight times at most D, the divisor is at least one, and there are m followers",
        certificate=rest / mass,
    )


def high_temperature_holds(scores: Row, temperature: Exact) -> Outcome:
    """e^{−R/T} ≤ n α_i ≤ e^{R/T} with R the spread of the scores."""
    p = exact.softmax([Fraction(e) / temperature for e in scores])
    ratio = ball(Fraction(max(scores) - min(scores)) / temperature).exp()
    upper = exact.at_most([len(p) * z for z in p], [ratio] * len(p))
    return Outcome.worst([upper, exact.at_most([1 / ratio] * len(p), [len(p) * z for z in p])])


@derived(
    Claim(
        id="softmax.high-temperature",
        title="How fast a hot softmax becomes uniform",
        states="(Not in the text, which says that attention may become uniform, all weights near 1/n.) Raising the temperature takes it there.",
        precise=r"$e^{-R/T} \le n\,\alpha_i \le e^{R/T}$ with $R = \max s - \min s$, so $\alpha_i \to 1/n$ as $T \to \infty$; in the formula $s_j -"
        r" \min s = x_j$"
        r" and $R = x_i + h$.",
        sources=(S4.at("Vanishing Attention"), S4.at("Attention as Soft Dictionary Lookup")),
        scope="all n ≥ 1, all finite real scores, all T > 0",
        inventory=("C013",),
        holds=high_temperature_holds,
    )
)
def high_temperature() -> Iterator[Step]:
    below = total(sp.exp(-g[l] / T), l)  # the same row seen from its maximum: s_j = max s − g_j
    yield Step(
        sp.exp(-(g[i] + gap) / T),
        "<=",
        n * sp.exp(-g[i] / T) / below,
        because="the divisor is at most n when scores are measured from the largest, and R = g_i + h",
        certificate=sp.exp(-g[i] / T) * (n * (1 - sp.exp(-gap / T)) + sp.exp(-gap / T) * total(1 - sp.exp(-g[l] / T), l)) / below,
    )
    above = total(sp.exp(x[l] / T), l)
    yield Step(
        n * sp.exp(x[i] / T) / above,
        "<=",
        sp.exp((x[i] + gap) / T),
        because="the divisor is at least n when scores are measured from the smallest",
        certificate=sp.exp(x[i] / T) * (n * (sp.exp(gap / T) - 1) + sp.exp(gap / T) * total(sp.exp(x[l] / T) - 1, l)) / above,
    )


def slope_holds(scores: Row, values: Row, toward: Row) -> Outcome:
    """The first directional derivative of the output from power series against Σ_j α_j (v_j − o) toward_j."""
    p = exact.softmax(scores)
    output = sum((z * ball(o) for z, o in zip(p, values, strict=True)), arb(0))
    formula = sum((z * (ball(o) - output) * ball(e) for z, o, e in zip(p, values, toward, strict=True)), arb(0))
    series = sum((z[1] * ball(o) for z, o in zip(along(scores, toward), values, strict=True)), arb(0))
    return exact.equal([series], [formula])


@derived(
    Claim(
        id="softmax.differentiable-lookup",
        title="The soft lookup is differentiable as often as one likes",
        states="Attention is a differentiable dictionary.",
        reading="The normalised lookup, as a function of scores (hence of q and k, which enter them smoothly) and values.",
        precise=r"$\partial o / \partial s_j = \alpha_j (v_j - o)$ and $\partial o / \partial v_j = \alpha_j$: polynomials in weights and values. So is "
        r"$\partial\alpha_i/\partial s_j=\alpha_i(\delta_{ij}-\alpha_j)$; "
        r"hence, by the product rule, the derivative of every polynomial in weights and values is one again, and by induction derivatives of all orders exist.",
        sources=(S4.at("Attention as Soft Dictionary Lookup"),),
        scope="all n ≥ 1, all finite real scores and values",
        inventory=("C310",),
        uses=("softmax.jacobian",),
        holds=slope_holds,
    )
)
def differentiable_lookup() -> Iterator[Step]:
    output = total(softmax(s, i) * v[i], i)
    weight = softmax(s, i)
    yield Step(sp.Derivative(weight, s[j]), "=", weight * (D(i, j) - softmax(s, j)), because="the derivative of a weight is a polynomial in the weights")
    yield Step(sp.Derivative(output, v[j]), "=", softmax(s, j), because="the output is linear in the values")
    yield Step(
        sp.Derivative(output, s[j]),
        "=",
        softmax(s, j) * (v[j] - output),
        because="by the Jacobian of softmax, raising a score pulls the output towards that key's value",
    )


def kept_mass(scores: Row, keep: Sequence[bool]) -> arb:
    return sum((p for p, kept in zip(exact.softmax(scores), keep, strict=True) if kept), arb(0))


def masked_mass_holds(scores: Row, keep: Sequence[bool]) -> Outcome:
    """Σ M_j α_j = 1 − Σ (1 − M_j) α_j, the hidden mass summed on its own."""
    hidden = kept_mass(scores, [not kept for kept in keep])
    return exact.equal([kept_mass(scores, keep)], [1 - hidden])


@derived(
    Claim(
        id="softmax.masked-product-mass",
        title="A mask multiplied onto softmax loses the mass of the hidden keys",
        states="(Not in the text, which multiplies a mask onto the softmax.) Such weights sum to one less the mass of the hidden keys.",
        precise=r"$\sum_j M_j \alpha_j = 1 - \sum_j (1 - M_j)\,\alpha_j$: the row sums to one only if no key is hidden, and must be divided by its sum"
        r" to be attention"
        r" over the kept keys.",
        sources=(S0.at("Mathematical Formulation (sparse attention)"),),
        scope="all n ≥ 1, all finite real scores, every mask (0 or 1, or any real factor)",
        inventory=("C002",),
        uses=("softmax.row-sum",),
        holds=masked_mass_holds,
    )
)
def masked_product_mass() -> Iterator[Step]:
    kept, hidden = total(mask[j] * softmax(s, j), j), total((1 - mask[j]) * softmax(s, j), j)
    yield Step(kept, "=", 1 - hidden, because="kept and hidden mass together are the whole row, which sums to one")


def every_mechanism_holds(scores: Row, keep: Sequence[bool]) -> Outcome:
    """Whether the text's sparse weights M ⊙ softmax(s) sum to one."""
    return exact.equal([kept_mass(scores, keep)], [1])


def every_mechanism_worked(scores: Row, keep: Sequence[bool]) -> str:
    shares = [exact.show(p) for p in exact.softmax(scores)]
    kept = ", ".join(p if z else "0" for p, z in zip(shares, keep, strict=True))
    return (
        f"Take the scores {list(scores)} and the mask {[int(z) for z in keep]}. The softmax is [{', '.join(shares)}]. Multiplied by the mask it leaves"
        f" [{kept}], and this sums to {exact.show(kept_mass(scores, keep))}, not to 1. The monotonic weights of the same text fall short"
        f" too: with one"
        " position and stopping probability 1/2 they sum to 1/2."
    )


every_mechanism = Claim(
    id="softmax.every-mechanism-is-normalised",
    title="Every attention mechanism is a softmax-weighted sum",
    states="(Implied.) The general attention mechanism weights the values by a softmax of energies, and the mechanisms of the text are instances of it.",
    reading="“General”: every mechanism that the same text goes on to define has weights that sum to one, as a softmax has. Judged on its formula for sparse "
    "attention,"
    " M ⊙ softmax(QKᵀ/√d_k), with at least one key kept.",
    precise=r"$\sum_j M_j\, \mathrm{softmax}(s)_j = 1$.",
    sources=(S0.at("General Attention Framework"), S0.at("Mathematical Formulation (sparse attention)"), S0.at("Monotonic Attention")),
    scope="all n ≥ 1, all finite real scores, every mask that keeps a key",
    inventory=("C002",),
    holds=every_mechanism_holds,
    worked=every_mechanism_worked,
    corrected_by="softmax.masked-product-mass",
)


def lookup(query: Row, keys: Matrix, values: Row) -> arb:
    """Attention of one query with scale 1 and scalar values. Shapes: query [d], keys [n, d], values [n]."""
    return exact.attention([query], keys, [[z] for z in values])[0][0]


def similarities(query: Row, keys: Matrix) -> list[arb]:
    """What similarity(q, key) must be: the answer of the dictionary that holds this key alone, with value 1."""
    return [lookup(query, [key], [1]) for key in keys]


def dictionary_holds(query: Row, keys: Matrix, values: Row) -> Outcome:
    """Attention against Σ similarity(q, key_i) × value_i, for the only similarity that fits dictionaries of one entry."""
    as_written = sum((z * ball(o) for z, o in zip(similarities(query, keys), values, strict=True)), arb(0))
    return exact.equal([lookup(query, keys, values)], [as_written])


def dictionary_worked(query: Row, keys: Matrix, values: Row) -> str:
    total_value = exact.show(sum((ball(z) for z in values), arb(0)))
    return (
        f"A dictionary with one entry (key, 1) makes attention return 1, whatever query and key are, so the written formula forces similarity(q, key)"
        f" = 1. Now take the"
        f" query {list(query)}, the keys {[list(z) for z in keys]} and the values {list(values)}: the formula gives {total_value}, attention gives"
        f" {exact.show(lookup(query, keys, values))}. No function of the query and one key can do it: a softmax weight depends on the other keys as well."
    )


dictionary = Claim(
    id="softmax.dictionary-as-written",
    title="Attention is Σ similarity(q, key) × value",
    states="The soft dictionary returns the sum of similarity(q, keyᵢ) times valueᵢ.",
    reading="similarity is some function of the query and one key, as it is written, and the sum is attention's output. Any such function is allowed (the scores"
    " q·k, which the same text says measure similarity, are one): dictionaries with one entry determine it.",
    precise=r"$o = \sum_i \mathrm{sim}(q, k_i)\, v_i$ for one function $\mathrm{sim}$ and every dictionary.",
    sources=(S4.at("Attention as Soft Dictionary Lookup"),),
    scope="all n ≥ 1, all finite real queries, keys and values",
    inventory=("C309",),
    holds=dictionary_holds,
    worked=dictionary_worked,
    corrected_by="softmax.dictionary-normalised",
)


def normalised_dictionary_holds(query: Row, keys: Matrix, values: Row) -> Outcome:
    similar = [ball(sum(e * o for e, o in zip(query, key, strict=True))).exp() for key in keys]
    above = sum((z * ball(o) for z, o in zip(similar, values, strict=True)), arb(0))
    return exact.equal([lookup(query, keys, values) * sum(similar, arb(0))], [above])


@derived(
    Claim(
        id="softmax.dictionary-normalised",
        title="Attention is a similarity-weighted mean, not a sum",
        states="(Not in the text, which leaves the division out.) Attention returns the sum of similarity(q, keyᵢ) times valueᵢ, divided by the sum of the "
        "similarities.",
        precise=r"$o = \dfrac{\sum_i \mathrm{sim}(q, k_i)\, v_i}{\sum_l \mathrm{sim}(q, k_l)}$ with $\mathrm{sim}(q, k) = e^{q \cdot k}$.",
        sources=(S4.at("Attention as Soft Dictionary Lookup"), S4.at("Core Formula")),
        scope="all n, d ≥ 1, all finite real queries, keys and values",
        inventory=("C309",),
        holds=normalised_dictionary_holds,
    )
)
def dictionary_normalised() -> Iterator[Step]:
    similar, all_similar = (sp.exp(total(Q[r, a] * K[z, a], a)) for z in (j, l))
    yield Step(
        total(similar / total(all_similar, l) * v[j], j),
        "=",
        total(similar * v[j], j) / total(all_similar, l),
        because="every softmax weight has the same divisor, the sum of all similarities",
    )
