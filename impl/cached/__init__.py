"""Incremental decoding: `reference` masks part by part, `cache` keeps keys and values in slots, `paged` in pages, `split` reads them in splits."""

from functools import partial

from impl.cached import cache, paged, reference, split
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Arithmetic, Implementation, Limits, Variant

variant = Variant(
    name="cached",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CACHED}),
    source="Pope et al. 2022, section 2, https://arxiv.org/abs/2211.05102",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
FORWARD = Limits(masks=("none",), causal=False, gradients=False)
implementations = (
    Implementation(
        variant=variant,
        name="reference",
        call=reference.attention,
        limits=Limits(masks=("none",), causal=False),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
    Implementation(
        variant=variant, name="cache", call=cache.attention, limits=FORWARD, arithmetic=STRAIGHTFORWARD, offers=("unused", "overwritten"), share=SHARE
    ),
    Implementation(
        variant=variant,
        name="cache-that-grows",
        call=partial(cache.attention, capacity=1, grows=True),
        limits=FORWARD,
        arithmetic=STRAIGHTFORWARD,
        offers=("unused", "overwritten"),
        share=SHARE,
    ),
    Implementation(
        variant=variant,
        name="paged-by-2",
        call=partial(paged.attention, page=2),
        limits=Limits(masks=("none",), causal=False, gradients=False, edges=(2, 4)),
        arithmetic=STRAIGHTFORWARD,
        offers=("unused", "page_table"),
        share=SHARE,
    ),
    Implementation(
        variant=variant,
        name="split-by-2",
        call=partial(split.attention, keys=2),
        limits=Limits(masks=("none",), causal=False, gradients=False, edges=(2, 4)),
        arithmetic=Arithmetic(detours=2, tile=2, casts="once"),  # the scale may meet the query first; a merge multiplies once more
        offers=("unused",),
        share=SHARE,
    ),
)
