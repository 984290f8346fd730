"""Object queries by their definition: attention among themselves, then over the features of an image, and a prediction of each."""

from __future__ import annotations

from torch import Tensor

from impl.layers import FeedForward, check_boolean, check_heads, layer_norm, multi_head
from impl.masked import accumulation


def attention(
    objects: Tensor,
    features: Tensor,
    positions: Tensor,
    attention_weight: Tensor,
    hidden_weight: Tensor,
    hidden_bias: Tensor,
    feed_weight: Tensor,
    feed_bias: Tensor,
    norm: Tensor,
    head_weight: Tensor,
    num_heads: int,
    feature_mask: Tensor | None = None,
    epsilon: float = 1e-5,
) -> Tensor:
    """x = 0; for each layer x ← LN(x + MHA(x + o, x + o, x)), x ← LN(x + MHA(x + o, f + p, f)), x ← LN(x + FF(x)); x W of the last.

    Shapes, with L layers on the first axis of a layer's parameters: objects o [Q, D], the learned queries; features f [B, M, D], positions p [M, D],
    attention_weight [L, 2, 4, D, D] (among objects, then over features: W_Q, W_K, W_V and W_O), hidden_weight [L, D, F], hidden_bias [L, F], feed_weight
    [L, F, D], feed_bias [L, D], norm [L, 3, 2, D] (gain and bias behind each of the three), head_weight W [D, K] → predictions [B, Q, K]. The first layer's
    attention among objects gives nothing, as all its values are 0. `feature_mask` [B, M], boolean: True for a place of the image. float16 and bfloat16 are
    computed in float32 and rounded once. Raises ValueError for heads that do not divide D, and for another mask.
    Source: Carion et al. 2020, section 3.2 and appendix A.3, https://arxiv.org/abs/2005.12872
    """
    check_heads(num_heads, objects.shape[-1])
    check_boolean(feature_mask=feature_mask)
    dtype = accumulation(features.dtype)
    o, f, p = (x.to(dtype) for x in (objects, features, positions))
    seen = None if feature_mask is None else feature_mask[:, None, None]
    x = o.new_zeros(f.shape[0], *o.shape)  # [B, Q, D]
    layers = (w.to(dtype) for w in (attention_weight, hidden_weight, hidden_bias, feed_weight, feed_bias, norm))
    for (own, across), w_1, b_1, w_2, b_2, (first, second, third) in zip(*layers, strict=True):
        x = layer_norm(x + multi_head(x + o, x + o, x, own, num_heads), first, epsilon)
        x = layer_norm(x + multi_head(x + o, f + p, f, across, num_heads, seen=seen), second, epsilon)
        x = layer_norm(x + FeedForward(w_1, b_1, w_2, b_2)(x), third, epsilon)
    return (x @ head_weight.to(dtype)).to(features.dtype)
