"""Nyström attention without its matrix of weights: O((N + M) K) numbers and O((N + M) K (D + V)) operations."""

from __future__ import annotations

from torch import Tensor

from impl.masked import accumulation
from impl.nystrom.reference import factors, solved


def attention(query: Tensor, key: Tensor, value: Tensor, landmarks: int, scale: float | None = None) -> Tensor:
    """As the reference, by left (A⁻¹ (right V)): the system has V columns instead of M."""
    dtype = accumulation(query.dtype)
    left, middle, right = factors(query.to(dtype), key.to(dtype), landmarks, scale)
    mixed = right @ value.to(dtype)  # [..., K, V]
    return (left @ solved(middle, mixed)).to(query.dtype)
