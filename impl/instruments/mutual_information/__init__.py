"""Mutual information of a joint table: `reference` by the ratio of joint to margins, `by_entropies` from three entropies."""

from impl.instruments.mutual_information import by_entropies, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="mutual-information",
    reference=reference.information,
    traits=frozenset({Trait.INSTRUMENT, Trait.MUTUAL_INFORMATION}),
    source="Cover and Thomas 2006, Eq. 2.28, https://doi.org/10.1002/047174882X",
)
LIMITS = Limits(zero_length=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.information, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.2),
    Implementation(variant=variant, name="by-entropies", call=by_entropies.information, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.2),
)
