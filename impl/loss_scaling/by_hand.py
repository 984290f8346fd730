"""The same training with backward written out: no graph is built, and nothing is kept but the residual."""

from __future__ import annotations

from torch import Tensor

from impl.loss_scaling.reference import check


def training(
    weight: Tensor,
    inputs: Tensor,
    targets: Tensor,
    learning_rate: float,
    scale: float = 2.0**16,
    growth_interval: int = 2000,
) -> Tensor:
    """As the reference."""
    check(scale, growth_interval)
    master, good = weight.float().clone(), 0
    history = master.new_zeros(inputs.shape[0], master.numel() + 1)
    for step, (x, y) in enumerate(zip(inputs, targets, strict=True)):
        half = x.dtype
        output = (x.float() @ master.to(half).float()).to(half)
        residual = ((output.float() - y.float()) * scale).to(half)  # the scaled gradient of the output; ∞ where it overflows
        gradient = (x.float().T @ residual.float()).to(half)
        if bool(gradient.isfinite().all()):
            master, good = master - learning_rate * (gradient.float() / scale), good + 1
        else:
            scale, good = scale / 2, 0
        if good == growth_interval:
            scale, good = scale * 2, 0
        history[step, :-1], history[step, -1] = master.flatten(), scale
    return history
