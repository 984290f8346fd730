"""Attention dropout with an explicit mask: `reference` holds all weights, `blockwise` one tile of them."""

from dataclasses import replace
from functools import partial

from impl.dropout import blockwise, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="dropout",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.SHIFT_INVARIANT, Trait.DROPOUT}),
    source="Srivastava et al. 2014, §10, https://jmlr.org/papers/v15/srivastava14a.html",
)
SHARE = 0.3  # of a profile's examples: the true values cost some 10 ms an example; a quarter of it where short inputs are one tile
PLAIN = replace(STRAIGHTFORWARD, tile=1)  # straightforward code: one rounding an operation
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=PLAIN, share=SHARE),
    Implementation(variant=variant, name="blockwise", call=blockwise.attention, arithmetic=PLAIN, share=SHARE / 4),
    Implementation(
        variant=variant,
        name="blockwise-by-2",
        call=partial(blockwise.attention, keys=2),
        limits=Limits(edges=(2, 4)),
        arithmetic=PLAIN,
        share=SHARE,
    ),
)
