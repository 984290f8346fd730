"""Coarse-to-fine attention: `reference` by a mask over all keys, `gathered` by the keys of chosen cells alone."""

from impl.pyramid import gathered, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="pyramid",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PYRAMID}),
    source="Tang, Zhang, Zhu and Tan 2022, https://arxiv.org/abs/2201.02767",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
UNMASKED = Limits(masks=("none",), causal=False, max_length=9)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="gathered", call=gathered.attention, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
