"""Searches on small integers for inputs and parameters that break what theorems/energies.py says."""

from __future__ import annotations

from hypothesis import strategies as st

from properties.search import searched
from theorems import energies

ENTRIES = st.integers(-3, 3)
SIZES = {name: st.shared(st.integers(1, 3), key=f"energies: {name}") for name in ("queries", "keys", "query", "key", "hidden", "value")}


def vectors(*names: str) -> st.SearchStrategy[tuple[int, ...]]:
    """One number for each feature (or unit) of the size that is named."""
    return SIZES[names[0]].flatmap(lambda size: st.tuples(*[ENTRIES] * size))


def matrices(rows: str, columns: str) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return st.tuples(SIZES[rows], SIZES[columns]).flatmap(lambda shape: st.tuples(*[st.tuples(*[ENTRIES] * shape[1])] * shape[0]))


QUERY, KEY, HIDDEN = vectors("query"), vectors("key"), vectors("hidden")
KEYS, FORM = matrices("keys", "key"), matrices("query", "key")
ADDITIVE = {"query_map": matrices("hidden", "query"), "key_map": matrices("hidden", "key"), "output": HIDDEN}
POSITIVE = st.integers(1, 6)
SAME_WIDTH = {"query": QUERY, "keys": matrices("keys", "query"), "size": st.integers(1, 6) | st.integers(1_000, 1_000_000)}  # of v_a

test_concat_is_additive = searched(energies.concat_is_additive, query=QUERY, key=KEY, **ADDITIVE)
test_a_bias_is_immaterial = searched(energies.bias_is_immaterial, query=QUERY, keys=KEYS, biases=HIDDEN, **ADDITIVE)
test_a_bias_is_a_constant_feature = searched(energies.bias_as_feature, query=QUERY, keys=KEYS, biases=HIDDEN, **ADDITIVE)
test_concat_multiplies = searched(energies.concat_multiplies, query=QUERY, key=KEY, **ADDITIVE)
test_the_general_score_is_bilinear = searched(
    energies.general_is_bilinear, query=QUERY, key=KEY, other_query=QUERY, other_key=KEY, matrix=FORM, one=ENTRIES, other=ENTRIES
)
test_the_general_score_is_a_dot_product = searched(energies.general_is_a_dot_product, query=QUERY, key=KEY, matrix=FORM)
test_projections_limit_the_rank = searched(energies.low_rank, query_projection=matrices("query", "hidden"), key_projection=matrices("key", "hidden"))
test_the_bilinear_energy_is_bilinear = searched(energies.bilinear_with_bias, query=QUERY, key=KEY, matrix=FORM, query_bias=QUERY, key_bias=KEY)
test_the_bilinear_energy_is_biaffine = searched(energies.biaffine, query=QUERY, key=KEY, matrix=FORM, query_bias=QUERY, key_bias=KEY)
test_the_scalar_output_is_a_row = searched(energies.scalar_output, query=QUERY, key=KEY, **ADDITIVE)
test_the_last_stage_is_a_scalar = searched(energies.last_stage_is_a_scalar, query=QUERY, key=KEY, **ADDITIVE)
test_the_combination_is_not_linear = searched(energies.nonlinear_combination, query=QUERY, key=KEY, **ADDITIVE)
test_additive_weights_are_bounded = searched(energies.additive_weights_are_bounded, query=QUERY, keys=KEYS, **ADDITIVE)
test_additive_scores_approximate_dot_products = searched(energies.additive_approximates_dot, **SAME_WIDTH)
test_additive_attention_is_more_expressive = searched(energies.more_expressive, **SAME_WIDTH)
test_additive_weights_go_beyond_products = searched(energies.beyond_bilinear, query=POSITIVE, key=POSITIVE, matrix=ENTRIES)
test_without_tanh_the_query_is_ignored = searched(energies.linear_additive_ignores_the_query, query=QUERY, keys=KEYS, **ADDITIVE)
test_additive_scores_take_any_widths = searched(energies.any_widths, query=QUERY, key=KEY, **ADDITIVE)
test_the_matrix_form_is_the_definition = searched(
    energies.matrix_form, queries=matrices("queries", "query"), keys=KEYS, matrix=FORM, values=matrices("keys", "value")
)
