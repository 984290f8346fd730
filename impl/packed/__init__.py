"""Packed sequences: variable lengths, one behind the other. `reference` by a block-diagonal mask, `segments` one at a time, `buckets` in padded batches."""

from functools import partial

from impl.packed import buckets, reference, segments
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Conventions, Implementation, Limits, Variant

variant = Variant(
    name="packed",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PACKED}),
    source="Krell, Kosec, Perez and Fitzgibbon 2021, https://arxiv.org/abs/2107.02027",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
UNMASKED = Limits(masks=("none",), max_length=13)
APART = Conventions(masked_nan="blocked")
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="segments", call=segments.attention, limits=UNMASKED, conventions=APART, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="buckets",
        call=partial(buckets.attention, batches=2),
        limits=UNMASKED,
        conventions=APART,
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
)
