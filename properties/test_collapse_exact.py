"""Search small rows and maps for counterexamples to what theorems/collapse.py says about one-hot rows, uniform rows and their remedies."""

from fractions import Fraction

from hypothesis import strategies as st

from properties.search import searched
from theorems import collapse

whole = st.integers(-4, 4)
length = st.shared(st.integers(1, 5), key="keys of a collapsed row")
several = st.shared(st.integers(2, 5), key="two or more keys of a collapsed row")
width = st.shared(st.integers(1, 3), key="width of a collapsed row's keys")
scores = length.flatmap(lambda n: st.tuples(*[whole] * n))
row = several.flatmap(lambda n: st.tuples(*[st.integers(-30, 30) | whole] * n))
sharpened = several.flatmap(lambda n: st.tuples(*[whole] * n))
values = length.flatmap(lambda n: st.tuples(*[whole] * n))
parts = length.flatmap(lambda n: st.tuples(*[st.integers(0, 6)] * n))
others = length.flatmap(lambda n: st.tuples(*[st.integers(0, 6)] * n))
visible = st.lists(st.booleans(), min_size=1, max_size=6).map(tuple)
feature = width.flatmap(lambda d: st.tuples(*[whole] * d))
keys = width.flatmap(lambda d: st.lists(st.tuples(*[whole] * d), min_size=1, max_size=4).map(tuple))
projection = width.flatmap(lambda d: st.tuples(*[st.tuples(*[whole] * d)] * d))
small = st.sampled_from([Fraction(1, 100), Fraction(1, 10), Fraction(1, 4)])
levels = st.sampled_from([Fraction(9, 10), Fraction(99, 100)])
peaks = {"peaks": st.lists(st.integers(0, 4), min_size=1, max_size=4).map(tuple), "length": st.integers(2, 5), "small": small}
heated = {"scores": row, "temperature": st.integers(2, 10), "level": levels}
draws = st.lists(st.sampled_from([Fraction(e, 12) for e in range(1, 12)]), min_size=2, max_size=6).map(tuple)  # rows that sum to one among them
sharp = {"scores": sharpened, "factor": st.integers(2, 5), "level": levels}
learned = {"attended": visible, "drop": st.integers(0, 3), "level": whole, "alpha": st.sampled_from([Fraction(2), Fraction(3, 2)])}
crowd = {"lead_by": st.integers(1, 6), "count": st.integers(1, 150), "tolerance": levels.map(lambda e: 1 - e)}
sizes = st.shared(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)), key="gated heads, rows, outputs")
heads = sizes.flatmap(lambda s: st.tuples(*[st.tuples(*[whole] * s[1])] * s[0]))
blocks = sizes.flatmap(lambda s: st.tuples(*[st.tuples(*[whole] * s[2])] * s[0]))
gates = sizes.flatmap(lambda s: st.tuples(*[st.booleans()] * s[0]))

test_one_hot_rows_look_at_one_position = searched(collapse.one_hot_rows, **peaks)
test_collapse_is_read_off_the_columns = searched(collapse.column_share, **peaks)
test_collapsed_rows_agree = searched(collapse.collapsed_rows_agree, parts=parts, others=others, values=values, key=st.integers(0, 4))
test_a_temperature_fixes_collapse = searched(collapse.temperature_fixes, **heated)
test_how_large_a_weight_can_get = searched(collapse.temperature_bound, **heated)
test_a_projection_undoes_the_temperature = searched(collapse.learned_scale, query=feature, keys=keys, temperature=st.integers(2, 9))
test_a_penalty_on_scores_bounds_the_largest_weight = searched(collapse.score_penalty, scores=row)
test_uniform_weights_are_one_over_the_length = searched(collapse.vanished_weights, visible=visible, score=whole)
test_uniform_weights_are_one_over_the_visible_keys = searched(collapse.visible_uniform, visible=visible, score=whole)
test_near_in_every_weight_is_near_uniform = searched(collapse.absolute_closeness, parts=parts)
test_nearness_is_relative = searched(collapse.relative_closeness, parts=parts)
test_a_vanished_row_returns_the_mean = searched(collapse.near_the_mean, parts=parts, values=values)
test_sharpening_fixes_uniform_attention = searched(collapse.sharpening, **sharp)
test_sharpening_raises_odds_to_a_power = searched(collapse.sharpened_odds, **sharp)
test_attention_weights_can_be_initialised = searched(collapse.initial_weights, weights=draws)
test_small_projections_give_weights_near_uniform = searched(collapse.small_projections, query=feature, keys=keys, small=small)
test_weights_follow_scores = searched(collapse.weights_follow_scores, weights=draws)
test_projections_of_zero_get_no_gradient = searched(collapse.zero_projections, inputs=feature, projection=projection, keys=keys)
test_positions_can_be_left_out_by_scores = searched(collapse.learned_sparsity, **learned)
test_softmax_leaves_none_out = searched(collapse.softmax_leaves_none_out, scores=scores)
test_patterns_depend_on_the_query = searched(collapse.conditional_patterns, query=feature, other=feature, keys=keys)
test_gates_switch_heads_off = searched(collapse.gated_heads, heads=heads, projection=blocks, active=gates)
test_distractors_are_ignored = searched(collapse.ignores, **crowd)
test_distractors_dilute = searched(collapse.distractors_dilute, **crowd)
test_every_input_has_influence = searched(collapse.distractor_influence, scores=scores, values=values, key=st.integers(0, 4), change=whole)
