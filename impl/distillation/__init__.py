"""Divergences between a student's attention and a teacher's: `reference` by autograd, `in_place` with the gradients written out."""

from dataclasses import replace

from impl.distillation import in_place, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="distillation",
    reference=reference.divergence,
    traits=frozenset({Trait.DISTILLED}),
    source="Wang et al. 2020, Eq. 4, https://arxiv.org/abs/2002.10957; Hinton, Vinyals and Dean 2015, https://arxiv.org/abs/1503.02531",
)
LOGARITHMS = replace(STRAIGHTFORWARD, normalise="log-sum-exp", recompute="log-sum-exp")  # weights are exponentials of log softmax
implementations = (
    Implementation(variant=variant, name="reference", call=reference.divergence, arithmetic=LOGARITHMS, share=0.2),
    Implementation(variant=variant, name="in-place", call=in_place.divergence, arithmetic=LOGARITHMS, share=0.2),
)
