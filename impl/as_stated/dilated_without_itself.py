"""The course text's dilated pattern: the positions at distances 1, 2, 4, 8, …, without the row's own."""

from __future__ import annotations

from collections.abc import Iterable


def keys(row: int, count: int) -> Iterable[int]:
    """W_i = {i − 2^0, i − 2^1, …, i + 2^0, i + 2^1, …} within 0 … count − 1.

    Wrong: a row never sees its own key, and where it has no neighbour (a sequence of one, or the first row under causality) the set is empty, so that the
    text's softmax over it is 0/0. Right is W_i ∪ {i}, impl/dilated/reference.py. Text: "Day 15.2: Attention Mechanisms Deep Dive", Dilated Attention.
    """
    distances = [1 << power for power in range(count.bit_length())]
    return sorted(key for distance in distances for key in (row - distance, row + distance) if 0 <= key < count)
