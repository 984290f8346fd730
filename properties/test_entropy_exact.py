"""Where to look for counterexamples to the claims about entropy: rational rows, zeros and equal weights included, at all small sizes."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import strategies as st

from properties.search import searched
from theorems import entropy

LENGTH = st.shared(st.integers(1, 5), key="positions")
TEMPERATURES = st.fractions(Fraction(1, 4), 4, max_denominator=4)
SCORES = LENGTH.flatmap(lambda length: st.tuples(*[st.integers(-3, 3)] * length))


@st.composite
def rows(draw: st.DrawFn) -> tuple[Fraction, ...]:
    """Weights of the shared length that sum to one: parts of a whole, of which one at least is not zero."""
    length = draw(LENGTH)
    parts = [draw(st.integers(0, 4)) for _ in range(length)]
    parts[draw(st.integers(0, length - 1))] += draw(st.integers(1, 4))
    return tuple(Fraction(part, sum(parts)) for part in parts)


ROW = rows()
HEADS = st.integers(1, 4).flatmap(lambda heads: st.tuples(*[ROW] * heads))
MAP_LENGTH = st.shared(st.integers(1, 6), key="map")
MAP_ROW = MAP_LENGTH.flatmap(lambda length: st.integers(1, length))
FORMAT = st.sampled_from(sorted(entropy.FORMATS))
WEIGHT = st.one_of(st.fractions(0, 1, max_denominator=1000), st.integers(0, 1100).map(lambda power: Fraction(1, 2**power)))
OFFSET = st.sampled_from(sorted(entropy.SMALL.values()))
GUARD = {"name": FORMAT, "weight": WEIGHT, "small": OFFSET}
LEVEL = st.fractions(Fraction(1, 2), Fraction(99, 100), max_denominator=100)

test_entropy_is_not_negative = searched(entropy.nonnegative, weights=ROW)
test_entropy_lies_between_zero_and_log_n = searched(entropy.entropy_range, weights=ROW)
test_low_entropy_forces_a_large_weight = searched(entropy.low_means_peaked, weights=ROW)
test_low_entropy_leaves_few_positions = searched(
    entropy.low_means_few, weights=ROW, share=st.sampled_from([Fraction(1, 10), Fraction(1, 3), Fraction(1, 2), Fraction(1)])
)
test_largest_weight_is_at_least_one_over_n = searched(entropy.row_maximum, weights=ROW)
test_few_positions_mean_low_entropy = searched(entropy.few_positions_mean_low, weights=ROW, count=st.integers(1, 5))
test_entropy_is_largest_only_at_the_uniform_row = searched(entropy.maximum_iff_uniform, weights=ROW, level=LEVEL)
test_high_entropy_is_the_uniform_row = searched(entropy.high_is_uniform, weights=ROW, level=LEVEL)
test_uniform_rows_under_a_causal_mask = searched(entropy.causal_reference, length=MAP_LENGTH, row=MAP_ROW)
test_uniform_reference_is_log_n_in_every_row = searched(entropy.full_reference, length=MAP_LENGTH, row=MAP_ROW)
test_averaging_heads_raises_entropy = searched(entropy.average_of_heads, heads=HEADS)
test_temperature_derivative_is_a_variance = searched(entropy.temperature_derivative, scores=SCORES, temperature=TEMPERATURES)
test_entropy_rises_with_temperature = searched(entropy.monotone_in_temperature, scores=SCORES, cold=TEMPERATURES, step=TEMPERATURES)
test_offset_lowers_entropy = searched(entropy.offset_lowers, weights=ROW)
test_offset_costs_at_most_n_times_itself = searched(entropy.offset_bias, weights=ROW)
test_offset_of_1e_minus_8_computes_entropy = searched(entropy.offset_in_s0, weights=ROW)
test_offset_of_1e_minus_9_computes_entropy = searched(entropy.offset_in_s1, weights=ROW)
test_code_is_not_negative = searched(entropy.code_nonnegative, weights=ROW)
test_offset_guards_where_the_format_reaches = searched(entropy.offset_needs_range, **GUARD)
test_offset_prevents_the_logarithm_of_zero = searched(entropy.offset_guards, **GUARD)
test_js_lies_between_zero_and_log_two = searched(entropy.js_range, first=ROW, second=ROW)
test_js_is_a_mutual_information = searched(entropy.js_is_mutual_information, first=ROW, second=ROW)
test_root_js_obeys_the_triangle_inequality = searched(entropy.root_js, first=ROW, second=ROW, third=ROW)
test_js_obeys_the_triangle_inequality = searched(entropy.js_is_a_distance, first=ROW, second=ROW, third=ROW)
