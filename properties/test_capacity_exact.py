"""Searches on small points, keys, classes and samples for what theorems/capacity.py says attention can tell apart."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import capacity

Strategy = st.SearchStrategy[Any]
small = st.integers(-2, 2)
width = st.shared(st.integers(1, 3), key="width of a point")
number = st.shared(st.integers(1, 4), key="size of a sample")


def points(fewest: int, most: int) -> Strategy:
    return width.flatmap(lambda d: st.lists(st.tuples(*[small] * d), min_size=fewest, max_size=most).map(tuple))


def more_than_the_width() -> Strategy:
    """At most one point more than features."""
    return width.flatmap(lambda d: st.lists(st.tuples(*[small] * d), min_size=1, max_size=d + 1).map(tuple))


sample = number.flatmap(lambda m: st.tuples(*[small] * m))
tokens = st.lists(st.lists(small, min_size=1, max_size=4).map(tuple), min_size=1, max_size=4).map(tuple)
samples: dict[str, Strategy] = {"sample": sample, "bound": st.integers(1, 3), "larger": st.integers(1, 6)}

test_labelings_of_equal_tokens = searched(capacity.one_token, points=more_than_the_width(), length=st.integers(1, 3), tries=points(1, 6))
test_labelings_over_a_vocabulary = searched(
    capacity.vocabulary,
    sequences=st.lists(st.lists(st.integers(0, 2), max_size=4).map(tuple), min_size=1, max_size=4).map(tuple),
    words=st.integers(1, 3),
    scores=st.lists(small, min_size=1, max_size=3).map(tuple),
    values=st.lists(small, min_size=1, max_size=3).map(tuple),
    bias=small,
)
test_labelings_with_few_bits = searched(
    capacity.finite_precision,
    points=st.lists(st.lists(small, min_size=1, max_size=3).map(tuple), min_size=1, max_size=5).map(tuple),
    bits=st.integers(1, 2),
)
test_labelings_of_many_sequences = searched(
    capacity.lower_bound,
    half=st.integers(1, 2),
    bits=st.integers(1, 3),
    labels=st.tuples(*[st.booleans()] * 12),
    idle=st.integers(0, 2),
)
test_which_keys_can_be_singled_out = searched(
    capacity.singled_out_keys, keys=points(1, 6), own=st.integers(0, 5), queries=points(1, 4), sharpness=st.integers(0, 8)
)
test_samples_that_suffice_for_a_finite_class = searched(
    capacity.finite_class_samples,
    chances=st.lists(st.sampled_from([Fraction(x, 8) for x in range(9)]), min_size=1, max_size=4).map(tuple),
    off=st.sampled_from([Fraction(1, 3), Fraction(1, 4), Fraction(1, 5)]),
    risk=st.sampled_from([Fraction(1, 2), Fraction(1, 10)]),
)
test_the_complexity_is_a_number = searched(capacity.rademacher, **samples)
test_the_complexity_on_a_sample = searched(
    capacity.rademacher_bounded, sequences=tokens, tilts=st.lists(small, min_size=1, max_size=3).map(tuple), bound=st.integers(1, 3)
)
test_labelings_in_width_one = searched(
    capacity.width_one,
    sequences=tokens,
    places=st.lists(st.fractions(-3, 3, max_denominator=8), min_size=1, max_size=12, unique=True).map(tuple)
    | st.just(tuple(Fraction(x, 8) for x in range(-24, 25))),
)
