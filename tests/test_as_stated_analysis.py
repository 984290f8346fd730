"""What the course texts' own code for metrics of attention computes, by cases that are exact, beside what the instruments say."""

from __future__ import annotations

import math

import pytest
import torch

from impl.as_stated import (
    consistency_without_matching,
    distance_without_a_mean,
    entropy_with_an_offset,
    flow_as_a_sum_over_heads,
    heat_map_of_one_list_of_tokens,
    syntactic_attention_of_one_map,
)
from impl.instruments.attention_distance import reference as attention_distance
from impl.instruments.attention_entropy import reference as attention_entropy
from impl.instruments.attention_flow import reference as attention_flow
from impl.instruments.consistency import reference as consistency
from impl.instruments.rollout import reference as rollout
from impl.instruments.syntactic_alignment import reference as syntactic_alignment


@pytest.mark.parametrize("offset", [1e-8, 1e-9])
def test_the_offset_is_no_number_of_float16(offset: float) -> None:
    """It rounds to 0, and a weight of 0 makes the row NaN; −log p alone is never asked for here."""
    row = torch.tensor([1.0, 0.0], dtype=torch.float16)
    assert entropy_with_an_offset.entropy(row, offset).isnan()
    assert attention_entropy.entropy(row) == 0
    half = torch.tensor([0.5, 0.5, 0.0], dtype=torch.float16)
    assert entropy_with_an_offset.entropy(half, offset).isnan()
    assert attention_entropy.entropy(half).item() == torch.tensor(math.log(2), dtype=torch.float16).item()


def test_the_offset_makes_a_one_hot_row_s_entropy_negative() -> None:
    row = torch.tensor([1.0, 0.0], dtype=torch.float64)
    found = entropy_with_an_offset.entropy(row)
    assert -1.0001e-8 < found < -0.9999e-8
    assert attention_entropy.entropy(row) == 0


def test_the_offset_lowers_the_entropy_of_many_small_weights() -> None:
    """By Σ p log(1 + ε / p), which is n ε for weights above ε, and all of it where weights are far below."""
    n = 2**20
    row = torch.full((n,), 1 / n, dtype=torch.float64)
    missing = math.log(n) - entropy_with_an_offset.entropy(row).item()
    assert 0.99 * math.log1p(n * 1e-8) < missing < 1.01 * math.log1p(n * 1e-8)
    assert attention_entropy.entropy(row).item() == pytest.approx(math.log(n), rel=1e-13)


def test_one_layer_s_heads_say_nothing_of_layers() -> None:
    """Layers that swap two places: after two of them each place has its own input again. The sums of heads are the same for both layers, and 2 in all."""
    swap = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    weights = swap.expand(2, 2, 2, 2)  # [L, H, N, N]
    summed = flow_as_a_sum_over_heads.flow(weights)
    assert summed.tolist() == [[[0, 2], [2, 0]]] * 2
    assert rollout.rollout(weights.mean(-3), residual=False).tolist() == torch.eye(2).tolist()
    assert attention_flow.flow(weights.mean(-3), residual=False).tolist() == torch.eye(2).tolist()


def test_a_tree_without_edges_is_an_error_with_a_name() -> None:
    map_ = torch.eye(2)
    with pytest.raises(ZeroDivisionError):
        syntactic_attention_of_one_map.score(map_, [])
    with pytest.raises(ValueError, match="without edges"):
        syntactic_alignment.alignment(map_, torch.zeros(0, 2, dtype=torch.int64))


def test_several_heads_are_read_as_several_dependents() -> None:
    """Edge (head 1, dependent 0) of two heads, of which the first has all its weight there: the text's index takes head 0, row 1."""
    maps = torch.tensor([[[0.0, 1.0], [1.0, 0.0]], [[1.0, 0.0], [0.0, 1.0]]])
    assert syntactic_attention_of_one_map.score(maps, [(1, 0)]).tolist() == [1.0, 0.0]  # head 0's row 1: no score
    assert syntactic_alignment.alignment(maps, torch.tensor([[1, 0]])).tolist() == [1.0, 0.0]
    other = torch.tensor([[[0.0, 1.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    assert syntactic_attention_of_one_map.score(other, [(1, 0)]).tolist() == [0.0, 1.0]
    assert syntactic_alignment.alignment(other, torch.tensor([[1, 0]])).tolist() == [1.0, 0.0]
    assert syntactic_attention_of_one_map.score(maps[0], [(1, 0)]) == 1.0  # one map: right


@pytest.mark.parametrize("n", [2, 4, 8])
def test_a_sum_over_rows_grows_with_their_number(n: int) -> None:
    """Every row but the first looks one place back; the first at itself."""
    weights = torch.eye(n).roll(-1, -1)
    weights[0], weights[0, 0] = 0, 1
    assert distance_without_a_mean.summed(weights) == n - 1
    assert attention_distance.distance(weights, per="head").item() == (n - 1) / n


def test_a_mean_position_is_no_distance() -> None:
    """Rows that look at themselves, and rows that all look at the first key."""
    own, first = torch.eye(4), torch.tensor([[1.0, 0, 0, 0]] * 4)
    assert distance_without_a_mean.mean_position(own).tolist() == [0, 1, 2, 3]
    assert distance_without_a_mean.mean_position(first).tolist() == [0, 0, 0, 0]
    assert attention_distance.distance(own).tolist() == [0, 0, 0, 0]
    assert attention_distance.distance(first).tolist() == [0, 1, 2, 3]
    assert distance_without_a_mean.mean_position(own.half()).dtype == torch.float32
    assert attention_distance.distance(own.half()).dtype == torch.float16


def test_renumbered_heads_are_inconsistent_without_matching() -> None:
    """The same two heads in either order: as one vector each, they oppose each other."""
    heads = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    trainings = torch.stack((heads, heads.flip(0)))
    assert consistency_without_matching.consistency(trainings).item() == pytest.approx(-1)
    assert consistency.consistency(trainings, match=False).item() == pytest.approx(-1)
    assert consistency.consistency(trainings).item() == pytest.approx(1)


def test_a_uniform_head_is_refused_where_the_formula_gives_nan() -> None:
    uniform = torch.full((2, 1, 2, 2), 0.5)
    assert consistency_without_matching.consistency(uniform).isnan()
    with pytest.raises(ValueError, match="constant"):
        consistency.consistency(uniform)


def test_a_heat_map_of_one_text_has_queries_down_and_keys_across() -> None:
    weights = torch.tensor([[1.0, 0.0], [0.25, 0.75]])
    assert heat_map_of_one_list_of_tokens.cells(weights, ["the", "cat"]) == [
        ("the", "the", 1.0),
        ("the", "cat", 0.0),
        ("cat", "the", 0.25),  # "cat" attends "the"
        ("cat", "cat", 0.75),
    ]


def test_a_heat_map_of_two_texts_is_labelled_with_one_of_them() -> None:
    """Two queries and three keys: keys get the queries' words, and one gets none."""
    labels = [x for _, x, _ in heat_map_of_one_list_of_tokens.cells(torch.ones(2, 3) / 3, ["le", "chat"])]
    assert labels == ["le", "chat", ""] * 2
