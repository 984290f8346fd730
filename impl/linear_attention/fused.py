"""Linear attention by the Triton kernels of this folder, forward and backward: keys and values are read once, and nothing of size N · M is ever formed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impl.in_triton import Operators
from impl.kernelised import padding
from impl.linear_attention.feature_maps import NAMES, features
from impl.masked import accumulation
from impl.scaled_dot_product import flash

FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
WIDEST, WIDEST_STATE = 256, 128  # features and columns of a program's state: forward, and backward, which holds all columns


def load() -> Any:
    from impl.linear_attention import launch

    return launch


operators = Operators(load)


def attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    feature_map: str = "elu+1",
    is_causal: bool = False,
    attn_mask: Tensor | None = None,
    *,
    epsilon: float = 1e-3,
    c: float = 1.0,
    tile: tuple[int, ...] | str | None = None,
) -> Tensor:
    """As the reference; what a hidden key holds, NaN too, reaches nothing. The features of "taylor" are formed beforehand, in the accumulator's dtype.

    `tile` overrides the table of `impl.linear_attention.launch` with (positions of a chunk, columns of the values a program, warps, stages) and, if not 1, the
    parts of the features; or takes the entry of another target, "sm_90". Raises ValueError for shapes, dtypes or a mask that do not fit, an unknown feature
    map, or widths beyond what a program can hold: 256 features, and with gradients 128 features and 128 columns; RuntimeError where triton is missing.
    """
    check(query, key, value, feature_map)
    options, target = chosen(tile)
    mask = padding(attn_mask)
    lead = torch.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)), *(() if mask is None else (mask.shape[:-2],)))
    hides = None if mask is None else flash.four(mask.expand(*lead, 1, key.shape[-2]))[:, :, 0].view(torch.uint8)
    if feature_map == "taylor":
        dtype = accumulation(query.dtype)
        query, key = (features(x.to(dtype), feature_map, epsilon, c) for x in (query, key))
        feature_map = "identity"
    graded = torch.is_grad_enabled() and any(x.requires_grad for x in (query, key, value))
    most = WIDEST_STATE if graded else WIDEST
    if query.shape[-1] > most or value.shape[-1] > most:
        found = f"{query.shape[-1]} features, {value.shape[-1]} columns"
        raise ValueError(f"widths go to {most}{' with gradients' if graded else ''}: {found}")
    q, k, v = (flash.four(x.expand(*lead, *x.shape[-2:])) for x in (query, key, value))
    output, _ = operators().linear_attention(q, k, v, hides, None, feature_map, epsilon, c, is_causal, options, target)
    result: Tensor = output.reshape(*lead, *output.shape[-2:])
    return result


def chosen(tile: tuple[int, ...] | str | None) -> tuple[list[int], str]:
    """A tile given in numbers, or the target whose entry is to be taken."""
    return ([], tile) if isinstance(tile, str) else (list(tile or ()), "")


def check(query: Tensor, key: Tensor, value: Tensor, feature_map: str) -> None:
    """Raise ValueError, quoting it, for what does not fit."""
    if feature_map not in NAMES:
        raise ValueError(f"feature_map {feature_map!r}: expected one of {', '.join(NAMES)}")
    if not query.dtype == key.dtype == value.dtype or query.dtype not in FLOATS:
        raise ValueError(f"query, key and value need one floating dtype: {query.dtype}, {key.dtype}, {value.dtype}")
    if min(x.dim() for x in (query, key, value)) < 2 or query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        found = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
        raise ValueError(f"shapes [..., N, D], [..., M, D], [..., M, E] expected: {found}")
