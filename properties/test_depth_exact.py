"""Searches over slopes, activations and gradients for what breaks theorems/depth.py."""

from fractions import Fraction

import hypothesis.strategies as st

from properties.search import searched
from theorems import depth

small = st.integers(-4, 4)
slopes = st.lists(st.fractions(-2, 2, max_denominator=4), min_size=1, max_size=4).map(tuple)
rounds = st.integers(1, 20)
deep = st.integers(100, 102)
branches = st.lists(st.fractions(Fraction(-3, 4), Fraction(3, 4), max_denominator=4), min_size=1, max_size=4).map(tuple)
width = st.shared(st.integers(1, 4), key="width")
activations = width.flatmap(lambda n: st.tuples(*[small] * n))
gradient = width.flatmap(lambda n: st.tuples(*[small] * n))
beta = st.fractions(0, Fraction(99, 100), max_denominator=100)

test_gradients_vanish_with_depth = searched(depth.vanishing, slopes=slopes.map(lambda row: row[:2]), rounds=deep)
test_gradients_can_vanish = searched(depth.can_vanish, slopes=slopes, rounds=rounds)
test_products_bound_the_gradient = searched(depth.product_bounds, slopes=slopes, rounds=rounds)
test_residual_connections_are_a_highway = searched(depth.residual_highway, slopes=slopes)
test_residual_connections_keep_the_gradient = searched(depth.residual_survives, slopes=branches)
test_residual_connections_keep_a_share = searched(depth.residual_share_left, slopes=slopes)
test_a_branch_of_zero_is_the_identity = searched(depth.zero_initialised_branch, tokens=activations, features=gradient, arrives=gradient)
test_layer_norm_stabilises = searched(
    depth.layer_norm_stabilises,
    activations=width.flatmap(lambda n: st.tuples(*[small] * n)).map(lambda row: (*row, row[0] + 1)),  # not all equal
    gradient=width.flatmap(lambda n: st.tuples(*[small] * (n + 1))),
)
test_layer_norm_ignores_the_scale = searched(
    depth.layer_norm_scale,
    activations=width.flatmap(lambda n: st.tuples(*[small] * n)).map(lambda row: (*row, row[0] + 1)),
    gradient=width.flatmap(lambda n: st.tuples(*[small] * (n + 1))),
    scale=st.fractions(Fraction(1, 9), 9, max_denominator=9),
)
test_layer_norm_divides_by_the_deviation = searched(depth.layer_norm_gradient, activations=activations, gradient=gradient)
test_clipping_by_norm = searched(depth.clip_by_norm, gradient=gradient, limit=st.integers(1, 4))
test_clipping_by_value = searched(depth.clip_by_value, gradient=gradient, limit=st.integers(1, 4))
test_adams_first_step = searched(
    depth.adam_first_step,
    gradient=st.integers(1, 4),
    scale=st.sampled_from((2, 7, 1000)),
    betas=st.tuples(beta, beta),
    epsilon=st.fractions(Fraction(1, 100), 9, max_denominator=100),
)
regression = {
    "points": width.flatmap(lambda n: st.tuples(st.sampled_from((10, 3, 1, -1, -10)), *[small] * (n - 1))),  # not all 0
    "targets": width.flatmap(lambda n: st.tuples(*[small] * n)),
    "decay": st.sampled_from((1, 2, 30, 200)),
}
test_weight_decay_prevents_overfitting = searched(depth.weight_decay, **regression)
test_weight_decay_shrinks = searched(depth.weight_decay_shrinks, **regression)
