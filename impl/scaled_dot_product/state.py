"""The online-softmax state of a set of keys, and its merge (Milakov and Gimelshein 2018; Dao et al. 2022, section 3).

A state is (top, mass, sum): for a row with scores s_j, top = max s_j, mass = Σ exp(s_j − top), sum = Σ exp(s_j − top) v_j.
The states of disjoint key sets merge to the state of their union, in any order; the empty set's state is (−∞, 0, 0).
Below them stand the two operations that cost time, `product` and `exponential`, each in the way that is fastest on a CPU.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

LOG2_E = math.log2(math.e)


class State(NamedTuple):
    """top [N, 1], mass [N, 1], sum [N, E], all in the accumulation dtype."""

    top: Tensor
    mass: Tensor
    sum: Tensor


def empty(rows: int, width: int, like: Tensor) -> State:
    """The state of no key at all."""
    return State(like.new_full((rows, 1), -math.inf), like.new_zeros((rows, 1)), like.new_zeros((rows, width)))


def of(scores: Tensor, value: Tensor) -> State:
    """The state of the keys whose scores [N, M] and values [M, E] are given; a score of −∞ hides its key. M ≥ 1. `scores` is overwritten."""
    top = scores.amax(-1, keepdim=True)
    raised = exponential(scores.sub_(finite(top)))
    return State(top, raised.sum(-1, keepdim=True), product(raised, value))


def merge(x: State, y: State) -> None:
    """Make `x` the state of the union of two disjoint key sets. Where its maximum does not rise, x is multiplied by exp(0), which is exactly 1."""
    top = torch.maximum(x.top, y.top)
    left, right = exponential(x.top - finite(top)), exponential(y.top - finite(top))
    x.mass.mul_(left).addcmul_(y.mass, right)
    x.sum.mul_(left).addcmul_(y.sum, right)
    x.top.copy_(top)


def finish(x: State) -> Tensor:
    """The output [N, E]; 0 for a row that saw no key."""
    return x.sum / positive(x.mass)


def log_sum_exp(top: Tensor, mass: Tensor) -> Tensor:
    """log Σ exp(s_j) = top + log mass, [..., N, 1] → [..., N]; −∞ for a row that saw no key."""
    return (finite(top) + torch.log(mass)).squeeze(-1)


def finite(top: Tensor) -> Tensor:
    """`top` with −∞ replaced by 0: only for subtracting, never to be kept as the maximum."""
    return top.masked_fill(top == -math.inf, 0)


def positive(mass: Tensor) -> Tensor:
    """`mass` with 0, the mass of no key, replaced by 1: only for dividing."""
    return mass.masked_fill(mass == 0, 1)


def exponential(x: Tensor) -> Tensor:
    """e^x in place, as 2^(x log₂ e): torch's exp takes four times as long as its exp2 where MKL computes it, and the product is cheap. x ≤ 0."""
    return x.mul_(LOG2_E).exp2_()


def product(x: Tensor, y: Tensor) -> Tensor:
    """x y for matrices [R, K] and [K, C]; `y` is a dense matrix or the transpose of one.

    In float32 on a CPU this is oneDNN's inner product: `torch.mm` goes to MKL, which leaves half the vector width unused on AMD's processors.
    `torch.backends.mkldnn.flags(enabled=False)` brings `torch.mm` back. oneDNN refuses K = 0.
    """
    if ONEDNN is not None and torch.backends.mkldnn.enabled and x.dtype == torch.float32 and x.device.type == "cpu" and x.shape[1]:
        return ONEDNN(x, y.t(), None, "none", [], "")  # type: ignore[no-any-return]
    return x @ y


# x yᵀ for matrices x and y, or None where this build of torch has none; a y with gaps between its rows would take a reference path, 2000 times slower
ONEDNN = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None
