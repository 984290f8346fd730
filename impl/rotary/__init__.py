"""Rotary positions (RoPE): `reference` turns pairs as complex numbers, `by_halves` in real ones."""

from dataclasses import replace

from impl.rotary import by_halves, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="rotary",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.RELATIVE}),
    source="Su et al. 2021, section 3.2, https://arxiv.org/abs/2104.09864",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=replace(STRAIGHTFORWARD, angles="float64"), share=0.3),
    Implementation(variant=variant, name="by-halves", call=by_halves.attention, arithmetic=replace(STRAIGHTFORWARD, angles="float64"), share=0.3),
)
