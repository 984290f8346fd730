"""Longformer attention: a window, with gaps or without, and global tokens that all rows see and that see all keys."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impl.patterns import Global, Method, Union, Window, by_mask


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int,
    dilation: int = 1,
    global_tokens: Sequence[int] = (),
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    *,
    method: Method = by_mask,
) -> Tensor:
    """softmax(scale · q_i·k_j + mask) over the keys j = i + d·t with |t| ≤ w, and j ∈ G; over all keys where i ∈ G; summed with the values.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `window` is w, the keys on each side; `dilation` d, the same gap between all
    of them (heads with another are another call); `global_tokens` the positions G. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or
    added to the scores, and hides beside the pattern; `is_causal` hides the keys after a row's own position; row i stands at position start + i, key j at j;
    `scale` defaults to 1/√D. A row that sees no key is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for w < 0 or d
    < 1. The source has projections of their own for global rows, which are the caller's.
    Source: Beltagy, Peters and Cohan 2020, section 3.1, https://arxiv.org/abs/2004.05150
    """
    if window < 0 or dilation < 1:
        raise ValueError(f"window {window}, dilation {dilation}: expected a number of keys on each side from 0, and a gap from 1")
    pattern = Union(parts=(Window(left=window, right=window, gap=dilation), Global(tokens=tuple(global_tokens))))
    return method(query, key, value, pattern, attn_mask, is_causal, scale, start)
