"""Ring attention: each rank keeps its queries, and the shards of keys and values travel from rank to rank (Liu, Zaharia and Abbeel 2023).

A rank merges what it sees of each visiting shard into the state of its rows. Backward sends the shards around once more, and with each one the gradients of
its keys and values, to which every rank adds its share before they are home again. A rank holds its own shards and one visitor, N/P rows each.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from impl.masked import accumulation
from impl.sequence_parallel import ranks
from impl.sequence_parallel.communicator import Communicator, Shapes, pass_on
from impl.sequence_parallel.partial import Rows, Shares, finished, fold, nothing, unfold
from impl.sequence_parallel.shards import Sequence, size


def forward(query: Tensor, key: Tensor, value: Tensor, sequence: Sequence, wires: Communicator) -> Rows:
    """The rows of this rank's queries [..., n, D], given its keys [..., m, D] and values [..., m, E]. P steps; P − 1 times keys and values are sent."""
    q = query.to(accumulation(query.dtype))
    seen = nothing(q, value.shape[-1])
    for step in range(wires.size):
        source = (wires.rank - step) % wires.size
        fold(seen, q, key.to(q.dtype), value.to(q.dtype), sequence, wires.rank, source)
        if step + 1 < wires.size:
            key, value = pass_on(wires, (key, value), shapes(sequence, key, value, source - 1))
    return finished(seen)


def backward(
    d_out: Tensor, query: Tensor, key: Tensor, value: Tensor, rows: Rows, sequence: Sequence, wires: Communicator
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of this rank's queries, keys and values, in the accumulation dtype. P − 1 times keys and values are sent, P times their gradients."""
    q, d_out = query.to(rows.output.dtype), d_out.to(rows.output.dtype)
    delta = (d_out * rows.output).sum(-1, keepdim=True)  # [..., n, 1]
    d_q = q.new_zeros(q.shape)
    shares = Shares(q.new_zeros(key.shape), q.new_zeros(value.shape))
    for step in range(wires.size):
        source = (wires.rank - step) % wires.size
        unfold(d_q, shares, d_out, delta, q, key.to(q.dtype), value.to(q.dtype), rows, sequence, wires.rank, source)
        following = shapes(sequence, key, value, source - 1)
        if step + 1 < wires.size:
            key, value = pass_on(wires, (key, value), following)
        shares = Shares(*pass_on(wires, shares, following))  # after the last step: to the owner
    return d_q, shares.key, shares.value


def shapes(sequence: Sequence, key: Tensor, value: Tensor, source: int) -> Shapes:
    """Those of the keys and values of another rank."""
    length = size(sequence.columns(source % sequence.world))
    return (*key.shape[:-2], length, key.shape[-1]), (*value.shape[:-2], length, value.shape[-1])


METHOD = ranks.Method(forward, backward)
attention = partial(ranks.attention, METHOD)  # of whole tensors, ranks in threads
attention_with_log_sum_exp = partial(ranks.attention_with_log_sum_exp, METHOD)
of_rank = partial(ranks.of_rank, METHOD)  # of one rank's shards
