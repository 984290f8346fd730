"""A decoder-only stack: `reference` computes whole sequences, `incremental` a few tokens at a time with fused projections and a cache."""

from functools import partial

from impl.gpt import incremental, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="gpt",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.CAUSAL_STACK}),
    source="Radford et al. 2019, section 2.3, https://openai.com/research/better-language-models",
)
SHARE = 0.06  # of a profile's examples: the true values cost some 50 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="incremental-by-2", call=partial(incremental.attention, step=2), arithmetic=STRAIGHTFORWARD, share=SHARE),
)
