"""Searches on small sizes for the claims about low-rank attention: lengths, ranks, landmarks and projections."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import low_rank

Strategy = st.SearchStrategy[Any]
small = st.integers(1, 8)
entry = st.integers(-3, 3).map(Fraction)
pivot = st.sampled_from([-2, -1, 1, 2]).map(Fraction)
errors = st.sampled_from([Fraction(1, 2), Fraction(3, 4), Fraction(9, 10)])
size = st.shared(st.integers(1, 3), key="landmarks")
more = st.shared(st.integers(0, 3), key="rows beside the landmarks")
length = st.shared(st.integers(1, 5), key="positions before a projection")
projected = st.shared(st.integers(1, 3), key="positions after a projection")


def matrix(rows: int, columns: int) -> Strategy:
    return st.tuples(*[st.tuples(*[entry] * columns)] * rows)


def triangle(order: int, *, upper: bool) -> Strategy:
    """An invertible triangular matrix."""

    def row(place: int) -> Strategy:
        return st.tuples(*[pivot if place == column else entry if (place < column) == upper else st.just(Fraction(0)) for column in range(order)])

    return st.tuples(*[row(place) for place in range(order)])


input_: dict[str, Strategy] = {"length": small, "rank_": st.integers(1, 6), "sharpness": st.integers(1, 9), "error": errors}
blocks: dict[str, Strategy] = {
    "lower": size.flatmap(lambda s: triangle(s, upper=False)),
    "upper": size.flatmap(lambda s: triangle(s, upper=True)),
    "left": st.tuples(size, more).flatmap(lambda s: matrix(s[1], s[0])),
    "right": st.tuples(size, more).flatmap(lambda s: matrix(s[0], s[1])),
}

test_the_cost_of_projected_attention = searched(low_rank.projection_cost, length=small, width=small, projected=small)
test_a_low_rank_serves_every_input = searched(low_rank.suffices, **input_)
test_the_output_of_a_low_rank = searched(low_rank.output_error, **input_)
test_how_close_a_low_rank_can_come = searched(low_rank.lower_bound, length=small, rank_=st.integers(1, 6), sharpness=st.integers(1, 9))
test_two_features_give_a_full_rank = searched(low_rank.two_features, length=small, sharpness=st.integers(1, 9))
test_landmarks_that_carry_the_rank = searched(low_rank.nystrom, **blocks)
test_a_projection_sees_every_value = searched(
    low_rank.projection_is_not_causal,
    weights=projected.flatmap(lambda k: st.tuples(*[st.integers(-3, 3)] * k)),
    projection=st.tuples(projected, length).flatmap(lambda s: st.tuples(*[st.tuples(*[st.integers(-3, 3)] * s[1])] * s[0])),
    values=length.flatmap(lambda n: st.tuples(*[st.integers(-3, 3)] * n)),
    shift=st.integers(-3, 3),
    place=st.integers(0, 4),
)
