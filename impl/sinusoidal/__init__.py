"""Sinusoidal absolute positions, added to queries and keys."""

from dataclasses import replace

from impl.sinusoidal import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="sinusoidal",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED}),
    source="Vaswani et al. 2017, section 3.5, https://arxiv.org/abs/1706.03762",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=replace(STRAIGHTFORWARD, angles="float64"), share=0.3),
)
