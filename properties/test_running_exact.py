"""Searches on exact inputs for the claims about running error analysis: numbers, bounds on their errors and the errors' places within them are all drawn."""

from fractions import Fraction

from hypothesis import strategies as st

from properties.search import searched
from theorems import running

length = st.shared(st.integers(1, 6), key="terms of a sum")
place = st.sampled_from([Fraction(0), Fraction(1), Fraction(-1), Fraction(1, 3)])
number = st.fractions(min_value=-4, max_value=4, max_denominator=3)
divisor = st.sampled_from([Fraction(1, 2), Fraction(-1, 2), Fraction(1), Fraction(-3)])
bound = st.sampled_from([Fraction(0), Fraction(1, 8), Fraction(1, 2), Fraction(3, 4)])
pair = st.tuples(bound, bound)
INVERSES = st.sampled_from([4, 16, 1024])
row = length.flatmap(lambda count: st.tuples(*[number] * count))
third = st.one_of(row, length.flatmap(lambda count: number.map(lambda x: (x,) * count)))  # the same in all terms: it may be taken out of the sum
weights = length.flatmap(lambda count: st.tuples(*[st.integers(1, 9).map(Fraction)] * count))
bounds = length.flatmap(lambda count: st.tuples(*[bound] * count))
places = length.flatmap(lambda count: st.tuples(*[place] * count))

test_a_product_is_off_by_no_more = searched(running.product, a=number, b=number, bounds=pair, places=st.tuples(place, place), delta=place, inverse_u=INVERSES)
test_a_quotient_is_off_by_no_more = searched(running.quotient, a=number, b=divisor, bounds=pair, places=st.tuples(place, place))
test_a_sum_of_products_is_off_by_no_more_in_any_order = searched(
    running.contraction, left=row, right=row, third=third, order=st.tuples(*[st.integers(0, 48)] * 6), places=st.tuples(*[place] * 18), inverse_u=INVERSES
)
test_a_function_passes_no_more_on = searched(
    running.function, function=st.sampled_from(sorted(running.SLOPES)), at=number, off=st.sampled_from([Fraction(1, 8), Fraction(1), Fraction(3)]), place=place
)
test_a_weight_is_off_by_no_more = searched(running.normalised_weight, weights=weights, bounds=bounds, places=places)
