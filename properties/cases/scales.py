"""Attention at several scales, and from coarse to fine: cells of keys stand for their keys, or choose them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
from flint import arb

from impl.variant import Implementation
from properties.cases.retrieval import chosen, in_doubt, unbounded
from properties.posed import Posed, case
from properties.posing import Masking, Sizes, posed, sizes
from properties.simplex import attended, factor
from properties.tolerance import Rounding
from properties.tracked import Flags, Tracked, concatenate, contract, irrational, softmax

WIDTHS = ((1,), (1, 2), (2,), (3, 1), (1, 2, 4), (2, 2), (100,))


@st.composite
def multi_scale(draw: st.DrawFn, /, subject: Implementation, *, widths: tuple[tuple[int, ...], ...] = WIDTHS) -> Posed:
    """Cells of one key, of some, of more than there are; a last cell that is full or shorter; a width twice."""
    s = sizes(draw, subject)
    cells = draw(st.sampled_from(widths), label="widths")
    scale = draw(st.sampled_from((None, 1.0, 0.3, -0.5, 8.0)), label="scale")

    def define(t: Any) -> Tracked:
        pooling = concatenate([averaging(s.m, width, t[0].rounding) for width in cells], 0)
        scores = contract("bhnd,cm,bhmd->bhnc", t[0], pooling, t[1]) * factor(scale, s.d, t[0].rounding)
        return contract("bhnc,cm,bhme->bhne", softmax(scores), pooling, t[2])

    return posed(
        s,
        unmasked(s),
        (s.query(), s.key(), s.value(), list(cells)),
        define,
        keywords={} if scale is None else {"scale": scale},
        ordered=("keys",),
        regimes=(f"widths: {cells}",),
    )


case("multi-scale")(multi_scale)


@st.composite
def pyramid(draw: st.DrawFn, /, subject: Implementation, *, part: bool = False, everything: bool = False) -> Posed:
    """No cell, one, all but one, all, more than there are; scores that are normals, so that cells hardly ever tie. `part`: a cell is left out, and one chosen;
    `everything`: all are chosen."""
    s = replace(sizes(draw, subject), profile="plain", regime="normal")
    width = draw(st.sampled_from((2, 1, 3, 4, 100) if not part else (2, 1, 3)), label="width")
    count = -(-s.m // width)
    numbers = [count, count + 1, count + 100] if everything else [max(count - 1, 0)] if part else sorted({0, 1, 2, max(count - 1, 0), count, count + 1})
    top_k = draw(st.sampled_from(numbers), label="top_k")
    scale = draw(st.sampled_from((None, 1.0, 0.3, -0.5, 4.0)), label="scale")

    def define(t: Any) -> Tracked:
        kept, doubtful = choice(t, width, top_k, scale)
        scores = contract("bhnd,bhmd->bhnm", t[0], t[1]) * factor(scale, s.d, t[0].rounding)
        return attended(unbounded(scores, doubtful), t[2], kept[..., np.arange(s.m) // width])

    return posed(
        s,
        unmasked(s),
        (s.tensor(s.b, s.h, s.n, s.d), s.tensor(s.b, s.h, s.m, s.d), s.value(), width, top_k),
        define,
        keywords={} if scale is None else {"scale": scale},
        ordered=("keys",),
        regimes=("cells: " + ("none" if not top_k else "a part" if top_k < count else "all"), f"width: {width}"),
    )


case("pyramid")(pyramid)


def choice(t: Any, width: int, top_k: int, scale: float | None) -> tuple[Flags, Flags]:
    """The cells [B, H, N, C] of each row, and the rows [B, H, N, 1] in which others lie within the errors of the scores."""
    pooling = averaging(t[1].shape[2], width, t[0].rounding)
    coarse = contract("bhnd,cm,bhmd->bhnc", t[0], pooling, t[1]) * factor(scale, t[0].shape[-1], t[0].rounding)
    shown = np.ones(coarse.shape, dtype=np.bool_)
    kept = chosen(coarse.middle, shown, top_k)
    return kept, in_doubt(coarse, shown, kept)


def averaging(length: int, width: int, rounding: Rounding) -> Tracked:
    """The matrix [C, M] that takes keys to the means of their cells: 1 over a cell's own number of keys."""
    count = -(-length // width)
    true = np.full((count, length), arb(0), dtype=object)
    for j in range(length):
        cell = j // width
        true[cell, j] = 1 / arb(min(width, length - cell * width))
    return irrational(true, rounding)


def unmasked(s: Sizes) -> Masking:
    return Masking(keywords={}, visible=np.ones((s.b, s.h, s.n, s.m), dtype=np.bool_), graded=False, regime="mask: none")
