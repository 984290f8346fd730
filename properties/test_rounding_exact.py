"""Searches on exact inputs for the claims about rounding: the numbers, the bounds on their errors and the errors' places within them are all drawn."""

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import rounding

length = st.shared(st.integers(1, 5), key="numbers that are rounded")
INVERSES = st.sampled_from([4, 16, 1024])


def row(entries: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """As many entries as the case has keys."""
    return length.flatmap(lambda count: st.tuples(*[entries] * count))


place = st.sampled_from([Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 3)])
weights = row(st.integers(1, 9).map(Fraction))
values = row(st.integers(-4, 4).map(Fraction))
places = row(place)
bounds = row(st.sampled_from([Fraction(0), Fraction(1, 8), Fraction(1, 2), Fraction(3, 4)]))
limits = row(st.sampled_from([Fraction(0), Fraction(1, 2), Fraction(2)]))

test_a_mean_moves_by_its_deviations = searched(
    rounding.weights, weights=weights, factors=row(st.fractions(min_value=Fraction(1, 4), max_value=4, max_denominator=4)), values=values
)
test_an_error_of_the_exponent_is_a_factor = searched(rounding.factor, exponent=st.fractions(min_value=-5, max_value=5, max_denominator=8))
sums = row(place)
test_the_output_moves_no_further = searched(rounding.output, weights=weights, bounds=bounds, places=places, values=values, sums=sums, inverse_u=INVERSES)
test_roundings_stay_within_gamma = searched(rounding.gammas_compose, inverse_u=INVERSES, exponents=row(st.sampled_from([1, -1])), places=places)
test_distances_to_a_rising_maximum_add_up = searched(rounding.telescoping, scores=values, places=places, inverse_u=INVERSES)
test_the_log_sum_exp_moves_no_further = searched(
    rounding.log_sum_exp,
    scores=row(st.integers(-6, 6)), top=st.integers(-8, 8), errors=places, bounds=bounds, log=place, add=place, inverse_u=INVERSES,
)  # fmt: skip
test_the_gradient_of_scores_moves_no_further = searched(
    rounding.scores_gradient, weights=weights, places=places, bounds=bounds, slopes=values, off=row(place), limits=limits
)
