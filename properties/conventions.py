"""Translation between this project's conventions (torch's) and those that a subject declares: axes, the order of grouped heads, what True means in a mask."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from impl.variant import Conventions
from properties.inputs import Inputs

OURS = "BHND"


def arguments(x: Inputs, conventions: Conventions) -> tuple[tuple[Tensor, ...], dict[str, Any]]:
    """Positional arguments and keywords of the call as the subject means it. A contiguous tensor stays contiguous."""
    keywords, group = x.keywords, groups(x)
    query = regrouped(x.query, group) if tiled(x, conventions) else x.query
    mask = keywords.get("attn_mask")
    if mask is not None and tiled(x, conventions) and mask.dim() == 4 and mask.shape[1] == x.query.shape[1]:
        mask = regrouped(mask, group)
    if mask is not None and conventions.mask == "block" and mask.dtype == torch.bool:
        mask = ~mask
    if mask is not None:
        keywords["attn_mask"] = mask
    axes = conventions.layout.partition("->")[0]
    return tuple(permuted(t, OURS, axes) for t in (query, x.key, x.value)), keywords


def cotangent(x: Inputs, conventions: Conventions) -> Tensor:
    """The cotangent in the axes and the head order of the subject's output."""
    turned = regrouped(x.cotangent, groups(x)) if tiled(x, conventions) else x.cotangent
    return permuted(turned, OURS, conventions.layout.partition("->")[2])


def output(returned: Tensor, x: Inputs, conventions: Conventions) -> Tensor:
    """What the subject returned, with our axes and head order; a tensor whose number of axes does not fit is left as it is."""
    return ungrouped(unpermuted(returned, conventions.layout.partition("->")[2]), x, conventions)


def gradient(returned: Tensor, place: int | str, x: Inputs, conventions: Conventions) -> Tensor:
    """The gradient of the argument at `place` (0 is the query), or of the mask, with our axes and head order."""
    if isinstance(place, str):
        return ungrouped(returned, x, conventions)
    back = unpermuted(returned, conventions.layout.partition("->")[0])
    return ungrouped(back, x, conventions) if place == 0 else back


def tiled(x: Inputs, conventions: Conventions) -> bool:
    return x.enable_gqa and conventions.grouped_queries == "tiled"


def groups(x: Inputs) -> int:
    return x.key.shape[1] if x.enable_gqa else 1


def regrouped(t: Tensor, key_heads: int) -> Tensor:
    """[B, H, …] from interleaved heads (h = g · R + r) to tiled ones (h = r · G + g)."""
    turned: Tensor = t.unflatten(1, (key_heads, -1)).transpose(1, 2).flatten(1, 2)
    return turned


def ungrouped(t: Tensor, x: Inputs, conventions: Conventions) -> Tensor:
    fits = t.dim() == 4 and t.shape[1] == x.query.shape[1]
    back: Tensor = t.unflatten(1, (-1, groups(x))).transpose(1, 2).flatten(1, 2) if fits and tiled(x, conventions) else t
    return back


def permuted(t: Tensor, have: str, want: str) -> Tensor:
    if have == want:
        return t
    turned = t.permute([have.index(axis) for axis in want])
    return turned.contiguous() if t.is_contiguous() else turned


def unpermuted(t: Tensor, have: str) -> Tensor:
    back: Tensor = t.permute([have.index(axis) for axis in OURS]) if have != OURS and t.dim() == len(have) else t
    return back
