"""Attention with a learned bias for each relative offset and head."""

from impl.relative_bias import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="relative-bias",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.RELATIVE}),
    source="Raffel et al. 2020, section 2.1, https://arxiv.org/abs/1910.10683",
)
implementations = (Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.3),)
