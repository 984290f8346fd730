"""An encoder and a decoder in the manner of T5 by its definition: cross-attention between them, one relative bias for all layers of each, no scale."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.layers import check_boolean, check_heads, multi_head, past, rms_norm
from impl.masked import accumulation


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
    """Encoder: x ← x + MHA(RMS(x)), x ← x + FF(RMS(x)). Decoder, causal: y ← y + MHA(RMS(y)), y ← y + MHA(RMS(y); RMS(x)), y ← y + FF(RMS(y)); RMS(y).

    Shapes, with layers on the first axis: source [B, M, D], target [B, N, D] (embeddings), encoder_weight [L, 4, D, D] (W_Q, W_K, W_V, W_O), encoder_hidden
    [L, D, F], encoder_feed [L, F, D], encoder_norm [L, 2, D] (gains), decoder_weight [K, 2, 4, D, D] (of self-attention, then of cross-attention),
    decoder_hidden [K, D, F], decoder_feed [K, F, D], decoder_norm [K, 3, D], final_norm [2, D] (behind the encoder, behind the decoder) → [B, N, D]. Scores
    are q·k, unscaled. To those of self-attention is added a bias for the offset j − i: encoder_bias [H, 2R + 1] for −R to R, decoder_bias [H, R' + 1] for
    −R' to 0, the outermost beyond; cross-attention has none. (The paper's own offsets share biases in buckets that widen.) `source_mask` [B, M], boolean:
    True for a token that is there. Feed-forward layers are max(x W₁, 0) W₂. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError
    for heads that do not divide D, biases of other shapes, and another mask. Source: Raffel et al. 2020, section 2.1, https://arxiv.org/abs/1910.10683
    """
    check_boolean(source_mask=source_mask)
    check(source, encoder_bias, decoder_bias)
    dtype = accumulation(source.dtype)
    x, y = source.to(dtype), target.to(dtype)
    of_encoder = [w.to(dtype) for w in (encoder_weight, encoder_hidden, encoder_feed, encoder_norm)]
    of_decoder = [w.to(dtype) for w in (decoder_weight, decoder_hidden, decoder_feed, decoder_norm)]
    bias, past_bias, last = encoder_bias.to(dtype), decoder_bias.to(dtype), final_norm.to(dtype)
    seen = None if source_mask is None else source_mask[:, None, None]
    memory = rms_norm(encoded(x, of_encoder, bias, seen, epsilon), last[0], epsilon)
    return rms_norm(decoded(y, memory, of_decoder, past_bias, seen, epsilon), last[1], epsilon).to(target.dtype)


def encoded(x: Tensor, parameters: list[Tensor], bias: Tensor, seen: Tensor | None, epsilon: float) -> Tensor:
    """The residual stream [B, M, D] behind the encoder's layers."""
    added = bias[:, offsets(x.shape[1], x.device).clamp(-(bias.shape[1] // 2), bias.shape[1] // 2) + bias.shape[1] // 2]  # [H, M, M]
    for weight, hidden, feed, (before, between) in zip(*parameters, strict=True):
        z = rms_norm(x, before, epsilon)
        x = x + multi_head(z, z, z, weight, bias.shape[0], seen=seen, scale=1.0, bias=added)
        x = x + (rms_norm(x, between, epsilon) @ hidden).relu() @ feed
    return x


def decoded(y: Tensor, memory: Tensor, parameters: list[Tensor], bias: Tensor, seen: Tensor | None, epsilon: float) -> Tensor:
    """The residual stream [B, N, D] behind the decoder's layers."""
    n, reach = y.shape[1], bias.shape[1] - 1
    added = bias[:, offsets(n, y.device).clamp(-reach, 0) + reach]  # [H, N, N]
    for (own, across), hidden, feed, (first, second, third) in zip(*parameters, strict=True):
        z = rms_norm(y, first, epsilon)
        y = y + multi_head(z, z, z, own, bias.shape[0], seen=past(n, n, y.device), scale=1.0, bias=added)
        y = y + multi_head(rms_norm(y, second, epsilon), memory, memory, across, bias.shape[0], seen=seen, scale=1.0)
        y = y + (rms_norm(y, third, epsilon) @ hidden).relu() @ feed
    return y


def offsets(n: int, device: torch.device) -> Tensor:
    """j − i for each pair [N, N]."""
    places = torch.arange(n, device=device)
    return places - places[:, None]


def check(source: Tensor, encoder_bias: Tensor, decoder_bias: Tensor) -> None:
    """Raise ValueError unless both biases have as many heads, which divide the width, and the encoder's is of odd length."""
    check_heads(encoder_bias.shape[0], source.shape[-1])
    if encoder_bias.shape[0] != decoder_bias.shape[0] or encoder_bias.shape[1] % 2 == 0:
        shapes = f"encoder_bias {tuple(encoder_bias.shape)} and decoder_bias {tuple(decoder_bias.shape)}"
        raise ValueError(f"{shapes}: expected [H, 2R + 1] and [H, R' + 1] with the same H")
