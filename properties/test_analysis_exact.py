"""Search small maps, layers and heads for counterexamples to what theorems/analysis.py says about rollout, flow, importance and explanation."""

from hypothesis import strategies as st

from properties.search import searched
from theorems import analysis

whole = st.integers(-3, 3)
part = st.sampled_from([0, 0, 0, 1, 1, 2, 3])  # parts of a row: many exact zeros
length = st.shared(st.integers(1, 4), key="tokens of a map")
square = length.flatmap(lambda n: st.tuples(*[st.tuples(*[part] * n)] * n))
causal = length.flatmap(lambda n: st.tuples(*[st.tuples(*[part] * (row + 1), *[st.just(0)] * (n - row - 1)) for row in range(n)]))
shifted = length.map(lambda n: tuple(tuple(int(column == max(row - 1, 0)) for column in range(n)) for row in range(n)))  # each looks at the one before
one_map = square | causal | shifted
layers = st.lists(one_map, min_size=1, max_size=3).map(tuple)
values = length.flatmap(lambda n: st.tuples(*[whole] * n))
looks = length.flatmap(lambda n: st.lists(st.tuples(*[st.integers(0, n - 1)] * n), min_size=1, max_size=4).map(tuple))
stacks = {"layers": layers, "values": values}
several_tokens = st.shared(st.integers(2, 4), key="tokens of a softmax map")
softmax_map = several_tokens.flatmap(lambda n: st.tuples(*[st.tuples(*[st.integers(1, 3)] * n)] * n))  # every weight is positive
softmax_layers = st.lists(softmax_map, min_size=1, max_size=3).map(tuple)

count = st.shared(st.integers(1, 4), key="heads or connections")
amounts = count.flatmap(lambda n: st.tuples(*[whole] * n))
others = count.flatmap(lambda n: st.tuples(*[whole] * n))
factors = count.flatmap(lambda n: st.tuples(*[whole] * n))
gated = {"amounts": amounts, "factors": factors, "target": whole}

heads = count.flatmap(lambda n: st.tuples(*[one_map] * n))
bit = st.integers(0, 1)
two_heads = st.tuples(*[st.tuples(*[st.tuples(bit, bit)] * 2)] * 2)  # two tokens
sign = st.sampled_from([1, -1])

several = st.shared(st.integers(2, 4), key="several heads or connections")  # where one alone would teach nothing
several_factors, several_others = (several.flatmap(lambda n: st.tuples(*[whole] * n)) for _ in range(2))
several_shares = several.flatmap(lambda n: st.tuples(*[st.integers(1, 3)] * n))
several_maps = several.flatmap(lambda n: st.tuples(*[softmax_map] * n))

two = {"amounts": st.tuples(whole, whole), "factors": st.tuples(whole, whole), "target": whole}  # heads: enough to redo by hand

keys = st.shared(st.integers(1, 5), key="keys of a row that explains")
width = st.shared(st.integers(1, 3), key="width of its values")
row = keys.flatmap(lambda n: st.tuples(*[st.integers(0, 3)] * n))
other_row = keys.flatmap(lambda n: st.tuples(*[st.integers(0, 3)] * n))
vectors = st.tuples(keys, width).flatmap(lambda size: st.tuples(*[st.tuples(*[st.integers(-2, 2)] * size[1])] * size[0]))
line = st.shared(st.integers(3, 4), key="keys with different values")
softmax_row, other_softmax_row = (line.flatmap(lambda n: st.tuples(*[st.integers(1, 3)] * n)) for _ in range(2))
different = line.flatmap(lambda n: st.lists(st.tuples(whole), min_size=n, max_size=n, unique=True).map(tuple))
scores = keys.flatmap(lambda n: st.tuples(*[st.integers(-4, 4)] * n))
scalars = keys.flatmap(lambda n: st.tuples(*[whole] * n))

test_products_of_maps_are_maps = searched(analysis.rollout_stochastic, layers=layers)
test_later_layers_multiply_from_the_left = searched(analysis.rollout_order, **stacks)
test_maps_multiply_in_any_order = searched(analysis.any_order, layers=st.tuples(*[st.tuples(*[st.tuples(part, part)] * 2)] * 2), values=st.tuples(whole, whole))
test_the_plain_product_shows_the_flow = searched(
    analysis.plain_rollout, layers=softmax_layers, values=several_tokens.flatmap(lambda n: st.tuples(*[whole] * n))
)
test_the_product_of_halves_gives_the_shares = searched(analysis.rollout_residual, **stacks)
test_rollout_keeps_what_one_layer_does = searched(analysis.rollout_lower_bounds, layers=layers)
test_one_hot_heads_compose = searched(analysis.rollout_of_maps, maps=looks)
test_attention_flow_is_maximal = searched(analysis.flow_is_maximal, layers=layers, reader=st.integers(0, 3), read=st.integers(0, 3))
test_information_flows_along_the_arrow = searched(analysis.flow_arrow, heads=two_heads, projections=st.tuples(sign, sign))
test_the_sum_over_heads_is_what_is_received = searched(analysis.flow_is_received, heads=heads, projections=factors)
test_first_order_importance_is_the_cost_of_removal = searched(analysis.gate_gradient, **gated)
test_gradients_identify_connections = searched(analysis.identifies, amounts=several_shares, factors=several_factors, target=whole)
test_a_gradient_at_the_output_is_a_contribution = searched(analysis.output_gradient, **two)
test_ablation_measures_contributions = searched(analysis.ablation_measures, **two)
test_ablations_add_up = searched(analysis.ablation, **gated)
test_rollout_measures_heads = searched(analysis.rollout_importance, heads=several_maps, factors=several_factors, others=several_others)
test_rollout_forgets_heads = searched(analysis.rollout_forgets_heads, heads=heads, factors=factors, others=others)
test_two_ways_to_cut_a_connection = searched(analysis.intervention, scores=scores, values=scalars, key=st.integers(0, 4))
test_weights_show_the_focus = searched(
    analysis.weights_show_focus,
    parts=st.tuples(*[st.integers(1, 2)] * 3),
    values=st.tuples(*[st.tuples(st.integers(-1, 1))] * 3),
)
test_a_part_is_weight_times_value = searched(analysis.part_of_a_token, parts=row, values=vectors)
test_weights_explain_the_output = searched(analysis.weights_explain, parts=softmax_row, others=other_softmax_row, values=different)
test_other_weights_give_the_same_output = searched(analysis.same_output_other_weights, parts=row, others=other_row, values=vectors)
