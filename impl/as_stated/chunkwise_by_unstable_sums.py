"""Monotonic chunkwise attention by moving sums of e^u, as it is published: equal on paper, and infinite or no number for large energies.

e^u overflows from u = 89 on in float32, and a chunk whose energies all lie below −104 has the sum 0. impl/chunkwise_monotonic/moving.py subtracts each chunk's
maximum.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from impl.masked import accumulation
from impl.monotonic.scan import alignment


def attention(energy: Tensor, chunk_energy: Tensor, value: Tensor, width: int) -> Tensor:
    """β = e^u · (sum over the next w positions of α / (sum over the last w positions of e^u)). Shapes: energies [..., N, M], value [..., M, E].

    Source: Chiu and Raffel 2018, https://arxiv.org/abs/1712.05382
    """
    dtype = accumulation(energy.dtype)
    raised = chunk_energy.to(dtype).exp()
    mass = pad(raised, (width - 1, 0)).unfold(-1, width, 1).sum(-1)
    shared = pad(alignment(energy.to(dtype)) / mass, (0, width - 1)).unfold(-1, width, 1).sum(-1)
    return (raised * shared @ value.to(dtype)).to(energy.dtype)
