"""Attention with quantised queries and keys, of 8 bits or fewer: `reference` holds all scores, `tiled` one tile of them and its keys in int8."""

from dataclasses import replace
from functools import partial

from impl.int8 import reference, tiled
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="int8",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.QUANTISED}),
    source="Dettmers et al. 2022, section 2, https://arxiv.org/abs/2208.07339",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="tiled-by-2",
        call=partial(tiled.attention, keys=2),
        limits=Limits(mask_gradient=False, edges=(2, 4)),
        arithmetic=replace(STRAIGHTFORWARD, tile=2),
        share=SHARE,
    ),
)
