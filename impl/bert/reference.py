"""An encoder-only stack in the manner of BERT by its definition: every row sees every token that is there, the norms behind the sublayers."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.layers import FeedForward, check_heads, layer_norm, multi_head
from impl.masked import accumulation


def attention(
    tokens: Tensor,
    class_token: Tensor,
    positions: Tensor,
    attention_weight: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    feed_weight: Tensor,
    feed_bias: Tensor,
    norm: Tensor,
    num_heads: int,
    padding_mask: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """x = [class token, tokens] + positions; for each layer x ← LN(x + MHA(x)) and x ← LN(x + FF(x)).

    Shapes, with L layers on the first axis of each parameter: tokens (their embeddings) [B, N, D], class_token [D], positions [P, D] of which the first
    1 + N ≤ P are added, attention_weight [L, 4, D, D] (W_Q, W_K, W_V and W_O of x W; head h has the columns h·D/H … of the first three), hidden_weight
    [L, D, F], hidden_bias [L, F], feed_weight [L, F, D], feed_bias [L, D], norm [L, 2, 2, D] (behind attention and behind the feed-forward layer: gain
    and bias) → [B, 1 + N, D], the class token's row first. `padding_mask` [B, N], boolean, True for a token that is there: no row sees another, while the
    class token is always there. Feed-forward layers are max(x W₁ + b₁, 0) W₂ + b₂, where BERT itself has a smoother function, biases in the projections,
    segment embeddings and a norm of the embeddings. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for heads that do not
    divide D, and for more rows than positions. Source: Devlin et al. 2019, section 3, https://arxiv.org/abs/1810.04805
    """
    check(tokens, positions, padding_mask, num_heads)
    dtype = accumulation(tokens.dtype)
    x = embedded(tokens.to(dtype), class_token.to(dtype), positions.to(dtype))
    seen = keys_seen(tokens, padding_mask)
    layers = (w.to(dtype) for w in (attention_weight, hidden_weight, hidden_bias, feed_weight, feed_bias, norm))
    for weight, w_1, b_1, w_2, b_2, (between, behind) in zip(*layers, strict=True):
        x = layer_norm(x + multi_head(x, x, x, weight, num_heads, seen=seen), between, epsilon)
        x = layer_norm(x + FeedForward(w_1, b_1, w_2, b_2)(x), behind, epsilon)
    return x.to(tokens.dtype)


def embedded(tokens: Tensor, class_token: Tensor, positions: Tensor) -> Tensor:
    """Rows [B, 1 + N, D] of the class token and the tokens, with their positions."""
    first = class_token.expand(tokens.shape[0], 1, -1)
    return torch.cat((first, tokens), dim=1) + positions[: 1 + tokens.shape[1]]


def keys_seen(tokens: Tensor, padding_mask: Tensor | None) -> Tensor | None:
    """Which keys [B, 1, 1, 1 + N] every row of a sequence sees."""
    if padding_mask is None:
        return None
    return torch.cat((padding_mask.new_ones(tokens.shape[0], 1), padding_mask), dim=1)[:, None, None]


def check(tokens: Tensor, positions: Tensor, padding_mask: Tensor | None, num_heads: int) -> None:
    """Raise ValueError for heads that do not divide the width, more rows than positions, and a mask of another shape or type."""
    check_heads(num_heads, tokens.shape[-1])
    if 1 + tokens.shape[1] > positions.shape[0]:
        raise ValueError(f"a class token and {tokens.shape[1]} tokens, and positions for {positions.shape[0]}: expected no more rows than positions")
    if padding_mask is not None and (padding_mask.dtype != torch.bool or padding_mask.shape != tokens.shape[:2]):
        raise ValueError(f"padding_mask is {padding_mask.dtype} {tuple(padding_mask.shape)}: expected torch.bool {tuple(tokens.shape[:2])}, True for a token")
