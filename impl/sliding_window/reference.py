"""Sliding-window attention: a row sees the keys near its own position."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from impl.patterns import Method, Window, by_mask


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int | Sequence[int],
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    *,
    method: Method = by_mask,
) -> Tensor:
    """softmax(scale · q_i·k_j + mask) over the keys j with −left ≤ j − i ≤ right, summed with the values.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `window` is the pair (left, right), or a number W of keys, for the keys
    nearer than W: (W − 1, W − 1), which under causality are W keys, the row's own among them. `attn_mask` broadcasts to [..., N, M]: boolean (True = may
    attend) or added to the scores, and hides beside the pattern; `is_causal` hides the keys after a row's own position; row i stands at position start + i,
    key j at j; `scale` defaults to 1/√D. A row that sees no key is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for
    W < 1, or a width below 0.
    Source: Beltagy, Peters and Cohan 2020, section 3.1, https://arxiv.org/abs/2004.05150 (window/2 on each side); Mistral 7B, https://arxiv.org/abs/2310.06825
    """
    left, right = widths(window)
    return method(query, key, value, Window(left=left, right=right), attn_mask, is_causal, scale, start)


def widths(window: int | Sequence[int]) -> tuple[int, int]:
    """How many keys a row sees to its left and to its right. Raises ValueError for a number of keys below 1, or a width below 0."""
    left, right = (window - 1, window - 1) if isinstance(window, int) else window
    if min(left, right) < 0:
        raise ValueError(f"window {window!r}: expected a number of keys from 1, or a pair (left, right) of widths from 0")
    return left, right
