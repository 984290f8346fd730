"""Searches on small sizes for the claims about what scores cost: every count is made by running the loops."""

from __future__ import annotations

from hypothesis import strategies as st

from properties.search import searched
from properties.test_energies_exact import ADDITIVE, KEYS, matrices
from theorems import energy_costs

SIZES = st.integers(1, 7)
WIDTHS = {"query_width": SIZES, "key_width": SIZES}
COUNTED = {"keys": st.integers(1, 4), "query_width": SIZES, "key_width": st.integers(1, 16), "hidden": st.integers(1, 4), "share": st.integers(6, 12)}
QUERIES = matrices("queries", "query")

test_parameters_of_additive_attention = searched(energy_costs.additive_parameters, hidden=SIZES, **WIDTHS)
test_additive_scores_take_of_the_order_of_n_units = searched(energy_costs.additive_time_as_made, **COUNTED)
test_operations_of_additive_scores = searched(energy_costs.additive_time, **COUNTED)
test_vectorised_additive_scores_hold_every_unit_of_every_pair = searched(energy_costs.additive_activations, queries=QUERIES, keys=KEYS, **ADDITIVE)
test_additive_scores_unit_by_unit = searched(energy_costs.additive_unit_by_unit, queries=QUERIES, keys=KEYS, **ADDITIVE)
test_additive_against_dot_products = searched(energy_costs.additive_against_dot, queries=SIZES, keys=SIZES, width=SIZES)
test_multiplicative_attention_scales_well = searched(energy_costs.scales_well, length=SIZES, value_width=SIZES, **WIDTHS)
test_multiplicative_attention_is_quadratic = searched(energy_costs.multiplicative_is_quadratic, length=SIZES, value_width=SIZES, **WIDTHS)
