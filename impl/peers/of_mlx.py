"""mlx: fast.scaled_dot_product_attention on the CPU, which takes a mask or "causal", and always a scale."""

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    attn_mask: np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> np.ndarray:
    """The scale left out is the one that mlx calls typical."""
    if attn_mask is not None and is_causal:
        raise ValueError("mlx takes a mask or the word causal")
    query, key, value = (mx.array(t, getattr(mx, t.dtype.name)) for t in (query, key, value))
    mask = "causal" if is_causal else None
    if attn_mask is not None:
        mask = mx.array(attn_mask, mx.bool_ if attn_mask.dtype == bool else query.dtype)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    return np.array(mx.fast.scaled_dot_product_attention(query, key, value, scale=factor, mask=mask))
