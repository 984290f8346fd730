"""Attention dropout over tiles of keys: the mask thins the numerator of the online softmax and leaves its denominator alone."""

from __future__ import annotations

import math

from torch import Tensor

from impl.dropout.reference import rescaling
from impl.masked import accumulation
from impl.softmax_one.blockwise import KEYS, Streamed


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kept: Tensor,
    dropout_p: float,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    *,
    keys: int = KEYS,
) -> Tensor:
    """As the reference, for equal leading axes; `keys` is a tile's length. No tensor has more than N · keys or (N + M) · (D + E) elements, masks apart."""
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    no_sink = q.new_full((*q.shape[:-1], 1), -math.inf)
    output: Tensor = Streamed.apply(q, k, v, attn_mask, no_sink, kept, rescaling(dropout_p), is_causal, scale, keys)  # type: ignore[no-untyped-call]
    return output.to(query.dtype)
