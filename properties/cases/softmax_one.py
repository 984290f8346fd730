"""Softmax-one, and a sink logit for each head."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st
import numpy as np
import torch

from impl.variant import Implementation
from properties.cases.scored import draw_scored
from properties.inputs import plain
from properties.posed import Place, Posed, case
from properties.simplex import attended
from properties.tracked import Flags, Tracked, concatenate, constant

SINKS = (0.0, 1.5, -3.0, 20.0, -20.0, -float("inf"))


def sunk(t: Mapping[Place, Tracked], scores: Tracked, visible: Flags) -> Tracked:
    """A key of value 0 and the sink's score, which every row sees; with a sink of −∞ there is none."""
    b, h, n, _ = scores.shape
    value = concatenate((t[2], constant(np.zeros((b, h, 1, t[2].shape[3])), scores.rounding)), 2)
    sinks = t["sinks"] if "sinks" in t else constant(np.zeros(h), scores.rounding)
    there = np.isfinite(sinks.middle)
    column = sinks.where(there).reshape(1, h, 1, 1).broadcast((b, h, n, 1))
    seen = np.concatenate((visible, np.broadcast_to(there[None, :, None, None], (b, h, n, 1))), 3)
    return attended(concatenate((scores, column), 3), value, seen)


@case("softmax-one")
@st.composite
def posed(draw: st.DrawFn, subject: Implementation) -> Posed:
    """The literal 1, or a sink a head, far above and far below the scores too, and −∞."""
    call = draw_scored(draw, subject)
    if not draw(st.booleans(), label="sinks"):
        return call.posed(sunk, regimes=("sinks: none",))
    sinks = torch.tensor([draw(st.sampled_from(SINKS), label="sink") for _ in range(call.sizes.h)], dtype=call.sizes.dtype)
    regimes = tuple({f"sink: {x:g}" for x in plain(sinks).tolist()})
    return call.posed(sunk, keywords={"sinks": sinks}, regimes=regimes)
