"""Attention flow: `reference` by networkx, `layered` by closed forms and augmenting paths; both in whole numbers."""

from impl.instruments.attention_flow import layered, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="attention-flow",
    reference=reference.flow,
    traits=frozenset({Trait.INSTRUMENT, Trait.FLOW}),
    source="Abnar and Zuidema 2020, section 3, https://arxiv.org/abs/2005.00928",
)
LIMITS = Limits(gradients=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.flow, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.1),
    Implementation(variant=variant, name="layered", call=layered.flow, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.1),
)
