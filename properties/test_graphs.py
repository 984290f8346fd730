"""Laws of graph attention: weights over each node's own edges, which know of no other node, no order of edges, and no edge that was not given.

The output is linear in W h, which the scores read too: of the laws of every definition those apply that test_composed.py asks for.
"""

from __future__ import annotations

from functools import partial

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.graphs import edge_scores, ends, graphs, in_rows, unset, with_edges
from properties.inputs import plain
from properties.oracle import Array
from properties.posed import Place, Posed, any_case
from properties.request import Request
from properties.subject import Subject, require, same
from properties.tracked import Tracked, bare, constant, contract, irrational, softmax
from properties.verifies import law, needs_repeats


def judged(subject: Subject, what: str, x: Posed, true: Tracked) -> None:
    """Require the output of the call to be `true`, within the bound of its own definition."""
    subject.judge(what, posed.output(subject, x), true.balls(), posed.truth(subject, x).bound(), x)


@law("graphs.neighbours-mass", on=Trait.GRAPH, draw=any_case)
def test_neighbours_that_are_all_alike_give_what_one_gives(subject: Subject, x: Posed) -> None:
    """Whatever their edges weigh: W h for each node that has a neighbour, and 0 for each that has none."""
    subject.saw(x.regimes)
    alike = x.with_tensors({1: x[1][:1].expand(x[1].shape).contiguous()})
    t = alike.leaves(subject.rounding(x.cotangent.dtype))
    carried = contract("md,dhc->mhc", t[1], t[4 if 5 in t else 3])[:1].reshape(1, x.cotangent.shape[1]).broadcast(tuple(x.cotangent.shape))
    _, target = ends(x)
    true = carried.where(np.isin(np.arange(len(x[0])), target.numpy())[:, None])
    energies: list[Place] = [5 if 5 in t else 4, *(name for name in x.keywords if name == "edge_energy")]
    even = posed.truth(
        subject, alike.with_tensors({place: torch.zeros_like(x[place]) for place in energies})
    )  # normalised by their own sum, weights sum to 1 whatever the errors of scores
    subject.judge("output with equal neighbours", posed.output(subject, alike), true.balls(), even.bound(), alike)


@law("graphs.relabelling", on=Trait.GRAPH, draw=any_case)
def test_other_names_for_the_nodes_change_no_more_than_names(subject: Subject, x: Posed) -> None:
    """Targets from the last to the first, sources moved on by one; the edges follow them."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    source, target = ends(x)
    n, m = len(x[0]), len(x[1])
    named = with_edges(x, (source + 1) % m, n - 1 - target).with_tensors({0: x[0].flip(0), 1: x[1].roll(1, 0)})
    subject.judge("output under other names", posed.output(subject, named).flip(0), true.balls(), true.bound(), named)


@law("graphs.edges-in-any-order", on=Trait.GRAPH, draw=any_case)
def test_edges_have_no_order(subject: Subject, x: Posed) -> None:
    """In reverse, and from the middle on; each keeps its features."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    source, target = ends(x)
    places = torch.arange(len(source))
    for order in (places.flip(0), places.roll(len(source) // 2)):
        turned = with_edges(x, source[order], target[order], order)
        subject.judge("output with the edges in another order", posed.output(subject, turned), true.balls(), true.bound(), turned)


@law("graphs.edges-in-any-order", on=Trait.GRAPH, draw=any_case)
def test_a_list_and_rows_of_edges_are_one_graph(subject: Subject, x: Posed) -> None:
    """[2, E] in any order, and CSR: sources by target, and where each target's begin."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    source, target = ends(x)
    order = target.argsort(stable=True)
    for form in (in_rows(x), with_edges(x, source[order], target[order], order)):
        subject.judge(f"output with edges {tuple(form[2].shape)}", posed.output(subject, form), true.balls(), true.bound(), form)


@law("graphs.duplicate-edges", on=Trait.GRAPH, draw=any_case)
def test_every_edge_twice_is_every_edge_once(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    source, target = ends(x)
    twice = torch.arange(len(source)).repeat(2)
    judged(subject, "output with each edge twice", with_edges(x, source[twice], target[twice], twice), posed.truth(subject, x))


@law("graphs.duplicate-edges", "graphs.segments-are-masked-dense", on=Trait.GRAPH, draw=partial(graphs, features=(0,)))
def test_an_edge_that_comes_so_often_counts_so_often(subject: Subject, x: Posed) -> None:
    """Attention to all sources under a mask: a pair with c edges has log c added to its score, a pair without edges is hidden."""
    subject.saw(x.regimes)
    source, target = (of.numpy() for of in ends(x))
    (n, m), t = (len(x[0]), len(x[1])), x.leaves(subject.rounding(x.cotangent.dtype))
    many = np.zeros((n, m))
    np.add.at(many, (target, source), 1)
    pairs = np.indices((n, m)).reshape(2, -1)
    scores, values = edge_scores(t, pairs[1], pairs[0], x.keywords.get("negative_slope", 0.2))  # [N · M, H]
    often = np.array([arb(max(int(c), 1)).log() for c in many.ravel()], dtype=object).reshape(1, n, m)
    counted = bare(scores).swapaxes(0, 1).reshape(-1, n, m) + irrational(often, t[0].rounding)
    weights = softmax(counted, np.broadcast_to(many > 0, counted.shape))
    true = contract("hnm,mhc->nhc", weights, bare(values)[:m]).reshape(*x.cotangent.shape)
    judged(subject, "output against the mask's", x, true)


@law("graphs.groups-are-independent", on=Trait.GRAPH, draw=any_case, off=needs_repeats)
def test_a_node_s_weights_know_of_no_other_node(subject: Subject, x: Posed) -> None:
    """Other numbers at the first target, and at the sources that no other target has: the other targets do not move, to the last bit."""
    subject.saw(x.regimes)
    source, target = ends(x)
    free = torch.ones(len(x[1]), dtype=torch.bool)
    free[source[target != 0]] = False
    changed: dict[Place, Tensor] = {}
    for place, where in ((0, torch.arange(len(x[0])) == 0), (1, free)):
        changed[place] = torch.empty_strided(x[place].shape, x[place].stride(), dtype=x[place].dtype).copy_(x[place])
        changed[place][where] = x[place][where] * -3 + 60
    before, after = posed.output(subject, x)[1:], posed.output(subject, x.with_tensors(changed))[1:]
    require(same(before, after), f"node 0 changed, and others moved: {before.tolist()}, then {after.tolist()}, on {x}")


@law("graphs.heads-side-by-side", on=Trait.GRAPH, draw=any_case)
def test_each_head_is_a_layer_of_its_own(subject: Subject, x: Posed) -> None:
    """Its columns are what its own weights alone give, in the call with all heads and in a call with this one."""
    subject.saw(x.regimes)
    found, (heads, width) = posed.output(subject, x), x[3].shape[1:]
    axes: dict[Place, int] = {3: 1, **({4: 1, 5: 0} if len(x.arguments) > 5 else {4: 0})}
    axes |= {name: axis for name, axis in (("edge_energy", 0), ("edge_weight", 1)) if name in x.keywords}
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        alone = x.with_tensors({place: x[place].narrow(axis, head, 1) for place, axis in axes.items()}, cotangent=x.cotangent[:, own])
        true = posed.truth(subject, alone)
        subject.judge(f"columns of head {head}", found[:, own], true.balls(), true.bound(), x)
        subject.judge(f"head {head} alone", posed.output(subject, alone), true.balls(), true.bound(), alone)


@law("graphs.neighbours-mass", on=Trait.GRAPH, draw=partial(graphs, shapes=("the last targets have none", "one target has all")))
def test_a_node_without_edges_is_zero_and_has_gradients_of_zero(subject: Subject, x: Posed) -> None:
    """No edge to itself is added for it; and no gradient is other than finite because of it."""
    subject.saw(x.regimes)
    _, target = ends(x)
    none = torch.bincount(target, minlength=len(x[0])) == 0
    output = posed.output(subject, x)
    require(not output[none].any(), f"nodes without edges return {output[none].tolist()} on {x}")
    if subject.implementation.limits.gradients:
        found = subject.answered(Request(arguments=x.arguments, keywords=x.keywords, cotangent=x.cotangent, wanted=(0, 1)), 2)
        require(not found[0][none].any() and all(bool(g.isfinite().all()) for g in found), f"gradients {[g.tolist() for g in found]} on {x}")


@law("graphs.edge-attention-normalised", on=Trait.GRAPH, draw=partial(graphs, features=(1, 3)))
def test_features_of_zero_are_no_features(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    zero = x.with_tensors({"edge_features": torch.zeros_like(x["edge_features"])})
    without = {name: value for name, value in x.keywords.items() if not name.startswith("edge_")}
    t = {place: value for place, value in zero.leaves(subject.rounding(x.cotangent.dtype)).items() if not str(place).startswith("edge_")}
    true = x.define(t)
    for call in (zero, Posed(arguments=x.arguments, keywords=without, define=x.define, cotangent=x.cotangent, wanted=())):
        subject.judge("output with features of 0, or with none", posed.output(subject, call), true.balls(), posed.truth(subject, zero).bound(), call)


@st.composite
def legible(draw: st.DrawFn, subject: Implementation) -> Posed:
    """All pairs, sources whose values are one-hot: of one head, the first M numbers of an output are its weights. Scores are features of edges, from 0 up."""
    n, m = draw(st.sampled_from(((1, 1), (1, 3), (2, 3), (4, 2))), label="targets, sources")
    dtype = getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype"))
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed"))
    times = draw(st.sampled_from((1.0, 8.0, 100.0)), label="features times")
    features = (torch.rand((n * m, 1), generator=random, dtype=torch.float64) * times).to(dtype)
    order = torch.randperm(n * m, generator=random)
    source, target = torch.arange(m).repeat(n)[order], torch.arange(n).repeat_interleave(m)[order]
    eye, spare = torch.eye(m, dtype=dtype), torch.eye(m, m + 1, dtype=dtype)
    last = torch.zeros(1, m + 1, dtype=dtype)
    last[0, -1] = 1
    one, nodes = torch.ones(1, 1, dtype=dtype), torch.randn((n, m), generator=random, dtype=torch.float64).to(dtype)
    static = Trait.STATIC_GRAPH in subject.variant.traits
    weights: tuple[Tensor, ...] = (eye.unsqueeze(1), torch.zeros(1, 2 * m, dtype=dtype))
    if not static:
        weights = torch.zeros(m, 1, m + 1, dtype=dtype), spare.unsqueeze(1), last
    beside = {"edge_features": features, **({"edge_energy": one} if static else {"edge_weight": last.unsqueeze(1)})}
    x = Posed(
        arguments=(nodes, eye, torch.stack((source, target)), *weights),
        keywords=beside,
        define=unset,
        cotangent=torch.zeros(n, m if static else m + 1, dtype=dtype),
        wanted=(),
        regimes=(f"features of edges times {times:g}",),
    )
    return with_edges(x, source, target)


@law("graphs.edge-attention-normalised", on=Trait.GRAPH, draw=legible)
def test_a_weight_follows_the_feature_of_its_own_edge(subject: Subject, x: Posed) -> None:
    """Where scores are the features themselves, the weights of a node are their softmax."""
    subject.saw(x.regimes)
    source, target = ends(x)
    features = torch.empty(len(x[0]), len(x[1]), dtype=torch.float64)
    features[target, source] = x["edge_features"].flatten().double()
    weights = softmax(constant(plain(features), subject.rounding(x.cotangent.dtype)))
    wide = x.cotangent.shape[1]
    true = contract("nm,mc->nc", bare(weights), constant(np.eye(len(x[1]), wide), weights.rounding))
    judged(subject, "weights of edges with features", x, true)


def scored_apart(draw: st.DrawFn, subject: Implementation) -> tuple[int, int, torch.dtype, torch.Generator]:
    n, m = draw(st.sampled_from(((2, 2), (3, 2), (2, 4), (4, 3))), label="targets, sources")
    dtype = getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype"))
    return n, m, dtype, torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed"))


@st.composite
def shared_neighbours(draw: st.DrawFn, subject: Implementation) -> Posed:
    """All pairs, one head, W = 1 and one-hot sources: an output is a row of weights."""
    n, m, dtype, random = scored_apart(draw, subject)
    times = draw(st.sampled_from((1.0, 3.0)), label="energies times")
    nodes, energy = (torch.randn(of, generator=random, dtype=torch.float64).mul(times).to(dtype) for of in ((n, m), (1, 2 * m)))
    eye, source, target = torch.eye(m, dtype=dtype), torch.arange(m).repeat(n), torch.arange(n).repeat_interleave(m)
    x = Posed(
        arguments=(nodes, eye, torch.stack((source, target)), eye.unsqueeze(1), energy),
        keywords={},
        define=unset,
        cotangent=torch.zeros(n, m, dtype=dtype),
        wanted=(),
        regimes=(f"energies times {times:g}",),
    )
    return with_edges(x, source, target)


@law("graphs.one-ranking", on=Trait.STATIC_GRAPH, draw=shared_neighbours)
def test_all_nodes_rank_their_common_neighbours_alike(subject: Subject, x: Posed) -> None:
    """Where one node weighs j above k beyond its error bounds, none weighs k above j beyond its own."""
    subject.saw(x.regimes)
    weights, bound = plain(posed.output(subject, x)), posed.truth(subject, x).bound()
    ahead = weights[:, :, None] - weights[:, None] > bound[:, :, None] + bound[:, None]  # [N, M, M]
    disputed = ahead.any(0) & ahead.any(0).T
    require(not disputed.any(), f"weights {weights.tolist()} rank {np.argwhere(disputed).tolist()} both ways on {x}")


@st.composite
def lookup(draw: st.DrawFn, subject: Implementation) -> Posed:
    """As many targets as sources, one-hot, W_t = 1, W_s = −1, a = −times: the score of i and j is 0 where they are alike, elsewhere −times · (1 − slope)."""
    k = draw(st.sampled_from((2, 3, 5)), label="nodes")
    dtype = getattr(torch, draw(st.sampled_from(subject.limits.dtypes), label="dtype"))
    times = draw(st.sampled_from((1.0, 2.0, 9.0)), label="energies times")
    eye, source, target = torch.eye(k, dtype=dtype), torch.arange(k).repeat(k), torch.arange(k).repeat_interleave(k)
    x = Posed(
        arguments=(eye, eye.clone(), torch.stack((source, target)), eye.unsqueeze(1), -eye.unsqueeze(1), torch.full((1, k), -times, dtype=dtype)),
        keywords={},
        define=unset,
        cotangent=torch.zeros(k, k, dtype=dtype),
        wanted=(),
        regimes=(f"energies times {times:g}",),
    )
    return with_edges(x, source, target)


@law("graphs.rankings-that-differ", on=Trait.DYNAMIC_GRAPH, draw=lookup)
def test_each_node_may_rank_another_neighbour_first(subject: Subject, x: Posed) -> None:
    """A dictionary looked up: each node weighs its own key above all others, beyond the error bounds of both."""
    subject.saw(x.regimes)
    weights, bound = -plain(posed.output(subject, x)), posed.truth(subject, x).bound()
    own, least = np.diag(weights)[:, None], np.diag(bound)[:, None] + bound
    others: Array = np.where(np.eye(len(weights), dtype=bool), -np.inf, weights + least)
    require(bool((own > others).all()), f"weights {weights.tolist()} do not look up their own key on {x}")
