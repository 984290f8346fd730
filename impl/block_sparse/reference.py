"""Block-sparse attention: positions in blocks, and a matrix that says which block of queries sees which block of keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from impl.patterns import Method, by_mask


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """All keys of the blocks that are named for the row's block."""

    block: int
    named: tuple[tuple[int, ...], ...]

    def keys(self, row: int, count: int) -> Iterable[int]:
        blocks = self.named[row // self.block]
        return [key for number in blocks for key in range(number * self.block, (number + 1) * self.block)]


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    block: int,
    layout: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
    start: int = 0,
    *,
    method: Method = by_mask,
) -> Tensor:
    """softmax(scale · q_i·k_j + mask) over the keys j with layout[⌊i/b⌋, ⌊j/b⌋], summed with the values.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]. `block` is b, `layout` bool [⌈(start + N)/b⌉, ⌈M/b⌉] or larger; of local and
    global blocks: layout[r, c] = (r = c or c is global). `attn_mask` broadcasts to [..., N, M]: boolean (True = may attend) or added to the scores, and hides
    beside the pattern; `is_causal` hides the keys after a row's own position; row i stands at position start + i, key j at j; `scale` defaults to 1/√D. A row
    that sees no key is zero. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for a block below 1, or a layout that is too
    small or not boolean.
    Source: Dao et al. 2022, section 3.3, https://arxiv.org/abs/2205.14135; Child et al. 2019, section 5.5, https://arxiv.org/abs/1904.10509
    """
    checked(block, layout, start + query.shape[-2], key.shape[-2])
    named = tuple(tuple(row.nonzero().flatten().tolist()) for row in layout)
    return method(query, key, value, Blocks(block=block, named=named), attn_mask, is_causal, scale, start)


def checked(block: int, layout: Tensor, rows: int, count: int) -> None:
    """Raise ValueError unless the layout says of each block of `rows` positions whether it sees each block of `count` keys."""
    if block < 1:
        raise ValueError(f"block {block}: expected a number from 1")
    least = -(-rows // block), -(-count // block)
    if layout.dtype != torch.bool or layout.dim() != 2 or layout.shape[0] < least[0] or layout.shape[1] < least[1]:
        raise ValueError(f"layout {layout.dtype} {tuple(layout.shape)}: expected torch.bool {least} or larger, for blocks of {block}")
