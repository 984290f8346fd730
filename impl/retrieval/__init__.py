"""Retrieval-augmented attention over an external memory: `reference` by all scores, `blockwise` by a running top-k over blocks of the memory."""

from functools import partial

from impl.retrieval import blockwise, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="retrieval",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.RETRIEVAL}),
    source="Tworkowski et al. 2023, section 3.1, https://arxiv.org/abs/2307.03170",
)
SHARE = 0.2  # of a profile's examples: the true values cost some 10 ms an example
UNMASKED = Limits(masks=("none",))
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, share=SHARE),
    *(
        Implementation(
            variant=variant,
            name=name,
            call=partial(blockwise.attention, block=block),
            limits=UNMASKED,
            arithmetic=STRAIGHTFORWARD,
            share=SHARE,
        )
        for name, block in (("blockwise", blockwise.BLOCK), ("blocks-of-2", 2))
    ),
)
