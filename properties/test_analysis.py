"""Laws of rollout and flow through layers: mass, order, what they are on maps that point, and how they bound each other."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import torch
from flint import arb, fmpq
from torch import Tensor

from impl.trait import Trait
from properties import posed
from properties.inputs import plain
from properties.oracle import Array, _balls
from properties.posed import any_case
from properties.reading import Reading
from properties.subject import Subject, require
from properties.test_information import dyadic
from properties.tolerance import SLACK
from properties.verifies import law


def pointing(x: Reading) -> Tensor:
    """Layer l sends each place i to (a i + l) mod N, a map of its own for each sequence and layer: no two of them commute in general."""
    b, layers, n, _ = x[0].shape
    found = torch.zeros_like(x[0])
    for s, layer in np.ndindex(b, layers):
        for i in range(n):
            found[s, layer, i, goal(s, layer, i, n)] = 1
    return found


def goal(sequence: int, layer: int, place: int, n: int) -> int:
    return (place * place + (layer + 1) * place + layer + sequence) % n


def kept(x: Reading, whole: Array) -> Array:
    """The rows that the call keeps [B, R, N]."""
    rows: Any = x.keywords.get("rows")
    return whole if rows is None else whole[:, rows]


@law("analysis.rollout-of-maps", "analysis.rollout-order", on=Trait.ROLLOUT, draw=any_case)
def test_rollout_of_maps_that_point_follows_them_from_the_last_layer_down(subject: Subject, x: Reading) -> None:
    """Exactly: without residuals row i is one-hot where f_1(⋯ f_L(i)) is; with them, each of the 2^L ways to follow a layer's map or to pass it counts
    1/2^L."""
    y = x.with_tensors({0: pointing(x)})
    subject.saw(x.regimes)
    b, layers, n, _ = x[0].shape
    residual = x.keywords.get("residual", True)
    expected = np.zeros((b, n, n))
    ways = range(2**layers) if residual else (2**layers - 1,)
    for s, way, i in ((s, way, i) for s in range(b) for way in ways for i in range(n)):
        place = i
        for layer in reversed(range(layers)):
            place = goal(s, layer, place, n) if way >> layer & 1 else place
        expected[s, i, place] += 1 / len(ways)
    found = plain(posed.output(subject, y))
    require(bool((found == kept(x, expected)).all()), f"rollout {found.tolist()}, should be {kept(x, expected).tolist()}, on {y}")


@law("analysis.rollout-stochastic", on=Trait.ROLLOUT, draw=any_case)
def test_rows_of_a_rollout_sum_to_one(subject: Subject, x: Reading) -> None:
    """Of weights that are 0 or more and sum to 1, with residuals and without: rows are weights again."""
    y = x.with_tensors({0: dyadic(x[0])})
    subject.saw(x.regimes)
    found, bound = plain(posed.output(subject, y)), posed.truth(subject, y).bound()
    mass = bound.sum(-1) + 2.0**-50
    ones = float(bool(x[0].shape[-1]))
    require(bool((found >= 0).all()) and bool((np.abs(found.sum(-1) - ones) <= mass).all()), f"rows of {found.tolist()} are no weights, on {y}")


@law("analysis.rollout-order", on=Trait.ROLLOUT, draw=any_case)
def test_layers_can_be_rolled_out_in_two_parts(subject: Subject, x: Reading) -> None:
    """R(1 … L) = R(k + 1 … L) R(1 … k), the later part on the left; the product of both answers, within the bounds of all three."""
    layers = x[0].shape[1]
    if layers < 2 or "rows" in x.keywords:
        return
    subject.saw(x.regimes)
    half = layers // 2
    low, high = (x.with_tensors({0: part.contiguous()}) for part in (x[0][:, :half], x[0][:, half:]))
    below, above = (plain(subject.call(*y.arguments, **y.keywords)) for y in (low, high))
    off = np.abs(above @ below - plain(posed.output(subject, x)))
    subject.within("the product of two parts", off, posed.truth(subject, x).bound() + parts_bound(subject, above, below, x), x)


def parts_bound(subject: Subject, above: Array, below: Array, x: Reading) -> Array:
    """By how much a product of two answers is off: weights are 0 or more, so that all roundings of an entry are relative to it: for each layer those of a sum
    of N products and of the mean with what passes by, and the last one; then the sum of N here. Underflow beside."""
    a, (layers, n) = subject.rounding(x.cotangent.dtype), x[0].shape[1:3]
    count = layers * (n + 3 * a.declared.detours)
    relative = float(a.gamma(count)) + a.u_out * (1 + float(a.gamma(count)))
    grown = relative / (1 - relative)  # relative to the answer, not to the truth
    lost = count * a.tiny + a.least_out
    return np.asarray(
        (2 * grown + grown**2 + n * 2.0**-52) * (above @ below) * SLACK + 2 * lost * (1 + above.sum(-1, keepdims=True) + below.sum(-2, keepdims=True))
    )


# ------------------------------------------------------------------------------------------------------------------------------------------- flow


@law("analysis.flow-is-maximal", on=Trait.FLOW, draw=any_case)
def test_flow_through_maps_that_point_is_where_they_lead(subject: Subject, x: Reading) -> None:
    """Exactly, without residuals: 1 to f_1(⋯ f_L(i)), 0 elsewhere. With them, every way that is open has at least the capacity 1/2."""
    y = x.with_tensors({0: pointing(x)})
    subject.saw(x.regimes)
    b, layers, n, _ = x[0].shape
    found, residual = plain(posed.output(subject, y)), x.keywords.get("residual", True)
    for s, i in np.ndindex(b, n):
        reached = {i}
        for layer in reversed(range(layers)):
            reached = {goal(s, layer, place, n) for place in reached} | (reached if residual else set())
        open_ = np.isin(np.arange(n), list(reached))
        right = (found[s, i][open_] >= 0.5) & (found[s, i][open_] <= 1) if residual else found[s, i][open_] == 1
        require(bool(right.all()) and bool((found[s, i][~open_] == 0).all()), f"flow {found[s, i].tolist()} from {i}, open to {sorted(reached)}, on {y}")


@law("analysis.flow-is-maximal", on=Trait.FLOW, draw=any_case)
def test_flow_lies_between_rollout_and_what_leaves_and_arrives(subject: Subject, x: Reading) -> None:
    """Of weights that sum to 1: the rollout is a flow (mass follows the weights, each edge carries no more than its own), and no flow is larger than what the
    output has in its row, or the input in its column. Exactly, but for the one rounding."""
    y = x.with_tensors({0: dyadic(x[0])})
    subject.saw(x.regimes)
    found, maps = plain(posed.output(subject, y)), plain(y[0])
    unit = torch.finfo(y[0].dtype)
    if x.keywords.get("residual", True):
        maps = (maps + np.eye(maps.shape[-1])) / 2
    rollout = maps[:, 0]
    for layer in range(1, maps.shape[1]):
        rollout = maps[:, layer] @ rollout  # products of a few sixteenths: exact in float64
    arriving = maps[:, 0].sum(1, keepdims=True)
    off = unit.eps * np.abs(found) + unit.tiny * unit.eps
    inside = (found >= rollout - off) & (found <= np.minimum(arriving, 1) + off)
    require(bool(inside.all()), f"flow {found.tolist()} beside a rollout {rollout.tolist()}, on {y}")


@law("analysis.flow-is-maximal", on=Trait.FLOW, draw=any_case)
def test_two_layers_carry_the_sum_of_smaller_capacities(subject: Subject, x: Reading) -> None:
    """Hand-computed: each middle place is one path, which carries the smaller of its two edges; one layer carries its own weight."""
    subject.saw(x.regimes)
    for layers in (1, 2):
        if x[0].shape[1] < layers or not x[0].numel():
            return
        y = x.with_tensors({0: x[0][:, :layers].contiguous()})
        maps = np.vectorize(Fraction, otypes=[object])(plain(y[0]))
        if x.keywords.get("residual", True):
            maps = (maps + np.vectorize(Fraction, otypes=[object])(np.eye(maps.shape[-1]))) / 2
        flows = maps[:, 0] if layers == 1 else np.minimum(maps[:, 1][:, :, :, None], maps[:, 0][:, None, :, :]).sum(2)
        true = _balls([arb(fmpq(f.numerator, f.denominator)) for f in map(Fraction, flows.ravel())], flows.shape)
        subject.judge(f"flow through {layers} layers", posed.output(subject, y), true, posed.truth(subject, y).bound(), y)
