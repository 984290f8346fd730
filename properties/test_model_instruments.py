"""Laws of the instruments that need a model: what the slope of a gate says about switching a head off, gradients against finite differences of a loss that is
a square, and outputs that other weights give as well."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.model_instruments import GATES, Layer, attribution_of, draw_layer, importance_of, intervention_of, loss_of
from properties.inputs import plain
from properties.oracle import Array, Balls
from properties.posed import Posed
from properties.subject import Subject
from properties.tracked import Objects, Tracked, exact
from properties.verifies import law

# ------------------------------------------------------------------------------------------------------- importance of heads


@st.composite
def both_ways(draw: st.DrawFn, subject: Implementation, loss: str) -> tuple[Posed, Posed, Layer]:
    """One call by ablation and one by gradient, on the same numbers."""
    at = draw_layer(draw, subject)
    ablated = importance_of(at, gates=draw(st.sampled_from(GATES), label="gates"), by="ablation", loss=loss)
    slope = importance_of(at, gates="none", by="gradient", loss=loss)
    given = {name: x for name, x in ablated.keywords.items() if name == "gates"}
    define = regated(at, loss, ablated)
    same = replace(slope, arguments=ablated.arguments, keywords=slope.keywords | given, define=define, regimes=ablated.regimes)
    return ablated, same, at


def regated(at: Layer, loss: str, like: Posed) -> posed.Definition:
    """The definition of the gradient at the gates of a call."""
    kind = next(x.partition(": ")[2] for x in like.regimes if x.startswith("gates"))
    return importance_of(at, gates=kind, by="gradient", loss=loss).define


def both_ways_linear(subject: Implementation) -> st.SearchStrategy[tuple[Posed, Posed, Layer]]:
    return both_ways(subject, "linear")


def both_ways_squares(subject: Implementation) -> st.SearchStrategy[tuple[Posed, Posed, Layer]]:
    return both_ways(subject, "squares")


def gates_of(x: Posed) -> Array:
    """The gates of a call [B, H]."""
    found: Array = plain(x["gates"]) if "gates" in x.keywords else np.ones(tuple(x.cotangent.shape))
    return found


def gap(subject: Subject, ablated: Posed, slope: Posed) -> tuple[Array, Array]:
    """| |ablation| − |gate| · gradient |, and how much of it rounding may be."""
    true, steep = posed.truth(subject, ablated), posed.truth(subject, slope)
    posed.count_bounded(subject, true)
    gates = gates_of(ablated)
    off, by_slope = exact(plain(posed.output(subject, ablated))), exact(plain(posed.output(subject, slope)))
    left = np.abs(np.abs(off) - np.abs(exact(gates)) * by_slope)
    return middle(left), true.bound() + np.abs(gates) * steep.bound()


def middle(x: Objects) -> Array:
    """Balls in float64; an empty sum is a bare 0."""
    return np.asarray(np.frompyfunc(lambda ball: float(ball.mid()) if isinstance(ball, arb) else float(ball), 1, 1)(x), dtype=np.float64)


@law("analysis.gate-gradient", on=Trait.HEAD_IMPORTANCE, draw=both_ways_linear)
def test_where_the_loss_is_linear_in_the_gates_both_importances_are_one(subject: Subject, x: tuple[Posed, Posed, Layer]) -> None:
    """|ℓ(g_h = 0) − ℓ(g)| = |g_h| |∂ℓ/∂g_h| exactly, so within what both may be off."""
    ablated, slope, _ = x
    subject.saw(ablated.regimes)
    difference, bound = gap(subject, ablated, slope)
    subject.within("ablation without gate times gradient", difference, bound, ablated)


@law("analysis.gate-gradient", on=Trait.HEAD_IMPORTANCE, draw=both_ways_squares)
def test_a_gate_s_finite_difference_is_its_slope_up_to_the_square(subject: Subject, x: tuple[Posed, Posed, Layer]) -> None:
    """Taylor, without a remainder as the loss is a square: ℓ(g_h = 0) − ℓ(g) + g_h ∂ℓ/∂g_h = ½ g_h² |c_h|², c_h being what the head adds to the output."""
    ablated, slope, at = x
    subject.saw(ablated.regimes)
    difference, bound = gap(subject, ablated, slope)
    leaves = ablated.leaves(subject.rounding(ablated.cotangent.dtype))
    heads, out = at.heads(leaves, at.weights(leaves)).middle, at.out(leaves).middle
    added = np.einsum("bhne,hec->bhnc", heads, out)
    taylor = 0.5 * gates_of(ablated) ** 2 * (added**2).sum((2, 3))
    subject.within("ablation and gate times gradient", difference, bound + taylor * (1 + 2.0**-20), ablated)


@st.composite
def any_importance(draw: st.DrawFn, subject: Implementation) -> Posed:
    at = draw_layer(draw, subject)
    by, loss = draw(st.sampled_from(("ablation", "gradient")), label="by"), draw(st.sampled_from(("squares", "linear")), label="loss")
    return importance_of(at, gates=draw(st.sampled_from(GATES), label="gates"), by=by, loss=loss)


@st.composite
def one_by_one(draw: st.DrawFn, subject: Implementation) -> tuple[Posed, Layer, list[int]]:
    """A call by ablation at gates that are given, and an order of its heads."""
    at = draw_layer(draw, subject)
    loss = draw(st.sampled_from(("squares", "linear")), label="loss")
    call = importance_of(at, gates=draw(st.sampled_from(GATES[1:]), label="gates"), by="ablation", loss=loss)
    return call, at, draw(st.permutations(range(at.sizes.h)), label="order")


@law("analysis.ablation", on=Trait.HEAD_IMPORTANCE, draw=one_by_one)
def test_heads_removed_one_after_the_other_cost_what_all_of_them_cost(subject: Subject, x: tuple[Posed, Layer, list[int]]) -> None:
    """In any order: each head's cost is read with those before it closed, and the sum is ℓ(all closed) − ℓ(g), for a square too, whose single costs do not add
    up."""
    call, at, order = x
    subject.saw(call.regimes)
    gates, costs, bound = call["gates"].clone(), exact(np.zeros(at.sizes.b)), np.zeros(at.sizes.b)
    for head in order:
        y = call.with_tensors({"gates": gates.clone()})
        true = posed.truth(subject, y)
        posed.count_bounded(subject, true)
        costs, bound = costs + exact(plain(posed.output(subject, y))[:, head]), bound + true.bound()[:, head]
        gates[:, head] = 0
    leaves = call.leaves(subject.rounding(call.cotangent.dtype))
    heads, g = at.heads(leaves, at.weights(leaves)), leaves["gates"].reshape(at.sizes.b, at.sizes.h, 1, 1)
    full, nothing = (loss_of(at.output(leaves, heads * given), leaves[5], call["loss"]).true for given in (g, g.where(np.zeros(g.shape, dtype=np.bool_))))
    subject.within("costs one after the other", middle(np.abs(costs - (nothing - full))), bound, call)


@law("heads.order-is-arbitrary", on=Trait.HEAD_IMPORTANCE, draw=any_importance)
def test_heads_in_another_order_keep_their_importances(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true, heads = posed.truth(subject, x), x[6]
    changed = {place: blocks(x[place], heads, axis).flip(axis).flatten(axis, axis + 1) for place, axis in ((1, 1), (2, 1), (3, 1), (4, 0))}
    turned = x.with_tensors(changed | ({"gates": x["gates"].flip(1)} if "gates" in x.keywords else {}))
    subject.judge("importance of heads in reverse", posed.output(subject, turned).flip(1), true.balls(), true.bound(), turned)


def blocks(weight: Tensor, heads: int, axis: int) -> Tensor:
    """An axis of H·D as axes of H and D."""
    found: Tensor = weight.unflatten(axis, (heads, -1))
    return found


# ------------------------------------------------------------------------------------------------------- attribution by gradients


@st.composite
def of_weights(draw: st.DrawFn, subject: Implementation) -> tuple[Posed, Layer]:
    at = draw_layer(draw, subject)
    return attribution_of(at, of="weights", loss=draw(st.sampled_from(("squares", "linear")), label="loss")), at


@law("analysis.gate-gradient", on=Trait.ATTRIBUTION, draw=of_weights)
def test_a_weight_s_attribution_is_the_weight_times_a_central_difference(subject: Subject, x: tuple[Posed, Layer]) -> None:
    """(ℓ(P + ε E) − ℓ(P − ε E)) / 2ε is the slope itself, as the loss is a square in each weight: computed in balls at ε = 1/2, without a derivative."""
    call, at = x
    subject.saw(call.regimes)
    true = posed.truth(subject, call)
    leaves = call.leaves(subject.rounding(call.cotangent.dtype))
    weights = at.weights(leaves)
    heads = at.heads(leaves, weights)
    y, part = at.output(leaves, heads).true, np.einsum("bhme,hec->bhmc", at.projected(leaves, 3).true, at.out(leaves).true)
    y, part, target = y[:, None, :, None], part[:, :, None], leaves[5].true[:, None, :, None]  # [B, H, N, M, C]
    up, down = (loss_by_row(y + part * half, target, call["loss"]) for half in (exact(np.full((), 0.5)), exact(np.full((), -0.5))))
    idle = ~np.broadcast_to((part != 0).any(-1), weights.shape)  # a key whose value adds nothing to the output: no difference, not a ball around one
    balls = with_truth(true, np.where(idle, exact(np.zeros(())), weights.true * (up - down))).balls()
    subject.judge("attribution of weights", posed.output(subject, call), balls, true.bound(), call)


def loss_by_row(y: Objects, target: Objects, loss: str) -> Objects:
    """The part of the loss that a row of the output has, in balls."""
    terms = y * target if loss == "linear" else (y - target) * (y - target) / 2
    found: Objects = np.add.reduce(np.broadcast_to(terms, np.broadcast_shapes(y.shape, target.shape)), axis=-1)
    return found


def with_truth(x: Tracked, true: Objects) -> Tracked:
    return Tracked(true=true, off=x.off, rounding=x.rounding)


@st.composite
def of_linear(draw: st.DrawFn, subject: Implementation) -> tuple[Posed, Layer]:
    at = draw_layer(draw, subject)
    return attribution_of(at, of="weights", loss="linear"), at


@law("analysis.gate-gradient", on=Trait.ATTRIBUTION, draw=of_linear)
def test_attributions_of_all_weights_sum_to_a_linear_loss(subject: Subject, x: tuple[Posed, Layer]) -> None:
    """Σ P ∘ ∂ℓ/∂P = ⟨y, target⟩: nothing of the output is left unattributed."""
    call, at = x
    subject.saw(call.regimes)
    true = posed.truth(subject, call)
    posed.count_bounded(subject, true)
    leaves = call.leaves(subject.rounding(call.cotangent.dtype))
    y = at.output(leaves, at.heads(leaves, at.weights(leaves)))
    whole = np.add.reduce(y.true * leaves[5].true, axis=(1, 2))
    found = np.add.reduce(exact(plain(posed.output(subject, call))), axis=(1, 2, 3))
    subject.within("sum of attributions", middle(np.abs(found - whole)), true.bound().sum((1, 2, 3)), call)


# ------------------------------------------------------------------------------------------------------- interventions


@st.composite
def twins(draw: st.DrawFn, subject: Implementation) -> tuple[Posed, Tensor]:
    """A call whose last token is the first one again, with dyadic weights for one head; and other weights, which give the first what the last had."""
    at = draw_layer(draw, subject)
    tokens = at.tensors[0].clone()
    tokens[:, -1:] = tokens[:, :1]
    at = replace(at, tensors=(tokens, *at.tensors[1:]))
    s = at.sizes
    given = torch.randint(0, 8, (s.b, s.n, s.n), generator=s.random).to(s.dtype) / 8
    moved = given.clone()
    if s.n > 1:
        moved[..., 0] = given[..., 0] + given[..., -1]
        moved[..., -1] = 0
    return intervention_of(at, draw(st.integers(0, s.h - 1), label="head"), given), moved


@law("analysis.same-output-other-weights", on=Trait.INTERVENTION, draw=twins)
def test_other_weights_on_equal_tokens_give_the_same_output(subject: Subject, x: tuple[Posed, Tensor]) -> None:
    """What a head attends to is not determined by what it returns: equal tokens without positions have equal values, and share a weight in any way."""
    call, moved = x
    subject.saw(call.regimes)
    other = call.with_tensors({"replacement": moved})
    true = posed.truth(subject, call)
    subject.judge("output with the weight moved to a twin", posed.output(subject, other), true.balls(), posed.truth(subject, other).bound(), other)


@st.composite
def emptied(draw: st.DrawFn, subject: Implementation) -> tuple[Posed, Layer]:
    """A call with zeros in the head's place, which the law replaces."""
    at = draw_layer(draw, subject)
    head = draw(st.integers(0, at.sizes.h - 1), label="head")
    zeros = torch.zeros(at.sizes.b, at.sizes.n, at.sizes.n, dtype=at.sizes.dtype)
    return intervention_of(at, head, zeros), at


@law("analysis.intervention", on=Trait.INTERVENTION, draw=emptied)
def test_a_head_s_own_weights_put_in_its_place_change_nothing(subject: Subject, x: tuple[Posed, Layer]) -> None:
    """Beyond what rounding the weights changes, which is known: the true outputs with both are compared in balls."""
    call, at = x
    subject.saw(call.regimes)
    leaves = call.leaves(subject.rounding(call.cotangent.dtype))
    weights = at.weights(leaves)
    own = torch.from_numpy(np.ascontiguousarray(weights.middle[:, call[6]])).to(call.cotangent.dtype)
    same = call.with_tensors({"replacement": own})
    whole, put = at.output(leaves, at.heads(leaves, weights)), posed.truth(subject, same)
    rounding = middle(np.abs(put.true - whole.true))
    balls: Balls = whole.balls()
    subject.judge("output with the head's own weights", posed.output(subject, same), balls, put.bound() + rounding * (1 + 2.0**-20), same)
