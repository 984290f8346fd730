"""Kernel regression as dot-product attention: the scores q·k/σ² need a bias of −‖k‖²/2σ² for each key, and ‖q‖² drops out of every row."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation, biased, softmax, visible


def attention(query: Tensor, key: Tensor, value: Tensor, bandwidth: float = 1.0, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
    """As the reference, without the [N, M, D] tensor of differences."""
    if not bandwidth > 0:
        raise ValueError(f"bandwidth {bandwidth!r}: must be above 0")
    dtype = accumulation(query.dtype)
    q, k = query.to(dtype), key.to(dtype)
    scores = biased((q @ k.mT - k.square().sum(-1).unsqueeze(-2) / 2) / bandwidth**2, attn_mask)  # [..., N, M]
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ value.to(dtype)).to(query.dtype)
