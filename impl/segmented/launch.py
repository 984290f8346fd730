"""The launch side of `impl.segmented.kernel`: arguments, tiles by length of segments, custom operators with their fake kernels and gradients, specimens.

On a GPU the kernels would be timed beside torch's own operations on segments: `Tensor.scatter_reduce(…, "amax")`, `exp`, `index_add` and an `index_select`
of values, as `impl.segments` writes them (it materialises E · H · C products); and `torch.segment_reduce` over rows that are gathered and sorted first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import triton
from torch import Tensor

from impl._triton.launch import Launch
from impl._triton.specimen import Cost, Specimen
from impl.scaled_dot_product.launch import ACCUMULATORS, strides, target_of
from impl.segmented import kernel
from impl.segmented.fused import Segments, of_edges, of_lengths


class Tile(NamedTuple):
    """Segments of a program, rows of each at a time, and warps."""

    segments: int
    rows: int
    warps: int


WARPS = {"gfx942": 2}  # of 64 threads; elsewhere 4 of 32
LOADS = 2  # of 16 bytes a thread in one pass: where 24 warps fit on a multiprocessor, 24 KiB of features are under way


def shipped(rows: int, segments: int, width: int, size: int, target: str) -> Tile:
    """For features of `size` bytes. As many lanes as two loads a thread fill with features. Rows at a time by the mean length: about a quarter of it, since
    lanes beyond a segment's end are idle; the other lanes are segments beside."""
    mean = rows / max(segments, 1)
    at_once = next((few for few, most in ((1, 4), (2, 12), (4, 24), (8, 128)) if mean < most), 32)
    lanes = max(128 * LOADS * (16 // size) // triton.next_power_of_2(max(width, 1)), 1)
    at_once = min(at_once, lanes)
    return Tile(min(lanes // at_once, 64), at_once, WARPS.get(target, 4))


def tiled(tile: Sequence[int], rows: int, segments: int, features: Tensor) -> Tile:
    """The tile that was asked for, or what ships for features [_, _, C] on their device."""
    return Tile(*tile) if tile else shipped(rows, segments, features.shape[2], features.element_size(), target_of(features))


class Rows(NamedTuple):
    """What says where rows stand, of `impl.segmented.fused.Segments`, under the kernels' names."""

    offsets: Tensor
    source: Tensor | None
    place: Tensor | None


def launched(name: str, own: dict[str, Any], n: int, heads: int, width: int, dtype: torch.dtype, tile: Tile) -> Launch:
    """A launch over n segments of `heads` heads."""
    function = getattr(kernel, name)
    arguments = {
        **own, "N": n, "H": heads, "SEGMENTS": tile.segments, "ROWS": tile.rows, "C": triton.next_power_of_2(max(width, 1)), "WIDTH": width,
        "ACC": ACCUMULATORS[dtype],
    }  # fmt: skip
    ordered = {key: arguments[key] for key in function.arg_names}
    return Launch(kernel=function, grid=(triton.cdiv(n, tile.segments) * heads,), arguments=ordered, options={"num_warps": tile.warps, "num_stages": 1})


def forward(scores: Tensor, values: Tensor, where: Rows, output: Tensor, log_sum_exp: Tensor, tile: Sequence[int] = ()) -> Launch:
    """The launch that averages values [S, H, C] by scores [R, H] into `output` [N, H, C] and `log_sum_exp` [N, H]."""
    (n, heads), width = log_sum_exp.shape, values.shape[2]
    own = {
        "scores": scores, "values": values, **where._asdict(), "O": output, "L": log_sum_exp, "GATHERED": where.source is not None,
        "PLACED": where.place is not None, **strides("s", scores, "rh"), **strides("v", values, "rhc"),
    }  # fmt: skip
    own["vs"] = own.pop("vr")
    return launched("forward", own, n, heads, width, scores.dtype, tiled(tile, len(scores), n, values))


def backward_scores(
    scores: Tensor, values: Tensor, where: Rows, output: Tensor, log_sum_exp: Tensor, cotangent: Tensor, of_log_sum_exp: Tensor, d_scores: Tensor,
    d_values: Tensor | None, tile: Sequence[int] = (),
) -> Launch:  # fmt: skip
    """The launch that writes `d_scores` [R, H] and, if given, `d_values` [R, H, C] of values that no two rows share."""
    (n, heads), width = log_sum_exp.shape, values.shape[2]
    own = {
        "scores": scores, "values": values, **where._asdict(), "O": output, "L": log_sum_exp, "g_O": cotangent, "g_L": of_log_sum_exp, "d_scores": d_scores,
        "d_values": d_values, "GATHERED": where.source is not None, "PLACED": where.place is not None, "OF_VALUES": d_values is not None,
        **strides("s", scores, "rh"), **strides("v", values, "rhc"), **strides("g", cotangent, "nhc"), **strides("gl", of_log_sum_exp, "nh"),
    }  # fmt: skip
    own["vs"] = own.pop("vr")
    return launched("backward_scores", own, n, heads, width, scores.dtype, tiled(tile, len(scores), n, values))


def backward_values(
    scores: Tensor, log_sum_exp: Tensor, cotangent: Tensor, offsets: Tensor, target: Tensor, place: Tensor, d_values: Tensor, tile: Sequence[int] = ()
) -> Launch:
    """The launch that writes `d_values` [S, H, C] from the rows sorted by the value that they read."""
    s, heads, width = d_values.shape
    own = {
        "scores": scores, "L": log_sum_exp, "g_O": cotangent, "offsets": offsets, "target": target, "place": place, "d_values": d_values,
        **strides("s", scores, "rh"), **strides("g", cotangent, "nhc"),
    }  # fmt: skip
    return launched("backward_values", own, s, heads, width, scores.dtype, tiled(tile, len(scores), s, cotangent))


@torch.library.custom_op("attention_ledger::segment_attention", mutates_args=())
def segment_attention(
    scores: Tensor, values: Tensor, offsets: Tensor, source: Tensor | None, place: Tensor | None, reading: Tensor | None, target: Tensor | None,
    read_at: Tensor | None, tile: Sequence[int],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Output [N, H, C] and log-sum-exp [N, H] in the scores' dtype. scores [R, H] in the accumulator's dtype, values [S, H, C], offsets [N + 1], the rest int32
    as in `impl.segmented.fused.Segments`; `tile` = (segments, rows, warps), or empty for what ships."""
    output, log_sum_exp = results(scores, values, offsets)
    forward(scores, values, Rows(offsets, source, place), output, log_sum_exp, tile).run()
    return output, log_sum_exp


def results(scores: Tensor, values: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Room for the output and the log-sum-exp."""
    n, heads = offsets.shape[0] - 1, scores.shape[1]
    return scores.new_empty((n, heads, values.shape[2])), scores.new_empty((n, heads))


@segment_attention.register_fake
def _(scores: Tensor, values: Tensor, offsets: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return results(scores, values, offsets)


@torch.library.custom_op("attention_ledger::segment_attention_backward", mutates_args=())
def segment_attention_backward(
    cotangent: Tensor, of_log_sum_exp: Tensor, output: Tensor, log_sum_exp: Tensor, scores: Tensor, values: Tensor, offsets: Tensor, source: Tensor | None,
    place: Tensor | None, reading: Tensor | None, target: Tensor | None, read_at: Tensor | None, tile: Sequence[int], of_values: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """d_scores [R, H], and d_values [S, H, C] in the values' dtype (empty unless `of_values`)."""
    d_scores, d_values = gradients(scores, values, of_values)
    where = Rows(offsets, source, place)
    own = d_values if of_values and source is None else None
    backward_scores(scores, values, where, output, log_sum_exp, cotangent, of_log_sum_exp, d_scores, own, tile).run()
    if of_values and source is not None:
        if reading is None or target is None or read_at is None:
            raise ValueError("a gradient of values that are read through an index needs the rows sorted by value: segments made with gradient=True")
        backward_values(scores, log_sum_exp, cotangent, reading, target, read_at, d_values, tile).run()
    return d_scores, d_values


def gradients(scores: Tensor, values: Tensor, of_values: bool) -> tuple[Tensor, Tensor]:
    """Room for both gradients, contiguous."""
    return scores.new_empty(scores.shape), values.new_empty(values.shape if of_values else (0,))


@segment_attention_backward.register_fake
def _(
    cotangent: Tensor, of_log_sum_exp: Tensor, output: Tensor, log_sum_exp: Tensor, scores: Tensor, values: Tensor, *rest: Any
) -> tuple[Tensor, Tensor]:  # fmt: skip
    return gradients(scores, values, rest[-1])


def keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.save_for_backward(*inputs[:8], *output)
    ctx.tile = inputs[8]


def pull_back(ctx: Any, cotangent: Tensor, of_log_sum_exp: Tensor) -> tuple[Any, ...]:
    *inputs, output, log_sum_exp = ctx.saved_tensors
    of_scores, of_values, *_ = ctx.needs_input_grad
    d_scores, d_values = segment_attention_backward(cotangent, of_log_sum_exp, output, log_sum_exp, *inputs, ctx.tile, of_values)
    return d_scores if of_scores else None, d_values if of_values else None, *(None,) * 7


segment_attention.register_autograd(pull_back, setup_context=keep)


def samples() -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Operators with arguments, for `torch.library.opcheck`."""
    random = torch.Generator().manual_seed(0)
    for lengths, sources, heads, width in (([3, 0, 1, 5], 4, 2, 3), ([], 1, 1, 1), ([0, 0], 2, 1, 2)):
        edges = edges_of(torch.tensor(lengths, dtype=torch.int64), sources, through=torch.randperm(sum(lengths), generator=random))
        scores = torch.randn(sum(lengths), heads, generator=random, requires_grad=True)
        yield segment_attention, (scores, torch.randn(sources, heads, width, generator=random, requires_grad=True), *edges, [2, 2, 1])
    words = torch.randn(9, 1, 5, generator=random, requires_grad=True)
    ends = torch.tensor([0, 2, 9], dtype=torch.int32)
    yield segment_attention, (torch.randn(9, 1, generator=random, requires_grad=True), words, ends, *(None,) * 5, [2, 2, 1])
    arguments = (torch.randn(2, 1, 5), torch.randn(2, 1), torch.randn(2, 1, 5), torch.randn(2, 1), torch.randn(9, 1), words.detach(), ends, *(None,) * 5)
    yield segment_attention_backward, (*arguments, [2, 2, 1], True)


def edges_of(lengths: Tensor, sources: int, through: Tensor | None = None) -> Segments:
    """Segments of so many edges, whose sources follow each other round and round; `through` reorders the list of edges."""
    target = torch.arange(len(lengths)).repeat_interleave(lengths)
    source = torch.arange(len(target)) * 7 % max(sources, 1)
    order = torch.arange(len(target)) if through is None else through
    return of_edges(source[order], target[order], sources, len(lengths), gradient=True)


def steps(ends: Tensor, tile: Tile) -> int:
    """How often all programs of one head go round: each as often as its longest segment needs."""
    lengths = ends.diff().tolist()
    blocks = [lengths[start : start + tile.segments] for start in range(0, len(lengths), tile.segments)]
    return sum(-(-max(block) // tile.rows) for block in blocks)


def bytes_of_rows(launch: Launch, row: int) -> int:
    """What all heads read to find their way: both ends of each segment, and `row` bytes for each of its rows."""
    arguments = launch.arguments
    return int(arguments["H"] * (8 * arguments["N"] + row * int(arguments["offsets"][-1])))


def cost(launch: Launch, name: str, tile: Tile) -> Cost:
    """Each row of a segment meets each head once: its score is read, its number in `source`, `target` and `place` where there is one (4 bytes each), and the
    WIDTH features of the value (or of the cotangent) that it names. Lanes beyond a segment's end read nothing; their exponentials are computed all the same.
    """
    a = launch.arguments
    rows, n, heads, width, wide = int(a["offsets"][-1]), a["N"], a["H"], a["WIDTH"], a["scores"].element_size()
    blocks, lanes = heads * triton.cdiv(n, tile.segments), tile.segments * tile.rows
    passes, numbers = heads * steps(a["offsets"], tile), 4 * sum(a.get(index) is not None for index in ("source", "target", "place"))
    table = bytes_of_rows(launch, numbers + wide)
    if name == "forward":  # lane states are merged by one more exponential a lane, and one logarithm a segment
        read = table + rows * heads * width * a["values"].element_size()
        return Cost(products=0, functions=2 * lanes * passes + blocks * (lanes + tile.segments), read=read, written=n * heads * (width + 1) * wide)
    if name == "backward_scores":
        read = table + rows * heads * width * a["values"].element_size() + n * heads * (2 * width + 2) * wide
        own = rows * heads * width * a["d_values"].element_size() if a["OF_VALUES"] else 0
        return Cost(products=0, functions=lanes * passes, read=read, written=rows * heads * wide + own)
    read = table + rows * heads * (1 + width) * wide  # the log-sum-exp and the cotangent of each row's own segment
    return Cost(products=0, functions=lanes * passes, read=read, written=n * heads * width * a["d_values"].element_size())


def specimens(target: str, dtype: torch.dtype) -> Iterator[Specimen]:
    """What is compiled, and for the target "interpreter" what is counted."""
    small = target == "interpreter"
    wide = dtype if dtype == torch.float64 else torch.float32
    random = torch.Generator().manual_seed(0)
    nodes, heads, width = (5, 2, 3) if small else (4096, 4, 64)
    lengths = torch.tensor([0, 1, 9, 4, 5]) if small else torch.arange(nodes) * 37 % 65  # from 0 to 64, all equally often, in no order
    words = torch.tensor([3, 0, 1, 6]) if small else 8 + torch.arange(1024) * 5 % 33  # of sentences
    edges, rows = int(lengths.sum()), int(words.sum())
    graph = edges_of(lengths, nodes, through=torch.randperm(edges, generator=random))
    yield from specimens_of("graph", torch.rand(edges, heads, dtype=wide), torch.rand(nodes, heads, width, dtype=wide), graph, target)
    sentences = of_lengths(words)
    yield from specimens_of("sentences", torch.rand(rows, 1, dtype=wide), torch.rand(rows, 1, 5 if small else 128).to(dtype), sentences, target)


def specimens_of(what: str, scores: Tensor, values: Tensor, segments: Segments, target: str) -> Iterator[Specimen]:
    """All launches of one call and its gradients."""
    where = Rows(segments.offsets, segments.source, segments.place)
    output, log_sum_exp = results(scores, values, segments.offsets)
    output, log_sum_exp = torch.rand(output.shape, dtype=output.dtype), torch.rand(log_sum_exp.shape, dtype=output.dtype)
    d_scores, d_values = torch.empty_like(scores), torch.empty_like(values)
    own = d_values if segments.source is None else None
    width, small = values.shape[2], Tile(2, 4, 1) if target == "interpreter" else None
    case = f"{what} of {len(log_sum_exp)} segments, {len(scores)} rows, width {width}"
    chosen = small or shipped(len(scores), len(log_sum_exp), width, values.element_size(), target)
    launch = forward(scores, values, where, torch.empty_like(output), torch.empty_like(log_sum_exp), chosen)
    yield Specimen(kernel="forward", case=case, launch=launch, cost=cost(launch, "forward", chosen))
    launch = backward_scores(scores, values, where, output, log_sum_exp, torch.rand_like(output), torch.rand_like(log_sum_exp), d_scores, own, chosen)
    yield Specimen(kernel="backward_scores", case=case, launch=launch, cost=cost(launch, "backward_scores", chosen))
    if segments.reading is not None and segments.target is not None and segments.read_at is not None:
        chosen = small or shipped(len(scores), len(values), width, output.element_size(), target)
        launch = backward_values(scores, log_sum_exp, torch.rand_like(output), segments.reading, segments.target, segments.read_at, d_values, chosen)
        yield Specimen(kernel="backward_values", case=case, launch=launch, cost=cost(launch, "backward_values", chosen))
