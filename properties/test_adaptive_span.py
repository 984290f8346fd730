"""Laws of the adaptive span: nothing acts from beyond it, all of causal attention within it, and its gradient comes from its edge alone."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.adaptive_span import adaptive_span, causal, masks
from properties.inputs import plain
from properties.posed import Posed
from properties.request import Request
from properties.simplex import attended, factor
from properties.subject import Subject, require, same
from properties.tracked import Flags, constant, contract
from properties.verifies import law, needs, needs_repeats


def within(x: Posed) -> Flags:
    """Which pairs [H, N, M] have a mask above 0: j ≤ i < j + R + z, in exact arithmetic of the two numbers."""
    h, n, m = x[0].shape[1], x[0].shape[2], x[1].shape[2]
    reach = np.broadcast_to(np.array([math.ceil(z + x[4]) for z in x[3].double().reshape(-1).tolist()])[:, None, None], (h, 1, 1))
    distance = np.arange(n)[:, None] - np.arange(m)
    return np.asarray((distance < reach) & causal(n, m))


def reading(x: Posed) -> Posed:
    """The call with the identity for values, so that its output is the weights."""
    b, h, m, _ = x[2].shape
    wide = max(m, 1)  # widths are not 0
    identity = torch.eye(m, wide, dtype=x[2].dtype).expand(b, h, m, wide).contiguous()
    return x.with_tensors({2: identity}, cotangent=torch.zeros(*x.cotangent.shape[:-1], wide, dtype=x[2].dtype))


@law("sparsity.support", on=Trait.ADAPTIVE_SPAN, draw=lambda subject: adaptive_span(subject).map(reading))
def test_keys_beyond_the_span_have_no_weight_at_all(subject: Subject, x: Posed) -> None:
    """From a distance of R + z on, weights are 0 exactly; none is negative, and all are within their bounds."""
    subject.saw(x.regimes)
    weights, true = posed.output(subject, x), posed.truth(subject, x)
    inside = torch.from_numpy(np.broadcast_to(within(x), (*x[0].shape[:3], x[1].shape[2])).copy())
    if inside.shape[-1]:
        require(bool((weights[~inside] == 0).all()) and bool((weights >= 0).all()), f"weights {weights.tolist()} on {x}")
    subject.judge("weights", weights, true.balls(), true.bound(), x)


@law("masks.hidden-key-has-no-influence", on=Trait.ADAPTIVE_SPAN, draw=adaptive_span, off=needs_repeats)
def test_a_loud_key_beyond_the_span_moves_nothing(subject: Subject, x: Posed) -> None:
    """The first key 0, then so long that its scores drown all others: rows that it lies beyond do not move, to the last bit."""
    if not x[1].shape[2]:
        return
    subject.saw(x.regimes)
    far = ~torch.from_numpy(within(x)[..., 0]).expand(*x[0].shape[:3])
    loud, silent = x[1].clone(), x[1].clone()
    loud[:, :, 0], silent[:, :, 0] = 30_000.0, 0.0
    one, other = (posed.output(subject, x.with_tensors({1: key})) for key in (silent, loud))
    require(same(one[far], other[far]), f"key 0 moves rows beyond its span: {one[far].tolist()}, then {other[far].tolist()}, on {x}")


@law("sparsity.sparse-is-masked-dense", on=Trait.ADAPTIVE_SPAN, draw=partial(adaptive_span, spans=(100.0, 20.0, 5000.0)))
def test_a_span_longer_than_the_sequence_is_causal_attention(subject: Subject, x: Posed) -> None:
    """And its gradient with respect to the span is 0, exactly."""
    if min(x[3].reshape(-1).tolist(), default=0.0) < x[0].shape[2]:
        return
    subject.saw(x.regimes)
    leaves = x.leaves(subject.rounding(x.cotangent.dtype))
    scores = contract("bhnd,bhmd->bhnm", leaves[0], leaves[1]) * factor(x.keywords.get("scale"), x[0].shape[-1], leaves[0].rounding)
    true = attended(scores, leaves[2], np.broadcast_to(causal(*scores.shape[2:]), scores.shape))
    subject.judge("output", posed.output(subject, x), true.balls(), posed.truth(subject, x).bound(), x)
    if subject.implementation.limits.gradients:
        gradient = of_the_span(subject, x)
        require(bool((gradient == 0).all()), f"gradient {gradient.tolist()} of the span on {x}")


def of_the_span(subject: Subject, x: Posed) -> Tensor:
    return subject.answered(Request(arguments=x.arguments, keywords=x.keywords, cotangent=x.cotangent, wanted=(3,)), 1)[0]


@law("sparsity.sparse-is-masked-dense", on=Trait.ADAPTIVE_SPAN, draw=partial(adaptive_span, ramps=(1.0, 0.25), spans=(0.0,)))
def test_a_span_of_nothing_returns_the_own_value(subject: Subject, x: Posed) -> None:
    """R ≤ 1 and z = 0: the distance 0 alone has a mask, so that the weight is 1 whatever the score. A row beyond the last key is 0."""
    subject.saw(x.regimes)
    expected = torch.zeros_like(x.cotangent)
    shared = min(x[0].shape[2], x[2].shape[2])
    expected[:, :, :shared] = x[2][:, :, :shared]
    output = posed.output(subject, x)
    require(same(output + 0.0, expected + 0.0), f"output {output.tolist()} for values {x[2].tolist()} on {x}")


def on_whole_steps(subject: Implementation) -> SearchStrategy[Posed]:
    """Calls whose masks are 0 or 1 with no key on the ramp: no distance x has z ≤ x ≤ z + R."""
    return adaptive_span(subject, ramps=(0.25, 0.5), spans=(0.0625, 1.0625, 3.0625))


@law("masks.renormalised-mask", on=Trait.ADAPTIVE_SPAN, draw=on_whole_steps, lacking=needs("gradient"))
def test_the_gradient_of_the_span_is_zero_where_no_key_lies_on_the_ramp(subject: Subject, x: Posed) -> None:
    subject.saw(x.regimes)
    found = of_the_span(subject, x)
    require(bool((found == 0).all()), f"gradient {found.tolist()} of the span on {x}")


def steps(subject: Implementation) -> SearchStrategy[Posed]:
    """Calls with as many keys as queries and one key on the ramp, half way down."""
    return adaptive_span(subject, ramps=(1.0,), spans=(0.5, 1.5, 2.5), square=True)


@law("masks.renormalised-mask", on=Trait.ADAPTIVE_SPAN, draw=steps)
def test_a_key_half_way_down_the_ramp_counts_half(subject: Subject, x: Posed) -> None:
    """With all keys 0, the weights are the masks over their sum: 1 within the span, 1/2 at its edge."""
    subject.saw(x.regimes)
    silent = reading(x.with_tensors({1: torch.zeros_like(x[1])}))
    mask = masks(constant(plain(x[3]), subject.rounding(x.cotangent.dtype)), x[4], (x[0].shape[1], x[0].shape[2], x[1].shape[2])).middle  # 0, 1/2 or 1
    counted = mask * causal(*mask.shape[1:])
    expected = np.zeros(silent.cotangent.shape)
    expected[..., : mask.shape[2]] = counted
    shares = constant(expected, subject.rounding(x.cotangent.dtype)) / constant(
        np.maximum(expected.sum(-1, keepdims=True), 1.0), subject.rounding(x.cotangent.dtype)
    )
    subject.judge("weights", posed.output(subject, silent), shares.balls(), posed.truth(subject, silent).bound(), silent)
