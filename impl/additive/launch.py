"""The launch side of `impl.additive.kernel`: arguments, custom operators with their fake kernels and gradients, and the specimens that are compiled.

Everything is 4-dimensional here: rows [B, H, N, A] and columns [B, H, M, A] (projected queries and keys) and energy [A] in the accumulator's dtype,
value [B, H, M, E], bias [B, H, N, M]. Rows and columns are read one hidden unit at a time: fastest where positions are contiguous.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.additive import kernel
from impl.masked import accumulation
from impl.scaled_dot_product.configuration import Configuration
from impl.scaled_dot_product.launch import ACCUMULATORS, NARROW, strides, target_of

C = Configuration
# Rows, columns, warps, stages by kernel: what Triton compiles best (see reports/kernels.md), not timed. A warp's results are 16 rows, or 32 × 32 on gfx942:
# with more warps than a tile fills, each hidden unit's slope would be computed twice.
TABLE = {"forward": C(64, 32, 4, 1), "backward_queries": C(64, 32, 4, 1), "backward_keys": C(32, 64, 4, 1)}
SM_100 = TABLE | {"backward_queries": C(64, 16, 4, 1)}  # with twice the columns a causal one takes what does not fit in its registers from local memory
GFX942 = {"forward": C(64, 32, 4, 1), "backward_queries": C(64, 32, 2, 1), "backward_keys": C(32, 64, 2, 1)}
INTERPRETED = C(16, 16, 4, 1)  # small enough that short sequences have several tiles
CAUTIOUS = C(32, 32, 4, 1)  # for inputs of 32 bits and more


class Call:
    """What the launches of one call have in common. `tile` = (rows, columns, warps, stages) overrides the table; `target` is a device's name to choose for."""

    def __init__(
        self, rows: Tensor, columns: Tensor, energy: Tensor, value: Tensor, bias: Tensor | None, causal: bool, tile: Sequence[int], target: str = ""
    ) -> None:
        self.batch, self.heads, self.n, self.a = rows.shape
        self.m, self.e = value.shape[2:]
        self.value, self.tile = value, tuple(tile)
        self.target = target or target_of(value)
        self.common: dict[str, Any] = {
            "R": rows, "C": columns, "energy": energy, "V": value, "bias": bias,
            **strides("r", rows, "bhna"), **strides("c", columns, "bhma"), **strides("e", energy, "a"), **strides("v", value, "bhme"),
            **strides("b", bias, "bhnm"), "H": self.heads, "N": self.n, "M": self.m, "A": self.a, "UNITS": triton.next_power_of_2(max(self.a, 1)),
            "E": max(16, triton.next_power_of_2(self.e)), "VALUE_WIDTH": self.e, "CAUSAL": causal,
            "BIAS": "none" if bias is None else "boolean" if bias.dtype == torch.uint8 else "additive", "ACC": ACCUMULATORS[value.dtype],
        }  # fmt: skip

    def configuration(self, name: str) -> Configuration:
        if self.tile:
            return Configuration(*self.tile)
        if self.target == "interpreter":
            return INTERPRETED
        if self.value.element_size() > 2:
            return CAUTIOUS
        return {"gfx942": GFX942, "sm_100": SM_100}.get(self.target, TABLE)[name]

    def launch(self, name: str, own: dict[str, Any]) -> Launch:
        """The launch of the kernel of this name. Offsets inside a tile, and inside a head of the bias, take 64 bits where 32 would overflow."""
        rows, columns, warps, stages = self.configuration(name)
        arguments = {**self.common, **own, "ROWS": rows, "COLUMNS": columns}
        inside = max(rows, columns, self.common["E"]) * max(abs(arguments.get(stride, 0)) for stride in ("vm", "ve", "gn", "ge"))
        arguments["WIDE"] = 2 * max(inside, self.n * abs(arguments["bn"]) + self.m * abs(arguments["bm"])) >= NARROW
        blocks = triton.cdiv(self.m, columns) if name == "backward_keys" else triton.cdiv(self.n, rows)
        function = getattr(kernel, name)
        return Launch(
            kernel=function,
            grid=(blocks, self.batch * self.heads),
            arguments={key: arguments[key] for key in function.arg_names},
            options={"num_warps": warps, "num_stages": stages},
        )

    def forward(self, output: Tensor, log_sum_exp: Tensor) -> Launch:
        return self.launch("forward", {"O": output, "L": log_sum_exp})

    def backward(self, cotangent: Tensor, output: Tensor, log_sum_exp: Tensor, delta: Tensor, room: Sequence[Tensor | None]) -> tuple[Launch, Launch]:
        """Both launches in their order: the second reads what the first leaves in `delta`. `room` as `gradients` makes it, its last None where unwanted."""
        d_rows, d_columns, d_energy, d_value, d_bias = room
        shared = {"g_O": cotangent, "L": log_sum_exp, "delta": delta, **strides("g", cotangent, "bhne")}
        own = {"O": output, "d_R": d_rows, "d_energy": d_energy, "d_bias": d_bias, "D_BIAS": d_bias is not None}
        return self.launch("backward_queries", shared | own), self.launch("backward_keys", shared | {"d_C": d_columns, "d_V": d_value})

    def gradients(self, rows: Tensor, columns: Tensor, of_bias: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Room for those of rows and columns, of the energy by program [B · H, blocks, A], of value, and of the scores [B, H, N, M] (or empty)."""
        parts = (self.batch * self.heads, triton.cdiv(self.n, self.configuration("backward_queries").rows), self.a)
        of_scores = (*rows.shape[:3], self.m) if of_bias else (0,)
        d_value = self.value.new_empty(self.value.shape)
        return rows.new_empty(rows.shape), rows.new_empty(columns.shape), rows.new_empty(parts), d_value, rows.new_empty(of_scores)


def results(rows: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Room for the output [B, H, N, E] and the log-sum-exp [B, H, N]."""
    return value.new_empty((*rows.shape[:3], value.shape[3])), rows.new_empty(rows.shape[:3])


@torch.library.custom_op("attention_ledger::additive_attention", mutates_args=())
def additive_attention(
    rows: Tensor, columns: Tensor, energy: Tensor, value: Tensor, bias: Tensor | None, causal: bool, tile: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Output [B, H, N, E] in the value's dtype, and log-sum-exp [B, H, N] in the base of the scores, −∞ for a row that sees nothing, for the backward pass
    alone. bias: uint8 (may attend) or additive; tile: (rows, columns, warps, stages), or empty for what ships."""
    output, log_sum_exp = results(rows, value)
    Call(rows, columns, energy, value, bias, causal, tile).forward(output, log_sum_exp).run()
    return output, log_sum_exp


@additive_attention.register_fake
def _(rows: Tensor, columns: Tensor, energy: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return results(rows, value)


@torch.library.custom_op("attention_ledger::additive_attention_backward", mutates_args=())
def additive_attention_backward(
    cotangent: Tensor, output: Tensor, log_sum_exp: Tensor, rows: Tensor, columns: Tensor, energy: Tensor, value: Tensor, bias: Tensor | None,
    causal: bool, tile: Sequence[int], of_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of rows, columns, energy (a part [A] for each program: [B · H, blocks, A]), value, and of the scores (empty unless `of_bias`)."""
    call = Call(rows, columns, energy, value, bias, causal, tile)
    room = call.gradients(rows, columns, of_bias)
    d_bias = room[4].zero_() if of_bias else None  # tiles that causality skips stay zero
    for launch in call.backward(cotangent, output, log_sum_exp, torch.empty_like(log_sum_exp), (*room[:4], d_bias)):
        launch.run()
    return room


@additive_attention_backward.register_fake
def _(
    cotangent: Tensor, output: Tensor, log_sum_exp: Tensor, rows: Tensor, columns: Tensor, energy: Tensor, value: Tensor, bias: Tensor | None,
    causal: bool, tile: Sequence[int], of_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    return Call(rows, columns, energy, value, bias, causal, tile).gradients(rows, columns, of_bias)


def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:5], *output)
    ctx.rest = inputs[5:]
    ctx.mark_non_differentiable(output[1])


def pull_back(ctx: Any, cotangent: Tensor, _: Tensor | None) -> tuple[Any, ...]:
    rows, columns, energy, value, bias, output, log_sum_exp = ctx.saved_tensors
    of_bias = ctx.needs_input_grad[4]
    d_rows, d_columns, parts, d_value, d_bias = additive_attention_backward(
        cotangent, output, log_sum_exp, rows, columns, energy, value, bias, *ctx.rest, of_bias
    )
    return d_rows, d_columns, parts.sum((0, 1)), d_value, d_bias.to(bias.dtype) if of_bias else None, None, None


additive_attention.register_autograd(pull_back, setup_context=keep)


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Operators with arguments, for `torch.library.opcheck`."""
    rows, columns, energy, value = (torch.rand(shape, requires_grad=True) for shape in ((1, 2, 5, 3), (1, 2, 19, 3), (3,), (1, 2, 19, 4)))
    yield additive_attention, (rows, columns, energy, value, None, True, [16, 16, 4, 1])
    yield additive_attention, (rows, columns, energy, value, torch.rand(1, 2, 5, 19, requires_grad=True), False, [16, 16, 4, 1])
    plain = [x.detach() for x in (rows, columns, energy, value)]
    output, log_sum_exp = additive_attention(*plain, None, True, [16, 16, 4, 1])
    yield additive_attention_backward, (torch.rand_like(output), output, log_sum_exp, *plain, None, True, [16, 16, 4, 1], False)


def cost(call: Call, name: str) -> Cost:
    """Without bias. Every tile evaluates tanh, one exp2 each, once a pair and hidden unit, twice where the gradient passes through it; and one exp2 a pair.

    Tiles that causality hides are not visited. A tile reads, for every hidden unit, that unit of its rows and of its columns, and the energy's number in
    the pass that forms scores; the stationary axis's own tensors are read once a program.
    """
    rows, columns, _, _ = call.configuration(name)
    causal, a, e = call.common["CAUSAL"], call.a, call.e
    wide, narrow = (torch.finfo(dtype).bits // 8 for dtype in (accumulation(call.value.dtype), call.value.dtype))
    padded = call.common["E"]
    pairs = of_rows = of_columns = 0  # of tiles; positions inside the tensors, over all tiles
    tiles = 0
    for start in range(0, call.m if name == "backward_keys" else call.n, columns if name == "backward_keys" else rows):
        if name == "backward_keys":
            others = range(start // rows * rows if causal else 0, call.n, rows)
            mine, sizes = min(columns, call.m - start), [min(rows, call.n - s) for s in others]
        else:
            others = range(0, min(call.m, start + rows) if causal else call.m, columns)
            mine, sizes = min(rows, call.n - start), [min(columns, call.m - s) for s in others]
        tiles += len(sizes)
        pairs += len(sizes) * rows * columns
        of_rows += len(sizes) * mine
        of_columns += sum(sizes)
    heads, blocks = call.batch * call.heads, -(-call.n // rows)
    passes = 1 if name == "forward" else 2
    products = {"forward": 1, "backward_queries": 1, "backward_keys": 2}[name] * 2 * pairs * padded
    functions = passes * pairs * a + pairs
    read = (passes * (of_rows + of_columns) + tiles) * a * wide  # hidden units and energies
    if name == "forward":
        functions += tiles * rows + blocks * rows  # the rescale of each tile's rows, and the logarithms
        read += of_columns * e * narrow
        written = call.n * (e * narrow + wide)
    elif name == "backward_queries":
        read += of_columns * e * narrow + call.n * (2 * e * narrow + wide) + blocks * a * wide
        written = call.n * (a + 1) * wide + blocks * a * wide
    else:
        read += call.m * e * narrow + of_columns * (e * narrow + 2 * wide) + -(-call.m // columns) * a * wide
        written = call.m * (a * wide + e * narrow)
    return Cost(products=heads * products, functions=heads * functions, read=heads * read, written=heads * written)


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted."""
    small = target == "interpreter"
    b, h, n, m, a, e = (2, 1, 20, 37, 3, 5) if small else (2, 4, 1024, 1024, 64, 64)
    wide = accumulation(dtype)
    for causal in (False, True):
        rows, columns = (torch.rand(b, h, a, length, dtype=wide).mT for length in (n, m))
        energy, value, cotangent = torch.rand(a, dtype=wide), torch.rand(b, h, m, e, dtype=dtype), torch.rand(b, h, n, e, dtype=dtype)
        call = Call(rows, columns, energy, value, None, causal, (), target)
        output, log_sum_exp = results(rows, value)
        launches = [call.forward(output, log_sum_exp)]
        filled = torch.rand_like(output), torch.rand_like(log_sum_exp), torch.rand_like(log_sum_exp)
        launches += call.backward(cotangent, *filled, (*call.gradients(rows, columns, False)[:4], None))
        for launch in launches:
            name = launch.kernel.__name__
            case = f"{a} hidden units, width {e}{', causal' if causal else ''}"
            yield Specimen(kernel=name, case=case, launch=launch, cost=cost(call, name))
