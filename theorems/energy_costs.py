"""What additive and multiplicative scores cost, counted: parameters, operations and numbers held.

As in `theorems.cost`, polynomials are derived as sums, and the same counts come from running the loops.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product as pairs

import sympy as sp
from flint import arb

from theorems import exact
from theorems.claim import Claim, Kind, derived
from theorems.cost import Operations
from theorems.energies import additive, d_a, d_k, d_q, dot, keyed, mapped, queried, units, y
from theorems.exact import ball, decided
from theorems.outcome import Outcome
from theorems.sources import S0
from theorems.step import Step
from theorems.symbols import a, d, d_v, e, j, m, n, r, total

Row = Sequence[int]
Matrix = Sequence[Row]


def _parameters(query_width: int, key_width: int, hidden: int) -> int:
    """The entries of W_q, W_k and v_a, one by one."""
    return sum(1 for _ in pairs(range(hidden), range(query_width))) + sum(1 for _ in pairs(range(hidden), range(key_width))) + sum(1 for _ in range(hidden))


def _parameter_count(query_width: int, key_width: int, hidden: int) -> Outcome:
    order = query_width * hidden + key_width * hidden + hidden
    with_bias = _parameters(query_width, key_width, hidden) + hidden
    return decided(_parameters(query_width, key_width, hidden) == order <= with_bias <= 2 * order)


@derived(
    Claim(
        id="energy_costs.additive-parameters",
        title="Without b, additive attention has d_q d_a + d_k d_a + d_a parameters",
        states="Parameters: O(d_q·d_a + d_k·d_a + d_a).",
        reading="Counted are the entries of W_q, W_k and v_a; the first formula in the text has the bias b besides.",
        precise=r"Exactly $d_qd_a+d_kd_a+d_a$ without the bias, and $d_a$ more with it, which is at most twice as many.",
        sources=(S0.at("Computational Complexity"),),
        scope="every d_q, d_k, d_a ≥ 1",
        kind=Kind.COST,
        inventory=("C055",),
        holds=_parameter_count,
    )
)
def additive_parameters() -> Iterator[Step]:
    one = sp.Integer(1)
    order = d_q * d_a + d_k * d_a + d_a
    yield Step(units(queried(one)) + units(keyed(one)) + 2 * units(one), "<=", 2 * order, "with the bias: d_a more", certificate=d_q * d_a + d_k * d_a)
    yield Step(units(queried(one)) + units(keyed(one)) + units(one), "=", order, "two matrices with a row for each unit, and one weight for each unit")


def _additive_operations(keys: int, query_width: int, key_width: int, hidden: int) -> tuple[int, int]:
    """Operations of one query's additive scores, by running the loops: in the projections, and in all that follows. A tanh counts as one."""
    projecting, scoring, curves = Operations(), Operations(), 0
    for _ in range(hidden):
        projecting.dot(query_width)
        for _ in range(keys):
            projecting.dot(key_width)
    for _ in range(keys):
        for _ in range(hidden):
            scoring.additions += 1
            curves += 1
        scoring.dot(hidden)
    return projecting.all(), scoring.all() + curves


def _order_n_units(keys: int, query_width: int, key_width: int, hidden: int, share: int) -> Outcome:
    """Whether share·n·d_a operations are enough."""
    return decided(sum(_additive_operations(keys, query_width, key_width, hidden)) <= share * keys * hidden)


def _additive_time(keys: int, query_width: int, key_width: int, hidden: int, share: int) -> Outcome:
    projecting, scoring = _additive_operations(keys, query_width, key_width, hidden)
    order = hidden * (query_width + keys * key_width)
    exactly = projecting == hidden * (2 * query_width - 1) + keys * hidden * (2 * key_width - 1) and scoring == keys * (4 * hidden - 1)
    return decided(exactly and scoring <= 4 * keys * hidden and order <= projecting + scoring <= projecting + scoring + hidden <= 5 * order)  # b: hidden more


def _order_by_hand(keys: int, query_width: int, key_width: int, hidden: int, share: int) -> str:
    projecting, scoring = _additive_operations(keys, query_width, key_width, hidden)
    return (
        f"Say that {share}·n·d_a operations are enough. With n = {keys}, d_q = {query_width}, d_k = {key_width}, d_a = {hidden} it takes {hidden} · (2 · {query_width} − 1) + {keys} · "
        f"{hidden} · (2 · {key_width} − 1) = {projecting} operations to project the query and the keys, and {keys} · (4 · {hidden} − 1) = {scoring} for the scores after that: together "
        f"{projecting + scoring}, more than {share}·n·d_a = {share * keys * hidden}. Each key's projection alone is d_a sums of d_k "
        "products, so no constant is enough for all widths."
    )


def _projected_cost() -> Iterator[Step]:
    one, constant = sp.Integer(1), sp.Symbol("C", integer=True, positive=True)
    scoring = total(units(4 * one) - one, j)
    yield Step(
        constant * n * d_a,
        "<",
        total(units(sp.Sum(2 * one, (y, 1, constant + 1)) - one), j),
        "whatever C is: keys of width C + 1 take more than C n d_a to project",
        certificate=n * d_a * (constant + 1),
    )
    yield Step(
        d_a * (2 * d_q - 1) + n * d_a * (2 * d_k - 1) + n * (4 * d_a - 1), "<=", 2 * (d_q / n + d_k + 2) * n * d_a,
        "with C = 2(d_q/n + d_k + 2) all of it is at most C n d_a: enough where these widths count as constants", certificate=d_a + n * d_a + n,
    )  # fmt: skip
    yield Step(scoring, "=", n * (4 * d_a - 1), "given the projections, for each pair: d_a additions, d_a tanh, d_a products and d_a − 1 additions")
    yield Step(n * (4 * d_a - 1), "<=", 4 * n * d_a, "which is of the order that is stated", certificate=n)


additive_time_as_made = derived(
    Claim(
        id="energy_costs.additive-time-as-made",
        title="Additive attention takes O(n·d_a) computation",
        states="Computation: O(n·d_a) for n key-value pairs.",
        reading="All operations that lead from q, the n keys and the parameters (without b) to the n scores are at most a constant times n·d_a, one constant for all sizes.",
        precise=r"Some constant $C$ has $\text{operations}\le C\,n\,d_a$. This fails: projecting the keys takes $n\,d_a(2d_k-1)$. With the projections given, "
        r"$n(4d_a-1) \le 4\,n\,d_a$ is right; so is $C=2(d_q/n+d_k+2)$ for all operations, if that counts as a constant.",
        sources=(S0.at("Computational Complexity"),),
        scope="one query, every n, d_q, d_k, d_a ≥ 1",
        kind=Kind.COST,
        inventory=("C056",),
        unsaid="the projections W_q q and W_k k_i are given (computed before, and shared by all queries), or d_q/n and d_k count as constants",
        corrected_by="energy_costs.additive-time",
        holds=_order_n_units,
        worked=_order_by_hand,
    )
)(_projected_cost)


@derived(
    Claim(
        id="energy_costs.additive-time",
        title="The additive scores of one query take between d_a(d_q + n d_k) and five times as many operations",
        states="(Not in the text; counted from its formula.) The order of the operations has the widths of query and key in it.",
        precise=r"$d_a(2d_q-1) + n\,d_a(2d_k-1)$ operations project the query and the keys, $n(4d_a-1)$ score them: between $d_a(d_q+n\,d_k)$ and $5\,d_a(d_q+n\,d_k)$. "
        r"This is without $b$; with it $d_a$ more, added once to $W_qq$: still at most five times.",
        sources=(S0.at("Computational Complexity"),),
        scope="one query, every n, d_q, d_k, d_a ≥ 1; written with d_q = 1 + x, d_k = 1 + y, d_a = 1 + w in the bounds",
        kind=Kind.COST,
        inventory=("C056",),
        holds=_additive_time,
    )
)
def additive_time() -> Iterator[Step]:
    one = sp.Integer(1)
    projecting = units(queried(2 * one) - one) + total(units(keyed(2 * one) - one), j)
    count = d_a * (2 * d_q - 1) + n * d_a * (2 * d_k - 1) + n * (4 * d_a - 1)
    yield Step(projecting + total(units(4 * one) - one, j), "=", count, "a sum of d products takes d products and d − 1 additions")
    slack = {width: 1 + sp.Symbol(name, integer=True, nonnegative=True) for width, name in ((d_q, "x"), (d_k, "y"), (d_a, "w"))}
    order, shifted = (d_a * (d_q + n * d_k)).subs(slack), sp.expand(count.subs(slack))
    yield Step(
        order,
        "<=",
        shifted,
        "at least one operation for every entry of a matrix and vector that meet",
        certificate=sp.expand(shifted - order),
    )
    biased = sp.expand(5 * order - shifted - d_a.subs(slack))
    yield Step(shifted + d_a.subs(slack), "<=", 5 * order, "with a bias, added to the projected query, d_a more: at most five", certificate=biased)
    yield Step(shifted, "<=", 5 * order, "and at most five", certificate=sp.expand(5 * order - shifted))


def _materialised(queries: Matrix, keys: Matrix, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """What is held when all pairs are computed at once from the projections [m, d_a] and [n, d_a]: hidden layers [m, n, d_a], or dot products [m, n]."""
    left, right = [mapped(query_map, query) for query in queries], [mapped(key_map, key) for key in keys]
    hidden = [[[one + two for one, two in zip(from_query, from_key, strict=True)] for from_key in right] for from_query in left]
    products = [[dot(from_query, from_key) for from_key in right] for from_query in left]
    held = sum(len(unit) for row in hidden for unit in row), sum(len(row) for row in products)
    return decided(held == (len(queries) * len(keys) * len(output), len(queries) * len(keys)))


@derived(
    Claim(
        id="energy_costs.additive-activations",
        title="Vectorised additive attention holds m·n·d_a activations, dot-product attention m·n",
        states="(Ours, near “small to medium scale”, which names no quantity.) Computed for all pairs at once, the hidden layer exists for every pair of query and key.",
        reading="Counted are the entries of the array that is passed to tanh when all pairs are computed at once, against the entries of QKᵀ.",
        precise=r"$\sum_r\sum_j\sum_u 1 = m\,n\,d_a$, which is $d_a$ times the $m\,n$ scores.",
        sources=(S0.at("When to Use"),),
        scope="every m, n, d_a ≥ 1",
        kind=Kind.COST,
        inventory=("C057",),
        holds=_materialised,
    )
)
def additive_activations() -> Iterator[Step]:
    one = sp.Integer(1)
    yield Step(total(total(one, j), r), "=", m * n, "a score for each pair")
    yield Step(total(total(units(one), j), r), "=", d_a * total(total(one, j), r), "and d_a hidden units for each pair")


def _unit_by_unit(queries: Matrix, keys: Matrix, query_map: Matrix, key_map: Matrix, output: Row) -> Outcome:
    """Scores accumulated one hidden unit at a time: the same numbers, with m·n + m + n of them held."""
    scores = [[arb(0) for _ in keys] for _ in queries]
    peak = 0
    for weight, query_row, key_row in zip(output, query_map, key_map, strict=True):
        left, right = mapped(queries, query_row), mapped(keys, key_row)
        peak = max(peak, sum(len(row) for row in scores) + len(left) + len(right))
        for place, other_place in pairs(range(len(left)), range(len(right))):
            scores[place][other_place] += ball(weight) * ball(left[place] + right[other_place]).tanh()
    whole = [[additive(query, key, query_map, key_map, output) for key in keys] for query in queries]
    return Outcome.worst([exact.equal(scores, whole), decided(peak == len(queries) * len(keys) + len(queries) + len(keys))])


@derived(
    Claim(
        id="energy_costs.additive-unit-by-unit",
        title="Additive scores need no array of m·n·d_a: added up unit by unit, at most 3·m·n numbers are held",
        states="(Ours, near “small to medium scale”.) How much memory additive scores take is a matter of the order in which they are computed.",
        precise=r"One unit at a time, the $m\,n$ partial sums and one number for each query and each key are held: $mn+m+n\le 3mn$, whatever $d_a$ is (written with $m = 1+x$, "
        r"$n = 1+y$); inputs and parameters are not counted, nor is the one sum that is being formed.",
        sources=(S0.at("When to Use"),),
        scope="every m, n, d_a ≥ 1; scores without gradients",
        kind=Kind.COST,
        inventory=("C057",),
        holds=_unit_by_unit,
    )
)
def additive_unit_by_unit() -> Iterator[Step]:
    one = sp.Integer(1)
    held = total(total(one, j), r) + total(one, r) + total(one, j)
    yield Step(held, "=", m * n + m + n, "partial scores, and the unit's part of each query and of each key")
    more = {m: 1 + sp.Symbol("x", integer=True, nonnegative=True), n: 1 + sp.Symbol("y", integer=True, nonnegative=True)}
    bound, count = (3 * m * n).subs(more), (m * n + m + n).subs(more)
    yield Step(count, "<=", bound, "m ≤ mn and n ≤ mn", certificate=sp.expand(bound - count))


when_to_use = Claim(
    id="energy_costs.when-to-use-additive",
    title="Use additive attention for small to medium scale and non-linear needs",
    states="When to use it: different spaces for queries and keys, a need for non-linear attention patterns, small to medium scale applications.",
    precise="Advice; no scale, no need and no measure of success is stated.",
    sources=(S0.at("When to Use"),),
    scope="trained models",
    inventory=("C058",),
    not_checkable="It is advice about applications, and what would count as following it wrongly is not said. What can be checked is: the cost against that of dot products at each size "
    "(energy_costs.additive-against-dot), the weights that only a non-linear score gives (energies.beyond-bilinear), and widths that differ (energies.any-widths).",
)


def _pair_costs(queries: int, keys: int, width: int) -> tuple[int, int]:
    """Operations of all scores at one width on given projections: additive, and dot product."""
    multiplied, added, curves = Operations(), Operations(), 0
    for _ in pairs(range(queries), range(keys)):
        multiplied.dot(width)
        for _ in range(width):
            added.additions += 1
            curves += 1
        added.dot(width)
    return added.all() + curves, multiplied.all()


def _against_dot(queries: int, keys: int, width: int) -> Outcome:
    added, multiplied = _pair_costs(queries, keys, width)
    return decided(2 * multiplied < added <= 3 * multiplied)


@derived(
    Claim(
        id="energy_costs.additive-against-dot",
        title="From projected queries and keys of one width, additive scores take two to three times the operations of dot products, at every scale",
        states="Additive attention is recommended for small to medium scale.",
        reading="What can be counted is the cost of all scores from projected queries and keys of one width d, a tanh counted as one operation. (The projections come before, and are "
        "not counted; dot products need none of them where queries and keys have one width already.)",
        precise=r"$2\,mn(2d-1) < mn(4d-1) \le 3\,mn(2d-1)$, for $mn(4d-1)$ operations of the additive and $mn(2d-1)$ of the dot product: both grow as $mn$, and no scale changes the ratio. "
        r"(A tanh may cost more than a product; then the factor is larger, but still a constant.)",
        sources=(S0.at("When to Use"),),
        scope="every m, n, d ≥ 1, projections given; the inequality on the right is written with d = 1 + x",
        kind=Kind.COST,
        inventory=("C058",),
        holds=_against_dot,
    )
)
def additive_against_dot() -> Iterator[Step]:
    one = sp.Integer(1)
    yield Step(total(total(total(4 * one, a) - one, j), r), "=", m * n * (4 * d - 1), "for each pair: d additions, d tanh, d products, d − 1 additions")
    yield Step(total(total(total(2 * one, a) - one, j), r), "=", m * n * (2 * d - 1), "for each pair: d products, d − 1 additions")
    wide = 1 + sp.Symbol("x", integer=True, nonnegative=True)
    yield Step(
        m * n * (4 * wide - 1),
        "<=",
        3 * m * n * (2 * wide - 1),
        "three times is enough",
        certificate=sp.expand(3 * m * n * (2 * wide - 1) - m * n * (4 * wide - 1)),
    )
    yield Step(2 * m * n * (2 * d - 1), "<", m * n * (4 * d - 1), "twice is not", certificate=m * n)


def _matrix_products(queries: int, keys: int, query_width: int, key_width: int, value_width: int) -> int:
    """Multiply-adds of (QW)Kᵀ and AV, one by one."""
    moved = sum(1 for _ in pairs(range(queries), range(key_width), range(query_width)))
    scored = sum(1 for _ in pairs(range(queries), range(keys), range(key_width)))
    return moved + scored + sum(1 for _ in pairs(range(queries), range(value_width), range(keys)))


def _scales_well(length: int, query_width: int, key_width: int, value_width: int) -> Outcome:
    """Whether a sequence of twice the length takes at most twice the work."""
    once, twice = (_matrix_products(size, size, query_width, key_width, value_width) for size in (length, 2 * length))
    return decided(twice <= 2 * once)


def _quadratic(length: int, query_width: int, key_width: int, value_width: int) -> Outcome:
    """The count for as many queries as keys; and for one query, at most doubled when the keys are."""
    whole = _matrix_products(length, length, query_width, key_width, value_width)
    twice = _matrix_products(2 * length, 2 * length, query_width, key_width, value_width)
    alone = [_matrix_products(1, size, query_width, key_width, value_width) for size in (length, 2 * length)]
    return decided(whole == length * query_width * key_width + length**2 * (key_width + value_width) and alone[1] <= 2 * alone[0] and twice <= 4 * whole)


def _scaling_by_hand(length: int, query_width: int, key_width: int, value_width: int) -> str:
    once, twice = (_matrix_products(size, size, query_width, key_width, value_width) for size in (length, 2 * length))
    return (
        f"Take d_q = {query_width}, d_k = {key_width}, d_v = {value_width}. With as many queries as keys, n·d_q·d_k + n²·(d_k + d_v) multiply-adds are {once} for n = {length} and "
        f"{twice} for n = {2 * length}. That is {Fraction(twice, once)} times as many for twice the length, where at most 2 were allowed: scores and output are n² sums."
    )


def _linear_in_keys() -> Iterator[Step]:
    one = sp.Integer(1)

    def count(length: sp.Expr) -> sp.Expr:
        per_key = total(keyed(one), r) + total(total(one, e), r)
        return total(keyed(queried(one)), r) + sp.Sum(per_key, (j, 1, length))

    yield Step(count(n), "=", m * d_q * d_k + m * n * (d_k + d_v), "m queries on n keys")
    yield Step(count(2 * n), "<=", 2 * count(n), "with m fixed, twice the keys take at most twice the work", certificate=m * d_q * d_k)


scales_well = derived(
    Claim(
        id="energy_costs.multiplicative-scales-well",
        title="Multiplicative attention scales well with sequence length",
        states="Among the computational advantages of the matrix form: it scales well with sequence length.",
        reading="The work of E = Q W Kᵀ and A V grows at most in proportion to the length: twice the length takes at most twice the multiply-adds. (Elsewhere the same text "
        "says that standard attention is quadratic.)",
        precise=r"For $m$ queries on $n$ keys $m\,d_qd_k + mn(d_k+d_v)$ multiply-adds: at most doubled when $n$ is doubled and $m$ is fixed, as for one decoder step; but with $m=n$ "
        r"more than doubled, and up to four times as many.",
        sources=(S0.at("Computational Advantages"), S0.at("Motivation")),
        scope="as many queries as keys for the statement, every length and width",
        kind=Kind.COST,
        inventory=("C062",),
        uses=("energies.matrix-form",),
        unsaid="the number of queries does not grow with the sequence",
        corrected_by="energy_costs.multiplicative-is-quadratic",
        holds=_scales_well,
        worked=_scaling_by_hand,
    )
)(_linear_in_keys)


@derived(
    Claim(
        id="energy_costs.multiplicative-is-quadratic",
        title="On a whole sequence multiplicative attention is quadratic in its length",
        states="(Not under this heading; the same text calls standard attention quadratic elsewhere.) Twice the length takes more than twice the work.",
        precise=r"With $m=n$: $c(n) = n\,d_qd_k+n^2(d_k+d_v)$ multiply-adds, and $2c(n) < c(2n) \le 4c(n)$: the difference of the first two is $2n^2(d_k+d_v)$.",
        sources=(S0.at("Computational Advantages"), S0.at("Motivation")),
        scope="every n, d_q, d_k, d_v ≥ 1",
        kind=Kind.COST,
        inventory=("C062",),
        holds=_quadratic,
    )
)
def multiplicative_is_quadratic() -> Iterator[Step]:
    one, row = sp.Integer(1), sp.Symbol("i", integer=True, positive=True)

    def count(length: sp.Expr) -> sp.Expr:
        return length * d_q * d_k + length**2 * (d_k + d_v)

    moved = sp.Sum(keyed(queried(one)), (row, 1, n))
    weighed = sp.Sum(total(keyed(one) + total(one, e), j), (row, 1, n))
    yield Step(moved + weighed, "=", count(n), "n queries, each against n keys and then n values")
    yield Step(count(2 * n), "<=", 4 * count(n), "twice the length is at most four times the work", certificate=2 * n * d_q * d_k)
    yield Step(2 * count(n), "<", count(2 * n), "and more than twice", certificate=2 * n**2 * (d_k + d_v))
