"""The course text's global tokens: selected tokens attend to all positions, and nothing is said of who attends to them."""

from __future__ import annotations

from collections.abc import Iterable


def keys(row: int, count: int, window: int, global_tokens: tuple[int, ...]) -> Iterable[int]:
    """All positions for a global row, and the window |j − i| ≤ w for any other.

    Incomplete: global tokens gather everything, but rows outside of their window never see them, so that nothing comes back: through L calls a row still
    sees no more than L windows to each side, and what is near a global token within them. Right is both ways, impl/longformer/reference.py.
    Text: "Day 42: Attention Mechanisms", Longformer Attention and BigBird Attention.
    """
    return range(count) if row in global_tokens else range(max(0, row - window), min(count, row + window + 1))
