"""Laws of masks and causality, most of them to the last bit."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch

from impl.trait import Trait
from impl.variant import Implementation
from properties import oracle, tolerance
from properties.inputs import ALL_TOGETHER, Inputs, beside_causal, dense, plain, problem
from properties.request import SubjectDied, SubjectFailed
from properties.subject import Subject, require, same
from properties.test_dense import bounded
from properties.verifies import law, needs, needs_repeats


def huge(subject: Subject, x: Inputs) -> float:
    """A number that is finite in every format, and whose scores with the queries, scaled or not, are finite in the subject's arithmetic."""
    if subject.implementation.arithmetic.accumulate != "input":
        return 3e4
    factor = x.query.shape[-1] * max(1.0, abs(x.scale or 0.0)) * float(x.query.abs().max() if x.query.numel() else 0)
    return min(30.0, torch.finfo(x.query.dtype).max / (4 * max(factor, 1.0)))


def contiguous(x: Inputs) -> Inputs:
    """The same call with contiguous keys and values: another memory layout may round differently, so bitwise laws keep it fixed."""
    return replace(x, key=x.key.contiguous(), value=x.value.contiguous())


def first_later_key(x: Inputs, row: int) -> int:
    """The first key that causality hides from a row; M or more where it hides none."""
    return max(0, row + 1 + (x.key.shape[2] - x.query.shape[2] if x.alignment == "bottom-right" else 0))


@law(
    "masks.hidden-key-has-no-influence",
    "masks.causal-stack",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("causal", *ALL_TOGETHER)),
    lacking=needs("causal option"),
    off=needs_repeats,
)
def test_no_key_after_a_row_touches_it(subject: Subject, x: Inputs) -> None:
    """Bitwise prefix equality at unchanged shapes, cut after every row in turn; after some of them where there are many."""
    subject.saw(x.regimes)
    x = contiguous(x)
    whole, keys = subject(x), x.key.shape[2]
    rows = [row for row in range(x.query.shape[2]) if first_later_key(x, row) < keys]
    for last in rows if len(rows) <= 16 else sorted({*rows[:4], *rows[-4:], *rows[:: len(rows) // 8]}):
        later, key, value = first_later_key(x, last), x.key.clone(), x.value.clone()
        key[:, :, later:] = huge(subject, x)
        value[:, :, later:] = -huge(subject, x)
        changed = subject(replace(x, key=key, value=value))
        require(same(changed[:, :, : last + 1], whole[:, :, : last + 1]), f"rows 0..{last} changed with keys {later}.. on {x}")


@law("masks.causal-stack", on=Trait.DOT_PRODUCT, draw=partial(dense, mask=("causal",)), lacking=needs("gradient", "causal option"))
def test_a_row_sends_no_gradient_to_later_keys(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    rows = [row for row in range(x.query.shape[2]) if first_later_key(x, row) < x.key.shape[2]]
    for row in rows if len(rows) <= 16 else rows[:: len(rows) // 8]:
        later, cotangent = first_later_key(x, row), torch.zeros_like(x.cotangent)
        cotangent[:, :, row] = 1
        _, d_k, d_v = subject.gradients(replace(x, cotangent=cotangent))
        require(bool((d_k[:, :, later:] == 0).all() and (d_v[:, :, later:] == 0).all()), f"row {row} sends gradient to later keys on {x}")


@law(
    "masks.causal-rows",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("causal",)),
    lacking=needs("causal option", "boolean mask", "additive mask"),
)
def test_the_causal_flag_equals_both_explicit_masks(subject: Subject, x: Inputs) -> None:
    _, truth, _, bound = bounded(subject, x)
    n, m = x.query.shape[2], x.key.shape[2]
    lower = torch.ones(n, m, dtype=torch.bool).tril(m - n if x.alignment == "bottom-right" else 0)
    additive = torch.zeros(lower.shape, dtype=x.query.dtype).masked_fill(~lower, -math.inf)
    for what, case in (
        ("output with the causal flag", x),
        ("output with the boolean mask", replace(x, is_causal=False, attn_mask=lower)),
        ("output with the additive mask", replace(x, is_causal=False, attn_mask=additive)),
    ):
        subject.judge(what, subject(case), truth.output, bound.output, case)


def any_combination(implementation: Implementation) -> str | None:
    return "declares mask+causal=any" if implementation.conventions.mask_and_causal == "any" else None


@law(
    "masks.hidden-key-has-no-influence", on=Trait.DOT_PRODUCT, draw=beside_causal, lacking=needs("causal option", "boolean mask"), off=any_combination
)  # fmt: skip
def test_a_mask_beside_the_causal_flag_counts_or_is_refused(subject: Subject, x: Inputs) -> None:
    """Neither may be ignored in silence; whether both together are an error is a convention."""
    _, truth, _, bound = bounded(subject, x)
    declared = subject.implementation.conventions.mask_and_causal
    try:
        output = subject(x)
    except SubjectFailed as error:
        if isinstance(error, SubjectDied) or declared == "both":
            raise
        return
    require(declared != "error", f"declares mask+causal=error, and raised none on {x}")
    subject.judge("output with a mask and the causal flag", output, truth.output, bound.output, x)


@law(
    "masks.padding",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("first keys hidden", "one query row"), batch=(1,)),
    lacking=needs("boolean mask", "free number of keys"),
)
def test_hidden_keys_are_as_good_as_absent(subject: Subject, x: Inputs) -> None:
    posed, _, arithmetic, bound = bounded(subject, x)
    if not x.query.shape[2]:
        return
    seen = posed.visible[0, 0, 0]  # the same keys for every row
    if not seen.any() and not subject.implementation.limits.zero_length:
        return
    short = replace(x, key=x.key[:, :, seen], value=x.value[:, :, seen], attn_mask=None)
    alone = problem(short)
    truth = oracle.attention(alone)
    subject.judge("output with the keys hidden", subject(x), truth.output, bound.output, x)
    removed = tolerance.forward(alone, truth, arithmetic)
    subject.judge("output with the keys removed", subject(short), truth.output, removed.output, short)


@law(
    "masks.padding",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("first keys hidden", "one query row", "padding")),
    lacking=needs("boolean mask"),
    off=needs_repeats,
)
def test_what_stands_in_a_hidden_key_changes_nothing(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    x = contiguous(x)
    hidden = everywhere_hidden(x)
    key, value = x.key.masked_fill(hidden, huge(subject, x)), x.value.masked_fill(hidden, -huge(subject, x))
    require(same(subject(replace(x, key=key, value=value)), subject(x)), f"what stands in hidden keys and values changed the output on {x}")


def everywhere_hidden(x: Inputs) -> torch.Tensor:
    """[B, G, M, 1]: the keys that no row of any query head sees."""
    seen = problem(x).visible  # [B, H, N, M]
    batch, heads, rows, keys = seen.shape
    shared = seen.reshape(batch, x.key.shape[1], heads // x.key.shape[1], rows, keys).any((2, 3))
    return torch.from_numpy(~shared)[..., None]


def leaks(implementation: Implementation) -> str | None:
    return "declares masked-nan=any" if implementation.conventions.masked_nan == "any" else None


@law(
    "masks.padding",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("first keys hidden", "one query row", "padding", "causal"), values=("normal", "small integers")),
    lacking=needs("boolean mask"),
    off=leaks,
)
def test_a_nan_in_a_hidden_key_makes_no_wrong_number(subject: Subject, x: Inputs) -> None:
    """NaN in hidden keys, in hidden values, and in both, of the first key head of the first sequence. It may turn that head's rows into NaN where the
    subject says that it leaks; it changes no number, and reaches no other head."""
    subject.saw(x.regimes)
    x = contiguous(x)
    hidden = everywhere_hidden(x)
    first = torch.zeros_like(hidden)
    first[:1, :1] = hidden[:1, :1]
    key, value, clean = x.key.masked_fill(first, math.nan), x.value.masked_fill(first, math.nan), subject(x)
    near = torch.zeros(clean.shape, dtype=torch.bool)
    near[:1, : x.query.shape[1] // max(x.key.shape[1], 1)] = subject.implementation.conventions.masked_nan == "leaks"
    for what, case in (("keys", replace(x, key=key)), ("values", replace(x, value=value)), ("keys and values", replace(x, key=key, value=value))):
        poisoned = subject(case)
        kept = (clean == poisoned) | (clean.isnan() & poisoned.isnan()) | (poisoned.isnan() & near)
        require(bool(kept.all()), f"with NaN in hidden {what} the output is {poisoned.tolist()}, without {clean.tolist()} on {x}")


def any_dead_row(implementation: Implementation) -> str | None:
    return "declares dead-rows=any" if implementation.conventions.dead_rows == "any" else None


@law(
    "masks.hidden-key-has-no-influence",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, dead_rows=True, mask=("dead row", "padding", "per head")),
    lacking=needs("boolean mask"),
    off=any_dead_row,
)
def test_a_row_that_sees_no_key_is_as_declared(subject: Subject, x: Inputs) -> None:
    """Zero, NaN or the mean of all values, as the subject declares; where it is zero, it harms no gradient either."""
    posed, truth, _, bound = bounded(subject, x)
    declared = subject.implementation.conventions.dead_rows
    alive: np.ndarray[Any, np.dtype[np.bool_]] = np.asarray(posed.visible.any(-1))
    dead = torch.from_numpy(~alive)
    output = subject(x)
    if declared == "nan":
        require(bool(output[dead].isnan().all()), f"a row that sees no key gave {output[dead].tolist()}, declared is NaN, on {x}")
        others = output.masked_fill(dead[..., None], 0)  # as the truth has it
        subject.judge("output beside rows that see no key", others, truth.output, bound.output, x)
        return
    if declared == "mean":
        q, bias = np.where(alive[..., None], posed.q, 0), np.where(alive[..., None], posed.bias, 0)
        uniform = replace(posed, q=q, bias=bias, visible=posed.visible | ~alive[..., None])
        truth = oracle.attention(uniform)
        bound = tolerance.forward(uniform, truth, subject.rounding(x.query.dtype))
        subject.judge("output, rows that see no key being the mean of all values,", output, truth.output, bound.output, x)
        return
    require(bool((output[dead] == 0).all()), f"a row that sees no key gave {output[dead].tolist()} on {x}")
    if not subject.implementation.limits.gradients:
        return
    gradients = dict(zip(("dQ", "dK", "dV"), subject.gradients(x), strict=True))
    for name, gradient in gradients.items():
        require(not bool(gradient.isnan().any()), f"{name} is not a number beside a row that sees no key: {gradient.tolist()} on {x}")  # float16 may end in ∞
    own = gradients["dQ"][dead]
    require(bool((own == 0).all()), f"dQ of a row that sees no key is {own.tolist()} on {x}")


def subtracts_the_log_sum_exp(implementation: Implementation) -> str | None:
    return "declares normalise=log-sum-exp" if implementation.arithmetic.normalise == "log-sum-exp" else None


@law(
    "masks.smallest-finite-fill",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, dead_rows=True, mask=("additive with -inf",), scores=("equal",), layout=("contiguous",)),
    lacking=needs("additive mask"),
    off=subtracts_the_log_sum_exp,
)
def test_the_formats_lowest_number_hides_and_a_row_of_it_is_the_mean(subject: Subject, x: Inputs) -> None:
    """All scores are 0, so that adding it fills it in: beside a visible key it hides as −∞ does, and a row of nothing else (here every second one) is finite.
    Of the output alone, and where weights are divided by their sum: no log-sum-exp in floats tells such a row's length, and what starts from one cannot
    know it."""
    assert x.attn_mask is not None
    subject.saw(x.regimes)
    hidden = x.attn_mask == -math.inf
    hidden[..., ::2, :] = True
    lowest = torch.finfo(torch.float32 if subject.implementation.conventions.float64 == "as-float32" and x.query.dtype == torch.float64 else x.query.dtype).min
    filled = replace(x, attn_mask=torch.zeros_like(x.attn_mask).masked_fill(hidden, lowest))
    posed = problem(replace(x, attn_mask=~hidden | hidden.all(-1, keepdim=True)))
    truth = oracle.attention(posed)
    bound = tolerance.forward(posed, truth, subject.rounding(x.query.dtype))
    subject.judge("output under a mask of the lowest number", subject(filled), truth.output, bound.output, filled)


def split_in_two(subject: Implementation) -> st.SearchStrategy[Inputs]:
    """A mask may leave a row no key in one half, so that there is one only where such rows are zero."""
    masks = ("none", "per head", "additive with -inf") if subject.conventions.dead_rows == "zero" else ("none",)
    return dense(subject, mask=masks if len(subject.limits.masks) > 2 else ("none",))


@law(
    "flash.merge-is-union",
    "flash.any-tiling-is-exact",
    on=Trait.DOT_PRODUCT,
    draw=split_in_two,
    lacking=needs("free number of keys", "log-sum-exp"),
)
def test_the_parts_of_a_split_merge_to_the_whole(subject: Subject, x: Inputs) -> None:
    """Output and log-sum-exp of two halves of the keys, merged in float64, against the truth of the whole."""
    _, truth, _, _ = bounded(subject, x)
    cut = x.key.shape[2] // 2
    if not cut and not subject.implementation.limits.zero_length:
        return
    parts = []
    for keys in (slice(None, cut), slice(cut, None)):
        mask = x.attn_mask[..., keys] if x.attn_mask is not None and x.attn_mask.shape[-1] > 1 else x.attn_mask
        mask = mask.contiguous() if mask is not None else None
        half = replace(x, key=x.key[:, :, keys].contiguous(), value=x.value[:, :, keys].contiguous(), attn_mask=mask)
        output, log_sum_exp = subject.with_log_sum_exp(half)
        posed = problem(half)
        true = oracle.attention(posed)
        parts.append((plain(output), plain(log_sum_exp), true, tolerance.forward(posed, true, subject.rounding(x.query.dtype))))
    merged, limit = tolerance.merged(parts, truth)
    subject.judge("the merged output", torch.from_numpy(merged), truth.output, limit, x)
