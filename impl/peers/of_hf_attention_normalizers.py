"""hf-attention-normalizers: backends.scaled_dot_product_attention with its baseline normaliser "softmax". Importing it needs triton."""

from hf_attention_normalizers.backends import resolve_softmax_fn, scaled_dot_product_attention
from torch import Tensor


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """The custom SDPA-like path."""
    return scaled_dot_product_attention(query, key, value, resolve_softmax_fn("softmax"), attn_mask, dropout_p, is_causal, scale, enable_gqa)
