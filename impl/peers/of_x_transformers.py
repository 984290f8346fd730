"""x-transformers: attend.Attend, without and with flash."""

from torch import Tensor
from x_transformers.attend import Attend


def run(flash: bool, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None, dropout_p: float, is_causal: bool, scale: float | None) -> Tensor:
    """A boolean mask is Attend's `mask`, an additive one its `attn_bias`; both are wanted with four axes."""
    full = None if attn_mask is None else attn_mask.expand(*query.shape[:3], key.shape[2])
    name = "attn_bias" if full is not None and full.is_floating_point() else "mask"
    return Attend(flash=flash, causal=is_causal, dropout=dropout_p, scale=scale)(query, key, value, **{name: full})[0]


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
    """Attend()."""
    return run(False, query, key, value, attn_mask, dropout_p, is_causal, scale)


def flash(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Attend(flash=True)."""
    return run(True, query, key, value, attn_mask, dropout_p, is_causal, scale)


def flash_causal_at_call(query: Tensor, key: Tensor, value: Tensor, is_causal: bool = False) -> Tensor:
    """Attend(flash=True), told to be causal by the `causal` of its forward."""
    return Attend(flash=True)(query, key, value, causal=is_causal)[0]
