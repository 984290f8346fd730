"""Scores of attention patterns (local, diagonal, broadcast, previous token, induction): `reference` by masks, `by_diagonals` reading less."""

from impl.instruments.pattern_scores import by_diagonals, reference
from impl.trait import Trait
from impl.variant import STRAIGHTFORWARD, Implementation, Limits, Variant

variant = Variant(
    name="pattern-scores",
    reference=reference.scores,
    traits=frozenset({Trait.INSTRUMENT, Trait.PATTERN_SCORES}),
    source="Clark et al. 2019, section 3, https://arxiv.org/abs/1906.04341; Olsson et al. 2022, https://arxiv.org/abs/2209.11895",
)
LIMITS = Limits(gradients=False)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.scores, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.15),
    Implementation(variant=variant, name="by-diagonals", call=by_diagonals.scores, limits=LIMITS, arithmetic=STRAIGHTFORWARD, share=0.15),
)
