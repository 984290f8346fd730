"""Sliding-window attention with sinks, in parts: `reference` masks the whole, `rolling` writes a ring of slots, `shifting` keeps the last tokens,
`fused` reads the ring in Triton."""

from functools import partial

from impl.in_triton import offered
from impl.scaled_dot_product import flash
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Arithmetic, Implementation, Limits, Variant
from impl.window_cache import fused, reference, rolling, shifting

variant = Variant(
    name="window-cache",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CACHED, Trait.ROLLING, Trait.IN_TRITON}),
    source="Xiao, Tian, Chen, Han and Lewis 2024, section 3.2, https://arxiv.org/abs/2309.17453",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
GRADED, FORWARD = Limits(masks=("none",), causal=False), Limits(masks=("none",), causal=False, gradients=False)
COLUMNS = 2 if flash.device() == "cpu" else 16  # the interpreter multiplies tiles of any size, tensor cores do not
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
    *offered(
        variant,
        partial(fused.attention, piece=6, keys=4, tile=(16, COLUMNS, 4, 1, 16, 1)),  # a row may see nothing of the first split
        fused.operators,
        limits=FORWARD,
        arithmetic=Arithmetic(weights="input", tile=2),
        offers=("unused", "overwritten"),
        share=0.03,
    ),
)
