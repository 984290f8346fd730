"""The launch side of `impl.random_features.kernel`: arguments, the custom operator with its fake kernel, and the specimens that are compiled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.linear_attention import launch as linear
from impl.random_features import kernel
from impl.scaled_dot_product.launch import ACCUMULATORS, NARROW, strides, target_of

INTERPRETED = (16, 4)  # positions a program, warps
SHIPPED = (64, 8)


def launched(x: Tensor, projection: Tensor, phase: Tensor | None, root: float, raised: Tensor, levels: Tensor, tile: Sequence[int], target: str = "") -> Launch:
    """The launch that writes the features of x [B, H, N, D] under a projection [m, D]."""
    (batch, heads, n, width), count, target = x.shape, projection.shape[0], target or target_of(x)
    rows, warps = tile or (INTERPRETED if target == "interpreter" else SHIPPED)
    d, r = (max(16, triton.next_power_of_2(size)) for size in (width, count))
    arguments = {
        "X": x, "W": projection, "phase": phase, "raised": raised, "levels": levels, **strides("x", x, "bhnd"), **strides("w", projection, "rd"),
        "H": heads, "N": n, "root": root, "ROWS": rows, "D": d, "R": r, "WIDTH": width, "COUNT": count, "COSINES": phase is not None,
        "PRECISION": "tf32x3" if x.element_size() < 4 and target.startswith("sm_") else "ieee",
        "WIDE": 2 * max(map(abs, (*x.stride()[2:], *projection.stride()))) * max(rows, d, r) >= NARROW, "ACC": ACCUMULATORS[x.dtype],
    }  # fmt: skip
    return Launch(kernel=kernel.features, grid=(triton.cdiv(n, rows), batch * heads), arguments=arguments, options={"num_warps": warps, "num_stages": 1})


@torch.library.custom_op("attention_ledger::random_features", mutates_args=())
def random_features(x: Tensor, projection: Tensor, phase: Tensor | None, root: float, tile: Sequence[int], target: str) -> tuple[Tensor, Tensor]:
    """Features [B, H, N, m] of x [B, H, N, D] and their levels [B, H, N], in the accumulator's dtype. `tile` = (positions a program, warps), or empty."""
    found = results(x, projection)
    launched(x, projection, phase, root, *found, tile, target).run()
    return found


def results(x: Tensor, projection: Tensor) -> tuple[Tensor, Tensor]:
    wide = x.dtype if x.dtype == torch.float64 else torch.float32
    return x.new_empty((*x.shape[:-1], projection.shape[0]), dtype=wide), x.new_empty(x.shape[:-1], dtype=wide)


@random_features.register_fake
def _(x: Tensor, projection: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return results(x, projection)


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Operators with arguments, for `torch.library.opcheck`."""
    for phase in (None, torch.rand(5)):
        yield random_features, (torch.randn(1, 2, 17, 3), torch.randn(5, 3), phase, 0.7, [], "")


def cost(x: Tensor, projection: Tensor, phase: Tensor | None, rows: int) -> Cost:
    """A program multiplies ROWS positions by the whole projection, which it reads, and takes one exponential a feature, tiles padded as they are (cosines
    are series in float32). x is read once, and every feature and level written once."""
    (batch, heads, n, width), count, wide = x.shape, projection.shape[0], 8 if x.dtype == torch.float64 else 4
    programs = batch * heads * triton.cdiv(n, rows)
    d, r = (max(16, triton.next_power_of_2(size)) for size in (width, count))
    table = projection.numel() * projection.element_size() + (0 if phase is None else count * phase.element_size())
    return Cost(
        products=programs * 2 * rows * d * r,
        functions=programs * rows * r * (phase is None or x.dtype == torch.float64),
        read=x.numel() * x.element_size() + programs * table,
        written=batch * heads * n * (count + 1) * wide,
    )


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted: features, and attention by them, which is linear attention's kernel with levels."""
    small = target == "interpreter"
    batch, heads, n, width, count = (1, 2, 20, 6, 5) if small else (4, 8, 2048, 64, 256)
    query, key, value = (torch.rand(batch, heads, n, width).to(dtype) for _ in range(3))
    projection = torch.rand(count, width).to(dtype)
    for phase in (None, torch.rand(count).to(dtype)):
        launch = launched(key, projection, phase, 0.7, *results(key, projection), [], target)
        case = f"width {width}, {count} features, {'positive' if phase is None else 'cosines'}"
        yield Specimen(kernel="features", case=case, launch=launch, cost=cost(key, projection, phase, launch.arguments["ROWS"]))
    rows, columns = (torch.rand_like(results(x, projection)[0]) for x in (query, key))
    levels = torch.rand_like(results(key, projection)[1])
    for causal in (True, False):
        call = linear.Call(rows, columns, value, None, levels, "identity", 0.0, 0.0, causal, [], target)
        case = f"{count} features with levels, width {width}, {'causal' if causal else 'all keys'}"
        yield Specimen(kernel="forward", case=case, launch=call.forward(*linear.results(rows, value)), cost=linear.cost(call, "forward"))
