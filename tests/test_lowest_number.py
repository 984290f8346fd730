"""Masks that add float32's lowest number, in kernels whose laws draw no such mask (a law of dense attention does): it hides beside a visible key, and a row of
nothing else is the mean of all values."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from impl.additive import fused as additive
from impl.block_sparse import fused as block_sparse
from impl.entmax import fused as entmax
from impl.int8 import fused as int8

if torch.cuda.is_available() and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("a process that uses the GPU cannot interpret kernels: run this file by itself with TRITON_INTERPRET=1", allow_module_level=True)
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs triton (pip install attention-ledger[kernels]; Linux only)")
LENGTH, TILE = 19, (16, 16, 4, 1)


def additive_without_energies(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    square = torch.eye(query.shape[-1])
    return additive.attention(query, key, value, square, square, torch.zeros(query.shape[-1]), attn_mask=mask, tile=TILE)


KERNELS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]] = {
    "additive": additive_without_energies,
    "block-sparse": lambda query, key, value, mask: block_sparse.attention(query, key, value, [list(range(LENGTH))] * LENGTH, mask, tile=TILE),
    "entmax": lambda query, key, value, mask: entmax.attention(query, key, value, mask, tile=TILE),
    "int8": lambda query, key, value, mask: int8.attention(query, key, value, mask, tile=TILE),
}


@needs_triton
@pytest.mark.parametrize("kernel", KERNELS)
def test_it_hides_as_minus_infinity_does_and_a_row_of_it_is_the_mean(kernel: str) -> None:
    """Scores are 0 and values whole: weights are 1 / n for n equal scores, off by at most 4 units of roundoff; a sum of 19 products by 19 more."""
    generator = torch.Generator().manual_seed(7)
    query, key = torch.randn(1, 1, LENGTH, 4, generator=generator), torch.zeros(1, 1, LENGTH, 4)
    value = torch.randint(-3, 4, (1, 1, LENGTH, 4), generator=generator).float()
    hidden = torch.rand(LENGTH, LENGTH, generator=generator) < 0.5
    hidden[::3] = True
    mask = torch.zeros(LENGTH, LENGTH).masked_fill(hidden, torch.finfo(torch.float32).min)
    seen = ~hidden | hidden.all(-1, keepdim=True)
    expected = (seen.double() / seen.sum(-1, keepdim=True)) @ value.double()
    found = KERNELS[kernel](query, key, value, mask)
    assert float((found.double() - expected).abs().max()) <= (4 + LENGTH) * 2**-24 * float(value.abs().max())
