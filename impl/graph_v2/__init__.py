"""Graph attention of the second kind (GATv2): `reference` by a mask over nodes and edges, `segments` by a softmax over each node's edges,
`fused` by a kernel for that."""

from dataclasses import replace
from functools import partial

from impl.graph_v2 import fused, reference, segments
from impl.in_triton import offered
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="graph-v2",
    reference=reference.attention,
    traits=frozenset({Trait.COMPOSED, Trait.GRAPH, Trait.DYNAMIC_GRAPH, Trait.IN_TRITON}),
    source="Brody, Alon and Yahav 2022, https://arxiv.org/abs/2105.14491",
)
SHARE = 0.12  # of a profile's examples: the true values cost some 10 ms an example
BY_QUOTIENT = replace(STRAIGHTFORWARD, detours=3)  # backward of a quotient by a sum divides twice where the definition has one product
TILE = (4, 2, 1)  # four segments a program, two rows of each at a time
IN_TILES = replace(BY_QUOTIENT, tile=2, recompute="log-sum-exp")
implementations = (
    Implementation(variant=variant, name="reference", call=reference.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(variant=variant, name="segments", call=segments.attention, arithmetic=BY_QUOTIENT, share=SHARE),
    *offered(variant, partial(fused.attention, tile=TILE), fused.operators, limits=Limits(), arithmetic=IN_TILES, share=0.06),
    replace(
        offered(variant, fused.attention, fused.operators, limits=Limits(), arithmetic=replace(IN_TILES, tile=1), share=0.03)[0],
        name="triton-shipping",
        limits=Limits(dtypes=("float16",)),
    ),
)
