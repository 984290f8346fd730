"""Searches on exact inputs for the claims about the online softmax: keys, masks, blocks, their order and their grouping are all drawn."""

from fractions import Fraction

from hypothesis import strategies as st

from properties.search import searched
from theorems import flash

scores = st.integers(-6, 6)
values = st.integers(-4, 4)
masked_scores = st.one_of(st.none(), scores)
keys = st.tuples(masked_scores, values)
visible_keys = st.tuples(scores, values)
masses = st.fractions(min_value=1, max_value=5, max_denominator=4)
states = st.one_of(st.just((None, Fraction(0), Fraction(0))), st.tuples(scores, masses, values.map(Fraction)))
blocks = st.lists(keys, min_size=1, max_size=4)
visible_blocks = st.lists(visible_keys, min_size=1, max_size=3)


@st.composite
def rows(draw: st.DrawFn, at_most: int = 5) -> list[list[tuple[int | None, int]]]:
    """Blocks of one row of keys, of which at least one, anywhere, is visible."""
    row = draw(st.lists(blocks, min_size=1, max_size=at_most))
    place = draw(st.integers(0, len(row) - 1))
    at = draw(st.integers(0, len(row[place])))
    return [*row[:place], [*row[place][:at], draw(visible_keys), *row[place][at:]], *row[place + 1 :]]


test_merging_commutes = searched(flash.merge_commutative, one=states, two=states)
test_merging_is_associative = searched(flash.merge_associative, one=states, two=states, three=states)
test_nothing_is_the_identity = searched(flash.merge_identity, one=states)
test_merged_states_are_the_state_of_the_union = searched(flash.merge_is_union, one=st.lists(keys, max_size=4), two=st.lists(keys, max_size=4))
test_the_stabiliser_does_not_matter = searched(
    flash.any_stabiliser, keys=rows(at_most=1).map(lambda row: row[0]), stabiliser=st.fractions(min_value=-50, max_value=50, max_denominator=6)
)
test_any_tiling_is_attention = searched(flash.any_tiling_is_exact, tiles=rows(), joins=st.lists(st.integers(0, 4), max_size=4))
test_floats_agree_to_the_last_bit = searched(flash.same_results, tiles=rows(), joins=st.lists(st.integers(0, 4), max_size=4))
test_block_outputs_decide_the_output = searched(
    flash.update_from_block_softmax, parts=st.lists(visible_blocks, min_size=1, max_size=3), shifts=st.lists(st.integers(-3, 3), max_size=3)
)
test_log_sum_exps_restore_the_output = searched(
    flash.blocks_combine_by_log_sum_exp, parts=st.lists(visible_blocks, min_size=1, max_size=3), shifts=st.lists(st.integers(-3, 3), max_size=3)
)
test_the_recurrence_needs_no_change_for_masks = searched(flash.unchanged_with_masks, parts=rows())
test_a_finite_stabiliser_makes_every_mask_safe = searched(flash.masked_blocks_with_finite_stabiliser, parts=rows())
