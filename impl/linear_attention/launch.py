"""The launch side of `impl.linear_attention.kernel`: arguments, custom operators with their fake kernels and gradients, and the specimens that are compiled.

Everything is 4-dimensional here: query [B, H, N, D], key [B, H, M, D], value [B, H, M, E]; padding [B, H, M] (uint8, 1 shows a key), levels [B, H, M].
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.linear_attention import kernel
from impl.scaled_dot_product.launch import ACCUMULATORS, NARROW, strides, target_of

SHORTEST = 16  # features of a part: what a product on tensor cores sums over, at least
EXPONENTIAL = ("elu+1", "exp")  # feature maps that take one exponential an entry


class Configuration(NamedTuple):
    """Positions of a chunk, the part of a width a program takes (columns of values; features in `backward_queries` and `backward_keys`), warps a program,
    stages of the loads' pipeline; parts of the features that warps share out in `forward` and `backward_values`."""

    chunk: int
    block: int
    warps: int
    stages: int
    parts: int = 1


C = Configuration
KERNELS = ("forward", "backward_queries", "backward_keys", "backward_values")
OF_FEATURES = KERNELS[1:3]  # their blocks are of features
# target → kernel → for widths up to 64, 128 and 256. Chosen by what Triton compiles, few spills first; none has been timed
NVIDIA: dict[str, tuple[Configuration, ...]] = {
    "forward": (C(16, 64, 4, 1), C(16, 64, 8, 1, 8), C(16, 32, 8, 1, 8)),
    "backward_queries": (C(16, 64, 4, 1), C(16, 32, 4, 1)),
    "backward_keys": (C(16, 64, 4, 1), C(16, 32, 4, 1)),
    "backward_values": (C(16, 64, 4, 1), C(16, 64, 8, 1, 8)),
}
SHORT = C(32, 64, 4, 1), C(32, 32, 4, 1)
AMD: dict[str, tuple[Configuration, ...]] = dict.fromkeys(KERNELS, SHORT) | {"forward": (*SHORT, C(16, 64, 8, 1, 8))}
TABLE: dict[str, dict[str, tuple[Configuration, ...]]] = {"sm_80": NVIDIA, "sm_90": NVIDIA, "sm_100": NVIDIA, "gfx942": AMD}
INTERPRETED = Configuration(16, 16, 4, 1)
CAUTIOUS = Configuration(16, 32, 8, 1)


def configuration(target: str, name: str, features: int, width: int, bytes_each: int) -> Configuration:
    """What a target ships for padded widths of features and values."""
    if target == "interpreter":
        return INTERPRETED
    if target not in TABLE or bytes_each > 2:
        return CAUTIOUS
    rows = TABLE[target][name]
    place = 0 if max(features, width) <= 64 else 1 if max(features, width) <= 128 else 2
    return rows[min(place, len(rows) - 1)]


class Call:
    """What the launches of one call have in common. `tile` = (chunk, columns, warps, stages), and parts if not 1, overrides the table, `target` the device."""

    def __init__(
        self, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, levels: Tensor | None, feature_map: str, epsilon: float, c: float,
        causal: bool, tile: Sequence[int], target: str = "",
    ) -> None:  # fmt: skip
        self.query, self.key, self.value, self.padding, self.levels = query, key, value, padding, levels
        self.heads, self.n, self.m = query.shape[0] * query.shape[1], query.shape[2], key.shape[2]
        self.width, self.value_width = query.shape[-1], value.shape[-1]
        self.features, self.columns = (max(16, triton.next_power_of_2(width)) for width in (self.width, self.value_width))
        self.feature_map, self.causal, self.tile, self.target = feature_map, causal, tuple(tile), target or target_of(query)
        half = min(x.element_size() for x in (query, key, value)) < 4
        self.common: dict[str, Any] = {
            "Q": query, "K": key, "V": value, "padding": padding,
            **strides("q", query, "bhnd"), **strides("k", key, "bhnd"), **strides("v", value, "bhnd"), **strides("p", padding, "bhm"),
            "H": query.shape[1], "N": self.n, "M": self.m, "epsilon": epsilon, "c": c,
            "WIDTH": self.width, "VALUE_WIDTH": self.value_width, "MAP": feature_map, "CAUSAL": causal,
            "PADDED": padding is not None, "PRECISION": "tf32x3" if half and self.target.startswith("sm_") else "ieee", "ACC": ACCUMULATORS[query.dtype],
        }  # fmt: skip

    def configuration(self, name: str) -> Configuration:
        return Configuration(*self.tile) if self.tile else configuration(self.target, name, self.features, self.columns, self.value.element_size())

    def launch(self, name: str, own: dict[str, Any]) -> Launch:
        """The launch of the kernel of this name. Strides of 2^31 and more come as 64-bit integers; products that grow so large need `WIDE`."""
        chosen = self.configuration(name)
        features = self.padded(name)
        arguments = {**self.common, **own, "CHUNK": chosen.chunk, "BLOCK": self.block(name), "F": features, "PARTS": self.parts(name)}
        steps = [abs(stride) for argument, stride in arguments.items() if argument in STEPS]
        arguments["WIDE"] = 2 * max(steps) * max(chosen.chunk, features, self.columns) >= NARROW
        function = getattr(kernel, name)
        options = {"num_warps": chosen.warps, "num_stages": chosen.stages}
        return Launch(kernel=function, grid=(self.blocks(name), self.heads), arguments={name: arguments[name] for name in function.arg_names}, options=options)

    def parts(self, name: str) -> int:
        """Of the features: no shorter than a product may be; a tile's own number stands, and pads them."""
        parts = self.configuration(name).parts
        return parts if self.tile else min(parts, int(self.features) // SHORTEST)

    def padded(self, name: str) -> int:
        """Features of a state that holds all of them."""
        return max(int(self.features), SHORTEST * self.parts(name))

    def block(self, name: str) -> int:
        """The part of a width that a program takes, and that its state holds of it."""
        return min(int(self.features if name in OF_FEATURES else self.columns), self.configuration(name).block)

    def blocks(self, name: str) -> int:
        return int(triton.cdiv(self.width if name in OF_FEATURES else self.value_width, self.block(name)))

    def forward(self, output: Tensor, masses: Tensor) -> Launch:
        own = {
            "O": output, "masses": masses, "levels": self.levels, "LEVELS": self.levels is not None,
            **strides("o", output, "bhnd"), **strides("m", masses, "bh"), **strides("l", self.levels, "bhm"),
        }  # fmt: skip
        return self.launch("forward", own)

    def backward(self, output: Tensor, masses: Tensor, cotangent: Tensor, d_query: Tensor, d_key: Tensor, d_value: Tensor) -> tuple[Launch, ...]:
        """The three launches, in any order."""
        own = {
            "O": output, "masses": masses, "g_O": cotangent, "d_Q": d_query, "d_K": d_key, "d_V": d_value, "E": self.columns,
            **strides("o", output, "bhnd"), **strides("m", masses, "bh"), **strides("g", cotangent, "bhnd"),
            **strides("dq", d_query, "bhnd"), **strides("dk", d_key, "bhnd"), **strides("dv", d_value, "bhnd"),
        }  # fmt: skip
        longest = max(self.n, self.m) if self.causal else self.m
        return tuple(self.launch(name, {**own, "chunks": triton.cdiv(longest, self.configuration(name).chunk)}) for name in KERNELS[1:])


STEPS = {f"{tensor}{axis}" for tensor in ("q", "k", "v", "o", "g", "dq", "dk", "dv") for axis in "nd"}


@torch.library.custom_op("attention_ledger::linear_attention", mutates_args=())
def linear_attention(
    query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, levels: Tensor | None, feature_map: str, epsilon: float, c: float, causal: bool,
    tile: Sequence[int], target: str,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Output [B, H, N, E] in the values' dtype, and the rows' masses [B, H, N] (1 for 0) in the accumulator's, which have no gradient. "identity": query and
    key are features, in the accumulator's dtype of the values; then `levels` may say that those of key j are e^level_j times as large: without a gradient."""
    found = results(query, value)
    Call(query, key, value, padding, levels, feature_map, epsilon, c, causal, tile, target).forward(*found).run()
    return found


def results(query: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Room for the output and the masses."""
    wide = query.dtype if query.dtype == torch.float64 else torch.float32
    return value.new_empty((*query.shape[:-1], value.shape[-1])), query.new_empty(query.shape[:-1], dtype=wide)


@linear_attention.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return results(query, value)


@torch.library.custom_op("attention_ledger::linear_attention_backward", mutates_args=())
def linear_attention_backward(
    cotangent: Tensor, output: Tensor, masses: Tensor, query: Tensor, key: Tensor, value: Tensor, padding: Tensor | None, feature_map: str, epsilon: float,
    c: float, causal: bool, tile: Sequence[int], target: str,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """dQ, dK and dV."""
    found = gradients(query, key, value)
    call = Call(query, key, value, padding, None, feature_map, epsilon, c, causal, tile, target)
    for launch in call.backward(output, masses, cotangent, *found):
        launch.run()
    return found


def gradients(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape)


@linear_attention_backward.register_fake
def _(
    cotangent: Tensor, output: Tensor, masses: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    return gradients(query, key, value)


def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    query, key, value, padding, levels, *ctx.rest = inputs
    ctx.save_for_backward(*output, query, key, value, padding)
    ctx.mark_non_differentiable(output[1])
    ctx.plain = levels is None


def pull_back(ctx: Any, cotangent: Tensor, of_masses: Tensor) -> tuple[Any, ...]:
    if not ctx.plain:
        raise ValueError("features with levels have no gradient here")
    return *linear_attention_backward(cotangent, *ctx.saved_tensors, *ctx.rest), *(None,) * 8


linear_attention.register_autograd(pull_back, setup_context=keep)


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Operators with arguments, for `torch.library.opcheck`."""
    for n, m, causal, padded, feature_map in ((5, 3, True, True, "elu+1"), (3, 5, False, False, "polynomial")):
        query, key, value = (torch.randn(1, 2, length, width, requires_grad=True) for length, width in ((n, 3), (m, 3), (m, 2)))
        padding = torch.tensor([1, 0, 1], dtype=torch.uint8).expand(1, 2, 3) if padded else None
        options = (feature_map, 1e-3, 1.0, causal, [16, 16, 4, 1], "")
        yield linear_attention, (query, key, value, padding, None, *options)
        saved = torch.randn(1, 2, n, 2), torch.rand(1, 2, n), *(x.detach() for x in (query, key, value))
        yield linear_attention_backward, (torch.randn(1, 2, n, 2), *saved, padding, *options)
    key_levels = torch.randn(1, 2, 4)
    yield linear_attention, (torch.rand(1, 2, 4, 3), torch.rand(1, 2, 4, 3), torch.randn(1, 2, 4, 2), None, key_levels, "identity", 0.0, 0.0, True, [], "")


def cost(call: Call, name: str) -> Cost:
    """A chunk takes two products with the state, 2 · CHUNK · F · E each, and, causal, two within, 2 · CHUNK² · (F or E) each, tiles padded as they are; one of
    F and E is the block. A program reads what it needs once: of the width that is parted its own block, of the other all. Not causal, rows meet the state once
    and keys once, in chunks of their own."""
    (heads, n, m), chunk, blocks = (call.heads, call.n, call.m), call.configuration(name).chunk, call.blocks(name)
    f, e = (call.block(name), call.columns) if name in OF_FEATURES else (call.padded(name), call.block(name))
    each, of_value, wide = call.query.element_size(), call.value.element_size(), 8 if call.query.dtype == torch.float64 else 4
    whole_rows, whole_keys = triton.cdiv(n, chunk), triton.cdiv(m, chunk)
    longest = max(n, m) if name in ("backward_keys", "backward_values") else n
    chunks = triton.cdiv(longest, chunk)
    if call.causal:
        products = chunks * (4 * chunk * f * e + 2 * chunk * chunk * (f + e))
        mapped, keys, levels = 2 * chunks, min(m, chunks * chunk), chunks * (chunk * chunk + 2 * chunk + 1)
    else:
        products = (whole_rows + whole_keys) * 2 * chunk * f * e
        mapped, keys, levels = whole_rows + whole_keys, m, whole_keys * (chunk + 1)
    functions = (call.feature_map in EXPONENTIAL) * mapped * chunk * f
    query, key, value = n * each * call.width, keys * each * call.width, keys * of_value * call.value_width
    output, masses = n * of_value * call.value_width, n * wide
    padding = blocks * keys * (call.padding is not None)
    if name == "forward":
        levels = levels if call.levels is not None else 0
        of_levels = 0 if call.levels is None else blocks * keys * call.levels.element_size()
        functions, read, written = functions + levels, blocks * (query + key) + value + of_levels, output + masses
    elif name == "backward_values":
        read, written = blocks * (query + key + masses) + output, m * of_value * call.value_width
    else:
        read = query + key + blocks * (value + 2 * output + masses)
        written = (n if name == "backward_queries" else m) * each * call.width
    return Cost(products=heads * blocks * products, functions=heads * blocks * functions, read=heads * (read + padding), written=heads * written)


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted."""
    small = target == "interpreter"
    cases = [(6, 5, "elu+1", True, 1), (6, 20, "exp", False, 1), (20, 5, "polynomial", True, 4), (6, 5, "exp", False, 2)]
    if not small:
        cases = [(64, 64, "elu+1", True, 1), (64, 64, "elu+1", False, 1), (128, 128, "relu+epsilon", True, 1), (128, 128, "exp", False, 1)]
    for width, value_width, feature_map, causal, parts in cases:
        tile = [*INTERPRETED[:-1], parts] if parts > 1 else []
        batch, heads = (1, 2) if small else (4, 8)
        for n, m in ((20, 35), (35, 20)) if small else ((2048, 2048),):
            shapes = (n, width), (m, width), (m, value_width), (n, value_width)
            query, key, value, cotangent = (torch.rand(batch, heads, *shape).to(dtype) for shape in shapes)
            padding = torch.ones(batch, 1, m, dtype=torch.uint8).expand(batch, heads, m) if small and causal else None
            call = Call(query, key, value, padding, None, feature_map, 1e-3, 1.0, causal, tile, target)
            found = results(query, value)
            case = f"width {width}, {feature_map}, {'causal' if causal else 'all keys'}" + (f", {n} queries, {parts} parts" if small else "")
            yield Specimen(kernel="forward", case=case, launch=call.forward(*found), cost=cost(call, "forward"))
            saved = torch.rand_like(found[0]), torch.ones_like(found[1])
            for launch in call.backward(*saved, cotangent, *gradients(query, key, value)):
                name = launch.kernel.__name__
                yield Specimen(kernel=name, case=case, launch=launch, cost=cost(call, name))
