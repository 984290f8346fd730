"""The implementations of a sparse pattern by the kernels of this folder: every variant whose reference takes a method has them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from impl.block_sparse.fused import in_blocks, operators
from impl.in_triton import offered
from impl.variant import Arithmetic, Call, Implementation, Limits, Variant

ARITHMETIC = Arithmetic(weights="input", tile=16, recompute="log-sum-exp", saved_output="input", casts="once")
SHIPPING = Limits(dtypes=("float16",), widths=(8, 40, 64, 128), unequal_widths=False, edges=(64,), max_length=130, max_heads=2, long=True)


def in_triton(variant: Variant, attention: Call, *, share: float = 0.04, offers: tuple[str, ...] = (), shipping: bool = False) -> tuple[Implementation, ...]:
    """`attention`, whose keyword `method` says how, in tiles of 16 (and in bfloat16 on a GPU); `shipping`: in the tiles that ship for sm_90 too."""
    own = offered(
        variant,
        partial(attention, method=partial(in_blocks, tile=(16, 16, 4, 1))),
        operators,
        limits=Limits(edges=(16,), max_length=33, max_heads=4),
        arithmetic=ARITHMETIC,
        share=share,
        offers=offers,
    )
    # one width for keys and values lets some calls have tensor descriptors
    large = replace(own[0], name="triton-shipping", call=partial(attention, method=partial(in_blocks, tile="sm_90")), limits=SHIPPING, share=share / 2)
    return (*own, large) if shipping else own
