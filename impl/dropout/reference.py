"""Attention dropout by its definition, with the mask in the caller's hand: weights are dropped after they are normalised, and the kept ones scaled up."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation, softmax
from impl.scored import scored


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    kept: Tensor,
    dropout_p: float,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """Σ_j p_ij kept_ij v_j / (1 − dropout_p) with p = softmax(scale · Q Kᵀ + mask) over the keys that a row sees; zero where dropout_p is 1.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E], kept bool (True = keep), which broadcasts to [..., N, M] → [..., N, E]. The mean over masks
    that keep each weight with probability 1 − dropout_p is attention without dropout; the weights that meet the values do not sum to 1. `attn_mask`
    broadcasts to [..., N, M]: boolean (True = may attend) or added to the scores; `is_causal` lets row i see keys j ≤ i; `scale` defaults to 1/√D; a row that
    sees no key is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError unless 0 ≤ dropout_p ≤ 1.
    Sources: Srivastava et al. 2014, §10, https://jmlr.org/papers/v15/srivastava14a.html; on the weights of attention, as in torch:
    https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.scaled_dot_product_attention.html
    """
    times = rescaling(dropout_p)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    weights = softmax(*scored(q, k, attn_mask, is_causal, scale))  # [..., N, M]
    return ((weights * times).masked_fill(~kept, 0.0) @ v).to(query.dtype)


def rescaling(dropout_p: float) -> float:
    """1 / (1 − dropout_p), and 0 where nothing is kept."""
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"dropout_p is a probability, got {dropout_p}")
    return 1 / (1 - dropout_p) if dropout_p < 1 else 0.0
