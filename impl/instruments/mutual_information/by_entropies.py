"""Mutual information as H(A) + H(B) − H(A, B): one logarithm for each entry of the table and of its margins, none for the products."""

from __future__ import annotations

from torch import Tensor

from impl.instruments.mutual_information.reference import check, log
from impl.masked import accumulation


def information(table: Tensor) -> Tensor:
    """As the reference: [..., A, B] → [...]."""
    check(table)
    c = table.to(accumulation(table.dtype))
    p = c / c.sum((-1, -2), keepdim=True)
    rows, columns = p.sum(-1), p.sum(-2)
    return ((p * log(p)).sum((-1, -2)) - (rows * log(rows)).sum(-1) - (columns * log(columns)).sum(-1)).to(table.dtype)
