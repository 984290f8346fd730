"""Incremental decoding by its definition: each part of a sequence attends to all keys up to its own rows, as one causal pass over the whole would."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.streamed import attended, check_shapes, falling, spans


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    parts: tuple[int, ...],
    past_lengths: Tensor | None = None,
    slopes: Tensor | None = None,
    scale: float | None = None,
) -> Tensor:
    """softmax over the keys up to its own, row by row, of N queries that come in `parts`, lengths ≥ 0 that sum to N.

    Shapes: query [B, H, N, D], key [B, G, M, D], value [B, G, M, E], M ≥ N, H a multiple of G (head h reads head h // (H / G)) → [B, H, N, E].
    The first P = M − N keys stand before the first query. Of them, sequence b has the first `past_lengths[b]` alone (int [B]; None: all), and its N keys follow
    upon those. So row i sees the keys j < past_lengths[b] and P ≤ j ≤ P + i: the causal mask's diagonal ends at the bottom right, in each part again.
    `slopes` [H] subtracts slopes[h] times the distance from the score (ALiBi), in positions of the sequence, whatever the part. `scale` defaults to 1/√D.
    float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for shapes, parts or past lengths that do not fit.
    Source: Pope et al. 2022, section 2 (prefill and decode), https://arxiv.org/abs/2211.05102; Press, Smith and Lewis 2022, https://arxiv.org/abs/2108.12409
    """
    check_shapes(query, key, value, prefix=True)
    past = checked(past_lengths, key.shape[0], key.shape[2] - query.shape[2]).to(query.device)
    distance, seen = distances(query, key, past)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    outputs = [q.new_zeros(*query.shape[:2], 0, value.shape[-1])]
    for rows in spans(parts, query.shape[2]):
        end = key.shape[2] - query.shape[2] + rows.stop  # what the cache holds now
        here = slice(rows.start, rows.stop)
        bias = falling(slopes, distance[:, :, here, :end], q)
        outputs.append(attended(q[:, :, here], k[:, :, :end], v[:, :, :end], seen[:, :, here, :end], scale, bias))
    return torch.cat(outputs, dim=2).to(query.dtype)


def distances(query: Tensor, key: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """How far key j lies behind row i in its sequence, and whether the row sees it: both [B, 1, N, M]."""
    n, before = query.shape[2], key.shape[2] - query.shape[2]
    j = torch.arange(key.shape[2], device=query.device)
    own = past[:, None] + torch.arange(n, device=query.device)  # positions of the rows, [B, N]
    at = torch.where(j < before, j, past[:, None] + j - before)  # positions of the keys, [B, M]
    distance = own[:, :, None] - at[:, None, :]
    there = (j < past[:, None]) | (j >= before)  # [B, M]
    return distance[:, None], ((distance >= 0) & there[:, None, :])[:, None]


def checked(past_lengths: Tensor | None, sequences: int, most: int) -> Tensor:
    """How many keys each sequence has before its first query, int64 [B]. Raises ValueError for another shape or dtype, or a number outside 0 … `most`."""
    if past_lengths is None:
        return torch.full((sequences,), most)
    if tuple(past_lengths.shape) != (sequences,) or past_lengths.is_floating_point() or past_lengths.is_complex():
        raise ValueError(f"past_lengths must be {sequences} whole numbers, one a sequence; found {tuple(past_lengths.shape)} of {past_lengths.dtype}")
    if sequences and not 0 <= int(past_lengths.min()) <= int(past_lengths.max()) <= most:
        raise ValueError(f"past_lengths {past_lengths.tolist()}: each must be 0 … {most}, the number of keys before the first query")
    return past_lengths.to(torch.int64)
