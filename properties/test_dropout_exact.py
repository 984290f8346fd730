"""Search small rows for counterexamples to the claims about dropout: every mask of a row is enumerated, in fractions."""

from fractions import Fraction

from hypothesis import strategies as st

from properties.search import searched
from theorems import dropout

length = st.shared(st.integers(1, 5), key="keys of a dropped row")
parts = length.flatmap(lambda n: st.tuples(*[st.integers(0, 4)] * n))
values = length.flatmap(lambda n: st.tuples(*[st.integers(-4, 4)] * n))
bits = length.flatmap(lambda n: st.tuples(*[st.booleans()] * n))
kept = st.sampled_from([Fraction(1, 2), Fraction(9, 10), Fraction(3, 4), Fraction(1, 5), Fraction(2, 3)])
several = st.shared(st.integers(2, 5), key="keys of a row that keeps its first")
shared_out = several.flatmap(lambda n: st.tuples(*[st.integers(1, 4)] * n))
first_kept = several.flatmap(lambda n: st.tuples(st.just(True), *[st.booleans()] * (n - 1)))
pair = st.tuples(st.integers(0, 5), st.integers(0, 5))
two_values = st.tuples(st.integers(-4, 4), st.integers(-4, 4))

test_dropout_is_unbiased = searched(dropout.unbiased, parts=parts, values=values, kept=kept)
test_a_row_sums_to_the_kept_mass = searched(dropout.row_sum, parts=parts, bits=bits, kept=kept)
test_a_dropped_row_is_a_distribution = searched(dropout.distribution_after, parts=shared_out, bits=first_kept, kept=kept)
test_the_variance_of_dropout = searched(dropout.variance, parts=parts, values=values, kept=kept)
test_how_often_a_row_loses_everything = searched(dropout.all_dropped, length=st.integers(1, 8), kept=kept)
test_ratios_stay = searched(dropout.ratios_stay, parts=parts, bits=bits, kept=kept)
test_renormalising_is_biased = searched(dropout.renormalised, parts=pair, kept=kept)
test_dropout_on_the_scores_is_biased = searched(dropout.before_softmax, gap=st.integers(1, 12), kept=kept)
test_non_linear_layers_are_biased = searched(dropout.nonlinear_layers, parts=parts, values=values, kept=kept)
test_the_penalty_of_dropout = searched(dropout.penalty, values=two_values, aim=st.integers(-4, 4), kept=kept)
test_dropout_prevents_collapse = searched(dropout.prevents_collapse, values=two_values, aim=st.integers(-4, 4), kept=kept)
