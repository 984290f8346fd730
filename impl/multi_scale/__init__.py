"""Attention at several scales: `reference` pools by a matrix, `segments` by sums over cells."""

from impl.multi_scale import reference, segments
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="multi-scale",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.MULTI_SCALE}),
    source="Yang, Li, Zhang, Dai, Xiao, Yuan and Gao 2021, https://arxiv.org/abs/2107.00641",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
UNMASKED = Limits(masks=("none",), causal=False, max_length=9)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="segments", call=segments.attention, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
