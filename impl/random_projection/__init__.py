"""Random projections [m, D] whose rows are standard normal, drawn from a seed: independent, or orthogonal in blocks of D."""

from impl.random_projection import reference
from impl.trait import Trait
from impl.variant import Implementation, Variant

variant = Variant(
    name="random-projection",
    reference=reference.seeded_gaussian,
    traits=frozenset({Trait.PROJECTION}),
    source="Choromanski et al. 2021, section 2.4, https://arxiv.org/abs/2009.14794",
)
implementations = (
    Implementation(variant=variant, name="reference", call=reference.seeded_gaussian, share=0.1),
    Implementation(variant=variant, name="orthogonal", call=reference.seeded_orthogonal, offers=("orthogonal rows",), share=0.1),
)
