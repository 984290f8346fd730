"""The launch side of `impl.scaled_dot_product.kernel`: arguments, custom operators with their fake kernels and gradients.

Everything is 4-dimensional here: query [B, H, N, D], key [B, G, M, D], value [B, G, M, E]; packed sequences are [1, H, T, D] with offsets [B + 1] (int32).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from impl._triton.launch import Launch
from impl.scaled_dot_product import kernel
from impl.scaled_dot_product.configuration import Configuration, candidates

ACCUMULATORS = {torch.float16: tl.float32, torch.bfloat16: tl.float32, torch.float32: tl.float32, torch.float64: tl.float64}
NARROW = 2**31
chosen: dict[tuple[Any, ...], Configuration] = {}  # what `fastest` found on this device, by kind of call


class Call:
    """What the launches of one call have in common. `tile` = (rows, columns, warps, stages) overrides the table, `target` its row where there is no device."""

    def __init__(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, slopes: Tensor | None, query_offsets: Tensor | None, key_offsets: Tensor | None,
        longest: Sequence[int], scale: float, cap: float, causal: bool, bottom_right: bool, dropout: float, seed: int, tile: Sequence[int], target: str = "",
    ) -> None:  # fmt: skip
        self.query, self.key, self.value, self.bias, self.slopes = query, key, value, bias, slopes
        self.packed = query_offsets is not None
        self.batch = query_offsets.numel() - 1 if query_offsets is not None else query.shape[0]
        self.heads, self.key_heads = query.shape[1], key.shape[1]
        self.n, self.m = longest if self.packed else (query.shape[2], key.shape[2])
        self.padded, self.value_padded = (max(16, triton.next_power_of_2(x.shape[-1])) for x in (query, value))
        own = target_of(query)
        self.tile, self.target = tuple(tile), own if own != "interpreter" else target or own
        accumulator = ACCUMULATORS[query.dtype]
        sign, scale = (0 if scale == 0 else 1 if scale > 0 else -1), abs(scale) or 1.0  # a maximum survives only a positive factor
        boost = 1 / (1 - dropout) if dropout < 1 else 0.0
        self.common: dict[str, Any] = {
            "bias": bias, "slopes": slopes, "query_offsets": query_offsets, "key_offsets": key_offsets,
            **strides("q", query, "bhnd"), **strides("k", key, "bhnd"), **strides("v", value, "bhnd"), **strides("b", bias, "bhnm"),
            **strides("a", slopes, "bh"), "H": self.heads, "G": self.key_heads, "N": self.n, "M": self.m,
            "scale": scale, "factor": scale * math.log2(math.e), "cap": cap, "seed": seed, "below": min(math.floor(dropout * 2**32), 2**32 - 1), "boost": boost,
            "SIGN": sign, "D": self.padded, "E": self.value_padded, "WIDTH": query.shape[-1], "VALUE_WIDTH": value.shape[-1],
            "CAUSAL": causal, "BOTTOM_RIGHT": bottom_right, "BIAS": "none" if bias is None else "boolean" if bias.dtype == torch.uint8 else "additive",
            "ALIBI": slopes is not None, "SOFTCAP": cap > 0, "DROPOUT": dropout > 0, "PACKED": self.packed, "ACC": accumulator,
        }  # fmt: skip

    def configurations(self, name: str) -> tuple[Configuration, ...]:
        """What may be launched, the default first."""
        if self.tile:
            return (Configuration(*self.tile),)
        return candidates(self.target, name, min(max(self.padded, self.value_padded), 256), self.query.element_size())

    def launch(self, name: str, configuration: Configuration, own: dict[str, Any]) -> Launch:
        """The launch of the kernel of this name. Strides of 2^31 and more come as 64-bit integers; products that grow so large need `WIDE`."""
        rows, columns = configuration.rows, configuration.columns
        arguments = {**self.common, **own, "ROWS": rows, "COLUMNS": columns}
        if self.packed:  # the offsets say where a sequence lies
            arguments |= {name: 0 for name in arguments if name in ("qb", "kb", "vb", "ob", "lb", "gb", "glb", "dqb", "dkb", "dvb")}
        steps = [abs(stride) for name, stride in arguments.items() if name[-1:] in "ndm" and name in STRIDES]
        size = max(rows, columns, self.padded, self.value_padded, *((self.n, self.m) if self.bias is not None else ()))
        arguments["WIDE"] = 2 * max(steps) * size >= NARROW
        blocks = triton.cdiv(self.m, columns) * (self.m > 0) if name == "backward_keys" else triton.cdiv(self.n, rows)
        heads = self.key_heads if name == "backward_keys" else self.heads
        function = getattr(kernel, name)
        ordered = {key: arguments[key] for key in function.arg_names}
        return Launch(
            kernel=function,
            grid=(blocks, self.batch * heads),
            arguments=ordered,
            options={"num_warps": configuration.warps, "num_stages": configuration.stages},
        )

    def forward(self, output: Tensor, log_sum_exp: Tensor, sinks: Tensor | None, configuration: Configuration) -> Launch:
        described = self.descriptors(configuration)
        block = [1, 1, configuration.columns]
        key = TensorDescriptor(self.key, list(self.key.shape), list(self.key.stride()), [*block, self.padded]) if described else self.key
        value = TensorDescriptor(self.value, list(self.value.shape), list(self.value.stride()), [*block, self.value_padded]) if described else self.value
        own = {
            "Q": self.query, "K": key, "V": value, "O": output, "L": log_sum_exp, "sinks": sinks, "SINKS": sinks is not None, "DESCRIPTORS": described,
            **strides("o", output, "bhnd"), **strides("l", log_sum_exp, "bh"),
        }  # fmt: skip
        return self.launch("forward", configuration, own)

    def backward(
        self, output: Tensor, log_sum_exp: Tensor, cotangent: Tensor, of_log_sum_exp: Tensor | None, delta: Tensor,
        d_query: Tensor, d_key: Tensor, d_value: Tensor, d_bias: Tensor | None,
    ) -> dict[str, Callable[[Configuration], Launch]]:  # fmt: skip
        """The launches of the backward pass by kernel, in their order: `backward_keys` reads what `backward_queries` leaves in `delta`."""
        shared = {"g_O": cotangent, "L": log_sum_exp, "delta": delta, **strides("g", cotangent, "bhnd"), **strides("l", log_sum_exp, "bh")}
        tensors = {"Q": self.query, "K": self.key, "V": self.value}
        queries = {
            **tensors, **shared, "O": output, "g_L": of_log_sum_exp, "d_Q": d_query, "d_bias": d_bias, "D_BIAS": d_bias is not None,
            "OF_LOG_SUM_EXP": of_log_sum_exp is not None,
            **strides("o", output, "bhnd"), **strides("gl", of_log_sum_exp, "bhn"), **strides("dq", d_query, "bhnd"),
        }  # fmt: skip
        keys = {**tensors, **shared, "d_K": d_key, "d_V": d_value, **strides("dk", d_key, "bhnd"), **strides("dv", d_value, "bhnd")}
        return {"backward_queries": lambda c: self.launch("backward_queries", c, queries), "backward_keys": lambda c: self.launch("backward_keys", c, keys)}

    def descriptors(self, configuration: Configuration) -> bool:
        """Whether K and V can be read by tensor descriptors (TMA): unit stride of features, 16-byte steps, no packing, and a target that has them."""
        fit = all(
            x.numel() > 0 and x.stride(-1) == 1 and x.data_ptr() % 16 == 0 and all(s > 0 and s * x.element_size() % 16 == 0 for s in x.stride()[:-1])
            for x in (self.key, self.value)
        )
        return fit and not self.packed and self.target in ("sm_90", "sm_100", "interpreter") and configuration.stages > 1


STRIDES = {f"{tensor}{axis}" for tensor in ("q", "k", "v", "o", "g", "dq", "dk", "dv") for axis in "bhnd"} | {"bb", "bh", "bn", "bm", "ab", "ah", "lb", "lh"}


def strides(prefix: str, x: Tensor | None, axes: str) -> dict[str, int]:
    """The strides of a tensor, named by axis; 0 where there is none."""
    return {f"{prefix}{axis}": 0 if x is None else x.stride(place) for place, axis in enumerate(axes)}


def target_of(x: Tensor) -> str:
    """The name under which the table knows the device of a tensor."""
    if x.device.type != "cuda":
        return "interpreter"
    if torch.version.hip:
        return str(torch.cuda.get_device_properties(x.device).gcnArchName).partition(":")[0]
    major, minor = torch.cuda.get_device_capability(x.device)
    return f"sm_{major}{minor}"


def run(call: Call, name: str, launch: Callable[[Configuration], Launch]) -> None:
    """Launch in the best configuration: the only one, or on a GPU the fastest of those the table offers, timed once for each kind of call."""
    options = call.configurations(name)
    if len(options) == 1 or call.query.device.type != "cuda":
        launch(options[0]).run()
        return
    lengths = triton.next_power_of_2(max(call.n, 1)), triton.next_power_of_2(max(call.m, 1))
    kind = (call.target, name, call.query.dtype, call.padded, call.value_padded, call.common["CAUSAL"], call.common["BIAS"], *lengths)
    if kind not in chosen:
        chosen[kind] = fastest(options, lambda c: launch(c).run())
    launch(chosen[kind]).run()


def fastest(options: Sequence[Configuration], run: Callable[[Configuration], None], time: Callable[[Callable[[], None]], float] | None = None) -> Configuration:
    """The configuration of least time; those that do not fit the device are passed over. Raises the last error if none fits."""
    time = time or (lambda call: float(triton.testing.do_bench(call, warmup=5, rep=20)))
    timed: list[tuple[float, int]] = []
    failure: Exception | None = None
    for place, option in enumerate(options):
        try:
            timed.append((time(lambda option=option: run(option)), place))  # type: ignore[misc]
        except triton.runtime.errors.OutOfResources as error:
            failure = error
    if not timed and failure is not None:
        raise failure
    return options[min(timed)[1]]


@torch.library.custom_op("attention_ledger::flash_attention", mutates_args=())
def flash_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, slopes: Tensor | None, sinks: Tensor | None,
    query_offsets: Tensor | None, key_offsets: Tensor | None, longest: Sequence[int], scale: float, cap: float, causal: bool, bottom_right: bool,
    dropout: float, seed: int, tile: Sequence[int], target: str,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Output [B, H, N, E] and log-sum-exp [B, H, N] in the accumulator's dtype. bias [B, H, N, M] (uint8: may attend, or additive), slopes [B, H], sinks [H];
    `cap` 0 is none; `dropout` the probability; `longest` = [N, M] of packed sequences. What they mean is said in `impl.scaled_dot_product.flash`."""
    call = Call(query, key, value, bias, slopes, query_offsets, key_offsets, longest, scale, cap, causal, bottom_right, dropout, seed, tile, target)
    output, log_sum_exp = results(query, value)
    run(call, "forward", lambda c: call.forward(output, log_sum_exp, sinks, c))
    return output, log_sum_exp


def results(query: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Room for the output and the log-sum-exp."""
    wide = query.dtype if query.dtype == torch.float64 else torch.float32
    return query.new_empty((*query.shape[:-1], value.shape[-1])), query.new_empty(query.shape[:-1], dtype=wide)


@flash_attention.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return results(query, value)


@torch.library.custom_op("attention_ledger::flash_attention_backward", mutates_args=())
def flash_attention_backward(
    cotangent: Tensor, of_log_sum_exp: Tensor | None, output: Tensor, log_sum_exp: Tensor, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None,
    slopes: Tensor | None, query_offsets: Tensor | None, key_offsets: Tensor | None, longest: Sequence[int], scale: float, cap: float, causal: bool,
    bottom_right: bool, dropout: float, seed: int, tile: Sequence[int], target: str, of_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """dQ, dK, dV, the gradient of the scores [B, H, N, M] (empty unless `of_bias`), and delta [B, H, N]."""
    call = Call(query, key, value, bias, slopes, query_offsets, key_offsets, longest, scale, cap, causal, bottom_right, dropout, seed, tile, target)
    d_query, d_key, d_value, d_bias, delta = gradients(log_sum_exp, query, key, value, of_bias)
    wanted = d_bias.zero_() if of_bias else None  # tiles that causality skips stay zero
    for name, launch in call.backward(output, log_sum_exp, cotangent, of_log_sum_exp, delta, d_query, d_key, d_value, wanted).items():
        run(call, name, launch)
    return d_query, d_key, d_value, d_bias, delta


def gradients(log_sum_exp: Tensor, query: Tensor, key: Tensor, value: Tensor, of_bias: bool) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Room for dQ, dK, dV, the gradient of the scores, and delta."""
    of_scores = log_sum_exp.new_empty((*query.shape[:-1], key.shape[2]) if of_bias else (0,))
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape), of_scores, torch.empty_like(log_sum_exp)


@flash_attention_backward.register_fake
def _(
    cotangent: Tensor, of_log_sum_exp: Tensor | None, output: Tensor, log_sum_exp: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    return gradients(log_sum_exp, query, key, value, rest[-1])


def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:8], *output)
    ctx.rest = inputs[8:]


def pull_back(ctx: Any, cotangent: Tensor, of_log_sum_exp: Tensor) -> tuple[Any, ...]:
    query, key, value, bias, slopes, sinks, query_offsets, key_offsets, output, log_sum_exp = ctx.saved_tensors
    if ctx.needs_input_grad[4]:
        raise ValueError("ALiBi slopes are constants here: they have no gradient")
    of_bias = ctx.needs_input_grad[3]
    d_query, d_key, d_value, d_bias, delta = flash_attention_backward(
        cotangent, of_log_sum_exp, output, log_sum_exp, query, key, value, bias, slopes, query_offsets, key_offsets, *ctx.rest, of_bias
    )
    d_sinks = None
    if ctx.needs_input_grad[5]:
        weight = torch.exp(sinks.to(log_sum_exp.dtype)[:, None] - log_sum_exp).masked_fill(log_sum_exp == -math.inf, 0)  # of the sink, [B, H, N]
        d_sinks = -(weight * delta).sum((0, 2)).to(sinks.dtype)
    return d_query, d_key, d_value, d_bias.to(bias.dtype) if of_bias else None, None, d_sinks, *(None,) * 11


flash_attention.register_autograd(pull_back, setup_context=keep)
