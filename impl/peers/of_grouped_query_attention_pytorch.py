"""grouped-query-attention-pytorch: scaled_dot_product_gqa, whose scale divides the query."""

from grouped_query_attention_pytorch.attention import scaled_dot_product_gqa
from torch import Tensor


def divisor(scale: float | None) -> float | None:
    """SDPA's factor as the package's divisor."""
    return None if scale is None else 1 / scale if scale else float("inf")


def attention(
    query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """Without a mask."""
    return scaled_dot_product_gqa(query, key, value, dropout_p, divisor(scale), is_causal=is_causal or None)[0]


def masked(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """With a mask of (batch, queries, keys), or of four axes where it differs by head."""
    if attn_mask is not None and (attn_mask.dim() == 2 or attn_mask.shape[1] == 1):
        attn_mask = attn_mask.expand(query.shape[0], 1, query.shape[1], key.shape[1])[:, 0]
    return scaled_dot_product_gqa(query, key, value, 0.0, divisor(scale), attn_mask, is_causal or None)[0]
