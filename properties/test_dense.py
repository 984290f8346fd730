"""Laws of scaled dot-product attention, tried on every implementation that says it computes it."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import hypothesis.strategies as st
import numpy as np
import torch

from impl.trait import Trait
from impl.variant import Implementation
from properties import oracle, tolerance
from properties.inputs import MIDDLE, Inputs, dense, draw_lengths, plain, problem, shifted, square
from properties.subject import Subject, require, same
from properties.verifies import law, needs, needs_all, needs_repeats, needs_the_maximum

SHORT = (1, 2, 3, 5, 7)  # lengths at which several sequences and heads are affordable
EXACT = ("float64", "float32")  # where doubling an input doubles every intermediate
MODERATE = ("small integers", "normal", "equal", "tiny")  # scores whose weights stay far from underflow
UNORDERED = ("additive per head", "none", "boolean", "dead row", "first keys hidden", "padding", "per head", "additive", "additive with -inf", "one query row")


def bounded(subject: Subject, x: Inputs, *, gradients: bool = False) -> tuple[oracle.Problem, oracle.Truth, tolerance.Rounding, tolerance.Forward]:
    """The problem, its truth, the subject's arithmetic on it and the forward bounds."""
    subject.saw(x.regimes)
    posed = problem(x, gradients=gradients)
    truth = oracle.attention(posed)
    arithmetic = subject.rounding(x.query.dtype)
    ahead = tolerance.forward(posed, truth, arithmetic)
    if ahead.idle.size:
        vague = ahead.idle.mean() > 0.5
        subject.unbounded, subject.bounded = subject.unbounded + vague, subject.bounded + (not vague)
    return posed, truth, arithmetic, ahead


@law("softmax.weighted-average", "rounding.output", on=Trait.DOT_PRODUCT, draw=dense)
def test_outputs_lie_within_the_bound(subject: Subject, x: Inputs) -> None:
    _, truth, _, bound = bounded(subject, x)
    subject.judge("output", subject(x), truth.output, bound.output, x)


@law("gradients.queries", "gradients.keys", "gradients.values", "rounding.scores-gradient", on=Trait.DOT_PRODUCT, draw=dense, lacking=needs("gradient"))
def test_gradients_lie_within_the_bound(subject: Subject, x: Inputs) -> None:
    posed, truth, arithmetic, ahead = bounded(subject, x, gradients=True)
    bound = tolerance.backward(posed, truth, arithmetic, ahead)
    d_q, d_k, d_v = subject.gradients(x)
    assert truth.d_q is not None
    subject.judge("dQ", d_q, truth.d_q, bound.d_q, x)
    for what, actual, true, limit in (("dK", d_k, truth.d_k, bound.d_k), ("dV", d_v, truth.d_v, bound.d_v)):
        assert true is not None
        summed = oracle.Balls(*(tolerance.shared(part, posed) for part in (true.hi, true.lo, true.radius)))
        subject.judge(what, actual, summed, limit, x)


@law("gradients.queries", "gradients.keys", "gradients.values", on=Trait.DOT_PRODUCT, draw=dense, lacking=needs("gradient"))
def test_each_gradient_alone_lies_within_the_bound(subject: Subject, x: Inputs) -> None:
    """One input at a time is differentiated; and what is returned while gradients are recorded is the output all the same."""
    posed, truth, arithmetic, ahead = bounded(subject, x, gradients=True)
    bound = tolerance.backward(posed, truth, arithmetic, ahead)
    recording = replace(x, query=x.query.detach().requires_grad_(), key=x.key.detach().requires_grad_(), value=x.value.detach().requires_grad_())
    subject.judge("output while gradients are recorded", subject(recording), truth.output, ahead.output, x)
    for place, (what, true, limit) in enumerate((("dQ", truth.d_q, bound.d_q), ("dK", truth.d_k, bound.d_k), ("dV", truth.d_v, bound.d_v))):
        assert true is not None
        summed = oracle.Balls(*(tolerance.shared(part, posed) for part in (true.hi, true.lo, true.radius))) if place else true
        subject.judge(f"{what} alone", subject.gradients(x, of=(place,))[0], summed, limit, x)


@law(
    "gradients.scores",
    "rounding.scores-gradient",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("additive", "additive with -inf", "additive per head")),
    lacking=needs("gradient of an additive mask"),
)
def test_the_gradient_of_an_additive_mask_lies_within_the_bound(subject: Subject, x: Inputs) -> None:
    posed, truth, arithmetic, ahead = bounded(subject, x, gradients=True)
    bound = tolerance.backward(posed, truth, arithmetic, ahead)
    d_mask = subject.gradients(x, mask=True)[3]
    true = truth.d_scores
    assert true is not None
    shared = tuple(axis for axis in (0, 1) if d_mask.shape[axis] == 1)  # by all sequences, or by all heads
    terms = math.prod(posed.q.shape[axis] for axis in shared)
    summed = oracle.Balls(*(part.sum(shared, keepdims=True) for part in (true.hi, true.lo, true.radius)))
    size = np.abs(true.hi).sum(shared, keepdims=True)
    limit = (bound.d_scores.sum(shared, keepdims=True) + arithmetic.gamma(terms) * size) * (1 + arithmetic.gamma(terms))
    if terms > 1:  # each part may be rounded to the mask's dtype before they are summed
        largest = (np.abs(true.hi) + bound.d_scores).max(shared, keepdims=True, initial=0)
        limit = np.where(largest >= arithmetic.largest_out, np.inf, limit)
        limit = limit + arithmetic.u_out * (size + bound.d_scores.sum(shared, keepdims=True)) + terms * arithmetic.least_out
    limit = limit + arithmetic.u_out * (np.abs(summed.hi) + limit) + arithmetic.least_out + terms * 2.0**-53 * size  # the last: summing hi
    subject.judge("the mask's gradient", d_mask, summed, limit, x)


@law("flash.any-tiling-is-exact", "rounding.log-sum-exp", on=Trait.DOT_PRODUCT, draw=dense, lacking=needs("log-sum-exp"))
def test_the_log_sum_exp_lies_within_the_bound(subject: Subject, x: Inputs) -> None:
    _, truth, _, bound = bounded(subject, x)
    output, log_sum_exp = subject.with_log_sum_exp(x)
    subject.judge("log-sum-exp", log_sum_exp, truth.log_sum_exp, bound.log_sum_exp, x)
    subject.judge("output beside it", output, truth.output, bound.output, x)


@law("softmax.row-sum", on=Trait.DOT_PRODUCT, draw=partial(dense, values=("ones",)))
def test_constant_values_come_back(subject: Subject, x: Inputs) -> None:
    _, truth, _, bound = bounded(subject, x)
    output = subject(x)
    seen = truth.weights.sum(-1, keepdims=True) > 0
    subject.within("the sum of a row's weights", np.where(seen, np.abs(plain(output) - 1), np.abs(plain(output))), bound.output, x)


def few_keys(subject: Implementation) -> st.SearchStrategy[Inputs]:
    """As many values as keys would be needed to read off thousands of weights."""
    return dense(subject, m=[m for m in draw_lengths(subject.limits) if m < MIDDLE])


@law("softmax.positive", on=Trait.DOT_PRODUCT, draw=few_keys)
def test_identity_values_read_off_the_weights(subject: Subject, x: Inputs) -> None:
    """At once, or, where the values' width is not free, as many columns at a time as they have."""
    limits, keys = subject.implementation.limits, x.key.shape[-2]
    width = keys if limits.unequal_widths and limits.widths is None else x.value.shape[-1]
    for first in range(0, keys, width) if keys else (0,):
        columns = torch.eye(keys, first + width, dtype=x.value.dtype)[:, first:]
        case = replace(x, value=columns.expand(*x.value.shape[:-1], width).contiguous(), regimes=(*x.regimes[:1], "values: identity", *x.regimes[2:]))
        posed, truth, _, bound = bounded(subject, case)
        weights = subject(case)
        subject.judge("weights", weights, truth.output, bound.output, case)
        require(not bool((weights < 0).any()), f"a negative weight in {weights.tolist()} on {case}")
        hidden = torch.from_numpy(~posed.visible)[..., first : first + width]
        require(bool((weights[..., : hidden.shape[-1]][hidden] == 0).all()), f"a hidden key has weight in {weights.tolist()} on {case}")


@law("softmax.shift", on=Trait.DOT_PRODUCT, draw=shifted, lacking=needs("width above 1"))
def test_adding_a_constant_to_a_row_changes_nothing(subject: Subject, x: Inputs) -> None:
    """The first feature adds the same amount to every score of a row; the truth is taken without it."""
    bare = replace(x, query=x.query[..., 1:], key=x.key[..., 1:], scale=x.scale if x.scale is not None else x.query.shape[-1] ** -0.5)
    posed, _, _, bound = bounded(subject, x)
    scale = oracle.true_scale(x.query.shape[-1], x.scale)
    truth = oracle.attention(replace(problem(bare), scale=scale, visible=posed.visible))
    subject.judge("output", subject(x), truth.output, bound.output, x)


def divides(implementation: Implementation) -> str | None:
    """Weights sum to 1 up to the counted operations only where they are divided by their sum."""
    return None if implementation.arithmetic.normalise == "divide" else f"declares normalise={implementation.arithmetic.normalise}"


@law("convexity.output-in-the-hull", on=Trait.DOT_PRODUCT, draw=dense, off=divides)
def test_outputs_stay_between_the_least_and_the_largest_visible_value(subject: Subject, x: Inputs) -> None:
    posed, _, arithmetic, _ = bounded(subject, x)
    v = tolerance.heads(posed.v, posed)[:, :, None]
    seen = posed.visible[..., None]
    low, high = np.where(seen, v, np.inf).min(-2, initial=np.inf), np.where(seen, v, -np.inf).max(-2, initial=-np.inf)
    alive = posed.visible.any(-1, keepdims=True)
    low, high = np.where(alive, low, 0), np.where(alive, high, 0)
    # rounding the sums may step outside: the weights are exactly non-negative, so only the counted operations can
    keys = posed.k.shape[2]
    counted = (1 + arithmetic.gamma(2 * keys + 4 * arithmetic.merges(keys) + 1)) * (1 + arithmetic.u_weights) * (1 + arithmetic.u_out) - 1
    room = counted * np.maximum(np.abs(low), np.abs(high)) + arithmetic.least_out + (keys + 3) * arithmetic.tiny
    size = np.where(seen, np.abs(v), 0).max(-2, initial=0)
    room = room + arithmetic.least_weights * keys * size
    actual = plain(subject(x))
    subject.within("distance outside the values' range", np.maximum(np.maximum(low - actual, actual - high), 0), room, x)


@law(
    "softmax.weighted-average", on=Trait.DOT_PRODUCT, draw=partial(dense, dtype=EXACT, scores=MODERATE, layout=("contiguous",), scale=(None, 0.3)),
    lacking=needs("float32 or float64"), off=needs_all(needs_the_maximum, needs_repeats),
)  # fmt: skip
def test_doubling_the_values_doubles_the_output_exactly(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    once, twice = subject(x), subject(replace(x, value=x.value * 2))
    require(same(once * 2, twice), f"doubled values gave {twice.tolist()}, twice the output is {(once * 2).tolist()} on {x}")


@law("symmetry.key-value-invariance", on=Trait.DOT_PRODUCT, draw=partial(dense, mask=UNORDERED))
def test_reordering_the_keys_with_their_values_changes_nothing(subject: Subject, x: Inputs) -> None:
    _, truth, _, bound = bounded(subject, x)
    order = torch.arange(x.key.shape[2]).flip(0).roll(1)
    mask = x.attn_mask[..., order] if x.attn_mask is not None and x.attn_mask.shape[-1] > 1 else x.attn_mask
    subject.judge("output", subject(replace(x, key=x.key[:, :, order], value=x.value[:, :, order], attn_mask=mask)), truth.output, bound.output, x)


@law("symmetry.query-equivariance", on=Trait.DOT_PRODUCT, draw=partial(dense, mask=("none",)))
def test_reordering_the_queries_reorders_the_outputs(subject: Subject, x: Inputs) -> None:
    _, truth, _, bound = bounded(subject, x)
    order = torch.arange(x.query.shape[2]).flip(0).roll(1)
    back = torch.argsort(order)
    subject.judge("output", subject(replace(x, query=x.query[:, :, order]))[:, :, back], truth.output, bound.output, x)


@law("symmetry.self-attention-equivariance", on=Trait.DOT_PRODUCT, draw=square)
def test_reordering_the_tokens_reorders_the_outputs(subject: Subject, x: Inputs) -> None:
    """Queries, keys and values of one sequence, permuted alike: self-attention on projections already taken."""
    _, truth, _, bound = bounded(subject, x)
    order = torch.arange(x.query.shape[2]).flip(0).roll(1)
    turned = replace(x, query=x.query[:, :, order], key=x.key[:, :, order], value=x.value[:, :, order])
    subject.judge("output", subject(turned)[:, :, torch.argsort(order)], truth.output, bound.output, x)


@law("softmax.weighted-average", on=Trait.DOT_PRODUCT, draw=partial(dense, n=SHORT, m=SHORT, batch=(3,), heads=((2, 2),)))
def test_each_sequence_and_head_is_computed_alone(subject: Subject, x: Inputs) -> None:
    _, truth, _, bound = bounded(subject, x)
    for b in range(x.query.shape[0]):
        for h in range(x.query.shape[1]):
            part = slice(b, b + 1), slice(h, h + 1)
            mask = x.attn_mask
            if mask is not None and mask.dim() == 4:
                mask = mask[slice(b, b + 1) if mask.shape[0] > 1 else slice(None), slice(h, h + 1) if mask.shape[1] > 1 else slice(None)]
            alone = subject(replace(x, query=x.query[part], key=x.key[part], value=x.value[part], attn_mask=mask))
            true = oracle.Balls(truth.output.hi[part], truth.output.lo[part], truth.output.radius[part])
            subject.judge(f"sequence {b}, head {h} alone", alone, true, bound.output[part], x)


@law(
    "softmax.weighted-average",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("none", "boolean", "additive", "causal"), batch=(1,), heads=((1, 1), (2, 2))),
    lacking=needs("tensors with fewer axes"),
)
def test_leading_axes_may_be_left_out(subject: Subject, x: Inputs) -> None:
    """[H, N, D] tensors, and [N, D] ones of a single head, mean what [1, H, N, D] ones do."""
    _, truth, _, bound = bounded(subject, x)
    for part in ((0,), (0, 0)) if x.query.shape[1] == 1 else ((0,),):
        mask = x.attn_mask
        if mask is not None and mask.dim() == 4:
            mask = mask[part]
        fewer = replace(x, query=x.query[part], key=x.key[part], value=x.value[part], attn_mask=mask)
        true = oracle.Balls(truth.output.hi[part], truth.output.lo[part], truth.output.radius[part])
        subject.judge(f"output with {fewer.query.dim()} axes", subject(fewer), true, bound.output[part], fewer)


@law(
    "softmax.query-length-is-inverse-temperature",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, dtype=EXACT, scores=MODERATE, mask=("none",)),
    lacking=needs("scale", "float32 or float64"),
)
def test_a_doubled_scale_is_a_doubled_query(subject: Subject, x: Inputs) -> None:
    scale = x.scale if x.scale is not None else 0.75
    doubled = replace(x, scale=2 * scale)
    _, truth, _, bound = bounded(subject, doubled)
    subject.judge("output with the query doubled", subject(replace(x, query=x.query * 2, scale=scale)), truth.output, bound.output, x)
    subject.judge("output with the scale doubled", subject(doubled), truth.output, bound.output, x)
