"""Search for counterexamples to the claims about overflow: whole scores, in formats emulated operation by operation."""

from __future__ import annotations

from hypothesis import strategies as st

from properties.search import searched
from theorems import overflow

formats = st.sampled_from(["float32", "float16", "float64", "bfloat16"])
sizes_of_score = st.one_of(st.integers(-2000, 2000), st.integers(5, 15), st.integers(85, 92), st.integers(705, 714))  # both sides of each threshold
largest_half = st.sampled_from((-65504, 65504))  # differences of these overflow float16 itself
scores = st.lists(sizes_of_score, min_size=1, max_size=5).map(tuple)
at_an_edge = st.lists(st.sampled_from((11, 12, 88, 89, 709, 710)) | sizes_of_score, min_size=1, max_size=3).map(tuple)
far_apart = st.lists(sizes_of_score | largest_half, min_size=1, max_size=5).map(tuple)
small_scores = st.lists(st.integers(-20, 20), min_size=1, max_size=5).map(tuple)

test_where_softmax_as_written_overflows = searched(overflow.naive, fmt=formats, scores=at_an_edge)
test_subtracting_the_maximum_changes_nothing = searched(overflow.shift_is_exact, scores=scores)
test_after_subtracting_the_maximum_nothing_overflows = searched(overflow.shifted, fmt=formats, scores=far_apart)
test_a_temperature_prevents_overflow = searched(overflow.temperature, fmt=formats, scores=scores, temperature=st.integers(2, 20))
test_clipping_prevents_overflow = searched(overflow.clipping, fmt=formats, scores=scores, cap=st.integers(1, 1000))
test_clipping_keeps_the_weights = searched(overflow.clipping_keeps_the_weights, scores=small_scores, cap=st.integers(-9, 9))
test_higher_precision_prevents_overflow = searched(overflow.higher_precision, fmt=st.sampled_from(["float32", "float64"]), scores=scores)
test_the_larger_weight_passes_less_gradient = searched(overflow.large_weight_small_gradient, gap=st.integers(0, 20), wider_by=st.integers(1, 20))
long_rows = st.tuples(st.integers(1, 40), st.fractions(5, 12, max_denominator=128) | st.fractions(83, 90, max_denominator=8)).map(
    lambda row: (row[1],) * row[0]
)
test_below_the_threshold_nothing_overflows = searched(
    overflow.below_the_threshold, fmt=formats, scores=long_rows | at_an_edge, temperature=st.integers(1, 3), cap=st.none() | st.integers(5, 12)
)
test_what_clipping_does_to_the_odds = searched(overflow.clipped_odds, scores=small_scores, cap=st.integers(-9, 9))
test_larger_projections_pass_more_gradient = searched(overflow.large_projections, gap=st.integers(0, 20), wider_by=st.integers(1, 20))
test_the_larger_weight_passes_more_gradient = searched(overflow.large_weights_explode, gap=st.integers(0, 20), wider_by=st.integers(1, 20))
