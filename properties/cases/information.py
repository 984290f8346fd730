"""Entropy, Jensen-Shannon divergence and mutual information."""

from __future__ import annotations

from collections.abc import Mapping

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb
from torch import Tensor

from impl.variant import Implementation
from properties.posed import Place, case
from properties.posing import Sizes
from properties.reading import Reading, Symmetry, drawn, informed, logarithm, reading, steep_at_zero, weights
from properties.tracked import Tracked, constant, irrational, stack


@case("attention-entropy")
@st.composite
def entropy(draw: st.DrawFn, subject: Implementation) -> Reading:
    """−Σ p log p."""
    s = drawn(draw, subject)
    p, regime = weights(draw, s, s.b, s.h, s.n, s.m)
    symmetries = Symmetry(name="keys", moved={0: (-1,)}), Symmetry(name="rows", moved={0: (-2,)}, output=(-1,))
    return reading(s, (p,), lambda t: -informed(steep_at_zero(t[0])).sum(-1), (s.b, s.h, s.n), symmetries=symmetries, regimes=(regime,))


def divergence(p: Tracked, axis: int) -> Tracked:
    """Σ_h Σ_j p_hj (log p_hj − log m_j) / H over the heads of an axis [..., N]; m_j is what all H of them add to, over H."""
    count = p.shape[axis]
    total = p.sum(axis, keepdims=True)
    surprise = logarithm(p) - logarithm(total) + irrational(arb(count).log(), p.rounding)
    return (p * surprise.where(p.middle > 0)).sum(-1).sum(axis + 1 if axis < 0 else axis) / float(count)


@case("jensen-shannon")
@st.composite
def jensen_shannon(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Between all heads, or every two of them; heads that agree now and then."""
    s = drawn(draw, subject)
    p, regime = weights(draw, s, s.b, s.h, s.n, s.m)
    if draw(st.sampled_from((False, False, True)), label="alike"):
        p, regime = p[:, :1].expand(p.shape).contiguous(), f"{regime}, heads alike"
    pairs = draw(st.booleans(), label="pairs")

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        p = steep_at_zero(t[0])
        return two_by_two(p, s) if pairs else divergence(p, -3)

    heads = (1, 2) if pairs else ()
    symmetries = (
        Symmetry(name="keys", moved={0: (-1,)}),
        Symmetry(name="rows", moved={0: (-2,)}, output=(-1,)),
        Symmetry(name="heads", moved={0: (1,)}, output=heads),
    )
    shape = (s.b, s.h, s.h, s.n) if pairs else (s.b, s.n)
    keywords = {"pairs": True} if pairs else {}
    regimes = (regime, "every two heads" if pairs else "all heads")
    return reading(s, (p,), define, shape, keywords=keywords, symmetries=symmetries, leading=1, regimes=regimes)


def two_by_two(p: Tracked, s: Sizes) -> Tracked:
    """The divergence of each head [..., H, N, M] from each [..., H, H, N]."""
    one, other = p.reshape(s.b, s.h, 1, s.n, s.m), p.reshape(s.b, 1, s.h, s.n, s.m)
    shape = (s.b, s.h, s.h, s.n, s.m)
    total = stack([one.broadcast(shape), other.broadcast(shape)], 0).sum(0)  # a sum does not underflow

    def from_the_mean(q: Tracked) -> Tracked:
        surprise = logarithm(q).broadcast(shape) - logarithm(total) + irrational(arb(2).log(), p.rounding)
        return (q.broadcast(shape) * surprise.where(np.broadcast_to(q.middle > 0, shape))).sum(-1)

    return (from_the_mean(one) + from_the_mean(other)) / 2.0


TABLES = ("counts", "probabilities", "independent", "one-to-one", "sparse counts", "weights")


def table(draw: st.DrawFn, s: Sizes, regime: str) -> Tensor:
    """Joint tables [B, H, N, M], none of which sums to 0."""
    shape = (s.b, s.h, s.n, s.m)
    counts = torch.randint(0, 9, shape, generator=s.random).to(torch.float64)
    rows, columns = (torch.randint(1, 5, size, generator=s.random).to(torch.float64) for size in (shape[:-1], (*shape[:-2], shape[-1])))
    match regime:
        case "counts":
            return counts + 1
        case "probabilities":
            return torch.randn(shape, generator=s.random, dtype=torch.float64).flatten(-2).softmax(-1).reshape(shape)
        case "independent":
            return rows.unsqueeze(-1) * columns.unsqueeze(-2)
        case "one-to-one":
            return torch.eye(s.n, s.m, dtype=torch.float64).expand(shape) * rows.unsqueeze(-1)
        case "sparse counts":
            sparse = counts * (torch.rand(shape, generator=s.random) < 0.4)
            sparse[..., 0, 0] += 1
            return sparse
        case _:
            return (2 * torch.randn(shape, generator=s.random, dtype=torch.float64)).softmax(-1)


def shared_information(c: Tracked) -> Tracked:
    """H(A) + H(B) − H(A, B) of the table over its sum: what the definition's ratio of joint to margins comes to, once the logarithm is written out."""
    p = c / c.sum(-1, keepdims=True).sum(-2, keepdims=True)
    return informed(p).sum(-1).sum(-1) - informed(p.sum(-1)).sum(-1) - informed(p.sum(-2)).sum(-1)


@case("mutual-information")
@st.composite
def mutual_information(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Of counts and of probabilities: independent, one-to-one, with values that never occur."""
    s = drawn(draw, subject, least=1)
    regime = draw(st.sampled_from(TABLES), label="table")
    symmetries = Symmetry(name="columns", moved={0: (-1,)}), Symmetry(name="rows", moved={0: (-2,)}), Symmetry(name="both", moved={0: (-1, -2)})
    joint = table(draw, s, regime).to(s.dtype)
    return reading(s, (joint,), lambda t: shared_information(steep_at_zero(t[0])), (s.b, s.h), symmetries=symmetries, regimes=(f"table: {regime}",))


SIZES = ((2, 2), (1, 3), (3, 2), (4, 5))


@case("plug-in-information")
@st.composite
def plug_in(draw: st.DrawFn, subject: Implementation) -> Reading:
    """Samples of two variables, of which the second follows the first or does not."""
    s = drawn(draw, subject, least=1)
    size = draw(st.sampled_from(SIZES), label="sizes")
    regime = draw(st.sampled_from(("independent", "the same", "constant")), label="samples")
    x = torch.randint(0, size[0], (s.b, s.n), generator=s.random)
    y = {"independent": torch.randint(0, size[1], x.shape, generator=s.random), "the same": x % size[1], "constant": x * 0}[regime]
    symmetries = (Symmetry(name="samples", moved={0: (-1,), 1: (-1,)}),)
    return reading(
        s, (x, y, size), lambda t: shared_information(counted(t[0], t[1], size)), (s.b,), dtype=torch.float64, wanted=(), batched=(0, 1),
        leading=1, regimes=(f"samples: {regime}",), symmetries=symmetries,
    )  # fmt: skip


def counted(x: Tracked, y: Tracked, size: tuple[int, int]) -> Tracked:
    """How often each pair of values occurs [B, A, B]."""
    found = np.zeros((x.shape[0], *size))
    np.add.at(found, (np.arange(x.shape[0])[:, None], x.middle.astype(int), y.middle.astype(int)), 1)
    return constant(found, x.rounding)
