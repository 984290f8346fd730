"""Pearson's and Spearman's correlation with a given map: `reference` ranks by comparing all pairs, `by_sorting` by sorting."""

from dataclasses import replace

from impl.instruments.human_correlation import by_sorting, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="human-correlation",
    reference=reference.correlation,
    traits=frozenset({Trait.INSTRUMENT, Trait.CORRELATION}),
    source="Pearson 1895; Spearman 1904, https://doi.org/10.2307/1412159",
)
LIMITS = Limits(zero_length=False, gradients=False)
SCALED = replace(STRAIGHTFORWARD, detours=2)  # each deviation is divided by the largest one besides
implementations = (
    Implementation(variant=variant, name="reference", call=reference.correlation, limits=LIMITS, arithmetic=SCALED, share=0.2),
    Implementation(variant=variant, name="by-sorting", call=by_sorting.correlation, limits=LIMITS, arithmetic=SCALED, share=0.2),
)
