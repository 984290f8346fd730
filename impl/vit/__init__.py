"""Patches of an image as tokens: `reference` cuts them out, `convolved` is a convolution with a stride."""

from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant
from impl.vit import convolved, reference

variant = Variant(
    name="vit",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PATCHES}),
    source="Dosovitskiy et al. 2021, section 3.1, https://arxiv.org/abs/2010.11929",
)
SHARE = 0.1  # of a profile's examples: the true values cost some 20 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="convolved", call=convolved.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
