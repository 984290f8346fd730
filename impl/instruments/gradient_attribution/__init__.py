"""Gradient times input, of attention weights and of tokens."""

from impl.instruments.gradient_attribution import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="gradient-attribution",
    reference=reference.attribution,
    traits=frozenset({Trait.COMPOSED, Trait.ATTRIBUTION}),
    source="Hao et al. 2021, Eq. 4, https://arxiv.org/abs/2004.11207; Shrikumar et al. 2016, https://arxiv.org/abs/1605.01713",
)
LIMITS = Limits(gradients=False, max_length=5, unequal_lengths=False)
implementations = (Implementation(variant=variant, name="reference", call=reference.attribution, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.2),)
