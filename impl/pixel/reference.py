"""Self-attention among the pixels of an image by its definition (non-local means with learned similarities)."""

from __future__ import annotations

from torch import Tensor

from impl.layers import weighed
from impl.masked import accumulation


def attention(x: Tensor, query_weight: Tensor, key_weight: Tensor, value_weight: Tensor, scale: float = 1.0) -> Tensor:
    """y_i = Σ_j softmax_j(scale · θ(x_i)·φ(x_j)) g(x_j) over all pixels i and j.

    Shapes: x [B, C, H, W], query_weight θ and key_weight φ [C, D], value_weight g [C, E] → [B, E, H, W]. The scores are unscaled by default, as in the
    source. No residual is added. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError where the weights do not fit.
    Source: Wang, Girshick, Gupta and He 2018, section 3, equation 1, embedded Gaussian, https://arxiv.org/abs/1711.07971
    """
    check(x, query_weight, key_weight, value_weight)
    dtype = accumulation(x.dtype)
    pixels = x.to(dtype).flatten(2).mT  # [B, H·W, C]
    y = weighed(*(pixels @ w.to(dtype) for w in (query_weight, key_weight, value_weight)), scale=scale)
    return y.mT.reshape(x.shape[0], -1, *x.shape[-2:]).to(x.dtype)


def check(x: Tensor, *weights: Tensor) -> None:
    """Raise ValueError unless every weight takes the image's channels, and queries and keys are equally wide."""
    widths = [w.shape[0] for w in weights]
    if widths != [x.shape[1]] * 3 or weights[0].shape[1] != weights[1].shape[1]:
        shapes = [tuple(w.shape) for w in weights]
        raise ValueError(f"an image of {x.shape[1]} channels and weights of shapes {shapes}: expected [{x.shape[1]}, D] twice and [{x.shape[1]}, E]")
