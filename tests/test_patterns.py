"""What sparse patterns refuse, and tensors with other axes than four."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from impl import bigbird, block_sparse, dilated, fixed_window, longformer, random_keys, sliding_window, strided
from impl.block_sparse import blocks
from impl.patterns import by_mask, by_pairs
from impl.sliding_window import banded

Attention = Callable[..., Tensor]
LAYOUT = torch.ones(2, 2, dtype=torch.bool)
REFUSED: list[tuple[Attention, tuple[Any, ...], dict[str, Any], str]] = [
    (sliding_window.reference.attention, (0,), {}, "window 0"),
    (banded.attention, ((2, -1),), {}, r"window \(2, -1\)"),
    (sliding_window.reference.attention, (2,), {"start": -1}, "start -1"),
    (banded.attention, (2,), {"start": -3}, "start -3"),
    (fixed_window.reference.attention, (2, 3), {}, "window 2, representatives 3"),
    (strided.reference.attention, (0,), {}, "stride 0"),
    (dilated.reference.attention, (), {"start": -1}, "start -1"),
    (block_sparse.reference.attention, (0, LAYOUT), {}, "block 0"),
    (block_sparse.reference.attention, (1, LAYOUT), {}, r"layout torch.bool \(2, 2\): expected torch.bool \(4, 4\)"),
    (blocks.attention, (2, LAYOUT), {"start": 1}, r"expected torch.bool \(3, 2\)"),
    (blocks.attention, (2, LAYOUT.float()), {}, "layout torch.float32"),
    (random_keys.reference.attention, (torch.zeros(3, 2, dtype=torch.long),), {}, "indices has 3 rows"),
    (random_keys.reference.attention, (torch.zeros(4, 2),), {}, "indices torch.float32"),
    (random_keys.reference.attention, ((-1, 0),), {}, r"indices \(-1, 0\)"),
    (longformer.reference.attention, (1, 0), {}, "dilation 0"),
    (bigbird.reference.attention, (-1, (1, 0)), {}, "window -1"),
]


@pytest.mark.parametrize(("attention", "arguments", "keywords", "words"), REFUSED)
def test_what_means_nothing_is_refused_by_name(attention: Attention, arguments: tuple[Any, ...], keywords: dict[str, Any], words: str) -> None:
    x = torch.zeros(4, 2)
    with pytest.raises(ValueError, match=words):
        attention(x, x, x, *arguments, **keywords)


@pytest.mark.parametrize("axes", [(), (3,), (2, 1, 3)])
def test_any_number_of_leading_axes(axes: tuple[int, ...]) -> None:
    """Scores rise by 1000 a key: each row returns, exactly, the value of the last key that it sees. Padding masks with the axes of the others or without."""
    generator = torch.Generator().manual_seed(1)
    query, key = torch.ones(*axes, 7, 1), 1000 * torch.arange(5.0).reshape(5, 1).expand(*axes, 5, 1)
    value, layout = torch.randn(*axes, 5, 3, generator=generator), torch.rand(4, 3, generator=generator) < 0.7
    for padding in (torch.rand(1, 5, generator=generator) < 0.7, torch.rand(*axes, 1, 5, generator=generator) < 0.7):
        by_blocks = [block_sparse.reference.attention(query, key, value, 2, layout, padding, method=method) for method in (by_mask, by_pairs)]
        assert by_blocks[0].shape == (*axes, 7, 3)
        assert torch.equal(*by_blocks)
        assert torch.equal(blocks.attention(query, key, value, 2, layout, padding), by_blocks[0])
        assert torch.equal(banded.attention(query, key, value, 3, padding), sliding_window.reference.attention(query, key, value, 3, padding))
