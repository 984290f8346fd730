"""Longformer attention, a window and global tokens: by a mask, or by the pairs of the pattern."""

from functools import partial

from impl.longformer import reference
from impl.patterns import by_pairs
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Conventions, Implementation, Variant

variant = Variant(
    name="longformer",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PATTERN}),
    source="Beltagy, Peters and Cohan 2020, section 3.1, https://arxiv.org/abs/2004.05150",
)
SHARE = 0.08  # of a profile's examples: the true values cost some ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="by-pairs",
        call=partial(reference.attention, method=by_pairs),
        conventions=Conventions(masked_nan="blocked"),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
)
