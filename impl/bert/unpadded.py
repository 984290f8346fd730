"""The encoder-only stack with keys and values of the tokens that are there alone, sequence by sequence; one product gives both."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.bert.reference import check, embedded
from impl.layers import FeedForward, layer_norm, merged, split, weighed
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
    """As the reference. Keys and values are made of the rows that are there; the other rows have queries in every layer, as they have a result."""
    check(tokens, positions, padding_mask, num_heads)
    dtype = accumulation(tokens.dtype)
    x = embedded(tokens.to(dtype), class_token.to(dtype), positions.to(dtype))
    there = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
    if padding_mask is not None:
        there[:, 1:] = padding_mask
    parameters = [w.to(dtype) for w in (attention_weight, hidden_weight, hidden_bias, feed_weight, feed_bias, norm)]
    rows = [one(x[b : b + 1], there[b], list(zip(*parameters, strict=True)), num_heads, epsilon) for b in range(x.shape[0])]
    return torch.cat(rows).to(tokens.dtype) if rows else x.to(tokens.dtype)


def one(x: Tensor, there: Tensor, layers: list[tuple[Tensor, ...]], num_heads: int, epsilon: float) -> Tensor:
    """One sequence [1, R, D] of which the rows `there` [R] are keys."""
    for weight, w_1, b_1, w_2, b_2, (between, behind) in layers:
        key, value = (split(part, num_heads) for part in (x[:, there] @ torch.cat((weight[1], weight[2]), dim=-1)).chunk(2, dim=-1))
        given = merged(weighed(split(x @ weight[0], num_heads), key, value)) @ weight[3]
        x = layer_norm(x + given, between, epsilon)
        x = layer_norm(x + FeedForward(w_1, b_1, w_2, b_2)(x), behind, epsilon)
    return x
