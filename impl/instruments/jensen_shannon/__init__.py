"""Jensen-Shannon divergence between heads, all together or two by two: `reference` at once, `pair_by_pair` with less in memory."""

from impl.instruments.jensen_shannon import pair_by_pair, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="jensen-shannon",
    reference=reference.divergence,
    traits=frozenset({Trait.INSTRUMENT, Trait.JENSEN_SHANNON}),
    source="Lin 1991, Eqs. 3.1 and 5.1, https://doi.org/10.1109/18.61115",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.divergence, arithmetic=STRAIGHTFORWARD, share=0.15),
    Implementation(variant=variant, name="pair-by-pair", call=pair_by_pair.divergence, arithmetic=STRAIGHTFORWARD, share=0.15),
)
