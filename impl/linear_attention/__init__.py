"""Linear attention (kernel attention with a named feature map): `reference` by all weights, `two_products` without causality, `recurrent`, `chunked`, and
`fused`, the chunked one in a kernel."""

from dataclasses import replace
from functools import partial

from impl.in_triton import offered
from impl.linear_attention import chunked, fused, recurrent, reference, two_products
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="linear-attention",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.KERNELISED, Trait.IN_TRITON}),
    source="Katharopoulos, Vyas, Pappas and Fleuret 2020, https://arxiv.org/abs/2006.16236",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
PADDED = Limits(masks=("none", "boolean"))
IN_CHUNKS = offered(
    variant,
    partial(fused.attention, tile=(16, 16, 4, 1)),
    fused.operators,
    limits=replace(PADDED, edges=(16,), max_length=33, max_heads=6),
    arithmetic=replace(STRAIGHTFORWARD, saved_output="input"),
    share=0.06,
)
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
    *IN_CHUNKS,
    replace(
        IN_CHUNKS[0],
        name="triton-shipping",
        call=partial(fused.attention, tile="sm_90"),
        limits=replace(PADDED, dtypes=("float16",), edges=(16,), max_length=34, max_heads=3),
        share=0.03,
    ),
)
