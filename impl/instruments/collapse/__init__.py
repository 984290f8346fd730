"""Detectors of attention whose rows all attend one key, or are all alike."""

from impl.instruments.collapse import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="collapse",
    reference=reference.scores,
    traits=frozenset({Trait.INSTRUMENT, Trait.COLLAPSE}),
    source="Dong, Cordonnier and Loukas 2021, section 2, https://arxiv.org/abs/2103.03404",
)
implementations = (
    Implementation(
        variant=variant,
        name="reference",
        call=reference.scores,
        limits=Limits(zero_length=False, gradients=False),
        arithmetic=STRAIGHTFORWARD,
        share=0.2,
    ),
)
