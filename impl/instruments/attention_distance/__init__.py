"""Mean attention distance of rows or heads: `reference` by a table of distances, `contracted` row by row."""

from impl.instruments.attention_distance import contracted, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="attention-distance",
    reference=reference.distance,
    traits=frozenset({Trait.INSTRUMENT, Trait.DISTANCE}),
    source="Dosovitskiy et al. 2021, appendix D.7, https://arxiv.org/abs/2010.11929",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.distance, arithmetic=STRAIGHTFORWARD, share=0.15),
    Implementation(variant=variant, name="contracted", call=contracted.distance, arithmetic=STRAIGHTFORWARD, share=0.15),
)
