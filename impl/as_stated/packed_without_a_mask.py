"""Packed sequences as the course text has them, "concatenate sequences without padding", and no word of a mask: each row attends to all sequences.

Concatenation alone is no batching: a token sees strangers, and an output depends on what else is in the pack. impl/packed attends within each sequence.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from impl.masked import accumulation
from impl.scored import scored


def attention(queries: Sequence[Tensor], keys: Sequence[Tensor], values: Sequence[Tensor]) -> list[Tensor]:
    """softmax(Q Kᵀ / √D) V over the concatenation of sequences [..., n_b, D], [..., m_b, D], [..., m_b, E], cut into [..., n_b, E] again.

    Source: Day 42: Attention Mechanisms, "Batch Processing".
    """
    q, k, v = (torch.cat(tuple(parts), dim=-2).to(accumulation(parts[0].dtype)) for parts in (queries, keys, values))
    output = (scored(q, k, None, False, None)[0].softmax(-1) @ v).to(values[0].dtype)
    return list(output.split([part.shape[-2] for part in queries], dim=-2))
