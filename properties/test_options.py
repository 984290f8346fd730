"""Laws of what kernels offer beside the definition: softcap, ALiBi, sinks, dropout, packed sequences, the gradient of the log-sum-exp.

Each is reduced to the plain problem or to one more term of it, and judged against the same oracle and bounds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import numpy as np
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import oracle, philox, tolerance
from properties.inputs import Inputs, dense, plain, problem
from properties.subject import Subject, require
from properties.verifies import Needed, law, needs

FEW: dict[str, Any] = {"n": (1, 2, 3, 5, 17, 33), "m": (1, 2, 3, 5, 17, 33)}
GENTLE = ("normal", "small integers", "rising", "one huge", "tiny", "shifted up")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """Inputs with keywords beyond torch's, and the problem that they pose."""

    x: Inputs
    options: dict[str, Any]
    posed: oracle.Problem

    def __repr__(self) -> str:
        shown = {name: value.tolist() if isinstance(value, Tensor) else value for name, value in self.options.items()}
        return f"{self.x!r} with {shown}"


def judged(subject: Subject, case: Case) -> tuple[oracle.Truth, tolerance.Backward]:
    """Judge output and gradients of a case; what the truth and the gradients' bounds were."""
    x, posed = case.x, case.posed
    subject.saw(x.regimes)
    truth, arithmetic = oracle.attention(posed), subject.rounding(x.query.dtype)
    ahead = tolerance.forward(posed, truth, arithmetic)
    subject.judge("output", subject(x, **case.options), truth.output, ahead.output, case)
    bound = tolerance.backward(posed, truth, arithmetic, ahead)
    if subject.implementation.limits.gradients:
        judge_gradients(subject, case, truth, bound, subject.gradients(x, **case.options))
    return truth, bound


def judge_gradients(subject: Subject, case: Case, truth: oracle.Truth, bound: tolerance.Backward, gradients: tuple[Tensor, ...]) -> None:
    """Judge dQ, dK and dV; of a problem with one more key than the inputs, those of the inputs' keys."""
    keys = case.x.key.shape[2]
    assert truth.d_q is not None
    assert truth.d_k is not None
    assert truth.d_v is not None
    subject.judge("dQ", gradients[0], truth.d_q, bound.d_q, case)
    for what, actual, true, limit in (("dK", gradients[1], truth.d_k, bound.d_k), ("dV", gradients[2], truth.d_v, bound.d_v)):
        shared = oracle.Balls(*(tolerance.shared(part, case.posed)[:, :, :keys] for part in (true.hi, true.lo, true.radius)))
        subject.judge(what, actual, shared, limit[:, :, :keys], case)


@st.composite
def capped(draw: st.DrawFn, subject: Implementation) -> Case:
    x = draw(dense(subject, **FEW, scores=(*GENTLE, "wide", "shifted down")))
    cap = draw(st.sampled_from((30.0, 5.0, 0.5, 50.0)), label="softcap")
    return Case(x=x, options={"softcap": cap}, posed=replace(problem(x, gradients=True), cap=cap))


@law("flash.any-tiling-is-exact", on=Trait.DOT_PRODUCT, draw=capped, lacking=needs("softcap", "gradient"))
def test_a_softcap_is_the_cap_times_the_hyperbolic_tangent(subject: Subject, case: Case) -> None:
    judged(subject, case)


@st.composite
def sloped(draw: st.DrawFn, subject: Implementation) -> Case:
    """Slopes are powers of 2, so that slope times distance is exact, and ALiBi is an additive mask."""
    x = draw(dense(subject, **FEW, scores=GENTLE))
    b, h, n, m = *x.query.shape[:3], x.key.shape[2]
    each = draw(st.booleans(), label="slopes for each sequence")
    shape = (b, h) if each else (h,)
    dtype = torch.float64 if x.query.dtype == torch.float64 else torch.float32
    slopes = 2.0 ** -torch.arange(1, 1 + torch.Size(shape).numel(), dtype=dtype).reshape(shape).remainder(7)
    shift = m - n if x.alignment == "bottom-right" else 0
    distance = np.abs(np.arange(n)[:, None] + shift - np.arange(m)[None, :])
    posed = problem(x, gradients=True)
    added = -np.broadcast_to(plain(slopes), (b, h))[:, :, None, None] * distance
    return Case(x=x, options={"alibi_slopes": slopes}, posed=replace(posed, bias=np.where(posed.visible, posed.bias + added, 0)))


@law("flash.any-tiling-is-exact", on=Trait.DOT_PRODUCT, draw=sloped, lacking=needs("alibi_slopes", "gradient"))
def test_alibi_lowers_a_score_by_the_slope_times_the_distance(subject: Subject, case: Case) -> None:
    judged(subject, case)


@st.composite
def sunk(draw: st.DrawFn, subject: Implementation) -> Case:
    """A sink is one more key that everyone sees, zero itself and of value zero, whose score is added."""
    x = draw(dense(subject, **FEW, dead_rows=True, scores=GENTLE))
    b, h, n = x.query.shape[:3]
    dtype = torch.float64 if x.query.dtype == torch.float64 else torch.float32
    sinks = torch.tensor([draw(st.sampled_from((0.0, 1.5, -3.0, 20.0, -float("inf"))), label="sink") for _ in range(h)], dtype=dtype)
    plainly = problem(x, gradients=True)
    k, v = (np.concatenate((part, np.zeros((*part.shape[:2], 1, part.shape[3]))), 2) for part in (plainly.k, plainly.v))
    score = np.broadcast_to(plain(sinks)[None, :, None, None], (b, h, n, 1))
    there = np.isfinite(score)
    bias, visible = np.concatenate((plainly.bias, np.where(there, score, 0)), 3), np.concatenate((plainly.visible, there), 3)
    return Case(x=x, options={"sinks": sinks}, posed=replace(plainly, k=k, v=v, bias=bias, visible=visible))


@law("flash.any-tiling-is-exact", on=Trait.DOT_PRODUCT, draw=sunk, lacking=needs("sinks", "gradient", "log-sum-exp"))
def test_a_sink_is_one_more_key_of_value_zero(subject: Subject, case: Case) -> None:
    truth, bound = judged(subject, case)
    arithmetic = subject.rounding(case.x.query.dtype)
    ahead = tolerance.forward(case.posed, truth, arithmetic)
    _, log_sum_exp = subject.with_log_sum_exp(case.x, **case.options)
    subject.judge("log-sum-exp", log_sum_exp, truth.log_sum_exp, ahead.log_sum_exp, case)
    d_sinks = subject.gradients(case.x, also="sinks", **case.options)[-1]
    assert truth.d_scores is not None
    last = oracle.Balls(*(part[..., -1].sum((0, 2)) for part in (truth.d_scores.hi, truth.d_scores.lo, truth.d_scores.radius)))
    size, terms = np.abs(truth.d_scores.hi[..., -1]).sum((0, 2)), max(1, truth.d_scores.hi[..., -1].size)
    limit = (
        (bound.d_scores[..., -1].sum((0, 2)) + arithmetic.gamma(terms) * size) * (1 + arithmetic.gamma(terms))
        + terms * 2.0**-53 * size
        + terms * arithmetic.tiny
    )
    subject.judge("the gradient of the sinks", d_sinks, last, limit, case)


@st.composite
def thinned(draw: st.DrawFn, subject: Implementation) -> Case:
    x = draw(dense(subject, **FEW, scores=GENTLE))
    p = draw(st.sampled_from((0.5, 0.1, 0.9, 1.0)), label="p")
    seed = draw(st.sampled_from((0, 1, 2**31 + 5, 2**40 + 7)), label="dropout seed")
    shape = *x.query.shape[:3], x.key.shape[2]
    stays = philox.kept(shape, p, seed).astype(np.float64) * (1 / (1 - p) if p < 1 else 0.0)
    return Case(x=x, options={"dropout_p": p, "seed": seed}, posed=replace(problem(x, gradients=True), kept=stays))


@law("flash.any-tiling-is-exact", on=Trait.DOT_PRODUCT, draw=thinned, lacking=needs("dropout_p", "gradient"))
def test_dropout_keeps_what_the_counter_says_and_rescales_it(subject: Subject, case: Case) -> None:
    """The mask is Philox's at (column, row, head), whatever the tiles; backward meets the same one."""
    judged(subject, case)


@law("flash.any-tiling-is-exact", on=Trait.DOT_PRODUCT, draw=partial(dense, **FEW, scores=GENTLE), lacking=needs("log-sum-exp gradient", "gradient"))
def test_the_log_sum_exp_has_the_weights_as_its_gradient(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    posed = problem(x, gradients=True)
    random = torch.Generator().manual_seed(posed.q.size)
    alive = torch.from_numpy(np.asarray(posed.visible.any(-1)))
    wide = torch.float64 if x.query.dtype == torch.float64 else torch.float32
    of_log_sum_exp = torch.where(alive, torch.randn(x.query.shape[:-1], generator=random), 0).to(wide)  # a row that sees no key has −∞, whatever its query
    posed = replace(posed, g_log_sum_exp=plain(of_log_sum_exp))
    truth, arithmetic = oracle.attention(posed), subject.rounding(x.query.dtype)
    bound = tolerance.backward(posed, truth, arithmetic, tolerance.forward(posed, truth, arithmetic))
    judge_gradients(subject, Case(x=x, options={}, posed=posed), truth, bound, subject.gradients(x, of_log_sum_exp=of_log_sum_exp))


def packs(implementation: Implementation) -> str | None:
    return None if implementation.packed is not None else "packs no sequences"


def either(*needed: Needed) -> Needed:
    return lambda implementation: next((why for need in needed if (why := need(implementation))), None)


@st.composite
def packed(draw: st.DrawFn, subject: Implementation) -> tuple[Inputs, list[int], list[int]]:
    """One sequence's inputs, and where it is cut into several."""
    x = draw(dense(subject, n=(5, 17, 33, 3), m=(7, 17, 33, 3), batch=(1,), heads=((1, 1), (2, 1), (2, 2)), mask=("none", "causal"), scores=GENTLE))
    cuts = []
    for length in (x.query.shape[2], x.key.shape[2]):
        inner = sorted(draw(st.integers(0, length), label="cut") for _ in range(2))
        cuts.append([0, *inner, length])
    return x, cuts[0], cuts[1]


@law("flash.any-tiling-is-exact", on=Trait.DOT_PRODUCT, draw=packed, lacking=either(packs, needs("gradient")))
def test_packed_sequences_are_computed_alone(subject: Subject, drawn: tuple[Inputs, list[int], list[int]]) -> None:
    x, query_cuts, key_cuts = drawn
    subject.saw(x.regimes)
    offsets = [torch.tensor(cuts, dtype=torch.int32) for cuts in (query_cuts, key_cuts)]
    longest = tuple(int(cut.diff().max()) for cut in offsets)
    tensors = tuple(t[0].transpose(0, 1) for t in (x.query, x.key, x.value))
    keywords: dict[str, Any] = {"is_causal": x.is_causal, "scale": x.scale}
    output, log_sum_exp = subject.packed(*tensors, *offsets, longest, **keywords)
    gradients = subject.packed(*tensors, *offsets, longest, wanted=(0, 1, 2), cotangent=x.cotangent[0].transpose(0, 1), **keywords)
    for part, (rows, columns) in enumerate(zip(slices(query_cuts), slices(key_cuts), strict=True)):
        alone = replace(x, query=x.query[:, :, rows], key=x.key[:, :, columns], value=x.value[:, :, columns], cotangent=x.cotangent[:, :, rows])
        posed = problem(alone, gradients=True)
        truth, arithmetic = oracle.attention(posed), subject.rounding(x.query.dtype)
        ahead = tolerance.forward(posed, truth, arithmetic)
        subject.judge(f"output of sequence {part}", output[rows].transpose(0, 1)[None], truth.output, ahead.output, drawn)
        subject.judge(f"log-sum-exp of sequence {part}", log_sum_exp[rows].transpose(0, 1)[None], truth.log_sum_exp, ahead.log_sum_exp, drawn)
        bound = tolerance.backward(posed, truth, arithmetic, ahead)
        own = (gradients[0][rows], gradients[1][columns], gradients[2][columns])
        judge_gradients(subject, Case(x=alone, options={}, posed=posed), truth, bound, tuple(g.transpose(0, 1)[None] for g in own))
    spoilt = [t.clone() for t in tensors]
    for t, cuts in zip(spoilt, (query_cuts, key_cuts, key_cuts), strict=True):
        t[slices(cuts)[1]] = float("nan")
    again, _ = subject.packed(*spoilt, *offsets, longest, **keywords)
    for part in (0, 2):
        rows = slices(query_cuts)[part]
        require(torch.equal(output[rows], again[rows]), f"NaN in sequence 1 changed the output of sequence {part} on {drawn}")


def slices(cuts: list[int]) -> list[slice]:
    return [slice(a, b) for a, b in pairwise(cuts)]
