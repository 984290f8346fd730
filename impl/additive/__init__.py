"""Additive (Bahdanau) attention: `reference` holds the hidden layer of every pair, `tiled` one tile of it."""

from functools import partial

from impl.additive import reference, tiled
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="additive",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.ADDITIVE}),
    source="Bahdanau, Cho and Bengio 2015, appendix A.1.2, https://arxiv.org/abs/1409.0473",
)
SHARE = 0.3  # of a profile's examples: the true values cost some 10 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="tiled", call=tiled.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="tiled-by-2",
        call=partial(tiled.attention, keys=2),
        limits=Limits(edges=(2, 4)),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
)
