"""Searches on small integers for orders and tokens that break what theorems/symmetry.py says."""

from collections.abc import Callable
from functools import partial
from typing import Any

import hypothesis.strategies as st

from properties.search import searched
from theorems import symmetry

Draw = Callable[[int, int, int, int], st.SearchStrategy[Any]]
small = st.integers(-3, 3)


def matrices(rows: int, columns: int) -> st.SearchStrategy[tuple[tuple[int, ...], ...]]:
    return st.tuples(*[st.tuples(*[small] * columns)] * rows)


def orders(length: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.permutations(range(length)).map(tuple)


def one_of_the_shapes(parts: dict[str, Draw]) -> dict[str, st.SearchStrategy[Any]]:
    """Strategies for several arguments that must agree on sizes: the same sizes are drawn first, and shared under one key."""
    sizes = st.shared(st.tuples(*(st.integers(1, most) for most in (3, 2, 4, 3))), key="sizes of a symmetry case")
    return {name: sizes.flatmap(partial(_drawn, draw)) for name, draw in parts.items()}


def _drawn(draw: Draw, size: tuple[int, int, int, int]) -> st.SearchStrategy[Any]:
    """Keys or tokens n, width d, queries m, value width e."""
    return draw(*size)


projections: dict[str, Draw] = {name: lambda n, d, m, e: matrices(d, d) for name in ("W_Q", "W_K", "W_V")}
self_attention = one_of_the_shapes({"tokens": lambda n, d, m, e: matrices(n, d)} | projections | {"order": lambda n, d, m, e: orders(n)})
cross_attention = one_of_the_shapes(
    {
        "queries": lambda n, d, m, e: matrices(m, d),
        "keys": lambda n, d, m, e: matrices(n, d),
        "values": lambda n, d, m, e: matrices(n, e),
        "key_order": lambda n, d, m, e: orders(n),
        "query_order": lambda n, d, m, e: orders(m),
    }
)
places: dict[str, Draw] = {name: lambda n, d, m, e: st.integers(0, n - 1) for name in ("one", "other")}
repeated_token = one_of_the_shapes({"tokens": lambda n, d, m, e: matrices(n, d)} | projections | places)
constant_sequence = one_of_the_shapes({"token": lambda n, d, m, e: st.tuples(*[small] * d), "length": lambda n, d, m, e: st.just(n)} | projections)
rows: dict[str, Draw] = {name: lambda n, d, m, e: st.tuples(*[small] * n) for name in ("scores", "values")}
pairs = one_of_the_shapes(rows | {"order": lambda n, d, m, e: orders(n)})

test_reordering_the_tokens_leaves_self_attention_unchanged = searched(symmetry.invariance, **self_attention)
test_reordering_the_tokens_reorders_the_outputs = searched(symmetry.equivariance, **self_attention)
test_reordering_the_tokens_leaves_the_sum_of_the_outputs = searched(symmetry.pooled, **self_attention)
test_reordering_pairs_permutes_weights_and_keeps_the_output = searched(symmetry.content_based_weights, **pairs)
test_reordering_keys_with_their_values_changes_nothing = searched(symmetry.key_value_invariance, **cross_attention)
test_reordering_queries_reorders_the_outputs = searched(symmetry.query_equivariance, **cross_attention)
test_exchanging_the_sequences_changes_the_result = searched(
    symmetry.asymmetry, x=st.integers(1, 5), gaps=st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple), length=st.integers(1, 5)
)
test_equal_tokens_get_equal_outputs = searched(symmetry.identical_tokens, **repeated_token)
test_a_constant_sequence_gets_one_output_under_a_causal_mask = searched(symmetry.identical_tokens_causal, **constant_sequence)
test_positions_tell_equal_tokens_apart = searched(symmetry.positions, length=st.integers(2, 5), position=st.integers(1, 5))
