"""What caches share: the parts that a sequence comes in, and softmax attention over slots of which some hold nothing yet."""

from __future__ import annotations

import math

from torch import Tensor

from impl.masked import accumulation, softmax


def check_shapes(query: Tensor, key: Tensor, value: Tensor, *, prefix: bool = False) -> None:
    """Raise ValueError, quoting the shapes, unless query [B, H, N, D], key [B, G, M, D] and value [B, G, M, E] fit together: H a multiple of G, and M = N, or
    M ≥ N where a `prefix` may stand before the queries."""
    shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if not query.dim() == key.dim() == value.dim() == 4:
        raise ValueError(f"a cache needs [B, H, N, D] tensors: {shapes}")
    if query.shape[0] != key.shape[0] or key.shape[:3] != value.shape[:3] or query.shape[3] != key.shape[3]:
        raise ValueError(f"batch, heads, lengths and widths of key and value, or batch and width of the query, differ: {shapes}")
    if key.shape[1] == 0 or query.shape[1] % key.shape[1]:
        raise ValueError(f"the query's heads must be a multiple of the key's: {shapes}")
    if key.shape[2] < query.shape[2] or (key.shape[2] != query.shape[2] and not prefix):
        raise ValueError(f"there must be {'at least ' if prefix else ''}as many keys as queries: {shapes}")


def spans(parts: tuple[int, ...], length: int) -> list[range]:
    """Where each part lies in the sequence. Raises ValueError unless the parts are lengths that sum to its own."""
    if any(part < 0 for part in parts) or sum(parts) != length:
        raise ValueError(f"parts {tuple(parts)} sum to {sum(parts)}: expected lengths of 0 or more that sum to the {length} queries")
    starts = [sum(parts[:place]) for place in range(len(parts))]
    return [range(start, start + part) for start, part in zip(starts, parts, strict=True)]


def attended(query: Tensor, key: Tensor, value: Tensor, seen: Tensor, scale: float | None = None, bias: Tensor | None = None) -> Tensor:
    """softmax(scale · q kᵀ + bias) over the slots that a row sees, summed with their values: [B, H, N, E] in the query's dtype; a row that sees none is zero.

    Shapes: query [B, H, N, D], key [B, G, S, D], value [B, G, S, E] with H a multiple of G; seen (bool) broadcasts to [B, 1, N, S], bias to [B, H, N, S]. What
    stands in a slot that no row sees has no influence, NaN included. float16 and bfloat16 are computed in float32 and rounded once.
    """
    dtype = accumulation(query.dtype)
    used = seen.any(-2, keepdim=True).transpose(-2, -1)  # [B or 1, 1, S, 1]
    q, k, v = query.to(dtype), heads(key.to(dtype), query), heads(value.to(dtype).masked_fill(~used, 0.0), query)
    scores = q @ k.transpose(-2, -1) * factor(query, scale)
    scores = scores if bias is None else scores + bias
    return (softmax(scores, seen.expand(scores.shape)) @ v).to(query.dtype)


def heads(x: Tensor, query: Tensor) -> Tensor:
    """[B, G, S, D] → [B, H, S, D]: query head h reads head h // (H / G)."""
    return x if x.shape[1] == query.shape[1] else x.repeat_interleave(query.shape[1] // x.shape[1], dim=1)


def factor(query: Tensor, scale: float | None) -> float:
    """The scale, 1/√D by default."""
    return 1 / math.sqrt(query.shape[-1]) if scale is None else scale


def falling(slopes: Tensor | None, distance: Tensor, query: Tensor) -> Tensor | None:
    """The bias −slopes[h] · distance [B, H, N, S] of slopes [H] and distances [B or 1, 1, N, S], in the accumulation dtype; None without slopes."""
    return None if slopes is None else -slopes.to(accumulation(query.dtype))[:, None, None] * distance
