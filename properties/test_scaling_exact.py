"""Search for counterexamples to the claims about the scale: laws with few outcomes, enumerated in fractions, and small vectors."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import scaling

Shapes = st.SearchStrategy[Any]


def vector(width: int, size: int = 3) -> Shapes:
    return st.tuples(*[st.integers(-size, size)] * width)


def signs(width: int) -> Shapes:
    return st.tuples(*[st.sampled_from([-1, 1])] * width)


width = st.shared(st.integers(1, 4), key="vector width")
long_width = st.shared(st.integers(1, 9), key="sign vector width")
outcomes = width.flatmap(lambda d: st.lists(vector(d), min_size=2, max_size=4, unique=True))
spreads = st.integers(1, 5)
sizes = st.shared(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 2)), key="scaling layer: m, n, d, d_v")


def matrix(rows: int, columns: int) -> Shapes:
    return st.tuples(*[vector(columns)] * rows)


layer: dict[str, Shapes] = {
    "Q": sizes.flatmap(lambda s: matrix(s[0], s[2])),
    "K": sizes.flatmap(lambda s: matrix(s[1], s[2])),
    "V": sizes.flatmap(lambda s: matrix(s[1], s[3])),
    "model_width": st.integers(1, 16),
}

test_the_variance_of_a_dot_product = searched(scaling.dot_product_variance, queries=outcomes, keys=outcomes)
test_scaled_scores_have_variance_one = searched(scaling.scaled_variance, queries=outcomes, keys=outcomes)
test_the_scaled_product_of_standard_vectors = searched(scaling.unit_variance, d=st.integers(1, 3), query_spread=spreads, key_spread=spreads)
test_the_unscaled_product_of_standard_vectors = searched(scaling.unscaled_variance, d=st.integers(1, 3), query_spread=spreads, key_spread=spreads)
projection: dict[str, Shapes] = {"inputs": st.integers(1, 3), "outputs": st.integers(1, 6), "input_spread": spreads, "weight_spread": spreads}
test_the_variance_of_a_projection = searched(scaling.glorot_variance, **projection)
test_a_projection_has_unit_variance = searched(scaling.glorot_unit_variance, **projection)
test_the_mean_squared_norm = searched(scaling.mean_square_norm, queries=outcomes)
test_most_vectors_lie_near_a_sphere = searched(scaling.norms_concentrate, queries=outcomes)
test_vectors_lie_near_a_sphere = searched(scaling.sphere, queries=outcomes)
test_the_score_by_the_law_of_cosines = searched(scaling.cosine_score, query=width.flatmap(vector), key=width.flatmap(vector))
test_the_score_is_a_multiple_of_the_cosine = searched(scaling.cosine, query=width.flatmap(vector), key=width.flatmap(vector))
test_the_model_width_is_a_temperature = searched(scaling.model_width_temperature, **layer)
test_the_model_width_in_place_of_the_key_width = searched(scaling.model_width, **layer | {"model_width": sizes.flatmap(lambda s: st.integers(s[2], 16))})
two_keys: dict[str, Shapes] = {name: long_width.flatmap(signs) for name in ("query", "key", "other")}
test_the_floor_of_the_derivative = searched(scaling.derivative_floor, **two_keys)
test_the_mean_derivative_at_every_width = searched(scaling.mean_derivative, **two_keys)
test_scaling_keeps_softmax_from_saturating = searched(scaling.saturation, **two_keys)
