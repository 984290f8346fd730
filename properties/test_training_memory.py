"""Laws of what makes training cheaper: activations that are computed again or kept elsewhere, half precision under a loss scale, a teacher's attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from impl.trait import Trait
from impl.variant import Implementation
from properties import posed
from properties.inputs import plain
from properties.oracle import Array
from properties.posed import Place, Posed, any_case
from properties.posing import Sizes, sizes
from properties.request import Here, Request
from properties.subject import Subject, expect_shape, require, same
from properties.tracked import Tracked, constant, exp, gradients, log, softmax
from properties.verifies import law, needs

# ------------------------------------------------------------------------------------------------------- activations computed again, or kept elsewhere


def same_operations(implementation: Implementation) -> str | None:
    return None if "the reference's operations" in implementation.offers else "does not say that it runs the reference's operations"


def by_definition(subject: Subject, request: Request) -> tuple[Tensor, ...]:
    """What the variant's reference answers to the same request."""
    return Here(replace(subject.implementation, call=subject.implementation.variant.reference)).run(request).tensors


@law("training_memory.checkpointing-is-exact", on=Trait.CHECKPOINTED, draw=any_case, lacking=same_operations)
def test_the_output_is_the_plain_one_bit_by_bit(subject: Subject, x: Posed) -> None:
    """Whatever is kept for backward, forward runs the same operations."""
    subject.saw(x.regimes)
    (expected,) = by_definition(subject, Request(arguments=x.arguments, keywords=x.keywords))
    found = posed.output(subject, x)
    require(same(found, expected), f"output {found.tolist()}, and {expected.tolist()} with all activations kept, on {x}")


def asked(x: Posed, wanted: tuple[Place, ...]) -> Request:
    return Request(arguments=x.arguments, keywords=x.keywords, cotangent=x.cotangent, wanted=wanted)


@law("training_memory.checkpointing-is-exact", on=Trait.CHECKPOINTED, draw=any_case, lacking=same_operations)
def test_every_gradient_is_the_plain_one_bit_by_bit(subject: Subject, x: Posed) -> None:
    """What is computed a second time comes out as it did the first time, and what is fetched back is what was put away."""
    subject.saw(x.regimes)
    found = subject.answered(asked(x, x.wanted), len(x.wanted))
    for place, one, other in zip(x.wanted, found, by_definition(subject, asked(x, x.wanted)), strict=True):
        require(same(one, other), f"gradient of {place} {one.tolist()}, and {other.tolist()} with all activations kept, on {x}")


@law("training_memory.checkpointing-is-exact", on=Trait.CHECKPOINTED, draw=any_case, lacking=needs("gradient"))
def test_a_gradient_asked_for_alone_is_the_same(subject: Subject, x: Posed) -> None:
    """With the other inputs frozen: within its bound, and bit by bit where the same operations are promised."""
    subject.saw(x.regimes)
    together = subject.answered(asked(x, x.wanted), len(x.wanted))
    rounding = subject.rounding(x.cotangent.dtype)
    leaves = x.leaves(rounding)
    expected = gradients(x.define(leaves), constant(plain(x.cotangent), rounding), [leaves[place] for place in x.wanted])
    for place, one, true in zip(x.wanted, together, expected, strict=True):
        (alone,) = subject.answered(asked(x, (place,)), 1)
        subject.judge(f"gradient of {place} alone", alone, true.balls(), true.bound(), x)
        require(bool(same_operations(subject.implementation)) or same(alone, one), f"gradient of {place} alone {alone.tolist()}, not {one.tolist()}, on {x}")


# ------------------------------------------------------------------------------------------------------------------------------------ loss scaling


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Training:
    """Weight [C, E] in float32, inputs [T, N, C] and targets [T, N, E] in float16, and how they are trained on."""

    weight: Tensor
    inputs: Tensor
    targets: Tensor
    rate: float
    scale: float
    interval: int

    def history(self, subject: Subject) -> Tensor:
        """Weights and scale after each step [T, C · E + 1]."""
        found = subject.call(self.weight, self.inputs, self.targets, self.rate, self.scale, self.interval)
        expect_shape(found, (self.inputs.shape[0], self.weight.numel() + 1), torch.float32)
        return found

    def __repr__(self) -> str:
        rest = f"rate={self.rate}, scale={self.scale}, interval={self.interval}"
        return f"Training(weight={self.weight.tolist()}, inputs={self.inputs.tolist()}, targets={self.targets.tolist()}, {rest})"


Half = npt.NDArray[np.float16]


def halved(x: Array) -> Array:
    """Rounded once to float16, ∞ beyond its largest number."""
    with np.errstate(over="ignore"):
        return x.astype(np.float16).astype(np.float64)


def scaled_gradient(x: Training, master: Array, step: int, scale: float) -> Array:
    """The gradient of the scaled loss in float16, from sums that float64 (and float32) hold exactly."""
    batch, target, weight = plain(x.inputs[step]), plain(x.targets[step]), halved(master)
    residual = halved((halved(batch @ weight) - target) * scale)
    with np.errstate(invalid="ignore"):
        return halved(batch.T @ residual)


def expected_history(x: Training) -> Array:
    """The schedule, step by step."""
    master, scale, good, rows = plain(x.weight), x.scale, 0, []
    for step in range(x.inputs.shape[0]):
        gradient = scaled_gradient(x, master, step, scale)
        if np.isfinite(gradient).all():
            master, good = (master - x.rate * (gradient / scale)).astype(np.float32).astype(np.float64), good + 1
        else:
            scale, good = scale / 2, 0
        if good == x.interval:
            scale, good = scale * 2, 0
        rows.append(np.append(master.ravel(), scale))
    return np.array(rows)


@st.composite
def whole_trainings(draw: st.DrawFn, subject: Implementation, steps: tuple[int, ...] = (1, 2, 3)) -> Training:
    """Small whole numbers and a rate of 2^-6: three updates at most, after which every sum still fits into float32, so that each result rounds once."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed"))
    t, n, c, e = draw(st.sampled_from(steps)), *(draw(st.sampled_from((1, 2, 3))) for _ in range(3))

    def whole(*shape: int) -> Tensor:
        return torch.randint(-2, 3, shape, generator=random).float()

    return Training(
        weight=whole(c, e),
        inputs=whole(t, n, c).half(),
        targets=whole(t, n, e).half(),
        rate=2.0**-6,
        scale=2.0 ** draw(st.sampled_from((0, 4, 10, 13, 14, 15, 16, 20)), label="scale"),
        interval=draw(st.sampled_from((1, 2, 2000)), label="growth interval"),
    )


@st.composite
def long_trainings(draw: st.DrawFn, subject: Implementation) -> Training:
    """The same, beginning with batches that overflow at first."""
    x = draw(whole_trainings(subject, (3,)))
    lost = draw(st.integers(1, 5), label="overflows at least")
    weight, targets = x.weight.clone(), x.targets[:1].repeat(lost + 3, 1, 1)
    weight[0, 0], targets[:, 0, 0] = 0, 4
    inputs = x.inputs[:1].repeat(lost + 3, 1, 1)
    inputs[:, 0, :] = 0
    inputs[:, 0, 0] = 1  # a residual of 4, whatever the scale
    return replace(x, weight=weight, inputs=inputs, targets=targets, scale=2.0 ** (13 + lost), rate=0.0)


@law("training_memory.loss-scaling", on=Trait.LOSS_SCALED, draw=whole_trainings)
def test_weights_and_scale_follow_the_schedule_exactly(subject: Subject, x: Training) -> None:
    """Bit by bit: rounding of the weights to half precision, overflow, skipped steps, halving and doubling."""
    subject.saw((f"scale: {x.scale:g}", f"interval: {x.interval}"))
    found, expected = plain(x.history(subject)), expected_history(x)
    require(bool((found == expected).all()), f"weights and scale {found.tolist()}, should be {expected.tolist()}, on {x}")


@law("training_memory.loss-scaling", on=Trait.LOSS_SCALED, draw=long_trainings)
def test_an_overflow_skips_the_step_and_halves_the_scale(subject: Subject, x: Training) -> None:
    """Until the gradient is finite; no step in between moves a weight, or makes it NaN."""
    subject.saw((f"scale: {x.scale:g}",))
    found, scale, weight = plain(x.history(subject)), x.scale, plain(x.weight)
    for step, row in enumerate(found):
        finite = np.isfinite(scaled_gradient(x, weight, step, scale)).all()
        if finite:
            break
        scale /= 2
        require(bool((row[:-1] == weight.ravel()).all()) and row[-1] == scale, f"after overflow {step + 1}: {row.tolist()}, the scale should be {scale} on {x}")
    require(bool(np.isfinite(found).all()), f"{found.tolist()} on {x}")


@st.composite
def normal_steps(draw: st.DrawFn, subject: Implementation) -> Training:
    """One step on numbers that round, of sizes near 1."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed"))
    n, c, e = (draw(st.sampled_from((1, 2, 3, 5))) for _ in range(3))

    def uniform(*shape: int) -> Tensor:
        return torch.rand(shape, generator=random) * 2 - 1

    power = draw(st.integers(1, 9), label="scale")
    return Training(weight=uniform(c, e), inputs=uniform(1, n, c).half(), targets=uniform(1, n, e).half() * 4, rate=0.5, scale=2.0**power, interval=2000)


@law("training_memory.loss-scale-is-exact", on=Trait.LOSS_SCALED, draw=normal_steps)
def test_a_power_of_two_as_scale_changes_no_normal_gradient(subject: Subject, x: Training) -> None:
    """Rounding commutes with it: where residuals and gradient are normal numbers of float16 at scale 1, the step is the same to the last bit."""
    subject.saw((f"scale: {x.scale:g}",))
    plainly = replace(x, scale=1.0).history(subject)[0, :-1].reshape(x.weight.shape)
    scaled = x.history(subject)[0, :-1].reshape(x.weight.shape)
    residual = halved(plain(x.inputs[0]) @ halved(plain(x.weight))) - plain(x.targets[0])
    normal = (np.abs(residual) > 2.0**-13).all(0) & (np.abs(scaled_gradient(x, plain(x.weight), 0, 1.0)) > 2.0**-13)  # [C, E], and room for a rounding
    kept = torch.from_numpy(normal)
    require(same(plainly[kept], scaled[kept]), f"weights {plainly.tolist()} at scale 1, {scaled.tolist()} at {x.scale}, on {x}")


@st.composite
def small_steps(draw: st.DrawFn, subject: Implementation) -> Training:
    """Weights 0, residuals of some 2^-20, inputs of 2^-7: gradients below 2^-25, half of float16's smallest number."""
    random = torch.Generator().manual_seed(draw(st.integers(0, 2**16), label="seed"))
    n, c, e = (draw(st.sampled_from((1, 2, 3))) for _ in range(3))
    inputs = torch.full((1, n, c), 2.0**-8).half() * torch.randint(1, 3, (1, n, c), generator=random).half()
    targets = (torch.randint(1, 4, (1, n, e), generator=random) * 2.0**-21).half()
    return Training(weight=torch.zeros(c, e), inputs=inputs, targets=targets, rate=1.0, scale=2.0 ** draw(st.integers(10, 24), label="scale"), interval=2000)


@law("training_memory.loss-scaling", on=Trait.LOSS_SCALED, draw=small_steps)
def test_a_scale_rescues_gradients_that_would_underflow(subject: Subject, x: Training) -> None:
    """At scale 1 no weight moves; scaled, each moves by its exact gradient."""
    subject.saw((f"scale: {x.scale:g}",))
    plainly, scaled = plain(replace(x, scale=1.0).history(subject))[0, :-1], plain(x.history(subject))[0, :-1]
    exact = plain(x.inputs[0]).T @ plain(x.targets[0])
    lost = np.abs(exact) < 2.0**-25
    require(bool((plainly.reshape(lost.shape)[lost] == 0).all()), f"weights {plainly.tolist()} at scale 1 on {x}")
    require(bool((scaled == exact.ravel()).all()), f"weights {scaled.tolist()}, should be {exact.ravel().tolist()}, on {x}")


# ------------------------------------------------------------------------------------------------------------------------------------ distillation


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Maps:
    """Scores of a student and a teacher [B, H, N, M], the keys seen, and which divergence."""

    sizes: Sizes
    student: Tensor
    teacher: Tensor
    keep: Tensor | None
    kind: str

    @property
    def visible(self) -> npt.NDArray[np.bool_]:
        return np.broadcast_to(True if self.keep is None else self.keep.numpy(), self.student.shape)

    @property
    def keywords(self) -> dict[str, Any]:
        return ({} if self.keep is None else {"attn_mask": self.keep}) | ({} if self.kind == "kl" else {"kind": self.kind})

    def define(self, t: Mapping[Place, Tracked]) -> Tracked:
        """Σ t log(t / p), or Σ (p − t)² / M."""
        seen, width = self.visible, max(self.student.shape[-1], 1)
        if self.kind == "mse":
            gap = softmax(t[0], seen) - softmax(t[1], seen)
            return (gap * gap).sum(-1) / float(width)
        gap = logarithms(t[1], seen) - logarithms(t[0], seen)
        return (softmax(t[1], seen) * gap).where(seen).sum(-1)

    def posed(self) -> Posed:
        s = self.sizes
        return Posed(
            arguments=(self.student, self.teacher),
            keywords=self.keywords,
            define=self.define,
            cotangent=s.tensor(s.b, s.h, s.n, regime="normal"),
            wanted=(0,),
            visible=self.visible,
            regimes=(*s.regimes, f"kind: {self.kind}", f"mask: {'none' if self.keep is None else 'boolean'}"),
        )


def logarithms(scores: Tracked, seen: npt.NDArray[np.bool_]) -> Tracked:
    """log softmax over the keys seen: the difference to the largest score, and to the logarithm of the sum of exponentials."""
    alive = np.asarray(seen.any(-1, keepdims=True))
    top = np.where(alive, np.where(seen, scores.middle, -np.inf).max(-1, keepdims=True, initial=-np.inf), 0)
    below = scores - scores.like(top)
    mass = exp(below.where(seen, -1e9)).where(seen).sum(-1, keepdims=True).where(alive, 1.0)
    return below - log(mass)


@st.composite
def maps(draw: st.DrawFn, subject: Implementation) -> Maps:
    """Scores near to each other and far apart, of all sizes, shifted, with rows that see nothing."""
    s = sizes(draw, subject)
    wide = draw(st.sampled_from((1.0, 8.0)), label="times")
    student = s.tensor(s.b, s.h, s.n, s.m, times=wide)
    near = draw(st.booleans(), label="near")
    teacher = student + s.tensor(s.b, s.h, s.n, s.m) / 16 if near else s.tensor(s.b, s.h, s.n, s.m, times=wide)
    hidden = draw(st.booleans(), label="mask") and "boolean" in subject.limits.masks
    keep = torch.rand((s.n, s.m), generator=s.random) < 0.6 if hidden else None
    return Maps(sizes=s, student=student, teacher=teacher, keep=keep, kind=draw(st.sampled_from(("kl", "mse")), label="kind"))


@law("compression.map-loss", on=Trait.DISTILLED, draw=maps)
def test_the_divergence_follows_its_definition(subject: Subject, x: Maps) -> None:
    posed.judge_output(subject, x.posed())


@law("compression.map-loss-gradient", on=Trait.DISTILLED, draw=maps, lacking=needs("gradient"))
def test_the_gradient_by_the_student_is_the_difference_of_weights(subject: Subject, x: Maps) -> None:
    """p − t for the Kullback-Leibler divergence: it vanishes where both agree, and sums to 0 along a row. Of the squares, by the chain rule."""
    call = x.posed()
    subject.saw(call.regimes)
    rounding = subject.rounding(call.cotangent.dtype)
    leaves, cotangent = call.leaves(rounding), constant(plain(call.cotangent), rounding)
    if x.kind == "kl":
        weights = [softmax(leaves[place], x.visible) for place in (0, 1)]
        true = (weights[0] - weights[1]) * cotangent.reshape(*call.cotangent.shape, 1)
    else:
        (true,) = gradients(x.define(leaves), cotangent, [leaves[0]])
    (found,) = subject.answered(asked(call, (0,)), 1)
    expect_shape(found, tuple(x.student.shape), x.student.dtype)
    posed.count_bounded(subject, true)
    subject.judge("gradient", found, true.balls(), true.bound(), call)


@law("compression.map-loss", on=Trait.DISTILLED, draw=maps)
def test_a_map_has_no_divergence_from_itself(subject: Subject, x: Maps) -> None:
    """0 where the scores are the same, but for rounding; above 0 where they are surely apart."""
    own = replace(x, teacher=x.student.clone()).posed()
    subject.saw(own.regimes)
    zero = posed.truth(subject, own)
    subject.judge("divergence of a map from itself", posed.output(subject, own), zero.balls(), zero.bound(), own)
    true = posed.truth(subject, x.posed())
    apart = torch.from_numpy(true.middle > true.bound())
    other = posed.output(subject, x.posed())
    require(bool((other[apart] > 0).all()), f"divergences {other.tolist()} of maps that differ on {x.posed()}")


@law("softmax.shift", on=Trait.DISTILLED, draw=maps)
def test_a_shift_of_either_s_scores_changes_nothing(subject: Subject, x: Maps) -> None:
    """Whole scores, each row of student and teacher moved by a number of its own, so that every shifted score is exact."""
    whole = replace(x, student=x.student.round().clamp(-64, 64), teacher=x.teacher.round().clamp(-64, 64))
    by = torch.arange(x.student.shape[2], dtype=x.student.dtype)[:, None] % 5
    moved = replace(whole, student=whole.student + 16 * by, teacher=whole.teacher - 32 * by)
    call = moved.posed()
    subject.saw(call.regimes)
    balls, bound = posed.truth(subject, whole.posed()).balls(), posed.truth(subject, call).bound()
    subject.judge("divergence of shifted scores", posed.output(subject, call), balls, bound, call)


@law("masks.hidden-key-has-no-influence", on=Trait.DISTILLED, draw=maps, lacking=needs("boolean mask"))
def test_hidden_keys_do_not_act_on_a_divergence(subject: Subject, x: Maps) -> None:
    """Whatever their scores; and a row that sees no key has none."""
    if x.keep is None:
        return
    call = x.posed()
    subject.saw(call.regimes)
    shown = torch.from_numpy(x.visible.copy())
    other = replace(x, student=torch.where(shown, x.student, 1000 - x.student), teacher=torch.where(shown, x.teacher, 500 + x.teacher)).posed()
    one, two = posed.output(subject, call), posed.output(subject, other)
    require(same(one, two), f"divergences {one.tolist()}, with other hidden scores {two.tolist()}, on {call}")
    dead = ~shown.any(-1)
    require(bool((one[dead] == 0).all()), f"divergences {one.tolist()} where no key is seen, on {call}")
