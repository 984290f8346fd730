"""Entropy of each row of attention weights: `reference` at once, `tiled` by tiles of keys."""

from functools import partial

from impl.instruments.attention_entropy import reference, tiled
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="attention-entropy",
    reference=reference.entropy,
    traits=frozenset({Trait.INSTRUMENT, Trait.ENTROPY}),
    source="Shannon 1948, section 6, https://doi.org/10.1002/j.1538-7305.1948.tb01338.x",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.entropy, arithmetic=STRAIGHTFORWARD, share=0.2),
    Implementation(variant=variant, name="tiled-by-2", call=partial(tiled.entropy, keys=2), limits=Limits(edges=(2, 4)), arithmetic=STRAIGHTFORWARD, share=0.2),
)
