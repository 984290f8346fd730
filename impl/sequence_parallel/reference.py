"""Attention of a sequence that several ranks share, by its definition: softmax attention of the whole sequence. How it is shared changes nothing."""

from __future__ import annotations

import math

from torch import Tensor

from impl.masked import accumulation, softmax, visible

LAYOUTS = ("contiguous", "zigzag", "striped")  # which positions a rank holds: impl.sequence_parallel.shards


def attention(
    query: Tensor, key: Tensor, value: Tensor, world: int, is_causal: bool = False, scale: float | None = None, layout: str = "contiguous"
) -> Tensor:  # fmt: skip
    """softmax(scale · Q Kᵀ) V; `is_causal` lets row i see keys j ≤ i; a row that sees no key is zero.

    Shapes: query [B, H, N, D], key [B, H, M, D], value [B, H, M, E] → [B, H, N, E]. `scale` defaults to 1/√D. `world` is the number of ranks that would share
    the sequence, and `layout` says which positions each one would hold; neither acts on the result. float16 and bfloat16 are computed in float32 and rounded
    once. Raises ValueError for arguments that do not fit. Source: Liu, Zaharia and Abbeel 2023, section 3, https://arxiv.org/abs/2310.01889
    """
    check(query, key, value, world, layout)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    scores = q @ k.transpose(-2, -1) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)  # [B, H, N, M]
    return (softmax(scores, visible(scores, None, is_causal)) @ v).to(query.dtype)


def check(query: Tensor, key: Tensor, value: Tensor, world: int, layout: str) -> None:
    """Raise ValueError, quoting what does not fit."""
    shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if not (query.dim() == key.dim() == value.dim() == 4 and query.shape[:2] == key.shape[:2] == value.shape[:2]):
        raise ValueError(f"attention needs [B, H, N, D] tensors of the same sequences and heads: {shapes}")
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(f"query and key widths differ: {shapes}")
    if key.shape[-2] != value.shape[-2]:
        raise ValueError(f"key and value lengths differ: {shapes}")
    if world < 1:
        raise ValueError(f"world is the number of ranks, 1 or more, not {world}")
    if layout not in LAYOUTS:
        raise ValueError(f"layout {layout!r} is unknown; possible are {', '.join(LAYOUTS)}")
