"""Kernel regression by its definition: the weights are Gaussian kernels of the distance between query and key."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(query: Tensor, key: Tensor, value: Tensor, bandwidth: float = 1.0, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
    """Σ_j K(q_i − k_j) v_j / Σ_j K(q_i − k_j) with K(x) = exp(−‖x‖² / 2σ²); a row that sees no key is zero.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]; `bandwidth` σ > 0 in units of the queries. `attn_mask` broadcasts to
    [..., N, M]: boolean (True = may attend) or added to the exponents; `is_causal` lets row i see keys j ≤ i. float16 and bfloat16 are computed in
    float32 and rounded once. Raises ValueError for a bandwidth that is not above 0. Source: Nadaraya 1964, https://doi.org/10.1137/1109020
    """
    if not bandwidth > 0:
        raise ValueError(f"bandwidth {bandwidth!r}: must be above 0")
    dtype = accumulation(query.dtype)
    distances = (query.to(dtype).unsqueeze(-2) - key.to(dtype).unsqueeze(-3)).square().sum(-1)  # [..., N, M]
    scores = biased(-distances / (2 * bandwidth**2), attn_mask)
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)
