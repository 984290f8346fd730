"""Attention with linear biases (ALiBi): scores fall with the distance, by a slope for each head."""

from impl.alibi import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="alibi",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.RELATIVE, Trait.LINEAR_BIAS}),
    source="Press, Smith and Lewis 2022, section 3, https://arxiv.org/abs/2108.12409",
)
implementations = (Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.3),)
