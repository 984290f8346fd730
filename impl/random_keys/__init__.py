"""Attention to keys at random: by a mask, by the pairs of the pattern, or in Triton by the blocks that hold them."""

from functools import partial

from impl.block_sparse.rows import in_triton
from impl.patterns import by_pairs
from impl.random_keys import reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Conventions, Implementation, Variant

variant = Variant(
    name="random-keys",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PATTERN, Trait.IN_TRITON}),
    source="Zaheer et al. 2020, section 2, https://arxiv.org/abs/2007.14062",
)
SHARE = 0.08  # of a profile's examples: the true values cost some ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, offers=("draws",), share=SHARE),
    Implementation(
        variant=variant,
        name="by-pairs",
        call=partial(reference.attention, method=by_pairs),
        conventions=Conventions(masked_nan="blocked"),
        arithmetic=STRAIGHTFORWARD,
        offers=("draws",),
        share=SHARE,
    ),
    *in_triton(variant, reference.attention, offers=("draws",)),
)
