"""What the course texts' quantised weights and "offloading" do instead, by cases that are exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from impl.as_stated import checkpointing_for_offloading, weights_in_int8_of_fixed_scale
from impl.checkpointed import offloaded, reference
from impl.int8.reference import attention as quantised


@pytest.mark.parametrize(("keys", "total"), [(1, 1.0), (3, 126 / 127), (200, 200 / 127), (254, 0.0), (255, 0.0), (1024, 0.0)])
def test_equal_weights_on_the_grid_of_0_to_1_have_another_sum_or_none(keys: int, total: float) -> None:
    """127 / 254 = 1/2 rounds to the even number 0; 127 / 200 rounds to 1, so that 200 keys weigh more than 1."""
    query, key, value = torch.zeros(1, 2, dtype=torch.float64), torch.ones(keys, 2, dtype=torch.float64), torch.ones(keys, 1, dtype=torch.float64)
    assert weights_in_int8_of_fixed_scale.attention(query, key, value).item() == pytest.approx(total, rel=1e-15)
    assert quantised(query[None], key[None], value[None]).item() == pytest.approx(1, rel=1e-12), "quantised scores leave the sum of the weights alone"


def moved(attention: Any) -> tuple[list[tuple[str, tuple[int, ...]]], list[Tensor]]:
    """What went to the CPU or to disk between forward and backward, and the gradients."""
    generator = torch.Generator().manual_seed(0)
    inputs = [torch.randn(1, 1, 6, 4, generator=generator, requires_grad=True) for _ in range(3)]
    kept: list[tuple[str, tuple[int, ...]]] = []
    save = torch.save

    def saved(x: Tensor, place: Any) -> None:
        kept.append((type(place).__name__, tuple(x.shape)))
        save(x, place)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "save", saved)
        output = attention(*inputs)
    return kept, list(torch.autograd.grad(output.square().sum(), inputs))


def test_the_snippet_for_offloading_stores_nothing() -> None:
    stated, gradients = moved(checkpointing_for_offloading.attention)
    right, expected = moved(offloaded.attention)
    assert stated == []
    assert any(shape[-2:] == (6, 6) for _, shape in right), "the weights are among what waits on disk"
    plain = moved(reference.attention)[1]
    assert all(bool(torch.equal(x, y)) for x, y in zip(expected, plain, strict=True))
    assert all(bool(torch.allclose(x, y)) for x, y in zip(gradients, plain, strict=True)), "values and gradients are right: it is the heading that is wrong"


def test_the_snippet_keeps_only_its_arguments() -> None:
    """Which is checkpointing: between forward and backward no tensor of 6 × 6 weights is held."""
    held: list[tuple[int, ...]] = []

    def keep(x: Tensor) -> Tensor:
        held.append(tuple(x.shape))
        return x

    query, key, value = (torch.ones(1, 1, 6, 4, requires_grad=True) for _ in range(3))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        checkpointing_for_offloading.attention(query, key, value)
    assert held
    assert all(shape[-2:] != (6, 6) for shape in held)
