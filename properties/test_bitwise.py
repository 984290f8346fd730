"""Laws that hold to the last bit in every format: no bound, no oracle, only equality."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import hypothesis.strategies as st
import torch

from impl.variant import Implementation, Limits, Trait
from properties.inputs import Inputs, dense, draw_lengths
from properties.subject import Subject, require
from properties.verifies import law, needs_gradients, needs_masks

PLAIN = {"mask": ("none",), "values": ("small integers",), "scores": ("small integers",)}


@st.composite
def uniform_rows(draw: st.DrawFn, limits: Limits) -> Inputs:
    """A zero query that sees 2^p keys of small integer value, the rest hidden: the output is a dyadic mean, exact in every format."""
    x = draw(dense(limits, n=SMALL, m=[m for m in draw_lengths(limits) if m], **PLAIN))
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


def exact_weights(implementation: Implementation) -> str | None:
    """Equal scores have weights of exactly 1 before normalising only where the row's maximum itself is subtracted."""
    return "declares a stabiliser other than the row's maximum" if implementation.arithmetic.stabiliser else needs_masks(implementation)


@law("softmax.high-temperature", on=Trait.DOT_PRODUCT, draw=uniform_rows, lacking=exact_weights)
def test_equal_scores_give_the_exact_mean_of_the_visible_values(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    assert x.attn_mask is not None
    group = x.query.shape[1] // x.key.shape[1]
    value = x.value.double().repeat_interleave(group, dim=1)
    mean = (x.attn_mask.double() @ value) / x.attn_mask.double().sum(-1, keepdim=True)  # integers over a power of two: exact
    actual = subject(x)
    require(torch.equal(actual.double(), mean), f"mean of the visible values is {mean.tolist()}, got {actual.tolist()} on {x}")


@st.composite
def saturated_rows(draw: st.DrawFn, limits: Limits) -> Inputs:
    """One key a row scores 2048 above all others, so that every other weight is exactly 0 in any format."""
    x = draw(dense(limits, n=SMALL, m=[m for m in draw_lengths(limits) if m], **PLAIN, width=(1, 2, 3, 5), batch=(1, 3)))
    m = x.key.shape[-2]
    winner = draw(st.integers(0, m - 1), label="winner")
    query, key = torch.zeros_like(x.query), torch.zeros_like(x.key)
    query[..., 0], key[..., winner, 0] = 64, 64
    return replace(x, query=query, key=key, scale=0.5, regimes=(*x.regimes, f"winner: {'first' if winner == 0 else 'last' if winner == m - 1 else 'inner'}"))


@law("softmax.low-temperature", on=Trait.DOT_PRODUCT, draw=saturated_rows)
def test_a_winner_by_far_returns_its_value_exactly(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    winner = int(x.key[0, 0, :, 0].argmax())
    expected = x.value[:, :, winner : winner + 1].repeat_interleave(x.query.shape[1] // x.key.shape[1], dim=1).expand(*x.query.shape[:-1], x.value.shape[-1])
    actual = subject(x)
    require(torch.equal(actual, expected), f"key {winner} wins by 2048, its value is {expected.tolist()}, got {actual.tolist()} on {x}")


@law("softmax.weighted-average", on=Trait.DOT_PRODUCT, draw=dense)
def test_a_call_changes_nothing_and_repeats_itself(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    tensors = [t for t in (x.query, x.key, x.value, x.attn_mask) if t is not None]
    before = [t.clone() for t in tensors]
    first = subject(x).clone()
    second = subject(x)
    require(all(torch.equal(t, s) for t, s in zip(tensors, before, strict=True)), f"an argument was changed in place on {x}")
    require(torch.equal(first, second), f"two calls on the same input gave {first.tolist()} and {second.tolist()} on {x}")
    other = subject(replace(x, query=x.query.roll(1, -1) * 2, value=x.value * 4))
    again = subject(x)
    require(
        torch.equal(first, again), f"a call with other values in between changed the result from {first.tolist()} to {again.tolist()} ({other.shape}) on {x}"
    )


@law(
    "gradients.queries",
    "gradients.keys",
    "gradients.values",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, dtype=EXACT, scores=MODERATE, layout=("contiguous",)),
    lacking=needs_gradients,
)
def test_gradients_scale_with_the_cotangent_and_change_nothing(subject: Subject, x: Inputs) -> None:
    """A factor of a power of two passes through every product and sum of the backward pass without rounding."""
    subject.saw(x.regimes)
    tensors = [t for t in (x.query, x.key, x.value, x.cotangent, x.attn_mask) if t is not None]
    before = [t.clone() for t in tensors]
    once = subject.gradients(x)
    require(all(torch.equal(t, s) for t, s in zip(tensors, before, strict=True)), f"the backward pass changed an argument or its cotangent on {x}")
    many = subject.gradients(replace(x, cotangent=x.cotangent * -4096))
    for name, one, other in zip(("dQ", "dK", "dV"), once, many, strict=True):
        require(torch.equal(one * -4096, other), f"{name} of −4096 times the cotangent is {other.tolist()}, −4096 times {one.tolist()} was expected on {x}")


@law(
    "gradients.queries",
    "gradients.keys",
    "gradients.values",
    on=Trait.DOT_PRODUCT,
    draw=partial(dense, mask=("none", "dead row", "causal")),
    lacking=needs_gradients,
)
def test_a_zero_cotangent_gives_zero_gradients(subject: Subject, x: Inputs) -> None:
    subject.saw(x.regimes)
    for name, gradient in zip(("dQ", "dK", "dV"), subject.gradients(replace(x, cotangent=torch.zeros_like(x.cotangent))), strict=True):
        require(bool((gradient == 0).all()), f"{name} of a zero cotangent is {gradient.tolist()} on {x}")
