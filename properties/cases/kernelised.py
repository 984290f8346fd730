"""What the definitions of attention by features share: the quotient of two sums over keys."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from properties.tracked import Tracked, constant, contract


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
