"""Softmax attention in segments of queries: what it should return does not depend on their number."""

from __future__ import annotations

import hypothesis.strategies as st

from impl.variant import Implementation
from properties.cases.scored import draw_scored, weighted
from properties.posed import Posed, case
from properties.tracked import softmax


@case("checkpointed")
@st.composite
def checkpointed(draw: st.DrawFn, subject: Implementation) -> Posed:
    """More segments than queries too, and a last one that is shorter."""
    segments = draw(st.sampled_from((1, 2, 3, 7)), label="segments")
    keywords = {"segments": segments} if segments > 1 else {}
    return draw_scored(draw, subject).posed(weighted(softmax), keywords=keywords, regimes=(f"segments: {segments}",))
