"""Cross-modal attention both ways without a tensor of N × M scores: an online softmax for each direction."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.cross_modal.reference import check
from impl.layers import check_boolean
from impl.scaled_dot_product.blockwise import attention as in_tiles


def attention(
    text_query: Tensor,
    text_key: Tensor,
    text_value: Tensor,
    vision_query: Tensor,
    vision_key: Tensor,
    vision_value: Tensor,
    text_mask: Tensor | None = None,
    vision_mask: Tensor | None = None,
    scale: float | None = None,
    *,
    block: int | None = None,
) -> Tensor:
    """As the reference; scores exist in tiles of `block` × `block`, so that memory is O((N + M) · E) numbers beside a tile."""
    check(text_query, text_key, text_value, vision_query, vision_key, vision_value)
    check_boolean(text_mask=text_mask, vision_mask=vision_mask)
    into_text = in_tiles(text_query, vision_key, vision_value, vision_mask, scale=scale, block=block)
    into_vision = in_tiles(vision_query, text_key, text_value, text_mask, scale=scale, block=block)
    return torch.cat((into_text, into_vision), dim=-2)
