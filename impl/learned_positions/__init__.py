"""Learned absolute positions: a table's rows are added to queries and keys."""

from impl.learned_positions import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="learned-positions",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED}),
    source="Gehring et al. 2017, section 3.1, https://arxiv.org/abs/1705.03122",
)
implementations = (Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.3),)
