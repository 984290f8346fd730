"""Attention by random features in linear time: a state of m · (E + 1) numbers, kept at a power of e that is common to all its keys and features.

A stabiliser for each key would change the keys' relative weights, and one for all heads or sequences would let the loudest drive the others to 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impl.kernelised import padding, quotient, with_ones
from impl.masked import accumulation
from impl.random_features.logarithms import features, finite, scaled
from impl.random_features.reference import estimates

CHUNK = 64
Features = tuple[Tensor, Tensor]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    projection: Tensor,
    is_causal: bool = False,
    attn_mask: Tensor | None = None,
    scale: float | None = None,
    phase: Tensor | None = None,
    *,
    chunk: int = CHUNK,
) -> Tensor:
    """As the reference. Not causal: 2 (N + M) m (D + E + 1) operations a head. Causal: chunks of rows, by the state for the keys before them and pair by pair
    within, N · (m (4 E + 4 + 3 chunk) + 2 chunk (E + 1)) operations beside the features, chunk² · m exponents at once; a row's bits depend on no later key."""
    dtype = accumulation(query.dtype)
    w, b = projection.to(dtype), None if phase is None else phase.to(dtype)
    (q, rows), (k, columns) = (features(scaled(x.to(dtype), scale), w, b) for x in (query, key))
    mask, v = padding(attn_mask), with_ones(value.to(dtype))
    if mask is not None:
        k = k.masked_fill(~mask.mT, -torch.inf)  # [..., M, m]
    state = v.new_zeros(*key.shape[:-2], w.shape[0], v.shape[-1]), v.new_full((*key.shape[:-2], 1, 1), -torch.inf)
    if not is_causal:
        return quotient(read(written(state, (k, columns), v), (q, rows))[0]).to(query.dtype)
    outputs = []
    for start, exponents, factors in zip(range(0, q.shape[-2] or 1, chunk), q.split(chunk, -2), rows.split(chunk, -2), strict=True):
        keys = slice(start, start + chunk)
        here = k[..., keys, :], columns[..., keys, :]
        outputs.append(quotient(merged(read(state, (exponents, factors)), within((exponents, factors), here, v[..., keys, :]))))
        state = written(state, here, v[..., keys, :])
    return torch.cat(outputs, dim=-2).to(query.dtype)


def written(state: Features, columns: Features, value: Tensor) -> Features:
    """The state Σ_j φ(k_j) v_jᵀ e^(−t) [..., m, E + 1], and t [..., 1, 1], the largest exponent so far of any key and feature, with these keys added."""
    sums, old = state
    exponents, factors = columns
    top = torch.cat((exponents.detach().flatten(-2), old.flatten(-2)), -1).amax(-1)[..., None, None]
    raised = torch.exp(exponents - finite(top)) * factors
    return sums * torch.exp(old - finite(top)) + raised.mT @ value, top


def read(state: Features, rows: Features) -> Features:
    """Σ_j κ_ij (v_j, 1) e^(−s) [..., N, E + 1] over the keys of the state, and s [..., N, 1]."""
    sums, top = state
    exponents, factors = rows
    own = exponents.detach().amax(-1, keepdim=True)
    return (torch.exp(exponents - own) * factors) @ sums, own + top


def within(rows: Features, columns: Features, value: Tensor) -> Features:
    """The same over the keys of the chunk that a row sees."""
    weights, top = estimates(rows, columns, None, is_causal=True)
    return weights @ value, top


def merged(one: Features, other: Features) -> Tensor:
    """The sum of both, times a power of e that is a row's own."""
    top = finite(torch.maximum(one[1], other[1]))
    return one[0] * torch.exp(one[1] - top) + other[0] * torch.exp(other[1] - top)
