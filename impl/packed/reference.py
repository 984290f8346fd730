"""Packed sequences by their definition: one attention over the whole pack, in which each row sees the keys of its own sequence alone."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.packed.lengths import Lengths, spans
from impl.scored import scored


def attention(query: Tensor, key: Tensor, value: Tensor, lengths_q: Lengths, lengths_k: Lengths, is_causal: bool = False, scale: float | None = None) -> Tensor:
    """softmax(scale · Q Kᵀ) V under a block-diagonal mask; `is_causal` lets row i of a sequence see its keys j ≤ i.

    Shapes: query [..., T, D], key [..., S, D], value [..., S, E] → [..., T, E]; sequence b has `lengths_q[b]` rows and `lengths_k[b]` keys, the same for all
    leading axes. Slots behind the last sequence are padding: whatever stands there, NaN too, acts on nothing, and their rows are zero, as those of a
    sequence without keys. `scale` is 1/√D by default. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for lengths that do
    not fit. Source: Krell, Kosec, Perez and Fitzgibbon 2021, https://arxiv.org/abs/2107.02027
    """
    seen = torch.zeros(query.shape[-2], key.shape[-2], dtype=torch.bool, device=query.device)
    for rows, columns in spans(lengths_q, lengths_k, query, key):
        block = torch.ones_like(seen[rows, columns])
        seen[rows, columns] = block.tril() if is_causal else block
    dtype = accumulation(query.dtype)
    ends = [sum(int(length) for length in lengths) for lengths in (lengths_q, lengths_k, lengths_k)]
    q, k, v = (cleared(x, end).to(dtype) for x, end in zip((query, key, value), ends, strict=True))
    scores, _ = scored(q, k, None, False, scale)  # [..., T, S]
    return (softmax(scores, seen.expand(scores.shape)) @ v).to(query.dtype)


def cleared(x: Tensor, end: int) -> Tensor:
    """[..., T, D] with zeros from slot `end` on: 0 · NaN would be NaN."""
    return x.masked_fill((torch.arange(x.shape[-2], device=x.device) >= end).unsqueeze(-1), 0.0)
