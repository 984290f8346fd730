"""Pruned attention. Where a key lies so near to the cut that rounding may decide, no more is promised of its row than that weights are from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch

from impl.variant import Implementation
from properties.cases.scored import Scored, draw_scored
from properties.oracle import Array
from properties.posed import Place, Posed, case
from properties.tracked import Flags, Tracked, contract, softmax


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pruned:
    """A call with scores, and what it drops: keys below a share of the largest weight, keys beyond the k best, heads."""

    scored: Scored
    threshold: float
    top_k: int | None
    heads: tuple[bool, ...] | None

    @property
    def keywords(self) -> dict[str, Any]:
        given: dict[str, Any] = {"threshold": self.threshold} if self.threshold else {}
        given |= {} if self.top_k is None else {"top_k": self.top_k}
        return given | ({} if self.heads is None else {"head_mask": torch.tensor(self.heads)})

    def output(self, t: Mapping[Place, Tracked], scores: Tracked, visible: Flags) -> Tracked:
        kept, doubtful = self.kept(scores, visible)
        weights = softmax(scores, kept)
        weights.off = np.where(doubtful, 1 + weights.rounding.gamma(4), weights.off)  # no weight leaves [0, 1], but for its own roundings
        return contract("bhnm,bhme->bhne", weights.where(self.on), t[2])

    @property
    def on(self) -> Flags:
        """[H, 1, 1]: which heads are not switched off."""
        return np.asarray(self.heads or (True,) * self.scored.sizes.h)[:, None, None]

    def kept(self, scores: Tracked, visible: Flags) -> tuple[Flags, Flags]:
        """The keys of each row that are kept [B, H, N, M], and the rows in doubt [B, H, N, 1], of which every key that is seen may be."""
        seen = np.broadcast_to(visible, scores.shape)
        s = np.where(seen, scores.middle, -np.inf)
        top = s.max(-1, keepdims=True, initial=-np.inf)
        kept, doubtful = seen, np.zeros(top.shape, dtype=np.bool_)
        for cut in self.cuts(s, top):
            gap = np.where(seen, np.abs(s - np.where(np.isfinite(cut), cut, 0)), np.inf)
            near = np.isfinite(cut) & (gap <= margin(scores, s, top))
            doubtful = doubtful | near.any(-1, keepdims=True)
            kept = kept & (s >= cut)
        return kept | (seen & doubtful), doubtful

    def cuts(self, s: Array, top: Array) -> list[Array]:
        """The scores from which keys are kept; between the k-th best and the next one, halfway."""
        found = [top + math.log(self.threshold)] if self.threshold else []
        if self.top_k is not None and self.top_k < s.shape[-1]:
            falling = -np.sort(-s, axis=-1)
            last, beyond = falling[..., self.top_k - 1, None], falling[..., self.top_k, None]
            with np.errstate(invalid="ignore"):
                found.append(np.where(np.isfinite(beyond), (last + beyond) / 2, -np.inf))
        return found

    def posed(self, **fields: Any) -> Posed:
        regimes = f"threshold: {self.threshold:g}", f"top-k: {self.top_k}", "heads: all" if self.heads is None else "heads: some"
        x = self.scored.posed(self.output, regimes=regimes, **fields)
        return replace(x, keywords=x.keywords | self.keywords)


def margin(scores: Tracked, s: Array, top: Array) -> Array:
    """By how much two logarithms of weights of one row may be nearer to each other than they should be: two scores' errors, and two exponentials' and two
    quotients' roundings at that distance from the largest."""
    a = scores.rounding
    depth = np.where(np.isfinite(s), np.where(np.isfinite(top), top, 0) - np.where(np.isfinite(s), s, 0), 0)
    off = np.where(np.isfinite(s), scores.off, 0)
    own = 4 * a.exp + a.gamma(2 * a.declared.exponent_roundings + 4) * (1 + depth + np.abs(top_or_zero(top)))
    return np.asarray(off + off.max(-1, keepdims=True, initial=0) + own)


def top_or_zero(top: Array) -> Array:
    return np.where(np.isfinite(top), top, 0)


@st.composite
def drawn(draw: st.DrawFn, subject: Implementation, *, heads: bool = True) -> Pruned:
    scored = draw_scored(draw, subject)
    top_k = draw(st.sampled_from((None, 1, 2, 3, 40)), label="top_k")
    chosen = draw(st.sampled_from((False, True)), label="heads") and heads
    return Pruned(
        scored=scored,
        threshold=draw(st.sampled_from((0.0, 0.3, 0.0, 0.7, 1e-3)), label="threshold"),
        top_k=top_k,
        heads=tuple(draw(st.lists(st.booleans(), min_size=scored.sizes.h, max_size=scored.sizes.h), label="on")) if chosen else None,
    )


@case("pruned")
@st.composite
def pruned(draw: st.DrawFn, subject: Implementation) -> Posed:
    return draw(drawn(subject)).posed()
