"""The kernels of dense attention as they ship, listed for compiling and counting as every other folder lists its own in `specimens`. Imports triton."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import torch
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.scaled_dot_product import launch
from impl.scaled_dot_product.configuration import Configuration
from properties.kernels import KERNELS, WIDTHS

SHAPE = (2, 16, 4, 1024, 1024)  # batch, heads, key heads, queries, keys: what a launcher would see, aligned tensors and grouped queries
SMALL = (2, 4, 2, 20, 37)  # lengths that no tile divides
# For counting: widths and tiles, of which the second is read by descriptors. The interpreter takes 10 ms a program.
COUNTED = ((6, Configuration(16, 16, 4, 1)), (8, Configuration(16, 32, 4, 2)))


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """Each kernel at each width, causal and not, in the first configuration of the table; for the target "interpreter" what is counted."""
    for kernel in KERNELS:
        for width, tile in COUNTED if target == "interpreter" else ((width, None) for width in WIDTHS):
            for causal in (False, True):
                yield specimen(target, kernel, width, dtype, causal, tile)


def specimen(target: str, kernel: str, width: int, dtype: torch.dtype, causal: bool, tile: Configuration | None = None) -> Specimen:
    batch, heads, key_heads, queries, keys = SMALL if target == "interpreter" else SHAPE
    room = torch.zeros if target == "interpreter" else torch.empty  # what is only compiled is never touched
    query = room(batch, heads, queries, width, dtype=dtype)
    key, value = (room(batch, key_heads, keys, width, dtype=dtype) for _ in range(2))
    call = launch.Call(query, key, value, None, None, None, None, [], width**-0.5, 0.0, causal, False, 0.0, 0, tile or (), target)
    configuration = call.configurations(kernel)[0]
    output, log_sum_exp = (room(x.shape, dtype=x.dtype) for x in launch.results(query, value))
    cotangent, delta = (room(x.shape, dtype=x.dtype) for x in (output, log_sum_exp))
    return Specimen(
        kernel=kernel,
        case=f"width {width}{', causal' if causal else ''}",
        launch=prepared(call, kernel, configuration, output, log_sum_exp, cotangent, delta),
        cost=cost(call, kernel, configuration),
    )


def prepared(call: launch.Call, kernel: str, configuration: Configuration, output: Tensor, log_sum_exp: Tensor, cotangent: Tensor, delta: Tensor) -> Launch:
    """The launch of one kernel."""
    if kernel == "forward":
        return call.forward(output, log_sum_exp, None, configuration)
    d_query, d_key, d_value, _, _ = launch.gradients(log_sum_exp, call.query, call.key, call.value, False)
    return call.backward(output, log_sum_exp, cotangent, None, delta, d_query, d_key, d_value, None)[kernel](configuration)


class Walk(NamedTuple):
    """What the programs of one head do together: `tiles` in all, the `walked` positions that their loops load, the `held` positions that they load once."""

    tiles: int
    walked: int
    held: int


def over_keys(n: int, m: int, causal: bool, rows: int, columns: int) -> Walk:
    """Blocks of queries that walk over the keys: under causality as far as the block's last query sees, rounded up to a tile.

    >>> over_keys(1024, 1024, False, 128, 64)
    Walk(tiles=128, walked=8192, held=1024)
    >>> over_keys(1024, 1024, True, 128, 64)
    Walk(tiles=72, walked=4608, held=1024)
    """
    ends = [min(m, start + rows) if causal else m for start in range(0, n, rows)]
    tiles = [ceil(end / columns) for end in ends]
    return Walk(sum(tiles), sum(min(m, each * columns) for each in tiles), n)


def over_queries(n: int, m: int, causal: bool, rows: int, columns: int) -> Walk:
    """Blocks of keys that walk over the queries of one head: under causality from the tile of the first query that sees the block.

    >>> over_queries(1024, 1024, True, 128, 64)
    Walk(tiles=72, walked=9216, held=1024)
    """
    begins = [min(n, start // rows * rows) if causal else 0 for start in range(0, m, columns)]
    return Walk(sum(ceil((n - begin) / rows) for begin in begins), sum(n - begin for begin in begins), m)


def cost(call: launch.Call, kernel: str, configuration: Configuration) -> Cost:
    """Of a call with no bias, cap, dropout or sinks. A tile has rows × columns scores, D and E features with their padding: forward multiplies twice,
    Q Kᵀ and P V; `backward_queries` three times, Q Kᵀ, dO Vᵀ and dS K; `backward_keys` four times, K Qᵀ, V dOᵀ, Pᵀ dO and dSᵀ Q. Each score is the
    argument of one exp2; forward adds one a row and tile, which rescales, and a logarithm a row. Numbers that no feature has (log-sum-exp, delta) are in
    the accumulator's dtype."""
    rows, columns = configuration.rows, configuration.columns
    causal, d, e = call.common["CAUSAL"], call.padded, call.value_padded
    size, single = call.query.element_size(), 8 if call.query.dtype == torch.float64 else 4
    width, value_width = call.query.shape[-1], call.value.shape[-1]
    all_heads = call.batch * call.heads
    if kernel == "backward_keys":
        walk = over_queries(call.n, call.m, causal, rows, columns)
        once = call.batch * call.key_heads * walk.held * (width + value_width) * size  # K and V; and as much is written, dK and dV
        walked = all_heads * walk.walked * ((width + value_width) * size + 2 * single)  # Q, dO, log-sum-exp and delta
        tiles = all_heads * walk.tiles
        return Cost(products=tiles * 2 * rows * columns * (2 * d + 2 * e), functions=tiles * rows * columns, read=once + walked, written=once)
    walk = over_keys(call.n, call.m, causal, rows, columns)
    tiles, walked = all_heads * walk.tiles, all_heads * walk.walked * (width + value_width) * size  # K and V
    held = all_heads * walk.held
    if kernel == "forward":
        programs = all_heads * ceil(call.n / rows)
        return Cost(
            products=tiles * 2 * rows * columns * (d + e),
            functions=tiles * rows * (columns + 1) + programs * rows,
            read=held * width * size + walked,
            written=held * (value_width * size + single),
        )
    return Cost(
        products=tiles * 2 * rows * columns * (2 * d + e),
        functions=tiles * rows * columns,
        read=held * ((width + 2 * value_width) * size + single) + walked,
        written=held * (width * size + single),
    )
