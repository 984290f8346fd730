"""The public side of rotary attention by kernels: what it refuses."""

from __future__ import annotations

import pytest
import torch

from impl.rotary import fused
from impl.scaled_dot_product import flash


@pytest.mark.parametrize(
    ("query", "key", "words"),
    [
        (torch.zeros(1, 2, 5, 3), torch.zeros(1, 2, 7, 3), r"one even width: query \(1, 2, 5, 3\) torch.float32, key \(1, 2, 7, 3\)"),
        (torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 7, 6), r"key \(1, 2, 7, 6\) torch.float32"),
        (torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 7, 4, dtype=torch.float64), r"one dtype .* key \(1, 2, 7, 4\) torch.float64"),
    ],
)
def test_pairs_that_do_not_match_are_refused(query: torch.Tensor, key: torch.Tensor, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fused.attention(query, key, torch.zeros(1, 2, 7, 4))


@pytest.mark.skipif(flash.missing() is not None, reason=str(flash.missing()))
def test_a_gradient_that_is_not_there_is_refused() -> None:
    """Without an error it would be taken for zero."""
    query, key, value = (torch.randn(1, 1, 3, 4, requires_grad=True) for _ in range(3))
    found = fused.attention(query, key, value, turning=(16, 2, 4), tile=(16, 16, 4, 1))
    with pytest.raises(RuntimeError, match=r"backward through attention_ledger\.turned"):
        found.sum().backward()
