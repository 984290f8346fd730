"""What the definitions of attention by features share: the quotient of two sums over keys."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from properties.tracked import Tracked, bare, constant, contract, fold


def ratio(rows: Tracked, columns: Tracked, value: Tracked, visible: npt.NDArray[np.bool_]) -> Tracked:
    """Σ_j φ(q_i)·φ(k_j) v_j / Σ_j φ(q_i)·φ(k_j) over visible keys, of features [B, H, N, F] and [B, H, M, F]: each sum in any association. Zero where the
    second sum is."""
    if visible.all():
        sums = contract("bhnf,bhmf,bhme->bhne", rows, columns, value), contract("bhnf,bhmf->bhn", rows, columns)
    else:
        seen = constant(visible.astype(np.float64), rows.rounding)
        sums = contract("bhnf,bhmf,bhnm,bhme->bhne", rows, columns, seen, value), contract("bhnf,bhmf,bhnm->bhn", rows, columns, seen)
    mass = sums[1].reshape(*sums[1].shape, 1)
    return saved(sums[0] / mass.where(~exactly_zero(mass), 1.0))


def saved(output: Tracked) -> Tracked:
    """A quotient whose backward takes the gradient of the divisor, −g · output / divisor, from the output as it was saved: rounded to the inputs' dtype, where
    the implementation declares that (`Arithmetic(saved_output="input")`)."""
    a = output.rounding
    if not a.u_saved:
        return output
    (over, of_over), (under, _) = output.parents
    kept = bare(output)
    with np.errstate(invalid="ignore"):
        kept.off = np.where(output.reach < a.largest_out, output.off + a.u_saved * output.reach + a.least_out, np.inf)
    output.parents = ((over, of_over), (under, lambda g: fold(-(g * kept) / under, under.shape)))
    return output


_is_zero = np.frompyfunc(lambda x: x.is_zero(), 1, 1)


def exactly_zero(x: Tracked) -> npt.NDArray[np.bool_]:
    """Where the true value is 0, and not only so small that float64 has no number for it."""
    return np.asarray(_is_zero(x.true), dtype=np.bool_)
