"""Hard monotonic attention: `reference` looks at every energy, `walk` at those on its way."""

from impl.hard_monotonic import reference, walk
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="hard-monotonic",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.HARD_MONOTONIC}),
    source="Raffel et al. 2017, section 2.2 and algorithm 1, https://arxiv.org/abs/1704.00784",
)
SHARE = 0.3
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=Limits(causal=False), arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="walk", call=walk.attention, limits=Limits(causal=False), arithmetic=STRAIGHTFORWARD, share=SHARE),
)
