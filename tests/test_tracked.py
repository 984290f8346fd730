"""Tracked numbers against torch: the true values and gradients are those of float64, and float32 lies within the bounds, which are not idle."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from impl.variant import Arithmetic
from properties import tracked
from properties.inputs import plain
from properties.tolerance import rounding
from properties.tracked import Tracked, constant, contract, gradients

Ours = Callable[[Tracked, Tracked], Tracked]
Theirs = Callable[[Tensor, Tensor], Tensor]
FORMS: dict[str, tuple[Ours, Theirs]] = {
    "sum and difference": (lambda x, y: x + y - x * 3.0, lambda x, y: x + y - x * 3.0),
    "product with itself": (lambda x, y: x * x * y, lambda x, y: x * x * y),
    "quotient": (lambda x, y: x / (y * y + 1.0), lambda x, y: x / (y * y + 1.0)),
    "exp": (lambda x, y: tracked.exp(x * y), lambda x, y: (x * y).exp()),
    "log": (lambda x, y: tracked.log(x * x + 0.5) * y, lambda x, y: (x * x + 0.5).log() * y),
    "tanh": (lambda x, y: tracked.tanh(x + y), lambda x, y: (x + y).tanh()),
    "sigmoid": (lambda x, y: tracked.sigmoid(x * 4.0) * y, lambda x, y: (x * 4.0).sigmoid() * y),
    "cosine and sine": (lambda x, y: tracked.cos(x) + tracked.sin(y), lambda x, y: x.cos() + y.sin()),
    "sqrt": (lambda x, y: tracked.sqrt(x * x + y * y + 1.0), lambda x, y: (x * x + y * y + 1.0).sqrt()),
    "relu": (lambda x, y: tracked.relu(x + y), lambda x, y: (x + y).relu()),
    "softmax": (lambda x, y: tracked.softmax(x * y) * y, lambda x, y: (x * y).softmax(-1) * y),
    "contraction": (lambda x, y: contract("ij,kj->ik", x, y), lambda x, y: x @ y.mT),
    "sums of a row": (lambda x, y: x / (tracked.exp(y).sum(-1, keepdims=True)), lambda x, y: x / y.exp().sum(-1, keepdim=True)),
    "slices": (lambda x, y: x[:, 1:] * y[:, :-1] + x[:, :1], lambda x, y: x[:, 1:] * y[:, :-1] + x[:, :1]),
    "gathered twice": (lambda x, y: (x + y)[np.array([0, 0, 1])], lambda x, y: (x + y)[[0, 0, 1]]),
    "stacked": (lambda x, y: tracked.stack([x, y, x], 0), lambda x, y: torch.stack([x, y, x], 0)),
    "side by side": (lambda x, y: tracked.concatenate([x, y], 1) * 3.0, lambda x, y: torch.cat([x, y], 1) * 3.0),
    "axes exchanged": (lambda x, y: x.swapaxes(0, 1) * y.reshape(4, 3), lambda x, y: x.mT * y.reshape(4, 3)),
    "hidden": (lambda x, y: (x * y).where(np.eye(3, 4, dtype=np.bool_), -1.0), lambda x, y: torch.where(torch.eye(3, 4, dtype=torch.bool), x * y, -1.0)),
}


EXACT = ("stacked", "gathered twice")  # hardly anything rounds
IDLE = 1000


def drawn(seed: int) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(3, 4, generator=random, dtype=torch.float64), torch.randn(3, 4, generator=random, dtype=torch.float64)


def evaluated(form: Theirs, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    """Output and gradients by torch."""
    x, y = x.clone().requires_grad_(), y.clone().requires_grad_()
    output = form(x, y)
    return output.detach(), *torch.autograd.grad(output, (x, y), cotangent(output.shape, x.dtype), materialize_grads=True)


def cotangent(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Numbers from −1 to 1 that float32 represents."""
    return torch.linspace(-1, 1, math.prod(shape)).reshape(shape).to(dtype)


def tracked_through(form: Ours, x: Tensor, y: Tensor) -> list[Tracked]:
    """Output and gradients as tracked numbers, in the arithmetic of the tensors' dtype."""
    a = rounding(x.dtype, Arithmetic(detours=1))
    leaves = [constant(plain(x), a), constant(plain(y), a)]
    output = form(*leaves)
    return [output, *gradients(output, constant(plain(cotangent(output.shape, x.dtype)), a), leaves)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", FORMS)
def test_torch_lies_within_the_bound_and_the_bound_is_not_idle(name: str, dtype: torch.dtype) -> None:
    ours, theirs = FORMS[name]
    worst = 0.0
    for seed in range(12):
        x, y = (t.to(dtype) for t in drawn(seed))
        for true, found in zip(tracked_through(ours, x, y), evaluated(theirs, x, y), strict=True):
            ratio = true.balls().error(plain(found)) / true.bound()
            assert (ratio <= 1).all(), f"off by {ratio.max():.3g} times the bound"
            worst = max(worst, float(ratio.max()))
    assert name in EXACT or worst > 1 / IDLE, f"the worst error is {worst:.3g} of the bound: too loose to catch anything"


def test_what_may_be_zero_divides_without_a_promise() -> None:
    a = rounding(torch.float32, Arithmetic())
    small = constant(np.array([1.0, 2.0]), a) - constant(np.array([1.0, 1.0]), a)
    assert np.isfinite((constant(np.ones(2), a) / small).off[1])
    assert np.isinf((constant(np.ones(2), a) / small).off[0])


def test_near_the_kink_of_relu_either_gradient_is_allowed() -> None:
    a = rounding(torch.float32, Arithmetic())
    x, third = constant(np.array([1.0]), a), constant(np.array([1 / 3]), a)
    doubtful = x * third * 3.0 - 1.0  # within its own error of 0
    (gradient,) = gradients(tracked.relu(doubtful), constant(np.array([2.0]), a), [doubtful])
    assert gradient.off[0] >= 2 >= gradient.size[0]
