"""Mutual information of the two variables of a joint table, by its definition."""

from __future__ import annotations

import torch
from torch import Tensor

from impl.masked import accumulation


def information(table: Tensor) -> Tensor:
    """I = Σ_ab p_ab log(p_ab / (p_a p_b)) in nats, where p is the table over its sum and 0 · log 0 is 0.

    Shapes: table [..., A, B] of counts or of probabilities, none below 0 → [...]. Attention weights [..., N, M] are such a table themselves: of the query's
    position, every row as likely as another, and of the position that it attends. There is no gradient at an entry of 0. From samples:
    impl/instruments/plug_in_information. Rounding may leave a number below 0 where the variables are independent. float16 and bfloat16 are computed in float32
    and rounded once. Raises ValueError for a table that sums to 0 or has an entry below 0. Source: Cover and Thomas 2006, Eq. 2.28,
    https://doi.org/10.1002/047174882X
    """
    check(table)
    c = table.to(accumulation(table.dtype))
    rows, columns, total = c.sum(-1, keepdim=True), c.sum(-2, keepdim=True), c.sum((-1, -2), keepdim=True)
    logarithm = log(c) - log(rows) - log(columns) + log(total)  # four of them: no quotient under- or overflows
    return (c / total * logarithm).sum((-1, -2)).to(table.dtype)


def log(x: Tensor) -> Tensor:
    """The logarithm, and 0 where x is 0: what it is multiplied by is 0 there."""
    return x.masked_fill(x == 0, 1.0).log()


def check(table: Tensor) -> None:
    """Raise ValueError unless each table counts something."""
    if table.dim() < 2 or bool((table < 0).any()):
        raise ValueError(f"a table of shape {tuple(table.shape)}, least entry {table.min().item()}; expected [..., A, B] with none below 0")
    if not table.shape[-1] or not table.shape[-2] or bool((table.to(torch.float64).sum((-1, -2)) == 0).any()):
        raise ValueError(f"a table of shape {tuple(table.shape)} that sums to 0; information needs one observation at least")
