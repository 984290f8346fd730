"""Searches on small integers for vectors that break what theorems/similarity.py says."""

from __future__ import annotations

from hypothesis import strategies as st

from properties.search import searched
from theorems import similarity

ENTRIES = st.integers(-3, 3)
LENGTH = st.shared(st.integers(1, 4), key="similarity: keys")
WIDTH, KEY_WIDTH = (st.shared(st.integers(1, 3), key=f"similarity: {name}") for name in ("width", "key width"))


def vectors(size: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*[ENTRIES] * size)


def matrices(rows: st.SearchStrategy[int], columns: st.SearchStrategy[int]) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return st.tuples(rows, columns).flatmap(lambda shape: st.tuples(*[vectors(shape[1])] * shape[0]))


VECTOR, ROW = WIDTH.flatmap(vectors), LENGTH.flatmap(vectors)  # one number for each feature; for each key
KEYS = matrices(LENGTH, WIDTH)
POSITIVE = st.integers(1, 5)
BELOW = st.lists(st.integers(0, 3), min_size=1, max_size=4).map(tuple)  # how far other keys' scores lie below the highest

test_query_and_key_share_a_space = searched(similarity.shared_space, query=VECTOR, key=KEY_WIDTH.flatmap(vectors), matrix=matrices(WIDTH, KEY_WIDTH))
test_scores_do_not_determine_distances = searched(
    similarity.distance_is_not_determined, query=VECTOR, keys=KEYS, factors=WIDTH.flatmap(lambda size: st.tuples(*[POSITIVE] * size))
)
test_the_nearer_key_scores_higher = searched(similarity.nearer_scores_higher, query=VECTOR, one=VECTOR, other=VECTOR)
test_scores_compare_distance_and_length = searched(similarity.distance_and_length, query=VECTOR, one=VECTOR, other=VECTOR)
test_scores_measure_similarity = searched(similarity.score_as_similarity, first=VECTOR, second=VECTOR)
test_attention_is_a_density_estimate = searched(similarity.kernel_density, keys=KEYS, spread=POSITIVE, reach=POSITIVE)
test_the_kernel_is_a_gaussian_times_lengths = searched(similarity.gaussian_kernel, keys=KEYS, spread=POSITIVE, reach=POSITIVE)
test_attention_is_gaussian_smoothing = searched(similarity.attention_is_gaussian_smoothing, query=VECTOR, keys=KEYS, spread=POSITIVE)
test_attention_with_a_bias_is_kernel_regression = searched(similarity.kernel_regression, query=VECTOR, keys=KEYS, spread=POSITIVE)
test_the_exponential_kernel_is_positive_definite = searched(similarity.positive_definite, points=KEYS, coefficients=ROW, spread=POSITIVE)
test_the_heaviest_key_is_at_a_peak = searched(similarity.heaviest_at_a_peak, query=VECTOR, keys=KEYS)
test_the_landscape_has_no_peak = searched(similarity.no_peak, query=VECTOR, key=VECTOR, step=POSITIVE)
test_the_landscape_on_a_sphere_has_one = searched(similarity.peak_on_a_sphere, query=VECTOR, keys=KEYS)
test_a_key_at_a_peak_is_heavy = searched(similarity.peaks_are_heavy, below=BELOW)
test_the_weight_of_a_key_at_a_peak = searched(similarity.weight_at_a_peak, below=BELOW)
test_one_more_position_scales_all_other_weights = searched(similarity.one_more_position, places=ROW, further=ENTRIES)
test_location_based_attention_is_linear = searched(similarity.location_is_linear_in_values, places=ROW, values=ROW, others=ROW)
test_hybrid_weights_are_a_product = searched(similarity.hybrid_is_a_product, content=ROW, places=ROW, content_weight=ENTRIES, place_weight=ENTRIES)
