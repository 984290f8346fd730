"""Sparsemax attention: `reference` sorts, `fixed_point` shrinks the support, some rows at a time."""

from functools import partial

from impl.sparsemax import fixed_point, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="sparsemax",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.NORMALISER, Trait.SHIFT_INVARIANT, Trait.SPARSE}),
    source="Martins and Astudillo 2016, Eq. 2, https://arxiv.org/abs/1602.02068",
)
SHARE = 0.3  # of a profile's examples: the true values cost some 10 ms an example; a quarter of it where short inputs are one tile
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="fixed-point", call=fixed_point.attention, arithmetic=STRAIGHTFORWARD, share=SHARE / 4),
    Implementation(
        variant=variant,
        name="fixed-point-2-rows",
        call=partial(fixed_point.attention, rows=2),
        limits=Limits(edges=(2, 4)),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
)
