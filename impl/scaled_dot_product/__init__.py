"""Scaled dot-product attention: self, cross, causal, masked, grouped. `reference` defines it; the others claim to compute it."""

from functools import partial

import torch

from impl.scaled_dot_product import blockwise, reference
from impl.variant import Arithmetic, Conventions, Implementation, Limits, Trait, Variant

variant = Variant(
    name="scaled-dot-product",
    reference=reference.attention,
    traits=frozenset({Trait.DOT_PRODUCT}),
    source="Vaswani et al. 2017, Eq. 1, https://arxiv.org/abs/1706.03762",
)
OURS = Conventions(mask_and_causal="both")


def tiled(name: str, block: int, max_length: int) -> Implementation:
    """The blockwise implementation at one tile size."""
    return Implementation(
        variant=variant,
        name=name,
        call=partial(blockwise.attention, block=block),
        log_sum_exp=partial(blockwise.attention_with_log_sum_exp, block=block),
        limits=Limits(edges=(block,), max_length=max_length),
        conventions=OURS,
        arithmetic=Arithmetic(score_roundings=4, exponent_roundings=1, tile=block, exact_means=True),
    )


implementations = (
    Implementation(
        variant=variant,
        name="reference",
        call=reference.attention,
        log_sum_exp=reference.attention_with_log_sum_exp,
        conventions=OURS,
        arithmetic=Arithmetic(score_roundings=4, exponent_roundings=1, tile=None, exact_means=True),
    ),
    tiled("blockwise", blockwise.BLOCK, 66),
    tiled("blockwise-tiles-of-4", 4, 13),  # many tiles at lengths that the oracle can afford
    Implementation(
        variant=variant,
        name="torch",
        call=torch.nn.functional.scaled_dot_product_attention,
        limits=Limits(edges=(16, 32, 64), max_length=129, long=True),
        arithmetic=Arithmetic(weights="input", recompute="log-sum-exp", saved_output="input"),
        ours=False,
    ),
)
