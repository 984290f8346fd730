"""How much each head matters to a loss: `reference` by gates of a model, `heads_once` from what the heads of one layer return."""

from impl.instruments.head_importance import heads_once, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="head-importance",
    reference=reference.importance,
    traits=frozenset({Trait.COMPOSED, Trait.HEAD_IMPORTANCE}),
    source="Michel, Levy and Neubig 2019, section 3 and Eq. 2, https://arxiv.org/abs/1905.10650",
)
LIMITS = Limits(gradients=False, max_length=5, unequal_lengths=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.importance, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.2),
    Implementation(variant=variant, name="heads-once", call=heads_once.importance, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.2),
)
