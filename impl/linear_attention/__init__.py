"""Linear attention (kernel attention with a named feature map): `reference` by all weights, `two_products` without causality, `recurrent`, `chunked`."""

from functools import partial

from impl.linear_attention import chunked, recurrent, reference, two_products
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="linear-attention",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.KERNELISED}),
    source="Katharopoulos, Vyas, Pappas and Fleuret 2020, https://arxiv.org/abs/2006.16236",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
PADDED = Limits(masks=("none", "boolean"))
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=PADDED, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="two-products",
        call=two_products.attention,
        limits=Limits(masks=("none", "boolean"), causal=False),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
    Implementation(variant=variant, name="recurrent", call=recurrent.attention, limits=PADDED, arithmetic=STRAIGHTFORWARD, offers=("parts",), share=SHARE),
    *(
        Implementation(
            variant=variant,
            name=f"chunked-by-{chunk}",
            call=partial(chunked.attention, chunk=chunk),
            limits=Limits(masks=("none", "boolean"), edges=(chunk,) if chunk < 9 else ()),
            arithmetic=STRAIGHTFORWARD,
            offers=("parts",),
            share=SHARE,
        )
        for chunk in (2, 4, chunked.CHUNK)
    ),
)
