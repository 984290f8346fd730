"""The syntactic score of a course text: a loop over (head, dependent) pairs that indexes the weights twice.

Right for one map [N, N] and a tree with an edge. A tree without edges (a sentence of one word) divides by 0; weights [H, N, N] are indexed by the dependent as
if it were a head, and a score of whole columns comes out without a word; and no level of chance is told: a map that looks one place back scores highly where
heads stand there. impl/instruments/syntactic_alignment takes any leading axes, and refuses an empty tree by name.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def score(weights: Tensor, tree: Sequence[tuple[int, int]]) -> Tensor:
    """The mean of weights[dependent, head]. Raises ZeroDivisionError for an empty tree. Source: Day 15.2: Attention Mechanisms Deep Dive, "Probing Attention
    for Linguistic Structure"."""
    found: Tensor | int = 0
    for head, dependent in tree:
        found = found + weights[dependent, head]
    result: Tensor = found / len(tree)  # type: ignore[assignment]
    return result
