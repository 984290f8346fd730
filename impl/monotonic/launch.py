"""The launch side of `impl.monotonic.kernel`: arguments, the custom operators with their fake kernels and gradients, and the specimens that are compiled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.masked import accumulation
from impl.monotonic import kernel
from impl.monotonic.reference import begun
from impl.scaled_dot_product.launch import ACCUMULATORS, NARROW, strides, target_of

LEAST, MOST = 64, 2048  # positions of a tile
EACH = 16  # positions a thread: 16 bytes of a boolean mask, 32 of half-precision energies
STAGES = 2  # of rows of one tile: the next row's energies are fetched during a scan (of several tiles: 1, as fetching ahead made ptxas spill on sm_90)


class Alignment:
    """What the two launches of one call have in common: energy [B, H, N, M], bias of that shape (uint8: the scan may stop, or additive).

    `tile` = (positions,) overrides what ships: all of a row, up to MOST of them.
    """

    def __init__(self, energy: Tensor, bias: Tensor | None, tile: Sequence[int], target: str = "") -> None:
        self.energy, self.bias = energy, bias
        batch, heads, n, m = energy.shape
        self.block = int(tile[0]) if tile else min(max(triton.next_power_of_2(max(m, 1)), LEAST), MOST)
        one, wave = m <= self.block, 64 if (target or target_of(energy)).startswith("gfx") else 32
        self.grid = (batch * heads * (n > 0),)
        self.options = {"num_warps": max(1, self.block // (EACH * wave)), "num_stages": STAGES if one else 1}
        self.common = {
            "E": energy, "bias": bias, **strides("e", energy, "bhnm"), **strides("b", bias, "bhnm"), "H": heads, "N": n, "M": m,
            "BLOCK": self.block, "ONE": one, "STAGES": self.options["num_stages"],
            "BIAS": "none" if bias is None else "boolean" if bias.dtype == torch.uint8 else "additive", "ACC": ACCUMULATORS[energy.dtype],
        }  # fmt: skip

    def launch(self, name: str, own: dict[str, Any]) -> Launch:
        arguments = self.common | own
        steps = [abs(step) for name, step in arguments.items() if name in ("em", "bm", "gm")]
        arguments["WIDE"] = (self.energy.shape[3] + self.block) * max(1, *steps) >= NARROW
        function = getattr(kernel, name)
        return Launch(kernel=function, grid=self.grid, arguments={key: arguments[key] for key in function.arg_names}, options=self.options)

    def forward(self, begins: Tensor, weights: Tensor) -> Launch:
        return self.launch("align", {"begins": begins, "W": weights})

    def backward(self, weights: Tensor, cotangent: Tensor, d_energy: Tensor, d_previous: Tensor) -> Launch:
        own = {"W": weights, "g_W": cotangent, **strides("g", cotangent, "bhnm"), "d_E": d_energy, "d_previous": d_previous}
        return self.launch("align_backward", own)


@torch.library.custom_op("attention_ledger::monotonic_alignment", mutates_args=())
def monotonic_alignment(energy: Tensor, bias: Tensor | None, previous: Tensor | None, tile: Sequence[int]) -> Tensor:
    """The weights [B, H, N, M] of `impl.monotonic.reference.alignment`, in the accumulator's dtype. bias [B, H, N, M] (uint8: the scan may stop; or additive,
    in the accumulator's dtype), previous [B, H, M]. `tile` = (positions,), or empty for what ships."""
    weights = room(energy)
    Alignment(energy, bias, tile).forward(begun(weights, previous).contiguous(), weights).run()
    return weights


def room(energy: Tensor) -> Tensor:
    return energy.new_empty(energy.shape, dtype=accumulation(energy.dtype))


@monotonic_alignment.register_fake
def _(energy: Tensor, bias: Tensor | None, previous: Tensor | None, tile: Sequence[int]) -> Tensor:
    return room(energy)


@torch.library.custom_op("attention_ledger::monotonic_alignment_backward", mutates_args=())
def monotonic_alignment_backward(
    cotangent: Tensor, weights: Tensor, energy: Tensor, bias: Tensor | None, tile: Sequence[int], of_bias: bool
) -> tuple[Tensor, Tensor]:
    """The gradients of the energies [B, H, N, M], in their dtype (of the bias too, with `of_bias`: then in the accumulator's), and of `previous` [B, H, M]."""
    d_energy, d_previous = gradients(cotangent, energy, of_bias)
    Alignment(energy, bias, tile).backward(weights, cotangent, d_energy, d_previous).run()
    return d_energy, d_previous


def gradients(cotangent: Tensor, energy: Tensor, of_bias: bool) -> tuple[Tensor, Tensor]:
    """Room for the gradients; the second is read before it is written."""
    batch, heads, _, m = energy.shape
    return energy.new_empty(energy.shape, dtype=cotangent.dtype if of_bias else energy.dtype), cotangent.new_zeros((batch, heads, m))


@monotonic_alignment_backward.register_fake
def _(cotangent: Tensor, weights: Tensor, energy: Tensor, bias: Tensor | None, tile: Sequence[int], of_bias: bool) -> tuple[Tensor, Tensor]:
    return gradients(cotangent, energy, of_bias)


def keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    energy, bias, previous, ctx.tile = inputs
    ctx.of_previous = None if previous is None else previous.dtype
    ctx.save_for_backward(energy, bias, output)


def pull_back(ctx: Any, cotangent: Tensor) -> tuple[Any, ...]:
    energy, bias, weights = ctx.saved_tensors
    of_bias = ctx.needs_input_grad[1]
    d_energy, d_previous = monotonic_alignment_backward(cotangent, weights, energy, bias, ctx.tile, of_bias)
    return d_energy.to(energy.dtype), d_energy if of_bias else None, None if ctx.of_previous is None else d_previous.to(ctx.of_previous), None


monotonic_alignment.register_autograd(pull_back, setup_context=keep)


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Operators with arguments, for `torch.library.opcheck`."""
    energy = torch.randn(2, 1, 3, 7, requires_grad=True)
    yield monotonic_alignment, (energy, None, None, [])
    yield monotonic_alignment, (torch.randn(1, 2, 3, 5, dtype=torch.float16, requires_grad=True), torch.ones(1, 2, 3, 5, dtype=torch.uint8), None, [4])
    bias = torch.randn(1, 2, 5, dtype=torch.float64).expand(1, 2, 2, 5).requires_grad_()
    yield (
        monotonic_alignment,
        (torch.randn(1, 2, 2, 5, dtype=torch.float64, requires_grad=True), bias, torch.rand(1, 2, 5, dtype=torch.float64, requires_grad=True), [2]),
    )
    yield monotonic_alignment_backward, (torch.randn(2, 1, 3, 7), torch.rand(2, 1, 3, 7), energy.detach(), None, [4], True)


def exponentials(a: Alignment, n: int, m: int) -> int:
    """One for each lane of each tile of each row; in float32 as two powers of 2, of its whole part and of the rest."""
    lanes: int = a.grid[0] * n * triton.cdiv(m, a.block) * a.block
    return lanes if a.energy.dtype == torch.float64 else 2 * lanes


def cost(a: Alignment) -> Cost:
    """Of the forward launch: energies and bias are read once, and so are the weights before the first row; each row of weights is written once, and read once
    for the next row where a row takes several tiles."""
    *_, n, m = a.energy.shape
    elements, wide = a.energy.numel(), accumulation(a.energy.dtype).itemsize
    rows_before = a.grid[0] * (n if m > a.block else 1) * m * wide
    each = a.energy.element_size() + (0 if a.bias is None else a.bias.element_size())
    return Cost(products=0, functions=exponentials(a, n, m), read=elements * each + rows_before, written=elements * wide)


def cost_backward(a: Alignment, d_energy: Tensor) -> Cost:
    """Of the backward launch: energies, bias, weights and their cotangent are read once and the gradient is written once. What arriving is worth is written
    once at the end; where a row takes several tiles it is read and written with each row."""
    *_, n, m = a.energy.shape
    elements, wide = a.energy.numel(), accumulation(a.energy.dtype).itemsize
    several = m > a.block
    each = a.energy.element_size() + (0 if a.bias is None else a.bias.element_size()) + 2 * wide
    read, kept = elements * (each + wide * several), (elements if several else a.grid[0] * m) * wide
    return Cost(products=0, functions=exponentials(a, n, m), read=read, written=elements * d_energy.element_size() + kept)


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted."""
    small = target == "interpreter"
    batch, heads, n = (2, 1, 3) if small else (4, 4, 256)
    cases = ((5, "none"), (5, "boolean"), (19, "none"), (19, "additive"), (19, "boolean"))
    for m, masked in cases if small else ((512, "none"), (2048, "none"), (2048, "boolean"), (4096, "none")):
        shape = (batch, heads, n, m)
        energy = torch.zeros(shape, dtype=dtype)
        wide = accumulation(dtype)
        bias = {"none": None, "boolean": torch.ones(shape, dtype=torch.uint8), "additive": torch.zeros((n, m), dtype=wide).expand(shape)}[masked]
        weights, cotangent = torch.rand(shape).to(wide), torch.rand(shape).to(wide)
        d_energy, d_previous = gradients(cotangent, energy, False)
        a = Alignment(energy, bias, (8,) if small else (), target)
        forward, backward = a.forward(torch.rand(batch, heads, m).to(wide), torch.empty_like(weights)), a.backward(weights, cotangent, d_energy, d_previous)
        case = f"{m} positions{'' if bias is None else f', {masked} mask'}"
        yield Specimen(kernel="align", case=case, launch=forward, cost=cost(a))
        yield Specimen(kernel="align_backward", case=case, launch=backward, cost=cost_backward(a, d_energy))
