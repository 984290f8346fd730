"""Attention over segments by the Triton kernels of this folder: how rows are sorted into segments, once, and the call. Forward and backward."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from impl.in_triton import Operators
from impl.scaled_dot_product.flash import check_offsets

WIDEST = 2**10  # segments of a program, or rows of each at a time
MOST = 2**31 - WIDEST  # rows, values and segments are counted in 32 bits, by tiles that may reach a little beyond the last one
Tile = tuple[int, int, int]


def load() -> Any:
    from impl.segmented import launch

    return launch


operators = Operators(load)


class Segments(NamedTuple):
    """Which rows make up each segment, all int32 and contiguous. Of R rows sorted by segment, those from `offsets`[i] to `offsets`[i + 1] − 1.

    `offsets` [N + 1]. `source` [R]: the value that each of the sorted rows reads, None where every row has a value of its own, at its own number. `place`
    [R]: where its scores stand, None where they are sorted. The gradient of values that are read through `source` needs the rows in the order of what they
    read: `reading` [S + 1] parts them by value, `target` [R] is the segment of each, `read_at` [R] where its scores stand.
    """

    offsets: Tensor
    source: Tensor | None = None
    place: Tensor | None = None
    reading: Tensor | None = None
    target: Tensor | None = None
    read_at: Tensor | None = None


def of_lengths(lengths: Tensor) -> Segments:
    """Segments that lie one behind the other, of lengths int64 [N]; every row has a value of its own."""
    return Segments(offsets(lengths))


def of_edges(source: Tensor, target: Tensor, sources: int, targets: int, *, indptr: Tensor | None = None, gradient: bool) -> Segments:
    """Segments of the edges [E] into each target; what a row reads is its source. Edges may come in any order: one stable sort by target, unless `indptr`
    [N + 1] says that they are sorted; and, for the gradient of values, one by source."""
    if indptr is None:
        order = target.argsort(stable=True)
        found = Segments(offsets(torch.bincount(target, minlength=targets)), source[order].int(), order.int())
    else:
        found = Segments(indptr.int().contiguous(), source.int().contiguous())
    if not gradient:
        return found
    order = source.argsort(stable=True)
    return found._replace(reading=offsets(torch.bincount(source, minlength=sources)), target=target[order].int(), read_at=order.int())


def offsets(lengths: Tensor) -> Tensor:
    """Where segments of these lengths begin, and where the last one ends: int32 [N + 1]."""
    return torch.cat((lengths.new_zeros(1), lengths.cumsum(0))).int()


def attention(scores: Tensor, values: Tensor, segments: Segments, *, tile: Tile | None = None) -> tuple[Tensor, Tensor]:
    """Σ softmax(scores) · values of each segment [N, H, C], and the log-sum-exp of its scores [N, H], both in the scores' dtype and differentiable.

    Shapes: scores [R, H], values [S, H, C] or, for one head, scores [R] and values [S, C]; the results are then [N, C] and [N]. Values may be of a narrower
    dtype than scores, and are converted as they are read. A segment without rows is 0, and −∞. A row whose score is −∞ takes no part, whatever its value.
    `tile` = (segments a program, rows of each at a time, warps), all powers of 2. Raises ValueError for what does not fit, RuntimeError where triton is
    missing. Offsets have to rise from 0 to R: that is looked at on a CPU alone, since a GPU would have to be waited for.
    """
    single = scores.dim() == 1
    if scores.dim() not in (1, 2) or values.dim() != scores.dim() + 1 or (not single and scores.shape[1] != values.shape[1]):
        raise ValueError(f"scores {tuple(scores.shape)} and values {tuple(values.shape)}: expected [R, H] and [S, H, C], or [R] and [S, C]")
    if segments.source is None and len(values) != len(scores):
        raise ValueError(f"{len(scores)} scores and {len(values)} values: without an index every row has a value of its own")
    if scores.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"scores are {scores.dtype}: expected the accumulator's dtype, float32 or float64")
    if values.shape[-1] > 1024:
        raise ValueError(f"values have {values.shape[-1]} features a head: the kernels hold up to 1024")
    if max(len(scores), len(values), len(segments.offsets)) > MOST:
        raise ValueError(f"{len(scores)} rows, {len(values)} values, {len(segments.offsets) - 1} segments: the kernels count up to {MOST}")
    if tile is not None and max(tile[:2]) > WIDEST:
        raise ValueError(f"tile {tile}: a program holds up to {WIDEST} segments, and as many rows of each")
    check(segments, len(scores))
    s, v = (scores.unsqueeze(1), values.unsqueeze(1)) if single else (scores, values)
    output, log_sum_exp = operators().segment_attention(s, v, *segments, list(tile or ()))
    return (output.squeeze(1), log_sum_exp.squeeze(1)) if single else (output, log_sum_exp)


def check(segments: Segments, rows: int) -> None:
    """Raise ValueError unless the segments part so many rows, and their indices name one thing for each."""
    check_offsets("segment", segments.offsets, rows, rows)
    for name, index in segments._asdict().items():
        expected = index.shape if name in ("offsets", "reading") and index is not None else (rows,)
        if index is not None and (index.dtype != torch.int32 or index.shape != expected or not index.is_contiguous()):
            raise ValueError(f"{name} is {index.dtype} {tuple(index.shape)} with strides {index.stride()}: expected int32 {tuple(expected)}, contiguous")
