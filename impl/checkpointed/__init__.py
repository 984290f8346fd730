"""Softmax attention in training with less memory: `reference` keeps all weights, `recomputing` and `by_torch` none, `offloaded` keeps them elsewhere."""

from functools import partial

from impl.checkpointed import by_torch, offloaded, recomputing, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Call, Implementation, Limits, Variant

variant = Variant(
    name="checkpointed",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.CHECKPOINTED}),
    source="Chen et al. 2016, section 4, https://arxiv.org/abs/1604.06174",
)


def ours(name: str, call: Call, share: float) -> Implementation:
    """Of the same operations as the reference, in the same order."""
    return Implementation(
        variant=variant,
        name=name,
        call=call,
        arithmetic=STRAIGHTFORWARD,
        share=share,
        offers=("the reference's operations",),
        limits=Limits(edges=(2, 4)),
    )


implementations = (
    ours("reference", reference.attention, 0.1),
    ours("recomputing", recomputing.attention, 0.15),
    ours("by-torch", by_torch.attention, 0.05),
    ours("offloaded", partial(offloaded.attention, place=offloaded.in_bytes), 0.1),
    ours("offloaded-to-disk", offloaded.attention, 0.05),
)
