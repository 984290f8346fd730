"""Monotonic attention: the expected alignment, the hard scan, and chunks of it. Written as expectations over where each scan begins, without a recurrence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from impl.variant import Implementation
from properties.posed import Place, Posed, case
from properties.posing import Masking, Sizes, laid_out, masking, sizes
from properties.tracked import Flags, Tracked, concatenate, constant, contract, sigmoid, softmax, stack

SURE = 1000.0  # an energy whose sigmoid is exactly 1 in every format, and that of its negative exactly 0
STEEPNESS = ("as drawn", "some saturated", "all saturated", "steep", "far below")
FAR = -40.0  # where sigmoid is so small that its relative error tells how the exponential was computed


def energies(draw: st.DrawFn, s: Sizes) -> tuple[Tensor, str]:
    """[B, H, N, M], with p exactly 0 or 1 at none, a third or all of the positions, or p near them, or all p tiny."""
    kind = draw(st.sampled_from(STEEPNESS), label="energies")
    drawn = s.tensor(s.b, s.h, s.n, s.m, times=10.0 if kind == "steep" else 1.0)
    drawn = drawn + FAR if kind == "far below" else drawn
    share = {"some saturated": 0.35, "all saturated": 1.0}.get(kind, 0.0)
    sure = torch.where(torch.rand(drawn.shape, generator=s.random) < 0.4, SURE, -SURE).to(s.dtype)
    return torch.where(torch.rand(drawn.shape, generator=s.random) < share, sure, drawn), f"energies: {kind}"


def before(draw: st.DrawFn, s: Sizes) -> dict[str, Tensor]:
    """Weights of the step before [B, H, M], or none: eighths, some of them 0, with a sum of at most 1; or all on the last position."""
    kind = draw(st.sampled_from(("first position", "spread", "last position")), label="previous")
    if kind == "first position":
        return {}
    if kind == "last position":
        return {"previous": (torch.arange(s.m) == s.m - 1).to(s.dtype).repeat(s.b, s.h, 1)}
    starts = torch.randint(0, s.m + 1, (s.b, s.h, 8, 1), generator=s.random)  # the (M + 1)st is past the end
    return {"previous": ((starts == torch.arange(s.m)).sum(-2) / 8).to(s.dtype)}


def chances(energy: Tracked, seen: Flags) -> tuple[Tracked, Tracked]:
    """p and 1 − p, the latter as that difference or as sigmoid(−energy): the larger error of the two, forward and backward. 0 and 1 where not `seen`."""
    p, opposite = sigmoid(energy), sigmoid(-energy)
    difference = 1.0 - p

    def pull(g: Tracked) -> Tracked:
        return either(-(g * (p * difference)), -(g * (opposite * (1.0 - opposite))))

    passing = either(opposite, difference)
    passing.parents = ((energy, pull),)
    return p.where(seen), passing.where(seen, 1.0)


def either(one: Tracked, other: Tracked) -> Tracked:
    """A number that may be computed in two ways."""
    return Tracked(true=one.true, off=np.maximum(one.off, other.off), rounding=one.rounding)


def survival(passing: Tracked) -> Tracked:
    """From 1 − p [..., M], the probability [..., M, M] that a scan which begins at k comes to j: the product over k ≤ l < j, 0 for j < k."""
    positions = np.arange(passing.shape[-1])
    columns = [constant(np.zeros((*passing.shape[:-1], len(positions))), passing.rounding).where(positions != 0, 1.0)]
    for j in positions[1:]:
        columns.append((columns[-1] * passing[..., j - 1 : j]).where(positions < j).where(positions != j, 1.0))
    return stack(columns, -1)


def arrived(begins: Tracked, passing: Tracked, reach: Tracked) -> Tracked:
    """q_j = Σ_k begins_k reach_kj [B, H, M]. The gradient of 1 − p_l is what comes to l times what is worth coming to l + 1: both sums of products."""
    q = contract("bhk,bhkj->bhj", begins, reach)

    def pull(g: Tracked) -> Tracked:
        ahead = contract("bhkj,bhj->bhk", reach, g)
        return concatenate([ahead[..., 1:] * q[..., :-1], constant(np.zeros((*q.shape[:-1], 1)), q.rounding)], -1)

    q.parents = ((begins, lambda g: contract("bhkj,bhj->bhk", reach, g)), (passing, pull))
    return q


def aligned(energy: Tracked, seen: Flags, previous: Tracked | None = None) -> Tracked:
    """Expected alignment [B, H, N, M]: α_ij = p_ij Σ_{k≤j} α_{i−1,k} Π_{k≤l<j} (1 − p_il)."""
    stopping, passing = chances(energy, seen)
    b, h, n, m = energy.shape
    if not n or not m:
        return stopping
    reach = survival(Tracked(true=passing.true, off=passing.off, rounding=passing.rounding))  # `arrived` has its gradient
    row = constant(np.broadcast_to(np.arange(m) == 0, (b, h, m)), energy.rounding) if previous is None else previous
    rows = []
    for i in range(n):
        row = stopping[:, :, i] * arrived(row, passing[:, :, i], reach[:, :, i])
        rows.append(row)
    return stack(rows, 2)


def chunked(scores: Tracked, seen: Flags, width: int) -> tuple[Tracked, npt.NDArray[np.intp]]:
    """The softmax over the chunk that ends at each position [B, H, N, M, w], and the positions of its members [M, w]."""
    places = np.arange(scores.shape[-1])[:, None] - np.arange(width)
    members = np.maximum(places, 0)
    return softmax(scores[..., members], seen[..., members] & (places >= 0)), members


def in_order(s: Sizes, arguments: tuple[Any, ...], keywords: dict[str, Any], mask: Masking, **fields: Any) -> Posed:
    """A call in which positions and steps have an order, the values' positions may be hidden, and `previous` goes with its sequence."""
    beside = tuple(name for name in ("previous", "start") if name in keywords)
    x = Posed(
        arguments=arguments,
        keywords=keywords | mask.keywords,
        cotangent=s.tensor(s.b, s.h, s.n, s.e, regime="normal"),
        batched=(*(place for place, x in enumerate(arguments) if isinstance(x, Tensor)), *beside, *mask.batched),
        by_query={},
        ordered=("keys", "queries"),
        visible=mask.visible,
        **fields,
    )
    return laid_out(x, s.layout)


@case("monotonic")
@st.composite
def monotonic(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Stopping probabilities of exactly 0 and 1; with and without weights of the step before."""
    s = sizes(draw, subject, widths=(1,))
    mask, previous = masking(draw, subject, s), before(draw, s)
    energy, kind = energies(draw, s)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        return contract("bhnm,bhme->bhne", aligned(mask(t[0], t), mask.visible, t.get("previous")), t[1])

    return in_order(
        s,
        (energy, s.tensor(s.b, s.h, s.m, s.e)),
        dict(previous),
        mask,
        define=define,
        wanted=(0, 1, *previous, *mask.wanted),
        values=(1,),
        by_key={1: 2},
        regimes=(*s.regimes, mask.regime, kind, f"previous: {'given' if previous else 'the first position'}"),
    )


@case("chunkwise-monotonic")
@st.composite
def chunkwise(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Widths of 1, of a few positions, and beyond all of them; chunk energies whose exponentials overflow, or vanish beside others of the row."""
    s = sizes(draw, subject, widths=(1,))
    width = draw(st.sampled_from((1, 2, 3, 9)), label="width")
    mask, previous = masking(draw, subject, s), before(draw, s)
    energy, kind = energies(draw, s)
    slope, offset = draw(st.sampled_from(((0, 0), (0, 300), (0, -300), (60, 0), (-60, 0))), label="chunk energies")
    chunk_energy = (s.tensor(s.b, s.h, s.n, s.m) + torch.arange(s.m) * slope + offset).to(s.dtype)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        shares, members = chunked(t[1], mask.visible, min(width, max(s.m, 1)))
        return contract("bhnk,bhnkw,bhkwe->bhne", aligned(t[0], mask.visible, t.get("previous")), shares, t[2][:, :, members])

    return in_order(
        s,
        (energy, chunk_energy, s.tensor(s.b, s.h, s.m, s.e), width),
        dict(previous),
        mask,
        define=define,
        wanted=(0, 1, 2, *previous),
        by_key={2: 2},
        regimes=(*s.regimes, mask.regime, kind, f"width: {width}", f"chunk energies: slope {slope}, offset {offset}"),
    )


def first_stops(energy: Any, seen: Any, start: Any) -> npt.NDArray[np.intp]:
    """Where each step of each sequence stops [B, H, N], M where it does not: one sequence at a time, one position at a time. Shapes: energy and seen
    [B, H, N, M], start [B, H]."""
    *_, n, m = energy.shape
    found = np.full(energy.shape[:-1], m)
    for place in np.ndindex(*energy.shape[:2]):
        at = int(start[place])
        for i in range(n):
            while at < m and not (seen[place][i, at] and energy[place][i, at] > 0):
                at += 1
            found[place][i] = at
    return found


@case("hard-monotonic")
@st.composite
def hard(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Energies of exactly 0, which do not stop the scan; scans that run off the end; a first row that begins anywhere, or past the end."""
    s = sizes(draw, subject, widths=(1,))
    mask = masking(draw, subject, s)
    energy, kind = energies(draw, s)
    low = draw(st.sampled_from((0.0, 1.0)), label="energies lower by")
    energy = (energy - low).to(s.dtype)
    given = draw(st.booleans(), label="start")
    start = torch.randint(0, s.m + 1, (s.b, s.h), generator=s.random) if given else torch.zeros(s.b, s.h, dtype=torch.long)

    def define(t: Mapping[Place, Tracked]) -> Tracked:
        at = first_stops(mask(t[0], t).middle, mask.visible, start.numpy())
        return contract("bhnm,bhme->bhne", constant(at[..., None] == np.arange(s.m), t[1].rounding), t[1])

    return in_order(
        s,
        (energy, s.tensor(s.b, s.h, s.m, s.e)),
        {"start": start} if given else {},
        mask,
        define=define,
        wanted=(1,),
        values=(1,),
        by_key={1: 2},
        regimes=(*s.regimes, mask.regime, kind, f"start: {'given' if given else 'the first position'}"),
    )
