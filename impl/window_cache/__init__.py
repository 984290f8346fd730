"""Sliding-window attention with sinks, in parts: `reference` masks the whole, `rolling` writes a ring of slots, `shifting` keeps the last tokens."""

from functools import partial

from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant
from impl.window_cache import reference, rolling, shifting

variant = Variant(
    name="window-cache",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CACHED, Trait.ROLLING}),
    source="Xiao, Tian, Chen, Han and Lewis 2024, section 3.2, https://arxiv.org/abs/2309.17453",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
GRADED, FORWARD = Limits(masks=("none",), causal=False), Limits(masks=("none",), causal=False, gradients=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=GRADED, arithmetic=STRAIGHTFORWARD, share=SHARE),
    *(
        Implementation(
            variant=variant,
            name=f"rolling-by-{piece}",
            call=partial(rolling.attention, piece=piece),
            limits=FORWARD,
            arithmetic=STRAIGHTFORWARD,
            offers=("unused", "overwritten"),
            share=SHARE,
        )
        for piece in (1, 3)
    ),
    Implementation(variant=variant, name="shifting", call=shifting.attention, limits=GRADED, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
