"""Monotonic chunkwise attention: `reference` holds the softmax of every chunk, `moving` sums shifted tensors, `fused` aligns in a kernel."""

from dataclasses import replace
from functools import partial

from impl.chunkwise_monotonic import fused, moving, reference
from impl.in_triton import offered
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="chunkwise-monotonic",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CHUNKWISE_MONOTONIC, Trait.IN_TRITON}),
    source="Chiu and Raffel 2018, https://arxiv.org/abs/1712.05382",
)
SHARE = 0.3
LIMITS = Limits(causal=False, masks=("none", "boolean"))
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="moving", call=moving.attention, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=SHARE),
    *offered(
        variant,
        partial(fused.attention, tile=4),
        fused.operators,
        limits=replace(LIMITS, edges=(4,), max_heads=6),
        arithmetic=replace(STRAIGHTFORWARD, exp_ulp=4.0),  # of the alignment's sigmoids, as in impl.monotonic
        share=0.04,
    ),
)
