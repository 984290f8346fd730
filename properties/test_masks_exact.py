"""Searches on small integers, short rows and small shapes for masks that break what theorems/masks.py says."""

import hypothesis.strategies as st

from properties.search import searched
from theorems import masks

small = st.integers(-3, 3)
lengths = st.shared(st.integers(1, 4), key="keys of a masked row")
row = lengths.flatmap(lambda n: st.tuples(*[small] * n))
flags = lengths.flatmap(lambda n: st.tuples(*[st.booleans()] * n))
some_visible = lengths.flatmap(lambda n: st.tuples(*[st.booleans()] * (n - 1)).map(lambda rest: (False, *rest)))  # flags of hidden keys, the first one not
partly_visible = st.lists(st.booleans(), max_size=2).map(lambda rest: (True, *rest, False))
formats = st.sampled_from(sorted(masks.FORMATS))
snippets = st.sampled_from([masks.FILLED, masks.ADDED])
bits = lengths.flatmap(lambda n: st.tuples(*[st.integers(0, 1)] * n))
places = lengths.flatmap(lambda n: st.integers(0, n - 1))
square = lengths.flatmap(lambda n: st.tuples(*[st.tuples(*[small] * n)] * n))
wide_row = st.sampled_from([1, 10**3, 10**9]).flatmap(lambda unit: row.map(lambda scores: tuple(unit * score for score in scores)))
layers = st.lists(st.tuples(small, small), min_size=1, max_size=3).map(tuple)
mask_shapes = st.lists(st.integers(1, 3), min_size=1, max_size=4).map(tuple)
logit_shapes = st.lists(st.integers(1, 3), min_size=2, max_size=4).map(tuple)
pads = st.shared(st.integers(0, 3), key="padded keys").flatmap(lambda n: st.tuples(*[small] * n))
changed_key = {"scores": row, "values": row, "visible": flags, "place": places, "score": small, "value": small}

test_a_causal_row_is_the_softmax_of_its_prefix = searched(masks.causal_rows, scores=square)
test_a_hidden_key_has_no_influence = searched(masks.hidden_key_has_no_influence, **changed_key)
test_a_multiplied_mask_hides_its_keys = searched(masks.masking_after_softmax_hides, **changed_key)
test_a_multiplied_mask_is_a_softmax_over_the_kept_keys = searched(masks.multiplied_mask, scores=row, visible=flags)
test_a_renormalised_mask_is_a_softmax_over_the_kept_keys = searched(masks.renormalised_mask, scores=row, visible=flags)
test_later_tokens_change_nothing_at_any_depth = searched(masks.causal_stack, tokens=row, weights=layers, place=places, token=small)
test_every_value_moves_the_unmasked_output = searched(masks.unmasked_sees_the_future, scores=row, values=row, place=places, shift=st.integers(1, 3))
test_adding_minus_1e9_leaves_hidden_keys_nothing = searched(masks.large_constant, scores=wide_row, hidden=some_visible)
test_minus_1e9_leaves_nothing_where_it_outweighs_the_scores = searched(masks.finite_constant, scores=wide_row, hidden=flags)
test_minus_1e9_is_a_number_in_every_format = searched(masks.dtype_agnostic, form=formats, visible=partly_visible, snippet=snippets)
test_the_formats_own_smallest_number_is_finite = searched(masks.smallest_finite_fill, form=formats, visible=flags, snippet=snippets)
test_any_broadcastable_mask_can_be_added_in_place = searched(masks.any_broadcastable_mask, logits=logit_shapes, mask=mask_shapes)
test_any_broadcastable_mask_can_be_added_out_of_place = searched(masks.out_of_place_mask, logits=logit_shapes, mask=mask_shapes)
test_the_snippets_agree_on_one_mask = searched(masks.shared_masks, scores=row, mask=bits)
test_the_snippets_agree_on_complementary_masks = searched(masks.opposite_polarity, scores=row, mask=bits)
test_masked_padding_is_no_key = searched(masks.padding, scores=row, values=row, padding_scores=pads, padding_values=pads)
test_a_triangle_is_the_causal_mask_of_cached_decoding = searched(masks.square_triangle, cached=st.integers(0, 4), fresh=st.integers(1, 4))
test_a_shifted_triangle_is_the_causal_mask_of_cached_decoding = searched(masks.shifted_triangle, cached=st.integers(0, 4), fresh=st.integers(1, 4))
