"""jax: jax.nn.dot_product_attention, implementation "xla"."""

import jax

jax.config.update("jax_enable_x64", True)


def attention(
    query: jax.Array,
    key: jax.Array,
    value: jax.Array,
    attn_mask: jax.Array | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> jax.Array:
    """A boolean mask is its `mask`, an additive one its `bias`."""
    name = "mask" if attn_mask is not None and attn_mask.dtype == bool else "bias"
    return jax.nn.dot_product_attention(query, key, value, is_causal=is_causal, scale=scale, implementation="xla", **{name: attn_mask})
