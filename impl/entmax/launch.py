"""The launch side of `impl.entmax.kernel`: arguments, custom operators with their fake kernels and gradients, and the specimens that are compiled.

Everything is 4-dimensional here: query [B, H, N, D], key [B, H, M, D], value [B, H, M, E], bias [B, H, N, M].
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
import triton
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.entmax import kernel
from impl.masked import accumulation
from impl.scaled_dot_product.configuration import Configuration
from impl.scaled_dot_product.launch import ACCUMULATORS, NARROW, strides, target_of

C = Configuration
# Rows, columns, warps, stages by kernel, for padded widths up to 64 and up to 128: what Triton compiles best (see reports/kernels.md), not timed
NVIDIA = {
    "forward": (C(64, 64, 4, 2), C(64, 64, 4, 2)),
    "backward_queries": (C(64, 32, 4, 2), C(32, 64, 4, 2)),
    "backward_keys": (C(32, 64, 4, 2), C(32, 64, 4, 2)),
}
GFX942 = {
    "forward": (C(64, 64, 4, 1), C(64, 64, 4, 1)),
    "backward_queries": (C(64, 32, 2, 1), C(64, 32, 2, 1)),
    "backward_keys": (C(32, 64, 2, 1), C(32, 64, 2, 1)),
}
TABLE: dict[str, dict[str, tuple[Configuration, Configuration]]] = {"sm_80": NVIDIA, "sm_90": NVIDIA, "sm_100": NVIDIA, "gfx942": GFX942}
INTERPRETED = C(16, 16, 4, 1)  # small enough that short sequences have several tiles
CAUTIOUS = C(32, 32, 4, 1)  # for inputs of 32 bits and more, widths beyond 128 and devices that the table does not know


def passes(keys: int, dtype: torch.dtype) -> int:
    """Newton's steps K for rows of at most `keys`: the least with M (M / 4^K)² ≤ u, M the next power of 2, so that few kernels are compiled."""
    return math.ceil((3 * math.log2(triton.next_power_of_2(max(keys, 1))) - math.log2(torch.finfo(accumulation(dtype)).eps / 2)) / 4)


class Call:
    """What the launches of one call have in common. `tile` = (rows, columns, warps, stages) overrides the table; `target` is a device's name to choose for."""

    def __init__(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float, causal: bool, tile: Sequence[int], target: str = ""
    ) -> None:
        self.query, self.key, self.value, self.tile = query, key, value, tuple(tile)
        self.batch, self.heads, self.n, self.d = query.shape
        self.m, self.e = value.shape[2:]
        self.target = target or target_of(value)
        self.common: dict[str, Any] = {
            "Q": query, "K": key, "V": value, "bias": bias,
            **strides("q", query, "bhnd"), **strides("k", key, "bhmd"), **strides("v", value, "bhme"), **strides("b", bias, "bhnm"),
            "H": self.heads, "N": self.n, "M": self.m, "half": scale / 2, "PASSES": passes(self.m, value.dtype),
            "D": max(16, triton.next_power_of_2(self.d)), "E": max(16, triton.next_power_of_2(self.e)), "WIDTH": self.d, "VALUE_WIDTH": self.e,
            "CAUSAL": causal, "BIAS": "none" if bias is None else "boolean" if bias.dtype == torch.uint8 else "additive", "ACC": ACCUMULATORS[value.dtype],
        }  # fmt: skip

    def configuration(self, name: str) -> Configuration:
        width = max(self.common["D"], self.common["E"])
        if self.tile:
            return Configuration(*self.tile)
        if self.target == "interpreter":
            return INTERPRETED
        if self.target not in TABLE or self.value.element_size() > 2 or width > 128:
            return CAUTIOUS
        return TABLE[self.target][name][width > 64]

    def launch(self, name: str, own: dict[str, Any]) -> Launch:
        """The launch of the kernel of this name. Offsets inside a tile, and inside a head of the bias, take 64 bits where 32 would overflow."""
        rows, columns, warps, stages = self.configuration(name)
        arguments = {**self.common, **own, "ROWS": rows, "COLUMNS": columns}
        steps = [abs(arguments.get(x, 0)) for x in ("qn", "qd", "km", "kd", "vm", "ve", "gn", "ge")]
        inside = max(rows, columns, self.common["D"], self.common["E"]) * max(steps)
        arguments["WIDE"] = 2 * max(inside, self.n * abs(arguments["bn"]) + self.m * abs(arguments["bm"])) >= NARROW
        blocks = triton.cdiv(self.m, columns) if name == "backward_keys" else triton.cdiv(self.n, rows)
        function = getattr(kernel, name)
        return Launch(
            kernel=function,
            grid=(blocks, self.batch * self.heads),
            arguments={key: arguments[key] for key in function.arg_names},
            options={"num_warps": warps, "num_stages": stages},
        )

    def forward(self, output: Tensor, state: Tensor) -> Launch:
        return self.launch("forward", {"O": output, "state": state})

    def backward(self, cotangent: Tensor, state: Tensor, means: Tensor, room: Sequence[Tensor | None]) -> tuple[Launch, Launch]:
        """Both launches in their order: the second reads what the first leaves in `means`. `room` as `gradients` makes it, its last None where unwanted."""
        d_query, d_key, d_value, d_bias = room
        shared = {"g_O": cotangent, "state": state, "means": means, **strides("g", cotangent, "bhne")}
        own = {"d_Q": d_query, "d_bias": d_bias, "D_BIAS": d_bias is not None}
        return self.launch("backward_queries", shared | own), self.launch("backward_keys", shared | {"d_K": d_key, "d_V": d_value})


def results(query: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Room for the output [B, H, N, E], and for the largest x = s / 2 of each row and the threshold less that [2, B, H, N]."""
    return value.new_empty((*query.shape[:3], value.shape[3])), value.new_empty((2, *query.shape[:3]), dtype=accumulation(value.dtype))


def gradients(query: Tensor, key: Tensor, value: Tensor, of_bias: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Room for those of query, key and value, and of the scores [B, H, N, M] (or empty)."""
    of_scores = value.new_empty((*query.shape[:3], key.shape[2]) if of_bias else (0,), dtype=accumulation(value.dtype))
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape), of_scores


@torch.library.custom_op("attention_ledger::entmax_attention", mutates_args=())
def entmax_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float, causal: bool, tile: Sequence[int]
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Output [B, H, N, E] in the inputs' dtype, and [2, B, H, N] for the backward pass alone. bias: uint8 (may attend) or additive; tile: (rows, columns,
    warps, stages), or empty for what ships."""
    output, state = results(query, value)
    Call(query, key, value, bias, scale, causal, tile).forward(output, state).run()
    return output, state


@entmax_attention.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return results(query, value)


@torch.library.custom_op("attention_ledger::entmax_attention_backward", mutates_args=())
def entmax_attention_backward(
    cotangent: Tensor, state: Tensor, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float, causal: bool, tile: Sequence[int],
    of_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of query, key and value, and of the scores (empty unless `of_bias`)."""
    room = gradients(query, key, value, of_bias)
    d_bias = room[3].zero_() if of_bias else None  # tiles that causality skips stay zero
    for launch in Call(query, key, value, bias, scale, causal, tile).backward(cotangent, state, torch.empty_like(state[0]), (*room[:3], d_bias)):
        launch.run()
    return room


@entmax_attention_backward.register_fake
def _(cotangent: Tensor, state: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return gradients(query, key, value, rest[-1])


def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:4], output[1])
    ctx.rest = inputs[4:]
    ctx.mark_non_differentiable(output[1])


def pull_back(ctx: Any, cotangent: Tensor, _: Tensor | None) -> tuple[Any, ...]:
    query, key, value, bias, state = ctx.saved_tensors
    of_bias = ctx.needs_input_grad[3]
    d_query, d_key, d_value, d_bias = entmax_attention_backward(cotangent, state, query, key, value, bias, *ctx.rest, of_bias)
    return d_query, d_key, d_value, d_bias.to(bias.dtype) if of_bias else None, None, None, None


entmax_attention.register_autograd(pull_back, setup_context=keep)


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Operators with arguments, for `torch.library.opcheck`."""
    query, key, value = (torch.rand(shape, requires_grad=True) for shape in ((1, 2, 5, 3), (1, 2, 19, 3), (1, 2, 19, 4)))
    yield entmax_attention, (query, key, value, None, 0.5, True, [16, 16, 4, 1])
    yield entmax_attention, (query, key, value, torch.rand(1, 2, 5, 19, requires_grad=True), -1.0, False, [16, 16, 4, 1])
    plain = [x.detach() for x in (query, key, value)]
    output, state = entmax_attention(*plain, None, 0.5, True, [16, 16, 4, 1])
    yield entmax_attention_backward, (torch.rand_like(output), state, *plain, None, 0.5, True, [16, 16, 4, 1], False)


def cost(call: Call, name: str) -> Cost:
    """Without bias. The forward pass goes PASSES + 3 times over the keys: for the largest score, for each of Newton's steps, for the exact one and for the
    output; each time it forms all scores, and the last time it reads values too. `backward_queries` goes twice over keys and values: scores and d_p both
    times, dQ the second. `backward_keys` goes once over the queries, with four products. Tiles that causality hides are not visited."""
    rows, columns, _, _ = call.configuration(name)
    causal = call.common["CAUSAL"]
    d, e = call.common["D"], call.common["E"]
    narrow, wide = call.value.element_size(), torch.finfo(accumulation(call.value.dtype)).bits // 8
    pairs = others = 0  # of tiles; positions of the axis that is walked over, inside the tensors, over all programs of a head
    for start in range(0, call.m if name == "backward_keys" else call.n, columns if name == "backward_keys" else rows):
        if name == "backward_keys":
            walked = [min(rows, call.n - s) for s in range(start // rows * rows if causal else 0, call.n, rows)]
        else:
            walked = [min(columns, call.m - s) for s in range(0, min(call.m, start + rows) if causal else call.m, columns)]
        pairs, others = pairs + len(walked) * rows * columns, others + sum(walked)
    k, v = call.d * narrow, call.e * narrow
    if name == "forward":
        times = call.common["PASSES"] + 3
        products, read, written = times * d + e, times * others * k + others * v + call.n * k, call.n * (v + 2 * wide)
    elif name == "backward_queries":
        products, read, written = 2 * (d + e) + d, 2 * others * (k + v) + call.n * (k + v + 2 * wide), call.n * (k + wide)
    else:
        products, read, written = 2 * (d + e), others * (k + v + 3 * wide) + call.m * (k + v), call.m * (k + v)
    heads = call.batch * call.heads
    return Cost(products=heads * 2 * pairs * products, functions=0, read=heads * read, written=heads * written)


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted."""
    small = target == "interpreter"
    b, h, n, m = (2, 1, 20, 37) if small else (2, 4, 1024, 1024)
    for d, e in ((3, 5),) if small else ((64, 64), (128, 128)):
        for causal in (False, True):
            query, key, value = torch.rand(b, h, n, d, dtype=dtype), torch.rand(b, h, m, d, dtype=dtype), torch.rand(b, h, m, e, dtype=dtype)
            call = Call(query, key, value, None, d**-0.5, causal, (), target)
            output, state = results(query, value)
            launches = [call.forward(output, state)]
            filled = torch.rand_like(output), -torch.rand_like(state), torch.rand_like(state[0])
            launches += call.backward(*filled, (*gradients(query, key, value, False)[:3], None))
            for launch in launches:
                name = launch.kernel.__name__
                yield Specimen(kernel=name, case=f"width {max(d, e)}{', causal' if causal else ''}", launch=launch, cost=cost(call, name))
