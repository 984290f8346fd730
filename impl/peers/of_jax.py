"""jax: jax.nn.dot_product_attention, implementation "xla"."""

import os
from functools import partial

os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # compiles faster

import jax

jax.config.update("jax_enable_x64", True)


@partial(jax.jit, static_argnames=("is_causal", "scale", "enable_gqa"))
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
