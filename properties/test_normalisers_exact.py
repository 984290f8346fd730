"""Search small rows of scores for counterexamples to what theorems/normalisers.py says about sinks, sigmoids, sparsemax and entmax."""

from fractions import Fraction

from hypothesis import strategies as st

from properties.search import searched
from theorems import normalisers

whole = st.integers(-5, 5)
close = st.sampled_from([Fraction(e, 4) for e in range(-8, 9)])  # so close that several keys share the support, ties among them
score = whole | close
length = st.shared(st.integers(1, 6), key="keys of a row of a normaliser")
scores = length.flatmap(lambda n: st.tuples(*[score] * n))
others = length.flatmap(lambda n: st.tuples(*[score] * n))
near, near_too = (length.flatmap(lambda n: st.tuples(*[st.sampled_from([Fraction(e, 8) for e in range(-2, 3)])] * n)) for _ in range(2))  # one support
parts = length.flatmap(lambda n: st.tuples(*[st.integers(0, 4)] * n))
values = length.flatmap(lambda n: st.tuples(*[whole] * n))
shares = st.integers(1, 11).map(lambda e: Fraction(e, 12))
alphas = st.sampled_from([Fraction(2), Fraction(3, 2)])
temperatures = st.sampled_from([Fraction(1, 4), Fraction(1), Fraction(3)])

test_with_a_sink_the_weights_sum_to_less_than_one = searched(normalisers.sink_mass, scores=scores, sink_score=score)
test_a_sink_is_one_more_key_of_value_zero = searched(normalisers.sink_is_a_key, scores=scores, values=values, sink_score=score)
test_a_sink_shortens_the_output = searched(normalisers.sink_shrinks, scores=scores, values=values, sink_score=score)
test_a_shift_matters_beside_a_sink = searched(normalisers.sink_shift, scores=scores, shift=score, sink_score=score)
test_sigmoid_rows_sum_to_anything = searched(normalisers.sigmoid_row_sum, scores=scores, target=shares)
test_under_a_sigmoid_keys_do_not_compete = searched(normalisers.sigmoid_no_competition, scores=scores, key=st.integers(0, 5), change=st.integers(-3, 3))
test_softmax_of_two_keys_is_a_sigmoid = searched(normalisers.two_keys, own=score, others=scores)
test_the_bias_of_sigmoid_attention = searched(normalisers.sigmoid_bias, scores=scores)
test_the_threshold_of_sparsemax = searched(normalisers.sparsemax_threshold, scores=scores)
test_sparsemax_is_the_nearest_distribution = searched(normalisers.sparsemax_projection, scores=scores, parts=parts)
test_sparsemax_does_not_see_a_shift = searched(normalisers.sparsemax_shift, scores=scores, shift=score)
test_the_jacobian_of_sparsemax = searched(normalisers.sparsemax_jacobian, scores=scores, toward=others)
test_sparsemax_never_moves_further_than_its_scores = searched(normalisers.sparsemax_nonexpansive, scores=scores | near, others=others | near_too)
test_sparsemax_reaches_every_distribution = searched(normalisers.sparsemax_reaches_all, parts=parts, shift=score)
test_the_form_of_entmax = searched(normalisers.entmax_form, scores=scores)
test_entmax_maximises_score_plus_entropy = searched(normalisers.entmax_maximises, scores=scores, parts=parts)
test_entmax_does_not_see_a_shift = searched(normalisers.entmax_shift, scores=scores, shift=score)
test_the_jacobian_of_entmax = searched(normalisers.entmax_jacobian, scores=scores, toward=others)
test_keys_far_below_the_best_get_nothing = searched(normalisers.entmax_cut_off, scores=scores, alpha=alphas)
test_supports_are_nested = searched(normalisers.nested_supports, scores=scores)
test_entmax_falls_short_of_the_maximum_by_little = searched(normalisers.entmax_shortfall, scores=scores, alpha=alphas)
test_softmax_falls_short_of_the_maximum_by_its_entropy = searched(normalisers.softmax_shortfall, scores=scores, temperature=temperatures)
