"""Detectors of collapsed attention: scores from 0 to 1, by definition."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation

KINDS = ("one key", "alike")


def scores(weights: Tensor) -> Tensor:
    """How far all rows of a map attend one key, and how far they are alike: weights [..., N, M] → [..., 2].

    one key: max_j min_i p_ij, which is 1 only where every row is one-hot at the same key; alike: 1 − (1/N) Σ_i ½ Σ_j |p_ij − m_j| with the mean row m, which
    is 1 only where all rows are equal (their matrix has rank 1: each output is the same mix of values). Uniform rows are alike and attend no one key.
    Gradients are not promised. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for a map without rows or keys. Source: the
    distance of rows from what they share, Dong, Cordonnier and Loukas 2021, section 2, https://arxiv.org/abs/2103.03404 (there in another norm)
    """
    check(weights)
    p = weights.to(accumulation(weights.dtype))
    apart = (p - p.mean(-2, keepdim=True)).abs().sum(-1) / 2  # [..., N]
    return torch.stack((p.amin(-2).amax(-1), 1 - apart.mean(-1)), -1).to(weights.dtype)


def collapsed(weights: Tensor, threshold: float = 0.9) -> Tensor:
    """Which of KINDS a map shows: scores above the threshold, bool [..., 2]. Within the scores' error of the threshold, either may come out. One key: scores of
    some key are far above all others (normalise queries and keys, or cap the scores); alike: queries do not tell rows apart."""
    return scores(weights) > threshold


def check(weights: Tensor) -> None:
    """Raise ValueError unless there are rows of weights."""
    if weights.dim() < 2 or not weights.shape[-1] or not weights.shape[-2]:
        raise ValueError(f"weights of shape {tuple(weights.shape)}; expected [..., N, M] with a row and a key at least")
