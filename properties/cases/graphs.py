"""Graph attention of both kinds, over each node's own edges: targets, sources, edges between them, heads side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties.inputs import numbers
from properties.oracle import Array
from properties.posed import Place, Posed, case
from properties.posing import REGIMES, laid_out
from properties.tracked import Flags, Tracked, bare, concatenate, contract, irrational, softmax

SHAPES = ("anywhere", "one target has all", "the last targets have none", "each edge twice", "all pairs", "loops and more")
LAYOUTS = ("contiguous", "sliced", "by columns", "mixed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Tensors of one regime and dtype."""

    regime: str
    dtype: torch.dtype
    random: torch.Generator

    def __call__(self, *shape: int, times: float = 1.0) -> Tensor:
        return (numbers(shape, self.regime, self.random) * times).to(self.dtype)


@st.composite
def graphs(
    draw: st.DrawFn, /, subject: Implementation, *, shapes: tuple[str, ...] = SHAPES, features: tuple[int, ...] = (0, 0, 1, 3)
) -> Posed:  # fmt: skip
    """From no edge to a dozen, as a list or as rows; as many sources as targets or not; numbers that saturate the weights, and a target whose scores lie far
    from the others'; with features of edges or without."""
    n, m = draw(st.sampled_from(((1, 1), (2, 3), (3, 2), (4, 4), (5, 3), (3, 7), (3, 3))), label="targets, sources")
    d, h, c, f = (draw(st.sampled_from(some), label=name) for some, name in (((1, 2, 3), "D"), ((1, 2, 3), "heads"), ((1, 2, 4), "C"), (features, "F")))
    tensor = Numbers(
        regime=draw(st.sampled_from(REGIMES), label="numbers"),
        dtype=getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype")),
        random=torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed")),
    )
    shape, form = draw(st.sampled_from(shapes), label="edges"), draw(st.sampled_from(("list", "list", "rows")), label="edges as")
    times, loud = draw(st.sampled_from((1.0, 1.0, 8.0)), label="energies times"), draw(st.sampled_from((1.0, 1.0, 40.0)), label="first target times")
    slope = draw(st.sampled_from((None, None, 0.0, 0.7, 1.0)), label="negative_slope")
    source, target = drawn_edges(draw, shape, n, m, tensor.random)
    nodes, edge_features = tensor(n, d), {"edge_features": tensor(len(source), f)}
    nodes[:1] *= loud
    wide = d if Trait.STATIC_GRAPH in subject.variant.traits else draw(st.sampled_from((1, 2)), label="D_s")
    weights: tuple[Tensor, ...] = (tensor(d, h, c), tensor(wide, h, c), tensor(h, c, times=times))
    beside = edge_features | {"edge_weight": tensor(f, h, c)}
    if Trait.STATIC_GRAPH in subject.variant.traits:
        weights, beside = (tensor(d, h, c), tensor(h, 2 * c, times=times)), edge_features | {"edge_energy": tensor(h, f)}
    graded = tuple(beside) if f else ()
    x = Posed(
        arguments=(nodes, tensor(m, wide), torch.stack((source, target)), *weights),
        keywords=(beside if f else {}) | ({} if slope is None else {"negative_slope": slope}),
        define=unset,
        cotangent=numbers((n, h * c), "normal", tensor.random).to(tensor.dtype),
        wanted=(0, 1, *range(3, 3 + len(weights)), *graded),
        batched=(),
        regimes=(f"edges: {shape}, as {form}", f"numbers: {tensor.regime}", f"features of edges: {f}", f"slope: {slope}", f"first target times {loud:g}"),
    )
    listed = with_edges(x, source, target)
    return laid_out(in_rows(listed) if form == "rows" else listed, draw(st.sampled_from(LAYOUTS), label="layout"))


def unset(t: Mapping[Place, Tracked]) -> Tracked:
    """Stands for a definition until the edges are given."""
    raise NotImplementedError("with_edges gives a call its definition")


case("graph")(graphs)
case("graph-v2")(graphs)


def drawn_edges(draw: st.DrawFn, shape: str, n: int, m: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Sources and targets of edges, in no order."""
    e = draw(st.sampled_from((1, 3, 6, 9, 0)), label="edges")
    source, target = torch.randint(0, m, (e,), generator=random), torch.randint(0, n, (e,), generator=random)
    if shape == "one target has all":
        target = torch.full_like(target, n - 1)
    elif shape == "the last targets have none":
        target = target % ((n + 1) // 2)
    elif shape == "each edge twice":
        source, target = torch.cat((source, source)), torch.cat((target, target))
    elif shape == "all pairs":
        source, target = torch.arange(m).repeat(n), torch.arange(n).repeat_interleave(m)
    elif shape == "loops and more":
        own = torch.arange(min(n, m))
        source, target = torch.cat((own, source)), torch.cat((own, target))
    order = torch.randperm(len(source), generator=random)
    return source[order], target[order]


def ends(x: Posed) -> tuple[Tensor, Tensor]:
    """Sources and targets of the edges of a call."""
    if "indptr" not in x.keywords:
        source, target = x[2]
        return source, target
    return x[2], torch.arange(len(x[0])).repeat_interleave(x["indptr"].diff())


def with_edges(x: Posed, source: Tensor, target: Tensor, came_from: Tensor | None = None) -> Posed:
    """The call with other edges, as a list, and the definition of that; `came_from` says which edge's features each one has."""
    changed = {} if came_from is None or "edge_features" not in x.keywords else {"edge_features": x["edge_features"][came_from]}
    keywords = {name: value for name, value in (x.keywords | changed).items() if name != "indptr"}
    define = partial(defined, source=source.numpy(), target=target.numpy(), count=len(x[0]), slope=x.keywords.get("negative_slope", 0.2))
    return replace(x, arguments=(*x.arguments[:2], torch.stack((source, target)), *x.arguments[3:]), keywords=keywords, define=define)


def in_rows(x: Posed) -> Posed:
    """The call with its edges as CSR has them: the targets in order, and where each one's sources begin."""
    source, target = ends(x)
    order = target.argsort(stable=True)
    listed = with_edges(x, source[order], target[order], order)
    indptr = torch.cat((torch.zeros(1, dtype=torch.int64), torch.bincount(target, minlength=len(x[0])).cumsum(0)))
    return replace(listed, arguments=(*listed.arguments[:2], source[order].clone(), *listed.arguments[3:]), keywords=listed.keywords | {"indptr": indptr})


def defined(t: Mapping[Place, Tracked], source: Any, target: Any, count: int, slope: float) -> Tracked:
    """Σ_j α_ij v_j over the edges j → i, in slots of as many edges as the busiest target has; the heads side by side [N, H · C]."""
    scores, values = edge_scores(t, source, target, slope)  # [E, H], [E, H, C]
    e, h, c = values.shape
    slots, there = slotted(target, count)  # [N, R]
    if not e:
        return t[0].like(np.zeros((count, h * c)))
    weights = softmax(scores[slots].swapaxes(1, 2), there[:, None])  # [N, H, R]
    return contract("nhr,nrhc->nhc", weights, values[slots]).reshape(count, h * c)


def slotted(target: Any, count: int) -> tuple[Any, Flags]:
    """The edges of each target, 0 where there are no more, and which are there."""
    own = [np.flatnonzero(target == i) for i in range(count)]
    width = max(map(len, own), default=0)
    slots = np.array([[*edges, *[0] * (width - len(edges))] for edges in own], dtype=np.int64).reshape(count, width)
    return slots, np.arange(width) < np.array([len(edges) for edges in own]).reshape(-1, 1)


def edge_scores(t: Mapping[Place, Tracked], source: Any, target: Any, slope: float) -> tuple[Tracked, Tracked]:
    """Scores [E, H] of edges and the values [E, H, C] that they carry, by the equation of the call's kind."""
    if 5 in t:  # a · LeakyReLU(W_t h_i + W_s h_j + W_e e)
        sent = contract("md,dhc->mhc", t[1], t[4])[source]
        hidden = contract("ed,dhc->ehc", concatenate((t[0][target], t[1][source], *present(t, "edge_features")), 1), joined(t))
        return contract("ehc,hc->eh", leaky(hidden, slope), t[5]), sent
    sent = contract("md,dhc->mhc", t[1], t[3])[source]
    parts = [contract("nd,dhc->nhc", t[0], t[3])[target], sent]
    energy = [t[4]]
    if "edge_features" in t:
        (e, h, _), f = sent.shape, t["edge_features"].shape[-1]
        parts.append(t["edge_features"].reshape(e, 1, f).broadcast((e, h, f)))
        energy.append(t["edge_energy"])
    return leaky(contract("ehk,hk->eh", concatenate(parts, 2), concatenate(energy, 1)), slope), sent


def joined(t: Mapping[Place, Tracked]) -> Tracked:
    """[W_t ‖ W_s ‖ W_e]."""
    return concatenate((t[3], t[4], *present(t, "edge_weight")), 0)


def present(t: Mapping[Place, Tracked], name: str) -> Sequence[Tracked]:
    return (t[name],) if name in t else ()


def leaky(x: Tracked, slope: float) -> Tracked:
    """max(x, 0) + slope · min(x, 0). Where the sign is in doubt, either slope may have been taken: the function moves by no more than its argument times the
    larger one, the gradient by the difference of the two."""
    steep = max(1.0, abs(slope))
    falling = x * irrational(arb(slope), x.rounding)
    positive, doubtful = x.middle > 0, np.abs(x.middle) <= x.off

    def pull(g: Tracked) -> Tracked:
        below = bare(g) * irrational(arb(slope), g.rounding)
        true, off = np.where(positive, g.true, below.true), np.where(positive, g.off, below.off)
        jump: Array = abs(1 - slope) * g.reach + below.off
        return Tracked(true=true, off=np.where(doubtful, off + jump, off), rounding=g.rounding)

    true = np.where(positive, x.true, falling.true)
    off = np.where(doubtful, steep * x.off + falling.off, np.where(positive, x.off, falling.off))
    return Tracked(true=true, off=off, rounding=x.rounding, parents=((x, pull),))
