"""Two-dimensional sinusoidal positions of image patches."""

from dataclasses import replace

from impl.grid_positions import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="grid-positions",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED}),
    source="Dosovitskiy et al. 2021, appendix D.4, https://arxiv.org/abs/2010.11929",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=replace(STRAIGHTFORWARD, angles="float64"), share=0.3),
)
