"""The launch side of `impl.block_sparse.kernel`: indices that can be kept, arguments, custom operators with their fake kernels and gradients, and specimens.

Everything is 4-dimensional here: query [B, H, N, D], key [B, H, M, D], value [B, H, M, E]; a bias broadcasts to [B, H, N, M]. One index serves all heads of
all sequences.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor
from triton.tools.tensor_descriptor import TensorDescriptor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.block_sparse import kernel
from impl.block_sparse.index import Index, Layout, of_layout, of_pairs, pairs_of
from impl.scaled_dot_product.configuration import Configuration, candidates
from impl.scaled_dot_product.launch import ACCUMULATORS, NARROW, strides, target_of

KERNELS = ("forward", "backward_queries", "backward_keys")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The indices of a pattern for N queries and M keys, one a kernel in the order of KERNELS, in the tiles that they were built for: rows, columns, warps and
    stages of each. Build it once and use it for every call of these lengths."""

    indices: tuple[Index, Index, Index]
    tiles: tuple[int, ...]
    lengths: tuple[int, int]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(x for index in self.indices for x in index.tensors)

    def to(self, device: torch.device | str) -> Prepared:
        """The same on another device."""
        first, second, third = (Index(offsets=index.offsets.to(device), others=index.others.to(device), bits=index.bits.to(device)) for index in self.indices)
        return Prepared(indices=(first, second, third), tiles=self.tiles, lengths=self.lengths)


def shipping(query: Tensor, value: Tensor, target: str = "") -> tuple[int, ...]:
    """The tiles of the three kernels, 4 numbers each, for tensors like these: those of the tensors' device, or of `target` where there is no GPU."""
    own = target_of(query)
    width = min(max(16, *(triton.next_power_of_2(x.shape[-1]) for x in (query, value))), 256)
    chosen = target if own == "interpreter" and target else own
    return tuple(number for name in KERNELS for number in candidates(chosen, name, width, query.element_size())[0])


def prepared(pattern: Sequence[Sequence[int]] | Layout, keys: int, tiles: Sequence[int]) -> Prepared:
    """The indices of a pattern, on the CPU: what each row sees (`impl.patterns.sets`), or a block mask. `tiles`: 12 numbers as `shipping` returns them, or 4
    for all three kernels."""
    given = tuple(map(int, tiles)) * (3 if len(tiles) == 4 else 1)
    forward, queries, turned = ((given[4 * place], given[4 * place + 1]) for place in range(3))
    turned = turned[::-1]
    if isinstance(pattern, Layout):
        indices = of_layout(pattern, forward, False), of_layout(pattern, queries, False), of_layout(pattern, turned, True)
        return Prepared(indices=indices, tiles=given, lengths=pattern.lengths)
    lengths = len(pattern), keys
    rows, columns = pairs_of(pattern, keys)
    first = of_pairs(rows, columns, lengths, forward)
    second = first if queries == forward else of_pairs(rows, columns, lengths, queries)
    return Prepared(indices=(first, second, of_pairs(columns, rows, lengths[::-1], turned)), tiles=given, lengths=lengths)


class Call:
    """What the launches of one call have in common."""

    def __init__(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float, tiles: Sequence[int], target: str = "") -> None:
        bias = None if bias is None else bias.expand(*query.shape[:-1], key.shape[2])
        self.query, self.key, self.value, self.bias = query, key, value, bias
        self.padded, self.value_padded = (max(16, triton.next_power_of_2(x.shape[-1])) for x in (query, value))
        self.configurations = {name: Configuration(*map(int, tiles[4 * place : 4 * place + 4])) for place, name in enumerate(KERNELS)}
        self.target = target or target_of(query)
        sign, scale = (0 if scale == 0 else 1 if scale > 0 else -1), abs(scale) or 1.0  # a maximum survives only a positive factor
        self.common: dict[str, Any] = {
            "Q": query, "K": key, "V": value, "bias": bias, **strides("q", query, "bhnd"), **strides("k", key, "bhnd"), **strides("v", value, "bhnd"),
            **strides("b", bias, "bhnm"), "H": query.shape[1], "N": query.shape[2], "M": key.shape[2], "scale": scale, "factor": scale * math.log2(math.e),
            "SIGN": sign, "D": self.padded, "E": self.value_padded, "WIDTH": query.shape[-1], "VALUE_WIDTH": value.shape[-1],
            "BIAS": "none" if bias is None else "boolean" if bias.dtype == torch.uint8 else "additive", "ACC": ACCUMULATORS[query.dtype],
        }  # fmt: skip

    def launch(self, name: str, index: Sequence[Tensor], own: dict[str, Any]) -> Launch:
        """The launch of the kernel of this name. Strides of 2^31 and more come as 64-bit integers; products that grow so large need `WIDE`."""
        configuration = self.configurations[name]
        rows, columns = configuration.rows, configuration.columns
        offsets, others, bits = index
        arguments = {**self.common, **own, "offsets": offsets, "others": others, "bits": bits, "ROWS": rows, "COLUMNS": columns}
        steps = [abs(stride) for axis, stride in arguments.items() if axis in STEPS]
        n, m = arguments["N"], arguments["M"]
        size = max(rows, columns, self.padded, self.value_padded, *((n, m) if self.bias is not None else ()))
        arguments["WIDE"] = 2 * max(steps) * size >= NARROW
        function = getattr(kernel, name)
        return Launch(
            kernel=function,
            grid=(triton.cdiv(m, columns) if name == "backward_keys" else triton.cdiv(n, rows), self.query.shape[0] * self.query.shape[1]),
            arguments={key: arguments[key] for key in function.arg_names},
            options={"num_warps": configuration.warps, "num_stages": configuration.stages},
        )

    def forward(self, index: Sequence[Tensor], output: Tensor, log_sum_exp: Tensor) -> Launch:
        configuration = self.configurations["forward"]
        own: dict[str, Any] = {"O": output, "L": log_sum_exp, "DESCRIPTORS": False, **strides("o", output, "bhnd")}
        if self.described(configuration):
            own["DESCRIPTORS"] = True
            for name, x, width in (("K", self.key, self.padded), ("V", self.value, self.value_padded)):
                own[name] = TensorDescriptor(x, list(x.shape), list(x.stride()), [1, 1, configuration.columns, width])
        return self.launch("forward", index, own)

    def backward_queries(
        self, index: Sequence[Tensor], output: Tensor, log_sum_exp: Tensor, cotangent: Tensor, delta: Tensor, d_query: Tensor, d_bias: Tensor | None
    ) -> Launch:
        own = {
            "O": output, "g_O": cotangent, "L": log_sum_exp, "delta": delta, "d_Q": d_query, "d_bias": d_bias, "D_BIAS": d_bias is not None,
            **strides("o", output, "bhnd"), **strides("g", cotangent, "bhnd"), **strides("dq", d_query, "bhnd"),
        }  # fmt: skip
        return self.launch("backward_queries", index, own)

    def backward_keys(self, index: Sequence[Tensor], log_sum_exp: Tensor, cotangent: Tensor, delta: Tensor, d_key: Tensor, d_value: Tensor) -> Launch:
        own = {
            "g_O": cotangent, "L": log_sum_exp, "delta": delta, "d_K": d_key, "d_V": d_value,
            **strides("g", cotangent, "bhnd"), **strides("dk", d_key, "bhnd"), **strides("dv", d_value, "bhnd"),
        }  # fmt: skip
        return self.launch("backward_keys", index, own)

    def described(self, configuration: Configuration) -> bool:
        """Whether K and V can be read by tensor descriptors (TMA): unit stride of features, 16-byte steps, and a target that has them."""
        fit = all(
            x.numel() > 0 and x.stride(-1) == 1 and x.data_ptr() % 16 == 0 and all(s > 0 and s * x.element_size() % 16 == 0 for s in x.stride()[:-1])
            for x in (self.key, self.value)
        )
        return fit and self.target in ("sm_90", "sm_100", "interpreter") and configuration.stages > 1


STEPS = {f"{tensor}{axis}" for tensor in ("q", "k", "v", "o", "g", "dq", "dk", "dv") for axis in "nd"} | {"bn", "bm"}


@torch.library.custom_op("attention_ledger::block_sparse_attention", mutates_args=())
def block_sparse_attention(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None,
    offsets: Tensor, others: Tensor, bits: Tensor, query_offsets: Tensor, query_others: Tensor, query_bits: Tensor,
    key_offsets: Tensor, key_others: Tensor, key_bits: Tensor, scale: float, tiles: Sequence[int],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Output [B, H, N, E] and log-sum-exp [B, H, N] in the base of the scores and the accumulator's dtype, +∞ for a row that sees nothing. bias: uint8 (may
    attend) or additive. The index's tensors are those of `Prepared.tensors`, and `tiles` are its tiles."""
    output, log_sum_exp = results(query, value)
    Call(query, key, value, bias, scale, tiles).forward((offsets, others, bits), output, log_sum_exp).run()
    return output, log_sum_exp


def results(query: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
    """Room for the output and the log-sum-exp."""
    wide = query.dtype if query.dtype == torch.float64 else torch.float32
    return query.new_empty((*query.shape[:-1], value.shape[-1])), query.new_empty(query.shape[:-1], dtype=wide)


@block_sparse_attention.register_fake
def _(query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return results(query, value)


@torch.library.custom_op("attention_ledger::block_sparse_attention_backward", mutates_args=())
def block_sparse_attention_backward(
    cotangent: Tensor, output: Tensor, log_sum_exp: Tensor, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None,
    query_offsets: Tensor, query_others: Tensor, query_bits: Tensor, key_offsets: Tensor, key_others: Tensor, key_bits: Tensor,
    scale: float, tiles: Sequence[int], of_bias: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """dQ, dK, dV and the gradient of the scores [B, H, N, M], 0 where no block is named (empty unless `of_bias`)."""
    call = Call(query, key, value, bias, scale, tiles)
    d_query, d_key, d_value, d_bias = gradients(log_sum_exp, query, key, value, of_bias)
    delta = torch.empty_like(log_sum_exp)
    wanted = d_bias.zero_() if of_bias else None
    call.backward_queries((query_offsets, query_others, query_bits), output, log_sum_exp, cotangent, delta, d_query, wanted).run()
    call.backward_keys((key_offsets, key_others, key_bits), log_sum_exp, cotangent, delta, d_key, d_value).run()
    return d_query, d_key, d_value, d_bias


def gradients(log_sum_exp: Tensor, query: Tensor, key: Tensor, value: Tensor, of_bias: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Room for dQ, dK, dV and the gradient of the scores."""
    of_scores = log_sum_exp.new_empty((*query.shape[:-1], key.shape[2]) if of_bias else (0,))
    return query.new_empty(query.shape), key.new_empty(key.shape), value.new_empty(value.shape), of_scores


@block_sparse_attention_backward.register_fake
def _(cotangent: Tensor, output: Tensor, log_sum_exp: Tensor, query: Tensor, key: Tensor, value: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return gradients(log_sum_exp, query, key, value, rest[-1])


def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:4], *inputs[7:13], *output)
    ctx.rest = inputs[13:]
    ctx.mark_non_differentiable(output[1])


def pull_back(ctx: Any, cotangent: Tensor, _: Tensor) -> tuple[Any, ...]:
    query, key, value, bias, *index, output, log_sum_exp = ctx.saved_tensors
    of_bias = ctx.needs_input_grad[3]
    d_query, d_key, d_value, d_bias = block_sparse_attention_backward(cotangent, output, log_sum_exp, query, key, value, bias, *index, *ctx.rest, of_bias)
    return d_query, d_key, d_value, d_bias.sum_to_size(bias.shape).to(bias.dtype) if of_bias else None, *(None,) * 11


block_sparse_attention.register_autograd(pull_back, setup_context=keep)


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Operators with arguments, for `torch.library.opcheck`."""
    for n, m, additive in ((20, 17, False), (17, 33, True)):
        rows = [list(range(max(0, i - 3), min(m, i + 2))) if i != 5 else [] for i in range(n)]
        query, key, value = (torch.randn(1, 2, length, width, requires_grad=True) for length, width in ((n, 5), (m, 5), (m, 3)))
        bias = torch.randn(1, 1, n, m, requires_grad=True) if additive else None
        index = prepared(rows, m, (16, 16, 4, 1))
        yield block_sparse_attention, (query, key, value, bias, *index.tensors, 0.5, list(index.tiles))


def costs(call: Call, name: str, index: Index) -> Cost:
    """What the launch of a kernel costs, of a call without descriptors or with them: a formula in the index and the tile.

    Of P named blocks, W of them whole, each is a tile of ROWS · COLUMNS scores: 2 D + 2 E operations a score forward, 4 D + 2 E for dQ, 4 D + 4 E for dK and
    dV; an exp2 a score, and forward one more a row and tile for the rescale and a log a row. A program reads its own rows once (for dQ those of O and g too)
    and of the index 5 numbers beside one entry and one prefetch of each list; a named block reads those positions of the inner axis that exist, one number of
    the index, where it is partly visible its bits, and where there is a bias those pairs that exist.
    """
    configuration, x = call.configurations[name], call.common
    heads, n, m, width, value_width = call.query.shape[0] * call.query.shape[1], x["N"], x["M"], x["WIDTH"], x["VALUE_WIDTH"]
    rows, columns, size = configuration.rows, configuration.columns, call.query.element_size()
    wide = 8 if call.query.dtype == torch.float64 else 4
    outer, inner, lengths = (columns, rows, (m, n)) if name == "backward_keys" else (rows, columns, (n, m))
    blocks = -(-lengths[0] // outer)
    offsets = index.offsets.reshape(2, blocks + 1).diff().sum(0)  # named blocks of each outer block
    order = torch.argsort(torch.cat([torch.arange(blocks).repeat_interleave(part) for part in index.offsets.reshape(2, blocks + 1).diff()]), stable=True)
    block, other = torch.arange(blocks).repeat_interleave(offsets), index.others[:-1].long()[order]
    there = (lengths[1] - other * inner).clamp(max=inner)  # positions of the inner axis in each named block
    pairs = int(((lengths[0] - block * outer).clamp(max=outer) * there).sum()) if call.bias is not None else 0
    named, inside = len(other), int(there.sum())
    bias = 0 if call.bias is None else pairs * call.bias.element_size()
    read = 4 * (7 * blocks + named) + 4 * index.bits.numel() + bias
    products, functions = 2 * rows * columns * named, rows * columns * named
    if name == "forward":
        products *= call.padded + call.value_padded
        functions += rows * (named + blocks)
        read += size * (n * width + inside * (width + value_width))
        written = size * n * value_width + wide * n
    elif name == "backward_queries":
        products *= 2 * call.padded + call.value_padded
        read += size * (n * (width + 2 * value_width) + inside * (width + value_width)) + wide * n
        written = size * n * width + wide * (n + (pairs if call.bias is not None else 0))
    else:
        products *= 2 * (call.padded + call.value_padded)
        read += size * (m * (width + value_width) + inside * (width + value_width)) + 2 * wide * inside
        written = size * m * (width + value_width)
    return Cost(products=heads * products, functions=heads * functions, read=heads * read, written=heads * written)


def bands(n: int, window: int) -> list[Sequence[int]]:
    """Causal windows of so many keys."""
    return [range(max(0, i - window + 1), i + 1) for i in range(n)]


def scattered(n: int, block: int, window: int, each: int) -> Layout:
    """A block mask as BigBird has it: `window` blocks to each side, the first and last block for all rows and all keys, and `each` blocks at random."""
    count = -(-n // block)
    place = torch.arange(count)
    named = ((place[:, None] - place).abs() <= window) | torch.isin(place, torch.tensor([0, count - 1]))[:, None]
    named = named | named.T
    chosen = torch.rand(count, count, generator=torch.Generator().manual_seed(0)).topk(min(each, count)).indices
    return Layout(block=block, named=named.scatter(1, chosen, True), lengths=(n, n))


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted."""
    if target == "interpreter":
        cases: list[tuple[str, Any, tuple[int, int], int, bool, tuple[int, ...]]] = [
            ("window", bands(37, 20), (37, 37), 5, False, (16, 16, 4, 1)),
            ("window, descriptors", bands(40, 24), (40, 40), 8, False, (32, 16, 4, 2)),
            ("block mask", scattered(72, 32, 0, 1), (72, 72), 4, False, (16, 32, 4, 1)),
            ("crossed, with a mask", [range(j % 3, 35, 3) for j in range(18)], (18, 35), 3, True, (16, 16, 4, 1)),
        ]
    else:
        patterns = (("window 256, causal", bands(1024, 256)), ("BigBird blocks", scattered(1024, 128, 1, 1)))
        cases = [(f"width {width}, {name}", pattern, (1024, 1024), width, False, ()) for width in (64, 128) for name, pattern in patterns]
    batch, heads = (1, 2) if target == "interpreter" else (2, 16)
    for case, pattern, (n, m), width, masked, tile in cases:
        value_width = width - 1 if masked else width
        query, key, value = (torch.rand(batch, heads, length, features).to(dtype) for length, features in ((n, width), (m, width), (m, value_width)))
        bias = torch.rand(1, heads, n, m).to(dtype) if masked else None
        index = prepared(pattern, m, tile or shipping(query, value, target))
        call = Call(query, key, value, bias, 1 / math.sqrt(width), index.tiles, target)
        output, log_sum_exp = results(query, value)
        cotangent, delta = torch.rand_like(output), torch.rand_like(log_sum_exp)
        given = torch.rand_like(output), torch.rand_like(log_sum_exp)  # in place of what the pass before would leave
        d_query, d_key, d_value, d_bias = gradients(log_sum_exp, query, key, value, masked)
        launches = (
            call.forward(index.indices[0].tensors, output, log_sum_exp),
            call.backward_queries(index.indices[1].tensors, *given, cotangent, torch.empty_like(delta), d_query, d_bias if masked else None),
            call.backward_keys(index.indices[2].tensors, given[1], cotangent, delta, d_key, d_value),
        )
        for name, launch, own in zip(KERNELS, launches, index.indices, strict=True):
            yield Specimen(kernel=name, case=case, launch=launch, cost=costs(call, name, own))
