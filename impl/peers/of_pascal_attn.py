"""pascal-attn: tiled_attention."""

from pascal_attn import tiled_attention
from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, scale: float | None = None, enable_gqa: bool = False) -> Tensor:
    """tiled_attention at its default tile size of 64."""
    return tiled_attention(query, key, value, scale, attn_mask)


def small_tiles(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, scale: float | None = None, enable_gqa: bool = False) -> Tensor:
    """tiled_attention with tiles of 4."""
    return tiled_attention(query, key, value, scale, attn_mask, tile_size=4)
