"""Every variant and implementation. Imports nothing of this project but itself; adding a variant is one import and one name here."""

from impl import additive, bilinear, concat, hybrid, kernel_density, location, multi_head, scaled_dot_product

PACKAGES = (scaled_dot_product, multi_head, additive, bilinear, concat, location, hybrid, kernel_density)
VARIANTS = {p.variant.name: p.variant for p in PACKAGES}
IMPLEMENTATIONS = tuple(i for p in PACKAGES for i in p.implementations)
