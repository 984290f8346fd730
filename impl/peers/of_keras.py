"""keras: ops.dot_product_attention on its torch backend."""

import os

os.environ["KERAS_BACKEND"] = "torch"

from keras import ops
from torch import Tensor


def attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """A boolean mask is its `mask`, an additive one its `bias`."""
    name = "bias" if attn_mask is not None and attn_mask.is_floating_point() else "mask"
    return ops.dot_product_attention(query, key, value, scale=scale, is_causal=is_causal, **{name: attn_mask})
