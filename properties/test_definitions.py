"""Laws of every variant whose definition is written over tracked numbers (properties/cases): the bound of its output and gradients, and what follows from
what the call says of itself: which keys are hidden, which axes have no order, where it is linear."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.oracle import Balls
from properties.posed import Place, Posed, any_case
from properties.request import Request
from properties.subject import Subject, require, same
from properties.verifies import law, needs, needs_repeats


@law("running.product", "running.quotient", "running.contraction", "running.function", "running.weights", on=Trait.DEFINED, draw=any_case)
def test_the_output_follows_the_definition(subject: Subject, x: Posed) -> None:
    posed.judge_output(subject, x)


@law(
    "running.product",
    "running.quotient",
    "running.contraction",
    "running.function",
    "running.weights",
    on=Trait.DEFINED,
    draw=any_case,
    lacking=needs("gradient"),
)
def test_every_gradient_follows_the_definition(subject: Subject, x: Posed) -> None:
    posed.judge_gradients(subject, x)


@law("flash.any-tiling-is-exact", on=Trait.DEFINED, draw=any_case)
def test_a_call_repeats_itself_and_changes_nothing(subject: Subject, x: Posed) -> None:
    """Bit by bit, with the gradients between two calls; no argument changes, and the output is memory of its own."""
    subject.saw(x.regimes)
    tensors = [x[place] for place in x.places]
    before = [t.clone() for t in tensors]
    first = posed.output(subject, x)
    kept = first.clone()
    if subject.implementation.limits.gradients:
        subject.answered(Request(arguments=x.arguments, keywords=x.keywords, cotangent=x.cotangent, wanted=x.wanted), len(x.wanted))
    second = posed.output(subject, x)
    require(same(first, kept), f"a later call changed an earlier output on {x}")
    require(subject.implementation.conventions.repeats != "bitwise" or same(first, second), f"two calls differ on {x}")
    require(all(same(t, old) for t, old in zip(tensors, before, strict=True)), f"an argument was changed on {x}")
    require(not any(shared(first, t) for t in tensors), f"the output shares memory with an argument on {x}")


def shared(one: Tensor, other: Tensor) -> bool:
    return bool(one.numel()) and bool(other.numel()) and one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()


def whole_numbers(subject: Implementation) -> SearchStrategy[Posed]:
    """Calls whose values are whole numbers, so that doubling them stays far from the ends of every format."""
    return any_case(subject).map(lambda x: x.with_tensors({place: x[place].sign() for place in x.values}))


@law("convexity.output-in-the-hull", on=Trait.DEFINED, draw=whole_numbers, off=needs_repeats)
def test_doubled_values_double_the_output_exactly(subject: Subject, x: Posed) -> None:
    """Every variant is linear in its values, and a power of 2 passes through every rounding but those of subnormal numbers."""
    subject.saw(x.regimes)
    once, twice = posed.output(subject, x), posed.output(subject, x.with_tensors({place: 2 * x[place] for place in x.values}))
    far = once.abs() >= 4 * torch.finfo(once.dtype).tiny / torch.finfo(once.dtype).eps
    require(same(torch.where(far, 2 * once, twice), twice), f"output {twice.tolist()} for doubled values, {once.tolist()} before, on {x}")


@law("symmetry.query-equivariance", on=Trait.DEFINED, draw=any_case)
def test_each_sequence_is_computed_alone(subject: Subject, x: Posed) -> None:
    """The last sequence of the batch, without the others and beside one that is much larger, has the same true output."""
    if not x.batched or x.cotangent.shape[0] < 2:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    balls, bound = true.balls(), true.bound()
    last = Balls(*(part[-1:] for part in (balls.hi, balls.lo, balls.radius)))
    alone = x.with_tensors({place: x[place][-1:] for place in x.batched}, cotangent=x.cotangent[-1:])
    subject.judge("the last sequence alone", posed.output(subject, alone), last, bound[-1:], alone)
    louder = {place: torch.cat((x[place][:-1] * 3, x[place][-1:])) for place in x.batched if x[place].is_floating_point()}
    beside = x.with_tensors(louder)
    subject.judge("the last sequence beside louder ones", posed.output(subject, beside)[-1:], last, bound[-1:], beside)


@law("symmetry.key-value-invariance", on=Trait.DEFINED, draw=any_case)
def test_reordering_keys_with_values_keeps_the_definition(subject: Subject, x: Posed) -> None:
    """Where keys have no order: what the definition gives in the drawn order, the subject gives in the reverse one."""
    if "keys" in x.ordered:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    turned = x.with_tensors(flipped(x, x.by_key))
    subject.judge("output with the keys in reverse", posed.output(subject, turned), true.balls(), true.bound(), turned)


@law("symmetry.query-equivariance", on=Trait.DEFINED, draw=any_case)
def test_reordering_queries_reorders_the_definition(subject: Subject, x: Posed) -> None:
    if "queries" in x.ordered:
        return
    subject.saw(x.regimes)
    true = posed.truth(subject, x)
    turned = x.with_tensors(flipped(x, x.by_query))
    subject.judge("output with the queries in reverse", posed.output(subject, turned).flip(-2), true.balls(), true.bound(), turned)


def flipped(x: Posed, axes: Mapping[Place, int]) -> dict[Place, Tensor]:
    """Reversed along these axes; one of length 1 is broadcast, and has no order."""
    return {place: x[place].flip(axis) for place, axis in axes.items()}


@law("masks.hidden-key-has-no-influence", on=Trait.DEFINED, draw=any_case, off=needs_repeats)
def test_what_a_row_does_not_see_leaves_it_bit_by_bit(subject: Subject, x: Posed) -> None:
    """Other numbers at a key that some rows do not see: those rows do not move, to the last bit, at unchanged shapes."""
    if x.visible is None or x.visible.all():
        return
    subject.saw(x.regimes)
    key = int(np.argmin(x.visible.reshape(-1, x.visible.shape[-1]).mean(0)))  # the one that fewest rows see
    changed = {}
    for place, axis in x.by_key.items():
        if place == "attn_mask" or not x[place].is_floating_point():
            continue
        other = torch.empty_strided(x[place].shape, x[place].stride(), dtype=x[place].dtype).copy_(x[place])  # clone() would close the gaps of a slice
        other.select(axis, key).mul_(-3).add_(1)
        changed[place] = other
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors(changed))
    blind = ~torch.from_numpy(np.ascontiguousarray(x.visible[..., key]))  # [B, H, N]
    moved = f"{before[blind].tolist()}, then {after[blind].tolist()}"
    require(same(before[blind], after[blind]), f"rows that do not see key {key} move when it changes: {moved}, on {x}")


@law("convexity.output-in-the-hull", on=Trait.DEFINED, draw=any_case)
def test_constant_values_give_the_mass_of_the_weights(subject: Subject, x: Posed) -> None:
    """With all values 1 the output is the sum of a row's weights: 1, or what the definition says."""
    subject.saw(x.regimes)
    ones = x.with_tensors({place: torch.ones_like(x[place]) for place in x.values})
    true = posed.truth(subject, ones)
    subject.judge("the sum of the weights", posed.output(subject, ones), true.balls(), true.bound(), ones)
