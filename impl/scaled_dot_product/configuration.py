"""Which tile, how many warps and how many pipeline stages a kernel is launched with: one table, by target and by the larger head width.

The first entry of a row is what ships; on a GPU the others are tried too, once for each kind of call (`impl.scaled_dot_product.launch.fastest`).
No target of the table has been timed yet: entries were chosen by what Triton compiles (no spills in loops, tiles of 16 bytes a thread or more, occupancy,
instructions a score), see reports/kernels.md.
"""

from __future__ import annotations

from typing import NamedTuple


class Configuration(NamedTuple):
    """Rows (queries) and columns (keys) of a tile, warps a program, and stages of the loads' pipeline."""

    rows: int
    columns: int
    warps: int
    stages: int


C = Configuration
WIDTHS = (16, 32, 64, 128, 256)
# target → kernel → by width, 16 … 256
TABLE: dict[str, dict[str, tuple[tuple[Configuration, ...], ...]]] = {
    "sm_80": {
        "forward": ((C(128, 64, 4, 3),), (C(128, 64, 4, 3),), (C(128, 64, 4, 3),), (C(128, 32, 8, 3), C(128, 64, 8, 2)), (C(64, 32, 8, 2),)),
        "backward_queries": ((C(64, 64, 4, 2),), (C(128, 32, 4, 2),), (C(128, 32, 8, 2), C(128, 32, 4, 2)), (C(64, 64, 8, 2),), (C(64, 64, 8, 2),)),
        "backward_keys": ((C(64, 64, 4, 2),), (C(32, 128, 4, 2),), (C(32, 128, 8, 2), C(32, 64, 4, 2)), (C(64, 64, 8, 2),), (C(32, 64, 8, 1),)),
    },
    "sm_90": {
        "forward": (
            (C(128, 64, 4, 3),),
            (C(128, 64, 4, 3),),
            (C(128, 64, 4, 3), C(128, 128, 8, 2)),
            (C(128, 64, 8, 3), C(128, 128, 8, 2)),
            (C(128, 32, 8, 2),),
        ),
        "backward_queries": (
            (C(64, 64, 4, 2),),
            (C(64, 64, 4, 2),),
            (C(64, 64, 4, 2), C(64, 64, 4, 1)),
            (C(64, 64, 4, 2), C(128, 64, 8, 2), C(64, 64, 4, 1)),
            (C(128, 32, 8, 2),),
        ),
        "backward_keys": (
            (C(64, 64, 4, 2),),
            (C(32, 128, 4, 2),),
            (C(64, 128, 8, 2), C(32, 64, 4, 2)),
            (C(32, 128, 8, 2), C(32, 64, 8, 2)),
            (C(16, 64, 8, 2),),
        ),
    },
    "sm_100": {
        "forward": (
            (C(128, 64, 4, 3),),
            (C(128, 64, 4, 3),),
            (C(128, 64, 4, 3), C(128, 128, 8, 2)),
            (C(128, 64, 8, 3), C(128, 128, 8, 2)),
            (C(128, 32, 8, 2),),
        ),
        "backward_queries": ((C(64, 64, 4, 2),), (C(64, 64, 4, 2),), (C(64, 64, 4, 2), C(128, 64, 8, 2)), (C(128, 64, 8, 2),), (C(128, 32, 8, 2),)),
        "backward_keys": (
            (C(64, 64, 4, 2),),
            (C(32, 128, 4, 2),),
            (C(32, 128, 8, 2), C(64, 128, 8, 1)),
            (C(32, 128, 8, 1), C(32, 64, 4, 1)),
            (C(16, 32, 4, 2),),
        ),
    },
    "gfx942": {
        "forward": ((C(64, 64, 2, 1),), (C(128, 64, 4, 1),), (C(128, 64, 4, 1),), (C(128, 64, 8, 1),), (C(64, 32, 8, 1),)),
        "backward_queries": ((C(64, 64, 2, 1),), (C(128, 64, 4, 1),), (C(128, 32, 4, 1), C(128, 64, 4, 1)), (C(64, 32, 4, 1),), (C(64, 16, 4, 1),)),
        "backward_keys": ((C(64, 64, 2, 1),), (C(32, 64, 2, 1),), (C(32, 128, 4, 1), C(32, 64, 4, 1)), (C(16, 64, 4, 1),), (C(16, 64, 8, 1),)),
    },
}
INTERPRETED = Configuration(16, 16, 4, 1)  # small enough that short sequences have several tiles
CAUTIOUS = Configuration(32, 32, 4, 1)  # fits every device of the last ten years, and float32 inputs of width 256


def candidates(target: str, kernel: str, width: int, bytes_each: int) -> tuple[Configuration, ...]:
    """The configurations to try, the shipping one first, for the larger padded width of a call whose elements have `bytes_each` bytes."""
    if target == "interpreter":
        return (INTERPRETED,)
    if target not in TABLE or bytes_each > 2:
        return (CAUTIOUS,)
    return TABLE[target][kernel][WIDTHS.index(width)]
