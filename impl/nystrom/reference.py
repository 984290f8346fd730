"""Nyström attention by its definition: softmax attention whose N × M weights are rebuilt from those of K landmarks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from impl.masked import accumulation


def attention(query: Tensor, key: Tensor, value: Tensor, landmarks: int, scale: float | None = None) -> Tensor:
    """softmax(scale · Q K̃ᵀ) A⁻¹ softmax(scale · Q̃ Kᵀ) V with A = softmax(scale · Q̃ K̃ᵀ), where Q̃ and K̃ are the K landmarks of queries and of keys.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, V] → [..., N, V]. A landmark is the mean of one of K consecutive segments, which differ in
    length by one at most: the first N mod K have one row more (the source pads N to a multiple of K). `scale` is 1/√D by default. Rows of weights sum to 1,
    but weights may be negative. Row i depends on all queries and keys, so there is neither mask nor causality. The source has the pseudo-inverse A⁺, and
    approximates it by an iteration; where A is invertible A⁺ is A⁻¹. Where it is singular the outputs of that head, and its gradients, are infinite, NaN or
    meaningless, those of other heads are as ever, and nothing is raised. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError
    unless 1 ≤ K ≤ N and K ≤ M.
    Source: Xiong et al. 2021, section 3, https://arxiv.org/abs/2102.03902
    """
    dtype = accumulation(query.dtype)
    left, middle, right = factors(query.to(dtype), key.to(dtype), landmarks, scale)
    weights = left @ solved(middle, right)  # [..., N, M]
    return (weights @ value.to(dtype)).to(query.dtype)


def factors(query: Tensor, key: Tensor, landmarks: int, scale: float | None) -> tuple[Tensor, Tensor, Tensor]:
    """Weights of queries over landmark keys [..., N, K], of landmark queries over those [..., K, K], and over all keys [..., K, M]."""
    if not 1 <= landmarks <= min(query.shape[-2], key.shape[-2]):
        raise ValueError(f"landmarks must be between 1 and the lengths {query.shape[-2]} and {key.shape[-2]}, not {landmarks}")
    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    queries, keys = segment_means(query, landmarks), segment_means(key, landmarks)
    pairs = (query, keys), (queries, keys), (queries, key)
    left, middle, right = ((q @ k.mT * factor).softmax(-1) for q, k in pairs)
    return left, middle, right


def segment_means(rows: Tensor, landmarks: int) -> Tensor:
    """[..., N, D] → [..., K, D]."""
    return torch.stack([segment.mean(-2) for segment in rows.tensor_split(landmarks, -2)], -2)


def solved(matrix: Tensor, right: Tensor) -> Tensor:
    """matrix⁻¹ · right, by torch.linalg.solve without its check: a singular matrix spoils its own head, and no other."""
    found: Tensor = torch.linalg.solve_ex(matrix, right)[0]
    return found
