"""Linear attention with exponential decay in chunks: quadratic within a chunk, by the decayed state for all tokens before it."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.decayed.reference import check, faded
from impl.kernelised import quotient, with_ones
from impl.linear_attention.feature_maps import features
from impl.masked import accumulation
from impl.streamed import spans

CHUNK = 64


def attention(query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], decay: Tensor, *, chunk: int = CHUNK) -> Tensor:
    """As the reference, in 2 N (2 D (E + 1) + chunk (D + E + 1)) operations a head at most; a part starts a chunk of its own."""
    check(query, key, value, parts, decay)
    dtype = accumulation(query.dtype)
    rows, columns = (features(x.to(dtype), "elu+1", 0.0, 0.0) for x in (query, key))
    value, decay = with_ones(value.to(dtype)), decay.to(dtype)
    state = value.new_zeros(*key.shape[:2], key.shape[3], value.shape[3])
    outputs = [value.new_zeros(*query.shape[:2], 0, value.shape[3] - 1)]
    for part in spans(parts, query.shape[2]):
        for start in range(part.start, part.stop, chunk):
            here = slice(start, min(start + chunk, part.stop))
            output, state = forward(rows[:, :, here], columns[:, :, here], value[:, :, here], decay, state)
            outputs.append(output)
    return torch.cat(outputs, dim=2).to(query.dtype)


def forward(rows: Tensor, columns: Tensor, value: Tensor, decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs [B, H, c, E] of one chunk, and the state [B, H, D, E + 1] after it. Row i reads the state λ^(i+1) old, token j is λ^(c−1−j) old after it."""
    within = faded(decay, rows.shape[2])  # [H, c, c]
    age = within[:, :, 0]  # λ^i, [H, c]
    sums = (rows @ columns.transpose(-2, -1) * within) @ value + (age * decay[:, None]).unsqueeze(-1) * (rows @ state)
    state = (age[:, -1] * decay)[:, None, None] * state + (columns * age.flip(-1).unsqueeze(-1)).transpose(-2, -1) @ value
    return quotient(sums), state
