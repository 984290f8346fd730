"""Searches on exact inputs for the algebra of multi-head attention: sizes, heads and entries are all drawn.

Arguments that must fit together draw their sizes from one shared strategy.
"""

from hypothesis import strategies as st

from properties.search import searched
from theorems import multi_head

Matrices = st.SearchStrategy[list[list[int]]]
entries = st.integers(-3, 3)
sizes = st.integers(1, 4)
few = st.integers(1, 3)
heads, rows, keys, features, width, narrow = (st.shared(sizes, key=key) for key in ("heads", "rows", "keys", "features", "width", "narrow"))
inputs, inner, askers, asked = (st.shared(few, key=key) for key in ("inputs", "inner", "askers", "asked"))


def lists_of(length: int, width: int) -> Matrices:
    return st.lists(st.lists(entries, min_size=width, max_size=width), min_size=length, max_size=length)


def matrices(length: st.SearchStrategy[int], width: st.SearchStrategy[int]) -> Matrices:
    """Integer matrices [length, width], both drawn."""
    return st.tuples(length, width).flatmap(lambda size: lists_of(*size))


head_lists = st.tuples(heads, rows, features).flatmap(lambda size: st.lists(lists_of(size[1], size[2]), min_size=size[0], max_size=size[0]))
projections = matrices(st.tuples(heads, features).map(lambda size: size[0] * size[1]), width)
weights = st.tuples(inputs, inner).flatmap(lambda size: st.lists(lists_of(*size), min_size=3, max_size=3))
head_inputs = {"queries": matrices(askers, inputs), "keys": matrices(asked, inputs), "values": matrices(asked, inputs), "weights": weights}

test_concatenating_and_projecting_is_a_sum_over_heads = searched(multi_head.concatenation_is_sum, heads=head_lists, projection=projections)
test_removing_a_head_is_zeroing_its_rows = searched(multi_head.removing_a_head, heads=head_lists, projection=projections, head=st.integers(0, 3))
test_a_head_stays_in_its_subspace = searched(
    multi_head.head_subspace,
    head=matrices(rows, features),
    block=matrices(features, width),
    queries=matrices(rows, narrow),
    keys=matrices(keys, narrow),
)
test_the_two_definitions_of_a_head_agree = searched(multi_head.definitions_agree, **head_inputs)
test_the_definitions_agree_on_one_input = searched(multi_head.definitions_agree_on_one_input, **head_inputs)
test_parameters_do_not_depend_on_the_number_of_heads = searched(multi_head.parameters, heads=sizes, head_width=sizes, length=sizes)
test_wider_keys_keep_every_score = searched(
    multi_head.wider_keys_score_more, queries=matrices(rows, narrow), keys=matrices(keys, narrow), more=st.integers(0, 5)
)
asking, projected = matrices(rows, narrow), {"projection": matrices(narrow, features)}
shared_rows = st.shared(asking, key="rows that ask")
asked_rows = asking | matrices(keys, narrow)  # self-attention or cross-attention
test_queries_and_keys_come_from_one_input = searched(multi_head.one_input, asking=asking, asked=asked_rows, **projected)
test_one_input_is_self_attention = searched(
    multi_head.one_input_is_self_attention,
    asking=st.shared(asking, key="rows that ask"),
    asked=st.shared(asking, key="rows that ask") | asked_rows,
    **projected,
)
test_equally_long_queries_and_keys_come_from_one_input = searched(
    multi_head.one_input_if_equally_long, queries=matrices(rows, narrow), keys=matrices(keys, narrow)
)
