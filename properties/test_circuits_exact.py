"""Searches over sequences, relations and sharpness for constructed circuits that do not do what theorems/circuits.py says of them."""

from hypothesis import strategies as st

from properties.search import searched
from theorems import circuits

small = st.integers(-2, 2)
symbols = st.lists(st.integers(0, 3), min_size=1, max_size=6)
sharpness = st.integers(0, 12)
kinds = st.shared(st.integers(1, 3), key="kinds of tokens")
widths = st.shared(st.integers(1, 3), key="features of an example")
sizes = st.shared(st.integers(1, 4), key="examples, or keys")


def square(entries: st.SearchStrategy[object]) -> st.SearchStrategy[list[list[object]]]:
    return kinds.flatmap(lambda size: st.lists(st.lists(entries, min_size=size, max_size=size), min_size=size, max_size=size))


def vectors(length: st.SearchStrategy[int], entries: st.SearchStrategy[int] = small) -> st.SearchStrategy[list[int]]:
    return length.flatmap(lambda size: st.lists(entries, min_size=size, max_size=size))


def matrices(rows: st.SearchStrategy[int], columns: st.SearchStrategy[int]) -> st.SearchStrategy[list[list[int]]]:
    return st.tuples(rows, columns).flatmap(lambda size: st.lists(st.lists(small, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]))


def tables(entries: st.SearchStrategy[int]) -> st.SearchStrategy[list[list[int]]]:
    """[position][token] for the four positions and tokens before the last one."""
    return st.lists(st.lists(entries, min_size=4, max_size=4), min_size=4, max_size=4)


paths_of = st.lists(st.tuples(matrices(sizes, sizes), matrices(widths, widths)), min_size=1, max_size=2)

test_a_head_looks_back = searched(circuits.previous_token, length=st.integers(1, 6), offset=st.integers(1, 3), sharpness=sharpness)
test_no_head_finds_the_previous_token_by_content = searched(
    circuits.previous_token_needs_positions,
    earlier=st.lists(small, min_size=2, max_size=5),
    current=small,
    form=st.integers(-5, 5),
    place=st.integers(0, 4),
)
test_a_head_follows_any_relation = searched(circuits.any_relation, relation=square(st.booleans()), symbols=symbols, sharpness=sharpness)
test_a_third_token_leaves_the_odds = searched(
    circuits.third_tokens_are_idle,
    table=square(small),
    bias=st.lists(small, min_size=1, max_size=5),
    symbols=st.lists(st.integers(0, 3), min_size=3, max_size=6),
    changed=st.integers(0, 5),
    to=st.integers(0, 3),
)
test_a_head_copies_what_it_attends_to = searched(
    circuits.copying,
    symbols=vectors(sizes, st.integers(0, 2)),
    scores=vectors(sizes),
    factor=square(small),
)
test_two_layers_complete_patterns = searched(
    circuits.induction, symbols=st.lists(st.integers(0, 2), min_size=1, max_size=6), kinds=st.integers(1, 3), sharp=sharpness, sharper=sharpness
)
test_two_layers_are_a_sum_over_paths = searched(circuits.paths, tokens=matrices(sizes, widths), first=paths_of, second=paths_of)
test_one_layer_does_not_complete_patterns = searched(
    circuits.one_layer_cannot_complete,
    weights=tables(st.integers(1, 5)),
    values=tables(st.integers(-3, 3)),
    own_weight=st.integers(1, 3),
    own_value=small,
    direct=small,
)
test_linear_attention_makes_a_gradient_step = searched(
    circuits.in_context_gradient_step,
    inputs=matrices(sizes, widths),
    targets=vectors(sizes),
    start=vectors(widths),
    query=vectors(widths),
    rate=st.fractions(-1, 1, max_denominator=5),
)
