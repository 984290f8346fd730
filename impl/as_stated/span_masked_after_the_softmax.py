"""The adaptive span as its authors' code has it: a softmax over all keys, the mask on its weights, and a division by their sum plus 10⁻⁸.

On paper the softmax's sum cancels. In floating point a key beyond the span whose score is far above the others leaves weights of 0 within it, and the row
comes out as 0 instead of a mean of its values; the 10⁻⁸ takes mass from every row besides, all of it where the weights within the span are small.
impl/adaptive_span has the softmax over keys in reach, and divides by the sum alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from impl.adaptive_span.reference import reach
from impl.masked import accumulation, softmax
from impl.scored import scored


def attention(query: Tensor, key: Tensor, value: Tensor, span: Tensor, ramp: float = 32.0) -> Tensor:
    """As impl/adaptive_span, up to rounding and the 10⁻⁸. Source: https://github.com/facebookresearch/adaptive-span (adaptive_span.py)"""
    q, k, v, z = (x.to(accumulation(query.dtype)) for x in (query, key, value, span))
    distance = torch.arange(q.shape[-2]).unsqueeze(-1) - torch.arange(k.shape[-2])  # [N, M]
    weights = softmax(*scored(q, k, None, True, None)) * reach(distance, z[..., None, None], ramp)
    return (weights / (weights.sum(-1, keepdim=True) + 1e-8) @ v).to(query.dtype)
