"""The model that instruments are defined on: self-attention of several heads over explicit tensors, in two halves, so that its weights can be taken out."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation, softmax
from impl.multi_head.reference import check_heads


def accumulated(*tensors: Tensor) -> tuple[Tensor, ...]:
    """In the dtype that the layer computes in: float32 for the half precisions."""
    return tuple(x.to(accumulation(x.dtype)) for x in tensors)


def check(x: Tensor, weights: tuple[Tensor, Tensor, Tensor, Tensor], num_heads: int) -> None:
    """Raise ValueError, quoting the shapes, unless inputs [B, N, C] and the projections of query, key, value and output fit each other and the heads."""
    if x.dim() != 3 or any(w.dim() != 2 for w in weights):
        raise ValueError(f"inputs {tuple(x.shape)} and projections {[tuple(w.shape) for w in weights]}; expected [B, N, C] and matrices")
    check_heads(num_heads, *weights)
    if any(w.shape[0] != x.shape[2] for w in weights[:3]):
        raise ValueError(f"inputs {tuple(x.shape)} do not fit the projections {[tuple(w.shape) for w in weights[:3]]}; their rows are the inputs' width")


def attended(x: Tensor, query_weight: Tensor, key_weight: Tensor, num_heads: int, is_causal: bool) -> Tensor:
    """Weights [B, H, N, N] = softmax(q kᵀ / √D), over keys j ≤ i where `is_causal`."""
    q, k = split(x @ query_weight, num_heads), split(x @ key_weight, num_heads)
    return softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, seen(x.shape[1], is_causal, x.device).expand(*q.shape[:-1], x.shape[1]))


def mixed(weights: Tensor, x: Tensor, value_weight: Tensor, out_weight: Tensor, gates: Tensor | None = None) -> Tensor:
    """Σ_h g_h P_h (x W_v^h) W_o^h [B, N, C] of weights P [B, H, N, N] and gates [B, H], all 1 unless given."""
    heads = weights @ split(x @ value_weight, weights.shape[1])  # [B, H, N, E]
    gated = heads if gates is None else heads * gates[..., None, None]
    return gated.transpose(1, 2).flatten(2) @ out_weight


def split(projected: Tensor, num_heads: int) -> Tensor:
    """[B, N, H·D] → [B, H, N, D]."""
    heads: Tensor = projected.unflatten(-1, (num_heads, -1))
    return heads.transpose(1, 2)


def seen(length: int, is_causal: bool, device: torch.device) -> Tensor:
    """Which keys each query sees [N, N]."""
    everything = torch.ones(length, length, dtype=torch.bool, device=device)
    return everything.tril() if is_causal else everything


def loss_of(y: Tensor, target: Tensor, loss: str) -> Tensor:
    """One number a sequence [B]: ⟨y, target⟩ ("linear"), or ½ |y − target|² ("squares"). Raises ValueError for another."""
    if loss not in ("linear", "squares"):
        raise ValueError(f"loss={loss!r}; there are 'linear' and 'squares'")
    return (y * target).sum((1, 2)) if loss == "linear" else 0.5 * (y - target).square().sum((1, 2))
