"""onnx: the operator Attention of opset 24 in the ReferenceEvaluator."""

from functools import cache

import numpy as np
from onnx import helper
from onnx.reference import ReferenceEvaluator

OPSET = 24
Array = np.ndarray


@cache
def model(dtype: str, mask_dtype: str | None, is_causal: bool, scale: float | None) -> bytes:
    """A graph with the one node."""
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = [helper.make_tensor_value_info(name, kind, [None] * 4) for name in "QKV"]
    if mask_dtype is not None:
        inputs.append(helper.make_tensor_value_info("mask", helper.np_dtype_to_tensor_dtype(np.dtype(mask_dtype)), None))
    attributes = {"is_causal": int(is_causal)} | ({} if scale is None else {"scale": scale})
    node = helper.make_node("Attention", [i.name for i in inputs], ["Y"], **attributes)
    graph = helper.make_graph([node], "attention", inputs, [helper.make_tensor_value_info("Y", kind, [None] * 4)])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=11).SerializeToString()


def attention(
    query: Array, key: Array, value: Array, attn_mask: Array | None = None, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Array:
    """Four axes, so that the numbers of heads are read from the shapes."""
    feed = {"Q": query, "K": key, "V": value} | ({} if attn_mask is None else {"mask": attn_mask})
    evaluator = ReferenceEvaluator(model(query.dtype.name, attn_mask if attn_mask is None else attn_mask.dtype.name, is_causal, scale))
    return evaluator.run(None, feed)[0]
