"""Linear attention by its definition: a query weighs each key by φ(q) · φ(k), and the weights are divided by their sum."""

from __future__ import annotations

from torch import Tensor

from impl.kernelised import padding, quotient, with_ones
from impl.linear_attention.feature_maps import features
from impl.masked import accumulation, visible


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    feature_map: str = "elu+1",
    is_causal: bool = False,
    attn_mask: Tensor | None = None,
    *,
    epsilon: float = 1e-3,
    c: float = 1.0,
) -> Tensor:
    """Σ_j φ(q_i)·φ(k_j) v_j / Σ_j φ(q_i)·φ(k_j), by the N × M weights; `feature_map`, `epsilon` and `c` choose φ (see feature_maps).

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `attn_mask` [..., 1, M], boolean, shows keys (True) to all rows alike;
    `is_causal` lets row i see keys j ≤ i. The sum of the weights is above 0 where the feature map is; a row whose weights are all 0, as one that sees no
    key, is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for another mask, or an unknown feature map.
    Source: Katharopoulos, Vyas, Pappas and Fleuret 2020, equations 4, 8 and 9, https://arxiv.org/abs/2006.16236
    """
    dtype = accumulation(query.dtype)
    rows, columns = (features(x.to(dtype), feature_map, epsilon, c) for x in (query, key))  # [..., N, F], [..., M, F]
    weights = rows @ columns.transpose(-2, -1)  # [..., N, M]
    weights = weights.masked_fill(~visible(weights, padding(attn_mask), is_causal), 0.0)
    return quotient(weights @ with_ones(value.to(dtype))).to(query.dtype)
