"""Sigmoid attention: no row is normalised. `reference` holds all weights, `tiled` one tile of them."""

from functools import partial

from impl.sigmoid import reference, tiled
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="sigmoid",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.NORMALISER, Trait.SIGMOID}),
    source="Ramapuram et al. 2024, https://arxiv.org/abs/2409.04431",
)
SHARE = 0.3  # of a profile's examples: the true values cost some 10 ms an example; a quarter of it where short inputs are one tile
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="tiled", call=tiled.attention, arithmetic=STRAIGHTFORWARD, share=SHARE / 4),
    Implementation(
        variant=variant,
        name="tiled-by-2",
        call=partial(tiled.attention, keys=2),
        limits=Limits(edges=(2, 4)),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
)
