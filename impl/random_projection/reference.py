"""Projections for random features: each row is standard normal; orthogonal ones are so in blocks of D rows."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def gaussian(m: int, d: int, generator: Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """m independent rows [m, D], each standard normal: what the estimate's unbiasedness asks of a row."""
    return torch.randn(m, d, generator=generator, dtype=dtype)


def orthogonal(m: int, d: int, generator: Generator, dtype: torch.dtype = torch.float64) -> Tensor:
    """m rows [m, D], each standard normal, orthogonal to one another within each block of D; the last block may be cut short.

    Q of a Gaussian matrix's QR factors is uniformly distributed only where R has a positive diagonal, which LAPACK does not see to: the columns of Q take the
    signs of that diagonal (Mezzadri 2007, https://arxiv.org/abs/math-ph/0609050). Each row then takes the norm of an independent Gaussian one.
    Source: Yu et al. 2016, https://arxiv.org/abs/1610.09072; Choromanski et al. 2021, section 2.4, https://arxiv.org/abs/2009.14794
    """
    blocks = -(-m // d)
    q, r = torch.linalg.qr(torch.randn(blocks, d, d, generator=generator, dtype=dtype))  # [blocks, D, D]
    directions = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    norms = torch.randn(blocks, d, d, generator=generator, dtype=dtype).norm(dim=-1, keepdim=True)
    rows: Tensor = (norms * directions).flatten(0, 1)
    return rows[:m]


def seeded_gaussian(m: int, d: int, seed: int) -> Tensor:
    """`gaussian` of a new generator: float64 [m, D], the same for the same seed."""
    return gaussian(m, d, Generator().manual_seed(seed))


def seeded_orthogonal(m: int, d: int, seed: int) -> Tensor:
    """`orthogonal` of a new generator: float64 [m, D], the same for the same seed."""
    return orthogonal(m, d, Generator().manual_seed(seed))
