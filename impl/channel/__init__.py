"""Channel attention over a feature map."""

from impl.channel import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="channel",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CHANNEL}),
    source="Chen et al. 2017, section 3.3, https://arxiv.org/abs/1611.05594",
)
implementations = (Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.1),)
