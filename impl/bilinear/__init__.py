"""Bilinear attention, with or without biases: `reference` adds every term, `folded` only those that act."""

from impl.bilinear import folded, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="bilinear",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.BILINEAR}),
    source="Luong, Pham and Manning 2015, section 3.1, https://arxiv.org/abs/1508.04025",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.3),
    Implementation(variant=variant, name="folded", call=folded.attention, arithmetic=STRAIGHTFORWARD, share=0.3),
)
