"""An encoder and a decoder: `reference` computes whole sequences, `stepwise` one token of the target at a time."""

from impl.t5 import reference, stepwise
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="t5",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.ENCODER_DECODER}),
    source="Raffel et al. 2020, section 2.1, https://arxiv.org/abs/1910.10683",
)
SHARE = 0.05  # of a profile's examples: the true values cost some 50 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="stepwise", call=stepwise.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
