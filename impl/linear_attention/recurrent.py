"""Linear attention token by token: a state of F · (E + 1) numbers, written by each key and read by each query."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from impl.kernelised import quotient, shown
from impl.linear_attention.feature_maps import features
from impl.masked import accumulation


class State(NamedTuple):
    """S = Σ φ(k_j) v_jᵀ [..., F, E] and z = Σ φ(k_j) [..., F] over the keys so far."""

    s: Tensor
    z: Tensor


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    feature_map: str = "elu+1",
    is_causal: bool = False,
    attn_mask: Tensor | None = None,
    *,
    epsilon: float = 1e-3,
    c: float = 1.0,
    parts: tuple[int, ...] = (),
) -> Tensor:
    """As the reference, in N + M steps of F · (E + 1) operations. A causal row reads the state once its own key is written.

    With `parts`, lengths that sum to N, a causal sequence comes in so many pieces, and each starts from the state that the one before leaves.
    """
    dtype = accumulation(query.dtype)
    rows, columns = (features(x.to(dtype), feature_map, epsilon, c) for x in (query, key))  # [..., N, F], [..., M, F]
    columns, value = shown(columns, attn_mask), value.to(dtype)
    state = empty(columns, value)
    if not is_causal:
        for j in range(key.shape[-2]):
            state = written(state, columns[..., j, :], value[..., j, :])
        return torch.cat([value.new_zeros(*query.shape[:-2], 0, value.shape[-1]), *(read(state, row) for row in rows.split(1, -2))], dim=-2).to(query.dtype)
    outputs, start = [], 0
    for length in parts or (query.shape[-2],):
        here = slice(start, start + length)
        output, state = causal(rows[..., here, :], columns[..., here, :], value[..., here, :], state)
        outputs.append(output)
        start += length
    return torch.cat(outputs, dim=-2).to(query.dtype)


def causal(rows: Tensor, columns: Tensor, value: Tensor, state: State) -> tuple[Tensor, State]:
    """The outputs [..., N, E] of features [..., N, F] and of [..., M, F], and the state after them; rows beyond the last key write nothing."""
    outputs = [value.new_zeros(*rows.shape[:-2], 0, value.shape[-1])]
    for i in range(rows.shape[-2]):
        if i < columns.shape[-2]:
            state = written(state, columns[..., i, :], value[..., i, :])
        outputs.append(read(state, rows[..., i : i + 1, :]))
    return torch.cat(outputs, dim=-2), state


def empty(columns: Tensor, value: Tensor) -> State:
    """The state before any key."""
    axes = columns.shape[:-2]
    return State(value.new_zeros(*axes, columns.shape[-1], value.shape[-1]), value.new_zeros(*axes, columns.shape[-1]))


def written(state: State, column: Tensor, value: Tensor) -> State:
    """The state once the features [..., F] of a key and its value [..., E] are added."""
    return State(state.s + column.unsqueeze(-1) * value.unsqueeze(-2), state.z + column)


def read(state: State, row: Tensor) -> Tensor:
    """The output [..., 1, E] of a query's features [..., 1, F]."""
    return quotient(torch.cat((row @ state.s, row @ state.z.unsqueeze(-1)), dim=-1))
