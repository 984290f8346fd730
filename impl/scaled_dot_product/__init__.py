"""Scaled dot-product attention: self, cross, causal, masked, grouped. `reference` defines it; the others claim to compute it."""

from dataclasses import replace
from functools import partial

import torch

from impl.scaled_dot_product import blockwise, flash, reference
from impl.trait import Trait
from impl.variant import Arithmetic, Conventions, Implementation, Limits, Variant

variant = Variant(
    name="scaled-dot-product",
    reference=reference.attention,
    traits=frozenset({Trait.DOT_PRODUCT}),
    source="Vaswani et al. 2017, Eq. 1, https://arxiv.org/abs/1706.03762",
)
OURS = Conventions(mask_and_causal="both")


def tiled(name: str, block: int | None, limits: Limits) -> Implementation:
    """The blockwise implementation, in the tiles that it ships with or in square ones."""
    return Implementation(
        variant=variant,
        name=name,
        call=partial(blockwise.attention, block=block),
        log_sum_exp=partial(blockwise.attention_with_log_sum_exp, block=block),
        limits=limits,
        conventions=OURS,
        arithmetic=Arithmetic(score_roundings=4, exponent_roundings=3, tile=block or blockwise.COLUMNS, exact_means=True),
    )


def in_triton(name: str, tile: tuple[int, int, int, int] | str, share: float, limits: Limits, alignment: str = "top-left") -> Implementation:
    """The Triton kernel, in one tile or in those that ship for a target. float64 is for the interpreter, bfloat16 for a GPU."""
    return Implementation(
        variant=variant,
        name=name,
        call=partial(flash.attention, tile=tile, alignment=alignment),
        log_sum_exp=partial(flash.attention_with_log_sum_exp, tile=tile, alignment=alignment),
        limits=limits,
        conventions=replace(OURS, causal=alignment),
        arithmetic=Arithmetic(weights="input", recompute="log-sum-exp", saved_output="input"),
        share=share,
        offers=("softcap", "alibi_slopes", "sinks", "dropout_p", "log-sum-exp gradient"),
        packed=partial(flash.packed_attention, tile=tile, alignment=alignment),
        triton=True,
        device=flash.device,
        missing=flash.missing_bfloat16 if limits.dtypes == ("bfloat16",) else flash.missing,
    )


# the interpreter takes 10 ms a program; compiled, the kernel takes the scale in float32, so that float64 is for the interpreter
DTYPES = ("float64", "float32", "float16") if flash.device() == "cpu" else ("float32", "float16")
INTERPRETED = Limits(dtypes=DTYPES, edges=(16,), max_length=33, max_heads=7)
implementations = (
    Implementation(
        variant=variant,
        name="reference",
        call=reference.attention,
        log_sum_exp=reference.attention_with_log_sum_exp,
        offers=("log-sum-exp gradient",),
        conventions=OURS,
        arithmetic=Arithmetic(score_roundings=4, exponent_roundings=1, tile=None, exact_means=True),
    ),
    tiled("blockwise", None, Limits(edges=(blockwise.BLOCK, blockwise.COLUMNS), max_length=blockwise.COLUMNS + 1, long=True)),
    tiled("blockwise-tiles-of-64", 64, Limits(edges=(64,), max_length=66)),
    tiled("blockwise-tiles-of-4", 4, Limits(edges=(4,), max_length=13)),  # many tiles at lengths that the oracle can afford
    in_triton("triton", (16, 16, 4, 1), 0.1, INTERPRETED),
    in_triton("triton-bottom-right", (32, 16, 4, 2), 0.06, INTERPRETED, "bottom-right"),  # with tensor descriptors
    in_triton(
        "triton-shipping", "sm_90", 0.04, Limits(dtypes=("float16",), widths=(8, 16, 40, 64, 128, 256), edges=(64,), max_length=130, max_heads=2, long=True)
    ),
    in_triton("triton-bfloat16", (16, 16, 4, 1), 0.1, replace(INTERPRETED, dtypes=("bfloat16",))),
    Implementation(
        variant=variant,
        name="torch",
        call=torch.nn.functional.scaled_dot_product_attention,
        limits=Limits(edges=(16, 32, 64), max_length=129, long=True),
        arithmetic=Arithmetic(weights="input", recompute="log-sum-exp", saved_output="input"),
        ours=False,
    ),
)
