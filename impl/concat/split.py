"""Concat attention as additive attention: W [q; k] = W_q q + W_k k, so that each side is projected once and not once a pair."""

from __future__ import annotations

from torch import Tensor

from impl.additive import reference as additive


def attention(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor, energy_weight: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False
) -> Tensor:
    """As the reference, with (N + M) · A projections in place of N · M · A."""
    of_query, of_key = weight.split([query.shape[-1], key.shape[-1]])
    return additive.attention(query, key, value, of_query, of_key, energy_weight, attn_mask=attn_mask, is_causal=is_causal)
