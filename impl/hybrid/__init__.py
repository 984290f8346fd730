"""Hybrid attention: content and location scores, weighted and added before the softmax."""

from impl.hybrid import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="hybrid",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED}),
    source="Chorowski et al. 2015, section 2.1, https://arxiv.org/abs/1506.07503",
)
implementations = (Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.3),)
