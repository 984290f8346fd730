"""Block-sparse attention: `reference` by a mask, or by the pairs of the pattern; `blocks` by the named blocks, `fused` in Triton, for all patterns."""

from functools import partial

from impl.block_sparse import blocks, reference
from impl.block_sparse.rows import in_triton
from impl.patterns import by_pairs
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Conventions, Implementation, Variant

variant = Variant(
    name="block-sparse",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PATTERN, Trait.IN_TRITON}),
    source="Dao et al. 2022, section 3.3, https://arxiv.org/abs/2205.14135",
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
    Implementation(variant=variant, name="blocks", call=blocks.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    *in_triton(variant, reference.attention, shipping=True),
)
