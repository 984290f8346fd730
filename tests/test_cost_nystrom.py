"""What Nyström attention costs: multiplications and additions by torch's own count, which leaves out the K × K system, and numbers in the largest tensor."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from impl.nystrom import reference, three_products
from tests.benchmarks.live_bytes import counting

SIZES = (64, 128, 192, 323)  # the last is no multiple of the landmarks
D, E, K, FLOAT = 8, 4, 6, 4
Attention = Callable[..., Tensor]


def inputs(n: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(n)
    query, key, value = (torch.randn(1, 1, n, width, generator=generator) for width in (D, D, E))
    return query, key, value


def operations(attention: Attention, *arguments: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        attention(*arguments, K)
    return int(counter.get_total_flops())


def largest(attention: Attention, *arguments: Tensor) -> int:
    """Numbers in the largest tensor that the call makes."""
    with counting() as live:
        attention(*arguments, K)
    return live.largest // FLOAT


@pytest.mark.parametrize("n", SIZES)
def test_three_products_are_linear_in_the_length(n: int) -> None:
    x = inputs(n)
    scores = 4 * n * K * D + 2 * K * K * D
    assert operations(three_products.attention, *x) == scores + 4 * n * K * E
    assert largest(three_products.attention, *x) == n * max(K, E)


@pytest.mark.parametrize("n", SIZES)
def test_the_whole_matrix_of_weights_is_not(n: int) -> None:
    x = inputs(n)
    assert operations(reference.attention, *x) == 4 * n * K * D + 2 * K * K * D + 2 * n * n * (K + E)
    assert largest(reference.attention, *x) == n * n


def test_the_system_has_as_many_columns_as_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not as many as there are keys."""
    columns: list[int] = []

    def watched(matrix: Tensor, right: Tensor) -> Tensor:
        columns.append(right.shape[-1])
        return reference.solved(matrix, right)

    monkeypatch.setattr(three_products, "solved", watched)
    three_products.attention(*inputs(SIZES[0]), K)
    assert columns == [E]


def test_landmarks_are_as_many_as_there_are_rows_at_most() -> None:
    for landmarks in (0, 6):
        with pytest.raises(ValueError, match="landmarks"):
            reference.attention(*inputs(5), landmarks)
