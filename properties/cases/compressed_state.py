"""Attention over recent tokens and a compressed past, for a sequence that comes in parts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt

from impl.variant import Implementation
from properties.cases.cached import SCALES, cut, grouped, hidden
from properties.posed import Place, Posed, case
from properties.posing import posed, sizes
from properties.simplex import factor
from properties.tracked import Flags, Tracked, concatenate, contract, softmax


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """What row i sees, written out row by row: groups [N, N // group] and single tokens [N, N]."""

    n: int
    window: int
    group: int
    slots: int

    def seen(self) -> tuple[Flags, Flags]:
        groups, single = np.zeros((self.n, self.n // self.group), dtype=np.bool_), np.zeros((self.n, self.n), dtype=np.bool_)
        for i in range(self.n):
            done = 0
            while (done + 1) * self.group + self.window <= i + 1:  # one more group, and a window behind it
                done += 1
            groups[i, max(done - self.slots, 0) : done] = True
            single[i, done * self.group : i + 1] = True
        return groups, single

    def visible(self) -> Flags:
        """Which tokens act on a row, alone or in a mean [N, N]."""
        groups, single = self.seen()
        covered = np.zeros_like(single)
        covered[:, : groups.shape[1] * self.group] = groups.repeat(self.group, 1)
        return covered | single


@st.composite
def compressed_state(draw: st.DrawFn, subject: Implementation, *, groups: tuple[int, ...] = (2, 3, 1), slots: tuple[int, ...] = (2, 1, 0, 4)) -> Posed:
    """Lengths at which a group is about to be compressed, and one is about to be dropped; groups of one token; no slot at all."""
    s = sizes(draw, subject, square=True)
    past = Past(
        n=0,
        window=draw(st.sampled_from((1, 2, 3)), label="window"),
        group=draw(st.sampled_from(groups), label="group"),
        slots=draw(st.sampled_from(slots), label="slots"),
    )
    near = past.window + past.group, past.window + past.group * (past.slots + 1)
    n = draw(st.sampled_from((s.n, *(min(x + off, 11) for x in near for off in (-1, 0, 1)))), label="length")
    s, past = replace(s, n=n, m=n), replace(past, n=n)
    scale = draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale else None
    s, heads = grouped(draw, subject, s)
    key_heads, parts = replace(s, h=heads), cut(draw, n)
    visible = np.broadcast_to(past.visible(), (s.b, s.h, n, n)).copy()
    return posed(
        s,
        hidden(visible, "no mask"),
        (s.query(), key_heads.key(), key_heads.value(), parts, past.window, past.group, past.slots),
        lambda t: defined(t, past, s.h // heads, scale),
        keywords={} if scale is None else {"scale": scale},
        ordered=("keys", "queries"),
        regimes=(f"parts: {len(parts)}", f"window: {past.window}", f"group: {past.group}", f"slots: {past.slots}"),
    )


case("compressed-state")(compressed_state)


def defined(t: Mapping[Place, Tracked], past: Past, repeats: int, scale: float | None) -> Tracked:
    """Softmax over means and tokens, every one of them as one key."""
    of: npt.NDArray[np.int64] = np.arange(t[0].shape[1]) // repeats
    key, value = (with_means(t[place], past)[:, of] for place in (1, 2))
    scores = contract("bhnd,bhmd->bhnm", t[0], key) * factor(scale, t[0].shape[3], t[0].rounding)
    weights = softmax(scores, np.concatenate(past.seen(), -1))
    return contract("bhnm,bhme->bhne", weights, value)


def with_means(x: Tracked, past: Past) -> Tracked:
    """The means of whole groups, then the tokens, along the axis 2."""
    b, h, _, width = x.shape
    whole = past.n // past.group
    grouped = x[:, :, : whole * past.group].reshape(b, h, whole, past.group, width)
    return concatenate((grouped.sum(3) / float(past.group), x), 2)
