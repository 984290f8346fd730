"""Hierarchical attention, words then sentences: `reference` by padding under masks, `segments` by softmaxes over segments, `fused` by a kernel
for these."""

from dataclasses import replace
from functools import partial

from impl.hierarchical import fused, reference, segments
from impl.in_triton import offered
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="hierarchical",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.HIERARCHICAL, Trait.IN_TRITON}),
    source="Yang, Yang, Dyer, He, Smola and Hovy 2016, https://aclanthology.org/N16-1174/",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
BY_QUOTIENT = replace(STRAIGHTFORWARD, detours=3)  # backward of a quotient by a sum divides twice where the definition has one product
TILE = (4, 2, 1)  # four segments a program, two rows of each at a time
IN_TILES = replace(BY_QUOTIENT, tile=2, recompute="log-sum-exp", casts="each use")
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="segments", call=segments.attention, arithmetic=BY_QUOTIENT, share=SHARE),
    *offered(variant, partial(fused.attention, tile=TILE), fused.operators, limits=Limits(), arithmetic=IN_TILES, share=0.06),
    replace(
        offered(variant, fused.attention, fused.operators, limits=Limits(), arithmetic=replace(IN_TILES, tile=1), share=0.03)[0],
        name="triton-shipping",
        limits=Limits(dtypes=("float16",)),
    ),
)
