"""The course text's key-value cache: one sequence, one token at a time, and whatever torch's assignment makes of what it is given."""

from __future__ import annotations

import torch
from torch import Tensor


class AttentionCache:
    """Keys and values [C, H, D] of one sequence, float32 on the CPU; `update` writes one token and returns all so far, [t, H, D], as views of the cache.

    Wrong or missing: an assignment broadcasts, so a key without its head axis is written to every head, and a float64 key is rounded to float32, both without a
    word; a token whose value does not fit has written its key already; no batch axis, and no more than one token a call, so no prefill; past the capacity
    torch's IndexError speaks of an axis, not of the cache; what is returned is the cache's own memory, which the caller can change; later updates spoil the
    backward pass of earlier ones. It holds and shows no more than this: which rows see which keys is left to the caller, and the head axis behind the tokens
    is not where torch's attention has it. Right is impl/cached/cache.py. Text: "Day 42: Attention Mechanisms", Attention Caching.
    """

    def __init__(self, capacity: int, heads: int, width: int) -> None:
        self.keys, self.values = torch.zeros(capacity, heads, width), torch.zeros(capacity, heads, width)
        self.length = 0

    def update(self, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """All keys and values so far, those of the new token [H, D] among them."""
        self.keys[self.length] = key
        self.values[self.length] = value
        self.length += 1
        return self.keys[: self.length], self.values[: self.length]
