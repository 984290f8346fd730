"""Searches on exact inputs for the claims about linear attention: features, entries, chunks and sizes are small whole numbers."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import linear
from theorems.overflow import FORMATS

Cases = st.SearchStrategy[Any]
entries = st.integers(-4, 4)
not_negative = st.integers(0, 5)
positive = st.integers(1, 5)
tokens = st.shared(st.integers(1, 5), key="linear: tokens")
others = st.shared(st.integers(1, 4), key="linear: queries")
features = st.shared(st.integers(1, 4), key="linear: features")
width = st.shared(st.integers(1, 3), key="linear: width")
sizes = st.integers(1, 9)


def rows(length: Cases, across: Cases, of: Cases = entries) -> Cases:
    """A matrix of whole numbers, as a tuple of rows."""
    shape = st.tuples(length, across)
    return shape.flatmap(lambda size: st.tuples(*[st.tuples(*[of] * size[1])] * size[0]))


def row(length: Cases, of: Cases = entries) -> Cases:
    return length.flatmap(lambda size: st.tuples(*[of] * size))


one_query: dict[str, Cases] = {"query": row(width), "keys": rows(tokens, width)}
sequence: dict[str, Cases] = {"queries": rows(tokens, features), "keys": rows(tokens, features), "values": rows(tokens, width)}

test_the_formula_is_kernel_attention = searched(
    linear.as_kernel_attention, queries=rows(others, features), keys=rows(tokens, features), values=rows(tokens, width)
)
test_positive_kernel_values_give_a_distribution = searched(
    linear.weights_are_a_distribution, query=row(width, st.integers(-1, 5)), keys=rows(tokens, width, st.integers(-1, 5))
)
test_positive_definite_kernels_give_a_distribution = searched(linear.positive_definite_is_not_enough, **one_query)
test_exp_approximates_softmax = searched(linear.exp_approximates_softmax, **one_query)
test_exp_mixes_softmaxes_over_coordinates = searched(linear.exp_features_mix_softmaxes, **one_query)
test_relu_with_a_floor_is_positive = searched(
    linear.relu_plus_epsilon_is_positive, **one_query, floor=st.fractions(min_value=Fraction(1, 100), max_value=2, max_denominator=100)
)
test_relu_alone_leaves_nothing_to_divide_by = searched(linear.relu_alone_divides_by_zero, query=row(width, st.integers(-4, 2)), keys=rows(tokens, width))
test_longer_queries_do_not_sharpen_relu = searched(linear.relu_has_no_temperature, **one_query, by=positive)
test_elu_plus_one_is_positive = searched(linear.elu_plus_one_is_positive, query=row(width, st.integers(-40, 4)), keys=rows(tokens, width, st.integers(-40, 4)))

floats: dict[str, Cases] = {"fmt": st.sampled_from(sorted(FORMATS)), "entry": st.one_of(st.integers(-40, 3), st.integers(-800, 3))}
test_elu_plus_one_is_positive_in_floats = searched(linear.elu_in_floats, **floats)
test_where_elu_plus_one_vanishes = searched(linear.where_elu_plus_one_vanishes, **floats)
powers: dict[str, Cases] = {"entry": st.integers(-6, 6), "constant": st.integers(-3, 3), "degree": st.integers(1, 5)}
test_the_sign_of_a_polynomial_feature = searched(linear.sign_of_a_power, **powers)
test_polynomial_features_are_positive = searched(
    linear.polynomial_feature_is_positive, entry=st.integers(-6, 6), constant=st.integers(1, 3), degree=st.integers(2, 5)
)
pair: dict[str, Cases] = {"query": row(width), "key": row(width)}
polynomials: dict[str, Cases] = {**pair, "constant": st.integers(0, 3), "degree": st.integers(1, 4)}
test_all_products_are_the_polynomial_kernel = searched(linear.polynomial_kernel_features, **polynomials)
test_entrywise_powers_are_the_polynomial_kernel = searched(linear.elementwise_power_is_polynomial_kernel, **polynomials | {"degree": st.integers(2, 4)})

scalar_values = row(tokens)
test_the_denominator_is_needed = searched(linear.normaliser_is_needed, **one_query, values=scalar_values)
test_attention_without_a_denominator = searched(linear.attention_without_normaliser, **one_query, values=scalar_values)

test_second_order_kernels_are_positive = searched(linear.taylor_features_positive, **pair)
test_the_error_of_the_second_order = searched(
    linear.taylor_error,
    score=st.fractions(min_value=-8, max_value=8, max_denominator=16),
    slack=st.one_of(st.just(Fraction(0)), st.fractions(min_value=0, max_value=2, max_denominator=8)),
)
errors = st.fractions(min_value=Fraction(-9, 10), max_value=Fraction(9, 10), max_denominator=10)
test_kernel_errors_bound_the_weights = searched(
    linear.weights_from_kernel_error,
    weights=row(tokens, positive),
    errors=row(tokens, errors),
    spare=st.fractions(min_value=0, max_value=Fraction(1, 2), max_denominator=8),
)

test_the_recurrence_is_causal_attention = searched(linear.causal_is_recurrent, **sequence)
test_chunks_are_causal_attention = searched(linear.chunks_are_exact, **sequence, lengths=st.lists(st.integers(0, 3), max_size=4))
test_what_a_state_can_hold = searched(linear.state_capacity, queries=rows(tokens, features), state=rows(features, st.integers(1, 5)))
whole = st.lists(st.integers(-4, 4), min_size=1, max_size=5).map(tuple)
test_powers_of_two_have_full_rank = searched(linear.no_finite_features_for_exp, queries=whole, keys=whole)
test_outputs_mix_as_many_slots_as_features = searched(
    linear.outputs_mix_m_slots, query=row(features, positive), keys=rows(tokens, features, positive), values=rows(tokens, width)
)
kernel_methods: dict[str, Cases] = {"features": st.sampled_from(sorted(linear.MAPS)), "queries": rows(tokens, width), "keys": rows(tokens, width)}
test_feature_maps_approximate_softmax = searched(linear.approximates_attention, **kernel_methods)
test_own_keys_share_the_features = searched(linear.own_keys_share_m, **kernel_methods)
square = tokens.flatmap(lambda n: st.tuples(*[st.tuples(*[entries] * n)] * n))
sharp = st.tuples(tokens, st.integers(0, 3)).map(lambda drawn: tuple(tuple(drawn[1] * (one == other) for other in range(drawn[0])) for one in range(drawn[0])))
test_signed_features_miss_half_of_the_mass = searched(
    linear.signed_features_miss_half, queries=rows(tokens, width), keys=rows(tokens, width), scores=st.one_of(square, sharp)
)

counts: dict[str, Cases] = {"length": sizes, "features": st.integers(1, 6), "width": st.integers(1, 6)}
growth: dict[str, Cases] = {"length": st.integers(1, 24), "features": st.integers(1, 4), "width": st.integers(1, 4), "constant": st.integers(7, 12)}
test_the_bracketed_formula_is_linear = searched(linear.bracketed_cost, **growth)
test_the_formula_as_written_is_linear = searched(linear.formula_is_linear, **growth)
test_the_orders_of_the_counts = searched(linear.cost, **counts)
test_the_counts_cross_at_the_width = searched(linear.crossover, length=sizes, width=sizes)
test_the_counts_cross_between_m_and_2m_keys = searched(linear.more_features_than_keys, **(counts | {"features": st.integers(1, 20)}))
memory: dict[str, Cases] = {"length": sizes, "features": sizes, "value_width": sizes}
test_memory_does_not_grow = searched(linear.constant_memory, **memory)
test_the_state_does_not_grow = searched(linear.state_memory, **memory)

layer: dict[str, Cases] = {
    "queries": rows(tokens, features, positive),
    "keys": rows(tokens, features, positive),
    "values": rows(tokens, width),
    "cotangent": rows(tokens, width),
    "causal": st.booleans(),
}
test_the_gradient_in_values = searched(linear.gradient_of_values, **layer)
test_the_gradient_in_query_features = searched(linear.gradient_of_query_features, **layer)
test_the_gradient_in_key_features = searched(linear.gradient_of_key_features, **layer)
