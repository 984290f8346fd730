"""Agreement of attention with a dependency tree: `reference` edge by edge, `as_a_table` by one contraction."""

from impl.instruments.syntactic_alignment import as_a_table, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="syntactic-alignment",
    reference=reference.alignment,
    traits=frozenset({Trait.INSTRUMENT, Trait.ALIGNMENT}),
    source="Voita et al. 2019, section 5.2.1, https://arxiv.org/abs/1905.09418",
)
LIMITS = Limits(zero_length=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.alignment, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.15),
    Implementation(variant=variant, name="as-a-table", call=as_a_table.alignment, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.15),
)
