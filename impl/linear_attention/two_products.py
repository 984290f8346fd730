"""Linear attention without causality: φ(K)ᵀ V first, then φ(Q) times that."""

from __future__ import annotations

from torch import Tensor

from impl.kernelised import quotient, shown, with_ones
from impl.linear_attention.feature_maps import features
from impl.masked import accumulation


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
) -> Tensor:
    """As the reference, with 2 (N + M) F (E + 1) operations a head and no more than (N + M) F + F (E + 1) numbers beside the inputs.

    Raises ValueError for `is_causal`: the sums over keys are shared by all rows here.
    """
    if is_causal:
        raise ValueError("is_causal: a product over all keys serves all rows; use chunked or recurrent")
    dtype = accumulation(query.dtype)
    rows, columns = (features(x.to(dtype), feature_map, epsilon, c) for x in (query, key))
    state = shown(columns, attn_mask).transpose(-2, -1) @ with_ones(value.to(dtype))  # [..., F, E + 1]
    return quotient(rows @ state).to(query.dtype)
