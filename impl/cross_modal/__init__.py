"""Cross-modal attention, text over vision and vision over text: `reference` by all scores, `blockwise` by tiles of them."""

from functools import partial

from impl.cross_modal import blockwise, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="cross-modal",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.CROSS_MODAL}),
    source="Lu et al. 2019, section 2.2, https://arxiv.org/abs/1908.02265",
)
SHARE = 0.1  # of a profile's examples: the true values cost some 10 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="blockwise-tiles-of-2", call=partial(blockwise.attention, block=2), share=SHARE),
)
