"""Self-attention among the pixels of an image: `reference` holds all scores, `rows` those of one row of the image."""

from impl.pixel import reference, rows
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="pixel",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PIXELS}),
    source="Wang, Girshick, Gupta and He 2018, section 3, https://arxiv.org/abs/1711.07971",
)
SHARE = 0.1  # of a profile's examples: the true values cost some 20 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="rows", call=rows.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
