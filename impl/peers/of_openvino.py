"""openvino: opset13's ScaledDotProductAttention, compiled for the CPU with its inference precision set to float32.

Left alone, the plugin computes in bfloat16 on processors that have it, whatever the inputs' dtype, as its documentation says.
"""

from functools import lru_cache

import numpy as np
import openvino
from openvino import opset13

Array = np.ndarray


@lru_cache(maxsize=3)  # each model keeps what it made for every shape
def compiled(axes: int, dtype: str, mask: tuple[str, int] | None, is_causal: bool, scale: float | None) -> openvino.CompiledModel:
    """A model of the one operation, of dynamic shapes."""
    inputs = [opset13.parameter([-1] * axes, np.dtype(dtype)) for _ in range(3)]
    if mask is not None:
        inputs.append(opset13.parameter([-1] * mask[1], np.dtype(mask[0])))
    factor = None if scale is None else opset13.constant(np.array(scale, dtype))
    if mask is None and factor is not None:
        node = opset13.scaled_dot_product_attention(*inputs, opset13.constant(np.zeros((), dtype)), factor, causal=is_causal)
    else:
        node = opset13.scaled_dot_product_attention(*inputs, **({} if factor is None else {"scale": factor}), causal=is_causal)
    return openvino.Core().compile_model(openvino.Model([node], inputs, "attention"), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def attention(query: Array, key: Array, value: Array, attn_mask: Array | None = None, is_causal: bool = False, scale: float | None = None) -> Array:
    """The specification's "no mask" beside a scale is the scalar 0."""
    feed = [query, key, value] + ([] if attn_mask is None else [attn_mask])
    mask = None if attn_mask is None else (attn_mask.dtype.name, attn_mask.ndim)
    return compiled(query.ndim, query.dtype.name, mask, is_causal, scale)(feed)[0]
