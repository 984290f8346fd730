"""Attention dropout with the mask given."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.cases.scored import Normalise, draw_scored
from properties.posed import Place, Posed, case
from properties.simplex import attended
from properties.tracked import Flags, Tracked, constant

RATES = (0.5, 0.0, 0.1, 0.75, 0.9, 1.0)


def dropped(kept: Tensor, rate: float) -> Normalise:
    """The weights of softmax, those that are kept over 1 − rate; the denominator knows nothing of it."""

    def output(t: Mapping[Place, Tracked], scores: Tracked, visible: Flags) -> Tracked:
        ones = constant(np.ones(()), scores.rounding)
        times = ones / (ones - rate) if rate < 1 else constant(np.zeros(()), scores.rounding)
        keep = np.broadcast_to(kept.numpy(), scores.shape)
        return attended(scores, t[2], visible, times.broadcast(scores.shape).where(keep))

    return output


@case("dropout")
@st.composite
def posed(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Masks for every pair or one row of them for all, all kept, none kept; dropout_p 0 and 1."""
    call = draw_scored(draw, subject)
    s, rate = call.sizes, draw(st.sampled_from(RATES), label="dropout_p")
    shape = (s.b, s.h, s.n if draw(st.booleans(), label="of each row") else 1, s.m)
    share = draw(st.sampled_from((1 - rate, 0.5, 1.0, 0.0)), label="kept")
    kept = torch.rand(shape, generator=s.random, dtype=torch.float64) < share
    return call.posed(
        dropped(kept, rate),
        kept,
        rate,
        batched=(0, 1, 2, 3),
        by_key={1: 2, 2: 2, 3: -1},
        by_query={0: 2, 3: -2},
        regimes=(f"dropout_p: {rate}", f"kept: {share:g}"),
    )
