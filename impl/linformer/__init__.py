"""Linformer attention: `reference` projects keys and values first, `all_scores` the scores and weights."""

from impl.linformer import all_scores, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="linformer",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED}),
    source="Wang et al. 2020, https://arxiv.org/abs/2006.04768",
)
UNMASKED = Limits(masks=("none",), causal=False)
implementations = tuple(
    Implementation(variant=variant, name=name, call=call, limits=UNMASKED, arithmetic=STRAIGHTFORWARD, share=0.3)
    for name, call in (("reference", reference.attention), ("all-scores", all_scores.attention))
)
