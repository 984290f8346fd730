"""The launch side of `impl.rotary.kernel`: arguments, the custom operator with its fake kernel, and the specimens that are compiled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.masked import accumulation
from impl.rotary import kernel
from impl.scaled_dot_product.launch import ACCUMULATORS, strides, target_of


class Tile(NamedTuple):
    """Positions and heads of a program, and its warps."""

    rows: int
    heads: int
    warps: int


INTERPRETED = Tile(16, 2, 4)  # several tiles of either, with a remainder
ELEMENTS = 2048  # of a tile of queries: 16 a thread of 128, so that half a row's features are still fetched 16 bytes at once


def shipping(target: str, width: int) -> Tile:
    """The tile for a target: warps have 64 lanes on gfx942, 32 elsewhere."""
    return Tile(max(1, ELEMENTS // triton.next_power_of_2(max(width, 2))), 4, 2 if target == "gfx942" else 4)


def turning(query: Tensor, key: Tensor, cosines: Tensor, sines: Tensor, interleaved: bool, out: tuple[Tensor, Tensor], tile: Tile) -> Launch:
    """The launch that turns query [B, H, N, D] and key [C, G, M, D] into `out`."""
    (batch, heads, n, width), (key_batch, key_heads, m, _) = query.shape, key.shape
    turned, turned_keys = out
    arguments = {
        "Q": query, "K": key, "O": turned, "P": turned_keys, "cosines": cosines, "sines": sines,
        **strides("q", query, "bhnd"), **strides("k", key, "bhnd"), **strides("o", turned, "bhnd"), **strides("p", turned_keys, "bhnd"),
        "H": heads, "G": key_heads, "N": n, "M": m, "query_heads": batch * heads, "key_heads": key_batch * key_heads,
        "ROWS": tile.rows, "HEADS": tile.heads, "PADDED": triton.next_power_of_2(max(width // 2, 1)), "PAIRS": width // 2,
        "INTERLEAVED": interleaved, "ACC": ACCUMULATORS[query.dtype],
    }  # fmt: skip
    grid = triton.cdiv(max(n, m), tile.rows), triton.cdiv(max(batch * heads, key_batch * key_heads), tile.heads)
    return Launch(kernel=kernel.turn_both, grid=grid, arguments=arguments, options={"num_warps": tile.warps, "num_stages": 1})


@torch.library.custom_op("attention_ledger::turned", mutates_args=())
def turned(query: Tensor, key: Tensor, cosines: Tensor, sines: Tensor, interleaved: bool, tile: Sequence[int]) -> tuple[Tensor, Tensor]:
    """query [B, H, N, D] and key [C, G, M, D] turned by the angles of cosines and sines [max(N, M), D / 2], in their own dtype. `tile` = (positions, heads,
    warps) of a program, or empty for what ships."""
    out = query.new_empty(query.shape), key.new_empty(key.shape)
    turning(query, key, cosines, sines, interleaved, out, Tile(*(int(x) for x in tile)) if tile else shipping(target_of(query), query.shape[-1])).run()
    return out


@turned.register_fake
def _(query: Tensor, key: Tensor, cosines: Tensor, sines: Tensor, interleaved: bool, tile: Sequence[int]) -> tuple[Tensor, Tensor]:
    return query.new_empty(query.shape), key.new_empty(key.shape)


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Operators with arguments, for `torch.library.opcheck`."""
    yield turned, (torch.randn(1, 2, 5, 4), torch.randn(1, 1, 7, 4), torch.ones(7, 2), torch.zeros(7, 2), True, [16, 2, 4])


def cost(query: Tensor, key: Tensor, heads_a_program: int) -> Cost:
    """Queries and keys are read and written once. A table has D / 2 numbers a position; both are read once for every `heads_a_program` heads."""
    moved = (query.numel() + key.numel()) * query.element_size()
    times = triton.cdiv(max(query.shape[0] * query.shape[1], key.shape[0] * key.shape[1]), heads_a_program)
    tables = max(query.shape[2], key.shape[2]) * query.shape[3] * accumulation(query.dtype).itemsize
    return Cost(products=0, functions=0, read=moved + times * tables, written=moved)


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted: of keys there are fewer heads, and more positions."""
    small = target == "interpreter"
    for width in (6,) if small else (64, 128):
        for interleaved in (False, True):
            query = torch.zeros(2, 3 if small else 16, 20 if small else 1024, width, dtype=dtype)
            key = torch.zeros(2, 2 if small else 16, 37 if small else 1024, width, dtype=dtype)
            cosines = sines = torch.zeros(key.shape[2], width // 2, dtype=accumulation(dtype))
            tile = INTERPRETED if small else shipping(target, width)
            launch = turning(query, key, cosines, sines, interleaved, (torch.empty_like(query), torch.empty_like(key)), tile)
            case = f"width {width}, {'neighbours' if interleaved else 'halves'}"
            yield Specimen(kernel="turn_both", case=case, launch=launch, cost=cost(query, key, tile.heads))
