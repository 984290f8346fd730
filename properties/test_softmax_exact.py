"""Where to look for counterexamples to the claims about one softmax row: small integer scores, ties included, at all small sizes."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from properties.search import searched
from theorems import softmax

NUMBERS = st.integers(-3, 3)
LENGTH = st.shared(st.integers(1, 5), key="keys")
WIDTH = st.shared(st.integers(1, 3), key="width")
KEY_WIDTH = st.shared(st.integers(1, 3), key="key width")
TEMPERATURES = st.fractions(Fraction(1, 4), 4, max_denominator=4)


def vectors(size: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[NUMBERS] * size)


def matrices(rows: int, columns: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return st.tuples(*[vectors(columns)] * rows)


ROW = LENGTH.flatmap(vectors)  # one number for each key
VECTOR = WIDTH.flatmap(vectors)
KEYS = st.tuples(LENGTH, WIDTH).flatmap(lambda shape: matrices(*shape))  # [n, d]
WIDE_KEYS = st.tuples(LENGTH, KEY_WIDTH).flatmap(lambda shape: matrices(*shape))  # [n, d_k]
FORM = st.tuples(WIDTH, KEY_WIDTH).flatmap(lambda shape: matrices(*shape))  # [d_q, d_k]


@st.composite
def masks(draw: st.DrawFn) -> tuple[bool, ...]:
    """One flag for each key, at least one of them true."""
    length = draw(LENGTH)
    sure = draw(st.integers(0, length - 1))
    return tuple(draw(st.booleans()) or key == sure for key in range(length))


test_output_is_the_weighted_average = searched(softmax.weighted_average, scores=ROW, values=ROW)
test_weights_sum_to_one = searched(softmax.row_sum, scores=ROW)
test_weights_are_positive = searched(softmax.positive, scores=ROW)
test_adding_a_constant_changes_nothing = searched(softmax.shift, scores=ROW, shift=st.fractions(-100, 100, max_denominator=8))
test_jacobian_agrees_with_power_series = searched(softmax.jacobian, scores=ROW, toward=ROW)
test_temperature_keeps_the_ranking = searched(softmax.temperature_keeps_ranking, scores=ROW, temperature=TEMPERATURES)
test_weights_are_shares_of_the_landscape = searched(softmax.landscape, scores=ROW)
test_dot_product_is_lengths_and_a_cosine = searched(softmax.dot_product_angle, first=VECTOR, second=VECTOR)
test_query_length_is_an_inverse_temperature = searched(
    softmax.query_length_is_inverse_temperature, direction=VECTOR, keys=KEYS, length=st.fractions(Fraction(1, 4), 4, max_denominator=4)
)
test_query_bias_is_inert = searched(
    softmax.query_bias_is_inert, query=VECTOR, matrix=FORM, keys=WIDE_KEYS, query_bias=VECTOR, key_bias=KEY_WIDTH.flatmap(vectors)
)
test_cold_softmax_is_a_hard_lookup = searched(softmax.low_temperature, scores=ROW, values=KEYS, temperature=TEMPERATURES)
test_hot_softmax_is_uniform = searched(softmax.high_temperature, scores=ROW, temperature=TEMPERATURES)
test_lookup_is_differentiable = searched(softmax.differentiable_lookup, scores=ROW, values=ROW, toward=ROW)
test_masked_product_loses_the_hidden_mass = searched(softmax.masked_product_mass, scores=ROW, keep=masks())
test_every_mechanism_is_normalised = searched(softmax.every_mechanism, scores=ROW, keep=masks())
test_dictionary_sums_similarity_times_value = searched(softmax.dictionary, query=VECTOR, keys=KEYS, values=ROW)
test_dictionary_takes_a_similarity_weighted_mean = searched(softmax.dictionary_normalised, query=VECTOR, keys=KEYS, values=ROW)
