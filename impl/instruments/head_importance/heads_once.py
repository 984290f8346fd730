"""The importance of each head from what the heads return, which is computed once: no pass through the attention a head, and no autograd."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.instruments import layer
from impl.instruments.head_importance.reference import check


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
    """The same function as the reference. All H ablations are one product with the output projection [H + 1, B, N, H·E]; the gradient of a gate is
    Σ_ne (∂ℓ/∂y W_oᵀ)_hne heads_hne."""
    layer.check(x, (query_weight, key_weight, value_weight, out_weight), num_heads)
    check(x, target, num_heads, gates, by)
    x_, q, k, v, o, t = layer.accumulated(x, query_weight, key_weight, value_weight, out_weight, target)
    g = x_.new_ones(x.shape[0], num_heads) if gates is None else gates.to(x_)
    heads = layer.attended(x_, q, k, num_heads, is_causal) @ layer.split(x_ @ v, num_heads)  # [B, H, N, E]
    if by == "ablation":
        kept = torch.cat((g.new_ones(1, num_heads), 1 - torch.eye(num_heads).to(g)))[:, None, :] * g  # [H + 1, B, H]
        outputs = (kept[..., None, None] * heads).transpose(2, 3).flatten(3) @ o  # [H + 1, B, N, C]
        losses = torch.stack([layer.loss_of(y, t, loss) for y in outputs], 1)
        return (losses[:, 1:] - losses[:, :1]).to(x.dtype)
    layer.loss_of(t, t, loss)
    slope = t if loss == "linear" else (heads * g[..., None, None]).transpose(1, 2).flatten(2) @ o - t  # ∂ℓ/∂y
    return (layer.split(slope @ o.T, num_heads) * heads).sum((2, 3)).abs().to(x.dtype)
