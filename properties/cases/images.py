"""Attention over images: over places, channels, pixels and patches, and by object queries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np

from impl.variant import Implementation
from properties.cases.layered import PADDINGS, called, deep, feed_forward, few, heads, layer_norm, linear, norm, padded, weight
from properties.cases.stacks import WIDTHS, feed
from properties.posed import Place, Posed, case
from properties.simplex import factor
from properties.tracked import Flags, Tracked, concatenate, constant, contract, softmax, stack

SIDES = ((1, 1), (1, 3), (2, 2), (3, 2), (2, 3))  # H, W


@st.composite
def spatial(draw: st.DrawFn, subject: Implementation, padding: tuple[str, ...] = PADDINGS) -> Posed:
    """Maps that are no squares; scores far from 0; places hidden in all images, in each, or everywhere in one."""
    s = few(draw, subject, numbers=("normal", "small integers", "wide"))
    (height, width), times = draw(st.sampled_from(SIDES), label="sides"), draw(st.sampled_from((1.0, 100.0)), label="weight times")
    mask = padded(draw, s, height * width, "mask", padding)
    keywords = {} if mask is None else {"attn_mask": mask.reshape(s.b, height, width)}

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        scores = contract("bchw,c->bhw", t[0], t[1]).reshape(s.b, height * width)
        alpha = softmax(scores, None if mask is None else mask.numpy())
        return contract("bp,bep->be", alpha, t[2].reshape(s.b, s.e, height * width))

    return called(
        s,
        (s.tensor(s.b, s.d, height, width), s.tensor(s.d, times=times), s.tensor(s.b, s.e, height, width)),
        define,
        (s.b, s.e),
        keywords=keywords,
        batched=(0, 2, *keywords),
        by_key={0: 2, 2: 2, **({"attn_mask": 1} if keywords else {})},
        ordered=("queries",),
        regimes=(f"mask: {mask is not None}", f"weight times {times:g}"),
    )


case("spatial")(spatial)


@st.composite
def channel(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Features and values of unequal sizes; scores far from 0."""
    s = few(draw, subject, d=(1, 2, 4), numbers=("normal", "small integers", "wide"))
    (height, width), (rows, columns) = (draw(st.sampled_from(SIDES), label=label) for label in ("sides", "sides of the values"))

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        return softmax(contract("bchw,hw->bc", t[0], t[1])).reshape(s.b, s.d, 1, 1) * t[2]

    tensors = s.tensor(s.b, s.d, height, width), s.tensor(height, width), s.tensor(s.b, s.d, rows, columns)
    shape = (s.b, s.d, rows, columns)
    return called(s, tensors, define, shape, batched=(0, 2), by_query={2: 2}, ordered=("keys",), regimes=(f"channels: {s.d}",))


case("channel")(channel)


@st.composite
def pixel(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Images that are no squares; with and without a scale."""
    s = few(draw, subject, b=(1, 2), numbers=("normal", "small integers", "wide"))
    height, width = draw(st.sampled_from(SIDES), label="sides")
    channels, scale = draw(st.sampled_from((1, 2, 3)), label="channels"), draw(st.sampled_from((None, 0.5, -1.0)), label="scale")

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        flat = t[0].reshape(s.b, channels, height * width)
        q, k, g = (contract("bcp,cd->bpd", flat, t[place]) for place in (1, 2, 3))
        weights = softmax(contract("bpd,bqd->bpq", q, k) * factor(1.0 if scale is None else scale, s.d, t[0].rounding))
        return contract("bpq,bqe->bep", weights, g).reshape(s.b, s.e, height, width)

    return called(
        s,
        (s.tensor(s.b, channels, height, width), s.tensor(channels, s.d), s.tensor(channels, s.d), s.tensor(channels, s.e)),
        define,
        (s.b, s.e, height, width),
        keywords={} if scale is None else {"scale": scale},
        values=(3,),
        by_query={0: 2},
        ordered=("keys",),
        regimes=(f"scale: {scale}",),
    )


case("pixel")(pixel)


@st.composite
def vit(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Patches of one pixel, of several, and as large as the image; rows and columns of patches of unequal number."""
    s = few(draw, subject, b=(1, 2))
    number, d = draw(st.sampled_from(WIDTHS), label="heads and width")
    (rows, columns), size = draw(st.sampled_from(SIDES[:4]), label="patches"), draw(st.sampled_from((1, 2, 3)), label="size")
    channels = draw(st.sampled_from((1, 2)), label="channels")
    weights = s.tensor(channels * size * size, d), s.tensor(d), s.tensor(1 + rows * columns, d), *(s.tensor(d, d) for _ in range(4))
    return called(
        s,
        (s.tensor(s.b, channels, rows * size, columns * size), *weights, number, size),
        lambda t: attended_patches(t, s.b, number, size),
        (s.b, 1 + rows * columns, d),
        values=(6,),
        regimes=(f"heads: {number}", f"patch: {size}"),
    )


case("vit")(vit)


def attended_patches(t: Mapping[Place, Tracked], b: int, number: int, size: int) -> Tracked:
    """The definition: patch by patch, cut out by its own slice of the image."""
    _, channels, height, width = t[0].shape
    d = t[2].shape[0]
    corners = [(i, j) for i in range(0, height, size) for j in range(0, width, size)]
    cut = stack([t[0][:, :, i : i + size, j : j + size].reshape(b, channels * size * size) for i, j in corners], 1)
    x = concatenate((t[2].reshape(1, 1, d).broadcast((b, 1, d)), linear(cut, t[1])), 1) + t[3]
    return heads(x, x, x, stack([t[place] for place in (4, 5, 6, 7)], 0), number)


@st.composite
def detr(draw: st.DrawFn, subject: Implementation, padding: tuple[str, ...] = PADDINGS) -> Posed:
    """One layer, in which objects give each other nothing, and two; places of the image that are not there."""
    s = few(draw, subject, b=(1, 2), n=(1, 2, 3), m=(1, 2, 4))
    number, d = draw(st.sampled_from(WIDTHS[:3]), label="heads and width")
    layers, f = draw(st.sampled_from((1, 2, 2)), label="layers"), draw(st.sampled_from((1, 2)), label="f")
    s = deep(s, subject) if layers > 1 else s
    mask = padded(draw, s, s.m, "feature mask", padding)
    keywords: dict[str, Any] = {} if mask is None else {"feature_mask": mask}
    parameters = weight(s, layers, 2, 4, d, d), *feed(s, layers, d, f), norm(s, layers, 3, d), s.tensor(d, s.e)
    seen = None if mask is None else mask.numpy()[:, None, None]
    return called(
        s,
        (s.tensor(s.n, d), s.tensor(s.b, s.m, d), s.tensor(s.m, d), *parameters, number),
        lambda t: predictions(t, s.b, layers, number, seen),
        (s.b, s.n, s.e),
        keywords=keywords,
        values=(9,),
        batched=(1, *keywords),
        by_key={1: 1, 2: 0, **({"feature_mask": 1} if keywords else {})},
        by_query={0: 0},
        ordered=(),
        regimes=(f"layers: {layers}", f"heads: {number}", f"feature mask: {mask is not None}"),
    )


case("detr")(detr)


def predictions(t: Mapping[Place, Tracked], b: int, layers: int, number: int, seen: Flags | None, epsilon: float = 1e-5) -> Tracked:
    """The definition of the decoder of object queries, layer by layer."""
    o, f = t[0], t[1]
    placed, x = f + t[2], constant(np.zeros((b, *o.shape)), o.rounding)
    for layer in range(layers):
        of_heads, w_1, b_1, w_2, b_2, norms = (t[place][layer] for place in range(3, 9))
        x = layer_norm(x + heads(x + o, x + o, x, of_heads[0], number), norms[0][0], norms[0][1], epsilon)
        x = layer_norm(x + heads(x + o, placed, f, of_heads[1], number, seen), norms[1][0], norms[1][1], epsilon)
        x = layer_norm(x + feed_forward(x, w_1, b_1, w_2, b_2), norms[2][0], norms[2][1], epsilon)
    return linear(x, t[9])
