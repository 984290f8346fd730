"""Searches on exact inputs for the claims about running error analysis: numbers, bounds on their errors and the errors' places within them are all drawn."""

from fractions import Fraction

from hypothesis import strategies as st

from properties.search import searched
from theorems import running

length = st.shared(st.integers(1, 6), key="terms of a sum")
adverse = st.shared(st.booleans(), key="terms of one sign, added one by one, every rounding in one direction")
place = st.sampled_from([Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 3)])
number = st.fractions(min_value=-4, max_value=4, max_denominator=3)
divisor = st.sampled_from([Fraction(1, 2), Fraction(-1, 2), Fraction(1), Fraction(-3)])
bound = st.sampled_from([Fraction(0), Fraction(1, 8), Fraction(1, 2), Fraction(3, 4)])
pair = st.tuples(bound, bound)
INVERSES = st.sampled_from([4, 16, 1024])
row = st.tuples(length, adverse).flatmap(lambda x: st.tuples(*[st.integers(1, 3).map(Fraction) if x[1] else number] * x[0]))
third = st.one_of(row, length.flatmap(lambda count: number.map(lambda x: (x,) * count)))  # the same in all terms: it may be taken out of the sum
across = adverse.flatmap(lambda worst: st.lists(st.integers(1, 3).map(Fraction) if worst else number, min_size=1, max_size=4).map(tuple))  # a second axis
ROUNDINGS, ADDITIONS = 4 * 6 * 4, 6 * 4 - 1  # at most: three products and one addition for each of 6 · 4 terms
rounded_to = adverse.flatmap(lambda worst: place.map(lambda x: (x,) * ROUNDINGS) if worst else st.tuples(*[place] * ROUNDINGS))
order = adverse.flatmap(lambda worst: st.just((-1,) * ADDITIONS) if worst else st.tuples(*[st.integers(0, 48)] * ADDITIONS))  # −1: the last two
off = st.sampled_from([Fraction(1, 8), Fraction(1), Fraction(3)])
weights = length.flatmap(lambda count: st.tuples(*[st.integers(1, 9).map(Fraction)] * count))
bounds = length.flatmap(lambda count: st.tuples(*[bound | st.just(Fraction(3, 2))] * count))
places = length.flatmap(lambda count: st.tuples(*[place] * count))

test_a_product_is_off_by_no_more = searched(running.product, a=number, b=number, bounds=pair, places=st.tuples(place, place), delta=place, inverse_u=INVERSES)
test_a_quotient_is_off_by_no_more = searched(running.quotient, a=number, b=divisor, bounds=pair, places=st.tuples(place, place))
test_a_sum_of_products_is_off_by_no_more_in_any_order = searched(
    running.contraction, left=row, right=row, third=third, across=across, order=order, places=rounded_to, inverse_u=INVERSES
)
test_a_function_passes_no_more_on = searched(running.function, at=number, off=off, place=place)
test_a_weight_is_off_by_no_more = searched(running.normalised_weight, weights=weights, bounds=bounds, places=places)
