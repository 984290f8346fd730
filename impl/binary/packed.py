"""Binary attention over packed bits: eight signs a byte, and σ(q) · σ(k) = D − 2 · (bits that differ)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.binary.reference import size
from impl.masked import accumulation, biased, softmax, visible

ONES = torch.tensor([byte.bit_count() for byte in range(256)])  # bits set in each byte


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """As the reference. A key takes ⌈D / 8⌉ bytes and one number; the scores take one table look-up a byte and no multiplication of features."""
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query.detach(), key.detach(), value))
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    agreement = (query.shape[-1] - 2 * differing(packed(q), packed(k))).to(q.dtype)
    scores = biased(agreement * (size(q) * size(k).mT) * factor, attn_mask)
    return (softmax(scores, visible(scores, attn_mask, is_causal)) @ v).to(query.dtype)


def packed(x: Tensor) -> Tensor:
    """Which features are ≥ 0, eight a byte: uint8 [..., N, ⌈D / 8⌉]; the last byte is filled with zeros."""
    bits = torch.nn.functional.pad((x >= 0).to(torch.uint8), (0, -x.shape[-1] % 8)).unflatten(-1, (-1, 8))
    place = torch.tensor([1 << b for b in range(8)], dtype=torch.uint8, device=x.device)
    whole: Tensor = (bits * place).sum(-1, dtype=torch.uint8)
    return whole


def differing(rows: Tensor, columns: Tensor) -> Tensor:
    """In how many bits each row's bytes [..., N, W] differ from each column's [..., M, W]: int64 [..., N, M], one byte after the other."""
    shape = torch.broadcast_shapes(rows.shape[:-2], columns.shape[:-2])
    count = torch.zeros(*shape, rows.shape[-2], columns.shape[-2], dtype=torch.int64, device=rows.device)
    table = ONES.to(rows.device)
    for byte in range(rows.shape[-1]):
        count += table[(rows[..., :, None, byte] ^ columns[..., None, :, byte]).long()]
    return count
