"""flash-attention-softmax-n at n = 0, where softmax_n is the softmax: slow_attention_n and flash_attention_n."""

from flash_attention_softmax_n import flash_attention_n, slow_attention_n
from torch import Tensor


def slow(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None
) -> Tensor:
    """slow_attention_n."""
    return slow_attention_n(query, key, value, attn_mask, dropout_p, is_causal, scale, softmax_n_param=0.0)


def slow_unmasked(query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False, scale: float | None = None) -> Tensor:
    """slow_attention_n, never given a mask."""
    return slow_attention_n(query, key, value, None, 0.0, is_causal, scale, softmax_n_param=0.0)


def flash(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, is_causal: bool = False, scale: float | None = None
) -> Tensor:
    """flash_attention_n; a boolean mask is its attn_mask, an additive one its attn_bias, both with four axes."""
    full = None if attn_mask is None else attn_mask.expand(*query.shape[:3], key.shape[2])
    name = "attn_bias" if full is not None and full.is_floating_point() else "attn_mask"
    return flash_attention_n(query, key, value, 0, scale, dropout_p, is_causal=is_causal, **{name: full})
