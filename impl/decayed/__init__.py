"""Linear attention with exponential decay: `reference` by all weights, `recurrent` token by token, `chunked`."""

from functools import partial

from impl.decayed import chunked, recurrent, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="decayed",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CACHED, Trait.DECAYED}),
    source="Sun et al. 2023, equations 5 and 6, https://arxiv.org/abs/2307.08621",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
LIMITS = Limits(masks=("none",), causal=False, grouped_queries=False, scale=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="recurrent", call=recurrent.attention, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="chunked-by-2",
        call=partial(chunked.attention, chunk=2),
        limits=Limits(masks=("none",), causal=False, grouped_queries=False, scale=False, edges=(2, 4)),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
)
