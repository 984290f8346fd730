"""The same loss with a matching found by shortest augmenting paths."""

from __future__ import annotations

import math
from functools import partial

from torch import Tensor

from impl.set_matching.reference import attention as with_matching


def by_augmenting_paths(cost: Tensor) -> list[int]:
    """For each of T objects its prediction, with the least cost [Q, T] in all: O(T² Q) operations. Kuhn 1955; Jonker and Volgenant 1987."""
    rows: list[list[float]] = cost.mT.double().tolist()  # objects in rows
    queries = cost.shape[0]
    of_object, of_query = [0.0] * len(rows), [0.0] * (queries + 1)  # potentials
    owner = [-1] * (queries + 1)  # the object that each prediction is matched to; the last place stands for the object to be added
    for start in range(len(rows)):
        owner[queries], here = start, queries
        nearest, before, done = [math.inf] * queries, [queries] * queries, [False] * (queries + 1)
        while owner[here] >= 0:
            done[here], t = True, owner[here]
            for q in range(queries):
                reached = rows[t][q] - of_object[t] - of_query[q]
                if not done[q] and reached < nearest[q]:
                    nearest[q], before[q] = reached, here
            after = min((q for q in range(queries) if not done[q]), key=nearest.__getitem__)
            step = nearest[after]
            for q in range(queries + 1):
                if done[q]:
                    of_object[owner[q]] += step
                    of_query[q] -= step
                elif q < queries:
                    nearest[q] -= step
            here = after
        while here != queries:  # the path is turned over
            owner[here], here = owner[before[here]], before[here]
    return [owner.index(t) for t in range(len(rows))]


attention = partial(with_matching, match=by_augmenting_paths)
