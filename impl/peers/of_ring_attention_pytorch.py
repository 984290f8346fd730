"""ring-attention-pytorch: default_attention, and ring_flash_attn in one process. Both take no mask but a key padding mask."""

from ring_attention_pytorch.ring_attention import default_attention
from ring_attention_pytorch.ring_flash_attention import ring_flash_attn
from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False, enable_gqa: bool = False) -> Tensor:
    """default_attention."""
    return default_attention(query, key, value, causal=is_causal)


def flash(query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False, enable_gqa: bool = False) -> Tensor:
    """ring_flash_attn at a small bucket size."""
    return ring_flash_attn(query, key, value, causal=is_causal, bucket_size=4)
