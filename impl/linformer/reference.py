"""Linformer attention by its definition: softmax attention over K learned mixtures of the M keys, and as many of the values."""

from __future__ import annotations

import math

from torch import Tensor

from impl.masked import accumulation


def attention(query: Tensor, key: Tensor, value: Tensor, key_projection: Tensor, value_projection: Tensor, scale: float | None = None) -> Tensor:
    """softmax(scale · Q (E K)ᵀ) F V.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, V], key_projection E and value_projection F [..., K, M] → [..., N, V]. `scale` is 1/√D by
    default. Row i depends on every key and value, whatever its place, so there is neither mask nor causality. float16 and bfloat16 are computed in float32
    and rounded once. Source: Wang et al. 2020, equation 7, https://arxiv.org/abs/2006.04768
    """
    dtype = accumulation(query.dtype)
    q, k, v, of_keys, of_values = (x.to(dtype) for x in (query, key, value, key_projection, value_projection))
    weights = (q @ (of_keys @ k).mT * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)).softmax(-1)  # [..., N, K]
    return (weights @ (of_values @ v)).to(query.dtype)
