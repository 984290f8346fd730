"""What the definitions of attention by features share: the padding that a call draws, and the quotient of two sums over keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch

from impl.variant import Implementation
from properties.posed import Place, Sizes
from properties.tracked import Tracked, constant, contract


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Padding:
    """The keywords `attn_mask` and `is_causal` of a call, and the visible pairs [B, H, N, M]."""

    keywords: dict[str, Any]
    visible: npt.NDArray[np.bool_]
    regime: str

    @property
    def batched(self) -> tuple[Place, ...]:
        """A mask for each sequence goes with its sequence."""
        return ("attn_mask",) if "attn_mask" in self.keywords and self.keywords["attn_mask"].dim() == 4 else ()

    @property
    def by_key(self) -> dict[Place, int]:
        return {"attn_mask": -1} if "attn_mask" in self.keywords else {}

    @property
    def ordered(self) -> tuple[str, ...]:
        return ("keys", "queries") if "is_causal" in self.keywords else ()


PADDINGS = ("none", "ends apart", "one row", "first hidden", "all hidden")


def padding(draw: st.DrawFn, subject: Implementation, s: Sizes, *, causal: tuple[bool, ...] = (False, True)) -> Padding:
    """Which keys all rows see, drawn apart from causality: both count together."""
    limits = subject.limits
    regime = draw(st.sampled_from(PADDINGS if "boolean" in limits.masks else PADDINGS[:1]), label="padding")
    is_causal = limits.causal and draw(st.sampled_from(causal), label="is_causal")
    keep = {
        "none": None,
        "ends apart": torch.arange(s.m) < torch.randint(0, s.m + 1, (s.b, 1, 1, 1), generator=s.random),
        "one row": torch.rand((1, s.m), generator=s.random) < 0.6,
        "first hidden": (torch.arange(s.m) >= (s.m + 1) // 2).reshape(1, s.m),
        "all hidden": torch.zeros((1, s.m), dtype=torch.bool),
    }[regime]
    visible = np.ones((s.b, s.h, s.n, s.m), dtype=np.bool_)
    if keep is not None:
        visible &= keep.numpy()
    if is_causal:
        visible &= np.tril(np.ones((s.n, s.m), dtype=np.bool_))
    keywords: dict[str, Any] = ({} if keep is None else {"attn_mask": keep}) | ({"is_causal": True} if is_causal else {})
    return Padding(keywords=keywords, visible=visible, regime=f"padding: {regime}{', causal' if is_causal else ''}")


def ratio(rows: Tracked, columns: Tracked, value: Tracked, visible: npt.NDArray[np.bool_]) -> Tracked:
    """Σ_j φ(q_i)·φ(k_j) v_j / Σ_j φ(q_i)·φ(k_j) over visible keys, of features [B, H, N, F] and [B, H, M, F]: each sum in any association. Zero where the
    second sum is."""
    if visible.all():
        sums = contract("bhnf,bhmf,bhme->bhne", rows, columns, value), contract("bhnf,bhmf->bhn", rows, columns)
    else:
        seen = constant(visible.astype(np.float64), rows.rounding)
        sums = contract("bhnf,bhmf,bhnm,bhme->bhne", rows, columns, seen, value), contract("bhnf,bhmf,bhnm->bhn", rows, columns, seen)
    mass = sums[1].reshape(*sums[1].shape, 1)
    return sums[0] / mass.where(~exactly_zero(mass), 1.0)


_is_zero = np.frompyfunc(lambda x: x.is_zero(), 1, 1)


def exactly_zero(x: Tracked) -> npt.NDArray[np.bool_]:
    """Where the true value is 0, and not only so small that float64 has no number for it."""
    return np.asarray(_is_zero(x.true), dtype=np.bool_)
