"""A method of sequence parallelism is what one rank does, forward and backward. From it, two functions that have gradients: of one rank's own shards, for
ranks that are processes, and of whole tensors, which are shared among ranks that are threads and joined again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from impl.scaled_dot_product import state
from impl.sequence_parallel import threads
from impl.sequence_parallel.communicator import Communicator
from impl.sequence_parallel.partial import Rows
from impl.sequence_parallel.reference import check
from impl.sequence_parallel.shards import Sequence, described, joined, shard


class Method(NamedTuple):
    """forward(query, key, value, sequence, wires) → rows; backward(d_out, query, key, value, rows, sequence, wires) → gradients of the three."""

    forward: Callable[..., Rows]
    backward: Callable[..., tuple[Tensor, Tensor, Tensor]]


def attention(
    method: Method, query: Tensor, key: Tensor, value: Tensor, world: int, is_causal: bool = False, scale: float | None = None, layout: str = "contiguous"
) -> Tensor:  # fmt: skip
    """As the reference, of whole tensors: `world` threads share them. Raises ValueError for arguments that do not fit."""
    return attention_with_log_sum_exp(method, query, key, value, world, is_causal, scale, layout)[0]


def attention_with_log_sum_exp(
    method: Method, query: Tensor, key: Tensor, value: Tensor, world: int, is_causal: bool = False, scale: float | None = None, layout: str = "contiguous"
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The output, and log Σ_j exp(score_j) over all visible keys, [B, H, N] in the accumulation dtype, without a gradient (−∞ where none is visible)."""
    check(query, key, value, world, layout)
    sequence = described(query, key, world, is_causal, scale, layout)
    return Whole.apply(query, key, value, method, sequence)  # type: ignore[no-untyped-call, no-any-return]


def of_rank(method: Method, query: Tensor, key: Tensor, value: Tensor, sequence: Sequence, wires: Communicator) -> Tensor:
    """The output [..., n, E] of one rank's shards query [..., n, D], key [..., m, D] and value [..., m, E], which `sequence` says are where in the whole. All
    ranks call it together, and all go backward together."""
    return Own.apply(query, key, value, method, sequence, wires)  # type: ignore[no-untyped-call, no-any-return]


class Own(torch.autograd.Function):
    """One rank's part."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, method: Method, sequence: Sequence, wires: Communicator) -> Tensor:
        rows = method.forward(query, key, value, sequence, wires)
        ctx.save_for_backward(query, key, value, *rows)
        ctx.of_call = method, sequence, wires
        return rows.output.to(query.dtype)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *rows = ctx.saved_tensors
        method, sequence, wires = ctx.of_call
        found = method.backward(*cotangents, query, key, value, Rows(*rows), sequence, wires)
        return *(x.to(query.dtype) for x in found), None, None, None


class Whole(torch.autograd.Function):
    """All ranks at once: shards out, results joined, each way."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, method: Method, sequence: Sequence) -> tuple[Tensor, Tensor]:
        def ranked(wires: Communicator) -> Rows:
            rows, columns = sequence.rows(wires.rank), sequence.columns(wires.rank)
            return method.forward(shard(query, rows), shard(key, columns), shard(value, columns), sequence, wires)

        found = Rows(*(joined(list(parts), every(sequence.rows, sequence)) for parts in zip(*threads.run(sequence.world, ranked), strict=True)))
        ctx.save_for_backward(query, key, value, *found)
        ctx.of_call = method, sequence
        log_sum_exp = state.log_sum_exp(found.top, found.mass)
        ctx.mark_non_differentiable(log_sum_exp)
        return found.output.to(query.dtype, copy=True), log_sum_exp

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, *saved = ctx.saved_tensors
        method: Method = ctx.of_call[0]
        sequence: Sequence = ctx.of_call[1]

        def ranked(wires: Communicator) -> tuple[Tensor, Tensor, Tensor]:
            rows, columns = sequence.rows(wires.rank), sequence.columns(wires.rank)
            kept = Rows(*(shard(x, rows) for x in saved))
            own = shard(query, rows), shard(key, columns), shard(value, columns)
            return method.backward(shard(cotangents[0], rows), *own, kept, sequence, wires)

        parts = zip(*threads.run(sequence.world, ranked), strict=True)
        whose = every(sequence.rows, sequence), every(sequence.columns, sequence), every(sequence.columns, sequence)
        return *(joined(list(x), positions).to(query.dtype) for x, positions in zip(parts, whose, strict=True)), None, None


def every(held: Callable[[int], tuple[range, ...]], sequence: Sequence) -> list[tuple[range, ...]]:
    """What each rank holds."""
    return [held(rank) for rank in range(sequence.world)]
