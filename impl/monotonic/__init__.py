"""Monotonic attention: `reference` runs the recurrence position by position, `scan` in ⌈log₂ M⌉ parallel steps a row."""

from impl.monotonic import reference, scan
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="monotonic",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.MONOTONIC}),
    source="Raffel et al. 2017, section 2.3, https://arxiv.org/abs/1704.00784",
)
SHARE = 0.3  # of a profile's examples: the true values cost some 10 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=Limits(causal=False), arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="scan",
        call=scan.attention,
        limits=Limits(causal=False, edges=(2, 4, 8)),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
)
