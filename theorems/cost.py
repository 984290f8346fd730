"""What attention costs, counted: operations, numbers held and loaded, depth. Polynomials are derived as sums; the same counts come from running the loops."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import sympy as sp

from theorems.claim import Claim, Kind, derived
from theorems.exact import Matrix, attention, decided, equal
from theorems.outcome import Outcome
from theorems.sources import DAO, S0, S1, S2, S3, S4, VASWANI
from theorems.step import Step
from theorems.symbols import K, Q, a, d, g, h, j, n, r, t, total

u = sp.Symbol("u", integer=True, positive=True)  # a block of keys
rows, keys, feature = sp.symbols("i j_2 x_2", integer=True, positive=True)  # positions that only count


def per_row(count: sp.Expr) -> sp.Expr:
    return sp.Sum(count, (rows, 1, n))


def per_pair(count: sp.Expr) -> sp.Expr:
    """The sum over all pairs of a query and a key."""
    return per_row(sp.Sum(count, (keys, 1, n)))


def per_product(count: sp.Expr) -> sp.Expr:
    """The sum over all pairs and all d features."""
    return per_row(sp.Sum(sp.Sum(count, (feature, 1, d)), (keys, 1, n)))


@dataclass(slots=True)
class Operations:
    """Counts of one run of attention on given Q, K, V [n, d]: one for each operation that is performed."""

    multiplications: int = 0
    additions: int = 0
    comparisons: int = 0
    exponentials: int = 0
    divisions: int = 0

    def all(self) -> int:
        return self.multiplications + self.additions + self.comparisons + self.exponentials + self.divisions

    def dot(self, length: int) -> None:
        """A product of two vectors: one addition fewer than multiplications."""
        for place in range(length):
            self.multiplications += 1
            self.additions += place > 0

    def softmax(self, length: int) -> None:
        """Largest score; subtract it; exponentiate; add up; divide."""
        for place in range(length):
            self.comparisons += place > 0
            self.additions += 1 + (place > 0)
            self.exponentials += 1
            self.divisions += 1


def _run(length: int, width: int) -> Operations:
    done = Operations()
    for _ in range(length):
        for _ in range(length):
            done.dot(width)
            done.multiplications += 1  # the scale
        done.softmax(length)
        for _ in range(width):
            done.dot(length)
    return done


def _time(length: int, width: int) -> Outcome:
    exact = 4 * length**2 * width + 5 * length**2 - length * width - 2 * length
    return decided(length**2 * width <= exact == _run(length, width).all() <= 9 * length**2 * width)


@derived(
    Claim(
        id="cost.time",
        title="Attention on given Q, K, V takes between n²d and 9 n²d operations",
        states="Attention takes O(n²d) time; its cost is quadratic in the sequence length.",
        reading="Operations are counted on given Q, K and V of n rows and d features: a multiplication, addition, comparison, exponential or division is one each. "
        "The projections are not included, as they are no part of the formula.",
        precise=r"Exactly $4n^2 d + 5n^2 - nd - 2n$ operations, hence $n^2 d \le \text{count} \le 9 n^2 d$ (written with $n = 1 + x$, $d = 1 + y$): the order is "
        r"$n^2 d$, neither more nor less. Projections add $4nd^2$ multiply-adds, linear in $n$: more than the $n^2 d$ of the scores where $d > n/4$, and more "
        r"than the $2n^2 d$ of scores and values "
        r"together where $d > n/2$.",
        sources=(S3.at("Computational Complexity"), S4.at("Complexity Analysis"), S0.at("Motivation"), S1.at("Self-Attention (Intra-Attention)")),
        scope="every n and d; as many keys as queries, d_v = d",
        kind=Kind.COST,
        inventory=("C074", "C190"),
        holds=_time,
    )
)
def time() -> Iterator[Step]:
    scores = per_product(2) - per_pair(1) + per_pair(1)
    softmax = per_pair(5) - per_row(2)
    values = per_product(2) - per_row(d)
    exact = 4 * n**2 * d + 5 * n**2 - n * d - 2 * n
    yield Step(
        scores + softmax + values, "=", exact,
        "scores: d products, d − 1 additions and the scale for each pair; softmax: 5 a pair, less a comparison and an addition a row; "
        "values: d sums of n products a row",
    )  # fmt: skip
    for times, what in ((1, "the scores alone, more exactly if 4d > n"), (2, "scores and values together, more exactly if 2d > n")):
        yield Step(
            4 * n * d**2 - times * n**2 * d, "=", n * d * (4 * d - times * n),
            f"the projections' multiply-adds against those of {what}",
        )  # fmt: skip
    x, y = sp.symbols("x y", integer=True, nonnegative=True)
    small = {n: 1 + x, d: 1 + y}
    count = exact.subs(small, simultaneous=True)
    yield Step((n**2 * d).subs(small, simultaneous=True), "<=", count, "at least n²d", certificate=sp.expand(count - (1 + x) ** 2 * (1 + y)))
    above = (9 * n**2 * d).subs(small, simultaneous=True)
    yield Step(count, "<=", above, "at most 9n²d, since n² ≤ n²d", certificate=sp.expand(above - count))


def _multiply_adds(length: int, width: int, heads: int) -> tuple[int, int, int, int]:
    """Scores, exponentials, values and projections of a layer of `heads` heads, each `width` / heads wide: counted one by one."""
    narrow = range(width // heads)
    scores = exponentials = values = 0
    for _ in range(heads):
        for _ in product(range(length), range(length)):
            exponentials += 1
            scores += len(narrow)
            values += len(narrow)
    return scores, exponentials, values, sum(4 for _ in product(range(length), range(width), range(width)))


def _breakdown_as_made(length: int, head_width: int, heads: int) -> Outcome:
    width = heads * head_width
    return decided(_multiply_adds(length, width, heads)[:3] == (length**2 * width, length**2, length**2 * width))


def _breakdown(length: int, head_width: int, heads: int) -> Outcome:
    width = heads * head_width
    counts = length**2 * width, heads * length**2, length**2 * width, 4 * length * width**2
    return decided(_multiply_adds(length, width, heads) == counts)


def _breakdown_by_hand(length: int, head_width: int, heads: int) -> str:
    width = heads * head_width
    scores, exponentials, values, _ = _multiply_adds(length, width, heads)
    return (
        f"n = {length}, d = {width}, h = {heads}. Counted: {scores} multiply-adds for Q Kᵀ and {values} for the values (n²d = {length**2 * width}, as said), "
        f"but {exponentials} exponentials, one for each pair in each of the {heads} heads (n² = {length**2})."
    )


breakdown_as_made = Claim(
    id="cost.breakdown-as-made",
    title="The steps of attention with h heads are n²d, n² and n²d",
    states="A function of n, d and the number h of heads returns n²d steps for Q Kᵀ, n² for the softmax and n²d for the values; it never uses h.",
    reading="Steps are multiply-adds, and exponentials in the softmax, of a layer with h heads that share the width d, since h is an argument of the function.",
    precise="Multiply-adds $n^2 d$ for the scores and $n^2 d$ for the values, exponentials $n^2$, whatever $h$ is.",
    sources=(S2.at("Complexity Analysis"),),
    scope="every n, h and d_h, with d = h d_h",
    kind=Kind.COST,
    inventory=("C262",),
    holds=_breakdown_as_made,
    worked=_breakdown_by_hand,
    unsaid="there is one head, or the counts are those of one head of width d",
    corrected_by="cost.breakdown",
)


@derived(
    Claim(
        id="cost.breakdown",
        title="A layer of h heads: n²d multiply-adds for the scores, as many for the values, h n² exponentials, 4nd² for projections",
        states="Q Kᵀ and the product with the values take n²d steps each.",
        reading="A multiply-add is one step (two operations where each is counted), an exponential is one. The exponentials, in which h stands, and the "
        "projections, which the text's own code does not have, are "
        "counted here as well: the whole breakdown of a layer with h heads.",
        precise=r"With $d = h\,d_h$: $\sum_g n^2 d_h = n^2 d$ multiply-adds for the scores, the same for the values, $h n^2$ exponentials, and $4 n d^2$ multiply-adds "
        r"in the projections: $2n^2 d + 4nd^2$ multiply-adds in all.",
        sources=(S2.at("Complexity Analysis"), VASWANI.at("section 3.2.2")),
        scope="every n, h and d_h; as many keys as queries",
        kind=Kind.COST,
        inventory=("C263",),
        holds=_breakdown,
    )
)
def breakdown() -> Iterator[Step]:
    d_h = sp.Symbol("d_h", integer=True, positive=True)
    x, y = sp.symbols("x y", integer=True, positive=True)
    model = h * d_h
    scores = total(per_pair(sp.Sum(sp.S.One, (feature, 1, d_h))), g)
    projections = 4 * per_row(sp.Sum(sp.Sum(sp.S.One, (y, 1, model)), (x, 1, model)))
    yield Step(scores, "=", n**2 * model, "scores: d_h multiply-adds for each pair in each head; values alike: d_h output features, n products each")
    yield Step(total(per_pair(sp.S.One), g), "=", h * n**2, "an exponential for each pair in each head")
    yield Step(2 * scores + projections, "=", 2 * n**2 * model + 4 * n * model**2, "with the projections of queries, keys, values and output, d² a row each")


@dataclass(slots=True)
class Store:
    """Numbers held now and at most."""

    held: int = 0
    peak: int = 0

    def matrix(self, tall: int, wide: int) -> None:
        for _ in product(range(tall), range(wide)):
            self.held += 1
        self.peak = max(self.peak, self.held)


def _stored(length: int, width: int) -> int:
    """Q, K, V, the weights (in the scores' place) and the output: all held when the output is complete."""
    store = Store()
    for _ in ("queries", "keys", "values"):
        store.matrix(length, width)
    store.matrix(length, length)
    store.matrix(length, width)
    return store.peak


def _memory(length: int, width: int) -> Outcome:
    exact = length**2 + 4 * length * width
    return decided(_stored(length, width) == exact <= 5 * length**2 * width)


def _memory_of_text(length: int, width: int) -> Outcome:
    return decided(_stored(length, width) == 2 * length * width + length**2 + length * width)


def _memory_by_hand(length: int, width: int) -> str:
    return (
        f"n = {length}, d = {width}: Q, K, V and the output hold {length} · {width} numbers each, the weights {length} · {length}: "
        f"4 · {length * width} + {length**2} = {_stored(length, width)}. The formula gives "
        f"2 · {length * width} + {length**2} + {length * width} = {3 * length * width + length**2}; the values V, without which there is no output, are missing."
    )


memory_of_text = Claim(
    id="cost.memory-without-values",
    title="Attention needs 2nd + n² + nd numbers in total",
    states="The total memory is that of Q and K, of the attention matrix and of the output: 2nd + n² + nd.",
    reading="All matrices of softmax(Q Kᵀ) V, each held once in a place of its own, as the summands say; only the weights take the place of the scores. "
    "(With the output written over Q there would be as many numbers, but then it would not be counted beside Q and K.)",
    precise="$M_{total} = 2nd + n^2 + nd$.",
    sources=(S2.at("Complexity Analysis"),),
    scope="every n and d; as many keys as queries, d_v = d",
    kind=Kind.COST,
    inventory=("C149",),
    holds=_memory_of_text,
    worked=_memory_by_hand,
    corrected_by="cost.memory",
)


@derived(
    Claim(
        id="cost.memory",
        title="Standard attention holds n² + 4nd numbers at its peak, n² of them the attention matrix",
        states="The attention matrix takes O(n²) space; peak memory is a metric.",
        reading="Q, K, V, the output and one n × n matrix (the weights take the place of the scores) are held at once: the peak is what this metric would "
        "show, in numbers. (Time and tokens a second: throughput.*.)",
        precise=r"$n^2 + 4nd$ numbers: $n^2$ for the attention matrix, and $4nd$ for Q, K, V and the output.",
        sources=(S4.at("Complexity Analysis"), S1.at("Throughput Analysis")),
        scope="every n and d; as many keys as queries, d_v = d",
        kind=Kind.COST,
        inventory=("C148", "C286"),
        holds=_memory,
    )
)
def memory() -> Iterator[Step]:
    table = per_row(sp.Sum(sp.S.One, (feature, 1, d)))
    yield Step(per_pair(sp.S.One), "=", n**2, "a weight for every pair")
    yield Step(per_pair(sp.S.One) + 4 * table, "=", n**2 + 4 * n * d, "and four tables of n rows and d features: Q, K, V and the output")


def _memory_grows_as_n2d(length: int, width: int, share: int) -> Outcome:
    """The lower half of a growth rate: at least n²d / share numbers."""
    return decided(share * _stored(length, width) >= length**2 * width)


def _memory_bounds(length: int, width: int, share: int) -> Outcome:
    """The true order from both sides, whatever share is asked of n²d."""
    order = length**2 + length * width
    return decided(order <= _stored(length, width) <= 4 * order)


def _share_by_hand(length: int, width: int, share: int) -> str:
    return (
        f"Asked for: at least n²d/{share} numbers. n = {length}, d = {width}: {_stored(length, width)} numbers are held (n² + 4nd), "
        f"and n²d/{share} = {length**2 * width}/{share} = {Fraction(length**2 * width, share)} is more. A smaller share does not help: with d = n the ratio of the "
        "numbers held to n²d is 5n²/n³ = 5/n, which falls below any positive constant."
    )


@derived(
    Claim(
        id="cost.memory-n2d",
        title="Attention memory grows as n²·d",
        states="Memory usage is O(n² × d) for sequence length n and dimension d.",
        reading="A statement of how memory grows: some fixed share 1/k of n²d is really held, for all n and d, with one n × n matrix of weights as in the "
        "formula. (As an upper bound and no more: cost.memory-n2d-is-a-bound.)",
        precise=r"There is a $k$ with $n^2 d / k \le n^2 + 4nd$ for all $n$ and $d$. With one $n \times n$ matrix there is none: at $n = d = 5k + 1$ less is held. With "
        r"$h = d / d_h$ heads of a fixed width $d_h$ and an $n \times n$ matrix for each, $k = d_h$ will do: $n^2 d / d_h \le h n^2 + 4nd$.",
        sources=(S1.at("Attention Memory Scaling"),),
        scope="standard attention, every n and d",
        kind=Kind.COST,
        inventory=("C147",),
        holds=_memory_grows_as_n2d,
        worked=_share_by_hand,
        unsaid="the matrices of all heads are held at once, and the number of heads grows with d (heads of a fixed width)",
        corrected_by="cost.memory-order",
    )
)
def memory_n2d() -> Iterator[Step]:
    k = sp.Symbol("k", integer=True, positive=True)
    length = 5 * k + 1
    yield Step(
        length**2 + 4 * length * length, "<", length**2 * length / k,
        "without the assumption, for every k: with one matrix, at n = d = 5k + 1, less than n²d/k is held", certificate=length**2 / k,
    )  # fmt: skip
    d_h = sp.Symbol("d_h", integer=True, positive=True)
    width = h * d_h
    held = total(per_pair(sp.S.One), g) + 4 * per_row(sp.Sum(sp.S.One, (feature, 1, width)))
    yield Step(
        n**2 * width / d_h, "<=", held,
        "with the assumption: d = h d_h, a weight for each pair in each of the h heads, and the tables Q, K, V and output; hn² is n²d/d_h", certificate=4 * n * width,
    )  # fmt: skip


def _memory_below_n2d(length: int, width: int) -> Outcome:
    return decided(_stored(length, width) <= 5 * length**2 * width)


@derived(
    Claim(
        id="cost.memory-n2d-is-a-bound",
        title="n²·d is an upper bound of attention's memory",
        states="Memory usage is O(n² × d) for sequence length n and dimension d.",
        reading="O as an upper bound and no more: a constant times n²d is never exceeded. (That memory grows like this is another statement: cost.memory-n2d.)",
        precise=r"With $h$ heads of width $d_h$, $d = h\,d_h$, and a matrix of weights for each: $h n^2 + 4nd \le 5n^2 d$, written with $n = 1 + x$, $h = 1 + "
        r"y$, $d_h = 1 + z$.",
        sources=(S1.at("Attention Memory Scaling"),),
        scope="standard attention, every n, h and d_h; as many keys as queries, d_v = d",
        inventory=("C147",),
        uses=("cost.memory",),
        holds=_memory_below_n2d,
    )
)
def memory_n2d_bound() -> Iterator[Step]:
    d_h = sp.Symbol("d_h", integer=True, positive=True)
    matrices = total(per_pair(sp.S.One), g)
    x, y, z = sp.symbols("x y z", integer=True, nonnegative=True)
    small = {n: 1 + x, h: 1 + y, d_h: 1 + z}
    count = (h * n**2 + 4 * n * h * d_h).subs(small, simultaneous=True)
    above = (5 * n**2 * h * d_h).subs(small, simultaneous=True)
    yield Step(
        matrices + 4 * per_row(sp.Sum(sp.S.One, (feature, 1, h * d_h))),
        "=",
        h * n**2 + 4 * n * h * d_h,
        "a weight for each pair in each head, and Q, K, V and the output",
    )
    yield Step(count, "<=", above, "every term of the left side stands on the right, once or more often", certificate=sp.expand(above - count))


@derived(
    Claim(
        id="cost.memory-order",
        title="Attention memory is of order hn² + nd, which is n² + nd for one matrix of weights",
        states="(Not in the text, which says O(n² × d).) Memory is of the order of n² for each matrix of weights that is held, and nd for queries, keys, "
        "values and output.",
        precise=r"With $h$ matrices of weights, $h n^2 + nd \le h n^2 + 4nd \le 4(h n^2 + nd)$; one matrix is $h = 1$, and $h$ in proportion to $d$ gives the "
        r"order $n^2 d$.",
        sources=(S1.at("Attention Memory Scaling"),),
        scope="standard attention, every n, d and h in the derivation, h = 1 in the search; as many keys as queries, d_v = d",
        uses=("cost.memory",),
        kind=Kind.COST,
        holds=_memory_bounds,
    )
)
def memory_order() -> Iterator[Step]:
    held = 4 * per_row(sp.Sum(sp.S.One, (feature, 1, d))) + total(per_pair(sp.S.One), g)
    yield Step(h * n**2 + n * d, "<=", held, "at least the matrices and one table", certificate=3 * n * d)
    yield Step(held, "<=", 4 * (h * n**2 + n * d), "at most four times that", certificate=3 * h * n**2)


def _rows_alone(queries: Matrix, keys_: Matrix, values: Matrix) -> Outcome:
    """Every row of attention on all queries is attention on that query alone."""
    return equal(attention(queries, keys_, values), [attention([query], keys_, values)[0] for query in queries])


@derived(
    Claim(
        id="cost.rows-are-independent",
        title="Every position's output is computed without any other position's output or query",
        states="All positions are computed at once; attention is highly parallelisable.",
        reading="Over the rows: on given Q, K, V, row r of the output depends on row r of Q alone (and on K and V), so rows may be computed in any order or "
        "at once. Over the keys of a row there is a "
        "reduction, of depth about log₂ n (cost.logarithmic-depth).",
        precise=r"Changing any query but the $r$-th, $Q'_{ta} = Q_{ta} + (1 - \delta_{rt}) x_{ta}$, leaves the scores of row $r$, and so its output, as they are.",
        sources=(S0.at("Computational Advantages"), S1.at("Self-Attention (Intra-Attention)"), S4.at("Complexity Analysis"), S4.at("Benefits")),
        scope="every number of queries, keys and features, all queries being given; generation, one token after another, is sequential for another reason: "
        "its inputs are earlier outputs",
        inventory=("C061",),
        holds=_rows_alone,
    )
)
def rows_are_independent() -> Iterator[Step]:
    x = sp.IndexedBase("x", real=True)
    changed = total(sp.KroneckerDelta(r, t) * (Q[t, a] + (1 - sp.KroneckerDelta(r, t)) * x[t, a]), t)
    yield Step(total(changed * K[j, a], a), "=", total(Q[r, a] * K[j, a], a), "row r of the changed queries is row r of Q, so all scores of row r stay")


def reach(depth: int) -> int:
    """How many inputs a value can depend on after `depth` rounds in which every operation takes two values."""
    seen = 1
    for _ in range(depth):
        seen += seen
    return seen


def rounds(length: int) -> int:
    """Rounds of pairwise addition until one number is left."""
    count = 0
    while length > 1:
        length, count = (length + 1) // 2, count + 1
    return count


def _constant_depth(length: int, depth: int) -> Outcome:
    return decided(reach(depth) >= length)


def _logarithmic_depth(length: int, depth: int) -> Outcome:
    """Within `depth` rounds the sum over the keys can be had exactly if pairwise addition has it by then."""
    return decided((reach(depth) >= length) == (depth >= rounds(length)) and 2 ** rounds(length) < 2 * max(length, 1))


def _depth_by_hand(length: int, depth: int) -> str:
    return (
        f"Say that {depth} round(s) of two-argument operations are enough for every n. A value then depends on at most 2^{depth} = {reach(depth)} input(s). "
        f"The softmax's denominator over n = {length} keys depends on all {length} scores: pairwise addition takes {rounds(length)} round(s), and none does with fewer."
    )


@derived(
    Claim(
        id="cost.constant-depth",
        title="Attention has parallel depth O(1)",
        states="Attention has depth O(1), since all positions are computed together.",
        reading="Depth is the longest chain of operations on two numbers, with as many processors as one likes: positions at once, and the keys of each "
        "position by a reduction.",
        precise="One number of rounds is enough for every number of keys.",
        sources=(S4.at("Complexity Analysis"),),
        scope="every number of keys; operations with two arguments",
        kind=Kind.COST,
        inventory=("C188",),
        holds=_constant_depth,
        worked=_depth_by_hand,
        unsaid="an operation may take all keys (or features) of a row at once, so that a whole sum or maximum is one step",
        corrected_by="cost.logarithmic-depth",
    )
)
def constant_depth() -> Iterator[Step]:
    depth = sp.Symbol("D", integer=True, positive=True)
    yield Step(2**depth + 2**depth, "=", 2 ** (depth + 1), "each further round doubles, at most, the inputs that a value depends on")
    yield Step(
        2**depth, "<", 2**depth + 1, "so after D rounds a value depends on fewer inputs than the n = 2^D + 1 that the softmax adds up", certificate=sp.S.One
    )
    yield Step(
        total(sp.S.One, j), "=", n,
        "with the assumption one operation takes in all n inputs, for every n: products, their sum, scale, maximum, difference, exponential, sum, quotient, products and their sum "
        "are then ten steps",
    )  # fmt: skip


@derived(
    Claim(
        id="cost.logarithmic-depth",
        title="A sum over n keys needs ⌈log₂ n⌉ rounds of two-argument operations, and pairwise addition takes no more; one operation on a whole row takes one",
        states="(Not in the text, which says O(1).) Rows are computed at once, but the maximum, the sum and the weighted sum over the keys of a row are trees "
        "of depth ⌈log₂ n⌉, or single steps for operations that take the whole row.",
        precise=r"An operation that takes the whole row has all $n$ inputs in one round. With two arguments "
        r"$D$ rounds reach at most $2^D$ inputs, and pairwise addition takes $2m$ or $2m - 1$ numbers to $m$ in one round: for "
        r"$2^{D-1} < n \le 2^D$ that makes exactly $D$ rounds, by induction: $(2^D - 2m)/2 = 2^{D-1} - m$, so $2m \le 2^D$ exactly if $m \le 2^{D-1}$.",
        sources=(S4.at("Complexity Analysis"),),
        scope="every number of keys; operations with two arguments (the one-round case: with any number of arguments)",
        kind=Kind.COST,
        holds=_logarithmic_depth,
    )
)
def logarithmic_depth() -> Iterator[Step]:
    depth, left, beyond = sp.symbols("D m x", integer=True, positive=True)
    yield Step(sp.Sum(sp.S.One, (keys, 1, n)), "=", n, "an operation on the whole row takes in every key, in one round")
    yield Step(2 ** (depth - 1), "<", 2 ** (depth - 1) + beyond, "D − 1 rounds reach 2^(D − 1) inputs, too few for any n = 2^(D − 1) + x", certificate=beyond)
    yield Step(2**depth + 2**depth, "=", 2 ** (depth + 1), "since each further round at most doubles what a value depends on")
    yield Step(
        (2**depth - 2 * left) / 2, "=", 2 ** (depth - 1) - left,
        "and D rounds suffice: 2m ≤ 2^D (2m − 1 ≤ 2^D is the same, 2^D being even) exactly if m ≤ 2^(D − 1), so after a round D − 1 are left; D = 0 is one number",
    )  # fmt: skip


# What the loops store, compute and load: counted by running them.


@dataclass(slots=True)
class Meter:
    """Counts of one run: scores computed, numbers held beside inputs and outputs (now, at the most, and after the run), numbers loaded."""

    computed: int = 0
    held: int = 0
    peak: int = 0
    loaded: int = 0

    def hold(self, numbers: int) -> None:
        self.held += numbers
        self.peak = max(self.peak, self.held)

    def score(self) -> None:
        self.computed += 1
        self.hold(1)


def cut(length: int, block: int) -> list[range]:
    """0..length − 1 in blocks, the last one perhaps shorter."""
    return [range(start, min(start + block, length)) for start in range(0, length, block)]


def _standard_run(rows: int, keys: int) -> Meter:
    """The whole score matrix, kept for the softmax, for the product with the values, and for the backward pass."""
    meter = Meter()
    for _ in product(range(rows), range(keys)):
        meter.score()
    return meter


def _tiled_run(rows: int, keys: int, block_rows: int, block_keys: int, backward: bool = False) -> Meter:
    """One tile of scores at a time. Forward: m and l for each row of the block in work, one log-sum-exp for each that is done. Backward: these, a row sum
    for each row, the scores again, and beside the tile of weights one of their gradients."""
    meter = Meter(held=rows if backward else 0)
    meter.hold(rows * backward)
    for row_block in cut(rows, block_rows):
        meter.hold(2 * len(row_block) * (not backward))
        for key_block in cut(keys, block_keys):
            for _ in product(row_block, key_block):
                meter.score()
                meter.hold(1 * backward)
            meter.held -= len(row_block) * len(key_block) * (1 + backward)
        meter.held -= 2 * len(row_block) * (not backward)
        meter.hold(len(row_block) * (not backward))
    meter.held -= rows * backward
    return meter


def _tiled_memory(rows: int, keys: int, block_rows: int, block_keys: int) -> Outcome:
    tile = block_rows * block_keys
    forward, backward = (_tiled_run(rows, keys, block_rows, block_keys, backward=back) for back in (False, True))
    standard = _standard_run(rows, keys)
    linear = (
        forward.peak <= rows + tile + 2 * block_rows <= (1 + tile + 2 * block_rows) * rows and backward.peak <= 2 * rows + 2 * tile <= (2 + 2 * tile) * rows
    )
    return decided(standard.peak == rows * keys and linear)


B_r, B_c, rows_of_blocks, keys_of_blocks = sp.symbols("B_r B_c R C", integer=True, positive=True)
q = sp.Symbol("q", integer=True, positive=True)  # a block of rows
x_r, x_c = sp.symbols("x y", integer=True, positive=True)  # a place inside a tile


def _tiles(body: sp.Expr) -> sp.Expr:
    """The sum over every cell of every tile: C blocks of B_c keys within R blocks of B_r rows."""
    return sp.Sum(body, (x_c, 1, B_c), (x_r, 1, B_r), (u, 1, keys_of_blocks), (q, 1, rows_of_blocks))


@derived(
    Claim(
        id="cost.tiled-memory",
        title="Beside inputs and outputs, standard attention holds n² numbers, tiled attention at most a constant times n, forward and backward",
        states="Standard attention needs O(n²) memory for the attention matrix, FlashAttention O(n).",
        reading="Numbers held at once beside inputs and outputs (which take n·d either way, gradients included), tile sizes fixed, in the forward pass and in "
        "the backward pass "
        "of a training step; the running output is kept in the output's place, and the gradients' sums in the gradients'.",
        precise=r"Standard: $n_q n_k$ scores. Tiled, with tiles of $B_r \times B_c$, forward: at most $n + B_r B_c + 2 B_r \le (1 + B_r B_c + 2 B_r)\, n$ for "
        r"$n = n_q$ "
        r"rows, written $n = 1 + k$, whatever the number of keys. Backward: $n$ log-sum-exps, $n$ row sums of $dO\circ O$, and two tiles, the weights and "
        r"their gradients: $2n + 2B_r B_c \le (2 + 2B_r B_c)\, n$.",
        sources=(S0.at("Memory Complexity"), S1.at("Flash Attention"), DAO.at("theorem 1")),
        scope="every number of rows and keys, every tile size; the width d enters through inputs, outputs and the tile's own operands only",
        assumes=("tile sizes do not grow with n",),
        kind=Kind.COST,
        inventory=("C111",),
        holds=_tiled_memory,
    )
)
def tiled_memory() -> Iterator[Step]:
    k = sp.Symbol("k", integer=True, nonnegative=True)  # rows beyond the first
    yield Step(_tiles(sp.S.One), "=", rows_of_blocks * B_r * keys_of_blocks * B_c, "standard: one number for every pair of a row and a key")
    yield Step(
        2 * (1 + k) + 2 * B_r * B_c, "<=", (2 + 2 * B_r * B_c) * (1 + k),
        "tiled, backward: a log-sum-exp and a row sum of dO ∘ O for each of the 1 + k rows, a tile of weights and one of their gradients",
        certificate=2 * k * B_r * B_c,
    )  # fmt: skip
    yield Step(
        (1 + k) + B_r * B_c + 2 * B_r, "<=", (1 + B_r * B_c + 2 * B_r) * (1 + k),
        "tiled, forward: a log-sum-exp for each of the 1 + k rows, one tile of scores, m and l for the rows of that tile",
        certificate=k * (B_r * B_c + 2 * B_r),
    )  # fmt: skip


def _saves_only_by_recomputing(rows: int, keys: int, block_rows: int, block_keys: int) -> Outcome:
    """In the forward pass: if fewer numbers are held at once than there are scores, some score must have been computed twice."""
    tiled = _tiled_run(rows, keys, block_rows, block_keys)
    return decided(tiled.peak >= rows * keys or tiled.computed > rows * keys)


def _recomputes_for_backward(rows: int, keys: int, block_rows: int, block_keys: int) -> Outcome:
    forward, backward = (_tiled_run(rows, keys, block_rows, block_keys, backward=back) for back in (False, True))
    return decided(forward.computed == rows * keys and forward.computed + backward.computed == 2 * rows * keys and forward.held == rows == backward.held)


def _forward_by_hand(rows: int, keys: int, block_rows: int, block_keys: int) -> str:
    tiled = _tiled_run(rows, keys, block_rows, block_keys)
    return (
        f"{rows} row(s) and {keys} key(s) in tiles of {block_rows} × {block_keys}: there are {rows} · {keys} = {rows * keys} scores. The tiled forward pass "
        f"computes {tiled.computed} scores, each exactly once, and never holds more than {tiled.peak} numbers "
        "(the tile, m and l of its rows, and a log-sum-exp for each row that is done). It saves memory and recomputes nothing: "
        "a tile of scores is dropped as soon as it has been folded into the row's maximum m, its sum l of exponentials and its running output."
    )


recomputing_on_the_fly = Claim(
    id="cost.memory-falls-by-recomputing",
    title="FlashAttention reduces memory by recomputing attention",
    states="The algorithm reduces memory complexity by recomputing attention on the fly.",
    reading="The sentence is about the whole algorithm, tiling and online softmax included: wherever it holds fewer numbers than there are scores, it is because scores are computed "
    "more than once. (The forward pass owes its own saving to tiling and the online softmax. Recomputing in the backward pass, the third point of its list, "
    "is judged by itself: cost.recomputation-serves-backward.)",
    precise="A pass that holds fewer than $n_q n_k$ numbers at once computes more than $n_q n_k$ scores.",
    sources=(S0.at("Flash Attention Algorithm"),),
    scope="the tiled forward pass, every number of rows and keys, every tile size",
    kind=Kind.COST,
    inventory=("C112",),
    holds=_saves_only_by_recomputing,
    worked=_forward_by_hand,
    unsaid="what is meant is the memory that is kept between the forward and the backward pass",
    corrected_by="cost.recomputation-serves-backward",
)


@derived(
    Claim(
        id="cost.recomputation-serves-backward",
        title="Recomputation trades one more pass over the scores for n kept numbers instead of n²",
        states="The forward pass is recomputed during the backward pass: computation is traded for memory.",
        reading="Scores computed in forward and backward together, and numbers kept between the two beside inputs and outputs.",
        precise=r"Over $R \times C$ tiles of $B_r \times B_c$, with $n_q = R B_r$ and $n_k = C B_c$: forward and backward together compute $2 n_q n_k$ scores, "
        r"each once a pass, and keep $n_q$ log-sum-exps between them; keeping the scores instead would compute $n_q n_k$ and keep $n_q n_k$.",
        sources=(S0.at("Flash Attention Algorithm"), S1.at("Flash Attention"), DAO.at("section 3.1")),
        scope="every number of rows and keys, every tile size (whole tiles in the derivation, ragged ones too in the runs)",
        kind=Kind.COST,
        inventory=("C116",),
        holds=_recomputes_for_backward,
    )
)
def recomputation_serves_backward() -> Iterator[Step]:
    scores = rows_of_blocks * B_r * keys_of_blocks * B_c
    kept = sp.Sum(sp.S.One, (x_r, 1, B_r), (q, 1, rows_of_blocks))
    yield Step(kept, "=", rows_of_blocks * B_r, "one log-sum-exp a row is kept")
    yield Step(_tiles(sp.S.One) + _tiles(sp.S.One), "=", 2 * scores, "the tiles cover every pair once in the forward pass and once more in the backward pass")


def _loads(rows: int, keys: int, width: int, block_rows: int, block_keys: int, hoisted: bool) -> int:
    """Numbers loaded by the double loop: Q's block inside the inner loop, as written, or before it (`hoisted`)."""
    meter = Meter()
    for row_block in cut(rows, block_rows):
        meter.loaded += hoisted * len(row_block) * width
        for key_block in cut(keys, block_keys):
            meter.loaded += (not hoisted) * len(row_block) * width + 2 * len(key_block) * width
    return meter.loaded


def _loads_keys_outside(rows: int, keys: int, width: int, block_rows: int, block_keys: int) -> int:
    """Numbers loaded by the other order of the loops: each block of keys once; queries, and outputs that have been begun, in every inner round."""
    meter = Meter()
    for turn, key_block in enumerate(cut(keys, block_keys)):
        meter.loaded += 2 * width * len(key_block)
        for row_block in cut(rows, block_rows):
            meter.loaded += len(row_block) * width * (1 + (turn > 0))
    return meter.loaded


def _loads_least(rows: int, keys: int, width: int, block_rows: int, block_keys: int) -> Outcome:
    sizes = rows, keys, width, block_rows, block_keys
    return decided(_loads(*sizes, hoisted=False) <= _loads(*sizes, hoisted=True))


def _hoisted_loads(rows: int, keys: int, width: int, block_rows: int, block_keys: int) -> Outcome:
    sizes = rows, keys, width, block_rows, block_keys
    hoisted = _loads(*sizes, hoisted=True)
    saved = rows * width * (len(cut(keys, block_keys)) - 1)
    exact = rows * width + 2 * keys * width * len(cut(rows, block_rows))
    other = 2 * keys * width + (2 * len(cut(keys, block_keys)) - 1) * rows * width
    return decided(hoisted == exact and _loads(*sizes, hoisted=False) - hoisted == saved and _loads_keys_outside(*sizes) == other)


def _loads_by_hand(rows: int, keys: int, width: int, block_rows: int, block_keys: int) -> str:
    sizes = rows, keys, width, block_rows, block_keys
    over_rows, over_keys_ = len(cut(rows, block_rows)), len(cut(keys, block_keys))
    return (
        f"n_q = {rows}, n_k = {keys}, d = {width}, tiles {block_rows} × {block_keys}: {over_rows} block(s) of rows, {over_keys_} of keys. "
        "As written, Q's block is loaded "
        f"in each of the {over_keys_} inner rounds: {over_keys_} · {rows} · {width} numbers of Q and {over_rows} · 2 · {keys} · {width} of K and V, "
        f"{_loads(*sizes, hoisted=False)} together. Loaded once before the inner loop, Q costs {rows} · {width}: {_loads(*sizes, hoisted=True)} together."
    )


loop_as_written = Claim(
    id="cost.loop-as-written-loads-least",
    title="The loop as written loads no block more often than its order requires",
    states="(Implied.) A double loop, rows outside and keys inside, loads Q_i, K_j and V_j in its body and updates O_i: offered as the steps of the "
    "algorithm, it moves no number without need.",
    reading="Each block is loaded as rarely as this order of the loops allows. Only placements of the loads within this order are compared (the other order "
    "is counted in cost.loads-with-queries-outside); whether "
    "the loop is complete is another question: flash.update-from-block-softmax.",
    precise="No placement of the loads within this order of the loops moves fewer numbers from slow memory.",
    sources=(S0.at("Algorithmic Steps"),),
    scope="every number of rows and keys, every width and tile size; a block is lost when the next of the same array is loaded",
    kind=Kind.COST,
    inventory=("C114",),
    holds=_loads_least,
    worked=_loads_by_hand,
    corrected_by="cost.loads-with-queries-outside",
)


@derived(
    Claim(
        id="cost.loads-with-queries-outside",
        title="With Q's block loaded before the inner loop, the loop loads n_q d + 2 n_k d · (blocks of rows) numbers",
        states="(Not in the text, which loads Q_i in the inner loop.) Loading Q_i once, in the outer loop, saves n_q d numbers for every block of keys but "
        "one.",
        precise=r"With $n_q = R B_r$, $n_k = C B_c$: as written the loop loads $R C (B_r d + 2 B_c d)$ numbers, of which $(C - 1) n_q d$ are repeats; "
        r"hoisting $Q_i$ leaves $\sum_{q=1}^{R} (B_r d + \sum_{u=1}^{C} 2 B_c d) = n_q d + 2 R n_k d$. With keys outside, and $K_j$, $V_j$ hoisted, it is $2 "
        r"n_k d + (2C - 1) n_q d$, since each round "
        r"but the first loads the rows of the output again (and stores them, with $m$ and $l$, which are not counted).",
        sources=(S0.at("Algorithmic Steps"), DAO.at("section 3.1")),
        scope="every number of rows and keys, every width and tile size (whole tiles in the derivation, ragged ones too in the runs)",
        kind=Kind.COST,
        holds=_hoisted_loads,
    )
)
def loads_with_queries_outside() -> Iterator[Step]:
    width = sp.Symbol("d", integer=True, positive=True)
    rows, keys = rows_of_blocks * B_r, keys_of_blocks * B_c
    written = sp.Sum(B_r * width + 2 * B_c * width, (u, 1, keys_of_blocks), (q, 1, rows_of_blocks))
    hoisted = sp.Sum(B_r * width + sp.Sum(2 * B_c * width, (u, 1, keys_of_blocks)), (q, 1, rows_of_blocks))
    yield Step(written - hoisted, "=", (keys_of_blocks - 1) * rows * width, "as written, Q's block is loaded again in every inner round but the first")
    outside = sp.Sum(2 * B_c * width + sp.Sum(2 * B_r * width, (q, 1, rows_of_blocks)), (u, 1, keys_of_blocks)) - rows * width
    yield Step(
        outside,
        "=",
        2 * keys * width + (2 * keys_of_blocks - 1) * rows * width,
        "keys outside: queries and outputs in every round, the outputs not in the first",
    )
    yield Step(hoisted, "=", rows * width + 2 * rows_of_blocks * keys * width, "hoisted: every row of Q once, all keys and values once for each block of rows")
