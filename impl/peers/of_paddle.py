"""paddle: nn.functional.scaled_dot_product_attention on the CPU."""

import numpy as np
import paddle

paddle.set_device("cpu")


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    attn_mask: np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> np.ndarray:
    """Grouped queries are its default, so enable_gqa is left alone."""
    tensors = [None if t is None else paddle.to_tensor(t) for t in (query, key, value, attn_mask)]
    return paddle.nn.functional.scaled_dot_product_attention(*tensors, is_causal=is_causal, scale=scale).numpy()
