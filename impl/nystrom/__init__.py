"""Nyström attention: `reference` by the whole matrix of weights, `three_products` without it."""

from impl.nystrom import reference, three_products
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="nystrom",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.NYSTROM}),
    source="Xiong et al. 2021, https://arxiv.org/abs/2102.03902",
)
UNMASKED = Limits(masks=("none",), causal=False, zero_length=False)
implementations = tuple(
    Implementation(variant=variant, name=name, call=call, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, offers=("singular blocks",), share=0.4)
    for name, call in (("reference", reference.attention), ("three-products", three_products.attention))
)
