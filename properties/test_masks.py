"""Laws of masks and causality, most of them to the last bit."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial

import torch

from impl.variant import Trait
from properties import oracle, tolerance
from properties.inputs import Inputs, dense, plain, problem
from properties.subject import Subject, require
from properties.test_dense import bounded
from properties.verifies import law, needs_causality, needs_gradients, needs_log_sum_exp, needs_masks

HUGE = 3e4  # finite in every format, and so are its scores


def contiguous(x: Inputs) -> Inputs:
    """The same call with contiguous keys and values: another memory layout may round differently, so bitwise laws keep it fixed."""
    return replace(x, key=x.key.contiguous(), value=x.value.contiguous())


@law(
    "masks.hidden-key-has-no-influence",
    "masks.causal-stack",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("causal", "causal and boolean", "causal and additive")),
    lacking=needs_causality,
)
def test_no_key_after_a_row_touches_it(subject: Subject, x: Inputs) -> None:
    """Bitwise prefix equality at unchanged shapes, cut after every row in turn."""
    subject.saw(x.regimes)
    x = contiguous(x)
    whole = subject(x)
    for last in range(min(x.query.shape[2], x.key.shape[2] - 1)):
        key, value = x.key.clone(), x.value.clone()
        key[:, :, last + 1 :] = HUGE
        value[:, :, last + 1 :] = -HUGE
        changed = subject(replace(x, key=key, value=value))
        require(torch.equal(changed[:, :, : last + 1], whole[:, :, : last + 1]), f"rows 0..{last} changed with keys after {last} on {x}")


@law("masks.causal-stack", on=Trait.DOT_PRODUCT, draw=partial(dense, mask=("causal",)), lacking=needs_gradients)
def test_a_row_sends_no_gradient_to_later_keys(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    for row in range(min(x.query.shape[2], x.key.shape[2] - 1)):
        cotangent = torch.zeros_like(x.cotangent)
        cotangent[:, :, row] = 1
        _, d_k, d_v = subject.gradients(replace(x, cotangent=cotangent))
        require(bool((d_k[:, :, row + 1 :] == 0).all() and (d_v[:, :, row + 1 :] == 0).all()), f"row {row} sends gradient to later keys on {x}")


@law("masks.causal-rows", on=Trait.DOT_PRODUCT, draw=partial(dense, mask=("causal",)), lacking=needs_masks)
def test_the_causal_flag_equals_both_explicit_masks(subject: Subject, x: Inputs) -> None:
    _, truth, _, bound = bounded(subject, x)
    lower = torch.ones(x.query.shape[2], x.key.shape[2], dtype=torch.bool).tril()
    additive = torch.zeros(lower.shape, dtype=x.query.dtype).masked_fill(~lower, -math.inf)
    for what, case in (
        ("output with the causal flag", x),
        ("output with the boolean mask", replace(x, is_causal=False, attn_mask=lower)),
        ("output with the additive mask", replace(x, is_causal=False, attn_mask=additive)),
    ):
        subject.judge(what, subject(case), truth.output, bound.output, case)


@law("masks.padding", on=Trait.DOT_PRODUCT, draw=partial(dense, mask=("first keys hidden", "one query row"), batch=(1,)), lacking=needs_masks)
def test_hidden_keys_are_as_good_as_absent(subject: Subject, x: Inputs) -> None:
    posed, _, arithmetic, bound = bounded(subject, x)
    if not x.query.shape[2]:
        return
    seen = posed.visible[0, 0, 0]  # the same keys for every row
    short = replace(x, key=x.key[:, :, seen], value=x.value[:, :, seen], attn_mask=None)
    alone = problem(short)
    truth = oracle.attention(alone)
    subject.judge("output with the keys hidden", subject(x), truth.output, bound.output, x)
    removed = tolerance.forward(alone, truth, arithmetic)
    subject.judge("output with the keys removed", subject(short), truth.output, removed.output, short)
    x = contiguous(x)
    key, value = x.key.clone(), x.value.clone()
    key[:, :, ~seen], value[:, :, ~seen] = HUGE, -HUGE
    require(torch.equal(subject(replace(x, key=key, value=value)), subject(x)), f"what stands in hidden keys and values changed the output on {x}")


@law("masks.hidden-key-has-no-influence", on=Trait.DOT_PRODUCT, draw=partial(dense, mask=("dead row", "padding", "per head")), lacking=needs_masks)
def test_a_row_that_sees_no_key_is_zero_and_harms_no_gradient(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    dead = torch.from_numpy(~problem(x).visible.any(-1))
    output = subject(x)
    require(bool((output[dead] == 0).all()), f"a row that sees no key gave {output[dead].tolist()} on {x}")
    if not subject.implementation.limits.gradients:
        return
    gradients = dict(zip(("dQ", "dK", "dV"), subject.gradients(x), strict=True))
    for name, gradient in gradients.items():
        require(not bool(gradient.isnan().any()), f"{name} is not a number beside a row that sees no key: {gradient.tolist()} on {x}")  # float16 may end in ∞
    own = gradients["dQ"][dead]
    require(bool((own == 0).all()), f"dQ of a row that sees no key is {own.tolist()} on {x}")


@law(
    "flash.merge-is-union",
    "flash.any-tiling-is-exact",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("none", "per head", "additive with -inf")),
    lacking=needs_log_sum_exp,
)
def test_the_parts_of_a_split_merge_to_the_whole(subject: Subject, x: Inputs) -> None:
    """Output and log-sum-exp of two halves of the keys, merged in float64, against the truth of the whole."""
    _, truth, _, _ = bounded(subject, x)
    cut = x.key.shape[2] // 2
    parts = []
    for keys in (slice(None, cut), slice(cut, None)):
        mask = x.attn_mask[..., keys] if x.attn_mask is not None and x.attn_mask.shape[-1] > 1 else x.attn_mask
        half = replace(x, key=x.key[:, :, keys], value=x.value[:, :, keys], attn_mask=mask)
        output, log_sum_exp = subject.with_log_sum_exp(half)
        posed = problem(half)
        true = oracle.attention(posed)
        parts.append(
            (plain(output), plain(log_sum_exp), true, tolerance.forward(posed, true, tolerance.rounding(x.query.dtype, subject.implementation.arithmetic)))
        )
    merged, limit = tolerance.merged(parts, truth)
    subject.judge("the merged output", torch.from_numpy(merged), truth.output, limit, x)
