"""Laws that hold to the last bit in every format: no bound, no oracle, only equality."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import hypothesis.strategies as st
import torch

from impl.trait import Trait
from impl.variant import Implementation
from properties import oracle, tolerance
from properties.inputs import Inputs, dense, draw_lengths, problem
from properties.subject import Subject, require, same
from properties.verifies import law, needs, needs_all, needs_repeats, needs_the_maximum

PLAIN: dict[str, Any] = {"mask": ("none",), "values": ("small integers",), "scores": ("small integers",)}


@st.composite
def uniform_rows(draw: st.DrawFn, subject: Implementation) -> Inputs:
    """A zero query that sees 2^p keys of small integer value, the rest hidden: the output is a dyadic mean, exact in every format."""
    x = draw(dense(subject, n=SMALL, m=[m for m in draw_lengths(subject.limits) if m], **PLAIN))
    m = x.key.shape[-2]
    power = draw(st.integers(0, min(m.bit_length() - 1, 4)), label="power")
    seen = torch.zeros((x.query.shape[-2], m), dtype=torch.bool)
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed"))
    for row in seen:
        row[torch.randperm(m, generator=random)[: 2**power]] = True
    return replace(x, query=torch.zeros_like(x.query), attn_mask=seen, regimes=(*x.regimes, f"visible: {2**power}"))


SMALL = (1, 2, 3, 5)
EXACT = ("float64", "float32")  # where a power of two scales every intermediate exactly
MODERATE = ("small integers", "normal", "equal", "tiny")  # scores whose weights stay far from underflow


def expect(subject: Subject, x: Inputs, expected: torch.Tensor, what: str) -> None:
    """Require the expected output: to the last bit where the subject declares exact means, else within the rounding bound (it may multiply by a
    reciprocal, or normalise in the exponent)."""
    actual = subject(x)
    declared = subject.implementation.arithmetic
    if declared.exact_means and not declared.stabiliser:
        require(torch.equal(actual.double(), expected), f"{what} is {expected.tolist()}, got {actual.tolist()} on {x}")
        return
    posed = problem(x)
    truth = oracle.attention(posed)
    exact = oracle.Balls(expected.numpy(), truth.output.radius * 0, truth.output.radius * 0)
    subject.judge(what, actual, exact, tolerance.forward(posed, truth, subject.rounding(x.query.dtype)).output, x)


@law("softmax.high-temperature", on=Trait.DOT_PRODUCT, draw=uniform_rows, lacking=needs("boolean mask"))
def test_equal_scores_give_the_exact_mean_of_the_visible_values(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    assert x.attn_mask is not None
    group = x.query.shape[1] // x.key.shape[1]
    value = x.value.double().repeat_interleave(group, dim=1)
    mean = (x.attn_mask.double() @ value) / x.attn_mask.double().sum(-1, keepdim=True)  # integers over a power of two: exact
    expect(subject, x, mean, "mean of the visible values")


@st.composite
def saturated_rows(draw: st.DrawFn, subject: Implementation) -> Inputs:
    """One key a row scores at least 800 above all others, so that every other weight is exactly 0 in any format."""
    widths = [width for width in subject.limits.widths or (1, 2, 3, 5) if width <= 400]
    x = draw(dense(subject, n=SMALL, m=[m for m in draw_lengths(subject.limits) if m], **PLAIN, width=widths, batch=(1, 3)))
    m = x.key.shape[-2]
    winner = draw(st.integers(0, m - 1), label="winner")
    query, key = torch.zeros_like(x.query), torch.zeros_like(x.key)
    query[..., 0], key[..., winner, 0] = 128, 128
    regime = f"winner: {'first' if winner == 0 else 'last' if winner == m - 1 else 'inner'}"
    return replace(x, query=query, key=key, scale=0.5 if subject.limits.scale else None, regimes=(*x.regimes, regime))


@law("softmax.low-temperature", on=Trait.DOT_PRODUCT, draw=saturated_rows)
def test_a_winner_by_far_returns_its_value_exactly(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    winner = int(x.key[0, 0, :, 0].argmax())
    expected = x.value[:, :, winner : winner + 1].repeat_interleave(x.query.shape[1] // x.key.shape[1], dim=1).expand(*x.query.shape[:-1], x.value.shape[-1])
    expect(subject, x, expected.double(), f"the value of key {winner}, which wins by far,")


@law("softmax.weighted-average", on=Trait.DOT_PRODUCT, draw=dense)
def test_a_call_changes_nothing_and_owns_what_it_returns(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    tensors = [t for t in (x.query, x.key, x.value, x.attn_mask) if t is not None]
    before = [t.clone() for t in tensors]
    first = subject(x)
    reply = subject.replies[-1]
    require(all(same(t, s) for t, s in zip(tensors, before, strict=True)) and not reply.changed, f"changed in place: {', '.join(reply.changed)} on {x}")
    given = {t.untyped_storage().data_ptr() for t in tensors}
    shares = bool(reply.shares) or (first.numel() > 0 and first.untyped_storage().data_ptr() in given)
    require(not shares, f"the output shares memory with an argument {reply.shares} on {x}")


@law("softmax.weighted-average", on=Trait.DOT_PRODUCT, draw=dense, off=needs_repeats)
def test_a_call_repeats_itself(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    first = subject(x).clone()
    second = subject(x)
    require(same(first, second), f"two calls on the same input gave {first.tolist()} and {second.tolist()} on {x}")
    other = subject(replace(x, query=x.query.roll(1, -1) * 2, value=x.value * 4))
    again = subject(x)
    require(same(first, again), f"a call with other values in between changed the result from {first.tolist()} to {again.tolist()} ({other.shape}) on {x}")


def untouched(implementation: Implementation) -> str | None:
    return None if implementation.conventions.process == "untouched" else f"declares process={implementation.conventions.process}"


@law("softmax.weighted-average", on=Trait.DOT_PRODUCT, draw=dense, off=untouched, apart=True)
def test_a_call_leaves_its_process_as_it_was(subject: Subject, x: Inputs) -> None:
    """No process or thread is started, no function of torch replaced, no setting changed, no flood printed: by this call, or by any before it."""
    subject.saw(x.regimes)
    subject(x)
    require(not subject.runner.conduct, f"a call {'; '.join(subject.runner.conduct)} on {x}")


@law(
    "gradients.queries",
    "gradients.keys",
    "gradients.values",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, dtype=EXACT, scores=MODERATE, layout=("contiguous",), scale=(None, 0.3)),
    lacking=needs("gradient", "float32 or float64"),
    off=needs_all(needs_the_maximum, needs_repeats),
)
def test_gradients_scale_with_the_cotangent_and_change_nothing(subject: Subject, x: Inputs) -> None:
    """A factor of a power of two passes through every product and sum of the backward pass without rounding."""
    subject.saw(x.regimes)
    tensors = [t for t in (x.query, x.key, x.value, x.cotangent, x.attn_mask) if t is not None]
    before = [t.clone() for t in tensors]
    once = subject.gradients(x)
    require(all(same(t, s) for t, s in zip(tensors, before, strict=True)), f"the backward pass changed an argument or its cotangent on {x}")
    many = subject.gradients(replace(x, cotangent=x.cotangent * -4096))
    for name, one, other in zip(("dQ", "dK", "dV"), once, many, strict=True):
        require(same(one * -4096, other), f"{name} of −4096 times the cotangent is {other.tolist()}, −4096 times {one.tolist()} was expected on {x}")


@law(
    "gradients.queries",
    "gradients.keys",
    "gradients.values",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("none", "dead row", "causal")),
    lacking=needs("gradient"),
)
def test_a_zero_cotangent_gives_zero_gradients(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    for name, gradient in zip(("dQ", "dK", "dV"), subject.gradients(replace(x, cotangent=torch.zeros_like(x.cotangent))), strict=True):
        require(bool((gradient == 0).all()), f"{name} of a zero cotangent is {gradient.tolist()} on {x}")
