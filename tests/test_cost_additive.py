"""What additive attention holds: every pair's hidden layer by the definition, one tile of keys of it in tiles. Bytes of live tensors, counted."""

from __future__ import annotations

import torch

from impl.additive import reference, tiled
from tests.benchmarks.live_bytes import Attention, LiveBytes, counting

N, WIDTH, HIDDEN, FLOAT = 64, 8, 16, 4


def held(attention: Attention, n: int) -> LiveBytes:
    """Bytes of a forward and a backward pass over n queries and n keys."""
    generator = torch.Generator().manual_seed(n)
    query, key, value, cotangent = (torch.randn(1, 1, n, WIDTH, generator=generator, requires_grad=place < 3) for place in range(4))
    weights = [torch.randn(*shape, generator=generator, requires_grad=True) for shape in ((WIDTH, HIDDEN), (WIDTH, HIDDEN), (HIDDEN,))]
    with counting() as live:
        torch.autograd.grad(attention(query, key, value, *weights), [query, key, value, *weights], cotangent)
    return live


def test_the_definition_holds_the_hidden_layer_of_every_pair() -> None:
    assert held(reference.attention, N).largest == N * N * HIDDEN * FLOAT


def test_in_tiles_the_largest_tensor_is_one_tile_of_it_or_the_scores() -> None:
    for n in (N, 2 * N):
        assert held(tiled.attention, n).largest == max(n * tiled.KEYS * HIDDEN, n * n) * FLOAT
