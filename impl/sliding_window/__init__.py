"""Sliding-window attention: `reference` by a mask, or by the pairs of the pattern; `banded` in tiles of rows; in Triton by blocks. By a cache: window_cache."""

from functools import partial

from impl.block_sparse.rows import in_triton
from impl.patterns import by_pairs
from impl.sliding_window import banded, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Conventions, Implementation, Limits, Variant

variant = Variant(
    name="sliding-window",
    reference=reference.attention,
    traits=frozenset({Trait.DEFINED, Trait.PATTERN, Trait.WINDOW, Trait.IN_TRITON}),
    source="Beltagy, Peters and Cohan 2020, section 3.1, https://arxiv.org/abs/2004.05150",
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
    Implementation(variant=variant, name="banded", call=banded.attention, arithmetic=STRAIGHTFORWARD, share=SHARE),
    Implementation(
        variant=variant, name="banded-by-2", call=partial(banded.attention, tile=2), limits=Limits(edges=(2, 4)), arithmetic=STRAIGHTFORWARD, share=SHARE
    ),
    *in_triton(variant, reference.attention, shipping=True),
)
