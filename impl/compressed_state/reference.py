"""Attention over recent tokens and a compressed past by its definition: tokens that leave the window are averaged in groups (Compressive Transformer)."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.streamed import attended, check_shapes, spans


def attention(query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], window: int, group: int, slots: int, scale: float | None = None) -> Tensor:
    """Row i attends to single tokens and to means of `group` keys and values each, every one of them as one key.

    Tokens g·group … (g + 1)·group − 1 are the group g. At row i, max(i + 1 − window, 0) tokens are older than the window, and as many groups as lie among them
    whole are compressed: the row sees the means of the last `slots` of those, no older ones, and every token after them up to its own, single.
    Shapes: query [B, H, N, D], key [B, G, N, D], value [B, G, N, E], H a multiple of G → [B, H, N, E]. `parts` are lengths ≥ 0 that sum to N, and change
    nothing; `scale` defaults to 1/√D. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for shapes or parts that do not fit,
    window or group below 1, and slots below 0.
    Source: Rae, Potapenko, Jayakumar and Lillicrap 2020, section 3.1 (mean pooling; its memories, of several layers and segments, are not), arXiv 1911.05507,
    https://arxiv.org/abs/1911.05507
    """
    check(query, key, value, parts, window, group, slots)
    q, k, v = (x.to(accumulation(query.dtype)) for x in (query, key, value))
    whole = k.shape[2] // group
    keys, values = (torch.cat((means(x[:, :, : whole * group], group), x), 2) for x in (k, v))  # groups, then tokens
    i = torch.arange(k.shape[2], device=q.device)[:, None]
    done = (i + 1 - window).clamp_min(0) // group  # groups compressed at row i, [N, 1]
    g, j = torch.arange(whole, device=q.device), torch.arange(k.shape[2], device=q.device)
    seen = torch.cat(((g < done) & (g >= done - slots), (j <= i) & (j >= done * group)), -1)
    return attended(q, keys, values, seen[None, None], scale).to(query.dtype)


def means(x: Tensor, group: int) -> Tensor:
    """[B, G, n · group, D] → [B, G, n, D]: the mean of each group."""
    b, h, n, width = x.shape
    return x.reshape(b, h, n // group, group, width).sum(3) / group


def check(query: Tensor, key: Tensor, value: Tensor, parts: tuple[int, ...], window: int, group: int, slots: int) -> None:
    """Raise ValueError for shapes or parts that do not fit, window or group below 1, and slots below 0."""
    check_shapes(query, key, value)
    spans(parts, query.shape[2])
    if window < 1 or group < 1 or slots < 0:
        raise ValueError(f"window {window}, group {group}, slots {slots}: a window and a group have 1 token or more, and there are 0 slots or more")
