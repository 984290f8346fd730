"""One head attends otherwise, and everything else stays."""

from impl.instruments.intervention import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="intervention",
    reference=reference.intervention,
    traits=frozenset({Trait.COMPOSED, Trait.INTERVENTION}),
    source="Jain and Wallace 2019, section 4.2, https://arxiv.org/abs/1902.10186",
)
LIMITS = Limits(max_length=5, unequal_lengths=False)
implementations = (Implementation(variant=variant, name="reference", call=reference.intervention, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.2),)
