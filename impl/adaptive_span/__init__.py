"""Adaptive span: a learned reach for each head, with a soft edge. `reference` by all pairs, `banded` by the pairs within reach."""

from impl.adaptive_span import banded, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="adaptive-span",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.ADAPTIVE_SPAN}),
    source="Sukhbaatar, Grave, Bojanowski and Joulin 2019, https://arxiv.org/abs/1905.07799",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
UNMASKED = Limits(masks=("none",))
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="banded", call=banded.attention, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
