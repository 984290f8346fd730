"""What stacks of attention layers are made of, by named tensors: normalisation, feed-forward, heads. Everything is computed in the dtype it is given."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from impl.masked import softmax


def layer_norm(x: Tensor, norm: Tensor, epsilon: float) -> Tensor:
    """(x − mean)/√(variance + ε) · gain + bias over the last axis [..., D], with gain and bias in `norm` [2, D]; the variance divides by D.

    Ba, Kiros and Hinton 2016, section 3, https://arxiv.org/abs/1607.06450
    """
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + epsilon).sqrt() * norm[0] + norm[1]


def rms_norm(x: Tensor, gain: Tensor, epsilon: float) -> Tensor:
    """x/√(mean of squares + ε) · gain over the last axis [..., D]: nothing is subtracted. Zhang and Sennrich 2019, https://arxiv.org/abs/1910.07467"""
    return x / (x.square().mean(-1, keepdim=True) + epsilon).sqrt() * gain


class FeedForward(NamedTuple):
    """max(x W₁ + b₁, 0) W₂ + b₂ at each position alone: [D, F], [F], [F, D], [D]."""

    hidden_weight: Tensor
    hidden_bias: Tensor
    feed_weight: Tensor
    feed_bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return (x @ self.hidden_weight + self.hidden_bias).relu() @ self.feed_weight + self.feed_bias


def split(x: Tensor, num_heads: int) -> Tensor:
    """[..., N, H·D] → [..., H, N, D]: a head's features lie side by side."""
    heads: Tensor = x.unflatten(-1, (num_heads, -1))
    return heads.transpose(-3, -2)


def merged(heads: Tensor) -> Tensor:
    """[..., H, N, D] → [..., N, H·D]."""
    return heads.transpose(-3, -2).flatten(-2)


def multi_head(
    query: Tensor, key: Tensor, value: Tensor, weight: Tensor, num_heads: int, *, seen: Tensor | None = None, scale: float | None = None,
    bias: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Queries [..., N, D] over keys and values [..., M, D] → [..., N, D]. `weight` [4, D, D] holds W_Q, W_K, W_V and W_O.

    `seen` broadcasts to [..., H, N, M], True for the keys that a row sees; `bias` [H, N, M] is added to the scores; `scale` defaults to 1/√(D/H).
    """
    heads = (split(x @ w, num_heads) for x, w in zip((query, key, value), weight, strict=False))
    return merged(weighed(*heads, seen=seen, scale=scale, bias=bias)) @ weight[3]


def weighed(query: Tensor, key: Tensor, value: Tensor, *, seen: Tensor | None = None, scale: float | None = None, bias: Tensor | None = None) -> Tensor:
    """softmax(scale · q kᵀ + bias) v for each head [..., H, N, D]."""
    scores = query @ key.mT * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    scores = scores if bias is None else scores + bias
    return softmax(scores, torch.ones_like(scores, dtype=torch.bool) if seen is None else seen.expand(scores.shape)) @ value


def past(rows: int, keys: int, device: torch.device) -> Tensor:
    """Which keys each row sees [N, M]: itself and those before it, where the last row stands at the last key."""
    return torch.ones(rows, keys, dtype=torch.bool, device=device).tril(keys - rows)


def check_heads(num_heads: int, width: int) -> None:
    """Raise ValueError unless the heads divide the width."""
    if num_heads < 1 or width % num_heads:
        raise ValueError(f"{num_heads} heads do not divide the width {width}: expected one of its divisors")


def check_boolean(**masks: Tensor | None) -> None:
    """Raise ValueError for a mask that is not boolean."""
    for name, mask in masks.items():
        if mask is not None and mask.dtype != torch.bool:
            raise ValueError(f"{name} is {mask.dtype}: expected torch.bool, True for what is there")
