"""Mutual information estimated from samples by plugging their frequencies in for the probabilities."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from impl.instruments.mutual_information.reference import information as of_table


def information(x: Tensor, y: Tensor, sizes: tuple[int, int]) -> Tensor:
    """The mutual information of the table that counts how often x_n = a and y_n = b: x and y int64 [..., N], below sizes (A, B) → [...] in float64, in nats.

    x may be the position that a row attends (its largest weight, or one drawn by the weights), y a label or the row's own position. The estimate lies too high:
    for independent variables of full support its mean is (A − 1)(B − 1) / (2 N) above 0, to leading order. Raises ValueError without samples, for samples of
    different shapes, of another dtype (narrower ones could overflow in silence), or outside their sizes. Sources: Miller 1955 (the bias of entropies),
    Paninski 2003, section 4, https://doi.org/10.1162/089976603321780272
    """
    check(x, y, sizes)
    first, second = (one_hot(z, size).to(torch.float64) for z, size in zip((x, y), sizes, strict=True))  # [..., N, A], [..., N, B]
    return of_table(first.transpose(-1, -2) @ second)


def check(x: Tensor, y: Tensor, sizes: tuple[int, int]) -> None:
    """Raise ValueError unless the samples are pairs of numbers below the sizes."""
    if x.shape != y.shape or not x.dim() or not x.numel():
        raise ValueError(f"samples of shapes {tuple(x.shape)} and {tuple(y.shape)}; expected [..., N] twice, with one sample at least")
    for z, size in zip((x, y), sizes, strict=True):
        if z.dtype != torch.int64:
            raise ValueError(f"samples of {z.dtype}; expected int64")
        if bool(((z < 0) | (z >= size)).any()):
            raise ValueError(f"samples from {z.min().item()} to {z.max().item()}; expected integers from 0 to {size - 1}")
