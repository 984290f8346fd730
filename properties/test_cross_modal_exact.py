"""Searches over small modalities for what breaks theorems/cross_modal.py."""

import hypothesis.strategies as st

from properties.search import searched
from theorems import cross_modal

small = st.integers(-2, 2)
not_zero = st.sampled_from((1, 2, -1, -2))


def matrix(rows: int, columns: int, entry: st.SearchStrategy[int] = small) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return st.tuples(*[st.tuples(*[entry] * columns)] * rows)


sizes = st.shared(st.tuples(*[st.integers(1, 3)] * 4), key="tokens, regions, width of keys and width of values")
queries = sizes.flatmap(lambda size: matrix(size[0], size[2]))
keys = sizes.flatmap(lambda size: matrix(size[1], size[2]))
values = sizes.flatmap(lambda size: matrix(size[1], size[3]))
visual = sizes.flatmap(lambda size: matrix(size[2], size[1]))  # [width, regions]
text = sizes.flatmap(lambda size: matrix(size[2], size[0]))
bilinear = sizes.flatmap(lambda size: matrix(size[2], size[2]))

test_both_directions_have_types = searched(cross_modal.types, queries=queries, keys=keys, values=values)
test_content_flows_along_the_arrow = searched(cross_modal.direction, queries=queries, keys=keys, values=values, region=st.integers(0, 2), shift=small)
test_co_attention_as_printed = searched(cross_modal.co_attention_as_printed, visual=visual, text=text, bilinear=bilinear)
test_co_attention = searched(cross_modal.co_attention, visual=visual, text=text, bilinear=bilinear)
test_co_attention_attends_at_once = searched(
    cross_modal.simultaneous,
    visual=sizes.flatmap(lambda size: matrix(size[2], size[1], not_zero)),
    text=sizes.flatmap(lambda size: matrix(size[2], size[0], not_zero)),
    bilinear=sizes.flatmap(lambda size: matrix(size[2], size[2], not_zero)),
)
test_co_attention_ends_in_two_averages = searched(cross_modal.two_summaries, visual=visual, text=text, bilinear=bilinear)
