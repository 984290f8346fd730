"""Spatial attention over a feature map."""

from impl.spatial import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="spatial",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.SPATIAL}),
    source="Xu et al. 2015, section 4.2, https://arxiv.org/abs/1502.03044",
)
implementations = (Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.1),)
