"""Nyström attention: how calls are drawn, its definition, and the error bound of a linear system.

The bound. Elimination with partial pivoting on a matrix Â of k rows, and the two substitutions, give for each right-hand side an x̂ with (Â + Δ) x̂ = b,
|Δ| ≤ γ_{3k} |L̂| |Û| (Higham 2002, theorem 9.4). A quotient may be a product with a rounded reciprocal (LAPACK scales columns so, and BLAS divides by a
diagonal so), which is a rounding more in each of the three parts, or as many as are declared: γ_{3(k + detours)}. No entry of L̂ is above 1 but for those two
roundings, and each of k − 1 steps at most doubles the largest entry of Û but for its own: |L̂| |Û| ≤ k 2^(k−1) (1 + γ_{6k detours}) max |Â|. The same holds for
the transposed system by the same factors, which backward solves. With the error of Â itself, x̂ = (A + Δ')⁻¹ b with |Δ'| ≤ E elementwise, and a Δ' of its own
for each right-hand side.

So a solved system is a product by an inverse whose entries are off, differently in each term of the product that they meet; and `contract` bounds products
whose every factor is off, in any association: F (A⁻¹ B) V, F (A⁻¹ (B V)) and (F A⁻¹)(B V) alike. (A + Δ')⁻¹ − A⁻¹ = −A⁻¹ Δ' (A + Δ')⁻¹, and with G = |A⁻¹| E
and g = ‖G‖ (the largest sum of a row) below 1, |(A + Δ')⁻¹| ≤ Σ Gⁱ |A⁻¹|, where an entry of Gⁱ |A⁻¹| is at most gⁱ times the largest of its column. From
g = 1/2 on nothing is promised; nor where balls cannot tell A from a singular matrix.

Underflow. Elimination moves an entry by at most (k + 2^(k−1)) η more, which E has. The substitutions leave a residual of at most (k + k² + k 2^(k−1)) η,
whatever the right-hand side: as much as if that many underflows stood for one in the products by which `contract` multiplies its own. Twice as many with
reciprocals.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb_mat, ctx
from torch import Tensor

from impl.variant import Implementation
from properties.oracle import BITS, Array
from properties.posed import Place, Posed, case
from properties.posing import laid_out, sizes
from properties.simplex import factor
from properties.tolerance import Rounding
from properties.tracked import Objects, Tracked, contract, exact, softmax, stack

SCALES = (None, 1.0, 0.3, -0.5)
SPREADS = (1.0, 2.0, 3.0)  # of landmarks: the first gives nearly equal weights, the last nearly those of the identity


@case("nystrom")
@st.composite
def nystrom(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Lengths that the number of landmarks divides and others, no longer than it too; landmarks that lie apart, so that their weights are independent."""
    s = sizes(draw, replace(subject, limits=replace(subject.limits, zero_length=False)))
    landmarks = min(draw(st.sampled_from((3, 2, 1)), label="landmarks"), s.n, s.m)
    scale = draw(st.sampled_from(SCALES), label="scale") if subject.limits.scale else None
    spread = draw(st.sampled_from(SPREADS), label="spread")
    query, key = (
        s.tensor(s.b, s.h, length, s.d, regime="normal").clamp(-1.5, 1.5) / 4 + apart(length, landmarks, s.d, spread, s.dtype) for length in (s.n, s.m)
    )
    divides = "divides" if s.n % landmarks == s.m % landmarks == 0 else "does not divide"
    x = called(query, key, s.value(), landmarks, scale, s.tensor(s.b, s.h, s.n, s.e, regime="normal"))
    return laid_out(replace(x, regimes=(*s.regimes, f"landmarks: {landmarks}", f"their number {divides} the lengths", f"scale: {scale}")), s.layout)


def apart(length: int, landmarks: int, width: int, spread: float, dtype: torch.dtype) -> Tensor:
    """[N, D]: rows of a segment share an axis of their own, or a place on the first axis where there are too few. With less than half a step added to each
    number, landmarks are distinct."""
    segment = torch.from_numpy(np.repeat(np.arange(landmarks), np.diff(ends(length, landmarks))))
    rows = torch.zeros(length, width, dtype=dtype)
    if width >= landmarks:
        rows[torch.arange(length), segment] = spread
    else:
        rows[:, 0] = (spread * (segment - (landmarks - 1) / 2)).to(dtype)
    return rows


def ends(length: int, landmarks: int) -> list[int]:
    """Where segments begin, and the length: the first `length` mod `landmarks` segments have one row more."""
    short, more = divmod(length, landmarks)
    return [c * short + min(c, more) for c in range(landmarks + 1)]


def called(query: Tensor, key: Tensor, value: Tensor, landmarks: int, scale: float | None, cotangent: Tensor) -> Posed:
    """The call with its definition."""

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        times = factor(scale, query.shape[-1], t[0].rounding)

        def weights(q: Tracked, k: Tracked) -> Tracked:
            return softmax(contract("bhnd,bhmd->bhnm", q, k) * times)

        queries, keys = segment_means(t[0], landmarks), segment_means(t[1], landmarks)
        return through_landmarks(weights(t[0], keys), weights(queries, keys), weights(queries, t[1]), t[2])

    return Posed(
        arguments=(query, key, value, landmarks),
        keywords={} if scale is None else {"scale": scale},
        define=define,
        cotangent=cotangent,
        wanted=(0, 1, 2),
        ordered=("keys", "queries"),
    )


def segment_means(x: Tracked, landmarks: int) -> Tracked:
    """[B, H, N, D] → [B, H, K, D]."""
    at = ends(x.shape[2], landmarks)
    return stack([x[:, :, first:last].sum(2) / (last - first) for first, last in itertools.pairwise(at)], 2)


def through_landmarks(left: Tracked, middle: Tracked, right: Tracked, value: Tracked) -> Tracked:
    """left · middle⁻¹ · right · value."""
    k, thin = middle.shape[-1], middle.rounding
    thick = replace(thin, tiny=2 * thin.declared.detours * (k + k**2 + k * 2 ** (k - 1)) * thin.tiny)
    inverted = inverse(carried(middle, thick))
    product = contract("bhnk,bhkl,bhlm,bhme->bhne", carried(left, thick), inverted, carried(right, thick), carried(value, thick))
    return carried(product, thin)


def carried(x: Tracked, rounding: Rounding) -> Tracked:
    """The same numbers where more may underflow; their cotangents come back where they were."""
    parents = ((x, lambda g: carried(g, x.rounding)),)
    return Tracked(true=x.true, off=x.off, rounding=rounding, parents=parents, terms=x.terms, mass=x.mass)


def inverse(matrix: Tracked) -> Tracked:
    """matrix⁻¹ [B, H, K, K] as a solved system multiplies by it: `off` bounds what the system's own error makes of that of its matrix."""
    a, k = matrix.rounding, matrix.shape[-1]
    true = inverted(matrix.true)
    size = Tracked(true=true, off=np.zeros(matrix.shape), rounding=a).size
    growth = k * 2 ** (k - 1) * (1 + a.gamma(6 * k * a.declared.detours)) * matrix.reach.max((-1, -2), keepdims=True)
    error = matrix.off + a.gamma(3 * (k + a.declared.detours)) * growth + 2 * (k + 2 ** (k - 1)) * a.tiny
    off = moved(size, np.where(np.isnan(size), np.inf, error))
    true = np.where(np.isfinite(size), true, exact(np.zeros(())))
    result = Tracked(true=true, off=off, rounding=a)
    result.parents = ((matrix, lambda g: -contract("bhki,bhkl,bhjl->bhij", result, g, result)),)
    return result


def moved(size: Array, error: Array) -> Array:
    """How far (A + Δ)⁻¹ may lie from A⁻¹, whose entries have these sizes, for |Δ| ≤ error."""
    with np.errstate(invalid="ignore", over="ignore"):
        gain = size @ error
        norm = gain.sum(-1, keepdims=True).max(-2, keepdims=True)
        largest = size + norm / np.maximum(1 - norm, 0.5) * size.max(-2, keepdims=True)
        return np.where(norm < 0.5, gain @ largest, np.inf)


def inverted(matrices: Objects) -> Objects:
    """In balls; NaN where they cannot tell a matrix from a singular one."""
    ctx.prec = BITS
    found = exact(np.full(matrices.shape, np.nan))
    for head in np.ndindex(matrices.shape[:-2]):
        try:
            found[head] = np.array(arb_mat(matrices[head].tolist()).inv().tolist(), dtype=object)
        except ZeroDivisionError:
            continue
    return found
