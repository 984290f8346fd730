"""Searches over small sizes for what breaks theorems/throughput.py."""

from fractions import Fraction

import hypothesis.strategies as st

from properties.search import searched
from theorems import throughput

size = st.integers(1, 6)
seconds = st.fractions(Fraction(1, 9), 9, max_denominator=9)
few = st.integers(1, 3)

test_a_rate_is_a_count_over_seconds = searched(
    throughput.rate, count=st.integers(1, 1000), extra=st.integers(1, 1000), seconds=seconds, longer=st.just(Fraction(0)) | seconds
)
test_tokens_a_second_fall_with_the_length = searched(throughput.tokens_a_second, length=size, width=size)
test_work_scales_with_the_parameters = searched(throughput.in_parameters, width=size, layers=few, length=size, wider=few, deeper=few)
test_work_for_each_parameter = searched(throughput.work_per_parameter, width=size, layers=few, length=size, wider=few, deeper=few)
test_work_is_linear_in_the_batch = searched(throughput.batch, sequences=size, width=size, layers=few, length=size)
test_work_is_quadratic_in_the_length = searched(throughput.quadratic_in_length, length=st.integers(1, 14), width=st.integers(1, 4))
