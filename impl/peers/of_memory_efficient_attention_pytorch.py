"""memory-efficient-attention-pytorch: attention, memory_efficient_attention and FlashAttentionFunction."""

from memory_efficient_attention_pytorch.flash_attention import FlashAttentionFunction
from memory_efficient_attention_pytorch.memory_efficient_attention import attention as regular
from memory_efficient_attention_pytorch.memory_efficient_attention import memory_efficient_attention
from torch import Tensor


def full(query: Tensor, key: Tensor, attn_mask: Tensor | None) -> Tensor | None:
    """A mask with all four axes: two axes would be read as batch and key."""
    return None if attn_mask is None else attn_mask.expand(*query.shape[:3], key.shape[2])


def attention(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
    """The package's regular attention; an additive mask is its attn_bias."""
    name = "attn_bias" if attn_mask is not None and attn_mask.is_floating_point() else "mask"
    return regular(query, key, value, causal=is_causal, **{name: full(query, key, attn_mask)})


def chunked(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
    """memory_efficient_attention at small bucket sizes; its mask is a key padding mask, so only attn_bias is used."""
    return memory_efficient_attention(query, key, value, causal=is_causal, attn_bias=full(query, key, attn_mask), q_bucket_size=4, k_bucket_size=4)


def flash(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
    """FlashAttentionFunction at small bucket sizes."""
    return FlashAttentionFunction.apply(query, key, value, full(query, key, attn_mask), is_causal, 4, 4)
