"""Binary attention: `reference` multiplies signs, `packed` counts bits that differ."""

from impl.binary import packed, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="binary",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.BINARY}),
    source="Rastegari et al. 2016, section 3.2, https://arxiv.org/abs/1603.05279",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="packed", call=packed.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
