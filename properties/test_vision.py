"""Laws of attention over images: masses, what relabelling places, channels, pixels and patches does, object queries, and the loss of sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.images import detr, spatial, vit
from properties.cases.layered import HIDDEN, heads
from properties.oracle import Array, Balls
from properties.posed import Place, Posed, any_case
from properties.subject import Subject, require, same
from properties.test_modalities import other_numbers
from properties.tracked import Tracked, concatenate, contract, stack
from properties.verifies import law, needs_repeats


def drawn_order(x: Posed, length: int) -> Tensor:
    """An order of that many things that depends on nothing but the call's sizes: each law meets many, none of them sorted but by chance."""
    return torch.randperm(length, generator=torch.Generator().manual_seed(length + x.cotangent.numel()))


def relabelled(x: Tensor, order: Tensor, axes: int = 2) -> Tensor:
    """The last axes, seen as one, in another order."""
    return x.flatten(-axes)[..., order].reshape(x.shape)


def reordered(balls: Balls, order: Tensor, axis: int) -> Balls:
    return Balls(*(np.take(part, order.numpy(), axis) for part in (balls.hi, balls.lo, balls.radius)))


def masses(subject: Subject, x: Posed, weights: Tensor, bound: Array, total: Array) -> None:
    """Require weights [B, K] that are no less than 0 and sum to the total within their bounds."""
    require(bool((weights >= 0).all()), f"a weight below 0 in {weights.tolist()} on {x}")
    subject.within("the sum of the weights", np.abs(weights.double().sum(-1).numpy() - total), bound.sum(-1), x)


@law("vision.spatial-mass", on=Trait.SPATIAL, draw=any_case)
def test_the_weights_of_all_places_sum_to_one(subject: Subject, x: Posed) -> None:
    """Read off by one-hot values. They sum to 1 over height and width together, not over each row; to 0 where every place is hidden."""
    subject.saw(x.regimes)
    b, _, height, width = x[0].shape
    one_hot = torch.eye(height * width, dtype=x[0].dtype).reshape(1, height * width, height, width).repeat(b, 1, 1, 1)
    call = x.with_tensors({2: one_hot}, cotangent=x[0].new_zeros(b, height * width))
    wide = replace(call, define=lambda t: weights_of_places(x, t))
    alive = np.ones(b) if "attn_mask" not in x.keywords else x["attn_mask"].flatten(1).any(-1).double().numpy()
    masses(subject, wide, posed.output(subject, wide), posed.truth(subject, wide).bound(), alive)


def weights_of_places(x: Posed, t: Mapping[Place, Tracked]) -> Tracked:
    """The definition, as many values at a time as it was drawn with."""
    width, count = x[2].shape[1], t[2].shape[1]
    spare = -count % width
    places = [*range(count), *([0] * spare)]
    parts = [x.define({**t, 2: t[2][:, places[i : i + width]]}) for i in range(0, count, width)]
    return concatenate(parts, 1)[:, :count]


@law("symmetry.key-value-invariance", on=Trait.SPATIAL, draw=any_case)
def test_relabelling_the_places_of_an_image_changes_nothing(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true, order = posed.truth(subject, x), drawn_order(x, x[0][0, 0].numel())
    turned = x.with_tensors({place: relabelled(x[place], order) for place in x.tensors if place != 1})
    subject.judge("output with the places in another order", posed.output(subject, turned), true.balls(), true.bound(), turned)


@law("masks.hidden-key-has-no-influence", on=Trait.SPATIAL, draw=partial(spatial, padding=HIDDEN), off=needs_repeats)
def test_hidden_places_never_act(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    shown = x["attn_mask"].unsqueeze(1)
    changed: dict[Place, Tensor] = {place: torch.where(shown, x[place], other_numbers(x[place])) for place in (0, 2)}
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors(changed))
    require(same(before, after), f"hidden places act: {before.tolist()}, then {after.tolist()}, on {x}")


@law("vision.channel-mass", on=Trait.CHANNEL, draw=any_case)
def test_the_weights_of_all_channels_sum_to_one(subject: Subject, x: Posed) -> None:
    """At every place of the values, as a channel has one weight for all of them."""
    subject.saw(x.regimes)
    ones = x.with_tensors({2: torch.ones_like(x[2])})
    found, bound = posed.output(subject, ones), posed.truth(subject, ones).bound()
    masses(subject, ones, found.flatten(2).mT, np.moveaxis(bound.reshape(*bound.shape[:2], -1), 1, 2), np.ones(()))
    require(bool((found == found[:, :, :1, :1]).all()), f"a channel has several weights: {found.tolist()} on {x}")


@law("symmetry.query-equivariance", on=Trait.CHANNEL, draw=any_case)
def test_relabelling_channels_relabels_the_output(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true, order = posed.truth(subject, x), drawn_order(x, x[0].shape[1])
    turned = x.with_tensors({place: x[place][:, order] for place in (0, 2)})
    balls, bound = reordered(true.balls(), order, 1), true.bound()[:, order.numpy()]
    subject.judge("output with the channels in another order", posed.output(subject, turned), balls, bound, turned)


@law("vision.pixels-in-any-order", on=Trait.PIXELS, draw=any_case)
def test_relabelling_pixels_relabels_the_output(subject: Subject, x: Posed) -> None:
    """Any order of all pixels, across rows; and the same pixels in a grid with its sides exchanged."""
    subject.saw(x.regimes)
    true, order = posed.truth(subject, x), drawn_order(x, x[0][0, 0].numel())
    turned = x.with_tensors({0: relabelled(x[0], order)})
    back = relabelled(posed.output(subject, turned), order.argsort())
    subject.judge("output with the pixels in another order", back, true.balls(), true.bound(), turned)
    height, width = x[0].shape[-2:]
    reshaped = x.with_tensors({0: x[0].reshape(*x[0].shape[:2], width, height)}, cotangent=x.cotangent.reshape(*x.cotangent.shape[:2], width, height))
    found = posed.output(subject, reshaped).reshape(x.cotangent.shape)
    subject.judge("output of the same pixels in another grid", found, true.balls(), true.bound(), reshaped)


@st.composite
def convolved(draw: st.DrawFn, subject: Implementation) -> Posed:
    """Calls whose tokens are a convolution's."""
    x = draw(vit(subject))
    return replace(x, define=lambda t: attended_convolution(t, x[8], x[9]))


def attended_convolution(t: Mapping[Place, Tracked], number: int, size: int) -> Tracked:
    """Σ_cuv K_dcuv x_c(iP + u)(jP + v) with the kernel K [D, C, P, P] that the weight of a patch is, then the layer."""
    (b, channels, height, width), d = t[0].shape, t[2].shape[0]
    kernel = t[1].swapaxes(0, 1).reshape(d, channels, size, size)
    tokens = contract("bciujv,dcuv->bijd", t[0].reshape(b, channels, height // size, size, width // size, size), kernel).reshape(b, -1, d)
    x = concatenate((t[2].reshape(1, 1, d).broadcast((b, 1, d)), tokens), 1) + t[3]
    return heads(x, x, x, stack([t[place] for place in (4, 5, 6, 7)], 0), number)


@law("vision.patch-embedding-is-convolution", on=Trait.PATCHES, draw=convolved)
def test_patches_times_a_weight_are_a_convolution_whose_stride_is_its_side(subject: Subject, x: Posed) -> None:
    posed.judge_output(subject, x)


@law("symmetry.query-equivariance", on=Trait.PATCHES, draw=any_case)
def test_patches_without_positions_have_no_order(subject: Subject, x: Posed) -> None:
    """Relabelling patches relabels their rows, and leaves the class token's; with positions that move along, too."""
    subject.saw(x.regimes)
    (rows, columns), size = (length // x[9] for length in x[0].shape[-2:]), x[9]
    order = drawn_order(x, rows * columns)
    behind = torch.cat((torch.zeros(1, dtype=torch.int64), 1 + order))
    moved = torch.stack([patch(x[0], int(place), columns, size) for place in order], 1).unflatten(1, (rows, columns))  # [B, h, w, C, P, P]
    image = moved.permute(0, 3, 1, 4, 2, 5).reshape(x[0].shape)
    for positions in (torch.zeros_like(x[3]), x[3]):
        plain = x.with_tensors({3: positions})
        true = posed.truth(subject, plain)
        turned = x.with_tensors({0: image, 3: positions[behind]})
        subject.judge(
            "output of relabelled patches", posed.output(subject, turned), reordered(true.balls(), behind, 1), true.bound()[:, behind.numpy()], turned
        )


def patch(image: Tensor, place: int, columns: int, size: int) -> Tensor:
    i, j = divmod(place, columns)
    return image[:, :, i * size : (i + 1) * size, j * size : (j + 1) * size]


@law("vision.equal-queries", on=Trait.OBJECT_QUERIES, draw=any_case)
def test_identical_queries_give_identical_predictions(subject: Subject, x: Posed) -> None:
    """Whatever the image: what tells predictions apart is their queries alone."""
    subject.saw(x.regimes)
    alike = x.with_tensors({0: x[0][:1].repeat(x[0].shape[0], 1)})
    found, bound = posed.output(subject, alike).double().numpy(), posed.truth(subject, alike).bound()
    subject.within("the distance of identical queries' predictions", np.abs(found - found[:, :1]), bound + bound[:, :1], alike)


@law("masks.hidden-key-has-no-influence", on=Trait.OBJECT_QUERIES, draw=partial(detr, padding=HIDDEN), off=needs_repeats)
def test_places_of_an_image_that_are_not_there_are_found_by_no_query(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    changed = x.with_tensors({1: torch.where(x["feature_mask"][..., None], x[1], other_numbers(x[1]))})
    before, after = posed.output(subject, x), posed.output(subject, changed)
    require(same(before, after), f"hidden features act: {before.tolist()}, then {after.tolist()}, on {x}")


@law("vision.set-prediction", on=Trait.SET_LOSS, draw=any_case)
def test_the_order_of_predictions_and_objects_changes_no_loss(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    for places, length in (((0, 1), x[0].shape[1]), ((2, 3), x[2].shape[1])):
        order = drawn_order(x, length).roll(1)
        turned = x.with_tensors({place: x[place][:, order] for place in places})
        subject.judge(f"loss with {places} in another order", posed.output(subject, turned), true.balls(), true.bound(), turned)


@law("vision.no-object", on=Trait.SET_LOSS, draw=any_case)
def test_an_object_that_is_absent_costs_nothing(subject: Subject, x: Posed) -> None:
    """The case b = 0 of the claim, the paper's matching cost: one more place for an object, whose label says that there is none, before the others or behind
    them."""
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    none, nowhere = x[2].new_full((x[2].shape[0], 1), -1), x[3].new_full((x[3].shape[0], 1, 4), 100.0)
    for labels, boxes in (((none, x[2]), (nowhere, x[3])), ((x[2], none), (x[3], nowhere))):
        longer = x.with_tensors({2: torch.cat(labels, 1), 3: torch.cat(boxes, 1)})
        subject.judge("loss with an absent object", posed.output(subject, longer), true.balls(), true.bound(), longer)
