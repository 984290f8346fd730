"""A decoder-only stack in the manner of GPT by its definition: causal, the norms before the sublayers."""

from __future__ import annotations

from torch import Tensor

from impl.layers import FeedForward, check_heads, layer_norm, multi_head, past
from impl.masked import accumulation


def attention(
    tokens: Tensor,
    positions: Tensor,
    attention_weight: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    feed_weight: Tensor,
    feed_bias: Tensor,
    norm: Tensor,
    num_heads: int,
    final_norm: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """x = tokens + positions; for each layer x ← x + MHA(LN(x)) and x ← x + FF(LN(x)), where row i sees rows j ≤ i; then LN(x), if it is given.

    Shapes, with L layers on the first axis of each parameter: tokens (their embeddings) [B, N, D], positions [P, D] of which the first N ≤ P are added,
    attention_weight [L, 4, D, D] (W_Q, W_K, W_V and W_O of x W; head h has the columns h·D/H … of the first three), hidden_weight [L, D, F], hidden_bias
    [L, F], feed_weight [L, F, D], feed_bias [L, D], norm [L, 2, 2, D] (before attention and before the feed-forward layer: gain and bias), final_norm
    [2, D] → [B, N, D]. Feed-forward layers are max(x W₁ + b₁, 0) W₂ + b₂, where GPT itself has a smoother function. float16 and bfloat16 are computed in
    float32 and rounded once. Raises ValueError for heads that do not divide D, and for more tokens than positions. Source: Radford et al. 2019, section 2.3, https://openai.com/research/better-language-models
    """
    check(tokens, positions, num_heads)
    dtype = accumulation(tokens.dtype)
    n = tokens.shape[-2]
    x = tokens.to(dtype) + positions[:n].to(dtype)
    layers = (w.to(dtype) for w in (attention_weight, hidden_weight, hidden_bias, feed_weight, feed_bias, norm))
    for weight, w_1, b_1, w_2, b_2, (before, between) in zip(*layers, strict=True):
        y = layer_norm(x, before, epsilon)
        x = x + multi_head(y, y, y, weight, num_heads, seen=past(n, n, x.device))
        x = x + FeedForward(w_1, b_1, w_2, b_2)(layer_norm(x, between, epsilon))
    return (x if final_norm is None else layer_norm(x, final_norm.to(dtype), epsilon)).to(tokens.dtype)


def check(tokens: Tensor, positions: Tensor, num_heads: int) -> None:
    """Raise ValueError for heads that do not divide the width, and for more tokens than positions."""
    check_heads(num_heads, tokens.shape[-1])
    if tokens.shape[-2] > positions.shape[-2]:
        raise ValueError(f"{tokens.shape[-2]} tokens and positions for {positions.shape[-2]}: expected no more tokens than positions")
