"""fake-flash-attention: flash_attn_func of the module flash_attn that it puts in flash-attn's place."""

from flash_attn import flash_attn_func
from torch import Tensor


def attention(
    query: Tensor, key: Tensor, value: Tensor, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """flash_attn_func, which takes grouped queries from the shapes, as flash-attn does."""
    return flash_attn_func(query, key, value, dropout_p, scale, is_causal)
