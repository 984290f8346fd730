"""Searches on small integers for scores and values that break what theorems/convexity.py says."""

import hypothesis.strategies as st

from properties.search import searched
from theorems import convexity

small = st.integers(-4, 4)
sizes = st.shared(st.tuples(*[st.integers(1, 5)] * 2), key="keys and width of a convexity case")
row = sizes.flatmap(lambda size: st.tuples(*[small] * size[0]))
values = sizes.flatmap(lambda size: st.tuples(*[st.tuples(*[small] * size[1])] * size[0]))
flags = sizes.flatmap(lambda size: st.tuples(*[st.booleans()] * size[0]))
feature = sizes.flatmap(lambda size: st.tuples(*[small] * size[1]))
queries = sizes.flatmap(lambda size: st.lists(st.tuples(*[small] * size[1]), min_size=1, max_size=4).map(tuple))

test_the_output_lies_in_the_hull_of_the_values = searched(convexity.output_in_the_hull, scores=row, values=values)
test_the_output_is_no_longer_than_the_longest_value = searched(convexity.output_norm, scores=row, values=values)
test_pruning_moves_the_output_by_at_most_the_mass_times_the_diameter = searched(convexity.pruned_mass, scores=row, values=values, dropped=flags)
test_every_key_is_attended = searched(convexity.every_key_is_attended, scores=row)
test_rows_belong_to_queries_and_sum_to_one = searched(convexity.rows_are_queries, queries=queries, keys=values)
test_one_letter_means_one_quantity = searched(convexity.one_letter, query=feature, key=feature)
test_scaling_inside_or_outside_gives_the_same_weights = searched(convexity.scaled_once, query=feature, key=feature)
