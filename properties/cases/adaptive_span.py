"""Adaptive span: weights in proportion to a soft mask on the distance times the exponential of the score."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch

from impl.variant import Implementation
from properties.cases.scored import SCALES
from properties.posed import Place, Posed, case
from properties.posing import Masking, posed, sizes
from properties.simplex import factor
from properties.tolerance import rounding
from properties.tracked import Flags, Tracked, constant, contract, exact, softmax, stack

RAMPS = (1.0, 2.0, 3.5, 0.25, 32.0)
SPANS = (0.0, 1.0, 2.5, 0.3, 4.0, -0.75, -4.0, 100.0)


@st.composite
def adaptive_span(draw: st.DrawFn, /, subject: Implementation, ramps: tuple[float, ...] = RAMPS, spans: tuple[float, ...] = SPANS, **fixed: Any) -> Posed:
    """Reaches from nothing at all to far beyond the sequence, on whole distances and off them; a span for each head, or one."""
    s = sizes(draw, subject, **fixed)
    ramp = draw(st.sampled_from(ramps), label="ramp")
    each = draw(st.booleans(), label="a span for each head")
    drawn = [draw(st.sampled_from(spans), label="span") for _ in range(s.h if each else 1)]
    span = torch.tensor(drawn if each else drawn[0], dtype=s.dtype)
    scale = draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale else None
    mask = masks(constant(span.double().numpy(), rounding(s.dtype, subject.arithmetic)), ramp, (s.h, s.n, s.m))
    visible = np.broadcast_to(mask.middle > 0, (s.b, s.h, s.n, s.m)) & causal(s.n, s.m)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        scores = contract("bhnd,bhmd->bhnm", t[0], t[1]) * factor(scale, s.d, t[0].rounding)
        return contract("bhnm,bhme->bhne", weights(scores, masks(t[3], ramp, (s.h, s.n, s.m))), t[2])

    return posed(
        s,
        Masking(keywords={}, visible=visible, graded=False, regime=f"ramp: {ramp:g}"),
        (s.query(), s.key(), s.value(), span, ramp),
        define,
        keywords={} if scale is None else {"scale": scale},
        wanted=(0, 1, 2, 3),
        ordered=("keys", "queries"),
        regimes=(f"spans: {'each head' if each else 'one'}", *sorted({f"span: {x:g}" for x in drawn})),
    )


case("adaptive-span")(adaptive_span)


def causal(n: int, m: int) -> Flags:
    return np.tril(np.ones((n, m), dtype=np.bool_))


def masks(span: Tracked, ramp: float, shape: tuple[int, int, int]) -> Tracked:
    """min(max((R + z − x) / R, 0), 1) [H, N, M]: the sum in any order."""
    distance = np.broadcast_to(np.arange(shape[1])[:, None] - np.arange(shape[2]), shape)
    reach = span.reshape(-1, 1, 1).broadcast(shape)
    given = constant(np.full(shape, ramp), span.rounding)
    return clamped(stack((reach, given, constant(-distance, span.rounding)), -1).sum(-1) / ramp)


def clamped(x: Tracked) -> Tracked:
    """min(max(x, 0), 1). Where it is in doubt whether x lies between 0 and 1, the gradient may pass or not.

    x ≤ 0 gives 0 exactly: rounding is monotonic, and in each order of R + z − x the last sum or difference is of numbers whose true sum is not above 0.
    """
    middle = x.middle
    inside = (middle > 0) & (middle < 1)
    doubtful = (np.abs(middle) <= x.off) | (np.abs(middle - 1) <= x.off)

    def pull(g: Tracked) -> Tracked:
        passed = g.where(inside)
        return Tracked(true=passed.true, off=np.where(doubtful, g.reach, passed.off), rounding=g.rounding)

    true = np.where(inside, x.true, exact(np.where(middle >= 1, 1.0, 0.0)))
    return Tracked(true=true, off=np.where(inside | (doubtful & (middle > 0)), x.off, 0.0), rounding=x.rounding, parents=((x, pull),))


def weights(scores: Tracked, mask: Tracked) -> Tracked:
    """mask · exp(score) over their sum, of keys j ≤ i in reach."""
    wide = mask.broadcast(scores.shape)
    seen = (wide.middle > 0) & causal(*scores.shape[2:])
    raised = softmax(scores, seen) * wide
    mass = raised.sum(-1, keepdims=True)
    return (raised / mass.where(np.asarray(seen.any(-1, keepdims=True)), 1.0)).where(seen)
