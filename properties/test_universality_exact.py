"""Searches on small vocabularies and lengths for what theorems/universality.py says attention represents."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import universality

Strategy = st.SearchStrategy[Any]
small = st.integers(-3, 3)
heads = st.lists(st.tuples(st.integers(-2, 2), st.integers(-2, 2)), min_size=1, max_size=2).map(tuple)
width = st.shared(st.integers(1, 3), key="width of a word")
weights = st.lists(st.tuples(heads, small, st.booleans()), min_size=1, max_size=2).map(tuple)
unit = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]


def words(most: int) -> Strategy:
    """Words of the width: small ones, corners of the unit cube, which are independent, or three on a line, which are not."""

    def some(d: int) -> Strategy:
        corners = st.tuples(st.permutations(unit), st.integers(2, most)).map(lambda drawn: [corner[:d] for corner in drawn[0][: drawn[1]]])
        word = st.tuples(*[st.integers(-2, 2)] * d)
        line = st.tuples(word, word).map(lambda pair: [tuple(x + k * u for x, u in zip(*pair, strict=True)) for k in (0, 1, 3)])
        return st.one_of(st.lists(word, min_size=1, max_size=most, unique=True), corners, line)

    return width.flatmap(some).map(tuple)


finite: dict[str, Strategy] = {
    "vocabulary": words(3),
    "length": st.integers(1, 3),
    "targets": st.lists(small, min_size=3, max_size=8).map(tuple),
    "queries": width.flatmap(lambda d: st.tuples(*[st.tuples(*[small] * d)] * d)),
    "values": width.flatmap(lambda d: st.tuples(*[small] * d)),
}

test_attention_approximates_equivariant_functions = searched(universality.approximates, **{**finite, "length": st.integers(2, 3)})
test_attention_on_constant_sequences = searched(
    universality.constant_sequences,
    target=st.lists(small, min_size=1, max_size=4).map(tuple),
    step=st.integers(1, 3),
    length=st.integers(1, 4),
    layers=weights,
)
test_heads_represent_functions_on_finite_sets = searched(universality.finite_sets, **{**finite, "length": st.integers(2, 3)})
test_heads_represent_functions_of_independent_tokens = searched(universality.independent_tokens, **finite)
test_attention_does_not_count = searched(
    universality.repetition,
    tokens=st.lists(small, min_size=1, max_size=4).map(tuple),
    score=small,
    value=small,
    times=st.integers(1, 4),
)
