"""Binary attention. The signs of what is handed over are no matter of rounding; the mean sizes are."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st
import numpy as np

from impl.variant import Implementation
from properties.posed import Place, Posed, case
from properties.posing import masking, posed, sizes
from properties.simplex import factor
from properties.tracked import Tracked, contract, softmax


def in_bits(x: Tracked) -> Tracked:
    """mean|x| · σ(x) along the last axis, σ(0) = 1."""
    width = x.shape[-1]
    signs = np.where(x.middle >= 0, 1.0, -1.0)
    mean = (x * x.like(signs)).sum(-1, keepdims=True) / float(width)
    return mean * x.like(signs)


@case("binary")
@st.composite
def binary(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Zeros among the features, which count as positive; widths around a byte of signs."""
    s = sizes(draw, subject, widths=(1, 3, 7, 8, 9, 17))
    mask = masking(draw, subject, s)
    scale = draw(st.sampled_from((None, 1.0, 0.3, -0.5)), label="scale") if subject.limits.scale else None
    query, key = s.query(), s.key()
    if draw(st.booleans(), label="zeros"):
        query[..., -1:], key[..., :1] = 0, 0

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        scores = contract("bhnd,bhmd->bhnm", in_bits(t[0]), in_bits(t[1])) * factor(scale, s.d, t[0].rounding)
        return contract("bhnm,bhme->bhne", softmax(mask(scores, t), mask.visible), t[2])

    return posed(s, mask, (query, key, s.value()), define, keywords={} if scale is None else {"scale": scale}, wanted=(2,))
