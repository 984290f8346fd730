"""Positions: the core formula, what attention does without them, and sinusoidal, rotary, linear-bias, relative, learned and two-dimensional encodings.

A frequency z contributes the pair (sin ω_z p, cos ω_z p) to the encoding of position p; the usual ω_z are 10000^(−(z − 1)/F), so that one of them is 1.
Derivations allow any real frequencies and positions unless they say otherwise; exact checks use the usual frequencies, in balls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

import sympy as sp
from flint import arb, arb_mat

from theorems import exact, symmetry
from theorems.claim import Claim, Kind, derived
from theorems.outcome import Outcome
from theorems.sources import S0, S1, S2, S3, S4, VASWANI, Source
from theorems.step import Step
from theorems.symbols import K, P, Q, V, a, b, c, d, d_v, e, g, h, i, j, k, l, m, n, r, s, total, v

Row = Sequence[int]
Matrix = Sequence[Row]
Balls = Sequence[arb]

SU = Source(key="su2021", title="RoFormer: Enhanced Transformer with Rotary Position Embedding", url="https://arxiv.org/abs/2104.09864")
PRESS = Source(
    key="press2022", title="Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation", url="https://arxiv.org/abs/2108.12409"
)
ALIBI = Source(key="alibi-code", title="attention_with_linear_biases", url="https://github.com/ofirpress/attention_with_linear_biases")
ALIBI_ENCODER = Source(
    key="alibi-encoder",
    title="Modifying ALiBi for Encoder-Attention or Cross-Attention",
    url="https://github.com/ofirpress/attention_with_linear_biases/issues/5",
)
SHAW = Source(key="shaw2018", title="Self-Attention with Relative Position Representations", url="https://arxiv.org/abs/1803.02155")
RAFFEL = Source(
    key="raffel2020", title="Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", url="https://arxiv.org/abs/1910.10683"
)
GEHRING = Source(key="gehring2017", title="Convolutional Sequence to Sequence Learning", url="https://arxiv.org/abs/1705.03122")
DOSOVITSKIY = Source(
    key="dosovitskiy2021", title="An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", url="https://arxiv.org/abs/2010.11929"
)
KAZEMNEJAD = Source(
    key="kazemnejad2019",
    title="Transformer Architecture: The Positional Encoding",
    url="https://kazemnejad.com/blog/transformer_architecture_positional_encoding/",
)
PENG = Source(key="peng2023", title="YaRN: Efficient Context Window Extension of Large Language Models", url="https://arxiv.org/abs/2309.00071")
NIVEN = Source(key="niven1956", title="Irrational Numbers (Carus Mathematical Monographs 11)")
HALVES = Source(key="neox-834", title="rotary embedding confused", url="https://github.com/EleutherAI/gpt-neox/issues/834")

BASE = 10_000  # of the usual frequencies

F = sp.Symbol("F", integer=True, positive=True)  # frequencies: the encoding has d = 2F features
G = sp.Symbol("G", integer=True, nonnegative=True)  # frequencies besides the first
N = sp.Symbol("N", integer=True, nonnegative=True)  # other keys, or other positions
z = sp.Symbol("z", integer=True, positive=True)  # a frequency, 1..F
y, z2 = sp.symbols("y z'", integer=True, positive=True)  # a hidden feature; a key in a normaliser
w = sp.IndexedBase("omega", real=True)
p, q, shift, sigma = sp.symbols("p q t sigma", real=True)  # positions of a query and a key; a shift of both; an offset between them
apart = sp.Symbol("m", integer=True, positive=True)  # how far apart two positions are
x = sp.IndexedBase("x", nonnegative=True)  # slack
X = sp.IndexedBase("X", real=True)  # tokens, X[i, a]
E = sp.IndexedBase("E", real=True)  # encodings of positions, E[i, a]
bias = sp.IndexedBase("b", real=True)


def per_frequency(body: sp.Expr, count: sp.Expr = F) -> sp.Expr:
    return sp.Sum(body, (z, 1, count))


def turned(pair: tuple[sp.Expr, sp.Expr], angle: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
    """The plane vector (first, second) turned by the angle."""
    first, second = pair
    return first * sp.cos(angle) - second * sp.sin(angle), first * sp.sin(angle) + second * sp.cos(angle)


def waves(position: sp.Expr, frequency: sp.Expr | None = None) -> tuple[sp.Expr, sp.Expr]:
    """The two features of one frequency (frequency z, unless another is given)."""
    angle = (w[z] if frequency is None else frequency) * position
    return sp.sin(angle), sp.cos(angle)


def dot(one: tuple[sp.Expr, sp.Expr], other: tuple[sp.Expr, sp.Expr]) -> sp.Expr:
    return one[0] * other[0] + one[1] * other[1]


def frequencies(count: int) -> list[arb]:
    """10000^(−f/count) for f = 0, …, count − 1."""
    return [exact.ball(BASE) ** exact.ball(Fraction(-f, count)) for f in range(count)]


def encoding(position: exact.Number, count: int) -> list[arb]:
    """The sinusoidal encoding: sin and cos by turns, 2 · count features."""
    angles = [frequency * exact.ball(position) for frequency in frequencies(count)]
    return [wave for angle in angles for wave in (angle.sin(), angle.cos())]


def interleaved(width: int) -> list[tuple[int, int]]:
    """Features 2f and 2f + 1 are turned together."""
    return [(2 * f, 2 * f + 1) for f in range(width // 2)]


def halves(width: int) -> list[tuple[int, int]]:
    """Feature f of the first half and feature f of the second are turned together."""
    return [(f, f + width // 2) for f in range(width // 2)]


def rotated(vector: Sequence[exact.Number], position: exact.Number, pairing: Callable[[int], list[tuple[int, int]]] = interleaved) -> list[arb]:
    """Each pair of features turned by its frequency times the position."""
    turns = [exact.ball(x) for x in vector]
    for frequency, (one, other) in zip(frequencies(len(vector) // 2), pairing(len(vector)), strict=True):
        cosine, sine = (frequency * exact.ball(position)).cos(), (frequency * exact.ball(position)).sin()
        turns[one], turns[other] = turns[one] * cosine - turns[other] * sine, turns[one] * sine + turns[other] * cosine
    return turns


def inner(one: Sequence[exact.Number], other: Sequence[exact.Number]) -> arb:
    return sum((exact.ball(x) * exact.ball(y) for x, y in zip(one, other, strict=True)), arb(0))


def _listed(balls: Balls) -> str:
    return "[" + ", ".join(map(exact.show, balls)) + "]"


# --- the core formula -----------------------------------------------------------------------------------------------------------------


def _by_matrices(queries: Matrix, keys: Matrix, values: Matrix, scale: exact.Number = 1) -> tuple[arb_mat, arb_mat]:
    """Scores Q Kᵀ · scale and output softmax(scores) V, as products of whole matrices."""
    exact.ball(0)  # sets the precision
    scores = arb_mat([list(row) for row in queries]) * arb_mat([list(row) for row in keys]).transpose() * exact.ball(scale)
    return scores, arb_mat([exact.softmax(row) for row in scores.tolist()]) * arb_mat([list(row) for row in values])


def _products(queries: Matrix, keys: Matrix, values: Matrix) -> Outcome:
    scores, output = _by_matrices(queries, keys, values)
    one_hot = [[int(one == other) for other in range(len(keys))] for one in range(len(keys))]
    weights = _by_matrices(queries, keys, one_hot)[1]
    by_hand = [[sum((row[at] * values[at][out] for at in range(len(keys))), arb(0)) for out in range(len(values[0]))] for row in weights.tolist()]
    pairs = [[sum(x * y for x, y in zip(query, key, strict=True)) for key in keys] for query in queries]
    return Outcome.worst([exact.equal(scores.tolist(), pairs), exact.equal(output.tolist(), by_hand)])


@derived(
    Claim(
        id="positions.scores-and-output",
        title="Q Kᵀ compares every query with every key, and weights × V mixes the values",
        states="The scores are Q × Kᵀ, and the output is the attention weights times V.",
        precise=r"$(QK^\top)_{rj}=\langle q_r,k_j\rangle=\tfrac12(\|q_r\|^2+\|k_j\|^2-\|q_r-k_j\|^2)$: among keys of one length, the nearer key has the larger score. "
        r"$(PV)_{re}=\sum_jP_{rj}V_{je}$ is linear in the values, and one-hot values return the weights themselves, $(PI)_{rk}=P_{rk}$.",
        sources=(S4.at("Step 1: Compute Attention Scores"), S4.at("Step 4: Weighted Sum of Values")),
        scope="every number of queries, keys and features, every real Q, K, V and every weights P",
        inventory=("C203",),
        holds=_products,
    )
)
def scores_and_output() -> Iterator[Step]:
    yield Step(
        total(Q[r, a] * K[j, a], a),
        "=",
        (total(Q[r, a] ** 2, a) + total(K[j, a] ** 2, a) - total((Q[r, a] - K[j, a]) ** 2, a)) / 2,
        "row r of Q meets column j of Kᵀ, which is row j of K; the squared distance between two vectors holds twice their dot product",
    )
    changed = total(P[r, j] * (c * V[j, e] + s[j]), j)
    yield Step(
        changed, "=", c * total(P[r, j] * V[j, e], j) + total(P[r, j] * s[j], j), "the weights do not depend on the values, so the output is linear in them"
    )
    yield Step(total(P[r, j] * sp.KroneckerDelta(j, k), j), "=", P[r, k], "with V the identity, column k of the output is the weight of key k")


def _four_steps(queries: Matrix, keys: Matrix, values: Matrix) -> Outcome:
    """Scores, scaling, softmax and weighted sum, one after the other on whole matrices, against the formula row by row."""
    root = exact.ball(len(keys[0])).rsqrt()
    output = _by_matrices(queries, keys, values, root)[1].tolist()
    shape = exact.decided(len(output) == len(queries) and all(len(row) == len(values[0]) for row in output))
    return Outcome.worst([shape, exact.equal(output, exact.attention(queries, keys, values, scale=root))])


@derived(
    Claim(
        id="positions.core-formula",
        title="softmax(QKᵀ/√d) V: the four steps are the formula",
        states="Attention(Q, K, V) = softmax(QKᵀ/√d_k) V.",
        reading="The definition that four of the texts share, with softmax over each row; one text also spells it out in four steps (scores, scaling, softmax, weighted "
        "sum). Judged is that the steps compute the formula, one answer for each query.",
        precise=r"$\sum_j\dfrac{e^{s_{rj}/\sqrt d}}{\sum_le^{s_{rl}/\sqrt d}}V_{je}=\dfrac{\sum_je^{\langle q_r,k_j\rangle/\sqrt d}\,V_{je}}"
        r"{\sum_le^{\langle q_r,k_l\rangle/\sqrt d}}$ with $s=QK^\top$: row $r$ reads no query but $q_r$, and the output has a row for each query and a column for each "
        "feature of the values.",
        sources=(
            S4.at("Core Formula"),
            S3.at("Scaled Dot-Product Attention"),
            S2.at("Scaled Dot-Product Attention"),
            S1.at("Building on Yesterday's Foundation"),
            VASWANI.at("section 3.2.1"),
        ),
        scope="every number of queries, keys and features, every real Q, K and V; at least one key",
        inventory=("C201",),
        uses=("positions.scores-and-output",),
        holds=_four_steps,
    )
)
def core_formula() -> Iterator[Step]:
    def score(key: sp.Symbol) -> sp.Expr:
        return total(Q[r, a] * K[key, a], a)

    def scaled(key: sp.Symbol) -> sp.Expr:
        return sp.exp(total(Q[r, a] * K[key, a] / sp.sqrt(d), a))

    normaliser = sp.Sum(sp.exp(score(l) / sp.sqrt(d)), (l, 1, n))
    yield Step(
        total(sp.exp(score(j) / sp.sqrt(d)) / normaliser * V[j, e], j),
        "=",
        total(scaled(j) * V[j, e], j) / sp.Sum(scaled(l), (l, 1, n)),
        "all weights of a row have the same divisor, and √d may divide the score or each of its terms",
    )


# --- what attention alone does --------------------------------------------------------------------------------------------------------


def _normed(row: Balls, gain: Row, lift: Row) -> list[arb]:
    """Layer normalisation with ε = 1."""
    mean = sum(row, arb(0)) / len(row)
    root = (sum(((x - mean) * (x - mean) for x in row), arb(0)) / len(row) + 1).sqrt()
    return [factor * (x - mean) / root + more for x, factor, more in zip(row, gain, lift, strict=True)]


def _layer(tokens: Matrix, value: Matrix, first: Matrix, second: Matrix, gain: Row, lift: Row, biases: Row) -> list[list[arb]]:
    """A layer whose every token attends to itself alone: its value, residual and norm; two matrices with biases and a rectifier between, residual and norm.

    Shapes: tokens [n, d], value [d, d] (W_V and W_O in one), first [d, h], second [h, d], gain and lift (of both norms) [d], biases [h]; the outer bias is `lift`.
    """
    rows = []
    for token in tokens:
        attended = _normed([exact.ball(x) + inner(token, column) for x, column in zip(token, zip(*value, strict=True), strict=True)], gain, lift)
        hidden = [max(inner(attended, column) + more, arb(0)) for column, more in zip(zip(*first, strict=True), biases, strict=True)]
        fed = [inner(hidden, column) + more for column, more in zip(zip(*second, strict=True), lift, strict=True)]
        rows.append(_normed([x + y for x, y in zip(attended, fed, strict=True)], gain, lift))
    return rows


def _position_by_position(tokens: Matrix, value: Matrix, first: Matrix, second: Matrix, gain: Row, lift: Row, biases: Row, place: int, change: Row) -> Outcome:
    changed = [change if at == place else token for at, token in enumerate(tokens)]
    before, after = (_layer(rows, value, first, second, gain, lift, biases) for rows in (tokens, changed))
    return exact.equal([row for at, row in enumerate(before) if at != place], [row for at, row in enumerate(after) if at != place])


@derived(
    Claim(
        id="positions.attention-mixes-alone",
        title="In a Transformer's layer attention alone moves information between positions",
        states="The Transformer is self-attention only: no recurrence or convolution.",
        reading="Of the parts that the text lists (positional encoding, attention, feed-forward, layer normalisation, residual connections), attention is the only one "
        "through which one position can see another. (A Transformer with a decoder has cross-attention too, which is attention.)",
        precise=r"Let each position attend to itself alone ($P=I$) and let $z_i$ be row $i$ after attention, residual connection and layer normalisation, or after the feed-forward "
        r"network, residual connection and layer normalisation. Adding $t$ to row $k$ before it changes $z_i$ by $\delta_{ik}(z_i(X+t)-z_i(X))$: nothing for $i\ne k$, and so through "
        r"both. In the formulas $A=W_VW_O$, summed over the heads. (With its own weights attention does carry the change over: masks.unmasked-sees-the-future.)",
        sources=(S4.at("The Transformer Architecture"), VASWANI.at("section 3")),
        scope="every number of tokens and features, every real weights, biases, gains and encodings, layer normalisation after each half with any ε > 0, a feed-forward network with "
        "tanh (derivation) or a rectifier (exact evaluation)",
        inventory=("C210",),
        holds=_position_by_position,
    )
)
def attention_mixes_alone() -> Iterator[Step]:
    epsilon = sp.Symbol("epsilon", positive=True)
    A, W, U, Y = (sp.IndexedBase(letter, real=True) for letter in ("A", "W", "U", "Y"))
    gain, lift, inside, outside = (sp.IndexedBase(letter, real=True) for letter in ("gamma", "beta", "b", "b'"))
    change = sp.IndexedBase("t", real=True)
    into = sp.Symbol("f", integer=True, positive=True)  # a feature of a value
    Token = Callable[[sp.Expr, sp.Expr], sp.Expr]

    def normed(row: Callable[[sp.Expr], sp.Expr], out: sp.Expr) -> sp.Expr:
        mean = total(row(a), a) / d
        spread = total((row(b) - mean) ** 2, b) / d + epsilon
        return gain[out] * (row(out) - mean) / sp.sqrt(spread) + lift[out]

    def attending(token: Token, out: sp.Expr) -> sp.Expr:
        def mixed(feature: sp.Expr) -> sp.Expr:
            value = sp.Sum((token(j, into) + E[j, into]) * A[into, feature], (into, 1, d))
            return token(i, feature) + E[i, feature] + total(sp.KroneckerDelta(i, j) * value, j)

        return normed(mixed, out)

    def feeding(token: Token, out: sp.Expr) -> sp.Expr:
        def fed(feature: sp.Expr) -> sp.Expr:
            hidden = sp.Sum(token(i, into) * W[into, y], (into, 1, d)) + inside[y]
            return token(i, feature) + sp.Sum(sp.tanh(hidden) * U[y, feature], (y, 1, d_v)) + outside[feature]

        return normed(fed, out)

    here = sp.KroneckerDelta(i, k)
    for part, rows, because in (
        (attending, X, "the first half: attention to oneself with the values, residual connection, layer normalisation act on each row by itself"),
        (
            feeding,
            Y,
            "the second half, on the rows Y that the first one gives, of which only row k has changed: feed-forward network, residual connection, normalisation",
        ),
    ):
        still = part(lambda row, feature, rows=rows: rows[row, feature], e)  # type: ignore[misc]
        everywhere = part(lambda row, feature, rows=rows: rows[row, feature] + change[feature], e)  # type: ignore[misc]
        changed = part(lambda row, feature, rows=rows: rows[row, feature] + sp.KroneckerDelta(row, k) * change[feature], e)  # type: ignore[misc]
        yield Step(changed, "=", still + here * (everywhere - still), because)


def _aligned(partners: Sequence[Row], sources: int, gain: int) -> Outcome:
    """One-hot keys, and for each target the sum of its partners' keys as query, `gain` times as long: each partner's weight, and a floor for it."""
    chosen = [sorted({partner % sources for partner in of_one}) for of_one in partners]
    keys = [[int(one == other) for other in range(sources)] for one in range(sources)]
    queries = [[sum(keys[partner][at] for partner in of_one) for at in range(sources)] for of_one in chosen]
    rows = [exact.softmax(row) for row in exact.scores(queries, keys, gain)]
    outcomes = []
    for row, of_one in zip(rows, chosen, strict=True):
        count = len(of_one)
        share = exact.ball(gain).exp() / (count * exact.ball(gain).exp() + sources - count)
        floor = exact.ball(Fraction(1, count)) - exact.ball(Fraction(sources - count, count**2)) * exact.ball(-gain).exp()
        outcomes += [exact.equal([row[partner] for partner in of_one], [share] * count), exact.at_most([floor], [share])]
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="positions.alignment",
        title="Cross-attention can follow any alignment, as closely as is wanted",
        states="Cross-attention can align the elements of two sequences, one source element or several for each target.",
        reading="There are queries and keys such that each target position attends to the source positions that it belongs to, whichever they are: a "
        "possibility, since "
        "what a trained model aligns is not a matter of proof. (Source elements must differ, by content or position: equal ones share their weight evenly.)",
        precise=r"With orthonormal keys $k_1,\dots,k_n$ and the query $q=c\sum_{a\in A}k_a$, each of the $M$ partners in $A$ gets the weight "
        r"$\dfrac{e^c}{Me^c+n-M}\ge\dfrac1M-\dfrac{n-M}{M^2}e^{-c}$: together nearly all of it, in equal parts. An alignment need not be one to one: a target "
        r"may have several partners "
        r"(“t'aime” has “love” and “you”), a source may be the partner of several targets or of none. In the formulas $\mu_k$ is 1 if key $k$ is a partner "
        r"and 0 if not, and $N=n-M$.",
        sources=(S1.at("Cross-Attention (Inter-Attention)"), S4.at("Machine Translation")),
        scope="every choice of one or more sources for each target, every number n = M + N of sources, every gain c > 0 (scores c at the partners: the scale "
        "is taken into c); "
        "n orthonormal keys need d ≥ n",
        inventory=("C173",),
        holds=_aligned,
    )
)
def alignment() -> Iterator[Step]:
    gain, partners = sp.Symbol("c", positive=True), sp.Symbol("M", integer=True, positive=True)
    member = sp.IndexedBase("mu", nonnegative=True)
    yield Step(
        total(gain * member[j] * sp.KroneckerDelta(j, k), j),
        "=",
        gain * member[k],
        "by orthonormality the query scores c at its partners and 0 at the other keys",
    )
    mass = sp.Sum(sp.exp(gain), (j, 1, partners)) + sp.Sum(sp.exp(0), (l, 1, N))
    share = sp.exp(gain) / (partners * sp.exp(gain) + N)
    yield Step(sp.exp(gain) / mass, "=", share, "M exponentials of c and N of 0 make the normaliser")
    yield Step(
        1 / partners - N * sp.exp(-gain) / partners**2,
        "<=",
        share,
        "the difference is y²/(M²(M + y)) with y = N e^(−c)",
        certificate=(N * sp.exp(-gain)) ** 2 / (partners**2 * (partners + N * sp.exp(-gain))),
    )


def _every_length(tokens: Matrix, W_Q: Matrix, W_K: Matrix, W_V: Matrix) -> Outcome:
    """One set of weights, on every beginning of the sequence: as many answers as tokens, each seeing all of them."""
    outcomes = []
    for length in range(1, len(tokens) + 1):
        part = tokens[:length]
        rows = [exact.softmax(row) for row in exact.scores(symmetry.product(part, W_Q), symmetry.product(part, W_K))]
        outcomes.append(exact.decided(len(symmetry.attended(part, W_Q, W_K, W_V)) == length and all(weight > 0 for row in rows for weight in row)))
        outcomes.append(exact.equal([sum(row, arb(0)) for row in rows], [1] * length))
    return Outcome.worst(outcomes)


@derived(
    Claim(
        id="positions.every-length",
        title="One set of attention weights serves every length, and no window limits what a position sees",
        states="Self-attention is flexible: it has no fixed window size.",
        reading="The layer's parameters do not depend on the length, it is defined at every length, and every position sees all positions. (Positions from a learned "
        "table are another matter: see positions.learned-table.)",
        precise=r"The number of parameters, $2\,d\,d_k+d\,d_v$, has no $n$ in it (here $d_k=m$), and for every $n\ge 1$ the weights of a row are positive and sum to 1.",
        sources=(S4.at("Benefits"),),
        scope="unmasked self-attention without positions, every length n ≥ 1, every width, every real token and weight; real arithmetic",
        inventory=("C215",),
        uses=("convexity.every-key-is-attended",),
        holds=_every_length,
    )
)
def every_length() -> Iterator[Step]:
    one = sp.S.One
    yield Step(
        2 * total(sp.Sum(one, (r, 1, m)), a) + total(total(one, e), a),
        "=",
        2 * d * m + d * d_v,
        "W_Q and W_K take d features to d_k = m, and W_V takes them to d_v; a token more or less changes none of them",
    )
    M = sp.IndexedBase("M", real=True)

    def exponential(key: sp.Symbol) -> sp.Expr:
        return sp.exp(sp.Sum(X[i, a] * M[a, b] * X[key, b], (a, 1, d), (b, 1, d)))

    weight = exponential(j) / sp.Sum(exponential(z2), (z2, 1, n))
    yield Step(total(weight, j), "=", sp.Integer(1), "each row sums to one whatever its length")
    yield Step(sp.Integer(0), "<", weight, "an exponential over a sum of exponentials: every position is seen, however far apart i and j are")


class NoSuchPosition(LookupError):
    """Raised when a learned table has no row for a position."""


def looked_up(position: int, table: int) -> int:
    """The row of a learned table of `table` rows. Raises NoSuchPosition beyond its end."""
    if position >= table:
        raise NoSuchPosition(f"position {position} of a table with {table} rows")
    return position


def _within_the_table(length: int, table: int) -> Outcome:
    try:
        return exact.decided(len({looked_up(position, table) for position in range(length)}) == length)
    except NoSuchPosition:
        return Outcome.REFUTED


def _counted(length: int, table: int) -> Outcome:
    """A table of width d = 4 stores a number for each row and feature; the formula gives any two of the positions different encodings and stores none."""
    stored = sum(1 for _ in range(table) for _ in range(4))
    gaps = [2 - inner(encoding(one, 2), encoding(other, 2)) for one in range(length) for other in range(one)]
    return exact.decided(stored == 4 * table and all(gap > 0 for gap in gaps))


def _worked_table(length: int, table: int) -> str:
    return (
        f"A table learned for {table} position(s) has rows 0 to {table - 1}. A sequence of {length} tokens asks for row {length - 1}, which was never learned and is not "
        f"there. (`torch.nn.Embedding({table}, d)(torch.arange({length}))` raises IndexError.)"
    )


def _parameters() -> Iterator[Step]:
    one = sp.S.One
    yield Step(total(total(one, a), j), "=", n * d, "a learned table with n = n_max rows of d numbers")
    yield Step(
        total(total(sp.KroneckerDelta(k, j), k), j),
        "=",
        n,
        "each of the first n_max positions has exactly one row of the table, and no further position has one: a sequence of at most n_max tokens is served",
    )


learned_table = derived(
    Claim(
        id="positions.learned-table",
        title="With learned positions a Transformer takes sequences of any length",
        states="A vector is learned for each position and added to the token that stands there.",
        reading="A model with learned positions, a vector for each (as in many Transformers), is defined on sequences of every length.",
        precise=r"Every position of the sequence has a row in the table. It is so for $n\le n_{\max}$; the table has $n_{\max}$ rows, $\sum_{j\le n_{\max}}\sum_{k\le n_{\max}}"
        r"\delta_{jk}=n_{\max}$ pairs of a position and its row.",
        sources=(GEHRING,),
        scope="tables and sequences of any length; no interpolation of the table",
        unsaid="the sequence is no longer than the table of positions",
        corrected_by="positions.learned-parameters",
        holds=_within_the_table,
        worked=_worked_table,
    )
)(_parameters)


def _table_count() -> Iterator[Step]:
    yield Step(total(total(sp.S.One, a), j), "=", n * d, "a number for each of n_max rows and d features; a formula stores none")


learned_parameters = derived(
    Claim(
        id="positions.learned-parameters",
        title="A learned table costs n_max d parameters; a formula costs none and has no last position",
        states="Absolute positions are learned, or computed by a formula.",
        precise=r"A table for $n_{\max}$ positions has $\sum_{j\le n_{\max}}\sum_{a\le d}1=n_{\max}d$ parameters. The sinusoidal formula has none, and gives different "
        "encodings to all positions of a sequence of any length.",
        sources=(VASWANI.at("section 3.5"), GEHRING),
        scope="every n_max and d; lengths as searched for the formula (all lengths: positions.sinusoidal-distinct)",
        uses=("positions.sinusoidal-distinct",),
        kind=Kind.COST,
        holds=_counted,
    )
)(_table_count)


# --- sinusoidal encodings -------------------------------------------------------------------------------------------------------------


def _turning(position: int, offset: int, count: int) -> Outcome:
    """The encoding of position + offset, by turning each pair (cos, sin) of the encoding of position."""
    here, there = encoding(position, count), encoding(position + offset, count)
    planes = [part for f in range(count) for part in (here[2 * f + 1], here[2 * f])]
    return exact.equal(rotated(planes, offset), [part for f in range(count) for part in (there[2 * f + 1], there[2 * f])])


@derived(
    Claim(
        id="positions.sinusoidal-rotation",
        title="Moving by t turns the sinusoidal encoding by a matrix that depends on t alone",
        states="For any fixed offset t, the sinusoidal encoding of position p + t is a linear function of that of position p.",
        precise=r"$PE(p+t)=R_t\,PE(p)$, with the same block for every $p$: $\sin\omega(p+t)=\cos\omega t\sin\omega p+\sin\omega t\cos\omega p$ and "
        r"$\cos\omega(p+t)=\cos\omega t\cos\omega p-\sin\omega t\sin\omega p$. The matrix is orthogonal.",
        sources=(VASWANI.at("section 3.5"),),
        scope="every real frequency, position and offset",
        holds=_turning,
    )
)
def sinusoidal_rotation() -> Iterator[Step]:
    (sine, cosine), angle = waves(p), w[z] * shift
    moved = waves(p + shift)
    yield Step(moved[0], "=", sp.cos(angle) * sine + sp.sin(angle) * cosine, "the addition theorem of the sine")
    yield Step(sp.cos(angle) ** 2 + sp.sin(angle) ** 2, "=", sp.Integer(1), "the rows of the block have length 1, and are orthogonal: the block is a rotation")
    yield Step(moved[1], "=", sp.cos(angle) * cosine - sp.sin(angle) * sine, "the addition theorem of the cosine")


def _relative_dot(position: int, offset: int, count: int) -> Outcome:
    forward, backward = (inner(encoding(position, count), encoding(position + by, count)) for by in (offset, -offset))
    cosines = sum(((frequency * offset).cos() for frequency in frequencies(count)), arb(0))
    return exact.equal([forward, backward], [cosines, cosines])


@derived(
    Claim(
        id="positions.sinusoidal-dot-product",
        title="The dot product of two sinusoidal encodings depends on their distance alone, and not on the direction",
        states="Sinusoidal encodings carry relative position.",
        precise=r"$\langle PE(p),PE(q)\rangle=\sum_z\cos\omega_z(p-q)=\langle PE(q),PE(p)\rangle$: positions $t$ ahead and $t$ behind get the same number.",
        sources=(VASWANI.at("section 3.5"),),
        scope="every number of frequencies, every real frequency and position; no projection between the encodings (with one: positions.offset-by-rotation)",
        uses=("positions.sinusoidal-rotation",),
        holds=_relative_dot,
    )
)
def sinusoidal_dot_product() -> Iterator[Step]:
    yield Step(
        per_frequency(dot(waves(p), waves(p + shift))),
        "=",
        per_frequency(dot(waves(p), waves(p - shift))),
        "the cosine is even: t ahead and t behind give the same",
    )
    yield Step(per_frequency(dot(waves(p), waves(q))), "=", per_frequency(sp.cos(w[z] * (p - q))), "the addition theorem, at each frequency")


def _constant_norm(position: int, count: int) -> Outcome:
    return exact.equal(inner(encoding(position, count), encoding(position, count)), count)


@derived(
    Claim(
        id="positions.sinusoidal-norm",
        title="Every sinusoidal encoding has the length √(d/2)",
        states="The encodings of all positions have the same length.",
        precise=r"$\|PE(p)\|^2=F=d/2$ for every position $p$.",
        sources=(VASWANI.at("section 3.5"),),
        scope="every number F = d/2 of frequencies, every real frequency and position",
        holds=_constant_norm,
    )
)
def sinusoidal_norm() -> Iterator[Step]:
    yield Step(per_frequency(dot(waves(p), waves(p))), "=", F, "sin² + cos² = 1 at each of the F frequencies")


def _no_rise(here: arb, there: arb) -> Outcome:
    """REFUTED only if the second number is certainly the larger one and has certainly the larger magnitude, so that no reading of "falls" is met."""
    return exact.decided(not (there > here and abs(there) > abs(here)))


def _falls(count: int, near: int, more: int) -> Outcome:
    return _no_rise(*(inner(encoding(0, count), encoding(distance, count)) for distance in (near, near + more)))


def _below_the_top(count: int, near: int, more: int) -> Outcome:
    """At both distances strictly less than at distance 0 (where it is `count`), unless the distance is 0."""
    products = [inner(encoding(0, count), encoding(distance, count)) for distance in (near, near + more) if distance]
    if all(product < count for product in products):
        return Outcome.HELD
    return Outcome.REFUTED if any(product >= count for product in products) else Outcome.UNDECIDED


def _worked_fall(count: int, near: int, more: int) -> str:
    told = "; ".join(
        f"at distance {distance} it is " + " + ".join(f"cos({exact.show(f * distance)})" for f in frequencies(count)) + " = "
        f"{exact.show(inner(encoding(0, count), encoding(distance, count)))}"
        for distance in (near, near + more)
    )
    return f"With d = {2 * count} features the dot product of two encodings is a sum of {count} cosine(s): {told}. The further position is the more alike."


def _rises() -> Iterator[Step]:
    def alike(distance: int) -> sp.Expr:
        return sum((sp.cos(sp.Rational(distance, 10**f)) for f in range(4)), sp.S.Zero)

    yield Step(sp.Integer(0), "<", alike(5), "d = 8 has the frequencies 1, 1/10, 1/100 and 1/1000; at distance 5 the dot product is positive")
    yield Step(alike(5), "<", alike(6), "from 5 to 6 the cosine of the distance rises by more than the three others fall: further apart and more alike")
    yield Step(
        alike(3) + 1, "<", alike(6283), "nor does it fall in the long run: the sum is almost periodic, and 6283 is close to a thousand turns of the frequency 1"
    )


sinusoidal_decay = derived(
    Claim(
        id="positions.sinusoidal-decay",
        title="The dot product of sinusoidal encodings falls with the distance",
        states="Sinusoidal encodings of positions further apart are less alike.",
        reading="Of two positions the further one has no larger dot product with the given one, or at least none of larger magnitude; or, in the long run, no much larger one. "
        "(At d = 512 and distances up to 1000 it does fall on the whole.)",
        precise=r"$\langle PE(0),PE(t')\rangle\le\langle PE(0),PE(t)\rangle$, or the same of their magnitudes, for whole numbers $t'\ge t\ge 0$. Nor "
        r"is there a trend at all distances: again and again the cosines come back to nearly 1 together.",
        sources=(KAZEMNEJAD,),
        scope="the usual frequencies, any number of them; the derivation, of the opposite, at d = 8",
        sizes=(8,),
        holds=_falls,
        worked=_worked_fall,
        corrected_by="positions.sinusoidal-distinct",
    )
)(_rises)


@derived(
    Claim(
        id="positions.sinusoidal-distinct",
        title="No two positions share a sinusoidal encoding",
        states="Sinusoidal encodings give each position a vector of its own.",
        precise=r"$0<4\sin^2\tfrac m2+\sum_z4\sin^2\tfrac{\omega_zm}2=\|PE(p+m)-PE(p)\|^2$ for every whole $m\ge 1$, where one frequency is 1: the dot product is largest, $d/2$, at "
        "distance 0 and nowhere else, as the squared distance is $d$ less twice the dot product.",
        sources=(VASWANI.at("section 3.5"), NIVEN.at("chapter 2")),
        scope="positions a whole number m ≥ 1 apart, any frequencies ω besides the frequency 1 (the usual ones have it); G = d/2 − 1 of them",
        uses=("positions.sinusoidal-norm",),
        holds=_below_the_top,
    )
)
def sinusoidal_distinct() -> Iterator[Step]:
    def gap(one: tuple[sp.Expr, sp.Expr], other: tuple[sp.Expr, sp.Expr]) -> sp.Expr:
        return (one[0] - other[0]) ** 2 + (one[1] - other[1]) ** 2

    first = gap(waves(p + apart, sp.S.One), waves(p, sp.S.One))
    rest = per_frequency(gap(waves(p + apart), waves(p)), G)
    squares = 4 * sp.sin(apart / 2) ** 2 + per_frequency(4 * sp.sin(w[z] * apart / 2) ** 2, G)
    product = dot(waves(p + apart, sp.S.One), waves(p, sp.S.One)) + per_frequency(dot(waves(p + apart), waves(p)), G)
    yield Step(first + rest, "=", 2 * (G + 1) - 2 * product, "both encodings have the squared length G + 1 = d/2")
    yield Step(first + rest, "=", squares, "a chord of the unit circle over the angle α has the length 2|sin(α/2)|, at each frequency")
    yield Step(
        sp.Integer(0),
        "<",
        first + rest,
        "sin(m/2) = 0 would make m/2 a multiple of π and π a rational number, which it is not (Lambert 1761; the sine of an algebraic number other than 0 is even "
        "transcendental)",
        certificate=squares,
    )


def _added(query: Row, key: Row, position: int, offset: int, moved: int) -> Outcome:
    def score(by: int) -> arb:
        tokens = ((query, position + by), (key, position + offset + by))
        one, other = ([x + y for x, y in zip(token, encoding(at, len(token) // 2), strict=True)] for token, at in tokens)
        return inner(one, other)

    return exact.equal(score(moved), score(0))


def _beside(query: Row, key: Row, position: int, offset: int, moved: int) -> Outcome:
    def score(by: int) -> arb:
        tokens = ((query, position + by), (key, position + offset + by))
        one, other = ([*map(exact.ball, token), *encoding(at, len(token) // 2)] for token, at in tokens)
        return inner(one, other)

    return exact.equal(score(moved), score(0))


def _worked_added(query: Row, key: Row, position: int, offset: int, moved: int) -> str:
    lines = []
    for by in (0, moved):
        at, other = position + by, position + offset + by
        vectors = [[x + y for x, y in zip(token, encoding(place, len(token) // 2), strict=True)] for token, place in ((query, at), (key, other))]
        lines.append(f"- positions {at} and {other}: {_listed(vectors[0])} · {_listed(vectors[1])} = {exact.show(inner(*vectors))}")
    return (
        f"Tokens {list(query)} and {list(key)}, {offset} apart both times; each gets the sine and the cosine of its position times each frequency added:\n\n"
        + "\n".join(lines)
        + "\n\nThe distance is the same, so the score should be; it is not."
    )


def _token(base: sp.IndexedBase) -> tuple[sp.Expr, sp.Expr]:
    """The two features of frequency z."""
    return base[z, 1], base[z, 2]


def _plus(one: tuple[sp.Expr, sp.Expr], other: tuple[sp.Expr, sp.Expr]) -> tuple[sp.Expr, sp.Expr]:
    return one[0] + other[0], one[1] + other[1]


def _added_terms() -> Iterator[Step]:
    def score(by: sp.Expr) -> sp.Expr:
        return per_frequency(dot(_plus(_token(Q), waves(p + by)), _plus(_token(K), waves(q + by))))

    def cross(by: sp.Expr) -> sp.Expr:
        return per_frequency(dot(_token(Q), waves(q + by)) + dot(_token(K), waves(p + by)))

    yield Step(
        score(sp.Integer(0)),
        "=",
        per_frequency(dot(_token(Q), _token(K))) + cross(sp.Integer(0)) + per_frequency(sp.cos(w[z] * (p - q))),
        "the product of two sums: content with content, content with position (twice), position with position",
    )
    yield Step(
        score(shift) - score(sp.Integer(0)),
        "=",
        cross(shift) - cross(sp.Integer(0)),
        "moving both positions changes only the terms that pair a token with a position; where these vanish the score is relative",
    )


added_is_relative = derived(
    Claim(
        id="positions.added-is-relative",
        title="With sinusoidal encodings added to the tokens, scores depend on relative positions",
        states="Scores of tokens with sinusoidal encodings added are a function of relative position.",
        reading="The score of two tokens with their encodings added depends on the tokens and on how far apart they are, not on where they are: a stronger statement than the "
        "paper's, which is that relative attention can be learned: see positions.offset-by-rotation.",
        precise=r"$\langle x+PE(p+t),\,y+PE(q+t)\rangle-\langle x+PE(p),\,y+PE(q)\rangle=\langle x,PE(q+t)-PE(q)\rangle+\langle y,PE(p+t)-PE(p)\rangle$, which is 0 "
        "for every $t$ where tokens and encodings are orthogonal.",
        sources=(VASWANI.at("section 3.5"),),
        scope="every number of frequencies, every real token, frequency and position; projections the identity",
        unsaid="the terms that pair a token with a position vanish (content and position lie in separate features)",
        corrected_by="positions.concatenated-is-relative",
        holds=_added,
        worked=_worked_added,
    )
)(_added_terms)


@derived(
    Claim(
        id="positions.concatenated-is-relative",
        title="With the encoding beside the token, scores do depend on relative positions only",
        states="With content and position in separate features the score is a sum of two parts, one for each.",
        precise=r"$\langle(x,PE(p)),(y,PE(q))\rangle=\langle x,y\rangle+\sum_z\cos\omega_z(p-q)$.",
        sources=(VASWANI.at("section 3.5"),),
        scope="every number of token features and of frequencies, every real token, frequency and position",
        uses=("positions.sinusoidal-dot-product",),
        holds=_beside,
    )
)
def concatenated_is_relative() -> Iterator[Step]:
    yield Step(
        total(Q[r, a] * K[j, a], a) + per_frequency(dot(waves(p), waves(q))),
        "=",
        total(Q[r, a] * K[j, a], a) + per_frequency(sp.cos(w[z] * (p - q))),
        "no token feature meets a feature of a position",
    )


# --- rotary encodings -----------------------------------------------------------------------------------------------------------------


def _rotary_score(query: Sequence[exact.Number], key: Sequence[exact.Number], at: int, other: int) -> arb:
    return inner(rotated(query, at), rotated(key, other))


def _rotary_is_relative(query: Row, key: Row, position: int, offset: int, moved: int) -> Outcome:
    before, after = (_rotary_score(query, key, position + by, position + offset + by) for by in (0, moved))
    return exact.equal([before, after], [_rotary_score(query, key, 0, offset)] * 2)


def rotary(at: sp.Expr, other: sp.Expr) -> sp.Expr:
    """The score of a query at one position and a key at the other, each pair of features turned by ω times its position."""
    return per_frequency(dot(turned(_token(Q), w[z] * at), turned(_token(K), w[z] * other)))


@derived(
    Claim(
        id="positions.rotary-is-relative",
        title="Rotary scores depend on relative positions only",
        states="Turning queries and keys by their positions makes scores depend on relative position.",
        precise=r"$\langle R_{p+t}\,x,\,R_{q+t}\,y\rangle=\langle R_px,R_qy\rangle=\sum_z\big[(x_{z1}y_{z1}+x_{z2}y_{z2})\cos\omega_z(p-q)"
        r"+(x_{z1}y_{z2}-x_{z2}y_{z1})\sin\omega_z(p-q)\big]$ for a query $x$ and a key $y$; the second term changes sign with the offset, so direction is not lost.",
        sources=(SU.at("section 3.2"),),
        scope="every number of frequencies, every real query, key, frequency and position (p the query's, q the key's)",
        holds=_rotary_is_relative,
    )
)
def rotary_is_relative() -> Iterator[Step]:
    (q1, q2), (k1, k2) = _token(Q), _token(K)
    angle = w[z] * (p - q)
    yield Step(rotary(p + shift, q + shift), "=", rotary(p, q), "turning both by the same angle keeps their dot product")
    yield Step(
        rotary(p, q),
        "=",
        per_frequency((q1 * k1 + q2 * k2) * sp.cos(angle) + (q1 * k2 - q2 * k1) * sp.sin(angle)),
        "only the difference of the two angles is left, at each frequency",
    )


def _keeps_length(vector: Row, position: int) -> Outcome:
    after = rotated(vector, position)
    return Outcome.worst([exact.equal(inner(after, after), inner(vector, vector)), exact.equal(rotated(after, -position), vector)])


@derived(
    Claim(
        id="positions.rotary-norm",
        title="Rotary encoding keeps the length of queries and keys",
        states="The rotary matrix is orthogonal.",
        precise=r"$\|R_pq\|^2=\|q\|^2$ for every position, and $R_{-p}R_p=I$. (Added encodings do change lengths.)",
        sources=(SU.at("section 3.2"),),
        scope="every number of frequencies, every real vector, frequency and position",
        holds=_keeps_length,
    )
)
def rotary_norm() -> Iterator[Step]:
    there_and_back = turned(turned(_token(Q), w[z] * p), -w[z] * p)
    yield Step(there_and_back[0], "=", Q[z, 1], "turning back undoes the turn")
    yield Step(there_and_back[1], "=", Q[z, 2], "in both features of a pair")
    once = turned(_token(Q), w[z] * p)
    yield Step(per_frequency(dot(once, once)), "=", per_frequency(dot(_token(Q), _token(Q))), "a rotation of each pair of features keeps its length")


def _rotary_attention(queries: Matrix, keys: Matrix, values: Matrix, moved: int, turn_values: bool) -> list[list[arb]]:
    """Queries and keys stand at positions moved, moved + 1, …"""
    turn = [[rotated(row, at + moved) for at, row in enumerate(rows)] for rows in (queries, keys, values)]
    carried: Sequence[Sequence[exact.Number]] = turn[2] if turn_values else values
    return exact.attention(turn[0], turn[1], carried)


def _values_turned(queries: Matrix, keys: Matrix, values: Matrix, moved: int) -> Outcome:
    before, after = (_rotary_attention(queries, keys, values, by, turn_values=True) for by in (0, moved))
    plain = [_rotary_attention(queries, keys, values, by, turn_values=False) for by in (0, moved)]
    return Outcome.worst([exact.equal(after, [rotated(row, moved) for row in before]), exact.equal(*plain)])


@derived(
    Claim(
        id="positions.rotary-values",
        title="Values are not turned: turned ones would turn the output with every shift",
        states="Rotary encoding is applied to queries and keys, and not to values.",
        precise=r"Weights $p_j$ do not change when all positions move by $t$. With plain values the output does not change either; with turned values it is turned, "
        r"$\sum_jp_jR_{q_j+t}v_j=R_t\sum_jp_jR_{q_j}v_j$, so that it would tell the absolute position.",
        sources=(SU.at("section 3.2"),),
        scope="every number of keys, every weights, values, frequencies and positions q_j",
        uses=("positions.rotary-is-relative",),
        holds=_values_turned,
    )
)
def rotary_values() -> Iterator[Step]:
    weight, place = sp.IndexedBase("p", positive=True), sp.IndexedBase("q", real=True)

    def mixed(by: sp.Expr) -> tuple[sp.Expr, sp.Expr]:
        turn = turned((V[j, 1], V[j, 2]), w[z] * (place[j] + by))
        return total(weight[j] * turn[0], j), total(weight[j] * turn[1], j)

    back = turned(mixed(sp.Integer(0)), w[z] * shift)
    yield Step(mixed(shift)[1], "=", back[1], "the second feature of each pair is turned likewise")
    yield Step(mixed(shift)[0], "=", back[0], "the common turn by ω t comes out of the sum")


def _as_interleaved(vector: Row) -> list[int]:
    """Feature f of the first half and feature f of the second, side by side."""
    return [vector[at] for pair in halves(len(vector)) for at in pair]


def _same_after_reordering(query: Row, key: Row, position: int, offset: int) -> Outcome:
    split = inner(rotated(query, position, halves), rotated(key, position + offset, halves))
    return exact.equal(_rotary_score(_as_interleaved(query), _as_interleaved(key), position, position + offset), split)


def _same_as_they_are(query: Row, key: Row, position: int, offset: int) -> Outcome:
    split = inner(rotated(query, position, halves), rotated(key, position + offset, halves))
    return exact.equal(_rotary_score(query, key, position, position + offset), split)


def _worked_pairings(query: Row, key: Row, position: int, offset: int) -> str:
    told = []
    for name, pairing in (("neighbours", interleaved), ("halves", halves)):
        one, other = rotated(query, position, pairing), rotated(key, position + offset, pairing)
        pairs = ", ".join(f"({x + 1}, {y + 1})" for x, y in pairing(len(query)))
        told.append(f"- pairing {name} {pairs}: {_listed(one)} · {_listed(other)} = {exact.show(inner(one, other))}")
    return (
        f"Query {list(query)} at position {position}, key {list(key)} at position {position + offset}:\n\n"
        + "\n".join(told)
        + "\n\nThe two scores should be the same."
    )


def _pairings_disagree() -> Iterator[Step]:
    query, key = (0, 0, 1, 0), (0, 0, 0, 1)

    def score(pairing: Callable[[int], list[tuple[int, int]]], multiplied: Callable[[sp.Expr, sp.Expr], sp.Expr] = lambda one, other: one * other) -> sp.Expr:
        turns = []
        for vector, at in ((query, p), (key, p + apart)):
            angles = (at, at / 100)  # the two frequencies of width 4 are 1 and 1/100
            turns.append([turned((sp.Integer(vector[x]), sp.Integer(vector[y])), angle) for (x, y), angle in zip(pairing(4), angles, strict=True)])
        return sum((multiplied(x, y) for one, other in zip(*turns, strict=True) for x, y in zip(one, other, strict=True)), sp.S.Zero)

    def written_out(one: sp.Expr, other: sp.Expr) -> sp.Expr:
        return sp.UnevaluatedExpr(sp.Mul(*sorted((one, other), key=bool), evaluate=False))

    yield Step(score(halves, written_out), "=", sp.Integer(0), "features 3 and 4 belong to different pairs (1, 3) and (2, 4): their parts never meet")
    yield Step(score(interleaved), "=", -sp.sin(apart / sp.Integer(100)), "features 3 and 4 are the second pair, turned by 1/100 a position")
    yield Step(
        score(interleaved),
        "!=",
        score(halves),
        "sin(m/100) is not 0 for any whole m ≥ 1, as π is irrational",
        certificate=sp.sin(apart / sp.Integer(100)),
    )


rotary_interchangeable = derived(
    Claim(
        id="positions.rotary-pairings-interchangeable",
        title="The two rotary pairings may be used for one another",
        states="Rotary encoding pairs neighbouring features, or feature f with feature f + d/2; both are called rotary encoding.",
        reading="On the same queries and keys, that is with the same weights, both give the same scores.",
        precise=r"$\langle R_p^{\text{neighbours}}q,R_q^{\text{neighbours}}k\rangle=\langle R_p^{\text{halves}}q,R_q^{\text{halves}}k\rangle$.",
        sources=(SU.at("section 3.2"), HALVES),
        scope="every even width, the usual frequencies in the same order",
        holds=_same_as_they_are,
        worked=_worked_pairings,
        corrected_by="positions.rotary-pairings",
    )
)(_pairings_disagree)


@derived(
    Claim(
        id="positions.rotary-pairings",
        title="The two rotary pairings are the same up to a fixed reordering of the features",
        states="Weights for one pairing can be converted to the other by permuting the features of queries and keys.",
        precise=r"Let $(\Pi x)_{2z-1}=x_z$ and $(\Pi x)_{2z}=x_{F+z}$. Then $\langle R_p^{\text{neighbours}}\Pi q,R_q^{\text{neighbours}}\Pi k\rangle="
        r"\langle R_p^{\text{halves}}q,R_q^{\text{halves}}k\rangle$; so the columns of $W_Q$ and $W_K$ are permuted alike, once, and $W_V$ is left as it is.",
        sources=(SU.at("section 3.2"), HALVES),
        scope="every even width, every real query, key, frequency and position",
        holds=_same_after_reordering,
    )
)
def rotary_pairings() -> Iterator[Step]:
    def reordered(base: sp.IndexedBase, feature: sp.Expr) -> sp.Expr:
        shown = sp.UnevaluatedExpr(feature)  # so that the place in the reordered vector stays visible
        return base[F + shown / 2] if feature.is_even else base[(shown + 1) / 2]

    def neighbours(base: sp.IndexedBase) -> tuple[sp.Expr, sp.Expr]:
        return reordered(base, 2 * z - 1), reordered(base, 2 * z)

    def split(base: sp.IndexedBase) -> tuple[sp.Expr, sp.Expr]:
        return base[z], base[F + z]

    def score(pairs: Callable[[sp.IndexedBase], tuple[sp.Expr, sp.Expr]]) -> sp.Expr:
        return per_frequency(dot(turned(pairs(Q), w[z] * p), turned(pairs(K), w[z] * q)))

    yield Step(
        score(neighbours),
        "=",
        score(split),
        "features 2z − 1 and 2z of the reordered vector are features z and F + z of the vector, and both pairs have the frequency ω_z",
    )


def _rotary_falls(query: Row, near: int, more: int) -> Outcome:
    return _no_rise(*(_rotary_score(query, query, 0, distance) for distance in (near, near + more)))


def _rotary_below(query: Row, near: int, more: int, key: Row = ()) -> Outcome:
    """The key is as long as the query; without one, it is the query."""
    other = key or query
    bound = (inner(query, query) + inner(other, other)) / 2
    return exact.at_most([abs(_rotary_score(query, other, 0, distance)) for distance in (near, near + more)], [bound] * 2)


def _worked_rotary_fall(query: Row, near: int, more: int) -> str:
    sizes = [query[one] ** 2 + query[other] ** 2 for one, other in interleaved(len(query))]
    told = "; ".join(
        f"at distance {distance} it is "
        + " + ".join(f"{size} · cos({exact.show(f * distance)})" for size, f in zip(sizes, frequencies(len(sizes)), strict=True))
        + f" = {exact.show(_rotary_score(query, query, 0, distance))}"
        for distance in (near, near + more)
    )
    return (
        f"Query and key are both {list(query)}, so each pair of features gives its squared length times the cosine of the angle between the two: {told}. The further key has the "
        "larger score, and the one of larger magnitude; it should have been no larger."
    )


def _rotary_rises() -> Iterator[Step]:
    def score(distance: sp.Expr) -> sp.Expr:
        return dot(turned((sp.S.One, sp.S.Zero), p), turned((sp.S.One, sp.S.Zero), p + distance))

    yield Step(
        score(apart), "=", sp.cos(apart), "query and key are 1 in the first feature and 0 in all others, at any width; the first pair has the frequency 1"
    )
    yield Step(sp.Integer(0), "<", sp.cos(5), "at distance 5 the score is positive, so that magnitudes say the same")
    yield Step(sp.cos(5), "<", sp.cos(6), "one further apart the score is larger")
    yield Step(sp.cos(5), "<", sp.cos(710), "nor does it fall in the long run: at distance 710, close to 113 turns, it is nearly 1 again")


rotary_decay = derived(
    Claim(
        id="positions.rotary-decay",
        title="Rotary scores fall with the distance",
        states="With rotary encoding the inner product decays as the relative position grows.",
        reading="For a query and a key of the same content, the score at a larger distance is no larger, or at least not of larger magnitude. (For other contents all the "
        "less: orthogonal ones start at 0.) In the long run it falls no more than step by step.",
        precise=r"$\langle x,R_{t'}x\rangle\le\langle x,R_tx\rangle$, or the same of their magnitudes, for whole numbers $t'\ge t\ge 0$. (The paper argues with an upper "
        "bound that falls on the whole; that a bound falls does not make the score fall.)",
        sources=(SU.at("section 3.3"),),
        scope="the usual frequencies, every even width, whole queries",
        holds=_rotary_falls,
        worked=_worked_rotary_fall,
        corrected_by="positions.rotary-bounded",
    )
)(_rotary_rises)


@derived(
    Claim(
        id="positions.rotary-bounded",
        title="A rotary score is bounded alike at every distance, and for equal content it is largest at distance 0",
        states="Rotary scores stay within one bound at every distance.",
        precise=r"$\pm\langle R_pq,R_qk\rangle\le\tfrac12(\|q\|^2+\|k\|^2)$ at all positions; with $k=q$ the bound is $\|q\|^2$, the score at distance 0.",
        sources=(SU.at("section 3.3"),),
        scope="every number of frequencies, every real query, key, frequency and position",
        uses=("positions.rotary-norm",),
        holds=_rotary_below,
    )
)
def rotary_bounded() -> Iterator[Step]:
    one, other = turned(_token(Q), w[z] * p), turned(_token(K), w[z] * q)
    bound = per_frequency(dot(_token(Q), _token(Q)) + dot(_token(K), _token(K))) / 2
    for sign, because in ((-1, "and the other sign with their sum"), (1, "the difference is half the squared distance of the two turned vectors")):
        near = per_frequency((one[0] - sign * other[0]) ** 2 + (one[1] - sign * other[1]) ** 2) / 2
        yield Step(sign * rotary(p, q), "<=", bound, because, certificate=near)


# --- linear biases --------------------------------------------------------------------------------------------------------------------


def _biased(scores: Matrix, bias_of: Callable[[int, int], Fraction], causal: bool) -> list[list[arb]]:
    visible = [[key <= row or not causal for key in range(len(scores))] for row in range(len(scores))]
    return [exact.softmax([x + bias_of(row, key) for key, x in enumerate(line)], visible[row]) for row, line in enumerate(scores)]


def _key_bias(scores: Matrix, slope: Fraction) -> Outcome:
    return exact.equal(_biased(scores, lambda row, key: -slope * abs(row - key), causal=True), _biased(scores, lambda _, key: slope * key, causal=True))


def _key_bias_unmasked(scores: Matrix, slope: Fraction) -> Outcome:
    return exact.equal(_biased(scores, lambda row, key: -slope * abs(row - key), causal=False), _biased(scores, lambda _, key: slope * key, causal=False))


def _worked_key_bias(scores: Matrix, slope: Fraction) -> str:
    told = []
    for name, rule in (("−m|i − j|", lambda row, key: -slope * abs(row - key)), ("m j", lambda _, key: slope * key)):
        told += [f"- bias {name}, row {at + 1}: {_listed(row)}" for at, row in enumerate(_biased(scores, rule, causal=False))]
    return (
        f"Scores {[list(row) for row in scores]}, slope m = {slope}, no mask. Softmax of each row of scores plus biases gives\n\n"
        + "\n".join(told)
        + "\n\nThe weights of a row should be the same under both biases. The first row has later keys, which −m|i − j| penalises and m j favours."
    )


@derived(
    Claim(
        id="positions.linear-bias-of-the-key",
        title="Under a causal mask the linear bias −m(i − j) may be replaced by m j",
        states="The bias −m(i − j) differs from m j by a constant in each row, and softmax ignores that.",
        precise=r"$\dfrac{e^{s_j-m(i-j)}}{\sum_{l\le i}e^{s_l-m(i-l)}}=\dfrac{e^{s_j+mj}}{\sum_{l\le i}e^{s_l+ml}}$ for every row $i$; likewise nothing changes when all positions "
        "move by the same amount, $m(j+t)$ for $mj$.",
        sources=(PRESS, ALIBI),
        scope="every row i of every length, every real score and slope; row i sees keys 1 to i",
        holds=_key_bias,
    )
)
def linear_bias_of_the_key() -> Iterator[Step]:
    def weight(exponent: Callable[[sp.Symbol], sp.Expr]) -> sp.Expr:
        return sp.exp(exponent(j)) / sp.Sum(sp.exp(exponent(l)), (l, 1, i))

    yield Step(weight(lambda at: s[at] + c * (at + shift)), "=", weight(lambda at: s[at] + c * at), "a shift of all positions by t adds m t to every score")
    yield Step(
        weight(lambda at: s[at] - c * (i - at)),
        "=",
        weight(lambda at: s[at] + c * at),
        "every visible key has j ≤ i, where |i − j| = i − j; the factor exp(−m i) is common to the row",
    )


def _unmasked_differs() -> Iterator[Step]:
    slope = sp.Symbol("m", positive=True)

    def first(sign: int) -> sp.Expr:
        return 1 / (1 + total(sp.exp(sign * slope * j), j))

    def causal(exponent: Callable[[sp.Symbol], sp.Expr]) -> sp.Expr:
        return sp.exp(exponent(j)) / sp.Sum(sp.exp(exponent(l)), (l, 1, i))

    excess = total(sp.exp(-slope * j) * (sp.exp(2 * slope * j) - 1), j)
    yield Step(
        first(1),
        "<",
        first(-1),
        "without a mask, scores all equal, n keys after the first: what the first row gives to its own key, with m j and with −m|i − j|; distant keys gain "
        "instead of losing",
        certificate=excess * first(1) * first(-1),
    )
    yield Step(
        causal(lambda at: s[at] - slope * (i - at)),
        "=",
        causal(lambda at: s[at] + slope * at),
        "with the assumption: under a causal mask |i − j| = i − j, and the row's constant m i cancels",
    )


linear_bias_unmasked = derived(
    Claim(
        id="positions.linear-bias-of-the-key-unmasked",
        title="The linear bias −m|i − j| may be replaced by m j",
        states="Since softmax ignores a constant in each row, implementations add m j in place of the bias by distance.",
        reading="The weights with m j are those with −m|i − j| in any layer, an encoder's without a mask among them.",
        precise=r"$\mathrm{softmax}_j(s_{ij}-m|i-j|)=\mathrm{softmax}_j(s_{ij}+mj)$. It is so over the keys $j\le i$; over all keys of equal scores the first row gives its own "
        "key less than it should.",
        sources=(ALIBI, ALIBI_ENCODER),
        scope="square score matrices of any size, any positive slope, no mask",
        holds=_key_bias_unmasked,
        worked=_worked_key_bias,
        unsaid="a causal mask hides the keys after each row's own",
        corrected_by="positions.linear-bias-of-the-key",
    )
)(_unmasked_differs)


def _published_exponents(heads: int) -> list[Fraction]:
    """log2 of the slopes that the authors' code gives the heads: powers of two by ratio, other counts filled up from twice the power below."""
    if heads & (heads - 1):
        power = 1 << (heads.bit_length() - 1)
        return _published_exponents(power) + _published_exponents(2 * power)[0::2][: heads - power]
    start = -(Fraction(2) ** (3 - (heads.bit_length() - 1)))
    return [start * (at + 1) for at in range(heads)]


def _one_sequence(heads: int) -> Outcome:
    return exact.decided(_published_exponents(heads) == [Fraction(-8 * head, heads) for head in range(1, heads + 1)])


def _two_sequences(heads: int) -> Outcome:
    power = 1 << (heads.bit_length() - 1)
    first = [Fraction(-8 * head, power) for head in range(1, power + 1)]
    rest = [Fraction(-4 * (2 * head - 1), power) for head in range(1, heads - power + 1)]
    return exact.decided(_published_exponents(heads) == first + rest)


def _worked_slopes(heads: int) -> str:
    given, formula = _published_exponents(heads), [Fraction(-8 * head, heads) for head in range(1, heads + 1)]
    return (
        f"For {heads} heads the published code gives the slopes 2^x for x = {', '.join(map(str, given))}; the formula gives x = {', '.join(map(str, formula))}. "
        f"The code takes the slopes for {1 << (heads.bit_length() - 1)} heads and adds every other one of those for twice as many. The first slope alone shows it: "
        f"2^({given[0]}) is not 2^({formula[0]})."
    )


def _first_slopes_differ() -> Iterator[Step]:
    power, more = sp.symbols("P r", integer=True, positive=True)
    yield Step(
        sp.Rational(-8) / power,
        "<",
        sp.Rational(-8) / (power + more),
        "H = P + r heads, P the power of two below: the code's first slope has the exponent −8/P, the formula's −8/H",
        certificate=8 * more / (power * (power + more)),
    )
    yield Step(-(2 ** (3 - sp.log(power, 2))), "=", -8 / power, "for P = 2^k heads the code starts at the exponent −2^(3 − k), which is also the ratio's")


any_slopes = derived(
    Claim(
        id="positions.linear-bias-slopes-any-count",
        title="The slopes for H heads are 2^(−8g/H)",
        states="The slopes of H heads are the geometric sequence that starts at 2^(−8/H) and has that ratio.",
        reading="The published code computes this, for every number of heads.",
        precise=r"The slope of head $g$ is $2^{-8g/H}$, $g=1,\dots,H$. It is so for $H=2^k$; for $H=P+r$ heads, $P$ the power of two below, the first slope of the code is "
        r"$2^{-8/P}$ and not $2^{-8/H}$: $-8/P<-8/H$.",
        sources=(PRESS.at("section 3"), ALIBI),
        scope="the code's function for any number of heads, transcribed in exact exponents",
        holds=_one_sequence,
        worked=_worked_slopes,
        unsaid="the number of heads is a power of two",
        corrected_by="positions.linear-bias-slopes",
    )
)(_first_slopes_differ)


@derived(
    Claim(
        id="positions.linear-bias-slopes",
        title="For a power of two the slopes are geometric and end at 1/256; other counts take two such sequences",
        states="The slopes of the linear biases are defined by a formula, and computed by published code.",
        precise=r"With $m_g=2^{-8g/H}$: $m_{g+1}/m_g=2^{-8/H}$ and $m_H=2^{-8}$. The published code gives these for $H$ a power of two; for another count, with $P$ the power "
        r"of two below $H$, the slopes $2^{-8g/P}$, $g\le P$, and then $2^{-4(2g-1)/P}$, $g\le H-P$.",
        sources=(PRESS.at("section 3"), ALIBI),
        scope="every number of heads for the ratio and the last slope; the code's function for powers of two P and 2P in the derivation, from 1 to 64 heads in the search",
        holds=_two_sequences,
    )
)
def linear_bias_slopes() -> Iterator[Step]:
    def slope(head: sp.Expr) -> sp.Expr:
        return sp.Integer(2) ** (-8 * head / h)

    power = sp.Symbol("P", integer=True, positive=True)
    start = 2 ** (3 - sp.log(power, 2))
    yield Step(-start * g, "=", -8 * g / power, "P heads, a power of two: the code takes the multiples of −2^(3 − log₂ P) as exponents of 2")
    start = 2 ** (3 - sp.log(2 * power, 2))
    yield Step(-start * (2 * g - 1), "=", -4 * (2 * g - 1) / power, "every other slope of 2P heads, which the code adds for the heads beyond P")
    yield Step(slope(sp.UnevaluatedExpr(h)), "=", sp.Rational(1, 256), "the last head, whatever the number of heads")
    yield Step(slope(g + 1) / slope(g), "=", sp.Integer(2) ** (-8 / h), "the exponents rise by 8/H")


def _bounded_by_distance(scores: Row, slope: Fraction) -> Outcome:
    """The last row: the weight of a key `back` positions behind is at most exp(s_j − s_i − slope · back)."""
    last = len(scores) - 1
    weights = exact.softmax([x - slope * (last - at) for at, x in enumerate(scores)])
    return exact.at_most(weights, [exact.ball(x - scores[-1] - slope * (last - at)).exp() for at, x in enumerate(scores)])


@derived(
    Claim(
        id="positions.linear-bias-decay",
        title="A linear bias does guarantee a decay with the distance",
        states="Linear biases penalise distant keys.",
        precise=r"$P_{ij}\le e^{s_{ij}-s_{ii}}\,e^{-m(i-j)}$: with content scores that differ by at most $B$, no key $t$ behind gets more than $e^{B-mt}$.",
        sources=(PRESS.at("section 3"),),
        scope="every length, every real score and slope; R ≥ 0 stands for the exponentials of the other keys, t for the distance i − j",
        holds=_bounded_by_distance,
    )
)
def linear_bias_decay() -> Iterator[Step]:
    theirs, ours = sp.symbols("s_j s_i", real=True)
    others, behind, slope = sp.Symbol("R", nonnegative=True), sp.Symbol("t", nonnegative=True), sp.Symbol("m", positive=True)
    far, own = sp.exp(theirs - slope * behind), sp.exp(ours)
    yield Step(
        far / (own + far + others),
        "<=",
        sp.exp(theirs - ours) * sp.exp(-slope * behind),
        "the row's own key, at distance 0, is part of the normaliser",
        certificate=far * (far + others) / (own * (own + far + others)),
    )


# --- attention to relative positions --------------------------------------------------------------------------------------------------


def _weights_with_bias(tokens: Matrix, W_Q: Matrix, W_K: Matrix, offset: int, added: Callable[[int], int]) -> list[list[arb]]:
    scores = symmetry.product(symmetry.product(tokens, W_Q), list(zip(*symmetry.product(tokens, W_K), strict=True)))
    extent = max(map(max, scores)) - min(map(min, scores))
    return [exact.softmax([x + (added(extent) if row - key == offset else 0) for key, x in enumerate(line)]) for row, line in enumerate(scores)]


def _reaches_offset(weights: Sequence[Balls], offset: int, gap: int) -> Outcome:
    """Every row that has a key `offset` behind gives it at least 1 − (n − 1) e^(−gap)."""
    length = len(weights)
    floor = 1 - (length - 1) * exact.ball(-gap).exp()
    reached = [row[at - offset] for at, row in enumerate(weights) if 0 <= at - offset < length]
    return exact.at_most([floor] * len(reached), reached)


def _without_bias(tokens: Matrix, W_Q: Matrix, W_K: Matrix, offset: int, gap: int) -> Outcome:
    return _reaches_offset(_weights_with_bias(tokens, W_Q, W_K, offset, lambda extent: 0), offset, gap)


def _with_bias(tokens: Matrix, W_Q: Matrix, W_K: Matrix, offset: int, gap: int) -> Outcome:
    return _reaches_offset(_weights_with_bias(tokens, W_Q, W_K, offset, lambda extent: extent + gap), offset, gap)


def _worked_offset(tokens: Matrix, W_Q: Matrix, W_K: Matrix, offset: int, gap: int) -> str:
    weights = _weights_with_bias(tokens, W_Q, W_K, offset, lambda extent: 0)
    rows = "\n".join(f"- row {at + 1}: {_listed(row)}" for at, row in enumerate(weights))
    return (
        f"Tokens {[list(row) for row in tokens]}, $W_Q$ = {[list(row) for row in W_Q]}, $W_K$ = {[list(row) for row in W_K]}, no positions. The weights are\n\n{rows}\n\n"
        f"and the key at offset {offset} (0 is a row's own key) is not singled out: with γ = {gap} it should have at least 1 − {len(tokens) - 1} · e^(−{gap}) = "
        f"{exact.show(1 - (len(tokens) - 1) * exact.ball(-gap).exp())} in each row that has it. With tokens that are all equal, no $W_Q$ and $W_K$ whatever could single it out."
    )


def _offset_steps() -> Iterator[Step]:
    M, top, gap = sp.IndexedBase("M", real=True), sp.Symbol("s", real=True), sp.Symbol("gamma", positive=True)
    same = sp.exp(sp.Sum(X[1, a] * M[a, b] * X[1, b], (a, 1, d), (b, 1, d)))
    yield Step(same / total(same, j), "=", 1 / n, "without positions equal tokens share the weight evenly, whatever the projections")
    others = total(sp.exp(top - gap - x[j]), j)
    share = total(sp.exp(-gap - x[j]), j)
    yield Step(
        1 - n * sp.exp(-gap),
        "<=",
        sp.exp(top) / (sp.exp(top) + others),
        "each of the other keys, n here, lies at least γ below: together they weigh at most n e^(−γ)",
        certificate=total(sp.exp(-gap) * (1 - sp.exp(-x[j])), j) + share**2 / (1 + share),
    )


diagonal_attention = derived(
    Claim(
        id="positions.diagonal-attention",
        title="A head without positions can attend to a specific relative position",
        states="(Not in the text, which describes diagonal attention and has encodings of positions.) Without any information on positions a head can attend "
        "to a specific relative position.",
        reading="Whatever the tokens, each position gives nearly all its weight to the one a fixed offset behind it: a bright diagonal.",
        precise=r"If the scores know the offset $i-j$, through a relative bias say, so that the wanted key lies $\gamma$ above all others, its weight is at least "
        r"$1-(n-1)e^{-\gamma}$ (in the step below, n counts the other keys). Without positions, equal tokens get the weights $1/n$ under every projection.",
        sources=(SHAW,),
        scope="unmasked self-attention, every length and width, every real token and projection",
        unsaid="the scores have a part that knows the offset and outweighs the content: content scores differ by at most B (by 0, if the head ignores content) and the wanted offset "
        "gets B + γ more",
        corrected_by="positions.relative-bias",
        holds=_without_bias,
        worked=_worked_offset,
    )
)(_offset_steps)


@derived(
    Claim(
        id="positions.relative-bias",
        title="A relative bias singles out an offset up to (n − 1) e^(−γ)",
        states="(Implied.) A head can attend to specific relative positions, as in diagonal attention: a bias b(i − j), added to the scores, makes it do so.",
        precise=r"Let content scores differ by at most $B$, and let $b$ be $B+\gamma$ at one offset and 0 elsewhere. Where a row has a key at that offset, the weight of that "
        r"key is at least $1-(n-1)e^{-\gamma}$, which tends to 1.",
        sources=(S4.at("Diagonal Attention"), SHAW, RAFFEL),
        scope="every number of keys (n counts the other ones in the derivation), every real content score: key j lies γ + x_j below, x_j ≥ 0",
        inventory=("C213",),
        holds=_with_bias,
    )
)
def relative_bias() -> Iterator[Step]:
    content, extent, gap = sp.Symbol("s", real=True), sp.Symbol("B", nonnegative=True), sp.Symbol("gamma", positive=True)
    wanted = sp.exp(content + (extent + gap))
    others = total(sp.exp(content + extent - x[j]), j)
    share = total(sp.exp(-gap - x[j]), j)
    yield Step(
        wanted / (wanted + others),
        "=",
        1 / (1 + share),
        "a content score exceeds that of the wanted key by at most B, so with the bias it lies γ + x_j below",
    )
    yield Step(
        1 - n * sp.exp(-gap),
        "<=",
        wanted / (wanted + others),
        "1/(1 + y) ≥ 1 − y, and y is at most n e^(−γ)",
        certificate=total(sp.exp(-gap) * (1 - sp.exp(-x[j])), j) + share**2 / (1 + share),
    )


def _bias_rows(offsets: Row) -> list[list[arb]]:
    """Weights of equal tokens under a relative bias: offsets −(n − 1), …, n − 1 in this order, 2n − 1 of them."""
    length = (len(offsets) + 1) // 2
    return [exact.softmax([offsets[row - key + length - 1] for key in range(length)]) for row in range(length)]


def _same_along_diagonals(offsets: Row) -> Outcome:
    rows = _bias_rows(offsets)
    return exact.equal([row[:-1] for row in rows[:-1]], [row[1:] for row in rows[1:]])


def _same_odds_along_diagonals(offsets: Row) -> Outcome:
    rows = _bias_rows(offsets)
    places = range(len(rows) - 1)
    return Outcome.worst(
        [exact.equal(rows[r][x] * rows[r + 1][y + 1], rows[r][y] * rows[r + 1][x + 1]) for r in places for x in places for y in places] or [Outcome.HELD]
    )


def _worked_diagonals(offsets: Row) -> str:
    rows = "\n".join(f"- row {at + 1}: {_listed(row)}" for at, row in enumerate(_bias_rows(offsets)))
    return (
        f"Equal tokens, and the bias {list(offsets)} for the offsets i − j from {-(len(offsets) // 2)} to {len(offsets) // 2}; row i is the softmax of the biases of its keys:"
        f"\n\n{rows}\n\nGo down a diagonal, from row i and key j to row i + 1 and key j + 1: the offset is the same, and the weight should be."
    )


def _offset(row: sp.Expr, key: sp.Expr) -> sp.Expr:
    """row − key, with every term written down."""
    return sp.Add(*sp.Add.make_args(row), *sp.Add.make_args(-key), evaluate=False)


def _diagonal_falls() -> Iterator[Step]:
    width, behind = sp.symbols("w' o", integer=True, positive=True)

    def weight(row: sp.Expr, key: sp.Expr) -> sp.Expr:
        return sp.exp(bias[_offset(row, key)]) / sp.Sum(sp.exp(bias[_offset(row, row - behind)]), (behind, 1, width))

    before, rest = sp.symbols("r n'", integer=True, positive=True)
    strength = sp.Symbol("beta", positive=True)
    yield Step(
        1 / (rest + before * sp.exp(strength)),
        "<",
        1 / (rest + before),
        "equal tokens and a bias β > 0 for every key behind: the first row has none behind and gives its own key 1/n; a row with r keys behind gives its own less",
        certificate=before * (sp.exp(strength) - 1) / ((rest + before) * (rest + before * sp.exp(strength))),
    )
    yield Step(
        weight(i + 1, j + 1), "=", weight(i, j),
        "with the assumption: rows that all see the same offsets, here the keys o = 1 to w' behind them, have one normaliser: a diagonal holds one number",
    )  # fmt: skip


toeplitz_weights = derived(
    Claim(
        id="positions.toeplitz-weights",
        title="A relative bias gives weights that are constant along diagonals",
        states="(Not in the text, which describes diagonal attention in words.) Under a relative bias the weights of a diagonal are one number.",
        reading="With scores that depend on i − j alone, the weights depend on i − j alone: the matrix of weights is Toeplitz.",
        precise=r"$P_{i+1,j+1}=P_{ij}$ if $s_{ij}=b_{i-j}$. It is so for rows that see the same offsets; near the ends of a sequence they do not.",
        sources=(SHAW, RAFFEL),
        scope="equal tokens, no mask, any bias; sequences with a beginning and an end",
        holds=_same_along_diagonals,
        worked=_worked_diagonals,
        unsaid="every row sees the same offsets (rows of a sliding window away from the ends, or positions on a circle)",
        corrected_by="positions.toeplitz-odds",
    )
)(_diagonal_falls)


@derived(
    Claim(
        id="positions.toeplitz-odds",
        title="A relative bias gives odds that are constant along diagonals",
        states="(Implied.) Attention to relative positions is a pattern along diagonals. Scores that depend on i − j alone fix the ratios of weights there, "
        "and not the weights themselves: "
        "near the ends of a sequence a row has other keys to share with.",
        precise=r"$P_{i+1,j+1}\,P_{ik}=P_{i+1,k+1}\,P_{ij}$ if $s_{ij}=b_{i-j}$.",
        sources=(S4.at("Diagonal Attention"), RAFFEL),
        scope="every length and every real bias; i, j and k are any places that have a next one",
        inventory=("C213",),
        holds=_same_odds_along_diagonals,
    )
)
def toeplitz_odds() -> Iterator[Step]:
    def weight(row: sp.Expr, key: sp.Expr) -> sp.Expr:
        return sp.UnevaluatedExpr(sp.exp(bias[_offset(row, key)]) / sp.Sum(sp.exp(bias[row - l]), (l, 1, n)))

    yield Step(
        weight(i + 1, j + 1) * weight(i, k),
        "=",
        weight(i + 1, k + 1) * weight(i, j),
        "the score of (i + 1, j + 1) is that of (i, j); the normalisers of the two rows stand on both sides",
    )


def _largest_at_offset(count: int, position: int, key: int, offset: int) -> Outcome:
    """The score of the encodings, with the key's turned by the offset, against its largest value `count`."""
    planes = [part for f in range(count) for part in reversed(encoding(key, count)[2 * f : 2 * f + 2])]
    query = [part for f in range(count) for part in reversed(encoding(position, count)[2 * f : 2 * f + 2])]
    score = inner(query, rotated(planes, offset))
    return exact.equal(score, count) if position - key == offset else exact.decided(bool(score < count))


@derived(
    Claim(
        id="positions.offset-by-rotation",
        title="A projection that turns the encoding makes the score largest at one offset",
        states="(Implied.) A head can attend to specific relative positions, as in diagonal attention, by sinusoidal encodings too.",
        precise=r"With a projection that turns keys by $R_\sigma$: $\langle PE(p),R_\sigma PE(q)\rangle=\sum_z\cos\omega_z(p-q-\sigma)$, which is $F$ at $q=p-\sigma$ and "
        r"$F-\sum_z2\sin^2\tfrac{\omega_z(p-q-\sigma)}2$ elsewhere: for whole $\sigma$, smaller at every other whole position if one frequency is 1. A factor on the scores makes it as sharp as is "
        "wanted. So direction can be seen, through the projection.",
        sources=(VASWANI.at("section 3.5"), S4.at("Diagonal Attention")),
        scope="every number of frequencies, every real frequency, position and offset for the formula; whole p, q, σ for “elsewhere smaller”, where G frequencies stand beside the "
        "frequency 1 and m = |p − q − σ| ≥ 1; no content",
        inventory=("C213",),
        uses=("positions.sinusoidal-rotation", "positions.sinusoidal-distinct"),
        holds=_largest_at_offset,
    )
)
def offset_by_rotation() -> Iterator[Step]:
    angle = w[z] * sigma
    sine, cosine = waves(q)
    cosine_turned, sine_turned = turned((cosine, sine), angle)
    score = per_frequency(dot(waves(p), (sine_turned, cosine_turned)))
    yield Step(
        sp.cos(apart) + per_frequency(sp.cos(w[z] * apart), G),
        "<",
        G + 1,
        "m whole positions from the offset, one frequency being 1: sin(m/2) is not 0, as π is irrational",
        certificate=2 * sp.sin(apart / 2) ** 2 + per_frequency(2 * sp.sin(w[z] * apart / 2) ** 2, G),
    )
    yield Step(score, "=", per_frequency(sp.cos(w[z] * (p - q - sigma))), "turning the encoding of q by σ gives that of q + σ")
    yield Step(score, "=", F - per_frequency(2 * sp.sin(w[z] * (p - q - sigma) / 2) ** 2), "cos α = 1 − 2 sin²(α/2): the offset σ has the largest score, F")


# --- what breaks equivariance ---------------------------------------------------------------------------------------------------------


def _with_encodings(tokens: Matrix, encodings: Matrix) -> list[list[int]]:
    return [[x + y for x, y in zip(token, code, strict=True)] for token, code in zip(tokens, encodings, strict=True)]


def _swap(rows: Sequence[Row], one: int, other: int) -> list[Row]:
    order = list(range(len(rows)))
    order[one], order[other] = other, one
    return [rows[at] for at in order]


def _still_equivariant(tokens: Matrix, encodings: Matrix, W_Q: Matrix, W_K: Matrix, W_V: Matrix, one: int, other: int) -> Outcome:
    shared = [encodings[one] if at == other else code for at, code in enumerate(encodings)]
    before = symmetry.attended(_with_encodings(tokens, shared), W_Q, W_K, W_V)
    after = symmetry.attended(_with_encodings(_swap(tokens, one, other), shared), W_Q, W_K, W_V)
    order = list(range(len(tokens)))
    order[one], order[other] = other, one
    return exact.equal(after, symmetry.reordered(before, order))


@derived(
    Claim(
        id="positions.equal-encodings",
        title="Positions with equal encodings remain exchangeable",
        states="(Not in the text, which says that position encodings break the symmetry when that is needed.) They break it only between positions whose "
        "encodings differ.",
        precise=r"If $E_k=E_l$ and $\Pi$ swaps $k$ and $l$, then $\Pi X+E=\Pi(X+E)$, so that $\mathrm{Att}(\Pi X+E)=\Pi\,\mathrm{Att}(X+E)$ for every $X$ and all weights.",
        sources=(S0.at("Universal Approximation"),),
        scope="every length and width, every real token, encoding and weight; unmasked self-attention",
        inventory=("C175",),
        uses=("symmetry.self-attention-equivariance",),
        holds=_still_equivariant,
    )
)
def equal_encodings() -> Iterator[Step]:
    def code(row: sp.Expr, feature: sp.Expr) -> sp.Expr:
        return E[row, feature] + sp.KroneckerDelta(row, l) * (E[k, feature] - E[l, feature])

    def token(row: sp.Expr, feature: sp.Expr) -> sp.Expr:
        return X[row, feature] + code(row, feature)

    yield Step(code(k, a), "=", code(l, a), "row l of the encodings is overwritten with row k")
    yield Step(
        symmetry.swapped(symmetry.entries(X), i, a) + code(i, a),
        "=",
        symmetry.swapped(token, i, a),
        "swapping equal rows of the encodings changes nothing, so the encodings may be swapped along with the tokens",
    )


def _told_apart_if_different(codes: Row, one: int, other: int) -> Outcome:
    """Zero tokens, width 1, all projections 1: of two positions the one with the larger encoding has the larger output."""
    rows = exact.attention([[x] for x in codes], [[x] for x in codes], [[x] for x in codes])
    order = (codes[one] > codes[other]) - (codes[one] < codes[other])
    difference = rows[one][0] - rows[other][0]
    return exact.equal(difference, 0) if order == 0 else exact.decided(bool(order * difference > 0))


@derived(
    Claim(
        id="positions.unequal-encodings",
        title="Any two positions with different encodings can be told apart",
        states="Position encodings break permutation equivariance where it is needed.",
        reading="If two positions have different encodings, there is a head that does not treat them alike: the other half of positions.equal-encodings.",
        precise=r"Let all tokens be 0 and let $e_j=\langle u,E_j\rangle$ with $u=E_k-E_l\ne 0$, so that $e_k=e_l+h$, $h>0$. With scores $e_ie_j$ and values $e_j$ position $i$ gets "
        r"$f(e_i)$, $f(\theta)=\sum_je_je^{\theta e_j}/\sum_je^{\theta e_j}$, and $f'>0$ everywhere: $f(e_k)>f(e_l)$, although equal tokens would get equal outputs from "
        "an equivariant map.",
        sources=(S0.at("Universal Approximation"), S1.at("Building on Yesterday's Foundation"), S4.at("The Transformer Architecture")),
        scope="every length n = N + 2 ≥ 2, every real encodings that differ at two positions; a statement of existence over heads",
        inventory=("C175",),
        uses=("symmetry.identical-tokens",),
        holds=_told_apart_if_different,
    )
)
def unequal_encodings() -> Iterator[Step]:
    theta, low, gap = sp.Symbol("theta", real=True), sp.Symbol("e_l", real=True), sp.Symbol("h", positive=True)
    high = low + gap

    def power(code: sp.Expr) -> sp.Expr:
        return sp.exp(theta * code)

    def over(body: sp.Expr, index: sp.Symbol) -> sp.Expr:
        return sp.Sum(body, (index, 1, N))

    mass = power(low) + power(high) + over(power(s[j]), j)
    answer = (low * power(low) + high * power(high) + over(s[j] * power(s[j]), j)) / mass
    pairs = over(over(power(s[j]) * power(s[k]) * (s[j] - s[k]) ** 2, k), j) / 2
    spread = over(power(s[j]) * (power(low) * (s[j] - low) ** 2 + power(high) * (s[j] - high) ** 2), j)
    yield Step(
        sp.Integer(0),
        "<",
        sp.Derivative(answer, theta),
        "the derivative is the variance of e under the weights, a sum of squares over pairs of positions, and the pair k, l contributes h² > 0",
        certificate=(gap**2 * power(low) * power(high) + spread + pairs) / mass**2,
    )


# --- two dimensions -------------------------------------------------------------------------------------------------------------------

Place = tuple[int, int]
rho, kappa = sp.symbols("rho kappa", real=True)  # how many rows and columns apart
row_1, column_1, row_2, column_2 = sp.symbols("r_1 c_1 r_2 c_2", real=True)


def beside(place: Place, count: int) -> list[arb]:
    """The encoding of the row, then that of the column: 4 · count features."""
    return encoding(place[0], count) + encoding(place[1], count)


def together(place: Place, count: int) -> list[arb]:
    """The encodings of row and column added: 2 · count features."""
    return [x + y for x, y in zip(*(encoding(at, count) for at in place), strict=True)]


def _two_d_dot(count: int, here: Place, there: Place) -> Outcome:
    apart_by = [x - y for x, y in zip(here, there, strict=True)]
    cosines = sum(((frequency * by).cos() for frequency in frequencies(count) for by in apart_by), arb(0))
    return exact.equal(inner(beside(here, count), beside(there, count)), cosines)


@derived(
    Claim(
        id="positions.two-d-dot-product",
        title="Two-dimensional encodings: one part for the rows apart, one for the columns apart",
        states="For patches of an image, 2-D positional information is added.",
        reading="Half of the features encode the row, the other half the column.",
        precise=r"$\langle PE(r_1,c_1),PE(r_2,c_2)\rangle=\sum_z\cos\omega_z(r_1-r_2)+\sum_z\cos\omega_z(c_1-c_2)$: a function of the displacement alone, the same for its mirror "
        "images.",
        sources=(S1.at("Patch-Based Attention"), DOSOVITSKIY.at("appendix D.4")),
        scope="every number of frequencies (the same for rows and columns), every real frequency, row and column",
        inventory=("C220",),
        uses=("positions.sinusoidal-dot-product",),
        holds=_two_d_dot,
    )
)
def two_d_dot_product() -> Iterator[Step]:
    yield Step(
        per_frequency(dot(waves(row_1), waves(row_2)) + dot(waves(column_1), waves(column_2))),
        "=",
        per_frequency(sp.cos(w[z] * (row_1 - row_2))) + per_frequency(sp.cos(w[z] * (column_1 - column_2))),
        "rows meet rows and columns meet columns",
    )


def _differ(one: Balls, other: Balls) -> bool:
    return any(not (x - y).contains(0) for x, y in zip(one, other, strict=True))


def _told_apart_beside(count: int, here: Place, there: Place) -> Outcome:
    return Outcome.HELD if here == there or _differ(beside(here, count), beside(there, count)) else Outcome.UNDECIDED


def _told_apart_together(count: int, here: Place, there: Place) -> Outcome:
    """Two sums are equal beyond doubt only if they have the same terms."""
    if here == there or _differ(together(here, count), together(there, count)):
        return Outcome.HELD
    return Outcome.REFUTED if Counter(here) == Counter(there) else Outcome.UNDECIDED


def _worked_together(count: int, here: Place, there: Place) -> str:
    return (
        f"With d = {2 * count} features, row {here[0]} and column {here[1]}: {_listed(encoding(here[0], count))} + {_listed(encoding(here[1], count))} = "
        f"{_listed(together(here, count))}. Row {there[0]} and column {there[1]}: the same two vectors in the other order, and so the same sum, exactly."
    )


def _two_d_distance() -> Iterator[Step]:
    """The squared distance of the encodings of two patches, m whole rows and κ columns apart."""
    first = [(one - other) ** 2 for one, other in zip(waves(p + apart, sp.S.One), waves(p, sp.S.One), strict=True)]
    rest = [(one - other) ** 2 for one, other in zip(waves(p + apart), waves(p), strict=True)]
    columns = [(one - other) ** 2 for one, other in zip(waves(q + kappa), waves(q), strict=True)]
    distance = sum(first) + per_frequency(sum(rest), G) + per_frequency(sum(columns))
    squares = 4 * sp.sin(apart / 2) ** 2 + per_frequency(4 * sp.sin(w[z] * apart / 2) ** 2, G) + per_frequency(4 * sp.sin(w[z] * kappa / 2) ** 2)
    yield Step(
        sp.Integer(0),
        "<",
        distance,
        "m ≥ 1 rows apart: the frequency 1 contributes 4 sin²(m/2), which is not 0 since π is irrational, and the columns add squares (rows and columns may trade places)",
        certificate=squares,
    )


two_d_summed = derived(
    Claim(
        id="positions.two-d-summed",
        title="The encodings of row and column may be added to a patch",
        states="The sinusoidal encodings of a patch's row and of its column are both added to the patch.",
        reading="Then each patch has an encoding of its own. (The paper cited puts the two side by side.)",
        precise=r"$PE(r_1)+PE(c_1)\ne PE(r_2)+PE(c_2)$ for different patches. It fails for $(r,c)$ and $(c,r)$. With rows and columns in separate features, patches $m\ge 1$ rows "
        r"and $\kappa$ columns apart have a positive distance, and those $m$ columns apart likewise.",
        sources=(DOSOVITSKIY.at("appendix D.4"),),
        scope="the usual frequencies, the same for rows and columns, with the frequency 1 among them",
        unsaid="rows and columns are encoded in separate features",
        corrected_by="positions.two-d-distinct",
        holds=_told_apart_together,
        worked=_worked_together,
    )
)(_two_d_distance)

two_d_distinct = derived(
    Claim(
        id="positions.two-d-distinct",
        title="With rows and columns in separate features no two patches share an encoding",
        states="(Implied.) Patches get 2-D positional information, which tells them apart: half of the features may encode the row, the other half the column.",
        precise=r"$(PE(r_1),PE(c_1))\ne(PE(r_2),PE(c_2))$ for different patches: the squared distance of patches $m\ge 1$ rows and any $\kappa$ columns apart is positive, and rows "
        "and columns play the same part.",
        sources=(S1.at("Patch-Based Attention"), DOSOVITSKIY.at("appendix D.4"), NIVEN.at("chapter 2")),
        scope="whole rows and columns, the frequency 1 among the frequencies ω, any others beside it",
        inventory=("C220",),
        uses=("positions.sinusoidal-distinct",),
        holds=_told_apart_beside,
    )
)(_two_d_distance)


def _order_of_patches(patches: Matrix, places: Matrix, W_Q: Matrix, W_K: Matrix, W_V: Matrix, order: Row) -> Outcome:
    before = symmetry.attended(_with_encodings(patches, places), W_Q, W_K, W_V)
    after = symmetry.attended(_with_encodings(symmetry.reordered(patches, order), symmetry.reordered(places, order)), W_Q, W_K, W_V)
    return exact.equal(after, symmetry.reordered(before, order))


@derived(
    Claim(
        id="positions.order-of-patches",
        title="The order in which patches are listed does not matter, if each keeps its own encoding",
        states="The patches of an image become a sequence of tokens, in some order.",
        precise=r"$\Pi X+\Pi E=\Pi(X+E)$, hence $\mathrm{Att}(\Pi X+\Pi E)=\Pi\,\mathrm{Att}(X+E)$: row by row, column by column or any other order gives the same outputs, reordered.",
        sources=(S1.at("Patch-Based Attention"),),
        scope="every number of patches and width, every real patch, encoding and weight; unmasked; derived for a swap of two patches, of which every order is made",
        inventory=("C220",),
        uses=("symmetry.self-attention-equivariance",),
        holds=_order_of_patches,
    )
)
def order_of_patches() -> Iterator[Step]:
    yield Step(
        symmetry.swapped(symmetry.entries(X), i, a) + symmetry.swapped(symmetry.entries(E), i, a),
        "=",
        symmetry.swapped(lambda row, feature: X[row, feature] + E[row, feature], i, a),
        "patches that take their encodings along are tokens X + E, reordered",
    )


# --- positions and the causal mask ----------------------------------------------------------------------------------------------------

SCHEMES = ("sinusoidal", "rotary", "linear bias")


def _scored(scheme: str, query: Row, key: Row, at: Fraction, other: Fraction) -> arb:
    """The score of two tokens at two positions."""
    match scheme:
        case "sinusoidal":
            one, two = ([x + y for x, y in zip(token, encoding(place, len(token) // 2), strict=True)] for token, place in ((query, at), (key, other)))
            return inner(one, two)
        case "rotary":
            return inner(rotated(query, at), rotated(key, other))
    return inner(query, key) - exact.ball(abs(at - other))


def _causal_answers(scheme: str, tokens: Matrix, step: Fraction) -> list[list[arb]]:
    """Causal self-attention of tokens at positions 0, step, 2 step, …, with the tokens as values."""
    rows = []
    for at, token in enumerate(tokens):
        weights = exact.softmax([_scored(scheme, token, tokens[other], at * step, other * step) for other in range(at + 1)])
        rows.append([inner(weights, column) for column in zip(*tokens[: at + 1], strict=True)])
    return rows


def _kept_when_longer(scheme: str, tokens: Matrix, later: Matrix) -> Outcome:
    longer = [*tokens, *later]
    return exact.equal(_causal_answers(scheme, longer, Fraction(1))[: len(tokens)], _causal_answers(scheme, tokens, Fraction(1)))


def _kept_when_rescaled(scheme: str, tokens: Matrix, later: Matrix) -> Outcome:
    longer = [*tokens, *later]
    return exact.equal(_causal_answers(scheme, longer, Fraction(1, len(longer)))[: len(tokens)], _causal_answers(scheme, tokens, Fraction(1, len(tokens))))


def _worked_rescaled(scheme: str, tokens: Matrix, later: Matrix) -> str:
    longer = [*tokens, *later]
    before = _causal_answers(scheme, tokens, Fraction(1, len(tokens)))
    after = _causal_answers(scheme, longer, Fraction(1, len(longer)))[: len(tokens)]
    rows = "\n".join(f"- row {at + 1}: {_listed(old)} alone, {_listed(new)} with what follows" for at, (old, new) in enumerate(zip(before, after, strict=True)))
    return (
        f"Encoding: {scheme}. Tokens {[list(row) for row in tokens]}, followed later by {[list(row) for row in later]}; token i (from 0) stands at position i/n. The causal mask is in "
        f"place in both, and yet\n\n{rows}\n\nThe outputs should be the same. Every position but the first moved when the sequence grew: the second token from "
        f"1/{len(tokens)} to 1/{len(longer)}, and with it its scores."
    )


def _causal_steps() -> Iterator[Step]:
    seen = sp.IndexedBase("mu", nonnegative=True)  # 1 for a visible key, 0 for a hidden one
    value, score, place = sp.symbols("v' s' b'", real=True)
    hidden = sp.KroneckerDelta(j, k)

    def answer(changed: sp.Expr) -> sp.Expr:
        exponential = seen[j] * (1 - hidden) * sp.exp(s[j] + bias[j] + changed * hidden * (score + place - s[j] - bias[j]))
        first = sp.exp(sp.Symbol("s_i", real=True))
        return (first * v[i] + total(exponential * (v[j] + changed * hidden * (value - v[j])), j)) / (first + total(exponential, j))

    yield Step(
        answer(sp.Integer(1)),
        "=",
        answer(sp.Integer(0)),
        "key k is hidden from row i: its score, what its position adds to it, and its value are multiplied by 0; the row's own key stays visible",
    )


causal_positions = derived(
    Claim(
        id="positions.causal",
        title="Under a causal mask no encoding of positions lets the future in, if positions are counted from the start",
        states="Causal attention cannot see later positions, and encodings of positions change nothing about that.",
        precise=r"Let the score of row $i$ and key $j$ be any function of the two tokens and the two positions. Replacing token, position and value of a hidden key leaves row $i$ as "
        "it was; so later tokens change nothing, as long as they do not move earlier positions.",
        sources=(S1.at("Causal (Masked) Attention"), SU, PRESS, VASWANI.at("section 3.5")),
        scope="every number of keys, every score, contribution b of the positions, and value (symbolic); sinusoidal, rotary and linear-bias scores (exact evaluation)",
        uses=("masks.hidden-key-has-no-influence",),
        holds=_kept_when_longer,
    )
)(_causal_steps)

rescaled_positions = derived(
    Claim(
        id="positions.causal-any-positions",
        title="The causal mask alone keeps the future out, whatever the positions",
        states="Positions are scaled to the length of the sequence, as some extensions to longer contexts do, and a causal mask keeps the future out.",
        reading="With token i at position i/n of a sequence of n tokens, earlier outputs stay as they were when tokens follow.",
        precise=r"The outputs of the first $n$ tokens are the same with and without further tokens after them. It holds where the encoding of position $i$ does not depend on the "
        "sequence's length.",
        sources=(PENG.at("section 3.3"),),
        scope="sinusoidal, rotary and linear-bias scores; any tokens",
        unsaid="the encoding of a position does not depend on the length of the sequence",
        corrected_by="positions.causal",
        holds=_kept_when_rescaled,
        worked=_worked_rescaled,
    )
)(_causal_steps)
