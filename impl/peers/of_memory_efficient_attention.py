"""memory-efficient-attention: efficient_dot_product_attention_pt and _jax."""

import os

os.environ["XLA_FLAGS"] = "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"  # compiles faster

import jax
from memory_efficient_attention import efficient_dot_product_attention_jax, efficient_dot_product_attention_pt
from torch import Tensor

jax.config.update("jax_enable_x64", True)


def of_torch(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """The PyTorch version at its default chunk sizes; a boolean mask is its `mask`, an additive one its `bias`."""
    name = "bias" if attn_mask is not None and attn_mask.is_floating_point() else "mask"
    return efficient_dot_product_attention_pt(query, key, value, **{name: attn_mask})


def of_torch_in_chunks(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """The PyTorch version, two queries and two keys at a time."""
    name = "bias" if attn_mask is not None and attn_mask.is_floating_point() else "mask"
    return efficient_dot_product_attention_pt(query, key, value, query_chunk_size=2, key_chunk_size=2, **{name: attn_mask})


@jax.jit
def of_jax(query: jax.Array, key: jax.Array, value: jax.Array, attn_mask: jax.Array | None = None) -> jax.Array:
    """The JAX version at its default chunk sizes."""
    name = "mask" if attn_mask is not None and attn_mask.dtype == bool else "bias"
    return efficient_dot_product_attention_jax(query, key, value, **{name: attn_mask})
