"""Searches over short sequences, small whole vectors and near positions for cases that break what theorems/positions.py says."""

from fractions import Fraction
from typing import Any

import hypothesis.strategies as st

from properties.search import searched
from properties.test_symmetry_exact import cross_attention, matrices, one_of_the_shapes, orders, places, projections, small
from theorems import positions


def vectors(pairs: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[small] * (2 * pairs))


def square(size: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return matrices(size, size)


def tall(width: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return st.lists(st.tuples(*[small] * width), min_size=1, max_size=3).map(tuple)


def sized(draw: Any) -> st.SearchStrategy[Any]:
    """A strategy that depends on how many pairs of features there are, the same for all arguments of a case."""
    return st.shared(st.integers(1, 3), key="pairs of features").flatmap(draw)


counts = st.integers(1, 4)
partners = st.lists(st.integers(0, 9), min_size=1, max_size=4).map(tuple)  # of one target; taken modulo the number of sources
steps = st.integers(0, 40)
where = {"position": steps, "offset": st.integers(-12, 12)}
pair = {"query": sized(vectors), "key": sized(vectors)}
distances = {"near": st.integers(0, 20), "more": st.integers(0, 20)}
slopes = st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(1, 256), Fraction(3)])
patch = st.shared(st.tuples(st.integers(0, 9), st.integers(0, 9)), key="a patch")
other_patch = st.tuples(st.integers(0, 9), st.integers(0, 9)) | patch.flatmap(
    lambda place: st.permutations(place).map(tuple)
)  # of the same two numbers, or not
patches = {"count": st.integers(1, 3), "here": patch, "there": other_patch}
lengths = {"length": st.integers(1, 8), "table": st.integers(1, 8)}
self_attention = one_of_the_shapes({"tokens": lambda n, d, m, e: matrices(n, d)} | projections)
encoded = one_of_the_shapes({"tokens": lambda n, d, m, e: matrices(n, d), "encodings": lambda n, d, m, e: matrices(n, d)} | projections | places)
listed = one_of_the_shapes(
    {"patches": lambda n, d, m, e: matrices(n, d), "places": lambda n, d, m, e: matrices(n, d)} | projections | {"order": lambda n, d, m, e: orders(n)}
)
layers = one_of_the_shapes(
    {
        "tokens": lambda n, d, m, e: matrices(n, d),
        "first": lambda n, d, m, e: matrices(d, e),
        "second": lambda n, d, m, e: matrices(e, d),
        "value": lambda n, d, m, e: matrices(d, d),
        "gain": lambda n, d, m, e: st.tuples(*[small] * d),
        "lift": lambda n, d, m, e: st.tuples(*[small] * d),
        "biases": lambda n, d, m, e: st.tuples(*[small] * e),
        "place": lambda n, d, m, e: st.integers(0, n - 1),
        "change": lambda n, d, m, e: st.tuples(*[small] * d),
    }
)
matrices_of = {name: cross_attention[name] for name in ("queries", "keys", "values")}
offsets = {
    "tokens": self_attention["tokens"], "W_Q": self_attention["W_Q"], "W_K": self_attention["W_K"], "offset": st.integers(-2, 2), "gap": st.integers(1, 9),
}  # fmt: skip
rotary_sizes = st.shared(st.tuples(*[st.integers(1, 3)] * 3), key="queries, keys and pairs of a rotary case")
rotary_sequence = {
    "queries": rotary_sizes.flatmap(lambda size: matrices(size[0], 2 * size[2])),
    "keys": rotary_sizes.flatmap(lambda size: matrices(size[1], 2 * size[2])),
    "values": rotary_sizes.flatmap(lambda size: matrices(size[1], 2 * size[2])),
}
odd_biases = st.integers(1, 4).flatmap(lambda n: st.tuples(*[small] * (2 * n - 1)))
score_squares = st.integers(1, 4).flatmap(square)
growing = {"scheme": st.sampled_from(positions.SCHEMES), "tokens": tall(2), "later": tall(2)}
codes = st.shared(st.integers(1, 5), key="encoded positions").flatmap(lambda n: st.tuples(*[small] * n))
coded = st.shared(st.integers(1, 5), key="encoded positions").flatmap(lambda n: st.integers(0, n - 1))

test_scores_and_outputs_are_matrix_products = searched(positions.scores_and_output, **matrices_of)
test_the_four_steps_are_the_formula = searched(positions.core_formula, **matrices_of)
test_without_attention_positions_do_not_mix = searched(positions.attention_mixes_alone, **layers)
test_any_alignment_can_be_followed = searched(
    positions.alignment, partners=st.lists(partners, min_size=1, max_size=4).map(tuple), sources=st.integers(1, 5), gain=st.integers(1, 12)
)
test_one_set_of_weights_serves_every_length = searched(positions.every_length, **self_attention)
test_a_learned_table_serves_every_length = searched(positions.learned_table, **lengths)
test_a_formula_serves_every_length_without_parameters = searched(positions.learned_parameters, **lengths)
test_moving_turns_the_encoding = searched(positions.sinusoidal_rotation, **where, count=counts)
test_the_dot_product_of_encodings_is_relative = searched(positions.sinusoidal_dot_product, **where, count=counts)
test_encodings_have_one_length = searched(positions.sinusoidal_norm, position=steps, count=counts)
test_the_dot_product_of_encodings_falls = searched(positions.sinusoidal_decay, count=st.integers(4, 32), **distances)
test_no_two_positions_share_an_encoding = searched(positions.sinusoidal_distinct, count=counts, near=st.integers(0, 1000), more=st.integers(0, 1000))
test_added_encodings_give_relative_scores = searched(positions.added_is_relative, **pair, **where, moved=st.integers(-9, 9))
test_encodings_beside_give_relative_scores = searched(positions.concatenated_is_relative, **pair, **where, moved=st.integers(-9, 9))
test_rotary_scores_are_relative = searched(positions.rotary_is_relative, **pair, **where, moved=st.integers(-9, 9))
test_rotary_keeps_lengths = searched(positions.rotary_norm, vector=sized(vectors), position=steps)
test_turned_values_turn_the_output = searched(positions.rotary_values, **rotary_sequence, moved=st.integers(-9, 9))
test_rotary_pairings_are_interchangeable = searched(positions.rotary_interchangeable, **pair, **where)
test_rotary_pairings_are_reorderings = searched(positions.rotary_pairings, **pair, **where)
test_rotary_scores_fall = searched(positions.rotary_decay, query=pair["query"], **distances)
test_rotary_scores_are_bounded = searched(positions.rotary_bounded, **pair, **distances)
test_a_bias_of_the_key_is_enough_under_a_causal_mask = searched(positions.linear_bias_of_the_key, scores=score_squares, slope=slopes)
test_a_bias_of_the_key_is_enough_without_a_mask = searched(positions.linear_bias_unmasked, scores=score_squares, slope=slopes)
test_slopes_are_one_sequence = searched(positions.any_slopes, heads=st.integers(1, 64))
test_slopes_are_two_sequences = searched(positions.linear_bias_slopes, heads=st.integers(1, 64))
test_a_linear_bias_bounds_distant_weights = searched(positions.linear_bias_decay, scores=st.lists(small, min_size=1, max_size=6).map(tuple), slope=slopes)
test_a_head_attends_to_an_offset_without_positions = searched(positions.diagonal_attention, **offsets)
test_a_relative_bias_singles_out_an_offset = searched(positions.relative_bias, **offsets)
test_weights_are_constant_along_diagonals = searched(positions.toeplitz_weights, offsets=odd_biases)
test_odds_are_constant_along_diagonals = searched(positions.toeplitz_odds, offsets=odd_biases)
test_a_turned_key_scores_highest_at_the_offset = searched(positions.offset_by_rotation, count=counts, position=steps, key=steps, offset=st.integers(-9, 9))
test_positions_with_equal_encodings_are_exchangeable = searched(positions.equal_encodings, **encoded)
test_positions_with_unequal_encodings_are_not = searched(positions.unequal_encodings, codes=codes, one=coded, other=coded)
test_two_dimensional_encodings_are_relative = searched(positions.two_d_dot_product, **patches)
test_summed_encodings_tell_patches_apart = searched(positions.two_d_summed, **patches)
test_encodings_side_by_side_tell_patches_apart = searched(positions.two_d_distinct, **patches)
test_the_order_of_patches_does_not_matter = searched(positions.order_of_patches, **listed)
test_later_tokens_change_nothing_whatever_the_encoding = searched(positions.causal_positions, **growing)
test_later_tokens_change_nothing_where_positions_are_rescaled = searched(positions.rescaled_positions, **growing)
