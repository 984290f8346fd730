"""What can be said of a launch before it is made: grid, argument types, alignment, offsets, and whether one block fits the device. Pure, apart from reading."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from impl._triton.compiled import Compiled
from impl._triton.launch import GRID_LIMIT, Launch
from impl._triton.occupancy import LIMITS

WORD = 2**31
BOX = 256  # the most elements of an axis of a tensor descriptor's box: CUDA driver API, cuTensorMapEncodeTiled
TYPES = {
    torch.float16: "fp16", torch.bfloat16: "bf16", torch.float32: "fp32", torch.float64: "fp64", torch.uint8: "u8", torch.int8: "i8",
    torch.int32: "i32", torch.int64: "i64", torch.bool: "i1",
}  # fmt: skip
# A tile's axes by its tensor: positions, then features. `kernel.apart` multiplies them by the strides named …n and …d.
TILES = {
    "q": ("ROWS", "D"), "k": ("COLUMNS", "D"), "v": ("COLUMNS", "E"), "o": ("ROWS", "E"), "g": ("ROWS", "E"),
    "dq": ("ROWS", "D"), "dk": ("COLUMNS", "D"), "dv": ("COLUMNS", "E"),
}  # fmt: skip


def problems(launch: Launch, kernel: Any, found: Compiled) -> Iterator[str]:
    """What speaks against the launch, each in a sentence; nothing if all is well. `kernel` is what Triton made of it, `found` what was read off it."""
    for axis, (size, most) in enumerate(zip(launch.grid, GRID_LIMIT, strict=False)):
        if size > most:
            yield f"axis {axis} of the grid has {size} blocks, {most} are allowed"
    limits = LIMITS[found.target]
    if found.shared > limits.block_shared:
        yield f"asks for {found.shared} bytes of shared memory, {limits.block_shared} are allowed"
    if found.tensor_columns > limits.tensor_columns:
        yield f"asks for {found.tensor_columns} columns of tensor memory, there are {limits.tensor_columns}"
    if found.occupancy.blocks < 1:
        yield f"no block fits a multiprocessor: {found.occupancy.limit}"
    signature, attributes = dict(kernel.src.signature), getattr(kernel.src, "attrs", {}) or {}
    for place, name in enumerate(launch.kernel.arg_names):
        value = launch.arguments[name]
        if is_constant(launch, place):
            continue
        if (kind := signature[name]) not in (wanted := expected(value)):
            yield f"{name} = {shown(value)} is passed as {kind}, expected {' or '.join(wanted)}"
        divisible = ["tt.divisibility", 16] in attributes.get((place,), [])
        if kind.startswith(("*", "i")) and divisible != divides(value):
            yield f"{name} = {shown(value)} is {'' if divisible else 'not '}taken for a multiple of 16"
        if isinstance(value, TensorDescriptor) and max(value.block_shape[:-1]) > BOX:
            yield f"the box of {name}, {value.block_shape}, has an axis above {BOX}"
    if not launch.arguments.get("WIDE", True):  # kernels without it take positions in 64 bits
        yield from (f"the offset {name} reaches {most}, beyond 32 bits, and WIDE is false" for name, most in offsets(launch.arguments) if most >= WORD)


def is_constant(launch: Launch, place: int) -> bool:
    """Is the parameter at this place declared tl.constexpr?"""
    return bool(launch.kernel.params[place].is_constexpr)


def expected(value: Any) -> tuple[str, ...]:
    """The types that an argument may be passed as: None and 1 become constants, integers take 32 bits where they fit and 64 elsewhere."""
    if value is None or (isinstance(value, int) and value == 1):
        return ("constexpr",)
    if isinstance(value, Tensor):
        return (f"*{TYPES[value.dtype]}",)
    if isinstance(value, TensorDescriptor):
        box = ", ".join(map(str, value.block_shape))
        return (f"tensordesc<{TYPES[value.base.dtype]}[{box}]>", f"tensordesc<{TYPES[value.base.dtype]}[{box.replace(' ', '')}]>")
    return ("fp32",) if isinstance(value, float) else ("i32",) if -WORD <= value < WORD else ("i64",)


def divides(value: Any) -> bool:
    """Is it an address or a number that a multiple of 16 bytes, or 16, divides?"""
    return (value.data_ptr() if isinstance(value, Tensor) else int(value)) % 16 == 0


def offsets(arguments: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The largest offset of each tile from its first element that is computed in 32 bits. A stride beyond 32 bits is passed in 64, and makes its product so."""
    for name, (positions, features) in TILES.items():
        if {f"{name}n", f"{name}d", positions, features} <= arguments.keys():  # tiles with axes of other names are not looked at
            yield name, reached((arguments[positions], arguments[f"{name}n"]), (arguments[features], arguments[f"{name}d"]))
    if arguments.get("bias") is not None:
        rows, columns = (math.ceil(arguments[n] / arguments[size]) * arguments[size] for n, size in (("N", "ROWS"), ("M", "COLUMNS")))
        yield "bias", reached((rows, arguments["bn"]), (columns, arguments["bm"]))


def reached(*axes: tuple[int, int]) -> int:
    """The largest 32-bit number on the way to Σ (size − 1) · |stride|: the products, and their sum where none of them is wide."""
    narrow = [max(size - 1, 0) * abs(stride) for size, stride in axes if abs(stride) < WORD]
    return sum(narrow) if len(narrow) == len(axes) else max(narrow, default=0)


def shown(value: Any) -> str:
    return f"{type(value).__name__} at {value.data_ptr():#x}" if isinstance(value, Tensor) else repr(value)[:80]
