"""Searches over small tables of counts, rows of fractions and integer values for what breaks theorems/information.py."""

from fractions import Fraction

import hypothesis.strategies as st

from properties.search import searched
from theorems import information

small = st.integers(-2, 2)
counts = st.integers(0, 3)


def distribution(size: int) -> st.SearchStrategy[tuple[Fraction, ...]]:
    return st.tuples(*[st.integers(0, 4)] * (size - 1), st.integers(1, 4)).map(lambda row: tuple(Fraction(x, sum(row)) for x in row))


def table(rows: int, columns: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    """Counts, the last of which is positive."""
    full = st.tuples(*[st.tuples(*[counts] * columns)] * (rows - 1), st.tuples(*[counts] * (columns - 1), st.integers(1, 3)))
    return full


size = st.shared(st.integers(1, 4), key="keys of a row")
rows = st.integers(1, 4).flatmap(lambda n: st.lists(distribution(n), min_size=1, max_size=4).map(tuple))
tokens = st.lists(small, min_size=1, max_size=4).map(tuple)
sharpness = st.sampled_from((0, 1, 2, 5, 20))
length = st.shared(st.integers(2, 4), key="observations")
observed = length.flatmap(lambda n: st.tuples(*[st.integers(0, 3)] * n))
labels = length.flatmap(lambda n: st.tuples(*[st.integers(0, 1)] * n))
tolerance = st.sampled_from([Fraction(1, 10), Fraction(1, 4), Fraction(1, 2)])
chance = st.fractions(Fraction(1, 5), Fraction(4, 5), max_denominator=5)
weights = st.integers(1, 3).flatmap(distribution)
values = st.lists(st.integers(-1, 3), min_size=1, max_size=3).map(tuple)
soft = st.integers(2, 3).flatmap(lambda n: st.tuples(*[st.integers(1, 4)] * n)).map(lambda row: tuple(Fraction(x, sum(row)) for x in row))
two_values = st.lists(st.integers(0, 3), min_size=2, max_size=3, unique=True).map(tuple)
positive = st.integers(1, 3)
varied = st.tuples(  # A, X and Y all vary: two corners of the table are never empty
    st.tuples(st.tuples(positive, counts), st.tuples(counts, counts)), st.tuples(st.tuples(counts, counts), st.tuples(counts, positive))
)
planes = st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 2)).flatmap(lambda n: st.tuples(*[table(n[1], n[2])] * n[0]))
scores = st.lists(st.integers(-1, 2), min_size=1, max_size=3).map(tuple)

test_information_with_the_position_is_a_difference_of_entropies = searched(information.with_position, rows=rows)
test_high_information_means_that_positions_act = searched(information.position_sensitive, tokens=tokens, sharpness=sharpness)
test_information_is_zero_exactly_for_equal_rows = searched(information.zero_iff_rows_equal, tokens=tokens, sharpness=sharpness)
test_information_with_labels_is_a_difference_of_entropies = searched(
    information.with_labels, table=st.tuples(st.integers(1, 3), st.integers(1, 3)).flatmap(lambda n: table(*n))
)
test_observed_vectors_measure_information = searched(information.plug_in_measures, values=observed, labels=labels, tolerance=tolerance)
test_with_few_classes_the_estimate_of_nothing_is_small = searched(information.few_classes, values=observed, labels=labels, tolerance=tolerance)
test_distinct_vectors_give_the_entropy_of_the_labels = searched(information.distinct_vectors, values=observed, labels=labels)
test_observed_frequencies_find_information_where_there_is_none = searched(information.bias, samples=st.integers(1, 5), ones=chance, labels=chance)
test_the_entropy_of_the_weights_bounds_information = searched(information.bottleneck, weights=soft, values=two_values)
test_the_entropy_of_the_values_bounds_information = searched(information.output_and_values, weights=weights, values=values)
test_the_conditional_formula = searched(information.conditional_formula, table=varied)
test_the_chain_rule = searched(information.chain_rule, table=planes)
test_attention_maximises_information = searched(information.maximises, scores=scores, values=values)
test_softmax_maximises_score_and_entropy = searched(information.what_softmax_maximises, scores=scores, values=values)
