"""equinox: the dot_product_attention inside nn.MultiheadAttention, which attends for one head of one sequence; mapped over both."""

import os

os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # compiles faster

import jax
import jax.numpy as jnp
from equinox.nn._attention import dot_product_attention

jax.config.update("jax_enable_x64", True)


@jax.jit
def attention(query: jax.Array, key: jax.Array, value: jax.Array, attn_mask: jax.Array | None = None) -> jax.Array:
    """The mask must be boolean with just the axes of queries and keys."""
    if attn_mask is None:
        return jax.vmap(jax.vmap(dot_product_attention))(query, key, value)
    full = jnp.broadcast_to(attn_mask, (*query.shape[:3], key.shape[2]))
    return jax.vmap(jax.vmap(dot_product_attention))(query, key, value, full)
