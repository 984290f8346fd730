"""Mutual information from samples: `reference` by products of indicators, `by_counting` by one count."""

from impl.instruments.plug_in_information import by_counting, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="plug-in-information",
    reference=reference.information,
    traits=frozenset({Trait.INSTRUMENT, Trait.PLUG_IN}),
    source="Paninski 2003, section 4, https://doi.org/10.1162/089976603321780272",
)
LIMITS = Limits(zero_length=False, gradients=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.information, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.15),
    Implementation(variant=variant, name="by-counting", call=by_counting.information, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.15),
)
