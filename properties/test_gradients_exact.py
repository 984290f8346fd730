"""Search for counterexamples to the gradient claims: small layers with whole entries, against forward differentiation in balls."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import gradients

Shapes = st.SearchStrategy[Any]
entries = st.integers(-3, 3)


def matrix(rows: int, columns: int) -> Shapes:
    """A matrix of small whole numbers, as a tuple of rows."""
    return st.tuples(*[st.tuples(*[entries] * columns)] * rows)


sizes = st.shared(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3)), key="gradient layer: m, n, d, d_v")
layer: dict[str, Shapes] = {
    "Q": sizes.flatmap(lambda s: matrix(s[0], s[2])),
    "K": sizes.flatmap(lambda s: matrix(s[1], s[2])),
    "V": sizes.flatmap(lambda s: matrix(s[1], s[3])),
    "G": sizes.flatmap(lambda s: matrix(s[0], s[3])),
    "scale": st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(2), Fraction(-1, 3)]),
}
token_sizes = st.shared(st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2)), key="token layer: n, d, d_v")
token_layer: dict[str, Shapes] = {
    "tokens": token_sizes.flatmap(lambda s: matrix(s[0], s[1])),
    "mixing": token_sizes.flatmap(lambda s: matrix(s[1], s[1])),
    "projection": token_sizes.flatmap(lambda s: matrix(s[1], s[2])),
    "cotangent": token_sizes.flatmap(lambda s: matrix(s[0], s[2])),
    "causal": st.booleans(),
}
rising = token_sizes.flatmap(lambda s: st.tuples(*[st.tuples(*[st.integers(1, 3)] * s[2])] * s[1]))
seen_layer: dict[str, Shapes] = token_layer | {"projection": rising}  # values that do not leave out a token's every feature
length = st.shared(st.integers(1, 5), key="row length")
row = length.flatmap(lambda count: st.tuples(*[st.integers(-9, 9)] * count))

test_the_gradient_in_the_values = searched(gradients.values, **layer)
test_the_gradient_in_the_weights = searched(gradients.weights, **layer)
test_the_gradient_in_the_scores = searched(gradients.scores, **layer)
test_the_row_sum_can_be_had_from_the_output = searched(gradients.delta_from_output, **layer)
test_the_gradient_in_the_queries = searched(gradients.queries, **layer)
test_the_gradient_in_the_keys = searched(gradients.keys, **layer)
test_the_three_jacobians_chain = searched(gradients.chain_rule, **layer)
test_the_jacobian_of_softmax_has_norm_at_most_one_half = searched(gradients.jacobian_norm, scores=row, direction=row)
test_the_jacobian_of_softmax_vanishes_at_one_hot_rows = searched(gradients.jacobian_near_one_hot, scores=row, direction=row)
test_no_entry_of_the_jacobian_exceeds_a_quarter = searched(gradients.jacobian_entries, scores=row)
test_how_outputs_depend_on_tokens = searched(gradients.self_attention, **token_layer)
test_every_position_reaches_every_other = searched(gradients.direct_path, **seen_layer)
test_self_attention_is_steeper_than_any_bound = searched(gradients.unbounded_jacobian, bound=st.integers(1, 1000), others=st.integers(1, 5))
slope_cases: dict[str, Shapes] = {"bound": st.integers(1, 20), "others": st.integers(1, 5), "token": st.integers(-20, 20), "width": st.integers(1, 5)}
test_the_slope_at_a_zero_token = searched(gradients.zero_token, **slope_cases)
steep: dict[str, Shapes] = {"bound": st.integers(1, 20), "value": st.integers(1, 60)}
test_the_scale_bounds_the_slope = searched(gradients.scaling_prevents_explosion, **steep)
test_the_slope_at_unit_variance = searched(gradients.unit_variance_slope, **steep)
deep: dict[str, Shapes] = {
    "layers": st.integers(1, 4),
    "others": st.integers(0, 3),
    "token": st.integers(-2, 2),
    "factor": st.sampled_from([Fraction(2), Fraction(1, 2), Fraction(3, 2)]),
    "scale": st.sampled_from([Fraction(1), Fraction(1, 2), Fraction(-1, 3)]),
}
test_depth_multiplies_value_projections = searched(gradients.depth, **deep)
