"""Strided attention: a row sees every k-th position, counted from its own."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from impl.patterns import Method, by_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Strided:
    """The positions that differ from the row's by a multiple of `stride`."""

    stride: int

    def keys(self, row: int, count: int) -> Iterable[int]:
        return range(row % self.stride, count, self.stride)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    stride: int,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    *,
    method: Method = by_mask,
) -> Tensor:
    """softmax(scale · q_i·k_j + mask) over the keys j with j mod k = i mod k, summed with the values.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `stride` is k. Positions that differ modulo k never meet, however many calls
    follow each other. `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added to the scores, and hides beside the pattern; `is_causal`
    hides the keys after a row's own position; row i stands at position start + i, key j at j; `scale` defaults to 1/√D. A row that sees no key is zero.
    float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for a stride below 1.
    Source: course text "Day 15.2: Attention Mechanisms Deep Dive", Strided Sparse Attention; Child et al. 2019, section 4.3, https://arxiv.org/abs/1904.10509
    """
    if stride < 1:
        raise ValueError(f"stride {stride}: expected a number from 1")
    return method(query, key, value, Strided(stride=stride), attn_mask, is_causal, scale, start)
