"""Attention with quantised queries and keys, of 8 bits or fewer: `reference` holds all scores, `tiled` one tile of them and its keys in int8,
`fused` one tile of them in a kernel."""

from dataclasses import replace
from functools import partial

from impl.in_triton import offered
from impl.int8 import fused, reference, tiled
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="int8",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.QUANTISED, Trait.IN_TRITON}),
    source="Dettmers et al. 2022, section 2, https://arxiv.org/abs/2208.07339",
)
in_triton = offered(
    variant,
    partial(fused.attention, tile=(16, 16, 4, 1)),
    fused.operators,
    limits=Limits(gradients=False, edges=(16,), max_length=33, max_heads=6),
    arithmetic=replace(STRAIGHTFORWARD, weights="input", tile=16),
    share=0.06,
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="tiled-by-2",
        call=partial(tiled.attention, keys=2),
        limits=Limits(mask_gradient=False, edges=(2, 4)),
        arithmetic=replace(STRAIGHTFORWARD, tile=2),
        share=SHARE,
    ),
    *in_triton,
    replace(
        in_triton[0],
        name="triton-shipping",
        call=partial(fused.attention, tile="sm_90"),
        limits=replace(in_triton[0].limits, dtypes=("float16",), widths=(8, 24), edges=(64, 128), max_length=130, max_heads=2),
        share=0.03,
    ),
)
