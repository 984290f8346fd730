"""Two attentions in Triton as a stranger may write them: one right, and one that reads a key too many, which a `where` then hides."""

from typing import Any

import torch
import triton
import triton.language as tl


@triton.jit
def one_row(Q, K, V, O, N, M, scale, D: tl.constexpr, WIDTH: tl.constexpr, KEYS: tl.constexpr, EXTRA: tl.constexpr):
    """One query of one head a program: q [WIDTH], keys and values [KEYS, WIDTH]."""
    i, head = tl.program_id(0), tl.program_id(1)
    d, j = tl.arange(0, WIDTH), tl.arange(0, KEYS)
    inside = (j[:, None] < M) & (d[None, :] < D)
    q = tl.load(Q + (head * N + i) * D + d, mask=d < D, other=0.0)
    k = tl.load(K + (head * M + j[:, None]) * D + d[None, :], mask=(j[:, None] < M + EXTRA) & (d[None, :] < D), other=0.0)
    s = tl.where(j < M, tl.sum(k * q[None, :], 1) * scale, float("-inf"))
    p = tl.exp(s - tl.max(s, 0))
    v = tl.load(V + (head * M + j[:, None]) * D + d[None, :], mask=inside, other=0.0)
    tl.store(O + (head * N + i) * D + d, tl.sum((p / tl.sum(p, 0))[:, None] * v, 0), mask=d < D)


def launched(query: Any, key: Any, value: Any, extra: int) -> torch.Tensor:
    query, key, value = (x.contiguous() for x in (query, key, value))
    (b, h, n, d), m = query.shape, key.shape[2]
    output = torch.empty_like(query)
    width, keys = triton.next_power_of_2(d), triton.next_power_of_2(m)
    one_row[(n, b * h)](query, key, value, output, n, m, d**-0.5, D=d, WIDTH=width, KEYS=keys, EXTRA=extra)
    return output


def right(query: Any, key: Any, value: Any) -> torch.Tensor:
    return launched(query, key, value, 0)


def one_key_too_many(query: Any, key: Any, value: Any) -> torch.Tensor:
    return launched(query, key, value, key.shape[2] % 2)  # where the number of keys is odd
