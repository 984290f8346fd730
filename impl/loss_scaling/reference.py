"""Training in half precision under a loss scale by its definition: steps of gradient descent on float32 weights, with gradients of float16."""

from __future__ import annotations

import torch
from torch import Tensor


def training(
    weight: Tensor,
    inputs: Tensor,
    targets: Tensor,
    learning_rate: float,
    scale: float = 2.0**16,
    growth_interval: int = 2000,
) -> Tensor:
    """T steps on ½ Σ (x W − y)², one batch a step: the master weights and the scale of the loss after each, [T, C · E + 1] in float32.

    Shapes: weight [C, E] float32, inputs [T, N, C] and targets [T, N, E] of a half precision. In each step W is rounded to the half precision; the product,
    its gradient and that of the weights are computed in float32 and rounded to it. The loss is multiplied by the scale before backward, and the gradient
    divided by it in float32 after. Where some element of that gradient is not finite, the step is skipped and the scale is halved; after `growth_interval`
    steps in a row that were not skipped, it is doubled. Raises ValueError for a scale that is not a positive power of 2, or an interval below 1.
    Source: Micikevicius et al. 2018, sections 3.1 and 3.2, https://arxiv.org/abs/1710.03740
    """
    check(scale, growth_interval)
    master, good, history = weight.float().clone(), 0, []
    for x, y in zip(inputs, targets, strict=True):
        gradient = gradient_of(master, x, y, scale).float() / scale
        if bool(gradient.isfinite().all()):
            master, good = master - learning_rate * gradient, good + 1
        else:
            scale, good = scale / 2, 0
        if good == growth_interval:
            scale, good = scale * 2, 0
        history.append(torch.cat((master.flatten(), master.new_tensor([scale]))))
    return torch.stack(history) if history else weight.new_zeros(0, weight.numel() + 1, dtype=torch.float32)


def gradient_of(master: Tensor, x: Tensor, y: Tensor, scale: float) -> Tensor:
    """d(scale · loss) / dW in the half precision [C, E]."""
    weight = master.detach().to(x.dtype).requires_grad_()
    output = (x.float() @ weight.float()).to(x.dtype)  # [N, E]
    loss = (output.float() - y.float()).square().sum() / 2
    (gradient,) = torch.autograd.grad(loss * scale, weight)
    return gradient


def check(scale: float, growth_interval: int) -> None:
    """Raise ValueError unless scaling by it is exact, and it may grow."""
    if not (scale > 0 and torch.tensor(scale, dtype=torch.float64).frexp().mantissa == 0.5):
        raise ValueError(f"scale={scale}; a power of 2 leaves normal numbers as they are")
    if growth_interval < 1:
        raise ValueError(f"growth_interval={growth_interval}; the scale may be doubled after 1 step at the earliest")
