"""Stacks of layers: decoder-only, encoder-only, encoder and decoder."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st
import numpy as np
from torch import Tensor

from impl.variant import Implementation
from properties.cases.layered import PADDINGS, called, deep, feed_forward, few, gain, heads, layer_norm, linear, norm, padded, scaled_to_one, weight
from properties.posed import Place, Posed, case
from properties.posing import Sizes
from properties.tracked import Flags, Tracked, concatenate, relu

WIDTHS = ((1, 3), (2, 4), (3, 3), (2, 4))  # heads, D


def past(n: int) -> Flags:
    """Which keys each row of a causal layer sees."""
    return np.tril(np.ones((n, n), dtype=np.bool_))


def feed(s: Sizes, layers: int, d: int, f: int) -> tuple[Tensor, ...]:
    """Weights and biases of each layer's feed-forward part, of which some hidden numbers fall below 0."""
    biases = (s.tensor(layers, width, regime="normal", times=0.5) for width in (f, d))
    return weight(s, layers, d, f), next(biases), weight(s, layers, f, d), next(biases)


@st.composite
def gpt(draw: st.DrawFn, subject: Implementation) -> Posed:
    """One or two layers, with and without a last norm; more positions than tokens."""
    s = few(draw, subject, b=(1, 2), n=(1, 2, 3, 4))
    number, d = draw(st.sampled_from(WIDTHS), label="heads and width")
    layers, f = draw(st.sampled_from((1, 2, 2)), label="layers"), draw(st.sampled_from((1, 3)), label="f")
    s = deep(s, subject) if layers > 1 else s
    spare = draw(st.sampled_from((0, 2)), label="spare positions")
    last = {"final_norm": norm(s, d)} if draw(st.booleans(), label="final norm") else {}
    parameters = weight(s, layers, 4, d, d), *feed(s, layers, d, f), norm(s, layers, 2, d)
    return called(
        s,
        (s.tensor(s.b, s.n, d), s.tensor(s.n + spare, d), *parameters, number),
        lambda t: decoded(t, s.n, layers, number),
        (s.b, s.n, d),
        keywords=last,
        regimes=(f"layers: {layers}", f"heads: {number}", f"final norm: {bool(last)}"),
    )


case("gpt")(gpt)


def decoded(t: Mapping[Place, Tracked], n: int, layers: int, number: int, epsilon: float = 1e-5) -> Tracked:
    """The definition of the causal stack, layer by layer."""
    x = t[0] + t[1][:n]
    for layer in range(layers):
        of_heads, w_1, b_1, w_2, b_2, norms = (t[place][layer] for place in range(2, 8))
        y = layer_norm(x, norms[0][0], norms[0][1], epsilon)
        x = x + heads(y, y, y, of_heads, number, past(n))
        x = x + feed_forward(layer_norm(x, norms[1][0], norms[1][1], epsilon), w_1, b_1, w_2, b_2)
    return layer_norm(x, t["final_norm"][0], t["final_norm"][1], epsilon) if "final_norm" in t else x


@st.composite
def bert(draw: st.DrawFn, subject: Implementation, padding: tuple[str, ...] = PADDINGS) -> Posed:
    """One or two layers; no padding, at the ends, in holes, and a sequence of nothing but padding."""
    s = few(draw, subject, b=(1, 2), n=(1, 2, 3, 4))
    number, d = draw(st.sampled_from(WIDTHS), label="heads and width")
    layers, f = draw(st.sampled_from((1, 2, 2)), label="layers"), draw(st.sampled_from((1, 3)), label="f")
    s = deep(s, subject) if layers > 1 else s
    mask = padded(draw, s, s.n, "padding", padding)
    keywords = {} if mask is None else {"padding_mask": mask}
    parameters = weight(s, layers, 4, d, d), *feed(s, layers, d, f), norm(s, layers, 2, d)
    return called(
        s,
        (s.tensor(s.b, s.n, d), s.tensor(d), s.tensor(1 + s.n + draw(st.sampled_from((0, 2)), label="spare positions"), d), *parameters, number),
        lambda t: read_both_ways(t, s.b, None if mask is None else np.concatenate((np.ones((s.b, 1), dtype=np.bool_), mask.numpy()), 1), layers, number),
        (s.b, 1 + s.n, d),
        keywords=keywords,
        batched=(0, *keywords),
        regimes=(f"layers: {layers}", f"heads: {number}", f"padding: {mask is not None}"),
    )


case("bert")(bert)


def read_both_ways(t: Mapping[Place, Tracked], b: int, there: Flags | None, layers: int, number: int, epsilon: float = 1e-5) -> Tracked:
    """The definition of the encoder, layer by layer; `there` [B, 1 + N]."""
    x = concatenate((t[1].reshape(1, 1, -1).broadcast((b, 1, t[1].shape[0])), t[0]), 1) + t[2][: 1 + t[0].shape[1]]
    for layer in range(layers):
        of_heads, w_1, b_1, w_2, b_2, norms = (t[place][layer] for place in range(3, 9))
        x = x + heads(x, x, x, of_heads, number, None if there is None else there[:, None, None])
        x = layer_norm(x, norms[0][0], norms[0][1], epsilon)
        x = layer_norm(x + feed_forward(x, w_1, b_1, w_2, b_2), norms[1][0], norms[1][1], epsilon)
    return x


@st.composite
def t5(draw: st.DrawFn, subject: Implementation, padding: tuple[str, ...] = PADDINGS) -> Posed:
    """One layer mostly, at times two on one side; biases that reach no further than a neighbour, or beyond the ends; padded sources."""
    s = few(draw, subject, b=(1, 2), n=(1, 2, 3, 4))
    number, d = draw(st.sampled_from(((1, 2), (2, 4), (2, 2))), label="heads and width")
    layers, f = draw(st.sampled_from(((1, 1), (2, 1), (1, 2), (2, 1))), label="layers"), draw(st.sampled_from((1, 3)), label="f")
    s = deep(s, subject) if sum(layers) > 2 else s
    reach = draw(st.sampled_from((1, 0, 5)), label="reach")
    mask = padded(draw, s, s.m, "source mask", padding)
    keywords = {} if mask is None else {"source_mask": mask}
    encoder = weight(s, layers[0], 4, d, d), weight(s, layers[0], d, f), weight(s, layers[0], f, d), gain(s, layers[0], 2, d)
    decoder = weight(s, layers[1], 2, 4, d, d), weight(s, layers[1], d, f), weight(s, layers[1], f, d), gain(s, layers[1], 3, d)
    biases = s.tensor(number, 2 * reach + 1, times=2.0), s.tensor(number, reach + 1, times=2.0)
    seen = None if mask is None else mask.numpy()[:, None, None]
    return called(
        s,
        (s.tensor(s.b, s.m, d), s.tensor(s.b, s.n, d), *encoder, *decoder, gain(s, 2, d), *biases),
        lambda t: translated(t, layers, number, seen),
        (s.b, s.n, d),
        keywords=keywords,
        batched=(0, 1, *keywords),
        regimes=(f"layers: {layers[0]} + {layers[1]}", f"heads: {number}", f"reach: {reach}", f"padding: {mask is not None}"),
    )


case("t5")(t5)


def translated(t: Mapping[Place, Tracked], layers: tuple[int, int], number: int, seen: Flags | None, epsilon: float = 1e-6) -> Tracked:
    """The definition of encoder and decoder, layer by layer."""
    x, y = t[0], t[1]
    among, back = by_offset(t[11], x.shape[1], t[11].shape[1] // 2), by_offset(t[12], y.shape[1], t[12].shape[1] - 1)
    for layer in range(layers[0]):
        of_heads, hidden, fed, gains = (t[place][layer] for place in range(2, 6))
        z = scaled_to_one(x, epsilon) * gains[0]
        x = x + heads(z, z, z, of_heads, number, seen, 1.0, among)
        x = x + linear(relu(linear(scaled_to_one(x, epsilon) * gains[1], hidden)), fed)
    memory = scaled_to_one(x, epsilon) * t[10][0]
    for layer in range(layers[1]):
        of_heads, hidden, fed, gains = (t[place][layer] for place in range(6, 10))
        z = scaled_to_one(y, epsilon) * gains[0]
        y = y + heads(z, z, z, of_heads[0], number, past(y.shape[1]), 1.0, back)
        y = y + heads(scaled_to_one(y, epsilon) * gains[1], memory, memory, of_heads[1], number, seen, 1.0)
        y = y + linear(relu(linear(scaled_to_one(y, epsilon) * gains[2], hidden)), fed)
    return scaled_to_one(y, epsilon) * t[10][1]


def by_offset(bias: Tracked, n: int, reach: int) -> Tracked:
    """The bias of each pair [H, N, N], for offsets from −reach on; beyond either end of the table the outermost counts."""
    offsets = np.arange(n)[None, :] - np.arange(n)[:, None]
    return bias[:, np.clip(offsets + reach, 0, bias.shape[1] - 1)]
