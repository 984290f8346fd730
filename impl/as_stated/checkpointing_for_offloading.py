"""The course text's snippet under the heading "Activation Offloading", which is said to store activations on CPU or disk."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint


def attention(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """softmax(Q Kᵀ / √D) V, [..., N, D], [..., M, D], [..., M, E] → [..., N, E], under torch's checkpoint.

    Wrong: nothing is stored anywhere, on CPU or disk. The weights are thrown away and computed again in backward; that is gradient checkpointing, the heading
    before. The text also calls `checkpoint` without `use_reentrant`, whose old default True returns no gradient where no argument of the call needs one itself.
    Right is impl/checkpointed/offloaded.py. Text: "Day 15.2: Attention Mechanisms Deep Dive", Activation Offloading.
    """

    def attention_fn(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        scores = torch.matmul(q, k.transpose(-2, -1)) / math.sqrt(q.size(-1))
        return torch.matmul(scores.softmax(-1), v)

    output: Tensor = checkpoint(attention_fn, query, key, value, use_reentrant=False)
    return output
