"""The decoder-only stack a few tokens at a time: each layer keeps the keys and values of the tokens that came before."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.gpt.reference import check
from impl.layers import FeedForward, check_heads, layer_norm, merged, past, split, weighed
from impl.masked import accumulation


class Decoder:
    """A stack with a cache: `step` takes the next tokens and returns their rows. Its arguments are the reference's."""

    def __init__(
        self, positions: Tensor, attention_weight: Tensor, hidden_weight: Tensor, hidden_bias: Tensor, feed_weight: Tensor, feed_bias: Tensor,
        norm: Tensor, num_heads: int, final_norm: Tensor | None = None, epsilon: float = 1e-5,
    ) -> None:  # fmt: skip
        check_heads(num_heads, attention_weight.shape[-1])
        self.positions, self.final_norm, self.num_heads, self.epsilon, self.held = positions, final_norm, num_heads, epsilon, 0
        self.fused = attention_weight[:, :3].transpose(1, 2).flatten(2)  # [L, D, 3 D]: one product gives queries, keys and values
        self.layers = list(zip(attention_weight[:, 3], hidden_weight, hidden_bias, feed_weight, feed_bias, norm, strict=True))
        self.keys: list[list[Tensor]] = [[] for _ in self.layers]  # of [B, H, T, D/H], one for each step
        self.values: list[list[Tensor]] = [[] for _ in self.layers]

    def step(self, tokens: Tensor) -> Tensor:
        """Rows [B, T, D] of the next T tokens, which stand behind all that came before. A token costs O(L · (D² + D F + t D)) operations at length t. Raises
        ValueError for more tokens than positions."""
        rows = tokens.shape[-2]
        if self.held + rows > self.positions.shape[-2]:
            raise ValueError(f"{self.held} tokens held and {rows} more, and positions for {self.positions.shape[-2]}: expected no more tokens than positions")
        x = tokens + self.positions[self.held : self.held + rows]
        self.held += rows
        for place, (out, w_1, b_1, w_2, b_2, (before, between)) in enumerate(self.layers):
            x = x + self.attended(place, layer_norm(x, before, self.epsilon)) @ out
            x = x + FeedForward(w_1, b_1, w_2, b_2)(layer_norm(x, between, self.epsilon))
        return x if self.final_norm is None else layer_norm(x, self.final_norm, self.epsilon)

    def attended(self, place: int, x: Tensor) -> Tensor:
        """The heads of one layer for these rows [B, T, D], over all keys held, theirs among them."""
        query, key, value = (split(part, self.num_heads) for part in (x @ self.fused[place]).chunk(3, dim=-1))
        self.keys[place].append(key)
        self.values[place].append(value)
        keys, values = torch.cat(self.keys[place], dim=-2), torch.cat(self.values[place], dim=-2)
        return merged(weighed(query, keys, values, seen=past(query.shape[-2], keys.shape[-2], x.device)))


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
    *,
    step: int = 1,
) -> Tensor:
    """As the reference, `step` tokens at a time."""
    check(tokens, positions, num_heads)
    dtype = accumulation(tokens.dtype)
    last = None if final_norm is None else final_norm.to(dtype)
    decoder = Decoder(
        positions.to(dtype), attention_weight.to(dtype), hidden_weight.to(dtype), hidden_bias.to(dtype), feed_weight.to(dtype), feed_bias.to(dtype),
        norm.to(dtype), num_heads, last, epsilon,
    )  # fmt: skip
    return torch.cat([decoder.step(part) for part in tokens.to(dtype).split(step, dim=-2)], dim=-2).to(tokens.dtype)
