"""All-gather attention: each rank keeps its queries and receives all keys and values at once; backward gathers them again, and scatters the sums of their
gradients to the owners. No state has to be merged, and a rank holds all M keys while it computes (Grattafiori et al. 2024, section 3.3.2)."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.scaled_dot_product import state
from impl.sequence_parallel import ranks
from impl.sequence_parallel.communicator import Communicator, all_gather, reduce_scatter
from impl.sequence_parallel.partial import Rows, Shares, finished, nothing
from impl.sequence_parallel.ring import shapes
from impl.sequence_parallel.shards import Runs, Sequence, positions, size


def forward(query: Tensor, key: Tensor, value: Tensor, sequence: Sequence, wires: Communicator) -> Rows:
    """The rows of this rank's queries [..., n, D], given its keys [..., m, D] and values [..., m, E]. One gather; scores [..., n, M]."""
    q = query.to(accumulation(query.dtype))
    if not sequence.keys:
        return finished(nothing(q, value.shape[-1]))
    k, v = whole(key, value, sequence, wires, q.dtype)
    s = scores(q, k, sequence, wires.rank)
    top = s.amax(-1, keepdim=True)
    raised = state.exponential(s.sub_(state.finite(top)))
    return finished(state.State(top, raised.sum(-1, keepdim=True), raised @ v))


def backward(
    d_out: Tensor, query: Tensor, key: Tensor, value: Tensor, rows: Rows, sequence: Sequence, wires: Communicator
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of this rank's queries, keys and values, in the accumulation dtype. One gather, one reduction."""
    q, d_out = query.to(rows.output.dtype), d_out.to(rows.output.dtype)
    k, v = whole(key, value, sequence, wires, q.dtype)
    p = state.exponential(scores(q, k, sequence, wires.rank).sub_(state.finite(rows.top))).div_(state.positive(rows.mass))
    d_s = (d_out @ v.transpose(-2, -1)).sub_((d_out * rows.output).sum(-1, keepdim=True)).mul_(p).mul_(sequence.scale)
    lengths = [size(sequence.columns(rank)) for rank in range(wires.size)]
    d_k, d_v = ((x.transpose(-2, -1) @ y).split(lengths, dim=-2) for x, y in ((d_s, q), (p, d_out)))
    own = Shares(*reduce_scatter(wires, list(zip(d_k, d_v, strict=True))))
    return d_s @ k, own.key, own.value


def whole(key: Tensor, value: Tensor, sequence: Sequence, wires: Communicator, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """All keys [..., M, D] and values [..., M, E], shard behind shard."""
    parts = all_gather(wires, (key, value), [shapes(sequence, key, value, rank) for rank in range(wires.size)])
    keys, values = zip(*parts, strict=True)
    return torch.cat(keys, dim=-2).to(dtype), torch.cat(values, dim=-2).to(dtype)


def scores(q: Tensor, k: Tensor, sequence: Sequence, rank: int) -> Tensor:
    """[..., n, M], the keys shard behind shard; −∞ where a key is hidden."""
    s = q @ k.transpose(-2, -1) * sequence.scale
    if not sequence.causal:
        return s
    columns = placed([run for other in range(sequence.world) for run in sequence.columns(other)])
    return s.masked_fill_((columns > placed(sequence.rows(rank))[:, None]).to(s.device), -torch.inf)


def placed(runs: list[range] | Runs) -> Tensor:
    """The positions of these runs, one behind the other."""
    return torch.cat([positions(run) for run in runs])


METHOD = ranks.Method(forward, backward)
attention = partial(ranks.attention, METHOD)  # of whole tensors, ranks in threads
attention_with_log_sum_exp = partial(ranks.attention_with_log_sum_exp, METHOD)
of_rank = partial(ranks.of_rank, METHOD)  # of one rank's shards
