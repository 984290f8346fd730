"""What self-attention returns when one of its heads attends otherwise, by its definition."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.instruments import layer


def intervention(
    x: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    value_weight: Tensor,
    out_weight: Tensor,
    num_heads: int,
    head: int,
    replacement: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    """The output [B, N, C] with the weights of `head` replaced by `replacement` [B, N, N] or [N, N], or by uniform ones over the keys that a row sees.

    Shapes: x [B, N, C], query_weight and key_weight [C, H·D], value_weight [C, H·E], out_weight [H·E, C]. The replacement counts as it is: its rows need
    not sum to 1, and a key that the head does not see counts where the replacement weighs it. It may be of another
    dtype than x. Half precisions are computed in float32 and rounded once.
    Raises ValueError for shapes that do not fit or a head that is not there. Source: Jain and Wallace 2019, section 4.2, https://arxiv.org/abs/1902.10186
    """
    layer.check(x, (query_weight, key_weight, value_weight, out_weight), num_heads)
    check(x, num_heads, head, replacement)
    x_, q, k, v, o = layer.accumulated(x, query_weight, key_weight, value_weight, out_weight)
    weights = layer.attended(x_, q, k, num_heads, is_causal)
    other = uniform(x_, is_causal) if replacement is None else replacement.to(x_)
    chosen = torch.arange(num_heads, device=x.device)[:, None, None] == head
    return layer.mixed(torch.where(chosen, other.expand_as(weights[:, 0]).unsqueeze(1), weights), x_, v, o).to(x.dtype)


def uniform(x: Tensor, is_causal: bool) -> Tensor:
    """The same weight for each key that a row sees [N, N]."""
    keys = layer.seen(x.shape[1], is_causal, x.device).to(x.dtype)
    return keys / keys.sum(-1, keepdim=True)


def check(x: Tensor, num_heads: int, head: int, replacement: Tensor | None) -> None:
    """Raise ValueError, quoting what does not fit."""
    if not 0 <= head < num_heads:
        raise ValueError(f"head={head} of {num_heads}; they count from 0 to {num_heads - 1}")
    square = x.shape[1], x.shape[1]
    if replacement is not None and tuple(replacement.shape) not in (square, (x.shape[0], *square)):
        raise ValueError(f"replacement {tuple(replacement.shape)}; expected {square} or {(x.shape[0], *square)}")
