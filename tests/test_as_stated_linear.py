"""What the course texts' formulas of linear attention compute instead, by cases that are exact."""

from __future__ import annotations

import math

import torch

from impl.as_stated import cosines_for_the_exponential_kernel, features_without_normaliser
from impl.random_features import reference


def test_without_a_normaliser_twice_the_keys_give_twice_the_output() -> None:
    query, key, value = torch.ones(1, 1), torch.zeros(4, 1), torch.full((4, 1), 0.5)
    features = lambda x: torch.ones_like(x)  # noqa: E731  the kernel of equal weights
    assert features_without_normaliser.attention(query, key, value, features).item() == 2.0, "the mean of the values is 0.5"


def test_weights_of_cosines_alone_may_sum_to_zero() -> None:
    """With one key at 0 and one at π under w = 1, b = 0 and the query at 0, the text's weights are 1 and −1: their sum is 0."""
    query, key, value = torch.zeros(1, 1, dtype=torch.float64), torch.tensor([[0.0], [math.pi]], dtype=torch.float64), torch.eye(2, dtype=torch.float64)
    w, b = torch.ones(1, 1, dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    stated = cosines_for_the_exponential_kernel.attention(query, key, value, w, b)
    assert not bool(stated.isfinite().all()), "division by a sum of weights that is 0"
    assert bool((reference.attention(query, key, value, w) > 0).all()), "positive features give positive weights"
