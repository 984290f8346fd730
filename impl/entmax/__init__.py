"""1.5-entmax attention: `reference` sorts, `bisection` halves an interval, some rows at a time."""

from functools import partial

from impl.entmax import bisection, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="entmax",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.NORMALISER, Trait.SHIFT_INVARIANT, Trait.SPARSE}),
    source="Peters, Niculae and Martins 2019, https://arxiv.org/abs/1905.05702",
)
SHARE = 0.3  # of a profile's examples: the true values cost some 10 ms an example; a quarter of it where short inputs are one tile
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="bisection", call=bisection.attention, arithmetic=STRAIGHTFORWARD, share=SHARE / 4),
    Implementation(
        variant=variant,
        name="bisection-2-rows",
        call=partial(bisection.attention, rows=2),
        limits=Limits(edges=(2, 4)),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
)
