"""Sliding-window attention with sinks, for a sequence that comes in parts."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np

from impl.variant import Implementation
from properties.cases.cached import SCALES, cut, defined, grouped, hidden
from properties.posed import Posed, case
from properties.posing import posed, sizes


@st.composite
def window_cache(
    draw: st.DrawFn, subject: Implementation, *, windows: tuple[int, ...] = (1, 2, 3, 4), sinks: tuple[int, ...] = (0, 1, 2, 5), around: bool = False
) -> Posed:
    """Lengths at the window and twice it, and one either side; sinks that a window covers, and more of them than tokens."""
    s = sizes(draw, subject, square=True)
    window, first = draw(st.sampled_from(windows), label="window"), draw(st.sampled_from(sinks), label="sinks")
    near = tuple(max(x, 1) for x in (window - 1, window, window + 1, 2 * window - 1, 2 * window, 2 * window + 1))
    n = draw(st.sampled_from(near if around else (s.n, s.n, *near)), label="length")
    s = replace(s, n=n, m=n)
    scale = draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale else None
    s, groups = grouped(draw, subject, s)
    key_heads, parts = replace(s, h=groups), cut(draw, n)
    i, j = np.arange(n)[:, None], np.arange(n)
    visible = np.broadcast_to((j <= i) & ((j > i - window) | (j < first)), (s.b, s.h, n, n)).copy()
    return posed(
        s,
        hidden(visible, "no mask"),
        (s.query(), key_heads.key(), key_heads.value(), parts, window, first),
        lambda t: defined(t, s, groups, np.zeros((1, 1, n, n)), visible[:, :1], scale),
        keywords={} if scale is None else {"scale": scale},
        ordered=("keys", "queries"),
        regimes=(f"parts: {len(parts)}", f"length by window {window}: {n}", f"sinks: {first}"),
    )


case("window-cache")(window_cache)
