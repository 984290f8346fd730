"""Which functions of a sequence attention can represent: none but affine ones on constant sequences, and all equivariant ones once tokens are independent.

A sequence over a finite vocabulary matters to one of its tokens only through its counts: how often each word occurs. Vocabularies are indexed by r, and the
counts of a sequence of length n add up to n. Layers may have biases, which is to say that every token has a 1 appended.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import combinations_with_replacement

import sympy as sp
from flint import arb, fmpq, fmpq_mat

from theorems import exact, symbols
from theorems.claim import Claim, derived
from theorems.exact import ball
from theorems.outcome import Outcome
from theorems.sources import S0, Source
from theorems.step import Step
from theorems.symbols import e, g, i, j, l, m, n, r, s, softmax, total, v

Row = Sequence[int]
Rows = Sequence[Row]
Head = tuple[int, int]  # of tokens of width 1: score s(x, y) = first · x · y, value = second · x
Layer = tuple[Sequence[Head], int, bool]  # heads, bias, residual
Word = int  # a place in the vocabulary
Counts = tuple[int, ...]  # how often each word occurs

YUN = Source(key="yun2020", title="Are Transformers universal approximators of sequence-to-sequence functions?", url="https://arxiv.org/abs/1912.10077")

w = sp.Symbol("w", integer=True, positive=True)  # a feature of a token
y = sp.Symbol("y", integer=True, positive=True)  # a feature of the output
width = sp.Symbol("d", integer=True, positive=True)
token = sp.IndexedBase("x", real=True)  # x[w]
W = sp.IndexedBase("W", real=True)  # value projections, W[g, w, e]
W_O = sp.IndexedBase("W_O", real=True)  # output projections, W_O[g, e, y]
bias = sp.IndexedBase("b", real=True)


# --- constant sequences (C312) ------------------------------------------------------------------------------------------------------------


def _polynomial(coefficients: Row, at: int) -> int:
    return sum(c * at**power for power, c in enumerate(coefficients))


def _bend(coefficients: Row, step: int) -> int:
    """The second difference of the polynomial at −step, 0 and step."""
    return _polynomial(coefficients, -step) - 2 * _polynomial(coefficients, 0) + _polynomial(coefficients, step)


def _layer(rows: list[arb], layer: Layer) -> list[arb]:
    """One layer on tokens of width 1."""
    heads, constant, residual = layer
    out = [ball(constant) + (x if residual else 0) for x in rows]
    for score, value in heads:
        mixed = exact.attention([[score * x] for x in rows], [[x] for x in rows], [[value * x] for x in rows])
        out = [x + row[0] for x, row in zip(out, mixed, strict=True)]
    return out


def _stack(rows: Row, layers: Sequence[Layer]) -> list[arb]:
    now = [ball(x) for x in rows]
    for layer in layers:
        now = _layer(now, layer)
    return now


def _affine_on_constants(target: Row, step: int, length: int, layers: Sequence[Layer]) -> Outcome:
    """A given network on the three constant sequences: no second difference, so that it misses the polynomial by a quarter of its second difference."""
    outputs = [_stack([x] * length, layers) for x in (-step, 0, step)]
    bends = [below - 2 * middle + above for below, middle, above in zip(*outputs, strict=True)]
    errors = [max((abs(o - _polynomial(target, x)) for o, x in zip(row, (-step, 0, step), strict=True)), key=float) for row in zip(*outputs, strict=True)]
    least = ball(Fraction(abs(_bend(target, step)), 4))
    return Outcome.worst([exact.equal(bends, [0] * length), exact.at_most([least] * length, errors)])


@derived(
    Claim(
        id="universality.constant-sequences",
        title="On constant sequences attention of any depth is affine, and misses whatever is not",
        states="(Not in the text; the contrary of universality.approximation.) What attention does to a sequence whose tokens are all equal.",
        precise=r"If all tokens equal $x$, every row of a head is $xW$ whatever the scores. So heads, output projections, biases and residuals map $x$ affinely, layer "
        r"by layer, and second differences are mapped linearly: from 0 to 0. Outputs at $x - u, x, x + u$ that are to be $f_-, f_0, f_+$ have an error $E$ "
        r"with $|f_- - 2f_0 + f_+| \le 4E$ at one of them. For the square of each token, $x = 0$ and $u = 1$ it is $E \ge \frac12$. In the last formula the "
        r"errors are $E - x_1$, $x_2 - E$ and $E - x_3$ with $x_i \ge 0$; the other sign is its mirror image.",
        sources=(S0.at("Universal Approximation"), YUN.at("Theorem 2")),
        scope="every length n ≥ 1, every number of heads and layers, all widths, every score function, all real parameters; no feed-forward network, no "
        "normalisation, no positional encoding",
        inventory=("C312",),
        holds=_affine_on_constants,
    )
)
def constant_sequences() -> Iterator[Step]:
    value = sp.Sum(token[w] * W[g, w, e], (w, 1, width))
    yield Step(total(softmax(s, j) * value, j), "=", value, "the weights add up to 1, and all values are the same: every row is x W, whatever the scores")
    streams = [sp.IndexedBase(name, real=True) for name in ("z_-", "z_0", "z_+")]  # what the three constant sequences have become, before a layer

    def layer(stream: sp.IndexedBase) -> sp.Expr:
        heads = total(total(sp.Sum(stream[w] * W[g, w, e], (w, 1, width)) * W_O[g, e, y], e), g)
        return stream[y] + bias[y] + heads

    below, middle, above = streams
    bend = {x: below[x] - 2 * middle[x] + above[x] for x in (w, y)}
    yield Step(
        layer(below) - 2 * layer(middle) + layer(above), "=",
        bend[y] + total(total(sp.Sum(bend[w] * W[g, w, e], (w, 1, width)) * W_O[g, e, y], e), g),
        "a layer with residual and bias maps second differences linearly; those of the tokens x − u, x, x + u are 0, and so are all later ones",
    )  # fmt: skip
    E = sp.Symbol("E", positive=True)
    short = sp.symbols("x_1 x_2 x_3", nonnegative=True)
    errors = (E - short[0], short[1] - E, E - short[2])
    yield Step(
        errors[0] - 2 * errors[1] + errors[2], "<=", 4 * E,
        "the outputs have no second difference, so that of the errors is the target's, and no error exceeds E", certificate=short[0] + 2 * short[1] + short[2],
    )  # fmt: skip


# --- finite sets (C313) -------------------------------------------------------------------------------------------------------------------


def _matrix(rows: Sequence[Sequence[int | Fraction]]) -> fmpq_mat:
    return fmpq_mat([[fmpq(x.numerator, x.denominator) for x in row] for row in rows])


def _fraction(x: fmpq) -> Fraction:
    return Fraction(int(x.p), int(x.q))


def _with_one(vocabulary: Rows) -> list[list[int]]:
    """The distinct words in their order, each with a 1 appended, as a bias sees them."""
    return [[*word, 1] for word in dict.fromkeys(map(tuple, vocabulary))]


def _dependencies(rows: Rows) -> list[list[Fraction]]:
    """A basis of the vectors z with Σ_r z_r row_r = 0."""
    reduced, rank = _matrix(list(zip(*rows, strict=True))).rref()
    pivots = [next(column for column in range(len(rows)) if reduced[place, column] != 0) for place in range(rank)]
    basis = []
    for free in (column for column in range(len(rows)) if column not in pivots):
        vector = [Fraction(int(column == free)) for column in range(len(rows))]
        for place, pivot in enumerate(pivots):
            vector[pivot] = -_fraction(reduced[place, free])
        basis.append(vector)
    return basis


def _multisets(words: int, length: int) -> list[Counts]:
    """All counts of sequences of that length."""
    return [tuple(Counter(chosen)[word] for word in range(words)) for chosen in combinations_with_replacement(range(words), length)]


def _aims(words: int, length: int, targets: Row) -> dict[tuple[Word, Counts], int]:
    """An equivariant function: the output at each word of each sequence, up to order; the drawn targets in turn, those of the constant sequences first."""
    mixed = [counts for counts in _multisets(words, length) if max(counts) < length]
    pairs = [(word, _constant(word, words, length)) for word in range(words)] + [(word, counts) for counts in mixed for word in range(words) if counts[word]]
    return {pair: targets[place % len(targets)] for place, pair in enumerate(pairs)}


def _constant(word: Word, words: int, length: int) -> Counts:
    return tuple(length * (place == word) for place in range(words))


def _spread(words: int, length: int) -> list[int]:
    """A positive number for each word such that sequences with different counts have different means: digits of a number to the base n + 1."""
    return [(length + 1) ** word for word in range(words)]


def _kernel_weights(nodes: Sequence[Fraction], rates: Sequence[Fraction], values: Sequence[Fraction]) -> list[Fraction]:
    """β with Σ_g β_g/(1 + λ_g t_k) = value_k at every node t_k: a Cauchy system."""
    system = _matrix([[1 / (1 + rate * node) for rate in rates] for node in nodes])
    solution = system.solve(_matrix([[value] for value in values]))
    return [_fraction(solution[place, 0]) for place in range(len(nodes))]


def _represents(rows: Rows, length: int, targets: Row) -> Outcome:
    """Build the heads for words that are independent with a 1 appended, and run them: scores are x_uᵀ M x_v on the words themselves, in balls."""
    words, spread, aims = len(rows), _spread(len(rows), length), _aims(len(rows), length, targets)
    nodes = {counts: Fraction(sum(c * r for c, r in zip(counts, spread, strict=True)), length) for counts in _multisets(words, length)}
    rates = [Fraction(place + 1) for place in range(len(nodes))]
    tokens = _matrix(rows)
    inverse = tokens.transpose() * (tokens * tokens.transpose()).inv()  # tokens · inverse = 1
    assert tokens * inverse == _matrix([[int(one == other) for other in range(words)] for one in range(words)])
    pure = [aims[word, _constant(word, words, length)] for word in range(words)]
    means = {counts: Fraction(sum(c * x for c, x in zip(counts, pure, strict=True)), length) for counts in nodes}  # one head with equal weights
    outputs: dict[tuple[Word, Counts], arb] = {pair: ball(means[pair[1]]) for pair in aims}
    for word in range(words):
        wanted = [aims[word, counts] - means[counts] if counts[word] and max(counts) < length else Fraction(0) for counts in nodes]
        betas = _kernel_weights(list(nodes.values()), rates, wanted)
        for rate, beta in zip(rates, betas, strict=True):
            features = [ball(1 + rate * r).log() for r in spread]
            scores = _scores(rows, inverse, word, features)
            for (asking, counts), output in outputs.items():
                weights = [c * x.exp() for c, x in zip(counts, scores[asking], strict=True)]
                sharp = sum((p / (1 + ball(rate) * r) for p, r in zip(weights, spread, strict=True)), arb(0)) / sum(weights, arb(0))
                even = sum((c / (1 + ball(rate) * r) for c, r in zip(counts, spread, strict=True)), arb(0)) / length
                outputs[asking, counts] = output + ball(beta) * (sharp - even)
    return exact.equal(list(outputs.values()), list(aims.values()))


def _scores(rows: Rows, inverse: fmpq_mat, word: Word, features: list[arb]) -> list[list[arb]]:
    """x_uᵀ M x_v with M = (column `word` of the inverse)(Σ_v feature_v · column v of the inverse)ᵀ: rank 1, a head of width 1."""
    depth = len(rows[0])
    query = [ball(_fraction(inverse[place, word])) for place in range(depth)]
    key = [sum((ball(_fraction(inverse[place, v_])) * f for v_, f in enumerate(features)), arb(0)) for place in range(depth)]
    asked = [sum((x * q for x, q in zip(row, query, strict=True)), arb(0)) for row in rows]
    answered = [sum((x * k for x, k in zip(row, key, strict=True)), arb(0)) for row in rows]
    return [[q * k for k in answered] for q in asked]


def _against(z: Sequence[Fraction], targets: Row) -> Fraction:
    return sum((x * aim for x, aim in zip(z, targets, strict=True)), Fraction(0))


def _missed(rows: Rows, length: int, targets: Row) -> tuple[list[Fraction], list[int], Fraction]:
    """A dependency of the words and the targets of their constant sequences, and how near networks come there at best: |Σ z f| / Σ |z|, the most over a basis."""
    aims = _aims(len(rows), length, targets)
    pure = [aims[word, _constant(word, len(rows), length)] for word in range(len(rows))]
    errors = [(abs(_against(z, pure)) / sum(map(abs, z), Fraction(0)), z) for z in _dependencies(rows)]
    least, worst = max(errors)
    return worst, pure, least


def _finite_sets(vocabulary: Rows, length: int, targets: Row, queries: Rows, values: Row) -> Outcome:
    """Whether heads give the targets: yes where the words are independent; no where the targets of constant sequences break a dependency of the words."""
    rows = _with_one(vocabulary)
    if not _dependencies(rows):
        return _represents(rows, length, targets)
    return Outcome.REFUTED if _missed(rows, length, targets)[2] > 0 else Outcome.UNDECIDED


def _combination(vocabulary: Rows, length: int, targets: Row) -> tuple[str, str, str, str, Fraction]:
    """For the page: the words, what their constant sequences shall give, a dependency, the same of the targets, and its value."""
    rows = _with_one(vocabulary)
    z, pure, _ = _missed(rows, length, targets)
    words = [row[:-1] for row in rows]
    combination = " + ".join(f"({x})·{word}" for x, word in zip(z, words, strict=True) if x)
    against = " + ".join(f"({x})·{aim}" for x, aim in zip(z, pure, strict=True) if x)
    return ", ".join(map(str, words)), ", ".join(map(str, pure)), combination, against, _against(z, pure)


ENCODED = "Of the case's targets the first belong to the constant sequences, one for each distinct word in its order, and the next to the other sequences (in a cycle, if there are too few); its queries and values play no part here."


def _finite_sets_worked(vocabulary: Rows, length: int, targets: Row, queries: Rows, values: Row) -> str:
    words, pure, combination, against, missed = _combination(vocabulary, length, targets)
    return (
        f"{ENCODED} Tokens are the vectors {words}; the sequence of {length} equal token{'s' * (length > 1)} shall give {pure}. On constant sequences every "
        f"multi-head layer is affine in the token (universality.constant-sequences), with any number of heads, and with biases. As {combination} = 0 with coefficients that "
        f"add up to 0, its outputs combined in the same way are 0. The statement would need them to give what the targets give, {against} = {missed}."
    )


def _approximates_worked(vocabulary: Rows, length: int, targets: Row, queries: Rows, values: Row) -> str:
    words, pure, combination, against, missed = _combination(vocabulary, length, targets)
    least = _missed(_with_one(vocabulary), length, targets)[2]
    return (
        f"{ENCODED} Tokens are the vectors {words}; on sequences of {length} equal token{'s' * (length > 1)} let f give {pure}, in every row, which commutes with every reordering. The weights of a row add up to 1 and "
        f"all values are the same, so a head returns that value, and output projections, biases, residuals and further layers keep it affine in the token. As {combination} = 0 with coefficients "
        f"that add up to 0, outputs combined in the same way are 0 whatever the parameters, and the targets give {against} = {missed}. If no output were off by more than E, this would be at most E times the "
        f"sum of the coefficients' sizes, so the error is at least {least} on one of these sequences; approximation needs it below every bound."
    )


def _independent_tokens(vocabulary: Rows, length: int, targets: Row, queries: Rows, values: Row) -> Outcome:
    """The heads built and run where the words are independent; elsewhere a drawn head keeps every dependency of the words on constant sequences."""
    rows = _with_one(vocabulary)
    if not (dependencies := _dependencies(rows)):
        return _represents(rows, length, targets)
    asked = [[[sum(x * m for x, m in zip(row[:-1], column, strict=True)) for column in zip(*queries, strict=True)]] * length for row in rows]
    heads = [
        exact.attention(query, [row[:-1]] * length, [[sum(x * m for x, m in zip(row[:-1], values, strict=True))]] * length)
        for query, row in zip(asked, rows, strict=True)
    ]
    kept = [sum((ball(x) * output[0][0] for x, output in zip(z, heads, strict=True)), arb(0)) for z in dependencies]
    return exact.equal(kept, [0] * len(kept))


t = sp.IndexedBase("x", positive=True)  # the number r of the token at each position, x[j]
rate = sp.IndexedBase("lambda", positive=True)  # λ[g]
one, two, word = sp.Symbol("k_1", integer=True, positive=True), sp.Symbol("k_2", integer=True, positive=True), symbols.t  # words, 1..m
beta = sp.IndexedBase("beta", real=True)  # β[g]


def _representation_steps() -> Iterator[Step]:
    mean = total(t[j], j) / n
    wanted = sp.IndexedBase("S", real=True)
    yield Step(
        sp.Sum(sp.KroneckerDelta(r, one) * wanted[one, two] * sp.KroneckerDelta(two, word), (one, 1, m), (two, 1, m)), "=", wanted[r, word],
        "independent tokens x_r have dual vectors y with x_r · y_t = δ_rt, so M = Σ S_rt y_r y_tᵀ gives words r and t any score S_rt wanted, and values likewise",
    )  # fmt: skip

    def kernel(at: sp.Expr, of: sp.Symbol = g) -> sp.Expr:
        return 1 / (1 + rate[of] * at)

    marked = total(sp.exp(sp.log(1 + rate[g] * t[j])) * kernel(t[j]), j) / total(sp.exp(sp.log(1 + rate[g] * t[l])), l)
    yield Step(marked, "=", kernel(mean), "where the marked word asks, the scores are log(1 + λ x_j) and the values 1/(1 + λ x_j): only the mean of x is left")
    plain = total(sp.exp(0 * t[j], evaluate=False) * kernel(t[j]), j) / total(sp.exp(0 * t[l], evaluate=False), l)
    yield Step(
        plain, "=", total(kernel(t[j]), j) / n, "where any other word asks all scores are 0, as they are everywhere in a second head with the same values"
    )
    at, node, apart = sp.symbols("t a h", positive=True)
    old, new = sp.symbols("lambda mu", positive=True)
    factor = (at - node) / (1 + new * at)
    yield Step(
        factor / (1 + old * at),
        "=",
        (1 + old * node) / (new - old) / (1 + old * at) + (1 + new * node) / (old - new) / (1 + new * at),
        "φ(t) = Σ β_g/(1 + λ_g t) can take any values at as many nodes as there are different λ. Begin with 1/(1 + λ_1 t); each factor (t − a)/(1 + μt), a an old node and μ a new rate, keeps "
        "a sum of such terms one, with one term more",
        nonzero=(new - old, old - new),
    )
    for side, point in (("beyond", node + apart), ("before", node)):
        past = node if side == "beyond" else node + apart
        yield Step(
            sp.S.Zero, "!=", factor.subs({at: point, node: past}, simultaneous=True),
            f"so there is a sum that is 0 at all old nodes and not at a new one ({side} the old node by h): a multiple of it, added, mends the value there",
            certificate=factor.subs({at: point, node: past}, simultaneous=True),
        )  # fmt: skip
    difference = total(beta[g] * (kernel(mean) - total(kernel(t[j]), j) / n), g)
    yield Step(
        difference, "=", total(beta[g] * kernel(mean), g) - total(total(beta[g] * kernel(t[j]), g), j) / n,
        "head less second head, summed with β: φ(mean of x) less the mean of φ(x). With φ = 0 at the words' own numbers it is φ(mean) where the marked word "
        "asks, and 0 where another does",
    )  # fmt: skip


def _independence_steps() -> Iterator[Step]:
    """What a layer does to a dependency of the words, and why counts can be told apart; then the construction."""
    coefficient, words = sp.IndexedBase("z", real=True), sp.Symbol("q", integer=True, positive=True)
    stream = sp.IndexedBase("X", real=True)  # X[r, w]: what the constant sequence of word r has become, before a layer
    combined = {x: sp.Sum(coefficient[r] * stream[r, x], (r, 1, words)) for x in (w, y)}
    layer = stream[r, y] + bias[y] + total(total(sp.Sum(stream[r, w] * W[g, w, e], (w, 1, width)) * W_O[g, e, y], e), g)
    yield Step(
        sp.Sum(coefficient[r] * layer, (r, 1, words)), "=",
        combined[y] + bias[y] * sp.Sum(coefficient[r], (r, 1, words)) + total(total(sp.Sum(combined[w] * W[g, w, e], (w, 1, width)) * W_O[g, e, y], e), g),
        "constant sequences: where Σ z_r x_r = 0 and Σ z_r = 0 (or there is no bias), the outputs of a layer have the same dependency, and targets without it are missed",
    )  # fmt: skip
    place = sp.Symbol("u", integer=True, nonnegative=True)
    yield Step(
        n * (n + 1) ** place + ((n + 1) ** place - 1), "=", (n + 1) ** (place + 1) - 1,
        "counts of at most n as digits to the base n + 1: those below place u make up at most (n + 1)^u − 1, by induction on u, less than a step of digit u: different counts, different numbers",
    )  # fmt: skip
    yield from _representation_steps()


approximates = derived(
    Claim(
        id="universality.approximation",
        title="Attention can approximate any permutation-equivariant function",
        states="Attention mechanisms can approximate any permutation-equivariant function, f(π(X)) = π(f(X)).",
        reading="Attention with values linear in the tokens, X W_V, as the text writes the layer where it trains it: any scores, any number of heads and layers, any biases, residual "
        "connections and widths. Approximation to any accuracy on a finite set of inputs, so that nothing depends on continuity or compactness.",
        precise=r"With values linear in the tokens it is false: on constant sequences such attention is affine (universality.constant-sequences), so it stays away from the square of each token, for instance, however "
        r"large the network is. On finitely many inputs of one length it is true if values and scores may be any functions of a token, as the text's first formula with its free $v_i$ allows, or if a tokenwise network comes first: "
        r"distinct tokens are then as good as one-hot tokens, and those are independent (universality.independent-tokens). With inputs of several lengths it fails even so: a sequence and its repetition get the same "
        r"rows (universality.repetition). For networks between the layers and continuous functions on compact sets see Yun et al. 2020.",
        sources=(S0.at("Universal Approximation"), YUN.at("Theorem 2")),
        scope="every finite set of inputs of one length n ≥ 1",
        inventory=("C312",),
        uses=("universality.constant-sequences", "universality.repetition"),
        unsaid="all inputs have one length, and values and scores may be any functions of a token (a tokenwise network comes first, or the tokens are linearly independent, as one-hot ones are)",
        corrected_by="universality.independent-tokens",
        holds=_finite_sets,
        worked=_approximates_worked,
    )
)(_representation_steps)


finite_sets = derived(
    Claim(
        id="universality.finite-sets",
        title="Multi-head attention with enough heads represents any permutation-equivariant function on finite sets",
        states="Multi-head attention with sufficient heads can represent any permutation-equivariant function on finite sets.",
        reading="Tokens from a finite set of vectors, exact equality, values linear in the tokens; one layer of heads with an output projection, and for the "
        "counterexample also biases, residuals and any number of layers. If the finite sets are the inputs themselves (sets of tokens) the same counterexample stands: a set of one "
        "element is a constant sequence.",
        precise=r"For sequences of one length of linearly independent tokens the statement is true with one layer of heads of width 1 (universality.independent-tokens). With biases affine independence is "
        r"enough; without them it is not: the tokens 0 and 1 are affinely independent, and layers without biases map a sequence of zeros to 0, whatever $f$ wants there. For dependent tokens constant sequences "
        r"give a counterexample, and for several lengths at once repeated sequences do, whatever the tokens (universality.repetition).",
        sources=(S0.at("Universal Approximation"),),
        scope="every finite vocabulary, every length n ≥ 1",
        inventory=("C313",),
        uses=("universality.constant-sequences", "universality.repetition"),
        unsaid="all sequences have one length, and the tokens are linearly independent (affinely, if every projection has a bias); one-hot tokens are such",
        corrected_by="universality.independent-tokens",
        holds=_finite_sets,
        worked=_finite_sets_worked,
    )
)(_representation_steps)


independent_tokens = derived(
    Claim(
        id="universality.independent-tokens",
        title="On affinely independent tokens one layer of narrow heads represents every permutation-equivariant function",
        states="(Not in the text; the corrected form of universality.finite-sets.) On which finite sets heads represent everything.",
        precise=r"Give word $v$ of $q$ words the number $r_v = (n+1)^v$, so that sequences with different counts have different means of $r$ (digits to the base $n + 1$), and a "
        r"constant sequence has the word's own. For each word $u$ and each $\lambda_g$ let one head have the scores $\log(1 + \lambda_g r_v)$ where $u$ asks and 0 where "
        r"another word does, and the values $1/(1 + \lambda_g r_v)$; independent tokens allow any scores and values, and these take a $W_QW_K^\top$ of rank 1. With a second head "
        r"of the same values and equal weights the sum over $g$ is $\varphi(\bar x) - \frac1n\sum_j\varphi(x_j)$ where $u$ asks and 0 elsewhere, $\varphi(t) = \sum_g\beta_g/(1 + "
        r"\lambda_gt)$, $x_j$ the number of token $j$. Choose $\varphi = 0$ at the words' numbers and as needed at the other means, which different $\lambda_g$, one for each of these numbers, allow; one more head with equal weights for each coordinate of the output serves the "
        r"constant sequences. (All coordinates of the output share these heads; their $\beta$ stand in $W_O$.) If the tokens (with a 1 appended, where there are biases) are dependent, some function is not represented: $\sum z_rx_r = 0$ "
        r"with $\sum z_r = 0$ is kept by every layer on constant sequences. In the last formula head and second head are summed with their $\beta$.",
        sources=(S0.at("Universal Approximation"),),
        scope="every finite vocabulary, every fixed length n ≥ 1; layers with biases (without them: linearly independent tokens); with several lengths at once it "
        "fails, universality.repetition",
        inventory=("C313",),
        uses=("universality.constant-sequences",),
        holds=_independent_tokens,
    )
)(_independence_steps)


def _repeats(tokens: Row, score: int, value: int, times: int) -> Outcome:
    once, more = (_layer([ball(x) for x in row], (((score, value),), 0, False)) for row in (tokens, [*tokens] * times))
    return exact.equal(more, once * times)


@derived(
    Claim(
        id="universality.repetition",
        title="Attention cannot tell a sequence from its repetition",
        states="(Not in the text; it follows from the definition of attention.) Attention cannot count: a sequence and its repetition are the same to it.",
        precise=r"$\mathrm{Att}(X, X, \ldots, X) = (\mathrm{Att}(X), \mathrm{Att}(X), \ldots, \mathrm{Att}(X))$ for $m$ copies: a row sees proportions of tokens, not "
        r"numbers. So no equivariant function that depends on the length of constant sequences, such as $f(X)_i = n$, is represented for several lengths at once, with "
        r"any number of heads and layers and any tokens.",
        sources=(S0.at("Universal Approximation"),),
        scope="every n and m ≥ 1, every score function of two tokens, all real values; no positional encoding, no mask",
        inventory=("C313",),
        holds=_repeats,
    )
)
def repetition() -> Iterator[Step]:
    copies, one, two = sp.symbols("m r t", integer=True, positive=True)
    repeated = sp.Sum(total(sp.exp(s[j]) * v[j], j), (one, 1, copies)) / sp.Sum(total(sp.exp(s[l]), l), (two, 1, copies))
    yield Step(repeated, "=", total(softmax(s, i) * v[i], i), "every key occurs m times in the numerator and m times in the normaliser")


review = Claim(
    id="universality.review-questions",
    title="Fifteen questions for review",
    states="A list of fifteen questions, from the trade-offs among energy functions to how complexity relates to expressiveness.",
    precise="No statement is made: each of the fifteen is a question.",
    sources=(S0.at("Key Questions for Review"),),
    scope="the fifteen questions as printed",
    inventory=("C322",),
    not_checkable="A question asserts nothing that could be true or false. Parts of some are answered by checked entries: energy functions in "
    "energy_costs.additive-against-dot and energies.beyond-bilinear, sparse patterns in long_range.reached-patterns, low-rank approximation in low_rank.lower-bound, "
    "which functions attention represents in universality.constant-sequences and universality.independent-tokens, optimisation in landscape.degenerate.",
)
