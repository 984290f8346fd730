"""natten: attention, by the one backend that runs on a CPU."""

import natten
from torch import Tensor


def attention(query: Tensor, key: Tensor, value: Tensor, scale: float | None = None, enable_gqa: bool = False) -> Tensor:
    """Standard dot product attention, backend flex-fmha."""
    return natten.attention(query, key, value, scale=scale, backend="flex-fmha")
