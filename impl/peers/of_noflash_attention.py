"""noflash-attention: the three chunked versions of SDPA that its patch chooses among, with small blocks."""

from noflash_attention.patch import chunked_sdpa, chunked_sdpa_inplace, chunked_sdpa_online
from torch import Tensor


def chunked(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """Tier 1."""
    return chunked_sdpa(query, key, value, scale, block_m=4, attn_mask=attn_mask, is_causal=is_causal)


def online(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """Tier 2."""
    return chunked_sdpa_online(query, key, value, scale, block_m=4, block_n=4, attn_mask=attn_mask, is_causal=is_causal)


def inplace(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """Tier 3."""
    return chunked_sdpa_inplace(query, key, value, scale, block_m=4, attn_mask=attn_mask, is_causal=is_causal)
