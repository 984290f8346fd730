"""What the text's formulas of co-attention lack: shapes that fit, and the right side of the affinity where they happen to fit."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from impl.as_stated import co_attention_without_a_transpose as as_stated
from impl.co_attention import reference


def fits(*shapes: tuple[str, str]) -> bool:
    """Whether a product of matrices of these shapes, of sizes that all differ, exists."""
    return all(left[1] == right[0] for left, right in itertools.pairwise(shapes))


def test_of_the_readings_of_the_text_only_the_ones_with_the_affinity_turned_have_shapes_that_fit() -> None:
    """C is the text's Q_vᵀ W_b Q_t, N × M, or with text first M × N; H_v needs something of shape A × N, H_t of A × M."""
    of_v, of_t = ("A", "N"), ("A", "M")
    as_written, turned = ("N", "M"), ("M", "N")
    assert not fits(of_t, as_written)
    assert not fits(of_v, as_written[::-1])
    assert fits(of_t, turned)
    assert fits(of_v, turned[::-1])
    assert (of_t[0], turned[1]) == of_v
    assert (of_v[0], turned[::-1][1]) == of_t


def test_unequal_numbers_of_regions_and_tokens_raise() -> None:
    with pytest.raises(RuntimeError):
        as_stated.hidden(torch.ones(2, 3), torch.ones(2, 4), torch.eye(2), torch.ones(5, 2), torch.ones(5, 2))


def test_at_equal_numbers_a_region_gets_what_another_one_should() -> None:
    """Two regions, two tokens; the first region alone has an affinity, with the second token alone. By the text, its own token reaches no region."""
    vision, text = torch.tensor([[1.0, 0.0], [0.0, 0.0]]), torch.tensor([[0.0, 1.0], [0.0, 0.0]])  # features first
    by_text, _ = as_stated.hidden(vision, text, torch.eye(2), torch.zeros(1, 2), torch.ones(1, 2))
    assert by_text.tolist() == [[0.0, 0.0]], "token 1 says nothing, and token 2 is not heard by any region"
    right = hidden_of_vision(vision, text)
    heard = torch.tensor(1.0).tanh().tanh()
    assert right.tolist() == [[float(heard), 0.0]]


def hidden_of_vision(vision: Tensor, text: Tensor) -> Tensor:
    """H_v by the definition, with W_b = 1, W_v = 0 and W_t = (1, 1)."""
    return ((vision.mT @ text).tanh() @ (text.mT @ torch.ones(2, 1))).tanh().mT


def test_the_definition_takes_unequal_numbers() -> None:
    found = reference.attention(torch.ones(1, 3, 2), torch.ones(1, 4, 2), torch.eye(2), torch.ones(2, 5), torch.ones(2, 5), torch.ones(5), torch.ones(5))
    assert found.shape == (1, 2, 2)
    assert found.tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
