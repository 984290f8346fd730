"""How alike the heads of several trainings are, by its definition: correlations of maps, between heads that belong together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from impl.masked import accumulation


def consistency(weights: Tensor, match: bool = True) -> Tensor:
    """The mean over pairs of trainings of (1/H) Σ_h corr(α_h, β_π(h)), where π makes the sum largest: weights [..., K, H, N, M] → [...], in [−1, 1].

    Heads of a training have no order: without `match`, π is the identity, and the same network with its heads renumbered is inconsistent. Pearson's
    correlation, over all pairs of query and key. float16 and bfloat16 are computed in float32 and rounded once. Raises ValueError for fewer than two
    trainings, or for a map that is constant: it correlates with nothing. Source: Hungarian method, Kuhn 1955, https://doi.org/10.1002/nav.3800020109
    """
    check(weights)
    maps = weights.to(accumulation(weights.dtype)).flatten(-2)  # [..., K, H, N · M]
    return torch.stack([mean_of_pairs(one, match) for one in maps.reshape(-1, *maps.shape[-3:])]).reshape(weights.shape[:-4]).to(weights.dtype)


def mean_of_pairs(maps: Tensor, match: bool) -> Tensor:
    """The mean [] over all pairs of trainings [K, H, N · M]."""
    found = [best(torch.stack([torch.stack([correlation(x, y) for y in two]) for x in one]), match) for one, two in pairs(maps)]
    return torch.stack(found).mean()


def pairs(maps: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return combinations(maps.unbind(0), 2)


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Pearson's, of two vectors that are not constant; what is far from 1 in size is brought near it first."""
    a, b = (deviations(z) for z in (x, y))
    return (a * b).sum() / ((a * a).sum().sqrt() * (b * b).sum().sqrt())


def deviations(x: Tensor) -> Tensor:
    """Differences to the mean along the last axis, over the largest of them."""
    apart = x - x.mean(-1, keepdim=True)
    return apart / apart.abs().amax(-1, keepdim=True)


def best(correlations: Tensor, match: bool) -> Tensor:
    """The mean [] along the diagonal of [H, H], or along the assignment that makes it largest; no rounding takes it out of [−1, 1]."""
    if not match:
        return correlations.diagonal().mean().clamp(-1, 1)
    rows, columns = linear_sum_assignment(correlations.detach().to(torch.float64).cpu().numpy(), maximize=True)
    return correlations[torch.as_tensor(rows), torch.as_tensor(columns)].mean().clamp(-1, 1)


def check(weights: Tensor) -> None:
    """Raise ValueError unless there are two trainings with a head each, none of whose maps is constant. Decided by comparison: a rounded variance is not 0."""
    if weights.dim() < 4 or weights.shape[-4] < 2 or not weights.shape[-3] or not weights.shape[-1] * weights.shape[-2]:
        raise ValueError(f"weights of shape {tuple(weights.shape)}; expected [..., K, H, N, M] with two trainings at least")
    flat = weights.flatten(-2)
    if bool((constant := flat.amax(-1) == flat.amin(-1)).any()):
        raise ValueError(f"the map at {constant.nonzero()[0].tolist()} of (…, training, head) is constant: its correlation is not defined")
