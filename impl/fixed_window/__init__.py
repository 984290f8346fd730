"""Attention within blocks of the sequence, and to summary positions: by a mask, by the pairs of the pattern, or in Triton by the blocks that hold them."""

from functools import partial

from impl.block_sparse.rows import in_triton
from impl.fixed_window import reference
from impl.patterns import by_pairs
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Conventions, Implementation, Variant

variant = Variant(
    name="fixed-window",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PATTERN, Trait.IN_TRITON}),
    source="Child et al. 2019, section 4.3, https://arxiv.org/abs/1904.10509",
)
SHARE = 0.08  # of a profile's examples: the true values cost some ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant,
        name="by-pairs",
        call=partial(reference.attention, method=by_pairs),
        conventions=Conventions(masked_nan="blocked"),
        arithmetic=STRAIGHTFORWARD,
        share=SHARE,
    ),
    *in_triton(variant, reference.attention),
)
