"""Retrieval-augmented attention: the local keys and each row's best entries of a memory in one softmax."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch

from impl.variant import Implementation
from properties.posed import Place, Posed, case
from properties.posing import Masking, posed, sizes
from properties.simplex import attended, factor
from properties.tracked import Flags, Tracked, concatenate, contract

ENTRIES = (1, 2, 3, 4, 5, 7, 0)
SCALES = (None, 1.0, 0.3, -0.5, 4.0)  # not 0: all entries would tie
MASKS = ("none", "one row", "each row", "all hidden", "per sequence")


@st.composite
def retrieval(
    draw: st.DrawFn, /, subject: Implementation, entries: tuple[int, ...] = ENTRIES, top_k: tuple[int, ...] = (), masks: tuple[str, ...] = MASKS,
    causal: tuple[bool, ...] = (False, True), **fixed: Any,
) -> Posed:  # fmt: skip
    """Nothing retrieved, one entry, all but one, all, more than there are; scores that are normals, so that they hardly ever tie."""
    s = replace(sizes(draw, subject, **fixed), profile="plain")
    r = draw(st.sampled_from(entries), label="entries")
    number = draw(st.sampled_from(top_k or sorted({0, 1, 2, max(r - 1, 0), r, r + 1}, key=lambda x: (abs(x - 2), x))), label="top_k")
    scale = draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale else None
    is_causal = subject.limits.causal and draw(st.sampled_from(causal), label="is_causal")
    regime = draw(st.sampled_from(masks), label="memory mask")
    mask = {
        "none": None,
        "one row": torch.rand((1, r), generator=s.random) < 0.6,
        "each row": torch.rand((s.n, r), generator=s.random) < 0.6,
        "all hidden": torch.zeros((1, r), dtype=torch.bool),
        "per sequence": torch.rand((s.b, 1, s.n, r), generator=s.random) < 0.6,
    }[regime]
    times = draw(st.sampled_from((1.0, 3.0)), label="memory times")
    tensors = (
        s.tensor(s.b, s.h, s.n, s.d, regime="normal"),
        s.key(),
        s.value(),
        s.tensor(s.b, s.h, r, s.d, regime="normal", times=times),
        s.tensor(s.b, s.h, r, s.e),
    )
    seen = np.broadcast_to(np.tril(np.ones((s.n, s.m), dtype=np.bool_)) if is_causal else np.True_, (s.b, s.h, s.n, s.m)).copy()
    shown = np.broadcast_to(np.True_ if mask is None else mask.numpy(), (s.b, s.h, s.n, r))
    keywords: dict[str, Any] = ({} if scale is None else {"scale": scale}) | ({"is_causal": True} if is_causal else {})
    return posed(
        s,
        Masking(keywords={}, visible=seen, graded=False, regime=f"memory mask: {regime}{', causal' if is_causal else ''}"),
        (*tensors, number),
        lambda t: joined(t, seen, shown, number, scale),
        keywords=keywords | ({} if mask is None else {"memory_mask": mask}),
        wanted=(0, 1, 2, 3, 4),
        batched=(0, 1, 2, 3, 4, *(("memory_mask",) if regime == "per sequence" else ())),
        values=(2, 4),
        by_query={0: 2, **({"memory_mask": -2} if mask is not None else {})},
        ordered=("keys", "queries") if is_causal else (),
        regimes=("top_k: " + ("0" if number == 0 else "a part" if number < r else "all"),),
    )


case("retrieval")(retrieval)


def products(t: Mapping[Place, Tracked], place: int, scale: float | None) -> Tracked:
    """scale · q kᵀ with the keys at a place."""
    return contract("bhnd,bhmd->bhnm", t[0], t[place]) * factor(scale, t[0].shape[-1], t[0].rounding)


def joined(t: Mapping[Place, Tracked], seen: Flags, shown: Flags, top_k: int, scale: float | None) -> Tracked:
    """The definition; about rows in which another choice lies within the errors of the scores, nothing is promised."""
    local, remembered = products(t, 1, scale), products(t, 3, scale)
    kept = chosen(remembered.middle, shown, top_k)
    doubtful = in_doubt(remembered, shown, kept)
    scores = concatenate((local, unbounded(remembered, doubtful)), 3)
    return attended(scores, concatenate((t[2], t[4]), 2), np.concatenate((np.broadcast_to(seen, local.shape), kept), 3))


def chosen(scores: np.ndarray[Any, np.dtype[np.float64]], shown: Flags, top_k: int) -> Flags:
    """Which entries shown are the `top_k` highest of their row, the first of equal ones."""
    order = np.argsort(np.where(shown, -scores, np.inf), axis=-1, kind="stable")
    rank = np.argsort(order, axis=-1, kind="stable")
    return np.asarray(shown & (rank < top_k))


def in_doubt(scores: Tracked, shown: Flags, kept: Flags) -> Flags:
    """Rows [B, H, N, 1] in which an entry left out may come out as high as one that is kept."""
    off = 2 * scores.off
    least = np.where(kept, scores.middle - off, np.inf).min(-1, keepdims=True, initial=np.inf)
    most = np.where(shown & ~kept, scores.middle + off, -np.inf).max(-1, keepdims=True, initial=-np.inf)
    return np.asarray(kept.any(-1, keepdims=True) & (least <= most))


def unbounded(x: Tracked, rows: Flags) -> Tracked:
    """The same numbers, without a promise about some rows."""
    off = np.where(rows, np.inf, x.off)
    return Tracked(true=x.true, off=off, rounding=x.rounding, parents=((x, lambda g: g),))
