"""Sigmoid attention."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st

from impl.variant import Implementation
from properties.cases.scored import Normalise, draw_scored
from properties.posed import Place, Posed, case
from properties.tracked import Flags, Tracked, contract, sigmoid

BIASES = (None, 0.0, -2.0, 1.5, -30.0, 30.0)  # the last two saturate


def biased(bias: float) -> Normalise:
    """σ(score + bias), not normalised."""

    def output(t: Mapping[Place, Tracked], scores: Tracked, visible: Flags) -> Tracked:
        return contract("bhnm,bhme->bhne", sigmoid(scores + bias if bias else scores).where(visible), t[2])

    return output


@case("sigmoid")
@st.composite
def posed(draw: st.DrawFn, subject: Implementation) -> Posed:
    """With the bias left out, and with one that saturates the weights at either end."""
    bias = draw(st.sampled_from(BIASES), label="bias")
    keywords = {} if bias is None else {"bias": bias}
    return draw_scored(draw, subject).posed(biased(bias or 0.0), keywords=keywords, regimes=(f"bias: {bias}",))
