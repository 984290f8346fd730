"""Attention by random features, positive ones and cosines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from flint import arb

from impl.variant import Implementation
from properties.cases.kernelised import ratio
from properties.posed import Place, Posed, case
from properties.posing import padding, posed, sizes
from properties.tolerance import Rounding
from properties.tracked import Tracked, constant, contract, cos, exact, exp, irrational

KINDS = ("positive", "positive", "cosine")
SCALES = (None, 0.3, 1.0, 4.0)


@st.composite
def random_features(
    draw: st.DrawFn,
    subject: Implementation,
    kinds: tuple[str, ...] = KINDS,
    features: tuple[int, ...] = (1, 2, 5),
    scales: tuple[float | None, ...] = SCALES,
    causal: tuple[bool, ...] = (False, True),
    lengths: tuple[int, ...] = (),
) -> Posed:
    """Any rows serve as a projection; cosines whose normaliser comes near 0 have no bound there."""
    s = sizes(draw, subject, lengths=lengths, widths=(1, 2, 3))
    kind, m = draw(st.sampled_from(kinds), label="features"), draw(st.sampled_from(features), label="m")
    scale = draw(st.sampled_from(scales), label="scale")
    hides = padding(draw, subject, s, causal=causal)
    projection = s.tensor(m, s.d, regime="normal")
    keywords: dict[str, Any] = {} if scale is None else {"scale": scale}
    if kind == "cosine":
        keywords["phase"] = (torch.rand(m, generator=s.random, dtype=torch.float64) * 6.283).to(s.dtype)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        factor = irrational((1 / arb(s.d).sqrt() if scale is None else arb(scale)).sqrt(), t[0].rounding)
        rows, columns = (pieces(t[place] * factor, t[3], t.get("phase")) for place in (0, 1))
        shown = np.asarray(hides.visible.any(2))[..., None]  # [B, H, M, 1]
        raised = stabilised(*rows, axes=(-1,)), stabilised(*columns, axes=(-2, -1), among=shown)
        return ratio(raised[0], raised[1] * carried(columns[0], shown), t[2], hides.visible)

    tensors = s.tensor(s.b, s.h, s.n, s.d), s.tensor(s.b, s.h, s.m, s.d), s.value(), projection
    wanted = (0, 1, 2, 3, "phase") if kind == "cosine" else (0, 1, 2, 3)
    return posed(s, hides, tensors, define, keywords=keywords, wanted=wanted, regimes=(f"features: {kind}",))


case("random-features")(random_features)


def pieces(x: Tracked, projection: Tracked, phase: Tracked | None) -> tuple[Tracked, Tracked | None]:
    """The exponents of the features of x [B, H, N, D], and what the exponential is multiplied by."""
    along, half = contract("bhnd,rd->bhnr", x, projection), contract("bhnd,bhnd->bhn", x, x).reshape(*x.shape[:-1], 1) * 0.5
    if phase is None:
        return along - half, None
    return half, cos(along + phase) * irrational(arb(2).sqrt(), x.rounding)


def stabilised(exponents: Tracked, factors: Tracked | None, *, axes: tuple[int, ...], among: npt.NDArray[np.bool_] | None = None) -> Tracked:
    """factors · exp(exponents − their maximum over `axes`): a common factor of numerator and denominator, which is no part of the definition but keeps its
    numbers inside every format. Whoever takes out less, or more, rounds numbers of about that size."""
    middle = exponents.middle if among is None else np.where(among, exponents.middle, -np.inf)
    top = middle.max(axes, keepdims=True, initial=-np.inf)
    shifted = exponents - constant(np.where(np.isfinite(top), top, 0.0), exponents.rounding)
    if among is not None:
        shifted = shifted.where(among, 0.0)
    return exp(shifted) if factors is None else exp(shifted) * factors


def carried(exponents: Tracked, shown: npt.NDArray[np.bool_]) -> Tracked:
    """1, with the relative error that a state collects over its merges, once it is rescaled by powers of e. Each merge rounds a difference of two maxima,
    which telescope to no more than the distance of the exponents from the largest, takes an exponential, and multiplies and adds once; reading the state
    takes two more. [B, H, M, 1]"""
    a: Rounding = exponents.rounding
    if a.declared.tile is None:
        return constant(np.ones(()), a)
    keys = exponents.shape[-2]
    among = np.where(shown, exponents.middle, np.nan)
    with np.errstate(invalid="ignore"):
        far = 2 * np.abs(np.where(np.isnan(among), 0.0, among)).max(initial=0.0)
    merges = a.merges(keys) + 2
    off = np.expm1(merges * (np.log1p(2 * a.exp) + a.gamma(3)) + a.gamma(3) * far)
    return Tracked(true=exact(np.ones(())), off=np.asarray(off), rounding=a)
