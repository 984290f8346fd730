"""What attention by features and Linformer cost: multiplications and additions by torch's own count, and numbers in the largest tensor, each exact."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl import linformer
from impl.linear_attention import chunked, recurrent, reference, two_products
from impl.random_features import linear_time
from impl.random_features import reference as pairs
from tests.benchmarks.live_bytes import counting

SIZES = (64, 128, 192, 320)
D, E, CHUNK, FEATURES, MIXTURES, FLOAT = 8, 4, 16, 12, 6, 4
Attention = Callable[..., Tensor]


def inputs(n: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(n)
    return [torch.randn(1, 1, n, width, generator=generator) for width in (D, D, E)]


def operations(attention: Attention, *arguments: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        attention(*arguments)
    return int(counter.get_total_flops())


def largest(attention: Attention, *arguments: Tensor) -> int:
    """Numbers in the largest tensor that the call makes."""
    with counting() as live:
        attention(*arguments)
    return live.largest // FLOAT


def chunked_operations(n: int, features: int) -> int:
    """Scores and their product with the values within chunks; the state read and written for each row. The ones make E + 1 columns."""
    return 2 * n * CHUNK * (features + E + 1) + 4 * n * features * (E + 1)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize(("feature_map", "features"), [("elu+1", D), ("taylor", 1 + D + D * D)])
def test_operations_of_linear_attention_are_linear_in_the_length(n: int, feature_map: str, features: int) -> None:
    x = inputs(n)
    assert operations(partial(two_products.attention, feature_map=feature_map), *x) == 4 * n * features * (E + 1)
    causal = partial(chunked.attention, feature_map=feature_map, is_causal=True, chunk=CHUNK)
    assert operations(causal, *x) == chunked_operations(n, features)
    assert operations(partial(recurrent.attention, feature_map=feature_map, is_causal=True), *x) == 2 * n * features * (E + 1), "beside writing the state"
    assert operations(partial(reference.attention, feature_map=feature_map), *x) == 2 * n * n * (features + E + 1)


@pytest.mark.parametrize("n", SIZES)
def test_the_largest_tensor_of_linear_attention_is_one_of_features(n: int) -> None:
    x = inputs(n)
    for attention in (two_products.attention, partial(recurrent.attention, is_causal=True), partial(chunked.attention, is_causal=True, chunk=CHUNK)):
        assert largest(attention, *x) == n * D
    assert largest(reference.attention, *x) == n * n


@pytest.mark.parametrize("n", SIZES)
def test_random_features_cost_by_the_length(n: int) -> None:
    x = (*inputs(n), torch.randn(FEATURES, D, generator=torch.Generator().manual_seed(0)))
    mapped = 4 * n * FEATURES * D
    assert operations(linear_time.attention, *x) == mapped + 4 * n * FEATURES * (E + 1)
    causal = partial(linear_time.attention, is_causal=True, chunk=CHUNK)
    assert operations(causal, *x) == mapped + 4 * n * FEATURES * (E + 1) + 2 * n * CHUNK * (E + 1), "beside the exponentials of pairs"
    assert largest(linear_time.attention, *x) <= n * FEATURES + FEATURES
    assert largest(causal, *x) <= max(n * FEATURES, CHUNK * CHUNK * (FEATURES + 1))
    assert largest(pairs.attention, *x) >= n * n * FEATURES


@pytest.mark.parametrize("n", SIZES)
def test_linformer_costs_by_the_length(n: int) -> None:
    generator = torch.Generator().manual_seed(n)
    x = (*inputs(n), torch.randn(MIXTURES, n, generator=generator), torch.randn(MIXTURES, n, generator=generator))
    assert operations(linformer.reference.attention, *x) == 4 * n * MIXTURES * (D + E)
    assert largest(linformer.reference.attention, *x) == n * max(MIXTURES, E)
    assert operations(linformer.all_scores.attention, *x) == 2 * n * n * (D + 2 * MIXTURES + E)
    assert largest(linformer.all_scores.attention, *x) == n * n
