"""Searches on small sizes for the claims about cost: every count is made by running the loops."""

from hypothesis import strategies as st

from properties.search import searched
from theorems import cost

sizes = st.integers(1, 9)
widths = st.integers(1, 12)
heads = st.integers(1, 4)
entries = st.integers(-3, 3)
queries, keys, features = (st.shared(st.integers(1, 4), key=key) for key in ("queries", "keys", "features"))


def matrices(length: st.SearchStrategy[int], width: st.SearchStrategy[int]) -> st.SearchStrategy[list[list[int]]]:
    """Integer matrices [length, width], both drawn."""
    shape = st.tuples(length, width)
    return shape.flatmap(lambda size: st.lists(st.lists(entries, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]))


test_attention_takes_of_the_order_of_n2d_operations = searched(cost.time, length=sizes, width=sizes)
test_the_breakdown_does_not_depend_on_heads = searched(cost.breakdown_as_made, length=sizes, head_width=heads, heads=heads)
test_the_breakdown_of_a_layer = searched(cost.breakdown, length=sizes, head_width=heads, heads=heads)
test_the_total_memory_leaves_the_values_out = searched(cost.memory_of_text, length=sizes, width=widths)
test_the_memory_of_standard_attention = searched(cost.memory, length=sizes, width=widths)
test_memory_grows_as_n2d = searched(cost.memory_n2d, length=st.integers(1, 20), width=st.integers(1, 20), share=st.integers(1, 3))
test_memory_is_below_n2d = searched(cost.memory_n2d_bound, length=sizes, width=widths)
test_memory_is_of_order_n2_and_nd = searched(cost.memory_order, length=sizes, width=widths, share=heads)
test_each_row_is_computed_alone = searched(
    cost.rows_are_independent, queries=matrices(queries, features), keys_=matrices(keys, features), values=matrices(keys, st.just(2))
)
test_one_depth_serves_every_length = searched(cost.constant_depth, length=st.integers(1, 40), depth=st.integers(1, 7))
test_the_depth_of_a_sum_is_logarithmic = searched(cost.logarithmic_depth, length=st.integers(1, 40), depth=st.integers(1, 7))

tiles = st.integers(1, 5)
test_the_memory_of_tiled_attention_is_linear = searched(cost.tiled_memory, rows=sizes, keys=sizes, block_rows=tiles, block_keys=tiles)
test_less_memory_means_recomputation = searched(cost.recomputing_on_the_fly, rows=sizes, keys=sizes, block_rows=tiles, block_keys=tiles)
test_the_backward_pass_recomputes_each_score_once = searched(cost.recomputation_serves_backward, rows=sizes, keys=sizes, block_rows=tiles, block_keys=tiles)
test_the_loop_as_written_loads_least = searched(cost.loop_as_written, rows=sizes, keys=sizes, width=sizes, block_rows=tiles, block_keys=tiles)
test_loads_with_queries_outside = searched(cost.loads_with_queries_outside, rows=sizes, keys=sizes, width=sizes, block_rows=tiles, block_keys=tiles)
