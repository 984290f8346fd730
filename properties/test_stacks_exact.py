"""Searches over small stacks, masks and special tokens for what breaks theorems/stacks.py."""

from hypothesis import strategies as st

from properties.search import searched
from theorems import stacks

small = st.integers(-2, 2)
unit = st.integers(-1, 1)
few = st.integers(1, 3)
pairs = st.lists(st.tuples(unit, unit), min_size=1, max_size=2)
quadruples = st.lists(st.tuples(unit, unit, unit, unit), min_size=1, max_size=2)
row = st.lists(small, min_size=1, max_size=5)
positions = st.integers(1, 4)
patches, features, classes = (st.shared(few, key=key) for key in ("patches", "features of a patch", "classes"))


def matrices(rows: st.SearchStrategy[int], columns: st.SearchStrategy[int]) -> st.SearchStrategy[list[list[int]]]:
    return st.tuples(rows, columns).flatmap(lambda size: st.lists(st.lists(small, min_size=size[1], max_size=size[1]), min_size=size[0], max_size=size[0]))


def masks_of(size: int) -> st.SearchStrategy[list[list[bool]]]:
    return st.lists(st.lists(st.booleans(), min_size=size, max_size=size), min_size=size, max_size=size)


test_a_causal_stack_is_a_model_of_sequences = searched(stacks.chain_rule, kinds=few, length=few, start=small, layers=pairs)
test_masked_conditionals_multiply_to_more_than_one = searched(stacks.masked_conditionals, kinds=st.integers(1, 5), lean=st.integers(-3, 3))
test_a_separator_needs_positions = searched(
    stacks.separator,
    first=st.lists(small, min_size=1, max_size=3),
    second=st.lists(small, min_size=1, max_size=3),
    separator=unit,
    form=small,
    extra=few,
)
test_the_target_stays_causal = searched(
    stacks.encoder_decoder,
    source=st.lists(small, min_size=1, max_size=3),
    target=st.lists(small, min_size=1, max_size=4),
    encoder=pairs,
    decoder=quadruples,
    place=st.integers(0, 3),
    token=small,
)
test_transitive_masks_are_kept = searched(stacks.transitive_masks, mask=positions.flatmap(masks_of), source=st.integers(0, 3), target=st.integers(0, 3))
test_no_layer_is_more_local_than_its_scores_are_spread = searched(
    stacks.locality_needs_range, scores=st.lists(st.integers(-4, 4), min_size=1, max_size=8), place=st.integers(0, 7), reach=st.integers(0, 2)
)
test_rows_gather_and_columns_broadcast = searched(stacks.broadcast_is_a_column, scores=row, special=st.integers(0, 4))
test_a_class_token_takes_a_vote = searched(
    stacks.class_token,
    query=features.flatmap(lambda size: st.lists(small, min_size=size, max_size=size)),
    patches=matrices(patches, features),
    readout=matrices(features, classes),
    order=patches.flatmap(lambda size: st.permutations(range(size))),
)
