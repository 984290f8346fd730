"""Monotonic chunkwise attention: `reference` holds the softmax of every chunk, `moving` sums shifted tensors."""

from impl.chunkwise_monotonic import moving, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="chunkwise-monotonic",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CHUNKWISE_MONOTONIC}),
    source="Chiu and Raffel 2018, https://arxiv.org/abs/1712.05382",
)
SHARE = 0.3
LIMITS = Limits(causal=False, masks=("none", "boolean"))
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="moving", call=moving.attention, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
