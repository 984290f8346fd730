"""What the queries of one shard and the keys of another have to do with each other: a state of the online softmax forward, shares of gradients backward."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

from impl.scaled_dot_product import state
from impl.sequence_parallel.shards import Sequence, Tile, tiles


class Rows(NamedTuple):
    """What a rank keeps of its rows for backward, in the accumulation dtype: output [..., n, E], top and mass [..., n, 1]."""

    output: Tensor
    top: Tensor
    mass: Tensor


class Shares(NamedTuple):
    """What has come together of the gradients of a shard's keys [..., m, D] and values [..., m, E], in the accumulation dtype."""

    key: Tensor
    value: Tensor


def nothing(q: Tensor, width: int) -> state.State:
    """The state of rows [..., n, D] that have seen no key."""
    return state.State(q.new_full((*q.shape[:-1], 1), -math.inf), q.new_zeros(*q.shape[:-1], 1), q.new_zeros(*q.shape[:-1], width))


def scores(q: Tensor, k: Tensor, tile: Tile, sequence: Sequence) -> Tensor:
    """The scores of a tile [..., rows, columns], −∞ where it hides a key."""
    s = q[..., tile.rows, :] @ k[..., tile.columns, :].transpose(-2, -1) * sequence.scale
    return s if tile.hidden is None else s.masked_fill_(tile.hidden.to(s.device), -math.inf)


def fold(seen: state.State, q: Tensor, k: Tensor, v: Tensor, sequence: Sequence, rank: int, source: int) -> None:
    """Add what the keys [..., m, D] and values [..., m, E] of `source` are to the queries [..., n, D] of `rank`; by tiles, each merged as a whole."""
    for tile in tiles(sequence, rank, source):
        s = scores(q, k, tile, sequence)
        top = s.amax(-1, keepdim=True)
        raised = state.exponential(s.sub_(state.finite(top)))
        part = state.State(top, raised.sum(-1, keepdim=True), raised @ v[..., tile.columns, :])
        state.merge(state.State(*(x[..., tile.rows, :] for x in seen)), part)


def finished(seen: state.State) -> Rows:
    """The output of rows that have seen all their keys, and what backward rebuilds weights from."""
    return Rows(state.finish(seen), seen.top, seen.mass)


def unfold(
    d_q: Tensor, shares: Shares, d_out: Tensor, delta: Tensor, q: Tensor, k: Tensor, v: Tensor, rows: Rows, sequence: Sequence, rank: int, source: int
) -> None:  # fmt: skip
    """Add the share that queries of `rank` and keys of `source` have in the gradients of both. With weights P = exp(S − top) / mass: dV = Pᵀ dO,
    dS = P ∘ (dO Vᵀ − δ) with δ = rowsum(dO ∘ O) over *all* keys, dQ = scale · dS K, dK = scale · dSᵀ Q."""
    for tile in tiles(sequence, rank, source):
        at, there = tile.rows, tile.columns
        s = scores(q, k, tile, sequence)
        p = state.exponential(s.sub_(state.finite(rows.top[..., at, :]))).div_(state.positive(rows.mass[..., at, :]))
        shares.value[..., there, :] += p.transpose(-2, -1) @ d_out[..., at, :]
        d_s = (d_out[..., at, :] @ v[..., there, :].transpose(-2, -1)).sub_(delta[..., at, :]).mul_(p).mul_(sequence.scale)
        d_q[..., at, :] += d_s @ k[..., there, :]
        shares.key[..., there, :] += d_s.transpose(-2, -1) @ q[..., at, :]
