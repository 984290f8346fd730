"""Every claim, topic by topic: statements, sources, derivations. Imports nothing of this project but itself.

Adding a topic is one import and one name in TOPICS.
"""

from types import ModuleType

from theorems import (
    analysis,
    capacity,
    circuits,
    collapse,
    compression,
    convexity,
    cost,
    cross_modal,
    depth,
    dropout,
    energies,
    energy_costs,
    entropy,
    facts,
    flash,
    gradients,
    graphs,
    heads,
    hierarchy,
    information,
    inventory,
    landscape,
    linear,
    long_range,
    low_rank,
    masks,
    metrics,
    monotonic,
    multi_head,
    normalisers,
    overflow,
    positions,
    random_features,
    rounding,
    running,
    scaling,
    similarity,
    softmax,
    sparsity,
    stacks,
    streaming,
    symmetry,
    throughput,
    training_memory,
    universality,
    vision,
)
from theorems.claim import Claim

TOPICS: tuple[ModuleType, ...] = (
    softmax,
    entropy,
    scaling,
    gradients,
    symmetry,
    masks,
    convexity,
    flash,
    multi_head,
    overflow,
    cost,
    throughput,
    energies,
    similarity,
    energy_costs,
    positions,
    normalisers,
    dropout,
    collapse,
    monotonic,
    linear,
    random_features,
    low_rank,
    sparsity,
    long_range,
    streaming,
    training_memory,
    compression,
    hierarchy,
    cross_modal,
    depth,
    information,
    circuits,
    heads,
    stacks,
    analysis,
    metrics,
    capacity,
    landscape,
    universality,
    graphs,
    vision,
    rounding,
    running,
    facts,
)


class BadLedger(ValueError):
    """Raised at import when two claims share an id, or a claim names an inventory row or a claim that does not exist."""


def gathered(topics: tuple[ModuleType, ...]) -> dict[str, Claim]:
    """All claims of the topics by id. Raises BadLedger, quoting the offending id."""
    claims: dict[str, Claim] = {}
    for claim in (x for topic in topics for x in vars(topic).values() if isinstance(x, Claim)):
        if claims.setdefault(claim.id, claim) is not claim:
            raise BadLedger(f"claim id {claim.id!r} is declared twice; ids are permanent and unique")
    for claim in claims.values():
        if unknown := set(claim.inventory) - inventory.rows().keys():
            raise BadLedger(f"claim {claim.id!r} names unknown inventory rows {sorted(unknown)}; rows run from C001 to C332")
        if unknown := {*claim.uses, *filter(None, [claim.corrected_by])} - claims.keys():
            raise BadLedger(f"claim {claim.id!r} refers to unknown claims {sorted(unknown)}")
    return claims


CLAIMS = gathered(TOPICS)
