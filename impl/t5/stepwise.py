"""The encoder and decoder, target by target: the encoder once, its keys and values for cross-attention once, and a cache of the decoder's own."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.layers import check_boolean, merged, rms_norm, split, weighed
from impl.masked import accumulation
from impl.t5.reference import check, encoded


def attention(
    source: Tensor,
    target: Tensor,
    encoder_weight: Tensor,
    encoder_hidden: Tensor,
    encoder_feed: Tensor,
    encoder_norm: Tensor,
    decoder_weight: Tensor,
    decoder_hidden: Tensor,
    decoder_feed: Tensor,
    decoder_norm: Tensor,
    final_norm: Tensor,
    encoder_bias: Tensor,
    decoder_bias: Tensor,
    source_mask: Tensor | None = None,
    epsilon: float = 1e-6,
) -> Tensor:
    """As the reference. Token t costs O(K · (D² + D F + (t + M) D)) operations, and none of the encoder's."""
    check_boolean(source_mask=source_mask)
    check(source, encoder_bias, decoder_bias)
    dtype, num_heads = accumulation(source.dtype), encoder_bias.shape[0]
    of_encoder = [w.to(dtype) for w in (encoder_weight, encoder_hidden, encoder_feed, encoder_norm)]
    of_decoder = list(zip(*(w.to(dtype) for w in (decoder_weight, decoder_hidden, decoder_feed, decoder_norm)), strict=True))
    bias, last = decoder_bias.to(dtype), final_norm.to(dtype)
    seen = None if source_mask is None else source_mask[:, None, None]
    memory = rms_norm(encoded(source.to(dtype), of_encoder, encoder_bias.to(dtype), seen, epsilon), last[0], epsilon)
    crossed = [tuple(split(memory @ across[place], num_heads) for place in (1, 2)) for (_, across), *_ in of_decoder]
    held: list[list[tuple[Tensor, Tensor]]] = [[] for _ in of_decoder]
    y = target.to(dtype)
    rows = [stepped(row.unsqueeze(1), of_decoder, crossed, held, bias[:, -distance(t, bias) :], seen, epsilon) for t, row in enumerate(y.unbind(1))]
    return rms_norm(torch.cat([y[:, :0], *rows], dim=1), last[1], epsilon).to(target.dtype)


def distance(t: int, bias: Tensor) -> int:
    """How many of the biases [H, R + 1] the row of token t meets."""
    return min(t + 1, bias.shape[1])


def stepped(
    y: Tensor, layers: list[tuple[Tensor, ...]], crossed: list[tuple[Tensor, ...]], held: list[list[tuple[Tensor, Tensor]]], bias: Tensor,
    seen: Tensor | None, epsilon: float,
) -> Tensor:  # fmt: skip
    """The residual stream [B, 1, D] of the next token; its keys and values join those held."""
    num_heads = bias.shape[0]
    for ((own, across), hidden, feed, (first, second, third)), memory, before in zip(layers, crossed, held, strict=True):
        query, key, value = (split(rms_norm(y, first, epsilon) @ w, num_heads) for w in own[:3])
        before.append((key, value))
        keys, values = (torch.cat(parts, dim=-2) for parts in zip(*before, strict=True))
        far = bias[:, :1].expand(-1, keys.shape[-2] - bias.shape[1])  # beyond the reach the outermost counts
        y = y + merged(weighed(query, keys, values, scale=1.0, bias=torch.cat((far, bias), dim=1)[:, None])) @ own[3]
        y = y + merged(weighed(split(rms_norm(y, second, epsilon) @ across[0], num_heads), *memory, seen=seen, scale=1.0)) @ across[3]
        y = y + (rms_norm(y, third, epsilon) @ hidden).relu() @ feed
    return y
