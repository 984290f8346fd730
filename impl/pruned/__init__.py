"""Pruned attention: `reference` drops weights, `gathered` never reads the values of keys that are dropped."""

from impl.pruned import gathered, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="pruned",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PRUNED}),
    source="Wang, Zhang and Han 2021, section III, https://arxiv.org/abs/2012.09852",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="gathered", call=gathered.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
