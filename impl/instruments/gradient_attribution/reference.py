"""What each number of an input contributes to an output by its gradient: number times slope. Of any function, and of one layer over tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from impl.instruments import layer


def attribution(
    x: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    value_weight: Tensor,
    out_weight: Tensor,
    target: Tensor,
    num_heads: int,
    of: str = "weights",
    loss: str = "squares",
    is_causal: bool = False,
) -> Tensor:
    """P ∘ ∂ℓ/∂P [B, H, N, N] of the attention weights P ("weights"), or Σ_c x ∘ ∂ℓ/∂x [B, N] of the tokens ("inputs").

    ℓ of self-attention's output y is ½ |y − target|² ("squares") or ⟨y, target⟩ ("linear"). Shapes: x and target [B, N, C], query_weight and
    key_weight [C, H·D], value_weight [C, H·E], out_weight [H·E, C]. Half precisions are computed in float32 and rounded once. Raises ValueError for shapes
    that do not fit, another `of` or `loss`. Sources: of weights, with one step along the path: Hao et al. 2021, Eq. 4, https://arxiv.org/abs/2004.11207; of
    inputs: Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713
    """
    layer.check(x, (query_weight, key_weight, value_weight, out_weight), num_heads)
    check(x, target, of)
    x_, q, k, v, o, t = layer.accumulated(x, query_weight, key_weight, value_weight, out_weight, target)
    if of == "weights":
        weights = layer.attended(x_, q, k, num_heads, is_causal)
        return gradient_times(lambda w: layer.loss_of(layer.mixed(w, x_, v, o), t, loss).sum(), weights).to(x.dtype)

    def whole(leaf: Tensor) -> Tensor:
        return layer.loss_of(layer.mixed(layer.attended(leaf, q, k, num_heads, is_causal), leaf, v, o), t, loss).sum()

    return gradient_times(whole, x_).sum(-1).to(x.dtype)


def gradient_times(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """x ∘ ∂f/∂x, in the shape of x, of a function with one number for its value."""
    with torch.enable_grad():
        leaf = x.detach().requires_grad_()
        (slope,) = torch.autograd.grad(function(leaf), leaf)
    return leaf.detach() * slope


def check(x: Tensor, target: Tensor, of: str) -> None:
    """Raise ValueError, quoting what does not fit."""
    if target.shape != x.shape:
        raise ValueError(f"target {tuple(target.shape)} for an output {tuple(x.shape)}; they must have the same shape")
    if of not in ("weights", "inputs"):
        raise ValueError(f"of={of!r}; there are 'weights' and 'inputs'")
