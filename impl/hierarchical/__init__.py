"""Hierarchical attention, words then sentences: `reference` by padding under masks, `segments` by softmaxes over segments."""

from dataclasses import replace

from impl.hierarchical import reference, segments
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="hierarchical",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.HIERARCHICAL}),
    source="Yang, Yang, Dyer, He, Smola and Hovy 2016, https://aclanthology.org/N16-1174/",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
BY_QUOTIENT = replace(STRAIGHTFORWARD, detours=3)  # backward of a quotient by a sum divides twice where the definition has one product
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="segments", call=segments.attention, arithmetic=BY_QUOTIENT, share=SHARE),
)
