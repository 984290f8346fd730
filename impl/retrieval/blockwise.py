"""Retrieval in blocks of the memory: each block's scores join the best ones so far, and only the places of these are kept."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.retrieval.reference import checked
from impl.scored import cut, scored, spans

BLOCK = 256


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
    *,
    block: int = BLOCK,
) -> Tensor:
    """As the reference; the search holds N · (k + block) scores and places at once, and the softmax N · k · (D + E) numbers of what was retrieved: none of
    N · R, forward or backward."""
    checked(top_k, memory_mask)
    dtype = accumulation(query.dtype)
    q, k, v, memory_k, memory_v = (x.to(dtype) for x in (query, key, value, memory_key, memory_value))
    top_k = min(top_k, memory_key.shape[-2])
    with torch.no_grad():
        places, shown = retrieved(q, memory_k, memory_mask, top_k, scale, block)  # [..., N, k]
    keys, values = (gathered(x, places) for x in (memory_k, memory_v))  # [..., N, k, D]
    local, seen = scored(q, k, None, is_causal, scale)
    remembered = scored(q.unsqueeze(-2), keys, None, False, scale)[0].squeeze(-2)  # [..., N, k]
    weights = softmax(torch.cat((local, remembered), dim=-1), torch.cat((seen, shown), dim=-1))
    near, far = weights[..., : k.shape[-2]], weights[..., k.shape[-2] :]
    return (near @ v + (far.unsqueeze(-2) @ values).squeeze(-2)).to(query.dtype)


def retrieved(q: Tensor, memory_key: Tensor, memory_mask: Tensor | None, top_k: int, scale: float | None, block: int) -> tuple[Tensor, Tensor]:
    """The places [..., N, k] of the highest scores among the entries shown, and whether there is one at all."""
    scores = q.new_zeros(*q.shape[:-1], 0)
    places, shown = scores.long(), scores.bool()
    for part in spans(memory_key.shape[-2], block):
        mask = None if memory_mask is None else cut(memory_mask, range(q.shape[-2]), part)
        found, there = scored(q, memory_key[..., part.start : part.stop, :], mask, False, scale)
        here = torch.arange(part.start, part.stop, device=q.device).expand(found.shape)
        scores, places, shown = (torch.cat(pair, dim=-1) for pair in ((scores, found), (places, here), (shown, there)))
        order = scores.masked_fill(~shown, -torch.inf).argsort(dim=-1, descending=True, stable=True)[..., :top_k]  # earlier ones first where they tie
        scores, places, shown = (x.gather(-1, order) for x in (scores, places, shown))
    return places, shown


def gathered(x: Tensor, places: Tensor) -> Tensor:
    """The entries [..., N, k, D] of [..., R, D] at places [..., N, k]."""
    flat = places.flatten(-2).unsqueeze(-1).expand(*places.shape[:-2], -1, x.shape[-1])
    return x.gather(-2, flat).reshape(*places.shape, x.shape[-1])
