"""Dilated attention: a row sees its own position and those at the distances 1, 2, 4, 8, … to both sides."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from impl.patterns import Method, by_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubling:
    """The row's own position, and those at distances that are powers of 2."""

    def keys(self, row: int, count: int) -> Iterable[int]:
        distances = [0, *(1 << power for power in range(max(row, count).bit_length()))]
        return {row + sign * distance for distance in distances for sign in (-1, 1)}


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    *,
    method: Method = by_mask,
) -> Tensor:
    """softmax(scale · q_i·k_j + mask) over the keys j with j = i or |j − i| = 2^l, l = 0, 1, …, summed with the values.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. A row has 2⌊log₂(M − 1)⌋ + 3 keys at most. The source's set lacks i itself
    (as_stated/dilated_without_itself.py). `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added to the scores, and hides beside the
    pattern; `is_causal` hides the keys after a row's own position; row i stands at position start + i, key j at j; `scale` defaults to 1/√D. A row that sees
    no key is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for a start below 0, as all patterns do.
    Source: course text "Day 15.2: Attention Mechanisms Deep Dive", Dilated Attention; Li et al. 2019, section 4.2 (LogSparse), https://arxiv.org/abs/1907.00235
    """
    return method(query, key, value, Doubling(), attn_mask, is_causal, scale, start)
