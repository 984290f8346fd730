"""The loss of predictions without an order: the least of the costs of all matchings."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from flint import arb

from impl.variant import Implementation
from properties.cases.layered import called, few
from properties.posed import Place, Posed, case
from properties.tracked import Tracked, concatenate, irrational, log, relu, softmax

Labels = npt.NDArray[np.int64]


@st.composite
def set_matching(draw: st.DrawFn, subject: Implementation) -> Posed:
    """No objects, as many as predictions, or fewer; other numbers of them in each sequence; boxes in which the class, or the place, decides."""
    s = few(draw, subject, n=(1, 2, 3, 4, 4), m=(1,), numbers=("normal", "tiny", "wide"))
    queries, objects = s.n, min(s.n, draw(st.sampled_from((0, 1, 2, 3, 4)), label="objects"))
    classes = draw(st.sampled_from((1, 2, 3)), label="classes")
    weights = {
        "box_weight": draw(st.sampled_from((0.1, 1.0, 0.0, 0.1, 5.0)), label="box weight"),
        "no_object_weight": draw(st.sampled_from((0.1, 1.0, 0.0)), label="w"),
    }
    labels = torch.randint(0, classes, (s.b, objects), generator=s.random)
    labels[torch.rand((s.b, objects), generator=s.random) < draw(st.sampled_from((0.0, 0.4)), label="absent")] = -1
    near = draw(st.booleans(), label="objects near predictions")
    boxes = s.tensor(s.b, queries, 4, regime="normal")
    there = boxes[:, torch.randperm(queries, generator=s.random)[:objects]] * (1 if near else 0) + s.tensor(s.b, objects, 4, regime="normal", times=0.3)
    return called(
        s,
        (s.tensor(s.b, queries, classes + 1), boxes, labels, there),
        lambda t: losses(t, labels.numpy(), **weights),
        (s.b,),
        keywords=weights,
        batched=(0, 1, 2, 3),
        regimes=("objects: " + ("none" if not objects else "fewer" if objects < queries else "as many"), f"box weight: {weights['box_weight']:g}"),
    )


case("set-matching")(set_matching)


def losses(t: Mapping[Place, Tracked], labels: Labels, box_weight: float, no_object_weight: float) -> Tracked:
    """One a sequence [B]; about a sequence in which another matching may cost as little and the loss differs, nothing is promised."""
    found = []
    for b in range(labels.shape[0]):
        there = np.flatnonzero(labels[b] >= 0)
        p, box = softmax(t[0][b]), irrational(arb(box_weight), t[0].rounding)
        apart = distance(t[1][b], t[3][b][there]) * box  # [Q, T]
        cost = apart - p[:, labels[b][there]]
        found.append(judged(log(p), apart, labels[b][there], cost, irrational(arb(no_object_weight), t[0].rounding)))
    return concatenate(found, 0)


def distance(one: Tracked, other: Tracked) -> Tracked:
    """Σ |x − y| of each pair [Q, T] of boxes."""
    d = one.reshape(one.shape[0], 1, 4) - other.reshape(1, other.shape[0], 4)
    return (relu(d) + relu(-d)).sum(-1)


def judged(log_p: Tracked, apart: Tracked, labels: Labels, cost: Tracked, weight: Tracked) -> Tracked:
    """The loss under the best matching; unbounded where the choice is in doubt."""
    queries, objects = range(cost.shape[0]), range(cost.shape[1])
    matchings = [list(chosen) for chosen in permutations(queries, len(objects))]
    middles, slack = cost.middle, 2 * len(objects) * float(cost.off.max(initial=0)) + 2 * float(cost.rounding.gamma(len(objects) + 1)) * float(cost.reach.sum())
    sums = [middles[chosen, list(objects)].sum() for chosen in matchings]
    best = int(np.argmin(sums))
    rivals = [loss_of(log_p, apart, labels, matchings[i], weight) for i in range(len(sums)) if sums[i] <= sums[best] + slack]
    true = loss_of(log_p, apart, labels, matchings[best], weight)
    if len(rivals) == 1:
        return true
    alike = all(bool((other.middle == true.middle).all()) for other in rivals)  # the same loss, though not the same gradients
    parents = ((true, open_ended),)
    return Tracked(true=true.true, off=true.off if alike else np.full_like(true.off, np.inf), rounding=true.rounding, parents=parents)


def open_ended(g: Tracked) -> Tracked:
    """The same numbers, of which nothing is promised."""
    return Tracked(true=g.true, off=np.full_like(g.off, np.inf), rounding=g.rounding)


def loss_of(log_p: Tracked, apart: Tracked, labels: Labels, chosen: list[int], weight: Tracked) -> Tracked:
    pairs = list(range(len(chosen)))
    left = [q for q in range(log_p.shape[0]) if q not in chosen]
    matched = (apart[chosen, pairs] - log_p[chosen, labels]).sum(0, keepdims=True)
    return matched - log_p[left, [-1] * len(left)].sum(0, keepdims=True) * weight
