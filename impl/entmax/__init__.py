"""1.5-entmax attention: `reference` sorts, `bisection` halves an interval, some rows at a time, `fused` takes Newton's steps over tiles of keys."""

from dataclasses import replace
from functools import partial

from impl.entmax import bisection, fused, reference
from impl.in_triton import offered
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="entmax",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.NORMALISER, Trait.SHIFT_INVARIANT, Trait.SPARSE, Trait.IN_TRITON}),
    source="Peters, Niculae and Martins 2019, https://arxiv.org/abs/1905.05702",
)
SHARE = 0.3  # of a profile's examples: the true values cost some 10 ms an example; a quarter of it where short inputs are one tile
LIMITS = Limits(edges=(16,), max_length=18, max_heads=2)  # two tiles: the interpreter takes 7 ms a tile, a dozen and more times over all of them
IN_TRITON = replace(STRAIGHTFORWARD, weights="input", detours=2)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="bisection", call=bisection.attention, arithmetic=STRAIGHTFORWARD, share=SHARE / 4),
    Implementation(
        variant=variant,
        name="bisection-2-rows",
        call=partial(bisection.attention, rows=2),
        limits=Limits(edges=(2, 4)),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
    *offered(variant, partial(fused.attention, tile=(16, 16, 4, 1)), fused.operators, limits=LIMITS, arithmetic=IN_TRITON, share=0.04),
    replace(
        offered(
            variant, partial(fused.attention, tile=(64, 64, 4, 1)), fused.operators, name="triton-shipping", limits=LIMITS, arithmetic=IN_TRITON, share=0.03
        )[0],
        limits=Limits(dtypes=("float16",), edges=(64,), max_length=66, max_heads=2),
    ),
)
