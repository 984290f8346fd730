"""Sparsemax attention."""

from __future__ import annotations

import hypothesis.strategies as st

from impl.variant import Implementation
from properties.cases.scored import draw_scored, weighted
from properties.posed import Posed, case
from properties.simplex import sparsemax


@case("sparsemax")
@st.composite
def posed(draw: st.DrawFn, subject: Implementation) -> Posed:
    return draw_scored(draw, subject).posed(weighted(sparsemax))
