"""How much each head matters to a loss, by its definitions: switched off, or by the slope of its gate. Of any model, and of one layer over tensors."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from impl.instruments import layer

Loss = Callable[[Tensor], Tensor]


def importance(
    x: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    value_weight: Tensor,
    out_weight: Tensor,
    target: Tensor,
    num_heads: int,
    gates: Tensor | None = None,
    by: str = "ablation",
    loss: str = "squares",
    is_causal: bool = False,
) -> Tensor:
    """The importance [B, H] of each head of self-attention for the loss of each sequence: ℓ(g with g_h = 0) − ℓ(g) ("ablation"), or |∂ℓ/∂g_h| ("gradient").

    The output is y = Σ_h g_h P_h (x W_v^h) W_o^h; ℓ is ½ |y − target|² ("squares") or ⟨y, target⟩ ("linear"). Shapes: x and target [B, N, C],
    query_weight and key_weight [C, H·D], value_weight [C, H·E], out_weight [H·E, C], gates [B, H] of any dtype, all 1 unless given. Half precisions are
    computed in float32 and rounded once. Raises ValueError for shapes that do not fit, another `by` or `loss`.
    Sources: ablation: Michel, Levy and Neubig 2019, section 3, https://arxiv.org/abs/1905.10650; gradient: their Eq. 2, without the mean over sequences.
    """
    layer.check(x, (query_weight, key_weight, value_weight, out_weight), num_heads)
    check(x, target, num_heads, gates, by)
    x_, q, k, v, o, t = layer.accumulated(x, query_weight, key_weight, value_weight, out_weight, target)
    g = x_.new_ones(x.shape[0], num_heads) if gates is None else gates.to(x_)
    weights = layer.attended(x_, q, k, num_heads, is_causal)
    return (ablation if by == "ablation" else gradient)(lambda gates: layer.loss_of(layer.mixed(weights, x_, v, o, gates), t, loss), g).to(x.dtype)


def ablation(loss: Loss, gates: Tensor) -> Tensor:
    """loss(gates with one of them 0) − loss(gates) for each gate [B, …], where loss [B] of a sequence depends on the gates of that sequence alone."""
    full, flat = loss(gates), gates.flatten(1)
    without = [loss(torch.where(torch.arange(flat.shape[1], device=flat.device) == place, 0, flat).reshape(gates.shape)) for place in range(flat.shape[1])]
    return torch.stack([x - full for x in without], 1).reshape(gates.shape)


def gradient(loss: Loss, gates: Tensor) -> Tensor:
    """|∂loss/∂gate| for each gate [B, …], where loss [B] of a sequence depends on the gates of that sequence alone."""
    with torch.enable_grad():
        leaf = gates.detach().requires_grad_()
        (found,) = torch.autograd.grad(loss(leaf).sum(), leaf)
    return found.abs()


def check(x: Tensor, target: Tensor, num_heads: int, gates: Tensor | None, by: str) -> None:
    """Raise ValueError, quoting what does not fit."""
    if target.shape != x.shape:
        raise ValueError(f"target {tuple(target.shape)} for an output {tuple(x.shape)}; they must have the same shape")
    if gates is not None and gates.shape != (x.shape[0], num_heads):
        raise ValueError(f"gates {tuple(gates.shape)}; expected one for each of {x.shape[0]} sequences and {num_heads} heads")
    if by not in ("ablation", "gradient"):
        raise ValueError(f"by={by!r}; there are 'ablation' and 'gradient'")
