"""Attention as kernel regression (Nadaraya and Watson): `reference` by distances, `as_attention` by dot products and a bias for each key."""

from impl.kernel_density import as_attention, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="kernel-density",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED}),
    source="Nadaraya 1964, https://doi.org/10.1137/1109020; Watson 1964, https://www.jstor.org/stable/25049340",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=0.3),
    Implementation(variant=variant, name="as-attention", call=as_attention.attention, arithmetic=STRAIGHTFORWARD, share=0.3),
)
