"""Calls of the variants with scores scale · q kᵀ + mask and a normaliser of their own: how they are drawn, whatever makes weights of the scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import hypothesis.strategies as st
import numpy as np
from torch import Tensor

from impl.variant import Implementation
from properties.narrowed import entering, leaving
from properties.posed import Place, Posed
from properties.posing import Masking, Sizes, masking, posed, sizes
from properties.simplex import factor
from properties.tracked import Flags, Tracked, contract

Normalise = Callable[[Mapping[Place, Tracked], Tracked, Flags], Tracked]  # leaves, scores, visible → output
SCALES = (None, 1.0, 0.3, -0.5, 0.0, 8.0)  # 8 saturates; integer scores at 1 tie, also at the threshold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scored:
    """Sizes, mask, scale and the three tensors of a call."""

    sizes: Sizes
    mask: Masking
    scale: float | None
    tensors: tuple[Tensor, Tensor, Tensor]

    @property
    def keywords(self) -> dict[str, Any]:
        return self.mask.keywords | ({} if self.scale is None else {"scale": self.scale})

    def scores(self, t: Mapping[Place, Tracked]) -> Tracked:
        """scale · q kᵀ + mask [B, H, N, M]; hidden pairs have theirs without the mask."""
        return self.mask(contract("bhnd,bhmd->bhnm", t[0], t[1]) * factor(self.scale, self.sizes.d, t[0].rounding), t)

    def posed(self, normalise: Normalise, *beside: Any, keywords: Mapping[str, Any] | None = None, regimes: tuple[str, ...] = (), **fields: Any) -> Posed:
        """The call, with further arguments after the value and further keywords."""
        given = dict(keywords or {})
        graded = (name for name, x in given.items() if isinstance(x, Tensor))
        return posed(
            self.sizes,
            self.mask,
            (*self.tensors, *beside),
            lambda t: normalise(t, self.scores(t), self.mask.visible),
            keywords=given | ({} if self.scale is None else {"scale": self.scale}),
            wanted=(0, 1, 2, *graded),
            regimes=(f"scale: {self.scale}", *regimes),
            **fields,
        )


def draw_scored(draw: st.DrawFn, subject: Implementation, **fixed: Any) -> Scored:
    """Inside the limits; `fixed` narrows the sizes."""
    s = sizes(draw, subject, **fixed)
    mask = masking(draw, subject, s)
    scale = draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale else None
    return Scored(sizes=s, mask=mask, scale=scale, tensors=(s.query(), s.key(), s.value()))


def weighted(weights: Callable[[Tracked, Flags], Tracked]) -> Normalise:
    """The output of weights that depend on the scores alone. Where weights are rounded to the inputs' dtype, so is the gradient of the scores."""
    return lambda t, scores, visible: contract("bhnm,bhme->bhne", entering(weights(leaving(scores), np.broadcast_to(visible, scores.shape))), t[2])
