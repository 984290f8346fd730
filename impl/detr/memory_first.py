"""Object queries with the image's part first: keys and values of the features for all layers in one product each, and no attention where values are zero."""

from __future__ import annotations

from torch import Tensor

from impl.layers import FeedForward, check_boolean, check_heads, layer_norm, merged, multi_head, split, weighed
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
    """As the reference, with 2 products over the features in place of 2 L, and none among objects in the first layer."""
    check_heads(num_heads, objects.shape[-1])
    check_boolean(feature_mask=feature_mask)
    dtype = accumulation(features.dtype)
    o, f, p = (x.to(dtype) for x in (objects, features, positions))
    weight, *others = (w.to(dtype) for w in (attention_weight, hidden_weight, hidden_bias, feed_weight, feed_bias, norm))
    seen = None if feature_mask is None else feature_mask[:, None, None]
    keys = ((f + p) @ side_by_side(weight[:, 1, 1])).chunk(len(weight), dim=-1)
    values = (f @ side_by_side(weight[:, 1, 2])).chunk(len(weight), dim=-1)
    x = o.new_zeros(f.shape[0], *o.shape)  # [B, Q, D]
    for place, (w_1, b_1, w_2, b_2, (first, second, third)) in enumerate(zip(*others, strict=True)):
        own, across = weight[place]
        x = layer_norm(x + multi_head(x + o, x + o, x, own, num_heads) if place else x, first, epsilon)
        heads = weighed(*(split(part, num_heads) for part in ((x + o) @ across[0], keys[place], values[place])), seen=seen)
        x = layer_norm(x + merged(heads) @ across[3], second, epsilon)
        x = layer_norm(x + FeedForward(w_1, b_1, w_2, b_2)(x), third, epsilon)
    return (x @ head_weight.to(dtype)).to(features.dtype)


def side_by_side(weights: Tensor) -> Tensor:
    """[L, D, D] → [D, L·D]: the columns of every layer."""
    return weights.transpose(0, 1).flatten(1)
