"""onnxruntime: the operator Attention of opset 24 on the CPU provider."""

from functools import cache

import numpy as np
import onnxruntime
from onnx import helper

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


@cache
def session(*case: object) -> onnxruntime.InferenceSession:
    """One a kind of call."""
    return onnxruntime.InferenceSession(model(*case), providers=["CPUExecutionProvider"])


def attention(
    query: Array, key: Array, value: Array, attn_mask: Array | None = None, is_causal: bool = False, scale: float | None = None, enable_gqa: bool = False
) -> Array:
    """The mask is expanded to four axes, which the kernel wants."""
    feed, kind = {"Q": query, "K": key, "V": value}, None
    if attn_mask is not None:
        feed["mask"] = np.ascontiguousarray(np.broadcast_to(attn_mask, (*query.shape[:3], key.shape[2])))
        kind = attn_mask.dtype.name
    return session(query.dtype.name, kind, is_causal, scale).run(None, feed)[0]
