"""How many labelings attention can give, which keys a head can single out, and what sample sizes follow.

A sequence of equal tokens is mapped to its token times W_V whatever the scores (universality.constant-sequences), so linear classifiers sit inside
every attention layer, at every length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product
from math import comb

import sympy as sp
from flint import arb, fmpq, fmpq_mat

from theorems import exact
from theorems.claim import Claim, derived
from theorems.entropy import Excess, logarithm_below_line
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import S0, Source
from theorems.step import Step
from theorems.symbols import a, d, i, j, l, n, s, total

Row = Sequence[int]
Rows = Sequence[Row]
Inequality = tuple[list[Fraction], Fraction, list[Fraction]]  # coefficients · q ≥ bound, and which multiples of the given inequalities it is

VAPNIK = Source(
    key="vapnik1971", title="On the uniform convergence of relative frequencies of events to their probabilities", url="https://doi.org/10.1137/1116025"
)
SHALEV = Source(key="shalev2014", title="Understanding Machine Learning: From Theory to Algorithms", url="https://doi.org/10.1017/CBO9781107298019")
HOEFFDING = Source(
    key="hoeffding1963", title="Probability inequalities for sums of bounded random variables", url="https://doi.org/10.1080/01621459.1963.10500830"
)
BARTLETT = Source(
    key="bartlett2002", title="Rademacher and Gaussian complexities: risk bounds and structural results", url="https://www.jmlr.org/papers/v3/bartlett02a.html"
)
KARPINSKI = Source(
    key="karpinski1997",
    title="Polynomial bounds for VC dimension of sigmoidal and general Pfaffian neural networks",
    url="https://doi.org/10.1006/jcss.1997.1477",
)
VC, SAMPLES, RADEMACHER = S0.at("VC Dimension of Attention"), S0.at("Sample Complexity"), S0.at("Rademacher Complexity")

k = sp.Symbol("k", integer=True, positive=True)  # a point
m = sp.Symbol("m", integer=True, positive=True)  # how many samples
w = sp.IndexedBase("w", real=True)
gap = sp.IndexedBase("g", nonnegative=True)


def _matrix(rows: Sequence[Sequence[int | Fraction]]) -> fmpq_mat:
    return fmpq_mat(len(rows), len(rows[0]), [fmpq(x.numerator, x.denominator) for row in rows for x in row])


def _fraction(x: fmpq) -> Fraction:
    return Fraction(int(x.p), int(x.q))


def _dot(x: Sequence[int | Fraction], y: Sequence[int | Fraction]) -> Fraction:
    return sum((Fraction(one) * other for one, other in zip(x, y, strict=True)), Fraction(0))


# --- labelings (C319) ---------------------------------------------------------------------------------------------------------------------


def _signs_of(points: Rows) -> tuple[list[Fraction], int]:
    """Σ_k c_k point_k = 0 with a positive c_k: the coefficients (none if the points are independent), and the rank."""
    reduced, rank = _matrix(list(zip(*points, strict=True))).rref()
    pivots = [next(column for column in range(len(points)) if reduced[place, column] != 0) for place in range(rank)]
    free = [column for column in range(len(points)) if column not in pivots]
    if not free:
        return [], rank
    vector = [Fraction(int(column == free[0])) for column in range(len(points))]
    for place, pivot in enumerate(pivots):
        vector[pivot] = -_fraction(reduced[place, free[0]])
    return vector, rank


def _one_token(points: Rows, length: int, tries: Rows) -> Outcome:
    """Independent points: a w for every labeling, run as attention on constant sequences. Dependent ones: the labeling by the signs of a dependency, which no drawn w has."""
    coefficients, _ = _signs_of(points)
    if coefficients:
        wanted = [c > 0 for c in coefficients]
        return exact.decided(all([_dot(x, one) > 0 for x in points] != wanted for one in tries))
    rows = _matrix(points)
    right = rows.transpose() * (rows * rows.transpose()).inv()
    for labels in product((-1, 1), repeat=len(points)):
        solution = right * _matrix([[label] for label in labels])
        values = [_fraction(solution[place, 0]) for place in range(len(points[0]))]
        outputs = [exact.attention([x] * length, [x] * length, [[_dot(x, values)]] * length)[0][0] for x in points]
        if exact.equal(outputs, labels) is not Outcome.HELD:
            return Outcome.REFUTED
    return Outcome.HELD


@derived(
    Claim(
        id="capacity.one-token",
        title="Attention over equal tokens is a linear classifier, of VC dimension exactly d",
        states="(Implied, at n = 1, where the bound of the text is 0.) The VC dimension of attention at sequence length 1, and a lower bound at every length.",
        reading="Labels are the sign of the output (positive or not) with a value projection to one number and without bias; with a bias it is d + 1.",
        precise=r"On constant sequences of tokens $x \in \mathbb R^d$ the output is $w \cdot x$ at every length. The unit vectors are shattered: $w = \sum_k\sigma_ke_k$ gives $w \cdot e_k = \sigma_k$. No $d + 1$ tokens are: "
        r"they have a dependency $\sum_kp_kx_k = \sum_kq_kx'_k$ with $p_k > 0$ for one token at least and $q_k \ge 0$, and the label positive for the $x_k$ and not for the $x'_k$ would give $0 < \sum_kp_k(w \cdot x_k) - \sum_kq_k(w \cdot x'_k) = 0$. So the VC dimension is $d$ at $n = 1$, where "
        r"$d^2\log n = 0$: no multiple of $d^2\log n$ bounds it there. At every $n$ it is at least $d$. In the last formula $w\cdot x_k = u_k > 0$ and $w\cdot x'_k = -v_k \le 0$.",
        sources=(VC, VAPNIK),
        scope="every d; sequences of equal tokens of every length, n = 1 among them",
        inventory=("C319",),
        uses=("universality.constant-sequences",),
        holds=_one_token,
    )
)
def one_token() -> Iterator[Step]:
    sign = sp.IndexedBase("sigma", real=True)
    corner = sp.Symbol("b", integer=True, positive=True)
    yield Step(total(sign[a] * sp.KroneckerDelta(a, corner), a), "=", sign[corner], "the unit vectors take any signs")
    x, coefficient = sp.IndexedBase("x", real=True), sp.IndexedBase("c", real=True)
    yield Step(
        sp.Sum(coefficient[k] * total(w[a] * x[k, a], a), (k, 1, d + 1)), "=", total(w[a] * sp.Sum(coefficient[k] * x[k, a], (k, 1, d + 1)), a),
        "d + 1 tokens have a dependency, c_k = p_k or −q_k, and the outputs have the same one",
    )  # fmt: skip
    yield _contradiction()


def _contradiction() -> Step:
    """What a labeling by the signs of a dependency would come to."""
    some, more = sp.symbols("n_+ n_-", integer=True, positive=True)
    p, u = sp.IndexedBase("p", positive=True), sp.IndexedBase("u", positive=True)
    q, v = sp.IndexedBase("q", nonnegative=True), sp.IndexedBase("v", nonnegative=True)
    return Step(
        sp.Integer(0), "<", sp.Sum(p[k] * u[k], (k, 1, some)) + sp.Sum(q[k] * v[k], (k, 1, more)),
        "but with the labels of its signs the dependency of the outputs would be positive, not 0: no parameters give these labels",
    )  # fmt: skip


def _vocabulary(sequences: Rows, words: int, scores: Row, values: Row, bias: int) -> Outcome:
    """Sequences that begin with word 0, at most one more than words; if counts are dependent, the labels by the signs of the dependency, against drawn scores and values."""
    places = [[0, *(word % words for word in row)] for row in sequences]
    coefficients, _ = _signs_of([[row.count(word) for word in range(words)] for row in places])
    if not coefficients:
        return Outcome.HELD
    outputs = []
    for row in places:
        weights = exact.softmax([scores[word % len(scores)] for word in row])
        outputs.append(sum((p * (values[word % len(values)] + bias) for p, word in zip(weights, row, strict=True)), arb(0)))
    masses = [sum((ball(scores[word % len(scores)]).exp() for word in row), arb(0)) for row in places]
    joint = sum((ball(c) * mass * output for c, mass, output in zip(coefficients, masses, outputs, strict=True)), arb(0))
    labeled = all(bool(o > 0) == (c > 0) for c, o in zip(coefficients, outputs, strict=True) if c)
    return Outcome.worst([exact.equal([joint], [0]), exact.decided(not labeled)])


@derived(
    Claim(
        id="capacity.vocabulary",
        title="Over a vocabulary of q words the VC dimension of a head is at most q², at every sequence length",
        states="(Not in the text, which bounds the VC dimension of attention.) The VC dimension of softmax attention with real parameters, for tokens from a "
        "finite vocabulary.",
        reading="Labels are the sign of the first row's output (positive or not), projected to one number, with or without a bias.",
        precise=r"Where word $u$ asks, the output times the normaliser is $\sum_vc_va_{uv}$ with $c_v$ the number of times that word $v$ occurs and $a_{uv} = e^{s(u, v)}(y_v + b)$: a linear function of $q$ counts. $q + 1$ sequences "
        r"with one asking word have dependent counts, and labels by the signs of the dependency are not given. Among $q^2 + 1$ sequences some $q + 1$ have the same asking word: no $q^2 + 1$ sequences are shattered. With $d$ one-hot words the bound is "
        r"$d^2$, whatever $n$, and for $n \ge 2$ that is at most $\frac{1}{\log 2}d^2\log n$. (A bound: at $n = 1$ no more than $d$ inputs are shattered, capacity.one-token.)",
        sources=(VC, VAPNIK),
        scope="one head, every score of two words (positions do not enter it), every value of each word, every length; several lengths at once as well",
        inventory=("C319",),
        holds=_vocabulary,
    )
)
def vocabulary() -> Iterator[Step]:
    yield Step(
        d**2, "<=", d**2 / sp.log(2) * sp.log(2 + gap[1]),
        "d² for d words, which the next steps show, is at most d² log n / log 2 for n = 2 + g", certificate=d**2 / sp.log(2) * sp.log(1 + gap[1] / 2),
    )  # fmt: skip
    count = sp.IndexedBase("c", nonnegative=True)
    value = sp.IndexedBase("y", real=True)
    shift = sp.Symbol("b", real=True)
    weight = total(count[j] * sp.exp(s[j]) * value[j], j) / (sp.exp(s[i]) + total(count[l] * sp.exp(s[l]), l))
    mass = sp.exp(s[i]) + total(count[l] * sp.exp(s[l]), l)
    own = sp.exp(s[i]) * value[i] / mass
    yield Step(
        (own + weight + shift) * mass, "=", sp.exp(s[i]) * (value[i] + shift) + total(count[j] * sp.exp(s[j]) * (value[j] + shift), j),
        "equal words have equal scores and values; the asking word i occurs once more than c_i says. The normaliser is positive, so the sign is that of a linear function of the counts",
    )  # fmt: skip
    counts, coefficient, part = sp.IndexedBase("c", real=True), sp.IndexedBase("z", real=True), sp.IndexedBase("a", real=True)
    yield Step(
        sp.Sum(coefficient[k] * total(part[j] * counts[k, j], j), (k, 1, n + 1)), "=", total(part[j] * sp.Sum(coefficient[k] * counts[k, j], (k, 1, n + 1)), j),
        "the counts of one sequence more than there are words (here n words) have a dependency, and these functions of them have the same one",
    )  # fmt: skip
    yield _contradiction()


def _labelings(points: Rows, values: Row) -> set[tuple[bool, ...]]:
    """Labels of sequences of numbers by the first row's output, for query, key and value weights from a grid: certainly positive, or not."""
    found = set()
    for query, key, value in product(values, repeat=3):
        outputs = [exact.attention([[query * x[0]]], [[key * y] for y in x], [[value * y] for y in x])[0][0] for x in points]
        found.add(tuple(bool(o > 0) for o in outputs))
    return found


def _finite_precision(points: Rows, bits: int) -> Outcome:
    """Weights of `bits` bits each: no more labelings than settings, and so no more than 3 · bits sequences shattered."""
    count = len(_labelings(points, range(-(2 ** (bits - 1)), 2 ** (bits - 1))))
    return exact.decided(count <= 2 ** (3 * bits) and (count < 2 ** len(points) or len(points) <= 3 * bits))


@derived(
    Claim(
        id="capacity.finite-precision",
        title="With b-bit parameters the VC dimension is at most b times their number, at every sequence length",
        states="(Not in the text, which bounds the VC dimension of attention.) The VC dimension of attention as it is computed.",
        precise=r"$N$ shattered inputs take $2^N$ settings of the parameters, and there are at most $2^{bP}$: so $N \le bP$. For one head with $d \times d$ matrices "
        r"$W_Q, W_K, W_V$ it is $3bd^2$ whatever $n$: a multiple of $d^2$, without a logarithm, which for $n \ge 2$ is at most $\frac{3b}{\log 2}\,d^2\log n$. In the formula $N = "
        r"bP + x$ with $x \ge 1$ inputs too many.",
        sources=(VC, SHALEV.at("section 6.3.4")),
        scope="every number P of parameters of b bits, every rule that turns parameters and an input into a label (softmax, masks and rounding included)",
        inventory=("C319",),
        holds=_finite_precision,
    )
)
def finite_precision() -> Iterator[Step]:
    bits, excess = sp.symbols("b x", integer=True, positive=True)
    yield Step(
        3 * bits * d**2, "<=", 3 * bits / sp.log(2) * d**2 * sp.log(2 + gap[1]),
        "for n = 2 + g the logarithm is at least log 2", certificate=3 * bits / sp.log(2) * d**2 * sp.log(1 + gap[1] / 2),
    )  # fmt: skip
    room = sp.Symbol("P", integer=True, positive=True)
    yield Step(
        sp.exp(bits * room * sp.log(2)), "<", sp.exp((bits * room + excess) * sp.log(2)),
        "more than bP inputs have more labelings than there are settings", certificate=sp.exp(bits * room * sp.log(2)) * (sp.exp(excess * sp.log(2)) - 1),
    )  # fmt: skip


def _bits(sequence: int, number: int) -> list[Fraction]:
    """Coefficients, lowest first, of a polynomial that is positive at z = 1, …, number exactly where bit `sequence` of z − 1 is 1: a root at each change."""
    coefficients = [Fraction(1)]
    for z in range(1, number):
        if (z - 1) >> sequence & 1 != z >> sequence & 1:
            root = z + Fraction(1, 2)
            coefficients = [low - root * high for low, high in zip([Fraction(0), *coefficients], [*coefficients, Fraction(0)], strict=True)]
    return [*coefficients, *[Fraction(0)] * (number - len(coefficients))]


def _shatters(half: int, bits: int, labels: Sequence[bool], idle: int) -> Outcome:
    """Parameters for the drawn labels of all k²N sequences, k = half and N = bits, run as attention; `idle` tokens 0 at the end."""
    number, width = 2**bits, 2 * half + 1
    wanted = [[list(labels[(row * half + column) * bits :][:bits]) for column in range(half)] for row in range(half)]
    outcomes = []
    for row, column, sequence in product(range(half), range(half), range(bits)):
        asks = [int(place == row) for place in range(width)]
        rest: list[list[int | Fraction]] = [
            [*(power * int(place == half + column) for place in range(width - 1)), y] for power, y in enumerate(_bits(sequence, number))
        ]
        tokens: list[Sequence[int | Fraction]] = [asks, *rest, *[[0] * width] * idle]
        query = [arb(0)] * half + [ball(1 + sum(2**at for at, label in enumerate(wanted[row][other]) if label)).log() for other in range(half)] + [arb(0)]
        output = exact.attention([query], tokens, [[token[-1]] for token in tokens])[0][0]
        outcomes.append(exact.decided(bool(output > 0) == wanted[row][column][sequence] and (bool(output > 0) or bool(output < 0))))
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="capacity.lower-bound",
        title="The VC dimension of one head with real parameters is at least a multiple of d² log n",
        states="(Not in the text, which gives an upper bound.) Whether the VC dimension of attention could be smaller than d² log n.",
        reading="Labels are the sign of the first row's output (positive or not), with a value projection to one number.",
        precise=r"For $d \ge 3$ and $n \ge 3$ one head shatters $k^2N$ sequences of $n$ tokens in $\mathbb R^d$, with $k = \lfloor\frac{d-1}2\rfloor$ and $N = \lfloor\log_2(n-1)\rfloor$, which is at least $\frac{d^2\log n}{32\log 2}$. For "
        r"$a, b \le k$ and $i < N$ a sequence begins with the token $e_a$, which asks; then come $j\,e_{k+b} + y_{ij}\,e_{2k+1}$ for $j = 0, \dots, 2^N - 1$, and tokens 0 up to the length $n$. $W_V$ reads the last feature, and of $M = W_QW_K^\top$ "
        r"only the entries $M_{a,k+b} = \log z_{ab}$ are not 0. The output has the sign of $P_i(z_{ab}) = \sum_jy_{ij}z_{ab}^j$. Let $P_i$ be positive at those $z = 1, \dots, 2^N$ for which bit $i$ of $z - 1$ is 1, and negative at the others: a polynomial with "
        r"a root at each change, of which there are fewer than $2^N$. So the one number $z_{ab}$ gives the $N$ sequences of the pair any labels, and the pairs do not interfere. If $O(d^2\log n)$ is a bound at all, it is therefore the best one. In the last "
        r"formula $k = 1 + x$, $N = 1 + y$, $d \le 2k + 2$ and $n \le 2^{N+1}$.",
        sources=(VC, VAPNIK),
        scope="one head, d ≥ 3, n ≥ 3, d_k ≥ k, real parameters and real tokens, no mask",
        inventory=("C319",),
        holds=_shatters,
    )
)
def lower_bound() -> Iterator[Step]:
    entries, power, spot = sp.IndexedBase("M", real=True), sp.Symbol("p", real=True), sp.Symbol("k", integer=True, positive=True)
    delta = sp.KroneckerDelta
    yield Step(
        total(sp.Sum(delta(i, j) * entries[i, spot] * power * delta(spot, l), (spot, 1, n)), i), "=", power * entries[j, l],
        "the token e_j scores p e_l with p times the entry (j, l) of M, and nothing else: no other pair's number enters (sums over n features each)",
    )  # fmt: skip
    base, term = sp.Symbol("z", positive=True), sp.Symbol("r", integer=True, positive=True)
    value = sp.IndexedBase("y", real=True)
    whole, mass = (sp.Sum(body, (term, 1, m)) for body in (value[term] * base ** (term - 1), base ** (term - 1)))
    yield Step(
        whole / (1 + mass), "=", whole * (1 - mass / (1 + mass)),
        "at M_ab = log z the weights are powers of z over 1 plus their sum: the output is a polynomial in z times the asking token's own weight, which is positive",
    )  # fmt: skip
    root, away, others = sp.symbols("rho h R", positive=True)
    yield Step(sp.Integer(0), "<", ((root + away) - root) * others, "to the right of a root its factor is positive")
    yield Step(
        ((root - away) - root) * others,
        "<",
        sp.Integer(0),
        "and to the left negative, while the other factors (R) keep their signs: one root for each change of sign",
    )
    more, further = sp.symbols("x y", integer=True, nonnegative=True)
    half, bits = 1 + more, 1 + further
    yield Step(
        (2 * half + 2) ** 2 * (bits + 1) * sp.log(2), "<=", 32 * sp.log(2) * half**2 * bits,
        "the number k²N of sequences against d² log n, which is at most (2k + 2)²(N + 1) log 2",
        certificate=4 * sp.log(2) * (8 * more + 6 * more**2 + 4 * further + 12 * more * further + 7 * more**2 * further),
    )  # fmt: skip


def _signs_along(row: Row, places: Sequence[Fraction]) -> list[int]:
    """The certain signs of Σ_j x_j e^(M x_1 x_j), the output at W_V = 1 times the normaliser, at these M; 0 where it is 0 or too near to tell."""
    found = []
    for place in places:
        output = sum((ball(x) * (ball(place) * row[0] * x).exp() for x in row), arb(0))
        found.append(int(bool(output > 0)) - int(bool(output < 0)))
    return found


def _width_one(sequences: Rows, places: Sequence[Fraction]) -> Outcome:
    """Along the drawn M no output changes its sign more than n − 1 times, and together with ±1 and 0 for W_V they give at most 4Nn labelings."""
    along = [_signs_along(row, sorted(places)) for row in sequences]
    longest = max(map(len, sequences))
    kept = [[one for one in row if one] for row in along]
    changes = [sum(one != other for one, other in pairwise(row)) for row in kept]
    labels = {tuple(side * row[at] > 0 for row in along) for at in range(len(places)) for side in (-1, 0, 1)}
    steady = all(change <= len(row) - 1 for change, row in zip(changes, sequences, strict=True))
    return exact.decided(steady and len(labels) <= 4 * len(sequences) * longest)


@derived(
    Claim(
        id="capacity.width-one",
        title="In width 1 the VC dimension of one head is at most 9 log n, for n ≥ 2",
        states="(Implied.) The bound O(d² log n) at d = 1.",
        reading="Labels are the sign of the first row's output (positive or not). Parameters are real, so a head is a number M = W_Q · W_K and a number W_V.",
        precise=r"The first output has the sign of $W_V\,g(M)$ with $g(M) = \sum_jx_je^{Mx_1x_j}$. A sum of $n$ exponentials that is not 0 throughout has at "
        r"most $n - 1$ zeros: divided by one of them and differentiated it has a term less, and by Rolle's theorem at most "
        r"one zero less. So the zeros of $N$ sequences cut the line of $M$ into at most $N(n-1) + 1$ intervals, each with one sign pattern, and the $N(n-1)$ "
        r"zeros add one each; with $W_V$ of either sign, or 0, there are at most $2(2N(n-1) + 1) + 1 \le 4Nn$ labelings. "
        r"Shattering needs $2^N \le 4Nn$, and $\log N \le \frac N4 - 1 + \log4$, so $N \le 9\log n$. In the last formula $n = 2 + 2g$ and $N = 9\log n + x$ "
        r"with $x > 0$, too many.",
        sources=(VC, VAPNIK),
        scope="one head of width d = 1 without positions and mask, every n ≥ 2, real parameters and real tokens",
        inventory=("C319",),
        holds=_width_one,
    )
)
def width_one() -> Iterator[Step]:
    rate, part = sp.IndexedBase("lambda", real=True), sp.IndexedBase("x", real=True)
    along, first, lead = sp.Symbol("M", real=True), sp.Symbol("lambda_0", real=True), sp.Symbol("x_0", real=True)
    whole = lead * sp.exp(first * along) + total(part[j] * sp.exp(rate[j] * along), j)
    yield Step(
        sp.Derivative(whole * sp.exp(-first * along), along), "=", total(part[j] * (rate[j] - first) * sp.exp((rate[j] - first) * along), j),
        "a sum of exponentials, divided by one of its terms' and differentiated, has a term less; one term alone has no zero",
    )  # fmt: skip
    more = sp.Symbol("x", integer=True, nonnegative=True)
    count = 1 + more
    yield Step(
        2 * (2 * count * (n - 1) + 1) + 1, "<=", 4 * count * n,
        "N = 1 + x sequences: intervals between zeros, and the zeros themselves, twice for the sign of W_V, and once for W_V = 0", certificate=4 * more + 1,
    )  # fmt: skip
    yield from logarithm_below_line()
    number = sp.Symbol("N", positive=True)
    yield Step(
        sp.log(4 * number * n), "<=", sp.log(n) + 4 * sp.log(2) - 1 + number / 4,
        "log z ≤ z − 1 at z = N/4", certificate=Excess(number / 4),
    )  # fmt: skip
    beyond = sp.Symbol("x", positive=True)
    length, log_2 = 2 * (1 + gap[1]), sp.log(2)
    many = 9 * sp.log(length) + beyond
    yield Step(
        sp.log(length) + 4 * log_2 - 1 + many / 4, "<", many * log_2,
        "so with more than 9 log n sequences log(4Nn) is less than N log 2: there are fewer labelings than shattering takes",
        certificate=(log_2 - sp.Rational(1, 4)) * beyond + (9 * log_2 - sp.Rational(13, 4)) * sp.log(1 + gap[1]) + log_2 * (9 * log_2 - sp.Rational(29, 4) + 1 / log_2),
    )  # fmt: skip


vc_dimension = Claim(
    id="capacity.vc-dimension",
    title="The VC dimension of attention is O(d² log n)",
    states="The VC dimension bounds the complexity of attention: VCdim(Attention) = O(d² log n), d the embedding dimension and n the sequence length.",
    precise=r"There is a constant $C$ with $\mathrm{VCdim} \le C\,d^2\log n$ for all $d$ and all $n \ge 2$ (at $n = 1$ the bound is 0 and false), for the signs of one head's output with real $W_Q, W_K, W_V$.",
    sources=(VC, KARPINSKI),
    scope="one head with real parameters and real tokens",
    inventory=("C319",),
    not_checkable="The text does not say which parameters are trained, what the labels are, or how the bound is derived. For real parameters the known general bounds for networks with "
    "exponentials are polynomials of higher degree (Karpinski and Macintyre 1997), and whether d² log n is enough for softmax at n ≥ 2 and d ≥ 2 could be "
    "neither proved nor "
    "refuted here. What can be checked: no smaller order is possible (capacity.lower-bound: a head shatters a multiple of d² log n inputs); the literal bound "
    "fails at n = 1 (capacity.one-token); it holds at d = 1 (capacity.width-one); for tokens from a vocabulary of d words d² suffices "
    "(capacity.vocabulary), and with b-bit parameters 3bd² (capacity.finite-precision), both without a logarithm.",
)


# --- which keys a head can single out -----------------------------------------------------------------------------------------------------


def _separated(keys: Rows, own: int) -> tuple[list[Fraction], list[Fraction]]:
    """Either q with q · (key − other) ≥ 1 for all others, or λ ≥ 0 of sum 1 with key = Σ λ other: Fourier–Motzkin elimination, which keeps track of multiples."""
    others = [key for place, key in enumerate(keys) if place != own]
    given: list[Inequality] = [
        ([Fraction(x - y) for x, y in zip(keys[own], other, strict=True)], Fraction(1), [Fraction(int(place == index)) for index in range(len(others))])
        for place, other in enumerate(others)
    ]
    stages = [given]
    for feature in range(len(keys[0])):
        now = stages[-1]
        above, below = ([row for row in now if row[0][feature] * sign > 0] for sign in (1, -1))
        kept = [row for row in now if row[0][feature] == 0]
        stages.append([*kept, *(_combined(up, down, feature) for up in above for down in below)])
    if impossible := next((row for row in stages[-1] if row[1] > 0), None):
        whole = sum(impossible[2], Fraction(0))
        return [], [x / whole for x in impossible[2]]
    query = [Fraction(0)] * len(keys[0])
    for feature in reversed(range(len(keys[0]))):
        rows = [(row[0][feature], row[1] - sum((row[0][at] * query[at] for at in range(feature + 1, len(query))), Fraction(0))) for row in stages[feature]]
        lows, highs = [rest / x for x, rest in rows if x > 0], [rest / x for x, rest in rows if x < 0]
        query[feature] = max(lows) if lows else min(highs) if highs else Fraction(0)
    return query, []


def _combined(up: Inequality, down: Inequality, feature: int) -> Inequality:
    """The sum of multiples of the two in which the feature cancels."""
    first, second = -down[0][feature], up[0][feature]
    return (
        [first * x + second * y for x, y in zip(up[0], down[0], strict=True)],
        first * up[1] + second * down[1],
        [first * x + second * y for x, y in zip(up[2], down[2], strict=True)],
    )


def _singled_out(keys: Rows, own: int, queries: Rows, sharpness: int) -> Outcome:
    """A certificate either way, verified: a query whose weight there reaches the bound; or a combination of the others, and drawn queries give at most a half."""
    own %= len(keys)
    others = [key for place, key in enumerate(keys) if place != own]
    query, combination = _separated(keys, own)
    if combination:
        mixed = [sum((x * key[place] for x, key in zip(combination, others, strict=True)), Fraction(0)) for place in range(len(keys[0]))]
        weights = [exact.softmax([_dot(asked, key) for key in keys])[own] for asked in queries]
        inside = min(combination) >= 0 and sum(combination) == 1 and mixed == list(keys[own])
        return Outcome.worst([exact.decided(inside), exact.at_most(weights, [Fraction(1, 2)] * len(weights))])
    apart = all(_dot(query, [x - y for x, y in zip(keys[own], other, strict=True)]) >= 1 for other in others)
    weight = exact.softmax([sharpness * _dot(query, key) for key in keys])[own]
    bound = 1 / (1 + len(others) * ball(-sharpness).exp())
    return Outcome.worst([exact.decided(apart), exact.at_most(bound, weight)])


@derived(
    Claim(
        id="capacity.singled-out-keys",
        title="A key that is a convex combination of other keys never gets more than half of the weight; any other key can get nearly all",
        states="Which patterns a head can attend to.",
        precise=r"If key $j$ is a convex combination $\sum_l\lambda_lk_l$ of other keys (a copy of one, for instance), then $p_j \le \frac12$ for every query: its score is at most the best of the others'. "
        r"If it is not, let $q$ be $k_j$ less the nearest point $c$ of the others' hull: $q \cdot (k_j - k_l) \ge |q|^2 > 0$ for every other key, and the query $tq$ gives $p_j \ge \frac{1}{1 + (n-1)e^{-t|q|^2}}$, which tends to 1. "
        r"So in width 1 a head can give more than half of its weight to two of its keys at most, the largest and the smallest, while in width 2 keys on a circle can all be singled out "
        r"(compression.narrow-student). In the last formula there are $n$ other keys, $|q|^2$ is $q$, and $q \cdot (c - k_l) = x_l \ge 0$.",
        sources=(S0.at("Expressiveness Analysis"),),
        scope="every number of keys and every width, real keys and queries, no mask; a key without others has all the weight",
        holds=_singled_out,
    )
)
def singled_out_keys() -> Iterator[Step]:
    share = sp.IndexedBase("lambda", positive=True)  # before division by their sum
    best, behind = sp.Symbol("c", real=True), sp.Symbol("x", nonnegative=True)
    mean = total(share[l] * (best - gap[l]), l) / total(share[j], j)
    yield Step(
        mean,
        "=",
        best - total(share[l] * gap[l], l) / total(share[j], j),
        "a combination has the same combination of scores, here of some that lie g_l below the best",
    )
    yield Step(mean, "<=", best, "so it does not score more than the best of the others", certificate=total(share[l] * gap[l], l) / total(share[j], j))
    mass = sp.exp(best - behind) + sp.exp(best) + total(sp.exp(s[l]), l)
    yield Step(
        sp.exp(best - behind) / mass, "<=", sp.Rational(1, 2), "with a score x ≥ 0 below the best one's it has at most half of what the two have, and the rest (scores s_l) takes its part as well",
        certificate=(sp.exp(best) * (1 - sp.exp(-behind)) + total(sp.exp(s[l]), l)) / (2 * mass),
    )  # fmt: skip
    size = sp.Symbol("t", positive=True)
    point, near, other = (sp.IndexedBase(name, real=True) for name in ("k", "c", "o"))
    away = total((point[a] - near[a] - size * (other[a] - near[a])) ** 2, a) - total((point[a] - near[a]) ** 2, a)
    yield Step(
        away, "=", size * (size * total((other[a] - near[a]) ** 2, a) - 2 * total((point[a] - near[a]) * (other[a] - near[a]), a)),
        "no point c + t(k_l − c) of the hull is nearer than c, so this is ≥ 0 for all 0 < t ≤ 1: q · (k_l − c) ≤ 0 with q = k_j − c",
    )  # fmt: skip
    yield Step(
        total((point[a] - near[a]) * (point[a] - other[a]), a), "=", total((point[a] - near[a]) ** 2, a) + total((point[a] - near[a]) * (near[a] - other[a]), a),
        "hence q · (k_j − k_l) = |q|² + q · (c − k_l) ≥ |q|²",
    )  # fmt: skip
    length, score = sp.Symbol("q", positive=True), sp.Symbol("s_j", real=True)  # |q|², and t times q · k_j
    beyond = sp.IndexedBase("x", nonnegative=True)
    low = total(sp.exp(-size * length - size * beyond[l]), l)
    yield Step(
        1 / (1 + n * sp.exp(-size * length)), "<=", sp.exp(score) / (sp.exp(score) + total(sp.exp(score - size * length - size * beyond[l]), l)),
        "the n other keys score at least t|q|² less",
        certificate=sp.exp(-size * length) * total(1 - sp.exp(-size * beyond[l]), l) / ((1 + n * sp.exp(-size * length)) * (1 + low)),
    )  # fmt: skip


# --- sample sizes (C320) ------------------------------------------------------------------------------------------------------------------


def _tail(samples: int, chance: Fraction, off: Fraction) -> Fraction:
    """The probability that a frequency of `samples` trials is off by more than `off`."""
    return sum(
        (comb(samples, hits) * chance**hits * (1 - chance) ** (samples - hits) for hits in range(samples + 1) if abs(Fraction(hits, samples) - chance) > off),
        Fraction(0),
    )


def _enough_samples(chances: Sequence[Fraction], off: Fraction, risk: Fraction) -> Outcome:
    """As many samples as the bound asks for: the sum over the class of exact binomial tails is at most the risk."""
    needed = (2 * len(chances) / ball(risk)).log() / (2 * ball(off) * ball(off))
    whole = needed.ceil().unique_fmpz()
    if whole is None:
        return Outcome.UNDECIDED
    samples = int(whole)
    return exact.decided(sum((_tail(samples, chance, off) for chance in chances), Fraction(0)) <= risk)


@derived(
    Claim(
        id="capacity.finite-class-samples",
        title="log(2H/δ)/(2ε²) samples suffice for a class of H classifiers",
        states="(Not in the text, which gives a number of samples by the VC dimension.) The sample size for a finite class, such as attention with b-bit "
        "parameters: H ≤ 2^(bP).",
        precise=r"$m \ge \frac{\log(2H/\delta)}{2\varepsilon^2}$ independent samples make all $H$ error rates on the sample lie within $\varepsilon$ of the true ones with probability at least $1 - \delta$: each is off by more with probability at most "
        r"$2e^{-2m\varepsilon^2}$ (Hoeffding), and all together at most $2He^{-2m\varepsilon^2} \le \delta$. With $P$ parameters of $b$ bits $m \ge \frac{bP\log 2 + \log(2/\delta)}{2\varepsilon^2}$ is enough, at every sequence "
        r"length. In the formulas $m = \frac{\log(2H/\delta) + x}{2\varepsilon^2}$.",
        sources=(SAMPLES, HOEFFDING.at("Theorem 2"), SHALEV.at("Corollary 4.6")),
        scope="every finite class, every distribution, losses 0 and 1 (agnostic); where some classifier makes no error, a multiple of 1/ε instead of 1/ε² is enough",
        inventory=("C320",),
        holds=_enough_samples,
    )
)
def finite_class_samples() -> Iterator[Step]:
    classes, risk, off = sp.symbols("H delta epsilon", positive=True)
    beyond, chance, tilt = sp.Symbol("x", nonnegative=True), sp.Symbol("p", positive=True), sp.Symbol("t", positive=True)
    odds, here = sp.Symbol("y", positive=True), sp.Symbol("t", real=True)  # of chance p = 1/(1 + y); where the derivatives are taken
    moments = sp.log((sp.exp(here) + odds) / (1 + odds)) - here / (1 + odds)
    yield Step(sp.Subs(moments, here, 0), "=", sp.Integer(0), "let f(t) = log E exp(t(X − p)) for one trial X of chance p = 1/(1 + y): f(0) = 0")
    yield Step(sp.Subs(sp.Derivative(moments, here), here, 0), "=", sp.Integer(0), "and f'(0) = 0, since p is the mean")
    yield Step(
        sp.Derivative(moments, here, 2), "<=", sp.Rational(1, 4),
        "f''(t) is the variance of a trial of another chance, and no such variance exceeds 1/4", certificate=(sp.exp(here) - odds) ** 2 / (4 * (sp.exp(here) + odds) ** 2),
    )  # fmt: skip
    yield Step(
        chance * sp.exp(tilt * (1 - chance)) + (1 - chance) * sp.exp(-tilt * chance), "<=", sp.exp(tilt**2 / 8),
        "so f(t) ≤ t²/8 by Taylor's theorem (Hoeffding's lemma)", cites=HOEFFDING.at("proof of Theorem 2"), domain={chance: (0.0, 1.0)},
    )  # fmt: skip
    yield Step(
        sp.Subs(sp.exp(m * tilt**2 / 8 - m * tilt * off), tilt, 4 * off), "=", sp.exp(-2 * m * off**2),
        "by Markov's inequality m trials are off by ε or more, on either side, with probability at most E exp(tS)/exp(tmε) for every t > 0; take t = 4ε",
    )  # fmt: skip
    samples = (sp.log(2 * classes / risk) + beyond) / (2 * off**2)
    yield Step(
        2 * classes * sp.exp(-2 * samples * off**2, evaluate=False),
        "<=",
        risk,
        "the probabilities of H events add up to no more than δ",
        certificate=risk * (1 - sp.exp(-beyond)),
    )


sample_complexity = Claim(
    id="capacity.sample-complexity",
    title="O((VCdim + log 1/δ)/ε²) samples suffice",
    states="The number of samples needed for generalisation: m = O((VCdim + log(1/δ))/ε²).",
    precise=r"There is a constant $C$ such that $m \ge C\,\frac{\mathrm{VCdim} + \log(1/\delta)}{\varepsilon^2}$ independent samples make the empirical errors of a class lie within $\varepsilon$ of the true ones, all at once, with probability at least $1 - \delta$.",
    sources=(SAMPLES, SHALEV.at("Theorem 6.8")),
    scope="binary classifiers, independent samples, 0 < ε, δ < 1",
    inventory=("C320",),
    not_checkable="As a number that suffices it is the fundamental theorem of statistical learning, a general theorem that is cited here (Shalev-Shwartz and Ben-David 2014, Theorem 6.8) "
    "and says nothing particular of attention; where some classifier makes no error fewer are needed. What is checked is its form for finite classes, capacity.finite-class-samples.",
)


# --- Rademacher complexity (C321) -------------------------------------------------------------------------------------------------------------


def _average_size(sample: Row) -> Fraction:
    """E |Σ σ_i x_i| over all signs."""
    outcomes = [abs(sum(sign * x for sign, x in zip(signs, sample, strict=True))) for signs in product((-1, 1), repeat=len(sample))]
    return Fraction(sum(outcomes), len(outcomes))


def _rademacher(sample: Row, bound: int, larger: int) -> Outcome:
    """Constant sequences, values w x with |w| up to a bound, the supremum over a grid that contains the ends: a number of at least 0 and at least bound · Σ x² / Σ |x|
    (m times the complexity), which grows with the bound unless the sample is 0."""
    signed = [sum(sign * x for sign, x in zip(signs, sample, strict=True)) for signs in product((-1, 1), repeat=len(sample))]
    sums, found = [], []
    for most in (bound, bound + larger):
        best = Fraction(sum(max(Fraction(most * step, 4) * one for step in range(-4, 5)) for one in signed), len(signed))
        found += [best == most * _average_size(sample) >= 0, best * sum(map(abs, sample)) >= most * sum(x * x for x in sample)]
        sums.append(best)
    return exact.decided(all(found) and (sums[0] < sums[1]) == any(sample))


@derived(
    Claim(
        id="capacity.rademacher",
        title="R_m = E_σ sup_f (1/m) Σ σ_i f(x_i) is defined for attention: a number in [0, ∞], and infinite where parameters are not bounded",
        states="Rademacher complexity, the expected complexity over random labelings: R_m(Attention) = E_σ sup_f (1/m) Σ_i σ_i f(x_i).",
        reading="A definition. The sample x_1 … x_m stands in it and is taken as given: with the expectation over the signs alone it is the empirical "
        "complexity of that sample, and the $\\mathfrak R_m$ of a class is its "
        "mean over samples. What is judged is that it defines a number, ∞ allowed.",
        precise=r"The function $f = 0$ is in the class ($W_V = 0$), so every supremum is in $[0, \infty]$, and so is their mean over the $2^m$ signs. At a "
        r"sample of constant sequences $x_1, \dots, x_m$ of width 1, not all 0, attention with $|w| \le B$ has "
        r"$\frac Bm\,\mathbb E\bigl|\sum_i\sigma_ix_i\bigr| \ge \frac Bm\,\frac{\sum_ix_i^2}{\sum_i|x_i|}$, which exceeds every number for $B$ large enough: "
        r"for real $W_V$ of any size the value is $\infty$. For bounded parameters see "
        r"capacity.rademacher-bounded. In the formulas $S = |\sum_i\sigma_ix_i|$ and $S + y = \sum_i|x_i|$.",
        sources=(RADEMACHER, BARTLETT.at("Definition 2"), SHALEV.at("chapter 26")),
        scope="every class of attention functions that contains 0, every sample, every m; the lower bound for constant sequences of width 1",
        inventory=("C321",),
        uses=("universality.constant-sequences",),
        holds=_rademacher,
    )
)
def rademacher() -> Iterator[Step]:
    most, size = sp.Symbol("B", positive=True), sp.Symbol("S", positive=True)
    less = sp.Symbol("y", nonnegative=True)
    yield Step(sp.Integer(0), "<=", most * size, "w = 0 is allowed and gives 0: no supremum is below it")
    yield _independent_signs()
    yield Step(
        (most - less) * size, "<=", most * size,
        "over |w| ≤ B the supremum of w S is B|S|, attained at w = ±B: here w = B − y and S > 0", certificate=less * size,
    )  # fmt: skip
    yield Step(
        size**2 / (size + less), "<=", size,
        "S is at most S + y = Σ|x_i|, so the mean of S is at least the mean of S², which is Σ x_i², over Σ|x_i|", certificate=size * less / (size + less),
    )  # fmt: skip
    aim, squares, sizes = sp.symbols("C q a", positive=True)
    yield Step(
        aim, "<", (aim * m * sizes / squares + most) / m * squares / sizes,
        "with q = Σ x_i² and a = Σ|x_i| the complexity exceeds any C for bounds above Cma/q: without a bound on the parameters the supremum is infinite",
        certificate=most * squares / (m * sizes),
    )  # fmt: skip


def _independent_signs() -> Step:
    x, place = sp.IndexedBase("x", real=True), sp.Symbol("i_0", integer=True, positive=True)
    return Step(
        sp.Sum(x[i] * x[j] * sp.KroneckerDelta(i, j), (i, 1, m), (j, 1, m)), "=", sp.Sum(x[place] ** 2, (place, 1, m)),
        "E σ_i σ_j is 1 for i = j and 0 otherwise: E S² = Σ x_i²",
    )  # fmt: skip


def _rademacher_bounded(sequences: Rows, tilts: Row, bound: int) -> Outcome:
    """The supremum over drawn scores (θ times the first token times each) and a grid of |w| ≤ bound, on the mean over all signs: at most bound · Σ_i max_j |x_ij| (m times the
    complexity). On the constant sequences of the first tokens it is bound · E|Σ σ_i x_i|, at most bound · √(Σ x_i²)."""
    signs = list(product((-1, 1), repeat=len(sequences)))
    rows = [[exact.attention([[tilt * row[0]]], [[x] for x in row], [[x] for x in row])[0][0] for row in sequences] for tilt in tilts]
    tops = []
    for chosen in signs:
        sums = [sum((sign * x for sign, x in zip(chosen, row, strict=True)), arb(0)) for row in rows]
        tops.append(max((bound * abs(one) for one in sums), key=lambda one: float(one.mid())))
    whole = sum(tops, arb(0)) / len(signs)
    sample = [row[0] for row in sequences]
    signed = [sum(sign * x for sign, x in zip(chosen, sample, strict=True)) for chosen in signs]
    best = Fraction(sum(max(Fraction(bound * step, 4) * one for step in range(-4, 5)) for one in signed), len(signs))
    return Outcome.worst(
        [
            exact.at_most(whole, bound * sum(max(map(abs, row)) for row in sequences)),
            exact.decided(best == bound * _average_size(sample)),
            exact.at_most(ball(best), bound * ball(sum(x * x for x in sample)).sqrt()),
        ]
    )


@derived(
    Claim(
        id="capacity.rademacher-bounded",
        title="With |w| ≤ B the complexity on a sample is at most (B/m) Σ_i max_j |x_ij|, and (B/m) E|Σ σ_i x_i| on constant sequences",
        states="(Not in the text, whose formula names no class.) What the formula gives for bounded parameters and a given sample.",
        reading="Width 1, where the bound needs no norm; in any width it is the textbook lemma for linear classes, cited and not used here.",
        precise=r"For attention to sequences $x_{i1}, \dots, x_{in}$ of tokens of width 1 with any scores and $|w| \le B$, $|f(x_i)| \le B\max_j|x_{ij}|$, so "
        r"$\hat{\mathfrak R} \le \frac Bm\sum_i\max_j|x_{ij}|$: finite at every sample. On constant sequences "
        r"$\hat{\mathfrak R} = \frac Bm\,\mathbb E\bigl|\sum_i\sigma_ix_i\bigr| \le \frac Bm\sqrt{\sum_ix_i^2}$. In the formulas $v_j = |S|$ in the $j$-th of "
        r"$n = 2^m$ outcomes; a token is $X - y_j$ with $X$ the largest size; $|f(x_i)|$ is at most $BX_i$, and "
        r"lacks $z_i$ to that.",
        sources=(RADEMACHER, SHALEV.at("Lemma 26.10")),
        scope="sequences of every length of tokens of width 1, any scores; every m, every sample, every B > 0",
        inventory=("C321",),
        uses=("universality.constant-sequences",),
        holds=_rademacher_bounded,
    )
)
def rademacher_bounded() -> Iterator[Step]:
    most = sp.Symbol("B", positive=True)
    size, less = sp.Symbol("S", nonnegative=True), sp.Symbol("y", nonnegative=True)
    yield Step(
        (most - less) * size, "<=", most * size,
        "constant sequences: w = B − y ≤ B and Σ σ_i x_i = S ≥ 0 (for S < 0, w ≥ −B): the supremum is B|S|, attained at w = ±B", certificate=less * size,
    )  # fmt: skip
    yield _independent_signs()
    outcome = sp.IndexedBase("v", nonnegative=True)
    mean = total(outcome[j], j) / n
    yield Step(
        mean**2, "<=", total(outcome[j] ** 2, j) / n, "over n equally likely outcomes (E|S|)² ≤ E S²: the difference is a variance",
        certificate=total((outcome[j] - mean) ** 2, j) / n,
    )  # fmt: skip
    top, lack = sp.Symbol("X", nonnegative=True), sp.IndexedBase("y", nonnegative=True)
    weight = sp.exp(s[j]) / total(sp.exp(s[l]), l)
    yield Step(
        total(weight * (top - lack[j]), j), "<=", top,
        "any sequence: a weighted mean of tokens is at most the largest of their sizes, and its negative likewise", certificate=total(weight * lack[j], j),
    )  # fmt: skip
    value, room, spare = sp.symbols("v x z", nonnegative=True)
    yield Step(
        value * size, "<=", (value + room) * (size + spare),
        "so |w| ≤ B times a mean of size at most X is at most BX", certificate=value * spare + room * size + room * spare,
    )  # fmt: skip
    tops, lacks = sp.IndexedBase("X", nonnegative=True), sp.IndexedBase("z", nonnegative=True)
    yield Step(
        sp.Sum(most * tops[i] - lacks[i], (i, 1, m)) / m, "<=", most * sp.Sum(tops[i], (i, 1, m)) / m,
        "whatever the signs and the parameters, no term σ_i f(x_i) exceeds B X_i: neither does the supremum, nor the mean over signs",
        certificate=sp.Sum(lacks[i], (i, 1, m)) / m,
    )  # fmt: skip
