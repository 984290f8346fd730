"""transformers: the eager attention of llama (models.llama.modeling_llama) and integrations.sdpa_attention."""

from types import SimpleNamespace

from torch import Tensor
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.models.llama.modeling_llama import eager_attention_forward


def module(query: Tensor, key: Tensor, is_causal: bool = False) -> SimpleNamespace:
    """What both functions read off the attention module."""
    return SimpleNamespace(num_key_value_groups=query.shape[1] // key.shape[1], training=True, is_causal=is_causal)


def eager(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """eager_attention_forward; llama's own scaling is head_dim ** -0.5."""
    scaling = query.shape[-1] ** -0.5 if scale is None else scale
    return eager_attention_forward(module(query, key), query, key, value, attn_mask, scaling, dropout_p)[0]


def sdpa(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, scale: float | None = None, enable_gqa: bool = False
) -> Tensor:
    """sdpa_attention_forward with a prepared mask, which has four axes, or none."""
    full = attn_mask[None, None] if attn_mask is not None and attn_mask.dim() == 2 else attn_mask
    return sdpa_attention_forward(module(query, key), query, key, value, full, dropout_p, scale)[0]


def sdpa_causal(query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False) -> Tensor:
    """sdpa_attention_forward of a decoder, which is causal on its own."""
    return sdpa_attention_forward(module(query, key, is_causal), query, key, value, None, scaling=scale)[0]
