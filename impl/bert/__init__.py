"""An encoder-only stack: `reference` masks the padding, `unpadded` leaves it out of keys and values."""

from impl.bert import reference, unpadded
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="bert",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.ENCODER_STACK}),
    source="Devlin et al. 2019, section 3, https://arxiv.org/abs/1810.04805",
)
SHARE = 0.06  # of a profile's examples: the true values cost some 50 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="unpadded", call=unpadded.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
