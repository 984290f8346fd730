"""Incremental decoding: `reference` masks part by part, `cache` keeps keys and values in slots, `paged` in pages, `split` reads them in splits, and so does
`fused`, from slots or pages, in Triton."""

from dataclasses import replace
from functools import partial

from impl.cached import cache, fused, paged, reference, split
from impl.in_triton import offered
from impl.scaled_dot_product import flash
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Arithmetic, Implementation, Limits, Variant

variant = Variant(
    name="cached",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CACHED, Trait.IN_TRITON}),
    source="Pope et al. 2022, section 2, https://arxiv.org/abs/2211.05102",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
FORWARD = Limits(masks=("none",), causal=False, gradients=False)
# The interpreter takes 10 ms a program, and a call has one for each split and key head of each part: lengths stay at the other caches' nine.
INTERPRETED = replace(FORWARD, edges=(4, 8))
COLUMNS = 4 if flash.device() == "cpu" else 16  # the interpreter multiplies tiles of any size, tensor cores do not
TILES = (16, COLUMNS, 4, 1, 16, 2)  # two splits a pass of the merge
ON_TENSOR_CORES = Arithmetic(weights="input", tile=4)
in_pages, *in_bfloat16 = offered(
    variant,
    partial(fused.attention, page=2, keys=8, tile=TILES),
    fused.operators,
    limits=INTERPRETED,
    arithmetic=ON_TENSOR_CORES,
    offers=("unused", "page_table", "overwritten"),
    share=0.06,
)
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
    in_pages,
    *in_bfloat16,
    replace(in_pages, name="triton-large-pages", call=partial(fused.attention, page=8, keys=4, tile=TILES), share=0.03),  # one page a tile
    replace(
        in_pages,
        name="triton-slots",
        call=partial(fused.attention, page=None, keys=6, tile=(COLUMNS, *TILES[1:])),  # many blocks of rows, and splits that end within a tile
        arithmetic=replace(ON_TENSOR_CORES, tile=2),
        offers=("unused", "overwritten"),
        share=0.03,
    ),
    replace(in_pages, name="triton-shipping", call=fused.attention, limits=replace(INTERPRETED, dtypes=("float16",)), share=0.02),
)
