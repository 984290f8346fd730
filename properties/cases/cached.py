"""Incremental decoding: causal attention whose diagonal ends at the bottom right, whatever the parts are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.posed import Place, Posed, case
from properties.posing import Masking, Sizes, posed, sizes
from properties.simplex import factor
from properties.tracked import Tracked, constant, contract, softmax

SCALES = (None, 1.0, -0.5, 8.0)
PARTS = ("one", "single tokens", "prefill, then single tokens", "anywhere")


def cut(draw: st.DrawFn, n: int) -> tuple[int, ...]:
    """Lengths that sum to n: all at once, one by one, a prefill and then one by one, or anywhere, also at both ends and twice at one place."""
    kind = draw(st.sampled_from(PARTS), label="parts")
    if kind == "one":
        return (n,)
    if kind == "single tokens":
        return (1,) * n
    if kind == "anywhere":
        cuts = sorted(draw(st.lists(st.integers(0, n), min_size=1, max_size=4), label="cuts"))
        return tuple(b - a for a, b in zip([0, *cuts], [*cuts, n], strict=True))
    first = draw(st.integers(0, n), label="prefill")
    return (first, *(1,) * (n - first))


def hidden(visible: npt.NDArray[np.bool_], regime: str) -> Masking:
    """What a call hides by its positions alone: no keyword says so."""
    return Masking(keywords={}, visible=visible, graded=False, regime=regime)


def grouped(draw: st.DrawFn, subject: Implementation, s: Sizes) -> tuple[Sizes, int]:
    """As many heads of keys as of queries, one, or two for four: only there does it show which query reads which."""
    options = [(s.h, s.h)]
    if subject.limits.grouped_queries:
        options += [(s.h, 1), (4, 2)] if s.b * s.n * s.m <= 64 else [(s.h, 1)]
    h, groups = draw(st.sampled_from(options), label="heads")
    return replace(s, h=h), groups


@st.composite
def cached(draw: st.DrawFn, subject: Implementation) -> Posed:
    """As many keys as queries, or more; sequences that have fewer of those than others, or none; grouped queries; linear biases."""
    s = sizes(draw, subject)
    s = replace(s, n=min(s.n, s.m), m=max(s.n, s.m))
    s, groups = grouped(draw, subject, s)
    parts = cut(draw, s.n)
    scale = draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale else None
    past = torch.full((s.b,), s.m - s.n)
    keywords: dict[str, Tensor | float] = {} if scale is None else {"scale": scale}
    if draw(st.booleans(), label="past lengths"):
        past = torch.randint(0, s.m - s.n + 1, (s.b,), generator=s.random)
        keywords["past_lengths"] = past
    if draw(st.booleans(), label="slopes"):
        keywords["slopes"] = torch.tensor([2.0, 0.25, -0.5, 0.75][: s.h]).to(s.dtype)
    distance, visible = behind(s, past.numpy())
    key_heads = replace(s, h=groups)
    return posed(
        s,
        hidden(np.broadcast_to(visible, (s.b, s.h, s.n, s.m)).copy(), f"keys before: {s.m - s.n if s.m - s.n < 2 else 'some'}"),
        (s.query(), key_heads.key(), key_heads.value(), parts),
        lambda t: defined(t, s, groups, np.where(visible, distance, 0.0), visible, scale),
        keywords=keywords,
        wanted=(0, 1, 2, *(("slopes",) if "slopes" in keywords else ())),
        batched=(0, 1, 2, *(("past_lengths",) if "past_lengths" in keywords else ())),
        ordered=("keys", "queries"),
        regimes=(f"parts: {len(parts)}", f"past lengths: {'given' if 'past_lengths' in keywords else 'all'}", f"slopes: {'slopes' in keywords}"),
    )


case("cached")(cached)


def behind(s: Sizes, past: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """By how many positions key j lies behind row i, and whether the row sees it: [B, 1, N, M], written out pair by pair."""
    p = s.m - s.n
    distance, visible = np.zeros((s.b, 1, s.n, s.m)), np.zeros((s.b, 1, s.n, s.m), dtype=np.bool_)
    for b in range(s.b):
        for i in range(s.n):
            for j in range(s.m):
                distance[b, 0, i, j] = i + p - j if j >= p else past[b] + i - j
                visible[b, 0, i, j] = j < past[b] or p <= j <= p + i
    return distance, visible


def defined(
    t: Mapping[Place, Tracked], s: Sizes, groups: int, distance: npt.NDArray[np.float64], visible: npt.NDArray[np.bool_], scale: float | None
) -> Tracked:
    """softmax(scale · q kᵀ − slope · distance) over what a row sees, times the values; the batch is the leaves' own."""
    b, of = t[0].shape[0], np.arange(s.h) // (s.h // groups)
    key, value = t[1][:, of], t[2][:, of]
    scores = contract("bhnd,bhmd->bhnm", t[0], key) * factor(scale, s.d, t[0].rounding)
    if "slopes" in t:
        scores = scores - t["slopes"].reshape(1, s.h, 1, 1) * constant(distance[-b:], t[0].rounding)
    weights = softmax(scores, np.broadcast_to(visible[-b:], scores.shape))
    return contract("bhnm,bhme->bhne", weights, value)
