"""Search for counterexamples to the claims about compressed attention: small tensors with outliers, long rows of a short pattern, few keys and heads."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import compression

Strategy = st.SearchStrategy[Any]
small = st.integers(-3, 3)
wide = st.one_of(small, st.integers(-60, 60), st.integers(-3000, 3000))  # an outlier sets the scale of its tensor
fine = st.integers(-300, 300).map(lambda x: Fraction(x, 64))  # scores near 1, errors neither 0 nor saturated
sizes = st.shared(st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2)), key="compressed layer: m, n, d, d_v")
length = st.shared(st.integers(1, 5), key="keys of a compressed row")
several = st.shared(st.integers(3, 5), key="keys of a row that loses some")
width = st.shared(st.integers(1, 5), key="width of a compressed key")
heads = st.shared(st.integers(1, 4), key="compressed heads")
features = st.shared(st.integers(1, 3), key="features of a compressed head")
levels = st.sampled_from([127, 255, 1])
place = st.integers(0, 4)


def row(count: int, entry: Strategy = small) -> Strategy:
    return st.tuples(*[entry] * count)


def matrix(rows: int, columns: int, entry: Strategy = small) -> Strategy:
    return st.tuples(*[row(columns, entry)] * rows)


def tensor(rows: int, columns: int) -> Strategy:
    return st.one_of(matrix(rows, columns), with_outlier(rows, columns), matrix(rows, columns, fine), matrix(rows, columns, wide))


@st.composite
def with_outlier(draw: st.DrawFn, rows: int, columns: int) -> tuple[tuple[int, ...], ...]:
    """Small entries, and one of a few hundred or more."""
    entries = draw(matrix(rows, columns))
    where, what = (draw(st.integers(0, rows - 1)), draw(st.integers(0, columns - 1))), draw(st.integers(200, 3000))
    return tuple(tuple(what if (r, c) == where else x for c, x in enumerate(line)) for r, line in enumerate(entries))


layer: dict[str, Strategy] = {
    "Q": sizes.flatmap(lambda s: tensor(s[0], s[2])),
    "K": sizes.flatmap(lambda s: tensor(s[1], s[2])),
    "V": sizes.flatmap(lambda s: st.one_of(matrix(s[1], s[3]), tensor(s[1], s[3]))),
    "tolerance": st.sampled_from([Fraction(1, 10), Fraction(1, 4), Fraction(1, 2)]),
}
pattern = st.lists(st.integers(1, 9) | st.integers(1, 2000), min_size=1, max_size=4).map(tuple)
copies = st.one_of(st.integers(1, 8), st.integers(60, 300))  # n on both sides of 2L
long_row: dict[str, Strategy] = {
    "weights": pattern,
    "copies": copies,
    "levels": levels,
    "tolerance": st.sampled_from([Fraction(1, 20), Fraction(1, 4), Fraction(1, 2)]),
    "values": st.lists(st.integers(-9, 9), min_size=1, max_size=3).map(tuple),
}


def binary(entry: Strategy, features: Strategy) -> dict[str, Strategy]:
    return {"query": features.flatmap(lambda d: row(d, entry)), "keys": features.flatmap(lambda d: st.lists(row(d, entry), min_size=2, max_size=4))}


with_a_sign = st.sampled_from([1, -1, 2, -2, 3, -3, 5, -5])  # the sign of 0 is a convention, which a counterexample should not need
weighed: dict[str, Strategy] = {
    "weights": several.flatmap(lambda n: row(n, st.integers(1, 9))),
    "values": several.flatmap(lambda n: row(n, small | st.integers(-99, 99))),
}
contributed = st.shared(st.tuples(st.integers(2, 3), st.integers(2, 5)).flatmap(lambda s: matrix(s[0], s[1], st.integers(-5, 5))), key="contributions of heads")


def near(contributions: tuple[tuple[int, ...], ...]) -> Strategy:
    """Targets close to the sum of the contributions, as after training."""
    return row(len(contributions[0]), st.integers(-1, 1)).map(lambda off: tuple(sum(c) - x for c, x in zip(zip(*contributions, strict=True), off, strict=True)))


gated: dict[str, Strategy] = {
    "contributions": contributed,
    "target": contributed.flatmap(near),
    "one": st.just(0),
    "two": st.just(1),
}
distilled: dict[str, Strategy] = {
    "scores": several.flatmap(row),
    "changes": several.flatmap(lambda n: st.one_of(small.map(lambda x: (x,) * n), row(n))),
    "values": several.flatmap(row),
    "differences": several.flatmap(row),
}
taught: dict[str, Strategy] = {
    "queries": sizes.flatmap(lambda s: matrix(s[0] + 1, s[2])),
    "keys": sizes.flatmap(lambda s: matrix(s[1], s[2])),
    "width": st.integers(1, 3),
}

test_int8_moves_a_number_by_half_a_step = searched(
    compression.int8_rounding,
    values=st.lists(st.sampled_from([254, 127, 1, -1]) | wide, min_size=1, max_size=6).map(tuple),
    spare=st.just(0) | st.integers(0, 3000),
)
test_an_outlier_erases_the_small_queries = searched(
    compression.one_outlier,
    query=sizes.flatmap(lambda s: row(s[2])),
    keys=sizes.flatmap(lambda s: matrix(s[1], s[2])),
    values=sizes.flatmap(lambda s: matrix(s[1], s[3])),
    excess=st.integers(0, 500),
)
integers = st.lists(st.sampled_from([127, -127]) | st.integers(-127, 127), min_size=1, max_size=3).map(tuple)
test_integer_products_are_exact = searched(
    compression.integer_products_exact,
    query=integers,
    key=integers,
    width=st.one_of(st.integers(1, 2000), st.integers(1035, 1045), st.integers(133_100, 133_200)),
)
test_the_error_of_int8_scores = searched(
    compression.int8_scores,
    query=width.flatmap(lambda d: row(d, wide)),
    key=width.flatmap(lambda d: row(d, wide)),
    spare_query=st.just(0) | st.integers(0, 3000),
    spare_key=st.just(0) | st.integers(0, 3000),
)
test_what_errors_of_scores_do_to_the_output = searched(
    compression.score_errors,
    scores=length.flatmap(row),
    places=length.flatmap(lambda n: row(n, st.sampled_from([-1, 1]).map(Fraction) | st.fractions(-1, 1, max_denominator=8))),
    error=st.fractions(0, 5, max_denominator=16),
    values=length.flatmap(row),
)
test_the_error_of_int8_attention = searched(compression.int8_error, **layer)
test_int8_works_on_every_input = searched(compression.int8_works, **layer)
test_the_row_sum_of_quantised_weights = searched(compression.row_sum, **long_row)
test_the_error_of_a_projection_in_int8 = searched(
    compression.int8_parameters,
    inputs=width.flatmap(lambda d: row(d, wide)),
    weights=width.flatmap(lambda d: row(d, wide | fine)),
    spare=st.just(0) | st.integers(0, 3000),
)
test_a_fixed_scale_keeps_the_row_sum = searched(compression.fixed_weight_scale, **long_row | {"levels": st.sampled_from([127, 255])})
test_the_largest_weight_as_the_scale = searched(compression.scale_of_the_row, weights=pattern, copies=copies, levels=levels)
test_scores_of_signs = searched(compression.binary_scores, **binary(st.integers(-5, 5), width))
test_signs_keep_the_order = searched(compression.binary_order, **binary(with_a_sign, st.shared(st.integers(2, 5), key="width of signs")))
test_errors_of_heads_add = searched(
    compression.heads_add,
    heads=st.tuples(heads, features).flatmap(lambda s: matrix(s[0], s[1], st.integers(-40, 40))),
    block=st.tuples(heads, features).flatmap(lambda s: matrix(s[0], s[1])),
    levels=heads.flatmap(lambda h: row(h, st.sampled_from([1, 7, 127, 32767]))),
)
test_bits_shared_out_among_heads = searched(
    compression.bits_for_heads,
    costs=heads.flatmap(lambda h: row(h, st.integers(1, 99))),
    bits=heads.flatmap(lambda h: row(h, st.integers(0, 2) | st.integers(0, 16))),
)
test_what_removed_heads_can_change = searched(
    compression.pruned_heads,
    weights=st.tuples(heads, length).flatmap(lambda s: matrix(s[0], s[1], st.integers(1, 9))),
    values=st.tuples(heads, length).flatmap(lambda s: matrix(s[0], s[1])),
    block=heads.flatmap(row),
    dropped=heads.flatmap(lambda h: row(h, st.booleans())),
)
test_what_a_removed_layer_changes = searched(
    compression.removed_layer,
    weights=st.tuples(heads, length).flatmap(lambda s: matrix(s[0], s[1], st.integers(1, 9))),
    values=st.tuples(heads, length).flatmap(lambda s: matrix(s[0], s[1])),
    block=heads.flatmap(row),
    residual=small,
)
test_all_heads_have_the_same_mass = searched(compression.heads_weigh_the_same, heads=sizes.flatmap(lambda s: st.tuples(*[matrix(s[0], s[1])] * s[2])))
test_what_leaving_keys_out_does = searched(compression.pruned_keys, **weighed, one=place, two=place)
test_the_smaller_weight_matters_less = searched(compression.small_weight, **weighed, one=st.integers(0, 1), two=st.integers(1, 2))
test_the_lightest_keys_are_the_safest = searched(compression.smallest_mass, weights=several.flatmap(lambda n: row(n, st.integers(1, 9))), kept=place)
test_the_loss_without_a_head = searched(compression.gate_removed, **gated)
test_the_smaller_gradient_matters_less = searched(compression.gradient_ranks, **gated)
test_the_gradient_of_a_connection = searched(compression.gradient_of_a_connection, **weighed, place=place)
test_the_loss_of_maps_bounds_the_outputs = searched(compression.map_loss, **distilled)
test_equal_maps_give_equal_outputs = searched(compression.equal_maps, **distilled)
test_other_queries_and_keys_give_the_same_map = searched(
    compression.map_does_not_identify,
    query=width.flatmap(row),
    keys=width.flatmap(lambda d: st.lists(row(d), min_size=1, max_size=4)),
    factors=width.flatmap(lambda d: row(d, st.fractions(Fraction(1, 8), 8, max_denominator=8))),
    shift=width.flatmap(row),
)
test_the_gradients_of_map_losses = searched(
    compression.map_loss_gradient, scores=length.flatmap(row), target=length.flatmap(lambda n: row(n, st.integers(1, 9))), place=place
)
test_the_narrowest_student = searched(compression.student_width, **taught)
test_a_narrow_student_attends_to_one_key = searched(
    compression.narrow_student,
    places=st.lists(st.integers(-6, 6), min_size=2, max_size=5, unique=True).map(tuple),
    aims=st.lists(place, min_size=1, max_size=3).map(tuple),
    sharpness=st.integers(1, 60),
    miss=st.fractions(Fraction(1, 100), Fraction(9, 10), max_denominator=100),
)
test_a_smaller_student_has_the_map = searched(compression.smaller_student, **taught)
