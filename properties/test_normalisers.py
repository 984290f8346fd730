"""Laws of what makes weights of scores otherwise than softmax does: which sums, shifts, supports and limits each one has, and the mean over dropout's masks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from flint import arb
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.cases.dropout import dropped
from properties.cases.scored import Normalise, Scored, draw_scored, weighted
from properties.cases.sigmoid import biased
from properties.cases.softmax_one import sunk
from properties.inputs import plain
from properties.oracle import Array, Balls, _balls
from properties.posed import Posed
from properties.posing import Masking
from properties.request import Request
from properties.simplex import Excess, entmax, excess, sparsemax
from properties.subject import Subject, require, same
from properties.tolerance import SLACK
from properties.verifies import law, needs

WEIGHTS = {"sparsemax": sparsemax, "entmax": entmax}
NORMALISE: dict[str, Normalise] = {name: weighted(weights) for name, weights in WEIGHTS.items()} | {"softmax-one": sunk, "sigmoid": biased(0.0)}
THRESHOLD = {"sparsemax": 1.0, "entmax": 2.0}  # the lead from which the best key takes all


@st.composite
def calls(draw: st.DrawFn, /, subject: Implementation, **fixed: Any) -> Scored:
    return draw_scored(draw, subject, **fixed)


@st.composite
def unbiased(draw: st.DrawFn, /, subject: Implementation, **fixed: Any) -> Scored:
    """Without an additive mask."""
    masks = tuple(mask for mask in subject.limits.masks if mask != "additive")
    return draw_scored(draw, replace(subject, limits=replace(subject.limits, masks=masks)), **fixed)


def of(subject: Subject, call: Scored) -> Posed:
    """The call of a variant that needs nothing beside scores and values."""
    return call.posed(NORMALISE[subject.implementation.variant.name])


def through(x: Posed) -> Posed:
    """The call whose output is the weights themselves: the values are the unit vectors."""
    b, h, m, _ = x[1].shape
    eye = torch.eye(m, dtype=x[2].dtype).expand(b, h, m, m).clone()
    return x.with_tensors({2: eye}, cotangent=torch.zeros(*x.cotangent.shape[:-1], m, dtype=x.cotangent.dtype))


def above(subject: Subject, call: Scored, x: Posed, power: int = 0) -> Excess:
    """By how much each key lies above the threshold of 1.5-entmax (power 2), sparsemax (1), or the subject's own of these."""
    power = power or (1 if subject.implementation.variant.name == "sparsemax" else 2)
    return excess(call.scores(x.leaves(subject.rounding(x.cotangent.dtype))), call.mask.visible, power)


def numbers(values: Array) -> Balls:
    """Exact float64 numbers."""
    return Balls(values, np.zeros_like(values), np.zeros_like(values))


def shifted(call: Scored, by: Array) -> Scored:
    """The same call with `by` [..., N, M] added to its scores (what an additive mask had added is gone), and its mask written out."""
    shape = call.mask.visible.shape
    added = torch.from_numpy(np.where(call.mask.visible, np.broadcast_to(by, shape), -np.inf)).to(call.sizes.dtype)
    return replace(call, mask=Masking(keywords={"attn_mask": added}, visible=call.mask.visible, graded=call.mask.graded, regime=f"{call.mask.regime}, shifted"))


# ------------------------------------------------------------------------------------------------------------------------ weights on the simplex


@law("normalisers.sparsemax-threshold", "normalisers.entmax-form", on=Trait.SPARSE, draw=calls)
def test_weights_are_no_less_than_zero_and_sum_to_one(subject: Subject, call: Scored) -> None:
    x = of(subject, call)
    subject.saw(x.regimes)
    weights = posed.output(subject, through(x))
    require(bool((weights >= 0).all()), f"weights {weights.tolist()} on {x}")
    ones = x.with_tensors({2: torch.ones_like(x[2])})
    expected = np.broadcast_to(call.mask.visible.any(-1, keepdims=True), x.cotangent.shape).astype(np.float64)
    subject.judge("the sum of the weights", posed.output(subject, ones), numbers(expected), posed.truth(subject, ones).bound(), ones)


@law("normalisers.entmax-cut-off", on=Trait.SPARSE, draw=calls)
def test_a_key_outside_the_support_has_no_influence_bit_by_bit(subject: Subject, call: Scored) -> None:
    """Its weight is 0 and not merely small: where the threshold lies above its score by more than every error, no value of its own reaches the row."""
    x = of(subject, call)
    outside = ~above(subject, call, x).possible  # [B, H, N, M]
    if not outside.any():
        return
    subject.saw(x.regimes)
    key = int(outside.mean((0, 1, 2)).argmax())
    other = x[2].clone()
    other[:, :, key] = other[:, :, key] * -3 + 1000
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors({2: other}))
    untouched = torch.from_numpy(np.ascontiguousarray(outside[..., key]))
    moved = f"{before[untouched].tolist()}, then {after[untouched].tolist()}"
    require(same(before[untouched], after[untouched]), f"rows outside whose support key {key} lies move with its value: {moved}, on {x}")


@law("normalisers.nested-supports", on=Trait.SPARSE, draw=calls)
def test_the_support_of_entmax_contains_that_of_sparsemax(subject: Subject, call: Scored) -> None:
    """With p = (s − τ)₊ of sum 1, Σ ((s − τ)₊ / 2)² = Σ p² / 4 ≤ 1/4 < 1: 1.5-entmax's threshold on s, which makes that sum 1, lies below τ."""
    x = of(subject, call)
    wide, narrow = above(subject, call, x, 2), above(subject, call, x, 1)
    weights = plain(posed.output(subject, through(x)))
    subject.saw(x.regimes)
    surely = np.isfinite(narrow.off) & (narrow.least > 0) & (wide.least**2 > torch.finfo(x.cotangent.dtype).tiny)
    if subject.implementation.variant.name == "entmax":
        require(bool((weights[surely] > 0).all()), f"a key of sparsemax's support has no weight: {weights.tolist()} on {x}")
    else:
        require(bool((weights[~wide.possible] == 0).all()), f"a key outside 1.5-entmax's support has weight: {weights.tolist()} on {x}")


@law("normalisers.sparsemax-threshold", "normalisers.entmax-form", on=Trait.SPARSE, draw=calls)
def test_the_entropy_of_the_weights_is_at_most_the_logarithm_of_the_support(subject: Subject, call: Scored) -> None:
    """For k numbers p ≥ 0 of sum m, −Σ p log p ≤ m log(k / m), by concavity: weights outside the support break it. Below, −p log p ≥ p (1 − p)."""
    x = of(subject, call)
    subject.saw(x.regimes)
    true, weights = posed.truth(subject, through(x)), plain(posed.output(subject, through(x)))
    support = above(subject, call, x).possible.sum(-1)
    p = np.where(weights > 0, weights, 1)
    entropy, mass = -(p * np.log(p)).sum(-1), weights.sum(-1)
    own = 2.0**-50 * max(1, weights.shape[-1]) * (1 + np.abs(p * np.log(p)).sum(-1))  # of these sums in float64
    most = np.where(support > 0, mass * np.log(np.maximum(support, 1) / np.where(mass > 0, mass, 1)), 0) + own
    least = (weights * np.minimum(1 - weights, 0)).sum(-1) - own
    beyond = np.where(weights > 0, np.maximum(weights - 1, 0), 0) <= true.bound()
    inside = (entropy <= most) & (entropy >= least) & beyond.all(-1)
    require(bool(inside.all()), f"entropy {entropy.tolist()} on supports {support.tolist()}, weights {weights.tolist()}, on {x}")


@st.composite
def two_keys(draw: st.DrawFn, subject: Implementation) -> tuple[Scored, float]:
    """Scores 0 and −gap, the better one in either place."""
    call = draw(unbiased(subject))
    gap = draw(st.sampled_from((0.0, 0.25, 0.75, 1.0, 1.5, 1.75, 2.0, 3.0, 64.0)), label="gap")
    first = draw(st.booleans(), label="the first is better")
    s = replace(call.sizes, m=2)
    query, key = torch.zeros(s.b, s.h, s.n, s.d, dtype=s.dtype), torch.zeros(s.b, s.h, 2, s.d, dtype=s.dtype)
    query[..., 0] = 1
    key[..., 1 if first else 0, 0] = -gap
    visible = np.ones((s.b, s.h, s.n, 2), dtype=np.bool_)
    mask = Masking(keywords={}, visible=visible, graded=False, regime="mask: none")
    return Scored(sizes=s, mask=mask, scale=1.0, tensors=(query, key, s.tensor(s.b, s.h, 2, s.e))), gap


def of_the_better(variant: str, gap: float) -> arb:
    """(1 + gap) / 2 for sparsemax; r² for 1.5-entmax, where r − r' = gap / 2 and r² + r'² = 1; 1 from the threshold on."""
    if gap >= THRESHOLD[variant]:
        return arb(1)
    root = (arb(gap) / 2 + (2 - arb(gap) * gap / 4).sqrt()) / 2
    return (1 + arb(gap)) / 2 if variant == "sparsemax" else root * root


@law("normalisers.sparsemax-threshold", "normalisers.entmax-form", on=Trait.SPARSE, draw=two_keys, lacking=needs("scale", "free number of keys"))
def test_two_keys_share_as_their_lead_says(subject: Subject, drawn: tuple[Scored, float]) -> None:
    """In closed form; from a lead of 1 (sparsemax) or 2 (1.5-entmax) on, the better takes all: a limit that softmax reaches at no finite scale."""
    call, gap = drawn
    x = through(of(subject, call))
    subject.saw((*x.regimes, f"gap: {gap:g}"))
    better = of_the_better(subject.implementation.variant.name, gap)
    first = float(x[1][0, 0, 0, 0]) == 0 if x[1].numel() else True
    row = [better, 1 - better] if first else [1 - better, better]
    expected = _balls(row * (x.cotangent.numel() // 2), tuple(x.cotangent.shape))
    subject.judge("weights", posed.output(subject, x), expected, posed.truth(subject, x).bound(), x)


@law("normalisers.entmax-cut-off", on=Trait.SPARSE, draw=unbiased, lacking=needs("scale"))
def test_a_finite_scale_makes_the_best_key_take_all(subject: Subject, call: Scored) -> None:
    """Scores are one integer a key, the last the best by 1: at a scale above the threshold its value comes back, and no other value can be told."""
    s = call.sizes
    best = call.mask.visible * (1 + np.arange(s.m))  # [B, H, N, M]
    if not best.size:
        return
    query, key = torch.zeros_like(call.tensors[0]), torch.zeros_like(call.tensors[1])
    query[..., 0], key[..., 0] = 1, torch.arange(s.m, dtype=s.dtype)
    cold = replace(call, scale=1.25 * THRESHOLD[subject.implementation.variant.name], tensors=(query, key, call.tensors[2]))
    x = of(subject, cold)
    subject.saw(x.regimes)
    winner = torch.from_numpy(best.argmax(-1))[..., None].expand(*x.cotangent.shape)
    alive = call.mask.visible.any(-1, keepdims=True)
    expected = np.where(alive, plain(x[2].gather(2, winner)), 0.0)
    subject.judge("the value of the best key", posed.output(subject, x), numbers(expected), posed.truth(subject, x).bound(), x)


# ----------------------------------------------------------------------------------------------------------------------------------------- shifts


@st.composite
def rows_moved(draw: st.DrawFn, subject: Implementation) -> tuple[Scored, Array, bool]:
    """A call, one number for each row, and whether scores are whole, so that adding it is exact."""
    call, whole = draw(unbiased(subject)), draw(st.booleans(), label="whole scores")
    if whole:
        s = replace(call.sizes, regime="small integers")
        call = replace(call, sizes=s, scale=1.0, tensors=(s.tensor(s.b, s.h, s.n, s.d), s.tensor(s.b, s.h, s.m, s.d), call.tensors[2]))
    by = draw(st.sampled_from((64.0, -150.0, 1024.0, -60000.0)), label="shift")
    return call, by * (1 + np.arange(call.sizes.n) % 2)[:, None] / 2, whole


@law(
    "normalisers.sparsemax-shift",
    "normalisers.entmax-shift",
    "softmax.shift",
    on=Trait.SHIFT_INVARIANT,
    draw=rows_moved,
    lacking=needs("additive mask", "scale"),
)
def test_a_shift_of_a_row_s_scores_changes_nothing(subject: Subject, drawn: tuple[Scored, Array, bool]) -> None:
    """Each row by a number of its own. Where shifted scores are exact, so are their differences to the largest: the bound is then that of no shift."""
    call, by, whole = drawn
    if subject.implementation.variant.name in NORMALISE:
        plainly, moved = of(subject, call), of(subject, shifted(call, by))
    else:
        kept = torch.arange(call.sizes.m) % 2 == 0
        plainly, moved = (c.posed(dropped(kept, 0.5), kept, 0.5) for c in (call, shifted(call, by)))
    subject.saw((*plainly.regimes, f"shift: {by.max(initial=0):g}"))
    true = posed.truth(subject, plainly)
    bound = true.bound() if whole else posed.truth(subject, moved).bound()
    subject.judge("output of shifted scores", posed.output(subject, moved), true.balls(), bound, moved)


@st.composite
def moved_sinks(draw: st.DrawFn, subject: Implementation) -> tuple[Scored, Tensor, float]:
    call = draw(unbiased(subject))
    sinks = torch.tensor([draw(st.sampled_from((0.0, 2.0, -1.5)), label="sink") for _ in range(call.sizes.h)], dtype=call.sizes.dtype)
    return call, sinks, draw(st.sampled_from((1.5, -4.0, 16.0, -32.0)), label="shift")


@law("normalisers.sink-shift", on=Trait.SINK, draw=moved_sinks, lacking=needs("additive mask"))
def test_a_shift_of_the_scores_moves_the_sink_the_other_way(subject: Subject, drawn: tuple[Scored, Tensor, float]) -> None:
    """softmax-one is not shift-invariant: exp(s + c) / (exp z + Σ exp(s + c)) = exp s / (exp(z − c) + Σ exp s), and with the sink at 0 that is no longer 1."""
    call, sinks, by = drawn
    true = posed.truth(subject, call.posed(sunk, keywords={"sinks": sinks - by}))
    moved = shifted(call, np.full((1, 1), by))
    x = moved.posed(sunk, keywords={"sinks": sinks})
    subject.saw((*x.regimes, f"shift: {by:g}"))
    subject.judge("output of shifted scores", posed.output(subject, x), true.balls(), posed.truth(subject, x).bound(), x)
    if not sinks.any():
        literal = moved.posed(sunk)
        subject.judge(
            "output of shifted scores with the literal 1", posed.output(subject, literal), true.balls(), posed.truth(subject, literal).bound(), literal
        )


@law("normalisers.sink-is-a-key", "normalisers.sink-mass", on=Trait.SINK, draw=moved_sinks, lacking=needs("additive mask", "free number of keys"))
def test_a_sink_is_a_key_of_value_zero_that_every_row_sees(subject: Subject, drawn: tuple[Scored, Tensor, float]) -> None:
    """Softmax (a sink of −∞) over the keys and one more, of score z and value 0; with values 1 the sum is mass / (exp z + mass)."""
    call, sinks, _ = drawn
    s = call.sizes
    ones = replace(call, tensors=(*call.tensors[:2], torch.ones_like(call.tensors[2])))
    true = posed.truth(subject, ones.posed(sunk, keywords={"sinks": sinks}))
    beside = [torch.cat((x, torch.zeros(s.b, s.h, 1, x.shape[3], dtype=s.dtype)), 2) for x in ones.tensors[1:]]
    visible = np.concatenate((call.mask.visible, np.ones((s.b, s.h, s.n, 1), dtype=np.bool_)), 3)
    wider = Scored(sizes=replace(s, m=s.m + 1), mask=replace(call.mask, visible=visible), scale=call.scale, tensors=(call.tensors[0], beside[0], beside[1]))
    last = np.zeros((1, s.h, 1, s.m + 1))
    last[0, :, 0, -1] = plain(sinks)
    x = shifted(wider, last).posed(sunk, keywords={"sinks": torch.full_like(sinks, -math.inf)})
    subject.saw(x.regimes)
    subject.judge("the sum of the weights beside a key for the sink", posed.output(subject, x), true.balls(), posed.truth(subject, x).bound(), x)


@st.composite
def moved_bias(draw: st.DrawFn, subject: Implementation) -> tuple[Scored, float, float]:
    return draw(unbiased(subject)), draw(st.sampled_from((0.0, 2.0, -1.5)), label="bias"), draw(st.sampled_from((1.5, -4.0, 16.0, -32.0)), label="shift")


@law("normalisers.sigmoid-no-competition", on=Trait.SIGMOID, draw=moved_bias, lacking=needs("additive mask"))
def test_a_shift_of_the_scores_is_a_bias(subject: Subject, drawn: tuple[Scored, float, float]) -> None:
    """A sigmoid sees a constant that is added to every score of its row."""
    call, bias, by = drawn
    true = posed.truth(subject, call.posed(biased(bias + by)))
    x = shifted(call, np.full((1, 1), by)).posed(biased(bias), keywords={"bias": bias})
    subject.saw((*x.regimes, f"shift: {by:g}"))
    subject.judge("output of shifted scores", posed.output(subject, x), true.balls(), posed.truth(subject, x).bound(), x)


@law(
    "normalisers.sigmoid-row-sum",
    "normalisers.sigmoid-no-competition",
    on=Trait.SIGMOID,
    draw=moved_bias,
    lacking=needs("additive mask", "free number of keys"),
)
def test_each_key_adds_what_it_would_alone(subject: Subject, drawn: tuple[Scored, float, float]) -> None:
    """Nothing is normalised: the output over all keys is the sum of those over each key by itself, and a row's weights sum to Σ σ."""
    call, bias, _ = drawn
    s = call.sizes
    true = posed.truth(subject, call.posed(biased(bias)))
    total, bound = np.zeros(true.shape), np.zeros(true.shape)
    for j in range(s.m):
        visible = call.mask.visible[..., j : j + 1]
        mask = replace(call.mask, keywords={"attn_mask": torch.from_numpy(visible.copy())}, visible=visible)
        single = replace(call, sizes=replace(s, m=1), mask=mask, tensors=(call.tensors[0], call.tensors[1][:, :, j : j + 1], call.tensors[2][:, :, j : j + 1]))
        x = single.posed(biased(bias), keywords={"bias": bias})
        part = plain(posed.output(subject, x))
        total, bound = total + part, bound + posed.truth(subject, x).bound() + 2.0**-53 * (np.abs(total) + np.abs(part))
    subject.saw(call.posed(biased(bias)).regimes)
    subject.judge("the sum over keys by themselves", torch.from_numpy(total), true.balls(), np.asarray(bound * SLACK), call.posed(biased(bias)))


SHARES: dict[str, Callable[[int], Fraction]] = {
    "sparsemax": lambda k: Fraction(1, k),
    "entmax": lambda k: Fraction(1, k),
    "softmax-one": lambda k: Fraction(1, k + 1),
    "sigmoid": lambda k: Fraction(1, 2),
}


@law("normalisers.sparsemax-threshold", "normalisers.entmax-form", "normalisers.sink-mass", "normalisers.sigmoid-row-sum", on=Trait.NORMALISER, draw=unbiased)
def test_equal_scores_share_equally(subject: Subject, call: Scored) -> None:
    """k keys of score 0 have 1/k each; 1/(k + 1) beside the literal 1; 1/2 where each is alone."""
    level = replace(call, tensors=(torch.zeros_like(call.tensors[0]), *call.tensors[1:]))
    x = of(subject, level)
    subject.saw(x.regimes)
    b, h, n, e = x.cotangent.shape
    value, visible = plain(x[2]), call.mask.visible
    expected = []
    for i, j, row, column in np.ndindex(b, h, n, e):
        seen = visible[i, j, row]
        share = SHARES[subject.implementation.variant.name](max(int(seen.sum()), 1))
        total = sum((arb(v) for v in value[i, j, seen, column].tolist()), arb(0))
        expected.append(total * share.numerator / share.denominator)
    subject.judge("what equal scores give", posed.output(subject, x), _balls(expected, (b, h, n, e)), posed.truth(subject, x).bound(), x)


# ---------------------------------------------------------------------------------------------------------------------------------------- dropout


@st.composite
def every_mask(draw: st.DrawFn, subject: Implementation) -> tuple[Scored, Tensor, float]:
    """One sequence of at most 4 keys, as often as there are masks of them, each with its own."""
    call = draw(unbiased(replace(subject, limits=replace(subject.limits, edges=(), masks=("none",))), lengths=(1, 2, 3, 4)))
    s = call.sizes
    masks = torch.tensor(list(itertools.product((False, True), repeat=s.m)), dtype=torch.bool).reshape(2**s.m, 1, 1, s.m)
    copies = len(masks)
    tensors = tuple(x[:1].expand(copies, *x.shape[1:]).contiguous() for x in call.tensors)
    visible = np.broadcast_to(call.mask.visible[:1], (copies, *call.mask.visible.shape[1:]))
    mask = replace(call.mask, visible=visible)
    whole = Scored(sizes=replace(s, b=copies), mask=mask, scale=call.scale, tensors=(tensors[0], tensors[1], tensors[2]))
    return whole, masks, draw(st.sampled_from((0.5, 0.25, 0.75, 0.0)), label="dropout_p")


@law("dropout.unbiased", on=Trait.DROPOUT, draw=every_mask)
def test_the_mean_over_all_masks_is_attention_without_dropout(subject: Subject, drawn: tuple[Scored, Tensor, float]) -> None:
    """All 2^M masks, each with the probability that it is drawn with: an expectation, taken exactly."""
    call, masks, rate = drawn
    x = call.posed(dropped(masks, rate), masks, rate, batched=(0, 1, 2, 3))
    subject.saw((*x.regimes, f"dropout_p: {rate}"))
    everything = torch.ones_like(masks)
    true = posed.truth(subject, call.posed(dropped(everything, 0.0), everything, 0.0))
    found, bound = plain(posed.output(subject, x)), posed.truth(subject, x).bound()
    chances = [Fraction(rate) ** int((~m).sum()) * (1 - Fraction(rate)) ** int(m.sum()) for m in masks]
    mean, limit = np.zeros(found.shape[1:]), np.zeros(found.shape[1:])
    for at in np.ndindex(mean.shape):
        mean[at] = float(sum((p * Fraction(y) for p, y in zip(chances, found[(slice(None), *at)].tolist(), strict=True)), Fraction(0)))
        limit[at] = sum(float(p) * b for p, b in zip(chances, bound[(slice(None), *at)].tolist(), strict=True) if p)
    first = Balls(*(part[0] for part in (true.balls().hi, true.balls().lo, true.balls().radius)))
    subject.judge("the mean over all masks", torch.from_numpy(mean), first, (limit + 2.0**-52 * np.abs(mean)) * SLACK, x)


@st.composite
def some_mask(draw: st.DrawFn, subject: Implementation) -> tuple[Scored, Tensor]:
    call = draw(calls(subject))
    s = call.sizes
    return call, torch.rand((s.b, s.h, s.n, s.m), generator=s.random) < draw(st.sampled_from((0.5, 0.8, 0.2)), label="kept")


@law("dropout.all-dropped", on=Trait.DROPOUT, draw=some_mask)
def test_nothing_is_left_where_everything_is_dropped(subject: Subject, drawn: tuple[Scored, Tensor]) -> None:
    """dropout_p = 1 gives 0 and gradients of 0, whatever the mask says; so does a mask that keeps nothing. Neither divides by 0."""
    call, kept = drawn
    for mask, rate in ((kept, 1.0), (torch.zeros_like(kept), 0.5)):
        x = call.posed(dropped(mask, rate), mask, rate)
        subject.saw((*x.regimes, f"dropout_p: {rate}"))
        found = posed.output(subject, x)
        require(bool((found == 0).all()), f"output {found.tolist()} on {x}")
        if subject.implementation.limits.gradients:
            gradients = subject.answered(Request(arguments=x.arguments, keywords=x.keywords, cotangent=x.cotangent, wanted=x.wanted), len(x.wanted))
            require(all(bool((g == 0).all()) for g in gradients), f"gradients {[g.tolist() for g in gradients]} on {x}")


@law("dropout.unbiased", on=Trait.DROPOUT, draw=some_mask)
def test_what_is_kept_is_scaled_by_one_over_its_probability(subject: Subject, drawn: tuple[Scored, Tensor]) -> None:
    """1 − dropout_p a power of 2, which passes through every rounding but those of subnormal numbers: the output is that of dropout_p = 0 times its inverse."""
    call, kept = drawn
    for mask, rate, times in ((torch.ones_like(kept), 0.5, 2), (kept, 0.75, 4)):
        x, other = (call.posed(dropped(mask, p), mask, p) for p in (0.0, rate))
        subject.saw((*x.regimes, f"dropout_p: {rate}"))
        once, many = posed.output(subject, x), posed.output(subject, other)
        far = once.abs() >= 4 * torch.finfo(once.dtype).tiny / torch.finfo(once.dtype).eps
        require(same(torch.where(far, times * once, many), many), f"output {many.tolist()}, {times} times {once.tolist()} was expected on {other}")


@law("dropout.row-sum", on=Trait.DROPOUT, draw=some_mask)
def test_the_value_of_a_dropped_weight_is_not_seen_bit_by_bit(subject: Subject, drawn: tuple[Scored, Tensor]) -> None:
    call, kept = drawn
    if not kept.numel():
        return
    x = call.posed(dropped(kept, 0.5), kept, 0.5)
    subject.saw(x.regimes)
    key = int(kept.double().mean((0, 1, 2)).argmin())
    other = x[2].clone()
    other[:, :, key] = other[:, :, key] * -3 + 1000
    before, after = posed.output(subject, x), posed.output(subject, x.with_tensors({2: other}))
    without = ~kept[..., key]
    require(same(before[without], after[without]), f"rows that drop key {key}: {before[without].tolist()}, then {after[without].tolist()}, on {x}")
