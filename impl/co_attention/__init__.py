"""Parallel co-attention of regions and tokens: `reference` holds every affinity, `tiled` those of one tile of regions."""

from functools import partial

from impl.co_attention import reference, tiled
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="co-attention",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.CO_ATTENTION}),
    source="Lu, Yang, Batra and Parikh 2016, section 3.3, https://arxiv.org/abs/1606.00061",
)
SHARE = 0.1  # of a profile's examples: the true values cost some 10 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="tiles-of-2", call=partial(tiled.attention, regions=2), arithmetic=STRAIGHTFORWARD, share=SHARE),
)
