"""Random sparse attention: a row sees keys that were drawn at random, not by what they hold."""

from __future__ import annotations

from torch import Tensor

from impl.patterns import Method, by_mask, random_keys


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    indices: Tensor | tuple[int, int],
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    *,
    method: Method = by_mask,
) -> Tensor:
    """softmax(scale · q_i·k_j + mask) over the keys j ∈ S_i, summed with the values.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `indices` [L, R] lists S_i for each of L ≥ start + N positions, whole
    numbers, those that are no key (−1) naming none; or it is a pair (r, seed), which draws r different keys for each row. `attn_mask` broadcasts to [..., N,
    M]: boolean (True = may attend) or added to the scores, and hides beside the pattern; `is_causal` hides the keys after a row's own position; row i stands
    at position start + i, key j at j; `scale` defaults to 1/√D. A row that sees no key is zero. float16 and bfloat16 are computed in float32 and rounded
    once. Raises ValueError for other indices. The row's own key is in S_i by chance only.
    Source: Zaheer et al. 2020, section 2, https://arxiv.org/abs/2007.14062
    """
    return method(query, key, value, random_keys(indices), attn_mask, is_causal, scale, start)
