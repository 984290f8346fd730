"""Attention flow without a graph library: one layer is its own flow, two are a sum of minima, more are filled by shortest augmenting paths in layers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

from torch import Tensor

from impl.instruments.attention_flow.capacities import Map, check, each, in_units, rounded


def flow(weights: Tensor, residual: bool = True) -> Tensor:
    """As the reference. Two layers take N³ minima, since each path is the only one through its middle node; L layers N² searches for blocking flows."""
    check(weights)
    return each(weights, partial(one, residual=residual))


def one(layers: Tensor, residual: bool) -> Tensor:
    """The flows [N, N] through maps [L, N, N]."""
    maps, unit = in_units(layers, residual)
    places = range(layers.shape[-1])
    if len(maps) == 1:
        flows = maps[0]
    elif len(maps) == 2:
        flows = [[sum(min(maps[1][i][k], maps[0][k][j]) for k in places) for j in places] for i in places]
    else:
        flows = [[largest(maps, i, j) for j in places] for i in places]
    return rounded(flows, unit, layers)


def largest(maps: list[Map], source: int, sink: int) -> int:
    """The maximum flow from the last layer's output to the first layer's input, by Dinic's algorithm (1970)."""
    room = rooms(maps)
    start, end, total = (len(maps), source), (0, sink), 0
    while end in (level := levels(room, start)):
        waiting = {node: iter(room[node]) for node in room}
        while pushed := push(room, level, waiting, start, end):
            total += pushed
    return total


Node = tuple[int, int]
Rooms = dict[Node, dict[Node, int]]


def rooms(maps: list[Map]) -> Rooms:
    """What may still flow along each edge, and back."""
    room: Rooms = {(depth, i): {} for depth in range(len(maps) + 1) for i in range(len(maps[0]))}
    for depth, layer in enumerate(maps):
        for i, row in enumerate(layer):
            for j, capacity in enumerate(row):
                room[depth + 1, i][depth, j] = capacity
                room[depth, j][depth + 1, i] = 0
    return room


def levels(room: Rooms, start: Node) -> dict[Node, int]:
    """How many edges with room lead to each node that can be reached."""
    level, waiting = {start: 0}, deque([start])
    while waiting:
        here = waiting.popleft()
        for there, left in room[here].items():
            if left and there not in level:
                level[there] = level[here] + 1
                waiting.append(there)
    return level


def push(room: Rooms, level: dict[Node, int], waiting: dict[Node, Iterator[Node]], start: Node, end: Node) -> int:
    """Send what one more shortest path carries, and return it; 0 when there is none."""
    path = [start]
    while path[-1] != end:
        here = path[-1]
        there = next((x for x in waiting[here] if room[here][x] and level.get(x) == level[here] + 1), None)
        if there is not None:
            path.append(there)
        elif len(path) == 1:
            return 0
        else:
            path.pop()
    return carry(room, waiting, path)


def carry(room: Rooms, waiting: dict[Node, Iterator[Node]], path: list[Node]) -> int:
    """Use up the least room along a path; an edge that has some left is tried again."""
    edges = list(pairwise(path))
    least = min(room[here][there] for here, there in edges)
    for here, there in edges:
        room[here][there] -= least
        room[there][here] += least
        waiting[here] = iter(room[here])
    return least
