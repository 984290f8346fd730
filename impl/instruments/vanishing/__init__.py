"""Bounds on the gradient that passes through each row's softmax."""

from impl.instruments.vanishing import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="vanishing",
    reference=reference.bounds,
    traits=frozenset({Trait.INSTRUMENT, Trait.VANISHING}),
    source="Martins and Astudillo 2016, section 2.5, https://arxiv.org/abs/1602.02068; Gershgorin 1931",
)
implementations = (
    Implementation(
        variant=variant,
        name="reference",
        call=reference.bounds,
        limits=Limits(zero_length=False, gradients=False),
        arithmetic=STRAIGHTFORWARD,
        share=0.2,
    ),
)
