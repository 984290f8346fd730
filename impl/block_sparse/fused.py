"""Block-sparse attention by the Triton kernels of this folder, and through them every sparse pattern: `in_blocks` is a method of `impl.patterns`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impl.in_triton import Operators
from impl.patterns import Pattern, factor, sets
from impl.scaled_dot_product.flash import four


def load() -> Any:
    from impl.block_sparse import launch

    return launch


operators = Operators(load)
Tile = tuple[int, int, int, int] | str | None


def in_blocks(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    pattern: Pattern,
    attn_mask: Tensor | None,
    is_causal: bool,
    scale: float | None,
    start: int,
    *,
    tile: Tile = None,
) -> Tensor:
    """As `impl.patterns.by_mask`, by the blocks that have a visible pair, causality and the positions of the rows among them: no other is read.

    Shapes: query [..., N, D], key [..., M, D], value [..., M, E] → [..., N, E]; leading axes broadcast. Weights, and their gradients, meet values and keys in
    the inputs' dtype; the gradient of a leading axis that was broadcast is rounded before it is summed. `tile`: (rows, columns, warps, stages) of all kernels,
    or the target ("sm_90") whose tiles are taken where there is no GPU. Raises ValueError for what `impl.patterns.sets` and `attention` refuse, RuntimeError
    where triton is missing.
    """
    rows = sets(pattern, query.shape[-2], key.shape[-2], is_causal, start)
    return attention(query, key, value, rows, attn_mask, scale, tile=tile)


def attention(
    query: Tensor, key: Tensor, value: Tensor, pattern: Any, attn_mask: Tensor | None = None, scale: float | None = None, *, tile: Tile = None
) -> Tensor:
    """Attention over what a pattern shows: the sets of keys that the rows see, a `Layout` of `impl.block_sparse.index`, or what
    `impl.block_sparse.launch.prepared` made of either, which brings its own tiles. All else as in `in_blocks`."""
    checked(query, key, value, attn_mask)
    module = operators()
    n, m = query.shape[-2], key.shape[-2]
    if not isinstance(pattern, module.Prepared):
        tiles = tile if isinstance(tile, tuple) else module.shipping(query, value, tile or "")
        pattern = module.prepared(pattern, m, tiles).to(query.device)
    elif tile is not None:
        raise ValueError(f"tile {tile!r}: a prepared index has its own")
    if pattern.lengths != (n, m):
        raise ValueError(f"the index is of {pattern.lengths} queries and keys: query {tuple(query.shape)}, key {tuple(key.shape)}")
    lead = torch.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
    q, k, v = (four(x.expand(*lead, *x.shape[-2:])) for x in (query, key, value))
    bias = attn_mask
    if bias is not None:
        bias = bias[(None,) * (4 - bias.dim())] if len(lead) <= 2 else four(bias.expand(*lead, n, m))
        bias = bias.view(torch.uint8) if bias.dtype == torch.bool else bias
    output: Tensor = module.block_sparse_attention(q, k, v, bias, *pattern.tensors, factor(scale, query.shape[-1]), list(pattern.tiles))[0]
    return output.reshape(*lead, n, value.shape[-1])


def checked(query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None) -> None:
    """Raise ValueError, quoting it, for what the kernels do not take."""
    shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ValueError(f"query and key need one width, key and value one length: {shapes}")
    if not query.dtype == key.dtype == value.dtype or query.dtype not in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise ValueError(f"query, key and value need one floating dtype: {query.dtype}, {key.dtype}, {value.dtype}")
    if not 0 < max(query.shape[-1], value.shape[-1]) <= 256:
        raise ValueError(f"head widths go from 1 to 256: {shapes}")
    if attn_mask is not None and attn_mask.dtype != torch.bool and not attn_mask.is_floating_point():
        raise ValueError(f"attn_mask is boolean or added to the scores, not {attn_mask.dtype}")
