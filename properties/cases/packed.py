"""Packed sequences: attention in which a row sees the keys of its own sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch

from impl.variant import Implementation
from properties.cases.scored import SCALES
from properties.posed import Place, Posed, case
from properties.posing import Masking, posed, sizes
from properties.simplex import attended, factor
from properties.tracked import Flags, Tracked, contract

FORMS = ("list", "tensor")


@st.composite
def packed(draw: st.DrawFn, /, subject: Implementation, **fixed: Any) -> Posed:
    """Up to five sequences, empty ones on either side among them; rows and keys as long as each other or not; padding behind the last one, or none."""
    s = sizes(draw, subject, **fixed)
    count = draw(st.integers(1, 5), label="sequences")
    alike = s.n == s.m and draw(st.booleans(), label="self-attention")
    lengths_q = drawn_lengths(draw, s.n, count)
    lengths_k = lengths_q if alike else drawn_lengths(draw, s.m, count)
    is_causal = subject.limits.causal and draw(st.booleans(), label="is_causal")
    scale = draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale else None
    visible = np.broadcast_to(own_keys(lengths_q, lengths_k, (s.n, s.m), is_causal), (s.b, s.h, s.n, s.m)).copy()
    form = draw(st.sampled_from(FORMS), label="lengths as")
    padding = (s.n - sum(lengths_q), s.m - sum(lengths_k))
    regime = f"{count} sequences, {'with' if any(padding) else 'without'} padding{', causal' if is_causal else ''}"

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        scores = contract("bhnd,bhmd->bhnm", t[0], t[1]) * factor(scale, s.d, t[0].rounding)
        return attended(scores, t[2], visible)

    return posed(
        s,
        Masking(keywords={}, visible=visible, graded=False, regime=regime),
        (s.query(), s.key(), s.value(), as_form(lengths_q, form), as_form(lengths_k, form)),
        define,
        keywords=({"is_causal": True} if is_causal else {}) | ({} if scale is None else {"scale": scale}),
        ordered=("keys", "queries"),
        regimes=(f"lengths as {form}", *(("an empty sequence",) if 0 in (*lengths_q, *lengths_k) else ())),
    )


case("packed")(packed)


def drawn_lengths(draw: st.DrawFn, slots: int, count: int) -> list[int]:
    """Lengths of so many sequences, cut anywhere, twice at one place too; in half of the draws they fill all slots."""
    cuts = sorted(draw(st.integers(0, slots), label="cut") for _ in range(count - 1))
    last = cuts[-1] if cuts else 0
    end = slots if draw(st.booleans(), label="full") else draw(st.integers(last, slots), label="end")
    return [b - a for a, b in pairwise([0, *cuts, end])]


def as_form(lengths: Sequence[int], form: str) -> Any:
    """Lengths as a call may give them."""
    return list(lengths) if form == "list" else torch.tensor(lengths, dtype=torch.int64)


def places(lengths: Any) -> list[slice]:
    """The slots of each sequence."""
    return [slice(a, b) for a, b in pairwise(accumulate((int(x) for x in lengths), initial=0))]


def own_keys(lengths_q: Sequence[int], lengths_k: Sequence[int], shape: tuple[int, int], is_causal: bool) -> Flags:
    """Whether row i and key j are of one sequence, and, if causal, j no later in it than i."""
    owners, inside = [], []
    for lengths, slots in zip((lengths_q, lengths_k), shape, strict=True):
        of = np.repeat(np.arange(len(lengths)), lengths)
        owners.append(np.concatenate((of, np.full(slots - len(of), -1))))
        inside.append(np.concatenate((*(np.arange(length) for length in lengths), np.zeros(slots - len(of)))))
    same = (owners[0][:, None] == owners[1]) & (owners[1] >= 0)
    return np.asarray(same & (inside[1] <= inside[0][:, None]) if is_causal else same)
