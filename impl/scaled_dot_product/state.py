"""The online-softmax state of a set of keys, and its merge (Milakov and Gimelshein 2018; Dao et al. 2022, section 3).

A state is (top, mass, sum): for a row with scores s_j, top = max s_j, mass = Σ exp(s_j − top), sum = Σ exp(s_j − top) v_j.
The states of disjoint key sets merge to the state of their union, in any order; the empty set's state is (−∞, 0, 0).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class State(NamedTuple):
    """top [..., N, 1], mass [..., N, 1], sum [..., N, E], all in the accumulation dtype."""

    top: Tensor
    mass: Tensor
    sum: Tensor


def empty(*rows: int, width: int, like: Tensor) -> State:
    """The state of no key at all, for `rows` leading sizes."""
    return State(like.new_full((*rows, 1), -math.inf), like.new_zeros((*rows, 1)), like.new_zeros((*rows, width)))


def of(scores: Tensor, value: Tensor) -> State:
    """The state of the keys whose scores [..., N, M] and values [..., M, E] are given; a score of −∞ hides its key. M ≥ 1."""
    top = scores.amax(-1, keepdim=True)
    raised = torch.exp(scores - finite(top))
    return State(top, raised.sum(-1, keepdim=True), raised @ value)


def merge(x: State, y: State) -> State:
    """The state of the union of two disjoint key sets."""
    top = torch.maximum(x.top, y.top)
    left, right = torch.exp(x.top - finite(top)), torch.exp(y.top - finite(top))
    return State(top, x.mass * left + y.mass * right, x.sum * left + y.sum * right)


def finish(x: State) -> tuple[Tensor, Tensor]:
    """Output [..., N, E] and log-sum-exp [..., N]; 0 and −∞ for a row that saw no key."""
    return x.sum / x.mass.masked_fill(x.mass == 0, 1), (finite(x.top) + torch.log(x.mass)).squeeze(-1)


def finite(top: Tensor) -> Tensor:
    """`top` with −∞ replaced by 0: only for subtracting, never to be kept as the maximum."""
    return top.masked_fill(top == -math.inf, 0)
