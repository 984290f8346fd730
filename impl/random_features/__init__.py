"""Attention by random features: `reference` pair by pair, `linear_time` by a state, `fused` by kernels. Projections to hand over are drawn by
random_projection."""

from dataclasses import replace
from functools import partial

from impl.in_triton import offered
from impl.random_features import fused, linear_time, reference
from impl.trait import Trait
from impl.variant import Arithmetic, Implementation, Limits, Variant

variant = Variant(
    name="random-features",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.KERNELISED, Trait.IN_TRITON}),
    source="Choromanski et al. 2021, https://arxiv.org/abs/2009.14794; Rahimi and Recht 2007, https://papers.nips.cc/paper/3182",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 20 ms an example
MASKS = ("none", "boolean")
TWICE = 2  # the exponents of a query and a key are added, and rounded once more, before the exponential
IN_CHUNKS = offered(
    variant,
    partial(fused.attention, tile=(16, 16, 4, 1, 2)),  # two parts of the features, as wide ones are taken
    fused.operators,
    limits=Limits(masks=MASKS, gradients=False, edges=(16,), max_length=33, max_heads=6),
    arithmetic=Arithmetic(detours=TWICE, casts="once", tile=16),
    share=0.06,
)
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
    *IN_CHUNKS,
    replace(
        IN_CHUNKS[0],
        name="triton-shipping",
        call=partial(fused.attention, tile="sm_90"),
        limits=Limits(masks=MASKS, dtypes=("float16",), gradients=False, edges=(64,), max_length=66, max_heads=3),
        share=0.03,
    ),
)
