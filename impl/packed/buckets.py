"""Packed sequences in batches of similar lengths: each batch is padded to its longest sequence, attended under a padding mask, and unpacked again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.packed.lengths import Lengths, spans
from impl.scored import scored

BATCHES = 4


def attention(
    query: Tensor, key: Tensor, value: Tensor, lengths_q: Lengths, lengths_k: Lengths, is_causal: bool = False, scale: float | None = None, *,
    batches: int = BATCHES,
) -> Tensor:  # fmt: skip
    """As the reference, in at most `batches` calls of padded batches: a batch of B sequences takes B · max n · max m pairs. A sequence counts as its longer
    side. What fills the padding is 0, whatever the neighbours hold. Raises ValueError for fewer than one batch."""
    dtype = accumulation(query.dtype)
    sequences = spans(lengths_q, lengths_k, query, key)
    output = value.new_zeros(*query.shape[:-2], query.shape[-2] + 1, value.shape[-1], dtype=dtype)  # the last row takes what padding gives
    padded = [torch.cat((x, x.new_zeros(*x.shape[:-2], 1, x.shape[-1])), dim=-2).to(dtype) for x in (query, key, value)]
    for group in groups([max(rows.stop - rows.start, columns.stop - columns.start) for rows, columns in sequences], batches):
        rows, columns = (slots([sequences[place][side] for place in group], x.shape[-2]) for side, x in enumerate((query, key)))  # [B, n], [B, m]
        q, k, v = (x[..., at, :] for x, at in zip(padded, (rows, columns, columns), strict=True))  # [..., B, n, D]
        there = (columns < key.shape[-2]).unsqueeze(-2)  # [B, 1, m]
        attended = softmax(*scored(q, k, there, is_causal, scale)) @ v  # [..., B, n, E]
        output = output.index_copy(-2, rows.flatten(), attended.flatten(-3, -2))
    return output[..., :-1, :].to(query.dtype)


def slots(places: Sequence[slice], padding: int) -> Tensor:
    """The slot of each token [B, longest]; where a sequence has ended, the slot `padding`."""
    starts, stops = (torch.tensor(ends).unsqueeze(-1) for ends in ([place.start for place in places], [place.stop for place in places]))
    at = starts + torch.arange(int((stops - starts).max()))
    return at.masked_fill(at >= stops, padding)


def groups(lengths: Sequence[int], batches: int) -> list[list[int]]:
    """The sequences, by place, in at most `batches` batches of the least padded total Σ |batch| · max length: runs of the lengths in order.

    S sequences take batches · S² / 2 steps. Raises ValueError for fewer than one batch.
    """
    if batches < 1:
        raise ValueError(f"batches = {batches}: expected at least 1")
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    best: list[tuple[int, list[int]]] = [(lengths[order[end - 1]] * end if end else 0, [0, end]) for end in range(len(order) + 1)]  # of the first `end`
    for _ in range(min(batches, len(order)) - 1):
        best = [
            min((best[end], *((best[cut][0] + lengths[order[end - 1]] * (end - cut), [*best[cut][1], end]) for cut in range(1, end))), key=lambda x: x[0])
            for end in range(len(order) + 1)
        ]
    return [order[start:end] for start, end in pairwise(best[-1][1]) if end > start]


def padded_total(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> int:
    """Σ |batch| · max length: the slots of all batches, padding among them."""
    return sum(len(batch) * max(lengths[place] for place in batch) for batch in batches)
