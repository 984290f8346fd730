"""Attention between two modalities: text over vision and back, and the summaries of parallel co-attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
from torch import Tensor

from impl.variant import Implementation
from properties.cases.layered import PADDINGS, called, few, padded
from properties.posed import Place, Posed, case
from properties.simplex import factor
from properties.tracked import Flags, Tracked, concatenate, contract, softmax, stack, tanh

SCALES = (None, None, 1.0, -0.5)


@st.composite
def cross_modal(draw: st.DrawFn, subject: Implementation, padding: tuple[str, ...] = PADDINGS) -> Posed:
    """Lengths and the widths of both directions apart; padded tokens and regions; scores far from 0."""
    s = few(draw, subject, h=(1, 2), m=(1, 2, 4, 7), d=(1, 2, 4), numbers=("normal", "small integers", "wide"), profiles=("plain", "shifted up", "rising"))
    width = draw(st.sampled_from((1, 3)), label="width of the text's keys")
    scale = draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale else None
    back = replace(s, n=s.m, m=s.n, d=width)  # text into vision: regions in rows
    masks = {"text_mask": padded(draw, s, s.n, "text", padding), "vision_mask": padded(draw, s, s.m, "vision", padding)}
    keywords: dict[str, Any] = {name: mask[:, None, None] for name, mask in masks.items() if mask is not None}
    keywords |= {} if scale is None else {"scale": scale}

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        return concatenate([into(t, *places, keywords.get(name), scale) for places, name in (((0, 4, 5), "vision_mask"), ((3, 1, 2), "text_mask"))], 2)

    return called(
        s,
        (s.query(), back.key(), back.value(), back.query(), s.key(), s.value()),
        define,
        (s.b, s.h, s.n + s.m, s.e),
        keywords=keywords,
        batched=(0, 1, 2, 3, 4, 5, *(name for name in masks if name in keywords)),
        regimes=(s.regimes[0], *(f"{name}: {name in keywords}" for name in masks)),
    )


case("cross-modal")(cross_modal)


def into(t: Mapping[Place, Tracked], query: int, key: int, value: int, mask: Tensor | None, scale: float | None) -> Tracked:
    """What flows into the modality of the queries."""
    scores = contract("bhnd,bhmd->bhnm", t[query], t[key]) * factor(scale, t[query].shape[-1], t[query].rounding)
    seen = None if mask is None else np.broadcast_to(mask.numpy(), scores.shape)
    return contract("bhnm,bhme->bhne", softmax(scores, seen), t[value])


@st.composite
def co_attention(draw: st.DrawFn, subject: Implementation, padding: tuple[str, ...] = PADDINGS) -> Posed:
    """Regions and tokens of unequal numbers, padded ones among them; energies that saturate now and then."""
    s = few(draw, subject, d=(1, 2, 3), numbers=("normal", "small integers", "tiny"))
    hidden = draw(st.sampled_from((1, 2, 4)), label="a")
    energy = draw(st.sampled_from((1.0, 20.0)), label="energies times")
    masks = {"vision_mask": padded(draw, s, s.n, "vision", padding), "text_mask": padded(draw, s, s.m, "text", padding)}
    keywords = {name: mask for name, mask in masks.items() if mask is not None}
    weights = s.tensor(s.d, s.d), s.tensor(s.d, hidden), s.tensor(s.d, hidden), s.tensor(hidden, times=energy), s.tensor(hidden, times=energy)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        there = [np.ones((s.b, length), dtype=np.bool_) if mask is None else mask.numpy() for length, mask in zip((s.n, s.m), masks.values(), strict=True)]
        return summaries(t, *there)

    return called(
        s,
        (s.tensor(s.b, s.n, s.d), s.tensor(s.b, s.m, s.d), *weights),
        define,
        (s.b, 2, s.d),
        keywords=keywords,
        batched=(0, 1, *keywords),
        regimes=(f"energies times {energy:g}", "sides: " + ("equal" if s.n == s.m else "unequal"), *(f"{name}: {name in keywords}" for name in masks)),
    )


case("co-attention")(co_attention)


def summaries(t: Mapping[Place, Tracked], there_v: Flags, there_t: Flags) -> Tracked:
    """The definition, pair by pair: what region n gives token m, and token m region n, goes through one affinity."""
    affinity = tanh(contract("bnd,de,bme->bnm", t[0], t[2], t[1])).where(there_v[:, :, None] & there_t[:, None])
    of_v, of_t = contract("bnd,da->bna", t[0], t[3]), contract("bmd,da->bma", t[1], t[4])
    hidden_v = tanh(of_v + contract("bnm,bma->bna", affinity, of_t))
    hidden_t = tanh(of_t + contract("bnm,bna->bma", affinity, of_v))
    sides = ((hidden_v, t[5], t[0], there_v), (hidden_t, t[6], t[1], there_t))
    return stack([contract("bn,bnd->bd", softmax(contract("bna,a->bn", h, e), there), x) for h, e, x, there in sides], 1)
