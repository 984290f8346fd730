"""What a course text's heat map shows: the drawing is replaced by the labels that each cell stands under.

A heat map draws a matrix's rows from top to bottom and its columns from left to right; so queries label the y axis and keys the x axis, as the text has it for
self-attention. But both axes get the same tokens: of weights [N, M] between two texts the keys are labelled with queries, as many as there are; and neither
axis says which it is, so that a transposed matrix is drawn without a sign of it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


def cells(weights: Tensor, tokens: Sequence[str]) -> list[tuple[str, str, float]]:
    """(label on y, label on x, weight) of each cell of weights [N, M], rows first; labels of the one list of tokens, "" where it has none left. Source: Day 42:
    Attention Mechanisms, "Attention Heatmaps"."""
    return [(label(tokens, i), label(tokens, j), float(weights[i, j])) for i in range(weights.shape[0]) for j in range(weights.shape[1])]


def label(tokens: Sequence[str], place: int) -> str:
    return tokens[place] if place < len(tokens) else ""
