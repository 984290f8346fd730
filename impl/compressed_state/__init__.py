"""Attention over recent tokens and a compressed past: `reference` averages every group at once, `memory` keeps a state of constant size."""

from impl.compressed_state import memory, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="compressed-state",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CACHED, Trait.COMPRESSED}),
    source="Rae, Potapenko, Jayakumar and Lillicrap 2020, section 3.1, https://arxiv.org/abs/1911.05507",
)
SHARE = 0.15  # of a profile's examples: the true values cost some 10 ms an example
LIMITS = Limits(masks=("none",), causal=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="memory", call=memory.attention, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
