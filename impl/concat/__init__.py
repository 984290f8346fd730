"""Concat (Luong) attention: `reference` joins every pair, `split` projects queries and keys apart, as additive attention does."""

from impl.concat import reference, split
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="concat",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.ADDITIVE}),
    source="Luong, Pham and Manning 2015, section 3.1, https://arxiv.org/abs/1508.04025",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.3),
    Implementation(variant=variant, name="split", call=split.attention, arithmetic=STRAIGHTFORWARD, share=0.3),
)
