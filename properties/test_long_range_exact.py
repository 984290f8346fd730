"""Searches for counterexamples to the claims about long sequences: patterns are followed pair by pair, chances are fractions."""

from __future__ import annotations

from hypothesis import strategies as st

from properties.search import searched
from theorems import long_range

lengths = st.shared(st.integers(1, 14), key="tokens of a pattern")
reaches = st.integers(1, 3)
places = st.integers(0, 13)
layers = st.integers(2, 3)
some = lengths.flatmap(lambda n: st.sets(st.integers(0, n - 1)).map(sorted).map(tuple))
one_or_more = lengths.flatmap(lambda n: st.sets(st.integers(0, n - 1), min_size=1, max_size=3).map(sorted).map(tuple))
global_case = {"length": lengths, "reach": reaches, "selected": one_or_more}

small = st.integers(-2, 2)
weights = st.tuples(small, small)
stack = st.lists(weights, min_size=1, max_size=2).map(tuple)

many = st.shared(st.integers(1, 40), key="tokens of which many are selected")
every_one = many.map(lambda n: tuple(range(n)))  # the number of selected tokens grows with the length
test_longformer_takes_a_multiple_of_nw_pairs = searched(
    long_range.longformer_cost_as_made, length=many, reach=reaches, selected=every_one, factor=st.integers(5, 10)
)
test_the_pairs_of_longformer = searched(long_range.longformer_cost, length=lengths, reach=reaches, selected=some, factor=st.integers(1, 5))

dilated = {"length": st.integers(1, 30), "reach": reaches, "dilation": st.integers(2, 4), "place": st.integers(0, 29)}
test_gaps_increase_with_distance = searched(long_range.increasing_gaps, **dilated)
test_gaps_are_the_dilation = searched(long_range.constant_gaps, **dilated | {"dilation": st.integers(1, 4)})

test_tokens_that_read_everything_mix_globally = searched(long_range.global_mixing, **global_case, layers=layers)
test_global_tokens_in_both_directions_mix_in_two_layers = searched(long_range.global_both_ways, **global_case, layers=layers)
test_how_far_one_way_global_tokens_mix = searched(long_range.readers_alone, length=lengths, reach=reaches, selected=some, layers=st.integers(1, 4))

test_the_pairs_of_bigbird = searched(
    long_range.bigbird_cost, length=st.integers(1, 24), reach=st.integers(0, 2), globals_=st.integers(0, 3), count=st.integers(0, 3), start=places
)

bigbird = {
    "tokens": st.lists(small, min_size=6, max_size=9).map(tuple), "reach": st.just(1), "selected": places, "random": st.integers(1, 2),
    "place": places, "key": places, "token": st.integers(3, 4), "weights": st.tuples(small, st.integers(1, 2)),
}  # fmt: skip
test_one_layer_of_bigbird_tells_apart_what_full_attention_does = searched(long_range.expressive_as_made, **bigbird)
test_two_layers_hand_the_whole_input_over = searched(long_range.two_layers_hand_over, **bigbird)
test_what_passes_a_cut = searched(
    long_range.bottleneck, left=st.integers(1, 5), more=st.integers(0, 3), reach=reaches, globals_=st.integers(0, 2), layers=st.integers(1, 3),
    numbers=st.lists(st.integers(1, 9), min_size=5, max_size=11).map(tuple),
)  # fmt: skip

test_random_keys_leave_nobody_unread = searched(long_range.random_readers, length=st.integers(1, 60), draws=st.integers(1, 4))
test_how_many_keys_are_unread = searched(long_range.unread_keys, length=st.integers(1, 5) | st.integers(1, 60), draws=st.integers(1, 4))
test_how_many_random_keys_are_enough = searched(long_range.enough_random_keys, length=st.integers(1, 60), draws=st.integers(1, 12))
test_draws_with_replacement = searched(long_range.random_with_replacement, length=st.integers(1, 5) | st.integers(1, 60), draws=st.integers(1, 4))
drawn = lengths.flatmap(lambda n: st.tuples(*[st.tuples(places, places)] * n))
test_an_unread_token_stays_unread = searched(long_range.unread_token, drawn=drawn, layers=st.integers(1, 3))
test_the_cost_of_random_positions = searched(long_range.random_cost, length=st.integers(1, 9), draws=st.integers(1, 9), width=st.integers(1, 6))

nonzero = st.sampled_from((1, -1, 2, -2))
deep = st.lists(st.tuples(nonzero, nonzero), min_size=1, max_size=2).map(tuple)
generation = {"tokens": st.lists(small, min_size=1, max_size=5).map(tuple), "weights": deep, "place": places, "token": small}
test_unmasked_generation_sees_the_future = searched(long_range.generation_needs_mask, **generation)
test_one_masked_pass_is_recomputation = searched(long_range.one_pass, **generation)
test_the_pairs_of_generation = searched(long_range.generation_cost, length=st.integers(1, 12), layers=st.integers(1, 4))
test_both_sides_are_seen_without_a_mask = searched(
    long_range.both_sides, tokens=st.lists(st.integers(0, 1), min_size=1, max_size=5).map(tuple), weights=stack, place=places
)

chains = {"length": st.integers(1, 9), "layers": st.integers(1, 4), "known": st.booleans()}
test_layers_are_evaluated_at_once = searched(long_range.parallel_as_made, **chains)
test_generation_is_a_chain = searched(long_range.sequential_generation, **chains)

widths = st.integers(1, 3)
keys = st.shared(st.integers(1, 4), key="keys of a pattern of weights")
with_zeros = keys.flatmap(lambda n: st.tuples(*[st.sampled_from((1, 2, 4, 8, 0))] * n).filter(any))
positive_rows = keys.flatmap(lambda n: st.tuples(*[st.sampled_from((1, 2, 4, 8))] * n))
positive_patterns = st.lists(positive_rows, min_size=1, max_size=4).map(tuple)
patterns = positive_patterns | st.lists(with_zeros, min_size=1, max_size=3).map(tuple)
some_scores = st.integers(1, 5).flatmap(lambda n: st.tuples(*[small] * n))
test_full_attention_excludes_no_pair = searched(long_range.no_pair_excluded, scores=some_scores, hidden=places)
test_every_pattern_is_reached = searched(long_range.any_pattern, weights=positive_patterns, width=widths)
test_which_patterns_are_reached = searched(long_range.reached_patterns, weights=patterns, width=widths)

test_the_length_that_a_budget_buys = searched(long_range.length_for_a_budget, budget=st.integers(0, 150), keys=st.integers(1, 9))
row_lengths = st.shared(st.integers(1, 6), key="keys of a row under a window")
row = row_lengths.flatmap(lambda n: st.tuples(*[small] * n))
test_what_a_window_leaves_out = searched(long_range.window_bias, scores=row, values=row, place=places, reach=st.integers(0, 2))
test_twice_the_length_is_four_times_the_work = searched(long_range.quadratic, length=st.integers(1, 12), width=st.integers(1, 6))

remedies = {"method": st.sampled_from(long_range.METHODS), "block": st.integers(2, 4), "blocks": st.integers(1, 40), "share": st.integers(1, 6)}
test_each_remedy_is_linear = searched(long_range.solutions_as_made, **remedies)
test_the_pairs_of_each_remedy = searched(long_range.solutions, **remedies | {"share": st.integers(0, 6)})
