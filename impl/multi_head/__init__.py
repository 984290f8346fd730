"""Multi-head attention with its projections: `reference` loops over heads, `fused` projects all heads at once."""

from impl.multi_head import fused, reference, torch_functional
from impl.trait import Trait
from impl.variant import Arithmetic, Implementation, Limits, Variant

variant = Variant(
    name="multi-head",
    reference=reference.attention,
    traits=frozenset({Trait.MULTI_HEAD}),
    source="Vaswani et al. 2017, section 3.2.2, https://arxiv.org/abs/1706.03762",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=Arithmetic(score_roundings=4, exponent_roundings=1, tile=None)),
    Implementation(variant=variant, name="fused", call=fused.attention),
    Implementation(
        variant=variant,
        name="torch",
        call=torch_functional.attention,
        limits=Limits(dtypes=("float64", "float32"), unequal_widths=False, zero_length=False),
        arithmetic=Arithmetic(weights="input", recompute="log-sum-exp", saved_output="input"),
        ours=False,
    ),
)
