"""Searches on short sequences, small patterns and small integers for cases that break what theorems/sparsity.py says."""

import hypothesis.strategies as st

from properties.search import searched
from theorems import sparsity

small = st.integers(-3, 3)
shifts = st.integers(1, 3)
sizes = st.integers(1, 4)
names = st.sampled_from(sparsity.PATTERNS)

keys = st.shared(st.integers(1, 5), key="keys of a sparse row")
row = keys.flatmap(lambda n: st.tuples(*[small] * n))
chosen = keys.flatmap(lambda n: st.sets(st.integers(0, n - 1), min_size=1, max_size=n).map(lambda kept: tuple(key in kept for key in range(n))))
of_keys = keys.flatmap(lambda n: st.integers(0, n - 1))

lengths = st.shared(st.integers(3, 6), key="positions of a sparse stack")
tokens = lengths.flatmap(lambda n: st.tuples(*[small] * n))
places = lengths.flatmap(lambda n: st.integers(0, n - 1))
any_rows = lengths.flatmap(lambda n: st.tuples(*[st.frozensets(st.integers(0, n - 1), min_size=1)] * n))
listed_rows = lengths.flatmap(lambda n: st.builds(sparsity.pattern, names, st.integers(2, 4), st.just(n)))
stacks = st.lists(any_rows | listed_rows, min_size=1, max_size=4).map(tuple)
around = st.sampled_from([name for name in sparsity.PATTERNS if name != "fixed window"])  # the patterns of the text whose words are judged
deep_stacks = lengths.flatmap(
    lambda n: st.builds(sparsity.pattern, around, st.integers(1, 4), st.just(n)).map(lambda rows: (rows,) * n)
)  # no depth beyond n helps

alone = st.integers(1, 7).flatmap(lambda n: st.tuples(*[st.frozensets(st.integers(0, n - 1), min_size=1, max_size=3)] * n))
windows = st.builds(sparsity.pattern, st.just("sliding window"), st.integers(1, 2), st.integers(1, 24))
in_long = st.integers(1, 2).flatmap(  # n ≥ 5(2w + 1)
    lambda w: st.builds(sparsity.pattern, st.just("sliding window"), st.just(w), st.integers(0, 9).map(lambda further: 5 * (2 * w + 1) + further))
)

short = st.shared(st.integers(1, 12), key="positions of two dilations")
in_short = short.flatmap(lambda n: st.integers(0, n - 1))
long = st.shared(st.integers(1, 40), key="positions in a segment")
two_or_more = st.shared(st.integers(2, 40), key="positions of which none is alone")
in_segment = long.flatmap(lambda n: st.integers(0, n - 1))
at_a_power = st.integers(0, 5).flatmap(lambda m: st.integers(max(1, 2**m - 1), 2**m + 1))
segment = st.shared(st.integers(1, 40) | at_a_power, key="positions in a dilated segment")
either_end = segment.flatmap(lambda n: st.integers(0, n - 1) | st.sampled_from((0, n - 1)))

test_softmax_over_a_set_is_masked_softmax = searched(sparsity.sparse_is_masked_dense, scores=row, values=row, visible=chosen)
test_weights_are_positive_on_the_set_alone = searched(sparsity.support, scores=row, values=row, visible=chosen, place=of_keys, shift=shifts)
test_influence_is_the_boolean_product = searched(sparsity.receptive_field, layers=stacks, tokens=tokens, place=places, shift=shifts)
test_sparse_stacks_lose_no_dependence = searched(sparsity.keeps_every_dependence, layers=deep_stacks, tokens=tokens, place=places, shift=shifts)
test_a_sparse_row_stays_among_its_values = searched(sparsity.hull_of_the_set, scores=row, values=row, visible=chosen)

test_pairs_of_each_pattern = searched(sparsity.pairs_touched, name=names, size=st.integers(1, 9), length=st.integers(1, 30))
test_cost_follows_pairs = searched(sparsity.cost_follows_pairs, rows=alone | windows, width=st.integers(1, 4))
test_masking_after_softmax_reduces_cost = searched(sparsity.masking_reduces_cost, rows=in_long, width=st.integers(1, 4))
test_every_pattern_is_of_lower_order = searched(
    sparsity.patterns_reduce_the_order, name=names, size=st.integers(2, 5), share=st.integers(6, 9), further=st.integers(0, 99)
)
test_patterns_with_short_rows_are_of_lower_order = searched(sparsity.short_rows, name=names, size=sizes, share=st.integers(1, 8), further=st.integers(0, 99))
test_a_fixed_stride_is_of_lower_order = searched(sparsity.fixed_stride_solves, step=st.integers(2, 5), share=st.integers(6, 9), further=st.integers(0, 99))
test_a_stride_divides_the_pairs = searched(sparsity.strided_pairs, step=st.integers(1, 9), share=st.integers(1, 8), further=st.integers(0, 99))
test_windows_are_linear = searched(sparsity.windows_are_linear, length=st.integers(1, 40), reach=st.integers(1, 6))
intervals = {"interval": st.integers(2, 4), "share": st.integers(1, 3), "bounded": st.booleans(), "further": st.integers(0, 9)}
test_regular_intervals_are_linear = searched(sparsity.regular_intervals_are_linear, **intervals)
test_limited_intervals_are_linear = searched(sparsity.limited_intervals_are_linear, **intervals)

test_a_stride_sees_every_kth_position = searched(sparsity.residue_classes, step=st.integers(1, 9), length=st.integers(1, 30))
test_a_stride_never_mixes_classes = searched(
    sparsity.strided_never_mixes, step=st.integers(1, 4), layers=st.integers(1, 5), tokens=tokens, place=places, shift=shifts
)
test_dilated_gaps_double = searched(sparsity.dilated_gaps, length=long.map(lambda n: n + 1), place=in_segment)
test_the_dilated_set_is_never_empty = searched(
    sparsity.dilated_set_as_written, length=two_or_more, place=two_or_more.flatmap(lambda n: st.integers(0, n - 1)), clipped=st.booleans()
)
test_the_dilated_set_with_itself_is_never_empty = searched(sparsity.dilated_set_with_itself, length=long, place=in_segment, causal=st.booleans())
test_dilated_hops_are_logarithmic = searched(sparsity.dilated_hops, length=segment, start=either_end, end=either_end)
test_dilated_hops_are_half_the_bits = searched(sparsity.dilated_hops_halved, length=segment, start=either_end, end=either_end)
test_all_of_these_hops_are_needed = searched(sparsity.dilated_hops_attained, length=st.sampled_from(sparsity.ATTAINED))
test_dilated_means_one_thing = searched(sparsity.dilated_means_one_thing, length=short, place=in_short)
test_dilated_means_two_things = searched(sparsity.dilations_differ, length=short, place=in_short)

test_a_window_sees_2lw_plus_1 = searched(
    sparsity.window_depth_as_made, length=st.integers(6, 40), reach=sizes, layers=st.integers(1, 4), place=st.integers(0, 5)
)
test_a_window_sees_what_the_ends_leave = searched(sparsity.window_depth, length=long, reach=sizes, layers=st.integers(1, 4), place=in_segment)
test_fixed_and_sliding_windows_differ = searched(sparsity.fixed_and_sliding, length=st.integers(1, 30), reach=sizes)
test_pairs_of_blocks_with_representatives = searched(sparsity.blocks_and_representatives, count=st.integers(1, 6), size=st.integers(1, 6))
test_two_layers_of_blocks_with_representatives_join_all = searched(sparsity.blocks_two_hops, size=st.integers(1, 6), length=st.integers(1, 20))
