"""Rotary positions (RoPE): `reference` turns pairs as complex numbers, `by_halves` in real ones, `fused` in a kernel before dense attention's."""

from dataclasses import replace
from functools import partial

from impl.in_triton import offered
from impl.rotary import by_halves, fused, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="rotary",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.RELATIVE, Trait.IN_TRITON}),
    source="Su et al. 2021, section 3.2, https://arxiv.org/abs/2104.09864",
)
in_triton = offered(
    variant,
    partial(fused.attention, turning=(16, 2, 4), tile=(16, 16, 4, 1)),
    fused.operators,
    limits=Limits(gradients=False, edges=(16,), max_length=33, max_heads=6),
    arithmetic=replace(STRAIGHTFORWARD, angles="float64", weights="input", tile=16),
    share=0.06,
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=replace(STRAIGHTFORWARD, angles="float64"), share=0.3),
    Implementation(variant=variant, name="by-halves", call=by_halves.attention, arithmetic=replace(STRAIGHTFORWARD, angles="float64"), share=0.3),
    *in_triton,
    replace(
        in_triton[0],
        name="triton-shipping",
        call=partial(fused.attention, tile="sm_90"),
        limits=replace(in_triton[0].limits, dtypes=("float16",), widths=(2, 6, 16), edges=(64, 128), max_length=130, max_heads=2),
        share=0.03,
    ),
)
