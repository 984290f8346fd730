"""Attention by random features: `reference` pair by pair, `linear_time` by a state. Projections to hand over are drawn by random_projection."""

from functools import partial

from impl.random_features import linear_time, reference
from impl.trait import Trait
from impl.variant import Arithmetic, Implementation, Limits, Variant

variant = Variant(
    name="random-features",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.KERNELISED}),
    source="Choromanski et al. 2021, https://arxiv.org/abs/2009.14794; Rahimi and Recht 2007, https://papers.nips.cc/paper/3182",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 20 ms an example
MASKS = ("none", "boolean")
TWICE = 2  # the exponents of a query and a key are added, and rounded once more, before the exponential
implementations = (
    Implementation(
        variant=variant,
        name="reference",
        call=reference.attention,
        limits=Limits(masks=MASKS),
        arithmetic=Arithmetic(detours=TWICE, casts="once", tile=None),
        share=SHARE,
    ),
    Implementation(
        variant=variant,
        name="linear-time",
        call=linear_time.attention,
        limits=Limits(masks=MASKS),
        arithmetic=Arithmetic(detours=TWICE, casts="once", tile=64),
        share=SHARE,
    ),
    *(
        Implementation(
            variant=variant,
            name=f"linear-time-by-{chunk}",
            call=partial(linear_time.attention, chunk=chunk),
            limits=Limits(masks=MASKS, edges=(chunk,)),
            arithmetic=Arithmetic(detours=TWICE, casts="once", tile=chunk),
            share=SHARE,
        )
        for chunk in (2, 4)
    ),
)
