"""Consistency of heads across trainings, after matching them: `reference` pair by pair, `one_product` with all correlations at once."""

from dataclasses import replace

from impl.instruments.consistency import one_product, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="consistency",
    reference=reference.consistency,
    traits=frozenset({Trait.INSTRUMENT, Trait.CONSISTENCY}),
    source="Kuhn 1955, https://doi.org/10.1002/nav.3800020109",
)
LIMITS = Limits(zero_length=False, gradients=False)
SCALED = replace(STRAIGHTFORWARD, detours=2)  # each deviation is divided by the largest one besides
implementations = (
    Implementation(variant=variant, name="reference", call=reference.consistency, limits=LIMITS, arithmetic=SCALED, share=0.1),
    Implementation(variant=variant, name="one-product", call=one_product.consistency, limits=LIMITS, arithmetic=SCALED, share=0.1),
)
