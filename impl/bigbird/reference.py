"""BigBird attention: a window, keys at random, and global tokens that all rows see and that see all keys."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impl.patterns import Global, Method, Union, Window, by_mask, random_keys


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int,
    indices: Tensor | tuple[int, int],
    global_tokens: Sequence[int] = (),
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    *,
    method: Method = by_mask,
) -> Tensor:
    """softmax(scale · q_i·k_j + mask) over the keys j with |j − i| ≤ w, j ∈ S_i or j ∈ G; over all keys where i ∈ G; summed with the values.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `window` is w, the keys on each side; `indices` [L, R] lists S_i, or is a
    pair (r, seed), as in random_keys; `global_tokens` the positions G. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added to the
    scores, and hides beside the pattern; `is_causal` hides the keys after a row's own position; row i stands at position start + i, key j at j; `scale`
    defaults to 1/√D. A row that sees no key is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for w < 0 or other
    indices. The source's blocks are positions here: a block is the window, the random set and the token of single positions.
    Source: Zaheer et al. 2020, section 2, https://arxiv.org/abs/2007.14062
    """
    if window < 0:
        raise ValueError(f"window {window}: expected a number of keys on each side from 0")
    pattern = Union(parts=(Window(left=window, right=window), random_keys(indices), Global(tokens=tuple(global_tokens))))
    return method(query, key, value, pattern, attn_mask, is_causal, scale, start)
