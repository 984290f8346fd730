"""Graph attention of the second kind (GATv2): `reference` by a mask over nodes and edges, `segments` by a softmax over each node's edges."""

from dataclasses import replace

from impl.graph_v2 import reference, segments
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Variant

variant = Variant(
    name="graph-v2",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.GRAPH, Trait.DYNAMIC_GRAPH}),
    source="Brody, Alon and Yahav 2022, https://arxiv.org/abs/2105.14491",
)
SHARE = 0.12  # of a profile's examples: the true values cost some 10 ms an example
BY_QUOTIENT = replace(STRAIGHTFORWARD, detours=3)  # backward of a quotient by a sum divides twice where the definition has one product
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="segments", call=segments.attention, arithmetic=BY_QUOTIENT, share=SHARE),
)
