"""Attention rollout: `reference` from the first layer up, `from_the_top` for a few rows from the last layer down."""

from impl.instruments.rollout import from_the_top, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="rollout",
    reference=reference.rollout,
    traits=frozenset({Trait.INSTRUMENT, Trait.ROLLOUT}),
    source="Abnar and Zuidema 2020, section 3, https://arxiv.org/abs/2005.00928",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.rollout, arithmetic=STRAIGHTFORWARD, share=0.15),
    Implementation(variant=variant, name="from-the-top", call=from_the_top.rollout, arithmetic=STRAIGHTFORWARD, share=0.15),
)
