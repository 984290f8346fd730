"""flax: dot_product_attention of linen and of nnx."""

import os
from functools import partial

os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # compiles faster

import jax
from flax import linen, nnx

jax.config.update("jax_enable_x64", True)


@jax.jit
def attention(query: jax.Array, key: jax.Array, value: jax.Array, attn_mask: jax.Array | None = None) -> jax.Array:
    """linen.dot_product_attention; a boolean mask is its `mask`, an additive one its `bias`."""
    name = "mask" if attn_mask is not None and attn_mask.dtype == bool else "bias"
    return linen.dot_product_attention(query, key, value, **{name: attn_mask})


@partial(jax.jit, static_argnames=("is_causal", "enable_gqa"))
def of_nnx(
    query: jax.Array, key: jax.Array, value: jax.Array, attn_mask: jax.Array | None = None, is_causal: bool = False, enable_gqa: bool = False
) -> jax.Array:
    """nnx.dot_product_attention."""
    name = "mask" if attn_mask is not None and attn_mask.dtype == bool else "bias"
    return nnx.dot_product_attention(query, key, value, is_causal=is_causal, **{name: attn_mask})
