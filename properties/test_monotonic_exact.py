"""Searches over stopping probabilities, draws and joint laws of draws that break what theorems/monotonic.py says: every expectation is taken by enumeration."""

from fractions import Fraction

import hypothesis.strategies as st

from properties.search import searched
from theorems import monotonic

chance = st.sampled_from([Fraction(x, 4) for x in range(5)]) | st.builds(Fraction, st.integers(0, 7), st.integers(7, 9))  # saturated ones among them
inside = st.sampled_from([Fraction(1, 2), Fraction(1, 3), Fraction(3, 4)])
chances = st.lists(chance, min_size=1, max_size=5).map(tuple)
proper = st.lists(inside | st.just(Fraction(1)), min_size=1, max_size=5).map(tuple)
several = st.lists(chance, min_size=2, max_size=5).map(tuple)
bits = st.integers(0, 1)

size = st.shared(st.integers(1, 4), key="positions of a monotonic case")
step = size.flatmap(lambda n: st.tuples(*[chance] * n))
rows = size.flatmap(lambda n: st.lists(st.tuples(*[chance] * n), min_size=2, max_size=4).map(tuple))
distributions = size.flatmap(
    lambda n: st.lists(st.tuples(*[chance] * n), min_size=2, max_size=4).map(lambda x: tuple((*y, Fraction(1)) for y in x))
)  # a last p of 1
previous = size.flatmap(lambda n: st.tuples(st.integers(1, 3), *[st.integers(0, 3)] * (n - 1)).flatmap(st.permutations)).map(
    lambda x: tuple(Fraction(y, sum(x)) for y in x)
)
sigmoids = size.flatmap(lambda n: st.tuples(*[inside | st.builds(lambda e: 1 - Fraction(1, 2**e), st.integers(4, 24))] * n))  # none of them 0 or 1
small_rows = st.shared(st.integers(1, 3), key="positions of an alignment").flatmap(
    lambda n: st.lists(st.tuples(*[inside] * n), min_size=1, max_size=3).map(tuple)
)
path = st.shared(st.integers(1, 3), key="positions of an alignment").flatmap(lambda n: st.tuples(*[st.integers(0, n - 1)] * 3))
draws = st.integers(1, 5).flatmap(lambda n: st.lists(st.tuples(*[bits] * n), min_size=1, max_size=4).map(tuple))
law = st.integers(1, 3).flatmap(lambda n: st.tuples(*[st.integers(0, 3)] * 2**n))
values = st.tuples(*[st.integers(-3, 3)] * 5)
single = st.integers(1, 30).flatmap(lambda e: st.integers(1, 2 ** min(e, 24) - 1).map(lambda x: Fraction(x, 2**e)))  # float32 strictly between 0 and 1
long_rows = {"p": single, "length": st.integers(1, 160), "last": st.integers(1, 15), "behind": st.integers(0, 3)}

test_the_weights_miss_the_probability_of_no_stop = searched(monotonic.row_mass, chances=chances)
test_the_weights_are_a_distribution = searched(monotonic.distribution, chances=proper)
test_p_is_the_probability_of_stopping = searched(monotonic.stopping_probability, chances=chances)
test_p_is_the_probability_of_attending = searched(monotonic.marginal, chances=chances)
test_the_cases_and_the_soft_formula_agree = searched(monotonic.one_function, chances=chances)
test_any_weights_come_from_the_formula = searched(
    monotonic.any_row, weights=st.lists(st.integers(0, 4), min_size=1, max_size=6).map(tuple), rest=st.integers(0, 3)
)
test_no_prefix_gains_mass = searched(monotonic.prefix_mass, rows=rows)
test_the_formula_of_a_row_never_steps_back = searched(monotonic.progression, rows=distributions)
test_the_recurrence_is_the_expectation = searched(monotonic.recurrence, previous=previous, chances=step)
test_stepwise_attention_moves_by_at_most_one = searched(monotonic.stepwise, previous=previous, chances=step)
test_the_closed_form_is_the_expectation = searched(monotonic.closed_form_solves, previous=previous, chances=sigmoids | step)
test_the_clipped_closed_form_scales_what_begins_late = searched(monotonic.clipped_closed_form, previous=previous, chances=sigmoids | step)
test_the_closed_form_in_floats = searched(monotonic.closed_form_in_floats, **long_rows)
test_the_recurrence_in_floats = searched(monotonic.recurrence_in_floats, **long_rows)
test_hard_attention_picks_one_position = searched(monotonic.one_position, draws=st.lists(bits, min_size=1, max_size=10).map(tuple))
test_soft_is_the_mean_of_hard = searched(monotonic.expectation, chances=chances)
test_hazards_decide_the_mean = searched(monotonic.hazards_decide, law=law)
test_marginals_decide_the_mean = searched(monotonic.marginals_decide, law=law)
test_the_weights_are_affine_in_each_p = searched(monotonic.gradient, chances=chances, change=st.builds(Fraction, st.integers(-3, 3), st.integers(1, 3)))
test_soft_weights_are_the_nearest_fixed_ones = searched(monotonic.best_constant, chances=chances, fixed=st.tuples(*[chance] * 5))
test_the_error_of_soft_weights = searched(monotonic.worst_error, chances=several)
test_the_soft_output_is_the_mean_output = searched(monotonic.mean_output, chances=chances, values=values)
test_later_layers_see_the_mean = searched(monotonic.later_layers, chances=chances, values=values)
test_soft_is_near_hard = searched(monotonic.approximates_hard, chances=st.lists(inside | st.just(Fraction(1)), min_size=1, max_size=2).map(tuple))
test_soft_is_hard_when_saturated = searched(monotonic.saturated, chances=chances)
test_later_positions_change_nothing = searched(monotonic.online, chances=chances, later=st.lists(chance, max_size=3).map(tuple))
test_scans_look_at_few_positions = searched(monotonic.linear_time, draws=draws)
test_alignments_that_can_be_followed = searched(monotonic.alignments, rows=small_rows, path=path)
test_chunkwise_weights_keep_the_mass = searched(monotonic.chunkwise_mass, chances=chances, heights=st.tuples(*[st.integers(1, 5)] * 5), width=st.integers(1, 4))
