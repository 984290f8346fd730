"""The loss of predictions without an order: `reference` tries all matchings, `hungarian` augments one."""

from impl.set_matching import hungarian, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="set-matching",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.SET_LOSS}),
    source="Carion et al. 2020, section 3.1, https://arxiv.org/abs/2005.12872",
)
SHARE = 0.15  # of a profile's examples
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="hungarian", call=hungarian.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
