"""Additive (Bahdanau) attention: `reference` holds the hidden layer of every pair, `tiled` one tile of it, `fused` one hidden unit of one tile."""

from dataclasses import replace
from functools import partial

from impl.additive import fused, reference, tiled
from impl.in_triton import offered
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Arithmetic, Implementation, Limits, Variant

variant = Variant(
    name="additive",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.ADDITIVE, Trait.IN_TRITON}),
    source="Bahdanau, Cho and Bengio 2015, appendix A.1.2, https://arxiv.org/abs/1409.0473",
)
SHARE = 0.3  # of a profile's examples: the true values cost some 10 ms an example
LIMITS = Limits(edges=(16,), max_length=33, max_heads=4)
IN_TRITON = Arithmetic(weights="input", recompute="log-sum-exp", saved_output="input", tile=16, casts="once")
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="tiled", call=tiled.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="tiled-by-2",
        call=partial(tiled.attention, keys=2),
        limits=Limits(edges=(2, 4)),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
    *offered(variant, partial(fused.attention, tile=(16, 16, 4, 1)), fused.operators, limits=LIMITS, arithmetic=IN_TRITON, share=0.05),
    replace(
        offered(
            variant, partial(fused.attention, tile=(64, 32, 4, 1)), fused.operators, name="triton-shipping", limits=LIMITS, arithmetic=IN_TRITON, share=0.03
        )[0],
        limits=Limits(dtypes=("float16",), edges=(32, 64), max_length=66, max_heads=2),
    ),
)
