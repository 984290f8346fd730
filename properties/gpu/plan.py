"""What is timed: the setting in which attention kernels are usually compared, and how its operations are counted. Pure.

The setting is that of FlashAttention-2 (Dao 2023, section 4.1, https://arxiv.org/abs/2307.08691): 16,384 tokens in all, as sequences of 512 to 16,384, and a
hidden width of 2,048, as heads of 64 or of 128. So is the count: 4 · B · H · N² · D for the two products of the forward pass, half of it under causality,
and 2.5 times it for the five products of the backward pass. It is a convention: recomputed and masked products are not counted as work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

TOKENS, HIDDEN = 16384, 2048
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
WIDTHS = (64, 128)
DTYPES = ("float16", "bfloat16")
OURS = "triton"
TORCH = ("torch-flash", "torch-efficient", "torch-cudnn", "torch-math", "torch-flex")
CONTENDERS = (OURS, *TORCH)


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Case:
    """One thing to time. Query, key and value are [batch, heads, n, width], contiguous; `backward` times the gradient alone, after a forward pass."""

    n: int
    width: int
    dtype: str
    causal: bool
    backward: bool
    batch: int
    heads: int

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[B, H, N, D]."""
        return (self.batch, self.heads, self.n, self.width)

    @property
    def flops(self) -> int:
        """Floating-point operations, by the usual count."""
        forward = 4 * self.batch * self.heads * self.n**2 * self.width // (2 if self.causal else 1)
        return forward * 5 // 2 if self.backward else forward

    def __str__(self) -> str:
        direction, hidden = "backward" if self.backward else "forward", "causal" if self.causal else "full"
        return f"{direction} {self.dtype} {hidden} N={self.n} D={self.width} B={self.batch} H={self.heads}"


def cases(lengths: Sequence[int] = LENGTHS, widths: Sequence[int] = WIDTHS, dtypes: Sequence[str] = DTYPES) -> Iterator[Case]:
    """Every case, in the order given: short sequences first, so that an interrupted run has the cheap half of the curve."""
    for n, width, dtype in product(lengths, widths, dtypes):
        for causal, backward in product((False, True), repeat=2):
            yield Case(n=n, width=width, dtype=dtype, causal=causal, backward=backward, batch=TOKENS // n, heads=HIDDEN // width)
