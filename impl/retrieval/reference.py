"""Retrieval-augmented attention by its definition: a query's best entries of an external memory join the local keys in one softmax."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.scored import scored


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    memory_key: Tensor,
    memory_value: Tensor,
    top_k: int,
    memory_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax over the scores of the local keys and of the `top_k` memory entries with the highest scores, of equal ones those with the lowest index.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E], memory_key [..., R, D], memory_value [..., R, E] → [..., N, E]. `memory_mask`, boolean,
    broadcasts to [..., N, R]: a row retrieves among the entries that it shows (True). `is_causal` lets row i see local keys j ≤ i. Each row has a choice of
    its own, which has no gradient. A row that sees nothing is zero; `scale` is 1/√D by default. float16 and bfloat16 are computed in float32 and rounded
    once. Raises ValueError for a `top_k` below 0 and another mask. Source: Tworkowski et al. 2023, section 3.1, https://arxiv.org/abs/2307.03170
    """
    checked(top_k, memory_mask)
    dtype = accumulation(query.dtype)
    q, k, v, memory_k, memory_v = (x.to(dtype) for x in (query, key, value, memory_key, memory_value))
    local, seen = scored(q, k, None, is_causal, scale)  # [..., N, M]
    remembered, shown = scored(q, memory_k, memory_mask, False, scale)  # [..., N, R]
    scores, kept = torch.cat((local, remembered), dim=-1), torch.cat((seen, best(remembered, shown, top_k)), dim=-1)
    return (softmax(scores, kept) @ torch.cat((v, memory_v), dim=-2)).to(query.dtype)


def best(scores: Tensor, shown: Tensor, top_k: int) -> Tensor:
    """Which of the entries [..., R] that are shown are among the `top_k` highest."""
    order = scores.masked_fill(~shown, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    return shown & torch.zeros_like(shown).scatter(-1, order[..., :top_k], True)


def checked(top_k: int, memory_mask: Tensor | None) -> None:
    """Raise ValueError for a number of entries below 0, or a mask that is not boolean."""
    if top_k < 0:
        raise ValueError(f"top_k = {top_k}: expected 0 (nothing is retrieved) or more")
    if memory_mask is not None and memory_mask.dtype != torch.bool:
        raise ValueError(f"memory_mask is {memory_mask.dtype}: expected torch.bool, True for an entry that may be retrieved")
