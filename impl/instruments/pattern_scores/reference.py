"""Detectors of attention patterns: scores from 0 to 1, by definition."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation

PATTERNS = ("local", "diagonal", "broadcast", "previous-token", "induction")


def scores(weights: Tensor, tokens: Tensor, window: int = 1) -> Tensor:
    """How far a map is each of PATTERNS: weights [..., N, N] and tokens [N], or [..., N] with the weights' leading axes, each as long or 1 ([B, 1, N] where
    there are heads) → [..., 5].

    local: the mean over rows of the weight on keys at most `window` places away; diagonal: of that on the row's own place; broadcast: the largest mean weight
    of a column, of which a sink takes most; previous-token: the mean over rows from the second of the weight one place back; induction: the mean, over rows
    whose token stood earlier, of the weight on the keys right behind its earlier places (the row's own key may be one of them). A mean over no rows is 0.
    float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for maps that are not square, tokens of another shape or a window below
    0. Sources: Clark et al. 2019, section 3, https://arxiv.org/abs/1906.04341; Olsson et al. 2022, "Induction heads", https://arxiv.org/abs/2209.11895
    """
    check(weights, tokens, window)
    p, n = weights.to(accumulation(weights.dtype)), weights.shape[-1]
    places = torch.arange(n, device=weights.device)
    away = places.unsqueeze(-1) - places  # i − j
    behind = copied(tokens)
    found = [
        mass(p, away.abs() <= window, n),
        mass(p, away == 0, n),
        p.mean(-2).amax(-1) if n else p.sum((-1, -2)),
        mass(p, away == 1, n - 1),
        mass(p, behind, behind.any(-1).sum(-1)),
    ]
    return torch.stack(found, -1).to(weights.dtype)


def copied(tokens: Tensor) -> Tensor:
    """Whether key j ≤ i stands right behind an earlier place of row i's token [..., N, N]."""
    same = tokens.unsqueeze(-1) == tokens.unsqueeze(-2).roll(1, -1)  # row i's token is that of place j − 1
    same[..., :1] = False
    return same.tril()


def mass(p: Tensor, pairs: Tensor, rows: Tensor | int) -> Tensor:
    """The weight on these pairs over so many rows [...]."""
    count = torch.as_tensor(rows, device=p.device).clamp(min=1).to(p.dtype)
    return p.masked_fill(~pairs, 0.0).sum((-1, -2)) / count


def patterns(weights: Tensor, tokens: Tensor, window: int = 1, threshold: float = 0.5) -> Tensor:
    """Which of PATTERNS a map shows: scores above the threshold, bool [..., 5]. Within the scores' error of the threshold, either may come out."""
    return scores(weights, tokens, window) > threshold


def check(weights: Tensor, tokens: Tensor, window: int) -> None:
    """Raise ValueError unless there is a token for each place of a square map, and no axis of tokens that could be meant for another one of the weights."""
    if weights.dim() < 2 or weights.shape[-1] != weights.shape[-2]:
        raise ValueError(f"weights of shape {tuple(weights.shape)}; expected [..., N, N]")
    if not tokens.dim() or tokens.shape[-1] != weights.shape[-1]:
        raise ValueError(f"tokens of shape {tuple(tokens.shape)} for weights of shape {tuple(weights.shape)}; expected [..., N]")
    leading, own = weights.shape[:-2], tokens.shape[:-1]
    if own and (len(own) != len(leading) or any(t not in (1, w) for t, w in zip(own, leading, strict=True))):
        raise ValueError(
            f"tokens of shape {tuple(tokens.shape)} for weights of shape {tuple(weights.shape)}; expected [N], or as many leading axes, each as long or 1: "
            "[B, 1, N] for heads"
        )
    if window < 0:
        raise ValueError(f"window={window}; expected a number of places from 0")
