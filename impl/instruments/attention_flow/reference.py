"""Attention flow by its definition: the maximum flow from each output to each input, weights being the capacities."""

from __future__ import annotations

from functools import partial

import networkx as nx  # type: ignore[import-untyped]
from torch import Tensor

from impl.instruments.attention_flow.capacities import Map, check, each, in_units, rounded


def flow(weights: Tensor, residual: bool = True) -> Tensor:
    """How much can flow at most from output i to input j, each alone: weights [..., L, N, N], the first layer first → [..., N, N].

    A layer's output i leads to its input j with capacity A_ij, or that of (A + I) / 2 if the `residual` stream counts; one layer's input is the output of the
    one before. Capacities are whole numbers of a unit, so that the flow is the exact maximum and is rounded once. Heads are averaged before: weights.mean(-3).
    Raises ValueError without layers, for maps that are not square, or for weights below 0. Source: Abnar and Zuidema 2020, section 3,
    https://arxiv.org/abs/2005.00928
    """
    check(weights)
    return each(weights, partial(one, residual=residual))


def one(layers: Tensor, residual: bool) -> Tensor:
    """The flows [N, N] through maps [L, N, N]."""
    maps, unit = in_units(layers, residual)
    graph, places = network(maps), range(layers.shape[-1])
    flows = [[nx.maximum_flow_value(graph, (len(maps), i), (0, j)) for j in places] for i in places]
    return rounded(flows, unit, layers)


def network(maps: list[Map]) -> nx.DiGraph:
    """Nodes (l, i), l layers above the input; an edge from each to the layer below."""
    graph = nx.DiGraph()
    for depth, layer in enumerate(maps):
        for i, row in enumerate(layer):
            graph.add_node((depth, i))
            for j, capacity in enumerate(row):
                graph.add_edge((depth + 1, i), (depth, j), capacity=capacity)
    return graph
