"""Every variant and implementation. Imports nothing of this project but itself; adding a variant is one import and one name here."""

from impl import (
    additive,
    alibi,
    bilinear,
    concat,
    grid_positions,
    hybrid,
    kernel_density,
    learned_positions,
    location,
    multi_head,
    relative_bias,
    rotary,
    scaled_dot_product,
    sinusoidal,
)

PACKAGES = (
    scaled_dot_product,
    multi_head,
    additive,
    bilinear,
    concat,
    location,
    hybrid,
    kernel_density,
    sinusoidal,
    learned_positions,
    grid_positions,
    relative_bias,
    alibi,
    rotary,
)
VARIANTS = {p.variant.name: p.variant for p in PACKAGES}
IMPLEMENTATIONS = tuple(i for p in PACKAGES for i in p.implementations)
