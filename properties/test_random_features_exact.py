"""Searches on small vectors for the claims about random features: Gaussian means are integrated, single draws are taken as they are."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from properties.search import searched
from theorems import random_features

Strategy = st.SearchStrategy[Any]
halves = st.integers(-3, 3).map(lambda x: Fraction(x, 2))
whole = st.integers(-2, 2)
width = st.shared(st.integers(1, 3), key="width of a random feature's argument")
narrow = st.shared(st.integers(1, 2), key="width of a random feature's argument, at most 2")
count = st.shared(st.integers(1, 3), key="number of random features")
many = st.integers(1, 6)
errors = st.sampled_from([Fraction(1, 8), Fraction(1, 3), Fraction(1, 2), Fraction(1), Fraction(2), Fraction(40)])
vector = width.flatmap(lambda d: st.tuples(*[halves] * d))
grid = narrow.flatmap(lambda d: st.tuples(*[whole] * d))
short = narrow.flatmap(lambda d: st.tuples(*[halves] * d))
draws = narrow.flatmap(lambda d: count.flatmap(lambda m: st.tuples(*[st.tuples(*[whole] * d)] * m)))
offsets = count.flatmap(lambda m: st.tuples(*[st.integers(0, 6)] * m))
pair: dict[str, Strategy] = {"left": vector, "right": vector}
attended: dict[str, Strategy] = {"query": grid, "keys": narrow.flatmap(lambda d: st.lists(st.tuples(*[whole] * d), min_size=1, max_size=4))}
ratio: dict[str, Strategy] = {"features": st.integers(1, 6), "query": st.integers(-3, 3), "key": st.integers(-2, 2)}
length = st.shared(st.integers(1, 4), key="keys of a random-feature attention")
layer: dict[str, Strategy] = {
    "query": short,
    "keys": narrow.flatmap(lambda d: length.flatmap(lambda n: st.tuples(*[st.tuples(*[halves] * d)] * n))),
    "values": length.flatmap(lambda n: st.tuples(*[whole] * n)),
}
below = st.lists(st.integers(0, 6).map(lambda x: Fraction(x, 2)), min_size=1, max_size=5)
positive = st.integers(1, 4).map(lambda x: Fraction(x, 2))

test_the_gaussian_mean_of_an_exponential = searched(random_features.gaussian_exponential, vector=vector)
test_the_gaussian_mean_of_a_cosine = searched(random_features.gaussian_cosine, vector=vector)
test_positive_features_are_unbiased = searched(random_features.positive_unbiased, features=many, **pair)
test_the_variance_of_positive_features = searched(random_features.positive_variance, features=many, **pair)
test_how_many_features_are_needed = searched(random_features.features_needed, features=st.integers(1, 40), error=errors, **pair)
test_cosine_features_estimate_the_gaussian_kernel = searched(random_features.cosine_mean_kernel, features=many, **pair)
test_cosine_features_in_the_place_of_softmax = searched(random_features.cosine_softmax, **attended)
test_attention_with_cosine_features = searched(random_features.cosine_attention, **attended)
test_the_variance_of_cosine_features = searched(random_features.cosine_variance, features=many, **pair)
test_cosine_features_are_positive = searched(random_features.cosine_positive, draws=draws, offsets=offsets, query=grid, key=grid)
test_cosine_features_are_positive_definite = searched(random_features.cosine_positive_definite, draws=draws, offsets=offsets, query=grid, key=grid)
test_exponential_features_are_positive = searched(random_features.positive_positive, draws=draws, offsets=offsets, query=grid, key=grid)
test_performer_attention_is_unbiased = searched(random_features.performer_unbiased, **ratio)
test_numerator_and_denominator_are_unbiased = searched(random_features.sums_unbiased, **ratio)
test_the_ratio_is_biased = searched(random_features.ratio_biased, draws=below, query=st.integers(0, 6).map(lambda x: Fraction(x, 2)), key=positive)
test_performer_attention_converges = searched(random_features.converges, draws=draws, error=errors, **layer)
test_the_quotient_converges = searched(random_features.quotient_converges, draws=draws, error=errors, **layer)

turned = st.shared(st.integers(2, 3), key="dimensions in which rows are orthogonal").flatmap(lambda d: st.tuples(*[halves] * d))
columns = st.integers(2, 4).flatmap(lambda d: st.tuples(*[st.integers(-4, 4)] * (d - 1), st.integers(1, 4)))
test_orthogonal_rows_are_unbiased = searched(random_features.orthogonal_unbiased, left=turned, right=turned)
test_reflections_bias_the_first_row = searched(random_features.sign_convention, column=columns, length=positive, size=positive)
