"""Linear attention with exponential decay, token by token: S_t = λ S_{t−1} + φ(k_t) (v_t, 1)ᵀ, whose last column is the normaliser's."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.decayed.reference import check
from impl.kernelised import quotient, with_ones
from impl.linear_attention.feature_maps import features
from impl.masked import accumulation
from impl.streamed import spans


def attention(query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], decay: Tensor) -> Tensor:
    """As the reference: D · (E + 1) numbers a head are kept, and a token costs 3 D (E + 1) multiplications, whatever the sequence's length."""
    check(query, key, value, parts, decay)
    dtype = accumulation(query.dtype)
    rows, columns = (features(x.to(dtype), "elu+1", 0.0, 0.0) for x in (query, key))
    value, decay = with_ones(value.to(dtype)), decay.to(dtype)
    state = value.new_zeros(*key.shape[:2], key.shape[3], value.shape[3])
    outputs = [value.new_zeros(*query.shape[:2], 0, value.shape[3] - 1)]
    for part in spans(parts, query.shape[2]):
        here = slice(part.start, part.stop)
        output, state = forward(rows[:, :, here], columns[:, :, here], value[:, :, here], decay, state)
        outputs.append(output)
    return torch.cat(outputs, dim=2).to(query.dtype)


def forward(rows: Tensor, columns: Tensor, value: Tensor, decay: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """The outputs [B, H, n, E] of one part, and the state [B, H, D, E + 1] after it."""
    outputs = [value.new_zeros(*rows.shape[:2], 0, value.shape[3] - 1)]
    for t in range(rows.shape[2]):
        state = decay[:, None, None] * state + columns[:, :, t, :, None] * value[:, :, t, None, :]
        outputs.append(quotient(rows[:, :, t : t + 1] @ state))
    return torch.cat(outputs, dim=2), state
