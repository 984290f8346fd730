"""What the texts' formulas for graphs and hierarchies leave out, by cases that are exact."""

from __future__ import annotations

import torch
from torch import Tensor

from impl import segments
from impl.as_stated import graph_attention_over_all_nodes, hierarchy_over_padded_slots, neighbours_by_quotient
from impl.graph import reference as graph
from impl.graph import segments as graph_by_segments
from impl.hierarchical import reference as hierarchical
from impl.hierarchical import segments as hierarchical_by_segments

ONE = torch.ones(1, 1, 1, dtype=torch.float64)


def test_without_a_neighbourhood_every_node_attends_to_every_other() -> None:
    """Scores of 0: each of four nodes gets the mean, whatever the edges; over its own edges the last one is 0, and the first copies the second."""
    nodes = torch.tensor([[0.0], [4.0], [8.0], [4.0]], dtype=torch.float64)
    over_all = graph_attention_over_all_nodes.attention(nodes, ONE[0], torch.zeros(2, dtype=torch.float64))
    assert over_all.flatten().tolist() == [4.0, 4.0, 4.0, 4.0]
    edges = torch.tensor([[1, 2, 0, 2], [0, 1, 2, 2]])
    for attention in (graph.attention, graph_by_segments.attention):
        assert attention(nodes, nodes, edges, ONE, torch.zeros(1, 2, dtype=torch.float64)).flatten().tolist() == [4.0, 8.0, 4.0, 0.0]


def test_a_quotient_of_exponentials_ends_where_the_format_does() -> None:
    target = torch.tensor([0, 0, 1, 1, 2])
    for top in (710.0, -800.0):
        scores = torch.tensor([top, top, 0.0, 0.0, 1.0], dtype=torch.float64)
        stated = neighbours_by_quotient.weights(scores, target, 3)
        assert stated[:2].isnan().all()
        assert stated[2:].tolist() == [0.5, 0.5, 1.0]
        assert segments.softmax(scores, target, 3).tolist() == [0.5, 0.5, 0.5, 0.5, 1.0]


def zeros(*shape: int) -> Tensor:
    return torch.zeros(*shape, dtype=torch.float64)


def test_padding_takes_weight_at_both_levels() -> None:
    """One sentence of one word, 8, beside slots for two sentences of four words: with all scores 0 a quarter of a half of it is left."""
    words = zeros(2, 4, 1)
    words[0, 0] = 8
    assert hierarchy_over_padded_slots.attention(words, zeros(2, 4), zeros(2)).tolist() == [1.0]
    for attention in (hierarchical.attention, hierarchical_by_segments.attention):
        assert attention(words[0, :1], [1, 0], [2], zeros(1, 1), zeros(1), zeros(1), zeros(1, 1), zeros(1), zeros(1)).tolist() == [[8.0]]


def test_two_levels_are_not_one_softmax_over_all_words() -> None:
    """Equal scores, sentences of one word and of three: the lone word weighs 1/2 in the hierarchy and 1/4 in one softmax, which log-sum-exp gives."""
    words = torch.tensor([[8.0], [0.0], [0.0], [0.0]], dtype=torch.float64)
    for attention in (hierarchical.attention, hierarchical_by_segments.attention):
        flat = attention(words, [1, 3], [2], zeros(1, 1), zeros(1), zeros(1))
        assert attention(words, [1, 3], [2], zeros(1, 1), zeros(1), zeros(1), zeros(1, 1), zeros(1), zeros(1)).tolist() == [[4.0]]
        assert (flat - 2).abs().item() <= 16 * torch.finfo(torch.float64).eps  # eˡᵒᵍ ³ is 3 but for a few roundings
