"""What is timed: dense attention in the setting in which its kernels are usually compared, and the other families beside it. Pure.

The setting is that of FlashAttention-2 (Dao 2023, section 4.1, https://arxiv.org/abs/2307.08691): 16,384 tokens in all, as sequences of 512 to 16,384, and a
hidden width of 2,048, as heads of 64 or of 128. So is the count: 4 · B · H · N² · D for the two products of the forward pass, half of it under causality,
and 2.5 times it for the five products of the backward pass. It is a convention: recomputed and masked products are not counted as work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

TOKENS, HIDDEN = 16384, 2048
LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
WIDTHS = (64, 128)
DTYPES = ("float16", "bfloat16")
OURS = "triton"
TORCH = ("torch-flash", "torch-efficient", "torch-cudnn", "torch-math", "torch-flex")
DENSE, DENSE_KERNEL = "dense", "dense-triton"


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a family beside dense attention is timed. `ours` is the folder of its kernel under impl, `ways` who else is timed: the dense kernel, torch's
    flex_attention with the same mask, torch's own operations. `says` describes the call for the page; `tokens` is batch · n."""

    says: str
    ours: str
    ways: tuple[str, ...]
    lengths: tuple[int, ...]
    widths: tuple[int, ...] = WIDTHS
    causal: bool = True
    backward: bool = True
    tokens: int = TOKENS
    batch: int = field(default=0)  # 0: as many as make up the tokens


PLANS = {
    "window": Plan(
        says="a causal window of 256 keys; the dense kernel is causal and sees all keys",
        ours="block_sparse",
        ways=(DENSE_KERNEL, "torch-flex"),
        lengths=(4096, 16384),
    ),
    "bigbird": Plan(
        says="blocks of 128: the row's own and one to each side, the first, and two at random; the dense kernel sees all keys",
        ours="block_sparse",
        ways=(DENSE_KERNEL, "torch-flex"),
        lengths=(4096, 16384),
        causal=False,
    ),
    "decode": Plan(
        says="one token for each of 16 sequences over n cached ones, in pages of 64, 4 query heads to a key head; the others read a contiguous cache",
        ours="cached",
        ways=(DENSE_KERNEL, "torch"),
        lengths=(1024, 4096, 16384),
        backward=False,
        batch=16,
    ),
    "linear": Plan(
        says="causal linear attention with elu + 1; torch: in chunks of 64",
        ours="linear_attention",
        ways=(DENSE_KERNEL, "torch"),
        lengths=(2048, 8192, 16384),
    ),
    "features": Plan(
        says="256 positive random features, not causal; torch: two products",
        ours="random_features",
        ways=(DENSE_KERNEL, "torch"),
        lengths=(2048, 8192),
        causal=False,
        backward=False,
    ),
    "additive": Plan(
        says="64 hidden units, not causal; torch: in tiles of 16 keys",
        ours="additive",
        ways=(DENSE_KERNEL, "torch"),
        lengths=(512, 1024),
        widths=(64,),
        causal=False,
        tokens=4096,
    ),
    "entmax": Plan(
        says="1.5-entmax, causal; torch: by sorting",
        ours="entmax",
        ways=(DENSE_KERNEL, "torch"),
        lengths=(512, 2048),
        tokens=4096,
    ),
    "monotonic": Plan(
        says="expected alignment of n rows over 2 n positions, and its product with the values; torch: the scan in log₂ steps a row",
        ours="monotonic",
        ways=("torch",),
        lengths=(128, 512),
        widths=(64,),
        causal=False,
        tokens=4096,
    ),
    "segments": Plan(
        says="n nodes with 0 to 64 edges each, 4 heads: softmax over a node's edges, sum of the values behind them; torch: scatter_reduce, index_add",
        ours="segmented",
        ways=("torch",),
        lengths=(4096, 65536),
        widths=(64,),
        causal=False,
        batch=1,
    ),
    "rotary": Plan(
        says="queries and keys turned; torch: in real numbers, by halves",
        ours="rotary",
        ways=("torch",),
        lengths=(4096, 16384),
        causal=False,
        backward=False,
    ),
    "int8": Plan(
        says="queries and keys quantised row by row, causal",
        ours="int8",
        ways=(DENSE_KERNEL,),
        lengths=(4096, 16384),
        backward=False,
    ),
}
FAMILIES = (DENSE, *PLANS)
CONTENDERS = (OURS, *TORCH, DENSE_KERNEL, "torch")


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Case:
    """One thing to time. Query, key and value are [batch, heads, n, width], contiguous; `backward` times the gradient alone, after a forward pass. Of a family
    beside dense attention, its plan says what the call is."""

    n: int
    width: int
    dtype: str
    causal: bool
    backward: bool
    batch: int
    heads: int
    family: str = DENSE

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """[B, H, N, D]."""
        return (self.batch, self.heads, self.n, self.width)

    @property
    def flops(self) -> int:
        """Floating-point operations of dense attention, by the usual count."""
        forward = 4 * self.batch * self.heads * self.n**2 * self.width // (2 if self.causal else 1)
        return forward * 5 // 2 if self.backward else forward

    def __str__(self) -> str:
        direction, hidden = "backward" if self.backward else "forward", "causal" if self.causal else "full"
        family = "" if self.family == DENSE else f"{self.family} "
        return f"{family}{direction} {self.dtype} {hidden} N={self.n} D={self.width} B={self.batch} H={self.heads}"


def planned(
    families: Sequence[str] = FAMILIES, lengths: Sequence[int] = (), widths: Sequence[int] = WIDTHS, dtypes: Sequence[str] = DTYPES
) -> Iterator[Case]:  # fmt: skip
    """Every case of these families, dense attention first; of these lengths, where any are given."""
    for family in (x for x in FAMILIES if x in families):
        if family == DENSE:
            yield from cases([n for n in LENGTHS if not lengths or n in lengths], widths, dtypes)
            continue
        plan = PLANS[family]
        for n, width, dtype in product(plan.lengths, plan.widths, dtypes):
            for backward in (False, True)[: 1 + plan.backward] if (not lengths or n in lengths) and width in widths else ():
                batch = plan.batch or max(plan.tokens // n, 1)
                heads = 4 if family == "segments" else HIDDEN // width
                yield Case(n=n, width=width, dtype=dtype, causal=plan.causal, backward=backward, batch=batch, heads=heads, family=family)


def cases(lengths: Sequence[int] = LENGTHS, widths: Sequence[int] = WIDTHS, dtypes: Sequence[str] = DTYPES) -> Iterator[Case]:
    """Every case of dense attention, in the order given: short sequences first, so that an interrupted run has the cheap half of the curve."""
    for n, width, dtype in product(lengths, widths, dtypes):
        for causal, backward in product((False, True), repeat=2):
            yield Case(n=n, width=width, dtype=dtype, causal=causal, backward=backward, batch=TOKENS // n, heads=HIDDEN // width)
