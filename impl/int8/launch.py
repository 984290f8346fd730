"""The launch side of `impl.int8.kernel`: arguments, the custom operator with its fake kernel, tiles, costs, and the specimens that are compiled."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.int8 import kernel
from impl.masked import accumulation
from impl.scaled_dot_product.configuration import INTERPRETED, Configuration
from impl.scaled_dot_product.launch import ACCUMULATORS, NARROW, strides, target_of

C = Configuration
# by target, for padded widths up to 64, 128 and 256: rows, columns, warps, stages
TABLE: dict[str, tuple[Configuration, Configuration, Configuration]] = {
    "sm_80": (C(128, 128, 8, 2), C(128, 64, 8, 3), C(64, 32, 8, 2)),
    "sm_90": (C(128, 128, 8, 2), C(128, 128, 8, 2), C(128, 32, 8, 2)),
    "sm_100": (C(128, 128, 8, 2), C(128, 128, 8, 2), C(128, 32, 8, 2)),
    "gfx942": (C(128, 64, 4, 1), C(128, 32, 4, 1), C(64, 32, 8, 1)),
}
CAUTIOUS = C(32, 32, 4, 1)  # float32 inputs, and devices that the table does not know
ELEMENTS = 4096  # of a tile that is quantised
LEVEL = 4  # bytes of a head's largest number


def configuration(target: str, width: int, bytes_each: int) -> Configuration:
    """The tile of `forward` for the larger padded width of a call."""
    if target == "interpreter":
        return INTERPRETED
    return TABLE[target][(width > 64) + (width > 128)] if target in TABLE and bytes_each <= 2 else CAUTIOUS


def padded(width: int) -> int:
    """The power of 2 that a product's inner axis is padded to: an instruction on int8 takes 32 of it."""
    return max(32, int(triton.next_power_of_2(width)))


class Whole(NamedTuple):
    """Keys as numbers int8 [B, H, M, padded D], and a step each, [B, H, M] in the accumulator's dtype."""

    numbers: Tensor
    steps: Tensor


def room(key: Tensor) -> Whole:
    return Whole(key.new_empty((*key.shape[:-1], padded(key.shape[-1])), dtype=torch.int8), key.new_empty(key.shape[:-1], dtype=accumulation(key.dtype)))


def quantising(key: Tensor, levels: Tensor, out: Whole, columns: int) -> Launch:
    """The launch that makes whole numbers of key [B, H, M, D], `columns` rows a program. levels [1] or [H], int32."""
    (batch, heads, m, width), d = key.shape, padded(key.shape[-1])
    arguments = {
        "K": key, "numbers": out.numbers, "steps": out.steps, "levels": levels, **strides("k", key, "bhnd"), "level": int(levels.numel() > 1),
        "H": heads, "M": m, "COLUMNS": columns, "D": d, "WIDTH": width, "WIDE": wide(max(columns, d), key), "ACC": ACCUMULATORS[key.dtype],
    }  # fmt: skip
    return Launch(kernel=kernel.quantise, grid=(triton.cdiv(m, columns), batch * heads), arguments=arguments, options={"num_warps": 4, "num_stages": 1})


def columns_of(key: Tensor) -> int:
    """How many keys a program quantises."""
    return ELEMENTS // padded(key.shape[-1])


def wide(size: int, *tensors: Tensor) -> bool:
    """Whether offsets within a tile of this size may need 64 bits."""
    return 2 * size * max(abs(stride) for x in tensors for stride in x.stride()[-2:]) >= NARROW


def attending(
    query: Tensor, key: Whole, value: Tensor, bias: Tensor | None, levels: Tensor, scale: float, causal: bool, out: Tensor, tile: Configuration
) -> Launch:
    """The launch of `forward`, which writes `out` [B, H, N, E]."""
    (batch, heads, n, width), m = query.shape, value.shape[2]
    d, e = padded(width), max(16, triton.next_power_of_2(value.shape[-1]))
    kind = "none" if bias is None else "boolean" if bias.dtype == torch.uint8 else "additive"
    size = max(tile.rows, tile.columns, d, e, *((n, m) if bias is not None else ()))
    arguments = {
        "Q": query, "numbers": key.numbers, "k_steps": key.steps, "V": value, "O": out, "levels": levels, "bias": bias,
        **strides("q", query, "bhnd"), "level": int(levels.numel() > 1), **strides("v", value, "bhnd"), **strides("o", out, "bhnd"),
        **strides("b", bias, "bhnm"), "H": heads, "N": n, "M": m,
        "factor": (abs(scale) or 1.0) * (1.0 if kind == "additive" else math.log2(math.e)), "SIGN": 0 if scale == 0 else 1 if scale > 0 else -1,
        "ROWS": tile.rows, "COLUMNS": tile.columns, "D": d, "E": e, "WIDTH": width, "VALUE_WIDTH": value.shape[-1], "CAUSAL": causal, "BIAS": kind,
        "WIDE": wide(size, query, value, out, *(() if bias is None else (bias,))), "ACC": ACCUMULATORS[value.dtype],
    }  # fmt: skip
    options = {"num_warps": tile.warps, "num_stages": tile.stages}
    return Launch(kernel=kernel.forward, grid=(triton.cdiv(n, tile.rows), batch * heads), arguments=arguments, options=options)


@torch.library.custom_op("attention_ledger::int8_attention", mutates_args=())
def int8_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, levels: Tensor, scale: float, causal: bool, tile: Sequence[int], target: str
) -> Tensor:
    """Output [B, H, N, E] of query [B, H, N, D], key [B, H, M, D] and value [B, H, M, E]; bias [B, H, N, M] (uint8: may attend, or additive), levels [1] or
    [H], int32. `tile` = (rows, columns, warps, stages), or empty for what ships for `target`, or for the tensors' device."""
    whole, out = room(key), query.new_empty((*query.shape[:-1], value.shape[-1]))
    quantising(key, levels, whole, columns_of(key)).run()
    chosen = configuration(target or target_of(query), max(padded(query.shape[-1]), padded(value.shape[-1])), query.element_size())
    attending(query, whole, value, bias, levels, scale, causal, out, Configuration(*(int(x) for x in tile)) if tile else chosen).run()
    return out


@int8_attention.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> Tensor:
    return query.new_empty((*query.shape[:-1], value.shape[-1]))


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """The operator with arguments, for `torch.library.opcheck`: odd lengths and widths, levels of each head, a mask of each kind."""
    query, key, value = torch.randn(1, 2, 5, 3), torch.randn(1, 2, 19, 3), torch.randn(1, 2, 19, 7)
    for bias in (None, torch.randn(1, 2, 5, 19), torch.ones(1, 2, 5, 19, dtype=torch.uint8)):
        levels = torch.tensor([127, 7] if bias is None else [127], dtype=torch.int32)
        yield int8_attention, (query, key, value, bias, levels, -0.5, bias is None, [16, 16, 4, 1], "")


def cost_of_quantising(key: Tensor, columns: int) -> Cost:
    """Keys are read once, and for each block of them the levels; a byte of each padded feature is written, and a step of each key."""
    heads, m, step = key.shape[0] * key.shape[1], key.shape[2], accumulation(key.dtype).itemsize
    read = key.numel() * key.element_size() + heads * triton.cdiv(m, columns) * LEVEL
    return Cost(products=0, functions=0, read=read, written=heads * m * (padded(key.shape[-1]) + step))


def cost_of_attending(query: Tensor, value: Tensor, bias: Tensor | None, causal: bool, tile: Configuration) -> Cost:
    """A block of rows reads its queries and the levels, and of each tile of keys (under causality, up to that of its last row's own position) a byte a
    padded feature, a step and the value of each key. A tile takes 2 · rows · columns · (D + E) operations, and an exponential for each score and each row."""
    (batch, heads, n, width), m, size, step = query.shape, value.shape[2], value.element_size(), accumulation(query.dtype).itemsize
    d, e = padded(width), max(16, triton.next_power_of_2(value.shape[-1]))
    products = functions = read = 0
    for start in range(0, n, tile.rows):
        rows = min(tile.rows, n - start)
        tiles = triton.cdiv(min(m, start + tile.rows) if causal else m, tile.columns)
        keys = min(tiles * tile.columns, m)
        products += tiles * 2 * tile.rows * tile.columns * (d + e)
        functions += tiles * (tile.rows * tile.columns + tile.rows)
        read += rows * width * size + LEVEL + keys * (d + step + value.shape[-1] * size) + (0 if bias is None else rows * keys * bias.element_size())
    return Cost(*(batch * heads * x for x in (products, functions, read, n * value.shape[-1] * size)))


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted."""
    small = target == "interpreter"
    batch, heads, n, m = (1, 2, 20, 37) if small else (2, 16, 1024, 1024)
    levels = torch.tensor([127], dtype=torch.int32)
    for width in (5,) if small else (64, 128):
        query, key, value = (torch.rand(batch, heads, length, width).to(dtype) for length in (n, m, m))
        columns = 16 if small else columns_of(key)
        case = f"width {width}"
        yield Specimen(kernel="quantise", case=case, launch=quantising(key, levels, room(key), columns), cost=cost_of_quantising(key, columns))
        whole = Whole(*map(torch.ones_like, room(key)))
        tile = configuration(target, padded(width), query.element_size())
        for causal in (False, True):
            for bias in (None, torch.ones(batch, heads, n, m, dtype=torch.uint8)) if small else (None,):
                launch = attending(query, whole, value, bias, levels, 0.5, causal, torch.empty_like(query), tile)
                name = f"{case}{', causal' if causal else ''}{'' if bias is None else ', masked'}"
                yield Specimen(kernel="forward", case=name, launch=launch, cost=cost_of_attending(query, value, bias, causal, tile))
