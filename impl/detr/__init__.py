"""Object queries over the features of an image: `reference` layer by layer, `memory_first` with all layers' keys and values at once."""

from impl.detr import memory_first, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="detr",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.OBJECT_QUERIES}),
    source="Carion et al. 2020, section 3.2, https://arxiv.org/abs/2005.12872",
)
SHARE = 0.05  # of a profile's examples: the true values cost some 50 ms an example
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="memory-first", call=memory_first.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
)
