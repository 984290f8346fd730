"""What the course texts' formulas of sparse patterns compute instead, by cases that are exact."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

from impl.as_stated import dilated_without_itself, global_tokens_one_way, pattern_after_the_softmax
from impl.dilated.reference import Doubling
from impl.longformer import reference as longformer
from impl.sliding_window import reference


def test_a_pattern_after_the_softmax_leaves_rows_below_one() -> None:
    """Four keys of equal scores, of which each row sees its own: the weight is 1/4 where the formula above the text's has 1."""
    query = key = torch.zeros(4, 1)
    value, own = torch.ones(4, 1), torch.eye(4)
    assert pattern_after_the_softmax.attention(query, key, value, own).flatten().tolist() == [0.25] * 4
    assert reference.attention(query, key, value, 1).flatten().tolist() == [1.0] * 4


def test_a_pattern_after_the_softmax_depends_on_what_it_hides() -> None:
    query, value, own = torch.ones(2, 1), torch.ones(2, 1), torch.eye(2)
    key, other = torch.zeros(2, 1), torch.tensor([[0.0], [8.0]])
    first = [pattern_after_the_softmax.attention(query, k, value, own)[0].item() for k in (key, other)]
    assert first[0] != first[1], "row 0 does not see key 1"
    assert torch.equal(reference.attention(query, key, value, 1)[0], reference.attention(query, other, value, 1)[0])


def test_without_its_own_position_a_row_may_see_nothing() -> None:
    assert dilated_without_itself.keys(0, 1) == []
    assert all(key > 0 for key in dilated_without_itself.keys(0, 9)), "under causality the first row sees none of these"
    for count in (1, 2, 9, 17):
        for row in range(count):
            own = {key for key in Doubling().keys(row, count) if 0 <= key < count}
            assert own == {row, *dilated_without_itself.keys(row, count)}


def reached(pattern: Callable[[int], Iterable[int]], count: int, calls: int) -> list[set[int]]:
    """The positions that each row sees through so many calls."""
    found = [{row} for row in range(count)]
    for _ in range(calls):
        found = [{key for middle in pattern(row) for key in found[middle]} for row in range(count)]
    return found


def test_global_tokens_that_nobody_sees_bring_nothing_back() -> None:
    """A token in the middle, windows of one position to each side: the ends of a sequence of 33 never meet in two calls, and both ways they do."""
    count, token, window = 33, 16, 1
    one_way = reached(lambda row: global_tokens_one_way.keys(row, count, window, (token,)), count, 2)
    assert 32 not in one_way[0]
    assert one_way[0] == {0, 1, 2}
    both = longformer.attention(torch.zeros(count, 1), torch.zeros(count, 1), torch.eye(count), window, 1, (token,))
    again: Tensor = longformer.attention(torch.zeros(count, 1), torch.zeros(count, 1), both, window, 1, (token,))
    assert bool((again > 0).all()), "through the token every position sees every other"
