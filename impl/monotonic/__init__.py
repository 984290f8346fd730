"""Monotonic attention: `reference` runs the recurrence position by position, `scan` in ⌈log₂ M⌉ parallel steps a row, `fused` all rows in one kernel."""

from dataclasses import replace
from functools import partial

from impl.in_triton import offered
from impl.monotonic import fused, reference, scan
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="monotonic",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.MONOTONIC, Trait.IN_TRITON}),
    source="Raffel et al. 2017, section 2.3, https://arxiv.org/abs/1704.00784",
)
SHARE = 0.3  # of a profile's examples: the true values cost some 10 ms an example
SHARP = replace(STRAIGHTFORWARD, exp_ulp=4.0)  # 2^t within 2 units, and half of one each for t, the sum, the quotient and the product behind it
kernels = offered(
    variant,
    partial(fused.attention, tile=8),
    fused.operators,
    limits=Limits(causal=False, edges=(8,), max_length=17, max_heads=6),
    arithmetic=SHARP,
    share=0.05,
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=Limits(causal=False), arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="scan",
        call=scan.attention,
        limits=Limits(causal=False, edges=(2, 4, 8)),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
    *kernels,
    replace(kernels[0], name="triton-shipping", call=fused.attention, limits=replace(kernels[0].limits, dtypes=("float16",)), share=0.03),
)
