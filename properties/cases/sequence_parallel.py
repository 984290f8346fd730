"""Softmax attention of a sequence that several ranks share: by definition, that of the whole sequence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch

from impl.variant import Implementation
from properties.cases.scored import Scored, draw_scored
from properties.posed import Place, Posed, case
from properties.posing import Masking
from properties.simplex import attended
from properties.tolerance import Rounding
from properties.tracked import Flags, Tracked

WORLDS = (2, 3, 1, 4, 8)
LAYOUTS = ("contiguous", "zigzag", "striped")
SPREAD = ("no", "no", "rising", "falling", "alternating")  # how the scores of one part of the keys lie above or below those of the next


def merged(rounding: Rounding, keys: int, world: int, layout: str) -> Rounding:
    """The arithmetic where keys are folded shard by shard: `tile=None` says all keys that lie in one place at once, and a shard is a run of them, or two of
    2 · world in a zigzag. A shorter tile that is declared stays as it is."""
    runs = 2 * world if layout == "zigzag" else world
    if rounding.declared.tile is not None or runs == 1:
        return rounding
    tile = max(1, keys // runs)  # ⌈keys / tile⌉ is no less than the number of runs
    return replace(rounding, declared=replace(rounding.declared, tile=tile))


def attend(t: Mapping[Place, Tracked], scores: Tracked, visible: Flags, world: int, layout: str) -> Tracked:
    """softmax(scores) V over the visible keys."""
    folded = Tracked(true=scores.true, off=scores.off, rounding=merged(scores.rounding, scores.shape[-1], world, layout), parents=((scores, lambda g: g),))
    return attended(folded, t[2], visible)


def shared(call: Scored, world: int, layout: str, *, regimes: tuple[str, ...] = ()) -> Posed:
    """The call among so many ranks."""

    def define(t: Mapping[Place, Tracked], scores: Tracked, visible: Flags) -> Tracked:
        return attend(t, scores, visible, world, layout)

    return call.posed(define, world, keywords={"layout": layout}, regimes=(f"world: {world}", f"layout of shards: {layout}", *regimes))


def apart(call: Scored, spread: str, parts: int) -> Scored:
    """The call with keys in `parts`, whose scores lie about 100 apart (800 in float64): e^100 is beyond float32, e^800 beyond float64."""
    if spread == "no":
        return call
    query, key, value = (x.clone() for x in call.tensors)
    gap = (800.0 if call.sizes.dtype == torch.float64 else 100.0) * (call.sizes.d**0.5 if call.scale is None else 1.0)
    number = torch.arange(call.sizes.m) * parts // max(call.sizes.m, 1)
    level = {"rising": number, "falling": -number, "alternating": number % 2}[spread]
    query[..., 0], key[..., 0] = 1, (gap * level).to(key.dtype)
    return replace(call, tensors=(query, key, value))


@st.composite
def calls(draw: st.DrawFn, /, subject: Implementation, *, spreads: tuple[str, ...] = SPREAD, causal: tuple[bool, ...] = (False, True), **fixed: Any) -> Scored:
    """A call to be shared; `causal` and `spreads` narrow it, `fixed` its sizes. With spread scores the scale is 1 or the usual one."""
    limits = replace(subject.limits, masks=("none",), causal=subject.limits.causal and True in causal)
    call = draw_scored(draw, replace(subject, limits=limits), **fixed)
    if False not in causal and limits.causal:
        call = replace(call, mask=triangular(call))
    spread = draw(st.sampled_from(spreads), label="scores of parts")
    if spread != "no" and limits.scale:
        call = replace(call, scale=draw(st.sampled_from((None, 1.0)), label="scale of spread scores"))
    return apart(call, spread, draw(st.sampled_from((2, 3, 4)), label="parts"))


def triangular(call: Scored) -> Masking:
    """The causal mask of the call's sizes."""
    seen = np.tril(np.ones(call.mask.visible.shape, dtype=np.bool_))
    return replace(call.mask, keywords={"is_causal": True}, visible=seen, regime="mask: causal")


@case("sequence-parallel")
@st.composite
def sequence_parallel(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Any number of ranks, more of them than positions too, and every layout of shards."""
    call = draw(calls(subject))
    return shared(call, draw(st.sampled_from(WORLDS), label="world"), draw(st.sampled_from(LAYOUTS), label="layout of shards"))
