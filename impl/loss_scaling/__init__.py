"""Training in half precision under a loss scale: `reference` by autograd, `by_hand` with backward written out."""

from impl.loss_scaling import by_hand, reference
from impl.trait import Trait
from impl.variant import Implementation, Limits, Variant

variant = Variant(
    name="loss-scaling",
    reference=reference.training,
    traits=frozenset({Trait.LOSS_SCALED}),
    source="Micikevicius et al. 2018, section 3.2, https://arxiv.org/abs/1710.03740",
)
HALF = Limits(dtypes=("float16",), gradients=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.training, limits=HALF, share=0.4),
    Implementation(variant=variant, name="by-hand", call=by_hand.training, limits=HALF, share=0.4),
)
