"""Fixed-window attention: the sequence is cut into blocks of W positions, and a row sees its own block, and summary positions of all blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from impl.patterns import Method, by_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """The row's own block of `window` positions, and the last `representatives` positions of every block."""

    window: int
    representatives: int

    def keys(self, row: int, count: int) -> Iterable[int]:
        begin = row // self.window * self.window
        ends = (end for last in range(self.window, count + self.window, self.window) for end in range(last - self.representatives, last))
        return {*range(begin, begin + self.window), *ends}


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    window: int,
    representatives: int = 0,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    *,
    method: Method = by_mask,
) -> Tensor:
    """softmax(scale · q_i·k_j + mask) over the keys j with ⌊j/W⌋ = ⌊i/W⌋, or j mod W ≥ W − c, summed with the values.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `window` is W; the last c = `representatives` positions of each block stand
    for it to all rows (none by default: blocks then never meet, however many calls follow each other). `attn_mask` broadcasts to [..., N, M]: boolean (True =
    may attend) or added to the scores, and hides beside the pattern; `is_causal` hides the keys after a row's own position; row i stands at position start +
    i, key j at j; `scale` defaults to 1/√D. A row that sees no key is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError
    unless 0 ≤ c ≤ W and W ≥ 1.
    Source: Child et al. 2019, section 4.3 (fixed pattern), https://arxiv.org/abs/1904.10509
    """
    if not 0 <= representatives <= window or window < 1:
        raise ValueError(f"window {window}, representatives {representatives}: expected a window from 1, and from 0 to {window} of its positions")
    return method(query, key, value, Fixed(window=window, representatives=representatives), attn_mask, is_causal, scale, start)
