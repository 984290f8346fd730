"""Location-based attention: weights over positions that depend on the query alone."""

from impl.location import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="location",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED}),
    source="Luong, Pham and Manning 2015, Eq. 8, https://arxiv.org/abs/1508.04025",
)
implementations = (Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.3),)
